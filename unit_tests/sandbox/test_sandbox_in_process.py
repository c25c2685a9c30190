"""The sandbox in the process of its client: the same as over HTTP, without sockets, threads and waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from airbyte_cdk.models import AirbyteMessageSerializer

from docextract_sandbox import TRANSIENT_4XX_FAULTS, Fault, make_throttle_fault
from unit_tests.support.harness import Connection, SyncResult, create_frozen_sandbox, frozen_sandbox, has_same_content
from unit_tests.support.memory_network import MEMORY_URL, MemoryNetwork
from unit_tests.support.memory_schedules import BROKEN_KINDS, SLOW_KINDS
from unit_tests.support.scenario import add_first_day

FAULTS = [
    None,
    Fault("status", status=503, body="down"),
    make_throttle_fault(),
    *TRANSIENT_4XX_FAULTS.values(),
    Fault("unknown id"),
    *(Fault(kind, seconds=0.001) for kind in (*BROKEN_KINDS, *SLOW_KINDS)),
]


@contextmanager
def open_memory_connection(tmp_path: Path, seed: int | None = None, **settings: Any) -> Iterator[Connection]:
    sandbox = create_frozen_sandbox()
    latencies = Random(seed)
    network = MemoryNetwork(sandbox, lambda: latencies.random() if seed is not None else 0.0)
    yield Connection(sandbox, MEMORY_URL, {**add_first_day(sandbox, tmp_path), **settings}, network=network)
    network.close()


def sync_under_fault(connection: Connection, fault: Fault | None) -> SyncResult:
    with connection.sandbox.faults.apply_only(*([fault] if fault else [])):
        return connection.sync()


def exempt_extracta(fault: Fault | None) -> Fault | None:
    return replace(fault, endpoint="[!e]*") if fault else None


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.kind} {fault.status}" if fault else "none")
def test_sandbox_in_process_under_each_fault_is_synced_as_over_http(fault: Fault | None, tmp_path: Path) -> None:
    # One request at a time, and no fault of Extracta.ai, which has several lanes. Otherwise the time decides which
    # requests are on their way when a provider is given up.
    with frozen_sandbox() as (sandbox, url):
        served = Connection(sandbox, url, {**add_first_day(sandbox, tmp_path), "max_in_flight": 1})
        expected = sync_under_fault(served, exempt_extracta(fault))
    with open_memory_connection(tmp_path, max_in_flight=1) as connection:
        result = sync_under_fault(connection, exempt_extracta(fault))

    assert result.requests == expected.requests
    assert result.final_statuses == expected.final_statuses
    assert str(result.error) == str(expected.error)
    assert result.counts == expected.counts
    for stream, rows in served.warehouse.items():
        assert all(has_same_content(connection.warehouse[stream][key], row) for key, row in rows.items()), stream


def test_sandbox_in_process_unknown_path_is_answered_and_recorded() -> None:
    sandbox = create_frozen_sandbox()

    url = sandbox.get_base_urls(MEMORY_URL)["docmap"]
    response = asyncio.run(sandbox.entrance.request("GET", f"{url}/nowhere?a=b%20c", {}, b""))

    assert response.status == 404
    [entry] = sandbox.journal.entries
    assert (entry.endpoint, entry.query) == ("docmap.unknown", {"a": "b c"})


def test_memory_network_retry_after_passes_on_virtual_clock(tmp_path: Path) -> None:
    with open_memory_connection(tmp_path) as connection:
        result = sync_under_fault(connection, make_throttle_fault("docmap.*", retry_after=500, times=1))
        assert isinstance(connection.network, MemoryNetwork)
        seconds = connection.network.monotonic()

    assert result.error is None
    assert 500 <= seconds < 600


def test_memory_network_stalled_provider_gets_states_while_waiting(tmp_path: Path) -> None:
    with open_memory_connection(tmp_path) as connection:
        result = sync_under_fault(connection, Fault("stall", "atlas.authtoken", seconds=290, times=1))
        undelayed_result = connection.sync()

    assert result.error is None
    assert undelayed_result.states.count("atlas_files") == 1
    # At least one more: a heartbeat finds the states overdue.
    assert result.states.count("atlas_files") > 1


def test_memory_network_same_seed_gives_same_messages(tmp_path: Path) -> None:
    outputs = []
    for seed in (1, 1, 2):
        with open_memory_connection(tmp_path, seed) as connection:
            messages = map(AirbyteMessageSerializer.dump, connection.sync().messages)
            outputs.append([message.get("record", message["type"]) for message in messages])

    assert outputs[0] == outputs[1]
    assert outputs[0] != outputs[2]


def test_memory_network_interrupted_sync_leaves_no_tasks(tmp_path: Path) -> None:
    with open_memory_connection(tmp_path, seed=1) as connection:
        connection.sync(stop_after=30)
        assert isinstance(connection.network, MemoryNetwork)
        assert not asyncio.all_tasks(connection.network.loop)


def test_memory_network_wait_without_end_is_an_error() -> None:
    network = MemoryNetwork(create_frozen_sandbox())

    with pytest.raises(RuntimeError, match="deadlock"):
        network.create_queue().get()
