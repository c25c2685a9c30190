"""One batch of each provider as a spreadsheet, out of DuckDB and out of PostgreSQL."""

from __future__ import annotations

import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from integration_tests.filled import fill_duckdb, fill_postgres
from integration_tests.pages import ROOT
from unit_tests.support.harness import Connection, frozen_sandbox

pytestmark = pytest.mark.skipif(
    find_spec("duckdb_engine") is None, reason="No warehouse is installed here; `make test` has them in .venv-demo"
)

Rows = list[dict[str, Any]]
WarehouseOptions = dict[str, tuple[str, ...]]
OBSERVED_AT = "2026-11-09T00:00:00"


@pytest.fixture(scope="module")
def synced() -> dict[str, Rows]:
    """The rows of all streams of the demo, complete batches of all providers among them."""
    with frozen_sandbox() as (sandbox, url):
        sandbox.fill_demo()
        connection = Connection(sandbox, url, sandbox.build_settings(url))
        assert connection.sync().error is None
    return {stream: list(rows.values()) for stream, rows in connection.warehouse.items()}


@pytest.fixture(scope="module")
def warehouse_options(
    synced: dict[str, Rows], postgres: str, tmp_path_factory: pytest.TempPathFactory
) -> WarehouseOptions:
    """What to write on the command line for each warehouse."""
    fill_postgres(postgres, "workbooks", synced)
    file = fill_duckdb(tmp_path_factory.mktemp("workbooks") / "documents.duckdb", synced)
    return {"duckdb": (file,), "postgres": (postgres, "--schema", "workbooks")}


def to_excel_value(value: Any) -> Any:
    return None if value == "" else value


@pytest.mark.parametrize("warehouse", ["duckdb", "postgres"])
@pytest.mark.parametrize("provider", ["extracta", "extracta_classification", "docmap", "sensible", "atlas"])
def test_workbook_batch_has_a_sheet_per_document_type(
    provider: str, warehouse: str, synced: dict[str, Rows], warehouse_options: WarehouseOptions, tmp_path: Path
) -> None:
    from openpyxl import load_workbook

    from report.workbook import main

    results = synced[f"{provider}_results"]
    batch = max(
        (row["batch_key"] for row in results if row["batch_key"]), key=[row["batch_key"] for row in results].count
    )
    batch_rows = [row for row in results if row["batch_key"] == batch]
    files = [row for row in synced[f"{provider}_files"] if row["batch_key"] == batch]
    output = tmp_path / "batch.xlsx"
    location, *schema = warehouse_options[warehouse]

    assert main([location, provider, batch, *schema, "--output", str(output)]) == 0

    book = load_workbook(output)
    names = {row["document_type"] or row["template_name"] or "Documents" for row in batch_rows}
    assert [cell.value for cell in book["Files"]["A"]] == [
        "Name",
        *(row["file_name"] for row in sorted(files, key=get_id)),
    ]
    assert {name[:31] for name in names} <= set(book.sheetnames)
    for name in names:
        head, *rows = book[name[:31]].values
        documents = [row for row in batch_rows if name in {row["document_type"], row["template_name"], "Documents"}]
        assert len(rows) == len(documents)
        for row, document in zip(rows, sorted(documents, key=get_id), strict=True):
            cells = dict(zip(head, row, strict=True))
            assert cells["File"] == (document["file_name"] or document["file_id"])
            plain = {key: value for key, value in document["data"].items() if isinstance(value, (str, int, float))}
            actual_sheets = {
                key: to_excel_value(value)
                for key, value in plain.items()
                if (provider, key) != ("atlas", "document_type")
            }
            assert {key: cells[key] for key in actual_sheets} == actual_sheets
            wrapped = [value for value in document["data"].values() if isinstance(value, dict) and "value" in value]
            assert {
                to_excel_value(wrapper["value"]) for wrapper in wrapped if isinstance(wrapper["value"], str)
            } <= set(row)


def get_id(row: dict[str, Any]) -> str:
    return str(row["id"])


def test_workbook_commands_of_the_docs_page_are_parsed() -> None:
    from report.workbook import parse_arguments

    page = (ROOT / "docs" / "spreadsheet.md").read_text(encoding="utf-8")
    commands = [shlex.split(line) for line in page.splitlines() if line.startswith("python -m report.workbook ")]

    read = [parse_arguments(command[3:]) for command in commands]

    assert [(call.provider, call.schema) for call in read] == [("sensible", None), ("atlas", "docextract")]
    assert parse_arguments(["--output", "a.xlsx", "a.duckdb", "extracta", "-O1/-O2"]).batch == "-O1/-O2"


def test_workbook_missing_batch_is_an_error(
    warehouse_options: WarehouseOptions, synced: dict[str, Rows], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from report.workbook import main

    [location] = warehouse_options["duckdb"]
    batch_id = min(row["id"] for row in synced["atlas_batches"])

    assert main([location, "atlas", "BATCH-0", "--output", str(tmp_path / "a.xlsx")]) == 1
    assert capsys.readouterr().err.startswith(
        f"There is not one batch BATCH-0. Write the id of one, such as: {batch_id}"
    )
    assert main([location, "atlas", "BATCH-\x1b[31m0", "--output", str(tmp_path / "a.xlsx")]) == 1
    assert capsys.readouterr().err.startswith("There is not one batch BATCH-0. Write")
    assert main([str(tmp_path / "none.duckdb"), "atlas", "BATCH-0"]) == 1
    assert capsys.readouterr().err == f"There is no DuckDB file {tmp_path / 'none.duckdb'}.\n"
    assert not list(tmp_path.iterdir())


def test_workbook_hostile_text_reaches_the_file_but_not_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from openpyxl import load_workbook

    from report.workbook import main

    kind = "\x1b[2J" + "😀" * 30
    batch = {"id": "b", "batch_id": "b", "provider": "docmap", "status": "complete", "observed_at": OBSERVED_AT}
    result = {
        "id": "b/1",
        "batch_key": "b",
        "file_name": "a\x1b]0;x\x07.pdf",
        "document_index": 0,
        "observed_at": OBSERVED_AT,
    }
    result |= {"document_type": kind, "data": {"text": "<r><bad</r>", "list": [{"a": 1}]}}
    location = fill_duckdb(
        tmp_path / "a.duckdb", {"docmap_batches": [batch], "docmap_files": [], "docmap_results": [result]}
    )

    assert main([location, "docmap", "b", "--output", str(tmp_path / "b.xlsx")]) == 0
    assert main([location, "docmap", "\x1b[31m", "--output", str(tmp_path / "c.xlsx")]) == 1

    book = load_workbook(tmp_path / "b.xlsx")
    assert len(book.sheetnames) == 4
    row = dict(zip(*list(book.worksheets[2].values), strict=True))
    assert (row["Id"], row["text"]) == ("b/1", "<r><bad</r>")
    output = capsys.readouterr()
    assert output.out.rstrip("\n").isprintable()
    assert output.err.rstrip("\n").isprintable()
    assert "😀 (1)" in output.out
