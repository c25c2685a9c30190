"""Sensible as one API of the sandbox."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from docextract_sandbox.api import Endpoint, FlatWorldAdapter, World
from docextract_sandbox.context import JsonObject, SandboxContext

from . import demo
from .access import API_KEY
from .fake_documents import FakeDocuments
from .routes import SensibleRoutes
from .world import SensibleWorld


@dataclass(frozen=True)
class _ReviewableAdapter(FlatWorldAdapter):
    """The world as the control endpoints know worlds, with its reviews."""

    world: SensibleWorld

    def review(self, document: str, status: str, data: JsonObject | None = None, /) -> None:
        self.world.review(document, status, data)


class SensibleApi:
    """One host, one key, one world."""

    name = "sensible"
    base_path = "/sensible/v0"

    def __init__(self, context: SandboxContext) -> None:
        random = context.make_random(self.name)
        self._fake_documents = FakeDocuments(random)
        self.world = SensibleWorld(context, self._fake_documents)
        self._demo_filler = demo.DemoFiller(self.world, self._fake_documents, context.make_random("sensible/weeks"))

    @property
    def credentials(self) -> Mapping[str, str]:
        return {"api_key": API_KEY}

    @property
    def worlds(self) -> Mapping[str, World]:
        return {"sensible": _ReviewableAdapter(self.world)}

    def list_endpoints(self) -> Sequence[Endpoint]:
        return SensibleRoutes(self.world, self._fake_documents).list_endpoints()

    def load_seeds(self) -> None:
        demo.load_seeds(self.world)

    def fill_demo(self) -> None:
        self._demo_filler.fill()

    def build_settings(self) -> JsonObject:
        """Nothing need be told: the account's extractions and document types are listed."""
        return {}
