"""The streams of one sync: what each of them makes of a snapshot, and when their states are worth writing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain

import orjson
from airbyte_cdk.models import AirbyteMessage, AirbyteStreamStatus
from airbyte_cdk.sources.connector_state_manager import ConnectorStateManager

from . import messages
from .errors import ConnectorError
from .ledger import Book
from .model import BatchStatus, Snapshot, rfc3339
from .state import Ledger
from .tables import Record, Row, Rows, Table, View

STATE_EVERY = 240.0
"""Seconds after which states are written whatever they cost; Airbyte wants one at least every 300."""

_FIRST_STATES = 64_000
_STATE_PER_BATCH = 40
"""A sync may spend so many bytes on states before its end: some at first, then some for each batch and stream. Small
states are written after each batch, large ones as seldom as adds up to no more than the last one, which always is."""

LARGEST_STATES = 8_000_000
"""Bytes of all states together from which on a user is warned. Airbyte's platform sends the newest states of all
streams in one request, and its server takes 10 MB (docs/state.md); the rest is for what is put around the states."""


_READY = 1000
"""Records of one stream that are made before the first of a batch is given out."""


@dataclass(slots=True)
class Prepared:
    """What one stream has to say about a snapshot.

    Attributes:
        marks: those of all its rows; None where the snapshot does not hold them.
        observed_at: of its records.
        ready, rest: its messages: those that are made, and then those that are still to be.
    """

    marks: list[str] | None
    observed_at: datetime
    rest: Iterator[AirbyteMessage]
    ready: list[AirbyteMessage] = field(default_factory=list)


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
    product: str
    table: Table
    view: View
    ledger: Ledger
    tell: messages.Tell = messages.records
    rows: int = 0
    trouble: ConnectorError | None = None
    ended: bool = False

    def book(self, product: str) -> Book:
        """What this stream remembers of a product: of its own the batches, of another one the links."""
        return self.ledger.batches if product == self.product else self.ledger.links

    def fail(self, error: ConnectorError, *, for_good: bool = False) -> None:
        if self.trouble is None or for_good:
            self.trouble = error

    def rows_of(self, snapshot: Snapshot, now: datetime) -> list[Row | Rows] | None:
        """All rows of a snapshot; None where it does not tell them, or is nothing this stream wants."""
        book = self.ledger.batches
        if not book.wants(snapshot.ref) or not self.table.tells(snapshot):
            return None
        stalling = book.is_stalling(snapshot, now)
        shown = replace(snapshot, status=BatchStatus.STALLED) if stalling else snapshot
        return list(self.table.rows(shown, self.view))

    def prepare(self, snapshot: Snapshot, now: datetime) -> Prepared:
        """Make the messages of those rows of a snapshot that are new or changed.

        The first thousand are made here, and serialised where they are to be printed: whatever goes wrong with one of
        them does so before anything is delivered or written down. To make all of them first would take memory for each.
        """
        rows = self.rows_of(snapshot, now)
        marks = None if rows is None else [row.mark for row in rows]
        known = self.ledger.batches.delivered(snapshot, marks)
        observed_at = max(now, self.ledger.observed_at or now)
        news = _records([row for row in rows or () if row.mark not in known], rfc3339(observed_at))
        prepared = Prepared(marks, observed_at, self.tell(self.name, news, int(now.timestamp() * 1000)))
        count = 0
        for message in prepared.rest:
            prepared.ready.append(message)
            count += messages.records_in(message)
            if count >= _READY:
                break
        return prepared

    def deliver(self, snapshot: Snapshot, prepared: Prepared | None, now: datetime) -> Iterator[AirbyteMessage]:
        """Give out what is prepared, and then write the batch down; that alone, where None is given.

        No state is written in between. So what goes wrong on the way, at whichever row, leaves the batch unread, and
        what is out by then comes again.
        """
        book = self.ledger.batches
        if not book.wants(snapshot.ref):
            return
        if prepared and prepared.ready:
            self.ledger.observed_at = prepared.observed_at
        for message in chain(prepared.ready, prepared.rest) if prepared else ():
            if not self.rows:
                yield messages.status(self.name, AirbyteStreamStatus.RUNNING)
            self.rows += messages.records_in(message)
            yield message
        book.settle(snapshot, prepared.marks if prepared else None, now)

    def end(self) -> Iterator[AirbyteMessage]:
        """Its one terminal status, with the reason where it is incomplete."""
        if self.ended:
            return
        self.ended = True
        if self.trouble:
            yield messages.trouble(self.name, self.trouble)
        yield messages.status(
            self.name, AirbyteStreamStatus.INCOMPLETE if self.trouble else AirbyteStreamStatus.COMPLETE
        )


def _records(rows: Sequence[Row | Rows], observed_at: str | None) -> Iterator[Record]:
    for row in rows:
        for record in row.records:
            record["observed_at"] = observed_at
            yield record


class StateSize:
    """How large the newest states of all streams of a sync are together; a warning when that is too much."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._bytes: dict[str, int] = {}
        self._warned = False

    def note(self, stream: str, written: int) -> None:
        self._bytes[stream] = written
        total = sum(self._bytes.values())
        if total > LARGEST_STATES and not self._warned:
            self._warned = True
            largest = max(self._bytes, key=self._bytes.__getitem__)
            self._logger.warning(
                "The states of all streams together have %.1f MB, most of it %s, and Airbyte's server takes 10 MB. "
                "Divide the batches among several sources (docs/scaling.md), or select fewer streams.",
                total / 1e6,
                largest,
            )


class Checkpoints:
    """Writes the states of streams that are fed together: seldom enough to stay small, often enough to lose little.

    Args:
        size: is given the size of each state that is written.
        now: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        streams: Sequence[Stream],
        manager: ConnectorStateManager,
        size: StateSize,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._streams = streams
        self._manager = manager
        self._size = size
        self._last = {stream.name: b"" for stream in streams}
        self._rate = {stream.name: float(_STATE_PER_BATCH) for stream in streams}
        # What was known before is worth writing again early: else a sync that is always broken off would never get on.
        self._credit = _FIRST_STATES + sum(map(self._estimate, streams))
        self._now = now
        self._written = now()

    def after(self, batches: int) -> Iterator[AirbyteMessage]:
        """To be called when all rows of some batches are out. Writes the states that have changed."""
        self._credit += _STATE_PER_BATCH * len(self._streams) * batches
        if self._credit >= sum(map(self._estimate, self._streams)):
            yield from self._write(changed_only=True)

    def while_waiting(self) -> Iterator[AirbyteMessage]:
        if self._now() - self._written >= STATE_EVERY:
            yield from self._write()

    def at_end(self) -> Iterator[AirbyteMessage]:
        yield from self._write()

    def _write(self, changed_only: bool = False) -> Iterator[AirbyteMessage]:
        self._written = self._now()
        for stream in self._streams:
            document = stream.ledger.as_json()
            written = orjson.dumps(document)
            if changed_only and written == self._last[stream.name]:
                continue
            self._last[stream.name] = written
            self._rate[stream.name] = len(written) / (len(stream.ledger) or len(written) / _STATE_PER_BATCH)
            self._credit -= len(written)
            self._size.note(stream.name, len(written))
            yield messages.state(self._manager, stream.name, document)

    def _estimate(self, stream: Stream) -> float:
        """Bytes its state would have now: as many for each thing that is written down as in the last one."""
        return self._rate[stream.name] * len(stream.ledger)
