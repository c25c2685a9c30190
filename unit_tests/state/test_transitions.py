"""The meaning of one reading: each state and each kind of reading, and the table in the documentation."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from source_docextract.core.model import FileStatus, PartitionRef, PartitionStatus, Snapshot
from source_docextract.state.entries import Entry, EntryState, SyncPolicy
from source_docextract.state.ledger import Ledger
from source_docextract.state.transitions import (
    TRANSITIONS,
    Decision,
    Reading,
    classify_reading,
    decide,
    split_row_hashes,
)
from unit_tests.support.rows import FakeRow

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=timezone.utc)
DAY = timedelta(days=1)
REF = PartitionRef("t", "b", approx_created_at=NOW - 50 * DAY, fingerprint="2")
CHANGED_REF = replace(REF, fingerprint="3")
POLICY = SyncPolicy(give_up_after=30 * DAY)
STATE_PAGE = Path(__file__).parents[2] / "docs" / "state.md"

SETTLED_STATES = {EntryState.SETTLED, EntryState.PARTLY_MISSING}
MISSING_STATES = {EntryState.MISSING, EntryState.PARTLY_MISSING}


def make_entry(state: EntryState, age: timedelta = DAY) -> Entry:
    """Return an entry of `REF` that has been in a state for so long."""
    if state is EntryState.NEW:
        return Ledger().get(REF.key)
    since = NOW - age
    return Entry(
        since,
        state,
        signature="2",
        row_hashes="aaaaaabbbbbb",
        provider_state="p1w1",
        member_statuses={"d": FileStatus.FAILED},
        missing_since=since if state in MISSING_STATES else None,
    )


def make_reading(entry: Entry, reading: Reading) -> tuple[Entry, Snapshot]:
    """Return an entry and a snapshot that together are a reading of this kind.

    Only open and stalled partitions can be overdue.
    """
    snapshot = Snapshot(REF, PartitionStatus.COMPLETE, provider_state="p2")
    if reading is Reading.FINISHED_IN_PART:
        snapshot = replace(snapshot, has_unknown_files=True)
    elif reading is Reading.UNFINISHED:
        listed_ref = CHANGED_REF if entry.state is EntryState.STALLED else REF
        snapshot = replace(snapshot, status=PartitionStatus.OPEN, ref=listed_ref)
    elif reading is Reading.OVERDUE:
        entry = replace(entry, status_since=NOW - 31 * DAY)
        snapshot = replace(snapshot, status=PartitionStatus.OPEN)
    elif reading is Reading.UNKNOWN:
        listed_ref = replace(REF, fingerprint=entry.signature)
        snapshot = replace(snapshot, status=PartitionStatus.MISSING, ref=listed_ref)
    elif reading is Reading.UNKNOWN_WITH_CHANGE:
        snapshot = replace(snapshot, status=PartitionStatus.MISSING, ref=CHANGED_REF)
    return entry, snapshot


def is_possible(state: EntryState, reading: Reading) -> bool:
    return reading is not Reading.OVERDUE or state in {EntryState.OPEN, EntryState.STALLED}


ALL_PAIRS = list(itertools.product(EntryState, Reading))
POSSIBLE_PAIRS = [pair for pair in ALL_PAIRS if is_possible(*pair)]


def decide_pair(state: EntryState, reading: Reading) -> tuple[Entry, Decision]:
    entry, snapshot = make_reading(make_entry(state), reading)
    return entry, decide(entry, snapshot, POLICY, NOW)


class TestTable:
    def test_table_has_each_state_and_each_reading(self) -> None:
        assert [(state, reading) for state, row in TRANSITIONS.items() for reading in row] == ALL_PAIRS

    @pytest.mark.parametrize(("state", "reading"), ALL_PAIRS)
    def test_transition_ends_in_the_state_that_the_reading_proves(self, state: EntryState, reading: Reading) -> None:
        next_state = TRANSITIONS[state][reading]

        was_settled = state in SETTLED_STATES
        was_given_up = state in {EntryState.OPEN, EntryState.STALLED}
        expected_states = {
            Reading.UNFINISHED: EntryState.OPEN,
            Reading.OVERDUE: EntryState.STALLED if was_given_up else EntryState.OPEN,
            Reading.FINISHED: EntryState.SETTLED,
            Reading.FINISHED_IN_PART: EntryState.PARTLY_MISSING,
            # An unknown id never takes the rows of what was settled.
            Reading.UNKNOWN: state if was_settled else EntryState.MISSING,
            Reading.UNKNOWN_WITH_CHANGE: EntryState.PARTLY_MISSING if was_settled else EntryState.MISSING,
        }
        assert next_state is expected_states[reading]

    def test_table_of_the_documentation_equals_the_table_of_the_code(self) -> None:
        rows = [
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in STATE_PAGE.read_text(encoding="utf-8").splitlines()
            if line.startswith("|")
        ]
        readings = [reading.value for reading in Reading]
        header_index = rows.index(["state", *readings])
        documented_rows = rows[header_index + 2 : header_index + 2 + len(EntryState)]

        assert documented_rows == [
            [state.value, *(TRANSITIONS[state][reading].value for reading in Reading)] for state in EntryState
        ]

    @pytest.mark.parametrize("name", [*EntryState, *Reading])
    def test_each_name_is_explained_on_the_page(self, name: EntryState | Reading) -> None:
        explanation = rf"^\| {re.escape(name.value)} \| [A-Z][^|]+\."

        assert re.search(explanation, STATE_PAGE.read_text(encoding="utf-8"), re.MULTILINE)


class TestDecision:
    @pytest.mark.parametrize(
        ("provider_status", "reading"), [("waiting", Reading.OVERDUE), ("ready", Reading.UNFINISHED)]
    )
    def test_stalled_partition_is_opened_by_another_status_in_its_listing(
        self, provider_status: str, reading: Reading
    ) -> None:
        entry = replace(make_entry(EntryState.STALLED), signature="2 waiting")
        snapshot = Snapshot(replace(REF, provider_status=provider_status), PartitionStatus.OPEN)

        assert classify_reading(entry, snapshot, POLICY, NOW) is reading

    @pytest.mark.parametrize(("state", "reading"), POSSIBLE_PAIRS)
    def test_decision_for_each_state_and_reading_follows_the_table(self, state: EntryState, reading: Reading) -> None:
        entry, snapshot = make_reading(make_entry(state), reading)

        assert classify_reading(entry, snapshot, POLICY, NOW) is reading
        assert decide(entry, snapshot, POLICY, NOW).entry.state is TRANSITIONS[state][reading]

    @pytest.mark.parametrize(("state", "reading"), POSSIBLE_PAIRS)
    def test_decision_keeps_rows_only_of_settled_partitions_that_are_unknown(
        self, state: EntryState, reading: Reading
    ) -> None:
        _, decision = decide_pair(state, reading)

        is_unknown = reading in {Reading.UNKNOWN, Reading.UNKNOWN_WITH_CHANGE}
        assert decision.keeps_rows is (is_unknown and state in SETTLED_STATES)
        assert decision.is_new(FakeRow("row", "cccccc")) is not decision.keeps_rows
        assert decision.is_new(FakeRow("row", "aaaaaa")) is (state is EntryState.NEW)

    @pytest.mark.parametrize(("state", "reading"), POSSIBLE_PAIRS)
    def test_decision_is_retried_where_the_provider_lacks_something(self, state: EntryState, reading: Reading) -> None:
        entry, decision = decide_pair(state, reading)

        if decision.entry.state in MISSING_STATES:
            # Since the first time, however often it was asked for.
            assert decision.entry.missing_since == (entry.missing_since or NOW)
            assert decision.entry.missing_checked_at == NOW
        else:
            assert (decision.entry.missing_since, decision.entry.missing_checked_at) == (None, None)

    @pytest.mark.parametrize(("state", "reading"), POSSIBLE_PAIRS)
    def test_decision_of_unknown_id_keeps_what_documents_have_reported(
        self, state: EntryState, reading: Reading
    ) -> None:
        entry, decision = decide_pair(state, reading)

        is_unknown = reading in {Reading.UNKNOWN, Reading.UNKNOWN_WITH_CHANGE}
        assert decision.entry.provider_state == (entry.provider_state if is_unknown else "p2")
        keeps_statuses = is_unknown and decision.entry.state in MISSING_STATES
        assert decision.entry.member_statuses == (entry.member_statuses if keeps_statuses else {})

    @pytest.mark.parametrize(
        ("state", "reading", "expected_since"),
        [
            (EntryState.NEW, Reading.UNFINISHED, NOW),
            (EntryState.UNREAD, Reading.UNFINISHED, NOW - DAY),  # since it was first referenced
            (EntryState.OPEN, Reading.UNFINISHED, NOW - DAY),
            (EntryState.OPEN, Reading.OVERDUE, NOW - 31 * DAY),
            (EntryState.STALLED, Reading.OVERDUE, NOW - 31 * DAY),
            (EntryState.STALLED, Reading.UNFINISHED, NOW),  # its time begins anew
            (EntryState.SETTLED, Reading.UNFINISHED, NOW),
            (EntryState.MISSING, Reading.UNFINISHED, NOW),
            (EntryState.NEW, Reading.FINISHED, NOW - 50 * DAY),  # finished when first seen: since its creation
            (EntryState.UNREAD, Reading.FINISHED, NOW - 50 * DAY),
            (EntryState.OPEN, Reading.FINISHED, NOW),
            (EntryState.MISSING, Reading.FINISHED, NOW),
            (EntryState.SETTLED, Reading.FINISHED, NOW - DAY),  # a further look does not restart the lookback
            (EntryState.SETTLED, Reading.UNKNOWN, NOW - DAY),
            (EntryState.SETTLED, Reading.UNKNOWN_WITH_CHANGE, NOW - DAY),
            (EntryState.OPEN, Reading.UNKNOWN, NOW),
            (EntryState.MISSING, Reading.UNKNOWN, NOW - DAY),
        ],
    )
    def test_decision_states_since_when_it_applies(
        self, state: EntryState, reading: Reading, expected_since: datetime
    ) -> None:
        assert decide_pair(state, reading)[1].entry.status_since == expected_since

    def test_settled_partition_with_changed_listing_settles_anew(self) -> None:
        entry = make_entry(EntryState.SETTLED, age=9 * DAY)

        decision = decide(entry, Snapshot(CHANGED_REF, PartitionStatus.COMPLETE), POLICY, NOW)

        assert (decision.entry.status_since, decision.entry.signature) == (NOW, "3")

    @pytest.mark.parametrize(("completed_days_ago", "expected_days_ago"), [(2, 2), (-7, 0)])
    def test_completion_time_of_provider_counts_unless_it_lies_in_the_future(
        self, completed_days_ago: int, expected_days_ago: int
    ) -> None:
        snapshot = Snapshot(REF, PartitionStatus.COMPLETE, completed_at=NOW - completed_days_ago * DAY)

        assert (
            decide(make_entry(EntryState.NEW), snapshot, POLICY, NOW).entry.status_since
            == NOW - expected_days_ago * DAY
        )

    @pytest.mark.parametrize("state", [state for state in EntryState if state is not EntryState.NEW])
    @pytest.mark.parametrize("reading", Reading)
    def test_no_state_applies_since_later_than_now_after_the_clock_was_set_back(
        self, state: EntryState, reading: Reading
    ) -> None:
        entry, snapshot = make_reading(make_entry(state, age=-5 * DAY), reading)

        assert decide(entry, snapshot, POLICY, NOW).entry.status_since <= NOW

    def test_listed_status_belongs_to_the_signature_only_while_nothing_polls(self) -> None:
        listed = replace(REF, provider_status="waiting")
        entry = replace(make_entry(EntryState.OPEN), status_since=NOW - 31 * DAY)

        assert decide(entry, Snapshot(listed, PartitionStatus.OPEN), POLICY, NOW).entry.signature == "2 waiting"
        assert decide(entry, Snapshot(listed, PartitionStatus.MISSING), POLICY, NOW).entry.signature == "2 waiting"
        assert decide(entry, Snapshot(listed, PartitionStatus.COMPLETE), POLICY, NOW).entry.signature == "2"


class TestFetchedById:
    """A document that is fetched by its id comes without its listing."""

    BY_ID = PartitionRef("t", "b")

    @pytest.mark.parametrize("status", [PartitionStatus.COMPLETE, PartitionStatus.OPEN, PartitionStatus.MISSING])
    def test_signature_stays_so_that_an_unchanged_listing_makes_no_request(self, status: PartitionStatus) -> None:
        snapshot = Snapshot(self.BY_ID, status)

        decision = decide(make_entry(EntryState.OPEN), snapshot, POLICY, NOW, is_fetched_by_id=True)

        assert decision.entry.signature == "2"

    def test_reopened_document_loses_its_signature_so_that_its_listing_makes_it_due(self) -> None:
        snapshot = Snapshot(self.BY_ID, PartitionStatus.OPEN)

        decision = decide(make_entry(EntryState.SETTLED), snapshot, POLICY, NOW, is_fetched_by_id=True)

        assert (decision.entry.state, decision.entry.signature) == (EntryState.OPEN, "")

    def test_missing_document_keeps_the_row_that_its_listing_made(self) -> None:
        snapshot = Snapshot(self.BY_ID, PartitionStatus.MISSING)

        decision = decide(make_entry(EntryState.MISSING), snapshot, POLICY, NOW, is_fetched_by_id=True)

        assert (decision.entry.state, decision.keeps_rows) == (EntryState.MISSING, True)

    @pytest.mark.parametrize(
        ("needs_reread", "expected_state"), [(True, EntryState.PARTLY_MISSING), (False, EntryState.SETTLED)]
    )
    def test_unknown_settled_document_is_missing_only_if_it_was_flagged(
        self, needs_reread: bool, expected_state: EntryState
    ) -> None:
        entry = replace(make_entry(EntryState.SETTLED), needs_reread=needs_reread)

        decision = decide(entry, Snapshot(self.BY_ID, PartitionStatus.MISSING), POLICY, NOW, is_fetched_by_id=True)

        assert decision.entry.state is expected_state


def test_unfinished_batch_with_unknown_files_stays_open_and_is_retried() -> None:
    snapshot = Snapshot(REF, PartitionStatus.OPEN, has_unknown_files=True)

    decision = decide(make_entry(EntryState.OPEN), snapshot, POLICY, NOW)

    assert (decision.entry.state, decision.entry.missing_since) == (EntryState.OPEN, NOW)


def test_row_hashes_are_split_into_their_parts() -> None:
    assert list(split_row_hashes("")) == []
    assert list(split_row_hashes("aaaaaabbbbbb")) == ["aaaaaa", "bbbbbb"]
