"""The sandbox's own time, so that a test can freeze it and a demo can hurry it."""

import threading
import time
from datetime import datetime, timedelta, timezone


class Clock:
    """A UTC clock that starts at `start` (None: the real now) and runs `speed` times as fast as the real one.

    Speed 0 is a frozen clock, 1 is real time, 60 is a minute a second. Safe to use from several threads.
    """

    def __init__(self, start: datetime | None = None, speed: float = 1.0) -> None:
        if start is not None and start.tzinfo is None:
            raise ValueError("the clock's start needs a time zone")
        if speed < 0:
            raise ValueError("the clock's speed must not be negative")
        self._start = (start or datetime.now(timezone.utc)).astimezone(timezone.utc)
        self._speed = speed
        self._started_monotonic = time.monotonic()
        self._advanced = timedelta()
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The sandbox's time, in UTC."""
        with self._lock:
            elapsed = timedelta(seconds=(time.monotonic() - self._started_monotonic) * self._speed)
            return self._start + self._advanced + elapsed

    def timestamp(self) -> float:
        """The sandbox's time in seconds since 1970."""
        return self.now().timestamp()

    def advance(self, seconds: float = 0.0, days: float = 0.0) -> None:
        """Moves the clock forward; it never goes back."""
        step = timedelta(days=days, seconds=seconds)
        if step < timedelta():
            raise ValueError("the clock only goes forward")
        with self._lock:
            self._advanced += step
