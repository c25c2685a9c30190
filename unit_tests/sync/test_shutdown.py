"""Syncs that are stopped at random moments end at once and can be resumed."""

from __future__ import annotations

import fcntl
import gc
import json
import signal
import subprocess
import sys
import termios
import threading
import time
import tracemalloc
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from random import Random
from tempfile import TemporaryFile
from typing import IO, Any

import pytest
from airbyte_cdk.models import AirbyteMessage, ConfiguredAirbyteCatalogSerializer, TraceType

from docextract_sandbox import Fault, NewDocument, Sandbox
from unit_tests.support.connector_process import start_connector
from unit_tests.support.harness import Connection, frozen_sandbox, has_same_content, log
from unit_tests.support.large_world import fill
from unit_tests.support.stub_server import send_endlessly, serve_responses, start_in_background, wait_until

HOSTS = ("extracta", "docmap", "sensible", "atlas")
SECONDS = 5.0
"""What a stop may take, from the signal to the end of the process."""


@dataclass
class StopScenario:
    """A sandbox, and the rows of an undisturbed sync of it."""

    sandbox: Sandbox
    url: str
    settings: dict[str, Any]
    uninterrupted: list[AirbyteMessage] = field(default_factory=list)
    warehouse: Connection = field(init=False)

    def __post_init__(self) -> None:
        self.warehouse = self.new_connection()
        self.uninterrupted = self.warehouse.sync().messages

    def new_connection(self) -> Connection:
        return Connection(self.sandbox, self.url, self.settings)

    def count_records(self, excluded_host: str = "") -> int:
        """Count the records, except those of one host."""
        streams = [message.record.stream for message in self.uninterrupted if message.record]
        return sum(not (excluded_host and stream.startswith(excluded_host)) for stream in streams)

    @contextmanager
    def slow_host(self, connection: Connection, kind: str, host: str) -> Iterator[None]:
        """Delay all requests to one host during the block, in one of several ways."""
        original_settings = deepcopy(connection.settings)
        if kind == "spaced":
            connection.settings["extracta"]["seconds_between_requests"] = 600
        faults = {
            "silent": Fault("stall", f"{host}.*", seconds=600),
            "trickling": Fault("trickle", f"{host}.*", seconds=600),
            "throttled": Fault("status", f"{host}.*", status=429, headers={"Retry-After": "500"}),
            "down": Fault("status", f"{host}.*", status=503, headers={"Retry-After": "500"}),
        }
        with self.sandbox.faults.apply_only(*[faults[kind]] if kind in faults else []):
            yield
        connection.settings = original_settings

    def assert_resumable(self, connection: Connection) -> None:
        """Check that a sync from the last states completes the rows.

        It repeats none, and the sync after it is quiet.
        """
        last = connection.sync()
        assert set(last.final_statuses.values()) == {"COMPLETE"}, last.error
        for stream, rows in self.warehouse.warehouse.items():
            stored_rows = connection.warehouse[stream]
            assert stored_rows.keys() == rows.keys(), stream
            assert all(has_same_content(stored_rows[key], row) for key, row in rows.items()), stream
        assert not any(connection.repeated_ids.values())
        assert connection.sync().counts == {}


@pytest.fixture(scope="module")
def stop_scenario() -> Iterator[StopScenario]:
    with frozen_sandbox() as (sandbox, url):
        yield StopScenario(sandbox, url, fill(sandbox))


KINDS = ("calm", "spaced", "silent", "trickling", "throttled", "down")


def pick_moment(stop_scenario: StopScenario, name: str) -> tuple[str, str, int]:
    """Pick a kind of delay, the delayed host and the records before the stop."""
    random = Random(name)
    kind = random.choice(KINDS)
    host = "extracta" if kind == "spaced" else random.choice(HOSTS)
    return kind, host, random.randint(1, stop_scenario.count_records(excluded_host="" if kind == "calm" else host))


def list_new_threads(existing_threads: set[threading.Thread]) -> list[threading.Thread]:
    """Return the threads of a sync that started after the given ones."""
    names = ("Extracta", "DocMap", "Sensible", "Atlas")
    return [thread for thread in set(threading.enumerate()) - existing_threads if thread.name.startswith(names)]


@pytest.mark.sample(3)
@pytest.mark.parametrize("number", range(30))
def test_read_closed_at_a_random_message_is_resumable(stop_scenario: StopScenario, number: int) -> None:
    kind, host, records = pick_moment(stop_scenario, f"close {number}")
    connection = stop_scenario.new_connection()
    existing_threads = set(threading.enumerate())
    with stop_scenario.slow_host(connection, kind, host):
        connection.sync(stop_after=records)  # or as many other messages
        wait_until(lambda: not list_new_threads(existing_threads), seconds=SECONDS)
    stop_scenario.assert_resumable(connection)


