"""Responses of an intermediary, in another charset, or without an end."""

from __future__ import annotations

import gzip
import json
import time
import tracemalloc
import zlib
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from source_docextract.core.errors import ConfigError, CredentialsError, TransientError, UnreadableResponse
from source_docextract.core.requests import Request
from unit_tests.support.stub_server import (
    LOGIN,
    QUICK,
    ReceivedRequest,
    StubResponse,
    create_acme_client,
    ok_response,
    run_concurrently,
    serve_responses,
    serve_stub,
)

GET = Request("GET", "/things")
NAMES = {"city": "Köln", "sum": 12345678901234567890123}
EXPECTED_DATA = {"city": "Köln", "sum": "12345678901234567890123"}
PAGE = b"\xef\xbb\xbf\n <!DOCTYPE html><html><title>Blocked</title>Your address was blocked.</html>"
MIN_BODY_SIZE = 100_000
"""Bytes that an answer may have in these tests."""


def encode_names(charset: str) -> bytes:
    return json.dumps(NAMES, ensure_ascii=False).encode(charset)


@pytest.mark.parametrize(
    ("content_type", "charset"),
    [
        ("application/json; charset=iso-8859-1", "iso-8859-1"),
        ("application/json;CHARSET='Latin1'", "iso-8859-1"),
        ('text/plain; x=1 ; charset = "windows-1252"; y=2', "windows-1252"),
        ("application/json; charset=UTF-8", "utf-8"),
        ("application/json; charset=utf8mb4", "utf-8"),
        ("application/json; charset=", "utf-8"),
        ("application/json; charset=unicode_escape", "utf-8"),
        ("application/json", "utf-8"),
        ("application/json", "utf-8-sig"),
        ("application/json; charset=iso-8859-1", "utf-8-sig"),
        ("application/json", "utf-16"),
        ("application/json", "utf-16-le"),
        ("application/json; charset=utf-16", "utf-16-be"),
        ("application/json; charset=utf-16le", "utf-16-le"),
        ("application/json; charset=utf-32", "utf-32"),
        ("application/json; charset=shift_jis", "ascii"),
    ],
)
def test_response_charset_declared_or_detected_is_used(content_type: str, charset: str) -> None:
    content = encode_names(charset) if charset != "ascii" else json.dumps(NAMES).encode()
    with serve_responses((200, {"Content-Type": content_type}, content)) as (_, client):
        assert client.send(GET) == EXPECTED_DATA


@pytest.mark.parametrize(
    ("content_type", "content", "error_text"),
    [
        ("application/json", encode_names("iso-8859-1"), "(byte 0xf6 at 12 is not utf-8)"),
        ("application/json; charset=utf-8", encode_names("iso-8859-1"), "(byte 0xf6 at 12 is not utf-8)"),
        ("application/json; charset=x-klingon", encode_names("iso-8859-1"), "(byte 0xf6 at 12 is not utf-8)"),
        ("application/json; charset=us-ascii", encode_names("utf-8"), "(byte 0xc3 at 12 is not ascii)"),
        ("application/json; charset=cp1252", b'["\x81"]', "(byte 0x81 at 3 is not cp1252)"),
        ("application/json", b'["\xed\xa0\x80"]', "(byte 0xed at 3 is not utf-8)"),
        ("application/json", '["a'.encode("utf-16-le") + b"\x00\xd8" + '"]'.encode("utf-16-le"), "is not utf-16-le)"),
    ],
)
def test_response_byte_invalid_in_charset_is_an_error_without_retry(
    content_type: str, content: bytes, error_text: str
) -> None:
    with serve_responses((200, {"Content-Type": content_type}, content)) as (server, client):
        with pytest.raises(UnreadableResponse) as exc_info:
            client.send(GET)
        assert len(server.received) == 1
    assert "Acme sent a response with a byte that its charset does not allow (byte 0x" in str(exc_info.value)
    assert error_text in str(exc_info.value)


@pytest.mark.parametrize("content_type", ["application/json; charset=punycode", "application/json; charset=idna"])
def test_response_charset_unsuitable_for_json_is_ignored(content_type: str) -> None:
    with serve_responses((200, {"Content-Type": content_type}, encode_names("utf-8"))) as (_, client):
        assert client.send(GET) == EXPECTED_DATA


def test_response_error_text_is_decoded_by_declared_charset() -> None:
    respond = (404, {"Content-Type": "text/plain; charset=iso-8859-1"}, "Köln ist unbekannt".encode("iso-8859-1"))
    with serve_responses(respond) as (_, client), pytest.raises(Exception, match=r"\(404: Köln ist unbekannt\)"):
        client.send(GET)


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/json"])
def test_response_html_page_with_401_or_403_is_retried_as_firewall_block(status: int, content_type: str) -> None:
    page = (status, {"Content-Type": content_type}, PAGE)
    with serve_responses(page, page, ok_response(EXPECTED_DATA)) as (_, client):
        assert client.send(GET) == EXPECTED_DATA
    with serve_responses(page) as (server, client):
        with pytest.raises(TransientError) as exc_info:
            client.send(GET)
        assert len(server.received) == QUICK.max_tries
    assert str(exc_info.value) == (
        f"Acme is blocked by a firewall that returns an HTML page ({status}), 3 times in a row. "
        "Allow this machine's requests in the firewall, or sync again later."
    )


