"""Random schedules of events in all accounts, with interrupted syncs in between.

The sandbox counts days in any time zone, its pages are short, and settings are narrowed and widened in between. At the
end everything finishes. Then one more sync must make the warehouse equal to the sandbox, for every stream of every
provider, and the sync after that must emit nothing.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

from airbyte_cdk.models import ConfiguredAirbyteCatalog, ConfiguredAirbyteStream
from airbyte_cdk.utils.traced_exception import AirbyteTracedException
from hypothesis import HealthCheck, seed
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from docextract_sandbox import TRANSIENT_4XX_FAULTS, Fault, Sandbox
from unit_tests.support.accounts import ACCOUNTS, Account
from unit_tests.support.harness import Connection, SyncResult, frozen_sandbox, has_same_content
from unit_tests.support.leaf_cases import collect_leaves, get_original_value

STREAM_KINDS = ("batches", "files", "results", "fields")
STREAMS = [f"{account.product}_{kind}" for account in ACCOUNTS for kind in STREAM_KINDS]
EVENTS = sorted({(account_index, event) for account_index, account in enumerate(ACCOUNTS) for event in account.events})
NUMBERS = st.integers(0, 7)
FAULT_STATUSES = (429, 500, 503, 501, 200)
"""Statuses of the responses to inject; those with 200 have an unreadable body."""
STREAM_SUBSETS = st.sets(st.sampled_from(STREAMS), min_size=1)
HOSTS = ("extracta", "docmap", "sensible", "atlas")
LISTING_HOSTS = ("docmap", "sensible")
"""The providers with lists by creation time."""
ZONES = ("UTC", "Etc/GMT+8", "Pacific/Kiritimati", "Etc/GMT+12", "Asia/Kolkata", "America/New_York")
SWITCHES = st.fixed_dictionaries(
    {
        "classification_batches": st.booleans(),
        "atlas_total_counts_extracted": st.booleans(),
        "atlas_error_in_file_data": st.booleans(),
        "extracta_start_time": st.sampled_from(("ms", "http", "seconds_and_nanoseconds", "nanoseconds", "words")),
        "sensible_portfolios": st.sampled_from(("whole", "no_documents", "no_output")),
        "sensible_postprocessed": st.booleans(),
        "docmap_zone": st.sampled_from(ZONES),
        "docmap_scan": st.sampled_from((0, 8)),
        "docmap_cursor_inclusive": st.booleans(),
        "docmap_cursor_rows_only": st.booleans(),
        "sensible_scan": st.sampled_from((0, 3)),
        "sensible_status_filter": st.sampled_from(("obeyed", "ignored", "refused", "first")),
    }
)
ID_ENDPOINTS = (
    "extracta.getBatchResults",
    "extracta.getResults",
    "docmap.extraction",
    "sensible.document",
    "sensible.batch",
    "atlas.extracts",
)
_MAX_ELAPSED_DAYS = 24
"""The most days that pass in a schedule with a lookback of 30 days, so that every edit falls into it."""


class Schedule(RuleBasedStateMachine):
    """A random schedule over one sandbox, one connection and five accounts.

    Attributes:
        kill_process: interrupt syncs by killing a process, instead of closing the generator.
        extra_settings: settings of the connection beside those of the accounts.
    """

    kill_process: ClassVar[bool] = False
    extra_settings: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.known_streams: list[ConfiguredAirbyteStream] = []

    @initialize(
        sees_all_changes=st.booleans(),
        short_lookback=st.sampled_from((0, 1, 3)),
        lookback_checks=st.sampled_from(("thinning", "every_sync")),
        switches=SWITCHES,
    )
    def begin(
        self, sees_all_changes: bool, short_lookback: int, lookback_checks: str, switches: dict[str, Any]
    ) -> None:
        """Serve a sandbox with random switches, and create the accounts."""
        self.sandbox, url = self.open_sandbox(switches)
        settings: dict[str, Any] = {
            "lookback_days": 30 if sees_all_changes else short_lookback,
            "give_up_after_days": 3650,
            "lookback_checks": lookback_checks,
            **deepcopy(self.extra_settings),
        }
        self.accounts: list[Account] = [account(self.sandbox, settings, sees_all_changes) for account in ACCOUNTS]
        self.connection = self.connect(url, settings)
        for account in self.accounts:
            account.settings = self.connection.settings
        self.sees_all_changes = sees_all_changes
        self.elapsed_days = 0
        self.had_unknown_ids = False

    def open_sandbox(self, switches: dict[str, Any]) -> tuple[Sandbox, str]:
        """Return a new sandbox and its URL; it is served until the end of the schedule."""
        return self._stack.enter_context(frozen_sandbox(**switches))

    def connect(self, url: str, settings: dict[str, Any]) -> Connection:
        """Return a new connection to the sandbox, without a state."""
        return Connection(self.sandbox, url, settings)

    @rule(event=st.sampled_from(EVENTS), pick=NUMBERS, variant=NUMBERS)
    def apply_event(self, event: tuple[int, str], pick: int, variant: int) -> None:
        """Let one event happen in one account."""
        account_index, name = event
        getattr(self.accounts[account_index], name)(pick, variant)

    @rule(hours=st.integers(1, 30), days=st.sampled_from((0, 0, 1, 4, 9)))
    def advance_clock(self, hours: int, days: int) -> None:
        """Let time pass, within the lookback where every edit must be seen."""
        if self.sees_all_changes and self.elapsed_days + days + 2 > _MAX_ELAPSED_DAYS:
            return
        self.elapsed_days += days + hours // 24 + 1
        self.sandbox.clock.advance(seconds=3600 * hours, days=days)

    @rule(days=st.sampled_from((None, 0, 2, 5, 40)))
    def move_start_date(self, days: int | None) -> None:
        """Move `start_date` back or forward, or drop it.

        A day that was compacted under another start date may be read once more, so its rows may be repeated.
        """
        self.connection.settings.pop("start_date", None)
        if days is not None:
            start = self.sandbox.clock.now() - timedelta(days=days, minutes=1)
            self.connection.settings["start_date"] = start.isoformat()
        for account in self.accounts:
            account.may_repeat_batches = True
            account.may_repeat_rows = account.may_repeat_rows or account.host not in LISTING_HOSTS

    @rule(streams=STREAM_SUBSETS)
    def sync_streams(self, streams: set[str]) -> None:
        """Sync some streams."""
        self.sync(streams)

    @rule(streams=STREAM_SUBSETS, stop_after=st.integers(1, 150))
    def interrupt_sync(self, streams: set[str], stop_after: int) -> None:
        """Sync some streams, and interrupt the sync after some messages."""
        if self.kill_process:
            self.connection.sync_and_kill(*self.filter_available(streams), message_count=stop_after)
        else:
            self.sync(streams, stop_after)

    @rule(
        streams=STREAM_SUBSETS,
        host=st.sampled_from(HOSTS),
        times=st.integers(1, 12),
        status=st.sampled_from(FAULT_STATUSES),
    )
    def sync_with_faults(self, streams: set[str], host: str, times: int, status: int) -> None:
        """Sync while half of one provider's requests fail."""
        fault = Fault("status", f"{host}.*", times=times, share=0.5, status=status, body=[] if status == 200 else "")
        with self.sandbox.faults.apply_only(fault):
            self.sync(streams)

    @rule(
        streams=STREAM_SUBSETS,
        host=st.sampled_from(HOSTS),
        times=st.integers(1, 12),
        name=st.sampled_from(sorted(TRANSIENT_4XX_FAULTS)),
        share=st.sampled_from((0.3, 1.0)),
    )
    def sync_with_refusals(self, streams: set[str], host: str, times: int, name: str, share: float) -> None:
        """Sync while requests are rejected: a rejection proves nothing about a partition."""
        fault = replace(TRANSIENT_4XX_FAULTS[name], endpoint=f"{host}.*", times=times, share=share)
        with self.sandbox.faults.apply_only(fault):
            self.sync(streams)

    @rule(streams=STREAM_SUBSETS, endpoint=st.sampled_from(ID_ENDPOINTS), times=st.integers(1, 12))
    def sync_with_unknown_ids(self, streams: set[str], endpoint: str, times: int) -> None:
        """Sync while ids are unknown: named or listed partitions must be retried later."""
        self.had_unknown_ids = True
        with self.sandbox.faults.apply_only(Fault("unknown id", endpoint, times=times)):
            self.sync(streams)

    def sync(self, streams: set[str], stop_after: int | None = None) -> None:
        """Sync those of the streams that exist."""
        self.connection.sync(*self.filter_available(streams), stop_after=stop_after)

    def filter_available(self, streams: set[str]) -> list[str]:
        """Return those of the streams that exist, at least one."""
        matches = [stream for stream in self.connection.streams if stream in streams]
        return matches or self.connection.streams[:1]

    def teardown(self) -> None:
        """Check the promises at the end of the schedule."""
        with self._stack:
            if hasattr(self, "accounts"):
                self.check()

    def sync_all(self) -> SyncResult:
        """Sync all streams."""
        return self.connection.sync()

    def check(self) -> None:
        """Finish everything, sync, and compare the warehouse with the sandbox."""
        self.connection.settings.pop("start_date", None)
        for account in self.accounts:
            account.choose_all()
        # Twice: a classification that finishes may hand its file on to an extraction, which has to finish too.
        for account in (*self.accounts, *self.accounts):
            account.finish()
        if self.had_unknown_ids:
            # Missing partitions are polled at growing intervals: the next poll is due when their age has doubled.
            self.sync_all()
        if self.had_unknown_ids or self.connection.settings["lookback_checks"] == "thinning":
            # An edit arrives once the age that its batch had has doubled, or when the lookback ends.
            self.sandbox.clock.advance(days=self.elapsed_days + 2)
        last_sync = self.sync_all()
        assert set(last_sync.final_statuses.values()) == {"COMPLETE"}, last_sync.error
        fresh_connection = self.connect(self.connection.url, self.connection.settings)
        assert set(fresh_connection.sync().final_statuses.values()) == {"COMPLETE"}
        for account in self.accounts:
            self.check_rows(account)
            self.check_fields(account)
            self.check_columns(account, fresh_connection)
            self.check_repeats(account)
        assert self.connection.sync().counts == {}

    def check_rows(self, account: Account) -> None:
        """Compare the rows of files and results with the sandbox itself."""
        expected_rows = account.list_expected_rows()
        files = self.connection.warehouse[f"{account.product}_files"]
        results = self.connection.warehouse[f"{account.product}_results"]
        actual_rows = {
            key: (row["status"], results[key]["data"] if key in results else None) for key, row in files.items()
        }
        assert actual_rows.keys() - account.exempt_ids == expected_rows.keys() - account.exempt_ids
        for key, row in expected_rows.items():
            assert key in account.exempt_ids or actual_rows[key] == row, (key, actual_rows[key], row)
            assert key not in actual_rows or actual_rows[key][0] == row[0] or key in account.exempt_ids, key

    def check_fields(self, account: Account) -> None:
        """Compare the field rows of every result with an independent flattening."""
        values: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        for row in select_current_fields(self.connection, account.product).values():
            values[row["result_key"]][row["path"]] = get_original_value(row)
        for key, result in self.connection.warehouse[f"{account.product}_results"].items():
            expected = collect_leaves(result["data"], account.product)
            assert key.split("#")[0] in account.exempt_ids or values[key] == expected, (key, values[key], expected)

    def check_columns(self, account: Account, fresh_connection: Connection) -> None:
        """Compare every column of every stream with the warehouse of a new connection."""
        for kind in STREAM_KINDS:
            stream = f"{account.product}_{kind}"
            rows, expected_rows = self.connection.warehouse[stream], fresh_connection.warehouse[stream]
            if kind == "fields":
                rows = select_current_fields(self.connection, account.product)
            exempt_keys = {key for key in rows.keys() | expected_rows.keys() if key.split("#")[0] in account.exempt_ids}
            assert rows.keys() - exempt_keys == expected_rows.keys() - exempt_keys, stream
            for key, row in expected_rows.items():
                assert key in exempt_keys or has_same_content(rows[key], row), (stream, rows[key], row)

    def check_repeats(self, account: Account) -> None:
        """Check that no row was repeated unchanged, except where the events allow it."""
        # All accounts of the host: a repeated classification hands its files on to the extractions.
        same_host_accounts = [other for other in self.accounts if other.host == account.host]
        if not any(other.may_repeat_rows for other in same_host_accounts):
            for stream, keys in self.connection.repeated_ids.items():
                is_batches = stream.endswith("_batches")
                if stream.rsplit("_", 1)[0] == account.product and not (is_batches and account.may_repeat_batches):
                    assert not keys, (stream, keys)


