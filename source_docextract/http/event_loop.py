"""An event loop in a thread of its own, for all requests of one provider.

One thread for each request has two drawbacks. A sync takes more than twice the CPU time, because the threads share one
interpreter. A thread that waits for a response cannot be stopped, whereas a task can be cancelled anywhere.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from queue import SimpleQueue
from typing import Any, TypeVar

from ..core.errors import SyncStopped

T = TypeVar("T")

_JOIN_TIMEOUT = 2.0
"""Seconds to wait for the end of the thread, which may be in a DNS lookup that cannot be cancelled.

A stopped sync ends within 5 seconds.
"""


class EventLoopThread:
    """An event loop in a daemon thread. Every method may be called from any thread.

    The first task starts the thread. As a daemon, it does not keep a program alive that abandons a sync.
    """

    def __init__(self, name: str, on_close: Callable[[], Awaitable[None]]) -> None:
        """Create an event loop without starting its thread.

        Args:
            name: the name of the thread.
            on_close: awaited in the event loop by `close`, after all tasks are cancelled.
        """
        self._name = name
        self._on_close = on_close
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, work: Callable[[], Awaitable[T]], on_done: Callable[[T | Exception], None]) -> None:
        """Run `work` as a task and pass its outcome to `on_done`.

        Args:
            work: returns the awaitable to run.
            on_done: called once with the result or the exception, in the event loop's thread. Receives SyncStopped if
                `close` cancels the task. If the loop is already closed, it is called at once, in the caller's thread.
        """
        with self._lock:
            if not self._is_closed:
                # The loop runs callbacks in the order in which they are added. So `close`, which adds its own under the
                # same lock, cancels every task submitted before it, and no caller waits for an outcome forever.
                self._ensure_running().call_soon_threadsafe(self._start_task, work, on_done)
                return
        on_done(SyncStopped("The sync was stopped."))

    def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run `work` as a task and wait for its outcome.

        Raises:
            SyncStopped: the loop is closed before the task ends.
            Exception: the exception of `work`.
        """
        outcomes: SimpleQueue[T | Exception] = SimpleQueue()
        self.submit(work, outcomes.put)
        outcome = outcomes.get()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def close(self) -> None:
        """Cancel all tasks and end the thread. A second call is harmless."""
        with self._lock:
            if not self._is_closed and self._loop:
                self._loop.call_soon_threadsafe(self._loop.stop)
            self._is_closed = True
            thread = self._thread
        # An `on_done` callback may call `close` too, and a thread cannot join itself.
        if thread and thread is not threading.current_thread():
            thread.join(_JOIN_TIMEOUT)

    def _ensure_running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            loop = self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._run_loop, args=(loop,), name=self._name, daemon=True)
            self._thread.start()
        return self._loop

    def _run_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            loop.run_until_complete(self._shut_down())
        finally:
            loop.close()

    def _start_task(self, work: Callable[[], Awaitable[Any]], on_done: Callable[[Any], None]) -> None:
        task = asyncio.ensure_future(run_and_report(work, on_done))
        # The event loop itself holds only weak references to tasks, so a waiting one could be garbage-collected.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _shut_down(self) -> None:
        for task in self._tasks:
            task.cancel()
        # Each cancelled task still reports SyncStopped, so that a stop wakes every caller that waits for an outcome.
        await asyncio.gather(*self._tasks)
        await self._on_close()


async def run_and_report(work: Callable[[], Awaitable[Any]], on_done: Callable[[Any], None]) -> None:
    """Run `work` and pass its outcome to `on_done`: a result, an exception, or SyncStopped if it is cancelled."""
    try:
        outcome = await work()
    except asyncio.CancelledError:
        outcome = SyncStopped("The sync was stopped.")
    except Exception as error:
        # The traceback refers to the frames of `work`, and they refer to the error: a cycle that would keep the memory
        # of a failed request until the garbage collector runs.
        outcome = error.with_traceback(None)
    on_done(outcome)
