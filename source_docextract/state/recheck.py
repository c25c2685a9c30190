"""When to repeat a check: at growing ages, each twice the one before. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

FIRST_LOOK_AGE = timedelta(hours=1)
"""The age of a settled partition at which it is looked at for the first time; later ages are twice the one before."""


def has_age_doubled(started_at: datetime, last_checked_at: datetime, now: datetime, first_age: timedelta) -> bool:
    """Return whether a doubled age was reached between the last check and now.

    The ages are `first_age`, 2 × `first_age`, 4 × `first_age`, and so on.

    Args:
        started_at: when the age begins to count.
        last_checked_at: the last check that succeeded. A failed check does not move it, so the check stays due.
        now: the time of this sync.
        first_age: the first of the ages.
    """
    age = first_age
    if now - started_at < age:
        return False
    while now - started_at >= 2 * age:
        age *= 2
    return last_checked_at - started_at < age


def is_check_due(started_at: datetime, last_checked_at: datetime, now: datetime, every_sync_period: timedelta) -> bool:
    """Return whether a check is due.

    It is due at every sync up to an age, then each time the age has doubled. A clock that was set back makes it due:
    one check too many costs a request, one too few costs a document.

    Args:
        started_at: when the age begins to count.
        last_checked_at: the last check that succeeded.
        now: the time of this sync.
        every_sync_period: the age up to which every sync checks.
    """
    return now - started_at < every_sync_period or has_age_doubled(started_at, last_checked_at, now, every_sync_period)


def is_look_due(started_at: datetime, last_looked_at: datetime, now: datetime, lookback: timedelta) -> bool:
    """Return whether a settled partition has to be looked at again.

    It has each time its age has doubled, from `FIRST_LOOK_AGE` on, and once more when the lookback ends. A change is
    then seen after at most as long again as the partition was old, and no change within the lookback is missed.

    Args:
        started_at: when the partition settled.
        last_looked_at: the time up to which all looks that were due have been made.
        now: the time of this sync, not before `last_looked_at`.
        lookback: the age after which no change is expected; zero for no looks at all.
    """
    # As ages, since a time near the year 9999 plus the lookback cannot be represented.
    age = now - started_at
    if age >= lookback:
        return last_looked_at - started_at < lookback and lookback > timedelta()
    return has_age_doubled(started_at, last_looked_at, now, FIRST_LOOK_AGE)
