"""The connector as Airbyte runs it: a process that speaks JSON lines."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from docextract_sandbox import Clock, Fault, NewDocument, NewFile, Sandbox, serve
from unit_tests.support.connector_process import run_to_end, start_connector

KEY = "sandbox-extracta-key"


@dataclass
class CommandLineSetup:
    """A served sandbox, and the files that Airbyte would write for the connector."""

    folder: Path
    sandbox: Sandbox
    settings: dict[str, Any]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command line to its end, in a process that is forked unless the test is a longer proof."""
        return run_to_end(self.expand(*arguments))

    def run_installed(self, *arguments: str, module: bool = False) -> subprocess.CompletedProcess[str]:
        """Run what pip has installed, in a new Python."""
        return subprocess.run(self.command(*arguments, module=module), capture_output=True, text=True, check=False)

    def command(self, *arguments: str, module: bool = False) -> list[str]:
        start = [sys.executable, "-m", "source_docextract"]
        if not module:
            start = [str(Path(sys.executable).with_name("source-docextract"))]
        return [*start, *self.expand(*arguments)]

    def expand(self, *arguments: str) -> list[str]:
        """Write the settings, and return the arguments with the folder of their files."""
        (self.folder / "config.json").write_text(json.dumps(self.settings))
        return [str(self.folder / argument) if argument.endswith(".json") else argument for argument in arguments]

    def write_catalog(self, *stream_names: str) -> list[str]:
        [message] = filter_messages(self.run("discover", "--config", "config.json"), "CATALOG")
        streams = [
            stream for stream in message["catalog"]["streams"] if not stream_names or stream["name"] in stream_names
        ]
        configured = [
            {"stream": stream, "sync_mode": "incremental", "destination_sync_mode": "append_dedup"}
            for stream in streams
        ]
        (self.folder / "catalog.json").write_text(json.dumps({"streams": configured}))
        return [stream["name"] for stream in streams]


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[CommandLineSetup]:
    clock = Clock(start=datetime.now(timezone.utc), speed=1)
    sandbox = Sandbox(clock=clock, seeds=False, spacing=0)
    template = sandbox.extracta.create("Invoices", ["vendor"])
    for number in range(6):
        sandbox.extracta.upload(template, [NewFile(f"{number}.pdf", duration_seconds=0, result={"vendor": "Acme"})])
    pan = {"document_type": "PAN", "pan_number": {"value": "ABCDE1234F", "confidence_score": 0.9}}
    batch = sandbox.atlas.submit([NewDocument(f"{number}", duration_seconds=0, file_data=pan) for number in range(60)])
    with serve(sandbox) as url:
        base = sandbox.get_base_urls(url)
        extracta = {"extraction_ids": [template], "seconds_between_requests": 0, "base_url": base["extracta"]}
        atlas = {"batch_ids": [batch], "base_url": base["atlas"], **sandbox.credentials["atlas"]}
        settings = {"extracta": {**extracta, **sandbox.credentials["extracta"]}, "atlas": atlas}
        yield CommandLineSetup(tmp_path, sandbox, settings)


def parse_messages(output: str) -> list[dict[str, Any]]:
    """Every line has to be a message."""
    return [json.loads(line) for line in output.splitlines() if line]


def filter_messages(result: subprocess.CompletedProcess[str], kind: str) -> list[dict[str, Any]]:
    return [message for message in parse_messages(result.stdout) if message["type"] == kind]


def test_spec_script_and_module_outputs_are_equal(setup: CommandLineSetup) -> None:
    specs = [filter_messages(setup.run_installed("spec", module=module), "SPEC") for module in (False, True)]

    assert specs[0] == specs[1]
    assert set(specs[0][0]["spec"]["connectionSpecification"]["properties"]) >= {"extracta", "atlas", "lookback_days"}


def test_command_without_arguments_prints_help(setup: CommandLineSetup) -> None:
    result = setup.run()

    assert result.returncode == 0
    assert "read" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr


