"""The specs of the configured providers, and the wrapper format of each product."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .core.products import PRODUCTS, PROVIDERS
from .core.provider import ProviderSpec, Registry
from .core.wrappers import NO_WRAPPERS, WrapperFormat
from .providers.atlas.provider import build_atlas_spec
from .providers.atlas.reading import WRAPPER_FORMAT as ATLAS
from .providers.docmap.provider import build_docmap_spec
from .providers.extracta.provider import build_extracta_spec
from .providers.sensible.provider import build_sensible_spec
from .providers.sensible.reading import WRAPPER_FORMAT as SENSIBLE
from .settings import Settings

_BUILDERS: Mapping[str, Callable[[Any, Registry | None], ProviderSpec]] = {
    "extracta": build_extracta_spec,
    "docmap": build_docmap_spec,
    "sensible": build_sensible_spec,
    "atlas": build_atlas_spec,
}

_WRAPPER_FORMATS_BY_PROVIDER: Mapping[str, WrapperFormat] = {
    "extracta": NO_WRAPPERS,
    "docmap": NO_WRAPPERS,
    "sensible": SENSIBLE,
    "atlas": ATLAS,
}

WRAPPER_FORMATS: Mapping[str, WrapperFormat] = {
    product.name: _WRAPPER_FORMATS_BY_PROVIDER[product.provider] for product in PRODUCTS
}
"""How each product wraps the values that it extracted, by product name."""


def build_specs(settings: Settings, registry: Registry | None = None) -> list[ProviderSpec]:
    """Return the specs of the configured providers, in the order of the settings.

    Args:
        settings: the user's settings.
        registry: the batches of the batch registry; None where the settings have none. An empty registry still counts
            as one: a provider without batches of its own has streams because a registry may name some.
    """
    sections = {provider: getattr(settings, provider) for provider in PROVIDERS}
    return [_BUILDERS[provider](section, registry) for provider, section in sections.items() if section]
