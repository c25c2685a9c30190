"""What has been delivered to one stream, and what is due.

The rules, in one place
    open      seen, and something in it is unfinished: due at every sync.
    settled   finished. From when: the provider's completion time if told; else, if it was already finished when first
              seen, its creation time; else when it was first seen finished. Never later than now. Due while that is
              less than `lookback_days` ago, and again when its list tells something new. Else never asked for again.
    stalled   still unfinished `give_up_after_days` after it was first seen: not due until its list tells something new,
              its status included.
    missing   the provider does not know it: due at every sync for a day after that was found, then each time its age
              since then has doubled, until `give_up_after_days`; and when its list shows something new. Only an answer
              that is documented for unknown ids says so. What is settled keeps its rows, and is missing only where
              its list or a document says that there is more to it.
    unread    named or listed, but neither of the above nor in a folded day: due.
    folded    settled longer ago than the lookback, of a known creation time: only its day is remembered, as the number
              of its batches and the sum of their marks. Where a later list of that day does not add up, the one batch
              that accounts for it, else all of that day that is not remembered singly, is unread again: a batch that is
              listed late, or re-opened, is seen however old.

A list by time is read in windows, and what is settled in a window is forgotten once the lookback is past it. The
ranges of creation time that have been read say that it has been delivered: a row of theirs that is not remembered
singly is not unread, under whichever of its scopes the list is read.

A row is delivered when its mark (a short digest of its id and content) is not among those its batch left at the last
reading. Pure: no clock, no I/O, no threads; whoever asks says what time it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta, timezone

from .days import Day, DayKey, by_day
from .entries import FOLD_AFTER, Entry, Listing, Rules, Watch
from .model import BatchKey, BatchRef, BatchStatus, FileStatus, Snapshot
from .ranges import BEGINNING, Range, united, without

MARK = 6
"""Characters of a row's mark: 36 bits, compared inside one batch only."""

_INSTANT = timedelta(microseconds=1)


