"""Templates and extractions of DocMap, as stored and as returned."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from docextract_sandbox.context import JsonObject, to_datetime
from docextract_sandbox.timeline import TimelineKey

CURRENT_USER_ID = "uid_a1b2c3d4e5f6"
"""The user that the sandbox's key belongs to, taken from the documented example."""


class Status(str, Enum):
    """The status of an extraction; all three are documented."""

    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True)
class NewExtraction:
    """A file to extract.

    A duration, data or id of None is drawn from the sandbox's generator.
    """

    file_name: str
    duration_seconds: float | None = None
    """Seconds of the sandbox's clock until it is finished: 0 is at once, infinity never by itself."""
    data: Mapping[str, object] | None = None
    error: str | None = None
    """The reason of its failure; None if it is read."""
    extraction_id: str | None = None
    processing_ms: int | None = None
    """Reported processing time; None is the time it took on the sandbox's clock."""
    user_id: str = "me"
    """`me` for the key's user, or the id of another user, whose rows the key may not read."""
    source: str = "api"


@dataclass(frozen=True)
class Template:
    """A template at the time of an extraction.

    Rows keep its name of that time, as documented.
    """

    template_id: str
    name: str
    variables: tuple[JsonObject, ...]


@dataclass(slots=True)
class Extraction:
    """An extraction as the world stores it."""

    extraction_id: str
    template: Template
    file_name: str
    created_ms: int
    ready_at: float
    load_data: Callable[[], Mapping[str, object]]
    """Returns the extracted data. It is built at the first read only, so that a long history costs little."""
    error: str | None
    run_id: str | None
    processing_ms: int | None
    user_id: str
    source: str

    @property
    def timeline_key(self) -> TimelineKey:
        """Return the extraction's key in the timelines."""
        return self.created_ms, self.extraction_id


@dataclass(frozen=True)
class ExtractionView:
    """An extraction at one moment.

    As documented it has no data, error or duration while in progress.
    """

    extraction_id: str
    template: Template
    file_name: str
    status: Status
    data: Mapping[str, object] | None
    error: str | None
    run_id: str | None
    processing_ms: int | None
    created_ms: int
    user_id: str
    source: str

    @property
    def created_at(self) -> datetime:
        """Return the time of its creation."""
        return to_datetime(self.created_ms / 1000)


def view_extraction(extraction: Extraction, now: float) -> ExtractionView:
    """Return the extraction as it is `now`, in seconds since 1970."""
    status, data, processing_ms = Status.PROCESSING, None, None
    if now >= extraction.ready_at:
        status = Status.COMPLETED if extraction.error is None else Status.FAILED
        data = extraction.load_data() if extraction.error is None else None
        elapsed_ms = max(0, round(extraction.ready_at * 1000) - extraction.created_ms)
        processing_ms = elapsed_ms if extraction.processing_ms is None else extraction.processing_ms
    return ExtractionView(
        extraction.extraction_id,
        extraction.template,
        extraction.file_name,
        status,
        data,
        extraction.error if status is Status.FAILED else None,
        extraction.run_id,
        processing_ms,
        extraction.created_ms,
        extraction.user_id,
        extraction.source,
    )
