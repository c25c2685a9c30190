"""A warehouse that is asked what the recipes ask: a DuckDB file or a PostgreSQL database, left as it is."""

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

from source_docextract.columns import BATCHES, FIELDS, FILES, RESULTS, Column
from source_docextract.plain import plain

from . import Trouble
from .address import address

RECIPES = Path(__file__).parent.parent / "recipes"
PROVIDERS = ("extracta", "extracta_classification", "docmap", "sensible", "atlas")

Row = dict[str, Any]
Answers = dict[str, list[Row]]
"""Rows by the name of the recipe."""

_SETTINGS = re.compile(r"^WITH settings AS \(SELECT (.+)\)", flags=re.MULTILINE)
_WITH_THRESHOLDS = ("to_review", "stuck")

_KINDS: Mapping[str, Mapping[str, Column]] = {"batches": BATCHES, "files": FILES, "results": RESULTS, "fields": FIELDS}
_CLOSED = {
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
}
"""DuckDB's settings for a file that a stranger may have made.

A view in it could read any file or address of this machine, and would put the content into the report."""
_TYPES = {"string": "VARCHAR", "integer": "BIGINT", "number": "DECIMAL(38, 9)", "object": "JSON"}


def recipes() -> dict[str, str]:
    """SQL by its name."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(RECIPES.glob("*.sql"))}


def thresholds() -> dict[str, str]:
    """Return the limits by which the recipes choose documents, as they stand in their first lines."""
    found: dict[str, str] = {}
    for name in _WITH_THRESHOLDS:
        [settings] = _SETTINGS.findall(recipes()[name])
        found |= {column: value for value, column in (part.split(" AS ") for part in settings.split(", "))}
    return found


def ask(place: str, schema: str | None = None) -> Answers:
    """What all recipes say of a DuckDB file or of a database by its URL.

    Args:
        schema: of the tables; without one that in which the database looks by itself.

    Raises:
        Trouble: there is nothing to ask.
    """
    with connected(place, schema) as connection:
        return {
            name: [dict(row) for row in connection.execute(_as_is(sql)).mappings()] for name, sql in recipes().items()
        }


def _as_is(sql: str) -> TextClause:
    """A colon in it is no parameter."""
    return text(sql.replace(":", r"\:"))


@contextmanager
def connected(place: str, schema: str | None = None) -> Iterator[Connection]:
    """A connection that has all tables. Nothing is committed, and a DuckDB file is opened only to be read.

    Args:
        schema: of the tables; without one that in which the database looks by itself.

    Raises:
        Trouble: there is nothing to ask, or it does not answer.
    """
    try:
        where = address(place)
        if isinstance(where, URL):
            engine = create_engine(where, poolclass=NullPool)
        else:
            options = {"read_only": True, "config": _CLOSED}
            file = URL.create("duckdb", database=str(where))  # its name may hold any sign
            engine = create_engine(file, poolclass=NullPool, connect_args=options)
        with engine.connect() as connection:
            if schema is not None:
                quoted = connection.dialect.identifier_preparer.quote(schema)
                connection.exec_driver_sql(f"SET search_path = {quoted}")
            _stand_in_for_missing_tables(connection, is_file=not isinstance(where, URL))
            yield connection
    except (SQLAlchemyError, ArgumentError) as problem:
        # Not the error itself: it may repeat the URL, and with it a password.
        reason = str(getattr(problem, "orig", None) or "the address cannot be read").strip().splitlines()[0]
        raise Trouble(f"The warehouse cannot be asked: {plain(reason, 500)}") from None
    except ImportError as problem:
        raise Trouble(f"The warehouse cannot be asked: {problem.name} is not installed.") from None


def _stand_in_for_missing_tables(connection: Connection, *, is_file: bool) -> None:
    """A stream without rows may have no table; an empty one, for as long as this connection lasts, is as good."""
    wanted = {f"{provider}_{kind}": columns for provider in PROVIDERS for kind, columns in _KINDS.items()}
    found = connection.exec_driver_sql(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
    )
    missing = wanted.keys() - {name for (name,) in found}
    if len(missing) == len(wanted):
        where = "in that file" if is_file else "in that schema; name another one with --schema"
        raise Trouble(f"There is no table of this connector {where}.")
    for name in missing:
        columns = ", ".join(f"{column} {_type(schema)}" for column, (schema, _) in wanted[name].items())
        connection.exec_driver_sql(f"CREATE TEMPORARY TABLE {name} ({columns})")


def _type(schema: Mapping[str, Any]) -> str:
    if schema.get("format") == "date-time":
        return "TIMESTAMP"
    kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    return next(_TYPES[kind] for kind in kinds if kind != "null")
