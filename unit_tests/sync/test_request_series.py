"""Series of requests in the flow runner, with a client that answers when the test says so."""

from __future__ import annotations

from queue import SimpleQueue
from typing import Any, cast

import pytest

from source_docextract.core.errors import BugError, RequestRejected
from source_docextract.core.json_types import Json
from source_docextract.core.model import PartitionRef, PartitionStatus, Snapshot
from source_docextract.core.provider import RequestFlow, RequestSeries
from source_docextract.core.requests import Request
from source_docextract.http.client import Client
from source_docextract.sync.flow_runner import Completion, FlowRunner, Job, run_flow
from unit_tests.support.fake_client import FakeClient

MAX_IN_FLIGHT = 2
AHEAD = 4
"""Requests of a series that are sent before the first response is read: two for each slot."""
REJECTION = RequestRejected("It said no.", 402, None)


class Played:
    """A runner, and what its jobs hand over."""

    def __init__(self) -> None:
        self.client = FakeClient(MAX_IN_FLIGHT)
        self.completions: SimpleQueue[Completion] = SimpleQueue()
        self.runner = FlowRunner(cast("Client", self.client), self.completions)
        self.parts: list[str] = []
        self.finished: list[Job[Any]] = []

    def start(self, flow: RequestFlow[Any]) -> None:
        self._take(self.runner.start(flow, None))

    def end(self, *pages: str, outcome: Json | Exception = None) -> None:
        """End requests, and handle their completions."""
        for page in pages:
            self.client.end(page, outcome if outcome is not None else page)
            completion = self.completions.get_nowait()
            self._take(self.runner.handle_completion(completion))
            self.runner.resume_lane(completion)

    def _take(self, job: Job[Any] | None) -> None:
        while job is not None and job.part is not None:
            self.parts.append(job.part.ref.batch_id)
            job = self.runner.resume(job)
        if job is not None:
            self.finished.append(job)


def make_part(name: Json) -> Snapshot:
    return Snapshot(PartitionRef(None, str(name)), PartitionStatus.OPEN, documents=(), is_partial=True)


def read_pages(prefix: str, count: int) -> RequestFlow[str]:
    series = RequestSeries([Request("GET", f"{prefix}{number}") for number in range(count)])
    for _ in range(count):
        [response] = yield series
        yield make_part(response)
    return f"{prefix} done"


def test_series_responses_out_of_order_are_read_in_order() -> None:
    played = Played()
    played.start(read_pages("p", 6))

    played.end("p1", "p2")
    assert played.parts == []
    played.end("p0")
    assert played.parts == ["p0", "p1", "p2"]
    played.end("p5", "p4", "p3")

    assert played.parts == [f"p{number}" for number in range(6)]
    assert played.client.submitted == [f"p{number}" for number in range(6)]
    assert [(job.result, job.error) for job in played.finished] == [("p done", None)]


def test_series_with_late_page_sends_few_requests_ahead() -> None:
    played = Played()
    played.start(read_pages("p", 100))

    played.end("p1", "p2", "p3")

    # The first page is late: the others wait for it, and no further ones join them.
    assert played.client.submitted == ["p0", "p1", "p2", "p3"]
    assert list(played.client.pending) == ["p0"]
    played.end("p0")
    assert played.client.submitted == [f"p{number}" for number in range(2 * AHEAD)]


def test_series_request_leaves_before_the_previous_page_is_handed_over() -> None:
    played = Played()
    job = played.runner.start(read_pages("p", 100), None)
    assert job is None
    played.client.end("p0", "p0")

    job = played.runner.handle_completion(played.completions.get_nowait())

    assert job is not None
    assert job.part is not None
    assert played.client.submitted[-1] == "p4"
    # While a part is being delivered, its flow requests nothing more.
    assert len(played.client.submitted) == AHEAD + 1


def test_series_that_fails_delivers_earlier_pages_and_sends_no_later_ones() -> None:
    played = Played()
    played.start(read_pages("p", 100))

    played.end("p2", outcome=REJECTION)
    played.end("p0", "p1")

    assert played.parts == ["p0", "p1"]
    assert played.client.submitted == ["p0", "p1", "p2", "p3"]
    assert [job.error for job in played.finished] == [REJECTION]
    played.end("p3")  # it was on its way, and nothing waits for it
    assert (len(played.finished), played.parts) == (1, ["p0", "p1"])


def test_series_that_fails_makes_room_for_other_flows() -> None:
    played = Played()
    played.start(read_pages("p", 100))
    played.start(read_pages("q", 2))
    assert played.client.submitted == ["p0", "p1", "p2", "p3"]

    played.end("p0", outcome=REJECTION)
    played.end("p1", "p2", "p3")
    played.end("q0", "q1")

    assert played.client.submitted == ["p0", "p1", "p2", "p3", "q0", "q1"]
    assert [job.result for job in played.finished] == [None, "q done"]
    assert played.runner.has_room("")


def test_series_of_an_earlier_flow_goes_first() -> None:
    played = Played()
    played.start(read_pages("p", 8))
    played.start(read_pages("q", 8))

    played.end("p0", "p1", "p2", "p3")

    assert played.client.submitted == [f"p{number}" for number in range(8)]


def test_flow_that_is_abandoned_sends_and_delivers_nothing_more() -> None:
    played = Played()
    played.runner.start(read_pages("p", 100), None)
    played.client.end("p0", "p0")
    job = played.runner.handle_completion(played.completions.get_nowait())
    assert job is not None

    played.runner.abandon(job)
    sent_pages = list(played.client.submitted)
    played.end("p1", "p2", "p3", "p4")

    assert (played.client.submitted, played.parts, played.finished) == (sent_pages, [], [])
    assert played.runner.has_room("")


def test_series_error_that_the_flow_handles_leads_to_its_next_step() -> None:
    def flow() -> RequestFlow[list[Json]]:
        series = RequestSeries([Request("GET", f"p{number}") for number in range(9)])
        try:
            for _ in range(9):
                yield series
        except RequestRejected:
            return list((yield [Request("GET", "q0"), Request("GET", "q1")]))
        return []

    played = Played()
    played.start(flow())
    played.end("p0", outcome=REJECTION)
    played.end("p1", "q1", "p2", "q0", "p3")

    assert [job.result for job in played.finished] == [["q0", "q1"]]
    assert played.client.submitted == ["p0", "p1", "p2", "p3", "q0", "q1"]


@pytest.mark.parametrize("count", [0, 2])
def test_series_that_is_read_beyond_its_end_is_an_error_and_no_hang(count: int) -> None:
    def flow() -> RequestFlow[None]:
        series = RequestSeries([Request("GET", f"p{number}") for number in range(count)])
        for _ in range(count + 1):
            yield series

    played = Played()
    played.start(flow())
    played.end(*(f"p{number}" for number in range(count)))

    [job] = played.finished
    assert isinstance(job.error, BugError)


def test_flow_that_only_hands_over_parts_ends_without_requests() -> None:
    def flow() -> RequestFlow[str]:
        yield make_part("a")
        yield []
        yield make_part("b")
        return "done"

    played = Played()
    played.start(flow())

    assert (played.parts, played.finished[0].result, played.client.submitted) == (["a", "b"], "done", [])


def test_run_flow_returns_the_result_of_a_flow_with_parts() -> None:
    client = FakeClient(MAX_IN_FLIGHT, outcomes={f"p{number}": f"p{number}" for number in range(30)})

    assert run_flow(read_pages("p", 30), cast("Client", client)) == "p done"
    assert client.events[-1] == "close"
