"""Reading of Atlas's responses: the pages of a batch become one snapshot.

No I/O. Sources: Atlas's pages "Get extracts", "Supported documents" and, for document errors, "Quickstart".
"""

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
"""Documents requested a page; "Get extracts" documents 50 as the maximum."""

_SIGNED_URL_KEY = "redact_url"
"""Key of the URL of a redacted image (page "Supported documents"), which is signed anew in each response."""

WRAPPER_FORMAT = WrapperFormat(
    marker_key="confidence_score",
    # Extracted data may have fields called `value` and `confidence_score`: they are objects, while a confidence is
    # none.
    marker_types=SCALAR_TYPES,
    confidence_key="confidence_score",
    ignored_keys=frozenset({"document_type"}),  # it has a column of its own
)
"""`{"value": "1234 5678 9012", "confidence_score": 0.99}`, as in the example of "Get extracts"."""


class Page:
    """One response of `GET /extracts`.

    Attributes:
        body: The whole response.
        rows: The documents that can be read, as sent.
        unreadable_count: Number of documents that cannot be read.
        total_items: Number of documents in the batch; None where the response does not state it.
    """

    def __init__(self, ref: PartitionRef, page_number: int, body: Json) -> None:
        """Check the response to the request for one page.

        Raises:
            UnreadableResponse: The response holds no list, or is another page than the requested one.
        """
        self._page_number = page_number
        self.body = require_object(body, f"Atlas's page {page_number} of {ref.batch_id}")
        self._label = f"page {page_number} of {ref.batch_id}"
        rows = self.body.get("data")
        if not isinstance(rows, list):
            raise UnreadableResponse(f"Atlas's {self._label} contains no list of documents.")
        self.rows = parse_each(rows, _parse_row)
        self.unreadable_count = len(rows) - len(self.rows)
        # A wrong page would pass for the right one, and its documents would be lost or delivered twice.
        if as_number(self.body.get("page")) not in {page_number, None}:
            raise UnreadableResponse(f"Atlas sent a different page instead of {self._label}.")
        self.total_items = as_number(self.body.get("total_items"))

    @property
    def has_next(self) -> bool:
        """Whether another page follows; where the flag is missing, `total_pages` decides."""
        has_next_flag = self.body.get("has_next")
        return (
            has_next_flag
            if isinstance(has_next_flag, bool)
            else self._page_number < (as_number(self.body.get("total_pages")) or 0)
        )

    @property
    def last_page(self) -> int:
        """Number of the last page, 0 unless `total_pages` agrees with `total_items`."""
        total_pages, total_items = as_number(self.body.get("total_pages")) or 0, self.total_items or 0
        # Where the two disagree, the announced end is doubtful, and the pages are requested one after the other.
        return total_pages if total_pages == math.ceil(total_items / PER_PAGE) else 0

    @property
    def document_ids(self) -> tuple[str | None, ...]:
        """Document ids in their order. Pages with the same ids are one page sent twice."""
        return tuple(as_text(row.get("document_id")) for row in self.rows)


def _parse_row(item: Json) -> Mapping[str, Json]:
    """Check that a document is an object whose id can be written as text."""
    row = require_object(item, "A document")
    as_identifier(row.get("document_id"), "A document_id")
    return row


def reject_repeated_pages(pages: list[Page]) -> None:
    """Reject pages that add no documents while `has_next` promises more.

    Raises:
        UnreadableResponse: A page repeats an earlier one, or is empty and announces another. Reading would never end.
    """
    seen_ids = set()
    for page_number, page in enumerate(pages, start=1):
        document_ids = page.document_ids
        is_repeated = document_ids in seen_ids if page.rows else page.has_next
        if is_repeated:
            raise UnreadableResponse(f"Atlas's page {page_number} contains no new document but announces another page.")
        seen_ids.add(document_ids)


_ENVELOPE_KEYS = frozenset({"data", "page", "per_page", "total_pages", "total_items", "has_next", "has_prev"})


def build_snapshot(ref: PartitionRef, pages: list[Page]) -> Snapshot:
    """Return the snapshot of a batch from all of its pages.

    Atlas sends no status, so the batch is complete when it holds `total_items` documents, at least one, and each of
    them has data or an error.
    """
    rows = [row for page in pages for row in page.rows]
    totals = {page.total_items for page in pages}
    if len(totals) > 1:
        # The batch grew between two pages and documents may have moved to the next one: the same id is one document.
        # In a batch that did not grow, rows of the same id stay apart, so that neither is lost.
        rows = list({as_text(row.get("document_id")) or index: row for index, row in enumerate(rows)}.values())
    key_assigner = FileKeyAssigner()
    documents = tuple(parse_document(row, key_assigner) for row in rows)
    error = describe_unreadable(
        sum(page.unreadable_count for page in pages), f"the documents of {ref.batch_id} in Atlas's response"
    )
    # An empty batch is a young one: newer pages describe `total_items` as documents *extracted* so far. The lookback
    # reads a batch again that only looked whole, and `expected_files` keeps it open.
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
    """Return a document; one without data and without an error is pending.

    "Quickstart" documents the codes INVALID_DOC and UNRECOGNISED, but not their place, so they are accepted on the row
    and inside its data.
    """
    document_id, data = as_text(row.get("document_id")), row.get("file_data")
    provider_data = unknown_keys(row, _ROW_KEYS)
    error = _take_error(provider_data, provider_data) if provider_data else None
    document_type = as_text(data.get("document_type")) if isinstance(data, dict) else None
    if not error and isinstance(data, dict) and not _ERROR_KEYS.isdisjoint(data):
        error = _take_error(data, {})
    extractions: tuple[Extraction, ...] = ()
    if error:
        status = FileStatus.FAILED
    elif data:
        status = FileStatus.PROCESSED
        extractions = (_build_extraction(as_object(data), document_type),)
    else:
        status = FileStatus.PENDING
    if error and data:
        provider_data["file_data"] = data  # a failed document has no result, but its data is not dropped
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
    """Return the reason why a document failed, and remove its keys from `row`.

    Args:
        source: The row or its data, whichever holds the reason.
        row: The keys to keep as `provider_data`.
    """
    error_values = {key: source[key] for key in _ERROR_KEY_ORDER if key in source}
    if source is not row:
        # An extracted field may be called "error". Inside the data these keys count as an error only if `error_code`
        # holds a bare value (a field is wrapped) or if nothing but the document type stands beside them.
        is_alone = source.keys() <= _ERROR_KEYS | WRAPPER_FORMAT.ignored_keys
        error_values = {key: value for key, value in error_values.items() if value and type(value) in {int, str}}
        if not (is_alone or "error_code" in error_values):
            return None
    for key in error_values:
        row.pop(key, None)
    return " ".join(filter(None, map(as_text, error_values.values()))) or None


def _build_extraction(data: Mapping[str, Json], document_type: str | None) -> Extraction:
    """Return an extraction whose digest ignores signed URLs."""
    hashable_data, serialized = data, dump_sorted_json(data)
    # Few documents hold a signed URL. Searching the bytes, which the digest needs anyway, spares the walk through the
    # data of all others.
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
