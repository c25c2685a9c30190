"""States as JSON: what is written is read again, and states of older versions keep their meaning."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import fields
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from source_docextract.core.content import hash_row
from source_docextract.core.model import FileStatus, PartitionKey, PartitionRef
from source_docextract.core.time_ranges import BEGINNING, TimeRange, merge_ranges
from source_docextract.state.compaction import CompactedDay
from source_docextract.state.entries import Entry, EntryState, Listing, SyncPolicy
from source_docextract.state.ledger import Ledger
from source_docextract.state.serialization import StreamState
from unit_tests.support.cases import each_case

RECORDED = Path(__file__).parent / "recorded"
"""States as the connectors of versions 1 and 2 wrote them, most of them in syncs of a sandbox. The last one of each
file was written from a ledger that has a value for each optional key."""

RECORDED_STATES = {
    version: json.loads((RECORDED / f"version_{version}.json").read_text(encoding="utf-8")) for version in (1, 2)
}

SECTIONS = ("open", "settled", "stalled", "missing")
STREAM_KEYS = {"reference_ledger": "links", "table_key": "of"}
LEDGER_KEYS = {
    "compacted_days": "days",
    "failed_keys": "failed",
    "read_ranges": "read",
    "watermarks": "until",
    "pruned_before": "forgotten",
    "inactive_scopes": "asleep",
}
ENTRY_KEYS = {
    "signature": "listed",
    "rows": "rows",
    "referenced": "linked",
    "was_read": "read",
    "needs_reread": "again",
    "provider_state": "memo",
    "is_pinned": "kept",
    "member_statuses": "told",
    "missing_since": "missing",
    "missing_checked_at": "asked",
}

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=timezone.utc)
DAY = timedelta(days=1)


def load_state(state_json: Mapping[str, Any]) -> StreamState:
    name = state_json.get("stream", "a_stream")
    table_key = state_json.get("table_key", state_json.get("of", ""))
    sync_id = state_json.get("full_refresh")
    stream_state = StreamState(SyncPolicy(), sync_id, stream_name=state_json.get("stream", ""), table_key=table_key)
    assert stream_state.is_same_table(state_json)
    return stream_state.load(json.loads(json.dumps(state_json)), name)


def downgrade(state_json: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state of version 3 as version 2 had it."""
    ledger_json = downgrade_ledger(state_json)
    downgraded = {STREAM_KEYS.get(key, key): value for key, value in ledger_json.items()}
    if "links" in downgraded:
        downgraded["links"] = downgrade_ledger(downgraded["links"])
    return {**downgraded, "version": 2}


def downgrade_ledger(ledger_json: Mapping[str, Any]) -> dict[str, Any]:
    downgraded = {LEDGER_KEYS.get(key, key): deepcopy(value) for key, value in ledger_json.items()}
    for section in downgraded.keys() & set(SECTIONS):
        for entries_by_time in downgraded[section].values():
            for entries_json in entries_by_time.values():
                for batch_id, entry_json in entries_json.items():
                    entries_json[batch_id] = {ENTRY_KEYS.get(key, key): value for key, value in entry_json.items()}
    return downgraded


