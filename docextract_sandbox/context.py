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


class UnknownId(LookupError):
    """A template, batch or document that a world does not hold."""


class SandboxContext:
    """One lock for all worlds: tests call them from their own thread while the server's thread answers."""

    def __init__(self, clock: Clock, switches: Switches, spacing: float, random_seed: int) -> None:
        self.clock = clock
        self.switches = switches
        self.spacing = spacing
        self.journal = Journal()
        self.faults = Faults(Random(f"{random_seed}/faults"))
        self.random = Random(random_seed)
        self._random_seed = random_seed
        self.lock_hooks: list[Callable[[], None]] = []
        """Called first in every turn: what has come due meanwhile takes place then, as there is no background task."""
        self._lock = threading.RLock()
        self._lock_depth = 0
        self._signed_url_count = 0

    @contextmanager
    def hold_lock(self) -> Iterator[None]:
        """The right to read and change the worlds; a turn inside a turn is free."""
        with self._lock:
            self._lock_depth += 1
            try:
                if self._lock_depth == 1:
                    for hook in self.lock_hooks:
                        hook()
                yield
            finally:
                self._lock_depth -= 1

    def make_random(self, api_name: str) -> Random:
        """A generator for one API alone, so that what is drawn there leaves the documents of the others as they are."""
        return Random(f"{self._random_seed}/{api_name}")

    def timestamp(self) -> float:
        return self.clock.timestamp()

    def now_ms(self) -> int:
        return round(self.clock.timestamp() * 1000)

    def sign_url(self, file_name: str) -> str:
        """A pre-signed link: never the same twice, so that a client that takes it for content is found out."""
        self._signed_url_count += 1
        now = self.clock.now()
        signature = hashlib.sha256(f"{self._signed_url_count}/{now.timestamp()}".encode()).hexdigest()
        return f"https://files.example.invalid/{quote(file_name)}?X-Date={now:%Y%m%dT%H%M%SZ}&X-Signature={signature}"


def to_milliseconds(moment: datetime) -> int:
    """The last full millisecond by that moment, counted since 1970."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def format_iso(milliseconds: int) -> str:
    """The moment as most APIs write it: ISO 8601 in UTC with milliseconds, such as `2026-11-20T09:00:00.000Z`."""
    return to_datetime(milliseconds / 1000).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_datetime(seconds: float) -> datetime:
    """The moment that lies `seconds` after 1970."""
    return datetime.fromtimestamp(seconds, timezone.utc)
