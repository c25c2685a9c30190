"""The work of one sync for one product: its lists, its queue and its streams.

Only the engine's thread touches these objects, so nothing here is locked. The module sends no request: `provider_sync`
starts the request flows of the partitions that are queued here.
"""

from __future__ import annotations

from collections import ChainMap, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum, auto

from ..core.errors import ConnectorError, UnreadableResponse
from ..core.model import FileStatus, PartitionKey, PartitionRef, PartitionStatus, Snapshot
from ..core.provider import ChangeDetection, ListedRows, ProviderSpec, ReadBatch, RequestFlow, StreamGroup, Window
from ..state.entries import EntryState, Listing, age_sort_key
from ..state.ledger import Ledger
from ..state.passes import LedgerPass, ListingPass
from ..state.windows import WindowCursor
from .rollup import BatchRollup
from .stream import Stream


class Phase(Enum):
    """A part of the sync of a product with a list.

    It begins when everything that the phases before it have started is delivered.

    Attributes:
        MEMBER_LOOKUPS: look up the documents of the batches that the user names.
        FIRST_QUERY: list the first window, or look for the oldest row of the list.
        WINDOW_ROWS: fetch the changed rows of the listed window, and list the next one meanwhile.
        WINDOW_BATCHES: fetch the batches of the window's documents.
        WINDOW_END: record the window as read, and emit states. `WINDOW_ROWS` of the next window follows.
        FAILED_LOOKUPS: look up the documents of the named batches that failed in the previous sync.
        UNFINISHED: list the unfinished partitions that no window has shown, and fetch those that have changed.
        UNLISTED: fetch by id the partitions that no list covers.
        DEFERRED_BATCHES: fetch the deferred batches and those of the documents before. `UNLISTED` follows again.
        DONE: start nothing more. A product without a list is always in this phase.
    """

    MEMBER_LOOKUPS = auto()
    FIRST_QUERY = auto()
    WINDOW_ROWS = auto()
    WINDOW_BATCHES = auto()
    WINDOW_END = auto()
    FAILED_LOOKUPS = auto()
    UNFINISHED = auto()
    UNLISTED = auto()
    DEFERRED_BATCHES = auto()
    DONE = auto()


