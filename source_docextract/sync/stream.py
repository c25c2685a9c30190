"""The selected streams of one sync, and the messages they make of a snapshot."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain

from airbyte_cdk.models import AirbyteMessage, AirbyteStreamStatus

from ..core.errors import ConnectorError
from ..core.model import PartitionKey, PartitionStatus, Snapshot
from ..core.timestamps import format_rfc3339
from ..state.ledger import Ledger
from ..state.serialization import StreamState
from ..tables.rows import Record, RenderOptions, Row, RowGroup, Table
from . import messages

_RECORDS_MADE_FIRST = 1000
"""Records of a snapshot that a stream makes before it emits the first one."""


@dataclass(slots=True)
class OpenReading:
    """The rows of a partition that is being read page by page.

    Attributes:
        delivered_hashes: the hashes of the rows that were delivered before this reading.
        joined_hashes: the hashes of all rows of this reading so far, joined for each page.
    """

    delivered_hashes: Collection[str]
    joined_hashes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class PreparedMessages:
    """The messages that one stream has for a snapshot.

    Attributes:
        row_hashes: the hashes of all rows of the snapshot, also of unchanged ones; None where it does not hold any.
        new_hashes: the hashes of those rows of a partial snapshot that are emitted.
        observed_at: the value of that column in the new records.
        later_messages: makes the remaining messages; to be read after `first_messages`.
        first_messages: the messages that are made already.
    """

    row_hashes: list[str] | None
    new_hashes: list[str]
    observed_at: datetime
    later_messages: Iterator[AirbyteMessage]
    first_messages: list[AirbyteMessage] = field(default_factory=list)


@dataclass(slots=True)
class Stream:
    """One selected stream.

    Attributes:
        name: the name in Airbyte's catalog, such as `docmap_results`.
        product_name: the product (`StreamGroup.name`) whose snapshots feed the stream.
        table: the kind of stream: its columns, and the rows that it makes of a snapshot.
        render_options: the options for the content of its rows.
        state: its state, with the ledgers of its product and of the product that refers to it.
        make_messages: makes messages of its records.
        record_count: number of records emitted so far.
        error: the reason why the stream will end incomplete, or None. The first reason stays, unless its provider is
            aborted.
        has_ended: whether its terminal status was emitted.
        open_readings: the partitions that are being read page by page.
    """

    name: str
    product_name: str
    table: Table
    render_options: RenderOptions
    state: StreamState
    make_messages: messages.MessageFactory = messages.make_record_messages
    record_count: int = 0
    error: ConnectorError | None = None
    has_ended: bool = False
    open_readings: dict[PartitionKey, OpenReading] = field(default_factory=dict)

    def get_ledger(self, product_name: str) -> Ledger:
        """Return this stream's ledger of its own product, or of the referring one."""
        return self.state.ledger if product_name == self.product_name else self.state.reference_ledger

    def fail(self, error: ConnectorError, *, is_final: bool = False) -> None:
        """Mark the stream as incomplete.

        The first reason stays, unless `is_final` replaces it.
        """
        if self.error is None or is_final:
            self.error = error

    def build_rows(self, snapshot: Snapshot, now: datetime) -> list[Row | RowGroup] | None:
        """Return all rows of a snapshot.

        Returns:
            None if the provider does not report this kind of rows yet ("waiting"), or if the ledger does not track the
            partition. An empty list means that there are none.
        """
        ledger = self.state.ledger
        if not ledger.tracks(snapshot.ref) or not self.table.is_reported(snapshot):
            return None
        # The provider calls the batch unfinished; the row says that the connector has given it up.
        is_stalling = ledger.is_stalling(snapshot, now)
        effective_snapshot = replace(snapshot, status=PartitionStatus.STALLED) if is_stalling else snapshot
        return list(self.table.build_rows(effective_snapshot, self.render_options))

    def prepare(self, snapshot: Snapshot, now: datetime) -> PreparedMessages:
        """Make the messages of the new and changed rows of a snapshot.

        The first thousand records are made here, and serialized if they are to be printed. So a fault in one of them is
        raised before anything is emitted or recorded. To make all of them here would take memory for each record.
        """
        rows = self.build_rows(snapshot, now)
        row_hashes = None if rows is None else [row.row_hash for row in rows]
        # A row is emitted once, and again only if its content changed: unchanged rows have a hash that was emitted.
        reading = self.open_readings.get(snapshot.ref.key)
        if reading:
            # The ledger would split the hashes of the whole batch again for each page.
            delivered_hashes = reading.delivered_hashes
        else:
            delivered_hashes = self.state.ledger.get_delivered_hashes(snapshot, row_hashes)
            if snapshot.is_partial:
                self.open_readings[snapshot.ref.key] = OpenReading(delivered_hashes)
        new_rows = [row for row in rows or () if row.row_hash not in delivered_hashes]
        # `observed_at` never goes back, even if the clock does: warehouses use it as the cursor.
        observed_at = max(now, self.state.observed_at or now)
        new_records = _stamp_records(new_rows, format_rfc3339(observed_at))
        prepared = PreparedMessages(
            row_hashes,
            [row.row_hash for row in new_rows] if snapshot.is_partial else [],
            observed_at,
            self.make_messages(self.name, new_records, int(now.timestamp() * 1000)),
        )
        count = 0
        for message in prepared.later_messages:
            prepared.first_messages.append(message)
            count += messages.count_records(message)
            if count >= _RECORDS_MADE_FIRST:
                break
        return prepared

    def emit(self, snapshot: Snapshot, prepared: PreparedMessages | None, now: datetime) -> Iterator[AirbyteMessage]:
        """Emit the prepared messages, then record the snapshot in the ledger.

        No state is emitted in between. So after a fault at any row the batch counts as unread, and the next sync emits
        all its rows again.

        Args:
            snapshot: the reading that was prepared.
            prepared: the messages to emit; None to record the snapshot without emitting its rows.
            now: the time of the reading.
        """
        ledger = self.state.ledger
        if not ledger.tracks(snapshot.ref):
            return
        # Only where rows follow: a sync without changes leaves the state as it was.
        if prepared and prepared.first_messages:
            self.state.observed_at = prepared.observed_at
        for message in chain(prepared.first_messages, prepared.later_messages) if prepared else ():
            # Airbyte's order of statuses: RUNNING comes right before a stream's first record.
            if not self.record_count:
                yield messages.make_status_message(self.name, AirbyteStreamStatus.RUNNING)
            self.record_count += messages.count_records(message)
            yield message
        self._record(snapshot, prepared, now)

    def _record(self, snapshot: Snapshot, prepared: PreparedMessages | None, now: datetime) -> None:
        ledger, key = self.state.ledger, snapshot.ref.key
        row_hashes = prepared.row_hashes if prepared else None
        if not snapshot.is_partial:
            reading = self.open_readings.pop(key, None)
            if reading and row_hashes is not None:
                row_hashes = [*reading.joined_hashes, *row_hashes]
            ledger.record(snapshot, row_hashes, now)
        elif prepared and row_hashes is not None:
            self.open_readings[key].joined_hashes.append("".join(row_hashes))
            ledger.record_part(snapshot.ref, prepared.new_hashes, now)

    def drop_reading(self, key: PartitionKey) -> None:
        """Forget the pages of a partition whose reading has failed; the next reading begins with the first one."""
        self.open_readings.pop(key, None)

    def emit_final_status(self) -> Iterator[AirbyteMessage]:
        """Emit the terminal status once, after the reason if the stream is incomplete."""
        # Airbyte expects exactly one terminal status for each stream: destinations fail a sync that lacks one.
        if self.has_ended:
            return
        self.has_ended = True
        if self.error:
            yield messages.make_error_message(self.name, self.error)
        yield messages.make_status_message(
            self.name, AirbyteStreamStatus.INCOMPLETE if self.error else AirbyteStreamStatus.COMPLETE
        )


def _stamp_records(rows: Sequence[Row | RowGroup], observed_at: str | None) -> Iterator[Record]:
    for row in rows:
        for record in row.records:
            record["observed_at"] = observed_at
            yield record
