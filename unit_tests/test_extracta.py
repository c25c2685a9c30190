"""Extracta.ai's answers, played by hand: both products' documented bodies, and all that may come instead."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple

import pytest
from scripted import play

from source_docextract.config import ExtractaSettings, Settings
from source_docextract.errors import BadAnswer, ConfigError, ConnectorError, Refused, TransientError, Unavailable
from source_docextract.http import Request
from source_docextract.model import BatchRef, BatchStatus, Document, FileStatus, Snapshot
from source_docextract.providers.base import Plan, Product
from source_docextract.providers.extracta import extracta

PENDING, PROCESSED, FAILED = FileStatus.PENDING, FileStatus.PROCESSED, FileStatus.FAILED
WHOLE = BatchRef("t1", "b1")
NAMED = BatchRef("t1", "b1", named=True)
FILE: Mapping[str, Any] = {
    "fileName": "cv.png",
    "status": "processed",
    "result": {"name": "Ada", "years_of_experience": "6", "site": "https://example.com/ada"},
    "url": "https://files.example.com/cv.png?sig=1",
}
DOUBTFUL = TransientError("had a trouble", 400, {"status": "error", "message": "Internal server error"})


def plan(**settings: Any) -> Plan:
    parsed = Settings.parse({"extracta": {"api_key": "key-0123456789", **settings}})
    assert isinstance(parsed.extracta, ExtractaSettings)
    return extracta(parsed.extracta)


BOTH = plan(extraction_ids=["t1"], classification_ids=["t1"], classification_batches=["t1/b1"])
CLASSIFICATION, EXTRACTION = BOTH.products
PRODUCTS = pytest.mark.parametrize("product", BOTH.products, ids=lambda product: product.name)


class Words(NamedTuple):
    """What the two products call things."""

    parent: str
    results: str
    view: str
    details: str


WORDS = {
    "extracta": Words("extractionId", "/getBatchResults", "/viewExtraction", "extractionDetails"),
    "extracta_classification": Words(
        "classificationId",
        "/documentClassification/getResults",
        "/documentClassification/viewClassification",
        "classificationDetails",
    ),
}


def read(body: Any, ref: BatchRef = WHOLE, product: Product = EXTRACTION) -> Snapshot:
    snapshot, _ = play(product.fetch(ref), [body])
    assert isinstance(snapshot, Snapshot)
    return snapshot


def documents(*files: Mapping[str, Any], product: Product = EXTRACTION) -> tuple[Document, ...]:
    told = read({"files": list(files)}, product=product).documents
    assert told is not None
    return told


def listed(told: Any, product: Product = EXTRACTION) -> list[BatchRef]:
    assert product.discover is not None
    refs, _ = play(product.discover("t1"), [told])
    assert isinstance(refs, list)
    return refs


def batches(told: Any) -> list[BatchRef]:
    return listed({"extractionDetails": {"name": "Invoices", "batches": told}})


def test_the_key_goes_into_a_header_and_only_result_endpoints_are_spaced() -> None:
    own = plan(extraction_ids=["t1"], seconds_between_requests=5)
    assert own.headers == {"Authorization": "Bearer key-0123456789"}
    assert own.spacing == {"/getBatchResults": 5, "/documentClassification/getResults": 5}
    assert "key-0123456789" not in repr(own)
    assert own.login is None


def test_products_follow_from_what_is_named() -> None:
    assert [product.name for product in BOTH.products] == ["extracta_classification", "extracta"]
    assert [product.links_to for product in BOTH.products] == ["extracta", None]
    assert CLASSIFICATION.named == (NAMED,)
    [alone] = plan(classification_ids=["c", "c"], follow_links=False).products
    assert (alone.name, alone.links_to, alone.template_ids) == ("extracta_classification", None, ("c",))


@PRODUCTS
def test_a_batch_is_one_request_in_the_lane_of_its_endpoint(product: Product) -> None:
    parent, path, _, _ = WORDS[product.name]
    _, [asked] = play(product.fetch(WHOLE), [{"files": []}])
    assert asked == [Request("POST", path, json={parent: "t1", "batchId": "b1"}, lane=path)]
    assert product.lane == path


@PRODUCTS
def test_files_named_one_by_one_are_a_request_each(product: Product) -> None:
    parent = WORDS[product.name].parent
    ref = BatchRef("t1", "b1", file_ids=("f1", "f2"), named=True)
    answers = [{"files": [{"fileName": "1", "status": "processed"}]}, {"files": [{"fileId": "f2", "status": "failed"}]}]
    snapshot, asked = play(product.fetch(ref), *([answer] for answer in answers))
    assert [request.json for [request] in asked] == [
        {parent: "t1", "batchId": "b1", "fileId": "f1"},
        {parent: "t1", "batchId": "b1", "fileId": "f2"},
    ]
    assert [(one.key, one.file_id, one.file_name) for one in snapshot.documents] == [
        ("f1", "f1", "1"),
        ("f2", "f2", None),
    ]
    assert snapshot.status is BatchStatus.COMPLETE


def test_of_files_named_one_by_one_some_may_wait() -> None:
    ref = BatchRef("t1", "b1", file_ids=("f1", "f2"), named=True)
    snapshot, _ = play(EXTRACTION.fetch(ref), [{"files": [FILE]}], [{"status": "waiting", "fileId": "f2"}])
    assert snapshot.status is BatchStatus.OPEN
    assert [one.key for one in snapshot.documents] == ["f1"]


def test_of_files_named_one_by_one_an_unknown_one_has_failed_and_the_others_are_read() -> None:
    ref = BatchRef("t1", "b1", file_ids=("f1", "f2"), named=True)
    snapshot, _ = play(EXTRACTION.fetch(ref), Unavailable("No such file.", 400, None), [{"files": [FILE]}])
    assert [(one.key, one.status, one.error) for one in snapshot.documents] == [
        ("f1", FAILED, "No such file."),
        ("f2", PROCESSED, None),
    ]
    assert snapshot.is_lacking


def test_of_files_named_one_by_one_a_doubtful_one_costs_itself_where_the_template_answers() -> None:
    ref = BatchRef("t1", "b1", file_ids=("f1", "f2"), named=True)
    file = {**FILE, "result": {"documentType": "invoice"}}
    snapshot, asked = play(CLASSIFICATION.fetch(ref), DOUBTFUL, [{"files": [file]}], [{"classificationDetails": {}}])
    assert [(one.key, one.status) for one in snapshot.documents or ()] == [("f1", FAILED), ("f2", PROCESSED)]
    assert snapshot.is_lacking
    assert len(asked) == 3


def test_of_files_named_one_by_one_that_are_all_unknown_the_batch_is_missing() -> None:
    ref = BatchRef("t1", "b1", file_ids=("f1", "f2"), named=True)
    refusal = Unavailable("No such file.", 400, None)
    assert play(EXTRACTION.fetch(ref), refusal, refusal)[0].status is BatchStatus.MISSING


def test_extraction_as_documented() -> None:
    second = {**FILE, "fileName": "File 2.png"}
    snapshot = read({"extractionId": "t1", "batchId": "b1", "files": [FILE, second]})
    assert snapshot.status is BatchStatus.COMPLETE
    assert (snapshot.provider_status, snapshot.error, snapshot.provider_data) == (None, None, {})
    assert snapshot.documents is not None
    first = snapshot.documents[0]
    assert [one.key for one in snapshot.documents] == ["cv.png", "File 2.png"]
    assert (first.status, first.provider_status, first.file_id) == (PROCESSED, "processed", None)
    assert (first.file_name, first.url, first.provider_data) == ("cv.png", FILE["url"], {})
    [extraction] = first.extractions
    assert extraction.data == extraction.stable == FILE["result"]
    assert (extraction.document_type, extraction.confidence, extraction.completed_at) == (None, None, None)


def test_classification_as_documented() -> None:
    link = {"extractionId": "x1", "batchId": "xb1", "fileId": "xf1"}
    files = [
        {"fileId": "f1", "fileName": "1.pdf", "result": {"confidence": 0.9, "documentType": "invoice"}},
        {"fileId": "f1", "fileName": "2.pdf", "result": {"confidence": 0.95, "documentType": "resume"}},
        {"fileId": "f2", "fileName": "3.pdf", "result": {"confidence": 1, "documentType": "other"}},
    ]
    files = [{**file, "status": "processed", "url": "https://x/y"} for file in files]
    files[1]["extraction"] = link
    body = {"status": "success", "classificationId": "t1", "batchId": "b1", "files": files}
    snapshot = read(body, product=CLASSIFICATION)
    assert (snapshot.status, snapshot.provider_status) == (BatchStatus.COMPLETE, "success")
    assert snapshot.odd_statuses == frozenset()
    assert snapshot.documents is not None
    assert [one.key for one in snapshot.documents] == ["f1", "f1~2", "f2"]
    assert [one.document_type for one in snapshot.documents] == ["invoice", "resume", "other"]
    assert [one.extractions[0].confidence for one in snapshot.documents] == [0.9, 0.95, 1]
    assert snapshot.documents[1].extractions[0].data == {"confidence": 0.95, "documentType": "resume"}
    assert snapshot.documents[1].provider_data == {"extraction": link}
    assert snapshot.links == (BatchRef("x1", "xb1", named=True, linked=True),)


@PRODUCTS
def test_waiting_is_neither_empty_nor_done(product: Product) -> None:
    snapshot = read({WORDS[product.name].parent: "t1", "batchId": "b1", "status": "waiting"}, product=product)
    assert snapshot == Snapshot(WHOLE, BatchStatus.OPEN, provider_status="waiting")


def test_a_batch_that_waits_is_not_done_by_the_files_it_shows_already() -> None:
    snapshot = read({"status": "waiting", "files": [FILE]})
    assert snapshot.documents is not None
    assert [one.status for one in snapshot.documents] == [PROCESSED]
    assert snapshot.status is BatchStatus.OPEN


def test_a_batch_without_files_is_open() -> None:
    assert read({"files": []}) == Snapshot(WHOLE, BatchStatus.OPEN, documents=())


@pytest.mark.parametrize(
    ("sent", "status"),
    [("processed", PROCESSED), ("failed", FAILED), ("error", FAILED), ("waiting", PENDING), ("processing", PENDING)],
)
def test_a_file_has_a_result_when_it_is_processed(sent: str, status: FileStatus) -> None:
    snapshot = read({"files": [FILE, {**FILE, "fileName": "2", "status": sent}]})
    assert snapshot.documents is not None
    assert (snapshot.documents[1].status, snapshot.documents[1].provider_status) == (status, sent)
    assert bool(snapshot.documents[1].extractions) is (status is PROCESSED)
    assert snapshot.status is (BatchStatus.OPEN if status is PENDING else BatchStatus.COMPLETE)
    assert snapshot.odd_statuses == frozenset()


@pytest.mark.parametrize("sent", ["PAUSED", None, 7])
def test_an_unknown_status_is_unfinished_and_told(sent: Any) -> None:
    snapshot = read({"files": [{**FILE, "status": sent}]})
    assert snapshot.documents is not None
    assert snapshot.documents[0].status is PENDING
    assert snapshot.documents[0].provider_status == (None if sent is None else str(sent))
    assert snapshot.status is BatchStatus.OPEN
    assert snapshot.odd_statuses == {"" if sent is None else str(sent)}


def test_an_unknown_status_of_a_batch_without_files_is_told() -> None:
    snapshot = read({"status": "queued"})
    assert (snapshot.status, snapshot.documents, snapshot.provider_status) == (BatchStatus.OPEN, None, "queued")
    assert snapshot.odd_statuses == {"queued"}


@pytest.mark.parametrize(
    ("sent", "told"),
    [("Blurred", "Blurred"), ({"code": 7, "why": "blurred"}, '{"code":7,"why":"blurred"}'), ("", None), (None, None)],
)
def test_a_failed_file_keeps_its_reason(sent: Any, told: str | None) -> None:
    [file] = documents({"fileName": "a", "status": "failed", "error": sent})
    assert (file.status, file.error, file.extractions) == (FAILED, told, ())


@pytest.mark.parametrize(
    ("sent", "data"),
    [(None, {}), ({}, {}), ([1], {"value": [1]}), ("text", {"value": "text"}), (0, {"value": 0}), ([], {"value": []})],
)
@PRODUCTS
def test_a_result_is_an_object_whatever_was_sent(product: Product, sent: Any, data: Any) -> None:
    [file] = documents({"fileId": "f", "status": "processed", "result": sent}, product=product)
    assert [extraction.data for extraction in file.extractions] == [data]


@pytest.mark.parametrize(
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
def test_no_file_is_lost_for_want_of_a_name(files: Sequence[Mapping[str, Any]], keys: list[str]) -> None:
    assert [one.key for one in documents(*files)] == keys


def test_unknown_keys_are_kept() -> None:
    file = {**FILE, "pages": [1], "language": "en"}
    snapshot = read({"extractionId": "t1", "batchId": "b1", "files": [file], "credits": 3})
    assert snapshot.provider_data == {"credits": 3}
    assert snapshot.documents is not None
    assert snapshot.documents[0].provider_data == {"pages": [1], "language": "en"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": "Batch is locked"}, "Extracta.ai told of a trouble with t1/b1: Batch is locked."),
        ({"files": {"f1": {}}}, "Extracta.ai's files of t1/b1 are not a list."),
        ({"files": "none"}, "Extracta.ai's files of t1/b1 are not a list."),
        ([], "Extracta.ai's answer about t1/b1 is not a JSON object."),
        (None, "Extracta.ai's answer about t1/b1 is not a JSON object."),
    ],
)
def test_an_answer_that_cannot_be_read_fails_in_words(body: Any, words: str) -> None:
    with pytest.raises(BadAnswer) as caught:
        read(body)
    assert str(caught.value) == words


def test_an_error_beside_files_is_kept() -> None:
    assert read({"files": [FILE], "error": "one is late"}).error == "one is late"


@pytest.mark.parametrize(
    "link", [None, {}, [], "", {"extractionId": "x1"}, {"batchId": "b"}, {"extractionId": "", "batchId": "b"}]
)
def test_a_link_without_its_parts_is_no_link(link: Any) -> None:
    file = {"fileId": "f", "status": "processed", "extraction": link}
    snapshot = read({"files": [file]}, product=CLASSIFICATION)
    assert snapshot.links == ()
    assert snapshot.documents is not None
    assert snapshot.documents[0].provider_data == {"extraction": link}


def test_files_that_link_to_one_batch_are_one_link() -> None:
    link = {"extractionId": "x", "batchId": "b"}
    files = [{"fileId": name, "status": "processing", "extraction": {**link, "fileId": name}} for name in "fg"]
    assert read({"files": files}, product=CLASSIFICATION).links == (BatchRef("x", "b", named=True, linked=True),)


@PRODUCTS
def test_a_batch_that_the_provider_does_not_know_is_missing(product: Product) -> None:
    snapshot, asked = play(product.fetch(WHOLE), Unavailable("It said no.", 400, {"error": "Invalid request"}))
    assert snapshot == Snapshot(WHOLE, BatchStatus.MISSING, error="It said no.")
    assert len(asked) == 1


@PRODUCTS
@pytest.mark.parametrize("status", [402, 404, 409])
def test_a_batch_that_is_refused_for_another_reason_fails(product: Product, status: int) -> None:
    refusal = Refused("It said no.", status, None)
    for script in (product.fetch(WHOLE), product.discover("t1") if product.discover else None):
        assert script
        with pytest.raises(Refused) as caught:
            play(script, refusal)
        assert caught.value is refusal


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
def test_the_documented_answer_about_an_unknown_id_is_told_apart(status: int, body: Any, is_about_id: bool) -> None:
    assert BOTH.dialect.is_about_id(status, body) is is_about_id


def test_a_doubtful_refusal_of_a_batch_named_by_hand_means_missing_where_its_template_answers() -> None:
    snapshot, asked = play(CLASSIFICATION.fetch(NAMED), DOUBTFUL, [{"classificationDetails": {}}])
    assert snapshot == Snapshot(NAMED, BatchStatus.MISSING, error="had a trouble")
    [view] = asked[1]
    assert (view.path, view.json) == ("/documentClassification/viewClassification", {"classificationId": "t1"})


@pytest.mark.parametrize("second", [DOUBTFUL, Refused("It said no.", 404, None), TransientError("down", 500)])
def test_a_doubtful_refusal_fails_where_the_template_does_not_answer(second: ConnectorError) -> None:
    with pytest.raises(type(second)) as caught:
        play(CLASSIFICATION.fetch(NAMED), DOUBTFUL, second)
    assert caught.value is second


@pytest.mark.parametrize(
    ("ref", "error"),
    [(WHOLE, DOUBTFUL), (NAMED, TransientError("down", 500, {"message": "x"})), (NAMED, TransientError("lost"))],
)
def test_a_trouble_of_a_batch_that_is_surely_there_is_a_failure(ref: BatchRef, error: TransientError) -> None:
    with pytest.raises(TransientError) as caught:
        play(CLASSIFICATION.fetch(ref), error)
    assert caught.value is error


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
def test_its_errors_are_understood(status: int, body: Any, passes: bool, reason: str | None) -> None:
    assert BOTH.dialect.passes(status, body) is passes
    assert BOTH.dialect.reason(body) == reason


@PRODUCTS
def test_batches_are_found_by_their_template(product: Product) -> None:
    parent, _, path, details = WORDS[product.name]
    told = {"filesNo": 2, "origin": "api", "startTime": 1746720170530, "status": "processed"}
    body = {parent: "t1", details: {"name": "Invoices", "batches": {"b1": told}}}
    assert product.discover is not None
    [ref], asked = play(product.discover("t1"), [body])
    assert asked == [[Request("POST", path, json={parent: "t1"})]]
    start = datetime(2025, 5, 8, 16, 2, 50, 530_000, tzinfo=timezone.utc)
    assert ref == BatchRef(
        "t1",
        "b1",
        created_at=start,
        clock=start,
        template_name="Invoices",
        files_total=2,
        provider_status="processed",
        provider_data={"origin": "api"},
        fingerprint="2",
    )


@pytest.mark.parametrize(
    ("sent", "time"),
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
        *((rubbish, None) for rubbish in (None, "", "soon", "nan", "-inf", 1e300, [], {}, True, False)),
    ],
)
def test_a_start_is_read_in_each_form_and_never_made_up(sent: Any, time: str | None) -> None:
    [ref] = batches({"b1": {"startTime": sent}})
    assert (ref.created_at and ref.created_at.isoformat(timespec="milliseconds")) == time
    assert ref.clock == ref.created_at


@pytest.mark.parametrize(
    ("sent", "files"), [(2, 2), ("2", 2), (2.0, 2), (None, None), ("many", None), ([], None), (True, None), (0, 0)]
)
def test_a_count_of_files_is_read_also_as_text(sent: Any, files: int | None) -> None:
    [ref] = batches({"b1": {"filesNo": sent}})
    assert ref.files_total == files
    assert ref.fingerprint == ("" if files is None else str(files))


@pytest.mark.parametrize(("sent", "status"), [("processed", "processed"), (None, None), (3, "3")])
def test_a_batch_that_is_listed_with_a_word_is_listed(sent: Any, status: str | None) -> None:
    assert batches({"b1": sent, "b2": {}}) == [
        BatchRef("t1", "b1", template_name="Invoices", provider_status=status),
        BatchRef("t1", "b2", template_name="Invoices"),
    ]


@pytest.mark.parametrize(
    "body", [{}, {"extractionDetails": {}}, {"extractionDetails": {"batches": {}}}, {"batches": None}]
)
def test_a_template_may_have_no_batches(body: Any) -> None:
    assert listed(body) == []


@pytest.mark.parametrize("details", [{}, {"extractionDetails": {"name": "n"}}, {"extractionDetails": None}])
def test_batches_are_found_at_the_top_level_too(details: Any) -> None:
    assert [ref.batch_id for ref in listed({**details, "batches": {"b1": {}, "b2": {}}})] == ["b1", "b2"]


@pytest.mark.parametrize("body", [[], None, "x", {"extractionDetails": {"batches": ["b1"]}}, {"batches": "b1"}])
def test_a_list_that_cannot_be_read_fails_in_words(body: Any) -> None:
    with pytest.raises(BadAnswer, match=r"^Extracta\.ai's .* t1 is not a JSON object\.$"):
        listed(body)


@PRODUCTS
@pytest.mark.parametrize("trouble", [Unavailable("It said no.", 400, {"error": "Invalid request"}), DOUBTFUL])
def test_an_unknown_template_is_named_with_its_setting(product: Product, trouble: ConnectorError) -> None:
    assert product.discover is not None
    with pytest.raises(ConfigError) as caught:
        play(product.discover("t1"), trouble)
    setting = WORDS[product.name].parent.replace("Id", "_ids")
    assert str(caught.value) == f"Extracta.ai does not know the template t1 of extracta.{setting}. ({trouble})"


def test_a_provider_that_is_down_is_no_unknown_template() -> None:
    assert EXTRACTION.discover is not None
    with pytest.raises(TransientError, match="down"):
        play(EXTRACTION.discover("t1"), TransientError("down", 503))


def test_the_check_looks_at_each_template() -> None:
    _, asked = play(BOTH.check(), [{}], [{}])
    assert [request.path for [request] in asked] == [
        "/documentClassification/viewClassification",
        "/viewExtraction",
    ]


def test_the_check_without_templates_asks_for_the_credits() -> None:
    _, asked = play(plan(extraction_batches=["t/b"]).check(), [{"credits": 5}])
    assert asked == [[Request("GET", "/credits")]]
