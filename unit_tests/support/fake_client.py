"""A client for the flow runner that ends requests when the test says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from source_docextract.core.requests import Request
from source_docextract.http.network import Internet


class FakeClient:
    """A client that records what it is handed.

    Attributes:
        pending: the callbacks of the requests that have not ended, by path, in the order of their start.
        submitted: the paths of the requests, in the order in which they were handed over.
        released_lanes: the lanes that go on after a failure.
        events: the calls of `log_in` and `close`, between the submitted paths.
    """

    error_format = SimpleNamespace(provider_name="Acme")

    def __init__(self, max_in_flight: int = 10, outcomes: Mapping[str, Any] | None = None) -> None:
        """Answer at once with `outcomes` by path; without them, `end` does."""
        self.network = Internet()
        self.max_in_flight = max_in_flight
        self.submitted: list[str] = []
        self.released_lanes: list[str] = []
        self.events: list[str] = []
        self._outcomes = outcomes
        self.pending: dict[str, Callable[[Any], None]] = {}

    def submit(self, request: Request, on_done: Callable[[Any], None]) -> None:
        assert request.path not in self.pending
        self.submitted.append(request.path)
        self.events.append(request.path)
        if self._outcomes is None:
            self.pending[request.path] = on_done
        else:
            on_done(self._outcomes[request.path])

    def end(self, path: str, outcome: Any) -> None:
        """End one request."""
        self.pending.pop(path)(outcome)

    def release_lane(self, lane: str) -> None:
        self.released_lanes.append(lane)

    def log_in(self) -> None:
        self.events.append("log in")

    def close(self) -> None:
        self.events.append("close")
