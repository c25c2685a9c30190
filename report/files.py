"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import Trouble
from .text import one_line


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a path to write to, which becomes `target` at the end; after an error `target` is as it was.

    Raises:
        Trouble: the file cannot be written there.
    """
    # A link stays one, and what it names is replaced.
    final = target.resolve()
    unfinished = final.with_name(f".{os.getpid()}-unfinished{final.suffix}")
    try:
        if final.exists() and not final.is_file():
            raise Trouble(f"{one_line(str(target))} is not a file. Name another one to be written.")
        try:
            yield unfinished
            unfinished.replace(final)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as problem:
        raise Trouble(f"{one_line(str(target))} cannot be written ({problem.strerror}).") from problem
