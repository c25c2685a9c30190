"""One request: what heals, what is refused, what is said of it, and that no key is ever told."""

import logging
import re
import socket
import ssl
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from scripted import KEY, Answer, Log, Seen, Waiting, acme, asked, in_turn, ok, reset, reset_in_the_middle
from scripted import scripted as serving

from source_docextract.errors import BadAnswer, ConfigError, ConnectorError, CredentialsError, Refused, TransientError
from source_docextract.http import Login, Request, bearer
from source_docextract.pacing import Patience

GET = Request("GET", "/things")
FINE = ok({"fine": True})
ADVICE = "The next sync asks again; if it stays, Acme can say what it means."
NOW = datetime(2026, 11, 20, 9, 0, tzinfo=timezone.utc)
BROKEN: list[tuple[Any, str]] = [
    ((200, {}, b'{"files": ['), "answered with something that is not JSON"),
    ((200, {"Content-Type": "text/html"}, b"<html>Sorry</html>"), "answered with something that is not JSON"),
    ((200, {}, b""), "answered with something that is not JSON"),
    ((204, {}, b""), "answered with something that is not JSON"),
    ((200, {"Content-Encoding": "gzip"}, b"no gzip"), "answered with a broken body"),
    ((200, {}, reset), "could not be reached or broke the connection"),
    ((200, {}, reset_in_the_middle), "broke off in the middle of an answer"),
    ((429, {}, {"error": "slow down"}), "is asked too often (429: slow down)"),
    ((500, {}, b"<h1>Oops</h1>"), "had a trouble of its own (500)"),
    ((502, {}, b"bad gateway"), "had a trouble of its own (502: bad gateway)"),
    ((503, {}, {"error": "maintenance."}), "is down (503: maintenance)"),
    ((504, {}, b""), "had a trouble of its own (504)"),
    ((408, {}, {}), "had a trouble of its own (408)"),
    ((400, {}, {"error": "passing"}), "had a trouble of its own (400: passing)"),
]


def trouble(client: Waiting, kind: type[ConnectorError], request: Request = GET) -> Any:
    with pytest.raises(kind) as caught:
        client.send(request)
    assert type(caught.value) is kind
    return caught.value


def test_a_request_goes_out_as_it_is_written() -> None:
    request = Request("POST", "/things", params={"page": 2}, json={"id": "t1"}, headers={"X-Own": "yes"})
    with asked(FINE) as (server, client):
        assert client.send(request) == {"fine": True}
        [seen] = server.seen
    assert (seen.method, seen.path, seen.body) == ("POST", "/things?page=2", b'{"id": "t1"}')
    assert (seen.headers["Authorization"], seen.headers["X-Own"]) == (f"Bearer {KEY}", "yes")
    assert bearer(KEY) == {"Authorization": f"Bearer {KEY}"}


@pytest.mark.parametrize("body", [None, [], {}, "text", 0, {"a": [1.5, "é", None]}])
def test_any_json_is_an_answer(body: Any) -> None:
    with asked((201, {}, body)) as (_, client):
        assert client.send(GET) == body


@pytest.mark.parametrize(("broken", "words"), BROKEN)
def test_a_passing_trouble_heals(broken: Answer, words: str) -> None:
    log = Log()
    with asked(broken, broken, FINE, logger=log) as (server, client):
        assert client.send(GET) == {"fine": True}
        assert len(server.seen) == client.tally.requests == 3
        assert client.tally.retries == 2
    assert all(line.startswith(f"Acme {words}; ") for line in log.lines)


@pytest.mark.parametrize(("broken", "words"), BROKEN)
@pytest.mark.parametrize("tries", [1, 3])
def test_a_lasting_trouble_is_told_after_the_last_try(tries: int, broken: Answer, words: str) -> None:
    patience = Patience(tries=tries, first_wait=0.01, longest_wait=0.01)
    with asked(broken, patience=patience) as (server, client):
        error = trouble(client, TransientError)
        assert str(error) == f"Acme {words}, {tries} times in a row."
        assert len(server.seen) == tries


def test_the_last_try_hands_on_its_status_and_body() -> None:
    with asked((400, {}, {"error": "passing"})) as (_, client):
        error = trouble(client, TransientError)
    assert (error.status, error.body) == (400, {"error": "passing"})


def test_a_refused_connection_is_tried_again_and_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        client = acme(f"http://127.0.0.1:{taken.getsockname()[1]}")
        error = trouble(client, TransientError)
    assert str(error) == "Acme could not be reached or broke the connection, 3 times in a row."
    assert client.tally.requests == 3
    assert error.status is None


