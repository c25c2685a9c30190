"""Document types, extractions and batches of Sensible, stored and returned."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from math import inf

from docextract_sandbox.timeline import TimelineKey


class Status(str, Enum):
    """The status of an extraction; all four are documented."""

    WAITING = "WAITING"
    """The extraction exists, but its file has not been uploaded yet."""
    PROCESSING = "PROCESSING"
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"


NEEDS_REVIEW = "NEEDS_REVIEW"
DECISIONS = ("APPROVED", "REJECTED")
"""Review statuses of a decision, which is final as documented."""


@dataclass(frozen=True)
class PortfolioPart:
    """One document of a portfolio's file."""

    type_name: str
    parsed_document: Mapping[str, object] | None = None
    review: str | None = None


@dataclass(frozen=True)
class SensibleDocument:
    """A document to extract.

    A duration, data or page count of None is drawn from the sandbox's generator.
    """

    name: str
    duration_seconds: float | None = None
    """Seconds of the sandbox's clock from its upload until it is finished: 0 is at once, infinity never by itself."""
    parsed_document: Mapping[str, object] | None = None
    """Extracted data."""
    error: str | None = None
    """The reason of its failure; None if it is read."""
    review: str | None = None
    """`NEEDS_REVIEW` for a review once it is complete; of a portfolio its first document is reviewed."""
    portfolio: Sequence[str | PortfolioPart] | None = None
    """The documents in this file, by the names of their types."""
    coverage: float | None = None
    """Reported coverage; None is the share of its fields with a value."""
    page_count: int | None = None
    extraction_id: str | None = None
    is_too_large: bool = False
    """Whether it is listed, but a request for it gets 413."""
    is_purged: bool = False
    """Whether it is listed, but a request for it gets 404."""


@dataclass(frozen=True)
class DocumentType:
    """A document type with its one configuration."""

    type_id: str
    name: str
    created_ms: int
    configuration: str
    configuration_id: str
    configuration_version: str


@dataclass
class Part:
    """The extracted data of one document; a portfolio has several."""

    document_type: DocumentType
    parsed_document: Mapping[str, object]
    review: str | None
    coverage: float | None
    start_page: int
    end_page: int


@dataclass(slots=True)
class Extraction:
    """An extraction as the world stores it."""

    extraction_id: str
    name: str
    document_types: tuple[DocumentType, ...]
    environment: str
    created_ms: int
    duration_seconds: float
    ready_at: float
    """Time at which it is finished, in seconds since 1970; infinity until its file is uploaded."""
    is_uploaded: bool
    error: str | None
    page_count: int
    is_portfolio: bool
    batch_id: str | None
    is_too_large: bool
    is_purged: bool
    make_parts: Callable[[], list[Part]]
    """Builds its parts, at the first read only, so that a long history costs little."""
    cached_parts: list[Part] | None = None

    @property
    def timeline_key(self) -> TimelineKey:
        """Return the extraction's key in the timelines."""
        return self.created_ms, self.extraction_id

    @property
    def parts(self) -> list[Part]:
        """Return the parts, which are built at the first call."""
        if self.cached_parts is None:
            self.cached_parts = self.make_parts()
        return self.cached_parts

    def get_status(self, now: float) -> Status:
        """Return the status at a time in seconds since 1970."""
        if not self.is_uploaded:
            return Status.WAITING
        if now < self.ready_at:
            return Status.PROCESSING
        return Status.COMPLETE if self.error is None else Status.FAILED

    def mark_uploaded(self, uploaded_at: float) -> None:
        """Start the processing at a time in seconds since 1970."""
        self.is_uploaded, self.ready_at = True, uploaded_at + self.duration_seconds


@dataclass
class Batch:
    """A batch as the world stores it."""

    batch_id: str
    description: str
    extraction_ids: list[str]


@dataclass(frozen=True)
class PartView:
    """A part at one moment."""

    document_type: DocumentType
    parsed_document: Mapping[str, object]
    review: str | None
    coverage: float
    start_page: int
    end_page: int


