"""Chart of docs/performance.md: `python chart.py RESULTS OUTPUT.svg`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

SYSTEMS = {
    "loop": "requests + orjson,\na loop that prints",
    "loop-threads": "the same,\n10 threads",
    "connector": "source-docextract",
    "dlt": "dlt rest_api,\nextract only",
    "manifest": "Airbyte CDK,\ndeclarative",
    "singer": "Singer SDK tap",
}
PANELS = (
    ("atlas", "cpu", "CPU, no latency"),
    ("atlas", "wall", "Wall time, no latency"),
    ("atlas-50ms", "wall", "Wall time, 50 ms a response"),
)
TEXT_COLOUR, FAINT_COLOUR, CONNECTOR_COLOUR, OTHER_COLOUR, FLOOR_COLOUR = (
    "#1f2328",
    "#8c959f",
    "#0a7d5a",
    "#a8b3c0",
    "#d9dee4",
)


def main() -> None:
    """Draw the chart."""
    results = json.loads(Path(sys.argv[1]).read_bytes())["cases"]
    mpl.rcParams.update(
        # Text stays text, in the reader's font: glyph outlines would make the file a hundred times as large.
        {
            "font.family": "sans-serif",
            "font.size": 10,
            "text.color": TEXT_COLOUR,
            "svg.fonttype": "none",
            "svg.hashsalt": "1",
        }
    )
    figure = Figure(figsize=(10.5, 4.1), facecolor="white")
    panels = figure.subplots(1, len(PANELS), sharey=True)
    panels[0].invert_yaxis()
    for axes, (case, metric, title) in zip(panels, PANELS, strict=True):
        _draw_bars(axes, results.get(case), metric, title)
    panels[0].set_yticks(range(len(SYSTEMS)), list(SYSTEMS.values()))
    panels[0].get_yticklabels()[list(SYSTEMS).index("connector")].set_weight("bold")
    sizes = results["atlas"]["sizes"]
    documents = sizes["batches"] * sizes["documents"]
    figure.text(
        0.012,
        0.945,
        f"A sync of {documents:,} documents in {documents // 50 + 1:,} requests",
        fontsize=13,
        weight="bold",
    )
    figure.text(
        0.012, 0.025, "Medians in seconds, less is better. All on one machine, over loopback.", color=FAINT_COLOUR
    )
    figure.subplots_adjust(left=0.155, right=0.975, top=0.815, bottom=0.1, wspace=0.09)
    figure.savefig(sys.argv[2], metadata={"Date": None} if sys.argv[2].endswith(".svg") else None, dpi=130)


def _draw_bars(axes: Axes, case: dict[str, Any] | None, metric: str, title: str) -> None:
    values = [_get_median(case, system, metric) for system in SYSTEMS]
    max_value = max((value for value in values if value is not None), default=1.0)
    colours = [FLOOR_COLOUR if "loop" in system else OTHER_COLOUR for system in SYSTEMS]
    colours[list(SYSTEMS).index("connector")] = CONNECTOR_COLOUR
    positions = range(len(SYSTEMS))
    axes.barh(positions, [value or 0 for value in values], color=colours, height=0.66)
    for position, (system, value) in enumerate(zip(SYSTEMS, values, strict=True)):
        weight = "bold" if system == "connector" else "normal"
        value_label = "void" if value is None else f"{value:.1f}"
        axes.text((value or 0) + max_value * 0.02, position, value_label, va="center", weight=weight)
    axes.set_xlim(0, max_value * 1.16)
    axes.set_title(title, loc="left", fontsize=11, pad=8)
    axes.xaxis.set_visible(False)
    axes.tick_params(length=0, labelcolor=TEXT_COLOUR)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.spines["left"].set_color(FLOOR_COLOUR)


def _get_median(case: dict[str, Any] | None, system: str, metric: str) -> float | None:
    row = case["tasks"].get(system) if case else None
    return float(median(run[metric] for run in row["runs"])) if row and not row["void"] and row["runs"] else None


if __name__ == "__main__":
    main()
