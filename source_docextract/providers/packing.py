"""Compact storage of listed rows, for DocMap and Sensible. No I/O."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial

import orjson

from ..core.json_types import Json
from ..core.model import PartitionRef
from .parsing import parse_each

_FASTEST = 1
"""The level of compression; a higher one saves little more memory, and takes more time for each row."""


class PackedPage:
    """The rows of one response, held as compressed JSON.

    The rows of a day and of the next one are in memory together. As Python objects, each would take several times the
    memory of its text, and rows of one list have most of their text in common.
    """

    __slots__ = ("_compressed_lines", "_lines")

    def __init__(self) -> None:
        """Start without rows."""
        self._lines: list[bytes] = []
        self._compressed_lines = b""

    def add(self, row: Mapping[str, Json]) -> PackedRow:
        """Add a row; `parse_json` lets through only values that come back as they are."""
        self._lines.append(orjson.dumps(row))
        return PackedRow(self, len(self._lines) - 1)

    def compress(self) -> None:
        """Compress all rows together; none can be added afterwards."""
        self._compressed_lines = zlib.compress(b"\n".join(self._lines), _FASTEST)
        self._lines = []

    @property
    def byte_count(self) -> int:
        """Return the bytes that the compressed rows take."""
        return len(self._compressed_lines)

    def get_line(self, index: int) -> bytes:
        """Return the JSON of a row; the page has to be compressed."""
        return _decompress_lines(self._compressed_lines)[index]


# The rows of a page follow each other when they are delivered, so that one page is enough.
@lru_cache(maxsize=1)
def _decompress_lines(compressed_lines: bytes) -> list[bytes]:
    return zlib.decompress(compressed_lines).split(b"\n")


class PackedRow(Mapping[str, Json]):
    """A row of a packed page."""

    __slots__ = ("_index", "_page")

    def __init__(self, page: PackedPage, index: int) -> None:
        """Refer to a row by its position in the page."""
        self._page = page
        self._index = index

    def unpack(self) -> dict[str, Json]:
        """Return the row as sent."""
        row: dict[str, Json] = orjson.loads(self._page.get_line(self._index))
        return row

    def __getitem__(self, key: str) -> Json:
        return self.unpack()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.unpack())

    def __bool__(self) -> bool:
        return True  # a row without an id has no reference; the length would parse it

    def __len__(self) -> int:
        return len(self.unpack())

    def __repr__(self) -> str:
        return repr(self.unpack())


def parse_and_pack(rows: Sequence[Json], parse_ref: Callable[..., PartitionRef]) -> list[PartitionRef]:
    """Return references to the rows of one response, which they hold packed.

    Args:
        rows: The rows as sent. Unreadable ones are left out.
        parse_ref: Returns the reference of a row, given the row and the keyword `page` to pack it into.
    """
    page = PackedPage()
    refs = parse_each(rows, partial(parse_ref, page=page))
    page.compress()
    return refs
