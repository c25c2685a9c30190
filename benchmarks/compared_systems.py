"""The compared systems: how each is called, and the format of its output."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .measure import ROOT, run_process

SYSTEMS_FOLDER = ROOT / "benchmarks" / "systems"
ENVIRONMENTS_FOLDER = ROOT / "benchmarks" / ".venvs"
MAX_IN_FLIGHT = 10
_SCRIPTS_FOLDER = Path(sys.executable).parent


@dataclass(frozen=True)
class SystemRun:
    """One run of a system.

    Attributes:
        folder: Folder for the files of the run.
        settings: Settings of the connector.
        streams: Streams of the connector; empty selects all.
    """

    folder: Path
    settings: Mapping[str, Any]
    streams: tuple[str, ...] = ()

    @property
    def config_path(self) -> Path:
        """Write the settings and return their path."""
        return self._write_json("config.json", self.settings)

    @property
    def state_path(self) -> Path:
        """Return the path of the last run's state; there is none before the first."""
        return self.folder / "state.json"

    @property
    def output_path(self) -> Path:
        """Return the path of the standard output."""
        return self.folder / "output"

    def write_catalog(self, streams: Sequence[Mapping[str, Any]], mode: str) -> Path:
        """Write a configured catalog of the selected streams and return its path."""
        chosen_streams = [stream for stream in streams if not self.streams or stream["name"] in self.streams]
        configured_streams = [
            {"stream": chosen_stream, "sync_mode": mode, "destination_sync_mode": "append_dedup"}
            for chosen_stream in chosen_streams
        ]
        return self._write_json("catalog.json", {"streams": configured_streams})

    def _write_json(self, name: str, content: object) -> Path:
        path = self.folder / name
        path.write_text(json.dumps(content))
        return path


@dataclass(frozen=True)
class System:
    """A system that the benchmark compares.

    Attributes:
        title: Name in the report.
        command: Returns the command line of a run.
        output_format: Format of its output, by the readers in output_summary.py.
        environment: Additional environment variables.
        is_cpu_reported: Whether the last line of its standard error is its CPU time in seconds.
    """

    title: str
    command: Callable[[SystemRun], Sequence[str]]
    output_format: str = "airbyte"
    environment: Mapping[str, str] = field(default_factory=dict)
    is_cpu_reported: bool = False


def _make_floor_command(*options: str) -> Callable[[SystemRun], Sequence[str]]:
    return lambda system_run: [sys.executable, str(SYSTEMS_FOLDER / "floor.py"), str(system_run.config_path), *options]


def _build_state_options(system_run: SystemRun) -> Sequence[str]:
    return ["--state", str(system_run.state_path)] if system_run.state_path.exists() else []


def _build_connector_command(system_run: SystemRun) -> Sequence[str]:
    catalog = system_run.write_catalog(discover_streams(system_run), "incremental")
    command = [
        str(_SCRIPTS_FOLDER / "source-docextract"),
        "read",
        "--config",
        str(system_run.config_path),
        "--catalog",
        str(catalog),
    ]
    return [*command, *_build_state_options(system_run)]


_streams_by_providers: dict[frozenset[str], list[dict[str, Any]]] = {}


def discover_streams(system_run: SystemRun) -> list[dict[str, Any]]:
    """Return all streams of the providers in these settings, discovered once."""
    providers = frozenset(system_run.settings)
    if providers not in _streams_by_providers:
        output, errors = system_run.folder / "discovered", system_run.folder / "errors"
        run_process(
            [str(_SCRIPTS_FOLDER / "source-docextract"), "discover", "--config", str(system_run.config_path)],
            output,
            errors,
        )
        messages = [json.loads(line) for line in output.read_text().splitlines()]
        [_streams_by_providers[providers]] = (
            message["catalog"]["streams"] for message in messages if message["type"] == "CATALOG"
        )
    return _streams_by_providers[providers]


def _build_manifest_command(system_run: SystemRun) -> Sequence[str]:
    stream = {"name": "documents", "json_schema": {}, "supported_sync_modes": ["full_refresh", "incremental"]}
    catalog = system_run.write_catalog([stream], "full_refresh")
    command = [str(_SCRIPTS_FOLDER / "source-declarative-manifest"), "read", "--config", str(system_run.config_path)]
    manifest = str(SYSTEMS_FOLDER / "manifest.yaml")
    return [*command, "--catalog", str(catalog), "--manifest-path", manifest, *_build_state_options(system_run)]


