"""Sensible's documents: every status, portfolios, document types, every refusal."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import requests

from docextract_sandbox import Clock, PortfolioPart, Sandbox, SensibleDocument
from docextract_sandbox.context import JsonObject
from docextract_sandbox.sensible.extractions import DocumentType
from unit_tests.sandbox.conftest import BearerClient

TOTAL: JsonObject = {"total": {"value": 7.5, "type": "currency", "unit": "$"}, "due": None}


def summarize_response(response: requests.Response) -> tuple[int, str, str]:
    return response.status_code, response.headers["content-type"].partition(";")[0], response.text


def text_error(status: int, text: str) -> tuple[int, str, str]:
    return status, "text/plain", text


@pytest.fixture
def sandbox(sandbox: Sandbox) -> Sandbox:
    for name in ("contracts", "claims"):
        sandbox.sensible.add_document_type(name, f"type-{name}")
    return sandbox


def find_document_type(sandbox: Sandbox, name: str) -> DocumentType:
    return next(document_type for document_type in sandbox.sensible.document_types if document_type.name == name)


def get_parsed_document(sandbox: Sandbox, extraction_id: str) -> Mapping[str, Any]:
    parsed_document = sandbox.sensible.get_document(extraction_id).parsed_document
    assert parsed_document is not None
    return parsed_document


def test_get_document_is_processing_then_complete(sandbox: Sandbox, clock: Clock, sensible: BearerClient) -> None:
    # given
    document = SensibleDocument("a.pdf", 12.25, TOTAL, page_count=3, extraction_id="one")
    sandbox.sensible.extract([document], "contracts")
    contracts = find_document_type(sandbox, "contracts")

    # when
    unfinished = sensible.get("documents/one").json()
    clock.advance(seconds=13)
    finished = sensible.get("documents/one").json()

    # then
    url = unfinished.pop("download_url")
    assert url.startswith("https://files.example.invalid/a.pdf?")
    assert unfinished == {
        "id": "one",
        "created": "2026-11-20T09:00:00.000Z",
        "status": "PROCESSING",
        "type": "contracts",
        "environment": "production",
        "document_name": "a.pdf",
        "content_type": "application/pdf",
    }
    assert finished.pop("download_url") != url
    assert finished.pop("file_metadata")["info"]["title"] == "contracts"
    assert finished.pop("classification_summary")[0]["score"] == {"value": 1, "fields_present": 1, "penalties": 0}
    assert finished == {
        **unfinished,
        "status": "COMPLETE",
        "completed": "2026-11-20T09:00:12.250Z",
        "configuration": "contracts_v1",
        "configuration_version": contracts.configuration_version,
        "page_count": 3,
        "coverage": 0.5,
        "charged": 1,
        "validation_summary": {"fields": 2, "fields_present": 1, "errors": 0, "warnings": 1, "skipped": 0},
        "validations": [{"description": "due is present", "severity": "warning", "message": "The field was not found"}],
        "errors": [],
        "parsed_document": TOTAL,
    }


def test_get_document_failed_file_has_errors(sandbox: Sandbox, sensible: BearerClient) -> None:
    # given
    sandbox.sensible.extract([SensibleDocument("a.docx", 0, error="Unreadable", extraction_id="one")], "contracts")

    # when
    document = sensible.get("documents/one").json()

    # then
    assert (document["status"], document["completed"]) == ("FAILED", "2026-11-20T09:00:00.000Z")
    assert document["errors"] == [{"message": "Unreadable", "type": "unexpected"}]
    assert document["content_type"].endswith("wordprocessingml.document")
    assert not {"parsed_document", "coverage", "validation_summary"} & set(document)


def test_portfolio_has_documents_of_several_types(sandbox: Sandbox, sensible: BearerClient) -> None:
    # given
    parts = [PortfolioPart("contracts", TOTAL, "NEEDS_REVIEW"), PortfolioPart("claims", {"number": None})]
    new_document = SensibleDocument("mail.pdf", 0, portfolio=parts, page_count=6, extraction_id="one")
    sandbox.sensible.extract([new_document], "contracts")

    # when
    document = sensible.get("documents/one").json()
    (summary,) = sensible.get("extractions").json()["extractions"]

    # then
    for response in (document, summary):
        assert response["types"] == ["contracts", "claims"]
        assert not {"type", "configuration", "parsed_document"} & set(response)
        assert (response["coverage"], response["charged"], response["page_count"]) == (0.25, 2, 6)
        assert response["validation_summary"]["fields"] == 3
        assert response["reviewStatuses"] == ["NEEDS_REVIEW", None]
    first, second = document["documents"]
    assert first["output"]["parsed_document"] == TOTAL
    assert (first["documentType"], first["configuration"]) == ("contracts", "contracts_v1")
    assert [(part["startPage"], part["endPage"]) for part in (first, second)] == [(0, 2), (3, 5)]
    assert second["output"]["coverage"] == 0
    assert summary["documents"][1] == {
        "documentType": "claims",
        "configuration": "claims_v1",
        "startPage": 3,
        "endPage": 5,
        "output": {
            "errors": [],
            "validations": [
                {"description": "number is present", "severity": "warning", "message": "The field was not found"}
            ],
        },
    }


def test_portfolio_camel_case_switch_renames_output_keys(sandbox: Sandbox, sensible: BearerClient) -> None:
    # given
    ids = sandbox.sensible.extract(
        [SensibleDocument("a.pdf", 0, portfolio=["contracts"]), SensibleDocument("b.pdf", 0)], "contracts"
    )
    (plain,) = sensible.get(f"documents/{ids[0]}").json()["documents"]

    # when
    sandbox.switches = replace(sandbox.switches, sensible_camel_case=True)
    (camel,) = sensible.get(f"documents/{ids[0]}").json()["documents"]
    single = sensible.get(f"documents/{ids[1]}").json()

    # then
    assert camel["output"]["parsedDocument"] == plain["output"]["parsed_document"]
    assert {"fileMetadata", "classificationSummary", "validationSummary", "errors"} < set(camel["output"])
    assert "parsed_document" in single


def test_get_document_purged_or_too_large_is_an_error_but_still_listed(
    sandbox: Sandbox, sensible: BearerClient
) -> None:
    # given
    files = [SensibleDocument(f"{number}.pdf", 0, extraction_id=number) for number in ("gone", "later")]
    sandbox.sensible.extract([replace(files[0], is_purged=True), files[1]], "contracts")
    sandbox.sensible.extract([SensibleDocument("x.pdf", 0, is_too_large=True, extraction_id="large")], "contracts")
    assert sensible.get("documents/later").ok

    # when
    sandbox.sensible.purge("later")

    # then
    for extraction_id in ("gone", "later", "unknown"):
        assert summarize_response(sensible.get(f"documents/{extraction_id}")) == text_error(
            404, f"Not found: there is no extraction {extraction_id}"
        )
    large = "The extraction exceeds the maximum response size of 6 MB"
    assert summarize_response(sensible.get("documents/large")) == text_error(413, large)
    assert {row["id"] for row in sensible.get("extractions").json()["extractions"]} == {"gone", "later", "large"}


def test_document_types_list_and_single_type_agree(sensible: BearerClient) -> None:
    # when
    types = sensible.get("document_types").json()
    document_type = sensible.get("document_types/type-claims").json()

    # then
    assert [type_["name"] for type_ in types] == ["contracts", "claims"]
    assert types[1] == document_type
    assert (document_type["id"], document_type["created"]) == ("type-claims", "2026-11-20T09:00:00.000Z")
    assert set(document_type["schema"]) == {
        "fingerprint_mode",
        "ocr_engine",
        "ocr_level",
        "prevent_default_merge_lines",
        "validations",
        "review_triggers",
    }
    unknown = sensible.get("document_types/unknown")
    assert summarize_response(unknown) == text_error(404, "Not found: there is no document type unknown")


@pytest.mark.parametrize("header", [None, "Bearer wrong", "sandbox-sensible-key"])
def test_wrong_key_every_endpoint_returns_401(sensible: BearerClient, header: str | None) -> None:
    # given
    if header is None:
        del sensible.session.headers["Authorization"]
    else:
        sensible.session.headers["Authorization"] = header

    # when
    responses = [
        sensible.get("extractions"),
        sensible.get("documents/unknown"),
        sensible.get("document_types"),
        sensible.get("document_types/unknown"),
        sensible.get("extract/batch/unknown"),
        sensible.get("extract/batch/upload_urls/unknown/0/1"),
        sensible.send("POST", "extract/batch", {}),
        sensible.send("PUT", "extract/batch/unknown", {}),
        sensible.send("PUT", "extractions/unknown", {}),
    ]

    # then
    assert [summarize_response(response) for response in responses] == [text_error(401, "Unauthorized")] * 9


def test_throttle_and_quota_switches_return_429_the_given_times(sandbox: Sandbox, sensible: BearerClient) -> None:
    # when
    sandbox.switches = replace(sandbox.switches, sensible_quota_spent=1, sensible_throttle=2)
    responses = [summarize_response(sensible.get("extractions", limit=1)) for _ in range(4)]

    # then
    throttled = text_error(429, "Attempt limit exceeded, please retry after some time.")
    assert responses[:2] == [throttled, throttled]
    assert responses[2] == text_error(429, "Free accounts are limited to 150 API calls per month.")
    assert responses[3][:2] == (200, "application/json")
    assert (sandbox.switches.sensible_quota_spent, sandbox.switches.sensible_throttle) == (0, 0)


def test_naive_times_switch_omits_the_zone(sandbox: Sandbox, sensible: BearerClient) -> None:
    # given
    sandbox.sensible.extract([SensibleDocument("a.pdf", 1.5, extraction_id="one")], "contracts")
    sandbox.sensible.finish()

    # when
    sandbox.switches = replace(sandbox.switches, sensible_naive_times=True)
    sandbox.clock.advance(seconds=2)

    # then
    for response in (sensible.get("documents/one").json(), sensible.get("extractions").json()["extractions"][0]):
        assert (response["created"], response["completed"]) == ("2026-11-20T09:00:00.000", "2026-11-20T09:00:00.000")


def test_get_document_unknown_key_and_status_switches_change_the_response(
    sandbox: Sandbox, sensible: BearerClient
) -> None:
    # given
    ids = sandbox.sensible.extract([SensibleDocument("a.pdf", 60), SensibleDocument("b.pdf", 0, TOTAL)], "contracts")
    extra = {"note": "added by the sandbox"}

    # when
    sandbox.switches = replace(sandbox.switches, unknown_keys=True, unknown_status="QUEUED")
    recent, finished = (sensible.get(f"documents/{id_}").json() for id_ in ids)

    # then
    assert (recent["status"], finished["status"]) == ("QUEUED", "COMPLETE")
    assert recent["undocumented"] == finished["undocumented"] == finished["validation_summary"]["undocumented"] == extra
    assert finished["parsed_document"] == TOTAL
    assert "undocumented" in sensible.get("document_types").json()[0]["schema"]


def test_generated_fields_have_every_documented_shape(sandbox: Sandbox) -> None:
    # given
    sandbox.sensible.add_document_type("tax_forms")
    read = {}
    for name in ("contracts", "tax_forms", "claims"):
        ids = sandbox.sensible.extract([SensibleDocument(f"{number}.pdf", 0) for number in range(30)], name)
        read[name] = [get_parsed_document(sandbox, id_) for id_ in ids]

    # when
    fields = [field for documents in read.values() for parsed in documents for field in parsed.values()]
    single = [field for field in fields if isinstance(field, dict) and "value" in field]
    types = {field["type"]: type(field["value"]) for field in single}

    # then
    assert None in fields
    assert {"currency", "percentage", "accountingCurrency", "phoneNumber", "address", "distance", "weight"} < set(types)
    assert (types["name"], types["boolean"], types["currency"], types["date"]) == (list, bool, float, str)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT00:00:00.000Z", id_["value"]) for id_ in single if id_["type"] == "date")
    assert any("confidenceSignal" in field for field in single)
    assert all("filing_status.single" in parsed and "employer address" in parsed for parsed in read["tax_forms"])
    assert all(signatory["type"] == "name" for signatory in read["contracts"][0]["signatories"])
    assert {"title", "page", "amendments"} == set(read["contracts"][0]["clauses"][0])
    columns = [column for parsed in read["claims"] for column in parsed["losses"]["columns"]]
    assert {column["id"] for column in columns} == {"date_of_loss", "cause", "paid"}
    assert any(value is None for column in columns for value in column["values"])


def test_in_process_call_invalid_id_raises_an_error(sandbox: Sandbox) -> None:
    # given
    (extraction_id,) = sandbox.sensible.extract([SensibleDocument("a.pdf", 60)], "contracts")
    batch = sandbox.sensible.add_batch(["b.pdf"], "contracts")

    # when / then
    attempt: Callable[[], object]
    for attempt in (
        lambda: sandbox.sensible.add_document_type("contracts"),
        lambda: sandbox.sensible.extract([SensibleDocument("a.pdf", extraction_id=extraction_id)], "contracts"),
        lambda: sandbox.sensible.extract([SensibleDocument("a.pdf", portfolio=[])], "contracts"),
        lambda: sandbox.sensible.add_batch(["b.pdf"], "contracts", batch_id=batch),
        lambda: sandbox.sensible.review(extraction_id, "APPROVED"),
    ):
        with pytest.raises(ValueError, match=r"already|portfolio|not complete"):
            attempt()
    for attempt in (
        lambda: sandbox.sensible.extract(["a.pdf"], "unknown"),
        lambda: sandbox.sensible.extract([SensibleDocument("a.pdf", portfolio=["unknown"])], "contracts"),
        lambda: sandbox.sensible.finish("unknown"),
        lambda: sandbox.sensible.upload(batch, 1),
        lambda: sandbox.sensible.upload("unknown", 0),
        lambda: sandbox.sensible.purge("unknown"),
    ):
        with pytest.raises(LookupError):
            attempt()
    assert sandbox.sensible.finish(extraction_id) == 1
