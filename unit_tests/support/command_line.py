"""The connector as a process, with the files that Airbyte writes for it."""

from __future__ import annotations

import json
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

from source_docextract import SourceDocextract
from unit_tests.support.connector_process import run_to_end
from unit_tests.support.harness import log

NOW = "2026-11-20T09:00:00+00:00"

WITHOUT_STARLETTE = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "starlette":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""
"""A sitecustomize.py, which Python runs at its start: it hides a package that a plain `pip install .` leaves out."""


@dataclass(frozen=True)
class ProcessResult:
    """The output of an ended process.

    Lines end at every separator that `str.splitlines` knows, not only at line feeds: no consumer may see a forged line.
    """

    stdout: str
    stderr: str
    exit_code: int

    @property
    def lines(self) -> list[str]:
        """Return the lines of standard output that are not empty."""
        return [line for line in self.stdout.splitlines() if line]

    @property
    def messages(self) -> list[dict[str, Any]]:
        """Return the messages as JSON."""
        return [json.loads(line) for line in self.lines]

    def filter_messages(self, message_type: str) -> list[dict[str, Any]]:
        """Return the messages of one type."""
        return [message for message in self.messages if message["type"] == message_type]

    @property
    def log_texts(self) -> list[str]:
        """Return the texts of the log messages."""
        return [message["log"]["message"] for message in self.filter_messages("LOG")]

    @property
    def records(self) -> list[dict[str, Any]]:
        """Return the data of all records."""
        return [message["record"]["data"] for message in self.filter_messages("RECORD")]


def run_connector(
    folder: Path,
    verb: str,
    settings: Mapping[str, Any],
    *options: str,
    env: Mapping[str, str] | None = None,
    options_last: bool = False,
    program_text: str = "",
) -> ProcessResult:
    """Run one verb in a process with a frozen clock and short retries.

    `read` reads all streams.

    Args:
        folder: where the files for the process are written.
        verb: `spec`, `check`, `discover` or `read`.
        settings: the configuration.
        options: more options of the command line.
        env: the environment; None for that of the tests.
        options_last: put `options` after the options of the files, which they then override.
        program_text: a Python program to run instead of the command line.
    """
    arguments = [verb, *(() if options_last else options)]
    if verb != "spec":
        (folder / "config.json").write_text(json.dumps(settings))
        arguments += ["--config", str(folder / "config.json")]
    if verb == "read":
        (folder / "catalog.json").write_text(
            json.dumps(ConfiguredAirbyteCatalogSerializer.dump(build_catalog(settings)))
        )
        arguments += ["--catalog", str(folder / "catalog.json")]
    arguments += options if options_last else ()
    process = run_to_end(arguments, now=NOW, program_text=program_text, env=env)
    return ProcessResult(process.stdout, process.stderr, process.returncode)


def build_catalog(settings: Mapping[str, Any]) -> ConfiguredAirbyteCatalog:
    """Return a configured catalog of all streams that the settings offer."""
    streams = SourceDocextract().discover(log, settings).streams
    modes = {"sync_mode": SyncMode.incremental, "destination_sync_mode": DestinationSyncMode.append_dedup}
    return ConfiguredAirbyteCatalog(streams=[ConfiguredAirbyteStream(stream=stream, **modes) for stream in streams])
