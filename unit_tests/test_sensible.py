"""Sensible's answers, played by hand: summaries, documents, portfolios, reviews, and batches that tell only ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import QUICK, Waiting, in_turn, ok, play, scripted

from source_docextract.config import Settings
from source_docextract.entries import Watch
from source_docextract.errors import (
    BadAnswer,
    ConfigError,
    ConnectorError,
    QuotaError,
    Refused,
    TransientError,
    Unavailable,
)
from source_docextract.http import Request
from source_docextract.model import BatchRef, BatchStatus, Document, Extraction, FileStatus, Snapshot, moment
from source_docextract.providers.base import Listed, Plan
from source_docextract.providers.sensible import sensible
from source_docextract.registry import Registry
from source_docextract.scroll import Window, midnight
from source_docextract.tables import BATCHES, FILES, RESULTS, View

PENDING, PROCESSED, FAILED = FileStatus.PENDING, FileStatus.PROCESSED, FileStatus.FAILED
OPEN, COMPLETE, MISSING = BatchStatus.OPEN, BatchStatus.COMPLETE, BatchStatus.MISSING
VIEW = View("sensible")


def plan(registry: Registry | None = None, **settings: Any) -> Plan:
    parsed = Settings.parse({"sensible": {"api_key": "key-0123456789", **settings}})
    assert parsed.sensible is not None
    return sensible(parsed.sensible, registry)


PLAN = plan()
EXTRACTION, _ = PLAN.products
REF, BATCH_REF = BatchRef(None, "e1"), BatchRef(None, "b1", named=True)
FIRST, NEXT = datetime(2026, 5, 1, tzinfo=timezone.utc), datetime(2026, 5, 2, tzinfo=timezone.utc)
DAY = Window("PRODUCTION/", FIRST, NEXT)
LIST = {"environments": "PRODUCTION", "limit": 100}
LIST |= {"start_date": "2026-05-01T00:00:00.000Z", "end_date": "2026-05-02T00:00:00.000Z"}
TYPES = [{"id": "id-1", "name": "claims"}, {"id": "id-2", "name": "tax"}]

COLUMNS = {"id": "e1", "created": "2026-05-01T22:54:55.733Z", "completed": "2026-05-01T22:55:20.010Z"}
COLUMNS |= {"status": "COMPLETE", "type": "contracts", "document_name": "doc1.pdf", "page_count": 3}
OTHERS = {"configuration": "acme_v2", "environment": "production", "coverage": 0.75, "charged": 1, "errors": []}
OTHERS |= {"validation_summary": {"fields": 6, "warnings": 1}, "validations": [{"severity": "warning"}]}
CREATED, COMPLETED = moment(COLUMNS["created"]), moment(COLUMNS["completed"])
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


def changed(row: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """With other values; `...` takes a key out."""
    return {key: value for key, value in {**row, **more}.items() if value is not ...}


def summary(**more: Any) -> dict[str, Any]:
    return changed({**COLUMNS, **OTHERS, "reviewStatuses": None}, **more)


def document(**more: Any) -> dict[str, Any]:
    return changed({**COLUMNS, **OTHERS, "parsed_document": PARSED}, **more)


def page(*rows: Any, token: Any = None) -> dict[str, Any]:
    return changed({"extractions": list(rows), "continuation_token": token, "cutoff_date": None})


def listed(*answers: Any, scope: str = "PRODUCTION/", of: Plan = PLAN) -> tuple[list[BatchRef], list[dict[str, Any]]]:
    """What a day of the list holds, and the parameters of each request for it."""
    listed, asked = asked_for(*answers, scope=scope, of=of)
    assert listed.trouble == ""
    return listed.refs, asked


def asked_for(*answers: Any, scope: str = "PRODUCTION/", of: Plan = PLAN) -> tuple[Listed, list[dict[str, Any]]]:
    window = of.products[0].window
    assert window is not None
    listed, asked = play(window(replace(DAY, scope=scope)), *([answer] for answer in answers))
    return listed, [dict(request.params) for [request] in asked]


def read(answer: Any, ref: BatchRef = REF) -> tuple[Snapshot, Document]:
    snapshot, asked = play(EXTRACTION.fetch(ref), answer if isinstance(answer, Exception) else [answer])
    assert asked == [[Request("GET", "/documents/e1")]]
    [file] = snapshot.documents
    return snapshot, file


class TestPlan:
    def test_the_key_goes_into_a_header(self) -> None:
        assert PLAN.headers == {"Authorization": "Bearer key-0123456789"}
        assert (PLAN.base_url, PLAN.login) == ("https://api.sensible.so/v0", None)
        assert "key-0123456789" not in repr(PLAN)

    def test_extractions_are_watched_by_their_list_and_batches_by_their_documents(self) -> None:
        registered = BatchRef(None, "b2", expected_files=3, named=True)
        extractions, batches = plan(Registry({"sensible": (registered,)}), batch_ids=["b1"]).products

        assert (extractions.streams, extractions.kinds) == ("sensible", ("files", "results", "fields"))
        assert (batches.streams, batches.kinds) == ("sensible", ("batches",))
        assert (extractions.watch, extractions.links_to) == (Watch.LIST, batches.name)
        assert (batches.watch, batches.links_to) == (Watch.LINK, extractions.name)
        assert batches.named == (BATCH_REF, registered)

    @pytest.mark.parametrize(
        ("settings", "scopes"),
        [
            ({"environments": ["DEVELOPMENT", "PRODUCTION"]}, ["DEVELOPMENT/", "PRODUCTION/"]),
            ({"document_types": ["tax/2026", "claims"]}, ["PRODUCTION/tax/2026", "PRODUCTION/claims"]),
        ],
    )
    def test_there_is_a_list_for_each_environment_and_named_type(self, settings: Any, scopes: list[str]) -> None:
        assert list(plan(**settings).products[0].scopes) == scopes

    @pytest.mark.parametrize("types", [[], ["claims"], ["claims", "tax"]])
    def test_the_check_asks_for_the_document_types_once(self, types: list[str]) -> None:
        assert play(plan(document_types=types).check(), [TYPES])[1] == [[Request("GET", "/document_types")]]

    def test_an_unknown_type_is_told_with_those_that_are_known(self) -> None:
        words = r"^Sensible has no document type 'claim'\. Name one of claims, tax in sensible\.document_types\.$"
        own = plan(document_types=["tax", "claim"])

        with pytest.raises(ConfigError, match=words):
            play(own.check(), [TYPES])
        with pytest.raises(ConfigError, match=words):
            listed(scope="PRODUCTION/claim", of=own)

    def test_document_types_that_cannot_be_read_fail_in_words(self) -> None:
        with pytest.raises(BadAnswer, match=r"^Sensible's document types are not a list\.$"):
            play(PLAN.check(), [{}])

    def test_a_document_type_that_cannot_be_read_is_in_nobodys_way(self) -> None:
        assert listed([1, None, *TYPES], page(summary()), scope="PRODUCTION/tax", of=plan(document_types=["tax"]))

    @pytest.mark.parametrize(
        ("body", "reason"),
        [("No.", "No."), ({"message": "No."}, "No."), ({"error": {"code": 1}}, '{"code":1}'), ({}, None), (None, None)],
    )
    def test_its_errors_are_understood_as_text_and_as_json(self, body: Any, reason: str | None) -> None:
        assert PLAN.dialect.reason(body) == reason
        assert not PLAN.dialect.passes(400, body)

    @pytest.mark.parametrize(
        ("words", "requests"),
        [
            (b"Free accounts are limited to 150 API calls per month.", 1),
            (b'{"message": "Pro accounts are limited to 5,000 API calls per month."}', 1),
            (b"Attempt limit exceeded, please retry after some time.", 2),
        ],
    )
    def test_a_throttle_is_waited_for_and_a_spent_quota_is_not(self, words: bytes, requests: int) -> None:
        with scripted(in_turn((429, {"Content-Type": "text/plain"}, words), ok([]))) as server:
            client = Waiting(PLAN.dialect, server.url, headers=PLAN.headers, patience=QUICK)

            try:
                answer = client.send(Request("GET", "/document_types"))
            except QuotaError as error:
                answer = str(error)

            assert len(server.seen) == requests
            assert answer == [] or "limited to" in answer
            client.close()


class TestList:
    def test_a_summary_as_documented(self) -> None:
        [ref], [params] = listed(page(summary()))

        assert params == LIST
        assert (ref.template_id, ref.batch_id, ref.row, ref.named) == (None, "e1", summary(), False)
        assert ref.created_at == ref.clock == CREATED

    def test_a_full_page_has_to_say_whether_it_is_the_last_one(self) -> None:
        rows = [summary(id=f"e{n}") for n in range(100)]

        assert len(listed(page(*rows[1:], token=...))[0]) == 99
        with pytest.raises(BadAnswer, match="does not say whether there is more"):
            listed(page(*rows, token=...))

    def test_whatever_a_summary_tells_is_news_if_it_changes_links_and_order_aside(self) -> None:
        reviews = [None, "NEEDS_REVIEW", ["NEEDS_REVIEW"], [None, "APPROVED"], ...]
        told = [*({"reviewStatuses": one} for one in reviews), {"coverage": 0.8}, {"completed": ...}, {"new": 1}]
        same = [dict(reversed(summary().items())), summary(download_url="https://x/1?sig=1")]

        refs, again = ([listed(page(row))[0][0] for row in rows] for rows in ([summary(**one) for one in told], same))

        assert len({ref.fingerprint for ref in refs}) == len(told)
        assert {ref.fingerprint for ref in again} == {refs[0].fingerprint}

    def test_a_window_holds_its_start_and_not_its_end_and_times_without_a_zone_are_utc(self) -> None:
        times = ["2026-04-30T23:59:59.999Z", "2026-05-01T00:00:00", "2026-05-01T23:59:59.999", "2026-05-02T00:00:00Z"]

        refs, _ = listed(page(*(summary(id=time, created=time) for time in times)))

        assert [ref.batch_id for ref in refs] == times[1:3]
        assert refs[0].created_at == FIRST

    @pytest.mark.parametrize("end", [None, ..., ""])
    def test_pages_are_followed_until_there_is_no_token(self, end: Any) -> None:
        first, later = page(summary(), summary(id="e2"), token="t1"), summary(id="e2", coverage=1)

        refs, asked = listed(first, page(token="t2"), page(later, token=end))

        assert asked == [LIST, {**LIST, "continuation_token": "t1"}, {**LIST, "continuation_token": "t2"}]
        assert [ref.row for ref in refs] == [summary(), later]

    @pytest.mark.parametrize("tokens", ["aa", "aba"])
    def test_a_token_that_comes_again_fails_instead_of_going_on_for_ever(self, tokens: str) -> None:
        with pytest.raises(BadAnswer, match=r"^Sensible's list of extractions goes round in circles\.$"):
            listed(*(page(summary(id=str(n)), token=token) for n, token in enumerate(tokens)))

    def test_types_are_asked_for_once_and_a_portfolio_is_listed_with_the_first_that_is_named(self) -> None:
        own = plan(document_types=["tax", "claims"], environments=["DEVELOPMENT"])
        both, other = (summary(id=id_, type=..., types=["claims", id_]) for id_ in ("tax", "mail"))

        first, asked = listed(TYPES, page(both, summary(type="tax")), scope="DEVELOPMENT/tax", of=own)
        second, later = listed(page(both, other, summary(type="claims")), scope="DEVELOPMENT/claims", of=own)

        development = {**LIST, "environments": "DEVELOPMENT"}
        assert asked == [{}, {**development, "document_type_ids": "id-2"}]
        assert later == [{**development, "document_type_ids": "id-1"}]
        assert [ref.batch_id for ref in first] == ["tax", "e1"]
        assert [ref.batch_id for ref in second] == ["mail", "e1"]

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            ([], "Sensible's list of extractions is not a JSON object."),
            ({}, "Sensible's list of extractions holds no list."),
            ({"extractions": {"e1": {}}}, "Sensible's list of extractions holds no list."),
        ],
    )
    def test_a_list_that_cannot_be_read_fails_in_words(self, body: Any, words: str) -> None:
        with pytest.raises(BadAnswer) as caught:
            listed(body)

        assert str(caught.value) == words

    @pytest.mark.parametrize("bad", [1, None, [], summary(id=None), summary(id="")])
    def test_a_row_that_cannot_be_read_is_told_and_costs_no_other(self, bad: Any) -> None:
        listed, _ = asked_for(page(summary(id="a"), bad, token="t"), page(summary(id="b"), bad))

        assert [ref.batch_id for ref in listed.refs] == ["a", "b"]
        assert listed.trouble == (
            "2 of the rows of Sensible's list of extractions cannot be read; the rest was delivered."
        )

    @pytest.mark.parametrize("sent", [..., None, "soon", "1970-01-01T00:00:00Z", "2099-01-01T00:00:00Z"])
    def test_a_row_without_a_time_that_can_be_true_is_a_row(self, sent: Any) -> None:
        [ref], _ = listed(page(summary(created=sent)))

        assert (ref.created_at, ref.clock) == (moment(None if sent is ... else sent), None)

    @pytest.mark.parametrize(
        "times",
        [
            [],
            ["2026-11-20T08:00:00.000Z", "2026-11-20T03:00:00.000Z"],
            ["2026-11-20T08:00:00.000Z", "2022-03-01T00:00:00.000Z", "2022-02-28T23:59:59.999Z"],
            ["2026-11-20T08:00:00.000Z", "2015-01-01T00:00:00.000Z"],
        ],
    )
    def test_the_day_of_the_oldest_row_is_found_by_halving(self, times: list[str]) -> None:
        assert EXTRACTION.oldest is not None
        script, asked = EXTRACTION.oldest("PRODUCTION/"), []

        [request], found = next(script), ...
        while found is ...:
            asked.append(request.params)
            newest = [time for time in times if time <= str(request.params.get("end_date", "9999"))][:1]
            try:
                [request] = script.send([page(*(summary(created=time) for time in newest))])
            except StopIteration as end:
                found = end.value

        oldest = moment(times[-1]) if times else None
        assert found == (oldest and midnight(oldest))
        assert asked[0] == {"environments": "PRODUCTION", "limit": 1}
        assert len(asked) < 15


class TestDocument:
    def test_an_answer_as_documented(self) -> None:
        more = {"configuration_version": "v1", "content_type": "application/pdf", "uploaded": "2026-05-01T22:54:56Z"}

        snapshot, file = read(document(**more, download_url="https://x/1?sig=1"))

        assert (snapshot.status, snapshot.completed_at) == (COMPLETE, COMPLETED)
        assert (snapshot.links, snapshot.odd_statuses) == ((), frozenset())
        assert (file.key, file.file_id, file.file_name, file.url) == ("e1", "e1", "doc1.pdf", "https://x/1?sig=1")
        assert (file.status, file.provider_status, file.error) == (PROCESSED, "COMPLETE", None)
        assert (file.document_type, file.page_count, file.home) == ("contracts", 3, BatchRef(None, ""))
        assert (file.created_at, file.completed_at) == (CREATED, COMPLETED)
        assert file.provider_data == {**OTHERS, **more}
        times = {"created_at": CREATED, "completed_at": COMPLETED}
        assert file.extractions == (Extraction(data=PARSED, stable=PARSED, document_type="contracts", **times),)

    @pytest.mark.parametrize(
        ("sent", "data"),
        [(PARSED, PARSED), ({}, {}), (None, {}), (..., {}), ([1, None], {"value": [1, None]}), ("x", {"value": "x"})],
    )
    def test_what_was_extracted_is_kept_exactly_as_sent(self, sent: Any, data: Any) -> None:
        [extraction] = read(document(parsed_document=sent))[1].extractions

        assert extraction.data == extraction.stable == data
        assert list(extraction.data) == list(data)

    def test_the_other_style_of_writing_keys_is_read_too(self) -> None:
        row = document(document_name=..., page_count=..., parsed_document=...)

        _, file = read({**row, "documentName": "a", "pageCount": 2, "parsedDocument": PARSED, "downloadUrl": "u"})

        assert (file.file_name, file.page_count, file.url, file.extractions[0].data) == ("a", 2, "u", PARSED)
        assert file.provider_data == OTHERS

    @pytest.mark.parametrize("parsed", ["parsed_document", "parsedDocument"])
    def test_a_portfolio_has_a_result_for_each_document_in_it(self, parsed: str) -> None:
        parts = [
            {"documentType": "w2", "configuration": "c", "startPage": 0, "endPage": 1, "output": {parsed: PARSED}},
            {"documentType": "1099", "startPage": 2, "output": {parsed: None, "coverage": 0.5, "fileMetadata": {}}},
            {"documentType": "1099", "output": {}},
        ]
        row = document(type=..., types=["w2", "1099"], parsed_document=..., documents=parts)

        snapshot, file = read({**row, "reviewStatuses": [None, "NEEDS_REVIEW"]})

        assert snapshot.status is OPEN
        assert (file.document_type, file.provider_data["types"]) == (None, ["w2", "1099"])
        assert [(one.document_index, one.document_type, one.review_status, one.data) for one in file.extractions] == [
            (0, "w2", None, PARSED),
            (1, "1099", "NEEDS_REVIEW", {}),
            (2, "1099", None, {}),
        ]
        assert [one.provider_data for one in file.extractions] == [
            {"configuration": "c", "startPage": 0, "endPage": 1},
            {"startPage": 2, "coverage": 0.5, "fileMetadata": {}},
            {},
        ]
        assert {(one.created_at, one.completed_at) for one in file.extractions} == {(CREATED, COMPLETED)}
        assert [row.record["id"] for row in RESULTS.rows(snapshot, VIEW)] == ["e1", "e1#1", "e1#2"]

    def test_a_review_may_be_told_by_one_document_of_a_portfolio(self) -> None:
        parts = [{"documentType": "w2", "output": {"reviewStatus": review}} for review in ("APPROVED", "NEEDS_REVIEW")]

        snapshot, file = read(document(documents=parts))

        assert [one.review_status for one in file.extractions] == ["APPROVED", "NEEDS_REVIEW"]
        assert snapshot.status is OPEN

    @pytest.mark.parametrize("parts", [["w2"], [{"output": [1]}], [{"output": 7}]])
    def test_a_portfolio_that_cannot_be_read_fails_in_words(self, parts: Any) -> None:
        with pytest.raises(BadAnswer, match=r"of a portfolio of Sensible's is not a JSON object\.$"):
            read(document(documents=parts))

    @pytest.mark.parametrize(
        ("sent", "status"),
        [("WAITING", PENDING), ("PROCESSING", PENDING), ("COMPLETE", PROCESSED), ("FAILED", FAILED)],
    )
    def test_a_document_has_a_result_when_it_is_complete(self, sent: str, status: FileStatus) -> None:
        snapshot, file = read(document(status=sent, completed=...))

        assert (file.status, file.provider_status, file.completed_at) == (status, sent, None)
        assert bool(file.extractions) is (status is PROCESSED)
        assert snapshot.status is (OPEN if status is PENDING else COMPLETE)
        assert (snapshot.completed_at, snapshot.odd_statuses) == (None, frozenset())

    @pytest.mark.parametrize(("sent", "told"), [("QUEUED", "QUEUED"), (7, "7"), (None, None), (..., None)])
    def test_an_unknown_status_is_unfinished_and_told(self, sent: Any, told: str | None) -> None:
        snapshot, file = read(document(status=sent))

        assert (file.status, file.provider_status, file.extractions) == (PENDING, told, ())
        assert (snapshot.status, snapshot.odd_statuses) == (OPEN, {told or ""})

    @pytest.mark.parametrize(
        ("errors", "told"),
        [
            ([{"field_id": "total", "message": "No pages", "type": "unexpected"}], "No pages"),
            ([{"message": "No pages."}, {"message": None}, {"message": "Locked."}], "No pages. Locked."),
            (["No pages"], "No pages"),
            ("No pages", "No pages"),
            *((nothing, None) for nothing in ([], None, ...)),
        ],
    )
    def test_a_failed_document_keeps_its_reasons(self, errors: Any, told: str | None) -> None:
        failed, complete = (read(document(status=sent, errors=errors))[1] for sent in ("FAILED", "COMPLETE"))

        assert (failed.error, complete.error) == (told, None)
        assert failed.provider_data == complete.provider_data == changed(OTHERS, errors=errors)

    @pytest.mark.parametrize("write", [lambda one: one, lambda one: [one]], ids=["text", "list"])
    @pytest.mark.parametrize("key", ["reviewStatus", "reviewStatuses"])
    @pytest.mark.parametrize("sent", [None, "NEEDS_REVIEW", "APPROVED", "REJECTED", "ESCALATED"])
    def test_a_review_is_open_until_it_is_decided(self, sent: Any, key: str, write: Any) -> None:
        snapshot, file = read(document(**{key: write(sent)}, batchId="b1"))

        assert (file.status, file.extractions[0].review_status) == (PROCESSED, sent)
        assert snapshot.status is (OPEN if sent in {"NEEDS_REVIEW", "ESCALATED"} else COMPLETE)
        assert snapshot.odd_statuses == {"ESCALATED"} & {sent}
        assert snapshot.links[0].told == {"e1": PROCESSED}

    @pytest.mark.parametrize("key", ["batchId", "batchID"])
    def test_its_batch_is_told_what_has_become_of_it(self, key: str) -> None:
        snapshot, file = read(document(status="FAILED", **{key: "b/1"}))

        assert snapshot.links == (BatchRef(None, "b/1", named=True, linked=True, told={"e1": FAILED}),)
        assert (file.home, file.provider_data) == (BatchRef(None, "b/1"), OTHERS)
        [row] = FILES.rows(snapshot, VIEW)
        assert (row.record["id"], row.record["batch_key"], row.record["batch_id"]) == ("e1", "b%2F1", "b/1")

    @pytest.mark.parametrize("table", [FILES, RESULTS], ids=lambda table: table.kind)
    def test_a_link_that_is_signed_anew_is_no_change_however_deep_it_is(self, table: Any) -> None:
        links = ["https://x/1?sig=1", "https://x/1?sig=2"]
        read_so = [read(document(download_url=link, file_metadata={"image": link}))[0] for link in links]

        assert len({row.mark for snapshot in read_so for row in table.rows(snapshot, VIEW)}) == 1

    @pytest.mark.parametrize(("status", "stays"), [(400, MISSING), (404, MISSING), (413, COMPLETE)])
    def test_one_that_cannot_be_had_has_failed_and_keeps_what_the_list_tells(
        self, status: int, stays: BatchStatus
    ) -> None:
        [ref], _ = listed(page(summary()))

        snapshot, file = read(Unavailable("Too large.", status, None), ref)
        unlisted, lost = read(Unavailable("Not found.", status, None))

        assert (snapshot.ref, snapshot.status, snapshot.completed_at) == (ref, stays, COMPLETED)
        assert (file.key, file.status, file.error, file.extractions) == ("e1", FAILED, "Too large.", ())
        assert (file.provider_status, file.file_name, file.document_type) == ("COMPLETE", "doc1.pdf", "contracts")
        assert (file.page_count, file.created_at, file.completed_at) == (3, CREATED, COMPLETED)
        assert (unlisted.status, unlisted.homeless) == (BatchStatus.MISSING, True)
        assert lost == Document("e1", FAILED, file_id="e1", error="Not found.", home=BatchRef(None, ""))

    def test_a_portfolio_that_is_refused_needs_no_more_than_its_summary(self) -> None:
        row = summary(type=..., types=["claims", "tax"])

        snapshot, file = read(Unavailable("Too large.", 413, None), replace(REF, row=row))

        assert (snapshot.status, file.status, file.error) == (COMPLETE, FAILED, "Too large.")

    @pytest.mark.parametrize("part", [None, {"documentType": "claims"}, {"output": []}])
    def test_a_document_of_a_portfolio_without_its_output_fails_in_words(self, part: Any) -> None:
        with pytest.raises(BadAnswer, match="is not a JSON object"):
            read(document(types=["claims"], documents=[part]))

    @pytest.mark.parametrize("status", [400, 404])
    @pytest.mark.parametrize("listed_as", ["WAITING", "PROCESSING", "NEW"])
    def test_one_that_is_listed_as_unfinished_and_cannot_be_had_yet_is_pending(
        self, listed_as: str, status: int
    ) -> None:
        [ref], _ = listed(page(summary(status=listed_as, completed=...)))

        snapshot, file = read(Unavailable("Not found.", status, None), ref)

        assert (snapshot.status, file.status, file.error) == (OPEN, PENDING, None)

    @pytest.mark.parametrize(
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
    def test_the_documented_answer_about_an_unknown_id_is_told_apart(
        self, status: int, body: Any, is_about_id: bool
    ) -> None:
        assert plan().dialect.is_about_id(status, body) is is_about_id

    @pytest.mark.parametrize("error", [Refused("No.", 404, None), Refused("No.", 422, None), TransientError("down")])
    def test_any_other_trouble_is_left_for_the_next_sync(self, error: ConnectorError) -> None:
        with pytest.raises(type(error)) as caught:
            read(error)

        assert caught.value is error

    @pytest.mark.parametrize("body", [None, [], "Not found"])
    def test_an_answer_that_is_no_object_fails_in_words(self, body: Any) -> None:
        with pytest.raises(BadAnswer, match=r"^Sensible's answer about e1 is not a JSON object\.$"):
            read(body)


IDS = ("e1", "e2")
MEMBERS = tuple(BatchRef(None, one, named=True, linked=True) for one in IDS)
ANSWER: Mapping[str, Any] = {"id": "b1", "description": "test batch", "extraction_ids": [*IDS], "waiting": 1}
ASKED = [[Request("GET", "/extract/batch/b1")]]


def batch(answer: Any, **ref: Any) -> Snapshot:
    """A batch as it is read by one who knows `ref` of it."""
    snapshot, asked = play(plan().products[1].fetch(replace(BATCH_REF, **ref)), [answer])
    assert asked == ASKED
    assert isinstance(snapshot, Snapshot)
    return snapshot


class TestBatch:
    def test_of_which_nothing_is_known_all_documents_are_to_be_asked_for(self) -> None:
        snapshot = batch(ANSWER)

        assert (snapshot.status, snapshot.description, snapshot.memo) == (OPEN, "test batch", "?2")
        assert (snapshot.counters, snapshot.provider_data) == ({"waiting": 1}, {})
        assert snapshot.documents == tuple(Document(one, PENDING, file_id=one) for one in IDS)
        assert snapshot.links == MEMBERS

    @pytest.mark.parametrize(
        ("known", "memo", "statuses"),
        [
            ({"told": {"e1": PROCESSED, "e2": FAILED}}, "pf", [PROCESSED, FAILED]),
            ({"told": {"e1": PENDING, "e2": PROCESSED}}, "wp", [PENDING, PROCESSED]),
            ({"told": {"e2": PROCESSED, "of another batch": FAILED}}, "?p", [PENDING, PROCESSED]),
            ({"memo": "p2"}, "p2", [PROCESSED, PROCESSED]),
            ({"memo": "pw", "told": {"e2": FAILED}}, "pf", [PROCESSED, FAILED]),
            ({"memo": "p3"}, "?2", [PENDING, PENDING]),
            ({"memo": "p"}, "?2", [PENDING, PENDING]),
        ],
    )
    def test_what_its_documents_told_holds_whatever_its_counters_say(
        self, known: Any, memo: str, statuses: list[FileStatus]
    ) -> None:
        snapshot = batch(ANSWER, **known)

        assert snapshot.documents is not None
        assert (snapshot.memo, [one.status for one in snapshot.documents]) == (memo, statuses)
        assert snapshot.status is (OPEN if PENDING in statuses else COMPLETE)
        assert {link.batch_id for link in snapshot.links} == {"?2": {"e1", "e2"}, "?p": {"e1"}, "p?": {"e2"}}.get(
            memo, set()
        )

    @given(st.text("pfw?", min_size=1, max_size=40))
    def test_what_is_written_down_is_read_back(self, letters: str) -> None:
        ids = [f"e{n}" for n in range(len(letters))]
        meant = {"p": PROCESSED, "f": FAILED, "w": PENDING}
        told = {one: meant[letter] for one, letter in zip(ids, letters, strict=True) if letter in meant}

        first = batch({**ANSWER, "extraction_ids": ids}, told=told)
        second = batch({**ANSWER, "extraction_ids": ids}, memo=first.memo)

        assert replace(second, ref=first.ref) == first
        assert len(first.memo) <= len(letters)

    def test_what_is_written_down_of_the_largest_batch_is_short(self) -> None:
        ids = [f"e{n}" for n in range(5000)]

        snapshot = batch({**ANSWER, "extraction_ids": ids}, told=dict.fromkeys(ids, PROCESSED))

        assert (snapshot.memo, snapshot.status) == ("p5000", COMPLETE)

    def test_one_without_documents_is_open(self) -> None:
        assert batch({**ANSWER, "extraction_ids": []}).status is OPEN

    def test_counters_are_shown_and_are_no_news(self) -> None:
        counters = [{"waiting": 1}, {"waiting": 0, "failed": 1, "processing": 1}, {"waiting": ...}]
        answers = [changed(ANSWER, **more, owner="me") for more in counters]

        rows = [row for answer in answers for row in BATCHES.rows(batch(answer), VIEW)]
        [other] = BATCHES.rows(batch(changed(ANSWER, owner="you")), VIEW)

        assert [row.record["provider_data"] for row in rows] == [changed({"owner": "me"}, **one) for one in counters]
        assert len({row.mark for row in rows}) == 1
        assert other.mark != rows[0].mark

    def test_its_documents_and_its_row_come_from_one_answer(self) -> None:
        extractions, batches = plan().products
        assert extractions.members is not None
        members, asked = play(extractions.members(BATCH_REF), [ANSWER])
        half = play(batches.fetch(replace(BATCH_REF, told={"e1": PROCESSED})))
        whole = play(batches.fetch(replace(BATCH_REF, told={"e1": PROCESSED, "e2": FAILED})))
        later = play(batches.fetch(replace(BATCH_REF, memo="pf")), [ANSWER])

        assert tuple(members) == MEMBERS
        assert [snapshot.status for snapshot, _ in (half, whole, later)] == [OPEN, COMPLETE, COMPLETE]
        assert [asked, half[1], whole[1], later[1]] == [ASKED, [], [], ASKED]

    @pytest.mark.parametrize("status", [400, 404])
    def test_one_that_is_refused_is_missing_and_asked_for_once(self, status: int) -> None:
        extractions, batches = plan().products
        assert extractions.members is not None
        members, asked = play(extractions.members(BATCH_REF), Unavailable("Not found.", status, None))
        snapshot, none = play(batches.fetch(BATCH_REF))

        assert (members, asked, none) == ([], ASKED, [])
        assert snapshot == Snapshot(BATCH_REF, BatchStatus.MISSING, error="Not found.")

    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            ([], "Sensible's answer about batch b1 is not a JSON object."),
            ({"id": "b1"}, "Sensible's answer about a batch holds no list of extraction_ids."),
            ({"extraction_ids": "e1"}, "Sensible's answer about a batch holds no list of extraction_ids."),
        ],
    )
    def test_an_answer_that_cannot_be_read_fails_in_words(self, answer: Any, words: str) -> None:
        with pytest.raises(BadAnswer) as caught:
            batch(answer)

        assert str(caught.value) == words
