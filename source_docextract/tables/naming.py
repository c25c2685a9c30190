"""Names of tables and columns that every warehouse accepts. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from typing import TypeVar

from anyascii import anyascii

from ..core.content import compute_content_digest

MAX_NAME_LENGTH = 63
"""The bytes of a name in PostgreSQL, the smallest limit of all warehouses. Names are ASCII here."""

SYSTEM_COLUMNS = frozenset(
    {
        *("tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"),  # PostgreSQL, section "System Columns"
        *("oid", "insertxid", "deletexid"),  # Amazon Redshift, and PostgreSQL before 12
        *("constraint", "current_date", "current_time", "current_timestamp", "current_user"),  # Snowflake,
        *("localtime", "localtimestamp"),  # "Reserved & limited keywords": "cannot be used as column name"
    }
)
"""The names that some warehouse refuses for a column, even in quotes.

BigQuery (`_PARTITION`, `_TABLE_`, `_FILE_`, `_ROW_TIMESTAMP`, ...) and Databricks (`_metadata`, `_change_type`, ...)
reserve names that begin with `_` and a letter. A slug never begins with `_`, so they need no place in this set.
"""

_ID_SUFFIX_LENGTH = 6

T = TypeVar("T", bound=Hashable)


def slug(name: str) -> str:
    """Return a name in lower-case ASCII letters, digits and `_`.

    Other scripts are transliterated. A name without letters and digits gives an empty text.
    """
    return re.sub(r"[^a-z0-9]+", "_", anyascii(name).lower()).strip("_")


def truncate(name: str, suffix: str = "") -> str:
    """Shorten a name to the longest that a suffix leaves room for, and append it."""
    return f"{name[: MAX_NAME_LENGTH - len(suffix)].rstrip('_')}{suffix}"


def disambiguate(
    names: Mapping[T, str],
    taken_names: Collection[str],
    suffix_builders: Iterable[Callable[[T], str]],
    fixed_keys: Collection[T] = (),
) -> dict[T, str]:
    """Return names of which no two are equal and none is taken.

    Each of several equal names gets a suffix, so that no name depends on their order.

    Args:
        names: the wanted names by key.
        taken_names: names that none of them may have.
        suffix_builders: functions that return a suffix for a key. Each one is used for the keys that are still in
            conflict after the one before.
        fixed_keys: keys whose names stay as they are.
    """
    unique_names = dict(names)
    for build_suffix in suffix_builders:
        name_counts = Counter(unique_names.values())
        conflicting_keys = [
            key
            for key, name in unique_names.items()
            if key not in fixed_keys and (name_counts[name] > 1 or name in taken_names)
        ]
        if not conflicting_keys:
            break
        unique_names.update({key: truncate(names[key], f"_{build_suffix(key)}") for key in conflicting_keys})
    return unique_names


def shorten_id(identifier: str) -> str:
    """Return the end of an id; of one without letters and digits, a digest."""
    return slug(identifier).replace("_", "")[-_ID_SUFFIX_LENGTH:] or compute_short_digest(identifier)


def compute_short_digest(text: str) -> str:
    """Return the first characters of a digest, as many as `shorten_id` keeps of an id."""
    return compute_content_digest(text.encode(errors="surrogatepass"))[:_ID_SUFFIX_LENGTH]


def compute_digest(text: str) -> str:
    """Return the digest of a text, which may contain lone surrogates."""
    return compute_content_digest(text.encode(errors="surrogatepass"))
