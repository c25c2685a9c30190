"""Names of tables and columns that every warehouse takes, out of names in any script. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from typing import TypeVar

from anyascii import anyascii

from ..core.content import compute_content_digest

MAX_NAME_LENGTH = 63
"""Bytes of a name in PostgreSQL, which takes the fewest; names are ASCII here."""

SYSTEM_COLUMNS = frozenset(
    {
        *("tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"),  # PostgreSQL, section "System Columns"
        *("oid", "insertxid", "deletexid"),  # Amazon Redshift, and PostgreSQL before 12
        *("constraint", "current_date", "current_time", "current_timestamp", "current_user"),  # Snowflake,
        *("localtime", "localtimestamp"),  # "Reserved & limited keywords": "cannot be used as column name"
    }
)
"""Names that some warehouse refuses for a column, even in quotes or in its `CREATE TABLE` at all.

BigQuery (`_PARTITION`, `_TABLE_`, `_FILE_`, `_ROW_TIMESTAMP`, ...) and Databricks (`_metadata`, `_change_type`, ...)
reserve names that begin with `_` and a letter. A slug never begins with `_`, so that no column is called so.
"""

_ID_SUFFIX_LENGTH = 6

T = TypeVar("T", bound=Hashable)


def slug(name: str) -> str:
    """Lower-case letters, digits and `_`; other scripts are transliterated. Empty where a name has neither."""
    return re.sub(r"[^a-z0-9]+", "_", anyascii(name).lower()).strip("_")


def truncate(name: str, suffix: str = "") -> str:
    """A name with an ending, as long as names may be."""
    return f"{name[: MAX_NAME_LENGTH - len(suffix)].rstrip('_')}{suffix}"


def disambiguate(
    names: Mapping[T, str],
    taken_names: Collection[str],
    suffix_builders: Iterable[Callable[[T], str]],
    fixed_keys: Collection[T] = (),
) -> dict[T, str]:
    """Names of which no two are the same, and none is taken.

    Where some are, each of them gets an ending, so that which is which never hangs on their order: the first of the
    `endings` that tells them apart. Those that are `fixed` have none.
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
    """Part of an id; where it has no letters or digits, of its digest."""
    return slug(identifier).replace("_", "")[-_ID_SUFFIX_LENGTH:] or compute_short_digest(identifier)


def compute_short_digest(text: str) -> str:
    return compute_content_digest(text.encode(errors="surrogatepass"))[:_ID_SUFFIX_LENGTH]


def compute_digest(text: str) -> str:
    return compute_content_digest(text.encode(errors="surrogatepass"))
