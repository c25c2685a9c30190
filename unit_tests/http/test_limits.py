"""Responses and waits without an end: every request ends, and a stop ends each wait."""

from __future__ import annotations

import asyncio
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from aiohttp import TCPConnector
from hypothesis import given, settings
from hypothesis import strategies as st

from source_docextract.core.errors import ConnectorError, SyncStopped, TransientError
from source_docextract.core.requests import Request
from source_docextract.http.event_loop import EventLoopThread
from source_docextract.http.rate_limit import RetryPolicy
from unit_tests.support.encrypted_server import serve_tls
from unit_tests.support.stub_server import (
    LOGIN,
    ReceivedRequest,
    RecordingLogger,
    StubResponse,
    create_acme_client,
    ok_response,
    run_concurrently,
    send_endlessly,
    serve_responses,
    serve_stub,
    start_in_background,
    wait_until,
)

GET = Request("GET", "/things")
OK_RESPONSE = ok_response({"fine": True})
SHORT_RETRY_POLICY = RetryPolicy(max_tries=1, first_wait=0.01, max_response_seconds=0.3)

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
RESPONSE_PREFIXES = {
    "nothing": b"",
    "half a status": b"HTTP/1.1 2",
    "half a header": HEAD + b"Content-Len",
    "no body": HEAD + b"Content-Length: 100\r\n\r\n",
    "half a body": HEAD + b'Content-Length: 100\r\n\r\n{"files": [',
    "half a chunk size": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1",
    "half a chunk": HEAD + b'Transfer-Encoding: chunked\r\n\r\n64\r\n{"files": [',
    "a body without end": HEAD + b'\r\n{"files": [',
}
beginning = pytest.mark.parametrize("beginning", RESPONSE_PREFIXES.values(), ids=RESPONSE_PREFIXES)


@pytest.mark.sample(4)
@beginning
def test_response_sent_byte_by_byte_is_given_up(beginning: bytes) -> None:
    with serve_responses((0, {}, send_endlessly(beginning, filler=b" ")), retry_policy=SHORT_RETRY_POLICY) as (
        server,
        client,
    ):
        with pytest.raises(TransientError) as exc_info:
            client.send(GET)
        assert len(server.received) == 1
    # A response that is not HTTP is reported at once.
    troubles = ("took more than 0 s to respond", "sent a response that cannot be read")
    assert str(exc_info.value) in {f"Acme {trouble}, 1 times in a row." for trouble in troubles}


@pytest.mark.sample(4)
@beginning
def test_response_silent_beyond_timeout_is_given_up(beginning: bytes) -> None:
    with (
        serve_responses((0, {}, send_endlessly(beginning)), retry_policy=SHORT_RETRY_POLICY) as (_, client),
        pytest.raises(TransientError) as exc_info,
    ):
        client.send(GET)
    assert "took more than 0 s to respond" in str(exc_info.value)


@pytest.mark.sample(4)
@beginning
def test_response_silence_is_reported_as_timeout(beginning: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("source_docextract.http.transport.TIMEOUT", (5, 0.2))
    patience = RetryPolicy(max_tries=1)
    with (
        serve_responses((0, {}, send_endlessly(beginning)), retry_policy=patience) as (_, client),
        pytest.raises(TransientError) as exc_info,
    ):
        client.send(GET)
    assert str(exc_info.value) == "Acme sent no data for 0.2 s, 1 times in a row."


def test_response_over_deadline_is_retried() -> None:
    patience = RetryPolicy(max_tries=2, first_wait=0.01, max_response_seconds=1)
    with serve_responses((0, {}, send_endlessly(HEAD, filler=b"X")), OK_RESPONSE, retry_policy=patience) as (
        server,
        client,
    ):
        assert client.send(GET) == {"fine": True}
        assert len(server.received) == 2


def test_response_slow_within_deadline_is_accepted() -> None:
    def slowly(handler: BaseHTTPRequestHandler) -> None:
        for index in range(len(body)):
            handler.wfile.write(body[index : index + 1])
            time.sleep(0.002)

    body = HEAD + b'Content-Length: 14\r\n\r\n{"fine": true}'
    with serve_responses((0, {}, slowly)) as (_, client):
        assert client.send(GET) == client.send(GET) == {"fine": True}


def test_deadline_on_kept_connection_applies_to_each_response() -> None:
    with serve_responses(OK_RESPONSE, retry_policy=SHORT_RETRY_POLICY) as (server, client):
        for _ in range(4):
            assert client.send(GET) == {"fine": True}
            time.sleep(0.1)
        assert len(server.received) == 4


@pytest.mark.parametrize("size", [0, 1, 8192, 65_535, 65_536, 65_537, 3_000_000])
def test_response_any_size_arrives_complete(size: int) -> None:
    with serve_responses(ok_response("x" * size)) as (_, client):
        assert [client.send(GET) for _ in range(3)] == ["x" * size] * 3


@beginning
def test_client_close_wakes_callers_waiting_for_a_response(beginning: bytes) -> None:
    log = RecordingLogger()
    with serve_responses((0, {}, send_endlessly(beginning)), logger=log) as (server, client):
        threads, outcomes = start_in_background(*[lambda: client.send(GET)] * 3)
        wait_until(lambda: len(server.received) == 3)
        time.sleep(0.1)  # they are to be in the middle of reading
        client.close()
        for thread in threads:
            thread.join(5)
        assert [type(outcome) for outcome in outcomes] == [SyncStopped] * 3
    assert log.lines == []


@beginning
def test_client_close_wakes_callers_waiting_over_tls(
    beginning: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "certificate.pem"))
    log = RecordingLogger()
    with serve_tls(beginning, tmp_path) as (url, begun):
        client = create_acme_client(url, logger=log)
        threads, outcomes = start_in_background(lambda: client.send(GET))
        assert begun.wait(30)
        time.sleep(0.1)  # it is to be in the middle of reading
        client.close()
        threads[0].join(5)
        assert [type(outcome) for outcome in outcomes] == [SyncStopped]
    assert log.lines == []


