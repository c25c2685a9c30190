"""Machine-independent limits of a sync: requests, state, memory and calls.

`make bench` measures the time.
"""

from __future__ import annotations

import gc
import logging
import sys
import tracemalloc
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import orjson
import pytest
from airbyte_cdk.models import (
    AirbyteStateMessage,
    AirbyteStateMessageSerializer,
)

import source_docextract
from benchmarks.measure import Server, run_process, start_server
from benchmarks.worlds import LICENCE_FIELDS
from docextract_sandbox import NewDocument, NewFile, Sandbox
from source_docextract import SourceDocextract
from source_docextract.catalog import build_configured_catalog
from source_docextract.cli import Entrypoint
from source_docextract.sync.messages import RecordLines, make_record_lines
from unit_tests.support.harness import START, Connection, frozen_sandbox

PACKAGE = str(Path(source_docextract.__file__).parent)
MONTHS = timedelta(days=200)
BYTES_PER_OPEN_BATCH = 130
"""Bytes of one stream's state: its id, its first sighting and its listed signature."""


def spread_times(count: int, days: int) -> Iterator[Any]:
    """Return times long past, spread evenly over so many days."""
    return (START - MONTHS + timedelta(days=days * number / count) for number in range(count))


def fill_atlas(sandbox: Sandbox, batches: int, days: int = 100, documents: int = 2) -> dict[str, Any]:
    data = {"document_type": "PAN", "name": {"value": "ASHA", "confidence_score": 0.9}}
    papers = [NewDocument(f"{number}", 0, data) for number in range(documents)]
    ids = [sandbox.atlas.submit(papers, submitted_at=created_at) for created_at in spread_times(batches, days)]
    return {"atlas": {"batch_ids": ids}}


def fill_extracta(sandbox: Sandbox, batches: int, days: int = 100) -> dict[str, Any]:
    template = sandbox.extracta.create("Invoices", ["vendor"])
    for created_at in spread_times(batches, days):
        sandbox.extracta.upload(template, [NewFile("1.pdf", 0, {"vendor": "Acme"})], started_at=created_at)
    return {"extracta": {"extraction_ids": [template]}}


def fill_docmap(sandbox: Sandbox, batches: int, days: int = 100) -> dict[str, Any]:
    template, step = sandbox.docmap.put_template("Invoices"), days * 86_400 / batches
    sandbox.docmap.add_history(template, batches, START - MONTHS, step, run_size=1)
    return {"docmap": {}}


def fill_sensible(sandbox: Sandbox, batches: int, days: int = 100) -> dict[str, Any]:
    sandbox.sensible.add_document_type("claims")
    sandbox.sensible.add_history("claims", batches, START - MONTHS, days * 86_400 / batches, batch_size=1)
    return {"sensible": {}}


PROVIDERS = {
    provider.__name__.removeprefix("fill_"): provider
    for provider in (fill_atlas, fill_extracta, fill_docmap, fill_sensible)
}


@contextmanager
def connect(provider: str, batches: int) -> Iterator[Connection]:
    with frozen_sandbox() as (sandbox, url):
        yield Connection(sandbox, url, PROVIDERS[provider](sandbox, batches))


