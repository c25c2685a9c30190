"""Brings documents into DuckDB or PostgreSQL, at each run only what is new, and asks the tables a few questions.

    pip install . 'airbyte>=0.69,<1'
    python examples/to_duckdb_or_postgres.py documents.duckdb --config config.json
    python examples/to_duckdb_or_postgres.py postgresql://me:secret@localhost:5432/warehouse --config config.json

The config file holds the settings that README.md lists. Keys need not be in it: EXTRACTA_API_KEY, DOCMAP_API_KEY,
SENSIBLE_API_KEY, ATLAS_CLIENT_ID and ATLAS_CLIENT_SECRET are taken from the environment. To try it without any key,
start `docextract-sandbox` in another terminal and write --sandbox instead of --config.

Run it as often as you like: what the connector has to remember lies beside the data, in the table _airbyte_state.
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

# To be set before PyAirbyte is imported: it would look the connector up in Airbyte's registry, where it is not.
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

SCHEMA = "docextract"  # of the tables in PostgreSQL; in a DuckDB file of one's own none is needed

CREDENTIAL_KEYS = {
    "extracta": ("api_key",),
    "docmap": ("api_key",),
    "sensible": ("api_key",),
    "atlas": ("client_id", "client_secret"),
}

# SQL that both databases understand. Tables of one kind have the same columns, so {files} stands for those of all
# providers, as {results} does. JSON is taken apart by -> and ->>; what ->> gives is text, to be cast where it is more.
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
    options = _build_parser().parse_args()
    settings = read_settings(options)
    with open_warehouse(options.warehouse) as cache:
        try:
            failures = sync(settings, cache)
        except PyAirbyteError:
            print("Nothing was synced. What is wrong with the settings is told above.")
            return 1
        try:
            print_queries(cache)
        except RuntimeError as error:  # in which PyAirbyte wraps what the database said
            print(f"\nThe tables cannot be asked ({describe_error(error)}).")
    for group, reason in failures.items():
        print(f"\nNot synced: {group} ({reason}). The others were synced; the next run catches up.")
    return 1 if failures else 0


def read_settings(options: argparse.Namespace) -> dict[str, Any]:
    """The connector's settings, with the keys that are in the environment."""
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
    """Load what is new. Return the providers that failed, each with the reason.

    One provider after the other, since PyAirbyte keeps nothing at all of a read in which one stream has failed.
    """
    connector = Path(sys.executable).with_name("source-docextract")  # where pip puts it
    source = airbyte.get_source("source-docextract", local_executable=connector, config=dict(settings))
    streams = source.get_available_streams()
    groups = {
        provider: [stream for stream in streams if stream.startswith(f"{provider}_")] for provider in CREDENTIAL_KEYS
    }
    groups["tables with names of your own"] = [stream for stream in streams if stream not in chain(*groups.values())]
    failures = {}
    for group, group_streams in groups.items():
        try:
            if group_streams:
                source.read(
                    cache, streams=group_streams, skip_validation=True
                )  # the connector validates its settings itself
        except Exception as error:  # whatever it is, the other providers are loaded all the same
            failures[group] = describe_error(error)
    return failures


def describe_error(error: Exception) -> str:
    """Return what the database said, without the SQL; the connector's own errors stand in the log above."""
    if isinstance(error, PyAirbyteError):
        return f"{error.get_message()} See the log above".replace("..", ".")
    database_message = re.search(r"\(\w*(?:duckdb|psycopg2)[\w.]*\) (.+)", str(error))
    return (
        (database_message[1] if database_message else f"{type(error).__name__}: {error}")
        .splitlines()[0][:300]
        .rstrip(".")
    )


def print_queries(cache: CacheBase) -> None:
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
    """A PostgreSQL server by its URL, or a DuckDB file by its path."""
    if "://" not in target:
        cache = JsonDuckDBCache(db_path=Path(target))
        cache.execute_sql("SET threads = 1")  # of small tables PyAirbyte asks a lot: more take twice as long over that
        return cache
    try:
        url = make_url(target)
    except (ArgumentError, ValueError):  # their words quote it, and with it the password
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


# What PyAirbyte (0.71) leaves to be done. If you need none of it, take its DuckDBCache as it is.


class _JsonLoadingMixin:
    """Loads files into a new table, for PyAirbyte to merge into the table of the stream.

    Attributes:
        number: the type of a column of numbers. PyAirbyte's DECIMAL(38, 9) has no room for 1e30.
    """

    number_type: TypeEngine[Any]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.type_converter = SQLTypeConverter({**CONVERSION_MAP, "number": self.number_type})

    def _write_files_to_new_table(self, files: list[Path], stream_name: str, batch_id: str) -> str:
        table_name: str = self._create_table_for_loading(stream_name, batch_id)
        try:
            self._fill(table_name, files, stream_name)
            self._delete_superseded_rows(table_name)
            self._widen_changed_columns(self.get_sql_table_name(stream_name), table_name)
        except Exception:
            with suppress(Exception):  # the first error is the one to report
                self._drop_temp_table(table_name)
            raise
        return table_name

    def _delete_superseded_rows(self, table_name: str) -> None:
        """A row that changes while it is read can come twice in one read, and PyAirbyte would insert both."""
        table = self._fully_qualified(table_name)
        self._execute_sql(
            f"DELETE FROM {table} AS one USING {table} AS later "
            "WHERE one.id = later.id AND one._airbyte_raw_id < later._airbyte_raw_id"
        )

    def _widen_changed_columns(self, table: str, loaded_table: str) -> None:
        """Give the columns whose type has changed one that holds both: a wider number, else text.

        PyAirbyte adds new columns and changes none, so that a number which became text would block every later load.
        """
        changed_columns_query = text(
            "SELECT old.column_name AS name, old.data_type AS before, new.data_type AS now "
            "FROM information_schema.columns AS old JOIN information_schema.columns AS new "
            "ON new.table_schema = old.table_schema AND new.column_name = old.column_name "
            "WHERE old.table_schema = :schema AND old.table_name = :table AND new.table_name = :loaded "
            "AND old.data_type NOT IN ('VARCHAR', 'character varying') AND "  # which hold everything
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
        """In quotes, since a field may be called like a word of SQL."""
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
    """PyAirbyte reads rows with pandas, which takes '007' for 7 and rounds long fractions. PostgreSQL does neither."""

    number_type = NUMERIC()

    def _insert_json_files(self, table_name: str, files: list[Path], stream_name: str) -> None:
        table = self._fully_qualified(table_name)
        insert = text(f"INSERT INTO {table} SELECT * FROM json_populate_recordset(NULL::{table}, :rows)")
        with self.get_sql_connection() as connection:
            for file in files:
                with gzip.open(file, "rt", encoding="utf-8") as lines:
                    for portion in _split_portions(lines):
                        # A text in PostgreSQL cannot hold the character NUL.
                        rows_json = re.sub(r"(?<!\\)((?:\\\\)*)\\u0000", r"\1", f"[{','.join(portion)}]")
                        connection.execute(insert, {"rows": rows_json})


def _split_portions(
    lines: Iterable[str], max_rows: int = 1000, max_characters: int = 10_000_000
) -> Iterator[list[str]]:
    """Yield lines so many at a time, or fewer where they are long."""
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
    _sql_processor_class = _DuckDBJsonProcessor


class JsonPostgresCache(PostgresCache):
    """Takes a whole URL, with sslmode and whatever else a server asks for."""

    _sql_processor_class = _PostgresJsonProcessor
    url: SecretString

    def get_sql_alchemy_url(self) -> SecretString:
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
