"""The sandbox's clock, which tests freeze and demos speed up."""

import threading
import time
from datetime import datetime, timedelta, timezone


class Clock:
    """A UTC clock that never goes back; it is safe to use from several threads."""

    def __init__(self, start: datetime | None = None, speed: float = 1.0) -> None:
        """Start the clock.

        Args:
            start: First time of the clock; None is the present time.
            speed: Seconds per real second: 0 freezes the clock, 1 is real time.

        Raises:
            ValueError: `start` has no time zone, or `speed` is negative.
        """
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
        """Return the sandbox's time in UTC."""
        with self._lock:
            elapsed = timedelta(seconds=(time.monotonic() - self._started_monotonic) * self._speed)
            return self._start + self._advanced + elapsed

    def timestamp(self) -> float:
        """Return the sandbox's time in seconds since 1970."""
        return self.now().timestamp()

    def advance(self, seconds: float = 0.0, days: float = 0.0) -> None:
        """Move the clock forward.

        Raises:
            ValueError: The step is negative.
        """
        step = timedelta(days=days, seconds=seconds)
        if step < timedelta():
            raise ValueError("the clock only goes forward")
        with self._lock:
            self._advanced += step
