"""No output holds a key, token, signed URL or password; the scanner proves it."""

from __future__ import annotations

import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

import pytest
import requests
from airbyte_cdk.models import Type
from airbyte_cdk.utils.traced_exception import AirbyteTracedException
from hypothesis import given, settings
from hypothesis import strategies as st

from docextract_sandbox import NewFile, Sandbox
from source_docextract import SourceDocextract
from source_docextract.core.errors import ConfigError
from source_docextract.registry.opening import read_registry
from source_docextract.settings import Settings
from source_docextract.state.passes import LedgerPass
from source_docextract.tables import rows as tables
from unit_tests.support.cases import each_case
from unit_tests.support.command_line import build_catalog, run_connector
from unit_tests.support.disguises import SECRET_ENCODINGS
from unit_tests.support.harness import IMPATIENT, Connection, log
from unit_tests.support.payload_faults import list_locations
from unit_tests.support.secret_scanner import SecretScanner, find_leaks
from unit_tests.support.stub_server import ReceivedRequest, StubResponse, ok_response, serve_stub

pytest_plugins = ["pytester"]

KEYS = {
    "extracta": "MTIzNDU2Nzg5_qwertyuiopasdfghjklzx",
    "docmap": "dm_live_" + "0a1b2c3d" * 8,
    "sensible": "Zq7v0Xw9Lk3rTy8Pm2sHd5Jc1Bn6Fg4",
    "atlas": "atlas+client/secret=0123456789",
}
TOKEN = "t0ken.of.atlas-" + "8f7e6d5c" * 4
SECRETS = {*KEYS.values(), TOKEN}


def make_settings(url: str, **more: Any) -> dict[str, Any]:
    """Return settings of all providers at one address."""
    keys = {name: {"api_key": key, "base_url": f"{url}/{name}"} for name, key in KEYS.items() if name != "atlas"}
    atlas = {"client_id": "atlas-client-0123", "client_secret": KEYS["atlas"], "base_url": f"{url}/atlas"}
    batches = ["t1/b1", "t1/b2", "t1/b3/f1"]
    settings = {
        "extracta": {**keys["extracta"], "extraction_ids": ["t1"], "extraction_batches": batches,
                     "classification_batches": ["c1/b1"], "seconds_between_requests": 0},
        "docmap": keys["docmap"],
        "sensible": {**keys["sensible"], "batch_ids": ["b1"], "document_types": ["claims"]},
        "atlas": {**atlas, "batch_ids": ["BATCH-1", "BATCH-2"]},
    }  # fmt: skip
    return {**settings, **more}


def collect_credentials(request: ReceivedRequest) -> str:
    """Return all credentials that a request holds."""
    headers = ("Authorization", "Client-Secret", "Token")
    return next((request.headers[name] for name in headers if name in request.headers), "").removeprefix("Bearer ")


@contextmanager
def serve_echo(make_response: Callable[[str, ReceivedRequest], StubResponse]) -> Iterator[str]:
    """Serve a provider that repeats its requests; as Atlas it issues a token first."""

    def respond(request: ReceivedRequest) -> StubResponse:
        if request.path.endswith("/authtoken"):
            return ok_response({"access_token": TOKEN, "expires_in": 3600})
        return make_response(collect_credentials(request), request)

    with serve_stub(respond) as server:
        yield server.url


def collect_output(config: dict[str, Any]) -> list[str]:
    """Return the output of a check and a sync; the scanner sees it while they run."""
    source = SourceDocextract(retry_policy=IMPATIENT)
    output = [str(source.check(log, config).message)]
    try:
        for message in source.read(log, config, build_catalog(config), []):
            output += [message.trace.error.message] if message.trace and message.trace.error else []
    except AirbyteTracedException as error:
        output.append(str(error.message))
    return output


