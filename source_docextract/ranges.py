"""Ranges of creation time: their union, and what one range has beyond others. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import NamedTuple

BEGINNING = datetime(1, 1, 1, tzinfo=timezone.utc)
"""The start of a range that has none."""


class Range(NamedTuple):
    """The moments from `start` on and before `end`; none where `end` is not later."""

    start: datetime
    end: datetime


def united(ranges: Iterable[Range]) -> list[Range]:
    """Return the same moments in as few ranges as possible, oldest first."""
    found: list[Range] = []
    for one in sorted(ranges):
        if one.end <= one.start:
            continue
        if found and one.start <= found[-1].end:
            found[-1] = Range(found[-1].start, max(found[-1].end, one.end))
        else:
            found.append(one)
    return found


def without(whole: Range, ranges: Iterable[Range]) -> list[Range]:
    """Return the moments of `whole` that are in none of the ranges, oldest first."""
    found: list[Range] = []
    start = whole.start
    for one in united(ranges):
        if start < one.start:
            found.append(Range(start, min(one.start, whole.end)))
        start = max(start, one.end)
    found.append(Range(start, whole.end))
    return [one for one in found if one.start < one.end]
