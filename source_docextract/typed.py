"""Typed tables: a stream for each template or document type, with a column for each of its fields. Pure.

What `discover` has asked a provider stands in the JSON schema of the stream, where `read` finds it again without
asking: under `x-docextract`, at the top which template it is, at each column which field, and what of it. Airbyte hands
the schema back whole but for columns that its user has deselected. The column `id` names the template as well: Airbyte
compares a new schema with the kept one by the columns alone, and would keep the old one where a table is given to
another template of the same fields.
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
from .names import SYSTEM_COLUMNS, apart, cut, digest, slug, tail, whole_digest
from .plain import plain
from .tables import RESULTS, Record, Row, Table, View, mark
from .templates import Field, Kind, Part, Template, WhatOf, opened, parts_of
from .values import STANDARD, GivenName

MARKED = "x-docextract"
"""The key of a JSON schema under which this connector finds its own again."""

ERRORS = "type_errors"

_COMMON: Mapping[str, Column] = {
    "id": ({"type": "string"}, "Names this row: the id in the results stream."),
    **{
        name: RESULT_COLUMNS[name]
        for name in ("file_key", "batch_key", "batch_id", "template_name", "file_name", "confidence", "created_at")
    },
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
    """Return the stream of a typed table as `discover` shows it."""
    table = Table(name, {**_COMMON, **_columns(template.fields), **_LAST}, RESULTS.rows)
    stream = table.stream(product)
    stream.name = name
    mark = {"product": product, "of": template.of}
    stream.json_schema["properties"]["id"][MARKED] = mark
    # The name is at the top alone: a template that is renamed is no change of the table.
    stream.json_schema[MARKED] = {**mark, "name": template.name}
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
    if not base or base in COLUMNS or base in SYSTEM_COLUMNS:
        return f"field_{base or digest(field)}"
    return f"_{base}" if base[0].isdigit() else base


def _template_of(mark: Any) -> tuple[str, str]:
    try:
        product, of = mark["product"], mark["of"]
    except (KeyError, TypeError):
        raise LostMarks("it does not name its template") from None
    if not (isinstance(product, str) and isinstance(of, str)):
        raise LostMarks("it does not name its template")
    return product, of


def _read(column: str, described: Mapping[str, Any]) -> tuple[str, _Read]:
    """Return the field of a column, and what of it the column holds."""
    mark = described[MARKED]
    kind = next(kind for kind in Kind if kind.value in described["type"])
    return mark["field"], _Read(column, Part(mark["part"]), kind)


class _Read(NamedTuple):
    """What one column is read from. `kind` is what its value has to be."""

    column: str
    part: Part
    kind: Kind


class LostMarks(ValueError):
    """The schema of a typed table without all that `discover` wrote into it. The message is the reason."""


@dataclass(frozen=True, slots=True)
class Typed:
    """A typed table, out of its JSON schema.

    Attributes:
        product: what its stream would begin with if it were one of the others.
        of: the id of its template, or its document type.
        reads: by field, the columns that come of it.
        name: the template's name at the last discovery; empty in schemas of earlier versions.
    """

    product: str
    of: str
    reads: Mapping[str, tuple[_Read, ...]]
    name: str = ""

    @classmethod
    def read(cls, schema: Mapping[str, Any]) -> Typed | None:
        """Read a typed table out of its schema. None for the schema of any other stream, which holds no mark.

        Raises:
            LostMarks: for a schema that has lost or contradicts a part of what `discover` wrote into it. Without it a
                column would be empty, or hold rows of another template.
        """
        properties = schema.get("properties")
        if not isinstance(properties, Mapping):
            if MARKED in schema:
                raise LostMarks("it has no columns")
            return None
        columns = {name: column if isinstance(column, Mapping) else {} for name, column in properties.items()}
        if MARKED not in schema and not any(MARKED in column for column in columns.values()):
            return None
        # Earlier versions wrote the template at the top alone.
        places = [place for place in (schema, columns.get("id", {})) if MARKED in place]
        templates = {_template_of(place[MARKED]) for place in places}
        if len(templates) != 1:
            raise LostMarks("it names two templates" if templates else "it does not name its template")
        [(product, of)] = templates
        reads: dict[str, tuple[_Read, ...]] = {}
        lost = []
        for column, described in columns.items():
            if column == "id" or (column in COLUMNS and MARKED not in described):
                continue
            try:
                field, read = _read(column, described)
                reads[field] = (*reads.get(field, ()), read)
            except (AttributeError, KeyError, StopIteration, TypeError, ValueError):
                lost.append(column)
        if lost:
            raise LostMarks(f"it does not name the field of {plain(', '.join(lost))}")
        top = schema.get(MARKED)
        name = top.get("name") if isinstance(top, Mapping) else None
        return cls(product, of, reads, name if isinstance(name, str) else "")

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
