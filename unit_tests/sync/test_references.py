"""The references of a snapshot: which batches they make due, and when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from source_docextract.core.model import FileStatus, PartitionKey, PartitionRef, PartitionStatus, Snapshot
from source_docextract.core.provider import BatchAnswer, ChangeDetection, StreamGroup
from source_docextract.state.passes import ListingPass
from source_docextract.sync.references import hash_references
from source_docextract.tables.rows import BATCHES, FILES
from unit_tests.support.sync_parts import NOW, ProviderParts, describe, get_state, make_document, make_snapshot


def fetch_nothing(_ref: PartitionRef) -> Any:
    raise AssertionError("an emitter requests nothing")


def make_polled_parts() -> ProviderParts:
    """Return a classification product whose results name batches of an extraction product, as on Extracta."""
    return ProviderParts(
        StreamGroup("extraction", fetch_nothing),
        StreamGroup("classification", fetch_nothing, referenced_group="extraction"),
        tables=(BATCHES,),
    )


def refer_to(*batch_ids: str) -> tuple[PartitionRef, ...]:
    return tuple(PartitionRef("x", batch_id, is_explicit=True, is_referenced=True) for batch_id in batch_ids)


def get_queue(parts: ProviderParts, product: str) -> list[str]:
    queue = parts.product_syncs[product].queue
    assert queue is not None
    return [ref.batch_id for ref in queue]


def test_polled_references_queue_each_batch_once() -> None:
    parts = make_polled_parts()
    parts.plan("classification", [PartitionRef("t", name) for name in ("C1", "C2")])

    parts.emit("classification", make_snapshot("C1", "a", references=refer_to("E1", "E2")))
    parts.emit("classification", make_snapshot("C2", "b", references=refer_to("E2", "E3")))

    assert get_queue(parts, "extraction") == ["E1", "E2", "E3"]


def test_polled_reference_to_a_planned_batch_queues_nothing() -> None:
    """Refer to a batch that the settings name too: this sync has planned it already."""
    parts = make_polled_parts()
    assert parts.plan("extraction", [PartitionRef("x", "E1")]) == [PartitionRef("x", "E1")]
    parts.plan("classification", [PartitionRef("t", "C1")])

    parts.emit("classification", make_snapshot("C1", "a", references=refer_to("E1")))

    assert get_queue(parts, "extraction") == []


def test_polled_reference_is_in_the_states_before_its_batch_is_read() -> None:
    """Kill the sync between the classification batch and the extraction batch that it names."""
    parts = make_polled_parts()
    parts.plan("classification", [PartitionRef("t", "C1")])

    emitted = parts.emit("classification", make_snapshot("C1", "a", references=refer_to("E1")))

    assert [describe(message) for message in emitted][-2:] == [
        "STATE extraction_batches",
        "STATE classification_batches",
    ]
    next_sync = make_polled_parts()
    for name, stream in next_sync.streams.items():
        stream.state.load(get_state(emitted, name), name)
    assert [ref.batch_id for ref in next_sync.plan("extraction", [])] == ["E1"]


def test_polled_reference_of_a_reading_for_another_stream_is_not_followed() -> None:
    """Read an old classification batch only for a stream that was added: the extraction stream has its batch."""
    parts = make_polled_parts()
    ref = PartitionRef("t", "C1")
    parts.plan("classification", [ref])
    parts.emit("classification", make_snapshot("C1", "a", references=refer_to("E1")))
    parts.product_syncs["extraction"].queue = None
    parts.product_syncs["extraction"].enqueue(())
    extraction_state = parts.streams["extraction_batches"].state
    extraction_state.ledger.entries.clear()  # pruned long after
    extraction_state.reference_ledger.entries[ref.key].status_since = NOW - timedelta(days=90)

    parts.emit("classification", make_snapshot("C1", "a", references=refer_to("E1")))

    assert get_queue(parts, "extraction") == []


def test_references_without_a_followed_product_are_ignored() -> None:
    parts = ProviderParts(StreamGroup("classification", fetch_nothing), tables=(BATCHES,))
    parts.plan("classification", [PartitionRef("t", "C1")])

    emitted = parts.emit("classification", make_snapshot("C1", "a", references=refer_to("E1")))

    assert [describe(message) for message in emitted if message.record] == ["RECORD classification_batches t/C1"]


def make_listed_parts() -> ProviderParts:
    """Return documents from a list that name their batches, and batches that name their documents (Sensible)."""
    return ProviderParts(
        StreamGroup(
            "documents",
            fetch_nothing,
            change_detection=ChangeDetection.LISTING,
            referenced_group="batches",
            stream_kinds=("files",),
        ),
        StreamGroup(
            "batches",
            fetch_nothing,
            change_detection=ChangeDetection.REFERENCE,
            referenced_group="documents",
            stream_kinds=("batches",),
        ),
        tables=(FILES,),
    )


def make_document_ref(document_id: str, status: FileStatus = FileStatus.PROCESSED) -> PartitionRef:
    return PartitionRef(None, document_id, fingerprint=f"{document_id} {status.value}")


def read_document(
    parts: ProviderParts,
    document_id: str,
    batch_ids: Sequence[str],
    status: FileStatus = FileStatus.PROCESSED,
) -> None:
    """Emit the reading of one document."""
    ref = make_document_ref(document_id, status)
    for name in ("documents_files", "batches_files"):
        stream = parts.streams[name]
        stream.get_pass("documents").register_reference(ref, NOW)
    is_finished = status is not FileStatus.PENDING
    snapshot = Snapshot(
        ref,
        PartitionStatus.COMPLETE if is_finished else PartitionStatus.OPEN,
        documents=(make_document(document_id, status),),
        references=tuple(
            PartitionRef(None, batch_id, is_explicit=True, is_referenced=True, member_statuses={document_id: status})
            for batch_id in batch_ids
        ),
        batch_unknown=not batch_ids,
    )
    parts.emit("documents", snapshot)


def get_changed_ids(parts: ProviderParts) -> list[str]:
    return [key.batch_id for key in parts.product_syncs["batches"].rollup.changed_batches]


def read_batch(parts: ProviderParts, batch_id: str, *, status: PartitionStatus = PartitionStatus.COMPLETE) -> None:
    """Emit the reading of one batch, which names no document that was not read."""
    parts.product_syncs["batches"].rollup.changed_batches.clear()
    parts.emit("batches", Snapshot(PartitionRef(None, batch_id, is_referenced=True), status, documents=()))


def test_changed_documents_mark_their_batch_once() -> None:
    parts = make_listed_parts()

    read_document(parts, "d1", ["B1"])
    read_document(parts, "d2", ["B1"])
    read_document(parts, "d3", ["B2"])

    assert get_changed_ids(parts) == ["B1", "B2"]


def test_unchanged_document_does_not_mark_its_batch_again() -> None:
    parts = make_listed_parts()
    read_document(parts, "d1", ["B1"])
    read_batch(parts, "B1")

    read_document(parts, "d1", ["B1"])

    assert get_changed_ids(parts) == []


def test_document_that_its_batch_has_shown_is_news_neither_now_nor_later() -> None:
    parts = make_listed_parts()
    answer = BatchAnswer(list, lambda ref: Snapshot(ref, PartitionStatus.COMPLETE), {"d1": make_document_ref("d1")})
    parts.product_syncs["batches"].rollup.observe(PartitionRef(None, "B1"), answer)

    read_document(parts, "d1", ["B1"])
    changed_at_once = get_changed_ids(parts)
    read_document(parts, "d1", ["B1"])

    assert (changed_at_once, get_changed_ids(parts)) == ([], [])


def test_document_with_another_status_marks_its_batch_again() -> None:
    parts = make_listed_parts()
    read_document(parts, "d1", ["B1"], FileStatus.PENDING)
    read_batch(parts, "B1", status=PartitionStatus.OPEN)

    read_document(parts, "d1", ["B1"], FileStatus.FAILED)

    assert get_changed_ids(parts) == ["B1"]


def test_orphan_document_that_was_open_marks_all_open_batches() -> None:
    parts = make_listed_parts()
    read_document(parts, "d1", ["B1"], FileStatus.PENDING)
    read_document(parts, "d2", ["B2"])
    read_batch(parts, "B1", status=PartitionStatus.OPEN)
    read_batch(parts, "B2")

    read_document(parts, "d1", [], FileStatus.FAILED)

    # B2 is complete, so the document is in none but B1.
    assert get_changed_ids(parts) == ["B1"]
    [reference] = parts.product_syncs["batches"].rollup.changed_batches.values()
    assert reference.member_statuses == {"d1": FileStatus.FAILED}


def test_orphan_document_that_was_never_open_marks_no_batch() -> None:
    parts = make_listed_parts()
    read_document(parts, "d1", ["B1"], FileStatus.PENDING)
    read_batch(parts, "B1", status=PartitionStatus.OPEN)

    read_document(parts, "d9", [], FileStatus.FAILED)

    assert get_changed_ids(parts) == []


def read_unknown_document(parts: ProviderParts, document_id: str) -> None:
    """Emit the answer to an unknown id."""
    document = make_document(document_id, FileStatus.FAILED)
    ref = PartitionRef(None, document_id, is_explicit=True)
    parts.emit("documents", Snapshot(ref, PartitionStatus.MISSING, documents=(document,), batch_unknown=True))


def test_document_that_was_unknown_for_a_while_marks_its_batch_again() -> None:
    parts = make_listed_parts()
    read_document(parts, "d1", ["B1"], FileStatus.PENDING)
    read_batch(parts, "B1", status=PartitionStatus.OPEN)
    read_unknown_document(parts, "d1")
    read_batch(parts, "B1")

    read_document(parts, "d1", ["B1"], FileStatus.PENDING)

    # The batch counts d1 as failed since the answer to the unknown id.
    assert get_changed_ids(parts) == ["B1"]


def test_finished_document_that_becomes_unknown_keeps_its_status_in_batches() -> None:
    parts = make_listed_parts()
    read_document(parts, "d1", ["B1"])
    read_batch(parts, "B1")

    read_unknown_document(parts, "d1")

    assert parts.product_syncs["batches"].rollup.orphan_documents == {}


def test_batch_with_documents_that_were_not_read_is_deferred() -> None:
    parts = make_listed_parts()
    read_document(parts, "d1", ["B1"])
    parts.product_syncs["documents"].requested_by_id.add(PartitionKey("", "d1"))
    members = tuple(PartitionRef(None, document_id, is_referenced=True) for document_id in ("d1", "d2"))
    batch = PartitionRef(None, "B1", is_referenced=True)

    parts.emit("batches", Snapshot(batch, PartitionStatus.OPEN, documents=(), references=members))

    assert list(parts.product_syncs["batches"].deferred) == [batch.key]
    listing_pass = parts.streams["batches_files"].get_pass("documents")
    assert isinstance(listing_pass, ListingPass)
    assert {ref.batch_id for ref in listing_pass.find_unlisted(NOW)} == {"d1", "d2"}


def test_batch_whose_documents_were_all_requested_is_not_deferred() -> None:
    parts = make_listed_parts()
    read_document(parts, "d1", ["B1"])
    parts.product_syncs["documents"].requested_by_id.add(PartitionKey("", "d1"))
    members = (PartitionRef(None, "d1", is_referenced=True),)

    parts.emit(
        "batches",
        Snapshot(PartitionRef(None, "B1", is_referenced=True), PartitionStatus.OPEN, documents=(), references=members),
    )

    assert parts.product_syncs["batches"].deferred == {}


def test_hash_references_changes_with_the_target_and_the_status_alone() -> None:
    parts = make_polled_parts()
    reference_pass = parts.streams["extraction_batches"].state.reference_pass

    def hash_snapshot(batch_id: str, status: FileStatus, **data: Any) -> list[str]:
        document = make_document("a", status, data or None)
        snapshot = make_snapshot("C1", documents=(document,), references=refer_to(batch_id, "E9"))
        return hash_references(snapshot, reference_pass.decide(snapshot, NOW))

    first = hash_snapshot("E1", FileStatus.PROCESSED)

    assert hash_snapshot("E1", FileStatus.PROCESSED, total=7) == first
    assert hash_snapshot("E2", FileStatus.PROCESSED)[1] == first[1]
    assert hash_snapshot("E2", FileStatus.PROCESSED)[0] != first[0]
    assert not set(hash_snapshot("E1", FileStatus.FAILED)) & set(first)
