"""A batch as a spreadsheet: what stands on which sheet, and that each value is in its cell as what it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook

from report import Trouble
from report.excel import write
from report.sheets import Sheet, named_apart, sheets
from source_docextract.columns import FILES, RESULTS
from source_docextract.fields import PLAIN
from source_docextract.providers import NOTATIONS

FILE = {**dict.fromkeys(FILES), "file_name": "a.pdf", "file_id": "1", "status": "processed", "page_count": 2}


def result(data: dict[str, Any], **columns: Any) -> dict[str, Any]:
    return {**dict.fromkeys(RESULTS), "file_name": "a.pdf", "document_index": 0, "data": data, **columns}


def laid_out(data: dict[str, Any], provider: str = "extracta") -> dict[str, list[dict[str, Any]]]:
    """The sheets of one document, without what each row begins with."""
    begin = ("File", "Document", "Confidence", "Review")
    found = sheets([FILE], [result(data, document_type="Invoice")], NOTATIONS[provider])[1:]
    return {sheet.name: [{k: v for k, v in row.items() if k not in begin} for row in sheet.rows] for sheet in found}


def test_there_is_a_sheet_for_each_type_and_a_row_for_each_document() -> None:
    results = [
        result({"total": 12.5}, document_type="Invoice", confidence=0.9),
        result({"name": "ASHA"}, document_type="PAN", document_index=1, review_status="APPROVED"),
        result({"total": 7, "iban": "DE1"}, document_type="Invoice", file_name="b.pdf"),
        result({"x": 1}, template_name="Letters"),
        result({}),
    ]

    listing, *found = sheets([FILE, {**FILE, "file_name": "c.pdf", "status": "failed", "error": "x"}], results, PLAIN)

    assert [sheet.name for sheet in found] == ["Invoice", "PAN", "Letters", "Documents"]
    assert [[row["Name"], row["Status"], row["Reason"], row["Pages"]] for row in listing.rows] == [
        ["a.pdf", "processed", None, 2],
        ["c.pdf", "failed", "x", 2],
    ]
    invoices, cards, *_ = found
    assert list(invoices.columns) == ["File", "Document", "Confidence", "Review", "total", "iban"]
    assert [row.get("total") for row in invoices.rows] == [12.5, 7]
    assert invoices.rows[0]["Confidence"] == 0.9
    assert cards.rows == [{"File": "a.pdf", "Document": 2, "Confidence": None, "Review": "APPROVED", "name": "ASHA"}]


def test_short_lists_stay_in_their_cell_and_long_ones_have_a_sheet() -> None:
    data = {
        "tags": ["a", None, True, 4],
        "none": [],
        "pages": [1, 2, 3, 4, 5, 6],
        "items": [{"name": "x", "parts": [{"n": 1}, {"n": 2}]}, {"name": "y", "sizes": [1, 2]}],
    }

    assert laid_out(data) == {
        "Invoice": [{"tags": "a, , TRUE, 4"}],
        "Invoice pages": [{"Row": str(n), "Value": n} for n in range(1, 7)],
        "Invoice items": [{"Row": "1", "name": "x"}, {"Row": "2", "name": "y", "sizes": "1, 2"}],
        "Invoice items / parts": [{"Row": "1.1", "n": 1}, {"Row": "1.2", "n": 2}],
    }


def test_fields_in_fields_have_the_names_of_both() -> None:
    data = {"seller": {"address": {"city": "Köln"}}, "seller / address / city": "B", "File": "mine"}

    assert laid_out(data) == {
        "Invoice": [{"seller / address / city": "Köln", "seller / address / city.": "B", "File.": "mine"}]
    }


def test_wrappers_are_their_values() -> None:
    sensible = {
        "weight": {"type": "weight", "value": 2.5, "unit": "kg", "source": "2.5 kg"},
        "claims": {
            "columns": [
                {"id": "date", "values": [{"type": "date", "value": "2026-01-02"}, None]},
                {"id": "amount", "values": [{"type": "currency", "value": 7, "unit": "$"}]},
            ],
            "title": {"type": "string", "value": "Claims"},
        },
    }
    atlas = {"document_type": "PAN", "name": {"value": "ASHA", "confidence_score": 0.9}}

    assert laid_out(sensible, "sensible") == {
        "Invoice": [{"weight": 2.5, "weight / unit": "kg", "claims / title": "Claims"}],
        "Invoice claims": [
            {"Row": "1", "date": "2026-01-02", "amount": 7, "amount / unit": "$"},
            {"Row": "2", "date": None},
        ],
    }
    assert laid_out(atlas, "atlas") == {"Invoice": [{"name": "ASHA"}]}


KEYS = st.text(max_size=4)
VALUES = st.integers() | st.text(max_size=5) | st.booleans()
DATA = st.dictionaries(
    KEYS,
    st.recursive(VALUES, lambda inner: st.lists(inner, max_size=8) | st.dictionaries(KEYS, inner), max_leaves=20),
)


def scalars(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [scalar for item in value.values() for scalar in scalars(item)]
    if isinstance(value, list):
        return [scalar for item in value for scalar in scalars(item)]
    return [value]


@given(DATA)
def test_no_value_is_lost(data: dict[str, Any]) -> None:
    cells = [cell for rows in laid_out(data).values() for row in rows for name, cell in row.items() if name != "Row"]

    told = "\0".join(str(cell).upper() for cell in cells)
    assert all(str(value).upper() in told for value in scalars(data))
    assert len(cells) <= len(scalars(data))


NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(st.lists(NAMES | st.sampled_from(["A", "a", "History", "''", "x" * 31, "x" * 32])))
def test_sheets_have_names_that_excel_takes(names: list[str]) -> None:
    found = list(named_apart(names))

    assert len(found) == len(names) == len({name.lower() for name in found})
    for name in found:
        assert 0 < len(name) <= 31
        assert not set(name) & set("[]:*?/\\")
        assert not name.startswith("'")
        assert not name.endswith("'")
        assert name.lower() != "history"


def test_each_value_is_in_its_cell_as_what_it_was(tmp_path: Path) -> None:
    values: dict[str, Any] = {
        "whole": 12,
        "part": 0.1,
        "yes": True,
        "formula": "=1+1",
        "link": "https://example.com",
        "digits": "007",
        "date": "2026-01-02",
        "large": 2**60,
        "script": "日本 \u200f א",
        "lines": "a\nb",
        "long": "x" * 40_000,
        "none": None,
    }
    sheet = Sheet("all/of:it")
    sheet.add(values)

    write(tmp_path / "b.xlsx", [sheet, Sheet("empty")])

    book = load_workbook(tmp_path / "b.xlsx")
    assert book.sheetnames == ["all of it", "empty"]
    head, row = book["all of it"].rows
    cells = dict(zip([cell.value for cell in head], row, strict=True))
    assert {name: cell.value for name, cell in cells.items()} == {
        **values,
        "large": str(2**60),
        "long": "x" * 32_766 + "…",
    }
    types = {name: cell.data_type for name, cell in cells.items() if cell.value is not None}
    assert types == dict.fromkeys(types, "s") | {"whole": "n", "part": "n", "yes": "b"}
    assert not any(cell.hyperlink for cell in row)


def test_control_characters_do_not_spoil_the_file(tmp_path: Path) -> None:
    sheet = Sheet("a\0b\x1f")
    sheet.add({"a\x07": "\0\x1b[2J\ufffe\uffff", "_x0041_": "_x0041_"})

    write(tmp_path / "b.xlsx", [sheet])

    [page] = load_workbook(tmp_path / "b.xlsx")
    assert page.max_row == 2


def test_what_excel_cannot_hold_is_refused_in_a_sentence(tmp_path: Path) -> None:
    sheet = Sheet("wide")
    sheet.add(dict.fromkeys(map(str, range(16_385))))

    with pytest.raises(Trouble, match=r"^wide has 1 rows and 16385 columns; Excel takes 1048576 and 16384\. Ask"):
        write(tmp_path / "b.xlsx", [sheet])
    assert not list(tmp_path.iterdir())
