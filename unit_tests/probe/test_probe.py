"""The probe, against the sandbox with every switch in every value: what it finds, what it asks, what it keeps quiet."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytest

from docextract_sandbox import Fault, Sandbox
from docextract_sandbox.__main__ import main as sandbox_main
from docextract_sandbox.probe_report import load_probe_switches
from docextract_sandbox.switches import StartTimeFormat, Switches
from source_docextract.core.probing.assumptions import ProbeResponse
from source_docextract.core.probing.shapes import describe_time_format, is_word
from source_docextract.http.transport import HttpTransport, ProxyRefusedError, ResponseTooLargeError
from source_docextract.probe import client
from source_docextract.probe.catalogue import render_catalogue as catalogue
from source_docextract.probe.client import MAX_REQUESTS
from source_docextract.probe.command import EXIT_AGREES, EXIT_CANNOT_PROBE, EXIT_CHANGED, EXIT_CONTRADICTED, main
from source_docextract.probe.page import parse_report
from source_docextract.probe.probes import ASSUMPTIONS, PROBES
from unit_tests.support.cases import each_case
from unit_tests.support.harness import frozen_sandbox

ROOT = Path(__file__).parents[2]
NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
SWITCH_VALUES: dict[str, Sequence[Any]] = {
    "extracta_start_time": [value for value in get_args(StartTimeFormat) if value != "ms"],
    "unknown_status": ["queued"],
    "atlas_expires_in": ["600", "-1", None],
    "atlas_token_size": [100_000],
    "docmap_zone": ["Etc/GMT+8", "Pacific/Kiritimati"],
    "docmap_scan": [8],
    "docmap_endless": ["empty", "rows", "circle"],
    "sensible_scan": [5],
    "sensible_endless": ["empty", "rows", "circle"],
    "sensible_status_filter": ["ignored", "refused", "first"],
    "sensible_portfolios": ["no_documents", "no_output"],
    "sensible_quota_spent": [100],
    "sensible_throttle": [1],
}
"""The values of switches that are not simply on or off, beside their defaults."""

CASES = [
    (field.name, value) for field in fields(Switches) for value in SWITCH_VALUES.get(field.name) or [not field.default]
]
HARMLESS_TEXT = re.compile(r"[A-Za-z]{1,12}|\d{1,4}")
"""Texts too common to belong to one account: short words and small numbers."""


class ProbeAccount:
    """A served sandbox with twelve weeks of documents, and the settings that reach all of it."""

    def __init__(self, sandbox: Sandbox, url: str, folder: Path) -> None:
        self.sandbox = sandbox
        self.settings: dict[str, Any] = {
            "extracta": {
                "extraction_ids": sandbox.extracta.template_ids,
                "classification_ids": sandbox.classification.template_ids,
                "classification_batches": [
                    f"{template}/{batch}"
                    for template in sandbox.classification.template_ids
                    for batch in sandbox.classification.list_batch_ids(template)
                ],
                "seconds_between_requests": 0,
            },
            "docmap": {},
            "sensible": {"batch_ids": sandbox.sensible.batch_ids},
            "atlas": {"batch_ids": sandbox.atlas.batch_ids},
        }
        for provider, base_url in sandbox.get_base_urls(url).items():
            self.settings[provider].update({"base_url": base_url, **sandbox.credentials[provider]})
        self.folder = folder
        self.sleeps: list[float] = []

    def probe(self, *providers: str, name: str = "probe.md", earlier_report: str = "") -> tuple[int, str]:
        """Return the exit code and the page."""
        config, page = self.folder / "config.json", self.folder / name
        wanted = providers or tuple(self.settings)
        config.write_text(json.dumps({provider: self.settings[provider] for provider in wanted}))
        options = ["--config", str(config), "--output", str(page)]
        if earlier_report:
            options += ["--against", str(self.folder / earlier_report)]
        code = main(options, now=lambda: NOON, sleep=self._sleep)
        return code, page.read_text() if page.exists() else ""

    async def _sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)


@contextmanager
def open_account(folder: Path, **switches: Any) -> Iterator[ProbeAccount]:
    with frozen_sandbox(**switches) as (sandbox, url):
        sandbox.fill_demo()
        yield ProbeAccount(sandbox, url, folder)


def get_utc_offset(zone: str) -> float:
    offset = datetime(2026, 1, 1, tzinfo=ZoneInfo(zone)).utcoffset()
    assert offset is not None
    return offset.total_seconds() / 3600


def get_switch_providers(switch: str) -> tuple[str, ...]:
    """Return the providers that a switch is about; all for those that are about every API."""
    provider = switch.split("_", maxsplit=1)[0]
    provider = "extracta" if provider == "classification" else provider
    return (provider,) if provider in PROBES else ("extracta", "docmap", "sensible")


@pytest.mark.sample(14)
@pytest.mark.parametrize(("switch", "value"), CASES, ids=str)
def test_probe_with_any_switch_reports_variant_that_reproduces_it(switch: str, value: Any, tmp_path: Path) -> None:
    with open_account(tmp_path, **{switch: value}) as probe_account:
        code, page = probe_account.probe(*get_switch_providers(switch))

    parsed_report = parse_report(page).switches
    if switch == "docmap_zone":
        # What an account shows is how far from UTC its days are at least.
        assert 0 < get_utc_offset(str(parsed_report[switch])) / get_utc_offset(value) <= 1
        parsed_report = {**parsed_report, switch: value}
    else:
        assert load_probe_switches(str(tmp_path / "probe.md")) == Switches(**{switch: value})
    assert parsed_report == {switch: value}
    assert code == (EXIT_AGREES if switch != "sensible_quota_spent" else EXIT_CANNOT_PROBE)


def test_probe_without_switches_confirms_assumptions(tmp_path: Path) -> None:
    with open_account(tmp_path) as probe_account:
        code, page = probe_account.probe()

    parsed_report = parse_report(page)
    assert code == EXIT_AGREES
    assert parsed_report.switches == {}
    assert parsed_report.verdicts.keys() == {assumption.id for assumption in ASSUMPTIONS}
    assert "contradicted" not in {verdict.value for verdict in parsed_report.verdicts.values()}
    unseen = {name for name, verdict in parsed_report.verdicts.items() if verdict.value == "not seen"}
    invisible = {assumption.id for assumption in ASSUMPTIONS if not assumption.is_visible}
    assert invisible <= unseen
    assert unseen - invisible <= {"sensible.page_size", "sensible.largest_limit", "sensible.value_confidence"}


def test_probe_of_account_sends_few_spaced_read_only_requests(tmp_path: Path) -> None:
    with open_account(tmp_path) as probe_account:
        entries_before = probe_account.sandbox.journal.entries
        probe_account.settings["extracta"]["seconds_between_requests"] = 2
        probe_account.probe()
        entries = probe_account.sandbox.journal.entries

    assert entries_before == []
    by_host: dict[str, int] = {}
    for entry in entries:
        host = entry.endpoint.split(".")[0]
        by_host[host] = by_host.get(host, 0) + 1
    assert set(by_host) == set(PROBES)
    assert max(by_host.values()) <= MAX_REQUESTS
    waits = sum(count - 1 for count in by_host.values())
    assert len(probe_account.sleeps) == waits
    assert min(probe_account.sleeps) >= 1
    assert probe_account.sleeps.count(2) == by_host["extracta"] - 1
    assert {entry.endpoint for entry in entries} <= {
        "extracta.viewExtraction", "extracta.getBatchResults", "extracta.viewClassification", "extracta.getResults",
        "docmap.extractions", "docmap.extraction", "sensible.extractions", "sensible.document", "sensible.batch",
        "atlas.authtoken", "atlas.extracts",
    }  # fmt: skip


def test_probe_of_any_account_shows_none_of_its_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Everything that came is collected, and searched for in everything that was written."""
    bodies: list[Any] = []
    answered = client._parse_response

    def collect_texts(status: int, headers: Any, content: bytes) -> ProbeResponse:
        response = answered(status, headers, content)
        bodies.append(response.body if response.is_json else content.decode())
        return response

    monkeypatch.setattr(client, "_parse_response", collect_texts)
    with open_account(tmp_path, unknown_keys=True, unknown_status="zQ7-planted status") as probe_account:
        _, page = probe_account.probe()
        secrets = [
            value for section in probe_account.settings.values() for value in section.values() if isinstance(value, str)
        ]

    stdout, stderr = capsys.readouterr()
    written = page + stdout + stderr
    values = {text for body in bodies for text in _find_texts(body)} | {
        secret for secret in secrets if "://" not in secret
    }
    values |= {urlsplit(text).query for text in values if "?" in text}
    planted = {text for text in values if not HARMLESS_TEXT.fullmatch(text) and len(text) > 3}
    assert len(planted) > 200
    assert {text for text in planted if text in written and not _is_documented(text)} == set()


