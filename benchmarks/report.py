"""Report of the benchmark: docs/performance.md from a template and results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from string import Template
from typing import Any

from .cases import LATENCY, LOAD_SYSTEMS, PAGES_PER_BATCH, PAGES_PER_LARGE_BATCH, SPACING, STREAM_KINDS
from .compared_systems import COMPARED_SYSTEMS, MAX_IN_FLIGHT
from .targets import (
    Results,
    Target,
    compute_extra_cpu,
    compute_ideal_seconds,
    count_documents,
    count_requests,
    get_median,
    get_size,
    measure_cpu_per_document,
)

_TEMPLATE_PATH = Path(__file__).with_name("performance.template.md")
_NOT_MEASURED = "–"
_STATE_LIMIT_BYTES = 2_000_000
"""Size of one stream's state, in bytes, from which Airbyte's platform has been seen to fail."""


def write_report(results: Results, targets: Sequence[Target], path: Path) -> None:
    """Write the report; its chart is expected beside it, with the suffix .svg."""
    template = Template(_TEMPLATE_PATH.read_text())
    path.write_text(template.substitute(_build_substitutions(results, targets), chart=path.with_suffix(".svg").name))


def _build_substitutions(results: Results, targets: Sequence[Target]) -> dict[str, str]:
    """Return the values of the template's placeholders."""
    largest_open_case = max(
        (name for name in results if name.startswith("open-")), key=_parse_case_number, default="open"
    )

    def bytes_per_batch() -> float:
        """Return the bytes of state per open batch."""
        state_bytes = get_median(results, largest_open_case, "quiet", "largest_state_bytes")
        return state_bytes / get_size(results, largest_open_case, "open_batches")

    # The cases that load have a note of their own, as they may be measured on another day, and on a busier machine.
    load_results = {name: case for name, case in results.items() if name.startswith("load-")}
    other_results = {name: case for name, case in results.items() if name not in load_results}
    return {
        "banner": _build_banner(results),
        "environment": _describe_environment(other_results),
        "rounds": _format_rounds(other_results),
        "load_environment": _describe_environment(load_results),
        "load_rounds": _format_rounds(load_results),
        "load": _build_load_table(results),
        "load_documents": _format_measured(lambda: f"{count_documents(results, 'load-all'):,}"),
        "load_rows": _format_measured(lambda: f"{_count_records(results, 'load-all', 'connector'):,}"),
        "field": _build_systems_table(results),
        "quiet": _build_quiet_table(results),
        "atlas_documents": _format_measured(lambda: f"{count_documents(results, 'atlas'):,}"),
        "targets": _build_targets_table(targets),
        "settled": _build_settled_table(results),
        "providers": _build_providers_table(results),
        "spacing": str(SPACING),
        "start": _build_startup_table(results),
        "by_documents": _build_growth_table(results, "documents", ("first",)),
        "by_batches": _build_growth_table(results, "batches", ("first", "quiet")),
        "by_templates": _build_growth_table(results, "templates", ("first", "quiet")),
        "by_open": _build_growth_table(results, "open", ("first", "quiet")),
        "by_day": _build_growth_table(results, "day", ("first",)),
        "templates_batches": _format_measured(lambda: f"{get_size(results, 'templates-1', 'batches'):,}"),
        "by_streams": _build_streams_table(results),
        "streams_documents": _format_measured(lambda: f"{count_documents(results, 'streams'):,}"),
        "extra_cpu": _format_measured(lambda: f"{compute_extra_cpu(results):.1f}"),
        "printing_cdk": _format_measured(lambda: f"{get_median(results, 'streams', 'printing-cdk', 'cpu'):.1f}"),
        "printing": _format_measured(lambda: f"{get_median(results, 'streams', 'printing', 'cpu'):.1f}"),
        "day_mb": _format_measured(lambda: f"{get_median(results, 'day-50000', 'first', 'peak_mb'):.0f} MB"),
        "day_size": _format_measured(lambda: _format_size(results, "day-50000")),
        "largest_mb": _format_measured(lambda: f"{get_median(results, 'documents-200000', 'first', 'peak_mb'):.0f} MB"),
        "an_hour": _format_measured(
            lambda: f"{3600 / measure_cpu_per_document(results, 'atlas', 'connector'):.0f} million"
        ),
        "open_each": _format_measured(lambda: f"{bytes_per_batch():.0f}"),
        "open_most": _format_measured(lambda: f"{_STATE_LIMIT_BYTES / bytes_per_batch():,.0f}"),
        "too_large": _format_bytes(_STATE_LIMIT_BYTES),
    }


