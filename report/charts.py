"""The plots, in Vega-Lite. Colours of ink and paper are the page's, which knows light from dark."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import altair as alt

from .warehouse import Answers, Row

PROVIDERS = {
    "extracta": "#4c8dd6",
    "extracta_classification": "#79c2e8",
    "docmap": "#2fa58e",
    "sensible": "#e39a45",
    "atlas": "#9b78d3",
}
_LINES = ("#4c8dd6", "#e39a45", "#2fa58e", "#d3627e", "#9b78d3", "#8aa542", "#57b2c4", "#b98a63")
_SHARES = {"straight through": "#6dbfae", "touched by somebody": "#e9c376", "failed": "#d9768d"}
_RATES = ("#d9768d", "#e9c376", "#6dbfae")
_TEMPLATES = 14
_WEEKS = 16
"""What is older is in the tables and not in the plots: a single old document would leave no room for the others."""

Legend = dict[str, str]
"""Colours by their meaning."""


@dataclass(frozen=True)
class Plot:
    """A plot and what is said about it. Without data there is no chart."""

    name: str
    title: str
    sentence: str
    chart: alt.TopLevelMixin | None
    legend: Legend = field(default_factory=dict)

    @property
    def spec(self) -> dict[str, Any] | None:
        return None if self.chart is None else self.chart.to_dict()


def plots(answers: Answers) -> list[Plot]:
    return [
        _straight_through(answers["straight_through"]),
        _failures(answers["failures"]),
        _confidence(answers["confidence"]),
        _side_by_side(answers["side_by_side"]),
        _time_to_completion(answers["time_to_completion"]),
    ]


def _straight_through(rows: Sequence[Row]) -> Plot:
    recent = [{**row, "label": _label(row)} for row in _recent(rows)]
    counts: dict[str, int] = defaultdict(int)
    for row in recent:
        counts[row["label"]] += row["documents"]
    largest = sorted(counts, key=lambda label: (-counts[label], label))[:_TEMPLATES]
    chosen = [row for row in recent if row["label"] in largest]
    apart = alt.Scale(paddingInner=0.12)
    chart = (
        alt.Chart(_data(chosen, "label", "week", "rate", "documents"))
        .mark_rect(cornerRadius=3)
        .encode(
            x=_week("yearmonthdate(week):O", scale=apart),
            y=alt.Y("label:N", title=None, sort=largest, scale=apart),
            color=alt.Color("rate:Q", scale=alt.Scale(domain=[0, 0.5, 1], range=list(_RATES)), legend=None),
            tooltip=[
                alt.Tooltip("label:N", title="template"),
                alt.Tooltip("week:T", title="week of", format="%d %b %Y"),
                alt.Tooltip("rate:Q", title="straight through", format=".0%"),
                alt.Tooltip("documents:Q", title="documents done"),
            ],
        )
        .properties(width="container", height=24 * len(largest))
    )
    return Plot(
        "straight-through",
        "What needed nobody’s hand",
        f"The share of documents, by template and week, that were processed without failing, without a review and "
        f"without an edit. The {_TEMPLATES} templates with most documents, the last {_WEEKS} weeks.",
        chart if recent else None,
        {"none of them": _RATES[0], "half": _RATES[1], "all of them": _RATES[2]},
    )


def _side_by_side(rows: Sequence[Row]) -> Plot:
    shared = shared_types(rows)
    shares = []
    for row in shared:
        straight, failed = row["straight_through_share"], row["failed_share"]
        parts = zip(_SHARES, (straight, 1 - straight - failed, failed), strict=True)
        about = {"label": f"{row['provider']} · {row['document_type']}", "done": row["done"]}
        shares += [{**about, "part": part, "share": share, "place": place} for place, (part, share) in enumerate(parts)]
    chart = (
        alt.Chart(_data(shares, "label", "done", "part", "share", "place"))
        .mark_bar(height=16)
        .encode(
            x=alt.X("share:Q", title=None, axis=alt.Axis(format="%", tickCount=5), scale=alt.Scale(domain=[0, 1])),
            y=alt.Y("label:N", title=None, sort=None),
            color=_colour("part:N", _SHARES),
            order=alt.Order("place:Q"),
            tooltip=[
                alt.Tooltip("label:N", title="provider · type"),
                alt.Tooltip("part:N", title="outcome"),
                alt.Tooltip("share:Q", format=".0%"),
                alt.Tooltip("done:Q", title="documents done"),
            ],
        )
        .properties(width="container", height=30 * len(shared))
    )
    return Plot(
        "side-by-side",
        "One provider against another",
        "How documents of the same type came out, where more than one provider reads them.",
        chart if shares else None,
        dict(_SHARES),
    )


def _failures(rows: Sequence[Row]) -> Plot:
    chart = (
        alt.Chart(_data(rows, "reason", "provider", "template", "failed", "share"))
        .mark_bar(height=16)
        .encode(
            x=alt.X("sum(failed):Q", title=None, axis=alt.Axis(tickMinStep=1, format="d")),
            y=alt.Y("reason:N", title=None, sort="-x"),
            color=_colour("provider:N", PROVIDERS),
            tooltip=[
                alt.Tooltip("reason:N"),
                alt.Tooltip("provider:N"),
                alt.Tooltip("sum(failed):Q", title="documents"),
            ],
        )
        .properties(width="container", height=28 * len({row["reason"] for row in rows}))
    )
    return Plot(
        "failures",
        "Why documents failed",
        "How many documents failed for which reason, in the provider’s own words.",
        chart if rows else None,
        _used(PROVIDERS, rows),
    )


def _confidence(rows: Sequence[Row]) -> Plot:
    """Of dozens of fields those that move most: they are what one would miss in a table."""
    weekly = _by_label(_recent(rows), lambda row: f"{row['field'].strip('/')} · {row['template']}")
    moving = sorted(weekly, key=lambda label: -_moved(weekly[label]))[:6]
    colours = dict(zip(moving, _LINES, strict=False))
    chosen = [row for label in moving for row in weekly[label]]
    chart = (
        alt.Chart(_data(chosen, "label", "week", "mean_confidence", "least_confidence", "found"))
        .mark_line(point=alt.OverlayMarkDef(size=28, filled=True), strokeWidth=2, interpolate="monotone")
        .encode(
            x=_week("week:T"),
            y=alt.Y(
                "mean_confidence:Q",
                title=None,
                scale=alt.Scale(zero=False, nice=True),
                axis=alt.Axis(format=".2f", tickCount=5),
            ),
            color=_colour("label:N", colours),
            tooltip=[
                alt.Tooltip("label:N", title="field"),
                alt.Tooltip("week:T", title="week of", format="%d %b %Y"),
                alt.Tooltip("mean_confidence:Q", title="mean confidence", format=".2f"),
                alt.Tooltip("least_confidence:Q", title="least", format=".2f"),
                alt.Tooltip("found:Q", title="values"),
            ],
        )
        .properties(width="container", height=280)
    )
    return Plot(
        "confidence",
        "How sure the providers are",
        "The mean confidence of the fields that rose or fell most over these weeks, where a provider tells one.",
        chart if chosen else None,
        colours,
    )


def _time_to_completion(rows: Sequence[Row]) -> Plot:
    weekly = _by_label(_recent(rows), _label)
    largest = sorted(weekly, key=lambda label: -sum(row["documents"] for row in weekly[label]))[:4]
    colours = dict(zip(largest, _LINES, strict=False))
    chosen = [row for label in largest for row in weekly[label]]
    base = alt.Chart(
        _data(chosen, "label", "week", "median_seconds", "nine_in_ten_seconds", "slowest_seconds", "documents")
    ).encode(x=_week("week:T"), color=_colour("label:N", colours))
    band = base.mark_area(opacity=0.13, interpolate="monotone").encode(
        y=alt.Y("median_seconds:Q", title=None, axis=alt.Axis(labelExpr="datum.value + ' s'", tickCount=5)),
        y2="nine_in_ten_seconds:Q",
    )
    line = base.mark_line(point=alt.OverlayMarkDef(size=28, filled=True), interpolate="monotone").encode(
        y="median_seconds:Q",
        tooltip=[
            alt.Tooltip("label:N", title="template"),
            alt.Tooltip("week:T", title="week of", format="%d %b %Y"),
            alt.Tooltip("median_seconds:Q", title="median seconds", format=".1f"),
            alt.Tooltip("nine_in_ten_seconds:Q", title="nine in ten below", format=".1f"),
            alt.Tooltip("slowest_seconds:Q", title="slowest", format=".1f"),
            alt.Tooltip("documents:Q"),
        ],
    )
    return Plot(
        "time-to-completion",
        "How long it took",
        "Seconds from a document’s creation to its completion: the line is the median, nine in ten are within the "
        "shade. The four templates with most documents, of providers that tell both times.",
        (band + line).properties(width="container", height=260) if chosen else None,
        colours,
    )


def _recent(rows: Iterable[Row]) -> list[Row]:
    dated = [row for row in rows if row["week"] is not None]
    last = max((row["week"] for row in dated), default=date.min)
    return [row for row in dated if last - row["week"] < timedelta(weeks=_WEEKS)]


def _by_label(rows: Iterable[Row], label: Callable[[Row], str]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[label(row)].append({**row, "label": label(row)})
    return {name: weekly for name, weekly in found.items() if len(weekly) > 3}


def _moved(weekly: Sequence[Row]) -> float:
    """By how much the last third of the weeks differs from the first."""
    third = max(1, len(weekly) // 3)
    means = [
        sum(row["mean_confidence"] * row["found"] for row in part) / sum(row["found"] for row in part)
        for part in (weekly[:third], weekly[-third:])
    ]
    return abs(means[1] - means[0])


def shared_types(rows: Sequence[Row]) -> list[Row]:
    """Rows of types of documents that more than one provider has read."""
    counts = Counter(row["document_type"] for row in rows if row["done"])
    return [row for row in rows if row["done"] and counts[row["document_type"]] > 1]


def _label(row: Row) -> str:
    """The provider first: where there is little room the end is cut."""
    return f"{row['provider'].removesuffix('_classification')} · {row['template']}"


def _used(colours: Legend, rows: Iterable[Row]) -> Legend:
    used = {row["provider"] for row in rows}
    return {name: colour for name, colour in colours.items() if name in used}


def _data(rows: Iterable[Row], *columns: str) -> alt.Data:
    """Days as text: a moment would be another day in another time zone."""
    return alt.Data(values=[{column: _plain(row[column]) for column in columns} for row in rows])


def _plain(value: Any) -> Any:
    return f"{value.isoformat()}T00:00:00" if isinstance(value, date) else value


def _week(shorthand: str, **more: Any) -> alt.X:
    axis = alt.Axis(format="%d %b", labelAngle=0, labelOverlap=True, grid=False)
    return alt.X(shorthand, title=None, axis=axis, **more)


def _colour(shorthand: str, colours: Legend) -> alt.Color:
    """The legend is the page's, which wraps where there is no room."""
    return alt.Color(shorthand, scale=alt.Scale(domain=list(colours), range=list(colours.values())), legend=None)
