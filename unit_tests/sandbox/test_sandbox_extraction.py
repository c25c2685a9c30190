"""Extracta's data extraction: every operation, every error, batches that re-open, files that change."""

from math import inf

import pytest
import requests

from docextract_sandbox import Clock, NewFile, Sandbox
from docextract_sandbox.context import JsonObject
from unit_tests.sandbox.conftest import ExtractaClient

FIELDS: tuple[JsonObject, ...] = ({"key": "total", "description": "the sum", "example": "1.00", "type": "string"},)
INVALID = (400, {"error": "Invalid request"})


def summarize_response(response: requests.Response) -> tuple[int, object]:
    return response.status_code, response.json()


def test_template_is_created_viewed_updated_and_deleted_over_http(extracta: ExtractaClient) -> None:
    # given
    details = {"name": "Invoices", "language": "French", "options": {"hasTable": True}, "fields": list(FIELDS)}

    # when
    created = extracta.call("POST", "createExtraction", {"extractionDetails": details}).json()
    extraction_id = created["extractionId"]
    template_view = extracta.call("POST", "viewExtraction", {"extractionId": extraction_id}).json()
    change = {"extractionId": extraction_id, "extractionDetails": {"name": "Bills"}}
    updated = extracta.call("PATCH", "updateExtraction", change).json()
    seen_again = extracta.call("POST", "viewExtraction", {"extractionId": extraction_id}).json()
    deleted = extracta.call("DELETE", "deleteExtraction", {"extractionId": extraction_id})
    gone = extracta.call("POST", "viewExtraction", {"extractionId": extraction_id})

    # then
    now = 1795165200000
    assert created == {"status": "created", "createdAt": now, "extractionId": extraction_id}
    assert len(extraction_id) == 20
    assert template_view == {"extractionId": extraction_id, "extractionDetails": {"description": "", **details}}
    assert updated == {"status": "updated", "updatedAt": now, "extractionId": extraction_id}
    assert seen_again["extractionDetails"] == {"description": "", **details, "name": "Bills"}
    assert summarize_response(deleted) == (200, {"status": "deleted", "deletedAt": now})
    assert summarize_response(gone) == INVALID


def test_upload_files_batch_is_waiting_then_has_results(
    sandbox: Sandbox, clock: Clock, extracta: ExtractaClient
) -> None:
    # given
    extraction_id = sandbox.extracta.create("Invoices", FIELDS)
    credits_before = extracta.call("GET", "credits").json()

    # when
    uploaded = extracta.upload("uploadFiles", {"extractionId": extraction_id}, "a.pdf", "b.xyz").json()
    batch_id = uploaded["batchId"]
    waiting = extracta.get_results(extraction_id, batch_id).json()
    clock.advance(seconds=90)
    response = extracta.get_results(extraction_id, batch_id).json()
    credits_after = extracta.call("GET", "credits").json()

    # then
    assert uploaded["status"] == "uploaded"
    assert [file["fileName"] for file in uploaded["files"]] == ["a.pdf", "b.xyz"]
    assert all(set(file) == {"fileName", "fileId", "url"} for file in uploaded["files"])
    assert len(batch_id) == 25
    assert waiting == {"extractionId": extraction_id, "batchId": batch_id, "status": "waiting"}
    good, bad = response["files"]
    assert set(good) == {"fileId", "fileName", "status", "result", "url"}
    assert good["status"] == "processed"
    assert set(good["result"]) == {"total"}
    assert isinstance(good["result"]["total"], str)
    assert bad == {
        "fileId": bad["fileId"],
        "fileName": "b.xyz",
        "status": "failed",
        "error": "Unsupported file type: xyz",
        "url": bad["url"],
    }
    assert credits_before["status"] == "ok"
    assert credits_after["credits"] < credits_before["credits"]


def test_upload_files_into_finished_batch_reopens_the_batch(sandbox: Sandbox, extracta: ExtractaClient) -> None:
    # given
    extraction_id = sandbox.extracta.create("Invoices", FIELDS)
    batch_id = sandbox.extracta.upload(extraction_id, [NewFile("a.pdf", 0)])
    settled = extracta.get_results(extraction_id, batch_id).json()

    # when
    second_upload = extracta.upload("uploadFiles", {"extractionId": extraction_id, "batchId": batch_id}, "b.pdf").json()
    waiting = extracta.get_results(extraction_id, batch_id).json()
    sandbox.extracta.finish(name_or_id="b.pdf")
    response = extracta.get_results(extraction_id, batch_id).json()

    # then
    assert len(settled["files"]) == 1
    assert second_upload["batchId"] == batch_id
    assert waiting["status"] == "waiting"
    assert "files" not in waiting
    assert [file["fileName"] for file in response["files"]] == ["a.pdf", "b.pdf"]


