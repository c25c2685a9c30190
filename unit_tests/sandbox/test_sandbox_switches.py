"""Each switch picks another reading; here is what that changes, and nothing else."""

from dataclasses import fields, replace
from typing import Any

import pytest

from docextract_sandbox import Clock, NewDocument, NewFile, Sandbox, Switches
from docextract_sandbox.context import JsonObject
from docextract_sandbox.switches import InvalidSwitch, StartTimeFormat, apply_changes, parse_assignment
from unit_tests.sandbox.conftest import AtlasClient, BearerClient, ExtractaClient

PAN: JsonObject = {"document_type": "PAN", "pan_number": {"value": "ABCDE1234F", "confidence_score": 0.98}}


@pytest.fixture
def sandbox(clock: Clock) -> Sandbox:
    sandbox = Sandbox(clock, seeds=False)
    sandbox.extracta.create("Invoices", ("total",), "invoices")
    finished = NewFile("a.pdf", 0, {"total": "1.00"}, file_id="one", url="fixed")
    sandbox.extracta.upload("invoices", [finished], "done")
    sandbox.extracta.upload("invoices", [finished, NewFile("b.pdf", 60, file_id="two", url="fixed")], "open")
    sandbox.classification.create("Mail", (), "mail")
    sandbox.classification.upload("mail", [NewFile("c.pdf", 60, file_id="three", url="fixed")], "open")
    sandbox.atlas.submit(
        [NewDocument(str(number), 0, PAN) for number in range(3)] + [NewDocument("late", 60, PAN)], batch_id="b"
    )
    return sandbox


def set_switches(sandbox: Sandbox, **values: Any) -> None:
    sandbox.switches = replace(sandbox.switches, **values)


DONE_FILE = {"fileName": "a.pdf", "status": "processed", "result": {"total": "1.00"}, "url": "fixed"}


def test_switch_extracta_file_ids_off_omits_file_ids(sandbox: Sandbox, extracta: ExtractaClient) -> None:
    # when
    by_default = extracta.get_results("invoices", "done").json()
    set_switches(sandbox, extracta_file_ids=False)

    # then
    assert by_default["files"] == [{"fileId": "one", **DONE_FILE}]
    assert extracta.get_results("invoices", "done").json()["files"] == [DONE_FILE]


def test_switch_other_account_shows_an_empty_account(
    sandbox: Sandbox, extracta: ExtractaClient, docmap: BearerClient, sensible: BearerClient
) -> None:
    # when
    by_default = extracta.get_results("invoices", "done").status_code
    set_switches(sandbox, other_account=True)

    # then
    assert by_default == 200
    assert extracta.get_results("invoices", "done").status_code == 400
    assert docmap.get("extractions").json()["data"] == []
    assert sensible.get("extractions").json()["extractions"] == []
    assert extracta.call("POST", "viewExtraction", {"extractionId": "invoices"}).status_code == 400
    assert extracta.call("GET", "credits").status_code == 200

    # and when
    set_switches(sandbox, other_account=False)

    # then
    assert extracta.get_results("invoices", "done").status_code == 200


def test_switch_extracta_top_level_status_adds_status_to_finished_batch(
    sandbox: Sandbox, extracta: ExtractaClient
) -> None:
    # when
    by_default = extracta.get_results("invoices", "done").json()
    set_switches(sandbox, extracta_top_level_status=True)

    # then
    assert "status" not in by_default
    assert extracta.get_results("invoices", "done").json() == {**by_default, "status": "processed"}
    assert extracta.get_results("invoices", "open").json()["status"] == "waiting"


