"""Sensible documents that stay unfinished for long: lists show them in pages, instead of one request for each."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from docextract_sandbox import TRANSIENT_4XX_FAULTS, Fault, Sandbox, SensibleDocument
from unit_tests.support.harness import START, Connection, frozen_sandbox

INF = float("inf")
STATUS_FILTERS = ("obeyed", "ignored", "refused", "first")
CREATED_AT = START - timedelta(days=6)


def add_waiting_documents(sandbox: Sandbox, waiting: int, reviews: int = 0) -> list[str]:
    """Add a batch of documents that are not uploaded, and documents under review."""
    if "claims" not in [document_type.name for document_type in sandbox.sensible.document_types]:
        sandbox.sensible.add_document_type("claims")
    batch = sandbox.sensible.add_batch(
        [SensibleDocument(f"waiting {number}.pdf", 0) for number in range(waiting)], "claims", created_at=CREATED_AT
    )
    documents = [
        SensibleDocument(f"review {number}.pdf", 0, {"n": None}, review="NEEDS_REVIEW") for number in range(reviews)
    ]
    review_ids = sandbox.sensible.extract(documents, "claims", created_at=CREATED_AT)
    return [*sandbox.sensible.get_batch(batch).extraction_ids, *review_ids]


def connect(served_sandbox: tuple[Sandbox, str], **settings: Any) -> Connection:
    """Return a connection after two syncs: the first one has read all documents from their windows."""
    connection = Connection(*served_sandbox, {"sensible": {}, "lookback_days": 1, **settings})
    connection.sync()
    connection.sync()
    return connection


def test_sensible_many_waiting_documents_are_listed_in_pages(served_sandbox: tuple[Sandbox, str]) -> None:
    add_waiting_documents(served_sandbox[0], 250, 50)
    connection = connect(served_sandbox)

    quiet_sync = connection.sync()

    assert quiet_sync.counts == {}
    # The lookback, three pages of waiting documents, one of reviews.
    assert quiet_sync.requests == {"sensible.extractions": 5}


@pytest.mark.parametrize("count", [1, 2, 9])
def test_sensible_few_waiting_documents_cost_a_request_each(served_sandbox: tuple[Sandbox, str], count: int) -> None:
    add_waiting_documents(served_sandbox[0], count)
    connection = connect(served_sandbox)

    assert connection.sync().requests == {"sensible.extractions": 1, "sensible.document": count}


@pytest.mark.parametrize("scan", [0, 7])
@pytest.mark.parametrize("mode", STATUS_FILTERS)
def test_sensible_waiting_documents_are_delivered_when_finished_however_the_list_filters(mode: str, scan: int) -> None:
    with frozen_sandbox(sensible_status_filter=mode, sensible_scan=scan) as served_sandbox:
        sandbox, _ = served_sandbox
        waiting_ids = add_waiting_documents(sandbox, 30, 10)
        finished_ids = sandbox.sensible.extract(
            [SensibleDocument("a.pdf", 0)] * 250, "claims", created_at=CREATED_AT + timedelta(hours=1)
        )
        connection = connect(served_sandbox)
        quiet_sync = connection.sync()
        batch = sandbox.sensible.batch_ids[0]
        sandbox.sensible.upload(batch, 3)
        sandbox.sensible.review(waiting_ids[30], "APPROVED", {"n": {"value": 1, "type": "number"}})

        synced = connection.sync()

        assert quiet_sync.counts == {}
        # One in twenty may be wasted on pages without a waiting document, and two more.
        assert sum(quiet_sync.requests.values()) <= 1 + len(waiting_ids) + 4
        assert set(synced.final_statuses.values()) == {"COMPLETE"}
        assert set(synced.ids("sensible_results")) == {waiting_ids[3], waiting_ids[30]}
        assert single_count(connection, finished_ids) == len(finished_ids)
        assert connection.sync().counts == {}
        assert not any(connection.repeated_ids.values())


def single_count(connection: Connection, ids: list[str]) -> int:
    return len(connection.warehouse["sensible_results"].keys() & set(ids))


@pytest.mark.parametrize("name", ["500", "402", "409", "cut", "empty"])
def test_sensible_unreadable_list_of_waiting_documents_requests_them_by_id(
    served_sandbox: tuple[Sandbox, str], name: str
) -> None:
    sandbox, _ = served_sandbox
    waiting_ids = add_waiting_documents(sandbox, 12)
    connection = connect(served_sandbox)
    sandbox.sensible.upload(sandbox.sensible.batch_ids[0], 0)
    fault = TRANSIENT_4XX_FAULTS.get(name) or Fault("status" if name == "500" else name)  # type: ignore[arg-type]

    with sandbox.faults.apply_only(Fault(**{**vars(fault), "endpoint": "sensible.extractions", "about": "statuses"})):
        synced = connection.sync()

    assert set(synced.final_statuses.values()) == {"COMPLETE"}
    assert synced.ids("sensible_results") == [waiting_ids[0]]
    assert synced.requests["sensible.document"] == 12
    assert connection.sync().counts == {}


def test_sensible_waiting_documents_of_all_types_and_environments_are_listed(
    served_sandbox: tuple[Sandbox, str],
) -> None:
    sandbox, _ = served_sandbox
    documents = [SensibleDocument("slow.pdf", INF)] * 8
    for name in ("claims", "contracts", "other"):
        sandbox.sensible.add_document_type(name)
        for environment in ("production", "development"):
            sandbox.sensible.extract(documents, name, environment=environment, created_at=CREATED_AT)
    settings = {"environments": ["PRODUCTION", "DEVELOPMENT"], "document_types": ["claims", "contracts"]}
    connection = connect(served_sandbox, sensible=settings)

    quiet_sync = connection.sync()

    # A window for each of four scopes, and one page of the 32 documents that are watched.
    assert quiet_sync.requests == {"sensible.document_types": 1, "sensible.extractions": 5}
    sandbox.sensible.finish()
    assert connection.sync().counts["sensible_results"] == 32


def test_sensible_listed_waiting_documents_are_given_up(served_sandbox: tuple[Sandbox, str]) -> None:
    add_waiting_documents(served_sandbox[0], 20)
    connection = connect(served_sandbox, give_up_after_days=5)
    served_sandbox[0].clock.advance(days=6)

    last_poll = connection.sync()

    assert last_poll.requests["sensible.document"] == 20
    assert connection.warehouse["sensible_batches"].popitem()[1]["status"] == "stalled"
    assert connection.sync().requests == {"sensible.extractions": 1}
