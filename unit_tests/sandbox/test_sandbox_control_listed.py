"""DocMap and Sensible under control from outside, and the documents with which they begin."""

from collections import Counter
from datetime import timedelta

import pytest
import requests

from docextract_sandbox import NewExtraction, Sandbox, SensibleDocument
from docextract_sandbox.context import JsonObject
from docextract_sandbox.docmap import Status as DocMapStatus
from docextract_sandbox.sensible import Status
from unit_tests.sandbox.conftest import Control


@pytest.fixture
def control(url: str) -> Control:
    def call(method: str, path: str, body: object = None) -> requests.Response:
        return requests.request(method, f"{url}/_sandbox{path}", json=body, timeout=5)

    return call


@pytest.fixture
def pending(sandbox: Sandbox) -> Sandbox:
    sandbox.docmap.put_template("Invoices", (), "invoices")
    sandbox.docmap.add_extractions(
        "invoices", [NewExtraction(f"{number}.pdf", extraction_id=f"extract_{number}") for number in (1, 2)], "run"
    )
    sandbox.docmap.add_extractions("invoices", [NewExtraction("3.pdf", extraction_id="extract_3")])
    sandbox.sensible.add_document_type("contracts", "type")
    sandbox.sensible.extract([SensibleDocument("a.pdf", extraction_id="one")], "contracts")
    waiting = [SensibleDocument("b.pdf", extraction_id="two"), SensibleDocument("c.pdf", extraction_id="three")]
    sandbox.sensible.add_batch(waiting, "contracts", batch_id="batch")
    sandbox.sensible.upload("batch", 0)
    return sandbox


@pytest.mark.usefixtures("pending")
def test_overview_lists_templates_batches_and_pending_documents(control: Control) -> None:
    # when
    worlds = control("GET", "/").json()["worlds"]

    # then
    assert worlds["docmap"] == {
        "templates": {"invoices": "Invoices"},
        "runs": 1,
        "documents": 3,
        "pending_documents": 3,
    }
    assert worlds["sensible"] == {
        "document_types": {"type": "contracts"},
        "batches": ["batch"],
        "documents": 3,
        "pending_documents": 2,
        "waiting_documents": 1,
    }


@pytest.mark.usefixtures("pending")
@pytest.mark.parametrize(
    ("body", "finished"),
    [
        (None, 5),
        ({"api": "docmap"}, 3),
        ({"api": "docmap", "batch_id": "run"}, 2),
        ({"api": "docmap", "batch_id": "extract_3"}, 1),
        ({"api": "sensible"}, 2),
        ({"api": "sensible", "batch_id": "batch"}, 1),
        ({"batch_id": "one"}, 1),
    ],
)
def test_finish_pending_documents_returns_their_count(control: Control, body: JsonObject | None, finished: int) -> None:
    # when / then
    assert control("POST", "/finish", body).json() == {"finished": finished}
    worlds = control("GET", "/").json()["worlds"]
    assert sum(worlds[name]["pending_documents"] for name in ("docmap", "sensible")) == 5 - finished


def test_edit_and_review_change_the_document(pending: Sandbox, control: Control) -> None:
    # when
    responses = [
        control("POST", "/edit", {"api": "docmap", "document": "extract_1", "data": {"total": 7}}),
        control("POST", "/edit", {"api": "sensible", "document": "one", "data": {"total": None}}),
        control("POST", "/review", {"api": "sensible", "document": "one", "status": "NEEDS_REVIEW"}),
        control("POST", "/review", {"api": "sensible", "document": "one", "status": "APPROVED", "data": {}}),
    ]

    # then
    assert [response.json() for response in responses] == [{"edited": True}] * 2 + [{"reviewed": True}] * 2
    assert pending.docmap.get_extraction("extract_1").data == {"total": 7}
    assert (pending.sensible.get_document("one").parsed_document, pending.sensible.get_document("one").review) == (
        {},
        "APPROVED",
    )


@pytest.mark.usefixtures("pending")
@pytest.mark.parametrize(
    ("path", "body", "expected_text"),
    [
        ("/edit", {"api": "docmap", "document": "unknown", "data": {}}, "there is no extraction unknown"),
        ("/edit", {"api": "atlas", "document": "1", "data": {}}, "batch_id and document must be texts"),
        ("/finish", {"api": "sensible", "batch_id": "unknown"}, "there is no extraction unknown"),
        ("/review", {"api": "docmap", "document": "extract_1", "status": "APPROVED"}, "nothing is reviewed in docmap"),
        ("/review", {"api": "sensible", "document": "one"}, "document and status must be texts"),
        ("/review", {"api": "sensible", "document": "one", "status": "DONE"}, "a review status is one of"),
        ("/review", {"api": "sensible", "document": "one", "status": "APPROVED"}, "the extraction is not complete"),
        ("/review", {"api": "sensible", "document": "unknown", "status": "APPROVED"}, "there is no extraction unknown"),
        ("/review", {"api": "nothing"}, "api must be one of extracta, classification, atlas, docmap, sensible"),
    ],
)
def test_control_invalid_request_returns_400_with_message(
    control: Control, path: str, body: JsonObject, expected_text: str
) -> None:
    # when
    response = control("POST", path, body)

    # then
    assert response.status_code == 400
    assert expected_text in response.json()["error"]


