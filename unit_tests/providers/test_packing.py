"""Listed rows in memory: as sent, and smaller than their text."""

from __future__ import annotations

from typing import Any

import orjson

from source_docextract.core.json_types import Json
from source_docextract.core.model import PartitionRef
from source_docextract.providers.docmap.reading import parse_ref as parse_docmap_ref
from source_docextract.providers.packing import PackedPage, parse_and_pack
from source_docextract.providers.sensible.reading import parse_ref as parse_sensible_ref
from unit_tests.support.cases import each_case


def make_row(number: int) -> dict[str, Any]:
    return {"id": f"e{number}", "type": "invoices", "createdAt": f"2026-01-01T00:00:{number % 60:02}Z", "n\n": "1\n2 é"}


def unpack(ref: PartitionRef) -> dict[str, Json]:
    return dict(ref.listed_row or {})


@each_case("parse_ref", [parse_docmap_ref, parse_sensible_ref])
def test_rows_of_several_pages_unpack_as_sent_in_any_order(parse_ref: Any) -> None:
    rows = [make_row(number) for number in range(30)]
    refs = [ref for start in (0, 10, 20) for ref in parse_and_pack(rows[start : start + 10], parse_ref)]

    unpacked = {ref.batch_id: orjson.dumps(unpack(ref)) for ref in (*refs[::3], *refs[::-1])}

    assert unpacked == {row["id"]: orjson.dumps(row) for row in rows}


@each_case("parse_ref", [parse_docmap_ref, parse_sensible_ref])
def test_unreadable_row_costs_itself_alone(parse_ref: Any) -> None:
    deep: Json = "x"
    for _ in range(300):
        deep = [deep]

    refs = parse_and_pack([make_row(1), "no row", {"no": "id"}, {"id": "deep", "x": deep}, make_row(2)], parse_ref)

    assert [unpack(ref) for ref in refs] == [make_row(1), make_row(2)]
    assert parse_and_pack([], parse_ref) == []


def test_packed_rows_take_less_than_a_quarter_of_their_text() -> None:
    page = PackedPage()
    rows = [make_row(number) for number in range(100)]
    packed_rows = [page.add(row) for row in rows]

    page.compress()

    assert page.byte_count * 4 < len(orjson.dumps(rows))
    assert [row.unpack() for row in packed_rows] == rows
    assert all(packed_rows)
