"""The roll-up of documents into batches: which documents are news, which answers are kept, and for how long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone

import pytest

from source_docextract.core.errors import TransientError, UnreadableResponse
from source_docextract.core.model import PartitionRef, PartitionStatus, Snapshot
from source_docextract.core.provider import BatchAnswer, ChangeDetection, RequestFlow, StreamGroup, Window
from source_docextract.core.requests import Request
from source_docextract.state.entries import Entry, EntryState
from source_docextract.state.ledger import Ledger
from source_docextract.sync.product_sync import ProductSync
from source_docextract.sync.rollup import BatchRollup
from unit_tests.support.cases import each_case
from unit_tests.support.stub_server import play_flow

DAY = timedelta(days=1)
START = datetime(2026, 11, 18, tzinfo=timezone.utc)
RUN = PartitionRef(None, "run", is_explicit=True)
REQUEST = Request("GET", "/batch")


def list_scopes(_scope: str, ref: PartitionRef) -> Sequence[str]:
    """Return the list of all documents, and that of their template, as DocMap's rows stand in."""
    return ("", ref.template_id) if ref.template_id else ("",)


def make_row(document_id: str, fingerprint: str = "1", created_at: datetime | None = START) -> PartitionRef:
    return PartitionRef("t", document_id, approx_created_at=created_at, fingerprint=fingerprint)


def make_answer(*rows: PartitionRef, references: Sequence[PartitionRef] = ()) -> BatchAnswer:
    def build_snapshot(ref: PartitionRef) -> Snapshot:
        return Snapshot(ref, PartitionStatus.OPEN, references=tuple(references))

    return BatchAnswer(lambda: rows, build_snapshot, {row.batch_id: row for row in rows})


def observe(rollup: BatchRollup, *rows: PartitionRef) -> None:
    rollup.observe(RUN, make_answer(*rows))


class TestChanged:
    def test_document_that_no_answer_showed_is_news(self) -> None:
        rollup = BatchRollup(list_scopes)
        observe(rollup, make_row("a"))

        assert rollup.changed(make_row("b"))

    def test_document_that_the_answer_showed_as_it_is_is_no_news_once(self) -> None:
        rollup = BatchRollup(list_scopes)
        observe(rollup, make_row("a"))

        assert [rollup.changed(make_row("a")) for _ in range(2)] == [False, True]

    def test_document_that_has_changed_since_the_answer_is_news_and_stays_so(self) -> None:
        rollup = BatchRollup(list_scopes)
        observe(rollup, make_row("a", "1"))

        assert rollup.changed(make_row("a", "2"))
        assert rollup.changed(make_row("a", "1"))

    def test_newer_answer_replaces_an_older_one(self) -> None:
        rollup = BatchRollup(list_scopes)
        observe(rollup, make_row("a", "1"))
        observe(rollup, make_row("a", "2"))

        assert not rollup.changed(make_row("a", "2"))

    def test_document_that_was_requested_by_id_is_recognized_under_another_key(self) -> None:
        rollup = BatchRollup(list_scopes)
        observe(rollup, make_row("a"))

        assert not rollup.changed(PartitionRef(None, "a", fingerprint="1"))

    def test_documents_of_an_answer_with_ids_alone_are_news(self) -> None:
        """Read a Sensible batch: its answer says nothing about its documents."""
        rollup = BatchRollup(list_scopes)
        rollup.observe(RUN, BatchAnswer(lambda: [make_row("a", "")], make_answer().build_snapshot))

        assert rollup.changed(make_row("a", ""))
        assert rollup.changed(make_row("a", "1"))


