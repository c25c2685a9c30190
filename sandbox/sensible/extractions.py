"""Document types, extractions and batches of Sensible, as they are kept and as they are shown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from math import inf

from sandbox.shared import JsonObject
from sandbox.timeline import Key


class Status(str, Enum):
    """All four are documented."""

    WAITING = "WAITING"
    """The row is there, its file has not been uploaded yet."""
    PROCESSING = "PROCESSING"
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"


NEEDS_REVIEW = "NEEDS_REVIEW"
DECISIONS = ("APPROVED", "REJECTED")
"""Documented: both are final."""


@dataclass(frozen=True)
class PortfolioPart:
    """One of the documents in a portfolio's file."""

    type_name: str
    parsed: JsonObject | None = None
    review: str | None = None


@dataclass(frozen=True)
class SensibleDocument:
    """A document to extract. What is None is drawn from the sandbox's generator, errors and reviews aside."""

    name: str
    seconds: float | None = None
    """From its upload until it is finished, on the sandbox's clock: 0 is at once, infinity never by itself."""
    parsed: JsonObject | None = None
    """Its `parsed_document`."""
    error: str | None = None
    """The reason for which it fails."""
    review: str | None = None
    """`NEEDS_REVIEW`, if a person has to look at it once it is complete; of a portfolio at its first document."""
    portfolio: Sequence[str | PortfolioPart] | None = None
    """The documents in this one file, by the names of their types."""
    coverage: float | None = None
    """None: the share of its fields that were found."""
    page_count: int | None = None
    extraction_id: str | None = None
    too_large: bool = False
    """It is listed, but asking for it is answered with 413."""
    purged: bool = False
    """It is listed, but asking for it is answered with 404."""


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
    """What was extracted as one document of one type: a portfolio has several of them."""

    type: DocumentType
    parsed: JsonObject
    review: str | None
    coverage: float | None
    start_page: int
    end_page: int


@dataclass(slots=True)
class Extraction:
    """An extraction as the world keeps it."""

    extraction_id: str
    name: str
    types: tuple[DocumentType, ...]
    environment: str
    created_ms: int
    seconds: float
    ready_at: float
    """Infinity until its file is uploaded."""
    uploaded: bool
    error: str | None
    page_count: int
    is_portfolio: bool
    batch_id: str | None
    too_large: bool
    purged: bool
    make: Callable[[], list[Part]]
    """Makes its parts, called once and only when someone looks: a long history costs little."""
    made: list[Part] | None = None

    @property
    def key(self) -> Key:
        return self.created_ms, self.extraction_id

    @property
    def parts(self) -> list[Part]:
        if self.made is None:
            self.made = self.make()
        return self.made

    def status(self, now: float) -> Status:
        if not self.uploaded:
            return Status.WAITING
        if now < self.ready_at:
            return Status.PROCESSING
        return Status.COMPLETE if self.error is None else Status.FAILED

    def upload(self, at: float) -> None:
        self.uploaded, self.ready_at = True, at + self.seconds


@dataclass
class Batch:
    batch_id: str
    description: str
    extraction_ids: list[str]


@dataclass(frozen=True)
class PartView:
    """A part at one moment."""

    type: DocumentType
    parsed: JsonObject
    review: str | None
    coverage: float
    start_page: int
    end_page: int


@dataclass(frozen=True)
class DocumentView:
    """An extraction at one moment. There are no parts unless it is complete."""

    extraction_id: str
    name: str
    status: Status
    types: tuple[DocumentType, ...]
    environment: str
    created_ms: int
    completed_ms: int | None
    error: str | None
    page_count: int
    is_portfolio: bool
    batch_id: str | None
    too_large: bool
    purged: bool
    parts: tuple[PartView, ...]

    @property
    def parsed(self) -> JsonObject | None:
        """Of the first part; a document that is no portfolio has no other."""
        return self.parts[0].parsed if self.parts else None

    @property
    def review(self) -> str | None:
        return self.parts[0].review if self.parts else None

    @property
    def coverage(self) -> float | None:
        """Of a portfolio it is the mean: a guess."""
        return round(sum(part.coverage for part in self.parts) / len(self.parts), 4) if self.parts else None


@dataclass(frozen=True)
class BatchView:
    batch_id: str
    description: str
    extraction_ids: tuple[str, ...]
    waiting: int
    """How many of its documents have not been uploaded. That the API's counter means these is a guess."""


@dataclass(frozen=True)
class Wanted:
    """Which extractions to list. What is None or empty lets all of them pass."""

    first: Key | None = None
    end: Key | None = None
    type_ids: frozenset[str] = frozenset()
    configuration_ids: frozenset[str] = frozenset()
    environments: frozenset[str] = frozenset()
    statuses: frozenset[str] = frozenset()
    review_statuses: frozenset[str] = frozenset()
    min_coverage: float = -inf
    max_coverage: float = inf

    def has(self, view: DocumentView) -> bool:
        """That a portfolio passes if one of its documents does, and that coverages are inclusive, are guesses."""
        types, reviews = view.types, [part.review for part in view.parts]
        return (
            (not self.type_ids or any(type_.type_id in self.type_ids for type_ in types))
            and (not self.configuration_ids or any(type_.configuration_id in self.configuration_ids for type_ in types))
            and (not self.environments or view.environment.upper() in self.environments)
            and (not self.statuses or view.status.value in self.statuses)
            and (not self.review_statuses or not self.review_statuses.isdisjoint(reviews))
            and ((self.min_coverage, self.max_coverage) == (-inf, inf) or self._covers(view.coverage))
        )

    def _covers(self, coverage: float | None) -> bool:
        return coverage is not None and self.min_coverage <= coverage <= self.max_coverage


def seen(one: Extraction, now: float) -> DocumentView:
    """The extraction as it is `now`."""
    status = one.status(now)
    parts: tuple[PartView, ...] = ()
    if status is Status.COMPLETE:
        parts = tuple(
            PartView(part.type, part.parsed, part.review, _coverage(part), part.start_page, part.end_page)
            for part in one.parts
        )
    finished = status in (Status.COMPLETE, Status.FAILED)
    return DocumentView(
        one.extraction_id,
        one.name,
        status,
        one.types,
        one.environment,
        one.created_ms,
        round(one.ready_at * 1000) if finished else None,
        one.error if status is Status.FAILED else None,
        one.page_count,
        one.is_portfolio,
        one.batch_id,
        one.too_large,
        one.purged,
        parts,
    )


def _coverage(part: Part) -> float:
    if part.coverage is not None:
        return part.coverage
    found = sum(field is not None for field in part.parsed.values())
    return round(found / len(part.parsed), 4) if part.parsed else 0.0
