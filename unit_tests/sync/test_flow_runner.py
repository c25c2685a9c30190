"""Request flows on a client that ends requests when the test says so."""

from __future__ import annotations

from collections.abc import Generator
from queue import SimpleQueue
from typing import Any

import pytest

from source_docextract.core.errors import ConnectorError, CredentialsError, ResourceUnavailable, TransientError
from source_docextract.core.requests import Request
from source_docextract.sync.flow_runner import FlowRunner, Job, run_flow
from unit_tests.support.fake_client import FakeClient

Flow = Generator[Any, Any, Any]


class Runner:
    """A flow runner, its client and its queue."""

    def __init__(self, max_in_flight: int = 10) -> None:
        self.client = FakeClient(max_in_flight)
        self.completions: SimpleQueue[Any] = SimpleQueue()
        self.runner = FlowRunner(self.client, self.completions)  # type: ignore[arg-type]

    def start(self, flow: Flow, task: Any = None) -> Job[Any] | None:
        return self.runner.start(flow, task)

    def end(self, path: str, outcome: Any) -> Job[Any] | None:
        """End one request and hand it to its flow, as the engine does."""
        self.client.end(path, outcome)
        completion = self.completions.get_nowait()
        job: Job[Any] | None = self.runner.handle_completion(completion)
        self.runner.resume_lane(completion)
        return job


def read(*steps: list[str], lane: str = "") -> Flow:
    """Return a flow that requests the paths of each step, and returns all responses."""
    responses = []
    for paths in steps:
        responses.append((yield [Request("GET", path, lane=lane) for path in paths]))
    return responses


def test_start_flow_without_requests_returns_the_finished_job() -> None:
    runner = Runner()

    job = runner.start(read([], []), "list")

    assert job is not None
    assert (job.task, job.result, job.error) == ("list", [[], []], None)
    assert runner.client.submitted == []


def test_handle_completion_step_of_several_requests_advances_after_the_last() -> None:
    runner = Runner()
    assert runner.start(read(["/a", "/b", "/c"], ["/d"])) is None

    assert runner.end("/c", 3) is None
    assert runner.end("/a", 1) is None
    assert runner.client.submitted == ["/a", "/b", "/c"]
    assert runner.end("/b", 2) is None

    # The responses are in the order of the requests, not in that of their ends.
    assert runner.client.submitted == ["/a", "/b", "/c", "/d"]
    job = runner.end("/d", None)
    assert job is not None
    assert job.result == [[1, 2, 3], [None]]


def test_handle_completion_failed_request_raises_at_the_yield_after_the_step_has_ended() -> None:
    runner = Runner()
    caught: list[str] = []

    def read_tolerant() -> Flow:
        try:
            yield [Request("GET", "/a"), Request("GET", "/b"), Request("GET", "/c")]
        except ResourceUnavailable as error:
            caught.append(str(error))
        return (yield [Request("GET", "/instead")])

    runner.start(read_tolerant())
    runner.end("/b", ResourceUnavailable("first", 404, None))
    runner.end("/a", ResourceUnavailable("second", 404, None))
    assert caught == []
    runner.end("/c", {})

    assert caught == ["first"]
    job = runner.end("/instead", "row")
    assert job is not None
    assert (job.result, job.error) == (["row"], None)


def test_handle_completion_uncaught_error_ends_the_flow_with_it() -> None:
    runner, error = Runner(), TransientError("Acme is down.")
    runner.start(read(["/a"], ["/b"]))

    job = runner.end("/a", error)

    assert job is not None
    assert job.error is error
    assert runner.client.submitted == ["/a"]


def test_handle_completion_exception_of_a_request_ends_its_flow_without_the_text() -> None:
    runner = Runner()
    runner.start(read(["/a"]))

    job = runner.end("/a", RuntimeError("key-0123456789abcdef"))

    assert job is not None
    assert "RuntimeError" in str(job.error)
    assert "key-0123456789abcdef" not in str(job.error)


