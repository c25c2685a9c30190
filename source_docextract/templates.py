"""What a template or document type is to a typed table: its fields, and of what type each of them is. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from .fields import VALUE, About, Notation
from .model import BatchRef, Extraction, Json, JsonObject


class Kind(str, Enum):
    """The type of a field, by the name that JSON schemas have for it."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    OBJECT = "object"
    ARRAY = "array"

    def fits(self, value: Json) -> bool:
        """Whether a value was sent as this type. None is guessed: a text that reads like a number is a text."""
        return kind_of(value) is self


_KINDS: Mapping[type, Kind] = {
    str: Kind.STRING,
    bool: Kind.BOOLEAN,
    int: Kind.NUMBER,
    float: Kind.NUMBER,
    dict: Kind.OBJECT,
    list: Kind.ARRAY,
}

_DECLARED: Mapping[str, Kind] = {
    **{kind.value: kind for kind in Kind},
    "text": Kind.STRING,
    "date": Kind.STRING,
    "integer": Kind.NUMBER,
    "currency": Kind.NUMBER,
    "list": Kind.ARRAY,
}
"""What templates call the types of their fields; not all of these words are documented."""


def kind_of(value: Json) -> Kind | None:
    """The type of a value as it was sent; a null has none."""
    return _KINDS.get(type(value))


def declared(word: Json) -> Kind | None:
    """The type that a template gives a field; None for a word that is not known here."""
    return _DECLARED.get(word.lower()) if isinstance(word, str) else None


class Part(str, Enum):
    """What of a field a column holds: its value, or what the wrapper around that tells of it."""

    VALUE = "value"
    CONFIDENCE = "confidence"
    SIGNAL = "confidence_signal"
    UNIT = "unit"


@dataclass(frozen=True, slots=True)
class Field:
    """A field by the name that its provider has for it, and what is told of it beside its value."""

    name: str
    kind: Kind
    told: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Template:
    """What a typed table is made of.

    Attributes:
        of: the template's id, or the name of a document type, which is all the id it has.
        name: what a user calls it.
    """

    of: str
    name: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Templates:
    """What a provider tells of its templates. `troubles` are sentences about those that are left out."""

    known: Sequence[Template]
    troubles: Sequence[str] = ()


Unnamed = Callable[[frozenset[str]], Generator[Sequence[Any], Sequence[Json], frozenset[str]]]
"""Returns those of some templates that the settings no longer name, as a script: it may ask the provider."""


def all_named(_: frozenset[str]) -> Generator[Sequence[Any], Sequence[Json], frozenset[str]]:
    """Return none of the templates: no setting names them, so that each may come at any time."""
    yield from ()
    return frozenset()


def not_among(names: Iterable[str]) -> Unnamed:
    """Return the templates that the settings do not list; an empty list means all templates."""
    listed = frozenset(names)

    def unnamed(templates: frozenset[str]) -> Generator[Sequence[Any], Sequence[Json], frozenset[str]]:
        yield from ()
        return templates - listed if listed else frozenset()

    return unnamed


WhatOf = Callable[[BatchRef, Extraction], str | None]
"""What an extraction is of, by the batch that its document is in."""


def by_template(home: BatchRef, _: Extraction) -> str | None:
    return home.template_id


def by_type(_: BatchRef, extraction: Extraction) -> str | None:
    return extraction.document_type


def opened(value: Json, notation: Notation) -> tuple[Json, About]:
    """A field's value out of its wrapper, wrappers further down included, and what the outermost tells of it."""
    if isinstance(value, dict) and notation.wraps(value):
        return _bare(value[VALUE], notation), notation.about(value)
    return _bare(value, notation), About()


def _bare(value: Json, notation: Notation) -> Json:
    if not notation.sign:
        return value
    if isinstance(value, dict):
        if notation.wraps(value):
            return _bare(value[VALUE], notation)
        return {key: _bare(item, notation) for key, item in value.items()}
    return [_bare(item, notation) for item in value] if isinstance(value, list) else value


def seen(data: Iterable[JsonObject], notation: Notation) -> tuple[Field, ...]:
    """The fields that stand in some extracted data, in the order in which they come up.

    A field has the type that most of its values have; one that is null everywhere has none yet, and is left out.
    """
    kinds: defaultdict[str, Counter[Kind]] = defaultdict(Counter)
    told: defaultdict[str, set[Part]] = defaultdict(set)
    for document in data:
        for name, sent in document.items():
            if name in notation.aside:
                continue
            value, about = opened(sent, notation)
            kind = kind_of(value)
            kinds[name].update([kind] if kind else [])
            told[name].update(part for part, what in parts_of(about).items() if what is not None)
    order = list(Kind)
    return tuple(
        Field(
            name,
            max(counts, key=lambda kind: (counts[kind], -order.index(kind))),
            tuple(part for part in Part if part in told[name]),
        )
        for name, counts in kinds.items()
        if counts
    )


def parts_of(about: About) -> dict[Part, Json]:
    return {Part.CONFIDENCE: about.confidence, Part.SIGNAL: about.signal, Part.UNIT: about.unit}


def merged(first: Iterable[Field], then: Iterable[Field]) -> tuple[Field, ...]:
    """All of the first, with what is told of them in either, and those that only the others have."""
    found = {field.name: field for field in first}
    for field in then:
        known = found.get(field.name, field)
        told = tuple(part for part in Part if part in {*known.told, *field.told})
        found[field.name] = Field(field.name, known.kind, told)
    return tuple(found.values())
