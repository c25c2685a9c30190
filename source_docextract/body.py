"""The JSON of an answer, in such a way that all that comes after can hold it. Pure.

Providers are not always strict: a name cut in the middle of an emoji, a NaN out of a calculation, an account number
that was sent as a number. A batch that holds such a thing would be unreadable at every sync; so it is read as near to
what was sent as can be.
"""

from __future__ import annotations

import json

import orjson

from .model import Json

_MANY_DIGITS = b"0" * 19  # the fewest that may be too many for 64 bits
_AS_ZEROS = bytes(ord("0") if chr(byte).isdecimal() and byte < 128 else byte for byte in range(256))


def parsed(content: bytes) -> Json:
    """The value of a JSON text.

    Numbers that do not fit into 64 bits, and such as JSON does not know (NaN, Infinity), become text, each digit as it
    was sent. Bytes that are no UTF-8, and lone halves of surrogate pairs, become U+FFFD. Other encodings of Unicode,
    byte order marks and bare control characters are taken as they are meant. Of members with one name the last counts.

    Raises:
        ValueError: where it is no JSON, or nested too deeply.
    """
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        return _tolerantly(content)
    return _tolerantly(content) if _MANY_DIGITS in content.translate(_AS_ZEROS) else value


def _tolerantly(content: bytes) -> Json:
    text = content.decode(json.detect_encoding(content), "replace")
    try:
        value = json.loads(text, strict=False, parse_int=_whole, parse_float=_decimal, parse_constant=str)
        written = json.dumps(value, ensure_ascii=False)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return orjson.loads(written.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))


def _whole(digits: str) -> int | str:
    is_short = len(digits) <= len("18446744073709551615")
    return int(digits) if is_short and -(2**63) <= int(digits) < 2**64 else digits


def _decimal(digits: str) -> float | str:
    value = float(digits)
    return digits if value in {float("inf"), float("-inf")} else value
