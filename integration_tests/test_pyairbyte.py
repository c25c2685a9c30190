"""The connector as PyAirbyte runs it: a process that is ended as soon as it has said what was asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from docextract_sandbox import NewDocument
from unit_tests.support.harness import frozen_sandbox

pytestmark = pytest.mark.skipif(
    find_spec("airbyte") is None, reason="PyAirbyte is not installed here; `make test` installs it in .venv-demo"
)

PROGRAM = """
import gc, json, sys
from pathlib import Path
import airbyte

executable = Path(sys.executable).with_name("source-docextract")
source = airbyte.get_source("source-docextract", local_executable=executable, config=json.loads(sys.argv[1]))
source.check()
print(len(source.get_available_streams()))
records = source.get_records("atlas_files")
print(next(iter(records))["provider"])
del records
gc.collect()
"""
PYAIRBYTE_LINES = ("Using local ", "Writing ", "Connection check succeeded", "FutureWarning: ")
"""How lines begin that PyAirbyte and the clients of Google's storage print whatever the connector does."""


def test_pyairbyte_read_stopped_early_leaves_standard_error_empty(tmp_path: Path) -> None:
    """Given more records than a pipe holds, when PyAirbyte reads the first one and ends the connector, then the
    connector dies of PyAirbyte's signal, of which nothing is printed."""
    data = {"document_type": "PAN", "name": {"value": "ASHA", "confidence_score": 0.9}}
    with frozen_sandbox() as (sandbox, url):
        batches = [
            sandbox.atlas.submit([NewDocument(f"{number}", 0, data) for number in range(200)]) for _ in range(10)
        ]
        atlas = {"batch_ids": batches, "base_url": sandbox.get_base_urls(url)["atlas"], **sandbox.credentials["atlas"]}
        result = subprocess.run(
            [sys.executable, "-c", PROGRAM, json.dumps({"atlas": atlas})],
            env={
                **os.environ,
                "AIRBYTE_OFFLINE_MODE": "1",
                "DO_NOT_TRACK": "1",
                "NO_LIVE_PROGRESS": "1",
                "AIRBYTE_LOGGING_ROOT": str(tmp_path),
                "NO_PROXY": "*",
            },
            capture_output=True,
            text=True,
            check=False,
        )

    assert (result.returncode, result.stdout) == (0, "4\natlas\n")
    lines = [line for line in result.stderr.splitlines() if line and not line.startswith(("/", *PYAIRBYTE_LINES))]
    assert lines == []
