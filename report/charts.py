"""The charts, in Vega-Lite. The page's style sheet colours their text and grid, and knows light from dark."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import altair as alt

from .text import cut, one_line
from .warehouse import Answers, Row

PROVIDERS = {
    "extracta": ("Extracta.ai", "#0072b2"),
    "extracta_classification": ("Extracta.ai classification", "#56b4e9"),
    "docmap": ("DocMap", "#009e73"),
    "sensible": ("Sensible", "#e69f00"),
    "atlas": ("Atlas", "#cc79a7"),
}
"""Names and colours. These are from the palette of Okabe and Ito, which people who see red and green alike can read."""

_LINES = (
    ("#0072b2", "circle", "●"),
    ("#d55e00", "square", "■"),
    ("#009e73", "triangle-up", "▲"),
    ("#cc79a7", "diamond", "◆"),
    ("#e69f00", "triangle-down", "▼"),
    ("#56b4e9", "cross", "✚"),
)
"""Colours and shapes of lines, so that no line is known by its colour alone."""

_SHARES = {"straight through": "#2b7bba", "reviewed or edited": "#e3c17a", "failed": "#c8552b"}
_RATES = ("#c8552b", "#f1e3cc", "#1f6e9c")  # from orange to blue: not told apart by red and green
_DARK_CELLS = "datum.rate > 0.88 || datum.rate < 0.12"
"""Cells on which white text is easier to read than black text."""

_TEMPLATES, _REASONS, _FIELDS, _TIMED = 14, 14, 6, 4  # that one chart can show
_FEWEST_WEEKS = 4
_WEEKS = 16
"""Older weeks are not in the charts, where one old document would leave no room for the others."""
_LONGEST_LABEL = 160
_WEEK_AXIS = {"labelExpr": "timeFormat(toDate(datum.value + 'T00:00:00'), '%-d %b')", "labelAngle": 0}


@dataclass(frozen=True)
class Key:
    """One entry of a legend."""

    label: str
    colour: str
    symbol: str = "■"


@dataclass(frozen=True)
class Table:
    """The numbers of a chart, for readers who do not see it.

    Attributes:
        columns: titles, each with whether numbers stand below it.
    """

    columns: Sequence[tuple[str, bool]]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Drawing:
    chart: alt.TopLevelMixin
    legend: Sequence[Key]
    table: Table


@dataclass(frozen=True)
class Plot:
    """A chart with its text. Without data, or after a problem, there is no `spec`."""

    name: str
    recipe: str
    title: str
    sentence: str
    spec: Mapping[str, Any] | None = None
    legend: Sequence[Key] = ()
    table: Table | None = None
    problem: str = ""


def plots(answers: Answers) -> list[Plot]:
    return [_plot(subject, answers) for subject in _SUBJECTS]


def _plot(subject: _Subject, answers: Answers) -> Plot:
    about = (subject.name, subject.recipe, subject.title, subject.sentence)
    try:
        drawing = subject.draw(answers[subject.recipe])
        if drawing is None:
            return Plot(*about)
        return Plot(*about, drawing.chart.to_dict(), drawing.legend, drawing.table)
    except Exception as problem:  # the other charts and all tables are worth reading without this one
        return Plot(*about, problem=cut(one_line(f"{type(problem).__name__}: {problem}"), _LONGEST_LABEL))


def _straight_through(rows: Sequence[Row]) -> Drawing | None:
    documents: Counter[tuple[str, str]] = Counter()
    straight: Counter[tuple[str, str]] = Counter()
    for row in _recent(rows):
        documents[_label(row), _day(row)] += row["documents"]
        straight[_label(row), _day(row)] += row["straight_through"]
    sizes: Counter[str] = Counter()
    for (label, _), number in documents.items():
        sizes[label] += number
    labels = _largest(sizes, _TEMPLATES)
    cells = [
        {"label": label, "week": week, "documents": number, "straight": straight[label, week]}
        | {"rate": straight[label, week] / number}
        for (label, week), number in documents.items()
        if label in labels
    ]
    if not cells:
        return None
    padding = 0.06
    base = alt.Chart(_data(cells)).encode(
        x=_week(_weeks(cells), scale={"paddingInner": padding}),
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
        "rate:Q", scale=alt.Scale(domain=[0, 0.5, 1], range=list(_RATES), interpolate="rgb"), legend=None
    )
    ink = alt.condition(_DARK_CELLS, alt.value("#ffffff"), alt.value("#1c2530"))
    chart = base.mark_rect(cornerRadius=2).encode(color=colour) + base.mark_text(fontSize=11).encode(
        text=alt.Text("rate:Q", format=".0%"), color=ink
    )
    numbers = sorted(cells, key=lambda cell: (cell["week"], cell["documents"]), reverse=True)
    return Drawing(
        chart.properties(width="container", height=25 * len(labels)),
        [Key("0%", _RATES[0]), Key("50%", _RATES[1]), Key("100%", _RATES[2])],
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
                for cell in numbers
            ],
        ),
    )


def _failures(rows: Sequence[Row]) -> Drawing | None:
    failed: Counter[tuple[str, str]] = Counter()
    for row in rows:
        failed[_text(row["reason"]), row["provider"]] += row["failed"]
    totals: Counter[str] = Counter()
    for (reason, _), number in failed.items():
        totals[reason] += number
    if not totals:
        return None
    reasons = _largest(totals, _REASONS)
    bars = [
        {"reason": reason, "provider": provider_name(provider), "failed": number, "total": totals[reason]}
        for (reason, provider), number in failed.items()
        if reason in reasons
    ]
    keys = [Key(*PROVIDERS[name]) for name in PROVIDERS if any(provider == name for _, provider in failed)]
    y = alt.Y("reason:N", title=None, sort=None, scale=alt.Scale(domain=reasons))
    base = alt.Chart(_data(bars)).encode(y=y)
    axis = alt.Axis(tickMinStep=1, format=",d", tickCount=6)
    bar = base.mark_bar(height=15).encode(
        x=alt.X("failed:Q", title="Failed documents", axis=axis, stack="zero"),
        color=_colour("provider:N", keys),
        tooltip=[
            alt.Tooltip("reason:N"),
            alt.Tooltip("provider:N"),
            alt.Tooltip("failed:Q", title="failed documents", format=",d"),
        ],
    )
    total = base.mark_text(align="left", dx=5, fontSize=12).encode(
        x=alt.X("max(total):Q"), text=alt.Text("max(total):Q", format=",d")
    )
    ordered = sorted(failed.items(), key=lambda item: (-item[1], item[0]))
    return Drawing(
        (bar + total).properties(width="container", height=26 * len(reasons)),
        keys,
        Table(
            [("Reason", False), ("Provider", False), ("Failed documents", True)],
            [[reason, provider_name(provider), f"{number:,}"] for (reason, provider), number in ordered],
        ),
    )


def _confidence(rows: Sequence[Row]) -> Drawing | None:
    """Of dozens of fields draw those that change most: a table would hide them."""
    weekly = _by_label(_recent(rows), lambda row: f"{_text(row['field']).strip('/')} · {_label(row)}")
    chosen = sorted(weekly, key=lambda label: (-_change(weekly[label]), label))[:_FIELDS]
    points = [
        {"label": label, "week": _day(row), "mean": row["mean_confidence"], "least": row["least_confidence"]}
        | {"values": row["found"]}
        for label in chosen
        for row in weekly[label]
    ]
    if not points:
        return None
    keys = _keys(chosen)
    y = alt.Y("mean:Q", title="Mean confidence", scale=alt.Scale(zero=False), axis=alt.Axis(format=".2f", tickCount=5))
    tooltip = [
        alt.Tooltip("label:N", title="field"),
        alt.Tooltip("week:N", title="week from"),
        alt.Tooltip("mean:Q", title="mean confidence", format=".2f"),
        alt.Tooltip("least:Q", title="lowest", format=".2f"),
        alt.Tooltip("values:Q", title="values", format=",d"),
    ]
    chart = _lines(points, keys, y, tooltip)
    ordered = sorted(points, key=lambda point: (point["week"], point["label"]), reverse=True)
    return Drawing(
        chart.properties(width="container", height=280),
        keys,
        Table(
            [("Week from", False), ("Field", False), ("Mean", True), ("Lowest", True), ("Values", True)],
            [
                [point["week"], point["label"], f"{point['mean']:.2f}", f"{point['least']:.2f}", f"{point['values']:,}"]
                for point in ordered
            ],
        ),
    )


def _side_by_side(rows: Sequence[Row]) -> Drawing | None:
    shared = shared_types(rows)
    if not shared:
        return None
    labels = [f"{provider_name(row['provider'])} · {_text(row['document_type'])}" for row in shared]
    shares = []
    for label, row in zip(labels, shared, strict=True):
        straight, failed = row["straight_through_share"], row["failed_share"]
        parts = zip(_SHARES, (straight, 1 - straight - failed, failed), strict=True)
        about = {"label": label, "done": row["done"]}
        shares += [{**about, "part": part, "share": share, "place": place} for place, (part, share) in enumerate(parts)]
    keys = [Key(part, colour) for part, colour in _SHARES.items()]
    axis = alt.Axis(format="%", tickCount=5)
    chart = (
        alt.Chart(_data(shares))
        .mark_bar(height=16)
        .encode(
            x=alt.X("share:Q", title="Share of completed documents", axis=axis, scale=alt.Scale(domain=[0, 1])),
            y=alt.Y("label:N", title=None, sort=None, scale=alt.Scale(domain=labels)),
            color=_colour("part:N", keys),
            order=alt.Order("place:Q"),
            tooltip=[
                alt.Tooltip("label:N", title="provider · type"),
                alt.Tooltip("part:N", title="outcome"),
                alt.Tooltip("share:Q", format=".0%"),
                alt.Tooltip("done:Q", title="documents completed"),
            ],
        )
    )
    return Drawing(chart.properties(width="container", height=30 * len(shared)), keys, Table((), ()))


def _time_to_completion(rows: Sequence[Row]) -> Drawing | None:
    weekly = _by_label(_recent(rows), _label)
    sizes = Counter({label: sum(row["documents"] for row in found) for label, found in weekly.items()})
    chosen = _largest(sizes, _TIMED)
    points = [
        {"label": label, "week": _day(row), "median": row["median_seconds"], "high": row["nine_in_ten_seconds"]}
        | {"slowest": row["slowest_seconds"], "documents": row["documents"]}
        for label in chosen
        for row in weekly[label]
    ]
    if not points:
        return None
    keys = _keys(chosen)
    y = alt.Y("median:Q", title="Seconds", axis=alt.Axis(format=",d", tickCount=5))
    tooltip = [
        alt.Tooltip("label:N", title="template"),
        alt.Tooltip("week:N", title="week from"),
        alt.Tooltip("median:Q", title="median, seconds", format=",.1f"),
        alt.Tooltip("high:Q", title="90th percentile, seconds", format=",.1f"),
        alt.Tooltip("slowest:Q", title="slowest, seconds", format=",.1f"),
        alt.Tooltip("documents:Q", title="documents", format=",d"),
    ]
    band = alt.Chart(_data(_with_gaps(points))).encode(
        x=_week(_weeks(points)), color=_colour("label:N", keys), y=y, y2="high:Q"
    )
    chart = band.mark_area(opacity=0.13) + _lines(points, keys, y, tooltip)
    ordered = sorted(points, key=lambda point: (point["week"], point["documents"]), reverse=True)
    return Drawing(
        chart.properties(width="container", height=260),
        keys,
        Table(
            [("Week from", False), ("Template", False)]
            + [(title, True) for title in ("Median, s", "90th percentile, s", "Slowest, s", "Documents")],
            [
                [point["week"], point["label"]]
                + [f"{point[name]:,.1f}" for name in ("median", "high", "slowest")]
                + [f"{point['documents']:,}"]
                for point in ordered
            ],
        ),
    )


@dataclass(frozen=True)
class _Subject:
    name: str
    recipe: str
    title: str
    sentence: str
    draw: Callable[[Sequence[Row]], Drawing | None] = field(repr=False)


_SUBJECTS = (
    _Subject(
        "straight-through",
        "straight_through",
        "Straight-through processing rate",
        "Share of completed documents that were processed without a failure, a review or a later edit, by template and "
        f"week of creation. The {_TEMPLATES} templates with most documents in the last {_WEEKS} weeks. An empty cell "
        "is a week without completed documents.",
        _straight_through,
    ),
    _Subject(
        "failures",
        "failures",
        "Failure reasons",
        f"Number of failed documents by reason, as worded by the provider. The {_REASONS} most frequent reasons.",
        _failures,
    ),
    _Subject(
        "confidence",
        "confidence",
        "Mean confidence by field",
        f"Weekly mean of the {_FIELDS} fields whose confidence changed most in the last {_WEEKS} weeks, for providers "
        "that return one. Each mark is one week, a gap is a week without values.",
        _confidence,
    ),
    _Subject(
        "side-by-side",
        "side_by_side",
        "Provider comparison",
        "Outcome of documents of the same type, where more than one provider extracts them.",
        _side_by_side,
    ),
    _Subject(
        "time-to-completion",
        "time_to_completion",
        "Time to completion",
        "Seconds from creation to completion of a document, by week of creation. The marks are medians, the shaded "
        f"area reaches to the 90th percentile. The {_TIMED} templates with most documents, for providers that return "
        "both times.",
        _time_to_completion,
    ),
)


def _lines(points: Sequence[Row], keys: Sequence[Key], y: alt.Y, tooltip: Sequence[alt.Tooltip]) -> alt.LayerChart:
    """Draw straight lines between the weeks: a curve would show values that nobody measured."""
    shapes = {symbol: shape for _, shape, symbol in _LINES}
    base = alt.Chart(_data(_with_gaps(points))).encode(x=_week(_weeks(points)), y=y, color=_colour("label:N", keys))
    scale = alt.Scale(domain=[key.label for key in keys], range=[shapes[key.symbol] for key in keys])
    marks = base.mark_point(filled=True, size=46, opacity=1).encode(
        shape=alt.Shape("label:N", scale=scale, legend=None), tooltip=list(tooltip)
    )
    return base.mark_line(strokeWidth=2) + marks


def _with_gaps(points: Sequence[Row]) -> list[Row]:
    """Add an empty point for each week that a line has no value in, so that the line is broken there."""
    known = {(point["label"], point["week"]) for point in points}
    labels, weeks = dict.fromkeys(point["label"] for point in points), _weeks(points)
    empty = [
        dict.fromkeys(points[0]) | {"label": label, "week": week}
        for label in labels
        for week in weeks
        if (label, week) not in known
    ]
    return [*points, *empty]


def _recent(rows: Iterable[Row]) -> list[Row]:
    dated = [row for row in rows if row["week"] is not None]
    last = max((row["week"] for row in dated), default=date.min)
    return [row for row in dated if last - row["week"] < timedelta(weeks=_WEEKS)]


def _by_label(rows: Iterable[Row], label: Callable[[Row], str]) -> dict[str, list[Row]]:
    """Group rows that have enough weeks for a line."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[label(row)].append(row)
    return {name: weekly for name, weekly in found.items() if len(weekly) >= _FEWEST_WEEKS}


