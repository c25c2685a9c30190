"""Syncs that are stopped at random moments: they end at once, leave nothing behind, and the next sync goes on."""

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
from harness import Connection, is_same, log, world
from scripted import asked, in_background, sending, until

from sandbox import DocumentType, Fault, Link, NewDocument, NewExtraction, NewFile, Sandbox, SensibleDocument

HOSTS = ("extracta", "docmap", "sensible", "atlas")
SECONDS = 5.0
"""What a stop may take, from the signal to the end of the process."""


def fill(sandbox: Sandbox) -> dict[str, Any]:
    """Documents of all five products, more than a pipe holds, and the settings that bring them."""
    template = sandbox.extracta.create("Invoices", ["vendor"])
    batches = [
        sandbox.extracta.upload(template, [NewFile(f"{n}-{k}.pdf", 0, {"vendor": "Acme"}) for k in range(5)])
        for n in range(8)
    ]
    mail = sandbox.classification.create("Mail", [DocumentType("invoice", extraction_id=template)])
    link = Link(template, batches[0], sandbox.extracta.batch(batches[0]).files[0].file_id)
    classified = NewFile("m.pdf", 0, {"documentType": "invoice", "confidence": 0.5}, link=link)
    paths = [f"{mail}/{sandbox.classification.upload(mail, [classified])}" for _ in range(4)]
    invoices = sandbox.docmap.template("Invoices")
    for run in range(3):
        sandbox.docmap.run(invoices, [NewExtraction(f"{run}-{n}.pdf", 0, {"n": n}) for n in range(20)], f"run {run}")
    sandbox.sensible.document_type("claims")
    claims = sandbox.sensible.batch([SensibleDocument(f"{n}.pdf", 0) for n in range(30)], "claims")
    for place in range(30):
        sandbox.sensible.upload(claims, place)
    data = {"document_type": "PAN", "name": {"value": "ASHA", "confidence_score": 0.9}}
    submitted = [sandbox.atlas.submit([NewDocument(f"{n}", 0, data) for n in range(60)]) for _ in range(3)]
    extracta = {"extraction_ids": [template], "classification_batches": paths}
    return {"extracta": extracta, "docmap": {}, "sensible": {}, "atlas": {"batch_ids": submitted}}


@dataclass
class Scene:
    """An account, and what a calm sync of it brings."""

    sandbox: Sandbox
    url: str
    settings: dict[str, Any]
    calm: list[AirbyteMessage] = field(default_factory=list)
    whole: Connection = field(init=False)

    def __post_init__(self) -> None:
        self.whole = self.connection()
        self.calm = self.whole.sync().messages

    def connection(self) -> Connection:
        return Connection(self.sandbox, self.url, self.settings)

    def records(self, without: str = "") -> int:
        """How many there are, but for those of one host."""
        streams = [message.record.stream for message in self.calm if message.record]
        return sum(not (without and stream.startswith(without)) for stream in streams)

    @contextmanager
    def weather(self, connection: Connection, kind: str, host: str) -> Iterator[None]:
        """One host holds up all that ask it, in one way or another."""
        before = deepcopy(connection.settings)
        if kind == "spaced":
            connection.settings["extracta"]["seconds_between_requests"] = 600
        faults = {
            "silent": Fault("stall", f"{host}.*", seconds=600),
            "trickling": Fault("trickle", f"{host}.*", seconds=600),
            "throttled": Fault("status", f"{host}.*", status=429, headers={"Retry-After": "500"}),
            "down": Fault("status", f"{host}.*", status=503, headers={"Retry-After": "500"}),
        }
        with self.sandbox.faults.during(*[faults[kind]] if kind in faults else []):
            yield
        connection.settings = before

    def check(self, connection: Connection) -> None:
        """From the last states, a sync goes on to the same rows, repeats none that they cover, and then is quiet."""
        last = connection.sync()
        assert set(last.ends.values()) == {"COMPLETE"}, last.error
        for stream, rows in self.whole.warehouse.items():
            held = connection.warehouse[stream]
            assert held.keys() == rows.keys(), stream
            assert all(is_same(held[key], row) for key, row in rows.items()), stream
        assert not any(connection.repeated.values())
        assert connection.sync().counts == {}


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with world() as (sandbox, url):
        yield Scene(sandbox, url, fill(sandbox))


