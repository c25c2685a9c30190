"""What Atlas's answers mean. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ...core.content import compute_data_digest, dump_sorted_json
from ...core.errors import UnreadableResponse
from ...core.ids import FileKeyAssigner
from ...core.json_types import Json
from ...core.model import Document, Extraction, FileStatus, PartitionRef, PartitionStatus, Snapshot
from ...core.wrappers import SCALAR_TYPES, WrapperFormat
from ..parsing import (
    as_identifier,
    as_number,
    as_object,
    as_text,
    describe_unreadable,
    parse_each,
    require_object,
    unknown_keys,
)

PER_PAGE = 50

_SIGNED_URL_KEY = "redact_url"

WRAPPER_FORMAT = WrapperFormat(
    marker_key="confidence_score",
    marker_types=SCALAR_TYPES,
    confidence_key="confidence_score",
    ignored_keys=frozenset({"document_type"}),  # it stands in its own column
)


class Page:
    """One answer of /extracts."""

    def __init__(self, ref: PartitionRef, page_number: int, body: Json) -> None:
        self._page_number = page_number
        self.body = require_object(body, f"Atlas's page {page_number} of {ref.batch_id}")
        self._label = f"page {page_number} of {ref.batch_id}"
        rows = self.body.get("data")
        if not isinstance(rows, list):
            raise UnreadableResponse(f"Atlas's {self._label} contains no list of documents.")
        self.rows = parse_each(rows, _parse_row)
        self.unreadable_count = len(rows) - len(self.rows)
        if as_number(self.body.get("page")) not in {page_number, None}:
            raise UnreadableResponse(f"Atlas sent a different page instead of {self._label}.")
        self.total_items = as_number(self.body.get("total_items"))

    @property
    def has_next(self) -> bool:
        has_next_flag = self.body.get("has_next")
        return (
            has_next_flag
            if isinstance(has_next_flag, bool)
            else self._page_number < (as_number(self.body.get("total_pages")) or 0)
        )

    @property
    def last_page(self) -> int:
        """The last page so far as this one tells, and tells it soundly; 0 otherwise."""
        total_pages, total_items = as_number(self.body.get("total_pages")) or 0, self.total_items or 0
        return total_pages if total_pages == math.ceil(total_items / PER_PAGE) else 0

    @property
    def document_ids(self) -> tuple[str | None, ...]:
        """What it has in common with a page that it repeats: its documents, in their order."""
        return tuple(as_text(row.get("document_id")) for row in self.rows)


def _parse_row(item: Json) -> Mapping[str, Json]:
    row = require_object(item, "A document")
    as_identifier(row.get("document_id"), "A document_id")
    return row


def reject_repeated_pages(pages: list[Page]) -> None:
    """A server that goes round in circles would be asked for ever."""
    seen_ids = set()
    for page_number, page in enumerate(pages, start=1):
        document_ids = page.document_ids
        is_repeated = document_ids in seen_ids if page.rows else page.has_next
        if is_repeated:
            raise UnreadableResponse(f"Atlas's page {page_number} contains no new document but announces another page.")
        seen_ids.add(document_ids)


_ENVELOPE_KEYS = frozenset({"data", "page", "per_page", "total_pages", "total_items", "has_next", "has_prev"})


def build_snapshot(ref: PartitionRef, pages: list[Page]) -> Snapshot:
    rows = [row for page in pages for row in page.rows]
    totals = {page.total_items for page in pages}
    if len(totals) > 1:
        # The batch grew while it was read, and pages may have moved: what came twice is one document.
        rows = list({as_text(row.get("document_id")) or index: row for index, row in enumerate(rows)}.values())
    key_assigner = FileKeyAssigner()
    documents = tuple(parse_document(row, key_assigner) for row in rows)
    error = describe_unreadable(
        sum(page.unreadable_count for page in pages), f"the documents of {ref.batch_id} in Atlas's response"
    )
    is_whole = len(totals) == 1 and (pages[-1].total_items or 0) == len(documents) > 0 and not error
    is_finished = is_whole and all(document.status is not FileStatus.PENDING for document in documents)
    return Snapshot(
        ref,
        PartitionStatus.COMPLETE if is_finished else PartitionStatus.OPEN,
        documents=documents,
        error=error or None,
        provider_data=unknown_keys(pages[0].body, _ENVELOPE_KEYS),
        read_error=error,
    )


_ERROR_KEY_ORDER = ("error_code", "error_message", "error")

_ROW_KEYS = frozenset({"document_id", "file_data"})


def parse_document(row: Mapping[str, Json], key_assigner: FileKeyAssigner) -> Document:
    """A row without data or error is in work.

    Atlas documents the codes INVALID_DOC and UNRECOGNISED, and not where they stand: on the row or inside its data.
    """
    document_id, data = as_text(row.get("document_id")), row.get("file_data")
    provider_data = unknown_keys(row, _ROW_KEYS)
    error = _take_error(provider_data, provider_data) if provider_data else None
    document_type = as_text(data.get("document_type")) if isinstance(data, dict) else None
    if not error and isinstance(data, dict) and not _ERROR_KEYS.isdisjoint(data):
        error = _take_error(data, {})
    status = FileStatus.FAILED if error else FileStatus.PROCESSED if data else FileStatus.PENDING
    extractions = (_build_extraction(as_object(data), document_type),) if status is FileStatus.PROCESSED else ()
    if error and data:
        provider_data["file_data"] = data  # what was extracted nevertheless is no result, but not lost either
    return Document(
        key=key_assigner.assign(document_id, None),
        status=status,
        file_id=document_id,
        error=error,
        document_type=document_type,
        provider_data=provider_data,
        extractions=extractions,
    )


_ERROR_KEYS = frozenset(_ERROR_KEY_ORDER)


def _take_error(source: Mapping[str, Json], row: dict[str, Json]) -> str | None:
    """The reason of a failed document, taken out of its `row`.

    Inside of data a field may have any of these names: there it takes a code in plain words, or nothing else beside.
    """
    error_values = {key: source[key] for key in _ERROR_KEY_ORDER if key in source}
    if source is not row:
        is_alone = source.keys() <= _ERROR_KEYS | WRAPPER_FORMAT.ignored_keys
        error_values = {key: value for key, value in error_values.items() if value and type(value) in {int, str}}
        if not (is_alone or "error_code" in error_values):
            return None
    for key in error_values:
        row.pop(key, None)
    return " ".join(filter(None, map(as_text, error_values.values()))) or None


def _build_extraction(data: Mapping[str, Json], document_type: str | None) -> Extraction:
    """Few documents have signed links, and looking for the word in what the digest is made of is cheap."""
    hashable_data, serialized = data, dump_sorted_json(data)
    if _SIGNED_URL_KEY.encode() in serialized:
        hashable_data = _remove_signed_urls(data)
        serialized = dump_sorted_json(hashable_data)
    return Extraction(
        data=data,
        hashable_data=hashable_data,
        document_type=document_type,
        precomputed_digest=compute_data_digest(serialized),
    )


def _remove_signed_urls(value: Json) -> Json:
    if isinstance(value, Mapping):
        return {key: _remove_signed_urls(item) for key, item in value.items() if key != _SIGNED_URL_KEY}
    if isinstance(value, list):
        return [_remove_signed_urls(item) for item in value]
    return value
