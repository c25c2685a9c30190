"""Answers that never end, and waits that would: nobody is held for ever, and a stop reaches whoever waits."""

from __future__ import annotations

import asyncio
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from aiohttp import TCPConnector
from encrypted import over_tls
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import LOGIN, Answer, Log, Seen, acme, asked, in_background, ok, scripted, sending, side_by_side, until

from source_docextract.errors import ConnectorError, Stopped, TransientError
from source_docextract.http import Request
from source_docextract.pacing import Patience

GET = Request("GET", "/things")
FINE = ok({"fine": True})
HASTY = Patience(tries=1, first_wait=0.01, longest_answer=0.3)

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BEGINNINGS = {
    "nothing": b"",
    "half a status": b"HTTP/1.1 2",
    "half a header": HEAD + b"Content-Len",
    "no body": HEAD + b"Content-Length: 100\r\n\r\n",
    "half a body": HEAD + b'Content-Length: 100\r\n\r\n{"files": [',
    "half a chunk size": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1",
    "half a chunk": HEAD + b'Transfer-Encoding: chunked\r\n\r\n64\r\n{"files": [',
    "a body without end": HEAD + b'\r\n{"files": [',
}
beginning = pytest.mark.parametrize("beginning", BEGINNINGS.values(), ids=BEGINNINGS)


@beginning
def test_an_answer_by_a_byte_now_and_then_is_given_up(beginning: bytes) -> None:
    with asked((0, {}, sending(beginning, filler=b" ")), patience=HASTY) as (server, client):
        with pytest.raises(TransientError) as caught:
            client.send(GET)
        assert len(server.seen) == 1
    # What can be no HTTP is told at once.
    troubles = ("took more than 0 s to answer", "gave an answer that cannot be read")
    assert str(caught.value) in {f"Acme {trouble}, 1 times in a row." for trouble in troubles}


@beginning
def test_so_is_one_that_falls_silent_for_longer_than_an_answer_may_take(beginning: bytes) -> None:
    with asked((0, {}, sending(beginning)), patience=HASTY) as (_, client), pytest.raises(TransientError) as caught:
        client.send(GET)
    assert "took more than 0 s to answer" in str(caught.value)


@beginning
def test_silence_is_told_as_silence_wherever_it_begins(beginning: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("source_docextract.wire.TIMEOUT", (5, 0.2))
    patience = Patience(tries=1)
    with asked((0, {}, sending(beginning)), patience=patience) as (_, client), pytest.raises(TransientError) as caught:
        client.send(GET)
    assert str(caught.value) == "Acme was silent for 0.2 s, 1 times in a row."


def test_an_answer_that_took_too_long_is_asked_for_again() -> None:
    patience = Patience(tries=2, first_wait=0.01, longest_answer=1)
    with asked((0, {}, sending(HEAD, filler=b"X")), FINE, patience=patience) as (server, client):
        assert client.send(GET) == {"fine": True}
        assert len(server.seen) == 2


def test_a_slow_answer_is_an_answer() -> None:
    def slowly(handler: BaseHTTPRequestHandler) -> None:
        for place in range(len(body)):
            handler.wfile.write(body[place : place + 1])
            time.sleep(0.002)

    body = HEAD + b'Content-Length: 14\r\n\r\n{"fine": true}'
    with asked((0, {}, slowly)) as (_, client):
        assert client.send(GET) == client.send(GET) == {"fine": True}


def test_a_limit_is_for_one_answer_and_not_for_its_connection() -> None:
    with asked(FINE, patience=HASTY) as (server, client):
        for _ in range(4):
            assert client.send(GET) == {"fine": True}
            time.sleep(0.1)
        assert len(server.seen) == 4


@pytest.mark.parametrize("size", [0, 1, 8192, 65_535, 65_536, 65_537, 3_000_000])
def test_answers_of_any_size_arrive_whole_over_one_connection(size: int) -> None:
    with asked(ok("x" * size)) as (_, client):
        assert [client.send(GET) for _ in range(3)] == ["x" * size] * 3


@beginning
def test_the_end_wakes_whoever_waits_for_an_answer(beginning: bytes) -> None:
    log = Log()
    with asked((0, {}, sending(beginning)), logger=log) as (server, client):
        threads, outcomes = in_background(*[lambda: client.send(GET)] * 3)
        until(lambda: len(server.seen) == 3)
        time.sleep(0.1)  # they are to be in the middle of reading
        client.close()
        for thread in threads:
            thread.join(5)
        assert [type(outcome) for outcome in outcomes] == [Stopped] * 3
    assert log.lines == []


@beginning
def test_the_end_wakes_whoever_waits_over_tls(
    beginning: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "certificate.pem"))
    log = Log()
    with over_tls(beginning, tmp_path) as (url, begun):
        client = acme(url, logger=log)
        threads, outcomes = in_background(lambda: client.send(GET))
        assert begun.wait(30)
        time.sleep(0.1)  # it is to be in the middle of reading
        client.close()
        threads[0].join(5)
        assert [type(outcome) for outcome in outcomes] == [Stopped]
    assert log.lines == []


def test_the_end_wakes_whoever_waits_for_a_login() -> None:
    with asked((0, {}, sending(b"")), login=LOGIN, headers={}) as (server, client):
        threads, outcomes = in_background(*[lambda: client.send(GET)] * 5)
        until(lambda: len(server.seen) == 1)
        client.close()
        for thread in threads:
            thread.join(5)
        assert [type(outcome) for outcome in outcomes] == [Stopped] * 5
        assert len(server.seen) == 1


