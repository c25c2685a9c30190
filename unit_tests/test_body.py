"""The JSON of an answer: what is not strict is read as it is meant, and what is no JSON is refused."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spoiling import nested

from source_docextract.body import BadByteError, parsed

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.text(st.characters(categories=["Cs"]))
)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@pytest.mark.parametrize(
    ("sent", "read"),
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
def test_what_other_rooms_cannot_hold_becomes_what_they_can(sent: str, read: Any) -> None:
    value = parsed(sent.encode())

    assert value == read
    assert orjson.loads(orjson.dumps(value)) == read


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_every_encoding_of_unicode_is_known(encoding: str) -> None:
    assert parsed('{"name": "Zoë 💶"}'.encode(encoding)) == {"name": "Zoë 💶"}


@pytest.mark.parametrize("sent", [b'{"name": "Zo\xeb"}', b'{"surrogate": "\xed\xa0\x80"}', b'{"cut": "\xe2\x82"}'])
def test_parsed_byte_that_is_no_utf_8_is_an_error_that_names_it(sent: bytes) -> None:
    with pytest.raises(BadByteError) as caught:
        parsed(sent)

    place = sent.index(next(bytes([byte]) for byte in sent if byte > 127))
    assert (caught.value.charset, caught.value.byte, caught.value.place) == ("utf-8", sent[place], place + 1)


@pytest.mark.parametrize("charset", ["iso-8859-1", "windows-1252", "utf-16-be", "shift_jis", "iso-2022-jp", "gb18030"])
def test_parsed_charset_that_is_named_is_obeyed(charset: str) -> None:
    name = "K\u00f6ln" if charset in {"iso-8859-1", "windows-1252"} else "\u6771\u4eac"
    sent = json.dumps({"name": name}, ensure_ascii=False).encode(charset)

    assert parsed(sent, f"application/json; charset={charset}") == {"name": name}


@pytest.mark.parametrize(
    "sent", [b"", b" ", b"<html>", b'{"files": [', b"{'a': 1}", b"[1,]", b"01", b"nul", b"\xff\xfe", b"\x00"]
)
def test_what_is_no_json_is_refused(sent: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parsed(sent)


@pytest.mark.parametrize("depth", [1_025, 5_000, 1_000_000])
@pytest.mark.parametrize("core", [b"1", b"NaN"])
def test_what_is_nested_without_end_is_refused(depth: int, core: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parsed(b"[" * depth + core + b"]" * depth)


def test_what_is_nested_deeply_is_read() -> None:
    deep = nested(200)

    assert parsed(json.dumps(deep).encode()) == deep
    assert parsed(json.dumps([deep, float("nan")]).encode()) == [deep, "NaN"]


@given(JSON, st.booleans())
def test_whatever_python_writes_is_read_and_can_be_written_again(value: Any, is_ascii: bool) -> None:
    sent = json.dumps(value, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")

    try:
        read = parsed(sent)
    except BadByteError:
        # Half a pair that is written as bytes is no UTF-8, and an error; escaped it is read.
        with pytest.raises(UnicodeDecodeError):
            sent.decode()
    else:
        assert orjson.loads(orjson.dumps(read)) == read


@given(st.binary(max_size=60))
def test_no_bytes_do_any_harm(sent: bytes) -> None:
    try:
        orjson.dumps(parsed(sent))
    except BadByteError as error:
        assert sent[error.place - 1] == error.byte  # noqa: PT017
    except ValueError as error:
        assert isinstance(error, json.JSONDecodeError) or str(error) == "nested too deeply"  # noqa: PT017
