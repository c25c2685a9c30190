"""The image, built from the Dockerfile as it is."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from .base import DOCKERFILE, get_base_image
from .engine import Engine
from .pip_settings import read_pip_settings

log = logging.getLogger(__name__)

_PROXIES = ("http_proxy", "https_proxy", "no_proxy")


@contextmanager
def build_image(engine: Engine) -> Iterator[str]:
    """The name of an image that is there until the block ends."""
    name = f"localhost/docextract-test:{uuid4().hex[:12]}"
    base_image = get_base_image(engine)
    log.info("%s builds the image on %s ...", engine.name, base_image)
    start_time = time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as folder:
            options = [
                f"--build-arg=BASE_IMAGE={base_image}",
                "--network=host",
                *_package_options(engine, Path(folder)),
            ]
            engine.run_checked("build", *options, f"--tag={name}", str(DOCKERFILE.parent))
        log.info("The image is built, in %.0f s", time.monotonic() - start_time)
        yield name
    finally:
        engine.call("image", "rm", "--force", name)


def _package_options(engine: Engine, folder: Path) -> list[str]:
    """How this machine reaches packages, as options of a build."""
    pip = read_pip_settings()
    (folder / "pip.conf").write_text(pip.text)
    options = [f"--secret=id=pip.conf,src={folder / 'pip.conf'}"]
    if pip.certificates:
        options.append(f"--secret=id=ca.crt,src={pip.certificates}")
    # The command line names the variable only: an engine takes its value from the environment, not into the image.
    options += [f"--build-arg={name}" for name in os.environ if name.lower() in _PROXIES]
    if engine.name == "podman":
        # Its layers would stay behind after the image is gone.
        options += ["--layers=false", *(f"--volume={path}:{path}:ro" for path in pip.folders)]
    elif pip.folders:
        log.info("Docker's builder sees no folders of this machine; left out: %s", ", ".join(map(str, pip.folders)))
    return options
