"""When to look again at what was believed once: at growing ages, each twice the one before. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta


def has_doubled(since: datetime, last: datetime, now: datetime, first: timedelta) -> bool:
    """Return whether an age of `first`, 2 × `first`, 4 × `first`, … lies between the last look and now.

    Args:
        since: when the age begins to count.
        last: the last look that succeeded. A look that failed leaves this as it is, so it stays due.
        first: the first of the ages.
    """
    age = first
    if now - since < age:
        return False
    while now - since >= 2 * age:
        age *= 2
    return last - since < age


def is_due(since: datetime, last: datetime, now: datetime, every_look_until: timedelta) -> bool:
    """Return whether a look is due: at every sync up to some age, then each time the age has doubled.

    A clock that was set back makes it due: a look too many costs one request, a look too few costs a document.
    """
    return now - since < every_look_until or has_doubled(since, last, now, every_look_until)