def _format_measured(format_value: Callable[[], str]) -> str:
    """Return a cell; a dash if its row was not measured or is void."""
    try:
        return format_value()
    except LookupError:
        return _NOT_MEASURED


def _format_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _format_bytes(count: float) -> str:
    return f"{count / 1000:,.1f} kB" if count < 1_000_000 else f"{count / 1_000_000:,.1f} MB"


def _count_records(results: Results, case: str, task: str) -> int:
    get_median(results, case, task, "wall")
    return int(sum(results[case]["tasks"][task]["runs"][-1]["records"].values()))


def _count_runs(results: Results, case: str, task: str) -> int:
    get_median(results, case, task, "wall")
    return len(results[case]["tasks"][task]["runs"])


_CELL_FORMATTERS: dict[str, Callable[[Results, str, str], str]] = {
    "requests": lambda results, case, task: f"{count_requests(results, case, task):,.0f}",
    "records": lambda results, case, task: f"{_count_records(results, case, task):,}",
    "wall s": lambda results, case, task: f"{get_median(results, case, task, 'wall'):.2f}",
    "CPU s": lambda results, case, task: f"{get_median(results, case, task, 'cpu'):.2f}",
    "peak MB": lambda results, case, task: f"{get_median(results, case, task, 'peak_mb'):.0f}",
    "runs": lambda results, case, task: f"{_count_runs(results, case, task)}",
    "µs CPU a document": lambda results, case, task: f"{measure_cpu_per_document(results, case, task):.1f}",
    "÷ the loop": lambda results, case, task: (
        f"{measure_cpu_per_document(results, case, task) / measure_cpu_per_document(results, case, 'loop'):.2f}"
    ),
    "state": lambda results, case, task: _format_bytes(get_median(results, case, task, "last_state_bytes")),
    "largest state": lambda results, case, task: _format_bytes(get_median(results, case, task, "largest_state_bytes")),
    "states": lambda results, case, task: _format_bytes(get_median(results, case, task, "state_bytes")),
    "DuckDB file": lambda results, case, task: _format_bytes(get_median(results, case, task, "file_bytes")),
}


def _format_cells(results: Results, case: str, task: str, columns: Sequence[str]) -> list[str]:
    return [_format_measured(lambda column=column: _CELL_FORMATTERS[column](results, case, task)) for column in columns]  # type: ignore[misc]


def _build_banner(results: Results) -> str:
    scales = {case["scale"] for case in results.values()}
    if scales <= {1.0}:
        return ""
    return f"\n**A quick look at {min(scales):g} of the size: these figures say that it runs, and little more.**\n"


def _format_rounds(results: Results) -> str:
    return " or ".join(map(str, sorted({case["rounds"] for case in results.values()}))) or _NOT_MEASURED


