"""Signals as exceptions, so that Ctrl-C stops every process of the demo."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class SignalHandler:
    """A signal handler that raises KeyboardInterrupt.

    Attributes:
        signal_number: The signal that arrived, or None. PyAirbyte may turn the interrupt into another exception, since
            its connector process receives the signal too and fails: this attribute still shows the cause.
    """

    def __init__(self) -> None:
        """Wait for signals; `install` registers the handler."""
        self.signal_number: int | None = None
        self._is_deferred = False

    def install(self) -> None:
        """Handle SIGINT and SIGTERM, and SIGHUP unless `nohup` ignores it."""
        signal.signal(signal.SIGINT, self._handle_signal)
        signal.signal(signal.SIGTERM, self._handle_signal)
        hangup = getattr(signal, "SIGHUP", None)
        if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
            signal.signal(hangup, self._handle_signal)

    def raise_if_interrupted(self) -> None:
        """Raise KeyboardInterrupt if a signal has arrived.

        Python discards an exception that a signal raises inside a destructor, so the demo checks between its steps.
        """
        if self.signal_number is not None:
            raise KeyboardInterrupt

    @contextmanager
    def defer(self) -> Iterator[None]:
        """Defer signals while the block runs."""
        self._is_deferred = True
        try:
            yield
        finally:
            self._is_deferred = False
        self.raise_if_interrupted()

    def _handle_signal(self, signal_number: int, _frame: FrameType | None) -> None:
        self.signal_number = signal_number
        # The interrupt may leave an object of PyAirbyte half made, and its destructor then fails, with a traceback.
        sys.unraisablehook = _ignore_unraisable
        if not self._is_deferred:
            raise KeyboardInterrupt


def _ignore_unraisable(_unraisable: sys.UnraisableHookArgs) -> None:
    """Print nothing about an exception in a destructor."""
