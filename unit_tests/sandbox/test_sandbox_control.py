"""The control endpoints, and the documents that other processes find."""

from datetime import timedelta

import pytest
import requests

from docextract_sandbox import NewDocument, NewFile, Sandbox
from docextract_sandbox.context import JsonObject
from docextract_sandbox.extracta import FileStatus
from unit_tests.sandbox.conftest import Control, ExtractaClient


@pytest.fixture
def control(url: str) -> Control:
    def call(method: str, path: str, body: object = None) -> requests.Response:
        return requests.request(method, f"{url}/_sandbox{path}", json=body, timeout=5)

    return call


@pytest.fixture
def pending(sandbox: Sandbox) -> Sandbox:
    sandbox.extracta.create("Invoices", ("total",), "invoices")
    sandbox.extracta.upload("invoices", ["a.pdf", "b.pdf"], "extraction")
    sandbox.classification.create("Mail", (), "mail")
    sandbox.classification.upload("mail", ["c.pdf"], "classification")
    sandbox.atlas.submit(["1", "2", "3"], batch_id="atlas")
    return sandbox


def test_root_page_lists_every_endpoint(sandbox: Sandbox, url: str) -> None:
    # when
    response = requests.get(url, timeout=5)

    # then
    assert response.headers["content-type"].startswith("text/plain")
    for api in sandbox.apis:
        for endpoint in api.list_endpoints():
            assert endpoint.path in response.text
    assert "sandbox-extracta-key" in response.text
    assert "/_sandbox" in response.text


def test_overview_lists_templates_batches_and_pending_documents(pending: Sandbox, url: str, control: Control) -> None:
    # when
    response = control("GET", "/").json()

    # then
    assert response["now"] == "2026-11-20T09:00:00+00:00"
    assert response["base_urls"] == pending.get_base_urls(url)
    assert response["worlds"]["extracta"] == {
        "templates": {"invoices": {"name": "Invoices", "batches": ["extraction"]}},
        "files": 2,
        "pending_files": 2,
    }
    assert response["worlds"]["classification"]["pending_files"] == 1
    assert response["worlds"]["atlas"] == {"batches": ["atlas"], "documents": 3, "pending_documents": 3, "logins": 0}
    assert response["switches"]["extracta_file_ids"] is True


@pytest.mark.usefixtures("pending")
@pytest.mark.parametrize(
    ("body", "finished"),
    [
        (None, 6),
        ({"api": None, "batch_id": None}, 6),
        ({"api": "extracta"}, 2),
        ({"api": "classification", "batch_id": "classification"}, 1),
        ({"batch_id": "atlas"}, 3),
    ],
)
def test_finish_pending_documents_returns_their_count(control: Control, body: JsonObject | None, finished: int) -> None:
    # when / then
    assert control("POST", "/finish", body).json() == {"finished": finished}
    worlds = control("GET", "/").json()["worlds"]
    assert sum(world.get("pending_files", world.get("pending_documents")) for world in worlds.values()) == 6 - finished


def test_advance_clock_finishes_due_documents(pending: Sandbox, control: Control) -> None:
    # when
    response = control("POST", "/advance", {"seconds": 120})

    # then
    assert response.json() == {"now": "2026-11-20T09:02:00+00:00"}
    assert all(file.status is FileStatus.PROCESSED for file in pending.extracta.get_batch("extraction").files)


def test_edit_document_replaces_its_data(pending: Sandbox, control: Control) -> None:
    # when
    edits = [
        {"api": "extracta", "batch_id": "extraction", "document": "a.pdf", "data": {"total": "7"}},
        {"api": "classification", "batch_id": "classification", "document": "c.pdf", "data": {"documentType": "x"}},
        {"api": "atlas", "batch_id": "atlas", "document": "2", "data": {"document_type": "PAN"}},
    ]
    responses = [control("POST", "/edit", edit).json() for edit in edits]

    # then
    assert responses == [{"edited": True}] * 3
    assert pending.extracta.get_batch("extraction").files[0].result == {"total": "7"}
    assert pending.classification.get_batch("classification").files[0].result == {"documentType": "x"}
    assert pending.atlas.get_batch("atlas").documents[1].file_data == {"document_type": "PAN"}


def test_patch_switches_applies_the_values(sandbox: Sandbox, control: Control) -> None:
    # when
    response = control("PATCH", "/switches", {"unknown_keys": True, "unknown_status": "queued"})

    # then
    assert response.json()["unknown_status"] == "queued"
    assert sandbox.switches.unknown_keys is True
    # The control endpoints themselves are no API whose keys could surprise.
    assert control("GET", "/switches").json() == vars(sandbox.switches)


