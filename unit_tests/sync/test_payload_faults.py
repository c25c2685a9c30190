"""Valid JSON with corrupted content: no crash, and no dropped document.

A corrupted response that is consistent in itself cannot be recognized, so its content may be delivered. The connector
promises this:

1. Each stream ends with one status, and incomplete streams give the reason in sentences.
2. A complete stream has not dropped a document: each batch that it calls complete has all its files, and a list by
   creation time has all its rows.
3. One sync after the responses are good again, no row of the baseline is absent and each has its content, except what
   is settled and never requested again (`_may_remain`). The next sync emits nothing.
4. Further rows were emitted under an id that a corrupted response gave (`_has_wrong_id`).

The parts of a Sensible document stay as in the response that called it complete (`_matches_wrong_response`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

import pytest
from airbyte_cdk.models import FailureType

from docextract_sandbox import Fault, JournalEntry
from docextract_sandbox.faults import PAYLOAD_FAULTS
from unit_tests.support.fault_matrix import (
    PRODUCTS_BY_ENDPOINT,
    FaultScenario,
    collect_stream_errors,
    fault_scenario,
    get_provider,
    under_faults,
)
from unit_tests.support.harness import Connection, SyncResult, has_same_content


@pytest.fixture(scope="module")
def fault_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultScenario]:
    # A wrong look lasts until the next one: with looks that thin out, longer than these syncs.
    with fault_scenario(tmp_path_factory.mktemp("weather"), lookback_checks="every_sync") as scenario:
        yield scenario


LIST_MARKER = '"dateFrom"'
ROW_FIELDS = {
    "id": "new extraction",
    "templateId": "notes",
    "status": "completed",
    "extractedData": {},
    "createdAt": "2026-11-29T08:00:00.000Z",
}
SUMMARY = {"id": "x", "status": "COMPLETE", "type": "claims", "created": "2026-11-29T08:00:00.000Z"}
DOCUMENT = {**SUMMARY, "id": "new document", "parsed_document": {}}
_LAST_LISTED_DAY = "2026-11-26"
"""The day from which on the sync of 2026-11-29 reads lists by time again: three days of lookback."""
INVALID_ID_TEXT, UNREADABLE_ROW_TEXT = (
    "is neither text nor a whole number.",
    "cannot be read; the others are delivered.",
)

UNREADABLE: list[tuple[str, str, Any, str]] = [
    *(
        ("extracta.getBatchResults", "new batch", body, message_text)
        for body, message_text in (
            ([], "is not a JSON object."),
            ('"text"', "is not a JSON object."),
            (7, "is not a JSON object."),
            ("null", "is not a JSON object."),
            ({"files": {}}, "are not a list."),
            ({"files": [7, None]}, "2 of the files of"),
            ({"files": [{"fileId": ["f"]}]}, UNREADABLE_ROW_TEXT),
            ({"error": "Oops."}, "reports an error for"),
        )
    ),
    ("extracta.viewExtraction", "", {"extractionDetails": []}, "is not a JSON object."),
    ("extracta.viewExtraction", "", {"extractionDetails": {"batches": []}}, "is not a JSON object."),
    ("extracta.viewClassification", "", {"classificationDetails": 7}, "is not a JSON object."),
    ("extracta.getResults", "new mail", {"files": [{"fileId": "f", "extraction": "x"}]}, UNREADABLE_ROW_TEXT),
    (
        "extracta.getResults",
        "new mail",
        {"files": [{"extraction": {"extractionId": [], "batchId": "b"}}]},
        UNREADABLE_ROW_TEXT,
    ),
    ("docmap.extractions", LIST_MARKER, {"data": [{**ROW_FIELDS, "id": []}], "hasMore": False}, UNREADABLE_ROW_TEXT),
    ("docmap.extractions", LIST_MARKER, {"data": [{**ROW_FIELDS, "runId": {}}], "hasMore": False}, UNREADABLE_ROW_TEXT),
    ("docmap.extraction", "", {"data": ROW_FIELDS}, "is about another extraction."),
    ("sensible.document_types", "", [{"name": "claims"}], "'claims' is not in the readable part."),
    ("sensible.extractions", "", {"extractions": [SUMMARY] * 3}, "does not say whether there is more."),
    ("sensible.extractions", "", {"extractions": [], "continuation_token": {}}, INVALID_ID_TEXT),
    (
        "sensible.extractions",
        "",
        {"extractions": [{**SUMMARY, "id": True}], "continuation_token": None},
        UNREADABLE_ROW_TEXT,
    ),
    ("sensible.document", "new document", {**DOCUMENT, "documents": 7}, "contains no list of documents."),
    ("sensible.document", "new document", {**DOCUMENT, "types": ["claims"]}, "contains no list of documents."),
    ("sensible.document", "new document", {**DOCUMENT, "batchId": ["b"]}, INVALID_ID_TEXT),
    ("sensible.batch", "new batch", {"extraction_ids": [["x"], None]}, "2 of the extraction_ids of"),
    ("sensible.batch", "new batch", {"extraction_ids": 7}, "contains no list of extraction_ids."),
    ("atlas.extracts", "new batch", {"data": [{"document_id": {}, "file_data": {}}]}, UNREADABLE_ROW_TEXT),
    ("atlas.authtoken", "", {"expires_in": 3600}, "contains no access_token."),
]


def build_unreadable_rounds() -> list[tuple[tuple[str, str, Any, str], ...]]:
    """Return rounds with one unreadable response of each provider, which do not affect each other."""
    cases_by_provider: dict[str, list[tuple[str, str, Any, str]]] = {}
    for case in UNREADABLE:
        cases_by_provider.setdefault(case[0].split(".")[0], []).append(case)
    return [tuple(filter(None, cases)) for cases in zip_longest(*cases_by_provider.values())]


@pytest.mark.parametrize("cases", build_unreadable_rounds(), ids=str)
def test_unreadable_response_fails_with_a_message(
    fault_world: FaultScenario, cases: tuple[tuple[str, str, Any, str], ...]
) -> None:
    connection = fault_world.first_day_connection()
    faults = [Fault("status", endpoint, about=target, status=200, body=body) for endpoint, target, body, _ in cases]
    with under_faults(fault_world, *faults):
        synced = connection.sync()

    reasons = collect_stream_errors(synced, FailureType.system_error)
    for endpoint, _, body, expected_text in cases:
        provider = endpoint.split(".")[0]
        reasons_of_provider = {
            stream: reasons.pop(stream) for stream in list(reasons) if get_provider(stream) == provider
        }
        products = {stream.rsplit("_", 1)[0] for stream in reasons_of_provider}
        assert products, (endpoint, body)
        assert products <= PRODUCTS_BY_ENDPOINT[endpoint], (endpoint, body)
        assert all(expected_text in reason for reason in reasons_of_provider.values()), (endpoint, body)
    assert not reasons
    recovery_sync = connection.sync()
    assert set(recovery_sync.final_statuses.values()) == {"COMPLETE"}, recovery_sync.error
    fault_world.assert_recovered(connection)


def test_sensible_document_behind_its_listing_is_requested_again(fault_world: FaultScenario) -> None:
    connection = fault_world.first_day_connection()
    incomplete_document = {key: value for key, value in DOCUMENT.items() if key != "parsed_document"}
    with under_faults(
        fault_world,
        Fault(
            "status",
            "sensible.document",
            about="new document",
            status=200,
            body={**incomplete_document, "status": "PROCESSING"},
        ),
    ):
        synced = connection.sync()

    assert set(synced.final_statuses.values()) == {"COMPLETE"}
    assert connection.warehouse["sensible_files"]["new document"]["status"] == "pending"
    assert connection.sync().ids("sensible_results") == ["new document"]
    fault_world.assert_recovered(connection)


TIMES = [pytest.param(1, id=""), pytest.param(4, id="often", marks=pytest.mark.long)]


@pytest.mark.sample
@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("kind", PAYLOAD_FAULTS)
@pytest.mark.parametrize("endpoint", PRODUCTS_BY_ENDPOINT)
def test_sync_corrupted_responses_lose_no_rows(
    fault_world: FaultScenario, endpoint: str, kind: Any, times: int
) -> None:
    for attempt in range(times):
        fault_world.sandbox.faults.random.seed(f"{endpoint} {kind} {attempt}")
        connection = fault_world.first_day_connection()
        connection.settings["max_in_flight"] = 1  # so that each run corrupts the same responses in the same way
        with under_faults(fault_world, Fault(kind, endpoint)):
            synced = connection.sync()
        corrupted_entries = [entry for entry in fault_world.sandbox.journal.entries if entry.fault_kind]

        assert corrupted_entries
        assert_orderly(synced)
        assert_nothing_dropped(fault_world, connection, synced)
        recovery_sync = connection.sync()
        assert set(recovery_sync.final_statuses.values()) == {"COMPLETE"}, recovery_sync.error
        assert_recovered(fault_world, connection, corrupted_entries)
        assert connection.sync().counts == {}


SEEDS = [pytest.param(seed, marks=() if seed < 4 else pytest.mark.long) for seed in range(48)]


@pytest.mark.parametrize("seed", SEEDS)
def test_sync_after_days_of_corrupted_responses_is_complete(fault_world: FaultScenario, seed: int) -> None:
    fault_world.sandbox.faults.random.seed(seed)
    connection = fault_world.first_day_connection()
    connection.settings["max_in_flight"] = 1
    endpoints = ("extracta.*", "docmap.*", "sensible.*", "atlas.*")[seed % 4]
    share = (0.2, 0.3, 0.4)[seed % 3] / len(PAYLOAD_FAULTS)
    corrupted_entries: list[JournalEntry] = []
    for _ in range(3):
        with under_faults(fault_world, *(Fault(kind, endpoints, share=share) for kind in PAYLOAD_FAULTS)):
            assert_orderly(connection.sync())
        corrupted_entries += (entry for entry in fault_world.sandbox.journal.entries if entry.fault_kind)

    assert corrupted_entries
    assert set(connection.sync().final_statuses.values()) == {"COMPLETE"}
    assert_recovered(fault_world, connection, corrupted_entries)
    assert connection.sync().counts == {}


def assert_orderly(synced: SyncResult) -> None:
    final_statuses = [statuses[-1] for statuses in synced.statuses.values()]
    assert set(final_statuses) <= {"COMPLETE", "INCOMPLETE"}
    assert all(len({"COMPLETE", "INCOMPLETE"} & {*statuses[:-1]}) == 0 for statuses in synced.statuses.values())
    assert (synced.error is not None) == ("INCOMPLETE" in final_statuses)
    if synced.error:
        collect_stream_errors(synced, *FailureType)


def assert_nothing_dropped(fault_world: FaultScenario, connection: Connection, synced: SyncResult) -> None:
    for stream, end in synced.final_statuses.items():
        product, kind = stream.rsplit("_", 1)
        if kind != "files" or end != "COMPLETE":
            continue
        expected, stored_rows = fault_world.baseline.warehouse[stream], connection.warehouse[stream]
        if product in {"docmap", "sensible"}:
            assert expected.keys() <= stored_rows.keys()
            continue
        batches = connection.warehouse[f"{product}_batches"].values()
        complete = {row["id"] for row in batches if row["status"] == "complete"}
        files, expected_counts = (
            Counter(row["batch_key"] for row in rows.values()) for rows in (stored_rows, expected)
        )
        assert all(files[batch] >= expected_counts[batch] for batch in complete), stream


def assert_recovered(fault_world: FaultScenario, connection: Connection, corrupted_sync: list[JournalEntry]) -> None:
    requested_ids = {word for entry in corrupted_sync for word in (*entry.path_params.values(), *entry.query.values())}
    for stream, expected in fault_world.baseline.warehouse.items():
        stored_rows = connection.warehouse[stream]
        for key, row in expected.items():
            if key not in stored_rows:
                assert _matches_wrong_response(stream, row, requested_ids), (stream, row)
                continue
            assert has_same_content(stored_rows[key], row) or _may_remain(
                fault_world, connection, stream, row, stored_rows[key], requested_ids=requested_ids
            ), (stream, stored_rows[key], row)
        for key in stored_rows.keys() - expected.keys():
            is_made_up = _matches_wrong_response(stream, stored_rows[key], requested_ids) or _has_wrong_id(
                fault_world, connection, stream, stored_rows[key]
            )
            assert is_made_up, (stream, stored_rows[key])


def _matches_wrong_response(stream: str, row: dict[str, Any], requested_ids: set[str]) -> bool:
    """Return whether a corrupted response called the row's document complete.

    Sensible's documents are not requested again then.
    """
    is_part = stream == "sensible_fields" or (stream == "sensible_results" and row["document_index"])
    return bool(is_part) and row["file_key"] in requested_ids


def _may_remain(
    fault_world: FaultScenario,
    connection: Connection,
    stream: str,
    row: dict[str, Any],
    stored_row: dict[str, Any],
    *,
    requested_ids: set[str],
) -> bool:
    """Return whether one corrupted response settled a row for good.

    Its list shows no change, so nothing makes it due again.
    """
    if stream in {"docmap_batches", "sensible_batches"}:
        return row["batch_id"] in requested_ids
    if stream.startswith("docmap"):
        # Older than the lookback: only the answer about its run shows it, and that run is settled by now.
        file = fault_world.baseline.warehouse["docmap_files"][row.get("file_key", row["id"])]
        is_of_settled_run = file["batch_key"] in requested_ids and file["created_at"] < _LAST_LISTED_DAY
        # Taken for an extraction of no template, which is another one. No list shows that one, so a corrupted response
        # to its id is not corrected.
        is_other_one = file["id"] in requested_ids and _is_known_without_template(connection, file["id"])
        return stored_row["template_id"] is None or is_other_one or is_of_settled_run
    return stream.startswith("sensible") and row.get("file_key", row["id"]) in requested_ids


def _is_known_without_template(connection: Connection, extraction_id: str) -> bool:
    state_json = connection.get_state_json("docmap_files")
    sections = [state_json.get(section, {}).get("", {}) for section in ("open", "settled", "stalled", "missing")]
    return any(extraction_id in entries for section in sections for entries in section.values())


def _has_wrong_id(fault_world: FaultScenario, connection: Connection, stream: str, row: dict[str, Any]) -> bool:
    """Return whether a row has an id from a corrupted response.

    That is a number, a file name or none.

    Field rows that were read before are recognized by their digest.
    """
    product, kind = stream.rsplit("_", 1)
    files, results = (connection.warehouse[f"{product}_{table_kind}"] for table_kind in ("files", "results"))
    file = files.get(row.get("file_key") or row["id"], {})
    if file and file["file_id"] is None:
        return True
    if kind == "fields" and results.get(row["result_key"], {}).get("digest") != row["digest"]:
        return True
    healthy = fault_world.baseline.warehouse["atlas_files"].get(file.get("id", ""), {})
    # A corrupted response gave data of a document that is not extracted yet.
    if healthy.get("status") == "pending":
        return True
    return "7" in re.split(r"[/#]", row["id"])
