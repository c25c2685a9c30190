"""Sensible's batches: made, uploaded over links, waited for, described."""

import re
from dataclasses import replace

import pytest
import requests

from docextract_sandbox import Clock, Sandbox, SensibleDocument
from docextract_sandbox.context import JsonObject
from docextract_sandbox.sensible import Status
from unit_tests.sandbox.conftest import BearerClient

PDF = b"%PDF-1.4"


@pytest.fixture
def sandbox(sandbox: Sandbox) -> Sandbox:
    sandbox.sensible.add_document_type("contracts")
    sandbox.sensible.add_document_type("claims")
    return sandbox


def upload_file(url: str) -> requests.Response:
    """As documented: without the API's key."""
    return requests.put(url, data=PDF, headers={"Content-Type": "application/pdf"}, timeout=5)


def test_batch_is_created_uploaded_and_extracted_over_http(
    sandbox: Sandbox, clock: Clock, sensible: BearerClient, url: str
) -> None:
    # when
    body = {"documentNames": ["doc1.pdf", "doc2.pdf", "doc3.pdf"], "description": "test", "docType": "contracts"}
    created = sensible.send("POST", "extract/batch", body)
    batch_id = created.json()
    original = sensible.get(f"extract/batch/{batch_id}").json()
    upload_urls = sensible.send("PUT", f"extract/batch/upload_urls/{batch_id}/0/1").json()
    received = [upload_file(upload_url) for upload_url in upload_urls]
    partial_batch = sensible.get(f"extract/batch/{batch_id}").json()
    statuses = [sensible.get(f"documents/{id_}").json()["status"] for id_ in original["extraction_ids"]]
    clock.advance(seconds=60)
    finished = sensible.get(f"documents/{original['extraction_ids'][0]}").json()

    # then
    assert created.status_code == 200
    assert re.fullmatch(r'"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"', created.text)
    assert set(original) == {"id", "description", "extraction_ids", "waiting"}
    assert (original["id"], original["description"], original["waiting"]) == (batch_id, "test", 3)
    assert partial_batch == {**original, "waiting": 1}
    assert all(upload_url.startswith(f"{url}/sensible/upload/") for upload_url in upload_urls)
    assert [upload_url.partition("?")[0].rpartition("/")[2] for upload_url in upload_urls] == original[
        "extraction_ids"
    ][:2]
    assert [(response.status_code, response.text) for response in received] == [(200, "")] * 2
    assert statuses == ["PROCESSING", "PROCESSING", "WAITING"]
    assert (finished["status"], finished["batchId"], finished["document_name"]) == ("COMPLETE", batch_id, "doc1.pdf")
    assert sandbox.journal.count_requests()["sensible.upload"] == 2


def test_upload_urls_get_with_a_range_returns_that_slice(sandbox: Sandbox, sensible: BearerClient) -> None:
    # given
    batch_id = sandbox.sensible.add_batch(["a.pdf", "b.pdf", "c.pdf"], "contracts")
    ids = sandbox.sensible.get_batch(batch_id).extraction_ids

    # when
    (url,) = sensible.get(f"extract/batch/upload_urls/{batch_id}/1/1").json()
    upload_file(url)

    # then
    statuses = [sandbox.sensible.get_document(id_).status for id_ in ids]
    assert statuses == [Status.WAITING, Status.PROCESSING, Status.WAITING]


def test_upload_url_expires_after_15_minutes_and_is_bound_to_its_document(
    sandbox: Sandbox, clock: Clock, sensible: BearerClient
) -> None:
    # given
    batch_id = sandbox.sensible.add_batch(["a.pdf", "b.pdf"], "contracts")
    first, second = sensible.get(f"extract/batch/upload_urls/{batch_id}/0/1").json()
    ids = sandbox.sensible.get_batch(batch_id).extraction_ids

    # when
    foreign = upload_file(first.replace(ids[0], ids[1]))
    clock.advance(seconds=900)
    just = upload_file(first)
    clock.advance(seconds=1)
    late_response = upload_file(second)

    # then
    assert (foreign.status_code, foreign.text) == (403, "The request signature does not match")
    assert just.status_code == 200
    assert (late_response.status_code, late_response.text) == (403, "Request has expired")


def test_upload_repeated_changes_nothing(sandbox: Sandbox, clock: Clock) -> None:
    # given
    batch_id = sandbox.sensible.add_batch([SensibleDocument("a.pdf", 10)], "contracts")
    extraction_id = sandbox.sensible.upload(batch_id, "a.pdf")
    clock.advance(seconds=10)

    # when
    second_upload = sandbox.sensible.upload(batch_id, extraction_id)

    # then
    assert second_upload == extraction_id
    assert sandbox.sensible.get_document(extraction_id).status is Status.COMPLETE


