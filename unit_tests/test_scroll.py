"""Windows and ranges alone: a list by time read with all sorts of settings, one after the other, and broken off."""

from __future__ import annotations

import itertools
import json
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from source_docextract.entries import Listing, Rules, Watch
from source_docextract.errors import BadAnswer, TooManyPages
from source_docextract.ledger import Book
from source_docextract.model import BatchRef, BatchStatus, Document, FileStatus, Snapshot
from source_docextract.ranges import BEGINNING, Range, united, without
from source_docextract.scroll import Oldest, Scroll, Window
from source_docextract.state import Ledger

START = datetime(2026, 11, 20, 9, 0, tzinfo=timezone.utc)
DAY = timedelta(days=1)
DONE = (Document(key="a", status=FileStatus.PROCESSED),)

SPANS = st.tuples(st.integers(0, 30), st.integers(0, 30))


def span(start: int, end: int) -> Range:
    return Range(START + start * DAY, START + end * DAY)


def days_of(spans: Iterable[Range]) -> set[int]:
    return {day for start, end in spans for day in range((start - START).days, (end - START).days)}


class TestRanges:
    @given(st.lists(SPANS))
    def test_united_has_the_same_moments_in_few_ranges(self, pairs: list[tuple[int, int]]) -> None:
        found = united(span(*pair) for pair in pairs)

        assert days_of(found) == days_of(span(*pair) for pair in pairs)
        assert all(one.start < one.end for one in found)
        assert all(one.end < other.start for one, other in itertools.pairwise(found))

    @given(SPANS, st.lists(SPANS))
    def test_without_has_what_is_in_none_of_the_others(
        self, pair: tuple[int, int], pairs: list[tuple[int, int]]
    ) -> None:
        others = [span(*one) for one in pairs]

        assert days_of(without(span(*pair), others)) == days_of([span(*pair)]) - days_of(others)


class World:
    """A list of rows of two templates, and one stream that reads it as its settings say."""

    def __init__(self) -> None:
        self.now = START
        self.rows: dict[str, BatchRef] = {}
        self.state: dict[str, object] = {}
        self.delivered: Counter[str] = Counter()
        self.pending: set[str] = set()

    def add(self, template: str, when: datetime, *, is_pending: bool = False) -> None:
        name = f"{len(self.rows)}"
        self.pending.update([name] if is_pending else [])
        self.rows[name] = BatchRef(template, name, created_at=when, clock=when, fingerprint=name)

    def sync(
        self, scopes: Sequence[str], start_date: datetime | None, lookback: int = 3, stop_after: int | None = None
    ) -> None:
        rules = Rules(lookback * DAY, give_up_after=3650 * DAY, start_date=start_date)
        ledger = Ledger(rules, watch=Watch.LIST).load(json.loads(json.dumps(self.state)), "a_stream")
        book = ledger.batches
        scroll = Scroll(
            deque(scopes), [book], rules.lookback, start_date, self.now, lambda scope: [""] if scope else []
        )
        asked = 0
        while ask := scroll.next():
            asked += 1
            assert asked < 200, "it does not get on"
            if isinstance(ask, Oldest):
                times = [ref.clock for ref in self.listed(ask.scope) if ref.clock]
                scroll.begin(min(times, default=None))
                continue
            rows = [ref for ref in self.listed(ask.scope) if ref.clock and ask.start <= ref.clock < ask.end]
            scroll.listed(ask, len(rows))
            if scroll.is_for(book, ask):
                self.read(book, ask, rows)
            scroll.done(ask)
            self.state = ledger.as_json()
            if asked == stop_after:
                return
        for ref in book.unlisted(self.now):
            self.settle(book, ref)
        book.close(self.now, scopes)
        self.state = ledger.as_json()

    def read(self, book: Book, window: Window, rows: Sequence[BatchRef]) -> None:
        listing = Listing()
        listing.add(ref for ref in rows if not book.is_past(ref, ("", ref.template_id or ""), window.span))
        for ref in book.plan(listing, self.now)[0]:
            self.settle(book, ref)

    def settle(self, book: Book, ref: BatchRef) -> None:
        status = BatchStatus.OPEN if ref.batch_id in self.pending else BatchStatus.COMPLETE
        mark = f"{status.value:.6}"
        if mark not in book.settle(Snapshot(ref, status, documents=DONE), [mark], self.now):
            self.delivered[f"{ref.batch_id} {status.value}"] += 1

    def finish(self) -> None:
        for name in self.pending:
            self.rows[name] = replace(self.rows[name], fingerprint=f"{name} done")
        self.pending.clear()

    @property
    def came(self) -> Counter[str]:
        """How often each row has come complete."""
        done = {key.split()[0]: count for key, count in self.delivered.items() if key.endswith("complete")}
        return Counter(done)

    def listed(self, scope: str) -> list[BatchRef]:
        return [ref for ref in self.rows.values() if scope in ("", ref.template_id)]

    def wanted(self, scopes: Sequence[str], start_date: datetime | None) -> set[str]:
        return {
            name
            for name, ref in self.rows.items()
            if ref.clock
            and ("" in scopes or ref.template_id in scopes)
            and (start_date is None or ref.clock >= start_date)
        }


SCOPES = st.sampled_from([("",), ("a",), ("b",), ("a", "b"), ("b", "a")])
DAYS = st.sampled_from([0.0, 0.2, 1, 5, 40])
DATES = st.sampled_from([None, *(START + timedelta(days=days, hours=7, seconds=30) for days in (-60, -9, -2, 0, 4))])


