"""Reading of Atlas's responses: the pages of a batch become one snapshot.

No I/O. Sources: Atlas's pages "Get extracts", "Supported documents" and, for document errors, "Quickstart".
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

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

_SIGNED_URL_KEY_BYTES = _SIGNED_URL_KEY.encode()

WRAPPER_FORMAT = WrapperFormat(
    marker_key="confidence_score",
    # Extracted data may have fields called `value` and `confidence_score`: they are objects, while a confidence is
    # none.
    marker_types=SCALAR_TYPES,
    confidence_key="confidence_score",
    ignored_keys=frozenset({"document_type"}),  # it has a column of its own
)
"""`{"value": "1234 5678 9012", "confidence_score": 0.99}`, as in the example of "Get extracts"."""


DocumentRow = tuple[str | None, Mapping[str, Json]]
"""A document that can be read: its id as text, and the whole as sent."""


class Page:
    """One response of `GET /extracts`.

    Attributes:
        body: The whole response.
        rows: The documents that can be read.
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
        return tuple([document_id for document_id, _ in self.rows])


def _parse_row(item: Json) -> DocumentRow:
    """Check that a document is an object whose id can be written as text."""
    content = require_object(item, "A document")
    return as_identifier(content.get("document_id"), "A document_id"), content


_ENVELOPE_KEYS = frozenset({"data", "page", "per_page", "total_pages", "total_items", "has_next", "has_prev"})


class BatchReading:
    """The reading of a batch of several pages, which keeps no document of a page that was handed over.

    A document whose id an earlier one has waits for the end of the reading (`take_repeated`). Only then is known
    whether `total_items` was the same on all pages:

    - It was: the ids repeat inside the batch, and each document is a file of its own.
    - It was not: the batch grew between two pages, and documents may have moved to the next one. The same id is one
      document, and its first version stays until the next sync, which reads the batch again.
    """

    def __init__(self, ref: PartitionRef) -> None:
        """Start before the first page."""
        self._ref = ref
        self._key_assigner = FileKeyAssigner()
        self._seen_ids: set[str] = set()
        self._page_count = 0
        self._seen_pages: set[tuple[str | None, ...]] = set()
        self._totals: set[int | None] = set()
        self._last_total: int | None = None
        self._unreadable_count = 0
        self._status_counts: Counter[FileStatus] = Counter()
        self._repeated_rows: list[DocumentRow] = []
        self._provider_data: dict[str, Json] = {}

    def add(self, page: Page) -> Snapshot:
        """Return the documents of the next page as a part of the batch.

        Raises:
            UnreadableResponse: The page repeats an earlier one, or is empty and announces another. Reading would never
                end.
        """
        self._page_count += 1
        document_ids = page.document_ids
        is_repeated = document_ids in self._seen_pages if page.rows else page.has_next
        if is_repeated:
            raise UnreadableResponse(
                f"Atlas's page {self._page_count} contains no new document but announces another page."
            )
        if self._page_count == 1:
            self._provider_data = unknown_keys(page.body, _ENVELOPE_KEYS)
        self._seen_pages.add(document_ids)
        self._totals.add(page.total_items)
        self._last_total = page.total_items
        self._unreadable_count += page.unreadable_count
        documents = []
        for row in page.rows:
            document_id, _ = row
            if document_id in self._seen_ids:
                self._repeated_rows.append(row)
                continue
            if document_id is not None:
                self._seen_ids.add(document_id)
            documents.append(parse_document(row, self._key_assigner))
        return self._build_part(documents)

    def take_repeated(self) -> Snapshot | None:
        """Return the documents whose ids repeat; None if there are none, or if they are earlier documents."""
        if len(self._totals) > 1 or not self._repeated_rows:
            return None
        return self._build_part([parse_document(row, self._key_assigner) for row in self._repeated_rows])

    def _build_part(self, documents: list[Document]) -> Snapshot:
        self._status_counts.update([document.status for document in documents])
        return Snapshot(self._ref, PartitionStatus.OPEN, documents=tuple(documents), is_partial=True)

    def build_snapshot(self) -> Snapshot:
        """Return the snapshot of the batch as a whole, after all of its documents were handed over."""
        return _build_snapshot(
            self._ref,
            documents=(),
            earlier_counts=self._status_counts,
            # Without one total on all pages, the batch has changed while it was read.
            total_items=self._last_total if len(self._totals) == 1 else None,
            unreadable_count=self._unreadable_count,
            provider_data=self._provider_data,
        )


def build_snapshot(ref: PartitionRef, page: Page) -> Snapshot:
    """Return the snapshot of a batch from its only page."""
    key_assigner = FileKeyAssigner()
    return _build_snapshot(
        ref,
        documents=tuple(parse_document(row, key_assigner) for row in page.rows),
        earlier_counts={},
        total_items=page.total_items,
        unreadable_count=page.unreadable_count,
        provider_data=unknown_keys(page.body, _ENVELOPE_KEYS),
    )


def _build_snapshot(
    ref: PartitionRef,
    *,
    documents: tuple[Document, ...],
    earlier_counts: Mapping[FileStatus, int],
    total_items: int | None,
    unreadable_count: int,
    provider_data: dict[str, Json],
) -> Snapshot:
    """Return a snapshot with the status that follows from the documents.

    Atlas sends no status, so the batch is complete when it holds `total_items` documents, at least one, and each of
    them has data or an error.
    """
    error = describe_unreadable(unreadable_count, f"the documents of {ref.batch_id} in Atlas's response")
    snapshot = Snapshot(
        ref,
        PartitionStatus.OPEN,
        documents=documents,
        error=error or None,
        provider_data=provider_data,
        read_error=error,
        earlier_counts=earlier_counts,
    )
    # An empty batch is a young one: newer pages describe `total_items` as documents *extracted* so far. The lookback
    # reads a batch again that only looked whole, and `expected_files` keeps it open.
    is_whole = (total_items or 0) == (snapshot.file_count or 0) > 0 and not error
    has_pending = earlier_counts.get(FileStatus.PENDING) or any(
        document.status is FileStatus.PENDING for document in documents
    )
    return replace(snapshot, status=PartitionStatus.COMPLETE) if is_whole and not has_pending else snapshot


_ERROR_KEY_ORDER = ("error_code", "error_message", "error")

_ROW_KEYS = frozenset({"document_id", "file_data"})


def parse_document(row: DocumentRow, key_assigner: FileKeyAssigner) -> Document:
    """Return a document; one without data and without an error is pending.

    "Quickstart" documents the codes INVALID_DOC and UNRECOGNISED, but not their place, so they are accepted on the row
    and inside its data.
    """
    document_id, content = row
    data = content.get("file_data")
    provider_data = unknown_keys(content, _ROW_KEYS)
    error = _take_error(provider_data, provider_data) if provider_data else None
    document_type = None
    if isinstance(data, dict):
        document_type = as_text(data.get("document_type"))
        if not error and not _ERROR_KEYS.isdisjoint(data):
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
    if _SIGNED_URL_KEY_BYTES in serialized:
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
