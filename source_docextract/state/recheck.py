"""When to look again at what was believed once: at growing ages, each twice the one before. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta


def has_age_doubled(started_at: datetime, last_checked_at: datetime, now: datetime, first_age: timedelta) -> bool:
    """Return whether an age of `first`, 2 × `first`, 4 × `first`, … lies between the last look and now.

    Args:
        since: when the age begins to count.
        last: the last look that succeeded. A look that failed leaves this as it is, so it stays due.
        first: the first of the ages.
    """
    age = first_age
    if now - started_at < age:
        return False
    while now - started_at >= 2 * age:
        age *= 2
    return last_checked_at - started_at < age


def is_check_due(started_at: datetime, last_checked_at: datetime, now: datetime, every_sync_period: timedelta) -> bool:
    """Return whether a look is due: at every sync up to some age, then each time the age has doubled.

    A clock that was set back makes it due: a look too many costs one request, a look too few costs a document.
    """
    return now - started_at < every_sync_period or has_age_doubled(started_at, last_checked_at, now, every_sync_period)
