"""One batch out of a warehouse as a spreadsheet, for whoever would rather have Excel than SQL.

    python -m report.workbook documents.duckdb sensible c73c7932-82c0-438c-a339-175d7d0771bd

A sheet for each type of document, a row for each document, a column for each field; long lists are on sheets of their
own. Numbers are numbers where the provider sent numbers, and text stays text, also where it begins with `=`.
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

from source_docextract.providers import NOTATIONS

from . import Trouble
from .excel import write
from .sheets import Row, Sheet, sheets
from .terminal import printable
from .warehouse import connected


def main(arguments: Sequence[str] | None = None) -> int:
    options = options_of(sys.argv[1:] if arguments is None else arguments)
    name = re.sub(r"[^\w.-]+", "-", options.batch)
    output = options.output or Path(f"{name}.xlsx")
    try:
        with connected(options.warehouse, options.schema) as connection:
            found = batch(connection, options.provider, options.batch)
        write(output, found)
    except (Trouble, OSError) as trouble:
        print(printable(str(trouble)), file=sys.stderr)
        return 1
    print(printable(f"{output}: {', '.join(f'{sheet.name} ({len(sheet.rows)})' for sheet in found)}"))
    return 0


def batch(connection: Connection, provider: str, name: str) -> list[Sheet]:
    """The sheets of one batch, by the `id` or the `batch_id` of its row.

    Raises:
        Trouble: there is none, or more than one.
    """

    def rows(kind: str, condition: str) -> list[Row]:
        sql = f"SELECT * FROM {provider}_{kind} WHERE {condition} ORDER BY id"
        return [dict(row) for row in connection.execute(text(sql), {"name": name}).mappings()]

    ids = {row["id"] for row in rows("batches", "id = :name OR batch_id = :name")}
    exact = ids & {name} or ids
    if len(exact) != 1:
        raise Trouble(_choose(name, sorted(ids) or [row["id"] for row in rows("batches", "id <> :name")]))
    [name] = exact
    results = [{**row, "data": _parsed(row["data"])} for row in rows("results", "batch_key = :name")]
    return sheets(rows("files", "batch_key = :name"), results, NOTATIONS[provider])


def _parsed(value: Any) -> Any:
    """JSON, which DuckDB gives as text."""
    return json.loads(value) if isinstance(value, str) else value


def _choose(name: str, ids: Sequence[str]) -> str:
    some = ", ".join(ids[:5])
    return (
        f"There is not one batch {name}. Write the id of one, such as: {some}" if ids else "There are no batches yet."
    )


def options_of(arguments: Sequence[str]) -> argparse.Namespace:
    """Ids of Extracta.ai begin with a hyphen, and are not to be taken for options."""
    ids = [one for one in arguments if one.startswith("-") and not one.startswith("--") and one != "-h"]
    return _parser().parse_args([*(one for one in arguments if one not in ids), *(["--", *ids] if ids else [])])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m report.workbook", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("warehouse", help="a DuckDB file, or the URL of a PostgreSQL database")
    parser.add_argument("provider", choices=sorted(NOTATIONS), help="whose batch it is")
    parser.add_argument("batch", help="its id, or its batch_id")
    parser.add_argument("--schema", help="of the tables, where it is not the usual one")
    parser.add_argument("--output", type=Path, metavar="FILE", help="the .xlsx to write; by default named as the batch")
    return parser


if __name__ == "__main__":
    sys.exit(main())
