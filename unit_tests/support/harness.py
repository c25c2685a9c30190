"""A connection like Airbyte's: settings, states, and a warehouse that upserts."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, TypeVar

import orjson
from airbyte_cdk.models import (
    AirbyteMessage,
    AirbyteMessageSerializer,
    AirbyteStateMessage,
    AirbyteStateMessageSerializer,
    AirbyteStream,
    AirbyteStreamState,
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
from source_docextract.http.network import Network
from source_docextract.http.rate_limit import RetryPolicy
from unit_tests.support.connector_process import ForkedProcess, start_connector

_T = TypeVar("_T")

START = datetime(2026, 11, 20, 9, 0, tzinfo=timezone.utc)
"""The time at which the clocks of all sandboxes in the tests start."""

IMPATIENT = RetryPolicy(max_tries=3, first_wait=0.005, max_wait=0.01)
"""Retries that cost the tests no time."""

log = logging.getLogger("airbyte.test")


@dataclass
class SyncResult:
    """The output of one sync, and its requests.

    Attributes:
        messages: all messages, in order.
        requests: number of requests by endpoint.
        error: the exception that ended the sync, or None.
    """

    messages: list[AirbyteMessage] = field(default_factory=list)
    requests: dict[str, int] = field(default_factory=dict)
    error: AirbyteTracedException | None = None

    @property
    def records(self) -> dict[str, list[dict[str, Any]]]:
        """Return the emitted rows by stream."""
        records: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for message in self.messages:
            if message.record:
                records[message.record.stream].append(message.record.data)
        return dict(records)

    @property
    def counts(self) -> dict[str, int]:
        """Return the number of emitted rows by stream; streams without rows are left out."""
        return {stream: len(rows) for stream, rows in self.records.items()}

    @property
    def states(self) -> list[str]:
        """Return the streams of the STATE messages, in the order of the messages."""
        return [get_stream_part(message.state).stream_descriptor.name for message in self.messages if message.state]

    @property
    def statuses(self) -> dict[str, list[str]]:
        """Return all statuses of each stream, in order."""
        statuses: defaultdict[str, list[str]] = defaultdict(list)
        for message in self.messages:
            trace = message.trace
            if trace and trace.type is TraceType.STREAM_STATUS:
                statuses[trace.stream_status.stream_descriptor.name].append(trace.stream_status.status.value)
        return dict(statuses)

    @property
    def final_statuses(self) -> dict[str, str]:
        """Return the last status of each stream."""
        return {stream: statuses[-1] for stream, statuses in self.statuses.items()}

    def ids(self, stream: str) -> list[str]:
        """Return the ids of a stream's rows, in the order of emission."""
        return [row["id"] for row in self.records.get(stream, [])]


