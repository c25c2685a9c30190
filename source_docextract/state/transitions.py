"""What one reading makes of a partition: the table of transitions, and the decision. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from functools import cached_property
from typing import Protocol

from ..core.content import ROW_HASH_LENGTH, hash_row
from ..core.model import PartitionRef, PartitionStatus, Snapshot, get_empty_object
from .entries import Entry, EntryState, SyncPolicy


class Reading(Enum):
    """The kinds of reading of one partition.

    Attributes:
        UNFINISHED: something in it is unfinished.
        OVERDUE: something in it is unfinished. It has been open for longer than `give_up_after_days`, or is stalled and
            its listing is unchanged.
        FINISHED: everything in it is finished.
        FINISHED_IN_PART: finished, and the provider does not know some of the requested files.
        UNKNOWN: the provider does not know it.
        UNKNOWN_WITH_CHANGE: the provider does not know it, although its listing or a document shows a change in it.
    """

    UNFINISHED = "unfinished"
    OVERDUE = "overdue"
    FINISHED = "finished"
    FINISHED_IN_PART = "finished in part"
    UNKNOWN = "unknown"
    UNKNOWN_WITH_CHANGE = "unknown with change"


_NEW, _UNREAD, _OPEN, _STALLED, _SETTLED, _PARTLY, _MISSING = EntryState

_STATES_AFTER_READING = {
    # Before:   UNFINISHED  OVERDUE   FINISHED  FINISHED_IN_PART  UNKNOWN   UNKNOWN_WITH_CHANGE
    _NEW:      (_OPEN,      _OPEN,    _SETTLED, _PARTLY,          _MISSING, _MISSING),
    _UNREAD:   (_OPEN,      _OPEN,    _SETTLED, _PARTLY,          _MISSING, _MISSING),
    _OPEN:     (_OPEN,      _STALLED, _SETTLED, _PARTLY,          _MISSING, _MISSING),
    _STALLED:  (_OPEN,      _STALLED, _SETTLED, _PARTLY,          _MISSING, _MISSING),
    _SETTLED:  (_OPEN,      _OPEN,    _SETTLED, _PARTLY,          _SETTLED, _PARTLY),
    _PARTLY:   (_OPEN,      _OPEN,    _SETTLED, _PARTLY,          _PARTLY,  _PARTLY),
    _MISSING:  (_OPEN,      _OPEN,    _SETTLED, _PARTLY,          _MISSING, _MISSING),
}  # fmt: skip

TRANSITIONS: Mapping[EntryState, Mapping[Reading, EntryState]] = {
    state: dict(zip(Reading, next_states, strict=True)) for state, next_states in _STATES_AFTER_READING.items()
}
"""The state after a reading, by the state before it and the kind of reading (docs/state.md, "States").

