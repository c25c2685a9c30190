"""A batch as a spreadsheet: what stands on which sheet, and that each value is in its cell as what it was."""

from __future__ import annotations

import re
from io import BytesIO, TextIOWrapper
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree import ElementTree
from zipfile import ZipFile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook

from report import ReportError
from report.excel import write_workbook
from report.sheets import Sheet, build_sheet_names, make_sheets
from report.terminal import print_safely
from report.text import count_utf16_units, replace_lone_surrogates
from source_docextract.core.wrappers import NO_WRAPPERS
from source_docextract.provider_specs import WRAPPER_FORMATS
from source_docextract.tables.columns import FILES, RESULTS

FILE = {**dict.fromkeys(FILES), "file_name": "a.pdf", "file_id": "1", "status": "processed", "page_count": 2}


def make_result(data: dict[str, Any], **columns: Any) -> dict[str, Any]:
    return {**dict.fromkeys(RESULTS), "file_name": "a.pdf", "document_index": 0, "data": data, **columns}


def build_sheets(data: dict[str, Any], provider: str = "extracta") -> dict[str, list[dict[str, Any]]]:
    """The sheets of one document, without what each row begins with."""
    begin = ("File", "Document", "Id", "Confidence", "Review")
    sheets_built = make_sheets([FILE], [make_result(data, document_type="Invoice")], WRAPPER_FORMATS[provider])[1:]
    return {
        sheet.name: [{key: value for key, value in row.items() if key not in begin} for row in sheet.rows]
        for sheet in sheets_built
    }


def test_sheets_have_a_sheet_per_type_and_a_row_per_document() -> None:
    results = [
        make_result({"total": 12.5}, document_type="Invoice", confidence=0.9),
        make_result({"name": "ASHA"}, document_type="PAN", document_index=1, review_status="APPROVED"),
        make_result({"total": 7, "iban": "DE1"}, document_type="Invoice", file_name="b.pdf"),
        make_result({"x": 1}, template_name="Letters"),
        make_result({}),
    ]

    listing, *built_sheets = make_sheets(
        [FILE, {**FILE, "file_name": "c.pdf", "status": "failed", "error": "x"}], results, NO_WRAPPERS
    )

    assert [sheet.name for sheet in built_sheets] == ["Invoice", "PAN", "Letters", "Documents"]
    assert [[row["Name"], row["Status"], row["Reason"], row["Pages"]] for row in listing.rows] == [
        ["a.pdf", "processed", None, 2],
        ["c.pdf", "failed", "x", 2],
    ]
    invoices, cards, *_ = built_sheets
    assert list(invoices.columns) == ["File", "Document", "Id", "Confidence", "Review", "total", "iban"]
    assert [row.get("total") for row in invoices.rows] == [12.5, 7]
    assert invoices.rows[0]["Confidence"] == 0.9
    assert cards.rows == [
        {"File": "a.pdf", "Document": 2, "Id": None, "Confidence": None, "Review": "APPROVED", "name": "ASHA"}
    ]


def test_rows_of_documents_and_lists_have_the_document_id() -> None:
    items = {"items": [{"n": 1}]}
    files = [{**FILE, "file_name": "same.pdf", "id": id_, "file_id": None} for id_ in ("b/1", "b/2")]
    results = [make_result(items, document_type="A", file_name="same.pdf", id=id_) for id_ in ("b/1", "b/2")]

    built_sheets = make_sheets(files, results, NO_WRAPPERS)

    assert {sheet.name: [row["Id"] for row in sheet.rows] for sheet in built_sheets} == {
        "Files": ["b/1", "b/2"],
        "A": ["b/1", "b/2"],
        "A items": ["b/1", "b/2"],
    }


