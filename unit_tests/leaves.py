"""A second opinion on the values in extracted data: all JSON Pointers there are, then without those of wrappers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

SIGNS = {"atlas": "confidence_score", "sensible": "type"}
"""By provider, the key that makes an object with a `value` a wrapper."""


def leaves(data: dict[str, Any], provider: str) -> dict[str, Any]:
    """By path, the values that are to be rows."""
    flat = dict(_flat(data, ""))
    wrappers = _wrappers(flat, SIGNS[provider]) if provider in SIGNS else set()
    found = {}
    for pointer, value in flat.items():
        own = max((one for one in wrappers if pointer.startswith(f"{one}/")), key=len, default=None)
        if own is not None and pointer.removeprefix(own).split("/")[1] != "value":
            continue  # what is told about a value
        found[pointer.removesuffix("/value") if pointer == f"{own}/value" else pointer] = value
    if provider == "atlas":
        found.pop("/document_type", None)
    if provider == "sensible":
        found = {path: value for path, value in found.items() if not _names_column(path, flat)}
    return {path: value for path, value in found.items() if value not in ([], {})}


def sent(row: dict[str, Any]) -> Any:
    """The value of a fields row as its provider sent it."""
    value = row.get("value")
    kinds = {"number": row.get("number_value"), "boolean": value == "true", "null": None, "string": value}
    return kinds[row["value_type"]]


def _flat(value: Any, pointer: str) -> Iterator[tuple[str, Any]]:
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    parts = [(str(key).replace("~", "~0").replace("/", "~1"), item) for key, item in items]
    if not parts:
        yield pointer, value
    for part, item in parts:
        yield from _flat(item, f"{pointer}/{part}")


def _wrappers(flat: dict[str, Any], sign: str) -> set[str]:
    candidates = {pointer.removesuffix(f"/{sign}") for pointer in flat if pointer.endswith(f"/{sign}")}
    return {one for one in candidates if one and any(f"{pointer}/".startswith(f"{one}/value/") for pointer in flat)}


def _names_column(path: str, flat: dict[str, Any]) -> bool:
    parent, _, name = path.rpartition("/")
    return name == "id" and "/columns/" in parent and any(one.startswith(f"{parent}/values") for one in flat)
