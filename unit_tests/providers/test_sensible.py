"""Flows of Sensible, played by hand: summaries, documents, portfolios, reviews, and batches that hold only ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from source_docextract.core.errors import (
    ConfigError,
    ConnectorError,
    QuotaError,
    RequestRejected,
    ResourceUnavailable,
    TransientError,
    UnreadableResponse,
)
from source_docextract.core.model import Document, Extraction, FileStatus, PartitionRef, PartitionStatus, Snapshot
from source_docextract.core.provider import (
    NO_FILTERS,
    BatchAnswer,
    ChangeDetection,
    FilterIds,
    ListedRows,
    ProviderSpec,
    Registry,
    Window,
)
from source_docextract.core.requests import Request
from source_docextract.core.timestamps import parse_time, truncate_to_day
from source_docextract.providers.sensible.provider import build_sensible_spec
from source_docextract.settings import Settings
from source_docextract.tables.rows import BATCHES, FILES, RESULTS, RenderOptions
from unit_tests.support.cases import each_case
from unit_tests.support.stub_server import (
    QUICK,
    BlockingClient,
    flatten_flow,
    ok_response,
    play_flow,
    respond_in_turn,
    serve_stub,
)

PENDING, PROCESSED, FAILED = FileStatus.PENDING, FileStatus.PROCESSED, FileStatus.FAILED
OPEN, COMPLETE, MISSING = PartitionStatus.OPEN, PartitionStatus.COMPLETE, PartitionStatus.MISSING
OPTIONS = RenderOptions("sensible")


def make_spec(registry: Registry | None = None, **settings: Any) -> ProviderSpec:
    parsed = Settings.parse({"sensible": {"api_key": "key-0123456789", **settings}})
    assert parsed.sensible is not None
    return build_sensible_spec(parsed.sensible, registry)


PLAN = make_spec()
EXTRACTION, BATCHES_GROUP = PLAN.stream_groups
REF, BATCH_REF = PartitionRef(None, "e1"), PartitionRef(None, "b1", is_explicit=True)
FIRST_DAY, SECOND_DAY = datetime(2026, 5, 1, tzinfo=timezone.utc), datetime(2026, 5, 2, tzinfo=timezone.utc)
DAY = Window("PRODUCTION/", FIRST_DAY, SECOND_DAY)
LIST = {"environments": "PRODUCTION", "limit": 100}
LIST |= {"start_date": "2026-05-01T00:00:00.000Z", "end_date": "2026-05-02T00:00:00.000Z"}
TYPES = [{"id": "id-1", "name": "claims"}, {"id": "id-2", "name": "tax"}]

COLUMNS: dict[str, Any] = {"id": "e1", "created": "2026-05-01T22:54:55.733Z", "completed": "2026-05-01T22:55:20.010Z"}
COLUMNS |= {"status": "COMPLETE", "type": "contracts", "document_name": "doc1.pdf", "page_count": 3}
OTHER_KEYS = {"configuration": "acme_v2", "environment": "production", "coverage": 0.75, "charged": 1, "errors": []}
OTHER_KEYS |= {"validation_summary": {"fields": 6, "warnings": 1}, "validations": [{"severity": "warning"}]}
CREATED, COMPLETED = parse_time(COLUMNS["created"]), parse_time(COLUMNS["completed"])
PARSED: Mapping[str, Any] = {
    "title": None,
    "vendor": {"value": "Acme", "type": "string", "confidenceSignal": "confident_answer"},
    "total": {"value": 1250.0, "type": "currency", "unit": "$", "source": "$1,250.00"},
    "parties": {"value": ["Acme", "Bcme"], "type": "name"},
    "filing_status.single": {"value": True, "type": "boolean"},
    "signed": [{"value": "2026-01-01T00:00:00.000Z", "type": "date"}, None],
    "clauses": [{"page": {"value": 1, "type": "number"}, "amendments": [{"by": None}]}],
    "losses": {"columns": [{"id": "paid", "values": [{"value": 1, "type": "number"}, None]}], "title": None},
    "made_up": {"value": "2026-05", "type": "date-YYYY-MM"},
}


def change_row(row: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """With other values; `...` takes a key out."""
    return {key: value for key, value in {**row, **more}.items() if value is not ...}


def make_summary(**more: Any) -> dict[str, Any]:
    return change_row({**COLUMNS, **OTHER_KEYS, "reviewStatuses": None}, **more)


def make_document(**more: Any) -> dict[str, Any]:
    return change_row({**COLUMNS, **OTHER_KEYS, "parsed_document": PARSED}, **more)


def make_page(*rows: Any, token: Any = None) -> dict[str, Any]:
    return change_row({"extractions": list(rows), "continuation_token": token, "cutoff_date": None})


def read_day(
    *responses: Any, scope: str = "PRODUCTION/", types: FilterIds = NO_FILTERS
) -> tuple[list[PartitionRef], list[dict[str, Any]]]:
    """What a day of the list holds, and the parameters of each request for it."""
    refs, sent_requests = get_day_params(*responses, scope=scope, types=types)
    assert refs.error == ""
    return refs.refs, sent_requests


def get_day_params(
    *responses: Any, scope: str = "PRODUCTION/", types: FilterIds = NO_FILTERS
) -> tuple[ListedRows, list[dict[str, Any]]]:
    read_window = EXTRACTION.read_window
    assert read_window is not None
    refs, sent_requests = play_flow(
        read_window(replace(DAY, scope=scope), (), types), *([response] for response in responses)
    )
    return refs, [dict(request.params) for [request] in sent_requests]


def look_up_types(body: Any) -> FilterIds:
    """The ids of the document types that Sensible lists."""
    look_up_filters = make_spec(document_types=["tax"]).stream_groups[0].look_up_filters
    assert look_up_filters is not None
    types, sent_requests = play_flow(look_up_filters(), [body])
    assert sent_requests == [[Request("GET", "/document_types")]]
    assert isinstance(types, FilterIds)
    return types


def read_document(response: Any, ref: PartitionRef = REF) -> tuple[Snapshot, Document]:
    snapshot, sent_requests = play_flow(
        EXTRACTION.fetch(ref), response if isinstance(response, Exception) else [response]
    )
    assert sent_requests == [[Request("GET", "/documents/e1")]]
    [file] = snapshot.documents
    return snapshot, file


class TestPlan:
    def test_api_key_is_in_header(self) -> None:
        assert PLAN.headers == {"Authorization": "Bearer key-0123456789"}
        assert (PLAN.base_url, PLAN.login) == ("https://api.sensible.so/v0", None)
        assert "key-0123456789" not in repr(PLAN)

    def test_extractions_are_detected_by_listing_and_batches_by_reference(self) -> None:
        registered = PartitionRef(None, "b2", expected_files=3, is_explicit=True)
        extractions, batches = make_spec(Registry({"sensible": (registered,)}), batch_ids=["b1"]).stream_groups

        assert (extractions.stream_prefix, extractions.stream_kinds) == ("sensible", ("files", "results", "fields"))
        assert (batches.stream_prefix, batches.stream_kinds) == ("sensible", ("batches",))
        assert (extractions.change_detection, extractions.referenced_group) == (ChangeDetection.LISTING, batches.name)
        assert (batches.change_detection, batches.referenced_group) == (ChangeDetection.REFERENCE, extractions.name)
        assert batches.explicit_partitions == (BATCH_REF, registered)

    @each_case(
        ("settings", "scopes"),
        [
            ({"environments": ["DEVELOPMENT", "PRODUCTION"]}, ["DEVELOPMENT/", "PRODUCTION/"]),
            ({"document_types": ["tax/2026", "claims"]}, ["PRODUCTION/tax/2026", "PRODUCTION/claims"]),
        ],
    )
    def test_each_environment_or_document_type_is_a_scope(self, settings: Any, scopes: list[str]) -> None:
        assert list(make_spec(**settings).stream_groups[0].scopes) == scopes

    @each_case("types", [[], ["claims"], ["claims", "tax"]])
    def test_check_requests_document_types_once(self, types: list[str]) -> None:
        assert play_flow(make_spec(document_types=types).check(), [TYPES])[1] == [[Request("GET", "/document_types")]]

    def test_unknown_document_type_is_an_error_naming_known_types(self) -> None:
        message_text = (
            r"^Sensible has no document type 'claim'\. Name one of claims, tax in sensible\.document_types\.$"
        )
        spec = make_spec(document_types=["tax", "claim"])

        with pytest.raises(ConfigError, match=message_text):
            play_flow(spec.check(), [TYPES])
        with pytest.raises(ConfigError, match=message_text):
            read_day(scope="PRODUCTION/claim", types=look_up_types(TYPES))

    def test_unreadable_document_types_are_an_error_with_reason(self) -> None:
        with pytest.raises(UnreadableResponse, match=r"^Sensible's document types are not a list\.$"):
            play_flow(PLAN.check(), [{}])

    def test_unreadable_document_type_among_others_concerns_only_unknown_names(self) -> None:
        types = look_up_types([1, None, *TYPES])

        assert read_day(make_page(make_summary()), scope="PRODUCTION/tax", types=types)
        with pytest.raises(UnreadableResponse, match=r"and 'claim' is not in the readable part\.$"):
            read_day(scope="PRODUCTION/claim", types=types)

    def test_document_types_are_looked_up_only_where_settings_name_some(self) -> None:
        assert EXTRACTION.look_up_filters is None
        assert look_up_types(TYPES) == FilterIds({"claims": "id-1", "tax": "id-2"})

    @each_case(
        ("body", "reason"),
        [("No.", "No."), ({"message": "No."}, "No."), ({"error": {"code": 1}}, '{"code":1}'), ({}, None), (None, None)],
    )
    def test_error_reason_is_extracted_from_text_or_json(self, body: Any, reason: str | None) -> None:
        assert PLAN.error_format.extract_reason(body) == reason
        assert not PLAN.error_format.is_retryable(400, body)

    @pytest.mark.parametrize(
        ("message_text", "requests"),
        [
            (b"Free accounts are limited to 150 API calls per month.", 1),
            (b'{"message": "Pro accounts are limited to 5,000 API calls per month."}', 1),
            (b"Attempt limit exceeded, please retry after some time.", 2),
        ],
    )
    def test_throttled_request_is_retried_and_spent_quota_is_not(self, message_text: bytes, requests: int) -> None:
        with serve_stub(
            respond_in_turn((429, {"Content-Type": "text/plain"}, message_text), ok_response([]))
        ) as server:
            client = BlockingClient(PLAN.error_format, server.url, headers=PLAN.headers, retry_policy=QUICK)

            try:
                response = client.send(Request("GET", "/document_types"))
            except QuotaError as error:
                response = str(error)

            assert len(server.received) == requests
            assert response == [] or "limited to" in response
            client.close()


class TestList:
    def test_documented_summary_is_read(self) -> None:
        [ref], [params] = read_day(make_page(make_summary()))

        assert params == LIST
        assert (ref.template_id, ref.batch_id, ref.listed_row, ref.is_explicit) == (None, "e1", make_summary(), False)
        assert ref.created_at == ref.approx_created_at == CREATED

    def test_full_page_without_continuation_token_is_an_error(self) -> None:
        rows = [make_summary(id=f"e{number}") for number in range(100)]

        assert len(read_day(make_page(*rows[1:], token=...))[0]) == 99
        with pytest.raises(UnreadableResponse, match="does not say whether there is more"):
            read_day(make_page(*rows, token=...))

    def test_fingerprint_changes_with_any_value_except_urls_and_key_order(self) -> None:
        reviews = [None, "NEEDS_REVIEW", ["NEEDS_REVIEW"], [None, "APPROVED"], ...]
        changes: list[dict[str, Any]] = [
            *({"reviewStatuses": review_statuses} for review_statuses in reviews),
            {"coverage": 0.8},
            {"completed": ...},
            {"new": 1},
        ]
        same = [dict(reversed(make_summary().items())), make_summary(download_url="https://x/1?sig=1")]

        refs, second_refs = (
            [read_day(make_page(row))[0][0] for row in rows]
            for rows in ([make_summary(**review_statuses) for review_statuses in changes], same)
        )

        assert len({ref.fingerprint for ref in refs}) == len(changes)
        assert {ref.fingerprint for ref in second_refs} == {refs[0].fingerprint}

    def test_window_includes_start_excludes_end_and_reads_times_as_utc(self) -> None:
        times = ["2026-04-30T23:59:59.999Z", "2026-05-01T00:00:00", "2026-05-01T23:59:59.999", "2026-05-02T00:00:00Z"]

        refs, _ = read_day(make_page(*(make_summary(id=time, created=time) for time in times)))

        assert [ref.batch_id for ref in refs] == times[1:3]
        assert refs[0].created_at == FIRST_DAY

    @each_case("end", [None, ..., ""])
    def test_pages_are_requested_until_token_is_absent(self, end: Any) -> None:
        first, later = make_page(make_summary(), make_summary(id="e2"), token="t1"), make_summary(id="e2", coverage=1)

        refs, sent_requests = read_day(first, make_page(token="t2"), make_page(later, token=end))

        assert sent_requests == [LIST, {**LIST, "continuation_token": "t1"}, {**LIST, "continuation_token": "t2"}]
        assert [ref.listed_row for ref in refs] == [make_summary(), later]

    @each_case("tokens", ["aa", "aba"])
    def test_repeated_token_fails_instead_of_looping(self, tokens: str) -> None:
        with pytest.raises(
            UnreadableResponse, match=r"^Sensible's list of extractions repeats a continuation_token\.$"
        ):
            read_day(*(make_page(make_summary(id=str(number)), token=token) for number, token in enumerate(tokens)))

    def test_list_is_filtered_by_type_and_portfolio_is_in_each_of_its_types(self) -> None:
        types = look_up_types(TYPES)
        both, other = (make_summary(id=id_, type=..., types=["claims", id_]) for id_ in ("tax", "mail"))

        first, sent_requests = read_day(make_page(both, make_summary(type="tax")), scope="DEVELOPMENT/tax", types=types)
        second, later = read_day(
            make_page(both, other, make_summary(type="claims")), scope="DEVELOPMENT/claims", types=types
        )

        development = {**LIST, "environments": "DEVELOPMENT"}
        assert sent_requests == [{**development, "document_type_ids": "id-2"}]
        assert later == [{**development, "document_type_ids": "id-1"}]
        assert [ref.batch_id for ref in first] == ["tax", "e1"]
        assert [ref.batch_id for ref in second] == ["tax", "mail", "e1"]

    @each_case(
        ("body", "message_text"),
        [
            ([], "Sensible's list of extractions is not a JSON object."),
            ({}, "Sensible's list of extractions is not a JSON array."),
            ({"extractions": {"e1": {}}}, "Sensible's list of extractions is not a JSON array."),
        ],
    )
    def test_unreadable_list_is_an_error_with_reason(self, body: Any, message_text: str) -> None:
        with pytest.raises(UnreadableResponse) as exc_info:
            read_day(body)

        assert str(exc_info.value) == message_text

    @each_case("bad", [1, None, [], make_summary(id=None), make_summary(id="")])
    def test_unreadable_row_is_reported_and_others_are_delivered(self, bad: Any) -> None:
        refs, _ = get_day_params(make_page(make_summary(id="a"), bad, token="t"), make_page(make_summary(id="b"), bad))

        assert [ref.batch_id for ref in refs.refs] == ["a", "b"]
        assert refs.error == (
            "2 of the rows of Sensible's list of extractions cannot be read; the others are delivered."
        )

    @each_case("raw_time", [..., None, "soon", "1970-01-01T00:00:00Z", "2099-01-01T00:00:00Z"])
    def test_row_without_plausible_creation_time_is_read(self, raw_time: Any) -> None:
        [ref], _ = read_day(make_page(make_summary(created=raw_time)))

        assert (ref.created_at, ref.approx_created_at) == (parse_time(None if raw_time is ... else raw_time), None)

    @each_case(
        "times",
        [
            [],
            ["2026-11-20T08:00:00.000Z", "2026-11-20T03:00:00.000Z"],
            ["2026-11-20T08:00:00.000Z", "2022-03-01T00:00:00.000Z", "2022-02-28T23:59:59.999Z"],
            ["2026-11-20T08:00:00.000Z", "2015-01-01T00:00:00.000Z"],
        ],
    )
    def test_day_of_oldest_row_is_found_by_bisection(self, times: list[str]) -> None:
        assert EXTRACTION.find_oldest is not None
        script, sent_requests = flatten_flow(EXTRACTION.find_oldest("PRODUCTION/", NO_FILTERS)), []

        [request], oldest_day = next(script), ...
        while oldest_day is ...:
            sent_requests.append(request.params)
            newest = [time for time in times if time <= str(request.params.get("end_date", "9999"))][:1]
            try:
                [request] = script.send([make_page(*(make_summary(created=time) for time in newest))])
            except StopIteration as end:
                oldest_day = end.value

        oldest = parse_time(times[-1]) if times else None
        assert oldest_day == (oldest and truncate_to_day(oldest))
        assert sent_requests[0] == {"environments": "PRODUCTION", "limit": 1}
        assert len(sent_requests) < 15


class TestDocument:
    def test_documented_response_is_read(self) -> None:
        more = {"configuration_version": "v1", "content_type": "application/pdf", "uploaded": "2026-05-01T22:54:56Z"}

        snapshot, file = read_document(make_document(**more, download_url="https://x/1?sig=1"))

        assert (snapshot.status, snapshot.completed_at) == (COMPLETE, COMPLETED)
        assert (snapshot.references, snapshot.unknown_statuses) == ((), frozenset())
        assert (file.key, file.file_id, file.file_name, file.url) == ("e1", "e1", "doc1.pdf", "https://x/1?sig=1")
        assert (file.status, file.provider_status, file.error) == (PROCESSED, "COMPLETE", None)
        assert (file.document_type, file.page_count, file.batch) == ("contracts", 3, PartitionRef(None, ""))
        assert (file.created_at, file.completed_at) == (CREATED, COMPLETED)
        assert file.provider_data == {**OTHER_KEYS, **more}
        times: dict[str, Any] = {"created_at": CREATED, "completed_at": COMPLETED}
        assert file.extractions == (Extraction(data=PARSED, hashable_data=PARSED, document_type="contracts", **times),)

    @each_case(
        ("raw_data", "data"),
        [(PARSED, PARSED), ({}, {}), (None, {}), (..., {}), ([1, None], {"value": [1, None]}), ("x", {"value": "x"})],
    )
    def test_extracted_data_is_kept_as_sent(self, raw_data: Any, data: Any) -> None:
        [extraction] = read_document(make_document(parsed_document=raw_data))[1].extractions

        assert extraction.data == extraction.hashable_data == data
        assert list(extraction.data) == list(data)

    def test_camel_case_keys_are_read(self) -> None:
        row = make_document(document_name=..., page_count=..., parsed_document=...)

        _, file = read_document(
            {**row, "documentName": "a", "pageCount": 2, "parsedDocument": PARSED, "downloadUrl": "u"}
        )

        assert (file.file_name, file.page_count, file.url, file.extractions[0].data) == ("a", 2, "u", PARSED)
        assert file.provider_data == OTHER_KEYS

    @each_case("parsed", ["parsed_document", "parsedDocument"])
    def test_portfolio_has_a_result_for_each_of_its_documents(self, parsed: str) -> None:
        parts = [
            {"documentType": "w2", "configuration": "c", "startPage": 0, "endPage": 1, "output": {parsed: PARSED}},
            {"documentType": "1099", "startPage": 2, "output": {parsed: None, "coverage": 0.5, "fileMetadata": {}}},
            {"documentType": "1099", "output": {}},
        ]
        row = make_document(type=..., types=["w2", "1099"], parsed_document=..., documents=parts)

        snapshot, file = read_document({**row, "reviewStatuses": [None, "NEEDS_REVIEW"]})

        assert snapshot.status is OPEN
        assert (file.document_type, file.provider_data["types"]) == (None, ["w2", "1099"])
        assert [
            (extraction.document_index, extraction.document_type, extraction.review_status, extraction.data)
            for extraction in file.extractions
        ] == [
            (0, "w2", None, PARSED),
            (1, "1099", "NEEDS_REVIEW", {}),
            (2, "1099", None, {}),
        ]
        assert [extraction.provider_data for extraction in file.extractions] == [
            {"configuration": "c", "startPage": 0, "endPage": 1},
            {"startPage": 2, "coverage": 0.5, "fileMetadata": {}},
            {},
        ]
        assert {(extraction.created_at, extraction.completed_at) for extraction in file.extractions} == {
            (CREATED, COMPLETED)
        }
        assert [record["id"] for row in RESULTS.build_rows(snapshot, OPTIONS) for record in row.records] == [
            "e1",
            "e1#1",
            "e1#2",
        ]

    def test_portfolio_with_open_review_of_any_document_is_open(self) -> None:
        parts = [{"documentType": "w2", "output": {"reviewStatus": review}} for review in ("APPROVED", "NEEDS_REVIEW")]

        snapshot, file = read_document(make_document(documents=parts))

        assert [extraction.review_status for extraction in file.extractions] == ["APPROVED", "NEEDS_REVIEW"]
        assert snapshot.status is OPEN

    @each_case("parts", [["w2"], [{"output": [1]}], [{"output": 7}]])
    def test_unreadable_portfolio_is_an_error_with_reason(self, parts: Any) -> None:
        with pytest.raises(UnreadableResponse, match=r"of a Sensible portfolio is not a JSON object\.$"):
            read_document(make_document(documents=parts))

    @each_case(
        ("raw_status", "status"),
        [("WAITING", PENDING), ("PROCESSING", PENDING), ("COMPLETE", PROCESSED), ("FAILED", FAILED)],
    )
    def test_status_determines_result_and_snapshot_status(self, raw_status: str, status: FileStatus) -> None:
        snapshot, file = read_document(make_document(status=raw_status, completed=...))

        assert (file.status, file.provider_status, file.completed_at) == (status, raw_status, None)
        assert bool(file.extractions) is (status is PROCESSED)
        assert snapshot.status is (OPEN if status is PENDING else COMPLETE)
        assert (snapshot.completed_at, snapshot.unknown_statuses) == (None, frozenset())

    @each_case(("raw_status", "expected_status"), [("QUEUED", "QUEUED"), (7, "7"), (None, None), (..., None)])
    def test_unknown_status_is_pending_and_reported(self, raw_status: Any, expected_status: str | None) -> None:
        snapshot, file = read_document(make_document(status=raw_status))

        assert (file.status, file.provider_status, file.extractions) == (PENDING, expected_status, ())
        assert (snapshot.status, snapshot.unknown_statuses) == (OPEN, frozenset({expected_status or ""}))

    @each_case(
        ("errors", "expected_reason"),
        [
            ([{"field_id": "total", "message": "No pages", "type": "unexpected"}], "No pages"),
            ([{"message": "No pages."}, {"message": None}, {"message": "Locked."}], "No pages. Locked."),
            (["No pages"], "No pages"),
            ("No pages", "No pages"),
            ([], None),
            (None, None),
            (..., None),
        ],
    )
    def test_failed_document_keeps_its_reasons(self, errors: Any, expected_reason: str | None) -> None:
        failed, complete = (
            read_document(make_document(status=raw_status, errors=errors))[1] for raw_status in ("FAILED", "COMPLETE")
        )

        assert (failed.error, complete.error) == (expected_reason, None)
        assert failed.provider_data == complete.provider_data == change_row(OTHER_KEYS, errors=errors)

    @each_case("write", [lambda value: value, lambda value: [value]], ids=["text", "list"])
    @each_case("key", ["reviewStatus", "reviewStatuses"])
    @each_case("raw_status", [None, "NEEDS_REVIEW", "APPROVED", "REJECTED", "ESCALATED"])
    def test_undecided_review_keeps_snapshot_open(self, raw_status: Any, key: str, write: Any) -> None:
        snapshot, file = read_document(make_document(**{key: write(raw_status)}, batchId="b1"))

        assert (file.status, file.extractions[0].review_status) == (PROCESSED, raw_status)
        assert snapshot.status is (OPEN if raw_status in {"NEEDS_REVIEW", "ESCALATED"} else COMPLETE)
        assert snapshot.unknown_statuses == {"ESCALATED"} & {raw_status}
        assert snapshot.references[0].member_statuses == {"e1": PROCESSED}

    @each_case("key", ["batchId", "batchID"])
    def test_document_with_batch_id_gives_reference_with_its_status(self, key: str) -> None:
        snapshot, file = read_document(make_document(status="FAILED", **{key: "b/1"}))

        assert snapshot.references == (
            PartitionRef(None, "b/1", is_explicit=True, is_referenced=True, member_statuses={"e1": FAILED}),
        )
        assert (file.batch, file.provider_data) == (PartitionRef(None, "b/1"), OTHER_KEYS)
        [row] = FILES.build_rows(snapshot, OPTIONS)
        [record] = row.records
        assert (record["id"], record["batch_key"], record["batch_id"]) == ("e1", "b%2F1", "b/1")

    @each_case("table", [FILES, RESULTS], ids=lambda table: table.kind)
    def test_new_url_signature_keeps_row_hash(self, table: Any) -> None:
        urls = ["https://x/1?sig=1", "https://x/1?sig=2"]
        read_so = [read_document(make_document(download_url=url, file_metadata={"image": url}))[0] for url in urls]

        assert len({row.row_hash for snapshot in read_so for row in table.build_rows(snapshot, OPTIONS)}) == 1

    @each_case(("status", "stays"), [(400, MISSING), (404, MISSING), (413, COMPLETE)])
    def test_unavailable_document_is_failed_with_values_of_summary(self, status: int, stays: PartitionStatus) -> None:
        [ref], _ = read_day(make_page(make_summary()))

        snapshot, file = read_document(ResourceUnavailable("Too large.", status, None), ref)
        unlisted, lost = read_document(ResourceUnavailable("Not found.", status, None))

        assert (snapshot.ref, snapshot.status, snapshot.completed_at) == (ref, stays, COMPLETED)
        assert (file.key, file.status, file.error, file.extractions) == ("e1", FAILED, "Too large.", ())
        assert (file.provider_status, file.file_name, file.document_type) == ("COMPLETE", "doc1.pdf", "contracts")
        assert (file.page_count, file.created_at, file.completed_at) == (3, CREATED, COMPLETED)
        assert (unlisted.status, unlisted.batch_unknown) == (PartitionStatus.MISSING, True)
        assert lost == Document("e1", FAILED, file_id="e1", error="Not found.", batch=PartitionRef(None, ""))

    def test_unavailable_portfolio_is_failed_from_summary_only(self) -> None:
        row = make_summary(type=..., types=["claims", "tax"])

        snapshot, file = read_document(ResourceUnavailable("Too large.", 413, None), replace(REF, listed_row=row))

        assert (snapshot.status, file.status, file.error) == (COMPLETE, FAILED, "Too large.")

    @each_case("part", [None, {"documentType": "claims"}, {"output": []}])
    def test_portfolio_document_without_output_is_an_error_with_reason(self, part: Any) -> None:
        with pytest.raises(UnreadableResponse, match="is not a JSON object"):
            read_document(make_document(types=["claims"], documents=[part]))

    @each_case("status", [400, 404])
    @each_case("listed_as", ["WAITING", "PROCESSING", "NEW"])
    def test_unavailable_document_listed_as_unfinished_is_pending(self, listed_as: str, status: int) -> None:
        [ref], _ = read_day(make_page(make_summary(status=listed_as, completed=...)))

        snapshot, file = read_document(ResourceUnavailable("Not found.", status, None), ref)

        assert (snapshot.status, file.status, file.error) == (OPEN, PENDING, None)

    @each_case(
        ("status", "body", "is_about_id"),
        [
            (404, "Not found", True),
            (400, "Specified extraction does not exist", True),
            (413, "Too large", True),
            (404, "  ", False),
            (404, None, False),
            (404, {"message": "Not Found"}, False),
            (410, "Gone", False),
            (402, "Payment required", False),
        ],
    )
    def test_unknown_id_response_is_recognized(self, status: int, body: Any, is_about_id: bool) -> None:
        assert make_spec().error_format.is_unavailable(status, body) is is_about_id

    @each_case("error", [RequestRejected("No.", 404, None), RequestRejected("No.", 422, None), TransientError("down")])
    def test_other_error_is_raised_unchanged(self, error: ConnectorError) -> None:
        with pytest.raises(type(error)) as exc_info:
            read_document(error)

        assert exc_info.value is error

    @each_case("body", [None, [], "Not found"])
    def test_response_other_than_object_is_an_error_with_reason(self, body: Any) -> None:
        with pytest.raises(UnreadableResponse, match=r"^Sensible's response for e1 is not a JSON object\.$"):
            read_document(body)


IDS = ("e1", "e2")
MEMBERS = tuple(PartitionRef(None, member_id, is_explicit=True, is_referenced=True) for member_id in IDS)
ANSWER: Mapping[str, Any] = {"id": "b1", "description": "test batch", "extraction_ids": [*IDS], "waiting": 1}
EXPECTED_REQUESTS = [[Request("GET", "/extract/batch/b1")]]


def read_batch(response: Any, **ref: Any) -> Snapshot:
    """A batch as it is read by one who knows `ref` of it."""
    snapshot, sent_requests = play_flow(make_spec().stream_groups[1].fetch(replace(BATCH_REF, **ref)), [response])
    assert sent_requests == EXPECTED_REQUESTS
    assert isinstance(snapshot, Snapshot)
    return snapshot


def read_answer(response: Any) -> tuple[BatchAnswer, list[list[Request]]]:
    read_batch = BATCHES_GROUP.read_batch
    assert read_batch is not None
    answer, sent_requests = play_flow(read_batch(BATCH_REF), response)
    assert isinstance(answer, BatchAnswer)
    return answer, sent_requests


class TestBatch:
    def test_batch_without_known_statuses_references_all_documents(self) -> None:
        snapshot = read_batch(ANSWER)

        assert (snapshot.status, snapshot.description, snapshot.provider_state) == (OPEN, "test batch", "?2")
        assert (snapshot.volatile_data, snapshot.provider_data) == ({"waiting": 1}, {})
        assert snapshot.documents == tuple(Document(member_id, PENDING, file_id=member_id) for member_id in IDS)
        assert snapshot.references == MEMBERS

    @each_case(
        ("known", "memo", "statuses"),
        [
            ({"member_statuses": {"e1": PROCESSED, "e2": FAILED}}, "pf", [PROCESSED, FAILED]),
            ({"member_statuses": {"e1": PENDING, "e2": PROCESSED}}, "wp", [PENDING, PROCESSED]),
            ({"member_statuses": {"e2": PROCESSED, "of another batch": FAILED}}, "?p", [PENDING, PROCESSED]),
            ({"provider_state": "p2"}, "p2", [PROCESSED, PROCESSED]),
            ({"provider_state": "pw", "member_statuses": {"e2": FAILED}}, "pf", [PROCESSED, FAILED]),
            ({"provider_state": "p3"}, "?2", [PENDING, PENDING]),
            ({"provider_state": "p"}, "?2", [PENDING, PENDING]),
        ],
    )
    def test_known_document_statuses_take_precedence_over_counters(
        self, known: Any, memo: str, statuses: list[FileStatus]
    ) -> None:
        snapshot = read_batch(ANSWER, **known)

        assert snapshot.documents is not None
        assert (snapshot.provider_state, [document.status for document in snapshot.documents]) == (memo, statuses)
        assert snapshot.status is (OPEN if PENDING in statuses else COMPLETE)
        assert {reference.batch_id for reference in snapshot.references} == {
            "?2": {"e1", "e2"},
            "?p": {"e1"},
            "p?": {"e2"},
        }.get(memo, set())

    @given(st.text("pfw?", min_size=1, max_size=40))
    def test_provider_state_round_trip_is_lossless(self, letters: str) -> None:
        ids = [f"e{number}" for number in range(len(letters))]
        meant = {"p": PROCESSED, "f": FAILED, "w": PENDING}
        statuses = {member_id: meant[letter] for member_id, letter in zip(ids, letters, strict=True) if letter in meant}

        first = read_batch({**ANSWER, "extraction_ids": ids}, member_statuses=statuses)
        second = read_batch({**ANSWER, "extraction_ids": ids}, provider_state=first.provider_state)

        assert replace(second, ref=first.ref) == first
        assert len(first.provider_state) <= len(letters)

    def test_provider_state_of_largest_batch_is_short(self) -> None:
        ids = [f"e{number}" for number in range(5000)]

        snapshot = read_batch({**ANSWER, "extraction_ids": ids}, member_statuses=dict.fromkeys(ids, PROCESSED))

        assert (snapshot.provider_state, snapshot.status) == ("p5000", COMPLETE)

    def test_batch_without_documents_is_open(self) -> None:
        assert read_batch({**ANSWER, "extraction_ids": []}).status is OPEN

    def test_changed_counters_are_in_row_and_keep_row_hash(self) -> None:
        counters: list[dict[str, Any]] = [
            {"waiting": 1},
            {"waiting": 0, "failed": 1, "processing": 1},
            {"waiting": ...},
        ]
        responses = [change_row(ANSWER, **more, owner="me") for more in counters]

        rows = [row for response in responses for row in BATCHES.build_rows(read_batch(response), OPTIONS)]
        [other] = BATCHES.build_rows(read_batch(change_row(ANSWER, owner="you")), OPTIONS)

        assert [record["provider_data"] for row in rows for record in row.records] == [
            change_row({"owner": "me"}, **counter) for counter in counters
        ]
        assert len({row.row_hash for row in rows}) == 1
        assert other.row_hash != rows[0].row_hash

    def test_members_and_row_come_from_single_answer(self) -> None:
        answer, sent_requests = read_answer([ANSWER])
        half = answer.build_snapshot(replace(BATCH_REF, member_statuses={"e1": PROCESSED}))
        whole = answer.build_snapshot(replace(BATCH_REF, member_statuses={"e1": PROCESSED, "e2": FAILED}))

        assert tuple(answer.list_members()) == MEMBERS
        assert answer.listed_rows is None  # an answer has ids alone
        assert [snapshot.status for snapshot in (half, whole)] == [OPEN, COMPLETE]
        assert sent_requests == EXPECTED_REQUESTS

    def test_answer_with_unreadable_members_fails_as_often_as_it_is_used(self) -> None:
        answer, _ = read_answer([{"id": "b1"}])

        for use_answer in (answer.list_members, lambda: answer.build_snapshot(BATCH_REF)):
            with pytest.raises(UnreadableResponse, match=r"contains no list of extraction_ids\.$"):
                use_answer()

    @each_case("status", [400, 404])
    def test_unavailable_batch_is_missing_and_has_no_members(self, status: int) -> None:
        answer, sent_requests = read_answer(ResourceUnavailable("Not found.", status, None))

        assert (answer.list_members(), sent_requests) == ((), EXPECTED_REQUESTS)
        assert answer.build_snapshot(BATCH_REF) == Snapshot(BATCH_REF, PartitionStatus.MISSING, error="Not found.")

    @each_case(
        ("response", "message_text"),
        [
            ([], "Sensible's response for batch b1 is not a JSON object."),
            ({"id": "b1"}, "Sensible's response for a batch contains no list of extraction_ids."),
            ({"extraction_ids": "e1"}, "Sensible's response for a batch contains no list of extraction_ids."),
        ],
    )
    def test_unreadable_response_is_an_error_with_reason(self, response: Any, message_text: str) -> None:
        with pytest.raises(UnreadableResponse) as exc_info:
            read_batch(response)

        assert str(exc_info.value) == message_text
