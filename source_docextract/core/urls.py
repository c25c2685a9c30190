"""URLs of files, which may be signed anew in each response; request paths. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from .json_types import Json

_FILE_URL_KEYS = frozenset({"download_url", "downloadUrl", "download_link", "redact_url"})
"""The keys that providers document as URLs of files, signed or not."""

_SIGNED_URL = re.compile(
    r"https?://[^?#]*[?#](?:.*[?&;#])?"
    r"(?:x-[a-z]+-[^=&]*|[^=&]*(?:sign|expir|token|credential|policy|key-?pair|access-?key|accessid)[^=&]*"
    r"|sig|se|exp|hmac|hash|auth)=",
    re.IGNORECASE | re.DOTALL,
)
"""A URL that is signed or expires. AWS, Google, Azure, Cloudflare and others show it in the names of parameters."""


def strip_file_urls(value: Json, key: str = "") -> Json:
    """Return a JSON value without the URLs of files, at any depth.

    A signature changes with each response, so a file URL in the hashed content would make every row a change. Any other
    URL is a value: a change of it is a change of the row.

    Args:
        value: any JSON value.
        key: the key under which it stands.
    """
    if isinstance(value, Mapping):
        return {name: strip_file_urls(item, name) for name, item in value.items() if not is_file_url(item, name)}
    if isinstance(value, list):
        return [strip_file_urls(item, key) for item in value if not is_file_url(item, key)]
    return value


def is_file_url(value: Json, key: str = "") -> bool:
    """Return whether a value is the URL of a file.

    It is one if it is signed, or stands under a key that is documented as one.
    """
    if not isinstance(value, str) or not value.startswith(("https://", "http://")):
        return False
    return key in _FILE_URL_KEYS or bool(_SIGNED_URL.match(value))


def build_path(*segments: str) -> str:
    """Return a path below the base URL, with each segment percent-encoded.

    An id may hold any character.
    """
    return "".join(f"/{quote(segment, safe='')}" for segment in segments)
