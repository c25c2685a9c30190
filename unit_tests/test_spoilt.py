"""Answers that are good JSON with something wrong in it: never a crash, nothing dropped, nothing wrongly done.

What a spoilt answer says may be delivered where it is consistent in itself; nobody could tell. So this is promised:

1. Each stream ends with one status; those that are incomplete tell why in sentences.
2. A stream that is complete has not dropped a document: of a batch that it calls complete it has as many files as there
   are, and of a list by time all that it shows.
3. When the answers are good again, one sync later no row of good weather is missing, and each is as it should be, but
   for what is never asked for again because it was settled (`_may_stay`). The next sync delivers nothing.
4. What is there beside has been delivered under what a spoilt answer gave for its name (`_is_misnamed`).

Parts of a document of Sensible's are as its answer told when that said that it is complete (`_is_as_once_told`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from airbyte_cdk.models import FailureType
from harness import Connection, Synced, is_same
from weather import CONCERNED, Weather, meeting, told, weather

from sandbox import Entry, Fault
from sandbox.faults import SPOILT


@pytest.fixture(scope="module")
def skies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weather]:
    with weather(tmp_path_factory.mktemp("weather")) as here:
        yield here


LISTED = '"dateFrom"'
ROW = {
    "id": "new extraction",
    "templateId": "notes",
    "status": "completed",
    "extractedData": {},
    "createdAt": "2026-11-29T08:00:00.000Z",
}
SUMMARY = {"id": "x", "status": "COMPLETE", "type": "claims", "created": "2026-11-29T08:00:00.000Z"}
DOCUMENT = {**SUMMARY, "id": "new document", "parsed_document": {}}
_LISTED_AGAIN = "2026-11-26"
"""The day from which on the sync of 2026-11-29 reads lists by time again: three days of lookback."""
NO_ID, LEFT_OUT = "is neither text nor a whole number.", "cannot be read; the rest was delivered."

UNREADABLE: list[tuple[str, str, Any, str]] = [
    *(
        ("extracta.getBatchResults", "new batch", body, words)
        for body, words in (
            ([], "is not a JSON object."),
            ('"text"', "is not a JSON object."),
            (7, "is not a JSON object."),
            ("null", "is not a JSON object."),
            ({"files": {}}, "are not a list."),
            ({"files": [7, None]}, "2 of the files of"),
            ({"files": [{"fileId": ["f"]}]}, LEFT_OUT),
            ({"error": "Oops."}, "told of a trouble with"),
        )
    ),
    ("extracta.viewExtraction", "", {"extractionDetails": []}, "is not a JSON object."),
    ("extracta.viewExtraction", "", {"extractionDetails": {"batches": []}}, "is not a JSON object."),
    ("extracta.viewClassification", "", {"classificationDetails": 7}, "is not a JSON object."),
    ("extracta.getResults", "new mail", {"files": [{"fileId": "f", "extraction": "x"}]}, LEFT_OUT),
    ("extracta.getResults", "new mail", {"files": [{"extraction": {"extractionId": [], "batchId": "b"}}]}, LEFT_OUT),
    ("docmap.extractions", LISTED, {"data": [{**ROW, "id": []}], "hasMore": False}, LEFT_OUT),
    ("docmap.extractions", LISTED, {"data": [{**ROW, "runId": {}}], "hasMore": False}, LEFT_OUT),
    ("docmap.extraction", "", {"data": ROW}, "is about another extraction."),
    ("sensible.document_types", "", [{"name": "claims"}], "'claims' is none of the others."),
    ("sensible.extractions", "", {"extractions": [SUMMARY] * 3}, "does not say whether there is more."),
    ("sensible.extractions", "", {"extractions": [], "continuation_token": {}}, NO_ID),
    ("sensible.extractions", "", {"extractions": [{**SUMMARY, "id": True}], "continuation_token": None}, LEFT_OUT),
    ("sensible.document", "new document", {**DOCUMENT, "documents": 7}, "holds no list of documents."),
    ("sensible.document", "new document", {**DOCUMENT, "types": ["claims"]}, "holds no list of documents."),
    ("sensible.document", "new document", {**DOCUMENT, "batchId": ["b"]}, NO_ID),
    ("sensible.batch", "new batch", {"extraction_ids": [["x"], None]}, "2 of the extraction_ids of"),
    ("sensible.batch", "new batch", {"extraction_ids": 7}, "holds no list of extraction_ids."),
    ("atlas.extracts", "new batch", {"data": [{"document_id": {}, "file_data": {}}]}, LEFT_OUT),
    ("atlas.authtoken", "", {"expires_in": 3600}, "holds no access_token."),
]


@pytest.mark.parametrize(("endpoint", "about", "body", "words"), UNREADABLE)
def test_an_answer_that_cannot_be_read_safely_fails_in_words(
    skies: Weather, endpoint: str, about: str, body: Any, words: str
) -> None:
    connection = skies.connection()
    with meeting(skies, Fault("status", endpoint, about=about, status=200, body=body)):
        synced = connection.sync()

    reasons = told(synced, FailureType.system_error)
    assert {stream.rsplit("_", 1)[0] for stream in reasons} <= CONCERNED[endpoint]
    assert all(words in reason for reason in reasons.values()), reasons
    assert reasons
    healed = connection.sync()
    assert set(healed.ends.values()) == {"COMPLETE"}, healed.error
    skies.is_whole(connection)


def test_a_document_that_is_behind_its_summary_is_asked_for_again(skies: Weather) -> None:
    connection = skies.connection()
    behind = {key: value for key, value in DOCUMENT.items() if key != "parsed_document"}
    with meeting(
        skies,
        Fault("status", "sensible.document", about="new document", status=200, body={**behind, "status": "PROCESSING"}),
    ):
        synced = connection.sync()

    assert set(synced.ends.values()) == {"COMPLETE"}
    assert connection.warehouse["sensible_files"]["new document"]["status"] == "pending"
    assert connection.sync().ids("sensible_results") == ["new document"]
    skies.is_whole(connection)


TIMES = [pytest.param(1, id=""), pytest.param(10, id="often", marks=pytest.mark.long)]


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("kind", SPOILT)
@pytest.mark.parametrize("endpoint", CONCERNED)
def test_whatever_is_wrong_in_an_answer_nothing_is_dropped_and_nothing_wrongly_done(
    skies: Weather, endpoint: str, kind: Any, times: int
) -> None:
    for attempt in range(times):
        skies.sandbox.faults.random.seed(f"{endpoint} {kind} {attempt}")
        connection = skies.connection()
        connection.settings["max_in_flight"] = 1  # so that the same answer is spoilt the same way each time
        with meeting(skies, Fault(kind, endpoint)):
            synced = connection.sync()
        spoilt = [entry for entry in skies.sandbox.journal.entries if entry.fault]

        assert spoilt
        is_orderly(synced)
        has_dropped_nothing(skies, connection, synced)
        healed = connection.sync()
        assert set(healed.ends.values()) == {"COMPLETE"}, healed.error
        is_healed(skies, connection, spoilt)
        assert connection.sync().counts == {}


SEEDS = [pytest.param(seed, marks=() if seed < 8 else pytest.mark.long) for seed in range(48)]


@pytest.mark.parametrize("seed", SEEDS)
def test_after_days_of_spoilt_answers_nothing_is_missing(skies: Weather, seed: int) -> None:
    skies.sandbox.faults.random.seed(seed)
    connection = skies.connection()
    connection.settings["max_in_flight"] = 1
    endpoints = ("extracta.*", "docmap.*", "sensible.*", "atlas.*")[seed % 4]
    share = (0.2, 0.3, 0.4)[seed % 3] / len(SPOILT)
    spoilt: list[Entry] = []
    for _ in range(3):
        with meeting(skies, *(Fault(kind, endpoints, share=share) for kind in SPOILT)):
            is_orderly(connection.sync())
        spoilt += (entry for entry in skies.sandbox.journal.entries if entry.fault)

    assert spoilt
    assert set(connection.sync().ends.values()) == {"COMPLETE"}
    is_healed(skies, connection, spoilt)
    assert connection.sync().counts == {}


def is_orderly(synced: Synced) -> None:
    ends = [statuses[-1] for statuses in synced.statuses.values()]
    assert set(ends) <= {"COMPLETE", "INCOMPLETE"}
    assert all(len({"COMPLETE", "INCOMPLETE"} & {*statuses[:-1]}) == 0 for statuses in synced.statuses.values())
    assert (synced.error is not None) == ("INCOMPLETE" in ends)
    if synced.error:
        told(synced, *FailureType)


def has_dropped_nothing(skies: Weather, connection: Connection, synced: Synced) -> None:
    for stream, end in synced.ends.items():
        product, kind = stream.rsplit("_", 1)
        if kind != "files" or end != "COMPLETE":
            continue
        expected, held = skies.healthy.warehouse[stream], connection.warehouse[stream]
        if product in {"docmap", "sensible"}:
            assert expected.keys() <= held.keys()
            continue
        batches = connection.warehouse[f"{product}_batches"].values()
        complete = {row["id"] for row in batches if row["status"] == "complete"}
        files, there_are = (Counter(row["batch_key"] for row in rows.values()) for rows in (held, expected))
        assert all(files[batch] >= there_are[batch] for batch in complete), stream


def is_healed(skies: Weather, connection: Connection, spoilt: list[Entry]) -> None:
    asked = {word for entry in spoilt for word in (*entry.path.values(), *entry.query.values())}
    for stream, expected in skies.healthy.warehouse.items():
        held = connection.warehouse[stream]
        for key, row in expected.items():
            if key not in held:
                assert _is_as_once_told(stream, row, asked), (stream, row)
                continue
            assert is_same(held[key], row) or _may_stay(skies, stream, row, held[key], asked), (stream, held[key], row)
        for key in held.keys() - expected.keys():
            is_made_up = _is_as_once_told(stream, held[key], asked) or _is_misnamed(
                skies, connection, stream, held[key]
            )
            assert is_made_up, (stream, held[key])


def _is_as_once_told(stream: str, row: dict[str, Any], asked: set[str]) -> bool:
    """What a document of Sensible's told wrongly of itself when it said that it is complete: it is not asked again."""
    is_part = stream == "sensible_fields" or (stream == "sensible_results" and row["document_index"])
    return bool(is_part) and row["file_key"] in asked


