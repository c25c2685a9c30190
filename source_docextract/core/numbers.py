"""Numbers that providers send as text. Pure."""

from __future__ import annotations

import re
from math import inf, isfinite

from .json_types import Json

NUMBER_TEXT = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
"""A decimal number as text. `float` would also accept `nan`, `inf`, blanks and underscores."""


def parse_confidence(value: Json) -> float | None:
    """Return a confidence that was sent as a number or as its text, else None.

    "98%" gives None: it is not certain whether it means 98 or 0.98, and no value is guessed.
    """
    if type(value) is float or type(value) is int:  # nearly always; a bool, which is an `int` as well, is none
        return value
    if isinstance(value, str):
        # 1e999 fits the pattern and becomes infinity, which was not sent and which JSON cannot hold.
        number = float(value) if NUMBER_TEXT.fullmatch(value) else inf
        return number if isfinite(number) else None
    return None
