"""Read-only access to a warehouse, and the recipes that query it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, TextClause, create_engine, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from source_docextract.core.products import PRODUCT_NAMES
from source_docextract.core.redaction import sanitize
from source_docextract.tables.columns import BATCHES, FIELDS, FILES, RESULTS, Column

from . import ReportError
from .address import parse_address

RECIPES_FOLDER = Path(__file__).parent.parent / "recipes"

Row = dict[str, Any]
RecipeResults = dict[str, list[Row]]
"""Rows by the name of the recipe."""

_SETTINGS_CLAUSE = re.compile(r"^WITH settings AS \(SELECT (.+)\)", flags=re.MULTILINE)
_THRESHOLD_RECIPES = ("to_review", "stuck")

_COLUMNS_BY_KIND: Mapping[str, Mapping[str, Column]] = {
    "batches": BATCHES,
    "files": FILES,
    "results": RESULTS,
    "fields": FIELDS,
}
_RESTRICTED_CONFIG = {
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
}
"""DuckDB settings for a file from an unknown source.

Without them a view in the file could read any file or URL of this machine and put its content into the report.
"""
_SQL_TYPES = {"string": "VARCHAR", "integer": "BIGINT", "number": "DECIMAL(38, 9)", "object": "JSON"}


def load_recipes() -> dict[str, str]:
    """Return the SQL of all recipes by name."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(RECIPES_FOLDER.glob("*.sql"))}


def read_thresholds() -> dict[str, str]:
    """Return the thresholds in the recipes' `settings` by name."""
    limits: dict[str, str] = {}
    for name in _THRESHOLD_RECIPES:
        [settings] = _SETTINGS_CLAUSE.findall(load_recipes()[name])
        for setting in settings.split(", "):
            value, column = setting.split(" AS ")
            limits[column] = value
    return limits


def run_recipes(location: str, schema: str | None = None) -> RecipeResults:
    """Run all recipes and return their rows by recipe.

    Args:
        location: A DuckDB file or the URL of a database.
        schema: Schema of the tables; None takes the database's default.

    Raises:
        ReportError: The warehouse cannot be queried or has no table of this connector.
    """
    recipe_results: RecipeResults = {}
    with connect(location, schema) as connection:
        for name, sql in load_recipes().items():
            recipe_results[name] = [dict(row) for row in connection.execute(_escape_colons(sql)).mappings()]
    return recipe_results


def _escape_colons(sql: str) -> TextClause:
    """Return SQL in which SQLAlchemy takes no colon for a parameter."""
    return text(sql.replace(":", r"\:"))


@contextmanager
def connect(location: str, schema: str | None = None) -> Iterator[Connection]:
    """Yield a connection on which all tables exist.

    Nothing is committed, and a DuckDB file is opened read-only.

    Args:
        location: A DuckDB file or the URL of a database.
        schema: Schema of the tables; None takes the database's default.

    Raises:
        ReportError: The warehouse cannot be queried or has no table of this connector.
    """
    try:
        resolved_location = parse_address(location)
        if isinstance(resolved_location, URL):
            engine = create_engine(resolved_location, poolclass=NullPool)
        else:
            connect_args = {"read_only": True, "config": _RESTRICTED_CONFIG}
            database_url = URL.create("duckdb", database=str(resolved_location))  # a file name may hold any character
            engine = create_engine(database_url, poolclass=NullPool, connect_args=connect_args)
        with engine.connect() as connection:
            if schema is not None:
                quoted_schema = connection.dialect.identifier_preparer.quote(schema)
                connection.exec_driver_sql(f"SET search_path = {quoted_schema}")
            _create_missing_tables(connection, is_file=not isinstance(resolved_location, URL))
            yield connection
    except (SQLAlchemyError, ArgumentError) as error:
        # The text of the outer error may repeat the URL and its password; that of the driver's error is sanitized.
        reason = str(getattr(error, "orig", None) or "the address cannot be read").strip().splitlines()[0]
        raise ReportError(f"The warehouse cannot be asked: {sanitize(reason, 500)}") from None
    except ImportError as error:
        raise ReportError(f"The warehouse cannot be asked: {error.name} is not installed.") from None


def _create_missing_tables(connection: Connection, *, is_file: bool) -> None:
    """Create an empty temporary table for each stream without one.

    A destination may create no table for a stream without rows, and the recipes read the tables of all providers.
    """
    expected_tables: dict[str, Mapping[str, Column]] = {}
    for product in PRODUCT_NAMES:
        expected_tables |= {f"{product}_{kind}": columns for kind, columns in _COLUMNS_BY_KIND.items()}
    existing_tables = connection.exec_driver_sql(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
    )
    missing_tables = expected_tables.keys() - {name for (name,) in existing_tables}
    if len(missing_tables) == len(expected_tables):
        location_hint = "in that file" if is_file else "in that schema; name another one with --schema"
        raise ReportError(f"There is no table of this connector {location_hint}.")
    for name in missing_tables:
        columns = ", ".join(
            f"{column} {_get_sql_type(schema)}" for column, (schema, _) in expected_tables[name].items()
        )
        connection.exec_driver_sql(f"CREATE TEMPORARY TABLE {name} ({columns})")


def _get_sql_type(schema: Mapping[str, Any]) -> str:
    if schema.get("format") == "date-time":
        return "TIMESTAMP"
    type_names = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    return next(_SQL_TYPES[type_name] for type_name in type_names if type_name != "null")