KINDS = ("calm", "spaced", "silent", "trickling", "throttled", "down")


def moment(scene: Scene, name: str) -> tuple[str, str, int]:
    """A random one: what holds up the sync, whom it asks then, and after how many records it is stopped."""
    random = Random(name)
    kind = random.choice(KINDS)
    host = "extracta" if kind == "spaced" else random.choice(HOSTS)
    return kind, host, random.randint(1, scene.records(without="" if kind == "calm" else host))


def ours(before: set[threading.Thread]) -> list[threading.Thread]:
    """The threads of a sync that began after those."""
    names = ("Extracta", "DocMap", "Sensible", "Atlas")
    return [one for one in set(threading.enumerate()) - before if one.name.startswith(names)]


@pytest.mark.parametrize("number", [pytest.param(n, marks=[pytest.mark.long] if n > 7 else []) for n in range(30)])
def test_a_consumer_may_close_at_any_moment(scene: Scene, number: int) -> None:
    kind, host, records = moment(scene, f"close {number}")
    connection = scene.connection()
    before = set(threading.enumerate())
    with scene.weather(connection, kind, host):
        connection.sync(stop_after=records)  # or as many other messages
        until(lambda: not ours(before), seconds=SECONDS)
    scene.check(connection)


@pytest.mark.parametrize("host", HOSTS)
def test_a_consumer_may_walk_away_without_a_word(scene: Scene, host: str) -> None:
    connection = scene.connection()
    before = set(threading.enumerate())
    with scene.weather(connection, "silent", host):
        reading = connection.source.read(log, connection.settings, connection.catalog(), [])
        next(message for message in reading if message.record)
        until(lambda: ours(before))
        del reading
        gc.collect()
        until(lambda: not ours(before), seconds=SECONDS)


