"""One line for a person at a terminal."""

from __future__ import annotations

from typing import TextIO

from .text import printable


def say(text: str, stream: TextIO) -> None:
    """Print one line without control characters, with `?` for what the terminal's encoding does not have."""
    encoding = stream.encoding or "utf-8"
    print(printable(text).encode(encoding, "replace").decode(encoding), file=stream)
