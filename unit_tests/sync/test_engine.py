"""The engine with fake products, for what no provider of the sandbox can produce."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from datetime import datetime, timezone
from queue import SimpleQueue
from typing import Any

import pytest
from airbyte_cdk.models import AirbyteMessage
from airbyte_cdk.sources.connector_state_manager import ConnectorStateManager

from source_docextract.core.model import Document, Extraction, FileStatus, PartitionRef, PartitionStatus, Snapshot
from source_docextract.core.provider import ProviderSpec, StreamGroup
from source_docextract.core.requests import ErrorFormat, Request
from source_docextract.http.client import Client
from source_docextract.state.entries import SyncPolicy
from source_docextract.state.serialization import StreamState
from source_docextract.sync import engine
from source_docextract.sync.checkpoints import Checkpoints, StateSizeMonitor
from source_docextract.sync.provider_sync import ProviderSync
from source_docextract.sync.shutdown import Shutdown
from source_docextract.sync.stream import Stream
from source_docextract.tables.rows import RESULTS, RenderOptions
from unit_tests.support.cases import each_case

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=timezone.utc)


def make_silent_flow(result: Callable[[], Any]) -> Generator[Any, Any, Any]:
    """Return a request flow that sends no request."""
    return result()
    yield


def make_snapshot(ref: PartitionRef, data: dict[str, Any]) -> Snapshot:
    extraction = Extraction(data=data, hashable_data=data)
    document = Document(key="a", status=FileStatus.PROCESSED, extractions=(extraction,))
    return Snapshot(ref, PartitionStatus.COMPLETE, documents=(document,))


def run_sync(*products: StreamGroup) -> tuple[list[AirbyteMessage], list[Stream]]:
    """Run a sync of the results streams of one provider."""
    plan = ProviderSpec(
        ErrorFormat("Acme", "acme.key", lambda _: None),
        "http://127.0.0.1:9",
        products,
        lambda: make_silent_flow(lambda: None),
    )
    streams = [
        Stream(
            f"{product_group.name}_results",
            product_group.name,
            RESULTS,
            RenderOptions(product_group.name),
            StreamState(SyncPolicy()),
        )
        for product_group in products
    ]
    arrivals: SimpleQueue[Any] = SimpleQueue()
    visit = ProviderSync(
        plan,
        streams,
        client=Client(plan.error_format, plan.base_url),
        completions=arrivals,
        checkpoints=Checkpoints(
            streams, ConnectorStateManager([]), StateSizeMonitor(logging.getLogger("airbyte.test"))
        ),
        policy=SyncPolicy(),
        now=lambda: NOW,
        logger=logging.getLogger("airbyte.test"),
    )
    return list(engine.run([visit], arrivals, Shutdown())), streams


def get_ids(messages: list[AirbyteMessage]) -> list[str]:
    return [message.record.data["id"] for message in messages if message.record]


def test_engine_flows_without_requests_emit_all_rows() -> None:
    product = StreamGroup(
        name="acme",
        template_ids=("t",),
        explicit_partitions=(),
        discover=lambda template: make_silent_flow(
            lambda: [PartitionRef(template, f"{number}") for number in range(25)]
        ),
        fetch=lambda ref: make_silent_flow(lambda: make_snapshot(ref, {})),
    )

    messages, [stream] = run_sync(product)

    assert sorted(get_ids(messages)) == sorted(f"t/{number}/a" for number in range(25))
    assert stream.error is None


def test_engine_unserializable_row_fails_its_batch() -> None:
    unwritable = {"total": 2**70}  # which no answer holds: body.py makes text of it
    refs = tuple(PartitionRef("t", name, is_explicit=True) for name in ("bad", "good"))
    product = StreamGroup(
        name="acme",
        template_ids=(),
        explicit_partitions=refs,
        discover=None,
        fetch=lambda ref: make_silent_flow(lambda: make_snapshot(ref, unwritable if ref.batch_id == "bad" else {})),
    )

    messages, [stream] = run_sync(product)

    assert get_ids(messages) == ["t/good/a"]
    assert "This is a bug in the connector: please report it." in str(stream.error)
    assert stream.state.ledger.settled_count == 1


@each_case("bug", [KeyError("files"), TypeError("no"), ValueError("no"), AttributeError("no")])
def test_engine_unexpected_error_of_a_reader_fails_its_batch(bug: Exception) -> None:
    def raise_error() -> Snapshot:
        raise bug

    refs = (PartitionRef("t", "bad", is_explicit=True), PartitionRef("t", "good", is_explicit=True))
    product = StreamGroup(
        name="acme",
        template_ids=(),
        explicit_partitions=refs,
        discover=None,
        fetch=lambda ref: make_silent_flow(raise_error if ref.batch_id == "bad" else lambda: make_snapshot(ref, {})),
    )

    messages, [stream] = run_sync(product)

    assert get_ids(messages) == ["t/good/a"]
    assert type(bug).__name__ in str(stream.error)


def test_engine_unexpected_error_of_a_request_fails_its_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(_client: Client, request: Request, on_done: Callable[[Any], None]) -> None:
        on_done(RuntimeError("key-0123456789abcdef") if request.path == "/bad" else {})

    def fetch(ref: PartitionRef) -> Generator[Any, Any, Snapshot]:
        [data] = yield [Request("GET", f"/{ref.batch_id}")]
        return make_snapshot(ref, data)

    monkeypatch.setattr(Client, "submit", ask)
    refs = (PartitionRef("t", "bad", is_explicit=True), PartitionRef("t", "good", is_explicit=True))

    messages, [stream] = run_sync(StreamGroup(name="acme", explicit_partitions=refs, fetch=fetch))

    assert get_ids(messages) == ["t/good/a"]
    assert str(stream.error) == (
        "A request to Acme ended in an unexpected error (RuntimeError). "
        "This is a bug in the connector: please report it."
    )


def test_checkpoints_idle_stream_emits_a_state_every_four_minutes() -> None:
    stream = Stream("acme_results", "acme", RESULTS, RenderOptions("acme"), StreamState(SyncPolicy()))
    seconds = [0.0]
    checkpoints = Checkpoints(
        [stream],
        ConnectorStateManager([]),
        StateSizeMonitor(logging.getLogger("airbyte.test")),
        monotonic=lambda: seconds[0],
    )

    written = []
    for seconds[0] in range(0, 1000, 5):  # as often as the engine looks
        written += [seconds[0] for message in checkpoints.emit_if_overdue() if message.state]

    assert written == [240, 480, 720, 960]
