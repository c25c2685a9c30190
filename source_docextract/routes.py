"""What a visit to a provider has to do for each product, and for whom."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from .entries import Listing, Rules
from .errors import ConnectorError
from .ledger import Book, by_age
from .model import BatchKey, BatchRef, BatchStatus, Snapshot
from .providers.base import Plan, Product
from .scroll import Scroll, Window
from .streams import Stream

_WARNINGS = 5  # of one kind in one sync; beyond that they are counted


@dataclass(eq=False, slots=True)
class Route:
    """One product on a visit.

    Attributes:
        streams: selected streams of this product.
        followers: selected streams of the product that its links lead to.
        lists_missing: templates whose list is still on its way.
        queue: what is due and not started; None until the lists are read.
        fetching: batches on their way.
        scroll: the windows to read, of a product with a list by time; None where there is none or it is read.
        asking: the scroll has asked for something and waits for the answer.
        window: the one that is being read, with the number of its rows.
        cut_short: the list was not read to its end, so that what was not seen may still be there.
        unsaved: what was delivered since the last states were written.
    """

    product: Product
    streams: Sequence[Stream]
    followers: Sequence[Stream]
    listing: Listing = field(default_factory=Listing)
    lists_missing: int = 0
    queue: deque[BatchRef] | None = None
    fetching: int = 0
    scroll: Scroll | None = None
    asking: bool = False
    window: tuple[Window, int] | None = None
    unsaved: int = 0
    cut_short: bool = False

    @property
    def readers(self) -> list[tuple[Stream, Book]]:
        return [(stream, stream.book(self.product.name)) for stream in (*self.streams, *self.followers)]

    @property
    def has_work(self) -> bool:
        return self.queue is None or bool(self.queue) or self.fetching > 0 or self.scroll is not None

    def plan(self, now: datetime) -> list[Snapshot]:
        """Queues what any of its readers needs, oldest first; gives the open batches that have vanished."""
        due: dict[BatchKey, BatchRef] = {}
        vanished: dict[BatchKey, BatchRef] = {}
        for _, book in self.readers:
            wanted, gone = book.plan(self.listing, now)
            due.update((ref.key, ref) for ref in wanted)
            vanished.update((ref.key, ref) for ref in gone)
        self.queue = deque(sorted(due.values(), key=by_age))
        words = "Its template's list no longer names it."
        return [Snapshot(ref, BatchStatus.MISSING, error=words) for ref in vanished.values()]

    def open_scroll(self, rules: Rules, now: datetime) -> None:
        """Of a product with a list by time: nothing is due but what its windows will show."""
        books = [book for _, book in self.readers]
        self.scroll = Scroll(deque(self.product.scopes), books, rules.lookback, rules.start_date, now)
        self.queue = deque()

    def plan_window(self, window: Window, refs: list[BatchRef], now: datetime) -> None:
        """Queues what a window shows to those of its readers that have not been past it."""
        listing = Listing()
        listing.add(refs)
        due: dict[BatchKey, BatchRef] = {}
        for _, book in self.readers:
            if self.scroll and self.scroll.is_for(book, window):
                due.update((ref.key, ref) for ref in book.plan(listing, now)[0])
        self.window = (window, len(refs))
        self.queue = deque(sorted(due.values(), key=by_age))

    def close_scroll(self) -> None:
        """All windows are read: what is open and was in none of them is asked for by itself."""
        self.cut_short = self.scroll is None or self.scroll.broken
        self.scroll = None
        self.queue = deque({ref.key: ref for _, book in self.readers for ref in book.unlisted()}.values())

    def fail(self, error: ConnectorError, *, for_good: bool = False) -> None:
        """A batch that was not read may have held links: those who follow them are incomplete as well."""
        for stream in (*self.streams, *self.followers):
            stream.fail(error, for_good=for_good)


def routes(plan: Plan, streams: Sequence[Stream]) -> dict[str, Route]:
    """By product: those with selected streams, and those that are read for links alone."""
    found = {}
    for product in plan.products:
        own = [stream for stream in streams if stream.product == product.name]
        followers = [stream for stream in streams if product.links_to and stream.product == product.links_to]
        if own or followers:
            found[product.name] = Route(product, own, followers)
    return found


class Notices:
    """Warnings, a few of each kind; a thousand broken batches must not bury the log."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._counts: Counter[str] = Counter()

    def once(self, words: str) -> None:
        if not self._counts[words]:
            self._logger.warning(words)
        self._counts[words] += 1

    def warn(self, kind: str, words: str) -> None:
        self._counts[kind] += 1
        if self._counts[kind] <= _WARNINGS:
            self._logger.warning(words)

    def close(self) -> None:
        for kind, count in self._counts.items():
            if " " not in kind and count > _WARNINGS:
                self._logger.warning("%d more batches: %s.", count - _WARNINGS, kind)
