"""What is in the DuckDB file."""

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
"""By kind of stream: rows that differ in this make good examples, those that come first in it the best."""


def get_kind(stream: str) -> str:
    """`results` of `extracta_results`: the kind says which columns a stream has."""
    return stream.rsplit("_", 1)[-1]


def get_provider(stream: str) -> str:
    """`extracta` of `extracta_results`."""
    return stream.rsplit("_", 1)[0]


def build_files_query(streams: Sequence[str]) -> str:
    """Return a question to all tables of files, laid out to be printed: how many have which status, and why.

    Any warehouse would take it.
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
    """Reads the file that a sync has written. Opened for each question, since a sync needs it for itself.

    `since` is a time in milliseconds since 1970: only rows that were read from then on.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def fetch_rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        # Without extensions from afar: nothing here needs one.
        config: dict[str, Any] = {"autoinstall_known_extensions": False}
        with duckdb.connect(str(self._path), read_only=True, config=config) as connection:
            cursor = connection.execute(sql, list(parameters))
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def count_rows(self, streams: Sequence[str], since_ms: int = 0) -> dict[str, int]:
        """Rows of each stream; 0 where there is no table as no row has ever come."""
        tables = self._list_tables()
        sql = "SELECT count(*) AS n FROM {} WHERE epoch_ms(observed_at) >= ?"
        return {
            stream: self.fetch_rows(sql.format(_quote_name(stream)), [since_ms])[0]["n"] if stream in tables else 0
            for stream in streams
        }

    def fetch_examples(self, stream: str, since_ms: int, limit: int) -> list[Row]:
        """A few rows, as different from one another as there are."""
        partition_columns = _EXAMPLE_PARTITIONS[get_kind(stream)]
        order = "id" if get_kind(stream) == "fields" else "created_at DESC NULLS LAST, id"
        return self.fetch_rows(
            f"SELECT *, row_number() OVER (PARTITION BY {partition_columns} ORDER BY {order}) AS nth "
            f"FROM {_quote_name(stream)} WHERE epoch_ms(observed_at) >= ? ORDER BY nth, {partition_columns} LIMIT ?",
            [since_ms, limit],
        )

    def fetch_batch_sizes(self, streams: Sequence[str]) -> dict[tuple[str, str], int]:
        """Files in each batch, by stream and id."""
        tables = self._list_tables()
        return {
            (stream, row["id"]): row["files_total"]
            for stream in streams
            if get_kind(stream) == "batches" and stream in tables
            for row in self.fetch_rows(
                f"SELECT id, files_total FROM {_quote_name(stream)} WHERE files_total IS NOT NULL"
            )
        }

    def fetch_reviews(self, streams: Sequence[str]) -> dict[tuple[str, str], Row]:
        """Results that a person reviews or has reviewed, by stream and id."""
        tables = self._list_tables()
        return {
            (stream, row["id"]): row
            for stream in streams
            if get_kind(stream) == "results" and stream in tables
            for row in self.fetch_rows(f"SELECT * FROM {_quote_name(stream)} WHERE review_status IS NOT NULL")
        }

    def _list_tables(self) -> set[str]:
        return {row["name"] for row in self.fetch_rows("SHOW TABLES")} if self._path.exists() else set()


def _quote_name(stream: str) -> str:
    return '"' + stream.replace('"', '""') + '"'
