"""The container engine of this machine: Docker where one answers, else Podman."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

_ENGINES = {"docker": ("version", "--format", "{{.Server.Version}}"), "podman": ("info",)}
"""By engine: what only one that works answers. (A client without its daemon is on many machines.)"""

_CALL_TIMEOUT = 900
"""Seconds that a call may take. None of them takes a tenth of that, but for a build on a busy machine."""

SEALED_OPTIONS = ("--rm", "--network=host", "--read-only", "--cap-drop=all", "--security-opt=no-new-privileges")
"""A container that may change nothing but /tmp: the CDK makes a folder there."""


class EngineError(Exception):
    """The image could not be built or tested here; the words say why and what helps."""


@dataclass(frozen=True)
class Engine:
    name: str

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return _run_command(self.command(*arguments))

    def run_checked(self, *arguments: str) -> str:
        """What the engine prints; Trouble with the end of what it complained of, if it fails."""
        result = self.call(*arguments)
        if result.returncode:
            output_tail = "\n".join((result.stdout + result.stderr).splitlines()[-30:])
            raise EngineError(f"{self.name} {arguments[0]} has failed ({result.returncode}):\n{output_tail}")
        return result.stdout

    def command(self, *arguments: str) -> list[str]:
        # Podman would rather take crun, which does not start where cgroups 1 and 2 are mixed.
        runtime = ["--runtime=runc"] if self.name == "podman" and shutil.which("runc") else []
        return [self.name, *runtime, *arguments]

    def has_image(self, image: str) -> bool:
        return self.call("image", "inspect", image).returncode == 0

    def inspect_image(self, image: str) -> dict[str, Any]:
        """The settings of an image: `User`, `Env`, `Entrypoint`, `Labels`, ..."""
        [description] = json.loads(self.run_checked("image", "inspect", image))
        settings: dict[str, Any] = description["Config"]
        return settings

    @contextmanager
    def sealed_container(
        self,
        image: str,
        *arguments: str,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        entrypoint: str | None = None,
    ) -> Iterator[tuple[str, list[str]]]:
        """The name of a container, and the command that runs it. It is gone afterwards, whatever has happened.

        Args:
            folder: to be seen in it as /data.
        """
        name = f"docextract-{uuid4().hex[:12]}"
        options = [*SEALED_OPTIONS, *self._options(), f"--name={name}"]
        options += [f"--env={key}={value}" for key, value in (environment or {}).items()]
        options += [f"--volume={folder}:/data:ro"] if folder else []
        options += [f"--entrypoint={entrypoint}"] if entrypoint else []
        try:
            yield name, self.command("run", *options, image, *arguments)
        finally:
            self.call("rm", "--force", name)

    def run_container(self, image: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """What a container says that runs to its end. Options: those of `sealed`."""
        with self.sealed_container(image, *arguments, **options) as (_, command):
            return _run_command(command)

    def _options(self) -> Sequence[str]:
        if self.name == "docker":
            return ("--tmpfs=/tmp",)
        # Podman would lend further writable folders, and set limits as high as only a root with all rights may.
        return (
            "--read-only-tmpfs=false",
            "--tmpfs=/tmp",
            "--security-opt=label=disable",
            "--ulimit=nofile=1024:1024",
            "--ulimit=nproc=4096:4096",
        )


def _run_command(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    # An older Docker has the builder that knows secrets, and does not take it by itself.
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=_CALL_TIMEOUT, check=False, env=environment)


def find_engine() -> Engine:
    """Raises Trouble where none answers."""
    for name, probe_arguments in _ENGINES.items():
        if shutil.which(name) and Engine(name).call(*probe_arguments).returncode == 0:
            return Engine(name)
    raise EngineError("The image is not tested: neither Docker nor Podman answers here. Start one, or install podman.")