def test_settings_apis_parameter_selects_sections(sandbox: Sandbox, url: str, control: Control) -> None:
    # when
    by_default = control("GET", "/settings").json()
    listed = control("GET", "/settings?apis=docmap,%20sensible").json()
    unknown = control("GET", "/settings?apis=docmap,nothing")

    # then
    assert list(by_default) == ["extracta", "atlas", "docmap", "sensible"]
    assert listed == sandbox.build_settings(url, ["docmap", "sensible"])
    assert listed == {name: by_default[name] for name in ("docmap", "sensible")}
    assert (unknown.status_code, unknown.json()) == (
        400,
        {"error": "there is no api nothing; there are: extracta, atlas, docmap, sensible"},
    )


def test_patch_switches_number_is_applied(sandbox: Sandbox, control: Control) -> None:
    # when
    response = control("PATCH", "/switches", {"sensible_throttle": 3})
    wrong = control("PATCH", "/switches", {"sensible_throttle": True})

    # then
    assert response.json()["sensible_throttle"] == sandbox.switches.sensible_throttle == 3
    assert wrong.json() == {"error": "sensible_throttle takes a whole number from 0"}


def test_demo_docmap_has_twelve_weeks_of_runs_and_single_documents(sandbox: Sandbox) -> None:
    # when
    sandbox.fill_demo()

    # then
    views = [sandbox.docmap.get_extraction(id_) for id_ in sandbox.docmap.extraction_ids]
    ages = [sandbox.clock.now() - view.created_at for view in views]
    assert all(timedelta() <= age <= timedelta(weeks=12) for age in ages)
    assert max(ages) > timedelta(weeks=11)
    assert len({view.template.template_id for view in views}) == 2
    assert {view.source for view in views} == {"api", "dashboard"}
    assert len({view.run_id for view in views}) == 8
    statuses = [view.status for view in views]
    assert statuses.count(DocMapStatus.PROCESSING) == 3
    assert 2 < statuses.count(DocMapStatus.FAILED) < 20
    assert statuses.count(DocMapStatus.COMPLETED) > 80


def test_demo_sensible_has_twelve_weeks_of_documents_of_every_kind(sandbox: Sandbox) -> None:
    # when
    sandbox.fill_demo()

    # then
    views = [sandbox.sensible.get_document(id_) for id_ in sandbox.sensible.extraction_ids]
    now = sandbox.clock.now().timestamp() * 1000
    assert all(0 <= now - view.created_ms <= timedelta(weeks=12) / timedelta(milliseconds=1) for view in views)
    assert {type_.name for view in views for type_ in view.document_types} == {
        "contracts",
        "tax_forms",
        "claims",
        "invoices",
    }
    statuses = [view.status for view in views]
    assert statuses.count(Status.WAITING) == 2
    assert 1 < statuses.count(Status.FAILED) < 12
    assert statuses.count(Status.PROCESSING) == 2
    assert statuses.count(Status.COMPLETE) > 70
    reviews = Counter(view.review for view in views)
    assert min(reviews[status] for status in ("NEEDS_REVIEW", "APPROVED", "REJECTED")) > 1
    assert sum(view.is_portfolio for view in views) == 1
    assert {view.environment for view in views} == {"production", "development"}
    assert len(sandbox.sensible.batch_ids) == 3


def test_demo_second_call_decides_reviews_and_uploads_waiting_documents(sandbox: Sandbox) -> None:
    # given
    sandbox.fill_demo()
    waiting = next(
        id_ for id_ in sandbox.sensible.extraction_ids if sandbox.sensible.get_document(id_).status is Status.WAITING
    )
    original = len(sandbox.docmap.extraction_ids), len(sandbox.sensible.extraction_ids)
    old = set(sandbox.docmap.extraction_ids)
    reviews = Counter(sandbox.sensible.get_document(id_).review for id_ in sandbox.sensible.extraction_ids)

    # when
    sandbox.fill_demo()

    # then
    assert (len(sandbox.docmap.extraction_ids), len(sandbox.sensible.extraction_ids)) == (
        original[0] + 6,
        original[1] + 7,
    )
    added = [sandbox.docmap.get_extraction(id_) for id_ in sandbox.docmap.extraction_ids if id_ not in old]
    assert sum(view.status is DocMapStatus.PROCESSING for view in added) == 4
    runs = {sandbox.docmap.get_extraction(id_).run_id for id_ in old}
    assert sum(view.run_id is not None and view.run_id in runs for view in added) == 1
    decided = Counter(sandbox.sensible.get_document(id_).review for id_ in sandbox.sensible.extraction_ids)
    assert {status: decided[status] - reviews[status] for status in reviews if status} == {
        "APPROVED": 3,
        "REJECTED": 1,
        "NEEDS_REVIEW": -4,
    }
    assert sandbox.sensible.get_document(waiting).status is Status.PROCESSING
