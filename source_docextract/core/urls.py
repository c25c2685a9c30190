"""Links to files: signed, and then new in every answer. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from .json_types import Json

_FILE_URL_KEYS = frozenset({"download_url", "downloadUrl", "download_link", "redact_url"})
"""The documented keys of links to files, signed or not."""

_SIGNED_URL = re.compile(
    r"https?://[^?#]*[?#](?:.*[?&;#])?"
    r"(?:x-[a-z]+-[^=&]*|[^=&]*(?:sign|expir|token|credential|policy|key-?pair|access-?key|accessid)[^=&]*"
    r"|sig|se|exp|hmac|hash|auth)=",
    re.IGNORECASE | re.DOTALL,
)
"""A link that is signed or expires: AWS, Google, Azure, Cloudflare and the like say so in the names of parameters."""


def strip_file_urls(value: Json, key: str = "") -> Json:
    """Return a provider's own extras without the links to files. Any other address is a value like others."""
    if isinstance(value, Mapping):
        return {name: strip_file_urls(item, name) for name, item in value.items() if not is_file_url(item, name)}
    if isinstance(value, list):
        return [strip_file_urls(item, key) for item in value if not is_file_url(item, key)]
    return value


def is_file_url(value: Json, key: str = "") -> bool:
    """Return whether something is a link to a file: one that is signed, or stands in a documented key."""
    if not isinstance(value, str) or not value.startswith(("https://", "http://")):
        return False
    return key in _FILE_URL_KEYS or bool(_SIGNED_URL.match(value))


def build_path(*segments: str) -> str:
    """An address below the base url; what is no fixed word of it may hold any character."""
    return "".join(f"/{quote(segment, safe='')}" for segment in segments)
