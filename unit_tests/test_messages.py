"""Records as the command line prints them: what the CDK would print, many in one go."""

from __future__ import annotations

from typing import Any

from airbyte_cdk.entrypoint import AirbyteEntrypoint

from source_docextract import messages

NOW = 1_763_629_200_000


def printed_by_the_cdk(stream: str, rows: list[dict[str, Any]]) -> bytes:
    made = messages.records(stream, rows, NOW)
    return "".join(f"{AirbyteEntrypoint.airbyte_message_to_string(message)}\n" for message in made).encode()


def test_each_record_is_printed_as_the_cdk_would() -> None:
    rows = [{"id": f"{n}/é", "nothing": None, "data": {"nothing": None, "n": n, 'a"b': [0.5, {}]}} for n in range(120)]

    printed = list(messages.record_lines('acme "results"', rows, NOW))

    assert b"".join(lines.text for lines in printed) == printed_by_the_cdk('acme "results"', rows)
    assert [lines.count for lines in printed] == [lines.text.count(b"\n") for lines in printed]
    assert sum(lines.count for lines in printed) == 120
    assert len(printed) < 10


def test_no_record_is_made_before_it_can_be_printed() -> None:
    asked = []

    def rows() -> Any:
        for n in range(1000):
            asked.append(n)
            yield {"id": n}

    next(messages.record_lines("acme", rows(), NOW))

    assert len(asked) <= 100


def test_nothing_is_printed_of_no_records() -> None:
    assert list(messages.record_lines("acme", [], NOW)) == []


def test_only_a_line_feed_ends_a_line() -> None:
    rows = [{"id": "a\u0085b\u2028c\u2029d\x1ce"}, {"id": "plain"}]

    [lines] = messages.record_lines("acme", rows, NOW)

    assert len(lines.text.decode().splitlines()) == 2
    assert b"a\\u0085b\\u2028c\\u2029d\\u001ce" in lines.text
