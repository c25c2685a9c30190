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
from filled import Tables, fill_duckdb
from markdown_it import MarkdownIt
from pages import ROOT

pytestmark = pytest.mark.skipif(
    find_spec("altair") is None,
    reason="The report's libraries are not installed here; `make demo` has them in .venv-demo",
)

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&\"'{{ 7 * 7 }}"
SEEN = "2026-11-09T00:00:00"


def tables(name: str) -> Tables:
    """A few documents of DocMap, all of whose texts are this name."""
    common: dict[str, Any] = {"provider": "docmap", "template_name": name, "file_name": name, "observed_at": SEEN}
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
        | {"value": name, "digest": digest, "confidence": 0.5, "observed_at": SEEN}
        for file in processed
        for digest in ("old", "new")
    ]
    return {"docmap_files": files, "docmap_results": results, "docmap_fields": fields}


def made(folder: Path, rows: Tables) -> str:
    from report.page import page
    from report.warehouse import ask

    return page(ask(fill_duckdb(folder / "documents.duckdb", rows)), "documents.duckdb")


def test_what_others_wrote_is_text_wherever_it_is_shown(tmp_path: Path) -> None:
    told, harmless = made(tmp_path, tables(HOSTILE)), made(tmp_path / "..", tables("harmless"))

    assert "<script>alert(1)" not in told
    assert "49" not in re.findall(r"<td[^>]*>(.*?)</td>", told)
    # In each place: in the tables as often as in the specifications of the plots.
    assert told.count("&lt;img src=x onerror=alert(2)&gt;") > 10
    assert told.count(r"\u003cimg src=x") > 5
    for tag in ("<script", "</script>", "<img", "<td", "<div"):
        assert told.count(tag) == harmless.count(tag)


