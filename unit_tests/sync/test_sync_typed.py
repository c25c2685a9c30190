"""Whole syncs of typed tables: discovery, rows and requests."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airbyte_cdk.models import ConfiguredAirbyteCatalog, ConfiguredAirbyteCatalogSerializer
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from docextract_sandbox import DocumentType, Fault, NewDocument, NewExtraction, NewFile, Sandbox, SensibleDocument
from unit_tests.support.harness import START, Connection, frozen_sandbox, log, single

ServedSandbox = tuple[Sandbox, str]
Settings = dict[str, Any]
COMMON_COLUMNS = ("file_key", "batch_key", "batch_id", "template_name", "file_name", "confidence", "created_at")
"""Columns of a typed table that hold what the results stream holds."""
OLD_TIME = START - timedelta(days=200)


def make_field(name: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"key": name, "name": name, "type": kind, "description": "", **more}


def wrap_sensible(value: Any, kind: str = "string", **more: Any) -> dict[str, Any]:
    """Return a value in Sensible's wrapper."""
    return {"value": value, "type": kind, **more}


def wrap_atlas(value: Any, confidence: float = 0.9) -> dict[str, Any]:
    """Return a value in Atlas's wrapper."""
    return {"value": value, "confidence_score": confidence}


def connect(served_sandbox: ServedSandbox, settings: Settings, **more: Any) -> Connection:
    return Connection(*served_sandbox, {**settings, "typed_tables": True, **more})


def get_typed_schemas(connection: Connection) -> dict[str, dict[str, Any]]:
    """Return the schemas of the typed tables by name."""
    streams = connection.source.discover(log, connection.settings).streams
    return {stream.name: stream.json_schema for stream in streams if "x-docextract" in stream.json_schema}


def get_column_types(schema: dict[str, Any]) -> dict[str, str]:
    """Return the types of the columns that not all typed tables have."""
    return {
        name: column_schema["type"][1]
        for name, column_schema in schema["properties"].items()
        if "field" in column_schema.get("x-docextract", {})
    }


def drop_common_columns(record: dict[str, Any]) -> dict[str, Any]:
    common = {*COMMON_COLUMNS, "id", "observed_at"}
    return {name: value for name, value in record.items() if name not in common}


def count_requests(connection: Connection, endpoint: Callable[[], Any]) -> dict[str, int]:
    connection.sandbox.journal.clear()
    endpoint()
    return connection.sandbox.journal.count_requests()


def build_catalog(connection: Connection, *streams: str) -> ConfiguredAirbyteCatalog:
    catalog = connection.catalog(*streams)
    assert {configured_stream.stream.name for configured_stream in catalog.streams} == set(streams)
    return catalog


def list_warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [log_record.getMessage() for log_record in caplog.records if log_record.levelno == logging.WARNING]


def add_extracta(sandbox: Sandbox) -> tuple[Settings, str, dict[str, str], list[dict[str, Any]]]:
    """Add a document; return the settings, the table, its columns and its rows."""
    lines = make_field("lines", "array", items={"type": "object", "properties": [make_field("n", "string")]})
    fields: list[str | dict[str, Any]] = [
        "vendor",
        make_field("total", "string"),
        make_field("to", "object", properties=[make_field("city", "string")]),
        lines,
    ]
    template = sandbox.extracta.create("Supplier invoices", fields)
    full = {"vendor": "Acme", "total": "12.50", "to": {"city": "Kochi"}, "lines": [{"n": "1"}], "more": "x"}
    unusual_data = {"vendor": "", "total": 12.5, "to": "Kochi"}
    sandbox.extracta.upload(
        template, [NewFile("a.pdf", 0, full), NewFile("b.pdf", 0, unusual_data), NewFile("c.pdf", 0, error="No")]
    )
    return (
        {"extracta": {"extraction_ids": [template]}},
        "extracta_supplier_invoices",
        {"vendor": "string", "total": "string", "to": "object", "lines": "array"},
        [
            {"vendor": "Acme", "total": "12.50", "to": {"city": "Kochi"}, "lines": [{"n": "1"}], "type_errors": None},
            {"vendor": "", "total": None, "to": None, "lines": None, "type_errors": ["total", "to"]},
        ],
    )


def add_docmap(sandbox: Sandbox) -> tuple[Settings, str, dict[str, str], list[dict[str, Any]]]:
    variables = [
        make_field("合計", "number"),
        make_field("is paid", "boolean"),
        make_field("id", "string"),
        make_field("when", "colour"),
    ]
    template = sandbox.docmap.put_template("注文書", variables)
    full = {"合計": 12.5, "is paid": False, "id": "A-1", "notes": [1, "2"], "when": "2026-01-01"}
    unusual_data = {"合計": "12", "is paid": None, "notes": ["x"], "seldom": {"a": 1}}
    files = [NewExtraction("a.pdf", 0, full), NewExtraction("b.pdf", 0, unusual_data), NewExtraction("c.pdf", 9e9)]
    sandbox.docmap.add_extractions(template, files, "run")
    return (
        {"docmap": {}},
        "docmap_zhuwenshu",
        {
            "heji": "number", "is_paid": "boolean", "field_id": "string", "when": "string", "notes": "array",
            "seldom": "object",
        },
        [
            {
                "heji": 12.5, "is_paid": False, "field_id": "A-1", "when": "2026-01-01", "notes": [1, "2"],
                "seldom": None, "type_errors": None,
            },
            {
                "heji": None, "is_paid": None, "field_id": None, "when": None, "notes": ["x"],
                "seldom": {"a": 1}, "type_errors": ["heji"],
            },
        ],
    )  # fmt: skip


