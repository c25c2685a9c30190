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

from docextract_sandbox import Clock, Sandbox, Switches, serve
from source_docextract import SourceDocextract
from source_docextract.http.rate_limit import RetryPolicy

_SUBPROCESS_ENTRY = str(Path(__file__).parent / "subprocess_entry.py")

START = datetime(2026, 11, 20, 9, 0, tzinfo=timezone.utc)
IMPATIENT = RetryPolicy(max_tries=3, first_wait=0.005, max_wait=0.01)

log = logging.getLogger("airbyte.test")


@dataclass
class SyncResult:
    """What one sync printed and asked for."""

    messages: list[AirbyteMessage] = field(default_factory=list)
    requests: dict[str, int] = field(default_factory=dict)
    error: AirbyteTracedException | None = None

    @property
    def records(self) -> dict[str, list[dict[str, Any]]]:
        records: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for message in self.messages:
            if message.record:
                records[message.record.stream].append(message.record.data)
        return dict(records)

    @property
    def counts(self) -> dict[str, int]:
        return {stream: len(rows) for stream, rows in self.records.items()}

    @property
    def states(self) -> list[str]:
        """The streams of the STATE messages, in the order of the messages."""
        return [message.state.stream.stream_descriptor.name for message in self.messages if message.state]

    @property
    def statuses(self) -> dict[str, list[str]]:
        statuses: defaultdict[str, list[str]] = defaultdict(list)
        for message in self.messages:
            trace = message.trace
            if trace and trace.type is TraceType.STREAM_STATUS:
                statuses[trace.stream_status.stream_descriptor.name].append(trace.stream_status.status.value)
        return dict(statuses)

    @property
    def final_statuses(self) -> dict[str, str]:
        """The last status of each stream."""
        return {stream: statuses[-1] for stream, statuses in self.statuses.items()}

    def ids(self, stream: str) -> list[str]:
        return [row["id"] for row in self.records.get(stream, [])]


