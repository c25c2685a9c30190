"""Which engine and which base the image is tested with, on machines that have one thing and not the other."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from integration_tests.containers.base import SUBSTITUTE_BASE, get_base_image, read_base_image
from integration_tests.containers.engine import Engine, EngineError, find_engine
from unit_tests.support.cases import each_case


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has no programs but those in this folder."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def add_program(folder: Path, name: str, exit_code: int) -> None:
    (folder / name).write_text(f"#!/bin/sh\nexit {exit_code}\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(("docker", "podman", "chosen"), [(0, 0, "docker"), (1, 0, "podman"), (0, 1, "docker")])
def test_engine_docker_is_preferred_to_podman(programs: Path, docker: int, podman: int, chosen: str) -> None:
    add_program(programs, "docker", docker)
    add_program(programs, "podman", podman)

    assert find_engine() == Engine(chosen)


@pytest.mark.parametrize("silent", [[], ["docker"], ["docker", "podman"]])
def test_engine_missing_is_an_error(programs: Path, silent: list[str]) -> None:
    for name in silent:
        add_program(programs, name, 1)

    with pytest.raises(EngineError, match=r"The image is not tested: neither Docker nor Podman answers here\."):
        find_engine()


@dataclass(frozen=True)
class FakeEngine(Engine):
    """An engine that has some images, and can pull some more."""

    local_images: Iterable[str] = ()
    pullable_images: Iterable[str] = ()

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        is_available = (
            arguments[-1] in {("image", "inspect"): self.local_images, ("pull",): self.pullable_images}[arguments[:-1]]
        )
        return subprocess.CompletedProcess(
            arguments, 0 if is_available else 125, "", "" if is_available else "manifest unknown"
        )


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> requests.Response:
    """What is answered by the name of the registry of images."""
    response = requests.Response()
    response.status_code = 200
    monkeypatch.setattr(requests, "get", lambda *_, **__: response)
    return response


@each_case("image_source", ["local_images", "pullable_images"])
def test_base_available_is_that_of_the_dockerfile(image_source: str) -> None:
    assert get_base_image(FakeEngine("podman", **{image_source: [read_base_image()]})) == read_base_image()


@pytest.mark.usefixtures("registry")
def test_base_unknown_to_registry_is_an_error() -> None:
    with pytest.raises(EngineError, match=r"cannot be had from its registry:\nmanifest unknown"):
        get_base_image(FakeEngine("podman", local_images=[SUBSTITUTE_BASE]))


def test_base_unreachable_registry_gives_the_substitute(monkeypatch: pytest.MonkeyPatch) -> None:
    def get(*_: object, **__: object) -> requests.Response:
        raise requests.ConnectionError

    monkeypatch.setattr(requests, "get", get)

    assert get_base_image(FakeEngine("podman", local_images=[SUBSTITUTE_BASE])) == SUBSTITUTE_BASE


def test_base_registry_blocked_by_proxy_gives_the_substitute(registry: requests.Response) -> None:
    registry.status_code = 403

    assert get_base_image(FakeEngine("podman", local_images=[SUBSTITUTE_BASE])) == SUBSTITUTE_BASE


@pytest.mark.usefixtures("programs")
def test_substitute_base_without_mmdebstrap_is_an_error(registry: requests.Response) -> None:
    registry.status_code = 403

    with pytest.raises(EngineError, match="needs mmdebstrap: install it"):
        get_base_image(FakeEngine("podman"))
