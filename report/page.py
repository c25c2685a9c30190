"""One page of HTML that needs nothing but itself: no network, no file beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from .charts import Plot, plots, provider_name, shared_types, worded
from .files import replacing
from .text import without_lone_surrogates
from .warehouse import Answers, Row, recipes, thresholds

_FOLDER = Path(__file__).parent
_LONGEST_TABLE = 10
_LONGEST_NUMBERS = 100
_TABLES = {
    "review-queue": "Human review queue",
    "low-confidence": "Low-confidence documents",
    "stuck": "Stuck documents and batches",
    "edits": "Edits after extraction",
}


def page(answers: Answers, source: str, now: datetime | None = None) -> str:
    """Return the page as text. `source` names the warehouse; it is shown, so it must hold no password."""
    # What providers and their customers wrote is text, whatever it looks like.
    environment = Environment(loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined)
    environment.filters.update(percent=_percent, shown=_shown, grouped=_grouped, provider=provider_name, worded=worded)
    drawn = plots(answers)
    tables = {
        "review_queue": _waiting(answers),
        "low_confidence": _low_confidence(answers),
        "stuck": answers["stuck"],
        "edits": _by_value(answers["edits"]),
        "side_by_side": shared_types(answers["side_by_side"]),
    }
    return environment.get_template("page.html").render(
        source=source,
        now=now or datetime.now(timezone.utc),
        figures=_figures(answers),
        plots=drawn,
        sections=_sections(drawn),
        tables={name: rows[:_LONGEST_TABLE] for name, rows in tables.items()},
        counts={name: len(rows) for name, rows in tables.items()},
        longest_numbers=_LONGEST_NUMBERS,
        thresholds=thresholds(),
        questions={name: sql.splitlines()[0].removeprefix("-- ") for name, sql in recipes().items()},
        script=vl_convert.javascript_bundle().replace("</script", "<\\/script"),
    )


def _sections(drawn: Sequence[Plot]) -> dict[str, str]:
    """Return the titles of all sections by their anchors."""
    return {plot.name: plot.title for plot in drawn} | _TABLES


def _figures(answers: Answers) -> list[tuple[str, str, str]]:
    """Return the key figures: a number, its name, and what it counts."""
    done = _sum(answers["straight_through"], "documents")
    straight, failed = _sum(answers["straight_through"], "straight_through"), _sum(answers["failures"], "failed")
    edited = {(row["provider"], row["id"]) for row in answers["edits"]}
    limits = thresholds()
    return [
        (f"{done:,}", "completed", "documents processed or failed"),
        (
            _percent(straight / done) if done else "–",
            "straight through",
            f"{straight:,} without failure, review or edit",
        ),
        (_percent(failed / done) if done else "–", "failed", f"{failed:,} documents"),
        (f"{len(_waiting(answers)):,}", "awaiting review", "documents in the human review queue"),
        (
            f"{len(_low_confidence(answers)):,}",
            "low confidence",
            f"documents with a value below {limits['unsure_below']}",
        ),
        (f"{len(answers['stuck']):,}", "stuck", f"unfinished for more than {limits['hours']} hours"),
        (f"{len(edited):,}", "edited", "documents changed after extraction"),
    ]


def _waiting(answers: Answers) -> list[Row]:
    """Return the documents that wait for a person: whatever their confidence is, somebody has to decide."""
    return [row for row in answers["to_review"] if row["review_status"] is not None]


def _low_confidence(answers: Answers) -> list[Row]:
    return [row for row in answers["to_review"] if row["review_status"] is None]


def _by_value(edits: Sequence[Row]) -> list[Row]:
    """Leave out that a document was delivered again where its changed values are known."""
    known = {(row["provider"], row["id"]) for row in edits if row["path"] is not None}
    return [row for row in edits if row["path"] is not None or (row["provider"], row["id"]) not in known]


def _sum(rows: Sequence[Mapping[str, Any]], column: str) -> int:
    return sum(int(row[column]) for row in rows)


def _percent(share: float | None) -> str:
    """Return a share as precisely as is worth reading: 3.4%, 93%."""
    if share is None:
        return "–"
    return f"{share:.1%}" if 0 < share < 0.1 else f"{share:.0%}"


def _grouped(number: int) -> str:
    return f"{number:,}"


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, datetime | date):
        return f"{value.day} {value:%b %Y}"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def write(answers: Answers, source: str, target: Path) -> None:
    """Write the page whole or not at all.

    Raises:
        Trouble: the file cannot be written.
    """
    # A lone surrogate cannot be encoded; in HTML it would be no character anyway.
    content = without_lone_surrogates(page(answers, source))
    with replacing(target) as unfinished:
        unfinished.write_text(content, encoding="utf-8")
