"""Hashes: digests of extracted data, hashes of rows and fingerprints of listed rows. Pure."""

from __future__ import annotations

from binascii import b2a_base64
from hashlib import blake2b

import orjson

from .json_types import JsonObject


def compute_content_digest(content: bytes) -> str:
    """Return a short digest: 12 hex digits, enough to distinguish the states of one thing."""
    return blake2b(content, digest_size=6).hexdigest()


def dump_sorted_json(data: JsonObject) -> bytes:
    """Return data as JSON with sorted keys, so that a provider's order of keys does not count as a change."""
    return orjson.dumps(data, option=orjson.OPT_SORT_KEYS)


def compute_data_digest(json_bytes: bytes) -> str:
    """Return the `digest` column of extracted data: 32 hex digits.

    Args:
        json_bytes: the data as `dump_sorted_json` returns it.
    """
    return blake2b(json_bytes, digest_size=16).hexdigest()


ROW_HASH_LENGTH = 6
"""Characters of a row hash. They hold 36 bits, which suffice because hashes are compared inside one batch only."""


def hash_row(content: bytes) -> str:
    """Return the row hash of a row's content, which shows at the next reading whether the row changed."""
    return b2a_base64(blake2b(content, digest_size=6).digest())[:ROW_HASH_LENGTH].decode()
