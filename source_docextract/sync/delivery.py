"""What becomes of a reading: rows to the streams that want them, links to where they lead, states where worth it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from airbyte_cdk.models import AirbyteMessage

from ..core.errors import UnreadableResponse, build_batch_error
from ..core.model import PartitionStatus, Snapshot
from ..core.provider import ChangeDetection
from ..core.redaction import sanitize
from .checkpoints import Checkpoints
from .product_sync import ProductSync
from .references import REFERENCE_HANDLERS, hash_references
from .reporting import WarningLimiter

_SNAPSHOTS_PER_STATE = 100  # documents of one window


class Emitter:
    """The way out, for one provider during one sync.

    Args:
        name: the provider as a user knows it.
        now: the clock.
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

    def emit(self, product_sync: ProductSync, snapshot: Snapshot) -> Iterator[AirbyteMessage]:
        """All that a reading leads to.

        Raises:
            BadAnswer: where it cannot be read. Nothing is written down then that has not been delivered, and up to a
                thousand rows of a stream nothing is delivered.
        """
        try:
            yield from self._emit(product_sync, snapshot)
        except Exception as error:
            raise build_batch_error(self._provider_name, error) from None

    def _emit(self, product_sync: ProductSync, snapshot: Snapshot) -> Iterator[AirbyteMessage]:
        now = self._now()
        snapshot = snapshot.reopen_if_files_missing()
        prepared_by_stream = [
            (stream, stream.prepare(snapshot, now))
            for stream in product_sync.streams
            if stream.state.ledger.tracks(snapshot.ref)
        ]
        self._warn_about_snapshot(product_sync, snapshot, now)
        # Before the batch that names them may settle, in the same state: no stop in between can lose a link.
        has_changes = self._register_references(product_sync, snapshot, now)
        # What will be told anew at the end of this sync is not told yet: a row comes once in each. Were the sync broken
        # off before, the next one has to tell it.
        is_fetched_again = snapshot.ref.key in product_sync.deferred
        for stream, prepared in prepared_by_stream:
            for message in stream.emit(snapshot, None if is_fetched_again else prepared, now):
                has_changes = True
                yield message
            if is_fetched_again and stream.state.ledger.tracks(snapshot.ref):
                stream.state.ledger.flag_for_reread(snapshot.ref, now)
        self._unsaved_count += has_changes
        is_reading_windows = any(other_sync.stages for other_sync in self._product_syncs.values())
        if has_changes and (not is_reading_windows or self._unsaved_count >= _SNAPSHOTS_PER_STATE):
            yield from self.emit_due_states()

    def emit_due_states(self) -> Iterator[AirbyteMessage]:
        """States, if what was delivered since the last ones makes them worth their size."""
        if self._unsaved_count:
            yield from self._checkpoints.emit_if_affordable(self._unsaved_count)
        self._unsaved_count = 0

    def _register_references(self, product_sync: ProductSync, snapshot: Snapshot, now: datetime) -> bool:
        """Has the links of a reading read as well; true if one of them is due by that."""
        target = self._product_syncs.get(product_sync.stream_group.referenced_group or "")
        if target is None or target.queue is None:
            return False
        has_due_reference = REFERENCE_HANDLERS[target.stream_group.change_detection](
            product_sync, target, snapshot, now
        )
        for stream in product_sync.target_streams:
            reference_ledger = stream.state.reference_ledger
            if reference_ledger.tracks(snapshot.ref):
                reference_hashes = (
                    hash_references(reference_ledger, snapshot, now)
                    if target.stream_group.change_detection is ChangeDetection.REFERENCE
                    else ()
                )
                reference_ledger.record(snapshot, reference_hashes, now)
        return has_due_reference

    def _warn_about_snapshot(self, product_sync: ProductSync, snapshot: Snapshot, now: datetime) -> None:
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
        unit_name = (
            "batch" if product_sync.stream_group.change_detection is not ChangeDetection.LISTING else "extraction"
        )
        if snapshot.status is PartitionStatus.MISSING:
            self._warnings.warn(
                "missing", f"{self._provider_name} does not know {unit_name} {ref.key.display_id}. {snapshot.error}"
            )
        if any(stream.state.ledger.is_stalling(snapshot, now) for stream in product_sync.streams):
            self._warnings.warn(
                "stalled",
                f"{self._provider_name} {unit_name} {ref.key.display_id} has been unfinished for longer than "
                "give_up_after_days. It is marked as stalled and no longer polled; to poll longer, raise the setting.",
            )
        if snapshot.read_error:
            product_sync.fail(UnreadableResponse(snapshot.read_error), product_sync.find_tracking_streams(ref))
            self._warnings.warn("partly unreadable", snapshot.read_error)
