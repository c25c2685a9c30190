"""Descriptions of an account's values by shape, never by value. Pure.

Users send the probe's report to strangers. So a value is described by its type and a time by its format; a key is
named only if it is documented, or if it is made of words, as keys are and ids are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TypeGuard

from ..json_types import Json

_MAX_KEYS = 12

_MAX_NAME_LENGTH = 32

_NAME_PATTERN = re.compile(
    r"[a-z]{1,15}(?:_[a-z]{1,15}){0,3}|[a-z]{1,15}(?:[A-Z][a-z]{1,14}){0,3}|[A-Z]{2,15}(?:_[A-Z]{1,15}){0,3}"
)
"""snake_case, camelCase or CAPITALS, of letters only: random ids have digits or change case within a word."""

_MIXED_CASE = re.compile(r"(?:[A-Z][a-z]?){4,}")

_CONSONANTS = re.compile(r"(?i)[b-df-hj-np-tv-xz]{6,}")
"""Signs of a random id, like the pattern above: six consonants in a row, or a change of case every letter or two."""

_HTTP_DATE = re.compile(r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT")

_ISO_TIME = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(?::\d{2}(?P<fraction>\.\d+)?)?(?P<zone>[Zz]|[+-]\d{2}:?\d{2})?"
)


def is_word(name: str) -> bool:
    """Return whether a name looks like an identifier, and not like an id or a value."""
    is_made_of_words = len(name) <= _MAX_NAME_LENGTH and bool(_NAME_PATTERN.fullmatch(name))
    return is_made_of_words and not _CONSONANTS.search(name) and (name.isupper() or not _MIXED_CASE.search(name))


def get_type_name(value: Json) -> str:
    """Return the JSON type of a value.

    It is one of `text`, `number`, `true or false`, `null`, `list` and `object`.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if is_number(value):
        return "number"
    if isinstance(value, str):
        return "text"
    return "list" if isinstance(value, list) else "object"


def is_number(value: Json) -> TypeGuard[float]:
    """Return whether a value is a JSON number; Python counts booleans as integers."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def describe_shape(value: Json, documented_keys: Iterable[str] = ()) -> str:
    """Return a phrase such as `object with the keys data, hasMore and 2 others`.

    Keys that are neither documented nor words are counted, not named.
    """
    if isinstance(value, list):
        type_names = sorted({get_type_name(item) for item in value})
        return f"list of {len(value)} ({', '.join(type_names)})" if type_names else "empty list"
    if not isinstance(value, Mapping):
        return get_type_name(value)
    if not value:
        return "empty object"
    known_keys = set(documented_keys)
    # A key may itself be a value of the account: Extracta's `batches` is an object keyed by batch ids.
    visible_keys = sorted(name for name in value if name in known_keys or is_word(name))[:_MAX_KEYS]
    hidden_count = len(value) - len(visible_keys)
    if not visible_keys:
        return f"object with {hidden_count} keys"
    others_text = f" and {hidden_count} others" if hidden_count else ""
    return f"object with the keys {', '.join(visible_keys)}{others_text}"


def list_unknown_keys(json_object: Mapping[str, Json], documented_keys: Iterable[str]) -> list[str]:
    """Return `name (type)` for each undocumented key.

    Names that could be values are counted only.
    """
    known_keys = set(documented_keys)
    unknown_keys = [name for name in json_object if name not in known_keys]
    visible_keys = [name for name in unknown_keys if is_word(name)][:_MAX_KEYS]
    key_texts = [f"{name} ({get_type_name(json_object[name])})" for name in visible_keys]
    hidden_count = len(unknown_keys) - len(visible_keys)
    return [*key_texts, f"{hidden_count} whose names may be values"] if hidden_count else key_texts


def describe_status(value: Json) -> str:
    """Return a status as sent if it is one word of letters, else its type."""
    if isinstance(value, str) and is_word(value):
        return value
    return f"a {get_type_name(value)} that is not a word"


def describe_time_format(value: Json) -> str:
    """Return the format of a time, or the value's type where it is no time.

    Formats are `ISO 8601 with a zone`, `milliseconds`, `seconds as text`, `an HTTP date`, `missing` and the like.
    """
    if value is None or value == "":
        return "missing"
    if isinstance(value, str):
        return _describe_time_text(value.strip())
    if isinstance(value, Mapping) and value.keys() & {"_seconds", "seconds"}:
        return "seconds and nanoseconds"
    return _describe_epoch_unit(float(value)) if is_number(value) else get_type_name(value)


def _describe_time_text(text: str) -> str:
    if match := _ISO_TIME.fullmatch(text):
        zone = "with a zone" if match["zone"] else "without a zone"
        return "ISO 8601 in lower case" if "t" in text else f"ISO 8601 {zone}"
    if _HTTP_DATE.fullmatch(text):
        return "an HTTP date"
    return f"{_describe_epoch_unit(int(text))} as text" if re.fullmatch(r"\d{9,20}", text) else "text of another form"


def _describe_epoch_unit(number: float) -> str:
    """Return the unit of a number that counts the time since 1970.

    The time has to lie between 2001 and 2100.
    """
    for unit, lower, upper in (
        ("seconds", 1e9, 4.2e9),
        ("milliseconds", 1e12, 4.2e12),
        ("microseconds", 1e15, 4.2e15),
        ("nanoseconds", 1e18, 4.2e18),
    ):
        if lower <= number <= upper:
            return unit
    return "milliseconds beyond 2100" if 4.2e12 < number < 1e15 else "number of another size"


def parse_time(value: Json) -> datetime | None:
    """Return the time of ISO 8601 text, else None.

    It serves comparisons and never becomes part of a report.
    """
    if not isinstance(value, str) or not _ISO_TIME.fullmatch(value.strip()):
        return None
    try:
        # Python 3.10's `fromisoformat` does not read a Z.
        return datetime.fromisoformat(value.strip().upper().replace("Z", "+00:00"))
    except ValueError:
        return None
