"""Windows and ranges alone: a list by time read with all sorts of settings, one after the other, and broken off."""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from source_docextract.core.errors import TooManyPages, UnreadableResponse
from source_docextract.core.model import Document, FileStatus, PartitionKey, PartitionRef, PartitionStatus, Snapshot
from source_docextract.core.provider import ChangeDetection, FindStart, Window
from source_docextract.core.time_ranges import BEGINNING, TimeRange, merge_ranges, subtract_ranges
from source_docextract.state.entries import Entry, Listing, SyncPolicy
from source_docextract.state.ledger import Ledger
from source_docextract.state.passes import ListingPass
from source_docextract.state.serialization import StreamState
from source_docextract.state.windows import WindowCursor
from unit_tests.support.cases import each_case
from unit_tests.support.rows import FakeRow

START = datetime(2026, 11, 20, 9, 0, tzinfo=timezone.utc)
TODAY = START.replace(hour=0)
DAY = timedelta(days=1)
DONE_DOCUMENTS = (Document(key="a", status=FileStatus.PROCESSED),)

SPAN_STRATEGY = st.tuples(st.integers(0, 30), st.integers(0, 30))


def make_range(start: int, end: int) -> TimeRange:
    return TimeRange(START + start * DAY, START + end * DAY)


def list_days(spans: Iterable[TimeRange]) -> set[int]:
    return {day for start, end in spans for day in range((start - START).days, (end - START).days)}


class TestRanges:
    @given(st.lists(SPAN_STRATEGY))
    def test_merged_ranges_cover_same_days_without_overlap(self, pairs: list[tuple[int, int]]) -> None:
        ranges = merge_ranges(make_range(*pair) for pair in pairs)

        assert list_days(ranges) == list_days(make_range(*pair) for pair in pairs)
        assert all(time_range.start < time_range.end for time_range in ranges)
        assert all(time_range.end < other.start for time_range, other in itertools.pairwise(ranges))

    @given(SPAN_STRATEGY, st.lists(SPAN_STRATEGY))
    def test_subtracted_ranges_cover_days_in_none_of_the_others(
        self, pair: tuple[int, int], pairs: list[tuple[int, int]]
    ) -> None:
        others = [make_range(*bounds) for bounds in pairs]

        assert list_days(subtract_ranges(make_range(*pair), others)) == list_days([make_range(*pair)]) - list_days(
            others
        )


