"""Sensible's list: pages, ties, tokens, windows, filters, long histories."""

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from docextract_sandbox import Clock, PortfolioPart, Sandbox, SensibleDocument
from docextract_sandbox.context import JsonObject
from docextract_sandbox.switches import apply_changes
from unit_tests.sandbox.conftest import BearerClient

START = datetime(2026, 11, 20, 9, 0, tzinfo=timezone.utc)


@pytest.fixture
def sandbox(sandbox: Sandbox) -> Sandbox:
    for name in ("contracts", "claims"):
        sandbox.sensible.add_document_type(name, f"type-{name}")
    return sandbox


def add_documents(
    sandbox: Sandbox,
    *names: str,
    created_at: datetime = START,
    type_name: str = "contracts",
    environment: str = "production",
    duration_seconds: float = 0,
    error: str | None = None,
    review: str | None = None,
    portfolio: Sequence[str | PortfolioPart] | None = None,
    coverage: float | None = None,
) -> None:
    documents = [
        SensibleDocument(
            f"{name}.pdf",
            duration_seconds,
            error=error,
            review=review,
            portfolio=portfolio,
            coverage=coverage,
            extraction_id=name,
        )
        for name in names
    ]
    sandbox.sensible.extract(documents, type_name, environment=environment, created_at=created_at)


def list_ids(sensible: BearerClient, **query: str | int | float) -> list[str]:
    response = sensible.get("extractions", **query).json()
    return [row["id"] for row in response["extractions"]]


def list_pages(sensible: BearerClient, **query: str | int | float) -> list[list[str]]:
    """All pages, as lists of ids."""
    pages: list[list[str]] = []
    token: str | None = None
    while not pages or token is not None:
        response = sensible.get("extractions", **query, continuation_token=token).json()
        pages.append([row["id"] for row in response["extractions"]])
        token = response["continuation_token"]
    return pages


def test_list_rows_have_no_extracted_data_and_no_batch_by_default(sandbox: Sandbox, sensible: BearerClient) -> None:
    # given
    parsed: JsonObject = {"total": {"value": 1, "type": "number"}, "due": None}
    document = SensibleDocument("a.pdf", 20.01, parsed, review="NEEDS_REVIEW", page_count=3, extraction_id="one")
    batch_id = sandbox.sensible.add_batch([document, SensibleDocument("b.pdf", extraction_id="two")], "contracts")
    sandbox.sensible.upload(batch_id, 0)
    sandbox.clock.advance(seconds=30)

    # when
    response = sensible.get("extractions").json()
    sandbox.switches = replace(sandbox.switches, sensible_batch_id_in_list=True)
    with_batch = sensible.get("extractions").json()

    # then
    newer, older = response["extractions"]
    assert (response["continuation_token"], response["cutoff_date"]) == (None, None)
    assert newer == {
        "id": "two",
        "created": "2026-11-20T09:00:00.000Z",
        "status": "WAITING",
        "type": "contracts",
        "environment": "production",
        "document_name": "b.pdf",
    }
    assert older == {
        **newer,
        "id": "one",
        "completed": "2026-11-20T09:00:20.010Z",
        "status": "COMPLETE",
        "document_name": "a.pdf",
        "configuration": "contracts_v1",
        "page_count": 3,
        "coverage": 0.5,
        "charged": 1,
        "reviewStatuses": ["NEEDS_REVIEW"],
        "validation_summary": {"fields": 2, "fields_present": 1, "errors": 0, "warnings": 1, "skipped": 0},
        "validations": [{"description": "due is present", "severity": "warning", "message": "The field was not found"}],
        "errors": [],
    }
    assert with_batch["extractions"] == [{**row, "batchId": batch_id} for row in (newer, older)]


def test_list_review_statuses_without_review_are_null(sandbox: Sandbox, sensible: BearerClient) -> None:
    # given
    add_documents(sandbox, "one")

    # when / then
    assert sensible.get("extractions").json()["extractions"][0]["reviewStatuses"] is None


def test_list_pages_with_ties_are_consecutive(sandbox: Sandbox, sensible: BearerClient) -> None:
    # given
    for number in range(3):
        names = [f"{number}-{tie}" for tie in range(5)]
        add_documents(sandbox, *names, created_at=START - timedelta(hours=number))
    expected = [f"{number}-{tie}" for number in range(3) for tie in (4, 3, 2, 1, 0)]

    # when / then
    for limit in (1, 2, 4, 5, 14):
        pages = list_pages(sensible, limit=limit)
        assert [extraction_id for page in pages for extraction_id in page] == expected
        assert {len(page) for page in pages[:-1]} == {limit}
    assert list_pages(sensible, limit=15) == [expected]
    assert list_pages(sensible) == [expected]


