"""Lenient JSON decoding. Pure.

The values are such that orjson, the state and every destination can hold them.

Providers send JSON that a strict parser rejects: a name cut in the middle of an emoji, a NaN from a calculation, an
account number of 20 digits as a number. With a strict parser such a batch would fail at every sync. So this module
keeps each value as close to the sent text as possible.

Characters are never guessed. A byte that its charset does not have is an error: a replacement character would put a
different name into the warehouse.
"""

from __future__ import annotations

import codecs
import json
import re
from functools import lru_cache

import orjson

from ..core.json_types import Json

_LONG_DIGIT_RUN = b"0" * 19
"""The shortest run of digits that may not fit into 64 bits, with each digit as `_DIGITS_TO_ZEROS` maps it."""

# orjson turns integers beyond 64 bits into floats, which would change an account number. Only a response with a long
# run of digits, in a number or in a string, is parsed a second time, by the slower parser.
_DIGITS_TO_ZEROS = bytes(ord("0") if chr(byte).isdecimal() and byte < 128 else byte for byte in range(256))

_CHARSET_PARAMETER = re.compile(r"(?i);\s*charset\s*=\s*[\"']?([^\s;\"']+)")

_UTF_PREFIXES = ("utf-16", "utf-32")  # JSON begins with ASCII, so the text itself shows the byte order

_UNUSABLE_CODECS = frozenset({"punycode", "idna", "unicode_escape", "raw_unicode_escape", "undefined"})
"""Python codecs that are no charsets of documents. Decoding the first two takes quadratic time."""

_PRINTABLE_ASCII = bytes(range(0x20, 0x7F))
"""The bytes that decode to themselves in every charset that JSON may use."""


class BadByteError(Exception):
    """A JSON text with a byte that its charset does not have.

    Attributes:
        charset: the charset in which the text was decoded, by Python's name.
        byte: the value of the byte.
        position: the position of the byte in the text, counted from 1.
    """

    def __init__(self, charset: str, byte: int, position: int) -> None:
        super().__init__(charset, byte, position)
        self.charset = charset
        self.byte = byte
        self.position = position


def parse_json(content: bytes, content_type: str = "") -> Json:
    """Return the value of a JSON text.

    - Numbers that do not fit into 64 bits, and NaN and Infinity, become text, digit for digit as sent.
    - Escaped lone surrogates become U+FFFD, because UTF-8 cannot hold them.
    - Control characters inside strings are kept, although JSON requires escapes for them.
    - If two members of an object have the same name, the last one counts.

    Args:
        content: the bytes of the JSON text.
        content_type: the `Content-Type` header. Its charset is obeyed if Python knows it. Otherwise the text is UTF-8,
            UTF-16 or UTF-32, with or without a byte order mark.

    Raises:
        BadByteError: a byte is invalid in the charset.
        ValueError: the text is not JSON, or it is nested too deeply.
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
    """Return Python's name of the charset in a `Content-Type` header.

    The name is empty for UTF-8, for an unknown charset, and for a header without a charset.

    The JSON standard prescribes UTF-8 and defines no charset parameter. With an unknown name, such as `utf8mb4`, that
    rule stays in force, and bytes that are not UTF-8 are an error.
    """
    match = _CHARSET_PARAMETER.search(content_type)
    try:
        codec_name = codecs.lookup(match[1]).name if match else "utf-8"
        if codec_name.replace("-", "_") in _UNUSABLE_CODECS or codec_name in {"utf-8", "utf-8-sig", *_UTF_PREFIXES}:
            return ""
        if codec_name.startswith(_UTF_PREFIXES):
            return codec_name
        # A charset such as EBCDIC (cp037) cannot be meant: its bytes for the brackets of JSON differ from ASCII.
        keeps_ascii = _PRINTABLE_ASCII.decode(codec_name) == _PRINTABLE_ASCII.decode("ascii")
        return codec_name if keeps_ascii else ""
    except (LookupError, ValueError):
        return ""


def decode_text(content: bytes, content_type: str) -> str:
    """Return the text of an error body, with U+FFFD for each invalid byte."""
    return content.decode(find_charset(content_type) or json.detect_encoding(content), "replace")


def _decode_json(content: bytes, charset: str) -> Json:
    # A byte order mark outweighs the header, which may be a web server's default for all files.
    has_byte_order_mark = content.startswith(
        (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
    )
    codec_name = json.detect_encoding(content) if has_byte_order_mark or not charset else charset
    try:
        return _parse_lenient_json(content.decode(codec_name))
    except UnicodeDecodeError as error:
        # A body that is not JSON at all raises ValueError here, which is retryable; a bad byte inside JSON is not.
        _parse_lenient_json(content.decode(codec_name, "replace"))
        raise BadByteError(codec_name, content[error.start], error.start + 1) from None


def _parse_lenient_json(text: str) -> Json:
    try:
        value = json.loads(text, strict=False, parse_int=_parse_integer, parse_float=_parse_decimal, parse_constant=str)
        json_text = json.dumps(value, ensure_ascii=False)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    # Replaces lone surrogates with U+FFFD. UTF-16 can carry them this far, UTF-8 cannot.
    return orjson.loads(json_text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))


def _parse_integer(digits: str) -> int | str:
    # The length comes first: Python refuses to convert a number of 5,000 digits, which has to arrive as text.
    is_short = len(digits) <= len("18446744073709551615")
    return int(digits) if is_short and -(2**63) <= int(digits) < 2**64 else digits


def _parse_decimal(digits: str) -> float | str:
    value = float(digits)
    return digits if value in {float("inf"), float("-inf")} else value