class FakeList:
    """A list of rows of two templates, and one stream that reads it as its settings say."""

    def __init__(self) -> None:
        self.now = START
        self.rows: dict[str, PartitionRef] = {}
        self.state: dict[str, object] = {}
        self.delivered: Counter[str] = Counter()
        self.pending: set[str] = set()
        self.edits: defaultdict[str, list[datetime]] = defaultdict(list)
        self.delivered_versions: dict[str, int] = {}
        self.windows: list[Window] = []

    def add(self, template: str, created_at: datetime, *, is_pending: bool = False) -> None:
        name = f"{len(self.rows)}"
        self.pending.update([name] if is_pending else [])
        self.rows[name] = PartitionRef(
            template, name, created_at=created_at, approx_created_at=created_at, fingerprint=name
        )

    def sync(
        self,
        scopes: Sequence[str],
        start_date: datetime | None,
        lookback: int = 3,
        stop_after: int | None = None,
        *,
        stop_within: int | None = None,
        looks_every_sync: bool = False,
    ) -> None:
        """Sync, and break off after so many requests, or within the window of one: then its rows are delivered."""
        self.windows.clear()
        rules = SyncPolicy(
            lookback * DAY, give_up_after=3650 * DAY, start_date=start_date, looks_every_sync=looks_every_sync
        )
        stream_state = StreamState(rules, change_detection=ChangeDetection.LISTING).load(
            json.loads(json.dumps(self.state)), "a_stream"
        )
        listing_pass = ListingPass(stream_state.ledger, rules)
        cursor = WindowCursor(deque(scopes), [listing_pass], rules, self.now, lambda scope: [""] if scope else [])
        request_count = 0
        while ask := cursor.get_next_step():
            request_count += 1
            assert request_count < 200, "it does not get on"
            if isinstance(ask, FindStart):
                times = [ref.approx_created_at for ref in self.list_rows(ask.scope) if ref.approx_created_at]
                cursor.set_list_start(min(times, default=None))
                continue
            rows = [
                ref
                for ref in self.list_rows(ask.scope)
                if ref.approx_created_at and ask.start <= ref.approx_created_at < ask.end
            ]
            self.windows.append(ask)
            cursor.record_listing(ask, len(rows))
            if cursor.is_needed(listing_pass.ledger, ask):
                self.read(listing_pass, ask, rows)
            if request_count == stop_within:
                self.state = stream_state.as_json()
                return
            cursor.complete_window(ask)
            self.state = stream_state.as_json()
            if request_count == stop_after:
                return
        for ref in listing_pass.find_unlisted(self.now):
            self.record_snapshot(listing_pass, ref)
        stream_state.ledger.last_complete_sync = self.now
        listing_pass.compact_and_prune(self.now, scopes)
        self.state = stream_state.as_json()

    def read(self, listing_pass: ListingPass, window: Window, rows: Sequence[PartitionRef]) -> None:
        listing = Listing()
        listing.add(
            ref for ref in rows if not listing_pass.is_pruned(ref, ("", ref.template_id or ""), window.time_range)
        )
        for ref in listing_pass.plan(listing, self.now):
            self.record_snapshot(listing_pass, ref)

    def record_snapshot(self, listing_pass: ListingPass, ref: PartitionRef) -> None:
        status = PartitionStatus.OPEN if ref.batch_id in self.pending else PartitionStatus.COMPLETE
        version = len(self.edits[ref.batch_id])
        mark = f"{status.value[:4]}{version:02}"
        self.delivered_versions[ref.batch_id] = version
        decision = listing_pass.decide(Snapshot(ref, status, documents=DONE_DOCUMENTS), self.now)
        listing_pass.record(ref, decision, [mark], self.now)
        if decision.is_new(FakeRow(ref.batch_id, mark)):
            self.delivered[f"{ref.batch_id} {status.value}"] += 1

    def edit(self, name: str) -> None:
        """Edit a row, which its list shows."""
        self.edits[name].append(self.now)
        self.rows[name] = replace(self.rows[name], fingerprint=f"{name} edited {len(self.edits[name])}")

    def finish(self) -> None:
        for name in self.pending:
            self.rows[name] = replace(self.rows[name], fingerprint=f"{name} done")
        self.pending.clear()

    @property
    def delivery_counts(self) -> Counter[str]:
        """How often each row has come complete."""
        complete_counts = {key.split()[0]: count for key, count in self.delivered.items() if key.endswith("complete")}
        return Counter(complete_counts)

    def list_rows(self, scope: str) -> list[PartitionRef]:
        return [ref for ref in self.rows.values() if scope in ("", ref.template_id)]

    def expected_rows(self, scopes: Sequence[str], start_date: datetime | None) -> set[str]:
        return {
            name
            for name, ref in self.rows.items()
            if ref.approx_created_at
            and ("" in scopes or ref.template_id in scopes)
            and (start_date is None or ref.approx_created_at >= start_date)
        }


SCOPES = st.sampled_from([("",), ("a",), ("b",), ("a", "b"), ("b", "a")])
DAYS = st.sampled_from([0.0, 0.05, 0.2, 1, 5, 40])
DATES = st.sampled_from([None, *(START + timedelta(days=days, hours=7, seconds=30) for days in (-60, -9, -2, 0, 4))])


ROWS = st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 90)), max_size=12)

FakeSync = tuple[tuple[str, ...], datetime | None, int, int | None, int | None, float, bool]
"""The scopes, the start date and the lookback of a sync; where it is broken off (after or within the window of so many
requests); the days until the next one; and whether all rows are finished by then."""


def draw_syncs(dates: st.SearchStrategy[datetime | None], *stops: int) -> st.SearchStrategy[list[FakeSync]]:
    """Return a strategy of some syncs, of which some are broken off within one of these windows."""
    stops_after, stops_within = st.sampled_from([None, 1, 2, 5]), st.sampled_from([None, *stops])
    return st.lists(
        st.tuples(SCOPES, dates, st.integers(0, 5), stops_after, stops_within, DAYS, st.booleans()), max_size=7
    )


