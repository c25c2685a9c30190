"""Writer of .xlsx files in which numbers stay numbers and text stays text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xlsxwriter import Workbook
from xlsxwriter.exceptions import FileCreateError, XlsxWriterException
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from . import ReportError
from .files import replace_atomically
from .sheets import CONTENTS_SHEET, Cell, Sheet, build_sheet_names
from .text import replace_lone_surrogates, to_one_line, truncate

# Excel's limits; the length of a cell's text is counted in UTF-16 units.
_MAX_ROWS, _MAX_COLUMNS, _MAX_CELL_UNITS = 1_048_576, 16_384, 32_767
_MAX_EXACT_NUMBER = 10**15  # beyond it, Excel replaces digits with zeros
_MAX_COLUMN_WIDTH = 60  # characters


def write_workbook(target: Path, sheets: Sequence[Sheet]) -> None:
    """Write a contents sheet with hyperlinks, then the sheets.

    Or leave the file as it was.

    The first row of each sheet is its header. Text that is too long for a cell is cut and ends in an ellipsis.

    Raises:
        ReportError: The sheets do not fit into a spreadsheet, or the file cannot be written.
    """
    for sheet in sheets:
        if len(sheet.rows) >= _MAX_ROWS or len(sheet.columns) > _MAX_COLUMNS:
            size = f"{len(sheet.rows)} rows and {len(sheet.columns)} columns"
            raise ReportError(
                f"{to_one_line(sheet.name)} has {size}; Excel takes {_MAX_ROWS} and {_MAX_COLUMNS}. "
                "Ask the warehouse with SQL."
            )
    contents_name, *tab_names = build_sheet_names([Sheet(CONTENTS_SHEET), *sheets])
    # Third-party text must stay text: a value that begins with "=" is not run as a formula, a URL is not opened.
    options = {"strings_to_formulas": False, "strings_to_numbers": False, "strings_to_urls": False}
    with replace_atomically(target) as temporary_path:
        workbook = Workbook(str(temporary_path), {**options, "constant_memory": True})
        try:
            bold = workbook.add_format({"bold": True})
            _write_contents_sheet(
                workbook.add_worksheet(contents_name), dict(zip(tab_names, sheets, strict=True)), bold
            )
            for sheet, name in zip(sheets, tab_names, strict=True):
                _write_sheet(workbook.add_worksheet(name), sheet, bold)
            workbook.close()
        except FileCreateError as error:
            [cause] = error.args
            raise cause from None  # an OSError, for which `replace_atomically` raises a ReportError
        except XlsxWriterException as error:
            raise ReportError(f"The workbook cannot be written ({to_one_line(str(error))}).") from error


def _write_contents_sheet(worksheet: Worksheet, sheets_by_name: dict[str, Sheet], bold: Format) -> None:
    """List all sheets with their full names, which may be shortened on the tabs."""
    for column, (title, width) in enumerate({"Sheet": 34, "Document type": 34, "List": 44, "Rows": 8}.items()):
        worksheet.set_column(column, column, width)
        worksheet.write_string(0, column, title, bold)
    worksheet.freeze_panes(1, 1)
    for row, (name, sheet) in enumerate(sheets_by_name.items(), start=1):
        quoted_name = name.replace("'", "''")
        worksheet.write_url(row, 0, f"internal:'{quoted_name}'!A1", string=name)
        _write_cell(worksheet, row, 1, sheet.document_type)
        _write_cell(worksheet, row, 2, " / ".join(sheet.path) or None)
        _write_cell(worksheet, row, 3, len(sheet.rows))


def _write_sheet(worksheet: Worksheet, sheet: Sheet, bold: Format) -> None:
    columns = list(sheet.columns)
    for column_number, title in enumerate(columns):
        max_length = max([len(title), *(len(str(row.get(title, ""))) for row in sheet.rows)])
        worksheet.set_column(column_number, column_number, min(max_length + 2, _MAX_COLUMN_WIDTH))
        _write_cell(worksheet, 0, column_number, title, bold)
    worksheet.freeze_panes(1, 1)
    for row, cells in enumerate(sheet.rows, start=1):
        for column_number, title in enumerate(columns):
            _write_cell(worksheet, row, column_number, cells.get(title))
    worksheet.autofilter(0, 0, len(sheet.rows), max(len(columns) - 1, 0))


def _write_cell(worksheet: Worksheet, row: int, column: int, value: Cell, style: Format | None = None) -> None:
    if value is None:
        return
    if isinstance(value, bool):
        worksheet.write_boolean(row, column, value)
    elif isinstance(value, (int, float)) and abs(value) < _MAX_EXACT_NUMBER:
        worksheet.write_number(row, column, value)
    else:
        text = truncate(replace_lone_surrogates(str(value)), _MAX_CELL_UNITS)
        if text.startswith("<r>") and text.endswith("</r>"):
            # XlsxWriter copies such text into the file as markup; as a string of two parts it is escaped.
            worksheet.write_rich_string(row, column, text[0], style or Format(), text[1:])
        else:
            worksheet.write_string(row, column, text, style)
