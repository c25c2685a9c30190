"""`python -m report WAREHOUSE`: writes the page of a DuckDB file or a PostgreSQL database."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from . import Trouble
from .page import write
from .terminal import printable
from .warehouse import ask

_DESCRIPTION = """\
Writes one page of HTML with plots and tables of what a warehouse holds: what went straight through, what failed, how
sure the values are, what to review, what is stuck. Nothing in the warehouse is changed."""


def main() -> int:
    options = _parser().parse_args()
    try:
        write(ask(options.warehouse, options.schema), named(options.warehouse), options.page)
    except Trouble as trouble:
        print(printable(str(trouble)), file=sys.stderr)
        return 1
    except OSError as problem:
        print(printable(f"{options.page} cannot be written: {problem.strerror}."), file=sys.stderr)
        return 1
    print(printable(f"The report is in {os.path.relpath(options.page)}"))
    return 0


def named(place: str) -> str:
    """What the page may call the warehouse: of a URL no user and no password."""
    try:
        url = make_url(place)
    except ArgumentError:
        return Path(place).name
    return f"{url.database} at {url.host}" if url.host else str(url.database)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m report", description=_DESCRIPTION)
    parser.add_argument("warehouse", help="a DuckDB file, or a database as postgresql://user:password@host/name")
    parser.add_argument("page", nargs="?", type=Path, default=Path("report.html"), help="default: report.html")
    parser.add_argument("--schema", help="of the tables, where the database does not look by itself")
    return parser


if __name__ == "__main__":
    sys.exit(main())