class TestSettings:
    @settings(max_examples=250, deadline=None)
    @given(ROWS, draw_syncs(DATES), st.booleans())
    def test_any_setting_changes_deliver_each_row_once(
        self, rows: list[tuple[str, float]], syncs: list[FakeSync], looks_every_sync: bool
    ) -> None:
        """Between syncs there are new rows, some are finished only later, and some of the syncs are broken off."""
        self.check_history(rows, syncs, looks_every_sync=looks_every_sync)

    @settings(max_examples=100, deadline=None)
    @given(ROWS, draw_syncs(st.none(), 1, 2, 3), st.booleans())
    def test_any_filters_and_kills_within_windows_deliver_each_row_once(
        self, rows: list[tuple[str, float]], syncs: list[FakeSync], looks_every_sync: bool
    ) -> None:
        self.check_history(rows, syncs, looks_every_sync=looks_every_sync)

    def check_history(self, rows: list[tuple[str, float]], syncs: list[FakeSync], *, looks_every_sync: bool) -> None:
        world = FakeList()
        for template, age in rows:
            world.add(template, START - age * DAY)
        for scopes, start_date, lookback, stop_after, stop_within, days, is_finished in syncs:
            world.sync(
                scopes,
                start_date,
                lookback,
                stop_after,
                stop_within=stop_within,
                looks_every_sync=looks_every_sync,
            )
            if stop_after is None and stop_within is None:
                assert world.expected_rows(scopes, start_date) <= {key.split()[0] for key in world.delivered}
            world.now += days * DAY
            for template in "ab":
                world.add(template, world.now, is_pending=not is_finished)
            if is_finished:
                world.finish()
        world.finish()
        for _ in range(2):  # what is open and still listed is asked for by the second
            world.sync(("",), None)

        assert world.delivery_counts == Counter(world.rows.keys())
        assert max(world.delivered.values(), default=1) == 1

    def test_earlier_start_date_is_read_back_to_new_start(self) -> None:
        world = FakeList()
        for age in range(30):
            world.add("a", START - age * DAY)
        world.sync(("",), START - 9.5 * DAY)
        assert len(world.delivered) == 10

        world.sync(("",), START - 19.5 * DAY, stop_after=2)
        world.sync(("",), START - 19.5 * DAY)

        assert world.delivery_counts == Counter(f"{age}" for age in range(20))

    def test_rows_before_gap_with_empty_windows_are_delivered_once(self) -> None:
        world = FakeList()
        world.add("a", START)
        world.sync(("",), None, lookback=0)
        world.now += 40 * DAY
        world.add("a", world.now)
        world.sync(("",), datetime(2026, 11, 24, 16, 0, 30, tzinfo=timezone.utc), lookback=0)

        world.sync(("",), None, lookback=0)

        assert world.delivery_counts == Counter(["0", "1"])
        assert max(world.delivered.values()) == 1

    @each_case(("start_date", "stop_within"), [(START, None), (START - DAY, 2)])
    def test_rows_delivered_before_anything_counts_as_read_come_once_after_a_change_of_filters(
        self, start_date: datetime | None, stop_within: int | None
    ) -> None:
        world = FakeList()
        for template in "ab":
            world.add(template, START)
        world.sync(("",), start_date, lookback=0, stop_within=stop_within)
        assert world.delivery_counts == Counter("01")
        assert world.state["read_ranges"] == {"": []}

        world.sync(("a",), None, lookback=0)
        world.sync(("",), None, lookback=0)

        assert world.delivery_counts == Counter("01")
        assert max(world.delivered.values()) == 1

    def test_start_date_in_future_keeps_read_ranges(self) -> None:
        world = FakeList()
        world.add("a", START)
        world.sync(("",), None, lookback=0)
        world.now += DAY
        for _ in range(2):
            world.sync(("",), START + 4.3 * DAY, lookback=0)

        world.sync(("",), None, lookback=0)

        assert world.delivery_counts == Counter("0")

    def test_state_of_version_2_counts_as_read_from_current_start_date(self) -> None:
        world = FakeList()
        for age in range(30):
            world.add("a", START - age * DAY)
        world.state = {"version": 2, "until": {"": "2026-11-20T00:00Z"}}
        world.sync(("",), START - 9.5 * DAY, lookback=0)
        assert world.delivery_counts == Counter("0")
        assert world.state["read_ranges"] == {"": ["2026-11-10T21:00Z/2026-11-20T00:00Z"]}

        world.sync(("",), START - 19.5 * DAY, lookback=0)

        assert world.delivery_counts == Counter(["0", *(f"{age}" for age in range(10, 20))])


