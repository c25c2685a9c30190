"""Typed tables against the sandbox: what is discovered, what is read, and what is asked for."""

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
from harness import START, Connection, log, only

from sandbox import DocumentType, Fault, NewDocument, NewExtraction, NewFile, Sandbox, SensibleDocument

Served = tuple[Sandbox, str]
Settings = dict[str, Any]
COMMON = ("file_key", "batch_key", "batch_id", "template_name", "file_name", "confidence", "created_at")
"""Columns of a typed table that hold what the results stream holds."""
LONG_AGO = START - timedelta(days=200)


def field(name: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"key": name, "name": name, "type": kind, "description": "", **more}


def read(value: Any, kind: str = "string", **more: Any) -> dict[str, Any]:
    """As Sensible wraps a value."""
    return {"value": value, "type": kind, **more}


def sure(value: Any, confidence: float = 0.9) -> dict[str, Any]:
    """As Atlas wraps a value."""
    return {"value": value, "confidence_score": confidence}


def connected(served: Served, settings: Settings, **more: Any) -> Connection:
    return Connection(*served, {**settings, "typed_tables": True, **more})


def typed(connection: Connection) -> dict[str, dict[str, Any]]:
    """The schemas of the typed tables, by their names."""
    found = connection.source.discover(log, connection.settings).streams
    return {stream.name: stream.json_schema for stream in found if "x-docextract" in stream.json_schema}


def types(schema: dict[str, Any]) -> dict[str, str]:
    """Of the columns that are not those of all typed tables."""
    return {
        name: told["type"][1] for name, told in schema["properties"].items() if "field" in told.get("x-docextract", {})
    }


def own(record: dict[str, Any]) -> dict[str, Any]:
    common = {*COMMON, "id", "observed_at"}
    return {name: value for name, value in record.items() if name not in common}


def asked(connection: Connection, what: Callable[[], Any]) -> dict[str, int]:
    connection.sandbox.journal.clear()
    what()
    return connection.sandbox.journal.counts()


def some(connection: Connection, *streams: str) -> ConfiguredAirbyteCatalog:
    catalog = connection.catalog(*streams)
    assert {one.stream.name for one in catalog.streams} == set(streams)
    return catalog


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]


