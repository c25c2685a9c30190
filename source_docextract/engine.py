"""One sync: discover, plan, fetch, deliver; every provider at its own pace, one thread that writes.

All providers run side by side. Whatever arrives first is read and delivered first; a batch is fetched once, whichever
of the selected streams need it, and each stream takes from it what is news to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from queue import Empty, SimpleQueue

from airbyte_cdk.models import AirbyteMessage

from .visit import Visit
from .workers import Arrival

_HEARTBEAT = 5.0  # seconds between looks at the clock while nothing arrives


def run(visits: Sequence[Visit], arrivals: SimpleQueue[Arrival]) -> Iterator[AirbyteMessage]:
    """Delivers everything that is due. Ends all waits on every way out, also when the consumer walks away."""
    active = list(visits)
    try:
        while active:
            for visit in list(active):
                yield from visit.go_on()
                if visit.is_over:
                    active.remove(visit)
                    yield from visit.finish()
            if active:
                yield from _take_next(active, arrivals)
    finally:
        for visit in visits:
            visit.workers.close()


def _take_next(active: Sequence[Visit], arrivals: SimpleQueue[Arrival]) -> Iterator[AirbyteMessage]:
    try:
        arrival = arrivals.get(timeout=_HEARTBEAT)
    except Empty:
        arrival = None
    for visit in active:
        if arrival and arrival.workers is visit.workers:
            yield from visit.take(arrival)
        yield from visit.checkpoints.while_waiting()
