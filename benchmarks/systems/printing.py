"""The cost of printing alone: `python printing.py OUTPUT STREAM ... [--cdk]`.

It reads the output of a sync in chunks and prints the records of the given streams again, as floor.py does, or with
--cdk as the CDK's entrypoint does. Its last line on standard error is the CPU time of the printing in seconds.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
from airbyte_cdk.entrypoint import AirbyteEntrypoint
from airbyte_cdk.logger import PRINT_BUFFER
from airbyte_cdk.models import AirbyteMessage, AirbyteRecordMessage, Type

_CHUNK_SIZE = 10_000


def main() -> None:
    """Print the records, and the CPU seconds that this took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("output", type=Path)
    parser.add_argument("streams", nargs="+")
    parser.add_argument("--cdk", action="store_true")
    options = parser.parse_args()
    print_records, seconds = _print_like_cdk if options.cdk else _print_plainly, 0.0
    records = _iter_records(options.output, set(options.streams))
    while chunk := list(islice(records, _CHUNK_SIZE)):
        started = time.process_time()
        print_records(chunk)
        sys.stdout.flush()
        seconds += time.process_time() - started
    print(seconds, file=sys.stderr)


def _iter_records(output: Path, streams: set[str]) -> Iterator[dict[str, Any]]:
    with output.open("rb") as lines:
        for line in lines:
            if line.startswith(b'{"type":"RECORD"'):
                record = orjson.loads(line)["record"]
                if record["stream"] in streams:
                    yield record


def _print_plainly(records: list[dict[str, Any]]) -> None:
    write, now = sys.stdout.buffer.write, int(time.time() * 1000)
    for source_record in records:
        record = {"stream": source_record["stream"], "data": source_record["data"], "emitted_at": now}
        write(orjson.dumps({"type": "RECORD", "record": record}) + b"\n")


def _print_like_cdk(records: list[dict[str, Any]]) -> None:
    now = int(time.time() * 1000)
    with PRINT_BUFFER:
        for source_record in records:
            record = AirbyteRecordMessage(stream=source_record["stream"], data=source_record["data"], emitted_at=now)
            message = AirbyteMessage(type=Type.RECORD, record=record)
            print(f"{AirbyteEntrypoint.airbyte_message_to_string(message)}\n", end="")


if __name__ == "__main__":
    main()
