"""Sheets as an .xlsx file, in which each value is what it was: a number a number, and text text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xlsxwriter import Workbook
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from . import Trouble
from .sheets import Cell, Sheet, named_apart

_ROWS, _COLUMNS, _CHARACTERS = 1_048_576, 16_384, 32_767  # that Excel takes
_EXACT = 10**15  # beyond it, Excel turns digits into zeros
_WIDEST = 60  # characters


def write(output: Path, found: Sequence[Sheet]) -> None:
    """The first row of each sheet is its head. Text that is too long for a cell is cut, and ends in an ellipsis.

    Raises:
        Trouble: it is more than a spreadsheet holds.
    """
    for sheet in found:
        if len(sheet.rows) >= _ROWS or len(sheet.columns) > _COLUMNS:
            size = f"{len(sheet.rows)} rows and {len(sheet.columns)} columns"
            raise Trouble(f"{sheet.name} has {size}; Excel takes {_ROWS} and {_COLUMNS}. Ask the warehouse with SQL.")
    options = {"strings_to_formulas": False, "strings_to_numbers": False, "strings_to_urls": False}
    with Workbook(str(output), {**options, "constant_memory": True}) as book:
        bold = book.add_format({"bold": True})
        for sheet, name in zip(found, named_apart([sheet.name for sheet in found]), strict=True):
            _write(book.add_worksheet(name), sheet, bold)


def _write(page: Worksheet, sheet: Sheet, bold: Format) -> None:
    columns = list(sheet.columns)
    for number, title in enumerate(columns):
        longest = max([len(title), *(len(str(row.get(title, ""))) for row in sheet.rows)])
        page.set_column(number, number, min(longest + 2, _WIDEST))
        page.write_string(0, number, title[:_CHARACTERS], bold)
    page.freeze_panes(1, 1)
    for row, cells in enumerate(sheet.rows, start=1):
        for number, title in enumerate(columns):
            _put(page, row, number, cells.get(title))
    page.autofilter(0, 0, len(sheet.rows), max(len(columns) - 1, 0))


def _put(page: Worksheet, row: int, column: int, value: Cell) -> None:
    if value is None:
        return
    if isinstance(value, bool):
        page.write_boolean(row, column, value)
    elif isinstance(value, (int, float)) and abs(value) < _EXACT:
        page.write_number(row, column, value)
    else:
        words = str(value)
        cut = f"{words[: _CHARACTERS - 1]}…" if len(words) > _CHARACTERS else words
        page.write_string(row, column, cut)
