"""Otherwise good answers with something in them that is not as documented."""

from random import Random

from .api import MAPS_BY_ID
from .faults import Kind

_OTHERS: tuple[object, ...] = (True, 7, -1.5, "text", [], {})
_SHARES = (1 / 100, 1 / 30, 1 / 8)
"""Of the values of one answer: a single one, some, or many."""


def spoilt(body: object, kind: Kind, opaque: frozenset[str], random: Random) -> object:
    """The answer with a value of another type, a null, or a key that is missing; at least one, if it has any.

    What lies inside extracted data (`opaque`) and the ids of maps are left as they are: there, nobody could tell.
    """
    spoiler = _Spoiler(kind, opaque, random, random.choice(_SHARES))
    for _ in range(1000):
        changed = spoiler.value(body)
        if changed != body:
            return changed
    return body


class _Spoiler:
    """Changes a share of values."""

    def __init__(self, kind: Kind, opaque: frozenset[str], random: Random, share: float) -> None:
        self._kind = kind
        self._opaque = opaque
        self._random = random
        self._share = share

    def value(self, value: object, *, inside: bool = True) -> object:
        if self._kind == "nulls" and self._is_chosen():
            return None
        if self._kind == "wrong types" and self._is_chosen():
            return self._random.choice([one for one in (*_OTHERS, [value]) if not _is_alike(one, value)])
        if isinstance(value, dict) and inside:
            return {key: self._below(key, one) for key, one in value.items() if not self._is_missing()}
        if isinstance(value, list) and inside:
            return [self.value(one) for one in value]
        return value

    def _below(self, key: str, value: object) -> object:
        if key in MAPS_BY_ID and isinstance(value, dict):
            return {id_: self.value(one) for id_, one in value.items()}
        return self.value(value, inside=key not in self._opaque)

    def _is_missing(self) -> bool:
        return self._kind == "missing keys" and self._is_chosen()

    def _is_chosen(self) -> bool:
        return self._random.random() < self._share


def _is_alike(one: object, other: object) -> bool:
    """Whether both are of the same JSON type."""
    numbers = [isinstance(value, (int, float)) and not isinstance(value, bool) for value in (one, other)]
    return all(numbers) or type(one) is type(other)
