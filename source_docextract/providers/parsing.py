"""Tolerant parsing of JSON values, shared by all providers. No I/O."""

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
    """Return a value that has to be a JSON object.

    Raises:
        UnreadableResponse: The value is anything else; `label` names it in the message.
    """
    if not isinstance(value, dict):
        raise UnreadableResponse(f"{label} is not a JSON object.")
    return value


def parse_each(rows: Sequence[Json], parse: Callable[[Json], T]) -> list[T]:
    """Return the parsed rows, without those that are unreadable.

    A row is left out if `parse` raises UnreadableResponse: one unreadable row must not cost the others. Callers compare
    the lengths and report the difference with `describe_unreadable`.
    """
    parsed = []
    for row in rows:
        try:
            parsed.append(parse(row))
        except UnreadableResponse:
            continue
    return parsed


def compute_fingerprint(row: Mapping[str, Json], *, has_urls: bool = False) -> str:
    """Return a digest of a listed row, which changes with any part of it.

    Args:
        row: The row as sent.
        has_urls: Whether the row may hold URLs of files. They are left out, since they are signed anew in each
            response.

    Raises:
        UnreadableResponse: The row is nested too deeply to be serialized.
    """
    # `strip_file_urls` is recursive, and orjson reports its own depth limit as a TypeError. Either costs this row
    # alone.
    try:
        return compute_content_digest(dump_sorted_json(strip_file_urls(row) if has_urls else row))
    except (RecursionError, TypeError):
        raise UnreadableResponse("A row is nested too deeply.") from None


def describe_unreadable(count: int, label: str) -> str:
    """Return a sentence about the rows that cannot be read, empty if none."""
    return f"{count} of {label} cannot be read; the others are delivered." if count else ""


def missing_document(ref: PartitionRef, reason: str) -> Snapshot:
    """Return the snapshot of an extraction that the provider refuses to return.

    Its document is failed with `reason`. The batch that it belongs to is unknown.
    """
    document = Document(
        # The key that FileKeyAssigner gives the same extraction: the failed row has to replace the pending one.
        key=escape_id_part(ref.batch_id),
        status=FileStatus.FAILED,
        file_id=ref.batch_id,
        error=reason,
        batch=PartitionRef(ref.template_id, ""),
    )
    return Snapshot(ref, PartitionStatus.MISSING, documents=(document,), error=reason, batch_unknown=True)


def as_text(value: Json) -> str | None:
    """Return a value as text.

    Null and the empty text become None. Numbers, lists and objects become their JSON.

    Raises:
        UnreadableResponse: The value is nested too deeply to be serialized.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        raise UnreadableResponse("A text value is nested too deeply.") from None


def as_text_or_none(value: Json) -> str | None:
    """Return a value as text, None where it is nested too deeply.

    For optional parts of a list entry, such as a name: they must not cost the entry.
    """
    return next(iter(parse_each([value], as_text)), None)


def as_identifier(value: Json, label: str) -> str | None:
    """Return an id as text, None for null and the empty text.

    Raises:
        UnreadableResponse: The value is neither text nor a whole number. Its JSON would be an id of nothing.
    """
    # DocMap's pages show template ids as text and as plain digits, so a whole number is an id too.
    if isinstance(value, (str, int, NoneType)) and not isinstance(value, bool):  # bool is a subclass of int
        return as_text(value)
    raise UnreadableResponse(f"{label} is neither text nor a whole number.")


def find_uncertain_times(row: Mapping[str, Json], **parsed_times: datetime | None) -> frozenset[str]:
    """Return the keys that hold a value which could not be parsed as a time.

    Args:
        row: The row as sent.
        parsed_times: Parsed times by key.
    """
    if None not in parsed_times.values():  # the usual case, checked first because this runs for each document
        return _NO_KEYS
    # Such a value stays in provider_data as sent: a time is never made up, and nothing that was sent is dropped.
    return frozenset(key for key, time in parsed_times.items() if time is None and row.get(key))


_NO_KEYS: frozenset[str] = frozenset()


def as_number(value: Json) -> int | None:
    """Return a value as a whole number, None where it is none.

    The text "2" and the number 2.0 count as 2.
    """
    if isinstance(value, bool):
        return None
    try:
        integer = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    # No larger integer fits into the columns of a warehouse, or into the JSON that the connector writes.
    return integer if abs(integer) < 2**63 else None


def unknown_keys(row: Mapping[str, Any], known_keys: frozenset[str]) -> dict[str, Json]:
    """Return the entries that no column holds, for `provider_data`."""
    # Most rows have known keys only, and `issuperset` finds that out without a loop in Python.
    return {} if known_keys.issuperset(row) else {key: value for key, value in row.items() if key not in known_keys}


def as_object(value: Json) -> Mapping[str, Json]:
    """Return extracted data as an object.

    Null becomes `{}`, and what is no object becomes `{"value": ...}`.
    """
    if value is None:
        return {}
    # The column `data` holds an object on every provider. Data of another type is kept in it, not dropped.
    return value if isinstance(value, dict) else {"value": value}


def build_extraction(data: Json, **columns: Any) -> Extraction:
    """Return an extraction all of whose data counts for its digest.

    For APIs whose extracted data holds no signed URLs, such as Extracta.ai.
    """
    data_object = as_object(data)
    return Extraction(data=data_object, hashable_data=data_object, **columns)
