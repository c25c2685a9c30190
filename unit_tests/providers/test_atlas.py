"""Atlas's answers, played by hand: pages that grow, stick or repeat, documents in work, tokens, ids with a clock."""

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from source_docextract.core.errors import RequestRejected, ResourceUnavailable, TransientError, UnreadableResponse
from source_docextract.core.model import Document, FileStatus, PartitionRef, PartitionStatus, Snapshot
from source_docextract.core.provider import ProviderSpec, RequestSeries
from source_docextract.core.requests import Request
from source_docextract.providers.atlas.provider import build_atlas_spec
from source_docextract.settings import Settings
from source_docextract.tables.rows import FILES, RESULTS, RenderOptions
from unit_tests.support.cases import each_case
from unit_tests.support.stub_server import play_flow

PENDING, PROCESSED, FAILED = FileStatus.PENDING, FileStatus.PROCESSED, FileStatus.FAILED
OPEN, COMPLETE = PartitionStatus.OPEN, PartitionStatus.COMPLETE


def make_spec(*batch_ids: str) -> ProviderSpec:
    config = {"client_id": "client-id-01", "client_secret": "client-secret-01", "batch_ids": list(batch_ids)}
    parsed = Settings.parse({"atlas": config})
    assert parsed.atlas is not None
    return build_atlas_spec(parsed.atlas)


PLAN = make_spec("B1")
[PRODUCT] = PLAN.stream_groups
[REF] = PRODUCT.explicit_partitions

AADHAAR = {
    "document_type": "AADHAAR",
    "name": {"value": "A PERSON", "confidence_score": 0.95},
    "date_of_birth": {"value": "16/07/1986", "confidence_score": 0.98},
    "aadhaar_number": {"value": "1234 5678 9012", "confidence_score": 0.99, "redact_url": "https://x/1?sig=1"},
}


def make_row(number: Any, **more: Any) -> dict[str, Any]:
    return {"document_id": str(number), "file_data": {"document_type": "PAN", "n": number}, **more}


