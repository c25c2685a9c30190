"""Extracta.ai's answers, played by hand: both products' documented bodies, and all that may come instead."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple

import pytest

from source_docextract.core.errors import (
    ConfigError,
    ConnectorError,
    RequestRejected,
    ResourceUnavailable,
    TransientError,
    UnreadableResponse,
)
from source_docextract.core.model import Document, FileStatus, PartitionRef, PartitionStatus, Snapshot
from source_docextract.core.provider import ProviderSpec, StreamGroup
from source_docextract.core.requests import Request
from source_docextract.providers.extracta.provider import build_extracta_spec
from source_docextract.providers.extracta.settings import ExtractaSettings
from source_docextract.settings import Settings
from unit_tests.support.cases import each_case
from unit_tests.support.stub_server import play_flow

PENDING, PROCESSED, FAILED = FileStatus.PENDING, FileStatus.PROCESSED, FileStatus.FAILED
BATCH_REF = PartitionRef("t1", "b1")
EXPLICIT_REF = PartitionRef("t1", "b1", is_explicit=True)
FILE: Mapping[str, Any] = {
    "fileName": "cv.png",
    "status": "processed",
    "result": {"name": "Ada", "years_of_experience": "6", "site": "https://example.com/ada"},
    "url": "https://files.example.com/cv.png?sig=1",
}
AMBIGUOUS_ERROR = TransientError("had a trouble", 400, {"status": "error", "message": "Internal server error"})


def make_spec(**settings: Any) -> ProviderSpec:
    parsed = Settings.parse({"extracta": {"api_key": "key-0123456789", **settings}})
    assert isinstance(parsed.extracta, ExtractaSettings)
    return build_extracta_spec(parsed.extracta)


BOTH_PRODUCTS_SPEC = make_spec(extraction_ids=["t1"], classification_ids=["t1"], classification_batches=["t1/b1"])
CLASSIFICATION, EXTRACTION = BOTH_PRODUCTS_SPEC.stream_groups
PRODUCTS = each_case("product", BOTH_PRODUCTS_SPEC.stream_groups, ids=lambda product: product.name)


class ProductTerms(NamedTuple):
    """What the two products call things."""

    parent: str
    results: str
    view: str
    details: str


UNREADABLE_STARTS: tuple[Any, ...] = (None, "", "soon", "nan", "-inf", 1e300, [], {}, True, False)

TERMS_BY_PRODUCT = {
    "extracta": ProductTerms("extractionId", "/getBatchResults", "/viewExtraction", "extractionDetails"),
    "extracta_classification": ProductTerms(
        "classificationId",
        "/documentClassification/getResults",
        "/documentClassification/viewClassification",
        "classificationDetails",
    ),
}


def read_batch(body: Any, ref: PartitionRef = BATCH_REF, product: StreamGroup = EXTRACTION) -> Snapshot:
    snapshot, _ = play_flow(product.fetch(ref), [body])
    assert isinstance(snapshot, Snapshot)
    return snapshot


def read_documents(*files: Mapping[str, Any], product: StreamGroup = EXTRACTION) -> tuple[Document, ...]:
    documents = read_batch({"files": list(files)}, product=product).documents
    assert documents is not None
    return documents


def list_batches(batches_json: Any, product: StreamGroup = EXTRACTION) -> list[PartitionRef]:
    assert product.discover is not None
    refs, _ = play_flow(product.discover("t1"), [batches_json])
    assert isinstance(refs, list)
    return refs


def discover_batches(batches_json: Any) -> list[PartitionRef]:
    return list_batches({"extractionDetails": {"name": "Invoices", "batches": batches_json}})


def test_spec_has_key_in_header_and_spacing_for_result_endpoints_only() -> None:
    spec = make_spec(extraction_ids=["t1"], seconds_between_requests=5)
    assert spec.headers == {"Authorization": "Bearer key-0123456789"}
    assert spec.spacing == {"/getBatchResults": 5, "/documentClassification/getResults": 5}
    assert "key-0123456789" not in repr(spec)
    assert spec.login is None


def test_spec_products_follow_from_settings() -> None:
    assert [product.name for product in BOTH_PRODUCTS_SPEC.stream_groups] == ["extracta_classification", "extracta"]
    assert [product.referenced_group for product in BOTH_PRODUCTS_SPEC.stream_groups] == ["extracta", None]
    assert CLASSIFICATION.explicit_partitions == (EXPLICIT_REF,)
    [alone] = make_spec(classification_ids=["c", "c"], follow_links=False).stream_groups
    assert (alone.name, alone.referenced_group, alone.template_ids) == ("extracta_classification", None, ("c",))


@PRODUCTS
def test_batch_is_single_request_in_lane_of_its_endpoint(product: StreamGroup) -> None:
    parent, path, _, _ = TERMS_BY_PRODUCT[product.name]
    _, [sent_requests] = play_flow(product.fetch(BATCH_REF), [{"files": []}])
    assert sent_requests == [Request("POST", path, json={parent: "t1", "batchId": "b1"}, lane=path)]
    assert product.lane == path


@PRODUCTS
def test_explicit_files_are_requested_separately(product: StreamGroup) -> None:
    parent = TERMS_BY_PRODUCT[product.name].parent
    ref = PartitionRef("t1", "b1", file_ids=("f1", "f2"), is_explicit=True)
    responses = [
        {"files": [{"fileName": "1", "status": "processed"}]},
        {"files": [{"fileId": "f2", "status": "failed"}]},
    ]
    snapshot, sent_requests = play_flow(product.fetch(ref), *([response] for response in responses))
    assert [request.json for [request] in sent_requests] == [
        {parent: "t1", "batchId": "b1", "fileId": "f1"},
        {parent: "t1", "batchId": "b1", "fileId": "f2"},
    ]
    assert [(document.key, document.file_id, document.file_name) for document in snapshot.documents] == [
        ("f1", "f1", "1"),
        ("f2", "f2", None),
    ]
    assert snapshot.status is PartitionStatus.COMPLETE


def test_explicit_files_partly_waiting_keep_batch_open() -> None:
    ref = PartitionRef("t1", "b1", file_ids=("f1", "f2"), is_explicit=True)
    snapshot, _ = play_flow(EXTRACTION.fetch(ref), [{"files": [FILE]}], [{"status": "waiting", "fileId": "f2"}])
    assert snapshot.status is PartitionStatus.OPEN
    assert [document.key for document in snapshot.documents] == ["f1"]


def test_explicit_files_with_unknown_file_fail_it_and_read_the_others() -> None:
    ref = PartitionRef("t1", "b1", file_ids=("f1", "f2"), is_explicit=True)
    snapshot, _ = play_flow(EXTRACTION.fetch(ref), ResourceUnavailable("No such file.", 400, None), [{"files": [FILE]}])
    assert [(document.key, document.status, document.error) for document in snapshot.documents] == [
        ("f1", FAILED, "No such file."),
        ("f2", PROCESSED, None),
    ]
    assert snapshot.has_unknown_files


def test_explicit_files_with_ambiguous_error_fail_it_if_template_is_known() -> None:
    ref = PartitionRef("t1", "b1", file_ids=("f1", "f2"), is_explicit=True)
    file = {**FILE, "result": {"documentType": "invoice"}}
    snapshot, sent_requests = play_flow(
        CLASSIFICATION.fetch(ref), AMBIGUOUS_ERROR, [{"files": [file]}], [{"classificationDetails": {}}]
    )
    assert [(document.key, document.status) for document in snapshot.documents or ()] == [
        ("f1", FAILED),
        ("f2", PROCESSED),
    ]
    assert snapshot.has_unknown_files
    assert len(sent_requests) == 3


def test_explicit_files_all_unknown_make_batch_missing() -> None:
    ref = PartitionRef("t1", "b1", file_ids=("f1", "f2"), is_explicit=True)
    refusal = ResourceUnavailable("No such file.", 400, None)
    assert play_flow(EXTRACTION.fetch(ref), refusal, refusal)[0].status is PartitionStatus.MISSING


def test_extraction_documented_response_is_read() -> None:
    second = {**FILE, "fileName": "File 2.png"}
    snapshot = read_batch({"extractionId": "t1", "batchId": "b1", "files": [FILE, second]})
    assert snapshot.status is PartitionStatus.COMPLETE
    assert (snapshot.provider_status, snapshot.error, snapshot.provider_data) == (None, None, {})
    assert snapshot.documents is not None
    first = snapshot.documents[0]
    assert [document.key for document in snapshot.documents] == ["cv.png", "File 2.png"]
    assert (first.status, first.provider_status, first.file_id) == (PROCESSED, "processed", None)
    assert (first.file_name, first.url, first.provider_data) == ("cv.png", FILE["url"], {})
    [extraction] = first.extractions
    assert extraction.data == extraction.hashable_data == FILE["result"]
    assert (extraction.document_type, extraction.confidence, extraction.completed_at) == (None, None, None)


def test_classification_documented_response_is_read() -> None:
    reference = {"extractionId": "x1", "batchId": "xb1", "fileId": "xf1"}
    files = [
        {"fileId": "f1", "fileName": "1.pdf", "result": {"confidence": 0.9, "documentType": "invoice"}},
        {"fileId": "f1", "fileName": "2.pdf", "result": {"confidence": 0.95, "documentType": "resume"}},
        {"fileId": "f2", "fileName": "3.pdf", "result": {"confidence": 1, "documentType": "other"}},
    ]
    files = [{**file, "status": "processed", "url": "https://x/y"} for file in files]
    files[1]["extraction"] = reference
    body = {"status": "success", "classificationId": "t1", "batchId": "b1", "files": files}
    snapshot = read_batch(body, product=CLASSIFICATION)
    assert (snapshot.status, snapshot.provider_status) == (PartitionStatus.COMPLETE, "success")
    assert snapshot.unknown_statuses == frozenset()
    assert snapshot.documents is not None
    assert [document.key for document in snapshot.documents] == ["f1", "f1~2", "f2"]
    assert [document.document_type for document in snapshot.documents] == ["invoice", "resume", "other"]
    assert [document.extractions[0].confidence for document in snapshot.documents] == [0.9, 0.95, 1]
    assert snapshot.documents[1].extractions[0].data == {"confidence": 0.95, "documentType": "resume"}
    assert snapshot.documents[1].provider_data == {"extraction": reference}
    assert snapshot.references == (PartitionRef("x1", "xb1", is_explicit=True, is_referenced=True),)


@PRODUCTS
def test_batch_waiting_is_open_without_documents(product: StreamGroup) -> None:
    snapshot = read_batch(
        {TERMS_BY_PRODUCT[product.name].parent: "t1", "batchId": "b1", "status": "waiting"}, product=product
    )
    assert snapshot == Snapshot(BATCH_REF, PartitionStatus.OPEN, provider_status="waiting")


def test_batch_waiting_with_processed_files_is_open() -> None:
    snapshot = read_batch({"status": "waiting", "files": [FILE]})
    assert snapshot.documents is not None
    assert [document.status for document in snapshot.documents] == [PROCESSED]
    assert snapshot.status is PartitionStatus.OPEN


def test_batch_without_files_is_open() -> None:
    assert read_batch({"files": []}) == Snapshot(BATCH_REF, PartitionStatus.OPEN, documents=())


@each_case(
    ("raw_status", "status"),
    [("processed", PROCESSED), ("failed", FAILED), ("error", FAILED), ("waiting", PENDING), ("processing", PENDING)],
)
def test_file_has_result_only_when_processed(raw_status: str, status: FileStatus) -> None:
    snapshot = read_batch({"files": [FILE, {**FILE, "fileName": "2", "status": raw_status}]})
    assert snapshot.documents is not None
    assert (snapshot.documents[1].status, snapshot.documents[1].provider_status) == (status, raw_status)
    assert bool(snapshot.documents[1].extractions) is (status is PROCESSED)
    assert snapshot.status is (PartitionStatus.OPEN if status is PENDING else PartitionStatus.COMPLETE)
    assert snapshot.unknown_statuses == frozenset()


@each_case("raw_status", ["PAUSED", None, 7])
def test_unknown_status_is_unfinished_and_reported(raw_status: Any) -> None:
    snapshot = read_batch({"files": [{**FILE, "status": raw_status}]})
    assert snapshot.documents is not None
    assert snapshot.documents[0].status is PENDING
    assert snapshot.documents[0].provider_status == (None if raw_status is None else str(raw_status))
    assert snapshot.status is PartitionStatus.OPEN
    assert snapshot.unknown_statuses == {"" if raw_status is None else str(raw_status)}


def test_unknown_status_of_empty_batch_is_reported() -> None:
    snapshot = read_batch({"status": "queued"})
    assert (snapshot.status, snapshot.documents, snapshot.provider_status) == (PartitionStatus.OPEN, None, "queued")
    assert snapshot.unknown_statuses == {"queued"}


@each_case(
    ("raw_error", "expected_reason"),
    [("Blurred", "Blurred"), ({"code": 7, "why": "blurred"}, '{"code":7,"why":"blurred"}'), ("", None), (None, None)],
)
def test_file_failed_keeps_its_reason(raw_error: Any, expected_reason: str | None) -> None:
    [file] = read_documents({"fileName": "a", "status": "failed", "error": raw_error})
    assert (file.status, file.error, file.extractions) == (FAILED, expected_reason, ())


@each_case(
    ("raw_result", "data"),
    [(None, {}), ({}, {}), ([1], {"value": [1]}), ("text", {"value": "text"}), (0, {"value": 0}), ([], {"value": []})],
)
@PRODUCTS
def test_result_of_any_type_is_an_object(product: StreamGroup, raw_result: Any, data: Any) -> None:
    [file] = read_documents({"fileId": "f", "status": "processed", "result": raw_result}, product=product)
    assert [extraction.data for extraction in file.extractions] == [data]


@each_case(
    ("files", "keys"),
    [
        ([{"fileId": "f"}, {"fileId": "f"}, {"fileId": "g"}], ["f", "f~2", "g"]),
        ([{"fileName": "a"}, {"fileName": "a"}], ["a", "a~2"]),
        ([{"fileId": "f", "fileName": "a"}, {"fileId": "g", "fileName": "a"}], ["f", "g"]),
        ([{"fileId": None, "fileName": "a/b"}, {"fileId": "", "fileName": "c~d"}], ["a%2Fb", "c%7Ed"]),
        ([{}, {}], ["unnamed", "unnamed~2"]),
        ([{"fileId": 17}], ["17"]),
    ],
)
def test_file_without_unique_id_or_name_gets_unique_key(files: Sequence[Mapping[str, Any]], keys: list[str]) -> None:
    assert [document.key for document in read_documents(*files)] == keys


def test_batch_unknown_keys_are_kept() -> None:
    file = {**FILE, "pages": [1], "language": "en"}
    snapshot = read_batch({"extractionId": "t1", "batchId": "b1", "files": [file], "credits": 3})
    assert snapshot.provider_data == {"credits": 3}
    assert snapshot.documents is not None
    assert snapshot.documents[0].provider_data == {"pages": [1], "language": "en"}


@each_case(
    ("body", "expected_text"),
    [
        ({"error": "Batch is locked"}, "Extracta.ai reports an error for t1/b1: Batch is locked."),
        ({"files": {"f1": {}}}, "Extracta.ai's files of t1/b1 are not a list."),
        ({"files": "none"}, "Extracta.ai's files of t1/b1 are not a list."),
        ([], "Extracta.ai's response for t1/b1 is not a JSON object."),
        (None, "Extracta.ai's response for t1/b1 is not a JSON object."),
    ],
)
def test_batch_unreadable_response_is_an_error_with_reason(body: Any, expected_text: str) -> None:
    with pytest.raises(UnreadableResponse) as exc_info:
        read_batch(body)
    assert str(exc_info.value) == expected_text


def test_batch_error_beside_files_is_kept() -> None:
    assert read_batch({"files": [FILE], "error": "one is late"}).error == "one is late"


@each_case(
    "reference", [None, {}, [], "", {"extractionId": "x1"}, {"batchId": "b"}, {"extractionId": "", "batchId": "b"}]
)
def test_reference_without_required_ids_is_ignored(reference: Any) -> None:
    file = {"fileId": "f", "status": "processed", "extraction": reference}
    snapshot = read_batch({"files": [file]}, product=CLASSIFICATION)
    assert snapshot.references == ()
    assert snapshot.documents is not None
    assert snapshot.documents[0].provider_data == {"extraction": reference}


def test_references_to_same_batch_are_merged() -> None:
    reference = {"extractionId": "x", "batchId": "b"}
    files = [{"fileId": name, "status": "processing", "extraction": {**reference, "fileId": name}} for name in "fg"]
    assert read_batch({"files": files}, product=CLASSIFICATION).references == (
        PartitionRef("x", "b", is_explicit=True, is_referenced=True),
    )


@PRODUCTS
def test_batch_unknown_to_extracta_is_missing(product: StreamGroup) -> None:
    snapshot, sent_requests = play_flow(
        product.fetch(BATCH_REF), ResourceUnavailable("It said no.", 400, {"error": "Invalid request"})
    )
    assert snapshot == Snapshot(BATCH_REF, PartitionStatus.MISSING, error="It said no.")
    assert len(sent_requests) == 1


@PRODUCTS
@each_case("status", [402, 404, 409])
def test_batch_rejected_for_other_reason_fails(product: StreamGroup, status: int) -> None:
    refusal = RequestRejected("It said no.", status, None)
    for script in (product.fetch(BATCH_REF), product.discover("t1") if product.discover else None):
        assert script
        with pytest.raises(RequestRejected) as exc_info:
            play_flow(script, refusal)
        assert exc_info.value is refusal


@pytest.mark.parametrize(
    ("status", "body", "is_about_id"),
    [
        (400, {"error": "Invalid request"}, True),
        (400, {"status": "error", "message": "Classification not found"}, True),
        (400, {"status": "error", "message": "Internal server error"}, False),
        (400, {"message": "Bad gateway request"}, False),
        (400, {"error": {"code": 7}}, False),
        (400, "Invalid request", False),
        (400, None, False),
        (402, {"error": "Payment required"}, False),
        (404, {"error": "Not found"}, False),
    ],
)
def test_unknown_id_response_is_recognized(status: int, body: Any, is_about_id: bool) -> None:
    assert BOTH_PRODUCTS_SPEC.error_format.is_unavailable(status, body) is is_about_id


def test_explicit_batch_with_ambiguous_error_is_missing_if_template_is_known() -> None:
    snapshot, sent_requests = play_flow(
        CLASSIFICATION.fetch(EXPLICIT_REF), AMBIGUOUS_ERROR, [{"classificationDetails": {}}]
    )
    assert snapshot == Snapshot(EXPLICIT_REF, PartitionStatus.MISSING, error="had a trouble")
    [view] = sent_requests[1]
    assert (view.path, view.json) == ("/documentClassification/viewClassification", {"classificationId": "t1"})


@each_case("second", [AMBIGUOUS_ERROR, RequestRejected("It said no.", 404, None), TransientError("down", 500)])
def test_explicit_batch_with_ambiguous_error_fails_if_template_fails(second: ConnectorError) -> None:
    with pytest.raises(type(second)) as exc_info:
        play_flow(CLASSIFICATION.fetch(EXPLICIT_REF), AMBIGUOUS_ERROR, second)
    assert exc_info.value is second


@each_case(
    ("ref", "error"),
    [
        (BATCH_REF, AMBIGUOUS_ERROR),
        (EXPLICIT_REF, TransientError("down", 500, {"message": "x"})),
        (EXPLICIT_REF, TransientError("lost")),
    ],
)
def test_batch_listed_or_with_clear_transient_error_fails(ref: PartitionRef, error: TransientError) -> None:
    with pytest.raises(TransientError) as exc_info:
        play_flow(CLASSIFICATION.fetch(ref), error)
    assert exc_info.value is error


@pytest.mark.parametrize(
    ("status", "body", "passes", "reason"),
    [
        (400, {"status": "error", "message": "Internal server error"}, True, "Internal server error"),
        (400, {"error": "Invalid request"}, False, "Invalid request"),
        (404, {"message": "Internal server error"}, False, "Internal server error"),
        (400, {"error": {"code": 1}}, False, '{"code":1}'),
        (400, ["Internal server error"], False, None),
        (400, None, False, None),
    ],
)
def test_error_format_reason_and_retry_are_recognized(status: int, body: Any, passes: bool, reason: str | None) -> None:
    assert BOTH_PRODUCTS_SPEC.error_format.is_retryable(status, body) is passes
    assert BOTH_PRODUCTS_SPEC.error_format.extract_reason(body) == reason


@PRODUCTS
def test_template_documented_batches_are_discovered(product: StreamGroup) -> None:
    parent, _, path, details = TERMS_BY_PRODUCT[product.name]
    batch_json = {"filesNo": 2, "origin": "api", "startTime": 1746720170530, "status": "processed"}
    body = {parent: "t1", details: {"name": "Invoices", "batches": {"b1": batch_json}}}
    assert product.discover is not None
    [ref], sent_requests = play_flow(product.discover("t1"), [body])
    assert sent_requests == [[Request("POST", path, json={parent: "t1"})]]
    start = datetime(2025, 5, 8, 16, 2, 50, 530_000, tzinfo=timezone.utc)
    assert ref == PartitionRef(
        "t1",
        "b1",
        created_at=start,
        approx_created_at=start,
        template_name="Invoices",
        files_total=2,
        provider_status="processed",
        provider_data={"origin": "api"},
        fingerprint="2",
    )


@each_case(
    ("raw_start", "time"),
    [
        (1746720170530, "2025-05-08T16:02:50.530+00:00"),
        (1746720170, "2025-05-08T16:02:50.000+00:00"),
        (1746720170.5, "2025-05-08T16:02:50.500+00:00"),
        ("1746720170530", "2025-05-08T16:02:50.530+00:00"),
        ("1767101212345", "2025-12-30T13:26:52.345+00:00"),  # also a date in the year 1767, to a lenient reader
        ("1746720170", "2025-05-08T16:02:50.000+00:00"),
        ("2025-05-08T16:02:50Z", "2025-05-08T16:02:50.000+00:00"),
        ("2025-05-08T18:02:50.530+02:00", "2025-05-08T16:02:50.530+00:00"),
        ("2025-05-08T16:02:50", "2025-05-08T16:02:50.000+00:00"),
        *((rubbish, None) for rubbish in UNREADABLE_STARTS),
    ],
)
def test_batch_start_time_in_any_format_is_read_or_null(raw_start: Any, time: str | None) -> None:
    [ref] = discover_batches({"b1": {"startTime": raw_start}})
    assert (ref.created_at and ref.created_at.isoformat(timespec="milliseconds")) == time
    assert ref.approx_created_at == ref.created_at


@each_case(
    ("raw_count", "files"), [(2, 2), ("2", 2), (2.0, 2), (None, None), ("many", None), ([], None), (True, None), (0, 0)]
)
def test_batch_file_count_as_number_or_text_is_read(raw_count: Any, files: int | None) -> None:
    [ref] = discover_batches({"b1": {"filesNo": raw_count}})
    assert ref.files_total == files
    assert ref.fingerprint == ("" if files is None else str(files))


@each_case(("raw_batch", "status"), [("processed", "processed"), (None, None), (3, "3")])
def test_batch_listed_as_plain_value_is_discovered(raw_batch: Any, status: str | None) -> None:
    assert discover_batches({"b1": raw_batch, "b2": {}}) == [
        PartitionRef("t1", "b1", template_name="Invoices", provider_status=status),
        PartitionRef("t1", "b2", template_name="Invoices"),
    ]


@each_case("body", [{}, {"extractionDetails": {}}, {"extractionDetails": {"batches": {}}}, {"batches": None}])
def test_template_without_batches_gives_empty_list(body: Any) -> None:
    assert list_batches(body) == []


@each_case("details", [{}, {"extractionDetails": {"name": "n"}}, {"extractionDetails": None}])
def test_template_batches_at_top_level_are_discovered(details: Any) -> None:
    assert [ref.batch_id for ref in list_batches({**details, "batches": {"b1": {}, "b2": {}}})] == ["b1", "b2"]


@each_case("body", [[], None, "x", {"extractionDetails": {"batches": ["b1"]}}, {"batches": "b1"}])
def test_template_unreadable_list_is_an_error_with_reason(body: Any) -> None:
    with pytest.raises(UnreadableResponse, match=r"^Extracta\.ai's .* t1 is not a JSON object\.$"):
        list_batches(body)


@PRODUCTS
@each_case("trouble", [ResourceUnavailable("It said no.", 400, {"error": "Invalid request"}), AMBIGUOUS_ERROR])
def test_template_unknown_is_config_error_naming_setting(product: StreamGroup, trouble: ConnectorError) -> None:
    assert product.discover is not None
    with pytest.raises(ConfigError) as exc_info:
        play_flow(product.discover("t1"), trouble)
    setting = TERMS_BY_PRODUCT[product.name].parent.replace("Id", "_ids")
    assert str(exc_info.value) == f"Extracta.ai does not know the template t1 of extracta.{setting}. ({trouble})"


def test_template_during_outage_is_not_unknown() -> None:
    assert EXTRACTION.discover is not None
    with pytest.raises(TransientError, match="down"):
        play_flow(EXTRACTION.discover("t1"), TransientError("down", 503))


def test_check_requests_each_template() -> None:
    _, sent_requests = play_flow(BOTH_PRODUCTS_SPEC.check(), [{}], [{}])
    assert [request.path for [request] in sent_requests] == [
        "/documentClassification/viewClassification",
        "/viewExtraction",
    ]


def test_check_without_templates_requests_credits() -> None:
    _, sent_requests = play_flow(make_spec(extraction_batches=["t/b"]).check(), [{"credits": 5}])
    assert sent_requests == [[Request("GET", "/credits")]]
