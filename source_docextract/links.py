"""Links to files: signed, and then new in every answer. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .model import Json

_KEYS = frozenset({"download_url", "downloadUrl", "download_link", "redact_url"})
"""The documented keys of links to files, signed or not."""

_SIGNED = re.compile(
    r"https?://[^?#]*[?#](?:.*[?&;#])?"
    r"(?:x-[a-z]+-[^=&]*|[^=&]*(?:sign|expir|token|credential|policy|key-?pair|access-?key|accessid)[^=&]*"
    r"|sig|se|exp|hmac|hash|auth)=",
    re.IGNORECASE | re.DOTALL,
)
"""A link that is signed or expires: AWS, Google, Azure, Cloudflare and the like say so in the names of parameters."""


def without_links(value: Json, key: str = "") -> Json:
    """Return a provider's own extras without the links to files. Any other address is a value like others."""
    if isinstance(value, Mapping):
        return {name: without_links(item, name) for name, item in value.items() if not is_link(item, name)}
    if isinstance(value, list):
        return [without_links(item, key) for item in value if not is_link(item, key)]
    return value


def is_link(value: Json, key: str = "") -> bool:
    """Return whether something is a link to a file: one that is signed, or stands in a documented key."""
    if not isinstance(value, str) or not value.startswith(("https://", "http://")):
        return False
    return key in _KEYS or bool(_SIGNED.match(value))