def test_the_page_needs_nothing_but_itself(tmp_path: Path) -> None:
    told = made(tmp_path, tables("harmless"))
    markup = re.sub(r"<script.*?</script>", "", told, flags=re.DOTALL)

    addresses = re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?([^\"')]*)", markup)
    assert [address for address in addresses if not address.startswith("#")] == ["data:,"]
    assert "default-src 'none'" in markup
    assert len(told) < 1_500_000


def test_a_warehouse_without_documents_has_a_page_that_says_so(tmp_path: Path) -> None:
    told = made(tmp_path, {"atlas_files": []})

    assert told.count("No data yet.") == 5
    for words in (
        "No document waits for a review.",
        "No document has a value below 0.7.",
        "Nothing is stuck.",
        "No value was edited.",
    ):
        assert words in told


def test_each_recipe_is_shown(tmp_path: Path) -> None:
    told = made(tmp_path, tables("harmless"))

    for path in (ROOT / "recipes").glob("*.sql"):
        assert f"<code>{path.stem}</code>" in told


def test_numbers_are_those_of_the_warehouse(tmp_path: Path) -> None:
    from report.page import page
    from report.warehouse import ask

    answers = ask(fill_duckdb(tmp_path / "documents.duckdb", tables("harmless")))
    told = page(answers, "documents.duckdb", datetime(2026, 11, 20, 9, 30, tzinfo=timezone.utc))

    assert "as of 20 November 2026, 09:30 UTC" in told
    figures = re.findall(r"<li><strong>(.*?)</strong><span>(.*?)</span>", told)
    assert figures == [
        ("8", "completed"),
        ("0%", "straight through"),
        ("50%", "failed"),
        ("4", "awaiting review"),
        ("0", "low confidence"),
        ("4", "stuck"),
        ("4", "edited"),
    ]


def test_headings_are_in_the_words_of_the_trade(tmp_path: Path) -> None:
    told = made(tmp_path, tables("harmless"))

    assert re.findall(r"<h2>([^$]*?)</h2>", told) == [
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


def section(page: str, name: str) -> str:
    return page.partition(f'<section id="{name}">')[2].partition("</section>")[0]


def test_documents_that_wait_for_a_person_come_before_those_of_low_confidence(tmp_path: Path) -> None:
    rows = dict(tables("waits.pdf"))
    result = {**rows["docmap_results"][0], "id": "unsure", "file_name": "unsure.pdf", "review_status": None}
    field = {**rows["docmap_fields"][0], "result_key": "unsure", "digest": "new", "confidence": 0.31}
    rows["docmap_results"] = [*rows["docmap_results"], result]
    rows["docmap_fields"] = [*rows["docmap_fields"], field]

    told = made(tmp_path, rows)

    queue, low = section(told, "review-queue"), section(told, "low-confidence")
    assert told.index(queue) < told.index(low)
    assert (queue.count(">waits.pdf</td>"), queue.count("unsure.pdf")) == (4 * 2, 0)  # as a name and as a template
    assert (low.count("unsure.pdf"), low.count("0.31")) == (1, 2)
    assert "confidence is below 0.7" in low
    assert "Values below 0.7" in low


def test_thresholds_are_those_of_the_recipes() -> None:
    from report.warehouse import thresholds

    assert thresholds() == {"unsure_below": "0.7", "hours": "24"}


def test_a_document_that_is_called_by_a_number_stands_beside_its_batch(tmp_path: Path) -> None:
    rows = dict(tables("117"))
    batch = {"id": "b", "provider": "docmap", "batch_id": "b", "description": "Mail of <May>", "status": "complete"}
    rows["docmap_batches"] = [batch | {"observed_at": SEEN}]
    for name in ("docmap_files", "docmap_results"):
        rows[name] = [{**row, "batch_key": "b", "batch_id": "b"} for row in rows[name]]

    told = made(tmp_path, rows)

    for name in ("review-queue", "stuck", "edits"):
        assert "117 <small>batch Mail of &lt;May&gt;</small>" in section(told, name), name


def test_a_name_with_line_separators_is_one_line_in_the_charts(tmp_path: Path) -> None:
    told = made(tmp_path, tables("first\u2028second\u2029third</script>"))

    specs = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', told, flags=re.DOTALL)
    assert len(specs) == 4  # one provider alone has no comparison
    for spec in specs:
        assert json.loads(spec)
        assert not re.search("[\u2028\u2029]|u2028|u2029", spec)
    assert r"first second third\u003c/script\u003e" in specs[0]


def test_a_chart_that_fails_costs_itself(tmp_path: Path) -> None:
    from report.page import page
    from report.warehouse import ask

    answers = ask(fill_duckdb(tmp_path / "documents.duckdb", tables("harmless")))
    answers["failures"] = [{**row, "reason": None} for row in answers["failures"]]

    told = page(answers, "documents.duckdb")

    assert "This chart cannot be drawn (" in section(told, "failures")
    assert "recipes/failures.sql" in section(told, "failures")
    assert told.count("This chart cannot be drawn (") == 1 + 1  # in the script, too
    assert len(re.findall(r'<div class="plot"', told)) == 3


def test_a_number_that_json_does_not_have_is_a_gap(tmp_path: Path) -> None:
    from report.page import page
    from report.warehouse import ask

    answers = ask(fill_duckdb(tmp_path / "documents.duckdb", tables("harmless")))
    rows = [{**row, "median_seconds": float("nan")} for row in answers["time_to_completion"]]

    told = page({**answers, "time_to_completion": rows}, "documents.duckdb")

    assert "NaN" not in "".join(re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', told))


def as_seen_by_a_deuteranope(colour: str) -> tuple[float, float, float]:
    """Return the colour in linear light without the green cones (Viénot, Brettel and Mollon 1999)."""
    red, green, blue = ((int(colour[place : place + 2], 16) / 255) ** 2.2 for place in (1, 3, 5))
    yellow = 0.29275 * red + 0.70725 * green
    return yellow, yellow, blue + 0.02233 * (green - red)


def test_colours_that_mean_opposites_are_not_told_apart_by_red_and_green_alone() -> None:
    from report.charts import _RATES, _SHARES

    pairs = [(_RATES[0], _RATES[2]), (_SHARES["failed"], _SHARES["straight through"])]
    for pair in pairs:
        first, second = map(as_seen_by_a_deuteranope, pair)
        assert max(abs(one - other) for one, other in zip(first, second, strict=True)) > 0.25, pair


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from report import Trouble
    from report import page as pages
    from report.warehouse import ask

    answers = ask(fill_duckdb(tmp_path / "documents.duckdb", tables("harmless")))
    (tmp_path / "report.html").write_text("the old one")
    before = sorted(tmp_path.iterdir())

    def full(path: Path, *_: Any, **__: Any) -> None:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(Trouble, match=r"report\.html cannot be written \(No space left on device\)\.$"):
        pages.write(answers, "documents.duckdb", tmp_path / "report.html")

    assert (tmp_path / "report.html").read_text() == "the old one"
    assert sorted(tmp_path.iterdir()) == before


def test_the_command_writes_a_page_of_a_warehouse_and_says_where(tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "ignore", "-m", "report", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    fill_duckdb(tmp_path / "documents.duckdb", tables("harmless"))
    done = run("documents.duckdb")
    nowhere = run("postgresql://me:a-secret-word@127.0.0.1:1/warehouse")

    assert (done.returncode, done.stdout) == (0, "The report is in report.html\n")
    assert "<b>documents.duckdb</b>" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert (nowhere.returncode, nowhere.stdout) == (1, "")
    assert nowhere.stderr.startswith("The warehouse cannot be asked: ")
    assert "a-secret-word" not in nowhere.stderr


def test_a_database_is_named_without_user_and_password() -> None:
    from report.__main__ import named

    assert named("postgresql://me:a-secret-word@db.example:5432/warehouse?sslmode=require") == "warehouse at db.example"
    assert named("/some/where/documents.duckdb") == "documents.duckdb"


@pytest.mark.parametrize(
    "view",
    [
        "SELECT * FROM read_csv('{file}', names = ['error'])",
        "SELECT content AS error FROM read_text('{file}')",
        "SELECT file AS error FROM glob('{folder}/*')",
    ],
)
def test_a_view_in_a_duckdb_file_does_not_read_other_files(tmp_path: Path, view: str) -> None:
    import duckdb

    from report import Trouble
    from report.warehouse import ask

    (tmp_path / "private.csv").write_text("a-secret-word\n")
    file = fill_duckdb(tmp_path / "documents.duckdb", tables("harmless"))
    read = view.format(file=tmp_path / "private.csv", folder=tmp_path)
    with duckdb.connect(file) as connection:
        connection.execute("ALTER TABLE docmap_files RENAME TO kept")
        connection.execute(
            f"CREATE VIEW docmap_files AS SELECT kept.* REPLACE (f.error AS error) FROM kept, ({read}) AS f"
        )

    with pytest.raises(Trouble, match=r"^The warehouse cannot be asked: .*disabled") as caught:
        ask(file)
    assert "a-secret-word" not in str(caught.value)


def test_a_duckdb_file_is_read_without_loading_extensions(tmp_path: Path) -> None:
    from sqlalchemy import text
    from sqlalchemy.exc import SQLAlchemyError

    from report.warehouse import connected

    file = fill_duckdb(tmp_path / "documents.duckdb", tables("harmless"))
    refused = (
        "LOAD httpfs",
        "INSTALL httpfs",
        f"ATTACH '{tmp_path / 'other.duckdb'}' AS other",
        "SET enable_external_access = true",
        "SET allow_community_extensions = true",
    )
    with connected(file) as connection:
        for statement in refused:
            with pytest.raises(SQLAlchemyError, match=r"disabled|[Cc]annot|not allowed"):
                connection.execute(text(statement))
            connection.rollback()


def test_the_readmes_picture_is_there_and_small() -> None:
    [picture] = [
        child.attrs["src"]
        for token in MarkdownIt("commonmark").parse((ROOT / "README.md").read_text(encoding="utf-8"))
        for child in token.children or ()
        if child.type == "image"
    ]

    content = (ROOT / str(picture)).read_bytes()
    assert content.startswith(b"\x89PNG")
    assert 20_000 < len(content) < 300_000
