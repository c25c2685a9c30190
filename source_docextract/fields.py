"""The values in extracted data one by one: where each stands, and what its provider says of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from types import NoneType
from typing import NamedTuple

import orjson

from .model import Json, JsonObject, confidence

VALUE = "value"
"""The key of a wrapper that holds what it wraps, wherever there are wrappers."""

_TYPES: dict[type, str] = {str: "string", bool: "boolean", int: "number", float: "number", NoneType: "null"}

SCALARS = tuple(_TYPES)


class About(NamedTuple):
    """What a wrapper says of its value."""

    confidence: float | None = None
    signal: str | None = None
    unit: str | None = None


_NOTHING_SAID = About()


@dataclass(frozen=True, slots=True)
class Notation:
    """How a provider writes down what it extracted, where that is more than the values themselves.

    A wrapper is an object around one value, such as `{"value": "ABCDE1234F", "confidence_score": 0.98}`.

    Attributes:
        sign: the key that makes an object with a `value` a wrapper. Without one nothing is.
        sign_is: of which types what stands there may be, since data may have fields of these two names.
        confidence, signal, unit: the keys of a wrapper that tell these.
        column: the keys of a table's column that hold its name, which is no value of its own, and its values.
        aside: keys of `data` itself that hold no extracted value.
    """

    sign: str = ""
    sign_is: tuple[type, ...] = ()
    confidence: str = ""
    signal: str = ""
    unit: str = ""
    column: tuple[str, str] = ("", "")
    aside: frozenset[str] = frozenset()

    def wraps(self, value: JsonObject) -> bool:
        return self.sign in value and VALUE in value and isinstance(value[self.sign], self.sign_is)

    def about(self, wrapper: JsonObject) -> About:
        return About(
            confidence(wrapper.get(self.confidence)),
            _text(wrapper.get(self.signal)) if self.signal else None,
            _text(wrapper.get(self.unit)) if self.unit else None,
        )

    def is_column(self, value: JsonObject) -> bool:
        """Whether an object is the column of a table."""
        name, values = self.column
        return name in value and isinstance(value[name], str) and isinstance(value.get(values), list)


PLAIN = Notation()


class Leaf(NamedTuple):
    """One extracted value that has no parts.

    Attributes:
        path: a JSON Pointer into the data; it ends at the wrapper where that wraps this value alone.
        name: the last part of the path that is neither an index nor the `value` of a wrapper.
        position: the index in the nearest list.
        about: what the nearest wrapper says.
    """

    path: str
    name: str
    position: int | None
    value: Json
    about: About


def leaves(data: JsonObject, notation: Notation = PLAIN) -> list[Leaf]:
    """All of them, in their order. Nulls are among them; empty lists and objects have none."""
    walk = _Walk(notation)
    for key, value in data.items():
        if key not in notation.aside:
            walk.through(value, f"/{_token(key)}", key, None, _NOTHING_SAID)
    return walk.found


class _Walk:
    def __init__(self, notation: Notation) -> None:
        self.found: list[Leaf] = []
        self._notation = notation

    def through(self, value: Json, path: str, name: str, position: int | None, about: About) -> None:
        if isinstance(value, dict):
            if self._notation.wraps(value):
                inner, told = value[VALUE], self._notation.about(value)
                if isinstance(inner, (dict, list)):
                    self.through(inner, f"{path}/{VALUE}", name, position, told)
                else:
                    self.found.append(Leaf(path, name, position, inner, told))
                return
            label = self._notation.column[0] if self._notation.is_column(value) else None
            for key, item in value.items():
                if key != label:
                    self.through(item, f"{path}/{_token(key)}", key, position, about)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self.through(item, f"{path}/{index}", name, index, about)
        else:
            self.found.append(Leaf(path, name, position, value, about))


def written(value: Json) -> tuple[str | None, str, float | None]:
    """A value without parts as text, its type, and as a number if it is one.

    The text of a number is the shortest: how many zeros were sent after its point nobody knows any more.
    """
    kind = _TYPES[type(value)]
    if value is None or isinstance(value, str):
        return value, kind, None
    return orjson.dumps(value).decode().removesuffix(".0"), kind, _number(value)


def _token(key: str) -> str:
    """One part of a JSON Pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1") if "~" in key or "/" in key else key


def _number(value: Json) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) else None
