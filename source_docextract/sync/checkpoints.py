"""When the states of the streams are written."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence

import orjson
from airbyte_cdk.models import AirbyteMessage
from airbyte_cdk.sources.connector_state_manager import ConnectorStateManager

from . import messages
from .stream import Stream

MAX_SECONDS_BETWEEN_STATES = 240.0
"""Seconds after which states are written whatever they cost; Airbyte wants one at least every 300."""

_INITIAL_STATE_BYTES = 64_000

_STATE_BYTES_PER_BATCH = 40
"""A sync may spend so many bytes on states before its end: some at first, then some for each batch and stream. Small
states are written after each batch, large ones as seldom as adds up to no more than the last one, which always is."""

STATE_SIZE_WARNING_BYTES = 8_000_000
"""Bytes of all states together from which on a user is warned. Airbyte's platform sends the newest states of all
streams in one request, and its server takes 10 MB (docs/state.md); the rest is for what is put around the states."""


class StateSizeMonitor:
    """How large the newest states of all streams of a sync are together; a warning when that is too much."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._bytes_by_stream: dict[str, int] = {}
        self._has_warned = False

    def record_size(self, stream_name: str, size: int) -> None:
        self._bytes_by_stream[stream_name] = size
        total_size = sum(self._bytes_by_stream.values())
        if total_size > STATE_SIZE_WARNING_BYTES and not self._has_warned:
            self._has_warned = True
            largest_stream = max(self._bytes_by_stream, key=self._bytes_by_stream.__getitem__)
            self._logger.warning(
                "The states of all streams together have %.1f MB, most of it in %s. Airbyte's server accepts 10 MB. "
                "Divide the batches among several sources (docs/scaling.md), or select fewer streams.",
                total_size / 1e6,
                largest_stream,
            )


class Checkpoints:
    """Writes the states of streams that are fed together: seldom enough to stay small, often enough to lose little.

    Args:
        size: is given the size of each state that is written.
        now: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        streams: Sequence[Stream],
        state_manager: ConnectorStateManager,
        size_monitor: StateSizeMonitor,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._streams = streams
        self._state_manager = state_manager
        self._size_monitor = size_monitor
        self._last_serialized = {stream.name: b"" for stream in streams}
        self._bytes_per_entry = {stream.name: float(_STATE_BYTES_PER_BATCH) for stream in streams}
        # What was known before is worth writing again early: else a sync that is always broken off would never get on.
        self._byte_budget = _INITIAL_STATE_BYTES + sum(map(self._estimate_size, streams))
        self._monotonic = monotonic
        self._last_emitted_at = monotonic()

    def emit_if_affordable(self, batch_count: int) -> Iterator[AirbyteMessage]:
        """To be called when all rows of some batches are out. Writes the states that have changed."""
        self._byte_budget += _STATE_BYTES_PER_BATCH * len(self._streams) * batch_count
        if self._byte_budget >= sum(map(self._estimate_size, self._streams)):
            yield from self._emit(changed_only=True)

    def emit_if_overdue(self) -> Iterator[AirbyteMessage]:
        if self._monotonic() - self._last_emitted_at >= MAX_SECONDS_BETWEEN_STATES:
            yield from self._emit()

    def emit_final(self) -> Iterator[AirbyteMessage]:
        yield from self._emit()

    def _emit(self, changed_only: bool = False) -> Iterator[AirbyteMessage]:
        self._last_emitted_at = self._monotonic()
        for stream in self._streams:
            state_json = stream.state.as_json()
            serialized_state = orjson.dumps(state_json)
            if changed_only and serialized_state == self._last_serialized[stream.name]:
                continue
            self._last_serialized[stream.name] = serialized_state
            self._bytes_per_entry[stream.name] = len(serialized_state) / (
                len(stream.state) or len(serialized_state) / _STATE_BYTES_PER_BATCH
            )
            self._byte_budget -= len(serialized_state)
            self._size_monitor.record_size(stream.name, len(serialized_state))
            yield messages.make_state_message(self._state_manager, stream.name, state_json)

    def _estimate_size(self, stream: Stream) -> float:
        """Bytes its state would have now: as many for each thing that is written down as in the last one."""
        return self._bytes_per_entry[stream.name] * len(stream.state)
