"""`python -m report WAREHOUSE`: writes the page of a DuckDB file or a PostgreSQL database."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from source_docextract.plain import plain

from . import Trouble
from .address import Parser, named
from .page import write
from .terminal import say
from .warehouse import ask

_DESCRIPTION = """\
Writes one HTML page with charts and tables of a warehouse: straight-through processing rate, failure reasons, mean
confidence, review queue, stuck documents. Nothing in the warehouse is changed."""


_LONGEST = 1_000  # characters of what is said


def main() -> int:
    options = _parser().parse_args()
    try:
        write(ask(options.warehouse, options.schema), named(options.warehouse), options.page)
    except Trouble as trouble:
        say(plain(str(trouble), _LONGEST), sys.stderr)
        return 1
    except OSError as problem:
        say(plain(f"{options.page} cannot be written: {problem.strerror}.", _LONGEST), sys.stderr)
        return 1
    say(f"The report is in {os.path.relpath(options.page)}", sys.stdout)
    return 0


def _parser() -> Parser:
    parser = Parser("python -m report", description=_DESCRIPTION)
    parser.add_argument("warehouse", help="a DuckDB file, or a database as postgresql://user:password@host/name")
    parser.add_argument("page", nargs="?", type=Path, default=Path("report.html"), help="default: report.html")
    parser.add_argument("--schema", help="of the tables, where the database does not look by itself")
    return parser


if __name__ == "__main__":
    sys.exit(main())