class TestLooks:
    """The days of the lookback are listed ever more seldom (`lookback_checks`)."""

    def list_hours(self, world: FakeList, **options: bool) -> list[int]:
        """The hours of a day at which an hourly sync lists days before it."""
        hours = []
        for _ in range(24):
            world.now += timedelta(hours=1)
            world.sync(("",), None, **options)
            today = world.now.replace(hour=0, minute=0)
            if world.windows[0].start < today:
                hours.append(world.now.hour)
            assert world.windows[-1].end == today + DAY
        return sorted(hours)

    def test_settled_days_are_listed_as_their_age_doubles(self) -> None:
        world = FakeList()
        for age in (0.1, 1, 2, 3):
            world.add("a", START - age * DAY)
        world.sync(("",), None)

        # At midnight yesterday is not over yet: its last rows may be listed a little late.
        assert self.list_hours(world) == [0, 1, 2, 4, 8, 16]
        assert self.list_hours(world, looks_every_sync=True) == [*range(24)]

    def test_unfinished_row_of_an_earlier_day_keeps_the_lookback_listed(self) -> None:
        world = FakeList()
        world.add("a", START - DAY, is_pending=True)
        world.now -= 12 * timedelta(hours=1)
        world.sync(("",), None)

        # Until 23:00 the day of the row is not over, so it is listed anyway.
        assert self.list_hours(world) == [*range(22)]

    def test_row_that_settles_on_a_later_day_is_looked_at_from_then_on(self) -> None:
        world = FakeList()
        world.add("a", START - DAY, is_pending=True)
        world.now -= 12 * timedelta(hours=1)
        world.sync(("",), None)
        world.now = START + timedelta(hours=1)
        world.finish()
        world.sync(("",), None)

        # 9 hours of day: settled at 10:00, so listed at 11:00, 12:00, 14:00 and 18:00.
        assert [hour for hour in self.list_hours(world) if hour > 10] == [11, 12, 14, 18]

    def test_row_listed_late_arrives_at_the_next_look(self) -> None:
        world = FakeList()
        world.add("a", START - DAY)
        world.sync(("",), None)
        world.add("a", START - 1.5 * DAY)
        world.now += timedelta(hours=7)
        world.sync(("",), None)

        assert world.delivery_counts == Counter(["0", "1"])

    @settings(max_examples=150, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from([10, 60, 61, 180, 720, 1440, 4000]),
                st.sampled_from([None, None, 1]),
                st.booleans(),
                st.booleans(),
                st.lists(st.integers(0, 20), max_size=2),
            ),
            max_size=16,
        )
    )
    def test_edits_over_any_syncs_arrive_by_twice_their_age(
        self, syncs: list[tuple[int, int | None, bool, bool, list[int]]]
    ) -> None:
        world = FakeList()
        for age in (0.1, 0.5, 1, 2):
            world.add("a", START - age * DAY)
        for minutes, stop_after, is_pending, is_finishing, edited_rows in syncs:
            world.now += timedelta(minutes=minutes / 2)
            world.add("a", world.now, is_pending=is_pending)
            for number in edited_rows:
                name = f"{number % len(world.rows)}"
                if name not in world.pending:
                    world.edit(name)
            if is_finishing:
                world.finish()
            world.now += timedelta(minutes=minutes / 2)
            world.sync(("",), None, stop_after=stop_after)
            if stop_after is None:
                self.check_edits(world)

    def check_edits(self, world: FakeList) -> None:
        for name, ref in world.rows.items():
            assert ref.approx_created_at is not None
            for number, edited_at in enumerate(world.edits[name], start=1):
                # Counted from its creation, which is not after it settled; times in the state are in minutes.
                age = edited_at - ref.approx_created_at
                is_due = edited_at + max(age, timedelta(hours=1)) + timedelta(minutes=1) <= world.now
                if is_due and age < 3 * DAY:
                    assert world.delivered_versions.get(name, -1) >= number, (name, age, world.now - edited_at)