LEAKING_SCRIPT = """
import logging, subprocess, sys
from base64 import b64encode

import pytest
from airbyte_cdk.models import ConfiguredAirbyteCatalog
from unit_tests.support.stub_server import KEY, create_acme_client

from source_docextract import SourceDocextract
from source_docextract.core.errors import ConfigError, UnreadableResponse
from source_docextract.core.requests import Request

logger = logging.getLogger("airbyte.any")


@pytest.fixture(autouse=True)
def client(monkeypatch):
    return create_acme_client("http://127.0.0.1:1")  # by this the key is known


@pytest.fixture
def careless(monkeypatch):
    monkeypatch.setattr("source_docextract.core.errors.sanitize_message", lambda text, _longest: text)

    def parse(_config, _logger):
        raise ConfigError(KEY)

    monkeypatch.setattr("source_docextract.source.Settings.parse", parse)


def test_at_debug():
    logger.debug("sent %s", KEY)


def test_in_a_traceback():
    try:
        raise ValueError(f"a{KEY}b")
    except ValueError:
        logger.debug("oops", exc_info=True)


def test_in_disguise():
    logger.info(KEY.upper())


def test_in_base64():
    logger.info(b64encode(b"Bearer " + KEY.encode()).decode())


def test_a_signed_link():
    logger.info("https://f.example/a?X-Signature=abc")


def test_an_address_with_a_password():
    logger.info("https://me:word@f.example/a")


def test_an_error_that_is_caught(careless):
    with pytest.raises(UnreadableResponse):
        raise UnreadableResponse(KEY)


def test_the_cause_of_an_error(client, monkeypatch):
    def send(*_):
        try:
            raise ValueError(f"a{KEY}b")
        except ValueError as error:
            raise RuntimeError("b") from error

    monkeypatch.setattr(client, "_send", send)
    with pytest.raises(RuntimeError):
        client.send(Request("GET", "/a"))


def test_an_answer(careless):
    SourceDocextract().check(logger, {})


def test_the_end_of_a_sync(careless):
    with pytest.raises(Exception, match="key"):
        list(SourceDocextract().read(logger, {}, ConfiguredAirbyteCatalog(streams=[])))


def test_a_process():
    subprocess.run([sys.executable, "-c", f"print('{KEY}')", "source-docextract"], capture_output=True, check=True)


def test_the_errors_of_a_process_that_nobody_looks_at():
    command = [sys.executable, "-c", f"import sys; sys.stderr.write('{KEY}')", "source-docextract"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        process.wait()
"""


def test_secret_scanner_leak_fails_the_test(pytester: pytest.Pytester) -> None:
    """Run tests that leak a secret each, under the scanner."""
    pytester.makeconftest(
        f"import sys\nsys.path[:0] = {sys.path!r}\nfrom unit_tests.support.secret_scanner import leak_scanner"
    )
    pytester.makepyfile(LEAKING_SCRIPT)

    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")

    tests = LEAKING_SCRIPT.count("def test_")
    result.assert_outcomes(passed=tests, errors=tests)


def test_secret_scanner_signed_url_is_allowed_in_records_only() -> None:
    ears = SecretScanner()
    ears.add_secrets(f"Bearer {KEYS['docmap']}")

    ears.scan_output('{"type":"RECORD","record":{"url":"https://f.example/a?X-Signature=abc"}}')
    assert ears.leaks == []

    ears.scan_output('{"type":"RECORD","record":{"url":"' + KEYS["docmap"] + '"}}')
    ears.scan_output('{"type":"LOG","log":{"message":"https://f.example/a?X-Signature=abc"}}')
    assert len(ears.leaks) == 2


def test_secret_scanner_sees_all_output_of_a_sync(
    leak_scanner: SecretScanner, served_sandbox: tuple[Sandbox, str]
) -> None:
    sandbox, url = served_sandbox
    template = sandbox.extracta.create("Invoices", ["vendor"])
    sandbox.extracta.upload(template, [NewFile("a.pdf", 0, {"vendor": "Acme"})])
    heard: list[str] = []
    leak_scanner.scan = lambda source, text: heard.append(f"{source}: {text}")  # type: ignore[method-assign]

    Connection(sandbox, url, {"extracta": {"extraction_ids": [template, "nobody"]}}).sync()

    assert leak_scanner.secrets == {sandbox.credentials["extracta"]["api_key"]}
    for expected_text in (
        "getBatchResults: 200",
        "rows: extracta_batches 1",
        "STATE",
        "COMPLETE",
        "INCOMPLETE",
        "Traceback",
    ):
        assert any(expected_text in line for line in heard), expected_text


STATUSES = (400, 401, 403, 404, 410, 429, 500, 501, 503)


