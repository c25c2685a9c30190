"""Sync documents incrementally into DuckDB or PostgreSQL, and run a few queries.

    pip install . 'airbyte>=0.69,<1'
    python examples/to_duckdb_or_postgres.py documents.duckdb --config config.json
    python examples/to_duckdb_or_postgres.py postgresql://me:secret@localhost:5432/warehouse --config config.json

The config file holds the settings that README.md lists. Keys may be in the environment instead: EXTRACTA_API_KEY,
DOCMAP_API_KEY, SENSIBLE_API_KEY, ATLAS_CLIENT_ID and ATLAS_CLIENT_SECRET. To try it without any key, start
`docextract-sandbox` in another terminal and write --sandbox instead of --config.

Run it as often as you like: the connector's state is in the same database, in the table _airbyte_state.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.request import urlopen

# Set this before PyAirbyte is imported, which would otherwise look for the connector in Airbyte's registry.
os.environ.setdefault("AIRBYTE_OFFLINE_MODE", "1")

import airbyte
from airbyte._processors.sql.duckdb import DuckDBSqlProcessor
from airbyte._processors.sql.postgres import PostgresSqlProcessor
from airbyte.caches import DuckDBCache, PostgresCache
from airbyte.caches.base import CacheBase
from airbyte.exceptions import PyAirbyteError
from airbyte.secrets import SecretString
from airbyte.types import CONVERSION_MAP, SQLTypeConverter
from sqlalchemy import DOUBLE, NUMERIC, Table, make_url, text
from sqlalchemy.exc import ArgumentError
from sqlalchemy.types import TypeEngine

SCHEMA = "docextract"  # in PostgreSQL; a DuckDB file of its own needs no schema

CREDENTIAL_KEYS = {
    "extracta": ("api_key",),
    "docmap": ("api_key",),
    "sensible": ("api_key",),
    "atlas": ("client_id", "client_secret"),
}

# SQL that both databases run. Tables of one kind have the same columns, so {files} and {results} stand for the union of
# all providers' tables. `->` and `->>` read JSON; `->>` returns text, which the queries cast.
QUERIES = {
    "Documents by status": """
        SELECT provider, status, count(*) AS documents
        FROM {files} GROUP BY provider, status ORDER BY provider, status""",
    "Failure reasons": """
        SELECT provider, count(*) AS documents, error AS reason
        FROM {files} WHERE status = 'failed' GROUP BY provider, error ORDER BY 2 DESC, 1, 3 LIMIT 10""",
    "Documents by day": """
        SELECT CAST(completed_at AS DATE) AS day, count(*) AS documents, max(completed_at - created_at) AS slowest
        FROM {files} WHERE completed_at IS NOT NULL GROUP BY 1 ORDER BY 1 DESC LIMIT 5""",
    "The largest totals": """
        SELECT provider, file_name, CAST(total AS DECIMAL(18, 2)) AS total FROM (
            SELECT provider, file_name,
                coalesce(data ->> 'total', data ->> 'total_amount', data -> 'total' ->> 'value') AS total
            FROM {results}) AS totals
        WHERE total ~ '^[0-9]{{1,9}}([.][0-9]+)?$' ORDER BY 3 DESC, 1, 2 LIMIT 5""",
}
COLUMNS = {
    "files": "provider, status, error, created_at, completed_at",
    "results": "provider, file_name, data",
}


def main() -> int:
    """Sync, and print the results of the queries; return the exit code."""
    options = _build_parser().parse_args()
    settings = read_settings(options)
    with open_warehouse(options.warehouse) as cache:
        try:
            failures = sync(settings, cache)
        except PyAirbyteError:
            print("Nothing was synced. The log above shows which settings are wrong.")
            return 1
        try:
            print_queries(cache)
        except RuntimeError as error:  # PyAirbyte wraps errors of the database in it
            print(f"\nThe tables cannot be queried ({describe_error(error)}).")
    for group, reason in failures.items():
        print(f"\nNot synced: {group} ({reason}). The others were synced; the next run catches up.")
    return 1 if failures else 0


def read_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return the connector's settings, with keys from the environment."""
    if options.sandbox:
        with urlopen(f"{options.sandbox}/_sandbox/settings", timeout=30) as response:
            return dict(json.load(response))
    settings: dict[str, Any] = json.loads(options.config.read_text(encoding="utf-8")) if options.config else {}
    for provider, keys in CREDENTIAL_KEYS.items():
        environment_keys = {
            key: os.environ[name] for key in keys if (name := f"{provider}_{key}".upper()) in os.environ
        }
        if environment_keys:
            settings[provider] = {**settings.get(provider, {}), **environment_keys}
    return settings


