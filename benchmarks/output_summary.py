"""Summary of a run's output: `python -m benchmarks.output_summary FORMAT FOLDER`.

It prints JSON: `records` and `distinct` records by stream (by id, or batch and document), the number of states, their
bytes, those of each stream's last state, and those of the largest of these. It writes the last states to state.json.
Of a DuckDB file it prints `records` and `distinct` as they are in the tables, and the size of the file.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from .compared_systems import ENVIRONMENTS_FOLDER, SYSTEMS_FOLDER

Record = tuple[str, Mapping[str, Any]]
States = list[tuple[str, bytes]]


def airbyte(folder: Path, states: States) -> Iterator[Record]:
    """Yield the records of Airbyte messages, and write their states to state.json."""
    for line in _iter_lines(folder):
        if line.startswith((b'{"type":"RECORD"', b'{"type":"STATE"')):
            message = orjson.loads(line)
            if message["type"] == "RECORD":
                yield message["record"]["stream"], message["record"]["data"]
            else:
                state = message["state"]
                states.append((state["stream"]["stream_descriptor"]["name"], orjson.dumps(state)))
    last_states = dict(states)
    if last_states:
        (folder / "state.json").write_bytes(b"[" + b",".join(last_states.values()) + b"]")


def singer(folder: Path, states: States) -> Iterator[Record]:
    """Yield the records of Singer messages, append their states, and write state.json."""
    for line in _iter_lines(folder):
        message = orjson.loads(line)
        if message["type"] == "RECORD":
            yield message["stream"], message["record"]
        elif message["type"] == "STATE":
            states.append(("", orjson.dumps(message["value"])))
    if states:
        (folder / "state.json").write_bytes(states[-1][1])


def dlt(folder: Path, states: States) -> Iterator[Record]:
    """Yield the rows of the files that dlt's normalize step would read."""
    pipeline = folder / "documents"
    for path in sorted(pipeline.glob("normalize/extracted/*/new_jobs/documents.*")):
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
            for line in lines:
                yield from (("documents", {**row, "batch_id": row["_batches_batch_id"]}) for row in orjson.loads(line))
    states.append(("", (pipeline / "state.json").read_bytes()))


def count(folder: Path, _: States) -> Iterator[Record]:
    """Yield as many records as a silent system has counted."""
    for line in _iter_lines(folder):
        yield from (("documents", {"id": number}) for number in range(orjson.loads(line)["documents"]))


OUTPUT_READERS: dict[str, Callable[[Path, States], Iterator[Record]]] = {
    reader.__name__: reader for reader in (airbyte, singer, dlt, count)
}


def _iter_lines(folder: Path) -> Iterator[bytes]:
    with (folder / "output").open("rb") as lines:
        yield from lines


def _get_record_key(row: Mapping[str, Any]) -> object:
    return row["id"] if "id" in row else (row["batch_id"], row["document_id"])


def summarize_delivery(output_format: str, folder: Path) -> dict[str, Any]:
    """Return the numbers and sizes of a run's records and states."""
    if output_format == "duckdb":
        return _summarize_database(folder / "documents.duckdb")
    states: States = []
    records: Counter[str] = Counter()
    keys: defaultdict[str, set[object]] = defaultdict(set)
    for stream, row in OUTPUT_READERS[output_format](folder, states):
        records[stream] += 1
        keys[stream].add(_get_record_key(row))
    return {
        "records": dict(records),
        "distinct": {stream: len(stream_keys) for stream, stream_keys in keys.items()},
        "states": len(states),
        "state_bytes": sum(len(state) for _, state in states),
        "last_state_bytes": sum(map(len, dict(states).values())),
        "largest_state_bytes": max(map(len, dict(states).values()), default=0),
    }


def _summarize_database(path: Path) -> dict[str, Any]:
    """Return the numbers of rows in a DuckDB file, counted in an environment that has DuckDB."""
    python, script = ENVIRONMENTS_FOLDER / "load-dlt" / "bin" / "python", SYSTEMS_FOLDER / "count_rows.py"
    process = subprocess.run([str(python), str(script), str(path)], stdout=subprocess.PIPE, check=True)
    return {**json.loads(process.stdout), "file_bytes": path.stat().st_size}


if __name__ == "__main__":
    print(orjson.dumps(summarize_delivery(sys.argv[1], Path(sys.argv[2]))).decode())
