"""A connection as Airbyte keeps one: settings, the last state of each stream, and a warehouse that upserts by id."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from airbyte_cdk.models import (
    AirbyteMessage,
    AirbyteMessageSerializer,
    AirbyteStateMessage,
    AirbyteStateMessageSerializer,
    ConfiguredAirbyteCatalog,
    ConfiguredAirbyteCatalogSerializer,
    ConfiguredAirbyteStream,
    DestinationSyncMode,
    SyncMode,
    TraceType,
    Type,
)
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from sandbox import Clock, Sandbox, Switches, serve
from source_docextract import SourceDocextract
from source_docextract.pacing import Patience

_KILLED = str(Path(__file__).parent / "killed.py")

START = datetime(2026, 11, 20, 9, 0, tzinfo=timezone.utc)
IMPATIENT = Patience(tries=3, first_wait=0.005, longest_wait=0.01)

log = logging.getLogger("airbyte.test")


@dataclass
class Synced:
    """What one sync printed and asked for."""

    messages: list[AirbyteMessage] = field(default_factory=list)
    requests: dict[str, int] = field(default_factory=dict)
    error: AirbyteTracedException | None = None

    @property
    def records(self) -> dict[str, list[dict[str, Any]]]:
        found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for message in self.messages:
            if message.record:
                found[message.record.stream].append(message.record.data)
        return dict(found)

    @property
    def counts(self) -> dict[str, int]:
        return {stream: len(rows) for stream, rows in self.records.items()}

    @property
    def states(self) -> list[str]:
        """The streams of the STATE messages, in the order of the messages."""
        return [message.state.stream.stream_descriptor.name for message in self.messages if message.state]

    @property
    def statuses(self) -> dict[str, list[str]]:
        found: defaultdict[str, list[str]] = defaultdict(list)
        for message in self.messages:
            trace = message.trace
            if trace and trace.type is TraceType.STREAM_STATUS:
                found[trace.stream_status.stream_descriptor.name].append(trace.stream_status.status.value)
        return dict(found)

    @property
    def ends(self) -> dict[str, str]:
        """The last status of each stream."""
        return {stream: statuses[-1] for stream, statuses in self.statuses.items()}

    def ids(self, stream: str) -> list[str]:
        return [row["id"] for row in self.records.get(stream, [])]


class Connection:
    """One connection to a served sandbox."""

    def __init__(self, sandbox: Sandbox, url: str, settings: dict[str, Any]) -> None:
        self.sandbox = sandbox
        self.url = url
        self.clock_is_off_by = timedelta()
        self.source = SourceDocextract(now=lambda: sandbox.clock.now() + self.clock_is_off_by, patience=IMPATIENT)
        self.state: dict[str, AirbyteStateMessage] = {}
        self.warehouse: defaultdict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        self.repeated: defaultdict[str, set[str]] = defaultdict(set)
        """Ids of rows that came again unchanged though the state that the sync started from covers them."""
        self._uncovered: defaultdict[str, set[str]] = defaultdict(set)
        """Ids of rows that were delivered before this sync, and that no state covers."""
        self._emitted: defaultdict[str, set[str]] = defaultdict(set)
        """The same, of this sync."""
        self.settings = deepcopy(settings)
        for provider, base_url in sandbox.base_urls(url).items():
            if provider in self.settings:
                section = self.settings[provider]
                section.update({"base_url": base_url, **sandbox.credentials[provider], **section})
        if "extracta" in self.settings:
            self.settings["extracta"].setdefault("seconds_between_requests", 0)

    @property
    def streams(self) -> list[str]:
        return [stream.name for stream in self.source.discover(log, self.settings).streams]

    def sync(
        self,
        *streams: str,
        catalog: ConfiguredAirbyteCatalog | None = None,
        full_refresh: bool = False,
        sync_id: int | None = None,
        stop_after: int | None = None,
    ) -> Synced:
        """Reads the streams, all by default. With `stop_after` the reader walks away after so many messages."""
        synced = Synced()
        self.sandbox.journal.clear()
        self._begin()
        mode = SyncMode.full_refresh if full_refresh else SyncMode.incremental
        catalog = catalog or self.catalog(*streams, mode=mode, sync_id=sync_id)
        reading = self.source.read(log, self.settings, catalog, deepcopy(list(self.state.values())))
        try:
            for number, message in enumerate(reading, start=1):
                synced.messages.append(message)
                self._take(message)
                if number == stop_after:
                    break
        except AirbyteTracedException as error:
            synced.error = error
        finally:
            reading.close()
        synced.requests = self.sandbox.journal.counts()
        return synced

    def sync_and_kill(self, *streams: str, after: int) -> None:
        """Reads in a process of its own, which is killed when it has written so many messages."""
        with self.process(*streams) as process:
            assert process.stdout
            for line in process.stdout:
                after -= self.take_line(line).type in {Type.RECORD, Type.STATE}
                if not after:
                    process.send_signal(signal.SIGKILL)
                    break

    @contextmanager
    def process(self, *streams: str, errors: IO[str] | None = None) -> Iterator[subprocess.Popen[str]]:
        """A sync in a process of its own, whose lines are to be taken; what is left of it in the end is killed."""
        self._begin()
        with TemporaryDirectory() as folder:
            files = {
                "config": self.settings,
                "catalog": ConfiguredAirbyteCatalogSerializer.dump(self.catalog(*streams)),
                "state": [AirbyteStateMessageSerializer.dump(state) for state in self.state.values()],
            }
            for name, content in files.items():
                (Path(folder) / name).write_text(json.dumps(content))
            arguments = [f"--{name}={Path(folder) / name}" for name in files]
            now = (self.sandbox.clock.now() + self.clock_is_off_by).isoformat()
            # On a Python that is no longer supported, the clients of Google's storage say so to standard error.
            command = [sys.executable, "-W", "ignore::FutureWarning", _KILLED, now, "read", *arguments]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process:
                try:
                    yield process
                finally:
                    process.kill()

    def take_line(self, line: str) -> AirbyteMessage:
        message = AirbyteMessageSerializer.load(json.loads(line))
        self._take(message)
        return message

    def catalog(
        self, *streams: str, mode: SyncMode = SyncMode.incremental, sync_id: int | None = None
    ) -> ConfiguredAirbyteCatalog:
        found = self.source.discover(log, self.settings).streams
        return ConfiguredAirbyteCatalog(
            streams=[
                ConfiguredAirbyteStream(
                    stream=stream,
                    sync_mode=mode,
                    destination_sync_mode=DestinationSyncMode.append_dedup,
                    sync_id=sync_id,
                )
                for stream in found
                if not streams or stream.name in streams
            ]
        )

    def state_of(self, stream: str) -> dict[str, Any]:
        """A stream's state as plain JSON."""
        dumped: dict[str, Any] = AirbyteStateMessageSerializer.dump(self.state[stream])
        document: dict[str, Any] = dumped["stream"]["stream_state"]
        return document

    def _take(self, message: AirbyteMessage) -> None:
        if message.type is Type.RECORD:
            self._keep(message.record.stream, message.record.data)
        elif message.type is Type.STATE:
            # As the platform does: through JSON, so that nothing is shared with the source.
            copy = AirbyteStateMessageSerializer.load(AirbyteStateMessageSerializer.dump(message.state))
            self.state[message.state.stream.stream_descriptor.name] = deepcopy(copy)
            covered = self._emitted.pop(message.state.stream.stream_descriptor.name, set())
            self._uncovered[message.state.stream.stream_descriptor.name] -= covered

    def _begin(self) -> None:
        """What no state covers may come again."""
        for stream, keys in self._emitted.items():
            self._uncovered[stream] |= keys
        self._emitted.clear()

    def _keep(self, stream: str, row: dict[str, Any]) -> None:
        before = self.warehouse[stream].get(row["id"])
        if before and is_same(before, row) and row["id"] not in self._uncovered[stream]:
            self.repeated[stream].add(row["id"])
        self._emitted[stream].add(row["id"])
        self.warehouse[stream][row["id"]] = row


@contextmanager
def world(*, seeds: bool = False, spacing: float = 0.0, **switches: Any) -> Iterator[tuple[Sandbox, str]]:
    """A served sandbox whose clock stands still until it is moved."""
    sandbox = Sandbox(clock=Clock(start=START, speed=0.0), switches=Switches(**switches), spacing=spacing, seeds=seeds)
    with serve(sandbox) as url:
        yield sandbox, url


def is_same(row: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two rows say the same: links to files aside, which are signed anew in each answer, and counters.

    A null is as good as nothing: the command line leaves out columns that are null.
    """
    return _said(row) == _said(other)


def _said(row: dict[str, Any]) -> dict[str, Any]:
    told = {name: value for name, value in row.items() if value is not None and name not in {"observed_at", "url"}}
    if others := row.get("provider_data"):
        told["provider_data"] = {name: value for name, value in others.items() if name != "waiting"}
    return told


def only(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    assert len(rows) == 1, rows
    return rows[0]
