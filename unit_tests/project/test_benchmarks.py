"""Runs of `make bench` are counted or void, and its targets and its report are made of them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as bench
from benchmarks import report, targets
from benchmarks.cases import LOAD_SYSTEMS, Case, Task, build_cases
from benchmarks.compared_systems import COMPARED_SYSTEMS
from benchmarks.measure import run_process
from benchmarks.rounds import measure_case
from unit_tests.support.harness import single


def make_small_options(*tasks: Task) -> Case:
    return Case("small", "2 batches of Atlas", tasks, "atlas", {"batches": 2, "documents": 60})


@pytest.mark.long
def test_measure_case_resumed_task_starts_from_the_state_of_the_first(tmp_path: Path) -> None:
    documents, results = {"documents": 120}, {"atlas_results": 120}
    case = make_small_options(
        Task("loop", "loop", documents, latency=0.02),
        Task("silent", "loop-silent", documents),
        Task("threads", "loop-threads", documents),
        Task("connector", "connector", results, streams=("atlas_results",)),
        Task("quiet", "connector", {"atlas_results": 0}, streams=("atlas_results",), resumed_task="connector"),
    )
    output_lines: list[str] = []

    rows = measure_case(case, 1, tmp_path, output_lines.append)["tasks"]

    runs = {name: single(row["runs"]) for name, row in rows.items()}
    assert {name: row["void"] for name, row in rows.items()} == dict.fromkeys(rows)
    whole = {"atlas.authtoken": 1, "atlas.extracts": 4}
    assert [runs[name]["requests"] for name in ("loop", "silent", "threads", "connector")] == [whole] * 4
    assert runs["quiet"]["requests"] == {}
    assert runs["loop"]["wall"] >= 5 * 0.02
    assert all(run["cpu"] > 0 and 5 < run["peak_mb"] < 1000 for run in runs.values())
    assert runs["connector"]["states"] >= 1
    assert runs["connector"]["largest_state_bytes"] > 50
    assert len(output_lines) == len(case.tasks)
    assert not tmp_path.exists()


def test_measure_case_first_round_only_task_runs_in_the_first_round(tmp_path: Path) -> None:
    case = Case(
        "start",
        "Start-up",
        (Task("python", "python"), Task("once", "python", is_first_round_only=True)),
        runs_per_round=2,
    )

    rows = measure_case(case, 3, tmp_path, lambda _: None)["tasks"]

    assert {name: len(row["runs"]) for name, row in rows.items()} == {"python": 6, "once": 2}


def test_main_separate_runs_are_merged_into_results_and_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = [Case(name, f"Start-up {name}", (Task("python", "python"),)) for name in ("one", "two-1", "two-2")]
    monkeypatch.setattr(bench, "WORK_FOLDER", tmp_path)
    monkeypatch.setattr(bench, "build_cases", lambda _: known)

    def read_cases() -> dict[str, Any]:
        cases: dict[str, Any] = json.loads((tmp_path / "0.5" / "results.json").read_text())["cases"]
        return {name: [run["wall"] for run in case["tasks"]["python"]["runs"]] for name, case in cases.items()}

    assert bench.main(["--scale", "0.5", "--rounds", "2", "--cases", "two-*"]) == 0
    first = read_cases()
    assert bench.main(["--scale", "0.5", "--rounds", "1", "--cases", "one, two-2"]) == 0
    assert bench.main(["--scale", "0.5", "--rounds", "0"]) == 0
    assert bench.main(["--scale", "0.5", "--cases", "three"]) == 2

    assert {name: len(walls) for name, walls in read_cases().items()} == {"one": 1, "two-1": 2, "two-2": 1}
    assert read_cases()["two-1"] == first["two-1"]
    assert "A quick look at 0.5 of the size" in (tmp_path / "0.5" / "performance.md").read_text()
    assert "there are: one, two-1, two-2" in capsys.readouterr().err


def test_run_process_python_environment_variables_are_not_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    expected_text = (
        "import os; print(*sorted({'PYTHONUNBUFFERED', 'PYTHONDONTWRITEBYTECODE', 'ASKED'} & {*os.environ}))"
    )

    run_process(
        [sys.executable, "-c", expected_text], tmp_path / "output", tmp_path / "errors", environment={"ASKED": "yes"}
    )

    assert (tmp_path / "output").read_text() == "ASKED\n"


@pytest.mark.skipif(not Path(f"/proc/self/task/{os.getpid()}/children").exists(), reason="only Linux lists them")
def test_run_process_memory_of_processes_at_one_time_is_added_up(tmp_path: Path) -> None:
    """The parent and its child hold 80 MB each, for long enough that a sample sees both."""
    child_code = "import time; block = bytearray(b'x') * 80_000_000; time.sleep(1)"
    parent_code = (
        "import subprocess, sys; block = bytearray(b'x') * 80_000_000; "
        f'subprocess.run([sys.executable, "-c", "{child_code}"], check=True)'
    )

    cost = run_process([sys.executable, "-c", parent_code], tmp_path / "output", tmp_path / "errors")

    assert cost.exit_code == 0, (tmp_path / "errors").read_text()
    assert 160_000_000 / 1024**2 < cost.peak_mb < 300


def test_measure_case_missing_documents_make_the_row_void(tmp_path: Path) -> None:
    rows = measure_case(make_small_options(Task("loop", "loop", {"documents": 121})), 1, tmp_path, lambda _: None)[
        "tasks"
    ]

    assert rows["loop"]["void"] == "120 of 121 documents were delivered"


def test_measure_case_failed_process_makes_the_row_void(tmp_path: Path) -> None:
    case = Case("start", "Start-up", (Task("printing", "printing"),))

    rows = measure_case(case, 1, tmp_path, lambda _: None)["tasks"]

    assert str(rows["printing"]["void"]).startswith("it ended with code 2")


def make_results() -> dict[str, Any]:
    """Results of all cases: everything takes a second; less for the loop that prints and what is small, two for all."""
    results: dict[str, Any] = {}
    for case in build_cases(1.0):
        rows = {}
        for task in case.tasks:
            seconds = {"loop": 0.5, "all": 2.0}.get(task.name, 0.25 if task.name.endswith("/small") else 1.0)
            run = {
                "wall": seconds, "cpu": seconds, "peak_mb": 100.0, "requests": {"a": 3}, "records": {"s": 7},
                "state_bytes": 10, "last_state_bytes": 10, "largest_state_bytes": 10, "file_bytes": 2_500_000,
                "load": 1.5, "server_cpu": 0.25, "late": {"mean": 0.0004, "worst": 0.01},
            }  # fmt: skip
            rows[task.name] = {"system": task.system, "void": None, "runs": [run]}
        environment = {
            "on": "2026-11-20",
            "cores": 2,
            "python": "3.11.7",
            "system": "Linux",
            "versions": {"orjson": "3"},
        }
        results[case.name] = {
            "title": case.title, "sizes": dict(case.sizes), "rounds": 1, "scale": 1.0, "tasks": rows,
            "environment": environment,
        }  # fmt: skip
    return results


def index_by_name(judged: list[targets.Target]) -> dict[str, targets.Target]:
    return {target.name: target for target in judged}


def test_judge_targets_compares_cost_per_document_without_start_up() -> None:
    judged = index_by_name(targets.judge_targets(make_results()))

    floor, manifest = (
        judged[f"CPU a document ÷ that of {baseline}"]
        for baseline in ("the loop that prints", "the declarative manifest")
    )
    assert floor.value == pytest.approx(3.0)
    assert floor.is_reached is False
    assert manifest.value == pytest.approx(1.0)
    assert manifest.is_reached is False
    memory = judged["peak memory at 200,000 documents ÷ that at 20,000"]
    assert (memory.value, memory.is_reached) == (1.0, True)
    assert all(target.value is not None for target in judged.values())


def test_judge_targets_cost_below_start_up_gives_no_ratio() -> None:
    results = make_results()
    results["atlas"]["tasks"]["connector/small"]["runs"][0]["cpu"] = 1.5

    judged = index_by_name(targets.judge_targets(results))

    assert judged["CPU a document ÷ that of the loop that prints"].is_reached is None


def test_report_void_row_has_no_ratio_and_its_reason(tmp_path: Path) -> None:
    results = make_results()
    results["atlas"]["tasks"]["dlt"]["void"] = "3 of 4 documents were delivered"

    judged = targets.judge_targets(results)
    report.write_report(results, judged, tmp_path / "performance.md")

    dlt = index_by_name(judged)["CPU a document ÷ that of dlt's extract"]
    written = (tmp_path / "performance.md").read_text()
    assert (dlt.value, dlt.is_reached) == (None, None)
    assert "Void: dlt rest_api, extract only in `atlas`, as 3 of 4 documents were delivered." in written
    assert f"| {COMPARED_SYSTEMS['dlt'].title} | – | – | – |" in written
    assert "not measured" in "\n".join(targets.format_table(judged))
    assert "quick look" not in written
    assert "busy for at most 100% of a run" in written  # the one that takes a quarter of a second
    assert "at most 0.4 ms late on average" in written


def test_report_load_cases_have_a_table_and_a_note_of_their_own(tmp_path: Path) -> None:
    results = make_results()
    for name in ("load-results", "load-all"):
        results[name]["environment"]["on"] = "2026-11-29"
        results[name]["tasks"]["load-dlt"]["runs"][0]["load"] = 7.5
    results["load-all"]["tasks"]["load-pyairbyte/again"]["void"] = "2 of 3 atlas_files were delivered"

    report.write_report(results, targets.judge_targets(results), tmp_path / "performance.md")

    written = (tmp_path / "performance.md").read_text()
    start, section = written.split("## Loading into DuckDB")
    section = section.split("\n## ")[0]
    assert "Measured on 2026-11-20" in start
    assert "load of the machine was at most 1.5" in start
    assert "Measured on 2026-11-29" in section
    assert "load of the machine was at most 7.5" in section
    assert "| results alone, first sync: dlt | 3 | 1.00 | 1.00 | 100 | 2.5 MB |" in section
    assert "| all four streams, quiet second sync: PyAirbyte | – | – | – | – | – |" in section


def test_report_load_cases_alone_leave_the_other_sections_unmeasured(tmp_path: Path) -> None:
    results = {name: case for name, case in make_results().items() if name.startswith("load-")}

    report.write_report(results, targets.judge_targets(results), tmp_path / "performance.md")

    written = (tmp_path / "performance.md").read_text()
    assert "Not measured." in written.split("## Loading into DuckDB")[0]
    assert "| all four streams, first sync: PyAirbyte | 3 | 1.00 | 1.00 | 100 | 2.5 MB |" in written


def test_build_cases_load_cases_run_the_ways_in_turn_and_expect_each_row_once() -> None:
    cases = {case.name: case for case in build_cases(0.01) if case.name.startswith("load-")}

    names = [task.name for task in cases["load-all"].tasks]
    rows_again = {task.name: task.expected_records for task in cases["load-results"].tasks if task.resumed_task}
    assert names == [f"{system}{sync}" for system in LOAD_SYSTEMS for sync in ("", "/again")]
    assert rows_again == {
        "connector/again": {"atlas_results": 0},
        "load-pyairbyte/again": {"atlas_results": 1000},
        "load-dlt/again": {"atlas_results": 1000},
    }
    assert {task.name: sum(task.expected_records.values()) for task in cases["load-all"].tasks}["load-dlt"] == 12_004


def test_report_reduced_scale_and_missing_cases_is_marked_as_quick_look(tmp_path: Path) -> None:
    results = {name: case for name, case in make_results().items() if name.startswith("atlas")}
    results["atlas"]["scale"] = 0.1

    report.write_report(results, targets.judge_targets(results), tmp_path / "performance.md")

    assert "A quick look at 0.1 of the size" in (tmp_path / "performance.md").read_text()
