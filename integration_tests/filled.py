"""Warehouses that are filled without PyAirbyte, which takes its time: the same tables, the same rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from docextract_sandbox import Clock, Sandbox, serve
from source_docextract.tables.columns import BATCHES, FIELDS, FILES, RESULTS
from unit_tests.support.harness import Connection

KINDS = {"batches": BATCHES, "files": FILES, "results": RESULTS, "fields": FIELDS}
TYPES = {"string": "VARCHAR", "integer": "BIGINT", "number": "DOUBLE PRECISION", "object": "JSON"}

Row = dict[str, Any]
Tables = Mapping[str, Sequence[Row]]
"""Rows by the name of the table."""


def build_demo_settings(sandbox: Sandbox, url: str) -> dict[str, Any]:
    """As in the demo: what comes late to a batch is delivered by the next sync."""
    return {**sandbox.build_settings(url), "lookback_checks": "every_sync"}


def sync_demo_twice(change_sandbox: Callable[[Sandbox], object]) -> tuple[Sandbox, Tables]:
    """The demo's world after its second sync, and the rows that a warehouse which upserts has then."""
    sandbox = Sandbox(Clock(datetime.now(timezone.utc), speed=0))
    sandbox.fill_demo()
    with serve(sandbox) as url:
        connection = Connection(sandbox, url, build_demo_settings(sandbox, url))
        assert connection.sync().error is None
        change_sandbox(sandbox)
        sandbox.fill_demo()
        while sandbox.extracta.finish(skip_stuck=True) + sandbox.classification.finish(skip_stuck=True):
            pass
        for world in (sandbox.atlas, sandbox.docmap, sandbox.sensible):
            world.finish(skip_stuck=True)
        sandbox.clock.advance(seconds=60)
        assert connection.sync().error is None
    return sandbox, {stream: list(rows.values()) for stream, rows in connection.warehouse.items()}


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
                types = ", ".join(f"{column} {sql_type(schema_of_column)}" for column, (schema_of_column, _) in columns)
                cursor.execute(f"CREATE TABLE {name} ({types})")
                cursor.execute(
                    f"INSERT INTO {name} SELECT * FROM json_populate_recordset(NULL::{name}, %s)", [json.dumps(rows)]
                )
    finally:
        connection.close()
