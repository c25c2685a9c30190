"""The weeks before: enough of everything to ask questions about, and the same for the same seed."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from math import inf

import pytest
import requests

from docextract_sandbox import Clock, NewDocument, NewExtraction, NewFile, Sandbox, SensibleDocument
from docextract_sandbox.atlas import BatchView, DocumentView
from docextract_sandbox.context import JsonObject
from docextract_sandbox.history import WEEK_COUNT


@pytest.fixture(scope="module")
def filled_sandbox() -> Sandbox:
    sandbox = Sandbox(Clock(speed=0))
    sandbox.fill_demo()
    return sandbox


def list_atlas_documents(sandbox: Sandbox, kind: str) -> list[tuple[BatchView, DocumentView]]:
    """Each with its batch, the oldest first."""
    batches = sorted(
        (sandbox.atlas.get_batch(id_) for id_ in sandbox.atlas.batch_ids),
        key=lambda atlas_batch: atlas_batch.submitted_at,
    )
    return [
        (batch, document)
        for batch in batches
        for document in batch.documents
        if document.file_data.get("document_type") == kind
    ]


def test_demo_unfinished_documents_are_within_its_weeks(filled_sandbox: Sandbox) -> None:
    # given
    oldest = filled_sandbox.clock.now() - timedelta(weeks=WEEK_COUNT)
    sensible = [filled_sandbox.sensible.get_document(id_) for id_ in filled_sandbox.sensible.extraction_ids]
    docmap = [filled_sandbox.docmap.get_extraction(id_) for id_ in filled_sandbox.docmap.extraction_ids]

    # when
    waiting = [
        datetime.fromtimestamp(view.created_ms / 1000, timezone.utc) for view in sensible if not view.completed_ms
    ]
    waiting += [view.created_at for view in docmap if view.data is None and view.error is None]

    # then
    assert waiting
    assert min(waiting) > oldest


def test_demo_same_seed_gives_equal_documents_of_every_api() -> None:
    # given
    clock = Clock(speed=0)
    worlds = []

    # when
    for random_seed in (7, 7, 8):
        sandbox = Sandbox(clock, random_seed=random_seed)
        for _ in range(2):
            sandbox.fill_demo()
        classified = [
            sandbox.classification.get_batch(batch)
            for id_ in sandbox.classification.template_ids
            for batch in sandbox.classification.list_batch_ids(id_)
        ]
        extracted = [
            sandbox.extracta.get_batch(batch)
            for id_ in sandbox.extracta.template_ids
            for batch in sandbox.extracta.list_batch_ids(id_)
        ]
        others = [
            *(sandbox.atlas.get_batch(id_) for id_ in sandbox.atlas.batch_ids),
            *(sandbox.docmap.get_extraction(id_) for id_ in sandbox.docmap.extraction_ids),
            *(sandbox.sensible.get_document(id_) for id_ in sandbox.sensible.extraction_ids),
        ]
        worlds.append([*classified, *extracted, *others])

    # then
    assert worlds[0] == worlds[1] != worlds[2]


def test_demo_invoices_arrive_every_week_on_all_providers(filled_sandbox: Sandbox) -> None:
    # when
    now = filled_sandbox.clock.now()
    template = filled_sandbox.extracta.template_ids[1]
    times = {
        "extracta": [
            filled_sandbox.extracta.get_batch(id_).started_at
            for id_ in filled_sandbox.extracta.list_batch_ids(template)
        ],
        "docmap": [
            extraction.created_at
            for extraction in map(filled_sandbox.docmap.get_extraction, filled_sandbox.docmap.extraction_ids)
            if extraction.template.name == "Supplier invoices"
        ],
        "sensible": [
            now - timedelta(milliseconds=now.timestamp() * 1000 - extraction.created_ms)
            for extraction in map(filled_sandbox.sensible.get_document, filled_sandbox.sensible.extraction_ids)
            if extraction.document_types[0].name == "invoices"
        ],
        "atlas": [batch.submitted_at for batch, _ in list_atlas_documents(filled_sandbox, "INVOICE")],
    }

    # then
    assert filled_sandbox.extracta.get_template_name(template) == "Supplier invoices"
    for provider, moments in times.items():
        assert {int((now - extraction) / timedelta(weeks=1)) for extraction in moments} >= set(range(WEEK_COUNT)), (
            provider
        )


def test_demo_field_confidence_varies_and_drifts(filled_sandbox: Sandbox) -> None:
    # when
    fields: dict[str, list[float]] = {}
    for _, document in list_atlas_documents(filled_sandbox, "INVOICE"):
        for name in ("gst_number", "vendor_name", "invoice_number"):
            field = document.file_data[name]
            assert isinstance(field, dict)
            fields.setdefault(name, []).append(field["confidence_score"])
    middle = {
        name: [
            sorted(part)[len(part) // 2]
            for part in (confidences[: len(confidences) // 3], confidences[-len(confidences) // 3 :])
        ]
        for name, confidences in fields.items()
    }

    # then
    assert all(0 < confidence < 1 for confidences in fields.values() for confidence in confidences)
    assert middle["gst_number"][0] > middle["gst_number"][1] + 0.05
    assert middle["vendor_name"][0] < middle["vendor_name"][1] - 0.05
    assert abs(middle["invoice_number"][0] - middle["invoice_number"][1]) < 0.03
    assert min(confidence for confidences in fields.values() for confidence in confidences) < 0.7


def test_demo_failures_have_several_reasons(filled_sandbox: Sandbox) -> None:
    # when
    reasons = {
        "extracta": Counter(
            file.error
            for template in filled_sandbox.extracta.template_ids
            for batch in filled_sandbox.extracta.list_batch_ids(template)
            for file in filled_sandbox.extracta.get_batch(batch).files
        ),
        "docmap": Counter(
            filled_sandbox.docmap.get_extraction(id_).error for id_ in filled_sandbox.docmap.extraction_ids
        ),
        "sensible": Counter(
            filled_sandbox.sensible.get_document(id_).error for id_ in filled_sandbox.sensible.extraction_ids
        ),
        "atlas": Counter(
            document.error_code
            for id_ in filled_sandbox.atlas.batch_ids
            for document in filled_sandbox.atlas.get_batch(id_).documents
        ),
    }

    # then
    for provider, counted in reasons.items():
        read = counted.pop(None)
        assert len(counted) > 1, provider
        assert 0.02 < sum(counted.values()) / (read + sum(counted.values())) < 0.2, provider


def test_demo_second_call_corrects_results() -> None:
    # given
    sandbox = Sandbox(Clock(speed=0))
    sandbox.fill_demo()

    def results() -> dict[str, Mapping[str, object] | None]:
        return {
            **{
                file.file_id: file.result
                for template in sandbox.extracta.template_ids
                for batch in sandbox.extracta.list_batch_ids(template)
                for file in sandbox.extracta.get_batch(batch).files
                if file.result
            },
            **{id_: sandbox.sensible.get_document(id_).parsed_document for id_ in sandbox.sensible.extraction_ids},
        }

    def count_lines(data: Mapping[str, object] | None) -> int:
        assert data is not None
        lines = data["line_items"]
        assert isinstance(lines, list)
        return len(lines)

    original = results()

    # when
    sandbox.fill_demo()

    # then
    changed = results()
    edited = [id_ for id_, data in original.items() if data and changed[id_] != data]
    assert len(edited) == 3
    gone = [count_lines(original[id_]) - count_lines(changed[id_]) for id_ in edited]
    assert sorted(gone) == [0, 1, 1]
    assert {sandbox.sensible.get_document(id_).review for id_ in edited if id_ in sandbox.sensible.extraction_ids} == {
        "APPROVED"
    }


def test_finish_by_itself_option_leaves_endless_documents_pending(sandbox: Sandbox, url: str) -> None:
    # given
    def finished(body: JsonObject) -> int:
        count: int = requests.post(f"{url}/_sandbox/finish", json=body, timeout=5).json()["finished"]
        return count

    sandbox.extracta.create("Invoices", ("total",), "invoices")
    sandbox.extracta.upload("invoices", [NewFile("a.pdf", 60), NewFile("b.pdf", inf)])
    template = sandbox.docmap.put_template("Notes")
    sandbox.docmap.add_extractions(template, [NewExtraction("a.pdf", 60), NewExtraction("b.pdf", inf)])
    sandbox.sensible.add_document_type("claims")
    sandbox.sensible.extract([SensibleDocument("a.pdf", 60), SensibleDocument("b.pdf", inf)], "claims")
    sandbox.atlas.submit([NewDocument("1", 60), NewDocument("2", inf)])

    # when
    by_itself, of_one = finished({"by_itself": True}), finished({"api": "extracta", "by_itself": True})

    # then
    assert (by_itself, of_one, finished({})) == (4, 0, 4)