def make_page(number: int, rows: list[Any], *, total: int, more: bool = False, **others: Any) -> dict[str, Any]:
    """One answer of /extracts of a batch of so many documents."""
    body = {"data": rows, "page": number, "per_page": 50, "total_pages": -(-total // 50), "total_items": total}
    body |= {"has_next": more, "has_prev": number > 1, **others}
    return {name: value for name, value in body.items() if value is not ...}


def make_rows(first: int, last: int) -> list[dict[str, Any]]:
    return [make_row(number) for number in range(first, last + 1)]


def read_batch(*responses: Any) -> tuple[Snapshot, list[list[int]]]:
    """The snapshot, and the numbers of the pages that were asked for side by side."""
    snapshot, sent_requests = play_flow(PRODUCT.fetch(REF), *responses)
    for request in (request for requests in sent_requests for request in requests):
        number = request.params["page"]
        assert request == Request("GET", "/extracts", {"batch_id": "B1", "page": number, "per_page": 50})
    assert isinstance(snapshot, Snapshot)
    return snapshot, [[int(request.params["page"]) for request in requests] for requests in sent_requests]


def get_documents(snapshot: Snapshot) -> tuple[Document, ...]:
    assert snapshot.documents is not None
    return snapshot.documents


def get_keys(snapshot: Snapshot) -> list[str]:
    return [document.key for document in get_documents(snapshot)]


def test_batch_documented_response_is_read() -> None:
    body = make_page(1, [{"document_id": "1", "file_data": AADHAAR}], total=1)
    snapshot, sent_requests = read_batch([body])
    assert sent_requests == [[1]]
    assert snapshot.status is COMPLETE
    assert (snapshot.provider_data, snapshot.references, snapshot.completed_at) == ({}, (), None)
    [document] = get_documents(snapshot)
    assert (document.key, document.file_id, document.file_name) == ("1", "1", None)
    assert (document.status, document.document_type, document.error) == (PROCESSED, "AADHAAR", None)
    [extraction] = document.extractions
    assert extraction.data == AADHAAR
    assert extraction.document_type == "AADHAAR"


def test_pages_with_known_count_are_requested_concurrently() -> None:
    snapshot, sent_requests = read_batch(
        [make_page(1, make_rows(1, 50), total=120, more=True)],
        [make_page(2, make_rows(51, 100), total=120, more=True), make_page(3, make_rows(101, 120), total=120)],
    )
    assert sent_requests == [[1], [2, 3]]
    assert snapshot.status is COMPLETE
    assert get_keys(snapshot) == [str(number) for number in range(1, 121)]


@each_case("total_pages", [..., None, "many", 10**9, 2.5e300, 0, -1])
def test_pages_with_doubtful_count_are_requested_in_sequence(total_pages: Any) -> None:
    snapshot, sent_requests = read_batch(
        [make_page(1, make_rows(1, 50), total=101, more=True, total_pages=total_pages)],
        [make_page(2, make_rows(51, 100), total=101, more=True, total_pages=total_pages)],
        [make_page(3, make_rows(101, 101), total=101, total_pages=total_pages)],
    )
    assert sent_requests == [[1], [2], [3]]
    assert (snapshot.status, len(get_documents(snapshot))) == (COMPLETE, 101)


@each_case("has_next", [False, None, ...])
def test_batch_without_next_page_stays_open_when_documents_are_missing(has_next: Any) -> None:
    snapshot, sent_requests = read_batch([make_page(1, make_rows(1, 50), total=60, has_next=has_next, total_pages=1)])
    assert sent_requests == [[1]]
    assert (snapshot.status, len(get_documents(snapshot))) == (OPEN, 50)


@each_case("missing", ["page", "per_page", "has_prev"])
def test_pages_without_optional_keys_are_read(missing: str) -> None:
    absent: dict[str, Any] = {missing: ...}
    snapshot, _ = read_batch(
        [make_page(1, make_rows(1, 50), total=51, more=True, **absent)],
        [make_page(2, make_rows(51, 51), total=51, **absent)],
    )
    assert snapshot.status is COMPLETE


STUCK_DOCUMENT = {
    "the first page again": make_page(1, make_rows(1, 50), total=120, more=True),
    "the same documents again": make_page(2, make_rows(1, 50), total=120, more=True),
    "the same documents again without a number": make_page(2, make_rows(1, 50), total=120, more=True, page=...),
    "nothing, and more of it": make_page(2, [], total=120, more=True),
}


@each_case("second", STUCK_DOCUMENT)
def test_pages_that_repeat_fail_instead_of_looping(second: str) -> None:
    first = make_page(1, make_rows(1, 50), total=120, more=True, total_pages=...)
    with pytest.raises(UnreadableResponse, match=r"^Atlas"):
        read_batch([first], [STUCK_DOCUMENT[second]])


def test_batch_growing_while_read_stays_open_without_duplicates() -> None:
    first = make_page(1, make_rows(1, 50), total=99, more=True)
    moved = make_page(2, [make_row(50), *make_rows(51, 99)], total=100)
    snapshot, _ = read_batch([first], [moved])
    assert snapshot.status is OPEN
    assert get_keys(snapshot) == [str(number) for number in range(1, 100)]


def test_document_received_twice_while_batch_grows_keeps_the_version_that_was_delivered() -> None:
    pending = {"document_id": "50", "file_data": {}}
    snapshot, _ = read_batch(
        [make_page(1, [*make_rows(1, 49), pending], total=50, more=True)], [make_page(2, [make_row(50)], total=51)]
    )
    # The batch is open, so the next sync reads it again and delivers the later version.
    assert snapshot.status is OPEN
    assert len(get_documents(snapshot)) == 50
    assert get_documents(snapshot)[-1].status is PENDING


def test_documents_with_equal_ids_on_different_pages_are_both_kept() -> None:
    snapshot, _ = read_batch(
        [make_page(1, make_rows(1, 50), total=53, more=True)],
        [make_page(2, [make_row(1), make_row(51), make_row(1)], total=53)],
    )
    assert get_keys(snapshot)[50:] == ["51", "1~2", "1~3"]
    assert snapshot.status is COMPLETE


def test_documents_without_ids_on_different_pages_are_all_kept() -> None:
    row = {"file_data": {"document_type": "PAN"}}
    snapshot, _ = read_batch(
        [make_page(1, [row, *make_rows(2, 50)], total=52, more=True)], [make_page(2, [row, row], total=52)]
    )
    assert [key for key in get_keys(snapshot) if key.startswith("unnamed")] == ["unnamed", "unnamed~2", "unnamed~3"]
    assert snapshot.status is COMPLETE


def test_batch_of_several_pages_is_handed_over_page_by_page() -> None:
    flow = PRODUCT.fetch(REF)
    next(flow)
    first = flow.send([make_page(1, make_rows(1, 50), total=60, more=True)])
    series = flow.send([])
    second = flow.send([make_page(2, make_rows(51, 60), total=60)])
    with pytest.raises(StopIteration) as ended:
        flow.send([])

    assert isinstance(first, Snapshot)
    assert isinstance(series, RequestSeries)
    assert isinstance(second, Snapshot)
    assert [(part.is_partial, len(get_documents(part))) for part in (first, second)] == [(True, 50), (True, 10)]
    last = ended.value.value
    assert (last.is_partial, last.status, last.documents) == (False, COMPLETE, ())
    assert (last.earlier_counts, last.file_count) == ({PROCESSED: 60}, 60)


def test_pending_document_on_an_earlier_page_keeps_the_batch_open() -> None:
    waiting = {"document_id": "1", "file_data": {}}
    snapshot, _ = read_batch(
        [make_page(1, [waiting, *make_rows(2, 50)], total=51, more=True)], [make_page(2, [make_row(51)], total=51)]
    )
    assert snapshot.status is OPEN


def test_unreadable_document_on_an_earlier_page_keeps_the_batch_open() -> None:
    snapshot, _ = read_batch(
        [make_page(1, [{"document_id": {}}, *make_rows(2, 50)], total=51, more=True)],
        [make_page(2, [make_row(51)], total=51)],
    )
    assert snapshot.status is OPEN
    assert snapshot.read_error == snapshot.error != ""


def test_pages_that_appear_while_reading_are_requested() -> None:
    snapshot, sent_requests = read_batch(
        [make_page(1, make_rows(1, 50), total=60, more=True)],
        [make_page(2, make_rows(51, 100), total=101, more=True)],
        [make_page(3, make_rows(101, 101), total=101)],
    )
    assert sent_requests == [[1], [2], [3]]
    assert snapshot.status is OPEN
    assert len(get_documents(snapshot)) == 101


def test_documents_with_equal_ids_are_both_kept() -> None:
    snapshot, _ = read_batch([make_page(1, [make_row(1), make_row(2), make_row(1)], total=3)])
    assert get_keys(snapshot) == ["1", "2", "1~2"]
    assert snapshot.status is COMPLETE


def test_batch_without_documents_is_open() -> None:
    snapshot, sent_requests = read_batch([make_page(1, [], total=0)])
    assert snapshot == Snapshot(REF, OPEN, documents=())
    assert sent_requests == [[1]]


@each_case("total", [..., None, "?", 3, 1])
def test_batch_with_absent_or_wrong_total_is_open(total: Any) -> None:
    snapshot, _ = read_batch([make_page(1, make_rows(1, 2), total=2, total_items=total)])
    assert snapshot.status is OPEN
    assert get_keys(snapshot) == ["1", "2"]


@each_case("total", [2, "2", 2.0])
def test_batch_total_as_text_is_read(total: Any) -> None:
    assert read_batch([make_page(1, make_rows(1, 2), total=2, total_items=total)])[0].status is COMPLETE


@each_case("data", [{}, None, ..., [], ""])
def test_document_without_data_or_error_is_pending(data: Any) -> None:
    waiting = {name: value for name, value in {"document_id": "2", "file_data": data}.items() if value is not ...}
    snapshot, _ = read_batch([make_page(1, [make_row(1), waiting], total=2)])
    assert [document.status for document in get_documents(snapshot)] == [PROCESSED, PENDING]
    assert get_documents(snapshot)[1].extractions == ()
    assert snapshot.status is OPEN


@each_case(
    ("row_fields", "expected_reason"),
    [
        ({"error_code": "UNRECOGNISED"}, "UNRECOGNISED"),
        ({"error_code": "INVALID_DOC", "error_message": "Not a PAN"}, "INVALID_DOC Not a PAN"),
        ({"error": "blurred", "file_data": {"document_type": "PAN"}}, "blurred"),
        ({"error_code": 17}, "17"),
        ({"error": {"why": "x"}}, '{"why":"x"}'),
    ],
)
def test_document_with_error_is_failed_with_its_reason(row_fields: Mapping[str, Any], expected_reason: str) -> None:
    snapshot, _ = read_batch([make_page(1, [{"document_id": "1", **row_fields}], total=1)])
    [document] = get_documents(snapshot)
    assert (document.status, document.error, document.extractions) == (FAILED, expected_reason, ())
    assert snapshot.status is COMPLETE


def test_document_with_empty_error_is_processed() -> None:
    snapshot, _ = read_batch([make_page(1, [make_row(1, error_code=None, error_message="")], total=1)])
    assert [(document.status, document.error) for document in get_documents(snapshot)] == [(PROCESSED, None)]


@each_case("data", [[1, 2], "text", 7])
def test_document_data_other_than_object_is_wrapped(data: Any) -> None:
    [document] = get_documents(read_batch([make_page(1, [make_row(1, file_data=data)], total=1)])[0])
    assert document.extractions[0].data == {"value": data}
    assert document.document_type is None


def test_batch_unknown_keys_are_kept() -> None:
    snapshot, _ = read_batch([make_page(1, [make_row(1, file_uuid="u")], total=1, request_id="r")])
    assert snapshot.provider_data == {"request_id": "r"}
    assert get_documents(snapshot)[0].provider_data == {"file_uuid": "u"}


def make_snapshot_with_url(url: str | None, number: str = "9012") -> Snapshot:
    link_part = {"redact_url": url} if url else {}
    data = {"ids": [{"aadhaar": {"value": number, **link_part}}], **link_part, "document_type": "AADHAAR"}
    return read_batch([make_page(1, [make_row(1, file_data=data)], total=1)])[0]


@each_case("table", [FILES, RESULTS], ids=lambda table: table.kind)
def test_row_hash_with_new_url_signature_is_unchanged(table: Any) -> None:
    view = RenderOptions("atlas")
    marks = {
        row.row_hash
        for url in ("https://x/1?sig=1", "https://x/1?sig=2", None)
        for row in table.build_rows(make_snapshot_with_url(url), view)
    }
    assert len(marks) == 1


@each_case("url", [None, "https://x/1?sig=1"])
def test_digest_precomputed_equals_computed_digest(url: str | None) -> None:
    [[extraction]] = [document.extractions for document in get_documents(make_snapshot_with_url(url))]

    assert extraction.precomputed_digest == extraction._replace(precomputed_digest="").digest


def test_result_row_with_signed_url_follows_keep_urls_and_detects_edits() -> None:
    [result_row] = RESULTS.build_rows(make_snapshot_with_url("https://x/1?sig=1"), RenderOptions("atlas"))
    [bare] = RESULTS.build_rows(make_snapshot_with_url("https://x/1?sig=1"), RenderOptions("atlas", keep_urls=False))
    [edited] = RESULTS.build_rows(make_snapshot_with_url("https://x/1?sig=1", number="9013"), RenderOptions("atlas"))
    [result], [bare_result], [edited_result] = result_row.records, bare.records, edited.records
    assert result["data"]["ids"][0]["aadhaar"]["redact_url"] == result["data"]["redact_url"] != ""
    assert bare_result["data"] == {"ids": [{"aadhaar": {"value": "9012"}}], "document_type": "AADHAAR"}
    assert result_row.row_hash == bare.row_hash != edited.row_hash
    assert result["digest"] == bare_result["digest"] != edited_result["digest"]


@each_case(
    ("body", "expected_text"),
    [
        ([], "Atlas's page 1 of B1 is not a JSON object."),
        (None, "Atlas's page 1 of B1 is not a JSON object."),
        ({}, "Atlas's page 1 of B1 contains no list of documents."),
        ({"data": {"1": {}}}, "Atlas's page 1 of B1 contains no list of documents."),
        (
            {"data": [], "page": 2},
            "Atlas sent a different page instead of page 1 of B1.",
        ),
    ],
)
def test_pages_that_are_unreadable_are_an_error_with_reason(body: Any, expected_text: str) -> None:
    with pytest.raises(UnreadableResponse) as exc_info:
        read_batch([body])
    assert str(exc_info.value) == expected_text


def test_batch_unknown_to_atlas_is_missing() -> None:
    refusal = ResourceUnavailable("It said no.", 400, {"error_code": "400", "error_message": "batch_id is invalid"})
    assert read_batch(refusal) == (Snapshot(REF, PartitionStatus.MISSING, error="It said no."), [[1]])


def test_batch_rejected_for_other_reason_fails() -> None:
    with pytest.raises(RequestRejected):
        read_batch(RequestRejected("It said no.", 402, None))


@each_case(
    ("status", "body", "is_about_id"),
    [
        (400, {"error_code": "400", "error_message": "batch_id is invalid"}, True),
        (400, {"error": "Missing Client-Id or Client-Secret"}, False),
        (400, {"error_message": "Bad Request"}, False),
        (400, "batch_id is invalid", False),
        (400, None, False),
        (404, {"error_code": "404", "error_message": "Not found"}, False),
        (409, {"error_code": "409", "error_message": "No flow"}, False),
    ],
)
def test_unknown_batch_response_is_recognized(status: int, body: Any, is_about_id: bool) -> None:
    assert make_spec("b").error_format.is_unavailable(status, body) is is_about_id


def test_batch_with_later_page_rejected_fails() -> None:
    with pytest.raises(RequestRejected):
        read_batch([make_page(1, make_rows(1, 50), total=60, more=True)], ResourceUnavailable("It said no.", 400, None))


def test_batch_during_outage_is_not_missing() -> None:
    with pytest.raises(TransientError):
        read_batch(TransientError("down", 503))


@each_case(
    ("batch_id", "clock"),
    [
        ("BATCH-69469-BBRSS-20260309081408", datetime(2026, 3, 9, 8, 14, 8, tzinfo=timezone.utc)),
        ("X-20251231235959", datetime(2025, 12, 31, 23, 59, 59, tzinfo=timezone.utc)),
        ("BATCH-1", None),
        ("20260309081408", None),
        ("BATCH-20260309081408-2", None),
        ("BATCH-1-20261309081408", None),
        ("BATCH-1-20260230000000", None),
        ("BATCH-1-00000000000000", None),
        ("BATCH-1-99999999999999", None),
        ("BATCH-1-99991231235959", None),
        ("BATCH-1-120260309081408", None),
    ],
)
def test_batch_id_with_timestamp_gives_creation_time_plus_a_day(batch_id: str, clock: datetime | None) -> None:
    [ref] = make_spec(batch_id).stream_groups[0].explicit_partitions
    margin = clock and clock + timedelta(days=1)
    assert ref == PartitionRef(None, batch_id, approx_created_at=margin, is_explicit=True)
    assert ref.created_at is None


def test_credentials_are_sent_only_to_login() -> None:
    assert PLAN.headers == {}
    assert PLAN.login is not None
    headers = {"Client-Id": "client-id-01", "Client-Secret": "client-secret-01"}
    assert PLAN.login.request == Request("POST", "/authtoken", headers=headers)
    assert PLAN.login.header_name == "Token"
    assert "client-secret-01" not in repr(PLAN)


@each_case(("expires_in", "seconds"), [(900, 900), ("900", 900), (None, 3600), (..., 3600), ("soon", 3600), ({}, 3600)])
def test_token_lifetime_is_as_sent_or_an_hour(expires_in: Any, seconds: float) -> None:
    assert PLAN.login is not None
    response = {"access_token": "t", **({} if expires_in is ... else {"expires_in": expires_in})}
    assert PLAN.login.parse_token(response) == ("t", seconds)


@each_case("body", [{}, {"access_token": ""}, {"access_token": None}, [], None, "t"])
def test_login_response_without_token_is_an_error_with_reason(body: Any) -> None:
    assert PLAN.login is not None
    with pytest.raises(
        UnreadableResponse, match=r"^Atlas's login response (contains no access_token|is not a JSON object)\.$"
    ):
        PLAN.login.parse_token(body)


@each_case(
    ("body", "reason"),
    [
        ({"error_code": "401", "error_message": "Authentication Error"}, "Authentication Error"),
        ({"error": "Missing Client-Id or Client-Secret"}, "Missing Client-Id or Client-Secret"),
        ({}, None),
        ([], None),
        (None, None),
    ],
)
def test_error_format_reason_is_extracted(body: Any, reason: str | None) -> None:
    assert PLAN.error_format.extract_reason(body) == reason
    assert not PLAN.error_format.is_retryable(400, body)
    assert "atlas.base_url" in PLAN.error_format.final_messages[410]


def test_check_sends_no_request_besides_login() -> None:
    assert play_flow(PLAN.check(), []) == (None, [[]])