def sync(settings: Mapping[str, Any], cache: CacheBase) -> dict[str, str]:
    """Load new rows; return the providers that failed, with reasons.

    Each provider is a read of its own, since PyAirbyte discards a whole read if one of its streams fails.
    """
    connector = Path(sys.executable).with_name("source-docextract")  # pip installs it beside Python
    source = airbyte.get_source("source-docextract", local_executable=connector, config=dict(settings))
    streams = source.get_available_streams()
    groups: dict[str, list[str]] = {}
    for provider in CREDENTIAL_KEYS:
        groups[provider] = [stream for stream in streams if stream.startswith(f"{provider}_")]
    groups["tables with names of your own"] = [stream for stream in streams if stream not in chain(*groups.values())]
    failures = {}
    for group, group_streams in groups.items():
        try:
            if group_streams:
                # The connector validates its settings itself.
                source.read(cache, streams=group_streams, skip_validation=True)
        except Exception as error:  # any failure of one provider must not keep the others from loading
            failures[group] = describe_error(error)
    return failures


def describe_error(error: Exception) -> str:
    """Return the database's message without the SQL.

    The connector's own errors are in the log above.
    """
    if isinstance(error, PyAirbyteError):
        return f"{error.get_message()} See the log above".replace("..", ".")
    database_message = re.search(r"\(\w*(?:duckdb|psycopg2)[\w.]*\) (.+)", str(error))
    message = database_message[1] if database_message else f"{type(error).__name__}: {error}"
    return message.splitlines()[0][:300].rstrip(".")


def print_queries(cache: CacheBase) -> None:
    """Print the results of all queries."""
    tables = cache.run_sql_query(
        f"SELECT table_name FROM information_schema.tables WHERE table_schema = '{cache.schema_name}' ORDER BY 1"
    )
    table_names = [table["table_name"] for table in tables]
    unions = {}
    for kind, columns in COLUMNS.items():
        kind_tables = [
            f"{product}_{kind}"
            for product in (*CREDENTIAL_KEYS, "extracta_classification")
            if f"{product}_{kind}" in table_names
        ]
        selects = [f"SELECT {columns} FROM {cache.schema_name}.{name}" for name in kind_tables]
        unions[kind] = f"({' UNION ALL '.join(selects)}) AS {kind}" if selects else ""
    for title, query in QUERIES.items() if all(unions.values()) else ():
        print(f"\n{title}")
        for row in cache.run_sql_query(query.format(**unions)):
            print("  " + "  ".join(str(value) for value in row.values() if value is not None))


def open_warehouse(target: str) -> CacheBase:
    """Return a cache for a PostgreSQL database or a DuckDB file."""
    if "://" not in target:
        cache = JsonDuckDBCache(db_path=Path(target))
        # PyAirbyte runs many queries on small tables, which take twice as long with more than one thread.
        cache.execute_sql("SET threads = 1")
        return cache
    try:
        url = make_url(target)
    except (ArgumentError, ValueError):  # the text of these errors quotes the URL and its password
        sys.exit("The address of the database cannot be read; write it like postgresql://user:password@host/database.")
    if url.get_backend_name() not in {"postgresql", "postgres"}:
        sys.exit("The address is not one of PostgreSQL, which begins with postgresql://.")
    url = url.set(drivername="postgresql")
    location = {"host": url.host or "", "port": url.port or 5432, "database": url.database or ""}
    return JsonPostgresCache(
        url=SecretString(url.render_as_string(hide_password=False)),
        username=url.username or "",
        password=SecretString(url.password or ""),
        schema_name=SCHEMA,
        **location,
    )


# Extensions of PyAirbyte (0.71): exact numbers, changed column types, duplicate rows, long lines. Without a need for
# these, use its DuckDBCache.


