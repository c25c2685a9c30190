"""Templates and extractions of DocMap, as they are kept and as they are shown."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from docextract_sandbox.context import JsonObject, to_datetime
from docextract_sandbox.timeline import TimelineKey

CURRENT_USER_ID = "uid_a1b2c3d4e5f6"
"""The user as whom the sandbox's key acts: the one of the documented example."""


class Status(str, Enum):
    """All three are documented."""

    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True)
class NewExtraction:
    """A file to extract. What is None is drawn from the sandbox's generator, an error aside."""

    file_name: str
    duration_seconds: float | None = None
    """From its creation until it is finished, on the sandbox's clock: 0 is at once, infinity never by itself."""
    data: JsonObject | None = None
    error: str | None = None
    """The reason for which it fails."""
    extraction_id: str | None = None
    processing_ms: int | None = None
    """None: as long as it took on the sandbox's clock."""
    user_id: str = "me"
    """Whose it is: `me` is the key's own user, anything else the id of another, whose rows the key may not see."""
    source: str = "api"


@dataclass(frozen=True)
class Template:
    """A template as it was when an extraction ran with it. Documented: rows keep its name of that time."""

    template_id: str
    name: str
    variables: tuple[JsonObject, ...]


@dataclass(slots=True)
class Extraction:
    """An extraction as the world keeps it."""

    extraction_id: str
    template: Template
    file_name: str
    created_ms: int
    ready_at: float
    load_data: Callable[[], JsonObject]
    """What was extracted, written out only when someone looks: a long history costs little."""
    error: str | None
    run_id: str | None
    processing_ms: int | None
    user_id: str
    source: str

    @property
    def timeline_key(self) -> TimelineKey:
        return self.created_ms, self.extraction_id


@dataclass(frozen=True)
class ExtractionView:
    """An extraction at one moment. Documented: no data, error or duration while it is in progress."""

    extraction_id: str
    template: Template
    file_name: str
    status: Status
    data: JsonObject | None
    error: str | None
    run_id: str | None
    processing_ms: int | None
    created_ms: int
    user_id: str
    source: str

    @property
    def created_at(self) -> datetime:
        return to_datetime(self.created_ms / 1000)


def view_extraction(extraction: Extraction, now: float) -> ExtractionView:
    """The extraction as it is `now`."""
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
