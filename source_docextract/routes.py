"""What a visit to a provider has to do for each product, and for whom."""

from __future__ import annotations

from collections import ChainMap, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from airbyte_cdk.models import AirbyteMessage

from .entries import Listing, Watch
from .errors import BadAnswer, ConnectorError
from .ledger import Book, by_age
from .model import BatchKey, BatchRef, BatchStatus, FileStatus, Snapshot
from .providers.base import Listed, Plan, Product
from .scroll import Scroll, Window
from .streams import Stream


@dataclass(eq=False, slots=True)
class Route:
    """One product on a visit.

    Attributes:
        streams: selected streams of this product.
        followers: selected streams of the product that its links lead to.
        lists_missing: templates whose list is still on its way.
        queue: what is due and not started; None until the lists are read.
        running: what has been asked for and is not answered.
        stages: of a product with a list by time, how it goes on once all that was started is delivered.
        listed: a window that has been listed, and whose rows are not queued yet.
        held: of a product that is watched by links: what is due because it is named, asked for at the end.
        due: of the same: batches of which a document has told news; others may follow.
        homeless: of the same: documents that do not tell which batch they are in, with their status.
        asked: what has been asked for by its id in this sync, of a product with a list.
        late: what a list shows and the last try could not read: it is asked for after all windows.
        cut_short: the list was not read to its end, so that what was not seen may still be there.
    """

    product: Product
    streams: Sequence[Stream]
    followers: Sequence[Stream]
    listing: Listing = field(default_factory=Listing)
    lists_missing: int = 0
    queue: deque[BatchRef] | None = None
    running: int = 0
    stages: Iterator[Iterable[AirbyteMessage]] | None = None
    listed: Listed | None = None
    held: dict[BatchKey, BatchRef] = field(default_factory=dict)
    due: dict[BatchKey, BatchRef] = field(default_factory=dict)
    homeless: dict[str, FileStatus] = field(default_factory=dict)
    asked: set[BatchKey] = field(default_factory=set)
    late: list[BatchRef] = field(default_factory=list)
    cut_short: bool = False

    @property
    def readers(self) -> list[tuple[Stream, Book]]:
        return [(stream, stream.book(self.product.name)) for stream in (*self.streams, *self.followers)]

    @property
    def failed(self) -> set[BatchKey]:
        """What the last try could not read, for any of the readers."""
        return set().union(*(book.failed for _, book in self.readers))

    @property
    def is_busy(self) -> bool:
        return bool(self.queue) or self.running > 0

    @property
    def is_whole(self) -> bool:
        """Whether all that it lists has been listed."""
        return self.queue is not None and self.stages is None and not self.cut_short

    @property
    def has_work(self) -> bool:
        return self.queue is None or self.is_busy or self.stages is not None

    def wanting(self, ref: BatchRef) -> list[Stream]:
        """The readers to whom a reading of this batch is of any use."""
        return [stream for stream, book in self.readers if book.wants(ref)]

    def queue_up(self, refs: Iterable[BatchRef]) -> None:
        if self.queue is None:
            self.queue = deque()
        self.queue.extend(refs)

    def plan(self, now: datetime) -> list[Snapshot]:
        """Queues what any of its readers needs, oldest first; gives the open batches that have vanished."""
        due: dict[BatchKey, BatchRef] = {}
        vanished: dict[BatchKey, BatchRef] = {}
        for _, book in self.readers:
            wanted, gone = book.plan(self.listing, now)
            due.update((ref.key, ref) for ref in wanted)
            vanished.update((ref.key, ref) for ref in gone)
        failed = self.failed
        refs = sorted(due.values(), key=lambda ref: (ref.key in failed, by_age(ref)))
        if self.product.watch is Watch.LINK:
            self.held = {ref.key: ref for ref in refs}
            refs = []
        self.queue_up(refs)
        words = "Its template's list no longer names it."
        return [Snapshot(ref, BatchStatus.MISSING, error=words) for ref in vanished.values()]

    def plan_window(self, scroll: Scroll, window: Window, listed: Listed, now: datetime) -> None:
        """Queues what a window shows to those of its readers that have not been past it."""
        if listed.trouble:
            scroll.spoilt.add(window)
            self.cut_short = True
            self.fail(BadAnswer(listed.trouble))
        books = [book for _, book in self.readers if scroll.is_for(book, window)]
        self._plan_listed([(book, self._news(book, window, listed.refs)) for book in books], now)

    def _news(self, book: Book, window: Window, refs: Sequence[BatchRef]) -> Sequence[BatchRef]:
        """Leave out rows that were delivered when another of their scopes, or the same one, was read before."""
        if not book.has_past(window.span):
            return refs
        scopes_of = self.product.scopes_of
        return [ref for ref in refs if not book.is_past(ref, scopes_of(window.scope, ref), window.span)]

    def plan_members(self, streams: Iterable[Stream], refs: Sequence[BatchRef], now: datetime) -> None:
        """Expects what is in a batch that is named by hand, and queues what of it is told by rows like a list's."""
        books = [stream.book(self.product.name) for stream in streams]
        for book in books:
            for ref in refs:
                book.expect(ref, now)
        rows = [ref for ref in refs if ref.row is not None]
        self._plan_listed([(book, rows) for book in books], now)

    def _plan_listed(self, shown: Collection[tuple[Book, Sequence[BatchRef]]], now: datetime) -> None:
        due: dict[BatchKey, BatchRef] = {}
        for book, refs in shown:
            listing = Listing()
            listing.add(refs)
            due.update((ref.key, ref) for ref in book.plan(listing, now)[0])
        # What the last try could not read comes after all windows: it must not stand in the way of the rest.
        self.late += (due.pop(key) for key in sorted(due.keys() & self.failed))
        tried = {key for key in due if any(book.is_expected(key) for book, _ in shown)}
        self.queue_up(sorted(due.values(), key=lambda ref: (ref.key in tried, by_age(ref))))

    def plan_unlisted(self, now: datetime) -> bool:
        """Queues what is unfinished, in none of the lists and not asked for yet; then what is late. False if there is
        nothing."""
        past = self.asked | {ref.key for ref in self.late}
        refs = {ref.key: ref for _, book in self.readers for ref in book.unlisted(now) if ref.key not in past}
        failed = self.failed
        found = sorted(refs.values(), key=lambda ref: ref.key in failed)
        if not found:
            found, self.late = self.late, []
        self.asked.update(ref.key for ref in found)
        self.queue_up(found)
        return bool(found)

    def open_links(self, told: Mapping[str, FileStatus]) -> list[BatchRef]:
        """To all batches that have something unfinished, to tell them something."""
        keys = {key: None for stream in self.streams for key in stream.ledger.batches.open}
        return [BatchRef(None, key.batch_id, named=True, linked=True, told=told) for key in keys]

    def release(self, *, held: bool = False) -> None:
        """Queues the batches of which all is told for now; those that are named only if `held`."""
        refs = [ref for key, ref in self.due.items() if key not in self.held]
        refs += self.held.values() if held else ()
        self.due.clear()
        if held:
            self.held.clear()
        books = [book for _, book in self.readers]
        failed = self.failed
        for ref in sorted(refs, key=lambda ref: ref.key in failed):
            memories = [book.memory_of(ref.key) for book in books]
            memo = next((memo for memo, _ in memories if memo), "")
            told = dict(ChainMap(*(told for _, told in memories), self.homeless))
            # What the registry says of a batch holds whoever asks for it: else its row would change to and fro.
            named = self.listing.refs.get(ref.key, ref)
            known = replace(
                ref,
                created_at=ref.created_at or named.created_at,
                clock=ref.clock or named.clock,
                expected_files=ref.expected_files or named.expected_files,
            )
            self.queue_up([replace(known, memo=memo, told=told)])

    def is_unknown(self, ref: BatchRef) -> bool:
        """Return whether the provider does not know a batch, as far as its readers remember it."""
        entries = [book.entries[ref.key] for _, book in self.readers if ref.key in book.entries]
        return bool(entries) and all(entry.status is BatchStatus.MISSING for entry in entries)

    @property
    def has_told(self) -> bool:
        return bool(self.held or self.due)

    def postpone(self, ref: BatchRef, now: datetime) -> None:
        """Remember what could not be read: it comes last at the next try.

        What stands in a list by time is asked for again whatever that list shows: it will soon be past it.
        """
        self.asked.add(ref.key)
        for _, book in self.readers:
            if not book.wants(ref):
                continue
            book.failed.add(ref.key)
            if self.product.watch is Watch.LIST:
                book.ask_again(ref, now)

    def fail(self, error: ConnectorError, streams: Iterable[Stream] | None = None, *, for_good: bool = False) -> None:
        for stream in (*self.streams, *self.followers) if streams is None else streams:
            stream.fail(error, for_good=for_good)


def routes(plan: Plan, streams: Sequence[Stream]) -> dict[str, Route]:
    """By product: those with selected streams, and those that are read for links alone."""
    found = {}
    for product in plan.products:
        own = [stream for stream in streams if stream.product == product.name]
        followers = [stream for stream in streams if product.links_to and stream.product == product.links_to]
        if own or followers:
            found[product.name] = Route(product if followers else _needed(product, own), own, followers)
    return found


def _needed(product: Product, streams: Sequence[Stream]) -> Product:
    """A product without the templates that are no business of any of the streams."""
    templates = product.template_ids
    return replace(
        product,
        template_ids=tuple(
            one for one in templates if any(stream.ledger.concerns(BatchRef(one, "")) for stream in streams)
        ),
    )
