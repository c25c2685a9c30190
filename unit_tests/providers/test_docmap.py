"""DocMap's answers, played by hand: pages that tie, rows in every state, and runs that are only a label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from source_docextract.core.errors import (
    ConnectorError,
    CredentialsError,
    QuotaError,
    RequestRejected,
    ResourceUnavailable,
    TooManyPages,
    TransientError,
    UnreadableResponse,
)
from source_docextract.core.model import Document, Extraction, FileStatus, PartitionRef, PartitionStatus, Snapshot
from source_docextract.core.provider import (
    NO_FILTERS,
    BatchAnswer,
    ChangeDetection,
    ListedRows,
    ProviderSpec,
    Registry,
    RequestFlow,
    StreamGroup,
    Window,
)
from source_docextract.core.requests import Request
from source_docextract.core.timestamps import parse_time
from source_docextract.providers import listing
from source_docextract.providers.docmap.provider import build_docmap_spec
from source_docextract.settings import Settings
from source_docextract.tables.rows import BATCHES, FILES, RenderOptions
from unit_tests.support.cases import each_case
from unit_tests.support.stub_server import QUICK, BlockingClient, ok_response, play_flow, respond_in_turn, serve_stub

PENDING, PROCESSED, FAILED = FileStatus.PENDING, FileStatus.PROCESSED, FileStatus.FAILED
OPEN, COMPLETE = PartitionStatus.OPEN, PartitionStatus.COMPLETE


def make_spec(registry: Registry | None = None, **settings: Any) -> ProviderSpec:
    parsed = Settings.parse({"docmap": {"api_key": "dm_live_0123456789", **settings}})
    assert parsed.docmap is not None
    return build_docmap_spec(parsed.docmap, registry)


PLAN = make_spec()
EXTRACTIONS, RUNS = PLAN.stream_groups
RUN_REF = PartitionRef(None, "run 1", is_explicit=True)
DAY = Window("", datetime(2026, 3, 1, tzinfo=timezone.utc), datetime(2026, 3, 2, tzinfo=timezone.utc))
LIST = {"limit": 100, "dateFrom": "2026-02-28", "dateTo": "2026-03-02"}
"""One more day on each side: DocMap does not document the zone of its days."""
CREATED = datetime(2026, 3, 1, 14, 22, 8, 123_000, tzinfo=timezone.utc)

DATA = {"vendor": "Acme", "total": 1250.0, "lines": [{"sku": None}], "not a variable": True}
COLUMNS: dict[str, Any] = {
    "id": "extract_1",
    "templateId": "48291",
    "templateName": "Invoices",
    "fileName": "a.pdf",
    "runId": None,
}
COLUMNS |= {"status": "completed", "error": None, "processingTimeMs": 3842, "createdAt": "2026-03-01T14:22:08.123Z"}
OTHER_COLUMNS = {
    "userId": "u1",
    "source": "api",
    "variables": [{"name": "vendor", "type": "string", "description": ""}],
}


def make_row(**more: Any) -> dict[str, Any]:
    """A row as documented, with other values; `...` takes a key out."""
    row_json = {**COLUMNS, **OTHER_COLUMNS, "extractedData": DATA, **more}
    return {key: value for key, value in row_json.items() if value is not ...}


def make_row_at(second: float, id_: str) -> dict[str, Any]:
    """A row created so many seconds into the day."""
    return make_row(id=id_, createdAt=(DAY.start + timedelta(seconds=second)).isoformat())


def nest_deeply(depth: int) -> Any:
    value: Any = {}
    for _ in range(depth):
        value = {"a": value}
    return value


def make_page(*rows: Any, more: Any = False) -> dict[str, Any]:
    return {"data": list(rows), "hasMore": more}


def get_products(spec: ProviderSpec | None = None) -> tuple[StreamGroup, StreamGroup]:
    """Extractions and runs, of one sync."""
    extractions, runs = (spec or make_spec()).stream_groups
    return extractions, runs


def read_window(
    *responses: Any, window: Window = DAY, spec: ProviderSpec | None = None
) -> tuple[list[PartitionRef], list[dict[str, Any]]]:
    """What a window of the list holds, and the parameters of each request for it."""
    refs, sent_requests = get_window_params(*responses, window=window, spec=spec)
    assert refs.error == ""
    return refs.refs, sent_requests


def get_window_params(
    *responses: Any, window: Window = DAY, spec: ProviderSpec | None = None
) -> tuple[ListedRows, list[dict[str, Any]]]:
    script = get_products(spec)[0].read_window
    assert script is not None
    refs, sent_requests = play_flow(script(window, (), NO_FILTERS), *([response] for response in responses))
    assert {(request.method, request.path) for [request] in sent_requests} == {("GET", "/extractions")}
    return refs, [dict(request.params) for [request] in sent_requests]


def read_ref(row_json: Mapping[str, Any]) -> PartitionRef:
    [ref], _ = read_window(make_page(row_json))
    return ref


def read_extraction(row_json: Mapping[str, Any]) -> tuple[Snapshot, Document]:
    """An extraction as it is read out of its row, which takes no request."""
    snapshot, sent_requests = play_flow(get_products()[0].fetch(read_ref(row_json)))
    assert sent_requests == []
    [file] = snapshot.documents
    return snapshot, file


class TestPlan:
    def test_api_key_is_in_header_and_check_requests_usage(self) -> None:
        assert PLAN.headers == {"Authorization": "Bearer dm_live_0123456789"}
        assert "dm_live_0123456789" not in repr(PLAN)
        assert play_flow(PLAN.check(), [{"data": {"plan": "core"}}]) == (None, [[Request("GET", "/usage")]])

    def test_extractions_are_detected_by_listing_and_runs_by_reference(self) -> None:
        extractions, runs = get_products(make_spec(Registry({"docmap": (RUN_REF,)}), template_ids=["t1", "t2"]))

        assert (extractions.stream_prefix, extractions.stream_kinds) == ("docmap", ("files", "results", "fields"))
        assert (runs.stream_prefix, runs.stream_kinds, runs.explicit_partitions) == ("docmap", ("batches",), (RUN_REF,))
        assert (extractions.change_detection, extractions.referenced_group) == (ChangeDetection.LISTING, runs.name)
        assert (runs.change_detection, runs.referenced_group) == (ChangeDetection.REFERENCE, extractions.name)
        assert extractions.scopes == ("t1", "t2")
        assert get_products()[0].scopes == ("",)

    @each_case(
        ("body", "reason"),
        [
            ({"error": {"code": "NOT_FOUND", "message": "No such row"}}, "NOT_FOUND: No such row"),
            ({"error": {"code": "NOT_FOUND"}}, "NOT_FOUND"),
            ({"error": "Not found"}, "Not found"),
            ({}, None),
            ([], None),
            (None, None),
        ],
    )
    def test_error_reason_is_extracted(self, body: Any, reason: str | None) -> None:
        assert PLAN.error_format.extract_reason(body) == reason
        assert not PLAN.error_format.is_retryable(400, body)

    @pytest.mark.parametrize(
        ("status", "code", "kind", "message_text"),
        [
            (429, "USAGE_LIMIT_EXCEEDED", QuotaError, "DocMap reports that the plan's monthly quota"),
            (401, "KEY_EXPIRED", CredentialsError, "DocMap refused the credentials"),
            (403, "FORBIDDEN", ResourceUnavailable, "DocMap refused the request"),
            (404, "NOT_FOUND", ResourceUnavailable, "DocMap refused the request"),
            (501, "NOT_CONFIGURED", UnreadableResponse, "DocMap does not support this request"),
        ],
    )
    def test_final_error_is_raised_without_retry(
        self, status: int, code: str, kind: type[ConnectorError], message_text: str
    ) -> None:
        with serve_stub(respond_in_turn((status, {}, {"error": {"code": code, "message": "Sorry"}}))) as server:
            client = BlockingClient(PLAN.error_format, server.url, headers=PLAN.headers, retry_policy=QUICK)

            with pytest.raises(kind, match=f"^{message_text}.*\\({status}: {code}: Sorry\\)"):
                client.send(Request("GET", "/usage"))

            assert len(server.received) == 1
            client.close()

    @pytest.mark.parametrize(("status", "code"), [(429, "SLOW_DOWN"), (500, "INTERNAL_ERROR"), (502, "PARSE_ERROR")])
    def test_transient_error_is_retried(self, status: int, code: str) -> None:
        with serve_stub(
            respond_in_turn((status, {}, {"error": {"code": code, "message": "Sorry"}}), ok_response({}))
        ) as server:
            client = BlockingClient(PLAN.error_format, server.url, headers=PLAN.headers, retry_policy=QUICK)

            assert client.send(Request("GET", "/usage")) == {}
            assert len(server.received) == 2
            client.close()


class TestList:
    @each_case(("scope", "chosen"), [("", {}), ("48291", {"templateId": "48291"})])
    def test_documented_row_is_read(self, scope: str, chosen: dict[str, str]) -> None:
        [ref], [params] = read_window(make_page(make_row()), window=replace(DAY, scope=scope))

        assert params == {**chosen, **LIST}
        assert (ref.template_id, ref.batch_id, ref.listed_row, ref.is_explicit) == (
            "48291",
            "extract_1",
            make_row(),
            False,
        )
        assert ref.created_at == ref.approx_created_at == CREATED

    def test_fingerprint_changes_with_any_value_and_not_with_key_order(self) -> None:
        row_variants = [
            make_row(),
            make_row(status="processing"),
            make_row(extractedData={}),
            make_row(new=1),
            make_row(source=...),
        ]

        assert len({read_ref(row_json).fingerprint for row_json in row_variants}) == len(row_variants)
        assert read_ref(dict(reversed(make_row().items()))).fingerprint == read_ref(make_row()).fingerprint

    @each_case(
        ("body", "ids"),
        [
            ({"data": [make_row()], "hasMore": False}, ["extract_1"]),
            ({"data": {"extractions": [make_row()], "hasMore": False}}, ["extract_1"]),
            ({"data": {"extractions": [make_row()]}, "hasMore": False}, ["extract_1"]),
            ({"data": [make_row()]}, ["extract_1"]),
            ({"data": [make_row()], "hasMore": None, "total": 1}, ["extract_1"]),
            ({"data": []}, []),
        ],
    )
    def test_page_in_any_documented_or_similar_format_is_read(self, body: Any, ids: list[str]) -> None:
        assert [ref.batch_id for ref in read_window(body)[0]] == ids

    def test_nested_has_more_requests_next_page(self) -> None:
        first = {"data": {"extractions": [make_row_at(9, "b"), make_row_at(8, "a")], "hasMore": True}}

        refs, sent_requests = read_window(first, make_page(make_row_at(8, "a")))

        assert [ref.batch_id for ref in refs] == ["b", "a"]
        assert sent_requests == [LIST, {**LIST, "cursor": "2026-03-01T00:00:09.000Z"}]

    def test_next_page_continues_from_seen_row_without_duplicates(self) -> None:
        pages = [
            make_page(make_row_at(9, "d"), make_row_at(8, "c"), more=True),
            make_page(make_row_at(8, "c"), make_row_at(8, "b"), more=True),
        ]

        refs, sent_requests = read_window(
            *pages, make_page(make_row_at(8, "c"), make_row_at(8, "b"), make_row_at(7, "a"))
        )

        assert [ref.batch_id for ref in refs] == ["d", "c", "b", "a"]
        assert [params.get("cursor") for params in sent_requests] == [None, *["2026-03-01T00:00:09.000Z"] * 2]

    def test_rows_with_equal_times_move_cursor_by_a_millisecond(self) -> None:
        tied = make_page(make_row_at(9, "d"), make_row_at(8, "c"), make_row_at(8, "b"), more=True)

        refs, sent_requests = read_window(
            tied, tied, make_page(make_row_at(8, "c"), make_row_at(8, "b"), make_row_at(8, "a"))
        )

        assert [ref.batch_id for ref in refs] == ["d", "c", "b", "a"]
        assert [params.get("cursor") for params in sent_requests[1:]] == [
            f"2026-03-01T00:00:0{s}Z" for s in ("9.000", "8.001")
        ]

    def test_next_page_without_cursor_row_fails_instead_of_ending_list(self) -> None:
        first = make_page(make_row_at(9, "b"), make_row_at(8, "a"), more=True)

        with pytest.raises(UnreadableResponse, match=r"does not continue after 2026-03-01T00:00:08\.000Z"):
            read_window(first, make_page(), make_page(), make_page(make_row_at(7, "lost")))

    def test_more_rows_of_equal_time_than_page_holds_are_an_error(self) -> None:
        full = make_page(make_row_at(8, "b"), make_row_at(8, "a"), more=True)

        with pytest.raises(
            UnreadableResponse, match=r"^DocMap has more extractions of 2026-03-01T00:00:08\.000Z than fit on"
        ):
            read_window(full, full, make_page(more=True))

    def test_repeated_page_is_an_error_naming_cursor(self) -> None:
        same = make_page(make_row_at(9, "b"), make_row_at(8, "a"), more=True)

        with pytest.raises(
            UnreadableResponse, match=r"^DocMap's list of extractions does not continue after 2026-03-01T00:00:08"
        ):
            read_window(same, same, same, same)

    def test_empty_page_with_has_more_fails_instead_of_looping(self) -> None:
        with pytest.raises(UnreadableResponse, match=r"^DocMap's list of extractions does not continue after"):
            read_window(make_page(make_row_at(8, "a"), more=True), make_page(more=True), make_page(more=True))

    def test_template_with_empty_first_page_is_read_from_full_list(self) -> None:
        other = {**make_row_at(9, "b"), "templateId": "7"}

        refs, sent_requests = read_window(
            make_page(more=True),
            make_page(other, make_row_at(8, "a")),
            window=replace(DAY, scope="48291"),
            spec=make_spec(template_ids=["48291"]),
        )

        assert [ref.batch_id for ref in refs] == ["a"]
        assert sent_requests == [{"templateId": "48291", **LIST}, LIST]

    def test_window_ends_at_rows_seen_in_previous_window(self) -> None:
        script = get_products()[0].read_window
        assert script is not None
        second = Window("", DAY.end, DAY.end + timedelta(days=1))
        rows = [
            make_row_at(86_400 * 2 + 1, "z"),
            make_row_at(86_405, "d"),
            make_row_at(86_403, "c"),
            make_row_at(86_401, "b"),
        ]

        first, _ = play_flow(script(DAY, (), NO_FILTERS), [make_page(*rows[2:], make_row_at(9, "a"))])
        then, sent_requests = play_flow(script(second, first.rows_ahead, NO_FILTERS), [make_page(*rows, more=True)])

        assert [ref.batch_id for ref in first.refs] == ["a"]
        assert [ref.batch_id for ref in first.rows_ahead] == ["c", "b"]
        assert sorted(ref.batch_id for ref in then.refs) == ["b", "c", "d"]
        assert len(sent_requests) == 1

    def test_rows_ahead_are_read_without_the_list_showing_them_again(self) -> None:
        script = get_products()[0].read_window
        assert script is not None
        second = Window("", DAY.end, DAY.end + timedelta(days=1))
        first, _ = play_flow(script(DAY, (), NO_FILTERS), [make_page(make_row_at(86_401, "b"))])

        then, _ = play_flow(script(second, first.rows_ahead, NO_FILTERS), [make_page()])
        alone, _ = play_flow(script(second, (), NO_FILTERS), [make_page()])

        assert ([ref.batch_id for ref in then.refs], alone.refs) == (["b"], [])

    def test_unreadable_row_leaves_no_rows_ahead(self) -> None:
        """Show an unreadable row of the next day: the list has to show that day as a whole."""
        rows = [make_row_at(86_405, "c"), make_row(id=None), make_row_at(86_401, "b"), make_row_at(9, "a")]

        listed_rows, _ = get_window_params(make_page(*rows))

        assert ([ref.batch_id for ref in listed_rows.refs], list(listed_rows.rows_ahead)) == (["a"], [])

    def test_endless_list_is_an_error_at_page_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(listing, "MAX_PAGES", 3)
        pages = [
            make_page(make_row_at(91 - number, f"{number}"), make_row_at(90 - number, f"{number + 1}"), more=True)
            for number in range(3)
        ]

        with pytest.raises(TooManyPages, match=r"^DocMap's list of extractions does not end after 3 pages\."):
            read_window(*pages)

    def test_rows_older_than_window_end_its_list(self) -> None:
        refs, sent_requests = read_window(make_page(make_row_at(9, "a"), make_row_at(-1, "older"), more=True))

        assert [ref.batch_id for ref in refs] == ["a"]
        assert len(sent_requests) == 1

    def test_window_includes_start_and_excludes_end(self) -> None:
        times = {"after": 86_400, "last": 86_399.999, "first": 0, "before": -0.001}

        refs, _ = read_window(make_page(*(make_row_at(second, id_) for id_, second in times.items())))

        assert [ref.batch_id for ref in refs] == ["last", "first"]

    @each_case(
        ("body", "message_text"),
        [
            ([], "DocMap's list of extractions is not a JSON object."),
            ({}, "DocMap's list of extractions is not a JSON array."),
            ({"data": {"a": {}}}, "DocMap's list of extractions is not a JSON array."),
            ({"data": "none"}, "DocMap's list of extractions is not a JSON array."),
        ],
    )
    def test_unreadable_list_is_an_error_with_reason(self, body: Any, message_text: str) -> None:
        with pytest.raises(UnreadableResponse) as exc_info:
            read_window(body)

        assert str(exc_info.value) == message_text

    @each_case("bad", [1, None, [], make_row(id=None), make_row(id=...), make_row(extractedData=nest_deeply(300))])
    def test_unreadable_row_is_reported_and_others_are_delivered(self, bad: Any) -> None:
        refs, _ = get_window_params(make_page(make_row(id="a"), bad, make_row(id="b")))

        assert [ref.batch_id for ref in refs.refs] == ["a", "b"]
        assert refs.error == ("1 of the rows of DocMap's list of extractions cannot be read; the others are delivered.")

    @each_case("raw_time", [..., None, "soon", {}, 1e300])
    def test_row_without_creation_time_is_read(self, raw_time: Any) -> None:
        snapshot, file = read_extraction(make_row(createdAt=raw_time))

        assert (snapshot.ref.created_at, snapshot.ref.approx_created_at, file.created_at, file.completed_at) == (
            None,
        ) * 4
        assert file.extractions[0].data == DATA

    @each_case("raw_time", ["1970-01-01T00:00:00Z", "2026-02-26T23:59:59Z", "2026-03-04T00:00:00Z", "2099-01-01"])
    def test_creation_time_outside_window_only_fills_column(self, raw_time: str) -> None:
        ref = read_ref(make_row(createdAt=raw_time))

        assert (ref.created_at, ref.approx_created_at) == (parse_time(raw_time), None)

    def test_cursor_is_taken_from_last_row_with_time_in_window(self) -> None:
        invalid_rows = [make_row(id="x", createdAt=None), make_row(id="y", createdAt="2099-01-01T00:00:00Z"), None]

        refs, sent_requests = get_window_params(
            make_page(make_row_at(9, "b"), *invalid_rows, more=True),
            make_page(make_row_at(9, "b"), make_row_at(8, "a")),
        )

        assert [ref.batch_id for ref in refs.refs] == ["b", "x", "y", "a"]
        assert sent_requests[1]["cursor"] == "2026-03-01T00:00:09.001Z"

    @each_case("raw_has_more", [..., None, "true", 1])
    def test_full_page_without_valid_has_more_is_continued(self, raw_has_more: Any) -> None:
        full = make_page(*(make_row_at(9000 - number, f"{number}") for number in range(100)), more=raw_has_more)
        pages = [
            {key: value for key, value in page_json.items() if value is not ...}
            for page_json in (full, make_page(make_row_at(8901, "99"), more=raw_has_more))
        ]

        refs, sent_requests = read_window(*pages)

        assert (len(refs), len(sent_requests)) == (100, 2)

    def test_oldest_row_without_time_gives_earliest_possible_start(self) -> None:
        oldest = get_products()[0].find_oldest
        assert oldest is not None

        for bad in (make_row(createdAt=None), make_row(id=None), 7):
            assert play_flow(oldest("", NO_FILTERS), [make_page(bad)])[0] == datetime(2014, 12, 31, tzinfo=timezone.utc)

    def test_oldest_row_is_searched_by_days(self) -> None:
        oldest = get_products()[0].find_oldest
        assert oldest is not None
        responses = [
            make_page(make_row(createdAt="2015-01-04T08:00:00Z")),
            make_page(make_row(createdAt="2015-01-02T00:00:01Z")),
        ]

        oldest_day, requests = play_flow(oldest("48291", NO_FILTERS), *([response] for response in responses))
        nothing, once = play_flow(oldest("", NO_FILTERS), [make_page()])

        params = {"templateId": "48291", "limit": 1}
        assert oldest_day == datetime(2015, 1, 1, tzinfo=timezone.utc)  # a day more: it may be counted ahead of UTC
        assert [dict(request.params) for [request] in requests] == [params, {**params, "dateTo": "2015-01-02"}]
        assert (nothing, once) == (None, [[Request("GET", "/extractions", {"limit": 1})]])


class TestExtraction:
    def test_documented_row_is_read(self) -> None:
        snapshot, file = read_extraction(make_row())

        completed_at = CREATED + timedelta(milliseconds=3842)
        assert (snapshot.status, snapshot.completed_at, snapshot.references) == (COMPLETE, completed_at, ())
        assert (file.key, file.file_id, file.file_name) == ("extract_1", "extract_1", "a.pdf")
        assert (file.status, file.provider_status, file.error) == (PROCESSED, "completed", None)
        assert (file.created_at, file.completed_at, file.processing_ms) == (CREATED, completed_at, 3842)
        assert file.batch == PartitionRef("48291", "", template_name="Invoices")
        assert file.provider_data == OTHER_COLUMNS
        assert file.extractions == (
            Extraction(data=DATA, hashable_data=DATA, created_at=CREATED, completed_at=completed_at),
        )

    @each_case(("raw_status", "status"), [("processing", PENDING), ("completed", PROCESSED), ("failed", FAILED)])
    def test_status_determines_result_and_completion_time(self, raw_status: str, status: FileStatus) -> None:
        snapshot, file = read_extraction(make_row(status=raw_status))

        assert (file.status, file.provider_status) == (status, raw_status)
        assert bool(file.extractions) is (status is PROCESSED)
        assert (file.completed_at is None) is (status is PENDING)
        assert snapshot.status is (OPEN if status is PENDING else COMPLETE)
        assert snapshot.unknown_statuses == frozenset()

    @each_case("raw_status", ["queued", 7, None, ...])
    def test_unknown_status_is_pending_and_reported(self, raw_status: Any) -> None:
        snapshot, file = read_extraction(make_row(status=raw_status))

        expected_status = None if raw_status in {None, ...} else str(raw_status)
        assert (file.status, file.provider_status, file.extractions) == (PENDING, expected_status, ())
        assert (snapshot.status, snapshot.unknown_statuses) == (OPEN, frozenset({expected_status or ""}))

    @each_case(("raw_duration", "took"), [("3842", 3842), (0, 0), (None, None), (..., None), ("long", None)])
    def test_completion_time_is_computed_from_duration(self, raw_duration: Any, took: int | None) -> None:
        _, file = read_extraction(make_row(processingTimeMs=raw_duration))

        assert file.processing_ms == took
        assert file.completed_at == (None if took is None else CREATED + timedelta(milliseconds=took))

    @each_case(("raw_data", "data"), [(None, {}), (..., {}), ({}, {}), ([1], {"value": [1]}), ("x", {"value": "x"})])
    def test_extracted_data_of_any_type_is_an_object(self, raw_data: Any, data: Any) -> None:
        [extraction] = read_extraction(make_row(extractedData=raw_data))[1].extractions

        assert extraction.data == extraction.hashable_data == data

    @each_case(
        ("raw_error", "expected_reason"), [("Unreadable", "Unreadable"), ({"code": 1}, '{"code":1}'), ("", None)]
    )
    def test_failed_extraction_keeps_its_reason(self, raw_error: Any, expected_reason: str | None) -> None:
        _, file = read_extraction(make_row(status="failed", error=raw_error, extractedData=None))

        assert (file.status, file.error, file.extractions) == (FAILED, expected_reason, ())

    def test_extraction_with_run_id_gives_reference_to_run(self) -> None:
        snapshot, file = read_extraction(make_row(status="failed", runId="run/1"))

        assert snapshot.references == (PartitionRef(None, "run/1", is_explicit=True, is_referenced=True),)
        assert file.batch == PartitionRef("48291", "run/1", template_name="Invoices")
        [output_row] = FILES.build_rows(snapshot, RenderOptions("docmap"))
        [record] = output_row.records
        assert (record["id"], record["batch_key"]) == ("extract_1", "run%2F1")

    def test_unlisted_extraction_is_requested_by_id(self) -> None:
        watched = PartitionRef("48291", "extract/1")
        row_json = make_row(id="extract/1", runId="run 1", templateId="48291")

        snapshot, sent_requests = play_flow(get_products()[0].fetch(watched), [{"data": row_json}])

        assert sent_requests == [[Request("GET", "/extractions/extract%2F1")]]
        assert (snapshot.ref.key, snapshot.ref.listed_row, snapshot.status) == (watched.key, row_json, COMPLETE)
        assert (snapshot.documents[0].key, snapshot.references[0].batch_id) == ("extract%2F1", "run 1")

    @each_case(("status", "message_text"), [(404, "NOT_FOUND"), (403, "FORBIDDEN")])
    def test_unavailable_extraction_is_missing_with_failed_document(self, status: int, message_text: str) -> None:
        watched = PartitionRef("48291", "extract_1")

        snapshot, _ = play_flow(get_products()[0].fetch(watched), ResourceUnavailable(message_text, status, None))

        home = PartitionRef("48291", "")
        lost = Document("extract_1", FAILED, file_id="extract_1", error=message_text, batch=home)
        missing = PartitionStatus.MISSING
        assert snapshot == Snapshot(watched, missing, documents=(lost,), error=message_text, batch_unknown=True)

    @each_case("status", [400, 402, 404, 451])
    def test_extraction_rejected_for_other_reason_fails(self, status: int) -> None:
        with pytest.raises(RequestRejected):
            play_flow(get_products()[0].fetch(PartitionRef("48291", "extract_1")), RequestRejected("No.", status, None))

    @each_case(
        ("status", "body", "is_about_id"),
        [
            (404, {"error": {"code": "NOT_FOUND", "message": "?"}}, True),
            (403, {"error": {"code": "FORBIDDEN", "message": "?"}}, True),
            (404, {"error": {"code": "ROUTE_NOT_FOUND"}}, False),
            (404, {"error": {"code": ["NOT_FOUND"]}}, False),
            (404, {"error": "NOT_FOUND"}, False),
            (404, "NOT_FOUND", False),
            (404, None, False),
            (403, {"error": {"code": "NOT_FOUND"}}, False),
            (400, {"error": {"code": "VALIDATION_ERROR"}}, False),
            (402, {"error": {"code": "PAYMENT_REQUIRED"}}, False),
        ],
    )
    def test_unknown_id_response_is_recognized(self, status: int, body: Any, is_about_id: bool) -> None:
        assert make_spec().error_format.is_unavailable(status, body) is is_about_id

    def test_extraction_during_outage_is_not_missing(self) -> None:
        with pytest.raises(TransientError, match="down"):
            play_flow(get_products()[0].fetch(PartitionRef("48291", "extract_1")), TransientError("down", 503))

    @each_case("body", [None, [], {}, {"data": None}, {"data": [make_row()]}])
    def test_response_without_row_is_an_error_with_reason(self, body: Any) -> None:
        with pytest.raises(UnreadableResponse, match=r"^DocMap's response for extract_1 is not a JSON object\.$"):
            play_flow(get_products()[0].fetch(PartitionRef("48291", "extract_1")), [body])


EXPECTED_REQUESTS = [[Request("GET", "/extractions", {"runId": "run 1"})]]


def read_run(*rows: Mapping[str, Any]) -> Snapshot:
    snapshot, sent_requests = play_flow(get_products()[1].fetch(RUN_REF), [make_page(*rows)])
    assert sent_requests == EXPECTED_REQUESTS
    assert isinstance(snapshot, Snapshot)
    return snapshot


def read_answer() -> RequestFlow[BatchAnswer]:
    assert RUNS.read_batch is not None
    return RUNS.read_batch(RUN_REF)


class TestRun:
    def test_counts_come_from_single_request(self) -> None:
        states = {"a": "completed", "b": "failed", "c": "completed"}
        snapshot = read_run(*(make_row(id=id_, status=status, runId="run 1") for id_, status in states.items()))

        [output_row] = BATCHES.build_rows(snapshot, RenderOptions("docmap"))
        [record] = output_row.records
        counts = [record[f"files_{name}"] for name in ("total", "processed", "failed", "pending")]
        assert (counts, record["status"]) == ([3, 2, 1, 0], "complete")
        assert (record["id"], record["template_id"]) == ("run 1", "48291")
        assert (record["template_name"], record["created_at"]) == ("Invoices", None)

    @each_case("status", ["processing", "queued"])
    def test_run_with_unfinished_extraction_is_open(self, status: str) -> None:
        assert read_run(make_row(), make_row(id="b", status=status)).status is OPEN

    @each_case(
        ("other", "template"),
        [
            ({"templateId": "7", "templateName": "Notes"}, (None, None)),
            ({"templateId": None, "templateName": None}, (None, None)),
            ({"templateName": "Invoices, renamed"}, ("48291", None)),
        ],
    )
    def test_template_is_set_only_if_all_extractions_share_it(
        self, other: Mapping[str, Any], template: tuple[str | None, str | None]
    ) -> None:
        snapshot = read_run(make_row(), make_row(id="b", **other))

        assert (snapshot.template_id, snapshot.template_name) == template

    def test_run_without_extractions_is_missing(self) -> None:
        message_text = "DocMap has no extraction of this run."

        assert read_run() == Snapshot(RUN_REF, PartitionStatus.MISSING, error=message_text)

    def test_run_answer_holds_rows_as_the_list_shows_them(self) -> None:
        rows = [make_row(id=id_, runId="run 1") for id_ in ("a", "b")]

        answer, sent_requests = play_flow(read_answer(), [make_page(*rows)])

        assert [ref.listed_row for ref in answer.list_members()] == rows
        assert [ref.fingerprint for ref in (answer.listed_rows or {}).values()] == [
            read_ref(row_json).fingerprint for row_json in rows
        ]
        assert answer.build_snapshot(RUN_REF) == read_run(*rows)
        assert sent_requests == EXPECTED_REQUESTS

    def test_run_answer_builds_each_snapshot_anew(self) -> None:
        answer, _ = play_flow(read_answer(), [make_page(make_row(runId="run 1"), None)])
        expected_run = replace(RUN_REF, expected_files=2)

        first, second = answer.build_snapshot(RUN_REF), answer.build_snapshot(expected_run)

        assert second == replace(first, ref=expected_run)
        assert (
            first.read_error
            == "1 of the extractions of run 1 in DocMap's list cannot be read; the others are delivered."
        )

    def test_extraction_always_refers_to_its_run(self) -> None:
        """Read one twice: whether that is news for the run is for the sync to decide."""
        ref = read_ref(make_row(runId="run 1"))

        for _ in range(2):
            [reference] = play_flow(EXTRACTIONS.fetch(ref))[0].references
            assert reference == PartitionRef(None, "run 1", is_explicit=True, is_referenced=True)
