"""Loads documents with dlt into DuckDB, PostgreSQL or Parquet files; each run brings only what is new.

    pip install . 'dlt[duckdb,postgres,parquet]>=1.16'
    python examples/with_dlt.py duckdb:///documents.duckdb --config config.json
    python examples/with_dlt.py postgresql://me:secret@localhost:5432/warehouse --config config.json
    python examples/with_dlt.py file:///srv/documents --config config.json

Each stream is a dlt resource that is merged by `id`, and the connector's state lies in dlt's. Parquet files cannot be
merged: they only grow, and of several rows with one `id` the one with the latest `observed_at` counts.
"""

import argparse
import json
import logging
import sys
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import dlt
from airbyte_cdk.models import (
    AirbyteStateMessageSerializer,
    AirbyteStream,
    ConfiguredAirbyteCatalog,
    ConfiguredAirbyteStream,
    DestinationSyncMode,
    SyncMode,
)
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_docextract import SourceDocextract

DLT_TYPES = {"integer": "bigint", "number": "double", "boolean": "bool", "object": "json", "array": "json"}
MESSAGES_PER_TURN = (
    1000  # messages that are read while one stream has its turn: memory stays flat, however much there is
)

Rows = list[dict[str, Any]]


class SyncReader:
    """One sync of all streams. A page is asked for once, however many of them take rows from it."""

    def __init__(self, config: dict[str, Any]) -> None:
        logger, source = logging.getLogger("docextract"), SourceDocextract()
        self.streams = source.discover(logger, config).streams
        self.rows_by_stream: defaultdict[str, Rows] = defaultdict(list)
        self.error: AirbyteTracedException | None = None
        self.messages = self.read(source, logger, config)

    def read(self, source: SourceDocextract, logger: logging.Logger, config: dict[str, Any]) -> Iterator[None]:
        """Sort messages as they come: rows by stream, states into dlt's, which are stored together with the rows."""
        states = dlt.current.source_state().setdefault("states", {})
        catalog = ConfiguredAirbyteCatalog(
            [
                ConfiguredAirbyteStream(stream, SyncMode.incremental, DestinationSyncMode.append)
                for stream in self.streams
            ]
        )
        try:
            for message in source.read(
                logger, config, catalog, list(map(AirbyteStateMessageSerializer.load, states.values()))
            ):
                if message.record:
                    self.rows_by_stream[message.record.stream].append(message.record.data)
                elif message.state:
                    states[message.state.stream.stream_descriptor.name] = AirbyteStateMessageSerializer.dump(
                        message.state
                    )
                yield
        except AirbyteTracedException as error:
            self.error = error  # what was delivered counts all the same: the states cover that and no more

    def iter_rows(self, stream: AirbyteStream) -> Iterator[Rows]:
        """Yield the rows of one stream; dlt gives each stream its turn."""
        is_more = True
        while is_more:
            is_more = len(list(islice(self.messages, MESSAGES_PER_TURN))) == MESSAGES_PER_TURN
            yield self.rows_by_stream.pop(stream.name, [])

    def build_resource(self, stream: AirbyteStream) -> Any:
        """Return one stream as a dlt resource, with the types that its schema names. JSON stays JSON."""
        columns = {
            name: {"data_type": get_data_type(schema)} for name, schema in stream.json_schema["properties"].items()
        }
        options = {"write_disposition": "merge", "primary_key": "id", "columns": columns, "max_table_nesting": 0}
        return dlt.resource(self.iter_rows(stream), name=stream.name, **options)


def get_data_type(schema: dict[str, Any]) -> str:
    """Return dlt's name of a type such as `["null", "string"]`."""
    type_names = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    type_name = next(name for name in type_names if name != "null")
    return "timestamp" if schema.get("format") == "date-time" else DLT_TYPES.get(type_name, "text")


def create_pipeline(target: str, folder: str | None = None) -> dlt.Pipeline:
    """Return a pipeline into a database or a folder, by its address. dlt keeps its work in `folder`, or at home."""
    kind = target.split(":", 1)[0]
    if kind == "file":
        destination = dlt.destinations.filesystem(target)
    else:
        make_destination = dlt.destinations.duckdb if kind == "duckdb" else dlt.destinations.postgres
        destination = make_destination(target.removeprefix("duckdb:///") if kind == "duckdb" else target)
    return dlt.pipeline("docextract", pipelines_dir=folder, destination=destination, dataset_name="docextract")


def load_documents(target: str, config: dict[str, Any], folder: str | None = None) -> str:
    """Sync once. Return how many rows each table got; what failed is an error once the rest has been loaded."""
    reader = SyncReader(config)
    source = dlt.source(lambda: [reader.build_resource(stream) for stream in reader.streams], name="docextract")
    options = {"loader_file_format": "parquet"} if target.startswith("file:") else {}
    pipeline = create_pipeline(target, folder)
    pipeline.run(source(), **options)
    if reader.error:
        raise reader.error
    counts = pipeline.last_trace.last_normalize_info.row_counts if pipeline.last_trace.last_normalize_info else {}
    lines = [f"{table:<40}{count:>10,}" for table, count in sorted(counts.items()) if table[0] != "_"]
    return "\n".join(lines) or "nothing new"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", help="duckdb:///FILE, postgresql://… or file:///FOLDER")
    parser.add_argument("--config", required=True, type=Path, help="the connector's settings, a JSON file")
    options = parser.parse_args()
    try:
        print(load_documents(options.target, json.loads(options.config.read_text(encoding="utf-8"))))
    except AirbyteTracedException as error:
        print(error.message, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
