"""`source-docextract probe`: checks what the connector assumes against an account, and writes a page about it."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

from ..config import Settings
from ..errors import ConfigError
from ..files import read_settings
from ..plain import hide, plain
from ..version import VERSION
from .asking import MOST_REQUESTS, Asker
from .findings import Findings, Verdict
from .page import ProviderReport, compared, read, written
from .table import PROBES, Probe, configured

AGREES, CONTRADICTED, CANNOT_PROBE, CHANGED = 0, 1, 2, 3
"""Exit codes; where several hold, the one that stands first in `_EPILOG`."""

_DESCRIPTION = """\
Ask each provider in the settings a few harmless questions, and report whether it behaves as the connector assumes.

It reads only, sends at most 30 requests a provider, and needs no state. The report holds no values, ids, names,
links or keys of your account, so you can send it to others."""

_EPILOG = """\
exit codes:
  2  a setting is wrong, a file cannot be read or written, or a provider told nothing at all
  1  something contradicts an assumption: the report says what to do
  3  with --against: something has changed since the earlier report
  0  none of these

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
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        earlier = read(_text_of(options.against)) if options.against else None
        settings = Settings.parse(read_settings(options.config), logging.getLogger("airbyte"))
        reports = asyncio.run(_probe(settings, sleep))
        changes = None if earlier is None else compared(earlier, reports)
        page = written(reports, version=VERSION, when=now(), changes=changes)
        _write(page, options.output)
    except ConfigError as error:
        print(f"source-docextract probe: {error}", file=sys.stderr)
        return CANNOT_PROBE
    for report in reports:
        print(report.summary, file=sys.stderr)
    return _exit_code(reports, changes)


def _exit_code(reports: Sequence[ProviderReport], changes: Sequence[str] | None) -> int:
    if not all(report.has_answers for report in reports):
        return CANNOT_PROBE
    findings = [finding for report in reports for finding in report.findings]
    if any(finding.verdict is Verdict.CONTRADICTED for finding in findings):
        return CONTRADICTED
    return CHANGED if changes else AGREES


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "source-docextract probe",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="the settings, as for check and read")
    parser.add_argument("--output", metavar="FILE", help="write the report there; without it, to standard output")
    parser.add_argument("--against", metavar="FILE", help="an earlier report: also say what has changed since")
    return parser


def _text_of(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError):
        raise ConfigError(
            f"The file {plain(name)} of --against cannot be read. Name a report that probe wrote."
        ) from None


def _write(page: str, name: str | None) -> None:
    if name is None:
        sys.stdout.write(page)
        sys.stdout.flush()
        return
    try:
        Path(name).write_text(page, encoding="utf-8")
    except OSError:
        raise ConfigError(f"The file {plain(name)} of --output cannot be written. Name another one.") from None


async def _probe(settings: Settings, sleep: Callable[[float], Awaitable[None]]) -> list[ProviderReport]:
    """Probe all providers side by side."""
    probes = [(PROBES[name], section) for name, section in configured(settings).items()]
    return list(await asyncio.gather(*(_probe_one(probe, section, sleep) for probe, section in probes)))


async def _probe_one(probe: Probe, section: Any, sleep: Callable[[float], Awaitable[None]]) -> ProviderReport:
    findings = Findings(probe.assumptions)
    headers = probe.headers(section)
    hide(*(value.removeprefix("Bearer ") for value in headers.values()))
    asker = Asker(
        section.base_url,
        headers,
        spacing=probe.spacing(section),
        progress=partial(_show_progress, probe.name),
        sleep=sleep,
    )
    try:
        await asker.run(probe.script(section, findings))
    except ConfigError as error:
        findings.note(str(error))
    provider = probe.assumptions[0].provider
    if asker.answers:
        names = ", ".join(asker.headers_seen)
        findings.see(f"{provider}.rate_limit_headers", "present" if names else "none", names)
    if provider == "sensible" and asker.answers:
        findings.see("sensible.throttling", "throttled" if asker.waits else "none")
    return ProviderReport(probe.name, asker.requests, asker.answers > 0, findings.results(), tuple(findings.notes))


def _show_progress(name: str, number: int) -> None:
    print(f"{name}: request {number} of at most {MOST_REQUESTS}", file=sys.stderr, flush=True)
