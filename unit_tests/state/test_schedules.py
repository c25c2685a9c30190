"""The promise of the ledger, over made-up schedules: nothing lost, nothing twice, whatever happens in between."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from unit_tests.support.schedules import KilledSchedule, Schedule, TypedSchedule


def run_schedule(schedule: type[Schedule], examples: int, steps: int) -> None:
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
def test_schedule_any_events_warehouse_equals_sandbox(_part: int) -> None:
    run_schedule(Schedule, examples=40, steps=20)


@pytest.mark.parametrize("_part", [0, pytest.param(1, marks=pytest.mark.long)])
def test_schedule_killed_process_warehouse_equals_sandbox(_part: int) -> None:
    run_schedule(KilledSchedule, examples=4, steps=10)


def test_schedule_typed_tables_warehouse_equals_sandbox() -> None:
    run_schedule(TypedSchedule, examples=12, steps=20)


@pytest.mark.long
@pytest.mark.parametrize("_part", range(6))
def test_schedule_long_run_warehouse_equals_sandbox(_part: int) -> None:
    run_schedule(Schedule, examples=80, steps=50)


@pytest.mark.long
@pytest.mark.parametrize("_part", range(4))
def test_schedule_many_kills_warehouse_equals_sandbox(_part: int) -> None:
    run_schedule(KilledSchedule, examples=8, steps=12)


@pytest.mark.long
@pytest.mark.parametrize("_part", range(4))
def test_schedule_typed_tables_long_run_warehouse_equals_sandbox(_part: int) -> None:
    run_schedule(TypedSchedule, examples=100, steps=40)
