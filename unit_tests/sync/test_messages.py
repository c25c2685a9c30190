"""Records as the command line prints them: the CDK's lines, many in one write."""

from __future__ import annotations

from typing import Any

from airbyte_cdk.entrypoint import AirbyteEntrypoint

from source_docextract.sync import messages

NOW = 1_763_629_200_000


def print_with_cdk(stream: str, rows: list[dict[str, Any]]) -> bytes:
    made = messages.make_record_messages(stream, rows, NOW)
    return "".join(f"{AirbyteEntrypoint.airbyte_message_to_string(message)}\n" for message in made).encode()


def test_record_lines_equal_the_output_of_the_cdk() -> None:
    rows = [
        {"id": f"{number}/é", "nothing": None, "data": {"nothing": None, "n": number, 'a"b': [0.5, {}]}}
        for number in range(120)
    ]

    printed = list(messages.make_record_lines('acme "results"', rows, NOW))

    assert b"".join(lines.payload for lines in printed) == print_with_cdk('acme "results"', rows)
    assert [lines.record_count for lines in printed] == [lines.payload.count(b"\n") for lines in printed]
    assert sum(lines.record_count for lines in printed) == 120
    assert len(printed) < 10


def test_record_lines_read_their_rows_lazily() -> None:
    pulled_rows = []

    def rows() -> Any:
        for number in range(1000):
            pulled_rows.append(number)
            yield {"id": number}

    next(messages.make_record_lines("acme", rows(), NOW))

    assert len(pulled_rows) <= 100


def test_record_lines_without_rows_are_empty() -> None:
    assert list(messages.make_record_lines("acme", [], NOW)) == []


def test_record_lines_unicode_line_separators_are_escaped() -> None:
    rows = [{"id": "a\u0085b\u2028c\u2029d\x1ce"}, {"id": "plain"}]

    [lines] = messages.make_record_lines("acme", rows, NOW)

    assert len(lines.payload.decode().splitlines()) == 2
    assert b"a\\u0085b\\u2028c\\u2029d\\u001ce" in lines.payload
