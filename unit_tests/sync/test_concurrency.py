"""All providers in one sync: a slow or failing one delays no other."""

from __future__ import annotations

import threading
import time

import pytest

from docextract_sandbox import Fault, Sandbox
from unit_tests.support.concurrency import OTHERS, fill_sandbox
from unit_tests.support.harness import Connection, frozen_sandbox, log

ENDPOINTS = {"extracta.getBatchResults", "extracta.getResults"}


def test_provider_waiting_between_requests_delays_no_other() -> None:
    """Read the other providers to the end while Extracta waits for its second request."""
    with frozen_sandbox() as (sandbox, url):
        connection = Connection(sandbox, url, fill_sandbox(sandbox))
        status_by_stream: dict[str, str] = {}
        others = {stream for stream in connection.streams if stream.startswith(OTHERS)}
        reading = connection.source.read(log, connection.settings, connection.catalog(), [])
        for message in reading:
            if message.trace and message.trace.stream_status:
                status = message.trace.stream_status
                status_by_stream[status.stream_descriptor.name] = status.status.value
            is_read = all(status_by_stream.get(stream) == "COMPLETE" for stream in others)
            if is_read and len(ENDPOINTS & (requests := sandbox.journal.count_requests()).keys()) == 2:
                break
        reading.close()

    assert {stream for stream, status in status_by_stream.items() if status == "COMPLETE"} == others
    assert requests["sensible.document"] == 250
    assert [requests[endpoint] for endpoint in ENDPOINTS] == [1, 1]


@pytest.mark.sample(2)
@pytest.mark.parametrize("down", ["extracta", *OTHERS])
def test_sync_provider_down_affects_only_its_streams(down: str) -> None:
    with frozen_sandbox() as (sandbox, url):
        connection = Connection(sandbox, url, fill_sandbox(sandbox))
        connection.settings["extracta"]["seconds_between_requests"] = 0
        with sandbox.faults.apply_only(Fault("status", f"{down}.*", status=503)):
            synced = connection.sync()

        assert {
            stream.startswith(down) for stream, status in synced.final_statuses.items() if status == "INCOMPLETE"
        } == {True}
        assert {
            stream.startswith(down) for stream, status in synced.final_statuses.items() if status == "COMPLETE"
        } == {False}
        assert all(stream.startswith(down) == (stream not in synced.counts) for stream in synced.final_statuses)
        recovery_sync = connection.sync()
        assert set(recovery_sync.final_statuses.values()) == {"COMPLETE"}
        assert {stream for stream in recovery_sync.final_statuses if stream.startswith(down)} == set(
            recovery_sync.counts
        )


def test_read_abandoned_leaves_no_threads(served_sandbox: tuple[Sandbox, str]) -> None:
    connection = Connection(*served_sandbox, fill_sandbox(served_sandbox[0]))
    existing_threads = set(threading.enumerate())
    reading = connection.source.read(log, connection.settings, connection.catalog(), [])
    for message in reading:
        if message.record:
            break
    reading.close()

    names = ("Extracta", "DocMap", "Sensible", "Atlas")
    patience = time.monotonic() + 30
    while sync_threads := [
        thread for thread in set(threading.enumerate()) - existing_threads if thread.name.startswith(names)
    ]:
        assert time.monotonic() < patience, sync_threads
        time.sleep(0.01)


@pytest.mark.parametrize("wrong", ["extracta", *OTHERS])
def test_check_sends_few_requests_and_names_the_failing_provider(wrong: str) -> None:
    with frozen_sandbox() as (sandbox, url):
        connection = Connection(sandbox, url, fill_sandbox(sandbox))
        good = connection.source.check(None, connection.settings)  # type: ignore[arg-type]
        requests = sandbox.journal.count_requests()
        key = "client_secret" if wrong == "atlas" else "api_key"
        connection.settings[wrong][key] = "wrong-wrong-wrong"

        bad = connection.source.check(None, connection.settings)  # type: ignore[arg-type]

        assert good.status.value == "SUCCEEDED"
        assert requests == {
            "extracta.viewExtraction": 1,
            "extracta.getResults": 1,
            "docmap.usage": 1,
            "sensible.document_types": 1,
            "atlas.authtoken": 1,
            "atlas.extracts": 1,
        }
        assert bad.status.value == "FAILED"
        assert wrong in str(bad.message).lower()
        assert "wrong-wrong-wrong" not in str(bad.message)
        assert all(other not in str(bad.message).lower() for other in ("extracta", *OTHERS) if other != wrong)