def _build_dlt_command(system_run: SystemRun) -> Sequence[str]:
    # In production an earlier run's files would have been loaded by now: remove them, but keep the state.
    shutil.rmtree(system_run.folder / "documents" / "normalize" / "extracted", ignore_errors=True)
    python = str(ENVIRONMENTS_FOLDER / "dlt" / "bin" / "python")
    return [python, str(SYSTEMS_FOLDER / "dlt_pipeline.py"), str(system_run.config_path), str(system_run.folder)]


def _build_singer_command(system_run: SystemRun) -> Sequence[str]:
    python = str(ENVIRONMENTS_FOLDER / "singer" / "bin" / "python")
    return [
        python,
        str(SYSTEMS_FOLDER / "singer_tap.py"),
        "--config",
        str(system_run.config_path),
        *_build_state_options(system_run),
    ]


def _make_printing_command(*options: str) -> Callable[[SystemRun], Sequence[str]]:
    output = "../all/output"
    return lambda system_run: [
        sys.executable,
        str(SYSTEMS_FOLDER / "printing.py"),
        str(system_run.folder / output),
        *system_run.streams,
        *options,
    ]


def _make_load_command(environment: str) -> Callable[[SystemRun], Sequence[str]]:
    """Return a command that loads into DuckDB; its script is called like its environment."""
    script = str(SYSTEMS_FOLDER / f"{environment.replace('-', '_')}.py")
    return lambda system_run: [
        str(ENVIRONMENTS_FOLDER / environment / "bin" / "python"),
        script,
        str(system_run.config_path),
        str(system_run.folder),
        *system_run.streams,
    ]


LOOK_HOURS = 72
"""Hours of the syncs that look at settled batches: the lookback by default."""


def _build_hourly_command(system_run: SystemRun) -> Sequence[str]:
    script = str(SYSTEMS_FOLDER / "hourly_syncs.py")
    return [sys.executable, script, str(system_run.config_path), str(LOOK_HOURS), *system_run.streams]


_DLT_ENVIRONMENT = {"EXTRACT__WORKERS": str(MAX_IN_FLIGHT), "RUNTIME__DLTHUB_TELEMETRY": "false"}
_PYAIRBYTE_ENVIRONMENT = {"AIRBYTE_OFFLINE_MODE": "1", "DO_NOT_TRACK": "1", "NO_LIVE_PROGRESS": "1"}

COMPARED_SYSTEMS: dict[str, System] = {
    "loop": System("requests + orjson, a loop", _make_floor_command()),
    "loop-silent": System("the same, without printing", _make_floor_command("--silent"), output_format="count"),
    "loop-threads": System(f"the same, {MAX_IN_FLIGHT} threads", _make_floor_command("--threads", str(MAX_IN_FLIGHT))),
    "connector": System("source-docextract", _build_connector_command),
    "hourly": System(f"source-docextract, hourly for {LOOK_HOURS} hours", _build_hourly_command),
    "manifest": System("Airbyte CDK, declarative", _build_manifest_command),
    "dlt": System("dlt rest_api, extract only", _build_dlt_command, "dlt", _DLT_ENVIRONMENT),
    "dlt-tuned": System(
        "the same, files not compressed",
        _build_dlt_command,
        "dlt",
        {**_DLT_ENVIRONMENT, "DATA_WRITER__DISABLE_COMPRESSION": "true"},
    ),
    "singer": System("Singer SDK tap", _build_singer_command, "singer"),
    "singer-msgspec": System("the same, written with msgspec", _build_singer_command, "singer", {"MSGSPEC": "1"}),
    "singer-tuned": System("the same, and pages read by own code", _build_singer_command, "singer", {"TUNED": "1"}),
    "load-dlt": System("dlt", _make_load_command("load-dlt"), "duckdb", _DLT_ENVIRONMENT),
    "load-pyairbyte": System("PyAirbyte", _make_load_command("load-pyairbyte"), "duckdb", _PYAIRBYTE_ENVIRONMENT),
    "printing": System("printing alone, orjson", _make_printing_command(), is_cpu_reported=True),
    "printing-cdk": System("printing alone, as the CDK does", _make_printing_command("--cdk"), is_cpu_reported=True),
    "spec": System("source-docextract spec", lambda _: [str(_SCRIPTS_FOLDER / "source-docextract"), "spec"]),
    "import": System(
        "python -c 'import airbyte_cdk.entrypoint'",
        lambda _: [sys.executable, "-c", "import airbyte_cdk.entrypoint"],
    ),
    "python": System("python -c pass", lambda _: [sys.executable, "-c", "pass"]),
}
