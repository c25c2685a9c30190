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
from containers.build import built
from containers.engine import Engine, engine
from gcp_storage_emulator.server import RequestHandler
from gcp_storage_emulator.storage import Storage
from moto.server import ThreadedMotoServer

from sandbox import Clock, NewDocument, Sandbox, serve

pytestmark = pytest.mark.image

INSTALLED = str(Path(sys.executable).with_name("source-docextract"))
ASKED = {
    "spec": (),
    "check": ("--config", "config.json"),
    "discover": ("--config", "config.json"),
    "read": ("--config", "config.json", "--catalog", "catalog.json"),
}
"""By verb: what Airbyte calls it with."""

SIGNATURE = re.compile(r'\?[^?\s"]*Signature=[^\s"]*')
BUCKET = "acme-batches"
NAMED = "named-in-a-registry"

Messages = dict[str, list[dict[str, Any]]]
"""What was printed, by type of message."""


@dataclass(frozen=True)
class Image:
    engine: Engine
    name: str

    def run(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.engine.run(self.name, *arguments, **options)

    def python(self, expression: str) -> Any:
        """What an expression is worth in there."""
        code = f"import importlib.util, json, os, shutil; print(json.dumps({expression}))"
        done = self.run("-c", code, entrypoint="python")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@dataclass(frozen=True)
class Account:
    """A sandbox whose clock stands still, and the files that Airbyte would write for the connector."""

    folder: Path
    settings: dict[str, Any]

    def write(self, **settings: Any) -> None:
        (self.folder / "config.json").write_text(json.dumps({**self.settings, **settings}))

    def write_catalog(self) -> list[str]:
        """For all streams; returns their names."""
        [message] = self.installed("discover")["CATALOG"]
        streams = [
            {"stream": one, "sync_mode": "incremental", "destination_sync_mode": "append_dedup"}
            for one in message["catalog"]["streams"]
        ]
        (self.folder / "catalog.json").write_text(json.dumps({"streams": streams}))
        return [one["name"] for one in message["catalog"]["streams"]]

    def arguments(self, verb: str, folder: str) -> list[str]:
        return [verb, *(f"{folder}/{one}" if one.endswith(".json") else one for one in ASKED[verb])]

    def installed(self, verb: str) -> Messages:
        command = [INSTALLED, *self.arguments(verb, str(self.folder))]
        return messages(subprocess.run(command, capture_output=True, text=True, timeout=600, check=False))

    def contained(self, image: Image, verb: str, **environment: str) -> Messages:
        return messages(image.run(*self.arguments(verb, "/data"), folder=self.folder, environment=environment))


def messages(done: subprocess.CompletedProcess[str]) -> Messages:
    """Every line has to be a message."""
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
    found: Messages = defaultdict(list)
    for line in done.stdout.splitlines():
        message = json.loads(line)
        found[message["type"]].append(message)
    return found


def rows(read: Messages) -> dict[str, list[dict[str, Any]]]:
    """By stream, in the order of their ids. Without the time of reading, and links without what signs them anew."""
    found = defaultdict(list)
    for message in read["RECORD"]:
        row = json.loads(SIGNATURE.sub("", json.dumps(message["record"]["data"])))
        found[message["record"]["stream"]].append({**row, "observed_at": None})
    return {stream: sorted(of_one, key=lambda row: row["id"]) for stream, of_one in found.items()}


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    found = engine()
    with built(found) as name:
        yield Image(found, name)


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    """All that the demo has, and a batch of Atlas that only a registry names."""
    tmp_path.chmod(0o755)  # the user in a container is another one
    sandbox = Sandbox(clock=Clock(start=datetime.now(timezone.utc), speed=0))
    sandbox.fill_demo()
    pan = {"document_type": "PAN", "pan_number": {"value": "ABCDE1234F", "confidence_score": 0.9}}
    batch = sandbox.atlas.submit([NewDocument(NAMED, seconds=0, file_data=pan)])
    with (tmp_path / "batches.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("provider", "batch_id"), ("atlas", batch)])
    with serve(sandbox) as url, listening(SimpleHTTPRequestHandler, directory=str(tmp_path)) as files:
        settings = sandbox.demo_settings(url)
        account = Account(tmp_path, {**settings, "batch_registry": {"url": f"{files}/batches.csv"}})
        account.write()
        yield account


@contextmanager
def listening(handler: type, *given: Any, **options: Any) -> Iterator[str]:
    """The address of a server on this machine that logs nothing."""
    silent = type("Silent", (handler,), {"log_message": lambda *_: None})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(silent, *given, **options)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("verb", ["spec", "check", "discover"])
def test_it_answers_as_the_installed_package_does(image: Image, account: Account, verb: str) -> None:
    told = account.contained(image, verb)

    [kind] = {"SPEC", "CONNECTION_STATUS", "CATALOG"} & set(told)
    assert told[kind] == account.installed(verb)[kind]
    assert kind != "CONNECTION_STATUS" or told[kind][0]["connectionStatus"]["status"] == "SUCCEEDED"


def test_it_reads_the_rows_that_the_installed_package_reads(image: Image, account: Account) -> None:
    streams = account.write_catalog()

    contained, installed = account.contained(image, "read"), account.installed("read")

    assert sorted(rows(contained)) == sorted(streams)
    assert NAMED in str(rows(contained)["atlas_results"])
    assert rows(contained) == rows(installed)


def test_it_probes_an_account(image: Image, account: Account) -> None:
    done = image.run("probe", "--config", "/data/config.json", folder=account.folder)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("# Probe of ")
    assert "docextract-sandbox" in done.stdout
    assert "request 1 of at most 30" in done.stderr


@contextmanager
def s3(content: bytes) -> Iterator[dict[str, str]]:
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # it tells of each request
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for path, body in (("", b""), ("/batches.csv", content)):
        requests.put(f"http://{host}:{port}/{BUCKET}{path}", data=body, timeout=30).raise_for_status()
    credentials = {"AWS_ACCESS_KEY_ID": "acme", "AWS_SECRET_ACCESS_KEY": "acme", "AWS_DEFAULT_REGION": "us-east-1"}
    yield {"AWS_ENDPOINT_URL": f"http://{host}:{port}", **credentials}
    server.stop()


@contextmanager
def gs(content: bytes) -> Iterator[dict[str, str]]:
    with listening(RequestHandler, Storage(use_memory_fs=True)) as address:
        requests.post(f"{address}/storage/v1/b", json={"name": BUCKET}, timeout=30).raise_for_status()
        put = f"{address}/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name=batches.csv"
        requests.post(put, data=content, headers={"Content-Type": "text/csv"}, timeout=30).raise_for_status()
        yield {"STORAGE_EMULATOR_HOST": address}


@pytest.mark.parametrize("storage", [s3, gs])
def test_it_reads_a_registry_in_a_cloud_without_further_installation(
    image: Image, account: Account, storage: Callable[[bytes], AbstractContextManager[dict[str, str]]]
) -> None:
    account.settings["batch_registry"] = {"url": f"{storage.__name__}://{BUCKET}/batches.csv"}
    for other in ("extracta", "docmap", "sensible"):
        del account.settings[other]
    account.write()
    account.write_catalog()

    with storage((account.folder / "batches.csv").read_bytes()) as environment:
        read = account.contained(image, "read", **environment)

    assert NAMED in str(rows(read)["atlas_results"])


def test_airbyte_finds_what_it_looks_for(image: Image) -> None:
    settings = image.engine.inspected(image.name)

    assert settings["Labels"]["io.airbyte.name"] == "airbyte/source-docextract"
    assert settings["Labels"]["io.airbyte.version"] == version("source-docextract")
    assert settings["Entrypoint"] == ["python", "/airbyte/integration_code/main.py"]
    assert f"AIRBYTE_ENTRYPOINT={' '.join(settings['Entrypoint'])}" in settings["Env"]
    assert image.run("--version").stdout == f"source-docextract {version('source-docextract')}\n"
    # Its platform starts a connector by a shell.
    done = image.run("-c", 'eval "$AIRBYTE_ENTRYPOINT spec"', entrypoint="sh")
    assert messages(done)["SPEC"] == messages(image.run("spec"))["SPEC"]


def test_its_user_is_not_root_and_may_change_nothing_of_it(image: Image) -> None:
    assert image.python("os.getuid()") == 1000
    owned = "[at for at in ('/opt/docextract', '/airbyte/integration_code') for folder, _, files in os.walk(at)"
    owned += " for one in ('', *files) if os.stat(os.path.join(folder, one), follow_symlinks=False).st_uid]"
    assert image.python(owned) == []


def test_it_holds_nothing_but_the_connector_and_what_it_needs(image: Image) -> None:
    assert image.python("sorted(os.listdir('/airbyte/integration_code'))") == [
        "__pycache__",
        "main.py",
        "source_docextract",
    ]
    for module in ("pip", "pytest", "sandbox", "moto", "mypy"):
        assert image.python(f"importlib.util.find_spec({module!r})") is None
    for program in ("gcc", "make"):
        assert image.python(f"shutil.which({program!r})") is None


def test_it_brings_nothing_of_the_machine_that_built_it(image: Image) -> None:
    for secret in ("/etc/pip.conf", "/run/secrets/ca.crt"):
        assert image.python(f"os.path.exists({secret!r})") is False
    environment = " ".join(image.engine.inspected(image.name)["Env"]).lower()
    assert "proxy" not in environment
    assert "index" not in environment


def test_it_stops_when_it_is_told_to(image: Image, account: Account) -> None:
    account.settings["extracta"]["seconds_between_requests"] = 600
    account.write()
    account.write_catalog()
    arguments = account.arguments("read", "/data")
    with (
        image.engine.sealed(image.name, *arguments, folder=account.folder) as (name, command),
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process,
    ):
        assert process.stdout
        for line in process.stdout:
            if json.loads(line)["type"] == "RECORD":
                break
        image.engine.must("kill", "--signal=TERM", name)
        process.stdout.read()
        process.wait(timeout=600)

    assert process.returncode == 128 + signal.SIGTERM