@pytest.mark.sample(2)
@pytest.mark.parametrize("host", HOSTS)
def test_read_dropped_generator_ends_the_sync(stop_scenario: StopScenario, host: str) -> None:
    connection = stop_scenario.new_connection()
    existing_threads = set(threading.enumerate())
    with stop_scenario.slow_host(connection, "silent", host):
        reading = connection.source.read(log, connection.settings, connection.catalog(), [])
        next(message for message in reading if message.record)
        wait_until(lambda: list_new_threads(existing_threads))
        del reading
        gc.collect()
        wait_until(lambda: not list_new_threads(existing_threads), seconds=SECONDS)


ABANDONED_SYNC_SCRIPT = """
import json, sys
from logging import getLogger
from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer
from source_docextract import SourceDocextract

settings, catalog = json.loads(sys.stdin.read())
reading = SourceDocextract().read(
    getLogger("airbyte"), settings, ConfiguredAirbyteCatalogSerializer.load(catalog), []
)
next(message for message in reading if message.record)
"""


@pytest.mark.parametrize(
    "kind", ["silent", *(pytest.param(kind, marks=pytest.mark.long) for kind in ("spaced", "throttled"))]
)
def test_program_with_an_abandoned_sync_exits_cleanly(stop_scenario: StopScenario, kind: str) -> None:
    connection = stop_scenario.new_connection()
    with stop_scenario.slow_host(connection, kind, "extracta"):
        config_and_catalog = json.dumps(
            [connection.settings, ConfiguredAirbyteCatalogSerializer.dump(connection.catalog())]
        )
        process_result = subprocess.run(
            [sys.executable, "-c", ABANDONED_SYNC_SCRIPT],
            input=config_and_catalog,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    assert process_result.returncode == 0, process_result.stderr
    assert "Traceback" not in process_result.stderr


@dataclass
class StoppedProcess:
    """The end of a process.

    It holds the exit code (negative for a signal), the seconds it took, and the output.
    """

    exit_code: int
    seconds: float
    messages: list[AirbyteMessage]
    errors: str

    @property
    def terminal_status_counts(self) -> Counter[str]:
        """How many last words each stream had."""
        traces = [message.trace for message in self.messages if message.trace]
        statuses = [trace.stream_status for trace in traces if trace.type is TraceType.STREAM_STATUS]
        last = [status for status in statuses if status.status.value in {"COMPLETE", "INCOMPLETE"}]
        return Counter(status.stream_descriptor.name for status in last)


def stop_process(
    connection: Connection, method: signal.Signals | None, read_lines: Callable[[IO[str]], list[AirbyteMessage]]
) -> StoppedProcess:
    """Start a sync in a process, read some of its output, stop it, and read the rest.

    The method None closes the pipe.
    """
    with TemporaryFile("w+") as errors, connection.start_process(stderr=errors) as process:
        assert process.stdout
        messages = read_lines(process.stdout)
        began = time.monotonic()
        if method is None:
            process.stdout.close()
        else:
            process.send_signal(method)
            messages += map(connection.handle_line, process.stdout)
        exit_code = process.wait(timeout=600)
        took = time.monotonic() - began
        errors.seek(0)
        return StoppedProcess(exit_code, took, messages, errors.read())


EXIT_CODES = {signal.SIGTERM: -signal.SIGTERM, signal.SIGINT: -signal.SIGINT, None: 1}
each_stop_signal = pytest.mark.parametrize("stop_signal", EXIT_CODES, ids=["SIGTERM", "SIGINT", "closed pipe"])


@each_stop_signal
@pytest.mark.parametrize("number", [pytest.param(n, marks=[pytest.mark.long] if n > 0 else []) for n in range(8)])
def test_process_stopped_at_a_random_record_is_resumable(
    stop_scenario: StopScenario, number: int, stop_signal: signal.Signals | None
) -> None:
    kind, host, records = pick_moment(stop_scenario, f"{stop_signal} {number}")
    connection = stop_scenario.new_connection()

    def read(lines: IO[str]) -> list[AirbyteMessage]:
        messages: list[AirbyteMessage] = []
        remaining = records
        while remaining:
            messages.append(connection.handle_line(lines.readline()))
            remaining -= messages[-1].record is not None
        return messages

    with stop_scenario.slow_host(connection, kind, host):
        stopped = stop_process(connection, stop_signal, read)

    assert stopped.seconds < SECONDS
    assert (stopped.exit_code, stopped.errors) == (EXIT_CODES[stop_signal], "")
    if stop_signal:
        assert stopped.terminal_status_counts == dict.fromkeys(connection.streams, 1)
    stop_scenario.assert_resumable(connection)


@each_stop_signal
def test_process_stopped_before_the_first_record_exits_cleanly(
    stop_scenario: StopScenario, stop_signal: signal.Signals | None
) -> None:
    connection = stop_scenario.new_connection()
    with serve_responses((0, {}, send_endlessly(b""))) as (registry, _):
        connection.settings["batch_registry"] = {"url": f"{registry.url}/batches.csv"}

        def read(_lines: IO[str]) -> list[AirbyteMessage]:
            wait_until(lambda: registry.received)
            return []

        stopped = stop_process(connection, stop_signal, read)

    assert stopped.seconds < SECONDS
    assert (stopped.exit_code, stopped.errors) == (EXIT_CODES[stop_signal], "")
    if stop_signal:
        assert stopped.terminal_status_counts == dict.fromkeys(connection.streams, 1)


@each_stop_signal
def test_process_stopped_after_the_last_status_exits_cleanly(
    stop_scenario: StopScenario, stop_signal: signal.Signals | None
) -> None:
    connection = stop_scenario.new_connection()

    def read(lines: IO[str]) -> list[AirbyteMessage]:
        messages: list[AirbyteMessage] = []
        remaining = len(connection.streams)
        while remaining:
            messages.append(connection.handle_line(lines.readline()))
            remaining -= StoppedProcess(0, 0, messages[-1:], "").terminal_status_counts.total()
        return messages

    stopped = stop_process(connection, stop_signal, read)

    assert stopped.seconds < SECONDS
    assert stopped.exit_code in {0, EXIT_CODES[stop_signal]}
    assert stopped.errors == ""
    assert connection.sync().counts == {}


def is_pipe_full(pipe: IO[str]) -> bool:
    """Return whether a pipe holds so much unread output that its writer has to wait."""
    waiting = array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, waiting)
    return waiting[0] > 60_000


