"""Whole syncs through bad weather: a proxy before the sandbox that answers some requests by itself."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from airbyte_cdk.models import FailureType
from harness import Connection, log, world
from scripted import Answer, Seen, Server, reset, reset_in_the_middle, scripted

from sandbox import DocumentType, NewDocument, NewFile, Sandbox

Trouble = Callable[[Seen], Answer | None]


@dataclass
class Weather:
    """A connection whose requests pass through the proxy. `trouble` answers in the provider's stead, or lets pass."""

    connection: Connection
    sandbox: Sandbox
    server: Server
    names: dict[str, str]
    trouble: Trouble = lambda _seen: None

    def asked(self, word: str) -> int:
        """How many requests said this word, in their address or body."""
        return sum(word in seen.path or word.encode() in seen.body for seen in self.server.seen)


@contextmanager
def weather(**settings: Any) -> Iterator[Weather]:
    """Six batches of Extracta, one of classification, two of Atlas; all finished, all behind the proxy."""
    with world() as (sandbox, url):
        template = sandbox.extracta.create("Invoices", ["vendor"])
        names = {}
        for n in range(6):
            names[f"x{n}"] = sandbox.extracta.upload(template, [NewFile(f"{n}.pdf", 0, {"vendor": f"{n}"})])
        classification = sandbox.classification.create("Mail", [DocumentType("other")])
        mail = NewFile("m.pdf", seconds=0, result={"documentType": "other", "confidence": 0.5})
        names["c"] = sandbox.classification.upload(classification, [mail])
        data = {"document_type": "PAN", "name": {"value": "ASHA", "confidence_score": 0.9}}
        for n in range(2):
            names[f"a{n}"] = sandbox.atlas.submit([NewDocument(f"{i}", 0, data) for i in range(60)])
        extracta = {"extraction_ids": [template], "classification_batches": [f"{classification}/{names['c']}"]}
        sections = {"extracta": extracta, "atlas": {"batch_ids": [names["a0"], names["a1"]]}}
        connection = Connection(sandbox, url, {**sections, **settings})

        def answer(seen: Seen) -> Answer:
            return here.trouble(seen) or passed_on(url, seen)

        with scripted(answer) as server:
            for name, section in connection.settings.items():
                if name in sections:
                    section["base_url"] = section["base_url"].replace(url, server.url)
            here = Weather(connection, sandbox, server, names)
            yield here


def passed_on(url: str, seen: Seen) -> Answer:
    headers = {name: value for name, value in seen.headers.items() if name.lower() != "host"}
    answer = requests.request(seen.method, url + seen.path, headers=headers, data=seen.body, timeout=10)
    return answer.status_code, {}, answer.content


def about(word: str, answer: Answer, times: int = 1_000_000) -> Trouble:
    """Answers so to the first requests that say the word."""
    left = iter(range(times))

    def trouble(seen: Seen) -> Answer | None:
        if word in seen.path or word.encode() in seen.body:
            return answer if next(left, None) is not None else None
        return None

    return trouble


FAULTS: dict[str, Answer] = {
    "500": (500, {}, {"error": "Oops"}),
    "503": (503, {}, b""),
    "429": (429, {}, {"message": "Slow down"}),
    "429 with Retry-After": (429, {"Retry-After": "0"}, {"message": "Slow down"}),
    "reset": (0, {}, reset),
    "reset in the middle": (0, {}, reset_in_the_middle),
    "cut JSON": (200, {}, b'{"files": ['),
    "HTML": (200, {}, b"<html>Down for maintenance</html>"),
    "nothing": (200, {}, b""),
}

