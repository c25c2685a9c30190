"""Sensible's documents as people change them: reviews, which are final, and plain edits."""

from math import inf

import pytest

from docextract_sandbox import PortfolioPart, Sandbox, SensibleDocument
from docextract_sandbox.context import JsonObject
from docextract_sandbox.sensible import Status
from unit_tests.sandbox.conftest import BearerClient

TOTAL: JsonObject = {"total": {"value": 7.5, "type": "currency", "unit": "$"}, "due": None}


@pytest.fixture
def sandbox(sandbox: Sandbox) -> Sandbox:
    for name in ("contracts", "claims"):
        sandbox.sensible.add_document_type(name)
    return sandbox


def test_review_decision_is_final_and_keeps_edited_values(sandbox: Sandbox, sensible: BearerClient) -> None:
    # given
    document = SensibleDocument("a.pdf", 0, TOTAL, review="NEEDS_REVIEW", extraction_id="one")
    sandbox.sensible.extract([document], "contracts")
    corrected = {**TOTAL, "due": {"value": "2026-12-01T00:00:00.000Z", "type": "date"}}

    # when
    original = sensible.get("documents/one").json()
    edited = sensible.send("PUT", "extractions/one", {"parsed_document": corrected}).json()
    approved = sensible.send("PUT", "extractions/one", {"reviewStatus": "APPROVED"}).json()
    second_decision = sensible.send("PUT", "extractions/one", {"reviewStatus": "REJECTED"})

    # then
    assert [document_json["reviewStatus"] for document_json in (original, edited, approved)] == [
        "NEEDS_REVIEW",
        "NEEDS_REVIEW",
        "APPROVED",
    ]
    assert [document_json["coverage"] for document_json in (original, edited, approved)] == [0.5, 1.0, 1.0]
    assert approved["parsed_document"] == corrected
    assert (approved["created"], approved["completed"]) == (original["created"], original["completed"])
    assert (second_decision.status_code, second_decision.text) == (400, "The extraction does not need a review")
    assert sandbox.sensible.get_document("one").review == "APPROVED"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (None, "A reviewStatus or a parsed_document is required"),
        ({"parsed_document": []}, "A reviewStatus or a parsed_document is required"),
        ({"reviewStatus": "DONE"}, "The reviewStatus must be APPROVED or REJECTED"),
        ({"reviewStatus": "APPROVED"}, "The extraction does not need a review"),
    ],
)
def test_put_extraction_invalid_review_returns_400_with_message(
    sandbox: Sandbox, sensible: BearerClient, body: JsonObject | None, text: str
) -> None:
    # given
    sandbox.sensible.extract([SensibleDocument("a.pdf", 0, extraction_id="one")], "contracts")

    # when
    response = sensible.send("PUT", "extractions/one", body)

    # then
    assert (response.status_code, response.text) == (400, text)


def test_review_portfolio_changes_only_parts_that_need_review(sandbox: Sandbox) -> None:
    # given
    parts = [PortfolioPart("contracts"), PortfolioPart("claims", review="NEEDS_REVIEW")]
    (extraction_id,) = sandbox.sensible.extract([SensibleDocument("a.pdf", 0, portfolio=parts)], "contracts")

    # when
    sandbox.sensible.review(extraction_id, "REJECTED", {"edited": None})

    # then
    view = sandbox.sensible.get_document(extraction_id)
    assert [part.review for part in view.parts] == [None, "REJECTED"]
    assert view.parts[1].parsed_document == {"edited": None}
    with pytest.raises(ValueError, match="review status is one of"):
        sandbox.sensible.review(extraction_id, "DONE")
    sandbox.sensible.review(extraction_id, "NEEDS_REVIEW")
    sandbox.sensible.review(extraction_id, "APPROVED")
    with pytest.raises(ValueError, match="final"):
        sandbox.sensible.review(extraction_id, "APPROVED")


def test_edit_document_without_review_becomes_complete(sandbox: Sandbox) -> None:
    # given
    files = [SensibleDocument("a.pdf", 0, TOTAL), SensibleDocument("b.pdf", inf), SensibleDocument("c", 0, error="x")]
    ids = sandbox.sensible.extract(files, "contracts")
    (portfolio,) = sandbox.sensible.extract(
        [SensibleDocument("d.pdf", 0, portfolio=["contracts", "claims"])], "contracts"
    )

    # when
    for extraction_id in ids:
        sandbox.sensible.edit(extraction_id, {"edited": None})
    sandbox.sensible.edit(portfolio, {"edited": None}, 1)

    # then
    views = [sandbox.sensible.get_document(extraction_id) for extraction_id in ids]
    assert [(view.status, view.parsed_document) for view in views] == [(Status.COMPLETE, {"edited": None})] * 3
    assert [part.parsed_document == {"edited": None} for part in sandbox.sensible.get_document(portfolio).parts] == [
        False,
        True,
    ]
