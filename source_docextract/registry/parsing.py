"""The parser of the registry: CSV or JSON Lines to batches. Pure."""

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
from ..core.products import NEEDS_TEMPLATE
from ..core.provider import Registry
from ..core.timestamps import to_utc

_COLUMNS = ("provider", "template_id", "batch_id", "created_at", "expected_files")

_MAX_REPORTED_ROWS = 5  # invalid rows that the error names; it counts the others


def parse_rows(lines: Iterable[str], registry_label: str) -> Iterator[tuple[int, Any]]:
    """Yield the rows of a registry with their line numbers.

    A file that begins with a brace is JSON Lines. Any other file is CSV with a header line.

    Args:
        lines: the lines of the file, with their line ends.
        registry_label: the registry as error messages name it.

    Yields:
        The line number, from 1, and the row: a dict of CSV cells or a JSON value, None for a line of invalid JSON. For
        a CSV row of several lines, the number of its last line.

    Raises:
        ConfigError: the file is empty, or its header has no `provider` or no `batch_id`.
    """
    numbered_lines = enumerate(lines, start=1)
    first_entry = next(((line_number, line) for line_number, line in numbered_lines if line.strip()), None)
    # A file of 0 bytes is more often a failed export than an empty list.
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
    # The message quotes nothing of the file, which may be one that the user is not allowed to read.
    if missing_columns := [name for name in ("provider", "batch_id") if name not in reader.fieldnames]:
        raise ConfigError(f"{registry_label} has no column {' and no column '.join(missing_columns)}.")
    for row in reader:
        yield first_entry[0] + reader.line_num - 1, row


def _parse_json_line(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None  # no object, so `_parse_batch` reports the line with the others


def build_registry(rows: Iterable[tuple[int, Any]], products: Collection[str], registry_label: str) -> Registry:
    """Return the batches of the configured products.

    Rows of other products are only counted, for one warning.

    Args:
        rows: line numbers and rows, as `parse_rows` yields them.
        products: the products that are set up.
        registry_label: the registry as error messages name it.

    Raises:
        ConfigError: some rows are invalid. The message names the first lines, so that one sync shows several mistakes.
    """
    batches: defaultdict[str, list[PartitionRef]] = defaultdict(list)
    skipped_rows: Counter[str] = Counter()
    reported_rows: list[str] = []
    unreported_count = 0
    for line_number, row in rows:
        try:
            product, ref = _parse_batch(row)
        except ValueError as reason:
            if len(reported_rows) < _MAX_REPORTED_ROWS:
                reported_rows.append(f"line {line_number} {reason}")
            else:
                unreported_count += 1
            continue
        if product in products:
            batches[product].append(ref)
        else:
            skipped_rows[product] += 1
    # One invalid row fails the whole registry: a batch that is left out silently would be worse.
    if reported_rows:
        overflow_text = f", and {unreported_count} more lines" if unreported_count else ""
        raise ConfigError(f"{registry_label} has rows that cannot be read: {'; '.join(reported_rows)}{overflow_text}.")
    return Registry({product: tuple(refs) for product, refs in batches.items()}, dict(skipped_rows))


def _parse_batch(row: Any) -> tuple[str, PartitionRef]:
    """Return the product and the batch that a row names.

    Raises:
        ValueError: the row is invalid. The message continues a sentence that begins with "line 7".
    """
    if not isinstance(row, dict):
        raise ValueError("is not a JSON object")
    # The csv module puts surplus cells under the key None. Like other unknown columns, they are ignored.
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
    # `isdigit` alone accepts superscript digits too, of which `int` makes no number.
    if expected_files and not (expected_files.isascii() and expected_files.isdigit() and len(expected_files) < 10):
        raise ValueError("has an expected_files that is not a whole number")
    # A batch of the other products has no template in its key. With one, a batch that the settings name as well would
    # be read twice.
    template_id = cells["template_id"] if NEEDS_TEMPLATE[product] else None
    return product, PartitionRef(
        template_id=template_id,
        batch_id=cells["batch_id"],
        created_at=created_at,
        approx_created_at=created_at,
        is_explicit=True,  # a batch in the registry is read regardless of `start_date`
        expected_files=int(expected_files) if expected_files else None,
    )


_COMPACT_TIME = re.compile(r"(\d{8})(?:T?(\d{6})(Z|[+-]\d\d:?\d\d)?)?", re.ASCII)

_EPOCH_NUMBER = re.compile(r"\d{9,13}(?:\.\d{1,9})?", re.ASCII)

_ISO_TIME = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:.+)?", re.ASCII)

_TIME_ADAPTER = TypeAdapter(datetime)  # `datetime.fromisoformat` accepts other formats on each version of Python

_MAX_EPOCH_SECONDS = 1e11  # the year 5138 in seconds, 1973 in milliseconds

_YEAR_1970, _YEAR_2000 = (datetime(year, 1, 1, tzinfo=timezone.utc) for year in (1970, 2000))


def _parse_created_at(cell: str) -> datetime | None:
    """Return the time in a `created_at` cell, or None for an empty cell.

    A time without a zone is UTC. Eight digits are a day, and 14 digits are a timestamp, the format in Atlas's batch
    ids. They are never seconds since 1970: 20261128 seconds would be a day of 1970, the batch would count as settled,
    and its edits would never arrive.

    Raises:
        ValueError: the cell holds no time in a known format, or seconds or milliseconds of a time before 2000.
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
    except (ValueError, OverflowError):  # such as month 13, or a time before the year 1 in UTC
        pass
    raise ValueError("has a created_at that is not a time; write it like 2026-01-01T00:00:00Z")


def _parse_cell(name: str, value: Any) -> str:
    """Return a cell as stripped text, empty for null.

    Raises:
        ValueError: the cell is an object, a list or a boolean, or it holds invisible characters.
    """
    if value is not None and type(value) not in {str, int, float}:
        raise ValueError(f"has a {name} that is not text")
    cell = "" if value is None else str(value).strip()
    # The provider does not know an id with an invisible character, and the user could not see the mistake.
    if not cell.isprintable():
        raise ValueError(f"has a {name} with invisible characters")
    return cell
