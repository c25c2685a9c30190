"""Days that have settled for good, as a count and a sum of hashes. Pure.

A later listing of the day names the same partitions if both agree, unless two sums of 48 bits collide. A day costs
about 30 bytes of state, so that 100,000 settled batches stay below 64 kB.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from hashlib import blake2b

from ..core.model import PartitionKey, PartitionRef
from .entries import COMPACT_AFTER

DayKey = tuple[str, str]
"""A template id and an ISO date, such as `2026-11-20`."""

_HASH_MODULUS = 1 << 48


@dataclass(slots=True)
class CompactedDay:
    """The partitions of one template and day of creation that have settled for good.

    Attributes:
        count: the number of its partitions.
        hash_sum: the sum of their hashes, modulo 2^48.
    """

    count: int = 0
    hash_sum: int = 0

    def add(self, ref: PartitionRef) -> None:
        """Add a partition."""
        self.count += 1
        # A sum does not depend on the order of the list: Extracta's is a JSON object, whose order means nothing.
        self.hash_sum = (self.hash_sum + _hash_ref(ref)) % _HASH_MODULUS

    def find_missing(self, refs: Sequence[PartitionRef]) -> list[PartitionRef] | None:
        """Return the listed partitions that the compacted day lacks.

        Args:
            refs: all partitions that the listing names for this day.

        Returns:
            No partition or one; None if the count and the sum do not identify what is lacking.
        """
        ref_by_hash = {_hash_ref(ref): ref for ref in refs}
        missing_hash = (sum(ref_by_hash) - self.hash_sum) % _HASH_MODULUS
        if len(refs) == self.count:
            return [] if not missing_hash else None
        return [ref_by_hash[missing_hash]] if len(refs) == self.count + 1 and missing_hash in ref_by_hash else None


def compare_with_days(
    refs_by_day: Mapping[DayKey, Sequence[PartitionRef]],
    compacted_days: Mapping[str, Mapping[str, CompactedDay]],
    tracked_keys: Container[PartitionKey],
) -> tuple[dict[PartitionKey, DayKey], list[DayKey]]:
    """Compare a listing with the compacted days.

    Args:
        refs_by_day: the listed partitions, by day.
        compacted_days: the compacted days, by template and ISO date.
        tracked_keys: the partitions that have an entry.

    Returns:
        The listed partitions that neither an entry nor a compacted day covers, with their days; and the compacted days
        whose difference from the listing cannot be identified.
    """
    unread_days: dict[PartitionKey, DayKey] = {}
    mismatched_days: list[DayKey] = []
    for day_key, refs in refs_by_day.items():
        template_id, day = day_key
        untracked_refs = [ref for ref in refs if ref.key not in tracked_keys]
        compacted_day = compacted_days.get(template_id, {}).get(day, CompactedDay())
        if (unread_refs := compacted_day.find_missing(untracked_refs)) is None:
            # Read the whole day again. Unchanged rows that have no entry may be delivered twice; passing over a changed
            # partition would lose rows.
            mismatched_days.append(day_key)
            unread_refs = untracked_refs
        unread_days.update((ref.key, day_key) for ref in unread_refs)
    return unread_days, mismatched_days


def group_by_day(refs: Iterable[PartitionRef]) -> dict[DayKey, list[PartitionRef]]:
    """Group the partitions of known creation time by template and day."""
    refs_by_day: defaultdict[DayKey, list[PartitionRef]] = defaultdict(list)
    for ref in refs:
        if ref.approx_created_at is not None:
            refs_by_day[ref.template_id or "", ref.approx_created_at.date().isoformat()].append(ref)
    return refs_by_day


def is_day_over(day_key: DayKey, now: datetime) -> bool:
    """Return whether a day ended so long ago that it can be compacted."""
    day_start = datetime.fromisoformat(day_key[1]).replace(tzinfo=timezone.utc)
    # Counted from its start: 9999-12-31, which some providers send for a missing time, has no representable end.
    return now - day_start >= COMPACT_AFTER + timedelta(days=1)


def _hash_ref(ref: PartitionRef) -> int:
    # The signature is included, so that a batch which gains files long after it settled (`filesNo`) changes the sum.
    content = f"{ref.key}|{ref.signature}".encode()
    return int.from_bytes(blake2b(content, digest_size=6).digest(), "big")
