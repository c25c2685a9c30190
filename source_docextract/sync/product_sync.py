"""What a visit to a provider has to do for each product, and for whom."""

from __future__ import annotations

from collections import ChainMap, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from airbyte_cdk.models import AirbyteMessage

from ..core.errors import ConnectorError, UnreadableResponse
from ..core.model import FileStatus, PartitionKey, PartitionRef, PartitionStatus, Snapshot
from ..core.provider import ChangeDetection, ListedRows, ProviderSpec, StreamGroup, Window
from ..state.entries import Listing
from ..state.ledger import Ledger, age_sort_key
from ..state.windows import WindowCursor
from .stream import Stream


@dataclass(eq=False, slots=True)
class ProductSync:
    """One product on a visit.

    Attributes:
        streams: selected streams of this product.
        followers: selected streams of the product that its links lead to.
        lists_missing: templates whose list is still on its way.
        queue: what is due and not started; None until the lists are read.
        running: what has been asked for and is not answered.
        stages: of a product with a list by time, how it goes on once all that was started is delivered.
        listed: a window that has been listed, and whose rows are not queued yet.
        held: of a product that is watched by links: what is due because it is named, asked for at the end.
        due: of the same: batches of which a document has told news; others may follow.
        homeless: of the same: documents that do not tell which batch they are in, with their status.
        asked: what has been asked for by its id in this sync, of a product with a list.
        late: what a list shows and the last try could not read: it is asked for after all windows.
        cut_short: the list was not read to its end, so that what was not seen may still be there.
    """

    stream_group: StreamGroup
    streams: Sequence[Stream]
    target_streams: Sequence[Stream]
    listing: Listing = field(default_factory=Listing)
    pending_listings: int = 0
    queue: deque[PartitionRef] | None = None
    running_tasks: int = 0
    stages: Iterator[Iterable[AirbyteMessage]] | None = None
    listed_window: ListedRows | None = None
    deferred: dict[PartitionKey, PartitionRef] = field(default_factory=dict)
    changed_batches: dict[PartitionKey, PartitionRef] = field(default_factory=dict)
    orphan_documents: dict[str, FileStatus] = field(default_factory=dict)
    requested_by_id: set[PartitionKey] = field(default_factory=set)
    refs_to_retry: list[PartitionRef] = field(default_factory=list)
    listing_incomplete: bool = False

    @property
    def stream_ledgers(self) -> list[tuple[Stream, Ledger]]:
        return [(stream, stream.get_ledger(self.stream_group.name)) for stream in (*self.streams, *self.target_streams)]

    @property
    def failed_keys(self) -> set[PartitionKey]:
        """What the last try could not read, for any of the readers."""
        return set().union(*(ledger.failed_keys for _, ledger in self.stream_ledgers))

    @property
    def is_busy(self) -> bool:
        return bool(self.queue) or self.running_tasks > 0

    @property
    def is_fully_listed(self) -> bool:
        """Whether all that it lists has been listed."""
        return self.queue is not None and self.stages is None and not self.listing_incomplete

    @property
    def has_work(self) -> bool:
        return self.queue is None or self.is_busy or self.stages is not None

    def find_tracking_streams(self, ref: PartitionRef) -> list[Stream]:
        """The readers to whom a reading of this batch is of any use."""
        return [stream for stream, ledger in self.stream_ledgers if ledger.tracks(ref)]

    def enqueue(self, refs: Iterable[PartitionRef]) -> None:
        if self.queue is None:
            self.queue = deque()
        self.queue.extend(refs)

    def plan_batches(self, now: datetime) -> list[Snapshot]:
        """Queues what any of its readers needs, oldest first; gives the open batches that have vanished."""
        due_by_key: dict[PartitionKey, PartitionRef] = {}
        vanished_by_key: dict[PartitionKey, PartitionRef] = {}
        for _, ledger in self.stream_ledgers:
            due_refs, vanished_refs = ledger.plan(self.listing, now)
            due_by_key.update((ref.key, ref) for ref in due_refs)
            vanished_by_key.update((ref.key, ref) for ref in vanished_refs)
        failed_keys = self.failed_keys
        refs = sorted(due_by_key.values(), key=lambda ref: (ref.key in failed_keys, age_sort_key(ref)))
        if self.stream_group.change_detection is ChangeDetection.REFERENCE:
            self.deferred = {ref.key: ref for ref in refs}
            refs = []
        self.enqueue(refs)
        error_text = "Its template's list no longer contains it."
        return [Snapshot(ref, PartitionStatus.MISSING, error=error_text) for ref in vanished_by_key.values()]

    def plan_window(self, cursor: WindowCursor, window: Window, window_listing: ListedRows, now: datetime) -> None:
        """Queues what a window shows to those of its readers that have not been past it."""
        if window_listing.error:
            cursor.unreadable_windows.add(window)
            self.listing_incomplete = True
            self.fail(UnreadableResponse(window_listing.error))
        ledgers = [ledger for _, ledger in self.stream_ledgers if cursor.is_needed(ledger, window)]
        self._plan_listed_rows(
            [(ledger, self._skip_delivered_rows(ledger, window, window_listing.refs)) for ledger in ledgers], now
        )

    def _skip_delivered_rows(
        self, ledger: Ledger, window: Window, refs: Sequence[PartitionRef]
    ) -> Sequence[PartitionRef]:
        """Leave out rows that were delivered when another of their scopes, or the same one, was read before."""
        if not ledger.has_pruned_rows(window.time_range):
            return refs
        scopes_of = self.stream_group.row_scopes
        return [ref for ref in refs if not ledger.is_pruned(ref, scopes_of(window.scope, ref), window.time_range)]

    def plan_members(self, streams: Iterable[Stream], members: Sequence[PartitionRef], now: datetime) -> None:
        """Expects what is in a batch that is named by hand, and queues what of it is told by rows like a list's."""
        ledgers = [stream.get_ledger(self.stream_group.name) for stream in streams]
        for ledger in ledgers:
            for ref in members:
                ledger.register_reference(ref, now)
        rows = [ref for ref in members if ref.listed_row is not None]
        self._plan_listed_rows([(ledger, rows) for ledger in ledgers], now)

    def _plan_listed_rows(
        self, rows_by_ledger: Collection[tuple[Ledger, Sequence[PartitionRef]]], now: datetime
    ) -> None:
        due_by_key: dict[PartitionKey, PartitionRef] = {}
        for ledger, rows in rows_by_ledger:
            listing = Listing()
            listing.add(rows)
            due_by_key.update((ref.key, ref) for ref in ledger.plan(listing, now)[0])
        # What the last try could not read comes after all windows: it must not stand in the way of the rest.
        self.refs_to_retry += (due_by_key.pop(key) for key in sorted(due_by_key.keys() & self.failed_keys))
        expected_keys = {key for key in due_by_key if any(ledger.is_awaiting_read(key) for ledger, _ in rows_by_ledger)}
        self.enqueue(sorted(due_by_key.values(), key=lambda ref: (ref.key in expected_keys, age_sort_key(ref))))

    def plan_unlisted(self, now: datetime) -> bool:
        """Queues what is unfinished, in none of the lists and not asked for yet; then what is late. False if there is
        nothing."""
        excluded_keys = self.requested_by_id | {ref.key for ref in self.refs_to_retry}
        refs = {
            ref.key: ref
            for _, ledger in self.stream_ledgers
            for ref in ledger.find_unlisted(now)
            if ref.key not in excluded_keys
        }
        failed_keys = self.failed_keys
        next_refs = sorted(refs.values(), key=lambda ref: ref.key in failed_keys)
        if not next_refs:
            next_refs, self.refs_to_retry = self.refs_to_retry, []
        self.requested_by_id.update(ref.key for ref in next_refs)
        self.enqueue(next_refs)
        return bool(next_refs)

    def list_open_references(self, member_statuses: Mapping[str, FileStatus]) -> list[PartitionRef]:
        """To all batches that have something unfinished, to tell them something."""
        open_keys = {key: None for stream in self.streams for key in stream.state.ledger.open_keys}
        return [
            PartitionRef(None, key.batch_id, is_explicit=True, is_referenced=True, member_statuses=member_statuses)
            for key in open_keys
        ]

    def enqueue_changed_batches(self, *, include_deferred: bool = False) -> None:
        """Queues the batches of which all is told for now; those that are named only if `held`."""
        refs = [ref for key, ref in self.changed_batches.items() if key not in self.deferred]
        refs += self.deferred.values() if include_deferred else ()
        self.changed_batches.clear()
        if include_deferred:
            self.deferred.clear()
        ledgers = [ledger for _, ledger in self.stream_ledgers]
        failed_keys = self.failed_keys
        for ref in sorted(refs, key=lambda ref: ref.key in failed_keys):
            saved_states = [ledger.get_read_context(ref.key) for ledger in ledgers]
            provider_state = next((provider_state for provider_state, _ in saved_states if provider_state), "")
            member_statuses = dict(
                ChainMap(*(member_statuses for _, member_statuses in saved_states), self.orphan_documents)
            )
            # What the registry says of a batch holds whoever asks for it: else its row would change to and fro.
            listed_ref = self.listing.refs.get(ref.key, ref)
            completed_ref = replace(
                ref,
                created_at=ref.created_at or listed_ref.created_at,
                approx_created_at=ref.approx_created_at or listed_ref.approx_created_at,
                expected_files=ref.expected_files or listed_ref.expected_files,
            )
            self.enqueue([replace(completed_ref, provider_state=provider_state, member_statuses=member_statuses)])

    def is_unknown_to_provider(self, ref: PartitionRef) -> bool:
        """Return whether the provider does not know a batch, as far as its readers remember it."""
        entries = [ledger.entries[ref.key] for _, ledger in self.stream_ledgers if ref.key in ledger.entries]
        return bool(entries) and all(entry.status is PartitionStatus.MISSING for entry in entries)

    @property
    def has_pending_changes(self) -> bool:
        return bool(self.deferred or self.changed_batches)

    def record_failure(self, ref: PartitionRef, now: datetime) -> None:
        """Remember what could not be read: it comes last at the next try.

        What stands in a list by time is asked for again whatever that list shows: it will soon be past it.
        """
        self.requested_by_id.add(ref.key)
        for _, ledger in self.stream_ledgers:
            if not ledger.tracks(ref):
                continue
            ledger.failed_keys.add(ref.key)
            if self.stream_group.change_detection is ChangeDetection.LISTING:
                ledger.flag_for_reread(ref, now)

    def fail(self, error: ConnectorError, streams: Iterable[Stream] | None = None, *, is_final: bool = False) -> None:
        for stream in (*self.streams, *self.target_streams) if streams is None else streams:
            stream.fail(error, is_final=is_final)


def build_product_syncs(provider_spec: ProviderSpec, streams: Sequence[Stream]) -> dict[str, ProductSync]:
    """By product: those with selected streams, and those that are read for links alone."""
    syncs_by_product = {}
    for stream_group in provider_spec.stream_groups:
        product_streams = [stream for stream in streams if stream.product_name == stream_group.name]
        target_streams = [
            stream
            for stream in streams
            if stream_group.referenced_group and stream.product_name == stream_group.referenced_group
        ]
        if product_streams or target_streams:
            syncs_by_product[stream_group.name] = ProductSync(
                stream_group if target_streams else _drop_unneeded_templates(stream_group, product_streams),
                product_streams,
                target_streams,
            )
    return syncs_by_product


def _drop_unneeded_templates(stream_group: StreamGroup, streams: Sequence[Stream]) -> StreamGroup:
    """A product without the templates that are no business of any of the streams."""
    template_ids = stream_group.template_ids
    return replace(
        stream_group,
        template_ids=tuple(
            template_id
            for template_id in template_ids
            if any(stream.state.is_relevant(PartitionRef(template_id, "")) for stream in streams)
        ),
    )