def test_lists_short_share_a_cell_and_long_have_a_sheet() -> None:
    data = {
        "tags": ["a", None, True, 4],
        "none": [],
        "pages": [1, 2, 3, 4, 5, 6],
        "items": [{"name": "x", "parts": [{"n": 1}, {"n": 2}]}, {"name": "y", "sizes": [1, 2]}],
    }

    assert build_sheets(data) == {
        "Invoice": [{"tags": "a, , TRUE, 4"}],
        "Invoice pages": [{"Row": str(number), "Value": number} for number in range(1, 7)],
        "Invoice items": [{"Row": "1", "name": "x"}, {"Row": "2", "name": "y", "sizes": "1, 2"}],
        "Invoice items / parts": [{"Row": "1.1", "n": 1}, {"Row": "1.2", "n": 2}],
    }


def test_nested_field_column_name_joins_the_field_names() -> None:
    data = {"seller": {"address": {"city": "Köln"}}, "seller / address / city": "B", "File": "mine"}

    assert build_sheets(data) == {
        "Invoice": [{"seller / address / city": "Köln", "seller / address / city.": "B", "File.": "mine"}]
    }


def test_wrapped_values_are_unwrapped() -> None:
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

    assert build_sheets(sensible, "sensible") == {
        "Invoice": [{"weight": 2.5, "weight / unit": "kg", "claims / title": "Claims"}],
        "Invoice claims": [
            {"Row": "1", "date": "2026-01-02", "amount": 7, "amount / unit": "$"},
            {"Row": "2", "date": None},
        ],
    }
    assert build_sheets(atlas, "atlas") == {"Invoice": [{"name": "ASHA"}]}


def test_short_list_units_and_signals_have_columns_beside_the_values() -> None:
    money = [
        {"type": "currency", "value": 10, "unit": "$", "confidenceSignal": "confident_value"},
        {"type": "string", "value": "none"},
        {"type": "currency", "value": 5, "unit": "€"},
    ]
    sensible = {
        "sums": money,
        "single": {"type": "string", "value": "x", "confidenceSignal": "answer_maybe_incomplete"},
    }

    assert build_sheets(sensible, "sensible") == {
        "Invoice": [
            {
                "sums": "10, none, 5",
                "sums / unit": "$, , €",
                "sums / signal": "confident_value, , ",
                "single": "x",
                "single / signal": "answer_maybe_incomplete",
            }
        ]
    }


def test_table_columns_with_equal_ids_keep_all_values() -> None:
    def column(*values: str) -> dict[str, Any]:
        return {"id": "amount", "values": [{"type": "string", "value": value} for value in values]}

    sensible = {"claims": {"columns": [column("1", "2"), column("3"), column("4", "5")]}}

    assert build_sheets(sensible, "sensible")["Invoice claims"] == [
        {"Row": "1", "amount": "1", "amount.": "3", "amount..": "4"},
        {"Row": "2", "amount": "2", "amount.": "5"},
    ]


def test_unit_column_does_not_replace_a_field_of_equal_name() -> None:
    sensible = {"sum": {"type": "object", "value": {"unit": "a field"}, "unit": "$"}}

    assert build_sheets(sensible, "sensible") == {"Invoice": [{"sum / unit": "a field", "sum / unit.": "$"}]}


def test_field_has_the_same_column_in_every_document() -> None:
    built_sheets = make_sheets(
        [FILE], [make_result({"a": {"b": 1}, "a / b": 2}), make_result({"a / b": 3})], NO_WRAPPERS
    )[1]

    assert [(row.get("a / b"), row.get("a / b.")) for row in built_sheets.rows] == [(1, 2), (None, 3)]


def test_list_item_keeps_a_key_ignored_at_document_level() -> None:
    atlas = {"document_type": "PAN", "pages": [{"document_type": "back"}]}

    assert build_sheets(atlas, "atlas") == {"Invoice": [{}], "Invoice pages": [{"Row": "1", "document_type": "back"}]}


KEYS = st.text(max_size=4).filter(lambda key: key != "Row")  # the column with the number of a list's row
VALUE_STRATEGY = st.integers() | st.text(max_size=5) | st.booleans()
DATA = st.dictionaries(
    KEYS,
    st.recursive(
        VALUE_STRATEGY, lambda inner: st.lists(inner, max_size=8) | st.dictionaries(KEYS, inner), max_leaves=20
    ),
)


