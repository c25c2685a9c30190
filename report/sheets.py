"""Sheets of one batch: a row per document, a column per field."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from source_docextract.core.json_types import Json, JsonObject
from source_docextract.core.wrappers import VALUE_KEY, ValueMeta, WrapperFormat

from .text import count_utf16_units, truncate

Row = Mapping[str, Any]
FieldPath = tuple[str, ...]
Cell = str | float | bool | None
CellValues = Sequence[tuple[FieldPath, Cell]]
"""Values with the path of names to each. A path may occur more than once; no value replaces another one."""

ObjectMembers = tuple[tuple[str, Json], ...]
"""The members of an object in which names may repeat, as the columns of a provider's table may."""

FILE_COLUMN, NUMBER_COLUMN, ID_COLUMN, POSITION_COLUMN = "File", "Document", "Id", "Row"
"""Titles of a sheet's first columns: file name, number of the document in the file, id of the result, list position."""

CONTENTS_SHEET = "Sheets"
"""Name of the first sheet, which holds a hyperlink to each of the others."""

_DOCUMENT_COLUMNS = {"Confidence": "confidence", "Review": "review_status"}
_BATCH_COLUMNS = {
    "Name": "file_name",
    ID_COLUMN: "id",
    "File id": "file_id",
    "Status": "status",
    "Reason": "error",
    "Document type": "document_type",
    "Pages": "page_count",
}
_MAX_INLINE_ITEMS = 5
"""Longest list of plain values that stays in the cell of its field."""
_MAX_NAME_UNITS = 31  # UTF-16 units of a sheet's name, Excel's limit
_MIN_KIND_UNITS = 8  # UTF-16 units by which a shortened document type is still recognizable


