"""Whole syncs with odd responses, bugs and odd clocks: each costs itself alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from docextract_sandbox import NewDocument, NewExtraction, NewFile, Sandbox, SensibleDocument
from source_docextract.core.model import PartitionKey
from source_docextract.core.numbers import parse_confidence
from source_docextract.core.timestamps import parse_time
from source_docextract.state.passes import LedgerPass, PollingPass
from source_docextract.state.serialization import StreamState
from source_docextract.sync.delivery import Emitter
from source_docextract.sync.product_sync import ProductSync
from source_docextract.tables import rows as tables
from unit_tests.support.cases import each_case
from unit_tests.support.harness import START, Connection, SyncResult, frozen_sandbox, get_stream_part, single
from unit_tests.support.payloads import spoiling_connection

PAN = {"document_type": "PAN", "name": {"value": "ASHA", "confidence_score": 0.9}}
REPORT_BUG_TEXT = "This is a bug in the connector: please report it."


def get_incomplete_streams(synced: SyncResult) -> set[str]:
    return {stream for stream, status in synced.final_statuses.items() if status == "INCOMPLETE"}


@contextmanager
def add_three_batches(rows: int = 1, **switches: Any) -> Iterator[Connection]:
    """Add three batches of Atlas and documents of DocMap.

    One document in one of the batches is named "bad".
    """
    with frozen_sandbox(**switches) as (sandbox, url):
        ids = []
        for name in ("first", "bad", "last"):
            field = {"value": name, "confidence_score": 0.9}
            documents = [NewDocument(f"{number}", 0, PAN) for number in range(rows - 1)]
            documents.append(NewDocument("last", 0, {"document_type": "PAN", "name": field}))
            ids.append(sandbox.atlas.submit(documents, batch_id=name))
        template = sandbox.docmap.put_template("Notes")
        sandbox.docmap.add_extractions(template, [NewExtraction("a.pdf", 0, {"n": 1})], "run")
        yield Connection(sandbox, url, {"atlas": {"batch_ids": ids}, "docmap": {}})


def inject_bug(monkeypatch: pytest.MonkeyPatch, target: Any, name: str, is_bad: Callable[..., bool]) -> None:
    """Let a function raise an exception whose text must not appear anywhere."""
    original = getattr(target, name)

    def raise_for_bad(*arguments: Any, **more: Any) -> Any:
        if is_bad(*arguments):
            raise KeyError("4929 1234 5678 9012")
        return original(*arguments, **more)

    monkeypatch.setattr(target, name, raise_for_bad)


INJECTED_BUGS: dict[str, tuple[Any, str, Callable[..., bool]]] = {
    "while values are written": (tables, "format_scalar", lambda value: value == "bad"),
    "while rows are made": (tables, "build_batch_id", lambda snapshot: snapshot.ref.batch_id == "bad"),
    "while links are followed": (
        Emitter,
        "_register_references",
        lambda _, _route, snapshot, _now: snapshot.ref.batch_id == "bad",
    ),
    "while a batch is written down": (
        LedgerPass,
        "record",
        lambda _, ref, *_rest: ref.batch_id == "bad",
    ),
}


@pytest.mark.parametrize("bug", INJECTED_BUGS)
def test_delivery_unexpected_exception_delivers_the_other_batches(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with add_three_batches() as connection:
        with monkeypatch.context() as patch:
            inject_bug(patch, *INJECTED_BUGS[bug])
            synced, second_sync = connection.sync(), connection.sync()

        assert {stream.split("_")[0] for stream in get_incomplete_streams(synced)} == {"atlas"}
        assert REPORT_BUG_TEXT in str(synced.error)
        assert "KeyError at " in str(synced.error)
        assert "4929" not in str(synced.error)
        stored_ids = {row["batch_id"] for row in connection.warehouse["atlas_results"].values()}
        assert stored_ids >= {"first", "last"}
        assert get_incomplete_streams(second_sync) == get_incomplete_streams(synced)
        assert second_sync.requests["atlas.extracts"] == 1  # the failed one; no look at the others is due yet
        recovery_sync = connection.sync()
        assert set(recovery_sync.final_statuses.values()) == {"COMPLETE"}
        for kind in ("batches", "files", "results", "fields"):
            batches = {
                row.get("batch_id", row.get("batch_key")) for row in connection.warehouse[f"atlas_{kind}"].values()
            }
            assert batches == {"first", "bad", "last"}, kind
        assert connection.sync().counts == {}


@pytest.mark.long
def test_delivery_unexpected_exception_in_a_large_batch_loses_no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail after the first thousand records, which are emitted again."""
    with add_three_batches(rows=1_600) as connection:
        with monkeypatch.context() as patch:
            inject_bug(patch, tables, "format_scalar", lambda value: value == "bad")
            synced = connection.sync("atlas_fields")

        assert get_incomplete_streams(synced) == {"atlas_fields"}
        assert len({row["batch_key"] for row in connection.warehouse["atlas_fields"].values()}) == 3
        recovery_sync = connection.sync("atlas_fields")
        assert set(recovery_sync.final_statuses.values()) == {"COMPLETE"}
        assert len(connection.warehouse["atlas_fields"]) == 3 * 1_600
        assert connection.sync("atlas_fields").counts == {}


