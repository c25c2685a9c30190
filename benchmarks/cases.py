"""What is measured: worlds of a size, and what is run against each of them, round by round."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .worlds import ALL, PER_PAGE, SMALL

LATENCY = 0.05
SPACING = 0.2
PAGES, PAGES_OF_LARGE = 5, 50
"""Pages of a batch: of most, and of a few large ones."""


@dataclass(frozen=True)
class Task:
    """One row of a case: a system, and how it is run.

    Attributes:
        streams: of the connector; none is all of them. What is to be printed, of the printing alone.
        again: what is measured is a second sync, from the state of a first one.
        expected: how many different records of each stream there must be, or the row is void.
    """

    name: str
    system: str
    expected: Mapping[str, int] = field(default_factory=dict)
    selection: str = ALL
    streams: tuple[str, ...] = ()
    latency: float = 0.0
    again: bool = False


@dataclass(frozen=True)
class Case:
    """Tasks that are run by turns. `sizes` are those of its world, and what its tables are ordered by."""

    name: str
    title: str
    tasks: tuple[Task, ...]
    world: str = ""
    sizes: Mapping[str, float] = field(default_factory=dict)
    times: int = 1
    """How often each task is run in one round: more often where it is short."""


NAMES = {"atlas": "Atlas", "docmap": "DocMap", "extracta": "Extracta", "sensible": "Sensible"}
FIELD = ("loop", "loop-threads", "connector", "manifest", "dlt", "singer")
VARIANTS = ("loop-silent", "dlt-tuned", "singer-tuned")


def cases(scale: float) -> list[Case]:
    """All of them; a scale below 1 makes the worlds smaller, for a quick look."""
    return [
        _start(),
        *_of_the_field(scale),
        *_quiet(scale),
        _extracta(),
        *_listed(scale),
        _streams(scale),
        *_growth(scale),
    ]


def _scaled(number: int, scale: float) -> int:
    return max(1, round(number * scale))


def _atlas(documents: int, streams: tuple[str, ...], batches: int) -> dict[str, int]:
    """What the connector's streams must have; its leaves are not counted beforehand."""
    known = {"atlas_batches": batches, "atlas_files": documents, "atlas_results": documents}
    return {stream: count for stream, count in known.items() if not streams or stream in streams}


def _start() -> Case:
    tasks = tuple(Task(name, name) for name in ("spec", "import", "python"))
    return Case("start", "Start-up", tasks, times=5)


def _of_the_field(scale: float) -> Iterator[Case]:
    for name, batches, pages, latency in (
        ("atlas", 400, PAGES, 0.0),
        ("atlas-50ms", 400, PAGES, LATENCY),
        ("atlas-50ms-large", 40, PAGES_OF_LARGE, LATENCY),
    ):
        sizes = {"batches": _scaled(batches, scale), "documents": pages * PER_PAGE}
        documents = sizes["batches"] * sizes["documents"]
        tasks = []
        for system in FIELD if latency else (*FIELD, *VARIANTS):
            own = system == "connector"
            for task, selection, expecting in ((system, ALL, documents), (f"{system}/small", SMALL, PER_PAGE)):
                streams = ("atlas_results",) if own else ()
                expected = _atlas(expecting, streams, 0) if own else {"documents": expecting}
                delay = latency if selection == ALL else 0.0
                tasks.append(Task(task, system, expected, selection, streams, delay))
        count = f"{documents:,} documents in {sizes['batches']:,} batches of {pages} pages"
        title = f"{count}, {latency * 1000:.0f} ms a response"
        yield Case(name, title, tuple(tasks), "atlas", sizes)


def _quiet(scale: float) -> Iterator[Case]:
    sizes = {"batches": _scaled(400, scale), "documents": PAGES * PER_PAGE}
    documents = sizes["batches"] * sizes["documents"]
    others = ((system, {"documents": documents}) for system in ("manifest", "dlt", "singer"))
    tasks = [Task(system, system, expected, again=True) for system, expected in others]
    own = Task("connector", "connector", {"atlas_results": 0}, streams=("atlas_results",), again=True)
    yield Case("quiet", f"A second sync with nothing new, {documents:,} documents", (own, *tasks), "atlas", sizes)
    settled = _scaled(10_000, scale)
    nothing = dict.fromkeys(("batches", "files", "results"), 0)
    for provider, sizes in (
        ("extracta", {"templates": 1, "batches": settled, "files": 1}),
        ("atlas", {"batches": settled, "documents": 1}),
    ):
        expected = {f"{provider}_{kind}": count for kind, count in nothing.items()}
        task = Task("connector", "connector", expected, again=True)
        title = f"A quiet sync, {settled:,} settled batches of {NAMES[provider]}"
        yield Case(f"settled-{provider}", title, (task,), provider, sizes)


