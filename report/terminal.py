"""Output to a terminal of third-party text, which may hold escape sequences."""

from __future__ import annotations

from typing import TextIO

from .text import to_one_line


def strip_control_characters(text: str) -> str:
    """Return text without control characters, but with its line ends."""
    return "".join(character for character in text if character.isprintable() or character == "\n")


def print_safely(text: str, stream: TextIO) -> None:
    """Print one line, without characters that the terminal would run or cannot show."""
    encoding = stream.encoding or "utf-8"
    print(to_one_line(text).encode(encoding, "replace").decode(encoding), file=stream)
