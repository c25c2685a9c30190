"""The report as text: what others wrote stays text, and nothing is needed but the page."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import datetime, timezone
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from integration_tests.filled import Tables, fill_duckdb
from integration_tests.pages import ROOT
from source_docextract.core.products import PRODUCTS

pytestmark = pytest.mark.skipif(
    find_spec("altair") is None,
    reason="The report's libraries are not installed here; `make demo` has them in .venv-demo",
)

HOSTILE_NAME = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&\"'{{ 7 * 7 }}"
OBSERVED_AT = "2026-11-09T00:00:00"


def make_tables(name: str) -> Tables:
    """A few documents of DocMap, all of whose texts are this name."""
    common: dict[str, Any] = {
        "provider": "docmap",
        "template_name": name,
        "file_name": name,
        "observed_at": OBSERVED_AT,
    }
    files = [
        {**common, "id": f"{status}-{month}-{day}", "status": status, "error": name if status == "failed" else None}
        | {"created_at": f"2026-{month:02d}-{day:02d}T00:00:00", "completed_at": f"2026-{month:02d}-{day:02d}T00:00:09"}
        for month in (10, 11)
        for day in (1, 9)
        for status in ("processed", "failed", "pending")
    ]
    processed = [file for file in files if file["status"] == "processed"]
    results = [
        {**common, "id": file["id"], "file_key": file["id"], "digest": "new", "review_status": "NEEDS_REVIEW"}
        for file in processed
    ]
    fields = [
        {"provider": "docmap", "id": f"{file['id']}#{digest}", "result_key": file["id"], "path": f"/{name}"}
        | {"value": name, "digest": digest, "confidence": 0.5, "observed_at": OBSERVED_AT}
        for file in processed
        for digest in ("old", "new")
    ]
    return {"docmap_files": files, "docmap_results": results, "docmap_fields": fields}


def make_report(folder: Path, rows: Tables) -> str:
    from report.page import render_page
    from report.warehouse import run_recipes

    return render_page(run_recipes(fill_duckdb(folder / "documents.duckdb", rows)), "documents.duckdb")


@pytest.fixture(scope="module")
def harmless(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of a few documents, for the tests that only look at it."""
    return make_report(tmp_path_factory.mktemp("harmless"), make_tables("harmless"))


def test_report_third_party_text_is_escaped(tmp_path: Path, harmless: str) -> None:
    html = make_report(tmp_path, make_tables(HOSTILE_NAME))

    assert "<script>alert(1)" not in html
    assert "49" not in re.findall(r"<td[^>]*>(.*?)</td>", html)
    # In each place: in the tables as often as in the specifications of the plots.
    assert html.count("&lt;img src=x onerror=alert(2)&gt;") > 10
    assert html.count(r"\u003cimg src=x") > 5
    for tag in ("<script", "</script>", "<img", "<td", "<div"):
        assert html.count(tag) == harmless.count(tag)


