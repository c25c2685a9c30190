"""Files and batches of Extracta, as stored and as returned."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from docextract_sandbox.context import to_datetime


class FileStatus(str, Enum):
    """The status of a file; only `processed` is documented."""

    PROCESSING = "processing"
    PROCESSED = "processed"
    FAILED = "failed"


@dataclass(frozen=True)
class ExtractionReference:
    """The extraction file that a classified file was forwarded to."""

    extraction_id: str
    batch_id: str
    file_id: str


@dataclass(frozen=True)
class NewFile:
    """A file to upload.

    A duration, result or id of None is drawn from the sandbox's generator.
    """

    name: str
    duration_seconds: float | None = None
    """Seconds of the sandbox's clock until the file is finished: 0 is at once, infinity never by itself."""
    result: Mapping[str, object] | None = None
    error: str | None = None
    """The reason of its failure; None if it is read."""
    file_id: str | None = None
    page_count: int = 1
    """Number of pages; each costs one credit."""
    url: str | None = None
    """A fixed URL; None is a pre-signed URL that differs in every response."""
    reference: ExtractionReference | None = None
    """Of a classified file: the file it was forwarded to. Types with an extraction template create their own."""


@dataclass
class File:
    """A file as a world stores it."""

    file_id: str
    name: str
    ready_at: float
    result: Mapping[str, object]
    error: str | None
    url: str | None
    reference: ExtractionReference | None

    def get_status(self, now: float) -> FileStatus:
        """Return the file's status at a time in seconds since 1970."""
        if now < self.ready_at:
            return FileStatus.PROCESSING
        return FileStatus.FAILED if self.error is not None else FileStatus.PROCESSED

    def has_name_or_id(self, name_or_id: str) -> bool:
        """Return whether the file has this name or id."""
        return name_or_id in (self.file_id, self.name)


@dataclass
class Batch:
    """A batch as a world stores it; its files stay in the order of their upload."""

    batch_id: str
    template_id: str
    started_at: float
    origin: str
    files: list[File] = field(default_factory=list)


@dataclass(frozen=True)
class FileView:
    """A file at one moment. Result and error are None while it is in progress."""

    file_id: str
    name: str
    status: FileStatus
    result: Mapping[str, object] | None
    error: str | None
    url: str | None
    reference: ExtractionReference | None


@dataclass(frozen=True)
class BatchView:
    """A batch at one moment."""

    template_id: str
    batch_id: str
    started_at: datetime
    origin: str
    files: tuple[FileView, ...]
    is_finished: bool
    """Whether every file of the batch is processed or failed, also those that a filter left out of `files`."""


def view_batch(batch: Batch, now: float, file_id: str | None = None) -> BatchView:
    """Return the batch as it is `now`, with all files or with those of one id."""
    files = tuple(_view_file(file, now) for file in batch.files if file_id in (None, file.file_id))
    is_finished = all(file.ready_at <= now for file in batch.files)
    return BatchView(batch.template_id, batch.batch_id, to_datetime(batch.started_at), batch.origin, files, is_finished)


def _view_file(file: File, now: float) -> FileView:
    status = file.get_status(now)
    result = file.result if status is FileStatus.PROCESSED else None
    error = file.error if status is FileStatus.FAILED else None
    return FileView(file.file_id, file.name, status, result, error, file.url, file.reference)
