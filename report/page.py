"""The report as one HTML page that loads no other file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from .charts import Plot, build_plots, filter_shared_types, get_provider_name
from .files import replace_atomically
from .text import replace_lone_surrogates
from .warehouse import RecipeResults, Row, load_recipes, read_thresholds

_FOLDER = Path(__file__).parent
_MAX_TABLE_ROWS = 10
_MAX_NUMBER_ROWS = 100
_TABLE_TITLES = {
    "review-queue": "Human review queue",
    "low-confidence": "Low-confidence documents",
    "stuck": "Stuck documents and batches",
    "edits": "Edits after extraction",
}


def render_page(recipe_results: RecipeResults, warehouse_name: str, now: datetime | None = None) -> str:
    """Return the page as text.

    Args:
        recipe_results: Rows by recipe.
        warehouse_name: Name of the warehouse on the page, without a password.
        now: Time of the report; None is the present time.
    """
    # Names and values are third-party text: escape everything, so that none of it can become markup.
    environment = Environment(loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined)
    environment.filters.update(
        percent=_format_percent,
        shown=_format_value,
        grouped=_format_count,
        provider=get_provider_name,
    )
    built_plots = build_plots(recipe_results)
    tables = {
        "review_queue": _filter_awaiting_review(recipe_results),
        "low_confidence": _filter_low_confidence(recipe_results),
        "stuck": recipe_results["stuck"],
        "edits": _drop_redundant_edits(recipe_results["edits"]),
        "side_by_side": filter_shared_types(recipe_results["side_by_side"]),
    }
    return environment.get_template("page.html").render(
        source=warehouse_name,
        now=now or datetime.now(timezone.utc),
        figures=_build_figures(recipe_results),
        plots=built_plots,
        sections=_list_sections(built_plots),
        tables={name: rows[:_MAX_TABLE_ROWS] for name, rows in tables.items()},
        counts={name: len(rows) for name, rows in tables.items()},
        longest_numbers=_MAX_NUMBER_ROWS,
        thresholds=read_thresholds(),
        questions={name: sql.splitlines()[0].removeprefix("-- ") for name, sql in load_recipes().items()},
        # "</script" inside the bundle would end its element.
        script=vl_convert.javascript_bundle().replace("</script", "<\\/script"),
    )


def _list_sections(built_plots: Sequence[Plot]) -> dict[str, str]:
    """Return the headings of all sections by their anchors."""
    return {plot.name: plot.title for plot in built_plots} | _TABLE_TITLES


def _build_figures(recipe_results: RecipeResults) -> list[tuple[str, str, str]]:
    """Return the key figures: number, label and explanation."""
    completed_count = _sum_column(recipe_results["straight_through"], "documents")
    straight_count = _sum_column(recipe_results["straight_through"], "straight_through")
    failed_count = _sum_column(recipe_results["failures"], "failed")
    edited_documents = {(row["provider"], row["id"]) for row in recipe_results["edits"]}
    limits = read_thresholds()
    straight_share = straight_count / completed_count if completed_count else None
    failed_share = failed_count / completed_count if completed_count else None
    return [
        (f"{completed_count:,}", "completed", "documents processed or failed"),
        (
            _format_percent(straight_share),
            "straight through",
            f"{straight_count:,} without failure, review or edit",
        ),
        (_format_percent(failed_share), "failed", f"{failed_count:,} documents"),
        (f"{len(_filter_awaiting_review(recipe_results)):,}", "awaiting review", "documents in the human review queue"),
        (
            f"{len(_filter_low_confidence(recipe_results)):,}",
            "low confidence",
            f"documents with a value below {limits['unsure_below']}",
        ),
        (f"{len(recipe_results['stuck']):,}", "stuck", f"unfinished for more than {limits['hours']} hours"),
        (f"{len(edited_documents):,}", "edited", "documents changed after extraction"),
    ]


def _filter_awaiting_review(recipe_results: RecipeResults) -> list[Row]:
    """Return the documents under review; a person decides on these at any confidence."""
    return [row for row in recipe_results["to_review"] if row["review_status"] is not None]


def _filter_low_confidence(recipe_results: RecipeResults) -> list[Row]:
    return [row for row in recipe_results["to_review"] if row["review_status"] is None]


def _drop_redundant_edits(edits: Sequence[Row]) -> list[Row]:
    """Return the edits without "delivered again" where changed values are known."""
    explained_edits = {(row["provider"], row["id"]) for row in edits if row["path"] is not None}
    return [row for row in edits if row["path"] is not None or (row["provider"], row["id"]) not in explained_edits]


def _sum_column(rows: Sequence[Mapping[str, Any]], column: str) -> int:
    return sum(int(row[column]) for row in rows)


def _format_percent(share: float | None) -> str:
    """Return a share with one decimal below 10% and none above: 3.4%, 93%."""
    if share is None:
        return "–"
    return f"{share:.1%}" if 0 < share < 0.1 else f"{share:.0%}"


def _format_count(number: int) -> str:
    return f"{number:,}"


def _format_value(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, datetime | date):
        return f"{value.day} {value:%b %Y}"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def write_page(recipe_results: RecipeResults, warehouse_name: str, target: Path) -> None:
    """Write the page to a file, or leave the file as it was.

    Raises:
        ReportError: The file cannot be written.
    """
    # A lone surrogate, which a provider's JSON can hold, cannot be encoded as UTF-8.
    content = replace_lone_surrogates(render_page(recipe_results, warehouse_name))
    with replace_atomically(target) as temporary_path:
        temporary_path.write_text(content, encoding="utf-8")