@pytest.mark.parametrize("unbuffered", ["", pytest.param("1", marks=pytest.mark.long)])
def test_process_stopped_with_a_full_pipe_writes_whole_lines(
    stop_scenario: StopScenario, unbuffered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    connection = stop_scenario.new_connection()

    def read(lines: IO[str]) -> list[AirbyteMessage]:
        wait_until(lambda: is_pipe_full(lines))
        return []

    stopped = stop_process(connection, signal.SIGTERM, read)

    assert stopped.seconds < SECONDS
    assert (stopped.exit_code, stopped.errors) == (-signal.SIGTERM, "")
    assert stopped.terminal_status_counts == dict.fromkeys(connection.streams, 1)
    stop_scenario.assert_resumable(connection)


def test_process_stopped_with_an_unread_pipe_exits(stop_scenario: StopScenario) -> None:
    connection = stop_scenario.new_connection()
    with connection.start_process() as process:
        output = process.stdout
        assert output
        wait_until(lambda: is_pipe_full(output))
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=600)
        took = time.monotonic() - began
        *lines, _ = output.read().splitlines()  # the last one had no room
    assert took < SECONDS
    assert process.returncode == -signal.SIGTERM
    for line in lines:
        connection.handle_line(line)
    stop_scenario.assert_resumable(connection)


IGNORED_SIGNAL_SCRIPT = """
import signal, time
from source_docextract import SourceDocextract, cli

def spec(self, logger):
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    print("deaf", flush=True)
    time.sleep(60)

SourceDocextract.spec = spec
cli.main()
"""


def test_process_stopped_with_a_blocked_main_thread_exits() -> None:
    """Stop a process whose main thread is in C code, where no signal handler runs.

    A name lookup is such a case.
    """
    with start_connector(["spec"], program_text=IGNORED_SIGNAL_SCRIPT) as process:
        assert process.stdout
        assert any("deaf" in line for line in process.stdout)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=600)
        took = time.monotonic() - began
    assert process.returncode == -signal.SIGTERM
    assert took < SECONDS


