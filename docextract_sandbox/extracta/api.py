"""Both products of Extracta as one API of the sandbox."""

from collections.abc import Mapping, Sequence

from docextract_sandbox.api import Endpoint, World
from docextract_sandbox.context import JsonObject, SandboxContext
from docextract_sandbox.fake_documents import FakeDocuments

from . import demo, seeds
from .access import API_KEY, AccessControl
from .batches import Account
from .classification import ClassificationWorld
from .classification_routes import ClassificationRoutes
from .extraction import ExtractionWorld
from .extraction_routes import ExtractionRoutes


class ExtractaApi:
    """Extracta's host: one key, and one world each for extraction and classification."""

    name = "extracta"
    base_path = "/extracta/api/v1"

    def __init__(self, context: SandboxContext) -> None:
        """Create both worlds; they share the account's credits."""
        fake_documents, account = FakeDocuments(context.random), Account()
        self._context = context
        self._access_control = AccessControl(context)
        self.extraction = ExtractionWorld(context, account, fake_documents)
        self.classification = ClassificationWorld(context, account, fake_documents, self.extraction)
        self._demo_filler = demo.DemoFiller(self.extraction, self.classification, context.make_random("extracta/weeks"))

    @property
    def credentials(self) -> Mapping[str, str]:
        """Return the key."""
        return {"api_key": API_KEY}

    @property
    def worlds(self) -> Mapping[str, World]:
        """Return the worlds by the names that the control endpoints use."""
        return {"extracta": self.extraction, "classification": self.classification}

    def list_endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoints of both products."""
        return [
            *ExtractionRoutes(self.extraction, self._access_control).list_endpoints(),
            *ClassificationRoutes(self.classification, self._access_control).list_endpoints(),
        ]

    def load_seeds(self) -> None:
        """Add the examples of the two pages "Get results"."""
        seeds.load_seeds(self.extraction, self.classification)

    def fill_demo(self) -> None:
        """Add twelve weeks of documents; later calls add a few pending ones."""
        self._demo_filler.fill()

    def build_settings(self) -> JsonObject:
        """Return settings with all templates and classification batches.

        No documented operation lists the latter.
        """
        classification_ids = self.classification.template_ids
        classification_batches: list[str] = []
        for template_id in classification_ids:
            batch_ids = self.classification.list_batch_ids(template_id)
            classification_batches += [f"{template_id}/{batch_id}" for batch_id in batch_ids]
        return {
            "extraction_ids": self.extraction.template_ids,
            "classification_ids": classification_ids,
            "classification_batches": classification_batches,
            "seconds_between_requests": self._context.spacing,
        }
