"""Hourly syncs of the connector in one process: `hourly_syncs.py CONFIG HOURS STREAM`.

The connector's clock moves on by an hour after each sync; each sync resumes from the states of the one before. The
messages of all syncs are printed.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import orjson
from airbyte_cdk.models import (
    AirbyteMessageSerializer,
    AirbyteStateMessage,
    ConfiguredAirbyteCatalogSerializer,
)

from source_docextract import SourceDocextract
from source_docextract.catalog import build_configured_catalog

_LOGGER = logging.getLogger("hourly_syncs")


def main(config_path: str, hours: str, stream_name: str) -> None:
    """Sync one stream now and after each of so many hours."""
    moment = datetime.now(timezone.utc)
    source = SourceDocextract(now=lambda: moment)
    config = json.loads(Path(config_path).read_bytes())
    catalog_json = build_configured_catalog(source.discover(_LOGGER, config).streams, [stream_name])
    catalog = ConfiguredAirbyteCatalogSerializer.load(catalog_json)
    states: list[AirbyteStateMessage] = []
    for _ in range(int(hours) + 1):
        for message in source.read(_LOGGER, config, catalog, states):
            if message.state:
                states = [message.state]
            sys.stdout.buffer.write(orjson.dumps(AirbyteMessageSerializer.dump(message)) + b"\n")
        moment += timedelta(hours=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
