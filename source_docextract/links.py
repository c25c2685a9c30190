"""Links to files: often signed, and then new in every answer. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from .model import Json


def without_links(value: Json) -> Json:
    """A provider's own extras without what links to a file: such links are signed, and new in every answer."""
    if isinstance(value, Mapping):
        return {key: without_links(item) for key, item in value.items() if not _is_link(item)}
    if isinstance(value, list):
        return [without_links(item) for item in value if not _is_link(item)]
    return value


def _is_link(value: Json) -> bool:
    return isinstance(value, str) and value.startswith(("https://", "http://"))
