"""DocMap's extractions: rows that tell all, and runs, which are their rows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from ...errors import BadAnswer
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
from ..base import Listed, as_object, count, fingerprint, identifier, json_object, odd_times, others, text

PER_PAGE = 100

STATUSES = {
    "processing": FileStatus.PENDING,
    "completed": FileStatus.PROCESSED,
    "failed": FileStatus.FAILED,
}


def page_of(body: Json) -> tuple[list[Json], bool]:
    """`{"data": [...], "hasMore": ...}`, or the same one level down, which the pages leave open.

    Where it does not say whether there is more, a full page does.
    """
    answer = json_object(body, "DocMap's list of extractions")
    data = answer.get("data")
    if isinstance(data, Mapping):
        answer, data = {**answer, **data}, data.get("extractions")
    if not isinstance(data, list):
        raise BadAnswer("DocMap's list of extractions holds no list.")
    told = answer.get("hasMore")
    return data, told if isinstance(told, bool) else len(data) >= PER_PAGE


def ref_of(sent: Json) -> BatchRef:
    """One extraction, with the row that tells all about it."""
    row = json_object(sent, "A row of DocMap's list")
    extraction_id, template_id, _ = (
        identifier(row.get(key), f"The {key} of a row of DocMap's list") for key in ("id", "templateId", "runId")
    )
    created = moment(row.get("createdAt"))
    if not extraction_id:
        raise BadAnswer("An extraction in DocMap's list has no id.")
    return BatchRef(
        template_id,
        extraction_id,
        created_at=created,
        clock=created,
        row=row,
        fingerprint=fingerprint(row),
    )


_ROW = frozenset(
    {
        "id", "templateId", "templateName", "fileName", "status", "extractedData", "error", "runId", "processingTimeMs",
        "createdAt",
    }
)  # fmt: skip


def document_of(row: Mapping[str, Json], keys: FileKeys) -> Document:
    """`completed_at` is computed: createdAt + processingTimeMs. Keys of extractedData beyond the variables are kept."""
    extraction_id, sent = text(row.get("id")), text(row.get("status"))
    status = STATUSES.get(sent or "", FileStatus.PENDING)
    created, took = moment(row.get("createdAt")), count(row.get("processingTimeMs"))
    completed = _later(created, took) if status is not FileStatus.PENDING else None
    extractions: tuple[Extraction, ...] = ()
    if status is FileStatus.PROCESSED:
        data = as_object(row.get("extractedData"))
        extractions = (Extraction(data=data, stable=data, created_at=created, completed_at=completed),)
    return Document(
        key=keys.key(extraction_id, None),
        status=status,
        file_id=extraction_id,
        file_name=text(row.get("fileName")),
        provider_status=sent,
        error=text(row.get("error")),
        created_at=created,
        completed_at=completed,
        processing_ms=took,
        provider_data=others(row, _ROW - odd_times(row, createdAt=created)),
        extractions=extractions,
        home=BatchRef(
            text(row.get("templateId")), text(row.get("runId")) or "", template_name=text(row.get("templateName"))
        ),
    )


def _later(created: datetime | None, milliseconds: int | None) -> datetime | None:
    if created is None or milliseconds is None:
        return None
    try:
        return created + timedelta(milliseconds=milliseconds)
    except OverflowError:  # beyond the year 9999
        return None


def run_of(ref: BatchRef, listed: Listed) -> Snapshot:
    rows = [one.row or {} for one in listed.refs]
    if not rows and not listed.trouble:
        return Snapshot(ref, BatchStatus.MISSING, error="DocMap has no extraction of this run.")
    keys = FileKeys()
    documents = tuple(document_of(row, keys) for row in rows)
    templates = {(text(row.get("templateId")), text(row.get("templateName"))) for row in rows}
    ids = {template_id for template_id, _ in templates}
    is_open = listed.trouble or any(document.status is FileStatus.PENDING for document in documents)
    return Snapshot(
        ref,
        BatchStatus.OPEN if is_open else BatchStatus.COMPLETE,
        documents=documents,
        error=listed.trouble or None,
        template_id=min(ids, key=str) if len(ids) == 1 else None,
        template_name=min(name or "" for _, name in templates) or None if len(templates) == 1 else None,
        trouble=listed.trouble,
    )
