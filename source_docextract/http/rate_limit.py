"""When a request may leave: the spacing of an endpoint, and how long to wait between tries.

The CDK's call rate policies keep gaps too, but sleep where nothing can wake them and log each wait; a sync that is
told to stop must end within seconds, and a spaced endpoint would fill the log. A lane belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass

SPACING_MARGIN = 1.01
"""Arrivals jitter on the way: 1 % more keeps every gap the provider sees at least as long as it asks for."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to keep trying: exponential from `first_wait` to `longest_wait` seconds, jittered.

    What would have to wait for more than `longest_asked` seconds (`Retry-After`), in one go or in all, is left for the
    next sync. An answer that takes more than `longest_answer` seconds to its last byte is given up like a broken one.
    """

    max_tries: int = 6
    first_wait: float = 1.0
    max_wait: float = 60.0
    max_retry_after: float = 600.0
    max_response_seconds: float = 300.0

    def compute_wait(self, failed_tries: int) -> float:
        """Seconds before the next try, where the provider does not say how long."""
        upper_bound = min(self.max_wait, self.first_wait * 2.0 ** (failed_tries - 1))
        return upper_bound * random.uniform(0.5, 1)  # noqa: S311 (spreads the tries; nothing secret)


class RateLimiter:
    """The line before an endpoint: entered one at a time, at least `interval` seconds apart.

    `places` are for those who stand in it, or whose answer or next try is still to come.
    """

    def __init__(self, interval: float, max_pending: int = 1) -> None:
        self.pending_slots = asyncio.Semaphore(max_pending)
        self._interval = interval * SPACING_MARGIN
        self._next_send_at = 0.0
        self._logged_until = 0.0
        self._turn_lock = asyncio.Lock()  # held while waiting for a turn

    async def acquire(self, in_flight_slots: asyncio.Semaphore) -> float:
        """Waits for its turn and for one of the provider's `slots`; gives the seconds waited for the turn.

        The slot is taken before the moment is noted: otherwise a full house would shorten the gap behind it.
        """
        async with self._turn_lock:
            entered_at = time.monotonic()
            while (delay := self._next_send_at - time.monotonic()) > 0:
                await asyncio.sleep(delay)
            waited_seconds = time.monotonic() - entered_at
            await in_flight_slots.acquire()
            self.record_sent()
            return waited_seconds

    def record_sent(self) -> None:
        """A request has left just now; told once more when it is really out, for a connection takes time to make."""
        self._delay_until(time.monotonic() + self._interval)

    def block(self, seconds: float) -> None:
        """Lets nobody in for so long."""
        self._delay_until(time.monotonic() + seconds)

    def should_log_wait(self, seconds: float) -> bool:
        """Whether a wait of so long is worth telling: not as part of one that is going on and was told already."""
        now = time.monotonic()
        remaining = max(0.0, self._logged_until - now)
        if remaining and seconds <= 2 * remaining + 1:
            return False
        self._logged_until = now + seconds
        return True

    def _delay_until(self, earliest: float) -> None:
        self._next_send_at = max(self._next_send_at, earliest)
