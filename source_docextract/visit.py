"""One provider during one sync: what to ask next, and what becomes of the answers."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain, starmap
from queue import SimpleQueue
from typing import Any

from airbyte_cdk.models import AirbyteMessage

from .delivery import Delivery
from .entries import Rules, Watch
from .errands import Errand, ToFetch, ToFindMembers, ToList, ToScroll
from .errors import BadLogin, ConfigError, ConnectorError, CredentialsError, QuotaError, Refused, TransientError
from .http import Client
from .model import BatchKey, BatchRef, Snapshot
from .named_ids import unknown_to_account
from .notices import Notices
from .providers.base import Plan, Script
from .routes import Route, routes
from .scripts import Arrival, Job, Scripts
from .scroll import Oldest, Scroll, Window
from .streams import Checkpoints, Stream
from .summary import summary

TROUBLES_IN_A_ROW = 3
"""After so many batches in a row that failed because the provider was out of reach or in trouble, the rest of it is not
asked. Answers that cannot be read, and refusals, speak of one thing each, however many of them come first."""

_UNPAID = 402
"""A refusal that speaks of the whole account."""


class Visit:
    """One provider during one sync.

    Args:
        streams: the selected streams of its products.
        arrivals: where its requests are reported, in common with other visits.
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
        self.scripts = Scripts(client, arrivals)
        self.checkpoints = checkpoints
        self._name = plan.dialect.name
        self._provider = plan
        self._client = client
        self._streams = streams
        self._rules = rules
        self._now = now
        self._logger = logger
        self._notices = Notices(logger, plan.dialect.name)
        self._routes = routes(plan, streams)
        self._delivery = Delivery(self._name, self._routes, checkpoints=checkpoints, notices=self._notices, now=now)
        self._troubles_in_a_row = 0
        self._has_succeeded = False
        self._failed_before: set[BatchKey] = set().union(*(route.failed for route in self._routes.values()))
        self._started = False
        self._given_up = False
        self._is_abandoned = False

    def go_on(self) -> Iterator[AirbyteMessage]:
        """Starts what can be started: the lists at first, then as many batches as there is room for."""
        if not self._started:
            self._started = True
            yield from self._list()
        yield from self._plan()
        is_moving = True
        while is_moving and not self._given_up:
            is_moving = False
            for route in self._routes.values():
                yield from self._fetch_due(route)
            for route in self._routes.values():
                if route.stages and not self._is_busy(route):
                    is_moving = True
                    yield from self._next_stage(route)

    @property
    def is_over(self) -> bool:
        return self._given_up or not any(route.has_work for route in self._routes.values())

    def take(self, arrival: Arrival) -> Iterator[AirbyteMessage]:
        """Takes in one answer, and delivers what that completes."""
        yield from self._ended(self.scripts.arrived(arrival))
        self.scripts.go_on(arrival)

    def finish(self) -> Iterator[AirbyteMessage]:
        """The last states, and a line of what was done."""
        told = summary(self._name, self._client.tally, self._routes.values(), self._streams)
        self._warn_of_account()
        self._notices.close()
        if not self._is_abandoned:
            self._close_books()
            yield from self.checkpoints.at_end()
        self._logger.info("%s", told)

    def end(self) -> Iterator[AirbyteMessage]:
        """One terminal status a stream."""
        for stream in self._streams:
            yield from stream.end()

    def _close_books(self) -> None:
        for route in self._routes.values():
            # What documents told is forgotten with their batches, so these are kept until all of them have been read.
            documents = self._linked(route) if route.product.watch is Watch.LINK else None
            if route.is_whole and (documents is None or documents.is_whole):
                for _, book in route.readers:
                    book.close(self._now(), route.product.scopes)

    def _warn_of_account(self) -> None:
        """Warn where the provider knows none of the batches that are named, as far as that is remembered."""
        named = [(route, ref) for route in self._routes.values() for ref in route.product.named]
        if named and all(route.is_unknown(ref) for route, ref in named):
            self._notices.warn("unknown to the account", unknown_to_account(self._provider))

    def _list(self) -> Iterator[AirbyteMessage]:
        for route in self._routes.values():
            product = route.product
            route.listing.add(product.named)
            if product.discover is not None:
                route.lists_missing = len(product.template_ids)
                late = {one for one in product.template_ids if BatchKey(one, "") in route.failed}
                for template_id in sorted(product.template_ids, key=late.__contains__):
                    yield from self._start(product.discover(template_id), ToList(route, template_id))

    def _plan(self) -> Iterator[AirbyteMessage]:
        for route in self._routes.values():
            if route.queue is not None or route.lists_missing or self._given_up:
                continue
            if route.product.window:
                route.queue_up([])
                route.stages = self._stages(route)
                continue
            for gone in route.plan(self._now()):
                yield from self._deliver(route, gone)

    def _fetch_due(self, route: Route) -> Iterator[AirbyteMessage]:
        target = self._linked(route)
        if target and target.queue is None:
            return  # only a planned product can tell whether a link leads to something new
        while route.queue and self.scripts.has_room(route.product.lane) and not self._given_up:
            ref = route.queue.popleft()
            yield from self._start(route.product.fetch(ref), ToFetch(route, ref))

    def _stages(self, route: Route) -> Iterator[Iterable[AirbyteMessage]]:
        """How a product with a list by time is read. Each stage begins when all of the one before is delivered.

        What is in the batches that are named by hand; then window by window, each with the batches its documents are
        in, and with the list of the next; at last what is in no list, with the batches that are named. What the last
        try could not read comes after all windows: however often it fails, it does not keep them from being read.
        """
        product, batches = route.product, self._linked(route)
        late: list[BatchRef] = []
        if batches and product.members:
            named = [ref for ref in batches.held.values() if not ref.linked]
            late = [ref for ref in named if ref.key in batches.failed]
            yield self._find_members(route, [ref for ref in named if ref not in late])
        books = [book for _, book in route.readers]
        scroll = Scroll(
            deque(product.scopes), books, self._rules.lookback, self._rules.start_date, self._now(), product.wider
        )
        ask = scroll.next()
        yield self._ask(route, scroll, ask)
        while ask:
            window = ask if isinstance(ask, Window) and route.listed else None
            if window and route.listed:
                route.plan_window(scroll, window, route.listed, self._now())
            route.listed, ask = None, scroll.next()
            yield self._ask(route, scroll, ask)  # on its way while what has been listed is asked for
            if window:
                if batches:
                    batches.release()
                    yield ()
                scroll.done(window)
                yield self._delivery.save()
        if late:
            yield self._find_members(route, late)
        while route.plan_unlisted(self._now()) or (batches and batches.has_told):
            yield ()
            if batches:
                batches.release(held=True)
                yield ()

    def _find_members(self, route: Route, batches: Sequence[BatchRef]) -> Iterator[AirbyteMessage]:
        members = route.product.members
        asks = [(members(ref), ToFindMembers(route, ref)) for ref in batches] if members else []
        return chain.from_iterable(starmap(self._start, asks))

    def _ask(self, route: Route, scroll: Scroll, ask: Window | Oldest | None) -> Iterable[AirbyteMessage]:
        product = route.product
        script: Script[Any] | None = None
        if isinstance(ask, Window) and product.window:
            script = product.window(ask)
        elif isinstance(ask, Oldest) and product.oldest:
            script = product.oldest(ask.scope)
        return self._start(script, ToScroll(route, scroll, ask)) if ask and script else ()

    def _next_stage(self, route: Route) -> Iterator[AirbyteMessage]:
        stage = next(route.stages, None) if route.stages else None
        if stage is None:
            route.stages = None
        else:
            yield from stage

    def _is_busy(self, route: Route) -> bool:
        target = self._linked(route)
        return route.is_busy or bool(target and (target.queue is None or target.is_busy))

    def _linked(self, route: Route) -> Route | None:
        return self._routes.get(route.product.links_to or "")

    def _start(self, script: Script[Any], tag: Errand) -> Iterator[AirbyteMessage]:
        tag.route.running += 1
        yield from self._ended(self.scripts.start(script, tag))

    def _ended(self, job: Job[Any] | None) -> Iterator[AirbyteMessage]:
        """What follows from the end of a job; nothing while it goes on."""
        if job is None or self._given_up:
            return
        tag: Errand = job.tag
        tag.route.running -= 1
        if isinstance(tag, ToList):
            tag.route.lists_missing -= 1
        if job.error is not None:
            self._failed(tag, job.error)
            return
        self._troubles_in_a_row = 0
        self._has_succeeded = True
        if isinstance(tag, ToList):
            tag.route.listing.listed.add(tag.template_id)
            tag.route.listing.add(job.result)
        elif isinstance(tag, ToFindMembers):
            batches = self._linked(tag.route)
            tag.route.plan_members(batches.wanting(tag.ref) if batches else (), job.result, self._now())
        elif isinstance(tag, ToFetch):
            yield from self._deliver(tag.route, job.result)
        elif isinstance(tag.ask, Window):
            tag.scroll.listed(tag.ask, len(job.result.refs) + job.result.elsewhere)
            tag.route.listed = job.result
            if job.result.trouble:
                self._notices.warn("partly unreadable", job.result.trouble)
        else:
            tag.scroll.begin(job.result)

    def _deliver(self, route: Route, snapshot: Snapshot) -> Iterator[AirbyteMessage]:
        try:
            yield from self._delivery.deliver(route, snapshot)
        except ConnectorError as trouble:
            self._failed(ToFetch(route, snapshot.ref), trouble)

    def _failed(self, tag: Errand, error: ConnectorError) -> None:
        """Nothing that a failure covers is taken for done, and those whom it concerns end incomplete."""
        route, now = tag.route, self._now()
        if isinstance(tag, ToScroll) and tag.scroll.fail(tag.ask, error):
            return  # it is asked for again, in smaller pieces
        if isinstance(tag, ToFetch):
            # A batch that was not read may have held links: those who follow them are incomplete as well.
            route.fail(error, route.wanting(tag.ref))
            route.postpone(tag.ref, now)
            self._notices.warn("failed", f"{self._name}'s batch {tag.ref.key.shown} is left for the next sync. {error}")
        else:
            route.fail(error)
            self._notices.warn("failed", str(error))
        if isinstance(tag, ToList):
            route.listing.unknown.add(tag.template_id)
            for _, book in route.readers:
                book.failed.add(BatchKey(tag.template_id, ""))
        elif isinstance(tag, ToScroll):
            route.cut_short = True
        elif isinstance(tag, ToFindMembers):
            route.cut_short = True
            if batches := self._linked(route):
                batches.fail(error, batches.wanting(tag.ref))
                batches.postpone(tag.ref, now)
                batches.held.pop(tag.ref.key, None)
        if isinstance(error, (CredentialsError, QuotaError)):
            self._give_up(error)
        elif self._is_of_the_provider(tag, error):
            self._troubles_in_a_row += 1
            if self._troubles_in_a_row >= TROUBLES_IN_A_ROW:
                words = f"{self._name} failed {TROUBLES_IN_A_ROW} times in a row; the rest is left for the next sync."
                self._give_up(error.told_as(f"{words} {error}"))

    def _is_of_the_provider(self, tag: Errand, error: ConnectorError) -> bool:
        """Return whether a failure says that the provider is out of reach or in trouble."""
        if isinstance(tag, ToList):
            # A template that nobody knows by its name in the settings says nothing of the others, nor does a list that
            # could not be had the last time while others are.
            is_known = self._has_succeeded and BatchKey(tag.template_id, "") in self._failed_before
            return isinstance(error, TransientError) and not is_known
        is_refused = isinstance(error, Refused) and error.status == _UNPAID
        return isinstance(error, (BadLogin, ConfigError, TransientError)) or is_refused

    def abandon(self, error: ConnectorError) -> None:
        """End the visit after an error that nothing in it expects. The states that are written stay the last ones."""
        self._is_abandoned = True
        self._give_up(error)
        for stream in self._streams:
            stream.fail(error, for_good=True)

    def _give_up(self, error: ConnectorError) -> None:
        self._given_up = True
        self._notices.warn("given up", str(error))
        for route in self._routes.values():
            if route.has_work:
                route.fail(error, for_good=True)
        self.scripts.close()
