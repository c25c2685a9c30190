"""What a template or document type is to a typed table: its fields, and of what type each of them is. Pure."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from .json_types import Json
from .model import Extraction, PartitionRef
from .wrappers import ValueMeta


class ValueType(str, Enum):
    """The type of a field, by the name that JSON schemas have for it."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    OBJECT = "object"
    ARRAY = "array"

    def matches(self, value: Json) -> bool:
        """Whether a value was sent as this type. None is guessed: a text that reads like a number is a text."""
        return get_value_type(value) is self


_VALUE_TYPES: Mapping[type, ValueType] = {
    str: ValueType.STRING,
    bool: ValueType.BOOLEAN,
    int: ValueType.NUMBER,
    float: ValueType.NUMBER,
    dict: ValueType.OBJECT,
    list: ValueType.ARRAY,
}


def get_value_type(value: Json) -> ValueType | None:
    """The type of a value as it was sent; a null has none."""
    return _VALUE_TYPES.get(type(value))


class FieldPart(str, Enum):
    """What of a field a column holds: its value, or what the wrapper around that tells of it."""

    VALUE = "value"
    CONFIDENCE = "confidence"
    SIGNAL = "confidence_signal"
    UNIT = "unit"


@dataclass(frozen=True, slots=True)
class Field:
    """A field by the name that its provider has for it, and what is told of it beside its value."""

    name: str
    value_type: ValueType
    meta_parts: tuple[FieldPart, ...] = ()


@dataclass(frozen=True, slots=True)
class Template:
    """What a typed table is made of.

    Attributes:
        of: the template's id, or the name of a document type, which is all the id it has.
        name: what a user calls it.
    """

    key: str
    name: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class DiscoveredTemplates:
    """What a provider tells of its templates. `troubles` are sentences about those that are left out."""

    templates: Sequence[Template]
    errors: Sequence[str] = ()


FindUnselected = Callable[[frozenset[str]], Generator[Sequence[Any], Sequence[Json], frozenset[str]]]
"""Returns those of some templates that the settings no longer name, as a script: it may ask the provider."""


def assume_all_selected(_: frozenset[str]) -> Generator[Sequence[Any], Sequence[Json], frozenset[str]]:
    """Return none of the templates: no setting names them, so that each may come at any time."""
    yield from ()
    return frozenset()


TableKey = Callable[[PartitionRef, Extraction], str | None]
"""What an extraction is of, by the batch that its document is in."""


def get_template_key(batch: PartitionRef, _: Extraction) -> str | None:
    return batch.template_id


def get_document_type_key(_: PartitionRef, extraction: Extraction) -> str | None:
    return extraction.document_type


def get_meta_by_part(meta: ValueMeta) -> dict[FieldPart, Json]:
    return {FieldPart.CONFIDENCE: meta.confidence, FieldPart.SIGNAL: meta.signal, FieldPart.UNIT: meta.unit}
