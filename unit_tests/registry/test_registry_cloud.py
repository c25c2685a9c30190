"""A registry in a cloud storage: real clients against servers on loopback that speak S3's and Google's protocols."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gcp_storage_emulator.server import RequestHandler
from gcp_storage_emulator.storage import Storage as Shelf
from google.cloud.storage import Client as GoogleClient

from docextract_sandbox import NewDocument
from source_docextract.core.errors import ConfigError
from source_docextract.core.provider import Registry
from source_docextract.registry.opening import read_registry
from unit_tests.support.harness import Connection, log
from unit_tests.support.registry_files import PRODUCTS, ROWS, ServedSandbox, to_csv, to_json_lines, written
from unit_tests.support.registry_storage import BUCKET, CREDENTIALS, Storage, set_endpoint
from unit_tests.support.stub_server import ReceivedRequest, StubResponse, ok_response, send_endlessly, serve_stub


@pytest.fixture(scope="module")
def gs_address() -> Iterator[str]:
    class QuietHandler(RequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, Shelf(use_memory_fs=True))) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


@pytest.fixture
def gs(gs_address: str, monkeypatch: pytest.MonkeyPatch) -> Storage:
    set_endpoint("gs", gs_address, monkeypatch)
    client = GoogleClient()
    bucket = client.lookup_bucket(BUCKET) or client.create_bucket(BUCKET)
    return Storage("gs", lambda key, content: bucket.blob(key).upload_from_string(content))


@pytest.fixture(params=["s3", "gs"])
def storage(request: pytest.FixtureRequest) -> Storage:
    storage_fixture: Storage = request.getfixturevalue(request.param)
    return storage_fixture


def assert_refused(address: str, reason: str) -> None:
    """Require an error that names the place and the reason, and nothing else."""
    with pytest.raises(ConfigError) as exc_info:
        read_registry(address, PRODUCTS)
    assert str(exc_info.value) == f"The batch registry {address} cannot be read ({reason}). Check batch_registry.url."


@pytest.mark.parametrize("text", [to_csv(ROWS), to_json_lines(ROWS), "\ufeff" + to_csv(ROWS), to_csv(ROWS * 5_000)])
def test_registry_in_storage_equals_registry_at_path(storage: Storage, tmp_path: Path, text: str) -> None:
    registry_rows = read_registry(storage.write(text), PRODUCTS)

    assert registry_rows.get_batches("atlas")
    assert registry_rows == read_registry(written(tmp_path, text), PRODUCTS)


def test_registry_object_name_with_spaces_and_symbols_is_read(storage: Storage) -> None:
    address = storage.write(to_csv(ROWS), "year=2026/batches of Zoë (1).csv")

    assert len(read_registry(address, PRODUCTS).get_batches("atlas")) == 1


def test_registry_empty_object_in_storage_is_an_error(storage: Storage) -> None:
    with pytest.raises(ConfigError, match=r"batches\.csv is empty\. Check batch_registry\.url"):
        read_registry(storage.write(""), PRODUCTS)


def test_registry_with_header_line_only_in_storage_is_empty(storage: Storage) -> None:
    assert read_registry(storage.write(to_csv([])), PRODUCTS) == Registry()


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_registry_in_storage_sent_byte_by_byte_is_given_up(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("source_docextract.registry.opening._READ_DEADLINE", 2.0)
    body = send_endlessly(
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nprovider,batch_id\n", filler=b" ", pause=0.05
    )

    def respond(request: ReceivedRequest) -> StubResponse:
        return (
            ok_response({"name": "batches.csv", "size": "1000"})
            if request.path.startswith("/storage/")
            else (0, {}, body)
        )

    with serve_stub(respond) as server:
        set_endpoint(scheme, server.url, monkeypatch)
        with pytest.raises(ConfigError, match="took more than 2 s to read"):
            read_registry(f"{scheme}://{BUCKET}/batches.csv", PRODUCTS)


def test_registry_rewritten_in_storage_is_read_again(storage: Storage) -> None:
    assert len(read_registry(storage.write(to_csv(ROWS)), PRODUCTS).get_batches("atlas")) == 1
    assert len(read_registry(storage.write(to_csv(ROWS * 2)), PRODUCTS).get_batches("atlas")) == 2


def test_registry_s3_endpoint_variable_is_used(s3: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", os.environ["AWS_ENDPOINT_URL"])
    monkeypatch.delenv("AWS_ENDPOINT_URL")

    assert len(read_registry(s3.write(to_csv(ROWS)), PRODUCTS).get_batches("atlas")) == 1


def test_registry_missing_file_is_an_error(storage: Storage) -> None:
    assert_refused(f"{storage.scheme}://{BUCKET}/nowhere.csv", {"s3": "NoSuchKey", "gs": "NotFound"}[storage.scheme])


def test_registry_missing_bucket_is_an_error(storage: Storage) -> None:
    assert_refused(f"{storage.scheme}://nobodys/batches.csv", {"s3": "NoSuchBucket", "gs": "NotFound"}[storage.scheme])


@pytest.mark.parametrize(("scheme", "reason"), [("s3", "NoCredentialsError"), ("gs", "DefaultCredentialsError")])
def test_registry_without_credentials_is_an_error(scheme: str, reason: str) -> None:
    assert_refused(f"{scheme}://{BUCKET}/batches.csv", reason)


@pytest.mark.parametrize(("scheme", "reason"), [("s3", "AccessDenied"), ("gs", "Forbidden")])
def test_registry_refused_credentials_are_an_error_without_retry(
    scheme: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_stub(lambda _request: (403, {}, b"<Error><Code>AccessDenied</Code></Error>")) as server:
        set_endpoint(scheme, server.url, monkeypatch)

        assert_refused(f"{scheme}://{BUCKET}/batches.csv", reason)

    assert sum("batches.csv" in request.path for request in server.received) == 1


@pytest.mark.parametrize("secret", ["s3cr3t", "s3cr3t/of+acme", "/s3/cr3t"])
def test_registry_s3_url_credentials_are_used_and_not_shown(
    s3: Storage, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    good = s3.write(to_csv(ROWS)).replace("://", f"://AKIAACME:{secret}@")

    assert len(read_registry(good, PRODUCTS).get_batches("atlas")) == 1
    with pytest.raises(ConfigError) as exc_info:
        read_registry(good.replace("batches.csv", "no@where.csv"), PRODUCTS)
    assert f"The batch registry s3://{BUCKET}/lists/no@where.csv cannot be read" in str(exc_info.value)


@pytest.mark.parametrize(("scheme", "module"), [("s3", "botocore.config"), ("gs", "google.cloud.storage.retry")])
def test_registry_storage_without_client_names_extra_to_install(
    scheme: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(ConfigError, match=rf"pip install 'source-docextract\[{scheme}\]'"):
        read_registry(f"{scheme}://{BUCKET}/batches.csv", PRODUCTS)


def test_registry_google_range_refusal_is_end_of_file(monkeypatch: pytest.MonkeyPatch) -> None:
    content = to_csv(ROWS).encode()

    def respond(request: ReceivedRequest) -> StubResponse:
        if not request.path.startswith("/download/"):
            return ok_response({"name": "batches.csv", "size": str(len(content))})
        start = int(re.findall(r"\d+", request.headers["Range"])[0])
        span = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return (206, {"Content-Range": span}, content[start:]) if start < len(content) else (416, {}, b"")

    with serve_stub(respond) as server:
        set_endpoint("gs", server.url, monkeypatch)

        assert len(read_registry(f"gs://{BUCKET}/batches.csv", PRODUCTS).get_batches("atlas")) == 1


class TestSilence:
    """A storage that falls silent ends a sync, and does not hold it."""

    @pytest.fixture(autouse=True)
    def short_timeouts(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        for module in ("storages", "sftp"):
            monkeypatch.setattr(f"source_docextract.registry.{module}.TIMEOUT", (0.3, 0.3))
        monkeypatch.setattr("smart_open.s3.time", SimpleNamespace(sleep=lambda _seconds: None))
        begun = time.monotonic()
        yield
        assert time.monotonic() - begun < 10

    def address(self, scheme: str, url: str, monkeypatch: pytest.MonkeyPatch) -> str:
        if scheme == "http":
            return f"{url}/batches.csv"
        set_endpoint(scheme, url, monkeypatch)
        return f"{scheme}://{BUCKET}/batches.csv"

    @pytest.fixture
    def waited_events(self) -> Iterator[threading.Event]:
        """What a silent server waits for."""
        waited_events = threading.Event()
        yield waited_events
        waited_events.set()

    @pytest.mark.parametrize("scheme", ["http", "s3", "gs", "az"])
    def test_storage_that_never_responds_is_a_timeout_error(
        self, scheme: str, waited_events: threading.Event, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def respond(_request: ReceivedRequest) -> StubResponse:
            waited_events.wait()
            return ok_response({})

        with (
            serve_stub(respond) as server,
            pytest.raises(ConfigError, match=r"cannot be read \((?:ReadTimeout|ServiceResponseTimeout)"),
        ):
            read_registry(self.address(scheme, server.url, monkeypatch), PRODUCTS)

        assert (
            sum("batches.csv" in request.path for request in server.received)
            == {"http": 1, "s3": 2, "gs": 1, "az": 2}[scheme]
        )

    @pytest.mark.parametrize("scheme", ["http", "s3", "gs"])
    def test_storage_that_stops_mid_response_is_an_error(
        self, scheme: str, waited_events: threading.Event, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def start_response(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
            handler.wfile.write(to_csv(ROWS).encode())
            waited_events.wait()

        def respond(request: ReceivedRequest) -> StubResponse:
            return (
                ok_response({"name": "batches.csv", "size": "1000"})
                if request.path.startswith("/storage/")
                else ok_response(start_response)
            )

        with serve_stub(respond) as server, pytest.raises(ConfigError, match="cannot be read"):
            read_registry(self.address(scheme, server.url, monkeypatch), PRODUCTS)


def test_registry_in_storage_is_read_by_sync_and_verified_by_check(
    storage: Storage, served_sandbox: ServedSandbox
) -> None:
    sandbox, url = served_sandbox
    data = {"document_type": "PAN", "name": {"value": "ASHA", "confidence_score": 0.9}}
    batches = [sandbox.atlas.submit([NewDocument(name, duration_seconds=0, file_data=data)]) for name in ("1", "2")]
    named = storage.write(to_csv([{"provider": "atlas", "batch_id": batch} for batch in batches]))
    connection = Connection(sandbox, url, {"atlas": {}, "batch_registry": {"url": named}})

    checked = connection.source.check(log, connection.settings)
    synced = connection.sync()

    assert checked.status.value == "SUCCEEDED"
    assert synced.counts == {"atlas_batches": 2, "atlas_files": 2, "atlas_results": 2, "atlas_fields": 2}
    assert sorted(synced.ids("atlas_results")) == sorted([f"{batches[0]}/1", f"{batches[1]}/2"])
    assert connection.sync().counts == {}

    connection.settings["batch_registry"]["url"] = gone = named.replace("batches", "gone")
    checked = connection.source.check(log, connection.settings)
    assert checked.status.value == "FAILED"
    assert f"The batch registry {gone} cannot be read" in str(checked.message)
    assert set(connection.sync().final_statuses.values()) == {"INCOMPLETE"}
