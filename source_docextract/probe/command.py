"""The command line of `source-docextract probe`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timezone
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from ..core.errors import ConfigError
from ..core.probing.findings import Findings, Verdict
from ..core.redaction import register_secrets, sanitize
from ..input_files import read_settings
from ..settings import Settings
from ..version import VERSION
from .client import MAX_REQUESTS, ProbeClient
from .page import ProviderReport, compare_reports, parse_report, render_page
from .probes import PROBES, Probe, get_configured_settings

EXIT_AGREES, EXIT_CONTRADICTED, EXIT_CANNOT_PROBE, EXIT_CHANGED = 0, 1, 2, 3
"""The exit codes. If several apply, the command returns the first in the order of `_EPILOG`."""

_DESCRIPTION = """\
Send a few read-only requests to each configured provider, and report whether it behaves as the connector assumes.

It sends at most 30 requests per provider and needs no state. The report contains no values, ids, names, links or
keys of your account, so you can share it."""

_EPILOG = """\
exit codes:
  2  a setting is wrong, a file cannot be read or written, or a provider gave no answer at all
  1  something contradicts an assumption: the report says what to do
  3  with --against: something has changed since the earlier report
  0  none of the above

examples:
  source-docextract probe --config config.json
  source-docextract probe --config config.json --output probe.md
  source-docextract probe --config config.json --against probe.md --output probe-new.md"""


def main(
    arguments: Sequence[str],
    *,
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> int:
    """Run the command and return its exit code.

    Args:
        arguments: the command line after `probe`.
        now: returns the current time, for the date of the report; injected by tests.
        sleep: waits between requests; injected by tests.
    """
    options = _build_parser().parse_args(arguments)
    try:
        # Files are read before the first request, so that a wrong name or an unreadable report costs no requests.
        earlier_report = parse_report(_read_earlier_report(options.against)) if options.against else None
        settings = Settings.parse(read_settings(options.config), logging.getLogger("airbyte"))
        reports = asyncio.run(_probe_all(settings, sleep))
        changes = None if earlier_report is None else compare_reports(earlier_report, reports)
        page = render_page(reports, version=VERSION, created_at=now(), changes=changes)
        _write_page(page, options.output)
    except ConfigError as error:
        print(f"source-docextract probe: {error}", file=sys.stderr)
        return EXIT_CANNOT_PROBE
    for report in reports:
        # On standard error, because standard output may hold the report.
        print(report.summary, file=sys.stderr)
    return _choose_exit_code(reports, changes)


def _choose_exit_code(reports: Sequence[ProviderReport], changes: Sequence[str] | None) -> int:
    # A probe without responses comes first: its findings are all "not seen", which must not pass as agreement.
    if not all(report.has_answers for report in reports):
        return EXIT_CANNOT_PROBE
    findings = chain.from_iterable(report.findings for report in reports)
    if any(finding.verdict is Verdict.CONTRADICTED for finding in findings):
        return EXIT_CONTRADICTED
    return EXIT_CHANGED if changes else EXIT_AGREES


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "source-docextract probe",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="the settings, as for check and read")
    parser.add_argument("--output", metavar="FILE", help="write the report to this file (default: standard output)")
    parser.add_argument("--against", metavar="FILE", help="an earlier report: also list the changes since then")
    return parser


def _read_earlier_report(file_name: str) -> str:
    try:
        return Path(file_name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError):  # ValueError: the name holds a null byte
        raise ConfigError(
            f"The file {sanitize(file_name)} of --against cannot be read. Name a report that probe wrote."
        ) from None


def _write_page(page: str, file_name: str | None) -> None:
    if file_name is None:
        sys.stdout.write(page)
        sys.stdout.flush()
        return
    try:
        Path(file_name).write_text(page, encoding="utf-8")
    except OSError:
        raise ConfigError(f"The file {sanitize(file_name)} of --output cannot be written. Name another one.") from None


async def _probe_all(settings: Settings, sleep: Callable[[float], Awaitable[None]]) -> list[ProviderReport]:
    """Probe all configured providers concurrently."""
    probe_runs = [
        _probe_provider(PROBES[name], provider_settings, sleep)
        for name, provider_settings in get_configured_settings(settings).items()
    ]
    return list(await asyncio.gather(*probe_runs))


async def _probe_provider(
    probe: Probe, provider_settings: Any, sleep: Callable[[float], Awaitable[None]]
) -> ProviderReport:
    findings = Findings(probe.assumptions)
    headers = probe.build_headers(provider_settings)
    # Before the first request: the notes of a report quote errors, and a report never holds a key.
    register_secrets(*(value.removeprefix("Bearer ") for value in headers.values()))
    client = ProbeClient(
        provider_settings.base_url,
        headers,
        spacing=probe.get_spacing(provider_settings),
        report_progress=partial(_print_progress, probe.name),
        sleep=sleep,
    )
    try:
        await client.run(probe.build_flow(provider_settings, findings))
    except ConfigError as error:
        # A note in the report, so that the probes of the other providers still end.
        findings.add_note(str(error))
    provider = probe.assumptions[0].provider
    # Only the client sees rate limit headers and throttling, so the command adds these observations to the probe's own.
    if client.response_count:
        header_names = ", ".join(client.limit_headers)
        findings.observe(f"{provider}.rate_limit_headers", "present" if header_names else "none", header_names)
    # Sensible documents 429 for extracting and classifying only, so reading has an assumption of its own.
    if provider == "sensible" and client.response_count:
        findings.observe("sensible.throttling", "throttled" if client.throttled_count else "none")
    return ProviderReport(
        probe.name, client.request_count, client.response_count > 0, findings.build_findings(), tuple(findings.notes)
    )


def _print_progress(provider_name: str, number: int) -> None:
    print(f"{provider_name}: request {number} of at most {MAX_REQUESTS}", file=sys.stderr, flush=True)
