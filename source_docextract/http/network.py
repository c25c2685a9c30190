"""The network: the way from a sync to its providers, with the clock and the event loops of its waits.

The caller of `SourceDocextract` may pass a network. `Internet`, the default, has sockets and threads. A network without
both runs a sync against providers in the same process, in one thread and without real waits: each wait of this wing is
a wait of the network's event loop, by the network's clock.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from queue import SimpleQueue
from typing import Protocol, TypeVar

from .event_loop import EventLoopThread
from .transport import HttpTransport, Transport

T = TypeVar("T")


class EventLoop(Protocol):
    """The event loop that runs the requests of one client. Every method may be called from any thread."""

    def submit(self, work: Callable[[], Awaitable[T]], on_done: Callable[[T | Exception], None], /) -> None:
        """Run `work` as a task and pass its outcome to `on_done`, once.

        The outcome is SyncStopped if the loop is closed before the task ends.
        """

    def run(self, work: Callable[[], Awaitable[T]], /) -> T:
        """Run `work` as a task and wait for its outcome.

        Raises:
            SyncStopped: the loop is closed before the task ends.
            Exception: the exception of `work`.
        """

    def close(self) -> None:
        """Cancel all tasks, and run no further one. A second call is harmless."""


class OutcomeQueue(Protocol[T]):
    """A queue from the event loops to the one thread that takes outcomes from it."""

    def put(self, outcome: T, /) -> None:
        """Append an outcome."""

    def get(self, block: bool = True, timeout: float | None = None) -> T:
        """Wait for an outcome and remove it.

        Raises:
            Empty: none came within `timeout` seconds.
        """

    def empty(self) -> bool:
        """Return whether `get` would have to wait."""


class Network(Protocol):
    """The way from a sync to its providers."""

    def monotonic(self) -> float:
        """Return the seconds of a clock that never goes back."""

    def create_transport(self, base_url: str, max_response_seconds: float, *, has_sent_callback: bool) -> Transport:
        """Return the way to one provider. No connection is opened yet.

        Args:
            base_url: the beginning of every URL that is requested.
            max_response_seconds: seconds from sending a request to the last byte of its response.
            has_sent_callback: whether `send` calls `on_sent`.

        Raises:
            ConfigError: the CA certificates cannot be read, or the proxy does not speak HTTP.
        """

    def create_event_loop(self, name: str, on_close: Callable[[], Awaitable[None]]) -> EventLoop:
        """Return an event loop for the requests of one client.

        Args:
            name: the name of its thread.
            on_close: awaited when it is closed, after all tasks are cancelled.
        """

    def create_queue(self) -> OutcomeQueue[T]:
        """Return a queue for the outcomes of its event loops."""


class Internet:
    """The network with sockets: each client has a transport of its own, and an event loop in a thread of its own."""

    def monotonic(self) -> float:
        """Return the seconds of the system's monotonic clock, by which asyncio's event loops wait."""
        return time.monotonic()

    def create_transport(self, base_url: str, max_response_seconds: float, *, has_sent_callback: bool) -> Transport:
        """Return a transport over HTTP."""
        return HttpTransport(base_url, max_response_seconds, has_sent_callback=has_sent_callback)

    def create_event_loop(self, name: str, on_close: Callable[[], Awaitable[None]]) -> EventLoop:
        """Return an event loop in a thread, which its first task starts."""
        return EventLoopThread(name, on_close)

    def create_queue(self) -> OutcomeQueue[T]:
        """Return a queue between threads."""
        return SimpleQueue()
