"""The kinds of stream: their columns, their schemas, and the rows a Snapshot becomes. Pure.

The same kind has the same columns for every provider, so that `UNION ALL` works. A row's mark is a digest of all that
counts as its content: not `observed_at`, and no link, since links are signed anew in each answer.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson
from airbyte_cdk.models import AirbyteStream, SyncMode

from . import columns
from .columns import Column
from .fields import PLAIN, Notation, leaves, written
from .ledger import MARK
from .links import without_links
from .model import BatchRef, Document, Extraction, FileStatus, Json, Snapshot, escaped, rfc3339

Record = dict[str, Any]


class Row(NamedTuple):
    """One record without `observed_at`, and the mark of its content."""

    record: Record
    mark: str

    @property
    def records(self) -> Iterable[Record]:
        return (self.record,)


class Rows(NamedTuple):
    """Records that come and go together, under one mark. To be read once: they are made on the way."""

    records: Iterable[Record]
    mark: str


@dataclass(frozen=True, slots=True)
class View:
    """How rows are to look: what they call the provider, with or without links to files, and how it writes data."""

    provider: str
    keep_urls: bool = True
    notation: Notation = PLAIN


RowReader = Callable[[Snapshot, View], Iterator[Row | Rows]]


@dataclass(frozen=True, slots=True)
class Table:
    """One kind of stream.

    Attributes:
        rows: all rows of a snapshot; `tells` says whether the snapshot tells them at all.
        columns: by name, in the order in which they are shown.
    """

    kind: str
    columns: Mapping[str, Column]
    rows: RowReader
    needs_documents: bool = True

    def tells(self, snapshot: Snapshot) -> bool:
        """False where the provider did not tell this kind of rows, which is not the same as there being none."""
        return not self.needs_documents or snapshot.documents is not None

    def stream(self, product: str) -> AirbyteStream:
        return AirbyteStream(
            name=f"{product}_{self.kind}",
            json_schema={
                "$schema": "http://json-schema.org/draft-07/schema#",
                "type": "object",
                "additionalProperties": True,
                "properties": {
                    name: {**schema, "description": meaning} for name, (schema, meaning) in self.columns.items()
                },
            },
            supported_sync_modes=[SyncMode.full_refresh, SyncMode.incremental],
            source_defined_cursor=True,
            default_cursor_field=["observed_at"],
            source_defined_primary_key=[["id"]],
            is_resumable=True,
        )


def _batch_rows(snapshot: Snapshot, view: View) -> Iterator[Row]:
    ref, documents = snapshot.ref, snapshot.documents
    counts = _counts(documents)
    # What its user expects and what has not come yet is pending; without this nothing would say why it is open.
    expected = ref.expected_files or 0
    total = ref.files_total if documents is None else len(documents)
    if documents is not None and len(documents) < expected:
        counts[FileStatus.PENDING] += expected - len(documents)
    record: Record = {
        "id": batch_id(snapshot),
        "provider": view.provider,
        "template_id": ref.template_id or snapshot.template_id,
        "template_name": ref.template_name or snapshot.template_name,
        "batch_id": ref.batch_id,
        "description": snapshot.description,
        "status": snapshot.status.value,
        "provider_status": snapshot.provider_status or ref.provider_status,
        "error": snapshot.error,
        "files_total": max(total or 0, expected) if expected else total,
        "files_processed": counts.get(FileStatus.PROCESSED),
        "files_failed": counts.get(FileStatus.FAILED),
        "files_pending": counts.get(FileStatus.PENDING),
        "created_at": rfc3339(ref.created_at),
        "completed_at": rfc3339(snapshot.completed_at),
    }
    yield _row(record, {**ref.provider_data, **snapshot.provider_data}, view, counters=snapshot.counters)


def _counts(documents: tuple[Document, ...] | None) -> dict[FileStatus, int]:
    if documents is None:
        return {}
    counts = dict.fromkeys(FileStatus, 0)
    for document in documents:
        counts[document.status] += 1
    return counts


def _file_rows(snapshot: Snapshot, view: View) -> Iterator[Row]:
    batch = batch_id(snapshot)
    for document in snapshot.documents or ():
        place = _place(snapshot, batch, document)
        record: Record = {
            "id": place.file_key,
            **place.columns(document, view),
            "status": document.status.value,
            "provider_status": document.provider_status,
            "error": document.error,
            "document_type": document.document_type,
            "page_count": document.page_count,
            "created_at": rfc3339(document.created_at),
            "completed_at": rfc3339(document.completed_at),
            "processing_ms": document.processing_ms,
        }
        yield _row(record, document.provider_data, view, url=document.url if view.keep_urls else None)


def _result_rows(snapshot: Snapshot, view: View) -> Iterator[Row]:
    batch = batch_id(snapshot)
    for document in snapshot.documents or ():
        place = _place(snapshot, batch, document)
        for extraction in document.extractions:
            record: Record = {
                "id": place.result_key(extraction),
                "file_key": place.file_key,
                **place.columns(document, view),
                "document_index": extraction.document_index,
                "document_type": extraction.document_type,
                "confidence": extraction.confidence,
                "review_status": extraction.review_status,
                "digest": extraction.digest,
                "created_at": rfc3339(extraction.created_at),
                "completed_at": rfc3339(extraction.completed_at),
            }
            data = extraction.data if view.keep_urls else extraction.stable
            yield _row(record, {**document.provider_data, **extraction.provider_data}, view, data=data)


def _field_rows(snapshot: Snapshot, view: View) -> Iterator[Rows]:
    """The fields of each result under one mark: the state would grow with every value otherwise."""
    batch = batch_id(snapshot)
    for document in snapshot.documents or ():
        place = _place(snapshot, batch, document)
        for extraction in document.extractions:
            common: Record = {
                "result_key": place.result_key(extraction),
                "file_key": place.file_key,
                "batch_key": place.batch_key,
                "provider": view.provider,
                "template_id": place.home.template_id,
                "document_type": extraction.document_type,
                "digest": extraction.digest,
            }
            yield Rows(_fields(common, extraction, view.notation), mark(orjson.dumps([*common.values()])))


def _fields(common: Record, extraction: Extraction, notation: Notation) -> Iterator[Record]:
    """Links to files are no values that were extracted: they change while the digest does not."""
    for path, name, position, value, about in leaves(extraction.stable, notation):
        text, value_type, number = written(value)
        yield {
            "id": f"{common['result_key']}#{path}",
            **common,
            "path": path,
            "name": name,
            "position": position,
            "value": text,
            "value_type": value_type,
            "number_value": number,
            "confidence": about.confidence,
            "confidence_signal": about.signal,
            "unit": about.unit,
        }


class _Place(NamedTuple):
    """Where a document stands: its own id, its batch's, and the batch."""

    file_key: str
    batch_key: str | None
    home: BatchRef

    def result_key(self, extraction: Extraction) -> str:
        return f"{self.file_key}#{extraction.document_index}" if extraction.document_index else self.file_key

    def columns(self, document: Document, view: View) -> Record:
        """What the rows of a file and of its results have in common."""
        return {
            "batch_key": self.batch_key,
            "provider": view.provider,
            "template_id": self.home.template_id,
            "template_name": self.home.template_name,
            "batch_id": self.home.batch_id or None,
            "file_id": document.file_id,
            "file_name": document.file_name,
        }