class Book:
    """The batches of one product, as one stream has read them.

    Attributes:
        read: of a list by time, the ranges of creation time that have been read, by scope; also of scopes that the
            settings no longer ask for.
        forgotten: by scope: what was created before, in these ranges, is no longer remembered singly if it is settled.
        asleep: scopes that are no longer asked for, and whose batches are kept (`Entry.kept`).
    """

    def __init__(self, rules: Rules, watch: Watch = Watch.ASK) -> None:
        self.entries: dict[BatchKey, Entry] = {}
        self.days: dict[str, dict[str, Day]] = {}
        # What the last try could not read: it comes last. The list of a template stands here without a batch id.
        self.failed: set[BatchKey] = set()
        self.read: dict[str, list[Range]] = {}
        self.forgotten: dict[str, datetime] = {}
        self.asleep: set[str] = set()
        self._rules = rules
        self._watch = watch
        self._has_gap = False
        self._doubted: datetime | None = None
        self._listed: set[BatchKey] = set()
        self._refs: dict[BatchKey, BatchRef] = {}
        self._by_day: dict[DayKey, list[BatchRef]] = {}
        self._unread: dict[BatchKey, DayKey | None] = {}
        self._unread_on: Counter[DayKey | None] = Counter()
        self._keep: set[str] = set()

    def __len__(self) -> int:
        """How many things are written down: what its JSON form grows with."""
        return len(self.entries) + sum(map(len, self.days.values())) + len(self.failed)

    @property
    def open(self) -> list[BatchKey]:
        return [key for key, entry in self.entries.items() if entry.status is BatchStatus.OPEN]

    @property
    def missing(self) -> list[BatchKey]:
        return [key for key, entry in self.entries.items() if entry.status is BatchStatus.MISSING]

    @property
    def settled(self) -> int:
        folded = sum(day.count for days in self.days.values() for day in days.values())
        return len(self.entries) - len(self.open) - len(self.missing) + folded

    def plan(self, listing: Listing, now: datetime) -> tuple[list[BatchRef], list[BatchRef]]:
        """What is due, oldest first, and which open batches have vanished from their list."""
        self._keep = listing.unknown
        self.failed -= {BatchKey(template_id, "") for template_id in listing.listed}
        # What a list by time does not show is asked for after it, linked or not.
        links = {} if self._watch is Watch.LIST else self.entries
        linked = {key: _linked(key) for key, entry in links.items() if entry.linked}
        refs = {**linked, **listing.refs}.items()
        self._refs = {key: ref for key, ref in refs if key.template_id not in listing.unknown}
        self._listed.update(self._refs.keys() & listing.refs.keys())
        wanted = [ref for ref in self._refs.values() if self._is_wanted(ref)]
        self._by_day = {} if self._watch is Watch.LIST else by_day(wanted)
        self._unread = self._find_unread(wanted)
        self._unread_on = Counter(self._unread.values())
        due = [ref for ref in wanted if ref.key in self._unread or self._is_due(ref, now)]
        vanished = [
            BatchRef(key.template_id or None, key.batch_id)
            for key in self.open
            if key not in self._refs and key.template_id in listing.listed
        ]
        return sorted(due, key=by_age), vanished

    def unlisted(self, now: datetime) -> list[BatchRef]:
        """What no list of this sync tells enough of, so that it has to be asked for by itself: what it does not name
        and is unfinished or missing, and what has to be read again though it is the same there."""
        return [
            BatchRef(key.template_id or None, key.batch_id, named=True)
            for key, entry in self.entries.items()
            if entry.is_unread or (key not in self._listed and self._is_awaited(entry, now))
        ]

    def _is_awaited(self, entry: Entry, now: datetime) -> bool:
        return entry.status is BatchStatus.OPEN or self._rules.is_sought_now(entry, now)

    @property
    def until(self) -> dict[str, datetime]:
        """By scope, the end of what has been read."""
        return {scope: ranges[-1].end for scope, ranges in self.read.items() if ranges}

    def load_until(self, scope: str, until: datetime) -> None:
        """Take over what an older connector wrote, which did not write down from when on it had read.

        That is taken for the `start_date` of today: who moves it and the connector at once reads no further back.
        """
        start = self._rules.start_date or BEGINNING
        self.add_read(scope, Range(start if start < until else BEGINNING, until))
        self.forgotten[scope] = until - min(self._rules.lookback, until - BEGINNING)

    def add_read(self, scope: str, span: Range) -> None:
        self.read[scope] = united([*self.read.get(scope, ()), span])

    def is_past(self, ref: BatchRef, scopes: Iterable[str], window: Range) -> bool:
        """Return whether a listed row was delivered, and forgotten, when one of its scopes was read before.

        A row without a time that can be true is taken for one of its window.
        """
        if ref.key in self.entries:
            return False
        span = Range(ref.clock, ref.clock + _INSTANT) if ref.clock else window
        return any(not without(span, self._forgotten_of(scope)) for scope in scopes)

    def has_past(self, window: Range) -> bool:
        """Return whether anything in a window was delivered and forgotten before, under any scope."""
        return any(without(window, self._forgotten_of(scope)) != [window] for scope in self.read)

    def doubt(self, now: datetime, listed_again: datetime) -> None:
        """Do not take for delivered what is `listed_again`, where a clock that was ahead has read the future.

        Rows come a second time by that if it is this clock that is wrong. Else those since then would never come.
        """
        self._doubted = listed_again if any(until > now for until in self.until.values()) else None

    def _forgotten_of(self, scope: str) -> list[Range]:
        limit = self.forgotten.get(scope, BEGINNING)
        limit = min(limit, self._doubted) if self._doubted else limit
        return [Range(start, min(end, limit)) for start, end in self.read.get(scope, ()) if start < limit]

    def advance(self, scope: str, window: Range, span: Range, listed_again: datetime) -> None:
        """After a window of a list: forgets what of it is settled, unless it will be `listed_again`.

        Args:
            span: the moments in the window, or none, of which this stream has been given all.
        """
        before = self.read.get(scope)
        if (before[-1].end if before else BEGINNING) < window.start:
            self._has_gap = True
            self._keep_unlisted()  # some of it may lie in between, which is to be read some day
        self.asleep.discard(scope)  # what is kept for it is no longer all that was delivered
        self.add_read(scope, span)
        forgotten = min(span.end, listed_again)
        self.forgotten[scope] = max(forgotten, self.forgotten.get(scope, forgotten))
        for key, ref in self._refs.items():
            entry = self.entries.get(key)
            if entry is None or ref.clock is None:
                continue
            is_over = entry.status is not BatchStatus.OPEN and not entry.is_unread and not entry.linked
            is_over = is_over and entry.missing is None
            is_read = any(one.start <= ref.clock < one.end for one in self.read[scope])
            if is_read and is_over and ref.clock < listed_again:
                del self.entries[key]
            elif is_read:
                entry.kept = False
            elif ref.clock < span.start:
                entry.kept = True  # it is older than a `start_date` that is later than before
        self._refs = {}

    def is_open(self, key: BatchKey) -> bool:
        entry = self.entries.get(key)
        return entry is not None and entry.read and entry.status is BatchStatus.OPEN

    def is_expected(self, key: BatchKey) -> bool:
        """Whether it is remembered, and still has to be read."""
        entry = self.entries.get(key)
        return entry is not None and entry.is_unread

    def has(self, ref: BatchRef, marks: Collection[str]) -> bool:
        """Whether all these marks were left by the last reading."""
        entry = self.entries.get(ref.key)
        return entry is not None and _marks_of(entry.rows).issuperset(marks)

    def ask_again(self, ref: BatchRef, now: datetime) -> None:
        """Remembers what has to be asked for by itself, when its list is past."""
        self._unread.pop(ref.key, None)
        if (entry := self.entries.get(ref.key)) is not None:
            entry.again = entry.read
        else:
            self.entries[ref.key] = Entry(since=now, read=False)

    def memory_of(self, key: BatchKey) -> tuple[str, dict[str, FileStatus]]:
        """What its reader wrote down of a batch, and what its documents have told since."""
        entry = self.entries.get(key)
        return (entry.memo, entry.told) if entry else ("", {})

    def expect(self, ref: BatchRef, now: datetime, *, changed: bool = False) -> bool:
        """Remembers a linked batch before it is read. True if that makes it due: it was in no plan so far.

        `changed` says that something in it did, so that it is due however often it has been read.
        """
        entry, known = self.entries.get(ref.key), self._refs.get(ref.key)
        if entry is None:
            is_planned = known is not None and self._is_wanted(known)  # for this sync, or in a folded day
            if is_planned and not changed:
                return False
            entry = self.entries[ref.key] = Entry(since=now, read=False)
            is_due = not is_planned
        else:
            is_due = changed and not entry.is_unread
            entry.again = entry.again or is_due
        entry.linked = now
        entry.told.update(ref.told)
        return is_due

    def wants(self, ref: BatchRef) -> bool:
        """Whether a reading of this batch is news here: not where it lies in a folded day, read for another stream."""
        return ref.key in self.entries or ref.key in self._unread

    def delivered(self, snapshot: Snapshot, marks: Collection[str] | None) -> Collection[str]:
        """Return the marks of those rows of a reading that need not be delivered again.

        `marks` are those of all rows as they are now.
        """
        entry = self.entries.get(snapshot.ref.key)
        if entry and snapshot.status is BatchStatus.MISSING and _keeps_rows(entry, self._is_bare(snapshot.ref)):
            return marks or ()
        return _marks_of(entry.rows) if entry else frozenset()

    def settle(self, snapshot: Snapshot, marks: Collection[str] | None, now: datetime) -> Collection[str]:
        """Writes down one reading of a wanted batch; gives the marks of its rows that need not be delivered again.

        `marks` are those of all rows as they are now; None where the provider did not tell the rows ("waiting").
        """
        ref, key = snapshot.ref, snapshot.ref.key
        entry = self.entries.get(key)
        known = self.delivered(snapshot, marks)
        self.failed.discard(key)
        is_bare = self._is_bare(ref)
        if entry and snapshot.status is BatchStatus.MISSING and _keeps_rows(entry, is_bare):
            self._settle_unknown(entry, ref, now, is_bare=is_bare)
            return known
        before = entry.rows if entry else ""
        status, since = self._judge(snapshot, entry, now)
        rows = before if marks is None else "".join(marks)
        is_behind = entry is not None and entry.status is BatchStatus.COMPLETE and status is BatchStatus.OPEN
        signature = entry.signature if entry and is_bare and not is_behind else _told(ref, status)
        is_missing = snapshot.status is BatchStatus.MISSING
        is_sought = is_missing or snapshot.is_lacking
        self.entries[key] = Entry(
            since,
            status,
            signature,
            rows,
            entry.linked if entry else None,
            again=self._watch is Watch.LINK and bool(snapshot.links or snapshot.trouble),  # of some it is not told
            kept=entry is not None and entry.kept,
            # An answer that it is unknown says nothing of what is in it.
            memo=entry.memo if entry and is_missing else snapshot.memo,
            told=entry.told if entry and is_missing else {},
            missing=((entry.missing if entry else None) or now) if is_sought else None,
            asked=now if is_sought else None,
        )
        if key in self._unread:
            day = self._unread.pop(key)
            self._unread_on[day] -= 1
            if day and not self._unread_on[day]:
                self._fold(day, now)
        return known

    def _is_bare(self, ref: BatchRef) -> bool:
        """Return whether a document was asked for by itself: that says nothing of how its list shows it."""
        return self._watch is Watch.LIST and not ref.fingerprint

    def _settle_unknown(self, entry: Entry, ref: BatchRef, now: datetime, *, is_bare: bool) -> None:
        """Write down that the provider does not know a batch any more, whose rows stay as they are.

        If it was asked for because there was more to it (its list or a document said so), it is asked for again.
        """
        signature = _told(ref, entry.status)
        is_changed = not is_bare and entry.signature != signature
        if is_changed or entry.again or entry.missing:
            entry.missing, entry.asked = entry.missing or now, now
        else:
            entry.told = {}
        if not is_bare:
            entry.signature = signature
        entry.again = False

    def is_stalling(self, snapshot: Snapshot, now: datetime) -> bool:
        """Whether this unfinished reading is one too many."""
        entry = self.entries.get(snapshot.ref.key)
        if snapshot.finished or entry is None or not entry.read:
            return False
        if entry.status is BatchStatus.STALLED:
            return entry.signature == _told(snapshot.ref, entry.status)
        return self._rules.is_overdue(entry, now)

    def close(self, now: datetime, scopes: Collection[str] = ()) -> None:
        """At the end of a sync: folds what can be folded, and forgets single batches that nothing names any more.

        Args:
            scopes: of a list by time, those that this sync has read.
        """
        for day in self._by_day:
            self._fold(day, now)
        self.failed = {
            key
            for key in self.failed
            if key in self.entries or key in self._refs or key in self._unread or key.template_id in self._keep
        }
        self._put_to_sleep(self.read.keys() - set(scopes))
        # Then the list was read less far than before, and what it did not show may be shown again.
        has_jumped_back = any(until > now for until in self.until.values())
        # As where the list has shown nothing: the key may be of another account.
        may_come_again = has_jumped_back or not self._listed
        for key, entry in list(self.entries.items()):
            if self._watch is Watch.LIST:
                is_over = not (
                    entry.status is BatchStatus.OPEN
                    or entry.is_unread
                    or self._rules.is_sought(entry, now)
                    or self._rules.is_linked(entry, now)
                )
                if is_over and not entry.kept and key not in self._listed and not may_come_again:
                    del self.entries[key]
                continue
            ref = self._refs.get(key)
            if key.template_id in self._keep or (ref and not ref.linked and self._rules.has_in_range(ref)):
                continue
            # A link is seen again for as long as the batch that holds it is looked back at, unless links tell changes.
            is_done = self._watch is Watch.LINK and entry.status is BatchStatus.COMPLETE
            is_done = is_done and not self._rules.is_sought(entry, now)
            is_over = is_done or (self._rules.is_closed(entry, now) and not self._rules.is_linked(entry, now))
            if not entry.linked or (is_over and not entry.is_unread):
                del self.entries[key]

    def _put_to_sleep(self, scopes: Collection[str]) -> None:
        """Keep what may belong to lists that are no longer asked for: nothing else can tell it from what is new there.

        That is what none of the lists of this sync has shown, once, at the first sync without such a scope.
        """
        if not self.asleep.issuperset(scopes):
            self._keep_unlisted()
        elif not scopes and not self._has_gap and all(len(ranges) < 2 for ranges in self.read.values()):
            for entry in self.entries.values():
                entry.kept = False
        self.asleep = set(scopes)

    def _keep_unlisted(self) -> None:
        for key, entry in self.entries.items():
            entry.kept = entry.kept or key not in self._listed

    def _is_wanted(self, ref: BatchRef) -> bool:
        entry = self.entries.get(ref.key)
        return self._rules.has_in_range(ref) or bool(entry and entry.linked)

    def _is_due(self, ref: BatchRef, now: datetime) -> bool:
        entry = self.entries.get(ref.key)
        if entry is None:
            return False
        if entry.is_unread or self._rules.is_sought_now(entry, now):
            return True
        if self._watch is Watch.LIST:
            return entry.signature != _told(ref, entry.status) or self._rules.is_overdue(entry, now)
        if self._watch is Watch.LINK and ref.linked:
            return False  # nobody names it, and who links to it says nothing new
        if entry.status is BatchStatus.OPEN or entry.signature != _told(ref, entry.status):
            return True
        return self._rules.is_looked_back_at(entry, now)

    def _find_unread(self, wanted: Iterable[BatchRef]) -> dict[BatchKey, DayKey | None]:
        """Listed, not remembered singly, and not accounted for by a folded day."""
        is_undated = self._watch is Watch.LIST  # a list that is read in windows needs no days to be remembered
        unread: dict[BatchKey, DayKey | None] = {
            ref.key: None for ref in wanted if (is_undated or ref.clock is None) and ref.key not in self.entries
        }
        if is_undated:
            return unread
        for key, refs in self._by_day.items():
            template_id, day = key
            rest = [ref for ref in refs if ref.key not in self.entries]
            folded = self.days.get(template_id, {}).get(day, Day())
            if (late := folded.late_among(rest)) is None:
                self.days.get(template_id, {}).pop(day, None)
                late = rest
            unread.update((ref.key, key) for ref in late)
        return unread

    def _fold(self, key: DayKey, now: datetime) -> None:
        """Puts a day into its short form, once it is past and nothing of it is unread."""
        template_id, day = key
        began = datetime.fromisoformat(day).replace(tzinfo=timezone.utc)
        # Not by its end: the last day of the year 9999, which some send where there is no time, has none.
        if now - began < FOLD_AFTER + timedelta(days=1) or self._unread_on[key]:
            return
        for ref in self._by_day[key]:
            entry = self.entries.get(ref.key)
            is_settled = entry and entry.status is BatchStatus.COMPLETE and entry.signature == ref.signature
            is_listed_only = entry and not self._rules.is_linked(entry, now) and self._rules.has_in_range(ref)
            if entry and is_settled and is_listed_only and self._rules.is_closed(entry, now):
                self.days.setdefault(template_id, {}).setdefault(day, Day()).add(ref)
                del self.entries[ref.key]

    def _judge(self, snapshot: Snapshot, entry: Entry | None, now: datetime) -> tuple[BatchStatus, datetime]:
        """The status after this reading, and since when."""
        is_new = entry is None or not entry.read
        if snapshot.status is BatchStatus.MISSING:
            return BatchStatus.MISSING, min((entry.missing if entry else None) or now, now)
        if not snapshot.finished:
            if entry and self.is_stalling(snapshot, now):
                return BatchStatus.STALLED, entry.since
            return BatchStatus.OPEN, min(entry.since, now) if entry and entry.status is BatchStatus.OPEN else now
        if entry and entry.status is BatchStatus.COMPLETE and entry.signature == snapshot.ref.signature:
            return BatchStatus.COMPLETE, min(entry.since, now)
        settled = snapshot.completed_at or (snapshot.ref.clock if is_new else None) or now
        return BatchStatus.COMPLETE, min(settled, now)


