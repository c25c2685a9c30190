"""The rows in a DuckDB file: `python count_rows.py FILE`.

It prints JSON: `records` and `distinct` ids by table, for the tables of the connector's streams.
"""

from __future__ import annotations

import json
import sys

import duckdb


def main() -> None:
    """Count the rows, without those of dlt's staging tables."""
    with duckdb.connect(sys.argv[1], read_only=True) as database:
        tables = database.execute(
            "SELECT table_schema, table_name FROM information_schema.tables "
            "WHERE table_name NOT LIKE '\\_%' ESCAPE '\\' AND table_schema NOT LIKE '%\\_staging' ESCAPE '\\'"
        ).fetchall()
        records, distinct = {}, {}
        for schema, table in tables:
            counts = database.execute(f'SELECT count(*), count(DISTINCT id) FROM "{schema}"."{table}"').fetchall()
            records[table], distinct[table] = counts[0]
    print(json.dumps({"records": records, "distinct": distinct}))


if __name__ == "__main__":
    main()
