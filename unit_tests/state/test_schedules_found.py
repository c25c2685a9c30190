"""Schedules in which the random ones have found an error, each in its shortest form."""

from __future__ import annotations

import pytest

from unit_tests.support.memory_schedules import MemorySchedule
from unit_tests.support.schedules import Schedule


@pytest.mark.parametrize("schedule_class", [MemorySchedule, Schedule])
def test_schedule_documents_unknown_for_one_stream_first_batch_row_is_delivered(
    schedule_class: type[Schedule],
) -> None:
    schedule = schedule_class()
    schedule.begin(sees_all_changes=False, short_lookback=0, lookback_checks="thinning", switches={})
    schedule.apply_event((4, "batch"), pick=1, variant=2)
    schedule.sync_with_unknown_ids({"sensible_batches"}, "sensible.document", times=2)
    schedule.sync_streams({"sensible_files", "sensible_results", "sensible_fields"})

    schedule.teardown()
