"""What a sync did at one provider, in a line for somebody who is tired. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .entries import Watch
from .http import Tally
from .routes import Route
from .streams import Stream


def summary(name: str, tally: Tally, routes: Iterable[Route], streams: Sequence[Stream]) -> str:
    """Requests, what is finished and what is not, rows by stream, seconds waited.

    Batches are settled so far as they are remembered. Lists by time show extractions that are remembered only while
    they may change, so of these the open ones are told.
    """
    requests = f"{tally.requests} request{'' if tally.requests == 1 else 's'}"
    retries = f" ({tally.retries} tried again)" if tally.retries else ""
    rows = ", ".join(f"{stream.name} {stream.rows}" for stream in streams)
    parts = [f"{requests}{retries}", *_unfinished(routes), f"rows: {rows}", f"waited {tally.waited:.1f} s"]
    return f"{name}: {'; '.join(parts)}."


def _unfinished(routes: Iterable[Route]) -> list[str]:
    own = [(route.product.watch is Watch.LIST, route.streams[0].ledger.batches) for route in routes if route.streams]
    batches = [book for is_list, book in own if not is_list]
    extractions = [book for is_list, book in own if is_list]
    told = []
    if batches:
        missing = sum(len(one.missing) for one in batches)
        told.append(
            f"batches {sum(len(one.open) for one in batches)} open, {sum(one.settled for one in batches)} settled"
            f"{f', {missing} missing' if missing else ''}"
        )
    if extractions:
        told.append(f"extractions {sum(len(one.open) for one in extractions)} open")
    return told
