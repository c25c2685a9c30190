"""The objects that some providers wrap around each extracted value. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from types import NoneType
from typing import NamedTuple

from .json_types import Json, JsonObject
from .numbers import parse_confidence

VALUE_KEY = "value"
"""The key of a wrapper that holds what it wraps, wherever there are wrappers."""

TYPE_NAMES: dict[type, str] = {str: "string", bool: "boolean", int: "number", float: "number", NoneType: "null"}

SCALAR_TYPES = tuple(TYPE_NAMES)


class ValueMeta(NamedTuple):
    """What a wrapper says of its value."""

    confidence: float | None = None
    signal: str | None = None
    unit: str | None = None


NO_META = ValueMeta()


@dataclass(frozen=True, slots=True)
class WrapperFormat:
    """How a provider writes down what it extracted, where that is more than the values themselves.

    A wrapper is an object around one value, such as `{"value": "ABCDE1234F", "confidence_score": 0.98}`.

    Attributes:
        sign: the key that makes an object with a `value` a wrapper. Without one nothing is.
        sign_is: of which types what stands there may be, since data may have fields of these two names.
        confidence, signal, unit: the keys of a wrapper that tell these.
        column: the keys of a table's column that hold its name, which is no value of its own, and its values.
        aside: keys of `data` itself that hold no extracted value.
    """

    marker_key: str = ""
    marker_types: tuple[type, ...] = ()
    confidence_key: str = ""
    signal_key: str = ""
    unit_key: str = ""
    column_keys: tuple[str, str] = ("", "")
    ignored_keys: frozenset[str] = frozenset()

    def is_wrapper(self, value: JsonObject) -> bool:
        return self.marker_key in value and VALUE_KEY in value and isinstance(value[self.marker_key], self.marker_types)

    def read_meta(self, wrapper: JsonObject) -> ValueMeta:
        return ValueMeta(
            parse_confidence(wrapper.get(self.confidence_key)),
            _as_text(wrapper.get(self.signal_key)) if self.signal_key else None,
            _as_text(wrapper.get(self.unit_key)) if self.unit_key else None,
        )

    def is_table_column(self, value: JsonObject) -> bool:
        """Whether an object is the column of a table."""
        name_key, values_key = self.column_keys
        return name_key in value and isinstance(value[name_key], str) and isinstance(value.get(values_key), list)


NO_WRAPPERS = WrapperFormat()


def _as_text(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def unwrap(value: Json, wrapper_format: WrapperFormat) -> tuple[Json, ValueMeta]:
    """A field's value out of its wrapper, wrappers further down included, and what the outermost tells of it."""
    if isinstance(value, dict) and wrapper_format.is_wrapper(value):
        return _unwrap_nested(value[VALUE_KEY], wrapper_format), wrapper_format.read_meta(value)
    return _unwrap_nested(value, wrapper_format), ValueMeta()


def _unwrap_nested(value: Json, wrapper_format: WrapperFormat) -> Json:
    if not wrapper_format.marker_key:
        return value
    if isinstance(value, dict):
        if wrapper_format.is_wrapper(value):
            return _unwrap_nested(value[VALUE_KEY], wrapper_format)
        return {key: _unwrap_nested(item, wrapper_format) for key, item in value.items()}
    return [_unwrap_nested(item, wrapper_format) for item in value] if isinstance(value, list) else value