@pytest.mark.parametrize("body", [b"", b"Bad key", {"error": "Bad key <b>"}, b"I am <html>"])
def test_response_403_without_html_page_is_credentials_error(body: Any) -> None:
    with serve_responses((403, {"Content-Type": "text/html"}, body)) as (_, client), pytest.raises(CredentialsError):
        client.send(GET)


def test_login_html_page_with_403_is_not_credentials_error() -> None:
    with serve_responses((403, {}, PAGE), login=LOGIN, headers={}) as (server, client):
        outcomes = run_concurrently(client.send, [GET] * 5)
        assert [request.path for request in server.received] == ["/login"] * QUICK.max_tries
    assert {type(outcome) for outcome in outcomes} == {TransientError}


def test_response_407_names_proxy_setting_without_retry() -> None:
    with serve_responses((407, {"Proxy-Authenticate": "Basic"}, PAGE)) as (server, client):
        with pytest.raises(ConfigError) as exc_info:
            client.send(GET)
        assert len(server.received) == 1
    assert str(exc_info.value) == (
        "Acme cannot be reached: the proxy that HTTPS_PROXY names refused the connection (407). "
        "Write a valid user and password into HTTPS_PROXY, or list the host in NO_PROXY."
    )


def send_endless_body(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    handler.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n["')
    while True:
        handler.wfile.write(b"x" * 65_536)


def deflate(content: bytes) -> bytes:
    return zlib.compress(content, 9)


def make_bomb(coding: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """A thousand times as large as it looks."""
    compressors: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": deflate}
    packed = compressors[coding](b" " * 60_000_000)

    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {len(packed)}\r\n\r\n"
        handler.wfile.write(head.encode() + packed)

    return respond


BODIES: dict[str, Any] = {
    "without end": send_endless_body,
    "gzip of blanks": make_bomb("gzip"),
    "deflate of blanks": make_bomb("deflate"),
    "a length": b'["' + b"x" * 30_000_000 + b'"]',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_transport_oversized_response_fails_without_retry_in_limited_memory(
    body: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("source_docextract.http.transport.MAX_RESPONSE_BYTES", MIN_BODY_SIZE)

    def respond(request: ReceivedRequest) -> StubResponse:
        return (200, {}, body) if request.path == "/things" else ok_response(EXPECTED_DATA)

    with serve_stub(respond) as server:
        client = create_acme_client(server.url)
        tracemalloc.start()
        with pytest.raises(UnreadableResponse) as exc_info:
            client.send(GET)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert client.send(Request("GET", "/others")) == EXPECTED_DATA
        client.close()
        assert [request.path for request in server.received] == ["/things", "/others"]
    assert str(exc_info.value) == (
        "Acme sent a response of more than 0.1 MB (100,000 bytes). Split the batch into smaller ones. If it is small, "
        "the response is not from Acme: check base_url."
    )
    assert most < 8_000_000


def test_transport_accept_encoding_lists_only_size_limited_encodings() -> None:
    with serve_responses(ok_response({})) as (server, client):
        client.send(GET)
        [request] = server.received
    assert {coding.strip() for coding in request.headers["Accept-Encoding"].split(",")} == {"gzip", "deflate"}


def test_transport_endless_error_body_is_classified_by_status() -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        handler.wfile.write(b"HTTP/1.1 401 No\r\n\r\nBad key ")
        while True:
            handler.wfile.write(b"x " * 32_768)

    with serve_responses((0, {}, endless)) as (server, client):
        with pytest.raises(CredentialsError, match=r"\(401: Bad key x x"):
            client.send(GET)
        assert len(server.received) == 1


def test_transport_concurrent_large_responses_stay_in_limited_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in {
        "_LARGE_RESPONSE_BYTES": 10_000,
        "_READ_BUFFER_BYTES": 10_000,
        "MAX_RESPONSE_BYTES": 5_000_000,
    }.items():
        monkeypatch.setattr(f"source_docextract.http.transport.{name}", size)
    with serve_responses((0, {}, send_endless_body)) as (_, client):
        tracemalloc.start()
        outcomes = run_concurrently(client.send, [GET] * 8)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert [type(outcome) for outcome in outcomes] == [UnreadableResponse] * 8
    assert most < 3 * 5_000_000


def test_transport_stalled_large_response_does_not_delay_small_responses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("source_docextract.http.transport._LARGE_RESPONSE_BYTES", 1_000)
    begun = []

    def slowly(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        handler.wfile.write(b'HTTP/1.1 200 OK\r\n\r\n["' + b"x" * 300_000)
        begun.append(True)
        while len(begun) < 2:
            time.sleep(0.01)
        handler.wfile.write(b'"]')

    def respond(request: ReceivedRequest) -> StubResponse:
        if request.path == "/large":
            return 0, {}, slowly
        begun.append(True)
        return ok_response(EXPECTED_DATA)

    with serve_stub(respond) as server:
        client = create_acme_client(server.url)
        outcomes = run_concurrently(client.send, [Request("GET", "/large"), GET])
        client.close()
    assert outcomes == [["x" * 300_000], EXPECTED_DATA]
