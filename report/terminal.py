"""Text for a terminal: names, ids and reasons are third-party text, and may hold escape sequences."""

from __future__ import annotations

from typing import TextIO

from .text import to_one_line


def strip_control_characters(text: str) -> str:
    """Return text without control characters, escape sequences among them; its line ends stay."""
    return "".join(character for character in text if character.isprintable() or character == "\n")


def print_safely(text: str, stream: TextIO) -> None:
    """Print one line without control characters, with `?` for what the terminal's encoding does not have."""
    encoding = stream.encoding or "utf-8"
    print(to_one_line(text).encode(encoding, "replace").decode(encoding), file=stream)
