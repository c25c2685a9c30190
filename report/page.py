"""One page of HTML that needs nothing but itself: no network, no file beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from .charts import plots, shared_types
from .files import replacing
from .text import without_lone_surrogates
from .warehouse import Answers, Row, recipes

_FOLDER = Path(__file__).parent
_LONGEST_TABLE = 10


def page(answers: Answers, source: str, now: datetime | None = None) -> str:
    """The page as text. `source` names the warehouse; it is shown, so it must hold no password."""
    # What providers and their customers wrote is text, whatever it looks like.
    environment = Environment(loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined)
    environment.filters.update(percent=_percent, shown=_shown, grouped=lambda number: f"{number:,}")
    shown = plots(answers)
    told = {
        **answers,
        "edits": _by_value(answers["edits"]),
        "side_by_side": shared_types(answers["side_by_side"]),
    }
    return environment.get_template("page.html").render(
        source=source,
        now=now or datetime.now(timezone.utc),
        figures=_figures(answers),
        plots=shown,
        specs={plot.name: plot.spec for plot in shown if plot.spec is not None},
        tables={name: rows[:_LONGEST_TABLE] for name, rows in told.items()},
        counts={name: len(rows) for name, rows in told.items()},
        questions={name: sql.splitlines()[0].removeprefix("-- ") for name, sql in recipes().items()},
        script=vl_convert.javascript_bundle().replace("</script", "<\\/script"),
    )


def _figures(answers: Answers) -> list[tuple[str, str, str]]:
    """Numbers that are seen first: each with what it counts, and a word about it."""
    done = _sum(answers["straight_through"], "documents")
    straight, failed = _sum(answers["straight_through"], "straight_through"), _sum(answers["failures"], "failed")
    edited = {(row["provider"], row["id"]) for row in answers["edits"]}
    return [
        (f"{done:,}", "documents", "processed or failed"),
        (_percent(straight / done) if done else "–", "straight through", f"{straight:,} needed nobody’s hand"),
        (_percent(failed / done) if done else "–", "failed", f"{failed:,} documents"),
        (f"{len(answers['to_review']):,}", "to review", "unsure, or waiting for a decision"),
        (f"{len(answers['stuck']):,}", "stuck", "pending for more than a day"),
        (f"{len(edited):,}", "edited", "by somebody, afterwards"),
    ]


def _by_value(edits: Sequence[Row]) -> list[Row]:
    """Without what says of a document only that it came again, where more is known of it."""
    known = {(row["provider"], row["id"]) for row in edits if row["path"] is not None}
    return [row for row in edits if row["path"] is not None or (row["provider"], row["id"]) not in known]


def _sum(rows: Sequence[Mapping[str, Any]], column: str) -> int:
    return sum(int(row[column]) for row in rows)


def _percent(share: float | None) -> str:
    """As precise as is worth reading: 3.4 %, 93 %."""
    if share is None:
        return "–"
    return f"{share:.1%}" if 0 < share < 0.1 else f"{share:.0%}"


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
