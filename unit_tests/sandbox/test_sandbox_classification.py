"""Extracta's classification: every operation, its one error, and files that go on to extraction."""

from dataclasses import replace
from datetime import timedelta

import pytest
import requests

from docextract_sandbox import Clock, DocumentType, NewFile, Sandbox
from docextract_sandbox.context import JsonObject
from unit_tests.sandbox.conftest import ExtractaClient

FAILED = (400, {"status": "error", "message": "Internal server error"})
INVOICE = {"confidence": 0.9, "documentType": "invoice"}
LETTER_RESULT = {"confidence": 0.8, "documentType": "letter"}


def summarize_response(response: requests.Response) -> tuple[int, object]:
    return response.status_code, response.json()


def add_referenced_template(sandbox: Sandbox) -> str:
    sandbox.extracta.create("Invoices", ("total",), "invoices")
    types = [DocumentType("Invoice", "a bill", ("total",), "invoices"), DocumentType("Letter")]
    return sandbox.classification.create("Mail", types, "mail")


def test_template_is_created_viewed_updated_and_deleted_over_http(extracta: ExtractaClient) -> None:
    # given
    types = [
        {"name": "Invoice", "description": "a bill", "uniqueWords": ["total"], "extractionId": "-Oabc"},
        {"name": "Letter", "description": "", "uniqueWords": []},
    ]
    details = {"name": "Mail", "description": "what comes in", "documentTypes": types}

    # when
    created = extracta.call(
        "POST", "documentClassification/createClassification", {"classificationDetails": details}
    ).json()
    known = {"classificationId": created["classificationId"]}
    template_view = extracta.call("POST", "documentClassification/viewClassification", known).json()
    change = {**known, "classificationDetails": {"name": "Post"}}
    updated = extracta.call("PATCH", "documentClassification/updateClassification", change).json()
    seen_again = extracta.call("POST", "documentClassification/viewClassification", known).json()
    deleted = extracta.call("DELETE", "documentClassification/deleteClassification", known).json()
    gone = extracta.call("POST", "documentClassification/viewClassification", known)

    # then
    now = 1795165200000
    assert created == {"status": "created", "createdAt": now, **known}
    assert template_view == {"status": "success", **known, "classificationDetails": {"createdAt": now, **details}}
    assert updated == {"status": "updated", "updatedAt": now, **known}
    assert seen_again["classificationDetails"] == {"createdAt": now, **details, "name": "Post"}
    assert deleted["status"] == "success"
    assert summarize_response(gone) == FAILED


def test_upload_files_response_is_waiting_then_has_document_types(
    sandbox: Sandbox, clock: Clock, extracta: ExtractaClient
) -> None:
    # given
    classification_id = add_referenced_template(sandbox)

    # when
    uploaded = extracta.upload(
        "documentClassification/uploadFiles", {"classificationId": classification_id}, "letter.pdf", "b.exe"
    ).json()
    batch_id = uploaded["batchId"]
    waiting = extracta.get_classification_results(classification_id, batch_id).json()
    clock.advance(seconds=90)
    response = extracta.get_classification_results(classification_id, batch_id).json()

    # then
    assert uploaded["status"] == "uploaded"
    assert uploaded["classificationId"] == classification_id
    assert waiting == {"status": "waiting", "classificationId": classification_id, "batchId": batch_id}
    assert response["status"] == "success"
    good, bad = response["files"]
    assert good["result"]["documentType"] == "letter"
    assert 0 <= good["result"]["confidence"] <= 1
    assert (bad["status"], bad["error"]) == ("failed", "Unsupported file type: exe")
    assert "result" not in bad


def test_upload_files_into_finished_batch_reopens_the_batch(sandbox: Sandbox, extracta: ExtractaClient) -> None:
    # given
    classification_id = add_referenced_template(sandbox)
    batch_id = sandbox.classification.upload(classification_id, [NewFile("a.pdf", 0, LETTER_RESULT)])

    # when
    fields = {"classificationId": classification_id, "batchId": batch_id}
    extracta.upload("documentClassification/uploadFiles", fields, "b.pdf")

    # then
    assert extracta.get_classification_results(classification_id, batch_id).json()["status"] == "waiting"
    assert sandbox.classification.finish(batch_id) == 1
    assert len(extracta.get_classification_results(classification_id, batch_id).json()["files"]) == 2


