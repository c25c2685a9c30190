"""Ctrl-C and its like: they end the demo as an exception does, so that all that was started is stopped on the way."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class SignalHandler:
    """Turns signals into KeyboardInterrupt.

    Attributes:
        number: the signal that came, None as long as none did. PyAirbyte may make another exception of the interrupt
            (its connector has been told to stop, hence fails), so this says what it was.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._is_deferred = False

    def install(self) -> None:
        signal.signal(signal.SIGINT, self._handle_signal)
        signal.signal(signal.SIGTERM, self._handle_signal)
        hangup = getattr(signal, "SIGHUP", None)
        if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:  # nohup ignores it
            signal.signal(hangup, self._handle_signal)

    def raise_if_interrupted(self) -> None:
        """Raises if a signal has come: an interrupt that fell into a destructor is lost otherwise."""
        if self.signal_number is not None:
            raise KeyboardInterrupt

    @contextmanager
    def defer(self) -> Iterator[None]:
        """Signals wait until the block has ended: for what must not be done by halves."""
        self._is_deferred = True
        try:
            yield
        finally:
            self._is_deferred = False
        self.raise_if_interrupted()

    def _handle_signal(self, signal_number: int, _frame: FrameType | None) -> None:
        self.signal_number = signal_number
        if not self._is_deferred:
            raise KeyboardInterrupt
