"""The ledger of one stream: its delivered and its due partitions. Pure.

Each partition has one of these statuses:

    open      Seen, and something in it is unfinished. Due at every sync.
    settled   Finished. It counts as settled from the provider's completion time. Without one, it counts from its
              creation time if it was finished when first seen, else from when it was first seen finished; never from
              later than now. Due each time its age has doubled, until `lookback_days` have passed
              (or at every sync until then: `lookback_checks`), and again when its listing changes.
    stalled   Still unfinished `give_up_after_days` after it was first seen. Due when its listing changes, including
              its status there.
    missing   The provider does not know it, which only an answer that is documented for unknown ids can say. Due at
              every sync for a day, then each time its age has doubled, until `give_up_after_days`, and when its
              listing changes. A settled partition keeps its rows, and becomes missing only if its listing or a
              document says that there is more in it.
    unread    Named or listed, but neither of the above nor in a compacted day. Due.
    compacted Settled for longer than the lookback, with a known creation time. Only its day is remembered, as the
              number of its partitions and the sum of their hashes. If a later listing of that day does not add up,
              the one partition that accounts for the difference is unread again, or else the whole day. So a
              partition that is listed late or re-opened is noticed at any age.

A listing by time is read in windows. What has settled in a window is pruned once the lookback has passed it. The read
ranges of creation time then prove that it was delivered: a listed row inside them that has no entry is not unread,
under whichever of its scopes the listing is read. A batch may name such a partition by its id alone. It is doubtful
until it has been read: only then its creation time is known.

A row is delivered if its row hash (a short digest of its id and content) is not among those that the last reading of
its partition left. The ledger has no clock; the caller passes the time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta, timezone

from ..core.content import ROW_HASH_LENGTH, hash_row
from ..core.model import FileStatus, PartitionKey, PartitionRef, PartitionStatus, Snapshot
from ..core.provider import ChangeDetection
from ..core.time_ranges import BEGINNING, TimeRange, merge_ranges, subtract_ranges
from ..core.timestamps import truncate_to_day
from .compaction import CompactedDay, DayKey, group_by_day
from .entries import COMPACT_AFTER, Entry, Listing, SyncPolicy

_INSTANT = timedelta(microseconds=1)


class Ledger:
    """The partitions of one product, as one stream has read them.

    Attributes:
        entries: the partitions that are remembered singly.
        compacted_days: the days that have settled for good, by template and ISO date.
        failed_keys: what the last sync could not read, so that this sync requests it last. A key without a batch id
            stands for the listing of its template.
        read_ranges: the ranges of creation time that have been read, by scope of a listing by time. Scopes that the
            settings no longer name stay.
        pruned_before: by scope, the time before which settled partitions in the read ranges have no entry.
        inactive_scopes: the scopes that the settings no longer name, and whose entries are pinned.
        doubtful_keys: the partitions that a reference named when they had no entry, and that no listing has shown
            since. They may have been delivered and pruned before.
        given_up: a hash of the key of each pruned partition whose last reading was no finished one. The read ranges
            prove nothing about its later content.
        last_complete_sync: the time up to which each look at a settled partition that was due has been made, or has
            left the partition in `failed_keys`. None in an older state.
        late_settled_at: when the last document of a listing by time settled on a later day than it was created.
        skips_lookback: whether this sync does not list the lookback again.
    """

    def __init__(self, policy: SyncPolicy, change_detection: ChangeDetection = ChangeDetection.POLLING) -> None:
        self.entries: dict[PartitionKey, Entry] = {}
        self.compacted_days: dict[str, dict[str, CompactedDay]] = {}
        self.failed_keys: set[PartitionKey] = set()
        self.read_ranges: dict[str, list[TimeRange]] = {}
        self.pruned_before: dict[str, datetime] = {}
        self.inactive_scopes: set[str] = set()
        self.doubtful_keys: set[PartitionKey] = set()
        self.given_up: set[str] = set()
        self._delivered_keys: set[PartitionKey] = set()
        self.last_complete_sync: datetime | None = None
        self.late_settled_at: datetime | None = None
        self.skips_lookback = False
        self._policy = policy
        self._change_detection = change_detection
        self._has_gap = False
        self._distrusted_from: datetime | None = None
        self._listed_keys: set[PartitionKey] = set()
        self._known_refs: dict[PartitionKey, PartitionRef] = {}
        self._refs_by_day: dict[DayKey, list[PartitionRef]] = {}
        self._unread_days: dict[PartitionKey, DayKey | None] = {}
        self._unread_counts: Counter[DayKey | None] = Counter()
        self._failed_templates: set[str] = set()

    def __len__(self) -> int:
        """Return the number of items in the JSON form, which its size grows with."""
        day_count = sum(map(len, self.compacted_days.values()))
        return len(self.entries) + day_count + len(self.failed_keys) + len(self.doubtful_keys)

    @property
    def open_keys(self) -> list[PartitionKey]:
        """Return the keys of the open partitions."""
        return [key for key, entry in self.entries.items() if entry.status is PartitionStatus.OPEN]

    @property
    def missing_keys(self) -> list[PartitionKey]:
        """Return the keys of the partitions that the provider does not know."""
        return [key for key, entry in self.entries.items() if entry.status is PartitionStatus.MISSING]

    @property
    def settled_count(self) -> int:
        """Return the number of settled and stalled partitions, with compacted ones."""
        compacted_count = 0
        for days in self.compacted_days.values():
            compacted_count += sum(day.count for day in days.values())
        return len(self.entries) - len(self.open_keys) - len(self.missing_keys) + compacted_count

    def plan(self, listing: Listing, now: datetime) -> tuple[list[PartitionRef], list[PartitionRef]]:
        """Return the due partitions, oldest first, and the vanished open ones.

        An open partition has vanished if the whole listing of its template was read and does not name it.
        """
        is_new = not (self.entries or self.compacted_days) and self._change_detection is not ChangeDetection.LISTING
        if is_new and self.last_complete_sync is None:
            # Nothing is settled yet, so no look is due. If this sync is killed, the next one knows which looks are.
            self.last_complete_sync = now
        self._failed_templates = listing.failed_templates
        if listing.failed_templates:
            # No look is made where the listing could not be read, so those that are due now stay due.
            self.failed_keys.update(
                key
                for key, entry in self.entries.items()
                if key.template_id in listing.failed_templates and self._is_look_due(key, entry, now)
            )
        # These listings could be read this time, so they lose their place at the end of the queue.
        self.failed_keys -= {PartitionKey(template_id, "") for template_id in listing.complete_templates}
        # `find_unlisted` returns what a listing by time does not show, referenced or not, after it has been read.
        reference_entries = {} if self._change_detection is ChangeDetection.LISTING else self.entries
        referenced_refs = {
            key: _build_referenced_ref(key) for key, entry in reference_entries.items() if entry.last_referenced_at
        }
        ref_items = {**referenced_refs, **listing.refs}.items()
        # A listing that could not be read proves nothing about its partitions: their entries stay untouched.
        self._known_refs = {key: ref for key, ref in ref_items if key.template_id not in listing.failed_templates}
        self._listed_keys.update(self._known_refs.keys() & listing.refs.keys())
        candidates = [ref for ref in self._known_refs.values() if self._is_candidate(ref)]
        self._refs_by_day = {} if self._change_detection is ChangeDetection.LISTING else group_by_day(candidates)
        self._unread_days = self._find_unread(candidates)
        self._unread_counts = Counter(self._unread_days.values())
        due_refs = [ref for ref in candidates if self.is_due(ref, now)]
        # Only a listing that was read to its end proves that a partition left it: then it is reported as missing.
        vanished_refs = [
            PartitionRef(key.template_id or None, key.batch_id)
            for key in self.open_keys
            if key not in self._known_refs and key.template_id in listing.complete_templates
        ]
        return sorted(due_refs, key=age_sort_key), vanished_refs

    def find_unlisted(self, now: datetime) -> list[PartitionRef]:
        """Return entries that must be fetched by id because no listing covers them.

        Those are open and missing entries that no listing of this sync names, and entries that have to be read again
        although their listing is unchanged.
        """
        return [
            PartitionRef(key.template_id or None, key.batch_id, is_explicit=True)
            for key, entry in self.entries.items()
            if entry.needs_reading or (key not in self._listed_keys and self._is_poll_due(entry, now))
        ]

    def find_unlisted_open(self) -> list[PartitionKey]:
        """Return the open partitions that no listing of this sync has named, apart from those that must be read."""
        return [key for key in self.open_keys if key not in self._listed_keys and not self.entries[key].needs_reading]

    def _is_poll_due(self, entry: Entry, now: datetime) -> bool:
        return entry.status is PartitionStatus.OPEN or self._policy.is_missing_retry_due(entry, now)

    @property
    def watermarks(self) -> dict[str, datetime]:
        """Return the end of the last read range, by scope."""
        return {scope: ranges[-1].end for scope, ranges in self.read_ranges.items() if ranges}

    def load_watermark(self, scope: str, watermark: datetime) -> None:
        """Continue from the watermark of an older state, which has no read ranges.

        The start of its range is unknown, so the present `start_date` counts as the start. A user who moves the date
        and upgrades the connector in one step therefore reads no further back (docs/state.md, "Versions and size").
        """
        start = self._policy.start_date or BEGINNING
        self.add_read_range(scope, TimeRange(start if start < watermark else BEGINNING, watermark))
        self.pruned_before[scope] = watermark - min(self._policy.lookback, watermark - BEGINNING)

    def add_read_range(self, scope: str, time_range: TimeRange) -> None:
        """Record that the partitions created in a range have been read under a scope."""
        self.read_ranges[scope] = merge_ranges([*self.read_ranges.get(scope, ()), time_range])

    def is_pruned(self, ref: PartitionRef, scopes: Iterable[str], window: TimeRange) -> bool:
        """Return whether a listed row was delivered and pruned before.

        Args:
            ref: the listed row. If its creation time is missing or impossible, the whole window stands for it.
            scopes: the scopes whose listings show the row.
            window: the range of creation time that was listed.
        """
        return ref.key not in self.entries and self._is_covered(ref, scopes, window)

    def _is_covered(self, ref: PartitionRef, scopes: Iterable[str], window: TimeRange) -> bool:
        """Return whether a partition lies in the ranges in which everything was delivered and pruned."""
        time_range = (
            TimeRange(ref.approx_created_at, ref.approx_created_at + _INSTANT) if ref.approx_created_at else window
        )
        return any(not subtract_ranges(time_range, self._get_pruned_ranges(scope)) for scope in scopes)

    def trust_listing(self, ref: PartitionRef, scopes: Iterable[str], window: TimeRange) -> None:
        """Clear the doubt about a listed partition that the read ranges do not cover.

        They will cover it once this window has been read, whether or not it could be delivered.
        """
        if ref.key in self.doubtful_keys and not self._is_covered(ref, scopes, window):
            self.doubtful_keys.discard(ref.key)

    def resolve_doubt(self, snapshot: Snapshot, scopes: Iterable[str]) -> None:
        """Find out whether a doubtful partition was delivered before, now that its creation time is known.

        If so, the rows of this reading need no delivery.

        Args:
            snapshot: the reading.
            scopes: the scopes whose listings show the partition.
        """
        ref = snapshot.ref
        if ref.key not in self.doubtful_keys or snapshot.status is not PartitionStatus.COMPLETE:
            return
        if _hash_key(ref.key) in self.given_up:
            return
        # Without a creation time nothing proves the delivery: twice is better than never.
        if ref.approx_created_at and self._is_covered(ref, scopes, TimeRange(BEGINNING, BEGINNING)):
            self._delivered_keys.add(ref.key)

    def has_pruned_rows(self, window: TimeRange) -> bool:
        """Return whether rows in a window were delivered and pruned, under any scope."""
        return any(subtract_ranges(window, self._get_pruned_ranges(scope)) != [window] for scope in self.read_ranges)

    def distrust_future_reads(self, now: datetime, lookback_start: datetime) -> None:
        """Ignore read ranges within the lookback if a watermark lies in the future.

        An earlier sync then ran with a clock that was ahead. Partitions created since its time would never be
        delivered if its ranges counted. If instead the present clock is wrong, some rows are delivered twice, which a
        destination that deduplicates by `id` absorbs.
        """
        self._distrusted_from = (
            lookback_start if any(watermark > now for watermark in self.watermarks.values()) else None
        )

    def _get_pruned_ranges(self, scope: str) -> list[TimeRange]:
        # After `pruned_before`, a settled partition has an entry: without one, it has not been delivered.
        limit = self.pruned_before.get(scope, BEGINNING)
        limit = min(limit, self._distrusted_from) if self._distrusted_from else limit
        return [TimeRange(start, min(end, limit)) for start, end in self.read_ranges.get(scope, ()) if start < limit]

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
        previous_ranges = self.read_ranges.get(scope)
        if (previous_ranges[-1].end if previous_ranges else BEGINNING) < window.start:
            self._has_gap = True
            # Some entries may lie in the gap: when it is read later, only their entries prevent a second delivery.
            self._pin_unlisted()
        # From now on the pinned entries are no longer all that was delivered under this scope.
        self.inactive_scopes.discard(scope)
        self.add_read_range(scope, delivered_range)
        pruned_before = min(delivered_range.end, lookback_start)
        # Neither an older window nor longer `lookback_days` move it back: the entries before it are gone, so their rows
        # would be delivered a second time.
        self.pruned_before[scope] = max(pruned_before, self.pruned_before.get(scope, pruned_before))
        for key, ref in self._known_refs.items():
            entry = self.entries.get(key)
            if entry is None or ref.approx_created_at is None:
                continue
            is_prunable = (
                entry.status is not PartitionStatus.OPEN and not entry.needs_reading and not entry.last_referenced_at
            )
            # A missing partition is retried, and a referenced one is named by nothing but its entry.
            is_prunable = is_prunable and entry.missing_since is None
            is_in_read_range = any(
                read_range.start <= ref.approx_created_at < read_range.end for read_range in self.read_ranges[scope]
            )
            if is_in_read_range and is_prunable and ref.approx_created_at < lookback_start:
                self._prune_listed(key, entry)
            elif is_in_read_range:
                # From now on the read range proves its delivery, so it may be pruned after the lookback.
                entry.is_pinned = False
            elif ref.approx_created_at < delivered_range.start:
                # A later `start_date` now excludes it: an earlier one must not deliver it a second time.
                entry.is_pinned = True
        self._known_refs = {}

    def is_open(self, key: PartitionKey) -> bool:
        """Return whether a partition has been read and is open."""
        entry = self.entries.get(key)
        return entry is not None and entry.was_read and entry.status is PartitionStatus.OPEN

    def is_missing(self, key: PartitionKey, now: datetime) -> bool:
        """Return whether the provider does not know a partition, or a part of it, and is asked again."""
        entry = self.entries.get(key)
        return entry is not None and self._policy.has_missing_retries(entry, now)

    def is_awaiting_read(self, key: PartitionKey) -> bool:
        """Return whether a partition has an entry and still has to be read."""
        entry = self.entries.get(key)
        return entry is not None and entry.needs_reading

    def has_row_hashes(self, ref: PartitionRef, row_hashes: Collection[str]) -> bool:
        """Return whether the last reading left all these row hashes."""
        entry = self.entries.get(ref.key)
        return entry is not None and split_row_hashes(entry.row_hashes).issuperset(row_hashes)

    def flag_for_reread(self, ref: PartitionRef, now: datetime) -> None:
        """Record that a partition has to be fetched by id, after its listing."""
        is_planned = ref.key in self._unread_days
        self._unread_days.pop(ref.key, None)
        if (entry := self.entries.get(ref.key)) is not None:
            entry.needs_reread = entry.was_read
        else:
            self._add_unread(ref.key, now, is_planned=is_planned)

    def _add_unread(self, key: PartitionKey, now: datetime, *, is_planned: bool) -> Entry:
        """Add the entry of a partition that has to be read, and return it.

        It is doubtful, unless the listing of this sync has shown that it is unread.
        """
        entry = self.entries[key] = Entry(status_since=now, was_read=False)
        if self.read_ranges and not is_planned:
            self.doubtful_keys.add(key)
        return entry

    def get_read_context(self, key: PartitionKey) -> tuple[str, dict[str, FileStatus]]:
        """Return what a ledger keeps for the provider: its state, and member statuses."""
        entry = self.entries.get(key)
        return (entry.provider_state, entry.member_statuses) if entry else ("", {})

    def register_reference(self, ref: PartitionRef, now: datetime, *, has_changed: bool = False) -> bool:
        """Record a reference to a partition; return whether that makes it due.

        Args:
            ref: the referenced partition.
            now: the time of this sync.
            has_changed: whether the referring partition shows a change in it, which makes it due even if it has been
                read. Without a change, only a reference to a partition outside the plan makes it due.
        """
        entry, known_ref = self.entries.get(ref.key), self._known_refs.get(ref.key)
        if entry is None:
            # A planned partition is read by this sync anyway, or lies in a compacted day.
            is_planned = known_ref is not None and self._is_candidate(known_ref)
            if is_planned and not has_changed:
                return False
            entry = self._add_unread(ref.key, now, is_planned=is_planned)
            is_due = not is_planned
        else:
            is_due = has_changed and not entry.needs_reading
            entry.needs_reread = entry.needs_reread or is_due
        # The entry is in the state before the referring partition may settle: an interruption in between loses nothing.
        entry.last_referenced_at = now
        entry.member_statuses.update(ref.member_statuses)
        return is_due

    def tracks(self, ref: PartitionRef) -> bool:
        """Return whether this ledger records a reading of a partition.

        It does not where the partition lies in a compacted day and was read for another stream.
        """
        return ref.key in self.entries or ref.key in self._unread_days

    def get_delivered_hashes(self, snapshot: Snapshot, row_hashes: Collection[str] | None) -> Collection[str]:
        """Return the row hashes of a reading that need no delivery.

        Args:
            snapshot: the reading.
            row_hashes: the hashes of all its rows; None where the provider does not report rows of this kind.
        """
        entry = self.entries.get(snapshot.ref.key)
        if (
            entry
            and snapshot.status is PartitionStatus.MISSING
            and _has_preserved_rows(entry, self._is_fetched_by_id(snapshot.ref))
        ):
            # A batch that was settled and is deleted keeps its rows: none is emitted that would overwrite them.
            return row_hashes or ()
        # Rows of this entry, such as that of a document which the provider did not know, replace those of before.
        if snapshot.ref.key in self._delivered_keys and not (entry and entry.row_hashes):
            return row_hashes or ()
        return split_row_hashes(entry.row_hashes) if entry else frozenset()

    def record(self, snapshot: Snapshot, row_hashes: Collection[str] | None, now: datetime) -> Collection[str]:
        """Record one reading of a partition; return the row hashes already delivered.

        Args:
            snapshot: the reading.
            row_hashes: the hashes of all its rows; None where the provider does not report the rows ("waiting").
            now: the time of this sync.
        """
        ref, key = snapshot.ref, snapshot.ref.key
        entry = self.entries.get(key)
        delivered_hashes = self.get_delivered_hashes(snapshot, row_hashes)
        self.failed_keys.discard(key)
        if self.given_up:
            self.given_up.discard(_hash_key(key))
        if key in self.doubtful_keys and snapshot.status is not PartitionStatus.MISSING:
            self.doubtful_keys.discard(key)
            self._delivered_keys.discard(key)
        is_fetched_by_id = self._is_fetched_by_id(ref)
        if entry and snapshot.status is PartitionStatus.MISSING and _has_preserved_rows(entry, is_fetched_by_id):
            self._record_unknown(entry, ref, now, is_fetched_by_id=is_fetched_by_id)
            return delivered_hashes
        previous_hashes = entry.row_hashes if entry else ""
        status, status_since = self._determine_status(snapshot, entry, now)
        # "Waiting" reports no rows, which is not the same as none: the hashes of the delivered rows stay.
        joined_hashes = previous_hashes if row_hashes is None else "".join(row_hashes)
        is_reopened = entry is not None and entry.status is PartitionStatus.COMPLETE and status is PartitionStatus.OPEN
        # A reading by id has no listing: the last signature stays, so that an unchanged listing makes no request. A
        # finished document that is unfinished again loses it: its listing may be unchanged, and has to make it due.
        signature = (
            entry.signature if entry and is_fetched_by_id and not is_reopened else _build_listed_signature(ref, status)
        )
        is_missing = snapshot.status is PartitionStatus.MISSING
        provider_state: str = snapshot.provider_state
        member_statuses: dict[str, FileStatus] = {}
        if entry and is_missing:
            # The answer to an unknown id says nothing of the content: keep what the documents have reported.
            provider_state, member_statuses = entry.provider_state, entry.member_statuses
        missing_since = missing_checked_at = None
        if is_missing or snapshot.has_unknown_files:
            # Counted from when it was found missing, not from its creation: an old batch has all its retries, too.
            missing_since, missing_checked_at = (entry.missing_since if entry else None) or now, now
        # A batch that only its documents name is not polled, so an incomplete reading has to be repeated.
        is_incomplete = bool(snapshot.references or snapshot.read_error)
        self.entries[key] = Entry(
            status_since,
            status,
            signature,
            joined_hashes,
            entry.last_referenced_at if entry else None,
            needs_reread=self._change_detection is ChangeDetection.REFERENCE and is_incomplete,
            is_pinned=entry is not None and entry.is_pinned,
            provider_state=provider_state,
            member_statuses=member_statuses,
            missing_since=missing_since,
            missing_checked_at=missing_checked_at,
        )
        if self._change_detection is ChangeDetection.LISTING and status is PartitionStatus.COMPLETE:
            is_late = ref.approx_created_at is None or ref.approx_created_at < truncate_to_day(status_since)
            if is_late:
                self.late_settled_at = max(status_since, self.late_settled_at or status_since)
        if key in self._unread_days:
            day_key = self._unread_days.pop(key)
            self._unread_counts[day_key] -= 1
            # Compacting at once keeps the checkpoints of a long first sync small.
            if day_key and not self._unread_counts[day_key]:
                self._compact_day(day_key, now)
        return delivered_hashes

    def record_part(self, ref: PartitionRef, row_hashes: Collection[str], now: datetime) -> None:
        """Record delivered rows of a partition that is still being read.

        The partition stays due until `record`: an interrupted reading is repeated from its start, without these rows.

        Args:
            ref: the partition.
            row_hashes: the hashes of the rows that were new and have been delivered.
            now: the time of this sync.
        """
        if not row_hashes:
            return
        entry = self.entries.setdefault(ref.key, Entry(status_since=now, was_read=False))
        entry.needs_reread = entry.was_read
        # The hashes of the last whole reading stay: most of its rows are on pages that have not been read yet.
        entry.row_hashes += "".join(row_hashes)

    def _is_fetched_by_id(self, ref: PartitionRef) -> bool:
        """Return whether a document was fetched by id, without its listing signature."""
        return self._change_detection is ChangeDetection.LISTING and not ref.fingerprint

    def _record_unknown(self, entry: Entry, ref: PartitionRef, now: datetime, *, is_fetched_by_id: bool) -> None:
        """Record that the provider no longer knows a partition that keeps its rows.

        If it was requested because its listing or a document shows more in it, it is missing, and is retried. If it
        was requested only for the lookback, it was deleted, and keeps its rows.
        """
        signature = _build_listed_signature(ref, entry.status)
        is_changed = not is_fetched_by_id and entry.signature != signature
        if is_changed or entry.needs_reread or entry.missing_since:
            entry.missing_since, entry.missing_checked_at = entry.missing_since or now, now
        else:
            entry.member_statuses = {}
        if not is_fetched_by_id:
            entry.signature = signature
        entry.needs_reread = False

    def is_stalling(self, snapshot: Snapshot, now: datetime) -> bool:
        """Return whether this unfinished reading makes or leaves a partition stalled."""
        entry = self.entries.get(snapshot.ref.key)
        if snapshot.is_finished or entry is None or not entry.was_read:
            return False
        # Only a changed listing opens a stalled partition again (docs/state.md, `stalled`).
        if entry.status is PartitionStatus.STALLED:
            return entry.signature == _build_listed_signature(snapshot.ref, entry.status)
        return self._policy.is_overdue(entry, now)

    def compact_and_prune(
        self,
        now: datetime,
        scopes: Collection[str] = (),
        *,
        has_unknown_references: bool = False,
        keeps_references: bool = False,
    ) -> None:
        """Compact days and prune entries at the end of a sync.

        Args:
            now: the time of this sync.
            scopes: the scopes of a listing by time that this sync has read.
            has_unknown_references: whether a batch that the user names could not be asked for its documents. It may
                name the referenced ones again, so their entries stay for `give_up_after_days`.
            keeps_references: whether a look at a referring partition is still due. It may repeat its reference, and
                without the entry everything in the partition would be delivered a second time. Entries stay for
                `give_up_after_days`, so that a referring partition which always fails does not make the state grow.
        """
        for day_key in self._refs_by_day:
            self._compact_day(day_key, now)
        # A failed key that nothing names any more would stay in the state for ever.
        self.failed_keys = {
            key
            for key in self.failed_keys
            if key in self.entries
            or key in self._known_refs
            or key in self._unread_days
            or key.template_id in self._failed_templates
        }
        self._deactivate_scopes(self.read_ranges.keys() - set(scopes))
        # With the clock set back, the listing ended earlier than before, and may show more entries again.
        has_clock_jumped_back = any(watermark > now for watermark in self.watermarks.values())
        # An empty listing proves no deletion: the key may belong to another account.
        is_relisting_possible = has_clock_jumped_back or not self._listed_keys or self.skips_lookback
        for key, entry in list(self.entries.items()):
            if self._change_detection is ChangeDetection.LISTING:
                is_prunable = not (
                    entry.status is PartitionStatus.OPEN
                    or entry.needs_reading
                    or self._policy.has_missing_retries(entry, now)
                    or self._policy.is_recently_referenced(
                        entry, now, is_repeatable=has_unknown_references or keeps_references
                    )
                )
                if is_prunable and not entry.is_pinned and key not in self._listed_keys and not is_relisting_possible:
                    self._prune_listed(key, entry)
                continue
            ref = self._known_refs.get(key)
            if key.template_id in self._failed_templates or (
                ref and not ref.is_referenced and self._policy.is_in_range(ref)
            ):
                continue
            # The referring batch repeats a reference for as long as it is in the lookback. Where references announce
            # changes instead, the entry is not needed after it has settled.
            is_done = self._change_detection is ChangeDetection.REFERENCE and entry.status is PartitionStatus.COMPLETE
            is_done = is_done and not self._policy.has_missing_retries(entry, now)
            is_prunable = is_done or (
                self._is_removable(key, entry, now)
                and not self._policy.is_recently_referenced(entry, now, is_repeatable=keeps_references)
            )
            # No setting, registry or list includes it now. Only a reference keeps its entry: the state stays small.
            if not entry.last_referenced_at or (is_prunable and not entry.needs_reading):
                del self.entries[key]

    def _prune_listed(self, key: PartitionKey, entry: Entry) -> None:
        """Prune the entry of a partition whose delivery the read ranges prove from now on."""
        del self.entries[key]
        self.doubtful_keys.discard(key)
        # What was given up may be finished later: a batch that names it then must bring it.
        if entry.status is not PartitionStatus.COMPLETE or entry.missing_since:
            self.given_up.add(_hash_key(key))

    def _deactivate_scopes(self, scopes: Collection[str]) -> None:
        """Pin the entries that may belong to scopes that the settings no longer name.

        Only their entries distinguish them from new rows once the settings name such a scope again. At the first sync
        without a scope, those are the entries that no listing has shown.
        """
        if not self.inactive_scopes.issuperset(scopes):
            self._pin_unlisted()
        # Without inactive scopes and gaps, the read ranges alone prevent a second delivery.
        elif not scopes and not self._has_gap and all(len(ranges) < 2 for ranges in self.read_ranges.values()):
            for entry in self.entries.values():
                entry.is_pinned = False
        self.inactive_scopes = set(scopes)

    def _pin_unlisted(self) -> None:
        for key, entry in self.entries.items():
            entry.is_pinned = entry.is_pinned or key not in self._listed_keys

    def _is_candidate(self, ref: PartitionRef) -> bool:
        entry = self.entries.get(ref.key)
        return self._policy.is_in_range(ref) or bool(entry and entry.last_referenced_at)

    def is_due(self, ref: PartitionRef, now: datetime) -> bool:
        """Return whether this ledger needs a reading of a planned partition.

        Args:
            ref: the partition, as the listings and the settings of this sync name it.
            now: the time of this sync.
        """
        entry = self.entries.get(ref.key)
        if entry is None or ref.key in self._unread_days:
            return ref.key in self._unread_days
        if entry.needs_reading or self._policy.is_missing_retry_due(entry, now):
            return True
        # The listing shows each change, so neither an open partition nor the lookback costs a request.
        if self._change_detection is ChangeDetection.LISTING:
            # An overdue partition is read once more although its listing is the same: that reading marks it as stalled.
            return entry.signature != _build_listed_signature(ref, entry.status) or self._policy.is_overdue(entry, now)
        if self._change_detection is ChangeDetection.REFERENCE and ref.is_referenced:
            return False  # the settings do not name it, and its references show no change
        if entry.status is PartitionStatus.OPEN or entry.signature != _build_listed_signature(ref, entry.status):
            return True
        return self._is_look_due(ref.key, entry, now)

    def _is_look_due(self, key: PartitionKey, entry: Entry, now: datetime) -> bool:
        """Return whether a settled partition has to be looked at, or whether its last look failed."""
        has_failed = entry.status is PartitionStatus.COMPLETE and key in self.failed_keys
        return has_failed or self._policy.is_look_due(entry, self.last_complete_sync, now)

    def _is_removable(self, key: PartitionKey, entry: Entry, now: datetime) -> bool:
        """Return whether neither a change nor a look is expected: without its entry, a look delivers nothing."""
        return self._policy.is_removable(entry, now) and not self._is_look_due(key, entry, now)

    def _find_unread(self, candidates: Iterable[PartitionRef]) -> dict[PartitionKey, DayKey | None]:
        """Return the listed partitions that no entry and no compacted day covers.

        The value of each key is its day, or None where days do not matter: a listing by time has read ranges instead.
        """
        is_windowed = self._change_detection is ChangeDetection.LISTING
        unread_days: dict[PartitionKey, DayKey | None] = {
            ref.key: None
            for ref in candidates
            if (is_windowed or ref.approx_created_at is None) and ref.key not in self.entries
        }
        if is_windowed:
            return unread_days
        for day_key, refs in self._refs_by_day.items():
            template_id, day = day_key
            untracked_refs = [ref for ref in refs if ref.key not in self.entries]
            compacted_day = self.compacted_days.get(template_id, {}).get(day, CompactedDay())
            if (unread_refs := compacted_day.find_missing(untracked_refs)) is None:
                # The difference cannot be identified: read the whole day again. Unchanged rows that have no entry
                # may be delivered twice; passing over a changed partition would lose rows.
                self.compacted_days.get(template_id, {}).pop(day, None)
                unread_refs = untracked_refs
            unread_days.update((ref.key, day_key) for ref in unread_refs)
        return unread_days

    def _compact_day(self, day_key: DayKey, now: datetime) -> None:
        """Compact the settled partitions of a day that is past and wholly read."""
        template_id, day = day_key
        day_start = datetime.fromisoformat(day).replace(tzinfo=timezone.utc)
        # Counted from its start: 9999-12-31, which some providers send for a missing time, has no representable end.
        if now - day_start < COMPACT_AFTER + timedelta(days=1) or self._unread_counts[day_key]:
            return
        for ref in self._refs_by_day[day_key]:
            entry = self.entries.get(ref.key)
            # The sum would cover the listed signature: a change that has not been read would never be noticed.
            is_settled = entry and entry.status is PartitionStatus.COMPLETE and entry.signature == ref.signature
            # A referenced partition may be announced again, and an excluded one is not in later listings of the day.
            is_only_listed = (
                entry and not self._policy.is_recently_referenced(entry, now) and self._policy.is_in_range(ref)
            )
            if entry and entry.needs_reading:
                continue  # only its entry keeps it due
            if entry and is_settled and is_only_listed and self._is_removable(ref.key, entry, now):
                self.compacted_days.setdefault(template_id, {}).setdefault(day, CompactedDay()).add(ref)
                del self.entries[ref.key]

    def _determine_status(
        self, snapshot: Snapshot, entry: Entry | None, now: datetime
    ) -> tuple[PartitionStatus, datetime]:
        """Return the status after this reading, and the time since when it applies."""
        is_first_read = entry is None or not entry.was_read
        if snapshot.status is PartitionStatus.MISSING:
            previous_missing_since = entry.missing_since if entry else None
            return PartitionStatus.MISSING, min(previous_missing_since or now, now)
        if not snapshot.is_finished:
            if entry and self.is_stalling(snapshot, now):
                return PartitionStatus.STALLED, entry.status_since
            is_still_open = entry is not None and entry.status is PartitionStatus.OPEN
            return PartitionStatus.OPEN, min(entry.status_since, now) if entry and is_still_open else now
        if entry and entry.status is PartitionStatus.COMPLETE and entry.signature == snapshot.ref.signature:
            # A further look does not restart the lookback; otherwise a settled batch would be due for ever.
            return PartitionStatus.COMPLETE, min(entry.status_since, now)
        # A first sync over years of old batches does not look back at them: they settled when they were created.
        settled_at = snapshot.completed_at or (snapshot.ref.approx_created_at if is_first_read else None) or now
        # Never in the future: a wrong time from the provider would keep the batch in the lookback for years.
        return PartitionStatus.COMPLETE, min(settled_at, now)


def _hash_key(key: PartitionKey) -> str:
    return hash_row(str(key).encode())


def _build_referenced_ref(key: PartitionKey) -> PartitionRef:
    return PartitionRef(key.template_id or None, key.batch_id, is_explicit=True, is_referenced=True)


def age_sort_key(ref: PartitionRef) -> tuple[bool, datetime | None, PartitionKey]:
    """Return a key that sorts oldest first, with unknown creation times last.

    Oldest first, days are compacted early, so that a long history keeps the state small during its first sync.
    """
    if ref.approx_created_at is None:
        return True, None, ref.key
    return False, ref.approx_created_at, ref.key


def _build_listed_signature(ref: PartitionRef, status: PartitionStatus) -> str:
    """Return the part of a listing whose change makes a partition of this status due.

    The provider's status is part of it only for stalled and missing partitions, since those are no longer polled.
    """
    is_stalled_or_missing = status in {PartitionStatus.STALLED, PartitionStatus.MISSING}
    return f"{ref.signature} {ref.provider_status or ''}".strip() if is_stalled_or_missing else ref.signature


def _has_preserved_rows(entry: Entry, is_fetched_by_id: bool) -> bool:
    """Return whether a partition keeps its rows when the provider does not know it.

    It does after it has settled and was deleted upstream. A missing document that is fetched by id keeps its row too,
    because that row, made from the listing, says more than its id.
    """
    return entry.status is PartitionStatus.COMPLETE or (entry.status is PartitionStatus.MISSING and is_fetched_by_id)


def split_row_hashes(joined_hashes: str) -> frozenset[str]:
    """Return the hashes of a text that joins them, each of `ROW_HASH_LENGTH` characters."""
    return frozenset(
        joined_hashes[start : start + ROW_HASH_LENGTH] for start in range(0, len(joined_hashes), ROW_HASH_LENGTH)
    )