def select_current_fields(connection: Connection, product: str) -> dict[str, dict[str, Any]]:
    """Return the field rows whose digest is that of their result.

    The others are left over from before an edit.
    """
    results = connection.warehouse[f"{product}_results"]
    rows = connection.warehouse[f"{product}_fields"]
    digests = {key: row["digest"] for key, row in results.items()}
    return {key: row for key, row in rows.items() if row["digest"] == digests.get(row["result_key"])}


class KilledSchedule(Schedule):
    """A schedule whose interrupted syncs are killed processes.

    One more is killed at the end.
    """

    kill_process = True

    @initialize(kill_after=st.integers(1, 40))
    def choose_kill_time(self, kill_after: int) -> None:
        """Choose after how many messages the last process is killed."""
        self.kill_after = kill_after

    def check(self) -> None:
        for account in self.accounts:
            account.finish()
        self.connection.sync_and_kill(*self.connection.streams, message_count=self.kill_after)
        super().check()


class TypedSchedule(Schedule):
    """A schedule with typed tables, discovered before each sync.

    If the discovery fails, the last known tables are used.
    """

    extra_settings: ClassVar[dict[str, Any]] = {"typed_tables": True}

    def __init__(self) -> None:
        super().__init__()
        self.emitted_data: dict[str, Any] = {}
        """The status and the data behind each row of a typed table when it was last emitted, by the row's id."""

    def sync(self, streams: set[str], stop_after: int | None = None) -> None:
        with suppress(AirbyteTracedException):
            self.known_streams = self.connection.catalog().streams
        hosts = {stream.split("_")[0] for stream in streams}
        chosen = [
            configured_stream
            for configured_stream in self.known_streams
            if configured_stream.stream.name in streams or self.is_typed(configured_stream.stream.name, hosts)
        ]
        with self.excuse_changed_data():
            self.connection.sync(
                catalog=ConfiguredAirbyteCatalog(streams=chosen or self.known_streams[:1]), stop_after=stop_after
            )

    def sync_all(self) -> SyncResult:
        with self.excuse_changed_data():
            return super().sync_all()

    @contextmanager
    def excuse_changed_data(self) -> Iterator[None]:
        """Do not count rows of this sync as repeated whose data changed in a field without a column.

        A row of a typed table is due again when its data changes, whether or not a column shows it.
        """
        rows_before = {stream: dict(rows) for stream, rows in self.connection.warehouse.items()}
        repeated_before = {stream: set(row_ids) for stream, row_ids in self.connection.repeated_ids.items()}
        yield
        for account in self.accounts:
            expected_rows = account.list_expected_rows()
            for stream in self.connection.warehouse.keys() - STREAMS:
                if not stream.startswith(f"{account.product}_"):
                    continue
                for row_id, row in self.connection.warehouse[stream].items():
                    if rows_before.get(stream, {}).get(row_id) is row:
                        continue  # this sync did not emit it
                    data = expected_rows.get(row_id.split("#")[0])
                    if data != self.emitted_data.get(row_id) and row_id not in repeated_before.get(stream, ()):
                        self.connection.repeated_ids[stream].discard(row_id)
                    self.emitted_data[row_id] = deepcopy(data)

    def is_typed(self, name: str, hosts: Collection[str]) -> bool:
        """Return whether a stream is a typed table of one of the hosts."""
        return name not in STREAMS and name.split("_", maxsplit=1)[0] in hosts

    def check(self) -> None:
        self.known_streams = self.connection.catalog().streams
        assert len(self.known_streams) > len(STREAMS)
        super().check()

    def check_columns(self, account: Account, fresh_connection: Connection) -> None:
        """Compare typed tables as well, in the columns each row had when emitted."""
        super().check_columns(account, fresh_connection)
        for stream in fresh_connection.warehouse.keys() - STREAMS:
            if stream.startswith(f"{account.product}_") and account.product != "extracta_classification":
                rows, expected_rows = self.connection.warehouse[stream], fresh_connection.warehouse[stream]
                exempt_keys = {
                    key for key in rows.keys() | expected_rows.keys() if key.split("#")[0] in account.exempt_ids
                }
                assert rows.keys() - exempt_keys == expected_rows.keys() - exempt_keys, stream
                for key in expected_rows.keys() - exempt_keys:
                    expected_row = {name: expected_rows[key].get(name) for name in rows[key]}
                    assert has_same_content(rows[key], expected_row), (stream, rows[key], expected_rows[key])


def run_schedule(schedule: type[Schedule], examples: int, steps: int, part: int = 0) -> None:
    """Play random schedules, and fail with the shortest one that breaks a promise.

    Each run plays the same ones, so a failure belongs to the change that it comes with. `SCHEDULE_SEED`, a number in
    the environment, chooses others.

    Args:
        schedule: the kind of schedule.
        examples: number of schedules.
        steps: the most steps of one schedule.
        part: the number of the part, each with other schedules.
    """
    number = 1000 * int(os.environ.get("SCHEDULE_SEED", "0")) + part
    run_state_machine_as_test(
        seed(number)(schedule),
        settings=hypothesis_settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
