"""Load documents incrementally with dlt into DuckDB, PostgreSQL or Parquet files.

    pip install . 'dlt[duckdb,postgres,parquet]>=1.16'
    python examples/with_dlt.py duckdb:///documents.duckdb --config config.json
    python examples/with_dlt.py postgresql://me:secret@localhost:5432/warehouse --config config.json
    python examples/with_dlt.py file:///srv/documents --config config.json

Each stream is a dlt resource that is merged by `id`, and dlt's state holds the connector's. Parquet files cannot be
merged: they only grow, and among several rows with one `id` the one with the latest `observed_at` is current.
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
# dlt gives the streams turns: reading a limited number of messages in each bounds what waits between them.
MESSAGES_PER_TURN = 1000

Rows = list[dict[str, Any]]


class SyncReader:
    """One sync of all streams, which share the requests.

    Attributes:
        streams: All streams of the connector.
        rows_by_stream: Rows that have been read but not been passed to dlt.
        error: The error with which the sync ended, or None.
        messages: Iterator that reads one message at each step.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        """Discover the streams for these settings."""
        logger, source = logging.getLogger("docextract"), SourceDocextract()
        self.streams = source.discover(logger, config).streams
        self.rows_by_stream: defaultdict[str, Rows] = defaultdict(list)
        self.error: AirbyteTracedException | None = None
        self.messages = self.read(source, logger, config)

    def read(self, source: SourceDocextract, logger: logging.Logger, config: dict[str, Any]) -> Iterator[None]:
        """Sort messages: rows by stream, states into dlt's state."""
        states = dlt.current.source_state().setdefault("states", {})
        catalog = ConfiguredAirbyteCatalog(
            [
                ConfiguredAirbyteStream(stream, SyncMode.incremental, DestinationSyncMode.append)
                for stream in self.streams
            ]
        )
        try:
            last_states = list(map(AirbyteStateMessageSerializer.load, states.values()))
            for message in source.read(logger, config, catalog, last_states):
                if message.record:
                    self.rows_by_stream[message.record.stream].append(message.record.data)
                elif message.state:
                    name = message.state.stream.stream_descriptor.name
                    states[name] = AirbyteStateMessageSerializer.dump(message.state)
                yield
        except AirbyteTracedException as error:
            self.error = error  # keep the delivered rows: the states cover these and no others

    def iter_rows(self, stream: AirbyteStream) -> Iterator[Rows]:
        """Yield the rows of one stream; dlt gives each stream its turn."""
        is_more = True
        while is_more:
            is_more = len(list(islice(self.messages, MESSAGES_PER_TURN))) == MESSAGES_PER_TURN
            yield self.rows_by_stream.pop(stream.name, [])

    def build_resource(self, stream: AirbyteStream) -> Any:
        """Return one stream as a dlt resource, with the types of its schema."""
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
    """Return a pipeline into a database or a folder.

    Dlt keeps its files in `folder` or the home directory.
    """
    kind = target.split(":", 1)[0]
    if kind == "file":
        destination = dlt.destinations.filesystem(target)
    else:
        make_destination = dlt.destinations.duckdb if kind == "duckdb" else dlt.destinations.postgres
        destination = make_destination(target.removeprefix("duckdb:///") if kind == "duckdb" else target)
    return dlt.pipeline("docextract", pipelines_dir=folder, destination=destination, dataset_name="docextract")


def load_documents(target: str, config: dict[str, Any], folder: str | None = None) -> str:
    """Sync once and return the number of rows per table.

    Raises:
        AirbyteTracedException: A stream failed; the rows of the others have been loaded.
    """
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
    """Load the documents; return the exit code."""
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
