"""What becomes of a reading: rows to the streams that want them, links to where they lead, states where worth it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from airbyte_cdk.models import AirbyteMessage

from .entries import Watch
from .errors import BadAnswer, unreadable
from .ledger import Book
from .model import BatchStatus, Snapshot
from .notices import Notices
from .plain import plain
from .routes import Route
from .streams import Checkpoints
from .tables import mark

_STATE_EVERY = 100  # documents of one window


class Delivery:
    """The way out, for one provider during one sync.

    Args:
        name: the provider as a user knows it.
        now: the clock.
    """

    def __init__(
        self,
        name: str,
        routes: Mapping[str, Route],
        *,
        checkpoints: Checkpoints,
        notices: Notices,
        now: Callable[[], datetime],
    ) -> None:
        self._name = name
        self._routes = routes
        self._checkpoints = checkpoints
        self._notices = notices
        self._now = now
        self._unsaved = 0

    def deliver(self, route: Route, snapshot: Snapshot) -> Iterator[AirbyteMessage]:
        """All that a reading leads to.

        Raises:
            BadAnswer: where it cannot be read. Nothing is written down then that has not been delivered, and up to a
                thousand rows of a stream nothing is delivered.
        """
        try:
            yield from self._deliver(route, snapshot)
        except Exception as bug:
            raise unreadable(self._name, bug) from None

    def _deliver(self, route: Route, snapshot: Snapshot) -> Iterator[AirbyteMessage]:
        now = self._now()
        snapshot = snapshot.awaiting_files()
        told = [
            (stream, stream.prepare(snapshot, now))
            for stream in route.streams
            if stream.ledger.batches.wants(snapshot.ref)
        ]
        self._tell(route, snapshot, now)
        # Before the batch that names them may settle, in the same state: no stop in between can lose a link.
        news = self._follow(route, snapshot, now)
        # What will be told anew at the end of this sync is not told yet: a row comes once in each. Were the sync broken
        # off before, the next one has to tell it.
        comes_again = snapshot.ref.key in route.held
        for stream, prepared in told:
            for message in stream.deliver(snapshot, None if comes_again else prepared, now):
                news = True
                yield message
            if comes_again and stream.ledger.batches.wants(snapshot.ref):
                stream.ledger.batches.ask_again(snapshot.ref, now)
        self._unsaved += news
        is_in_window = any(one.stages for one in self._routes.values())
        if news and (not is_in_window or self._unsaved >= _STATE_EVERY):
            yield from self.save()

    def save(self) -> Iterator[AirbyteMessage]:
        """States, if what was delivered since the last ones makes them worth their size."""
        if self._unsaved:
            yield from self._checkpoints.after(self._unsaved)
        self._unsaved = 0

    def _follow(self, route: Route, snapshot: Snapshot, now: datetime) -> bool:
        """Has the links of a reading read as well; true if one of them is due by that."""
        target = self._routes.get(route.product.links_to or "")
        if target is None or target.queue is None:
            return False
        is_news = _TO[target.product.watch](route, target, snapshot, now)
        for stream in route.followers:
            links = stream.ledger.links
            if links.wants(snapshot.ref):
                marks = _marks(links, snapshot, now) if target.product.watch is Watch.LINK else ()
                links.settle(snapshot, marks, now)
        return is_news

    def _tell(self, route: Route, snapshot: Snapshot, now: datetime) -> None:
        ref = snapshot.ref
        for status in sorted(snapshot.odd_statuses):
            words = f"{self._name} sent the status {plain(status)!r}, which is not known here; it counts as unfinished."
            self._notices.warn("unknown status", words)
        for key in sorted(snapshot.odd_times):
            words = (
                f"{self._name} sent a {key} that is not certain to be a time. "
                "The column is null, and provider_data has what was sent."
            )
            self._notices.warn("unknown time", words)
        noun = "batch" if route.product.watch is not Watch.LIST else "extraction"
        if snapshot.status is BatchStatus.MISSING:
            self._notices.warn("missing", f"{self._name} does not know {noun} {ref.key.shown}. {snapshot.error}")
        if any(stream.ledger.batches.is_stalling(snapshot, now) for stream in route.streams):
            self._notices.warn("stalled", f"{self._name}'s {noun} {ref.key.shown} is still unfinished and is given up.")
        if snapshot.trouble:
            route.fail(BadAnswer(snapshot.trouble), route.wanting(ref))
            self._notices.warn("partly unreadable", snapshot.trouble)


def _to_batches(route: Route, target: Route, snapshot: Snapshot, now: datetime) -> bool:
    """To batches that are asked for by themselves: to those that nobody has named so far."""
    is_news = False
    for link in snapshot.links:
        # Every follower has to hear of it, also after one that wants it.
        streams = [stream for stream in route.followers if stream.ledger.concerns(link)]
        wanted = [stream.ledger.batches.expect(link, now) for stream in streams]
        if any(wanted):
            target.queue_up([link])
            is_news = True
    return is_news


def _to_home(route: Route, target: Route, snapshot: Snapshot, now: datetime) -> bool:
    """From a document to its batch, which is asked for when all have told of themselves, if one of them told news."""
    links = list(snapshot.links)
    if snapshot.homeless:
        target.homeless.update((document.file_id or "", document.status) for document in snapshot.documents or ())
        if any(stream.ledger.links.is_open(snapshot.ref.key) for stream in route.followers):
            links = target.open_links(target.homeless)  # it is in one of these
    for stream in route.followers:
        told = stream.ledger.links
        is_news = snapshot.homeless or not told.has(snapshot.ref, _marks(told, snapshot, now))
        for link in links:
            if (is_news and told.wants(snapshot.ref)) or link.key in target.held:
                is_due = stream.ledger.batches.expect(link, now, changed=True)
                target.due.update({link.key: link} if is_due else {})
    for stream in route.streams:
        for link in links:
            if link.key in target.held and stream.ledger.links.wants(link):
                stream.ledger.links.expect(link, now, changed=True)
    return bool(target.due)


def _to_members(route: Route, target: Route, snapshot: Snapshot, now: datetime) -> bool:
    """From a batch to documents of which it cannot tell enough: they are asked for at the end, and then it is told."""
    if any(link.key not in target.asked for link in snapshot.links):
        route.held[snapshot.ref.key] = replace(snapshot.ref, told={})
    for stream in route.wanting(snapshot.ref):
        for link in snapshot.links:
            stream.book(target.product.name).ask_again(link, now)
    return False


_TO = {Watch.ASK: _to_batches, Watch.LINK: _to_home, Watch.LIST: _to_members}


def _marks(links: Book, snapshot: Snapshot, now: datetime) -> list[str]:
    """What a reading tells those it links to, by one mark for each link, as if these were rows."""
    is_given_up = links.is_stalling(snapshot, now)
    statuses = [document.status.value for document in snapshot.documents or ()]
    return [mark(repr((str(link.key), statuses, is_given_up)).encode()) for link in snapshot.links]
