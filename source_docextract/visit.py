"""One provider during one sync: what to ask next, and what becomes of the answers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from queue import SimpleQueue
from typing import Any

from airbyte_cdk.models import AirbyteMessage

from .entries import Rules, Watch
from .errors import ConfigError, ConnectorError, CredentialsError, TransientError
from .http import Client
from .model import BatchRef, BatchStatus, Snapshot
from .providers.base import Plan, Script
from .routes import Notices, Route, routes
from .scroll import Oldest, Window
from .streams import Checkpoints, Stream
from .workers import SHAPES, Arrival, Job, Workers, unreadable

TROUBLES_IN_A_ROW = 3
"""After so many batches in a row that failed for good, the rest of a provider is not asked."""

_STATE_EVERY = 100  # documents of one window


@dataclass(frozen=True, slots=True)
class _List:
    """Tags the job that lists the batches of one template."""

    route: Route
    template_id: str


@dataclass(frozen=True, slots=True)
class _Scroll:
    """Tags the job that asks for a window of a list by time, or for where that list begins."""

    route: Route
    ask: Window | Oldest


@dataclass(frozen=True, slots=True)
class _Fetch:
    """Tags the job that fetches one batch."""

    route: Route
    ref: BatchRef


def _script(route: Route, ask: Window | Oldest) -> Script[Any]:
    if isinstance(ask, Window) and route.product.window:
        return route.product.window(ask)
    if isinstance(ask, Oldest) and route.product.oldest:
        return route.product.oldest(ask.scope)
    raise TypeError(f"{route.product.name} has no list by time")


class Visit:
    """One provider during one sync.

    Args:
        streams: the selected streams of its products.
        arrivals: where its workers report, in common with other visits.
        now: the clock.
    """

    def __init__(
        self,
        plan: Plan,
        streams: Sequence[Stream],
        *,
        client: Client,
        arrivals: SimpleQueue[Arrival],
        checkpoints: Checkpoints,
        rules: Rules,
        now: Callable[[], datetime],
        logger: logging.Logger,
    ) -> None:
        self.workers = Workers(client, arrivals)
        self.checkpoints = checkpoints
        self._name = plan.dialect.name
        self._client = client
        self._streams = streams
        self._rules = rules
        self._now = now
        self._logger = logger
        self._notices = Notices(logger)
        self._routes = routes(plan, streams)
        self._troubles_in_a_row = 0
        self._started = False
        self._given_up = False

    def go_on(self) -> Iterator[AirbyteMessage]:
        """Starts what can be started: the lists at first, then as many batches as there is room for."""
        if not self._started:
            self._started = True
            yield from self._list()
        for route in self._routes.values():
            if route.queue is None and not route.lists_missing and not self._given_up:
                if route.product.window:
                    route.open_scroll(self._rules, self._now())
                    continue
                for gone in route.plan(self._now()):
                    yield from self._deliver(route, gone)
        for route in self._routes.values():
            target = self._routes.get(route.product.links_to or "")
            if target and target.queue is None:
                continue  # only a planned product can tell whether a link leads to something new
            while not self._given_up:
                yield from self._scroll(route)
                if not route.queue or not self.workers.has_room(route.product.lane):
                    break
                ref = route.queue.popleft()
                route.fetching += 1
                yield from self._ended(self.workers.start(route.product.fetch(ref), _Fetch(route, ref)))

    @property
    def is_over(self) -> bool:
        return self._given_up or not any(route.has_work for route in self._routes.values())

    def take(self, arrival: Arrival) -> Iterator[AirbyteMessage]:
        """Takes in one answer, and delivers what that completes."""
        yield from self._ended(self.workers.arrived(arrival))

    def _list(self) -> Iterator[AirbyteMessage]:
        for route in self._routes.values():
            product = route.product
            route.listing.add(product.named)
            if product.discover is not None:
                route.lists_missing = len(product.template_ids)
                for template_id in product.template_ids:
                    yield from self._ended(self.workers.start(product.discover(template_id), _List(route, template_id)))

    def _scroll(self, route: Route) -> Iterator[AirbyteMessage]:
        """On to the next window, once all of the one before is delivered."""
        while route.scroll and not route.queue and not route.fetching and not route.asking and not self._given_up:
            if route.window and not route.scroll.broken:
                route.scroll.done(*route.window)
                if route.unsaved:
                    yield from self.checkpoints.after(route.unsaved)
            route.window, route.unsaved = None, 0
            ask = route.scroll.next()
            if ask is None:
                route.close_scroll()
                return
            route.asking = True
            yield from self._ended(self.workers.start(_script(route, ask), _Scroll(route, ask)))

    def _ended(self, job: Job[Any] | None) -> Iterator[AirbyteMessage]:
        """What follows from the end of a job; nothing while it goes on."""
        if job is None or self._given_up:
            return
        tag = job.tag
        if isinstance(tag, _List):
            tag.route.lists_missing -= 1
        elif isinstance(tag, _Scroll):
            tag.route.asking = False
        else:
            tag.route.fetching -= 1
        if job.error is not None:
            self._failed(tag, job.error)
            return
        self._troubles_in_a_row = 0
        if isinstance(tag, _List):
            tag.route.listing.listed.add(tag.template_id)
            tag.route.listing.add(job.result)
        elif isinstance(tag, _Fetch):
            yield from self._deliver(tag.route, job.result)
        elif isinstance(tag.ask, Window):
            tag.route.plan_window(tag.ask, job.result, self._now())
        elif tag.route.scroll:
            tag.route.scroll.begin(job.result)

    def finish(self) -> Iterator[AirbyteMessage]:
        """The last states, one terminal status a stream, and a line of what was done."""
        for route in self._routes.values():
            if route.queue is not None and route.scroll is None and not route.cut_short:
                for _, book in route.readers:
                    book.close(self._now())
        self._notices.close()
        yield from self.checkpoints.at_end()
        for stream in self._streams:
            yield from stream.end()
        self._logger.info(self._summary())

    def _deliver(self, route: Route, snapshot: Snapshot) -> Iterator[AirbyteMessage]:
        now = self._now()
        snapshot = snapshot.awaiting_files()
        try:
            told = [(stream, stream.rows_of(snapshot, now)) for stream in route.streams]
        except SHAPES as bug:
            self._failed(_Fetch(route, snapshot.ref), unreadable(self._name, bug))
            return
        self._tell(route, snapshot)
        # Before the batch that names them may settle, in the same state: no stop in between can lose a link.
        news = self._expect(route, snapshot, now)
        for stream, rows in told:
            for message in stream.deliver(snapshot, rows, now):
                news = True
                yield message
        for stream in route.followers:
            if stream.ledger.links.wants(snapshot.ref):
                stream.ledger.links.settle(snapshot, (), now)
        route.unsaved += news
        if news and (not route.scroll or route.unsaved >= _STATE_EVERY):
            yield from self.checkpoints.after(route.unsaved)
            route.unsaved = 0

    def _expect(self, route: Route, snapshot: Snapshot, now: datetime) -> bool:
        target = self._routes.get(route.product.links_to or "")
        if target is None or target.queue is None:
            return False
        news = False
        is_told = target.product.watch is Watch.LINK  # a link that comes with no change is no news there
        for link in snapshot.links:
            # Every follower has to hear of it, also after one that wants it.
            due = [
                stream.ledger.batches.expect(link, now, changed=is_told)
                for stream in route.followers
                if not is_told
                or (stream.ledger.links.wants(snapshot.ref) and stream.ledger.links.is_news(snapshot.ref))
            ]
            if any(due):
                news = True
                target.queue.append(link)
        return news

    def _tell(self, route: Route, snapshot: Snapshot) -> None:
        ref, now = snapshot.ref, self._now()
        for status in sorted(snapshot.odd_statuses):
            self._notices.once(
                f"{self._name} sent the status {status!r}, which is not known here; it counts as unfinished."
            )
        if snapshot.status is BatchStatus.MISSING:
            self._notices.warn("missing", f"{self._name} does not know batch {ref.key}. {snapshot.error}")
        if any(stream.ledger.batches.is_stalling(snapshot, now) for stream in route.streams):
            self._notices.warn("stalled", f"{self._name}'s batch {ref.key} is still unfinished and is given up.")

    def _failed(self, tag: _List | _Scroll | _Fetch, error: ConnectorError) -> None:
        route = tag.route
        route.fail(error)
        if route.scroll:
            route.scroll.broken = True  # what a window lacks must not be taken for read
        if isinstance(tag, _List):
            route.listing.unknown.add(tag.template_id)
        if isinstance(tag, _Fetch):
            self._notices.warn("failed", f"{self._name}'s batch {tag.ref.key} is left for the next sync. {error}")
        else:
            self._notices.warn("failed", str(error))
        if isinstance(error, CredentialsError):
            self._give_up(error)
        elif not isinstance(error, ConfigError):
            self._troubles_in_a_row += 1
            if self._troubles_in_a_row >= TROUBLES_IN_A_ROW:
                words = f"{self._name} failed {TROUBLES_IN_A_ROW} times in a row; the rest is left for the next sync."
                self._give_up(TransientError(f"{words} {error}"))

    def _give_up(self, error: ConnectorError) -> None:
        self._given_up = True
        self._notices.warn("given up", str(error))
        for route in self._routes.values():
            if route.has_work:
                route.fail(error, for_good=True)
        self.workers.close()

    def _summary(self) -> str:
        tally = self._client.tally
        requests = f"{tally.requests} requests" + (f" ({tally.retries} tried again)" if tally.retries else "")
        books = [route.streams[0].ledger.batches for route in self._routes.values() if route.streams]
        batches = f"batches {sum(len(book.open) for book in books)} open, {sum(book.settled for book in books)} settled"
        rows = ", ".join(f"{stream.name} {stream.rows}" for stream in self._streams)
        return f"{self._name}: {requests}; {batches}; rows: {rows}; waited {tally.waited:.1f} s."
