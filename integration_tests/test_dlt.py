"""The example with dlt, run as its user would: killed in the middle, run again, and once more for what is new."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from docextract_sandbox import Clock, Sandbox, serve
from integration_tests.filled import build_demo_settings
from unit_tests.support.harness import Connection

pytestmark = pytest.mark.skipif(find_spec("dlt") is None, reason="`make test` installs dlt in .venv-demo")

EXAMPLE = Path(__file__).parent.parent / "examples" / "with_dlt.py"
TIMEOUT_SECONDS = 300
"""Seconds for one run, on a machine that is slow and busy; it takes ten."""

RowsById = dict[str, dict[str, Any]]
"""By id."""


class DltSetup:
    """A served sandbox, and the example beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sandbox = Sandbox(Clock(speed=0))
        self.sandbox.fill_demo()
        self.settings: dict[str, Any] = {}
        self.url = ""

    def start(self, target: str) -> subprocess.Popen[str]:
        config = self.folder / "config.json"
        config.write_text(json.dumps(self.settings))
        arguments = [sys.executable, str(EXAMPLE), target, "--config", str(config)]
        environment = {**os.environ, "DLT_DATA_DIR": str(self.folder / "dlt"), "RUNTIME__DLTHUB_TELEMETRY": "false"}
        return subprocess.Popen(
            arguments, cwd=self.folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(self, target: str) -> str:
        process = self.start(target)
        stdout, stderr = process.communicate(timeout=TIMEOUT_SECONDS)
        assert process.returncode == 0, stderr
        return stdout

    def kill_during_run(self, target: str) -> None:
        """End it without a word once it has asked for a good part of what there is."""
        process = self.start(target)
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while len(self.sandbox.journal.entries) < 100 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
        _, err = process.communicate()
        assert len(self.sandbox.journal.entries) >= 100, err

    def read_expected_rows(self) -> dict[str, RowsById]:
        """What someone reads who comes new."""
        connection = Connection(self.sandbox, self.url, self.settings)
        assert connection.sync().error is None
        return {stream: dict(rows) for stream, rows in connection.warehouse.items()}

    def add_documents(self) -> None:
        """More documents come in, and those in work are finished."""
        self.sandbox.fill_demo()
        for world in (self.sandbox.atlas, self.sandbox.docmap, self.sandbox.sensible):
            world.finish(skip_stuck=True)
        self.sandbox.clock.advance(seconds=60)


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[DltSetup]:
    dlt_setup = DltSetup(tmp_path)
    with serve(dlt_setup.sandbox) as url:
        dlt_setup.url = url
        dlt_setup.settings = build_demo_settings(dlt_setup.sandbox, url)
        dlt_setup.settings["extracta"]["seconds_between_requests"] = 0
        yield dlt_setup


def read_duckdb(file: Path) -> dict[str, RowsById]:
    import duckdb

    with duckdb.connect(str(file), read_only=True) as connection:
        names = connection.sql(
            "SELECT table_name FROM information_schema.tables"
            " WHERE table_schema = 'docextract' AND table_name[1] <> '_'"
        ).fetchall()
        return {
            name: index_by_id(connection.sql(f"SELECT * FROM docextract.{name}").fetch_arrow_table())
            for (name,) in names
        }


def index_by_id(table: Any) -> RowsById:
    rows: list[dict[str, Any]] = table.to_pylist()
    assert len({row["id"] for row in rows}) == len(rows)
    return {row["id"]: row for row in rows}


def assert_tables_equal(actual: dict[str, RowsById], expected: dict[str, RowsById]) -> None:
    """Every row is there once, with its data as it was sent, and its types.

    More may be there: a batch that has re-opened shows none of its files for a while.
    """
    assert actual.keys() >= {stream for stream, rows in expected.items() if rows}
    for stream, rows in expected.items():
        for key, row in rows.items():
            held = actual[stream][key]
            for column in ("status", "digest", "value", "number_value", "document_index"):
                assert held.get(column) == row.get(column), (stream, key, column)
            data = held.get("data")
            parsed = json.loads(data) if isinstance(data, str) else data
            assert remove_signatures(parsed) == remove_signatures(row.get("data")), (stream, key)
            assert held["observed_at"].tzinfo is not None


def remove_signatures(value: Any) -> Any:
    """Without the links that are signed anew in each answer."""
    if isinstance(value, dict):
        return {key: remove_signatures(item) for key, item in value.items() if key != "redact_url"}
    return [remove_signatures(item) for item in value] if isinstance(value, list) else value


@pytest.mark.long
def test_dlt_duckdb_killed_process_loads_each_row_exactly_once(setup: DltSetup) -> None:
    target, file = "duckdb:///documents.duckdb", setup.folder / "documents.duckdb"
    setup.kill_during_run(target)

    setup.run(target)
    assert_tables_equal(read_duckdb(file), setup.read_expected_rows())
    setup.sandbox.journal.clear()
    output = setup.run(target)
    setup.add_documents()
    setup.run(target)

    assert "nothing new" in output
    assert_tables_equal(read_duckdb(file), setup.read_expected_rows())


@pytest.mark.long
def test_dlt_postgresql_merges_rows_by_id(setup: DltSetup, postgres: str) -> None:
    from sqlalchemy import create_engine, text

    target = postgres.replace("@/", "@localhost/")  # dlt wants a host; the socket's folder that follows overrules it
    setup.kill_during_run(target)
    setup.run(target)
    setup.add_documents()
    setup.run(target)

    engine = create_engine(postgres)
    with engine.connect() as connection:
        expected = setup.read_expected_rows()
        for stream, rows in expected.items():
            stored_rows = connection.execute(text(f"SELECT * FROM docextract.{stream}")).mappings().all()
            assert {row["id"] for row in stored_rows} >= rows.keys()
            assert len({row["id"] for row in stored_rows}) == len(stored_rows)
        results = connection.execute(text("SELECT id, data FROM docextract.docmap_results")).all()
        assert dict(results) == {key: row["data"] for key, row in expected["docmap_results"].items()}
    engine.dispose()


@pytest.mark.long
def test_dlt_parquet_keeps_every_version_of_a_row(setup: DltSetup) -> None:
    import duckdb

    target = f"file://{setup.folder}/lake"
    setup.run(target)
    setup.add_documents()
    setup.run(target)

    for stream, rows in setup.read_expected_rows().items():
        newest = duckdb.sql(
            f"SELECT * FROM read_parquet('{setup.folder}/lake/docextract/{stream}/*.parquet', union_by_name=true)"
            " QUALIFY row_number() OVER (PARTITION BY id ORDER BY observed_at DESC) = 1"
        ).fetch_arrow_table()
        assert index_by_id(newest).keys() >= rows.keys()


def test_dlt_failed_provider_is_named_and_the_others_are_loaded(setup: DltSetup) -> None:
    setup.settings["docmap"]["api_key"] = "dm_live_of_nobody_at_all"
    process = setup.start("duckdb:///documents.duckdb")
    _, err = process.communicate(timeout=TIMEOUT_SECONDS)

    rows = read_duckdb(setup.folder / "documents.duckdb")

    assert process.returncode == 1
    assert "DocMap refused the credentials" in err
    assert "dm_live_of_nobody" not in err
    assert rows["sensible_results"]
    assert "docmap_files" not in rows


@pytest.mark.long
@pytest.mark.parametrize("script", ["load_dlt", "load_pyairbyte"])
def test_dlt_benchmark_loads_the_selected_stream_once_and_counts_its_rows(setup: DltSetup, script: str) -> None:
    """`make bench` compares these two; its count finds each row once, also after the second sync."""
    systems = EXAMPLE.parent.parent / "benchmarks" / "systems"
    config, database = setup.folder / "config.json", setup.folder / "documents.duckdb"
    config.write_text(json.dumps(setup.settings))
    environment = {**os.environ, "AIRBYTE_OFFLINE_MODE": "1", "RUNTIME__DLTHUB_TELEMETRY": "false"}
    counts = []
    for _ in range(2):
        for command in (
            [f"{script}.py", str(config), str(setup.folder), "atlas_results"],
            ["count_rows.py", str(database)],
        ):
            process = subprocess.run(
                [sys.executable, str(systems / command[0]), *command[1:]],
                env=environment,
                text=True,
                capture_output=True,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
            assert process.returncode == 0, process.stderr
        counts.append(json.loads(process.stdout))

    expected = {"atlas_results": len(setup.read_expected_rows()["atlas_results"])}
    assert expected["atlas_results"] > 0
    assert counts == [{"records": expected, "distinct": expected}] * 2
