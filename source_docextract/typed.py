"""Typed tables: a stream for each template or document type, with a column for each of its fields. Pure.

What `discover` has asked a provider stands in the JSON schema of the stream, where `read` finds it again without
asking: under `x-docextract`, at the top which template it is, at each column which field, and what of it. Airbyte hands
the schema back whole but for columns that its user has deselected.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import orjson
from airbyte_cdk.models import AirbyteStream

from .columns import RESULTS as RESULT_COLUMNS
from .columns import Column
from .fields import Notation
from .model import Document, Snapshot
from .names import apart, cut, digest, slug, tail, whole_digest
from .tables import RESULTS, Record, Row, Table, View, mark
from .templates import Field, Kind, Part, Template, WhatOf, opened, parts_of
from .values import STANDARD, GivenName

MARKED = "x-docextract"
"""The key of a JSON schema under which this connector finds its own again."""

ERRORS = "type_errors"

_COMMON: Mapping[str, Column] = {
    **{name: RESULT_COLUMNS[name] for name in ("id", "file_key", "batch_key", "file_name", "confidence")},
    "id": ({"type": "string"}, "Names this row: the id in the results stream."),
}
_LAST: Mapping[str, Column] = {
    ERRORS: (
        {"type": ["null", "array"], "items": {"type": "string"}},
        "The columns whose value was sent as another type. They are null here; the results stream has what was sent.",
    ),
    "observed_at": RESULT_COLUMNS["observed_at"],
}
COLUMNS = (*_COMMON, *_LAST)
"""Those that all typed tables have."""

_SCHEMAS: Mapping[Kind, Mapping[str, Any]] = {
    **{kind: {"type": ["null", kind.value]} for kind in Kind},
    Kind.OBJECT: {"type": ["null", "object"], "additionalProperties": True},
    Kind.ARRAY: {"type": ["null", "array"], "items": {}},
}
_TOLD: Mapping[Part, tuple[Kind, str]] = {
    Part.CONFIDENCE: (Kind.NUMBER, "How sure the provider is of {}, 0 to 1."),
    Part.SIGNAL: (Kind.STRING, "How sure the provider is of {}, in its own word."),
    Part.UNIT: (Kind.STRING, "What {} is counted in."),
}


def table_names(templates: Mapping[str, Iterable[Template]], given: Iterable[GivenName]) -> dict[tuple[str, str], str]:
    """The names of typed tables, by what their streams begin with and the template's id.

    Raises:
        ValueError: where a given name is for several templates of one name, in a sentence.
    """
    chosen: dict[tuple[str, str], str] = {}
    for one in given:
        own = list(templates.get(one.provider, ()))
        found = [template.of for template in own if template.of == one.of]
        found = found or [template.of for template in own if template.name == one.of]
        if len(found) > 1:
            raise ValueError(f"table_names gives one name to {len(found)} templates called {one.of!r}")
        chosen.update({(one.provider, of): one.table for of in found})
    drawn = {
        (product, one.of): cut(f"{product}_{slug(one.name) or tail(one.of)}")
        for product, own in templates.items()
        for one in own
        if (product, one.of) not in chosen
    }
    taken = STANDARD | set(chosen.values())
    return {**chosen, **apart(drawn, taken, (lambda key: tail(key[1]), lambda key: whole_digest(key[1])))}


def stream_of(product: str, template: Template, name: str) -> AirbyteStream:
    """As `discover` shows it."""
    table = Table(name, {**_COMMON, **_columns(template.fields), **_LAST}, RESULTS.rows)
    stream = table.stream(product)
    stream.name = name
    stream.json_schema[MARKED] = {"product": product, "of": template.of}
    return stream


def _columns(fields: Iterable[Field]) -> dict[str, Column]:
    columns: dict[str, Column] = {}
    by_name = {field.name: field for field in fields}
    names = _column_names(by_name)
    told = {(field.name, part): cut(names[field.name], f"_{part.value}") for field in fields for part in field.told}
    beside = apart(told, {*COLUMNS, *names.values()}, (lambda key: digest(key[0]), lambda key: whole_digest(key[0])))
    for name, field in by_name.items():
        marked = {"field": name, "part": Part.VALUE.value}
        columns[names[name]] = ({**_SCHEMAS[field.kind], MARKED: marked}, f"The field {name}.")
        for part in field.told:
            kind, meaning = _TOLD[part]
            schema = {**_SCHEMAS[kind], MARKED: {"field": name, "part": part.value}}
            columns[beside[name, part]] = (schema, meaning.format(name))
    return columns


def _column_names(fields: Iterable[str]) -> dict[str, str]:
    """Where two fields would have one column, the one that is called so keeps it, and others get an ending."""
    names = {name: cut(_column_name(name)) for name in fields}
    return apart(names, COLUMNS, (digest, whole_digest), [name for name, column in names.items() if name == column])


def _column_name(field: str) -> str:
    base = slug(field)
    if not base or base in COLUMNS:
        return f"field_{base or digest(field)}"
    return f"_{base}" if base[0].isdigit() else base


class _Read(NamedTuple):
    """What one column is read from. `kind` is what its value has to be."""

    column: str
    part: Part
    kind: Kind


@dataclass(frozen=True, slots=True)
class Typed:
    """A typed table, out of its JSON schema.

    Attributes:
        product: what its stream would begin with if it were one of the others.
        of: the id of its template, or its document type.
        reads: by field, the columns that come of it.
    """

    product: str
    of: str
    reads: Mapping[str, tuple[_Read, ...]]

    @classmethod
    def read(cls, schema: Mapping[str, Any]) -> Typed | None:
        """None where it is the schema of another stream, or not as this connector has written it."""
        reads: dict[str, tuple[_Read, ...]] = {}
        try:
            marked = schema[MARKED]
            for column, told in schema["properties"].items():
                if field := told.get(MARKED):
                    kind = next(kind for kind in Kind if kind.value in told["type"])
                    read = _Read(column, Part(field["part"]), kind)
                    reads[field["field"]] = (*reads.get(field["field"], ()), read)
            return cls(marked["product"], marked["of"], reads)
        except (AttributeError, KeyError, StopIteration, TypeError, ValueError):
            return None

    def table(self, of: WhatOf) -> Table:
        """The table of a product that knows by `of` what an extraction is of."""

        def rows(snapshot: Snapshot, view: View) -> Iterator[Row]:
            own = tuple(self._own(snapshot, of))
            for row in RESULTS.rows(replace(snapshot, documents=own), replace(view, keep_urls=False)) if own else ():
                yield self._row(*row.records, notation=view.notation)

        return Table(self.of, _COMMON, rows)

    def _own(self, snapshot: Snapshot, of: WhatOf) -> Iterator[Document]:
        """The documents that belong into the table, without what else was extracted from them."""
        for document in snapshot.documents or ():
            home = document.home or snapshot.ref
            extractions = tuple(one for one in document.extractions if of(home, one) == self.of)
            if extractions:
                yield document._replace(extractions=extractions)

    def _row(self, result: Record, *, notation: Notation) -> Row:
        """Out of a row of the results. Its mark is that of what was extracted, whichever columns there are."""
        record: Record = {name: result[name] for name in _COMMON}
        content = [*record.values(), result["digest"]]
        # Data that was no object stands under `value`, where no template has put it.
        wrapped = result["data"].keys() == {"value"} and "value" not in self.reads
        errors = ["data"] if wrapped and not isinstance(result["data"]["value"], dict) else []
        for field, reads in self.reads.items():
            value, about = opened(result["data"].get(field), notation)
            told = {Part.VALUE: value, **parts_of(about)}
            for column, part, kind in reads:
                fits = part is not Part.VALUE or value is None or kind.fits(value)
                record[column] = told[part] if fits else None
                if not fits:
                    errors.append(column)
        record[ERRORS] = errors or None
        return Row(record, mark(orjson.dumps(content)))
