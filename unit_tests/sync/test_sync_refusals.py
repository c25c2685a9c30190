"""Whole syncs with rejected requests and unknown ids, which are retried."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from math import inf
from pathlib import Path
from typing import Any

import pytest

from docextract_sandbox import (
    TRANSIENT_4XX_FAULTS,
    DocumentType,
    Fault,
    NewDocument,
    NewExtraction,
    NewFile,
    Sandbox,
    SensibleDocument,
)
from unit_tests.support.harness import START, Connection, frozen_sandbox, log, single

ServedSandbox = tuple[Sandbox, str]
PARSED = {"total": {"value": 7, "type": "number"}}
RESULTS = ("extracta.getBatchResults", "extracta.getResults", "sensible.document", "sensible.batch", "atlas.extracts")


@pytest.fixture
def refused_sandbox() -> Iterator[ServedSandbox]:
    with frozen_sandbox() as pair:
        yield pair


@pytest.fixture
def demo() -> Iterator[Connection]:
    """Serve the documents of twelve weeks, of all products."""
    with frozen_sandbox() as (sandbox, url):
        sandbox.fill_demo()
        yield Connection(sandbox, url, sandbox.build_settings(url))


def set_switches(sandbox: Sandbox, **values: Any) -> None:
    sandbox.switches = replace(sandbox.switches, **values)


def list_results(connection: Connection) -> dict[str, set[str]]:
    return {stream: set(rows) for stream, rows in connection.warehouse.items() if stream.endswith("_results")}


def list_all_rows(connection: Connection) -> dict[str, set[str]]:
    fresh = Connection(connection.sandbox, connection.url, connection.settings)
    assert set(fresh.sync().final_statuses.values()) == {"COMPLETE"}
    return list_results(fresh)


@pytest.mark.sample(2)
@pytest.mark.parametrize("share", [1.0, pytest.param(0.3, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", TRANSIENT_4XX_FAULTS)
def test_sync_rejected_results_are_delivered_in_the_next_sync(demo: Connection, name: str, share: float) -> None:
    faults = [replace(TRANSIENT_4XX_FAULTS[name], endpoint=endpoint, share=share) for endpoint in RESULTS]
    with demo.sandbox.faults.apply_only(*faults):
        synced = demo.sync()

    final_statuses = {
        stream.split("_")[0]: status for stream, status in synced.final_statuses.items() if stream.endswith("_results")
    }
    assert (final_statuses["extracta"], final_statuses["sensible"], final_statuses["atlas"]) == ("INCOMPLETE",) * 3
    assert synced.error is not None
    assert "refused the request" in str(synced.error.message)
    statuses = {row["status"] for stream, rows in synced.records.items() for row in rows if stream.endswith("_batches")}
    assert "missing" not in statuses

    recovery_sync = demo.sync()

    assert set(recovery_sync.final_statuses.values()) == {"COMPLETE"}
    assert list_results(demo) == list_all_rows(demo)
    assert demo.sync().counts == {}


def add_explicit_batches(sandbox: Sandbox, folder: Path) -> dict[str, Any]:
    """Add old, finished batches of all products, which the user names."""
    ago = START - timedelta(days=20)
    template = sandbox.extracta.create("Invoices", ["vendor"])
    mail = sandbox.classification.create("Mail", [DocumentType("other")])
    extraction = sandbox.extracta.upload(template, [NewFile("a.pdf", 0, {"vendor": "Acme"})], started_at=ago)
    sorted_mail = sandbox.classification.upload(mail, [NewFile("b.pdf", 0, {"documentType": "other"})], started_at=ago)
    sandbox.docmap.put_template("Notes", (), "notes")
    sandbox.docmap.add_extractions("notes", [NewExtraction("c.pdf", 0, {"n": 1})], "run", created_at=ago)
    sandbox.sensible.add_document_type("claims")
    claims = sandbox.sensible.add_batch([SensibleDocument("d.pdf", 0, PARSED)], "claims", created_at=ago)
    sandbox.sensible.upload(claims, 0, uploaded_at=ago)
    documents = sandbox.atlas.submit([NewDocument("1", 0, {"document_type": "PAN"})], submitted_at=ago)
    (folder / "batches.csv").write_text(f"provider,batch_id,created_at\ndocmap,run,{ago.date()}\n")
    return {
        "extracta": {
            "extraction_batches": [f"{template}/{extraction}"],
            "classification_batches": [f"{mail}/{sorted_mail}"],
        },
        "docmap": {},
        "sensible": {"batch_ids": [claims]},
        "atlas": {"batch_ids": [documents]},
        "batch_registry": {"url": str(folder / "batches.csv")},
    }


def test_sync_wrong_account_key_delivers_explicit_batches_after_correction(
    refused_sandbox: ServedSandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox, url = refused_sandbox
    connection = Connection(sandbox, url, add_explicit_batches(sandbox, tmp_path))
    set_switches(sandbox, other_account=True)
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger=log.name):
            connection.sync()
        warnings = [record.getMessage() for record in caplog.records if "knows none of" in record.getMessage()]
        assert sorted(warnings) == [
            "Atlas knows none of the configured batches. Correct atlas.batch_ids, or atlas.client_id and "
            "atlas.client_secret, which may belong to another account.",
            "DocMap knows none of the configured batches. Correct batch_registry, or docmap.api_key, which may "
            "belong to another account.",
            "Sensible knows none of the configured batches. Correct sensible.batch_ids, or sensible.api_key, which "
            "may belong to another account.",
        ]
        sandbox.clock.advance(days=2)
    set_switches(sandbox, other_account=False)

    corrected = connection.sync()

    assert set(corrected.final_statuses.values()) == {"COMPLETE"}
    expected = list_all_rows(connection)
    assert all(expected.values())
    assert list_results(connection) == expected
    assert {row["status"] for row in connection.warehouse["atlas_batches"].values()} == {"complete"}
    assert connection.sync().counts == {}


@pytest.mark.parametrize("settings", [{}, {"start_date": "2026-09-01T00:00:00Z"}])
def test_sync_wrong_account_key_rereads_empty_lists_after_correction(
    refused_sandbox: ServedSandbox, settings: dict[str, Any]
) -> None:
    sandbox, url = refused_sandbox
    ago = START - timedelta(days=40)
    sandbox.docmap.put_template("Notes", (), "notes")
    sandbox.docmap.add_extractions("notes", [NewExtraction("c.pdf", 0, {"n": 1})], created_at=ago)
    sandbox.sensible.add_document_type("claims")
    sandbox.sensible.extract([SensibleDocument("d.pdf", 0, PARSED)], "claims", created_at=ago)
    connection = Connection(sandbox, url, {"docmap": {}, "sensible": {}, **settings})
    set_switches(sandbox, other_account=True)
    for _ in range(2):
        assert set(connection.sync().final_statuses.values()) == {"COMPLETE"}
        sandbox.clock.advance(days=2)
    set_switches(sandbox, other_account=False)

    corrected = connection.sync()

    assert {stream: count for stream, count in corrected.counts.items() if stream.endswith("_results")} == {
        "docmap_results": 1,
        "sensible_results": 1,
    }
    assert connection.sync().counts == {}


def test_check_wrong_account_key_reports_unknown_batches(refused_sandbox: ServedSandbox, tmp_path: Path) -> None:
    sandbox, url = refused_sandbox
    settings = add_explicit_batches(sandbox, tmp_path)
    del settings["extracta"]["classification_batches"]  # all that its template does not answer for is no unknown batch
    connection = Connection(sandbox, url, settings)

    assert connection.source.check(log, connection.settings).message is None
    set_switches(sandbox, other_account=True)
    status = connection.source.check(log, connection.settings)

    assert status.status.value == "FAILED"
    assert status.message == " ".join(
        f"{name} knows none of the configured batches. Correct {setting}, or {key}, which may belong to another "
        "account."
        for name, setting, key in (
            ("Extracta.ai", "extracta.extraction_batches", "extracta.api_key"),
            ("DocMap", "batch_registry", "docmap.api_key"),
            ("Sensible", "sensible.batch_ids", "sensible.api_key"),
            ("Atlas", "atlas.batch_ids", "atlas.client_id and atlas.client_secret"),
        )
    )


def test_check_with_a_known_batch_ignores_unknown_batches(refused_sandbox: ServedSandbox) -> None:
    sandbox, url = refused_sandbox
    known = sandbox.atlas.submit([NewDocument("1", 0, {"document_type": "PAN"})])
    ids = [known, *(f"BATCH-1-NOBODY-202611190000{number:02}" for number in range(9))]
    connection = Connection(sandbox, url, {"atlas": {"batch_ids": ids}})

    assert connection.source.check(log, connection.settings).status.value == "SUCCEEDED"


class TestSensible:
    def start_upload(self, refused_sandbox: ServedSandbox, **document: Any) -> tuple[Connection, str]:
        sandbox, url = refused_sandbox
        sandbox.sensible.add_document_type("claims")
        batch = sandbox.sensible.add_batch([SensibleDocument("a.pdf", 0, PARSED, **document)], "claims")
        return Connection(sandbox, url, {"sensible": {}}), batch

    def test_complete_document_rejected_once_is_requested_again(self, refused_sandbox: ServedSandbox) -> None:
        connection, batch = self.start_upload(refused_sandbox)
        extraction_id = refused_sandbox[0].sensible.upload(batch, 0)
        with refused_sandbox[0].faults.apply_only(Fault("unknown id", "sensible.document", times=1)):
            synced = connection.sync()
        assert single(synced.records["sensible_files"])["status"] == "failed"

        recovery_sync = connection.sync()

        assert single(recovery_sync.records["sensible_files"])["status"] == "processed"
        assert single(recovery_sync.records["sensible_results"])["id"] == extraction_id
        assert connection.warehouse["sensible_files"][extraction_id]["batch_key"] == batch
        assert connection.warehouse["sensible_batches"][batch]["status"] == "complete"
        assert connection.sync().counts == {}

    def test_unknown_document_is_requested_less_often_until_abandoned(self, refused_sandbox: ServedSandbox) -> None:
        connection, batch = self.start_upload(refused_sandbox)
        refused_sandbox[0].sensible.upload(batch, 0)
        request_days = []
        with refused_sandbox[0].faults.apply_only(Fault("unknown id", "sensible.document")):
            for day in range(40):
                if "sensible.document" in connection.sync().requests:
                    request_days.append(day)
                refused_sandbox[0].clock.advance(days=1)

        assert request_days == [0, 1, 2, 4, 8, 16]
        assert len(connection.warehouse["sensible_files"]) == 1
        assert connection.repeated_ids == {}

    @pytest.mark.parametrize("status", [400, 404])
    def test_waiting_document_rejected_is_pending(self, refused_sandbox: ServedSandbox, status: int) -> None:
        connection, batch = self.start_upload(refused_sandbox)
        refusal = Fault("status", "sensible.document", status=status, body="The extraction is not ready")
        with refused_sandbox[0].faults.apply_only(refusal):
            synced = connection.sync()
        row = single(synced.records["sensible_files"])
        assert (row["status"], row["provider_status"], row["error"]) == ("pending", "WAITING", None)
        refused_sandbox[0].sensible.upload(batch, 0)

        assert single(connection.sync().records["sensible_files"])["status"] == "processed"

    def test_too_large_document_is_not_requested_again(self, refused_sandbox: ServedSandbox) -> None:
        connection, batch = self.start_upload(refused_sandbox, is_too_large=True)
        refused_sandbox[0].sensible.upload(batch, 0)
        connection.sync()

        assert "sensible.document" not in connection.sync().requests


def test_classification_batch_in_the_registry_unknown_once_is_read_again(
    refused_sandbox: ServedSandbox, tmp_path: Path
) -> None:
    sandbox, url = refused_sandbox
    ago = START - timedelta(days=20)
    mail = sandbox.classification.create("Mail", [DocumentType("other")])
    batch = sandbox.classification.upload(mail, [NewFile("b.pdf", 0, {"documentType": "other"})], started_at=ago)
    line = f"extracta_classification,{mail},{batch},{ago.isoformat()}"
    (tmp_path / "batches.csv").write_text(f"provider,template_id,batch_id,created_at\n{line}\n")
    connection = Connection(sandbox, url, {"extracta": {}, "batch_registry": {"url": str(tmp_path / "batches.csv")}})
    with sandbox.faults.apply_only(Fault("unknown id", "extracta.getResults")):
        synced = connection.sync()
    assert single(synced.records["extracta_classification_batches"])["status"] == "missing"

    recovery_sync = connection.sync()

    assert single(recovery_sync.records["extracta_classification_batches"])["status"] == "complete"
    assert len(recovery_sync.records["extracta_classification_results"]) == 1
    assert connection.sync().counts == {}


def test_extracta_explicit_file_unknown_once_is_requested_again(refused_sandbox: ServedSandbox) -> None:
    sandbox, url = refused_sandbox
    template = sandbox.extracta.create("Invoices", ["vendor"])
    files = [NewFile(f"{name}.pdf", 0, {"vendor": name}, file_id=name) for name in "ab"]
    batch = sandbox.extracta.upload(template, files, started_at=START - timedelta(days=20))
    connection = Connection(
        sandbox, url, {"extracta": {"extraction_batches": [f"{template}/{batch}/{name}" for name in "ab"]}}
    )
    with sandbox.faults.apply_only(Fault("unknown id", "extracta.getBatchResults", times=1)):
        synced = connection.sync()
    assert [row["status"] for row in synced.records["extracta_files"]] == ["failed", "processed"]

    recovery_sync = connection.sync()

    assert single(recovery_sync.records["extracta_files"])["status"] == "processed"
    assert connection.sync().counts == {}


def test_extracta_batch_unknown_while_gaining_files_is_read_again(
    refused_sandbox: ServedSandbox,
) -> None:
    sandbox, url = refused_sandbox
    template = sandbox.extracta.create("Invoices", ["vendor"])
    batch = sandbox.extracta.upload(template, [NewFile("a.pdf", 0, {"vendor": "a"})])
    connection = Connection(sandbox, url, {"extracta": {"extraction_ids": [template]}, "lookback_days": 0})
    connection.sync()
    sandbox.extracta.upload(template, [NewFile("b.pdf", 0, {"vendor": "b"})], batch)
    with sandbox.faults.apply_only(Fault("unknown id", "extracta.getBatchResults")):
        assert connection.sync().counts == {}

    assert connection.sync().counts["extracta_results"] == 1
    assert connection.sync().requests == {"extracta.viewExtraction": 1}


def test_docmap_pending_extraction_unknown_once_is_delivered(refused_sandbox: ServedSandbox) -> None:
    sandbox, url = refused_sandbox
    sandbox.docmap.put_template("Notes", (), "notes")
    sandbox.docmap.add_extractions("notes", [NewExtraction("slow.pdf", inf, {"n": 1})], "run")
    connection = Connection(sandbox, url, {"docmap": {}})
    connection.sync()
    sandbox.clock.advance(days=9)
    connection.sync()
    with sandbox.faults.apply_only(Fault("unknown id", "docmap.extraction")):
        assert single(connection.sync().records["docmap_files"])["status"] == "failed"
    sandbox.docmap.finish()

    recovery_sync = connection.sync()

    assert single(recovery_sync.records["docmap_files"])["status"] == "processed"
    assert len(recovery_sync.records["docmap_results"]) == 1
    assert connection.sync().counts == {}
