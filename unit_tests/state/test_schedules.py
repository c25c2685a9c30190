"""The promise of the ledger, over random schedules: nothing lost, nothing twice, whatever happens in between.

Over HTTP, with threads and sockets. Many more schedules run in memory (test_schedules_memory.py), so `make test` plays
only a few of these, `make test-long` some more, and the long ones run at night.
"""

from __future__ import annotations

import pytest

from unit_tests.support.schedules import KilledSchedule, Schedule, TypedSchedule, run_schedule


def test_schedule_any_events_warehouse_equals_sandbox() -> None:
    run_schedule(Schedule, examples=6, steps=20)


@pytest.mark.long
@pytest.mark.parametrize("part", range(2))  # parts may run side by side
def test_schedule_more_events_warehouse_equals_sandbox(part: int) -> None:
    run_schedule(Schedule, examples=40, steps=20, part=part)


@pytest.mark.parametrize("part", [0, pytest.param(1, marks=pytest.mark.long)])
def test_schedule_killed_process_warehouse_equals_sandbox(part: int) -> None:
    run_schedule(KilledSchedule, examples=4, steps=10, part=part)


def test_schedule_typed_tables_warehouse_equals_sandbox() -> None:
    run_schedule(TypedSchedule, examples=2, steps=20)


@pytest.mark.long
def test_schedule_more_typed_tables_warehouse_equals_sandbox() -> None:
    run_schedule(TypedSchedule, examples=12, steps=20)


@pytest.mark.long
@pytest.mark.nightly
@pytest.mark.parametrize("part", range(6))
def test_schedule_long_run_warehouse_equals_sandbox(part: int) -> None:
    run_schedule(Schedule, examples=80, steps=50, part=part)


@pytest.mark.long
@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.nightly) for part in range(1, 4))])
def test_schedule_many_kills_warehouse_equals_sandbox(part: int) -> None:
    run_schedule(KilledSchedule, examples=8, steps=12, part=part)


@pytest.mark.long
@pytest.mark.nightly
@pytest.mark.parametrize("part", range(4))
def test_schedule_typed_tables_long_run_warehouse_equals_sandbox(part: int) -> None:
    run_schedule(TypedSchedule, examples=100, steps=40, part=part)
