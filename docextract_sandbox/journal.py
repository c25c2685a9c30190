"""The journal of API requests, which shows tests what a client requests."""

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(frozen=True)
class JournalEntry:
    """One request, without its headers, which hold keys and tokens."""

    endpoint: str
    """The API and its operation, such as `extracta.getBatchResults`."""
    status: int
    """0 where the connection was broken before an answer."""
    arrived_at: float
    """Arrival, in seconds of `time.monotonic()`."""
    query: Mapping[str, str]
    body: Mapping[str, object] | None
    """The JSON object of the body; of a form its text fields, and the names of its files as `files`."""
    path_params: Mapping[str, str] = field(default_factory=dict)
    """Values of the path's `{placeholders}`."""
    fault_kind: str = ""
    """The kind of the fault that applied to the request; empty if none did."""


class Journal:
    """The requests since the last `clear()`, in the order of the responses."""

    def __init__(self) -> None:
        """Start without entries."""
        self._lock = threading.Lock()
        self._entries: list[JournalEntry] = []
        self._in_flight = 0
        self._max_in_flight = 0

    @property
    def entries(self) -> list[JournalEntry]:
        """Return a copy of the entries, oldest first."""
        with self._lock:
            return list(self._entries)

    @property
    def max_in_flight(self) -> int:
        """Return the greatest number of requests that were in progress at once."""
        with self._lock:
            return self._max_in_flight

    def count_requests(self, ok_only: bool = False) -> dict[str, int]:
        """Return the number of requests per endpoint.

        `ok_only` leaves out 4xx, 5xx and broken connections.
        """
        return dict(Counter(entry.endpoint for entry in self.entries if not ok_only or 0 < entry.status < 400))

    def measure_arrival_gaps(self, endpoint: str) -> list[float]:
        """Return the seconds between consecutive arrivals at one endpoint."""
        arrivals = sorted(entry.arrived_at for entry in self.entries if entry.endpoint == endpoint)
        return [later - earlier for earlier, later in pairwise(arrivals)]

    def clear(self) -> None:
        """Remove every entry, and count `max_in_flight` from the requests in progress."""
        with self._lock:
            self._entries.clear()
            self._max_in_flight = self._in_flight

    def record_arrival(self) -> None:
        """Count a request that has arrived."""
        with self._lock:
            self._in_flight += 1
            self._max_in_flight = max(self._max_in_flight, self._in_flight)

    def record_response(self, entry: JournalEntry) -> None:
        """Record a request whose response is ready.

        The entry is written before the response is sent, so that a client that has the response finds it.
        """
        with self._lock:
            self._in_flight -= 1
            self._entries.append(entry)
