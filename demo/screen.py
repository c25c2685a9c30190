"""What is printed, and how: steps as they go, tables, rows made readable."""

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

from report.terminal import printable

from .warehouse import Row

CellReader = Callable[[Row], str]

WIDTH = 120
"""No line is longer, unless a single word is. A terminal that is narrower has lines of its own width."""

_MIN_WIDTH = 60
_WIDEST_COLUMN = 34  # of all but the last one
_NARROWEST_COLUMN = 8  # where others are wider, these are cut
_TELLING = ("name", "vendor", "merchant", "parties", "carrier", "total", "wages", "_value")
"""Parts of the names of fields that are worth showing before the line is full."""


class Screen:
    """Standard output: colours and a spinner on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # names in the data may be more than the terminal can show
        # Named, since whoever silences PyAirbyte swaps sys.stdout.
        self._console = Console(file=sys.stdout, markup=False, highlight=False, emoji=False)
        wide = min(self._console.width, WIDTH) if self._console.is_terminal else WIDTH
        self.width = max(wide, _MIN_WIDTH)

    def line(self, text: str = "", style: str = "", hang: int | None = None) -> None:
        """Print a text, broken at spaces where it is wider than the screen.

        Args:
            hang: the column where a broken line goes on; by default that of its first word.
        """
        for one in text.split("\n"):
            begin = len(one) - len(one.lstrip(" ")) if hang is None else hang
            self._print(wrapped(one, self.width, begin, keep=begin), style)

    def command(self, text: str, style: str = "", hang: int = 2) -> None:
        """Print a command with SQL in double quotes. Only the SQL is broken, so it can be copied as it stands."""
        first, *others = text.split("\n")
        self._print(wrapped(first, self.width, hang, keep=first.find('"') + 1), style)
        for line in others:  # of SQL, whose quote at the end keeps nothing together
            self._print(wrapped(line, self.width, hang, keep=len(line) - len(line.lstrip(" "))), style)

    def _print(self, lines: Sequence[str], style: str) -> None:
        for line in lines:
            self._console.print(Text(printable(line), style), soft_wrap=True)
        self._console.file.flush()

    def heading(self, text: str) -> None:
        self.line()
        self.line(f"── {text} ".ljust(self.width, "─"), "bold cyan")
        self.line()

    @contextmanager
    def step(self, title: str) -> Iterator[list[str]]:
        """One line: what is being done, then what came of it, which the block puts into the list."""
        outcome: list[str] = []
        started = time.monotonic()
        is_live = self._console.is_terminal and not self._console.is_dumb_terminal
        if is_live:
            with self._console.status(f"{title} …", spinner_style="cyan"):
                yield outcome
        else:
            with self._line_to_be_ended(f"  {title} ... "):
                yield outcome
        words = ", ".join((*outcome, f"{time.monotonic() - started:.1f} s"))
        self.line(f"✓ {title}: {words}" if is_live else words, hang=2 if is_live else None)

    @contextmanager
    def _line_to_be_ended(self, text: str) -> Iterator[None]:
        print(text, end="", file=self._console.file, flush=True)
        try:
            yield
        except BaseException:
            self.line()
            raise

    def table(self, titles: Sequence[str], rows: Sequence[Sequence[str]], indent: str = "    ") -> None:
        """Columns as wide as what is in them, or as there is room; those with nothing in them are left out."""
        kept = [index for index in range(len(titles)) if any(row[index] for row in rows)]
        lines = [[printable(row[index]).replace("\n", " ") for index in kept] for row in (titles, *rows)]
        widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
        widths[:-1] = [min(width, _WIDEST_COLUMN) for width in widths[:-1]]
        room = self.width - len(indent) - 2 * (len(widths) - 1)
        while sum(widths) > room and max(widths) > _NARROWEST_COLUMN:
            widths[widths.index(max(widths))] -= 1
        for number, line in enumerate(lines):
            cells = (_fitted(cell, width) for cell, width in zip(line, widths, strict=True))
            self.line((indent + "  ".join(cells)).rstrip(), "" if number else "dim")


def wrapped(text: str, width: int, hang: int, keep: int) -> list[str]:
    """Return the lines of a text that is broken at spaces. Its first `keep` characters and each word stay whole."""
    lines: list[str] = []
    line, is_begun = text[:keep], False
    for word in text[keep:].split(" "):
        longer = f"{line} {word}" if is_begun else line + word
        if is_begun and cell_len(longer) > width:
            lines.append(line)
            longer = " " * hang + word
        line, is_begun = longer, True
    return [*lines, line]


def _fitted(text: str, width: int) -> str:
    return set_cell_size(text, width) if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"


def plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def example_table(kind: str, rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Titles and cells of a few rows of one kind: of their many columns those that a person looks at first."""
    readers = _READERS[kind]
    return list(readers), [[_clean(read(row)) for read in readers.values()] for row in rows]


