"""How many requests a sync takes: each page once, however many of a provider's streams want it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from itertools import combinations
from typing import Any

import pytest
from harness import START, Connection, world

from sandbox import Clock, DocumentType, NewDocument, NewExtraction, NewFile, Sandbox, SensibleDocument, serve

KINDS = ("batches", "files", "results", "fields")
SUBSETS = [subset for size in (1, 2, 3, 4) for subset in combinations(KINDS, size)]
A_WHILE_AGO = START - timedelta(days=30)
LATELY = START - timedelta(days=1)

Requests = dict[str, int]


@dataclass(frozen=True)
class Account:
    """One provider with two batches, one of them old, and what is to be asked for.

    Attributes:
        settings: of the connection.
        add: adds one document, and names its batch in the settings where no list does.
        first, quiet, news: requests of a first sync, of one with nothing new, of one after `add`.
        only_batches: an endpoint, and how many requests of it in each of these only the batches stream needs.
    """

    settings: dict[str, Any]
    add: Callable[[dict[str, Any]], Any]
    first: Requests
    quiet: Requests
    news: Requests
    only_batches: tuple[str, tuple[int, int, int]] = ("", (0, 0, 0))

    def expected(self, subset: tuple[str, ...]) -> list[Requests]:
        """For a first, a quiet and a third sync of so many streams."""
        name, counts = self.only_batches
        return [
            {one: count for one, count in (Counter(requests) - Counter({name: spared})).items() if count}
            for requests, spared in zip(
                (self.first, self.quiet, self.news), (0, 0, 0) if "batches" in subset else counts, strict=True
            )
        ]


def extracta(sandbox: Sandbox) -> Account:
    template = sandbox.extracta.create("Invoices", ["vendor"])
    files = [NewFile(f"{n}.pdf", 0, {"vendor": "Acme"}) for n in range(4)]
    for when in (A_WHILE_AGO, LATELY):
        sandbox.extracta.upload(template, files, started_at=when)
    listed = {"extracta.viewExtraction": 1}
    return Account(
        {"extracta": {"extraction_ids": [template]}},
        lambda _: sandbox.extracta.upload(template, [NewFile("new.pdf", 0, {"vendor": "Acme"})]),
        first={**listed, "extracta.getBatchResults": 2},
        quiet={**listed, "extracta.getBatchResults": 1},
        news={**listed, "extracta.getBatchResults": 2},
    )


def extracta_classification(sandbox: Sandbox) -> Account:
    template = sandbox.classification.create("Mail", [DocumentType("other")])
    mail = NewFile("m.pdf", seconds=0, result={"documentType": "other", "confidence": 0.5})
    batches = [sandbox.classification.upload(template, [mail] * 3) for _ in range(2)]
    paths = [f"{template}/{batch}" for batch in batches]
    return Account(
        {"extracta": {"classification_batches": paths, "follow_links": False}},
        lambda _: sandbox.classification.upload(template, [mail], batches[0]),
        first={"extracta.getResults": 2},
        quiet={"extracta.getResults": 2},
        news={"extracta.getResults": 2},
    )


def docmap(sandbox: Sandbox) -> Account:
    template = sandbox.docmap.template("Invoices")
    files = [NewExtraction(f"{n}.pdf", 0, {"vendor": "Acme"}) for n in range(4)]
    for when in (A_WHILE_AGO, LATELY):
        sandbox.docmap.run(template, files, f"run {when:%d}", created_at=when)
    return Account(
        {"docmap": {}, "start_date": "2026-10-21T00:00:00Z"},
        lambda _: sandbox.docmap.run(template, [NewExtraction("new.pdf", 0, {"vendor": "Acme"})], "run new"),
        # Windows of 1, 2, 4, 8 and 16 days.
        first={"docmap.extractions": 5 + 2},
        quiet={"docmap.extractions": 1},
        news={"docmap.extractions": 1 + 1},
        only_batches=("docmap.extractions", (2, 0, 1)),
    )


def sensible(sandbox: Sandbox) -> Account:
    sandbox.sensible.document_type("claims")
    for when in (A_WHILE_AGO, LATELY):
        batch = sandbox.sensible.batch([SensibleDocument(f"{n}.pdf", 0) for n in range(4)], "claims", created_at=when)
        for place in range(4):
            sandbox.sensible.upload(batch, place, uploaded_at=when)

    def add(_: dict[str, Any]) -> None:
        sandbox.sensible.upload(sandbox.sensible.batch([SensibleDocument("new.pdf", 0)], "claims"), 0)

    return Account(
        {"sensible": {}, "start_date": "2026-10-21T00:00:00Z"},
        add,
        first={"sensible.extractions": 5, "sensible.document": 8, "sensible.batch": 2},
        quiet={"sensible.extractions": 1},
        news={"sensible.extractions": 1, "sensible.document": 1, "sensible.batch": 1},
        only_batches=("sensible.batch", (2, 0, 1)),
    )


def atlas(sandbox: Sandbox) -> Account:
    data = {"document_type": "PAN", "name": {"value": "ASHA", "confidence_score": 0.9}}
    documents = [NewDocument(f"{n}", 0, data) for n in range(120)]
    batches = [sandbox.atlas.submit(documents, submitted_at=when) for when in (A_WHILE_AGO, LATELY)]
    return Account(
        {"atlas": {"batch_ids": batches}},
        lambda settings: settings["atlas"]["batch_ids"].append(sandbox.atlas.submit(documents[:1])),
        first={"atlas.authtoken": 1, "atlas.extracts": 6},
        quiet={"atlas.authtoken": 1, "atlas.extracts": 3},
        news={"atlas.authtoken": 1, "atlas.extracts": 3 + 1},
    )


ACCOUNTS = {account.__name__: account for account in (extracta, extracta_classification, docmap, sensible, atlas)}


@pytest.mark.parametrize("subset", SUBSETS, ids="-".join)
@pytest.mark.parametrize("provider", ACCOUNTS)
def test_a_page_is_asked_for_once_whatever_the_streams(provider: str, subset: tuple[str, ...]) -> None:
    with world() as (sandbox, url):
        account = ACCOUNTS[provider](sandbox)
        connection = Connection(sandbox, url, account.settings)
        streams = [f"{provider}_{kind}" for kind in subset]

        first, quiet = connection.sync(*streams), connection.sync(*streams)
        account.add(connection.settings)
        news = connection.sync(*streams)

        assert set(first.counts) == set(news.counts) == set(streams)
        assert quiet.counts == {}
        assert [first.requests, quiet.requests, news.requests] == account.expected(subset)


def test_no_more_requests_are_in_flight_than_allowed() -> None:
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
def test_a_stream_that_comes_later_is_backfilled_by_what_it_lacks_alone(provider: str) -> None:
    with world() as (sandbox, url):
        account = ACCOUNTS[provider](sandbox)
        connection = Connection(sandbox, url, account.settings)
        connection.sync(f"{provider}_files")

        both = connection.sync(f"{provider}_files", f"{provider}_results", f"{provider}_fields")

        assert set(both.counts) == {f"{provider}_results", f"{provider}_fields"}
        # A list by time has one more window: none may hold what a stream is past and what it is not.
        more = Counter({name for name in both.requests if name.endswith(".extractions")})
        assert Counter(both.requests) == Counter(account.expected(("files",))[0]) + more