def add_sensible(sandbox: Sandbox) -> tuple[Settings, str, dict[str, str], list[dict[str, Any]]]:
    sandbox.sensible.add_document_type("tax_forms")
    signal = {"unit": "$", "confidenceSignal": "confident_answer"}
    full = {
        "filing.wages": wrap_sensible(80500, "currency", **signal),
        "phones": [wrap_sensible("+1555"), None],
        "losses": {"columns": [{"id": "paid", "values": [wrap_sensible(1.5, "currency", unit="$"), None]}]},
        "never": None,
        "year": wrap_sensible(2025, "number"),
    }
    unusual_data = {
        "filing.wages": None,
        "phones": wrap_sensible("+1555"),
        "losses": None,
        "year": wrap_sensible("2025", "date-YYYY"),
    }
    documents = [SensibleDocument("a", 0, full), SensibleDocument("b", 0, unusual_data), SensibleDocument("c", 0, full)]
    sandbox.sensible.extract(documents, "tax_forms")
    expected_rows = {
        "filing_wages": 80500,
        "filing_wages_confidence_signal": "confident_answer",
        "filing_wages_unit": "$",
        "phones": ["+1555", None],
        "losses": {"columns": [{"id": "paid", "values": [1.5, None]}]},
        "year": 2025,
        "type_errors": None,
    }
    return (
        {"sensible": {}},
        "sensible_tax_forms",
        {
            "filing_wages": "number", "filing_wages_confidence_signal": "string", "filing_wages_unit": "string",
            "phones": "array", "losses": "object", "year": "number",
        },
        [expected_rows, {**dict.fromkeys(expected_rows), "type_errors": ["phones", "year"]}, expected_rows],
    )  # fmt: skip


def add_atlas(sandbox: Sandbox) -> tuple[Settings, str, dict[str, str], list[dict[str, Any]]]:
    sample_data = {
        "document_type": "UDYAM_CERT",
        "name": wrap_atlas("Asha"),
        "address": wrap_atlas({"city": "Kochi"}, 0.5),
        "bare": 1,
    }
    unusual_data = {"document_type": "UDYAM_CERT", "name": wrap_atlas(12), "bare": None}
    documents = [
        NewDocument("1", 0, sample_data),
        NewDocument("2", 0, unusual_data),
        NewDocument("3", 0, {"document_type": "PAN"}),
    ]
    batch = sandbox.atlas.submit([*documents, NewDocument("4", 0, sample_data)])
    expected_rows = {
        "name": "Asha",
        "name_confidence": 0.9,
        "address": {"city": "Kochi"},
        "address_confidence": 0.5,
        "bare": 1,
        "type_errors": None,
    }
    return (
        {"atlas": {"batch_ids": [batch]}},
        "atlas_udyam_cert",
        {
            "name": "string", "name_confidence": "number", "address": "object", "address_confidence": "number",
            "bare": "number",
        },
        [
            expected_rows, {**dict.fromkeys(expected_rows), "name_confidence": 0.9, "type_errors": ["name"]},
            expected_rows,
        ],
    )  # fmt: skip


ACCOUNTS = {
    account.__name__.removeprefix("add_"): account for account in (add_extracta, add_docmap, add_sensible, add_atlas)
}
each_provider = pytest.mark.parametrize("provider", ACCOUNTS)


@each_provider
def test_typed_table_has_a_typed_column_for_each_field(served_sandbox: ServedSandbox, provider: str) -> None:
    settings, name, columns, rows = ACCOUNTS[provider](served_sandbox[0])
    connection = connect(served_sandbox, settings)

    assert get_column_types(get_typed_schemas(connection)[name]) == columns
    catalog = build_catalog(connection, name, f"{provider}_results")
    first = connection.sync(catalog=catalog)

    records = sorted(first.records[name], key=lambda record: record["id"])
    results = {record["id"]: record for record in first.records[f"{provider}_results"]}
    by_id = {record["id"]: drop_common_columns(record) for record in records}
    assert sorted(by_id.values(), key=str) == sorted(rows, key=str)
    for record in records:
        assert [record[column] for column in COMMON_COLUMNS] == [
            results[record["id"]][column] for column in COMMON_COLUMNS
        ]

    second = connection.sync(catalog=catalog)
    assert second.counts == {}
    assert sorted(second.states) == sorted([name, f"{provider}_results"])
    assert second.final_statuses == dict.fromkeys([name, f"{provider}_results"], "COMPLETE")


@each_provider
def test_typed_tables_add_requests_to_discover_alone(served_sandbox: ServedSandbox, provider: str) -> None:
    settings, name, *_ = ACCOUNTS[provider](served_sandbox[0])
    untyped_connection = Connection(*served_sandbox, settings)
    connection = connect(served_sandbox, settings)
    plain = untyped_connection.source.discover(log, untyped_connection.settings).streams
    catalog = connection.catalog()

    assert (
        count_requests(untyped_connection, lambda: untyped_connection.source.discover(log, untyped_connection.settings))
        == {}
    )
    assert [
        configured_stream.stream
        for configured_stream in catalog.streams
        if "x-docextract" not in configured_stream.stream.json_schema
    ] == plain
    assert name in {configured_stream.stream.name for configured_stream in catalog.streams}
    first = connection.sync(catalog=catalog)
    assert first.requests == untyped_connection.sync(catalog=untyped_connection.catalog()).requests
    assert name in first.counts
    assert (
        connection.sync(catalog=catalog).requests
        == untyped_connection.sync(catalog=untyped_connection.catalog()).requests
    )


@each_provider
def test_typed_table_full_refresh_emits_all_rows_again(served_sandbox: ServedSandbox, provider: str) -> None:
    settings, name, _, rows = ACCOUNTS[provider](served_sandbox[0])
    connection = connect(served_sandbox, settings)
    connection.sync(name)

    assert connection.sync(name, full_refresh=True).counts == {name: len(rows)}


