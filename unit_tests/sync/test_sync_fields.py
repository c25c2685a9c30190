"""Whole syncs of fields streams: edits, repeated rows and their state."""

from __future__ import annotations

from typing import Any

import pytest

from docextract_sandbox import NewDocument, NewFile, Sandbox, SensibleDocument
from unit_tests.support.harness import Connection, single

ServedSandbox = tuple[Sandbox, str]


def wrap(value: Any, **more: Any) -> dict[str, Any]:
    return {"value": value, "confidence_score": 0.9, **more}


def select_current_fields(connection: Connection, provider: str) -> list[dict[str, Any]]:
    """Return the rows that a user queries: those whose digest is that of their result."""
    digests = {row["id"]: row["digest"] for row in connection.warehouse[f"{provider}_results"].values()}
    return [
        row
        for row in connection.warehouse[f"{provider}_fields"].values()
        if row["digest"] == digests[row["result_key"]]
    ]


def add_extracta(sandbox: Sandbox) -> tuple[dict[str, Any], Any]:
    template = sandbox.extracta.create("Invoices", ["vendor"])
    original_data = {"vendor": "Acme", "lines": [{"n": "1"}, {"n": "2"}], "note": ""}
    batch = sandbox.extracta.upload(
        template, [NewFile("a.pdf", 0, original_data), NewFile("b.pdf", 0, {"vendor": "B"})]
    )
    edited_data = {"vendor": "Acme", "lines": [{"n": "1"}]}
    return {"extracta": {"extraction_ids": [template]}}, lambda: sandbox.extracta.edit(batch, "a.pdf", edited_data)


def add_atlas(sandbox: Sandbox) -> tuple[dict[str, Any], Any]:
    original_data = {"vendor": wrap("Acme"), "lines": [{"n": wrap("1")}, {"n": wrap("2")}], "note": wrap("")}
    documents = [NewDocument("a", 0, original_data), NewDocument("b", 0, {"vendor": wrap("B")})]
    batch = sandbox.atlas.submit(documents)
    edited_data = {"vendor": wrap("Acme"), "lines": [{"n": wrap("1")}]}
    return {"atlas": {"batch_ids": [batch]}}, lambda: sandbox.atlas.edit(batch, "a", edited_data)


def add_sensible(sandbox: Sandbox) -> tuple[dict[str, Any], Any]:
    def field(value: str) -> dict[str, str]:
        return {"value": value, "type": "string"}

    sandbox.sensible.add_document_type("claims")
    original_data = {"vendor": field("Acme"), "lines": [{"n": field("1")}, {"n": field("2")}], "note": field("")}
    other = {"vendor": field("B")}
    documents = [SensibleDocument("a", 0, original_data, review="NEEDS_REVIEW"), SensibleDocument("b", 0, other)]
    first, _ = sandbox.sensible.extract(documents, "claims")
    edited_data = {"vendor": field("Acme"), "lines": [{"n": field("1")}]}
    return {"sensible": {}}, lambda: sandbox.sensible.review(first, "APPROVED", edited_data)


EDITORS_BY_PROVIDER = {
    account.__name__.removeprefix("add_"): account for account in (add_extracta, add_atlas, add_sensible)
}


@pytest.mark.parametrize("provider", EDITORS_BY_PROVIDER)
def test_edited_result_emits_all_its_fields_with_a_new_digest(served_sandbox: ServedSandbox, provider: str) -> None:
    settings, edit = EDITORS_BY_PROVIDER[provider](served_sandbox[0])
    connection = Connection(*served_sandbox, settings)
    first = connection.sync()
    assert len(first.records[f"{provider}_fields"]) == len(select_current_fields(connection, provider)) == 5

    edit()
    served_sandbox[0].clock.advance(3600)  # the age of the first look
    second = connection.sync()

    row = single(second.records[f"{provider}_results"])
    repeated_rows = second.records[f"{provider}_fields"]
    assert [field["path"] for field in repeated_rows] == ["/vendor", "/lines/0/n"]
    assert {(field["result_key"], field["digest"]) for field in repeated_rows} == {(row["id"], row["digest"])}
    current_rows = select_current_fields(connection, provider)
    assert sorted(field["value"] for field in current_rows) == ["1", "Acme", "B"]
    gone = [field for field in connection.warehouse[f"{provider}_fields"].values() if field not in current_rows]
    assert {(field["result_key"], field["path"]) for field in gone} == {(row["id"], "/lines/1/n"), (row["id"], "/note")}
    assert connection.sync().counts == {}


def test_review_without_edits_emits_the_result_but_no_fields(served_sandbox: ServedSandbox) -> None:
    sandbox, _ = served_sandbox
    sandbox.sensible.add_document_type("claims")
    parsed = {"vendor": {"value": "Acme", "type": "string"}}
    [extraction_id] = sandbox.sensible.extract([SensibleDocument("a", 0, parsed, review="NEEDS_REVIEW")], "claims")
    connection = Connection(*served_sandbox, {"sensible": {}})
    connection.sync()

    sandbox.sensible.review(extraction_id, "APPROVED")

    assert connection.sync().counts == {"sensible_results": 1}


def test_fields_state_is_as_small_as_the_results_state(served_sandbox: ServedSandbox) -> None:
    sandbox, _ = served_sandbox
    data = {f"field {number}": wrap(f"{number}") for number in range(50)}
    batch = sandbox.atlas.submit([NewDocument(f"{number}", 0, data) for number in range(120)])
    connection = Connection(*served_sandbox, {"atlas": {"batch_ids": [batch]}})

    synced = connection.sync()

    assert synced.counts["atlas_fields"] == 50 * 120
    results, fields = ({**connection.get_state_json(f"atlas_{kind}"), "stream": ""} for kind in ("results", "fields"))
    assert len(str(fields)) == len(str(results)) < 120 * 10
    assert connection.sync().counts == {}
