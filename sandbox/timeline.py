"""Long histories in the order of their creation, of which a page is found without looking at the rest."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from typing import TypeAlias

Key: TypeAlias = tuple[int, str]
"""Milliseconds since 1970, and an id. What is of one millisecond is ordered by id (a guess for every API here)."""


class Timeline:
    """Keys of documents, kept in order."""

    def __init__(self) -> None:
        self._keys: list[Key] = []

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: Key) -> None:
        insort(self._keys, key)

    def extend(self, keys: Iterable[Key]) -> None:
        """Many at once: next to nothing for each if they are in order and later than what is here."""
        self._keys.extend(keys)
        self._keys.sort()

    def remove(self, key: Key) -> None:
        """Does nothing if it is not here."""
        place = bisect_left(self._keys, key)
        if self._keys[place : place + 1] == [key]:
            del self._keys[place]

    def newest_first(self, first: Key | None = None, end: Key | None = None) -> Iterator[Key]:
        """Keys from `first` on and before `end`, the latest first. Nothing may be added or removed meanwhile."""
        low, high = self._range(first, end)
        for place in range(high - 1, low - 1, -1):
            yield self._keys[place]

    def count(self, first: Key | None = None, end: Key | None = None) -> int:
        low, high = self._range(first, end)
        return max(0, high - low)

    def _range(self, first: Key | None, end: Key | None) -> tuple[int, int]:
        low = 0 if first is None else bisect_left(self._keys, first)
        return low, len(self._keys) if end is None else bisect_left(self._keys, end)


def from_(milliseconds: int) -> Key:
    """Before whatever is of that millisecond."""
    return milliseconds, ""


def after(milliseconds: int) -> Key:
    """Behind whatever is of that millisecond."""
    return milliseconds + 1, ""