@dataclass(frozen=True)
class DocumentView:
    """An extraction at one moment; it has no parts until it is complete."""

    extraction_id: str
    name: str
    status: Status
    document_types: tuple[DocumentType, ...]
    environment: str
    created_ms: int
    completed_ms: int | None
    error: str | None
    page_count: int
    is_portfolio: bool
    batch_id: str | None
    is_too_large: bool
    is_purged: bool
    parts: tuple[PartView, ...]

    @property
    def parsed_document(self) -> Mapping[str, object] | None:
        """Return the data of the first part, the only one unless this is a portfolio."""
        return self.parts[0].parsed_document if self.parts else None

    @property
    def review(self) -> str | None:
        """Return the review status of the first part."""
        return self.parts[0].review if self.parts else None

    @property
    def coverage(self) -> float | None:
        """Return the coverage; that a portfolio has the mean of its parts is a guess."""
        return round(sum(part.coverage for part in self.parts) / len(self.parts), 4) if self.parts else None


@dataclass(frozen=True)
class BatchView:
    """A batch at one moment."""

    batch_id: str
    description: str
    extraction_ids: tuple[str, ...]
    waiting_count: int
    """Number of documents that have not been uploaded; that the API's `waiting` counts these is a guess."""


@dataclass(frozen=True)
class Filter:
    """The extractions to list; an attribute that is None or empty excludes none."""

    first_key: TimelineKey | None = None
    end_key: TimelineKey | None = None
    type_ids: frozenset[str] = frozenset()
    configuration_ids: frozenset[str] = frozenset()
    environments: frozenset[str] = frozenset()
    statuses: frozenset[str] = frozenset()
    review_statuses: frozenset[str] = frozenset()
    min_coverage: float = -inf
    max_coverage: float = inf

    def is_match(self, view: DocumentView) -> bool:
        """Return whether an extraction passes the filter.

        That a portfolio passes if one of its documents does, and that coverages are inclusive, are guesses.
        """
        document_types, reviews = view.document_types, [part.review for part in view.parts]
        return (
            (not self.type_ids or any(document_type.type_id in self.type_ids for document_type in document_types))
            and (
                not self.configuration_ids
                or any(document_type.configuration_id in self.configuration_ids for document_type in document_types)
            )
            and (not self.environments or view.environment.upper() in self.environments)
            and (not self.statuses or view.status.value in self.statuses)
            and (not self.review_statuses or not self.review_statuses.isdisjoint(reviews))
            and ((self.min_coverage, self.max_coverage) == (-inf, inf) or self._is_in_coverage(view.coverage))
        )

    def _is_in_coverage(self, coverage: float | None) -> bool:
        return coverage is not None and self.min_coverage <= coverage <= self.max_coverage


def view_extraction(extraction: Extraction, now: float) -> DocumentView:
    """Return the extraction as it is `now`, in seconds since 1970."""
    status = extraction.get_status(now)
    parts: tuple[PartView, ...] = ()
    if status is Status.COMPLETE:
        parts = tuple(
            PartView(
                part.document_type,
                part.parsed_document,
                part.review,
                _get_coverage(part),
                part.start_page,
                part.end_page,
            )
            for part in extraction.parts
        )
    is_finished = status in (Status.COMPLETE, Status.FAILED)
    error = extraction.error if status is Status.FAILED else None
    return DocumentView(
        extraction.extraction_id,
        extraction.name,
        status,
        extraction.document_types,
        extraction.environment,
        extraction.created_ms,
        round(extraction.ready_at * 1000) if is_finished else None,
        error,
        extraction.page_count,
        extraction.is_portfolio,
        extraction.batch_id,
        extraction.is_too_large,
        extraction.is_purged,
        parts,
    )


def _get_coverage(part: Part) -> float:
    if part.coverage is not None:
        return part.coverage
    found_count = sum(field is not None for field in part.parsed_document.values())
    return round(found_count / len(part.parsed_document), 4) if part.parsed_document else 0.0
