"""Runs a case: all of its tasks by turns, round by round, so that what disturbs the machine disturbs them all alike."""

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
from .field import FIELD, Job
from .measure import ROOT, Cost, Server, run, served

Row = dict[str, Any]
"""One task: its system, why it is void if it is, and its runs."""


def measured(case: Case, rounds: int, folder: Path, say: Callable[[str], None]) -> Row:
    """All rows of a case. What was printed is removed, unless a row is void and somebody may want to see why."""
    tasks: dict[str, Row] = {task.name: {"system": task.system, "void": None, "runs": []} for task in case.tasks}
    with served(case.world, **case.sizes) if case.world else nullcontext() as server:
        if server and case.warm:
            _run(Task("warm", case.warm), server, folder / "warm")
        for number in range(rounds):
            turn = number % len(case.tasks)
            for task in (*case.tasks[turn:], *case.tasks[:turn]):
                for _ in range(0 if number and task.once else case.times):
                    one, void = _run(task, server, folder / (task.again or task.name))
                    tasks[task.name]["runs"].append(one)
                    tasks[task.name]["void"] = tasks[task.name]["void"] or void
                    words = f"wall {one['wall']:.2f} s, CPU {one['cpu']:.2f} s, {one['peak_mb']:.0f} MB"
                    words += f"  VOID: {void}" if void else ""
                    say(f"  {case.name} {number + 1}/{rounds} {task.name}: {words}")
    if not any(row["void"] for row in tasks.values()):
        shutil.rmtree(folder, ignore_errors=True)
    return {"title": case.title, "sizes": dict(case.sizes), "rounds": rounds, "tasks": tasks}


def _run(task: Task, server: Server | None, folder: Path) -> tuple[Row, str | None]:
    """One run, and why it counts for nothing if it does not."""
    if not task.again:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    system = FIELD[task.system]
    job = Job(folder, server.selections[task.selection] if server else {}, task.streams)
    command, errors, load = system.command(job), folder / "errors", os.getloadavg()[0]
    if server:
        server.begin(task.latency)
    cost = run(command, job.output, errors, environment=system.environment)
    row: Row = {"wall": cost.wall, "cpu": cost.cpu, "peak_mb": cost.peak_mb, "load": load}
    if system.keeps_time and not cost.code:
        row["cpu"] = float(errors.read_text().split()[-1])
    void = _trouble(cost, errors)
    if server and not system.keeps_time:
        row.update(server.tally())
        if not void:
            row.update(_delivered(system.speaks, folder))
            void = _lacking(task.expected, row["distinct"])
    return row, void


def _trouble(cost: Cost, errors: Path) -> str | None:
    if not cost.code:
        return None
    said = errors.read_text(errors="replace").strip().splitlines()
    return f"it ended with code {cost.code}: {said[-1][:300] if said else 'no word of why'}"


def _lacking(expected: Mapping[str, int], distinct: Mapping[str, int]) -> str | None:
    for stream, count in expected.items():
        if distinct.get(stream, 0) != count:
            return f"{distinct.get(stream, 0)} of {count} {stream} were delivered"
    return None


def _delivered(form: str, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.delivered", form, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found
