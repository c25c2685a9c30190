"""Atomic replacement of files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import ReportError
from .text import to_one_line


@contextmanager
def replace_atomically(target: Path) -> Iterator[Path]:
    """Yield a path to write to, which replaces `target` at the end.

    After an error `target` is as it was.

    Raises:
        ReportError: The file cannot be written there.
    """
    # Replace the file that a symbolic link points to, not the link.
    resolved_target = target.resolve()
    temporary_path = resolved_target.with_name(f".{os.getpid()}-unfinished{resolved_target.suffix}")
    try:
        if resolved_target.exists() and not resolved_target.is_file():
            raise ReportError(f"{to_one_line(str(target))} is not a file. Name another one to be written.")
        try:
            yield temporary_path
            temporary_path.replace(resolved_target)
        finally:
            temporary_path.unlink(missing_ok=True)
    except OSError as error:
        raise ReportError(f"{to_one_line(str(target))} cannot be written ({error.strerror}).") from error