def make_cursor(*ledgers: Ledger, scopes: Sequence[str] = ("",), **fields: Any) -> WindowCursor:
    """Return a cursor over the list of some ledgers; the scope `wide` contains the scope `narrow`."""
    policy = SyncPolicy(**fields)
    passes = [ListingPass(ledger, policy) for ledger in ledgers]
    return WindowCursor(deque(scopes), passes, policy, START, lambda scope: ["wide"] if scope == "narrow" else [])


class TestCursor:
    """The windows of one sync, step by step."""

    def make_cursor(self, *ledgers: Ledger, days: int | None = None) -> WindowCursor:
        """Return a cursor without lookback, from `days` before today on, or from the oldest row."""
        return make_cursor(*ledgers, lookback=0 * DAY, start_date=None if days is None else TODAY - days * DAY)

    def take_window(self, cursor: WindowCursor) -> Window:
        window = cursor.get_next_step()
        assert isinstance(window, Window)
        return window

    def test_time_before_the_oldest_row_counts_as_read_where_it_was_not(self) -> None:
        read_until = TimeRange(BEGINNING, TODAY - 9 * DAY)
        new_ledger, old_ledger = Ledger(), Ledger(read_ranges={"": [read_until]})
        cursor = self.make_cursor(new_ledger, old_ledger)
        assert cursor.get_next_step() == FindStart("")

        cursor.set_list_start(START - 4 * DAY)

        assert new_ledger.read_ranges == {"": [TimeRange(BEGINNING, TODAY - 4 * DAY)]}
        assert old_ledger.read_ranges == {"": [read_until]}
        assert self.take_window(cursor).start == TODAY - 4 * DAY

    def test_oldest_row_of_the_future_makes_the_list_begin_today(self) -> None:
        ledger = Ledger()
        cursor = self.make_cursor(ledger)

        cursor.set_list_start(START + 400 * DAY)

        assert ledger.read_ranges == {"": [TimeRange(BEGINNING, TODAY)]}
        assert self.take_window(cursor) == Window("", TODAY, TODAY + DAY)

    @each_case("row_count", [0, 1])
    def test_empty_list_counts_as_read_once_it_shows_a_row(self, row_count: int) -> None:
        ledger = Ledger()
        cursor = self.make_cursor(ledger)

        cursor.set_list_start(None)
        window = self.take_window(cursor)
        cursor.record_listing(window, row_count)
        cursor.complete_window(window)

        assert window == Window("", TODAY, TODAY + DAY)
        assert ledger.read_ranges.get("", []) == [TimeRange(BEGINNING, TODAY)] * row_count

    def test_empty_windows_count_as_read_once_a_row_follows(self) -> None:
        ledger = Ledger()
        cursor = self.make_cursor(ledger, days=9)
        for row_count, end in [(0, None), (0, None), (1, -2)]:
            window = self.take_window(cursor)
            cursor.record_listing(window, row_count)
            cursor.complete_window(window)
            expected = [] if end is None else [TimeRange(TODAY - 9 * DAY, TODAY + end * DAY)]
            assert ledger.read_ranges.get("", []) == expected

    @each_case(
        ("row_counts", "days"),
        [
            ([0], 2),
            ([499], 2),
            ([500], 1),
            ([0, 0, 0], 8),
            ([0, 0, 500], 4),
            ([0, 0, 1500], 4),
            ([0, 0, 1501], 2),
            ([0, 0, 9000, 9000, 9000], 1),
        ],
    )
    def test_windows_grow_while_they_hold_few_rows_and_shrink_when_they_hold_many(
        self, row_counts: list[int], days: int
    ) -> None:
        cursor = self.make_cursor(Ledger(), days=400)
        for row_count in row_counts:
            cursor.record_listing(self.take_window(cursor), row_count)

        window = self.take_window(cursor)
        assert window.end - window.start == days * DAY

    def test_window_is_no_longer_than_512_days(self) -> None:
        cursor, spans = self.make_cursor(Ledger(), days=9000), []
        for _ in range(12):
            window = self.take_window(cursor)
            spans.append((window.end - window.start).days)
            cursor.record_listing(window, 0)

        assert spans == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 512, 512]

    @each_case(
        ("start", "end", "is_needed_by_read", "is_needed_by_new"),
        [
            (-30, -21, False, False),
            (-30, -20, False, False),
            (-21, -19, False, True),
            (-11, -10, False, True),
            (-10, -9, True, True),
            (-1, 0, True, True),
            (0, 1, True, True),
            (1, 2, False, False),
        ],
    )
    def test_window_is_needed_by_ledgers_that_have_not_read_it(
        self, start: int, end: int, is_needed_by_read: bool, is_needed_by_new: bool
    ) -> None:
        read_ledger = Ledger(read_ranges={"": [TimeRange(BEGINNING, TODAY - 10 * DAY)]})
        new_ledger = Ledger()
        cursor = self.make_cursor(read_ledger, new_ledger, days=20)
        window = Window("", TODAY + start * DAY, TODAY + end * DAY)

        assert cursor.is_needed(read_ledger, window) is is_needed_by_read
        assert cursor.is_needed(new_ledger, window) is is_needed_by_new


