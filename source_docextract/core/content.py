"""Hashes of content: digests of extracted data and of rows. Pure."""

from __future__ import annotations

from binascii import b2a_base64
from hashlib import blake2b

import orjson

from .json_types import JsonObject


def compute_content_digest(content: bytes) -> str:
    """A short name for some content: 12 characters, enough to tell one state of one thing from another."""
    return blake2b(content, digest_size=6).hexdigest()


def dump_sorted_json(data: JsonObject) -> bytes:
    return orjson.dumps(data, option=orjson.OPT_SORT_KEYS)


def compute_data_digest(json_bytes: bytes) -> str:
    """Of data written as `sorted_json`."""
    return blake2b(json_bytes, digest_size=16).hexdigest()


ROW_HASH_LENGTH = 6
"""Characters of a row's mark: 36 bits, compared inside one batch only."""


def hash_row(content: bytes) -> str:
    """A short digest, enough to tell apart what one batch or document has been at different times."""
    return b2a_base64(blake2b(content, digest_size=6).digest())[:ROW_HASH_LENGTH].decode()
