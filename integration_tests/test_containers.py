"""Which engine and which base the image is tested with, on machines that have one thing and not the other."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from containers import base as bases
from containers.base import STAND_IN, base, named_base
from containers.engine import Engine, Trouble, engine


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has no programs but those in this folder."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def put(folder: Path, name: str, exit_code: int) -> None:
    (folder / name).write_text(f"#!/bin/sh\nexit {exit_code}\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(("docker", "podman", "chosen"), [(0, 0, "docker"), (1, 0, "podman"), (0, 1, "docker")])
def test_docker_is_taken_where_it_answers_else_podman(programs: Path, docker: int, podman: int, chosen: str) -> None:
    put(programs, "docker", docker)
    put(programs, "podman", podman)

    assert engine() == Engine(chosen)


@pytest.mark.parametrize("silent", [[], ["docker"], ["docker", "podman"]])
def test_a_machine_without_an_engine_that_answers_is_told_so(programs: Path, silent: list[str]) -> None:
    for name in silent:
        put(programs, name, 1)

    with pytest.raises(Trouble, match=r"The image is not tested: neither Docker nor Podman answers here\."):
        engine()


@dataclass(frozen=True)
class Images(Engine):
    """An engine that has some images, and can pull some more."""

    kept: Iterable[str] = ()
    pulled: Iterable[str] = ()

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        found = arguments[-1] in {("image", "inspect"): self.kept, ("pull",): self.pulled}[arguments[:-1]]
        return subprocess.CompletedProcess(arguments, 0 if found else 125, "", "" if found else "manifest unknown")


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> requests.Response:
    """What is answered by the name of the registry of images."""
    answer = requests.Response()
    answer.status_code = 200
    monkeypatch.setattr(bases.requests, "get", lambda *_, **__: answer)
    return answer


@pytest.mark.parametrize("where", ["kept", "pulled"])
def test_the_base_is_the_one_that_the_dockerfile_names(where: str) -> None:
    assert base(Images("podman", **{where: [named_base()]})) == named_base()


@pytest.mark.usefixtures("registry")
def test_a_base_that_its_registry_does_not_know_is_told_and_not_replaced() -> None:
    with pytest.raises(Trouble, match=r"cannot be had from its registry:\nmanifest unknown"):
        base(Images("podman", kept=[STAND_IN]))


def test_a_stand_in_is_used_where_no_registry_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    def get(*_: object, **__: object) -> requests.Response:
        raise requests.ConnectionError

    monkeypatch.setattr(bases.requests, "get", get)

    assert base(Images("podman", kept=[STAND_IN])) == STAND_IN


def test_a_proxy_that_says_no_is_no_registry(registry: requests.Response) -> None:
    registry.status_code = 403

    assert base(Images("podman", kept=[STAND_IN])) == STAND_IN


@pytest.mark.usefixtures("programs")
def test_without_a_way_to_make_a_stand_in_one_is_told_what_to_install(registry: requests.Response) -> None:
    registry.status_code = 403

    with pytest.raises(Trouble, match="needs mmdebstrap: install it"):
        base(Images("podman"))
