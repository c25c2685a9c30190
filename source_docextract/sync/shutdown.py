"""A stop that is asked for from outside: by a signal, or by a reader who has closed the pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Shutdown:
    """Whether the thread that delivers has to end. It looks after each message, and is interrupted where it waits.

    Nowhere else: what raised wherever a signal happens to strike would tear a line that is being written, and keep
    streams from saying how they ended.

    Args:
        before_waiting: called by that thread each time that it has nothing to do.
    """

    def __init__(self, on_wait: Callable[[], None] = lambda: None) -> None:
        self.exit_code: int | None = None
        """The exit code that was asked for."""
        self._on_wait = on_wait
        self._is_waiting = False

    @property
    def signal_number(self) -> int | None:
        """The signal that asked, which the exit code names as shells do: 128 more than its number."""
        return self.exit_code - 128 if self.exit_code is not None and self.exit_code > 128 else None

    def request(self, exit_code: int) -> None:
        """For a signal handler, which runs in the thread that delivers. The first who asks names the code."""
        self.exit_code = exit_code if self.exit_code is None else self.exit_code
        if self._is_waiting:
            self.raise_if_requested()

    def raise_if_requested(self) -> None:
        """Raises SystemExit if it has been asked for."""
        if self.exit_code is not None:
            raise SystemExit(self.exit_code)

    @contextmanager
    def interruptible_wait(self) -> Iterator[None]:
        self._on_wait()
        self._is_waiting = True
        try:
            self.raise_if_requested()
            yield
        finally:
            self._is_waiting = False
