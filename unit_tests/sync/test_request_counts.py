"""The number of requests: each page once, however many streams are selected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from itertools import combinations
from typing import Any

import pytest

from docextract_sandbox import (
    Clock,
    DocumentType,
    NewDocument,
    NewExtraction,
    NewFile,
    Sandbox,
    SensibleDocument,
    serve,
)
from unit_tests.support.harness import START, Connection, frozen_sandbox

KINDS = ("batches", "files", "results", "fields")
SUBSETS = [subset for size in (1, 2, 3, 4) for subset in combinations(KINDS, size)]
OLD_TIME = START - timedelta(days=30)
RECENT_TIME = START - timedelta(days=1)

Requests = dict[str, int]


@dataclass(frozen=True)
class RequestAccount:
    """One provider with two batches, one of them old, and the expected requests.

    Attributes:
        settings: the settings of the connection.
        add: adds one document, and names its batch in the settings if no list does.
        first_requests: the requests of a first sync.
        quiet_requests: the requests of a sync with nothing new.
        new_requests: the requests of a sync after `add`.
        only_batches: an endpoint, and how many of its requests in each of these only the batches stream needs.
    """

    settings: dict[str, Any]
    add_batch: Callable[[dict[str, Any]], Any]
    first_requests: Requests
    quiet_requests: Requests
    new_requests: Requests
    only_batches: tuple[str, tuple[int, int, int]] = ("", (0, 0, 0))

    def get_expected_requests(self, subset: tuple[str, ...]) -> list[Requests]:
        """Return the expected requests of a first, a quiet and a third sync."""
        name, counts = self.only_batches
        return [
            {endpoint: count for endpoint, count in (Counter(requests) - Counter({name: spared})).items() if count}
            for requests, spared in zip(
                (self.first_requests, self.quiet_requests, self.new_requests),
                (0, 0, 0) if "batches" in subset else counts,
                strict=True,
            )
        ]


def extracta_account(sandbox: Sandbox) -> RequestAccount:
    template = sandbox.extracta.create("Invoices", ["vendor"])
    files = [NewFile(f"{number}.pdf", 0, {"vendor": "Acme"}) for number in range(4)]
    for created_at in (OLD_TIME, RECENT_TIME):
        sandbox.extracta.upload(template, files, started_at=created_at)
    listed = {"extracta.viewExtraction": 1}
    return RequestAccount(
        {"extracta": {"extraction_ids": [template]}},
        lambda _: sandbox.extracta.upload(template, [NewFile("new.pdf", 0, {"vendor": "Acme"})]),
        first_requests={**listed, "extracta.getBatchResults": 2},
        quiet_requests={**listed, "extracta.getBatchResults": 1},
        new_requests={**listed, "extracta.getBatchResults": 2},
    )


def classification_account(sandbox: Sandbox) -> RequestAccount:
    template = sandbox.classification.create("Mail", [DocumentType("other")])
    mail = NewFile("m.pdf", duration_seconds=0, result={"documentType": "other", "confidence": 0.5})
    batches = [sandbox.classification.upload(template, [mail] * 3) for _ in range(2)]
    paths = [f"{template}/{batch}" for batch in batches]
    return RequestAccount(
        {"extracta": {"classification_batches": paths, "follow_links": False}},
        lambda _: sandbox.classification.upload(template, [mail], batches[0]),
        first_requests={"extracta.getResults": 2},
        quiet_requests={"extracta.getResults": 2},
        new_requests={"extracta.getResults": 2},
    )


def docmap_account(sandbox: Sandbox) -> RequestAccount:
    template = sandbox.docmap.put_template("Invoices")
    files = [NewExtraction(f"{number}.pdf", 0, {"vendor": "Acme"}) for number in range(4)]
    for created_at in (OLD_TIME, RECENT_TIME):
        sandbox.docmap.add_extractions(template, files, f"run {created_at:%d}", created_at=created_at)
    return RequestAccount(
        {"docmap": {}, "start_date": "2026-10-21T00:00:00Z"},
        lambda _: sandbox.docmap.add_extractions(
            template, [NewExtraction("new.pdf", 0, {"vendor": "Acme"})], "run new"
        ),
        # Windows of 1, 2, 4, 8 and 16 days.
        first_requests={"docmap.extractions": 5 + 2},
        quiet_requests={"docmap.extractions": 1},
        new_requests={"docmap.extractions": 1 + 1},
        only_batches=("docmap.extractions", (2, 0, 1)),
    )


def sensible_account(sandbox: Sandbox) -> RequestAccount:
    sandbox.sensible.add_document_type("claims")
    for created_at in (OLD_TIME, RECENT_TIME):
        batch = sandbox.sensible.add_batch(
            [SensibleDocument(f"{number}.pdf", 0) for number in range(4)], "claims", created_at=created_at
        )
        for index in range(4):
            sandbox.sensible.upload(batch, index, uploaded_at=created_at)

    def add_batch(_: dict[str, Any]) -> None:
        sandbox.sensible.upload(sandbox.sensible.add_batch([SensibleDocument("new.pdf", 0)], "claims"), 0)

    return RequestAccount(
        {"sensible": {}, "start_date": "2026-10-21T00:00:00Z"},
        add_batch,
        first_requests={"sensible.extractions": 5, "sensible.document": 8, "sensible.batch": 2},
        quiet_requests={"sensible.extractions": 1},
        new_requests={"sensible.extractions": 1, "sensible.document": 1, "sensible.batch": 1},
        only_batches=("sensible.batch", (2, 0, 1)),
    )


def atlas_account(sandbox: Sandbox) -> RequestAccount:
    data = {"document_type": "PAN", "name": {"value": "ASHA", "confidence_score": 0.9}}
    documents = [NewDocument(f"{number}", 0, data) for number in range(120)]
    batches = [sandbox.atlas.submit(documents, submitted_at=created_at) for created_at in (OLD_TIME, RECENT_TIME)]
    return RequestAccount(
        {"atlas": {"batch_ids": batches}},
        lambda settings: settings["atlas"]["batch_ids"].append(sandbox.atlas.submit(documents[:1])),
        first_requests={"atlas.authtoken": 1, "atlas.extracts": 6},
        quiet_requests={"atlas.authtoken": 1, "atlas.extracts": 3},
        new_requests={"atlas.authtoken": 1, "atlas.extracts": 3 + 1},
    )


ACCOUNTS = {
    "extracta": extracta_account,
    "extracta_classification": classification_account,
    "docmap": docmap_account,
    "sensible": sensible_account,
    "atlas": atlas_account,
}


@pytest.mark.sample
@pytest.mark.parametrize("subset", SUBSETS, ids="-".join)
@pytest.mark.parametrize("provider", ACCOUNTS)
def test_page_with_any_streams_is_requested_once(provider: str, subset: tuple[str, ...]) -> None:
    with frozen_sandbox() as (sandbox, url):
        account = ACCOUNTS[provider](sandbox)
        connection = Connection(sandbox, url, {**account.settings, "lookback_checks": "every_sync"})
        streams = [f"{provider}_{kind}" for kind in subset]

        first, quiet_sync = connection.sync(*streams), connection.sync(*streams)
        account.add_batch(connection.settings)
        third_sync = connection.sync(*streams)

        assert set(first.counts) == set(third_sync.counts) == set(streams)
        assert quiet_sync.counts == {}
        assert [first.requests, quiet_sync.requests, third_sync.requests] == account.get_expected_requests(subset)


def test_sync_max_in_flight_limits_concurrent_requests() -> None:
    sandbox = Sandbox(clock=Clock(start=START, speed=0.0), seeds=False, latency=0.03)
    template = sandbox.extracta.create("Invoices", ["vendor"])
    for _ in range(9):
        sandbox.extracta.upload(template, [NewFile("a.pdf", 0, {"vendor": "Acme"})])
    with serve(sandbox) as url:
        connection = Connection(sandbox, url, {"extracta": {"extraction_ids": [template]}, "max_in_flight": 3})
        synced = connection.sync()

    assert synced.counts["extracta_results"] == 9
    assert sandbox.journal.max_in_flight == 3


@pytest.mark.parametrize("provider", ACCOUNTS)
def test_stream_added_later_requests_only_its_missing_rows(provider: str) -> None:
    with frozen_sandbox() as (sandbox, url):
        account = ACCOUNTS[provider](sandbox)
        connection = Connection(sandbox, url, {**account.settings, "lookback_checks": "every_sync"})
        connection.sync(f"{provider}_files")

        both = connection.sync(f"{provider}_files", f"{provider}_results", f"{provider}_fields")

        assert set(both.counts) == {f"{provider}_results", f"{provider}_fields"}
        # A list by time has one more window: none may hold what a stream is past and what it is not.
        more = Counter({name for name in both.requests if name.endswith(".extractions")})
        assert Counter(both.requests) == Counter(account.get_expected_requests(("files",))[0]) + more
