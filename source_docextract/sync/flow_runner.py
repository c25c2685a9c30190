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

from ..core.errors import BugError, ConnectorError, build_batch_error
from ..core.json_types import Json
from ..core.provider import RequestFlow
from ..core.requests import Request
from ..http.client import Client

T = TypeVar("T")

_SUBMITTED_PER_SLOT = 2
"""Requests that a lane is given for each one that can be on its way."""


@dataclass(slots=True)
class Job(Generic[T]):
    """One script on its way. `tag` says what it is for; at its end it has a `result` or an `error`."""

    task: T
    flow: RequestFlow[Any]
    start_number: int
    pending_responses: int = 0
    responses: Any = None  # a generator is started by sending it None
    error: ConnectorError | None = None
    result: Any = None


@dataclass(frozen=True, slots=True)
class Completion:
    """One request has ended, with an answer or an error. `scripts` are those that want to hear of it."""

    runner: FlowRunner
    job: Job[Any]
    index: int
    lane: str
    outcome: Json | Exception


class FlowRunner:
    """The scripts of one provider that are on their way.

    Args:
        client: sends the requests.
        arrivals: where ended requests are reported, in common with other providers.
    """

    def __init__(self, client: Client, completions: SimpleQueue[Completion]) -> None:
        self._client = client
        self._completions = completions
        self._queues: dict[str, list[tuple[int, int, Job[Any], Request]]] = defaultdict(list)
        self._submitted: Counter[str] = Counter()
        self._max_submitted = _SUBMITTED_PER_SLOT * client.max_in_flight
        self._start_numbers = itertools.count()

    def has_room(self, lane: str) -> bool:
        """Whether the line is short enough to start another script."""
        return not self._queues[lane] and self._submitted[lane] < self._max_submitted

    def start(self, flow: RequestFlow[Any], task: T) -> Job[T] | None:
        """Runs a script up to its first requests; gives its job where it ended right there."""
        return self._advance(Job(task, flow, next(self._start_numbers)))

    def handle_completion(self, completion: Completion) -> Job[Any] | None:
        """Takes in one answer; gives the job where that ended it."""
        job = completion.job
        self._submitted[completion.lane] -= 1
        self._fill_lane(completion.lane)
        if isinstance(completion.outcome, Exception):
            job.error = job.error or self._as_connector_error(completion.outcome)
        else:
            job.responses[completion.index] = completion.outcome
        job.pending_responses -= 1
        return None if job.pending_responses else self._advance(job)

    def resume_lane(self, completion: Completion) -> None:
        """What comes of an answer is decided. After an error its lane waits for that: the provider may be given up."""
        if isinstance(completion.outcome, Exception):
            self._client.release_lane(completion.lane)

    def close(self) -> None:
        """Ends all waits."""
        self._client.close()

    def _advance(self, job: Job[T]) -> Job[T] | None:
        responses, error = job.responses, job.error
        job.responses, job.error = [], None
        try:
            requests = job.flow.throw(error) if error else job.flow.send(responses)
        except StopIteration as stop_iteration:
            job.result = stop_iteration.value
            return job
        except ConnectorError as flow_error:
            job.error = flow_error
            return job
        except Exception as exception:  # whatever it is, it costs this job and not the sync
            job.error = build_batch_error(self._client.error_format.provider_name, exception)
            return job
        if not requests:
            return self._advance(job)
        job.responses, job.pending_responses = [None] * len(requests), len(requests)
        for index, request in enumerate(requests):
            heapq.heappush(self._queues[request.lane], (job.start_number, index, job, request))
        for lane in {request.lane for request in requests}:
            self._fill_lane(lane)
        return None

    def _fill_lane(self, lane: str) -> None:
        queue = self._queues[lane]
        while queue and self._submitted[lane] < self._max_submitted:
            _, index, job, request = heapq.heappop(queue)
            self._submitted[lane] += 1
            self._client.submit(request, partial(self._report_completion, job, index, lane))

    def _report_completion(self, job: Job[Any], index: int, lane: str, outcome: Json | Exception) -> None:
        self._completions.put(Completion(self, job, index, lane, outcome))

    def _as_connector_error(self, error: Exception) -> ConnectorError:
        """What nobody foresaw costs its batch, never the sync. It is told without its words: they may quote a key."""
        if isinstance(error, ConnectorError):
            return error
        return BugError(
            f"A request to {self._client.error_format.provider_name} ended in an unexpected error ({type(error).__name__}). "
            "This is a bug in the connector: please report it."
        )


def run_flow(flow: RequestFlow[T], client: Client, *, must_log_in: bool = False) -> T:
    """What a script returns. The client is closed afterwards.

    Args:
        log_in: also where the script asks for nothing.

    Raises:
        ConnectorError: where it ends in one.
    """
    completions: SimpleQueue[Completion] = SimpleQueue()
    runner = FlowRunner(client, completions)
    try:
        if must_log_in:
            client.log_in()
        job = runner.start(flow, None)
        while job is None:
            completion = completions.get()
            job = runner.handle_completion(completion)
            runner.resume_lane(completion)
        if job.error:
            raise job.error
        result: T = job.result
        return result
    finally:
        runner.close()
