"""The event loop in a thread of its own: outcomes, errors and the end of the work."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from queue import SimpleQueue
from typing import Any

import pytest

from source_docextract.core.errors import SyncStopped
from source_docextract.http.event_loop import EventLoopThread


async def do_nothing() -> None:
    """End at once."""


async def never_end() -> None:
    await asyncio.Event().wait()


@pytest.fixture
def event_loop() -> Iterator[EventLoopThread]:
    """Yield an event loop that is closed after the test."""
    event_loop = EventLoopThread("test-loop", do_nothing)
    yield event_loop
    event_loop.close()


def start_endless_task(event_loop: EventLoopThread, on_done: Callable[[Any], None]) -> None:
    """Submit a task that never ends, and return when it is running."""
    is_running = threading.Event()

    def work() -> Awaitable[None]:
        is_running.set()
        return never_end()

    event_loop.submit(work, on_done)
    is_running.wait()


def test_run_work_returns_its_result_from_another_thread(event_loop: EventLoopThread) -> None:
    async def get_thread_name() -> str:
        return threading.current_thread().name

    assert event_loop.run(get_thread_name) == "test-loop"


def test_run_failed_work_raises_its_error_in_the_callers_thread(event_loop: EventLoopThread) -> None:
    error = ValueError("no")

    async def fail() -> None:
        raise error

    with pytest.raises(ValueError, match="no") as raised:
        event_loop.run(fail)

    assert raised.value is error
    # The frames of `work` hold the request and its response: none of them may stay in memory with the error.
    assert "fail" not in [entry.name for entry in raised.traceback]


def test_run_work_that_fails_before_its_first_step_raises_the_error(event_loop: EventLoopThread) -> None:
    def fail() -> Awaitable[None]:
        raise KeyError("no awaitable")

    with pytest.raises(KeyError):
        event_loop.run(fail)


def test_run_from_several_threads_gives_each_its_own_outcome(event_loop: EventLoopThread) -> None:
    count = 20
    are_all_running = asyncio.Event()
    running: list[int] = []
    outcomes: dict[int, int] = {}

    async def echo(number: int) -> int:
        # Each task waits for all others, so they run at the same time.
        running.append(number)
        if len(running) == count:
            are_all_running.set()
        await are_all_running.wait()
        return number

    def run(number: int) -> None:
        outcomes[number] = event_loop.run(lambda: echo(number))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes == {number: number for number in range(count)}


def test_submit_failed_task_leaves_the_others_running(event_loop: EventLoopThread) -> None:
    can_end = asyncio.Event()
    outcomes: SimpleQueue[Any] = SimpleQueue()

    async def wait_for_end() -> str:
        await can_end.wait()
        return "ended"

    async def fail() -> None:
        can_end.set()
        raise ValueError("no")

    event_loop.submit(wait_for_end, outcomes.put)
    with pytest.raises(ValueError, match="no"):
        event_loop.run(fail)

    assert outcomes.get() == "ended"


def test_close_running_tasks_report_a_stop_before_the_last_cleanup() -> None:
    events: list[str] = []

    async def clean_up() -> None:
        events.append("cleaned up")

    event_loop = EventLoopThread("test-loop", clean_up)
    for name in ("first", "second"):
        start_endless_task(event_loop, lambda outcome, name=name: events.append(f"{name} {type(outcome).__name__}"))  # type: ignore[misc]

    event_loop.close()

    assert sorted(events[:2]) == ["first SyncStopped", "second SyncStopped"]
    assert events[2:] == ["cleaned up"]


def test_close_while_a_thread_waits_wakes_it_with_a_stop() -> None:
    event_loop = EventLoopThread("test-loop", do_nothing)
    errors: list[Exception] = []
    is_running = threading.Event()

    def work() -> Awaitable[None]:
        is_running.set()
        return never_end()

    def run() -> None:
        try:
            event_loop.run(work)
        except SyncStopped as stop:
            errors.append(stop)

    waiting_thread = threading.Thread(target=run)
    waiting_thread.start()
    is_running.wait()

    event_loop.close()
    waiting_thread.join()

    assert [str(error) for error in errors] == ["The sync was stopped."]


def test_close_task_submitted_just_before_still_gets_an_outcome() -> None:
    """Submit from many threads while the loop is closed: each task has exactly one outcome."""
    event_loop = EventLoopThread("test-loop", do_nothing)
    outcomes: SimpleQueue[Any] = SimpleQueue()
    start = threading.Barrier(5)

    def submit() -> None:
        start.wait()
        for _ in range(50):
            event_loop.submit(never_end, outcomes.put)

    threads = [threading.Thread(target=submit) for _ in range(4)]
    for thread in threads:
        thread.start()
    start.wait()
    event_loop.close()
    for thread in threads:
        thread.join()

    assert [type(outcomes.get()) for _ in range(200)] == [SyncStopped] * 200
    assert outcomes.empty()


def test_submit_after_close_reports_a_stop_at_once_in_the_callers_thread(event_loop: EventLoopThread) -> None:
    event_loop.run(do_nothing)
    event_loop.close()
    outcomes: list[tuple[type[Any], threading.Thread]] = []

    event_loop.submit(do_nothing, lambda outcome: outcomes.append((type(outcome), threading.current_thread())))

    assert outcomes == [(SyncStopped, threading.current_thread())]


def test_close_without_a_task_starts_no_thread(event_loop: EventLoopThread) -> None:
    event_loop.close()

    with pytest.raises(SyncStopped):
        event_loop.run(do_nothing)
    assert "test-loop" not in [thread.name for thread in threading.enumerate()]


def test_close_from_a_callback_does_not_wait_for_its_own_thread() -> None:
    events: SimpleQueue[Any] = SimpleQueue()

    async def clean_up() -> None:
        events.put("cleaned up")

    event_loop = EventLoopThread("test-loop", clean_up)

    def close(_outcome: Any) -> None:
        try:
            event_loop.close()
        except RuntimeError as error:
            events.put(error)
        events.put("closed")

    event_loop.submit(do_nothing, close)

    assert [events.get(), events.get()] == ["closed", "cleaned up"]


def test_close_again_cleans_up_once() -> None:
    cleanups: list[str] = []

    async def clean_up() -> None:
        cleanups.append("cleaned up")

    event_loop = EventLoopThread("test-loop", clean_up)
    event_loop.run(do_nothing)

    event_loop.close()
    event_loop.close()

    assert cleanups == ["cleaned up"]
