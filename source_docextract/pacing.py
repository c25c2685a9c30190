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
class Patience:
    """How long to keep trying: exponential from `first_wait` to `longest_wait` seconds, jittered.

    What would have to wait for more than `longest_asked` seconds (`Retry-After`), in one go or in all, is left for the
    next sync. An answer that takes more than `longest_answer` seconds to its last byte is given up like a broken one.
    """

    tries: int = 6
    first_wait: float = 1.0
    longest_wait: float = 60.0
    longest_asked: float = 600.0
    longest_answer: float = 300.0

    def wait(self, failed_tries: int) -> float:
        """Seconds before the next try, where the provider does not say how long."""
        longest = min(self.longest_wait, self.first_wait * 2.0 ** (failed_tries - 1))
        return longest * random.uniform(0.5, 1)  # noqa: S311 (spreads the tries; nothing secret)


class Lane:
    """The line before an endpoint: entered one at a time, at least `interval` seconds apart.

    `places` are for those who stand in it, or whose answer or next try is still to come.
    """

    def __init__(self, interval: float, places: int = 1) -> None:
        self.places = asyncio.Semaphore(places)
        self._interval = interval * SPACING_MARGIN
        self._next = 0.0
        self._told_until = 0.0
        self._door = asyncio.Lock()  # held while waiting for a turn

    async def enter(self, slots: asyncio.Semaphore) -> float:
        """Waits for its turn and for one of the provider's `slots`; gives the seconds waited for the turn.

        The slot is taken before the moment is noted: otherwise a full house would shorten the gap behind it.
        """
        async with self._door:
            arrived = time.monotonic()
            while (delay := self._next - time.monotonic()) > 0:
                await asyncio.sleep(delay)
            waited = time.monotonic() - arrived
            await slots.acquire()
            self.left()
            return waited

    def left(self) -> None:
        """A request has left just now; told once more when it is really out, for a connection takes time to make."""
        self._not_before(time.monotonic() + self._interval)

    def hold(self, seconds: float) -> None:
        """Lets nobody in for so long."""
        self._not_before(time.monotonic() + seconds)

    def is_news(self, seconds: float) -> bool:
        """Whether a wait of so long is worth telling: not as part of one that is going on and was told already."""
        now = time.monotonic()
        left = max(0.0, self._told_until - now)
        if left and seconds <= 2 * left + 1:
            return False
        self._told_until = now + seconds
        return True

    def _not_before(self, moment: float) -> None:
        self._next = max(self._next, moment)
