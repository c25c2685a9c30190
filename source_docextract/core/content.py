"""Hashes of extracted data, of rows and of listed rows. Pure."""

from __future__ import annotations

from binascii import b2a_base64
from hashlib import blake2b

import orjson

from .json_types import JsonObject


def compute_content_digest(content: bytes) -> str:
    """Return a short digest of 12 hex digits.

    It is long enough to distinguish the states of one thing.
    """
    return blake2b(content, digest_size=6).hexdigest()


def dump_sorted_json(data: JsonObject) -> bytes:
    """Return data as JSON with sorted keys.

    A provider's order of keys then does not count as a change.
    """
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
    """Return the row hash of a row's content.

    At the next reading it shows whether the row changed.
    """
    # Base64 and not hexadecimal: the state keeps a hash for each row, and 10,000 open batches have to fit into 1 MB.
    return b2a_base64(blake2b(content, digest_size=6).digest())[:ROW_HASH_LENGTH].decode()
