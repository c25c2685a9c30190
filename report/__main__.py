"""Command line of the report: `python -m report WAREHOUSE`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from source_docextract.core.redaction import sanitize

from . import ReportError
from .address import RedactingParser, get_display_name
from .page import write_page
from .terminal import print_safely
from .warehouse import run_recipes

_DESCRIPTION = """\
Writes one HTML page with charts and tables of a warehouse: straight-through processing rate, failure reasons, mean
confidence, review queue, stuck documents. Nothing in the warehouse is changed."""


_MAX_MESSAGE_LENGTH = 1_000  # characters


def main() -> int:
    """Write the report of a DuckDB file or a PostgreSQL database.

    Return the exit code.
    """
    options = _build_parser().parse_args()
    try:
        write_page(run_recipes(options.warehouse, options.schema), get_display_name(options.warehouse), options.page)
    except ReportError as error:
        print_safely(sanitize(str(error), _MAX_MESSAGE_LENGTH), sys.stderr)
        return 1
    except OSError as error:
        print_safely(sanitize(f"{options.page} cannot be written: {error.strerror}.", _MAX_MESSAGE_LENGTH), sys.stderr)
        return 1
    print_safely(f"The report is in {os.path.relpath(options.page)}", sys.stdout)
    return 0


def _build_parser() -> RedactingParser:
    parser = RedactingParser("python -m report", description=_DESCRIPTION)
    parser.add_argument("warehouse", help="a DuckDB file, or a database as postgresql://user:password@host/name")
    parser.add_argument("page", nargs="?", type=Path, default=Path("report.html"), help="default: report.html")
    parser.add_argument("--schema", help="of the tables, where the database does not look by itself")
    return parser


if __name__ == "__main__":
    sys.exit(main())
