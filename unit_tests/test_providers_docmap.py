"""DocMap's answers, played by hand: pages that tie, rows in every state, and runs that are only a label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from scripted import QUICK, Waiting, in_turn, ok, play, scripted

from source_docextract.config import Settings
from source_docextract.entries import Watch
from source_docextract.errors import (
    BadAnswer,
    ConnectorError,
    CredentialsError,
    QuotaError,
    Refused,
    TooManyPages,
    TransientError,
    Unavailable,
)
from source_docextract.http import Request
from source_docextract.model import BatchRef, BatchStatus, Document, Extraction, FileStatus, Snapshot, moment
from source_docextract.providers import base
from source_docextract.providers.base import Listed, Plan, Product
from source_docextract.providers.docmap import docmap
from source_docextract.registry import Registry
from source_docextract.scroll import Window
from source_docextract.tables import BATCHES, FILES, View

PENDING, PROCESSED, FAILED = FileStatus.PENDING, FileStatus.PROCESSED, FileStatus.FAILED
OPEN, COMPLETE = BatchStatus.OPEN, BatchStatus.COMPLETE


def plan(registry: Registry | None = None, **settings: Any) -> Plan:
    parsed = Settings.parse({"docmap": {"api_key": "dm_live_0123456789", **settings}})
    assert parsed.docmap is not None
    return docmap(parsed.docmap, registry)


PLAN = plan()
RUN_REF = BatchRef(None, "run 1", named=True)
DAY = Window("", datetime(2026, 3, 1, tzinfo=timezone.utc), datetime(2026, 3, 2, tzinfo=timezone.utc))
LIST = {"limit": 100, "dateFrom": "2026-02-28", "dateTo": "2026-03-02"}
"""A day more on each side: in which zone DocMap counts days is not told."""
CREATED = datetime(2026, 3, 1, 14, 22, 8, 123_000, tzinfo=timezone.utc)

DATA = {"vendor": "Acme", "total": 1250.0, "lines": [{"sku": None}], "not a variable": True}
COLUMNS = {"id": "extract_1", "templateId": "48291", "templateName": "Invoices", "fileName": "a.pdf", "runId": None}
COLUMNS |= {"status": "completed", "error": None, "processingTimeMs": 3842, "createdAt": "2026-03-01T14:22:08.123Z"}
OTHERS = {"userId": "u1", "source": "api", "variables": [{"name": "vendor", "type": "string", "description": ""}]}


def row(**more: Any) -> dict[str, Any]:
    """A row as documented, with other values; `...` takes a key out."""
    sent = {**COLUMNS, **OTHERS, "extractedData": DATA, **more}
    return {key: value for key, value in sent.items() if value is not ...}


def seconds(second: float, id_: str) -> dict[str, Any]:
    """A row created so many seconds into the day."""
    return row(id=id_, createdAt=(DAY.start + timedelta(seconds=second)).isoformat())


def nested(depth: int) -> Any:
    value: Any = {}
    for _ in range(depth):
        value = {"a": value}
    return value


def page(*rows: Any, more: Any = False) -> dict[str, Any]:
    return {"data": list(rows), "hasMore": more}


def products(of: Plan | None = None) -> tuple[Product, Product]:
    """Extractions and runs, of one sync."""
    extractions, runs = (of or plan()).products
    return extractions, runs


def listed(*answers: Any, window: Window = DAY, of: Plan | None = None) -> tuple[list[BatchRef], list[dict[str, Any]]]:
    """What a window of the list holds, and the parameters of each request for it."""
    listed, asked = asked_for(*answers, window=window, of=of)
    assert listed.trouble == ""
    return listed.refs, asked


def asked_for(*answers: Any, window: Window = DAY, of: Plan | None = None) -> tuple[Listed, list[dict[str, Any]]]:
    script = products(of)[0].window
    assert script is not None
    listed, asked = play(script(window), *([answer] for answer in answers))
    assert {(request.method, request.path) for [request] in asked} == {("GET", "/extractions")}
    return listed, [dict(request.params) for [request] in asked]


def ref_of(sent: Mapping[str, Any]) -> BatchRef:
    [ref], _ = listed(page(sent))
    return ref


def read(sent: Mapping[str, Any]) -> tuple[Snapshot, Document]:
    """An extraction as it is read out of its row, which takes no request."""
    snapshot, asked = play(products()[0].fetch(ref_of(sent)))
    assert asked == []
    [file] = snapshot.documents
    return snapshot, file


class TestPlan:
    def test_the_key_goes_into_a_header_and_the_check_asks_for_the_usage(self) -> None:
        assert PLAN.headers == {"Authorization": "Bearer dm_live_0123456789"}
        assert "dm_live_0123456789" not in repr(PLAN)
        assert play(PLAN.check(), [{"data": {"plan": "core"}}]) == (None, [[Request("GET", "/usage")]])

    def test_extractions_are_watched_by_their_list_and_runs_by_their_extractions(self) -> None:
        extractions, runs = products(plan(Registry({"docmap": (RUN_REF,)}), template_ids=["t1", "t2"]))

        assert (extractions.streams, extractions.kinds) == ("docmap", ("files", "results", "fields"))
        assert (runs.streams, runs.kinds, runs.named) == ("docmap", ("batches",), (RUN_REF,))
        assert (extractions.watch, extractions.links_to) == (Watch.LIST, runs.name)
        assert (runs.watch, runs.links_to) == (Watch.LINK, extractions.name)
        assert extractions.scopes == ("t1", "t2")
        assert products()[0].scopes == ("",)

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            ({"error": {"code": "NOT_FOUND", "message": "No such row"}}, "NOT_FOUND: No such row"),
            ({"error": {"code": "NOT_FOUND"}}, "NOT_FOUND"),
            ({"error": "Not found"}, "Not found"),
            *((nothing, None) for nothing in ({}, [], None)),
        ],
    )
    def test_its_errors_are_understood(self, body: Any, reason: str | None) -> None:
        assert PLAN.dialect.reason(body) == reason
        assert not PLAN.dialect.passes(400, body)

    @pytest.mark.parametrize(
        ("status", "code", "kind", "words"),
        [
            (429, "USAGE_LIMIT_EXCEEDED", QuotaError, "DocMap has no more calls for this month"),
            (401, "KEY_EXPIRED", CredentialsError, "DocMap refused the credentials"),
            (403, "FORBIDDEN", Unavailable, "DocMap refused the request"),
            (404, "NOT_FOUND", Unavailable, "DocMap refused the request"),
            (501, "NOT_CONFIGURED", BadAnswer, "DocMap cannot do this"),
        ],
    )
    def test_what_will_not_pass_is_told_at_once(
        self, status: int, code: str, kind: type[ConnectorError], words: str
    ) -> None:
        with scripted(in_turn((status, {}, {"error": {"code": code, "message": "Sorry"}}))) as server:
            client = Waiting(PLAN.dialect, server.url, headers=PLAN.headers, patience=QUICK)

            with pytest.raises(kind, match=f"^{words}.*\\({status}: {code}: Sorry\\)"):
                client.send(Request("GET", "/usage"))

            assert len(server.seen) == 1
            client.close()

    @pytest.mark.parametrize(("status", "code"), [(429, "SLOW_DOWN"), (500, "INTERNAL_ERROR"), (502, "PARSE_ERROR")])
    def test_what_may_pass_is_tried_again(self, status: int, code: str) -> None:
        with scripted(in_turn((status, {}, {"error": {"code": code, "message": "Sorry"}}), ok({}))) as server:
            client = Waiting(PLAN.dialect, server.url, headers=PLAN.headers, patience=QUICK)

            assert client.send(Request("GET", "/usage")) == {}
            assert len(server.seen) == 2
            client.close()


class TestList:
    @pytest.mark.parametrize(("scope", "chosen"), [("", {}), ("48291", {"templateId": "48291"})])
    def test_a_row_as_documented(self, scope: str, chosen: dict[str, str]) -> None:
        [ref], [params] = listed(page(row()), window=replace(DAY, scope=scope))

        assert params == {**chosen, **LIST}
        assert (ref.template_id, ref.batch_id, ref.row, ref.named) == ("48291", "extract_1", row(), False)
        assert ref.created_at == ref.clock == CREATED

    def test_whatever_a_row_tells_is_news_if_it_changes_and_order_is_not(self) -> None:
        told = [row(), row(status="processing"), row(extractedData={}), row(new=1), row(source=...)]

        assert len({ref_of(one).fingerprint for one in told}) == len(told)
        assert ref_of(dict(reversed(row().items()))).fingerprint == ref_of(row()).fingerprint

    @pytest.mark.parametrize(
        ("body", "ids"),
        [
            ({"data": [row()], "hasMore": False}, ["extract_1"]),
            ({"data": {"extractions": [row()], "hasMore": False}}, ["extract_1"]),
            ({"data": {"extractions": [row()]}, "hasMore": False}, ["extract_1"]),
            ({"data": [row()]}, ["extract_1"]),
            ({"data": [row()], "hasMore": None, "total": 1}, ["extract_1"]),
            ({"data": []}, []),
        ],
    )
    def test_a_page_is_read_in_each_shape(self, body: Any, ids: list[str]) -> None:
        assert [ref.batch_id for ref in listed(body)[0]] == ids

    def test_more_of_it_is_told_one_level_down_as_well(self) -> None:
        first = {"data": {"extractions": [seconds(9, "b"), seconds(8, "a")], "hasMore": True}}

        refs, asked = listed(first, page(seconds(8, "a")))

        assert [ref.batch_id for ref in refs] == ["b", "a"]
        assert asked == [LIST, {**LIST, "cursor": "2026-03-01T00:00:09.000Z"}]

    def test_the_next_page_goes_on_from_a_row_that_was_seen_and_what_comes_again_is_known_by_its_id(self) -> None:
        pages = [page(seconds(9, "d"), seconds(8, "c"), more=True), page(seconds(8, "c"), seconds(8, "b"), more=True)]

        refs, asked = listed(*pages, page(seconds(8, "c"), seconds(8, "b"), seconds(7, "a")))

        assert [ref.batch_id for ref in refs] == ["d", "c", "b", "a"]
        assert [params.get("cursor") for params in asked] == [None, *["2026-03-01T00:00:09.000Z"] * 2]

    def test_where_many_rows_have_one_time_the_next_page_goes_on_a_tick_after_it(self) -> None:
        tied = page(seconds(9, "d"), seconds(8, "c"), seconds(8, "b"), more=True)

        refs, asked = listed(tied, tied, page(seconds(8, "c"), seconds(8, "b"), seconds(8, "a")))

        assert [ref.batch_id for ref in refs] == ["d", "c", "b", "a"]
        assert [params.get("cursor") for params in asked[1:]] == [f"2026-03-01T00:00:0{s}Z" for s in ("9.000", "8.001")]

    def test_a_page_that_does_not_show_again_what_it_goes_on_from_is_not_taken_for_the_end(self) -> None:
        first = page(seconds(9, "b"), seconds(8, "a"), more=True)

        with pytest.raises(BadAnswer, match=r"does not get on from 2026-03-01T00:00:08\.000Z"):
            listed(first, page(), page(), page(seconds(7, "lost")))

    def test_more_of_one_time_than_a_page_holds_fails_in_words(self) -> None:
        full = page(seconds(8, "b"), seconds(8, "a"), more=True)

        with pytest.raises(BadAnswer, match=r"^DocMap has more extractions of 2026-03-01T00:00:08\.000Z than a page"):
            listed(full, full, page(more=True))

    def test_a_cursor_that_does_not_move_fails_in_words(self) -> None:
        same = page(seconds(9, "b"), seconds(8, "a"), more=True)

        with pytest.raises(BadAnswer, match=r"^DocMap's list of extractions does not get on from 2026-03-01T00:00:08"):
            listed(same, same, same, same)

    def test_a_page_of_nothing_that_promises_more_fails_instead_of_going_on_for_ever(self) -> None:
        with pytest.raises(BadAnswer, match=r"^DocMap's list of extractions does not get on from"):
            listed(page(seconds(8, "a"), more=True), page(more=True), page(more=True))

    def test_a_template_whose_first_page_is_empty_and_no_end_is_read_out_of_the_list_of_all(self) -> None:
        other = {**seconds(9, "b"), "templateId": "7"}

        refs, asked = listed(
            page(more=True),
            page(other, seconds(8, "a")),
            window=replace(DAY, scope="48291"),
            of=plan(template_ids=["48291"]),
        )

        assert [ref.batch_id for ref in refs] == ["a"]
        assert asked == [{"templateId": "48291", **LIST}, LIST]

    def test_a_window_is_read_down_to_what_the_one_before_has_shown_of_it(self) -> None:
        script = products()[0].window
        assert script is not None
        second = Window("", DAY.end, DAY.end + timedelta(days=1))
        rows = [seconds(86_400 * 2 + 1, "z"), seconds(86_405, "d"), seconds(86_403, "c"), seconds(86_401, "b")]

        first, _ = play(script(DAY), [page(*rows[2:], seconds(9, "a"))])
        then, asked = play(script(second), [page(*rows, more=True)])

        assert [ref.batch_id for ref in first.refs] == ["a"]
        assert sorted(ref.batch_id for ref in then.refs) == ["b", "c", "d"]
        assert len(asked) == 1

    def test_a_list_without_an_end_is_left_after_so_many_pages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(base, "MOST_PAGES", 3)
        pages = [page(seconds(91 - n, f"{n}"), seconds(90 - n, f"{n + 1}"), more=True) for n in range(3)]

        with pytest.raises(TooManyPages, match=r"^DocMap's list of extractions goes on after 3 pages\."):
            listed(*pages)

    def test_rows_older_than_the_window_end_its_list(self) -> None:
        refs, asked = listed(page(seconds(9, "a"), seconds(-1, "older"), more=True))

        assert [ref.batch_id for ref in refs] == ["a"]
        assert len(asked) == 1

    def test_a_window_holds_its_start_and_not_its_end(self) -> None:
        times = {"after": 86_400, "last": 86_399.999, "first": 0, "before": -0.001}

        refs, _ = listed(page(*(seconds(second, id_) for id_, second in times.items())))

        assert [ref.batch_id for ref in refs] == ["last", "first"]

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            ([], "DocMap's list of extractions is not a JSON object."),
            ({}, "DocMap's list of extractions holds no list."),
            ({"data": {"a": {}}}, "DocMap's list of extractions holds no list."),
            ({"data": "none"}, "DocMap's list of extractions holds no list."),
        ],
    )
    def test_a_list_that_cannot_be_read_fails_in_words(self, body: Any, words: str) -> None:
        with pytest.raises(BadAnswer) as caught:
            listed(body)

        assert str(caught.value) == words

    @pytest.mark.parametrize("bad", [1, None, [], row(id=None), row(id=...), row(extractedData=nested(300))])
    def test_a_row_that_cannot_be_read_is_told_and_costs_no_other(self, bad: Any) -> None:
        listed, _ = asked_for(page(row(id="a"), bad, row(id="b")))

        assert [ref.batch_id for ref in listed.refs] == ["a", "b"]
        assert listed.trouble == (
            "1 of the rows of DocMap's list of extractions cannot be read; the rest was delivered."
        )

    @pytest.mark.parametrize("sent", [..., None, "soon", {}, 1e300])
    def test_a_row_without_a_time_of_creation_is_a_row(self, sent: Any) -> None:
        snapshot, file = read(row(createdAt=sent))

        assert (snapshot.ref.created_at, snapshot.ref.clock, file.created_at, file.completed_at) == (None,) * 4
        assert file.extractions[0].data == DATA

    @pytest.mark.parametrize(
        "sent", ["1970-01-01T00:00:00Z", "2026-02-26T23:59:59Z", "2026-03-04T00:00:00Z", "2099-01-01"]
    )
    def test_a_time_that_cannot_be_true_of_a_row_in_this_window_only_fills_the_column(self, sent: str) -> None:
        ref = ref_of(row(createdAt=sent))

        assert (ref.created_at, ref.clock) == (moment(sent), None)

    def test_what_the_next_page_begins_with_is_told_by_the_last_row_that_has_a_time_of_this_window(self) -> None:
        odd = [row(id="x", createdAt=None), row(id="y", createdAt="2099-01-01T00:00:00Z"), None]

        listed, asked = asked_for(page(seconds(9, "b"), *odd, more=True), page(seconds(9, "b"), seconds(8, "a")))

        assert [ref.batch_id for ref in listed.refs] == ["b", "x", "y", "a"]
        assert asked[1]["cursor"] == "2026-03-01T00:00:09.001Z"

    @pytest.mark.parametrize("sent", [..., None, "true", 1])
    def test_a_full_page_has_more_where_it_does_not_say(self, sent: Any) -> None:
        full = page(*(seconds(9000 - n, f"{n}") for n in range(100)), more=sent)
        pages = [
            {key: value for key, value in one.items() if value is not ...}
            for one in (full, page(seconds(8901, "99"), more=sent))
        ]

        refs, asked = listed(*pages)

        assert (len(refs), len(asked)) == (100, 2)

    def test_where_the_oldest_row_does_not_tell_its_time_nothing_is_taken_for_read(self) -> None:
        oldest = products()[0].oldest
        assert oldest is not None

        for bad in (row(createdAt=None), row(id=None), 7):
            assert play(oldest(""), [page(bad)])[0] == datetime(2014, 12, 31, tzinfo=timezone.utc)

    def test_the_oldest_row_is_looked_for_by_days(self) -> None:
        oldest = products()[0].oldest
        assert oldest is not None
        answers = [page(row(createdAt="2015-01-04T08:00:00Z")), page(row(createdAt="2015-01-02T00:00:01Z"))]

        found, asked = play(oldest("48291"), *([answer] for answer in answers))
        nothing, once = play(oldest(""), [page()])

        one = {"templateId": "48291", "limit": 1}
        assert found == datetime(2015, 1, 1, tzinfo=timezone.utc)  # a day more: it may be counted ahead of UTC
        assert [dict(request.params) for [request] in asked] == [one, {**one, "dateTo": "2015-01-02"}]
        assert (nothing, once) == (None, [[Request("GET", "/extractions", {"limit": 1})]])


class TestExtraction:
    def test_a_row_as_documented(self) -> None:
        snapshot, file = read(row())

        done = CREATED + timedelta(milliseconds=3842)
        assert (snapshot.status, snapshot.completed_at, snapshot.links) == (COMPLETE, done, ())
        assert (file.key, file.file_id, file.file_name) == ("extract_1", "extract_1", "a.pdf")
        assert (file.status, file.provider_status, file.error) == (PROCESSED, "completed", None)
        assert (file.created_at, file.completed_at, file.processing_ms) == (CREATED, done, 3842)
        assert file.home == BatchRef("48291", "", template_name="Invoices")
        assert file.provider_data == OTHERS
        assert file.extractions == (Extraction(data=DATA, stable=DATA, created_at=CREATED, completed_at=done),)

    @pytest.mark.parametrize(
        ("sent", "status"), [("processing", PENDING), ("completed", PROCESSED), ("failed", FAILED)]
    )
    def test_it_has_a_result_and_a_time_of_completion_when_it_is_done(self, sent: str, status: FileStatus) -> None:
        snapshot, file = read(row(status=sent))

        assert (file.status, file.provider_status) == (status, sent)
        assert bool(file.extractions) is (status is PROCESSED)
        assert (file.completed_at is None) is (status is PENDING)
        assert snapshot.status is (OPEN if status is PENDING else COMPLETE)
        assert snapshot.odd_statuses == frozenset()

    @pytest.mark.parametrize("sent", ["queued", 7, None, ...])
    def test_an_unknown_status_is_unfinished_and_told(self, sent: Any) -> None:
        snapshot, file = read(row(status=sent))

        told = None if sent in {None, ...} else str(sent)
        assert (file.status, file.provider_status, file.extractions) == (PENDING, told, ())
        assert (snapshot.status, snapshot.odd_statuses) == (OPEN, {told or ""})

    @pytest.mark.parametrize(("sent", "took"), [("3842", 3842), (0, 0), (None, None), (..., None), ("long", None)])
    def test_its_completion_is_computed_where_its_duration_is_told(self, sent: Any, took: int | None) -> None:
        _, file = read(row(processingTimeMs=sent))

        assert file.processing_ms == took
        assert file.completed_at == (None if took is None else CREATED + timedelta(milliseconds=took))

    @pytest.mark.parametrize(
        ("sent", "data"), [(None, {}), (..., {}), ({}, {}), ([1], {"value": [1]}), ("x", {"value": "x"})]
    )
    def test_what_was_extracted_is_an_object_whatever_was_sent(self, sent: Any, data: Any) -> None:
        [extraction] = read(row(extractedData=sent))[1].extractions

        assert extraction.data == extraction.stable == data

    @pytest.mark.parametrize(("sent", "told"), [("Unreadable", "Unreadable"), ({"code": 1}, '{"code":1}'), ("", None)])
    def test_a_failed_one_keeps_its_reason(self, sent: Any, told: str | None) -> None:
        _, file = read(row(status="failed", error=sent, extractedData=None))

        assert (file.status, file.error, file.extractions) == (FAILED, told, ())

    def test_its_run_is_told_what_has_become_of_it(self) -> None:
        snapshot, file = read(row(status="failed", runId="run/1"))

        assert snapshot.links == (BatchRef(None, "run/1", named=True, linked=True),)
        assert file.home == BatchRef("48291", "run/1", template_name="Invoices")
        [shown] = FILES.rows(snapshot, View("docmap"))
        assert (shown.record["id"], shown.record["batch_key"]) == ("extract_1", "run%2F1")

    def test_one_that_is_watched_is_asked_for_by_its_id(self) -> None:
        watched = BatchRef("48291", "extract/1")
        sent = row(id="extract/1", runId="run 1", templateId="48291")

        snapshot, asked = play(products()[0].fetch(watched), [{"data": sent}])

        assert asked == [[Request("GET", "/extractions/extract%2F1")]]
        assert (snapshot.ref.key, snapshot.ref.row, snapshot.status) == (watched.key, sent, COMPLETE)
        assert (snapshot.documents[0].key, snapshot.links[0].batch_id) == ("extract%2F1", "run 1")

    @pytest.mark.parametrize(("status", "words"), [(404, "NOT_FOUND"), (403, "FORBIDDEN")])
    def test_one_that_is_watched_and_cannot_be_had_any_more_has_failed(self, status: int, words: str) -> None:
        watched = BatchRef("48291", "extract_1")

        snapshot, _ = play(products()[0].fetch(watched), Unavailable(words, status, None))

        home = BatchRef("48291", "")
        lost = Document("extract_1", FAILED, file_id="extract_1", error=words, home=home)
        missing = BatchStatus.MISSING
        assert snapshot == Snapshot(watched, missing, documents=(lost,), error=words, homeless=True)

    @pytest.mark.parametrize("status", [400, 402, 404, 451])
    def test_one_that_is_refused_for_another_reason_fails(self, status: int) -> None:
        with pytest.raises(Refused):
            play(products()[0].fetch(BatchRef("48291", "extract_1")), Refused("No.", status, None))

    @pytest.mark.parametrize(
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
    def test_the_documented_answer_about_an_unknown_id_is_told_apart(
        self, status: int, body: Any, is_about_id: bool
    ) -> None:
        assert plan().dialect.is_about_id(status, body) is is_about_id

    def test_a_provider_that_is_down_has_lost_nothing(self) -> None:
        with pytest.raises(TransientError, match="down"):
            play(products()[0].fetch(BatchRef("48291", "extract_1")), TransientError("down", 503))

    @pytest.mark.parametrize("body", [None, [], {}, {"data": None}, {"data": [row()]}])
    def test_an_answer_that_holds_no_row_fails_in_words(self, body: Any) -> None:
        with pytest.raises(BadAnswer, match=r"^DocMap's answer about extract_1 is not a JSON object\.$"):
            play(products()[0].fetch(BatchRef("48291", "extract_1")), [body])


ASKED = [[Request("GET", "/extractions", {"runId": "run 1"})]]


def run(*rows: Mapping[str, Any]) -> Snapshot:
    snapshot, asked = play(products()[1].fetch(RUN_REF), [page(*rows)])
    assert asked == ASKED
    assert isinstance(snapshot, Snapshot)
    return snapshot


class TestRun:
    def test_its_counts_come_from_one_request(self) -> None:
        states = {"a": "completed", "b": "failed", "c": "completed"}
        snapshot = run(*(row(id=id_, status=status, runId="run 1") for id_, status in states.items()))

        [shown] = BATCHES.rows(snapshot, View("docmap"))
        counts = [shown.record[f"files_{name}"] for name in ("total", "processed", "failed", "pending")]
        assert (counts, shown.record["status"]) == ([3, 2, 1, 0], "complete")
        assert (shown.record["id"], shown.record["template_id"]) == ("run 1", "48291")
        assert (shown.record["template_name"], shown.record["created_at"]) == ("Invoices", None)

    @pytest.mark.parametrize("status", ["processing", "queued"])
    def test_it_is_open_while_something_in_it_is_unfinished(self, status: str) -> None:
        assert run(row(), row(id="b", status=status)).status is OPEN

    @pytest.mark.parametrize(
        ("other", "template"),
        [
            ({"templateId": "7", "templateName": "Notes"}, (None, None)),
            ({"templateId": None, "templateName": None}, (None, None)),
            ({"templateName": "Invoices, renamed"}, ("48291", None)),
        ],
    )
    def test_it_has_the_template_of_all_that_is_in_it(
        self, other: Mapping[str, Any], template: tuple[str | None, str | None]
    ) -> None:
        snapshot = run(row(), row(id="b", **other))

        assert (snapshot.template_id, snapshot.template_name) == template

    def test_one_with_nothing_in_it_is_missing(self) -> None:
        words = "DocMap has no extraction of this run."

        assert run() == Snapshot(RUN_REF, BatchStatus.MISSING, error=words)

    def test_one_that_is_named_is_asked_for_once_and_brings_its_rows(self) -> None:
        extractions, runs = products(plan(Registry({"docmap": (RUN_REF,)})))
        assert extractions.members is not None
        rows = [row(id=id_, runId="run 1") for id_ in ("a", "b")]

        members, asked = play(extractions.members(RUN_REF), [page(*rows)])
        files = [play(extractions.fetch(ref)) for ref in members]
        snapshot, none = play(runs.fetch(RUN_REF))
        _, later = play(runs.fetch(RUN_REF), [page(*rows)])

        assert [ref.row for ref in members] == rows
        assert [snapshot.documents[0].status for snapshot, _ in files] == [PROCESSED, PROCESSED]
        assert [requests for _, requests in files] == [[], []]
        assert [one.key for one in snapshot.documents] == ["a", "b"]
        assert [asked, none, later] == [ASKED, [], ASKED]

    def test_what_it_told_is_no_reason_to_ask_for_it_again_and_what_has_changed_since_is(self) -> None:
        extractions, runs = products()
        same, late = row(id="a", runId="run 1"), row(id="b", runId="run 1", status="processing", extractedData=None)
        play(runs.fetch(RUN_REF), [page(same, late)])

        met = [ref_of(same), ref_of(same), ref_of(row(id="b", runId="run 1"))]
        links = [play(extractions.fetch(ref))[0].links for ref in met]

        assert [bool(one) for one in links] == [False, True, True]

    @pytest.mark.parametrize(
        ("settings", "scope", "is_silent"),
        [
            ({}, "", [False, True]),
            ({"template_ids": ["48291"]}, "48291", [False, True]),
            ({"template_ids": ["48291", "7"]}, "7", [True, True]),
        ],
    )
    def test_what_it_told_is_remembered_for_what_its_list_may_still_show(
        self, settings: Any, scope: str, is_silent: list[bool]
    ) -> None:
        own = plan(**settings)
        extractions, runs = products(own)
        listed(page(), window=replace(DAY, scope=scope, start=DAY.end, end=DAY.end + timedelta(days=1)), of=own)
        met = [row(id="a", runId="run 1"), row(id="b", runId="run 1", createdAt="2026-03-02T00:00:00Z")]
        play(runs.fetch(RUN_REF), [page(*met)])

        refs, _ = listed(page(*met), window=replace(DAY, end=DAY.end + timedelta(days=1)))
        links = [play(extractions.fetch(ref))[0].links for ref in refs]

        assert [not one for one in links] == is_silent
