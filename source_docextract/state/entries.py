"""What a ledger writes down, and what it is told: the user's rules, single batches, and the lists of one sync. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ..core.model import FileStatus, PartitionKey, PartitionRef, PartitionStatus
from . import recheck

COMPACT_AFTER = timedelta(days=2)
"""A day is folded no earlier than this after its end, however short the lookback: fresh days still get late batches."""

MISSING_POLL_PERIOD = timedelta(days=1)
"""What the provider does not know is asked for at every sync for so long, then each time the age has doubled."""


@dataclass(slots=True)
class Entry:
    """One batch that is remembered singly.

    Attributes:
        since: when first seen if open or stalled, when settled if complete, when first found missing if missing.
        status: OPEN, STALLED, MISSING, or COMPLETE for whatever is settled.
        signature: what its list told at the last reading (`BatchRef.signature`).
        rows: the marks of its rows as last delivered, joined.
        linked: when a link to it was last seen. A linked batch is in no list and no setting, so this entry names it.
        read: it has been read at least once.
        again: it has been read, and has to be once more: somebody said that it has changed, or it could not be read.
        memo: what its provider's reader wrote down, to be given back to it.
        told: what its documents have told since then, each by its id.
        kept: it may belong to a list, or to a range of time, that the settings no longer ask for: it stays, so that
            it is not delivered a second time when the settings ask for that again.
        missing: since when the provider does not know it, or some of it; None where it knows all. Beside COMPLETE: the
            rows stay as they were, though somebody says that there is more to it.
        asked: when it was last asked for since then.
    """

    status_since: datetime
    status: PartitionStatus = PartitionStatus.OPEN
    signature: str = ""
    row_hashes: str = ""
    last_referenced_at: datetime | None = None
    was_read: bool = True
    needs_reread: bool = False
    provider_state: str = ""
    member_statuses: dict[str, FileStatus] = field(default_factory=dict)
    is_pinned: bool = False
    missing_since: datetime | None = None
    missing_checked_at: datetime | None = None

    @property
    def needs_reading(self) -> bool:
        return self.needs_reread or not self.was_read


@dataclass(frozen=True, slots=True)
class SyncPolicy:
    """The user's say in when something is due.

    `only`, where it is given, says which batches may be of any use; the others are none of a stream's business.
    """

    lookback: timedelta = timedelta(days=3)
    give_up_after: timedelta = timedelta(days=30)
    start_date: datetime | None = None
    partition_filter: Callable[[PartitionRef], bool] | None = None

    @property
    def retention(self) -> timedelta:
        """How long settled batches are remembered singly."""
        return max(self.lookback, COMPACT_AFTER)

    def is_relevant(self, ref: PartitionRef) -> bool:
        return self.partition_filter is None or self.partition_filter(ref)

    def is_in_range(self, ref: PartitionRef) -> bool:
        if not self.is_relevant(ref):
            return False
        return self.start_date is None or ref.is_explicit or ref.created_at is None or ref.created_at >= self.start_date

    def is_overdue(self, entry: Entry, now: datetime) -> bool:
        """Whether it has been unfinished for too long."""
        return entry.status is PartitionStatus.OPEN and now - entry.status_since > self.give_up_after

    def is_in_lookback(self, entry: Entry, now: datetime) -> bool:
        return entry.status is PartitionStatus.COMPLETE and now - entry.status_since < self.lookback

    def is_removable(self, entry: Entry, now: datetime) -> bool:
        """Whether nothing can be expected of it any more."""
        if self.has_missing_retries(entry, now):
            return False
        if entry.status is PartitionStatus.COMPLETE:
            return now - entry.status_since >= self.retention
        return entry.status in {PartitionStatus.STALLED, PartitionStatus.MISSING}

    def has_missing_retries(self, entry: Entry, now: datetime) -> bool:
        """Return whether the provider does not know it (or some of it) for less time than it takes to give it up."""
        return entry.missing_since is not None and now - entry.missing_since <= self.give_up_after

    def is_missing_retry_due(self, entry: Entry, now: datetime) -> bool:
        """Return whether it is time to ask again for what the provider did not know."""
        if entry.missing_since is None or not self.has_missing_retries(entry, now):
            return False
        return recheck.is_check_due(
            entry.missing_since, entry.missing_checked_at or entry.missing_since, now, MISSING_POLL_PERIOD
        )

    def is_recently_referenced(self, entry: Entry, now: datetime) -> bool:
        """Whether it was pointed at so lately that whoever did may be read again, and point at it again."""
        return entry.last_referenced_at is not None and now - entry.last_referenced_at < self.retention


@dataclass(slots=True)
class Listing:
    """What settings and lists name at this sync.

    Attributes:
        refs: all batches, merged by key.
        listed: templates whose whole list has been read.
        unknown: templates whose list could not be read: what is remembered of them stays as it is.
    """

    refs: dict[PartitionKey, PartitionRef] = field(default_factory=dict)
    complete_templates: set[str] = field(default_factory=set)
    failed_templates: set[str] = field(default_factory=set)

    def add(self, refs: Iterable[PartitionRef]) -> None:
        for ref in refs:
            known_ref = self.refs.get(ref.key)
            self.refs[ref.key] = known_ref.merge(ref) if known_ref else ref
