"""A thread of its own for what mostly waits: an event loop beside the program that uses it.

One thread carries all requests of a provider. With a thread for each of them a sync costs more than twice as much, for
they share one interpreter; and nothing wakes a thread that waits for an answer, whereas a task can be ended anywhere.
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
"""Seconds to wait for the end of the thread. It may still look up an address, which nothing can end."""


class EventLoopThread:
    """Does work, all pieces side by side, and tells what came of it. May be used by all threads.

    The thread starts with the first piece. It is a daemon: it does not hold up the end of a program that has left a
    sync in the middle.

    Args:
        at_end: what is left to do when all work has been ended.
    """

    def __init__(self, name: str, on_close: Callable[[], Awaitable[None]]) -> None:
        self._name = name
        self._on_close = on_close
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, work: Callable[[], Awaitable[T]], on_done: Callable[[T | Exception], None]) -> None:
        """Has a piece of work done. `tell` is called in the other thread, with its result or with its error; with
        Stopped where it was ended before, or came too late."""
        with self._lock:
            if not self._is_closed:
                # In the order of the calls: what is taken in before the end is ended by it, and told.
                self._ensure_running().call_soon_threadsafe(self._start_task, work, on_done)
                return
        on_done(SyncStopped("The sync was stopped."))

    def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """What a piece of work comes to, or raises."""
        outcomes: SimpleQueue[T | Exception] = SimpleQueue()
        self.submit(work, outcomes.put)
        outcome = outcomes.get()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def close(self) -> None:
        """Ends all work at once, and the thread."""
        with self._lock:
            if not self._is_closed and self._loop:
                self._loop.call_soon_threadsafe(self._loop.stop)
            self._is_closed = True
            thread = self._thread
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
        task = asyncio.ensure_future(_run_and_report(work, on_done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _shut_down(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks)
        await self._on_close()


async def _run_and_report(work: Callable[[], Awaitable[Any]], on_done: Callable[[Any], None]) -> None:
    try:
        outcome = await work()
    except asyncio.CancelledError:
        outcome = SyncStopped("The sync was stopped.")
    except Exception as error:
        outcome = error.with_traceback(None)  # or it would hold the work, and the work would hold it
    on_done(outcome)