def _place(snapshot: Snapshot, batch: str, document: Document) -> _Place:
    """Below its batch; by itself where the provider names it without one."""
    if document.home is None:
        return _Place(f"{batch}/{document.key}", batch, snapshot.ref)
    return _Place(document.key, escaped(document.home.batch_id) or None, document.home)


def batch_id(snapshot: Snapshot) -> str:
    """The `id` of a batch: `template/batch` where there are templates above batches, the batch id alone elsewhere."""
    ref = snapshot.ref
    batch = escaped(ref.batch_id)
    return f"{escaped(ref.template_id)}/{batch}" if ref.template_id is not None else batch


def _row(
    content: Record,
    provider_data: Mapping[str, Json],
    view: View,
    *,
    counters: Mapping[str, Json] | None = None,
    **not_content: Json,
) -> Row:
    """`not_content` are columns whose change is no news: links, and data whose digest is among the content."""
    stable = without_links(provider_data) if provider_data else {}
    row_mark = mark(orjson.dumps([*content.values(), stable], option=orjson.OPT_SORT_KEYS))
    kept = provider_data if view.keep_urls else stable
    content.update(not_content, provider_data={**kept, **counters} if counters else kept)
    return Row(content, row_mark)


def mark(content: bytes) -> str:
    """A short digest, enough to tell apart what one batch or document has been at different times."""
    return b2a_base64(blake2b(content, digest_size=6).digest())[:MARK].decode()


BATCHES = Table(
    "batches",
    columns.BATCHES,
    _batch_rows,
    needs_documents=False,
)

FILES = Table(
    "files",
    columns.FILES,
    _file_rows,
)

RESULTS = Table(
    "results",
    columns.RESULTS,
    _result_rows,
)

FIELDS = Table(
    "fields",
    columns.FIELDS,
    _field_rows,
)

TABLES = (BATCHES, FILES, RESULTS, FIELDS)
