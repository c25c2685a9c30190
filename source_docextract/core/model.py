"""The data model that all wings share: partitions, documents and extractions.

Each provider's reading turns JSON answers into a `Snapshot`; no later step depends on the provider. A *partition* is
the unit that is fetched at once: a batch on Extracta and Atlas; an extraction, a run or a batch on DocMap and Sensible.
All times are aware and in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple

from .content import compute_data_digest, dump_sorted_json
from .ids import escape_id_part
from .json_types import JsonObject
from .redaction import truncate

_EMPTY_OBJECT: JsonObject = {}


def get_empty_object() -> Any:
    """Return the shared empty mapping, which must not be changed.

    50,000 references with two dicts of their own each would take 6 MB.
    """
    return _EMPTY_OBJECT


class PartitionStatus(str, Enum):
    """The status of a partition, in the same four words for every provider.

    Attributes:
        OPEN: something in it is unfinished, so every sync fetches it again.
        COMPLETE: everything in it is finished. From then on it is due only in the lookback, or when its list changes.
        STALLED: unfinished for longer than `give_up_after_days`; no longer polled. It is due only if its list changes.
        MISSING: the provider answered, in its documented form, that it does not know the id.
    """

    OPEN = "open"
    COMPLETE = "complete"
    STALLED = "stalled"
    MISSING = "missing"


class FileStatus(str, Enum):
    """The status of one document, in the same three words for every provider.

    Attributes:
        PENDING: unfinished. A status that the provider does not document counts as pending too.
        PROCESSED: finished, with its extractions.
        FAILED: finished without a result; `Document.error` has the reason.
    """

    PENDING = "pending"
    PROCESSED = "processed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PartitionRef:
    """A partition as it is known before it is fetched.

    The knowledge comes from a list, a setting, the registry or a reference.

    Attributes:
        template_id: id of the template above it; None where the provider has no templates above batches.
        batch_id: the provider's id of the batch; the extraction's id where the partition is one extraction.
        file_ids: ids of the only files to fetch; empty for the whole batch.
        created_at: creation time from the provider's list or the registry; fills the `created_at` column.
        approx_created_at: creation time for age and order only, never a column. It equals `created_at` where that is
            known; on Atlas it is read out of the batch id, with a day's margin for the unknown time zone.
        expected_files: number of files that the registry announces; the batch stays open while it has fewer.
        is_explicit: named by a setting, by the registry or by a reference, so `start_date` does not exclude it.
        is_referenced: named by a reference in another product's snapshot.
        template_name: the template's name, where the list has it.
        files_total: the number of files, where the list has it (Extracta's `filesNo`).
        provider_status: the list's status as sent; the column falls back to it when the answer has none.
        provider_data: keys of the list that no column holds.
        listed_row: the list's row, where its list is of extractions. DocMap's row is whole, so no request follows;
            Sensible's is a summary.
        fingerprint: short text that changes when the list shows a change: Extracta's `filesNo`, else a digest of the
            row. It reveals a batch that was re-opened after it was settled. Empty where no list was read.
        provider_state: text that the provider's reading stored in the state at the last reading
            (`Snapshot.provider_state`).
        member_statuses: status by document id, as read from the documents themselves. Only for a batch whose answer
            has no statuses (Sensible's has `extraction_ids` alone).
        key: the partition's key inside its product.
    """

    template_id: str | None
    batch_id: str
    file_ids: tuple[str, ...] = ()
    created_at: datetime | None = None
    approx_created_at: datetime | None = None
    expected_files: int | None = None
    is_explicit: bool = False
    is_referenced: bool = False
    template_name: str | None = None
    files_total: int | None = None
    provider_status: str | None = None
    provider_data: JsonObject = field(default_factory=get_empty_object)
    listed_row: JsonObject | None = None
    fingerprint: str = ""
    provider_state: str = ""
    member_statuses: Mapping[str, FileStatus] = field(default_factory=get_empty_object)
    key: PartitionKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make the key once: the ledgers of all streams share it, and a full day has one for each document."""
        object.__setattr__(self, "key", PartitionKey(self.template_id or "", self.batch_id))

    @property
    def signature(self) -> str:
        """The text whose change makes the partition due.

        It consists of the fingerprint and the files to fetch.
        """
        # A file that the settings add makes a settled batch due again, as a change in its list does.
        file_part = "/".join(sorted(map(escape_id_part, self.file_ids)))
        # Without files it is the fingerprint itself: a copy would take memory in each entry of each stream.
        return f"{self.fingerprint} {file_part}".strip() if file_part else self.fingerprint.strip()

    def merge(self, other: PartitionRef) -> PartitionRef:
        """Merge two mentions of one partition, so that each is fetched once.

        A mention of the whole batch outweighs a mention of some of its files. A list's facts outweigh those of a
        setting, the registry or a reference.
        """
        # The registry's `created_at` fills the column only where the provider's list has none.
        primary, secondary = (other, self) if self.is_explicit and not other.is_explicit else (self, other)
        # A batch that is named whole anywhere is read whole.
        are_both_partial = bool(self.file_ids and other.file_ids)
        return replace(
            primary,
            file_ids=tuple(dict.fromkeys(self.file_ids + other.file_ids)) if are_both_partial else (),
            created_at=primary.created_at or secondary.created_at,
            approx_created_at=primary.approx_created_at or secondary.approx_created_at,
            expected_files=primary.expected_files or secondary.expected_files,
            # A named batch is read whatever `start_date` says, even if a list has it too.
            is_explicit=self.is_explicit or other.is_explicit,
            is_referenced=self.is_referenced or other.is_referenced,
        )


@dataclass(frozen=True, slots=True, order=True)
class PartitionKey:
    """The name of a partition inside its product.

    Attributes:
        template_id: id of the template above it; empty where the provider has no templates above batches.
        batch_id: the provider's id of the batch or extraction.
    """

    template_id: str
    batch_id: str

    def __str__(self) -> str:
        return f"{self.template_id}/{self.batch_id}" if self.template_id else self.batch_id

    @property
    def display_id(self) -> str:
        """The key, cut to a length that leaves room for the rest of a message."""
        return truncate(str(self))


class Extraction(NamedTuple):
    """The data extracted from one document.

    Attributes:
        data: the extracted data exactly as sent; a value that is no object is wrapped as `{"value": ...}`.
        hashable_data: `data` without URLs of files, which the provider signs anew in each answer. The digest and the
            fields are made from it, so a new signature is no change.
        document_index: position of the document inside its file, from 0; above 0 only where a provider splits files.
        document_type: the provider's name for the type of the document.
        confidence: the provider's confidence in the extraction as a whole, as sent.
        review_status: the status of the human review; None outside a review.
        created_at: when the extraction was created; None where only its batch has a creation time.
        completed_at: when it was completed.
        provider_data: keys of the answer that no column holds.
        precomputed_digest: the digest, where the reading already computed it; empty otherwise.
    """

    data: JsonObject
    hashable_data: JsonObject
    document_index: int = 0
    document_type: str | None = None
    confidence: float | None = None
    review_status: str | None = None
    created_at: datetime | None = None
    completed_at: datetime | None = None
    provider_data: JsonObject = _EMPTY_OBJECT
    precomputed_digest: str = ""

    @property
    def digest(self) -> str:
        """The digest of `hashable_data`: 32 hex digits, independent of the order of keys."""
        return self.precomputed_digest or compute_data_digest(dump_sorted_json(self.hashable_data))


class Document(NamedTuple):
    """One file of a batch.

    Attributes:
        key: the file's key, escaped and unique in its batch (`FileKeyAssigner` assigns it); the last part of the row's
            `id`.
        status: pending, processed or failed.
        file_id: the provider's id of the file; None where it has none.
        file_name: the file's name as sent.
        provider_status: the status as sent.
        error: the provider's reason, where the document failed.
        document_type: the provider's name for the type of the document.
        page_count: number of pages.
        url: the URL of the stored file; often signed, so it is no part of the row hash.
        created_at: when the document was created; None where only its batch has a creation time.
        completed_at: when it was completed.
        processing_ms: processing time in milliseconds.
        provider_data: keys of the answer that no column holds.
        extractions: the extracted data, one item for each document that the provider found inside the file.
        batch: the batch of the document, where the snapshot is of this one document and not of a batch. Its
            `batch_id` is empty where the document belongs to no batch. None inside the snapshot of a batch.
    """

    key: str
    status: FileStatus
    file_id: str | None = None
    file_name: str | None = None
    provider_status: str | None = None
    error: str | None = None
    document_type: str | None = None
    page_count: int | None = None
    url: str | None = None
    created_at: datetime | None = None
    completed_at: datetime | None = None
    processing_ms: int | None = None
    provider_data: JsonObject = _EMPTY_OBJECT
    extractions: tuple[Extraction, ...] = ()
    batch: PartitionRef | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of one partition at the moment at which the provider answered.

    A partition of many pages has a partial snapshot for each page, and a last one for the partition as a whole, which
    has no documents: a page can be delivered and dropped before the next one is read.

    Attributes:
        ref: the partition that was fetched.
        status: open, complete or missing. `stalled` never comes from a provider: the ledger decides it.
        documents: the documents; None while the provider does not list them ("waiting"), which is not the same as an
            empty batch.
        provider_status: the batch's status as sent.
        description: the user's description of the batch.
        error: the provider's error about the batch as a whole, or the reason why it is missing.
        completed_at: when the partition was completed, where the provider has that time.
        provider_data: keys of the answer that no column holds.
        template_id: id of the template that all documents share, where `ref` has none (a DocMap run); None if mixed.
        template_name: name of that template.
        volatile_data: keys that are added to `provider_data` and left out of the row hash, such as Sensible's counter
            `waiting`: they change without news.
        references: partitions of another product that the documents point at.
        batch_unknown: whether the provider's answer leaves open which batch the document belongs to.
        provider_state: text that the reading stores in the state and gets back as `PartitionRef.provider_state`. It
            is kept for each open batch, so it is as short as possible.
        uncertain_times: keys under which the provider sent something that is not certain to be a time. The columns
            are null; `provider_data` holds the values as sent.
        unknown_statuses: statuses that the provider does not document. They count as unfinished; each causes one
            warning a sync.
        read_error: a sentence about the parts that cannot be read; empty if all can. The readable parts are in
            `documents`, the partition stays open and its streams end INCOMPLETE.
        has_unknown_files: whether the provider does not know some of the requested files, so that they are requested
            again.
        is_partial: whether this is one page of a partition that is still being read. Only `ref` and `documents` of it
            mean anything; its status is OPEN.
        earlier_counts: the number of documents by status in the partial snapshots of the same reading.
    """

    ref: PartitionRef
    status: PartitionStatus
    documents: tuple[Document, ...] | None = None
    provider_status: str | None = None
    description: str | None = None
    error: str | None = None
    completed_at: datetime | None = None
    provider_data: JsonObject = field(default_factory=dict)
    template_id: str | None = None
    template_name: str | None = None
    volatile_data: JsonObject = field(default_factory=dict)
    references: tuple[PartitionRef, ...] = ()
    batch_unknown: bool = False
    provider_state: str = ""
    uncertain_times: frozenset[str] = frozenset()
    unknown_statuses: frozenset[str] = frozenset()
    read_error: str = ""
    has_unknown_files: bool = False
    is_partial: bool = False
    earlier_counts: Mapping[FileStatus, int] = field(default_factory=dict)

    @property
    def file_count(self) -> int | None:
        """The number of documents, with those of earlier pages; None while the provider does not list them."""
        return None if self.documents is None else len(self.documents) + sum(self.earlier_counts.values())

    @property
    def is_finished(self) -> bool:
        """Whether nothing more is to come, as far as the provider shows."""
        return self.status is not PartitionStatus.OPEN

    def reopen_if_files_missing(self) -> Snapshot:
        """Return this snapshot, with status OPEN while it has fewer files than expected.

        `expected_files` comes from the registry: a batch may look complete while its user is still uploading.
        """
        # Atlas counts the documents extracted so far, so a young batch looks complete at any time. Only the number in
        # the registry shows that it is not.
        has_fewer_files = self.file_count is not None and self.file_count < (self.ref.expected_files or 0)
        is_incomplete = self.status is PartitionStatus.COMPLETE and has_fewer_files
        return replace(self, status=PartitionStatus.OPEN) if is_incomplete else self
