"""Ids of rows: percent-encoded parts, and unique keys of files. Pure."""

from __future__ import annotations

from urllib.parse import unquote

_ESCAPE_TABLE = str.maketrans({"%": "%25", "/": "%2F", "~": "%7E", "#": "%23"})


def escape_id_part(part: str) -> str:
    """Return one part of an id, with `%`, `/`, `~` and `#` percent-encoded.

    `/`, `~` and `#` join the parts of ids, so an id that holds one of them could otherwise equal another row's id.
    """
    # Runs for each row: most parts need no encoding, and four searches are cheaper than `translate`.
    is_plain = "%" not in part and "/" not in part and "~" not in part and "#" not in part
    return part if is_plain else part.translate(_ESCAPE_TABLE)


def unescape_id_part(part: str) -> str:
    """Return the text that `escape_id_part` encoded."""
    return unquote(part)


class FileKeyAssigner:
    """The assigner of the file keys of one response.

    The n-th file (n > 1) with the same key gets the suffix `~n`.

    A page of Extracta's documentation shows two files with one `fileId`, and neither row may overwrite the other.
    """

    def __init__(self) -> None:
        self._key_counts: dict[str, int] = {}

    def assign(self, file_id: str | None, file_name: str | None) -> str:
        """Return the key of the next file: its id, else its name, escaped.

        Files have to be passed in the order of the response.
        """
        # Extracta documents files without a `fileId`. Their name is the key, and the column `file_id` stays null.
        base_key = escape_id_part(file_id or file_name or "unnamed")
        count = self._key_counts[base_key] = self._key_counts.get(base_key, 0) + 1
        # An escaped name holds no `~`, so a numbered key never equals the key of another file.
        return base_key if count == 1 else f"{base_key}~{count}"
