"""What has been delivered to one stream, and what is due.

The rules, in one place
    open      seen, and something in it is unfinished: due at every sync.
    settled   finished. From when: the provider's completion time if told; else, if it was already finished when first
              seen, its creation time; else when it was first seen finished. Never later than now. Due while that is
              less than `lookback_days` ago, and again when its list tells something new. Else never asked for again.
    stalled   still unfinished `give_up_after_days` after it was first seen: not due until its list tells something new,
              its status included.
    missing   the provider does not know it: due at every sync for a day after that was found, then each time its age
              since then has doubled, until `give_up_after_days`; and when its list shows something new. Only an answer
              that is documented for unknown ids says so. What is settled keeps its rows, and is missing only where
              its list or a document says that there is more to it.
    unread    named or listed, but neither of the above nor in a folded day: due.
    folded    settled longer ago than the lookback, of a known creation time: only its day is remembered, as the number
              of its batches and the sum of their marks. Where a later list of that day does not add up, the one batch
              that accounts for it, else all of that day that is not remembered singly, is unread again: a batch that is
              listed late, or re-opened, is seen however old.

A list by time is read in windows, and what is settled in a window is forgotten once the lookback is past it. The
ranges of creation time that have been read say that it has been delivered: a row of theirs that is not remembered
singly is not unread, under whichever of its scopes the list is read.

A row is delivered when its mark (a short digest of its id and content) is not among those its batch left at the last
reading. Pure: no clock, no I/O, no threads; whoever asks says what time it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta, timezone

from ..core.content import ROW_HASH_LENGTH
from ..core.model import FileStatus, PartitionKey, PartitionRef, PartitionStatus, Snapshot
from ..core.provider import ChangeDetection
from ..core.time_ranges import BEGINNING, TimeRange, merge_ranges, subtract_ranges
from .compaction import CompactedDay, DayKey, group_by_day
from .entries import COMPACT_AFTER, Entry, Listing, SyncPolicy

_INSTANT = timedelta(microseconds=1)


class Ledger:
    """The batches of one product, as one stream has read them.

    Attributes:
        read: of a list by time, the ranges of creation time that have been read, by scope; also of scopes that the
            settings no longer ask for.
        forgotten: by scope: what was created before, in these ranges, is no longer remembered singly if it is settled.
        asleep: scopes that are no longer asked for, and whose batches are kept (`Entry.kept`).
    """

    def __init__(self, policy: SyncPolicy, change_detection: ChangeDetection = ChangeDetection.POLLING) -> None:
        self.entries: dict[PartitionKey, Entry] = {}
        self.compacted_days: dict[str, dict[str, CompactedDay]] = {}
        # What the last try could not read: it comes last. The list of a template stands here without a batch id.
        self.failed_keys: set[PartitionKey] = set()
        self.read_ranges: dict[str, list[TimeRange]] = {}
        self.pruned_before: dict[str, datetime] = {}
        self.inactive_scopes: set[str] = set()
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
        """How many things are written down: what its JSON form grows with."""
        return len(self.entries) + sum(map(len, self.compacted_days.values())) + len(self.failed_keys)

    @property
    def open_keys(self) -> list[PartitionKey]:
        return [key for key, entry in self.entries.items() if entry.status is PartitionStatus.OPEN]

    @property
    def missing_keys(self) -> list[PartitionKey]:
        return [key for key, entry in self.entries.items() if entry.status is PartitionStatus.MISSING]

    @property
    def settled_count(self) -> int:
        compacted_count = sum(day.count for days in self.compacted_days.values() for day in days.values())
        return len(self.entries) - len(self.open_keys) - len(self.missing_keys) + compacted_count

    def plan(self, listing: Listing, now: datetime) -> tuple[list[PartitionRef], list[PartitionRef]]:
        """What is due, oldest first, and which open batches have vanished from their list."""
        self._failed_templates = listing.failed_templates
        self.failed_keys -= {PartitionKey(template_id, "") for template_id in listing.complete_templates}
        # What a list by time does not show is asked for after it, linked or not.
        reference_entries = {} if self._change_detection is ChangeDetection.LISTING else self.entries
        referenced_refs = {
            key: _build_referenced_ref(key) for key, entry in reference_entries.items() if entry.last_referenced_at
        }
        ref_items = {**referenced_refs, **listing.refs}.items()
        self._known_refs = {key: ref for key, ref in ref_items if key.template_id not in listing.failed_templates}
        self._listed_keys.update(self._known_refs.keys() & listing.refs.keys())
        candidates = [ref for ref in self._known_refs.values() if self._is_candidate(ref)]
        self._refs_by_day = {} if self._change_detection is ChangeDetection.LISTING else group_by_day(candidates)
        self._unread_days = self._find_unread(candidates)
        self._unread_counts = Counter(self._unread_days.values())
        due_refs = [ref for ref in candidates if ref.key in self._unread_days or self._is_due(ref, now)]
        vanished_refs = [
            PartitionRef(key.template_id or None, key.batch_id)
            for key in self.open_keys
            if key not in self._known_refs and key.template_id in listing.complete_templates
        ]
        return sorted(due_refs, key=age_sort_key), vanished_refs

    def find_unlisted(self, now: datetime) -> list[PartitionRef]:
        """What no list of this sync tells enough of, so that it has to be asked for by itself: what it does not name
        and is unfinished or missing, and what has to be read again though it is the same there."""
        return [
            PartitionRef(key.template_id or None, key.batch_id, is_explicit=True)
            for key, entry in self.entries.items()
            if entry.needs_reading or (key not in self._listed_keys and self._is_poll_due(entry, now))
        ]

    def _is_poll_due(self, entry: Entry, now: datetime) -> bool:
        return entry.status is PartitionStatus.OPEN or self._policy.is_missing_retry_due(entry, now)

    @property
    def watermarks(self) -> dict[str, datetime]:
        """By scope, the end of what has been read."""
        return {scope: ranges[-1].end for scope, ranges in self.read_ranges.items() if ranges}

    def load_watermark(self, scope: str, watermark: datetime) -> None:
        """Take over what an older connector wrote, which did not write down from when on it had read.

        That is taken for the `start_date` of today: who moves it and the connector at once reads no further back.
        """
        start = self._policy.start_date or BEGINNING
        self.add_read_range(scope, TimeRange(start if start < watermark else BEGINNING, watermark))
        self.pruned_before[scope] = watermark - min(self._policy.lookback, watermark - BEGINNING)

    def add_read_range(self, scope: str, time_range: TimeRange) -> None:
        self.read_ranges[scope] = merge_ranges([*self.read_ranges.get(scope, ()), time_range])

    def is_pruned(self, ref: PartitionRef, scopes: Iterable[str], window: TimeRange) -> bool:
        """Return whether a listed row was delivered, and forgotten, when one of its scopes was read before.

        A row without a time that can be true is taken for one of its window.
        """
        if ref.key in self.entries:
            return False
        time_range = (
            TimeRange(ref.approx_created_at, ref.approx_created_at + _INSTANT) if ref.approx_created_at else window
        )
        return any(not subtract_ranges(time_range, self._get_pruned_ranges(scope)) for scope in scopes)

    def has_pruned_rows(self, window: TimeRange) -> bool:
        """Return whether anything in a window was delivered and forgotten before, under any scope."""
        return any(subtract_ranges(window, self._get_pruned_ranges(scope)) != [window] for scope in self.read_ranges)

    def distrust_future_reads(self, now: datetime, lookback_start: datetime) -> None:
        """Do not take for delivered what is `listed_again`, where a clock that was ahead has read the future.

        Rows come a second time by that if it is this clock that is wrong. Else those since then would never come.
        """
        self._distrusted_from = (
            lookback_start if any(watermark > now for watermark in self.watermarks.values()) else None
        )

    def _get_pruned_ranges(self, scope: str) -> list[TimeRange]:
        limit = self.pruned_before.get(scope, BEGINNING)
        limit = min(limit, self._distrusted_from) if self._distrusted_from else limit
        return [TimeRange(start, min(end, limit)) for start, end in self.read_ranges.get(scope, ()) if start < limit]

    def advance_watermark(
        self, scope: str, window: TimeRange, delivered_range: TimeRange, lookback_start: datetime
    ) -> None:
        """After a window of a list: forgets what of it is settled, unless it will be `listed_again`.

        Args:
            span: the moments in the window, or none, of which this stream has been given all.
        """
        previous_ranges = self.read_ranges.get(scope)
        if (previous_ranges[-1].end if previous_ranges else BEGINNING) < window.start:
            self._has_gap = True
            self._pin_unlisted()  # some of it may lie in between, which is to be read some day
        self.inactive_scopes.discard(scope)  # what is kept for it is no longer all that was delivered
        self.add_read_range(scope, delivered_range)
        pruned_before = min(delivered_range.end, lookback_start)
        self.pruned_before[scope] = max(pruned_before, self.pruned_before.get(scope, pruned_before))
        for key, ref in self._known_refs.items():
            entry = self.entries.get(key)
            if entry is None or ref.approx_created_at is None:
                continue
            is_prunable = (
                entry.status is not PartitionStatus.OPEN and not entry.needs_reading and not entry.last_referenced_at
            )
            is_prunable = is_prunable and entry.missing_since is None
            is_in_read_range = any(
                read_range.start <= ref.approx_created_at < read_range.end for read_range in self.read_ranges[scope]
            )
            if is_in_read_range and is_prunable and ref.approx_created_at < lookback_start:
                del self.entries[key]
            elif is_in_read_range:
                entry.is_pinned = False
            elif ref.approx_created_at < delivered_range.start:
                entry.is_pinned = True  # it is older than a `start_date` that is later than before
        self._known_refs = {}

    def is_open(self, key: PartitionKey) -> bool:
        entry = self.entries.get(key)
        return entry is not None and entry.was_read and entry.status is PartitionStatus.OPEN

    def is_awaiting_read(self, key: PartitionKey) -> bool:
        """Whether it is remembered, and still has to be read."""
        entry = self.entries.get(key)
        return entry is not None and entry.needs_reading

    def has_row_hashes(self, ref: PartitionRef, row_hashes: Collection[str]) -> bool:
        """Whether all these marks were left by the last reading."""
        entry = self.entries.get(ref.key)
        return entry is not None and _split_row_hashes(entry.row_hashes).issuperset(row_hashes)

    def flag_for_reread(self, ref: PartitionRef, now: datetime) -> None:
        """Remembers what has to be asked for by itself, when its list is past."""
        self._unread_days.pop(ref.key, None)
        if (entry := self.entries.get(ref.key)) is not None:
            entry.needs_reread = entry.was_read
        else:
            self.entries[ref.key] = Entry(status_since=now, was_read=False)

    def get_read_context(self, key: PartitionKey) -> tuple[str, dict[str, FileStatus]]:
        """What its reader wrote down of a batch, and what its documents have told since."""
        entry = self.entries.get(key)
        return (entry.provider_state, entry.member_statuses) if entry else ("", {})

    def register_reference(self, ref: PartitionRef, now: datetime, *, has_changed: bool = False) -> bool:
        """Remembers a linked batch before it is read. True if that makes it due: it was in no plan so far.

        `changed` says that something in it did, so that it is due however often it has been read.
        """
        entry, known_ref = self.entries.get(ref.key), self._known_refs.get(ref.key)
        if entry is None:
            is_planned = known_ref is not None and self._is_candidate(known_ref)  # for this sync, or in a folded day
            if is_planned and not has_changed:
                return False
            entry = self.entries[ref.key] = Entry(status_since=now, was_read=False)
            is_due = not is_planned
        else:
            is_due = has_changed and not entry.needs_reading
            entry.needs_reread = entry.needs_reread or is_due
        entry.last_referenced_at = now
        entry.member_statuses.update(ref.member_statuses)
        return is_due

    def tracks(self, ref: PartitionRef) -> bool:
        """Whether a reading of this batch is news here: not where it lies in a folded day, read for another stream."""
        return ref.key in self.entries or ref.key in self._unread_days

    def get_delivered_hashes(self, snapshot: Snapshot, row_hashes: Collection[str] | None) -> Collection[str]:
        """Return the marks of those rows of a reading that need not be delivered again.

        `marks` are those of all rows as they are now.
        """
        entry = self.entries.get(snapshot.ref.key)
        if (
            entry
            and snapshot.status is PartitionStatus.MISSING
            and _has_preserved_rows(entry, self._is_fetched_by_id(snapshot.ref))
        ):
            return row_hashes or ()
        return _split_row_hashes(entry.row_hashes) if entry else frozenset()

    def record(self, snapshot: Snapshot, row_hashes: Collection[str] | None, now: datetime) -> Collection[str]:
        """Writes down one reading of a wanted batch; gives the marks of its rows that need not be delivered again.

        `marks` are those of all rows as they are now; None where the provider did not tell the rows ("waiting").
        """
        ref, key = snapshot.ref, snapshot.ref.key
        entry = self.entries.get(key)
        delivered_hashes = self.get_delivered_hashes(snapshot, row_hashes)
        self.failed_keys.discard(key)
        is_fetched_by_id = self._is_fetched_by_id(ref)
        if entry and snapshot.status is PartitionStatus.MISSING and _has_preserved_rows(entry, is_fetched_by_id):
            self._record_unknown(entry, ref, now, is_fetched_by_id=is_fetched_by_id)
            return delivered_hashes
        previous_hashes = entry.row_hashes if entry else ""
        status, status_since = self._determine_status(snapshot, entry, now)
        joined_hashes = previous_hashes if row_hashes is None else "".join(row_hashes)
        is_reopened = entry is not None and entry.status is PartitionStatus.COMPLETE and status is PartitionStatus.OPEN
        signature = (
            entry.signature if entry and is_fetched_by_id and not is_reopened else _build_listed_signature(ref, status)
        )
        is_missing = snapshot.status is PartitionStatus.MISSING
        has_missing_parts = is_missing or snapshot.has_unknown_files
        self.entries[key] = Entry(
            status_since,
            status,
            signature,
            joined_hashes,
            entry.last_referenced_at if entry else None,
            needs_reread=self._change_detection is ChangeDetection.REFERENCE
            and bool(snapshot.references or snapshot.read_error),  # of some it is not told
            is_pinned=entry is not None and entry.is_pinned,
            # An answer that it is unknown says nothing of what is in it.
            provider_state=entry.provider_state if entry and is_missing else snapshot.provider_state,
            member_statuses=entry.member_statuses if entry and is_missing else {},
            missing_since=((entry.missing_since if entry else None) or now) if has_missing_parts else None,
            missing_checked_at=now if has_missing_parts else None,
        )
        if key in self._unread_days:
            day_key = self._unread_days.pop(key)
            self._unread_counts[day_key] -= 1
            if day_key and not self._unread_counts[day_key]:
                self._compact_day(day_key, now)
        return delivered_hashes

    def _is_fetched_by_id(self, ref: PartitionRef) -> bool:
        """Return whether a document was asked for by itself: that says nothing of how its list shows it."""
        return self._change_detection is ChangeDetection.LISTING and not ref.fingerprint

    def _record_unknown(self, entry: Entry, ref: PartitionRef, now: datetime, *, is_fetched_by_id: bool) -> None:
        """Write down that the provider does not know a batch any more, whose rows stay as they are.

        If it was asked for because there was more to it (its list or a document said so), it is asked for again.
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
        """Whether this unfinished reading is one too many."""
        entry = self.entries.get(snapshot.ref.key)
        if snapshot.is_finished or entry is None or not entry.was_read:
            return False
        if entry.status is PartitionStatus.STALLED:
            return entry.signature == _build_listed_signature(snapshot.ref, entry.status)
        return self._policy.is_overdue(entry, now)

    def compact_and_prune(self, now: datetime, scopes: Collection[str] = ()) -> None:
        """At the end of a sync: folds what can be folded, and forgets single batches that nothing names any more.

        Args:
            scopes: of a list by time, those that this sync has read.
        """
        for day_key in self._refs_by_day:
            self._compact_day(day_key, now)
        self.failed_keys = {
            key
            for key in self.failed_keys
            if key in self.entries
            or key in self._known_refs
            or key in self._unread_days
            or key.template_id in self._failed_templates
        }
        self._deactivate_scopes(self.read_ranges.keys() - set(scopes))
        # Then the list was read less far than before, and what it did not show may be shown again.
        has_clock_jumped_back = any(watermark > now for watermark in self.watermarks.values())
        # As where the list has shown nothing: the key may be of another account.
        is_relisting_possible = has_clock_jumped_back or not self._listed_keys
        for key, entry in list(self.entries.items()):
            if self._change_detection is ChangeDetection.LISTING:
                is_prunable = not (
                    entry.status is PartitionStatus.OPEN
                    or entry.needs_reading
                    or self._policy.has_missing_retries(entry, now)
                    or self._policy.is_recently_referenced(entry, now)
                )
                if is_prunable and not entry.is_pinned and key not in self._listed_keys and not is_relisting_possible:
                    del self.entries[key]
                continue
            ref = self._known_refs.get(key)
            if key.template_id in self._failed_templates or (
                ref and not ref.is_referenced and self._policy.is_in_range(ref)
            ):
                continue
            # A link is seen again for as long as the batch that holds it is looked back at, unless links tell changes.
            is_done = self._change_detection is ChangeDetection.REFERENCE and entry.status is PartitionStatus.COMPLETE
            is_done = is_done and not self._policy.has_missing_retries(entry, now)
            is_prunable = is_done or (
                self._policy.is_removable(entry, now) and not self._policy.is_recently_referenced(entry, now)
            )
            if not entry.last_referenced_at or (is_prunable and not entry.needs_reading):
                del self.entries[key]

    def _deactivate_scopes(self, scopes: Collection[str]) -> None:
        """Keep what may belong to lists that are no longer asked for: nothing else can tell it from what is new there.

        That is what none of the lists of this sync has shown, once, at the first sync without such a scope.
        """
        if not self.inactive_scopes.issuperset(scopes):
            self._pin_unlisted()
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

    def _is_due(self, ref: PartitionRef, now: datetime) -> bool:
        entry = self.entries.get(ref.key)
        if entry is None:
            return False
        if entry.needs_reading or self._policy.is_missing_retry_due(entry, now):
            return True
        if self._change_detection is ChangeDetection.LISTING:
            return entry.signature != _build_listed_signature(ref, entry.status) or self._policy.is_overdue(entry, now)
        if self._change_detection is ChangeDetection.REFERENCE and ref.is_referenced:
            return False  # nobody names it, and who links to it says nothing new
        if entry.status is PartitionStatus.OPEN or entry.signature != _build_listed_signature(ref, entry.status):
            return True
        return self._policy.is_in_lookback(entry, now)

    def _find_unread(self, candidates: Iterable[PartitionRef]) -> dict[PartitionKey, DayKey | None]:
        """Listed, not remembered singly, and not accounted for by a folded day."""
        is_windowed = (
            self._change_detection is ChangeDetection.LISTING
        )  # a list that is read in windows needs no days to be remembered
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
                self.compacted_days.get(template_id, {}).pop(day, None)
                unread_refs = untracked_refs
            unread_days.update((ref.key, day_key) for ref in unread_refs)
        return unread_days

    def _compact_day(self, day_key: DayKey, now: datetime) -> None:
        """Puts a day into its short form, once it is past and nothing of it is unread."""
        template_id, day = day_key
        day_start = datetime.fromisoformat(day).replace(tzinfo=timezone.utc)
        # Not by its end: the last day of the year 9999, which some send where there is no time, has none.
        if now - day_start < COMPACT_AFTER + timedelta(days=1) or self._unread_counts[day_key]:
            return
        for ref in self._refs_by_day[day_key]:
            entry = self.entries.get(ref.key)
            is_settled = entry and entry.status is PartitionStatus.COMPLETE and entry.signature == ref.signature
            is_only_listed = (
                entry and not self._policy.is_recently_referenced(entry, now) and self._policy.is_in_range(ref)
            )
            if entry and is_settled and is_only_listed and self._policy.is_removable(entry, now):
                self.compacted_days.setdefault(template_id, {}).setdefault(day, CompactedDay()).add(ref)
                del self.entries[ref.key]

    def _determine_status(
        self, snapshot: Snapshot, entry: Entry | None, now: datetime
    ) -> tuple[PartitionStatus, datetime]:
        """The status after this reading, and since when."""
        is_first_read = entry is None or not entry.was_read
        if snapshot.status is PartitionStatus.MISSING:
            return PartitionStatus.MISSING, min((entry.missing_since if entry else None) or now, now)
        if not snapshot.is_finished:
            if entry and self.is_stalling(snapshot, now):
                return PartitionStatus.STALLED, entry.status_since
            return PartitionStatus.OPEN, min(
                entry.status_since, now
            ) if entry and entry.status is PartitionStatus.OPEN else now
        if entry and entry.status is PartitionStatus.COMPLETE and entry.signature == snapshot.ref.signature:
            return PartitionStatus.COMPLETE, min(entry.status_since, now)
        settled_at = snapshot.completed_at or (snapshot.ref.approx_created_at if is_first_read else None) or now
        return PartitionStatus.COMPLETE, min(settled_at, now)


