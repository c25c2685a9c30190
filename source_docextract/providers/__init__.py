"""One file per API: how to discover, ask and read it. Nothing else knows its JSON.

A provider does no I/O. What it wants to know it writes as a script: a generator that yields requests and is sent their
answers, so that the engine may run them side by side, space and retry them, and tests may play the provider.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..config import Settings
from ..fields import PLAIN, Notation
from ..registry import Registry
from .atlas import NOTATION as ATLAS
from .atlas import atlas
from .base import Plan
from .docmap import docmap
from .extracta import extracta
from .sensible import NOTATION as SENSIBLE
from .sensible import sensible

NOTATIONS: Mapping[str, Notation] = {
    "extracta": PLAIN,
    "extracta_classification": PLAIN,
    "docmap": PLAIN,
    "sensible": SENSIBLE,
    "atlas": ATLAS,
}
"""How each product writes down what it extracted, by what its streams begin with."""


def plans(settings: Settings, registry: Registry | None = None) -> list[Plan]:
    """What to do for each provider that is set up, in the order of the settings."""
    built = []
    if settings.extracta:
        built.append(extracta(settings.extracta, registry))
    if settings.docmap:
        built.append(docmap(settings.docmap, registry))
    if settings.sensible:
        built.append(sensible(settings.sensible, registry))
    if settings.atlas:
        built.append(atlas(settings.atlas, registry))
    return built
