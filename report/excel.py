"""Sheets as an .xlsx file, in which each value is what it was: a number a number, and text text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xlsxwriter import Workbook
from xlsxwriter.exceptions import FileCreateError, XlsxWriterException
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from . import Trouble
from .files import replacing
from .sheets import CONTENTS, Cell, Sheet, sheet_names
from .text import cut, one_line, without_lone_surrogates

_ROWS, _COLUMNS, _UNITS = 1_048_576, 16_384, 32_767  # that Excel takes; text is counted in UTF-16 units
_EXACT = 10**15  # beyond it, Excel turns digits into zeros
_WIDEST = 60  # characters


def write(output: Path, found: Sequence[Sheet]) -> None:
    """Write the file whole or not at all: first a sheet with a link to each other one, then these.

    The first row of each sheet is its head. Text that is too long for a cell is cut, and ends in an ellipsis.

    Raises:
        Trouble: the sheets do not fit into a spreadsheet, or the file cannot be written.
    """
    for sheet in found:
        if len(sheet.rows) >= _ROWS or len(sheet.columns) > _COLUMNS:
            size = f"{len(sheet.rows)} rows and {len(sheet.columns)} columns"
            raise Trouble(
                f"{one_line(sheet.name)} has {size}; Excel takes {_ROWS} and {_COLUMNS}. Ask the warehouse with SQL."
            )
    contents, *names = sheet_names([Sheet(CONTENTS), *found])
    options = {"strings_to_formulas": False, "strings_to_numbers": False, "strings_to_urls": False}
    with replacing(output) as unfinished:
        book = Workbook(str(unfinished), {**options, "constant_memory": True})
        try:
            bold = book.add_format({"bold": True})
            _write_contents(book.add_worksheet(contents), dict(zip(names, found, strict=True)), bold)
            for sheet, name in zip(found, names, strict=True):
                _write(book.add_worksheet(name), sheet, bold)
            book.close()
        except FileCreateError as problem:
            [cause] = problem.args
            raise cause from None  # an OSError, which `replacing` puts into a sentence
        except XlsxWriterException as problem:
            raise Trouble(f"The workbook cannot be written ({one_line(str(problem))}).") from problem


def _write_contents(page: Worksheet, found: dict[str, Sheet], bold: Format) -> None:
    """List all sheets by their whole names, of which their own tabs may show a part."""
    for column, (title, width) in enumerate({"Sheet": 34, "Document type": 34, "List": 44, "Rows": 8}.items()):
        page.set_column(column, column, width)
        page.write_string(0, column, title, bold)
    page.freeze_panes(1, 1)
    for row, (name, sheet) in enumerate(found.items(), start=1):
        quoted = name.replace("'", "''")
        page.write_url(row, 0, f"internal:'{quoted}'!A1", string=name)
        _put(page, row, 1, sheet.kind)
        _put(page, row, 2, " / ".join(sheet.path) or None)
        _put(page, row, 3, len(sheet.rows))


def _write(page: Worksheet, sheet: Sheet, bold: Format) -> None:
    columns = list(sheet.columns)
    for number, title in enumerate(columns):
        longest = max([len(title), *(len(str(row.get(title, ""))) for row in sheet.rows)])
        page.set_column(number, number, min(longest + 2, _WIDEST))
        _put(page, 0, number, title, bold)
    page.freeze_panes(1, 1)
    for row, cells in enumerate(sheet.rows, start=1):
        for number, title in enumerate(columns):
            _put(page, row, number, cells.get(title))
    page.autofilter(0, 0, len(sheet.rows), max(len(columns) - 1, 0))


def _put(page: Worksheet, row: int, column: int, value: Cell, style: Format | None = None) -> None:
    if value is None:
        return
    if isinstance(value, bool):
        page.write_boolean(row, column, value)
    elif isinstance(value, (int, float)) and abs(value) < _EXACT:
        page.write_number(row, column, value)
    else:
        text = cut(without_lone_surrogates(str(value)), _UNITS)
        if text.startswith("<r>") and text.endswith("</r>"):
            # XlsxWriter takes such a text for its own markup and copies it into the file. As two parts it is escaped.
            page.write_rich_string(row, column, text[0], style or Format(), text[1:])
        else:
            page.write_string(row, column, text, style)
