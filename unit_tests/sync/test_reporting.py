"""The log of a sync at INFO: few lines, with one summary for each provider."""

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

from docextract_sandbox import Fault, NewFile, Sandbox
from source_docextract.core.model import PartitionRef
from source_docextract.core.provider import ProviderSpec, StreamGroup
from source_docextract.core.requests import ErrorFormat
from source_docextract.http.client import RequestStats
from source_docextract.sync.reporting import WarningLimiter, build_unknown_account_message, summarize
from unit_tests.support.command_line import run_connector
from unit_tests.support.harness import Connection, frozen_sandbox, log
from unit_tests.support.large_world import fill

HOSTS = {"Extracta.ai": "extracta", "DocMap": "docmap", "Sensible": "sensible", "Atlas": "atlas"}
OTHER_PROVIDERS = ("docmap", "atlas")
MAX_LINES = 20
"""Of a normal sync, beside the summaries."""

SUMMARY_PATTERN = re.compile(
    rf"(?P<name>{'|'.join(HOSTS)}): (?P<requests>\d+) requests?(?: \((?P<retries>\d+) retried\))?"
    r"; batches (?P<open>\d+) open, (?P<settled>\d+) settled(?:; extractions (?P<watched>\d+) open)?"
    r"; rows: (?P<rows>\w+ \d+(?:, \w+ \d+)*); waited (?P<waited>\d+\.\d) s\."
)


@pytest.fixture(scope="module")
def account() -> Iterator[tuple[Sandbox, str, dict[str, Any]]]:
    """Yield a connection to some 20 batches with 300 documents of all products."""
    with frozen_sandbox() as (sandbox, url):
        settings = fill(sandbox)
        [template] = settings["extracta"]["extraction_ids"]
        sandbox.extracta.upload(template, [NewFile("slow.pdf", inf)])
        yield sandbox, url, settings


def parse_summaries(lines: list[str]) -> dict[str, re.Match[str]]:
    """Return the summaries by provider; fail if a provider has two."""
    matches = [match for match in map(SUMMARY_PATTERN.fullmatch, lines) if match]
    assert len({match["name"] for match in matches}) == len(matches)
    return {HOSTS[match["name"]]: match for match in matches}


def test_log_normal_sync_has_few_lines_and_a_summary_per_provider(
    account: tuple[Sandbox, str, dict[str, Any]], tmp_path: Path
) -> None:
    sandbox, url, settings = account
    sandbox.journal.clear()

    ran = run_connector(tmp_path, "read", Connection(sandbox, url, settings).settings)

    summaries = parse_summaries(ran.log_texts)
    assert summaries.keys() == set(HOSTS.values())
    assert len(ran.log_texts) - len(summaries) <= MAX_LINES
    assert {message["log"]["level"] for message in ran.filter_messages("LOG")} == {"INFO"}
    delivered = Counter(message["record"]["stream"] for message in ran.filter_messages("RECORD"))
    assert len(delivered) == 20
    assert sum(delivered.values()) > 1000
    for host, match in summaries.items():
        assert get_row_counts(match) == {
            stream: count for stream, count in delivered.items() if stream.startswith(host)
        }
        assert int(match["requests"]) == count_requests(sandbox, host)
        assert match["retries"] is None
        batches = [
            message["record"]
            for message in ran.filter_messages("RECORD")
            if message["record"]["stream"].endswith("_batches")
        ]
        statuses = Counter(message["data"]["status"] for message in batches if message["stream"].startswith(host))
        assert (int(match["open"]), int(match["settled"])) == (statuses["open"], statuses["complete"])


