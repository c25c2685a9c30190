"""The world of Sensible: extractions of document types, in one list; some of them in batches, some under review."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from math import inf

from sandbox.shared import JsonObject, Shared, Unknown, milliseconds
from sandbox.timeline import Timeline

from .extractions import (
    DECISIONS,
    NEEDS_REVIEW,
    Batch,
    BatchView,
    DocumentType,
    DocumentView,
    Extraction,
    SensibleDocument,
    Status,
    Wanted,
    seen,
)
from .making import Maker
from .papers import Papers


class SensibleWorld:
    """Extractions by id, and in the order of their creation."""

    def __init__(self, shared: Shared, papers: Papers) -> None:
        self.shared = shared
        self._papers = papers
        self._types: dict[str, DocumentType] = {}
        self._maker = Maker(papers, self.type_named)
        self._rows: dict[str, Extraction] = {}
        self._batches: dict[str, Batch] = {}
        self._all = Timeline()
        self._by_type: dict[str, Timeline] = {}
        self._single = Timeline()
        """All but those of long histories, which are complete and not under review: what is neither is found here."""

    @property
    def ids(self) -> list[str]:
        """Of all extractions, in the order in which they were added."""
        with self.shared.turn():
            return list(self._rows)

    @property
    def batch_ids(self) -> list[str]:
        with self.shared.turn():
            return list(self._batches)

    @property
    def document_types(self) -> list[DocumentType]:
        with self.shared.turn():
            return list(self._types.values())

    def document_type(self, name: str, type_id: str | None = None) -> str:
        """A new document type with one configuration; returns its id."""
        with self.shared.turn():
            new_id = type_id or self._papers.uuid()
            if new_id in self._types or any(one.name == name for one in self._types.values()):
                raise ValueError(f"there is a document type {name} or one with its id already")
            now = milliseconds(self.shared.clock.now())
            configuration_id, version = self._papers.uuid(), self._papers.uuid()
            self._types[new_id] = DocumentType(new_id, name, now, f"{name}_v1", configuration_id, version)
            self._by_type[new_id] = Timeline()
            return new_id

    def extract(
        self,
        files: Sequence[str | SensibleDocument],
        type_name: str,
        *,
        environment: str = "production",
        created_at: datetime | None = None,
    ) -> list[str]:
        """New extractions with their files, all as of `created_at` (None: now); returns their ids."""
        with self.shared.turn():
            rows = self._new(files, type_name, environment, created_at, None)
            for row in rows:
                row.upload(row.created_ms / 1000)
            return [row.extraction_id for row in rows]

    def batch(
        self,
        documents: Sequence[str | SensibleDocument],
        type_name: str,
        description: str = "",
        *,
        batch_id: str | None = None,
        created_at: datetime | None = None,
    ) -> str:
        """A new batch, all of whose documents wait for their upload; returns its id."""
        with self.shared.turn():
            new_id = batch_id or self._papers.uuid()
            if new_id in self._batches:
                raise ValueError(f"there is a batch {new_id} already")
            rows = self._new(documents, type_name, "production", created_at, new_id)
            self._batches[new_id] = Batch(new_id, description, [row.extraction_id for row in rows])
            return new_id

    def upload(self, batch_id: str, which: int | str, *, uploaded_at: datetime | None = None) -> str:
        """Uploads one of a batch's documents, by its index or name or id; returns the extraction's id."""
        with self.shared.turn():
            rows = [self._row(id_) for id_ in self._known(batch_id).extraction_ids]
            found = [row for place, row in enumerate(rows) if which in (place, row.name, row.extraction_id)]
            if not found:
                raise Unknown(f"batch {batch_id} has no document {which}")
            self.receive(found[0].extraction_id, uploaded_at)
            return found[0].extraction_id

    def receive(self, extraction_id: str, uploaded_at: datetime | None = None) -> None:
        """Its file has come in. That a second one changes nothing is a guess."""
        with self.shared.turn():
            row = self._row(extraction_id)
            if not row.uploaded:
                row.upload((uploaded_at or self.shared.clock.now()).timestamp())

    def describe(self, batch_id: str, description: str) -> None:
        with self.shared.turn():
            self._known(batch_id).description = description

    def bulk(self, type_name: str, count: int, start: datetime, step_seconds: float, batch_size: int = 0) -> list[str]:
        """A long history at little cost: complete extractions, one every `step_seconds` from `start` on, until now.

        With a `batch_size` they are in batches of that many. Returns their ids in that order.
        """
        with self.shared.turn():
            type_ = self.type_named(type_name)
            rows = self._maker.history(type_, count, milliseconds(start), step_seconds, self.shared.timestamp())
            keys = [row.key for row in rows]
            self._rows.update(zip((row.extraction_id for row in rows), rows, strict=True))
            self._all.extend(keys)
            self._by_type[type_.type_id].extend(keys)
            for place in range(0, len(rows) if batch_size else 0, batch_size or 1):
                self._gather(rows[place : place + batch_size])
            return [row.extraction_id for row in rows]

    def finish(self, extraction_id: str | None = None, *, by_itself: bool = False) -> int:
        """Finishes what is in progress now: all, one extraction, or one batch. Returns how many those were.

        What waits for its upload goes on waiting; `by_itself` leaves out what would never finish by itself, too.
        """
        with self.shared.turn():
            if extraction_id is not None and extraction_id not in self._batches:
                self._row(extraction_id)
            now, finished = self.shared.timestamp(), 0
            for _, id_ in self._single.newest_first():
                row = self._rows[id_]
                if by_itself and row.ready_at == inf:
                    continue
                if row.status(now) is Status.PROCESSING and extraction_id in (None, id_, row.batch_id):
                    row.ready_at = now
                    finished += 1
            return finished

    def review(self, extraction_id: str, status: str, parsed: JsonObject | None = None) -> None:
        """A person decides on a complete extraction, and corrects it if `parsed` is given.

        Documented: a decision is final. Of a portfolio, all documents that need a review are decided (a guess).
        """
        with self.shared.turn():
            row = self._row(extraction_id)
            if status not in (NEEDS_REVIEW, *DECISIONS):
                raise ValueError(f"a review status is one of {', '.join((NEEDS_REVIEW, *DECISIONS))}")
            if row.status(self.shared.timestamp()) is not Status.COMPLETE:
                raise ValueError("the extraction is not complete")
            chosen = [part for part in row.parts if part.review == NEEDS_REVIEW]
            # Without any, a person may take up what no rule had put under review.
            chosen = chosen or [part for part in row.parts if part.review is None]
            if not chosen:
                raise ValueError("the review status is final")
            for part in chosen:
                part.review = status
            if parsed is not None:
                chosen[0].parsed = parsed
            self._single_out(row)

    def edit(self, extraction_id: str, parsed: JsonObject, /, part: int = 0) -> None:
        """A person replaces the `parsed_document`, of a portfolio that of one part: it is complete from then on."""
        with self.shared.turn():
            row, now = self._row(extraction_id), self.shared.timestamp()
            row.parts[part].parsed = parsed
            row.error, row.uploaded, row.ready_at = None, True, min(row.ready_at, now)

    def purge(self, extraction_id: str) -> None:
        """Its content is gone, its summary stays: what expired content looks like is a guess."""
        with self.shared.turn():
            self._row(extraction_id).purged = True

    def document(self, extraction_id: str) -> DocumentView:
        with self.shared.turn():
            return seen(self._row(extraction_id), self.shared.timestamp())

    def batch_view(self, batch_id: str) -> BatchView:
        with self.shared.turn():
            batch = self._known(batch_id)
            waiting = sum(not self._row(id_).uploaded for id_ in batch.extraction_ids)
            return BatchView(batch_id, batch.description, tuple(batch.extraction_ids), waiting)

    def newest_first(self, wanted: Wanted) -> Iterator[DocumentView]:
        """The extractions that are wanted. To be used within one turn."""
        now = self.shared.timestamp()
        timeline = self._all
        if wanted.review_statuses or (wanted.statuses and Status.COMPLETE.value not in wanted.statuses):
            timeline = self._single
        elif len(wanted.type_ids) == 1:
            timeline = self._by_type.get(next(iter(wanted.type_ids)), Timeline())
        for _, extraction_id in timeline.newest_first(wanted.first, wanted.end):
            view = seen(self._rows[extraction_id], now)
            if wanted.has(view):
                yield view

    def holds(self) -> JsonObject:
        with self.shared.turn():
            now = self.shared.timestamp()
            statuses = [self._rows[id_].status(now) for _, id_ in self._single.newest_first()]
            return {
                "document_types": {id_: type_.name for id_, type_ in self._types.items()},
                "batches": list(self._batches),
                "documents": len(self._rows),
                "pending_documents": statuses.count(Status.PROCESSING),
                "waiting_documents": statuses.count(Status.WAITING),
            }

    def type_named(self, name: str) -> DocumentType:
        with self.shared.turn():
            for type_ in self._types.values():
                if type_.name == name:
                    return type_
            raise Unknown(f"there is no document type {name}")

    def _new(
        self,
        files: Sequence[str | SensibleDocument],
        type_name: str,
        environment: str,
        created_at: datetime | None,
        batch_id: str | None,
    ) -> list[Extraction]:
        type_, created_ms = self.type_named(type_name), milliseconds(created_at or self.shared.clock.now())
        rows = []
        for one in files:
            given = SensibleDocument(one) if isinstance(one, str) else one
            if given.extraction_id in self._rows:
                raise ValueError(f"there is an extraction {given.extraction_id} already")
            rows.append(self._maker.extraction(given, type_, environment, created_ms, batch_id))
        for row in rows:
            self._rows[row.extraction_id] = row
            self._all.add(row.key)
            self._single.add(row.key)
            for type_id in {part_type.type_id for part_type in row.types}:
                self._by_type[type_id].add(row.key)
        return rows

    def _gather(self, rows: Sequence[Extraction]) -> None:
        """Puts extractions into a batch of their own."""
        batch_id = self._papers.uuid()
        self._batches[batch_id] = Batch(batch_id, "", [row.extraction_id for row in rows])
        for row in rows:
            row.batch_id = batch_id

    def _single_out(self, row: Extraction) -> None:
        self._single.remove(row.key)
        self._single.add(row.key)

    def _known(self, batch_id: str) -> Batch:
        try:
            return self._batches[batch_id]
        except KeyError:
            raise Unknown(f"there is no batch {batch_id}") from None

    def _row(self, extraction_id: str) -> Extraction:
        try:
            return self._rows[extraction_id]
        except KeyError:
            raise Unknown(f"there is no extraction {extraction_id}") from None