class TestRequests:
    DISCOVERY = {  # noqa: RUF012
        "atlas": {},
        "extracta": {"extracta.viewExtraction": 1},
        "docmap": {"docmap.extractions": 1},
        "sensible": {"sensible.extractions": 1},
    }

    @pytest.mark.sample(2)
    @pytest.mark.parametrize("provider", PROVIDERS)
    def test_quiet_sync_with_long_history_sends_only_discovery_requests(self, provider: str) -> None:
        with connect(provider, 400) as connection:
            first = connection.sync()

            quiet_sync = connection.sync()

            assert first.counts[f"{provider}_batches"] == 400
            assert quiet_sync.requests == self.DISCOVERY[provider]
            assert quiet_sync.counts == {}
            assert quiet_sync.states == list(quiet_sync.statuses)

    @pytest.mark.parametrize(("batches", "documents"), [(40, 30), (4, 520)])
    def test_first_sync_requests_each_page_once_with_a_single_token(self, batches: int, documents: int) -> None:
        with frozen_sandbox() as (sandbox, url):
            connection = Connection(sandbox, url, fill_atlas(sandbox, batches, documents=documents))

            synced = connection.sync()

            assert synced.counts["atlas_results"] == batches * documents
            assert synced.requests == {"atlas.authtoken": 1, "atlas.extracts": batches * -(-documents // 50)}

    @pytest.mark.parametrize(
        ("provider", "endpoint", "name", "size"),
        [
            ("atlas", "atlas.extracts", "per_page", "50"),
            ("docmap", "docmap.extractions", "limit", "100"),
            ("sensible", "sensible.extractions", "limit", "100"),
        ],
    )
    def test_page_request_uses_the_maximum_page_size(self, provider: str, endpoint: str, name: str, size: str) -> None:
        with connect(provider, 150) as connection:
            connection.sync()

            sent_requests = [entry.query for entry in connection.sandbox.journal.entries if entry.endpoint == endpoint]
            # What finds the oldest row needs one row, and a run is asked for whole.
            pages = [query.get(name) for query in sent_requests if query.get(name) != "1" and "runId" not in query]
            assert Counter(pages).keys() == {size}


class TestState:
    @pytest.mark.parametrize("provider", PROVIDERS)
    @pytest.mark.sample(2)
    def test_settled_batches_take_bytes_per_day_not_per_batch(self, provider: str) -> None:
        few, many = (measure_largest_state(provider, batches) for batches in (200, 600))

        assert few < 200 * 40
        assert many < few * 1.1

    @pytest.mark.sample(2)
    @pytest.mark.parametrize("provider", PROVIDERS)
    def test_intermediate_states_of_a_first_sync_stay_small_in_total(self, provider: str) -> None:
        with connect(provider, 400) as connection:
            synced = connection.sync()

            sizes = [measure_state(message.state) for message in synced.messages if message.state]
            last = sum(map(measure_state, connection.state.values()))
            list_overhead = 400 * 2  # lists by time bring entries for documents and batches
            assert len(sizes) >= len(connection.state)
            assert sum(sizes) - last < 64_000 + 40 * list_overhead * len(connection.state)

    def test_open_batch_takes_a_bounded_number_of_bytes(self) -> None:
        with frozen_sandbox() as (sandbox, url):
            template = sandbox.extracta.create("Invoices", ["vendor"])
            for created_at in spread_times(500, 100):
                sandbox.extracta.upload(template, [NewFile("1.pdf", float("inf"))], started_at=created_at)
            connection = Connection(sandbox, url, {"extracta": {"extraction_ids": [template]}})
            connection.sync()

            largest = max(map(measure_state, connection.state.values()))
            assert 500 * 40 < largest < 500 * BYTES_PER_OPEN_BATCH


def measure_largest_state(provider: str, batches: int) -> int:
    """Return the bytes of the largest state after a first sync.

    The batches lie within a hundred days.
    """
    with connect(provider, batches) as connection:
        connection.sync()
        return max(map(measure_state, connection.state.values()))


def measure_state(state: AirbyteStateMessage) -> int:
    return len(orjson.dumps(AirbyteStateMessageSerializer.dump(state)["stream"]["stream_state"]))


class TestMemory:
    @pytest.mark.long
    def test_four_times_the_batches_use_less_than_twice_the_memory(self) -> None:
        few, many = (measure_peak_memory(batches) for batches in (20, 80))

        # Answers on their way are held: how many depends on the machine. Four times as much would be all of them.
        assert many < few * 2

    def test_batch_of_four_times_the_pages_uses_less_than_twice_the_memory(self) -> None:
        few, many = (measure_peak_memory(1, documents) for documents in (1000, 4000))

        assert many < few * 2

    @pytest.mark.long
    def test_batch_of_100000_documents_uses_little_more_memory_than_one_of_5000(self, tmp_path: Path) -> None:
        few, many = (measure_process_memory(tmp_path, documents) for documents in (5_000, 100_000))

        assert many <= few * 1.3 + 20

    @pytest.mark.long
    @pytest.mark.parametrize(("streams", "limit"), [(("docmap_results",), 900), ((), 1900)])
    def test_rows_of_two_full_days_of_a_list_take_few_bytes_each(self, streams: tuple[str, ...], limit: int) -> None:
        few, many = (measure_listed_days(count, streams) for count in (1_000, 4_000))

        # The text of each row has 460 bytes, and its entry in the state 90 more for each stream.
        assert (many - few) / (2 * 3_000) < limit


def measure_listed_days(rows_per_day: int, streams: tuple[str, ...]) -> int:
    """Return the peak of Python's memory while two days with so many DocMap extractions each are read."""
    with start_server("docmap", extractions=2 * rows_per_day, run_size=50, days=2) as server:
        return measure_traced_peak(server, streams, {"docmap_results": 2 * rows_per_day})


def measure_process_memory(folder: Path, documents: int) -> float:
    """Return the peak memory, in megabytes, of a process that reads one batch into a file."""
    with start_server("atlas", batches=1, documents=documents) as server:
        settings = dict(server.selections["all"])
        streams = SourceDocextract().discover(logging.getLogger("airbyte.test"), settings).streams
        for name, content in (("config", settings), ("catalog", build_configured_catalog(streams))):
            (folder / f"{name}.json").write_bytes(orjson.dumps(content))
        arguments = [f"--{name}={folder / name}.json" for name in ("config", "catalog")]
        command = [sys.executable, "-m", "source_docextract", "read", *arguments]
        cost = run_process(command, folder / "records", folder / "errors")
    assert cost.exit_code == 0
    records = (folder / "records").read_bytes().count(b'{"type":"RECORD"')
    assert records == 1 + documents * (2 + LICENCE_FIELDS)
    return cost.peak_mb


def measure_peak_memory(batches: int, documents: int = 50) -> int:
    """Return the peak of Python's memory while batches of so many documents are read.

    The server runs in another process.
    """
    with start_server("atlas", batches=batches, documents=documents) as server:
        count = batches * documents
        rows = {"atlas_batches": batches, "atlas_files": count, "atlas_fields": count * LICENCE_FIELDS}
        return measure_traced_peak(server, (), {**rows, "atlas_results": count})


def measure_traced_peak(server: Server, streams: tuple[str, ...], expected_counts: Mapping[str, int]) -> int:
    """Return the peak of Python's memory while some streams of a server are read, all of them by default."""
    with frozen_sandbox() as (sandbox, url):
        connection = Connection(sandbox, url, {})
        connection.settings, connection.source = dict(server.selections["all"]), SourceDocextract()
        catalog = connection.catalog(*streams)
        counts: Counter[str] = Counter()
        gc.collect()
        tracemalloc.start()
        try:
            for message in read_records(connection, catalog):
                if message.record:
                    counts[message.record.stream] += 1
            assert counts.items() >= expected_counts.items()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


class TestCalls:
    def test_more_documents_keep_the_calls_per_document_constant(self) -> None:
        count_calls(100)  # the first sync of a process also fills caches
        few, medium, many = (count_calls(documents) for documents in (100, 300, 900))

        each = (medium - few) / 200
        assert each < 31
        assert (many - medium) / 600 < each * 1.02

    @pytest.mark.parametrize(("provider", "limit"), [("extracta", 24), ("atlas", 18)])
    def test_settled_batches_take_few_calls_each_in_a_quiet_sync(self, provider: str, limit: int) -> None:
        few, many = (count_quiet_calls(provider, batches) for batches in (200, 600))

        assert (many - few) / 400 < limit

    def test_batch_ids_take_no_calls_when_the_secrets_are_found(self) -> None:
        count_secret_calls(1)  # the first call of a process also fills caches
        few, many = (count_secret_calls(ids) for ids in (10, 1000))

        assert many == few


@contextmanager
def counted_calls(prefix: str = PACKAGE) -> Iterator[Counter[str]]:
    """Count the calls of the functions in files below a path, in this thread; the count is under `calls`."""
    counts: Counter[str] = Counter()

    def count_call(frame: FrameType, event: str, _argument: Any) -> None:
        counts["calls"] += event == "call" and frame.f_code.co_filename.startswith(prefix)

    sys.setprofile(count_call)
    try:
        yield counts
    finally:
        sys.setprofile(None)


def count_calls(documents: int) -> int:
    """Count the calls of the connector's functions for a batch of so many documents.

    Only the thread that parses and emits is counted, with the records of the command line.
    """
    with frozen_sandbox() as (sandbox, url):
        connection = Connection(sandbox, url, fill_atlas(sandbox, 1, documents=documents))
        connection.source.make_messages = make_record_lines
        reading = read_records(connection, connection.catalog("atlas_results"))
        with counted_calls() as counts:
            records = sum(message.record_count for message in reading if isinstance(message, RecordLines))
        assert records == documents
    return counts["calls"]


def count_quiet_calls(provider: str, batches: int) -> int:
    """Count the calls of the connector's functions in a sync of one stream that finds nothing new."""
    stream = f"{provider}_results"
    with connect(provider, batches) as connection:
        connection.sync(stream)
        connection.sandbox.clock.advance(days=10)
        connection.sync(stream)  # the looks of the lookback are over
        with counted_calls() as counts:
            synced = connection.sync(stream)
        assert synced.counts == {}
    return counts["calls"]


def count_secret_calls(ids: int) -> int:
    """Count all calls when the secrets are found in settings with so many batch ids."""
    atlas = {"client_id": "an-atlas-client-id", "client_secret": "an-atlas-client-secret"}
    config = {"atlas": {**atlas, "batch_ids": [f"BATCH-{number}" for number in range(ids)]}}
    spec = SourceDocextract().spec(logging.getLogger("airbyte.test"))
    with counted_calls("") as counts:
        Entrypoint.set_up_secret_filter(config, spec.connectionSpecification)
    return counts["calls"]


def read_records(connection: Connection, catalog: Any) -> Iterable[Any]:
    return connection.source.read(logging.getLogger("airbyte.test"), connection.settings, catalog, [])
