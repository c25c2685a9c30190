"""Atlas bulk: tokens, submitting, pages, young batches, every error."""

import re
from typing import Any

import pytest
import requests

from docextract_sandbox import Clock, NewDocument, Sandbox
from docextract_sandbox.context import JsonObject
from unit_tests.sandbox.conftest import AtlasClient

PAN: JsonObject = {"document_type": "PAN", "pan_number": {"value": "ABCDE1234F", "confidence_score": 0.98}}


def summarize_response(response: requests.Response) -> tuple[int, object]:
    return response.status_code, response.json()


def error_response(status: int, message: str) -> tuple[int, object]:
    return status, {"error_code": str(status), "error_message": message}


BAD_TOKEN = error_response(401, "Authentication Error: the token is missing, invalid, or expired")


def test_login_token_expires_after_an_hour(sandbox: Sandbox, clock: Clock, atlas: AtlasClient) -> None:
    # given
    sandbox.atlas.submit([NewDocument("1", 0, PAN)], batch_id="batch")

    # when
    login = atlas.login()
    atlas.session.headers["Token"] = login.json()["access_token"]
    fresh = atlas.get_extracts("batch")
    clock.advance(seconds=3599)
    old = atlas.get_extracts("batch")
    clock.advance(seconds=1)
    expired = atlas.get_extracts("batch")
    atlas.use_new_token()
    renewed = atlas.get_extracts("batch")

    # then
    assert login.status_code == 201
    assert login.json() == {"access_token": login.json()["access_token"], "expires_in": 3600}
    assert [response.status_code for response in (fresh, old, renewed)] == [200, 200, 200]
    assert summarize_response(expired) == BAD_TOKEN
    assert sandbox.atlas.login_count == 2


def test_expire_tokens_issued_token_is_refused(sandbox: Sandbox, atlas: AtlasClient) -> None:
    # given
    sandbox.atlas.submit([NewDocument("1", 0, PAN)], batch_id="batch")
    assert atlas.get_extracts("batch").ok

    # when
    sandbox.atlas.expire_tokens()

    # then
    assert summarize_response(atlas.get_extracts("batch")) == BAD_TOKEN
    assert summarize_response(atlas.upload({})) == BAD_TOKEN


@pytest.mark.parametrize("headers", [{}, {"Client-Id": "sandbox-atlas-client"}, {"Client-Secret": "x"}])
def test_login_missing_credential_returns_400(sandbox: Sandbox, atlas: AtlasClient, headers: dict[str, str]) -> None:
    # when / then
    assert summarize_response(atlas.login(headers)) == (400, {"error": "Missing Client-Id or Client-Secret"})
    assert sandbox.atlas.login_count == 0


def test_login_wrong_credentials_returns_401(atlas: AtlasClient) -> None:
    # when
    response = atlas.login({"Client-Id": "sandbox-atlas-client", "Client-Secret": "wrong"})

    # then
    assert summarize_response(response) == error_response(401, "Authentication Error: wrong Client-Id or Client-Secret")


def test_extracts_unknown_token_returns_401(atlas: AtlasClient) -> None:
    # when
    atlas.session.headers["Token"] = "unknown"

    # then
    assert summarize_response(atlas.get_extracts("batch")) == BAD_TOKEN


def test_multiupload_documents_are_extracted_after_their_duration(
    sandbox: Sandbox, clock: Clock, atlas: AtlasClient
) -> None:
    # given
    files = [{"file_url": f"https://files.example.invalid/{n}", "document_id": str(n)} for n in range(1, 5)]

    # when
    submitted = atlas.upload({"product_type": "POC_CDL", "file_urls": files})
    batch_id = submitted.json()[0]["batch_id"]
    unfinished = atlas.get_extracts(batch_id).json()
    clock.advance(seconds=120)
    finished = atlas.get_extracts(batch_id).json()

    # then
    assert submitted.status_code == 201
    assert [(document["batch_id"], document["document_id"]) for document in submitted.json()] == [
        (batch_id, str(number)) for number in range(1, 5)
    ]
    assert all(set(document) == {"batch_id", "document_id", "file_uuid"} for document in submitted.json())
    assert re.fullmatch(r"BATCH-\d{5}-[A-Z]{5}-20261120090000", batch_id)
    assert (unfinished["data"], unfinished["total_items"], unfinished["has_next"]) == ([], 0, False)
    assert [row["document_id"] for row in finished["data"]] == ["1", "2", "3", "4"]
    assert sandbox.atlas.get_batch(batch_id).product_type == "POC_CDL"


def test_extracts_pages_are_consecutive_and_counted(sandbox: Sandbox, atlas: AtlasClient) -> None:
    # given
    sandbox.atlas.submit([NewDocument(str(number), 0, PAN) for number in range(120)], batch_id="batch")

    # when
    first, third, past_end = (atlas.get_extracts("batch", page=page).json() for page in (1, 3, 4))
    small = atlas.get_extracts("batch", page=2, per_page=7).json()

    # then
    assert [row["document_id"] for row in first["data"]] == [str(number) for number in range(50)]
    assert {key: first[key] for key in first if key != "data"} == {
        "page": 1,
        "per_page": 50,
        "total_pages": 3,
        "total_items": 120,
        "has_next": True,
        "has_prev": False,
    }
    assert (len(third["data"]), third["has_next"], third["has_prev"]) == (20, False, True)
    assert (past_end["data"], past_end["page"], past_end["has_next"]) == ([], 4, False)
    assert [row["document_id"] for row in small["data"]] == ["7", "8", "9", "10", "11", "12", "13"]
    assert small["total_pages"] == 18


