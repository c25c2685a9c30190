"""Long histories: what a first sync costs, in requests and in states, also where it is broken off again and again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import orjson
import pytest
from airbyte_cdk.models import AirbyteStateMessageSerializer

from docextract_sandbox import NewFile, Sandbox
from unit_tests.support.harness import START, Connection, SyncResult, frozen_sandbox

MEGABYTE = 1_000_000
ONE_WINDOW = 650
"""Requests that may be made again after a sync was broken off: the list of a window, its 553 documents and their
batches (a state follows each whole window, and a hundred documents only where its size allows it), the finding of the
oldest, and what was on its way."""


def measure_states(synced: SyncResult) -> int:
    states = (message.state for message in synced.messages if message.state)
    return sum(len(orjson.dumps(AirbyteStateMessageSerializer.dump(state))) for state in states)


def add_docmap_runs(sandbox: Sandbox, batches: int) -> dict[str, Any]:
    template = sandbox.docmap.put_template("Invoices")
    sandbox.docmap.add_history(
        template, batches, START - timedelta(days=100), step_seconds=8_000_000 / batches, run_size=1
    )
    return {"docmap": {}}


def add_sensible_batches(sandbox: Sandbox, batches: int) -> dict[str, Any]:
    sandbox.sensible.add_document_type("claims")
    start = START - timedelta(days=100)
    sandbox.sensible.add_history("claims", batches, start, step_seconds=8_000_000 / batches, batch_size=1)
    return {"sensible": {}}


def add_extracta_batches(sandbox: Sandbox, batches: int) -> dict[str, Any]:
    template = sandbox.extracta.create("Invoices", ["vendor"])
    for number in range(batches):
        started = START - timedelta(seconds=8_000_000 * (number + 1) / batches)
        sandbox.extracta.upload(template, [NewFile(f"{number}.pdf", 0, {"vendor": "Acme"})], started_at=started)
    return {"extracta": {"extraction_ids": [template]}}


HISTORY_BUILDERS = [add_docmap_runs, add_sensible_batches, add_extracta_batches]


def measure_first_states(add_history: Any, batches: int) -> int:
    with frozen_sandbox() as (sandbox, url):
        connection = Connection(sandbox, url, add_history(sandbox, batches))
        synced = connection.sync()
        assert sum(stream.endswith("_batches") and count for stream, count in synced.counts.items()) == batches
        return measure_states(synced)


@pytest.mark.parametrize("add_history", HISTORY_BUILDERS)
@pytest.mark.long
def test_first_sync_of_1000_batches_emits_states_under_a_megabyte(add_history: Any) -> None:
    assert measure_first_states(add_history, 1000) < MEGABYTE


@pytest.mark.long
@pytest.mark.nightly
@pytest.mark.parametrize("add_history", HISTORY_BUILDERS)
def test_first_sync_of_10000_batches_emits_states_under_five_megabytes(add_history: Any) -> None:
    assert measure_first_states(add_history, 10_000) < 5 * MEGABYTE


def add_long_history(sandbox: Sandbox, provider: str, size: int) -> set[str]:
    start, step = START - timedelta(days=700), 60_000_000 / size
    if provider == "docmap":
        return set(sandbox.docmap.add_history(sandbox.docmap.put_template("Invoices"), size, start, step, run_size=50))
    sandbox.sensible.add_document_type("claims")
    return set(sandbox.sensible.add_history("claims", size, start, step, batch_size=50))


def sync_with_interruptions(provider: str, size: int, every: int, *kinds: str) -> None:
    """Reads a long history, broken off after every so many messages, and compares with reading it in one go."""
    with frozen_sandbox() as (sandbox, url):
        ids = add_long_history(sandbox, provider, size)
        streams = [f"{provider}_{kind}" for kind in kinds]
        whole = Connection(sandbox, url, {provider: {}}).sync(*streams)
        base = sum(whole.requests.values())
        connection = Connection(sandbox, url, {provider: {}})
        requests, kills, is_broken_off = 0, 0, True
        while is_broken_off:
            synced = connection.sync(*streams, stop_after=every)
            requests += sum(synced.requests.values())
            is_broken_off = len(synced.messages) == every
            kills += is_broken_off
            assert kills < 2 * len(whole.messages) / every, "it does not get on"

        assert kills >= 4
        assert connection.sync(*streams).counts == {}
        assert connection.warehouse[f"{provider}_results"].keys() == ids
        assert connection.warehouse[f"{provider}_batches"].keys() == set(whole.ids(f"{provider}_batches"))
        assert requests <= base + kills * ONE_WINDOW, (requests, base, kills)


@pytest.mark.parametrize("provider", ["docmap", pytest.param("sensible", marks=pytest.mark.long)])
@pytest.mark.long
def test_first_sync_with_interruptions_repeats_few_requests(provider: str) -> None:
    sync_with_interruptions(provider, 2000, every=3500)


@pytest.mark.long
@pytest.mark.nightly
@pytest.mark.parametrize(("provider", "size"), [("docmap", 200_000), ("sensible", 30_000)])
def test_history_of_many_years_is_synced_completely(provider: str, size: int) -> None:
    sync_with_interruptions(provider, size, size // 5, "batches", "files", "results")
