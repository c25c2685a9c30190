"""One request: retries, refusals, messages, and that no message holds a key."""

import logging
import re
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from source_docextract.core.errors import (
    ConfigError,
    ConnectorError,
    CredentialsError,
    RequestRejected,
    TransientError,
    UnreadableResponse,
)
from source_docextract.core.requests import Login, Request, build_bearer_headers
from source_docextract.http.rate_limit import RetryPolicy
from unit_tests.support.cases import each_case
from unit_tests.support.stub_server import (
    KEY,
    BlockingClient,
    ReceivedRequest,
    RecordingLogger,
    StubResponse,
    create_acme_client,
    ok_response,
    reset_after_partial_body,
    reset_connection,
    respond_in_turn,
    serve_responses,
)
from unit_tests.support.stub_server import serve_stub as serving

GET = Request("GET", "/things")
OK_RESPONSE = ok_response({"fine": True})
ADVICE = "The next sync tries again. If the error persists, ask Acme for its meaning."
NOW = datetime(2026, 11, 20, 9, 0, tzinfo=timezone.utc)
BROKEN: list[tuple[Any, str]] = [
    ((200, {}, b'{"files": ['), "sent a response that is not JSON"),
    ((200, {"Content-Type": "text/html"}, b"<html>Sorry</html>"), "sent a response that is not JSON"),
    ((200, {}, b""), "sent a response that is not JSON"),
    ((204, {}, b""), "sent a response that is not JSON"),
    ((200, {"Content-Encoding": "gzip"}, b"no gzip"), "sent a body that cannot be decompressed"),
    ((200, {}, reset_connection), "could not be reached or closed the connection"),
    ((200, {}, reset_after_partial_body), "ended the response too early"),
    ((429, {}, {"error": "slow down"}), "reports too many requests (429: slow down)"),
    ((500, {}, b"<h1>Oops</h1>"), "reports a server error (500)"),
    ((502, {}, b"bad gateway"), "reports a server error (502: bad gateway)"),
    ((503, {}, {"error": "maintenance."}), "is unavailable (503: maintenance)"),
    ((504, {}, b""), "reports a server error (504)"),
    ((408, {}, {}), "reports a server error (408)"),
    ((400, {}, {"error": "passing"}), "reports a server error (400: passing)"),
]


def get_error(client: BlockingClient, kind: type[ConnectorError], request: Request = GET) -> Any:
    with pytest.raises(kind) as exc_info:
        client.send(request)
    assert type(exc_info.value) is kind
    return exc_info.value


def test_client_request_is_sent_with_all_its_parts() -> None:
    request = Request("POST", "/things", params={"page": 2}, json={"id": "t1"}, headers={"X-Own": "yes"})
    with serve_responses(OK_RESPONSE) as (server, client):
        assert client.send(request) == {"fine": True}
        [seen] = server.received
    assert (seen.method, seen.path, seen.body) == ("POST", "/things?page=2", b'{"id": "t1"}')
    assert (seen.headers["Authorization"], seen.headers["X-Own"]) == (f"Bearer {KEY}", "yes")
    assert build_bearer_headers(KEY) == {"Authorization": f"Bearer {KEY}"}


@pytest.mark.parametrize("body", [None, [], {}, "text", 0, {"a": [1.5, "é", None]}])
def test_client_any_json_value_is_returned(body: Any) -> None:
    with serve_responses((201, {}, body)) as (_, client):
        assert client.send(GET) == body


@pytest.mark.parametrize(("broken", "expected_text"), BROKEN)
def test_client_transient_error_is_retried_until_success(broken: StubResponse, expected_text: str) -> None:
    log = RecordingLogger()
    with serve_responses(broken, broken, OK_RESPONSE, logger=log) as (server, client):
        assert client.send(GET) == {"fine": True}
        assert len(server.received) == client.stats.requests == 3
        assert client.stats.retries == 2
    assert all(line.startswith(f"Acme {expected_text}; ") for line in log.lines)


