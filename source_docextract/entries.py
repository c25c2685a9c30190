"""What a ledger writes down, and what it is told: the user's rules, single batches, and the lists of one sync. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from . import looks
from .model import BatchKey, BatchRef, BatchStatus, FileStatus

FOLD_AFTER = timedelta(days=2)
"""A day is folded no earlier than this after its end, however short the lookback: fresh days still get late batches."""


LOOK_ALWAYS = timedelta(days=1)
"""What the provider does not know is asked for at every sync for so long, then each time the age has doubled."""


class Watch(Enum):
    """How one comes to know that a batch of some product has changed.

    ASK   by asking for it: at every sync while it is open, and for as long as the lookback lasts.
    LIST  by its list, which is read again for the lookback and shows each change: only what is open and no longer
          listed is asked for.
    LINK  by those that link to it: it is asked for when one of them says that it has changed. What is also named by
          hand is asked for as with ASK.
    """

    ASK = "ask"
    LIST = "list"
    LINK = "link"


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

    since: datetime
    status: BatchStatus = BatchStatus.OPEN
    signature: str = ""
    rows: str = ""
    linked: datetime | None = None
    read: bool = True
    again: bool = False
    memo: str = ""
    told: dict[str, FileStatus] = field(default_factory=dict)
    kept: bool = False
    missing: datetime | None = None
    asked: datetime | None = None

    @property
    def is_unread(self) -> bool:
        return self.again or not self.read


@dataclass(frozen=True, slots=True)
class Rules:
    """The user's say in when something is due.

    `only`, where it is given, says which batches may be of any use; the others are none of a stream's business.
    """

    lookback: timedelta = timedelta(days=3)
    give_up_after: timedelta = timedelta(days=30)
    start_date: datetime | None = None
    only: Callable[[BatchRef], bool] | None = None

    @property
    def memory(self) -> timedelta:
        """How long settled batches are remembered singly."""
        return max(self.lookback, FOLD_AFTER)

    def concern(self, ref: BatchRef) -> bool:
        return self.only is None or self.only(ref)

    def has_in_range(self, ref: BatchRef) -> bool:
        if not self.concern(ref):
            return False
        return self.start_date is None or ref.named or ref.created_at is None or ref.created_at >= self.start_date

    def is_overdue(self, entry: Entry, now: datetime) -> bool:
        """Whether it has been unfinished for too long."""
        return entry.status is BatchStatus.OPEN and now - entry.since > self.give_up_after

    def is_looked_back_at(self, entry: Entry, now: datetime) -> bool:
        return entry.status is BatchStatus.COMPLETE and now - entry.since < self.lookback

    def is_closed(self, entry: Entry, now: datetime) -> bool:
        """Whether nothing can be expected of it any more."""
        if self.is_sought(entry, now):
            return False
        if entry.status is BatchStatus.COMPLETE:
            return now - entry.since >= self.memory
        return entry.status in {BatchStatus.STALLED, BatchStatus.MISSING}

    def is_sought(self, entry: Entry, now: datetime) -> bool:
        """Return whether the provider does not know it (or some of it) for less time than it takes to give it up."""
        return entry.missing is not None and now - entry.missing <= self.give_up_after

    def is_sought_now(self, entry: Entry, now: datetime) -> bool:
        """Return whether it is time to ask again for what the provider did not know."""
        if entry.missing is None or not self.is_sought(entry, now):
            return False
        return looks.is_due(entry.missing, entry.asked or entry.missing, now, LOOK_ALWAYS)

    def is_linked(self, entry: Entry, now: datetime) -> bool:
        """Whether it was pointed at so lately that whoever did may be read again, and point at it again."""
        return entry.linked is not None and now - entry.linked < self.memory


@dataclass(slots=True)
class Listing:
    """What settings and lists name at this sync.

    Attributes:
        refs: all batches, merged by key.
        listed: templates whose whole list has been read.
        unknown: templates whose list could not be read: what is remembered of them stays as it is.
    """

    refs: dict[BatchKey, BatchRef] = field(default_factory=dict)
    listed: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)

    def add(self, refs: Iterable[BatchRef]) -> None:
        for ref in refs:
            known = self.refs.get(ref.key)
            self.refs[ref.key] = known.merged(ref) if known else ref