def list_scalars(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [scalar for item in value.values() for scalar in list_scalars(item)]
    if isinstance(value, list):
        return [scalar for item in value for scalar in list_scalars(item)]
    return [value]


@given(DATA)
def test_sheets_arbitrary_data_keep_every_value(data: dict[str, Any]) -> None:
    cells = [
        cell for rows in build_sheets(data).values() for row in rows for name, cell in row.items() if name != "Row"
    ]

    sheet_text = "\0".join(str(cell).upper() for cell in cells)
    assert all(str(value).upper() in sheet_text for value in list_scalars(data))
    assert len(cells) <= len(list_scalars(data))


NAMES = st.text(max_size=40) | st.text("😀é", min_size=14, max_size=40)
SHEET_STRATEGY = st.builds(
    Sheet,
    NAMES | st.sampled_from(["A", "a", "History", "Sheets", "''", "x" * 31, "x" * 32]),
    st.lists(NAMES, max_size=3).map(tuple),
)


@given(st.lists(SHEET_STRATEGY))
def test_sheet_names_are_valid_in_excel(built_sheets: list[Sheet]) -> None:
    names = list(build_sheet_names(built_sheets))

    assert len(names) == len(built_sheets) == len({name.lower() for name in names})
    for name in names:
        assert 0 < count_utf16_units(name) <= 31
        assert name.isprintable()
        assert not set(name) & set("[]:*?/\\")
        assert not name.startswith("'")
        assert not name.endswith("'")
        assert name.lower() != "history"


def test_sheet_names_long_type_is_shortened_before_the_list_field() -> None:
    kind = "Supplier invoices of the northern region"
    paths = [(), ("line_items",), ("tax_lines",), ("shipments", "parcels", "contents"), ("a_field_" * 5,)]

    names = list(build_sheet_names([Sheet(kind, path) for path in paths] + [Sheet("Bill of lading", ("line_items",))]))

    assert names == [
        "Supplier invoices of the north…",
        "Supplier invoices o… line_items",
        "Supplier invoices of… tax_lines",
        "Supplier invo… parcels contents",
        "a_field_a_field_a_field_a_fiel…",
        "Bill of lading line_items",
    ]


def test_sheet_names_400_lists_of_a_type_keep_their_field_names() -> None:
    kind = "Annual statements of accounts and holdings"
    fields = [f"schedule_{number}_entries" for number in range(400)]

    names = list(build_sheet_names([Sheet(kind, (name,)) for name in fields]))

    assert [name.split()[-1] for name in names] == fields


def test_sheet_names_equal_after_shortening_are_numbered() -> None:
    names = list(
        build_sheet_names([Sheet("x" * 40), Sheet("x" * 41), Sheet("x" * 41, ("items",)), Sheet("x" * 42, ("items",))])
    )

    assert names == ["x" * 30 + "…", "x" * 28 + "… 2", "x" * 24 + "… items", "x" * 22 + "… items 2"]


def test_sheet_names_emoji_are_cut_between_characters(tmp_path: Path) -> None:
    kind = "😀" * 20
    sheet = Sheet(kind)
    sheet.add_row({"a": 1})

    write_workbook(tmp_path / "b.xlsx", [sheet])

    assert load_workbook(tmp_path / "b.xlsx").sheetnames == ["Sheets", "😀" * 15 + "…"]


def test_write_workbook_first_sheet_links_to_every_sheet(tmp_path: Path) -> None:
    built_sheets = [Sheet("Files"), Sheet("Owner's <form>"), Sheet("x" * 60, ("items", "parts"))]
    built_sheets[2].add_row({"a": 1})

    write_workbook(tmp_path / "b.xlsx", built_sheets)

    book = load_workbook(tmp_path / "b.xlsx")
    head, *rows = book["Sheets"].values
    assert book.sheetnames[0] == "Sheets"
    assert head == ("Sheet", "Document type", "List", "Rows")
    assert rows == [
        ("Files", "Files", None, 0),
        ("Owner's <form>", "Owner's <form>", None, 0),
        (book.sheetnames[3], "x" * 60, "items / parts", 1),
    ]
    targets = [cell.hyperlink.location for cell in book["Sheets"]["A"][1:]]
    assert targets == ["'Files'!A1", "'Owner''s <form>'!A1", f"'{book.sheetnames[3]}'!A1"]


def test_write_workbook_cells_keep_value_and_type(tmp_path: Path) -> None:
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
    sheet.add_row(values)

    write_workbook(tmp_path / "b.xlsx", [sheet, Sheet("empty")])

    book = load_workbook(tmp_path / "b.xlsx")
    assert book.sheetnames == ["Sheets", "all of it", "empty"]
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


FORBIDDEN_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@given(
    st.text(max_size=20) | st.sampled_from(["\0\x1b[2J\ufffe\uffff", "_x0041_", "<r><bad</r>", "\ud83d", ']]>&"\r\n'])
)
def test_write_workbook_arbitrary_text_gives_valid_xml(text: str) -> None:
    sheet = Sheet(text, (text,))
    sheet.add_row({"a": text}, [((text,), text)])

    with TemporaryDirectory() as folder:
        write_workbook(Path(folder) / "b.xlsx", [sheet])
        with ZipFile(Path(folder) / "b.xlsx") as archive:
            parts = [archive.read(name).decode() for name in archive.namelist()]
        rows = load_workbook(Path(folder) / "b.xlsx").worksheets[1].iter_rows()

    for part in parts:
        ElementTree.fromstring(part)
        assert not FORBIDDEN_IN_XML.search(part)
    cleaned = replace_lone_surrogates(text)
    if (
        cleaned.isprintable() and cleaned and "_x" not in cleaned
    ):  # openpyxl reads Excel's escapes of in-line text as text
        assert [row[0].value for row in rows] == ["a", cleaned]


def test_write_workbook_long_text_is_cut_at_the_utf16_limit(tmp_path: Path) -> None:
    sheet = Sheet("a")
    sheet.add_row({"long": "😀" * 20_000})

    write_workbook(tmp_path / "b.xlsx", [sheet])

    assert load_workbook(tmp_path / "b.xlsx")["a"]["A2"].value == "😀" * 16_383 + "…"


def test_write_workbook_too_many_columns_is_an_error(tmp_path: Path) -> None:
    sheet = Sheet("wide")
    sheet.add_row(dict.fromkeys(map(str, range(16_385))))

    with pytest.raises(ReportError, match=r"^wide has 1 rows and 16385 columns; Excel takes 1048576 and 16384\. Ask"):
        write_workbook(tmp_path / "b.xlsx", [sheet])
    assert not list(tmp_path.iterdir())


def test_write_workbook_failure_keeps_only_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "b.xlsx"
    output.write_text("the old one")
    sheet = Sheet("a")
    sheet.add_row({"b": 1})

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("in the middle")

    monkeypatch.setattr("xlsxwriter.worksheet.Worksheet.autofilter", fail)
    with pytest.raises(RuntimeError, match="in the middle"):
        write_workbook(output, [sheet])

    assert output.read_text() == "the old one"
    assert list(tmp_path.iterdir()) == [output]


def test_write_workbook_missing_folder_error_names_the_path(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"none/b\.xlsx cannot be written \(No such file or directory\)\.$"):
        write_workbook(tmp_path / "none" / "b.xlsx", [Sheet("a")])


def test_write_workbook_path_of_a_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r" is not a file\. Name another one to be written\.$"):
        write_workbook(tmp_path, [Sheet("a")])
    assert tmp_path.is_dir()


def test_print_safely_hostile_text_is_a_line_without_control_characters() -> None:
    ascii_terminal = TextIOWrapper(BytesIO(), encoding="ascii", newline="")

    print_safely("a\x1b]0;title\x07 \x9b31mb\u202e\u2028c é", ascii_terminal)

    ascii_terminal.flush()
    assert ascii_terminal.buffer.getvalue().decode() == "a]0;title 31mb c ?\n"
