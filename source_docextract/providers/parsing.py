"""What the readers of all providers share: tolerant parsing of values. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import NoneType
from typing import Any

import orjson

from ..core.content import compute_content_digest, dump_sorted_json
from ..core.errors import UnreadableResponse
from ..core.ids import escape_id_part
from ..core.json_types import Json
from ..core.model import Document, Extraction, FileStatus, PartitionRef, PartitionStatus, Snapshot
from ..core.provider import T
from ..core.urls import strip_file_urls


def require_object(value: Json, label: str) -> Mapping[str, Json]:
    if not isinstance(value, dict):
        raise UnreadableResponse(f"{label} is not a JSON object.")
    return value


def parse_each(rows: Sequence[Json], parse: Callable[[Json], T]) -> list[T]:
    """What `read` makes of the rows, without those of which it makes a BadAnswer: one must not cost the others."""
    parsed = []
    for row in rows:
        try:
            parsed.append(parse(row))
        except UnreadableResponse:
            continue
    return parsed


def compute_fingerprint(row: Mapping[str, Json], *, has_urls: bool = False) -> str:
    """Changes when a list tells something new, links to files aside if it has any.

    Raises:
        BadAnswer: where the row is nested too deeply to be written anywhere.
    """
    try:
        return compute_content_digest(dump_sorted_json(strip_file_urls(row) if has_urls else row))
    except (RecursionError, TypeError):
        raise UnreadableResponse("A row is nested too deeply.") from None


def describe_unreadable(count: int, label: str) -> str:
    """Says so where something could not be read."""
    return f"{count} of {label} cannot be read; the others are delivered." if count else ""


def missing_document(ref: PartitionRef, reason: str) -> Snapshot:
    """An extraction of which its provider tells no more than why not, not even its batch."""
    document = Document(
        key=escape_id_part(ref.batch_id),
        status=FileStatus.FAILED,
        file_id=ref.batch_id,
        error=reason,
        batch=PartitionRef(ref.template_id, ""),
    )
    return Snapshot(ref, PartitionStatus.MISSING, documents=(document,), error=reason, batch_unknown=True)


def as_text(value: Json) -> str | None:
    """A value that is meant to be text: numbers become text, nothing and emptiness become None."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        raise UnreadableResponse("A text value is nested too deeply.") from None


def as_text_or_none(value: Json) -> str | None:
    """Return a value as text, None where it is nested too deeply: for what a list says beside the ids in it."""
    return next(iter(parse_each([value], as_text)), None)


def as_identifier(value: Json, label: str) -> str | None:
    """An id as text, None where there is none.

    Raises:
        BadAnswer: for what cannot be one, such as a list: written as text, it would name something that is not there.
    """
    if isinstance(value, (str, int, NoneType)) and not isinstance(value, bool):
        return as_text(value)
    raise UnreadableResponse(f"{label} is neither text nor a whole number.")


def find_uncertain_times(row: Mapping[str, Json], **parsed_times: datetime | None) -> frozenset[str]:
    """Return those keys under which something was sent that was not `read` as a time."""
    if None not in parsed_times.values():
        return _NO_KEYS
    return frozenset(key for key, time in parsed_times.items() if time is None and row.get(key))


_NO_KEYS: frozenset[str] = frozenset()


def as_number(value: Json) -> int | None:
    """A whole number, also where it was sent as text or as 2.0."""
    if isinstance(value, bool):
        return None
    try:
        integer = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return integer if abs(integer) < 2**63 else None  # more fits into no warehouse, and into no JSON written here


def unknown_keys(row: Mapping[str, Any], known_keys: frozenset[str]) -> dict[str, Json]:
    """The keys that no column holds."""
    return {} if known_keys.issuperset(row) else {key: value for key, value in row.items() if key not in known_keys}


def as_object(value: Json) -> Mapping[str, Json]:
    """Extracted data as an object: nothing is `{}`, what is no object stands under `value`."""
    if value is None:
        return {}
    return value if isinstance(value, dict) else {"value": value}


def build_extraction(data: Json, **columns: Any) -> Extraction:
    """An Extraction whose data holds no links to files."""
    data_object = as_object(data)
    return Extraction(data=data_object, hashable_data=data_object, **columns)
