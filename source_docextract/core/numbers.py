"""Numbers that providers send as text. Pure."""

from __future__ import annotations

import re
from math import inf, isfinite

from .json_types import Json

NUMBER_TEXT = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)


def parse_confidence(value: Json) -> float | None:
    """Return how sure a provider is; also where the number was sent as text. Of "98%" it is not certain."""
    if isinstance(value, str):
        number = float(value) if NUMBER_TEXT.fullmatch(value) else inf
        return number if isfinite(number) else None
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
