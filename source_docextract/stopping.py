"""A stop that is asked for from outside: by a signal, or by a reader who has closed the pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stop:
    """Whether the thread that delivers has to end. It looks after each message, and is interrupted where it waits.

    Nowhere else: what raised wherever a signal happens to strike would tear a line that is being written, and keep
    streams from saying how they ended.

    Args:
        before_waiting: called by that thread each time that it has nothing to do.
    """

    def __init__(self, before_waiting: Callable[[], None] = lambda: None) -> None:
        self.code: int | None = None
        """The exit code that was asked for."""
        self._before_waiting = before_waiting
        self._is_waiting = False

    @property
    def signal(self) -> int | None:
        """The signal that asked, which the exit code names as shells do: 128 more than its number."""
        return self.code - 128 if self.code is not None and self.code > 128 else None

    def ask(self, code: int) -> None:
        """For a signal handler, which runs in the thread that delivers. The first who asks names the code."""
        self.code = code if self.code is None else self.code
        if self._is_waiting:
            self.look()

    def look(self) -> None:
        """Raises SystemExit if it has been asked for."""
        if self.code is not None:
            raise SystemExit(self.code)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        self._before_waiting()
        self._is_waiting = True
        try:
            self.look()
            yield
        finally:
            self._is_waiting = False
