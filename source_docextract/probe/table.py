"""The probes of all providers, and all assumptions together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..config import Settings
from ..http import bearer
from ..providers import atlas_probe, extracta_probe
from ..providers.docmap import probe as docmap_probe
from ..providers.sensible import probe as sensible_probe
from .asking import SPACING, ProbeScript
from .assumptions import Assumption
from .findings import Findings


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
    script: Callable[[Any, Findings], ProbeScript]
    headers: Callable[[Any], Mapping[str, str]]
    spacing: Callable[[Any], float] = lambda _settings: SPACING


def _bearer(settings: Any) -> Mapping[str, str]:
    return bearer(settings.api_key.get_secret_value())


PROBES: Mapping[str, Probe] = {
    "extracta": Probe(
        "Extracta.ai",
        extracta_probe.ASSUMPTIONS,
        extracta_probe.extracta_probe,
        _bearer,
        lambda settings: float(settings.seconds_between_requests),
    ),
    "docmap": Probe("DocMap", docmap_probe.ASSUMPTIONS, docmap_probe.docmap_probe, _bearer),
    "sensible": Probe("Sensible", sensible_probe.ASSUMPTIONS, sensible_probe.sensible_probe, _bearer),
    "atlas": Probe("Atlas", atlas_probe.ASSUMPTIONS, atlas_probe.atlas_probe, lambda _settings: {}),
}
"""By the name of the provider's settings object."""

ASSUMPTIONS: tuple[Assumption, ...] = tuple(one for probe in PROBES.values() for one in probe.assumptions)
"""All of them, in the order of the report."""


def configured(settings: Settings) -> dict[str, Any]:
    """Return the settings of each provider that is set up, by its name."""
    return {name: section for name in PROBES if (section := getattr(settings, name))}
