"""Otherwise good answers with something in them that is not as documented."""

from random import Random

from .api import ID_MAP_KEYS
from .faults import FaultKind

_REPLACEMENTS: tuple[object, ...] = (True, 7, -1.5, "text", [], {})
_CORRUPTION_RATES = (1 / 100, 1 / 30, 1 / 8)
"""Of the values of one answer: a single one, some, or many."""


def corrupt_payload(body: object, fault_kind: FaultKind, opaque_keys: frozenset[str], random: Random) -> object:
    """The answer with a value of another type, a null, or a key that is missing; at least one, if it has any.

    What lies inside extracted data (`opaque`) and the ids of maps are left as they are: there, nobody could tell.
    """
    corruptor = _PayloadCorruptor(fault_kind, opaque_keys, random, random.choice(_CORRUPTION_RATES))
    for _ in range(1000):
        corrupted = corruptor.corrupt(body)
        if corrupted != body:
            return corrupted
    return body


class _PayloadCorruptor:
    """Changes a share of values."""

    def __init__(
        self, fault_kind: FaultKind, opaque_keys: frozenset[str], random: Random, corruption_rate: float
    ) -> None:
        self._fault_kind = fault_kind
        self._opaque_keys = opaque_keys
        self._random = random
        self._corruption_rate = corruption_rate

    def corrupt(self, value: object, *, is_recursive: bool = True) -> object:
        if self._fault_kind == "nulls" and self._is_chosen():
            return None
        if self._fault_kind == "wrong types" and self._is_chosen():
            return self._random.choice([item for item in (*_REPLACEMENTS, [value]) if not _is_same_type(item, value)])
        if isinstance(value, dict) and is_recursive:
            return {key: self._corrupt_member(key, item) for key, item in value.items() if not self._is_dropped()}
        if isinstance(value, list) and is_recursive:
            return [self.corrupt(item) for item in value]
        return value

    def _corrupt_member(self, key: str, value: object) -> object:
        if key in ID_MAP_KEYS and isinstance(value, dict):
            return {entry_id: self.corrupt(item) for entry_id, item in value.items()}
        return self.corrupt(value, is_recursive=key not in self._opaque_keys)

    def _is_dropped(self) -> bool:
        return self._fault_kind == "missing keys" and self._is_chosen()

    def _is_chosen(self) -> bool:
        return self._random.random() < self._corruption_rate


def _is_same_type(first: object, second: object) -> bool:
    """Whether both are of the same JSON type."""
    is_number_flags = [isinstance(value, (int, float)) and not isinstance(value, bool) for value in (first, second)]
    return all(is_number_flags) or type(first) is type(second)
