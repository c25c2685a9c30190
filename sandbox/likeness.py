"""Switches out of the report of a probe, so that a sandbox behaves like the account that was probed."""

from __future__ import annotations

import json
from pathlib import Path

from .switches import BadSwitch, Switches, changed

_MARK = '{"docextract_probe"'


def like(file: str) -> Switches:
    """Return the switches of a report that `source-docextract probe` wrote.

    Raises:
        BadSwitch: where the file is none, in words meant for a person.
    """
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise BadSwitch(f"{file} cannot be read; name a report that `source-docextract probe` wrote") from None
    line = next((line for line in lines if line.startswith(_MARK)), None)
    try:
        found = json.loads(line or "null")["switches"]
    except (ValueError, TypeError, KeyError):
        found = None
    if not isinstance(found, dict):
        raise BadSwitch(f"{file} is no report of a probe; name one that `source-docextract probe` wrote")
    return changed(Switches(), found)