def _describe_environment(results: Results) -> str:
    if not results:
        return "Not measured."
    latest_environment = max(
        (case["environment"] for case in results.values()), key=lambda environment: str(environment["on"])
    )
    versions = ", ".join(f"{name} {number}" for name, number in latest_environment["versions"].items())
    system = (
        f"Python {latest_environment['python']} on {latest_environment['system']}, "
        f"{latest_environment['cores']} cores, one of them for the server"
    )
    runs: list[Mapping[str, Any]] = []
    for case in results.values():
        for row in case["tasks"].values():
            runs += row["runs"]
    served_runs = [run for run in runs if "server_cpu" in run]
    max_server_share = max((run["server_cpu"] / run["wall"] for run in served_runs), default=0)
    max_mean_delay = max((run["late"]["mean"] for run in served_runs), default=0)
    max_load = max((run["load"] for run in runs), default=0)
    return (
        f"Measured on {latest_environment['on']}: {system}; {versions}. The server was busy for at most "
        f"{max_server_share:.0%} of a run, and its responses were at most {max_mean_delay * 1000:.1f} ms late on "
        f"average. The load of the machine was at most {max_load:.1f} at the start of a run."
    )


def _format_ideal_seconds(results: Results, case: str, pages: int) -> str:
    return f"{compute_ideal_seconds(results, case, pages):.2f}"


def _build_systems_table(results: Results) -> str:
    columns = ("runs", "wall s", "CPU s", "µs CPU a document", "÷ the loop", "peak MB")
    latency_cases = {"atlas-50ms": PAGES_PER_BATCH, "atlas-50ms-large": PAGES_PER_LARGE_BATCH}

    def build_row(system: str) -> list[str]:
        wall_cells: list[str] = []
        for case in latency_cases:
            wall_cells += _format_cells(results, case, system, ("wall s",))
        return [COMPARED_SYSTEMS[system].title, *_format_cells(results, "atlas", system, columns), *wall_cells]

    ideal_walls = [
        _format_measured(partial(_format_ideal_seconds, results, case, pages)) for case, pages in latency_cases.items()
    ]
    ideal_row = [f"*nothing but {MAX_IN_FLIGHT} requests in flight*", *[""] * len(columns), *ideal_walls]
    other_systems = ("connector", "manifest", "dlt", "dlt-tuned", "singer", "singer-msgspec", "singer-tuned")
    systems = ("loop", "loop-silent", "loop-threads", *other_systems)
    header = ["", *columns, "50 ms: wall s", "50 ms, large batches: wall s"]
    void_notes: list[str] = []
    for name, case in results.items():
        for row in case["tasks"].values():
            if row["void"]:
                void_notes.append(f"Void: {COMPARED_SYSTEMS[row['system']].title} in `{name}`, as {row['void']}.")
    return "\n\n".join([_format_table(header, [*map(build_row, systems), ideal_row]), *dict.fromkeys(void_notes)])


def _build_quiet_table(results: Results) -> str:
    columns = ("requests", "records", "wall s", "CPU s")
    systems = ("connector", "manifest", "dlt", "singer")
    rows = (
        [COMPARED_SYSTEMS[system].title, *_format_cells(results, "atlas", f"{system}/again", columns)]
        for system in systems
    )
    return _format_table(["", *columns], rows)


def _build_targets_table(targets: Sequence[Target]) -> str:
    verdicts = {True: "yes", False: "**no**", None: _NOT_MEASURED}

    def build_row(target: Target) -> list[str]:
        unit = f" {target.unit}" if target.unit.isalpha() else ""
        value = _NOT_MEASURED if target.value is None else f"{target.value:.2f}{unit}"
        return [target.name, value, f"{target.limit:g}{unit}", verdicts[target.is_reached]]

    return _format_table(["", "measured", "at most", "reached"], map(build_row, targets))


def _build_settled_table(results: Results) -> str:
    columns = ("requests", "wall s", "CPU s", "largest state")

    def build_row(provider: str, case: str) -> list[str]:
        return [
            provider,
            _format_measured(lambda: f"{get_size(results, case, 'batches'):,}"),
            *_format_cells(results, case, "quiet", columns),
        ]

    return _format_table(
        ["", "settled batches", *columns], [build_row("Extracta", "batches-10000"), build_row("Atlas", "settled-atlas")]
    )


