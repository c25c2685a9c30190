"""Text for a terminal: names, ids and reasons are third-party text, and may hold escape sequences."""

from __future__ import annotations

from typing import TextIO

from .text import one_line


def printable(text: str) -> str:
    """Return text without control characters, escape sequences among them; its line ends stay."""
    return "".join(letter for letter in text if letter.isprintable() or letter == "\n")


def say(text: str, stream: TextIO) -> None:
    """Print one line without control characters, with `?` for what the terminal's encoding does not have."""
    encoding = stream.encoding or "utf-8"
    print(one_line(text).encode(encoding, "replace").decode(encoding), file=stream)
