"""The world of data extraction: templates with fields, and batches of files."""

from collections.abc import Mapping, Sequence

from docextract_sandbox.context import JsonObject, SandboxContext
from docextract_sandbox.fake_documents import FakeDocuments
from docextract_sandbox.ids import make_push_id

from .batches import Account, BatchWorld
from .files import Batch, File


class ExtractionWorld(BatchWorld):
    """Extraction templates by id, stored in the form in which the API returns them."""

    def __init__(self, context: SandboxContext, account: Account, fake_documents: FakeDocuments) -> None:
        """Start without templates."""
        super().__init__(context, account, fake_documents)
        self._details: dict[str, JsonObject] = {}

    def create(
        self,
        name: str,
        fields: Sequence[str | Mapping[str, object]] = (),
        extraction_id: str | None = None,
        details: Mapping[str, object] | None = None,
    ) -> str:
        """Create a template and return its id.

        Args:
            name: Name of the template.
            fields: Keys, or definitions `{key, description, example?, type?, properties?, items?}`.
            extraction_id: Id of the template; None draws one.
            details: Further keys of `extractionDetails`, such as `language` and `options`.
        """
        with self.context.hold_lock():
            new_id = extraction_id or make_push_id(self.context.now_ms(), self.context.random)
            definitions = [
                {"key": field, "description": "", "type": "string"} if isinstance(field, str) else field
                for field in fields
            ]
            self._details[new_id] = {
                "name": name,
                "description": "",
                "language": "English",
                "options": {"hasTable": False, "handwrittenTextRecognition": False},
                **(details or {}),
                "fields": definitions,
            }
            self._batches_by_template[new_id] = {}
            return new_id

    def update(self, extraction_id: str, details: Mapping[str, object]) -> None:
        """Replace keys of `extractionDetails`; existing results stay as they are."""
        with self.context.hold_lock():
            self._find_template_batches(extraction_id)
            self._details[extraction_id] = {**self._details[extraction_id], **details}

    def get_details(self, extraction_id: str) -> JsonObject:
        """Return `extractionDetails` without its batches."""
        with self.context.hold_lock():
            self._find_template_batches(extraction_id)
            return dict(self._details[extraction_id])

    def contains(self, extraction_id: str, batch_id: str | None = None) -> bool:
        """Return whether a template exists, and holds the batch if the caller names one."""
        with self.context.hold_lock():
            template_batches = self._batches_by_template.get(extraction_id)
            return template_batches is not None and (batch_id is None or batch_id in template_batches)

    def get_template_name(self, template_id: str) -> str:
        """Return the name of a template."""
        return str(self._details[template_id].get("name", ""))

    def _draw_result(self, template_id: str, _: str, /) -> JsonObject:
        fields = self._details[template_id]["fields"]
        return self.fake_documents.extract_fields(fields if isinstance(fields, list) else [])

    def _forget_template(self, template_id: str) -> None:
        del self._details[template_id]

    def _handle_file_change(self, batch: Batch, file: File) -> None:
        """Do nothing: files of this product have no consequences elsewhere."""
