"""The request to stop a sync: a signal, or a consumer that has closed the pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Shutdown:
    """The stop request for the thread that emits messages.

    That thread checks for a request after each message, and is interrupted while it waits for a response. It is not
    interrupted anywhere else: an exception at an arbitrary point would cut a line that is being written, and keep
    streams from emitting their terminal statuses.

    Args:
        on_wait: called each time before that thread waits, for instance to flush the output.
    """

    def __init__(self, on_wait: Callable[[], None] = lambda: None) -> None:
        self.exit_code: int | None = None
        """The requested exit code; None while no stop is requested."""
        self._on_wait = on_wait
        self._is_waiting = False

    @property
    def signal_number(self) -> int | None:
        """Return the signal behind the exit code, which is 128 + its number, as in shells."""
        return self.exit_code - 128 if self.exit_code is not None and self.exit_code > 128 else None

    def request(self, exit_code: int) -> None:
        """Request a stop; the exit code of the first request stays.

        Signal handlers call this. Python runs them in the main thread, which is the one that emits messages, so raising
        here interrupts its wait.
        """
        self.exit_code = exit_code if self.exit_code is None else self.exit_code
        if self._is_waiting:
            self.raise_if_requested()

    def raise_if_requested(self) -> None:
        """Raise SystemExit if a stop is requested.

        Raises:
            SystemExit: with the requested exit code.
        """
        if self.exit_code is not None:
            raise SystemExit(self.exit_code)

    @contextmanager
    def interruptible_wait(self) -> Iterator[None]:
        """Let a stop request interrupt the block, which waits and writes nothing."""
        # Records and states that are complete must not stay in a buffer until the next response arrives.
        self._on_wait()
        self._is_waiting = True
        try:
            # A request that came between the last message and the line above would go unnoticed for a whole wait.
            self.raise_if_requested()
            yield
        finally:
            self._is_waiting = False
