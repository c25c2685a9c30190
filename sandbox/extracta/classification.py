"""The world of document classification: templates with types, some of which are linked to extraction templates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sandbox.ids import push_id
from sandbox.papers import Papers
from sandbox.shared import JsonObject, Shared, utc

from .batches import Account, BatchWorld
from .extraction import ExtractionWorld
from .files import Batch, File, FileStatus, Link, NewFile

LINKED_ORIGIN = "documentClassification"
"""A guess: no source tells the `origin` of a batch that classification made."""


@dataclass(frozen=True)
class DocumentType:
    """One type of a classification template; files of a linked type go on to that extraction template."""

    name: str
    description: str = ""
    unique_words: tuple[str, ...] = ()
    extraction_id: str | None = None

    def shown(self) -> JsonObject:
        shown: JsonObject = {
            "name": self.name,
            "description": self.description,
            "uniqueWords": list(self.unique_words),
        }
        return {**shown, "extractionId": self.extraction_id} if self.extraction_id else shown


@dataclass(frozen=True)
class Template:
    name: str
    description: str
    created_at: int
    types: tuple[DocumentType, ...]

    def linked_to(self, document_type: object) -> str | None:
        """The extraction template of a type. Answers write types in lower case where templates have capitals."""
        for one in self.types:
            if isinstance(document_type, str) and one.name.lower() == document_type.lower():
                return one.extraction_id
        return None


class ClassificationWorld(BatchWorld):
    """Classification templates by id."""

    def __init__(self, shared: Shared, account: Account, papers: Papers, extraction: ExtractionWorld) -> None:
        super().__init__(shared, account, papers)
        self._extraction = extraction
        self._templates: dict[str, Template] = {}
        self._unlinked: dict[int, tuple[Batch, File]] = {}
        self._linked_batches: dict[tuple[str, str], str] = {}
        shared.on_turn.append(self._hand_on)

    def create(
        self,
        name: str,
        document_types: Sequence[DocumentType] = (),
        classification_id: str | None = None,
        description: str = "",
        created_at: int | None = None,
    ) -> str:
        """A new template; `created_at` is in epoch milliseconds (None: now)."""
        with self.shared.turn():
            now = self.shared.milliseconds()
            new_id = classification_id or push_id(now, self.shared.random)
            created = now if created_at is None else created_at
            self._templates[new_id] = Template(name, description, created, tuple(document_types))
            self._by_template[new_id] = {}
            return new_id

    def update(self, classification_id: str, name: str, description: str, types: Sequence[DocumentType]) -> None:
        with self.shared.turn():
            created = self.template(classification_id).created_at
            self._templates[classification_id] = Template(name, description, created, tuple(types))

    def template(self, classification_id: str) -> Template:
        with self.shared.turn():
            self._owned(classification_id)
            return self._templates[classification_id]

    def details(self, classification_id: str) -> JsonObject:
        """`classificationDetails` without batches."""
        template = self.template(classification_id)
        return {
            "createdAt": template.created_at,
            "name": template.name,
            "description": template.description,
            "documentTypes": [one.shown() for one in template.types],
        }

    def template_name(self, template_id: str) -> str:
        return self._templates[template_id].name

    def _draw(self, template_id: str, name: str, /) -> JsonObject:
        """The page's example writes in lower case what templates write with a capital."""
        return self.papers.classify([one.name.lower() for one in self._templates[template_id].types], name)

    def _forget(self, template_id: str) -> None:
        del self._templates[template_id]

    def _came_in(self, batch: Batch, file: File) -> None:
        if file.link is None and self._link_target(batch, file) is not None:
            self._unlinked[id(file)] = (batch, file)

    def _link_target(self, batch: Batch, file: File) -> str | None:
        template = self._templates.get(batch.template_id)
        return template.linked_to(file.result.get("documentType")) if template else None

    def _hand_on(self) -> None:
        """Uploads what has been classified meanwhile to the extraction templates of its types."""
        if not self._unlinked:
            return
        now = self.shared.timestamp()
        done = [(batch, file) for batch, file in self._unlinked.values() if file.ready_at <= now]
        for batch, file in done:
            del self._unlinked[id(file)]
            if file.status(now) is FileStatus.PROCESSED and self._stored(batch, file):
                self._link(batch, file)

    def _stored(self, batch: Batch, file: File) -> bool:
        return self._batches.get(batch.batch_id) is batch and any(kept is file for kept in batch.files)

    def _link(self, batch: Batch, file: File) -> None:
        """One extraction batch per classification batch and extraction template takes the file, as of its finish."""
        target = self._link_target(batch, file)
        if target is None or not self._extraction.has(target):
            return
        known = self._linked_batches.get((batch.batch_id, target))
        if known is not None and not self._extraction.has(target, known):
            known = None
        when = utc(file.ready_at)
        linked = self._extraction.upload(target, [NewFile(file.name)], known, started_at=when, origin=LINKED_ORIGIN)
        self._linked_batches[batch.batch_id, target] = linked
        file.link = Link(target, linked, self._extraction.batch(linked).files[-1].file_id)


def types_from(listed: object) -> tuple[DocumentType, ...] | None:
    """The document types of a request's `documentTypes`; None if it does not hold any, or something else."""
    if not isinstance(listed, list) or not listed:
        return None
    types = []
    for one in listed:
        if not isinstance(one, Mapping) or not isinstance(one.get("name"), str) or not one["name"]:
            return None
        words, extraction_id = one.get("uniqueWords"), one.get("extractionId")
        types.append(
            DocumentType(
                one["name"],
                str(one.get("description", "")),
                tuple(str(word) for word in words) if isinstance(words, list) else (),
                extraction_id if isinstance(extraction_id, str) and extraction_id else None,
            )
        )
    return tuple(types)
