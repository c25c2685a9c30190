"""The states that a sync starts from: foreign, odd, of other modes, too large."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from copy import deepcopy
from datetime import datetime, timezone
from typing import Any

import pytest
from airbyte_cdk.models import (
    AirbyteGlobalState,
    AirbyteStateBlob,
    AirbyteStateMessage,
    AirbyteStateType,
    AirbyteStreamState,
    FailureType,
    StreamDescriptor,
)
from airbyte_cdk.sources.connector_state_manager import ConnectorStateManager

from docextract_sandbox import NewDocument
from source_docextract.core.model import PartitionRef
from source_docextract.state.entries import SyncPolicy
from source_docextract.state.serialization import StreamState
from source_docextract.sync.checkpoints import Checkpoints, StateSizeMonitor
from source_docextract.sync.stream import Stream
from source_docextract.tables.rows import BATCHES, RenderOptions
from unit_tests.support.harness import Connection, frozen_sandbox, get_stream_part, log

PAN = {"document_type": "PAN", "name": {"value": "ASHA", "confidence_score": 0.9}}
ROWS = {"atlas_batches": 2, "atlas_files": 24, "atlas_results": 24, "atlas_fields": 24}


@pytest.fixture
def atlas() -> Iterator[Connection]:
    """Yield a connection that has read two batches of twelve documents each."""
    with frozen_sandbox() as (sandbox, url):
        batches = [sandbox.atlas.submit([NewDocument(f"{number}", 0, PAN) for number in range(12)]) for _ in range(2)]
        connection = Connection(sandbox, url, {"atlas": {"batch_ids": batches}})
        assert connection.sync().counts == ROWS
        yield connection


def read_rows(connection: Connection, states: list[AirbyteStateMessage]) -> dict[str, int]:
    """Return the rows by stream that a sync with these states emits."""
    reading = connection.source.read(log, connection.settings, connection.catalog(), deepcopy(states))
    counts: dict[str, int] = {}
    for message in reading:
        if message.record:
            counts[message.record.stream] = counts.get(message.record.stream, 0) + 1
    return counts


def read_refusal(connection: Connection, states: list[AirbyteStateMessage]) -> str:
    """Return the error of a sync with these states, which emits nothing."""
    connection.state = {str(number): state for number, state in enumerate(states)}
    synced = connection.sync()
    assert synced.counts == {}
    assert set(synced.final_statuses.values()) == {"INCOMPLETE"}
    assert synced.error
    assert synced.error.failure_type is FailureType.config_error
    return str(synced.error)


def test_state_names_its_stream(atlas: Connection) -> None:
    assert {name: atlas.get_state_json(name)["stream"] for name in ROWS} == {name: name for name in ROWS}


def test_state_of_another_stream_is_rejected_with_a_message(atlas: Connection) -> None:
    states = dict(atlas.state)
    get_stream_part(states["atlas_files"]).stream_state = get_stream_part(states["atlas_results"]).stream_state

    expected_text = read_refusal(atlas, list(states.values()))

    assert expected_text == (
        "The state of atlas_files belongs to atlas_results. Give each stream its own state again, or clear the state "
        "of atlas_files to read everything again."
    )


def test_state_without_the_name_of_its_stream_is_continued(atlas: Connection) -> None:
    for state in atlas.state.values():
        del vars(get_stream_part(state).stream_state)["stream"]

    assert atlas.sync().counts == {}
    assert atlas.get_state_json("atlas_files")["stream"] == "atlas_files"


@pytest.mark.parametrize("namespace", ["", "docextract"])
def test_state_with_a_namespace_is_continued(atlas: Connection, namespace: str) -> None:
    for state in atlas.state.values():
        get_stream_part(state).stream_descriptor.namespace = namespace

    assert atlas.sync().counts == {}
    assert {get_stream_part(state).stream_descriptor.namespace for state in atlas.state.values()} == {None}


def test_state_with_two_namespaces_for_a_stream_is_rejected_with_a_message(atlas: Connection) -> None:
    doubled = deepcopy(atlas.state["atlas_files"])
    get_stream_part(doubled).stream_descriptor.namespace = "docextract"

    expected_text = read_refusal(atlas, [*atlas.state.values(), doubled])

    assert expected_text.startswith("The state has two entries for atlas_files, with different namespaces.")


def test_state_without_a_type_is_continued(atlas: Connection) -> None:
    for state in atlas.state.values():
        state.type = None

    assert atlas.sync().counts == {}


def test_state_with_a_duplicate_stream_uses_the_later_entry(atlas: Connection) -> None:
    earlier_state = AirbyteStateMessage(
        type=AirbyteStateType.STREAM,
        stream=AirbyteStreamState(
            stream_descriptor=StreamDescriptor(name="atlas_files"), stream_state=AirbyteStateBlob({"version": 3})
        ),
    )

    assert read_rows(atlas, [earlier_state, *atlas.state.values()]) == {}


def test_global_state_is_continued_unless_it_has_shared_state(atlas: Connection) -> None:
    def states(shared: dict[str, Any]) -> list[AirbyteStateMessage]:
        content = AirbyteGlobalState(
            stream_states=[get_stream_part(state) for state in atlas.state.values()],
            shared_state=AirbyteStateBlob(shared),
        )
        return [AirbyteStateMessage(type=AirbyteStateType.GLOBAL, global_=content)]

    assert read_rows(atlas, states({})) == {}
    assert "shared_state" in read_refusal(atlas, states({"cdc": 1}))


def test_state_without_a_stream_is_rejected_with_a_message(atlas: Connection) -> None:
    legacy = AirbyteStateMessage(type=AirbyteStateType.LEGACY, data={"atlas_files": {"version": 3}})

    assert "entry without a stream" in read_refusal(atlas, [legacy])


def test_state_without_cursor_from_the_cdk_reads_a_new_stream(atlas: Connection) -> None:
    get_stream_part(atlas.state["atlas_files"]).stream_state = AirbyteStateBlob({"__ab_no_cursor_state_message": True})

    assert atlas.sync().counts == {"atlas_files": 24}


@pytest.mark.parametrize("sync_id", [None, 1])
def test_state_of_a_full_refresh_restarts_an_incremental_sync(
    atlas: Connection, sync_id: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Read all rows in an incremental sync after an interrupted full refresh.

    The platform drops the rows of the interrupted refresh.
    """
    atlas.sync("atlas_files", full_refresh=True, sync_id=sync_id)
    assert atlas.get_state_json("atlas_files")["full_refresh"] is (True if sync_id is None else sync_id)

    counts = atlas.sync().counts

    assert counts == {"atlas_files": 24}
    assert (
        "The state of atlas_files is that of a full refresh, which an incremental sync cannot continue. The stream is "
        "read from the beginning, once."
    ) in caplog.messages
    assert atlas.sync().counts == {}