def test_list_page_has_20_rows_by_default(sandbox: Sandbox, sensible: BearerClient) -> None:
    # given
    add_documents(sandbox, *(f"{number:02d}" for number in range(25)))

    # when / then
    assert [len(page) for page in list_pages(sensible)] == [20, 5]


def test_list_continuation_token_names_the_last_row_and_stays_valid(sandbox: Sandbox, sensible: BearerClient) -> None:
    # given
    for number in range(4):
        add_documents(sandbox, str(number), created_at=START - timedelta(hours=number))
    token = sensible.get("extractions", limit=2).json()["continuation_token"]

    # when
    add_documents(sandbox, "late")
    content = json.loads(base64.b64decode(token))

    # then
    assert set(content) == {"id", "user", "created"}
    assert content["id"] == "1"
    assert list_ids(sensible, continuation_token=token) == ["2", "3"]
    assert list_ids(sensible, continuation_token=token, start_date="2026-11-20T07:00:00Z") == ["2"]


def test_list_window_bounds_are_inclusive(sandbox: Sandbox, sensible: BearerClient) -> None:
    # given
    for number in range(4):
        add_documents(sandbox, str(number), created_at=START - timedelta(minutes=number))

    # when / then
    ends = {"start_date": "2026-11-20T08:58:00.000Z", "end_date": "2026-11-20T08:59:00.000Z"}
    assert list_ids(sensible, **ends) == ["1", "2"]
    assert list_ids(sensible, start_date="2026-11-20T08:58:00.000001Z") == ["0", "1"]
    assert list_ids(sensible, end_date="2026-11-20T08:58:59.999999Z") == ["2", "3"]
    assert list_ids(sensible, start_date="2026-11-20T09:58:00+01:00", end_date="2026-11-20T08:58:00") == ["2"]
    assert list_ids(sensible, start_date="2026-11-20T08:58:00Z", end_date="2026-11-20T08:58:00Z") == ["2"]
    assert list_pages(sensible, limit=1, **ends) == [["1"], ["2"]]


def test_list_without_end_date_ends_at_the_current_time(sandbox: Sandbox, clock: Clock, sensible: BearerClient) -> None:
    # given
    add_documents(sandbox, "later", created_at=START + timedelta(hours=1))

    # when / then
    assert list_ids(sensible) == []
    clock.advance(seconds=3600)
    assert list_ids(sensible) == ["later"]


def test_list_filters_narrow_the_rows(sandbox: Sandbox, sensible: BearerClient) -> None:
    # given
    add_documents(sandbox, "done", coverage=0.5)
    add_documents(sandbox, "good", coverage=0.9, review="NEEDS_REVIEW", type_name="claims")
    add_documents(sandbox, "tried", coverage=0.1, environment="development")
    add_documents(sandbox, "failed", error="Unreadable")
    add_documents(sandbox, "young", duration_seconds=60)
    add_documents(sandbox, "bundle", portfolio=["contracts", "claims"], coverage=0.6)
    sandbox.sensible.add_batch([SensibleDocument("x.pdf", extraction_id="waiting")], "claims")
    claims = next(document_type for document_type in sandbox.sensible.document_types if document_type.name == "claims")

    # when / then
    assert list_ids(sensible, document_type_ids="type-claims") == ["waiting", "good", "bundle"]
    assert len(list_ids(sensible, document_type_ids="type-claims,type-contracts")) == 7
    assert list_ids(sensible, document_type_ids="unknown") == []
    assert list_ids(sensible, configuration_ids=claims.configuration_id) == ["waiting", "good", "bundle"]
    assert list_ids(sensible, environments="DEVELOPMENT") == ["tried"]
    assert len(list_ids(sensible, environments="PRODUCTION,DEVELOPMENT")) == 7
    assert list_ids(sensible, statuses="WAITING,PROCESSING") == ["young", "waiting"]
    assert list_ids(sensible, statuses="FAILED") == ["failed"]
    assert list_ids(sensible, statuses="COMPLETE") == ["tried", "good", "done", "bundle"]
    assert list_ids(sensible, review_statuses="NEEDS_REVIEW") == ["good"]
    assert list_ids(sensible, min_coverage=0.5, max_coverage=0.6) == ["done", "bundle"]
    assert list_pages(sensible, limit=1, min_coverage=0.5) == [["good"], ["done"], ["bundle"]]
    sandbox.sensible.review("good", "APPROVED")
    assert list_ids(sensible, review_statuses="APPROVED,REJECTED") == ["good"]
    assert list_ids(sensible, review_statuses="NEEDS_REVIEW") == []


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"limit": 0}, "The limit must be a whole number from 1"),
        ({"limit": "ten"}, "The limit must be a whole number from 1"),
        ({"start_date": "yesterday"}, "The start_date must be a date-time such as 2026-03-09T08:14:08.000Z"),
        (
            {"start_date": "2026-11-02T00:00:00Z", "end_date": "2026-11-01T00:00:00Z"},
            "The start date must be before the end date",
        ),
        ({"continuation_token": "?"}, "The continuation token is not valid"),
        ({"continuation_token": "e30="}, "The continuation token is not valid"),
        ({"statuses": "DONE"}, "The statuses must be among WAITING, PROCESSING, COMPLETE, FAILED"),
        ({"environments": "TEST"}, "The environments must be among PRODUCTION, DEVELOPMENT"),
        ({"min_coverage": "2"}, "The min_coverage must be a number from 0 to 1"),
        ({"max_coverage": "high"}, "The max_coverage must be a number from 0 to 1"),
    ],
)
def test_list_invalid_query_returns_400_with_message(
    sensible: BearerClient, query: dict[str, str | int], text: str
) -> None:
    # when
    response = sensible.get("extractions", **query)

    # then
    assert (response.status_code, response.text) == (400, text)
    assert response.headers["content-type"].startswith("text/plain")


