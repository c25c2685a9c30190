"""Runs the scripts of one provider: sends their requests side by side, hands them the answers, collects the results.

A script is always stepped by the thread that calls `start` and `arrived`, so that readers, ledger and output need no
locks; only requests are sent elsewhere. A lane (`Request.lane`) is given some more than the `max_in_flight` that can be
on their way, so that the wire has work while rows are made; those of scripts started earlier come first: many short
scripts run side by side, and of long ones few are held in memory at once.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from .errors import BugError, ConnectorError, unreadable
from .http import Client, Request
from .model import Json
from .providers.base import Script

T = TypeVar("T")

_AHEAD = 2
"""Requests that a lane is given for each one that can be on its way."""


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
    """One request has ended, with an answer or an error. `scripts` are those that want to hear of it."""

    scripts: Scripts
    job: Job[Any]
    index: int
    lane: str
    outcome: Json | Exception


class Scripts:
    """The scripts of one provider that are on their way.

    Args:
        client: sends the requests.
        arrivals: where ended requests are reported, in common with other providers.
    """

    def __init__(self, client: Client, arrivals: SimpleQueue[Arrival]) -> None:
        self._client = client
        self._arrivals = arrivals
        self._queues: dict[str, list[tuple[int, int, Job[Any], Request]]] = defaultdict(list)
        self._given: Counter[str] = Counter()
        self._most = _AHEAD * client.max_in_flight
        self._numbers = itertools.count()

    def has_room(self, lane: str) -> bool:
        """Whether the line is short enough to start another script."""
        return not self._queues[lane] and self._given[lane] < self._most

    def start(self, script: Script[Any], tag: T) -> Job[T] | None:
        """Runs a script up to its first requests; gives its job where it ended right there."""
        return self._step(Job(tag, script, next(self._numbers)))

    def arrived(self, arrival: Arrival) -> Job[Any] | None:
        """Takes in one answer; gives the job where that ended it."""
        job = arrival.job
        self._given[arrival.lane] -= 1
        self._submit(arrival.lane)
        if isinstance(arrival.outcome, Exception):
            job.error = job.error or self._told(arrival.outcome)
        else:
            job.answers[arrival.index] = arrival.outcome
        job.missing -= 1
        return None if job.missing else self._step(job)

    def go_on(self, arrival: Arrival) -> None:
        """What comes of an answer is decided. After an error its lane waits for that: the provider may be given up."""
        if isinstance(arrival.outcome, Exception):
            self._client.go_on(arrival.lane)

    def close(self) -> None:
        """Ends all waits."""
        self._client.close()

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
        except Exception as bug:  # whatever it is, it costs this job and not the sync
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
        while queue and self._given[lane] < self._most:
            _, index, job, request = heapq.heappop(queue)
            self._given[lane] += 1
            self._client.ask(request, partial(self._arrive, job, index, lane))

    def _arrive(self, job: Job[Any], index: int, lane: str, outcome: Json | Exception) -> None:
        self._arrivals.put(Arrival(self, job, index, lane, outcome))

    def _told(self, error: Exception) -> ConnectorError:
        """What nobody foresaw costs its batch, never the sync. It is told without its words: they may quote a key."""
        if isinstance(error, ConnectorError):
            return error
        return BugError(
            f"A request to {self._client.dialect.name} ended in an unexpected error ({type(error).__name__}). "
            "This is a bug in the connector: please report it."
        )