def _may_stay(skies: Weather, stream: str, row: dict[str, Any], held: dict[str, Any], asked: set[str]) -> bool:
    """What is settled by one answer, which is never asked for again: its list says nothing new."""
    if stream in {"docmap_batches", "sensible_batches"}:
        return row["batch_id"] in asked
    if stream.startswith("docmap"):
        # Older than the lookback: only the answer about its run shows it, and that run is settled by now.
        file = skies.healthy.warehouse["docmap_files"][row.get("file_key", row["id"])]
        is_of_settled_run = file["batch_key"] in asked and file["created_at"] < _LISTED_AGAIN
        # Taken for an extraction of no template, which is another one.
        return held["template_id"] is None or is_of_settled_run
    return stream.startswith("sensible") and row.get("file_key", row["id"]) in asked


def _is_misnamed(skies: Weather, connection: Connection, stream: str, row: dict[str, Any]) -> bool:
    """Rows under another name than their own: a number for an id, or the file name, or none, where that is missing.

    Fields of what was read before are known by their digest.
    """
    product, kind = stream.rsplit("_", 1)
    files, results = (connection.warehouse[f"{product}_{one}"] for one in ("files", "results"))
    file = files.get(row.get("file_key") or row["id"], {})
    if file and file["file_id"] is None:
        return True
    if kind == "fields" and results.get(row["result_key"], {}).get("digest") != row["digest"]:
        return True
    healthy = skies.healthy.warehouse["atlas_files"].get(file.get("id", ""), {})
    if healthy.get("status") == "pending":  # a spoilt answer said of one that is not extracted yet what was read
        return True
    return "7" in re.split(r"[/#]", row["id"])
