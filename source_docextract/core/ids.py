"""Ids of rows: their parts, percent-encoded, and keys of files that are unique in their batch. Pure."""

from __future__ import annotations

from urllib.parse import unquote

_ESCAPE_TABLE = str.maketrans({"%": "%25", "/": "%2F", "~": "%7E", "#": "%23"})


def escape_id_part(part: str) -> str:
    """One part of an id, with the characters that join parts percent-encoded."""
    is_plain = "%" not in part and "/" not in part and "~" not in part and "#" not in part  # as most are
    return part if is_plain else part.translate(_ESCAPE_TABLE)


def unescape_id_part(part: str) -> str:
    return unquote(part)


class FileKeyAssigner:
    """Hands out the file keys of one answer: the n-th file (n > 1) with the same key gets `~n`."""

    def __init__(self) -> None:
        self._key_counts: dict[str, int] = {}

    def assign(self, file_id: str | None, file_name: str | None) -> str:
        base_key = escape_id_part(file_id or file_name or "unnamed")
        count = self._key_counts[base_key] = self._key_counts.get(base_key, 0) + 1
        return base_key if count == 1 else f"{base_key}~{count}"
