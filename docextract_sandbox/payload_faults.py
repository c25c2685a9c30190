"""Faults that change values, types or keys in the JSON of a good response."""

from random import Random

from .api import ID_MAP_KEYS
from .faults import FaultKind

_REPLACEMENTS: tuple[object, ...] = (True, 7, -1.5, "text", [], {})
_CORRUPTION_RATES = (1 / 100, 1 / 30, 1 / 8)
"""Shares of the values of one response that are changed: a single value, some, or many."""


def corrupt_payload(body: object, fault_kind: FaultKind, opaque_keys: frozenset[str], random: Random) -> object:
    """Return a copy of a response body with at least one changed value, if it has any.

    Extracted data and the ids of maps stay unchanged: there, every type, null and key is valid, so that a client
    cannot recognize the fault.

    Args:
        body: The JSON value of the response.
        fault_kind: One of `PAYLOAD_FAULTS`.
        opaque_keys: Keys whose values are extracted data.
        random: Generator that chooses the values.
    """
    corruptor = _PayloadCorruptor(fault_kind, opaque_keys, random, random.choice(_CORRUPTION_RATES))
    # At the lowest rate a small body often stays as it was: draw again until something has changed.
    for _ in range(1000):
        corrupted = corruptor.corrupt(body)
        if corrupted != body:
            return corrupted
    return body


class _PayloadCorruptor:
    """A copier of JSON values that changes a share of them."""

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
            replacements = [item for item in (*_REPLACEMENTS, [value]) if not _is_same_type(item, value)]
            return self._random.choice(replacements)
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
    """Return whether two values have the same JSON type.

    Integers and floats are both numbers.
    """
    is_number_flags = [isinstance(value, (int, float)) and not isinstance(value, bool) for value in (first, second)]
    return all(is_number_flags) or type(first) is type(second)
