"""One batch as sheets: a row for each document, a column for each field, lists on sheets of their own. Pure."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from source_docextract.fields import VALUE, Notation
from source_docextract.model import Json, JsonObject

from .text import cut, utf16_length

Row = Mapping[str, Any]
Path = tuple[str, ...]
Cell = str | float | bool | None
Cells = Sequence[tuple[Path, Cell]]
"""Values with the names on the way to each. A path may occur more than once: no value replaces another one."""

Members = tuple[tuple[str, Json], ...]
"""The members of an object of which two may have one name, as two columns of a table may."""

FILE, NUMBER, ID, POSITION = "File", "Document", "Id", "Row"
"""The first columns of a sheet: file name, number of the document in that file, id of its result, place in a list."""

CONTENTS = "Sheets"
"""The first sheet: a link to each of the others."""

_DOCUMENT_COLUMNS = {"Confidence": "confidence", "Review": "review_status"}
_BATCH_COLUMNS = {
    "Name": "file_name",
    ID: "id",
    "File id": "file_id",
    "Status": "status",
    "Reason": "error",
    "Document type": "document_type",
    "Pages": "page_count",
}
_SHORT = 5
"""A list of no more plain values than this stays in the cell of its field."""
_LONGEST_NAME = 31  # UTF-16 units that Excel takes for the name of a sheet
_SHORTEST_KIND = 8  # UTF-16 units of a document type that still show which one it is


@dataclass(slots=True)
class Sheet:
    """A table with a head. Columns are in the order in which they were first seen.

    Attributes:
        kind: the type of its documents.
        path: the names on the way to the list that it holds; empty for the documents themselves.
        rows: cells by the title of their column; a missing cell is empty.
    """

    kind: str
    path: Path = ()
    columns: dict[str, None] = field(default_factory=dict)
    rows: list[dict[str, Cell]] = field(default_factory=list)
    _titles: dict[tuple[Path, int], str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.kind} {_title(self.path)}" if self.path else self.kind

    def add(self, begin: Mapping[str, Cell], cells: Cells = ()) -> None:
        """Add a row: its first columns by their titles, then the values of its fields."""
        self.columns.update(dict.fromkeys(begin))
        row = dict(begin)
        seen: Counter[Path] = Counter()
        for path, value in cells:
            row[self._column(path, seen[path])] = value
            seen[path] += 1
        self.rows.append(row)

    def _column(self, path: Path, occurrence: int) -> str:
        """Return the title of a field's column, the same one in each row.

        Two fields may have one title ("a / b" and "b" in "a"), and so may two columns of one table: a full stop tells
        the later one apart.
        """
        title = self._titles.get((path, occurrence))
        if title is None:
            title = _title(path)
            while title in self.columns:
                title += "."
            self._titles[path, occurrence] = title
            self.columns[title] = None
        return title


def sheets(files: Sequence[Row], results: Sequence[Row], notation: Notation) -> list[Sheet]:
    """Return the files with their statuses, then a sheet for each document type, each followed by its lists.

    Args:
        files, results: rows of these streams; `data` is parsed.
        notation: how the provider writes down what it extracted.
    """
    listing = Sheet("Files", columns=dict.fromkeys(_BATCH_COLUMNS))
    for file in files:
        listing.add({title: file[column] for title, column in _BATCH_COLUMNS.items()})
    found: dict[tuple[str, Path], Sheet] = {}
    for result in results:
        kind = result["document_type"] or result["template_name"] or "Documents"
        begin: dict[str, Cell] = {
            FILE: result["file_name"] or result["file_id"],
            NUMBER: result["document_index"] + 1,
            ID: result["id"],
        }
        spread = _Spread(notation)
        spread.into(result["data"], ())
        about = {title: result[column] for title, column in _DOCUMENT_COLUMNS.items()}
        found.setdefault((kind, ()), Sheet(kind)).add(begin | about, spread.cells)
        for path, rows in spread.lists.items():
            sheet = found.setdefault((kind, path), Sheet(kind, path))
            for position, cells in rows:
                sheet.add(begin | {POSITION: position}, cells)
    # Lists behind the documents they are in, whichever document was the first to have one.
    kinds = {kind: number for number, (kind, path) in enumerate(found) if not path}
    ordered = sorted(found, key=lambda key: kinds[key[0]])
    return [listing, *(found[key] for key in ordered)]


@dataclass(slots=True)
class _Spread:
    """The values of one document, laid out flat.

    Attributes:
        lists: rows by the names on the way to them, with their places: `2`, or `2.1` for the first in a second.
    """

    notation: Notation
    cells: list[tuple[Path, Cell]] = field(default_factory=list)
    lists: dict[Path, list[tuple[str, Cells]]] = field(default_factory=dict)
    _place: str = ""

    def into(self, value: Json | Members, path: Path) -> None:
        if isinstance(value, dict) and self.notation.wraps(value):
            self.into(value[VALUE], path)
            self._about([value], path)
        elif isinstance(value, dict):
            self._members(tuple(value.items()), path)
        elif isinstance(value, tuple):
            self._members(value, path)
        elif isinstance(value, list):
            plain = [self._plain(item) for item in value]
            if len(plain) > _SHORT or any(isinstance(item, (dict, list)) for item in plain):
                self._list(value, path)
            elif plain:
                self.cells.append((path, ", ".join(_text(item) for item in plain)))
                self._about(value, path)
        else:
            self.cells.append((path, value))

    def _members(self, members: Members, path: Path) -> None:
        is_whole = not path and not self._place
        for key, item in members:
            if is_whole and key in self.notation.aside:
                continue
            table = self._table(item)
            if table is None:
                self.into(item, (*path, key))
            else:
                self._list(table, path)

    def _about(self, values: Sequence[Json], path: Path) -> None:
        """Add what wrappers tell besides their values, in the order of the values: `$, €`."""
        about = [
            self.notation.about(value) if isinstance(value, dict) and self.notation.wraps(value) else None
            for value in values
        ]
        for name in ("unit", "signal"):
            told = [getattr(wrapper, name) if wrapper else None for wrapper in about]
            if any(told):
                self.cells.append(((*path, name), ", ".join(_text(text) for text in told)))

    def _plain(self, value: Json) -> Json:
        return value[VALUE] if isinstance(value, dict) and self.notation.wraps(value) else value

    def _table(self, value: Json) -> list[Members] | None:
        """Return the rows of a table that is written down column by column."""
        name, values = self.notation.column
        if not isinstance(value, list) or not value or not name:
            return None
        columns: list[JsonObject] = [
            column for column in value if isinstance(column, dict) and self.notation.is_column(column)
        ]
        if len(columns) < len(value):
            return None
        length = max(len(column[values]) for column in columns)
        return [
            tuple((column[name], column[values][number]) for column in columns if number < len(column[values]))
            for number in range(length)
        ]

    def _list(self, items: Sequence[Json | Members], path: Path) -> None:
        rows = self.lists.setdefault(path, [])
        for number, item in enumerate(items, start=1):
            place = f"{self._place}.{number}" if self._place else str(number)
            inner = _Spread(self.notation, _place=place)
            inner.into(item, ())
            rows.append((place, inner.cells))
            for below, more in inner.lists.items():
                self.lists.setdefault((*path, *below), []).extend(more)


def _title(path: Path) -> str:
    return " / ".join(path) or "Value"


def _text(value: Cell) -> str:
    return "" if value is None else str(value).upper() if isinstance(value, bool) else str(value)


def sheet_names(found: Sequence[Sheet]) -> Iterator[str]:
    """Yield names that Excel takes for sheets: at most 31 UTF-16 units, none of `[]:*?/\\`, no two the same.

    Where there is no room for both, the document type is shortened, not the name of the list's field: a large batch has
    hundreds of lists and few types.
    """
    seen: set[str] = set()
    numbers: Counter[str] = Counter()
    for sheet in found:
        kind, path = _allowed(sheet.kind), [allowed for part in sheet.path if (allowed := _allowed(part))]
        name = first = _fitted(kind, path, _LONGEST_NAME)
        while _folded(name) in seen or _folded(name) == "history":  # which Excel keeps for itself
            numbers[first] += 1
            suffix = f" {numbers[first] + 1}"
            name = _fitted(kind, path, _LONGEST_NAME - len(suffix)) + suffix
        seen.add(_folded(name))
        yield name


def _fitted(kind: str, path: Sequence[str], room: int) -> str:
    if not path:
        return cut(kind, room) or "Sheet"
    # Of a list in a list, the names that come last say most.
    tails = [" ".join(path[start:]) for start in range(len(path))]
    beside = min(_SHORTEST_KIND, utf16_length(kind)) + 1
    tail = next((tail for tail in tails if utf16_length(tail) + beside <= room), tails[-1])
    left = room - utf16_length(tail) - 1
    shown = cut(kind, left) if left > 2 else ""
    return cut(f"{shown} {tail}" if shown else tail, room).strip(" '") or "Sheet"


def _allowed(name: str) -> str:
    letters = (
        " " if letter in "[]:*?/\\" or letter.isspace() else letter if letter.isprintable() else "" for letter in name
    )
    return " ".join("".join(letters).split()).strip(" '")


def _folded(name: str) -> str:
    """Return the name as Excel compares it: without regard to case."""
    return unicodedata.normalize("NFKC", name.lower()).casefold()