class Connection:
    """One connection to a sandbox, over HTTP or another network.

    Attributes:
        network: the way to the sandbox; None for HTTP.
        settings: the settings of the next sync, with the addresses and keys of the sandbox. Tests change them.
        clock_offset: how far the connector's clock is ahead of the sandbox's.
        state: the last state of each stream.
        warehouse: the last row of each id, by stream.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        url: str,
        settings: dict[str, Any],
        *,
        network: Network | None = None,
        retry_policy: RetryPolicy = IMPATIENT,
    ) -> None:
        self.sandbox = sandbox
        self.url = url
        self.network = network
        self.clock_offset = timedelta()
        self.source = SourceDocextract(
            now=lambda: sandbox.clock.now() + self.clock_offset, retry_policy=retry_policy, network=network
        )
        self.state: dict[str, AirbyteStateMessage] = {}
        self._streams_by_settings: dict[bytes, list[AirbyteStream]] = {}
        self.warehouse: defaultdict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        self.repeated_ids: defaultdict[str, set[str]] = defaultdict(set)
        """Ids of rows that were emitted again unchanged, although the state that the sync started from covers them."""
        self._uncovered_ids: defaultdict[str, set[str]] = defaultdict(set)
        """Ids of rows that earlier syncs emitted and that no state covers."""
        self._emitted_ids: defaultdict[str, set[str]] = defaultdict(set)
        """Ids of rows that this sync emitted and that no state covers yet."""
        self.settings = deepcopy(settings)
        for provider, base_url in sandbox.get_base_urls(url).items():
            if provider in self.settings:
                section = self.settings[provider]
                section.update({"base_url": base_url, **sandbox.credentials[provider], **section})
        if "extracta" in self.settings:
            self.settings["extracta"].setdefault("seconds_between_requests", 0)

    @property
    def streams(self) -> list[str]:
        """Return the streams that the current settings offer."""
        return [stream.name for stream in self._discover()]

    def sync(
        self,
        *streams: str,
        catalog: ConfiguredAirbyteCatalog | None = None,
        full_refresh: bool = False,
        sync_id: int | None = None,
        stop_after: int | None = None,
    ) -> SyncResult:
        """Run one sync in this process.

        Args:
            streams: the streams to select, all by default.
            catalog: a configured catalog, in place of `streams`.
            full_refresh: read in full instead of incrementally.
            sync_id: the id that Airbyte gives to a full refresh.
            stop_after: close the generator of messages after so many of them.
        """
        result = SyncResult()
        self.sandbox.journal.clear()
        self._begin_sync()
        mode = SyncMode.full_refresh if full_refresh else SyncMode.incremental
        catalog = catalog or self.catalog(*streams, mode=mode, sync_id=sync_id)
        messages = self.source.read(log, self.settings, catalog, [copy_state(state) for state in self.state.values()])
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
        """Run a sync in a process, and kill it after so many records and states."""
        with self.start_process(*streams) as process:
            assert process.stdout
            for line in process.stdout:
                message_count -= self.handle_line(line).type in {Type.RECORD, Type.STATE}
                if not message_count:
                    process.send_signal(signal.SIGKILL)
                    break

    @contextmanager
    def start_process(
        self, *streams: str, stderr: IO[str] | None = None
    ) -> Iterator[subprocess.Popen[str] | ForkedProcess]:
        """Start a sync in a process whose lines the caller reads.

        The process is killed at the end of the block.
        """
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
            with start_connector(["read", *arguments], now=now, stderr=stderr) as process:
                try:
                    yield process
                finally:
                    process.kill()

    def handle_line(self, line: str) -> AirbyteMessage:
        """Take in one line of a process, as the platform would."""
        message = AirbyteMessageSerializer.load(json.loads(line))
        self._handle_message(message)
        return message

    def catalog(
        self, *streams: str, mode: SyncMode = SyncMode.incremental, sync_id: int | None = None
    ) -> ConfiguredAirbyteCatalog:
        """Return a configured catalog of the named streams, of all streams by default."""
        return ConfiguredAirbyteCatalog(
            streams=[
                ConfiguredAirbyteStream(
                    stream=stream,
                    sync_mode=mode,
                    destination_sync_mode=DestinationSyncMode.append_dedup,
                    sync_id=sync_id,
                )
                for stream in self._discover()
                if not streams or stream.name in streams
            ]
        )

    def _discover(self) -> list[AirbyteStream]:
        """Return the streams that the settings offer; each settings are discovered once.

        Typed tables depend on the templates of the providers as well.
        """
        if self.settings.get("typed_tables"):
            return list(self.source.discover(log, self.settings).streams)
        key = orjson.dumps(self.settings)
        if key not in self._streams_by_settings:
            self._streams_by_settings[key] = self.source.discover(log, self.settings).streams
        return self._streams_by_settings[key]

    def get_state_json(self, stream: str) -> dict[str, Any]:
        """Return a stream's state as plain JSON."""
        dumped: dict[str, Any] = AirbyteStateMessageSerializer.dump(self.state[stream])
        state_json: dict[str, Any] = dumped["stream"]["stream_state"]
        return state_json

    def _handle_message(self, message: AirbyteMessage) -> None:
        if message.type is Type.RECORD:
            assert message.record
            self._store_row(message.record.stream, message.record.data)
        elif message.type is Type.STATE:
            assert message.state
            name = get_stream_part(message.state).stream_descriptor.name
            self.state[name] = copy_state(message.state)
            covered_ids = self._emitted_ids.pop(name, set())
            self._uncovered_ids[name] -= covered_ids

    def _begin_sync(self) -> None:
        """Note that rows which no state covers may be emitted again."""
        for stream, row_ids in self._emitted_ids.items():
            self._uncovered_ids[stream] |= row_ids
        self._emitted_ids.clear()

    def _store_row(self, stream: str, row: dict[str, Any]) -> None:
        previous_row = self.warehouse[stream].get(row["id"])
        if previous_row and has_same_content(previous_row, row) and row["id"] not in self._uncovered_ids[stream]:
            self.repeated_ids[stream].add(row["id"])
        self._emitted_ids[stream].add(row["id"])
        self.warehouse[stream][row["id"]] = row


def create_frozen_sandbox(*, seeds: bool = False, spacing: float = 0.0, **switches: Any) -> Sandbox:
    """Return a sandbox with a clock that the test moves."""
    return Sandbox(clock=Clock(start=START, speed=0.0), switches=Switches(**switches), spacing=spacing, seeds=seeds)


@contextmanager
def frozen_sandbox(*, seeds: bool = False, spacing: float = 0.0, **switches: Any) -> Iterator[tuple[Sandbox, str]]:
    """Serve a sandbox with a clock that the test moves; yield it and its URL."""
    sandbox = create_frozen_sandbox(seeds=seeds, spacing=spacing, **switches)
    with serve(sandbox) as url:
        yield sandbox, url


def has_same_content(row: dict[str, Any], other_row: dict[str, Any]) -> bool:
    """Return whether two rows have the same content.

    Not compared: `observed_at`, URLs of files, which are signed anew in each response, and Sensible's counter
    `waiting`. A null equals an absent column, since the command line leaves out nulls.
    """
    return _stable_content(row) == _stable_content(other_row)


def _stable_content(row: dict[str, Any]) -> dict[str, Any]:
    content = {name: value for name, value in row.items() if value is not None and name not in {"observed_at", "url"}}
    if provider_data := row.get("provider_data"):
        content["provider_data"] = {name: value for name, value in provider_data.items() if name != "waiting"}
    return content


def copy_state(state: AirbyteStateMessage) -> AirbyteStateMessage:
    """Return a state that went through JSON, as the platform keeps it.

    A copy that shares objects with the source would hide later changes.
    """
    return AirbyteStateMessageSerializer.load(orjson.loads(orjson.dumps(AirbyteStateMessageSerializer.dump(state))))


def get_stream_part(state: AirbyteStateMessage) -> AirbyteStreamState:
    """Return the part of a state message that belongs to one stream; fail if it has none."""
    assert state.stream, state
    return state.stream


def single(rows: Sequence[_T]) -> _T:
    """Return the only row; fail if there are none or several."""
    assert len(rows) == 1, rows
    return rows[0]
