"""The random schedules in one process: the sandbox as functions, without sockets, threads and waiting.

They play the same rules as over HTTP, and more: responses overtake each other, connections break, responses stall for
minutes. A sync of theirs costs milliseconds, so many more schedules are played.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from docextract_sandbox import Fault, Sandbox
from docextract_sandbox.faults import FaultKind
from source_docextract.http.rate_limit import RetryPolicy
from unit_tests.support.harness import Connection, SyncResult, create_frozen_sandbox
from unit_tests.support.memory_network import MEMORY_URL, MemoryNetwork
from unit_tests.support.schedules import HOSTS, STREAM_SUBSETS, Schedule, TypedSchedule

BROKEN_KINDS: tuple[FaultKind, ...] = (
    "reset",
    "reset in the middle",
    "cut",
    "html",
    "empty",
    "firewall",
    "redirect",
    "charset",
    "bad byte",
)

SLOW_KINDS: tuple[FaultKind, ...] = ("stall", "trickle")

BROKEN_RESPONSES = (
    *(Fault(kind) for kind in BROKEN_KINDS),
    *(Fault(kind, seconds=seconds) for kind in SLOW_KINDS for seconds in (30.0, 200.0, 400.0)),
)
"""The faults that hide the truth for one sync only: another one sees what this one has not seen.

Left out are those about the size of a response, which are about bytes on a socket, and those that change values, which
no client could recognise. The delays lie around the limits of one response (300 s) and of the time between two states
(240 s).
"""

SPACING = 2.0
"""Seconds between two requests to one of Extracta's result endpoints, as its documentation demands."""

_MAX_LATENCY = 0.5
_SECONDS_BETWEEN_SYNCS = 60.0
_THREE_TRIES = RetryPolicy(max_tries=3)


class MemoryConnection(Connection):
    """A connection through a `MemoryNetwork`."""

    network: MemoryNetwork

    def sync(self, *streams: str, **options: Any) -> SyncResult:
        """Run one sync, some time after the previous one, and check that the spacing was kept."""
        self.network.loop.advance(_SECONDS_BETWEEN_SYNCS)
        result = super().sync(*streams, **options)
        throttled = [entry for entry in self.sandbox.journal.entries if entry.status == 429 and not entry.fault_kind]
        assert not throttled, throttled
        return result


class MemorySchedule(Schedule):
    """A random schedule in memory.

    Attributes:
        latencies: decides how long each response takes. Without a seed, none takes any time.
    """

    extra_settings: ClassVar[dict[str, Any]] = {"extracta": {"seconds_between_requests": SPACING}}

    def __init__(self) -> None:
        super().__init__()
        self.latencies: Random | None = None

    @initialize(seed=st.integers(0, 255))
    def choose_latencies(self, seed: int) -> None:
        """Choose the order in which responses arrive."""
        self.latencies = Random(seed) if seed else None

    def open_sandbox(self, switches: dict[str, Any]) -> tuple[Sandbox, str]:
        sandbox = create_frozen_sandbox(spacing=SPACING, **switches)
        self.network = MemoryNetwork(sandbox, self.draw_latency)
        self._stack.callback(self.network.close)
        return sandbox, MEMORY_URL

    def connect(self, url: str, settings: dict[str, Any]) -> Connection:
        return MemoryConnection(self.sandbox, url, settings, network=self.network, retry_policy=_THREE_TRIES)

    def draw_latency(self) -> float:
        """Return the seconds until the next response."""
        return self.latencies.random() * _MAX_LATENCY if self.latencies else 0.0

    @rule(
        streams=STREAM_SUBSETS,
        host=st.sampled_from(HOSTS),
        fault=st.sampled_from(BROKEN_RESPONSES),
        times=st.integers(1, 12),
        share=st.sampled_from((0.3, 1.0)),
    )
    def sync_with_broken_responses(self, streams: set[str], host: str, fault: Fault, times: int, share: float) -> None:
        """Sync while responses break off, stall, or are unreadable."""
        with self.sandbox.faults.apply_only(replace(fault, endpoint=f"{host}.*", times=times, share=share)):
            self.sync(streams)


class TypedMemorySchedule(TypedSchedule, MemorySchedule):
    """A schedule in memory with typed tables."""

    extra_settings: ClassVar[dict[str, Any]] = {**MemorySchedule.extra_settings, **TypedSchedule.extra_settings}
