"""The score of a mutation run, and the threshold that it must reach.

`make mutation` runs it with the figures that mutmut has written: `python -m tools.mutation stats.json`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

THRESHOLD = 0.97
"""The share of changes that the tests must notice."""


def compute_score(stats: Mapping[str, int]) -> float:
    """Return the share of changes that the tests notice, 0 without any change.

    A change that makes a test run for ever counts as noticed, one in code that no test of the run reaches does not.
    """
    noticed_count = stats["killed"] + stats["timeout"] + stats["segfault"]
    judged_count = stats["total"] - stats["skipped"]
    return noticed_count / judged_count if judged_count else 0.0


def main(path: Path) -> int:
    """Print the score; return 1 if it is below the threshold, else 0."""
    stats: dict[str, int] = json.loads(path.read_text())
    score = compute_score(stats)
    print(
        f"The tests notice {score:.1%} of {stats['total']} changes in state/ (at least {THRESHOLD:.0%}); "
        f"{stats['survived']} survive, {stats['no_tests']} are in code that these tests do not reach."
    )
    return int(score < THRESHOLD)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
