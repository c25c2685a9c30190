"""What the worlds of one sandbox share: the clock, the lock, the switches, the journal, the generator."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from random import Random
from typing import TypeAlias
from urllib.parse import quote

from .clock import Clock
from .faults import Faults
from .journal import Journal
from .switches import Switches

JsonObject: TypeAlias = dict[str, object]
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Unknown(LookupError):
    """A template, batch or document that a world does not hold."""


class Shared:
    """One lock for all worlds: tests call them from their own thread while the server's thread answers."""

    def __init__(self, clock: Clock, switches: Switches, spacing: float, random_seed: int) -> None:
        self.clock = clock
        self.switches = switches
        self.spacing = spacing
        self.journal = Journal()
        self.faults = Faults(Random(f"{random_seed}/faults"))
        self.random = Random(random_seed)
        self._random_seed = random_seed
        self.on_turn: list[Callable[[], None]] = []
        """Called first in every turn: what has come due meanwhile takes place then, as there is no background task."""
        self._lock = threading.RLock()
        self._depth = 0
        self._links = 0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """The right to read and change the worlds; a turn inside a turn is free."""
        with self._lock:
            self._depth += 1
            try:
                if self._depth == 1:
                    for due in self.on_turn:
                        due()
                yield
            finally:
                self._depth -= 1

    def generator(self, name: str) -> Random:
        """A generator for one API alone, so that what is drawn there leaves the documents of the others as they are."""
        return Random(f"{self._random_seed}/{name}")

    def timestamp(self) -> float:
        return self.clock.timestamp()

    def milliseconds(self) -> int:
        return round(self.clock.timestamp() * 1000)

    def link(self, name: str) -> str:
        """A pre-signed link: never the same twice, so that a client that takes it for content is found out."""
        self._links += 1
        now = self.clock.now()
        signature = hashlib.sha256(f"{self._links}/{now.timestamp()}".encode()).hexdigest()
        return f"https://files.example.invalid/{quote(name)}?X-Date={now:%Y%m%dT%H%M%SZ}&X-Signature={signature}"


def milliseconds(when: datetime) -> int:
    """The last full millisecond by that moment, counted since 1970."""
    return (when - _EPOCH) // timedelta(milliseconds=1)


def iso(milliseconds: int) -> str:
    """The moment as most APIs write it: ISO 8601 in UTC with milliseconds, such as `2026-11-20T09:00:00.000Z`."""
    return utc(milliseconds / 1000).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc(seconds: float) -> datetime:
    """The moment that lies `seconds` after 1970."""
    return datetime.fromtimestamp(seconds, timezone.utc)
