"""Whole syncs of spaced and throttled providers: what a request may cost, and whom a wait may hold up."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

import pytest

from docextract_sandbox import DocumentType, ExtractionReference, Fault, NewFile, Sandbox
from source_docextract import SourceDocextract
from source_docextract.http.rate_limit import RateLimiter, RetryPolicy
from unit_tests.support.concurrency import OTHERS, fill_sandbox
from unit_tests.support.harness import Connection, create_frozen_sandbox, frozen_sandbox, log
from unit_tests.support.memory_network import MEMORY_URL, MemoryNetwork

INTERVAL = 0.2
"""Seconds between two requests to one of Extracta's result endpoints."""

PERSISTENT_RETRY_POLICY = RetryPolicy(max_tries=30, first_wait=0.01, max_wait=0.02)


def add_both_products(sandbox: Sandbox) -> dict[str, Any]:
    """Batches that are found, that are named, and that classification points at."""
    template, referenced_template = (
        sandbox.extracta.create("Invoices", ["vendor"]),
        sandbox.extracta.create("Bills", ["vendor"]),
    )
    for number in range(5):
        sandbox.extracta.upload(template, [NewFile(f"{number}.pdf", 0, {"vendor": "Acme"})])
    mail = sandbox.classification.create("Mail", [DocumentType("bill", extraction_id=referenced_template)])
    paths = []
    for number in range(5):
        batch = sandbox.extracta.upload(referenced_template, [NewFile(f"{number}.pdf", 0, {"vendor": "Acme"})])
        reference = ExtractionReference(referenced_template, batch, sandbox.extracta.get_batch(batch).files[0].file_id)
        scan = NewFile("m.pdf", 0, {"documentType": "bill", "confidence": 0.5}, reference=reference)
        paths.append(f"{mail}/{sandbox.classification.upload(mail, [scan])}")
    return {"extracta": {"extraction_ids": [template], "classification_batches": paths}, "max_in_flight": 20}


FAULTS_BY_NAME = {
    "none": [],
    "500": [Fault("status", "extracta.get*", times=6, share=0.5, status=500)],
    "429": [Fault("status", "extracta.get*", times=6, share=0.5, status=429)],
    "429 with Retry-After": [Fault("status", "extracta.get*", times=6, status=429, headers={"Retry-After": "0"})],
    "broken connections": [Fault("reset", "extracta.get*", times=6, share=0.5)],
}


@pytest.mark.sample(2)
@pytest.mark.parametrize("trouble", FAULTS_BY_NAME)
def test_spacing_with_any_faults_is_kept(trouble: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original_left = RateLimiter.record_sent
    first: list[float] = []

    def watched(self: RateLimiter) -> None:
        if self._interval:
            first.append(time.monotonic())
        original_left(self)

    monkeypatch.setattr(RateLimiter, "record_sent", watched)
    with frozen_sandbox() as (sandbox, url):
        connection = Connection(sandbox, url, add_both_products(sandbox))
        connection.source = SourceDocextract(now=sandbox.clock.now, retry_policy=PERSISTENT_RETRY_POLICY)
        connection.settings["extracta"]["seconds_between_requests"] = INTERVAL
        with sandbox.faults.apply_only(*FAULTS_BY_NAME[trouble]):
            synced = connection.sync()

        assert set(synced.final_statuses.values()) == {"COMPLETE"}
        arrivals = defaultdict(list)
        for entry in sandbox.journal.entries:
            arrivals[entry.endpoint].append(entry.arrived_at)
        assert len(arrivals["extracta.getBatchResults"]) >= 10
        assert len(arrivals["extracta.getResults"]) >= 5
        tries = sum(map(len, arrivals.values())) - 1
        assert tries == 15 if trouble == "none" else tries > 15
        for endpoint in ("extracta.getBatchResults", "extracta.getResults"):
            # Counted from the first that left: a busy machine makes later ones late, and the gaps behind these short.
            times = sorted(arrivals[endpoint])
            assert all(arrival >= first[0] + number * INTERVAL for number, arrival in enumerate(times)), (
                endpoint,
                times,
            )


def test_spacing_hundred_requests_wait_no_longer_than_required() -> None:
    """By a clock that is moved by waiting alone."""
    sandbox = create_frozen_sandbox(spacing=2)
    template = sandbox.extracta.create("Invoices", ["vendor"])
    for number in range(100):
        sandbox.extracta.upload(template, [NewFile(f"{number}.pdf", 0, {"vendor": "Acme"})])
    network = MemoryNetwork(sandbox)
    settings = {"extracta": {"extraction_ids": [template], "seconds_between_requests": 2}}
    connection = Connection(sandbox, MEMORY_URL, settings, network=network)

    synced = connection.sync()

    assert synced.requests == {"extracta.viewExtraction": 1, "extracta.getBatchResults": 100}
    assert 2 * 99 <= network.monotonic() <= 2 * 99 * 1.05
    network.close()


@pytest.mark.sample(2)
@pytest.mark.parametrize("host", ["extracta", *OTHERS])
def test_throttled_provider_delays_no_other_provider(host: str) -> None:
    with frozen_sandbox() as (sandbox, url):
        connection = Connection(sandbox, url, fill_sandbox(sandbox))
        connection.settings["extracta"]["seconds_between_requests"] = 0
        others = {stream for stream in connection.streams if not stream.startswith(host)}
        ended: dict[str, str] = {}
        with sandbox.faults.apply_only(Fault("status", f"{host}.*", status=429, headers={"Retry-After": "60"})):
            reading = connection.source.read(log, connection.settings, connection.catalog(), [])
            for message in reading:
                if message.trace and message.trace.stream_status:
                    status = message.trace.stream_status
                    ended[status.stream_descriptor.name] = status.status.value
                if all(ended.get(stream) == "COMPLETE" for stream in others):
                    break
            reading.close()

        assert {stream for stream, status in ended.items() if status == "COMPLETE"} == others
        sent_requests = [entry for entry in sandbox.journal.entries if entry.endpoint.startswith(host)]
        # All this while it was left alone: nothing that it refused was asked for once more.
        assert {entry.status for entry in sent_requests} == {429}
        assert len(
            {(entry.endpoint, repr(entry.body), repr(entry.query), repr(entry.path_params)) for entry in sent_requests}
        ) == len(sent_requests)
