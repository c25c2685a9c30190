"""The report of a probe: Markdown, with one line of JSON for programs. Pure.

A report shows shapes only: names of documented keys, types, counts and statuses.
The probes keep that promise; this module writes each detail and note unchanged.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ..core.errors import ConfigError
from ..core.probing.assumptions import SwitchValue
from ..core.probing.findings import Finding, Verdict

REPORT_FORMAT = 1
"""The format of the JSON line. `parse_report` refuses any other, so a change of the line needs a new number."""

_MARKER_KEY = "docextract_probe"
"""The first key of the JSON line, by which a program finds it in the page."""


@dataclass(frozen=True, slots=True)
class ProviderReport:
    """The findings of one probe.

    Attributes:
        name: the provider's product name, such as "Extracta.ai".
        requests: requests sent.
        has_answers: whether the provider returned any response about a request itself.
        findings: one finding for each assumption about the provider.
        notes: sentences about requests that could not be sent.
    """

    name: str
    requests: int
    has_answers: bool
    findings: Sequence[Finding]
    notes: Sequence[str] = ()

    @property
    def summary(self) -> str:
        """Return one sentence with the number of assumptions for each verdict."""
        counts = Counter(finding.verdict for finding in self.findings)
        verdict_texts = [f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict]]
        return f"{self.name}: {', '.join(verdict_texts)}."


@dataclass(frozen=True, slots=True)
class EarlierReport:
    """The content of the JSON line of an earlier report.

    Attributes:
        verdicts: the verdict for each assumption id.
        variants: the names of the variants seen, for each assumption id.
        switches: the sandbox's switches that reproduce the account.
    """

    verdicts: Mapping[str, Verdict]
    variants: Mapping[str, tuple[str, ...]]
    switches: Mapping[str, SwitchValue] = field(default_factory=dict)


def collect_switches(reports: Iterable[ProviderReport]) -> dict[str, SwitchValue]:
    """Return the sandbox's switches that reproduce the accounts."""
    switches: dict[str, SwitchValue] = {}
    for report in reports:
        for finding in report.findings:
            switches.update(finding.switches)
    return switches


def render_page(
    reports: Sequence[ProviderReport], *, version: str, created_at: datetime, changes: Sequence[str] | None
) -> str:
    """Return the report as a page of Markdown.

    Args:
        reports: one report for each provider, in the order of the page.
        version: the version of the connector.
        created_at: the time of the probe; the page shows its date.
        changes: sentences about differences from an earlier report, None without an earlier report.
    """
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
    """Parse a report that `render_page` wrote.

    Raises:
        ConfigError: the text holds no report, or one in another format.
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
        verdicts = {assumption_id: Verdict(finding["verdict"]) for assumption_id, finding in findings.items()}
        variants = {assumption_id: tuple(finding["variants"]) for assumption_id, finding in findings.items()}
        return EarlierReport(verdicts, variants, report_json["switches"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError("The file of --against contains no report. Name one that probe wrote.") from None


def compare_reports(earlier: EarlierReport, reports: Iterable[ProviderReport]) -> list[str]:
    """Return a sentence for each assumption whose finding has changed.

    An assumption that either report has not seen counts as unchanged: an account does not always hold an example.
    """
    changes = []
    for report in reports:
        for finding in report.findings:
            assumption_id = finding.assumption.id
            earlier_verdict = earlier.verdicts.get(assumption_id, Verdict.NOT_SEEN)
            if Verdict.NOT_SEEN in {earlier_verdict, finding.verdict}:
                continue
            variants = earlier.variants.get(assumption_id, ())
            # Sets: the order in which an account shows the variants means nothing.
            if (earlier_verdict, set(variants)) != (finding.verdict, set(finding.variants)):
                earlier_state = _describe_state(earlier_verdict, variants)
                current_state = _describe_state(finding.verdict, finding.variants)
                changes.append(f"`{assumption_id}` was {earlier_state} and is now {current_state}.")
    return changes


def _describe_state(verdict: Verdict, variants: Sequence[str]) -> str:
    return f"{verdict.value} ({', '.join(sorted(variants))})" if variants else verdict.value


def _render_provider(report: ProviderReport) -> list[str]:
    rows = ["| assumption | verdict | seen |", "|---|---|---|"]
    actions = []
    for finding in report.findings:
        sentences = " ".join(finding.assumption.get_variant(name).sentence for name in finding.variants)
        detail_text = f"({finding.detail})" if finding.detail else ""
        cell_text = " ".join(filter(None, (sentences, detail_text)))
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
    # A pipe or a line break would end the cell.
    return " ".join(text.replace("|", "\\|").split())


def format_switch(value: SwitchValue) -> str:
    """Return the value of a switch as the sandbox's command line expects it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _render_json_line(
    reports: Iterable[ProviderReport], version: str, created_at: datetime, switches: Mapping[str, SwitchValue]
) -> str:
    findings = {}
    for report in reports:
        for finding in report.findings:
            finding_json = {"verdict": finding.verdict.value, "variants": list(finding.variants)}
            findings[finding.assumption.id] = finding_json
    report_json = {
        # First, because `parse_report` finds the line by its beginning.
        _MARKER_KEY: REPORT_FORMAT,
        "version": version,
        "date": created_at.date().isoformat(),
        "findings": findings,
        "switches": dict(switches),
    }
    return json.dumps(report_json)
