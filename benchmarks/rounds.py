"""Runner of a case: all tasks in turn, round by round."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from .cases import Case, Task
from .compared_systems import COMPARED_SYSTEMS, SystemRun
from .measure import ROOT, ProcessCost, Server, run_process, start_server

Row = dict[str, Any]
"""A task's system, runs, and the reason for which it is void, if it is."""


def measure_case(case: Case, rounds: int, folder: Path, print_line: Callable[[str], None]) -> Row:
    """Measure a case and return its rows.

    The output of the runs is removed, unless a row is void: then it shows the cause.
    """
    tasks: dict[str, Row] = {task.name: {"system": task.system, "void": None, "runs": []} for task in case.tasks}
    with start_server(case.world, **case.sizes) if case.world else nullcontext() as server:
        if server and case.warmup_system:
            _run_task(Task("warm", case.warmup_system), server, folder / "warm")
        for round_index in range(rounds):
            # Each round starts with another task, so that a slow start of the machine affects all tasks alike.
            start_index = round_index % len(case.tasks)
            for task in (*case.tasks[start_index:], *case.tasks[:start_index]):
                for _ in range(0 if round_index and task.is_first_round_only else case.runs_per_round):
                    run_row, void_reason = _run_task(task, server, folder / (task.resumed_task or task.name))
                    tasks[task.name]["runs"].append(run_row)
                    tasks[task.name]["void"] = tasks[task.name]["void"] or void_reason
                    message = f"wall {run_row['wall']:.2f} s, CPU {run_row['cpu']:.2f} s, {run_row['peak_mb']:.0f} MB"
                    message += f"  VOID: {void_reason}" if void_reason else ""
                    print_line(f"  {case.name} {round_index + 1}/{rounds} {task.name}: {message}")
    if not any(row["void"] for row in tasks.values()):
        shutil.rmtree(folder, ignore_errors=True)
    return {"title": case.title, "sizes": dict(case.sizes), "rounds": rounds, "tasks": tasks}


def _run_task(task: Task, server: Server | None, folder: Path) -> tuple[Row, str | None]:
    """Run a task once.

    Return its figures, and the reason for which they are void or None.
    """
    if not task.resumed_task:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    system = COMPARED_SYSTEMS[task.system]
    system_run = SystemRun(folder, server.selections[task.selection] if server else {}, task.streams)
    command, errors, load = system.command(system_run), folder / "errors", os.getloadavg()[0]
    if server:
        server.reset(task.latency)
    cost = run_process(command, system_run.output_path, errors, environment=system.environment)
    row: Row = {"wall": cost.wall_seconds, "cpu": cost.cpu_seconds, "peak_mb": cost.peak_mb, "load": load}
    # The printing systems parse their input first, which must not count: they report the CPU time of printing alone.
    if system.is_cpu_reported and not cost.exit_code:
        row["cpu"] = float(errors.read_text().split()[-1])
    void_reason = _describe_failure(cost, errors)
    if server and not system.is_cpu_reported:
        row.update(server.get_counts())
        if not void_reason:
            row.update(_read_delivery(system.output_format, folder))
            void_reason = _describe_missing(task.expected_records, row["distinct"])
    return row, void_reason


def _describe_failure(cost: ProcessCost, errors: Path) -> str | None:
    if not cost.exit_code:
        return None
    error_lines = errors.read_text(errors="replace").strip().splitlines()
    return f"it ended with code {cost.exit_code}: {error_lines[-1][:300] if error_lines else 'no word of why'}"


def _describe_missing(expected: Mapping[str, int], distinct: Mapping[str, int]) -> str | None:
    for stream, count in expected.items():
        if distinct.get(stream, 0) != count:
            return f"{distinct.get(stream, 0)} of {count} {stream} were delivered"
    return None


def _read_delivery(output_format: str, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.output_summary", output_format, str(folder)]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    delivery: dict[str, Any] = json.loads(process.stdout)
    return delivery
