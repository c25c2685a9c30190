"""Third-party text made safe for terminals, labels and length limits."""

from __future__ import annotations

import unicodedata

_REPLACEMENT = "\ufffd"


def to_one_line(text: str) -> str:
    """Return the text as one line without control and invisible characters.

    Names of files, types and templates come from third parties. A terminal runs an escape sequence, and Vega's
    expressions end at a line separator (U+2028), so neither may reach them.
    """
    # Tables print each name on one line: U+2028, U+0085 and the like count as white space here.
    normalized_text = " ".join(text.split())
    return "".join(character for character in normalized_text if character.isprintable())


def count_utf16_units(text: str) -> int:
    """Return the length in UTF-16 units, which Excel counts: 2 for an emoji."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def truncate(text: str, max_units: int) -> str:
    """Return at most `max_units` UTF-16 units, with an ellipsis if the text is cut."""
    if count_utf16_units(text) <= max_units:
        return text
    units = text.encode("utf-16-le", "surrogatepass")[: 2 * (max_units - 1)]
    # Half a surrogate pair at the end is dropped, since it cannot be written to a file.
    return units.decode("utf-16-le", "ignore") + "…" if max_units > 0 else ""


def replace_lone_surrogates(text: str) -> str:
    """Return the text with U+FFFD for lone surrogates, which UTF-8 cannot hold."""
    if text.isascii():
        return text
    return "".join(_REPLACEMENT if unicodedata.category(character) == "Cs" else character for character in text)