def test_client_close_wakes_callers_waiting_for_a_login() -> None:
    with serve_responses((0, {}, send_endlessly(b"")), login=LOGIN, headers={}) as (server, client):
        threads, outcomes = start_in_background(*[lambda: client.send(GET)] * 5)
        wait_until(lambda: len(server.received) == 1)
        client.close()
        for thread in threads:
            thread.join(5)
        assert [type(outcome) for outcome in outcomes] == [SyncStopped] * 5
        assert len(server.received) == 1


def test_client_close_stops_connections_in_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stop comes between the look at it and the first byte of the request."""
    connecting = threading.Event()

    async def endlessly(*_: Any) -> None:
        connecting.set()
        await asyncio.sleep(3600)

    monkeypatch.setattr(TCPConnector, "_create_connection", endlessly)
    with serve_responses(OK_RESPONSE) as (server, client):
        threads, outcomes = start_in_background(lambda: client.send(GET))
        assert connecting.wait(30)
        client.close()
        threads[0].join(5)
        assert server.received == []
    assert [type(outcome) for outcome in outcomes] == [SyncStopped]


def test_spacing_slow_connection_counts_from_sent_request(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = TCPConnector._create_connection
    connected = []

    async def slow_to_connect(self: TCPConnector, *connect_arguments: Any) -> Any:
        await asyncio.sleep(0.3)
        connection = await connect(self, *connect_arguments)
        connected.append(time.monotonic())
        return connection

    monkeypatch.setattr(TCPConnector, "_create_connection", slow_to_connect)
    with serve_responses(OK_RESPONSE, spacing={"": 0.4}) as (server, client):
        client.send(GET)
        client.send(GET)
        _, second = server.received
    assert second.received_at - connected[0] >= 0.4


def test_client_failure_leaves_no_threads_or_sockets() -> None:
    responses: list[StubResponse] = [
        (200, {}, b"{"),
        (500, {}, b""),
        (200, {"Content-Encoding": "gzip"}, b"no gzip"),
        OK_RESPONSE,
    ]
    with serve_responses(*responses, retry_policy=RetryPolicy(max_tries=9, first_wait=0.01, max_wait=0.01)) as (
        _,
        client,
    ):
        client.send(GET)
        event_loop = client._event_loop
        assert isinstance(event_loop, EventLoopThread)
        wait_until(lambda: not event_loop._tasks)
        thread = event_loop._thread
        assert thread
        client.close()
        thread.join(30)
        assert not thread.is_alive()


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_retry_after_any_retryable_status_is_obeyed(status: int) -> None:
    with serve_responses((status, {"Retry-After": "0.15"}, {}), OK_RESPONSE) as (server, client):
        client.send(GET)
        [gap] = server.gaps
    assert gap >= 0.15


def test_retry_after_zero_waits_by_retry_policy() -> None:
    patience = RetryPolicy(max_tries=2, first_wait=0.2)
    with serve_responses((429, {"Retry-After": "0"}, {}), OK_RESPONSE, retry_policy=patience) as (server, client):
        client.send(GET)
        [gap] = server.gaps
    assert gap >= 0.1


def test_retry_after_repeated_is_limited_in_total() -> None:
    patience = RetryPolicy(max_tries=99, first_wait=0.001, max_wait=0.001, max_retry_after=0.1)
    with serve_responses((429, {"Retry-After": "0.04"}, {}), retry_policy=patience) as (server, client):
        with pytest.raises(TransientError) as exc_info:
            client.send(GET)
        assert len(server.received) == 3  # after 0, 0.04 and 0.08 s
    assert str(exc_info.value) == "Acme reports too many requests (429), 3 times in a row."


@pytest.mark.parametrize(
    ("header", "expected_text"),
    [
        ("100", "2 minutes"),
        ("7199", "120 minutes"),
        ("7200", "2 hours"),
        ("172800", "2 days"),
        ("9" * 400, "999 days"),
        ("Fri, 31 Dec 9999 23:59:59 GMT", "999 days"),
    ],
)
def test_retry_after_too_long_is_an_error(header: str, expected_text: str) -> None:
    with (
        serve_responses((503, {"Retry-After": header}, {})) as (server, client),
        pytest.raises(TransientError) as exc_info,
    ):
        client.send(GET)
    assert str(exc_info.value) == f"Acme asks to wait {expected_text} (503). Sync again after that."
    assert (exc_info.value.status, exc_info.value.body) == (503, {})
    assert len(server.received) == 1


HEADERS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
DATES = st.builds(
    "{}, {} {} {} {}:{}:{} {}".format,
    st.sampled_from(("Fri", "X", "")),
    st.integers(-1, 99),
    st.sampled_from(("Nov", "Feb", "13")),
    st.integers(-1, 10**6),
    *[st.integers(-1, 99)] * 3,
    st.sampled_from(("GMT", "+99999999999999", "-0000", "+2400", "")),
)


def test_headers_any_content_ends_in_plain_error() -> None:
    response_headers = {"retry": "", "location": ""}

    def respond(request: ReceivedRequest) -> StubResponse:
        status = 429 if request.path == "/retry" else 302
        return status, {"Retry-After": response_headers["retry"], "Location": response_headers["location"]}, {}

    @settings(max_examples=150, deadline=None)
    @given(retry=HEADERS | DATES, location=HEADERS | st.sampled_from(("http://[bad", "//", "http://:x@y:z/", "\\")))
    def ask(retry: str, location: str) -> None:
        response_headers.update(retry=retry, location=location)
        for path in ("/retry", "/location"):
            with pytest.raises(ConnectorError):
                client.send(Request("GET", path))

    with serve_stub(respond) as server:
        client = create_acme_client(server.url, retry_policy=RetryPolicy(max_tries=1, max_retry_after=0))
        ask()
        client.close()


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n{}",
        b"HTTP/1.1 two OK\r\n\r\n",
        b"SMTP ready\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["two lengths", "odd length", "odd status", "no HTTP", "many headers", "long header", "odd chunk"],
)
def test_response_not_http_is_transient_error_or_response(head: bytes) -> None:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        handler.wfile.write(head)

    with serve_responses((0, {}, respond)) as (_, client):
        [outcome] = run_concurrently(client.send, [GET])
    assert outcome == {} or type(outcome) is TransientError, outcome


def test_retries_of_twenty_requests_log_single_wait() -> None:
    log = RecordingLogger()
    together = threading.Barrier(20)

    def respond(_request: ReceivedRequest) -> StubResponse:
        together.wait(20)
        return 500, {}, {"error": "Oops"}

    with serve_stub(respond) as server:
        client = create_acme_client(server.url, logger=log, max_in_flight=20, retry_policy=RetryPolicy(first_wait=60))
        threads, _ = start_in_background(*[lambda: client.send(GET)] * 20)
        wait_until(lambda: client.stats.retries == 20)
        client.close()
        for thread in threads:
            thread.join(5)
    [line] = log.lines
    assert line.startswith("Acme reports a server error (500: Oops); waiting ")
    assert line.endswith(" s before try 2 of 6.")


def test_retries_of_single_request_log_at_most_twenty_lines() -> None:
    log = RecordingLogger()
    patience = RetryPolicy(max_tries=60, first_wait=0.001, max_wait=0.001)
    with serve_responses((500, {}, {}), logger=log, retry_policy=patience) as (server, client):
        with pytest.raises(TransientError):
            client.send(GET)
        assert len(server.received) == 60
    assert len(log.lines) == 20
    assert log.lines[-1].endswith("Further waits are counted, not logged.")
    assert client.stats.retries == 59


def test_client_closed_twice_refuses_requests() -> None:
    with serve_responses(OK_RESPONSE) as (_, client):
        client.close()
        client.close()
        with pytest.raises(SyncStopped):
            client.send(GET)
