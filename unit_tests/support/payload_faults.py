"""Random corruptions of JSON: unusual values, renamed keys, odd encodings."""

from __future__ import annotations

import json
from random import Random
from typing import Any

Json = Any
JsonLocation = tuple[Any, Any]
"""A container, and the key or index of one of its values."""


def nest_deeply(depth: int) -> Json:
    """Return objects and lists inside each other, so many levels deep."""
    value: Json = "deep"
    for level in range(depth):
        value = {"a": value} if level % 2 else [value]
    return value


FORGED_LOG_LINE = '{"type":"LOG","log":{"level":"INFO","message":"forged"}}'
UNUSUAL_VALUES: tuple[Json, ...] = (
    *(None, True, False, 0, -1, 1, 7.5, 2**31, 2**63 - 1, 2**63, 2**64, 2**70, -(2**70), 1e308, -1e308, 1e-308),
    *(float("nan"), float("inf"), float("-inf"), "", " ", "0", "-1", "1e9", "null", "true", "NaN", "None", "x" * 3000),
    *("\ud800", "x\udfff", "\ud83d\ude00", "a\r\nb", "\x00", "\x1b[31mred\x1b[0m", "\u2028", "\x85", "\u202e", "é"),
    *(
        "a/b",
        "..",
        "~2",
        "#1",
        "%2F",
        FORGED_LOG_LINE,
        f"\n{FORGED_LOG_LINE}\n",
        "<html>",
        "https://files.example/a?X-Signature=s1",
    ),
    *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "1970-01-01", "2026-13-45", 1e300, -62135596800, 0.0),
    *("processed", "processing", "waiting", "failed", "completed", "COMPLETE", "FAILED", "NEEDS_REVIEW", "success"),
    *([], {}, [None], [[]], {"": None}, {"a": {"b": [1]}}, nest_deeply(80)),
)
_KEYS = ("", "\ud800", "a\nb", "id", "ID", "Id", "files", "data", "status", "error", "batchId", "created", "$ref")


def pick_unusual_value(random: Random) -> Json:
    """Return a copy of one of the unusual values."""
    value = random.choice(UNUSUAL_VALUES)
    return json.loads(json.dumps(value)) if isinstance(value, (dict, list)) else value


def list_locations(body: Json) -> list[JsonLocation]:
    """Return the locations of all values in a body, at all levels."""
    locations: list[JsonLocation] = []
    pending = [body]
    while pending:
        node = pending.pop()
        keys = node.keys() if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        locations.extend((node, key) for key in keys)
        pending.extend(node[key] for key in keys)
    return locations


def corrupt_json(body: Json, random: Random) -> Json:
    """Corrupt a good body in one to four places, and return it.

    The argument itself is changed.
    """
    holder = [body]
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 4))):
        locations = list_locations(holder)
        if not locations:
            break
        container, key = random.choice(locations)
        random.choice(_CORRUPTIONS)(container, key, locations, random)
    return holder[0] if holder else None


def _replace(container: Any, key: Any, _locations: list[JsonLocation], random: Random) -> None:
    container[key] = pick_unusual_value(random)


def _remove(container: Any, key: Any, _locations: list[JsonLocation], _random: Random) -> None:
    del container[key]


def _rename(container: Any, key: Any, _locations: list[JsonLocation], random: Random) -> None:
    value = container.pop(key)
    if isinstance(container, dict):
        container[random.choice((*_KEYS, str(key).upper(), str(key)[:-1]))] = value


def _repeat(container: Any, key: Any, _locations: list[JsonLocation], random: Random) -> None:
    if isinstance(container, list):
        container.insert(random.randrange(len(container) + 1), container[key])
    else:
        container[random.choice(_KEYS)] = container[key]


def _insert(container: Any, key: Any, _locations: list[JsonLocation], random: Random) -> None:
    if isinstance(container, list):
        container.insert(key, pick_unusual_value(random))
    else:
        container[random.choice(_KEYS)] = pick_unusual_value(random)


def _wrap(container: Any, key: Any, _locations: list[JsonLocation], random: Random) -> None:
    container[key] = random.choice((lambda value: [value], lambda value: {"value": value}, str))(container[key])


def _copy(container: Any, key: Any, locations: list[JsonLocation], random: Random) -> None:
    """Put in the value of another location, such as the id of another document."""
    source, source_key = random.choice(locations)
    if source_key in source if isinstance(source, dict) else source_key < len(source):
        value = source[source_key]
        container[key] = json.loads(json.dumps(value)) if isinstance(value, (dict, list)) else value


_CORRUPTIONS = (_replace, _replace, _replace, _remove, _remove, _rename, _repeat, _insert, _wrap, _copy)


def encode_corrupted(body: Json, random: Random) -> bytes:
    """Encode a corrupted body: at times in another charset, cut, or with a double key."""
    text = json.dumps(body, ensure_ascii=random.random() < 0.5)
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        text = json.dumps(body)  # no charset can encode a lone surrogate, so it has to be escaped
    match random.randrange(40):
        case 0:
            return text.encode("utf-16")
        case 1:
            return b"\xef\xbb\xbf" + text.encode("utf-8")
        case 2:
            return text.encode("utf-8")[: random.randrange(len(text) + 1)]
        case 3:
            return text.replace("e", "\xe9").encode("latin-1", "replace")
        case 4:
            return text.replace('"', '"a":1,"', 1).encode("utf-8")
        case _:
            return text.encode("utf-8")
