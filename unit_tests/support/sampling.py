"""A marker that leaves most cases of a large matrix to the longer proofs.

`@pytest.mark.sample` keeps as few cases as name each value of each parameter once; `@pytest.mark.sample(3)` keeps
three, spread evenly. All other cases become `long`: `make test-long` runs them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out the long ones
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the cases that are not in the sample of their test as long."""
    cases_by_test: defaultdict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if item.get_closest_marker("sample") and not item.get_closest_marker("long"):
            cases_by_test[item.nodeid.partition("[")[0]].append(item)
    for cases in cases_by_test.values():
        marker = cases[0].get_closest_marker("sample")
        assert marker
        values = [_describe_values(case) for case in cases]
        kept = spread_evenly(len(cases), *marker.args) if marker.args else cover_each_value(values)
        for number, case in enumerate(cases):
            if number not in kept:
                case.add_marker(pytest.mark.long)


def _describe_values(item: Any) -> dict[str, str]:
    """Return the value of each parameter of a case as text: values may be unhashable."""
    return {name: repr(value) for name, value in item.callspec.params.items()}


def spread_evenly(count: int, kept: int) -> set[int]:
    """Return the numbers of so many cases, spread evenly over all."""
    return {number * count // kept for number in range(kept)}


def cover_each_value(cases: Sequence[dict[str, Any]]) -> set[int]:
    """Return the numbers of few cases that have each value of each parameter among them.

    The next case is always one with as many values as possible that no case has had so far.
    """
    missing = [set(case.items()) for case in cases]
    kept: set[int] = set()
    while any(missing):
        number = max(range(len(cases)), key=lambda number: len(missing[number]))
        covered = set(missing[number])
        missing = [values - covered for values in missing]
        kept.add(number)
    return kept
