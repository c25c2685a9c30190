"""The user's policy: when an entry is overdue, looked at, given up and forgotten; and listings with repetitions."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from source_docextract.core.model import PartitionRef
from source_docextract.state.entries import Entry, EntryState, Listing, SyncPolicy, age_sort_key
from unit_tests.support.cases import each_case

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=timezone.utc)
DAY = timedelta(days=1)
POLICY = SyncPolicy(lookback=3 * DAY, give_up_after=30 * DAY)
REF = PartitionRef("t", "b", created_at=NOW - DAY, approx_created_at=NOW - DAY)


def make_entry(state: EntryState, days: float, missing_days: float | None = None) -> Entry:
    missing_since = None if missing_days is None else NOW - missing_days * DAY
    return Entry(NOW - days * DAY, state, missing_since=missing_since, missing_checked_at=missing_since)


@pytest.mark.parametrize("lookback", [None, 0 * DAY, 9 * DAY])
def test_lookback_of_a_product_takes_the_place_of_the_settings(lookback: timedelta | None) -> None:
    assert POLICY.with_lookback(lookback) == replace(POLICY, lookback=3 * DAY if lookback is None else lookback)


@pytest.mark.parametrize(("lookback", "retention"), [(0, 2), (2, 2), (3, 3)])
def test_settled_partition_is_remembered_for_two_days_or_the_lookback(lookback: int, retention: int) -> None:
    assert SyncPolicy(lookback=lookback * DAY).retention == retention * DAY


@each_case(
    ("ref", "is_in_range"),
    [
        (REF, False),
        (replace(REF, created_at=NOW), True),
        (replace(REF, created_at=None), True),  # only the approximate time is known
        (replace(REF, is_explicit=True), True),
    ],
)
def test_start_date_excludes_what_was_listed_and_created_before_it(ref: PartitionRef, is_in_range: bool) -> None:
    assert replace(POLICY, start_date=NOW).is_in_range(ref) is is_in_range
    assert POLICY.is_in_range(ref)


def test_partition_that_the_filter_leaves_out_is_in_no_range() -> None:
    policy = replace(POLICY, partition_filter=lambda ref: ref.batch_id == "b")

    assert policy.is_relevant(REF)
    assert policy.is_in_range(REF)
    other_ref = replace(REF, batch_id="other", is_explicit=True)
    assert not policy.is_relevant(other_ref)
    assert not policy.is_in_range(other_ref)


@each_case(
    ("state", "days", "is_overdue"),
    [(EntryState.OPEN, 30, False), (EntryState.OPEN, 30.01, True), (EntryState.STALLED, 40, False)],
)
def test_only_an_open_partition_is_overdue(state: EntryState, days: float, is_overdue: bool) -> None:
    assert POLICY.is_overdue(make_entry(state, days), NOW) is is_overdue


@each_case(
    ("state", "days", "missing_days", "is_removable"),
    [
        (EntryState.SETTLED, 2.99, None, False),
        (EntryState.SETTLED, 3, None, True),
        (EntryState.OPEN, 400, None, False),
        (EntryState.UNREAD, 400, None, False),
        (EntryState.STALLED, 0, None, True),
        (EntryState.STALLED, 40, 30, False),
        (EntryState.STALLED, 40, 30.01, True),
        (EntryState.MISSING, 30, 30, False),
        (EntryState.MISSING, 31, 31, True),
        (EntryState.PARTLY_MISSING, 40, 30, False),
        (EntryState.PARTLY_MISSING, 40, 31, True),
        (EntryState.PARTLY_MISSING, 1, 31, False),
    ],
)
def test_partition_of_which_no_change_is_expected_is_removable(
    state: EntryState, days: float, missing_days: float | None, is_removable: bool
) -> None:
    assert POLICY.is_removable(make_entry(state, days, missing_days), NOW) is is_removable


@each_case(
    ("state", "days", "last_sync", "is_due"),
    [
        (EntryState.SETTLED, 1, -1, True),
        (EntryState.SETTLED, 1, -0.1, False),
        (EntryState.SETTLED, 2.99, None, True),  # an older state does not know it
        (EntryState.SETTLED, 3, None, False),
        (EntryState.SETTLED, 2.99, 1, True),  # the clock was set back
        (EntryState.SETTLED, 2.99, 0, False),
        (EntryState.PARTLY_MISSING, 1, -1, True),
        (EntryState.STALLED, 1, -1, False),
        (EntryState.OPEN, 1, None, False),
    ],
)
def test_look_is_due_at_settled_partitions_within_the_lookback(
    state: EntryState, days: float, last_sync: float | None, is_due: bool
) -> None:
    last_complete_sync = None if last_sync is None else NOW + last_sync * DAY
    assert POLICY.is_look_due(make_entry(state, days), last_complete_sync, NOW) is is_due


@pytest.mark.parametrize(("days", "is_due"), [(2.99, True), (3, False)])
def test_look_is_due_at_every_sync_of_the_lookback_if_the_user_says_so(days: float, is_due: bool) -> None:
    policy = replace(POLICY, looks_every_sync=True)
    assert policy.is_look_due(make_entry(EntryState.SETTLED, days), NOW, NOW) is is_due


@each_case(
    ("missing_days", "checked_days", "is_due"),
    [(None, None, False), (0.5, 0, True), (1.5, 0.5, False), (2, 0.5, True), (2, None, True), (31, 30, False)],
)
def test_missing_partition_is_retried_until_it_is_given_up(
    missing_days: float | None, checked_days: float | None, is_due: bool
) -> None:
    entry = make_entry(EntryState.MISSING, 40, missing_days)
    entry.missing_checked_at = None if checked_days is None else NOW - checked_days * DAY

    assert POLICY.is_missing_retry_due(entry, NOW) is is_due


@each_case(
    ("days", "is_repeatable", "is_recent"),
    [
        (None, True, False),
        (2.99, False, True),
        (3, False, False),
        (3, True, True),
        (29.99, True, True),
        (30, True, False),
    ],
)
def test_reference_may_repeat_within_the_lookback_or_while_it_is_waited_for(
    days: float | None, is_repeatable: bool, is_recent: bool
) -> None:
    entry = make_entry(EntryState.SETTLED, 40)
    entry.last_referenced_at = None if days is None else NOW - days * DAY

    assert POLICY.is_recently_referenced(entry, NOW, is_repeatable=is_repeatable) is is_recent
    if not is_repeatable:
        assert POLICY.is_recently_referenced(entry, NOW) is is_recent


def test_listing_merges_what_is_named_twice() -> None:
    listing, other_ref = Listing(), replace(REF, batch_id="other")
    named_ref = PartitionRef("t", "b", is_explicit=True, expected_files=3)

    listing.add([REF, other_ref])
    listing.add([named_ref])

    assert listing.refs == {REF.key: REF.merge(named_ref), other_ref.key: other_ref}


def test_oldest_partitions_come_first_and_undated_ones_last() -> None:
    refs = [
        PartitionRef("t", "a"),
        replace(REF, batch_id="new", approx_created_at=NOW),
        REF,
        replace(REF, batch_id="a"),
    ]

    assert [ref.batch_id for ref in sorted(refs, key=age_sort_key)] == ["a", "b", "new", "a"]