def _linked(key: BatchKey) -> BatchRef:
    return BatchRef(key.template_id or None, key.batch_id, named=True, linked=True)


def by_age(ref: BatchRef) -> tuple[bool, datetime | None, BatchKey]:
    """Sorts oldest first, so that days fold early and a long history leaves a small state all along."""
    return (ref.clock is None, ref.clock, ref.key) if ref.clock else (True, None, ref.key)


def _told(ref: BatchRef, status: BatchStatus) -> str:
    """What the list tells that would make a batch of this status due if it changed.

    The provider's own status counts for what may be given up only: anything else is read again when it is finished.
    """
    is_waited_for = status in {BatchStatus.STALLED, BatchStatus.MISSING}
    return f"{ref.signature} {ref.provider_status or ''}".strip() if is_waited_for else ref.signature


def _keeps_rows(entry: Entry, is_bare: bool) -> bool:
    """Return whether rows stay as they are when the provider does not know what they are of.

    They do after it was settled and was deleted upstream, and where they say that it is missing with more than its id.
    """
    return entry.status is BatchStatus.COMPLETE or (entry.status is BatchStatus.MISSING and is_bare)


def _marks_of(rows: str) -> frozenset[str]:
    return frozenset(rows[start : start + MARK] for start in range(0, len(rows), MARK))
