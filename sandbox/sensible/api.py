"""Sensible as one API of the sandbox."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sandbox.api import Endpoint, Unbatched, World
from sandbox.shared import JsonObject, Shared

from . import demo
from .access import API_KEY
from .papers import Papers
from .routes import SensibleRoutes
from .world import SensibleWorld


@dataclass(frozen=True)
class _Controlled(Unbatched):
    """The world as the control endpoints know worlds, with its reviews."""

    world: SensibleWorld

    def review(self, document: str, status: str, data: JsonObject | None = None, /) -> None:
        self.world.review(document, status, data)


class SensibleApi:
    """One host, one key, one world."""

    name = "sensible"
    base_path = "/sensible/v0"

    def __init__(self, shared: Shared) -> None:
        random = shared.generator(self.name)
        self._papers = Papers(random)
        self.world = SensibleWorld(shared, self._papers)
        self._demo = demo.Demo(self.world, self._papers, shared.generator("sensible/weeks"))

    @property
    def credentials(self) -> Mapping[str, str]:
        return {"api_key": API_KEY}

    @property
    def worlds(self) -> Mapping[str, World]:
        return {"sensible": _Controlled(self.world)}

    def endpoints(self) -> Sequence[Endpoint]:
        return SensibleRoutes(self.world, self._papers).endpoints()

    def plant_seeds(self) -> None:
        demo.plant(self.world)

    def fill_demo(self) -> None:
        self._demo.fill()

    def settings(self) -> JsonObject:
        """Nothing need be told: the account's extractions and document types are listed."""
        return {}
