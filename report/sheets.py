"""One batch as sheets: a row for each document, a column for each field, lists on sheets of their own. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from source_docextract.fields import VALUE, Notation
from source_docextract.model import Json

Row = Mapping[str, Any]
Path = tuple[str, ...]
Cell = str | float | bool | None

FILE, NUMBER, POSITION = "File", "Document", "Row"
"""What each row of a sheet begins with: the file's name, the n-th document in that file, and the place in a list."""

_DOCUMENT_COLUMNS = {"Confidence": "confidence", "Review": "review_status"}
_BATCH_COLUMNS = {
    "Name": "file_name",
    "Id": "file_id",
    "Status": "status",
    "Reason": "error",
    "Document type": "document_type",
    "Pages": "page_count",
}
_SHORT = 5
"""A list of no more plain values than this stays in the cell of its field."""


@dataclass(slots=True)
class Sheet:
    """A table with a head. Columns are in the order in which they were first seen.

    Attributes:
        rows: cells by the name of their column; what is missing is empty.
    """

    name: str
    columns: dict[str, None] = field(default_factory=dict)
    rows: list[dict[str, Cell]] = field(default_factory=list)

    def add(self, row: Mapping[str, Cell]) -> None:
        self.columns.update(dict.fromkeys(row))
        self.rows.append(dict(row))


def sheets(files: Sequence[Row], results: Sequence[Row], notation: Notation) -> list[Sheet]:
    """The files with what became of them, then the documents: a sheet for each type, each followed by its lists.

    Args:
        files, results: rows of these streams; `data` is parsed.
        notation: how the provider writes down what it extracted.
    """
    listing = Sheet("Files", dict.fromkeys(_BATCH_COLUMNS))
    for one in files:
        listing.add({title: one[column] for title, column in _BATCH_COLUMNS.items()})
    found: dict[tuple[str, Path], Sheet] = {}
    for result in results:
        kind = result["document_type"] or result["template_name"] or "Documents"
        begin: dict[str, Cell] = {FILE: result["file_name"] or result["file_id"], NUMBER: result["document_index"] + 1}
        document = begin | {title: result[column] for title, column in _DOCUMENT_COLUMNS.items()}
        spread = _Spread(notation)
        spread.into(result["data"], ())
        found.setdefault((kind, ()), Sheet(kind)).add(document | _titled(spread.cells, document))
        for path, rows in spread.lists.items():
            sheet = found.setdefault((kind, path), Sheet(f"{kind} {_title(path)}"))
            for position, cells in rows:
                row = begin | {POSITION: position}
                sheet.add(row | _titled(cells, row))
    # Lists behind the documents they are in, whichever document was the first to have one.
    kinds = {kind: number for number, (kind, path) in enumerate(found) if not path}
    ordered = sorted(found, key=lambda key: kinds[key[0]])
    return [listing, *(found[key] for key in ordered)]


@dataclass(slots=True)
class _Spread:
    """The values of one document, laid out flat.

    Attributes:
        cells: by the names on the way to them.
        lists: by the names on the way to them, rows with their places: `2`, or `2.1` for the first in a second.
    """

    notation: Notation
    cells: dict[Path, Cell] = field(default_factory=dict)
    lists: dict[Path, list[tuple[str, dict[Path, Cell]]]] = field(default_factory=dict)
    _place: str = ""

    def into(self, value: Json, path: Path) -> None:
        if isinstance(value, dict) and self.notation.wraps(value):
            self.into(value[VALUE], path)
            unit = self.notation.about(value).unit
            if unit:
                self.cells[(*path, "unit")] = unit
        elif isinstance(value, dict):
            for key, item in value.items():
                if key in self.notation.aside and not path:
                    continue
                columns = self._table(item)
                if columns is None:
                    self.into(item, (*path, key))
                else:
                    self._list(columns, path)
        elif isinstance(value, list):
            plain = [self._plain(item) for item in value]
            if len(plain) > _SHORT or any(isinstance(item, (dict, list)) for item in plain):
                self._list(value, path)
            elif plain:
                self.cells[path] = ", ".join(_text(item) for item in plain)
        else:
            self.cells[path] = value

    def _plain(self, value: Json) -> Json:
        return value[VALUE] if isinstance(value, dict) and self.notation.wraps(value) else value

    def _table(self, value: Json) -> list[dict[str, Json]] | None:
        """The rows of a table that is written down column by column."""
        name, values = self.notation.column
        if not isinstance(value, list) or not value or not name:
            return None
        if not all(isinstance(column, dict) and self.notation.is_column(column) for column in value):
            return None
        length = max(len(column[values]) for column in value)
        return [
            {column[name]: column[values][number] for column in value if number < len(column[values])}
            for number in range(length)
        ]

    def _list(self, items: Sequence[Json], path: Path) -> None:
        rows = self.lists.setdefault(path, [])
        for number, item in enumerate(items, start=1):
            place = f"{self._place}.{number}" if self._place else str(number)
            inner = _Spread(self.notation, _place=place)
            inner.into(item, ())
            rows.append((place, inner.cells))
            for below, more in inner.lists.items():
                self.lists.setdefault((*path, *below), []).extend(more)


def _titled(cells: Mapping[Path, Cell], taken: Mapping[str, Any]) -> dict[str, Cell]:
    """Fields under their names. One that is called as another column is told apart by a full stop."""
    titled: dict[str, Cell] = {}
    for path, value in cells.items():
        title = _title(path)
        while title in taken or title in titled:
            title += "."
        titled[title] = value
    return titled


def _title(path: Path) -> str:
    return " / ".join(path) or "Value"


def _text(value: Cell) -> str:
    return "" if value is None else str(value).upper() if isinstance(value, bool) else str(value)


def named_apart(names: Sequence[str]) -> Iterator[str]:
    """Names that Excel takes for sheets: at most 31 characters, none of `[]:*?/\\`, all different in small letters."""
    seen: set[str] = set()
    for name in names:
        plain = "".join(" " if letter in "[]:*?/\\" or not letter.isprintable() else letter for letter in name)
        plain = " ".join(plain.split()).strip("'")[:31].strip(" '") or "Sheet"
        number, unique = 1, plain
        while unique.lower() in seen or unique.lower() == "history":
            number += 1
            unique = f"{plain[: 31 - len(str(number)) - 1]} {number}"
        seen.add(unique.lower())
        yield unique
