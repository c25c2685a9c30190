"""Shared state of a sandbox: clock, lock, switches, journal, faults, generator."""

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
    """Shared state of all worlds, behind one lock.

    Tests call the worlds from their own thread while the server's thread responds to requests.

    Attributes:
        clock: The sandbox's clock.
        switches: The variants of undocumented behaviour.
        spacing: Least real seconds between two requests to each of Extracta's result endpoints.
        journal: The API requests.
        faults: The active faults.
        random: Generator that the APIs share.
        lock_hooks: Functions that run first whenever the lock is taken.
    """

    def __init__(self, clock: Clock, switches: Switches, spacing: float, random_seed: int) -> None:
        """Create the journal, the faults and the generators.

        `random_seed` seeds all of these.
        """
        self.clock = clock
        self.switches = switches
        self.spacing = spacing
        self.journal = Journal()
        self.faults = Faults(Random(f"{random_seed}/faults"))
        self.random = Random(random_seed)
        self._random_seed = random_seed
        self.lock_hooks: list[Callable[[], None]] = []
        # The sandbox has no background task: what has become due by the clock takes place when the lock is next taken.
        self._lock = threading.RLock()
        self._lock_depth = 0
        self._signed_url_count = 0

    @contextmanager
    def hold_lock(self) -> Iterator[None]:
        """Hold the lock on the worlds while the block runs.

        The same thread may take it again inside.
        """
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
        """Return a generator whose draws do not change the documents of other APIs."""
        return Random(f"{self._random_seed}/{api_name}")

    def timestamp(self) -> float:
        """Return the sandbox's time in seconds since 1970."""
        return self.clock.timestamp()

    def now_ms(self) -> int:
        """Return the sandbox's time in milliseconds since 1970."""
        return round(self.clock.timestamp() * 1000)

    def sign_url(self, file_name: str) -> str:
        """Return a pre-signed URL that differs at each call.

        A client that counts signed URLs as content sees a change in every response, and the tests fail.
        """
        self._signed_url_count += 1
        now = self.clock.now()
        signature = hashlib.sha256(f"{self._signed_url_count}/{now.timestamp()}".encode()).hexdigest()
        return f"https://files.example.invalid/{quote(file_name)}?X-Date={now:%Y%m%dT%H%M%SZ}&X-Signature={signature}"


def to_milliseconds(moment: datetime) -> int:
    """Return the full milliseconds between 1970 and a moment."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def format_iso(milliseconds: int) -> str:
    """Return milliseconds since 1970 in the form `2026-11-20T09:00:00.000Z`."""
    return to_datetime(milliseconds / 1000).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_datetime(seconds: float) -> datetime:
    """Return the UTC moment that is `seconds` after 1970."""
    return datetime.fromtimestamp(seconds, timezone.utc)