class _JsonLoadingMixin:
    """A loader of files into a new table, which PyAirbyte merges.

    Attributes:
        number_type: Type of number columns. PyAirbyte's DECIMAL(38, 9) cannot hold 1e30.
    """

    number_type: TypeEngine[Any]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.type_converter = SQLTypeConverter({**CONVERSION_MAP, "number": self.number_type})

    def _write_files_to_new_table(self, files: list[Path], stream_name: str, batch_id: str) -> str:
        table_name: str = self._create_table_for_loading(stream_name, batch_id)
        try:
            self._insert_json_files(table_name, files, stream_name)
            self._delete_superseded_rows(table_name)
            self._widen_changed_columns(self.get_sql_table_name(stream_name), table_name)
        except Exception:
            with suppress(Exception):  # the first error is the one to report
                self._drop_temp_table(table_name)
            raise
        return table_name

    def _delete_superseded_rows(self, table_name: str) -> None:
        """Delete the older versions of a row that changed during the read.

        PyAirbyte would insert all of them.
        """
        table = self._fully_qualified(table_name)
        self._execute_sql(
            f"DELETE FROM {table} AS earlier USING {table} AS later "
            "WHERE earlier.id = later.id AND earlier._airbyte_raw_id < later._airbyte_raw_id"
        )

    def _widen_changed_columns(self, table: str, loaded_table: str) -> None:
        """Change columns of changed type to a wider number, or to text.

        PyAirbyte adds new columns but changes none, so a number that becomes text would fail every later load.
        """
        changed_columns_query = text(
            "SELECT old.column_name AS name, old.data_type AS before, new.data_type AS now "
            "FROM information_schema.columns AS old JOIN information_schema.columns AS new "
            "ON new.table_schema = old.table_schema AND new.column_name = old.column_name "
            "WHERE old.table_schema = :schema AND old.table_name = :table AND new.table_name = :loaded "
            "AND old.data_type NOT IN ('VARCHAR', 'character varying') AND "  # which hold all values
            "(old.data_type <> new.data_type OR old.numeric_precision IS DISTINCT FROM new.numeric_precision)"
        )
        query_parameters = {"schema": self.sql_config.schema_name, "table": table, "loaded": loaded_table}
        with self.get_sql_connection() as connection:
            for column in connection.execute(changed_columns_query, query_parameters).all():
                are_numbers = all(re.match("(?i)decimal|numeric|double|bigint", type_name) for type_name in column[1:])
                wider_type = self.number_type if are_numbers else "VARCHAR"
                connection.execute(
                    text(f'ALTER TABLE {self._fully_qualified(table)} ALTER COLUMN "{column.name}" TYPE {wider_type}')
                )
        self._invalidate_table_cache(table)

    def _add_column_to_table(self, table: Table, column_name: str, column_type: TypeEngine[Any]) -> None:
        """Add a column with a quoted name: a field may be called like an SQL keyword."""
        self._execute_sql(f'ALTER TABLE {self._fully_qualified(table.name)} ADD COLUMN "{column_name}" {column_type}')


class _DuckDBJsonProcessor(_JsonLoadingMixin, DuckDBSqlProcessor):
    number_type = DOUBLE()

    def _insert_json_files(self, table_name: str, files: list[Path], stream_name: str) -> None:
        columns = self._get_sql_column_definitions(stream_name)
        types = ", ".join(f"'{column}': '{type_name}'" for column, type_name in columns.items())
        paths = ", ".join("'{}'".format(str(file).replace("'", "''")) for file in files)
        # DuckDB's default limit for a line is 16 MB.
        longest_line_bytes = max(map(_measure_longest_line, files))
        self._execute_sql(
            f"INSERT INTO {self._fully_qualified(table_name)} BY NAME SELECT * FROM read_json("
            f"[{paths}], format = 'newline_delimited', columns = {{{types}}}, "
            f"maximum_object_size = {max(longest_line_bytes, 16_000_000)})"
        )


def _measure_longest_line(file: Path) -> int:
    with gzip.open(file) as lines:
        return max(map(len, lines), default=0)


class _PostgresJsonProcessor(_JsonLoadingMixin, PostgresSqlProcessor):
    """A loader in which PostgreSQL parses the JSON.

    Pandas, PyAirbyte's way, reads '007' as 7 and rounds fractions.
    """

    number_type = NUMERIC()

    def _insert_json_files(self, table_name: str, files: list[Path], stream_name: str) -> None:
        table = self._fully_qualified(table_name)
        insert = text(f"INSERT INTO {table} SELECT * FROM json_populate_recordset(NULL::{table}, :rows)")
        with self.get_sql_connection() as connection:
            for file in files:
                with gzip.open(file, "rt", encoding="utf-8") as lines:
                    for portion in _split_portions(lines):
                        # PostgreSQL's text cannot hold the character NUL.
                        rows_json = re.sub(r"(?<!\\)((?:\\\\)*)\\u0000", r"\1", f"[{','.join(portion)}]")
                        connection.execute(insert, {"rows": rows_json})


def _split_portions(
    lines: Iterable[str], max_rows: int = 1000, max_characters: int = 10_000_000
) -> Iterator[list[str]]:
    """Yield lists of lines, limited in number and in total length."""
    portion: list[str] = []
    size = 0
    for line in lines:
        if portion and (len(portion) == max_rows or size + len(line) > max_characters):
            yield portion
            portion, size = [], 0
        portion.append(line)
        size += len(line)
    if portion:
        yield portion


class JsonDuckDBCache(DuckDBCache):
    """A DuckDB cache with the loader above."""

    _sql_processor_class = _DuckDBJsonProcessor


class JsonPostgresCache(PostgresCache):
    """A PostgreSQL cache that takes a whole URL, with parameters such as sslmode."""

    _sql_processor_class = _PostgresJsonProcessor
    url: SecretString

    def get_sql_alchemy_url(self) -> SecretString:
        """Return the URL."""
        return self.url


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("warehouse", help="a DuckDB file, or the URL of a PostgreSQL database")
    settings_group = parser.add_mutually_exclusive_group()
    settings_group.add_argument("--config", type=Path, help="a JSON file with the connector's settings")
    settings_group.add_argument(
        "--sandbox", nargs="?", const="http://127.0.0.1:8787", metavar="URL", help="a sandbox's address"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
