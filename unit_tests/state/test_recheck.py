"""When a check is repeated: at growing ages, and at the end of the lookback."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from source_docextract.state.recheck import has_age_doubled, is_check_due, is_look_due
from unit_tests.support.cases import each_case

START = datetime(2026, 11, 20, 9, 0, tzinfo=timezone.utc)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@each_case(
    ("last_checked_at", "now", "is_due"),
    [
        (0, 0.99, False),
        (0, 1, True),
        (1, 1.99, False),
        (1, 2, True),
        (2, 3.99, False),
        (3.99, 4, True),
        (4, 7.99, False),
        (0, 100, True),
        (64, 100, False),
    ],
)
def test_age_has_doubled_if_one_of_the_ages_lies_after_the_last_check(
    last_checked_at: float, now: float, is_due: bool
) -> None:
    assert has_age_doubled(START, START + last_checked_at * HOUR, START + now * HOUR, HOUR) is is_due


def test_hourly_checks_become_rare_after_the_first_day() -> None:
    checks, last_checked_at = [], START
    for hour in range(1, 24 * 31):
        now = START + hour * HOUR
        if is_check_due(START, last_checked_at, now, DAY):
            checks.append(hour)
            last_checked_at = now

    assert checks == [*range(1, 25), 48, 96, 192, 384]


def test_daily_checks_are_due_at_the_boundaries() -> None:
    checks, last_checked_at = [], START
    for day in range(1, 31):
        if is_check_due(START, last_checked_at, START + day * DAY, DAY):
            checks.append(day)
            last_checked_at = START + day * DAY

    assert checks == [1, 2, 4, 8, 16]


def test_missed_check_stays_due() -> None:
    assert is_check_due(START, START + DAY, START + 7 * DAY, DAY)
    assert not is_check_due(START, START + DAY, START + DAY, DAY)
    assert not is_check_due(START, START + 7 * DAY, START + 7.5 * DAY, DAY)


def test_clock_set_back_makes_the_check_due() -> None:
    assert is_check_due(START, START, START - 40 * DAY, DAY)


@each_case(
    ("last_looked_at", "now", "lookback", "is_due"),
    [
        (0, 1, 72, True),
        (1, 1.5, 72, False),
        (65, 71, 72, False),
        (65, 72, 72, True),  # the last look, when the lookback ends
        (71, 500, 72, True),
        (72, 73, 72, False),
        (-5, 0, 0, False),  # no lookback, no look
        (-5, 50, 0, False),
    ],
)
def test_look_is_due_as_the_age_doubles_and_once_when_the_lookback_ends(
    last_looked_at: float, now: float, lookback: float, is_due: bool
) -> None:
    looked_at = START + last_looked_at * HOUR
    assert is_look_due(START, looked_at, START + now * HOUR, lookback * HOUR) is is_due
