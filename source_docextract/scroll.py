"""How a time-ordered list is read: in windows of whole days, oldest first, each wholly before the next. Pure.

Such lists are newest first, so that a page proves nothing about what is older; only a window that was read to its end
does. A sync that is broken off goes on with the window it was in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from .ledger import Book

_DAY = timedelta(days=1)
_FEW, _MANY = 250, 1000
"""Rows of a window: below the one the next is twice as long, above the other half."""
_LONGEST = 512  # days
_SETTLING = timedelta(hours=1)  # a day is not over before: rows may show up a little late
_MONTH = 32  # days that a sync which only looks back and on from the last one reads at once


@dataclass(frozen=True, slots=True)
class Window:
    """What was created from `start`, and before `end`, both midnights UTC. `scope` is a template, or empty for all."""

    scope: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Oldest:
    """Asks when the oldest row was created: nobody has read the list of this scope so far."""

    scope: str


@dataclass(slots=True)
class Scroll:
    """The windows still to be read in this sync.

    Args:
        scopes: lists to read, one after the other.
        books: of all who read the list.
        now: the beginning of the sync; the day it falls on is listed, and will be again by the next.

    Attributes:
        gaps: scopes of which a window had rows that could not be read. What follows is read, and none of it taken for
            done: the next sync begins at the gap again.
    """

    scopes: deque[str]
    books: Sequence[Book]
    lookback: timedelta
    start_date: datetime | None
    now: datetime
    gaps: set[str] = field(default_factory=set)
    _shown: set[str] = field(default_factory=set)
    _cursor: datetime | None = None
    _days: int = 1
    _today: datetime = field(init=False)

    def __post_init__(self) -> None:
        self._today = midnight(self.now - _SETTLING)

    def next(self) -> Window | Oldest | None:
        """What to ask for; None when all is read that can be."""
        while self.scopes:
            scope = self.scopes[0]
            if self._cursor is None:
                starts = [self._start(scope, book) for book in self.books]
                if None not in starts:
                    self._cursor = min(start for start in starts if start)
                    self._days = max(self.lookback.days + 1, _MONTH)
                elif self.start_date:
                    self._cursor = midnight(self.start_date)
                else:
                    return Oldest(scope)
            if self._cursor <= midnight(self.now):
                tomorrow = midnight(self.now) + _DAY
                end = min(self._cursor + self._days * _DAY, tomorrow, *self._joins(scope, self._cursor))
                return Window(scope, self._cursor, end)
            self._next_scope()
        return None

    def _next_scope(self) -> None:
        self.scopes.popleft()
        self._cursor, self._days = None, 1

    def fail(self) -> None:
        """What was asked for could not be read: nothing after it in that list can be taken for read."""
        self._next_scope()

    def _start(self, scope: str, book: Book) -> datetime | None:
        """Where a reader comes in: it looks back from today, and goes on from where it was if that is longer ago."""
        until = book.until.get(scope)
        return min(until, self._today - self.lookback) if until else None

    def _joins(self, scope: str, cursor: datetime) -> list[datetime]:
        """Where readers who are further on come in: no window may hold what is behind them and what is not."""
        starts = (self._start(scope, book) for book in self.books)
        return [start for start in starts if start and start > cursor]

    def begin(self, oldest: datetime | None) -> None:
        """Where an unread list begins; today, if it is empty."""
        self._cursor = min(midnight(oldest), self._today) if oldest else self._today

    def listed(self, window: Window, rows: int) -> None:
        """A window has been read. The next one may be, while what is in this one is asked for."""
        self._cursor = window.end
        if rows:
            self._shown.add(window.scope)
        if rows < _FEW:
            self._days = min(self._days * 2, _LONGEST)
        elif rows > _MANY:
            self._days = max(self._days // 2, 1)

    def done(self, window: Window) -> None:
        """All that is in a window has been delivered.

        A list that has never shown anything is not taken for read: the key may be of another account, and the whole
        history is to come when that is corrected.
        """
        for book in () if window.scope in self.gaps else self.books:
            if window.scope not in self._shown and window.scope not in book.until:
                continue
            book.advance(window.scope, min(window.end, self._today), self._today - self.lookback)

    def is_for(self, book: Book, window: Window) -> bool:
        """Whether a reader has not been past this window already."""
        start = self._start(window.scope, book)
        return start is None or window.end > start


def midnight(moment: datetime) -> datetime:
    return moment.astimezone(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
