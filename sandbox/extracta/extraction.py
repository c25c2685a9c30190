"""The world of data extraction: templates with fields, and batches whose files are read by them."""

from collections.abc import Mapping, Sequence

from sandbox.ids import push_id
from sandbox.papers import Papers
from sandbox.shared import JsonObject, Shared

from .batches import Account, BatchWorld
from .files import Batch, File


class ExtractionWorld(BatchWorld):
    """Extraction templates by id. Their details are kept in the shape in which the API shows them."""

    def __init__(self, shared: Shared, account: Account, papers: Papers) -> None:
        super().__init__(shared, account, papers)
        self._details: dict[str, JsonObject] = {}

    def create(
        self,
        name: str,
        fields: Sequence[str | JsonObject] = (),
        extraction_id: str | None = None,
        details: Mapping[str, object] | None = None,
    ) -> str:
        """A new template. A field is a key, or a definition `{key, description, example?, type?, properties?, items?}`.

        `details` are further keys of `extractionDetails`, such as `language` and `options`.
        """
        with self.shared.turn():
            new_id = extraction_id or push_id(self.shared.milliseconds(), self.shared.random)
            definitions = [
                {"key": one, "description": "", "type": "string"} if isinstance(one, str) else one for one in fields
            ]
            self._details[new_id] = {
                "name": name,
                "description": "",
                "language": "English",
                "options": {"hasTable": False, "handwrittenTextRecognition": False},
                **(details or {}),
                "fields": definitions,
            }
            self._by_template[new_id] = {}
            return new_id

    def update(self, extraction_id: str, details: Mapping[str, object]) -> None:
        """Replaces the keys of `extractionDetails` that are given; results that exist stay as they are."""
        with self.shared.turn():
            self._owned(extraction_id)
            self._details[extraction_id] = {**self._details[extraction_id], **details}

    def details(self, extraction_id: str) -> JsonObject:
        """`extractionDetails` without its batches."""
        with self.shared.turn():
            self._owned(extraction_id)
            return dict(self._details[extraction_id])

    def has(self, extraction_id: str, batch_id: str | None = None) -> bool:
        with self.shared.turn():
            owned = self._by_template.get(extraction_id)
            return owned is not None and (batch_id is None or batch_id in owned)

    def template_name(self, template_id: str) -> str:
        return str(self._details[template_id].get("name", ""))

    def _draw(self, template_id: str, _: str, /) -> JsonObject:
        fields = self._details[template_id]["fields"]
        return self.papers.read(fields if isinstance(fields, list) else [])

    def _forget(self, template_id: str) -> None:
        del self._details[template_id]

    def _came_in(self, batch: Batch, file: File) -> None:
        """Nothing follows from a file of this product."""