@dataclass(eq=False, slots=True)
class ProductSync:
    """One product (a `StreamGroup`) during one sync.

    A product sync goes through these states. `ProviderSync` moves it from one to the next:

        listing    `queue` is None. The lists of the templates are on their way (`pending_listings`), and `listing`
                   collects the partitions that they and the settings name.
        fetching   `queue` holds the partitions that are due and not started; `running_tasks` counts the request flows
                   that are started and not finished (`is_busy`).
        done       `has_work` is False: nothing is queued, nothing is running, no phase is left.

    Planning is the step from listing to fetching. It depends on how the product detects changes:

        POLLING    `plan_batches` queues all due batches at once (Extracta, Atlas).
        LISTING    The queue starts empty. `ListingPhases` fills it several times: once per window of the list, then
                   with the partitions that no list shows (DocMap's and Sensible's extractions).
        REFERENCE  The queue starts empty. Batches named by the user wait in `deferred`, batches with a changed
                   document in `rollup.changed_batches`; the phases of the documents' product queue both (DocMap's
                   runs, Sensible's batches).

    A failed task does not stop its product: the streams concerned end incomplete, and the next sync asks again.

    Attributes:
        stream_group: the product, as its provider describes it.
        streams: the selected streams of this product.
        target_streams: the selected streams of the product that this one's references lead to. Their states hold what
            they have read here in `reference_ledger`.
        rollup: REFERENCE only: what the batches and documents that were read say about the rows of the batches.
        listing: the partitions that the settings, the registry and the templates' lists name in this sync.
        pending_listings: number of templates whose list has not arrived yet.
        queue: the partitions that are due and not started, oldest first; None until the product is planned.
        planned_at: when the product was planned: the looks that were due at this time are made by this sync.
        running_tasks: number of request flows that are started and not finished.
        phase: LISTING only: the phase whose work is started next.
        listed_window: LISTING only: the rows of a window that has been listed and whose rows are not queued yet.
        deferred: REFERENCE only: the due batches that are fetched at the end of the sync, by key.
        requested_by_id: LISTING only: the partitions that this sync has fetched by id, or failed to read.
        refs_to_retry: LISTING only: listed partitions that the previous sync failed to read. They are fetched after all
            windows.
        listing_incomplete: a list was not read to its end, so a partition that it did not show may still exist.
        has_failed_lookups: REFERENCE only: a batch that the user names could not be asked for its documents.
    """

    stream_group: StreamGroup
    streams: Sequence[Stream]
    target_streams: Sequence[Stream]
    rollup: BatchRollup
    listing: Listing = field(default_factory=Listing)
    pending_listings: int = 0
    queue: deque[PartitionRef] | None = None
    planned_at: datetime | None = None
    running_tasks: int = 0
    phase: Phase = Phase.DONE
    listed_window: ListedRows | None = None
    deferred: dict[PartitionKey, PartitionRef] = field(default_factory=dict)
    requested_by_id: set[PartitionKey] = field(default_factory=set)
    refs_to_retry: list[PartitionRef] = field(default_factory=list)
    listing_incomplete: bool = False
    has_failed_lookups: bool = False

    @property
    def stream_passes(self) -> list[tuple[Stream, LedgerPass]]:
        """Return each stream that reads this product, with the pass over its ledger of the product."""
        return [(stream, stream.get_pass(self.stream_group.name)) for stream in (*self.streams, *self.target_streams)]

    @property
    def ledgers(self) -> list[Ledger]:
        """Return the ledger of this product of each stream that reads it."""
        return [ledger_pass.ledger for _, ledger_pass in self.stream_passes]

    @property
    def listing_passes(self) -> list[ListingPass]:
        """Return the passes of all streams that read this product, if it has a listing by time."""
        return [ledger_pass for _, ledger_pass in self.stream_passes if isinstance(ledger_pass, ListingPass)]

    @property
    def failed_keys(self) -> set[PartitionKey]:
        """Return the partitions whose last reading failed, for any stream."""
        return set().union(*(ledger.failed_keys for ledger in self.ledgers))

    def sort_lists(self, template_ids: Iterable[str]) -> list[str]:
        """Return the lists, by template or scope, with those last that the previous sync could not read.

        Three of them at the start would abort the provider at every sync.
        """
        failed_keys = self.failed_keys
        return sorted(template_ids, key=lambda template_id: PartitionKey(template_id, "") in failed_keys)

    @property
    def is_busy(self) -> bool:
        """Return whether anything is queued or running."""
        return bool(self.queue) or self.running_tasks > 0

    @property
    def is_fully_listed(self) -> bool:
        """Return whether the product is planned and all its lists were read to their end."""
        return self.queue is not None and self.phase is Phase.DONE and not self.listing_incomplete

    @property
    def has_work(self) -> bool:
        """Return whether the product is not done yet."""
        return self.queue is None or self.is_busy or self.phase is not Phase.DONE

    @property
    def has_made_all_looks(self) -> bool:
        """Return whether each look that was due was made, or left its partition in the failed keys."""
        is_waiting = self.has_work or self.has_pending_changes or bool(self.refs_to_retry)
        return not is_waiting and not self.listing_incomplete

    def find_tracking_streams(self, ref: PartitionRef) -> list[Stream]:
        """Return the streams to which a reading of this partition is of use."""
        return [stream for stream, ledger_pass in self.stream_passes if ledger_pass.tracks(ref)]

    def enqueue(self, refs: Iterable[PartitionRef]) -> None:
        """Append partitions to the queue.

        The first call marks the product as planned, even without partitions.
        """
        if self.queue is None:
            self.queue = deque()
        self.queue.extend(refs)

    def plan_batches(self, now: datetime) -> list[Snapshot]:
        """Queue the batches that any stream needs, oldest first.

        Returns:
            A snapshot with the status MISSING for each open batch that its template's list no longer names.
        """
        # One fetch feeds all selected streams: a batch that several of them need is requested once.
        due_by_key: dict[PartitionKey, PartitionRef] = {}
        vanished_by_key: dict[PartitionKey, PartitionRef] = {}
        for _, ledger_pass in self.stream_passes:
            due_by_key.update((ref.key, ref) for ref in ledger_pass.plan(self.listing, now))
            vanished_by_key.update((ref.key, ref) for ref in ledger_pass.ledger.find_vanished(self.listing))
        # The batches that failed last time come last, so that they never keep the others from being read.
        failed_keys = self.failed_keys
        refs = sorted(due_by_key.values(), key=lambda ref: (ref.key in failed_keys, age_sort_key(ref)))
        if self.stream_group.change_detection is ChangeDetection.REFERENCE:
            # The row of such a batch counts the statuses of its documents, so it is fetched after all of them.
            self.deferred = {ref.key: ref for ref in refs}
            refs = []
        self.enqueue(refs)
        error_text = "Its template's list no longer contains it."
        return [Snapshot(ref, PartitionStatus.MISSING, error=error_text) for ref in vanished_by_key.values()]

    def plan_window(self, cursor: WindowCursor, window: Window, window_listing: ListedRows, now: datetime) -> None:
        """Queue the rows of a listed window for each stream that has not read it yet.

        A window with unreadable rows is not recorded as read, so the next sync lists it again.
        """
        if window_listing.error:
            cursor.unreadable_windows.add(window)
            self.listing_incomplete = True
            # The readable rows are delivered all the same, and no row is dropped without a sign.
            self.fail(UnreadableResponse(window_listing.error))
        # A stream that was added later needs windows that the others have delivered; these emit nothing again.
        passes = [listing_pass for listing_pass in self.listing_passes if cursor.is_needed(listing_pass.ledger, window)]
        self._plan_listed_rows(
            [
                (listing_pass, self._skip_delivered_rows(listing_pass, window, window_listing.refs))
                for listing_pass in passes
            ],
            now,
        )

    def _skip_delivered_rows(
        self, listing_pass: ListingPass, window: Window, refs: Sequence[PartitionRef]
    ) -> Sequence[PartitionRef]:
        """Return the rows without those that were delivered and pruned before.

        They may have been delivered under another scope: an extraction stands in the list of its template and in the
        list of all templates.
        """
        get_row_scopes = self.stream_group.row_scopes
        if listing_pass.ledger.doubtful_keys:
            for ref in refs:
                listing_pass.trust_listing(ref, get_row_scopes(window.scope, ref), window.time_range)
        if not listing_pass.has_pruned_rows(window.time_range):
            return refs
        return [
            ref for ref in refs if not listing_pass.is_pruned(ref, get_row_scopes(window.scope, ref), window.time_range)
        ]

    def look_up_members(self, ref: PartitionRef, read_batch: ReadBatch) -> RequestFlow[Sequence[PartitionRef]]:
        """Return the documents of a batch, and keep the answer for the row of the batch."""
        answer = self.rollup.answers[ref.key] = yield from read_batch(ref)
        return answer.list_members()

    def fetch_batch(self, ref: PartitionRef, read_batch: ReadBatch) -> RequestFlow[Snapshot]:
        """Return a batch, from an answer that was kept if there is one."""
        answer = self.rollup.answers.pop(ref.key, None) or (yield from read_batch(ref))
        return self.rollup.observe(ref, answer)

    def plan_members(self, streams: Iterable[Stream], members: Sequence[PartitionRef], now: datetime) -> None:
        """Register the documents of a named batch, and queue those with a listed row.

        A document without a listed row is fetched by id after all windows (`plan_unlisted`), unless a window shows it.
        """
        passes = [stream.get_pass(self.stream_group.name) for stream in streams]
        for ledger_pass in passes:
            # Their entries keep them due if this sync is killed: `start_date` or a filter may hide them from all lists.
            for ref in members:
                ledger_pass.register_reference(ref, now)
        listed_members = [ref for ref in members if ref.listed_row is not None]
        self._plan_listed_rows([(ledger_pass, listed_members) for ledger_pass in passes], now)

    def resolve_doubts(self, snapshot: Snapshot) -> None:
        """Let each ledger find out whether it delivered a document that a batch has named by its id alone."""
        for listing_pass in self.listing_passes:
            if listing_pass.ledger.doubtful_keys:
                listing_pass.resolve_doubt(snapshot, self.stream_group.row_scopes("", snapshot.ref))

    def _plan_listed_rows(
        self, refs_by_pass: Collection[tuple[LedgerPass, Sequence[PartitionRef]]], now: datetime
    ) -> None:
        """Queue the listed partitions that are due for any stream.

        Each pass comes with the rows that are shown to it.
        """
        due_by_key: dict[PartitionKey, PartitionRef] = {}
        failed_keys = self.failed_keys
        # Most passes are shown the same rows, and then share one listing of them.
        listings: dict[int, Listing] = {}
        for ledger_pass, refs in refs_by_pass:
            if id(refs) not in listings:
                listings[id(refs)] = Listing()
                listings[id(refs)].add(refs)
            for ref in ledger_pass.plan(listings[id(refs)], now):
                due_by_key[ref.key] = ref
                # The next window replaces the plan. Only an entry keeps the partition due for a stream that has not
                # read it yet, such as one that was added after the failure.
                if ref.key in failed_keys:
                    ledger_pass.flag_for_reread(ref, now)
        # The partitions that failed last time come after all windows: however often they fail, they delay no other.
        self.refs_to_retry += (due_by_key.pop(key) for key in sorted(due_by_key.keys() & failed_keys))
        expected_keys: set[PartitionKey] = set()
        for ledger_pass, _ in refs_by_pass:
            expected_keys.update(key for key in due_by_key if ledger_pass.ledger.get(key).needs_reading)
        self.enqueue(sorted(due_by_key.values(), key=lambda ref: (ref.key in expected_keys, age_sort_key(ref))))

    def list_watched_ids(self) -> frozenset[str]:
        """Return the ids of the open partitions that no list of this sync has shown."""
        keys_by_ledger = [listing_pass.find_unlisted_open() for listing_pass in self.listing_passes]
        return frozenset(key.batch_id for keys in keys_by_ledger for key in keys)

    def plan_unfinished(self, refs: Sequence[PartitionRef], now: datetime) -> None:
        """Queue those of the watched partitions that a list of unfinished ones shows as changed.

        Such a list is no listing of a range of time: it says nothing about partitions that a ledger does not watch.
        """
        refs_by_pass = []
        for listing_pass in self.listing_passes:
            ledger = listing_pass.ledger
            watched_refs = [ref for ref in refs if ledger.get(ref.key).state is EntryState.OPEN]
            refs_by_pass.append((listing_pass, watched_refs))
        self._plan_listed_rows(refs_by_pass, now)

    def plan_unlisted(self, now: datetime) -> bool:
        """Queue the partitions that no list of this sync covers, to be fetched by id.

        When none is left, queue the partitions that the previous sync failed to read (`refs_to_retry`).

        Returns:
            False if nothing was queued.
        """
        # A partition that is still open after its request is due again: without this, the sync would never end.
        excluded_keys = self.requested_by_id | {ref.key for ref in self.refs_to_retry}
        refs_by_key: dict[PartitionKey, PartitionRef] = {}
        for listing_pass in self.listing_passes:
            unlisted_refs = listing_pass.find_unlisted(now)
            refs_by_key.update((ref.key, ref) for ref in unlisted_refs if ref.key not in excluded_keys)
        failed_keys = self.failed_keys
        next_refs = sorted(refs_by_key.values(), key=lambda ref: ref.key in failed_keys)
        if not next_refs:
            next_refs, self.refs_to_retry = self.refs_to_retry, []
        self.requested_by_id.update(ref.key for ref in next_refs)
        self.enqueue(next_refs)
        return bool(next_refs)

    def list_open_references(self, member_statuses: Mapping[str, FileStatus]) -> list[PartitionRef]:
        """Return references to all open batches, with the given document statuses by id."""
        open_keys: dict[PartitionKey, None] = {}  # a dict, since a set would lose the order
        for stream in self.streams:
            open_keys.update(dict.fromkeys(stream.state.ledger.open_keys))
        return [
            PartitionRef(None, key.batch_id, is_explicit=True, is_referenced=True, member_statuses=member_statuses)
            for key in open_keys
        ]

    def enqueue_changed_batches(self, *, include_deferred: bool = False) -> None:
        """Queue the batches whose documents have changed.

        Args:
            include_deferred: also queue the deferred batches; for the end of the sync.
        """
        # A deferred batch is fetched at the end of the sync, once for the documents of all windows.
        refs = [ref for key, ref in self.rollup.changed_batches.items() if key not in self.deferred]
        refs += self.deferred.values() if include_deferred else ()
        self.rollup.changed_batches.clear()
        if include_deferred:
            self.deferred.clear()
        failed_keys, orphan_documents = self.failed_keys, self.rollup.orphan_documents
        for ref in sorted(refs, key=lambda ref: ref.key in failed_keys):
            entries = [ledger.get(ref.key) for ledger in self.ledgers]
            provider_state = next((entry.provider_state for entry in entries if entry.provider_state), "")
            member_statuses = dict(ChainMap(*(dict(entry.member_statuses) for entry in entries), orphan_documents))
            # The registry's `created_at` and `expected_files` apply however the batch became due: otherwise its row
            # would change back and forth between syncs.
            listed_ref = self.listing.refs.get(ref.key, ref)
            completed_ref = replace(
                ref,
                created_at=ref.created_at or listed_ref.created_at,
                approx_created_at=ref.approx_created_at or listed_ref.approx_created_at,
                expected_files=ref.expected_files or listed_ref.expected_files,
            )
            self.enqueue([replace(completed_ref, provider_state=provider_state, member_statuses=member_statuses)])

    def has_unknown_members(self, now: datetime) -> bool:
        """Return whether the documents of a batch that the user names could not be found out."""
        if self.has_failed_lookups:
            return True
        explicit_keys = [ref.key for ref in self.stream_group.explicit_partitions]
        return any(ledger_pass.is_missing(key, now) for _, ledger_pass in self.stream_passes for key in explicit_keys)

    def is_unknown_to_provider(self, ref: PartitionRef) -> bool:
        """Return whether every stream that remembers a batch remembers it as missing."""
        states = {ledger.get(ref.key).state for ledger in self.ledgers} - {EntryState.NEW}
        return states == {EntryState.MISSING}

    @property
    def has_pending_changes(self) -> bool:
        """Return whether any batch waits for its documents, or for the end of the sync."""
        return bool(self.deferred or self.rollup.changed_batches)

    def record_failure(self, ref: PartitionRef, now: datetime) -> None:
        """Remember a partition that could not be read; the next sync asks for it last.

        A partition of a LISTING product is also flagged for a request by id: the windows of the next sync may no longer
        reach back to it.
        """
        # The flag below makes it due by id: this sync must not request again what has just failed.
        self.requested_by_id.add(ref.key)
        for stream in self.streams:
            stream.drop_reading(ref.key)
        for _, ledger_pass in self.stream_passes:
            if ledger_pass.tracks(ref):
                ledger_pass.record_failure(ref, now)

    def fail(self, error: ConnectorError, streams: Iterable[Stream] | None = None, *, is_final: bool = False) -> None:
        """Mark streams as incomplete; by default all that read this product.

        Args:
            error: the reason that the streams report.
            streams: the streams concerned; None for all.
            is_final: replace a reason that was recorded before.
        """
        for stream in (*self.streams, *self.target_streams) if streams is None else streams:
            stream.fail(error, is_final=is_final)


