"""Whole syncs of Atlas against the sandbox."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from harness import START, Connection, log, only, world

from sandbox import NewDocument, Sandbox

Served = tuple[Sandbox, str]


def pan(document_id: str, name: str = "ASHA RAO", seconds: float = 0) -> NewDocument:
    data = {"document_type": "PAN", "name_as_per_pan": {"value": name, "confidence_score": 0.9}}
    return NewDocument(document_id, seconds=seconds, file_data=data)


def connect(served: Served, *batch_ids: str, **settings: Any) -> Connection:
    return Connection(*served, {"atlas": {"batch_ids": list(batch_ids)}, **settings})


def test_all_pages_of_a_batch_arrive_and_each_is_asked_for_once(served: Served) -> None:
    batch = served[0].atlas.submit([pan(f"{n}") for n in range(130)])
    connection = connect(served, batch)

    synced = connection.sync()

    assert synced.counts == {"atlas_batches": 1, "atlas_files": 130, "atlas_results": 130, "atlas_fields": 130}
    assert synced.ids("atlas_results") == [f"{batch}/{n}" for n in range(130)]
    assert synced.requests == {"atlas.authtoken": 1, "atlas.extracts": 3}
    pages = sorted(entry.query["page"] for entry in served[0].journal.entries if "page" in entry.query)
    assert [int(page) for page in pages] == [1, 2, 3]
    row = only(synced.records["atlas_batches"])
    assert (row["id"], row["template_id"], row["created_at"], row["status"]) == (batch, None, None, "complete")
    assert connection.sync().counts == {}


@pytest.mark.parametrize("documents", [1, 49, 50, 51, 100, 101])
def test_pages_are_driven_by_the_answer(documents: int) -> None:
    with world(atlas_no_total_pages=True) as served:
        batch = served[0].atlas.submit([pan(f"{n}") for n in range(documents)])

        synced = connect(served, batch).sync()

        assert synced.counts["atlas_results"] == documents
        assert synced.requests["atlas.extracts"] == (documents + 49) // 50


def test_a_page_that_repeats_itself_fails_the_batch_and_marks_nothing_as_done() -> None:
    with world(atlas_page_stuck=True) as served:
        batch = served[0].atlas.submit([pan(f"{n}") for n in range(60)])
        connection = connect(served, batch)

        synced = connection.sync()

        assert set(synced.ends.values()) == {"INCOMPLETE"}
        assert synced.error is not None
        assert "page 2" in str(synced.error.message)
        assert synced.counts == {}
        served[0].switches = type(served[0].switches)()
        assert connection.sync().counts["atlas_results"] == 60


def test_a_batch_that_grows_delivers_only_what_is_new(served: Served) -> None:
    sandbox, _ = served
    batch = sandbox.atlas.submit([pan(f"{n}", seconds=60 * n) for n in range(70)])
    connection = connect(served, batch)
    first = connection.sync()
    assert first.counts["atlas_results"] == 1

    sandbox.clock.advance(seconds=60 * 55)
    second = connection.sync()
    assert second.ids("atlas_results") == [f"{batch}/{n}" for n in range(1, 56)]
    assert second.counts["atlas_batches"] == 1

    sandbox.atlas.add(batch, [pan("late")])
    sandbox.clock.advance(seconds=60 * 60)
    third = connection.sync()
    assert set(third.ids("atlas_results")) == {f"{batch}/late", *(f"{batch}/{n}" for n in range(56, 70))}
    assert connection.sync().counts == {}


def test_unfinished_documents_that_are_shown_keep_the_batch_open() -> None:
    with world(atlas_total_counts_extracted=False) as served:
        sandbox, _ = served
        batch = sandbox.atlas.submit([pan("1"), pan("2", seconds=600)])
        connection = connect(served, batch)

        first = connection.sync()
        assert only(first.records["atlas_batches"])["status"] == "open"
        assert [row["status"] for row in first.records["atlas_files"]] == ["processed", "pending"]
        assert first.counts["atlas_results"] == 1

        sandbox.clock.advance(days=9)
        second = connection.sync()
        assert second.counts == {"atlas_batches": 1, "atlas_files": 1, "atlas_results": 1, "atlas_fields": 1}


def test_the_time_in_the_batch_id_spares_requests_for_old_batches_with_a_day_to_spare(served: Served) -> None:
    sandbox, _ = served
    ages = {days: sandbox.atlas.submit([pan("1")], submitted_at=START - timedelta(days=days)) for days in (2, 3, 4, 5)}
    connection = connect(served, *ages.values())
    assert connection.sync().counts["atlas_results"] == 4

    connection.sync()

    asked = {entry.query["batch_id"] for entry in sandbox.journal.entries if "batch_id" in entry.query}
    assert asked == {ages[2], ages[3]}


def test_a_signed_link_never_counts_as_a_change(served: Served) -> None:
    sandbox, _ = served
    number = {"value": "1234 5678 9012", "confidence_score": 0.9, "redact_url": "https://files.invalid/1"}
    data = {"document_type": "AADHAAR", "aadhaar_number": number}
    batch = sandbox.atlas.submit([NewDocument("1", seconds=0, file_data=data)])
    connection = connect(served, batch)

    first = only(connection.sync().records["atlas_results"])
    assert first["data"]["aadhaar_number"]["redact_url"].startswith("https://")
    assert connection.sync().counts == {}

    connection = connect(served, batch, keep_urls=False)
    row = only(connection.sync().records["atlas_results"])
    assert "redact_url" not in row["data"]["aadhaar_number"]
    assert row["digest"] == first["digest"]


def test_a_token_that_expires_is_renewed_once_however_many_workers_there_are(served: Served) -> None:
    sandbox, _ = served
    batches = [sandbox.atlas.submit([pan(f"{n}") for n in range(500)]) for _ in range(4)]
    connection = connect(served, *batches, max_in_flight=20)
    before = sandbox.atlas.logins
    expired = False

    reading = connection.source.read(log, connection.settings, connection.catalog(), [])
    for message in reading:
        if message.record and not expired:
            expired = True
            sandbox.atlas.expire_tokens()

    assert expired
    assert sandbox.atlas.logins - before == 2


def test_a_batch_that_atlas_does_not_know_is_a_row_and_the_rest_goes_on(served: Served) -> None:
    known = served[0].atlas.submit([pan("1")])
    connection = connect(served, "BATCH-1-NOBODY-20261119000000", known)

    synced = connection.sync()

    rows = {row["batch_id"]: row for row in synced.records["atlas_batches"]}
    assert rows["BATCH-1-NOBODY-20261119000000"]["status"] == "missing"
    assert rows["BATCH-1-NOBODY-20261119000000"]["error"]
    assert rows[known]["status"] == "complete"
    assert set(synced.ends.values()) == {"COMPLETE"}
    assert connection.sync().counts == {}