def test_provider_sync_bug_while_planning_leaves_other_providers_complete(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with add_three_batches() as connection:
        with monkeypatch.context() as patch:
            inject_bug(
                patch, ProductSync, "plan_batches", lambda product_sync, _now: product_sync.stream_group.name == "atlas"
            )
            synced = connection.sync()

        assert get_incomplete_streams(synced) == {
            stream for stream in synced.final_statuses if stream.startswith("atlas")
        }
        assert REPORT_BUG_TEXT in str(synced.error)
        assert synced.counts["docmap_results"] == 1
        recovery_sync = connection.sync()
        assert recovery_sync.counts["atlas_results"] == 3
        assert set(recovery_sync.final_statuses.values()) == {"COMPLETE"}


@pytest.mark.parametrize("step", ["compact_and_prune", "as_json"])
def test_provider_sync_bug_at_its_end_leaves_other_providers_complete(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with add_three_batches() as connection:
        with monkeypatch.context() as patch:
            if step == "compact_and_prune":
                inject_bug(
                    patch,
                    PollingPass,
                    "compact_and_prune",
                    lambda ledger_pass, *_: PartitionKey("", "first") in ledger_pass.ledger.entries,
                )
            else:
                inject_bug(
                    patch, StreamState, "as_json", lambda state: PartitionKey("", "first") in state.ledger.entries
                )
            synced = connection.sync()

        assert get_incomplete_streams(synced) == {
            stream for stream in synced.final_statuses if stream.startswith("atlas")
        }
        assert set(connection.sync().final_statuses.values()) == {"COMPLETE"}
        assert len(connection.warehouse["atlas_results"]) == 3


def add_sensible_portfolio(sandbox: Sandbox) -> str:
    for name in ("claims", "contracts"):
        sandbox.sensible.add_document_type(name)
    [extraction_id] = sandbox.sensible.extract(
        [SensibleDocument("mail.pdf", 0, portfolio=("claims", "contracts"))], "claims"
    )
    return extraction_id


@pytest.mark.parametrize(("portfolios", "results"), [("whole", 2), ("no_documents", 0), ("no_output", 2)])
def test_sensible_empty_portfolio_is_a_file_with_its_errors(portfolios: str, results: int) -> None:
    with frozen_sandbox(sensible_portfolios=portfolios) as (sandbox, url):
        extraction_id = add_sensible_portfolio(sandbox)
        sandbox.sensible.extract([SensibleDocument("b.pdf", 0)], "claims")
        connection = Connection(sandbox, url, {"sensible": {}})

        synced = connection.sync()

        assert set(synced.final_statuses.values()) == {"COMPLETE"}
        file = connection.warehouse["sensible_files"][extraction_id]
        expected_text = None if portfolios == "whole" else "No document was found in the file"
        assert (file["status"], file["provider_status"], file["error"]) == ("processed", "COMPLETE", expected_text)
        result_rows = [
            row for row in connection.warehouse["sensible_results"].values() if row["file_key"] == extraction_id
        ]
        assert [row["document_type"] for row in result_rows] == ["claims", "contracts"][:results]
        assert all((row["data"] == {}) == (portfolios == "no_output") for row in result_rows)
        assert connection.sync().counts == {}


@pytest.mark.parametrize("name", ["single.pdf", "portfolio.pdf"])
def test_sensible_postprocessed_document_has_that_output_as_its_data(name: str) -> None:
    with frozen_sandbox(sensible_postprocessed=True) as (sandbox, url):
        sandbox.sensible.add_document_type("claims")
        parsed = {"total": {"value": 7.5, "type": "currency", "unit": "$"}}
        portfolio = ("claims",) if name == "portfolio.pdf" else None
        sandbox.sensible.extract([SensibleDocument(name, 0, parsed, portfolio=portfolio)], "claims")
        connection = Connection(sandbox, url, {"sensible": {}})

        synced = connection.sync()

        row = single(synced.records["sensible_results"])
        assert row["data"] == parsed or (portfolio and row["data"])
        assert "postprocessorOutput" not in row["provider_data"]
        assert synced.counts["sensible_fields"] >= 1
        assert connection.sync().counts == {}


COMPLETED_AT = "2026-11-20T09:00:00.000Z"
FORMS = {
    "seconds": COMPLETED_AT,
    "microseconds": COMPLETED_AT,
    "nanoseconds": COMPLETED_AT,
    "seconds_and_nanoseconds": COMPLETED_AT,
    "http": COMPLETED_AT,
    "lower_case": COMPLETED_AT,
    "year_9999": None,
    "words": None,
}


@pytest.mark.parametrize("form", FORMS)
def test_extracta_start_time_in_another_format_is_parsed_or_kept(form: str, caplog: pytest.LogCaptureFixture) -> None:
    with frozen_sandbox(extracta_start_time=form) as (sandbox, url):
        template = sandbox.extracta.create("Invoices", ["vendor"])
        for _ in range(3):
            sandbox.extracta.upload(template, [NewFile("a.pdf", 0, {"vendor": "Acme"})], started_at=START)
        connection = Connection(sandbox, url, {"extracta": {"extraction_ids": [template]}})
        with caplog.at_level(logging.WARNING):
            synced = connection.sync()

        assert set(synced.final_statuses.values()) == {"COMPLETE"}
        rows = synced.records["extracta_batches"]
        assert [row["created_at"] for row in rows] == [FORMS[form]] * 3
        assert all(("startTime" in row["provider_data"]) == (FORMS[form] is None) for row in rows)
        warnings = [
            log_record
            for log_record in caplog.records
            if "sent an unreadable or ambiguous time" in log_record.getMessage()
        ]
        assert len(warnings) == (FORMS[form] is None)
        for days in (1, 4, 40):
            sandbox.clock.advance(days=days)
            later = connection.sync()
            assert (later.counts, set(later.final_statuses.values())) == ({}, {"COMPLETE"})


@each_case("key", ["created", "completed"])
def test_sensible_unreadable_time_is_kept_in_provider_data(key: str) -> None:
    def fill(sandbox: Sandbox) -> dict[str, Any]:
        sandbox.sensible.add_document_type("claims")
        sandbox.sensible.extract([SensibleDocument("a.pdf", 0)], "claims")
        return {"sensible": {}}

    with spoiling_connection(fill) as spoiler:
        spoiler.corrupt("/documents/", lambda body: {**body, key: "last Tuesday"})

        row = single(spoiler.connection.sync().records["sensible_files"])

        assert (row[f"{key}_at"], row["provider_data"][key]) == (None, "last Tuesday")
        assert spoiler.connection.sync().counts == {}


@pytest.mark.parametrize(
    "created_at", ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00Z", "9999-12-31"]
)
def test_registry_row_with_an_extreme_time_is_delivered_once(created_at: str, tmp_path: Path) -> None:
    with frozen_sandbox() as (sandbox, url):
        batch = sandbox.atlas.submit([NewDocument("1", 0, PAN)])
        (tmp_path / "batches.csv").write_text(f"provider,batch_id,created_at\natlas,{batch},{created_at}\n")
        settings = {"atlas": {}, "batch_registry": {"url": str(tmp_path / "batches.csv")}}
        connection = Connection(sandbox, url, settings)

        for days in (0, 1, 10, 400):
            sandbox.clock.advance(days=days)
            synced = connection.sync()
            assert set(synced.final_statuses.values()) == {"COMPLETE"}
            assert synced.counts.get("atlas_batches", 0) == (days == 0)
        row = single(list(connection.warehouse["atlas_batches"].values()))
        assert row["created_at"][:10] == created_at[:10]


def test_registry_more_expected_files_than_received_keep_the_batch_open(tmp_path: Path) -> None:
    with frozen_sandbox() as (sandbox, url):
        batch = sandbox.atlas.submit([NewDocument("1", 0, PAN)])
        (tmp_path / "batches.csv").write_text(f"provider,batch_id,expected_files\natlas,{batch},120\n")
        settings = {"atlas": {}, "batch_registry": {"url": str(tmp_path / "batches.csv")}}
        connection = Connection(sandbox, url, settings)

        row = single(connection.sync().records["atlas_batches"])

        counts = [row[f"files_{name}"] for name in ("total", "processed", "failed", "pending")]
        assert (row["status"], counts) == ("open", [120, 1, 0, 119])
        sandbox.atlas.add_documents(batch, [NewDocument(f"more {number}", 0, PAN) for number in range(120)])
        row = single(connection.sync().records["atlas_batches"])
        counts = [row[f"files_{name}"] for name in ("total", "processed", "failed", "pending")]
        assert (row["status"], counts) == ("complete", [121, 121, 0, 0])


def test_registry_row_of_a_run_is_applied_when_the_run_is_read_again(tmp_path: Path) -> None:
    """Apply the registry's row to a settled run that an extraction makes due."""
    with frozen_sandbox() as (sandbox, url):
        template = sandbox.docmap.put_template("Notes")
        sandbox.docmap.add_extractions(template, [NewExtraction("a.pdf", 0, {"n": 1})], "run")
        (tmp_path / "runs.csv").write_text(
            "provider,batch_id,created_at,expected_files\ndocmap,run,2026-11-20T08:00:00Z,1\n"
        )
        settings = {"docmap": {}, "batch_registry": {"url": str(tmp_path / "runs.csv")}, "lookback_days": 0}
        connection = Connection(sandbox, url, settings)
        first = single(connection.sync().records["docmap_batches"])
        sandbox.clock.advance(days=1)
        sandbox.docmap.add_extractions(template, [NewExtraction("b.pdf", 0, {"n": 2})], "run")

        second = single(connection.sync().records["docmap_batches"])

        assert (first["created_at"], first["files_total"]) == ("2026-11-20T08:00:00.000Z", 1)
        assert (second["created_at"], second["files_total"]) == ("2026-11-20T08:00:00.000Z", 2)
        assert connection.sync().counts == {}


def add_reference_batch(sandbox: Sandbox) -> dict[str, Any]:
    template = sandbox.extracta.create("Invoices", ["vendor"])
    sandbox.extracta.upload(template, [NewFile("a.pdf", 0, {"vendor": "Acme"})])
    return {"extracta": {"extraction_ids": [template]}}


@pytest.mark.sample
@pytest.mark.parametrize("key", ["status", "startTime", "origin", "filesNo"])
@pytest.mark.parametrize("depth", [300, 900])
def test_extracta_listing_deeply_nested_entry_affects_only_its_batch(key: str, depth: int) -> None:
    deep: Any = []
    for _ in range(depth):
        deep = [deep]

    def fill(sandbox: Sandbox) -> dict[str, Any]:
        settings = add_reference_batch(sandbox)
        [template] = settings["extracta"]["extraction_ids"]
        sandbox.extracta.upload(template, [NewFile("b.pdf", 0, {"vendor": "Acme"})], "deep batch")
        return settings

    def spoil(body: Any) -> Any:
        body["extractionDetails"]["batches"]["deep batch"][key] = deep
        return body

    with spoiling_connection(fill) as spoiler:
        spoiler.corrupt("viewExtraction", spoil)

        synced = spoiler.connection.sync()

        assert "a.pdf" in {row["file_name"] for row in synced.records["extracta_results"]}
        assert {str(synced.error).count("nested too deeply")} <= {0, 1}
        spoiler.restore()
        assert set(spoiler.connection.sync().final_statuses.values()) == {"COMPLETE"}
        assert len(spoiler.connection.warehouse["extracta_results"]) == 2


@pytest.mark.sample
@pytest.mark.parametrize("provider", ["docmap", "sensible"])
@pytest.mark.parametrize("depth", [240, 300, 900])
def test_listing_deeply_nested_row_delivers_the_others(provider: str, depth: int) -> None:
    deep: Any = []
    for _ in range(depth):
        deep = [deep]

    def fill(sandbox: Sandbox) -> dict[str, Any]:
        sandbox.sensible.add_document_type("claims")
        template = sandbox.docmap.put_template("Notes")
        for number in range(3):
            sandbox.sensible.extract([SensibleDocument(f"{number}.pdf", 0)], "claims")
            sandbox.docmap.add_extractions(template, [NewExtraction(f"{number}.pdf", 0, {"n": number})])
        return {provider: {}}

    key = {"docmap": "data", "sensible": "extractions"}[provider]
    with spoiling_connection(fill) as spoiler:
        first = getattr(spoiler.sandbox, provider).extraction_ids[0]
        spoiler.corrupt(
            "/extractions?",
            lambda body: {**body, key: [{**row, "more": deep} if row["id"] == first else row for row in body[key]]},
        )

        spoiler.connection.sync()

        assert len(spoiler.connection.warehouse[f"{provider}_results"]) == (3 if depth == 240 else 2)
        spoiler.restore()
        assert set(spoiler.connection.sync().final_statuses.values()) == {"COMPLETE"}
        assert len(spoiler.connection.warehouse[f"{provider}_results"]) == 3


@each_case("keep_urls", [True, False])
def test_provider_data_changed_reference_url_emits_the_row_again(keep_urls: bool) -> None:
    def set_reference(schema: str, url: str) -> Callable[[Any], Any]:
        more = {"schema": schema, "preview": url}
        return lambda body: {**body, "files": [{**file, **more} for file in body["files"]]}

    with spoiling_connection(lambda sandbox: {**add_reference_batch(sandbox), "keep_urls": keep_urls}) as spoiler:
        spoiler.corrupt(
            "getBatchResults", set_reference("https://acme.example/schemas/95", "https://x.example/a?X-Amz-Signature=1")
        )
        first = single(spoiler.connection.sync().records["extracta_files"])
        spoiler.corrupt(
            "getBatchResults", set_reference("https://acme.example/schemas/95", "https://x.example/a?X-Amz-Signature=2")
        )
        spoiler.sandbox.clock.advance(seconds=7200)
        assert spoiler.connection.sync().counts == {}

        spoiler.corrupt(
            "getBatchResults", set_reference("https://acme.example/schemas/96", "https://x.example/a?X-Amz-Signature=3")
        )
        spoiler.sandbox.clock.advance(seconds=14400)
        second = single(spoiler.connection.sync().records["extracta_files"])

        provider_data_values = [row["provider_data"] for row in (first, second)]
        assert [provider_data["schema"] for provider_data in provider_data_values] == [
            "https://acme.example/schemas/95",
            "https://acme.example/schemas/96",
        ]
        assert all(("preview" in provider_data) == keep_urls for provider_data in provider_data_values)


def test_observed_at_clock_set_back_never_decreases() -> None:
    with frozen_sandbox() as (sandbox, url):
        settings = add_reference_batch(sandbox)
        [template] = settings["extracta"]["extraction_ids"]
        connection = Connection(sandbox, url, settings)
        connection.sync()
        latest = "2026-11-20T09:00:00.000Z"
        assert connection.get_state_json("extracta_files")["observed_at"] == latest
        sandbox.extracta.upload(template, [NewFile("b.pdf", 0, {"vendor": "Acme"})])
        connection.clock_offset = timedelta(days=-2)

        back = connection.sync()

        assert {row["observed_at"] for rows in back.records.values() for row in rows} == {latest}
        connection.clock_offset = timedelta(days=2)
        sandbox.extracta.upload(template, [NewFile("c.pdf", 0, {"vendor": "Acme"})])
        later_sync = connection.sync()
        assert {row["observed_at"] for rows in later_sync.records.values() for row in rows} == {
            "2026-11-22T09:00:00.000Z"
        }


def test_state_without_the_newer_keys_is_loaded() -> None:
    with frozen_sandbox() as (sandbox, url):
        connection = Connection(sandbox, url, add_reference_batch(sandbox))
        connection.sync()
        for state in connection.state.values():
            vars(get_stream_part(state).stream_state).pop("observed_at", None)

        assert connection.sync().counts == {}


def test_extracta_list_as_result_is_a_typed_row_with_a_type_error() -> None:
    with spoiling_connection(lambda sandbox: {**add_reference_batch(sandbox), "typed_tables": True}) as spoiler:
        catalog = spoiler.connection.catalog()
        spoiler.corrupt(
            "getBatchResults", lambda body: {**body, "files": [{**file, "result": [1, 2]} for file in body["files"]]}
        )

        synced = spoiler.connection.sync(catalog=catalog)

        row = single(synced.records["extracta_invoices"])
        assert (row["vendor"], row["type_errors"]) == (None, ["data"])
        assert single(synced.records["extracta_results"])["data"] == {"value": [1, 2]}


@pytest.mark.parametrize(
    ("raw_value", "read"),
    [
        ("0.95", 0.95),
        ("1", 1.0),
        (0.5, 0.5),
        ("98%", None),
        ("high", None),
        ("NaN", None),
        ("1e999", None),
        (True, None),
    ],
)
def test_confidence_as_text_is_a_number_if_unambiguous(raw_value: Any, read: float | None) -> None:
    assert parse_confidence(raw_value) == read
    with frozen_sandbox() as (sandbox, url):
        data = {"document_type": "PAN", "name": {"value": "ASHA", "confidence_score": raw_value}}
        batch = sandbox.atlas.submit([NewDocument("1", 0, data)])
        synced = Connection(sandbox, url, {"atlas": {"batch_ids": [batch]}}).sync()

        assert single(synced.records["atlas_fields"])["confidence"] == read
        assert single(synced.records["atlas_results"])["data"] == data


@pytest.mark.parametrize("is_in_file_data", [True, False])
@pytest.mark.parametrize("code", ["INVALID_DOC", "UNRECOGNISED"])
def test_atlas_document_with_an_error_code_is_a_failed_document(code: str, is_in_file_data: bool) -> None:
    with frozen_sandbox(atlas_error_in_file_data=is_in_file_data) as (sandbox, url):
        documents = [NewDocument("good", 0, PAN), NewDocument("bad", 0, error_code=code)]
        batch = sandbox.atlas.submit(documents)
        connection = Connection(sandbox, url, {"atlas": {"batch_ids": [batch]}})

        synced = connection.sync()

        file = connection.warehouse["atlas_files"][f"{batch}/bad"]
        assert (file["status"], file["error"].split()[0]) == ("failed", code)
        assert synced.ids("atlas_results") == [f"{batch}/good"]
        row = single(synced.records["atlas_batches"])
        assert (row["status"], row["files_failed"], row["files_processed"]) == ("complete", 1, 1)
        assert connection.sync().counts == {}


@pytest.mark.parametrize(
    ("data", "status", "error"),
    [
        ({"error_code": "INVALID_DOC"}, "failed", "INVALID_DOC"),
        ({"error_code": "INVALID_DOC", "document_type": "PAN", "name": {"value": "A"}}, "failed", "INVALID_DOC"),
        ({"error": "Blurred", "document_type": "PAN"}, "failed", "Blurred"),
        ({"error_code": {"value": "E-7", "confidence_score": 0.9}}, "processed", None),
        ({"error": "none", "name": {"value": "A", "confidence_score": 0.9}}, "processed", None),
        ({"error_code": None, "name": {"value": "A", "confidence_score": 0.9}}, "processed", None),
        ({"error_code": ""}, "processed", None),
    ],
)
def test_atlas_data_error_keys_are_distinguished_from_extracted_fields(
    data: dict[str, Any], status: str, error: str | None
) -> None:
    with frozen_sandbox() as (sandbox, url):
        batch = sandbox.atlas.submit([NewDocument("1", 0, data)])
        row = single(Connection(sandbox, url, {"atlas": {"batch_ids": [batch]}}).sync().records["atlas_files"])

        assert (row["status"], row["error"]) == (status, error)
        assert row["provider_data"] == ({"file_data": data} if status == "failed" else {})


def test_catalog_of_unconfigured_streams_is_incomplete() -> None:
    with add_three_batches() as connection:
        catalog = connection.catalog(*(stream for stream in connection.streams if stream.startswith("atlas")))
        connection.settings.pop("atlas")

        synced = connection.sync(catalog=catalog)

        assert get_incomplete_streams(synced) == set(synced.final_statuses)
        assert str(synced.error).startswith(
            "4 of 4 streams are incomplete. The settings produce no stream atlas_batches,"
        )


@each_case(
    "raw_value",
    [
        0,
        7,
        True,
        [1],
        {},
        {"_seconds": "1"},
        "soon",
        "20/11/2026",
        "Fri, 20 Foo 2026 09:00:00 GMT",
        float("nan"),
        1e300,
    ],
)
def test_parse_time_ambiguous_value_returns_none(raw_value: Any) -> None:
    assert parse_time(raw_value) is None
