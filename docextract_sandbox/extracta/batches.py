"""The base of both Extracta worlds: templates that own batches of files."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import format_datetime
from math import inf

from docextract_sandbox.context import JsonObject, SandboxContext, UnknownId, format_iso
from docextract_sandbox.fake_documents import FakeDocuments
from docextract_sandbox.ids import make_extracta_batch_id, make_extracta_file_id
from docextract_sandbox.switches import StartTimeFormat

from .files import Batch, BatchView, File, NewFile, view_batch


@dataclass
class Account:
    """The account that both products share.

    One credit pays for one page, and the first balance is invented.
    """

    credits: int = 5000


class BatchWorld(ABC):
    """Batches by template; batch ids are unique across the templates of a world."""

    def __init__(self, context: SandboxContext, account: Account, fake_documents: FakeDocuments) -> None:
        """Start without templates."""
        self.context = context
        self.account = account
        self.fake_documents = fake_documents
        self._batches: dict[str, Batch] = {}
        self._batches_by_template: dict[str, dict[str, Batch]] = {}

    @property
    def template_ids(self) -> list[str]:
        """Return the ids of all templates, in the order of their creation."""
        with self.context.hold_lock():
            return list(self._batches_by_template)

    def list_batch_ids(self, template_id: str) -> list[str]:
        """Return the ids of a template's batches, in the order of their creation."""
        with self.context.hold_lock():
            return list(self._find_template_batches(template_id))

    def upload(
        self,
        template_id: str,
        files: Sequence[str | NewFile],
        batch_id: str | None = None,
        *,
        started_at: datetime | None = None,
        origin: str = "api",
    ) -> str:
        """Add files to a new batch or to an existing one, which re-opens it.

        Return the batch's id.

        Args:
            template_id: The template that reads the files.
            files: Files, or names of files whose outcome is drawn.
            batch_id: An existing batch, or the id of a new one; None draws a new id.
            started_at: Time of the upload, and of a new batch; None is now.
            origin: Origin of a new batch; its value in real batches is not known.

        Raises:
            UnknownId: The template does not exist, or the batch belongs to another template.
        """
        with self.context.hold_lock():
            template_batches = self._find_template_batches(template_id)
            upload_seconds = self.context.timestamp() if started_at is None else started_at.timestamp()
            batch = self._batches.get(batch_id) if batch_id else None
            if batch is None:
                batch = Batch(
                    batch_id or make_extracta_batch_id(self.context.random), template_id, upload_seconds, origin
                )
            elif batch.template_id != template_id:
                raise UnknownId(f"batch {batch_id} belongs to another template")
            # Files added to a finished batch re-open it: the connector must read a settled batch again whose `filesNo`
            # in the list has changed.
            for name_or_file in files:
                new_file = NewFile(name_or_file) if isinstance(name_or_file, str) else name_or_file
                file = self._make_file(template_id, new_file, upload_seconds)
                batch.files.append(file)
                self._handle_file_change(batch, file)
            self._batches[batch.batch_id] = template_batches[batch.batch_id] = batch
            return batch.batch_id

    def draw_file(self, file_name: str) -> NewFile:
        """Return a file with a drawn outcome, as HTTP uploads create it."""
        outcome = self.fake_documents.draw_outcome(file_name)
        return NewFile(file_name, error=outcome.error, page_count=outcome.page_count)

    def finish(self, batch_id: str | None = None, name_or_id: str | None = None, *, skip_stuck: bool = False) -> int:
        """Finish pending files: all, those of one batch, or those with one name or id.

        Return their number.

        Args:
            batch_id: The batch to finish; None finishes every batch.
            name_or_id: Name or id of the files to finish; None finishes every file.
            skip_stuck: Leave the files pending that would never finish by themselves.

        Raises:
            UnknownId: The batch does not exist.
        """
        with self.context.hold_lock():
            now, finished_count = self.context.timestamp(), 0
            for batch in [self._find_batch(batch_id)] if batch_id else self._batches.values():
                for file in batch.files:
                    is_chosen = name_or_id is None or file.has_name_or_id(name_or_id)
                    if file.ready_at > now and is_chosen and not (skip_stuck and file.ready_at == inf):
                        file.ready_at = now
                        finished_count += 1
            return finished_count

    def get_batch(self, batch_id: str) -> BatchView:
        """Return a batch as it is now."""
        with self.context.hold_lock():
            return view_batch(self._find_batch(batch_id), self.context.timestamp())

    def read_batch(self, template_id: str, batch_id: str, file_id: str | None = None) -> BatchView:
        """Return a template's batch as it is now, with all files or with those of one id.

        Raises:
            UnknownId: The template has no such batch, or the batch has no such file.
        """
        with self.context.hold_lock():
            batch = self._find_template_batches(template_id).get(batch_id)
            if batch is None:
                raise UnknownId(f"template {template_id} has no batch {batch_id}")
            view = view_batch(batch, self.context.timestamp(), file_id)
            if file_id is not None and not view.files:
                raise UnknownId(f"batch {batch_id} has no file {file_id}")
            return view

    def edit(self, batch_id: str, name_or_id: str, result: Mapping[str, object], /) -> None:
        """Replace a file's result, as a person does who corrects it.

        The file is processed from then on.
        """
        with self.context.hold_lock():
            batch = self._find_batch(batch_id)
            file = next((file for file in batch.files if file.has_name_or_id(name_or_id)), None)
            if file is None:
                raise UnknownId(f"batch {batch_id} has no file {name_or_id}")
            file.result, file.error = result, None
            file.ready_at = min(file.ready_at, self.context.timestamp())
            self._handle_file_change(batch, file)

    def delete(self, template_id: str, batch_id: str | None = None, file_id: str | None = None) -> None:
        """Delete a template, a batch, or the files with one id.

        A batch outlives its last file.
        """
        with self.context.hold_lock():
            template_batches = self._find_template_batches(template_id)
            if batch_id is None:
                for deleted_id in template_batches:
                    del self._batches[deleted_id]
                del self._batches_by_template[template_id]
                self._forget_template(template_id)
                return
            self.read_batch(template_id, batch_id, file_id)
            if file_id is None:
                del template_batches[batch_id], self._batches[batch_id]
            else:
                files = template_batches[batch_id].files
                files[:] = [file for file in files if file.file_id != file_id]

    def build_batches_map(self, template_id: str) -> JsonObject:
        """Return the map of a template's batches by their ids, sorted by id (a guess).

        Its keys `filesNo`, `origin`, `startTime` and `status` are seen in public clients. That `status` is
        `processing` until all files are finished, and `processed` even if all of them failed, is a guess.
        """
        with self.context.hold_lock():
            now = self.context.timestamp()
            return {
                batch_id: self._summarize_batch(batch, now)
                for batch_id, batch in sorted(self._find_template_batches(template_id).items())
            }

    def summarize(self) -> JsonObject:
        """Return the templates, their batches and the number of files."""
        with self.context.hold_lock():
            now = self.context.timestamp()
            files: list[File] = []
            for batch in self._batches.values():
                files += batch.files
            return {
                "templates": {
                    template_id: {"name": self.get_template_name(template_id), "batches": list(template_batches)}
                    for template_id, template_batches in self._batches_by_template.items()
                },
                "files": len(files),
                "pending_files": sum(file.ready_at > now for file in files),
            }

    @abstractmethod
    def get_template_name(self, template_id: str) -> str:
        """Return the name of a template."""

    @abstractmethod
    def _draw_result(self, template_id: str, file_name: str, /) -> JsonObject:
        """Return a drawn result, for a file that the caller gave none."""

    @abstractmethod
    def _forget_template(self, template_id: str) -> None: ...

    @abstractmethod
    def _handle_file_change(self, batch: Batch, file: File) -> None:
        """React to a file that was uploaded or edited."""

    def _find_batch(self, batch_id: str) -> Batch:
        try:
            return self._batches[batch_id]
        except KeyError:
            raise UnknownId(f"there is no batch {batch_id}") from None

    def _find_template_batches(self, template_id: str) -> dict[str, Batch]:
        try:
            return self._batches_by_template[template_id]
        except KeyError:
            raise UnknownId(f"there is no template {template_id}") from None

    def _make_file(self, template_id: str, new_file: NewFile, upload_seconds: float) -> File:
        duration_seconds = (
            self.fake_documents.draw_seconds() if new_file.duration_seconds is None else new_file.duration_seconds
        )
        self.account.credits = max(0, self.account.credits - new_file.page_count)
        return File(
            file_id=new_file.file_id or make_extracta_file_id(self.context.random),
            name=new_file.name,
            ready_at=upload_seconds + duration_seconds,
            result=self._draw_result(template_id, new_file.name) if new_file.result is None else new_file.result,
            error=new_file.error,
            url=new_file.url,
            reference=new_file.reference,
        )

    def _summarize_batch(self, batch: Batch, now: float) -> JsonObject:
        switches = self.context.switches
        is_finished = all(file.ready_at <= now for file in batch.files)
        summary: JsonObject = {"filesNo": len(batch.files), "origin": batch.origin}
        if switches.extracta_start_time != "missing":
            summary["startTime"] = _format_start_time(batch.started_at, switches.extracta_start_time)
        summary["status"] = "processed" if is_finished else switches.unknown_status or "processing"
        return summary


def _format_start_time(started_at: float, time_format: StartTimeFormat) -> object:
    milliseconds = round(started_at * 1000)
    iso_time = format_iso(milliseconds)
    formatted_times: dict[str, object] = {
        "ms": milliseconds,
        "text": str(milliseconds),
        "iso": iso_time,
        "seconds": milliseconds // 1000,
        "microseconds": milliseconds * 1000,
        "nanoseconds": milliseconds * 1_000_000,
        "seconds_and_nanoseconds": {
            "_seconds": milliseconds // 1000,
            "_nanoseconds": milliseconds % 1000 * 1_000_000,
        },
        "http": format_datetime(datetime.fromtimestamp(milliseconds // 1000, timezone.utc), usegmt=True),
        "lower_case": iso_time.lower(),
        "year_9999": 253_402_300_799_999,
        "words": "last Tuesday",
    }
    return formatted_times[time_format]
