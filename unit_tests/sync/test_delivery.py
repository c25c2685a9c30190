"""The emission of one snapshot: the order of the messages, and what stands after a fault in the middle."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from airbyte_cdk.models import AirbyteMessage

from source_docextract.core.errors import BugError, UnreadableResponse
from source_docextract.core.model import FileStatus, PartitionRef, PartitionStatus, Snapshot
from source_docextract.core.provider import ChangeDetection, StreamGroup
from source_docextract.state.entries import EntryState, SyncPolicy
from source_docextract.sync import messages
from source_docextract.sync.product_sync import Phase
from source_docextract.tables.rows import BATCHES, FILES, RESULTS
from unit_tests.support.sync_parts import NOW, ProviderParts, describe, get_state, logger, make_document, make_snapshot


def fetch_nothing(_ref: PartitionRef) -> Any:
    raise AssertionError("an emitter requests nothing")


def make_parts(*names: str, **options: Any) -> ProviderParts:
    """Return a polled product `acme` that lists the batches `names` of its template `t`."""
    parts = ProviderParts(StreamGroup("acme", fetch_nothing), **options)
    parts.plan("acme", [PartitionRef("t", name) for name in names])
    return parts


def test_emit_new_batch_emits_all_rows_of_each_stream_before_the_states() -> None:
    parts = make_parts("B")

    emitted = parts.emit("acme", make_snapshot("B", "a", "b"))

    assert list(map(describe, emitted)) == [
        "RUNNING acme_batches",
        "RECORD acme_batches t/B",
        "RUNNING acme_files",
        "RECORD acme_files t/B/a",
        "RECORD acme_files t/B/b",
        "RUNNING acme_results",
        "RECORD acme_results t/B/a",
        "RECORD acme_results t/B/b",
        "STATE acme_batches",
        "STATE acme_files",
        "STATE acme_results",
    ]


def test_emit_unchanged_batch_emits_nothing() -> None:
    parts = make_parts("B")
    parts.emit("acme", make_snapshot("B", "a"))

    assert parts.emit("acme", make_snapshot("B", "a")) == []


def test_emit_changed_row_emits_that_row_alone() -> None:
    parts = make_parts("B")
    parts.emit("acme", make_snapshot("B", "a", "b"))

    edited = make_snapshot("B", documents=(make_document("a"), make_document("b", data={"total": 7})))
    emitted = parts.emit("acme", edited)

    records = [describe(message) for message in emitted if message.record]
    assert records == ["RECORD acme_results t/B/b"]


def test_emit_waiting_batch_emits_its_own_row_and_leaves_it_due() -> None:
    parts = make_parts("B")

    emitted = parts.emit("acme", make_snapshot("B", status=PartitionStatus.OPEN, documents=None))

    assert [describe(message) for message in emitted if message.record] == ["RECORD acme_batches t/B"]
    assert all(
        stream.state.ledger.get(PartitionRef("t", "B").key).state is EntryState.OPEN
        for stream in parts.streams.values()
    )


def test_emit_fewer_files_than_the_registry_expects_keeps_the_batch_open() -> None:
    parts = make_parts("B")
    snapshot = make_snapshot("B", "a")
    expecting = replace(snapshot, ref=replace(snapshot.ref, expected_files=2))

    [row] = [
        message.record.data
        for message in parts.emit("acme", expecting)
        if message.record and message.record.stream == "acme_batches"
    ]

    assert (row["status"], row["files_total"], row["files_pending"]) == ("open", 2, 1)
    assert parts.streams["acme_files"].state.ledger.get(snapshot.ref.key).state is EntryState.OPEN


def test_emit_row_that_cannot_be_made_emits_nothing_in_any_stream() -> None:
    parts = make_parts("B")
    unwritable = make_snapshot("B", documents=(make_document("a", data={"total": {1, 2}}),))

    with pytest.raises(BugError) as raised:
        parts.emit("acme", unwritable)

    assert "This is a bug in the connector: please report it." in str(raised.value)
    assert raised.value.__cause__ is None
    assert [stream.record_count for stream in parts.streams.values()] == [0, 0, 0]
    # The batch counts as unread: the next reading emits everything.
    assert len([message for message in parts.emit("acme", make_snapshot("B", "a")) if message.record]) == 3


def test_emit_fault_after_many_rows_leaves_the_batch_unread() -> None:
    parts = make_parts("B", tables=(FILES,))
    stream = parts.streams["acme_files"]
    keys = [f"{number:04d}" for number in range(1500)]

    def make_messages(name: str, rows: Iterable[dict[str, Any]], emitted_at: int) -> Iterator[AirbyteMessage]:
        for number, message in enumerate(messages.make_record_messages(name, rows, emitted_at)):
            if number == 1200:
                raise ValueError("Asha Sharma")
            yield message

    stream.make_messages = make_messages
    emitted: list[str] = []
    emitting = parts.emitter.emit(parts.product_syncs["acme"], make_snapshot("B", *keys))
    with pytest.raises(BugError) as raised:
        emitted.extend(map(describe, emitting))

    assert "Asha" not in str(raised.value)
    assert len(emitted) == 1 + 1200
    assert not any(line.startswith("STATE") for line in emitted)
    assert stream.state.ledger.settled_count == 0

    stream.make_messages = messages.make_record_messages
    repeated = parts.emit("acme", make_snapshot("B", *keys))
    assert [describe(message) for message in repeated if message.record] == [
        f"RECORD acme_files t/B/{key}" for key in keys
    ]


def test_emit_error_of_the_connector_is_raised_as_it_is() -> None:
    parts, error = make_parts("B", tables=(RESULTS,)), UnreadableResponse("Acme sent nonsense.")

    def make_messages(_name: str, _rows: Iterable[dict[str, Any]], _emitted_at: int) -> Iterator[AirbyteMessage]:
        raise error
        yield

    parts.streams["acme_results"].make_messages = make_messages
    with pytest.raises(UnreadableResponse) as raised:
        parts.emit("acme", make_snapshot("B", "a"))

    assert raised.value is error


def test_emit_clock_set_back_keeps_the_latest_observed_at() -> None:
    parts = make_parts("B")
    latest = NOW + timedelta(days=1)
    parts.streams["acme_files"].state.observed_at = latest

    emitted = parts.emit("acme", make_snapshot("B", "a"))

    times = {message.record.stream: message.record.data["observed_at"] for message in emitted if message.record}
    assert times["acme_files"] == "2026-11-21T09:00:00.000Z"
    assert times["acme_batches"] == "2026-11-20T09:00:00.000Z"


def test_emit_batch_that_one_stream_does_not_need_feeds_the_others() -> None:
    """Read a batch that `start_date` excludes, because a stream has a reference to it."""
    policy = SyncPolicy(start_date=datetime(2026, 11, 1, tzinfo=timezone.utc))
    parts = ProviderParts(StreamGroup("acme", fetch_nothing), policy=policy)
    old = PartitionRef("t", "B", created_at=datetime(2026, 10, 1, tzinfo=timezone.utc))
    parts.streams["acme_files"].state.ledger_pass.register_reference(old, NOW)
    parts.plan("acme", [old])

    emitted = parts.emit("acme", make_snapshot("B", "a"))

    assert {describe(message) for message in emitted if message.record} == {"RECORD acme_files t/B/a"}


def test_emit_deferred_batch_holds_its_rows_back_and_stays_due() -> None:
    parts = make_parts("B")
    product_sync = parts.product_syncs["acme"]
    ref = PartitionRef("t", "B")
    product_sync.deferred[ref.key] = ref

    held_back = parts.emit("acme", make_snapshot("B", "a"))

    assert not any(message.record for message in held_back)
    # If the sync is killed here, the next one reads the batch again.
    assert all(stream.state.ledger_pass.is_due(ref, NOW + timedelta(days=90)) for stream in parts.streams.values())

    product_sync.deferred.clear()
    assert len([message for message in parts.emit("acme", make_snapshot("B", "a")) if message.record]) == 3


def test_emit_while_windows_are_read_emits_states_for_each_hundred_documents() -> None:
    names = [f"B{number:03d}" for number in range(150)]
    parts = make_parts(*names, tables=(BATCHES,))
    parts.product_syncs["acme"].phase = Phase.WINDOW_ROWS

    emitted = [describe(message) for name in names for message in parts.emit("acme", make_snapshot(name, "a"))]

    assert [number for number, line in enumerate(emitted) if line.startswith("STATE")] == [101]
    assert list(map(describe, parts.emitter.emit_due_states())) == ["STATE acme_batches"]
    assert list(parts.emitter.emit_due_states()) == []


def test_emit_due_states_after_unchanged_batches_emits_none() -> None:
    """Read unchanged batches in the next sync: its only states are those at its end."""
    parts = make_parts("A", "B")
    emitted = [message for name in ("A", "B") for message in parts.emit("acme", make_snapshot(name, "a"))]
    next_sync = make_parts("A", "B")
    for name, stream in next_sync.streams.items():
        stream.state.load(get_state(emitted, name), name)

    for name in ("A", "B"):
        assert next_sync.emit("acme", make_snapshot(name, "a")) == []

    assert list(next_sync.emitter.emit_due_states()) == []


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_emit_unknown_status_and_time_are_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    parts = make_parts("A", "B")
    with caplog.at_level(logging.INFO, logger=logger.name):
        for name in ("A", "B"):
            snapshot = make_snapshot(name, "a", unknown_statuses=frozenset({"queued"}))
            parts.emit("acme", replace(snapshot, uncertain_times=frozenset({"createdAt"})))

    assert warnings_of(caplog) == [
        "Acme sent the unknown status 'queued', which counts as unfinished. Please report it.",
        "Acme sent an unreadable or ambiguous time for createdAt. The column is null, and provider_data holds the "
        "value as sent.",
    ]


@pytest.mark.parametrize(
    ("change_detection", "unit"), [(ChangeDetection.POLLING, "batch"), (ChangeDetection.LISTING, "extraction")]
)
def test_emit_missing_partition_warns_with_its_id_and_reason(
    change_detection: ChangeDetection, unit: str, caplog: pytest.LogCaptureFixture
) -> None:
    parts = ProviderParts(StreamGroup("acme", fetch_nothing, change_detection=change_detection), tables=(BATCHES,))
    ref = PartitionRef("t", "B")
    parts.streams["acme_batches"].state.ledger_pass.register_reference(ref, NOW)

    with caplog.at_level(logging.INFO, logger=logger.name):
        emitted = parts.emit("acme", Snapshot(ref, PartitionStatus.MISSING, error="No such id."))

    assert warnings_of(caplog) == [f"Acme does not know {unit} t/B. No such id."]
    [row] = [message.record.data for message in emitted if message.record]
    assert (row["status"], row["error"]) == ("missing", "No such id.")


def test_emit_batch_unfinished_for_too_long_is_stalled_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    parts = make_parts("B", policy=SyncPolicy(give_up_after=timedelta(days=-1)))
    waiting = make_snapshot("B", status=PartitionStatus.OPEN, documents=(make_document("a", FileStatus.PENDING),))
    with caplog.at_level(logging.INFO, logger=logger.name):
        first = parts.emit("acme", waiting)
        assert warnings_of(caplog) == []
        second = parts.emit("acme", waiting)

    statuses = [
        message.record.data["status"]
        for message in (*first, *second)
        if message.record and message.record.stream == "acme_batches"
    ]
    assert statuses == ["open", "stalled"]
    [warning] = warnings_of(caplog)
    assert warning.startswith("Acme batch t/B has been unfinished for longer than give_up_after_days.")


def test_emit_partly_unreadable_batch_emits_its_rows_and_fails_the_streams(caplog: pytest.LogCaptureFixture) -> None:
    parts = make_parts("B")
    with caplog.at_level(logging.INFO, logger=logger.name):
        emitted = parts.emit("acme", make_snapshot("B", "a", read_error="1 of 2 files cannot be read."))

    assert {describe(message) for message in emitted if message.record} == {
        "RECORD acme_batches t/B",
        "RECORD acme_files t/B/a",
        "RECORD acme_results t/B/a",
    }
    assert {str(stream.error) for stream in parts.streams.values()} == {"1 of 2 files cannot be read."}
    assert warnings_of(caplog) == ["1 of 2 files cannot be read."]


def test_emit_states_let_the_next_sync_skip_the_batch() -> None:
    parts = make_parts("B")
    emitted = parts.emit("acme", make_snapshot("B", "a"))

    next_sync = ProviderParts(StreamGroup("acme", fetch_nothing), policy=SyncPolicy(lookback=timedelta()))
    for name, stream in next_sync.streams.items():
        stream.state.load(get_state(emitted, name), name)

    assert next_sync.plan("acme", [PartitionRef("t", "A"), PartitionRef("t", "B")]) == [PartitionRef("t", "A")]


def test_emit_two_unreadable_batches_keep_the_first_reason_for_the_end() -> None:
    parts = make_parts("A", "B", tables=(BATCHES,))
    [stream] = parts.streams.values()

    for name in ("A", "B"):
        parts.emit("acme", make_snapshot(name, "a", read_error=f"{name} cannot be read."))
    reason, status = stream.emit_final_status()

    assert reason.trace is not None
    assert reason.trace.error is not None
    assert reason.trace.error.message == "A cannot be read."
    assert describe(status) == "INCOMPLETE acme_batches"
    # Airbyte expects exactly one terminal status.
    assert list(stream.emit_final_status()) == []
