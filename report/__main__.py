"""`python -m report WAREHOUSE`: writes the page of a DuckDB file or a PostgreSQL database."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from source_docextract.plain import plain

from . import Trouble
from .address import Parser, named
from .page import write
from .warehouse import ask

_DESCRIPTION = """\
Writes one page of HTML with plots and tables of what a warehouse holds: what went straight through, what failed, how
sure the values are, what to review, what is stuck. Nothing in the warehouse is changed."""


_LONGEST = 1_000  # characters of what is said


def main() -> int:
    options = _parser().parse_args()
    try:
        write(ask(options.warehouse, options.schema), named(options.warehouse), options.page)
    except Trouble as trouble:
        print(plain(str(trouble), _LONGEST), file=sys.stderr)
        return 1
    except OSError as problem:
        print(plain(f"{options.page} cannot be written: {problem.strerror}.", _LONGEST), file=sys.stderr)
        return 1
    print(f"The report is in {os.path.relpath(options.page)}")
    return 0


def _parser() -> Parser:
    parser = Parser("python -m report", description=_DESCRIPTION)
    parser.add_argument("warehouse", help="a DuckDB file, or a database as postgresql://user:password@host/name")
    parser.add_argument("page", nargs="?", type=Path, default=Path("report.html"), help="default: report.html")
    parser.add_argument("--schema", help="of the tables, where the database does not look by itself")
    return parser


if __name__ == "__main__":
    sys.exit(main())
