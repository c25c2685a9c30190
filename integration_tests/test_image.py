"""The image as Airbyte runs it, beside the package that is installed here. `make image-test` runs this."""

from __future__ import annotations

import csv
import json
import logging
import re
import signal
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import requests
from gcp_storage_emulator.server import RequestHandler
from gcp_storage_emulator.storage import Storage
from moto.server import ThreadedMotoServer

from docextract_sandbox import Clock, NewDocument, Sandbox, serve
from integration_tests.containers.build import build_image
from integration_tests.containers.engine import Engine, find_engine
from unit_tests.support.blob_server import ACCOUNT, ACCOUNT_KEY, serve_blobs

pytestmark = pytest.mark.image

INSTALLED = str(Path(sys.executable).with_name("source-docextract"))
VERB_ARGUMENTS = {
    "spec": (),
    "check": ("--config", "config.json"),
    "discover": ("--config", "config.json"),
    "read": ("--config", "config.json", "--catalog", "catalog.json"),
}
"""By verb: what Airbyte calls it with."""

SIGNATURE = re.compile(r'\?[^?\s"]*Signature=[^\s"]*')
BUCKET = "acme-batches"
REGISTRY_BATCH = "named-in-a-registry"

MessagesByType = dict[str, list[dict[str, Any]]]
"""What was printed, by type of message."""


@dataclass(frozen=True)
class Image:
    engine: Engine
    name: str

    def run(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.engine.run_container(self.name, *arguments, **options)

    def python(self, expression: str) -> Any:
        """What an expression is worth in there."""
        code = f"import importlib.util, json, os, shutil; print(json.dumps({expression}))"
        result = self.run("-c", code, entrypoint="python")
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)


@dataclass(frozen=True)
class ImageTestAccount:
    """A sandbox whose clock stands still, and the files that Airbyte would write for the connector."""

    folder: Path
    settings: dict[str, Any]

    def write_files(self, **settings: Any) -> None:
        (self.folder / "config.json").write_text(json.dumps({**self.settings, **settings}))

    def write_catalog(self) -> list[str]:
        """For all streams; returns their names."""
        [message] = self.run_installed("discover")["CATALOG"]
        streams = [
            {"stream": stream, "sync_mode": "incremental", "destination_sync_mode": "append_dedup"}
            for stream in message["catalog"]["streams"]
        ]
        (self.folder / "catalog.json").write_text(json.dumps({"streams": streams}))
        return [stream["name"] for stream in message["catalog"]["streams"]]

    def arguments(self, verb: str, folder: str) -> list[str]:
        return [
            verb,
            *(f"{folder}/{argument}" if argument.endswith(".json") else argument for argument in VERB_ARGUMENTS[verb]),
        ]

    def run_installed(self, verb: str) -> MessagesByType:
        command = [INSTALLED, *self.arguments(verb, str(self.folder))]
        return parse_messages(subprocess.run(command, capture_output=True, text=True, timeout=600, check=False))

    def run_contained(self, image: Image, verb: str, **environment: str) -> MessagesByType:
        return parse_messages(image.run(*self.arguments(verb, "/data"), folder=self.folder, environment=environment))


def parse_messages(result: subprocess.CompletedProcess[str]) -> MessagesByType:
    """Every line has to be a message."""
    assert result.returncode == 0, (result.stdout + result.stderr)[-2000:]
    messages_by_type: MessagesByType = defaultdict(list)
    for line in result.stdout.splitlines():
        message = json.loads(line)
        messages_by_type[message["type"]].append(message)
    return messages_by_type


def group_rows(messages_by_type: MessagesByType) -> dict[str, list[dict[str, Any]]]:
    """By stream, in the order of their ids. Without the time of reading, and links without what signs them anew."""
    rows_by_stream = defaultdict(list)
    for message in messages_by_type["RECORD"]:
        row = json.loads(SIGNATURE.sub("", json.dumps(message["record"]["data"])))
        rows_by_stream[message["record"]["stream"]].append({**row, "observed_at": None})
    return {stream: sorted(of_one, key=lambda row: row["id"]) for stream, of_one in rows_by_stream.items()}


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    container_engine = find_engine()
    with build_image(container_engine) as name:
        yield Image(container_engine, name)


