"""Sensible's extractions: summaries in its list, and whole documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import inf
from types import NoneType

from ...errors import BadAnswer, Unavailable
from ...fields import Notation
from ...model import (
    BatchRef,
    BatchStatus,
    Document,
    Extraction,
    FileKeys,
    FileStatus,
    Json,
    Snapshot,
    moment,
)
from ..base import as_object, count, fingerprint, identifier, json_object, lost, odd_times, others, text

_STATUSES = {
    "WAITING": FileStatus.PENDING,  # its file has not been uploaded
    "PROCESSING": FileStatus.PENDING,
    "COMPLETE": FileStatus.PROCESSED,
    "FAILED": FileStatus.FAILED,
}
TOO_LARGE = 413
"""Documented for a document whose output is over 6 MB; asking again is no use."""

_DECIDED = frozenset({"APPROVED", "REJECTED"})
_NEEDS_REVIEW = "NEEDS_REVIEW"

NOTATION = Notation(
    sign="type",
    sign_is=(str,),  # in a section there may be fields of these names, which are wrapped themselves or null
    confidence="valueConfidence",
    signal="confidenceSignal",
    unit="unit",
    column=("id", "values"),
)
"""`{"value", "type", "unit", …}`; a table is `{"columns": [{"id", "values": […]}], "title", "footer"}`."""


def page_of(body: Json, of: float = inf) -> tuple[list[Json], str | None]:
    """Rows, and the token of the next page. A page that is full, `of` so many rows, has to say whether it is the last:
    what is not read now never will be.
    """
    answer = json_object(body, "Sensible's list of extractions")
    rows = answer.get("extractions")
    if not isinstance(rows, list):
        raise BadAnswer("Sensible's list of extractions holds no list.")
    if "continuation_token" not in answer and len(rows) >= of:
        raise BadAnswer("Sensible's list of extractions does not say whether there is more.")
    return rows, identifier(answer.get("continuation_token"), "A continuation_token of Sensible's")


def ref_of(sent: Json) -> BatchRef:
    """One extraction, by its summary. All of that makes its signature: which parts change with what is not told."""
    row = json_object(sent, "A row of Sensible's list")
    extraction_id, created = identifier(row.get("id"), "An id in Sensible's list"), moment(row.get("created"))
    if not extraction_id:
        raise BadAnswer("An extraction in Sensible's list has no id.")
    return BatchRef(
        None,
        extraction_id,
        created_at=created,
        clock=created,
        row=row,
        fingerprint=fingerprint(row, has_links=True),
    )


def _either(row: Mapping[str, Json], key: str) -> Json:
    """A value by its key as documented, or in the other style of writing keys, which one example has."""
    first, *rest = key.split("_")
    return row[key] if key in row else row.get(first + "".join(map(str.title, rest)))


def type_names(row: Mapping[str, Json]) -> list[str]:
    types = row.get("types")
    return [str(one) for one in (*(types if isinstance(types, list) else ()), row.get("type")) if one]


_REVIEWS = ("reviewStatus", "reviewStatuses", "review_status", "review_statuses")
_FILE = frozenset(
    {
        "id", "created", "completed", "status", "type", "document_name", "documentName", "page_count", "pageCount",
        "download_url", "downloadUrl", "parsed_document", "parsedDocument", "documents", "batchId", "batchID",
        "batch_id", *_REVIEWS,    }
)  # fmt: skip
_PART = frozenset({"documentType", "document_type", "output"})
_OUTPUT = frozenset({"parsed_document", "parsedDocument", *_REVIEWS})


def _document(row: Mapping[str, Json], extraction_id: str) -> Document:
    """A document, or the summary of one, but for what was extracted."""
    sent = text(row.get("status"))
    status = _STATUSES.get(sent or "", FileStatus.PENDING)
    created, completed = moment(row.get("created")), moment(row.get("completed"))
    odd = odd_times(row, created=created, completed=completed)
    batch_id = next((row[key] for key in ("batchId", "batchID", "batch_id") if row.get(key)), None)
    return Document(
        key=FileKeys().key(extraction_id, None),
        status=status,
        file_id=extraction_id,
        file_name=text(_either(row, "document_name")),
        provider_status=sent,
        error=_error(row) if status is FileStatus.FAILED else None,
        document_type=text(row.get("type")),
        page_count=count(_either(row, "page_count")),
        url=text(_either(row, "download_url")),
        created_at=created,
        completed_at=completed,
        provider_data=others(row, _FILE - odd if odd else _FILE),
        home=BatchRef(None, identifier(batch_id, "A batchId of Sensible's") or ""),
    )


def _error(row: Mapping[str, Json]) -> str | None:
    """`errors` is a list of `{message, …}`."""
    errors = row.get("errors")
    told = [text(one.get("message")) if isinstance(one, Mapping) else text(one) for one in _as_list(errors)]
    return " ".join(filter(None, told)) or None


def _as_list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else [] if value is None else [value]


_POSTPROCESSED = frozenset({"postprocessorOutput", "postprocessor_output"})


def _data(output: Mapping[str, Json]) -> tuple[Json, frozenset[str]]:
    """What was extracted, and the keys that hold it.

    A configuration with `keepParsedDocument: false` leaves its postprocessor's output alone.
    """
    parsed = _either(output, "parsed_document")
    if parsed is not None:
        return parsed, _OUTPUT
    processed = next((output[key] for key in _POSTPROCESSED if output.get(key) is not None), None)
    return (None, _OUTPUT) if processed is None else (processed, _OUTPUT | _POSTPROCESSED)


def _extracted(document: Document, row: Mapping[str, Json]) -> Document:
    """A complete document with what was extracted: one result, or one for each document of a portfolio.

    In a portfolio nothing may have been found, or nothing in one of its documents: it has `errors` then. An empty list
    says so by itself; where there is none at all, the errors have to.
    """
    created, completed = document.created_at, document.completed_at
    reviews = _reviews(row)
    parts = row.get("documents")
    is_single = not parts and row.get("types") is None and (parts is None or row.get("type") is not None)
    if not isinstance(parts, (list, NoneType)) or (parts is None and not is_single and not _error(row)):
        raise BadAnswer("A portfolio of Sensible's holds no list of documents.")
    if is_single:
        sent, keys = _data(row)
        data = as_object(sent)
        only = Extraction(
            data=data,
            stable=data,
            document_type=text(row.get("type")),
            review_status=reviews[0] if reviews else None,
            created_at=created,
            completed_at=completed,
        )
        kept = others(document.provider_data, keys) if keys is not _OUTPUT else document.provider_data
        return document._replace(extractions=(only,), provider_data=kept)
    found = []
    for index, part in enumerate(parts or ()):
        told = json_object(part, "A document of a portfolio of Sensible's")
        is_empty = "output" in told and told["output"] is None
        output = {} if is_empty else json_object(told.get("output"), "The output of a portfolio of Sensible's")
        sent, keys = _data(output)
        data = as_object(sent)
        own = _reviews(output)
        found.append(
            Extraction(
                data=data,
                stable=data,
                document_index=index,
                document_type=text(_either(told, "document_type") or told.get("documentType")),
                review_status=own[0] if own else reviews[index] if index < len(reviews) else None,
                created_at=created,
                completed_at=completed,
                provider_data={**others(told, _PART), **others(output, keys)},
            )
        )
    is_lacking = not found or any(one.data == {} for one in found)
    return document._replace(extractions=tuple(found), error=_error(row) if is_lacking else None)


def _reviews(row: Mapping[str, Json]) -> list[str | None]:
    """Review statuses: one, or one for each document; written as text, as a list with nulls, or not at all."""
    told = next((row[key] for key in _REVIEWS if row.get(key) is not None), None)
    return [text(one) for one in _as_list(told)]


def snapshot_of(ref: BatchRef, row: Mapping[str, Json]) -> Snapshot:
    """What is under review is complete, and watched until that is decided."""
    document = _document(row, ref.batch_id)
    if document.status is FileStatus.PROCESSED:
        document = _extracted(document, row)
    listed = _STATUSES.get(text((ref.row or {}).get("status")) or "", FileStatus.PENDING)
    if document.status is FileStatus.PENDING and listed is not FileStatus.PENDING:
        # Its summary is ahead of it and will not change any more: without this, nothing would make it due again.
        ref = replace(ref, fingerprint="")
    reviews = set(filter(None, _reviews(row)))
    reviews |= {one.review_status for one in document.extractions if one.review_status}
    is_open = document.status is FileStatus.PENDING or not reviews <= _DECIDED
    batch_id = document.home.batch_id if document.home else ""
    return Snapshot(
        ref,
        BatchStatus.OPEN if is_open else BatchStatus.COMPLETE,
        documents=(document,),
        completed_at=document.completed_at,
        links=_links(document, batch_id),
        odd_times=odd_times(row, created=document.created_at, completed=document.completed_at),
        odd_statuses=frozenset(
            ({document.provider_status or ""} - _STATUSES.keys()) | (reviews - _DECIDED - {_NEEDS_REVIEW})
        ),
    )


def unavailable(ref: BatchRef, refusal: Unavailable) -> Snapshot:
    """Return what is known of a document that cannot be had, by its summary if it has one.

    Its list shows it as finished: it has failed, and stays so if it is too large, which is documented to be final; else
    it is asked for again, as it may come yet. Its list shows it as unfinished: it is pending, as the list says.
    """
    if ref.row is None:
        return lost(ref, str(refusal))
    document = _document(ref.row, ref.batch_id)
    status = BatchStatus.COMPLETE if refusal.status == TOO_LARGE else BatchStatus.MISSING
    if document.status is FileStatus.PENDING and refusal.status != TOO_LARGE:
        status = BatchStatus.OPEN
    else:
        document = document._replace(status=FileStatus.FAILED, error=str(refusal))
    batch_id = document.home.batch_id if document.home else ""
    return Snapshot(
        ref,
        status,
        documents=(document,),
        completed_at=document.completed_at,
        links=_links(document, batch_id),
        homeless=not batch_id,
    )


def _links(document: Document, batch_id: str) -> tuple[BatchRef, ...]:
    """To the batch of a document, with what that tells of itself."""
    told = {document.file_id or "": document.status}
    return (BatchRef(None, batch_id, named=True, linked=True, told=told),) if batch_id else ()
