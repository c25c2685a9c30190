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

from .engine import Engine, Trouble

log = logging.getLogger(__name__)

DOCKERFILE = Path(__file__).parents[2] / "Dockerfile"

_RECIPE = (
    "mmdebstrap",
    "--variant=minbase",
    "--include=ca-certificates,python3,python3-venv",
    '--customize-hook=chroot "$1" python3 -m venv /usr/local',
    '--customize-hook=chroot "$1" useradd --uid 1000 --no-create-home airbyte',
    '--customize-hook=chroot "$1" install --directory --owner=airbyte --group=airbyte /airbyte',
    "trixie",
)
"""Debian with what the Dockerfile takes from Airbyte's base: Python 3.13 with pip in /usr/local, the user airbyte."""

STAND_IN = f"localhost/docextract-stand-in-base:{hashlib.sha256(repr(_RECIPE).encode()).hexdigest()[:12]}"


def named_base() -> str:
    """What the Dockerfile stands on, digest and all."""
    [name] = re.findall(r"^ARG BASE_IMAGE=(\S+)$", DOCKERFILE.read_text(), re.MULTILINE)
    return str(name)


def base(engine: Engine) -> str:
    """A base to build on, by name. A stand-in is kept for the next time."""
    if engine.has(named_base()):
        return named_base()
    pulled = engine.call("pull", named_base())
    if pulled.returncode == 0:
        return named_base()
    if _reachable():
        raise Trouble(f"The base image {named_base()} cannot be had from its registry:\n{pulled.stderr[-2000:]}")
    if engine.has(STAND_IN):
        log.info("No registry can be reached: the base is the stand-in that was made before")
    else:
        log.info("No registry can be reached: a stand-in for the base is made of Debian packages ...")
        _make_stand_in(engine)
    return STAND_IN


def _reachable() -> bool:
    """Whether anybody answers by the name of the registry; a proxy that says no does not count."""
    try:
        return requests.get(f"https://{named_base().partition('/')[0]}/", timeout=(10, 30)).ok
    except requests.RequestException:
        return False


def _make_stand_in(engine: Engine) -> None:
    if not shutil.which(_RECIPE[0]):
        raise Trouble("No registry can be reached, and a stand-in for the base needs mmdebstrap: install it.")
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        archive = f"{folder}/base.tar"
        made = subprocess.run([*_RECIPE, archive], capture_output=True, text=True, timeout=600, check=False)
        if made.returncode:
            raise Trouble(f"mmdebstrap has failed ({made.returncode}):\n{made.stderr[-2000:]}")
        engine.must("import", archive, STAND_IN)
    log.info("The stand-in is made, in %.0f s", time.monotonic() - started)
