"""The charts of the report, as Vega-Lite specifications.

The page's style sheet colours their text and grid, so one specification serves light and dark screens.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import altair as alt

from source_docextract.core.products import PRODUCTS

from .text import to_one_line, truncate
from .warehouse import RecipeResults, Row

_PRODUCT_COLOURS = ("#0072b2", "#56b4e9", "#009e73", "#e69f00", "#cc79a7")
"""From the palette of Okabe and Ito, which people who see red and green alike can read; one for each product."""

PROVIDER_STYLES = {
    product.name: (product.title, colour) for product, colour in zip(PRODUCTS, _PRODUCT_COLOURS, strict=True)
}
"""Titles and colours, by product name."""

_LINE_STYLES = (
    ("#0072b2", "circle", "●"),
    ("#d55e00", "square", "■"),
    ("#009e73", "triangle-up", "▲"),
    ("#cc79a7", "diamond", "◆"),
    ("#e69f00", "triangle-down", "▼"),
    ("#56b4e9", "cross", "✚"),
)
"""Colours and shapes of lines: the shape identifies a line where its colour does not."""

_OUTCOME_COLOURS = {"straight through": "#2b7bba", "reviewed or edited": "#e3c17a", "failed": "#c8552b"}
_RATE_COLOURS = ("#c8552b", "#f1e3cc", "#1f6e9c")  # orange to blue, for readers with red-green colour blindness
_DARK_CELL_TEST = "datum.rate > 0.88 || datum.rate < 0.12"
"""Vega test for cells on which white text is easier to read than black text."""

_MAX_TEMPLATES, _MAX_REASONS, _MAX_FIELDS, _MAX_TIMED_TEMPLATES = 14, 14, 6, 4  # most that one chart can show
_MIN_WEEKS = 4
_MAX_WEEKS = 16
"""Most weeks of a chart: with older ones, a single old document would leave no room for the others."""
_MAX_LABEL_LENGTH = 160
_WEEK_AXIS = {"labelExpr": "timeFormat(toDate(datum.value + 'T00:00:00'), '%-d %b')", "labelAngle": 0}


@dataclass(frozen=True)
class LegendEntry:
    """One entry of a legend."""

    label: str
    colour: str
    symbol: str = "■"


@dataclass(frozen=True)
class Table:
    """The numbers of a chart, for readers who cannot see it.

    Attributes:
        columns: Titles, each with whether its column holds numbers.
        rows: Cells as text.
    """

    columns: Sequence[tuple[str, bool]]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Drawing:
    """A chart with its legend and its numbers."""

    chart: alt.TopLevelMixin
    legend: Sequence[LegendEntry]
    table: Table


@dataclass(frozen=True)
class Plot:
    """A chart with its title and its caption.

    Attributes:
        name: Anchor of its section.
        recipe: Name of the recipe that returns its numbers.
        title: Heading of its section.
        sentence: Caption of the chart.
        spec: Vega-Lite specification; None without data or after a problem.
        legend: Entries of the legend.
        table: Numbers of the chart; None without data or after a problem.
        problem: Reason for which the chart cannot be drawn; empty if there is none.
    """

    name: str
    recipe: str
    title: str
    sentence: str
    spec: Mapping[str, Any] | None = None
    legend: Sequence[LegendEntry] = ()
    table: Table | None = None
    problem: str = ""


def build_plots(recipe_results: RecipeResults) -> list[Plot]:
    """Return all charts, in the order of the page."""
    return [_build_plot(definition, recipe_results) for definition in _PLOT_DEFINITIONS]


def _build_plot(definition: _PlotDefinition, recipe_results: RecipeResults) -> Plot:
    plot_header = (definition.name, definition.recipe, definition.title, definition.sentence)
    try:
        drawing = definition.draw(recipe_results[definition.recipe])
        if drawing is None:
            return Plot(*plot_header)
        return Plot(*plot_header, drawing.chart.to_dict(), drawing.legend, drawing.table)
    except Exception as error:  # one chart must not cost the reader the other charts and the tables
        return Plot(*plot_header, problem=truncate(to_one_line(f"{type(error).__name__}: {error}"), _MAX_LABEL_LENGTH))


def _draw_straight_through(rows: Sequence[Row]) -> Drawing | None:
    document_counts: Counter[tuple[str, str]] = Counter()
    straight_counts: Counter[tuple[str, str]] = Counter()
    for row in _filter_recent(rows):
        document_counts[_make_template_label(row), _format_week(row)] += row["documents"]
        straight_counts[_make_template_label(row), _format_week(row)] += row["straight_through"]
    sizes: Counter[str] = Counter()
    for (label, _), number in document_counts.items():
        sizes[label] += number
    labels = _pick_largest(sizes, _MAX_TEMPLATES)
    cells: list[dict[str, Any]] = [
        {"label": label, "week": week, "documents": number, "straight": straight_counts[label, week]}
        | {"rate": straight_counts[label, week] / number}
        for (label, week), number in document_counts.items()
        if label in labels
    ]
    if not cells:
        return None
    padding = 0.06
    base_chart = alt.Chart(_build_data(cells)).encode(
        x=_build_week_axis(_list_weeks(cells), scale={"paddingInner": padding}),
        y=alt.Y("label:N", title=None, sort=None, scale=alt.Scale(domain=labels, paddingInner=padding)),
        tooltip=[
            alt.Tooltip("label:N", title="template"),
            alt.Tooltip("week:N", title="week from"),
            alt.Tooltip("rate:Q", title="straight through", format=".0%"),
            alt.Tooltip("straight:Q", title="of them straight through"),
            alt.Tooltip("documents:Q", title="documents completed"),
        ],
    )
    colour = alt.Color(
        "rate:Q", scale=alt.Scale(domain=[0, 0.5, 1], range=list(_RATE_COLOURS), interpolate="rgb"), legend=None
    )
    text_colour = alt.condition(_DARK_CELL_TEST, alt.value("#ffffff"), alt.value("#1c2530"))
    chart = base_chart.mark_rect(cornerRadius=2).encode(color=colour) + base_chart.mark_text(fontSize=11).encode(
        text=alt.Text("rate:Q", format=".0%"), color=text_colour
    )
    sorted_cells = sorted(cells, key=lambda cell: (cell["week"], cell["documents"]), reverse=True)
    return Drawing(
        chart.properties(width="container", height=25 * len(labels)),
        [
            LegendEntry("0%", _RATE_COLOURS[0]),
            LegendEntry("50%", _RATE_COLOURS[1]),
            LegendEntry("100%", _RATE_COLOURS[2]),
        ],
        Table(
            [
                ("Week from", False),
                ("Template", False),
                ("Straight through", True),
                ("Completed", True),
                ("Rate", True),
            ],
            [
                [cell["week"], cell["label"], f"{cell['straight']:,}", f"{cell['documents']:,}", f"{cell['rate']:.0%}"]
                for cell in sorted_cells
            ],
        ),
    )


def _draw_failures(rows: Sequence[Row]) -> Drawing | None:
    failure_counts: Counter[tuple[str, str]] = Counter()
    for row in rows:
        failure_counts[_clean_label(row["reason"]), row["provider"]] += row["failed"]
    reason_totals: Counter[str] = Counter()
    for (reason, _), number in failure_counts.items():
        reason_totals[reason] += number
    if not reason_totals:
        return None
    reasons = _pick_largest(reason_totals, _MAX_REASONS)
    bars = [
        {"reason": reason, "provider": get_provider_name(provider), "failed": number, "total": reason_totals[reason]}
        for (reason, provider), number in failure_counts.items()
        if reason in reasons
    ]
    failing_providers = {provider for _, provider in failure_counts}
    legend = [LegendEntry(*style) for name, style in PROVIDER_STYLES.items() if name in failing_providers]
    y_axis = alt.Y("reason:N", title=None, sort=None, scale=alt.Scale(domain=reasons))
    base_chart = alt.Chart(_build_data(bars)).encode(y=y_axis)
    axis = alt.Axis(tickMinStep=1, format=",d", tickCount=6)
    bar_chart = base_chart.mark_bar(height=15).encode(
        x=alt.X("failed:Q", title="Failed documents", axis=axis, stack="zero"),
        color=_build_colour("provider:N", legend),
        tooltip=[
            alt.Tooltip("reason:N"),
            alt.Tooltip("provider:N"),
            alt.Tooltip("failed:Q", title="failed documents", format=",d"),
        ],
    )
    total_chart = base_chart.mark_text(align="left", dx=5, fontSize=12).encode(
        x=alt.X("max(total):Q"), text=alt.Text("max(total):Q", format=",d")
    )
    sorted_failures = sorted(failure_counts.items(), key=lambda item: (-item[1], item[0]))
    return Drawing(
        (bar_chart + total_chart).properties(width="container", height=26 * len(reasons)),
        legend,
        Table(
            [("Reason", False), ("Provider", False), ("Failed documents", True)],
            [[reason, get_provider_name(provider), f"{number:,}"] for (reason, provider), number in sorted_failures],
        ),
    )


def _draw_confidence(rows: Sequence[Row]) -> Drawing | None:
    """Draw the fields whose confidence changes most."""
    rows_by_label = _group_by_label(
        _filter_recent(rows), lambda row: f"{_clean_label(row['field']).strip('/')} · {_make_template_label(row)}"
    )
    sorted_labels = sorted(rows_by_label, key=lambda label: (-_measure_change(rows_by_label[label]), label))
    chosen_labels = sorted_labels[:_MAX_FIELDS]
    points: list[Row] = []
    for label in chosen_labels:
        for row in rows_by_label[label]:
            confidences = {"mean": row["mean_confidence"], "least": row["least_confidence"]}
            points.append({"label": label, "week": _format_week(row), **confidences, "values": row["found"]})
    if not points:
        return None
    legend = _build_legend(chosen_labels)
    y_axis = alt.Y(
        "mean:Q", title="Mean confidence", scale=alt.Scale(zero=False), axis=alt.Axis(format=".2f", tickCount=5)
    )
    tooltip = [
        alt.Tooltip("label:N", title="field"),
        alt.Tooltip("week:N", title="week from"),
        alt.Tooltip("mean:Q", title="mean confidence", format=".2f"),
        alt.Tooltip("least:Q", title="lowest", format=".2f"),
        alt.Tooltip("values:Q", title="values", format=",d"),
    ]
    chart = _draw_lines(points, legend, y_axis, tooltip)
    sorted_points = sorted(points, key=lambda point: (point["week"], point["label"]), reverse=True)
    return Drawing(
        chart.properties(width="container", height=280),
        legend,
        Table(
            [("Week from", False), ("Field", False), ("Mean", True), ("Lowest", True), ("Values", True)],
            [
                [point["week"], point["label"], f"{point['mean']:.2f}", f"{point['least']:.2f}", f"{point['values']:,}"]
                for point in sorted_points
            ],
        ),
    )


def _draw_provider_comparison(rows: Sequence[Row]) -> Drawing | None:
    shared_rows = filter_shared_types(rows)
    if not shared_rows:
        return None
    labels = [f"{get_provider_name(row['provider'])} · {_clean_label(row['document_type'])}" for row in shared_rows]
    shares = []
    for label, row in zip(labels, shared_rows, strict=True):
        straight_share, failed_share = row["straight_through_share"], row["failed_share"]
        outcome_shares = zip(
            _OUTCOME_COLOURS, (straight_share, 1 - straight_share - failed_share, failed_share), strict=True
        )
        label_cells = {"label": label, "done": row["done"]}
        shares += [
            {**label_cells, "part": outcome, "share": share, "place": position}
            for position, (outcome, share) in enumerate(outcome_shares)
        ]
    legend = [LegendEntry(outcome, colour) for outcome, colour in _OUTCOME_COLOURS.items()]
    axis = alt.Axis(format="%", tickCount=5)
    chart = (
        alt.Chart(_build_data(shares))
        .mark_bar(height=16)
        .encode(
            x=alt.X("share:Q", title="Share of completed documents", axis=axis, scale=alt.Scale(domain=[0, 1])),
            y=alt.Y("label:N", title=None, sort=None, scale=alt.Scale(domain=labels)),
            color=_build_colour("part:N", legend),
            order=alt.Order("place:Q"),
            tooltip=[
                alt.Tooltip("label:N", title="provider · type"),
                alt.Tooltip("part:N", title="outcome"),
                alt.Tooltip("share:Q", format=".0%"),
                alt.Tooltip("done:Q", title="documents completed"),
            ],
        )
    )
    return Drawing(chart.properties(width="container", height=30 * len(shared_rows)), legend, Table((), ()))


def _draw_time_to_completion(rows: Sequence[Row]) -> Drawing | None:
    rows_by_label = _group_by_label(_filter_recent(rows), _make_template_label)
    sizes: Counter[str] = Counter()
    for label, label_rows in rows_by_label.items():
        sizes[label] = sum(row["documents"] for row in label_rows)
    chosen_labels = _pick_largest(sizes, _MAX_TIMED_TEMPLATES)
    points: list[Row] = []
    for label in chosen_labels:
        for row in rows_by_label[label]:
            seconds = {"median": row["median_seconds"], "high": row["nine_in_ten_seconds"]}
            sums = {"slowest": row["slowest_seconds"], "documents": row["documents"]}
            points.append({"label": label, "week": _format_week(row), **seconds, **sums})
    if not points:
        return None
    legend = _build_legend(chosen_labels)
    y_axis = alt.Y("median:Q", title="Seconds", axis=alt.Axis(format=",d", tickCount=5))
    tooltip = [
        alt.Tooltip("label:N", title="template"),
        alt.Tooltip("week:N", title="week from"),
        alt.Tooltip("median:Q", title="median, seconds", format=",.1f"),
        alt.Tooltip("high:Q", title="90th percentile, seconds", format=",.1f"),
        alt.Tooltip("slowest:Q", title="slowest, seconds", format=",.1f"),
        alt.Tooltip("documents:Q", title="documents", format=",d"),
    ]
    band_chart = alt.Chart(_build_data(_insert_gaps(points))).encode(
        x=_build_week_axis(_list_weeks(points)), color=_build_colour("label:N", legend), y=y_axis, y2="high:Q"
    )
    chart = band_chart.mark_area(opacity=0.13) + _draw_lines(points, legend, y_axis, tooltip)
    sorted_points = sorted(points, key=lambda point: (point["week"], point["documents"]), reverse=True)
    return Drawing(
        chart.properties(width="container", height=260),
        legend,
        Table(
            [("Week from", False), ("Template", False)]
            + [(title, True) for title in ("Median, s", "90th percentile, s", "Slowest, s", "Documents")],
            [
                [point["week"], point["label"]]
                + [f"{point[name]:,.1f}" for name in ("median", "high", "slowest")]
                + [f"{point['documents']:,}"]
                for point in sorted_points
            ],
        ),
    )


@dataclass(frozen=True)
class _PlotDefinition:
    name: str
    recipe: str
    title: str
    sentence: str
    draw: Callable[[Sequence[Row]], Drawing | None] = field(repr=False)


_PLOT_DEFINITIONS = (
    _PlotDefinition(
        "straight-through",
        "straight_through",
        "Straight-through processing rate",
        "Share of completed documents that were processed without a failure, a review or a later edit, by template and "
        f"week of creation. The {_MAX_TEMPLATES} templates with most documents in the last {_MAX_WEEKS} weeks. "
        "An empty cell is a week without completed documents.",
        _draw_straight_through,
    ),
    _PlotDefinition(
        "failures",
        "failures",
        "Failure reasons",
        f"Number of failed documents by reason, as worded by the provider. The {_MAX_REASONS} most frequent reasons.",
        _draw_failures,
    ),
    _PlotDefinition(
        "confidence",
        "confidence",
        "Mean confidence by field",
        f"Weekly mean of the {_MAX_FIELDS} fields whose confidence changed most in the last {_MAX_WEEKS} weeks, "
        "for providers that return one. Each mark is one week, a gap is a week without values.",
        _draw_confidence,
    ),
    _PlotDefinition(
        "side-by-side",
        "side_by_side",
        "Provider comparison",
        "Outcome of documents of the same type, where more than one provider extracts them.",
        _draw_provider_comparison,
    ),
    _PlotDefinition(
        "time-to-completion",
        "time_to_completion",
        "Time to completion",
        "Seconds from creation to completion of a document, by week of creation. The marks are medians, the shaded "
        f"area reaches to the 90th percentile. The {_MAX_TIMED_TEMPLATES} templates with most documents, "
        "for providers that return both times.",
        _draw_time_to_completion,
    ),
)


def _draw_lines(
    points: Sequence[Row], legend: Sequence[LegendEntry], y_axis: alt.Y, tooltip: Sequence[alt.Tooltip]
) -> alt.LayerChart:
    """Draw straight lines: a curve would show values that were not measured."""
    shapes = {symbol: shape for _, shape, symbol in _LINE_STYLES}
    base_chart = alt.Chart(_build_data(_insert_gaps(points))).encode(
        x=_build_week_axis(_list_weeks(points)), y=y_axis, color=_build_colour("label:N", legend)
    )
    scale = alt.Scale(domain=[key.label for key in legend], range=[shapes[key.symbol] for key in legend])
    point_chart = base_chart.mark_point(filled=True, size=46, opacity=1).encode(
        shape=alt.Shape("label:N", scale=scale, legend=None), tooltip=list(tooltip)
    )
    return base_chart.mark_line(strokeWidth=2) + point_chart


def _insert_gaps(points: Sequence[Row]) -> list[Row]:
    """Add an empty point for each week without a value, at which Vega breaks the line."""
    present_weeks = {(point["label"], point["week"]) for point in points}
    labels, weeks = dict.fromkeys(point["label"] for point in points), _list_weeks(points)
    empty_points: list[Row] = []
    for label in labels:
        missing_weeks = [week for week in weeks if (label, week) not in present_weeks]
        empty_points += [dict.fromkeys(points[0]) | {"label": label, "week": week} for week in missing_weeks]
    return [*points, *empty_points]


def _filter_recent(rows: Iterable[Row]) -> list[Row]:
    dated_rows = [row for row in rows if row["week"] is not None]
    last_week = max((row["week"] for row in dated_rows), default=date.min)
    return [row for row in dated_rows if last_week - row["week"] < timedelta(weeks=_MAX_WEEKS)]


def _group_by_label(rows: Iterable[Row], get_label: Callable[[Row], str]) -> dict[str, list[Row]]:
    """Return rows by label, for the labels with enough weeks for a line."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[get_label(row)].append(row)
    return {name: label_rows for name, label_rows in groups.items() if len(label_rows) >= _MIN_WEEKS}


