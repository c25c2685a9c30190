"""The report of a probe: a page of Markdown that people read and send, with a line that programs read. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ..core.errors import ConfigError
from ..core.probing.assumptions import SwitchValue
from ..core.probing.findings import Finding, Verdict

REPORT_FORMAT = 1

_MARKER_KEY = "docextract_probe"


@dataclass(frozen=True, slots=True)
class ProviderReport:
    """What the account of one provider shows.

    Attributes:
        name: the provider as a user knows it.
        has_answers: whether any request succeeded.
        notes: sentences about what could not be asked.
    """

    name: str
    requests: int
    has_answers: bool
    findings: Sequence[Finding]
    notes: Sequence[str] = ()

    @property
    def summary(self) -> str:
        counts = [(verdict, sum(finding.verdict is verdict for finding in self.findings)) for verdict in Verdict]
        return f"{self.name}: {', '.join(f'{count} {verdict.value}' for verdict, count in counts if count)}."


@dataclass(frozen=True, slots=True)
class EarlierReport:
    """A report that was written earlier, as far as programs read it."""

    verdicts: Mapping[str, Verdict]
    variants: Mapping[str, tuple[str, ...]]
    switches: Mapping[str, SwitchValue] = field(default_factory=dict)


def collect_switches(reports: Iterable[ProviderReport]) -> dict[str, SwitchValue]:
    """Return the sandbox's switches that reproduce what was seen."""
    switches: dict[str, SwitchValue] = {}
    for report in reports:
        for finding in report.findings:
            switches.update(finding.switches)
    return switches


def render_page(
    reports: Sequence[ProviderReport], *, version: str, created_at: datetime, changes: Sequence[str] | None
) -> str:
    """Return the page. `changes` are sentences of what differs from an earlier report, None where there is none."""
    parts = [
        f"# Probe of {created_at.date().isoformat()}, source-docextract {version}",
        "This page compares an account with what the connector assumes. It contains shapes, counts and names of "
        "documented keys: no values, ids, file names, links or keys of the account.",
    ]
    if changes is not None:
        parts.append("## Changed since the earlier report")
        parts.append("\n".join(f"- {change}" for change in changes) if changes else "Nothing has changed.")
    for report in reports:
        parts += _render_provider(report)
    parts.append("## Summary")
    parts.append("\n".join(f"- {report.summary}" for report in reports))
    switches = collect_switches(reports)
    parts.append("## A sandbox like this account")
    options = "".join(f" --switch {name}={format_switch(value)}" for name, value in switches.items())
    parts.append(f"```bash\ndocextract-sandbox{options}\n```")
    parts.append("## Machine-readable results")
    parts.append(f"```json\n{_render_json_line(reports, version, created_at, switches)}\n```")
    return "\n\n".join(parts) + "\n"


def parse_report(text: str) -> EarlierReport:
    """Read a report that `written` made.

    Raises:
        ConfigError: where the text is none.
    """
    line = next((line for line in text.splitlines() if line.startswith(f'{{"{_MARKER_KEY}"')), "")
    try:
        report_json = json.loads(line)
        if report_json[_MARKER_KEY] != REPORT_FORMAT:
            raise ConfigError(
                f"The report of --against has format {report_json[_MARKER_KEY]!r}, and this version reads "
                f"format {REPORT_FORMAT}. Write a new report."
            )
        findings = report_json["findings"]
        return EarlierReport(
            {name: Verdict(finding["verdict"]) for name, finding in findings.items()},
            {name: tuple(finding["variants"]) for name, finding in findings.items()},
            report_json["switches"],
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError("The file of --against contains no report. Name one that probe wrote.") from None


def compare_reports(earlier: EarlierReport, reports: Iterable[ProviderReport]) -> list[str]:
    """Return a sentence for each assumption of which an account now shows something else.

    What was not seen before or is not seen now is no change: an account does not always hold an example.
    """
    changes = []
    for report in reports:
        for finding in report.findings:
            assumption_id = finding.assumption.id
            earlier_verdict = earlier.verdicts.get(assumption_id, Verdict.NOT_SEEN)
            if Verdict.NOT_SEEN in {earlier_verdict, finding.verdict}:
                continue
            variants = earlier.variants.get(assumption_id, ())
            if (earlier_verdict, set(variants)) != (finding.verdict, set(finding.variants)):
                earlier_state, current_state = (
                    _describe_state(earlier_verdict, variants),
                    _describe_state(finding.verdict, finding.variants),
                )
                changes.append(f"`{assumption_id}` was {earlier_state} and is now {current_state}.")
    return changes


def _describe_state(verdict: Verdict, variants: Sequence[str]) -> str:
    return f"{verdict.value} ({', '.join(sorted(variants))})" if variants else verdict.value


def _render_provider(report: ProviderReport) -> list[str]:
    rows = ["| assumption | verdict | seen |", "|---|---|---|"]
    actions = []
    for finding in report.findings:
        sentences = " ".join(finding.assumption.get_variant(name).sentence for name in finding.variants)
        cell_text = " ".join(filter(None, (sentences, f"({finding.detail})" if finding.detail else "")))
        if finding.verdict is Verdict.NOT_SEEN:
            cell_text = f"Assumed: {finding.assumption.assumed_variant.sentence}"
            if not finding.assumption.is_visible:
                cell_text += " The probe cannot observe this."
        rows.append(f"| `{finding.assumption.id}` | {finding.verdict.value} | {_escape_cell(cell_text)} |")
        if finding.verdict is Verdict.CONTRADICTED:
            actions.append(f"- `{finding.assumption.id}`: {finding.assumption.advice}")
    parts = [f"## {report.name}", f"{report.requests} requests.", "\n".join(rows)]
    if actions:
        parts += ["What to do:", "\n".join(actions)]
    if report.notes:
        parts.append("\n".join(f"- {note}" for note in report.notes))
    return parts


def _escape_cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def format_switch(value: SwitchValue) -> str:
    """Return a switch's value as it is written on the command line."""
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)


def _render_json_line(
    reports: Iterable[ProviderReport], version: str, created_at: datetime, switches: Mapping[str, SwitchValue]
) -> str:
    findings = {
        finding.assumption.id: {"verdict": finding.verdict.value, "variants": list(finding.variants)}
        for report in reports
        for finding in report.findings
    }
    report_json = {
        _MARKER_KEY: REPORT_FORMAT,
        "version": version,
        "date": created_at.date().isoformat(),
        "findings": findings,
        "switches": dict(switches),
    }
    return json.dumps(report_json)