@pytest.mark.parametrize(
    ("value", "start_time"),
    [
        ("ms", {"startTime": 1795165200000}),
        ("text", {"startTime": "1795165200000"}),
        ("iso", {"startTime": "2026-11-20T09:00:00.000Z"}),
        ("missing", {}),
        ("seconds", {"startTime": 1795165200}),
        ("microseconds", {"startTime": 1795165200000000}),
        ("nanoseconds", {"startTime": 1795165200000000000}),
        ("seconds_and_nanoseconds", {"startTime": {"_seconds": 1795165200, "_nanoseconds": 0}}),
        ("http", {"startTime": "Fri, 20 Nov 2026 09:00:00 GMT"}),
        ("lower_case", {"startTime": "2026-11-20t09:00:00.000z"}),
        ("year_9999", {"startTime": 253402300799999}),
        ("words", {"startTime": "last Tuesday"}),
    ],
)
def test_switch_extracta_start_time_sets_the_time_format(
    sandbox: Sandbox, extracta: ExtractaClient, value: StartTimeFormat, start_time: JsonObject
) -> None:
    # when
    set_switches(sandbox, extracta_start_time=value)
    template_view = extracta.call("POST", "viewExtraction", {"extractionId": "invoices"}).json()

    # then
    expected = {"filesNo": 1, "origin": "api", **start_time, "status": "processed"}
    assert template_view["extractionDetails"]["batches"]["done"] == expected


def test_switch_extracta_batches_off_omits_batches(sandbox: Sandbox, extracta: ExtractaClient) -> None:
    # when
    set_switches(sandbox, extracta_batches=False)

    # then
    template_view = extracta.call("POST", "viewExtraction", {"extractionId": "invoices"}).json()
    assert "batches" not in template_view["extractionDetails"]


def test_switch_partial_batches_lists_files_of_unfinished_batch(sandbox: Sandbox, extracta: ExtractaClient) -> None:
    # when
    set_switches(sandbox, partial_batches=True)

    # then
    assert extracta.get_results("invoices", "open").json() == {
        "extractionId": "invoices",
        "batchId": "open",
        "files": [
            {"fileId": "one", **DONE_FILE},
            {"fileId": "two", "fileName": "b.pdf", "status": "processing", "url": "fixed"},
        ],
    }
    assert extracta.get_classification_results("mail", "open").json() == {
        "status": "success",
        "classificationId": "mail",
        "batchId": "open",
        "files": [{"fileId": "three", "fileName": "c.pdf", "status": "processing", "url": "fixed"}],
    }


def test_switch_unknown_status_replaces_the_status_of_unfinished_files(
    sandbox: Sandbox, extracta: ExtractaClient
) -> None:
    # when
    set_switches(sandbox, partial_batches=True, unknown_status="queued", extracta_top_level_status=True)

    # then
    response = extracta.get_results("invoices", "open").json()
    assert (response["status"], response["files"][1]["status"]) == ("queued", "queued")
    assert extracta.get_classification_results("mail", "open").json()["files"][0]["status"] == "queued"
    template_view = extracta.call("POST", "viewExtraction", {"extractionId": "invoices"}).json()
    assert template_view["extractionDetails"]["batches"]["open"]["status"] == "queued"
    assert template_view["extractionDetails"]["batches"]["done"]["status"] == "processed"


def test_switch_unknown_keys_extends_every_object_but_extracted_data(
    sandbox: Sandbox, extracta: ExtractaClient, atlas: AtlasClient
) -> None:
    # given
    extra = {"undocumented": {"note": "added by the sandbox"}}
    set_switches(sandbox, classification_batches=True)
    sandbox.classification.finish()
    plain = extracta.get_classification_results("mail", "open").json()

    # when
    set_switches(sandbox, unknown_keys=True)
    template_view = extracta.call("POST", "viewExtraction", {"extractionId": "invoices"}).json()
    response = extracta.get_results("invoices", "done").json()
    classified = extracta.get_classification_results("mail", "open").json()
    page = atlas.get_extracts("b").json()

    # then
    assert template_view.items() >= extra.items()
    assert template_view["extractionDetails"].items() >= extra.items()
    assert set(template_view["extractionDetails"]["batches"]) == {"done", "open"}
    assert template_view["extractionDetails"]["batches"]["done"].items() >= extra.items()
    assert response == {
        "extractionId": "invoices",
        "batchId": "done",
        "files": [{"fileId": "one", **DONE_FILE, **extra}],
        **extra,
    }
    assert classified["files"][0]["result"] == {**plain["files"][0]["result"], **extra}
    assert page.items() >= extra.items()
    assert page["data"][0] == {"document_id": "0", "file_data": PAN, **extra}