def _build_providers_table(results: Results) -> str:
    columns = ("requests", "records", "wall s", "CPU s", "peak MB")
    ideal_walls: dict[tuple[str, str], Callable[[], float]] = {
        ("extracta", "connector"): lambda: SPACING * (get_size(results, "extracta", "batches") - 1),
        ("sensible", "connector"): lambda: get_size(results, "sensible", "documents") * LATENCY / MAX_IN_FLIGHT,
    }

    def build_row(case: str, task: str) -> list[str]:
        streams = "results alone" if task == "connector" and case != "extracta" else "all streams"
        streams += f", {LATENCY * 1000:.0f} ms a response" if (case, task) == ("sensible", "connector") else ""
        get_ideal_wall = ideal_walls.get((case, task))
        title = _format_measured(lambda: f"{results[case]['title']}; {streams}")
        return [
            title,
            *_format_cells(results, case, task, columns),
            _format_measured(lambda: f"{get_ideal_wall():.2f}" if get_ideal_wall else ""),
        ]

    tasks = [("extracta", "connector")]
    for case in ("docmap", "sensible"):
        tasks += [(case, "connector"), (case, "connector/all")]
    return _format_table(["", *columns, "ideal wall s"], (build_row(*task_key) for task_key in tasks))


def _build_startup_table(results: Results) -> str:
    columns = ("wall s", "CPU s", "peak MB")
    rows = [
        (f"`{COMPARED_SYSTEMS[system_name].title}`", "start", system_name)
        for system_name in ("spec", "import", "python")
    ]
    systems = ("loop", "connector", "manifest", "dlt", "singer")
    rows += [
        (f"{COMPARED_SYSTEMS[system_name].title}: a page of 50 documents", "atlas", f"{system_name}/small")
        for system_name in systems
    ]
    return _format_table(
        ["", *columns], ([title, *_format_cells(results, case, task, columns)] for title, case, task in rows)
    )


def _build_load_table(results: Results) -> str:
    columns = ("requests", "wall s", "CPU s", "peak MB", "DuckDB file")
    rows: list[list[str]] = []
    for case, streams in (("load-results", "results alone"), ("load-all", "all four streams")):
        for sync, suffix in (("first sync", ""), ("quiet second sync", "/again")):
            for system in LOAD_SYSTEMS:
                title = "printed only" if system == "connector" else COMPARED_SYSTEMS[system].title
                cells = _format_cells(results, case, f"{system}{suffix}", columns)
                rows.append([f"{streams}, {sync}: {title}", *cells])
    return _format_table(["", *columns], rows)


_SIZE_TITLES = {"open": "open batches", "day": "a day", "batches": "settled batches"}


def _build_growth_table(results: Results, prefix: str, tasks: Sequence[str]) -> str:
    columns = ("requests", "wall s", "CPU s", "peak MB", "state", "states")
    names = sorted((name for name in results if name.startswith(f"{prefix}-")), key=_parse_case_number)
    rows: list[list[str]] = []
    for name in names:
        rows += [[_format_size(results, name), task, *_format_cells(results, name, task, columns)] for task in tasks]
    return _format_table([_SIZE_TITLES.get(prefix, prefix), "sync", *columns], rows)


def _parse_case_number(case: str) -> int:
    return int(case.rpartition("-")[2])


def _format_size(results: Results, case: str) -> str:
    kind = case.partition("-")[0]
    if kind == "documents":
        return f"{count_documents(results, case):,}"
    if kind == "day":
        return f"{get_size(results, case, 'extractions') // get_size(results, case, 'days'):,}"
    return f"{get_size(results, case, 'open_batches' if kind == 'open' else kind):,}"


def _build_streams_table(results: Results) -> str:
    columns = ("requests", "records", "wall s", "CPU s", "peak MB")
    rows = {**{kind: f"`atlas_{kind}` alone" for kind in STREAM_KINDS}, "all": "all together"}
    return _format_table(
        ["", *columns], ([title, *_format_cells(results, "streams", task, columns)] for task, title in rows.items())
    )
