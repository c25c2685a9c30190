"""Reading of DocMap's responses: extractions and runs.

No I/O. Sources: DocMap's pages "Get Extraction", "List Extractions" and "Schemas".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from sys import intern

from ...core.errors import UnreadableResponse
from ...core.ids import FileKeyAssigner
from ...core.json_types import Json
from ...core.model import Document, Extraction, FileStatus, PartitionRef, PartitionStatus, Snapshot
from ...core.timestamps import parse_time
from ..packing import PackedPage, PackedRow
from ..parsing import (
    as_identifier,
    as_number,
    as_object,
    as_text,
    compute_fingerprint,
    find_uncertain_times,
    require_object,
    unknown_keys,
)

PER_PAGE = 100
"""Rows requested a page; "List Extractions" documents 100 as the maximum."""

FILE_STATUSES = {
    "processing": FileStatus.PENDING,
    "completed": FileStatus.PROCESSED,
    "failed": FileStatus.FAILED,
}


def unpack_row(ref: PartitionRef) -> Mapping[str, Json]:
    """Return the row of a reference as sent; empty if it has none."""
    row = ref.listed_row or {}
    return row.unpack() if isinstance(row, PackedRow) else row


def parse_page(body: Json) -> tuple[list[Json], bool]:
    """Return the rows of a list page, and whether more pages follow.

    The documented form is not fully known: `{"data": [...], "hasMore": ...}` and the same inside of `data`, with the
    rows at `extractions`, are both accepted. Where `hasMore` is missing, a full page means that more rows follow.

    Raises:
        UnreadableResponse: The response holds no list.
    """
    response = require_object(body, "DocMap's list of extractions")
    data = response.get("data")
    if isinstance(data, Mapping):
        # `hasMore` may stand inside of `data` or beside it.
        response, data = {**response, **data}, data.get("extractions")
    if not isinstance(data, list):
        raise UnreadableResponse("DocMap's list of extractions is not a JSON array.")
    # A full page without `hasMore` has to be followed by a request, since rows that are passed over now are never read.
    has_more = response.get("hasMore")
    return data, has_more if isinstance(has_more, bool) else len(data) >= PER_PAGE


def parse_ref(item: Json, page: PackedPage | None = None) -> PartitionRef:
    """Return a reference to an extraction, with its complete row.

    Args:
        item: The row.
        page: The page into which the row is packed; None keeps it as it is.

    Raises:
        UnreadableResponse: The row has no id, or an id that cannot be written as text.
    """
    row = require_object(item, "A row of DocMap's list")
    # `runId` is checked with the others: a run without a readable id costs this row alone.
    extraction_id, template_id, _ = (
        as_identifier(row.get(key), f"The {key} of a row of DocMap's list") for key in ("id", "templateId", "runId")
    )
    created_at = parse_time(row.get("createdAt"))
    if not extraction_id:
        raise UnreadableResponse("An extraction in DocMap's list has no id.")
    # First, since it reports a row that is nested too deeply to be serialized.
    fingerprint = compute_fingerprint(row)
    return PartitionRef(
        template_id and intern(template_id),  # one text for all rows of a template
        extraction_id,
        created_at=created_at,
        approx_created_at=created_at,
        listed_row=row if page is None else page.add(row),
        fingerprint=fingerprint,
    )


_ROW_KEYS = frozenset(
    {
        "id", "templateId", "templateName", "fileName", "status", "extractedData", "error", "runId", "processingTimeMs",
        "createdAt",
    }
)  # fmt: skip


def parse_document(row: Mapping[str, Json], key_assigner: FileKeyAssigner) -> Document:
    """Return the document of an extraction's row.

    DocMap sends no completion time: `completed_at` is computed as createdAt + processingTimeMs. `extractedData` may
    hold keys beyond the template's variables, as in the example of "Get Extraction", and all of them are kept.
    """
    extraction_id, provider_status = as_text(row.get("id")), as_text(row.get("status"))
    status = FILE_STATUSES.get(provider_status or "", FileStatus.PENDING)
    created_at, processing_ms = parse_time(row.get("createdAt")), as_number(row.get("processingTimeMs"))
    # An unknown status counts as unfinished, so its processing time is not the final one.
    completed_at = _add_milliseconds(created_at, processing_ms) if status is not FileStatus.PENDING else None
    extractions: tuple[Extraction, ...] = ()
    if status is FileStatus.PROCESSED:
        data = as_object(row.get("extractedData"))
        extractions = (Extraction(data=data, hashable_data=data, created_at=created_at, completed_at=completed_at),)
    return Document(
        key=key_assigner.assign(extraction_id, None),
        status=status,
        file_id=extraction_id,
        file_name=as_text(row.get("fileName")),
        provider_status=provider_status,
        error=as_text(row.get("error")),
        created_at=created_at,
        completed_at=completed_at,
        processing_ms=processing_ms,
        provider_data=unknown_keys(row, _ROW_KEYS - find_uncertain_times(row, createdAt=created_at)),
        extractions=extractions,
        batch=PartitionRef(
            as_text(row.get("templateId")),
            as_text(row.get("runId")) or "",
            template_name=as_text(row.get("templateName")),
        ),
    )


def _add_milliseconds(created_at: datetime | None, milliseconds: int | None) -> datetime | None:
    if created_at is None or milliseconds is None:
        return None
    try:
        return created_at + timedelta(milliseconds=milliseconds)
    except OverflowError:  # beyond the year 9999
        return None


def build_run_snapshot(ref: PartitionRef, member_refs: Sequence[PartitionRef], error: str) -> Snapshot:
    """Return the snapshot of a run from the rows of its extractions.

    A run without extractions is missing: DocMap has no object for it.

    Args:
        ref: The run.
        member_refs: Its extractions, with their rows.
        error: A sentence about rows that cannot be read; empty if all can.
    """
    rows = list(map(unpack_row, member_refs))
    if not rows and not error:
        return Snapshot(ref, PartitionStatus.MISSING, error="DocMap has no extraction of this run.")
    key_assigner = FileKeyAssigner()
    documents = tuple(parse_document(row, key_assigner) for row in rows)
    id_name_pairs = {(as_text(row.get("templateId")), as_text(row.get("templateName"))) for row in rows}
    # A run may mix templates: its row then names none. A template may also be renamed, since `templateName` is the name
    # at the time of the extraction (page "Schemas"): the row then has its id alone.
    template_ids = {template_id for template_id, _ in id_name_pairs}
    template_id = min(template_ids, key=str) if len(template_ids) == 1 else None
    template_name = None
    if len(id_name_pairs) == 1:
        template_name = min(name or "" for _, name in id_name_pairs) or None
    # Extractions may be added to a run at any time. "Complete" therefore means that those which it has are finished.
    is_open = error or any(document.status is FileStatus.PENDING for document in documents)
    return Snapshot(
        ref,
        PartitionStatus.OPEN if is_open else PartitionStatus.COMPLETE,
        documents=documents,
        error=error or None,
        template_id=template_id,
        template_name=template_name,
        read_error=error,
    )