def _build_referenced_ref(key: PartitionKey) -> PartitionRef:
    return PartitionRef(key.template_id or None, key.batch_id, is_explicit=True, is_referenced=True)


def age_sort_key(ref: PartitionRef) -> tuple[bool, datetime | None, PartitionKey]:
    """Sorts oldest first, so that days fold early and a long history leaves a small state all along."""
    return (
        (ref.approx_created_at is None, ref.approx_created_at, ref.key)
        if ref.approx_created_at
        else (True, None, ref.key)
    )


def _build_listed_signature(ref: PartitionRef, status: PartitionStatus) -> str:
    """What the list tells that would make a batch of this status due if it changed.

    The provider's own status counts for what may be given up only: anything else is read again when it is finished.
    """
    is_stalled_or_missing = status in {PartitionStatus.STALLED, PartitionStatus.MISSING}
    return f"{ref.signature} {ref.provider_status or ''}".strip() if is_stalled_or_missing else ref.signature


def _has_preserved_rows(entry: Entry, is_fetched_by_id: bool) -> bool:
    """Return whether rows stay as they are when the provider does not know what they are of.

    They do after it was settled and was deleted upstream, and where they say that it is missing with more than its id.
    """
    return entry.status is PartitionStatus.COMPLETE or (entry.status is PartitionStatus.MISSING and is_fetched_by_id)


def _split_row_hashes(joined_hashes: str) -> frozenset[str]:
    return frozenset(
        joined_hashes[start : start + ROW_HASH_LENGTH] for start in range(0, len(joined_hashes), ROW_HASH_LENGTH)
    )
