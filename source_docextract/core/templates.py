"""Templates and document types, with the fields of their typed tables. Pure."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from .json_types import Json
from .model import Extraction, PartitionRef
from .wrappers import ValueMeta


class ValueType(str, Enum):
    """The type of a field, under its name in JSON schemas."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    OBJECT = "object"
    ARRAY = "array"

    def matches(self, value: Json) -> bool:
        """Return whether a value was sent as this type.

        No type is guessed: a string that reads like a number is a string.
        """
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
    """Return the type of a value as sent; None for a null, which has no type."""
    # The exact type decides, because a bool is an instance of int in Python and would pass as a number.
    return _VALUE_TYPES.get(type(value))


class FieldPart(str, Enum):
    """The part of a field that a column holds: its value or a wrapper's fact."""

    VALUE = "value"
    CONFIDENCE = "confidence"
    SIGNAL = "confidence_signal"
    UNIT = "unit"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a template or document type.

    Attributes:
        name: the provider's name for the field, the key in the extracted data.
        value_type: the type of its values.
        meta_parts: the facts that wrappers hold beside the value; each gets a column of its own.
    """

    name: str
    value_type: ValueType
    meta_parts: tuple[FieldPart, ...] = ()


@dataclass(frozen=True, slots=True)
class Template:
    """A template or document type, from which one typed table is built.

    Attributes:
        key: the template's id, or the name of a document type, which has no other id.
        name: the user's name for it.
        fields: its fields, in the order of the table's columns.
    """

    key: str
    name: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class DiscoveredTemplates:
    """The templates that discovery found.

    Attributes:
        templates: the templates that can be tables.
        errors: one sentence for each template that is left out.
    """

    templates: Sequence[Template]
    errors: Sequence[str] = ()


FindUnselected = Callable[[frozenset[str]], Generator[Any, Sequence[Json], frozenset[str]]]
"""A function that returns the templates that the settings no longer name.

It returns a `RequestFlow`, since the answer may take requests. The type is spelled out because the module that defines
`RequestFlow` imports this one.
"""


def assume_all_selected(_: frozenset[str]) -> Generator[Sequence[Any], Sequence[Json], frozenset[str]]:
    """Return no template as unselected.

    Without a setting that names templates, each may have rows at any time.
    """
    yield from ()
    return frozenset()


TableKey = Callable[[PartitionRef, Extraction], str | None]
"""A function that returns the template or document type of an extraction, given the batch of its document."""


def get_template_key(batch: PartitionRef, _: Extraction) -> str | None:
    """Return the id of the template above a batch, as the key of a typed table."""
    return batch.template_id


def get_document_type_key(_: PartitionRef, extraction: Extraction) -> str | None:
    """Return an extraction's document type, as the key of a typed table."""
    return extraction.document_type


def get_meta_by_part(meta: ValueMeta) -> dict[FieldPart, Json]:
    """Return a wrapper's facts by the part of the field that a column would hold."""
    return {FieldPart.CONFIDENCE: meta.confidence, FieldPart.SIGNAL: meta.signal, FieldPart.UNIT: meta.unit}