@pytest.mark.parametrize(("broken", "expected_text"), BROKEN)
@pytest.mark.parametrize("tries", [1, 3])
def test_client_persistent_error_is_raised_after_last_try(tries: int, broken: StubResponse, expected_text: str) -> None:
    patience = RetryPolicy(max_tries=tries, first_wait=0.01, max_wait=0.01)
    with serve_responses(broken, retry_policy=patience) as (server, client):
        error = get_error(client, TransientError)
        assert str(error) == f"Acme {expected_text}, {tries} times in a row."
        assert len(server.received) == tries


def test_client_request_that_is_tried_once_is_not_sent_again() -> None:
    with serve_responses((503, {}, {}), OK_RESPONSE) as (server, client):
        with pytest.raises(TransientError, match="1 times in a row"):
            client.send(replace(GET, is_tried_once=True))
        assert len(server.received) == 1
        assert client.send(GET) == {"fine": True}


def test_client_error_after_last_try_has_status_and_body() -> None:
    with serve_responses((400, {}, {"error": "passing"})) as (_, client):
        error = get_error(client, TransientError)
    assert (error.status, error.body) == (400, {"error": "passing"})


def test_client_refused_connection_is_retried_and_raised() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        client = create_acme_client(f"http://127.0.0.1:{taken.getsockname()[1]}")
        error = get_error(client, TransientError)
    assert str(error) == "Acme could not be reached or closed the connection, 3 times in a row."
    assert client.stats.requests == 3
    assert error.status is None


def test_client_timeout_or_untrusted_certificate_is_transient_error(monkeypatch: pytest.MonkeyPatch) -> None:
    raised = iter([aiohttp.ConnectionTimeoutError(), aiohttp.SocketTimeoutError(), serve_untrusted()])

    async def failing(*_: Any, **__: Any) -> None:
        raise next(raised)

    with serve_responses(OK_RESPONSE, retry_policy=RetryPolicy(max_tries=1)) as (_, client):
        monkeypatch.setattr(aiohttp.ClientSession, "_request", failing)
        messages = [str(get_error(client, TransientError)) for _ in range(3)]
    assert messages == [
        "Acme did not accept the connection within 5 s, 1 times in a row.",
        "Acme sent no data for 60 s, 1 times in a row.",
        "Acme has a certificate that cannot be trusted, 1 times in a row.",
    ]


def serve_untrusted() -> Exception:
    key = ConnectionKey("127.0.0.1", 443, True, True, None, None, None)
    return aiohttp.ClientConnectorCertificateError(key, ssl.SSLCertVerificationError())


def test_client_every_try_has_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    timeouts: list[Any] = []
    connect = aiohttp.TCPConnector.connect

    def spy(self: aiohttp.TCPConnector, request: aiohttp.ClientRequest, **options: Any) -> Any:
        timeout = options["timeout"]
        timeouts.append((timeout.total, timeout.sock_connect, timeout.sock_read))
        return connect(self, request, **options)

    monkeypatch.setattr(aiohttp.TCPConnector, "connect", spy)
    with serve_responses((500, {}, {}), OK_RESPONSE) as (_, client):
        client.send(GET)
    assert timeouts == [(300, 5, 60)] * 2


def test_client_reset_of_kept_connection_is_retried_once() -> None:
    with serve_responses(OK_RESPONSE, (200, {}, reset_connection), OK_RESPONSE) as (server, client):
        client.send(GET)
        client.send(GET)
        assert len(server.received) == client.stats.requests == 3
        assert client.stats.retries == 1


@pytest.mark.parametrize("status", [400, 404, 409, 422])
def test_client_rejected_request_error_has_status_and_body(status: int) -> None:
    with serve_responses((status, {}, {"error": "No such\n  thing.", "code": 7})) as (server, client):
        error = get_error(client, RequestRejected)
        assert len(server.received) == 1
    assert str(error) == f"Acme refused the request ({status}: No such thing). {ADVICE}"
    assert (error.status, error.body) == (status, {"error": "No such\n  thing.", "code": 7})