def test_get_results_single_file_is_waiting_until_batch_is_finished(sandbox: Sandbox, extracta: ExtractaClient) -> None:
    # given
    extraction_id = sandbox.extracta.create("Invoices", FIELDS)
    files = [NewFile("a.pdf", 0, file_id="one"), NewFile("b.pdf", inf, file_id="two")]
    batch_id = sandbox.extracta.upload(extraction_id, files)

    # when
    waiting_response = extracta.get_results(extraction_id, batch_id, fileId="one").json()
    finished = sandbox.extracta.finish(batch_id)
    finished_response = extracta.get_results(extraction_id, batch_id, fileId="one").json()

    # then
    assert waiting_response == {
        "extractionId": extraction_id,
        "batchId": batch_id,
        "fileId": "one",
        "status": "waiting",
    }
    assert finished == 1
    assert finished_response["fileId"] == "one"
    assert [file["fileId"] for file in finished_response["files"]] == ["one"]


def test_edit_result_changes_nothing_but_the_result(sandbox: Sandbox, extracta: ExtractaClient) -> None:
    # given
    extraction_id = sandbox.extracta.create("Invoices", FIELDS)
    batch_id = sandbox.extracta.upload(extraction_id, [NewFile("a.pdf", 0, {"total": "1.00"}, url="fixed")])
    original = extracta.get_results(extraction_id, batch_id).json()

    # when
    sandbox.extracta.edit(batch_id, "a.pdf", {"total": "2.00"})
    changed = extracta.get_results(extraction_id, batch_id).json()

    # then
    assert original["files"][0]["result"] == {"total": "1.00"}
    original["files"][0]["result"] = {"total": "2.00"}
    assert changed == original


def test_edit_failed_file_becomes_processed(sandbox: Sandbox, extracta: ExtractaClient) -> None:
    # given
    extraction_id = sandbox.extracta.create("Invoices", FIELDS)
    batch_id = sandbox.extracta.upload(extraction_id, [NewFile("a.pdf", 0, error="It is damaged")])
    broken = sandbox.extracta.get_batch(batch_id).files[0]

    # when
    sandbox.extracta.edit(batch_id, broken.file_id, {"total": "2.00"})

    # then
    assert (broken.status, broken.error, broken.result) == ("failed", "It is damaged", None)
    file = extracta.get_results(extraction_id, batch_id).json()["files"][0]
    assert (file["status"], file["result"]) == ("processed", {"total": "2.00"})


def test_get_results_file_url_differs_in_every_response(sandbox: Sandbox, extracta: ExtractaClient) -> None:
    # given
    extraction_id = sandbox.extracta.create("Invoices", FIELDS)
    batch_id = sandbox.extracta.upload(extraction_id, [NewFile("März 1.pdf", 0)])

    # when
    urls = [extracta.get_results(extraction_id, batch_id).json()["files"][0]["url"] for _ in range(2)]

    # then
    assert urls[0] != urls[1]
    assert all(url.startswith("https://files.example.invalid/M%C3%A4rz%201.pdf?") for url in urls)


def test_delete_extraction_removes_file_batch_or_template(sandbox: Sandbox, extracta: ExtractaClient) -> None:
    # given
    extraction_id = sandbox.extracta.create("Invoices", FIELDS)
    files = [NewFile("a.pdf", 0, file_id="one"), NewFile("b.pdf", 0, file_id="two")]
    first = sandbox.extracta.upload(extraction_id, files)
    second = sandbox.extracta.upload(extraction_id, [NewFile("c.pdf", 0)])
    whole = {"extractionId": extraction_id}

    # when / then: one file
    assert extracta.call("DELETE", "deleteExtraction", {**whole, "batchId": first, "fileId": "one"}).ok
    remaining_files = extracta.get_results(extraction_id, first).json()["files"]
    assert [file["fileId"] for file in remaining_files] == ["two"]

    # when / then: a batch
    assert extracta.call("DELETE", "deleteExtraction", {**whole, "batchId": first}).ok
    assert summarize_response(extracta.get_results(extraction_id, first)) == INVALID
    assert extracta.get_results(extraction_id, second).ok

    # when / then: all
    assert extracta.call("DELETE", "deleteExtraction", whole).ok
    assert summarize_response(extracta.get_results(extraction_id, second)) == INVALID
    assert sandbox.extracta.template_ids == []