class TestEcho:
    """Providers that repeat the key, the token or the whole request."""

    @pytest.mark.sample(6)
    @pytest.mark.parametrize("disguise", SECRET_ENCODINGS)
    def test_key_in_any_encoding_is_not_output(self, disguise: str) -> None:
        def make_response(key: str, request: ReceivedRequest) -> StubResponse:
            status = STATUSES[sum(map(ord, request.path)) % len(STATUSES)]
            message_text = (
                f"{'x' * (len(request.path) * 7 % 190)} bad key {SECRET_ENCODINGS[disguise](key)}, Authorization: {key}"
            )
            errors = {"error": message_text, "message": message_text, "error_message": message_text}
            return (
                status,
                {},
                message_text.encode() if status % 2 else {**errors, "code": SECRET_ENCODINGS[disguise](key)},
            )

        with serve_echo(make_response) as url:
            assert_no_partial_secrets(collect_output(make_settings(url)))

    @pytest.mark.sample
    @pytest.mark.parametrize("status", [200, 301, 302, 307, *STATUSES])
    @pytest.mark.parametrize("kind", ["json", "text", "page", "nested"])
    def test_key_in_a_response_of_any_status_is_not_output(
        self, status: int, kind: str, leak_scanner: SecretScanner
    ) -> None:
        leak_scanner.unscanned_types = {Type.RECORD, Type.STATE}  # what is sent as data is data

        def make_response(key: str, seen: ReceivedRequest) -> StubResponse:
            request = f"{seen.method} {seen.path} HTTP/1.1\r\nAuthorization: Bearer {key}\r\nToken: {key}\r\n\r\n"
            body = {
                "json": {"error": request, "message": request, "error_message": request, "status": key},
                "text": request.encode(),
                "page": f"<html><pre>{request}</pre></html>".encode(),
                "nested": {"error": {"code": key, "message": {"key": key}}, "files": [{"status": key, "error": key}]},
            }[kind]
            return status, {"Location": f"https://elsewhere.example/?key={key}", "Retry-After": key, "X-Key": key}, body

        with serve_echo(make_response) as url:
            assert_no_partial_secrets(collect_output(make_settings(url)))

    def test_key_as_status_or_id_is_not_output(self, leak_scanner: SecretScanner) -> None:
        leak_scanner.unscanned_types = {Type.RECORD, Type.STATE}

        def make_response(key: str, _request: ReceivedRequest) -> StubResponse:
            row = {"id": key, "status": key, "createdAt": "2026-11-20T08:00:00Z", "runId": key}
            listed = {"data": [row, 7], "extractions": [row, 7], "hasMore": False, "extraction_ids": [key, None]}
            files = [{"fileId": key, "status": key}, 7, {"extraction": {"extractionId": key, "batchId": key}}]
            batches = {key: {"status": key}}
            return ok_response({**listed, "files": files, "batches": batches, "total_items": 1, "has_next": False})

        with serve_echo(make_response) as url:
            output = collect_output(make_settings(url))

        assert any("cannot be read" in message_text for message_text in output)
        assert_no_partial_secrets(output)

    def test_command_line_at_debug_outputs_no_key(self, tmp_path: Path) -> None:
        def make_response(key: str, request: ReceivedRequest) -> StubResponse:
            status = STATUSES[len(request.path) % len(STATUSES)]
            return status, {"Set-Cookie": f"key={key}"}, {"error": f"{key} {quote(key)} {key.upper()} {key[:20]}"}

        with serve_echo(make_response) as url:
            for verb in ("check", "read"):
                ran = run_connector(tmp_path, verb, make_settings(url), "--debug")
                assert "DEBUG" in ran.stdout
                assert_no_partial_secrets([ran.stdout, ran.stderr])


