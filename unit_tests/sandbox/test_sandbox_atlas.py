"""Atlas bulk: tokens, submitting, pages, young batches, every error."""

import re

import pytest
import requests

from sandbox import NewDocument

PAN = {"document_type": "PAN", "pan_number": {"value": "ABCDE1234F", "confidence_score": 0.98}}


def told(response: requests.Response) -> tuple[int, object]:
    return response.status_code, response.json()


def error(status: int, message: str) -> tuple[int, object]:
    return status, {"error_code": str(status), "error_message": message}


BAD_TOKEN = error(401, "Authentication Error: the token is missing, invalid, or expired")


def test_a_login_gives_a_token_for_an_hour(sandbox, clock, atlas):
    # given
    sandbox.atlas.submit([NewDocument("1", 0, PAN)], batch_id="batch")

    # when
    login = atlas.login()
    atlas.session.headers["Token"] = login.json()["access_token"]
    fresh = atlas.extracts("batch")
    clock.advance(seconds=3599)
    old = atlas.extracts("batch")
    clock.advance(seconds=1)
    expired = atlas.extracts("batch")
    atlas.use_new_token()
    renewed = atlas.extracts("batch")

    # then
    assert login.status_code == 201
    assert login.json() == {"access_token": login.json()["access_token"], "expires_in": 3600}
    assert [answer.status_code for answer in (fresh, old, renewed)] == [200, 200, 200]
    assert told(expired) == BAD_TOKEN
    assert sandbox.atlas.logins == 2


def test_tokens_can_be_made_to_expire(sandbox, atlas):
    # given
    sandbox.atlas.submit([NewDocument("1", 0, PAN)], batch_id="batch")
    assert atlas.extracts("batch").ok

    # when
    sandbox.atlas.expire_tokens()

    # then
    assert told(atlas.extracts("batch")) == BAD_TOKEN
    assert told(atlas.upload({})) == BAD_TOKEN


@pytest.mark.parametrize("headers", [{}, {"Client-Id": "sandbox-atlas-client"}, {"Client-Secret": "x"}])
def test_a_login_without_both_credentials_has_its_own_error(sandbox, atlas, headers):
    # when / then
    assert told(atlas.login(headers)) == (400, {"error": "Missing Client-Id or Client-Secret"})
    assert sandbox.atlas.logins == 0


def test_a_login_with_wrong_credentials_is_refused(atlas):
    # when
    answer = atlas.login({"Client-Id": "sandbox-atlas-client", "Client-Secret": "wrong"})

    # then
    assert told(answer) == error(401, "Authentication Error: wrong Client-Id or Client-Secret")


def test_an_unknown_token_is_refused(atlas):
    # when
    atlas.session.headers["Token"] = "unknown"

    # then
    assert told(atlas.extracts("batch")) == BAD_TOKEN


def test_documents_are_submitted_over_http_and_extracted_in_time(sandbox, clock, atlas):
    # given
    files = [{"file_url": f"https://files.example.invalid/{n}", "document_id": str(n)} for n in range(1, 5)]

    # when
    submitted = atlas.upload({"product_type": "POC_CDL", "file_urls": files})
    batch_id = submitted.json()[0]["batch_id"]
    young = atlas.extracts(batch_id).json()
    clock.advance(seconds=120)
    done = atlas.extracts(batch_id).json()

    # then
    assert submitted.status_code == 201
    assert [(one["batch_id"], one["document_id"]) for one in submitted.json()] == [
        (batch_id, str(number)) for number in range(1, 5)
    ]
    assert all(set(one) == {"batch_id", "document_id", "file_uuid"} for one in submitted.json())
    assert re.fullmatch(r"BATCH-\d{5}-[A-Z]{5}-20261120090000", batch_id)
    assert (young["data"], young["total_items"], young["has_next"]) == ([], 0, False)
    assert [row["document_id"] for row in done["data"]] == ["1", "2", "3", "4"]
    assert sandbox.atlas.batch(batch_id).product_type == "POC_CDL"


