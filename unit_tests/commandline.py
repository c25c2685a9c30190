"""The connector as a process, with the files that Airbyte would write for it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airbyte_cdk.models import (
    ConfiguredAirbyteCatalog,
    ConfiguredAirbyteCatalogSerializer,
    ConfiguredAirbyteStream,
    DestinationSyncMode,
    SyncMode,
)
from harness import log

from source_docextract import SourceDocextract

CLOCKED = str(Path(__file__).parent / "killed.py")
NOW = "2026-11-20T09:00:00+00:00"

WITHOUT_STARLETTE = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "starlette":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""
"""A sitecustomize.py, which Python runs at its start: what a plain `pip install .` leaves out is not found."""


@dataclass(frozen=True)
class Ran:
    """What a process wrote. A line ends where anything ends a line."""

    stdout: str
    stderr: str
    code: int

    @property
    def lines(self) -> list[str]:
        return [line for line in self.stdout.splitlines() if line]

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == kind]

    @property
    def logged(self) -> list[str]:
        return [message["log"]["message"] for message in self.of_type("LOG")]

    @property
    def records(self) -> list[dict[str, Any]]:
        return [message["record"]["data"] for message in self.of_type("RECORD")]


def run(
    folder: Path,
    verb: str,
    settings: Mapping[str, Any],
    *options: str,
    env: Mapping[str, str] | None = None,
    last: bool = False,
    code: str = "",
) -> Ran:
    """One verb, with the clock of the sandbox and little patience; `read` reads every stream that there is.

    Args:
        last: whether the options come after those of the files, and so in their place.
        code: a program to be run instead of the command line.
    """
    arguments = [verb, *(() if last else options)]
    if verb != "spec":
        (folder / "config.json").write_text(json.dumps(settings))
        arguments += ["--config", str(folder / "config.json")]
    if verb == "read":
        (folder / "catalog.json").write_text(json.dumps(ConfiguredAirbyteCatalogSerializer.dump(catalog_of(settings))))
        arguments += ["--catalog", str(folder / "catalog.json")]
    arguments += options if last else ()
    program = ["-c", code] if code else [CLOCKED, NOW]
    done = subprocess.run(
        [sys.executable, "-W", "ignore::FutureWarning", *program, *arguments],  # of Google, on an old Python
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
        env=None if env is None else dict(env),
    )
    return Ran(done.stdout, done.stderr, done.returncode)


def catalog_of(settings: Mapping[str, Any]) -> ConfiguredAirbyteCatalog:
    """Every stream that the settings give."""
    found = SourceDocextract().discover(log, settings).streams
    modes = {"sync_mode": SyncMode.incremental, "destination_sync_mode": DestinationSyncMode.append_dedup}
    return ConfiguredAirbyteCatalog(streams=[ConfiguredAirbyteStream(stream=one, **modes) for one in found])