@pytest.fixture
def account(tmp_path: Path) -> Iterator[ImageTestAccount]:
    """All that the demo has, and a batch of Atlas that only a registry names."""
    tmp_path.chmod(0o755)  # the user in a container is another one
    sandbox = Sandbox(clock=Clock(start=datetime.now(timezone.utc), speed=0))
    sandbox.fill_demo()
    pan = {"document_type": "PAN", "pan_number": {"value": "ABCDE1234F", "confidence_score": 0.9}}
    batch = sandbox.atlas.submit([NewDocument(REGISTRY_BATCH, duration_seconds=0, file_data=pan)])
    with (tmp_path / "batches.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("provider", "batch_id"), ("atlas", batch)])
    with serve(sandbox) as url, serve_handler(SimpleHTTPRequestHandler, directory=str(tmp_path)) as files:
        settings = sandbox.build_settings(url)
        account = ImageTestAccount(tmp_path, {**settings, "batch_registry": {"url": f"{files}/batches.csv"}})
        account.write_files()
        yield account


@contextmanager
def serve_handler(handler: type, *handler_arguments: Any, **options: Any) -> Iterator[str]:
    """The address of a server on this machine that logs nothing."""
    silent = type("Silent", (handler,), {"log_message": lambda *_: None})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(silent, *handler_arguments, **options)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("verb", ["spec", "check", "discover"])
def test_image_messages_equal_those_of_the_package(image: Image, account: ImageTestAccount, verb: str) -> None:
    contained_messages = account.run_contained(image, verb)

    [kind] = {"SPEC", "CONNECTION_STATUS", "CATALOG"} & set(contained_messages)
    assert contained_messages[kind] == account.run_installed(verb)[kind]
    assert kind != "CONNECTION_STATUS" or contained_messages[kind][0]["connectionStatus"]["status"] == "SUCCEEDED"


def test_image_read_rows_equal_those_of_the_package(image: Image, account: ImageTestAccount) -> None:
    streams = account.write_catalog()

    contained, installed = account.run_contained(image, "read"), account.run_installed("read")

    assert sorted(group_rows(contained)) == sorted(streams)
    assert REGISTRY_BATCH in str(group_rows(contained)["atlas_results"])
    assert group_rows(contained) == group_rows(installed)


def test_image_probe_prints_a_report(image: Image, account: ImageTestAccount) -> None:
    result = image.run("probe", "--config", "/data/config.json", folder=account.folder)

    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("# Probe of ")
    assert "docextract-sandbox" in result.stdout
    assert "request 1 of at most 30" in result.stderr


@contextmanager
def serve_s3(content: bytes) -> Iterator[dict[str, str]]:
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # it logs each request
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for path, body in (("", b""), ("/batches.csv", content)):
        requests.put(f"http://{host}:{port}/{BUCKET}{path}", data=body, timeout=30).raise_for_status()
    credentials = {"AWS_ACCESS_KEY_ID": "acme", "AWS_SECRET_ACCESS_KEY": "acme", "AWS_DEFAULT_REGION": "us-east-1"}
    yield {"AWS_ENDPOINT_URL": f"http://{host}:{port}", **credentials}
    server.stop()


@contextmanager
def serve_gs(content: bytes) -> Iterator[dict[str, str]]:
    with serve_handler(RequestHandler, Storage(use_memory_fs=True)) as address:
        requests.post(f"{address}/storage/v1/b", json={"name": BUCKET}, timeout=30).raise_for_status()
        put = f"{address}/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name=batches.csv"
        requests.post(put, data=content, headers={"Content-Type": "text/csv"}, timeout=30).raise_for_status()
        yield {"STORAGE_EMULATOR_HOST": address}


@contextmanager
def serve_az(content: bytes) -> Iterator[dict[str, str]]:
    with serve_blobs() as server:
        server.blobs[f"{BUCKET}/batches.csv"] = content
        login = f"AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY}"
        yield {"AZURE_STORAGE_CONNECTION_STRING": f"{login};BlobEndpoint={server.endpoint}"}


@pytest.mark.parametrize("storage", [serve_s3, serve_gs, serve_az])
def test_image_reads_a_registry_from_cloud_storage(
    image: Image, account: ImageTestAccount, storage: Callable[[bytes], AbstractContextManager[dict[str, str]]]
) -> None:
    account.settings["batch_registry"] = {"url": f"{storage.__name__.removeprefix('serve_')}://{BUCKET}/batches.csv"}
    for other in ("extracta", "docmap", "sensible"):
        del account.settings[other]
    account.write_files()
    account.write_catalog()

    with storage((account.folder / "batches.csv").read_bytes()) as environment:
        read = account.run_contained(image, "read", **environment)

    assert REGISTRY_BATCH in str(group_rows(read)["atlas_results"])


def test_image_has_the_labels_and_entrypoint_airbyte_expects(image: Image) -> None:
    settings = image.engine.inspect_image(image.name)

    assert settings["Labels"]["io.airbyte.name"] == "airbyte/source-docextract"
    assert settings["Labels"]["io.airbyte.version"] == version("source-docextract")
    assert settings["Entrypoint"] == ["python", "/airbyte/integration_code/main.py"]
    assert f"AIRBYTE_ENTRYPOINT={' '.join(settings['Entrypoint'])}" in settings["Env"]
    assert image.run("--version").stdout == f"source-docextract {version('source-docextract')}\n"
    # Its platform starts a connector by a shell.
    result = image.run("-c", 'eval "$AIRBYTE_ENTRYPOINT spec"', entrypoint="sh")
    assert parse_messages(result)["SPEC"] == parse_messages(image.run("spec"))["SPEC"]


def test_image_user_is_not_root_and_owns_no_code(image: Image) -> None:
    assert image.python("os.getuid()") == 1000
    owned = "[at for at in ('/opt/docextract', '/airbyte/integration_code') for folder, _, files in os.walk(at)"
    owned += " for one in ('', *files) if os.stat(os.path.join(folder, one), follow_symlinks=False).st_uid]"
    assert image.python(owned) == []


def test_image_contains_only_the_connector_and_its_dependencies(image: Image) -> None:
    assert image.python("sorted(os.listdir('/airbyte/integration_code'))") == [
        "__pycache__",
        "main.py",
        "source_docextract",
    ]
    for module in ("boto3", "google.cloud.storage", "azure.storage.blob", "paramiko"):
        assert image.python(f"importlib.util.find_spec({module!r}) is not None") is True
    for module in ("pip", "pytest", "docextract_sandbox", "moto", "asyncssh", "mypy"):
        assert image.python(f"importlib.util.find_spec({module!r})") is None
    for program in ("gcc", "make"):
        assert image.python(f"shutil.which({program!r})") is None


def test_image_has_no_settings_of_the_build_machine(image: Image) -> None:
    for secret in ("/etc/pip.conf", "/run/secrets/ca.crt"):
        assert image.python(f"os.path.exists({secret!r})") is False
    environment = " ".join(image.engine.inspect_image(image.name)["Env"]).lower()
    assert "proxy" not in environment
    assert "index" not in environment


def test_image_stops_on_signal(image: Image, account: ImageTestAccount) -> None:
    account.settings["extracta"]["seconds_between_requests"] = 600
    account.write_files()
    account.write_catalog()
    arguments = account.arguments("read", "/data")
    with (
        image.engine.sealed_container(image.name, *arguments, folder=account.folder) as (name, command),
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process,
    ):
        assert process.stdout
        for line in process.stdout:
            if json.loads(line)["type"] == "RECORD":
                break
        image.engine.run_checked("kill", "--signal=TERM", name)
        process.stdout.read()
        process.wait(timeout=600)

    assert process.returncode == 128 + signal.SIGTERM
