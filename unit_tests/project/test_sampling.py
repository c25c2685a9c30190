"""The sample of a matrix: each value of each parameter, in few cases."""

from __future__ import annotations

from itertools import product

import pytest

from unit_tests.support.sampling import cover_each_value, spread_evenly

pytest_plugins = ["pytester"]

MATRIX_SCRIPT = """
import pytest

@pytest.mark.sample
@pytest.mark.parametrize("a", "xyz")
@pytest.mark.parametrize("b", [1, 2])
def test_matrix(a, b):
    print(f"ran {a}{b}")

@pytest.mark.sample(2)
@pytest.mark.parametrize("n", [pytest.param(0, marks=pytest.mark.long), *range(1, 7)])
def test_list(n):
    print(f"ran n{n}")
"""


def test_cover_each_value_keeps_every_value_in_few_cases() -> None:
    matrix = [{"a": a, "b": b, "c": c} for a, b, c in product(range(2), range(5), range(3))]

    kept = [matrix[number] for number in cover_each_value(matrix)]

    assert len(kept) == 5
    assert {item for case in kept for item in case.items()} == {item for case in matrix for item in case.items()}


def test_spread_evenly_begins_with_the_first() -> None:
    assert spread_evenly(18, 3) == {0, 6, 12}
    assert spread_evenly(2, 2) == {0, 1}


@pytest.mark.parametrize(
    ("option", "expected_cases"), [("not long", {"n1", "n4"}), ("long", {"n0", "n2", "n3", "n5", "n6"})]
)
def test_marker_leaves_every_other_case_to_the_longer_proofs(
    pytester: pytest.Pytester, option: str, expected_cases: set[str]
) -> None:
    pytester.makeini("[pytest]\nmarkers =\n    long: x\n    sample: x\n")
    pytester.makepyfile(MATRIX_SCRIPT)

    result = pytester.runpytest_inprocess("-s", "-p", "unit_tests.support.sampling", "-m", option)

    ran = {line.split()[-1] for line in result.outlines if "ran " in line}
    assert {case for case in ran if case.startswith("n")} == expected_cases
    matrix_cases = ran - expected_cases
    assert len(matrix_cases) == 3
    if option == "not long":
        assert set("xyz12") == {letter for case in matrix_cases for letter in case}