def test_extracts_unfinished_batch_lists_documents_in_submission_order(
    sandbox: Sandbox, clock: Clock, atlas: AtlasClient
) -> None:
    # given
    documents = [NewDocument("slow", 100, PAN), NewDocument("quick", 10, PAN)]
    batch_id = sandbox.atlas.submit(documents)

    # when
    clock.advance(seconds=10)
    first_page = atlas.get_extracts(batch_id).json()
    sandbox.atlas.add_documents(batch_id, ["late"])
    sandbox.atlas.finish(batch_id, "slow")
    later = atlas.get_extracts(batch_id).json()
    finished = sandbox.atlas.finish()
    complete = atlas.get_extracts(batch_id).json()

    # then
    assert ([row["document_id"] for row in first_page["data"]], first_page["total_items"]) == (["quick"], 1)
    assert [row["document_id"] for row in later["data"]] == ["slow", "quick"]
    assert finished == 1
    assert [row["document_id"] for row in complete["data"]] == ["slow", "quick", "late"]


def test_edit_failed_document_replaces_its_error_with_data(sandbox: Sandbox, atlas: AtlasClient) -> None:
    # given
    batch_id = sandbox.atlas.submit([NewDocument("1", 0, error_code="UNRECOGNISED"), NewDocument("2", 0, PAN)])

    # when
    original = atlas.get_extracts(batch_id).json()["data"]
    sandbox.atlas.edit(batch_id, "1", PAN)
    changed = atlas.get_extracts(batch_id).json()["data"]

    # then
    assert original == [
        {"document_id": "1", "file_data": {}, "error_code": "UNRECOGNISED"},
        {"document_id": "2", "file_data": PAN},
    ]
    assert changed[0] == {"document_id": "1", "file_data": PAN}


def test_extracts_redact_url_differs_in_every_response(sandbox: Sandbox, atlas: AtlasClient) -> None:
    # given
    number = {"value": "**** **** 9012", "confidence_score": 0.9, "redact_url": ""}
    batch_id = sandbox.atlas.submit(
        [NewDocument("1", 0, {"document_type": "AADHAAR", "aadhaar_number": number}), NewDocument("2", 0, PAN)]
    )

    # when
    responses = [atlas.get_extracts(batch_id).json()["data"] for _ in range(2)]

    # then
    urls = [rows[0]["file_data"]["aadhaar_number"].pop("redact_url") for rows in responses]
    assert urls[0] != urls[1]
    assert all(url.startswith("https://files.example.invalid/") for url in urls)
    assert responses[0] == responses[1]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"per_page": 51}, "Bad Request: per_page is too large, the maximum is 50"),
        ({"per_page": 0}, "Bad Request: per_page must be a whole number from 1"),
        ({"page": 0}, "Bad Request: page must be a whole number from 1"),
        ({"page": "two"}, "Bad Request: page must be a whole number from 1"),
        ({"batch_id": ""}, "Bad Request: batch_id is missing"),
        ({"batch_id": "unknown"}, "Bad Request: batch_id is invalid"),
    ],
)
def test_extracts_invalid_query_returns_400_with_message(
    sandbox: Sandbox, atlas: AtlasClient, query: dict[str, Any], message: str
) -> None:
    # given
    sandbox.atlas.submit([NewDocument("1", 0, PAN)], batch_id="batch")

    # when / then
    assert summarize_response(atlas.get_extracts(**{"batch_id": "batch", **query})) == error_response(400, message)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"product_type": "POC_CDL"}, "Bad Request: product_type and file_urls are required"),
        ({"file_urls": [{}]}, "Bad Request: product_type and file_urls are required"),
        (
            {"product_type": "A", "file_urls": [{}]},
            "Bad Request: each file needs a file_url and a document_id of its own",
        ),
        (
            {"product_type": "A", "file_urls": [{"file_url": "x", "document_id": "1"}] * 2},
            "Bad Request: each file needs a file_url and a document_id of its own",
        ),
    ],
)
def test_multiupload_invalid_body_returns_400_with_message(
    sandbox: Sandbox, atlas: AtlasClient, body: JsonObject, message: str
) -> None:
    # when / then
    assert summarize_response(atlas.upload(body)) == error_response(400, message)
    assert sandbox.atlas.batch_ids == []


def test_in_process_call_invalid_id_raises_an_error(sandbox: Sandbox) -> None:
    # given
    sandbox.atlas.submit(["1"], batch_id="batch")

    # when / then
    with pytest.raises(ValueError, match="already"):
        sandbox.atlas.submit(["1"], batch_id="batch")
    with pytest.raises(LookupError):
        sandbox.atlas.edit("batch", "2", {})
    with pytest.raises(LookupError):
        sandbox.atlas.add_documents("unknown", ["1"])
