"""Days that are settled for good: how many batches, and a sum that tells whether a list names just those. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from ..core.model import PartitionRef

DayKey = tuple[str, str]
"""A template's id and a day, as in 2026-11-20."""

_HASH_MODULUS = 1 << 48


@dataclass(slots=True)
class CompactedDay:
    """The batches of one template created on one day that are settled for good."""

    count: int = 0
    hash_sum: int = 0

    def add(self, ref: PartitionRef) -> None:
        self.count += 1
        self.hash_sum = (self.hash_sum + _hash_ref(ref)) % _HASH_MODULUS

    def find_missing(self, refs: Sequence[PartitionRef]) -> list[PartitionRef] | None:
        """Which of the batches listed for this day are not in it: none, or the one that its sum lacks.

        None where that cannot be told.
        """
        ref_by_hash = {_hash_ref(ref): ref for ref in refs}
        missing_hash = (sum(ref_by_hash) - self.hash_sum) % _HASH_MODULUS
        if len(refs) == self.count:
            return [] if not missing_hash else None
        return [ref_by_hash[missing_hash]] if len(refs) == self.count + 1 and missing_hash in ref_by_hash else None


def group_by_day(refs: Iterable[PartitionRef]) -> dict[DayKey, list[PartitionRef]]:
    refs_by_day: defaultdict[DayKey, list[PartitionRef]] = defaultdict(list)
    for ref in refs:
        if ref.approx_created_at is not None:
            refs_by_day[ref.template_id or "", ref.approx_created_at.date().isoformat()].append(ref)
    return refs_by_day


def _hash_ref(ref: PartitionRef) -> int:
    content = f"{ref.key}|{ref.signature}".encode()
    return int.from_bytes(blake2b(content, digest_size=6).digest(), "big")
