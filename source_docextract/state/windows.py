"""The windows in which a listing by time is read: whole days, oldest first. Pure.

Such listings are newest first, so a page proves nothing about older rows; only a window that was read to its end does.
Each stream records the ranges of creation time that it has read. Hence an interrupted sync resumes with the window that
it was in, the next sync reads a window that could not be read, and an earlier `start_date` causes the reading of the
added time and of nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain

from ..core.errors import TooManyPages, UnreadableResponse
from ..core.provider import FindStart, Window
from ..core.time_ranges import BEGINNING, TimeRange, go_back, merge_ranges, subtract_ranges
from ..core.timestamps import DAY, round_up_to_day, truncate_to_day
from . import recheck
from .entries import SyncPolicy
from .ledger import Ledger
from .passes import ListingPass

_FEW_ROWS, _MANY_ROWS = 500, 1500
"""Rows of a window: below the first number the next window is twice as long, above the second half as long.

A window is the unit that is lost when a sync breaks off, so it holds neither too few rows nor too many.
"""

_MAX_WINDOW_DAYS = 512

_DAY_END_DELAY = timedelta(hours=1)
"""The time after midnight before which a day does not count as over: rows may be listed a little late."""

_YESTERDAYS_DOCUMENTS_SEEN = timedelta(hours=4)
"""The time after midnight up to which a document that is seen for the first time may have been created before midnight.