class TestMemory:
    @each_case(
        ("created_at", "is_kept"),
        [(START - DAY, False), (START, True), (START + 40 * DAY, True), (None, True)],
    )
    def test_document_is_noted_only_if_the_list_may_still_show_it(
        self, created_at: datetime | None, is_kept: bool
    ) -> None:
        rollup = BatchRollup(list_scopes)
        rollup.begin_window(Window("", START, START + DAY))

        observe(rollup, make_row("a", created_at=created_at))

        assert rollup.changed(make_row("a")) is not is_kept

    @each_case(
        ("scope", "is_kept"),
        [("t", False), ("", False), ("other template", True)],
    )
    def test_only_the_lists_of_a_document_limit_its_memory(self, scope: str, is_kept: bool) -> None:
        rollup = BatchRollup(list_scopes)
        rollup.begin_window(Window(scope, START + DAY, START + 2 * DAY))

        observe(rollup, make_row("a"))

        assert rollup.changed(make_row("a")) is not is_kept

    @each_case(
        ("entry", "is_kept"),
        [
            (Entry(START, EntryState.OPEN), True),
            (Entry(START, EntryState.UNREAD), True),
            (Entry(START, EntryState.SETTLED, needs_reread=True), True),
            (Entry(START, EntryState.SETTLED), False),
            (None, False),
        ],
    )
    def test_document_that_no_list_shows_is_noted_if_it_is_still_to_be_read(
        self, entry: Entry | None, is_kept: bool
    ) -> None:
        row = make_row("a", created_at=START - DAY)
        ledgers = [Ledger(), Ledger({row.key: entry} if entry else {})]
        rollup = BatchRollup(list_scopes, ledgers)
        rollup.begin_window(Window("", START, START + DAY))

        observe(rollup, row)

        assert rollup.changed(row) is not is_kept

    def test_latest_window_of_a_list_counts(self) -> None:
        rollup = BatchRollup(list_scopes)
        for days in (0, 1):
            rollup.begin_window(Window("", START + days * DAY, START + (days + 1) * DAY))

        observe(rollup, make_row("a"))

        assert rollup.changed(make_row("a"))

    def test_backfill_leaves_no_fingerprint_behind(self) -> None:
        """Read the documents of a run day by day, and the run after each day, while the next day is being listed."""
        rows = [make_row(f"{day}", created_at=START + day * DAY) for day in range(50)]
        rollup = BatchRollup(list_scopes)

        news = []
        for day, row in enumerate(rows, start=1):
            rollup.begin_window(Window("", START + day * DAY, START + (day + 1) * DAY))
            news.append(rollup.changed(row))
            observe(rollup, *rows)

        # Each reading of the run has shown the documents of all later days.
        assert news == [True, *[False] * 49]
        assert all(map(rollup.changed, rows))


def make_product_sync() -> tuple[ProductSync, Callable[[PartitionRef], RequestFlow[BatchAnswer]]]:
    """Return the product of batches, and the request flow of its answers."""

    def read_batch(_ref: PartitionRef) -> RequestFlow[BatchAnswer]:
        [answer] = yield [REQUEST]
        return answer  # type: ignore[no-any-return]

    group = StreamGroup("batches", lambda _ref: iter(()), change_detection=ChangeDetection.REFERENCE)  # type: ignore[arg-type,return-value]
    return ProductSync(group, (), (), BatchRollup(list_scopes)), read_batch


