"""The world of Sensible: extractions, some in batches, some under review."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from math import inf

from docextract_sandbox.context import JsonObject, SandboxContext, UnknownId, to_milliseconds
from docextract_sandbox.timeline import Timeline

from .extractions import (
    DECISIONS,
    NEEDS_REVIEW,
    Batch,
    BatchView,
    DocumentType,
    DocumentView,
    Extraction,
    Filter,
    SensibleDocument,
    Status,
    view_extraction,
)
from .factory import ExtractionFactory
from .fake_documents import FakeDocuments


class SensibleWorld:
    """Extractions by id and in the order of their creation.

    Attributes:
        context: The shared state of the sandbox.
    """

    def __init__(self, context: SandboxContext, fake_documents: FakeDocuments) -> None:
        """Start without document types."""
        self.context = context
        self._fake_documents = fake_documents
        self._types_by_id: dict[str, DocumentType] = {}
        self._factory = ExtractionFactory(fake_documents, self.find_type)
        self._rows: dict[str, Extraction] = {}
        self._batches: dict[str, Batch] = {}
        self._timeline = Timeline()
        self._timelines_by_type: dict[str, Timeline] = {}
        # Without the extractions of long histories. Those are complete and not under review, so a search for pending
        # extractions or reviews need not scan them.
        self._individual_timeline = Timeline()

    @property
    def extraction_ids(self) -> list[str]:
        """Return the ids of all extractions, in the order they were added."""
        with self.context.hold_lock():
            return list(self._rows)

    @property
    def batch_ids(self) -> list[str]:
        """Return the ids of all batches, in the order of their creation."""
        with self.context.hold_lock():
            return list(self._batches)

    @property
    def document_types(self) -> list[DocumentType]:
        """Return all document types, in the order of their creation."""
        with self.context.hold_lock():
            return list(self._types_by_id.values())

    def add_document_type(self, name: str, type_id: str | None = None) -> str:
        """Create a document type with one configuration, and return its id.

        Raises:
            ValueError: A document type with that name or id exists.
        """
        with self.context.hold_lock():
            new_id = type_id or self._fake_documents.draw_uuid()
            known_names = {document_type.name for document_type in self._types_by_id.values()}
            if new_id in self._types_by_id or name in known_names:
                raise ValueError(f"there is a document type {name} or one with its id already")
            now_ms = to_milliseconds(self.context.clock.now())
            configuration_id, version_id = self._fake_documents.draw_uuid(), self._fake_documents.draw_uuid()
            self._types_by_id[new_id] = DocumentType(new_id, name, now_ms, f"{name}_v1", configuration_id, version_id)
            self._timelines_by_type[new_id] = Timeline()
            return new_id

    def extract(
        self,
        files: Sequence[str | SensibleDocument],
        type_name: str,
        *,
        environment: str = "production",
        created_at: datetime | None = None,
    ) -> list[str]:
        """Add uploaded extractions, as of `created_at` (None: now); return their ids.

        Raises:
            UnknownId: The document type does not exist.
            ValueError: An extraction with that id exists.
        """
        with self.context.hold_lock():
            rows = self._add_extractions(files, type_name, environment, created_at, None)
            for row in rows:
                row.mark_uploaded(row.created_ms / 1000)
            return [row.extraction_id for row in rows]

    def add_batch(
        self,
        documents: Sequence[str | SensibleDocument],
        type_name: str,
        description: str = "",
        *,
        batch_id: str | None = None,
        created_at: datetime | None = None,
    ) -> str:
        """Create a batch of documents that wait for their uploads, and return its id.

        Raises:
            UnknownId: The document type does not exist.
            ValueError: A batch or an extraction with that id exists.
        """
        with self.context.hold_lock():
            new_id = batch_id or self._fake_documents.draw_uuid()
            if new_id in self._batches:
                raise ValueError(f"there is a batch {new_id} already")
            rows = self._add_extractions(documents, type_name, "production", created_at, new_id)
            self._batches[new_id] = Batch(new_id, description, [row.extraction_id for row in rows])
            return new_id

    def upload(self, batch_id: str, index_name_or_id: int | str, *, uploaded_at: datetime | None = None) -> str:
        """Upload one document of a batch, by its index, name or id.

        Return the extraction's id.

        Raises:
            UnknownId: The batch or the document does not exist.
        """
        with self.context.hold_lock():
            rows = [self._find_row(id_) for id_ in self._find_batch(batch_id).extraction_ids]
            matches = [
                row for index, row in enumerate(rows) if index_name_or_id in (index, row.name, row.extraction_id)
            ]
            if not matches:
                raise UnknownId(f"batch {batch_id} has no document {index_name_or_id}")
            self.receive_file(matches[0].extraction_id, uploaded_at)
            return matches[0].extraction_id

    def receive_file(self, extraction_id: str, uploaded_at: datetime | None = None) -> None:
        """Receive an extraction's file; that a second file changes nothing is a guess."""
        with self.context.hold_lock():
            row = self._find_row(extraction_id)
            if not row.is_uploaded:
                row.mark_uploaded((uploaded_at or self.context.clock.now()).timestamp())

    def set_description(self, batch_id: str, description: str) -> None:
        """Replace the description of a batch."""
        with self.context.hold_lock():
            self._find_batch(batch_id).description = description

    def add_history(
        self, type_name: str, count: int, start: datetime, step_seconds: float, batch_size: int = 0
    ) -> list[str]:
        """Add a long history of complete extractions, and return their ids in order.

        Args:
            type_name: The document type of all extractions.
            count: Number of extractions.
            start: Creation time of the first extraction.
            step_seconds: Seconds between two extractions.
            batch_size: Extractions per batch; 0 makes no batches.
        """
        with self.context.hold_lock():
            document_type = self.find_type(type_name)
            rows = self._factory.make_history(
                document_type, count, to_milliseconds(start), step_seconds, self.context.timestamp()
            )
            keys = [row.timeline_key for row in rows]
            self._rows.update(zip((row.extraction_id for row in rows), rows, strict=True))
            self._timeline.extend(keys)
            self._timelines_by_type[document_type.type_id].extend(keys)
            for index in range(0, len(rows) if batch_size else 0, batch_size or 1):
                self._group_batch(rows[index : index + batch_size])
            return [row.extraction_id for row in rows]

    def finish(self, extraction_id: str | None = None, *, skip_stuck: bool = False) -> int:
        """Finish extractions in progress: all, one, or those of one batch.

        Return their number.

        Extractions that wait for their uploads stay as they are.

        Args:
            extraction_id: Id of an extraction or a batch; None finishes every extraction.
            skip_stuck: Leave the extractions pending that would never finish by themselves.

        Raises:
            UnknownId: There is no such extraction or batch.
        """
        with self.context.hold_lock():
            if extraction_id is not None and extraction_id not in self._batches:
                self._find_row(extraction_id)
            now, finished_count = self.context.timestamp(), 0
            for _, id_ in self._individual_timeline.iter_newest_first():
                row = self._rows[id_]
                if skip_stuck and row.ready_at == inf:
                    continue
                if row.get_status(now) is Status.PROCESSING and extraction_id in (None, id_, row.batch_id):
                    row.ready_at = now
                    finished_count += 1
            return finished_count

    def review(self, extraction_id: str, status: str, parsed_document: Mapping[str, object] | None = None) -> None:
        """Decide on a complete extraction, and replace its data if any is passed.

        As documented, a decision is final. That it covers all documents of a portfolio under review is a guess.

        Raises:
            ValueError: The status is no review status, the extraction is not complete, or its review is final.
        """
        with self.context.hold_lock():
            row = self._find_row(extraction_id)
            if status not in (NEEDS_REVIEW, *DECISIONS):
                raise ValueError(f"a review status is one of {', '.join((NEEDS_REVIEW, *DECISIONS))}")
            if row.get_status(self.context.timestamp()) is not Status.COMPLETE:
                raise ValueError("the extraction is not complete")
            reviewed_parts = [part for part in row.parts if part.review == NEEDS_REVIEW]
            # A person may also review an extraction that no rule has put under review.
            reviewed_parts = reviewed_parts or [part for part in row.parts if part.review is None]
            if not reviewed_parts:
                raise ValueError("the review status is final")
            for part in reviewed_parts:
                part.review = status
            if parsed_document is not None:
                reviewed_parts[0].parsed_document = parsed_document
            self._mark_individual(row)

    def edit(self, extraction_id: str, parsed_document: Mapping[str, object], /, part_index: int = 0) -> None:
        """Replace the `parsed_document` of one part, as a person does.

        The extraction is complete from then on.
        """
        with self.context.hold_lock():
            row, now = self._find_row(extraction_id), self.context.timestamp()
            row.parts[part_index].parsed_document = parsed_document
            row.error, row.is_uploaded, row.ready_at = None, True, min(row.ready_at, now)

    def purge(self, extraction_id: str) -> None:
        """Expire an extraction's content but keep its summary.

        The form of expired content is a guess.
        """
        with self.context.hold_lock():
            self._find_row(extraction_id).is_purged = True

    def get_document(self, extraction_id: str) -> DocumentView:
        """Return an extraction as it is now."""
        with self.context.hold_lock():
            return view_extraction(self._find_row(extraction_id), self.context.timestamp())

    def get_batch(self, batch_id: str) -> BatchView:
        """Return a batch as it is now."""
        with self.context.hold_lock():
            batch = self._find_batch(batch_id)
            waiting_count = sum(not self._find_row(id_).is_uploaded for id_ in batch.extraction_ids)
            return BatchView(batch_id, batch.description, tuple(batch.extraction_ids), waiting_count)

    def iter_newest_first(self, list_filter: Filter) -> Iterator[DocumentView]:
        """Yield the extractions that match a filter, newest first.

        The caller holds the lock while it iterates.
        """
        now = self.context.timestamp()
        timeline = self._timeline
        if list_filter.review_statuses or (list_filter.statuses and Status.COMPLETE.value not in list_filter.statuses):
            timeline = self._individual_timeline
        elif len(list_filter.type_ids) == 1:
            timeline = self._timelines_by_type.get(next(iter(list_filter.type_ids)), Timeline())
        for _, extraction_id in timeline.iter_newest_first(list_filter.first_key, list_filter.end_key):
            view = view_extraction(self._rows[extraction_id], now)
            if list_filter.is_match(view):
                yield view

    def summarize(self) -> JsonObject:
        """Return the document types, the batch ids and the numbers of documents."""
        with self.context.hold_lock():
            now = self.context.timestamp()
            statuses = [self._rows[id_].get_status(now) for _, id_ in self._individual_timeline.iter_newest_first()]
            return {
                "document_types": {id_: document_type.name for id_, document_type in self._types_by_id.items()},
                "batches": list(self._batches),
                "documents": len(self._rows),
                "pending_documents": statuses.count(Status.PROCESSING),
                "waiting_documents": statuses.count(Status.WAITING),
            }

    def find_type(self, name: str) -> DocumentType:
        """Return the document type of a name.

        Raises:
            UnknownId: There is no such document type.
        """
        with self.context.hold_lock():
            for document_type in self._types_by_id.values():
                if document_type.name == name:
                    return document_type
            raise UnknownId(f"there is no document type {name}")

    def _add_extractions(
        self,
        files: Sequence[str | SensibleDocument],
        type_name: str,
        environment: str,
        created_at: datetime | None,
        batch_id: str | None,
    ) -> list[Extraction]:
        document_type, created_ms = self.find_type(type_name), to_milliseconds(created_at or self.context.clock.now())
        rows = []
        for file in files:
            new_document = SensibleDocument(file) if isinstance(file, str) else file
            if new_document.extraction_id in self._rows:
                raise ValueError(f"there is an extraction {new_document.extraction_id} already")
            rows.append(self._factory.make_extraction(new_document, document_type, environment, created_ms, batch_id))
        for row in rows:
            self._rows[row.extraction_id] = row
            self._timeline.add(row.timeline_key)
            self._individual_timeline.add(row.timeline_key)
            for type_id in {part_type.type_id for part_type in row.document_types}:
                self._timelines_by_type[type_id].add(row.timeline_key)
        return rows

    def _group_batch(self, rows: Sequence[Extraction]) -> None:
        """Create a batch of existing extractions."""
        batch_id = self._fake_documents.draw_uuid()
        self._batches[batch_id] = Batch(batch_id, "", [row.extraction_id for row in rows])
        for row in rows:
            row.batch_id = batch_id

    def _mark_individual(self, row: Extraction) -> None:
        self._individual_timeline.remove(row.timeline_key)
        self._individual_timeline.add(row.timeline_key)

    def _find_batch(self, batch_id: str) -> Batch:
        try:
            return self._batches[batch_id]
        except KeyError:
            raise UnknownId(f"there is no batch {batch_id}") from None

    def _find_row(self, extraction_id: str) -> Extraction:
        try:
            return self._rows[extraction_id]
        except KeyError:
            raise UnknownId(f"there is no extraction {extraction_id}") from None
