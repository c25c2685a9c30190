"""The state of one stream as JSON, which Airbyte keeps between syncs. Pure.

The keys are the names of the fields of `StreamState`, `Ledger` and `Entry`. Two keys that stand in very many entries
are shorter: `rows` (`Entry.row_hashes`) and `referenced` (`Entry.last_referenced_at`). An entry stands in the section
of its status, by template, status time and id. Times are UTC, to the minute. `docs/state.md` describes each key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from itertools import chain
from typing import Any

from ..core.errors import ConfigError
from ..core.model import FileStatus, PartitionKey, PartitionRef, get_empty_object
from ..core.provider import ChangeDetection
from ..core.time_ranges import BEGINNING, TimeRange, merge_ranges
from ..core.timestamps import format_rfc3339, to_utc
from .compaction import CompactedDay
from .entries import Entry, EntryState, SyncPolicy
from .ledger import Ledger
from .passes import PASS_BY_DETECTION
from .transitions import split_row_hashes

VERSION = 3

_STATE_BY_SECTION = {
    state.value: state for state in (EntryState.OPEN, EntryState.SETTLED, EntryState.STALLED, EntryState.MISSING)
}

_SPECIAL_SECTIONS = {EntryState.UNREAD: "open", EntryState.PARTLY_MISSING: "settled"}
"""The sections of the states without one of their own; `was_read` and `missing_since` distinguish them there."""


class StreamState:
    """The state of one stream.

    Attributes:
        ledger: the partitions that this stream delivers rows of.
        reference_ledger: the partitions of another product that it reads only for their references.
        ledger_pass: the work of this sync on `ledger`.
        reference_pass: the work of this sync on `reference_ledger`.
        is_relevant: returns whether a partition can hold rows of this stream.
        table_key: the template or document type of a typed table, empty for other streams. A state serves the same
            one only.
        observed_at: the latest `observed_at` of the rows that were delivered. No later row may have an earlier one,
            even if the clock is set back.
        is_full_refresh: whether the stream is read in full. The state of a full refresh resumes that same sync and
            serves no other: Airbyte drops the rows of one that breaks off, so an incremental sync would miss them.
        sync_id: the platform's number of a full refresh, the same in all its attempts; None if the platform gives none.
        stream_name: the name of the stream. The state contains it, so that the state of another stream is refused.
    """

    def __init__(
        self,
        policy: SyncPolicy,
        sync_id: int | None = None,
        *,
        stream_name: str = "",
        change_detection: ChangeDetection = ChangeDetection.POLLING,
        reference_detection: ChangeDetection = ChangeDetection.POLLING,
        reference_policy: SyncPolicy | None = None,
        table_key: str = "",
        partition_filter: Callable[[PartitionRef], bool] | None = None,
    ) -> None:
        stream_policy = replace(policy, partition_filter=partition_filter)
        self.is_relevant = stream_policy.is_relevant
        self.ledger, self.reference_ledger = Ledger(), Ledger()
        self.ledger_pass = PASS_BY_DETECTION[change_detection](self.ledger, stream_policy)
        self.reference_pass = PASS_BY_DETECTION[reference_detection](self.reference_ledger, reference_policy or policy)
        self._policy = policy
        self.table_key = table_key
        self.observed_at: datetime | None = None
        self.is_full_refresh = sync_id is not None
        self.sync_id = sync_id
        self.stream_name = stream_name

    def __len__(self) -> int:
        """Return the number of items in the JSON form, which its size grows with."""
        return len(self.ledger) + len(self.reference_ledger)

    def as_json(self) -> dict[str, Any]:
        """Return the state as JSON of the present version."""
        state_json: dict[str, Any] = {"version": VERSION}
        if self.stream_name:
            state_json["stream"] = self.stream_name
        state_json.update(_dump_ledger(self.ledger))
        if reference_json := _dump_ledger(self.reference_ledger):
            state_json["reference_ledger"] = reference_json
        if self.observed_at:
            state_json["observed_at"] = format_rfc3339(self.observed_at)
        if self.table_key:
            state_json["table_key"] = self.table_key
        if self.is_full_refresh:
            state_json["full_refresh"] = True if self.sync_id is None else self.sync_id
        return state_json

    def can_resume(self, state_json: Mapping[str, Any]) -> bool:
        """Return whether a state belongs to an earlier attempt of the same full refresh."""
        refresh_id = state_json.get("full_refresh")
        # `True` stands for a refresh without a number, which cannot be recognised again. In Python it also equals 1.
        return self.sync_id is not None and refresh_id is not True and refresh_id == self.sync_id

    def is_same_table(self, state_json: Mapping[str, Any]) -> bool:
        """Return whether a state, of any version, belongs to the same typed table."""
        return bool(state_json.get("table_key", state_json.get("of", "")) == self.table_key)

    def load(self, state_json: Mapping[str, Any], stream_name: str) -> StreamState:
        """Load the state of a stream, and return self.

        The state of a new stream is empty.

        Args:
            state_json: the state, of any known version.
            stream_name: the name of the stream that Airbyte passes the state for.

        Raises:
            ConfigError: if the state has an unknown version, belongs to another stream, or cannot be read after an
                edit. An unknown state is never dropped without an error: all rows would be delivered again.
        """
        if not state_json:
            return self
        if (owner := state_json.get("stream", stream_name)) != stream_name:
            raise ConfigError(
                f"The state of {stream_name} belongs to {owner}. Give each stream its own state again, or clear the "
                f"state of {stream_name} to read everything again."
            )
        version = state_json.get("version")
        # `True == 1` in Python, and an edited state may hold either.
        if version not in {VERSION, *_MIGRATIONS} or isinstance(version, bool):
            raise ConfigError(
                f"The state of {stream_name} has version {version!r}, and this connector knows versions up to "
                f"{VERSION}. Use the connector that wrote it or a newer one, or clear the stream's state to read "
                "everything again."
            )
        try:
            while (version := state_json["version"]) != VERSION:
                state_json = _MIGRATIONS[version](state_json)
            _load_ledger(self.ledger, state_json, self._policy)
            _load_ledger(self.reference_ledger, state_json.get("reference_ledger", {}), self._policy)
            self.observed_at = _parse_timestamp(state_json.get("observed_at"))
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ConfigError(
                f"The state of {stream_name} cannot be read. Undo the last edit of it, or clear the stream's state to "
                "read everything again."
            ) from None
        return self


def _dump_ledger(ledger: Ledger) -> dict[str, Any]:
    ledger_json: dict[str, Any] = {}
    for key, entry in ledger.entries.items():
        section = _SPECIAL_SECTIONS.get(entry.state, entry.state.value)
        entries_by_time = ledger_json.setdefault(section, {}).setdefault(key.template_id, {})
        entries_by_time.setdefault(_format_minute(entry.status_since), {})[key.batch_id] = _dump_entry(entry)
    days_by_template = {template_id: _dump_days(days) for template_id, days in ledger.compacted_days.items() if days}
    if days_by_template:
        ledger_json["compacted_days"] = days_by_template
    # Sorted, as the sets have no order: an unchanged state must give the same text, which is not emitted again.
    for key in sorted(ledger.failed_keys):
        ledger_json.setdefault("failed_keys", {}).setdefault(key.template_id, []).append(key.batch_id)
    if watermarks := ledger.watermarks:
        ledger_json["watermarks"] = {scope: _format_minute(moment) for scope, moment in watermarks.items()}
    if ledger.read_ranges:
        ledger_json["read_ranges"] = {
            scope: list(map(_format_range, ranges)) for scope, ranges in ledger.read_ranges.items()
        }
    if ledger.pruned_before:
        ledger_json["pruned_before"] = {scope: _format_minute(moment) for scope, moment in ledger.pruned_before.items()}
    for key in sorted(ledger.doubtful_keys):
        ledger_json.setdefault("doubtful_keys", {}).setdefault(key.template_id, []).append(key.batch_id)
    if ledger.given_up:
        ledger_json["given_up"] = "".join(sorted(ledger.given_up))
    if ledger.inactive_scopes:
        ledger_json["inactive_scopes"] = sorted(ledger.inactive_scopes)
    # To the minute, rounded down: a boundary in that minute makes one look too many, and none is left out.
    if ledger.last_complete_sync:
        ledger_json["last_complete_sync"] = _format_minute(ledger.last_complete_sync)
    if ledger.late_settled_at:
        ledger_json["late_settled_at"] = _format_minute(ledger.late_settled_at)
    return ledger_json


def _load_ledger(ledger: Ledger, ledger_json: Mapping[str, Any], policy: SyncPolicy) -> None:
    for section, state in _STATE_BY_SECTION.items():
        for template_id, entries_by_time in ledger_json.get(section, {}).items():
            for since_text, entries_json in entries_by_time.items():
                for batch_id, entry_json in entries_json.items():
                    ledger.entries[PartitionKey(template_id, batch_id)] = _load_entry(
                        entry_json, state, _parse_minute(since_text)
                    )
    for template_id, days_json in ledger_json.get("compacted_days", {}).items():
        ledger.compacted_days[template_id] = {day: _parse_day(text) for day, text in days_json.items()}
    ledger.failed_keys = _load_keys(ledger_json.get("failed_keys", {}))
    ledger.doubtful_keys = _load_keys(ledger_json.get("doubtful_keys", {}))
    ledger.given_up = set(split_row_hashes(ledger_json.get("given_up", "")))
    ledger.read_ranges = {
        scope: merge_ranges(map(_parse_range, range_texts))
        for scope, range_texts in ledger_json.get("read_ranges", {}).items()
    }
    ledger.pruned_before = {scope: _parse_minute(text) for scope, text in ledger_json.get("pruned_before", {}).items()}
    ledger.inactive_scopes = set(ledger_json.get("inactive_scopes", ()))
    ledger.last_complete_sync = _parse_optional_minute(ledger_json.get("last_complete_sync"))
    ledger.late_settled_at = _parse_optional_minute(ledger_json.get("late_settled_at"))
    for scope, text in ledger_json.get("watermarks", {}).items():
        # Only early states have a watermark without ranges: from when on the connector had read is unknown there.
        if scope not in ledger.read_ranges:
            ledger.load_watermark(scope, _parse_minute(text), policy)


def _load_keys(keys_json: Mapping[str, Any]) -> set[PartitionKey]:
    keys: set[PartitionKey] = set()
    for template_id, batch_ids in keys_json.items():
        keys.update(PartitionKey(template_id, str(batch_id)) for batch_id in batch_ids)
    return keys


def _dump_entry(entry: Entry) -> dict[str, Any]:
    # Only what differs from the default is written: 10,000 open batches have to stay below 1 MB.
    entry_json: dict[str, Any] = {}
    if entry.signature:
        entry_json["signature"] = entry.signature
    if entry.row_hashes:
        entry_json["rows"] = entry.row_hashes
    if entry.changed_rows:
        entry_json["changed_rows"] = "".join(chain.from_iterable(entry.changed_rows.items()))
    if entry.last_referenced_at:
        entry_json["referenced"] = _format_minute(entry.last_referenced_at)
    if entry.state is EntryState.UNREAD:
        entry_json["was_read"] = False
    if entry.needs_reread:
        entry_json["needs_reread"] = True
    if entry.provider_state:
        entry_json["provider_state"] = entry.provider_state
    if entry.is_pinned:
        entry_json["is_pinned"] = True
    if entry.member_statuses:
        entry_json["member_statuses"] = {
            document_id: status.value for document_id, status in entry.member_statuses.items()
        }
    # Most missing entries were found missing when they got that status: the time stands above them already.
    if entry.missing_since and (entry.state is not EntryState.MISSING or entry.missing_since != entry.status_since):
        entry_json["missing_since"] = _format_minute(entry.missing_since)
    if entry.missing_checked_at and entry.missing_checked_at != entry.missing_since:
        entry_json["missing_checked_at"] = _format_minute(entry.missing_checked_at)
    return entry_json


def _load_entry(entry_json: Mapping[str, Any], state: EntryState, status_since: datetime) -> Entry:
    missing_since = _parse_optional_minute(entry_json.get("missing_since"))
    if state is EntryState.MISSING:
        missing_since = missing_since or status_since
    if not entry_json.get("was_read", True):
        state = EntryState.UNREAD
    elif state is EntryState.SETTLED and missing_since:
        state = EntryState.PARTLY_MISSING
    return Entry(
        status_since=status_since,
        state=state,
        signature=str(entry_json.get("signature", "")),
        row_hashes=str(entry_json.get("rows", "")),
        changed_rows=_load_changed_rows(str(entry_json.get("changed_rows", ""))),
        last_referenced_at=_parse_optional_minute(entry_json.get("referenced")),
        needs_reread=bool(entry_json.get("needs_reread")),
        provider_state=str(entry_json.get("provider_state", "")),
        is_pinned=bool(entry_json.get("is_pinned")),
        member_statuses={
            str(document_id): FileStatus(status)
            for document_id, status in entry_json.get("member_statuses", {}).items()
        },
        missing_since=missing_since,
        missing_checked_at=_parse_optional_minute(entry_json.get("missing_checked_at")) or missing_since,
    )


def _load_changed_rows(joined_pairs: str) -> dict[str, str]:
    hashes = split_row_hashes(joined_pairs)
    return dict(zip(hashes, hashes, strict=True)) or get_empty_object()


def _dump_days(compacted_days: Mapping[str, CompactedDay]) -> dict[str, str]:
    return {
        day: f"{compacted_day.count}:{compacted_day.hash_sum:012x}"
        for day, compacted_day in sorted(compacted_days.items())
    }


def _parse_day(text: str) -> CompactedDay:
    count, hash_sum = text.split(":")
    return CompactedDay(int(count), int(hash_sum, 16))


def _format_minute(moment: datetime) -> str:
    """Return a time as `2026-11-20T09:00Z`.

    `strftime` would write the year 1, which some providers send for a missing time, without its leading zeros.
    """
    return moment.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec="minutes") + "Z"


def _parse_minute(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%MZ").replace(tzinfo=timezone.utc)


def _parse_optional_minute(text: str | None) -> datetime | None:
    return _parse_minute(text) if text else None


def _parse_timestamp(text: str | None) -> datetime | None:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc) if text else None


_OPEN_START = ".."
"""The start of a range without one, in the notation of ISO 8601-2."""


def _format_range(time_range: TimeRange) -> str:
    """Return a range as `<start>/<end>`.

    The start has seconds if it comes from a `start_date` that has some: rows of the same minute that are older than
    the date were not delivered.
    """
    start = time_range.start.astimezone(timezone.utc).replace(tzinfo=None)
    is_whole_minute = not (start.second or start.microsecond)
    start_text = _format_minute(time_range.start) if is_whole_minute else f"{start.isoformat()}Z"
    if time_range.start == BEGINNING:
        start_text = _OPEN_START
    return f"{start_text}/{_format_minute(time_range.end)}"


def _parse_range(text: str) -> TimeRange:
    start, end = text.split("/")
    if start == _OPEN_START:
        return TimeRange(BEGINNING, _parse_minute(end))
    # In Python 3.10 `fromisoformat` does not accept the Z.
    return TimeRange(to_utc(datetime.fromisoformat(start.removesuffix("Z"))), _parse_minute(end))


def _migrate_v1(state_json: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state of version 1 as one of version 2, which groups entries by time.

    In version 1 each entry repeats its `since`, also where one sync saw thousands of batches for the first time. The
    key stays in the entry, where no later version reads it.
    """
    migrated = {**state_json, "version": 2}
    for section in _STATE_BY_SECTION.keys() & state_json.keys():
        migrated[section] = {
            template_id: _group_by_since(entries_json) for template_id, entries_json in state_json[section].items()
        }
    if reference_json := state_json.get("links"):
        migrated["links"] = _migrate_v1(reference_json)
        del migrated["links"]["version"]
    return migrated


