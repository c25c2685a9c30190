"""The engine with made-up products, where no provider could be made to do what is tested."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from datetime import datetime, timezone
from queue import SimpleQueue
from typing import Any

import pytest
from airbyte_cdk.models import AirbyteMessage
from airbyte_cdk.sources.connector_state_manager import ConnectorStateManager

from source_docextract import engine
from source_docextract.answers import Dialect
from source_docextract.entries import Rules
from source_docextract.http import Client, Request
from source_docextract.model import BatchRef, BatchStatus, Document, Extraction, FileStatus, Snapshot
from source_docextract.providers.base import Plan, Product
from source_docextract.state import Ledger
from source_docextract.stopping import Stop
from source_docextract.streams import Checkpoints, StateSize, Stream
from source_docextract.tables import RESULTS, View
from source_docextract.visit import Visit

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=timezone.utc)


def silent(result: Callable[[], Any]) -> Generator[Any, Any, Any]:
    """A script that asks nothing."""
    return result()
    yield


def snapshot(ref: BatchRef, data: dict[str, Any]) -> Snapshot:
    extraction = Extraction(data=data, stable=data)
    document = Document(key="a", status=FileStatus.PROCESSED, extractions=(extraction,))
    return Snapshot(ref, BatchStatus.COMPLETE, documents=(document,))


def run(*products: Product) -> tuple[list[AirbyteMessage], list[Stream]]:
    """A sync of the results streams of one provider."""
    plan = Plan(
        Dialect("Acme", "acme.key", lambda _: None), "http://127.0.0.1:9", products, lambda: silent(lambda: None)
    )
    streams = [Stream(f"{one.name}_results", one.name, RESULTS, View(one.name), Ledger(Rules())) for one in products]
    arrivals: SimpleQueue[Any] = SimpleQueue()
    visit = Visit(
        plan,
        streams,
        client=Client(plan.dialect, plan.base_url),
        arrivals=arrivals,
        checkpoints=Checkpoints(streams, ConnectorStateManager([]), StateSize(logging.getLogger("airbyte.test"))),
        rules=Rules(),
        now=lambda: NOW,
        logger=logging.getLogger("airbyte.test"),
    )
    return list(engine.run([visit], arrivals, Stop())), streams


def ids(messages: list[AirbyteMessage]) -> list[str]:
    return [message.record.data["id"] for message in messages if message.record]


def test_scripts_that_ask_nothing_are_read_at_once() -> None:
    product = Product(
        name="acme",
        template_ids=("t",),
        named=(),
        discover=lambda template: silent(lambda: [BatchRef(template, f"{n}") for n in range(25)]),
        fetch=lambda ref: silent(lambda: snapshot(ref, {})),
    )

    messages, [stream] = run(product)

    assert sorted(ids(messages)) == sorted(f"t/{n}/a" for n in range(25))
    assert stream.trouble is None


def test_what_cannot_be_written_down_costs_its_batch() -> None:
    unwritable = {"total": 2**70}  # which no answer holds: body.py makes text of it
    refs = tuple(BatchRef("t", name, named=True) for name in ("bad", "good"))
    product = Product(
        name="acme",
        template_ids=(),
        named=refs,
        discover=None,
        fetch=lambda ref: silent(lambda: snapshot(ref, unwritable if ref.batch_id == "bad" else {})),
    )

    messages, [stream] = run(product)

    assert ids(messages) == ["t/good/a"]
    assert "This is a bug in the connector: please report it." in str(stream.trouble)
    assert stream.ledger.batches.settled == 1


@pytest.mark.parametrize("bug", [KeyError("files"), TypeError("no"), ValueError("no"), AttributeError("no")])
def test_a_reader_that_stumbles_costs_its_batch(bug: Exception) -> None:
    def stumble() -> Snapshot:
        raise bug

    refs = (BatchRef("t", "bad", named=True), BatchRef("t", "good", named=True))
    product = Product(
        name="acme",
        template_ids=(),
        named=refs,
        discover=None,
        fetch=lambda ref: silent(stumble if ref.batch_id == "bad" else lambda: snapshot(ref, {})),
    )

    messages, [stream] = run(product)

    assert ids(messages) == ["t/good/a"]
    assert type(bug).__name__ in str(stream.trouble)


def test_a_request_that_ends_as_nobody_foresaw_costs_its_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(_client: Client, request: Request, tell: Callable[[Any], None]) -> None:
        tell(RuntimeError("key-0123456789abcdef") if request.path == "/bad" else {})

    def fetch(ref: BatchRef) -> Generator[Any, Any, Snapshot]:
        [data] = yield [Request("GET", f"/{ref.batch_id}")]
        return snapshot(ref, data)

    monkeypatch.setattr(Client, "ask", ask)
    refs = (BatchRef("t", "bad", named=True), BatchRef("t", "good", named=True))

    messages, [stream] = run(Product(name="acme", named=refs, fetch=fetch))

    assert ids(messages) == ["t/good/a"]
    assert str(stream.trouble) == (
        "A request to Acme ended in an unexpected error (RuntimeError). "
        "This is a bug in the connector: please report it."
    )


def test_a_state_is_written_every_four_minutes_however_little_happens() -> None:
    stream = Stream("acme_results", "acme", RESULTS, View("acme"), Ledger(Rules()))
    seconds = [0.0]
    checkpoints = Checkpoints(
        [stream], ConnectorStateManager([]), StateSize(logging.getLogger("airbyte.test")), now=lambda: seconds[0]
    )

    written = []
    for seconds[0] in range(0, 1000, 5):  # as often as the engine looks
        written += [seconds[0] for message in checkpoints.while_waiting() if message.state]

    assert written == [240, 480, 720, 960]
