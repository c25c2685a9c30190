"""Writes docs/performance.md: the template's words, and tables of what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from string import Template

from .cases import KINDS, LATENCY, PAGES, PAGES_OF_LARGE, SPACING
from .field import FIELD, IN_FLIGHT
from .targets import Results, Target, documents, extra_cpu, ideal, middle, per_document, requests, size

_TEMPLATE = Path(__file__).with_name("performance.template.md")
_NONE = "–"
_TOO_LARGE = 2_000_000
"""Bytes of one stream's state from which on Airbyte's platform has been seen to fail."""


def write(results: Results, targets: Sequence[Target], path: Path) -> None:
    words = Template(_TEMPLATE.read_text())
    path.write_text(words.substitute(_told(results, targets), chart=path.with_suffix(".svg").name))


def _told(results: Results, targets: Sequence[Target]) -> dict[str, str]:
    """All that the template leaves open."""
    most_open = max((name for name in results if name.startswith("open-")), key=_number, default="open")

    def each() -> float:
        """Bytes of an open batch."""
        return middle(results, most_open, "quiet", "largest_state_bytes") / size(results, most_open, "open_batches")

    return {
        "banner": _banner(results),
        "environment": _environment(results),
        "rounds": " or ".join(map(str, sorted({case["rounds"] for case in results.values()}))),
        "field": _field(results),
        "quiet": _quiet(results),
        "atlas_documents": _of(lambda: f"{documents(results, 'atlas'):,}"),
        "targets": _targets(targets),
        "settled": _settled(results),
        "providers": _providers(results),
        "spacing": str(SPACING),
        "start": _start(results),
        "by_documents": _growth(results, "documents", ("first",)),
        "by_batches": _growth(results, "batches", ("first", "quiet")),
        "by_templates": _growth(results, "templates", ("first", "quiet")),
        "by_open": _growth(results, "open", ("first", "quiet")),
        "by_day": _growth(results, "day", ("first",)),
        "templates_batches": _of(lambda: f"{size(results, 'templates-1', 'batches'):,}"),
        "by_streams": _streams(results),
        "streams_documents": _of(lambda: f"{documents(results, 'streams'):,}"),
        "extra_cpu": _of(lambda: f"{extra_cpu(results):.1f}"),
        "printing_cdk": _of(lambda: f"{middle(results, 'streams', 'printing-cdk', 'cpu'):.1f}"),
        "printing": _of(lambda: f"{middle(results, 'streams', 'printing', 'cpu'):.1f}"),
        "day_mb": _of(lambda: f"{middle(results, 'day-50000', 'first', 'peak_mb'):.0f} MB"),
        "day_size": _of(lambda: _size(results, "day-50000")),
        "largest_mb": _of(lambda: f"{middle(results, 'documents-200000', 'first', 'peak_mb'):.0f} MB"),
        "an_hour": _of(lambda: f"{3600 / per_document(results, 'atlas', 'connector'):.0f} million"),
        "open_each": _of(lambda: f"{each():.0f}"),
        "open_most": _of(lambda: f"{_TOO_LARGE / each():,.0f}"),
        "too_large": _bytes(_TOO_LARGE),
    }


def _of(value: Callable[[], str]) -> str:
    """A cell; a dash where its row was not measured, or is void."""
    try:
        return value()
    except LookupError:
        return _NONE


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _bytes(count: float) -> str:
    return f"{count / 1000:,.1f} kB" if count < 1_000_000 else f"{count / 1_000_000:,.1f} MB"


def _records(results: Results, case: str, task: str) -> int:
    middle(results, case, task, "wall")
    return int(sum(results[case]["tasks"][task]["runs"][-1]["records"].values()))


def _runs(results: Results, case: str, task: str) -> int:
    middle(results, case, task, "wall")
    return len(results[case]["tasks"][task]["runs"])


_COLUMNS: dict[str, Callable[[Results, str, str], str]] = {
    "requests": lambda results, case, task: f"{requests(results, case, task):,.0f}",
    "records": lambda results, case, task: f"{_records(results, case, task):,}",
    "wall s": lambda results, case, task: f"{middle(results, case, task, 'wall'):.2f}",
    "CPU s": lambda results, case, task: f"{middle(results, case, task, 'cpu'):.2f}",
    "peak MB": lambda results, case, task: f"{middle(results, case, task, 'peak_mb'):.0f}",
    "runs": lambda results, case, task: f"{_runs(results, case, task)}",
    "µs CPU a document": lambda results, case, task: f"{per_document(results, case, task):.1f}",
    "÷ the loop": lambda results, case, task: (
        f"{per_document(results, case, task) / per_document(results, case, 'loop'):.2f}"
    ),
    "state": lambda results, case, task: _bytes(middle(results, case, task, "last_state_bytes")),
    "largest state": lambda results, case, task: _bytes(middle(results, case, task, "largest_state_bytes")),
    "states": lambda results, case, task: _bytes(middle(results, case, task, "state_bytes")),
}


def _cells(results: Results, case: str, task: str, columns: Sequence[str]) -> list[str]:
    return [_of(lambda column=column: _COLUMNS[column](results, case, task)) for column in columns]  # type: ignore[misc]


def _banner(results: Results) -> str:
    scales = {case["scale"] for case in results.values()}
    if scales <= {1.0}:
        return ""
    return f"\n**A quick look at {min(scales):g} of the size: these figures say that it runs, and little more.**\n"


def _environment(results: Results) -> str:
    last = max((case["environment"] for case in results.values()), key=lambda one: str(one["on"]))
    versions = ", ".join(f"{name} {number}" for name, number in last["versions"].items())
    system = f"Python {last['python']} on {last['system']}, {last['cores']} cores, one of them for the server"
    runs = [run for case in results.values() for row in case["tasks"].values() for run in row["runs"]]
    served = [run for run in runs if "server_cpu" in run]
    busy = max((run["server_cpu"] / run["wall"] for run in served), default=0)
    late = max((run["late"]["mean"] for run in served), default=0)
    load = max((run["load"] for run in runs), default=0)
    return (
        f"Measured on {last['on']}: {system}; {versions}. At its busiest the server worked for {busy:.0%} of a run; "
        f"at its worst its answers left {late * 1000:.1f} ms late in the mean. The load of the machine was {load:.1f} "
        "at most as a run began."
    )


def _field(results: Results) -> str:
    columns = ("runs", "wall s", "CPU s", "µs CPU a document", "÷ the loop", "peak MB")
    slow = {"atlas-50ms": PAGES, "atlas-50ms-large": PAGES_OF_LARGE}

    def row(system: str) -> list[str]:
        walls = [cell for case in slow for cell in _cells(results, case, system, ("wall s",))]
        return [FIELD[system].title, *_cells(results, "atlas", system, columns), *walls]

    best = [_of(lambda case=case, pages=pages: f"{ideal(results, case, pages):.2f}") for case, pages in slow.items()]  # type: ignore[misc]
    last = [f"*nothing but {IN_FLIGHT} requests in flight*", *[""] * len(columns), *best]
    others = ("connector", "manifest", "dlt", "dlt-tuned", "singer", "singer-msgspec", "singer-tuned")
    systems = ("loop", "loop-silent", "loop-threads", *others)
    head = ["", *columns, "50 ms: wall s", "50 ms, large batches: wall s"]
    void = [
        f"Void: {FIELD[row['system']].title} in `{name}`, as {row['void']}."
        for name, case in results.items()
        for row in case["tasks"].values()
        if row["void"]
    ]
    return "\n\n".join([_table(head, [*map(row, systems), last]), *dict.fromkeys(void)])


def _quiet(results: Results) -> str:
    columns = ("requests", "records", "wall s", "CPU s")
    systems = ("connector", "manifest", "dlt", "singer")
    rows = ([FIELD[one].title, *_cells(results, "atlas", f"{one}/again", columns)] for one in systems)
    return _table(["", *columns], rows)


def _targets(targets: Sequence[Target]) -> str:
    words = {True: "yes", False: "**no**", None: _NONE}

    def row(one: Target) -> list[str]:
        unit = f" {one.unit}" if one.unit.isalpha() else ""
        value = _NONE if one.value is None else f"{one.value:.2f}{unit}"
        return [one.name, value, f"{one.limit:g}{unit}", words[one.passed]]

    return _table(["", "measured", "at most", "reached"], map(row, targets))


def _settled(results: Results) -> str:
    columns = ("requests", "wall s", "CPU s", "largest state")

    def row(provider: str, case: str) -> list[str]:
        return [provider, _of(lambda: f"{size(results, case, 'batches'):,}"), *_cells(results, case, "quiet", columns)]

    return _table(["", "settled batches", *columns], [row("Extracta", "batches-10000"), row("Atlas", "settled-atlas")])


def _providers(results: Results) -> str:
    columns = ("requests", "records", "wall s", "CPU s", "peak MB")
    best: dict[tuple[str, str], Callable[[], float]] = {
        ("extracta", "connector"): lambda: SPACING * (size(results, "extracta", "batches") - 1),
        ("sensible", "connector"): lambda: size(results, "sensible", "documents") * LATENCY / IN_FLIGHT,
    }

    def row(case: str, task: str) -> list[str]:
        streams = "results alone" if task == "connector" and case != "extracta" else "all streams"
        streams += f", {LATENCY * 1000:.0f} ms a response" if (case, task) == ("sensible", "connector") else ""
        least = best.get((case, task))
        title = _of(lambda: f"{results[case]['title']}; {streams}")
        return [title, *_cells(results, case, task, columns), _of(lambda: f"{least():.2f}" if least else "")]

    tasks = [("extracta", "connector")]
    tasks += [(case, task) for case in ("docmap", "sensible") for task in ("connector", "connector/all")]
    return _table(["", *columns, "ideal wall s"], (row(*one) for one in tasks))


def _start(results: Results) -> str:
    columns = ("wall s", "CPU s", "peak MB")
    rows = [(f"`{FIELD[one].title}`", "start", one) for one in ("spec", "import", "python")]
    systems = ("loop", "connector", "manifest", "dlt", "singer")
    rows += [(f"{FIELD[one].title}: a page of 50 documents", "atlas", f"{one}/small") for one in systems]
    return _table(["", *columns], ([words, *_cells(results, case, task, columns)] for words, case, task in rows))


_HEADS = {"open": "open batches", "day": "a day", "batches": "settled batches"}


def _growth(results: Results, prefix: str, tasks: Sequence[str]) -> str:
    columns = ("requests", "wall s", "CPU s", "peak MB", "state", "states")
    names = sorted((name for name in results if name.startswith(f"{prefix}-")), key=_number)
    rows = ([_size(results, name), task, *_cells(results, name, task, columns)] for name in names for task in tasks)
    return _table([_HEADS.get(prefix, prefix), "sync", *columns], rows)


def _number(case: str) -> int:
    return int(case.rpartition("-")[2])


def _size(results: Results, case: str) -> str:
    kind = case.partition("-")[0]
    if kind == "documents":
        return f"{documents(results, case):,}"
    if kind == "day":
        return f"{size(results, case, 'extractions') // size(results, case, 'days'):,}"
    return f"{size(results, case, 'open_batches' if kind == 'open' else kind):,}"


def _streams(results: Results) -> str:
    columns = ("requests", "records", "wall s", "CPU s", "peak MB")
    rows = {**{kind: f"`atlas_{kind}` alone" for kind in KINDS}, "all": "all together"}
    return _table(["", *columns], ([words, *_cells(results, "streams", task, columns)] for task, words in rows.items()))