def _group_by_since(entries_json: Mapping[str, Any]) -> dict[str, Any]:
    entries_by_time: dict[str, Any] = {}
    for batch_id, entry_json in entries_json.items():
        entries_by_time.setdefault(entry_json["since"], {})[batch_id] = entry_json
    return entries_by_time


_STREAM_KEYS_V2 = {"links": "reference_ledger", "of": "table_key"}

_LEDGER_KEYS_V2 = {
    "days": "compacted_days",
    "failed": "failed_keys",
    "read": "read_ranges",
    "until": "watermarks",
    "forgotten": "pruned_before",
    "asleep": "inactive_scopes",
}

_ENTRY_KEYS_V2 = {
    "listed": "signature",
    "linked": "referenced",
    "read": "was_read",
    "again": "needs_reread",
    "memo": "provider_state",
    "kept": "is_pinned",
    "told": "member_statuses",
    "missing": "missing_since",
    "asked": "missing_checked_at",
}


def _migrate_v2(state_json: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state of version 2 as one of version 3, which has other keys."""
    migrated = _rename_keys(_migrate_ledger_v2(state_json), _STREAM_KEYS_V2)
    if "reference_ledger" in migrated:
        migrated["reference_ledger"] = _migrate_ledger_v2(migrated["reference_ledger"])
    migrated["version"] = 3
    return migrated


def _migrate_ledger_v2(ledger_json: Mapping[str, Any]) -> dict[str, Any]:
    migrated = _rename_keys(ledger_json, _LEDGER_KEYS_V2)
    for section in _STATE_BY_SECTION.keys() & ledger_json.keys():
        migrated[section] = {
            template_id: _migrate_entries_v2(entries_by_time)
            for template_id, entries_by_time in ledger_json[section].items()
        }
    return migrated


def _migrate_entries_v2(entries_by_time: Mapping[str, Any]) -> dict[str, Any]:
    migrated: dict[str, Any] = {}
    for since_text, entries_json in entries_by_time.items():
        migrated[since_text] = {
            batch_id: _rename_keys(entry_json, _ENTRY_KEYS_V2) for batch_id, entry_json in entries_json.items()
        }
    return migrated


def _rename_keys(section_json: Mapping[str, Any], new_names: Mapping[str, str]) -> dict[str, Any]:
    return {new_names.get(name, name): value for name, value in section_json.items()}


_MIGRATIONS = {1: _migrate_v1, 2: _migrate_v2}
"""The function that turns a state of an older version into one of the next version."""
