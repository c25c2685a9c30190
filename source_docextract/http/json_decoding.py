"""The JSON of an answer, in such a way that all that comes after can hold it. Pure.

Providers are not always strict: a name cut in the middle of an emoji, a NaN out of a calculation, an account number
that was sent as a number. A batch that holds such a thing would be unreadable at every sync; so it is read as near to
what was sent as can be. Only letters are not guessed: what fits no charset would be another name in the warehouse.
"""

from __future__ import annotations

import codecs
import json
import re
from functools import lru_cache

import orjson

from ..core.json_types import Json

_LONG_DIGIT_RUN = b"0" * 19  # the fewest that may be too many for 64 bits

_DIGITS_TO_ZEROS = bytes(ord("0") if chr(byte).isdecimal() and byte < 128 else byte for byte in range(256))

_CHARSET_PARAMETER = re.compile(r"(?i);\s*charset\s*=\s*[\"']?([^\s;\"']+)")

_UTF_PREFIXES = ("utf-16", "utf-32")  # the order of their bytes is seen in the text itself, as JSON begins with ASCII

_UNUSABLE_CODECS = frozenset({"punycode", "idna", "unicode_escape", "raw_unicode_escape", "undefined"})
"""Python's ways to write text in ASCII. The first two take a time that grows with the square of the text."""

_PRINTABLE_ASCII = bytes(range(0x20, 0x7F))
"""Decodes to itself in every charset that JSON may come in."""


class BadByteError(Exception):
    """JSON that holds a byte which is no letter in its charset. `charset` is the name by which it was read."""

    def __init__(self, charset: str, byte: int, position: int) -> None:
        super().__init__(charset, byte, position)
        self.charset = charset
        self.byte = byte
        self.position = position


def parse_json(content: bytes, content_type: str = "") -> Json:
    """Return the value of a JSON text.

    Numbers that do not fit into 64 bits, and such as JSON does not know (NaN, Infinity), become text, each digit as it
    was sent. Escaped lone halves of surrogate pairs become U+FFFD: no UTF-8 can hold them. Bare control characters are
    taken as they are meant. Of members with one name the last counts.

    Args:
        content_type: the header, whose charset is obeyed. Without one, or where its name means nothing, it is UTF-8,
            UTF-16 or UTF-32, with a byte order mark or without.

    Raises:
        BadByteError: where a byte is no letter.
        ValueError: where it is no JSON, or nested too deeply.
    """
    charset = find_charset(content_type)
    if charset:
        return _decode_json(content, charset)
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        return _decode_json(content, "")
    return _parse_lenient_json(content.decode()) if _LONG_DIGIT_RUN in content.translate(_DIGITS_TO_ZEROS) else value


@lru_cache(maxsize=64)
def find_charset(content_type: str) -> str:
    """Return Python's name of the charset of a `Content-Type`, empty for UTF-8 and where it names none that is known.

    JSON is UTF-8 by its standard, which knows no charset. So a name that means nothing, such as `utf8mb4`, leaves that
    rule in force, and what is not UTF-8 then is an error.
    """
    match = _CHARSET_PARAMETER.search(content_type)
    try:
        codec_name = codecs.lookup(match[1]).name if match else "utf-8"
        if codec_name.replace("-", "_") in _UNUSABLE_CODECS or codec_name in {"utf-8", "utf-8-sig", *_UTF_PREFIXES}:
            return ""
        return (
            codec_name
            if codec_name.startswith(_UTF_PREFIXES)
            or _PRINTABLE_ASCII.decode(codec_name) == _PRINTABLE_ASCII.decode("ascii")
            else ""
        )
    except (LookupError, ValueError):
        return ""


def decode_text(content: bytes, content_type: str) -> str:
    """Return text for a message, in which a byte that is no letter may be told by U+FFFD."""
    return content.decode(find_charset(content_type) or json.detect_encoding(content), "replace")


def _decode_json(content: bytes, charset: str) -> Json:
    # A mark of the byte order says more than a header, which may be a web server's default for all files.
    has_byte_order_mark = content.startswith(
        (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
    )
    codec_name = json.detect_encoding(content) if has_byte_order_mark or not charset else charset
    try:
        return _parse_lenient_json(content.decode(codec_name))
    except UnicodeDecodeError as error:
        _parse_lenient_json(content.decode(codec_name, "replace"))  # what is no JSON either is worth another try
        raise BadByteError(codec_name, content[error.start], error.start + 1) from None


def _parse_lenient_json(text: str) -> Json:
    try:
        value = json.loads(text, strict=False, parse_int=_parse_integer, parse_float=_parse_decimal, parse_constant=str)
        json_text = json.dumps(value, ensure_ascii=False)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return orjson.loads(json_text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))


def _parse_integer(digits: str) -> int | str:
    is_short = len(digits) <= len("18446744073709551615")
    return int(digits) if is_short and -(2**63) <= int(digits) < 2**64 else digits


def _parse_decimal(digits: str) -> float | str:
    value = float(digits)
    return digits if value in {float("inf"), float("-inf")} else value
