"""All providers in one sync: none waits for another, and one that is slow or down holds up nobody."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from harness import Connection, log, world

from sandbox import DocumentType, Fault, NewDocument, NewExtraction, NewFile, Sandbox, SensibleDocument

SPACING = 120.0
"""Seconds between two requests to one of Extracta's result endpoints: more than all else takes on a busy machine."""

ENDPOINTS = {"extracta.getBatchResults", "extracta.getResults"}
OTHERS = ("docmap", "sensible", "atlas")


def fill(sandbox: Sandbox) -> dict[str, Any]:
    """Documents of all five products, and the settings that bring them."""
    template = sandbox.extracta.create("Invoices", ["vendor"])
    for n in range(4):
        sandbox.extracta.upload(template, [NewFile(f"{n}.pdf", 0, {"vendor": "Acme"})])
    mail = sandbox.classification.create("Mail", [DocumentType("other")])
    sorted_mail = NewFile("m.pdf", seconds=0, result={"documentType": "other", "confidence": 0.5})
    paths = [f"{mail}/{sandbox.classification.upload(mail, [sorted_mail])}" for _ in range(2)]
    invoices = sandbox.docmap.template("Invoices")
    sandbox.docmap.run(invoices, [NewExtraction(f"{n}.pdf", 0, {"n": n}) for n in range(50)], "run 1")
    sandbox.sensible.document_type("claims")
    claims = sandbox.sensible.batch([SensibleDocument(f"{n}.pdf", 0) for n in range(250)], "claims")
    for place in range(250):
        sandbox.sensible.upload(claims, place)
    data = {"document_type": "PAN", "name": {"value": "ASHA", "confidence_score": 0.9}}
    batch = sandbox.atlas.submit([NewDocument(f"{n}", 0, data) for n in range(250)])
    return {
        "extracta": {
            "extraction_ids": [template],
            "classification_batches": paths,
            "seconds_between_requests": SPACING,
        },
        "docmap": {},
        "sensible": {},
        "atlas": {"batch_ids": [batch]},
    }


def test_a_spaced_provider_holds_up_no_other() -> None:
    """All that they have is read while Extracta waits for its second turn, at each of its two result endpoints."""
    with world() as (sandbox, url):
        connection = Connection(sandbox, url, fill(sandbox))
        ended: dict[str, str] = {}
        others = {stream for stream in connection.streams if stream.startswith(OTHERS)}
        reading = connection.source.read(log, connection.settings, connection.catalog(), [])
        for message in reading:
            if message.trace and message.trace.stream_status:
                status = message.trace.stream_status
                ended[status.stream_descriptor.name] = status.status.value
            is_read = all(ended.get(stream) == "COMPLETE" for stream in others)
            if is_read and len(ENDPOINTS & (requests := sandbox.journal.counts()).keys()) == 2:
                break
        reading.close()

    assert {stream for stream, status in ended.items() if status == "COMPLETE"} == others
    assert requests["sensible.document"] == 250
    assert [requests[endpoint] for endpoint in ENDPOINTS] == [1, 1]


@pytest.mark.parametrize("down", ["extracta", *OTHERS])
def test_a_provider_that_is_down_costs_its_own_streams_alone(down: str) -> None:
    with world() as (sandbox, url):
        connection = Connection(sandbox, url, fill(sandbox))
        connection.settings["extracta"]["seconds_between_requests"] = 0
        with sandbox.faults.during(Fault("status", f"{down}.*", status=503)):
            synced = connection.sync()

        assert {stream.startswith(down) for stream, end in synced.ends.items() if end == "INCOMPLETE"} == {True}
        assert {stream.startswith(down) for stream, end in synced.ends.items() if end == "COMPLETE"} == {False}
        assert all(stream.startswith(down) == (stream not in synced.counts) for stream in synced.ends)
        healed = connection.sync()
        assert set(healed.ends.values()) == {"COMPLETE"}
        assert {stream for stream in healed.ends if stream.startswith(down)} == set(healed.counts)


def test_a_reader_who_walks_away_leaves_no_thread_behind(served: tuple[Sandbox, str]) -> None:
    connection = Connection(*served, fill(served[0]))
    before = set(threading.enumerate())
    reading = connection.source.read(log, connection.settings, connection.catalog(), [])
    for message in reading:
        if message.record:
            break
    reading.close()

    names = ("Extracta", "DocMap", "Sensible", "Atlas")
    patience = time.monotonic() + 30
    while ours := [one for one in set(threading.enumerate()) - before if one.name.startswith(names)]:
        assert time.monotonic() < patience, ours
        time.sleep(0.01)


@pytest.mark.parametrize("wrong", ["extracta", *OTHERS])
def test_check_names_the_provider_that_fails_and_costs_little(wrong: str) -> None:
    with world() as (sandbox, url):
        connection = Connection(sandbox, url, fill(sandbox))
        good = connection.source.check(None, connection.settings)  # type: ignore[arg-type]
        requests = sandbox.journal.counts()
        key = "client_secret" if wrong == "atlas" else "api_key"
        connection.settings[wrong][key] = "wrong-wrong-wrong"

        bad = connection.source.check(None, connection.settings)  # type: ignore[arg-type]

        assert good.status.value == "SUCCEEDED"
        assert requests == {
            "extracta.viewExtraction": 1,
            "extracta.getResults": 1,
            "docmap.usage": 1,
            "sensible.document_types": 1,
            "atlas.authtoken": 1,
            "atlas.extracts": 1,
        }
        assert bad.status.value == "FAILED"
        assert wrong in str(bad.message).lower()
        assert "wrong-wrong-wrong" not in str(bad.message)
        assert all(other not in str(bad.message).lower() for other in ("extracta", *OTHERS) if other != wrong)
