"""Whole syncs of DocMap against the sandbox."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from docextract_sandbox import TRANSIENT_4XX_FAULTS, Fault, NewExtraction, Sandbox
from unit_tests.support.harness import START, Connection, create_frozen_sandbox, frozen_sandbox, single
from unit_tests.support.memory_network import MEMORY_URL, MemoryNetwork

ServedSandbox = tuple[Sandbox, str]

INF = float("inf")


def make_extraction(name: str, seconds: float = 0, **more: Any) -> NewExtraction:
    return NewExtraction(name, seconds, more.pop("data", {"vendor": name, "total": 12.5}), **more)


def connect(served_sandbox: ServedSandbox, **settings: Any) -> Connection:
    section = {**settings.pop("docmap", {})}
    return Connection(*served_sandbox, {"docmap": section, **settings})


def days_ago(days: float) -> Any:
    return START - timedelta(days=days)


def test_docmap_extractions_are_delivered_once(served_sandbox: ServedSandbox) -> None:
    sandbox, _ = served_sandbox
    template = sandbox.docmap.put_template("Invoices", [{"name": "vendor", "type": "string", "description": ""}])
    [first] = sandbox.docmap.add_extractions(
        template, [make_extraction("a.pdf", processing_ms=3842)], created_at=days_ago(1)
    )
    [second, third] = sandbox.docmap.add_extractions(
        template, [make_extraction("b.pdf"), make_extraction("c.pdf")], "run 1"
    )
    connection = connect(served_sandbox)

    synced = connection.sync()

    assert synced.counts == {"docmap_files": 3, "docmap_results": 3, "docmap_fields": 6, "docmap_batches": 1}
    assert set(synced.ids("docmap_results")) == {first, second, third}
    row = single([row for row in synced.records["docmap_files"] if row["id"] == first])
    assert (row["batch_key"], row["batch_id"], row["template_name"]) == (None, None, "Invoices")
    assert (row["created_at"], row["completed_at"]) == ("2026-11-19T09:00:00.000Z", "2026-11-19T09:00:03.842Z")
    result = single([row for row in synced.records["docmap_results"] if row["id"] == second])
    assert (result["batch_key"], result["data"]) == ("run 1", {"vendor": "b.pdf", "total": 12.5})
    batch = single(synced.records["docmap_batches"])
    assert (batch["id"], batch["template_id"]) == ("run 1", template)
    assert (batch["files_total"], batch["status"]) == (2, "complete")
    assert connection.sync().counts == {}


def test_docmap_empty_account_is_complete(served_sandbox: ServedSandbox) -> None:
    connection = connect(served_sandbox)

    assert set(connection.sync().final_statuses.values()) == {"COMPLETE"}
    assert connection.sync().counts == {}


def test_docmap_pending_extraction_is_polled_by_id_until_done(
    served_sandbox: ServedSandbox,
) -> None:
    sandbox, _ = served_sandbox
    template = sandbox.docmap.put_template("Invoices")
    [slow] = sandbox.docmap.add_extractions(template, [make_extraction("slow.pdf", INF)], "run 1")
    connection = connect(served_sandbox)
    first = connection.sync()
    assert single(first.records["docmap_files"])["status"] == "pending"
    assert single(first.records["docmap_batches"])["status"] == "open"
    assert "docmap_results" not in first.counts

    sandbox.clock.advance(days=20)
    listed, quiet_sync = connection.sync(), connection.sync()
    assert listed.counts == quiet_sync.counts == {}
    assert "docmap.extraction" not in listed.requests
    assert quiet_sync.requests["docmap.extraction"] == 1

    sandbox.docmap.finish(slow)
    finished_sync = connection.sync()
    assert finished_sync.counts == {"docmap_files": 1, "docmap_results": 1, "docmap_fields": 2, "docmap_batches": 1}
    assert single(finished_sync.records["docmap_batches"])["status"] == "complete"
    sandbox.clock.advance(days=20)
    assert "docmap.extraction" not in connection.sync().requests


def test_docmap_listed_extraction_is_not_requested_by_id(served_sandbox: ServedSandbox) -> None:
    sandbox, _ = served_sandbox
    template = sandbox.docmap.put_template("Invoices")
    sandbox.docmap.add_extractions(template, [make_extraction("slow.pdf", 3600)])
    connection = connect(served_sandbox)
    connection.sync()
    sandbox.clock.advance(days=1)

    synced = connection.sync()

    assert synced.counts == {"docmap_files": 1, "docmap_results": 1, "docmap_fields": 2}
    assert "docmap.extraction" not in synced.requests


def test_docmap_deleted_pending_extraction_is_failed(served_sandbox: ServedSandbox) -> None:
    sandbox, _ = served_sandbox
    template = sandbox.docmap.put_template("Invoices")
    [slow] = sandbox.docmap.add_extractions(template, [make_extraction("slow.pdf", INF)])
    connection = connect(served_sandbox)
    connection.sync()
    sandbox.clock.advance(days=9)
    sandbox.docmap.delete(slow)

    synced = connection.sync()

    row = single(synced.records["docmap_files"])
    assert (row["id"], row["status"]) == (slow, "failed")
    assert "NOT_FOUND" in row["error"]
    assert connection.sync().counts == {}


def test_docmap_run_with_a_deleted_extraction_does_not_count_it(served_sandbox: ServedSandbox) -> None:
    sandbox, _ = served_sandbox
    template = sandbox.docmap.put_template("Invoices")
    [_, slow] = sandbox.docmap.add_extractions(
        template, [make_extraction("a.pdf"), make_extraction("slow.pdf", INF)], "run 1"
    )
    connection = connect(served_sandbox)
    connection.sync()
    sandbox.clock.advance(days=9)
    connection.sync()
    sandbox.docmap.delete(slow)

    synced = connection.sync()

    row = single(synced.records["docmap_batches"])
    assert (row["status"], row["files_total"], row["files_pending"]) == ("complete", 1, 0)
    assert connection.sync().counts == {}


def test_docmap_endless_run_is_stalled(served_sandbox: ServedSandbox) -> None:
    sandbox, _ = served_sandbox
    template = sandbox.docmap.put_template("Invoices")
    sandbox.docmap.add_extractions(template, [make_extraction("never.pdf", INF)], "run 1")
    connection = connect(served_sandbox)
    connection.sync()
    sandbox.clock.advance(days=31)

    synced = connection.sync()

    assert single(synced.records["docmap_batches"])["status"] == "stalled"
    assert connection.sync().counts == {}


def test_docmap_run_in_the_registry_is_read_whole_despite_filters(
    served_sandbox: ServedSandbox, tmp_path: Path
) -> None:
    sandbox, _ = served_sandbox
    first_template, second_template = (sandbox.docmap.put_template(name) for name in ("Invoices", "Notes"))
    sandbox.docmap.add_extractions(
        first_template, [make_extraction("old.pdf"), make_extraction("slow.pdf", INF)], "run 1", created_at=days_ago(90)
    )
    sandbox.docmap.add_extractions(first_template, [make_extraction("older.pdf")], "run 2", created_at=days_ago(90))
    sandbox.docmap.add_extractions(second_template, [make_extraction("new.pdf")], "run 1", created_at=days_ago(1))
    registry = tmp_path / "runs.csv"
    registry.write_text("provider,batch_id\ndocmap,run 1\n")
    settings = {"batch_registry": {"url": str(registry)}, "start_date": "2026-11-01T00:00:00Z"}
    connection = connect(served_sandbox, docmap={"template_ids": [second_template]}, **settings)

    synced = connection.sync()

    assert sorted(row["file_name"] for row in synced.records["docmap_files"]) == ["new.pdf", "old.pdf", "slow.pdf"]
    row = single(synced.records["docmap_batches"])
    assert (row["id"], row["files_total"], row["files_pending"]) == ("run 1", 3, 1)
    assert len([entry for entry in sandbox.journal.entries if "runId" in entry.query]) == 1
    sandbox.docmap.finish()
    assert connection.sync().counts == {"docmap_files": 1, "docmap_results": 1, "docmap_fields": 2, "docmap_batches": 1}
    assert connection.sync().counts == {}


def list_requested_runs(sandbox: Sandbox) -> list[str]:
    """Return the run of each request for a run in the last sync."""
    return [entry.query["runId"] for entry in sandbox.journal.entries if "runId" in entry.query]


def test_docmap_named_run_that_grows_during_the_sync_counts_the_new_extraction(tmp_path: Path) -> None:
    """Add an extraction after the run was asked for its extractions, and before the list of all is read."""
    sandbox = create_frozen_sandbox()
    template = sandbox.docmap.put_template("Invoices")
    sandbox.docmap.add_extractions(template, [make_extraction("a.pdf")], "run 1")
    registry = tmp_path / "runs.csv"
    registry.write_text("provider,batch_id\ndocmap,run 1\n")
    late_files = [make_extraction("late.pdf")]

    def add_late_file() -> float:
        if late_files and list_requested_runs(sandbox):
            sandbox.docmap.add_extractions(template, [late_files.pop()], "run 1")
        return 0.0

    # Without a lookback, no later sync would look at the run again.
    settings = {"docmap": {}, "batch_registry": {"url": str(registry)}, "lookback_days": 0}
    connection = Connection(sandbox, MEMORY_URL, settings, network=MemoryNetwork(sandbox, add_late_file))

    synced = connection.sync()

    assert sorted(row["file_name"] for row in synced.records["docmap_files"]) == ["a.pdf", "late.pdf"]
    assert single(synced.records["docmap_batches"])["files_total"] == 2
    assert connection.sync().counts == {}


@pytest.mark.parametrize("is_refused", [False, True])
def test_docmap_run_with_a_listed_and_a_watched_extraction_is_requested_once(
    served_sandbox: ServedSandbox, is_refused: bool
) -> None:
    sandbox, _ = served_sandbox
    template = sandbox.docmap.put_template("Invoices")
    sandbox.docmap.add_extractions(template, [make_extraction("slow.pdf", INF)], "run 1")
    connection = connect(served_sandbox)
    connection.sync()
    sandbox.clock.advance(days=10)
    connection.sync()
    if is_refused:
        with sandbox.faults.apply_only(replace(TRANSIENT_4XX_FAULTS["409"], endpoint="docmap.extraction")):
            connection.sync()
    sandbox.docmap.finish()
    sandbox.docmap.add_extractions(template, [make_extraction("new.pdf")], "run 1")

    synced = connection.sync()

    assert list_requested_runs(sandbox) == ["run 1"]
    row = single(synced.records["docmap_batches"])
    assert (row["status"], row["files_processed"]) == ("complete", 2)
    assert connection.sync().counts == {}


def test_docmap_endless_extraction_is_abandoned_and_stays_pending(served_sandbox: ServedSandbox) -> None:
    sandbox, _ = served_sandbox
    template = sandbox.docmap.put_template("Invoices")
    sandbox.docmap.add_extractions(template, [make_extraction("never.pdf", INF)])
    connection = connect(served_sandbox)
    connection.sync()
    sandbox.clock.advance(days=40)
    for _ in range(3):
        synced = connection.sync()

    assert "docmap.extraction" not in synced.requests
    assert single(list(connection.warehouse["docmap_files"].values()))["status"] == "pending"


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("nested", [False, True])
def test_docmap_equal_times_at_a_page_boundary_are_delivered_once(inclusive: bool, nested: bool) -> None:
    with frozen_sandbox(docmap_cursor_inclusive=inclusive, docmap_nested_list=nested) as served_sandbox:
        sandbox, _ = served_sandbox
        template = sandbox.docmap.put_template("Invoices")
        ids = []
        for second in range(60):
            tied = [make_extraction(f"{second}-{number}.pdf") for number in range(7)]
            ids += sandbox.docmap.add_extractions(template, tied, created_at=days_ago(5) + timedelta(seconds=second))

        synced = connect(served_sandbox).sync()

        assert sorted(synced.ids("docmap_files")) == sorted(ids)
        assert sorted(synced.ids("docmap_results")) == sorted(ids)


def test_docmap_more_equal_times_than_a_page_holds_fail_with_a_message(
    served_sandbox: ServedSandbox,
) -> None:
    sandbox, _ = served_sandbox
    template = sandbox.docmap.put_template("Invoices")
    tied = [make_extraction(f"{number}.pdf") for number in range(250)]
    sandbox.docmap.add_extractions(template, tied, created_at=days_ago(5))
    connection = connect(served_sandbox)

    synced = connection.sync()

    assert set(synced.final_statuses.values()) == {"INCOMPLETE"}
    assert synced.error is not None
    assert "than fit on a page" in str(synced.error.message)
    assert "docmap_files" not in synced.counts


def test_docmap_run_is_emitted_again_only_after_a_change(served_sandbox: ServedSandbox) -> None:
    sandbox, _ = served_sandbox
    first_template, second_template = (sandbox.docmap.put_template(name) for name in ("Invoices", "Notes"))
    sandbox.docmap.add_extractions(first_template, [make_extraction("a.pdf")], "run 1", created_at=days_ago(20))
    connection = connect(served_sandbox)
    connection.sync()
    assert connection.sync().counts == {}

    sandbox.docmap.add_extractions(
        second_template, [make_extraction("b.pdf"), make_extraction("c.pdf", error="unreadable")], "run 1"
    )
    synced = connection.sync()

    row = single(synced.records["docmap_batches"])
    assert (row["files_total"], row["files_processed"], row["files_failed"]) == (3, 2, 1)
    assert row["template_id"] is None
    assert connection.sync().counts == {}


@pytest.mark.parametrize("kind", ["batches", "files", "results", "fields"])
def test_docmap_stream_read_alone_leaves_the_others_for_backfill(served_sandbox: ServedSandbox, kind: str) -> None:
    sandbox, _ = served_sandbox
    template = sandbox.docmap.put_template("Invoices")
    for number in range(9):
        sandbox.docmap.add_extractions(
            template,
            [make_extraction("a.pdf"), make_extraction("b.pdf")],
            f"run {number}",
            created_at=days_ago(4 * number),
        )
    connection = connect(served_sandbox)

    alone = connection.sync(f"docmap_{kind}")
    remaining_sync = connection.sync()

    expected = {"docmap_batches": 9, "docmap_files": 18, "docmap_results": 18, "docmap_fields": 36}
    assert alone.counts == {f"docmap_{kind}": expected.pop(f"docmap_{kind}")}
    assert remaining_sync.counts == expected
    assert connection.sync().counts == {}


def test_docmap_template_filter_with_an_added_template_backfills_it(served_sandbox: ServedSandbox) -> None:
    sandbox, _ = served_sandbox
    first_template, second_template = (sandbox.docmap.put_template(name) for name in ("Invoices", "Notes"))
    sandbox.docmap.add_extractions(first_template, [make_extraction("a.pdf")], created_at=days_ago(30))
    sandbox.docmap.add_extractions(second_template, [make_extraction("b.pdf")], created_at=days_ago(30))
    connection = connect(served_sandbox, docmap={"template_ids": [first_template]})
    assert [row["file_name"] for row in connection.sync().records["docmap_results"]] == ["a.pdf"]

    connection.settings["docmap"]["template_ids"] = [first_template, second_template]

    assert [row["file_name"] for row in connection.sync().records["docmap_results"]] == ["b.pdf"]
    assert connection.sync().counts == {}


def test_docmap_start_date_excludes_older_extractions(served_sandbox: ServedSandbox) -> None:
    sandbox, _ = served_sandbox
    template = sandbox.docmap.put_template("Invoices")
    for days in (0.4, 10, 10.1, 300):
        sandbox.docmap.add_extractions(template, [make_extraction(f"{days}.pdf")], created_at=days_ago(days))
    connection = connect(served_sandbox, start_date="2026-11-10T09:00:00Z")

    assert {row["file_name"] for row in connection.sync().records["docmap_results"]} == {"0.4.pdf", "10.pdf"}


def test_docmap_long_history_needs_few_requests_and_a_small_state(served_sandbox: ServedSandbox) -> None:
    sandbox, _ = served_sandbox
    template = sandbox.docmap.put_template("Invoices")
    sandbox.docmap.add_history(template, 3000, days_ago(900), step_seconds=20_000)
    connection = connect(served_sandbox)

    synced = connection.sync("docmap_results")

    assert synced.counts == {"docmap_results": 3000}
    assert synced.requests["docmap.extractions"] < 100
    assert len(str(connection.get_state_json("docmap_results"))) < 2000
    quiet_sync = connection.sync("docmap_results")
    assert quiet_sync.counts == {}
    assert quiet_sync.requests["docmap.extractions"] <= 4


def test_docmap_settled_runs_leave_no_entries_in_the_state(served_sandbox: ServedSandbox) -> None:
    sandbox, _ = served_sandbox
    template = sandbox.docmap.put_template("Invoices")
    sandbox.docmap.add_history(template, 600, days_ago(40), step_seconds=5000, run_size=3)
    connection = connect(served_sandbox)

    assert connection.sync("docmap_batches").counts == {"docmap_batches": 200}

    assert "settled" not in connection.get_state_json("docmap_batches")
    assert connection.sync("docmap_batches").counts == {}
    sandbox.docmap.add_extractions(template, [make_extraction("late.pdf")], get_single_run(connection))
    assert connection.sync("docmap_batches").counts == {"docmap_batches": 1}


def get_single_run(connection: Connection) -> str:
    """Return a run that was delivered long ago."""
    return min(connection.warehouse["docmap_batches"])


def test_docmap_interrupted_backfill_resumes_until_complete(served_sandbox: ServedSandbox) -> None:
    sandbox, _ = served_sandbox
    template = sandbox.docmap.put_template("Invoices")
    ids = sandbox.docmap.add_history(template, 700, days_ago(400), step_seconds=48_000, run_size=9)
    full_sync = connect(served_sandbox).sync()
    connection = connect(served_sandbox)
    requests = 0
    for _ in range(20):
        synced = connection.sync(stop_after=len(full_sync.messages) // 8)
        requests += sum(synced.requests.values())

    assert connection.warehouse["docmap_results"].keys() == set(ids)
    assert connection.warehouse["docmap_batches"].keys() == set(full_sync.ids("docmap_batches"))
    assert connection.sync().counts == {}


def test_docmap_unknown_keys_are_kept_and_unknown_status_is_pending(served_sandbox: ServedSandbox) -> None:
    sandbox, _ = served_sandbox
    sandbox.switches = replace(sandbox.switches, unknown_keys=True, unknown_status="queued")
    template = sandbox.docmap.put_template("Invoices")
    sandbox.docmap.add_extractions(template, [make_extraction("a.pdf", INF)])

    row = single(connect(served_sandbox).sync().records["docmap_files"])

    assert (row["status"], row["provider_status"]) == ("pending", "queued")
    assert {"userId", "source", "variables"} < row["provider_data"].keys()


@pytest.mark.parametrize("trouble", ["down", "wrong key"])
def test_docmap_failed_sync_keeps_the_state(served_sandbox: ServedSandbox, trouble: str) -> None:
    sandbox, _ = served_sandbox
    template = sandbox.docmap.put_template("Invoices")
    sandbox.docmap.add_extractions(
        template, [make_extraction("a.pdf"), make_extraction("b.pdf", INF)], "run 1", created_at=days_ago(1)
    )
    connection = connect(served_sandbox)
    connection.sync()
    good = dict(connection.settings["docmap"])
    bad = {"base_url": "http://127.0.0.1:9"} if trouble == "down" else {"api_key": "dm_live_wrong"}

    connection.settings["docmap"].update(bad)
    assert set(connection.sync().final_statuses.values()) == {"INCOMPLETE"}

    connection.settings["docmap"].update(good)
    assert connection.sync().counts == {}
    sandbox.docmap.finish()
    assert connection.sync().counts == {"docmap_files": 1, "docmap_results": 1, "docmap_fields": 2, "docmap_batches": 1}


def test_docmap_wrong_key_is_a_config_error(served_sandbox: ServedSandbox) -> None:
    connection = connect(served_sandbox, docmap={"api_key": "dm_live_wrong"})

    synced = connection.sync()

    assert synced.error is not None
    assert "Check docmap.api_key" in str(synced.error.message)
    status = connection.source.check(None, connection.settings)  # type: ignore[arg-type]
    assert "Check docmap.api_key" in str(status.message)


def test_docmap_run_is_not_repeated_after_a_late_template_listing(served_sandbox: ServedSandbox) -> None:
    sandbox, _ = served_sandbox
    first_template, second_template = (sandbox.docmap.put_template(name) for name in ("Invoices", "Notes"))
    for template in (first_template, second_template):
        sandbox.docmap.add_extractions(template, [make_extraction(f"{template}.pdf")], "run 1", created_at=days_ago(1))
    connection = connect(
        served_sandbox, docmap={"template_ids": [first_template, second_template]}, start_date="2026-11-15T00:00:00Z"
    )
    with sandbox.faults.apply_only(Fault("status", "docmap.extractions", about=f'"templateId":"{second_template}"')):
        broken = connection.sync()
    assert broken.counts["docmap_batches"] == 1

    recovery_sync = connection.sync()

    assert recovery_sync.counts == {"docmap_files": 1, "docmap_results": 1, "docmap_fields": 2}
