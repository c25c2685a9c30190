"""Sensible's documents as people change them: reviews, which are final, and plain edits."""

from math import inf

import pytest

from sandbox import PortfolioPart, SensibleDocument
from sandbox.sensible import Status

TOTAL = {"total": {"value": 7.5, "type": "currency", "unit": "$"}, "due": None}


@pytest.fixture
def sandbox(sandbox):
    for name in ("contracts", "claims"):
        sandbox.sensible.document_type(name)
    return sandbox


def test_a_review_is_decided_once_and_changes_values(sandbox, sensible):
    # given
    given = SensibleDocument("a.pdf", 0, TOTAL, review="NEEDS_REVIEW", extraction_id="one")
    sandbox.sensible.extract([given], "contracts")
    corrected = {**TOTAL, "due": {"value": "2026-12-01T00:00:00.000Z", "type": "date"}}

    # when
    before = sensible.get("documents/one").json()
    edited = sensible.send("PUT", "extractions/one", {"parsed_document": corrected}).json()
    approved = sensible.send("PUT", "extractions/one", {"reviewStatus": "APPROVED"}).json()
    again = sensible.send("PUT", "extractions/one", {"reviewStatus": "REJECTED"})

    # then
    assert [one["reviewStatus"] for one in (before, edited, approved)] == ["NEEDS_REVIEW", "NEEDS_REVIEW", "APPROVED"]
    assert [one["coverage"] for one in (before, edited, approved)] == [0.5, 1.0, 1.0]
    assert approved["parsed_document"] == corrected
    assert (approved["created"], approved["completed"]) == (before["created"], before["completed"])
    assert (again.status_code, again.text) == (400, "The extraction does not need a review")
    assert sandbox.sensible.document("one").review == "APPROVED"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (None, "A reviewStatus or a parsed_document is required"),
        ({"parsed_document": []}, "A reviewStatus or a parsed_document is required"),
        ({"reviewStatus": "DONE"}, "The reviewStatus must be APPROVED or REJECTED"),
        ({"reviewStatus": "APPROVED"}, "The extraction does not need a review"),
    ],
)
def test_a_bad_review_is_told(sandbox, sensible, body, text):
    # given
    sandbox.sensible.extract([SensibleDocument("a.pdf", 0, extraction_id="one")], "contracts")

    # when
    answer = sensible.send("PUT", "extractions/one", body)

    # then
    assert (answer.status_code, answer.text) == (400, text)


def test_a_portfolios_review_leaves_alone_what_needs_none(sandbox):
    # given
    parts = [PortfolioPart("contracts"), PortfolioPart("claims", review="NEEDS_REVIEW")]
    (one,) = sandbox.sensible.extract([SensibleDocument("a.pdf", 0, portfolio=parts)], "contracts")

    # when
    sandbox.sensible.review(one, "REJECTED", {"edited": None})

    # then
    view = sandbox.sensible.document(one)
    assert [part.review for part in view.parts] == [None, "REJECTED"]
    assert view.parts[1].parsed == {"edited": None}
    with pytest.raises(ValueError, match="review status is one of"):
        sandbox.sensible.review(one, "DONE")
    sandbox.sensible.review(one, "NEEDS_REVIEW")
    sandbox.sensible.review(one, "APPROVED")
    with pytest.raises(ValueError, match="final"):
        sandbox.sensible.review(one, "APPROVED")


def test_a_document_can_be_edited_without_a_review(sandbox):
    # given
    files = [SensibleDocument("a.pdf", 0, TOTAL), SensibleDocument("b.pdf", inf), SensibleDocument("c", 0, error="x")]
    ids = sandbox.sensible.extract(files, "contracts")
    (portfolio,) = sandbox.sensible.extract(
        [SensibleDocument("d.pdf", 0, portfolio=["contracts", "claims"])], "contracts"
    )

    # when
    for one in ids:
        sandbox.sensible.edit(one, {"edited": None})
    sandbox.sensible.edit(portfolio, {"edited": None}, 1)

    # then
    views = [sandbox.sensible.document(one) for one in ids]
    assert [(view.status, view.parsed) for view in views] == [(Status.COMPLETE, {"edited": None})] * 3
    assert [part.parsed == {"edited": None} for part in sandbox.sensible.document(portfolio).parts] == [False, True]
