"""Benchmark runner (`make bench`), which writes docs/performance.md.

Results stay in benchmarks/.work, so cases may be measured one by one; the report covers all results there.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from fnmatch import fnmatchcase
from importlib.metadata import version
from itertools import chain
from os import cpu_count
from pathlib import Path
from typing import Any

from . import report, targets
from .cases import Case, build_cases
from .compared_systems import ENVIRONMENTS_FOLDER
from .measure import ROOT
from .rounds import measure_case

WORK_FOLDER = ROOT / "benchmarks" / ".work"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the targets and write the report.

    Returns:
        0; 1 if a row is void or, at full size, a target is missed; 2 if no case has the given name.
    """
    options = _build_parser().parse_args(arguments)
    known_cases = build_cases(options.scale)
    case_patterns = options.cases.replace(",", " ").split() or ["*"]

    def is_chosen(case: Case) -> bool:
        return any(fnmatchcase(case.name, pattern) for pattern in case_patterns)

    chosen_cases = list(filter(is_chosen, known_cases))
    if not chosen_cases:
        print("There is no such case; there are:", ", ".join(case.name for case in known_cases), file=sys.stderr)
        return 2
    # Each scale has a folder of its own, so that a quick run does not overwrite the documented figures.
    folder = WORK_FOLDER / f"{options.scale:g}"
    folder.mkdir(parents=True, exist_ok=True)
    results = _load_results(folder / "results.json")
    for case in chosen_cases if options.rounds else ():
        print(f"{case.title} ({case.name})", flush=True)
        case_results = measure_case(
            case, options.rounds, folder / "runs" / case.name, lambda line: print(line, flush=True)
        )
        results["cases"][case.name] = {**case_results, "scale": options.scale, "environment": _describe_environment()}
        (folder / "results.json").write_text(json.dumps(results, indent=1))
    judged_targets = targets.judge_targets(results["cases"])
    print("", *targets.format_table(judged_targets), sep="\n")
    output_folder = ROOT / "docs" if options.scale == 1 else folder
    report.write_report(results["cases"], judged_targets, output_folder / "performance.md")
    if "atlas" in results["cases"]:
        _draw_chart(folder / "results.json", output_folder / "performance.svg")
    print(f"\nWritten: {output_folder / 'performance.md'}")
    rows = chain.from_iterable(case["tasks"].values() for case in results["cases"].values())
    is_void = any(row["void"] for row in rows)
    is_missed = options.scale == 1 and any(target.is_reached is False for target in judged_targets)
    return int(is_void or is_missed)


def _draw_chart(results_path: Path, chart_path: Path) -> None:
    """Draw the chart in the environment that has matplotlib."""
    python = ENVIRONMENTS_FOLDER / "chart" / "bin" / "python"
    subprocess.run(
        [str(python), str(Path(__file__).with_name("chart.py")), str(results_path), str(chart_path)], check=True
    )


def _load_results(results_path: Path) -> dict[str, Any]:
    """Return earlier results, each of which stays until its case is measured again."""
    results: dict[str, Any] = json.loads(results_path.read_bytes()) if results_path.exists() else {"cases": {}}
    return results


def _describe_environment() -> dict[str, Any]:
    packages = ("source-docextract", "airbyte-cdk", "aiohttp", "requests", "orjson")
    return {
        "on": time.strftime("%Y-%m-%d", time.gmtime()),
        "cores": cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
    }


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=3, help="medians are of so many (default: 3); 0: report what is kept"
    )
    parser.add_argument(
        "--cases", default="", help="names, such as atlas, or patterns, such as documents-* (default: all)"
    )
    parser.add_argument(
        "--scale", type=float, default=1.0, help="below 1: smaller worlds, for a quick look (default: 1)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
