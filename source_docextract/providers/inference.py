"""What a template or document type is to a typed table: its fields, and of what type each of them is. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any

from ..core.json_types import Json, JsonObject
from ..core.templates import Field, FieldPart, FindUnselected, ValueType, get_meta_by_part, get_value_type
from ..core.wrappers import WrapperFormat, unwrap

_DECLARED_TYPES: Mapping[str, ValueType] = {
    **{value_type.value: value_type for value_type in ValueType},
    "text": ValueType.STRING,
    "date": ValueType.STRING,
    "integer": ValueType.NUMBER,
    "currency": ValueType.NUMBER,
    "list": ValueType.ARRAY,
}
"""What templates call the types of their fields; not all of these words are documented."""


def parse_declared_type(type_name: Json) -> ValueType | None:
    """The type that a template gives a field; None for a word that is not known here."""
    return _DECLARED_TYPES.get(type_name.lower()) if isinstance(type_name, str) else None


def build_unselected_finder(selected_keys: Iterable[str]) -> FindUnselected:
    """Return the templates that the settings do not list; an empty list means all templates."""
    selected = frozenset(selected_keys)

    def find_unselected(template_keys: frozenset[str]) -> Generator[Sequence[Any], Sequence[Json], frozenset[str]]:
        yield from ()
        return template_keys - selected if selected else frozenset()

    return find_unselected


def infer_fields(documents: Iterable[JsonObject], wrapper_format: WrapperFormat) -> tuple[Field, ...]:
    """The fields that stand in some extracted data, in the order in which they come up.

    A field has the type that most of its values have; one that is null everywhere has none yet, and is left out.
    """
    type_counts: defaultdict[str, Counter[ValueType]] = defaultdict(Counter)
    parts_by_field: defaultdict[str, set[FieldPart]] = defaultdict(set)
    for document in documents:
        for name, wrapped_value in document.items():
            if name in wrapper_format.ignored_keys:
                continue
            value, meta = unwrap(wrapped_value, wrapper_format)
            value_type = get_value_type(value)
            type_counts[name].update([value_type] if value_type else [])
            parts_by_field[name].update(
                part for part, meta_value in get_meta_by_part(meta).items() if meta_value is not None
            )
    type_order = list(ValueType)
    return tuple(
        Field(
            name,
            max(counts, key=lambda value_type: (counts[value_type], -type_order.index(value_type))),
            tuple(part for part in FieldPart if part in parts_by_field[name]),
        )
        for name, counts in type_counts.items()
        if counts
    )


def merge_fields(preferred_fields: Iterable[Field], other_fields: Iterable[Field]) -> tuple[Field, ...]:
    """All of the first, with what is told of them in either, and those that only the others have."""
    fields_by_name = {field.name: field for field in preferred_fields}
    for field in other_fields:
        known_field = fields_by_name.get(field.name, field)
        meta_parts = tuple(part for part in FieldPart if part in {*known_field.meta_parts, *field.meta_parts})
        fields_by_name[field.name] = Field(field.name, known_field.value_type, meta_parts)
    return tuple(fields_by_name.values())
