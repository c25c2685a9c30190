"""The phases of a product with a list: their order, the work that each of them starts, and what they wait for."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from airbyte_cdk.models import AirbyteMessage

from source_docextract.core.errors import ConnectorError, TransientError, UnreadableResponse
from source_docextract.core.model import PartitionRef, PartitionStatus, Snapshot
from source_docextract.core.provider import (
    NO_FILTERS,
    BatchAnswer,
    ChangeDetection,
    FilterIds,
    ListedRows,
    RequestFlow,
    StreamGroup,
    Window,
)
from source_docextract.state.entries import SyncPolicy
from source_docextract.sync.listing_phases import ListingPhases
from source_docextract.sync.product_sync import Phase
from source_docextract.sync.tasks import FindMembersTask, ListUnfinishedTask, QueryListTask, Task
from source_docextract.tables.rows import BATCHES, FILES
from unit_tests.support.stub_server import play_flow
from unit_tests.support.sync_parts import NOW, ProviderParts, make_document

FIRST_DAY = datetime(2026, 11, 18, tzinfo=timezone.utc)
WINDOW_PHASES = ["WINDOW_ROWS", "WINDOW_BATCHES", "WINDOW_END"]


def send_nothing(*_args: Any) -> RequestFlow[Any]:
    """Return a request flow that ends at once: the test gives the results of the tasks itself."""
    return iter(())  # type: ignore[return-value]


def make_ref(batch_id: str, **attributes: Any) -> PartitionRef:
    return PartitionRef(None, batch_id, is_explicit=True, **attributes)


class PlayedPhases:
    """The phases of a product `documents`, played without requests.

    Args:
        rows: the ids of the documents that are listed for each day of creation, such as `{18: ["d1"]}`.
        batch_ids: the batch of each document, by document id.
        named: the batches that the user names.
        failed: those of them whose lookup failed in the previous sync.
        has_batches: whether streams of the batches are selected.
        failing_query: the number of the query of the list that fails, from 1 on; 0 if none does.
        ahead: the ids of documents that the window before a day has shown, by that day.
        unreadable_days: the days whose windows cannot be read.
        scopes: the lists.
        lookups: the result or the error of each lookup of filter ids; None where the lists need none.

    Attributes:
        phases: the phases.
        parts: the products, their streams and their emitter.
        events: each start of a task, reading of a partition and emission of states, with the last day that counts as
            read at that moment; 0 if none does.
        read_windows: the first day of each window that was read, with the ids of the rows and the filters handed to it.
        unfinished_filters: the filters handed to each listing of unfinished documents.
        remaining_lookups: the lookups that were not made.
    """

    def __init__(
        self,
        rows: Mapping[int, Sequence[str]],
        batch_ids: Mapping[str, str] | None = None,
        *,
        named: Sequence[str] = (),
        failed: Sequence[str] = (),
        has_batches: bool = True,
        failing_query: int = 0,
        ahead: Mapping[int, Sequence[str]] | None = None,
        unreadable_days: Sequence[int] = (),
        scopes: Sequence[str] = ("",),
        lookups: Sequence[FilterIds | ConnectorError] | None = None,
    ) -> None:
        documents = StreamGroup(
            "documents",
            send_nothing,
            change_detection=ChangeDetection.LISTING,
            referenced_group="batches",
            scopes=tuple(scopes),
            look_up_filters=self._look_up_filters if lookups else None,
            read_window=self._read_window,
            find_oldest=send_nothing,
            list_unfinished=self._list_unfinished,
        )
        batches = StreamGroup(
            "batches", send_nothing, change_detection=ChangeDetection.REFERENCE, read_batch=send_nothing
        )
        policy = SyncPolicy(start_date=FIRST_DAY, lookback=timedelta(days=1))
        products = (batches, documents) if has_batches else (documents,)
        self.parts = ProviderParts(*products, tables=(BATCHES, FILES), policy=policy)
        self.documents = self.parts.product_syncs["documents"]
        self.batches = self.parts.product_syncs.get("batches")
        if self.batches:
            self.parts.plan("batches", map(make_ref, named))
            for ledger in self.batches.ledgers:
                ledger.failed_keys.update(make_ref(batch_id).key for batch_id in failed)
        self.events: list[tuple[str, int]] = []
        self.read_windows: list[tuple[int, list[str], FilterIds]] = []
        self.unfinished_filters: list[FilterIds] = []
        self.remaining_lookups = list(lookups or ())
        self._rows, self._batch_ids = rows, batch_ids or {}
        self._ahead, self._unreadable_days = ahead or {}, unreadable_days
        self._failing_query, self._query_count = failing_query, 0
        self._tasks: list[tuple[Task, RequestFlow[Any]]] = []
        self.phases = ListingPhases(
            self.documents,
            self.batches,
            policy=policy,
            now=lambda: NOW,
            start_task=self._start_task,
            emit_due_states=self._emit_due_states,
        )

    def run(self) -> list[str]:
        """Run all phases, and return their names in order."""
        names = []
        while self.documents.phase is not Phase.DONE:
            names.append(self.documents.phase.name)
            assert self.phases.is_ready
            list(self.phases.run_phase())
            self.deliver()
        return names

    def deliver(self) -> None:
        """End all tasks, and read all partitions that are queued."""
        while self._tasks:
            self._end_task(*self._tasks.pop(0))
        for product_sync in filter(None, (self.documents, self.batches)):
            while product_sync.queue:
                self._read(product_sync.stream_group.name, product_sync.queue.popleft())

    def _start_task(self, flow: RequestFlow[Any], task: Task) -> Iterator[AirbyteMessage]:
        task.product_sync.running_tasks += 1
        self._tasks.append((task, flow))
        if isinstance(task, QueryListTask):
            assert isinstance(task.query, Window)
            self._record_event(f"list {task.query.start.day}-{task.query.end.day}")
        elif isinstance(task, FindMembersTask):
            self._record_event(f"look up {task.ref.batch_id}")
        elif isinstance(task, ListUnfinishedTask):
            self._record_event("list unfinished")
        yield from ()

    def _end_task(self, task: Task, flow: RequestFlow[Any]) -> None:
        task.product_sync.running_tasks -= 1
        if isinstance(task, ListUnfinishedTask):
            play_flow(flow)
        if not isinstance(task, QueryListTask):
            return
        self._query_count += 1
        try:
            if self._query_count == self._failing_query:
                raise TransientError("The list cannot be read.")
            listed_rows, _ = play_flow(flow)
        except ConnectorError as error:
            task.cursor.handle_failure(task.query, error)
            return
        assert isinstance(task.query, Window)
        task.cursor.record_listing(task.query, len(listed_rows.refs))
        self.documents.listed_window = listed_rows

    def _look_up_filters(self) -> RequestFlow[FilterIds]:
        yield from ()
        lookup = self.remaining_lookups.pop(0)
        if isinstance(lookup, ConnectorError):
            raise lookup
        return lookup

    def _read_window(
        self, window: Window, rows_ahead: Sequence[PartitionRef], filters: FilterIds
    ) -> RequestFlow[ListedRows]:
        yield from ()
        days = range(window.start.day, window.end.day)
        self.read_windows.append((days[0], [ref.batch_id for ref in rows_ahead], filters))
        if set(days) & set(self._unreadable_days):
            raise UnreadableResponse("A row cannot be read.")
        refs = [
            PartitionRef(None, document_id, created_at=datetime(2026, 11, day, 7, tzinfo=timezone.utc), fingerprint="1")
            for day in days
            for document_id in self._rows.get(day, ())
        ]
        return ListedRows(refs, rows_ahead=[make_ref(document_id) for document_id in self._ahead.get(days[-1] + 1, ())])

    def _list_unfinished(
        self, _ids: Collection[str], _end: datetime, filters: FilterIds
    ) -> RequestFlow[list[PartitionRef]]:
        self.unfinished_filters.append(filters)
        yield from ()
        return []

    def _read(self, product: str, ref: PartitionRef) -> None:
        self._record_event(f"read {ref.batch_id}")
        batch_id = self._batch_ids.get(ref.batch_id)
        references = (make_ref(batch_id, is_referenced=True),) if batch_id else ()
        documents = (make_document(ref.batch_id),)
        self.parts.emit(product, Snapshot(ref, PartitionStatus.COMPLETE, documents=documents, references=references))

    def _emit_due_states(self) -> Iterator[AirbyteMessage]:
        self._record_event("states")
        yield from self.parts.emitter.emit_due_states()

    def _record_event(self, event: str) -> None:
        ledger = self.parts.streams["documents_files"].state.ledger
        ends = [time_range.end.day for time_range in ledger.read_ranges.get("", ())]
        self.events.append((event, max(ends) - 1 if ends else 0))


def test_phases_product_without_batches_read_each_window_then_what_no_list_shows() -> None:
    played = PlayedPhases({18: ["d1"], 20: ["d2"]}, has_batches=False)

    assert played.run() == [
        "MEMBER_LOOKUPS",
        "FIRST_QUERY",
        *WINDOW_PHASES,
        *WINDOW_PHASES,
        "WINDOW_ROWS",
        "FAILED_LOOKUPS",
        "UNFINISHED",
        "UNLISTED",
    ]
    # The second window is listed before the rows of the first one are read.
    assert [event for event, _ in played.events] == [
        "list 18-19",
        "list 19-21",
        "read d1",
        "states",
        "read d2",
        "states",
        "list unfinished",
    ]


def test_phases_window_is_recorded_only_after_its_rows_and_batches() -> None:
    played = PlayedPhases({18: ["d1"], 20: ["d2"]}, {"d1": "B1", "d2": "B2"})

    played.run()

    # The 20th is today, whose rows are not complete yet.
    assert played.events == [
        ("list 18-19", 0),
        ("list 19-21", 0),
        ("read d1", 0),
        ("read B1", 0),
        ("states", 18),
        ("read d2", 18),
        ("read B2", 18),
        ("states", 19),
        ("list unfinished", 19),
    ]


def test_phases_named_batch_is_looked_up_before_the_windows_and_read_after_them() -> None:
    played = PlayedPhases({18: ["d1"]}, {"d1": "B1"}, named=["B1"])

    names = played.run()

    assert names[-3:] == ["UNLISTED", "DEFERRED_BATCHES", "UNLISTED"]
    events = [event for event, _ in played.events]
    assert events[0] == "look up B1"
    # Read once, though a document of a window names it too.
    assert events[-2:] == ["list unfinished", "read B1"]
    assert events.count("read B1") == 1


def test_phases_lookups_that_failed_before_come_after_all_windows() -> None:
    played = PlayedPhases({18: ["d1"]}, named=["B1", "B2", "B3"], failed=["B2"])

    played.run()

    assert [event for event, _ in played.events] == [
        "look up B1",
        "look up B3",
        "list 18-19",
        "list 19-21",
        "read d1",
        "states",
        "states",
        "look up B2",
        "list unfinished",
        "read B1",
        "read B3",
        "read B2",
    ]


def test_phases_list_that_fails_records_no_window_and_goes_on() -> None:
    played = PlayedPhases({18: ["d1"]}, failing_query=1)

    assert played.run() == [
        "MEMBER_LOOKUPS",
        "FIRST_QUERY",
        "WINDOW_ROWS",
        "WINDOW_ROWS",
        "FAILED_LOOKUPS",
        "UNFINISHED",
        "UNLISTED",
    ]
    assert played.events == [("list 18-19", 0), ("list unfinished", 0)]


def test_phases_window_whose_list_fails_is_not_taken_for_the_one_before() -> None:
    played = PlayedPhases({18: ["d1"], 20: ["d2"]}, failing_query=2)

    played.run()

    assert played.events == [
        ("list 18-19", 0),
        ("list 19-21", 0),
        ("read d1", 0),
        ("states", 18),
        ("list unfinished", 18),
    ]


def test_phases_deferred_batch_that_no_setting_names_is_not_looked_up() -> None:
    """Defer a batch because a document refers to it: that document has made its documents known."""
    played = PlayedPhases({}, named=["B1"])
    assert played.batches
    referenced = make_ref("B2", is_referenced=True)
    played.batches.deferred[referenced.key] = referenced

    played.run()

    events = [event for event, _ in played.events]
    assert [event for event in events if event.startswith("look up")] == ["look up B1"]
    assert events[-2:] == ["read B1", "read B2"]


def test_phases_partition_that_no_list_shows_is_read_by_id_once() -> None:
    played = PlayedPhases({})
    for listing_pass in played.documents.listing_passes:
        listing_pass.flag_for_reread(make_ref("d0"), NOW)

    names = played.run()

    assert names[-4:] == ["UNFINISHED", "UNLISTED", "DEFERRED_BATCHES", "UNLISTED"]
    assert [event for event, _ in played.events if event.startswith("read")] == ["read d0"]


def test_phases_running_work_of_the_product_or_its_batches_holds_the_next_phase_back() -> None:
    played = PlayedPhases({18: ["d1"]}, {"d1": "B1"})
    assert played.batches
    assert played.phases.is_ready

    list(played.phases.run_phase())
    list(played.phases.run_phase())
    assert not played.phases.is_ready  # the first window is being listed

    played.deliver()
    assert played.phases.is_ready

    played.batches.enqueue([make_ref("B1")])
    assert not played.phases.is_ready  # a batch waits for its request

    played.deliver()
    played.batches.queue = None
    assert not played.phases.is_ready  # the batches are not planned yet


def test_phases_done_product_starts_nothing_more() -> None:
    played = PlayedPhases({})
    assert played.documents.has_work

    played.run()

    assert not played.phases.is_ready
    assert not played.documents.has_work
    assert played.documents.is_fully_listed


def test_phases_rows_ahead_of_a_window_are_handed_to_the_next_one() -> None:
    played = PlayedPhases({18: ["d1"]}, ahead={19: ["d2"]})

    played.run()

    assert played.read_windows == [(18, [], NO_FILTERS), (19, ["d2"], NO_FILTERS)]


def test_phases_rows_ahead_are_not_handed_to_a_window_that_begins_elsewhere() -> None:
    """Fail to read the 19th: the 20th does not begin where the last window that was read ended."""
    played = PlayedPhases({}, ahead={19: ["d2"]}, unreadable_days=[19], scopes=("", "other"))

    played.run()

    # The 19th is read alone after it could not be read together with the 20th.
    assert [(day, ids) for day, ids, _ in played.read_windows] == [
        (18, []),
        (19, ["d2"]),
        (19, ["d2"]),
        (20, []),
        (18, []),  # of the other list
        (19, ["d2"]),
        (19, ["d2"]),
        (20, []),
    ]


def test_phases_filters_are_looked_up_once_and_handed_to_each_query() -> None:
    filters = FilterIds({"claims": "id-1"})
    played = PlayedPhases({18: ["d1"]}, lookups=[filters])

    played.run()

    assert [used_filters for _, _, used_filters in played.read_windows] == [filters, filters]
    assert played.unfinished_filters == [filters]
    assert played.remaining_lookups == []


def test_phases_lookup_of_filters_that_fails_is_repeated_by_the_next_list() -> None:
    """Answer the first lookup in a form that cannot be read: the windows of that list do not repeat it."""
    filters = FilterIds({"claims": "id-1"})
    played = PlayedPhases({18: ["d1"]}, lookups=[UnreadableResponse("No list."), filters], scopes=("", "other"))

    played.run()

    assert [(day, used_filters) for day, _, used_filters in played.read_windows] == [(18, filters), (19, filters)]
    assert played.remaining_lookups == []


def test_phases_unfinished_documents_are_listed_without_filters_that_no_query_found() -> None:
    played = PlayedPhases({}, lookups=[TransientError("down", 503)])

    played.run()

    assert (played.read_windows, played.unfinished_filters) == ([], [NO_FILTERS])


def test_phases_begin_of_a_window_limits_the_memory_of_its_batches() -> None:
    played = PlayedPhases({})
    assert played.batches

    played.run()

    rows = [make_ref(str(day), approx_created_at=FIRST_DAY + timedelta(days=day), fingerprint="1") for day in range(3)]
    answer = BatchAnswer(list, lambda ref: Snapshot(ref, PartitionStatus.COMPLETE), {row.batch_id: row for row in rows})
    played.batches.rollup.observe(make_ref("B1"), answer)
    # The last window that was listed begins on the 19th.
    assert [played.batches.rollup.changed(ref) for ref in rows] == [True, False, False]
