"""Days that are settled for good: how many batches, and a sum that tells whether a list names just those. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from .model import BatchRef

DayKey = tuple[str, str]
"""A template's id and a day, as in 2026-11-20."""

_MODULUS = 1 << 48


@dataclass(slots=True)
class Day:
    """The batches of one template created on one day that are settled for good."""

    count: int = 0
    total: int = 0

    def add(self, ref: BatchRef) -> None:
        self.count += 1
        self.total = (self.total + _batch_mark(ref)) % _MODULUS

    def late_among(self, refs: Sequence[BatchRef]) -> list[BatchRef] | None:
        """Which of the batches listed for this day are not in it: none, or the one that its sum lacks.

        None where that cannot be told.
        """
        marks = {_batch_mark(ref): ref for ref in refs}
        lacking = (sum(marks) - self.total) % _MODULUS
        if len(refs) == self.count:
            return [] if not lacking else None
        return [marks[lacking]] if len(refs) == self.count + 1 and lacking in marks else None


def by_day(refs: Iterable[BatchRef]) -> dict[DayKey, list[BatchRef]]:
    days: defaultdict[DayKey, list[BatchRef]] = defaultdict(list)
    for ref in refs:
        if ref.clock is not None:
            days[ref.template_id or "", ref.clock.date().isoformat()].append(ref)
    return days


def _batch_mark(ref: BatchRef) -> int:
    name = f"{ref.key}|{ref.signature}".encode()
    return int.from_bytes(blake2b(name, digest_size=6).digest(), "big")
