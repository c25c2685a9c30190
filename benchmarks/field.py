"""The field: what is compared, how each of it is called, and where it leaves what it has read."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .measure import ROOT, run

SYSTEMS = ROOT / "benchmarks" / "systems"
ENVIRONMENTS = ROOT / "benchmarks" / ".venvs"
IN_FLIGHT = 10
_OWN = Path(sys.executable).parent


@dataclass(frozen=True)
class Job:
    """One run of a system: a folder for itself, settings to read with, and the connector's streams (none: all)."""

    folder: Path
    settings: Mapping[str, Any]
    streams: tuple[str, ...] = ()

    @property
    def config(self) -> Path:
        return self._written("config.json", self.settings)

    @property
    def state(self) -> Path:
        """The state that the last run left; there is none before the first."""
        return self.folder / "state.json"

    @property
    def output(self) -> Path:
        return self.folder / "output"

    def catalog(self, streams: Sequence[Mapping[str, Any]], mode: str) -> Path:
        chosen = [stream for stream in streams if not self.streams or stream["name"] in self.streams]
        configured = [{"stream": one, "sync_mode": mode, "destination_sync_mode": "append_dedup"} for one in chosen]
        return self._written("catalog.json", {"streams": configured})

    def _written(self, name: str, content: object) -> Path:
        path = self.folder / name
        path.write_text(json.dumps(content))
        return path


@dataclass(frozen=True)
class System:
    """One of the field.

    Attributes:
        command: how it is called.
        speaks: the form of what it leaves, as delivered.py reads it.
        keeps_time: whether it tells its own CPU seconds on its last line of standard error.
    """

    title: str
    command: Callable[[Job], Sequence[str]]
    speaks: str = "airbyte"
    environment: Mapping[str, str] = field(default_factory=dict)
    keeps_time: bool = False


def _floor(*options: str) -> Callable[[Job], Sequence[str]]:
    return lambda job: [sys.executable, str(SYSTEMS / "floor.py"), str(job.config), *options]


def _states(job: Job) -> Sequence[str]:
    return ["--state", str(job.state)] if job.state.exists() else []


def _connector(job: Job) -> Sequence[str]:
    catalog = job.catalog(streams_of(job), "incremental")
    command = [str(_OWN / "source-docextract"), "read", "--config", str(job.config), "--catalog", str(catalog)]
    return [*command, *_states(job)]


_known: dict[frozenset[str], list[dict[str, Any]]] = {}


def streams_of(job: Job) -> list[dict[str, Any]]:
    """All streams that the connector has for the providers in these settings; asked for once."""
    providers = frozenset(job.settings)
    if providers not in _known:
        output, errors = job.folder / "discovered", job.folder / "errors"
        run([str(_OWN / "source-docextract"), "discover", "--config", str(job.config)], output, errors)
        messages = [json.loads(line) for line in output.read_text().splitlines()]
        [_known[providers]] = (one["catalog"]["streams"] for one in messages if one["type"] == "CATALOG")
    return _known[providers]


def _manifest(job: Job) -> Sequence[str]:
    stream = {"name": "documents", "json_schema": {}, "supported_sync_modes": ["full_refresh", "incremental"]}
    catalog = job.catalog([stream], "full_refresh")
    command = [str(_OWN / "source-declarative-manifest"), "read", "--config", str(job.config)]
    manifest = str(SYSTEMS / "manifest.yaml")
    return [*command, "--catalog", str(catalog), "--manifest-path", manifest, *_states(job)]


def _dlt(job: Job) -> Sequence[str]:
    # What an earlier run extracted would have been loaded by now; its state stays.
    shutil.rmtree(job.folder / "documents" / "normalize" / "extracted", ignore_errors=True)
    python = str(ENVIRONMENTS / "dlt" / "bin" / "python")
    return [python, str(SYSTEMS / "dlt_pipeline.py"), str(job.config), str(job.folder)]


def _singer(job: Job) -> Sequence[str]:
    python = str(ENVIRONMENTS / "singer" / "bin" / "python")
    return [python, str(SYSTEMS / "singer_tap.py"), "--config", str(job.config), *_states(job)]


def _printing(*options: str) -> Callable[[Job], Sequence[str]]:
    output = "../all/output"
    return lambda job: [sys.executable, str(SYSTEMS / "printing.py"), str(job.folder / output), *job.streams, *options]


_DLT = {"EXTRACT__WORKERS": str(IN_FLIGHT), "RUNTIME__DLTHUB_TELEMETRY": "false"}

FIELD: dict[str, System] = {
    "loop": System("requests + orjson, a loop", _floor()),
    "loop-silent": System("the same, without printing", _floor("--silent"), speaks="count"),
    "loop-threads": System(f"the same, {IN_FLIGHT} threads", _floor("--threads", str(IN_FLIGHT))),
    "connector": System("source-docextract", _connector),
    "manifest": System("Airbyte CDK, declarative", _manifest),
    "dlt": System("dlt rest_api, extract only", _dlt, "dlt", _DLT),
    "dlt-tuned": System(
        "the same, files not compressed", _dlt, "dlt", {**_DLT, "DATA_WRITER__DISABLE_COMPRESSION": "true"}
    ),
    "singer": System("Singer SDK tap", _singer, "singer"),
    "singer-msgspec": System("the same, written with msgspec", _singer, "singer", {"MSGSPEC": "1"}),
    "singer-tuned": System("the same, and pages read by own code", _singer, "singer", {"TUNED": "1"}),
    "printing": System("printing alone, orjson", _printing(), keeps_time=True),
    "printing-cdk": System("printing alone, as the CDK does", _printing("--cdk"), keeps_time=True),
    "spec": System("source-docextract spec", lambda _: [str(_OWN / "source-docextract"), "spec"]),
    "import": System(
        "python -c 'import airbyte_cdk.entrypoint'",
        lambda _: [sys.executable, "-c", "import airbyte_cdk.entrypoint"],
    ),
    "python": System("python -c pass", lambda _: [sys.executable, "-c", "pass"]),
}