def test_what_connects_while_it_ends_is_stopped_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stop comes between the look at it and the first byte of the request."""
    connecting = threading.Event()

    async def endlessly(*_: Any) -> None:
        connecting.set()
        await asyncio.sleep(3600)

    monkeypatch.setattr(TCPConnector, "_create_connection", endlessly)
    with asked(FINE) as (server, client):
        threads, outcomes = in_background(lambda: client.send(GET))
        assert connecting.wait(30)
        client.close()
        threads[0].join(5)
        assert server.seen == []
    assert [type(outcome) for outcome in outcomes] == [Stopped]


def test_a_gap_is_counted_from_when_the_request_is_out(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = TCPConnector._create_connection
    connected = []

    async def slow_to_connect(self: TCPConnector, *about: Any) -> Any:
        await asyncio.sleep(0.3)
        connection = await connect(self, *about)
        connected.append(time.monotonic())
        return connection

    monkeypatch.setattr(TCPConnector, "_create_connection", slow_to_connect)
    with asked(FINE, spacing={"": 0.4}) as (server, client):
        client.send(GET)
        client.send(GET)
        _, second = server.seen
    assert second.at - connected[0] >= 0.4


def test_what_went_wrong_leaves_nothing_behind() -> None:
    answers: list[Answer] = [(200, {}, b"{"), (500, {}, b""), (200, {"Content-Encoding": "gzip"}, b"no gzip"), FINE]
    with asked(*answers, patience=Patience(tries=9, first_wait=0.01, longest_wait=0.01)) as (_, client):
        client.send(GET)
        until(lambda: not client._background._tasks)
        thread = client._background._thread
        assert thread
        client.close()
        thread.join(30)
        assert not thread.is_alive()


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_a_provider_asks_for_is_obeyed_with_any_status(status: int) -> None:
    with asked((status, {"Retry-After": "0.15"}, {}), FINE) as (server, client):
        client.send(GET)
        [gap] = server.gaps
    assert gap >= 0.15


def test_a_provider_that_asks_for_nothing_is_given_time_all_the_same() -> None:
    patience = Patience(tries=2, first_wait=0.2)
    with asked((429, {"Retry-After": "0"}, {}), FINE, patience=patience) as (server, client):
        client.send(GET)
        [gap] = server.gaps
    assert gap >= 0.1


def test_waits_have_a_bound_in_all() -> None:
    patience = Patience(tries=99, first_wait=0.001, longest_wait=0.001, longest_asked=0.1)
    with asked((429, {"Retry-After": "0.04"}, {}), patience=patience) as (server, client):
        with pytest.raises(TransientError) as caught:
            client.send(GET)
        assert len(server.seen) == 3  # after 0, 0.04 and 0.08 s
    assert str(caught.value) == "Acme is asked too often (429), 3 times in a row."


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("100", "2 minutes"),
        ("7199", "120 minutes"),
        ("7200", "2 hours"),
        ("172800", "2 days"),
        ("9" * 400, "999 days"),
        ("Fri, 31 Dec 9999 23:59:59 GMT", "999 days"),
    ],
)
def test_a_wait_that_is_too_long_is_told_in_words(header: str, told: str) -> None:
    with asked((503, {"Retry-After": header}, {})) as (server, client), pytest.raises(TransientError) as caught:
        client.send(GET)
    assert str(caught.value) == f"Acme asks to come back in {told} (503)."
    assert (caught.value.status, caught.value.body) == (503, {})
    assert len(server.seen) == 1


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


def test_no_header_whatever_is_in_it_ends_in_anything_but_words() -> None:
    told = {"retry": "", "location": ""}

    def answer(seen: Seen) -> Answer:
        status = 429 if seen.path == "/retry" else 302
        return status, {"Retry-After": told["retry"], "Location": told["location"]}, {}

    @settings(max_examples=150, deadline=None)
    @given(retry=HEADERS | DATES, location=HEADERS | st.sampled_from(("http://[bad", "//", "http://:x@y:z/", "\\")))
    def ask(retry: str, location: str) -> None:
        told.update(retry=retry, location=location)
        for path in ("/retry", "/location"):
            with pytest.raises(ConnectorError):
                client.send(Request("GET", path))

    with scripted(answer) as server:
        client = acme(server.url, patience=Patience(tries=1, longest_asked=0))
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
def test_what_is_no_http_is_a_passing_trouble_or_an_answer(head: bytes) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        handler.wfile.write(head)

    with asked((0, {}, answer)) as (_, client):
        [outcome] = side_by_side(client.send, [GET])
    assert outcome == {} or type(outcome) is TransientError, outcome


def test_twenty_who_meet_a_trouble_at_once_tell_of_one_wait() -> None:
    log = Log()
    together = threading.Barrier(20)

    def answer(_seen: Seen) -> Answer:
        together.wait(20)
        return 500, {}, {"error": "Oops"}

    with scripted(answer) as server:
        client = acme(server.url, logger=log, max_in_flight=20, patience=Patience(first_wait=60))
        threads, _ = in_background(*[lambda: client.send(GET)] * 20)
        until(lambda: client.tally.retries == 20)
        client.close()
        for thread in threads:
            thread.join(5)
    [line] = log.lines
    assert line.startswith("Acme had a trouble of its own (500: Oops); waiting ")
    assert line.endswith(" s before try 2 of 6.")


def test_a_day_of_troubles_does_not_bury_the_log() -> None:
    log = Log()
    patience = Patience(tries=60, first_wait=0.001, longest_wait=0.001)
    with asked((500, {}, {}), logger=log, patience=patience) as (server, client):
        with pytest.raises(TransientError):
            client.send(GET)
        assert len(server.seen) == 60
    assert len(log.lines) == 20
    assert log.lines[-1].endswith("Further waits are only counted.")
    assert client.tally.retries == 59


def test_an_end_may_come_twice() -> None:
    with asked(FINE) as (_, client):
        client.close()
        client.close()
        with pytest.raises(Stopped):
            client.send(GET)
