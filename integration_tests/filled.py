"""Warehouses that are filled with rows without a sync, as PyAirbyte and the example would have them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from source_docextract.columns import BATCHES, FIELDS, FILES, RESULTS

KINDS = {"batches": BATCHES, "files": FILES, "results": RESULTS, "fields": FIELDS}
TYPES = {"string": "VARCHAR", "integer": "BIGINT", "number": "DECIMAL(38, 9)", "object": "JSON"}

Tables = Mapping[str, Sequence[dict[str, Any]]]
"""Rows by the name of the table."""


def sql_type(schema: Mapping[str, Any]) -> str:
    """As it is in the tables of PyAirbyte and of the example: `test_warehouses.py` looks at these."""
    kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    [kind] = [kind for kind in kinds if kind != "null"]
    return "TIMESTAMP" if schema.get("format") == "date-time" else TYPES[kind]


def fill_duckdb(path: Path, tables: Tables) -> str:
    import duckdb

    with duckdb.connect(str(path)) as connection:
        for name, rows in tables.items():
            types = {column: sql_type(schema) for column, (schema, _) in KINDS[name.rpartition("_")[2]].items()}
            connection.execute(f"CREATE TABLE {name} ({', '.join(map(' '.join, types.items()))})")
            lines = path.with_suffix(".jsonl")
            lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
            if rows:
                connection.execute(f"INSERT INTO {name} SELECT * FROM read_json('{lines}', columns={types})")
    return str(path)


def fill_postgres(url: str, schema: str, tables: Tables) -> None:
    import psycopg2

    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE SCHEMA {schema}; SET search_path TO {schema}; SET timezone TO 'UTC'")
            for name, rows in tables.items():
                columns = KINDS[name.rpartition("_")[2]].items()
                types = ", ".join(f"{column} {sql_type(described)}" for column, (described, _) in columns)
                cursor.execute(f"CREATE TABLE {name} ({types})")
                cursor.execute(
                    f"INSERT INTO {name} SELECT * FROM json_populate_recordset(NULL::{name}, %s)", [json.dumps(rows)]
                )
    finally:
        connection.close()
