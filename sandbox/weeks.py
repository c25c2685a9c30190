"""The weeks of an invented office, to play with: when papers come in, how surely they are read, what fails.

All of it is drawn from the generator that is given, so that the same seed gives the same weeks.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

WEEKS = 12
"""So many lie behind; they are counted back from now, so that the last one is 1."""

_FAILING_SHARE = 0.05
_BAD_SCANS = {7: 0.3, 6: 0.2}
"""By week, the share of papers that cannot be read: a scanner was broken."""
_SLOW = {4: 5.0, 3: 2.5}
"""By week, how much longer reading takes than it usually does."""
_SLIP_SHARE = 0.05
_LEAST, _MOST = 0.31, 0.99


@dataclass(frozen=True)
class Habit:
    """How sure a reader is of one field: twelve weeks ago, and how much surer each week since."""

    start: float
    weekly: float = 0.0
    spread: float = 0.015


class Weeks:
    def __init__(self, random: Random, now: datetime) -> None:
        self._random = random
        self._now = now

    def past(self) -> Iterator[int]:
        """The weeks that lie behind, the longest ago first."""
        yield from range(WEEKS, 0, -1)

    def times(self, week: int, count: int) -> list[datetime]:
        """About so many moments of a week, in their order."""
        number = max(1, count + self._random.randint(-1, 1))
        ages = sorted((self._random.uniform(7 * week - 6.9, 7 * week - 0.1) for _ in range(number)), reverse=True)
        return [self._now - timedelta(days=age) for age in ages]

    def failure(self, week: int, reasons: Sequence[str]) -> str | None:
        """Why a paper of that week cannot be read; of most there is no reason."""
        return self._random.choice(reasons) if self._random.random() < _BAD_SCANS.get(week, _FAILING_SHARE) else None

    def slowed(self, week: int, seconds: float) -> float:
        return round(seconds * _SLOW.get(week, 1.0), 3)

    def sureness(self, habits: Mapping[str, Habit], field: str, week: int) -> float:
        """Between 0 and 1: as the field's habit is by that week, now and then much less."""
        habit = habits.get(field, Habit(0.95))
        usual = self._random.gauss(habit.start + habit.weekly * (WEEKS - week), habit.spread)
        slip = self._random.uniform(0.15, 0.45) if self._random.random() < _SLIP_SHARE else 0.0
        return round(min(_MOST, max(_LEAST, usual - slip)), 2)