def test_requests_control_calls_are_not_counted(sandbox: Sandbox, extracta: ExtractaClient, control: Control) -> None:
    # given
    extracta.call("GET", "credits")
    extracta.get_results("unknown", "unknown")

    # when / then
    assert control("GET", "/requests").json() == {
        "counts": {"extracta.credits": 1, "extracta.getBatchResults": 1},
        "ok_counts": {"extracta.credits": 1},
        "max_in_flight": 1,
    }
    assert control("DELETE", "/requests").json() == {"cleared": True}
    assert sandbox.journal.entries == []


@pytest.mark.usefixtures("pending")
@pytest.mark.parametrize(
    ("method", "path", "body", "expected_text"),
    [
        ("POST", "/finish", {"api": "nothing"}, "api must be one of extracta, classification, atlas"),
        ("POST", "/finish", {"batch_id": "unknown"}, "there is no batch unknown"),
        ("POST", "/finish", {"api": "atlas", "batch_id": "unknown"}, "there is no batch unknown"),
        ("POST", "/advance", {"seconds": -1}, "seconds must be a number from 0"),
        ("POST", "/advance", None, "a JSON object is needed"),
        ("POST", "/edit", {"api": "atlas", "batch_id": "atlas", "document": "9", "data": {}}, "has no document 9"),
        ("POST", "/edit", {"api": "atlas", "batch_id": "atlas", "document": "1"}, "data an object"),
        ("PATCH", "/switches", {"colour": "red"}, "there is no switch 'colour'"),
    ],
)
def test_control_invalid_request_returns_400_with_message(
    control: Control, method: str, path: str, body: JsonObject | None, expected_text: str
) -> None:
    # when
    response = control(method, path, body)

    # then
    assert response.status_code == 400
    assert expected_text in response.json()["error"]


def test_demo_has_twelve_weeks_of_documents_of_every_status(sandbox: Sandbox) -> None:
    # when
    sandbox.fill_demo()

    # then
    now = sandbox.clock.now()
    templates = sandbox.extracta.template_ids
    assert len(templates) == 3
    assert len(sandbox.classification.template_ids) == 2
    batches = [sandbox.extracta.get_batch(batch) for id_ in templates for batch in sandbox.extracta.list_batch_ids(id_)]
    api_batches = [batch for batch in batches if batch.origin == "api"]
    assert len(api_batches) == 8 + 12 + 6 + 1
    assert all(timedelta() <= now - batch.started_at <= timedelta(weeks=12) for batch in api_batches)
    assert any(not batch.is_finished for batch in api_batches)
    statuses = [file.status for batch in batches for file in batch.files]
    assert statuses.count(FileStatus.PROCESSED) > len(statuses) / 2
    assert {FileStatus.FAILED, FileStatus.PROCESSING} < set(statuses)
    atlas = [sandbox.atlas.get_batch(batch) for batch in sandbox.atlas.batch_ids]
    assert [len(batch.documents) for batch in atlas[:3]] == [120, 13, 10]
    assert len(atlas[3:]) == 2 * 12
    assert any(document.error_code for batch in atlas for document in batch.documents)
    assert [document.is_extracted for document in atlas[2].documents] == [True, False] * 5


def test_demo_second_call_adds_documents_under_the_same_settings(control: Control) -> None:
    # given
    first = control("POST", "/demo").json()
    settings = control("GET", "/settings").json()

    # when
    second = control("POST", "/demo").json()

    # then
    assert control("GET", "/settings").json() == settings
    assert second["extracta"]["files"] > first["extracta"]["files"]
    assert second["classification"]["files"] > first["classification"]["files"]
    assert second["atlas"]["documents"] > first["atlas"]["documents"]
    assert second["extracta"]["pending_files"] > first["extracta"]["pending_files"]


def test_settings_list_every_template_and_batch(sandbox: Sandbox, url: str, control: Control) -> None:
    # given
    sandbox.extracta.create("Invoices", ("total",), "invoices")
    sandbox.classification.create("Mail", (), "mail")
    sandbox.classification.upload("mail", [NewFile("a.pdf", 0)], "batch")
    sandbox.atlas.submit([NewDocument("1", 0)], batch_id="B")

    # when
    settings = control("GET", "/settings").json()

    # then
    assert settings == sandbox.build_settings(url)
    assert settings == {
        "extracta": {
            "api_key": "sandbox-extracta-key",
            "base_url": f"{url}/extracta/api/v1",
            "extraction_ids": ["invoices"],
            "classification_ids": ["mail"],
            "classification_batches": ["mail/batch"],
            "seconds_between_requests": 0.0,
        },
        "atlas": {
            "client_id": "sandbox-atlas-client",
            "client_secret": "sandbox-atlas-secret",
            "base_url": f"{url}/atlas/v1/bulk",
            "batch_ids": ["B"],
        },
        "docmap": {**sandbox.credentials["docmap"], "base_url": f"{url}/docmap/v1"},
        "sensible": {"api_key": "sandbox-sensible-key", "base_url": f"{url}/sensible/v0"},
    }
