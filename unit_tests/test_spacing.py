"""Whole syncs of spaced and throttled providers: what a request may cost, and whom a wait may hold up."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
from harness import Connection, log, world
from test_side_by_side import OTHERS, fill

from sandbox import DocumentType, Fault, Link, NewFile, Sandbox
from source_docextract import SourceDocextract
from source_docextract.pacing import Lane, Patience

INTERVAL = 0.2
"""Seconds between two requests to one of Extracta's result endpoints."""

STUBBORN = Patience(tries=30, first_wait=0.01, longest_wait=0.02)


def both_products(sandbox: Sandbox) -> dict[str, Any]:
    """Batches that are found, that are named, and that classification points at."""
    template, linked = sandbox.extracta.create("Invoices", ["vendor"]), sandbox.extracta.create("Bills", ["vendor"])
    for n in range(5):
        sandbox.extracta.upload(template, [NewFile(f"{n}.pdf", 0, {"vendor": "Acme"})])
    mail = sandbox.classification.create("Mail", [DocumentType("bill", extraction_id=linked)])
    paths = []
    for n in range(5):
        batch = sandbox.extracta.upload(linked, [NewFile(f"{n}.pdf", 0, {"vendor": "Acme"})])
        link = Link(linked, batch, sandbox.extracta.batch(batch).files[0].file_id)
        scan = NewFile("m.pdf", 0, {"documentType": "bill", "confidence": 0.5}, link=link)
        paths.append(f"{mail}/{sandbox.classification.upload(mail, [scan])}")
    return {"extracta": {"extraction_ids": [template], "classification_batches": paths}, "max_in_flight": 20}


TROUBLES = {
    "none": [],
    "500": [Fault("status", "extracta.get*", times=6, share=0.5, status=500)],
    "429": [Fault("status", "extracta.get*", times=6, share=0.5, status=429)],
    "429 with Retry-After": [Fault("status", "extracta.get*", times=6, status=429, headers={"Retry-After": "0"})],
    "broken connections": [Fault("reset", "extracta.get*", times=6, share=0.5)],
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_spacing_holds_whatever_happens(trouble: str, monkeypatch: pytest.MonkeyPatch) -> None:
    left = Lane.left
    first: list[float] = []

    def watched(self: Lane) -> None:
        if self._interval:
            first.append(time.monotonic())
        left(self)

    monkeypatch.setattr(Lane, "left", watched)
    with world() as (sandbox, url):
        connection = Connection(sandbox, url, both_products(sandbox))
        connection.source = SourceDocextract(now=sandbox.clock.now, patience=STUBBORN)
        connection.settings["extracta"]["seconds_between_requests"] = INTERVAL
        with sandbox.faults.during(*TROUBLES[trouble]):
            synced = connection.sync()

        assert set(synced.ends.values()) == {"COMPLETE"}
        arrivals = defaultdict(list)
        for entry in sandbox.journal.entries:
            arrivals[entry.endpoint].append(entry.at)
        assert len(arrivals["extracta.getBatchResults"]) >= 10
        assert len(arrivals["extracta.getResults"]) >= 5
        tries = sum(map(len, arrivals.values())) - 1
        assert tries == 15 if trouble == "none" else tries > 15
        for endpoint in ("extracta.getBatchResults", "extracta.getResults"):
            # Counted from the first that left: a busy machine makes later ones late, and the gaps behind these short.
            times = sorted(arrivals[endpoint])
            assert all(at >= first[0] + n * INTERVAL for n, at in enumerate(times)), (endpoint, times)


def test_a_spaced_request_costs_its_gap_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that is moved by waiting alone."""

    async def sleep(seconds: float) -> None:
        now[0] += seconds
        await asyncio.sleep(0)

    now = [0.0]
    instead = SimpleNamespace(Lock=asyncio.Lock, Semaphore=asyncio.Semaphore, sleep=sleep)
    monkeypatch.setattr("source_docextract.pacing.asyncio", instead)
    monkeypatch.setattr("source_docextract.pacing.time", SimpleNamespace(monotonic=lambda: now[0]))
    with world() as (sandbox, url):
        template = sandbox.extracta.create("Invoices", ["vendor"])
        for n in range(100):
            sandbox.extracta.upload(template, [NewFile(f"{n}.pdf", 0, {"vendor": "Acme"})])
        connection = Connection(sandbox, url, {"extracta": {"extraction_ids": [template]}})
        connection.settings["extracta"]["seconds_between_requests"] = 2

        synced = connection.sync()

        assert synced.requests == {"extracta.viewExtraction": 1, "extracta.getBatchResults": 100}
        assert 2 * 99 <= now[0] <= 2 * 99 * 1.05


@pytest.mark.parametrize("host", ["extracta", *OTHERS])
def test_a_throttled_provider_holds_nobody_of_another(host: str) -> None:
    with world() as (sandbox, url):
        connection = Connection(sandbox, url, fill(sandbox))
        connection.settings["extracta"]["seconds_between_requests"] = 0
        others = {stream for stream in connection.streams if not stream.startswith(host)}
        ended: dict[str, str] = {}
        with sandbox.faults.during(Fault("status", f"{host}.*", status=429, headers={"Retry-After": "60"})):
            reading = connection.source.read(log, connection.settings, connection.catalog(), [])
            for message in reading:
                if message.trace and message.trace.stream_status:
                    status = message.trace.stream_status
                    ended[status.stream_descriptor.name] = status.status.value
                if all(ended.get(stream) == "COMPLETE" for stream in others):
                    break
            reading.close()

        assert {stream for stream, status in ended.items() if status == "COMPLETE"} == others
        asked = [entry for entry in sandbox.journal.entries if entry.endpoint.startswith(host)]
        # All this while it was left alone: nothing that it refused was asked for once more.
        assert {entry.status for entry in asked} == {429}
        assert len({(entry.endpoint, repr(entry.body), repr(entry.query), repr(entry.path)) for entry in asked}) == len(
            asked
        )
