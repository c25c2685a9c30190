"""The specs of the configured providers, and the wrapper format of each product."""

from __future__ import annotations

from collections.abc import Mapping

from .core.provider import ProviderSpec, Registry
from .core.wrappers import NO_WRAPPERS, WrapperFormat
from .providers.atlas.provider import build_atlas_spec
from .providers.atlas.reading import WRAPPER_FORMAT as ATLAS
from .providers.docmap.provider import build_docmap_spec
from .providers.extracta.provider import build_extracta_spec
from .providers.sensible.provider import build_sensible_spec
from .providers.sensible.reading import WRAPPER_FORMAT as SENSIBLE
from .settings import Settings

WRAPPER_FORMATS: Mapping[str, WrapperFormat] = {
    "extracta": NO_WRAPPERS,
    "extracta_classification": NO_WRAPPERS,
    "docmap": NO_WRAPPERS,
    "sensible": SENSIBLE,
    "atlas": ATLAS,
}
"""The format of each product's wrappers around extracted values, by stream prefix."""


def build_specs(settings: Settings, registry: Registry | None = None) -> list[ProviderSpec]:
    """Return the specs of the configured providers, in the order of the settings.

    Args:
        settings: the user's settings.
        registry: the batches of the batch registry; None where the settings have none. An empty registry still counts
            as one: a provider without batches of its own has streams because a registry may name some.
    """
    specs = []
    if settings.extracta:
        specs.append(build_extracta_spec(settings.extracta, registry))
    if settings.docmap:
        specs.append(build_docmap_spec(settings.docmap, registry))
    if settings.sensible:
        specs.append(build_sensible_spec(settings.sensible, registry))
    if settings.atlas:
        specs.append(build_atlas_spec(settings.atlas, registry))
    return specs
