"""Compacted days alone: a count and a checksum, and what a later listing shows to be missing from them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from source_docextract.core.model import PartitionRef
from source_docextract.state.compaction import CompactedDay, compare_with_days, group_by_day, is_day_over

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=timezone.utc)
DAY_KEY = ("t", "2026-11-20")


def make_refs(names: str) -> list[PartitionRef]:
    return [PartitionRef("t", name, approx_created_at=NOW, fingerprint="1") for name in names]


def compact(refs: list[PartitionRef]) -> CompactedDay:
    day = CompactedDay()
    for ref in refs:
        day.add(ref)
    return day


class TestCompactedDay:
    @given(st.permutations(make_refs("abcde")))
    def test_order_of_the_listing_means_nothing(self, refs: list[PartitionRef]) -> None:
        assert compact(refs) == compact(make_refs("abcde"))
        assert compact(make_refs("abcde")).find_missing(refs) == []

    @given(st.permutations(make_refs("abcdef")))
    def test_one_late_batch_is_identified(self, refs: list[PartitionRef]) -> None:
        *early_refs, late_ref = refs

        assert compact(early_refs).find_missing(refs) == [late_ref]

    @pytest.mark.parametrize(
        "refs",
        [
            make_refs("abcde"),  # two late ones
            make_refs("ab"),  # one less
            make_refs("abx"),  # another one
            make_refs("abxy"),  # another one, and a late one
            [*make_refs("ab"), replace(make_refs("c")[0], fingerprint="2")],  # a changed one
            [],
        ],
    )
    def test_other_differences_cannot_be_identified(self, refs: list[PartitionRef]) -> None:
        assert compact(make_refs("abc")).find_missing(refs) is None


class TestCompareWithDays:
    def test_batch_without_entry_and_day_is_unread(self) -> None:
        refs = make_refs("ab")

        unread_days, mismatched_days = compare_with_days({DAY_KEY: refs}, {}, {refs[0].key})

        assert (unread_days, mismatched_days) == ({refs[1].key: DAY_KEY}, [])

    def test_day_that_adds_up_has_no_unread_batch(self) -> None:
        refs = make_refs("abc")
        compacted_days = {"t": {"2026-11-20": compact(refs[:2])}}

        assert compare_with_days({DAY_KEY: refs}, compacted_days, {refs[2].key}) == ({}, [])
        assert compare_with_days({DAY_KEY: refs}, compacted_days, set()) == ({refs[2].key: DAY_KEY}, [])

    def test_day_that_cannot_be_explained_is_unread_as_a_whole(self) -> None:
        refs = make_refs("abcd")
        compacted_days = {"t": {"2026-11-20": compact(refs[:2])}}

        unread_days, mismatched_days = compare_with_days({DAY_KEY: refs}, compacted_days, set())

        assert unread_days == {ref.key: DAY_KEY for ref in refs}
        assert mismatched_days == [DAY_KEY]
        assert compacted_days == {"t": {"2026-11-20": compact(refs[:2])}}


def test_group_by_day_leaves_out_unknown_creation_times() -> None:
    refs = [*make_refs("ab"), PartitionRef("t", "undated"), replace(make_refs("c")[0], template_id=None)]

    assert group_by_day(refs) == {DAY_KEY: refs[:2], ("", "2026-11-20"): [refs[3]]}


@pytest.mark.parametrize(
    ("day", "is_over"), [("2026-11-17", True), ("2026-11-18", False), ("2026-11-20", False), ("9999-12-31", False)]
)
def test_day_is_over_two_days_after_its_end(day: str, is_over: bool) -> None:
    assert is_day_over(("t", day), NOW) is is_over
    assert is_day_over(("t", day), NOW + timedelta(hours=15)) is (day in {"2026-11-17", "2026-11-18"})
