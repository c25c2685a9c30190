"""The sandbox as a whole: its worlds, its switches, its journal, its web application."""

from collections.abc import Collection

from .api import Api
from .atlas import AtlasApi
from .clock import Clock
from .context import JsonObject, SandboxContext, UnknownId
from .control import list_control_endpoints
from .docmap import DocMapApi
from .extracta import ExtractaApi
from .faults import Faults
from .journal import Journal
from .sensible import SensibleApi
from .switches import Switches
from .web import build_application


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
        self._context = SandboxContext(clock or Clock(), switches or Switches(), spacing, random_seed)
        extracta, atlas = ExtractaApi(self._context), AtlasApi(self._context)
        docmap, sensible = DocMapApi(self._context), SensibleApi(self._context)
        self.apis: tuple[Api, ...] = (extracta, atlas, docmap, sensible)
        self.extracta = extracta.extraction
        self.classification = extracta.classification
        self.atlas = atlas.world
        self.docmap = docmap.world
        self.sensible = sensible.world
        empty_apis = (
            ExtractaApi(self._context), AtlasApi(self._context), DocMapApi(self._context), SensibleApi(self._context)
        )  # fmt: skip
        self.application = build_application(
            self._context, self.apis, empty_apis, list_control_endpoints(self), latency
        )
        if seeds:
            with self._context.hold_lock():
                for api in self.apis:
                    api.load_seeds()

    @property
    def clock(self) -> Clock:
        return self._context.clock

    @property
    def journal(self) -> Journal:
        return self._context.journal

    @property
    def faults(self) -> Faults:
        return self._context.faults

    @property
    def switches(self) -> Switches:
        return self._context.switches

    @switches.setter
    def switches(self, switches: Switches) -> None:
        with self._context.hold_lock():
            self._context.switches = switches

    @property
    def spacing(self) -> float:
        return self._context.spacing

    @spacing.setter
    def spacing(self, seconds: float) -> None:
        self._context.spacing = seconds

    @property
    def credentials(self) -> dict[str, dict[str, str]]:
        """Fixed, and no secrets: they open nothing but this sandbox."""
        return {api.name: dict(api.credentials) for api in self.apis}

    def get_base_urls(self, url: str) -> dict[str, str]:
        """Each API's base url, for a sandbox that is served at `url`."""
        return {api.name: url.rstrip("/") + api.base_path for api in self.apis}

    def fill_demo(self) -> None:
        """The documents of twelve weeks, most of them finished; each further call adds a few that are not."""
        with self._context.hold_lock():
            for api in self.apis:
                api.fill_demo()

    def build_settings(self, url: str, apis: Collection[str] = ()) -> JsonObject:
        """Settings with which a connector reads all that is here, of all APIs or some; raises Unknown for other names.

        Those of some are for a client that does not know every API that is served.
        """
        unknown_names = set(apis) - {api.name for api in self.apis}
        if unknown_names:
            raise UnknownId(
                f"there is no api {min(unknown_names)}; there are: {', '.join(api.name for api in self.apis)}"
            )
        with self._context.hold_lock():
            urls = self.get_base_urls(url)
            return {
                api.name: {**api.credentials, "base_url": urls[api.name], **api.build_settings()}
                for api in self.apis
                if not apis or api.name in apis
            }
