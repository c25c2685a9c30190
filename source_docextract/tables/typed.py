"""Typed tables: a stream for each template, with a column for each field. Pure.

`discover` asks the provider for the templates and writes the answer into the JSON schema of the stream, under
`x-docextract`: the template at the top, and at each column its field and the part of it. `read` takes it from there
without a request, because Airbyte returns the schema whole, except for columns that the user has deselected. The column
`id` names the template as well: Airbyte compares a new schema with the stored one by the columns alone, and would keep
the old schema if the table changed to another template with the same fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import orjson
from airbyte_cdk.models import AirbyteStream

from ..core.content import hash_row
from ..core.model import Document, Snapshot
from ..core.products import STANDARD_STREAMS
from ..core.redaction import sanitize
from ..core.templates import Field, FieldPart, TableKey, Template, ValueType, get_meta_by_part
from ..core.validation import TableNameEntry
from ..core.wrappers import WrapperFormat, unwrap
from .columns import RESULTS as RESULT_COLUMNS
from .columns import Column
from .naming import SYSTEM_COLUMNS, compute_digest, compute_short_digest, disambiguate, shorten_id, slug, truncate
from .rows import RESULTS, Record, RenderOptions, Row, Table

SCHEMA_MARKER_KEY = "x-docextract"
"""The key of a JSON schema under which `discover` writes the template, and `read` finds it."""

ERRORS_COLUMN = "type_errors"

_COMMON_COLUMNS: Mapping[str, Column] = {
    "id": ({"type": "string"}, "Unique id of the row: the id in the results stream."),
    **{
        name: RESULT_COLUMNS[name]
        for name in ("file_key", "batch_key", "batch_id", "template_name", "file_name", "confidence", "created_at")
    },
}

_TRAILING_COLUMNS: Mapping[str, Column] = {
    ERRORS_COLUMN: (
        {"type": ["null", "array"], "items": {"type": "string"}},
        "Columns whose value was sent as another type. They are null here; the results stream has the values as sent.",
    ),
    "observed_at": RESULT_COLUMNS["observed_at"],
}

RESERVED_COLUMNS = (*_COMMON_COLUMNS, *_TRAILING_COLUMNS)
"""The columns that all typed tables have, which no field may be named as."""

_SCHEMA_BY_KIND: Mapping[ValueType, Mapping[str, Any]] = {
    **{kind: {"type": ["null", kind.value]} for kind in ValueType},
    ValueType.OBJECT: {"type": ["null", "object"], "additionalProperties": True},
    ValueType.ARRAY: {"type": ["null", "array"], "items": {}},
}

_META_COLUMNS: Mapping[FieldPart, tuple[ValueType, str]] = {
    FieldPart.CONFIDENCE: (ValueType.NUMBER, "Confidence of the provider in {}, 0 to 1."),
    FieldPart.SIGNAL: (ValueType.STRING, "Confidence of the provider in {}, as it words it."),
    FieldPart.UNIT: (ValueType.STRING, "Unit of {}."),
}


def assign_table_names(
    templates: Mapping[str, Iterable[Template]], custom_names: Iterable[TableNameEntry]
) -> dict[tuple[str, str], str]:
    """Return the names of typed tables, by stream prefix and template key.

    Args:
        templates: the templates of each provider, by the prefix of its streams.
        custom_names: the entries of the setting `table_names`. They name a template by its key or its name.

    Raises:
        ValueError: if an entry matches several templates of the same name. The message is a whole sentence.
    """
    chosen_names: dict[tuple[str, str], str] = {}
    for entry in custom_names:
        candidates = list(templates.get(entry.provider, ()))
        matching_keys = [template.key for template in candidates if template.key == entry.table_key]
        if not matching_keys:
            matching_keys = [template.key for template in candidates if template.name == entry.table_key]
        if len(matching_keys) > 1:
            raise ValueError(f"table_names gives one name to {len(matching_keys)} templates named {entry.table_key!r}")
        chosen_names.update({(entry.provider, template_key): entry.table_name for template_key in matching_keys})
    generated_names: dict[tuple[str, str], str] = {}
    for stream_prefix, provider_templates in templates.items():
        for template in provider_templates:
            if (stream_prefix, template.key) not in chosen_names:
                base_name = slug(template.name) or shorten_id(template.key)
                generated_names[stream_prefix, template.key] = truncate(f"{stream_prefix}_{base_name}")
    taken_names = STANDARD_STREAMS | set(chosen_names.values())
    return {
        **chosen_names,
        **disambiguate(
            generated_names, taken_names, (lambda key: shorten_id(key[1]), lambda key: compute_digest(key[1]))
        ),
    }


def build_typed_stream(stream_prefix: str, template: Template, name: str) -> AirbyteStream:
    """Return the stream of a typed table as `discover` shows it."""
    table = Table(name, {**_COMMON_COLUMNS, **_build_columns(template.fields), **_TRAILING_COLUMNS}, RESULTS.build_rows)
    stream = table.build_stream(stream_prefix)
    stream.name = name
    marker = {"product": stream_prefix, "of": template.key}
    stream.json_schema["properties"]["id"][SCHEMA_MARKER_KEY] = marker
    # Only the top has the name: Airbyte compares the columns, so a renamed template is not a changed table.
    stream.json_schema[SCHEMA_MARKER_KEY] = {**marker, "name": template.name}
    return stream


def _build_columns(fields: Iterable[Field]) -> dict[str, Column]:
    columns: dict[str, Column] = {}
    field_by_name = {field.name: field for field in fields}
    column_names = _assign_column_names(field_by_name)
    meta_names = {
        (field.name, part): truncate(column_names[field.name], f"_{part.value}")
        for field in fields
        for part in field.meta_parts
    }
    # A field that is called like the metadata column of another one keeps its name: the metadata column gives way.
    meta_columns = disambiguate(
        meta_names,
        {*RESERVED_COLUMNS, *column_names.values()},
        (lambda key: compute_short_digest(key[0]), lambda key: compute_digest(key[0])),
    )
    for name, field in field_by_name.items():
        marker = {"field": name, "part": FieldPart.VALUE.value}
        columns[column_names[name]] = (
            {**_SCHEMA_BY_KIND[field.value_type], SCHEMA_MARKER_KEY: marker},
            f"The field {name}.",
        )
        for part in field.meta_parts:
            kind, description = _META_COLUMNS[part]
            schema = {**_SCHEMA_BY_KIND[kind], SCHEMA_MARKER_KEY: {"field": name, "part": part.value}}
            columns[meta_columns[name, part]] = (schema, description.format(name))
    return columns


def _assign_column_names(field_names: Iterable[str]) -> dict[str, str]:
    """Return the column of each field.

    If two fields would have the same column, the field of exactly that name keeps it, and others get a suffix.
    """
    column_names = {field_name: truncate(_build_column_name(field_name)) for field_name in field_names}
    return disambiguate(
        column_names,
        RESERVED_COLUMNS,
        (compute_short_digest, compute_digest),
        [field_name for field_name, column in column_names.items() if field_name == column],
    )


def _build_column_name(field_name: str) -> str:
    slug_name = slug(field_name)
    if not slug_name or slug_name in RESERVED_COLUMNS or slug_name in SYSTEM_COLUMNS:
        return f"field_{slug_name or compute_short_digest(field_name)}"
    # BigQuery and Databricks reserve `_` before a letter only, so it may stand before a digit.
    return f"_{slug_name}" if slug_name[0].isdigit() else slug_name


def _parse_template_marker(marker: Any) -> tuple[str, str]:
    try:
        stream_prefix, key = marker["product"], marker["of"]
    except (KeyError, TypeError):
        raise InvalidSchemaMarker("it does not name its template") from None
    if not (isinstance(stream_prefix, str) and isinstance(key, str)):
        raise InvalidSchemaMarker("it does not name its template")
    return stream_prefix, key


def _parse_column(column: str, column_schema: Mapping[str, Any]) -> tuple[str, _ColumnSource]:
    """Return the field of a column, and the part of it that the column holds."""
    marker = column_schema[SCHEMA_MARKER_KEY]
    kind = next(kind for kind in ValueType if kind.value in column_schema["type"])
    return marker["field"], _ColumnSource(column, FieldPart(marker["part"]), kind)


class _ColumnSource(NamedTuple):
    """The source of a column: a part of a field, and the type of its value."""

    column: str
    part: FieldPart
    kind: ValueType


class InvalidSchemaMarker(ValueError):
    """A typed table's schema that has lost a part of what `discover` wrote.

    The message is the reason.
    """


@dataclass(frozen=True, slots=True)
class TypedTable:
    """A typed table, as its JSON schema describes it.

    Attributes:
        stream_prefix: the prefix of the other streams of its product.
        key: the id of its template, or its document type.
        sources_by_field: the columns of each field.
        template_name: the name of the template at the last discovery; empty in schemas of earlier versions.
    """

    stream_prefix: str
    key: str
    sources_by_field: Mapping[str, tuple[_ColumnSource, ...]]
    template_name: str = ""

    @classmethod
    def parse(cls, schema: Mapping[str, Any]) -> TypedTable | None:
        """Parse the schema of a stream; return None if it is not a typed table.

        Raises:
            InvalidSchemaMarker: if the schema has lost or contradicts a part of what `discover` wrote into it.
                Without this error a column would stay empty, or the table would receive rows of another template.
        """
        properties = schema.get("properties")
        if not isinstance(properties, Mapping):
            if SCHEMA_MARKER_KEY in schema:
                raise InvalidSchemaMarker("it has no columns")
            return None
        columns = {name: column if isinstance(column, Mapping) else {} for name, column in properties.items()}
        if SCHEMA_MARKER_KEY not in schema and not any(SCHEMA_MARKER_KEY in column for column in columns.values()):
            return None
        # Earlier versions of the connector wrote the template only at the top, not at the column `id`.
        marked_schemas = [
            marked_schema for marked_schema in (schema, columns.get("id", {})) if SCHEMA_MARKER_KEY in marked_schema
        ]
        template_keys = {_parse_template_marker(marked_schema[SCHEMA_MARKER_KEY]) for marked_schema in marked_schemas}
        if len(template_keys) != 1:
            raise InvalidSchemaMarker("it names two templates" if template_keys else "it does not name its template")
        [(stream_prefix, key)] = template_keys
        sources_by_field: dict[str, tuple[_ColumnSource, ...]] = {}
        unmarked_columns = []
        for column, column_schema in columns.items():
            # Earlier versions had fewer columns of their own: in a schema of theirs, the column `batch_id` may be a
            # field. Its marker shows that.
            if column == "id" or (column in RESERVED_COLUMNS and SCHEMA_MARKER_KEY not in column_schema):
                continue
            try:
                field, source = _parse_column(column, column_schema)
                sources_by_field[field] = (*sources_by_field.get(field, ()), source)
            except (AttributeError, KeyError, StopIteration, TypeError, ValueError):
                unmarked_columns.append(column)
        if unmarked_columns:
            raise InvalidSchemaMarker(f"it does not name the field of {sanitize(', '.join(unmarked_columns))}")
        table_marker = schema.get(SCHEMA_MARKER_KEY)
        name = table_marker.get("name") if isinstance(table_marker, Mapping) else None
        return cls(stream_prefix, key, sources_by_field, name if isinstance(name, str) else "")

    def build_table(self, get_key: TableKey) -> Table:
        """Return the table that builds this typed table's rows.

        Args:
            get_key: returns the template id or document type of an extraction.
        """

        def build_rows(snapshot: Snapshot, options: RenderOptions) -> Iterator[Row]:
            documents = tuple(self._select_documents(snapshot, get_key))
            if not documents:
                return
            # The digest in the row hash ignores URLs of files: a column with one would keep it after its expiry.
            selected_snapshot, result_options = (
                replace(snapshot, documents=documents),
                replace(options, keep_urls=False),
            )
            for row in RESULTS.build_rows(selected_snapshot, result_options):
                yield self._build_row(*row.records, wrapper_format=options.wrapper_format)

        return Table(self.key, _COMMON_COLUMNS, build_rows)

    def _select_documents(self, snapshot: Snapshot, get_key: TableKey) -> Iterator[Document]:
        """Yield the documents of the table, with extractions of its template only."""
        for document in snapshot.documents or ():
            batch = document.batch or snapshot.ref
            # A portfolio has documents of several types: each table takes those of its own.
            extractions = tuple(
                extraction for extraction in document.extractions if get_key(batch, extraction) == self.key
            )
            if extractions:
                yield document._replace(extractions=extractions)

    def _build_row(self, result: Record, *, wrapper_format: WrapperFormat) -> Row:
        """Build a row from a row of the results.

        The hash covers the extracted data as a whole, whichever columns the user selected, so that a selection of
        other columns does not deliver every row again.
        """
        record: Record = {name: result[name] for name in _COMMON_COLUMNS}
        # The digest covers the data of all columns, and costs nothing as the result has it already.
        hashed_values = [*record.values(), result["digest"]]
        # Data that was not an object stands under `value`, unless the template itself has a field of that name.
        is_wrapped = result["data"].keys() == {"value"} and "value" not in self.sources_by_field
        error_columns = ["data"] if is_wrapped and not isinstance(result["data"]["value"], dict) else []
        for field, sources in self.sources_by_field.items():
            value, meta = unwrap(result["data"].get(field), wrapper_format)
            values_by_part = {FieldPart.VALUE: value, **get_meta_by_part(meta)}
            for column, part, kind in sources:
                # The column has one type: a value of another one is null here, and ERRORS_COLUMN names the column.
                is_valid = part is not FieldPart.VALUE or value is None or kind.matches(value)
                record[column] = values_by_part[part] if is_valid else None
                if not is_valid:
                    error_columns.append(column)
        record[ERRORS_COLUMN] = error_columns or None
        return Row(record, hash_row(orjson.dumps(hashed_values)))