def assert_no_partial_secrets(output: list[str]) -> None:
    """Check for cut secrets: the scanner finds whole ones only."""
    for message_text in output:
        for secret in SECRETS:
            enough = max(8, min(12, len(secret) // 2))
            for start in range(len(secret) - enough + 1):
                assert secret[start : start + enough].lower() not in message_text.lower(), message_text


class TestOtherLeaks:
    """Leaks that no provider causes: proxies, libraries, bugs, settings."""

    def test_proxy_unencrypted_requests_bypass_it(
        self, served_sandbox: tuple[Sandbox, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        sandbox, url = served_sandbox
        registry = serve_stub(lambda _request: ok_response(b"provider,batch_id\natlas,BATCH-1\n"))
        with serve_stub(lambda _request: ok_response({})) as proxy, registry as keeper:
            for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
                monkeypatch.setenv(name, proxy.url)
            monkeypatch.delenv("no_proxy", raising=False)
            monkeypatch.delenv("NO_PROXY", raising=False)

            connection = Connection(sandbox, url, {"docmap": {}})
            status = connection.source.check(log, connection.settings)
            registry_rows = read_registry(f"{keeper.url}/list.csv", ["atlas"])

        assert status.message is None
        assert len(registry_rows.get_batches("atlas")) == 1
        assert proxy.received == []

    def test_proxy_echoing_its_password_is_not_output(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def respond(request: ReceivedRequest) -> StubResponse:
            return 407, {}, f"You sent {request.headers.get('Proxy-Authorization')}".encode()

        with serve_stub(respond) as proxy:
            address = proxy.url.replace("://", "://me:passw0rd-of-the-proxy@")
            for name in ("https_proxy", "HTTPS_PROXY"):
                monkeypatch.setenv(name, address)
            config = make_settings("https://acme.invalid")
            config["batch_registry"] = {"url": "https://acme.invalid/list.csv?X-Signature=s1gned-0123456789"}

            output = collect_output(config)

        assert any("could not be reached" in message_text for message_text in output)
        for message_text in output:
            assert not find_leaks(message_text, {"passw0rd-of-the-proxy", *SECRETS})

    def test_library_logs_of_urls_are_suppressed(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        with serve_odd_headers() as url:
            requests.get(f"{url}/list.csv", timeout=60)
            config = make_settings(url)
            config["batch_registry"] = {"url": f"{url.replace('://', '://me:passw0rd1@')}/list.csv?X-Signature=s1gned"}

            ran = run_connector(tmp_path, "check", config, "--debug")

        assert "Failed to parse headers" in caplog.text  # so much for what the library does
        assert ran.filter_messages("CONNECTION_STATUS")
        assert not find_leaks(ran.stdout + ran.stderr, SECRETS)

    @pytest.mark.parametrize("bug", [ValueError, RuntimeError, AssertionError, KeyError, OSError])
    @pytest.mark.parametrize("bug_location", ["reader", "rows", "ledger"])
    def test_bug_is_reported_by_place_without_its_text(
        self,
        bug_location: str,
        bug: type[Exception],
        served_sandbox: tuple[Sandbox, str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        sandbox, url = served_sandbox
        template = sandbox.extracta.create("Invoices", ["vendor"])
        sandbox.extracta.upload(template, [NewFile("a.pdf", 0, {"vendor": "Acme"})])
        connection = Connection(sandbox, url, {"extracta": {"extraction_ids": [template]}})
        message_text = "invalid literal: 'Asha Sharma, https://f.example/a?X-Signature=s1gned'"

        def raise_bug(*_args: Any, **_options: Any) -> Any:
            raise bug(message_text)

        reader = sys.modules["source_docextract.providers.extracta.provider"]
        target = {
            "reader": (reader, "build_snapshot"),
            "rows": (tables, "_locate_document"),
            "ledger": (LedgerPass, "record"),
        }
        monkeypatch.setattr(*target[bug_location], raise_bug)
        output = connection.sync()

        assert output.error is not None
        assert bug.__name__ in str(output.error.message)
        assert ".py:" in str(output.error.message)
        assert "Asha" not in "".join(traceback.format_exception(output.error))
        assert set(output.final_statuses.values()) == {"INCOMPLETE"}


@contextmanager
def serve_odd_headers() -> Iterator[str]:
    """Serve responses with headers that make urllib3 log the whole URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(65_536)
                        connection.sendall(b"HTTP/1.1 200 OK\r\nno header at all\r\nContent-Length: 2\r\n\r\n{}")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


CANARY_SECRET = "sk-canary-4242-4242"
ADDRESS = f"https://me:{CANARY_SECRET}@x/?{CANARY_SECRET}"
VALUE_SHAPES: tuple[Any, ...] = (
    CANARY_SECRET,
    ADDRESS,
    [CANARY_SECRET],
    {CANARY_SECRET: CANARY_SECRET},
    {"api_key": CANARY_SECRET},
    7,
    None,
    True,
    [],
    {},
)
CANARY_VALUES = (
    CANARY_SECRET,
    f"ftp://a:{CANARY_SECRET}@x/{CANARY_SECRET}",
    f"https://{CANARY_SECRET}\u2100@x",
    [CANARY_SECRET],
    {CANARY_SECRET: CANARY_SECRET},
)


class TestSettings:
    """Keys in settings that should hold something else."""

    @each_case(
        "path",
        [
            ("apikey",), ("api_key",), ("extracta",), ("extracta", "apikey"), ("extracta", "extraction_ids"),
            ("extracta", "extraction_batches"), ("extracta", "extraction_batches", 0), ("extracta", "base_url"),
            ("extracta", "follow_links"), ("extracta", "seconds_between_requests"), ("docmap",),
            ("docmap", CANARY_SECRET),
            ("docmap", "template_ids"), ("sensible", "environments"), ("sensible", "environments", 0),
            ("sensible", "base_url"), ("atlas", "client_id", "secret"), ("atlas", "batch_ids"), ("atlas", "key"),
            ("batch_registry",), ("batch_registry", "url"), ("batch_registry", "key"), ("start_date",),
            ("lookback_days",), ("max_in_flight",), ("keep_urls",), (CANARY_SECRET,), (CANARY_SECRET, "a"),
            ("_canary", CANARY_SECRET),
        ],
        ids=str,
    )  # fmt: skip
    @each_case("value", CANARY_VALUES, ids=str)
    def test_key_in_a_wrong_setting_is_not_in_the_error(self, path: tuple[Any, ...], value: Any) -> None:
        config = make_settings("https://acme.example")

        set_at_path(config, path, value)

        assert CANARY_SECRET not in get_error_message(config)

    @settings(deadline=None)
    @given(st.lists(st.sampled_from(VALUE_SHAPES), min_size=1, max_size=3), st.randoms(use_true_random=False))
    def test_key_at_random_locations_is_not_in_the_error(self, shapes: list[Any], random: Random) -> None:
        config = make_settings("https://acme.example")
        for shape in shapes:
            container, key = random.choice(
                [location for location in list_locations(config) if not isinstance(location[0], str)]
            )
            container[key] = deepcopy(shape)

        assert CANARY_SECRET not in get_error_message(config)

    def test_key_in_a_wrong_setting_is_not_output_by_check(self, tmp_path: Path) -> None:
        config = {**make_settings("https://acme.example"), "apikey": CANARY_SECRET, CANARY_SECRET: 1}
        config["extracta"]["extraction_batches"] = [CANARY_SECRET]

        ran = run_connector(tmp_path, "check", config, "--debug")

        [status] = ran.filter_messages("CONNECTION_STATUS")
        assert "extraction_batches contains an entry" in status["connectionStatus"]["message"]
        assert CANARY_SECRET not in ran.stdout + ran.stderr

    def test_key_as_an_unknown_setting_is_hidden_in_the_warning(self, tmp_path: Path) -> None:
        config = {**make_settings("http://127.0.0.1:9"), "apikey": CANARY_SECRET, CANARY_SECRET: 1}
        config["docmap"] = {**config["docmap"], CANARY_SECRET: CANARY_SECRET}

        ran = run_connector(tmp_path, "check", config, "--debug")

        names = "a hidden name in docmap, which may be a key, apikey, a hidden name in the settings, which may be a key"
        warning = f"Unknown settings are ignored: {names}. Correct or remove them."
        assert [line for line in ran.log_texts if "Unknown settings" in line] == [warning]
        assert CANARY_SECRET not in ran.stdout + ran.stderr


def set_at_path(config: dict[str, Any], path: tuple[Any, ...], value: Any) -> None:
    *parents, last = path
    node: Any = config
    for key in parents:
        if not isinstance(node.get(key) if isinstance(node, dict) else node[key], (dict, list)):
            node[key] = {}
        node = node[key]
    node[last] = value


def get_error_message(config: dict[str, Any]) -> str:
    try:
        Settings.parse(config)
    except ConfigError as error:
        return "".join(traceback.format_exception(error))
    return ""


UNENCRYPTED = (
    "http://127.0.0.1.evil.example", "http://localhost.evil.example", "http://evil.example#127.0.0.1",
    "http://127.0.0.1@evil.example", "http://evil.example\\@127.0.0.1", "http://0x7f.1", "http://127.1", "http://2130706433",
    "http://10.0.0.1", "http://169.254.169.254", "http://0.0.0.0", "http://[::]", "http://[fe80::1]", "HTTP://EVIL.EXAMPLE",
    "http://localhost%00.evil.example", "http://ⓛocalhost", "file:///etc/passwd", "//evil.example", "ws://127.0.0.1",
)  # fmt: skip


@each_case("provider", KEYS)
def test_base_url_unencrypted_remote_host_is_a_config_error(provider: str) -> None:
    for url in UNENCRYPTED:
        config = make_settings("https://acme.example")
        config[provider]["base_url"] = url

        with pytest.raises(ConfigError, match=rf"^{provider}\.base_url "):
            Settings.parse(config)
