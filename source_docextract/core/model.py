"""The vocabulary that all rooms speak: batches, documents and what was extracted from them.

A provider's reader turns its JSON into these; nothing after it knows where they came from. Times are aware and UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from .content import compute_data_digest, dump_sorted_json
from .ids import escape_id_part
from .json_types import JsonObject
from .redaction import truncate

_EMPTY_OBJECT: JsonObject = {}


class PartitionStatus(str, Enum):
    """What a batch is to a user, whatever its provider calls it."""

    OPEN = "open"  # something in it is unfinished
    COMPLETE = "complete"
    STALLED = "stalled"  # unfinished for so long that it is given up
    MISSING = "missing"  # the provider does not know it


class FileStatus(str, Enum):
    """What one document is to a user."""

    PENDING = "pending"
    PROCESSED = "processed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PartitionRef:
    """A batch as it is known before it is asked for.

    Attributes:
        template_id: the template it belongs to, None where the provider has none above a batch.
        file_ids: ask for these files only; empty means the whole batch.
        created_at: creation time as told by a list.
        clock: creation time for inside use (age, order) where it is only a guess; `created_at` where that is told.
        expected_files: how many files it will have in the end, as its user says; it stays open while it has fewer.
        named: by hand, by a registry or by a link, so it is read whatever `start_date` says.
        linked: a classification result pointed at it.
        listing: what the list tells of it besides; keys are columns of Batch.
        row: the list's own row, where that tells enough to read the batch without asking.
        fingerprint: changes when the list tells something new (Extracta's `filesNo`), so a re-opened batch is seen.
        memo: what its reader wrote down at the last reading (`Snapshot.memo`).
        told: of a batch that a document points at: that document's id, and its status.
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
    provider_data: JsonObject = field(default_factory=dict)
    listed_row: JsonObject | None = None
    fingerprint: str = ""
    provider_state: str = ""
    member_statuses: Mapping[str, FileStatus] = field(default_factory=dict)

    @property
    def key(self) -> PartitionKey:
        return PartitionKey(self.template_id or "", self.batch_id)

    @property
    def signature(self) -> str:
        """All that makes a batch due if it changes: what the list tells, and which files are asked for."""
        file_part = "/".join(sorted(map(escape_id_part, self.file_ids)))
        return f"{self.fingerprint} {file_part}".strip()

    def merge(self, other: PartitionRef) -> PartitionRef:
        """Of two mentions of one batch: whole before some files, what a list tells before what anybody else says."""
        primary, secondary = (other, self) if self.is_explicit and not other.is_explicit else (self, other)
        are_both_partial = bool(self.file_ids and other.file_ids)
        return replace(
            primary,
            file_ids=tuple(dict.fromkeys(self.file_ids + other.file_ids)) if are_both_partial else (),
            created_at=primary.created_at or secondary.created_at,
            approx_created_at=primary.approx_created_at or secondary.approx_created_at,
            expected_files=primary.expected_files or secondary.expected_files,
            is_explicit=self.is_explicit or other.is_explicit,
            is_referenced=self.is_referenced or other.is_referenced,
        )


@dataclass(frozen=True, slots=True, order=True)
class PartitionKey:
    """Names a batch inside its product; `template_id` is empty where the provider has no template above it."""

    template_id: str
    batch_id: str

    def __str__(self) -> str:
        return f"{self.template_id}/{self.batch_id}" if self.template_id else self.batch_id

    @property
    def display_id(self) -> str:
        """For a message, which has to have room for what it says of the batch."""
        return truncate(str(self))


class Extraction(NamedTuple):
    """What was extracted from one document.

    Attributes:
        data: exactly as sent; an object, or `{"value": ...}` around what is none.
        stable: `data` without its links to files, which are signed anew in each answer; names the content.
        document_index: the n-th document inside one file, from 0.
        known_digest: the digest, where its reader has worked it out already.
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
        """Names the content of `data`, links aside: 32 hex digits, the same whatever the order of its keys."""
        return self.precomputed_digest or compute_data_digest(dump_sorted_json(self.hashable_data))


class Document(NamedTuple):
    """One file of a batch. `key` is unique in its batch (FileKeys sees to that) and already escaped.

    `home` is the batch it belongs to where its snapshot is not of a batch but of this one document; its batch id may
    be empty: the document belongs to none.
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
    """One batch as its provider told it at one moment.

    Attributes:
        documents: None while the provider does not tell them ("waiting"), which is not the same as none.
        finished: everything in it is done, so far as the provider tells.
        template_id, template_name: of a batch whose id does not stand below a template, where all of it has one.
        counters: more of `provider_data`, whose change alone is no news.
        links: batches of another product that its documents point at.
        homeless: which batch its document is in is not told.
        memo: what its reader wants to be given back at the next reading, as short as can be.
        odd_times: keys of times that are not certain: they are null, and `provider_data` has what was sent.
        odd_statuses: statuses nobody documented; they count as unfinished and are warned of once.
        trouble: that something in it cannot be read, in a sentence. The rest is here, and the batch stays open.
        is_lacking: the provider does not know some of what was asked for, so it is asked for again.
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

    @property
    def is_finished(self) -> bool:
        return self.status is not PartitionStatus.OPEN

    def reopen_if_files_missing(self) -> Snapshot:
        """The same, but open if its user says that more files are to come."""
        has_fewer_files = self.documents is not None and len(self.documents) < (self.ref.expected_files or 0)
        return (
            replace(self, status=PartitionStatus.OPEN)
            if self.status is PartitionStatus.COMPLETE and has_fewer_files
            else self
        )