def can_use_pid_namespace() -> bool:
    """Return whether a process may have a PID namespace of its own on this machine."""
    try:
        return subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(
    not can_use_pid_namespace(), reason="a PID namespace needs root; make image-test has process 1, too"
)
@pytest.mark.parametrize("stop_signal", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
@pytest.mark.parametrize("is_deaf", [pytest.param(False, marks=pytest.mark.long), True], ids=["hears", "deaf"])
def test_process_1_stopped_exits_with_the_code_of_the_signal(stop_signal: signal.Signals, is_deaf: bool) -> None:
    """Stop a process 1, which no signal with the default action ends.

    If its main thread is blocked, another thread ends it.
    """
    code = FIRST if is_deaf else FIRST.replace("signal.pthread_sigmask", "0 and signal.pthread_sigmask")
    command = ["unshare", "--pid", "--fork", "--kill-child", sys.executable, "-c", code, str(int(stop_signal)), "spec"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        output, errors = process.communicate(timeout=600)
    assert "process 1" in output
    assert '"TRACE"' not in output  # an error of the program below would end it, too
    assert (process.returncode, errors) == (128 + stop_signal, "")


FIRST = """
import os, signal, sys, threading, time
from source_docextract import SourceDocextract, cli

number = int(sys.argv.pop(1))

def spec(self, logger):
    print(f"process {os.getpid()}", flush=True)
    signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    threading.Timer(0.5, os.kill, args=(1, number)).start()
    with self.shutdown.interruptible_wait():
        time.sleep(60)

SourceDocextract.spec = spec
cli.main()
"""


BUSY = """
import logging, sys, threading
from source_docextract import SourceDocextract, cli
from source_docextract.core.redaction import sanitize, sanitize_message

def spec(self, logger):
    def forever():
        while True:
            {step}
    if "{where}" == "beside":
        threading.Thread(target=forever, daemon=True).start()
    print("busy", flush=True)
    forever()

SourceDocextract.spec = spec
cli.main()
"""
STOP_METHODS = {
    "masking": "sanitize_message('secret' * 1_400 + ' ' + '://x:' * 20_000, 4_000)",
    "logging": "logging.getLogger('airbyte').debug('%s', 'token=' * 100_000)",
    "a loop": "pass",
    "swallowing": "exec('try: sum(range(1000))\\nexcept BaseException: pass')",
}


@pytest.mark.parametrize("expected_state", ["alone", pytest.param("beside", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    "step", [pytest.param(step, marks=[] if step == "a loop" else pytest.mark.long) for step in STOP_METHODS]
)
def test_process_stopped_during_any_step_exits(step: str, expected_state: str) -> None:
    code = BUSY.format(step=STOP_METHODS[step], where=expected_state)
    with start_connector(["spec"], program_text=code) as process:
        assert process.stdout
        assert any("busy" in line for line in process.stdout)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=600)
        took = time.monotonic() - began
    assert process.returncode in {143, -signal.SIGTERM}
    assert took < SECONDS


def test_sync_flushes_records_before_waiting(stop_scenario: StopScenario) -> None:
    """Flush records and states, although no further output pushes them out."""
    connection = stop_scenario.new_connection()
    with (
        stop_scenario.slow_host(connection, "spaced", "extracta"),
        connection.start_process("extracta_files") as process,
    ):
        lines = process.stdout
        assert lines
        threads, _ = start_in_background(lambda: list(map(connection.handle_line, iter(lines.readline, ""))))
        wait_until(lambda: connection.state)
        assert len(connection.warehouse["extracta_files"]) == 5
        process.kill()
        threads[0].join(30)


def test_sync_idle_consumer_bounds_the_requests_in_flight() -> None:
    with frozen_sandbox() as (sandbox, url):
        data = {"document_type": "PAN", "name": {"value": "ASHA", "confidence_score": 0.9}}
        batches = [sandbox.atlas.submit([NewDocument("1", 0, data)]) for _ in range(100)]
        connection = Connection(sandbox, url, {"atlas": {"batch_ids": batches}, "max_in_flight": 5})
        reading = connection.source.read(log, connection.settings, connection.catalog(), [])
        next(message for message in reading if message.record)

        wait_until(lambda: sandbox.journal.count_requests().get("atlas.extracts", 0) >= 5)
        time.sleep(0.5)  # for more of them to come

        # Those on their way, and as many again, so that the wire has work while rows are made.
        assert sandbox.journal.count_requests()["atlas.extracts"] <= 2 * 5
        assert len([message for message in reading if message.record]) == 399


@pytest.mark.long
def test_sync_slow_consumer_does_not_increase_peak_memory() -> None:
    with frozen_sandbox() as (sandbox, url):
        data = {"document_type": "PAN", "name": {"value": "ASHA" * 10, "confidence_score": 0.9}}
        batches = [sandbox.atlas.submit([NewDocument(f"{number}", 0, data) for number in range(50)]) for _ in range(60)]
        connection = Connection(sandbox, url, {"atlas": {"batch_ids": batches}})

        def measure_peak(pause: float) -> int:
            tracemalloc.start()
            for message in connection.source.read(log, connection.settings, connection.catalog("atlas_files"), []):
                if message.record:
                    time.sleep(pause)
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return most

        measure_peak(0)  # what is made once for all
        assert measure_peak(0.001) <= 1.1 * max(measure_peak(0), measure_peak(0)) + 100_000
