"""SQL queries on the demo's DuckDB file: `python -m demo.query "SELECT ..."`."""

from __future__ import annotations

import os
import sys

import duckdb

from report.terminal import strip_control_characters

from . import DEMO_FOLDER

DATABASE_PATH = DEMO_FOLDER / "documents.duckdb"


def build_query_command(sql: str) -> str:
    """Return the shell command, for the current folder, that runs a query."""
    return f'{os.path.relpath(sys.executable)} -m demo.query "{sql}"'


def main(arguments: list[str]) -> int:
    """Print the result of a query; return the exit code."""
    if not DATABASE_PATH.exists():
        print(f"There is no {os.path.relpath(DATABASE_PATH)}; make it with: make demo", file=sys.stderr)
        return 1
    try:
        with duckdb.connect(str(DATABASE_PATH), read_only=True) as connection:
            relation = connection.sql(" ".join(arguments) or "SHOW TABLES")
            if relation is not None:
                print(strip_control_characters(str(relation)))
    except duckdb.Error as error:
        print(strip_control_characters(str(error)), file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader has closed the pipe, as in `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
