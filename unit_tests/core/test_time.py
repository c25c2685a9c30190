"""Tests of time: future times, clock jumps, ties, boundaries, late batches."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from docextract_sandbox import (
    DocumentType,
    ExtractionReference,
    NewDocument,
    NewExtraction,
    NewFile,
    Sandbox,
    SensibleDocument,
)
from unit_tests.support.harness import START, Connection, frozen_sandbox

PARSED = {"n": {"value": 1, "type": "number"}}
DATA = {"document_type": "PAN", "name": {"value": "ASHA", "confidence_score": 0.9}}
AddDocument = Callable[[str, datetime], Any]


def extracta_account(sandbox: Sandbox) -> tuple[dict[str, Any], AddDocument]:
    template = sandbox.extracta.create("Invoices", ["vendor"])

    def add_document(name: str, created_at: datetime) -> None:
        sandbox.extracta.upload(template, [NewFile(name, 0, {"vendor": "Acme"})], started_at=created_at)

    return {"extracta": {"extraction_ids": [template]}}, add_document


def docmap_account(sandbox: Sandbox) -> tuple[dict[str, Any], AddDocument]:
    template = sandbox.docmap.put_template("Invoices")

    def add_document(name: str, created_at: datetime) -> None:
        sandbox.docmap.add_extractions(
            template, [NewExtraction(name, 0, {"n": 1})], f"run of {name}", created_at=created_at
        )

    return {"docmap": {}}, add_document


def sensible_account(sandbox: Sandbox) -> tuple[dict[str, Any], AddDocument]:
    sandbox.sensible.add_document_type("claims")

    def add_document(name: str, created_at: datetime) -> None:
        batch = sandbox.sensible.add_batch([SensibleDocument(name, 0, PARSED)], "claims", created_at=created_at)
        sandbox.sensible.upload(batch, 0, uploaded_at=created_at)

    return {"sensible": {}}, add_document


LISTING_ACCOUNTS = {
    account.__name__.removesuffix("_account"): account
    for account in (extracta_account, docmap_account, sensible_account)
}
provider = pytest.mark.parametrize("provider", LISTING_ACCOUNTS)


def get_file_names(connection: Connection, provider: str) -> set[str]:
    return {row["file_name"] for row in connection.warehouse[f"{provider}_results"].values()}


@provider
def test_sync_document_from_the_future_is_delivered_once(provider: str) -> None:
    with frozen_sandbox() as (sandbox, url):
        settings, add_document = LISTING_ACCOUNTS[provider](sandbox)
        connection = Connection(sandbox, url, settings)
        add_document("today.pdf", START)
        connection.clock_offset = timedelta(days=-5)  # by this clock, today is in the future

        first = connection.sync()
        connection.clock_offset = timedelta()
        second = connection.sync()

        assert set(first.final_statuses.values()) == {"COMPLETE"}
        assert first.counts.get(f"{provider}_results", 0) + second.counts.get(f"{provider}_results", 0) == 1
        assert get_file_names(connection, provider) == {"today.pdf"}
        assert connection.sync().counts == {}


@provider
@pytest.mark.parametrize("days", [1, 10, 400])
def test_sync_clock_jumps_back_loses_and_repeats_nothing(provider: str, days: int) -> None:
    with frozen_sandbox() as (sandbox, url):
        settings, add_document = LISTING_ACCOUNTS[provider](sandbox)
        connection = Connection(sandbox, url, settings)
        add_document("old.pdf", START - timedelta(days=2))
        connection.sync()
        connection.clock_offset = timedelta(days=-days)
        add_document("new.pdf", START)

        back = connection.sync()
        connection.clock_offset = timedelta()
        forward = connection.sync()

        assert set(back.final_statuses.values()) == {"COMPLETE"}
        assert get_file_names(connection, provider) == {"old.pdf", "new.pdf"}
        assert back.counts.get(f"{provider}_results", 0) + forward.counts.get(f"{provider}_results", 0) == 1
        assert connection.sync().counts == {}


@provider
def test_sync_two_documents_with_one_creation_time_are_both_delivered(provider: str) -> None:
    with frozen_sandbox() as (sandbox, url):
        settings, add_document = LISTING_ACCOUNTS[provider](sandbox)
        connection = Connection(sandbox, url, settings)
        for name in ("a.pdf", "b.pdf"):
            add_document(name, START - timedelta(days=1))

        synced = connection.sync()

        assert synced.counts == {f"{provider}_{kind}": 2 for kind in ("batches", "files", "results", "fields")}
        assert connection.sync().counts == {}


@provider
def test_start_date_document_created_at_it_is_included(provider: str) -> None:
    with frozen_sandbox() as (sandbox, url):
        settings, add_document = LISTING_ACCOUNTS[provider](sandbox)
        connection = Connection(sandbox, url, {**settings, "start_date": "2026-11-10T09:00:00Z"})
        boundary = START - timedelta(days=10)
        for name, created_at in (("before", boundary - timedelta(milliseconds=1)), ("at", boundary), ("after", START)):
            add_document(name, created_at)

        connection.sync()

        assert get_file_names(connection, provider) == {"at", "after"}
        assert connection.sync().counts == {}


@provider
def test_sync_documents_around_midnight_are_each_delivered_once(provider: str) -> None:
    with frozen_sandbox() as (sandbox, url):
        settings, add_document = LISTING_ACCOUNTS[provider](sandbox)
        connection = Connection(sandbox, url, settings)
        midnight = START.replace(hour=0)
        moments = [midnight + number * timedelta(milliseconds=1) for number in (-2, -1, 0, 1)]
        for number, created_at in enumerate(moments):
            add_document(f"{number}", created_at)
        for hours in (-8.9, -8.0, 0.0):  # ten past midnight, one o'clock, nine
            connection.clock_offset = timedelta(hours=hours)
            assert set(connection.sync().final_statuses.values()) == {"COMPLETE"}

        assert get_file_names(connection, provider) == {"0", "1", "2", "3"}
        assert not connection.repeated_ids
        assert connection.sync().counts == {}


@pytest.mark.parametrize("provider", ["docmap", "sensible"])
def test_sync_state_from_the_far_future_repeats_nothing(provider: str) -> None:
    with frozen_sandbox() as (sandbox, url):
        settings, add_document = LISTING_ACCOUNTS[provider](sandbox)
        connection = Connection(sandbox, url, settings)
        add_document("old.pdf", START - timedelta(days=90))
        connection.clock_offset = timedelta(days=20_000)
        connection.sync()
        connection.clock_offset = timedelta()

        synced = connection.sync()

        assert synced.counts == {}
        assert set(synced.final_statuses.values()) == {"COMPLETE"}


def test_sync_old_atlas_batch_added_late_is_fetched_alone() -> None:
    with frozen_sandbox() as (sandbox, url):
        submit = sandbox.atlas.submit
        old_batches = [
            submit([NewDocument("1", 0, DATA)], submitted_at=START - timedelta(days=age)) for age in (300, 9, 8)
        ]
        connection = Connection(sandbox, url, {"atlas": {"batch_ids": old_batches[1:]}})
        connection.sync()
        assert connection.sync().requests == {}
        connection.settings["atlas"]["batch_ids"] = old_batches

        synced = connection.sync()

        assert synced.ids("atlas_batches") == old_batches[:1]
        assert synced.requests == {"atlas.authtoken": 1, "atlas.extracts": 1}
        assert not connection.repeated_ids


def test_sync_old_sensible_batch_added_late_fetches_only_its_documents() -> None:
    with frozen_sandbox() as (sandbox, url):
        settings, add_document = sensible_account(sandbox)
        for days in (300, 100, 50):
            add_document(f"{days}.pdf", START - timedelta(days=days))
        connection = Connection(sandbox, url, {**settings, "start_date": "2026-08-01T00:00:00Z"})
        connection.sync()
        connection.settings["sensible"]["batch_ids"] = sandbox.sensible.batch_ids[:1]

        synced = connection.sync()

        assert [row["file_name"] for row in synced.records["sensible_results"]] == ["300.pdf"]
        assert synced.requests == {"sensible.extractions": 1, "sensible.document": 1, "sensible.batch": 1}
        assert not connection.repeated_ids


def test_sync_late_reference_to_an_old_batch_delivers_it() -> None:
    with frozen_sandbox(extracta_batches=False) as (sandbox, url):
        template = sandbox.extracta.create("Invoices", ["vendor"])
        invoice = NewFile("old.pdf", 0, {"vendor": "Acme"})
        old = sandbox.extracta.upload(template, [invoice], started_at=START - timedelta(days=200))
        file_id = sandbox.extracta.get_batch(old).files[0].file_id
        classes = sandbox.classification.create("Mail", [DocumentType("other")])
        mail = NewFile(
            "m.pdf",
            3600,
            {"documentType": "other", "confidence": 0.5},
            reference=ExtractionReference(template, old, file_id),
        )
        batch = sandbox.classification.upload(classes, [mail])
        connection = Connection(sandbox, url, {"extracta": {"classification_batches": [f"{classes}/{batch}"]}})
        assert "extracta_results" not in connection.sync().counts
        sandbox.clock.advance(days=20)
        sandbox.classification.finish()

        synced = connection.sync()

        assert [row["file_name"] for row in synced.records["extracta_results"]] == ["old.pdf"]
        assert synced.requests == {"extracta.getResults": 1, "extracta.getBatchResults": 1}
        assert "extracta_results" not in connection.sync().counts
