"""Ctrl-C and its like: they end the demo as an exception does, so that all that was started is stopped on the way."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """Turns signals into KeyboardInterrupt.

    Attributes:
        number: the signal that came, None as long as none did. PyAirbyte may make another exception of the interrupt
            (its connector has been told to stop, hence fails), so this says what it was.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._held = False

    def listen(self) -> None:
        signal.signal(signal.SIGINT, self._arrive)
        signal.signal(signal.SIGTERM, self._arrive)
        hangup = getattr(signal, "SIGHUP", None)
        if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:  # nohup ignores it
            signal.signal(hangup, self._arrive)

    def check(self) -> None:
        """Raises if a signal has come: an interrupt that fell into a destructor is lost otherwise."""
        if self.number is not None:
            raise KeyboardInterrupt

    @contextmanager
    def held(self) -> Iterator[None]:
        """Signals wait until the block has ended: for what must not be done by halves."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        self.check()

    def _arrive(self, number: int, _frame: FrameType | None) -> None:
        self.number = number
        if not self._held:
            raise KeyboardInterrupt
