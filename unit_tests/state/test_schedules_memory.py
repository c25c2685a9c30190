"""The promise of the ledger over many schedules in memory: nothing lost, nothing twice, whatever happens in between."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator

import pytest

from unit_tests.support.memory_schedules import MemorySchedule, TypedMemorySchedule
from unit_tests.support.schedules import run_schedule


@pytest.fixture(autouse=True)
def leak_scanner() -> Iterator[None]:
    """Log nothing, and scan nothing for secrets: that takes as long as the syncs.

    The same schedules over HTTP are scanned. The garbage collector leaves alone what was there before.
    """
    logging.disable(logging.CRITICAL)
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("part", range(2))  # parts may run side by side
def test_memory_schedule_any_events_warehouse_equals_sandbox(part: int) -> None:
    run_schedule(MemorySchedule, examples=50, steps=20, part=part)


def test_memory_schedule_typed_tables_warehouse_equals_sandbox() -> None:
    run_schedule(TypedMemorySchedule, examples=20, steps=20)


@pytest.mark.long
@pytest.mark.parametrize("part", range(16))
def test_memory_schedule_long_run_warehouse_equals_sandbox(part: int) -> None:
    run_schedule(MemorySchedule, examples=250, steps=20, part=part)


@pytest.mark.long
@pytest.mark.parametrize("part", range(2))
def test_memory_schedule_many_steps_warehouse_equals_sandbox(part: int) -> None:
    run_schedule(MemorySchedule, examples=250, steps=50, part=part)


@pytest.mark.long
@pytest.mark.parametrize("part", range(2))
def test_memory_schedule_typed_tables_long_run_warehouse_equals_sandbox(part: int) -> None:
    run_schedule(TypedMemorySchedule, examples=250, steps=30, part=part)
