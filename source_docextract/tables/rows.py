"""The four kinds of stream, and the rows that a Snapshot becomes. Pure.

A kind has the same columns for every provider, so that `UNION ALL` works. The row hash is a digest of everything that
counts as content: neither `observed_at` nor URLs of files, because providers sign those anew in each response.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from airbyte_cdk.models import AirbyteStream, SyncMode

from ..core.content import hash_row
from ..core.ids import escape_id_part
from ..core.json_types import Json
from ..core.model import Document, Extraction, FileStatus, PartitionRef, Snapshot
from ..core.timestamps import format_rfc3339
from ..core.urls import strip_file_urls
from ..core.wrappers import NO_WRAPPERS, WrapperFormat
from . import columns
from .columns import Column
from .fields import collect_leaves, format_scalar

Record = dict[str, Any]


class Row(NamedTuple):
    """A record without `observed_at`, and the hash of its content."""

    record: Record
    row_hash: str

    @property
    def id(self) -> str:
        """Return the id of its record."""
        return str(self.record["id"])

    @property
    def records(self) -> Iterable[Record]:
        """Return its record, as a `RowGroup` returns its records."""
        return (self.record,)


class RowGroup(NamedTuple):
    """Records that are delivered together, under one hash.

    Attributes:
        records: an iterator that builds the records one by one, so it can be read once only.
        row_hash: the hash of their content.
        id: the id of what they belong to.
    """

    records: Iterable[Record]
    row_hash: str
    id: str


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """The settings that rows are built by.

    Attributes:
        provider: the value of the column `provider`.
        keep_urls: whether rows contain URLs of files.
        wrapper_format: how the provider wraps values in extracted data.
    """

    provider: str
    keep_urls: bool = True
    wrapper_format: WrapperFormat = NO_WRAPPERS


RowBuilder = Callable[[Snapshot, RenderOptions], Iterator[Row | RowGroup]]


@dataclass(frozen=True, slots=True)
class Table:
    """A kind of stream.

    Attributes:
        kind: the second part of the stream's name.
        columns: the columns by name, in the order of the schema.
        build_rows: yields all rows of a snapshot.
        needs_documents: whether the rows are built from the documents of a snapshot.
    """

    kind: str
    columns: Mapping[str, Column]
    build_rows: RowBuilder
    needs_documents: bool = True

    def is_reported(self, snapshot: Snapshot) -> bool:
        """Return whether the provider reports rows of this kind, even if there are none."""
        return snapshot.documents is not None if self.needs_documents else not snapshot.is_partial

    def build_stream(self, stream_prefix: str) -> AirbyteStream:
        """Return the stream as `discover` shows it."""
        return AirbyteStream(
            name=f"{stream_prefix}_{self.kind}",
            json_schema={
                "$schema": "http://json-schema.org/draft-07/schema#",
                "type": "object",
                "additionalProperties": True,
                "properties": {
                    name: {**schema, "description": description} for name, (schema, description) in self.columns.items()
                },
            },
            supported_sync_modes=[SyncMode.full_refresh, SyncMode.incremental],
            source_defined_cursor=True,
            default_cursor_field=["observed_at"],
            source_defined_primary_key=[["id"]],
            is_resumable=True,
        )


def _build_batch_rows(snapshot: Snapshot, options: RenderOptions) -> Iterator[Row]:
    ref, known_count = snapshot.ref, snapshot.file_count
    status_counts = _count_statuses(snapshot)
    # Expected files that have not arrived count as pending: no other column says why the batch is still open.
    expected_count = ref.expected_files or 0
    file_count = ref.files_total if known_count is None else known_count
    if known_count is not None and known_count < expected_count:
        status_counts[FileStatus.PENDING] += expected_count - known_count
    record: Record = {
        "id": build_batch_id(snapshot),
        "provider": options.provider,
        "template_id": ref.template_id or snapshot.template_id,
        "template_name": ref.template_name or snapshot.template_name,
        "batch_id": ref.batch_id,
        "description": snapshot.description,
        "status": snapshot.status.value,
        "provider_status": snapshot.provider_status or ref.provider_status,
        "error": snapshot.error,
        "files_total": max(file_count or 0, expected_count) if expected_count else file_count,
        "files_processed": status_counts.get(FileStatus.PROCESSED),
        "files_failed": status_counts.get(FileStatus.FAILED),
        "files_pending": status_counts.get(FileStatus.PENDING),
        "created_at": format_rfc3339(ref.created_at),
        "completed_at": format_rfc3339(snapshot.completed_at),
    }
    yield _build_row(record, {**ref.provider_data, **snapshot.provider_data}, options, counters=snapshot.volatile_data)


def _count_statuses(snapshot: Snapshot) -> dict[FileStatus, int]:
    # An answer without files ("waiting") leaves the counts null: zeros would say that the batch is empty.
    if snapshot.documents is None:
        return {}
    status_counts = {**dict.fromkeys(FileStatus, 0), **snapshot.earlier_counts}
    for document in snapshot.documents:
        status_counts[document.status] += 1
    return status_counts


def _build_file_rows(snapshot: Snapshot, options: RenderOptions) -> Iterator[Row]:
    batch_key = build_batch_id(snapshot)
    for document in snapshot.documents or ():
        location = _locate_document(snapshot, batch_key, document)
        record: Record = {
            "id": location.file_key,
            **location.build_columns(document, options),
            "status": document.status.value,
            "provider_status": document.provider_status,
            "error": document.error,
            "document_type": document.document_type,
            "page_count": document.page_count,
            "created_at": format_rfc3339(document.created_at),
            "completed_at": format_rfc3339(document.completed_at),
            "processing_ms": document.processing_ms,
        }
        url = document.url if options.keep_urls else None
        yield _build_row(record, document.provider_data, options, unhashed_column=("url", url))


def _build_result_rows(snapshot: Snapshot, options: RenderOptions) -> Iterator[Row]:
    batch_key = build_batch_id(snapshot)
    for document in snapshot.documents or ():
        location = _locate_document(snapshot, batch_key, document)
        for extraction in document.extractions:
            record: Record = {
                "id": location.build_result_key(extraction),
                "file_key": location.file_key,
                **location.build_columns(document, options),
                "document_index": extraction.document_index,
                "document_type": extraction.document_type,
                "confidence": extraction.confidence,
                "review_status": extraction.review_status,
                "digest": extraction.digest,
                "created_at": format_rfc3339(extraction.created_at),
                "completed_at": format_rfc3339(extraction.completed_at),
            }
            data = extraction.data if options.keep_urls else extraction.hashable_data
            provider_data = {**document.provider_data, **extraction.provider_data}
            yield _build_row(record, provider_data, options, unhashed_column=("data", data))


def _build_field_rows(snapshot: Snapshot, options: RenderOptions) -> Iterator[RowGroup]:
    """Yield the fields of each result under one hash, which keeps the state small."""
    batch_key = build_batch_id(snapshot)
    for document in snapshot.documents or ():
        location = _locate_document(snapshot, batch_key, document)
        for extraction in document.extractions:
            shared_columns: Record = {
                "result_key": location.build_result_key(extraction),
                "file_key": location.file_key,
                "batch_key": location.batch_key,
                "provider": options.provider,
                "template_id": location.batch.template_id,
                "document_type": extraction.document_type,
                "digest": extraction.digest,
            }
            # The digest of the result covers all of its fields, so one hash stands for them.
            yield RowGroup(
                _build_field_records(shared_columns, extraction, options.wrapper_format),
                hash_row(orjson.dumps([*shared_columns.values()])),
                shared_columns["result_key"],
            )


def _build_field_records(
    shared_columns: Record, extraction: Extraction, wrapper_format: WrapperFormat
) -> Iterator[Record]:
    """Yield a record for each value except URLs of files, which the digest ignores."""
    id_prefix = f"{shared_columns['result_key']}#"
    # Filled in from a copy: to build each record from all of its columns takes 60 % longer.
    blank_record = {"id": None, **shared_columns, **dict.fromkeys(_FIELD_VALUE_COLUMNS)}
    for path, name, position, value, meta in collect_leaves(extraction.hashable_data, wrapper_format):
        record = blank_record.copy()
        record["id"] = id_prefix + path
        record["path"], record["name"], record["position"] = path, name, position
        record["value"], record["value_type"], record["number_value"] = format_scalar(value)
        record["confidence"], record["confidence_signal"], record["unit"] = meta
        yield record


_FIELD_VALUE_COLUMNS = (
    "path", "name", "position", "value", "value_type", "number_value", "confidence", "confidence_signal", "unit",
)  # fmt: skip


class _DocumentLocation(NamedTuple):
    """The ids of a document and of its batch, and the batch."""

    file_key: str
    batch_key: str | None
    batch: PartitionRef

    def build_result_key(self, extraction: Extraction) -> str:
        return f"{self.file_key}#{extraction.document_index}" if extraction.document_index else self.file_key

    def build_columns(self, document: Document, options: RenderOptions) -> Record:
        """Return the columns that the rows of a file and of its results share."""
        return {
            "batch_key": self.batch_key,
            "provider": options.provider,
            "template_id": self.batch.template_id,
            "template_name": self.batch.template_name,
            "batch_id": self.batch.batch_id or None,
            "file_id": document.file_id,
            "file_name": document.file_name,
        }


def _locate_document(snapshot: Snapshot, batch_key: str, document: Document) -> _DocumentLocation:
    """Return the ids of a document; they include a batch id if it has a batch."""
    if document.batch is None:
        return _DocumentLocation(f"{batch_key}/{document.key}", batch_key, snapshot.ref)
    # Without a known batch the key is null. DocMap's `runId` is optional, and Sensible's list does not have the batch.
    return _DocumentLocation(document.key, escape_id_part(document.batch.batch_id) or None, document.batch)


def build_batch_id(snapshot: Snapshot) -> str:
    """Return the `id` of a batch: `template/batch`, or `batch` without a template."""
    ref = snapshot.ref
    escaped_id = escape_id_part(ref.batch_id)
    return f"{escape_id_part(ref.template_id)}/{escaped_id}" if ref.template_id is not None else escaped_id


def _build_row(
    record: Record,
    provider_data: Mapping[str, Json],
    options: RenderOptions,
    *,
    counters: Mapping[str, Json] | None = None,
    unhashed_column: tuple[str, Json] | None = None,
) -> Row:
    """Build a row and its hash.

    Args:
        record: the columns that count as content.
        provider_data: the column of that name; it counts as content, except for URLs of files.
        options: the settings that rows are built by.
        counters: more of `provider_data`. A change of them alone delivers no row.
        unhashed_column: a column that does not count as content: a URL, or data whose digest is in the record.
    """
    # URLs of files are signed anew in each response: hashed, they would deliver every row at every sync.
    hashable_data = strip_file_urls(provider_data) if provider_data else {}
    # Sorted, since another order of the keys in a response is no change.
    row_hash = hash_row(orjson.dumps([*record.values(), hashable_data], option=orjson.OPT_SORT_KEYS))
    output_data = provider_data if options.keep_urls else hashable_data
    if unhashed_column:
        column, value = unhashed_column
        record[column] = value
    record["provider_data"] = {**output_data, **counters} if counters else output_data
    return Row(record, row_hash)


BATCHES = Table(
    "batches",
    columns.BATCHES,
    _build_batch_rows,
    needs_documents=False,
)

FILES = Table(
    "files",
    columns.FILES,
    _build_file_rows,
)

RESULTS = Table(
    "results",
    columns.RESULTS,
    _build_result_rows,
)

FIELDS = Table(
    "fields",
    columns.FIELDS,
    _build_field_rows,
)

TABLES = (BATCHES, FILES, RESULTS, FIELDS)