def test_switch_atlas_total_counts_extracted_off_counts_pending_documents(sandbox: Sandbox, atlas: AtlasClient) -> None:
    # when
    by_default = atlas.get_extracts("b").json()
    set_switches(sandbox, atlas_total_counts_extracted=False)
    response = atlas.get_extracts("b").json()

    # then
    assert (by_default["total_items"], len(by_default["data"])) == (3, 3)
    assert response["total_items"] == 4
    assert response["data"][3] == {"document_id": "late", "file_data": {}}


def test_switch_atlas_page_stuck_always_returns_the_first_page(sandbox: Sandbox, atlas: AtlasClient) -> None:
    # when
    set_switches(sandbox, atlas_page_stuck=True)
    first, ninth = (atlas.get_extracts("b", page=page, per_page=2).json() for page in (1, 9))

    # then
    assert first == ninth
    assert (first["page"], first["has_next"]) == (1, True)


def test_switch_atlas_no_total_pages_omits_total_pages(sandbox: Sandbox, atlas: AtlasClient) -> None:
    # when
    by_default = atlas.get_extracts("b").json()
    set_switches(sandbox, atlas_no_total_pages=True)

    # then
    del by_default["total_pages"]
    assert atlas.get_extracts("b").json() == by_default


def test_switch_atlas_error_in_file_data_moves_the_error_code(sandbox: Sandbox, atlas: AtlasClient) -> None:
    # given
    sandbox.atlas.submit([NewDocument("bad", 0, error_code="INVALID_DOC")], batch_id="bad")

    # when
    [by_default] = atlas.get_extracts("bad").json()["data"]
    set_switches(sandbox, atlas_error_in_file_data=True)
    [document_with_error] = atlas.get_extracts("bad").json()["data"]

    # then
    assert by_default == {"document_id": "bad", "file_data": {}, "error_code": "INVALID_DOC"}
    assert document_with_error["file_data"]["error_code"] == "INVALID_DOC"
    assert document_with_error.keys() == {"document_id", "file_data"}


def test_apply_changes_every_switch_rejects_invalid_values() -> None:
    # given
    everything: JsonObject = {field.name: True for field in fields(Switches)}
    everything |= {"extracta_start_time": "iso", "unknown_status": "queued", "sensible_portfolios": "no_output"}
    everything |= {"sensible_quota_spent": 2, "sensible_throttle": 0, "sensible_status_filter": "first"}
    everything |= {"atlas_expires_in": "-1", "atlas_token_size": 100_000}
    everything |= {"extracta_start_time": "iso", "unknown_status": "queued"}
    everything |= {"sensible_quota_spent": 2, "sensible_throttle": 0, "docmap_scan": 5, "sensible_scan": 500}
    everything |= {"docmap_zone": "America/New_York", "docmap_endless": "rows", "sensible_endless": "circle"}

    # when / then
    assert vars(apply_changes(Switches(), everything)) == everything
    for name in everything:
        with pytest.raises(InvalidSwitch, match=name):
            apply_changes(Switches(), {name: 7.5})
    with pytest.raises(InvalidSwitch, match="there is no switch 'colour'"):
        apply_changes(Switches(), {"colour": True})


def test_parse_assignment_name_and_value_are_typed() -> None:
    # when / then
    assert parse_assignment("unknown_keys=TRUE") == {"unknown_keys": True}
    assert parse_assignment("extracta_start_time = iso") == {"extracta_start_time": "iso"}
    assert parse_assignment("sensible_throttle=2") == {"sensible_throttle": 2}
    assert parse_assignment("unknown_status=null") == {"unknown_status": None}
    with pytest.raises(InvalidSwitch, match="name=value"):
        parse_assignment("unknown_keys")