def _extracta() -> Case:
    sizes = {"templates": 1, "batches": 30, "files": 5, "spacing": SPACING}
    expected = {"extracta_batches": 30, "extracta_files": 150, "extracta_results": 150}
    few = {"extracta_batches": 1, "extracta_files": 1, "extracta_results": 1}
    tasks = (Task("connector", "connector", expected), Task("connector/small", "connector", few, SMALL))
    return Case("extracta", f"Extracta: 30 batches, {SPACING} s between requests", tasks, "extracta", sizes)


def _listed(scale: float) -> Iterator[Case]:
    documents = _scaled(20_000, scale)
    for provider, count_as, size_as, latency in (
        ("docmap", "extractions", "run_size", 0.0),
        ("sensible", "documents", "batch_size", LATENCY),
    ):
        sizes = {count_as: documents, size_as: PER_PAGE}
        rows = {f"{provider}_files": documents, f"{provider}_results": documents}
        tasks = (
            Task("connector", "connector", {f"{provider}_results": documents}, ALL, (f"{provider}_results",), latency),
            Task("connector/all", "connector", rows, latency=latency),
        )
        title = f"{NAMES[provider]}: {documents:,} extractions, {latency * 1000:.0f} ms a response"
        yield Case(provider, title, tasks, provider, sizes)


def _streams(scale: float) -> Case:
    batches = _scaled(200, scale)
    documents = batches * PAGES * PER_PAGE
    tasks = [
        Task(kind, "connector", _atlas(documents, (f"atlas_{kind}",), batches), streams=(f"atlas_{kind}",))
        for kind in ("results", "files", "batches")
    ]
    tasks.append(Task("all", "connector", _atlas(documents, (), batches)))
    for system in ("printing", "printing-cdk"):
        tasks.append(Task(system, system, streams=("atlas_batches", "atlas_files", "atlas_fields")))
    sizes = {"batches": batches, "documents": PAGES * PER_PAGE}
    return Case("streams", f"Streams of one provider, {documents:,} documents", tuple(tasks), "atlas", sizes)


def _growth(scale: float) -> Iterator[Case]:
    """How cost grows with one number, all others kept: first syncs, and syncs that find nothing new."""
    for documents in (20_000, 100_000, 200_000):
        sizes = {"batches": _scaled(documents // 250, scale), "documents": PAGES * PER_PAGE}
        count = sizes["batches"] * sizes["documents"]
        task = Task("first", "connector", _atlas(count, (), sizes["batches"]))
        yield Case(f"documents-{documents}", f"{count:,} documents of Atlas", (task,), "atlas", sizes)
    for batches in (100, 1_000, 10_000):
        yield _extracta_of(f"batches-{batches}", "settled batches", batches=_scaled(batches, scale))
    for templates in (1, 10, 100):
        name = f"templates-{templates}"
        yield _extracta_of(name, "templates", templates=_scaled(templates, scale), batches=_scaled(1_000, scale))
    for extractions in (1_000, 10_000, 100_000):
        count = _scaled(extractions, scale)
        rows = {"docmap_files": count, "docmap_results": count}
        sizes = {"extractions": count, "run_size": 1_000, "days": 1}
        task = Task("first", "connector", rows)
        yield Case(f"day-{extractions}", f"DocMap: {count:,} extractions of one day", (task,), "docmap", sizes)
    for waiting in (100, 1_000, 10_000):
        yield _extracta_of(f"open-{waiting}", "open batches", open_batches=_scaled(waiting, scale))


def _extracta_of(name: str, what: str, templates: int = 1, batches: int = 0, open_batches: int = 0) -> Case:
    sizes = {"templates": templates, "batches": batches, "files": 1, "open_batches": open_batches}
    first = {"extracta_batches": batches + open_batches, "extracta_files": batches, "extracta_results": batches}
    quiet = dict.fromkeys(first, 0)
    tasks = (Task("first", "connector", first), Task("quiet", "connector", quiet, again=True))
    return Case(name, f"Extracta by {what}", tasks, "extracta", sizes)
