"""The cases of the benchmark: worlds, and tasks that run against them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .worlds import ALL_SELECTION, INVOICE_FIELDS, LICENCE_FIELDS, PER_PAGE, SMALL_SELECTION

LATENCY = 0.05
SPACING = 0.2
PAGES_PER_BATCH, PAGES_PER_LARGE_BATCH = 5, 50
"""Pages of most batches, and of the large ones."""


@dataclass(frozen=True)
class Task:
    """One row of a case: a system and how it runs.

    Attributes:
        name: Name of the row in its case.
        system: Name of the system in `COMPARED_SYSTEMS`.
        expected_records: Number of distinct records by stream; with any other number the row is void.
        selection: Name of the settings that choose the documents.
        streams: Streams of the connector, empty for all; for the printing systems the streams to print.
        latency: Seconds that each response is delayed.
        resumed_task: Task whose state this one resumes, to measure a second sync.
        is_first_round_only: Whether the task runs in the first round only, as it is slow and no target needs it.
    """

    name: str
    system: str
    expected_records: Mapping[str, int] = field(default_factory=dict)
    selection: str = ALL_SELECTION
    streams: tuple[str, ...] = ()
    latency: float = 0.0
    resumed_task: str = ""
    is_first_round_only: bool = False


@dataclass(frozen=True)
class Case:
    """Tasks that run in turn against one world.

    Attributes:
        name: Name of the case on the command line.
        title: Heading of the case.
        tasks: Tasks in the order of the first round.
        world: Name of the world in `WORLDS`; empty for none.
        sizes: Arguments of the world, by which the report orders its tables.
        warmup_system: System that runs first, so that the server caches its pages before the measurement.
        runs_per_round: Runs of each task per round, more for short tasks.
    """

    name: str
    title: str
    tasks: tuple[Task, ...]
    world: str = ""
    sizes: Mapping[str, float] = field(default_factory=dict)
    warmup_system: str = ""
    runs_per_round: int = 1


MAIN_SYSTEMS = ("loop", "loop-threads", "connector", "manifest", "dlt", "singer")
VARIANT_SYSTEMS = ("loop-silent", "dlt-tuned", "singer-msgspec", "singer-tuned")
STREAM_KINDS = ("batches", "files", "results", "fields")
_WARMUP_SYSTEM = "loop-silent"


def build_cases(scale: float) -> list[Case]:
    """Return all cases; a scale below 1 makes the worlds smaller, for a quick run."""
    return [
        Case("start", "Start-up", tuple(Task(name, name) for name in ("spec", "import", "python")), runs_per_round=3),
        _build_atlas_case(scale),
        *_build_latency_cases(scale),
        _build_extracta_case(),
        _build_looks_case(),
        *_build_listing_cases(scale),
        _build_streams_case(scale),
        *_build_load_cases(scale),
        *_build_growth_cases(scale),
    ]


def _scale_count(number: int, scale: float) -> int:
    return max(1, round(number * scale))


def _count_expected_rows(provider: str, batches: int, documents: int, fields: int) -> dict[str, int]:
    """Return the number of rows that each stream of a provider must have."""
    counts = zip(STREAM_KINDS, (batches, documents, documents, documents * fields), strict=True)
    return {f"{provider}_{kind}": count for kind, count in counts}


def _size_atlas(batches: int, pages: int = PAGES_PER_BATCH) -> tuple[dict[str, int], int, str]:
    """Return the sizes of an Atlas world, its number of documents, and a title."""
    sizes = {"batches": batches, "documents": pages * PER_PAGE}
    documents = batches * pages * PER_PAGE
    return sizes, documents, f"{documents:,} documents in {batches:,} batches of {pages} pages"


def _make_read_task(system: str, documents: int, name: str = "", **task_options: Any) -> Task:
    """Return a task that reads all documents.

    The connector reads its results stream only.
    """
    is_connector = system == "connector"
    expected = {"atlas_results" if is_connector else "documents": documents}
    return Task(name or system, system, expected, streams=("atlas_results",) if is_connector else (), **task_options)


def _build_atlas_case(scale: float) -> Case:
    """Return the case of all systems without latency."""
    sizes, documents, title = _size_atlas(_scale_count(400, scale))
    tasks = []
    for system in MAIN_SYSTEMS:
        tasks += [
            _make_read_task(system, documents),
            _make_read_task(system, PER_PAGE, f"{system}/small", selection=SMALL_SELECTION),
        ]
    # The second sync of the connector delivers nothing; the other systems keep no state and deliver everything again.
    tasks.append(_make_read_task("connector", 0, "connector/again", resumed_task="connector"))
    tasks += [
        _make_read_task(
            resumed_system, documents, f"{resumed_system}/again", resumed_task=resumed_system, is_first_round_only=True
        )
        for resumed_system in ("manifest", "dlt", "singer")
    ]
    for system in VARIANT_SYSTEMS:
        tasks.append(_make_read_task(system, documents, is_first_round_only=True))
        tasks.append(
            _make_read_task(system, PER_PAGE, f"{system}/small", selection=SMALL_SELECTION, is_first_round_only=True)
        )
    return Case("atlas", f"{title}, no latency", tuple(tasks), "atlas", sizes, _WARMUP_SYSTEM)


def _build_latency_cases(scale: float) -> Iterator[Case]:
    """Yield the cases with latency."""
    concurrent_systems = tuple(system for system in MAIN_SYSTEMS if system not in {"loop", "singer"})
    for name, batches, pages, systems in (
        ("atlas-50ms", 400, PAGES_PER_BATCH, MAIN_SYSTEMS),
        ("atlas-50ms-large", 40, PAGES_PER_LARGE_BATCH, concurrent_systems),
    ):
        sizes, documents, title = _size_atlas(_scale_count(batches, scale), pages)
        tasks = [
            _make_read_task(system_name, documents, latency=LATENCY, is_first_round_only=system_name != "connector")
            for system_name in systems
        ]
        tasks.append(_make_read_task("connector", PER_PAGE, "connector/small", selection=SMALL_SELECTION))
        yield Case(name, f"{title}, {LATENCY * 1000:.0f} ms a response", tuple(tasks), "atlas", sizes, _WARMUP_SYSTEM)


def _build_extracta_case() -> Case:
    sizes = {"templates": 1, "batches": 30, "files": 5, "spacing": SPACING}
    expected = _count_expected_rows("extracta", 30, 150, INVOICE_FIELDS)
    small_expected = _count_expected_rows("extracta", 1, 1, INVOICE_FIELDS)
    tasks = (
        Task("connector", "connector", expected),
        Task("connector/small", "connector", small_expected, SMALL_SELECTION),
    )
    return Case("extracta", f"Extracta: 30 batches, {SPACING} s between requests", tasks, "extracta", sizes)


def _build_looks_case() -> Case:
    """Return the case of hourly syncs over batches that have just settled."""
    sizes = {"templates": 1, "batches": 0, "files": 1, "new_batches": 12}
    task = Task("hourly", "hourly", {"extracta_results": 12}, streams=("extracta_results",), is_first_round_only=True)
    return Case("looks", "Extracta: 12 settled batches, hourly syncs over three days", (task,), "extracta", sizes)


def _build_listing_cases(scale: float) -> Iterator[Case]:
    """Yield the cases of lists by time."""
    count = _scale_count(20_000, scale)
    for provider, title, count_key, batch_size_key, latency in (
        ("docmap", f"DocMap: {count:,} extractions", "extractions", "run_size", 0.0),
        ("sensible", f"Sensible: {count:,} extractions", "documents", "batch_size", LATENCY),
    ):
        results, files, batches = f"{provider}_results", f"{provider}_files", f"{provider}_batches"
        results_task = Task(
            "connector",
            "connector",
            {results: count},
            ALL_SELECTION,
            (results,),
            latency,
            is_first_round_only=latency > 0,
        )
        expected_counts = {results: count, files: count, batches: -(-count // PER_PAGE)}
        tasks = (results_task, Task("connector/all", "connector", expected_counts, is_first_round_only=latency > 0))
        yield Case(provider, title, tasks, provider, {count_key: count, batch_size_key: PER_PAGE}, "connector")


def _build_streams_case(scale: float) -> Case:
    sizes, documents, title = _size_atlas(_scale_count(80, scale))
    rows = _count_expected_rows("atlas", sizes["batches"], documents, LICENCE_FIELDS)
    tasks = [
        Task(kind, "connector", {f"atlas_{kind}": rows[f"atlas_{kind}"]}, streams=(f"atlas_{kind}",))
        for kind in STREAM_KINDS
    ]
    tasks.append(Task("all", "connector", rows))
    other_streams = tuple(stream for stream in rows if stream != "atlas_results")
    tasks += [Task(system, system, streams=other_streams) for system in ("printing", "printing-cdk")]
    return Case("streams", f"Streams of one provider, {title}", tuple(tasks), "atlas", sizes, _WARMUP_SYSTEM)


LOAD_SYSTEMS = ("connector", "load-pyairbyte", "load-dlt")
"""Systems of the cases that load into DuckDB: the connector, which only prints, and two that load what it prints."""


def _build_load_cases(scale: float) -> Iterator[Case]:
    """Yield the cases that load into DuckDB: results alone, and all streams; each first and again."""
    sizes, documents, title = _size_atlas(_scale_count(400, scale))
    all_rows = _count_expected_rows("atlas", sizes["batches"], documents, LICENCE_FIELDS)
    for name, streams in (("results", ("atlas_results",)), ("all", ())):
        rows = {stream: count for stream, count in all_rows.items() if not streams or stream in streams}
        tasks: list[Task] = []
        for system in LOAD_SYSTEMS:
            # The connector prints nothing again; a table must hold each row once, also after the second sync.
            rows_again = dict.fromkeys(rows, 0) if system == "connector" else rows
            tasks += [
                Task(system, system, rows, streams=streams),
                Task(f"{system}/again", system, rows_again, streams=streams, resumed_task=system),
            ]
        yield Case(f"load-{name}", f"Into DuckDB: {title}", tuple(tasks), "atlas", sizes, _WARMUP_SYSTEM)


def _build_growth_cases(scale: float) -> Iterator[Case]:
    """Yield the cases in which one size grows: first and quiet syncs."""
    for documents in (20_000, 100_000, 200_000):
        sizes, count, title = _size_atlas(_scale_count(documents // 250, scale))
        task = Task(
            "first",
            "connector",
            _count_expected_rows("atlas", sizes["batches"], count, LICENCE_FIELDS),
            is_first_round_only=True,
        )
        yield Case(f"documents-{documents}", f"Atlas by documents: {title}", (task,), "atlas", sizes, _WARMUP_SYSTEM)
    batch_count = _scale_count(10_000, scale)
    tasks = _make_first_and_quiet_tasks("atlas", batch_count, batch_count, LICENCE_FIELDS)
    sizes = {"batches": batch_count, "documents": 1}
    yield Case("settled-atlas", "Atlas by settled batches", tasks, "atlas", sizes)
    for batches in (100, 1_000, 10_000):
        yield _build_extracta_growth_case(f"batches-{batches}", "settled batches", batches=_scale_count(batches, scale))
    for templates in (1, 10, 100):
        name = f"templates-{templates}"
        yield _build_extracta_growth_case(
            name, "templates", templates=_scale_count(templates, scale), batches=_scale_count(1_000, scale)
        )
    for open_count in (100, 1_000, 10_000):
        yield _build_extracta_growth_case(
            f"open-{open_count}", "open batches", open_batches=_scale_count(open_count, scale)
        )
    for extractions in (1_000, 10_000, 50_000):
        extractions_per_day = _scale_count(extractions, scale)
        sizes = {"extractions": extractions_per_day * 2, "run_size": 1_000, "days": 2}
        results = "docmap_results"
        task = Task(
            "first", "connector", {results: extractions_per_day * 2}, streams=(results,), is_first_round_only=True
        )
        yield Case(f"day-{extractions}", "DocMap by extractions of a day", (task,), "docmap", sizes)


def _build_extracta_growth_case(
    name: str, quantity: str, templates: int = 1, batches: int = 0, open_batches: int = 0
) -> Case:
    sizes = {"templates": templates, "batches": batches, "files": 1, "open_batches": open_batches}
    tasks = _make_first_and_quiet_tasks("extracta", batches + open_batches, batches, INVOICE_FIELDS)
    return Case(name, f"Extracta by {quantity}", tasks, "extracta", sizes)


def _make_first_and_quiet_tasks(provider: str, batches: int, documents: int, fields: int) -> tuple[Task, Task]:
    """Return a first sync of all streams, and a sync after it that finds nothing new."""
    rows = _count_expected_rows(provider, batches, documents, fields)
    return (
        Task("first", "connector", rows, is_first_round_only=True),
        Task("quiet", "connector", dict.fromkeys(rows, 0), resumed_task="first"),
    )