def test_classification_has_no_typed_tables(served_sandbox: ServedSandbox) -> None:
    sandbox, _ = served_sandbox
    template = sandbox.classification.create("Mail", [DocumentType("Invoice")])
    batch = sandbox.classification.upload(
        template, [NewFile("a.pdf", 0, {"documentType": "invoice", "confidence": 0.9})]
    )
    settings = {"classification_ids": [template], "classification_batches": [f"{template}/{batch}"]}
    connection = connect(served_sandbox, {"extracta": settings})

    assert get_typed_schemas(connection) == {}
    assert connection.sync().counts["extracta_classification_results"] == 1


def test_discover_finds_templates_by_batches_references_and_registry(
    served_sandbox: ServedSandbox, tmp_path: Path
) -> None:
    sandbox, _ = served_sandbox
    referenced_template, explicit_template, registered, unrelated = (
        sandbox.extracta.create(name, ["a"]) for name in ("Li", "Na", "Re", "Un")
    )
    batch = sandbox.extracta.upload(explicit_template, [NewFile("a.pdf", 0, {"a": "1"})])
    mail = sandbox.classification.create(
        "Mail", [DocumentType("Invoice", extraction_id=referenced_template), DocumentType("Letter")]
    )
    (tmp_path / "batches.csv").write_text(f"provider,template_id,batch_id\nextracta,{registered},b\n", encoding="utf-8")
    section: dict[str, Any] = {"extraction_batches": [f"{explicit_template}/{batch}"], "classification_ids": [mail]}
    settings = {"extracta": section, "batch_registry": {"url": str(tmp_path / "batches.csv")}}

    assert set(get_typed_schemas(connect(served_sandbox, settings))) == {"extracta_li", "extracta_na", "extracta_re"}
    section["follow_links"] = False
    assert set(get_typed_schemas(connect(served_sandbox, settings))) == {"extracta_na", "extracta_re"}
    assert unrelated


def test_typed_table_new_field_has_a_column_after_the_next_discover(served_sandbox: ServedSandbox) -> None:
    sandbox, _ = served_sandbox
    template = sandbox.extracta.create("Invoices", ["vendor"])
    sandbox.extracta.upload(template, [NewFile("a.pdf", 0, {"vendor": "A"})])
    connection = connect(served_sandbox, {"extracta": {"extraction_ids": [template]}})
    old_catalog = build_catalog(connection, "extracta_invoices")
    connection.sync(catalog=old_catalog)

    sandbox.extracta.update(template, {"fields": [make_field("vendor", "string"), make_field("Due date", "string")]})
    sandbox.extracta.upload(template, [NewFile("b.pdf", 0, {"vendor": "B", "Due date": "1/2"})])

    row = single(connection.sync(catalog=old_catalog).records["extracta_invoices"])
    assert drop_common_columns(row) == {"vendor": "B", "type_errors": None}
    sandbox.extracta.upload(template, [NewFile("c.pdf", 0, {"vendor": "C", "Due date": "3/4"})])
    row = single(connection.sync("extracta_invoices").records["extracta_invoices"])
    assert drop_common_columns(row) == {"vendor": "C", "due_date": "3/4", "type_errors": None}


def add_docmap_documents(sandbox: Sandbox, count: int, days: int, data: dict[str, Any]) -> Settings:
    template = sandbox.docmap.put_template("Invoices", [make_field("vendor", "string")], "invoices")
    for number in range(count):
        created_at = sandbox.clock.now() - timedelta(days=days, minutes=number)
        sandbox.docmap.add_extractions(template, [NewExtraction("a.pdf", 0, data)], created_at=created_at)
    return {"docmap": {"template_ids": [template]}}


def add_sensible_documents(sandbox: Sandbox, count: int, days: int, data: dict[str, Any]) -> Settings:
    if not sandbox.sensible.document_types:
        sandbox.sensible.add_document_type("invoices")
    fields = {name: value and wrap_sensible(value) for name, value in {"seldom": None, **data}.items()}
    created_at = sandbox.clock.now() - timedelta(days=days)
    sandbox.sensible.extract([SensibleDocument("a.pdf", 0, fields)] * count, "invoices", created_at=created_at)
    return {"sensible": {}}


