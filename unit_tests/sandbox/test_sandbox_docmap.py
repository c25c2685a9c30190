"""DocMap: running, polling, deleting, the month's usage, every error."""

import base64
import re
from collections.abc import Mapping
from math import inf

import pytest
import requests

from docextract_sandbox import Clock, NewExtraction, Sandbox
from docextract_sandbox.context import JsonObject
from docextract_sandbox.docmap import Status
from unit_tests.sandbox.conftest import BearerClient

VENDOR = {"name": "vendor_name", "type": "string", "description": "Name of the vendor or supplier"}
PDF = base64.b64encode(b"%PDF-1.4").decode()


def error_response(status: int, code: str, message: str) -> tuple[int, object]:
    return status, {"error": {"code": code, "message": message}}


def summarize_response(response: requests.Response) -> tuple[int, object]:
    return response.status_code, response.json()


def make_submission(**changes: object) -> dict[str, object]:
    body = {"templateId": "invoices", "fileName": "a.pdf", "pdfBase64": PDF, "mimeType": "application/pdf"}
    return {key: value for key, value in {**body, **changes}.items() if value is not None}


@pytest.fixture
def sandbox(sandbox: Sandbox) -> Sandbox:
    sandbox.docmap.put_template("Invoices", [VENDOR], "invoices")
    return sandbox


def get_data(sandbox: Sandbox, extraction_id: str) -> Mapping[str, object]:
    data = sandbox.docmap.get_extraction(extraction_id).data
    assert data is not None
    return data


def test_get_extraction_is_processing_then_completed(sandbox: Sandbox, clock: Clock, docmap: BearerClient) -> None:
    # given
    new = NewExtraction("a.pdf", 3.842, {"vendor_name": "Acme", "total": 12.5}, extraction_id="extract_1")
    sandbox.docmap.add_extractions("invoices", [new], "run")

    # when
    unfinished = docmap.get("extractions/extract_1").json()
    clock.advance(seconds=4)
    done = docmap.get("extractions/extract_1").json()

    # then
    assert unfinished == {
        "data": {
            "id": "extract_1",
            "userId": "uid_a1b2c3d4e5f6",
            "templateId": "invoices",
            "templateName": "Invoices",
            "fileName": "a.pdf",
            "status": "processing",
            "extractedData": None,
            "error": None,
            "variables": [VENDOR],
            "source": "api",
            "runId": "run",
            "processingTimeMs": None,
            "createdAt": "2026-11-20T09:00:00.000Z",
        }
    }
    finished = {
        "status": "completed",
        "extractedData": {"vendor_name": "Acme", "total": 12.5},
        "processingTimeMs": 3842,
    }
    assert done == {"data": {**unfinished["data"], **finished}}


def test_get_extraction_failed_file_has_an_error(sandbox: Sandbox, docmap: BearerClient) -> None:
    # given
    sandbox.docmap.add_extractions(
        "invoices", [NewExtraction("a.pdf", 2, {}, "Unreadable", "extract_1", processing_ms=7)]
    )

    # when
    unfinished = docmap.get("extractions/extract_1").json()["data"]
    sandbox.docmap.finish()
    finished = docmap.get("extractions/extract_1").json()["data"]

    # then
    assert (unfinished["status"], unfinished["error"], unfinished["processingTimeMs"]) == ("processing", None, None)
    assert finished == {**unfinished, "status": "failed", "error": "Unreadable", "processingTimeMs": 7}
    assert finished["extractedData"] is None


def test_extraction_of_another_user_is_forbidden_and_unlisted(sandbox: Sandbox, docmap: BearerClient) -> None:
    # given
    ids = sandbox.docmap.add_extractions("invoices", [NewExtraction("a.pdf", user_id="uid_other"), "b.pdf"], "run")

    # when / then
    forbidden = error_response(403, "FORBIDDEN", "The extraction belongs to a different user")
    assert summarize_response(docmap.get(f"extractions/{ids[0]}")) == forbidden
    assert summarize_response(docmap.send("DELETE", f"extractions/{ids[0]}")) == forbidden
    for query in ({}, {"templateId": "invoices"}, {"runId": "run"}):
        assert [row["id"] for row in docmap.get("extractions", **query).json()["data"]] == [ids[1]]
    assert docmap.get("usage").json()["data"]["usage"] == 1
    assert sandbox.docmap.extraction_ids == ids


