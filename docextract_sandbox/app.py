"""The whole sandbox: its worlds, switches, journal, faults and web application."""

from collections.abc import Collection
from functools import cached_property
from typing import Any

from starlette.applications import Starlette

from .api import Api
from .atlas import AtlasApi
from .clock import Clock
from .context import SandboxContext, UnknownId
from .control import list_control_endpoints
from .docmap import DocMapApi
from .extracta import ExtractaApi
from .faults import Faults
from .in_process import InProcessEntrance
from .journal import Journal
from .sensible import SensibleApi
from .switches import Switches
from .web import build_application


class Sandbox:
    """Document-extraction APIs that share one clock.

    Two sandboxes with the same `random_seed`, clock and calls hold the same documents.

    Attributes:
        apis: Every API, in the order of the settings.
        extracta: World of Extracta's data extraction.
        classification: World of Extracta's document classification.
        atlas: World of Atlas.
        docmap: World of DocMap.
        sensible: World of Sensible.
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
        """Create the APIs and load the examples of their documentation.

        Args:
            clock: The sandbox's clock; None starts a clock at the present time.
            switches: Variants of undocumented behaviour; None takes the defaults.
            spacing: Least real seconds between two requests to each of Extracta's result endpoints.
            seeds: Whether to load the examples of the documentation; False leaves the worlds empty.
            random_seed: Seed of every random generator of the sandbox.
            latency: Real seconds that each API response is delayed.
        """
        self._context = SandboxContext(clock or Clock(), switches or Switches(), spacing, random_seed)
        extracta, atlas = ExtractaApi(self._context), AtlasApi(self._context)
        docmap, sensible = DocMapApi(self._context), SensibleApi(self._context)
        self.apis: tuple[Api, ...] = (extracta, atlas, docmap, sensible)
        self.extracta = extracta.extraction
        self.classification = extracta.classification
        self.atlas = atlas.world
        self.docmap = docmap.world
        self.sensible = sensible.world
        # The switch `other_account` answers from these: valid credentials of an account without documents.
        self._empty_apis: tuple[Api, ...] = (
            ExtractaApi(self._context), AtlasApi(self._context), DocMapApi(self._context), SensibleApi(self._context)
        )  # fmt: skip
        self._latency = latency
        if seeds:
            with self._context.hold_lock():
                for api in self.apis:
                    api.load_seeds()

    @cached_property
    def application(self) -> Starlette:
        """Return the ASGI application that serves all APIs and the control endpoints."""
        return build_application(
            self._context, self.apis, self._empty_apis, list_control_endpoints(self), self._latency
        )

    @cached_property
    def entrance(self) -> InProcessEntrance:
        """Return the entrance for clients in the same process."""
        return InProcessEntrance(self._context, self.apis, self._empty_apis)

    @property
    def clock(self) -> Clock:
        """Return the clock that all APIs share."""
        return self._context.clock

    @property
    def journal(self) -> Journal:
        """Return the journal of API requests."""
        return self._context.journal

    @property
    def faults(self) -> Faults:
        """Return the active faults."""
        return self._context.faults

    @property
    def switches(self) -> Switches:
        """Return the current switches; assign to replace them."""
        return self._context.switches

    @switches.setter
    def switches(self, switches: Switches) -> None:
        with self._context.hold_lock():
            self._context.switches = switches

    @property
    def spacing(self) -> float:
        """Return the least seconds between requests to one result endpoint of Extracta."""
        return self._context.spacing

    @spacing.setter
    def spacing(self, seconds: float) -> None:
        self._context.spacing = seconds

    @property
    def credentials(self) -> dict[str, dict[str, str]]:
        """Return each API's fixed credentials; they are valid for this sandbox only."""
        return {api.name: dict(api.credentials) for api in self.apis}

    def get_base_urls(self, url: str) -> dict[str, str]:
        """Return each API's base URL, for a sandbox that is served at `url`."""
        return {api.name: url.rstrip("/") + api.base_path for api in self.apis}

    def fill_demo(self) -> None:
        """Add twelve weeks of mostly finished documents.

        Later calls add a few pending ones.
        """
        with self._context.hold_lock():
            for api in self.apis:
                api.fill_demo()

    def build_settings(self, url: str, apis: Collection[str] = ()) -> dict[str, Any]:
        """Return connector settings that read every document of the sandbox.

        Args:
            url: Address at which the sandbox is served.
            apis: Names of the APIs to include, for a client that does not know every API; empty includes all.

        Raises:
            UnknownId: `apis` holds a name that is no API.
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
