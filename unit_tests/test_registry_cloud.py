"""A registry in a cloud storage: real clients against servers on loopback that speak S3's and Google's protocols."""

from __future__ import annotations

import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from gcp_storage_emulator.server import RequestHandler
from gcp_storage_emulator.storage import Storage as Shelf
from google.cloud.storage import Client as GoogleClient
from harness import Connection, log
from moto.server import ThreadedMotoServer
from scripted import Answer, Seen, ok, scripted, sending
from test_registry import PRODUCTS, ROWS, Served, as_csv, as_lines, written

from sandbox import NewDocument
from source_docextract.errors import ConfigError
from source_docextract.registry import Registry, read_registry

BUCKET = "acme-batches"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIAACME0123456789AB", "AWS_SECRET_ACCESS_KEY": "s3cr3t/of+acme"}
ENDPOINTS = {"s3": "AWS_ENDPOINT_URL", "gs": "STORAGE_EMULATOR_HOST"}
"""What tells the clients of another address than the cloud's."""


@dataclass(frozen=True)
class Storage:
    """A storage with one bucket, made known as users do it: through the environment."""

    scheme: str
    keep: Callable[[str, bytes], Any]

    def written(self, text: str, key: str = "lists/batches.csv") -> str:
        self.keep(key, text.encode())
        return f"{self.scheme}://{BUCKET}/{key}"


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No credentials and no proxies; and whoever looks for an address off this machine fails the test."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "GOOGLE_", "GCLOUD_", "CLOUDSDK_", "STORAGE_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers the credentials that it has found
    elsewhere: list[Any] = []
    look_up = socket.getaddrinfo

    def look_up_here(host: Any, *args: Any, **options: Any) -> Any:
        if host not in {"127.0.0.1", "localhost"}:
            elsewhere.append(host)
            raise OSError(f"{host} is not this machine")
        return look_up(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up_here)
    yield
    assert elsewhere == []


@pytest.fixture(scope="module")
def s3_address() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def gs_address() -> Iterator[str]:
    class Quiet(RequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, Shelf(use_memory_fs=True))) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


@pytest.fixture
def s3(s3_address: str, monkeypatch: pytest.MonkeyPatch) -> Storage:
    point_at("s3", s3_address, monkeypatch)
    client = boto3.session.Session().client("s3")
    client.create_bucket(Bucket=BUCKET)
    return Storage("s3", lambda key, content: client.put_object(Bucket=BUCKET, Key=key, Body=content))


@pytest.fixture
def gs(gs_address: str, monkeypatch: pytest.MonkeyPatch) -> Storage:
    point_at("gs", gs_address, monkeypatch)
    client = GoogleClient()
    bucket = client.lookup_bucket(BUCKET) or client.create_bucket(BUCKET)
    return Storage("gs", lambda key, content: bucket.blob(key).upload_from_string(content))


@pytest.fixture(params=["s3", "gs"])
def storage(request: pytest.FixtureRequest) -> Storage:
    found: Storage = request.getfixturevalue(request.param)
    return found


def point_at(scheme: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINTS[scheme], address)
    if scheme == "s3":  # Google's client asks for no credentials where it is sent to an emulator
        for name, value in {**CREDENTIALS, "AWS_DEFAULT_REGION": "us-east-1"}.items():
            monkeypatch.setenv(name, value)


def refused(address: str, reason: str) -> None:
    """It cannot be read, and the user is told where and why, and nothing else."""
    with pytest.raises(ConfigError) as caught:
        read_registry(address, PRODUCTS)
    assert str(caught.value) == f"The batch registry {address} cannot be read ({reason}). Check batch_registry.url."


@pytest.mark.parametrize("text", [as_csv(ROWS), as_lines(ROWS), "\ufeff" + as_csv(ROWS), as_csv(ROWS * 5_000)])
def test_it_says_the_same_as_from_a_path(storage: Storage, tmp_path: Path, text: str) -> None:
    found = read_registry(storage.written(text), PRODUCTS)

    assert found.of("atlas")
    assert found == read_registry(written(tmp_path, text), PRODUCTS)