@pytest.mark.parametrize(
    ("body", "expected_text"),
    [
        (b"Unknown thing", " (404: Unknown thing)"),
        (b"<!DOCTYPE html><p>Not found", " (404)"),
        (b"  <html>", " (404)"),
        (b"", " (404)"),
        ({}, " (404)"),
        ([1], " (404)"),
        (b"x" * 5000, f" (404: {'x' * 200})"),
    ],
)
def test_client_rejected_request_error_has_short_provider_text(body: Any, expected_text: str) -> None:
    with serve_responses((404, {}, body)) as (_, client):
        assert str(get_error(client, RequestRejected)) == f"Acme refused the request{expected_text}. {ADVICE}"


@pytest.mark.parametrize("status", [401, 403])
def test_client_rejected_key_names_setting_without_retry(status: int) -> None:
    with serve_responses((status, {}, {"error": f"Bad key {KEY}"})) as (server, client):
        error = get_error(client, CredentialsError)
        assert len(server.received) == 1
    assert str(error) == f"Acme refused the credentials ({status}: Bad key ****). Check acme.api_key."


def test_client_status_501_is_an_error_without_retry() -> None:
    with serve_responses((501, {}, {"error": "not built"})) as (server, client):
        message = str(get_error(client, UnreadableResponse))
        assert message == "Acme does not support this request (501: not built). Check base_url."
        assert len(server.received) == 1


def test_client_final_status_names_setting_to_change() -> None:
    with serve_responses((410, {}, {})) as (server, client):
        message = str(get_error(client, ConfigError))
        assert message == "Acme no longer serves this version; set acme.base_url (410)."
        assert len(server.received) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_client_redirect_does_not_forward_key(status: int) -> None:
    with (
        serving(respond_in_turn(OK_RESPONSE)) as other,
        serve_responses((status, {"Location": f"{other.url}/x?token=t"}, {})) as (_, client),
    ):
        message = str(get_error(client, ConfigError))
        assert message == f"Acme redirects to another address ({status}). The key is not sent there: check base_url."
        assert other.received == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["/elsewhere?token=t", "//127.0.0.1:9/x", "http://[bad", "", "\\"])
def test_client_redirect_to_any_location_is_not_followed(location: str, status: int) -> None:
    with serve_responses((status, {"Location": location}, {}), OK_RESPONSE) as (server, client):
        message = str(get_error(client, ConfigError))
        assert message == f"Acme redirects to another address ({status}). The key is not sent there: check base_url."
        assert [request.path for request in server.received] == ["/things"]


def test_login_redirect_is_not_followed() -> None:
    with (
        serving(respond_in_turn(OK_RESPONSE)) as other,
        serve_responses((307, {"Location": f"{other.url}/login"}, {}), **make_login()) as (_, client),
    ):
        assert "redirects to another address (307)" in str(get_error(client, ConfigError))
        assert other.received == []


def test_client_netrc_file_does_not_replace_or_add_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login another password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with serve_responses(OK_RESPONSE) as (server, client):
        client.send(GET)
        create_acme_client(server.url, headers={}).send(GET)
        assert [request.headers.get("Authorization") for request in server.received] == [f"Bearer {KEY}", None]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    "header", ["0.15", format_datetime(NOW, usegmt=True).replace("09:00:00", "09:00:01")], ids=["seconds", "date"]
)
def test_client_retry_after_delays_retry(header: str, status: int) -> None:
    now = NOW + timedelta(seconds=0.85)
    with serve_responses((status, {"Retry-After": header}, {}), OK_RESPONSE, now=lambda: now) as (server, client):
        client.send(GET)
        [gap] = server.gaps
    assert gap >= 0.15


