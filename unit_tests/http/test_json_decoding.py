"""The JSON of an answer: what is not strict is read as it is meant, and what is no JSON is refused."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from source_docextract.http.json_decoding import BadByteError, parse_json
from unit_tests.support.cases import each_case
from unit_tests.support.payload_faults import nest_deeply

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.text(st.characters(categories=["Cs"]))
)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@each_case(
    ("content", "read"),
    [
        ("[1, -1, 1.5, 1e3, true, null]", [1, -1, 1.5, 1000.0, True, None]),
        ("18446744073709551615", 2**64 - 1),
        ("-9223372036854775808", -(2**63)),
        ("18446744073709551616", "18446744073709551616"),
        ("-9223372036854775809", "-9223372036854775809"),
        ('{"iban": 12345678901234567890123}', {"iban": "12345678901234567890123"}),
        ("1" * 5000, "1" * 5000),
        ('["12345678901234567890", 12345678901234567890.5]', ["12345678901234567890", 12345678901234567890.5]),
        ('{"a": NaN, "b": Infinity, "c": -Infinity}', {"a": "NaN", "b": "Infinity", "c": "-Infinity"}),
        ("[1e400, -1e400]", ["1e400", "-1e400"]),
        (r'"inv\ud83d"', "inv\ufffd"),
        (r'{"\udfff": "\ud83d\ude00"}', {"\ufffd": "\U0001f600"}),
        ('"a\nb\x00"', "a\nb\x00"),
        ('{"a": 1, "a": 2}', {"a": 2}),
    ],
)
def test_decode_values_without_json_equivalent_are_converted(content: str, read: Any) -> None:
    value = parse_json(content.encode())

    assert value == read
    assert orjson.loads(orjson.dumps(value)) == read


@each_case("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_decode_any_unicode_encoding_is_detected(encoding: str) -> None:
    assert parse_json('{"name": "Zoë 💶"}'.encode(encoding)) == {"name": "Zoë 💶"}


@each_case("content", [b'{"name": "Zo\xeb"}', b'{"surrogate": "\xed\xa0\x80"}', b'{"cut": "\xe2\x82"}'])
def test_decode_byte_invalid_in_utf_8_is_an_error_with_position(content: bytes) -> None:
    with pytest.raises(BadByteError) as exc_info:
        parse_json(content)

    index = content.index(next(bytes([byte]) for byte in content if byte > 127))
    assert (exc_info.value.charset, exc_info.value.byte, exc_info.value.position) == (
        "utf-8",
        content[index],
        index + 1,
    )


@each_case("charset", ["iso-8859-1", "windows-1252", "utf-16-be", "shift_jis", "iso-2022-jp", "gb18030"])
def test_decode_declared_charset_is_used(charset: str) -> None:
    name = "K\u00f6ln" if charset in {"iso-8859-1", "windows-1252"} else "\u6771\u4eac"
    content = json.dumps({"name": name}, ensure_ascii=False).encode(charset)

    assert parse_json(content, f"application/json; charset={charset}") == {"name": name}


@each_case("content", [b"", b" ", b"<html>", b'{"files": [', b"{'a': 1}", b"[1,]", b"01", b"nul", b"\xff\xfe", b"\x00"])
def test_decode_invalid_json_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(content)


@each_case("depth", [1_025, 5_000, 1_000_000])
@each_case("core", [b"1", b"NaN"])
def test_decode_too_deep_nesting_is_refused(depth: int, core: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(b"[" * depth + core + b"]" * depth)


def test_decode_deep_nesting_is_read() -> None:
    deep = nest_deeply(200)

    assert parse_json(json.dumps(deep).encode()) == deep
    assert parse_json(json.dumps([deep, float("nan")]).encode()) == [deep, "NaN"]


@given(JSON, st.booleans())
def test_decode_any_json_of_python_round_trips(value: Any, is_ascii: bool) -> None:
    content = json.dumps(value, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")

    try:
        read = parse_json(content)
    except BadByteError:
        # Half a pair that is written as bytes is no UTF-8, and an error; escaped it is read.
        with pytest.raises(UnicodeDecodeError):
            content.decode()
    else:
        assert orjson.loads(orjson.dumps(read)) == read


@given(st.binary(max_size=60))
def test_decode_any_bytes_give_value_or_known_error(content: bytes) -> None:
    try:
        orjson.dumps(parse_json(content))
    except BadByteError as error:
        assert content[error.position - 1] == error.byte  # noqa: PT017
    except ValueError as error:
        assert isinstance(error, json.JSONDecodeError) or str(error) == "nested too deeply"  # noqa: PT017
