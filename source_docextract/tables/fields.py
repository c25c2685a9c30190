"""The single values in extracted data, with paths and metadata. Pure."""

from __future__ import annotations

from typing import NamedTuple

import orjson

from ..core.json_types import Json, JsonObject
from ..core.wrappers import NO_META, NO_WRAPPERS, TYPE_NAMES, VALUE_KEY, ValueMeta, WrapperFormat


class Leaf(NamedTuple):
    """An extracted value that has no parts.

    Attributes:
        path: a JSON Pointer into the data. It ends at the wrapper if that wraps this value alone.
        name: the last part of the path that is neither an index nor the `value` of a wrapper.
        position: the index in the nearest list, from 0; None outside of lists.
        value: the value as sent.
        meta: the confidence, signal and unit of the nearest wrapper.
    """

    path: str
    name: str
    position: int | None
    value: Json
    meta: ValueMeta


def collect_leaves(data: JsonObject, wrapper_format: WrapperFormat = NO_WRAPPERS) -> list[Leaf]:
    """Return all leaves in their order, nulls included.

    Empty lists and objects have no leaves.

    Args:
        data: the data of one extraction.
        wrapper_format: how the provider wraps values.
    """
    collector = _LeafCollector(wrapper_format)
    for key, value in data.items():
        if key not in wrapper_format.ignored_keys:
            collector.collect(value, f"/{_escape_pointer_token(key)}", key, None, NO_META)
    return collector.leaves


class _LeafCollector:
    def __init__(self, wrapper_format: WrapperFormat) -> None:
        self.leaves: list[Leaf] = []
        self._wrapper_format = wrapper_format

    def collect(self, value: Json, path: str, name: str, position: int | None, meta: ValueMeta) -> None:
        if isinstance(value, dict):
            if self._wrapper_format.is_wrapper(value):
                # A wrapper around a list or an object passes its confidence and unit on to each scalar below.
                wrapped_value, wrapper_meta = value[VALUE_KEY], self._wrapper_format.read_meta(value)
                if isinstance(wrapped_value, (dict, list)):
                    self.collect(wrapped_value, f"{path}/{VALUE_KEY}", name, position, wrapper_meta)
                else:
                    self.leaves.append(Leaf(path, name, position, wrapped_value, wrapper_meta))
                return
            # The id of a table column is no extracted value.
            name_key = self._wrapper_format.column_keys[0] if self._wrapper_format.is_table_column(value) else None
            for key, item in value.items():
                if key != name_key:
                    self.collect(item, f"{path}/{_escape_pointer_token(key)}", key, position, meta)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self.collect(item, f"{path}/{index}", name, index, meta)
        else:
            self.leaves.append(Leaf(path, name, position, value, meta))


def format_scalar(value: Json) -> tuple[str | None, str, float | None]:
    """Return a scalar as text, its type, and its number if it is one.

    The text of a number is its shortest form: JSON parsers do not keep the zeros that the provider sent after the
    decimal point.
    """
    type_name = TYPE_NAMES[type(value)]
    if value is None or isinstance(value, str):
        return value, type_name, None
    return orjson.dumps(value).decode().removesuffix(".0"), type_name, _as_number(value)


def _escape_pointer_token(key: str) -> str:
    """Escape one part of a JSON Pointer (RFC 6901, section 3)."""
    return key.replace("~", "~0").replace("/", "~1") if "~" in key or "/" in key else key


def _as_number(value: Json) -> float | None:
    # Only a JSON number is a number: Python's `bool` is an `int`, and text is never parsed.
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
