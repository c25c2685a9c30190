"""Long histories in the order of their creation, of which a page is found without looking at the rest."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from typing import TypeAlias

TimelineKey: TypeAlias = tuple[int, str]
"""Milliseconds since 1970, and an id. What is of one millisecond is ordered by id (a guess for every API here)."""


class Timeline:
    """Keys of documents, kept in order."""

    def __init__(self) -> None:
        self._keys: list[TimelineKey] = []

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: TimelineKey) -> None:
        insort(self._keys, key)

    def extend(self, keys: Iterable[TimelineKey]) -> None:
        """Many at once: next to nothing for each if they are in order and later than what is here."""
        self._keys.extend(keys)
        self._keys.sort()

    def remove(self, key: TimelineKey) -> None:
        """Does nothing if it is not here."""
        index = bisect_left(self._keys, key)
        if self._keys[index : index + 1] == [key]:
            del self._keys[index]

    def iter_newest_first(
        self, first_key: TimelineKey | None = None, end_key: TimelineKey | None = None
    ) -> Iterator[TimelineKey]:
        """Keys from `first` on and before `end`, the latest first. Nothing may be added or removed meanwhile."""
        low, high = self._find_range(first_key, end_key)
        for index in range(high - 1, low - 1, -1):
            yield self._keys[index]

    def count(self, first_key: TimelineKey | None = None, end_key: TimelineKey | None = None) -> int:
        low, high = self._find_range(first_key, end_key)
        return max(0, high - low)

    def _find_range(self, first_key: TimelineKey | None, end_key: TimelineKey | None) -> tuple[int, int]:
        low = 0 if first_key is None else bisect_left(self._keys, first_key)
        return low, len(self._keys) if end_key is None else bisect_left(self._keys, end_key)


def make_lower_key(milliseconds: int) -> TimelineKey:
    """Before whatever is of that millisecond."""
    return milliseconds, ""


def make_upper_key(milliseconds: int) -> TimelineKey:
    """Behind whatever is of that millisecond."""
    return milliseconds + 1, ""