def extracta(sandbox: Sandbox) -> tuple[Settings, str, dict[str, str], list[dict[str, Any]]]:
    """Settings, the table, the types of its columns, and its rows."""
    lines = field("lines", "array", items={"type": "object", "properties": [field("n", "string")]})
    fields = ["vendor", field("total", "string"), field("to", "object", properties=[field("city", "string")]), lines]
    template = sandbox.extracta.create("Supplier invoices", fields)
    full = {"vendor": "Acme", "total": "12.50", "to": {"city": "Kochi"}, "lines": [{"n": "1"}], "more": "x"}
    odd = {"vendor": "", "total": 12.5, "to": "Kochi"}
    sandbox.extracta.upload(
        template, [NewFile("a.pdf", 0, full), NewFile("b.pdf", 0, odd), NewFile("c.pdf", 0, error="No")]
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


def docmap(sandbox: Sandbox) -> tuple[Settings, str, dict[str, str], list[dict[str, Any]]]:
    variables = [field("合計", "number"), field("is paid", "boolean"), field("id", "string"), field("when", "colour")]
    template = sandbox.docmap.template("注文書", variables)
    full = {"合計": 12.5, "is paid": False, "id": "A-1", "notes": [1, "2"], "when": "2026-01-01"}
    odd = {"合計": "12", "is paid": None, "notes": ["x"], "seldom": {"a": 1}}
    files = [NewExtraction("a.pdf", 0, full), NewExtraction("b.pdf", 0, odd), NewExtraction("c.pdf", 9e9)]
    sandbox.docmap.run(template, files, "run")
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


def sensible(sandbox: Sandbox) -> tuple[Settings, str, dict[str, str], list[dict[str, Any]]]:
    sandbox.sensible.document_type("tax_forms")
    signal = {"unit": "$", "confidenceSignal": "confident_answer"}
    full = {
        "filing.wages": read(80500, "currency", **signal),
        "phones": [read("+1555"), None],
        "losses": {"columns": [{"id": "paid", "values": [read(1.5, "currency", unit="$"), None]}]},
        "never": None,
        "year": read(2025, "number"),
    }
    odd = {"filing.wages": None, "phones": read("+1555"), "losses": None, "year": read("2025", "date-YYYY")}
    documents = [SensibleDocument("a", 0, full), SensibleDocument("b", 0, odd), SensibleDocument("c", 0, full)]
    sandbox.sensible.extract(documents, "tax_forms")
    told = {
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
        [told, {**dict.fromkeys(told), "type_errors": ["phones", "year"]}, told],
    )  # fmt: skip


def atlas(sandbox: Sandbox) -> tuple[Settings, str, dict[str, str], list[dict[str, Any]]]:
    sent = {"document_type": "UDYAM_CERT", "name": sure("Asha"), "address": sure({"city": "Kochi"}, 0.5), "bare": 1}
    odd = {"document_type": "UDYAM_CERT", "name": sure(12), "bare": None}
    documents = [NewDocument("1", 0, sent), NewDocument("2", 0, odd), NewDocument("3", 0, {"document_type": "PAN"})]
    batch = sandbox.atlas.submit([*documents, NewDocument("4", 0, sent)])
    told = {
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
        [told, {**dict.fromkeys(told), "name_confidence": 0.9, "type_errors": ["name"]}, told],
    )  # fmt: skip


ACCOUNTS = {account.__name__: account for account in (extracta, docmap, sensible, atlas)}
each_provider = pytest.mark.parametrize("provider", ACCOUNTS)


@each_provider
def test_a_template_has_a_table_with_a_typed_column_for_each_field(served: Served, provider: str) -> None:
    settings, name, columns, rows = ACCOUNTS[provider](served[0])
    connection = connected(served, settings)

    assert types(typed(connection)[name]) == columns
    catalog = some(connection, name, f"{provider}_results")
    first = connection.sync(catalog=catalog)

    found = sorted(first.records[name], key=lambda record: record["id"])
    results = {record["id"]: record for record in first.records[f"{provider}_results"]}
    by_id = {record["id"]: own(record) for record in found}
    assert sorted(by_id.values(), key=str) == sorted(rows, key=str)
    for record in found:
        assert [record[column] for column in COMMON] == [results[record["id"]][column] for column in COMMON]

    second = connection.sync(catalog=catalog)
    assert second.counts == {}
    assert sorted(second.states) == sorted([name, f"{provider}_results"])
    assert second.ends == dict.fromkeys([name, f"{provider}_results"], "COMPLETE")


@each_provider
def test_typed_tables_add_requests_to_discover_alone(served: Served, provider: str) -> None:
    settings, name, *_ = ACCOUNTS[provider](served[0])
    without = Connection(*served, settings)
    connection = connected(served, settings)
    plain = without.source.discover(log, without.settings).streams
    catalog = connection.catalog()

    assert asked(without, lambda: without.source.discover(log, without.settings)) == {}
    assert [one.stream for one in catalog.streams if "x-docextract" not in one.stream.json_schema] == plain
    assert name in {one.stream.name for one in catalog.streams}
    first = connection.sync(catalog=catalog)
    assert first.requests == without.sync(catalog=without.catalog()).requests
    assert name in first.counts
    assert connection.sync(catalog=catalog).requests == without.sync(catalog=without.catalog()).requests


@each_provider
def test_a_full_refresh_has_all_rows_again(served: Served, provider: str) -> None:
    settings, name, _, rows = ACCOUNTS[provider](served[0])
    connection = connected(served, settings)
    connection.sync(name)

    assert connection.sync(name, full_refresh=True).counts == {name: len(rows)}


def test_classification_has_no_typed_tables(served: Served) -> None:
    sandbox, _ = served
    template = sandbox.classification.create("Mail", [DocumentType("Invoice")])
    batch = sandbox.classification.upload(
        template, [NewFile("a.pdf", 0, {"documentType": "invoice", "confidence": 0.9})]
    )
    settings = {"classification_ids": [template], "classification_batches": [f"{template}/{batch}"]}
    connection = connected(served, {"extracta": settings})

    assert typed(connection) == {}
    assert connection.sync().counts["extracta_classification_results"] == 1


def test_templates_are_known_by_batches_links_and_the_registry_too(served: Served, tmp_path: Path) -> None:
    sandbox, _ = served
    linked, named, registered, unrelated = (sandbox.extracta.create(name, ["a"]) for name in ("Li", "Na", "Re", "Un"))
    batch = sandbox.extracta.upload(named, [NewFile("a.pdf", 0, {"a": "1"})])
    mail = sandbox.classification.create(
        "Mail", [DocumentType("Invoice", extraction_id=linked), DocumentType("Letter")]
    )
    (tmp_path / "batches.csv").write_text(f"provider,template_id,batch_id\nextracta,{registered},b\n", encoding="utf-8")
    section = {"extraction_batches": [f"{named}/{batch}"], "classification_ids": [mail]}
    settings = {"extracta": section, "batch_registry": {"url": str(tmp_path / "batches.csv")}}

    assert set(typed(connected(served, settings))) == {"extracta_li", "extracta_na", "extracta_re"}
    section["follow_links"] = False
    assert set(typed(connected(served, settings))) == {"extracta_na", "extracta_re"}
    assert unrelated


def test_a_field_that_appears_later_has_a_column_from_the_next_discover_on(served: Served) -> None:
    sandbox, _ = served
    template = sandbox.extracta.create("Invoices", ["vendor"])
    sandbox.extracta.upload(template, [NewFile("a.pdf", 0, {"vendor": "A"})])
    connection = connected(served, {"extracta": {"extraction_ids": [template]}})
    before = some(connection, "extracta_invoices")
    connection.sync(catalog=before)

    sandbox.extracta.update(template, {"fields": [field("vendor", "string"), field("Due date", "string")]})
    sandbox.extracta.upload(template, [NewFile("b.pdf", 0, {"vendor": "B", "Due date": "1/2"})])

    row = only(connection.sync(catalog=before).records["extracta_invoices"])
    assert own(row) == {"vendor": "B", "type_errors": None}
    sandbox.extracta.upload(template, [NewFile("c.pdf", 0, {"vendor": "C", "Due date": "3/4"})])
    row = only(connection.sync("extracta_invoices").records["extracta_invoices"])
    assert own(row) == {"vendor": "C", "due_date": "3/4", "type_errors": None}


def test_an_edit_comes_again_and_a_decision_that_changes_no_value_does_not(served: Served) -> None:
    sandbox, _ = served
    sandbox.sensible.document_type("claims")
    documents = [SensibleDocument(name, 0, {"n": read(name)}, review="NEEDS_REVIEW") for name in "ab"]
    first, second = sandbox.sensible.extract(documents, "claims")
    connection = connected(served, {"sensible": {}})
    catalog = some(connection, "sensible_claims", "sensible_results")
    assert connection.sync(catalog=catalog).counts == {"sensible_claims": 2, "sensible_results": 2}

    sandbox.sensible.review(first, "APPROVED")
    sandbox.sensible.review(second, "APPROVED", {"n": read("c")})

    synced = connection.sync(catalog=catalog)
    assert synced.counts == {"sensible_claims": 1, "sensible_results": 2}
    assert own(only(synced.records["sensible_claims"])) == {"n": "c", "type_errors": None}


def test_each_document_of_a_portfolio_stands_in_the_table_of_its_type(served: Served) -> None:
    sandbox, _ = served
    for name in ("w2", "1099"):
        sandbox.sensible.document_type(name)
    sandbox.sensible.extract([SensibleDocument("a", 0, portfolio=["w2", "1099", "w2"])], "w2")
    connection = connected(served, {"sensible": {}})

    synced = connection.sync("sensible_w2", "sensible_1099")

    assert synced.counts == {"sensible_w2": 2, "sensible_1099": 1}
    ids = synced.ids("sensible_w2")
    assert [one.removeprefix(ids[0]) for one in (*ids, *synced.ids("sensible_1099"))] == ["", "#2", "#1"]


def test_a_table_alone_asks_for_its_own_batches_alone(served: Served) -> None:
    sandbox, _ = served
    templates = [sandbox.extracta.create(name, ["a"]) for name in ("One", "Two")]
    for template in templates:
        for _ in range(3):
            sandbox.extracta.upload(template, [NewFile("a.pdf", 0, {"a": "1"})])
    connection = connected(served, {"extracta": {"extraction_ids": templates}})
    one, both = some(connection, "extracta_one"), some(connection, "extracta_one", "extracta_two")

    first, again = connection.sync(catalog=one), connection.sync(catalog=both)

    assert first.requests == {"extracta.viewExtraction": 1, "extracta.getBatchResults": 3}
    assert first.counts == {"extracta_one": 3}
    assert again.requests == {"extracta.viewExtraction": 2, "extracta.getBatchResults": 6}
    assert again.counts == {"extracta_two": 3}
    assert templates[1] not in str(connection.state_of("extracta_one"))


def test_a_table_alone_asks_for_its_own_documents_alone(served: Served) -> None:
    sandbox, _ = served
    for name in ("claims", "contracts"):
        sandbox.sensible.document_type(name)
        sandbox.sensible.extract([SensibleDocument(f"{n}", 0, {"n": read("1")}) for n in range(3)], name)
    sandbox.sensible.extract([SensibleDocument("both", 0, portfolio=["contracts", "claims"])], "claims")
    connection = connected(served, {"sensible": {}})
    catalog = some(connection, "sensible_claims")

    synced = connection.sync(catalog=catalog)

    assert synced.requests["sensible.document"] == 4
    assert synced.counts == {"sensible_claims": 4}


def test_links_lead_to_the_templates_of_the_tables_that_are_selected_alone(served: Served) -> None:
    sandbox, _ = served
    targets = [sandbox.extracta.create(name, ["a"]) for name in ("One", "Two")]
    types_ = [DocumentType(name, extraction_id=target) for name, target in zip(("in", "out"), targets, strict=True)]
    mail = sandbox.classification.create("Mail", types_)
    files = [NewFile(f"{name}.pdf", 0, {"documentType": name, "confidence": 1}) for name in ("in", "out", "in")]
    batch = sandbox.classification.upload(mail, files, started_at=LONG_AGO)
    sandbox.extracta.finish()
    connection = connected(served, {"extracta": {"classification_batches": [f"{mail}/{batch}"]}})
    catalog = some(connection, "extracta_one")

    synced = connection.sync(catalog=catalog)

    # No setting names the template: the classification template says that it is linked.
    assert synced.requests == {
        "extracta.viewClassification": 1,
        "extracta.getResults": 1,
        "extracta.getBatchResults": 1,
    }
    assert synced.counts == {"extracta_one": 2}


def test_a_run_or_batch_that_is_named_gives_a_table_what_is_its_own(served: Served, tmp_path: Path) -> None:
    sandbox, _ = served
    for name in ("One", "Two"):
        template = sandbox.docmap.template(name)
        sandbox.docmap.run(template, [NewExtraction(f"{name}.pdf", 0, {"a": 1})], "run", created_at=LONG_AGO)
        sandbox.sensible.document_type(name)
    documents = [SensibleDocument("a", 0, portfolio=["One", "Two"]), SensibleDocument("b", 0, {"a": read(1, "number")})]
    batch = sandbox.sensible.batch(documents, "Two", created_at=LONG_AGO)
    for n in range(2):
        sandbox.sensible.upload(batch, n)
    (tmp_path / "batches.csv").write_text(f"provider,batch_id\ndocmap,run\nsensible,{batch}\n", encoding="utf-8")
    settings = {"docmap": {}, "sensible": {}, "batch_registry": {"url": str(tmp_path / "batches.csv")}}
    connection = connected(served, settings, start_date="2026-11-20T00:00:00Z")

    synced = connection.sync("docmap_one", "sensible_one")

    assert synced.counts == {"docmap_one": 1, "sensible_one": 1}
    assert connection.sync("docmap_one", "sensible_one").counts == {}
    assert connection.sync("docmap_two", "sensible_two").counts == {"docmap_two": 1, "sensible_two": 2}


def test_what_fails_for_one_template_leaves_the_table_of_another_complete(served: Served) -> None:
    sandbox, _ = served
    good, bad = (sandbox.extracta.create(name, ["a"]) for name in ("Good", "Bad"))
    sandbox.extracta.upload(good, [NewFile("a.pdf", 0, {"a": "1"})])
    batch = sandbox.extracta.upload(bad, [NewFile("a.pdf", 0, {"a": "1"})])
    connection = connected(served, {"extracta": {"extraction_ids": [good, bad]}})
    catalog = some(connection, "extracta_good", "extracta_bad")

    with sandbox.faults.during(Fault("status", "extracta.getBatchResults", about=batch, status=503)):
        broken = connection.sync(catalog=catalog)

    assert broken.ends == {"extracta_good": "COMPLETE", "extracta_bad": "INCOMPLETE"}
    assert broken.counts == {"extracta_good": 1}
    assert connection.sync(catalog=catalog).counts == {"extracta_bad": 1}


def test_the_user_names_tables_and_a_name_that_fits_nothing_is_told(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    settings, *_ = docmap(served[0])
    names = ["docmap/注文書=orders", "docmap/48291=bills", "atlas/PAN=pan"]
    connection = connected(served, settings, table_names=names)

    assert set(typed(connection)) == {"orders"}
    assert connection.sync("orders").counts == {"orders": 2}
    assert set(warned(caplog)) == {
        "There is no template or document type docmap/48291 to be called bills.",
        "There is no template or document type atlas/PAN to be called pan.",
    }


def test_a_name_for_two_templates_is_an_error_that_says_what_to_do(served: Served) -> None:
    templates = [served[0].extracta.create("Invoices", ["a"]) for _ in range(2)]
    connection = connected(served, {"extracta": {"extraction_ids": templates}}, table_names=["extracta/Invoices=bills"])

    with pytest.raises(AirbyteTracedException) as trouble:
        connection.source.discover(log, connection.settings)

    assert trouble.value.message == (
        "table_names gives one name to 2 templates called 'Invoices'; name them by their ids."
    )
    connection.settings["table_names"] = [f"extracta/{templates[0]}=bills"]
    assert set(typed(connection)) == {"bills", "extracta_invoices"}


def test_a_table_that_is_given_to_another_template_is_read_from_its_beginning(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox, _ = served
    templates = [sandbox.docmap.template(name) for name in ("One", "Two")]
    for template in templates:
        sandbox.docmap.run(template, [NewExtraction("a.pdf", 0, {"a": template})], created_at=LONG_AGO)
    connection = connected(served, {"docmap": {}}, table_names=["docmap/One=mine"])
    assert [row["a"] for row in connection.sync("mine").records["mine"]] == templates[:1]

    connection.settings["table_names"] = ["docmap/Two=mine"]

    assert [row["a"] for row in connection.sync("mine").records["mine"]] == templates[1:]
    assert connection.sync("mine").counts == {}
    assert only(warned(caplog)).startswith("The stream mine belongs to another template or document type than before.")


def kept(connection: Connection, *streams: str) -> ConfiguredAirbyteCatalog:
    """The catalog that Airbyte keeps until the schema is refreshed: through JSON, and of no object of the source."""
    document = ConfiguredAirbyteCatalogSerializer.dump(some(connection, *streams))
    return ConfiguredAirbyteCatalogSerializer.load(json.loads(json.dumps(document)))


def two_extracta_templates(sandbox: Sandbox) -> tuple[str, str]:
    """Of one name and the same fields, each with a document."""
    first, second = (sandbox.extracta.create("Invoices", ["total"]) for _ in range(2))
    for template in (first, second):
        sandbox.extracta.upload(template, [NewFile("a.pdf", 0, {"total": template})])
    return first, second


class TestATemplateThatIsNoLongerNamed:
    def test_extracta_whose_setting_goes_to_another_template_is_incomplete_in_words(
        self, served: Served, caplog: pytest.LogCaptureFixture
    ) -> None:
        first, second = two_extracta_templates(served[0])
        connection = connected(served, {"extracta": {"extraction_ids": [first]}})
        catalog = kept(connection, "extracta_invoices", "extracta_results")
        assert connection.sync(catalog=catalog).counts["extracta_invoices"] == 1

        connection.settings["extracta"]["extraction_ids"] = [second]
        synced = connection.sync(catalog=catalog)

        sentence = (
            f"The settings no longer name {first}, the template or document type of the stream extracta_invoices. "
            "Refresh the connection's schema, or name it in extracta.extraction_ids again."
        )
        assert synced.ends == {"extracta_invoices": "INCOMPLETE", "extracta_results": "COMPLETE"}
        assert synced.counts == {"extracta_results": 1}
        assert warned(caplog) == [sentence]
        assert synced.error
        assert str(synced.error.message).endswith(sentence)
        assert [row["total"] for row in connection.sync("extracta_invoices").records["extracta_invoices"]] == [second]

    def test_docmap_and_sensible_too(self, served: Served) -> None:
        sandbox, _ = served
        templates = [sandbox.docmap.template(name) for name in ("One", "Two")]
        for template, name in zip(templates, ("claims", "contracts"), strict=True):
            sandbox.docmap.run(template, [NewExtraction("a.pdf", 0, {"a": 1})])
            sandbox.sensible.document_type(name)
            sandbox.sensible.extract([SensibleDocument("a", 0, {"n": read("1")})], name)
        before = {"docmap": {"template_ids": templates[:1]}, "sensible": {"document_types": ["claims"]}}
        connection = connected(served, before)
        catalog = kept(connection, "docmap_one", "sensible_claims")
        assert connection.sync(catalog=catalog).counts == {"docmap_one": 1, "sensible_claims": 1}

        connection.settings["docmap"]["template_ids"] = templates[1:]
        connection.settings["sensible"]["document_types"] = ["contracts"]
        synced = connection.sync(catalog=catalog)

        assert synced.ends == {"docmap_one": "INCOMPLETE", "sensible_claims": "INCOMPLETE"}
        for words in ("in docmap.template_ids again", "in sensible.document_types again"):
            assert words in str(synced.error and synced.error.message)

    def test_a_template_that_a_classification_template_links_to_is_complete_without_rows(self, served: Served) -> None:
        sandbox, _ = served
        linked = sandbox.extracta.create("Linked", ["a"])
        mail = sandbox.classification.create("Mail", [DocumentType("in", extraction_id=linked)])
        settings = {"classification_ids": [mail]}
        connection = connected(served, {"extracta": settings})
        catalog = kept(connection, "extracta_linked")

        assert connection.sync(catalog=catalog).ends == {"extracta_linked": "COMPLETE"}
        connection.settings["extracta"]["follow_links"] = False
        connection.settings["extracta"]["extraction_ids"] = [sandbox.extracta.create("Other", ["a"])]
        assert connection.sync(catalog=catalog).ends == {"extracta_linked": "INCOMPLETE"}

    def test_where_the_links_cannot_be_asked_for_the_table_is_incomplete(self, served: Served) -> None:
        sandbox, _ = served
        linked = sandbox.extracta.create("Linked", ["a"])
        mail = sandbox.classification.create("Mail", [DocumentType("in", extraction_id=linked)])
        batch = sandbox.classification.upload(mail, [NewFile("a.pdf", 0, {"documentType": "in", "confidence": 1})])
        sandbox.extracta.finish()
        connection = connected(served, {"extracta": {"classification_batches": [f"{mail}/{batch}"]}})
        catalog = kept(connection, "extracta_linked")

        with sandbox.faults.during(Fault("status", "extracta.viewClassification", status=503)):
            synced = connection.sync(catalog=catalog)

        assert synced.ends == {"extracta_linked": "INCOMPLETE"}
        assert synced.counts == {"extracta_linked": 1}
        assert connection.sync(catalog=catalog).ends == {"extracta_linked": "COMPLETE"}

    def test_a_name_that_goes_to_another_template_is_incomplete_in_words(self, served: Served) -> None:
        sandbox, _ = served
        templates = [sandbox.docmap.template(name) for name in ("One", "Two")]
        for template in templates:
            sandbox.docmap.run(template, [NewExtraction("a.pdf", 0, {"a": template})])
        connection = connected(served, {"docmap": {}}, table_names=["docmap/One=mine"])
        catalog = kept(connection, "mine", "docmap_results")

        connection.settings["table_names"] = [f"docmap/{templates[0]}=mine"]
        assert connection.sync(catalog=catalog).counts["mine"] == 1
        connection.settings["table_names"] = ["docmap/Two=mine"]
        synced = connection.sync(catalog=catalog)

        assert synced.ends == {"mine": "INCOMPLETE", "docmap_results": "COMPLETE"}
        assert (
            "The stream mine is a table of One in the connection's schema, and of Two in table_names. "
            "Refresh the connection's schema."
        ) in str(synced.error and synced.error.message)

    def test_the_difference_stands_in_the_columns_which_alone_airbyte_compares(self, served: Served) -> None:
        first, second = two_extracta_templates(served[0])
        connection = connected(served, {"extracta": {"extraction_ids": [first]}})
        before = typed(connection)["extracta_invoices"]["properties"]

        connection.settings["extracta"]["extraction_ids"] = [second]
        after = typed(connection)["extracta_invoices"]["properties"]

        assert [name for name in before if before[name] != after[name]] == ["id"]

    def test_a_template_that_is_renamed_is_no_difference(self, served: Served) -> None:
        sandbox, _ = served
        template = sandbox.extracta.create("Invoices", ["total"])
        names = [f"extracta/{template}=mine"]
        connection = connected(served, {"extracta": {"extraction_ids": [template]}}, table_names=names)
        before = typed(connection)["mine"]["properties"]

        sandbox.extracta.update(template, {"name": "Bills"})

        assert typed(connection)["mine"]["properties"] == before


class TestSchemasThatLostAPart:
    def test_a_column_without_its_mark_is_an_error_and_not_an_empty_column(
        self, served: Served, caplog: pytest.LogCaptureFixture
    ) -> None:
        settings, name, *_ = docmap(served[0])
        connection = connected(served, settings)
        catalog = kept(connection, name, "docmap_results")
        [stream] = [one.stream for one in catalog.streams if one.stream.name == name]
        del stream.json_schema["properties"]["heji"]["x-docextract"]

        synced = connection.sync(catalog=catalog)

        sentence = (
            f"The schema of the stream {name} is not as it was discovered (it does not name the field of heji). "
            "Refresh the connection's schema."
        )
        assert synced.ends == {name: "INCOMPLETE", "docmap_results": "COMPLETE"}
        assert name not in synced.counts
        assert warned(caplog) == [sentence]
        assert synced.error
        assert str(synced.error.message).endswith(sentence)

    def test_a_schema_of_an_earlier_version_goes_on_working(self, served: Served) -> None:
        settings, name, _, rows = docmap(served[0])
        connection = connected(served, settings)
        catalog = kept(connection, name)
        schema = catalog.streams[0].stream.json_schema
        del schema["x-docextract"]["name"]
        del schema["properties"]["id"]["x-docextract"]
        for column in ("batch_id", "template_name", "created_at"):
            del schema["properties"][column]

        synced = connection.sync(catalog=catalog)

        assert synced.ends == {name: "COMPLETE"}
        assert len(synced.records[name]) == len(rows)

    def test_a_column_of_an_earlier_version_that_is_called_like_a_new_one_keeps_its_field(self, served: Served) -> None:
        sandbox, _ = served
        template = sandbox.docmap.template("Notes", [field("batch_id", "string"), field("xmin", "number")])
        sandbox.docmap.run(template, [NewExtraction("a.pdf", 0, {"batch_id": "B-7", "xmin": 1})], "run")
        connection = connected(served, {"docmap": {}})
        catalog = kept(connection, "docmap_notes")
        columns = catalog.streams[0].stream.json_schema["properties"]
        for column in ("batch_id", "xmin"):
            columns[column] = columns.pop(f"field_{column}")

        row = only(connection.sync(catalog=catalog).records["docmap_notes"])

        assert (row["batch_id"], row["xmin"]) == ("B-7", 1)


def test_without_the_setting_a_typed_stream_is_not_given_any_more(served: Served) -> None:
    settings, name, *_ = docmap(served[0])
    connection = connected(served, settings)
    catalog = some(connection, name, "docmap_results")
    connection.settings["typed_tables"] = False

    synced = connection.sync(catalog=catalog)

    assert synced.ends == {name: "INCOMPLETE", "docmap_results": "COMPLETE"}
    assert synced.error
    assert f"The settings give no stream {name}" in str(synced.error.message)


def test_so_does_one_whose_schema_was_not_discovered(served: Served) -> None:
    settings, name, *_ = docmap(served[0])
    connection = connected(served, settings)
    catalog = some(connection, name)
    catalog.streams[0].stream.json_schema = {"type": "object", "properties": {}}

    assert connection.sync(catalog=catalog).ends == {name: "INCOMPLETE"}


class TestDiscover:
    def test_what_a_provider_does_not_know_is_told_and_left_out(
        self, served: Served, caplog: pytest.LogCaptureFixture
    ) -> None:
        sandbox, _ = served
        known = sandbox.extracta.create("Known", ["a"])
        sandbox.sensible.document_type("claims")
        settings = {
            "extracta": {"extraction_ids": ["-unknown", known]},
            "docmap": {"template_ids": ["48291"]},
            "sensible": {"document_types": ["claims", "clams"]},
        }

        assert set(typed(connected(served, settings))) == {"extracta_known", "sensible_claims"}
        first, *rest = warned(caplog)
        assert first.startswith("Extracta.ai does not know the template -unknown; it has no typed table. (")
        assert rest == [
            "DocMap has no extraction of the template 48291 yet; it has no typed table before it has.",
            "Sensible has no document type 'clams'; it has no typed table.",
        ]

    @pytest.mark.parametrize("provider", ACCOUNTS)
    def test_a_provider_that_cannot_tell_fails_it_rather_than_losing_streams(
        self, served: Served, provider: str
    ) -> None:
        settings, *_ = ACCOUNTS[provider](served[0])
        connection = connected(served, settings)
        connection.settings[provider]["base_url"] = "http://127.0.0.1:9/nobody"

        with pytest.raises(AirbyteTracedException, match="could not be reached"):
            connection.source.discover(log, connection.settings)

    def test_atlas_has_the_types_that_are_documented_and_those_that_are_seen(self, served: Served) -> None:
        settings, *_ = atlas(served[0])
        settings["atlas"]["batch_ids"].append("BATCH-00000-UNKNO-20260309081408")

        tables = typed(connected(served, settings))

        assert set(tables) == {
            "atlas_aadhaar", "atlas_pan", "atlas_driving_license", "atlas_voter_id", "atlas_passport", "atlas_gst_cert",
            "atlas_udyam_cert",
        }  # fmt: skip
        assert types(tables["atlas_voter_id"]) == {
            name: kind
            for column in ("voter_id", "name", "date_of_birth", "gender")
            for name, kind in ((column, "string"), (f"{column}_confidence", "number"))
        }
        assert types(tables["atlas_aadhaar"])["formatted_address"] == "object"

    def test_sensible_looks_into_recent_documents_of_all_configurations_but_not_into_what_is_gone(
        self, served: Served
    ) -> None:
        sandbox, _ = served
        sandbox.sensible.document_type("claims")
        old = {"old": read("x")}
        sandbox.sensible.extract([SensibleDocument("old", 0, old)], "claims", created_at=LONG_AGO)
        many = [SensibleDocument(f"{n}", 0, {"n": read(n, "number"), "null": None}) for n in range(30)]
        sandbox.sensible.extract(many, "claims", created_at=START - timedelta(days=1))
        gone = [SensibleDocument("gone", 0, old, purged=True), SensibleDocument("large", 0, old, too_large=True)]
        sandbox.sensible.extract(gone, "claims")
        sandbox.sensible.extract([SensibleDocument("waiting", 9e9)], "claims")
        connection = connected(served, {"sensible": {}})

        assert types(typed(connection)["sensible_claims"]) == {"n": "number"}

    def test_docmap_finds_templates_that_are_seldom_used(self, served: Served) -> None:
        sandbox, _ = served
        often, seldom = (sandbox.docmap.template(name, [field(name, "number")]) for name in ("often", "seldom"))
        sandbox.docmap.run(seldom, [NewExtraction("a.pdf", 0, {"seldom": 1, "x": "y"})], created_at=LONG_AGO)
        sandbox.docmap.bulk(often, 1500, START - timedelta(days=100), 3600)
        connection = connected(served, {"docmap": {}})

        requests = asked(connection, lambda: typed(connection))

        assert types(typed(connection)["docmap_seldom"]) == {"seldom": "number", "x": "string"}
        assert requests["docmap.extractions"] < 50
        connection.settings["docmap"]["template_ids"] = [seldom]
        assert asked(connection, lambda: typed(connection)) == {"docmap.extractions": 1}
        assert set(typed(connection)) == {"docmap_seldom"}

    def test_a_template_of_docmap_is_what_its_newest_extractions_say(self, served: Served) -> None:
        sandbox, _ = served
        template = sandbox.docmap.template("Before", [field("a", "number"), field("b", "string")])
        sandbox.docmap.run(template, [NewExtraction("a.pdf", 0, {"a": 1})], created_at=LONG_AGO)
        sandbox.docmap.template("Now", [field("a", "string")], template)
        sandbox.docmap.run(template, [NewExtraction("b.pdf", 9e9)])

        assert types(typed(connected(served, {"docmap": {}}))["docmap_now"]) == {"a": "string", "b": "string"}
