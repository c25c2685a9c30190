"""Runs the scripts of one provider: sends their requests side by side, hands them the answers, collects the results.

Only requests run in threads. A script itself is always stepped by the thread that calls `start` and `arrived`, so that
readers, ledger and output need no locks. A line (`Request.lane`) takes `max_in_flight` requests at a time, those of
scripts started earlier first: many short scripts run side by side, and of long ones few are held in memory at once.

The threads are daemons. Those of `concurrent.futures` would hold up the end of a program that has left a sync in the
middle, for as long as a provider lets them wait.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import Counter, defaultdict
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from .errors import BadAnswer, ConnectorError, place
from .http import Client, Request
from .model import Json
from .providers.base import Script

T = TypeVar("T")

SHAPES = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What comes of a shape that no reader foresaw. It costs its batch, never the sync."""


def unreadable(provider: str, bug: Exception) -> BadAnswer:
    return BadAnswer(f"{provider}'s answer has a shape that could not be read ({place(bug)}).")


@dataclass(slots=True)
class Job(Generic[T]):
    """One script on its way. `tag` says what it is for; at its end it has a `result` or an `error`."""

    tag: T
    script: Script[Any]
    number: int
    missing: int = 0
    answers: Any = None  # a generator is started by sending it None
    error: ConnectorError | None = None
    result: Any = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request has ended, with an answer or an error. `workers` are those that want to hear of it."""

    workers: Workers
    job: Job[Any]
    index: int
    lane: str
    outcome: Json | Exception


_Call = tuple[Job[Any], int, Request]


class Workers:
    """The threads of one provider.

    Args:
        client: sends the requests.
        arrivals: where ended requests are reported, in common with other providers.
    """

    def __init__(self, client: Client, arrivals: SimpleQueue[Arrival]) -> None:
        self._client = client
        self._arrivals = arrivals
        self._queues: dict[str, list[tuple[int, int, Job[Any], Request]]] = defaultdict(list)
        self._in_flight: Counter[str] = Counter()
        self._numbers = itertools.count()
        self._calls: defaultdict[str, SimpleQueue[_Call | None]] = defaultdict(SimpleQueue)
        self._threads: Counter[str] = Counter()

    @property
    def idle(self) -> bool:
        return not self._in_flight.total()

    def has_room(self, lane: str) -> bool:
        """Whether the line is short enough to start another script."""
        return not self._queues[lane] and self._in_flight[lane] < self._client.max_in_flight

    def start(self, script: Script[Any], tag: T) -> Job[T] | None:
        """Runs a script up to its first requests; gives its job where it ended right there."""
        return self._step(Job(tag, script, next(self._numbers)))

    def arrived(self, arrival: Arrival) -> Job[Any] | None:
        """Takes in one answer; gives the job where that ended it."""
        job = arrival.job
        self._in_flight[arrival.lane] -= 1
        self._submit(arrival.lane)
        if isinstance(arrival.outcome, Exception):
            job.error = job.error or self._told(arrival.outcome)
        else:
            job.answers[arrival.index] = arrival.outcome
        job.missing -= 1
        return None if job.missing else self._step(job)

    def abandon(self) -> None:
        """Drops all that is not on its way yet."""
        for queue in self._queues.values():
            queue.clear()

    def close(self) -> None:
        """Ends all waits, and with them the threads."""
        self._client.close()
        for lane, count in self._threads.items():
            for _ in range(count):
                self._calls[lane].put(None)
        self._threads.clear()

    def _step(self, job: Job[T]) -> Job[T] | None:
        answers, error = job.answers, job.error
        job.answers, job.error = [], None
        try:
            requests = job.script.throw(error) if error else job.script.send(answers)
        except StopIteration as end:
            job.result = end.value
            return job
        except ConnectorError as trouble:
            job.error = trouble
            return job
        except SHAPES as bug:
            job.error = unreadable(self._client.dialect.name, bug)
            return job
        if not requests:
            return self._step(job)
        job.answers, job.missing = [None] * len(requests), len(requests)
        for index, request in enumerate(requests):
            heapq.heappush(self._queues[request.lane], (job.number, index, job, request))
        for lane in {request.lane for request in requests}:
            self._submit(lane)
        return None

    def _submit(self, lane: str) -> None:
        queue = self._queues[lane]
        while queue and self._in_flight[lane] < self._client.max_in_flight:
            _, index, job, request = heapq.heappop(queue)
            self._in_flight[lane] += 1
            self._calls[lane].put((job, index, request))
            if self._in_flight[lane] > self._threads[lane]:
                self._hire(lane)

    def _hire(self, lane: str) -> None:
        """Threads for each line: requests that wait for one endpoint's spacing hold no thread of another."""
        self._threads[lane] += 1
        name = f"{self._client.dialect.name}{lane}-{self._threads[lane]}"
        threading.Thread(target=self._work, args=(lane, self._calls[lane]), name=name, daemon=True).start()

    def _work(self, lane: str, calls: SimpleQueue[_Call | None]) -> None:
        while self._do(lane, calls.get()):
            pass

    def _do(self, lane: str, call: _Call | None) -> bool:
        if call is None:
            return False
        job, index, request = call
        outcome: Json | Exception
        try:
            outcome = self._client.send(request)
        except Exception as error:
            outcome = error.with_traceback(None)  # or it would hold this call, and this call would hold it
        self._arrivals.put(Arrival(self, job, index, lane, outcome))
        return True

    def _told(self, error: Exception) -> ConnectorError:
        """What nobody foresaw costs its batch, never the sync. It is told without its words: they may quote a key."""
        if isinstance(error, ConnectorError):
            return error
        return BadAnswer(f"A request to {self._client.dialect.name} ended in an unknown way ({type(error).__name__}).")
