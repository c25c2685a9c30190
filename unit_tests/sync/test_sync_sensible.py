"""Whole syncs of Sensible against the sandbox."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from docextract_sandbox import TRANSIENT_4XX_FAULTS, Fault, PortfolioPart, Sandbox, SensibleDocument
from unit_tests.support.harness import START, Connection, single

ServedSandbox = tuple[Sandbox, str]

INF = float("inf")
PARSED = {"vendor": {"value": "Acme", "type": "string"}, "total": None}


def new_document(name: str, seconds: float = 0, **more: Any) -> SensibleDocument:
    return SensibleDocument(name, seconds, more.pop("parsed", PARSED), **more)


def connect(served_sandbox: ServedSandbox, **settings: Any) -> Connection:
    section = {**settings.pop("sensible", {})}
    return Connection(*served_sandbox, {"sensible": section, **settings})


def days_ago(days: float) -> Any:
    return START - timedelta(days=days)


@pytest.fixture
def claims(served_sandbox: ServedSandbox) -> Sandbox:
    """Return an account with one document type."""
    sandbox, _ = served_sandbox
    sandbox.sensible.add_document_type("claims")
    return sandbox


def test_sensible_extractions_are_delivered_once(served_sandbox: ServedSandbox, claims: Sandbox) -> None:
    [first] = claims.sensible.extract([new_document("a.pdf", 30)], "claims", created_at=days_ago(1))
    batch = claims.sensible.add_batch([new_document("b.pdf"), new_document("c.pdf")], "claims", "two")
    for index in (0, 1):
        claims.sensible.upload(batch, index)
    connection = connect(served_sandbox)

    synced = connection.sync()

    assert synced.counts == {"sensible_files": 3, "sensible_results": 3, "sensible_fields": 6, "sensible_batches": 1}
    row = single([row for row in synced.records["sensible_files"] if row["id"] == first])
    assert (row["batch_key"], row["batch_id"], row["template_id"], row["file_name"]) == (None, None, None, "a.pdf")
    assert (row["created_at"], row["completed_at"]) == ("2026-11-19T09:00:00.000Z", "2026-11-19T09:00:30.000Z")
    assert row["document_type"] == "claims"
    result = single([row for row in synced.records["sensible_results"] if row["file_name"] == "b.pdf"])
    assert (result["batch_key"], result["data"], result["document_type"]) == (batch, PARSED, "claims")
    batch_row = single(synced.records["sensible_batches"])
    assert (batch_row["id"], batch_row["description"], batch_row["status"]) == (batch, "two", "complete")
    assert (batch_row["files_total"], batch_row["files_processed"]) == (2, 2)
    assert synced.requests == {
        "sensible.extractions": synced.requests["sensible.extractions"],
        "sensible.document": 3,
        "sensible.batch": 1,
    }

    quiet_sync = connection.sync()

    assert quiet_sync.counts == {}
    assert quiet_sync.requests == {"sensible.extractions": 1}


def test_sensible_unfinished_documents_are_polled_at_any_age(served_sandbox: ServedSandbox, claims: Sandbox) -> None:
    batch = claims.sensible.add_batch([new_document("a.pdf"), new_document("b.pdf", INF)], "claims")
    connection = connect(served_sandbox)
    first = connection.sync()
    assert {row["provider_status"] for row in first.records["sensible_files"]} == {"WAITING"}
    batch_row = single(first.records["sensible_batches"])
    assert (batch_row["status"], batch_row["files_pending"], batch_row["provider_data"]) == ("open", 2, {"waiting": 2})

    claims.clock.advance(days=20)
    assert connection.sync().counts == {}
    assert connection.sync().requests["sensible.document"] == 2

    claims.sensible.upload(batch, 0)
    uploaded = connection.sync()
    assert uploaded.counts == {"sensible_files": 1, "sensible_results": 1, "sensible_fields": 2, "sensible_batches": 1}
    batch_row = single(uploaded.records["sensible_batches"])
    assert (batch_row["status"], batch_row["files_pending"], batch_row["files_processed"]) == ("open", 1, 1)

    claims.sensible.upload(batch, 1)
    claims.sensible.finish(batch)
    finished_sync = connection.sync()
    assert finished_sync.counts == {
        "sensible_files": 1,
        "sensible_results": 1,
        "sensible_fields": 2,
        "sensible_batches": 1,
    }
    assert single(finished_sync.records["sensible_batches"])["status"] == "complete"
    claims.clock.advance(days=4)
    assert connection.sync().requests == {"sensible.extractions": 1}


def test_sensible_pending_review_is_polled_and_its_edit_emits_the_row(
    served_sandbox: ServedSandbox, claims: Sandbox
) -> None:
    batch = claims.sensible.add_batch([new_document("a.pdf", review="NEEDS_REVIEW"), new_document("b.pdf")], "claims")
    ids = [claims.sensible.upload(batch, index) for index in (0, 1)]
    connection = connect(served_sandbox)
    first = connection.sync()
    assert single(first.records["sensible_batches"])["status"] == "complete"
    assert {row["review_status"] for row in first.records["sensible_results"]} == {"NEEDS_REVIEW", None}
    claims.clock.advance(days=9)
    assert connection.sync().counts == {}

    claims.sensible.review(ids[0], "APPROVED", {"vendor": {"value": "ACME Inc", "type": "string"}})
    decided = connection.sync()

    row = single(decided.records["sensible_results"])
    assert (row["id"], row["review_status"]) == (ids[0], "APPROVED")
    assert row["data"]["vendor"]["value"] == "ACME Inc"
    assert row["digest"] != connection.warehouse["sensible_results"][ids[1]]["digest"]
    assert "sensible_batches" not in decided.counts
    assert "sensible.batch" not in decided.requests
    assert connection.sync().requests == {"sensible.extractions": 1}


def test_sensible_review_within_the_lookback_is_detected_by_listing(
    served_sandbox: ServedSandbox, claims: Sandbox
) -> None:
    ids = claims.sensible.extract([new_document("a.pdf", review="NEEDS_REVIEW"), new_document("b.pdf")], "claims")
    connection = connect(served_sandbox)
    connection.sync()
    quiet_sync = connection.sync()
    claims.sensible.review(ids[0], "REJECTED")

    synced = connection.sync()

    assert quiet_sync.requests == {"sensible.extractions": 1}
    assert single(synced.records["sensible_results"])["review_status"] == "REJECTED"
    assert synced.requests == {"sensible.extractions": 1, "sensible.document": 1}


def test_sensible_portfolio_documents_are_results_of_a_single_file(
    served_sandbox: ServedSandbox, claims: Sandbox
) -> None:
    claims.sensible.add_document_type("tax_forms")
    parts = [PortfolioPart("claims", PARSED), PortfolioPart("tax_forms", {"wages": None}, "NEEDS_REVIEW")]
    [bundle] = claims.sensible.extract([new_document("mail.pdf", portfolio=parts)], "claims")
    connection = connect(served_sandbox)

    synced = connection.sync()

    assert single(synced.records["sensible_files"])["document_type"] is None
    first, second = sorted(synced.records["sensible_results"], key=lambda row: row["document_index"])
    assert (first["id"], second["id"]) == (bundle, f"{bundle}#1")
    assert (first["document_type"], second["document_type"]) == ("claims", "tax_forms")
    assert (first["review_status"], second["review_status"]) == (None, "NEEDS_REVIEW")
    assert second["data"] == {"wages": None}
    assert first["file_key"] == second["file_key"] == bundle


@pytest.mark.parametrize("reason", ["is_too_large", "is_purged"])
def test_sensible_unavailable_document_is_a_failed_file(
    served_sandbox: ServedSandbox, claims: Sandbox, reason: str
) -> None:
    claims.sensible.extract([new_document("a.pdf"), new_document("b.pdf", **{reason: True})], "claims")
    connection = connect(served_sandbox)

    synced = connection.sync()

    row = single([row for row in synced.records["sensible_files"] if row["file_name"] == "b.pdf"])
    assert (row["status"], row["provider_status"]) == ("failed", "COMPLETE")
    assert ("6 MB" if reason == "is_too_large" else "Not found") in row["error"]
    assert single(synced.records["sensible_results"])["file_name"] == "a.pdf"
    assert set(synced.final_statuses.values()) == {"COMPLETE"}
    assert connection.sync().counts == {}


def test_sensible_explicit_batch_ignores_start_date_and_types(served_sandbox: ServedSandbox, claims: Sandbox) -> None:
    claims.sensible.add_document_type("tax_forms")
    old = claims.sensible.add_batch(
        [new_document("a.pdf"), new_document("b.pdf", error="unreadable")], "tax_forms", created_at=days_ago(200)
    )
    ids = [claims.sensible.upload(old, index, uploaded_at=days_ago(200)) for index in (0, 1)]
    claims.sensible.extract([new_document("old.pdf")], "claims", created_at=days_ago(100))
    [new] = claims.sensible.extract([new_document("new.pdf")], "claims", created_at=days_ago(1))
    settings = {"batch_ids": [old], "document_types": ["claims"]}
    connection = connect(served_sandbox, sensible=settings, start_date="2026-11-01T00:00:00Z")

    synced = connection.sync()

    assert set(synced.ids("sensible_files")) == {*ids, new}
    assert set(synced.ids("sensible_results")) == {ids[0], new}
    row = single(synced.records["sensible_batches"])
    assert (row["files_total"], row["files_processed"], row["files_failed"]) == (2, 1, 1)
    assert (synced.requests["sensible.batch"], synced.requests["sensible.document"]) == (1, 3)
    quiet_sync = connection.sync()
    assert quiet_sync.counts == {}
    list_requests = {"sensible.document_types": 1, "sensible.extractions": 1}
    assert quiet_sync.requests == list_requests
    claims.clock.advance(days=4)
    assert connection.sync().requests == {**list_requests, "sensible.batch": 1}  # the last look
    assert connection.sync().requests == list_requests


def test_sensible_explicit_batch_also_listed_is_read_once(served_sandbox: ServedSandbox, claims: Sandbox) -> None:
    batch = claims.sensible.add_batch(
        [new_document("a.pdf"), new_document("b.pdf", INF)], "claims", created_at=days_ago(30)
    )
    for index in (0, 1):
        claims.sensible.upload(batch, index, uploaded_at=days_ago(30))
    connection = connect(served_sandbox, sensible={"batch_ids": [batch, batch]})

    first = connection.sync()

    assert first.counts == {"sensible_batches": 1, "sensible_files": 2, "sensible_results": 1, "sensible_fields": 2}
    assert (first.requests["sensible.batch"], first.requests["sensible.document"]) == (1, 2)
    claims.sensible.finish()
    assert connection.sync().counts == {
        "sensible_batches": 1,
        "sensible_files": 1,
        "sensible_results": 1,
        "sensible_fields": 2,
    }
    assert connection.sync().counts == {}


def test_sensible_unknown_batch_is_missing_and_others_are_read(served_sandbox: ServedSandbox, claims: Sandbox) -> None:
    claims.sensible.extract([new_document("a.pdf")], "claims")
    connection = connect(served_sandbox, sensible={"batch_ids": ["nobody"]})

    synced = connection.sync()

    row = single(synced.records["sensible_batches"])
    assert (row["id"], row["status"]) == ("nobody", "missing")
    assert "Not found" in row["error"]
    assert synced.counts["sensible_results"] == 1
    assert set(synced.final_statuses.values()) == {"COMPLETE"}
    assert synced.requests["sensible.batch"] == 1


@pytest.mark.parametrize("kind", ["batches", "files", "results", "fields"])
def test_sensible_stream_read_alone_leaves_the_others_for_backfill(
    served_sandbox: ServedSandbox, claims: Sandbox, kind: str
) -> None:
    for number in range(6):
        created = days_ago(9 * number)
        batch = claims.sensible.add_batch([new_document("a.pdf"), new_document("b.pdf")], "claims", created_at=created)
        for index in (0, 1):
            claims.sensible.upload(batch, index, uploaded_at=created)
    connection = connect(served_sandbox, sensible={"batch_ids": [batch]})

    alone = connection.sync(f"sensible_{kind}")
    remaining_sync = connection.sync()

    expected = {"sensible_batches": 6, "sensible_files": 12, "sensible_results": 12, "sensible_fields": 24}
    assert alone.counts == {f"sensible_{kind}": expected.pop(f"sensible_{kind}")}
    assert alone.requests["sensible.document"] == 12
    assert remaining_sync.counts == expected
    assert connection.sync().counts == {}


def test_sensible_type_filter_keeps_portfolios_whole(served_sandbox: ServedSandbox, claims: Sandbox) -> None:
    for name in ("contracts", "tax_forms"):
        claims.sensible.add_document_type(name)
    ago = days_ago(30)
    claims.sensible.extract([new_document("claim.pdf")], "claims", created_at=ago)
    claims.sensible.extract([new_document("contract.pdf")], "contracts", created_at=ago)
    claims.sensible.extract([new_document("mail.pdf", portfolio=["claims", "tax_forms"])], "claims", created_at=ago)
    connection = connect(served_sandbox, sensible={"document_types": ["tax_forms", "claims"]})

    synced = connection.sync()

    assert sorted(row["file_name"] for row in synced.records["sensible_files"]) == ["claim.pdf", "mail.pdf"]
    assert len(synced.records["sensible_results"]) == 3
    assert synced.requests["sensible.document"] == 2
    assert synced.requests["sensible.document_types"] == 1
    connection.settings["sensible"]["document_types"] = ["tax_forms", "claims", "contracts"]
    assert [row["file_name"] for row in connection.sync().records["sensible_files"]] == ["contract.pdf"]


def test_sensible_portfolio_of_a_type_whose_list_fails_is_delivered_once(
    served_sandbox: ServedSandbox, claims: Sandbox
) -> None:
    claims.sensible.add_document_type("first", "type-first")
    [bundle] = claims.sensible.extract(
        [new_document("mail.pdf", portfolio=("first", "claims"))], "claims", created_at=days_ago(40)
    )
    [single_id] = claims.sensible.extract([new_document("a.pdf")], "first", created_at=days_ago(40))
    connection = connect(served_sandbox, sensible={"document_types": ["first", "claims"]})
    refusal = replace(TRANSIENT_4XX_FAULTS["409"], endpoint="sensible.extractions", about="type-first")

    with claims.faults.apply_only(refusal):
        assert set(connection.sync().final_statuses.values()) == {"INCOMPLETE"}
    connection.sync()

    assert connection.warehouse["sensible_files"].keys() == {bundle, single_id}
    assert not any(connection.repeated_ids.values())
    assert connection.sync().counts == {}


@pytest.mark.parametrize("unknown_types", [["claim"], ["claim", "bill", "note", "tax"]])
def test_sensible_unknown_type_is_reported_and_others_are_read(
    served_sandbox: ServedSandbox, claims: Sandbox, unknown_types: list[str]
) -> None:
    claims.sensible.extract([new_document("a.pdf")], "claims")
    connection = connect(served_sandbox, sensible={"document_types": [*unknown_types, "claims"]})

    synced = connection.sync()

    assert set(synced.final_statuses.values()) == {"INCOMPLETE"}
    assert synced.error is not None
    assert "no document type 'claim'" in str(synced.error.message)
    assert synced.counts["sensible_results"] == 1
    status = connection.source.check(None, connection.settings)  # type: ignore[arg-type]
    assert "no document type 'claim'" in str(status.message)


def test_sensible_environment_filter_reads_only_those_environments(
    served_sandbox: ServedSandbox, claims: Sandbox
) -> None:
    claims.sensible.extract([new_document("a.pdf")], "claims")
    claims.sensible.extract([new_document("b.pdf")], "claims", environment="development", created_at=days_ago(9))
    connection = connect(served_sandbox)
    assert [row["file_name"] for row in connection.sync().records["sensible_results"]] == ["a.pdf"]

    connection.settings["sensible"]["environments"] = ["PRODUCTION", "DEVELOPMENT"]

    assert [row["file_name"] for row in connection.sync().records["sensible_results"]] == ["b.pdf"]
    assert connection.sync().counts == {}


def test_sensible_throttle_is_retried_and_a_spent_quota_is_not(served_sandbox: ServedSandbox, claims: Sandbox) -> None:
    claims.sensible.extract([new_document("a.pdf")], "claims")
    connection = connect(served_sandbox)
    claims.switches = replace(claims.switches, sensible_throttle=2)
    assert set(connection.sync().final_statuses.values()) == {"COMPLETE"}
    claims.switches = replace(claims.switches, sensible_quota_spent=1000)

    synced = connection.sync()

    assert set(synced.final_statuses.values()) == {"INCOMPLETE"}
    assert sum(synced.requests.values()) == 1
    assert synced.error is not None
    assert synced.error.failure_type.value == "transient_error"
    assert "the plan's monthly quota is used up" in str(synced.error.message)
    claims.switches = replace(claims.switches, sensible_quota_spent=0)
    assert connection.sync().counts == {}


def test_sensible_failing_document_does_not_block_the_others(served_sandbox: ServedSandbox, claims: Sandbox) -> None:
    ids = claims.sensible.extract(
        [new_document(f"{number}.pdf") for number in range(9)], "claims", created_at=days_ago(40)
    )
    claims.sensible.extract([new_document("new.pdf")], "claims")
    with claims.faults.apply_only(Fault("status", "sensible.document", about=ids[3])):
        connection = connect(served_sandbox)
        synced = connection.sync()
        assert synced.counts == {"sensible_files": 9, "sensible_results": 9, "sensible_fields": 18}
        assert set(synced.final_statuses.values()) == {"INCOMPLETE"}
        assert connection.sync().counts == {}

    recovery_sync = connection.sync()

    assert recovery_sync.counts == {"sensible_files": 1, "sensible_results": 1, "sensible_fields": 2}
    assert recovery_sync.requests["sensible.document"] == 1


def test_sensible_document_that_failed_for_one_stream_is_delivered_to_a_stream_added_later(
    served_sandbox: ServedSandbox, claims: Sandbox
) -> None:
    ids = claims.sensible.extract(
        [new_document(f"{number}.pdf") for number in range(3)], "claims", created_at=days_ago(40)
    )
    claims.sensible.extract([new_document("new.pdf")], "claims")
    connection = connect(served_sandbox)
    with claims.faults.apply_only(Fault("status", "sensible.document", about=ids[1])):
        assert connection.sync("sensible_results").counts == {"sensible_results": 3}

    widened = connection.sync()

    assert set(widened.final_statuses.values()) == {"COMPLETE"}
    assert widened.counts == {"sensible_results": 1, "sensible_files": 4, "sensible_fields": 8}
    assert connection.sync().counts == {}


def test_sensible_batch_never_uploaded_is_stalled_with_its_documents(
    served_sandbox: ServedSandbox, claims: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    batch = claims.sensible.add_batch([new_document("a.pdf"), new_document("b.pdf")], "claims")
    claims.sensible.upload(batch, 0)
    connection = connect(served_sandbox)
    connection.sync()
    claims.clock.advance(days=31)

    synced = connection.sync()

    assert synced.counts == {"sensible_batches": 1}
    assert single(synced.records["sensible_batches"])["status"] == "stalled"
    assert single([row for row in connection.warehouse["sensible_files"].values() if row["status"] == "pending"])
    assert len([line for line in caplog.messages if "marked as stalled" in line]) == 2
    assert connection.sync().requests == {"sensible.extractions": 1}
    assert connection.sync(full_refresh=True).counts == {
        "sensible_batches": 1,
        "sensible_files": 2,
        "sensible_results": 1,
        "sensible_fields": 2,
    }


@pytest.mark.parametrize("streams", [["sensible_files"], ["sensible_files", "sensible_batches"]])
def test_sensible_explicit_batch_after_interruption_is_still_settled(
    served_sandbox: ServedSandbox, claims: Sandbox, streams: list[str]
) -> None:
    batch = claims.sensible.add_batch([new_document("a.pdf", INF), new_document("b.pdf")], "claims")
    for index in (0, 1):
        claims.sensible.upload(batch, index)
    connection = connect(served_sandbox, sensible={"batch_ids": [batch]})
    connection.sync(*streams)
    claims.sensible.finish()
    full_sync = connect(served_sandbox, sensible={"batch_ids": [batch]})
    full_sync.state = dict(connection.state)
    messages = full_sync.sync(*streams).messages
    first_state = next(number for number, message in enumerate(messages, start=1) if message.state)

    connection.sync(*streams, stop_after=first_state + len(streams) - 1)
    connection.sync(*streams)

    claims.clock.advance(days=4)
    connection.sync(*streams)  # the last look
    assert connection.sync(*streams).requests == {"sensible.extractions": 1}
    if "sensible_batches" in streams:
        row = single(list(connection.warehouse["sensible_batches"].values()))
        assert (row["status"], row["files_processed"]) == ("complete", 2)


def test_sensible_batch_across_windows_is_requested_once(served_sandbox: ServedSandbox, claims: Sandbox) -> None:
    created = days_ago(400)
    claims.sensible.add_history("claims", 3, created, step_seconds=90_000, batch_size=3)
    [batch] = claims.sensible.batch_ids
    connection = connect(served_sandbox)

    synced = connection.sync()

    assert (synced.requests["sensible.batch"], synced.requests["sensible.document"]) == (1, 3)
    row = single(synced.records["sensible_batches"])
    assert (row["id"], row["status"], row["files_processed"]) == (batch, "complete", 3)


@pytest.mark.long
def test_sensible_first_sync_with_many_interruptions_repeats_few_requests(
    served_sandbox: ServedSandbox, claims: Sandbox
) -> None:
    ids = claims.sensible.add_history("claims", 1500, days_ago(700), step_seconds=40_000)
    full_sync = connect(served_sandbox).sync()
    connection = connect(served_sandbox)
    requests = kills = 0
    while connection.warehouse["sensible_results"].keys() != set(ids):
        synced = connection.sync(stop_after=len(full_sync.messages) // 6)
        requests += sum(synced.requests.values())
        kills += 1

    assert kills > 3
    assert requests <= sum(full_sync.requests.values()) * 1.5
    assert connection.sync().counts == {}


@pytest.mark.parametrize("is_explicit", [True, False])
def test_sensible_batch_with_an_unavailable_member_counts_it_as_failed(
    served_sandbox: ServedSandbox, claims: Sandbox, is_explicit: bool
) -> None:
    batch = claims.sensible.add_batch([new_document("a.pdf"), new_document("b.pdf", is_too_large=True)], "claims")
    for index in (0, 1):
        claims.sensible.upload(batch, index)
    connection = connect(served_sandbox, sensible={"batch_ids": [batch] if is_explicit else []})

    synced = connection.sync()

    row = single(synced.records["sensible_batches"])
    assert (row["status"], row["files_processed"], row["files_failed"]) == ("complete", 1, 1)
    assert sorted(str(row["file_name"]) for row in synced.records["sensible_files"]) == ["a.pdf", "b.pdf"]
    assert synced.requests["sensible.document"] == 2
    assert connection.sync().counts == {}


def test_sensible_batch_with_a_purged_member_counts_it_as_failed(
    served_sandbox: ServedSandbox, claims: Sandbox
) -> None:
    batch = claims.sensible.add_batch([new_document("a.pdf"), new_document("b.pdf", INF)], "claims")
    ids = [claims.sensible.upload(batch, index) for index in (0, 1)]
    other = claims.sensible.add_batch([new_document("c.pdf")], "claims")
    connection = connect(served_sandbox)
    connection.sync()
    claims.clock.advance(days=9)
    connection.sync()
    claims.sensible.purge(ids[1])

    synced = connection.sync()

    assert single(synced.records["sensible_files"])["status"] == "failed"
    row = single(synced.records["sensible_batches"])
    assert (row["id"], row["status"], row["files_failed"]) == (batch, "complete", 1)
    assert connection.warehouse["sensible_batches"][other]["status"] == "open"
    assert connection.sync().counts == {}


def test_sensible_reviewed_portfolio_document_is_emitted_alone(served_sandbox: ServedSandbox, claims: Sandbox) -> None:
    parts = [PortfolioPart("claims", PARSED), PortfolioPart("claims", PARSED, "NEEDS_REVIEW")]
    [bundle] = claims.sensible.extract([new_document("mail.pdf", portfolio=parts)], "claims")
    connection = connect(served_sandbox)
    connection.sync()
    claims.sensible.review(bundle, "APPROVED")

    synced = connection.sync()

    assert synced.counts == {"sensible_results": 1}
    assert single(synced.records["sensible_results"])["id"] == f"{bundle}#1"


def test_sensible_stalled_batch_is_read_again_after_a_listing_change(
    served_sandbox: ServedSandbox, claims: Sandbox
) -> None:
    batch = claims.sensible.add_batch([new_document("a.pdf")], "claims")
    connection = connect(served_sandbox, lookback_days=60)
    connection.sync()
    claims.clock.advance(days=31)
    assert single(connection.sync().records["sensible_batches"])["status"] == "stalled"
    claims.clock.advance(days=5)
    assert connection.sync().requests == {"sensible.extractions": 1}
    claims.sensible.upload(batch, 0)
    claims.clock.advance(days=1)  # the first sync of a day lists the lookback

    synced = connection.sync()

    assert synced.counts == {"sensible_batches": 1, "sensible_files": 1, "sensible_results": 1, "sensible_fields": 2}
    assert single(synced.records["sensible_batches"])["status"] == "complete"
    assert connection.sync().counts == {}


@pytest.mark.parametrize("index", range(2, 40, 6))
def test_sensible_deferred_batch_after_interruption_is_read_next_sync(
    served_sandbox: ServedSandbox, claims: Sandbox, index: int
) -> None:
    claims.sensible.add_history("claims", 3, days_ago(400), step_seconds=90_000, batch_size=3)
    [batch] = claims.sensible.batch_ids
    connection = connect(served_sandbox, sensible={"batch_ids": [batch]}, lookback_days=0)
    connection.sync(stop_after=index)

    connection.sync()

    row = single(list(connection.warehouse["sensible_batches"].values()))
    assert (row["status"], row["files_processed"]) == ("complete", 3)
    assert connection.sync().counts == {}
