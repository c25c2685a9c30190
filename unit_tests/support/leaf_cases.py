"""An independent flattening of extracted data into JSON Pointers and values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

WRAPPER_MARKERS = {"atlas": "confidence_score", "sensible": "type"}
"""The key that makes an object with a `value` a wrapper, by provider."""


def collect_leaves(data: dict[str, Any], provider: str) -> dict[str, Any]:
    """Return the values that must be field rows, by path."""
    flat = dict(_flatten(data, ""))
    wrappers = _find_wrappers(flat, WRAPPER_MARKERS[provider]) if provider in WRAPPER_MARKERS else set()
    values = {}
    for pointer, value in flat.items():
        enclosing_wrapper = max(
            (wrapper for wrapper in wrappers if pointer.startswith(f"{wrapper}/")), key=len, default=None
        )
        if enclosing_wrapper is not None and pointer.removeprefix(enclosing_wrapper).split("/")[1] != "value":
            continue  # metadata of a value, such as its confidence
        values[pointer.removesuffix("/value") if pointer == f"{enclosing_wrapper}/value" else pointer] = value
    if provider == "atlas":
        values.pop("/document_type", None)
    if provider == "sensible":
        values = {path: value for path, value in values.items() if not _is_column_id(path, flat)}
    return {path: value for path, value in values.items() if value not in ([], {})}


def get_original_value(row: dict[str, Any]) -> Any:
    """Return the value of a field row as the provider sent it."""
    value = row.get("value")
    values_by_type = {"number": row.get("number_value"), "boolean": value == "true", "null": None, "string": value}
    return values_by_type[row["value_type"]]


def _flatten(value: Any, pointer: str) -> Iterator[tuple[str, Any]]:
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    parts = [(str(key).replace("~", "~0").replace("/", "~1"), item) for key, item in items]
    if not parts:
        yield pointer, value
    for part, item in parts:
        yield from _flatten(item, f"{pointer}/{part}")


def _find_wrappers(flat: dict[str, Any], marker_key: str) -> set[str]:
    candidates = {pointer.removesuffix(f"/{marker_key}") for pointer in flat if pointer.endswith(f"/{marker_key}")}
    return {
        candidate
        for candidate in candidates
        if candidate and any(f"{pointer}/".startswith(f"{candidate}/value/") for pointer in flat)
    }


def _is_column_id(path: str, flat: dict[str, Any]) -> bool:
    parent, _, name = path.rpartition("/")
    return name == "id" and "/columns/" in parent and any(pointer.startswith(f"{parent}/values") for pointer in flat)