class TestNeededDays:
    """The days that a sync lists, as days from today on."""

    READ = TimeRange(BEGINNING, TODAY)

    def list_days(self, *ledgers: Ledger, scopes: Sequence[str] = ("",), **fields: Any) -> list[tuple[str, int, int]]:
        """Return the scope, the start and the end of each window, while all of them are empty."""
        cursor, windows = make_cursor(*ledgers, scopes=scopes, **fields), []
        while isinstance(window := cursor.get_next_step(), Window):
            windows.append((window.scope, (window.start - TODAY).days, (window.end - TODAY).days))
            cursor.record_listing(window, 0)
        assert window is None
        return windows

    def make_ledger(self, *scopes: str, days: int = 0, **fields: Any) -> Ledger:
        """Return a ledger that has read some scopes until `days` before today."""
        return Ledger(read_ranges={scope: [TimeRange(BEGINNING, TODAY - days * DAY)] for scope in scopes}, **fields)

    def test_first_sync_lists_growing_windows_from_the_start_date_on(self) -> None:
        windows = self.list_days(Ledger(), start_date=TODAY - 9 * DAY)

        assert windows == [("", -9, -8), ("", -8, -6), ("", -6, -2), ("", -2, 1)]

    def test_next_sync_lists_all_since_the_last_one_and_the_lookback_at_once(self) -> None:
        assert self.list_days(self.make_ledger("", days=9)) == [("", -9, 1)]
        assert self.list_days(self.make_ledger("")) == [("", -3, 1)]
        assert self.list_days(self.make_ledger(""), lookback=0 * DAY) == [("", 0, 1)]

    def test_window_of_many_rows_is_halved_to_whole_days(self) -> None:
        cursor, spans = make_cursor(self.make_ledger("", days=90)), []
        while isinstance(window := cursor.get_next_step(), Window):
            spans.append((window.end - window.start) / DAY)
            cursor.record_listing(window, 1501)

        assert spans[:7] == [35, 17, 8, 4, 2, 1, 1]

    def test_unread_range_of_long_ago_is_listed_in_growing_windows(self) -> None:
        ledger = Ledger(
            read_ranges={"": [TimeRange(BEGINNING, TODAY - 30 * DAY), self.READ._replace(start=TODAY - 25 * DAY)]}
        )

        assert self.list_days(ledger) == [("", -30, -29), ("", -29, -27), ("", -27, -25), ("", -3, 1)]

    def test_window_ends_where_one_of_the_ledgers_begins_to_need_it(self) -> None:
        windows = self.list_days(self.make_ledger("", days=8), Ledger(), start_date=TODAY - 12 * DAY)

        assert windows == [("", -12, -11), ("", -11, -9), ("", -9, -8), ("", -8, 0), ("", 0, 1)]

    def test_scope_that_is_new_is_read_from_the_start_and_the_others_go_on(self) -> None:
        ledger = self.make_ledger("old", days=1)

        windows = self.list_days(ledger, scopes=["new", "old"], start_date=TODAY - 3 * DAY)

        assert windows == [("new", -3, -2), ("new", -2, 0), ("new", 0, 1), ("old", -3, 1)]

    def test_range_that_a_wider_scope_has_read_is_not_read_again(self) -> None:
        assert self.list_days(self.make_ledger("wide", days=5), scopes=["narrow"]) == [("narrow", -5, 1)]
        assert self.list_days(self.make_ledger("narrow", "wide", days=5), scopes=["narrow"]) == [("narrow", -5, 1)]
        ledger = Ledger(
            read_ranges={
                "narrow": [TimeRange(BEGINNING, TODAY - 9 * DAY)],
                "wide": [TimeRange(TODAY - 9 * DAY, TODAY - 5 * DAY)],
            }
        )
        assert self.list_days(ledger, scopes=["narrow"]) == [("narrow", -5, 1)]

    @each_case(
        ("has_read", "has_entry", "first_day"),
        [(False, False, -1), (False, True, -3), (True, False, -3), (True, True, -3)],
    )
    def test_lookback_before_the_start_date_is_listed_for_what_was_delivered(
        self, has_read: bool, has_entry: bool, first_day: int
    ) -> None:
        ledger = self.make_ledger(*[""] * has_read)
        ledger.entries = {PartitionKey("", "a"): Entry(START - 2 * DAY)} if has_entry else {}

        [(_, start, _), *_] = self.list_days(ledger, start_date=TODAY - DAY)

        assert start == first_day

    @each_case(
        ("fields", "policy_fields", "first_day"),
        [
            ({}, {}, 0),
            ({"last_complete_sync": START}, {}, 0),
            ({"last_complete_sync": START + timedelta(minutes=1)}, {}, -3),  # the clock was set back
            ({"last_complete_sync": None}, {}, -3),
            ({}, {"looks_every_sync": True}, -3),
            ({"last_complete_sync": START - timedelta(hours=1, minutes=1)}, {}, -3),  # before the look of 8:00
            ({"last_complete_sync": START - timedelta(hours=1)}, {}, 0),
            ({"inactive_scopes": {"gone"}}, {}, -3),
            # It settled late: its look after an hour is due, and then that after two hours is not.
            ({"late_settled_at": START - timedelta(minutes=65)}, {}, -3),
            ({"late_settled_at": START - timedelta(minutes=80)}, {}, 0),
            ({"late_settled_at": START}, {}, 0),
            ({"late_settled_at": START + timedelta(minutes=1)}, {}, -3),
        ],
    )
    def test_lookback_is_skipped_between_its_looks(
        self, fields: dict[str, Any], policy_fields: dict[str, Any], first_day: int
    ) -> None:
        ledger = self.make_ledger("", **{"last_complete_sync": START - timedelta(minutes=10), **fields})

        assert self.list_days(ledger, **policy_fields) == [("", first_day, 1)]

    @each_case(("hours", "first_day"), [(-72.01, 0), (-72, -3), (0, -3), (3.99, -3), (4, 0), (8, 0)])
    def test_lookback_is_not_skipped_while_an_earlier_day_has_an_open_document(
        self, hours: float, first_day: int
    ) -> None:
        ledger = self.make_ledger("", last_complete_sync=START - timedelta(minutes=10))
        ledger.entries[PartitionKey("", "a")] = Entry(TODAY + timedelta(hours=hours))

        assert self.list_days(ledger) == [("", first_day, 1)]

    @each_case(("last_sync_hours", "first_day"), [(-23.5, -5), (-22.5, -4), (0.5, -4), (1.5, -3)])
    def test_day_that_has_left_the_lookback_since_the_last_sync_is_listed_a_last_time(
        self, last_sync_hours: float, first_day: int
    ) -> None:
        ledger = self.make_ledger("", last_complete_sync=TODAY + timedelta(hours=last_sync_hours))

        assert self.list_days(ledger) == [("", first_day, 1)]

    def test_sync_without_lookback_skips_none(self) -> None:
        ledger = self.make_ledger("", last_complete_sync=START - timedelta(minutes=10))

        [listing_pass] = make_cursor(ledger, lookback=0 * DAY).passes

        assert not listing_pass.skips_lookback

    def test_ranges_of_a_clock_that_was_ahead_are_not_trusted_within_the_lookback(self) -> None:
        ledger = self.make_ledger("", days=-9, pruned_before={"": TODAY + 9 * DAY})

        [listing_pass] = make_cursor(ledger).passes

        ref = PartitionRef("", "a", approx_created_at=START - 2 * DAY)
        old_ref = PartitionRef("", "b", approx_created_at=START - 4 * DAY)
        assert not listing_pass.is_pruned(ref, [""], self.READ)
        assert listing_pass.is_pruned(old_ref, [""], self.READ)