def build_product_syncs(provider_spec: ProviderSpec, streams: Sequence[Stream]) -> dict[str, ProductSync]:
    """Return the product syncs of one provider, by product name.

    A product without a selected stream is included where it has to be read for its references: Extracta's
    classification results name extraction batches.
    """
    syncs_by_product = {}
    for stream_group in provider_spec.stream_groups:
        product_streams = [stream for stream in streams if stream.product_name == stream_group.name]
        target_streams = [
            stream
            for stream in streams
            if stream_group.referenced_group and stream.product_name == stream_group.referenced_group
        ]
        if product_streams or target_streams:
            referrer = provider_spec.find_referrer(stream_group) or stream_group
            rollup = BatchRollup(
                referrer.row_scopes,
                [
                    stream.get_pass(referrer.name).ledger
                    for stream in streams
                    if stream.product_name in {referrer.name, stream_group.name}
                ],
            )
            # Each template of a product that is read for its references may lead to a batch of the target, so all stay.
            syncs_by_product[stream_group.name] = ProductSync(
                stream_group if target_streams else _drop_unneeded_templates(stream_group, product_streams),
                product_streams,
                target_streams,
                rollup,
            )
    return syncs_by_product


def _drop_unneeded_templates(stream_group: StreamGroup, streams: Sequence[Stream]) -> StreamGroup:
    """Return a product without the templates that are of no use to any of its streams.

    Typed tables hold the data of one template each, so a sync of typed tables alone lists only theirs.
    """
    needed_ids = []
    for template_id in stream_group.template_ids:
        template_ref = PartitionRef(template_id, "")
        if any(stream.state.is_relevant(template_ref) for stream in streams):
            needed_ids.append(template_id)
    return replace(stream_group, template_ids=tuple(needed_ids))
