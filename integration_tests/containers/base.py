"""The base of the image: the one that the Dockerfile names or, where no registry can be reached, a stand-in."""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import requests

from .engine import Engine, EngineError

log = logging.getLogger(__name__)

DOCKERFILE = Path(__file__).parents[2] / "Dockerfile"

_BUILD_COMMAND = (
    "mmdebstrap",
    "--variant=minbase",
    "--include=ca-certificates,python3,python3-venv",
    '--customize-hook=chroot "$1" python3 -m venv /usr/local',
    '--customize-hook=chroot "$1" useradd --uid 1000 --no-create-home airbyte',
    '--customize-hook=chroot "$1" install --directory --owner=airbyte --group=airbyte /airbyte',
    "trixie",
)
"""Debian with what the Dockerfile takes from Airbyte's base: Python 3.13 with pip in /usr/local, the user airbyte."""

SUBSTITUTE_BASE = f"localhost/docextract-stand-in-base:{hashlib.sha256(repr(_BUILD_COMMAND).encode()).hexdigest()[:12]}"


def read_base_image() -> str:
    """What the Dockerfile stands on, digest and all."""
    [name] = re.findall(r"^ARG BASE_IMAGE=(\S+)$", DOCKERFILE.read_text(), re.MULTILINE)
    return str(name)


def get_base_image(engine: Engine) -> str:
    """A base to build on, by name. A stand-in is kept for the next time."""
    if engine.has_image(read_base_image()):
        return read_base_image()
    pull_result = engine.call("pull", read_base_image())
    if pull_result.returncode == 0:
        return read_base_image()
    if _is_registry_reachable():
        raise EngineError(
            f"The base image {read_base_image()} cannot be had from its registry:\n{pull_result.stderr[-2000:]}"
        )
    if engine.has_image(SUBSTITUTE_BASE):
        log.info("No registry can be reached: the base is the stand-in that was made before")
    else:
        log.info("No registry can be reached: a stand-in for the base is made of Debian packages ...")
        _build_substitute_base(engine)
    return SUBSTITUTE_BASE


def _is_registry_reachable() -> bool:
    """Whether anybody answers by the name of the registry; a proxy that says no does not count."""
    try:
        return requests.get(f"https://{read_base_image().partition('/')[0]}/", timeout=(10, 30)).ok
    except requests.RequestException:
        return False


def _build_substitute_base(engine: Engine) -> None:
    if not shutil.which(_BUILD_COMMAND[0]):
        raise EngineError("No registry can be reached, and a stand-in for the base needs mmdebstrap: install it.")
    start_time = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        archive = f"{folder}/base.tar"
        build_result = subprocess.run(
            [*_BUILD_COMMAND, archive], capture_output=True, text=True, timeout=600, check=False
        )
        if build_result.returncode:
            raise EngineError(f"mmdebstrap has failed ({build_result.returncode}):\n{build_result.stderr[-2000:]}")
        engine.run_checked("import", archive, SUBSTITUTE_BASE)
    log.info("The stand-in is made, in %.0f s", time.monotonic() - start_time)
