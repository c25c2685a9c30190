"""What a sync says at INFO: little, and in the end one line for each provider with all that matters."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from commandline import run
from harness import Connection, log, world
from test_stops import fill

from sandbox import Fault, NewFile, Sandbox
from source_docextract.http import Tally
from source_docextract.summary import summary

HOSTS = {"Extracta.ai": "extracta", "DocMap": "docmap", "Sensible": "sensible", "Atlas": "atlas"}
OTHERS = ("docmap", "atlas")
MOST_LINES = 20
"""Of a normal sync, beside the summaries."""

FORM = re.compile(
    rf"(?P<name>{'|'.join(HOSTS)}): (?P<requests>\d+) requests?(?: \((?P<retries>\d+) tried again\))?"
    r"; batches (?P<open>\d+) open, (?P<settled>\d+) settled(?:; extractions (?P<watched>\d+) open)?"
    r"; rows: (?P<rows>\w+ \d+(?:, \w+ \d+)*); waited (?P<waited>\d+\.\d) s\."
)


@pytest.fixture(scope="module")
def account() -> Iterator[tuple[Sandbox, str, dict[str, Any]]]:
    """Some 20 batches with 300 documents, of all products."""
    with world() as (sandbox, url):
        named = fill(sandbox)
        [template] = named["extracta"]["extraction_ids"]
        sandbox.extracta.upload(template, [NewFile("slow.pdf", inf)])
        yield sandbox, url, named


def summaries(lines: list[str]) -> dict[str, re.Match[str]]:
    """By the provider; no provider has two."""
    found = [match for match in map(FORM.fullmatch, lines) if match]
    assert len({match["name"] for match in found}) == len(found)
    return {HOSTS[match["name"]]: match for match in found}


def test_a_normal_sync_of_all_products_says_little_and_then_sums_up(
    account: tuple[Sandbox, str, dict[str, Any]], tmp_path: Path
) -> None:
    sandbox, url, named = account
    sandbox.journal.clear()

    ran = run(tmp_path, "read", Connection(sandbox, url, named).settings)

    told = summaries(ran.logged)
    assert told.keys() == set(HOSTS.values())
    assert len(ran.logged) - len(told) <= MOST_LINES
    assert {one["log"]["level"] for one in ran.of_type("LOG")} == {"INFO"}
    delivered = Counter(one["record"]["stream"] for one in ran.of_type("RECORD"))
    assert len(delivered) == 20
    assert sum(delivered.values()) > 1000
    for host, match in told.items():
        assert rows_of(match) == {stream: count for stream, count in delivered.items() if stream.startswith(host)}
        assert int(match["requests"]) == requests_of(sandbox, host)
        assert match["retries"] is None
        batches = [one["record"] for one in ran.of_type("RECORD") if one["record"]["stream"].endswith("_batches")]
        statuses = Counter(one["data"]["status"] for one in batches if one["stream"].startswith(host))
        assert (int(match["open"]), int(match["settled"])) == (statuses["open"], statuses["complete"])


def test_it_counts_what_was_tried_again(
    account: tuple[Sandbox, str, dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    sandbox, url, named = account
    connection = Connection(sandbox, url, named)
    troubles = [Fault("status", f"{host}.*", status=503, times=n) for n, host in enumerate(OTHERS, start=1)]
    with caplog.at_level(logging.INFO, logger=log.name), sandbox.faults.during(*troubles):
        synced = connection.sync()

    told = summaries([record.getMessage() for record in caplog.records])
    assert set(synced.ends.values()) == {"COMPLETE"}
    assert {host: match["retries"] for host, match in told.items()} == {
        **dict.fromkeys(HOSTS.values()),
        **{host: str(n) for n, host in enumerate(OTHERS, start=1)},
    }
    assert all(int(told[host]["requests"]) == requests_of(sandbox, host) for host in HOSTS.values())


def requests_of(sandbox: Sandbox, host: str) -> int:
    return sum(count for name, count in sandbox.journal.counts().items() if name.startswith(host))


def rows_of(match: re.Match[str]) -> dict[str, int]:
    parts = (part.split() for part in match["rows"].split(", "))
    return {stream: int(count) for stream, count in parts}


@pytest.mark.parametrize(
    ("tally", "told"),
    [
        (Tally(requests=1), "1 request; rows: a_files 0, a_results 12; waited 0.0 s."),
        (Tally(requests=0, waited=0.04), "0 requests; rows: a_files 0, a_results 12; waited 0.0 s."),
        (
            Tally(requests=7, retries=3, waited=61.25),
            "7 requests (3 tried again); rows: a_files 0, a_results 12; waited 61.2 s.",
        ),
    ],
)
def test_the_line_is_for_people(tally: Tally, told: str) -> None:
    streams: Any = [SimpleNamespace(name="a_files", rows=0), SimpleNamespace(name="a_results", rows=12)]

    assert summary("Acme", tally, [], streams) == f"Acme: {told}"