def test_check_wrong_credentials_or_setting_names_the_setting(setup: CommandLineSetup) -> None:
    [good] = filter_messages(setup.run("check", "--config", "config.json"), "CONNECTION_STATUS")
    assert good["connectionStatus"]["status"] == "SUCCEEDED"

    setup.settings["extracta"]["api_key"] = "a-wrong-extracta-key"
    setup.settings["atlas"]["client_secret"] = "a-wrong-atlas-secret"
    result = setup.run("check", "--config", "config.json")
    [bad] = filter_messages(result, "CONNECTION_STATUS")
    assert bad["connectionStatus"]["status"] == "FAILED"
    assert "Check extracta.api_key." in bad["connectionStatus"]["message"]
    assert "Check atlas.client_id and atlas.client_secret." in bad["connectionStatus"]["message"]
    assert "a-wrong" not in result.stdout + result.stderr

    setup.settings["lookback_days"] = -1
    [worse] = filter_messages(setup.run("check", "--config", "config.json"), "CONNECTION_STATUS")
    assert worse["connectionStatus"]["message"] == "lookback_days must be at least 0."


def test_check_unknown_template_fails(setup: CommandLineSetup) -> None:
    setup.settings["extracta"]["extraction_ids"].append("-Onobody")

    [status] = filter_messages(setup.run("check", "--config", "config.json"), "CONNECTION_STATUS")

    assert status["connectionStatus"]["status"] == "FAILED"
    assert "-Onobody" in status["connectionStatus"]["message"]


def test_read_resumes_from_its_states_without_records(setup: CommandLineSetup) -> None:
    streams = setup.write_catalog()
    first = setup.run_installed("read", "--config", "config.json", "--catalog", "catalog.json")
    assert first.returncode == 0
    rows = Counter(message["record"]["stream"] for message in filter_messages(first, "RECORD"))
    assert rows == {
        "extracta_batches": 6,
        "extracta_files": 6,
        "extracta_results": 6,
        "extracta_fields": 6,
        "atlas_batches": 1,
        "atlas_files": 60,
        "atlas_results": 60,
        "atlas_fields": 60,
    }
    states = {
        message["state"]["stream"]["stream_descriptor"]["name"]: message for message in filter_messages(first, "STATE")
    }
    assert sorted(states) == sorted(streams)
    (setup.folder / "state.json").write_text(json.dumps([message["state"] for message in states.values()]))

    second = setup.run("read", "--config", "config.json", "--catalog", "catalog.json", "--state", "state.json")

    assert second.returncode == 0
    assert filter_messages(second, "RECORD") == []
    assert len(filter_messages(second, "STATE")) == len(streams)
    lines = [message["log"]["message"] for message in filter_messages(second, "LOG")]
    [summary] = [line for line in lines if line.startswith("Extracta.ai:")]
    assert summary.startswith("Extracta.ai: 1 request; batches 0 open, 6 settled")


def test_read_state_counts_records_since_the_previous_state(setup: CommandLineSetup) -> None:
    setup.write_catalog()

    result = setup.run("read", "--config", "config.json", "--catalog", "catalog.json")

    counted: Counter[str] = Counter()
    record_count = 0
    for message in parse_messages(result.stdout):
        if message["type"] == "RECORD":
            counted[message["record"]["stream"]] += 1
        elif message["type"] == "STATE":
            stream = message["state"]["stream"]["stream_descriptor"]["name"]
            assert message["state"]["sourceStats"]["recordCount"] == counted.pop(stream, 0)
            record_count += 1
    assert record_count > 8
    assert not counted


def test_read_failed_provider_exits_1_after_the_others_are_synced(setup: CommandLineSetup) -> None:
    setup.write_catalog()
    setup.settings["extracta"]["api_key"] = "a-wrong-extracta-key"

    result = setup.run("read", "--config", "config.json", "--catalog", "catalog.json")

    assert result.returncode == 1
    assert len(filter_messages(result, "RECORD")) == 181
    traces = [message["trace"] for message in filter_messages(result, "TRACE")]
    errors = [trace["error"] for trace in traces if trace["type"] == "ERROR"]
    assert {error["failure_type"] for error in errors} == {"config_error"}
    assert errors[-1]["message"].startswith("4 of 8 streams are incomplete; the others are complete.")
    assert "a-wrong-extracta-key" not in result.stdout + result.stderr


