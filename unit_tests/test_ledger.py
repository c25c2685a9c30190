"""The ledger alone: when a batch is due, open, settled, stalled, folded, and how that is written down."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from source_docextract.entries import Listing, Rules, Watch
from source_docextract.errors import ConfigError
from source_docextract.ledger import Book
from source_docextract.model import BatchKey, BatchRef, BatchStatus, Document, FileStatus, Snapshot
from source_docextract.ranges import Range
from source_docextract.state import Ledger

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=timezone.utc)
DAY = timedelta(days=1)
DONE = (Document(key="a", status=FileStatus.PROCESSED),)


def batch(name: str, age: float | None = 0, files: int = 1, template: str = "t") -> BatchRef:
    """A listed batch, created `age` days before NOW."""
    created = None if age is None else NOW - age * DAY
    return BatchRef(template, name, created_at=created, clock=created, named=age is None, fingerprint=f"{files}")


def listing(*refs: BatchRef, **known: set[str]) -> Listing:
    found = Listing(listed=known.get("listed", set()), unknown=known.get("unknown", set()))
    found.add(refs)
    return found


def finished(ref: BatchRef) -> Snapshot:
    return Snapshot(ref, BatchStatus.COMPLETE, documents=DONE)


def waiting(ref: BatchRef) -> Snapshot:
    return Snapshot(ref, BatchStatus.OPEN)


def unknown(ref: BatchRef) -> Snapshot:
    return Snapshot(ref, BatchStatus.MISSING, error="It is not known.")


def due(book: Book, *refs: BatchRef, at: datetime = NOW) -> list[str]:
    return [ref.batch_id for ref in book.plan(listing(*refs), at)[0]]


def read(book: Book, *snapshots: Snapshot, at: datetime = NOW) -> None:
    """One whole sync that finds the batches as they are given."""
    book.plan(listing(*(snapshot.ref for snapshot in snapshots)), at)
    for snapshot in snapshots:
        if book.wants(snapshot.ref):
            book.settle(snapshot, ["marked"] if snapshot.finished else None, at)
    book.close(at)


def reloaded(book: Book, rules: Rules) -> Book:
    ledger = Ledger(rules)
    ledger.batches = book
    return Ledger(rules).load(json.loads(json.dumps(ledger.as_json())), "a_stream").batches


class TestDue:
    def test_new_batches_are_due_oldest_first(self) -> None:
        refs = [batch("new", 1), batch("old", 50), batch("undated", None), batch("older", 60)]

        assert due(Book(Rules()), *refs) == ["older", "old", "new", "undated"]

    def test_an_open_batch_is_due_at_every_sync(self) -> None:
        book, ref = Book(Rules()), batch("b")
        for days in (0, 1, 20):
            read(book, waiting(ref), at=NOW + days * DAY)
            assert due(book, ref, at=NOW + days * DAY) == ["b"]

    def test_a_document_that_was_finished_and_is_said_not_to_be_is_due_though_its_list_is_the_same(self) -> None:
        book, listed = Book(Rules(), Watch.LIST), BatchRef(None, "d", clock=NOW, fingerprint="1")
        by_itself = BatchRef(None, "d")
        book.plan(listing(listed), NOW)
        book.settle(finished(listed), ["marked"], NOW)
        assert due(book, listed) == []

        book.settle(waiting(by_itself), None, NOW)
        assert due(book, listed) == ["d"]

        book.settle(finished(listed), ["marked"], NOW)
        assert due(book, listed) == []

    @pytest.mark.parametrize("trouble", ["", "1 of its ids cannot be read."])
    def test_a_batch_that_documents_tell_of_is_due_again_where_some_of_it_could_not_be_read(self, trouble: str) -> None:
        book, ref = Book(Rules(), Watch.LINK), BatchRef(None, "b", named=True, linked=True)
        book.plan(listing(), NOW)
        assert book.expect(ref, NOW)

        book.settle(Snapshot(ref, BatchStatus.OPEN, documents=(), trouble=trouble), [], NOW)

        assert due(book) == (["b"] if trouble else [])

    @pytest.mark.parametrize(("lookback", "days", "is_due"), [(3, 2.99, True), (3, 3, False), (0, 0, False)])
    def test_a_settled_batch_is_due_within_the_lookback(self, lookback: int, days: float, is_due: bool) -> None:
        book, ref = Book(Rules(lookback=lookback * DAY)), batch("b", None)
        read(book, finished(ref))

        assert due(book, ref, at=NOW + days * DAY) == (["b"] if is_due else [])

    def test_a_batch_finished_before_it_was_first_seen_is_settled_at_its_creation(self) -> None:
        book, ref = Book(Rules()), batch("b", age=4)
        read(book, finished(ref))

        assert due(book, ref) == []

    def test_a_batch_that_was_seen_open_is_settled_when_seen_finished(self) -> None:
        book, ref = Book(Rules()), batch("b", age=4)
        read(book, waiting(ref))
        read(book, finished(ref), at=NOW + DAY)

        assert due(book, ref, at=NOW + 3.9 * DAY) == ["b"]
        assert due(book, ref, at=NOW + 4 * DAY) == []

    def test_what_the_provider_says_of_its_completion_comes_first(self) -> None:
        book, ref = Book(Rules()), batch("b", age=40)
        read(book, Snapshot(ref, BatchStatus.COMPLETE, documents=DONE, completed_at=NOW - 2 * DAY))

        assert due(book, ref) == ["b"]

    def test_a_list_that_tells_something_new_makes_it_due_however_old(self) -> None:
        book = Book(Rules())
        read(book, finished(batch("b", age=100)))
        assert due(book, batch("b", age=100)) == []

        assert due(book, batch("b", age=100, files=2)) == ["b"]

    @pytest.mark.parametrize("days", [29, 30, 31])
    def test_an_unfinished_batch_is_given_up_after_its_time(self, days: int) -> None:
        book, ref = Book(Rules(give_up_after=30 * DAY)), batch("b")
        read(book, waiting(ref))
        read(book, waiting(ref), at=NOW + days * DAY)

        assert due(book, ref, at=NOW + days * DAY) == ([] if days > 30 else ["b"])

    def test_the_templates_of_a_failed_list_stay_as_they_are(self) -> None:
        book = Book(Rules())
        read(book, waiting(batch("b")))

        wanted, vanished = book.plan(listing(unknown={"t"}), NOW)
        book.close(NOW)

        assert (wanted, vanished) == ([], [])
        assert [key.batch_id for key in book.open] == ["b"]

    @pytest.mark.parametrize("age", [None, 0, 20, 400])
    def test_a_missing_batch_is_due_from_when_it_was_found_so_and_ever_more_seldom(self, age: float | None) -> None:
        rules = Rules(lookback=timedelta(), give_up_after=30 * DAY)
        book, ref, looks = Book(rules), batch("b", age), []
        read(book, unknown(ref))
        for hour in range(1, 24 * 40):
            now = NOW + timedelta(hours=hour)
            book = reloaded(book, rules)
            if due(book, ref, at=now):
                looks.append(hour)
                read(book, unknown(ref), at=now)
            book.close(now)

        assert looks == [*range(1, 25), 48, 96, 192, 384]
        assert [key.batch_id for key in book.missing] == ["b"]

    def test_a_missing_batch_that_could_not_be_asked_for_stays_due(self) -> None:
        book, ref = Book(Rules()), batch("b", 40)
        read(book, unknown(ref))

        assert due(book, ref, at=NOW + 2 * DAY) == due(book, ref, at=NOW + 3 * DAY) == ["b"]

    def test_a_missing_batch_that_was_given_up_is_due_when_its_list_tells_something_new(self) -> None:
        book = Book(Rules(give_up_after=3 * DAY))
        read(book, unknown(batch("b", 40)))
        read(book, unknown(batch("b", 40)), at=NOW + 4 * DAY)

        assert due(book, batch("b", 40), at=NOW + 9 * DAY) == []
        assert due(book, batch("b", 40, files=2), at=NOW + 9 * DAY) == ["b"]

    def test_a_missing_batch_that_is_there_again_is_like_any_other(self) -> None:
        rules = Rules()
        book, ref = Book(rules), batch("b", 40)
        read(book, unknown(ref))
        read(book, waiting(ref), at=NOW + DAY)

        assert (book.missing, [key.batch_id for key in book.open]) == ([], ["b"])
        read(book, finished(ref), at=NOW + 2 * DAY)
        assert due(reloaded(book, rules), ref, at=NOW + 9 * DAY) == []

    def test_a_settled_batch_that_is_unknown_keeps_its_rows(self) -> None:
        book, ref = Book(Rules()), batch("b")
        read(book, finished(ref))

        assert book.settle(unknown(ref), ["missing"], NOW + DAY) == ["missing"]
        assert book.missing == []
        assert due(book, ref, at=NOW + 9 * DAY) == []

    def test_a_settled_batch_that_is_unknown_while_its_list_tells_of_more_is_asked_for_again(self) -> None:
        rules = Rules(lookback=timedelta())
        book, more = Book(rules), batch("b", files=2)
        read(book, finished(batch("b")))
        assert due(book, batch("b")) == []

        book.settle(unknown(more), ["missing"], NOW)
        book = reloaded(book, rules)

        assert (book.missing, due(book, more, at=NOW + DAY)) == ([], ["b"])
        read(book, finished(more), at=NOW + DAY)
        assert due(reloaded(book, rules), more, at=NOW + 9 * DAY) == []

    def test_a_batch_of_which_a_part_is_unknown_is_settled_and_asked_for_again(self) -> None:
        rules = Rules(lookback=timedelta())
        book, ref = Book(rules), batch("b", 40)
        read(book, Snapshot(ref, BatchStatus.COMPLETE, documents=DONE, is_lacking=True))
        book = reloaded(book, rules)

        assert (book.settled, due(book, ref)) == (1, ["b"])
        read(book, finished(ref))
        assert due(book, ref) == []

    def test_what_documents_told_of_a_batch_is_kept_while_it_is_unknown(self) -> None:
        rules = Rules()
        book, ref = Book(rules, Watch.LINK), BatchRef(None, "b", named=True, linked=True, told={"d": FileStatus.FAILED})
        book.plan(listing(), NOW)
        book.expect(ref, NOW)
        book.settle(unknown(ref), ["missing"], NOW)
        book.close(NOW)

        assert due(book) == ["b"]
        assert book.memory_of(ref.key) == ("", {"d": FileStatus.FAILED})

    def test_a_document_that_is_unknown_and_no_longer_listed_is_asked_for_and_keeps_its_row(self) -> None:
        ledger, ref = Ledger(Rules(), watch=Watch.LIST), BatchRef(None, "d", clock=NOW - 9 * DAY, fingerprint="1")
        ledger.batches.plan(listing(ref), NOW)
        ledger.batches.settle(unknown(ref), ["failed"], NOW)
        ledger.batches.advance("", Range(NOW - 9 * DAY, NOW), Range(NOW - 9 * DAY, NOW), NOW - 3 * DAY)
        ledger.batches.close(NOW)
        book = Ledger(Rules(), watch=Watch.LIST).load(ledger.as_json(), "a_stream").batches
        book.plan(listing(), NOW + DAY)

        assert [one.batch_id for one in book.unlisted(NOW + DAY)] == ["d"]
        assert book.settle(unknown(BatchRef(None, "d")), ["fewer"], NOW + DAY) == ["fewer"]
        assert book.settle(finished(BatchRef(None, "d")), ["marked"], NOW + DAY) == {"failed"}

    def test_an_open_batch_that_its_list_no_longer_names_has_vanished(self) -> None:
        book = Book(Rules())
        read(book, waiting(batch("b")))

        _, vanished = book.plan(listing(listed={"t"}), NOW)

        assert [ref.batch_id for ref in vanished] == ["b"]


class TestLinks:
    def test_a_link_is_due_before_it_is_read_and_remembered_while_it_is_seen(self) -> None:
        rules = Rules(lookback=3 * DAY)
        book, link = Book(rules), BatchRef("t", "linked", named=True, linked=True)
        book.plan(listing(), NOW)
        assert book.expect(link, NOW)
        assert not book.expect(link, NOW)
        book = reloaded(book, rules)
        assert due(book) == ["linked"]

        book.settle(finished(link), ["marked"], NOW)
        book.close(NOW)
        later = NOW + 3 * DAY
        assert due(book, at=later) == []
        assert not book.expect(link, later)
        book.close(later + 2.9 * DAY)
        assert len(book) == 1
        book.close(later + 3 * DAY)
        assert len(book) == 0

    def test_a_link_to_what_is_listed_anyway_is_nothing_new(self) -> None:
        book, ref = Book(Rules()), batch("b", age=10)
        book.plan(listing(ref), NOW)

        assert not book.expect(BatchRef("t", "b", named=True, linked=True), NOW)


class TestFolding:
    def test_a_day_is_folded_when_nothing_of_it_is_unread_and_then_costs_a_line(self) -> None:
        book, refs = Book(Rules()), [batch(f"{n}", age=10) for n in range(500)]
        read(book, *map(finished, refs))

        assert len(book) == 1
        assert due(book, *refs) == []
        assert book.settled == 500

    def test_a_batch_that_failed_keeps_its_day_open_and_is_due_alone(self) -> None:
        rules = Rules()
        book, refs = Book(rules), [batch(f"{n}", age=10) for n in range(5)]
        book.plan(listing(*refs), NOW)
        for ref in refs[1:]:
            book.settle(finished(ref), ["marked"], NOW)
        book.close(NOW)

        assert due(reloaded(book, rules), *refs) == ["0"]

    def test_one_late_batch_of_a_folded_day_is_due_alone(self) -> None:
        book, refs = Book(Rules()), [batch(f"{n}", age=10) for n in range(5)]
        read(book, *map(finished, refs))

        assert due(book, *refs, batch("late", age=10)) == ["late"]
        read(book, *map(finished, refs), finished(batch("late", age=10)))
        assert due(book, *refs, batch("late", age=10)) == []

    def test_a_day_that_changed_beyond_that_is_read_again_and_no_other(self) -> None:
        book, refs = Book(Rules()), [batch(f"{n}", age=10 + n % 2) for n in range(6)]
        read(book, *map(finished, refs))
        changed = [batch("1", age=11, files=2) if ref.batch_id == "1" else ref for ref in refs]

        assert due(book, *changed) == ["1", "3", "5"]

    @given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=30, unique_by=lambda one: one), st.data())
    def test_whatever_is_listed_is_due_until_it_is_read(
        self, days: list[tuple[int, bool]], data: st.DataObject
    ) -> None:
        """However the lists grow from sync to sync, and wherever a sync breaks off."""
        rules = Rules(lookback=2 * DAY)
        book, done = Book(rules), set()
        refs = [batch(f"{n}", age) for n, (age, _) in enumerate(days)]
        for size in [*sorted(data.draw(st.lists(st.integers(0, len(refs)), max_size=4))), len(refs)]:
            listed = refs[:size]
            wanted = book.plan(listing(*listed), NOW)[0]
            assert {ref.batch_id for ref in listed} - done <= {ref.batch_id for ref in wanted}
            whole = size == len(refs)
            for ref in wanted if whole else wanted[: data.draw(st.integers(0, len(wanted)))]:
                book.settle(finished(ref), ["marked"], NOW)
                done.add(ref.batch_id)
            book.close(NOW)
            book = reloaded(book, rules)
        assert {ref.batch_id for ref in book.plan(listing(*refs), NOW + 50 * DAY)[0]} == set()


class TestState:
    def test_is_readable_and_small_after_a_hundred_thousand_settled_batches(self) -> None:
        book = Book(Rules())
        refs = [BatchRef("-OPXQuIrkHuA2QZkY-44", f"{n:025}", clock=NOW - (n % 1000 + 9) * DAY) for n in range(100_000)]
        read(book, *map(finished, refs))

        assert len(json.dumps(as_json(book))) < 64_000
        assert due(reloaded(book, Rules()), *refs) == []

    def test_stays_under_a_megabyte_with_ten_thousand_open_ones(self) -> None:
        book = Book(Rules())
        refs = [BatchRef("-OPXQuIrkHuA2QZkY-44", f"{n:025}", clock=NOW, fingerprint="25") for n in range(10_000)]
        book.plan(listing(*refs), NOW)
        for ref in refs:
            book.settle(waiting(ref), ["marked"], NOW)

        assert len(json.dumps(as_json(book))) < 1_000_000

    def test_stays_under_a_megabyte_with_ten_thousand_open_documents_of_a_list(self) -> None:
        book = Book(Rules(), Watch.LIST)
        refs = [BatchRef(None, str(UUID(int=n)), clock=NOW, fingerprint=f"{n:012x}") for n in range(10_000)]
        book.plan(listing(*refs), NOW)
        for ref in refs:
            book.settle(waiting(ref), ["marked"], NOW)

        assert len(json.dumps(as_json(book), separators=(",", ":"))) < 1_000_000

    @pytest.mark.parametrize("size", [1, 5000])
    def test_of_a_batch_grows_by_no_more_than_its_marks(self, size: int) -> None:
        """A batch of five thousand files, half of them done."""
        book = Book(Rules())
        book.plan(listing(batch("large")), NOW)
        book.settle(waiting(batch("large")), ["marked"] * size, NOW)

        assert len(json.dumps(as_json(book))) < 200 + 6 * size

    def test_of_version_1_is_migrated(self) -> None:
        entry = {"since": "2026-11-18T07:30Z", "listed": "2", "rows": "A5Udwp"}
        links = {"settled": {"t": {"link": {"since": "2026-11-17T07:30Z"}}}}
        old = {
            "version": 1,
            "open": {"t": {"a": entry, "b": entry}},
            "days": {"t": {"2026-11-07": "3:0b58"}},
            "links": links,
        }

        ledger = Ledger(Rules()).load(old, "a_stream")

        assert ledger.batches.open == [BatchKey("t", "a"), BatchKey("t", "b")]
        assert ledger.batches.entries[BatchKey("t", "a")].rows == "A5Udwp"
        assert ledger.links.settled == 1
        written = ledger.as_json()
        assert written["version"] == 2
        assert written["open"] == {"t": {"2026-11-18T07:30Z": {key: {"listed": "2", "rows": "A5Udwp"} for key in "ab"}}}
        assert Ledger(Rules()).load(json.loads(json.dumps(written)), "a_stream").as_json() == written

    def test_survives_being_written_down(self) -> None:
        rules, ledger = Rules(), Ledger(Rules(), sync_id=4)
        read(ledger.batches, waiting(batch("open")), finished(batch("settled", None)), finished(batch("old", 90)))
        read(ledger.links, finished(batch("link", None)))
        ledger.batches.expect(BatchRef("t", "expected"), NOW)

        document = json.loads(json.dumps(ledger.as_json()))
        again = Ledger(rules).load(document, "a_stream")
        again.is_full_refresh, again.sync_id = True, 4

        assert again.as_json() == document
        assert document["version"] == 2
        assert document["settled"]["t"] == {"2026-11-20T09:00Z": {"settled": {"listed": "1", "rows": "marked"}}}
        assert document["days"]["t"]["2026-08-22"].startswith("1:")

    @pytest.mark.parametrize("document", [{"version": 3}, {"version": "1"}, {"version": True}, {"open": {}}])
    def test_of_an_unknown_version_is_refused(self, document: dict[str, object]) -> None:
        with pytest.raises(ConfigError, match=r"The state of a_stream has version .* clear the stream's state"):
            Ledger(Rules()).load(document, "a_stream")

    @pytest.mark.parametrize(
        "document",
        [
            {"open": []},
            {"open": {"t": {"b": {}, "c": 1}}},
            {"settled": {"t": {"yesterday": {"b": {}}}}},
            {"version": 1, "open": {"t": {"b": {}}}},
            {"version": 1, "settled": {"t": {"b": {"since": "yesterday"}}}},
            {"days": {"t": {"2026-11-01": "many"}}},
            {"links": {"open": {"t": 1}}},
        ],
    )
    def test_edited_beyond_reading_is_refused(self, document: dict[str, object]) -> None:
        with pytest.raises(ConfigError, match="The state of a_stream cannot be read"):
            Ledger(Rules()).load({"version": 2, **document}, "a_stream")


def as_json(book: Book) -> dict[str, object]:
    ledger = Ledger(Rules())
    ledger.batches = book
    return ledger.as_json()