def test_add_history_long_history_is_listed_from_both_ends(sandbox: Sandbox, sensible: BearerClient) -> None:
    # given
    start = datetime(2024, 1, 1, tzinfo=timezone.utc)
    add_documents(sandbox, "before", created_at=start - timedelta(seconds=1))

    # when
    ids = sandbox.sensible.add_history("claims", 20_000, start, 30)
    newest = sensible.get("extractions", limit=5).json()
    oldest = sensible.get("extractions", end_date="2024-01-01T00:01:00Z").json()

    # then
    assert len(set(ids)) == 20_000
    assert [row["id"] for row in newest["extractions"]] == ids[:-6:-1]
    assert [row["id"] for row in oldest["extractions"]] == [ids[2], ids[1], ids[0], "before"]
    assert oldest["continuation_token"] is None
    row = oldest["extractions"][2]
    assert (row["created"], row["completed"]) == ("2024-01-01T00:00:00.000Z", "2024-01-01T00:00:10.000Z")
    document = sensible.get(f"documents/{ids[0]}").json()
    assert document["parsed_document"]["reference"] == {"value": "R-0000000", "type": "string"}
    del row["reviewStatuses"]
    assert document.items() >= row.items()
    assert list_ids(sensible, document_type_ids="type-contracts") == ["before"]
    assert list_ids(sensible, statuses="PROCESSING") == []


def test_add_history_extractions_are_complete_and_reviewable(sandbox: Sandbox, sensible: BearerClient) -> None:
    # given
    ids = sandbox.sensible.add_history("claims", 3, START - timedelta(seconds=2), 1)

    # when
    sandbox.sensible.review(ids[1], "NEEDS_REVIEW")
    sandbox.sensible.edit(ids[0], {"edited": None})

    # then
    assert list_ids(sensible, statuses="COMPLETE") == ids[::-1]
    assert list_ids(sensible, review_statuses="NEEDS_REVIEW") == [ids[1]]
    assert sensible.get(f"documents/{ids[0]}").json()["parsed_document"] == {"edited": None}
    assert sandbox.sensible.finish() == 0


@pytest.mark.parametrize(
    ("mode", "expected_ids"),
    [("obeyed", ["young", "waiting"]), ("first", ["waiting"]), ("ignored", ["young", "waiting", "done"])],
)
def test_list_statuses_are_treated_as_the_switch_says(
    sandbox: Sandbox, sensible: BearerClient, mode: str, expected_ids: list[str]
) -> None:
    # given
    add_documents(sandbox, "done")
    add_documents(sandbox, "young", duration_seconds=60)
    sandbox.sensible.add_batch([SensibleDocument("x.pdf", extraction_id="waiting")], "claims", created_at=START)
    sandbox.switches = apply_changes(sandbox.switches, {"sensible_status_filter": mode})

    # when / then
    assert list_ids(sensible, statuses="WAITING,PROCESSING") == expected_ids


def test_list_refused_statuses_return_400_in_text(sandbox: Sandbox, sensible: BearerClient) -> None:
    # given
    sandbox.switches = apply_changes(sandbox.switches, {"sensible_status_filter": "refused"})

    # when
    response = sensible.get("extractions", review_statuses="NEEDS_REVIEW")

    # then
    assert (response.status_code, response.text) == (400, "The review_statuses cannot be filtered by")
