"""Switches from a probe's report, to imitate the probed account."""

from __future__ import annotations

import json
from pathlib import Path

from .switches import InvalidSwitch, Switches, apply_changes

_REPORT_MARKER = '{"docextract_probe"'


def load_probe_switches(report_path: str) -> Switches:
    """Return the switches of a report that `source-docextract probe` wrote.

    Raises:
        InvalidSwitch: The file cannot be read or is no such report; the message is meant for a person.
    """
    try:
        lines = Path(report_path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise InvalidSwitch(
            f"{report_path} cannot be read; name a report that `source-docextract probe` wrote"
        ) from None
    line = next((line for line in lines if line.startswith(_REPORT_MARKER)), None)
    try:
        changes = json.loads(line or "null")["switches"]
    except (ValueError, TypeError, KeyError):
        changes = None
    if not isinstance(changes, dict):
        raise InvalidSwitch(f"{report_path} is no report of a probe; name one that `source-docextract probe` wrote")
    return apply_changes(Switches(), changes)
