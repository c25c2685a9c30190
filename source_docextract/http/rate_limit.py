"""The rate limiter of a lane, and the retry policy of a client.

A lane is a group of endpoints that share one spacing. The CDK's call rate policies keep gaps as well, but they sleep
without a way to wake them, and they log each wait. A stopped sync must end within 5 seconds, and the waits of a spaced
endpoint would fill the log.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

SPACING_MARGIN = 1.01
"""The factor applied to every spacing.

Requests take different times to arrive: gaps of 1.997 s were measured for a spacing of 2 s. One percent more keeps each
gap at the provider at least as long as it demands. A margin of up to 5 % is acceptable.
"""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The limits on the tries and waits of one request.

    Waits double from try to try, with jitter.

    Attributes:
        max_tries: tries of one request, the first one included.
        first_wait: the upper bound of the wait after the first try, in seconds.
        max_wait: the upper bound of any wait that the provider does not ask for, in seconds.
        max_retry_after: the upper bound of one `Retry-After`, and of all waits of a request together, in seconds.
            A request that would have to wait longer fails, and the next sync sends it again.
        max_response_seconds: seconds from sending a request to the last byte of its response. A slower response is
            retried like a broken connection.
    """

    max_tries: int = 6
    first_wait: float = 1.0
    max_wait: float = 60.0
    max_retry_after: float = 600.0
    max_response_seconds: float = 300.0

    def compute_wait(self, failed_tries: int) -> float:
        """Return the seconds to wait before the next try.

        A longer `Retry-After` goes before it.
        """
        upper_bound = min(self.max_wait, self.first_wait * 2.0 ** (failed_tries - 1))
        return upper_bound * random.uniform(0.5, 1)  # noqa: S311 (spreads the tries; nothing secret)


class RateLimiter:
    """The rate limiter of one lane, for the coroutines of one event loop.

    It lets one request pass at a time, at least `interval` seconds apart.

    Attributes:
        pending_slots: one slot for each request that waits for its turn, for its response or for its next try.
    """

    def __init__(self, interval: float, max_pending: int = 1, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Create a rate limiter whose first request may leave at once.

        Args:
            interval: the spacing in seconds, before `SPACING_MARGIN`.
            max_pending: the number of `pending_slots`.
            monotonic: returns the seconds of a clock that never goes back.
        """
        self.pending_slots = asyncio.Semaphore(max_pending)
        self._interval = interval * SPACING_MARGIN
        self._monotonic = monotonic
        self._next_send_at = 0.0
        self._logged_until = 0.0
        self._turn_lock = asyncio.Lock()  # held while waiting for a turn

    async def acquire(self, in_flight_slots: asyncio.Semaphore) -> float:
        """Wait for a turn in the lane and then for a slot of the provider.

        Args:
            in_flight_slots: one slot for each request that the provider may receive at once. The caller releases it.

        Returns:
            The seconds waited for the turn.
        """
        async with self._turn_lock:
            entered_at = self._monotonic()
            # A loop, because a throttled response may extend the wait during the sleep (`block`).
            while (delay := self._next_send_at - self._monotonic()) > 0:
                await asyncio.sleep(delay)
            waited_seconds = self._monotonic() - entered_at
            # The slot first: the next gap counts from the moment at which the request can leave. Otherwise the wait for
            # a slot would shorten the gap behind this request.
            await in_flight_slots.acquire()
            self.record_sent()
            return waited_seconds

    def record_sent(self) -> None:
        """Start the gap before the next request now.

        The transport calls this again when the request has really left, since opening a connection takes time.
        """
        self._delay_until(self._monotonic() + self._interval)

    def block(self, seconds: float) -> None:
        """Let no request pass for `seconds`."""
        self._delay_until(self._monotonic() + seconds)

    def should_log_wait(self, seconds: float) -> bool:
        """Return whether to log a wait of `seconds`, and count it as logged if so.

        A throttled lane makes all its requests wait at once. A wait during a logged one is therefore not logged, unless
        it is more than twice as long as the rest of that one.
        """
        now = self._monotonic()
        remaining = max(0.0, self._logged_until - now)
        if remaining and seconds <= 2 * remaining + 1:
            return False
        self._logged_until = now + seconds
        return True

    def _delay_until(self, earliest: float) -> None:
        # Never earlier: a request that leaves while a lane is throttled must not shorten the wait of the others.
        self._next_send_at = max(self._next_send_at, earliest)
