"""The decision when to emit the states of the streams, and their size limit."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b

import orjson
from airbyte_cdk.models import AirbyteMessage
from airbyte_cdk.sources.connector_state_manager import ConnectorStateManager

from ..core.content import ROW_HASH_LENGTH
from . import messages
from .stream import Stream

MAX_SECONDS_BETWEEN_STATES = 240.0
"""Seconds after which states are emitted whatever they cost; Airbyte expects one at least every 300."""

_INITIAL_STATE_BYTES = 64_000
"""Bytes that a sync may spend on states from the start on."""

_STATE_BYTES_PER_BATCH = 40
"""Bytes that each batch adds to that budget, for each stream.

By this a small state is emitted after each batch, and a large one so seldom that all of them together are no larger
than the last one, which is always emitted."""

STATE_SIZE_WARNING_BYTES = 8_000_000
"""Bytes of all states together above which the connector warns.

Airbyte's platform sends the newest states of all streams in one request, and its server takes 10 MB (docs/state.md).
The difference is for what the platform puts around the states."""


class StateSizeMonitor:
    """The total size of all streams' newest states, with a warning if too large.

    Args:
        logger: takes the warning.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._bytes_by_stream: dict[str, int] = {}
        self._has_warned = False

    def record_size(self, stream_name: str, size: int) -> None:
        """Record the size of a stream's newest state, and warn once above the limit."""
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
    """The states of one provider's streams, which are emitted together.

    States are emitted seldom enough to cost little, and often enough that a killed sync repeats little.

    Args:
        streams: the streams of one provider.
        state_manager: the CDK's store of states, which makes the messages.
        size_monitor: records the size of each state that is emitted.
        monotonic: returns the seconds of a clock that never goes back.
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
        self._last_digests = {stream.name: b"" for stream in streams}
        self._bytes_per_entry = {stream.name: float(_STATE_BYTES_PER_BATCH) for stream in streams}
        # The states of previous syncs count as paid for. Otherwise a sync with a large state that is always killed
        # early would never reach its first checkpoint, and never make progress.
        self._byte_budget = _INITIAL_STATE_BYTES + sum(map(self._estimate_size, streams))
        self._monotonic = monotonic
        self._last_emitted_at = monotonic()

    def emit_if_affordable(self, batch_count: int, document_count: int = 0) -> Iterator[AirbyteMessage]:
        """Emit the states that have changed, if the byte budget allows it.

        Args:
            batch_count: number of batches (or single documents) whose rows were emitted since the last call. All their
                rows must be out: a state must never come before the records that it covers.
            document_count: number of documents among them whose batch is still being read. Their hashes stay in the
                state, so a state follows each time that it has doubled.
        """
        added_bytes = _STATE_BYTES_PER_BATCH * batch_count + ROW_HASH_LENGTH * document_count
        self._byte_budget += added_bytes * len(self._streams)
        # Rationed by size: large states that are sent often have broken Airbyte's platform. 2.6 GB of states in one
        # attempt were reported.
        if self._byte_budget >= sum(map(self._estimate_size, self._streams)):
            yield from self._emit(changed_only=True)

    def emit_if_overdue(self) -> Iterator[AirbyteMessage]:
        """Emit all states, also unchanged ones, if the last ones are too old.

        Too old is more than `MAX_SECONDS_BETWEEN_STATES`.
        """
        if self._monotonic() - self._last_emitted_at >= MAX_SECONDS_BETWEEN_STATES:
            yield from self._emit()

    def emit_final(self) -> Iterator[AirbyteMessage]:
        """Emit all states, also unchanged ones: each stream ends with one."""
        yield from self._emit()

    def _emit(self, changed_only: bool = False) -> Iterator[AirbyteMessage]:
        self._last_emitted_at = self._monotonic()
        for stream in self._streams:
            # A new object each time: the message refers to it.
            state_json = stream.state.as_json()
            serialized_state = orjson.dumps(state_json)
            digest = blake2b(serialized_state).digest()
            if changed_only and digest == self._last_digests[stream.name]:
                continue
            self._last_digests[stream.name] = digest
            self._bytes_per_entry[stream.name] = len(serialized_state) / (
                len(stream.state) or len(serialized_state) / _STATE_BYTES_PER_BATCH
            )
            self._byte_budget -= len(serialized_state)
            self._size_monitor.record_size(stream.name, len(serialized_state))
            yield messages.make_state_message(self._state_manager, stream.name, state_json)

    def _estimate_size(self, stream: Stream) -> float:
        """Estimate the bytes of a stream's state from the bytes per entry in its last one."""
        return self._bytes_per_entry[stream.name] * len(stream.state)
