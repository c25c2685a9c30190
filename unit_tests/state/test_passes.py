"""One sync's work on a ledger: what each kind of pass finds due, records and forgets, state by state."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from source_docextract.core.content import hash_row
from source_docextract.core.model import PartitionKey, PartitionRef, PartitionStatus, Snapshot
from source_docextract.core.provider import ChangeDetection
from source_docextract.core.time_ranges import BEGINNING, TimeRange
from source_docextract.core.timestamps import truncate_to_day
from source_docextract.state.compaction import CompactedDay
from source_docextract.state.entries import Entry, EntryState, Listing, SyncPolicy
from source_docextract.state.ledger import Ledger
from source_docextract.state.passes import PASS_BY_DETECTION, LedgerPass, ListingPass, PollingPass, ReferencePass

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=timezone.utc)
DAY = timedelta(days=1)
OLD = NOW - 10 * DAY
POLICY = SyncPolicy(lookback=3 * DAY, give_up_after=30 * DAY)
REF = PartitionRef("t", "b", created_at=OLD, approx_created_at=OLD, fingerprint="1")
CHANGED_REF = replace(REF, fingerprint="2")
STORED_STATES = [state for state in EntryState if state is not EntryState.NEW]
PASS_KINDS = [PollingPass, ReferencePass, ListingPass]


def make_entry(state: EntryState, age: timedelta = 5 * DAY, **fields: Any) -> Entry:
    """Return an entry of `REF` that has been in a state for so long, and was asked for right now if it is missing."""
    is_missing = state in {EntryState.MISSING, EntryState.PARTLY_MISSING}
    entry = Entry(NOW - age, state, signature="1", missing_since=NOW - age if is_missing else None)
    return replace(entry, missing_checked_at=NOW if is_missing else None, **fields)


def make_pass(kind: type[LedgerPass], entry: Entry | None = None) -> LedgerPass:
    return kind(Ledger({REF.key: entry} if entry else {}), POLICY)


def make_listing_pass(entry: Entry | None = None) -> ListingPass:
    return ListingPass(Ledger({REF.key: entry} if entry else {}), POLICY)


def make_listing(*refs: PartitionRef) -> Listing:
    listing = Listing()
    listing.add(refs)
    return listing


def plan_ids(ledger_pass: LedgerPass, *refs: PartitionRef) -> list[str]:
    return [ref.batch_id for ref in ledger_pass.plan(make_listing(*refs), NOW)]


def record(ledger_pass: LedgerPass, ref: PartitionRef, status: PartitionStatus = PartitionStatus.COMPLETE) -> None:
    decision = ledger_pass.decide(Snapshot(ref, status, documents=()), NOW)
    ledger_pass.record(ref, decision, ["aaaaaa"], NOW)


def test_each_change_detection_has_its_kind_of_pass() -> None:
    assert dict(zip(ChangeDetection, [PollingPass, ListingPass, ReferencePass], strict=True)) == PASS_BY_DETECTION


class TestDue:
    @pytest.mark.parametrize("kind", PASS_KINDS)
    @pytest.mark.parametrize("state", EntryState)
    def test_unchanged_partition_is_due_by_its_state_and_kind(self, kind: type[LedgerPass], state: EntryState) -> None:
        ledger_pass = make_pass(kind, None if state is EntryState.NEW else make_entry(state))

        # A list by time shows each change, so it costs no request that a partition is open.
        is_polled = state is EntryState.OPEN and kind is not ListingPass
        assert bool(plan_ids(ledger_pass, REF)) is (is_polled or state in {EntryState.NEW, EntryState.UNREAD})

    @pytest.mark.parametrize("kind", PASS_KINDS)
    @pytest.mark.parametrize("state", STORED_STATES)
    def test_changed_partition_is_due_in_each_state(self, kind: type[LedgerPass], state: EntryState) -> None:
        assert plan_ids(make_pass(kind, make_entry(state)), CHANGED_REF) == ["b"]

    @pytest.mark.parametrize("kind", PASS_KINDS)
    @pytest.mark.parametrize("state", [state for state in STORED_STATES if state is not EntryState.UNREAD])
    def test_flagged_partition_is_due_in_each_state(self, kind: type[LedgerPass], state: EntryState) -> None:
        assert plan_ids(make_pass(kind, make_entry(state, needs_reread=True)), REF) == ["b"]

    @pytest.mark.parametrize(("kind", "is_due"), [(PollingPass, True), (ReferencePass, True), (ListingPass, False)])
    def test_partition_in_the_lookback_is_due_unless_a_listing_shows_it(
        self, kind: type[LedgerPass], is_due: bool
    ) -> None:
        assert bool(plan_ids(make_pass(kind, make_entry(EntryState.SETTLED, DAY)), REF)) is is_due

    @pytest.mark.parametrize("kind", PASS_KINDS)
    @pytest.mark.parametrize("state", [EntryState.MISSING, EntryState.PARTLY_MISSING])
    def test_what_the_provider_lacks_is_due_when_its_age_has_doubled(
        self, kind: type[LedgerPass], state: EntryState
    ) -> None:
        entry = make_entry(state, 5 * DAY)
        entry.missing_checked_at = NOW - 2 * DAY  # at an age of three days

        assert plan_ids(make_pass(kind, entry), REF) == ["b"]

    def test_overdue_open_document_is_due_once_more_to_be_marked_as_stalled(self) -> None:
        ledger_pass = make_listing_pass(make_entry(EntryState.OPEN, 31 * DAY))
        assert plan_ids(ledger_pass, REF) == ["b"]

        record(ledger_pass, REF, PartitionStatus.OPEN)

        assert ledger_pass.ledger.entries[REF.key].state is EntryState.STALLED
        assert plan_ids(ledger_pass, REF) == []

    @pytest.mark.parametrize("kind", PASS_KINDS)
    @pytest.mark.parametrize(("provider_status", "is_due"), [("waiting", False), ("ready", True)])
    def test_stalled_partition_is_due_when_its_listed_status_changes(
        self, kind: type[LedgerPass], provider_status: str, is_due: bool
    ) -> None:
        ledger_pass = make_pass(kind, make_entry(EntryState.STALLED, signature="1 waiting"))

        assert bool(plan_ids(ledger_pass, replace(REF, provider_status=provider_status))) is is_due

    def test_settled_batch_whose_last_look_failed_is_due(self) -> None:
        ledger_pass = make_pass(PollingPass, make_entry(EntryState.SETTLED))
        ledger_pass.ledger.failed_keys.add(REF.key)

        assert plan_ids(ledger_pass, REF) == ["b"]

    @pytest.mark.parametrize("state", [EntryState.OPEN, EntryState.SETTLED])
    def test_batch_that_only_references_name_is_not_polled(self, state: EntryState) -> None:
        entry = make_entry(state, timedelta(hours=1), last_referenced_at=NOW)

        assert plan_ids(make_pass(ReferencePass, entry)) == []
        assert plan_ids(make_pass(PollingPass, entry)) == ["b"]


class TestPlan:
    """What a plan changes in the ledger, beside what is due."""

    @pytest.mark.parametrize(
        ("fields", "last_complete_sync"),
        [
            ({}, NOW),
            ({"last_complete_sync": OLD}, OLD),
            ({"entries": {REF.key: make_entry(EntryState.OPEN)}}, None),
            ({"compacted_days": {"t": {"2026-11-10": CompactedDay(1, 5)}}}, None),
        ],
        ids=["new", "read before", "with an entry", "with a day"],
    )
    def test_first_sync_has_no_looks_to_make_up(
        self, fields: dict[str, Any], last_complete_sync: datetime | None
    ) -> None:
        ledger = Ledger(**fields)

        PollingPass(ledger, POLICY).plan(make_listing(), NOW)

        assert ledger.last_complete_sync == last_complete_sync

    @pytest.mark.parametrize(("days", "is_failed"), [(1, True), (5, False)])
    def test_look_that_a_failed_listing_prevents_stays_due(self, days: int, is_failed: bool) -> None:
        ledger_pass = make_pass(PollingPass, make_entry(EntryState.SETTLED, days * DAY))

        ledger_pass.plan(Listing(failed_templates={"t"}), NOW)
        assert ledger_pass.ledger.failed_keys == ({REF.key} if is_failed else set())

        # Nor does it end by further listings that fail.
        ledger_pass.plan(Listing(failed_templates={"t"}), NOW + 9 * DAY)
        assert ledger_pass.ledger.failed_keys == ({REF.key} if is_failed else set())

    def test_look_that_was_made_is_not_prevented_by_a_failed_listing(self) -> None:
        ledger_pass = make_pass(PollingPass, make_entry(EntryState.SETTLED, DAY))
        ledger_pass.ledger.last_complete_sync = NOW - timedelta(hours=1)

        ledger_pass.plan(Listing(failed_templates={"t"}), NOW)

        assert ledger_pass.ledger.failed_keys == set()

    def test_listing_that_could_be_read_is_not_last_any_more(self) -> None:
        ledger_pass = make_pass(PollingPass)
        ledger_pass.ledger.failed_keys = {PartitionKey("t", ""), PartitionKey("other", ""), PartitionKey("t", "x")}

        ledger_pass.plan(Listing(complete_templates={"t"}), NOW)

        assert ledger_pass.ledger.failed_keys == {PartitionKey("other", ""), PartitionKey("t", "x")}


class TestRecord:
    @pytest.mark.parametrize("kind", PASS_KINDS)
    def test_planned_partition_is_tracked_and_others_are_not(self, kind: type[LedgerPass]) -> None:
        ledger_pass = make_pass(kind)
        assert not ledger_pass.tracks(REF)

        ledger_pass.plan(make_listing(REF), NOW)

        assert ledger_pass.tracks(REF)
        assert not ledger_pass.tracks(PartitionRef("t", "other"))

    @pytest.mark.parametrize("kind", PASS_KINDS)
    def test_recorded_reading_replaces_the_entry_and_keeps_its_references(self, kind: type[LedgerPass]) -> None:
        entry = make_entry(EntryState.UNREAD, last_referenced_at=OLD, is_pinned=True)
        ledger_pass = make_pass(kind, entry)
        ledger_pass.record_failure(REF, NOW)
        ledger_pass.plan(make_listing(REF), NOW)

        record(ledger_pass, REF, PartitionStatus.OPEN)

        assert ledger_pass.ledger.entries == {
            REF.key: make_entry(EntryState.OPEN, last_referenced_at=OLD, is_pinned=True, row_hashes="aaaaaa")
        }
        assert ledger_pass.ledger.failed_keys == set()

    @pytest.mark.parametrize(("days", "is_remembered"), [(1, True), (5, False)])
    def test_failure_is_remembered_where_a_look_was_due(self, days: int, is_remembered: bool) -> None:
        ledger_pass = make_pass(PollingPass, make_entry(EntryState.SETTLED, days * DAY))

        ledger_pass.record_failure(REF, NOW)

        assert ledger_pass.ledger.failed_keys == ({REF.key} if is_remembered else set())

    def test_waiting_answer_keeps_the_hashes_of_delivered_rows(self) -> None:
        ledger_pass = make_pass(PollingPass, make_entry(EntryState.OPEN, row_hashes="aaaaaabbbbbb"))
        decision = ledger_pass.decide(Snapshot(REF, PartitionStatus.OPEN), NOW)

        ledger_pass.record(REF, decision, None, NOW)
        assert ledger_pass.ledger.entries[REF.key].row_hashes == "aaaaaabbbbbb"

        ledger_pass.record(REF, decision, [], NOW)
        assert ledger_pass.ledger.entries[REF.key].row_hashes == ""

    @pytest.mark.parametrize(("row_hashes", "expected"), [([], "aaaaaa"), (["bbbbbb"], "bbbbbb"), (None, "aaaaaa")])
    def test_answer_about_an_unknown_batch_keeps_the_hashes_unless_it_has_rows(
        self, row_hashes: list[str] | None, expected: str
    ) -> None:
        ledger_pass = make_pass(PollingPass, make_entry(EntryState.OPEN, row_hashes="aaaaaa"))
        decision = ledger_pass.decide(Snapshot(REF, PartitionStatus.MISSING), NOW)

        ledger_pass.record(REF, decision, row_hashes, NOW)

        assert ledger_pass.ledger.entries[REF.key].state is EntryState.MISSING
        assert ledger_pass.ledger.entries[REF.key].row_hashes == expected

    @pytest.mark.parametrize("kind", PASS_KINDS)
    def test_decision_changes_nothing_before_it_is_recorded(self, kind: type[LedgerPass]) -> None:
        ledger_pass = make_pass(kind, make_entry(EntryState.OPEN))

        ledger_pass.decide(Snapshot(REF, PartitionStatus.COMPLETE, provider_state="p1"), NOW)

        assert ledger_pass.ledger.entries == {REF.key: make_entry(EntryState.OPEN)}

    def test_day_is_compacted_as_soon_as_its_last_batch_is_read(self) -> None:
        ledger_pass = make_pass(PollingPass)
        refs = [replace(REF, batch_id=name) for name in "abc"]
        ledger_pass.plan(make_listing(*refs), NOW)

        record(ledger_pass, refs[0])
        record(ledger_pass, refs[1])
        assert len(ledger_pass.ledger.entries) == 2

        record(ledger_pass, refs[2])
        assert ledger_pass.ledger.entries == {}
        assert ledger_pass.ledger.compacted_days["t"]["2026-11-10"].count == 3

    @pytest.mark.parametrize(("read_error", "needs_reread"), [("", False), ("1 of its ids cannot be read.", True)])
    def test_incomplete_reading_of_a_referenced_batch_is_repeated(self, read_error: str, needs_reread: bool) -> None:
        snapshot = Snapshot(REF, PartitionStatus.OPEN, documents=(), read_error=read_error)

        assert make_pass(ReferencePass).decide(snapshot, NOW).entry.needs_reread is needs_reread
        assert make_pass(PollingPass).decide(snapshot, NOW).entry.needs_reread is False


class TestReference:
    def test_reference_to_unknown_batch_makes_it_due_once(self) -> None:
        ledger_pass = make_pass(PollingPass)
        ledger_pass.plan(make_listing(), NOW)

        assert [ledger_pass.register_reference(REF, NOW) for _ in range(2)] == [True, False]
        assert ledger_pass.ledger.entries == {REF.key: Entry(NOW, EntryState.UNREAD, last_referenced_at=NOW)}

    def test_reference_to_planned_batch_leaves_it_to_the_plan(self) -> None:
        ledger_pass = make_pass(PollingPass)
        ledger_pass.plan(make_listing(REF), NOW)

        assert not ledger_pass.register_reference(REF, NOW)
        assert ledger_pass.ledger.entries == {}

    def test_reference_to_listed_batch_before_the_start_date_makes_it_due(self) -> None:
        ledger_pass = PollingPass(Ledger(), replace(POLICY, start_date=NOW))
        ledger_pass.plan(make_listing(REF), NOW)

        assert ledger_pass.register_reference(REF, NOW)
        assert ledger_pass.ledger.entries == {REF.key: Entry(NOW, EntryState.UNREAD, last_referenced_at=NOW)}

    @pytest.mark.parametrize(("last_referenced_at", "due_ids"), [(None, []), (OLD, ["b"])])
    def test_listed_batch_before_the_start_date_is_polled_if_it_is_referenced(
        self, last_referenced_at: datetime | None, due_ids: list[str]
    ) -> None:
        entry = make_entry(EntryState.OPEN, last_referenced_at=last_referenced_at)

        assert plan_ids(PollingPass(Ledger({REF.key: entry}), replace(POLICY, start_date=NOW)), REF) == due_ids

    def test_batch_that_only_a_reference_names_is_planned_as_referenced(self) -> None:
        ledger_pass = make_pass(PollingPass, make_entry(EntryState.UNREAD, last_referenced_at=NOW))

        due_refs = ledger_pass.plan(make_listing(), NOW)

        assert due_refs == [PartitionRef("t", "b", is_explicit=True, is_referenced=True)]

    @pytest.mark.parametrize("state", STORED_STATES)
    def test_changed_document_makes_its_batch_due_unless_it_waits_for_its_reading(self, state: EntryState) -> None:
        ledger_pass = make_pass(ReferencePass, make_entry(state))

        assert ledger_pass.register_reference(REF, NOW, has_changed=True) is (state is not EntryState.UNREAD)
        assert not ledger_pass.register_reference(REF, NOW, has_changed=True)
        assert ledger_pass.ledger.entries[REF.key].needs_reading


class TestForget:
    """At the end of a sync whose listings do not name the partition any more."""

    @pytest.mark.parametrize("state", STORED_STATES)
    def test_batch_that_nothing_names_is_forgotten(self, state: EntryState) -> None:
        ledger_pass = make_pass(PollingPass, make_entry(state))
        ledger_pass.plan(make_listing(), NOW)

        ledger_pass.compact_and_prune(NOW)

        assert ledger_pass.ledger.entries == {}

    @pytest.mark.parametrize("state", STORED_STATES)
    @pytest.mark.parametrize(
        ("kind", "forgotten_states"),
        [
            (PollingPass, {EntryState.STALLED, EntryState.SETTLED}),
            (ReferencePass, {EntryState.STALLED, EntryState.SETTLED}),
        ],
    )
    def test_referenced_batch_is_kept_while_something_is_expected_of_it(
        self, kind: type[LedgerPass], forgotten_states: set[EntryState], state: EntryState
    ) -> None:
        ledger_pass = make_pass(kind, make_entry(state, last_referenced_at=NOW - 4 * DAY))
        ledger_pass.plan(make_listing(), NOW)

        ledger_pass.compact_and_prune(NOW)

        assert (ledger_pass.ledger.entries == {}) is (state in forgotten_states)

    @pytest.mark.parametrize(("kind", "is_kept"), [(PollingPass, True), (ReferencePass, False)])
    def test_settled_batch_is_kept_for_its_references_only_where_they_repeat(
        self, kind: type[LedgerPass], is_kept: bool
    ) -> None:
        ledger_pass = make_pass(kind, make_entry(EntryState.SETTLED, last_referenced_at=NOW))
        ledger_pass.plan(make_listing(), NOW)

        ledger_pass.compact_and_prune(NOW)

        assert bool(ledger_pass.ledger.entries) is is_kept

    def test_each_batch_is_judged_by_itself(self) -> None:
        named_ref, failed_ref = REF, replace(REF, template_id="failed")
        ledger_pass = make_pass(PollingPass, make_entry(EntryState.OPEN))
        for key in (failed_ref.key, PartitionKey("t", "unnamed")):
            ledger_pass.ledger.entries[key] = make_entry(EntryState.OPEN)
        ledger_pass.plan(Listing({named_ref.key: named_ref}, failed_templates={"failed"}), NOW)

        ledger_pass.compact_and_prune(NOW)

        assert ledger_pass.ledger.entries.keys() == {named_ref.key, failed_ref.key}

    def test_referenced_batch_whose_last_look_failed_is_kept(self) -> None:
        ledger_pass = make_pass(PollingPass, make_entry(EntryState.SETTLED, last_referenced_at=NOW - 4 * DAY))
        ledger_pass.ledger.failed_keys.add(REF.key)
        ledger_pass.plan(make_listing(), NOW)

        ledger_pass.compact_and_prune(NOW)

        assert ledger_pass.ledger.entries.keys() == {REF.key}

    @pytest.mark.parametrize("state", STORED_STATES)
    def test_unlisted_document_is_kept_while_it_is_polled_or_retried(self, state: EntryState) -> None:
        ledger_pass = make_listing_pass(make_entry(state))
        ledger_pass.plan(make_listing(replace(REF, batch_id="other")), NOW)

        ledger_pass.compact_and_prune(NOW)

        assert (REF.key in ledger_pass.ledger.entries) is (state not in {EntryState.STALLED, EntryState.SETTLED})

    @pytest.mark.parametrize(
        ("days", "is_repeatable", "is_kept"), [(1, False, True), (4, False, False), (4, True, True), (31, True, False)]
    )
    def test_unlisted_document_is_kept_while_its_batch_may_repeat_its_reference(
        self, days: int, is_repeatable: bool, is_kept: bool
    ) -> None:
        ledger_pass = make_listing_pass(make_entry(EntryState.SETTLED, last_referenced_at=NOW - days * DAY))
        ledger_pass.plan(make_listing(replace(REF, batch_id="other")), NOW)

        if is_repeatable:
            ledger_pass.compact_and_prune(NOW, are_references_repeatable=True)
        else:
            ledger_pass.compact_and_prune(NOW)

        assert bool(ledger_pass.ledger.entries) is is_kept

    @pytest.mark.parametrize("kind", PASS_KINDS)
    def test_sync_without_a_plan_has_nothing_to_forget(self, kind: type[LedgerPass]) -> None:
        ledger_pass = make_pass(kind)

        ledger_pass.compact_and_prune(NOW)

        assert len(ledger_pass.ledger) == 0

    @pytest.mark.parametrize(
        ("watermark", "skips_lookback", "is_kept"),
        [(NOW, False, False), (NOW + DAY, False, True), (NOW, True, True), (NOW + DAY, True, True)],
    )
    def test_listing_that_may_show_more_later_forgets_nothing(
        self, watermark: datetime, skips_lookback: bool, is_kept: bool
    ) -> None:
        ledger_pass = make_listing_pass(make_entry(EntryState.SETTLED))
        ledger_pass.ledger.read_ranges = {"": [TimeRange(BEGINNING, watermark)]}
        ledger_pass.skips_lookback = skips_lookback
        ledger_pass.plan(make_listing(replace(REF, batch_id="other")), NOW)

        ledger_pass.compact_and_prune(NOW, [""])

        assert (REF.key in ledger_pass.ledger.entries) is is_kept

    def test_empty_listing_forgets_nothing(self) -> None:
        ledger_pass = make_listing_pass(make_entry(EntryState.SETTLED))

        ledger_pass.compact_and_prune(NOW)

        assert ledger_pass.ledger.entries == {REF.key: make_entry(EntryState.SETTLED)}

    @pytest.mark.parametrize("kind", [PollingPass, ReferencePass])
    @pytest.mark.parametrize(("days", "is_kept"), [(4, True), (31, False)])
    def test_stalled_batch_is_kept_for_references_that_may_repeat_until_it_is_given_up(
        self, kind: type[LedgerPass], days: int, is_kept: bool
    ) -> None:
        ledger_pass = make_pass(kind, make_entry(EntryState.STALLED, last_referenced_at=NOW - days * DAY))
        ledger_pass.plan(make_listing(), NOW)

        ledger_pass.compact_and_prune(NOW, are_references_repeatable=True)

        assert bool(ledger_pass.ledger.entries) is is_kept

    def test_failure_of_a_batch_that_nothing_names_is_forgotten(self) -> None:
        ledger_pass = make_pass(PollingPass)
        ledger_pass.ledger.failed_keys = {REF.key, PartitionKey("failed", ""), PartitionKey("gone", "x")}
        ledger_pass.plan(Listing({REF.key: REF}, failed_templates={"failed"}), NOW)

        ledger_pass.compact_and_prune(NOW)

        assert ledger_pass.ledger.failed_keys == {REF.key, PartitionKey("failed", "")}

    def test_failure_of_an_unlisted_document_with_an_entry_is_kept(self) -> None:
        ledger_pass = make_listing_pass(make_entry(EntryState.OPEN))
        ledger_pass.ledger.failed_keys = {REF.key}
        ledger_pass.plan(make_listing(replace(REF, batch_id="other")), NOW)

        ledger_pass.compact_and_prune(NOW)

        assert ledger_pass.ledger.failed_keys == {REF.key}

    @pytest.mark.parametrize(
        ("kind", "start_date"), [*((kind, None) for kind in PASS_KINDS), (PollingPass, NOW), (ReferencePass, NOW)]
    )
    def test_failure_of_a_listed_partition_is_kept_also_before_the_start_date(
        self, kind: type[LedgerPass], start_date: datetime | None
    ) -> None:
        ledger_pass = kind(Ledger(failed_keys={REF.key}), replace(POLICY, start_date=start_date))
        ledger_pass.plan(make_listing(REF), NOW)

        ledger_pass.compact_and_prune(NOW)

        assert ledger_pass.ledger.failed_keys == {REF.key}


class TestCompact:
    """At the end of a sync whose listing names a batch that settled before the lookback."""

    def compact(self, entry: Entry, policy: SyncPolicy = POLICY, *, has_failed: bool = False) -> Ledger:
        ledger_pass = PollingPass(Ledger({REF.key: entry}, last_complete_sync=NOW - DAY), policy)
        if has_failed:
            ledger_pass.ledger.failed_keys.add(REF.key)
        ledger_pass.plan(make_listing(REF), NOW)
        ledger_pass.compact_and_prune(NOW)
        return ledger_pass.ledger

    def test_settled_batch_is_compacted(self) -> None:
        ledger = self.compact(make_entry(EntryState.SETTLED))

        assert ledger.entries == {}
        assert ledger.compacted_days["t"]["2026-11-10"].count == 1

    @pytest.mark.parametrize("state", [state for state in STORED_STATES if state is not EntryState.SETTLED])
    def test_batch_in_another_state_is_not_compacted(self, state: EntryState) -> None:
        ledger = self.compact(make_entry(state))

        assert (ledger.entries, ledger.compacted_days) == ({REF.key: make_entry(state)}, {})

    @pytest.mark.parametrize(
        "fields", [{"last_referenced_at": NOW - DAY}, {"needs_reread": True}, {"signature": "2"}], ids=str
    )
    def test_batch_of_which_something_is_expected_is_not_compacted(self, fields: dict[str, Any]) -> None:
        entry = make_entry(EntryState.SETTLED, **{"signature": "1", **fields})

        ledger = self.compact(entry)

        assert (ledger.entries, ledger.compacted_days) == ({REF.key: entry}, {})

    def test_batch_whose_last_look_failed_is_not_compacted(self) -> None:
        ledger = self.compact(make_entry(EntryState.SETTLED), has_failed=True)

        assert (ledger.entries, ledger.compacted_days) == ({REF.key: make_entry(EntryState.SETTLED)}, {})

    def test_referenced_batch_before_the_start_date_is_not_compacted(self) -> None:
        entry = make_entry(EntryState.SETTLED, last_referenced_at=NOW - 4 * DAY)

        ledger = self.compact(entry, replace(POLICY, start_date=NOW))

        assert (ledger.entries, ledger.compacted_days) == ({}, {})


class TestListing:
    @pytest.mark.parametrize("state", STORED_STATES)
    def test_unlisted_document_is_requested_by_id_while_it_is_unfinished(self, state: EntryState) -> None:
        unlisted_refs = make_listing_pass(make_entry(state)).find_unlisted(NOW)

        is_requested = state in {EntryState.UNREAD, EntryState.OPEN}
        assert unlisted_refs == [PartitionRef("t", "b", is_explicit=True)] * is_requested

    @pytest.mark.parametrize("is_listed", [True, False])
    @pytest.mark.parametrize("needs_reread", [True, False])
    @pytest.mark.parametrize("state", STORED_STATES)
    def test_only_an_open_document_that_no_window_showed_is_looked_for_in_the_list_by_status(
        self, state: EntryState, needs_reread: bool, is_listed: bool
    ) -> None:
        ledger_pass = make_listing_pass(make_entry(state, needs_reread=needs_reread))
        ledger_pass.plan(make_listing(*[REF] * is_listed), NOW)

        is_found = state is EntryState.OPEN and not needs_reread and not is_listed
        assert ledger_pass.find_unlisted_open() == [REF.key] * is_found

    def test_listed_document_is_requested_by_id_only_if_it_is_flagged(self) -> None:
        ledger_pass = make_listing_pass(make_entry(EntryState.OPEN))
        ledger_pass.plan(make_listing(REF), NOW)
        assert ledger_pass.find_unlisted(NOW) == []

        ledger_pass.record_failure(REF, NOW)

        assert [ref.key for ref in ledger_pass.find_unlisted(NOW)] == [REF.key]

    @pytest.mark.parametrize("is_listed", [True, False])
    def test_failed_document_is_unread_and_doubtful_unless_it_was_listed(self, is_listed: bool) -> None:
        ledger_pass = ListingPass(Ledger(read_ranges={"": [TimeRange(OLD - 2 * DAY, OLD - DAY)]}), POLICY)
        ledger_pass.plan(make_listing(*[REF] * is_listed), NOW)

        ledger_pass.record_failure(REF, NOW)

        assert ledger_pass.ledger.entries == {REF.key: Entry(NOW, EntryState.UNREAD)}
        assert ledger_pass.ledger.failed_keys == {REF.key}
        assert ledger_pass.ledger.doubtful_keys == (set() if is_listed else {REF.key})

    @pytest.mark.parametrize("state", STORED_STATES)
    def test_read_window_prunes_what_is_settled_or_given_up(self, state: EntryState) -> None:
        ledger_pass = make_listing_pass(make_entry(state))
        ledger_pass.plan(make_listing(REF), NOW)
        window = TimeRange(OLD - DAY, OLD + DAY)

        ledger_pass.advance_watermark("", window, window, NOW - 3 * DAY)

        is_pruned = state in {EntryState.STALLED, EntryState.SETTLED}
        assert (ledger_pass.ledger.entries == {}) is is_pruned
        assert ledger_pass.is_pruned(REF, [""], window) is is_pruned
        assert ledger_pass.is_pruned(replace(REF, approx_created_at=None), [""], window) is is_pruned
        assert ledger_pass.has_pruned_rows(window)

    @pytest.mark.parametrize(
        ("created_at", "is_pruned"),
        [
            (OLD - timedelta(seconds=1), False),  # before the window
            (OLD, True),
            (OLD + DAY - timedelta(seconds=1), True),
            (OLD + DAY, False),  # after it
            (None, False),
        ],
    )
    def test_read_window_prunes_what_was_created_in_it(self, created_at: datetime | None, is_pruned: bool) -> None:
        ledger_pass = make_listing_pass(make_entry(EntryState.SETTLED))
        gone_ref = replace(REF, batch_id="gone")  # listed, and without an entry
        ledger_pass.plan(make_listing(gone_ref, replace(REF, approx_created_at=created_at)), NOW)

        ledger_pass.advance_watermark("", TimeRange(OLD - DAY, OLD + DAY), TimeRange(OLD, OLD + DAY), NOW)

        assert (ledger_pass.ledger.entries == {}) is is_pruned

    @pytest.mark.parametrize("is_pinned", [True, False])
    @pytest.mark.parametrize(
        ("created_at", "is_pinned_after"),
        [
            (OLD - timedelta(seconds=1), True),  # the settings exclude it
            (OLD, False),
            (OLD + DAY, None),  # not read yet
        ],
    )
    def test_read_window_pins_what_it_leaves_out(
        self, created_at: datetime, is_pinned_after: bool | None, is_pinned: bool
    ) -> None:
        ledger_pass = make_listing_pass(make_entry(EntryState.OPEN, is_pinned=is_pinned))
        ledger_pass.plan(make_listing(replace(REF, approx_created_at=created_at)), NOW)

        ledger_pass.advance_watermark("", TimeRange(OLD - DAY, OLD + DAY), TimeRange(OLD, OLD + DAY), NOW)

        expected = is_pinned if is_pinned_after is None else is_pinned_after
        assert ledger_pass.ledger.entries[REF.key].is_pinned is expected

    @pytest.mark.parametrize(("seconds", "is_pinned"), [(0, False), (1, True)])
    def test_window_of_which_nothing_is_included_pins_what_is_older(self, seconds: int, is_pinned: bool) -> None:
        ledger_pass = make_listing_pass(make_entry(EntryState.OPEN))
        ledger_pass.plan(make_listing(REF), NOW)
        start = OLD + timedelta(seconds=seconds)

        ledger_pass.advance_watermark("", TimeRange(OLD - DAY, OLD + DAY), TimeRange(start, start), NOW)

        assert ledger_pass.ledger.entries[REF.key].is_pinned is is_pinned

    @pytest.mark.parametrize("seconds", [0, 1])
    def test_document_as_old_as_the_lookback_is_kept(self, seconds: int) -> None:
        ledger_pass = make_listing_pass(make_entry(EntryState.SETTLED))
        ledger_pass.plan(make_listing(REF), NOW)
        window = TimeRange(OLD - DAY, OLD + DAY)

        ledger_pass.advance_watermark("", window, window, OLD + timedelta(seconds=seconds))

        assert bool(ledger_pass.ledger.entries) is (seconds == 0)

    @pytest.mark.parametrize(("start", "is_pinned"), [(OLD, False), (OLD + timedelta(seconds=1), True)])
    def test_window_that_follows_the_last_one_leaves_no_gap(self, start: datetime, is_pinned: bool) -> None:
        ledger_pass = make_listing_pass(make_entry(EntryState.OPEN))
        ledger_pass.ledger.read_ranges = {"": [TimeRange(BEGINNING, OLD)]}

        window = TimeRange(start, NOW)
        ledger_pass.advance_watermark("", window, window, NOW)

        assert ledger_pass.ledger.entries[REF.key].is_pinned is is_pinned

    def test_delivery_under_a_scope_makes_it_active_before_anything_counts_as_read(self) -> None:
        window = TimeRange(OLD, NOW)
        ledger_pass = make_listing_pass()
        ledger_pass.ledger.inactive_scopes = {"a", "b"}
        ledger_pass.ledger.read_ranges = {"b": [window]}

        ledger_pass.begin_delivery("a")
        assert ledger_pass.ledger.inactive_scopes == {"b"}
        assert ledger_pass.ledger.read_ranges == {"a": [], "b": [window]}

        ledger_pass.begin_delivery("b")
        assert ledger_pass.ledger.inactive_scopes == set()
        assert ledger_pass.ledger.read_ranges == {"a": [], "b": [window]}

    @pytest.mark.parametrize(
        ("created_at", "late_settled_at"),
        [
            (truncate_to_day(NOW), OLD),
            (truncate_to_day(NOW) - timedelta(seconds=1), NOW),
            (None, NOW),
        ],
    )
    def test_document_that_settles_after_its_day_is_remembered(
        self, created_at: datetime | None, late_settled_at: datetime
    ) -> None:
        ledger_pass = make_listing_pass(make_entry(EntryState.OPEN))
        ledger_pass.ledger.late_settled_at = OLD

        record(ledger_pass, replace(REF, approx_created_at=created_at))

        assert ledger_pass.ledger.late_settled_at == late_settled_at

    def test_reading_ends_that_a_document_was_given_up(self) -> None:
        ledger_pass = make_listing_pass()
        ledger_pass.ledger.given_up = {hash_row(str(key).encode()) for key in (REF.key, PartitionKey("t", "other"))}

        record(ledger_pass, REF)

        assert ledger_pass.ledger.given_up == {hash_row(str(PartitionKey("t", "other")).encode())}

    def test_pruned_document_is_not_doubtful(self) -> None:
        ledger_pass = make_listing_pass(make_entry(EntryState.SETTLED))
        ledger_pass.ledger.doubtful_keys.add(REF.key)
        ledger_pass.plan(make_listing(REF), NOW)
        window = TimeRange(OLD - DAY, OLD + DAY)

        ledger_pass.advance_watermark("", window, window, NOW)

        assert ledger_pass.ledger.doubtful_keys == set()

    def test_plan_leaves_no_row_in_memory(self) -> None:
        row = {"id": "1"}
        ledger_pass = make_listing_pass()
        count = sys.getrefcount(row)

        ledger_pass.plan(make_listing(replace(REF, listed_row=row)), NOW)

        assert sys.getrefcount(row) == count

    def test_read_window_leaves_no_key_of_what_it_prunes_in_memory(self) -> None:
        ledger_pass, window = make_listing_pass(), TimeRange(OLD - DAY, OLD + DAY)
        counts = [sys.getrefcount(REF.key)]
        ledger_pass.plan(make_listing(REF), NOW)
        record(ledger_pass, REF)
        counts.append(sys.getrefcount(REF.key))

        ledger_pass.advance_watermark("", window, window, NOW - 3 * DAY)

        counts.append(sys.getrefcount(REF.key))
        assert counts[0] == counts[2] < counts[1]

    def test_window_in_the_lookback_prunes_nothing(self) -> None:
        ledger_pass = make_listing_pass(make_entry(EntryState.SETTLED))
        ledger_pass.plan(make_listing(REF), NOW)
        window = TimeRange(OLD - DAY, OLD + DAY)

        ledger_pass.advance_watermark("", window, window, OLD - 3 * DAY)

        assert REF.key in ledger_pass.ledger.entries

    def test_ranges_read_with_a_clock_that_was_ahead_prove_nothing_within_the_lookback(self) -> None:
        ledger = Ledger(read_ranges={"": [TimeRange(BEGINNING, NOW + DAY)]}, pruned_before={"": NOW})
        window = TimeRange(OLD, NOW)
        ledger_pass = ListingPass(ledger, POLICY)
        assert ledger_pass.is_pruned(REF, [""], window)

        ledger_pass.distrust_future_reads(NOW + DAY, OLD - DAY)
        assert ledger_pass.is_pruned(REF, [""], window)

        ledger_pass.distrust_future_reads(NOW, OLD - DAY)
        assert not ledger_pass.is_pruned(REF, [""], window)


class TestPins:
    """Entries that may belong to a scope or a time which the settings no longer include."""

    RANGES = (TimeRange(OLD - 20 * DAY, OLD - 10 * DAY), TimeRange(OLD - DAY, NOW))

    def end_sync(self, ledger: Ledger, *, is_pinned: bool, is_listed: bool = False, has_gap: bool = False) -> Entry:
        """Read the scope `""` with a list of another document; return the entry after that."""
        entry = make_entry(EntryState.OPEN, is_pinned=is_pinned)
        ledger.entries[REF.key] = entry
        ledger_pass = ListingPass(ledger, POLICY)
        ledger_pass.plan(make_listing(replace(REF, batch_id="other"), *[REF] * is_listed), NOW)
        if has_gap:
            window = TimeRange(OLD - 5 * DAY, OLD + DAY)
            ledger_pass.advance_watermark("", window, window, NOW)
        ledger_pass.compact_and_prune(NOW, [""])
        return ledger.entries[REF.key]

    @pytest.mark.parametrize("is_listed", [True, False])
    def test_scope_that_the_settings_drop_pins_what_no_listing_shows(self, is_listed: bool) -> None:
        ledger = Ledger(read_ranges={"": [self.RANGES[1]], "gone": [self.RANGES[1]]})

        entry = self.end_sync(ledger, is_pinned=False, is_listed=is_listed)

        assert entry.is_pinned is not is_listed
        assert ledger.inactive_scopes == {"gone"}

    @pytest.mark.parametrize("is_pinned", [True, False])
    def test_scope_that_was_dropped_before_changes_no_pin(self, is_pinned: bool) -> None:
        ledger = Ledger(read_ranges={"": [self.RANGES[1]], "gone": [self.RANGES[1]]}, inactive_scopes={"gone"})

        assert self.end_sync(ledger, is_pinned=is_pinned).is_pinned is is_pinned
        assert ledger.inactive_scopes == {"gone"}

    def test_pins_end_once_one_range_of_each_scope_proves_all(self) -> None:
        ledger = Ledger(read_ranges={"": [self.RANGES[1]]}, inactive_scopes={"back"})

        assert not self.end_sync(ledger, is_pinned=True).is_pinned
        assert ledger.inactive_scopes == set()

    def test_pins_stay_while_a_scope_has_two_ranges(self) -> None:
        assert self.end_sync(Ledger(read_ranges={"": list(self.RANGES)}), is_pinned=True).is_pinned

    def test_pins_stay_where_a_first_window_leaves_a_gap(self) -> None:
        assert self.end_sync(Ledger(), is_pinned=True, has_gap=True).is_pinned

    @pytest.mark.parametrize("is_listed", [True, False])
    def test_gap_before_a_window_pins_what_no_listing_shows(self, is_listed: bool) -> None:
        ledger = Ledger(read_ranges={"": [self.RANGES[0]]})

        assert self.end_sync(ledger, is_pinned=False, is_listed=is_listed, has_gap=True).is_pinned is not is_listed


class TestDoubt:
    """A batch names a document without an entry: before it is read, nothing shows whether it was delivered."""

    READ_RANGE = TimeRange(OLD - DAY, OLD + DAY)
    UNDATED_REF = PartitionRef("t", "b")
    OTHER_REF = PartitionRef("t", "other", created_at=OLD, approx_created_at=OLD)

    def make_doubtful_pass(self) -> ListingPass:
        ledger = Ledger(read_ranges={"": [self.READ_RANGE], "other": []}, pruned_before={"": NOW})
        ledger_pass = ListingPass(ledger, POLICY)
        ledger_pass.register_reference(self.UNDATED_REF, NOW)
        assert ledger.doubtful_keys == {REF.key}
        return ledger_pass

    def test_document_that_a_first_sync_sees_is_not_doubtful(self) -> None:
        ledger_pass = make_listing_pass()

        ledger_pass.register_reference(self.UNDATED_REF, NOW)

        assert ledger_pass.ledger.doubtful_keys == set()

    def test_document_that_the_listing_shows_is_not_doubtful(self) -> None:
        ledger_pass = ListingPass(Ledger(read_ranges={"": [self.READ_RANGE]}), POLICY)
        ledger_pass.plan(make_listing(REF), NOW)

        ledger_pass.register_reference(self.UNDATED_REF, NOW, has_changed=True)

        assert ledger_pass.ledger.doubtful_keys == set()

    @pytest.mark.parametrize(
        ("created_at", "scope", "window", "is_doubtful"),
        [
            (OLD, "", TimeRange(BEGINNING, NOW), True),
            (OLD + DAY, "", READ_RANGE, False),
            (OLD, "other", READ_RANGE, False),
            (None, "", READ_RANGE, True),
            (None, "", TimeRange(OLD, OLD + 2 * DAY), False),
        ],
    )
    def test_listed_document_outside_the_read_ranges_is_not_doubtful_any_more(
        self, created_at: datetime | None, scope: str, window: TimeRange, is_doubtful: bool
    ) -> None:
        ledger_pass = self.make_doubtful_pass()

        ledger_pass.trust_listing(self.OTHER_REF, [scope], TimeRange(NOW, NOW + DAY))
        ledger_pass.trust_listing(replace(self.UNDATED_REF, approx_created_at=created_at), [scope], window)

        assert ledger_pass.ledger.doubtful_keys == ({REF.key} if is_doubtful else set())

    @pytest.mark.parametrize(
        ("created_at", "scope", "status", "is_delivered"),
        [
            (OLD, "", PartitionStatus.COMPLETE, True),
            (OLD, "", PartitionStatus.OPEN, False),
            (OLD, "other", PartitionStatus.COMPLETE, False),
            (OLD + DAY, "", PartitionStatus.COMPLETE, False),
            (None, "", PartitionStatus.COMPLETE, False),
        ],
    )
    def test_finished_document_in_the_read_ranges_was_delivered(
        self, created_at: datetime | None, scope: str, status: PartitionStatus, is_delivered: bool
    ) -> None:
        ledger_pass = self.make_doubtful_pass()
        snapshot = Snapshot(replace(self.UNDATED_REF, approx_created_at=created_at), status, documents=())

        ledger_pass.resolve_doubt(snapshot, [scope])

        assert ledger_pass.decide(snapshot, NOW).is_delivered is is_delivered

    def test_document_without_doubt_is_not_taken_as_delivered(self) -> None:
        ledger_pass = self.make_doubtful_pass()
        snapshot = Snapshot(self.OTHER_REF, PartitionStatus.COMPLETE, documents=())

        ledger_pass.resolve_doubt(snapshot, [""])

        assert not ledger_pass.decide(snapshot, NOW).is_delivered

    @pytest.mark.parametrize(("pruned_ref", "is_delivered"), [(REF, False), (OTHER_REF, True)])
    def test_document_that_was_given_up_before_it_finished_was_not_delivered(
        self, pruned_ref: PartitionRef, is_delivered: bool
    ) -> None:
        ledger_pass = make_listing_pass(make_entry(EntryState.STALLED))
        ledger_pass.ledger.entries = {pruned_ref.key: make_entry(EntryState.STALLED)}
        ledger_pass.plan(make_listing(pruned_ref), NOW)
        ledger_pass.advance_watermark("", self.READ_RANGE, self.READ_RANGE, NOW)
        ledger_pass.register_reference(self.UNDATED_REF, NOW)
        snapshot = Snapshot(REF, PartitionStatus.COMPLETE, documents=())

        ledger_pass.resolve_doubt(snapshot, [""])

        assert ledger_pass.decide(snapshot, NOW).is_delivered is is_delivered

    def test_reading_ends_the_doubt(self) -> None:
        ledger_pass = self.make_doubtful_pass()
        ledger_pass.resolve_doubt(Snapshot(REF, PartitionStatus.COMPLETE, documents=()), [""])

        snapshot = Snapshot(REF, PartitionStatus.COMPLETE, documents=())
        ledger_pass.record(REF, ledger_pass.decide(snapshot, NOW), [], NOW)

        assert ledger_pass.ledger.doubtful_keys == set()
        assert not ledger_pass.decide(snapshot, NOW).is_delivered

    def test_unknown_document_stays_doubtful(self) -> None:
        ledger_pass = self.make_doubtful_pass()

        record(ledger_pass, REF, PartitionStatus.MISSING)

        assert ledger_pass.ledger.doubtful_keys == {REF.key}


@pytest.mark.parametrize(("age", "is_missing"), [(5 * DAY, True), (31 * DAY, False)])
def test_unknown_batch_is_missing_until_it_is_given_up(age: timedelta, is_missing: bool) -> None:
    ledger_pass = make_pass(PollingPass, make_entry(EntryState.MISSING, age))

    assert ledger_pass.is_missing(REF.key, NOW) is is_missing
    assert not ledger_pass.is_missing(PartitionKey("t", "other"), NOW)


def test_mismatched_day_is_read_again_as_a_whole() -> None:
    ledger = Ledger(compacted_days={"t": {"2026-11-10": CompactedDay(2, 5)}})
    refs = [replace(REF, batch_id=name) for name in "ab"]

    assert plan_ids(PollingPass(ledger, POLICY), *refs) == ["a", "b"]
    assert ledger.compacted_days == {"t": {}}
