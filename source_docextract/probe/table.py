"""The probes of all providers, and all assumptions together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.probing.assumptions import Assumption, ProbeFlow
from ..core.probing.findings import Findings
from ..core.requests import build_bearer_headers
from ..providers.atlas import probe as atlas_probe
from ..providers.docmap import probe as docmap_probe
from ..providers.extracta import probe as extracta_probe
from ..providers.sensible import probe as sensible_probe
from ..settings import Settings
from .asking import DEFAULT_SPACING


@dataclass(frozen=True, slots=True)
class Probe:
    """How to probe one provider.

    Attributes:
        name: the provider as a user knows it.
        script: what to ask, and what the answers show.
        spacing: seconds between requests, out of the provider's settings.
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
        lambda settings: float(settings.seconds_between_requests),
    ),
    "docmap": Probe("DocMap", docmap_probe.ASSUMPTIONS, docmap_probe.probe_docmap, _build_bearer_headers),
    "sensible": Probe("Sensible", sensible_probe.ASSUMPTIONS, sensible_probe.probe_sensible, _build_bearer_headers),
    "atlas": Probe("Atlas", atlas_probe.ASSUMPTIONS, atlas_probe.probe_atlas, lambda _settings: {}),
}
"""By the name of the provider's settings object."""

ASSUMPTIONS: tuple[Assumption, ...] = tuple(assumption for probe in PROBES.values() for assumption in probe.assumptions)
"""All of them, in the order of the report."""


def get_configured_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings of each provider that is set up, by its name."""
    return {name: provider_settings for name in PROBES if (provider_settings := getattr(settings, name))}
