"""The sandbox as a whole: its worlds, its switches, its journal, its web application."""

from collections.abc import Collection

from .api import Api
from .atlas import AtlasApi
from .clock import Clock
from .control import endpoints
from .docmap import DocMapApi
from .extracta import ExtractaApi
from .faults import Faults
from .journal import Journal
from .sensible import SensibleApi
from .shared import JsonObject, Shared, Unknown
from .switches import Switches
from .web import application


class Sandbox:
    """Document-extraction APIs with a clock of their own.

    `spacing` is the least number of real seconds between two requests to each of Extracta's result endpoints, `latency`
    the real seconds that every answer takes. `seeds=False` leaves the worlds empty. Two sandboxes with the same
    `random_seed`, clock and calls hold the same documents.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        switches: Switches | None = None,
        spacing: float = 0.0,
        seeds: bool = True,
        *,
        random_seed: int = 1,
        latency: float = 0.0,
    ) -> None:
        self._shared = Shared(clock or Clock(), switches or Switches(), spacing, random_seed)
        extracta, atlas = ExtractaApi(self._shared), AtlasApi(self._shared)
        docmap, sensible = DocMapApi(self._shared), SensibleApi(self._shared)
        self.apis: tuple[Api, ...] = (extracta, atlas, docmap, sensible)
        self.extracta = extracta.extraction
        self.classification = extracta.classification
        self.atlas = atlas.world
        self.docmap = docmap.world
        self.sensible = sensible.world
        empty = (
            ExtractaApi(self._shared), AtlasApi(self._shared), DocMapApi(self._shared), SensibleApi(self._shared)
        )  # fmt: skip
        self.app = application(self._shared, self.apis, empty, endpoints(self), latency)
        if seeds:
            with self._shared.turn():
                for api in self.apis:
                    api.plant_seeds()

    @property
    def clock(self) -> Clock:
        return self._shared.clock

    @property
    def journal(self) -> Journal:
        return self._shared.journal

    @property
    def faults(self) -> Faults:
        return self._shared.faults

    @property
    def switches(self) -> Switches:
        return self._shared.switches

    @switches.setter
    def switches(self, switches: Switches) -> None:
        with self._shared.turn():
            self._shared.switches = switches

    @property
    def spacing(self) -> float:
        return self._shared.spacing

    @spacing.setter
    def spacing(self, seconds: float) -> None:
        self._shared.spacing = seconds

    @property
    def credentials(self) -> dict[str, dict[str, str]]:
        """Fixed, and no secrets: they open nothing but this sandbox."""
        return {api.name: dict(api.credentials) for api in self.apis}

    def base_urls(self, url: str) -> dict[str, str]:
        """Each API's base url, for a sandbox that is served at `url`."""
        return {api.name: url.rstrip("/") + api.base_path for api in self.apis}

    def fill_demo(self) -> None:
        """The documents of twelve weeks, most of them finished; each further call adds a few that are not."""
        with self._shared.turn():
            for api in self.apis:
                api.fill_demo()

    def demo_settings(self, url: str, apis: Collection[str] = ()) -> JsonObject:
        """Settings with which a connector reads all that is here, of all APIs or some; raises Unknown for other names.

        Those of some are for a client that does not know every API that is served.
        """
        unknown = set(apis) - {api.name for api in self.apis}
        if unknown:
            raise Unknown(f"there is no api {min(unknown)}; there are: {', '.join(api.name for api in self.apis)}")
        with self._shared.turn():
            urls = self.base_urls(url)
            return {
                api.name: {**api.credentials, "base_url": urls[api.name], **api.settings()}
                for api in self.apis
                if not apis or api.name in apis
            }
