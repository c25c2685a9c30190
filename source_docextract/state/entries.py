"""The parts of a ledger: entries and their states, the user's policy, and listings. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum

from ..core.model import FileStatus, PartitionKey, PartitionRef, get_empty_object
from . import recheck

COMPACT_AFTER = timedelta(days=2)
"""The time after the end of a day before which it is not compacted, even with a shorter lookback.

Providers still add late batches to a day that has just ended.
"""

MISSING_POLL_PERIOD = timedelta(days=1)
"""The age up to which every sync asks for a missing partition; then it does each time the age has doubled."""


class EntryState(Enum):
    """The state of one partition in a ledger.

    `transitions.TRANSITIONS` has the state after each reading. Besides its state an entry can be flagged
    (`Entry.needs_reread`): then it is due in any state, and the next reading clears the flag.

    Attributes:
        NEW: named or listed, and without an entry. Due, unless a compacted day or a read range covers it.
        UNREAD: remembered because something refers to it, and not read yet. Due.
        OPEN: something in it is unfinished. Due at every sync, or when its listing changes if a listing by time shows
            each change.
        STALLED: still unfinished `give_up_after_days` after it was first seen. Due when its listing changes, including
            its status there.
        SETTLED: finished. Due each time its age has doubled, until `lookback_days` have passed (or at every sync until
            then: `lookback_checks`), and again when its listing changes.
        PARTLY_MISSING: settled, and the provider does not know a part of it: requested files, or what its listing or a
            document shows in it. Due like a settled and like a missing one.
        MISSING: the provider does not know it, which only an answer that is documented for unknown ids can say. Due at
            every sync for a day, then each time its age has doubled, until `give_up_after_days`, and when its listing
            changes.
    """

    NEW = "new"
    UNREAD = "unread"
    OPEN = "open"
    STALLED = "stalled"
    SETTLED = "settled"
    PARTLY_MISSING = "partly missing"
    MISSING = "missing"


@dataclass(slots=True)
class Entry:
    """A partition that is remembered singly.

    Attributes:
        status_since: when it was first seen if it is unread, open or stalled, when it settled if it is settled, or when
            it was first found missing.
        state: its state. NEW is that of `Ledger.get` for a partition without an entry, and never stored.
        signature: the part of its listing whose change makes it due, as of the last reading (`PartitionRef.signature`).
        row_hashes: the hashes of its rows as last delivered, joined into one text.
        changed_rows: the hashes of the rows that a reading delivered anew before it was interrupted, by the hash of
            their ids. `row_hashes` still has a hash of each of them, from the reading before.
        last_referenced_at: when a reference to it was last seen. Neither a listing nor a setting may name a referenced
            partition, so this entry does.
        needs_reread: whether it has been read and has to be read once more, because it has changed or could not be
            read as a whole.
        provider_state: a short text of the provider, which gets it back at the next reading.
        member_statuses: the statuses that its documents have reported since the last reading, by document id.
        is_pinned: whether it may belong to a scope, or to a range of time, that the settings no longer include. A
            pinned entry is not pruned, so its rows are not delivered again when the settings include them once more.
        missing_since: since when the provider does not know it, or a part of it; None if it knows all. An open or a
            stalled partition can have it too, when some of its requested files are unknown.
        missing_checked_at: when the provider was last asked for it since then.
    """

    status_since: datetime
    state: EntryState = EntryState.OPEN
    signature: str = ""
    row_hashes: str = ""
    changed_rows: dict[str, str] = field(default_factory=get_empty_object)
    last_referenced_at: datetime | None = None
    needs_reread: bool = False
    provider_state: str = ""
    member_statuses: Mapping[str, FileStatus] = field(default_factory=get_empty_object)
    is_pinned: bool = False
    missing_since: datetime | None = None
    missing_checked_at: datetime | None = None

    @property
    def is_settled(self) -> bool:
        """Return whether everything in it is finished, as far as the provider knows it."""
        return self.state in {EntryState.SETTLED, EntryState.PARTLY_MISSING}

    @property
    def is_unfinished(self) -> bool:
        """Return whether something in it is unfinished and still polled, or whether it was never read."""
        return self.state in {EntryState.NEW, EntryState.UNREAD, EntryState.OPEN}

    @property
    def needs_reading(self) -> bool:
        """Return whether it has to be read whatever its status is."""
        return self.needs_reread or self.state is EntryState.UNREAD


@dataclass(frozen=True, slots=True)
class SyncPolicy:
    """The user's settings that decide when a partition is due.

    Attributes:
        lookback: for how long after it settled a partition is read again (`lookback_days`).
        give_up_after: after what time an unfinished partition is stalled (`give_up_after_days`).
        start_date: the creation time before which listed partitions are ignored; None for no limit.
        partition_filter: returns whether a partition can hold rows of this stream; None if all can.
        looks_every_sync: whether each sync within the lookback looks at a settled partition, instead of at growing ages
            (`lookback_checks`).
    """

    lookback: timedelta = timedelta(days=3)
    give_up_after: timedelta = timedelta(days=30)
    start_date: datetime | None = None
    partition_filter: Callable[[PartitionRef], bool] | None = None
    looks_every_sync: bool = False

    def with_lookback(self, lookback: timedelta | None) -> SyncPolicy:
        """Return this policy with the lookback of a product; None leaves that of the settings."""
        return self if lookback is None else replace(self, lookback=lookback)

    @property
    def retention(self) -> timedelta:
        """Return for how long settled partitions are remembered singly."""
        return max(self.lookback, COMPACT_AFTER)

    def is_relevant(self, ref: PartitionRef) -> bool:
        """Return whether a partition can hold rows of this stream."""
        return self.partition_filter is None or self.partition_filter(ref)

    def is_in_range(self, ref: PartitionRef) -> bool:
        """Return whether the settings include a partition.

        `start_date` does not apply to a partition that is named explicitly or whose creation time is unknown.
        """
        if not self.is_relevant(ref):
            return False
        return self.start_date is None or ref.is_explicit or ref.created_at is None or ref.created_at >= self.start_date

    def is_overdue(self, entry: Entry, now: datetime) -> bool:
        """Return whether a partition has been unfinished for longer than `give_up_after`."""
        return entry.state is EntryState.OPEN and now - entry.status_since > self.give_up_after

    def is_look_due(self, entry: Entry, last_complete_sync: datetime | None, now: datetime) -> bool:
        """Return whether a settled partition has to be looked at again.

        Without the time of the last complete sync, as in an older state, or with one in the future, since the clock
        was set back, everything in the lookback is due: a look too many costs a request, one too few a document.
        """
        if not entry.is_settled:
            return False
        if self.looks_every_sync or last_complete_sync is None or last_complete_sync > now:
            return now - entry.status_since < self.lookback
        return recheck.is_look_due(entry.status_since, last_complete_sync, now, self.lookback)

    def is_removable(self, entry: Entry, now: datetime) -> bool:
        """Return whether no change of a partition is expected any more."""
        if self.has_missing_retries(entry, now):
            return False
        if entry.is_settled:
            return now - entry.status_since >= self.retention
        return entry.state in {EntryState.STALLED, EntryState.MISSING}

    def has_missing_retries(self, entry: Entry, now: datetime) -> bool:
        """Return whether a partition is missing, or lacks a part, and is not given up."""
        return entry.missing_since is not None and now - entry.missing_since <= self.give_up_after

    def is_missing_retry_due(self, entry: Entry, now: datetime) -> bool:
        """Return whether it is time to ask the provider again for a missing partition."""
        if entry.missing_since is None or not self.has_missing_retries(entry, now):
            return False
        return recheck.is_check_due(
            entry.missing_since, entry.missing_checked_at or entry.missing_since, now, MISSING_POLL_PERIOD
        )

    def is_recently_referenced(self, entry: Entry, now: datetime, *, is_repeatable: bool = False) -> bool:
        """Return whether the referring partition may still repeat its reference.

        Args:
            entry: the referenced partition.
            now: the time of this sync.
            is_repeatable: whether some of the referring partitions could not be read, so that they may repeat a
                reference once they can. They are waited for as long as for an unfinished partition.
        """
        duration = max(self.retention, self.give_up_after) if is_repeatable else self.retention
        return entry.last_referenced_at is not None and now - entry.last_referenced_at < duration


@dataclass(slots=True)
class Listing:
    """The partitions that settings and listings name at this sync.

    Attributes:
        refs: all partitions, with several mentions of one merged.
        complete_templates: the templates whose whole listing has been read.
        failed_templates: the templates whose listing could not be read. Their entries stay as they are.
    """

    refs: dict[PartitionKey, PartitionRef] = field(default_factory=dict)
    complete_templates: set[str] = field(default_factory=set)
    failed_templates: set[str] = field(default_factory=set)

    def add(self, refs: Iterable[PartitionRef]) -> None:
        """Add partitions, and merge those that are named already."""
        for ref in refs:
            known_ref = self.refs.get(ref.key)
            self.refs[ref.key] = known_ref.merge(ref) if known_ref else ref


def age_sort_key(ref: PartitionRef) -> tuple[bool, datetime | None, PartitionKey]:
    """Return a key that sorts oldest first, with unknown creation times last.

    Oldest first, days are compacted early, so that a long history keeps the state small during its first sync.
    """
    if ref.approx_created_at is None:
        return True, None, ref.key
    return False, ref.approx_created_at, ref.key