def test_classified_files_of_referenced_type_share_an_extraction_batch(
    sandbox: Sandbox, clock: Clock, extracta: ExtractaClient
) -> None:
    # given
    classification_id = add_referenced_template(sandbox)
    files = [NewFile("a.pdf", 60, INVOICE), NewFile("b.pdf", 120, INVOICE), NewFile("c.pdf", 60, LETTER_RESULT)]
    batch_id = sandbox.classification.upload(classification_id, files)

    # when: no file is classified yet
    original = extracta.call("POST", "viewExtraction", {"extractionId": "invoices"}).json()

    # when: the first is, and nobody has asked for its classification
    clock.advance(seconds=61)
    (linked_id,) = sandbox.extracta.list_batch_ids("invoices")
    batch_at_start = sandbox.extracta.get_batch(linked_id)

    # when: all are, and the extraction of the first is done
    clock.advance(seconds=60)
    response = extracta.get_classification_results(classification_id, batch_id).json()
    waiting = extracta.get_results("invoices", linked_id).json()
    clock.advance(seconds=90)
    extracted = extracta.get_results("invoices", linked_id).json()

    # then
    assert "batches" not in original["extractionDetails"]
    assert [file.name for file in batch_at_start.files] == ["a.pdf"]
    assert batch_at_start.started_at == sandbox.clock.now() - timedelta(seconds=151)
    urls = [file.get("extraction") for file in response["files"]]
    assert urls[2] is None
    assert [url["extractionId"] for url in urls[:2]] == ["invoices", "invoices"]
    assert [url["batchId"] for url in urls[:2]] == [linked_id, linked_id]
    assert waiting["status"] == "waiting"
    assert [file["fileId"] for file in extracted["files"]] == [url["fileId"] for url in urls[:2]]
    assert sandbox.extracta.get_batch(linked_id).origin == "documentClassification"


def test_reference_failed_file_or_unknown_template_is_absent(sandbox: Sandbox) -> None:
    # given
    types = [DocumentType("Invoice", extraction_id="unknown"), DocumentType("Receipt", extraction_id="receipts")]
    sandbox.extracta.create("Receipts", ("total",), "receipts")
    classification_id = sandbox.classification.create("Mail", types)
    receipt = {"confidence": 0.9, "documentType": "receipt"}
    files = [NewFile("a.pdf", 0, INVOICE), NewFile("b.pdf", 0, receipt, error="It is damaged")]

    # when
    batch_id = sandbox.classification.upload(classification_id, files)

    # then
    assert [file.reference for file in sandbox.classification.get_batch(batch_id).files] == [None, None]
    assert sandbox.extracta.list_batch_ids("receipts") == []


def test_edit_to_referenced_type_adds_a_reference(sandbox: Sandbox, extracta: ExtractaClient) -> None:
    # given
    classification_id = add_referenced_template(sandbox)
    batch_id = sandbox.classification.upload(classification_id, [NewFile("a.pdf", 0, LETTER_RESULT)])
    original = extracta.get_classification_results(classification_id, batch_id).json()["files"][0]

    # when
    sandbox.classification.edit(batch_id, "a.pdf", INVOICE)
    changed = extracta.get_classification_results(classification_id, batch_id).json()["files"][0]

    # then
    assert "extraction" not in original
    assert changed["result"] == INVOICE
    assert changed["extraction"]["extractionId"] == "invoices"


def test_upload_after_referenced_batch_deletion_creates_another_batch(sandbox: Sandbox) -> None:
    # given
    classification_id = add_referenced_template(sandbox)
    batch_id = sandbox.classification.upload(classification_id, [NewFile("a.pdf", 0, INVOICE)])
    (first,) = sandbox.extracta.list_batch_ids("invoices")
    sandbox.extracta.delete("invoices", first)

    # when
    sandbox.classification.upload(classification_id, [NewFile("b.pdf", 0, INVOICE)], batch_id)

    # then
    (second,) = sandbox.extracta.list_batch_ids("invoices")
    assert second != first