def preview(data: Any, known: str = "") -> str:
    """Extracted data in one line, as in `vendor.name = Acme, total = 1250.00`, without the value that is `known`."""
    leaves = [(name, _clean(value)) for name, value in _leaves(data) if value != known]
    leaves.sort(key=lambda leaf: not any(word in leaf[0].rsplit(".", 1)[-1] for word in _TELLING))
    return ", ".join(f"{name} = {value}" for name, value in leaves)


def _leaves(data: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    if not isinstance(data, dict):
        yield prefix or "value", str(data)
        return
    for name, value in data.items():
        path = f"{prefix}.{name}" if prefix else str(name)
        inner = value["value"] if isinstance(value, dict) and "value" in value else value  # beside it: confidence
        if isinstance(inner, dict):
            yield from _leaves(inner, path)
        elif isinstance(inner, list):
            is_words = all(isinstance(one, str) for one in inner)
            yield path, "; ".join(inner) if inner and is_words else plural(len(inner), "item")
        elif inner not in (None, ""):
            yield path, str(inner)


def _clean(text: str) -> str:
    """Return the text on one line, without what a terminal would take for a command."""
    return printable(" ".join(text.split()))


def _text(name: str) -> CellReader:
    return lambda row: str(row.get(name) or "")


def _number(name: str) -> CellReader:
    return lambda row: "" if row.get(name) is None else f"{float(row[name]):.12g}"


_provider, _type, _status, _reason = (_text(name) for name in ("provider", "document_type", "status", "error"))


def _file(row: Row) -> str:
    return str(row.get("file_name") or row.get("file_id") or row.get("id"))


def _batch(row: Row) -> str:
    return str(row.get("template_name") or row.get("description") or row.get("batch_id") or row.get("id"))


def _files(row: Row) -> str:
    """As in `4: 3 processed, 1 failed`."""
    total = row.get("files_total")
    parts = [
        f"{row[f'files_{word}']} {word}" for word in ("processed", "failed", "pending") if row.get(f"files_{word}")
    ]
    return ": ".join(part for part in (str(total) if total is not None else "", ", ".join(parts)) if part)


def _day(row: Row) -> str:
    created = row.get("created_at")
    return created.strftime("%Y-%m-%d") if isinstance(created, date) else ""


def _data(row: Row) -> str:
    data = row.get("data")
    return preview(json.loads(data) if isinstance(data, str) else data, _type(row))


_READERS: dict[str, dict[str, CellReader]] = {
    "batches": {"provider": _provider, "batch": _batch, "status": _status, "created": _day, "files": _files},
    "files": {"provider": _provider, "file": _file, "type": _type, "status": _status, "reason": _reason},
    "results": {"provider": _provider, "file": _file, "type": _type, "data": _data},
    "fields": {
        "provider": _provider,
        "path": _text("path"),
        "value": _text("value"),
        "number": _number("number_value"),
        "unit": _text("unit"),
        "confidence": _number("confidence"),
    },
}
