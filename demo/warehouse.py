"""Queries on the demo's DuckDB file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

Row = dict[str, Any]

STREAM_KINDS = ("batches", "files", "results", "fields")

_EXAMPLE_PARTITIONS = {
    "batches": "status = 'complete', coalesce(files_failed, 0) = 0",
    "files": "status = 'processed', status = 'pending'",
    "results": "coalesce(document_type, template_id)",
    "fields": "unit IS NULL, confidence IS NULL, number_value IS NULL, position IS NULL",
}
"""Expressions by kind of stream: examples differ in these, and those that sort first are the most useful."""


def get_kind(stream: str) -> str:
    """Return the kind of a stream, such as `results` for `extracta_results`.

    It determines the columns.
    """
    return stream.rsplit("_", 1)[-1]


def get_provider(stream: str) -> str:
    """Return the provider of a stream, such as `extracta` for `extracta_results`."""
    return stream.rsplit("_", 1)[0]


def build_files_query(streams: Sequence[str]) -> str:
    """Return SQL that counts the files of all providers by status and reason.

    It is standard SQL, which other warehouses run too.
    """
    selects = [f"SELECT * FROM {stream}" for stream in streams if get_kind(stream) == "files"]
    select_pairs = [" UNION ALL ".join(selects[start : start + 2]) for start in range(0, len(selects), 2)]
    lines = (
        "",
        "    SELECT provider, status, count(*) AS files, error AS reason FROM (",
        *(
            f"      {select_pair}{' UNION ALL' if select_pair != select_pairs[-1] else ''}"
            for select_pair in select_pairs
        ),
        "    ) AS every_file GROUP BY provider, status, error ORDER BY provider, status, files DESC, reason",
    )
    return "\n".join(lines)


class Warehouse:
    """The DuckDB file of the demo, opened for each query only.

    `since_ms` is a time in milliseconds since 1970: only rows observed from then on count.
    """

    def __init__(self, path: Path) -> None:
        """Read the file at `path`, which need not exist yet."""
        self._path = path

    def fetch_rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run a query and return its rows by column name."""
        # The demo promises to need no network: DuckDB must not download extensions.
        config: dict[str, Any] = {"autoinstall_known_extensions": False}
        with duckdb.connect(str(self._path), read_only=True, config=config) as connection:
            cursor = connection.execute(sql, list(parameters))
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def count_rows(self, streams: Sequence[str], since_ms: int = 0) -> dict[str, int]:
        """Return the number of rows of each stream; 0 for a stream without a table."""
        row_counts = dict.fromkeys(streams, 0)
        sql = "SELECT count(*) AS n FROM {} WHERE epoch_ms(observed_at) >= ?"
        for stream in self._list_tables() & set(streams):
            [row] = self.fetch_rows(sql.format(_quote_name(stream)), [since_ms])
            row_counts[stream] = row["n"]
        return row_counts

    def fetch_examples(self, stream: str, since_ms: int, limit: int) -> list[Row]:
        """Return a few rows that differ as much as possible."""
        partition_columns = _EXAMPLE_PARTITIONS[get_kind(stream)]
        order = "id" if get_kind(stream) == "fields" else "created_at DESC NULLS LAST, id"
        return self.fetch_rows(
            f"SELECT *, row_number() OVER (PARTITION BY {partition_columns} ORDER BY {order}) AS nth "
            f"FROM {_quote_name(stream)} WHERE epoch_ms(observed_at) >= ? ORDER BY nth, {partition_columns} LIMIT ?",
            [since_ms, limit],
        )

    def fetch_batch_sizes(self, streams: Sequence[str]) -> dict[tuple[str, str], int]:
        """Return the number of files of each batch, by stream and id."""
        batch_sizes: dict[tuple[str, str], int] = {}
        for stream in self._list_existing(streams, "batches"):
            sql = f"SELECT id, files_total FROM {_quote_name(stream)} WHERE files_total IS NOT NULL"
            batch_sizes |= {(stream, row["id"]): row["files_total"] for row in self.fetch_rows(sql)}
        return batch_sizes

    def fetch_reviews(self, streams: Sequence[str]) -> dict[tuple[str, str], Row]:
        """Return the results that are or were under review, by stream and id."""
        reviews: dict[tuple[str, str], Row] = {}
        for stream in self._list_existing(streams, "results"):
            sql = f"SELECT * FROM {_quote_name(stream)} WHERE review_status IS NOT NULL"
            reviews |= {(stream, row["id"]): row for row in self.fetch_rows(sql)}
        return reviews

    def _list_existing(self, streams: Sequence[str], kind: str) -> list[str]:
        tables = self._list_tables()
        return [stream for stream in streams if get_kind(stream) == kind and stream in tables]

    def _list_tables(self) -> set[str]:
        return {row["name"] for row in self.fetch_rows("SHOW TABLES")} if self._path.exists() else set()


def _quote_name(stream: str) -> str:
    return '"' + stream.replace('"', '""') + '"'