def add_atlas_documents(sandbox: Sandbox, count: int, days: int, data: dict[str, Any]) -> Settings:
    fields = {name: wrap_atlas(value) for name, value in data.items()}
    for number in range((count + 3) // 4):
        sandbox.atlas.submit(
            [NewDocument("a", 0, {"document_type": "INVOICES", **fields})],
            submitted_at=sandbox.clock.now() - timedelta(days=days, minutes=number),
        )
    return {"atlas": {"batch_ids": sandbox.atlas.batch_ids}}


@pytest.mark.parametrize("add_documents", [add_docmap_documents, add_sensible_documents, add_atlas_documents])
def test_typed_table_field_that_no_recent_document_has_keeps_its_column(
    served_sandbox: ServedSandbox, add_documents: Callable[[Sandbox, int, int, dict[str, Any]], Settings]
) -> None:
    sandbox, _ = served_sandbox
    settings = add_documents(sandbox, 2, 1, {"vendor": "A", "seldom": "x"})
    [provider] = settings
    table = f"{provider}_invoices"
    old_catalog = build_catalog(connect(served_sandbox, settings), table)
    sandbox.clock.advance(days=100)
    settings = add_documents(sandbox, 110, 1, {"vendor": "B"})
    connection = connect(served_sandbox, settings)

    new_catalog = build_catalog(connection, table)

    [old_stream], [new_stream] = old_catalog.streams, new_catalog.streams
    assert new_stream.stream.json_schema["properties"].keys() == old_stream.stream.json_schema["properties"].keys()
    connection.sync(catalog=old_catalog)
    connection.settings.update(connect(served_sandbox, add_documents(sandbox, 1, 0, {"seldom": "y"})).settings)
    for catalog in (new_catalog, old_catalog):
        by_catalog = Connection(*served_sandbox, connection.settings)
        rows = by_catalog.sync(catalog=catalog).records[table]
        assert {row["seldom"] for row in rows} == {None, "x", "y"}


@pytest.mark.parametrize("mode", ["ignored", "refused", "first"])
def test_typed_table_has_its_columns_where_sensible_does_not_filter_by_status(mode: str) -> None:
    with frozen_sandbox(sensible_status_filter=mode) as served_sandbox:
        settings = add_sensible_documents(served_sandbox[0], 1, 1, {"vendor": "A"})
        served_sandbox[0].sensible.extract([SensibleDocument("b.pdf", 9e9)], "invoices")

        schemas = get_typed_schemas(connect(served_sandbox, settings))

        assert get_column_types(schemas["sensible_invoices"]) == {"vendor": "string"}


def test_typed_table_field_that_a_later_discover_does_not_find_is_filled_by_the_old_catalog(
    served_sandbox: ServedSandbox,
) -> None:
    # The only document with the field is gone before the second discovery, which has no memory of the first one.
    sandbox, _ = served_sandbox
    settings = add_docmap_documents(sandbox, 1, 1, {"seldom": "x"})
    connection = connect(served_sandbox, settings)
    old_catalog = build_catalog(connection, "docmap_invoices")
    connection.sync(catalog=old_catalog)
    sandbox.docmap.delete(sandbox.docmap.extraction_ids[0])
    add_docmap_documents(sandbox, 1, 0, {"vendor": "B"})

    new_catalog = build_catalog(connection, "docmap_invoices")

    assert "seldom" not in single(new_catalog.streams).stream.json_schema["properties"]
    connection.sync(catalog=new_catalog)
    add_docmap_documents(sandbox, 1, 0, {"vendor": "C", "seldom": "y"})
    row = single(connection.sync(catalog=old_catalog).records["docmap_invoices"])
    assert drop_common_columns(row) == {"vendor": "C", "seldom": "y", "type_errors": None}


def test_typed_row_is_emitted_again_after_an_edit_but_not_a_review(served_sandbox: ServedSandbox) -> None:
    sandbox, _ = served_sandbox
    sandbox.sensible.add_document_type("claims")
    documents = [SensibleDocument(name, 0, {"n": wrap_sensible(name)}, review="NEEDS_REVIEW") for name in "ab"]
    first, second = sandbox.sensible.extract(documents, "claims")
    connection = connect(served_sandbox, {"sensible": {}})
    catalog = build_catalog(connection, "sensible_claims", "sensible_results")
    assert connection.sync(catalog=catalog).counts == {"sensible_claims": 2, "sensible_results": 2}

    sandbox.sensible.review(first, "APPROVED")
    sandbox.sensible.review(second, "APPROVED", {"n": wrap_sensible("c")})

    synced = connection.sync(catalog=catalog)
    assert synced.counts == {"sensible_claims": 1, "sensible_results": 2}
    assert drop_common_columns(single(synced.records["sensible_claims"])) == {"n": "c", "type_errors": None}


def test_typed_table_portfolio_document_is_in_the_table_of_its_type(served_sandbox: ServedSandbox) -> None:
    sandbox, _ = served_sandbox
    for name in ("w2", "1099"):
        sandbox.sensible.add_document_type(name)
    sandbox.sensible.extract([SensibleDocument("a", 0, portfolio=["w2", "1099", "w2"])], "w2")
    connection = connect(served_sandbox, {"sensible": {}})

    synced = connection.sync("sensible_w2", "sensible_1099")

    assert synced.counts == {"sensible_w2": 2, "sensible_1099": 1}
    ids = synced.ids("sensible_w2")
    assert [result_id.removeprefix(ids[0]) for result_id in (*ids, *synced.ids("sensible_1099"))] == ["", "#2", "#1"]


def test_typed_table_selected_alone_requests_only_its_batches(served_sandbox: ServedSandbox) -> None:
    sandbox, _ = served_sandbox
    templates = [sandbox.extracta.create(name, ["a"]) for name in ("One", "Two")]
    for template in templates:
        for _ in range(3):
            sandbox.extracta.upload(template, [NewFile("a.pdf", 0, {"a": "1"})])
    connection = connect(served_sandbox, {"extracta": {"extraction_ids": templates}})
    single_catalog, both_catalog = (
        build_catalog(connection, "extracta_one"),
        build_catalog(connection, "extracta_one", "extracta_two"),
    )

    first, second_sync = connection.sync(catalog=single_catalog), connection.sync(catalog=both_catalog)

    assert first.requests == {"extracta.viewExtraction": 1, "extracta.getBatchResults": 3}
    assert first.counts == {"extracta_one": 3}
    assert second_sync.requests == {"extracta.viewExtraction": 2, "extracta.getBatchResults": 3}
    assert second_sync.counts == {"extracta_two": 3}
    assert templates[1] not in str(connection.get_state_json("extracta_one"))


def test_typed_table_selected_alone_requests_only_its_documents(served_sandbox: ServedSandbox) -> None:
    sandbox, _ = served_sandbox
    for name in ("claims", "contracts"):
        sandbox.sensible.add_document_type(name)
        sandbox.sensible.extract(
            [SensibleDocument(f"{number}", 0, {"n": wrap_sensible("1")}) for number in range(3)], name
        )
    sandbox.sensible.extract([SensibleDocument("both", 0, portfolio=["contracts", "claims"])], "claims")
    connection = connect(served_sandbox, {"sensible": {}})
    catalog = build_catalog(connection, "sensible_claims")

    synced = connection.sync(catalog=catalog)

    assert synced.requests["sensible.document"] == 4
    assert synced.counts == {"sensible_claims": 4}


def test_references_are_followed_only_to_templates_of_selected_tables(served_sandbox: ServedSandbox) -> None:
    sandbox, _ = served_sandbox
    targets = [sandbox.extracta.create(name, ["a"]) for name in ("One", "Two")]
    types_ = [DocumentType(name, extraction_id=target) for name, target in zip(("in", "out"), targets, strict=True)]
    mail = sandbox.classification.create("Mail", types_)
    files = [NewFile(f"{name}.pdf", 0, {"documentType": name, "confidence": 1}) for name in ("in", "out", "in")]
    batch = sandbox.classification.upload(mail, files, started_at=OLD_TIME)
    sandbox.extracta.finish()
    connection = connect(served_sandbox, {"extracta": {"classification_batches": [f"{mail}/{batch}"]}})
    catalog = build_catalog(connection, "extracta_one")

    synced = connection.sync(catalog=catalog)

    # No setting names the template: the classification template says that it is linked.
    assert synced.requests == {
        "extracta.viewClassification": 1,
        "extracta.getResults": 1,
        "extracta.getBatchResults": 1,
    }
    assert synced.counts == {"extracta_one": 2}


def test_typed_table_explicit_run_or_batch_emits_only_its_rows(served_sandbox: ServedSandbox, tmp_path: Path) -> None:
    sandbox, _ = served_sandbox
    for name in ("One", "Two"):
        template = sandbox.docmap.put_template(name)
        sandbox.docmap.add_extractions(
            template, [NewExtraction(f"{name}.pdf", 0, {"a": 1})], "run", created_at=OLD_TIME
        )
        sandbox.sensible.add_document_type(name)
    documents = [
        SensibleDocument("a", 0, portfolio=["One", "Two"]),
        SensibleDocument("b", 0, {"a": wrap_sensible(1, "number")}),
    ]
    batch = sandbox.sensible.add_batch(documents, "Two", created_at=OLD_TIME)
    for number in range(2):
        sandbox.sensible.upload(batch, number)
    (tmp_path / "batches.csv").write_text(f"provider,batch_id\ndocmap,run\nsensible,{batch}\n", encoding="utf-8")
    settings = {"docmap": {}, "sensible": {}, "batch_registry": {"url": str(tmp_path / "batches.csv")}}
    connection = connect(served_sandbox, settings, start_date="2026-11-20T00:00:00Z")

    synced = connection.sync("docmap_one", "sensible_one")

    assert synced.counts == {"docmap_one": 1, "sensible_one": 1}
    assert connection.sync("docmap_one", "sensible_one").counts == {}
    assert connection.sync("docmap_two", "sensible_two").counts == {"docmap_two": 1, "sensible_two": 2}


def test_typed_table_failed_template_leaves_the_other_complete(served_sandbox: ServedSandbox) -> None:
    sandbox, _ = served_sandbox
    good, bad = (sandbox.extracta.create(name, ["a"]) for name in ("Good", "Bad"))
    sandbox.extracta.upload(good, [NewFile("a.pdf", 0, {"a": "1"})])
    batch = sandbox.extracta.upload(bad, [NewFile("a.pdf", 0, {"a": "1"})])
    connection = connect(served_sandbox, {"extracta": {"extraction_ids": [good, bad]}})
    catalog = build_catalog(connection, "extracta_good", "extracta_bad")

    with sandbox.faults.apply_only(Fault("status", "extracta.getBatchResults", about=batch, status=503)):
        broken = connection.sync(catalog=catalog)

    assert broken.final_statuses == {"extracta_good": "COMPLETE", "extracta_bad": "INCOMPLETE"}
    assert broken.counts == {"extracta_good": 1}
    assert connection.sync(catalog=catalog).counts == {"extracta_bad": 1}


def test_table_names_are_applied_and_an_unmatched_entry_is_reported(
    served_sandbox: ServedSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    settings, *_ = add_docmap(served_sandbox[0])
    names = ["docmap/注文書=orders", "docmap/48291=bills", "atlas/PAN=pan"]
    connection = connect(served_sandbox, settings, table_names=names)

    assert set(get_typed_schemas(connection)) == {"orders"}
    assert connection.sync("orders").counts == {"orders": 2}
    assert set(list_warnings(caplog)) == {
        f"table_names contains {entry}, but there is no such template or document type. Correct or remove the entry."
        for entry in ("docmap/48291=bills", "atlas/PAN=pan")
    }


def test_table_name_for_two_templates_is_an_error_with_a_remedy(served_sandbox: ServedSandbox) -> None:
    templates = [served_sandbox[0].extracta.create("Invoices", ["a"]) for _ in range(2)]
    connection = connect(
        served_sandbox, {"extracta": {"extraction_ids": templates}}, table_names=["extracta/Invoices=bills"]
    )

    with pytest.raises(AirbyteTracedException) as trouble:
        connection.source.discover(log, connection.settings)

    assert trouble.value.message == (
        "table_names gives one name to 2 templates named 'Invoices'; name them by their ids."
    )
    connection.settings["table_names"] = [f"extracta/{templates[0]}=bills"]
    assert set(get_typed_schemas(connection)) == {"bills", "extracta_invoices"}


def test_table_name_moved_to_another_template_is_read_from_the_start(
    served_sandbox: ServedSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox, _ = served_sandbox
    templates = [sandbox.docmap.put_template(name) for name in ("One", "Two")]
    for template in templates:
        sandbox.docmap.add_extractions(template, [NewExtraction("a.pdf", 0, {"a": template})], created_at=OLD_TIME)
    connection = connect(served_sandbox, {"docmap": {}}, table_names=["docmap/One=mine"])
    assert [row["a"] for row in connection.sync("mine").records["mine"]] == templates[:1]

    connection.settings["table_names"] = ["docmap/Two=mine"]

    assert [row["a"] for row in connection.sync("mine").records["mine"]] == templates[1:]
    assert connection.sync("mine").counts == {}
    assert single(list_warnings(caplog)).startswith(
        "The stream mine belongs to another template or document type than before."
    )


def get_kept_catalog(connection: Connection, *streams: str) -> ConfiguredAirbyteCatalog:
    """Return a copy of the catalog through JSON, as Airbyte keeps it."""
    document = ConfiguredAirbyteCatalogSerializer.dump(build_catalog(connection, *streams))
    return ConfiguredAirbyteCatalogSerializer.load(json.loads(json.dumps(document)))


def add_two_templates(sandbox: Sandbox) -> tuple[str, str]:
    """Add two templates with one name and the same fields, each with a document."""
    first, second = (sandbox.extracta.create("Invoices", ["total"]) for _ in range(2))
    for template in (first, second):
        sandbox.extracta.upload(template, [NewFile("a.pdf", 0, {"total": template})])
    return first, second


class TestDeselectedTemplate:
    def test_extracta_setting_names_another_template_is_incomplete(
        self, served_sandbox: ServedSandbox, caplog: pytest.LogCaptureFixture
    ) -> None:
        first, second = add_two_templates(served_sandbox[0])
        connection = connect(served_sandbox, {"extracta": {"extraction_ids": [first]}})
        catalog = get_kept_catalog(connection, "extracta_invoices", "extracta_results")
        assert connection.sync(catalog=catalog).counts["extracta_invoices"] == 1

        connection.settings["extracta"]["extraction_ids"] = [second]
        synced = connection.sync(catalog=catalog)

        sentence = (
            f"The settings no longer name {first}, the template or document type of the stream extracta_invoices. "
            "Refresh the connection's schema, or name it in extracta.extraction_ids again."
        )
        assert synced.final_statuses == {"extracta_invoices": "INCOMPLETE", "extracta_results": "COMPLETE"}
        assert synced.counts == {"extracta_results": 1}
        assert list_warnings(caplog) == [sentence]
        assert synced.error
        assert str(synced.error.message).endswith(sentence)
        assert [row["total"] for row in connection.sync("extracta_invoices").records["extracta_invoices"]] == [second]

    def test_docmap_and_sensible_settings_name_another_are_incomplete(self, served_sandbox: ServedSandbox) -> None:
        sandbox, _ = served_sandbox
        templates = [sandbox.docmap.put_template(name) for name in ("One", "Two")]
        for template, name in zip(templates, ("claims", "contracts"), strict=True):
            sandbox.docmap.add_extractions(template, [NewExtraction("a.pdf", 0, {"a": 1})])
            sandbox.sensible.add_document_type(name)
            sandbox.sensible.extract([SensibleDocument("a", 0, {"n": wrap_sensible("1")})], name)
        original = {"docmap": {"template_ids": templates[:1]}, "sensible": {"document_types": ["claims"]}}
        connection = connect(served_sandbox, original)
        catalog = get_kept_catalog(connection, "docmap_one", "sensible_claims")
        assert connection.sync(catalog=catalog).counts == {"docmap_one": 1, "sensible_claims": 1}

        connection.settings["docmap"]["template_ids"] = templates[1:]
        connection.settings["sensible"]["document_types"] = ["contracts"]
        synced = connection.sync(catalog=catalog)

        assert synced.final_statuses == {"docmap_one": "INCOMPLETE", "sensible_claims": "INCOMPLETE"}
        for message_text in ("in docmap.template_ids again", "in sensible.document_types again"):
            assert message_text in str(synced.error and synced.error.message)

    def test_template_referenced_by_classification_is_complete_without_rows(
        self, served_sandbox: ServedSandbox
    ) -> None:
        sandbox, _ = served_sandbox
        referenced_template = sandbox.extracta.create("Linked", ["a"])
        mail = sandbox.classification.create("Mail", [DocumentType("in", extraction_id=referenced_template)])
        settings = {"classification_ids": [mail]}
        connection = connect(served_sandbox, {"extracta": settings})
        catalog = get_kept_catalog(connection, "extracta_linked")

        assert connection.sync(catalog=catalog).final_statuses == {"extracta_linked": "COMPLETE"}
        connection.settings["extracta"]["follow_links"] = False
        connection.settings["extracta"]["extraction_ids"] = [sandbox.extracta.create("Other", ["a"])]
        assert connection.sync(catalog=catalog).final_statuses == {"extracta_linked": "INCOMPLETE"}

    def test_failed_reference_requests_leave_the_table_incomplete(self, served_sandbox: ServedSandbox) -> None:
        sandbox, _ = served_sandbox
        referenced_template = sandbox.extracta.create("Linked", ["a"])
        mail = sandbox.classification.create("Mail", [DocumentType("in", extraction_id=referenced_template)])
        batch = sandbox.classification.upload(mail, [NewFile("a.pdf", 0, {"documentType": "in", "confidence": 1})])
        sandbox.extracta.finish()
        connection = connect(served_sandbox, {"extracta": {"classification_batches": [f"{mail}/{batch}"]}})
        catalog = get_kept_catalog(connection, "extracta_linked")

        with sandbox.faults.apply_only(Fault("status", "extracta.viewClassification", status=503)):
            synced = connection.sync(catalog=catalog)

        assert synced.final_statuses == {"extracta_linked": "INCOMPLETE"}
        assert synced.counts == {"extracta_linked": 1}
        assert connection.sync(catalog=catalog).final_statuses == {"extracta_linked": "COMPLETE"}

    def test_table_name_goes_to_another_template_is_incomplete(self, served_sandbox: ServedSandbox) -> None:
        sandbox, _ = served_sandbox
        templates = [sandbox.docmap.put_template(name) for name in ("One", "Two")]
        for template in templates:
            sandbox.docmap.add_extractions(template, [NewExtraction("a.pdf", 0, {"a": template})])
        connection = connect(served_sandbox, {"docmap": {}}, table_names=["docmap/One=mine"])
        catalog = get_kept_catalog(connection, "mine", "docmap_results")

        connection.settings["table_names"] = [f"docmap/{templates[0]}=mine"]
        assert connection.sync(catalog=catalog).counts["mine"] == 1
        connection.settings["table_names"] = ["docmap/Two=mine"]
        synced = connection.sync(catalog=catalog)

        assert synced.final_statuses == {"mine": "INCOMPLETE", "docmap_results": "COMPLETE"}
        assert (
            "The stream mine is a table of One in the connection's schema, and of Two in table_names. "
            "Refresh the connection's schema."
        ) in str(synced.error and synced.error.message)

    def test_another_template_changes_the_schema_of_the_id_column(self, served_sandbox: ServedSandbox) -> None:
        first, second = add_two_templates(served_sandbox[0])
        connection = connect(served_sandbox, {"extracta": {"extraction_ids": [first]}})
        original = get_typed_schemas(connection)["extracta_invoices"]["properties"]

        connection.settings["extracta"]["extraction_ids"] = [second]
        renamed = get_typed_schemas(connection)["extracta_invoices"]["properties"]

        assert [name for name in original if original[name] != renamed[name]] == ["id"]

    def test_renamed_template_keeps_the_schema(self, served_sandbox: ServedSandbox) -> None:
        sandbox, _ = served_sandbox
        template = sandbox.extracta.create("Invoices", ["total"])
        names = [f"extracta/{template}=mine"]
        connection = connect(served_sandbox, {"extracta": {"extraction_ids": [template]}}, table_names=names)
        original = get_typed_schemas(connection)["mine"]["properties"]

        sandbox.extracta.update(template, {"name": "Bills"})

        assert get_typed_schemas(connection)["mine"]["properties"] == original


class TestOutdatedSchema:
    def test_column_without_its_field_name_is_an_error(
        self, served_sandbox: ServedSandbox, caplog: pytest.LogCaptureFixture
    ) -> None:
        settings, name, *_ = add_docmap(served_sandbox[0])
        connection = connect(served_sandbox, settings)
        catalog = get_kept_catalog(connection, name, "docmap_results")
        [stream] = [
            configured_stream.stream for configured_stream in catalog.streams if configured_stream.stream.name == name
        ]
        del stream.json_schema["properties"]["heji"]["x-docextract"]

        synced = connection.sync(catalog=catalog)

        sentence = (
            f"The schema of the stream {name} differs from the discovered schema (it does not name the field of heji). "
            "Refresh the connection's schema."
        )
        assert synced.final_statuses == {name: "INCOMPLETE", "docmap_results": "COMPLETE"}
        assert name not in synced.counts
        assert list_warnings(caplog) == [sentence]
        assert synced.error
        assert str(synced.error.message).endswith(sentence)

    def test_schema_of_an_earlier_version_delivers_all_rows(self, served_sandbox: ServedSandbox) -> None:
        settings, name, _, rows = add_docmap(served_sandbox[0])
        connection = connect(served_sandbox, settings)
        catalog = get_kept_catalog(connection, name)
        schema = catalog.streams[0].stream.json_schema
        del schema["x-docextract"]["name"]
        del schema["properties"]["id"]["x-docextract"]
        for column in ("batch_id", "template_name", "created_at"):
            del schema["properties"][column]

        synced = connection.sync(catalog=catalog)

        assert synced.final_statuses == {name: "COMPLETE"}
        assert len(synced.records[name]) == len(rows)

    def test_old_column_with_a_now_reserved_name_keeps_its_field(self, served_sandbox: ServedSandbox) -> None:
        sandbox, _ = served_sandbox
        template = sandbox.docmap.put_template(
            "Notes", [make_field("batch_id", "string"), make_field("xmin", "number")]
        )
        sandbox.docmap.add_extractions(template, [NewExtraction("a.pdf", 0, {"batch_id": "B-7", "xmin": 1})], "run")
        connection = connect(served_sandbox, {"docmap": {}})
        catalog = get_kept_catalog(connection, "docmap_notes")
        columns = catalog.streams[0].stream.json_schema["properties"]
        for column in ("batch_id", "xmin"):
            columns[column] = columns.pop(f"field_{column}")

        row = single(connection.sync(catalog=catalog).records["docmap_notes"])

        assert (row["batch_id"], row["xmin"]) == ("B-7", 1)


def test_typed_stream_with_typed_tables_disabled_is_incomplete(served_sandbox: ServedSandbox) -> None:
    settings, name, *_ = add_docmap(served_sandbox[0])
    connection = connect(served_sandbox, settings)
    catalog = build_catalog(connection, name, "docmap_results")
    connection.settings["typed_tables"] = False

    synced = connection.sync(catalog=catalog)

    assert synced.final_statuses == {name: "INCOMPLETE", "docmap_results": "COMPLETE"}
    assert synced.error
    assert f"The settings produce no stream {name}" in str(synced.error.message)


def test_typed_stream_without_discovered_schema_is_incomplete(served_sandbox: ServedSandbox) -> None:
    settings, name, *_ = add_docmap(served_sandbox[0])
    connection = connect(served_sandbox, settings)
    catalog = build_catalog(connection, name)
    catalog.streams[0].stream.json_schema = {"type": "object", "properties": {}}

    assert connection.sync(catalog=catalog).final_statuses == {name: "INCOMPLETE"}


class TestDiscover:
    def test_unknown_template_is_reported_and_left_out(
        self, served_sandbox: ServedSandbox, caplog: pytest.LogCaptureFixture
    ) -> None:
        sandbox, _ = served_sandbox
        known = sandbox.extracta.create("Known", ["a"])
        sandbox.sensible.add_document_type("claims")
        settings = {
            "extracta": {"extraction_ids": ["-unknown", known]},
            "docmap": {"template_ids": ["48291"]},
            "sensible": {"document_types": ["claims", "clams"]},
        }

        assert set(get_typed_schemas(connect(served_sandbox, settings))) == {"extracta_known", "sensible_claims"}
        first, *other_warnings = list_warnings(caplog)
        assert first.startswith("Extracta.ai does not know the template -unknown; it has no typed table. (")
        assert other_warnings == [
            "DocMap has no extraction of the template 48291 yet, so it has no typed table. "
            "Refresh the schema when it has one.",
            "Sensible has no document type 'clams'; it has no typed table.",
        ]

    @pytest.mark.parametrize("provider", ACCOUNTS)
    def test_unreachable_provider_fails_the_discovery(self, served_sandbox: ServedSandbox, provider: str) -> None:
        settings, *_ = ACCOUNTS[provider](served_sandbox[0])
        connection = connect(served_sandbox, settings)
        connection.settings[provider]["base_url"] = "http://127.0.0.1:9/nobody"

        with pytest.raises(AirbyteTracedException, match="could not be reached"):
            connection.source.discover(log, connection.settings)

    def test_atlas_has_documented_and_observed_types(self, served_sandbox: ServedSandbox) -> None:
        settings, *_ = add_atlas(served_sandbox[0])
        settings["atlas"]["batch_ids"].append("BATCH-00000-UNKNO-20260309081408")

        tables = get_typed_schemas(connect(served_sandbox, settings))

        assert set(tables) == {
            "atlas_aadhaar", "atlas_pan", "atlas_driving_license", "atlas_voter_id", "atlas_passport", "atlas_gst_cert",
            "atlas_udyam_cert",
        }  # fmt: skip
        assert get_column_types(tables["atlas_voter_id"]) == {
            name: kind
            for column in ("voter_id", "name", "date_of_birth", "gender")
            for name, kind in ((column, "string"), (f"{column}_confidence", "number"))
        }
        assert get_column_types(tables["atlas_aadhaar"])["formatted_address"] == "object"

    def test_sensible_columns_come_from_recent_available_documents(self, served_sandbox: ServedSandbox) -> None:
        sandbox, _ = served_sandbox
        sandbox.sensible.add_document_type("claims")
        old = {"old": wrap_sensible("x")}
        sandbox.sensible.extract([SensibleDocument("old", 0, old)], "claims", created_at=OLD_TIME)
        many = [
            SensibleDocument(f"{number}", 0, {"n": wrap_sensible(number, "number"), "null": None})
            for number in range(30)
        ]
        sandbox.sensible.extract(many, "claims", created_at=START - timedelta(days=1))
        gone = [SensibleDocument("gone", 0, old, is_purged=True), SensibleDocument("large", 0, old, is_too_large=True)]
        sandbox.sensible.extract(gone, "claims")
        sandbox.sensible.extract([SensibleDocument("waiting", 9e9)], "claims")
        connection = connect(served_sandbox, {"sensible": {}})

        assert get_column_types(get_typed_schemas(connection)["sensible_claims"]) == {"n": "number"}

    def test_docmap_rarely_used_template_is_found_with_few_requests(self, served_sandbox: ServedSandbox) -> None:
        sandbox, _ = served_sandbox
        frequent, seldom = (
            sandbox.docmap.put_template(name, [make_field(name, "number")]) for name in ("often", "seldom")
        )
        sandbox.docmap.add_extractions(
            seldom, [NewExtraction("a.pdf", 0, {"seldom": 1, "x": "y"})], created_at=OLD_TIME
        )
        sandbox.docmap.add_history(frequent, 1500, START - timedelta(days=100), 3600)
        connection = connect(served_sandbox, {"docmap": {}})

        requests = count_requests(connection, lambda: get_typed_schemas(connection))

        assert get_column_types(get_typed_schemas(connection)["docmap_seldom"]) == {"seldom": "number", "x": "string"}
        assert requests["docmap.extractions"] < 50
        connection.settings["docmap"]["template_ids"] = [seldom]
        assert count_requests(connection, lambda: get_typed_schemas(connection)) == {"docmap.extractions": 1}
        assert set(get_typed_schemas(connection)) == {"docmap_seldom"}

    def test_docmap_template_uses_its_newest_extractions(self, served_sandbox: ServedSandbox) -> None:
        sandbox, _ = served_sandbox
        template = sandbox.docmap.put_template("Before", [make_field("a", "number"), make_field("b", "string")])
        sandbox.docmap.add_extractions(template, [NewExtraction("a.pdf", 0, {"a": 1})], created_at=OLD_TIME)
        sandbox.docmap.put_template("Now", [make_field("a", "string")], template)
        sandbox.docmap.add_extractions(template, [NewExtraction("b.pdf", 9e9)])

        assert get_column_types(get_typed_schemas(connect(served_sandbox, {"docmap": {}}))["docmap_now"]) == {
            "a": "string",
            "b": "string",
        }
