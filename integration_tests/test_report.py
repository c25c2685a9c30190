"""The report as text: what others wrote stays text, and nothing is needed but the page."""

from __future__ import annotations

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

    assert re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?([^\"')]*)", markup) == ["data:,"]
    assert "default-src 'none'" in markup
    assert len(told) < 1_500_000


def test_a_warehouse_without_documents_has_a_page_that_says_so(tmp_path: Path) -> None:
    told = made(tmp_path, {"atlas_files": []})

    assert told.count("There is nothing to show yet.") == 5
    for words in ("Nothing is to be reviewed.", "Nothing is stuck.", "Nothing was edited."):
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
        ("8", "documents"),
        ("0%", "straight through"),
        ("50%", "failed"),
        ("4", "to review"),
        ("4", "stuck"),
        ("4", "edited"),
    ]


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
