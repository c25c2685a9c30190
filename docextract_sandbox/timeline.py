"""Sorted keys of documents, in which a page is found by bisection, without a scan."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from typing import TypeAlias

TimelineKey: TypeAlias = tuple[int, str]
"""Milliseconds since 1970, and an id. Within one millisecond the order is by id (a guess for every API)."""


class Timeline:
    """A sorted list of document keys."""

    def __init__(self) -> None:
        """Start without keys."""
        self._keys: list[TimelineKey] = []

    def __len__(self) -> int:
        """Return the number of keys."""
        return len(self._keys)

    def add(self, key: TimelineKey) -> None:
        """Insert a key in its place."""
        insort(self._keys, key)

    def extend(self, keys: Iterable[TimelineKey]) -> None:
        """Insert many keys at once."""
        self._keys.extend(keys)
        # Sorting costs one pass if the keys are in order and later than those before: that is how histories are made.
        self._keys.sort()

    def remove(self, key: TimelineKey) -> None:
        """Remove a key, if the timeline holds it."""
        index = bisect_left(self._keys, key)
        if self._keys[index : index + 1] == [key]:
            del self._keys[index]

    def iter_newest_first(
        self, first_key: TimelineKey | None = None, end_key: TimelineKey | None = None
    ) -> Iterator[TimelineKey]:
        """Yield the keys from `first_key` up to but not including `end_key`, latest first.

        The timeline must not change while the caller iterates.
        """
        low, high = self._find_range(first_key, end_key)
        for index in range(high - 1, low - 1, -1):
            yield self._keys[index]

    def count(self, first_key: TimelineKey | None = None, end_key: TimelineKey | None = None) -> int:
        """Return the number of keys from `first_key` up to but not including `end_key`."""
        low, high = self._find_range(first_key, end_key)
        return max(0, high - low)

    def _find_range(self, first_key: TimelineKey | None, end_key: TimelineKey | None) -> tuple[int, int]:
        low = 0 if first_key is None else bisect_left(self._keys, first_key)
        high = len(self._keys) if end_key is None else bisect_left(self._keys, end_key)
        return low, high


def make_lower_key(milliseconds: int) -> TimelineKey:
    """Return a key that sorts before every document of that millisecond."""
    return milliseconds, ""


def make_upper_key(milliseconds: int) -> TimelineKey:
    """Return a key that sorts after every document of that millisecond."""
    return milliseconds + 1, ""
