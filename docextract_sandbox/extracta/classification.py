"""The world of document classification: templates, types and batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from docextract_sandbox.context import JsonObject, SandboxContext, to_datetime
from docextract_sandbox.fake_documents import FakeDocuments
from docextract_sandbox.ids import make_push_id

from .batches import Account, BatchWorld
from .extraction import ExtractionWorld
from .files import Batch, ExtractionReference, File, FileStatus, NewFile

FORWARDED_ORIGIN = "documentClassification"
"""`origin` of an extraction batch that classification created (a guess: no source shows it)."""


@dataclass(frozen=True)
class DocumentType:
    """One type of a classification template.

    Files of a type with `extraction_id` are forwarded to that template.
    """

    name: str
    description: str = ""
    unique_words: tuple[str, ...] = ()
    extraction_id: str | None = None

    def to_json(self) -> JsonObject:
        """Return the type as the API returns it."""
        type_json: JsonObject = {
            "name": self.name,
            "description": self.description,
            "uniqueWords": list(self.unique_words),
        }
        return {**type_json, "extractionId": self.extraction_id} if self.extraction_id else type_json


@dataclass(frozen=True)
class ClassificationTemplate:
    """A classification template; `created_ms` is in epoch milliseconds."""

    name: str
    description: str
    created_ms: int
    document_types: tuple[DocumentType, ...]

    def find_extraction_id(self, type_name: object) -> str | None:
        """Return the extraction template of a type, or None.

        Case is ignored: results write types in lower case where templates have capitals.
        """
        for known_type in self.document_types:
            if isinstance(type_name, str) and known_type.name.lower() == type_name.lower():
                return known_type.extraction_id
        return None


class ClassificationWorld(BatchWorld):
    """Classification templates by id, and the files to forward to extraction."""

    def __init__(
        self,
        context: SandboxContext,
        account: Account,
        fake_documents: FakeDocuments,
        extraction_world: ExtractionWorld,
    ) -> None:
        """Start without templates; classified files are forwarded to `extraction_world`."""
        super().__init__(context, account, fake_documents)
        self._extraction_world = extraction_world
        self._templates: dict[str, ClassificationTemplate] = {}
        self._unforwarded_files: dict[int, tuple[Batch, File]] = {}
        self._target_batch_ids: dict[tuple[str, str], str] = {}
        context.lock_hooks.append(self._forward_classified_files)

    def create(
        self,
        name: str,
        document_types: Sequence[DocumentType] = (),
        classification_id: str | None = None,
        description: str = "",
        created_ms: int | None = None,
    ) -> str:
        """Create a template and return its id.

        `created_ms` is in epoch milliseconds (None: now).
        """
        with self.context.hold_lock():
            now_ms = self.context.now_ms()
            new_id = classification_id or make_push_id(now_ms, self.context.random)
            template_created_ms = now_ms if created_ms is None else created_ms
            self._templates[new_id] = ClassificationTemplate(
                name, description, template_created_ms, tuple(document_types)
            )
            self._batches_by_template[new_id] = {}
            return new_id

    def update(
        self, classification_id: str, name: str, description: str, document_types: Sequence[DocumentType]
    ) -> None:
        """Replace a template; existing results stay as they are."""
        with self.context.hold_lock():
            created_ms = self.get_template(classification_id).created_ms
            self._templates[classification_id] = ClassificationTemplate(
                name, description, created_ms, tuple(document_types)
            )

    def get_template(self, classification_id: str) -> ClassificationTemplate:
        """Return a template."""
        with self.context.hold_lock():
            self._find_template_batches(classification_id)
            return self._templates[classification_id]

    def build_details(self, classification_id: str) -> JsonObject:
        """Return `classificationDetails` without batches."""
        template = self.get_template(classification_id)
        return {
            "createdAt": template.created_ms,
            "name": template.name,
            "description": template.description,
            "documentTypes": [document_type.to_json() for document_type in template.document_types],
        }

    def get_template_name(self, template_id: str) -> str:
        """Return the name of a template."""
        return self._templates[template_id].name

    def _draw_result(self, template_id: str, file_name: str, /) -> JsonObject:
        """Return a drawn classification, in lower case as in the example of "Get results"."""
        document_types = self._templates[template_id].document_types
        type_names = [document_type.name.lower() for document_type in document_types]
        return self.fake_documents.draw_classification(type_names, file_name)

    def _forget_template(self, template_id: str) -> None:
        del self._templates[template_id]

    def _handle_file_change(self, batch: Batch, file: File) -> None:
        if file.reference is None and self._find_target_template_id(batch, file) is not None:
            self._unforwarded_files[id(file)] = (batch, file)

    def _find_target_template_id(self, batch: Batch, file: File) -> str | None:
        template = self._templates.get(batch.template_id)
        return template.find_extraction_id(file.result.get("documentType")) if template else None

    def _forward_classified_files(self) -> None:
        """Forward classified files to the extraction templates of their types."""
        if not self._unforwarded_files:
            return
        now = self.context.timestamp()
        finished_files = [(batch, file) for batch, file in self._unforwarded_files.values() if file.ready_at <= now]
        for batch, file in finished_files:
            del self._unforwarded_files[id(file)]
            if file.get_status(now) is FileStatus.PROCESSED and self._is_stored(batch, file):
                self._forward_file(batch, file)

    def _is_stored(self, batch: Batch, file: File) -> bool:
        return self._batches.get(batch.batch_id) is batch and any(stored_file is file for stored_file in batch.files)

    def _forward_file(self, batch: Batch, file: File) -> None:
        """Upload a classified file to its extraction batch, which may be a new one.

        The upload has the time at which the classification finished, also where the clock has moved on since.
        """
        target_template_id = self._find_target_template_id(batch, file)
        # The type may have changed or the template may be deleted since the file was classified.
        if target_template_id is None or not self._extraction_world.contains(target_template_id):
            return
        existing_batch_id = self._target_batch_ids.get((batch.batch_id, target_template_id))
        if existing_batch_id is not None and not self._extraction_world.contains(target_template_id, existing_batch_id):
            existing_batch_id = None
        finished_at = to_datetime(file.ready_at)
        target_batch_id = self._extraction_world.upload(
            target_template_id, [NewFile(file.name)], existing_batch_id, started_at=finished_at, origin=FORWARDED_ORIGIN
        )
        self._target_batch_ids[batch.batch_id, target_template_id] = target_batch_id
        file.reference = ExtractionReference(
            target_template_id, target_batch_id, self._extraction_world.get_batch(target_batch_id).files[-1].file_id
        )


def parse_document_types(types_json: object) -> tuple[DocumentType, ...] | None:
    """Return the document types of a request's `documentTypes`.

    None if they are missing or malformed.
    """
    if not isinstance(types_json, list) or not types_json:
        return None
    document_types = []
    for type_json in types_json:
        if not isinstance(type_json, Mapping) or not isinstance(type_json.get("name"), str) or not type_json["name"]:
            return None
        raw_words, raw_id = type_json.get("uniqueWords"), type_json.get("extractionId")
        unique_words = tuple(map(str, raw_words)) if isinstance(raw_words, list) else ()
        extraction_id = raw_id if isinstance(raw_id, str) and raw_id else None
        description = str(type_json.get("description", ""))
        document_types.append(DocumentType(type_json["name"], description, unique_words, extraction_id))
    return tuple(document_types)
