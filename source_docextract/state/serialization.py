"""The ledger of one stream as JSON: what Airbyte keeps between syncs. `docs/state.md` shows one.

Pure. A batch stands under `open`, `settled`, `stalled` or `missing`, by template, the time since when, and its id;
folded days stand under `days` as `<number of batches>:<sum of their marks>`; times are UTC to the minute.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from ..core.errors import ConfigError
from ..core.model import FileStatus, PartitionKey, PartitionRef, PartitionStatus
from ..core.provider import ChangeDetection
from ..core.time_ranges import BEGINNING, TimeRange, merge_ranges
from ..core.timestamps import format_rfc3339, to_utc
from .compaction import CompactedDay
from .entries import Entry, SyncPolicy
from .ledger import Ledger

VERSION = 2

_STATUS_BY_SECTION = {
    "open": PartitionStatus.OPEN,
    "settled": PartitionStatus.COMPLETE,
    "stalled": PartitionStatus.STALLED,
    "missing": PartitionStatus.MISSING,
}

_SECTION_BY_STATUS = {status: section for section, status in _STATUS_BY_SECTION.items()}


class StreamState:
    """One stream's state.

    Attributes:
        batches: what this stream delivers rows of.
        links: batches of another product, read for the batches they point at.
        of: the template or document type of a typed table: a state serves for the same one only.
        observed_at: the latest of the rows that were delivered: no later row may have an earlier one, whatever the
            clock does meanwhile.
        sync_id: set while the stream is read in full: a state serves to go on with that same sync and no other.
        is_full_refresh: whether the stream is read in full. The state of a full refresh resumes that same sync and
            serves no other: Airbyte drops the rows of one that breaks off, so an incremental sync would miss them.
        sync_id: names a full refresh across its attempts; None where the platform names none.
        stream: the stream's name. It stands in the state, so that a state given to another stream is noticed.
    """

    def __init__(
        self,
        policy: SyncPolicy,
        sync_id: int | None = None,
        *,
        stream_name: str = "",
        change_detection: ChangeDetection = ChangeDetection.POLLING,
        reference_detection: ChangeDetection = ChangeDetection.POLLING,
        table_key: str = "",
        partition_filter: Callable[[PartitionRef], bool] | None = None,
    ) -> None:
        stream_policy = replace(policy, partition_filter=partition_filter)
        self.is_relevant = stream_policy.is_relevant
        self.ledger = Ledger(stream_policy, change_detection)
        self.reference_ledger = Ledger(policy, reference_detection)
        self.table_key = table_key
        self.observed_at: datetime | None = None
        self.is_full_refresh = sync_id is not None
        self.sync_id = sync_id
        self.stream_name = stream_name

    def __len__(self) -> int:
        return len(self.ledger) + len(self.reference_ledger)

    def as_json(self) -> dict[str, Any]:
        state_json: dict[str, Any] = {"version": VERSION}
        if self.stream_name:
            state_json["stream"] = self.stream_name
        state_json.update(_dump_ledger(self.ledger))
        if reference_json := _dump_ledger(self.reference_ledger):
            state_json["links"] = reference_json
        if self.observed_at:
            state_json["observed_at"] = format_rfc3339(self.observed_at)
        if self.table_key:
            state_json["of"] = self.table_key
        if self.is_full_refresh:
            state_json["full_refresh"] = True if self.sync_id is None else self.sync_id
        return state_json

    def can_resume(self, state_json: Mapping[str, Any]) -> bool:
        """Return whether a state is that of an earlier attempt of this same full refresh."""
        refresh_id = state_json.get("full_refresh")
        return self.sync_id is not None and refresh_id is not True and refresh_id == self.sync_id

    def load(self, state_json: Mapping[str, Any], stream_name: str) -> StreamState:
        """Takes in a stream's state; an empty one is that of a new stream.

        Raises:
            ConfigError: for a state of a version unknown here, of another stream, or edited beyond reading.
        """
        if not state_json:
            return self
        if (owner := state_json.get("stream", stream_name)) != stream_name:
            raise ConfigError(
                f"The state of {stream_name} belongs to {owner}. Give each stream its own state again, or clear the "
                f"state of {stream_name} to read everything again."
            )
        version = state_json.get("version")
        if version not in {VERSION, *_MIGRATIONS} or isinstance(version, bool):
            raise ConfigError(
                f"The state of {stream_name} has version {version!r}, and this connector knows versions up to {VERSION}. "
                "Use the connector that wrote it or a newer one, or clear the stream's state to read everything again."
            )
        try:
            while (version := state_json["version"]) != VERSION:
                state_json = _MIGRATIONS[version](state_json)
            _load_ledger(self.ledger, state_json)
            _load_ledger(self.reference_ledger, state_json.get("links", {}))
            self.observed_at = _parse_timestamp(state_json.get("observed_at"))
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ConfigError(
                f"The state of {stream_name} cannot be read. Undo the last edit of it, or clear the stream's state to read "
                "everything again."
            ) from None
        return self


def _dump_ledger(ledger: Ledger) -> dict[str, Any]:
    ledger_json: dict[str, Any] = {}
    for key, entry in ledger.entries.items():
        section = ledger_json.setdefault(_SECTION_BY_STATUS[entry.status], {}).setdefault(key.template_id, {})
        section.setdefault(_format_minute(entry.status_since), {})[key.batch_id] = _dump_entry(entry)
    if days := {template_id: _dump_days(days) for template_id, days in ledger.compacted_days.items() if days}:
        ledger_json["days"] = days
    for key in sorted(ledger.failed_keys):
        ledger_json.setdefault("failed", {}).setdefault(key.template_id, []).append(key.batch_id)
    if ledger.watermarks:
        ledger_json["until"] = {scope: _format_minute(moment) for scope, moment in ledger.watermarks.items()}
        ledger_json["read"] = {
            scope: [_format_range(time_range) for time_range in ranges] for scope, ranges in ledger.read_ranges.items()
        }
        ledger_json["forgotten"] = {scope: _format_minute(moment) for scope, moment in ledger.pruned_before.items()}
    if ledger.inactive_scopes:
        ledger_json["asleep"] = sorted(ledger.inactive_scopes)
    return ledger_json


def _load_ledger(ledger: Ledger, ledger_json: Mapping[str, Any]) -> None:
    for section, status in _STATUS_BY_SECTION.items():
        for template_id, entries_by_time in ledger_json.get(section, {}).items():
            for since_text, entries_json in entries_by_time.items():
                for batch_id, entry_json in entries_json.items():
                    ledger.entries[PartitionKey(template_id, batch_id)] = _load_entry(
                        entry_json, status, _parse_minute(since_text)
                    )
    for template_id, days in ledger_json.get("days", {}).items():
        ledger.compacted_days[template_id] = {day: _parse_day(text) for day, text in days.items()}
    ledger.failed_keys = {
        PartitionKey(template_id, str(batch_id))
        for template_id, batch_ids in ledger_json.get("failed", {}).items()
        for batch_id in batch_ids
    }
    ledger.read_ranges = {
        scope: merge_ranges(map(_parse_range, range_texts))
        for scope, range_texts in ledger_json.get("read", {}).items()
    }
    ledger.pruned_before = {scope: _parse_minute(text) for scope, text in ledger_json.get("forgotten", {}).items()}
    ledger.inactive_scopes = set(ledger_json.get("asleep", ()))
    for scope, text in ledger_json.get("until", {}).items():
        if scope not in ledger.read_ranges:
            ledger.load_watermark(scope, _parse_minute(text))


def _dump_entry(entry: Entry) -> dict[str, Any]:
    entry_json: dict[str, Any] = {}
    if entry.signature:
        entry_json["listed"] = entry.signature
    if entry.row_hashes:
        entry_json["rows"] = entry.row_hashes
    if entry.last_referenced_at:
        entry_json["linked"] = _format_minute(entry.last_referenced_at)
    if not entry.was_read:
        entry_json["read"] = False
    if entry.needs_reread:
        entry_json["again"] = True
    if entry.provider_state:
        entry_json["memo"] = entry.provider_state
    if entry.is_pinned:
        entry_json["kept"] = True
    if entry.member_statuses:
        entry_json["told"] = {document_id: status.value for document_id, status in entry.member_statuses.items()}
    if entry.missing_since and (
        entry.status is not PartitionStatus.MISSING or entry.missing_since != entry.status_since
    ):
        entry_json["missing"] = _format_minute(entry.missing_since)
    if entry.missing_checked_at and entry.missing_checked_at != entry.missing_since:
        entry_json["asked"] = _format_minute(entry.missing_checked_at)
    return entry_json


def _load_entry(entry_json: Mapping[str, Any], status: PartitionStatus, status_since: datetime) -> Entry:
    last_referenced_text, missing_checked_text = entry_json.get("linked"), entry_json.get("asked")
    missing_since = _parse_minute(entry_json["missing"]) if "missing" in entry_json else None
    if status is PartitionStatus.MISSING:
        missing_since = missing_since or status_since
    return Entry(
        status_since=status_since,
        status=status,
        signature=str(entry_json.get("listed", "")),
        row_hashes=str(entry_json.get("rows", "")),
        last_referenced_at=_parse_minute(last_referenced_text) if last_referenced_text else None,
        was_read=bool(entry_json.get("read", True)),
        needs_reread=bool(entry_json.get("again", False)),
        provider_state=str(entry_json.get("memo", "")),
        is_pinned=bool(entry_json.get("kept", False)),
        member_statuses={
            str(document_id): FileStatus(status) for document_id, status in entry_json.get("told", {}).items()
        },
        missing_since=missing_since,
        missing_checked_at=_parse_minute(missing_checked_text) if missing_checked_text else missing_since,
    )


def _dump_days(compacted_days: Mapping[str, CompactedDay]) -> dict[str, str]:
    return {
        day: f"{compacted_day.count}:{compacted_day.hash_sum:012x}"
        for day, compacted_day in sorted(compacted_days.items())
    }


def _parse_day(text: str) -> CompactedDay:
    count, hash_sum = text.split(":")
    return CompactedDay(int(count), int(hash_sum, 16))


def _format_minute(moment: datetime) -> str:
    """By its own words and not by a format, which writes the year 1 (a missing time, to some) in one digit."""
    return moment.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec="minutes") + "Z"


def _parse_minute(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%MZ").replace(tzinfo=timezone.utc)


def _parse_timestamp(text: str | None) -> datetime | None:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc) if text else None


_OPEN_START = ".."
"""The start of a range of time that has none, as ISO 8601-2 writes it."""


def _format_range(time_range: TimeRange) -> str:
    """To the minute, and exactly where a `start_date` is more exact than that: what is older was not delivered."""
    start = time_range.start.astimezone(timezone.utc).replace(tzinfo=None)
    is_whole_minute = not (start.second or start.microsecond)
    start_text = _format_minute(time_range.start) if is_whole_minute else f"{start.isoformat()}Z"
    return f"{_OPEN_START if time_range.start == BEGINNING else start_text}/{_format_minute(time_range.end)}"


def _parse_range(text: str) -> TimeRange:
    start, end = text.split("/")
    if start == _OPEN_START:
        return TimeRange(BEGINNING, _parse_minute(end))
    return TimeRange(to_utc(datetime.fromisoformat(start.removesuffix("Z"))), _parse_minute(end))


def _migrate_v1(state_json: Mapping[str, Any]) -> dict[str, Any]:
    """In version 1 each batch had a `since` of its own, also where thousands were first seen in one sync."""
    migrated = {**state_json, "version": 2}
    for section in _STATUS_BY_SECTION.keys() & state_json.keys():
        migrated[section] = {
            template_id: _group_by_since(entries_json) for template_id, entries_json in state_json[section].items()
        }
    if reference_json := state_json.get("links"):
        migrated["links"] = {
            name: section_json for name, section_json in _migrate_v1(reference_json).items() if name != "version"
        }
    return migrated


def _group_by_since(entries_json: Mapping[str, Any]) -> dict[str, Any]:
    entries_by_time: dict[str, Any] = {}
    for batch_id, entry_json in entries_json.items():
        entry_fields = {name: value for name, value in entry_json.items() if name != "since"}
        entries_by_time.setdefault(entry_json["since"], {})[batch_id] = entry_fields
    return entries_by_time


_MIGRATIONS = {1: _migrate_v1}
"""How a state of an older version becomes one of the next."""
