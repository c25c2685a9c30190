"""The weeks of an invented office, to play with: when papers come in, how surely they are read, what fails.

All of it is drawn from the generator that is given, so that the same seed gives the same weeks.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

WEEK_COUNT = 12
"""So many lie behind; they are counted back from now, so that the last one is 1."""

_FAILURE_RATE = 0.05
_BAD_SCAN_RATES = {7: 0.3, 6: 0.2}
"""By week, the share of papers that cannot be read: a scanner was broken."""
_SLOWDOWN_FACTORS = {4: 5.0, 3: 2.5}
"""By week, how much longer reading takes than it usually does."""
_OUTLIER_RATE = 0.05
_MIN_CONFIDENCE, _MAX_CONFIDENCE = 0.31, 0.99


@dataclass(frozen=True)
class ConfidenceTrend:
    """How sure a reader is of one field: twelve weeks ago, and how much surer each week since."""

    initial: float
    weekly_change: float = 0.0
    spread: float = 0.015


class OfficeHistory:
    def __init__(self, random: Random, now: datetime) -> None:
        self._random = random
        self._now = now

    def iter_weeks(self) -> Iterator[int]:
        """The weeks that lie behind, the longest ago first."""
        yield from range(WEEK_COUNT, 0, -1)

    def draw_times(self, week: int, mean_count: int) -> list[datetime]:
        """About so many moments of a week, in their order."""
        time_count = max(1, mean_count + self._random.randint(-1, 1))
        ages_in_days = sorted(
            (self._random.uniform(7 * week - 6.9, 7 * week - 0.1) for _ in range(time_count)), reverse=True
        )
        return [self._now - timedelta(days=age_in_days) for age_in_days in ages_in_days]

    def draw_failure(self, week: int, reasons: Sequence[str]) -> str | None:
        """Why a paper of that week cannot be read; of most there is no reason."""
        return (
            self._random.choice(reasons) if self._random.random() < _BAD_SCAN_RATES.get(week, _FAILURE_RATE) else None
        )

    def slow_down(self, week: int, seconds: float) -> float:
        return round(seconds * _SLOWDOWN_FACTORS.get(week, 1.0), 3)

    def draw_confidence(self, trends: Mapping[str, ConfidenceTrend], field: str, week: int) -> float:
        """Between 0 and 1: as the field's habit is by that week, now and then much less."""
        trend = trends.get(field, ConfidenceTrend(0.95))
        expected = self._random.gauss(trend.initial + trend.weekly_change * (WEEK_COUNT - week), trend.spread)
        drop = self._random.uniform(0.15, 0.45) if self._random.random() < _OUTLIER_RATE else 0.0
        return round(min(_MAX_CONFIDENCE, max(_MIN_CONFIDENCE, expected - drop)), 2)
