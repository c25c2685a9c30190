"""The score of a mutation run."""

import json
from pathlib import Path

import pytest

from tools.mutation import main

STATS = {"killed": 93, "survived": 1, "total": 100, "no_tests": 2, "skipped": 0, "timeout": 4, "segfault": 0}


@pytest.mark.parametrize(
    ("changes", "exit_code", "score"),
    [
        ({}, 0, "97.0%"),
        ({"killed": 92, "no_tests": 3}, 1, "96.0%"),
        ({"killed": 80, "survived": 0, "skipped": 16, "no_tests": 0}, 0, "100.0%"),
        (dict.fromkeys(STATS, 0), 1, "0.0%"),
    ],
)
def test_mutation_score_below_the_threshold_fails(
    changes: dict[str, int], exit_code: int, score: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # given
    path = tmp_path / "stats.json"
    path.write_text(json.dumps({**STATS, **changes}))

    # when
    result = main(path)

    # then
    assert result == exit_code
    assert score in capsys.readouterr().out
