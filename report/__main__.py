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
from .terminal import say
from .warehouse import ask

_DESCRIPTION = """\
Writes one HTML page with charts and tables of a warehouse: straight-through processing rate, failure reasons, mean
confidence, review queue, stuck documents. Nothing in the warehouse is changed."""


def main() -> int:
    options = _parser().parse_args()
    try:
        write(ask(options.warehouse, options.schema), named(options.warehouse), options.page)
    except Trouble as trouble:
        say(str(trouble), sys.stderr)
        return 1
    say(f"The report is in {os.path.relpath(options.page)}", sys.stdout)
    return 0


def named(place: str) -> str:
    """Return the name of the warehouse for the page: of a URL neither user nor password."""
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
