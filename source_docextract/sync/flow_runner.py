"""The execution of request flows, which yield requests and return their results.

The thread that calls `start` and `handle_completion` advances the flows, so parsers, ledgers and output need no locks.
The client sends the requests in another thread.

A lane (`Request.lane`) is handed more requests than can be in flight, so that the transport has work while rows are
made. The requests of flows that started earlier go first: many short flows run side by side, and few long ones are held
in memory at once.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from ..core.errors import BugError, ConnectorError, build_batch_error
from ..core.json_types import Json
from ..core.provider import RequestFlow
from ..core.requests import Request
from ..http.client import Client
from ..http.network import OutcomeQueue

T = TypeVar("T")

_SUBMITTED_PER_SLOT = 2
"""Requests that are handed to a lane for each one that can be in flight."""


@dataclass(slots=True)
class Job(Generic[T]):
    """One started request flow, with its state.

    Attributes:
        task: the purpose of the flow, as its starter describes it.
        flow: the generator.
        start_number: the position in the order of starts.
        pending_responses: number of requests of the current step that have not ended.
        responses: the bodies of the current step, in the order of its requests; None before the first step.
        error: the first error of the current step; at the end, the error that ended the flow, or None.
        result: the value that the flow returned.
    """

    task: T
    flow: RequestFlow[Any]
    start_number: int
    pending_responses: int = 0
    responses: Any = None  # sent into the flow at each step; a generator is started by sending None
    error: ConnectorError | None = None
    result: Any = None


@dataclass(frozen=True, slots=True)
class Completion:
    """One ended request.

    Attributes:
        runner: the runner to hand it to.
        job: the flow that yielded the request.
        index: the position of the request among those of its step.
        lane: the lane in which it was sent.
        outcome: the parsed body, or the error.
    """

    runner: FlowRunner
    job: Job[Any]
    index: int
    lane: str
    outcome: Json | Exception


class FlowRunner:
    """The running request flows of one provider.

    Args:
        client: sends the requests.
        completions: the queue in which ended requests are reported; other providers may share it.
    """

    def __init__(self, client: Client, completions: OutcomeQueue[Completion]) -> None:
        self._client = client
        self._completions = completions
        self._queues: dict[str, list[tuple[int, int, Job[Any], Request]]] = defaultdict(list)
        self._submitted: Counter[str] = Counter()
        self._max_submitted = _SUBMITTED_PER_SLOT * client.max_in_flight
        self._start_numbers = itertools.count()

    def has_room(self, lane: str) -> bool:
        """Return whether a lane can take the requests of another flow at once."""
        return not self._queues[lane] and self._submitted[lane] < self._max_submitted

    def start(self, flow: RequestFlow[Any], task: T) -> Job[T] | None:
        """Run a flow up to its first requests.

        Returns:
            The finished job if the flow ended without a request, else None.
        """
        return self._advance(Job(task, flow, next(self._start_numbers)))

    def handle_completion(self, completion: Completion) -> Job[Any] | None:
        """Hand one ended request to its flow.

        The flow advances when all requests of its step have ended.

        Returns:
            The finished job if this ended the flow, else None.
        """
        job = completion.job
        # The next requests go out before this response is parsed: the transport must not wait for rows to be made.
        self._submitted[completion.lane] -= 1
        self._fill_lane(completion.lane)
        # The flow advances only when all requests of its step have ended, so only the first of several errors counts.
        if isinstance(completion.outcome, Exception):
            job.error = job.error or self._as_connector_error(completion.outcome)
        else:
            job.responses[completion.index] = completion.outcome
        job.pending_responses -= 1
        return None if job.pending_responses else self._advance(job)

    def resume_lane(self, completion: Completion) -> None:
        """Let a lane go on after a failed request.

        Until then the client keeps its slot taken. So nothing more is sent before the failure is handled, which may
        abort the provider.
        """
        if isinstance(completion.outcome, Exception):
            self._client.release_lane(completion.lane)

    def close(self) -> None:
        """Close the client, which ends all waits for slots and responses."""
        self._client.close()

    def _advance(self, job: Job[T]) -> Job[T] | None:
        responses, error = job.responses, job.error
        job.responses, job.error = [], None
        try:
            # An error is raised at the yield: the provider turns a documented answer about an unknown id into a row.
            requests = job.flow.throw(error) if error else job.flow.send(responses)
        except StopIteration as stop_iteration:
            job.result = stop_iteration.value
            return job
        except ConnectorError as flow_error:
            job.error = flow_error
            return job
        except Exception as exception:  # a bug in a parser fails this flow, not the sync
            job.error = build_batch_error(self._client.error_format.provider_name, exception)
            return job
        if not requests:
            return self._advance(job)
        job.responses, job.pending_responses = [None] * len(requests), len(requests)
        # Ordered by the start of the flows: a long flow ends, and frees its memory, before later ones begin.
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
        """Return an error of the connector for any exception of a request.

        An unexpected exception fails its partition, never the sync. Its text is left out: it may quote a key.
        """
        if isinstance(error, ConnectorError):
            return error
        provider_name = self._client.error_format.provider_name
        return BugError(
            f"A request to {provider_name} ended in an unexpected error ({type(error).__name__}). "
            "This is a bug in the connector: please report it."
        )


def run_flow(flow: RequestFlow[T], client: Client, *, must_log_in: bool = False) -> T:
    """Run one flow to its end, close the client, and return the flow's result.

    Args:
        flow: the request flow.
        client: sends the requests; it cannot be used afterwards.
        must_log_in: prove the credentials by a login first, even if the flow sends no request.

    Raises:
        ConnectorError: if the login fails, or the flow ends in an error.
    """
    completions: OutcomeQueue[Completion] = client.network.create_queue()
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
