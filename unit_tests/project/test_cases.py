"""Tables of cases: each case runs, and a failure names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from unit_tests.support.cases import each_case


def test_each_case_failure_names_every_failing_case(tmp_path: Path) -> None:
    ran = []

    @each_case("parity", [0, 1], ids=["even", "odd"])
    @each_case(("number", "divisor"), [(4, 2), (6, 2), pytest.param(7, 2, id="seven")])
    def check(tmp_path: Path, number: int, divisor: int, parity: int) -> None:
        ran.append((number, parity))
        assert number % divisor == parity, tmp_path

    with pytest.raises(AssertionError) as exc_info:
        check(tmp_path=tmp_path)

    assert ran == [(4, 0), (6, 0), (7, 0), (4, 1), (6, 1), (7, 1)]
    assert "2 of 2 cases of ['parity'] fail" in str(exc_info.value)
    assert "even: 1 of 3 cases of ['number', 'divisor'] fail:\n  seven: " in str(exc_info.value)
    assert "odd: 2 of 3 cases of ['number', 'divisor'] fail:\n  4, 2: " in str(exc_info.value)


@each_case("letter", ["a", "b"])
def test_each_case_passes_fixtures_of_the_test(letter: str, tmp_path: Path) -> None:
    (tmp_path / letter).touch()

    assert {path.name for path in tmp_path.iterdir()} <= {"a", "b"}
