"""The roll-up of documents into the rows of their batches (DocMap's runs, Sensible's batches). No I/O.

No endpoint lists these batches. A batch is requested when one of its documents has news for it, and when the user names
it. Its answer shows documents that their own list may still show.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ..core.model import FileStatus, PartitionKey, PartitionRef, Snapshot
from ..core.provider import BatchAnswer, Window
from ..state.ledger import Ledger


@dataclass(eq=False, slots=True)
class BatchRollup:
    """What one sync knows of the batches of a product and of the documents in them.

    Attributes:
        row_scopes: returns the scopes of the lists that show a document, as in `StreamGroup.row_scopes`.
        ledgers: the ledgers of the documents, of each stream that reads them.
        answers: the answers about batches whose rows are still to be made, by key.
        changed_batches: the batches of changed documents that have been read, by key. They wait for the other documents
            of their window, so that each batch is fetched once.
        orphan_documents: the statuses of documents that do not name their batch, by document id.
    """

    row_scopes: Callable[[str, PartitionRef], Sequence[str]]
    ledgers: Collection[Ledger] = ()
    answers: dict[PartitionKey, BatchAnswer] = field(default_factory=dict)
    changed_batches: dict[PartitionKey, PartitionRef] = field(default_factory=dict)
    orphan_documents: dict[str, FileStatus] = field(default_factory=dict)
    _read_starts: dict[str, datetime] = field(default_factory=dict)
    _fingerprints: dict[str, str] = field(default_factory=dict)

    def begin_window(self, window: Window) -> None:
        """Note that a list will show nothing more from before a window."""
        self._read_starts[window.scope] = window.start

    def drop_outdated_answers(self, document_ref: PartitionRef, batch_refs: Collection[PartitionRef]) -> None:
        """Drop the answers about the batches of a document that do not show it as it was read.

        The document has been added or has changed since, and the row of its batch has to count it as it is.
        """
        for ref in batch_refs:
            answer = self.answers.get(ref.key)
            if answer is None or answer.listed_rows is None:
                continue
            row_ref = answer.listed_rows.get(document_ref.batch_id)
            if row_ref is None or row_ref.fingerprint != document_ref.fingerprint:
                del self.answers[ref.key]

    def observe(self, ref: PartitionRef, answer: BatchAnswer) -> Snapshot:
        """Return the snapshot of a batch from its answer, and note the documents that the answer shows.

        Only documents that may still be read in this sync are noted, so that the memory stays small.
        """
        snapshot = answer.build_snapshot(ref)
        self._fingerprints.update(
            (document_id, row_ref.fingerprint)
            for document_id, row_ref in (answer.listed_rows or {}).items()
            if self._may_be_listed(row_ref) or self._may_be_requested(row_ref.key)
        )
        if snapshot.references:
            # The referenced documents are read in this sync and make the batch due again; its ids do not change.
            self.answers[ref.key] = answer
        return snapshot

    def changed(self, document_ref: PartitionRef) -> bool:
        """Return whether a document that was read is news for its batch.

        It is not if the answer about the batch has shown it as it is now. That counts for one reading.
        """
        return self._fingerprints.pop(document_ref.batch_id, None) != document_ref.fingerprint

    def _may_be_listed(self, row_ref: PartitionRef) -> bool:
        # A batch is requested while the next window is being listed, so the start of that window is the limit. A scope
        # whose list has not begun sets none: either its whole list is still to come, or the settings do not name it.
        created_at, scopes = row_ref.approx_created_at, self.row_scopes("", row_ref)
        return created_at is None or all(created_at >= self._read_starts.get(scope, created_at) for scope in scopes)

    def _may_be_requested(self, key: PartitionKey) -> bool:
        # Unfinished documents that no list shows any more, and those that could not be read, are requested by their ids
        # after all windows.
        entries = [ledger.entries[key] for ledger in self.ledgers if key in ledger.entries]
        return any(entry.needs_reading or not entry.is_settled for entry in entries)