def _change(weekly: Sequence[Row]) -> float:
    """Return by how much the last third of the weeks differs from the first."""
    third = max(1, len(weekly) // 3)
    means = [
        sum(row["mean_confidence"] * row["found"] for row in part) / sum(row["found"] for row in part)
        for part in (weekly[:third], weekly[-third:])
    ]
    return abs(means[1] - means[0])


def _largest(sizes: Counter[str], number: int) -> list[str]:
    return sorted(sizes, key=lambda label: (-sizes[label], label))[:number]


def shared_types(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of document types that more than one provider has extracted."""
    counts = Counter(row["document_type"] for row in rows if row["done"])
    return [row for row in rows if row["done"] and counts[row["document_type"]] > 1]


def provider_name(provider: str) -> str:
    return PROVIDERS[provider][0] if provider in PROVIDERS else provider


_WORDS = {
    "not told": "unknown type",
    "no reason told": "no reason given",
    "came again": "delivered again",
    "taken away": "removed",
}


def worded(text: str) -> str:
    """Return the report's words for those with which a recipe fills a gap."""
    return _WORDS.get(text, text)


def _label(row: Row) -> str:
    """Return the label of a template, the provider first: where there is little room the end is cut."""
    return f"{provider_name(row['provider'])} · {_text(row['template'])}"


def _text(text: str) -> str:
    """Return third-party text for a label. Vega's expressions end at a line separator, so a label is one line."""
    return cut(one_line(worded(text)), _LONGEST_LABEL)


def _day(row: Row) -> str:
    """Return the Monday as text: a moment would be another day in another time zone."""
    week: date = row["week"]
    return f"{week:%Y-%m-%d}"


def _weeks(points: Sequence[Row]) -> list[str]:
    """Return each Monday from the first to the last, those without data too."""
    days = [date.fromisoformat(point["week"]) for point in points]
    number = (max(days) - min(days)).days // 7 + 1
    return [f"{min(days) + timedelta(weeks=week):%Y-%m-%d}" for week in range(number)]


def _keys(labels: Sequence[str]) -> list[Key]:
    return [Key(label, colour, symbol) for label, (colour, _, symbol) in zip(labels, _LINES, strict=False)]


def _data(rows: Iterable[Row]) -> alt.Data:
    return alt.Data(values=[{column: _plain(value) for column, value in row.items()} for row in rows])


def _plain(value: Any) -> Any:
    """Return what JSON can hold: NaN and infinity are no numbers there."""
    number = float(value) if isinstance(value, Decimal) else value
    return None if isinstance(number, float) and not math.isfinite(number) else number


def _week(weeks: Sequence[str], scale: Mapping[str, Any] | None = None) -> alt.X:
    """Return an axis whose ticks are the weeks of the data."""
    axis = alt.Axis(**_WEEK_AXIS, labelOverlap="parity", grid=False, ticks=True, tickSize=4)
    return alt.X("week:O", title="Week from", axis=axis, sort=None, scale=alt.Scale(domain=weeks, **(scale or {})))


def _colour(shorthand: str, keys: Sequence[Key]) -> alt.Color:
    """The legend is the page's, which wraps where there is no room."""
    scale = alt.Scale(domain=[key.label for key in keys], range=[key.colour for key in keys])
    return alt.Color(shorthand, scale=scale, legend=None)