def test_log_summary_retried_requests_are_counted(
    account: tuple[Sandbox, str, dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    sandbox, url, settings = account
    connection = Connection(sandbox, url, settings)
    troubles = [
        Fault("status", f"{host}.*", status=503, times=number) for number, host in enumerate(OTHER_PROVIDERS, start=1)
    ]
    with caplog.at_level(logging.INFO, logger=log.name), sandbox.faults.apply_only(*troubles):
        synced = connection.sync()

    summaries = parse_summaries([record.getMessage() for record in caplog.records])
    assert set(synced.final_statuses.values()) == {"COMPLETE"}
    assert {host: match["retries"] for host, match in summaries.items()} == {
        **dict.fromkeys(HOSTS.values()),
        **{host: str(number) for number, host in enumerate(OTHER_PROVIDERS, start=1)},
    }
    assert all(int(summaries[host]["requests"]) == count_requests(sandbox, host) for host in HOSTS.values())


def count_requests(sandbox: Sandbox, host: str) -> int:
    return sum(count for name, count in sandbox.journal.count_requests().items() if name.startswith(host))


def get_row_counts(match: re.Match[str]) -> dict[str, int]:
    parts = (part.split() for part in match["rows"].split(", "))
    return {stream: int(count) for stream, count in parts}


@pytest.mark.parametrize(
    ("tally", "expected_text"),
    [
        (RequestStats(requests=1), "1 request; rows: a_files 0, a_results 12; waited 0.0 s."),
        (RequestStats(requests=0, waited_seconds=0.04), "0 requests; rows: a_files 0, a_results 12; waited 0.0 s."),
        (
            RequestStats(requests=7, retries=3, waited_seconds=61.25),
            "7 requests (3 retried); rows: a_files 0, a_results 12; waited 61.2 s.",
        ),
    ],
)
def test_summarize_request_stats_returns_a_readable_line(tally: RequestStats, expected_text: str) -> None:
    streams: Any = [SimpleNamespace(name="a_files", record_count=0), SimpleNamespace(name="a_results", record_count=12)]

    assert summarize("Acme", tally, [], streams) == f"Acme: {expected_text}"


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Iterator[WarningLimiter]:
    """Yield the warnings of one provider, whose log `caplog` holds."""
    with caplog.at_level(logging.INFO, logger=log.name):
        yield WarningLimiter(log, "Acme")


def test_warn_same_message_is_logged_once(warnings: WarningLimiter, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(20):
        warnings.warn("missing", "Acme does not know batch B-1.")
    warnings.log_suppressed_counts()

    # A repetition is no further warning: it is not counted either.
    assert caplog.messages == ["Acme does not know batch B-1."]


def test_warn_beyond_five_of_a_kind_counts_the_others(
    warnings: WarningLimiter, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(12):
        warnings.warn("missing", f"Acme does not know batch B-{number}.")
    warnings.warn("stalled", "Acme batch B-1 is stalled.")
    warnings.log_suppressed_counts()

    assert caplog.messages == [
        *(f"Acme does not know batch B-{number}." for number in range(5)),
        "Acme batch B-1 is stalled.",
        "Acme: 7 more warnings of the kind 'missing'.",
    ]


def test_warn_text_of_a_provider_is_sanitized_and_cut(
    warnings: WarningLimiter, caplog: pytest.LogCaptureFixture
) -> None:
    warnings.warn("status", 'queued\n{"type": "RECORD"} https://files.acme.test/a?signature=0123456789 ' + "x" * 5000)

    [message] = caplog.messages
    assert "\n" not in message
    assert "0123456789" not in message
    assert len(message) <= 1000


def test_build_unknown_account_message_names_the_settings_once() -> None:
    spec = ProviderSpec(
        ErrorFormat("Acme", "acme.api_key", lambda _: None),
        "http://127.0.0.1:9",
        (
            StreamGroup("acme", make_fetch, explicit_settings=("acme.batch_ids", "batch_registry")),
            StreamGroup("acme_documents", make_fetch, explicit_settings=("batch_registry",)),
        ),
        check=make_check,
    )

    assert build_unknown_account_message(spec) == (
        "Acme knows none of the configured batches. Correct acme.batch_ids or batch_registry, or acme.api_key, which "
        "may belong to another account."
    )


def make_fetch(_ref: PartitionRef) -> Any:
    raise AssertionError("a message requests nothing")


def make_check() -> Any:
    raise AssertionError("a message requests nothing")
