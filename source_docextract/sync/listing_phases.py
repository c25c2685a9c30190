"""The phases of a product with a list, in one sync (the documents of DocMap and Sensible).

The module sends no request: `provider_sync` passes the function that starts a request flow, and runs the next phase
when everything that the present one has started is delivered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from airbyte_cdk.models import AirbyteMessage

from ..core.errors import UnreadableResponse
from ..core.model import PartitionRef
from ..core.provider import NO_FILTERS, FilterIds, FindStart, RequestFlow, Window
from ..state.entries import SyncPolicy
from ..state.windows import WindowCursor
from .product_sync import Phase, ProductSync
from .tasks import FindMembersTask, ListUnfinishedTask, QueryListTask, Task

_PhaseRun = Generator[AirbyteMessage, None, Phase]
"""The run of one phase: it yields the messages of tasks that end at once, and returns the next phase."""


class ListingPhases:
    """The phases of one product with a list, and of the batches of its documents.

    `Phase` says what each of them does. The method of a phase starts its work and returns the next phase. Where a phase
    has no work, the next one begins at once.

    Args:
        product_sync: the product with the list; it holds the present phase.
        batch_sync: the product of the batches that the documents name; None where no selected stream reads them.
        policy: the user's settings for due dates.
        now: returns the current time, aware and in UTC.
        start_task: starts a request flow, and emits the messages of a flow that needs no request.
        emit_due_states: emits the states that are due after a window.
    """

    def __init__(
        self,
        product_sync: ProductSync,
        batch_sync: ProductSync | None,
        *,
        policy: SyncPolicy,
        now: Callable[[], datetime],
        start_task: Callable[[RequestFlow[Any], Task], Iterator[AirbyteMessage]],
        emit_due_states: Callable[[], Iterator[AirbyteMessage]],
    ) -> None:
        self._product_sync = product_sync
        self._batch_sync = batch_sync
        self._stream_group = product_sync.stream_group
        self._policy = policy
        self._now = now
        self._start_task = start_task
        self._emit_due_states = emit_due_states
        self._failed_lookups: list[PartitionRef] = []
        self._cursor: WindowCursor | None = None
        self._query: Window | FindStart | None = None
        self._window: Window | None = None
        self._filters: FilterIds = NO_FILTERS
        self._rows_ahead: Mapping[tuple[str, datetime], Sequence[PartitionRef]] = {}
        self._methods: dict[Phase, Callable[[], _PhaseRun]] = {
            Phase.MEMBER_LOOKUPS: self._look_up_members,
            Phase.FIRST_QUERY: self._start_first_query,
            Phase.WINDOW_ROWS: self._fetch_window_rows,
            Phase.WINDOW_BATCHES: self._fetch_window_batches,
            Phase.WINDOW_END: self._record_window,
            Phase.FAILED_LOOKUPS: self._repeat_failed_lookups,
            Phase.UNFINISHED: self._list_unfinished,
            Phase.UNLISTED: self._fetch_unlisted,
            Phase.DEFERRED_BATCHES: self._fetch_deferred_batches,
        }
        product_sync.phase = Phase.MEMBER_LOOKUPS

    @property
    def is_ready(self) -> bool:
        """Return whether a phase is left, and everything that the previous one started is delivered."""
        batch_sync = self._batch_sync
        # The batches of a window's documents are waited for, too: the window may count as read only after their rows.
        is_waiting = self._product_sync.is_busy or bool(batch_sync and (batch_sync.queue is None or batch_sync.is_busy))
        return self._product_sync.phase is not Phase.DONE and not is_waiting

    def run_phase(self) -> Iterator[AirbyteMessage]:
        """Start the work of the present phase, and move the product on to the next one."""
        self._product_sync.phase = yield from self._methods[self._product_sync.phase]()

    def _look_up_members(self) -> _PhaseRun:
        # Named batches bring their documents whatever `start_date` and the filters say, and no window may show those.
        if self._batch_sync:
            explicit_refs = [ref for ref in self._batch_sync.deferred.values() if not ref.is_referenced]
            failed_keys = self._batch_sync.failed_keys
            self._failed_lookups = [ref for ref in explicit_refs if ref.key in failed_keys]
            yield from self._start_lookups([ref for ref in explicit_refs if ref.key not in failed_keys])
        return Phase.FIRST_QUERY

    def _start_first_query(self) -> _PhaseRun:
        # Not before: which windows a ledger needs depends on the documents that the lookups have registered.
        self._cursor = WindowCursor(
            deque(self._product_sync.sort_lists(self._stream_group.scopes)),
            self._product_sync.listing_passes,
            self._policy.with_lookback(self._stream_group.lookback),
            self._now(),
            self._stream_group.wider_scopes,
        )
        yield from self._start_next_query(self._cursor)
        return Phase.WINDOW_ROWS

    def _fetch_window_rows(self) -> _PhaseRun:
        if self._cursor is None or self._query is None:
            return Phase.FAILED_LOOKUPS
        # No rows are there if the query has failed, or if it was the search for the oldest row.
        window_listing, self._product_sync.listed_window = self._product_sync.listed_window, None
        self._window = self._query if isinstance(self._query, Window) and window_listing else None
        if self._window and window_listing:
            self._rows_ahead = {(self._window.scope, self._window.end): window_listing.rows_ahead}
            self._product_sync.plan_window(self._cursor, self._window, window_listing, self._now())
        # The next window is listed while the partitions of this one are fetched: no window waits for its list alone.
        yield from self._start_next_query(self._cursor)
        return Phase.WINDOW_BATCHES if self._window else Phase.WINDOW_ROWS

    def _fetch_window_batches(self) -> _PhaseRun:
        if self._batch_sync:
            self._batch_sync.enqueue_changed_batches()
        yield from ()
        return Phase.WINDOW_END

    def _record_window(self) -> _PhaseRun:
        # Every row of the window is delivered by now. Recorded any earlier, a killed sync would lose rows.
        if self._cursor and self._window:
            self._cursor.complete_window(self._window)
        yield from self._emit_due_states()
        return Phase.WINDOW_ROWS

    def _repeat_failed_lookups(self) -> _PhaseRun:
        # After all windows: however often these lookups fail, they delay no window.
        yield from self._start_lookups(self._failed_lookups)
        return Phase.UNFINISHED

    def _list_unfinished(self) -> _PhaseRun:
        if self._stream_group.list_unfinished and self._cursor:
            flow = self._stream_group.list_unfinished(
                self._product_sync.list_watched_ids(), self._cursor.lookback_start, self._filters
            )
            yield from self._start_task(flow, ListUnfinishedTask(self._product_sync))
        return Phase.UNLISTED

    def _fetch_unlisted(self) -> _PhaseRun:
        yield from ()
        # Repeated, since each side may make the other due: a document changes the counts of its batch, and a batch may
        # name documents that no list shows. It ends because a sync requests each document by id once.
        has_queued = self._product_sync.plan_unlisted(self._now())
        has_pending_batches = bool(self._batch_sync and self._batch_sync.has_pending_changes)
        return Phase.DEFERRED_BATCHES if has_queued or has_pending_batches else Phase.DONE

    def _fetch_deferred_batches(self) -> _PhaseRun:
        if self._batch_sync:
            self._batch_sync.enqueue_changed_batches(include_deferred=True)
        yield from ()
        return Phase.UNLISTED

    def _start_lookups(self, refs: Sequence[PartitionRef]) -> Iterator[AirbyteMessage]:
        batch_sync = self._batch_sync
        if batch_sync and batch_sync.stream_group.read_batch:
            for ref in refs:
                flow = batch_sync.look_up_members(ref, batch_sync.stream_group.read_batch)
                yield from self._start_task(flow, FindMembersTask(self._product_sync, batch_sync, ref))

    def _start_next_query(self, cursor: WindowCursor) -> Iterator[AirbyteMessage]:
        self._query = query = cursor.get_next_step()
        run_query: Callable[[FilterIds], RequestFlow[Any]] | None = None
        if isinstance(query, Window) and self._stream_group.read_window:
            # A window that does not begin where the last one ended has to be requested as a whole.
            rows_ahead = self._rows_ahead.get((query.scope, query.start), ())
            run_query = partial(self._stream_group.read_window, query, rows_ahead)
            if self._batch_sync:
                self._batch_sync.rollup.begin_window(query)
        elif isinstance(query, FindStart) and self._stream_group.find_oldest:
            run_query = partial(self._stream_group.find_oldest, query.scope)
        if query and run_query:
            yield from self._start_task(self._query_list(run_query), QueryListTask(self._product_sync, cursor, query))

    def _query_list(self, run_query: Callable[[FilterIds], RequestFlow[Any]]) -> RequestFlow[Any]:
        # Part of the first query, so that a failure counts as one of the list. That of the next list repeats it.
        if self._stream_group.look_up_filters and self._filters is NO_FILTERS:
            try:
                self._filters = yield from self._stream_group.look_up_filters()
            except UnreadableResponse as error:
                # No error of the window: smaller windows and later ones would each repeat the request.
                raise error.reword(str(error)) from None
        return (yield from run_query(self._filters))