def test_silence_is_a_passing_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    raised = iter([aiohttp.ConnectionTimeoutError(), aiohttp.SocketTimeoutError(), untrusted()])

    async def failing(*_: Any, **__: Any) -> None:
        raise next(raised)

    with asked(FINE, patience=Patience(tries=1)) as (_, client):
        monkeypatch.setattr(aiohttp.ClientSession, "_request", failing)
        told = [str(trouble(client, TransientError)) for _ in range(3)]
    assert told == [
        "Acme did not take the connection within 5 s, 1 times in a row.",
        "Acme was silent for 60 s, 1 times in a row.",
        "Acme has a certificate that cannot be trusted, 1 times in a row.",
    ]


def untrusted() -> Exception:
    key = ConnectionKey("127.0.0.1", 443, True, True, None, None, None)
    return aiohttp.ClientConnectorCertificateError(key, ssl.SSLCertVerificationError())


def test_every_request_has_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    connect = aiohttp.TCPConnector.connect

    def spy(self: aiohttp.TCPConnector, request: aiohttp.ClientRequest, **options: Any) -> Any:
        timeout = options["timeout"]
        given.append((timeout.total, timeout.sock_connect, timeout.sock_read))
        return connect(self, request, **options)

    monkeypatch.setattr(aiohttp.TCPConnector, "connect", spy)
    with asked((500, {}, {}), FINE) as (_, client):
        client.send(GET)
    assert given == [(300, 5, 60)] * 2


def test_what_breaks_a_kept_connection_is_tried_again_no_more_than_anything_else() -> None:
    with asked(FINE, (200, {}, reset), FINE) as (server, client):
        client.send(GET)
        client.send(GET)
        assert len(server.seen) == client.tally.requests == 3
        assert client.tally.retries == 1


@pytest.mark.parametrize("status", [400, 404, 409, 422])
def test_a_refusal_is_told_with_its_status_and_body(status: int) -> None:
    with asked((status, {}, {"error": "No such\n  thing.", "code": 7})) as (server, client):
        error = trouble(client, Refused)
        assert len(server.seen) == 1
    assert str(error) == f"Acme refused the request ({status}: No such thing). {ADVICE}"
    assert (error.status, error.body) == (status, {"error": "No such\n  thing.", "code": 7})


@pytest.mark.parametrize(
    ("body", "told"),
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
def test_the_providers_own_words_are_told_in_one_short_line(body: Any, told: str) -> None:
    with asked((404, {}, body)) as (_, client):
        assert str(trouble(client, Refused)) == f"Acme refused the request{told}. {ADVICE}"


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_names_the_setting_and_is_not_tried_again(status: int) -> None:
    with asked((status, {}, {"error": f"Bad key {KEY}"})) as (server, client):
        error = trouble(client, CredentialsError)
        assert len(server.seen) == 1
    assert str(error) == f"Acme refused the credentials ({status}: Bad key ****). Check acme.api_key."


def test_what_the_provider_cannot_do_is_not_tried_again() -> None:
    with asked((501, {}, {"error": "not built"})) as (server, client):
        assert str(trouble(client, BadAnswer)) == "Acme cannot do this (501: not built)."
        assert len(server.seen) == 1


def test_a_final_status_tells_what_to_change() -> None:
    with asked((410, {}, {})) as (server, client):
        told = str(trouble(client, ConfigError))
        assert told == "Acme no longer serves this version; set acme.base_url (410)."
        assert len(server.seen) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_never_takes_the_key_along(status: int) -> None:
    with serving(in_turn(FINE)) as other, asked((status, {"Location": f"{other.url}/x?token=t"}, {})) as (_, client):
        told = str(trouble(client, ConfigError))
        assert told == f"Acme points to another address ({status}); the key is not sent there. Check base_url."
        assert other.seen == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["/elsewhere?token=t", "//127.0.0.1:9/x", "http://[bad", "", "\\"])
def test_no_redirect_is_followed_wherever_it_leads(where: str, status: int) -> None:
    with asked((status, {"Location": where}, {}), FINE) as (server, client):
        told = str(trouble(client, ConfigError))
        assert told == f"Acme points to another address ({status}); the key is not sent there. Check base_url."
        assert [seen.path for seen in server.seen] == ["/things"]


def test_a_login_is_not_redirected_either() -> None:
    with (
        serving(in_turn(FINE)) as other,
        asked((307, {"Location": f"{other.url}/login"}, {}), **logs_in()) as (_, client),
    ):
        assert "points to another address (307)" in str(trouble(client, ConfigError))
        assert other.seen == []


