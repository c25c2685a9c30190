"""Templates and extractions of DocMap, as they are kept and as they are shown."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from sandbox.shared import JsonObject, utc
from sandbox.timeline import Key

ME = "uid_a1b2c3d4e5f6"
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
    seconds: float | None = None
    """From its creation until it is finished, on the sandbox's clock: 0 is at once, infinity never by itself."""
    data: JsonObject | None = None
    error: str | None = None
    """The reason for which it fails."""
    extraction_id: str | None = None
    processing_ms: int | None = None
    """None: as long as it took on the sandbox's clock."""
    user: str = "me"
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
    read: Callable[[], JsonObject]
    """What was extracted, written out only when someone looks: a long history costs little."""
    error: str | None
    run_id: str | None
    processing_ms: int | None
    user: str
    source: str

    @property
    def key(self) -> Key:
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
    user: str
    source: str

    @property
    def created_at(self) -> datetime:
        return utc(self.created_ms / 1000)


def seen(one: Extraction, now: float) -> ExtractionView:
    """The extraction as it is `now`."""
    status, data, processing_ms = Status.PROCESSING, None, None
    if now >= one.ready_at:
        status = Status.COMPLETED if one.error is None else Status.FAILED
        data = one.read() if one.error is None else None
        took = max(0, round(one.ready_at * 1000) - one.created_ms)
        processing_ms = took if one.processing_ms is None else one.processing_ms
    return ExtractionView(
        one.extraction_id,
        one.template,
        one.file_name,
        status,
        data,
        one.error if status is Status.FAILED else None,
        one.run_id,
        processing_ms,
        one.created_ms,
        one.user,
        one.source,
    )
