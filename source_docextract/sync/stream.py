"""The selected streams of one sync, and the messages they make of a snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain

from airbyte_cdk.models import AirbyteMessage, AirbyteStreamStatus

from ..core.errors import ConnectorError
from ..core.model import PartitionKey, PartitionStatus, Snapshot
from ..core.timestamps import format_rfc3339
from ..state.passes import LedgerPass
from ..state.serialization import StreamState
from ..state.transitions import Decision
from ..tables.rows import Record, RenderOptions, Row, RowGroup, Table
from . import messages

_RECORDS_MADE_FIRST = 1000
"""Records of a snapshot that a stream makes before it emits the first one."""


@dataclass(slots=True)
class OpenReading:
    """The rows of a partition that is being read page by page.

    Attributes:
        decision: the meaning of its first page, which has the rows that were delivered before.
        joined_hashes: the hashes of all rows of this reading so far, joined for each page.
    """

    decision: Decision
    joined_hashes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class PreparedMessages:
    """The messages that one stream has for a snapshot.

    Attributes:
        decision: the meaning of the snapshot for the stream.
        row_hashes: the hashes of all rows of the snapshot, also of unchanged ones; None where it does not hold any.
        new_rows: the rows that are emitted.
        observed_at: the value of that column in the new records.
        later_messages: makes the remaining messages; to be read after `first_messages`.
        first_messages: the messages that are made already.
    """

    decision: Decision
    row_hashes: list[str] | None
    new_rows: list[Row | RowGroup]
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

    def get_pass(self, product_name: str) -> LedgerPass:
        """Return the pass over this stream's ledger of its own product, or of the referring one."""
        return self.state.ledger_pass if product_name == self.product_name else self.state.reference_pass

    def fail(self, error: ConnectorError, *, is_final: bool = False) -> None:
        """Mark the stream as incomplete.

        The first reason stays, unless `is_final` replaces it.
        """
        if self.error is None or is_final:
            self.error = error

    def prepare(self, snapshot: Snapshot, now: datetime) -> PreparedMessages:
        """Make the messages of the new and changed rows of a snapshot.

        The first thousand records are made here, and serialized if they are to be printed. So a fault in one of them is
        raised before anything is emitted or recorded. To make all of them here would take memory for each record.
        """
        reading = self.open_readings.get(snapshot.ref.key)
        is_further_part = reading is not None and snapshot.is_partial
        decision = reading.decision if reading and is_further_part else self.state.ledger_pass.decide(snapshot, now)
        if snapshot.is_partial and not reading:
            reading = self.open_readings[snapshot.ref.key] = OpenReading(decision)
        rows = self._build_rows(snapshot, decision)
        # `observed_at` never goes back, even if the clock does: warehouses use it as the cursor.
        observed_at = max(now, self.state.observed_at or now)
        # A row is emitted once, and again only if its content changed: unchanged rows have a hash that was emitted. The
        # first page of a reading decides for all: to split the hashes of a large batch again takes memory for each row.
        is_new = reading.decision.is_new if reading else decision.is_new
        new_rows = [row for row in rows or () if is_new(row)]
        new_records = _stamp_records(new_rows, format_rfc3339(observed_at))
        prepared = PreparedMessages(
            decision,
            None if rows is None else [row.row_hash for row in rows],
            new_rows,
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

    def _build_rows(self, snapshot: Snapshot, decision: Decision) -> list[Row | RowGroup] | None:
        """Return all rows of a snapshot; None if the provider does not report them yet ("waiting")."""
        if not self.table.is_reported(snapshot):
            return None
        # The provider calls the batch unfinished; the row says that the connector has given it up.
        effective_snapshot = replace(snapshot, status=PartitionStatus.STALLED) if decision.is_stalled else snapshot
        return list(self.table.build_rows(effective_snapshot, self.render_options))

    def emit(self, snapshot: Snapshot, prepared: PreparedMessages, now: datetime) -> Iterator[AirbyteMessage]:
        """Emit the prepared messages, then record the snapshot in the ledger.

        No state is emitted in between. So after a fault at any row the batch counts as unread, and the next sync emits
        all its rows again.

        Args:
            snapshot: the reading that was prepared.
            prepared: the messages to emit.
            now: the time of the reading.
        """
        # Only where rows follow: a sync without changes leaves the state as it was.
        if prepared.first_messages:
            self.state.observed_at = prepared.observed_at
        for message in chain(prepared.first_messages, prepared.later_messages):
            # Airbyte's order of statuses: RUNNING comes right before a stream's first record.
            if not self.record_count:
                yield messages.make_status_message(self.name, AirbyteStreamStatus.RUNNING)
            self.record_count += messages.count_records(message)
            yield message
        self._record(snapshot, prepared, now)

    def _record(self, snapshot: Snapshot, prepared: PreparedMessages, now: datetime) -> None:
        ref, row_hashes = snapshot.ref, prepared.row_hashes
        if not snapshot.is_partial:
            reading = self.open_readings.pop(ref.key, None)
            if reading and row_hashes is not None:
                row_hashes = [*reading.joined_hashes, *row_hashes]
            self.state.ledger_pass.record(ref, prepared.decision, row_hashes, now)
        elif row_hashes is not None:
            reading = self.open_readings[ref.key]
            reading.joined_hashes.append("".join(row_hashes))
            is_first_reading = not reading.decision.entry.row_hashes
            self.state.ledger_pass.record_part(ref, prepared.new_rows, now, is_first_reading=is_first_reading)

    def drop_reading(self, key: PartitionKey) -> None:
        """Forget the pages of a partition whose reading has failed; the next reading begins with the first one."""
        self.open_readings.pop(key, None)

    def hold_back(self, snapshot: Snapshot, prepared: PreparedMessages, now: datetime) -> None:
        """Record the snapshot without its rows, and have it read again.

        This sync reads it again at its end, so that a row is emitted once; the next sync does, if this one is killed
        before.
        """
        self.state.ledger_pass.record(snapshot.ref, prepared.decision, None, now)
        self.state.ledger_pass.flag_for_reread(snapshot.ref, now)

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