class TestSettings:
    @settings(max_examples=300, deadline=None)
    @given(
        st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 90)), max_size=12),
        st.lists(
            st.tuples(SCOPES, DATES, st.integers(0, 5), st.sampled_from([None, 1, 2, 5]), DAYS, st.booleans()),
            max_size=7,
        ),
    )
    def test_whatever_is_asked_for_comes_once_however_settings_change(
        self,
        rows: list[tuple[str, float]],
        syncs: list[tuple[tuple[str, ...], datetime | None, int, int | None, float, bool]],
    ) -> None:
        """Between syncs there are new rows, some are finished only later, and some of the syncs are broken off."""
        world = World()
        for template, age in rows:
            world.add(template, START - age * DAY)
        for scopes, start_date, lookback, stop_after, days, is_finished in syncs:
            world.sync(scopes, start_date, lookback, stop_after)
            if stop_after is None:
                assert world.wanted(scopes, start_date) <= {key.split()[0] for key in world.delivered}
            world.now += days * DAY
            for template in "ab":
                world.add(template, world.now, is_pending=not is_finished)
            if is_finished:
                world.finish()
        world.finish()
        for _ in range(2):  # what is open and still listed is asked for by the second
            world.sync(("",), None)

        assert world.came == Counter(world.rows.keys())
        assert max(world.delivered.values(), default=1) == 1

    def test_an_earlier_start_is_read_back_to_where_it_now_begins(self) -> None:
        world = World()
        for age in range(30):
            world.add("a", START - age * DAY)
        world.sync(("",), START - 9.5 * DAY)
        assert len(world.delivered) == 10

        world.sync(("",), START - 19.5 * DAY, stop_after=2)
        world.sync(("",), START - 19.5 * DAY)

        assert world.came == Counter(f"{age}" for age in range(20))

    def test_a_start_date_in_the_future_forgets_nothing(self) -> None:
        world = World()
        world.add("a", START)
        world.sync(("",), None, lookback=0)
        world.now += DAY
        for _ in range(2):
            world.sync(("",), START + 4.3 * DAY, lookback=0)

        world.sync(("",), None, lookback=0)

        assert world.came == Counter("0")

    def test_of_an_older_connector_is_taken_for_read_from_the_start_date_of_now(self) -> None:
        world = World()
        for age in range(30):
            world.add("a", START - age * DAY)
        world.state = {"version": 2, "until": {"": "2026-11-20T00:00Z"}}
        world.sync(("",), START - 9.5 * DAY, lookback=0)
        assert world.came == Counter("0")
        assert world.state["read"] == {"": ["2026-11-10T21:00Z/2026-11-20T00:00Z"]}

        world.sync(("",), START - 19.5 * DAY, lookback=0)

        assert world.came == Counter(["0", *(f"{age}" for age in range(10, 20))])


class TestFailures:
    def scroll(self, days: int = 0) -> tuple[Book, Scroll]:
        """Of a list that was read until `days` ago."""
        book = Book(Rules(), Watch.LIST)
        if days:
            read = Range(BEGINNING, START - days * DAY)
            book.advance("", read, read, START - 3 * DAY)
        return book, Scroll(deque(["", "other"]), [book], 3 * DAY, None if days else START - 5 * DAY, START)

    def test_a_window_that_cannot_be_read_is_tried_day_by_day_and_costs_its_day_alone(self) -> None:
        book, scroll = self.scroll(10)
        bad = datetime(2026, 11, 12, tzinfo=timezone.utc)
        while isinstance(ask := scroll.next(), Window) and ask.scope == "":
            if ask.start <= bad < ask.end:
                is_again = scroll.fail(ask, BadAnswer("It cannot be read."))
                assert is_again is (ask.end - ask.start > DAY)
            else:
                scroll.listed(ask, 1)
                scroll.done(ask)

        assert ask == Oldest("other")
        today = datetime(2026, 11, 20, tzinfo=timezone.utc)
        assert book.read[""] == [Range(BEGINNING, bad), Range(bad + DAY, today)]
        assert Scroll(deque([""]), [book], 3 * DAY, None, START).next() == Window("", bad, bad + DAY)

    def test_lists_without_an_end_leave_the_rest_of_their_scope(self) -> None:
        _, scroll = self.scroll()
        asks = []
        while isinstance(ask := scroll.next(), Window) and ask.scope == "":
            asks.append(ask)
            scroll.fail(ask, TooManyPages("It goes on."))

        assert len(asks) == 3

    @pytest.mark.parametrize("error", [OSError("down")])
    def test_another_error_leaves_the_rest_of_its_scope(self, error: Exception) -> None:
        _, scroll = self.scroll()

        assert scroll.fail(scroll.next(), error) is False

        ask = scroll.next()
        assert ask is not None
        assert ask.scope == "other"

    def test_a_window_with_rows_that_cannot_be_read_is_read_again_and_no_other(self) -> None:
        book, scroll = self.scroll()
        first, *rest = _windows(scroll)
        scroll.spoilt.add(first)
        for window in (first, *rest):
            scroll.done(window)

        again = _windows(Scroll(deque([""]), [book], 0 * DAY, START - 5 * DAY, START))

        assert [window.start for window in again] == [first.start, START.replace(hour=0)]


def _windows(scroll: Scroll) -> list[Window]:
    found = []
    while isinstance(ask := scroll.next(), Window) and ask.scope == "":
        found.append(ask)
        scroll.listed(ask, 1000)
    return found