def test_delete_extraction_is_not_found_afterwards_but_keeps_its_usage(sandbox: Sandbox, docmap: BearerClient) -> None:
    # given
    first, second = sandbox.docmap.add_extractions("invoices", ["a.pdf", NewExtraction("b.pdf", inf)], "run")

    # when
    deleted = docmap.send("DELETE", f"extractions/{first}")
    sandbox.docmap.delete(second)

    # then
    assert summarize_response(deleted) == (200, {"data": {"id": first, "deleted": True}})
    gone = error_response(404, "NOT_FOUND", "No extraction exists with the specified ID")
    assert summarize_response(docmap.get(f"extractions/{first}")) == gone
    assert summarize_response(docmap.send("DELETE", f"extractions/{first}")) == gone
    for query in ({}, {"templateId": "invoices"}, {"runId": "run"}):
        assert docmap.get("extractions", **query).json() == {"data": [], "hasMore": False}
    assert docmap.get("usage").json()["data"]["usage"] == 2
    assert (sandbox.docmap.extraction_ids, sandbox.docmap.finish()) == ([], 0)


def test_edit_failed_or_pending_extraction_becomes_completed(sandbox: Sandbox, docmap: BearerClient) -> None:
    # given
    failed, pending = sandbox.docmap.add_extractions(
        "invoices", [NewExtraction("a.pdf", 0, error="Unreadable"), "b.pdf"]
    )

    # when
    for extraction in (failed, pending):
        sandbox.docmap.edit(extraction, {"vendor_name": "corrected"})

    # then
    for row in docmap.get("extractions").json()["data"]:
        assert (row["status"], row["error"]) == ("completed", None)
        assert row["extractedData"] == {"vendor_name": "corrected"}


def test_run_synchronous_returns_completed_extraction(docmap: BearerClient) -> None:
    # when
    response = docmap.send("POST", "extractions/run", make_submission(runId="mine"))
    row = response.json()["data"]

    # then
    assert response.status_code == 200
    assert re.fullmatch("extract_[a-z0-9]{16}", row["id"])
    assert (row["status"], row["runId"], row["source"]) == ("completed", "mine", "api")
    assert "vendor_name" in row["extractedData"]
    assert 5_000 <= row["processingTimeMs"] <= 30_000
    assert docmap.get(f"extractions/{row['id']}").json()["data"] == row


def test_run_asynchronous_completes_after_polling(clock: Clock, docmap: BearerClient) -> None:
    # when
    response = docmap.send("POST", "extractions/run?async=true", make_submission())
    row = response.json()["data"]
    clock.advance(seconds=30)
    finished = docmap.get(f"extractions/{row['id']}").json()["data"]

    # then
    assert (response.status_code, row["status"], row["runId"], row["extractedData"]) == (200, "processing", None, None)
    assert finished["status"] == "completed"


def test_run_damaged_file_fails(sandbox: Sandbox, docmap: BearerClient) -> None:
    # when
    waited = docmap.send("POST", "extractions/run", make_submission(fileName="damaged.pdf"))
    polled = docmap.send("POST", "extractions/run?async=true", make_submission(fileName="damaged.pdf"))
    sandbox.docmap.finish()

    # then
    assert (waited.status_code, waited.json()["error"]["code"]) == (502, "EXTRACTION_FAILED")
    assert polled.json()["data"]["status"] == "processing"
    views = [sandbox.docmap.get_extraction(id_) for id_ in sandbox.docmap.extraction_ids]
    assert [view.status for view in views] == [Status.FAILED, Status.FAILED]


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        (
            {"templateId": None},
            error_response(400, "VALIDATION_ERROR", "templateId, fileName and pdfBase64 are required"),
        ),
        ({"fileName": ""}, error_response(400, "VALIDATION_ERROR", "templateId, fileName and pdfBase64 are required")),
        ({"pdfBase64": "no!"}, error_response(400, "VALIDATION_ERROR", "pdfBase64 is not valid base64")),
        (
            {"mimeType": "image/png"},
            error_response(400, "INVALID_MIME_TYPE", "mimeType must be that of a PDF or DOCX file"),
        ),
        ({"pdfBase64": "A" * 14_000_000}, error_response(400, "FILE_TOO_LARGE", "The file is larger than 10 MB")),
        ({"templateId": "unknown"}, error_response(404, "NOT_FOUND", "No template exists with the specified ID")),
    ],
)
def test_run_invalid_body_returns_error_response(
    sandbox: Sandbox, docmap: BearerClient, changes: JsonObject, refusal: tuple[int, object]
) -> None:
    # when / then
    assert summarize_response(docmap.send("POST", "extractions/run", make_submission(**changes))) == refusal
    assert sandbox.docmap.extraction_ids == []