class TestFailures:
    def make_cursor(self, days: int = 0) -> tuple[ListingPass, WindowCursor]:
        """Of a list that was read until `days` ago."""
        listing_pass = ListingPass(Ledger(), SyncPolicy())
        if days:
            read = TimeRange(BEGINNING, START - days * DAY)
            listing_pass.advance_watermark("", read, read, START - 3 * DAY)
        policy = SyncPolicy(3 * DAY, start_date=None if days else START - 5 * DAY)
        return listing_pass, WindowCursor(deque(["", "other"]), [listing_pass], policy, START)

    def test_unreadable_window_is_retried_by_day_and_only_failing_day_is_skipped(self) -> None:
        listing_pass, cursor = self.make_cursor(10)
        bad = datetime(2026, 11, 12, tzinfo=timezone.utc)
        while isinstance(ask := cursor.get_next_step(), Window) and ask.scope == "":
            if ask.start <= bad < ask.end:
                is_again = cursor.handle_failure(ask, UnreadableResponse("It cannot be read."))
                assert is_again is (ask.end - ask.start > DAY)
            else:
                cursor.record_listing(ask, 1)
                cursor.complete_window(ask)

        assert ask == FindStart("other")
        assert listing_pass.ledger.read_ranges[""] == [TimeRange(BEGINNING, bad), TimeRange(bad + DAY, TODAY)]
        assert WindowCursor(deque([""]), [listing_pass], SyncPolicy(3 * DAY), START).get_next_step() == Window(
            "", bad, bad + DAY
        )

    def test_endless_lists_skip_rest_of_each_scope(self) -> None:
        _, cursor = self.make_cursor()
        scopes = []
        while isinstance(ask := cursor.get_next_step(), Window):
            scopes.append(ask.scope)
            cursor.handle_failure(ask, TooManyPages("It goes on."))

        assert scopes == [""] * 3 + ["other"] * 3

    @each_case("error", [OSError("down")])
    def test_other_error_skips_rest_of_scope(self, error: Exception) -> None:
        _, cursor = self.make_cursor()

        assert cursor.handle_failure(cursor.get_next_step(), error) is False

        ask = cursor.get_next_step()
        assert ask is not None
        assert ask.scope == "other"

    @each_case(("row_count", "ahead_count", "days"), [(0, 0, 2), (0, 499, 2), (0, 500, 1), (499, 1, 1), (100, 9000, 1)])
    def test_window_before_a_full_day_makes_the_next_one_no_longer(
        self, row_count: int, ahead_count: int, days: int
    ) -> None:
        _, cursor = self.make_cursor()
        first = cursor.get_next_step()
        assert isinstance(first, Window)

        cursor.record_listing(first, row_count, ahead_count)

        window = cursor.get_next_step()
        assert isinstance(window, Window)
        assert window.end - window.start == days * DAY

    def test_window_with_unreadable_rows_is_read_again_alone(self) -> None:
        listing_pass, cursor = self.make_cursor()
        first, *other_windows = _read_windows(cursor)
        cursor.unreadable_windows.add(first)
        for window in (first, *other_windows):
            cursor.complete_window(window)

        policy = SyncPolicy(0 * DAY, start_date=START - 5 * DAY)
        second_windows = _read_windows(WindowCursor(deque([""]), [listing_pass], policy, START))

        assert [window.start for window in second_windows] == [first.start, START.replace(hour=0)]


def _read_windows(cursor: WindowCursor) -> list[Window]:
    windows = []
    while isinstance(ask := cursor.get_next_step(), Window) and ask.scope == "":
        windows.append(ask)
        cursor.record_listing(ask, 1000)
    return windows