Only an open or stalled partition is overdue. For the other states that column is equal to UNFINISHED."""

_MISSING_STATES = {_PARTLY, _MISSING}
_UNKNOWN_READINGS = {Reading.UNKNOWN, Reading.UNKNOWN_WITH_CHANGE}


class HashedRow(Protocol):
    """A row as far as a ledger knows it."""

    @property
    def id(self) -> str:
        """Return its id, which no other row of its stream has."""

    @property
    def row_hash(self) -> str:
        """Return the hash of its id and content."""


@dataclass(frozen=True)
class Decision:
    """The meaning of one reading for one stream.

    Attributes:
        entry: the memory of the partition after the reading, with the row hashes of before.
        keeps_rows: whether the delivered rows stay as they are: a partition that the provider no longer knows has no
            row to emit that would say more than those.
        is_delivered: whether all rows were delivered before the partition was pruned.
    """

    entry: Entry
    keeps_rows: bool = False
    is_delivered: bool = False

    @cached_property
    def delivered_hashes(self) -> frozenset[str]:
        """The row hashes that the last reading left; split when they are needed, as a large batch has many."""
        return frozenset(split_row_hashes(self.entry.row_hashes))

    @property
    def is_stalled(self) -> bool:
        """Whether the reading makes or leaves the partition stalled."""
        return self.entry.state is EntryState.STALLED

    def is_new(self, row: HashedRow) -> bool:
        """Return whether a row of this reading has to be delivered."""
        if self.keeps_rows or self.is_delivered:
            return False
        # A row that an interrupted reading delivered anew may be by now as it was before that: then the last whole
        # reading has its hash, and the warehouse has another content.
        if self.entry.changed_rows and (last_hash := self.entry.changed_rows.get(hash_row(row.id.encode()))):
            return row.row_hash != last_hash
        return row.row_hash not in self.delivered_hashes


def decide(
    entry: Entry,
    snapshot: Snapshot,
    policy: SyncPolicy,
    now: datetime,
    *,
    is_fetched_by_id: bool = False,
    must_repeat: bool = False,
) -> Decision:
    """Return the meaning of a reading.

    Args:
        entry: the memory of the partition before the reading.
        snapshot: the reading.
        policy: the user's settings.
        now: the time of this sync.
        is_fetched_by_id: whether the partition was read without its listing, whose signature is then unknown.
        must_repeat: whether an incomplete reading has to be repeated.
    """
    reading = classify_reading(entry, snapshot, policy, now, is_fetched_by_id=is_fetched_by_id)
    state = TRANSITIONS[entry.state][reading]
    is_unknown = reading in _UNKNOWN_READINGS
    # A batch that was settled and is deleted upstream keeps its rows. So does a missing document that is fetched by id:
    # its row, made from the listing, says more than its id.
    keeps_rows = is_unknown and (entry.is_settled or (entry.state is _MISSING and is_fetched_by_id))
    # A reading by id has no listing: the last signature stays, so that an unchanged listing makes no request. A
    # finished document that is unfinished again loses it: its listing may be unchanged, and has to make it due.
    keeps_signature = is_fetched_by_id and not (entry.is_settled and state is _OPEN)
    lacks_part = state in _MISSING_STATES or snapshot.has_unknown_files
    entry_after = replace(
        entry,
        state=state,
        status_since=_find_since(entry, snapshot, state, now, keeps_rows=keeps_rows),
        signature=entry.signature if keeps_signature else build_listed_signature(snapshot.ref, state),
        needs_reread=must_repeat,
        # The answer to an unknown id says nothing of the content: keep what the documents have reported.
        provider_state=entry.provider_state if is_unknown else snapshot.provider_state,
        member_statuses=entry.member_statuses if is_unknown and lacks_part else get_empty_object(),
        # Counted from when it was found missing, not from its creation: an old batch has all its retries, too.
        missing_since=entry.missing_since or now if lacks_part else None,
        missing_checked_at=now if lacks_part else None,
    )
    return Decision(entry_after, keeps_rows)


def classify_reading(
    entry: Entry, snapshot: Snapshot, policy: SyncPolicy, now: datetime, *, is_fetched_by_id: bool = False
) -> Reading:
    """Return the kind of a reading; the arguments are those of `decide`."""
    is_listing_changed = entry.signature != build_listed_signature(snapshot.ref, entry.state)
    if snapshot.status is PartitionStatus.MISSING:
        # Without a listing, only a document can have shown a change.
        is_changed = entry.needs_reread or (is_listing_changed and not is_fetched_by_id)
        return Reading.UNKNOWN_WITH_CHANGE if is_changed else Reading.UNKNOWN
    if snapshot.is_finished:
        return Reading.FINISHED_IN_PART if snapshot.has_unknown_files else Reading.FINISHED
    # Only a changed listing opens a stalled partition again.
    is_still_stalled = entry.state is _STALLED and not is_listing_changed
    return Reading.OVERDUE if is_still_stalled or policy.is_overdue(entry, now) else Reading.UNFINISHED


def build_listed_signature(ref: PartitionRef, state: EntryState) -> str:
    """Return the part of a listing whose change makes a partition in this state due.

    The provider's status is part of it only for stalled and missing partitions, since those are no longer polled.
    """
    if state in {_STALLED, _MISSING}:
        return f"{ref.signature} {ref.provider_status or ''}".strip()
    return ref.signature


def split_row_hashes(joined_hashes: str) -> Iterator[str]:
    """Yield row hashes that are joined into one text."""
    for start in range(0, len(joined_hashes), ROW_HASH_LENGTH):
        yield joined_hashes[start : start + ROW_HASH_LENGTH]


def _find_since(entry: Entry, snapshot: Snapshot, state: EntryState, now: datetime, *, keeps_rows: bool) -> datetime:
    """Return since when a state applies; never later than now, even after the clock was set back."""
    since: datetime | None = None
    if state is _MISSING:
        since = entry.missing_since
    elif state is _STALLED or (state is _OPEN and entry.state in {_OPEN, _UNREAD}):
        since = entry.status_since
    elif state is not _OPEN:
        is_same = entry.is_settled and (keeps_rows or entry.signature == snapshot.ref.signature)
        # A first sync over years of old batches does not look back at them: they settled when they were created.
        settled_at = snapshot.completed_at or (
            snapshot.ref.approx_created_at if entry.state in {_NEW, _UNREAD} else None
        )
        # A further look does not restart the lookback; otherwise a settled batch would be due for ever.
        since = entry.status_since if is_same else settled_at
    # A wrong time from the provider would keep the batch in the lookback for years.
    return min(since or now, now)
