"""Reading of lists ordered by creation time, for DocMap and Sensible. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone

from ..core.json_types import Json
from ..core.model import PartitionRef
from ..core.provider import RequestFlow, Window
from ..core.requests import Request
from ..core.timestamps import truncate_to_day
from .parsing import parse_each

OLDEST_CONCEIVABLE = datetime(2015, 1, 1, tzinfo=timezone.utc)
"""Earliest plausible creation time of a row."""

NEWEST_CONCEIVABLE = datetime(2100, 1, 1, tzinfo=timezone.utc)
"""Latest plausible creation time of a row."""

_DAY = timedelta(days=1)

MAX_PAGES = 1000
"""Upper limit of the pages of one listing: 100,000 rows in full pages, where the shortest window of a list is a day."""


def list_month_starts(newest: datetime, count: int, step: int = 1) -> list[datetime]:
    """Return the first days of months up to a time, newest first.

    Samples of a list begin at them. Being the same at each discovery, they find the same fields again.

    Args:
        newest: The latest possible day.
        count: The number of days.
        step: The number of months between two of them; 3 for the quarters of the year.
    """
    if newest < OLDEST_CONCEIVABLE:
        return []
    month_index = 12 * newest.year + newest.month - 1
    month_indexes = [month_index - month_index % step - step * number for number in range(count)]
    return [datetime(index // 12, index % 12 + 1, 1, tzinfo=timezone.utc) for index in month_indexes]


def find_oldest_day(
    request_newest: Callable[[datetime | None], Request],
    parse_page: Callable[[Json], tuple[list[Json], object]],
    parse_ref: Callable[[Json], PartitionRef],
) -> RequestFlow[datetime | None]:
    """Find the day of the oldest row in a list that is newest first.

    Neither API returns the oldest row, and paging down to it would read the whole list. Halving the range of days takes
    about a dozen requests, once for each list.

    Args:
        request_newest: Returns a request for one row, the newest created on a day or before; None means no limit.
        parse_page: Returns the rows of a response, and whether it announces more (true or false as a condition).
        parse_ref: Returns a row with its creation time.

    Returns:
        A day, not before OLDEST_CONCEIVABLE; None if the list is empty.
    """

    def find_created_at(body: Json) -> datetime | None:
        rows, announces_more = parse_page(body)
        if not rows:
            # There may be rows on that day or before.
            return NEWEST_CONCEIVABLE if announces_more else None
        refs = parse_each(rows[:1], parse_ref)
        # A row without a readable time counts as old, so that no day counts as empty by mistake.
        return (refs[0].approx_created_at if refs else None) or OLDEST_CONCEIVABLE

    [body] = yield [request_newest(None)]
    created_at = find_created_at(body)
    if created_at is None:
        return None
    # Invariant: all rows are later than `empty_day`, and the oldest one is not later than `oldest_known_day`.
    empty_day, oldest_known_day = OLDEST_CONCEIVABLE, max(truncate_to_day(created_at), OLDEST_CONCEIVABLE)
    while oldest_known_day - empty_day > _DAY:
        middle_day = truncate_to_day(empty_day + (oldest_known_day - empty_day) / 2)
        [body] = yield [request_newest(middle_day)]
        created_at = find_created_at(body)
        if created_at is None:
            empty_day = middle_day
        else:
            # The middle day is the limit where the response has no row but announces more (NEWEST_CONCEIVABLE). A row
            # that is older than the middle day shortens the search further.
            oldest_known_day = max(min(middle_day, truncate_to_day(created_at)), OLDEST_CONCEIVABLE)
    return oldest_known_day


def is_near_window(window: Window, approx_created_at: datetime, margin: timedelta = _DAY) -> bool:
    """Return whether a row with this creation time can stand in a response.

    Args:
        window: The requested window.
        approx_created_at: The creation time that the row states.
        margin: How far beyond the window the response may reach on each side.
    """
    return window.start - approx_created_at <= margin and approx_created_at - window.end < margin


def select_for_window(window: Window, ref: PartitionRef, margin: timedelta = _DAY) -> PartitionRef | None:
    """Return a row if it belongs to a window, None if to the one before or after.

    A row without a creation time, or with an implausible one, belongs to the window in whose response it stands. It
    loses `approx_created_at`, and keeps `created_at` for the column.
    """
    if ref.approx_created_at is None or not is_near_window(window, ref.approx_created_at, margin):
        # The provider selected the row for this window. Leaving it out for want of a plausible time would lose it.
        return replace(ref, approx_created_at=None)
    # Windows share their edges. A row of exactly that time belongs to the later window alone, so that it is neither
    # lost nor delivered twice.
    return ref if window.start <= ref.approx_created_at < window.end else None
