"""The decision when states are emitted: often while they are small, seldom while they are large."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from airbyte_cdk.models import AirbyteMessage
from airbyte_cdk.sources.connector_state_manager import ConnectorStateManager

from source_docextract.core.model import PartitionRef
from source_docextract.core.provider import StreamGroup
from source_docextract.sync.checkpoints import Checkpoints, StateSizeMonitor
from source_docextract.sync.stream import Stream
from source_docextract.tables.rows import BATCHES, FILES
from unit_tests.support.sync_parts import NOW, describe, logger, make_stream


def fetch_nothing(_ref: PartitionRef) -> Any:
    raise AssertionError("checkpoints request nothing")


PRODUCT = StreamGroup("acme", fetch_nothing)


class World:
    """Two streams with their checkpoints, and a clock that the test sets.

    Attributes:
        streams: the streams of batches and files.
        seconds: the time of the clock.
        checkpoints: the checkpoints.
    """

    def __init__(self, entries: int = 0) -> None:
        self.streams = [make_stream(PRODUCT, table) for table in (BATCHES, FILES)]
        for stream in self.streams:
            add_entries(stream, entries)
        self.seconds = 0.0
        self.checkpoints = Checkpoints(
            self.streams, ConnectorStateManager([]), StateSizeMonitor(logger), monotonic=lambda: self.seconds
        )


def add_entries(stream: Stream, count: int) -> None:
    """Make a state larger by open batches."""
    first = len(stream.state)
    for number in range(first, first + count):
        stream.state.ledger_pass.register_reference(PartitionRef("template", f"batch-{number:08d}"), NOW)


def measure(messages: list[AirbyteMessage]) -> list[int]:
    """Return the size of each state."""
    return [
        len(orjson.dumps(message.state.stream.stream_state.__dict__))
        for message in messages
        if message.state and message.state.stream and message.state.stream.stream_state
    ]


def test_emit_if_affordable_small_states_follow_each_batch() -> None:
    world = World()
    emitted = []
    for _ in range(20):
        for stream in world.streams:
            add_entries(stream, 1)
        emitted.append(list(map(describe, world.checkpoints.emit_if_affordable(1))))

    assert emitted == [["STATE acme_batches", "STATE acme_files"]] * 20


def test_emit_if_affordable_leaves_out_unchanged_states() -> None:
    world = World()
    list(world.checkpoints.emit_if_affordable(1))
    add_entries(world.streams[1], 1)

    assert list(map(describe, world.checkpoints.emit_if_affordable(1))) == ["STATE acme_files"]
    assert list(world.checkpoints.emit_if_affordable(1)) == []


@pytest.mark.parametrize("entries", [0, 1_000])
def test_emit_if_affordable_growing_states_cost_no_more_than_a_few_times_the_last_ones(entries: int) -> None:
    """Read a thousand batches, with states that already hold a thousand or none."""
    world = World(entries)
    sizes: list[int] = []
    for _ in range(1_000):
        for stream in world.streams:
            add_entries(stream, 1)
        sizes += measure(list(world.checkpoints.emit_if_affordable(1)))
    final_size = sum(measure(list(world.checkpoints.emit_final())))

    # With a state for each batch it would be hundreds of times as much.
    assert len(sizes) >= 2
    assert sum(sizes) <= 2.5 * final_size + 64_000


def test_emit_if_affordable_first_state_of_a_resumed_sync_comes_at_once() -> None:
    """Start with a large state, as after a sync that was killed: progress must not wait until it is paid for."""
    world = World(entries=5_000)
    for stream in world.streams:
        add_entries(stream, 1)

    assert list(map(describe, world.checkpoints.emit_if_affordable(1))) == ["STATE acme_batches", "STATE acme_files"]


def test_emit_if_affordable_puts_the_next_overdue_states_off() -> None:
    world = World()
    world.seconds = 100.0
    add_entries(world.streams[0], 1)
    assert len(list(world.checkpoints.emit_if_affordable(1))) == 2

    world.seconds = 339.0
    assert list(world.checkpoints.emit_if_overdue()) == []
    world.seconds = 340.0
    # Unchanged states too: Airbyte takes silence for a hang.
    assert list(map(describe, world.checkpoints.emit_if_overdue())) == ["STATE acme_batches", "STATE acme_files"]


def test_emit_final_emits_all_states_though_unchanged_and_expensive() -> None:
    world = World(entries=3_000)
    for _ in range(5):
        list(world.checkpoints.emit_final())

    assert list(map(describe, world.checkpoints.emit_final())) == ["STATE acme_batches", "STATE acme_files"]


def test_emit_state_is_that_of_its_moment() -> None:
    """Go on after a state: the message that was emitted must not change with the ledger."""
    world = World(entries=1)
    [first, _] = world.checkpoints.emit_final()
    size = measure([first])

    add_entries(world.streams[0], 10)

    assert measure([first]) == size
