"""A network inside the process: the sandbox as functions, one event loop for all clients, and a clock that jumps.

There is one thread, and nothing waits: while the sync waits for an outcome, the event loop runs, and where every task
waits, its clock jumps to the end of the shortest wait. So a sync is the same at each repetition, for hypothesis to
shrink, and minutes of back-off cost nothing. A wait that nothing would ever end is an error, no hang.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from queue import Empty
from typing import Any, Generic, TypeVar

import orjson

from docextract_sandbox import BrokenConnection, Sandbox
from source_docextract.core.errors import SyncStopped
from source_docextract.core.json_types import Json
from source_docextract.http.event_loop import run_and_report
from source_docextract.http.network import EventLoop, OutcomeQueue
from source_docextract.http.responses import RawResponse, RetryableError
from source_docextract.http.transport import CONNECTION_FAILED, RESPONSE_CUT_SHORT, Transport

T = TypeVar("T")

MEMORY_URL = "http://127.0.0.1:9"
"""The address of all sandboxes in memory: plain http is for loopback alone. Nothing ever connects to it."""


class MemoryNetwork:
    """The network between a source and a sandbox in the same process.

    Args:
        sandbox: answers all requests.
        draw_latency: returns the virtual seconds until the next response, and so decides which of them overtake others.
    """

    def __init__(self, sandbox: Sandbox, draw_latency: Callable[[], float] = lambda: 0.0) -> None:
        self.loop = VirtualTimeLoop()
        self._sandbox = sandbox
        self._draw_latency = draw_latency

    def monotonic(self) -> float:
        """Return the seconds of the virtual clock."""
        return self.loop.time()

    def create_transport(self, _base_url: str, max_response_seconds: float, *, has_sent_callback: bool) -> Transport:
        """Return a transport that calls the sandbox."""
        return _MemoryTransport(self._sandbox, self._draw_latency, max_response_seconds, has_sent_callback)

    def create_event_loop(self, _name: str, on_close: Callable[[], Awaitable[None]]) -> EventLoop:
        """Return the part of one client in the event loop."""
        return _ClientLoop(self.loop, on_close)

    def create_queue(self) -> OutcomeQueue[T]:
        """Return a queue whose `get` runs the event loop until there is an outcome."""
        return _MemoryQueue(self.loop)

    def close(self) -> None:
        """Close the event loop."""
        self.loop.close()


class VirtualTimeLoop(asyncio.BaseEventLoop):
    """An event loop without sockets, whose clock jumps to the end of the shortest wait."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._selector = self

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass between two syncs."""
        self._now += seconds

    def select(self, timeout: float | None) -> list[Any]:
        """Let the time pass in which there is nothing to run; asyncio calls this between two rounds.

        Raises:
            RuntimeError: nothing would ever run again.
        """
        if timeout is None:
            raise RuntimeError("deadlock: all tasks wait, and nothing would ever wake one of them")
        self._now += timeout
        return []

    def _process_events(self, _events: list[Any]) -> None:
        """Do nothing: without sockets there are no events."""

    def _write_to_self(self) -> None:
        """Do nothing: there is no other thread that would have to wake this one."""


class _MemoryTransport:
    def __init__(
        self,
        sandbox: Sandbox,
        draw_latency: Callable[[], float],
        max_response_seconds: float,
        has_sent_callback: bool,
    ) -> None:
        self._sandbox = sandbox
        self._draw_latency = draw_latency
        self._max_response_seconds = max_response_seconds
        self._has_sent_callback = has_sent_callback

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: Json, on_sent: Callable[[], None]
    ) -> RawResponse:
        """Send a request to the sandbox, with the errors of the transport over HTTP."""
        if self._has_sent_callback:
            on_sent()
        content = b"" if body is None else orjson.dumps(body)
        request = self._sandbox.entrance.request(method, url, headers, content, latency=self._draw_latency())
        try:
            response = await asyncio.wait_for(request, self._max_response_seconds)
        except BrokenConnection as error:
            raise RetryableError(RESPONSE_CUT_SHORT if error.has_begun else CONNECTION_FAILED) from None
        except asyncio.TimeoutError:
            raise RetryableError(f"took more than {self._max_response_seconds:.0f} s to respond") from None
        return RawResponse(response.status, response.headers, response.content)

    async def close(self) -> None:
        """Do nothing: there is no connection."""


class _ClientLoop:
    """The tasks of one client in the shared event loop."""

    def __init__(self, loop: VirtualTimeLoop, on_close: Callable[[], Awaitable[None]]) -> None:
        self._loop = loop
        self._on_close = on_close
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def submit(self, work: Callable[[], Awaitable[T]], on_done: Callable[[T | Exception], None]) -> None:
        """Add a task that runs when the sync waits for an outcome."""
        if self._is_closed:
            on_done(SyncStopped("The sync was stopped."))
            return
        task = self._loop.create_task(run_and_report(work, on_done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run the event loop until `work` has ended."""

        async def await_work() -> T:
            return await work()

        return self._loop.run_until_complete(await_work())

    def close(self) -> None:
        """Cancel all tasks of the client, and wait until they have reported it."""
        if not self._is_closed:
            self._is_closed = True
            self._loop.run_until_complete(self._shut_down())

    async def _shut_down(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks)
        await self._on_close()


class _MemoryQueue(Generic[T]):
    """A queue whose `get` runs the event loop until there is an outcome."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        self._loop = loop
        self._outcomes: deque[T] = deque()
        self._is_waiting = False

    def put(self, outcome: T) -> None:
        """Append an outcome, and return from the event loop to a sync that waits for it."""
        self._outcomes.append(outcome)
        if self._is_waiting:
            self._loop.stop()

    def get(self, block: bool = True, timeout: float | None = None) -> T:
        """Run the event loop until there is an outcome, or for `timeout` virtual seconds."""
        if not self._outcomes and block:
            timer = None if timeout is None else self._loop.call_later(timeout, self._loop.stop)
            self._is_waiting = True
            self._loop.run_forever()
            self._is_waiting = False
            if timer:
                timer.cancel()
        if not self._outcomes:
            raise Empty
        return self._outcomes.popleft()

    def empty(self) -> bool:
        """Return whether `get` would have to run the event loop."""
        return not self._outcomes