def test_report_page_is_self_contained(harmless: str) -> None:
    markup = re.sub(r"<script.*?</script>", "", harmless, flags=re.DOTALL)

    addresses = re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?([^\"')]*)", markup)
    assert [address for address in addresses if not address.startswith("#")] == ["data:,"]
    assert "default-src 'none'" in markup
    assert len(harmless) < 1_500_000


def test_report_empty_warehouse_has_notes_in_place_of_charts(tmp_path: Path) -> None:
    html = make_report(tmp_path, {"atlas_files": []})

    assert html.count("No data yet.") == 5
    for expected_text in (
        "No document is under review.",
        "No document has a value below 0.7.",
        "Nothing is stuck.",
        "No value was edited.",
    ):
        assert expected_text in html


def test_report_names_every_recipe(harmless: str) -> None:
    for path in (ROOT / "recipes").glob("*.sql"):
        assert f"<code>{path.stem}</code>" in harmless


def test_report_key_figures_equal_the_warehouse(tmp_path: Path) -> None:
    from report.page import render_page
    from report.warehouse import run_recipes

    responses = run_recipes(fill_duckdb(tmp_path / "documents.duckdb", make_tables("harmless")))
    html = render_page(responses, "documents.duckdb", datetime(2026, 11, 20, 9, 30, tzinfo=timezone.utc))

    assert "as of 20 November 2026, 09:30 UTC" in html
    figures = re.findall(r"<li><strong>(.*?)</strong><span>(.*?)</span>", html)
    assert figures == [
        ("8", "completed"),
        ("0%", "straight through"),
        ("50%", "failed"),
        ("4", "awaiting review"),
        ("0", "low confidence"),
        ("4", "stuck"),
        ("4", "edited"),
    ]


def test_report_headings_are_the_expected_terms(tmp_path: Path) -> None:
    html = make_report(tmp_path, make_tables("harmless"))

    assert re.findall(r"<h2>([^$]*?)</h2>", html) == [
        "Straight-through processing rate",
        "Failure reasons",
        "Mean confidence by field",
        "Provider comparison",
        "Time to completion",
        "Human review queue",
        "Low-confidence documents",
        "Stuck documents and batches",
        "Edits after extraction",
    ]


def get_section(page: str, name: str) -> str:
    return page.partition(f'<section id="{name}">')[2].partition("</section>")[0]


def test_report_review_queue_precedes_low_confidence_documents(tmp_path: Path) -> None:
    rows = dict(make_tables("waits.pdf"))
    result = {**rows["docmap_results"][0], "id": "unsure", "file_name": "unsure.pdf", "review_status": None}
    field = {**rows["docmap_fields"][0], "result_key": "unsure", "digest": "new", "confidence": 0.31}
    rows["docmap_results"] = [*rows["docmap_results"], result]
    rows["docmap_fields"] = [*rows["docmap_fields"], field]

    html = make_report(tmp_path, rows)

    queue, low = get_section(html, "review-queue"), get_section(html, "low-confidence")
    assert html.index(queue) < html.index(low)
    assert (queue.count(">waits.pdf</td>"), queue.count("unsure.pdf")) == (4 * 2, 0)  # as a name and as a template
    assert (low.count("unsure.pdf"), low.count("0.31")) == (1, 2)
    assert "confidence is below 0.7" in low
    assert "Values below 0.7" in low


def test_thresholds_equal_those_of_the_recipes() -> None:
    from report.warehouse import read_thresholds

    assert read_thresholds() == {"unsure_below": "0.7", "hours": "24"}


def test_report_document_named_by_a_number_shows_its_batch(tmp_path: Path) -> None:
    rows = dict(make_tables("117"))
    batch = {"id": "b", "provider": "docmap", "batch_id": "b", "description": "Mail of <May>", "status": "complete"}
    rows["docmap_batches"] = [batch | {"observed_at": OBSERVED_AT}]
    for name in ("docmap_files", "docmap_results"):
        rows[name] = [{**row, "batch_key": "b", "batch_id": "b"} for row in rows[name]]

    html = make_report(tmp_path, rows)

    for name in ("review-queue", "stuck", "edits"):
        assert "117 <small>batch Mail of &lt;May&gt;</small>" in get_section(html, name), name


def test_report_chart_names_have_no_line_separators(tmp_path: Path) -> None:
    html = make_report(tmp_path, make_tables("first\u2028second\u2029third</script>"))

    specs = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', html, flags=re.DOTALL)
    assert len(specs) == 4  # one provider alone has no comparison
    for spec in specs:
        assert json.loads(spec)
        assert not re.search("[\u2028\u2029]|u2028|u2029", spec)
    assert r"first second third\u003c/script\u003e" in specs[0]


def test_report_failed_chart_leaves_the_others_intact(tmp_path: Path) -> None:
    from report.page import render_page
    from report.warehouse import run_recipes

    responses = run_recipes(fill_duckdb(tmp_path / "documents.duckdb", make_tables("harmless")))
    responses["failures"] = [{**row, "reason": None} for row in responses["failures"]]

    html = render_page(responses, "documents.duckdb")

    assert "This chart cannot be drawn (" in get_section(html, "failures")
    assert "recipes/failures.sql" in get_section(html, "failures")
    assert html.count("This chart cannot be drawn (") == 1 + 1  # in the script, too
    assert len(re.findall(r'<div class="plot"', html)) == 3


def test_report_nan_is_a_gap_in_the_chart(tmp_path: Path) -> None:
    from report.page import render_page
    from report.warehouse import run_recipes

    responses = run_recipes(fill_duckdb(tmp_path / "documents.duckdb", make_tables("harmless")))
    rows = [{**row, "median_seconds": float("nan")} for row in responses["time_to_completion"]]

    html = render_page({**responses, "time_to_completion": rows}, "documents.duckdb")

    assert "NaN" not in "".join(re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', html))


def simulate_deuteranopia(colour: str) -> tuple[float, float, float]:
    """Return the colour in linear light without the green cones (Viénot, Brettel and Mollon 1999)."""
    red, green, blue = ((int(colour[location : location + 2], 16) / 255) ** 2.2 for location in (1, 3, 5))
    yellow = 0.29275 * red + 0.70725 * green
    return yellow, yellow, blue + 0.02233 * (green - red)


def test_report_colours_are_distinct_without_green_cones() -> None:
    from report.charts import _OUTCOME_COLOURS, _RATE_COLOURS

    pairs = [(_RATE_COLOURS[0], _RATE_COLOURS[2]), (_OUTCOME_COLOURS["failed"], _OUTCOME_COLOURS["straight through"])]
    for pair in pairs:
        first, second = map(simulate_deuteranopia, pair)
        assert (
            max(
                abs(first_channel - second_channel) for first_channel, second_channel in zip(first, second, strict=True)
            )
            > 0.25
        ), pair


def test_write_page_failure_keeps_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from report import ReportError
    from report import page as pages
    from report.warehouse import run_recipes

    responses = run_recipes(fill_duckdb(tmp_path / "documents.duckdb", make_tables("harmless")))
    (tmp_path / "report.html").write_text("the old one")
    files_before = sorted(tmp_path.iterdir())

    def full(path: Path, *_: Any, **__: Any) -> None:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(ReportError, match=r"report\.html cannot be written \(No space left on device\)\.$"):
        pages.write_page(responses, "documents.duckdb", tmp_path / "report.html")

    assert (tmp_path / "report.html").read_text() == "the old one"
    assert sorted(tmp_path.iterdir()) == files_before


def run_report_command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-m", "report", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_report_command_writes_the_page_and_prints_its_path(tmp_path: Path) -> None:
    fill_duckdb(tmp_path / "documents.duckdb", make_tables("harmless"))

    result = run_report_command(tmp_path, "documents.duckdb")

    assert (result.returncode, result.stdout) == (0, "The report is in report.html\n")
    assert "<b>documents.duckdb</b>" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.long
def test_report_command_unreachable_warehouse_prints_no_password(tmp_path: Path) -> None:
    unreachable_run = run_report_command(tmp_path, "postgresql://me:a-secret-word@127.0.0.1:1/warehouse")

    assert (unreachable_run.returncode, unreachable_run.stdout) == (1, "")
    assert unreachable_run.stderr.startswith("The warehouse cannot be asked: ")
    assert "a-secret-word" not in unreachable_run.stderr


def test_display_name_of_database_has_no_user_and_password() -> None:
    from report.address import get_display_name

    assert (
        get_display_name("postgresql://me:a-secret-word@db.example:5432/warehouse?sslmode=require")
        == "warehouse at db.example"
    )
    assert get_display_name("/some/where/documents.duckdb") == "documents.duckdb"


@pytest.mark.parametrize(
    "view",
    [
        "SELECT * FROM read_csv('{file}', names = ['error'])",
        "SELECT content AS error FROM read_text('{file}')",
        "SELECT file AS error FROM glob('{folder}/*')",
    ],
)
def test_duckdb_view_reading_other_files_is_refused(tmp_path: Path, view: str) -> None:
    import duckdb

    from report import ReportError
    from report.warehouse import run_recipes

    (tmp_path / "private.csv").write_text("a-secret-word\n")
    file = fill_duckdb(tmp_path / "documents.duckdb", make_tables("harmless"))
    read = view.format(file=tmp_path / "private.csv", folder=tmp_path)
    with duckdb.connect(file) as connection:
        connection.execute("ALTER TABLE docmap_files RENAME TO kept")
        connection.execute(
            f"CREATE VIEW docmap_files AS SELECT kept.* REPLACE (f.error AS error) FROM kept, ({read}) AS f"
        )

    with pytest.raises(ReportError, match=r"^The warehouse cannot be asked: .*disabled") as exc_info:
        run_recipes(file)
    assert "a-secret-word" not in str(exc_info.value)


def test_duckdb_connection_refuses_extensions_and_external_access(tmp_path: Path) -> None:
    from sqlalchemy import text
    from sqlalchemy.exc import SQLAlchemyError

    from report.warehouse import connect

    file = fill_duckdb(tmp_path / "documents.duckdb", make_tables("harmless"))
    refused = (
        "LOAD httpfs",
        "INSTALL httpfs",
        f"ATTACH '{tmp_path / 'other.duckdb'}' AS other",
        "SET enable_external_access = true",
        "SET allow_community_extensions = true",
    )
    with connect(file) as connection:
        for statement in refused:
            with pytest.raises(SQLAlchemyError, match=r"disabled|[Cc]annot|not allowed"):
                connection.execute(text(statement))
            connection.rollback()


def test_readme_picture_exists_and_is_small() -> None:
    [picture] = [
        child.attrs["src"]
        for token in MarkdownIt("commonmark").parse((ROOT / "README.md").read_text(encoding="utf-8"))
        for child in token.children or ()
        if child.type == "image"
    ]

    content = (ROOT / str(picture)).read_bytes()
    assert content.startswith(b"\x89PNG")
    assert 20_000 < len(content) < 300_000


def test_report_every_product_has_a_title_and_a_colour() -> None:
    from report.charts import PROVIDER_STYLES

    assert {name: title for name, (title, _) in PROVIDER_STYLES.items()} == {
        product.name: product.title for product in PRODUCTS
    }
    assert len({colour for _, colour in PROVIDER_STYLES.values()}) == len(PRODUCTS)