def test_full_refresh_without_a_sync_id_resumes_no_other(atlas: Connection) -> None:
    atlas.sync("atlas_files", full_refresh=True)

    assert atlas.sync("atlas_files", full_refresh=True, sync_id=1).counts == {"atlas_files": 24}
    assert atlas.sync("atlas_files", full_refresh=True).counts == {"atlas_files": 24}


@pytest.mark.parametrize(("largest", "warned"), [(2_000, 1), (1_000_000, 0)])
def test_states_too_large_together_log_a_single_warning(
    largest: int, warned: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Emit the states of two providers twice, below and above the common limit.

    Above it there is one warning with the remedy, below it none.
    """
    monkeypatch.setattr("source_docextract.sync.checkpoints.STATE_SIZE_WARNING_BYTES", largest)
    now = datetime(2026, 11, 20, tzinfo=timezone.utc)
    size = StateSizeMonitor(logging.getLogger("airbyte.test"))
    checkpoints = []
    for name in ("atlas_batches", "docmap_batches"):
        ledger = StreamState(SyncPolicy(), stream_name=name)
        for number in range(20):
            ledger.ledger_pass.register_reference(PartitionRef("t", f"batch-{number}"), now)
        assert 1_000 < len(json.dumps(ledger.as_json())) < 2_000
        stream = Stream(name, name, BATCHES, RenderOptions(name), ledger)
        checkpoints.append(Checkpoints([stream], ConnectorStateManager([]), size))

    for checkpoint in checkpoints * 2:
        list(checkpoint.emit_final())

    matching_messages = [
        message for message in caplog.messages if message.startswith("The states of all streams together have")
    ]
    assert len(matching_messages) == warned
    assert all("Divide the batches among several sources (docs/scaling.md)" in message for message in matching_messages)
