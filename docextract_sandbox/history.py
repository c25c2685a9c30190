"""The demo's history: twelve weeks of arrivals, confidences and failures.

Everything is drawn from the generator that the caller passes: the same seed gives the same weeks.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

WEEK_COUNT = 12
"""Number of weeks, counted back from now: the most recent week is 1."""

_FAILURE_RATE = 0.05
_BAD_SCAN_RATES = {7: 0.3, 6: 0.2}
"""Share of unreadable documents by week: in the invented office a scanner was broken."""
_SLOWDOWN_FACTORS = {4: 5.0, 3: 2.5}
"""Factor on the usual processing time, by week."""
_OUTLIER_RATE = 0.05
_MIN_CONFIDENCE, _MAX_CONFIDENCE = 0.31, 0.99


@dataclass(frozen=True)
class ConfidenceTrend:
    """The mean confidence of one field twelve weeks ago, and its change per week."""

    initial: float
    weekly_change: float = 0.0
    spread: float = 0.015


class OfficeHistory:
    """The history of an invented office, drawn from a seeded generator."""

    def __init__(self, random: Random, now: datetime) -> None:
        """Count the weeks back from `now`."""
        self._random = random
        self._now = now

    def iter_weeks(self) -> Iterator[int]:
        """Yield the numbers of the weeks, oldest first."""
        yield from range(WEEK_COUNT, 0, -1)

    def draw_times(self, week: int, mean_count: int) -> list[datetime]:
        """Return about `mean_count` moments of a week, oldest first."""
        time_count = max(1, mean_count + self._random.randint(-1, 1))
        ages_in_days = sorted(
            (self._random.uniform(7 * week - 6.9, 7 * week - 0.1) for _ in range(time_count)), reverse=True
        )
        return [self._now - timedelta(days=age_in_days) for age_in_days in ages_in_days]

    def draw_failure(self, week: int, reasons: Sequence[str]) -> str | None:
        """Return the reason for which a document of a week fails; None for most."""
        failure_rate = _BAD_SCAN_RATES.get(week, _FAILURE_RATE)
        return self._random.choice(reasons) if self._random.random() < failure_rate else None

    def slow_down(self, week: int, seconds: float) -> float:
        """Return a processing time as it is in that week."""
        return round(seconds * _SLOWDOWN_FACTORS.get(week, 1.0), 3)

    def draw_confidence(self, trends: Mapping[str, ConfidenceTrend], field: str, week: int) -> float:
        """Return a confidence near the field's trend in that week, at times much lower."""
        trend = trends.get(field, ConfidenceTrend(0.95))
        expected = self._random.gauss(trend.initial + trend.weekly_change * (WEEK_COUNT - week), trend.spread)
        drop = self._random.uniform(0.15, 0.45) if self._random.random() < _OUTLIER_RATE else 0.0
        return round(min(_MAX_CONFIDENCE, max(_MIN_CONFIDENCE, expected - drop)), 2)