@dataclass(slots=True)
class Sheet:
    """A table with a header row.

    Attributes:
        document_type: Type of its documents.
        path: Path of names to the list that it holds; empty for the documents themselves.
        columns: Titles of the columns, in the order of their first cell.
        rows: Cells by the titles of their columns; a missing cell is empty.
    """

    document_type: str
    path: FieldPath = ()
    columns: dict[str, None] = field(default_factory=dict)
    rows: list[dict[str, Cell]] = field(default_factory=list)
    _titles: dict[tuple[FieldPath, int], str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return the full name of the sheet, which may be too long for Excel."""
        return f"{self.document_type} {_make_title(self.path)}" if self.path else self.document_type

    def add_row(self, leading_cells: Mapping[str, Cell], cells: CellValues = ()) -> None:
        """Add a row: its first columns by their titles, then the values of its fields."""
        self.columns.update(dict.fromkeys(leading_cells))
        row = dict(leading_cells)
        path_counts: Counter[FieldPath] = Counter()
        for path, value in cells:
            row[self._get_column_title(path, path_counts[path])] = value
            path_counts[path] += 1
        self.rows.append(row)

    def _get_column_title(self, path: FieldPath, occurrence: int) -> str:
        """Return the title of a field's column, the same one in each row.

        Two fields may have one title ("a / b" and "b" in "a"), and so may two columns of one table: a full stop is
        added to the later title.
        """
        title = self._titles.get((path, occurrence))
        if title is None:
            title = _make_title(path)
            while title in self.columns:
                title += "."
            self._titles[path, occurrence] = title
            self.columns[title] = None
        return title


def make_sheets(files: Sequence[Row], results: Sequence[Row], wrapper_format: WrapperFormat) -> list[Sheet]:
    """Return the sheet of files, then one for each document type and each list.

    Args:
        files: Rows of the files stream.
        results: Rows of the results stream, with `data` parsed.
        wrapper_format: The provider's format of extracted values.
    """
    files_sheet = Sheet("Files", columns=dict.fromkeys(_BATCH_COLUMNS))
    for file in files:
        files_sheet.add_row({title: file[column] for title, column in _BATCH_COLUMNS.items()})
    sheets_by_key: dict[tuple[str, FieldPath], Sheet] = {}
    for result in results:
        document_type = result["document_type"] or result["template_name"] or "Documents"
        leading_cells: dict[str, Cell] = {
            FILE_COLUMN: result["file_name"] or result["file_id"],
            NUMBER_COLUMN: result["document_index"] + 1,
            ID_COLUMN: result["id"],
        }
        flattener = _DocumentFlattener(wrapper_format)
        flattener.flatten(result["data"], ())
        result_cells = {title: result[column] for title, column in _DOCUMENT_COLUMNS.items()}
        sheets_by_key.setdefault((document_type, ()), Sheet(document_type)).add_row(
            leading_cells | result_cells, flattener.cells
        )
        for path, rows in flattener.list_rows.items():
            sheet = sheets_by_key.setdefault((document_type, path), Sheet(document_type, path))
            for position, cells in rows:
                sheet.add_row(leading_cells | {POSITION_COLUMN: position}, cells)
    # A later document may be the first with a list: put each list behind its type, not where it was first seen.
    type_order = {document_type: number for number, (document_type, path) in enumerate(sheets_by_key) if not path}
    sorted_keys = sorted(sheets_by_key, key=lambda key: type_order[key[0]])
    return [files_sheet, *(sheets_by_key[key] for key in sorted_keys)]


@dataclass(slots=True)
class _DocumentFlattener:
    """The cells and the list rows of one document.

    Attributes:
        wrapper_format: The provider's format of extracted values.
        cells: Values outside lists, by path.
        list_rows: Rows by the path of their list, with row numbers: `2`, or `2.1` for the first row inside it.
    """

    wrapper_format: WrapperFormat
    cells: list[tuple[FieldPath, Cell]] = field(default_factory=list)
    list_rows: dict[FieldPath, list[tuple[str, CellValues]]] = field(default_factory=dict)
    _row_number: str = ""

    def flatten(self, value: Json | ObjectMembers, path: FieldPath) -> None:
        if isinstance(value, dict) and self.wrapper_format.is_wrapper(value):
            self.flatten(value[VALUE_KEY], path)
            self._add_value_meta([value], path)
        elif isinstance(value, dict):
            self._flatten_members(tuple(value.items()), path)
        elif isinstance(value, tuple):
            self._flatten_members(value, path)
        elif isinstance(value, list):
            unwrapped_items = [self._unwrap(item) for item in value]
            if len(unwrapped_items) > _MAX_INLINE_ITEMS or any(
                isinstance(item, (dict, list)) for item in unwrapped_items
            ):
                self._flatten_list(value, path)
            elif unwrapped_items:
                self.cells.append((path, ", ".join(_format_cell(item) for item in unwrapped_items)))
                self._add_value_meta(value, path)
        else:
            self.cells.append((path, value))

    def _flatten_members(self, members: ObjectMembers, path: FieldPath) -> None:
        is_root = not path and not self._row_number
        for key, item in members:
            if is_root and key in self.wrapper_format.ignored_keys:
                continue
            table = self._transpose_columns(item)
            if table is None:
                self.flatten(item, (*path, key))
            else:
                self._flatten_list(table, path)

    def _add_value_meta(self, values: Sequence[Json], path: FieldPath) -> None:
        """Add the units and confidence signals of wrappers, such as `$, €`."""
        value_metas = [self._read_meta(value) for value in values]
        for meta_name in ("unit", "signal"):
            meta_values = [getattr(value_meta, meta_name) if value_meta else None for value_meta in value_metas]
            if any(meta_values):
                cell = ", ".join(_format_cell(meta_value) for meta_value in meta_values)
                self.cells.append(((*path, meta_name), cell))

    def _read_meta(self, value: Json) -> ValueMeta | None:
        is_wrapper = isinstance(value, dict) and self.wrapper_format.is_wrapper(value)
        return self.wrapper_format.read_meta(value) if is_wrapper else None

    def _unwrap(self, value: Json) -> Json:
        return value[VALUE_KEY] if isinstance(value, dict) and self.wrapper_format.is_wrapper(value) else value

    def _transpose_columns(self, value: Json) -> list[ObjectMembers] | None:
        """Return the rows of a table that the provider returns column by column.

        None for any other value.
        """
        name_key, values_key = self.wrapper_format.column_keys
        if not isinstance(value, list) or not value or not name_key:
            return None
        columns: list[JsonObject] = [
            column for column in value if isinstance(column, dict) and self.wrapper_format.is_table_column(column)
        ]
        if len(columns) < len(value):
            return None
        row_count = max(len(column[values_key]) for column in columns)
        rows: list[ObjectMembers] = []
        for number in range(row_count):
            filled_columns = [column for column in columns if number < len(column[values_key])]
            rows.append(tuple((column[name_key], column[values_key][number]) for column in filled_columns))
        return rows

    def _flatten_list(self, items: Sequence[Json | ObjectMembers], path: FieldPath) -> None:
        rows = self.list_rows.setdefault(path, [])
        for number, item in enumerate(items, start=1):
            row_number = f"{self._row_number}.{number}" if self._row_number else str(number)
            item_flattener = _DocumentFlattener(self.wrapper_format, _row_number=row_number)
            item_flattener.flatten(item, ())
            rows.append((row_number, item_flattener.cells))
            for sub_path, sub_rows in item_flattener.list_rows.items():
                self.list_rows.setdefault((*path, *sub_path), []).extend(sub_rows)


def _make_title(path: FieldPath) -> str:
    return " / ".join(path) or "Value"


def _format_cell(value: Cell) -> str:
    if value is None:
        return ""
    return str(value).upper() if isinstance(value, bool) else str(value)


def build_sheet_names(sheets: Sequence[Sheet]) -> Iterator[str]:
    r"""Yield unique sheet names that Excel accepts: 31 UTF-16 units, no `[]:*?/\`.

    The document type is shortened before the name of the list's field, since a large batch has hundreds of lists
    and few types.
    """
    used_names: set[str] = set()
    name_counts: Counter[str] = Counter()
    for sheet in sheets:
        type_name = _clean_name(sheet.document_type)
        path = [clean_part for part in sheet.path if (clean_part := _clean_name(part))]
        name = base_name = _fit_name(type_name, path, _MAX_NAME_UNITS)
        while _fold_name(name) in used_names or _fold_name(name) == "history":  # reserved by Excel
            name_counts[base_name] += 1
            suffix = f" {name_counts[base_name] + 1}"
            name = _fit_name(type_name, path, _MAX_NAME_UNITS - len(suffix)) + suffix
        used_names.add(_fold_name(name))
        yield name


def _fit_name(type_name: str, path: Sequence[str], max_units: int) -> str:
    if not path:
        return truncate(type_name, max_units) or "Sheet"
    # The last names of a nested list's path are the most specific: keep these.
    tails = [" ".join(path[start:]) for start in range(len(path))]
    type_units = min(_MIN_KIND_UNITS, count_utf16_units(type_name)) + 1
    tail = next((tail for tail in tails if count_utf16_units(tail) + type_units <= max_units), tails[-1])
    type_room = max_units - count_utf16_units(tail) - 1
    shown_type = truncate(type_name, type_room) if type_room > 2 else ""
    return truncate(f"{shown_type} {tail}" if shown_type else tail, max_units).strip(" '") or "Sheet"


def _clean_name(name: str) -> str:
    spaced_name = "".join(" " if character in "[]:*?/\\" or character.isspace() else character for character in name)
    printable_name = "".join(character for character in spaced_name if character.isprintable())
    return " ".join(printable_name.split()).strip(" '")


def _fold_name(name: str) -> str:
    """Return the name as Excel compares names: without regard to case."""
    return unicodedata.normalize("NFKC", name.lower()).casefold()
