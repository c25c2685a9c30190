"""Whole syncs of Atlas against the sandbox."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from docextract_sandbox import NewDocument, Sandbox
from unit_tests.support.harness import START, Connection, frozen_sandbox, log, single

ServedSandbox = tuple[Sandbox, str]


def make_pan_document(document_id: str, name: str = "ASHA RAO", seconds: float = 0) -> NewDocument:
    data = {"document_type": "PAN", "name_as_per_pan": {"value": name, "confidence_score": 0.9}}
    return NewDocument(document_id, duration_seconds=seconds, file_data=data)


def connect(served_sandbox: ServedSandbox, *batch_ids: str, **settings: Any) -> Connection:
    return Connection(*served_sandbox, {"atlas": {"batch_ids": list(batch_ids)}, **settings})


def test_atlas_batch_of_several_pages_requests_each_page_once(served_sandbox: ServedSandbox) -> None:
    batch = served_sandbox[0].atlas.submit([make_pan_document(f"{number}") for number in range(130)])
    connection = connect(served_sandbox, batch)

    synced = connection.sync()

    assert synced.counts == {"atlas_batches": 1, "atlas_files": 130, "atlas_results": 130, "atlas_fields": 130}
    assert synced.ids("atlas_results") == [f"{batch}/{number}" for number in range(130)]
    assert synced.requests == {"atlas.authtoken": 1, "atlas.extracts": 3}
    pages = sorted(entry.query["page"] for entry in served_sandbox[0].journal.entries if "page" in entry.query)
    assert [int(page) for page in pages] == [1, 2, 3]
    row = single(synced.records["atlas_batches"])
    assert (row["id"], row["template_id"], row["created_at"], row["status"]) == (batch, None, None, "complete")
    assert connection.sync().counts == {}


@pytest.mark.parametrize("documents", [1, 49, 50, 51, 100, 101])
def test_atlas_pages_without_a_total_are_all_read(documents: int) -> None:
    with frozen_sandbox(atlas_no_total_pages=True) as served_sandbox:
        batch = served_sandbox[0].atlas.submit([make_pan_document(f"{number}") for number in range(documents)])

        synced = connect(served_sandbox, batch).sync()

        assert synced.counts["atlas_results"] == documents
        assert synced.requests["atlas.extracts"] == (documents + 49) // 50


def test_atlas_repeated_page_fails_the_batch_and_settles_nothing() -> None:
    with frozen_sandbox(atlas_page_stuck=True) as served_sandbox:
        batch = served_sandbox[0].atlas.submit([make_pan_document(f"{number}") for number in range(60)])
        connection = connect(served_sandbox, batch)

        synced = connection.sync()

        assert set(synced.final_statuses.values()) == {"INCOMPLETE"}
        assert synced.error is not None
        assert "page 2" in str(synced.error.message)
        # The first page is delivered before the second one is read.
        assert synced.counts == {"atlas_files": 50, "atlas_results": 50, "atlas_fields": 50}
        served_sandbox[0].switches = type(served_sandbox[0].switches)()
        second = connection.sync()
        assert second.counts == {"atlas_batches": 1, "atlas_files": 10, "atlas_results": 10, "atlas_fields": 10}
        assert set(second.final_statuses.values()) == {"COMPLETE"}


def test_atlas_growing_batch_delivers_only_new_documents(served_sandbox: ServedSandbox) -> None:
    sandbox, _ = served_sandbox
    batch = sandbox.atlas.submit([make_pan_document(f"{number}", seconds=60 * number) for number in range(70)])
    connection = connect(served_sandbox, batch)
    first = connection.sync()
    assert first.counts["atlas_results"] == 1

    sandbox.clock.advance(seconds=60 * 60)
    second = connection.sync()
    assert second.ids("atlas_results") == [f"{batch}/{number}" for number in range(1, 61)]
    assert second.counts["atlas_batches"] == 1

    sandbox.atlas.add_documents(batch, [make_pan_document("late")])
    sandbox.clock.advance(seconds=60 * 60)
    third = connection.sync()
    assert set(third.ids("atlas_results")) == {f"{batch}/late", *(f"{batch}/{number}" for number in range(61, 70))}
    assert connection.sync().counts == {}


def test_atlas_unfinished_documents_keep_the_batch_open() -> None:
    with frozen_sandbox(atlas_total_counts_extracted=False) as served_sandbox:
        sandbox, _ = served_sandbox
        batch = sandbox.atlas.submit([make_pan_document("1"), make_pan_document("2", seconds=600)])
        connection = connect(served_sandbox, batch)

        first = connection.sync()
        assert single(first.records["atlas_batches"])["status"] == "open"
        assert [row["status"] for row in first.records["atlas_files"]] == ["processed", "pending"]
        assert first.counts["atlas_results"] == 1

        sandbox.clock.advance(days=9)
        second = connection.sync()
        assert second.counts == {"atlas_batches": 1, "atlas_files": 1, "atlas_results": 1, "atlas_fields": 1}


def test_atlas_old_time_in_the_batch_id_saves_requests_after_a_margin(
    served_sandbox: ServedSandbox,
) -> None:
    sandbox, _ = served_sandbox
    ages = {
        days: sandbox.atlas.submit([make_pan_document("1")], submitted_at=START - timedelta(days=days))
        for days in (2, 3, 4, 5)
    }
    connection = connect(served_sandbox, *ages.values())
    connection.settings["lookback_checks"] = "every_sync"
    assert connection.sync().counts["atlas_results"] == 4

    connection.sync()

    requested_ids = {entry.query["batch_id"] for entry in sandbox.journal.entries if "batch_id" in entry.query}
    assert requested_ids == {ages[2], ages[3]}


def test_atlas_changed_signed_url_emits_no_row(served_sandbox: ServedSandbox) -> None:
    sandbox, _ = served_sandbox
    number = {"value": "1234 5678 9012", "confidence_score": 0.9, "redact_url": "https://files.invalid/1"}
    data = {"document_type": "AADHAAR", "aadhaar_number": number}
    batch = sandbox.atlas.submit([NewDocument("1", duration_seconds=0, file_data=data)])
    connection = connect(served_sandbox, batch)

    first = single(connection.sync().records["atlas_results"])
    assert first["data"]["aadhaar_number"]["redact_url"].startswith("https://")
    assert connection.sync().counts == {}

    connection = connect(served_sandbox, batch, keep_urls=False)
    row = single(connection.sync().records["atlas_results"])
    assert "redact_url" not in row["data"]["aadhaar_number"]
    assert row["digest"] == first["digest"]


def test_atlas_expired_token_is_renewed_once_for_all_workers(served_sandbox: ServedSandbox) -> None:
    sandbox, _ = served_sandbox
    # More batches than may be started before the first record is out: some need a token after that on any machine.
    batches = [sandbox.atlas.submit([make_pan_document(f"{number}") for number in range(60)]) for _ in range(40)]
    connection = connect(served_sandbox, *batches, max_in_flight=20)
    logins_before = sandbox.atlas.login_count
    expired = False

    reading = connection.source.read(log, connection.settings, connection.catalog(), [])
    for message in reading:
        if message.record and not expired:
            expired = True
            sandbox.atlas.expire_tokens()

    assert expired
    assert sandbox.atlas.login_count - logins_before == 2


def test_atlas_unknown_batch_is_missing_and_others_are_complete(served_sandbox: ServedSandbox) -> None:
    known = served_sandbox[0].atlas.submit([make_pan_document("1")])
    connection = connect(served_sandbox, "BATCH-1-NOBODY-20261119000000", known)

    synced = connection.sync()

    rows = {row["batch_id"]: row for row in synced.records["atlas_batches"]}
    assert rows["BATCH-1-NOBODY-20261119000000"]["status"] == "missing"
    assert rows["BATCH-1-NOBODY-20261119000000"]["error"]
    assert rows[known]["status"] == "complete"
    assert set(synced.final_statuses.values()) == {"COMPLETE"}
    assert connection.sync().counts == {}
