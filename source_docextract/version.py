"""The version, in its one place. The image holds the sources, not the installed package, so it stands here."""

from __future__ import annotations

VERSION = "0.1.0"