def _find_texts(value: Any) -> Iterator[str]:
    """Every text and number in a body, and the keys of what was extracted, where they are the account's own."""
    if isinstance(value, dict):
        for item in value.values():
            yield from _find_texts(item)
        for key in ("result", "extractedData", "parsed_document", "file_data"):
            member = value.get(key)
            if isinstance(member, dict):
                yield from (name for name in member if "_" in name or len(name) > 12)
    elif isinstance(value, list):
        for item in value:
            yield from _find_texts(item)
    elif isinstance(value, (str, float)) and not isinstance(value, bool):
        yield str(value)


def _is_documented(text: str) -> bool:
    """Whether it stands in the table itself, as documented keys and statuses do."""
    return text in catalogue()


def test_probe_with_wrong_key_reports_status_and_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_account(tmp_path) as probe_account:
        probe_account.settings["docmap"]["api_key"] = "dm_live_of_nobody_at_all"
        code, page = probe_account.probe("docmap")

    assert code == EXIT_CANNOT_PROBE
    assert "The list could not be read (status 401" in page
    assert "dm_live_of_nobody" not in page + capsys.readouterr().err


@pytest.mark.parametrize(
    ("failure", "expected_text"),
    [
        (ProxyRefusedError(407, "HTTP_PROXY"), "HTTP_PROXY"),
        (ResponseTooLargeError(1_000), "sent a response that is too large"),
    ],
)
def test_probe_with_final_transport_error_reports_it_and_exits_2(
    failure: Exception,
    expected_text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def fail(*_arguments: Any) -> None:
        raise failure

    monkeypatch.setattr(HttpTransport, "send", fail)
    with open_account(tmp_path) as probe_account:
        code, page = probe_account.probe("docmap")

    assert expected_text in page + capsys.readouterr().err
    assert code == EXIT_CANNOT_PROBE


def test_probe_with_contradicted_assumption_reports_it_and_exits_1(tmp_path: Path) -> None:
    with open_account(tmp_path) as probe_account:
        fault = Fault("status", "docmap.extraction", status=418)
        with probe_account.sandbox.faults.apply_only(fault):
            code, page = probe_account.probe("docmap")

    assert code == EXIT_CONTRADICTED
    assert "`docmap.unknown_id` | contradicted | (status 418" in page
    assert "What to do:" in page


def test_probe_with_earlier_report_shows_changes(tmp_path: Path) -> None:
    with open_account(tmp_path) as probe_account:
        probe_account.probe("docmap", name="earlier.md")
        same, page = probe_account.probe("docmap", earlier_report="earlier.md")
        probe_account.sandbox.switches = Switches(docmap_nested_list=True)
        code, changed_page = probe_account.probe("docmap", earlier_report="earlier.md")

    assert same == EXIT_AGREES
    assert "Nothing has changed." in page
    assert code == EXIT_CHANGED
    assert "- `docmap.list_body` was as assumed (data) and is now another variant, handled (nested)." in changed_page


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--config", "missing.json"], "The settings file missing.json"),
        (["--config", "list.json"], "The settings file list.json contains no JSON object."),
        (["--config", "good.json", "--against", "list.json"], "The file of --against contains no report."),
        (["--config", "none.json"], "at least one"),
    ],
)
def test_probe_with_invalid_file_names_it_and_exits_2(
    options: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("list.json").write_text("[]")
    Path("none.json").write_text("{}")
    Path("good.json").write_text('{"docmap": {"api_key": "dm_live_made_up_for_this"}}')

    code = main(options)

    assert code == EXIT_CANNOT_PROBE
    assert expected in capsys.readouterr().err


def test_sandbox_like_file_without_report_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "notes.md"
    file.write_text("nothing of the kind")

    assert sandbox_main(["--like", str(file)]) == 2
    assert "is no report of a probe" in capsys.readouterr().err


@each_case("name", ["batchId", "created_at", "status", "NEEDS_REVIEW", "hasMore", "x"])
def test_shapes_key_made_of_words_is_shown(name: str) -> None:
    assert is_word(name)


@each_case(
    "name",
    [
        "8pMpPs6SMPBpcnnznoaRz8bsj", "-OPXQuIrkHuA2QZkY-44", "jane@example.com", "Jane Doe", "2026-11-20", "",
        "dm_live_0a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d", "qWeRtYuIoPaS", "x" * 40, "xkcdqrtzp",
    ],
)  # fmt: skip
def test_shapes_key_that_may_be_a_value_is_hidden(name: str) -> None:
    assert not is_word(name)


@each_case(
    ("value", "expected"),
    [
        (1746720170530, "milliseconds"),
        ("1746720170530", "milliseconds as text"),
        (1746720170, "seconds"),
        (1746720170530000, "microseconds"),
        ("2026-11-20T09:00:00.000Z", "ISO 8601 with a zone"),
        ("2026-11-20T09:00:00", "ISO 8601 without a zone"),
        ("Fri, 20 Nov 2026 09:00:00 GMT", "an HTTP date"),
        ("tomorrow", "text of another form"),
        (None, "missing"),
        ({"_seconds": 1}, "seconds and nanoseconds"),
        ({"at": 1}, "object"),
        (7, "number of another size"),
    ],
)
def test_shapes_time_format_is_described(value: Any, expected: str) -> None:
    assert describe_time_format(value) == expected


def test_assumption_table_has_unique_ids_and_existing_switches() -> None:
    switches = {field.name: field.default for field in fields(Switches)}
    named = [name for entry in ASSUMPTIONS for variant in entry.variants for name in variant.switches]

    assert len({entry.id for entry in ASSUMPTIONS}) == len(ASSUMPTIONS)
    assert {entry.provider for entry in ASSUMPTIONS} == set(PROBES)
    assert set(named) == set(switches)
    for assumption in ASSUMPTIONS:
        assert assumption.assumed_variant.switches == {}
        assert all(not re.search(r"[\w-]{20,}", variant.sentence) for variant in assumption.variants)


def test_assumptions_page_matches_assumption_table() -> None:
    assert (ROOT / "docs" / "assumptions.md").read_text(encoding="utf-8") == catalogue()


def test_provider_page_links_to_its_assumptions() -> None:
    for provider, probe in PROBES.items():
        page = (ROOT / "docs" / f"{provider}.md").read_text(encoding="utf-8")
        anchor = re.sub(r"[^a-z0-9 -]", "", probe.name.lower()).replace(" ", "-")
        assert f"(assumptions.md#{anchor})" in page