def test_handle_completion_bug_of_a_flow_fails_that_flow_only() -> None:
    runner = Runner()

    def stumble() -> Flow:
        [response] = yield [Request("GET", "/bad")]
        return response["missing"]

    runner.start(stumble(), "bad")
    runner.start(read(["/good"]), "good")
    failed_job = runner.end("/bad", {})
    good_job = runner.end("/good", {})

    assert failed_job is not None
    assert good_job is not None
    assert isinstance(failed_job.error, ConnectorError)
    assert "KeyError" in str(failed_job.error)
    assert (good_job.task, good_job.error) == ("good", None)


def test_resume_lane_only_a_failed_request_releases_its_lane() -> None:
    runner = Runner()
    runner.start(read(["/a"], lane="slow"))
    runner.start(read(["/b"], lane="slow"))

    runner.end("/a", {})
    assert runner.client.released_lanes == []
    runner.end("/b", TransientError("Acme is down."))

    assert runner.client.released_lanes == ["slow"]


def test_lane_is_handed_twice_the_requests_that_can_be_in_flight() -> None:
    runner = Runner(max_in_flight=2)

    runner.start(read([f"/{number}" for number in range(7)]))

    assert runner.client.submitted == ["/0", "/1", "/2", "/3"]
    assert not runner.runner.has_room("")
    assert runner.runner.has_room("other")
    runner.end("/2", {})
    assert runner.client.submitted == ["/0", "/1", "/2", "/3", "/4"]


def test_lane_queue_prefers_the_flow_that_started_first() -> None:
    runner = Runner(max_in_flight=1)
    runner.start(read(["/first/a"], ["/first/b", "/first/c"]))
    runner.start(read(["/second/a", "/second/b", "/second/c"]))

    for path in ("/first/a", "/second/a", "/first/b", "/second/b", "/first/c"):
        runner.end(path, {})

    # The second flow's request goes out when the first flow has not asked yet; from then on the first flow's go first.
    assert runner.client.submitted == ["/first/a", "/second/a", "/second/b", "/first/b", "/first/c", "/second/c"]


def test_has_room_comes_back_when_requests_end() -> None:
    runner = Runner(max_in_flight=1)
    assert runner.runner.has_room("")
    runner.start(read(["/a"], []))
    assert runner.runner.has_room("")
    runner.start(read(["/b"]))
    assert not runner.runner.has_room("")

    runner.end("/a", {})

    assert runner.runner.has_room("")


def test_run_flow_success_returns_the_result_and_closes_the_client() -> None:
    client = FakeClient(outcomes={"/a": 1, "/b": 2})

    result = run_flow(read(["/a"], ["/b"]), client, must_log_in=True)  # type: ignore[arg-type]

    assert result == [[1], [2]]
    assert client.events == ["log in", "/a", "/b", "close"]


def test_run_flow_without_requests_still_logs_in_if_it_must() -> None:
    client = FakeClient()

    run_flow(read(), client, must_log_in=True)  # type: ignore[arg-type]

    assert client.events == ["log in", "close"]


def test_run_flow_error_is_raised_after_the_client_is_closed() -> None:
    client, error = FakeClient(outcomes={"/a": CredentialsError("wrong key")}), CredentialsError
    with pytest.raises(error, match="wrong key"):
        run_flow(read(["/a"]), client)  # type: ignore[arg-type]

    assert client.events == ["/a", "close"]
    assert client.released_lanes == [""]


def test_run_flow_failed_login_sends_nothing_and_closes_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_client: FakeClient) -> None:
        raise CredentialsError("wrong key")

    client = FakeClient()
    monkeypatch.setattr(FakeClient, "log_in", refuse)

    with pytest.raises(CredentialsError):
        run_flow(read(["/a"]), client, must_log_in=True)  # type: ignore[arg-type]

    assert client.events == ["close"]
