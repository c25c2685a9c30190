"""What extraction and classification have in common: templates that own batches of files."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import format_datetime
from math import inf

from sandbox.ids import extracta_batch_id, extracta_file_id
from sandbox.papers import Papers
from sandbox.shared import JsonObject, Shared, Unknown, iso
from sandbox.switches import StartTime

from .files import Batch, BatchView, File, NewFile, seen


@dataclass
class Account:
    """What the products of one key share. One credit is one page; the number at the start is invented."""

    credits: int = 5000


class BatchWorld(ABC):
    """Batches by template. Ids of batches are unique in a world, whatever their template."""

    def __init__(self, shared: Shared, account: Account, papers: Papers) -> None:
        self.shared = shared
        self.account = account
        self.papers = papers
        self._batches: dict[str, Batch] = {}
        self._by_template: dict[str, dict[str, Batch]] = {}

    @property
    def template_ids(self) -> list[str]:
        """In the order of their creation."""
        with self.shared.turn():
            return list(self._by_template)

    def batch_ids(self, template_id: str) -> list[str]:
        """In the order of their creation."""
        with self.shared.turn():
            return list(self._owned(template_id))

    def upload(
        self,
        template_id: str,
        files: Sequence[str | NewFile],
        batch_id: str | None = None,
        *,
        started_at: datetime | None = None,
        origin: str = "api",
    ) -> str:
        """Adds files to a new batch, or to the one with `batch_id`, which re-opens it; returns the batch's id.

        A `batch_id` that no batch has yet becomes a new one's. `started_at` (None: now) is the time of the upload, and
        of a new batch. The value of `origin` in real batches is not known.
        """
        with self.shared.turn():
            owned = self._owned(template_id)
            start = self.shared.timestamp() if started_at is None else started_at.timestamp()
            batch = self._batches.get(batch_id) if batch_id else None
            if batch is None:
                batch = Batch(batch_id or extracta_batch_id(self.shared.random), template_id, start, origin)
            elif batch.template_id != template_id:
                raise Unknown(f"batch {batch_id} belongs to another template")
            for given in files:
                file = self._new_file(template_id, NewFile(given) if isinstance(given, str) else given, start)
                batch.files.append(file)
                self._came_in(batch, file)
            self._batches[batch.batch_id] = owned[batch.batch_id] = batch
            return batch.batch_id

    def arriving(self, name: str) -> NewFile:
        """A file as uploads over HTTP make it: some of them fail."""
        drawn = self.papers.arrival(name)
        return NewFile(name, error=drawn.error, page_count=drawn.page_count)

    def finish(self, batch_id: str | None = None, name: str | None = None, *, by_itself: bool = False) -> int:
        """Finishes pending files now: all, one batch's, or those with one name or id. Returns how many that were.

        `by_itself` leaves out what would never finish by itself.
        """
        with self.shared.turn():
            now, finished = self.shared.timestamp(), 0
            for batch in [self._known(batch_id)] if batch_id else self._batches.values():
                for file in batch.files:
                    is_chosen = name is None or file.answers_to(name)
                    if file.ready_at > now and is_chosen and not (by_itself and file.ready_at == inf):
                        file.ready_at = now
                        finished += 1
            return finished

    def batch(self, batch_id: str) -> BatchView:
        with self.shared.turn():
            return seen(self._known(batch_id), self.shared.timestamp())

    def read(self, template_id: str, batch_id: str, file_id: str | None = None) -> BatchView:
        """A template's batch, of whose files only those with `file_id` if one is given."""
        with self.shared.turn():
            batch = self._owned(template_id).get(batch_id)
            if batch is None:
                raise Unknown(f"template {template_id} has no batch {batch_id}")
            view = seen(batch, self.shared.timestamp(), file_id)
            if file_id is not None and not view.files:
                raise Unknown(f"batch {batch_id} has no file {file_id}")
            return view

    def edit(self, batch_id: str, name: str, result: JsonObject, /) -> None:
        """A person replaces a file's result, by the file's name or id: it is processed from then on."""
        with self.shared.turn():
            batch = self._known(batch_id)
            file = next((file for file in batch.files if file.answers_to(name)), None)
            if file is None:
                raise Unknown(f"batch {batch_id} has no file {name}")
            file.result, file.error = result, None
            file.ready_at = min(file.ready_at, self.shared.timestamp())
            self._came_in(batch, file)

    def delete(self, template_id: str, batch_id: str | None = None, file_id: str | None = None) -> None:
        """Deletes a template, a batch or the files with one id, for good. A batch stays when its last file goes."""
        with self.shared.turn():
            owned = self._owned(template_id)
            if batch_id is None:
                for one in owned:
                    del self._batches[one]
                del self._by_template[template_id]
                self._forget(template_id)
                return
            self.read(template_id, batch_id, file_id)
            if file_id is None:
                del owned[batch_id], self._batches[batch_id]
            else:
                files = owned[batch_id].files
                files[:] = [file for file in files if file.file_id != file_id]

    def batches_map(self, template_id: str) -> JsonObject:
        """The map of a template's batches by their ids, sorted by them as the backend's keys seem to be (a guess).

        Its keys `filesNo`, `origin`, `startTime`, `status` are seen in public clients. That `status` is `processing`
        until all files are finished, and `processed` even if all of them failed, is a guess.
        """
        with self.shared.turn():
            now = self.shared.timestamp()
            return {batch_id: self._summary(batch, now) for batch_id, batch in sorted(self._owned(template_id).items())}

    def holds(self) -> JsonObject:
        with self.shared.turn():
            now = self.shared.timestamp()
            files = [file for batch in self._batches.values() for file in batch.files]
            return {
                "templates": {
                    id_: {"name": self.template_name(id_), "batches": list(owned)}
                    for id_, owned in self._by_template.items()
                },
                "files": len(files),
                "pending_files": sum(file.ready_at > now for file in files),
            }

    @abstractmethod
    def template_name(self, template_id: str) -> str: ...

    @abstractmethod
    def _draw(self, template_id: str, name: str, /) -> JsonObject:
        """A result for a file of which nothing was said."""

    @abstractmethod
    def _forget(self, template_id: str) -> None: ...

    @abstractmethod
    def _came_in(self, batch: Batch, file: File) -> None:
        """Called when a file was uploaded or edited."""

    def _known(self, batch_id: str) -> Batch:
        try:
            return self._batches[batch_id]
        except KeyError:
            raise Unknown(f"there is no batch {batch_id}") from None

    def _owned(self, template_id: str) -> dict[str, Batch]:
        try:
            return self._by_template[template_id]
        except KeyError:
            raise Unknown(f"there is no template {template_id}") from None

    def _new_file(self, template_id: str, given: NewFile, start: float) -> File:
        seconds = self.papers.seconds() if given.seconds is None else given.seconds
        self.account.credits = max(0, self.account.credits - given.page_count)
        return File(
            file_id=given.file_id or extracta_file_id(self.shared.random),
            name=given.name,
            ready_at=start + seconds,
            result=self._draw(template_id, given.name) if given.result is None else given.result,
            error=given.error,
            url=given.url,
            link=given.link,
        )

    def _summary(self, batch: Batch, now: float) -> JsonObject:
        switches = self.shared.switches
        finished = all(file.ready_at <= now for file in batch.files)
        summary: JsonObject = {"filesNo": len(batch.files), "origin": batch.origin}
        if switches.extracta_start_time != "missing":
            summary["startTime"] = _start_time(batch.started_at, switches.extracta_start_time)
        summary["status"] = "processed" if finished else switches.unknown_status or "processing"
        return summary


def _start_time(started_at: float, form: StartTime) -> object:
    milliseconds = round(started_at * 1000)
    iso_time = iso(milliseconds)
    forms: dict[str, object] = {
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
    return forms[form]