LEFT = """
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


@pytest.mark.parametrize("kind", ["spaced", "silent", "throttled"])
def test_a_program_ends_though_a_sync_was_left_in_the_middle(scene: Scene, kind: str) -> None:
    connection = scene.connection()
    with scene.weather(connection, kind, "extracta"):
        told = json.dumps([connection.settings, ConfiguredAirbyteCatalogSerializer.dump(connection.catalog())])
        done = subprocess.run(
            [sys.executable, "-c", LEFT], input=told, capture_output=True, text=True, timeout=50, check=False
        )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


@dataclass
class Stopped:
    """How a process ended: its exit code (of a signal: less than 0), the seconds that took, and what it wrote."""

    code: int
    took: float
    messages: list[AirbyteMessage]
    errors: str

    @property
    def ends(self) -> Counter[str]:
        """How many last words each stream had."""
        traces = [message.trace for message in self.messages if message.trace]
        statuses = [trace.stream_status for trace in traces if trace.type is TraceType.STREAM_STATUS]
        last = [status for status in statuses if status.status.value in {"COMPLETE", "INCOMPLETE"}]
        return Counter(status.stream_descriptor.name for status in last)


def stop(
    connection: Connection, how: signal.Signals | None, after: Callable[[IO[str]], list[AirbyteMessage]]
) -> Stopped:
    """Starts a sync in a process, reads a part of what it says, stops it, and reads the rest. None closes the pipe."""
    with TemporaryFile("w+") as errors, connection.process(errors=errors) as process:
        assert process.stdout
        messages = after(process.stdout)
        began = time.monotonic()
        if how is None:
            process.stdout.close()
        else:
            process.send_signal(how)
            messages += map(connection.take_line, process.stdout)
        process.wait(timeout=30)
        took = time.monotonic() - began
        errors.seek(0)
        return Stopped(process.returncode, took, messages, errors.read())


CODES = {signal.SIGTERM: -signal.SIGTERM, signal.SIGINT: -signal.SIGINT, None: 1}
hows = pytest.mark.parametrize("how", CODES, ids=["SIGTERM", "SIGINT", "closed pipe"])


@hows
@pytest.mark.parametrize("number", [pytest.param(n, marks=[pytest.mark.long] if n > 2 else []) for n in range(30)])
def test_a_process_may_be_stopped_at_any_moment(scene: Scene, number: int, how: signal.Signals | None) -> None:
    kind, host, records = moment(scene, f"{how} {number}")
    connection = scene.connection()

    def read(lines: IO[str]) -> list[AirbyteMessage]:
        messages: list[AirbyteMessage] = []
        while sum(message.record is not None for message in messages) < records:
            messages.append(connection.take_line(lines.readline()))
        return messages

    with scene.weather(connection, kind, host):
        stopped = stop(connection, how, read)

    assert stopped.took < SECONDS
    assert (stopped.code, stopped.errors) == (CODES[how], "")
    if how:
        assert stopped.ends == dict.fromkeys(connection.streams, 1)
    scene.check(connection)


@hows
def test_a_stop_may_come_before_the_first_record(scene: Scene, how: signal.Signals | None) -> None:
    connection = scene.connection()
    with asked((0, {}, sending(b""))) as (registry, _):
        connection.settings["batch_registry"] = {"url": f"{registry.url}/batches.csv"}

        def read(_lines: IO[str]) -> list[AirbyteMessage]:
            until(lambda: registry.seen)
            return []

        stopped = stop(connection, how, read)

    assert stopped.took < SECONDS
    assert (stopped.code, stopped.errors) == (CODES[how], "")
    if how:
        assert stopped.ends == dict.fromkeys(connection.streams, 1)


@hows
def test_a_stop_may_come_after_the_last_word(scene: Scene, how: signal.Signals | None) -> None:
    connection = scene.connection()

    def read(lines: IO[str]) -> list[AirbyteMessage]:
        ended: list[AirbyteMessage] = []
        while Stopped(0, 0, ended, "").ends.total() < len(connection.streams):
            ended.append(connection.take_line(lines.readline()))
        return ended

    stopped = stop(connection, how, read)

    assert stopped.took < SECONDS
    assert stopped.code in {0, CODES[how]}
    assert stopped.errors == ""
    assert connection.sync().counts == {}


def is_full(pipe: IO[str]) -> bool:
    """Whether so much lies in it unread that who writes has to wait."""
    waiting = array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, waiting)
    return waiting[0] > 60_000


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_stop_tears_no_line_that_waits_for_its_reader(
    scene: Scene, unbuffered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    connection = scene.connection()

    def read(lines: IO[str]) -> list[AirbyteMessage]:
        until(lambda: is_full(lines))
        return []

    stopped = stop(connection, signal.SIGTERM, read)

    assert stopped.took < SECONDS
    assert (stopped.code, stopped.errors) == (-signal.SIGTERM, "")
    assert stopped.ends == dict.fromkeys(connection.streams, 1)
    scene.check(connection)


def test_a_reader_who_reads_no_more_holds_no_process(scene: Scene) -> None:
    connection = scene.connection()
    with connection.process() as process:
        assert process.stdout
        until(lambda: is_full(process.stdout))
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
        took = time.monotonic() - began
        *lines, _ = process.stdout.read().splitlines()  # the last one had no room
    assert took < SECONDS
    assert process.returncode == -signal.SIGTERM
    for line in lines:
        connection.take_line(line)
    scene.check(connection)


DEAF = """
import signal, time
from source_docextract import SourceDocextract, run

def spec(self, logger):
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    print("deaf", flush=True)
    time.sleep(60)

SourceDocextract.spec = spec
run.main()
"""


def test_a_process_ends_though_its_main_thread_hears_nothing() -> None:
    """As while a name is looked up: that goes on in C, where no signal is heard."""
    with subprocess.Popen([sys.executable, "-c", DEAF, "spec"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert any("deaf" in line for line in process.stdout)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
        took = time.monotonic() - began
    assert process.returncode == -signal.SIGTERM
    assert took < SECONDS


def can_be_first() -> bool:
    """Whether a process may have a PID namespace of its own here."""
    try:
        return subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not can_be_first(), reason="a PID namespace needs root; make image-test has process 1, too")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("is_deaf", [False, True], ids=["hears", "deaf"])
def test_process_1_that_is_stopped_exits_with_the_code_of_the_signal(how: signal.Signals, is_deaf: bool) -> None:
    """Given a process 1, which no signal with the default action ends, when it is stopped, then it ends all the same.

    Where its main thread hears nothing, another thread ends it."""
    code = FIRST if is_deaf else FIRST.replace("signal.pthread_sigmask", "0 and signal.pthread_sigmask")
    command = ["unshare", "--pid", "--fork", "--kill-child", sys.executable, "-c", code, str(int(how)), "spec"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        said, errors = process.communicate(timeout=60)
    assert "process 1" in said
    assert (process.returncode, errors) == (128 + how, "")


FIRST = """
import os, signal, sys, threading, time
from source_docextract import SourceDocextract, run