def _measure_change(label_rows: Sequence[Row]) -> float:
    """Return the change of the mean confidence from the first to the last third."""
    third_size = max(1, len(label_rows) // 3)
    return abs(_average_confidence(label_rows[-third_size:]) - _average_confidence(label_rows[:third_size]))


def _average_confidence(rows: Sequence[Row]) -> float:
    value_count = sum(row["found"] for row in rows)
    mean: float = sum(row["mean_confidence"] * row["found"] for row in rows) / value_count
    return mean


def _pick_largest(sizes: Counter[str], max_count: int) -> list[str]:
    return sorted(sizes, key=lambda label: (-sizes[label], label))[:max_count]


def filter_shared_types(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of document types that several providers have extracted."""
    counts = Counter(row["document_type"] for row in rows if row["done"])
    return [row for row in rows if row["done"] and counts[row["document_type"]] > 1]


def get_provider_name(provider: str) -> str:
    """Return the name of a provider for readers."""
    return PROVIDER_STYLES[provider][0] if provider in PROVIDER_STYLES else provider


def _make_template_label(row: Row) -> str:
    """Return a template's label, provider first: narrow charts cut the end off."""
    return f"{get_provider_name(row['provider'])} · {_clean_label(row['template'])}"


def _clean_label(text: str) -> str:
    """Return third-party text as one line: Vega's expressions end at a line separator."""
    return truncate(to_one_line(text), _MAX_LABEL_LENGTH)


def _format_week(row: Row) -> str:
    """Return the Monday as text: a time would depend on the reader's time zone."""
    week: date = row["week"]
    return f"{week:%Y-%m-%d}"


def _list_weeks(points: Sequence[Row]) -> list[str]:
    """Return each Monday from the first to the last, also those without data."""
    days = [date.fromisoformat(point["week"]) for point in points]
    week_count = (max(days) - min(days)).days // 7 + 1
    return [f"{min(days) + timedelta(weeks=week):%Y-%m-%d}" for week in range(week_count)]


def _build_legend(labels: Sequence[str]) -> list[LegendEntry]:
    return [
        LegendEntry(label, colour, symbol) for label, (colour, _, symbol) in zip(labels, _LINE_STYLES, strict=False)
    ]


def _build_data(rows: Iterable[Row]) -> alt.Data:
    return alt.Data(values=list(map(_to_json_row, rows)))


def _to_json_row(row: Row) -> Row:
    return {column: _to_json_value(value) for column, value in row.items()}


def _to_json_value(value: Any) -> Any:
    """Return a JSON value: None for NaN and infinity, a float for a Decimal."""
    number = float(value) if isinstance(value, Decimal) else value
    return None if isinstance(number, float) and not math.isfinite(number) else number


def _build_week_axis(weeks: Sequence[str], scale: Mapping[str, Any] | None = None) -> alt.X:
    """Return an axis with one tick for each week."""
    axis = alt.Axis(**_WEEK_AXIS, labelOverlap="parity", grid=False, ticks=True, tickSize=4)
    return alt.X("week:O", title="Week from", axis=axis, sort=None, scale=alt.Scale(domain=weeks, **(scale or {})))


def _build_colour(shorthand: str, legend: Sequence[LegendEntry]) -> alt.Color:
    """Return a colour encoding without Vega's legend.

    The page's own legend wraps on narrow screens.
    """
    scale = alt.Scale(domain=[key.label for key in legend], range=[key.colour for key in legend])
    return alt.Color(shorthand, scale=scale, legend=None)
