"""One sync: discover, plan, fetch, deliver; every provider at its own pace, one thread that writes.

All providers run side by side. Whatever arrives first is read and delivered first; a batch is fetched once, whichever
of the selected streams need it, and each stream takes from it what is news to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from queue import Empty, SimpleQueue

from airbyte_cdk.models import AirbyteMessage

from .errors import ConnectorError, unforeseen
from .scripts import Arrival
from .stopping import Stop
from .visit import Visit

_HEARTBEAT = 5.0  # seconds between looks at the clock while nothing arrives


def run(visits: Sequence[Visit], arrivals: SimpleQueue[Arrival], stop: Stop) -> Iterator[AirbyteMessage]:
    """Delivers everything that is due. Ends all waits on every way out, also when the consumer walks away."""
    try:
        stop.look()
        for message in _deliver(visits, arrivals, stop):
            yield message
            stop.look()
    finally:
        for visit in visits:
            visit.scripts.close()


def _deliver(visits: Sequence[Visit], arrivals: SimpleQueue[Arrival], stop: Stop) -> Iterator[AirbyteMessage]:
    active = list(visits)
    while active:
        for visit in list(active):
            yield from _isolated(visit, visit.go_on())
            if visit.is_over:
                active.remove(visit)
                yield from _isolated(visit, visit.finish())
                yield from visit.end()
        if active:
            yield from _take_next(active, arrivals, stop)


def _isolated(visit: Visit, steps: Iterator[AirbyteMessage]) -> Iterator[AirbyteMessage]:
    """Take a step of one provider; an error that nothing in it expects ends the visit to this provider alone."""
    try:
        yield from steps
    except Exception as error:
        visit.abandon(error if isinstance(error, ConnectorError) else unforeseen(error))


def _take_next(active: Sequence[Visit], arrivals: SimpleQueue[Arrival], stop: Stop) -> Iterator[AirbyteMessage]:
    arrival = _next(arrivals, stop)
    for visit in active:
        if arrival and arrival.scripts is visit.scripts:
            yield from _isolated(visit, visit.take(arrival))
        if not visit.is_over:
            yield from _isolated(visit, visit.checkpoints.while_waiting())


def _next(arrivals: SimpleQueue[Arrival], stop: Stop) -> Arrival | None:
    if not arrivals.empty():
        return arrivals.get()  # nobody else takes any
    with stop.waiting():
        try:
            return arrivals.get(timeout=_HEARTBEAT)
        except Empty:
            return None
