"""Many requests: gaps, holds, how many at once, the end of a sync, and one login for all."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from source_docextract.core.errors import (
    ConfigError,
    CredentialsError,
    RequestRejected,
    SyncStopped,
    TransientError,
    UnreadableLogin,
    UnreadableResponse,
)
from source_docextract.core.requests import Login, Request
from source_docextract.http.rate_limit import SPACING_MARGIN, RateLimiter, RetryPolicy
from unit_tests.support.cases import each_case
from unit_tests.support.stub_server import (
    KEY,
    LOGIN,
    QUICK,
    BlockingClient,
    ClockedInternet,
    ReceivedRequest,
    RecordingLogger,
    StubResponse,
    StubServer,
    TokenServer,
    create_acme_client,
    ok_response,
    run_concurrently,
    serve_responses,
    serve_stub,
    start_in_background,
    wait_until,
)

OK_RESPONSE = ok_response({})
TIMING_TOLERANCE = 0.05
"""Seconds by which an arrival may jitter on a busy machine."""

SLOW_REQUEST = Request("GET", "/slow", lane="slow")
OTHER_REQUEST = Request("GET", "/other", lane="other")


@contextmanager
def serve_slowly(seconds: float = 0.0, **options: Any) -> Iterator[tuple[StubServer, BlockingClient, threading.Event]]:
    """A server whose answers wait for an event, or for so many seconds."""
    answering = threading.Event()

    def respond(_request: ReceivedRequest) -> StubResponse:
        answering.wait(seconds or 5)
        return OK_RESPONSE

    with serve_stub(respond) as server:
        client = create_acme_client(server.url, **options)
        try:
            yield server, client, answering
        finally:
            answering.set()
            client.close()


@each_case(("failed", "longest"), [(1, 1.0), (2, 2.0), (3, 4.0), (6, 32.0), (7, 60.0), (8, 60.0), (1000, 60.0)])
def test_retry_policy_waits_double_up_to_maximum_with_jitter(failed: int, longest: float) -> None:
    waits = [RetryPolicy().compute_wait(failed) for _ in range(200)]
    assert all(longest / 2 <= wait <= longest for wait in waits)
    assert len(set(waits)) > 100


def test_rate_limiter_concurrent_acquires_are_spaced_and_take_slots() -> None:
    async def enter_three_times() -> list[float]:
        return await asyncio.gather(*[lane.acquire(slots) for _ in range(3)])

    lane, slots = RateLimiter(0.1), asyncio.Semaphore(3)
    began = time.monotonic()
    waits = asyncio.run(enter_three_times())
    assert time.monotonic() - began >= 0.2 * SPACING_MARGIN
    assert waits[0] < waits[1]
    assert slots.locked()


def test_rate_limiter_wait_within_logged_wait_is_not_logged() -> None:
    lane = RateLimiter(0)
    assert lane.should_log_wait(20)
    assert not lane.should_log_wait(5)
    assert not lane.should_log_wait(39)
    assert lane.should_log_wait(60)
    assert not lane.should_log_wait(60)


def test_rate_limiter_wait_after_logged_wait_is_logged() -> None:
    lane = RateLimiter(0)
    assert lane.should_log_wait(0.01)
    time.sleep(0.01)
    assert lane.should_log_wait(0.01)


def are_spaced(arrivals: list[float], interval: float, began: float) -> bool:
    """Whether the n-th arrived no sooner than n intervals after the beginning: a busy machine makes them later only."""
    return all(arrival - began >= number * interval for number, arrival in enumerate(sorted(arrivals)))


def test_lane_concurrent_requests_are_spaced() -> None:
    with serve_responses(OK_RESPONSE, spacing={"slow": 0.15}) as (server, client):
        began = time.monotonic()
        run_concurrently(client.send, [SLOW_REQUEST] * 5)
        assert are_spaced([request.received_at for request in server.received], 0.15, began)
        assert client.stats.waited_seconds >= 4 * 0.15 - TIMING_TOLERANCE


def test_lane_requests_do_not_delay_other_lane() -> None:
    with serve_responses(OK_RESPONSE, spacing={"slow": 0.2, "other": 0.2}) as (server, client):
        began = time.monotonic()
        run_concurrently(client.send, [SLOW_REQUEST, OTHER_REQUEST] * 3)
        arrivals = sorted((request.received_at, request.path) for request in server.received)
    paths = [path for _, path in arrivals]
    assert [set(paths[pair : pair + 2]) for pair in (0, 2, 4)] == [{"/slow", "/other"}] * 3
    for lane_path in ("/slow", "/other"):
        times = [arrival for arrival, path in arrivals if path == lane_path]
        assert are_spaced(times, 0.2, began)


def test_lane_retries_are_spaced() -> None:
    with serve_responses((500, {}, {}), (500, {}, {}), OK_RESPONSE, spacing={"slow": 0.15}) as (server, client):
        began = time.monotonic()
        run_concurrently(client.send, [SLOW_REQUEST] * 2)
        assert len(server.received) == 4
        assert are_spaced([request.received_at for request in server.received], 0.15, began)


def test_lane_throttled_holds_all_requests_and_logs_once() -> None:
    log = RecordingLogger()
    limit = (429, {"Retry-After": "0.4"}, {"error": "too fast"})
    together = threading.Barrier(4)
    asked_at_first: list[ReceivedRequest] = []

    def respond(request: ReceivedRequest) -> StubResponse:
        if len(asked_at_first) == 4:
            return OK_RESPONSE
        asked_at_first.append(request)
        together.wait(5)
        return limit

    with serve_stub(respond) as server:
        client = create_acme_client(server.url, logger=log)
        assert run_concurrently(client.send, [SLOW_REQUEST] * 4) == [{}] * 4
        throttled, later = server.received[:4], server.received[4:]
        assert len(later) == 4
        assert (
            min(request.received_at for request in later)
            >= max(request.received_at for request in throttled) + 0.4 - TIMING_TOLERANCE
        )
    assert log.lines == ["Acme reports too many requests (429: too fast); waiting 0.4 s before try 2 of 3."]


def test_lane_held_new_requests_wait() -> None:
    with serve_responses((429, {"Retry-After": "0.4"}, {}), OK_RESPONSE) as (server, client):
        threads, _ = start_in_background(lambda: client.send(SLOW_REQUEST))
        wait_until(lambda: client.stats.retries == 1)
        client.send(SLOW_REQUEST)
        threads[0].join(5)
        assert len(server.received) == 3
        assert all(
            request.received_at >= server.received[0].received_at + 0.4 - TIMING_TOLERANCE
            for request in server.received[1:]
        )


def test_lane_held_does_not_delay_other_lanes() -> None:
    with serve_responses((429, {"Retry-After": "60"}, {}), OK_RESPONSE) as (server, client):
        threads, outcomes = start_in_background(lambda: client.send(SLOW_REQUEST))
        wait_until(lambda: client.stats.retries == 1)
        assert client.send(OTHER_REQUEST) == {}
        client.close()
        threads[0].join(5)
        assert [request.path for request in server.received] == ["/slow", "/other"]
        assert [type(outcome) for outcome in outcomes] == [SyncStopped]


@pytest.mark.parametrize("most", [1, 3])
def test_client_concurrent_requests_stay_within_max_in_flight(most: int) -> None:
    lanes = [Request("GET", "/x", lane=str(number % 4)) for number in range(12)]
    with serve_slowly(0.03, max_in_flight=most) as (server, client, _):
        assert run_concurrently(client.send, lanes) == [{}] * 12
        assert server.max_concurrent == most


def test_client_close_wakes_callers_waiting_for_a_lane() -> None:
    with serve_responses(OK_RESPONSE, spacing={"slow": 3600}) as (server, client):
        client.send(SLOW_REQUEST)
        threads, outcomes = start_in_background(*[lambda: client.send(SLOW_REQUEST)] * 5)
        time.sleep(0.05)
        client.close()
        for thread in threads:
            thread.join(5)
        assert [type(outcome) for outcome in outcomes] == [SyncStopped] * 5
        assert len(server.received) == 1


@pytest.mark.parametrize("broken", [(500, {}, {}), (429, {"Retry-After": "60"}, {})])
def test_client_close_wakes_callers_waiting_for_a_retry(broken: StubResponse) -> None:
    patience = RetryPolicy(first_wait=60, max_retry_after=90)
    with serve_responses(broken, OK_RESPONSE, retry_policy=patience) as (server, client):
        threads, outcomes = start_in_background(lambda: client.send(SLOW_REQUEST))
        wait_until(lambda: client.stats.retries == 1)
        client.close()
        threads[0].join(5)
        assert [type(outcome) for outcome in outcomes] == [SyncStopped]
        assert len(server.received) == 1


def test_client_closed_sends_nothing() -> None:
    with serve_responses(OK_RESPONSE) as (server, client):
        client.close()
        with pytest.raises(SyncStopped):
            client.send(SLOW_REQUEST)
        assert server.received == []


@pytest.mark.parametrize("lanes", [("a", "a"), ("b", "c")], ids=["one lane", "two lanes"])
def test_client_close_gives_freed_slots_to_no_request(lanes: tuple[str, str]) -> None:
    with serve_slowly(max_in_flight=1) as (server, client, answering):
        threads, outcomes = start_in_background(lambda: client.send(SLOW_REQUEST))
        wait_until(lambda: len(server.received) == 1)
        calls = [lambda lane=lane: client.send(Request("GET", "/late", lane=lane)) for lane in lanes]
        late_threads, ended = start_in_background(*calls)
        time.sleep(0.05)
        client.close()
        answering.set()
        for thread in threads + late_threads:
            thread.join(5)
        assert [request.path for request in server.received] == ["/slow"]
        assert [type(outcome) for outcome in outcomes + ended] == [SyncStopped] * 3


@contextmanager
def serve_tokens(token_server: TokenServer, **options: Any) -> Iterator[tuple[StubServer, BlockingClient]]:
    with serve_stub(token_server) as server:
        client = create_acme_client(server.url, login=LOGIN, headers={}, max_in_flight=20, **options)
        yield server, client
        client.close()


def test_login_for_concurrent_requests_is_sent_once_and_token_is_shared() -> None:
    token_server = TokenServer()
    with serve_tokens(token_server) as (server, client):
        assert run_concurrently(client.send, [SLOW_REQUEST, OTHER_REQUEST] * 10) == [{}] * 20
        login, *others = server.received
    assert (login.method, login.path, login.headers["Client-Secret"]) == ("POST", "/login", "s3cr3t-0123456789")
    assert "Token" not in login.headers
    assert {request.headers["Token"] for request in others} == {"token-1"}
    assert all("Client-Secret" not in request.headers for request in others)
    assert token_server.logins == 1


def test_token_expired_is_renewed_once_for_concurrent_requests() -> None:
    token_server = TokenServer()
    with serve_tokens(token_server) as (_, client):
        client.log_in()
        token_server.tokens = 7  # what the client holds is not taken any more
        assert run_concurrently(client.send, [SLOW_REQUEST, OTHER_REQUEST] * 10) == [{}] * 20
    assert token_server.logins == 2


@pytest.mark.parametrize(
    ("lifetime", "seconds"),
    [(900, 900), (61, 61), (1, 60), (0, 60), (-1, 60), (float("nan"), 60), (float("inf"), 86_400), (1e300, 86_400)],
)
def test_token_any_lifetime_is_renewed_at_its_end_but_not_within_a_minute(lifetime: float, seconds: float) -> None:
    now = [1000.0]
    login = Login(LOGIN.request, "Token", lambda body: (body["token"], lifetime))
    token_server = TokenServer()
    with serve_stub(token_server) as server:
        network = ClockedInternet(lambda: now[0])
        client = create_acme_client(server.url, login=login, headers={}, network=network)
        for passed in (0, seconds - 1, 2):
            now[0] += passed
            client.send(SLOW_REQUEST)
        client.close()
        assert [request.path for request in server.received] == ["/login", "/slow", "/slow", "/login", "/slow"]


@pytest.mark.parametrize(("size", "is_taken"), [(16_384, True), (16_385, False), (100_000, False)])
def test_token_too_long_for_header_is_refused_without_showing_it(size: int, is_taken: bool) -> None:
    login = Login(LOGIN.request, "Token", lambda _body: ("t0ken" * (size // 5) + "t0ken"[: size % 5], 60.0))
    with serve_responses(OK_RESPONSE, login=login, headers={}) as (server, client):
        [outcome] = run_concurrently(client.send, [SLOW_REQUEST])
        assert [request.path for request in server.received] == ["/login", "/slow"][: 1 + is_taken]
    if not is_taken:
        assert type(outcome) is UnreadableLogin
        assert str(outcome).startswith(f"Acme returned a token of {size:,} characters, which is too long for a header.")
    assert "t0ken" not in str(outcome)


def test_token_rejected_after_second_login_is_credentials_error() -> None:
    def respond(request: ReceivedRequest) -> StubResponse:
        return ok_response({"token": "t", "lives": 60}) if request.path == "/login" else (403, {}, {})

    with serve_stub(respond) as server, pytest.raises(CredentialsError, match=r"acme\.api_key"):
        create_acme_client(server.url, login=LOGIN).send(SLOW_REQUEST)
    assert [request.path for request in server.received] == ["/login", "/slow", "/login", "/slow"]


@pytest.mark.parametrize("status", [400, 401, 403, 422])
def test_login_rejected_is_sent_once_for_concurrent_requests(status: int) -> None:
    token_server = TokenServer(3600, (status, {}, {"error": "no such client"}))
    with serve_tokens(token_server) as (server, client):
        outcomes = run_concurrently(client.send, [SLOW_REQUEST] * 20)
        with pytest.raises(CredentialsError):
            client.log_in()
        assert [request.path for request in server.received] == ["/login"]
    assert {type(outcome) for outcome in outcomes} == {CredentialsError}
    [message] = {str(outcome) for outcome in outcomes}
    assert f"({status}: no such client)" in message
    assert message.endswith("Check acme.api_key.")


@pytest.mark.parametrize(("status", "body"), [(402, {"error": "Payment required"}), (404, b"<html>"), (400, b"<html>")])
def test_login_rejected_for_other_reason_is_not_credentials_error(status: int, body: Any) -> None:
    with serve_tokens(TokenServer(3600, (status, {}, body))) as (server, client):
        outcomes = run_concurrently(client.send, [SLOW_REQUEST] * 5)
        assert [request.path for request in server.received] == ["/login"]
    assert {type(outcome) for outcome in outcomes} == {RequestRejected}


def test_login_server_error_is_transient_error_for_all_requests() -> None:
    token_server = TokenServer(3600, (500, {}, {}))
    with serve_tokens(token_server) as (server, client):
        outcomes = run_concurrently(client.send, [SLOW_REQUEST] * 5)
        assert [request.path for request in server.received] == ["/login"] * QUICK.max_tries
    assert {type(outcome) for outcome in outcomes} == {TransientError}
    assert {str(outcome) for outcome in outcomes} == {"Acme reports a server error (500), 3 times in a row."}


def test_login_transient_error_is_retried() -> None:
    token_server = TokenServer(3600, (503, {}, {}), ok_response({"token": "token-0", "lives": 60}))
    with serve_tokens(token_server) as (_, client):
        assert client.send(SLOW_REQUEST) == {}
    assert token_server.logins == 2


def test_login_unreadable_response_is_an_error() -> None:
    def read(_body: Any) -> tuple[str, float]:
        raise UnreadableResponse("no token in it")

    with serve_responses(OK_RESPONSE, login=Login(LOGIN.request, "Token", read)) as (server, client):
        outcomes = run_concurrently(client.send, [SLOW_REQUEST] * 3)
        assert len(server.received) == 1
    assert [str(outcome) for outcome in outcomes] == ["no token in it"] * 3


def test_login_unsendable_token_is_an_error_without_the_token() -> None:
    broken = Login(LOGIN.request, "Token", lambda _body: ("t0ken\nabcdef", 60.0))
    with serve_responses(OK_RESPONSE, login=broken) as (server, client):
        with pytest.raises(ConfigError) as exc_info:
            client.send(SLOW_REQUEST)
        assert [request.path for request in server.received] == ["/login"]
    assert "t0ken" not in str(exc_info.value)


def test_login_not_configured_sends_no_login_request() -> None:
    with serve_responses(OK_RESPONSE) as (server, client):
        client.log_in()
        assert server.received == []
        client.send(SLOW_REQUEST)
        assert server.received[0].headers["Authorization"] == f"Bearer {KEY}"
