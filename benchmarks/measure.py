"""Measurement of one process, and the server of the world that it reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[1]
MAX_RUN_SECONDS = 3600
"""Seconds after which a process is killed and its row is void."""
_LAUNCHER_PATH = Path(__file__).with_name("launch.py")
_BYTES_PER_MB = 1024 * 1024


@dataclass(frozen=True)
class ProcessCost:
    """The cost of a process and its child processes in seconds and megabytes (1024²), and its exit code."""

    wall_seconds: float
    cpu_seconds: float
    peak_mb: float
    exit_code: int


def run_process(
    command: Sequence[str], output: Path, errors: Path, *, environment: Mapping[str, str] | None = None
) -> ProcessCost:
    """Run a command to its end and return its cost.

    Its output goes to files, since a process that reads a pipe would compete for the processor.
    """
    # Variables such as PYTHONDONTWRITEBYTECODE or PYTHONUNBUFFERED of the user's shell would change the figures.
    inherited_environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    launch_command = [
        sys.executable,
        "-I",
        "-S",
        str(_LAUNCHER_PATH),
        str(output),
        str(errors),
        str(MAX_RUN_SECONDS),
        *command,
    ]
    process = subprocess.run(
        launch_command,
        cwd=ROOT,
        env={**inherited_environment, **(environment or {})},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    wall, cpu, peak, code = process.stdout.split()
    return ProcessCost(float(wall), float(cpu), int(peak) / _BYTES_PER_MB, int(code))


@dataclass(frozen=True)
class Server:
    """A world that is being served.

    Attributes:
        url: Address of the server.
        selections: Settings by the name of their selection.
    """

    url: str
    selections: Mapping[str, Mapping[str, Any]]

    def reset(self, latency: float) -> None:
        """Reset the counts, and delay each response by `latency` seconds from now on."""
        self._get(f"begin?latency={latency}")

    def get_counts(self) -> dict[str, Any]:
        """Return the counts since the reset, as server.py describes them."""
        return self._get("tally")

    def _get(self, path: str) -> dict[str, Any]:
        with urlopen(f"{self.url}/_bench/{path}", timeout=60) as response:
            counts: dict[str, Any] = json.load(response)
            return counts


@contextmanager
def start_server(world: str, **sizes: float) -> Iterator[Server]:
    """Serve a world in a process that ends with the block.

    Raises:
        RuntimeError: The server did not start.
    """
    size_arguments = [f"{name}={size}" for name, size in sizes.items()]
    command = [sys.executable, "-m", "benchmarks.server", world, *size_arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        try:
            line = process.stdout.readline() if process.stdout else b""
            if not line:
                raise RuntimeError(f"The server of {world} did not start.")
            yield Server(**json.loads(line))
        finally:
            process.kill()
