"""Inference of fields and their types, for typed tables. No I/O."""

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
"""Type names in templates, lower case. Extracta.ai's page "Fields" documents string, object and array, DocMap's "Get
Extraction" shows string; the others are a precaution, since DocMap's list of type names is not known."""


def parse_declared_type(type_name: Json) -> ValueType | None:
    """Return the type that a template declares for a field, None if unknown."""
    return _DECLARED_TYPES.get(type_name.lower()) if isinstance(type_name, str) else None


def build_unselected_finder(selected_keys: Iterable[str]) -> FindUnselected:
    """Return a request flow that finds the templates which the settings do not select.

    Args:
        selected_keys: Templates that the settings list; an empty list selects all.
    """
    selected = frozenset(selected_keys)

    def find_unselected(template_keys: frozenset[str]) -> Generator[Sequence[Any], Sequence[Json], frozenset[str]]:
        # A request flow has to be a generator, and this one needs no request: the settings name what is selected.
        yield from ()
        return template_keys - selected if selected else frozenset()

    return find_unselected


def infer_fields(documents: Iterable[JsonObject], wrapper_format: WrapperFormat) -> tuple[Field, ...]:
    """Return the fields of some extracted data, in order of first appearance.

    A field has the type of most of its values. A field that is null everywhere has no type yet and is left out.

    Args:
        documents: Extracted data, one object a document.
        wrapper_format: The objects around values, whose other parts become columns of their own.
    """
    type_counts: defaultdict[str, Counter[ValueType]] = defaultdict(Counter)
    parts_by_field: defaultdict[str, set[FieldPart]] = defaultdict(set)
    for document in documents:
        for name, wrapped_value in document.items():
            # Atlas puts the document type among the fields. It has a column of its own in every stream.
            if name in wrapper_format.ignored_keys:
                continue
            value, meta = unwrap(wrapped_value, wrapper_format)
            value_type = get_value_type(value)
            # A null has no type. Its field gets an entry all the same, so that the columns keep the order of first
            # appearance.
            type_counts[name].update([value_type] if value_type else [])
            meta_by_part = get_meta_by_part(meta)
            # Only parts that the provider sends become columns: Sensible, for example, states a unit for numbers alone.
            parts_by_field[name].update(part for part, meta_value in meta_by_part.items() if meta_value is not None)
    fields = []
    for name, counts in type_counts.items():
        if counts:
            meta_parts = tuple(part for part in FieldPart if part in parts_by_field[name])
            fields.append(Field(name, _find_most_common(counts), meta_parts))
    return tuple(fields)


def _find_most_common(counts: Counter[ValueType]) -> ValueType:
    """Return the most common type, in case of a tie the first of ValueType."""
    # The tie must not depend on the order of the rows, or a column would change its type between two syncs.
    type_order = list(ValueType)
    return max(counts, key=lambda value_type: (counts[value_type], -type_order.index(value_type)))


def merge_fields(preferred_fields: Iterable[Field], other_fields: Iterable[Field]) -> tuple[Field, ...]:
    """Return the preferred fields, then those that only the others have.

    A field in both has the type of the preferred one and the wrapper parts of either.
    """
    fields_by_name = {field.name: field for field in preferred_fields}
    for field in other_fields:
        known_field = fields_by_name.get(field.name, field)
        meta_parts = tuple(part for part in FieldPart if part in {*known_field.meta_parts, *field.meta_parts})
        fields_by_name[field.name] = Field(field.name, known_field.value_type, meta_parts)
    return tuple(fields_by_name.values())
