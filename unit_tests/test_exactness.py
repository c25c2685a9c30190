"""The promise of the ledger, over made-up schedules: nothing lost, nothing twice, whatever happens in between."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from schedules import KilledSchedule, Schedule, TypedSchedule


def run(schedule: type[Schedule], examples: int, steps: int) -> None:
    run_state_machine_as_test(
        schedule,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("_part", range(2))  # parts may run side by side
def test_whatever_happens_the_warehouse_ends_up_equal_to_the_world(_part: int) -> None:
    run(Schedule, examples=40, steps=20)


@pytest.mark.parametrize("_part", range(2))
def test_so_it_does_where_the_process_is_killed(_part: int) -> None:
    run(KilledSchedule, examples=4, steps=10)


def test_so_it_does_with_typed_tables() -> None:
    run(TypedSchedule, examples=12, steps=20)


@pytest.mark.long
@pytest.mark.parametrize("_part", range(6))
def test_so_it_does_after_longer_schedules(_part: int) -> None:
    run(Schedule, examples=80, steps=50)


@pytest.mark.long
@pytest.mark.parametrize("_part", range(4))
def test_so_it_does_where_the_process_is_killed_more_often(_part: int) -> None:
    run(KilledSchedule, examples=8, steps=12)


@pytest.mark.long
@pytest.mark.parametrize("_part", range(4))
def test_so_it_does_with_typed_tables_after_more_schedules(_part: int) -> None:
    run(TypedSchedule, examples=100, steps=40)
