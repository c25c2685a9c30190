"""Ranges of creation time: union and difference. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

BEGINNING = datetime(1, 1, 1, tzinfo=timezone.utc)
"""The start of a range that is open at its start."""


class TimeRange(NamedTuple):
    """The moments from `start` on and before `end`.

    The range is empty unless `end` is later than `start`.
    """

    start: datetime
    end: datetime


def go_back(moment: datetime, duration: timedelta) -> datetime:
    """Return the moment a duration earlier, or `BEGINNING` if that is later."""
    return moment - min(duration, moment - BEGINNING)


def merge_ranges(ranges: Iterable[TimeRange]) -> list[TimeRange]:
    """Return the union of ranges in as few ranges as possible, oldest first."""
    merged_ranges: list[TimeRange] = []
    for time_range in sorted(ranges):
        if time_range.end <= time_range.start:
            continue
        # Ranges that touch are joined too: an end is exclusive, so no moment lies between them.
        if merged_ranges and time_range.start <= merged_ranges[-1].end:
            merged_ranges[-1] = TimeRange(merged_ranges[-1].start, max(merged_ranges[-1].end, time_range.end))
        else:
            merged_ranges.append(time_range)
    return merged_ranges


def subtract_ranges(whole_range: TimeRange, ranges: Iterable[TimeRange]) -> list[TimeRange]:
    """Return the parts of `whole_range` that none of the ranges covers, oldest first."""
    gaps: list[TimeRange] = []
    start = whole_range.start
    for time_range in merge_ranges(ranges):
        if start < time_range.start:
            gaps.append(TimeRange(start, min(time_range.start, whole_range.end)))
        start = max(start, time_range.end)
    gaps.append(TimeRange(start, whole_range.end))
    return [time_range for time_range in gaps if time_range.start < time_range.end]
