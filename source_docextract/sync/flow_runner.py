"""The execution of request flows, which yield requests and return their results.

The thread that calls `start` and `handle_completion` advances the flows, so parsers, ledgers and output need no locks.
The client sends the requests in another thread.

A lane (`Request.lane`) is handed more requests than can be in flight, so that the transport has work while rows are
made. The requests of flows that started earlier go first: many short flows run side by side, and few long ones are held
in memory at once.

A flow that reads many pages hands each over as a part, and is resumed when its rows are out. Of a series of requests
only a limited number is ahead of the flow. So a consumer that reads slowly, and a page that comes late, fill no memory.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from ..core.errors import BugError, ConnectorError, build_batch_error
from ..core.json_types import Json
from ..core.model import Snapshot
from ..core.provider import RequestFlow, RequestSeries
from ..core.requests import Request
from ..http.client import Client
from ..http.network import OutcomeQueue

T = TypeVar("T")

_SUBMITTED_PER_SLOT = 2
"""Requests that are handed to a lane for each one that can be in flight."""


@dataclass(slots=True, eq=False)
class Step:
    """The requests of one yield of a flow, or of one series.

    Attributes:
        requests: the requests.
        series: the series that they belong to; None where the flow waits for all of them.
        queued_count: number of requests that were queued so far.
        ended_count: number of requests that have ended.
        read_count: number of responses that the flow has taken.
        has_failed: whether a request of the series has failed. The flow will fail there, so the series sends no more.
        outcomes: the bodies and errors that the flow has not taken yet, by the position of the request.
    """

    requests: Sequence[Request]
    series: RequestSeries | None = None
    queued_count: int = 0
    ended_count: int = 0
    read_count: int = 0
    has_failed: bool = False
    outcomes: dict[int, Json | ConnectorError] = field(default_factory=dict)

    @property
    def is_ready(self) -> bool:
        """Return whether the flow can take a response, or all of them."""
        if self.series is None:
            return self.ended_count == len(self.requests)
        return self.read_count in self.outcomes or self.read_count >= len(self.requests)


@dataclass(slots=True, eq=False)
class Job(Generic[T]):
    """One started request flow, with its state.

    Attributes:
        task: the purpose of the flow, as its starter describes it.
        flow: the generator.
        start_number: the position in the order of starts.
        step: the requests that the flow waits for or reads; None if it has none.
        part: the partial snapshot that the flow has handed over; None unless it waits for `FlowRunner.resume`.
        error: the error that ended the flow, or None.
        result: the value that the flow returned.
    """

    task: T
    flow: RequestFlow[Any]
    start_number: int
    step: Step | None = None
    part: Snapshot | None = None
    error: ConnectorError | None = None
    result: Any = None


@dataclass(frozen=True, slots=True)
class Completion:
    """One ended request.

    Attributes:
        runner: the runner to hand it to.
        job: the flow that yielded the request.
        step: the step that the request belongs to.
        index: the position of the request among those of its step.
        lane: the lane in which it was sent.
        outcome: the parsed body, or the error.
    """

    runner: FlowRunner
    job: Job[Any]
    step: Step
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
        self._queues: dict[str, list[tuple[int, int, Job[Any], Step, int]]] = defaultdict(list)
        self._submitted: Counter[str] = Counter()
        self._max_submitted = _SUBMITTED_PER_SLOT * client.max_in_flight
        self._start_numbers = itertools.count()
        self._queue_numbers = itertools.count()

    def has_room(self, lane: str) -> bool:
        """Return whether a lane can take the requests of another flow at once."""
        return not self._queues[lane] and self._submitted[lane] < self._max_submitted

    def start(self, flow: RequestFlow[Any], task: T) -> Job[T] | None:
        """Run a flow up to its first requests.

        Returns:
            The job if the flow ended without a request or handed over a part, else None.
        """
        # A generator is started by sending None.
        return self._advance(Job(task, flow, next(self._start_numbers)), None)

    def handle_completion(self, completion: Completion) -> Job[Any] | None:
        """Hand one ended request to its flow.

        The flow advances when all requests of its step have ended. In a series, it advances when the next response in
        their order is in.

        Returns:
            The job if this ended the flow or made it hand over a part, else None.
        """
        job, step = completion.job, completion.step
        self._submitted[completion.lane] -= 1
        # A completion of another step is dropped: its flow has ended, or has left the series.
        is_ready = job.step is step and self._record_outcome(step, completion)
        # A series queues its next request here, before the lane takes one of a later flow.
        responses, error = self._take_responses(job, step) if is_ready else ([], None)
        # The next requests go out before this response is parsed: the transport must not wait for rows to be made.
        self._fill_lane(completion.lane)
        return self._advance(job, responses, error) if is_ready else None

    def _record_outcome(self, step: Step, completion: Completion) -> bool:
        """Record the end of a request; return whether the flow can go on."""
        step.ended_count += 1
        step.outcomes[completion.index] = completion.outcome
        if isinstance(completion.outcome, Exception):
            step.outcomes[completion.index] = self._as_connector_error(completion.outcome)
            if step.series:
                step.has_failed = True
                self._unqueue(step)
        return step.is_ready

    def resume(self, job: Job[Any]) -> Job[Any] | None:
        """Let a flow go on after its part was delivered.

        Returns:
            The job if the flow ended or handed over another part, else None.
        """
        job.part = None
        return self._advance(job, [])

    def abandon(self, job: Job[Any]) -> None:
        """End a flow whose part cannot be delivered; its requests are not sent any more."""
        job.part = None
        self._leave_step(job)
        job.flow.close()

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

    def _advance(self, job: Job[T], responses: Any, error: ConnectorError | None = None) -> Job[T] | None:
        """Send responses or an error into a flow, until it waits for further ones, hands over a part, or ends."""
        while True:
            try:
                # An error is raised at the yield: the provider turns a documented answer about an unknown id into a
                # row.
                yielded = job.flow.throw(error) if error else job.flow.send(responses)
            except StopIteration as stop_iteration:
                job.result = stop_iteration.value
            except ConnectorError as flow_error:
                job.error = flow_error
            except Exception as exception:  # a bug in a parser fails this flow, not the sync
                job.error = build_batch_error(self._client.error_format.provider_name, exception)
            else:
                if isinstance(yielded, Snapshot):
                    job.part = yielded
                    return job
                step = self._begin_step(job, yielded)
                if not step.is_ready:
                    return None
                responses, error = self._take_responses(job, step)
                continue
            self._leave_step(job)
            return job

    def _begin_step(self, job: Job[Any], yielded: Sequence[Request] | RequestSeries) -> Step:
        """Queue the requests that a flow yields, and return their step.

        A series is one step: it stays the same while the flow yields it again.
        """
        if isinstance(yielded, RequestSeries):
            if job.step and job.step.series is yielded:
                return job.step
            step = Step(yielded.requests, yielded)
        else:
            step = Step(yielded)
        self._leave_step(job)
        job.step = step
        self._queue_requests(job, step)
        return step

    def _take_responses(self, job: Job[Any], step: Step) -> tuple[list[Json], ConnectorError | None]:
        """Return the responses that a flow waits for, or the error to raise in it."""
        if step.series is None:
            responses, step.outcomes = step.outcomes, {}
            # The flow has waited for all requests of its step. Of several errors, the first to arrive counts.
            first_error = next((outcome for outcome in responses.values() if isinstance(outcome, ConnectorError)), None)
            return ([], first_error) if first_error else ([responses[index] for index in sorted(responses)], None)
        if step.read_count >= len(step.requests):
            return [], BugError("A request series was read beyond its end. This is a bug: please report it.")
        outcome = step.outcomes.pop(step.read_count)
        if isinstance(outcome, ConnectorError):
            step.read_count = len(step.requests)
            return [], outcome
        step.read_count += 1
        # The next request goes out before this response is parsed. Few are ahead of the flow: if one page comes late,
        # the responses to all later ones wait in memory.
        self._queue_requests(job, step)
        return [outcome], None

    def _queue_requests(self, job: Job[Any], step: Step) -> None:
        """Queue the requests of a step; those of a series only as far as they may be ahead of the flow."""
        if step.has_failed:
            return
        request_count = len(step.requests)
        if step.series:
            request_count = min(request_count, step.read_count + self._max_submitted)
        # Ordered by the start of the flows: a long flow ends, and frees its memory, before later ones begin.
        lanes = set()
        for index in range(step.queued_count, request_count):
            lane = step.requests[index].lane
            heapq.heappush(self._queues[lane], (job.start_number, next(self._queue_numbers), job, step, index))
            lanes.add(lane)
        step.queued_count = max(step.queued_count, request_count)
        for lane in lanes:
            self._fill_lane(lane)

    def _leave_step(self, job: Job[Any]) -> None:
        step, job.step = job.step, None
        if step:
            self._unqueue(step)

    def _unqueue(self, step: Step) -> None:
        """Take the requests of a step that were not submitted out of the queues."""
        if step.ended_count == step.queued_count:
            return
        for lane in {request.lane for request in step.requests}:
            queue = self._queues[lane]
            queue[:] = [item for item in queue if item[3] is not step]
            heapq.heapify(queue)

    def _fill_lane(self, lane: str) -> None:
        queue = self._queues[lane]
        while queue and self._submitted[lane] < self._max_submitted:
            _, _, job, step, index = heapq.heappop(queue)
            self._submitted[lane] += 1
            self._client.submit(step.requests[index], partial(self._report_completion, job, step, index, lane))

    def _report_completion(self, job: Job[Any], step: Step, index: int, lane: str, outcome: Json | Exception) -> None:
        self._completions.put(Completion(self, job, step, index, lane, outcome))

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
        while job is None or job.part is not None:
            if job is not None:
                job = runner.resume(job)  # only a sync delivers parts
                continue
            completion = completions.get()
            job = runner.handle_completion(completion)
            runner.resume_lane(completion)
        if job.error:
            raise job.error
        result: T = job.result
        return result
    finally:
        runner.close()
