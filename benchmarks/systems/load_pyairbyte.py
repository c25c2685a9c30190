"""The example with PyAirbyte, for some streams: `python load_pyairbyte.py SETTINGS FOLDER STREAM ...`.

No stream selects all. It loads into FOLDER/documents.duckdb, with the example's own loader; the example's queries are
left out.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

_FOLDER = Path(sys.argv[2])
# PyAirbyte reads these when it is imported, and keeps the files of a load in its cache root.
os.environ.update(AIRBYTE_LOGGING_ROOT=str(_FOLDER / "logs"), AIRBYTE_CACHE_ROOT=str(_FOLDER / "cache"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

import airbyte  # noqa: E402
from to_duckdb_or_postgres import open_warehouse  # noqa: E402


def main() -> None:
    """Sync once."""
    source = airbyte.get_source(
        "source-docextract",
        local_executable=Path(sys.executable).with_name("source-docextract"),
        config=json.loads(Path(sys.argv[1]).read_bytes()),
    )
    with open_warehouse(str(_FOLDER / "documents.duckdb")) as cache:
        streams = sys.argv[3:] or source.get_available_streams()
        source.read(cache, streams=streams, skip_validation=True)


if __name__ == "__main__":
    main()
