"""References between batches and documents of two products: who points at whom, and what follows."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from ..core.content import hash_row
from ..core.model import Snapshot
from ..core.provider import ChangeDetection
from ..state.ledger import Ledger
from .product_sync import ProductSync


def _enqueue_referenced_batches(
    product_sync: ProductSync, target: ProductSync, snapshot: Snapshot, now: datetime
) -> bool:
    """To batches that are asked for by themselves: to those that nobody has named so far."""
    has_due_reference = False
    for reference in snapshot.references:
        # Every follower has to hear of it, also after one that wants it.
        streams = [stream for stream in product_sync.target_streams if stream.state.is_relevant(reference)]
        due_flags = [stream.state.ledger.register_reference(reference, now) for stream in streams]
        if any(due_flags):
            target.enqueue([reference])
            has_due_reference = True
    return has_due_reference


def _mark_batches_changed(product_sync: ProductSync, target: ProductSync, snapshot: Snapshot, now: datetime) -> bool:
    """From a document to its batch, which is asked for when all have told of themselves, if one of them told news."""
    references = list(snapshot.references)
    if snapshot.batch_unknown:
        target.orphan_documents.update(
            (document.file_id or "", document.status) for document in snapshot.documents or ()
        )
        if any(stream.state.reference_ledger.is_open(snapshot.ref.key) for stream in product_sync.target_streams):
            references = target.list_open_references(target.orphan_documents)  # it is in one of these
    for stream in product_sync.target_streams:
        reference_ledger = stream.state.reference_ledger
        has_changed = snapshot.batch_unknown or not reference_ledger.has_row_hashes(
            snapshot.ref, hash_references(reference_ledger, snapshot, now)
        )
        for reference in references:
            if (has_changed and reference_ledger.tracks(snapshot.ref)) or reference.key in target.deferred:
                is_due = stream.state.ledger.register_reference(reference, now, has_changed=True)
                target.changed_batches.update({reference.key: reference} if is_due else {})
    for stream in product_sync.streams:
        for reference in references:
            if reference.key in target.deferred and stream.state.reference_ledger.tracks(reference):
                stream.state.reference_ledger.register_reference(reference, now, has_changed=True)
    return bool(target.changed_batches)


def _request_members(product_sync: ProductSync, target: ProductSync, snapshot: Snapshot, now: datetime) -> bool:
    """From a batch to documents of which it cannot tell enough: they are asked for at the end, and then it is told."""
    if any(reference.key not in target.requested_by_id for reference in snapshot.references):
        product_sync.deferred[snapshot.ref.key] = replace(snapshot.ref, member_statuses={})
    for stream in product_sync.find_tracking_streams(snapshot.ref):
        for reference in snapshot.references:
            stream.get_ledger(target.stream_group.name).flag_for_reread(reference, now)
    return False


REFERENCE_HANDLERS = {
    ChangeDetection.POLLING: _enqueue_referenced_batches,
    ChangeDetection.REFERENCE: _mark_batches_changed,
    ChangeDetection.LISTING: _request_members,
}


def hash_references(reference_ledger: Ledger, snapshot: Snapshot, now: datetime) -> list[str]:
    """What a reading tells those it links to, by one mark for each link, as if these were rows."""
    is_stalling = reference_ledger.is_stalling(snapshot, now)
    statuses = [document.status.value for document in snapshot.documents or ()]
    return [hash_row(repr((str(reference.key), statuses, is_stalling)).encode()) for reference in snapshot.references]
