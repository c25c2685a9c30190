"""What the lists by time of all providers share. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone

from ..core.json_types import Json
from ..core.model import PartitionRef
from ..core.provider import RequestFlow, Window
from ..core.requests import Request
from ..core.timestamps import truncate_to_day

OLDEST_CONCEIVABLE = datetime(2015, 1, 1, tzinfo=timezone.utc)

NEWEST_CONCEIVABLE = datetime(2100, 1, 1, tzinfo=timezone.utc)

_DAY = timedelta(days=1)

MAX_PAGES = 1000
"""Pages that one listing may have: of full pages that is 100,000 rows, and the shortest window of a list is a day."""


def find_oldest_day(
    request_newest: Callable[[datetime | None], Request], parse_created_at: Callable[[Json], datetime | None]
) -> RequestFlow[datetime | None]:
    """The day of the oldest row of a list that is newest first, by halving: a dozen requests, once.

    Args:
        newest: asks for one row, the newest that was created on a day or before; None for the newest of all.
        created: when the row of an answer was created, None where it holds none and there is none; where a row does
            not tell, the oldest time that is conceivable, so that nothing is taken for read; where there is more and
            none is shown, the newest that is conceivable: there may be some on that day or before.
    """
    [body] = yield [request_newest(None)]
    created_at = parse_created_at(body)
    if created_at is None:
        return None
    empty_day, oldest_known_day = OLDEST_CONCEIVABLE, max(truncate_to_day(created_at), OLDEST_CONCEIVABLE)
    while oldest_known_day - empty_day > _DAY:
        middle_day = truncate_to_day(empty_day + (oldest_known_day - empty_day) / 2)
        [body] = yield [request_newest(middle_day)]
        created_at = parse_created_at(body)
        if created_at is None:
            empty_day = middle_day
        else:
            oldest_known_day = max(min(middle_day, truncate_to_day(created_at)), OLDEST_CONCEIVABLE)
    return oldest_known_day


def is_near_window(window: Window, approx_created_at: datetime, margin: timedelta = _DAY) -> bool:
    """Whether it can be true of a row in the answer about a window, which may show so much more on each side."""
    return window.start - approx_created_at <= margin and approx_created_at - window.end < margin


def select_for_window(window: Window, ref: PartitionRef, margin: timedelta = _DAY) -> PartitionRef | None:
    """A row out of the answer about a window; None where it belongs to the window before or after.

    A time that is none, or cannot be true, decides nothing: it is only kept for the column.
    """
    if ref.approx_created_at is None or not is_near_window(window, ref.approx_created_at, margin):
        return replace(ref, approx_created_at=None)
    return ref if window.start <= ref.approx_created_at < window.end else None
