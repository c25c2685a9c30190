"""`make bench`: measures, prints the ratios that are to be reached, and writes docs/performance.md.

What was measured is kept in benchmarks/.work, so cases may be measured one by one: the report is of all that is there.
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
from os import cpu_count
from pathlib import Path
from typing import Any

from . import report, targets
from .cases import cases
from .field import ENVIRONMENTS
from .measure import ROOT
from .rounds import measured

WORK = ROOT / "benchmarks" / ".work"


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 if a row is void or, at full size, a target is missed."""
    options = _parser().parse_args(arguments)
    known = cases(options.scale)
    wanted = options.cases.replace(",", " ").split() or ["*"]
    chosen = [case for case in known if any(fnmatchcase(case.name, pattern) for pattern in wanted)]
    if not chosen:
        print("There is no such case; there are:", ", ".join(case.name for case in known), file=sys.stderr)
        return 2
    # A quick look leaves the documented figures alone.
    folder = WORK / f"{options.scale:g}"
    folder.mkdir(parents=True, exist_ok=True)
    results = _known(folder / "results.json")
    for case in chosen if options.rounds else ():
        print(f"{case.title} ({case.name})", flush=True)
        found = measured(case, options.rounds, folder / "runs" / case.name, lambda line: print(line, flush=True))
        results["cases"][case.name] = {**found, "scale": options.scale, "environment": _environment()}
        (folder / "results.json").write_text(json.dumps(results, indent=1))
    judged = targets.judged(results["cases"])
    print("", *targets.table(judged), sep="\n")
    docs = ROOT / "docs" if options.scale == 1 else folder
    report.write(results["cases"], judged, docs / "performance.md")
    if "atlas" in results["cases"]:
        _draw(folder / "results.json", docs / "performance.svg")
    print(f"\nWritten: {docs / 'performance.md'}")
    is_void = any(row["void"] for case in results["cases"].values() for row in case["tasks"].values())
    is_missed = options.scale == 1 and any(target.passed is False for target in judged)
    return int(is_void or is_missed)


def _draw(results: Path, chart: Path) -> None:
    """In an environment that has matplotlib."""
    python = ENVIRONMENTS / "chart" / "bin" / "python"
    subprocess.run([str(python), str(Path(__file__).with_name("chart.py")), str(results), str(chart)], check=True)


def _known(path: Path) -> dict[str, Any]:
    """What was measured before stays, until its case is measured again."""
    found: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {"cases": {}}
    return found


def _environment() -> dict[str, Any]:
    packages = ("source-docextract", "airbyte-cdk", "aiohttp", "requests", "orjson")
    return {
        "on": time.strftime("%Y-%m-%d", time.gmtime()),
        "cores": cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
    }


def _parser() -> argparse.ArgumentParser:
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
