"""Rows of a registry, CSV or JSON Lines, read into batches. Pure."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta, timezone
from itertools import chain
from typing import Any

from pydantic import TypeAdapter

from ..core.errors import ConfigError
from ..core.model import PartitionRef
from ..core.provider import NEEDS_TEMPLATE, Registry
from ..core.timestamps import to_utc

_COLUMNS = ("provider", "template_id", "batch_id", "created_at", "expected_files")

_MAX_REPORTED_ROWS = 5  # bad rows named in the error; the rest is counted


def parse_rows(lines: Iterable[str], registry_label: str) -> Iterator[tuple[int, Any]]:
    """Line numbers and rows. JSON Lines begin with a brace; anything else is CSV with a line of names."""
    numbered_lines = enumerate(lines, start=1)
    first_entry = next(((line_number, line) for line_number, line in numbered_lines if line.strip()), None)
    if first_entry is None:
        raise ConfigError(
            f"{registry_label} is empty. Check batch_registry.url; a registry without batches has a header line."
        )
    if first_entry[1].lstrip().startswith("{"):
        for line_number, line in chain([first_entry], numbered_lines):
            if line.strip():
                yield line_number, _parse_json_line(line)
        return
    reader = csv.DictReader(line for _, line in chain([first_entry], numbered_lines))
    reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
    if missing_columns := [name for name in ("provider", "batch_id") if name not in reader.fieldnames]:
        raise ConfigError(f"{registry_label} has no column {' and no column '.join(missing_columns)}.")
    for row in reader:
        yield first_entry[0] + reader.line_num - 1, row


def _parse_json_line(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def build_registry(rows: Iterable[tuple[int, Any]], products: Collection[str], registry_label: str) -> Registry:
    batches: defaultdict[str, list[PartitionRef]] = defaultdict(list)
    skipped_rows: Counter[str] = Counter()
    reported_rows: list[str] = []
    unreported_count = 0
    for line_number, row in rows:
        try:
            product, ref = _parse_batch(row)
        except ValueError as reason:
            unreported_count += len(reported_rows) == _MAX_REPORTED_ROWS
            reported_rows.extend([f"line {line_number} {reason}"] if len(reported_rows) < _MAX_REPORTED_ROWS else ())
            continue
        if product in products:
            batches[product].append(ref)
        else:
            skipped_rows[product] += 1
    if reported_rows:
        overflow_text = f", and {unreported_count} more lines" if unreported_count else ""
        raise ConfigError(f"{registry_label} has rows that cannot be read: {'; '.join(reported_rows)}{overflow_text}.")
    return Registry({product: tuple(refs) for product, refs in batches.items()}, dict(skipped_rows))


def _parse_batch(row: Any) -> tuple[str, PartitionRef]:
    """One row.

    Raises:
        ValueError: what is wrong with it, to be read after "line 7".
    """
    if not isinstance(row, dict):
        raise ValueError("is not a JSON object")
    values_by_column = {str(name).strip().lower(): value for name, value in row.items()}
    cells = {name: _parse_cell(name, values_by_column.get(name)) for name in _COLUMNS}
    product = cells["provider"].lower()
    if product not in NEEDS_TEMPLATE:
        raise ValueError(f"has no known provider (known are {', '.join(NEEDS_TEMPLATE)})")
    if not cells["batch_id"]:
        raise ValueError("has no batch_id")
    if NEEDS_TEMPLATE[product] and not cells["template_id"]:
        raise ValueError("has no template_id")
    created_at, expected_files = _parse_created_at(cells["created_at"]), cells["expected_files"]
    if expected_files and not (expected_files.isascii() and expected_files.isdigit() and len(expected_files) < 10):
        raise ValueError("has an expected_files that is not a whole number")
    return product, PartitionRef(
        template_id=cells["template_id"] if NEEDS_TEMPLATE[product] else None,
        batch_id=cells["batch_id"],
        created_at=created_at,
        approx_created_at=created_at,
        is_explicit=True,
        expected_files=int(expected_files) if expected_files else None,
    )


_COMPACT_TIME = re.compile(r"(\d{8})(?:T?(\d{6})(Z|[+-]\d\d:?\d\d)?)?", re.ASCII)

_EPOCH_NUMBER = re.compile(r"\d{9,13}(?:\.\d{1,9})?", re.ASCII)

_ISO_TIME = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:.+)?", re.ASCII)

_TIME_ADAPTER = TypeAdapter(datetime)  # the same forms on each Python, other than `datetime.fromisoformat`

_MAX_EPOCH_SECONDS = 1e11  # the year 5138 in seconds, 1973 in milliseconds

_YEAR_1970, _YEAR_2000 = (datetime(year, 1, 1, tzinfo=timezone.utc) for year in (1970, 2000))


def _parse_created_at(cell: str) -> datetime | None:
    """Return the time that a cell of `created_at` holds, UTC where it names no zone; None if the cell is empty.

    Eight and fourteen digits are a day and a stamp, as in Atlas's ids, and never a number: 20261128 seconds would be
    a day of 1970, the batch would count as settled long ago, and no correction of it would ever arrive.
    """
    if not cell:
        return None
    try:
        if compact_match := _COMPACT_TIME.fullmatch(cell):
            day, time_digits, zone = compact_match.groups()
            return to_utc(datetime.strptime(f"{day}{time_digits or '000000'}{zone or 'Z'}", "%Y%m%d%H%M%S%z"))
        if _EPOCH_NUMBER.fullmatch(cell):
            number = float(cell)
            epoch_offset = timedelta(seconds=number) if number < _MAX_EPOCH_SECONDS else timedelta(milliseconds=number)
            created_at = _YEAR_1970 + epoch_offset
            if created_at >= _YEAR_2000:
                return created_at
        elif _ISO_TIME.fullmatch(cell):
            return to_utc(_TIME_ADAPTER.validate_python(cell))
    except (ValueError, OverflowError):  # a month 13; before the year 1 in UTC
        pass
    raise ValueError("has a created_at that is not a time; write it like 2026-01-01T00:00:00Z")


def _parse_cell(name: str, value: Any) -> str:
    if value is not None and type(value) not in {str, int, float}:
        raise ValueError(f"has a {name} that is not text")
    cell = "" if value is None else str(value).strip()
    if not cell.isprintable():
        raise ValueError(f"has a {name} with invisible characters")
    return cell