def test_finish_batch_leaves_documents_without_upload_waiting(sandbox: Sandbox, clock: Clock) -> None:
    # given
    batch_id = sandbox.sensible.add_batch([SensibleDocument("a.pdf", 0), "b.pdf", "c.pdf"], "contracts")
    for index in (0, 1):
        sandbox.sensible.upload(batch_id, index)

    # when
    other = sandbox.sensible.finish(sandbox.sensible.add_batch(["d.pdf"], "contracts"))
    finished = sandbox.sensible.finish(batch_id)
    clock.advance(days=3650)

    # then
    assert (other, finished) == (0, 1)
    ids = sandbox.sensible.get_batch(batch_id).extraction_ids
    statuses = [sandbox.sensible.get_document(id_).status for id_ in ids]
    assert statuses == [Status.COMPLETE, Status.COMPLETE, Status.WAITING]


def test_batch_waiting_counter_switch_omits_zero(sandbox: Sandbox, sensible: BearerClient) -> None:
    # given
    batch_id = sandbox.sensible.add_batch(["a.pdf"], "contracts")
    waiting = sensible.get(f"extract/batch/{batch_id}").json()
    sandbox.sensible.upload(batch_id, 0)
    by_default = sensible.get(f"extract/batch/{batch_id}").json()

    # when
    sandbox.switches = replace(sandbox.switches, sensible_waiting_counter=False)

    # then
    assert (waiting["waiting"], by_default["waiting"]) == (1, 0)
    del by_default["waiting"]
    assert sensible.get(f"extract/batch/{batch_id}").json() == by_default


def test_put_batch_replaces_its_description(sandbox: Sandbox, sensible: BearerClient) -> None:
    # given
    batch_id = sandbox.sensible.add_batch(["a.pdf"], "contracts", "old")

    # when
    response = sensible.send("PUT", f"extract/batch/{batch_id}", {"description": "new"})
    wrong = sensible.send("PUT", f"extract/batch/{batch_id}", {})

    # then
    assert response.json()["description"] == sandbox.sensible.get_batch(batch_id).description == "new"
    assert (wrong.status_code, wrong.text) == (400, "The description is required")


def test_batch_of_portfolios_damaged_file_fails_alone(sandbox: Sandbox, clock: Clock, sensible: BearerClient) -> None:
    # when
    body = {"documentNames": ["a.pdf", "damaged.pdf"], "portfolioDocTypes": ["contracts", "claims"]}
    batch_id = sensible.send("POST", "extract/batch", body).json()
    for index in (0, 1):
        sandbox.sensible.upload(batch_id, index)
    clock.advance(seconds=60)
    ids = sensible.get(f"extract/batch/{batch_id}").json()["extraction_ids"]
    good, bad = (sensible.get(f"documents/{id_}").json() for id_ in ids)

    # then
    assert good["types"] == bad["types"] == ["contracts", "claims"]
    assert [part["documentType"] for part in good["documents"]] == ["contracts", "claims"]
    assert (bad["status"], bad["batchId"]) == ("FAILED", batch_id)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (None, "The documentNames are required"),
        ({"documentNames": [], "docType": "contracts"}, "The documentNames are required"),
        ({"documentNames": ["a"] * 5001, "docType": "contracts"}, "A batch can have at most 5000 documents"),
        ({"documentNames": ["a"]}, "Either docType or portfolioDocTypes is required"),
        ({"documentNames": ["a"], "docType": "unknown"}, "Specified document type does not exist"),
        ({"documentNames": ["a"], "portfolioDocTypes": ["unknown"]}, "Specified document type does not exist"),
    ],
)
def test_post_batch_invalid_body_returns_400_with_message(
    sandbox: Sandbox, sensible: BearerClient, body: JsonObject | None, text: str
) -> None:
    # when
    response = sensible.send("POST", "extract/batch", body)

    # then
    assert (response.status_code, response.text) == (400, text)
    assert sandbox.sensible.batch_ids == []


def test_batch_unknown_id_returns_404_and_invalid_range_400(sandbox: Sandbox, sensible: BearerClient) -> None:
    # given
    sandbox.sensible.add_batch(["a.pdf"], "contracts", batch_id="batch")

    # when
    unknown = [
        sensible.get("extract/batch/unknown"),
        sensible.get("extract/batch/upload_urls/unknown/0/0"),
        sensible.send("PUT", "extract/batch/unknown", {"description": "new"}),
    ]
    ranges = [sensible.get(f"extract/batch/upload_urls/batch/{page_range}") for page_range in ("0/1", "1/0", "a/b")]

    # then
    missing = (404, "Not found: there is no batch unknown")
    assert [(response.status_code, response.text) for response in unknown] == [missing] * 3
    range_error = (400, "The indices must be a range of the batch's documents")
    assert [(response.status_code, response.text) for response in ranges] == [range_error] * 3
