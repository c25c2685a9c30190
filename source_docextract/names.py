"""Names of tables and columns that every warehouse takes, out of names in any script. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from typing import TypeVar

from anyascii import anyascii

from .model import digest_of

LONGEST = 63
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

_TAIL = 6

T = TypeVar("T", bound=Hashable)


def slug(name: str) -> str:
    """Lower-case letters, digits and `_`; other scripts are transliterated. Empty where a name has neither."""
    return re.sub(r"[^a-z0-9]+", "_", anyascii(name).lower()).strip("_")


def cut(name: str, ending: str = "") -> str:
    """A name with an ending, as long as names may be."""
    return f"{name[: LONGEST - len(ending)].rstrip('_')}{ending}"


def apart(
    names: Mapping[T, str], taken: Collection[str], endings: Iterable[Callable[[T], str]], fixed: Collection[T] = ()
) -> dict[T, str]:
    """Names of which no two are the same, and none is taken.

    Where some are, each of them gets an ending, so that which is which never hangs on their order: the first of the
    `endings` that tells them apart. Those that are `fixed` have none.
    """
    found = dict(names)
    for ending in endings:
        counts = Counter(found.values())
        alike = [one for one, name in found.items() if one not in fixed and (counts[name] > 1 or name in taken)]
        if not alike:
            break
        found.update({one: cut(names[one], f"_{ending(one)}") for one in alike})
    return found


def tail(of: str) -> str:
    """Part of an id; where it has no letters or digits, of its digest."""
    return slug(of).replace("_", "")[-_TAIL:] or digest(of)


def digest(of: str) -> str:
    return digest_of(of.encode(errors="surrogatepass"))[:_TAIL]


def whole_digest(of: str) -> str:
    return digest_of(of.encode(errors="surrogatepass"))
