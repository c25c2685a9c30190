"""Whole syncs of both Extracta products against the sandbox."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from docextract_sandbox import DocumentType, ExtractionReference, Fault, NewFile, Sandbox
from unit_tests.support.harness import Connection, frozen_sandbox, single

ServedSandbox = tuple[Sandbox, str]

KINDS = ("batches", "files", "results", "fields")
EXTRACTION = tuple(f"extracta_{kind}" for kind in KINDS)
CLASSIFICATION = tuple(f"extracta_classification_{kind}" for kind in KINDS)


def finished_file(name: str, **result: Any) -> NewFile:
    return NewFile(name, duration_seconds=0, result=result or {"vendor": name})


def pending_file(name: str) -> NewFile:
    return NewFile(name, duration_seconds=float("inf"), result={"vendor": name})


def connect(served_sandbox: ServedSandbox, *files: NewFile, **settings: Any) -> tuple[Connection, str, str]:
    """Return a connection to a template with one batch, which the template lists."""
    sandbox, url = served_sandbox
    template = sandbox.extracta.create("Invoices", ["vendor"])
    batch = sandbox.extracta.upload(template, files)
    return Connection(sandbox, url, {"extracta": {"extraction_ids": [template], **settings}}), template, batch


def test_extracta_first_sync_delivers_each_file_and_the_second_nothing(served_sandbox: ServedSandbox) -> None:
    connection, template, batch = connect(served_sandbox, finished_file("a.pdf"), finished_file("b.pdf"))

    first = connection.sync()
    second = connection.sync()

    assert first.counts == {"extracta_batches": 1, "extracta_files": 2, "extracta_results": 2, "extracta_fields": 2}
    assert first.requests == {"extracta.viewExtraction": 1, "extracta.getBatchResults": 1}
    assert set(first.final_statuses.values()) == {"COMPLETE"}
    row = single(first.records["extracta_batches"])
    assert (row["id"], row["status"], row["template_name"]) == (f"{template}/{batch}", "complete", "Invoices")
    assert (row["files_total"], row["files_processed"], row["files_pending"]) == (2, 2, 0)
    assert second.counts == {}
    assert sorted(second.states) == sorted(EXTRACTION)


def test_extracta_unfinished_batch_is_open_then_delivers_its_files_once(served_sandbox: ServedSandbox) -> None:
    sandbox, _ = served_sandbox
    connection, _, batch = connect(served_sandbox, finished_file("a.pdf"), pending_file("b.pdf"))

    first = connection.sync()
    waiting = single(first.records["extracta_batches"])
    assert (waiting["status"], waiting["provider_status"]) == ("open", "waiting")
    assert (waiting["files_total"], waiting["files_processed"]) == (2, None)
    assert first.counts == {"extracta_batches": 1}

    sandbox.extracta.finish(batch)
    second = connection.sync()
    assert second.counts == {"extracta_batches": 1, "extracta_files": 2, "extracta_results": 2, "extracta_fields": 2}
    assert connection.sync().counts == {}


def test_extracta_failed_file_is_a_row_with_its_error_and_no_result(served_sandbox: ServedSandbox) -> None:
    bad = NewFile("bad.pdf", duration_seconds=0, error="The file is damaged")
    connection, _, _ = connect(served_sandbox, finished_file("a.pdf"), bad)

    synced = connection.sync()

    row = single([row for row in synced.records["extracta_files"] if row["file_name"] == "bad.pdf"])
    assert (row["status"], row["error"]) == ("failed", "The file is damaged")
    assert [row["file_name"] for row in synced.records["extracta_results"]] == ["a.pdf"]
    assert single(synced.records["extracta_batches"])["files_failed"] == 1


def test_extracta_edit_within_the_lookback_emits_only_the_changed_row(served_sandbox: ServedSandbox) -> None:
    sandbox, _ = served_sandbox
    connection, _, batch = connect(served_sandbox, finished_file("a.pdf"), finished_file("b.pdf"))
    connection.sync()

    sandbox.clock.advance(days=2)
    sandbox.extracta.edit(batch, "b.pdf", {"vendor": "corrected"})
    synced = connection.sync()

    assert synced.counts == {"extracta_results": 1, "extracta_fields": 1}
    row, field = single(synced.records["extracta_results"]), single(synced.records["extracta_fields"])
    assert row["data"] == {"vendor": "corrected"}
    assert (field["id"], field["value"], field["digest"]) == (f"{row['id']}#/vendor", "corrected", row["digest"])


def test_extracta_settled_batch_after_the_lookback_is_not_requested(served_sandbox: ServedSandbox) -> None:
    sandbox, _ = served_sandbox
    connection, _, batch = connect(served_sandbox, finished_file("a.pdf"))
    connection.sync()
    sandbox.clock.advance(days=3)
    assert connection.sync().requests["extracta.getBatchResults"] == 1  # the last look

    for days in (3, 10, 100):
        sandbox.clock.advance(days=days)
        sandbox.extracta.edit(batch, "a.pdf", {"vendor": f"{days}"})
        synced = connection.sync()
        assert synced.requests == {"extracta.viewExtraction": 1}
        assert synced.counts == {}
    assert connection.get_state_json("extracta_results")["compacted_days"]


def test_extracta_settled_batch_without_lookback_is_not_requested_again(served_sandbox: ServedSandbox) -> None:
    connection, template, _ = connect(served_sandbox, finished_file("a.pdf"))
    connection.settings["lookback_days"] = 0
    connection.sync()

    served_sandbox[0].extracta.upload(template, [finished_file("b.pdf")])
    synced = connection.sync()

    assert synced.requests["extracta.getBatchResults"] == 1
    assert [row["file_name"] for row in synced.records["extracta_results"]] == ["b.pdf"]


def test_extracta_settled_batch_with_an_added_file_is_read_again(served_sandbox: ServedSandbox) -> None:
    sandbox, _ = served_sandbox
    connection, template, batch = connect(served_sandbox, finished_file("a.pdf"))
    connection.sync()
    sandbox.clock.advance(days=40)
    connection.sync()

    sandbox.extracta.upload(template, [finished_file("late.pdf")], batch)
    connection.sync()

    rows = connection.warehouse["extracta_results"].values()
    assert {row["file_name"] for row in rows} == {"a.pdf", "late.pdf"}
    assert single(list(connection.warehouse["extracta_batches"].values()))["files_total"] == 2
    assert connection.sync().counts == {}


def test_extracta_late_batch_is_read_alone_and_two_reread_their_day(
    served_sandbox: ServedSandbox,
) -> None:
    sandbox, _ = served_sandbox
    connection, template, _ = connect(served_sandbox, finished_file("a.pdf"))
    old, other = sandbox.clock.now(), sandbox.clock.now().replace(day=1)
    sandbox.extracta.upload(template, [finished_file("other day.pdf")], started_at=other)
    connection.sync()
    sandbox.clock.advance(days=30)
    connection.sync()

    sandbox.extracta.upload(template, [finished_file("late.pdf")], started_at=old)
    synced = connection.sync()

    assert [row["file_name"] for row in synced.records["extracta_results"]] == ["late.pdf"]
    assert synced.requests["extracta.getBatchResults"] == 1
    assert connection.sync().requests == {"extracta.viewExtraction": 1}

    for name in ("late 2.pdf", "late 3.pdf"):
        sandbox.extracta.upload(template, [finished_file(name)], started_at=old)
    synced = connection.sync()

    names = {row["file_name"] for row in synced.records["extracta_results"]}
    assert names == {"a.pdf", "late.pdf", "late 2.pdf", "late 3.pdf"}
    assert connection.sync().requests == {"extracta.viewExtraction": 1}


def test_extracta_long_history_is_requested_once(served_sandbox: ServedSandbox) -> None:
    sandbox, url = served_sandbox
    template = sandbox.extracta.create("Invoices", ["vendor"])
    for days in range(60):
        sandbox.extracta.upload(template, [finished_file(f"{days}.pdf")])
        sandbox.clock.advance(days=1)
    connection = Connection(sandbox, url, {"extracta": {"extraction_ids": [template]}})

    first, second = connection.sync(), connection.sync()

    assert first.counts["extracta_results"] == 60
    assert second.requests == {"extracta.viewExtraction": 1}
    assert second.counts == {}
    sandbox.clock.advance(days=1)
    assert connection.sync().requests == {"extracta.viewExtraction": 1, "extracta.getBatchResults": 2}


@pytest.mark.parametrize(
    ("key", "names"),
    [
        pytest.param("file_id", ("a.pdf", "b.pdf"), id="the same fileId twice"),
        pytest.param("file_name", ("a.pdf", "a.pdf"), id="the same name twice"),
    ],
)
def test_extracta_duplicate_files_are_all_rows(served_sandbox: ServedSandbox, key: str, names: tuple[str, str]) -> None:
    shared = "same" if key == "file_id" else None
    files = [
        NewFile(name, duration_seconds=0, result={"n": number}, file_id=shared) for number, name in enumerate(names)
    ]
    connection, template, batch = connect(served_sandbox, *files)
    served_sandbox[0].switches = replace(served_sandbox[0].switches, extracta_file_ids=key == "file_id")

    synced = connection.sync()

    base = f"{template}/{batch}/{'same' if shared else 'a.pdf'}"
    assert synced.ids("extracta_files") == [base, f"{base}~2"]
    assert [row["data"] for row in synced.records["extracta_results"]] == [{"n": 0}, {"n": 1}]
    assert connection.sync().counts == {}


@pytest.mark.parametrize(
    "switches",
    [
        {},
        {"extracta_file_ids": False},
        {"extracta_top_level_status": True},
        {"extracta_start_time": "text"},
        {"extracta_start_time": "iso"},
        {"extracta_start_time": "missing"},
        {"partial_batches": True},
        {"partial_batches": True, "unknown_status": "deskewing"},
        {"unknown_keys": True},
        {"extracta_batches": False},
    ],
    ids=lambda switches: ", ".join(f"{name}={value}" for name, value in switches.items()) or "as documented",
)
def test_extracta_response_variants_deliver_every_file_once(switches: dict[str, Any]) -> None:
    with frozen_sandbox(**switches) as (sandbox, url):
        template = sandbox.extracta.create("Invoices", ["vendor"])
        batch = sandbox.extracta.upload(template, [finished_file("a.pdf"), pending_file("b.pdf")])
        settings = {"extraction_ids": [template], "extraction_batches": [f"{template}/{batch}"]}
        connection = Connection(sandbox, url, {"extracta": settings})

        first = connection.sync()
        assert single(first.records["extracta_batches"])["status"] == "open"
        sandbox.extracta.finish()
        connection.sync()

        results = connection.warehouse["extracta_results"].values()
        assert {row["file_name"] for row in results} == {"a.pdf", "b.pdf"}
        assert {row["status"] for row in connection.warehouse["extracta_files"].values()} == {"processed"}
        assert single(list(connection.warehouse["extracta_batches"].values()))["status"] == "complete"
        assert connection.sync().counts == {}
        if switches.get("unknown_status"):
            statuses = [row["provider_status"] for row in first.records["extracta_files"]]
            assert "deskewing" in statuses


def test_extracta_explicit_file_is_requested_alone(served_sandbox: ServedSandbox) -> None:
    sandbox, url = served_sandbox
    template = sandbox.extracta.create("Invoices", ["vendor"])
    files = [
        NewFile(f"{number}.pdf", duration_seconds=0, result={"n": number}, file_id=f"file/{number}")
        for number in range(3)
    ]
    batch = sandbox.extracta.upload(template, files)
    sandbox.switches = replace(sandbox.switches, extracta_file_ids=False)
    batch_paths = [f"{template}/{batch}/file%2F{number}" for number in (0, 2)]
    connection = Connection(sandbox, url, {"extracta": {"extraction_batches": batch_paths}})

    synced = connection.sync()

    assert synced.ids("extracta_files") == [f"{template}/{batch}/file%2F{number}" for number in (0, 2)]
    assert single(synced.records["extracta_batches"])["files_total"] == 2
    bodies: list[Any] = [entry.body for entry in sandbox.journal.entries]
    assert sorted(body["fileId"] for body in bodies if body) == ["file/0", "file/2"]
    assert connection.sync().counts == {}


def test_extracta_explicit_file_added_later_is_requested(served_sandbox: ServedSandbox) -> None:
    sandbox, url = served_sandbox
    template = sandbox.extracta.create("Invoices", ["vendor"])
    files = [
        NewFile(f"{number}.pdf", duration_seconds=0, result={"n": number}, file_id=f"f{number}") for number in range(3)
    ]
    batch = sandbox.extracta.upload(template, files)
    batch_paths = [f"{template}/{batch}/f0"]
    connection = Connection(sandbox, url, {"extracta": {"extraction_batches": batch_paths}})
    connection.sync()
    sandbox.clock.advance(days=30)
    connection.sync()  # the last look
    assert connection.sync().requests == {}

    connection.settings["extracta"]["extraction_batches"] = [*batch_paths, f"{template}/{batch}/f2"]
    assert connection.sync().ids("extracta_files") == [f"{template}/{batch}/f2"]

    connection.settings["extracta"]["extraction_batches"] = [f"{template}/{batch}"]
    assert connection.sync().ids("extracta_files") == [f"{template}/{batch}/f1"]


def test_extracta_start_date_excludes_listed_but_not_explicit_batches(served_sandbox: ServedSandbox) -> None:
    sandbox, url = served_sandbox
    template = sandbox.extracta.create("Invoices", ["vendor"])
    old = sandbox.extracta.upload(template, [finished_file("old.pdf")])
    explicit_batch = sandbox.extracta.upload(template, [finished_file("named.pdf")])
    sandbox.clock.advance(days=10)
    start = sandbox.clock.now()
    sandbox.extracta.upload(template, [finished_file("on the boundary.pdf")])
    settings = {"extraction_ids": [template], "extraction_batches": [f"{template}/{explicit_batch}"]}
    connection = Connection(sandbox, url, {"extracta": settings})
    connection.settings["start_date"] = start.strftime("%Y-%m-%dT%H:%M:%SZ")

    synced = connection.sync()

    names = {row["file_name"] for row in synced.records["extracta_results"]}
    assert names == {"named.pdf", "on the boundary.pdf"}
    assert old not in {row["batch_id"] for row in synced.records["extracta_batches"]}
    del connection.settings["start_date"]
    assert [row["file_name"] for row in connection.sync().records["extracta_results"]] == ["old.pdf"]


class TestReferences:
    """Classification results that refer to extraction batches."""

    def connect(self, served_sandbox: ServedSandbox, **settings: Any) -> tuple[Connection, str, str]:
        sandbox, url = served_sandbox
        template = sandbox.extracta.create("Invoices", ["vendor"])
        types = [DocumentType("invoice", extraction_id=template), DocumentType("other")]
        classification = sandbox.classification.create("Mail", types)
        kinds = [{"documentType": "invoice", "confidence": 0.9}, {"documentType": "other", "confidence": 0.8}]
        files = [NewFile(f"{kind['documentType']}.pdf", duration_seconds=0, result=kind) for kind in kinds]
        batch = sandbox.classification.upload(classification, files)
        section = {"classification_batches": [f"{classification}/{batch}"], **settings}
        return Connection(sandbox, url, {"extracta": section}), classification, batch

    def test_references_are_followed_in_the_same_sync(self, served_sandbox: ServedSandbox) -> None:
        connection, _, _ = self.connect(served_sandbox)
        served_sandbox[0].extracta.finish()

        synced = connection.sync()

        assert synced.requests == {"extracta.getResults": 1, "extracta.getBatchResults": 1}
        assert synced.counts["extracta_results"] == 1
        assert synced.counts["extracta_classification_results"] == 2
        reference_row = single(
            [row for row in synced.records["extracta_classification_results"] if row["provider_data"]]
        )
        result = single(synced.records["extracta_results"])
        assert reference_row["provider_data"]["extraction"]["batchId"] == result["batch_id"]
        assert reference_row["document_type"] == "invoice"
        assert reference_row["confidence"] == 0.9
        assert connection.sync().counts == {}

    def test_extraction_streams_alone_follow_references(self, served_sandbox: ServedSandbox) -> None:
        connection, _, _ = self.connect(served_sandbox)
        served_sandbox[0].extracta.finish()

        synced = connection.sync(*EXTRACTION)

        assert synced.requests == {"extracta.getResults": 1, "extracta.getBatchResults": 1}
        assert set(synced.counts) == set(EXTRACTION)
        assert connection.sync(*EXTRACTION).counts == {}

    def test_classification_streams_alone_send_no_reference_requests(self, served_sandbox: ServedSandbox) -> None:
        connection, _, _ = self.connect(served_sandbox)

        assert connection.sync(*CLASSIFICATION).requests == {"extracta.getResults": 1}

    def test_disabled_setting_follows_no_references(self, served_sandbox: ServedSandbox) -> None:
        connection, _, _ = self.connect(served_sandbox, follow_links=False)

        assert connection.streams == list(CLASSIFICATION)
        assert connection.sync().requests == {"extracta.getResults": 1}

    def test_referenced_batch_is_polled_until_complete(self, served_sandbox: ServedSandbox) -> None:
        sandbox, _ = served_sandbox
        connection, _, _ = self.connect(served_sandbox)
        first = connection.sync()
        assert single(first.records["extracta_batches"])["status"] == "open"

        sandbox.clock.advance(days=10)
        sandbox.extracta.finish()
        assert connection.sync().counts["extracta_results"] == 1
        sandbox.clock.advance(days=10)
        connection.sync()
        sandbox.clock.advance(days=10)

        assert connection.sync().requests == {}

    def test_reference_added_later_is_followed_in_the_next_sync(self, served_sandbox: ServedSandbox) -> None:
        sandbox, url = served_sandbox
        template = sandbox.extracta.create("Invoices", ["vendor"])
        referenced_batch = sandbox.extracta.upload(template, [finished_file("a.pdf")])
        classification = sandbox.classification.create("Mail", [DocumentType("invoice")])
        file = NewFile("a.pdf", duration_seconds=0, result={"documentType": "invoice", "confidence": 1})
        batch = sandbox.classification.upload(classification, [file])
        connection = Connection(sandbox, url, {"extracta": {"classification_batches": [f"{classification}/{batch}"]}})
        assert "extracta_results" not in connection.sync().counts

        later = NewFile(
            "b.pdf",
            duration_seconds=0,
            result=file.result,
            reference=ExtractionReference(template, referenced_batch, "x"),
        )
        sandbox.classification.upload(classification, [later], batch)
        sandbox.clock.advance(seconds=3600)
        synced = connection.sync()

        assert synced.counts["extracta_results"] == 1

    def test_failed_last_look_at_the_referring_batch_repeats_no_rows(self, served_sandbox: ServedSandbox) -> None:
        sandbox, _ = served_sandbox
        connection, _, _ = self.connect(served_sandbox)
        sandbox.extracta.finish()
        connection.sync()
        sandbox.clock.advance(days=4)
        with sandbox.faults.apply_only(Fault("status", "extracta.getResults", times=100, status=503, body="")):
            assert connection.sync().error

        sandbox.clock.advance(days=10)
        synced = connection.sync()

        assert synced.requests["extracta.getResults"] == 1
        assert (synced.error, synced.counts) == (None, {})

    @pytest.mark.parametrize("stop_after", range(1, 40))
    def test_interruption_at_any_message_loses_no_reference(
        self, served_sandbox: ServedSandbox, stop_after: int
    ) -> None:
        connection, _, _ = self.connect(served_sandbox)
        served_sandbox[0].extracta.finish()

        connection.sync(stop_after=stop_after)
        connection.sync()

        assert len(connection.warehouse["extracta_results"]) == 1
        assert len(connection.warehouse["extracta_classification_results"]) == 2
        assert connection.sync().counts == {}


def test_referenced_batch_keeps_its_listed_columns_while_the_list_is_down(served_sandbox: ServedSandbox) -> None:
    sandbox, _ = served_sandbox
    template = sandbox.extracta.create("Invoices", ["vendor"])
    classes = sandbox.classification.create("Mail", [DocumentType("invoice", extraction_id=template)])
    mail = NewFile("m.pdf", 0, {"documentType": "invoice", "confidence": 0.5})
    batch = sandbox.classification.upload(classes, [mail])
    paths = [f"{classes}/{batch}"]
    connection = Connection(
        *served_sandbox, {"extracta": {"extraction_ids": [template], "classification_batches": paths}}
    )
    connection.sync()
    sandbox.extracta.finish()
    connection.sync()
    original_row = single(list(connection.warehouse["extracta_batches"].values()))
    with sandbox.faults.apply_only(Fault("status", "extracta.viewExtraction", status=503)):
        troubled = connection.sync("extracta_batches", "extracta_files")

    assert "INCOMPLETE" in troubled.final_statuses.values()
    assert troubled.counts == {}
    assert original_row["template_name"] == "Invoices"
    assert single(list(connection.warehouse["extracta_batches"].values())) == original_row


@pytest.mark.parametrize("is_listed", [True, False], ids=["listed", "explicit"])
def test_stream_added_later_repeats_no_referenced_batch_in_the_others(is_listed: bool) -> None:
    with frozen_sandbox(classification_batches=True) as (sandbox, url):
        template = sandbox.extracta.create("Invoices", ["vendor"])
        batch = sandbox.extracta.upload(template, [finished_file("a.pdf")])
        reference = ExtractionReference(template, batch, sandbox.extracta.get_batch(batch).files[0].file_id)
        mail = sandbox.classification.create("Mail", [DocumentType("invoice", extraction_id=template)])
        classified = NewFile("m.pdf", 0, {"documentType": "invoice", "confidence": 0.5}, reference=reference)
        mail_batch = sandbox.classification.upload(mail, [classified])
        targets = {"classification_ids": [mail]} if is_listed else {"classification_batches": [f"{mail}/{mail_batch}"]}
        connection = Connection(sandbox, url, {"extracta": targets})
        first_streams = ("extracta_files", "extracta_batches")
        assert connection.sync(*first_streams).counts == {"extracta_files": 1, "extracta_batches": 1}
        for _ in range(3):
            sandbox.clock.advance(days=3)
            assert connection.sync(*first_streams).counts == {}

        widened = connection.sync(*first_streams, "extracta_results")

        assert widened.counts == {"extracta_results": 1}
        assert connection.sync(*first_streams, "extracta_results").counts == {}