After it, an unfinished document is one of today, which every sync lists, or else it is requested by its id."""

_CATCH_UP_DAYS = 32
"""Days in addition to the lookback that a sync reads at once if it only continues from the last one."""

_MAX_ENDLESS_LISTS = 3
"""Endless listings in one scope after which the rest of the scope is left for the next sync."""


def _find_no_wider_scopes(_scope: str) -> Sequence[str]:
    return ()


@dataclass(slots=True)
class WindowCursor:
    """The windows that one sync still has to read.

    Attributes:
        scopes: the scopes whose listings are read, one after the other.
        passes: the passes of all streams that read the listing.
        policy: the user's settings: the days before today that are listed again, how often, and the creation time
            before which nothing is read.
        now: the beginning of the sync. Its day is listed, and listed again by the next sync.
        find_wider_scopes: returns the scopes whose listings contain that of a scope. A range that was read there need
            not be read here.
        unreadable_windows: the windows with rows that could not be read. They do not count as read; later windows do.
    """

    scopes: deque[str]
    passes: Sequence[ListingPass]
    policy: SyncPolicy
    now: datetime
    find_wider_scopes: Callable[[str], Iterable[str]] = _find_no_wider_scopes
    unreadable_windows: set[Window] = field(default_factory=set)
    _ranges_by_ledger: list[list[TimeRange]] | None = None
    _pending_ranges: deque[TimeRange] = field(default_factory=deque)
    _nonempty_scopes: set[str] = field(default_factory=set)
    _empty_ranges: dict[str, list[tuple[TimeRange, TimeRange]]] = field(default_factory=dict)
    _position: datetime = BEGINNING
    _window_days: int = 1
    _is_first_read: bool = False
    _list_start: datetime = BEGINNING
    _endless_count: int = 0
    _today: datetime = field(init=False)
    _relisting_starts: dict[Ledger, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Find the last complete day and the lookback, and handle ledgers of a clock that was ahead."""
        self._today = truncate_to_day(self.now - _DAY_END_DELAY)
        for listing_pass in self.passes:
            listing_pass.distrust_future_reads(self.now, self.lookback_start)
            # Decided once: what this sync records must not change which windows it needs.
            ledger = listing_pass.ledger
            listing_pass.skips_lookback = self._can_skip_lookback(ledger)
            relisting_start = self._today if listing_pass.skips_lookback else self._find_relisting_start(ledger)
            self._relisting_starts[ledger] = relisting_start

    @property
    def lookback_start(self) -> datetime:
        """Return the time from which on each sync lists all partitions again."""
        return go_back(self._today, self.policy.lookback)

    def _can_skip_lookback(self, ledger: Ledger) -> bool:
        """Return whether a ledger needs no look at the days before today.

        They are listed each time that the age of their newest change has doubled: the end of yesterday, or a later time
        at which one of their documents settled. The documents of earlier days are older, so they are looked at more
        often than they need. The first sync of a day always lists them.
        """
        last_complete_sync = ledger.last_complete_sync
        if self.policy.looks_every_sync or last_complete_sync is None or last_complete_sync > self.now:
            return False
        if not self.policy.lookback or ledger.inactive_scopes != ledger.read_ranges.keys() - set(self.scopes):
            return False
        first_seen_limit = self._today + _YESTERDAYS_DOCUMENTS_SEEN
        for key in ledger.open_keys:
            if self.lookback_start <= ledger.entries[key].status_since < first_seen_limit:
                return False
        settled_at = max(self._today, ledger.late_settled_at or self._today)
        if settled_at > self.now:
            return False  # recorded before the clock was set back
        return not recheck.has_age_doubled(settled_at, last_complete_sync, self.now, recheck.FIRST_LOOK_AGE)

    def _find_relisting_start(self, ledger: Ledger) -> datetime:
        """Return the first day that a ledger lists again.

        That is the beginning of the lookback at its last complete sync: a day that has left the lookback since then is
        listed a last time.
        """
        last_complete_sync = ledger.last_complete_sync
        if self.policy.looks_every_sync or last_complete_sync is None:
            return self.lookback_start
        last_today = min(truncate_to_day(last_complete_sync - _DAY_END_DELAY), self._today)
        return go_back(last_today, self.policy.lookback)

    def get_next_step(self) -> Window | FindStart | None:
        """Return the next request for the provider; None if there is none left."""
        while self.scopes:
            scope = self.scopes[0]
            if self._ranges_by_ledger is None:
                self._is_first_read = self._is_first_read or any(
                    not self._get_read_ranges(scope, listing_pass.ledger) for listing_pass in self.passes
                )
                ranges_by_ledger = [
                    self._find_needed_ranges(scope, listing_pass.ledger) for listing_pass in self.passes
                ]
                needed_ranges = list(chain.from_iterable(ranges_by_ledger))
                # Windows from the year 1 on would be empty requests: find the oldest row first.
                if any(time_range.start == BEGINNING for time_range in needed_ranges):
                    return FindStart(scope)
                self._ranges_by_ledger = ranges_by_ledger
                self._pending_ranges = deque(merge_ranges(needed_ranges))
                self._start_next_range()
            if self._pending_ranges:
                window_end = min(self._position + self._window_days * DAY, *self._find_window_limits())
                return Window(scope, self._position, window_end)
            self._finish_scope()
        return None

    def _find_needed_ranges(self, scope: str, ledger: Ledger) -> list[TimeRange]:
        """Return the whole days that a ledger needs: unread ones, and the lookback."""
        range_start = max(self.policy.start_date or BEGINNING, self._list_start)
        read_ranges = self._get_read_ranges(scope, ledger)
        needed_ranges = subtract_ranges(TimeRange(range_start, max(range_start, self._today)), read_ranges)
        lookback_start = max(self._relisting_starts[ledger], self._list_start)
        # A ledger without entries has delivered nothing that could have changed within the lookback.
        is_ledger_empty = not read_ranges and not ledger.entries
        needed_ranges.append(
            TimeRange(max(range_start, lookback_start) if is_ledger_empty else lookback_start, self._tomorrow)
        )
        return merge_ranges(
            TimeRange(truncate_to_day(start), round_up_to_day(end)) for start, end in needed_ranges if start < end
        )

    def _get_read_ranges(self, scope: str, ledger: Ledger) -> list[TimeRange]:
        """Return the ranges of a scope's list that a ledger has read.

        What was read in a wider list is not read again in this one: a filter that is added later costs no backfill.
        """
        covering_scopes = (scope, *self.find_wider_scopes(scope))
        return [time_range for name in covering_scopes for time_range in ledger.read_ranges.get(name, ())]

    @property
    def _tomorrow(self) -> datetime:
        return truncate_to_day(self.now) + DAY

    def _start_next_range(self) -> None:
        """Start the next pending range, in growing windows unless it is a short catch-up."""
        if not self._pending_ranges:
            return
        self._position = self._pending_ranges[0].start
        # The lookback and the days since the last sync form one window: a quiet sync requests one page of the list.
        is_catching_up = not self._is_first_read and self._pending_ranges[0].end == self._tomorrow
        self._window_days = self.policy.lookback.days + _CATCH_UP_DAYS if is_catching_up else 1

    def _find_window_limits(self) -> list[datetime]:
        """Return the times at which a window must end.

        A window lies either inside or outside the needed ranges of each ledger, so that a ledger takes it as a whole.
        """
        # The starts and ends of all ranges, as a range is a pair of times.
        range_limits = chain.from_iterable(chain.from_iterable(self._ranges_by_ledger or ()))
        return [self._pending_ranges[0].end, *(limit for limit in range_limits if limit > self._position)]

    def _move_position(self, position: datetime) -> None:
        self._position = position
        if self._pending_ranges and position >= self._pending_ranges[0].end:
            self._pending_ranges.popleft()
            self._start_next_range()

    def _finish_scope(self) -> None:
        self.scopes.popleft()
        self._ranges_by_ledger, self._is_first_read, self._list_start, self._endless_count = None, False, BEGINNING, 0
        self._pending_ranges.clear()

    def handle_failure(self, step: Window | FindStart | None, error: Exception) -> bool:
        """Continue after a failed request; return whether smaller windows repeat it.

        An unreadable response costs its window alone. Any other error concerns the whole listing of the scope.

        Args:
            step: the window or the search for the start that failed.
            error: the error that it failed with.
        """
        # An endless list may cost 1,000 pages before it is recognised, so a scope gets few tries in a sync.
        self._endless_count += isinstance(error, TooManyPages)
        is_window_error = (
            isinstance(step, Window)
            and isinstance(error, UnreadableResponse)
            and self._endless_count < _MAX_ENDLESS_LISTS
        )
        if not (is_window_error and isinstance(step, Window)):
            self._finish_scope()
            return False
        # One unreadable row costs its day alone: what can be read of a longer window is read day by day.
        if step.end - step.start > DAY:
            self._window_days = 1
            return True
        self._move_position(step.end)
        return False

    def set_list_start(self, oldest_created_at: datetime | None) -> None:
        """Set the day at which the listing of the present scope begins.

        The time before its oldest row then counts as read. An empty listing begins today and proves no such thing: the
        key may belong to another account.

        Args:
            oldest_created_at: the creation time of the oldest row; None if the listing is empty.
        """
        start = min(truncate_to_day(oldest_created_at), self._today) if oldest_created_at else self._today
        scope = self.scopes[0]
        if oldest_created_at is None:
            empty_range = TimeRange(BEGINNING, start)
            self._empty_ranges.setdefault(scope, []).append((empty_range, empty_range))
        for listing_pass in self.passes if oldest_created_at else ():
            needed_ranges = self._find_needed_ranges(scope, listing_pass.ledger)
            if any(time_range.start == BEGINNING for time_range in needed_ranges):
                listing_pass.ledger.add_read_range(scope, TimeRange(BEGINNING, start))
        self._list_start = start

    def record_listing(self, window: Window, row_count: int, ahead_count: int = 0) -> None:
        """Record that a window has been listed, and choose the length of the next one.

        The next window may be listed while the partitions of this one are fetched.

        Args:
            window: the window.
            row_count: number of its rows.
            ahead_count: number of rows of the next window that the responses already held.
        """
        if row_count:
            self._nonempty_scopes.add(window.scope)
            for listing_pass in self.passes:
                listing_pass.begin_delivery(window.scope)
        # An empty window before a full day must not be followed by a window of two such days.
        if row_count + ahead_count < _FEW_ROWS:
            self._window_days = min(self._window_days * 2, _MAX_WINDOW_DAYS)
        elif row_count > _MANY_ROWS:
            self._window_days = max(self._window_days // 2, 1)
        self._move_position(window.end)

    def complete_window(self, window: Window) -> None:
        """Record that everything in a window since `start_date` has been delivered.

        A listing that is empty in a whole sync does not count as read: the key may belong to another account, and
        everything that was created meanwhile has to be delivered after its correction. Once the listing shows a row,
        its empty windows count as read, too.
        """
        # Today's rows are not complete yet, so today never counts as read.
        start = max(window.start, self.policy.start_date) if self.policy.start_date else window.start
        delivered_range = TimeRange(start, min(window.end, self._today))
        if window in self.unreadable_windows:
            return
        if window.scope not in self._nonempty_scopes:
            self._empty_ranges.setdefault(window.scope, []).append((window.time_range, delivered_range))
            return
        # In the order in which they were listed: the first one shows whether a gap lies before all of them. Entries of
        # that gap have to stay, or its rows are delivered twice once it is read.
        finished_ranges = [*self._empty_ranges.pop(window.scope, []), (window.time_range, delivered_range)]
        # Counted from today, not from the end of the window: what a killed backfill has read is not read again.
        for listing_pass in self.passes:
            for listed_range, finished_range in finished_ranges:
                listing_pass.advance_watermark(window.scope, listed_range, finished_range, self.lookback_start)

    def is_needed(self, ledger: Ledger, window: Window) -> bool:
        """Return whether a ledger needs a window, or a part of it."""
        needed_ranges = self._find_needed_ranges(window.scope, ledger)
        return any(time_range.start < window.end and window.start < time_range.end for time_range in needed_ranges)
