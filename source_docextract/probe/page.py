"""The report of a probe: a page of Markdown that people read and send, with a line that programs read. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ..errors import ConfigError
from .assumptions import SwitchValue
from .findings import Finding, Verdict

FORMAT = 1
_KEY = "docextract_probe"


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
class Earlier:
    """A report that was written earlier, as far as programs read it."""

    verdicts: Mapping[str, Verdict]
    variants: Mapping[str, tuple[str, ...]]
    switches: Mapping[str, SwitchValue] = field(default_factory=dict)


def switches_of(reports: Iterable[ProviderReport]) -> dict[str, SwitchValue]:
    """Return the sandbox's switches that reproduce what was seen."""
    found: dict[str, SwitchValue] = {}
    for report in reports:
        for finding in report.findings:
            found.update(finding.switches)
    return found


def written(reports: Sequence[ProviderReport], *, version: str, when: datetime, changes: Sequence[str] | None) -> str:
    """Return the page. `changes` are sentences of what differs from an earlier report, None where there is none."""
    parts = [
        f"# Probe of {when.date().isoformat()}, source-docextract {version}",
        "This page compares an account with what the connector assumes. It holds shapes, counts and names of "
        "documented keys: no values, ids, file names, links or keys of the account.",
    ]
    if changes is not None:
        parts.append("## Changed since the earlier report")
        parts.append("\n".join(f"- {change}" for change in changes) if changes else "Nothing has changed.")
    for report in reports:
        parts += _provider(report)
    parts.append("## Summary")
    parts.append("\n".join(f"- {report.summary}" for report in reports))
    switches = switches_of(reports)
    parts.append("## A sandbox like this account")
    options = "".join(f" --switch {name}={switch_text(value)}" for name, value in switches.items())
    parts.append(f"```bash\ndocextract-sandbox{options}\n```")
    parts.append("## For programs")
    parts.append(f"```json\n{_line(reports, version, when, switches)}\n```")
    return "\n\n".join(parts) + "\n"


def read(text: str) -> Earlier:
    """Read a report that `written` made.

    Raises:
        ConfigError: where the text is none.
    """
    line = next((line for line in text.splitlines() if line.startswith(f'{{"{_KEY}"')), "")
    try:
        sent = json.loads(line)
        if sent[_KEY] != FORMAT:
            raise ConfigError(
                f"The report of --against has format {sent[_KEY]!r}, and this version reads format {FORMAT}. "
                "Make a new one."
            )
        findings = sent["findings"]
        return Earlier(
            {name: Verdict(finding["verdict"]) for name, finding in findings.items()},
            {name: tuple(finding["variants"]) for name, finding in findings.items()},
            sent["switches"],
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError("The file of --against holds no report. Name one that probe wrote.") from None


def compared(earlier: Earlier, reports: Iterable[ProviderReport]) -> list[str]:
    """Return a sentence for each assumption of which an account now shows something else.

    What was not seen before or is not seen now is no change: an account does not always hold an example.
    """
    changes = []
    for report in reports:
        for finding in report.findings:
            name = finding.assumption.id
            before = earlier.verdicts.get(name, Verdict.NOT_SEEN)
            if Verdict.NOT_SEEN in {before, finding.verdict}:
                continue
            variants = earlier.variants.get(name, ())
            if (before, set(variants)) != (finding.verdict, set(finding.variants)):
                was, now = _state(before, variants), _state(finding.verdict, finding.variants)
                changes.append(f"`{name}` was {was}, and is now {now}.")
    return changes


def _state(verdict: Verdict, variants: Sequence[str]) -> str:
    return f"{verdict.value} ({', '.join(sorted(variants))})" if variants else verdict.value


def _provider(report: ProviderReport) -> list[str]:
    rows = ["| assumption | verdict | seen |", "|---|---|---|"]
    actions = []
    for finding in report.findings:
        sentences = " ".join(finding.assumption.variant(name).sentence for name in finding.variants)
        shown = " ".join(filter(None, (sentences, f"({finding.detail})" if finding.detail else "")))
        if finding.verdict is Verdict.NOT_SEEN:
            shown = f"Assumed: {finding.assumption.assumed.sentence}"
            if not finding.assumption.is_visible:
                shown += " A probe cannot see this."
        rows.append(f"| `{finding.assumption.id}` | {finding.verdict.value} | {_cell(shown)} |")
        if finding.verdict is Verdict.CONTRADICTED:
            actions.append(f"- `{finding.assumption.id}`: {finding.assumption.contradicted}")
    parts = [f"## {report.name}", f"{report.requests} requests.", "\n".join(rows)]
    if actions:
        parts += ["What to do:", "\n".join(actions)]
    if report.notes:
        parts.append("\n".join(f"- {note}" for note in report.notes))
    return parts


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def switch_text(value: SwitchValue) -> str:
    """Return a switch's value as it is written on the command line."""
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)


def _line(reports: Iterable[ProviderReport], version: str, when: datetime, switches: Mapping[str, SwitchValue]) -> str:
    findings = {
        finding.assumption.id: {"verdict": finding.verdict.value, "variants": list(finding.variants)}
        for report in reports
        for finding in report.findings
    }
    document = {
        _KEY: FORMAT,
        "version": version,
        "date": when.date().isoformat(),
        "findings": findings,
        "switches": dict(switches),
    }
    return json.dumps(document)
