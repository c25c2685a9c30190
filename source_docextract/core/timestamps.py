"""Times: parsing of the providers' forms, formatting for rows. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

from .json_types import Json, JsonObject
from .numbers import NUMBER_TEXT


def to_utc(time: datetime) -> datetime:
    """Return a time in UTC.

    A time without a zone is taken as UTC: Sensible's documentation shows such times.
    """
    return time.replace(tzinfo=timezone.utc) if time.tzinfo is None else time.astimezone(timezone.utc)


def format_rfc3339(time: datetime | None) -> str | None:
    """Return a time as `2026-11-20T09:00:00.000Z`, the form of all times in rows."""
    if time is None:
        return None
    return time.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_ISO_TIME = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)"
    r"(?:[Tt ](\d\d):?(\d\d)(?::?(\d\d)(?:[.,](\d+))?)?\s?(?:([Zz]|UTC|GMT)|([+-])(\d\d):?(\d\d)?)?)?",
    re.ASCII,
)

_MAIL_DATE = re.compile(
    r"(?:[A-Z][a-z]{2}, )?\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d(?::\d\d)? (?:GMT|UTC|UT|[+-]\d{4})", re.ASCII
)

_MIN_EPOCH_SECONDS, _MAX_EPOCH_SECONDS = 946_684_800, 4_102_444_800  # the years 2000 and 2100

_EPOCH_UNITS = (1, 1_000, 1_000_000, 1_000_000_000)
"""Units per second: seconds to nanoseconds. No number lies between 2000 and 2100 in two of these units."""

_COMPACT_TIME_LENGTH, _RFC3339_LENGTH = len("20260309081408"), len("2026-03-09T08:14:08.000Z")

_SPLIT_TIME_KEYS = (("_seconds", "_nanoseconds"), ("seconds", "nanoseconds"), ("seconds", "nanos"))
"""Keys of times that are split into seconds and a fraction, as Firestore's clients and protocol buffers write them."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def parse_time(value: Json) -> datetime | None:
    """Return a time in UTC, None if it is not certain which time is meant.

    The accepted forms are ISO 8601 with its compact form, the dates of HTTP and mail, objects of seconds and
    nanoseconds, and numbers since 1970 in seconds, milliseconds, microseconds or nanoseconds that fall between 2000 and
    2100. Extracta's documentation leaves the form and unit of `startTime` open, so all of them are read.
    """
    if isinstance(value, str):
        return _parse_time_text(value.strip())
    if isinstance(value, Mapping):
        return _parse_split_time(value)
    return _parse_epoch_number(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _parse_time_text(text: str) -> datetime | None:
    try:
        # The form that most providers send takes the fast way. Python 3.10's `fromisoformat` does not read a Z.
        if len(text) == _RFC3339_LENGTH and text[10] == "T" and text[-1] == "Z":
            return datetime.fromisoformat(f"{text[:-1]}+00:00")
        # Numbers come first: a compact date is all digits too, but no number between 2000 and 2100 is eight or fourteen
        # digits long.
        if NUMBER_TEXT.fullmatch(text):
            if epoch_time := _parse_epoch_number(int(text) if text.isdecimal() else float(text)):
                return epoch_time
            # A registry may write times without separators, such as 20260309081408, the form in Atlas's batch ids.
            text = f"{text[:8]}T{text[8:]}" if len(text) == _COMPACT_TIME_LENGTH else text
        if iso_match := _ISO_TIME.fullmatch(text):
            return _parse_iso_time(iso_match)
        return to_utc(parsedate_to_datetime(text)) if _MAIL_DATE.fullmatch(text) else None
    except (ValueError, OverflowError):  # a 31st of June, or a zone that leads out of the year 9999
        return None


def _parse_iso_time(match: re.Match[str]) -> datetime:
    """Return the time of a match of `_ISO_TIME`. Digits beyond microseconds are cut.

    `datetime.fromisoformat` would accept other forms on each version of Python.
    """
    year, month, day, hour, minute, second, fraction, _, sign, hours, minutes = match.groups()
    microsecond = int((fraction or "0")[:6].ljust(6, "0"))
    time_of_day = (int(hour or 0), int(minute or 0), int(second or 0), microsecond)
    local_time = datetime(int(year), int(month), int(day), *time_of_day, tzinfo=timezone.utc)
    if sign is None:
        return local_time
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    return local_time + offset if sign == "-" else local_time - offset


def _parse_epoch_number(number: float) -> datetime | None:
    for unit in _EPOCH_UNITS:
        if _MIN_EPOCH_SECONDS * unit <= number < _MAX_EPOCH_SECONDS * unit:
            # Whole numbers are divided as such: a float does not hold all digits of nanoseconds.
            microseconds = number * 1_000_000 // unit if isinstance(number, int) else round(number / unit * 1_000_000)
            return _EPOCH + timedelta(microseconds=microseconds)
    # A number outside these years is not certain to be a time. Unless another form fits, the column stays null and
    # `provider_data` holds the value as sent.
    return None


def _parse_split_time(value: JsonObject) -> datetime | None:
    for seconds_key, fraction_key in _SPLIT_TIME_KEYS:
        # An object with further keys is not certain to be a time. It stays in `provider_data`, and no time is made up.
        seconds, fraction = value.get(seconds_key), value.get(fraction_key, 0)
        if value.keys() <= {seconds_key, fraction_key} and type(seconds) is int and type(fraction) is int:
            is_certain = _MIN_EPOCH_SECONDS <= seconds < _MAX_EPOCH_SECONDS and 0 <= fraction < 1_000_000_000
            return _EPOCH + timedelta(seconds=seconds, microseconds=fraction // 1000) if is_certain else None
    return None


DAY = timedelta(days=1)


def truncate_to_day(moment: datetime) -> datetime:
    """Return the midnight (UTC) at which a moment's day begins."""
    return moment.astimezone(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)


def round_up_to_day(moment: datetime) -> datetime:
    """Return the first midnight (UTC) that is not earlier than a moment."""
    return truncate_to_day(moment + DAY - timedelta(microseconds=1))