def test_view_template_lists_its_batches(sandbox: Sandbox, clock: Clock, extracta: ExtractaClient) -> None:
    # given
    extraction_id = sandbox.extracta.create("Invoices", FIELDS)
    sandbox.extracta.upload(extraction_id, [NewFile("a.pdf", 0), NewFile("b.pdf", 0)], "z-first")
    clock.advance(seconds=1.5)
    sandbox.extracta.upload(extraction_id, ["c.pdf"], "a-second")

    # when
    details = extracta.call("POST", "viewExtraction", {"extractionId": extraction_id}).json()["extractionDetails"]

    # then
    assert list(details["batches"].items()) == [
        ("a-second", {"filesNo": 1, "origin": "api", "startTime": 1795165201500, "status": "processing"}),
        ("z-first", {"filesNo": 2, "origin": "api", "startTime": 1795165200000, "status": "processed"}),
    ]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "createExtraction", None),
        ("POST", "createExtraction", {"extractionDetails": {"name": "", "fields": list(FIELDS)}}),
        ("POST", "createExtraction", {"extractionDetails": {"name": "Invoices", "fields": []}}),
        ("POST", "createExtraction", {"extractionDetails": {"name": "Invoices", "fields": [{"type": "string"}]}}),
        ("POST", "viewExtraction", {"extractionId": "unknown"}),
        ("POST", "viewExtraction", ["known"]),
        ("PATCH", "updateExtraction", {"extractionId": "unknown", "extractionDetails": {}}),
        ("PATCH", "updateExtraction", {"extractionId": "known", "extractionDetails": {"fields": "none"}}),
        ("PATCH", "updateExtraction", {"extractionId": "known"}),
        ("DELETE", "deleteExtraction", {"extractionId": "known", "batchId": "unknown"}),
        ("DELETE", "deleteExtraction", {"extractionId": "known", "batchId": "batch", "fileId": "unknown"}),
        ("DELETE", "deleteExtraction", {"extractionId": "known", "fileId": "file"}),
        ("POST", "getBatchResults", {"extractionId": "known"}),
        ("POST", "getBatchResults", {"extractionId": "known", "batchId": 7}),
        ("POST", "getBatchResults", {"extractionId": "unknown", "batchId": "batch"}),
        ("POST", "getBatchResults", {"extractionId": "known", "batchId": "unknown"}),
        ("POST", "getBatchResults", {"extractionId": "known", "batchId": "batch", "fileId": "unknown"}),
        ("POST", "uploadFiles", {"extractionId": "known"}),
    ],
)
def test_extraction_invalid_body_or_id_returns_400_invalid_request(
    sandbox: Sandbox, extracta: ExtractaClient, method: str, path: str, body: object
) -> None:
    # given
    sandbox.extracta.create("Invoices", FIELDS, "known")
    sandbox.extracta.upload("known", [NewFile("a.pdf", 0, file_id="file")], "batch")

    # when / then
    assert summarize_response(extracta.call(method, path, body)) == INVALID


def test_upload_files_unknown_id_returns_400_invalid_request(sandbox: Sandbox, extracta: ExtractaClient) -> None:
    # given
    sandbox.extracta.create("Invoices", FIELDS, "known")

    # when / then
    assert summarize_response(extracta.upload("uploadFiles", {"extractionId": "unknown"}, "a.pdf")) == INVALID
    assert (
        summarize_response(extracta.upload("uploadFiles", {"extractionId": "known", "batchId": "unknown"}, "a.pdf"))
        == INVALID
    )
    assert summarize_response(extracta.upload("uploadFiles", {}, "a.pdf")) == INVALID


@pytest.mark.parametrize("key", [None, "Bearer wrong", "sandbox-extracta-key"])
def test_credits_wrong_key_returns_401_with_message(extracta: ExtractaClient, key: str | None) -> None:
    # when
    if key is None:
        del extracta.session.headers["Authorization"]
    else:
        extracta.session.headers["Authorization"] = key
    response = extracta.call("GET", "credits")

    # then
    assert summarize_response(response) == (401, {"message": "Unauthorized: invalid API key"})


def test_in_process_call_unknown_id_raises_lookup_error(sandbox: Sandbox) -> None:
    # given
    sandbox.extracta.create("Invoices", FIELDS, "one")
    sandbox.extracta.create("Receipts", FIELDS, "two")
    sandbox.extracta.upload("one", ["a.pdf"], "batch")

    # when / then
    for attempt in (
        lambda: sandbox.extracta.upload("three", ["a.pdf"]),
        lambda: sandbox.extracta.upload("two", ["a.pdf"], "batch"),
        lambda: sandbox.extracta.finish("unknown"),
        lambda: sandbox.extracta.get_batch("unknown"),
        lambda: sandbox.extracta.edit("batch", "unknown", {}),
    ):
        with pytest.raises(LookupError):
            attempt()


def test_generated_result_unusual_fields_have_their_types(sandbox: Sandbox) -> None:
    # given
    fields: tuple[str | JsonObject, ...] = (
        "plain",
        {"key": "äöü.with dots", "description": "", "example": "as given"},
        {"key": "person", "type": "object", "properties": [{"key": "age", "example": "40"}]},
        {"key": "words", "type": "array", "items": {"type": "string", "example": "word"}},
        {"key": "rows", "type": "array", "items": {"type": "object", "properties": [{"key": "cell"}]}},
    )
    extraction_id = sandbox.extracta.create("Unusual", fields)

    # when
    batch_id = sandbox.extracta.upload(extraction_id, [NewFile("a.pdf", 0)])
    result = sandbox.extracta.get_batch(batch_id).files[0].result

    # then
    assert result is not None
    assert list(result) == ["plain", "äöü.with dots", "person", "words", "rows"]
    assert result["äöü.with dots"] == "as given"
    assert result["person"] == {"age": "40"}
    assert result["words"] == ["word", "word"]
    rows = result["rows"]
    assert isinstance(rows, list)
    assert [list(row) for row in rows] == [["cell"], ["cell"]]