ENDPOINTS = {
    "viewExtraction": "extracta",
    "getBatchResults": "extracta",
    "getResults": "extracta",
    "authtoken": "atlas",
    "extracts": "atlas",
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_fault_that_passes_is_healed_within_the_sync(endpoint: str, fault: str) -> None:
    with weather() as here:
        here.trouble = about(endpoint, FAULTS[fault], times=2)

        synced = here.connection.sync()

        assert set(synced.ends.values()) == {"COMPLETE"}
        assert synced.counts["extracta_results"] == 6
        assert synced.counts["extracta_classification_results"] == 1
        assert synced.counts["atlas_results"] == 120
        assert here.connection.sync().counts == {}


@pytest.mark.parametrize("fault", ["500", "429", "reset", "HTML"])
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_fault_that_stays_costs_its_own_streams_and_the_next_sync_picks_them_up(endpoint: str, fault: str) -> None:
    with weather() as here:
        here.trouble = about(endpoint, FAULTS[fault])

        synced = here.connection.sync()

        provider = ENDPOINTS[endpoint]
        for stream, end in synced.ends.items():
            assert end == "COMPLETE" or stream.startswith(provider)
        assert "INCOMPLETE" in synced.ends.values()
        assert synced.error is not None
        assert synced.error.failure_type is FailureType.transient_error
        here.trouble = lambda _seen: None
        second = here.connection.sync()
        assert set(second.ends.values()) == {"COMPLETE"}
        for stream, rows in {"extracta_results": 6, "extracta_classification_results": 1, "atlas_results": 120}.items():
            assert len(here.connection.warehouse[stream]) == rows
            assert len(synced.ids(stream)) + len(second.ids(stream)) == rows


def test_one_broken_batch_costs_nothing_but_itself() -> None:
    with weather() as here:
        broken = here.names["x2"]
        here.trouble = about(broken, FAULTS["500"])

        synced = here.connection.sync()

        assert synced.counts["extracta_results"] == 5
        assert synced.ends["extracta_results"] == "INCOMPLETE"
        assert synced.ends["extracta_classification_results"] == "COMPLETE"
        assert synced.error is not None
        assert "3 of 9 streams are incomplete; all else was synced." in str(synced.error.message)
        here.trouble = lambda _seen: None
        assert [row["batch_id"] for row in here.connection.sync().records["extracta_results"]] == [broken]


def test_after_three_batches_in_a_row_the_rest_of_a_provider_is_not_asked() -> None:
    with weather(max_in_flight=1) as here:
        here.trouble = about("getBatchResults", (501, {}, b""))

        synced = here.connection.sync()

        assert here.asked("getBatchResults") == 3
        assert synced.ends["extracta_results"] == "INCOMPLETE"
        assert synced.ends["atlas_results"] == "COMPLETE"
        assert synced.error is not None
        assert "3 times in a row" in str(synced.error.message)


def test_a_success_in_between_starts_the_count_anew() -> None:
    with weather(max_in_flight=1) as here:
        bad = [about(here.names[f"x{n}"], (501, {}, b"")) for n in (0, 1, 3, 4)]
        here.trouble = lambda seen: next(filter(None, (one(seen) for one in bad)), None)

        synced = here.connection.sync()

        assert here.asked("getBatchResults") == 6
        assert synced.counts["extracta_results"] == 2


def test_a_classification_failure_leaves_the_extraction_streams_incomplete_too() -> None:
    with weather() as here:
        here.trouble = about("getResults", FAULTS["500"])

        synced = here.connection.sync()

        assert synced.counts["extracta_results"] == 6
        assert {synced.ends[f"extracta{product}_files"] for product in ("", "_classification")} == {"INCOMPLETE"}


@pytest.mark.parametrize(
    "body",
    [[], "text", 7, None, {"files": {}}, {"files": [7]}, {"files": [{"result": {}}, None]}, {"error": "Oops"}],
    ids=repr,
)
def test_an_answer_of_another_shape_fails_its_batch_in_words(body: Any) -> None:
    with weather() as here:
        here.trouble = about(here.names["x0"], (200, {}, json.dumps(body).encode()))

        synced = here.connection.sync()

        assert synced.counts["extracta_results"] == 5
        assert synced.ends["extracta_results"] == "INCOMPLETE"
        assert synced.error is not None
        assert "Traceback" not in str(synced.error.message)
        here.trouble = lambda _seen: None
        assert here.connection.sync().counts["extracta_results"] == 1


def test_a_token_refused_again_and_again_is_a_wrong_setting() -> None:
    with weather() as here:
        here.trouble = about("extracts", (401, {}, {"error_code": "401", "error_message": "Authentication Error"}))

        synced = here.connection.sync()

        assert synced.error is not None
        assert synced.error.failure_type is FailureType.config_error
        assert synced.ends["extracta_results"] == "COMPLETE"


def test_no_more_requests_are_in_flight_than_allowed() -> None:
    with weather(max_in_flight=3) as here:
        here.trouble = lambda _seen: time.sleep(0.03)

        here.connection.sync("extracta_results")

        assert here.server.busiest == 3


def test_a_reader_who_walks_away_leaves_no_thread_behind() -> None:
    with weather() as here:
        before = set(threading.enumerate())
        reading = here.connection.source.read(log, here.connection.settings, here.connection.catalog(), [])
        for message in reading:
            if message.record:
                break
        reading.close()

        patience = time.monotonic() + 5
        while ours := [
            one for one in set(threading.enumerate()) - before if one.name.startswith(("Extracta", "Atlas"))
        ]:
            assert time.monotonic() < patience, ours
            time.sleep(0.01)


def test_the_log_of_a_sync_is_short_whatever_is_broken(caplog: pytest.LogCaptureFixture) -> None:
    with world() as (sandbox, url):
        named = [f"nobody/{n}" for n in range(60)]
        connection = Connection(sandbox, url, {"extracta": {"extraction_batches": named}})
        with caplog.at_level(logging.INFO, logger=log.name):
            connection.sync()

    assert len(connection.warehouse["extracta_batches"]) == 60
    assert len(caplog.records) < 20
    assert any("55 more" in record.getMessage() for record in caplog.records)
    assert caplog.records[-1].getMessage().startswith("Extracta.ai: 60 requests; batches 0 open, 60 settled; rows:")
