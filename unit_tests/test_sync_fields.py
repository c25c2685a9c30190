"""Whole syncs of fields streams: what an edit leaves behind, what comes again, and what is remembered of them."""

from __future__ import annotations

from typing import Any

import pytest
from harness import Connection, only

from sandbox import NewDocument, NewFile, Sandbox, SensibleDocument

Served = tuple[Sandbox, str]


def wrapped(value: Any, **more: Any) -> dict[str, Any]:
    return {"value": value, "confidence_score": 0.9, **more}


def current(connection: Connection, provider: str) -> list[dict[str, Any]]:
    """What a user asks for: the fields whose digest is that of their result."""
    digests = {row["id"]: row["digest"] for row in connection.warehouse[f"{provider}_results"].values()}
    return [
        row
        for row in connection.warehouse[f"{provider}_fields"].values()
        if row["digest"] == digests[row["result_key"]]
    ]


def extracta(sandbox: Sandbox) -> tuple[dict[str, Any], Any]:
    template = sandbox.extracta.create("Invoices", ["vendor"])
    before = {"vendor": "Acme", "lines": [{"n": "1"}, {"n": "2"}], "note": ""}
    batch = sandbox.extracta.upload(template, [NewFile("a.pdf", 0, before), NewFile("b.pdf", 0, {"vendor": "B"})])
    after = {"vendor": "Acme", "lines": [{"n": "1"}]}
    return {"extracta": {"extraction_ids": [template]}}, lambda: sandbox.extracta.edit(batch, "a.pdf", after)


def atlas(sandbox: Sandbox) -> tuple[dict[str, Any], Any]:
    before = {"vendor": wrapped("Acme"), "lines": [{"n": wrapped("1")}, {"n": wrapped("2")}], "note": wrapped("")}
    documents = [NewDocument("a", 0, before), NewDocument("b", 0, {"vendor": wrapped("B")})]
    batch = sandbox.atlas.submit(documents)
    after = {"vendor": wrapped("Acme"), "lines": [{"n": wrapped("1")}]}
    return {"atlas": {"batch_ids": [batch]}}, lambda: sandbox.atlas.edit(batch, "a", after)


def sensible(sandbox: Sandbox) -> tuple[dict[str, Any], Any]:
    def field(value: str) -> dict[str, str]:
        return {"value": value, "type": "string"}

    sandbox.sensible.document_type("claims")
    before = {"vendor": field("Acme"), "lines": [{"n": field("1")}, {"n": field("2")}], "note": field("")}
    other = {"vendor": field("B")}
    documents = [SensibleDocument("a", 0, before, review="NEEDS_REVIEW"), SensibleDocument("b", 0, other)]
    first, _ = sandbox.sensible.extract(documents, "claims")
    after = {"vendor": field("Acme"), "lines": [{"n": field("1")}]}
    return {"sensible": {}}, lambda: sandbox.sensible.review(first, "APPROVED", after)


EDITED = {account.__name__: account for account in (extracta, atlas, sensible)}


@pytest.mark.parametrize("provider", EDITED)
def test_an_edited_result_tells_all_its_fields_again_and_what_is_gone_has_the_digest_of_before(
    served: Served, provider: str
) -> None:
    settings, edit = EDITED[provider](served[0])
    connection = Connection(*served, settings)
    first = connection.sync()
    assert len(first.records[f"{provider}_fields"]) == len(current(connection, provider)) == 5

    edit()
    second = connection.sync()

    row = only(second.records[f"{provider}_results"])
    again = second.records[f"{provider}_fields"]
    assert [field["path"] for field in again] == ["/vendor", "/lines/0/n"]
    assert {(field["result_key"], field["digest"]) for field in again} == {(row["id"], row["digest"])}
    shown = current(connection, provider)
    assert sorted(field["value"] for field in shown) == ["1", "Acme", "B"]
    gone = [field for field in connection.warehouse[f"{provider}_fields"].values() if field not in shown]
    assert {(field["result_key"], field["path"]) for field in gone} == {(row["id"], "/lines/1/n"), (row["id"], "/note")}
    assert connection.sync().counts == {}


def test_a_decision_that_changes_no_value_is_news_of_the_result_alone(served: Served) -> None:
    sandbox, _ = served
    sandbox.sensible.document_type("claims")
    parsed = {"vendor": {"value": "Acme", "type": "string"}}
    [one] = sandbox.sensible.extract([SensibleDocument("a", 0, parsed, review="NEEDS_REVIEW")], "claims")
    connection = Connection(*served, {"sensible": {}})
    connection.sync()

    sandbox.sensible.review(one, "APPROVED")

    assert connection.sync().counts == {"sensible_results": 1}


def test_the_state_of_a_fields_stream_is_no_larger_than_that_of_the_results(served: Served) -> None:
    sandbox, _ = served
    data = {f"field {n}": wrapped(f"{n}") for n in range(50)}
    batch = sandbox.atlas.submit([NewDocument(f"{n}", 0, data) for n in range(120)])
    connection = Connection(*served, {"atlas": {"batch_ids": [batch]}})

    synced = connection.sync()

    assert synced.counts["atlas_fields"] == 50 * 120
    results, fields = ({**connection.state_of(f"atlas_{kind}"), "stream": ""} for kind in ("results", "fields"))
    assert len(str(fields)) == len(str(results)) < 120 * 10
    assert connection.sync().counts == {}