number = int(sys.argv.pop(1))

def spec(self, logger):
    print(f"process {os.getpid()}", flush=True)
    signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    threading.Thread(target=os.kill, args=(1, number)).start()
    with self.stop.waiting():
        time.sleep(60)

SourceDocextract.spec = spec
run.main()
"""


BUSY = """
import logging, sys, threading
from source_docextract import SourceDocextract, run
from source_docextract.plain import plain, sentences

def spec(self, logger):
    def forever():
        while True:
            {step}
    if "{where}" == "beside":
        threading.Thread(target=forever, daemon=True).start()
    print("busy", flush=True)
    forever()

SourceDocextract.spec = spec
run.main()
"""
STEPS = {
    "masking": "sentences('secret' * 1_400 + ' ' + '://x:' * 20_000, 4_000)",
    "logging": "logging.getLogger('airbyte').debug('%s', 'token=' * 100_000)",
    "a loop": "pass",
    "swallowing": "exec('try: sum(range(1000))\\nexcept BaseException: pass')",
}


@pytest.mark.parametrize("where", ["alone", "beside"])
@pytest.mark.parametrize("step", STEPS)
def test_process_told_to_stop_ends_whatever_it_is_busy_with(step: str, where: str) -> None:
    code = BUSY.format(step=STEPS[step], where=where)
    with subprocess.Popen([sys.executable, "-c", code, "spec"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert any("busy" in line for line in process.stdout)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
        took = time.monotonic() - began
    assert process.returncode in {143, -signal.SIGTERM}
    assert took < SECONDS


def test_what_has_been_read_is_out_before_a_sync_waits(scene: Scene) -> None:
    """Records and state, though nothing comes behind them to push them out."""
    connection = scene.connection()
    with scene.weather(connection, "spaced", "extracta"), connection.process("extracta_files") as process:
        lines = process.stdout
        assert lines
        threads, _ = in_background(lambda: list(map(connection.take_line, iter(lines.readline, ""))))
        until(lambda: connection.state)
        assert len(connection.warehouse["extracta_files"]) == 5
        process.kill()
        threads[0].join(30)


def test_work_in_flight_is_bounded_where_a_consumer_falls_asleep() -> None:
    with world() as (sandbox, url):
        data = {"document_type": "PAN", "name": {"value": "ASHA", "confidence_score": 0.9}}
        batches = [sandbox.atlas.submit([NewDocument("1", 0, data)]) for _ in range(100)]
        connection = Connection(sandbox, url, {"atlas": {"batch_ids": batches}, "max_in_flight": 5})
        reading = connection.source.read(log, connection.settings, connection.catalog(), [])
        next(message for message in reading if message.record)

        until(lambda: sandbox.journal.counts().get("atlas.extracts", 0) >= 5)
        time.sleep(0.5)  # for more of them to come

        # Those on their way, and as many again, so that the wire has work while rows are made.
        assert sandbox.journal.counts()["atlas.extracts"] <= 2 * 5
        assert len([message for message in reading if message.record]) == 399


def test_a_slow_consumer_makes_memory_no_larger() -> None:
    with world() as (sandbox, url):
        data = {"document_type": "PAN", "name": {"value": "ASHA" * 10, "confidence_score": 0.9}}
        batches = [sandbox.atlas.submit([NewDocument(f"{n}", 0, data) for n in range(50)]) for _ in range(60)]
        connection = Connection(sandbox, url, {"atlas": {"batch_ids": batches}})

        def peak(pause: float) -> int:
            tracemalloc.start()
            for message in connection.source.read(log, connection.settings, connection.catalog("atlas_files"), []):
                if message.record:
                    time.sleep(pause)
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return most

        peak(0)  # what is made once for all
        assert peak(0.001) <= 1.1 * max(peak(0), peak(0)) + 100_000
