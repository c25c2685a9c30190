"""Sensible as an API of the sandbox."""

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
    """The world behind the interface of the control endpoints, with reviews."""

    world: SensibleWorld

    def review(self, document: str, status: str, data: Mapping[str, object] | None = None, /) -> None:
        """Decide on a document under review, and replace its data if any is passed."""
        self.world.review(document, status, data)


class SensibleApi:
    """Sensible's host: one key and one world."""

    name = "sensible"
    base_path = "/sensible/v0"

    def __init__(self, context: SandboxContext) -> None:
        """Create an empty world."""
        random = context.make_random(self.name)
        self._fake_documents = FakeDocuments(random)
        self.world = SensibleWorld(context, self._fake_documents)
        self._demo_filler = demo.DemoFiller(self.world, self._fake_documents, context.make_random("sensible/weeks"))

    @property
    def credentials(self) -> Mapping[str, str]:
        """Return the key."""
        return {"api_key": API_KEY}

    @property
    def worlds(self) -> Mapping[str, World]:
        """Return the world by the name that the control endpoints use."""
        return {"sensible": _ReviewableAdapter(self.world)}

    def list_endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoints of Sensible."""
        return SensibleRoutes(self.world, self._fake_documents).list_endpoints()

    def load_seeds(self) -> None:
        """Add the example of the page "Group extractions by batch ID"."""
        demo.load_seeds(self.world)

    def fill_demo(self) -> None:
        """Add twelve weeks of documents; later calls add a few pending ones."""
        self._demo_filler.fill()

    def build_settings(self) -> JsonObject:
        """Return no settings: the provider lists everything in the account."""
        return {}
