"""The references between the products of a provider, and the work that follows.

The handler is chosen by how the referenced product detects changes:

    POLLING    An Extracta classification batch names extraction batches.
    REFERENCE  An extraction of DocMap or Sensible names the run or batch that it belongs to.
    LISTING    A run or batch names documents of which it does not say enough.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from ..core.content import hash_row
from ..core.model import Snapshot
from ..core.provider import ChangeDetection
from ..state.entries import EntryState
from ..state.transitions import Decision
from .product_sync import ProductSync


def _enqueue_referenced_batches(
    product_sync: ProductSync, target: ProductSync, snapshot: Snapshot, now: datetime
) -> bool:
    """Queue the referenced batches that no setting and no earlier reference has named.

    Returns:
        Whether a batch was queued.
    """
    has_due_reference = False
    for reference in snapshot.references:
        # A stream that does not need this reading received the referenced batch long ago, and may have pruned its
        # entry: the reading is for another stream, such as one that was added later.
        streams = [
            stream
            for stream in product_sync.target_streams
            if stream.state.is_relevant(reference) and stream.state.reference_pass.is_due(snapshot.ref, now)
        ]
        # A list, not a generator: each stream has to register the reference, also after one for which it is due.
        due_flags = [stream.state.ledger_pass.register_reference(reference, now) for stream in streams]
        if any(due_flags):
            target.enqueue([reference])
            has_due_reference = True
    return has_due_reference


def _mark_batches_changed(product_sync: ProductSync, target: ProductSync, snapshot: Snapshot, now: datetime) -> bool:
    """Mark the batch of a changed document.

    It is fetched when all documents of the window have been read.

    A document that does not name its batch concerns all open batches if it was unfinished before: it is in one of them.

    Returns:
        Whether any batch is marked.
    """
    # References that are no news are recorded all the same: else they would be news for the next sync.
    references = list(snapshot.references) if target.rollup.changed(snapshot.ref) else []
    target.rollup.drop_outdated_answers(snapshot.ref, snapshot.references)
    decisions = {
        stream.name: stream.state.reference_pass.decide(snapshot, now) for stream in product_sync.target_streams
    }
    # The answer to an unknown id does not replace the status of a document that was finished before.
    if snapshot.batch_unknown and not any(
        decision.keeps_rows and decision.entry.is_settled for decision in decisions.values()
    ):
        target.rollup.orphan_documents.update(
            (document.file_id or "", document.status) for document in snapshot.documents or ()
        )
        if any(
            stream.state.reference_ledger.get(snapshot.ref.key).state is EntryState.OPEN
            for stream in product_sync.target_streams
        ):
            references = target.list_open_references(target.rollup.orphan_documents)
    for stream in product_sync.target_streams:
        reference_pass = stream.state.reference_pass
        decision = decisions[stream.name]
        has_changed = snapshot.batch_unknown or not decision.delivered_hashes.issuperset(
            hash_references(snapshot, decision)
        )
        for reference in references:
            if (has_changed and reference_pass.tracks(snapshot.ref)) or reference.key in target.deferred:
                is_due = stream.state.ledger_pass.register_reference(reference, now, has_changed=True)
                if is_due:
                    target.rollup.changed_batches[reference.key] = reference
    # The streams of the documents remember the batch, too: if the sync is killed before the fetch at its end, the next
    # one still has to read the batch for them.
    for stream in product_sync.streams:
        for reference in references:
            if reference.key in target.deferred and stream.state.reference_pass.tracks(reference):
                stream.state.reference_pass.register_reference(reference, now, has_changed=True)
    return bool(target.rollup.changed_batches)


def _request_members(product_sync: ProductSync, target: ProductSync, snapshot: Snapshot, now: datetime) -> bool:
    """Flag a batch's documents for a request by id at the end of the sync.

    The batch is deferred if one of them was not requested by id yet: its counts depend on their statuses, so it is
    fetched again after them.

    Returns:
        False: nothing is due at once.
    """
    if any(reference.key not in target.requested_by_id for reference in snapshot.references):
        product_sync.deferred[snapshot.ref.key] = replace(snapshot.ref, member_statuses={})
    for stream in product_sync.find_tracking_streams(snapshot.ref):
        for reference in snapshot.references:
            stream.get_pass(target.stream_group.name).flag_for_reread(reference, now)
    return False


REFERENCE_HANDLERS = {
    ChangeDetection.POLLING: _enqueue_referenced_batches,
    ChangeDetection.REFERENCE: _mark_batches_changed,
    ChangeDetection.LISTING: _request_members,
}
"""The handler of a snapshot's references, by the change detection of the product that they lead to."""


def hash_references(snapshot: Snapshot, decision: Decision) -> list[str]:
    """Return one hash for each reference, over its key and the documents' statuses.

    The ledger keeps these hashes like row hashes. They differ from the recorded ones when the snapshot has news for the
    batches that it refers to. A snapshot that does not name its batch has a hash, too: it gave its status to all open
    batches, so the next one that names the batch has news for it.
    """
    statuses = [document.status.value for document in snapshot.documents or ()]
    keys = [str(reference.key) for reference in snapshot.references]
    if snapshot.batch_unknown and not keys:
        keys = [""]
    return [hash_row(repr((key, statuses, decision.is_stalled)).encode()) for key in keys]