def test_a_netrc_file_does_not_replace_or_add_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with asked(FINE) as (server, client):
        client.send(GET)
        acme(server.url, headers={}).send(GET)
        assert [seen.headers.get("Authorization") for seen in server.seen] == [f"Bearer {KEY}", None]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    "header", ["0.15", format_datetime(NOW, usegmt=True).replace("09:00:00", "09:00:01")], ids=["seconds", "date"]
)
def test_the_provider_is_not_asked_before_it_said(header: str, status: int) -> None:
    now = NOW + timedelta(seconds=0.85)
    with asked((status, {"Retry-After": header}, {}), FINE, now=lambda: now) as (server, client):
        client.send(GET)
        [gap] = server.gaps
    assert gap >= 0.15


@pytest.mark.parametrize("header", ["0", "soon", "", "Fri, 20 Nov 2026 08:00:00 GMT", "-5"])
def test_a_past_or_unreadable_moment_holds_nothing_up(header: str) -> None:
    with asked((429, {"Retry-After": header}, {}), FINE, now=lambda: NOW) as (server, client):
        assert client.send(GET) == {"fine": True}
        assert len(server.seen) == 2


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("header", ["600", format_datetime(NOW + timedelta(minutes=10), usegmt=True)])
def test_a_long_wait_is_left_to_the_next_sync(header: str, status: int) -> None:
    limit = (status, {"Retry-After": header}, {"error": "month is over"})
    with asked(limit, now=lambda: NOW) as (server, client):
        told = str(trouble(client, TransientError))
        assert told == f"Acme asks to come back in 10 minutes ({status}: month is over)."
        assert len(server.seen) == 1


LEAKY = {
    "error": f"Key {KEY} may not read https://files.example.com/a.pdf?X-Signature=s1gned&Expires=9 "
    "nor 'http://files.example.com/b?sig=s1gned', see https://example.com/help"
}


@pytest.mark.parametrize("status", [400, 401, 410, 429, 500, 501, 503])
@pytest.mark.parametrize("as_json", [True, False])
def test_keys_and_signed_links_are_cut_from_what_is_told(as_json: bool, status: int) -> None:
    log = Log(logging.DEBUG)
    body = LEAKY if as_json else LEAKY["error"].encode()
    sent = Request("GET", "/things", params={"cursor": "s1gned"})
    answer = (status, {"Location": "/x?sig=s1gned"}, body)
    with asked(answer, logger=log) as (_, client), pytest.raises(ConnectorError) as caught:
        client.send(sent)
    for words in (str(caught.value), repr(caught.value), *log.lines):
        assert KEY not in words
        assert "s1gned" not in words
    assert "https://files.example.com/a.pdf nor" in str(caught.value)
    assert "https://example.com/help" in str(caught.value)


def logs_in(read: Callable[[Any], tuple[str, float]] = lambda body: (body["token"], 3600.0)) -> dict[str, Any]:
    login = Login(Request("POST", "/login", headers={"Client-Secret": "s3cr3t-0123456789"}), "Token", read)
    return {"login": login, "headers": {}}


def test_a_login_that_is_refused_never_tells_what_it_sent() -> None:
    with asked((401, {}, {"error": "No client has s3cr3t-0123456789"}), **logs_in()) as (_, client):
        told = str(trouble(client, CredentialsError))
    assert told.startswith("Acme refused the credentials (401: No client has ")
    assert "s3cr3t" not in told


def test_a_token_never_appears_in_what_is_told() -> None:
    def answer(seen: Seen) -> Answer:
        return ok({"token": "t0ken-abcdef"}) if seen.path == "/login" else (400, {}, {"error": "t0ken-abcdef is odd"})

    with serving(answer) as server:
        error = trouble(acme(server.url, **logs_in()), Refused)
    assert str(error) == f"Acme refused the request (400: **** is odd). {ADVICE}"


def test_at_info_a_wait_is_told_once_and_without_the_query() -> None:
    log = Log()
    patience = Patience(tries=2, first_wait=0.4, longest_wait=0.4)
    broken: Mapping[str, Any] = {"error": "see https://x.example/?k=s1gned"}
    with asked((500, {}, broken), logger=log, patience=patience) as (_, client):
        trouble(client, TransientError)
    [line] = log.lines
    told = r"Acme had a trouble of its own \(500: see https://x\.example/\); waiting 0\.[234] s before try 2 of 2\."
    assert re.fullmatch(told, line)


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999", "https://double..dot"])
def test_an_address_that_cannot_be_used_is_told_in_words(url: str) -> None:
    told = str(trouble(acme(url), ConfigError))
    assert told.startswith("A request to Acme cannot be sent (")
    assert told.endswith("). Check its base_url and keys.")
