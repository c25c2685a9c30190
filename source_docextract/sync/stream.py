"""The streams of one sync: the rows that each of them makes of a snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain

from airbyte_cdk.models import AirbyteMessage, AirbyteStreamStatus

from ..core.errors import ConnectorError
from ..core.model import PartitionStatus, Snapshot
from ..core.timestamps import format_rfc3339
from ..state.ledger import Ledger
from ..state.serialization import StreamState
from ..tables.rows import Record, RenderOptions, Row, RowGroup, Table
from . import messages

_RECORDS_MADE_FIRST = 1000
"""Records of one stream that are made before the first of a batch is given out."""


@dataclass(slots=True)
class PreparedMessages:
    """What one stream has to say about a snapshot.

    Attributes:
        marks: those of all its rows; None where the snapshot does not hold them.
        observed_at: of its records.
        ready, rest: its messages: those that are made, and then those that are still to be.
    """

    row_hashes: list[str] | None
    observed_at: datetime
    later_messages: Iterator[AirbyteMessage]
    first_messages: list[AirbyteMessage] = field(default_factory=list)


@dataclass(slots=True)
class Stream:
    """One configured stream.

    Attributes:
        product: what feeds it.
        view: how its rows are to look.
        tell: makes messages of its records.
        rows: records emitted so far.
        trouble: why it will end incomplete: the first of all reasons, or that its provider was given up.
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

    def get_ledger(self, product_name: str) -> Ledger:
        """What this stream remembers of a product: of its own the batches, of another one the links."""
        return self.state.ledger if product_name == self.product_name else self.state.reference_ledger

    def fail(self, error: ConnectorError, *, is_final: bool = False) -> None:
        if self.error is None or is_final:
            self.error = error

    def build_rows(self, snapshot: Snapshot, now: datetime) -> list[Row | RowGroup] | None:
        """All rows of a snapshot; None where it does not tell them, or is nothing this stream wants."""
        ledger = self.state.ledger
        if not ledger.tracks(snapshot.ref) or not self.table.is_reported(snapshot):
            return None
        is_stalling = ledger.is_stalling(snapshot, now)
        effective_snapshot = replace(snapshot, status=PartitionStatus.STALLED) if is_stalling else snapshot
        return list(self.table.build_rows(effective_snapshot, self.render_options))

    def prepare(self, snapshot: Snapshot, now: datetime) -> PreparedMessages:
        """Make the messages of those rows of a snapshot that are new or changed.

        The first thousand are made here, and serialised where they are to be printed: whatever goes wrong with one of
        them does so before anything is delivered or written down. To make all of them first would take memory for each.
        """
        rows = self.build_rows(snapshot, now)
        row_hashes = None if rows is None else [row.row_hash for row in rows]
        delivered_hashes = self.state.ledger.get_delivered_hashes(snapshot, row_hashes)
        observed_at = max(now, self.state.observed_at or now)
        new_records = _stamp_records(
            [row for row in rows or () if row.row_hash not in delivered_hashes], format_rfc3339(observed_at)
        )
        prepared = PreparedMessages(
            row_hashes, observed_at, self.make_messages(self.name, new_records, int(now.timestamp() * 1000))
        )
        count = 0
        for message in prepared.later_messages:
            prepared.first_messages.append(message)
            count += messages.count_records(message)
            if count >= _RECORDS_MADE_FIRST:
                break
        return prepared

    def emit(self, snapshot: Snapshot, prepared: PreparedMessages | None, now: datetime) -> Iterator[AirbyteMessage]:
        """Give out what is prepared, and then write the batch down; that alone, where None is given.

        No state is written in between. So what goes wrong on the way, at whichever row, leaves the batch unread, and
        what is out by then comes again.
        """
        ledger = self.state.ledger
        if not ledger.tracks(snapshot.ref):
            return
        if prepared and prepared.first_messages:
            self.state.observed_at = prepared.observed_at
        for message in chain(prepared.first_messages, prepared.later_messages) if prepared else ():
            if not self.record_count:
                yield messages.make_status_message(self.name, AirbyteStreamStatus.RUNNING)
            self.record_count += messages.count_records(message)
            yield message
        ledger.record(snapshot, prepared.row_hashes if prepared else None, now)

    def emit_final_status(self) -> Iterator[AirbyteMessage]:
        """Its one terminal status, with the reason where it is incomplete."""
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