def test_delete_files_and_batch_removes_them(sandbox: Sandbox, extracta: ExtractaClient) -> None:
    # given
    classification_id = add_referenced_template(sandbox)
    files = [NewFile(f"{name}.pdf", 0, LETTER_RESULT, file_id=name) for name in ("one", "two", "three")]
    first = sandbox.classification.upload(classification_id, files)
    second = sandbox.classification.upload(classification_id, ["d.pdf"])
    known = {"classificationId": classification_id, "batchId": first}

    # when
    first_deletion = extracta.call("DELETE", "documentClassification/deleteFiles", {**known, "fileIds": ["one"]})
    remaining_files = extracta.get_classification_results(classification_id, first).json()["files"]
    second_deletion = extracta.call(
        "DELETE", "documentClassification/deleteFiles", {**known, "fileIds": ["two", "three"]}
    )
    batch = extracta.call("DELETE", "documentClassification/deleteBatch", {**known, "batchId": second})

    # then
    assert (first_deletion.json()["status"], first_deletion.json()["deleteAll"]) == ("success", False)
    assert [file["fileId"] for file in remaining_files] == ["two", "three"]
    assert second_deletion.json()["deleteAll"] is True
    assert batch.json()["status"] == "success"
    assert sandbox.classification.list_batch_ids(classification_id) == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "createClassification", {}),
        ("POST", "createClassification", {"classificationDetails": {"name": "Mail", "documentTypes": []}}),
        ("POST", "createClassification", {"classificationDetails": {"name": "Mail", "documentTypes": [{}]}}),
        ("POST", "viewClassification", {"classificationId": "unknown"}),
        ("PATCH", "updateClassification", {"classificationId": "unknown", "classificationDetails": {}}),
        ("PATCH", "updateClassification", {"classificationId": "mail", "classificationDetails": {"documentTypes": 1}}),
        ("POST", "getResults", {"classificationId": "mail"}),
        ("POST", "getResults", {"classificationId": "mail", "batchId": "unknown"}),
        ("POST", "getResults", {"classificationId": "mail", "batchId": "batch", "fileId": "unknown"}),
        ("POST", "uploadFiles", {"classificationId": "mail"}),
        ("DELETE", "deleteClassification", {"classificationId": "unknown"}),
        ("DELETE", "deleteBatch", {"classificationId": "mail", "batchId": "unknown"}),
        ("DELETE", "deleteFiles", {"classificationId": "mail", "batchId": "batch", "fileIds": ["file", "unknown"]}),
        ("DELETE", "deleteFiles", {"classificationId": "mail", "batchId": "batch", "fileIds": []}),
    ],
)
def test_classification_invalid_body_or_id_returns_400_server_error(
    sandbox: Sandbox, extracta: ExtractaClient, method: str, path: str, body: JsonObject
) -> None:
    # given
    add_referenced_template(sandbox)
    sandbox.classification.upload("mail", [NewFile("a.pdf", 0, LETTER_RESULT, file_id="file")], "batch")

    # when / then
    assert summarize_response(extracta.call(method, f"documentClassification/{path}", body)) == FAILED
    assert len(sandbox.classification.get_batch("batch").files) == 1


def test_upload_files_unknown_id_returns_400_server_error(sandbox: Sandbox, extracta: ExtractaClient) -> None:
    # given
    add_referenced_template(sandbox)
    path = "documentClassification/uploadFiles"

    # when / then
    assert summarize_response(extracta.upload(path, {"classificationId": "unknown"}, "a.pdf")) == FAILED
    assert (
        summarize_response(extracta.upload(path, {"classificationId": "mail", "batchId": "unknown"}, "a.pdf")) == FAILED
    )


def test_get_results_wrong_key_returns_401_with_message(extracta: ExtractaClient) -> None:
    # when
    extracta.session.headers["Authorization"] = "Bearer wrong"

    # then
    assert summarize_response(extracta.get_classification_results("mail", "batch")) == (
        401,
        {"message": "Unauthorized: invalid API key"},
    )


def test_view_template_lists_batches_only_with_the_switch(sandbox: Sandbox, extracta: ExtractaClient) -> None:
    # given
    classification_id = add_referenced_template(sandbox)
    sandbox.classification.upload(classification_id, [NewFile("a.pdf", 0, LETTER_RESULT)], "batch")
    body = {"classificationId": classification_id}

    # when
    without_batches = extracta.call("POST", "documentClassification/viewClassification", body).json()
    sandbox.switches = replace(sandbox.switches, classification_batches=True)
    with_map = extracta.call("POST", "documentClassification/viewClassification", body).json()

    # then
    assert "batches" not in without_batches["classificationDetails"]
    assert with_map["classificationDetails"]["batches"] == {
        "batch": {"filesNo": 1, "origin": "api", "startTime": 1795165200000, "status": "processed"}
    }
