"""Wrappers: the objects that some providers put around each extracted value. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from types import NoneType
from typing import NamedTuple

from .json_types import Json, JsonObject
from .numbers import parse_confidence

VALUE_KEY = "value"
"""The key of the wrapped value, on every provider that has wrappers (Atlas, Sensible)."""

TYPE_NAMES: dict[type, str] = {str: "string", bool: "boolean", int: "number", float: "number", NoneType: "null"}
"""The `value_type` of a leaf, by the Python type of its value."""

SCALAR_TYPES = tuple(TYPE_NAMES)


class ValueMeta(NamedTuple):
    """A wrapper's facts about its value.

    Attributes:
        confidence: the provider's confidence as a number, as sent.
        signal: the provider's confidence as a word (Sensible's `confidenceSignal`).
        unit: the unit of the value.
    """

    confidence: float | None = None
    signal: str | None = None
    unit: str | None = None


NO_META = ValueMeta()


@dataclass(frozen=True, slots=True)
class WrapperFormat:
    """The format of a provider's wrappers around extracted values.

    A wrapper is an object around one value, such as `{"value": "ABCDE1234F", "confidence_score": 0.98}`.

    Attributes:
        marker_key: the key that, beside `value`, makes an object a wrapper. Empty: the provider has no wrappers.
        marker_types: the types that the marker may have. Extracted data may have fields of the same two names, and
            this distinguishes them from wrappers.
        confidence_key: the key of `ValueMeta.confidence`.
        signal_key: the key of `ValueMeta.signal`; empty where the provider has none.
        unit_key: the key of `ValueMeta.unit`; empty where the provider has none.
        column_keys: the keys of a table column's name and of its values. The name is an id of the column and no
            extracted value.
        ignored_keys: top-level keys of the data that hold no extracted value (Atlas's `document_type`).
    """

    marker_key: str = ""
    marker_types: tuple[type, ...] = ()
    confidence_key: str = ""
    signal_key: str = ""
    unit_key: str = ""
    column_keys: tuple[str, str] = ("", "")
    ignored_keys: frozenset[str] = frozenset()

    def is_wrapper(self, value: JsonObject) -> bool:
        """Return whether an object is a wrapper."""
        return self.marker_key in value and VALUE_KEY in value and isinstance(value[self.marker_key], self.marker_types)

    def read_meta(self, wrapper: JsonObject) -> ValueMeta:
        """Return the confidence, signal and unit of a wrapper."""
        return ValueMeta(
            parse_confidence(wrapper.get(self.confidence_key)),
            _as_text(wrapper.get(self.signal_key)) if self.signal_key else None,
            _as_text(wrapper.get(self.unit_key)) if self.unit_key else None,
        )

    def is_table_column(self, value: JsonObject) -> bool:
        """Return whether an object is a column of an extracted table."""
        name_key, values_key = self.column_keys
        return name_key in value and isinstance(value[name_key], str) and isinstance(value.get(values_key), list)


NO_WRAPPERS = WrapperFormat()


def _as_text(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def unwrap(value: Json, wrapper_format: WrapperFormat) -> tuple[Json, ValueMeta]:
    """Return a field's value without wrappers, and the outermost wrapper's facts.

    Wrappers are removed at any depth.
    """
    # Around a list or an object (Atlas's `formatted_address`), a wrapper's confidence is that of the whole.
    if isinstance(value, dict) and wrapper_format.is_wrapper(value):
        return _unwrap_nested(value[VALUE_KEY], wrapper_format), wrapper_format.read_meta(value)
    return _unwrap_nested(value, wrapper_format), ValueMeta()


def _unwrap_nested(value: Json, wrapper_format: WrapperFormat) -> Json:
    # Extracta and DocMap have no wrappers: there, an object with a key `value` is extracted data as it is.
    if not wrapper_format.marker_key:
        return value
    if isinstance(value, dict):
        if wrapper_format.is_wrapper(value):
            return _unwrap_nested(value[VALUE_KEY], wrapper_format)
        return {key: _unwrap_nested(item, wrapper_format) for key, item in value.items()}
    if isinstance(value, list):
        return [_unwrap_nested(item, wrapper_format) for item in value]
    return value
