"""The example with dlt, for some streams: `python load_dlt.py SETTINGS FOLDER STREAM ...`; no stream selects all.

It loads into FOLDER/documents.duckdb, and dlt keeps its files in FOLDER/dlt.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

import with_dlt


class SelectedStreamsReader(with_dlt.SyncReader):  # type: ignore[misc]
    """The example's reader, of the selected streams only: the example itself reads all."""

    def __init__(self, config: dict[str, Any]) -> None:
        """Select the streams of the command line."""
        super().__init__(config)
        selected_names = sys.argv[3:] or [stream.name for stream in self.streams]
        self.streams = [stream for stream in self.streams if stream.name in selected_names]


def main() -> None:
    """Sync once."""
    settings, folder = json.loads(Path(sys.argv[1]).read_bytes()), Path(sys.argv[2])
    with_dlt.SyncReader = SelectedStreamsReader
    print(with_dlt.load_documents(f"duckdb:///{folder / 'documents.duckdb'}", settings, str(folder / "dlt")))


if __name__ == "__main__":
    main()