class TestAnswers:
    def test_named_batch_is_requested_once_for_its_documents_and_its_row(self) -> None:
        product_sync, read_batch = make_product_sync()
        answer = make_answer(make_row("a"))

        members, lookup_requests = play_flow(product_sync.look_up_members(RUN, read_batch), [answer])
        snapshot, row_requests = play_flow(product_sync.fetch_batch(RUN, read_batch))

        assert (list(members), snapshot) == ([make_row("a")], answer.build_snapshot(RUN))
        assert (lookup_requests, row_requests) == ([[REQUEST]], [])

    def test_row_that_has_been_made_uses_the_answer_up(self) -> None:
        product_sync, read_batch = make_product_sync()
        play_flow(product_sync.look_up_members(RUN, read_batch), [make_answer()])
        play_flow(product_sync.fetch_batch(RUN, read_batch))

        _, requests = play_flow(product_sync.fetch_batch(RUN, read_batch), [make_answer()])

        assert requests == [[REQUEST]]
        assert product_sync.rollup.answers == {}

    def test_answer_is_kept_while_documents_of_it_are_still_to_be_read(self) -> None:
        """Read a Sensible batch with a document of unknown status, then the document, then the batch's row."""
        product_sync, read_batch = make_product_sync()
        play_flow(product_sync.fetch_batch(RUN, read_batch), [make_answer(references=[make_row("a")])])

        snapshot, requests = play_flow(product_sync.fetch_batch(RUN, read_batch))

        assert (snapshot.references, requests) == ((make_row("a"),), [])

    def test_documents_are_noted_when_the_row_is_made_of_a_kept_answer(self) -> None:
        """Look a named run up: its documents are news for its row, which is made after them."""
        product_sync, read_batch = make_product_sync()
        play_flow(product_sync.look_up_members(RUN, read_batch), [make_answer(make_row("a"))])
        assert product_sync.rollup.changed(make_row("a"))

        play_flow(product_sync.fetch_batch(RUN, read_batch))

        assert not product_sync.rollup.changed(make_row("a"))

    @each_case(
        ("row", "is_kept"),
        [(make_row("a"), True), (make_row("a", "2"), False), (make_row("added since"), False)],
    )
    def test_answer_is_kept_only_if_it_shows_the_documents_as_they_were_read(
        self, row: PartitionRef, is_kept: bool
    ) -> None:
        product_sync, read_batch = make_product_sync()
        play_flow(product_sync.look_up_members(RUN, read_batch), [make_answer(make_row("a"), make_row("b"))])

        product_sync.rollup.drop_outdated_answers(row, [RUN])

        assert (RUN.key in product_sync.rollup.answers) is is_kept

    def test_answer_without_documents_is_outdated_by_any(self) -> None:
        product_sync, read_batch = make_product_sync()
        play_flow(product_sync.look_up_members(RUN, read_batch), [make_answer()])

        product_sync.rollup.drop_outdated_answers(make_row("a"), [RUN])

        assert product_sync.rollup.answers == {}

    def test_answer_with_ids_alone_is_kept_whatever_the_documents_are(self) -> None:
        """Read a document of a Sensible batch: the row of the batch counts its status, which the answer lacks."""
        product_sync, read_batch = make_product_sync()
        answer = BatchAnswer(lambda: [make_row("a", "")], make_answer().build_snapshot)
        play_flow(product_sync.look_up_members(RUN, read_batch), [answer])

        product_sync.rollup.drop_outdated_answers(make_row("a"), [RUN])

        assert product_sync.rollup.answers == {RUN.key: answer}

    def test_document_of_another_batch_leaves_the_answer(self) -> None:
        product_sync, read_batch = make_product_sync()
        play_flow(product_sync.look_up_members(RUN, read_batch), [make_answer(make_row("a"))])

        product_sync.rollup.drop_outdated_answers(make_row("b"), [PartitionRef(None, "other run")])

        assert RUN.key in product_sync.rollup.answers

    def test_failed_request_keeps_no_answer(self) -> None:
        product_sync, read_batch = make_product_sync()

        with pytest.raises(TransientError):
            play_flow(product_sync.look_up_members(RUN, read_batch), TransientError("down", 503))

        assert product_sync.rollup.answers == {}

    def test_answer_whose_documents_cannot_be_read_is_not_requested_again(self) -> None:
        product_sync, read_batch = make_product_sync()

        def fail(_ref: PartitionRef | None = None) -> Snapshot:
            raise UnreadableResponse("No list of documents.")

        with pytest.raises(UnreadableResponse):
            play_flow(
                product_sync.look_up_members(RUN, read_batch),
                [BatchAnswer(fail, fail)],  # type: ignore[arg-type]
            )
        with pytest.raises(UnreadableResponse):
            play_flow(product_sync.fetch_batch(RUN, read_batch))

        assert product_sync.rollup.answers == {}