def test_a_name_may_hold_spaces_and_signs(storage: Storage) -> None:
    address = storage.written(as_csv(ROWS), "year=2026/batches of Zoë (1).csv")

    assert len(read_registry(address, PRODUCTS).of("atlas")) == 1


def test_registry_of_zero_bytes_in_a_storage_is_an_error(storage: Storage) -> None:
    with pytest.raises(ConfigError, match=r"batches\.csv is empty\. Check batch_registry\.url"):
        read_registry(storage.written(""), PRODUCTS)


def test_registry_of_a_line_of_names_in_a_storage_names_nothing(storage: Storage) -> None:
    assert read_registry(storage.written(as_csv([])), PRODUCTS) == Registry()


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_registry_in_a_storage_by_a_byte_now_and_then_is_given_up(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("source_docextract.registry._LONGEST_READING", 2.0)
    body = sending(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nprovider,batch_id\n", filler=b" ", pause=0.05)

    def answer(seen: Seen) -> Answer:
        return ok({"name": "batches.csv", "size": "1000"}) if seen.path.startswith("/storage/") else (0, {}, body)

    with scripted(answer) as server:
        point_at(scheme, server.url, monkeypatch)
        with pytest.raises(ConfigError, match="took more than 2 s to read"):
            read_registry(f"{scheme}://{BUCKET}/batches.csv", PRODUCTS)


def test_it_is_read_anew_each_time(storage: Storage) -> None:
    assert len(read_registry(storage.written(as_csv(ROWS)), PRODUCTS).of("atlas")) == 1
    assert len(read_registry(storage.written(as_csv(ROWS * 2)), PRODUCTS).of("atlas")) == 2


def test_an_address_of_s3_alone_is_taken_too(s3: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", os.environ["AWS_ENDPOINT_URL"])
    monkeypatch.delenv("AWS_ENDPOINT_URL")

    assert len(read_registry(s3.written(as_csv(ROWS)), PRODUCTS).of("atlas")) == 1


def test_a_file_that_is_not_there_is_told(storage: Storage) -> None:
    refused(f"{storage.scheme}://{BUCKET}/nowhere.csv", {"s3": "NoSuchKey", "gs": "NotFound"}[storage.scheme])


def test_a_bucket_that_is_not_there_is_told(storage: Storage) -> None:
    refused(f"{storage.scheme}://nobodys/batches.csv", {"s3": "NoSuchBucket", "gs": "NotFound"}[storage.scheme])


@pytest.mark.parametrize(("scheme", "reason"), [("s3", "NoCredentialsError"), ("gs", "DefaultCredentialsError")])
def test_a_machine_without_credentials_is_told(scheme: str, reason: str) -> None:
    refused(f"{scheme}://{BUCKET}/batches.csv", reason)


@pytest.mark.parametrize(("scheme", "reason"), [("s3", "AccessDenied"), ("gs", "Forbidden")])
def test_credentials_that_do_not_suffice_are_told_and_not_tried_again(
    scheme: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scripted(lambda _seen: (403, {}, b"<Error><Code>AccessDenied</Code></Error>")) as server:
        point_at(scheme, server.url, monkeypatch)

        refused(f"{scheme}://{BUCKET}/batches.csv", reason)

    assert sum("batches.csv" in seen.path for seen in server.seen) == 1


@pytest.mark.parametrize("secret", ["s3cr3t", "s3cr3t/of+acme", "/s3/cr3t"])
def test_credentials_within_an_address_of_s3_are_taken_and_never_told(
    s3: Storage, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    good = s3.written(as_csv(ROWS)).replace("://", f"://AKIAACME:{secret}@")

    assert len(read_registry(good, PRODUCTS).of("atlas")) == 1
    with pytest.raises(ConfigError) as caught:
        read_registry(good.replace("batches.csv", "no@where.csv"), PRODUCTS)
    assert f"The batch registry s3://{BUCKET}/lists/no@where.csv cannot be read" in str(caught.value)


@pytest.mark.parametrize(("scheme", "module"), [("s3", "botocore.config"), ("gs", "google.cloud.storage.retry")])
def test_a_client_that_is_not_installed_is_named_by_the_extra_that_brings_it(
    scheme: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(ConfigError, match=rf"pip install 'source-docextract\[{scheme}\]'"):
        read_registry(f"{scheme}://{BUCKET}/batches.csv", PRODUCTS)


def test_google_tells_the_end_of_a_file_by_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    content = as_csv(ROWS).encode()

    def answer(seen: Seen) -> Answer:
        if not seen.path.startswith("/download/"):
            return ok({"name": "batches.csv", "size": str(len(content))})
        start = int(re.findall(r"\d+", seen.headers["Range"])[0])
        span = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return (206, {"Content-Range": span}, content[start:]) if start < len(content) else (416, {}, b"")

    with scripted(answer) as server:
        point_at("gs", server.url, monkeypatch)

        assert len(read_registry(f"gs://{BUCKET}/batches.csv", PRODUCTS).of("atlas")) == 1


class TestSilence:
    """A storage that falls silent ends a sync, and does not hold it."""

    @pytest.fixture(autouse=True)
    def in_a_hurry(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setattr("source_docextract.registry.TIMEOUT", (0.3, 0.3))
        monkeypatch.setattr("smart_open.s3.time", SimpleNamespace(sleep=lambda _seconds: None))
        begun = time.monotonic()
        yield
        assert time.monotonic() - begun < 10

    def address(self, scheme: str, url: str, monkeypatch: pytest.MonkeyPatch) -> str:
        if scheme == "http":
            return f"{url}/batches.csv"
        point_at(scheme, url, monkeypatch)
        return f"{scheme}://{BUCKET}/batches.csv"

    @pytest.fixture
    def over(self) -> Iterator[threading.Event]:
        """What a silent server waits for."""
        over = threading.Event()
        yield over
        over.set()

    @pytest.mark.parametrize("scheme", ["http", "s3", "gs"])
    def test_one_that_never_answers(self, scheme: str, over: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
        def answer(_seen: Seen) -> Answer:
            over.wait()
            return ok({})

        with scripted(answer) as server, pytest.raises(ConfigError, match=r"cannot be read \(ReadTimeout"):
            read_registry(self.address(scheme, server.url, monkeypatch), PRODUCTS)

        assert sum("batches.csv" in seen.path for seen in server.seen) == {"http": 1, "s3": 2, "gs": 1}[scheme]

    @pytest.mark.parametrize("scheme", ["http", "s3", "gs"])
    def test_one_that_stops_in_the_middle(
        self, scheme: str, over: threading.Event, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def begin(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
            handler.wfile.write(as_csv(ROWS).encode())
            over.wait()

        def answer(seen: Seen) -> Answer:
            return ok({"name": "batches.csv", "size": "1000"}) if seen.path.startswith("/storage/") else ok(begin)

        with scripted(answer) as server, pytest.raises(ConfigError, match="cannot be read"):
            read_registry(self.address(scheme, server.url, monkeypatch), PRODUCTS)


def test_a_sync_reads_what_is_named_there_and_check_says_what_is_wrong(storage: Storage, served: Served) -> None:
    sandbox, url = served
    data = {"document_type": "PAN", "name": {"value": "ASHA", "confidence_score": 0.9}}
    batches = [sandbox.atlas.submit([NewDocument(name, seconds=0, file_data=data)]) for name in ("1", "2")]
    named = storage.written(as_csv([{"provider": "atlas", "batch_id": batch} for batch in batches]))
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
    assert set(connection.sync().ends.values()) == {"INCOMPLETE"}
