"""Output of the demo: progress of steps, tables, and rows in a readable form."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from io import TextIOWrapper
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from report.terminal import strip_control_characters

from .warehouse import Row

CellReader = Callable[[Row], str]

MAX_WIDTH = 120
"""Longest line in characters, unless a single word is longer; a narrower terminal has shorter lines."""

_MIN_WIDTH = 60
_MAX_COLUMN_WIDTH = 34  # of all columns but the last
_MIN_COLUMN_WIDTH = 8  # a narrower column is not shortened
_PREVIEW_WORDS = ("name", "vendor", "merchant", "parties", "carrier", "total", "wages", "_value")
"""Parts of field names that come first in a preview, before the line is full."""


class Screen:
    """Standard output, with colours and a spinner on a terminal.

    Attributes:
        width: Longest line in characters.
    """

    def __init__(self) -> None:
        """Take the width from the terminal."""
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # names may hold characters outside the encoding
        # Pass the stream: silencing PyAirbyte replaces sys.stdout, which rich would look up at each print.
        self._console = Console(file=sys.stdout, markup=False, highlight=False, emoji=False)
        terminal_width = min(self._console.width, MAX_WIDTH) if self._console.is_terminal else MAX_WIDTH
        self.width = max(terminal_width, _MIN_WIDTH)

    def print_line(self, text: str = "", style: str = "", hanging_indent: int | None = None) -> None:
        """Print a text, broken at spaces where it is wider than the screen.

        Args:
            text: The text, of one or more lines.
            style: A style of rich.
            hanging_indent: Column at which a broken line continues; None takes the column of its first word.
        """
        for text_line in text.split("\n"):
            indent_width = len(text_line) - len(text_line.lstrip(" ")) if hanging_indent is None else hanging_indent
            self._print_lines(wrap(text_line, self.width, indent_width, prefix_length=indent_width), style)

    def print_command(self, text: str, style: str = "", hanging_indent: int = 2) -> None:
        """Print a command with SQL in double quotes, and break lines in the SQL only."""
        first_line, *sql_lines = text.split("\n")
        self._print_lines(wrap(first_line, self.width, hanging_indent, prefix_length=first_line.find('"') + 1), style)
        for line in sql_lines:
            indent_width = len(line) - len(line.lstrip(" "))
            self._print_lines(wrap(line, self.width, hanging_indent, prefix_length=indent_width), style)

    def _print_lines(self, lines: Sequence[str], style: str) -> None:
        for line in lines:
            self._console.print(Text(strip_control_characters(line), style), soft_wrap=True)
        self._console.file.flush()

    def print_heading(self, text: str) -> None:
        """Print a heading with a rule to the edge of the screen."""
        self.print_line()
        self.print_line(f"── {text} ".ljust(self.width, "─"), "bold cyan")
        self.print_line()

    @contextmanager
    def show_step(self, title: str) -> Iterator[list[str]]:
        """Print a step and its duration.

        The block appends its outcome to the list that it gets.
        """
        outcome: list[str] = []
        started = time.monotonic()
        is_live = self._console.is_terminal and not self._console.is_dumb_terminal
        if is_live:
            with self._console.status(f"{title} …", spinner_style="cyan"):
                yield outcome
        else:
            with self._open_line(f"  {title} ... "):
                yield outcome
        outcome_text = ", ".join((*outcome, f"{time.monotonic() - started:.1f} s"))
        if is_live:
            self.print_line(f"✓ {title}: {outcome_text}", hanging_indent=2)
        else:
            self.print_line(outcome_text)

    @contextmanager
    def _open_line(self, text: str) -> Iterator[None]:
        print(text, end="", file=self._console.file, flush=True)
        try:
            yield
        except BaseException:
            self.print_line()
            raise

    def print_table(self, titles: Sequence[str], rows: Sequence[Sequence[str]], indent: str = "    ") -> None:
        """Print a table without its empty columns, as wide as the screen permits."""
        shown_columns = [index for index in range(len(titles)) if any(row[index] for row in rows)]
        lines: list[list[str]] = []
        for row in (titles, *rows):
            lines.append([strip_control_characters(row[index]).replace("\n", " ") for index in shown_columns])
        widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
        widths[:-1] = [min(width, _MAX_COLUMN_WIDTH) for width in widths[:-1]]
        available_width = self.width - len(indent) - 2 * (len(widths) - 1)
        while sum(widths) > available_width and max(widths) > _MIN_COLUMN_WIDTH:
            widths[widths.index(max(widths))] -= 1
        for number, line in enumerate(lines):
            cells = (_fit_width(cell, width) for cell, width in zip(line, widths, strict=True))
            self.print_line((indent + "  ".join(cells)).rstrip(), "" if number else "dim")


def wrap(text: str, width: int, hanging_indent: int, prefix_length: int) -> list[str]:
    """Return a text as lines, broken at spaces behind the prefix."""
    lines: list[str] = []
    line, is_begun = text[:prefix_length], False
    for word in text[prefix_length:].split(" "):
        extended_line = f"{line} {word}" if is_begun else line + word
        if is_begun and cell_len(extended_line) > width:
            lines.append(line)
            extended_line = " " * hanging_indent + word
        line, is_begun = extended_line, True
    return [*lines, line]


def _fit_width(text: str, width: int) -> str:
    return set_cell_size(text, width) if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"


def pluralize(number: int, noun: str) -> str:
    """Return a number with its noun, such as `1 row` or `2 rows`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def build_example_table(kind: str, rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Return titles and cells of the columns most useful to a reader."""
    readers = _CELL_READERS[kind]
    cells: list[list[str]] = []
    for row in rows:
        cells.append([_clean_text(reader(row)) for reader in readers.values()])
    return list(readers), cells


def preview_data(data: Any, hidden_value: str = "") -> str:
    """Return extracted data as one line, such as `name = Acme, total = 1250.00`.

    Args:
        data: Extracted data.
        hidden_value: A value to leave out, since another column shows it.
    """
    leaves = [(name, _clean_text(value)) for name, value in _iter_leaves(data) if value != hidden_value]
    leaves.sort(key=lambda leaf: not any(word in leaf[0].rsplit(".", 1)[-1] for word in _PREVIEW_WORDS))
    return ", ".join(f"{name} = {value}" for name, value in leaves)


def _iter_leaves(data: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    if not isinstance(data, dict):
        yield prefix or "value", str(data)
        return
    for name, value in data.items():
        path = f"{prefix}.{name}" if prefix else str(name)
        inner_value = value["value"] if isinstance(value, dict) and "value" in value else value  # a wrapper
        if isinstance(inner_value, dict):
            yield from _iter_leaves(inner_value, path)
        elif isinstance(inner_value, list):
            is_text_list = all(isinstance(element, str) for element in inner_value)
            yield path, "; ".join(inner_value) if inner_value and is_text_list else pluralize(len(inner_value), "item")
        elif inner_value not in (None, ""):
            yield path, str(inner_value)


def _clean_text(text: str) -> str:
    """Return the text as one line without control characters."""
    return strip_control_characters(" ".join(text.split()))


def _make_text_reader(name: str) -> CellReader:
    return lambda row: str(row.get(name) or "")


def _make_number_reader(name: str) -> CellReader:
    return lambda row: "" if row.get(name) is None else f"{float(row[name]):.12g}"


_read_provider, _read_type, _read_status, _read_reason = (
    _make_text_reader(name) for name in ("provider", "document_type", "status", "error")
)


def _read_file_name(row: Row) -> str:
    return str(row.get("file_name") or row.get("file_id") or row.get("id"))


def _read_batch_name(row: Row) -> str:
    return str(row.get("template_name") or row.get("description") or row.get("batch_id") or row.get("id"))


def _read_file_counts(row: Row) -> str:
    """Return the counts of a batch, such as `4: 3 processed, 1 failed`."""
    total_files = row.get("files_total")
    count_texts = [
        f"{row[f'files_{word}']} {word}" for word in ("processed", "failed", "pending") if row.get(f"files_{word}")
    ]
    return ": ".join(
        text for text in (str(total_files) if total_files is not None else "", ", ".join(count_texts)) if text
    )


def _read_created_day(row: Row) -> str:
    created = row.get("created_at")
    return created.strftime("%Y-%m-%d") if isinstance(created, date) else ""


def _read_data(row: Row) -> str:
    data = row.get("data")
    return preview_data(json.loads(data) if isinstance(data, str) else data, _read_type(row))


_CELL_READERS: dict[str, dict[str, CellReader]] = {
    "batches": {
        "provider": _read_provider,
        "batch": _read_batch_name,
        "status": _read_status,
        "created": _read_created_day,
        "files": _read_file_counts,
    },
    "files": {
        "provider": _read_provider,
        "file": _read_file_name,
        "type": _read_type,
        "status": _read_status,
        "reason": _read_reason,
    },
    "results": {"provider": _read_provider, "file": _read_file_name, "type": _read_type, "data": _read_data},
    "fields": {
        "provider": _read_provider,
        "path": _make_text_reader("path"),
        "value": _make_text_reader("value"),
        "number": _make_number_reader("number_value"),
        "unit": _make_text_reader("unit"),
        "confidence": _make_number_reader("confidence"),
    },
}