@pytest.mark.parametrize("header", ["0", "soon", "", "Fri, 20 Nov 2026 08:00:00 GMT", "-5"])
def test_client_retry_after_past_or_invalid_is_ignored(header: str) -> None:
    with serve_responses((429, {"Retry-After": header}, {}), OK_RESPONSE, now=lambda: NOW) as (server, client):
        assert client.send(GET) == {"fine": True}
        assert len(server.received) == 2


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("header", ["600", format_datetime(NOW + timedelta(minutes=10), usegmt=True)])
def test_client_retry_after_ten_minutes_is_an_error_without_retry(header: str, status: int) -> None:
    limit = (status, {"Retry-After": header}, {"error": "month is over"})
    with serve_responses(limit, now=lambda: NOW) as (server, client):
        message = str(get_error(client, TransientError))
        assert message == f"Acme asks to wait 10 minutes ({status}: month is over). Sync again after that."
        assert len(server.received) == 1


LEAKING_RESPONSES = {
    "error": f"Key {KEY} may not read https://files.example.com/a.pdf?X-Signature=s1gned&Expires=9 "
    "nor 'http://files.example.com/b?sig=s1gned', see https://example.com/help"
}


@pytest.mark.parametrize("status", [400, 401, 410, 429, 500, 501, 503])
@pytest.mark.parametrize("as_json", [True, False])
def test_client_error_and_log_have_no_keys_and_no_signed_urls(as_json: bool, status: int) -> None:
    log = RecordingLogger(logging.DEBUG)
    body = LEAKING_RESPONSES if as_json else LEAKING_RESPONSES["error"].encode()
    request = Request("GET", "/things", params={"cursor": "s1gned"})
    response = (status, {"Location": "/x?sig=s1gned"}, body)
    with serve_responses(response, logger=log) as (_, client), pytest.raises(ConnectorError) as exc_info:
        client.send(request)
    for expected_text in (str(exc_info.value), repr(exc_info.value), *log.lines):
        assert KEY not in expected_text
        assert "s1gned" not in expected_text
    assert "https://files.example.com/a.pdf nor" in str(exc_info.value)
    assert "https://example.com/help" in str(exc_info.value)


def make_login(read: Callable[[Any], tuple[str, float]] = lambda body: (body["token"], 3600.0)) -> dict[str, Any]:
    login = Login(Request("POST", "/login", headers={"Client-Secret": "s3cr3t-0123456789"}), "Token", read)
    return {"login": login, "headers": {}}


def test_login_refused_error_has_no_credentials() -> None:
    with serve_responses((401, {}, {"error": "No client has s3cr3t-0123456789"}), **make_login()) as (_, client):
        message = str(get_error(client, CredentialsError))
    assert message.startswith("Acme refused the credentials (401: No client has ")
    assert "s3cr3t" not in message


def test_client_error_has_no_token() -> None:
    def respond(request: ReceivedRequest) -> StubResponse:
        return (
            ok_response({"token": "t0ken-abcdef"})
            if request.path == "/login"
            else (400, {}, {"error": "t0ken-abcdef is odd"})
        )

    with serving(respond) as server:
        error = get_error(create_acme_client(server.url, **make_login()), RequestRejected)
    assert str(error) == f"Acme refused the request (400: **** is odd). {ADVICE}"


def test_client_retry_wait_is_logged_once_without_url_query() -> None:
    log = RecordingLogger()
    patience = RetryPolicy(max_tries=2, first_wait=0.4, max_wait=0.4)
    broken: Mapping[str, Any] = {"error": "see https://x.example/?k=s1gned"}
    with serve_responses((500, {}, broken), logger=log, retry_policy=patience) as (_, client):
        get_error(client, TransientError)
    [line] = log.lines
    pattern = r"Acme reports a server error \(500: see https://x\.example/\); waiting 0\.[234] s before try 2 of 2\."
    assert re.fullmatch(pattern, line)


@each_case("url", ["http://127.0.0.1:99999", "https://double..dot"])
def test_client_invalid_url_is_config_error(url: str) -> None:
    message = str(get_error(create_acme_client(url), ConfigError))
    assert message.startswith("A request to Acme cannot be sent (")
    assert message.endswith("). Check its base_url and keys.")