def test_monthly_quota_reached_refuses_only_new_extractions(
    sandbox: Sandbox, clock: Clock, docmap: BearerClient
) -> None:
    # given
    sandbox.docmap.monthly_limit = 2
    first = docmap.send("POST", "extractions/run", make_submission()).json()["data"]["id"]
    docmap.send("POST", "extractions/run", make_submission())

    # when
    refused = docmap.send("POST", "extractions/run", make_submission())
    used = docmap.get("usage").json()
    readable = [docmap.get("extractions"), docmap.get(f"extractions/{first}")]
    clock.advance(days=11)
    renewed = docmap.send("POST", "extractions/run", make_submission())

    # then
    assert summarize_response(refused) == error_response(
        429, "USAGE_LIMIT_EXCEEDED", "Monthly limit of 2 extractions reached"
    )
    assert used == {"data": {"plan": "core", "usage": 2, "limit": 2, "periodKey": "2026-11"}}
    assert [response.status_code for response in (*readable, renewed)] == [200, 200, 200]
    assert docmap.get("usage").json()["data"] == {"plan": "core", "usage": 1, "limit": 2, "periodKey": "2026-12"}


@pytest.mark.parametrize("header", [None, "Bearer wrong", "dm_live_"])
def test_wrong_key_every_endpoint_returns_401(docmap: BearerClient, header: str | None) -> None:
    # given
    if header is None:
        del docmap.session.headers["Authorization"]
    else:
        docmap.session.headers["Authorization"] = header

    # when
    responses = [
        docmap.get("extractions"),
        docmap.get("extractions/unknown"),
        docmap.get("usage"),
        docmap.send("DELETE", "extractions/unknown"),
        docmap.send("POST", "extractions/run", make_submission()),
    ]

    # then
    assert [summarize_response(response) for response in responses] == [
        error_response(401, "UNAUTHORIZED", "Missing or invalid API key")
    ] * 5


def test_expired_key_returns_401_key_expired(sandbox: Sandbox, docmap: BearerClient) -> None:
    # when
    sandbox.docmap.is_key_expired = True

    # then
    assert summarize_response(docmap.get("usage")) == error_response(401, "KEY_EXPIRED", "This API key has expired")


def test_health_without_key_returns_ok(url: str) -> None:
    # when / then
    assert summarize_response(requests.get(f"{url}/docmap/health", timeout=5)) == (200, {"status": "ok"})


def test_api_key_has_the_documented_format(sandbox: Sandbox) -> None:
    assert re.fullmatch("dm_live_[0-9a-f]{64}", sandbox.credentials["docmap"]["api_key"])


def test_put_template_existing_id_leaves_old_extractions_unchanged(sandbox: Sandbox, docmap: BearerClient) -> None:
    # given
    (original,) = sandbox.docmap.add_extractions("invoices", ["a.pdf"])

    # when
    sandbox.docmap.put_template("Bills", [VENDOR, {**VENDOR, "name": "due"}], "invoices")
    (changed,) = sandbox.docmap.add_extractions("invoices", ["b.pdf"])
    old, new = (docmap.get(f"extractions/{id_}").json()["data"] for id_ in (original, changed))

    # then
    assert (old["templateName"], len(old["variables"])) == ("Invoices", 1)
    assert (new["templateName"], len(new["variables"])) == ("Bills", 2)
    assert old["templateId"] == new["templateId"] == "invoices"
    assert sandbox.docmap.template_ids == ["invoices"]


def test_generated_data_has_typed_values_and_keys_beyond_variables(sandbox: Sandbox) -> None:
    # given
    types = ("number", "boolean", "date", "array", "object", "string", "unheard of")
    template_id = sandbox.docmap.put_template("Odd", [{**VENDOR, "name": type_, "type": type_} for type_ in types])
    ids = sandbox.docmap.add_extractions(template_id, [NewExtraction("a.pdf", 0)])
    more = sandbox.docmap.add_extractions("invoices", [NewExtraction("b.pdf", 0) for _ in range(20)])

    # when
    unusual_data = get_data(sandbox, ids[0])
    read = [get_data(sandbox, id_) for id_ in more]

    # then
    assert [type(unusual_data[type_]) for type_ in types] == [float, bool, str, list, dict, str, str]
    assert all("vendor_name" in data for data in read)
    assert {len(data) > 1 for data in read} == {True, False}
    template_without_variables = sandbox.docmap.put_template("No variables")
    (free,) = sandbox.docmap.add_extractions(template_without_variables, [NewExtraction("c.pdf", 0)])
    assert isinstance(get_data(sandbox, free)["total_amount"], float)


def test_in_process_call_invalid_id_raises_an_error(sandbox: Sandbox) -> None:
    # given
    sandbox.docmap.add_extractions("invoices", [NewExtraction("a.pdf", extraction_id="one")])

    # when / then
    with pytest.raises(ValueError, match="already"):
        sandbox.docmap.add_extractions("invoices", [NewExtraction("a.pdf", extraction_id="one")])
    for attempt in (
        lambda: sandbox.docmap.add_extractions("unknown", ["a.pdf"]),
        lambda: sandbox.docmap.finish("unknown"),
        lambda: sandbox.docmap.edit("unknown", {}),
        lambda: sandbox.docmap.delete("unknown"),
        lambda: sandbox.docmap.get_extraction("unknown"),
    ):
        with pytest.raises(LookupError):
            attempt()
