"""The table of all probes, and the assumptions about all providers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from ..core.probing.assumptions import Assumption, ProbeFlow
from ..core.probing.findings import Findings
from ..core.requests import build_bearer_headers
from ..providers.atlas import probe as atlas_probe
from ..providers.docmap import probe as docmap_probe
from ..providers.extracta import probe as extracta_probe
from ..providers.sensible import probe as sensible_probe
from ..settings import Settings
from .client import DEFAULT_SPACING


@dataclass(frozen=True, slots=True)
class Probe:
    """The description of a probe of one provider.

    Attributes:
        name: the provider's product name, such as "Extracta.ai".
        assumptions: the assumptions about the provider.
        build_flow: returns the generator that yields the requests and adds to the findings, for the settings.
        build_headers: returns the headers of all requests, for the settings.
        get_spacing: returns the seconds between two requests, for the settings.
    """

    name: str
    assumptions: tuple[Assumption, ...]
    build_flow: Callable[[Any, Findings], ProbeFlow]
    build_headers: Callable[[Any], Mapping[str, str]]
    get_spacing: Callable[[Any], float] = lambda _settings: DEFAULT_SPACING


def _build_bearer_headers(settings: Any) -> Mapping[str, str]:
    return build_bearer_headers(settings.api_key.get_secret_value())


PROBES: Mapping[str, Probe] = {
    "extracta": Probe(
        "Extracta.ai",
        extracta_probe.ASSUMPTIONS,
        extracta_probe.probe_extracta,
        _build_bearer_headers,
        # Extracta.ai asks for 2 seconds between requests, so the probe keeps the interval of a sync.
        lambda settings: float(settings.seconds_between_requests),
    ),
    "docmap": Probe("DocMap", docmap_probe.ASSUMPTIONS, docmap_probe.probe_docmap, _build_bearer_headers),
    "sensible": Probe("Sensible", sensible_probe.ASSUMPTIONS, sensible_probe.probe_sensible, _build_bearer_headers),
    # Atlas's key travels in the login request alone, so its requests have no headers in common.
    "atlas": Probe("Atlas", atlas_probe.ASSUMPTIONS, atlas_probe.probe_atlas, lambda _settings: {}),
}
"""The probe of each provider, by the name of the provider's settings."""

ASSUMPTIONS: tuple[Assumption, ...] = tuple(chain.from_iterable(probe.assumptions for probe in PROBES.values()))
"""All assumptions, in the order of the report."""


def get_configured_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings of each provider that is set up, by the provider's name."""
    settings_by_name = {name: getattr(settings, name) for name in PROBES}
    return {name: provider_settings for name, provider_settings in settings_by_name.items() if provider_settings}