def test_pages_follow_each_other(sandbox, atlas):
    # given
    sandbox.atlas.submit([NewDocument(str(number), 0, PAN) for number in range(120)], batch_id="batch")

    # when
    first, third, beyond = (atlas.extracts("batch", page=page).json() for page in (1, 3, 4))
    small = atlas.extracts("batch", page=2, per_page=7).json()

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
    assert (beyond["data"], beyond["page"], beyond["has_next"]) == ([], 4, False)
    assert [row["document_id"] for row in small["data"]] == ["7", "8", "9", "10", "11", "12", "13"]
    assert small["total_pages"] == 18


def test_a_young_batch_grows_in_the_order_of_submission(sandbox, clock, atlas):
    # given
    documents = [NewDocument("slow", 100, PAN), NewDocument("quick", 10, PAN)]
    batch_id = sandbox.atlas.submit(documents)

    # when
    clock.advance(seconds=10)
    early = atlas.extracts(batch_id).json()
    sandbox.atlas.add(batch_id, ["late"])
    sandbox.atlas.finish(batch_id, "slow")
    later = atlas.extracts(batch_id).json()
    finished = sandbox.atlas.finish()
    complete = atlas.extracts(batch_id).json()

    # then
    assert ([row["document_id"] for row in early["data"]], early["total_items"]) == (["quick"], 1)
    assert [row["document_id"] for row in later["data"]] == ["slow", "quick"]
    assert finished == 1
    assert [row["document_id"] for row in complete["data"]] == ["slow", "quick", "late"]


def test_a_document_can_fail_and_be_edited(sandbox, atlas):
    # given
    batch_id = sandbox.atlas.submit([NewDocument("1", 0, error_code="UNRECOGNISED"), NewDocument("2", 0, PAN)])

    # when
    before = atlas.extracts(batch_id).json()["data"]
    sandbox.atlas.edit(batch_id, "1", PAN)
    after = atlas.extracts(batch_id).json()["data"]

    # then
    assert before == [
        {"document_id": "1", "file_data": {}, "error_code": "UNRECOGNISED"},
        {"document_id": "2", "file_data": PAN},
    ]
    assert after[0] == {"document_id": "1", "file_data": PAN}


def test_a_redacted_aadhaar_has_a_link_that_differs_in_every_answer(sandbox, atlas):
    # given
    number = {"value": "**** **** 9012", "confidence_score": 0.9, "redact_url": ""}
    batch_id = sandbox.atlas.submit(
        [NewDocument("1", 0, {"document_type": "AADHAAR", "aadhaar_number": number}), NewDocument("2", 0, PAN)]
    )

    # when
    answers = [atlas.extracts(batch_id).json()["data"] for _ in range(2)]

    # then
    links = [rows[0]["file_data"]["aadhaar_number"].pop("redact_url") for rows in answers]
    assert links[0] != links[1]
    assert all(link.startswith("https://files.example.invalid/") for link in links)
    assert answers[0] == answers[1]


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
def test_a_bad_query_is_told(sandbox, atlas, query, message):
    # given
    sandbox.atlas.submit([NewDocument("1", 0, PAN)], batch_id="batch")

    # when / then
    assert told(atlas.extracts(**{"batch_id": "batch", **query})) == error(400, message)


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
def test_a_bad_submission_is_told(sandbox, atlas, body, message):
    # when / then
    assert told(atlas.upload(body)) == error(400, message)
    assert sandbox.atlas.batch_ids == []


def test_in_process_ids_that_do_not_fit_are_errors(sandbox):
    # given
    sandbox.atlas.submit(["1"], batch_id="batch")

    # when / then
    with pytest.raises(ValueError, match="already"):
        sandbox.atlas.submit(["1"], batch_id="batch")
    with pytest.raises(LookupError):
        sandbox.atlas.edit("batch", "2", {})
    with pytest.raises(LookupError):
        sandbox.atlas.add("unknown", ["1"])
