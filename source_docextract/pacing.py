"""When a request may leave: the spacing of an endpoint, and how long to wait between tries.

The CDK's call rate policies keep gaps too, but sleep where nothing can wake them and log each wait; a sync that is
told to stop must end within seconds, and a spaced endpoint would fill the log.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass

from .errors import Stopped

SPACING_MARGIN = 1.01
"""Arrivals jitter on the way: 1 % more keeps every gap the provider sees at least as long as it asks for."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to keep trying: exponential from `first_wait` to `longest_wait` seconds, jittered.

    A provider that asks for more than `longest_asked` seconds (`Retry-After`) is left for the next sync.
    """

    tries: int = 6
    first_wait: float = 1.0
    longest_wait: float = 60.0
    longest_asked: float = 600.0

    def wait(self, failed_tries: int) -> float:
        """Seconds before the next try, where the provider does not say how long."""
        longest = min(self.longest_wait, self.first_wait * 2.0 ** (failed_tries - 1))
        return longest * random.uniform(0.5, 1)  # noqa: S311 (spreads the tries; nothing secret)


class Lane:
    """The line before an endpoint: entered one at a time, at least `interval` seconds apart."""

    def __init__(self, interval: float) -> None:
        self._interval = interval * SPACING_MARGIN
        self._next = 0.0
        self._door = threading.Lock()  # held while waiting for a turn
        self._clock = threading.Lock()  # held while `_next` changes

    def enter(self, stop: threading.Event, slots: threading.Semaphore) -> float:
        """Waits for its turn and for one of the provider's `slots`; gives the seconds waited for the turn.

        The slot is taken before the moment is noted: otherwise a full house would shorten the gap behind it.
        """
        with self._door:
            arrived = time.monotonic()
            while (delay := self._next - time.monotonic()) > 0:
                if stop.wait(delay):
                    raise Stopped("The sync was stopped.")
            waited = time.monotonic() - arrived
            while not slots.acquire(timeout=0.2):
                if stop.is_set():
                    raise Stopped("The sync was stopped.")
            if stop.is_set():
                slots.release()
                raise Stopped("The sync was stopped.")
            self._not_before(time.monotonic() + self._interval)
            return waited

    def hold(self, seconds: float) -> bool:
        """Lets nobody in for so long; False where it was held about as long already."""
        until = time.monotonic() + seconds
        longer = until > self._next + 0.1 + self._interval
        self._not_before(until)
        return longer

    def _not_before(self, moment: float) -> None:
        with self._clock:
            self._next = max(self._next, moment)
