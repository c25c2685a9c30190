"""The work of one sync on one ledger: what is due, and what its readings change. Pure.

There is one kind of pass for each kind of change detection. All kinds work on the same ledger, record readings by the
same table of transitions, and differ in what makes a partition due and in what is forgotten at the end:

    POLLING    An open partition, and a settled one in the lookback, is due by itself. What has settled for good is
               compacted by day.
    REFERENCE  The same for partitions that the settings name. For all others a reference shows each change, so only
               that makes them due, and they are forgotten once they are settled.
    LISTING    The listing shows each change, so neither an open partition nor the lookback costs a request. What has
               settled is pruned once the lookback has passed it; read ranges prove that it was delivered.

A pass lasts for one sync: what it has learned from the listings (`LedgerPass.plan`) is not part of the state. It has no
clock; the caller passes the time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from ..core.content import hash_row
from ..core.model import PartitionKey, PartitionRef, PartitionStatus, Snapshot, get_empty_object
from ..core.provider import ChangeDetection
from ..core.time_ranges import BEGINNING, TimeRange, subtract_ranges
from ..core.timestamps import truncate_to_day
from .compaction import CompactedDay, DayKey, compare_with_days, group_by_day, is_day_over
from .entries import Entry, EntryState, Listing, SyncPolicy
from .ledger import Ledger
from .transitions import Decision, HashedRow, build_listed_signature, decide

_INSTANT = timedelta(microseconds=1)


class LedgerPass(ABC):
    """One sync's work on one ledger.

    Args:
        ledger: the ledger, as the last sync left it.
        policy: the user's settings, with the filter of the stream.

    Attributes:
        ledger: as passed; each reading changes it.
    """

    def __init__(self, ledger: Ledger, policy: SyncPolicy) -> None:
        self.ledger = ledger
        self._policy = policy
        self._known_refs: dict[PartitionKey, PartitionRef] = {}
        self._unread: dict[PartitionKey, DayKey | None] = {}

    @abstractmethod
    def plan(self, listing: Listing, now: datetime) -> list[PartitionRef]:
        """Return the due partitions of a listing.

        The pass remembers the listing: the next one replaces it.
        """

    def tracks(self, ref: PartitionRef) -> bool:
        """Return whether a reading of a partition is recorded.

        It is not where the partition lies in a compacted day or a read range and was read for another stream.
        """
        return ref.key in self.ledger.entries or ref.key in self._unread

    def is_due(self, ref: PartitionRef, now: datetime) -> bool:
        """Return whether a reading of a planned partition is needed.

        Args:
            ref: the partition, as the listings and the settings of this sync name it.
            now: the time of this sync.
        """
        entry = self.ledger.get(ref.key)
        if entry.state is EntryState.NEW:
            return ref.key in self._unread
        is_retry_due = entry.needs_reading or self._policy.is_missing_retry_due(entry, now)
        return is_retry_due or self._is_entry_due(entry, ref, now)

    @abstractmethod
    def _is_entry_due(self, entry: Entry, ref: PartitionRef, now: datetime) -> bool:
        """Return whether an entry that was read, and is not flagged or missing, is due."""

    def decide(self, snapshot: Snapshot, now: datetime) -> Decision:
        """Return the meaning of a reading, without recording it."""
        return decide(self.ledger.get(snapshot.ref.key), snapshot, self._policy, now)

    def record(self, ref: PartitionRef, decision: Decision, row_hashes: Collection[str] | None, now: datetime) -> None:
        """Record one reading of a partition.

        Args:
            ref: the partition.
            decision: the meaning of the reading.
            row_hashes: the hashes of all its rows; None where the provider does not report the rows ("waiting").
            now: the time of this sync.
        """
        entry = decision.entry
        # "Waiting" reports no rows, which is not the same as none. Neither does the answer to an unknown id say that a
        # result has no rows any more. The hashes of the delivered rows stay.
        is_silent = row_hashes is None or (entry.state is EntryState.MISSING and not row_hashes)
        if row_hashes is not None and not is_silent and not decision.keeps_rows:
            entry = replace(entry, row_hashes="".join(row_hashes), changed_rows=get_empty_object())
        self.ledger.entries[ref.key] = entry
        self.ledger.failed_keys.discard(ref.key)
        self._unread.pop(ref.key, None)

    def record_failure(self, ref: PartitionRef, now: datetime) -> None:
        """Record that a partition could not be read; the next sync asks for it last.

        Only where it was needed: elsewhere it has been delivered, and its failure makes no look due.
        """
        if self.is_due(ref, now):
            self.ledger.failed_keys.add(ref.key)

    def flag_for_reread(self, ref: PartitionRef, now: datetime) -> None:
        """Record that a partition has to be fetched by id, after its listing."""
        entry = self.ledger.entries.get(ref.key) or self._add_unread(ref.key, now, is_planned=ref.key in self._unread)
        entry.needs_reread = entry.state is not EntryState.UNREAD

    def record_part(
        self, ref: PartitionRef, new_rows: Collection[HashedRow], now: datetime, *, is_first_reading: bool
    ) -> None:
        """Record delivered rows of a partition that is still being read.

        The partition stays due until `record`: an interrupted reading is repeated from its start, without these rows.

        Args:
            ref: the partition.
            new_rows: the rows that were new and have been delivered.
            now: the time of this sync.
            is_first_reading: whether no row of the partition had been delivered before this reading.
        """
        if not new_rows:
            return
        self.flag_for_reread(ref, now)
        entry = self.ledger.entries[ref.key]
        if is_first_reading:
            entry.row_hashes += "".join(row.row_hash for row in new_rows)
        else:
            # The hashes of the reading before stay: most of its rows are on pages that have not been read yet.
            # A mapping of its own first: entries without changed rows share an empty one.
            entry.changed_rows = entry.changed_rows or {}
            entry.changed_rows.update((hash_row(row.id.encode()), row.row_hash) for row in new_rows)

    def _add_unread(self, key: PartitionKey, now: datetime, *, is_planned: bool) -> Entry:
        """Add the entry of a partition that has to be read, and return it.

        Args:
            key: the partition.
            now: the time of this sync.
            is_planned: whether the listing of this sync has shown that it is unread.
        """
        entry = self.ledger.entries[key] = Entry(now, EntryState.UNREAD)
        return entry

    def is_missing(self, key: PartitionKey, now: datetime) -> bool:
        """Return whether the provider does not know a partition, or a part of it, and is asked again."""
        return self._policy.has_missing_retries(self.ledger.get(key), now)

    def register_reference(self, ref: PartitionRef, now: datetime, *, has_changed: bool = False) -> bool:
        """Record a reference to a partition; return whether that makes it due.

        Args:
            ref: the referenced partition.
            now: the time of this sync.
            has_changed: whether the referring partition shows a change in it, which makes it due even if it has been
                read. Without a change, only a reference to a partition outside the plan makes it due.
        """
        entry = self.ledger.entries.get(ref.key)
        if entry is None:
            # A planned partition is read by this sync anyway, or lies in a compacted day.
            is_planned = self._is_planned(ref.key)
            if is_planned and not has_changed:
                return False
            entry = self._add_unread(ref.key, now, is_planned=is_planned)
            is_due = not is_planned
        else:
            is_due = has_changed and not entry.needs_reading
            entry.needs_reread = entry.needs_reread or is_due
        # The entry is in the state before the referring partition may settle: an interruption in between loses nothing.
        entry.last_referenced_at = now
        if ref.member_statuses:
            # A new mapping, since entries without statuses share an empty one.
            entry.member_statuses = {**entry.member_statuses, **ref.member_statuses}
        return is_due

    def _is_planned(self, key: PartitionKey) -> bool:
        """Return whether the listing of this sync names a partition without an entry."""
        known_ref = self._known_refs.get(key)
        return known_ref is not None and self._is_candidate(known_ref)

    def _is_candidate(self, ref: PartitionRef) -> bool:
        return self._policy.is_in_range(ref) or self.ledger.get(ref.key).last_referenced_at is not None

    @abstractmethod
    def compact_and_prune(
        self, now: datetime, scopes: Collection[str] = (), *, are_references_repeatable: bool = False
    ) -> None:
        """Compact days and prune entries at the end of a sync.

        Args:
            now: the time of this sync.
            scopes: the scopes of a listing by time that this sync has read.
            are_references_repeatable: whether a referring partition may repeat its references, because a look at it is
                still due, or because it could not be read. Without the entry, everything in the referenced partition
                would then be delivered a second time. Entries stay for `give_up_after_days`, so that a referring
                partition which always fails does not make the state grow.
        """

    def _drop_unnamed_failures(self, failed_templates: Collection[str] = ()) -> None:
        # A failed key that nothing names any more would stay in the state for ever.
        self.ledger.failed_keys = {
            key
            for key in self.ledger.failed_keys
            if key in self.ledger.entries
            or key in self._known_refs
            or key in self._unread
            or key.template_id in failed_templates
        }


class PollingPass(LedgerPass):
    """One sync over partitions that have to be requested to see a change."""

    def __init__(self, ledger: Ledger, policy: SyncPolicy) -> None:
        super().__init__(ledger, policy)
        self._refs_by_day: dict[DayKey, list[PartitionRef]] = {}
        self._unread_counts: Counter[DayKey] = Counter()
        self._failed_templates: set[str] = set()

    def plan(self, listing: Listing, now: datetime) -> list[PartitionRef]:
        """Return the due partitions: those that the listing names, and referenced ones."""
        ledger = self.ledger
        if ledger.last_complete_sync is None and not (ledger.entries or ledger.compacted_days):
            # Nothing is settled yet, so no look is due. If this sync is killed, the next one knows which looks are.
            ledger.last_complete_sync = now
        self._failed_templates = listing.failed_templates
        for key, entry in ledger.entries.items():
            # No look is made where the listing could not be read, so those that are due now stay due.
            is_unlisted = key.template_id in listing.failed_templates
            if is_unlisted and self._policy.is_look_due(entry, ledger.last_complete_sync, now):
                ledger.failed_keys.add(key)
        # These listings could be read this time, so they lose their place at the end of the queue.
        ledger.failed_keys -= {PartitionKey(template_id, "") for template_id in listing.complete_templates}
        referenced_refs = {
            key: _build_referenced_ref(key) for key, entry in ledger.entries.items() if entry.last_referenced_at
        }
        ref_items = {**referenced_refs, **listing.refs}.items()
        # A listing that could not be read proves nothing about its partitions: their entries stay untouched.
        self._known_refs = {key: ref for key, ref in ref_items if key.template_id not in listing.failed_templates}
        candidates = [ref for ref in self._known_refs.values() if self._is_candidate(ref)]
        self._refs_by_day = group_by_day(candidates)
        unread_days, mismatched_days = compare_with_days(self._refs_by_day, ledger.compacted_days, ledger.entries)
        for template_id, day in mismatched_days:
            ledger.compacted_days.get(template_id, {}).pop(day, None)
        self._unread_counts = Counter(unread_days.values())
        undated_keys = {ref.key for ref in candidates if ref.approx_created_at is None}
        self._unread = {**dict.fromkeys(undated_keys - ledger.entries.keys()), **unread_days}
        return [ref for ref in candidates if self.is_due(ref, now)]

    def _is_entry_due(self, entry: Entry, ref: PartitionRef, now: datetime) -> bool:
        if entry.state is EntryState.OPEN or entry.signature != build_listed_signature(ref, entry.state):
            return True
        return self._is_look_due(ref.key, entry, now)

    def _is_look_due(self, key: PartitionKey, entry: Entry, now: datetime) -> bool:
        """Return whether a settled partition has to be looked at, or whether its last look failed."""
        has_failed = entry.is_settled and key in self.ledger.failed_keys
        return has_failed or self._policy.is_look_due(entry, self.ledger.last_complete_sync, now)

    def _is_removable(self, key: PartitionKey, entry: Entry, now: datetime) -> bool:
        """Return whether neither a change nor a look is expected: without its entry, a look delivers nothing."""
        return self._policy.is_removable(entry, now) and not self._is_look_due(key, entry, now)

    def record(self, ref: PartitionRef, decision: Decision, row_hashes: Collection[str] | None, now: datetime) -> None:
        """Record one reading, and compact its day if that was the last unread one.

        Compacting at once keeps the checkpoints of a long first sync small.
        """
        day_key = self._unread.get(ref.key)
        super().record(ref, decision, row_hashes, now)
        if day_key:
            self._unread_counts[day_key] -= 1
            self._compact_day(day_key, now)

    def _compact_day(self, day_key: DayKey, now: datetime) -> None:
        """Compact the settled partitions of a day that is past and wholly read."""
        if self._unread_counts[day_key] or not is_day_over(day_key, now):
            return
        template_id, day = day_key
        for ref in self._refs_by_day[day_key]:
            # Most partitions of a long history are in compacted days, and have no entry any more.
            entry = self.ledger.entries.get(ref.key)
            if entry is not None and self._is_compactable(entry, ref, now):
                self.ledger.compacted_days.setdefault(template_id, {}).setdefault(day, CompactedDay()).add(ref)
                del self.ledger.entries[ref.key]

    def _is_compactable(self, entry: Entry, ref: PartitionRef, now: datetime) -> bool:
        # The sum would cover the listed signature: a change that has not been read would never be noticed. And of a
        # partition that has to be read again, only its entry keeps it due.
        if not entry.is_settled or entry.signature != ref.signature or entry.needs_reading:
            return False
        # A referenced partition may be announced again, and an excluded one is not in later listings of the day.
        is_only_listed = not self._policy.is_recently_referenced(entry, now) and self._policy.is_in_range(ref)
        return is_only_listed and self._is_removable(ref.key, entry, now)

    def compact_and_prune(
        self, now: datetime, scopes: Collection[str] = (), *, are_references_repeatable: bool = False
    ) -> None:
        """Compact the days that are over, and drop the entries that nothing names any more."""
        for day_key in self._refs_by_day:
            self._compact_day(day_key, now)
        self._drop_unnamed_failures(self._failed_templates)
        for key, entry in list(self.ledger.entries.items()):
            ref = self._known_refs.get(key)
            is_named = ref is not None and not ref.is_referenced and self._policy.is_in_range(ref)
            if is_named or key.template_id in self._failed_templates:
                continue
            is_prunable = not entry.needs_reading and self._is_prunable(key, now, are_references_repeatable)
            # No setting, registry or list includes it now. Only a reference keeps its entry: the state stays small.
            if is_prunable or not entry.last_referenced_at:
                del self.ledger.entries[key]

    def _is_prunable(self, key: PartitionKey, now: datetime, is_repeatable: bool) -> bool:
        """Return whether nothing more is expected of a referenced partition."""
        entry = self.ledger.get(key)
        # The referring batch repeats a reference for as long as it is in the lookback.
        is_referenced = self._policy.is_recently_referenced(entry, now, is_repeatable=is_repeatable)
        return not is_referenced and self._is_removable(key, entry, now)


class ReferencePass(PollingPass):
    """One sync over partitions whose changes are shown by the partitions that refer to them."""

    def _is_entry_due(self, entry: Entry, ref: PartitionRef, now: datetime) -> bool:
        # Unless the settings name it, its references show each change.
        return not ref.is_referenced and super()._is_entry_due(entry, ref, now)

    def decide(self, snapshot: Snapshot, now: datetime) -> Decision:
        """Return the meaning of a reading; an incomplete one has to be repeated.

        A batch that only its documents name is not polled.
        """
        is_incomplete = bool(snapshot.references or snapshot.read_error)
        return decide(self.ledger.get(snapshot.ref.key), snapshot, self._policy, now, must_repeat=is_incomplete)

    def _is_prunable(self, key: PartitionKey, now: datetime, is_repeatable: bool) -> bool:
        entry = self.ledger.get(key)
        # References announce its changes, so the entry is not needed after it has settled.
        is_done = entry.is_settled and not self._policy.has_missing_retries(entry, now)
        return is_done or super()._is_prunable(key, now, is_repeatable)


class ListingPass(LedgerPass):
    """One sync over partitions that a listing by time shows, window by window.

    Attributes:
        skips_lookback: whether this sync does not list the lookback again.
    """

    def __init__(self, ledger: Ledger, policy: SyncPolicy) -> None:
        super().__init__(ledger, policy)
        self._listed_keys: set[PartitionKey] = set()
        self._has_listed_rows = False
        self._creation_times: dict[PartitionKey, datetime | None] = {}
        self._has_gap = False
        self._distrusted_from: datetime | None = None
        self._delivered_keys: set[PartitionKey] = set()
        self.skips_lookback = False

    def plan(self, listing: Listing, now: datetime) -> list[PartitionRef]:
        """Return the due partitions of one window."""
        # `find_unlisted` returns what no listing shows, referenced or not, after all windows have been read. The
        # references are not kept: each holds a row, whose memory is free as soon as the row is delivered.
        self._creation_times = {key: ref.approx_created_at for key, ref in listing.refs.items()}
        self._listed_keys.update(listing.refs)
        self._has_listed_rows = self._has_listed_rows or bool(listing.refs)
        candidates = [ref for ref in listing.refs.values() if self._is_candidate(ref)]
        self._unread = {ref.key: None for ref in candidates if ref.key not in self.ledger.entries}
        return [ref for ref in candidates if self.is_due(ref, now)]

    def _is_planned(self, key: PartitionKey) -> bool:
        return key in self._unread

    def _is_entry_due(self, entry: Entry, ref: PartitionRef, now: datetime) -> bool:
        # An overdue partition is read once more although its listing is the same: that reading marks it as stalled.
        is_overdue = self._policy.is_overdue(entry, now)
        return is_overdue or entry.signature != build_listed_signature(ref, entry.state)

    def decide(self, snapshot: Snapshot, now: datetime) -> Decision:
        """Return the meaning of a reading; one that was fetched by id has no listing."""
        entry = self.ledger.get(snapshot.ref.key)
        decision = decide(entry, snapshot, self._policy, now, is_fetched_by_id=not snapshot.ref.fingerprint)
        # Rows of this entry, such as that of a document which the provider did not know, replace those of before.
        was_delivered = snapshot.ref.key in self._delivered_keys and not entry.row_hashes
        return replace(decision, is_delivered=was_delivered)

    def record(self, ref: PartitionRef, decision: Decision, row_hashes: Collection[str] | None, now: datetime) -> None:
        """Record one reading, and whether the partition has settled on a later day than it was created."""
        super().record(ref, decision, row_hashes, now)
        if self.ledger.given_up:
            self.ledger.given_up.discard(_hash_key(ref.key))
        if ref.key in self.ledger.doubtful_keys and decision.entry.state is not EntryState.MISSING:
            self.ledger.doubtful_keys.discard(ref.key)
            self._delivered_keys.discard(ref.key)
        settled_at = decision.entry.status_since
        is_late = ref.approx_created_at is None or ref.approx_created_at < truncate_to_day(settled_at)
        if decision.entry.is_settled and is_late and not decision.keeps_rows:
            self.ledger.late_settled_at = max(settled_at, self.ledger.late_settled_at or settled_at)

    def record_failure(self, ref: PartitionRef, now: datetime) -> None:
        """Record that a partition could not be read, and has to be fetched by id.

        The windows of the next sync may no longer reach back to it.
        """
        self.ledger.failed_keys.add(ref.key)
        self.flag_for_reread(ref, now)

    def _add_unread(self, key: PartitionKey, now: datetime, *, is_planned: bool) -> Entry:
        """Add the entry of a partition that has to be read, which is doubtful unless a listing has shown it."""
        if not is_planned and any(self.ledger.read_ranges.values()):
            self.ledger.doubtful_keys.add(key)
        return super()._add_unread(key, now, is_planned=is_planned)

    def find_unlisted(self, now: datetime) -> list[PartitionRef]:
        """Return entries that must be fetched by id because no listing covers them.

        Those are open and missing entries that no listing of this sync names, and entries that have to be read again
        although their listing is unchanged.
        """
        return [
            PartitionRef(key.template_id or None, key.batch_id, is_explicit=True)
            for key, entry in self.ledger.entries.items()
            if entry.needs_reading or (key not in self._listed_keys and self._is_poll_due(entry, now))
        ]

    def find_unlisted_open(self) -> list[PartitionKey]:
        """Return the open partitions that no listing of this sync has named, apart from those that must be read."""
        entries, listed_keys = self.ledger.entries, self._listed_keys
        return [key for key in self.ledger.open_keys if key not in listed_keys and not entries[key].needs_reading]

    def _is_poll_due(self, entry: Entry, now: datetime) -> bool:
        return entry.state is EntryState.OPEN or self._policy.is_missing_retry_due(entry, now)

    def distrust_future_reads(self, now: datetime, lookback_start: datetime) -> None:
        """Ignore read ranges within the lookback if a watermark lies in the future.

        An earlier sync then ran with a clock that was ahead. Partitions created since its time would never be
        delivered if its ranges counted. If instead the present clock is wrong, some rows are delivered twice, which a
        destination that deduplicates by `id` absorbs.
        """
        self._distrusted_from = lookback_start if self._has_future_watermark(now) else None

    def _has_future_watermark(self, now: datetime) -> bool:
        return any(watermark > now for watermark in self.ledger.watermarks.values())

    def is_pruned(self, ref: PartitionRef, scopes: Iterable[str], window: TimeRange) -> bool:
        """Return whether a listed row was delivered and pruned before.

        Args:
            ref: the listed row. If its creation time is missing or impossible, the whole window stands for it.
            scopes: the scopes whose listings show the row.
            window: the range of creation time that was listed.
        """
        return ref.key not in self.ledger.entries and self._is_covered(_find_creation_range(ref) or window, scopes)

    def _is_covered(self, time_range: TimeRange, scopes: Iterable[str]) -> bool:
        """Return whether a range lies in those in which everything was delivered and pruned."""
        return any(not subtract_ranges(time_range, self._get_pruned_ranges(scope)) for scope in scopes)

    def trust_listing(self, ref: PartitionRef, scopes: Iterable[str], window: TimeRange) -> None:
        """Clear the doubt about a listed partition that the read ranges do not cover.

        They will cover it once this window has been read, whether or not it could be delivered.
        """
        if ref.key in self.ledger.doubtful_keys and not self._is_covered(_find_creation_range(ref) or window, scopes):
            self.ledger.doubtful_keys.discard(ref.key)

    def resolve_doubt(self, snapshot: Snapshot, scopes: Iterable[str]) -> None:
        """Find out whether a doubtful partition was delivered before, now that its creation time is known.

        If so, the rows of this reading need no delivery.

        Args:
            snapshot: the reading.
            scopes: the scopes whose listings show the partition.
        """
        ref = snapshot.ref
        if ref.key not in self.ledger.doubtful_keys or snapshot.status is not PartitionStatus.COMPLETE:
            return
        if _hash_key(ref.key) in self.ledger.given_up:
            return
        # Without a creation time nothing proves the delivery: twice is better than never.
        time_range = _find_creation_range(ref)
        if time_range and self._is_covered(time_range, scopes):
            self._delivered_keys.add(ref.key)

    def has_pruned_rows(self, window: TimeRange) -> bool:
        """Return whether rows in a window were delivered and pruned, under any scope."""
        return any(
            subtract_ranges(window, self._get_pruned_ranges(scope)) != [window] for scope in self.ledger.read_ranges
        )

    def _get_pruned_ranges(self, scope: str) -> list[TimeRange]:
        # After `pruned_before`, a settled partition has an entry: without one, it has not been delivered.
        limit = self.ledger.pruned_before.get(scope, BEGINNING)
        limit = min(limit, self._distrusted_from) if self._distrusted_from else limit
        ranges = self.ledger.read_ranges.get(scope, ())
        return [TimeRange(start, min(end, limit)) for start, end in ranges if start < limit]

    def begin_delivery(self, scope: str) -> None:
        """Record that rows are delivered under a scope, before anything of it counts as read.

        If the settings drop the scope before that, after a kill or with a `start_date` of today, these rows are pinned.
        """
        self.ledger.read_ranges.setdefault(scope, [])
        # From now on the pinned entries are no longer all that was delivered under this scope.
        self.ledger.inactive_scopes.discard(scope)

    def advance_watermark(
        self, scope: str, window: TimeRange, delivered_range: TimeRange, lookback_start: datetime
    ) -> None:
        """Record that a window has been read, and prune its settled entries.

        Entries within the lookback stay, because the next sync lists them again.

        Args:
            scope: the scope whose listing was read.
            window: the range of creation time that was listed.
            delivered_range: the part of the window, possibly empty, of which the stream has received everything.
            lookback_start: the time from which on the next sync lists again.
        """
        ledger = self.ledger
        if ledger.watermarks.get(scope, BEGINNING) < window.start:
            self._has_gap = True
            # Some entries may lie in the gap: when it is read later, only their entries prevent a second delivery.
            self._pin_unlisted()
        ledger.add_read_range(scope, delivered_range)
        pruned_before = min(delivered_range.end, lookback_start)
        # Neither an older window nor longer `lookback_days` move it back: the entries before it are gone, so their rows
        # would be delivered a second time.
        ledger.pruned_before[scope] = max(pruned_before, ledger.pruned_before.get(scope, pruned_before))
        for key, created_at in self._creation_times.items():
            entry = ledger.entries.get(key)
            if entry is None or created_at is None:
                continue
            is_in_read_range = any(start <= created_at < end for start, end in ledger.read_ranges[scope])
            # A missing partition is retried, and a referenced one is named by nothing but its entry.
            is_kept = entry.is_unfinished or entry.needs_reading
            is_kept = is_kept or entry.last_referenced_at is not None or entry.missing_since is not None
            if is_in_read_range and not is_kept and created_at < lookback_start:
                self._prune_listed(key, entry)
                # No entry is left that it could say anything of: a long history must not stay in memory.
                self._listed_keys.discard(key)
            elif is_in_read_range:
                # From now on the read range proves its delivery, so it may be pruned after the lookback.
                entry.is_pinned = False
            elif created_at < delivered_range.start:
                # A later `start_date` now excludes it: an earlier one must not deliver it a second time.
                entry.is_pinned = True
        self._creation_times = {}

    def compact_and_prune(
        self, now: datetime, scopes: Collection[str] = (), *, are_references_repeatable: bool = False
    ) -> None:
        """Drop the settled entries that no listing of this sync has shown."""
        self._drop_unnamed_failures()
        self._deactivate_scopes(self.ledger.read_ranges.keys() - set(scopes))
        # An empty listing proves no deletion: the key may belong to another account. With the clock set back, the
        # listing ended earlier than before, and may show more entries again.
        if not self._has_listed_rows or self._has_future_watermark(now) or self.skips_lookback:
            return
        for key, entry in list(self.ledger.entries.items()):
            is_kept = entry.is_unfinished or entry.needs_reading or entry.is_pinned
            is_kept = is_kept or self._policy.has_missing_retries(entry, now)
            is_kept = is_kept or self._policy.is_recently_referenced(
                entry, now, is_repeatable=are_references_repeatable
            )
            if not is_kept and key not in self._listed_keys:
                self._prune_listed(key, entry)

    def _prune_listed(self, key: PartitionKey, entry: Entry) -> None:
        """Prune the entry of a partition whose delivery the read ranges prove from now on."""
        del self.ledger.entries[key]
        self.ledger.doubtful_keys.discard(key)
        # What was given up may be finished later: a batch that names it then must bring it.
        if entry.state is not EntryState.SETTLED:
            self.ledger.given_up.add(_hash_key(key))

    def _deactivate_scopes(self, scopes: Collection[str]) -> None:
        """Pin the entries that may belong to scopes that the settings no longer name.

        Only their entries distinguish them from new rows once the settings name such a scope again. At the first sync
        without a scope, those are the entries that no listing has shown.
        """
        ledger = self.ledger
        if not ledger.inactive_scopes.issuperset(scopes):
            self._pin_unlisted()
        # Without inactive scopes and gaps, the read ranges alone prevent a second delivery.
        elif not scopes and not self._has_gap and all(len(ranges) < 2 for ranges in ledger.read_ranges.values()):
            for entry in ledger.entries.values():
                entry.is_pinned = False
        ledger.inactive_scopes = set(scopes)

    def _pin_unlisted(self) -> None:
        for key, entry in self.ledger.entries.items():
            entry.is_pinned = entry.is_pinned or key not in self._listed_keys


PASS_BY_DETECTION: dict[ChangeDetection, type[LedgerPass]] = {
    ChangeDetection.POLLING: PollingPass,
    ChangeDetection.REFERENCE: ReferencePass,
    ChangeDetection.LISTING: ListingPass,
}
"""The kind of pass over the ledger of a product, by its change detection."""


def _hash_key(key: PartitionKey) -> str:
    return hash_row(str(key).encode())


def _find_creation_range(ref: PartitionRef) -> TimeRange | None:
    """Return the instant at which a partition was created; None if it is unknown."""
    created_at = ref.approx_created_at
    return TimeRange(created_at, created_at + _INSTANT) if created_at else None


def _build_referenced_ref(key: PartitionKey) -> PartitionRef:
    return PartitionRef(key.template_id or None, key.batch_id, is_explicit=True, is_referenced=True)
