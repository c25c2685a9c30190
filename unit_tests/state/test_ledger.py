"""When a batch is due, open, settled, stalled or compacted, and how the state stores it."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from source_docextract.core.errors import ConfigError
from source_docextract.core.model import Document, FileStatus, PartitionKey, PartitionRef, PartitionStatus, Snapshot
from source_docextract.core.time_ranges import BEGINNING, TimeRange
from source_docextract.state.compaction import CompactedDay
from source_docextract.state.entries import Entry, EntryState, Listing, SyncPolicy, age_sort_key
from source_docextract.state.ledger import Ledger
from source_docextract.state.passes import LedgerPass, ListingPass, PollingPass, ReferencePass
from source_docextract.state.serialization import StreamState
from source_docextract.state.transitions import Decision
from unit_tests.support.rows import FakeRow

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=timezone.utc)
DAY = timedelta(days=1)
DONE_DOCUMENTS = (Document(key="a", status=FileStatus.PROCESSED),)


def make_batch(name: str, age: float | None = 0, files: int = 1, template: str = "t") -> PartitionRef:
    """A listed batch, created `age` days before NOW."""
    created = None if age is None else NOW - age * DAY
    return PartitionRef(
        template, name, created_at=created, approx_created_at=created, is_explicit=age is None, fingerprint=f"{files}"
    )


def make_listing(
    *refs: PartitionRef, complete_templates: Collection[str] = (), failed_templates: Collection[str] = ()
) -> Listing:
    new_listing = Listing(complete_templates=set(complete_templates), failed_templates=set(failed_templates))
    new_listing.add(refs)
    return new_listing


def finished_snapshot(ref: PartitionRef) -> Snapshot:
    return Snapshot(ref, PartitionStatus.COMPLETE, documents=DONE_DOCUMENTS)


def waiting_snapshot(ref: PartitionRef) -> Snapshot:
    return Snapshot(ref, PartitionStatus.OPEN)


def unknown_snapshot(ref: PartitionRef) -> Snapshot:
    return Snapshot(ref, PartitionStatus.MISSING, error="It is not known.")


def get_due_ids(ledger_pass: LedgerPass, *refs: PartitionRef, now: datetime = NOW) -> list[str]:
    return [ref.batch_id for ref in ledger_pass.plan(make_listing(*refs), now)]


def start_pass(policy: SyncPolicy = SyncPolicy()) -> PollingPass:  # noqa: B008
    return PollingPass(Ledger(), policy)


def record_reading(
    ledger_pass: LedgerPass, snapshot: Snapshot, row_hashes: list[str] | None, now: datetime
) -> list[str]:
    """Record a reading; return the hashes of the rows that it delivers."""
    decision = ledger_pass.decide(snapshot, now)
    ledger_pass.record(snapshot.ref, decision, row_hashes, now)
    return [row_hash for row_hash in row_hashes or () if decision.is_new(FakeRow(row_hash, row_hash))]


def list_new_hashes(decision: Decision, row_id: str, *row_hashes: str) -> list[str]:
    """Return the hashes with which a row would be delivered."""
    return [row_hash for row_hash in row_hashes if decision.is_new(FakeRow(row_id, row_hash))]


def run_sync(ledger_pass: LedgerPass, *snapshots: Snapshot, now: datetime = NOW) -> None:
    """One whole sync that finds the batches as they are given."""
    ledger_pass.plan(make_listing(*(snapshot.ref for snapshot in snapshots)), now)
    for snapshot in snapshots:
        if ledger_pass.tracks(snapshot.ref):
            record_reading(ledger_pass, snapshot, ["marked"] if snapshot.is_finished else None, now)
    end_sync(ledger_pass, now)


def end_sync(ledger_pass: LedgerPass, now: datetime) -> None:
    """The end of a sync that has made each look."""
    ledger_pass.ledger.last_complete_sync = now
    ledger_pass.compact_and_prune(now)


def reload_ledger(ledger_pass: LedgerPass, policy: SyncPolicy) -> PollingPass:
    reloaded_state = StreamState(policy).load(json.loads(json.dumps(to_json(ledger_pass))), "a_stream")
    return PollingPass(reloaded_state.ledger, policy)


def record_part(ledger_pass: LedgerPass, ref: PartitionRef, *rows: str, is_first_reading: bool = True) -> None:
    """Record rows, given as `<id> <hash>`, that a page has delivered."""
    ledger_pass.record_part(ref, [FakeRow(*row.split()) for row in rows], NOW, is_first_reading=is_first_reading)


def start_changed_reading() -> tuple[PollingPass, PartitionRef]:
    """Return a batch of which two readings broke off; the second one delivered row 1 with another content."""
    ledger_pass, ref = start_pass(), make_batch("b", age=2)
    ledger_pass.plan(make_listing(ref), NOW)
    record_part(ledger_pass, ref, "1 hash-1")
    record_part(ledger_pass, ref, "1 hash-2", is_first_reading=False)
    return ledger_pass, ref


class TestOpenReading:
    """Batches of which some pages are delivered."""

    def test_part_of_new_batch_keeps_it_unread_and_remembers_its_rows(self) -> None:
        ledger_pass, ref = start_pass(), make_batch("b", age=50)
        ledger_pass.plan(make_listing(ref), NOW)
        record_part(ledger_pass, ref, "1 hash-1", "2 hash-2")
        record_part(ledger_pass, ref, "3 hash-3")
        ledger_pass.compact_and_prune(NOW)

        resumed = reload_ledger(ledger_pass, SyncPolicy())

        assert get_due_ids(resumed, ref, now=NOW + DAY) == ["b"]
        decision = resumed.decide(finished_snapshot(ref), NOW)
        assert decision.delivered_hashes == {"hash-1", "hash-2", "hash-3"}

    def test_batch_read_whole_after_a_part_is_settled_since_creation(self) -> None:
        ledger_pass, ref = start_pass(), make_batch("b", age=4)
        ledger_pass.plan(make_listing(ref), NOW)
        record_part(ledger_pass, ref, "1 hash-1")

        record_reading(ledger_pass, finished_snapshot(ref), ["hash-1", "hash-2"], NOW)

        # Compacted at once: it had settled before the lookback, though it was read in this sync only.
        assert (ledger_pass.ledger.entries, ledger_pass.ledger.settled_count) == ({}, 1)
        assert get_due_ids(ledger_pass, ref) == []

    def test_part_of_settled_batch_keeps_it_due_after_the_lookback(self) -> None:
        ledger_pass, ref = start_pass(), make_batch("b", age=2)
        ledger_pass.plan(make_listing(ref), NOW)
        record_reading(ledger_pass, finished_snapshot(ref), ["hash-1"], NOW)
        ledger_pass.plan(make_listing(ref), NOW)
        record_part(ledger_pass, ref, "1 hash-2", is_first_reading=False)

        # Neither the time nor the compaction of its day ends it.
        for days in (5, 40, 400):
            ledger_pass = reload_ledger(ledger_pass, SyncPolicy())
            assert get_due_ids(ledger_pass, ref, now=NOW + days * DAY) == ["b"]
            end_sync(ledger_pass, NOW + days * DAY)
        record_reading(ledger_pass, finished_snapshot(ref), ["hash-2"], NOW + 400 * DAY)
        end_sync(ledger_pass, NOW + 400 * DAY)
        assert get_due_ids(ledger_pass, ref, now=NOW + 400 * DAY) == []

    def test_row_that_a_part_has_changed_is_new_until_it_is_as_the_part_delivered_it(self) -> None:
        ledger_pass, ref = start_pass(), make_batch("b", age=2)
        ledger_pass.plan(make_listing(ref), NOW)
        record_reading(ledger_pass, finished_snapshot(ref), ["hash-1", "hash-2"], NOW)
        ledger_pass.plan(make_listing(ref), NOW)
        record_part(ledger_pass, ref, "1 hash-3", is_first_reading=False)
        record_part(ledger_pass, ref, "2 hash-4", is_first_reading=False)

        decision = reload_ledger(ledger_pass, SyncPolicy()).decide(finished_snapshot(ref), NOW)

        # As it was before the part, as the part delivered it, and with a third content.
        assert list_new_hashes(decision, "1", "hash-1", "hash-3", "hash-5") == ["hash-1", "hash-5"]
        assert list_new_hashes(decision, "2", "hash-2", "hash-4") == ["hash-2"]
        assert list_new_hashes(decision, "3", "hash-1", "hash-5") == ["hash-5"]

    def test_row_that_two_parts_have_changed_counts_as_the_later_delivered_it(self) -> None:
        ledger_pass, ref = start_changed_reading()
        record_part(ledger_pass, ref, "1 hash-1", is_first_reading=False)

        decision = ledger_pass.decide(finished_snapshot(ref), NOW)

        assert list_new_hashes(decision, "1", "hash-1", "hash-2") == ["hash-2"]

    def test_whole_reading_forgets_the_changes_of_its_parts(self) -> None:
        ledger_pass, ref = start_changed_reading()

        record_reading(ledger_pass, finished_snapshot(ref), ["hash-1"], NOW)

        assert ledger_pass.ledger.entries[ref.key].changed_rows == {}
        assert not ledger_pass.decide(finished_snapshot(ref), NOW).is_new(FakeRow("1", "hash-1"))

    def test_part_without_new_rows_changes_nothing(self) -> None:
        ledger_pass, ref = start_pass(), make_batch("b", age=2)
        run_sync(ledger_pass, finished_snapshot(ref))

        record_part(ledger_pass, ref, is_first_reading=False)

        assert not ledger_pass.ledger.entries[ref.key].needs_reading
        assert ledger_pass.ledger.entries[ref.key].row_hashes == "marked"


class TestDue:
    def test_new_batches_are_due_oldest_first(self) -> None:
        refs = [make_batch("new", 1), make_batch("old", 50), make_batch("undated", None), make_batch("older", 60)]

        due_refs = start_pass().plan(make_listing(*refs), NOW)

        assert [ref.batch_id for ref in sorted(due_refs, key=age_sort_key)] == ["older", "old", "new", "undated"]

    def test_open_batch_is_due_at_every_sync(self) -> None:
        ledger_pass, ref = start_pass(), make_batch("b")
        for days in (0, 1, 20):
            run_sync(ledger_pass, waiting_snapshot(ref), now=NOW + days * DAY)
            assert get_due_ids(ledger_pass, ref, now=NOW + days * DAY) == ["b"]

    def test_finished_document_reported_open_is_due_despite_same_fingerprint(self) -> None:
        ledger_pass, listed = (
            ListingPass(Ledger(), SyncPolicy()),
            PartitionRef(None, "d", approx_created_at=NOW, fingerprint="1"),
        )
        by_itself = PartitionRef(None, "d")
        ledger_pass.plan(make_listing(listed), NOW)
        record_reading(ledger_pass, finished_snapshot(listed), ["marked"], NOW)
        assert get_due_ids(ledger_pass, listed) == []

        record_reading(ledger_pass, waiting_snapshot(by_itself), None, NOW)
        assert get_due_ids(ledger_pass, listed) == ["d"]

        record_reading(ledger_pass, finished_snapshot(listed), ["marked"], NOW)
        assert get_due_ids(ledger_pass, listed) == []

    @pytest.mark.parametrize("trouble", ["", "1 of its ids cannot be read."])
    def test_referenced_batch_is_due_again_only_after_read_error(self, trouble: str) -> None:
        ledger_pass, ref = (
            ReferencePass(Ledger(), SyncPolicy()),
            PartitionRef(None, "b", is_explicit=True, is_referenced=True),
        )
        ledger_pass.plan(make_listing(), NOW)
        assert ledger_pass.register_reference(ref, NOW)

        record_reading(ledger_pass, Snapshot(ref, PartitionStatus.OPEN, documents=(), read_error=trouble), [], NOW)

        assert get_due_ids(ledger_pass) == (["b"] if trouble else [])

    @pytest.mark.parametrize(("lookback", "days", "is_due"), [(3, 2.99, True), (3, 3, False), (0, 0, False)])
    def test_settled_batch_is_due_at_every_sync_within_lookback_if_set(
        self, lookback: int, days: float, is_due: bool
    ) -> None:
        policy = SyncPolicy(lookback=lookback * DAY, looks_every_sync=True)
        ledger_pass, ref = start_pass(policy), make_batch("b", None)
        run_sync(ledger_pass, finished_snapshot(ref))

        assert get_due_ids(ledger_pass, ref, now=NOW + days * DAY) == (["b"] if is_due else [])

    def test_batch_finished_before_first_seen_is_settled_since_creation(self) -> None:
        ledger_pass, ref = start_pass(), make_batch("b", age=4)
        run_sync(ledger_pass, finished_snapshot(ref))

        assert get_due_ids(ledger_pass, ref) == []

    def test_batch_seen_open_is_settled_since_seen_finished(self) -> None:
        ledger_pass, ref = start_pass(), make_batch("b", age=4)
        run_sync(ledger_pass, waiting_snapshot(ref))
        run_sync(ledger_pass, finished_snapshot(ref), now=NOW + DAY)

        assert get_due_ids(ledger_pass, ref, now=NOW + 3.9 * DAY) == ["b"]
        run_sync(ledger_pass, finished_snapshot(ref), now=NOW + 4 * DAY)
        assert get_due_ids(ledger_pass, ref, now=NOW + 9 * DAY) == []

    def test_completion_time_of_provider_takes_precedence(self) -> None:
        ledger_pass, ref = start_pass(), make_batch("b", age=40)
        run_sync(
            ledger_pass, Snapshot(ref, PartitionStatus.COMPLETE, documents=DONE_DOCUMENTS, completed_at=NOW - 2 * DAY)
        )

        assert get_due_ids(ledger_pass, ref, now=NOW + DAY) == ["b"]

    def test_old_batch_with_changed_fingerprint_is_due(self) -> None:
        ledger_pass = start_pass()
        run_sync(ledger_pass, finished_snapshot(make_batch("b", age=100)))
        assert get_due_ids(ledger_pass, make_batch("b", age=100)) == []

        assert get_due_ids(ledger_pass, make_batch("b", age=100, files=2)) == ["b"]

    @pytest.mark.parametrize("days", [29, 30, 31])
    def test_unfinished_batch_is_not_due_after_give_up_time(self, days: int) -> None:
        ledger_pass, ref = start_pass(SyncPolicy(give_up_after=30 * DAY)), make_batch("b")
        run_sync(ledger_pass, waiting_snapshot(ref))
        run_sync(ledger_pass, waiting_snapshot(ref), now=NOW + days * DAY)

        assert get_due_ids(ledger_pass, ref, now=NOW + days * DAY) == ([] if days > 30 else ["b"])

    def test_failed_listing_keeps_batches_of_its_template(self) -> None:
        ledger_pass = start_pass()
        run_sync(ledger_pass, waiting_snapshot(make_batch("b")))

        listing = make_listing(failed_templates={"t"})
        due_refs, vanished_refs = ledger_pass.plan(listing, NOW), ledger_pass.ledger.find_vanished(listing)
        ledger_pass.compact_and_prune(NOW)

        assert (due_refs, vanished_refs) == ([], [])
        assert [key.batch_id for key in ledger_pass.ledger.open_keys] == ["b"]

    @pytest.mark.parametrize("age", [None, 0, 20, 400])
    def test_missing_batch_is_due_at_increasing_intervals(self, age: float | None) -> None:
        rules = SyncPolicy(lookback=timedelta(), give_up_after=30 * DAY)
        ledger_pass, ref, looks = start_pass(rules), make_batch("b", age), []
        run_sync(ledger_pass, unknown_snapshot(ref))
        for hour in range(1, 24 * 40):
            now = NOW + timedelta(hours=hour)
            ledger_pass = reload_ledger(ledger_pass, rules)
            if get_due_ids(ledger_pass, ref, now=now):
                looks.append(hour)
                run_sync(ledger_pass, unknown_snapshot(ref), now=now)
            ledger_pass.compact_and_prune(now)

        assert looks == [*range(1, 25), 48, 96, 192, 384]
        assert [key.batch_id for key in ledger_pass.ledger.missing_keys] == ["b"]

    def test_missing_batch_that_was_not_requested_stays_due(self) -> None:
        ledger_pass, ref = start_pass(), make_batch("b", 40)
        run_sync(ledger_pass, unknown_snapshot(ref))

        assert get_due_ids(ledger_pass, ref, now=NOW + 2 * DAY) == ["b"]
        assert get_due_ids(ledger_pass, ref, now=NOW + 3 * DAY) == ["b"]

    def test_missing_batch_given_up_is_due_when_fingerprint_changes(self) -> None:
        ledger_pass = start_pass(SyncPolicy(give_up_after=3 * DAY))
        run_sync(ledger_pass, unknown_snapshot(make_batch("b", 40)))
        run_sync(ledger_pass, unknown_snapshot(make_batch("b", 40)), now=NOW + 4 * DAY)

        assert get_due_ids(ledger_pass, make_batch("b", 40), now=NOW + 9 * DAY) == []
        assert get_due_ids(ledger_pass, make_batch("b", 40, files=2), now=NOW + 9 * DAY) == ["b"]

    def test_missing_batch_that_reappears_is_open_then_settled(self) -> None:
        rules = SyncPolicy()
        ledger_pass, ref = start_pass(rules), make_batch("b", 40)
        run_sync(ledger_pass, unknown_snapshot(ref))
        run_sync(ledger_pass, waiting_snapshot(ref), now=NOW + DAY)

        assert (ledger_pass.ledger.missing_keys, [key.batch_id for key in ledger_pass.ledger.open_keys]) == ([], ["b"])
        run_sync(ledger_pass, finished_snapshot(ref), now=NOW + 2 * DAY)
        run_sync(ledger_pass, finished_snapshot(ref), now=NOW + 5 * DAY)
        assert get_due_ids(reload_ledger(ledger_pass, rules), ref, now=NOW + 9 * DAY) == []

    def test_settled_batch_that_is_unknown_keeps_its_rows(self) -> None:
        ledger_pass, ref = start_pass(SyncPolicy(looks_every_sync=True)), make_batch("b")
        run_sync(ledger_pass, finished_snapshot(ref))

        assert record_reading(ledger_pass, unknown_snapshot(ref), ["missing"], NOW + DAY) == []
        assert ledger_pass.ledger.missing_keys == []
        assert get_due_ids(ledger_pass, ref, now=NOW + 9 * DAY) == []

    def test_settled_batch_unknown_with_changed_fingerprint_is_due_again(self) -> None:
        rules = SyncPolicy(lookback=timedelta())
        ledger_pass, more = start_pass(rules), make_batch("b", files=2)
        run_sync(ledger_pass, finished_snapshot(make_batch("b")))
        assert get_due_ids(ledger_pass, make_batch("b")) == []

        record_reading(ledger_pass, unknown_snapshot(more), ["missing"], NOW)
        ledger_pass = reload_ledger(ledger_pass, rules)

        assert (ledger_pass.ledger.missing_keys, get_due_ids(ledger_pass, more, now=NOW + DAY)) == ([], ["b"])
        run_sync(ledger_pass, finished_snapshot(more), now=NOW + DAY)
        assert get_due_ids(reload_ledger(ledger_pass, rules), more, now=NOW + 9 * DAY) == []

    def test_batch_with_unknown_files_is_settled_and_due_again(self) -> None:
        rules = SyncPolicy(lookback=timedelta())
        ledger_pass, ref = start_pass(rules), make_batch("b", 40)
        run_sync(ledger_pass, Snapshot(ref, PartitionStatus.COMPLETE, documents=DONE_DOCUMENTS, has_unknown_files=True))
        ledger_pass = reload_ledger(ledger_pass, rules)

        assert (ledger_pass.ledger.settled_count, get_due_ids(ledger_pass, ref)) == (1, ["b"])
        run_sync(ledger_pass, finished_snapshot(ref))
        assert get_due_ids(ledger_pass, ref) == []

    def test_unknown_batch_keeps_statuses_of_its_documents(self) -> None:
        rules = SyncPolicy()
        ledger_pass, ref = (
            ReferencePass(Ledger(), rules),
            PartitionRef(None, "b", is_explicit=True, is_referenced=True, member_statuses={"d": FileStatus.FAILED}),
        )
        ledger_pass.plan(make_listing(), NOW)
        ledger_pass.register_reference(ref, NOW)
        record_reading(ledger_pass, unknown_snapshot(ref), ["missing"], NOW)
        ledger_pass.compact_and_prune(NOW)

        assert get_due_ids(ledger_pass) == ["b"]
        assert ledger_pass.ledger.get(ref.key).member_statuses == {"d": FileStatus.FAILED}

    def test_unknown_unlisted_document_is_requested_and_keeps_its_row(self) -> None:
        policy, ref = SyncPolicy(), PartitionRef(None, "d", approx_created_at=NOW - 9 * DAY, fingerprint="1")
        first_pass = ListingPass(Ledger(), policy)
        first_pass.plan(make_listing(ref), NOW)
        record_reading(first_pass, unknown_snapshot(ref), ["failed"], NOW)
        read_range = TimeRange(NOW - 9 * DAY, NOW)
        first_pass.advance_watermark("", read_range, read_range, NOW - 3 * DAY)
        first_pass.compact_and_prune(NOW)
        second_pass = ListingPass(reload_ledger(first_pass, policy).ledger, policy)
        second_pass.plan(make_listing(), NOW + DAY)

        assert [entry.batch_id for entry in second_pass.find_unlisted(NOW + DAY)] == ["d"]
        assert record_reading(second_pass, unknown_snapshot(PartitionRef(None, "d")), ["fewer"], NOW + DAY) == []
        finished = finished_snapshot(PartitionRef(None, "d"))
        assert record_reading(second_pass, finished, ["failed", "marked"], NOW + DAY) == ["marked"]

    def test_open_batch_no_longer_listed_has_vanished(self) -> None:
        ledger_pass = start_pass()
        run_sync(ledger_pass, waiting_snapshot(make_batch("b")))

        assert ledger_pass.ledger.find_vanished(make_listing(complete_templates={"t"})) == [PartitionRef("t", "b")]
        assert ledger_pass.ledger.find_vanished(make_listing(complete_templates={"other"})) == []
        assert ledger_pass.ledger.find_vanished(make_listing(make_batch("b"), complete_templates={"t"})) == []


class TestLinks:
    def test_reference_is_due_until_read_and_kept_while_it_is_seen(self) -> None:
        rules = SyncPolicy(lookback=3 * DAY)
        ledger_pass, reference = start_pass(rules), PartitionRef("t", "linked", is_explicit=True, is_referenced=True)
        ledger_pass.plan(make_listing(), NOW)
        assert ledger_pass.register_reference(reference, NOW)
        assert not ledger_pass.register_reference(reference, NOW)
        ledger_pass = reload_ledger(ledger_pass, rules)
        assert get_due_ids(ledger_pass) == ["linked"]

        record_reading(ledger_pass, finished_snapshot(reference), ["marked"], NOW)
        end_sync(ledger_pass, NOW)
        later = NOW + 3 * DAY
        assert get_due_ids(ledger_pass, now=later) == ["linked"]
        assert not ledger_pass.register_reference(reference, later)
        end_sync(ledger_pass, later)
        assert get_due_ids(ledger_pass, now=later) == []
        ledger_pass.compact_and_prune(later + 2.9 * DAY)
        assert len(ledger_pass.ledger) == 1
        ledger_pass.compact_and_prune(later + 3 * DAY)
        assert len(ledger_pass.ledger) == 0

    def test_reference_to_listed_batch_is_not_new(self) -> None:
        ledger_pass, ref = start_pass(), make_batch("b", age=10)
        ledger_pass.plan(make_listing(ref), NOW)

        assert not ledger_pass.register_reference(PartitionRef("t", "b", is_explicit=True, is_referenced=True), NOW)


class TestFolding:
    def test_day_without_unread_batches_is_compacted_to_single_entry(self) -> None:
        ledger_pass, refs = start_pass(), [make_batch(f"{number}", age=10) for number in range(500)]
        run_sync(ledger_pass, *map(finished_snapshot, refs))

        assert len(ledger_pass.ledger) == 1
        assert get_due_ids(ledger_pass, *refs) == []
        assert ledger_pass.ledger.settled_count == 500

    def test_failed_batch_keeps_its_day_uncompacted_and_is_due_alone(self) -> None:
        rules = SyncPolicy()
        ledger_pass, refs = start_pass(rules), [make_batch(f"{number}", age=10) for number in range(5)]
        ledger_pass.plan(make_listing(*refs), NOW)
        for ref in refs[1:]:
            record_reading(ledger_pass, finished_snapshot(ref), ["marked"], NOW)
        ledger_pass.compact_and_prune(NOW)

        assert get_due_ids(reload_ledger(ledger_pass, rules), *refs) == ["0"]

    def test_late_batch_of_compacted_day_is_due_alone(self) -> None:
        ledger_pass, refs = start_pass(), [make_batch(f"{number}", age=10) for number in range(5)]
        run_sync(ledger_pass, *map(finished_snapshot, refs))

        assert get_due_ids(ledger_pass, *refs, make_batch("late", age=10)) == ["late"]
        run_sync(ledger_pass, *map(finished_snapshot, refs), finished_snapshot(make_batch("late", age=10)))
        assert get_due_ids(ledger_pass, *refs, make_batch("late", age=10)) == []

    def test_changed_compacted_day_is_due_alone(self) -> None:
        ledger_pass, refs = start_pass(), [make_batch(f"{number}", age=10 + number % 2) for number in range(6)]
        run_sync(ledger_pass, *map(finished_snapshot, refs))
        changed = [make_batch("1", age=11, files=2) if ref.batch_id == "1" else ref for ref in refs]

        assert get_due_ids(ledger_pass, *changed) == ["1", "3", "5"]

    @given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=30, unique_by=lambda pair: pair), st.data())
    def test_any_listings_and_interruptions_keep_batches_due_until_read(
        self, days: list[tuple[int, bool]], data: st.DataObject
    ) -> None:
        """However the lists grow from sync to sync, and wherever a sync breaks off."""
        rules = SyncPolicy(lookback=2 * DAY, looks_every_sync=True)
        ledger_pass = start_pass(rules)
        read_keys: set[str] = set()
        refs = [make_batch(f"{number}", age) for number, (age, _) in enumerate(days)]
        for size in [*sorted(data.draw(st.lists(st.integers(0, len(refs)), max_size=4))), len(refs)]:
            listed = refs[:size]
            wanted = ledger_pass.plan(make_listing(*listed), NOW)
            assert {ref.batch_id for ref in listed} - read_keys <= {ref.batch_id for ref in wanted}
            whole = size == len(refs)
            for ref in wanted if whole else wanted[: data.draw(st.integers(0, len(wanted)))]:
                record_reading(ledger_pass, finished_snapshot(ref), ["marked"], NOW)
                read_keys.add(ref.batch_id)
            ledger_pass.compact_and_prune(NOW)
            ledger_pass = reload_ledger(ledger_pass, rules)
        assert {ref.batch_id for ref in ledger_pass.plan(make_listing(*refs), NOW + 50 * DAY)} == set()


def make_sized_ledger(entries: int, days: int, failures: int, doubts: int) -> Ledger:
    return Ledger(
        {PartitionKey("t", f"{number}"): Entry(NOW) for number in range(entries)},
        compacted_days={"t": {f"2026-11-{number + 1:02}": CompactedDay() for number in range(days)}},
        failed_keys={PartitionKey("failed", f"{number}") for number in range(failures)},
        doubtful_keys={PartitionKey("doubtful", f"{number}") for number in range(doubts)},
    )


class TestState:
    def test_partition_without_an_entry_is_new_and_not_stored(self) -> None:
        ledger = Ledger()

        assert ledger.get(PartitionKey("t", "b")) == Entry(BEGINNING, EntryState.NEW)
        assert ledger.entries == {}

    def test_length_counts_all_that_makes_the_state_grow(self) -> None:
        stream_state = StreamState(SyncPolicy())
        stream_state.ledger = make_sized_ledger(1, 2, 4, 8)
        stream_state.reference_ledger = make_sized_ledger(16, 32, 64, 128)

        assert len(stream_state.ledger) == 15
        assert len(stream_state) == 255

    @pytest.mark.long
    def test_hundred_thousand_settled_batches_stay_small_and_readable(self) -> None:
        ledger_pass = start_pass()
        refs = [
            PartitionRef("-OPXQuIrkHuA2QZkY-44", f"{number:025}", approx_created_at=NOW - (number % 1000 + 9) * DAY)
            for number in range(100_000)
        ]
        run_sync(ledger_pass, *map(finished_snapshot, refs))

        assert len(json.dumps(to_json(ledger_pass))) < 64_000
        assert get_due_ids(reload_ledger(ledger_pass, SyncPolicy()), *refs) == []

    def test_ten_thousand_open_batches_stay_under_a_megabyte(self) -> None:
        ledger_pass = start_pass()
        refs = [
            PartitionRef("-OPXQuIrkHuA2QZkY-44", f"{number:025}", approx_created_at=NOW, fingerprint="25")
            for number in range(10_000)
        ]
        ledger_pass.plan(make_listing(*refs), NOW)
        for ref in refs:
            record_reading(ledger_pass, waiting_snapshot(ref), ["marked"], NOW)

        assert len(json.dumps(to_json(ledger_pass))) < 1_000_000

    def test_ten_thousand_open_listed_documents_stay_under_a_megabyte(self) -> None:
        ledger_pass = ListingPass(Ledger(), SyncPolicy())
        refs = [
            PartitionRef(None, str(UUID(int=number)), approx_created_at=NOW, fingerprint=f"{number:012x}")
            for number in range(10_000)
        ]
        ledger_pass.plan(make_listing(*refs), NOW)
        for ref in refs:
            record_reading(ledger_pass, waiting_snapshot(ref), ["marked"], NOW)

        assert len(json.dumps(to_json(ledger_pass), separators=(",", ":"))) < 1_000_000

    @pytest.mark.parametrize("size", [1, 5000])
    def test_batch_of_many_rows_grows_only_by_row_hashes(self, size: int) -> None:
        """A batch of five thousand files, half of them done."""
        ledger_pass = start_pass()
        ledger_pass.plan(make_listing(make_batch("large")), NOW)
        record_reading(ledger_pass, waiting_snapshot(make_batch("large")), ["marked"] * size, NOW)

        assert len(json.dumps(to_json(ledger_pass))) < 200 + 6 * size

    def test_version_1_is_migrated(self) -> None:
        entry = {"since": "2026-11-18T07:30Z", "listed": "2", "rows": "A5Udwp"}
        references = {"settled": {"t": {"link": {"since": "2026-11-17T07:30Z"}}}}
        old = {
            "version": 1,
            "open": {"t": {"a": entry, "b": entry}},
            "days": {"t": {"2026-11-07": "3:0b58"}},
            "links": references,
        }

        stream_state = StreamState(SyncPolicy()).load(old, "a_stream")

        assert stream_state.ledger.open_keys == [PartitionKey("t", "a"), PartitionKey("t", "b")]
        assert stream_state.ledger.entries[PartitionKey("t", "a")].row_hashes == "A5Udwp"
        assert stream_state.reference_ledger.settled_count == 1
        written = stream_state.as_json()
        assert written["version"] == 3
        assert written["open"] == {
            "t": {"2026-11-18T07:30Z": {key: {"signature": "2", "rows": "A5Udwp"} for key in "ab"}}
        }
        assert StreamState(SyncPolicy()).load(json.loads(json.dumps(written)), "a_stream").as_json() == written

    def test_json_round_trip_is_lossless(self) -> None:
        rules, stream_state = SyncPolicy(), StreamState(SyncPolicy(), sync_id=4)
        run_sync(
            stream_state.ledger_pass,
            waiting_snapshot(make_batch("open")),
            finished_snapshot(make_batch("settled", None)),
            finished_snapshot(make_batch("old", 90)),
        )
        run_sync(stream_state.reference_pass, finished_snapshot(make_batch("link", None)))
        stream_state.ledger_pass.register_reference(PartitionRef("t", "expected"), NOW)

        document = json.loads(json.dumps(stream_state.as_json()))
        reloaded_state = StreamState(rules).load(document, "a_stream")
        reloaded_state.is_full_refresh, reloaded_state.sync_id = True, 4

        assert reloaded_state.as_json() == document
        assert document["version"] == 3
        assert document["settled"]["t"] == {"2026-11-20T09:00Z": {"settled": {"signature": "1", "rows": "marked"}}}
        assert document["compacted_days"]["t"]["2026-08-22"].startswith("1:")

    @pytest.mark.parametrize("document", [{"version": 4}, {"version": "1"}, {"version": True}, {"open": {}}])
    def test_unknown_version_is_refused(self, document: dict[str, object]) -> None:
        with pytest.raises(ConfigError) as exc_info:
            StreamState(SyncPolicy()).load(document, "a_stream")

        assert str(exc_info.value) == (
            f"The state of a_stream has version {document.get('version')!r}, and this connector knows versions up to "
            "3. Use the connector that wrote it or a newer one, or clear the stream's state to read everything again."
        )

    @pytest.mark.parametrize(
        "document",
        [
            {"open": []},
            {"version": 2, "open": []},
            {"open": {"t": {"b": {}, "c": 1}}},
            {"version": 2, "open": {"t": {"2026-11-20T09:00Z": {"b": 1}}}},
            {"version": 2, "links": None},
            {"version": 2, "links": {"open": {"t": 1}}},
            {"version": 2, "days": {"t": {"2026-11-01": "many"}}},
            {"settled": {"t": {"yesterday": {"b": {}}}}},
            {"version": 1, "open": {"t": {"b": {}}}},
            {"version": 1, "settled": {"t": {"b": {"since": "yesterday"}}}},
            {"compacted_days": {"t": {"2026-11-01": "many"}}},
            {"reference_ledger": {"open": {"t": 1}}},
            {"open": {"t": {"2026-11-20T09:00Z": {"b": {"changed_rows": "abcdefghijklmnopqr"}}}}},
        ],
    )
    def test_unreadable_content_is_refused(self, document: dict[str, object]) -> None:
        with pytest.raises(ConfigError) as exc_info:
            StreamState(SyncPolicy()).load({"version": 3, **document}, "a_stream")

        assert str(exc_info.value) == (
            "The state of a_stream cannot be read. Undo the last edit of it, or clear the stream's state to read "
            "everything again."
        )
        assert exc_info.value.__cause__ is None

    def test_state_of_another_stream_is_refused(self) -> None:
        with pytest.raises(ConfigError) as exc_info:
            StreamState(SyncPolicy()).load({"version": 3, "stream": "other"}, "a_stream")

        assert str(exc_info.value) == (
            "The state of a_stream belongs to other. Give each stream its own state again, or clear the state of "
            "a_stream to read everything again."
        )

    def test_empty_state_is_that_of_a_new_stream(self) -> None:
        stream_state = StreamState(SyncPolicy())

        assert stream_state.load({}, "a_stream") is stream_state
        assert stream_state.as_json() == {"version": 3}


def to_json(ledger_pass: LedgerPass) -> dict[str, object]:
    stream_state = StreamState(SyncPolicy())
    stream_state.ledger = ledger_pass.ledger
    return stream_state.as_json()
