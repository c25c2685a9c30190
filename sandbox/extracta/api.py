"""Both products of Extracta as one API of the sandbox."""

from collections.abc import Mapping, Sequence

from sandbox.api import Endpoint, World
from sandbox.papers import Papers
from sandbox.shared import JsonObject, Shared

from . import demo, seeds
from .access import API_KEY, Door
from .batches import Account
from .classification import ClassificationWorld
from .classification_routes import ClassificationRoutes
from .extraction import ExtractionWorld
from .extraction_routes import ExtractionRoutes


class ExtractaApi:
    """One host, one key, two worlds."""

    name = "extracta"
    base_path = "/extracta/api/v1"

    def __init__(self, shared: Shared) -> None:
        papers, account = Papers(shared.random), Account()
        self._shared = shared
        self._door = Door(shared)
        self.extraction = ExtractionWorld(shared, account, papers)
        self.classification = ClassificationWorld(shared, account, papers, self.extraction)
        self._demo = demo.Demo(self.extraction, self.classification, shared.generator("extracta/weeks"))

    @property
    def credentials(self) -> Mapping[str, str]:
        return {"api_key": API_KEY}

    @property
    def worlds(self) -> Mapping[str, World]:
        return {"extracta": self.extraction, "classification": self.classification}

    def endpoints(self) -> Sequence[Endpoint]:
        return [
            *ExtractionRoutes(self.extraction, self._door).endpoints(),
            *ClassificationRoutes(self.classification, self._door).endpoints(),
        ]

    def plant_seeds(self) -> None:
        seeds.plant(self.extraction, self.classification)

    def fill_demo(self) -> None:
        self._demo.fill()

    def settings(self) -> JsonObject:
        """Classification batches are named one by one, as no documented operation lists them."""
        classification_ids = self.classification.template_ids
        return {
            "extraction_ids": self.extraction.template_ids,
            "classification_ids": classification_ids,
            "classification_batches": [
                f"{template}/{batch}"
                for template in classification_ids
                for batch in self.classification.batch_ids(template)
            ],
            "seconds_between_requests": self._shared.spacing,
        }