class Connection:
    """One connection to a served sandbox."""

    def __init__(self, sandbox: Sandbox, url: str, settings: dict[str, Any]) -> None:
        self.sandbox = sandbox
        self.url = url
        self.clock_offset = timedelta()
        self.source = SourceDocextract(now=lambda: sandbox.clock.now() + self.clock_offset, retry_policy=IMPATIENT)
        self.state: dict[str, AirbyteStateMessage] = {}
        self.warehouse: defaultdict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        self.repeated_ids: defaultdict[str, set[str]] = defaultdict(set)
        """Ids of rows that came again unchanged though the state that the sync started from covers them."""
        self._uncovered_ids: defaultdict[str, set[str]] = defaultdict(set)
        """Ids of rows that were delivered before this sync, and that no state covers."""
        self._emitted_ids: defaultdict[str, set[str]] = defaultdict(set)
        """The same, of this sync."""
        self.settings = deepcopy(settings)
        for provider, base_url in sandbox.get_base_urls(url).items():
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
    ) -> SyncResult:
        """Reads the streams, all by default. With `stop_after` the reader walks away after so many messages."""
        result = SyncResult()
        self.sandbox.journal.clear()
        self._begin_sync()
        mode = SyncMode.full_refresh if full_refresh else SyncMode.incremental
        catalog = catalog or self.catalog(*streams, mode=mode, sync_id=sync_id)
        messages = self.source.read(log, self.settings, catalog, deepcopy(list(self.state.values())))
        try:
            for number, message in enumerate(messages, start=1):
                result.messages.append(message)
                self._handle_message(message)
                if number == stop_after:
                    break
        except AirbyteTracedException as error:
            result.error = error
        finally:
            messages.close()
        result.requests = self.sandbox.journal.count_requests()
        return result

    def sync_and_kill(self, *streams: str, message_count: int) -> None:
        """Reads in a process of its own, which is killed when it has written so many messages."""
        with self.start_process(*streams) as process:
            assert process.stdout
            for line in process.stdout:
                message_count -= self.handle_line(line).type in {Type.RECORD, Type.STATE}
                if not message_count:
                    process.send_signal(signal.SIGKILL)
                    break

    @contextmanager
    def start_process(self, *streams: str, stderr: IO[str] | None = None) -> Iterator[subprocess.Popen[str]]:
        """A sync in a process of its own, whose lines are to be taken; what is left of it in the end is killed."""
        self._begin_sync()
        with TemporaryDirectory() as folder:
            contents_by_name = {
                "config": self.settings,
                "catalog": ConfiguredAirbyteCatalogSerializer.dump(self.catalog(*streams)),
                "state": [AirbyteStateMessageSerializer.dump(state) for state in self.state.values()],
            }
            for name, content in contents_by_name.items():
                (Path(folder) / name).write_text(json.dumps(content))
            arguments = [f"--{name}={Path(folder) / name}" for name in contents_by_name]
            now = (self.sandbox.clock.now() + self.clock_offset).isoformat()
            # On a Python that is no longer supported, the clients of Google's storage say so to standard error.
            command = [sys.executable, "-W", "ignore::FutureWarning", _SUBPROCESS_ENTRY, now, "read", *arguments]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True) as process:
                try:
                    yield process
                finally:
                    process.kill()

    def handle_line(self, line: str) -> AirbyteMessage:
        message = AirbyteMessageSerializer.load(json.loads(line))
        self._handle_message(message)
        return message

    def catalog(
        self, *streams: str, mode: SyncMode = SyncMode.incremental, sync_id: int | None = None
    ) -> ConfiguredAirbyteCatalog:
        streams_found = self.source.discover(log, self.settings).streams
        return ConfiguredAirbyteCatalog(
            streams=[
                ConfiguredAirbyteStream(
                    stream=stream,
                    sync_mode=mode,
                    destination_sync_mode=DestinationSyncMode.append_dedup,
                    sync_id=sync_id,
                )
                for stream in streams_found
                if not streams or stream.name in streams
            ]
        )

    def get_state_json(self, stream: str) -> dict[str, Any]:
        """A stream's state as plain JSON."""
        dumped: dict[str, Any] = AirbyteStateMessageSerializer.dump(self.state[stream])
        state_json: dict[str, Any] = dumped["stream"]["stream_state"]
        return state_json

    def _handle_message(self, message: AirbyteMessage) -> None:
        if message.type is Type.RECORD:
            self._store_row(message.record.stream, message.record.data)
        elif message.type is Type.STATE:
            # As the platform does: through JSON, so that nothing is shared with the source.
            copy = AirbyteStateMessageSerializer.load(AirbyteStateMessageSerializer.dump(message.state))
            self.state[message.state.stream.stream_descriptor.name] = deepcopy(copy)
            covered_ids = self._emitted_ids.pop(message.state.stream.stream_descriptor.name, set())
            self._uncovered_ids[message.state.stream.stream_descriptor.name] -= covered_ids

    def _begin_sync(self) -> None:
        """What no state covers may come again."""
        for stream, row_ids in self._emitted_ids.items():
            self._uncovered_ids[stream] |= row_ids
        self._emitted_ids.clear()

    def _store_row(self, stream: str, row: dict[str, Any]) -> None:
        previous_row = self.warehouse[stream].get(row["id"])
        if previous_row and has_same_content(previous_row, row) and row["id"] not in self._uncovered_ids[stream]:
            self.repeated_ids[stream].add(row["id"])
        self._emitted_ids[stream].add(row["id"])
        self.warehouse[stream][row["id"]] = row


@contextmanager
def frozen_sandbox(*, seeds: bool = False, spacing: float = 0.0, **switches: Any) -> Iterator[tuple[Sandbox, str]]:
    """A served sandbox whose clock stands still until it is moved."""
    sandbox = Sandbox(clock=Clock(start=START, speed=0.0), switches=Switches(**switches), spacing=spacing, seeds=seeds)
    with serve(sandbox) as url:
        yield sandbox, url


def has_same_content(row: dict[str, Any], other_row: dict[str, Any]) -> bool:
    """Whether two rows say the same: links to files aside, which are signed anew in each answer, and counters.

    A null is as good as nothing: the command line leaves out columns that are null.
    """
    return _stable_content(row) == _stable_content(other_row)


def _stable_content(row: dict[str, Any]) -> dict[str, Any]:
    content = {name: value for name, value in row.items() if value is not None and name not in {"observed_at", "url"}}
    if provider_data := row.get("provider_data"):
        content["provider_data"] = {name: value for name, value in provider_data.items() if name != "waiting"}
    return content


def single(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    assert len(rows) == 1, rows
    return rows[0]
