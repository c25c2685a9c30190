"""The ledger of one stream: the partitions that it has read or has to read. Pure.

A ledger is what remains between syncs; its rules are in `passes`. Each partition is remembered in one of these ways:

- By an entry, in one of the states of `EntryState`.
- By a compacted day, if it settled longer ago than the lookback and its creation time is known. Only the number of the
  day's partitions and the sum of their hashes remain. If a later listing of that day does not add up, the one partition
  that accounts for the difference is read again, or else the whole day. So a partition that is listed late or re-opened
  is noticed at any age.
- By a read range, if it was listed by time and settled before the lookback. A listed row inside the read ranges that
  has no entry was delivered, under whichever of its scopes the listing is read. A batch may name such a partition by
  its id alone. It is doubtful until it has been read: only then its creation time is known.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from ..core.model import PartitionKey, PartitionRef
from ..core.time_ranges import BEGINNING, TimeRange, go_back, merge_ranges
from .compaction import CompactedDay
from .entries import Entry, EntryState, Listing, SyncPolicy


@dataclass(eq=False, slots=True)
class Ledger:
    """The memory of one stream about the partitions of one product.

    Attributes:
        entries: the partitions that are remembered singly.
        compacted_days: the days that have settled for good, by template and ISO date.
        failed_keys: what the last sync could not read, so that this sync requests it last. A key without a batch id
            stands for the listing of its template or scope.
        read_ranges: the ranges of creation time that have been read, by scope of a listing by time; none where only
            rows of an unfinished window have been delivered. Scopes that the settings no longer name stay.
        pruned_before: by scope, the time before which settled partitions in the read ranges have no entry.
        inactive_scopes: the scopes that the settings no longer name, and whose entries are pinned.
        doubtful_keys: the partitions that a reference named when they had no entry, and that no listing has shown
            since. They may have been delivered and pruned before.
        given_up: a hash of the key of each pruned partition whose last reading was no finished one. The read ranges
            prove nothing about its later content.
        last_complete_sync: the time up to which each look at a settled partition that was due has been made, or has
            left the partition in `failed_keys`. None in an older state.
        late_settled_at: when the last document of a listing by time settled on a later day than it was created.
    """

    entries: dict[PartitionKey, Entry] = field(default_factory=dict)
    compacted_days: dict[str, dict[str, CompactedDay]] = field(default_factory=dict)
    failed_keys: set[PartitionKey] = field(default_factory=set)
    read_ranges: dict[str, list[TimeRange]] = field(default_factory=dict)
    pruned_before: dict[str, datetime] = field(default_factory=dict)
    inactive_scopes: set[str] = field(default_factory=set)
    doubtful_keys: set[PartitionKey] = field(default_factory=set)
    given_up: set[str] = field(default_factory=set)
    last_complete_sync: datetime | None = None
    late_settled_at: datetime | None = None

    def __len__(self) -> int:
        """Return the number of items in the JSON form, which its size grows with."""
        day_count = sum(map(len, self.compacted_days.values()))
        return len(self.entries) + day_count + len(self.failed_keys) + len(self.doubtful_keys)

    def get(self, key: PartitionKey) -> Entry:
        """Return the entry of a partition, or a new one that is not stored."""
        return self.entries.get(key) or Entry(BEGINNING, EntryState.NEW)

    @property
    def open_keys(self) -> list[PartitionKey]:
        """Return the keys of the open partitions, read or not."""
        return [key for key, entry in self.entries.items() if entry.is_unfinished]

    @property
    def missing_keys(self) -> list[PartitionKey]:
        """Return the keys of the partitions that the provider does not know."""
        return [key for key, entry in self.entries.items() if entry.state is EntryState.MISSING]

    @property
    def settled_count(self) -> int:
        """Return the number of settled and stalled partitions, with compacted ones."""
        compacted_count = 0
        for days in self.compacted_days.values():
            compacted_count += sum(day.count for day in days.values())
        return len(self.entries) - len(self.open_keys) - len(self.missing_keys) + compacted_count

    def find_vanished(self, listing: Listing) -> list[PartitionRef]:
        """Return the open partitions that their template's listing, read to its end, no longer names."""
        return [
            PartitionRef(key.template_id or None, key.batch_id)
            for key in self.open_keys
            if key.template_id in listing.complete_templates
            and key not in listing.refs
            and not self.entries[key].last_referenced_at
        ]

    @property
    def watermarks(self) -> dict[str, datetime]:
        """Return the end of the last read range, by scope."""
        return {scope: ranges[-1].end for scope, ranges in self.read_ranges.items() if ranges}

    def load_watermark(self, scope: str, watermark: datetime, policy: SyncPolicy) -> None:
        """Continue from the watermark of an older state, which has no read ranges.

        The start of its range is unknown, so the present `start_date` counts as the start. A user who moves the date
        and upgrades the connector in one step therefore reads no further back (docs/state.md, "Versions and size").
        """
        start = policy.start_date or BEGINNING
        self.add_read_range(scope, TimeRange(start if start < watermark else BEGINNING, watermark))
        self.pruned_before[scope] = go_back(watermark, policy.lookback)

    def add_read_range(self, scope: str, time_range: TimeRange) -> None:
        """Record that the partitions created in a range have been read under a scope."""
        self.read_ranges[scope] = merge_ranges([*self.read_ranges.get(scope, ()), time_range])
