"""How a time-ordered list is read: in windows of whole days, oldest first, each wholly before the next. Pure.

Such lists are newest first, so that a page proves nothing about what is older; only a window that was read to its end
does. Each stream writes down which ranges of creation time it has read, so a sync that is broken off goes on with the
window it was in, a window that could not be read is read by the next sync, and settings that ask for more, such as an
earlier `start_date`, lead to what is missing and to nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from .errors import BadAnswer, TooManyPages
from .ledger import Book
from .ranges import BEGINNING, Range, united, without

_DAY = timedelta(days=1)
_FEW, _MANY = 500, 1500
"""Rows of a window: below the one the next is twice as long, above the other half."""
_LONGEST = 512  # days
_SETTLING = timedelta(hours=1)  # a day is not over before: rows may show up a little late
_MONTH = 32  # days that a sync which only looks back and on from the last one reads at once
_MOST_ENDLESS = 3
"""So many lists without an end in one scope, and the rest of it is left for the next sync."""


@dataclass(frozen=True, slots=True)
class Window:
    """What was created from `start`, and before `end`, both midnights UTC. `scope` is a template, or empty for all."""

    scope: str
    start: datetime
    end: datetime

    @property
    def span(self) -> Range:
        return Range(self.start, self.end)


@dataclass(frozen=True, slots=True)
class Oldest:
    """Asks when the oldest row was created: nobody has read the list of this scope so far."""

    scope: str


def _nothing_wider(_scope: str) -> Sequence[str]:
    return ()


@dataclass(slots=True)
class Scroll:
    """The windows still to be read in this sync.

    Args:
        scopes: lists to read, one after the other.
        books: of all who read the list.
        now: the beginning of the sync; the day it falls on is listed, and will be again by the next.
        wider: the scopes whose lists hold all that a scope's list does: what was read there need not be read here.

    Attributes:
        spoilt: windows with rows that could not be read. They are not taken for read; what follows is.
    """

    scopes: deque[str]
    books: Sequence[Book]
    lookback: timedelta
    start_date: datetime | None
    now: datetime
    wider: Callable[[str], Iterable[str]] = _nothing_wider
    spoilt: set[Window] = field(default_factory=set)
    _needs: list[list[Range]] | None = None
    _left: deque[Range] = field(default_factory=deque)
    _shown: set[str] = field(default_factory=set)
    _empty: dict[str, list[Range]] = field(default_factory=dict)
    _cursor: datetime = BEGINNING
    _days: int = 1
    _is_new: bool = False
    _first: datetime = BEGINNING
    _endless: int = 0
    _today: datetime = field(init=False)

    def __post_init__(self) -> None:
        self._today = midnight(self.now - _SETTLING)
        for book in self.books:
            book.doubt(self.now, self._today - self.lookback)

    def next(self) -> Window | Oldest | None:
        """What to ask for; None when all is read that can be."""
        while self.scopes:
            scope = self.scopes[0]
            if self._needs is None:
                self._is_new = self._is_new or any(self._is_unread(scope, book) for book in self.books)
                needs = [self._missing(scope, book) for book in self.books]
                if any(span.start == BEGINNING for need in needs for span in need):
                    return Oldest(scope)
                self._needs = needs
                self._left = deque(united(span for need in needs for span in need))
                self._enter()
            if self._left:
                return Window(scope, self._cursor, min(self._cursor + self._days * _DAY, *self._edges()))
            self._next_scope()
        return None

    def _missing(self, scope: str, book: Book) -> list[Range]:
        """Return the whole days that a reader has to be shown: what it has not read so far, and the lookback."""
        first = max(self.start_date or BEGINNING, self._first)
        known = [span for one in (scope, *self.wider(scope)) for span in book.read.get(one, ())]
        known += self._empty.get(scope, ())
        days = without(Range(first, max(first, self._today)), known)
        again = max(self._today - self.lookback, self._first)
        # Whoever remembers nothing has nothing to look back at.
        has_nothing = self._is_unread(scope, book) and not book.entries
        days.append(Range(max(first, again) if has_nothing else again, self._tomorrow))
        return united(Range(midnight(start), _midnight_after(end)) for start, end in days if start < end)

    def _is_unread(self, scope: str, book: Book) -> bool:
        return not any(book.read.get(one) for one in (scope, *self.wider(scope)))

    @property
    def _tomorrow(self) -> datetime:
        return midnight(self.now) + _DAY

    def _enter(self) -> None:
        """Begin with the next of the ranges that are left; step by step, unless it is short and the last."""
        if not self._left:
            return
        self._cursor = self._left[0].start
        is_catching_up = not self._is_new and self._left[0].end == self._tomorrow
        self._days = max(self.lookback.days + 1, _MONTH) if is_catching_up else 1

    def _edges(self) -> list[datetime]:
        """Return where a window has to end: none may hold what a reader needs and what it does not."""
        spans = (span for need in self._needs or () for span in need)
        edges = [edge for span in spans for edge in span if edge > self._cursor]
        return [self._left[0].end, *edges]

    def _go_to(self, moment: datetime) -> None:
        self._cursor = moment
        if self._left and moment >= self._left[0].end:
            self._left.popleft()
            self._enter()

    def _next_scope(self) -> None:
        self.scopes.popleft()
        self._needs, self._is_new, self._first, self._endless = None, False, BEGINNING, 0
        self._left.clear()

    def fail(self, ask: Window | Oldest | None, error: Exception) -> bool:
        """Go on after something that could not be read; return True if it is asked for again, in smaller pieces.

        A window costs itself alone where its answers cannot be read; any other error is one of the whole list.
        """
        self._endless += isinstance(error, TooManyPages)
        is_about_window = isinstance(ask, Window) and isinstance(error, BadAnswer) and self._endless < _MOST_ENDLESS
        if not (is_about_window and isinstance(ask, Window)):
            self._next_scope()
            return False
        if ask.end - ask.start > _DAY:
            self._days = 1
            return True
        self._go_to(ask.end)
        return False

    def begin(self, oldest: datetime | None) -> None:
        """Where an unread list begins; today, if it is empty.

        Before its oldest row there is nothing, and so that is read. An empty list proves no such thing: the key may be
        of another account.
        """
        start = min(midnight(oldest), self._today) if oldest else self._today
        scope = self.scopes[0]
        if oldest is None:
            self._empty.setdefault(scope, []).append(Range(BEGINNING, start))
        for book in self.books if oldest else ():
            if any(span.start == BEGINNING for span in self._missing(scope, book)):
                book.add_read(scope, Range(BEGINNING, start))
        self._first = start

    def listed(self, window: Window, rows: int) -> None:
        """A window has been read. The next one may be, while what is in this one is asked for."""
        if rows:
            self._shown.add(window.scope)
        if rows < _FEW:
            self._days = min(self._days * 2, _LONGEST)
        elif rows > _MANY:
            self._days = max(self._days // 2, 1)
        self._go_to(window.end)

    def done(self, window: Window) -> None:
        """All that is in a window has been delivered, but for what is older than `start_date`.

        A list that shows nothing in a whole sync is not taken for read: the key may be of another account, and all that
        came meanwhile is to come when that is corrected. Once it shows something, its empty windows are taken for
        read, too.
        """
        start = max(window.start, self.start_date) if self.start_date else window.start
        span = Range(start, min(window.end, self._today))
        if window in self.spoilt:
            return
        if window.scope not in self._shown:
            self._empty.setdefault(window.scope, []).append(span)
            return
        empty = self._empty.pop(window.scope, [])
        for book in self.books:
            for earlier in empty:
                book.add_read(window.scope, earlier)
            book.advance(window.scope, window.span, span, self._today - self.lookback)

    def is_for(self, book: Book, window: Window) -> bool:
        """Whether a reader has not been past this window already."""
        needs = self._missing(window.scope, book)
        return any(span.start < window.end and window.start < span.end for span in needs)


def midnight(moment: datetime) -> datetime:
    return moment.astimezone(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)


def _midnight_after(moment: datetime) -> datetime:
    """Return the first midnight that is not earlier."""
    return midnight(moment + _DAY - timedelta(microseconds=1))