def downgrade_to_v1(state_json: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state of version 3 as version 1 would have had it."""
    downgraded = ungroup_entries(downgrade(state_json))
    if "links" in downgraded:
        downgraded["links"] = ungroup_entries(downgraded["links"])
    return {**downgraded, "version": 1}


def ungroup_entries(ledger_json: dict[str, Any]) -> dict[str, Any]:
    for section in ledger_json.keys() & set(SECTIONS):
        for template_id, entries_by_time in ledger_json[section].items():
            ledger_json[section][template_id] = {
                batch_id: {"since": since_text, **entry_json}
                for since_text, entries_json in entries_by_time.items()
                for batch_id, entry_json in entries_json.items()
            }
    return ledger_json


def collect_keys(value: Any) -> set[str]:
    if not isinstance(value, dict):
        return set()
    return set(value).union(*map(collect_keys, value.values()))


@each_case("name", RECORDED_STATES[2])
def test_recorded_state_of_version_2_is_migrated_without_loss(name: str) -> None:
    state_json = RECORDED_STATES[2][name]

    stream_state = load_state(state_json)

    assert downgrade(stream_state.as_json()) == state_json


@each_case("name", RECORDED_STATES[1])
def test_recorded_state_of_version_1_is_migrated_without_loss(name: str) -> None:
    state_json = RECORDED_STATES[1][name]

    downgraded = downgrade_to_v1(load_state(state_json).as_json())

    # Version 1 wrote no ranges, only where they end.
    for ledger_json in (downgraded, downgraded.get("links", {})):
        assert ledger_json.pop("read", {}).keys() == ledger_json.pop("forgotten", {}).keys()
    assert downgraded == state_json


def test_recorded_states_have_each_optional_key_of_their_version() -> None:
    keys_by_version = {version: collect_keys(states) for version, states in RECORDED_STATES.items()}

    keys_of_v2 = {*SECTIONS, *STREAM_KEYS.values(), *LEDGER_KEYS.values(), *ENTRY_KEYS.values()}
    assert keys_by_version[2] >= {*keys_of_v2, "stream", "observed_at", "full_refresh"}
    keys_of_v1 = {"open", "settled", "stalled", "since", "listed", "rows", "linked", "read", "again", "memo"}
    assert keys_by_version[1] >= {*keys_of_v1, "days", "until", "links", "full_refresh"}


def test_state_of_version_2_with_every_key_keeps_its_meaning() -> None:
    stream_state = load_state(RECORDED_STATES[2]["sensible_claims"])

    def make_key(name: str, template: str = "claims") -> PartitionKey:
        return PartitionKey(template, name)

    ledger, references = stream_state.ledger, stream_state.reference_ledger
    assert ledger.entries == {
        make_key("open 1"): Entry(
            NOW - 2 * DAY,
            signature="c0f3cbb3d522",
            row_hashes="kWU10L38FhMI",
            last_referenced_at=NOW,
            needs_reread=True,
            is_pinned=True,
        ),
        make_key("unread"): Entry(NOW - 2 * DAY, state=EntryState.UNREAD, last_referenced_at=NOW),
        make_key("settled", ""): Entry(
            NOW - DAY,
            EntryState.PARTLY_MISSING,
            row_hashes="2UT08A",
            missing_since=NOW - DAY,
            missing_checked_at=NOW,
        ),
        make_key("settled, unasked", ""): Entry(
            NOW - DAY, EntryState.PARTLY_MISSING, missing_since=NOW - DAY / 2, missing_checked_at=NOW - DAY / 2
        ),
        make_key("stalled"): Entry(NOW - 40 * DAY, EntryState.STALLED, signature="2 waiting", provider_state="p250w3"),
        make_key("missing", ""): Entry(
            NOW - 3 * DAY, EntryState.MISSING, missing_since=NOW - 3 * DAY, missing_checked_at=NOW - DAY
        ),
        make_key("missing, early", ""): Entry(
            NOW - 3 * DAY,
            EntryState.MISSING,
            missing_since=NOW - 4 * DAY,
            missing_checked_at=NOW - 4 * DAY,
        ),
    }
    assert ledger.compacted_days == {
        "claims": {"2026-11-07": CompactedDay(3, 0xB585334091B), "2026-11-13": CompactedDay(1, 0x14D2782C430A)}
    }
    assert ledger.failed_keys == {make_key("open 1"), make_key(""), make_key("x", "")}
    assert ledger.read_ranges == {
        "PRODUCTION/": [TimeRange(BEGINNING, NOW - 10 * DAY), TimeRange(NOW - 5 * DAY, NOW)],
        "PRODUCTION/claims": [TimeRange(NOW - 9 * DAY + timedelta(seconds=5), NOW)],
    }
    assert ledger.pruned_before == {"PRODUCTION/": NOW - 3 * DAY, "PRODUCTION/claims": NOW - 4 * DAY}
    assert ledger.inactive_scopes == {"PRODUCTION/claims"}
    assert references.entries[make_key("batch", "")] == Entry(
        NOW - DAY,
        last_referenced_at=NOW,
        provider_state="p2w",
        member_statuses={"a": FileStatus.PROCESSED, "b": FileStatus.FAILED, "c": FileStatus.PENDING},
    )
    assert references.failed_keys == {make_key("batch", "")}
    assert references.inactive_scopes == {"old"}
    assert stream_state.observed_at == NOW


def test_state_of_version_1_with_every_key_keeps_its_meaning() -> None:
    stream_state = load_state(RECORDED_STATES[1]["extracta_results"])

    assert stream_state.ledger.entries == {
        PartitionKey("t", "open 1"): Entry(
            NOW - 2 * DAY, signature="2", row_hashes="kWU10L38FhMI", last_referenced_at=NOW, needs_reread=True
        ),
        PartitionKey("t", "open 2"): Entry(NOW - 2 * DAY, signature="3"),
        PartitionKey("", "unread"): Entry(NOW - 3 * DAY, state=EntryState.UNREAD, last_referenced_at=NOW),
        PartitionKey("t", "settled"): Entry(NOW - DAY, EntryState.SETTLED, row_hashes="2UT08A"),
        PartitionKey("t", "stalled"): Entry(NOW - 40 * DAY, EntryState.STALLED, signature="2 waiting"),
    }
    assert stream_state.ledger.compacted_days == {"t": {"2026-11-07": CompactedDay(3, 0xB585334091B)}}
    assert stream_state.ledger.watermarks == {"": NOW}
    assert stream_state.reference_ledger.entries == {
        PartitionKey("", "batch"): Entry(NOW - DAY, last_referenced_at=NOW, provider_state="p2w"),
        PartitionKey("", "done"): Entry(NOW - DAY, EntryState.SETTLED, row_hashes="abcdef"),
    }
    assert stream_state.reference_ledger.watermarks == {"PRODUCTION/": NOW}
    assert stream_state.reference_ledger.compacted_days == {"u": {"2026-11-07": CompactedDay(1, 5)}}


@each_case("version", RECORDED_STATES)
def test_full_refresh_of_older_version_is_resumed_only_by_same_sync(version: int) -> None:
    states = RECORDED_STATES[version].values()
    [state_json] = [state_json for state_json in states if "full_refresh" in state_json]

    assert StreamState(SyncPolicy(), state_json["full_refresh"]).can_resume(state_json)
    assert not StreamState(SyncPolicy(), 99).can_resume(state_json)


def test_full_refresh_without_a_number_is_never_resumed() -> None:
    stream_state = StreamState(SyncPolicy())
    stream_state.is_full_refresh = True

    state_json = stream_state.as_json()

    assert state_json == {"version": 3, "full_refresh": True}
    assert not StreamState(SyncPolicy(), 1).can_resume(state_json)
    assert not stream_state.can_resume(state_json)
    assert not StreamState(SyncPolicy()).can_resume({})


def test_filter_of_a_stream_concerns_its_own_partitions_alone() -> None:
    stream_state = StreamState(SyncPolicy(), partition_filter=lambda ref: ref.template_id == "claims")
    refs = [PartitionRef(template_id, "b", is_explicit=True) for template_id in ("claims", "invoices")]
    listing = Listing()
    listing.add(refs)

    assert [stream_state.is_relevant(ref) for ref in refs] == [True, False]
    assert stream_state.ledger_pass.plan(listing, NOW) == refs[:1]
    assert stream_state.reference_pass.plan(listing, NOW) == refs


@each_case(
    ("start_date", "expected_start"),
    [(None, BEGINNING), (NOW - DAY, NOW - DAY), (NOW, BEGINNING), (NOW + DAY, BEGINNING)],
)
def test_watermark_without_ranges_counts_from_the_start_date(
    start_date: datetime | None, expected_start: datetime
) -> None:
    stream_state = StreamState(SyncPolicy(start_date=start_date, lookback=3 * DAY))

    stream_state.load({"version": 3, "watermarks": {"": "2026-11-20T09:00Z"}}, "a_stream")

    assert stream_state.ledger.read_ranges == {"": [TimeRange(expected_start, NOW)]}
    assert stream_state.ledger.pruned_before == {"": NOW - 3 * DAY}


@each_case("state_json", [{"version": 2, "of": "claims"}, {"version": 3, "table_key": "claims"}])
def test_state_of_typed_table_is_valid_only_for_same_table(state_json: dict[str, Any]) -> None:
    assert StreamState(SyncPolicy(), table_key="claims").is_same_table(state_json)
    assert not StreamState(SyncPolicy(), table_key="invoices").is_same_table(state_json)
    assert not StreamState(SyncPolicy()).is_same_table(state_json)


IDS = st.sampled_from(["", "a", "b", "t/1", "x y", "größe", "~#%", "2026-11-20T09:00Z"])
UNHURRIED = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TIMES = st.integers(0, 60 * 24 * 700).map(lambda minutes: NOW - timedelta(minutes=minutes))
OPTIONAL_TIMES = st.none() | TIMES
ROW_HASHES = st.integers().map(lambda number: hash_row(b"%d" % number))


@st.composite
def draw_entries(draw: st.DrawFn) -> Entry:
    state = draw(st.sampled_from([state for state in EntryState if state is not EntryState.NEW]))
    missing_since = draw(TIMES if state in {EntryState.MISSING, EntryState.PARTLY_MISSING} else OPTIONAL_TIMES)
    if state is EntryState.SETTLED:
        missing_since = None  # else it would be partly missing
    return Entry(
        draw(TIMES),
        state,
        signature=draw(IDS),
        row_hashes=draw(IDS),
        changed_rows=draw(st.dictionaries(ROW_HASHES, ROW_HASHES, max_size=3)),
        last_referenced_at=draw(OPTIONAL_TIMES),
        needs_reread=draw(st.booleans()),
        provider_state=draw(IDS),
        member_statuses=draw(st.dictionaries(IDS, st.sampled_from(FileStatus), max_size=3)),
        is_pinned=draw(st.booleans()),
        missing_since=missing_since,
        missing_checked_at=missing_since and draw(TIMES),
    )


KEYS = st.builds(PartitionKey, IDS, IDS)
DAYS = st.dates().map(lambda day: day.isoformat())
COMPACTED_DAYS = st.builds(CompactedDay, st.integers(0, 10**6), st.integers(0, 2**48 - 1))
RANGES = st.lists(st.tuples(st.just(BEGINNING) | TIMES, TIMES), max_size=3)


def make_ranges(pairs: list[tuple[datetime, datetime]]) -> list[TimeRange]:
    return merge_ranges(TimeRange(min(pair), max(pair) + DAY) for pair in pairs)


@st.composite
def draw_states(draw: st.DrawFn) -> StreamState:
    stream_state = StreamState(
        SyncPolicy(), draw(st.none() | st.integers(0)), stream_name=draw(IDS), table_key=draw(IDS)
    )
    stream_state.observed_at = draw(OPTIONAL_TIMES)
    for ledger in (stream_state.ledger, stream_state.reference_ledger):
        fill_ledger(ledger, draw)
    return stream_state


def fill_ledger(ledger: Ledger, draw: st.DrawFn) -> None:
    ledger.entries = draw(st.dictionaries(KEYS, draw_entries(), max_size=4))
    days = st.dictionaries(DAYS, COMPACTED_DAYS, min_size=1, max_size=3)
    ledger.compacted_days = draw(st.dictionaries(IDS, days, max_size=2))
    ledger.failed_keys = draw(st.sets(KEYS, max_size=3))
    ledger.read_ranges = draw(st.dictionaries(IDS, RANGES.map(make_ranges), max_size=2))
    ledger.pruned_before = {scope: draw(TIMES) for scope in ledger.read_ranges}
    ledger.inactive_scopes = draw(st.sets(IDS, max_size=2))
    ledger.doubtful_keys = draw(st.sets(KEYS, max_size=3))
    ledger.given_up = draw(st.sets(st.text("abAB09-_", min_size=6, max_size=6), max_size=3))
    ledger.last_complete_sync = draw(OPTIONAL_TIMES)
    ledger.late_settled_at = draw(OPTIONAL_TIMES)


def get_fields(ledger: Ledger) -> dict[str, Any]:
    return {field.name: getattr(ledger, field.name) for field in fields(ledger)}


@UNHURRIED
@given(draw_states())
def test_state_json_round_trip_is_lossless(stream_state: StreamState) -> None:
    state_json = stream_state.as_json()

    reloaded_state = load_state(state_json)

    assert reloaded_state.as_json() == state_json
    assert reloaded_state.observed_at == stream_state.observed_at
    assert get_fields(reloaded_state.ledger) == get_fields(stream_state.ledger)
    assert get_fields(reloaded_state.reference_ledger) == get_fields(stream_state.reference_ledger)


def test_state_has_utc_times_in_any_zone_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    state_json = RECORDED_STATES[2]["sensible_claims"]
    expected = load_state(state_json).as_json()

    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        written = load_state(state_json).as_json()
    time.tzset()

    assert written == expected


@UNHURRIED
@given(draw_states())
def test_state_of_version_1_or_2_is_migrated_to_equal_version_3(stream_state: StreamState) -> None:
    state_json = stream_state.as_json()

    assert load_state(downgrade(state_json)).as_json() == state_json
    assert load_state(downgrade_to_v1(state_json)).as_json() == state_json
