"""The emission of a snapshot: its rows, its references and the states that follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from airbyte_cdk.models import AirbyteMessage

from ..core.errors import UnreadableResponse, build_batch_error
from ..core.model import PartitionStatus, Snapshot
from ..core.provider import ChangeDetection
from ..core.redaction import sanitize
from .checkpoints import Checkpoints
from .product_sync import Phase, ProductSync
from .references import REFERENCE_HANDLERS, hash_references
from .reporting import WarningLimiter

_SNAPSHOTS_PER_STATE = 100
"""Snapshots between two states while windows of a list are read: there, a snapshot is a single document."""


class Emitter:
    """The output of one provider during one sync.

    Args:
        provider_name: the provider's name in messages to users.
        product_syncs: the provider's product syncs, by product name.
        checkpoints: emits the states of the provider's streams.
        warnings: logs the warnings about the provider.
        now: returns the current time, aware and in UTC.
    """

    def __init__(
        self,
        provider_name: str,
        product_syncs: Mapping[str, ProductSync],
        *,
        checkpoints: Checkpoints,
        warnings: WarningLimiter,
        now: Callable[[], datetime],
    ) -> None:
        self._provider_name = provider_name
        self._product_syncs = product_syncs
        self._checkpoints = checkpoints
        self._warnings = warnings
        self._now = now
        self._unsaved_count = 0
        self._unsaved_documents = 0

    def emit(self, product_sync: ProductSync, snapshot: Snapshot) -> Iterator[AirbyteMessage]:
        """Emit the rows of a snapshot and the states that follow.

        A partial snapshot leaves its partition due; the last snapshot of the reading settles it.

        The references of the snapshot are registered before the states are emitted.

        Raises:
            ConnectorError: if no rows can be made of the snapshot. Then no ledger records a row that was not emitted.
                A fault in the first thousand records of a stream is raised before any row is emitted.
        """
        try:
            yield from self._emit(product_sync, snapshot)
        except Exception as error:
            # Without the cause: the text of an unexpected exception may quote extracted data.
            raise build_batch_error(self._provider_name, error) from None

    def _emit(self, product_sync: ProductSync, snapshot: Snapshot) -> Iterator[AirbyteMessage]:
        now = self._now()
        # The registry's `expected_files` keep a batch open that has fewer, however its provider calls it.
        snapshot = snapshot.reopen_if_files_missing()
        if product_sync.stream_group.change_detection is ChangeDetection.LISTING:
            product_sync.resolve_doubts(snapshot)
        # Prepared for all before any emits: a fault in the first rows leaves the batch unread in all streams alike.
        prepared_by_stream = [
            (stream, stream.prepare(snapshot, now))
            for stream in product_sync.streams
            if stream.state.ledger_pass.tracks(snapshot.ref)
        ]
        is_stalled = any(prepared.decision.is_stalled for _, prepared in prepared_by_stream)
        self._warn_about_snapshot(product_sync, snapshot, is_stalled=is_stalled)
        # References are registered before the batch that holds them may settle, and both appear in the same state. So
        # no kill in between loses a referenced batch.
        has_changes = self._register_references(product_sync, snapshot, now)
        # A deferred batch is fetched again at the end of the sync, and each sync emits a row once.
        for stream, prepared in prepared_by_stream:
            if snapshot.ref.key in product_sync.deferred:
                stream.hold_back(snapshot, prepared, now)
                continue
            for message in stream.emit(snapshot, prepared, now):
                has_changes = True
                yield message
        self._unsaved_count += has_changes
        # Each document of an open reading makes the state longer, so it adds to what may be spent on states.
        self._unsaved_documents += len(snapshot.documents or ()) if snapshot.is_partial else 0
        # While windows are read, a snapshot is a single document: states follow every hundred, and each whole window.
        is_reading_windows = any(other_sync.phase is not Phase.DONE for other_sync in self._product_syncs.values())
        if has_changes and (not is_reading_windows or self._unsaved_count >= _SNAPSHOTS_PER_STATE):
            yield from self.emit_due_states()

    def emit_due_states(self) -> Iterator[AirbyteMessage]:
        """Emit states if the snapshots since the last ones make them worth their size."""
        if self._unsaved_count:
            yield from self._checkpoints.emit_if_affordable(self._unsaved_count, self._unsaved_documents)
        self._unsaved_count = self._unsaved_documents = 0

    def _register_references(self, product_sync: ProductSync, snapshot: Snapshot, now: datetime) -> bool:
        """Register a snapshot's references; return whether one of them is due by that."""
        target = self._product_syncs.get(product_sync.stream_group.referenced_group or "")
        if target is None or target.queue is None:
            return False
        is_batch_target = target.stream_group.change_detection is ChangeDetection.REFERENCE
        has_due_reference = REFERENCE_HANDLERS[target.stream_group.change_detection](
            product_sync, target, snapshot, now
        )
        # The streams that follow the references record this reading in their own states: they need it even where no
        # stream of the referring product is selected.
        for stream in product_sync.target_streams:
            reference_pass = stream.state.reference_pass
            # A part is no reading of the whole: only the last snapshot may settle the partition.
            if reference_pass.tracks(snapshot.ref) and not snapshot.is_partial:
                decision = reference_pass.decide(snapshot, now)
                reference_hashes = hash_references(snapshot, decision) if is_batch_target else ()
                reference_pass.record(snapshot.ref, decision, reference_hashes, now)
        return has_due_reference

    def _warn_about_snapshot(self, product_sync: ProductSync, snapshot: Snapshot, *, is_stalled: bool) -> None:
        ref = snapshot.ref
        for status in sorted(snapshot.unknown_statuses):
            message = (
                f"{self._provider_name} sent the unknown status {sanitize(status)!r}, which counts as unfinished. "
                "Please report it."
            )
            self._warnings.warn("unknown status", message)
        for key in sorted(snapshot.uncertain_times):
            message = (
                f"{self._provider_name} sent an unreadable or ambiguous time for {key}. "
                "The column is null, and provider_data holds the value as sent."
            )
            self._warnings.warn("unknown time", message)
        if snapshot.is_partial:
            return
        unit_name = (
            "batch" if product_sync.stream_group.change_detection is not ChangeDetection.LISTING else "extraction"
        )
        if snapshot.status is PartitionStatus.MISSING:
            self._warnings.warn(
                "missing", f"{self._provider_name} does not know {unit_name} {ref.key.display_id}. {snapshot.error}"
            )
        if is_stalled:
            self._warnings.warn(
                "stalled",
                f"{self._provider_name} {unit_name} {ref.key.display_id} has been unfinished for longer than "
                "give_up_after_days. It is marked as stalled and no longer polled; to poll longer, raise the setting.",
            )
        if snapshot.read_error:
            # The readable part is delivered; INCOMPLETE says that rows are missing.
            product_sync.fail(UnreadableResponse(snapshot.read_error), product_sync.find_tracking_streams(ref))
            self._warnings.warn("partly unreadable", snapshot.read_error)
