"""One batch out of a warehouse as a spreadsheet.

    python -m report.workbook documents.duckdb sensible c73c7932-82c0-438c-a339-175d7d0771bd

A first sheet with links to all others, a sheet for each type of document, a row for each document, a column for each
field; long lists are on sheets of their own. Numbers are numbers where the provider sent numbers, and text stays text,
also where it begins with `=`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from source_docextract.core.redaction import sanitize
from source_docextract.provider_specs import WRAPPER_FORMATS

from . import ReportError
from .address import RedactingParser
from .excel import write_workbook
from .sheets import Row, Sheet, make_sheets
from .terminal import print_safely
from .warehouse import connect

_MAX_SUMMARY_SHEETS = 12


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the spreadsheet of one batch; return the exit code."""
    options = parse_arguments(sys.argv[1:] if arguments is None else arguments)
    # A file name has at most 255 bytes, and a character at most four of them.
    file_stem = re.sub(r"[^\w.-]+", "-", options.batch)[:60]
    output = options.output or Path(f"{file_stem}.xlsx")
    try:
        with connect(options.warehouse, options.schema) as connection:
            sheets = build_batch_sheets(connection, options.provider, options.batch)
        write_workbook(output, sheets)
    except (ReportError, OSError) as error:
        print_safely(sanitize(str(error), 1_000), sys.stderr)
        return 1
    print_safely(f"{output}: {summarize_sheets(sheets)}", sys.stdout)
    return 0


def summarize_sheets(sheets: Sequence[Sheet]) -> str:
    """Return the first sheets with their sizes, and the number of further sheets."""
    shown_sheets = ", ".join(f"{sheet.name} ({len(sheet.rows)})" for sheet in sheets[:_MAX_SUMMARY_SHEETS])
    hidden_count = len(sheets) - _MAX_SUMMARY_SHEETS
    return f"{shown_sheets} and {hidden_count} more sheets" if hidden_count > 0 else shown_sheets


def build_batch_sheets(connection: Connection, provider: str, batch_name: str) -> list[Sheet]:
    """Return the sheets of one batch.

    Args:
        connection: Connection to the warehouse.
        provider: Prefix of the provider's tables.
        batch_name: The `id` or the `batch_id` of the batch's row.

    Raises:
        ReportError: There is no such batch, or more than one.
    """

    def fetch_rows(kind: str, condition: str) -> list[Row]:
        sql = f"SELECT * FROM {provider}_{kind} WHERE {condition} ORDER BY id"
        return [dict(row) for row in connection.execute(text(sql), {"name": batch_name}).mappings()]

    ids = {row["id"] for row in fetch_rows("batches", "id = :name OR batch_id = :name")}
    matching_ids = ids & {batch_name} or ids
    if len(matching_ids) != 1:
        raise ReportError(
            _describe_choices(batch_name, sorted(ids) or [row["id"] for row in fetch_rows("batches", "id <> :name")])
        )
    [batch_name] = matching_ids
    results = [{**row, "data": _parse_json(row["data"])} for row in fetch_rows("results", "batch_key = :name")]
    return make_sheets(fetch_rows("files", "batch_key = :name"), results, WRAPPER_FORMATS[provider])


def _parse_json(value: Any) -> Any:
    """Return a JSON column's value, which DuckDB returns as text."""
    return json.loads(value) if isinstance(value, str) else value


def _describe_choices(batch_name: str, ids: Sequence[str]) -> str:
    sample_ids = ", ".join(ids[:5])
    return (
        f"There is not one batch {batch_name}. Write the id of one, such as: {sample_ids}"
        if ids
        else "There are no batches yet."
    )


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse a command line in which ids may begin with a hyphen."""
    hyphen_ids = [
        argument
        for argument in arguments
        if argument.startswith("-") and not argument.startswith("--") and argument != "-h"
    ]
    reordered_arguments = [argument for argument in arguments if argument not in hyphen_ids]
    if hyphen_ids:
        reordered_arguments += ["--", *hyphen_ids]
    return _build_parser().parse_args(reordered_arguments)


def _build_parser() -> argparse.ArgumentParser:
    parser = RedactingParser(
        prog="python -m report.workbook", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("warehouse", help="a DuckDB file, or the URL of a PostgreSQL database")
    parser.add_argument("provider", choices=sorted(WRAPPER_FORMATS), help="whose batch it is")
    parser.add_argument("batch", help="its id, or its batch_id")
    parser.add_argument("--schema", help="of the tables, where it is not the usual one")
    parser.add_argument("--output", type=Path, metavar="FILE", help="the .xlsx to write; by default named as the batch")
    return parser


if __name__ == "__main__":
    sys.exit(main())
