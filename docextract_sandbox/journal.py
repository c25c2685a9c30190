"""What was asked of the sandbox: who tests a client wants to know what it did not ask as well."""

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(frozen=True)
class JournalEntry:
    """One request. Headers are not kept: that is where keys and tokens travel."""

    endpoint: str
    """The API and its operation, such as `extracta.getBatchResults`."""
    status: int
    """0 where the connection was broken before an answer."""
    arrived_at: float
    """Arrival, in seconds of `time.monotonic()`."""
    query: Mapping[str, str]
    body: Mapping[str, object] | None
    """The JSON object that was sent; of a form its text fields, and the names of its files as `files`."""
    path_params: Mapping[str, str] = field(default_factory=dict)
    """What stood in the path's `{placeholders}`."""
    fault_kind: str = ""
    """The kind of the fault that it met, if any."""


class Journal:
    """Every API request since the start or the last `clear()`, in the order of the answers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[JournalEntry] = []
        self._in_flight = 0
        self._max_in_flight = 0

    @property
    def entries(self) -> list[JournalEntry]:
        with self._lock:
            return list(self._entries)

    @property
    def max_in_flight(self) -> int:
        """The greatest number of requests that were being served at once."""
        with self._lock:
            return self._max_in_flight

    def count_requests(self, ok_only: bool = False) -> dict[str, int]:
        """Requests per endpoint; `ok_only` leaves out what was answered with 4xx or 5xx, or not at all."""
        return dict(Counter(entry.endpoint for entry in self.entries if not ok_only or 0 < entry.status < 400))

    def measure_arrival_gaps(self, endpoint: str) -> list[float]:
        """Seconds between consecutive arrivals at one endpoint, refused requests included."""
        arrivals = sorted(entry.arrived_at for entry in self.entries if entry.endpoint == endpoint)
        return [later - earlier for earlier, later in pairwise(arrivals)]

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self._max_in_flight = self._in_flight

    def record_arrival(self) -> None:
        """A request has come in."""
        with self._lock:
            self._in_flight += 1
            self._max_in_flight = max(self._max_in_flight, self._in_flight)

    def record_response(self, entry: JournalEntry) -> None:
        """A request's answer is ready. It is written down before it is sent, so that who has it finds it here."""
        with self._lock:
            self._in_flight -= 1
            self._entries.append(entry)