def test_read_after_a_failed_batch_requests_only_that_batch(setup: CommandLineSetup) -> None:
    streams = setup.write_catalog()
    setup.settings["lookback_days"] = 0
    arguments = ["read", "--config", "config.json", "--catalog", "catalog.json"]
    [template] = setup.settings["extracta"]["extraction_ids"]
    broken = setup.sandbox.extracta.list_batch_ids(template)[2]
    with setup.sandbox.faults.apply_only(Fault("status", "extracta.getBatchResults", about=broken, status=501)):
        first = setup.run(*arguments)

    assert first.returncode == 1
    batches = {message["record"]["data"].get("batch_id") for message in filter_messages(first, "RECORD")} - {None}
    assert batches == {*setup.sandbox.extracta.list_batch_ids(template), *setup.settings["atlas"]["batch_ids"]} - {
        broken
    }
    concerned = [stream for stream in streams if stream.startswith("extracta")]
    traces = [message["trace"] for message in filter_messages(first, "TRACE")]
    expected_text = [trace["error"]["message"] for trace in traces if trace["type"] == "ERROR"][-1]
    assert expected_text.startswith(
        f"{len(concerned)} of {len(streams)} streams are incomplete; the others are complete."
    )
    states = {
        message["state"]["stream"]["stream_descriptor"]["name"]: message for message in filter_messages(first, "STATE")
    }
    (setup.folder / "state.json").write_text(json.dumps([message["state"] for message in states.values()]))
    setup.sandbox.journal.clear()
    second = setup.run(*arguments, "--state", "state.json")

    assert second.returncode == 0
    records = [message["record"] for message in filter_messages(second, "RECORD")]
    assert {record["stream"] for record in records} == set(concerned)
    assert {record["data"].get("batch_id") for record in records} - {None} == {broken}
    assert setup.sandbox.journal.count_requests() == {"extracta.viewExtraction": 1, "extracta.getBatchResults": 1}


@pytest.mark.parametrize(("command", "stop_signal"), [("read", signal.SIGTERM), ("check", signal.SIGINT)])
def test_stop_signal_does_not_wait_for_a_pending_response(
    setup: CommandLineSetup, stop_signal: signal.Signals, command: str
) -> None:
    setup.write_catalog()
    with silent_server() as (url, request_received):
        setup.settings["extracta"]["base_url"] = url
        catalog = ["--catalog", "catalog.json"] if command == "read" else []
        started = setup.expand(command, "--config", "config.json", *catalog)
        with start_connector(started, stderr=subprocess.PIPE) as process:
            assert request_received.wait(600)
            began = time.monotonic()
            process.send_signal(stop_signal)
            output, errors = process.communicate(timeout=600)
            took = time.monotonic() - began
    assert parse_messages(output)
    assert (process.returncode, errors) == (-stop_signal, "")
    assert took < 5


@contextmanager
def silent_server() -> Iterator[tuple[str, threading.Event]]:
    """Serve connections without ever responding; the event is set by the first request."""
    request_received = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken: list[socket.socket] = []

        def listen() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    taken.append(connection)
                    if connection.recv(1):
                        request_received.set()

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", request_received
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)
            for connection in taken:
                connection.close()


def test_debug_logs_contain_no_secret(setup: CommandLineSetup) -> None:
    setup.write_catalog()

    result = setup.run("read", "--debug", "--config", "config.json", "--catalog", "catalog.json")

    assert result.returncode == 0
    secrets = [*setup.sandbox.credentials["extracta"].values(), *setup.sandbox.credentials["atlas"].values()]
    logs = [line for line in result.stdout.splitlines() if '"type":"RECORD"' not in line]
    assert [line for line in logs if "getBatchResults" in line]
    for secret in (*secrets, "eyJ", "X-Signature"):
        assert not [line for line in [*logs, result.stderr] if secret in line]
