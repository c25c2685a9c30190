"""What is measured: worlds of a size, and what is run against each of them, round by round."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .worlds import ALL, INVOICE_FIELDS, LICENCE_FIELDS, PER_PAGE, SMALL

LATENCY = 0.05
SPACING = 0.2
PAGES, PAGES_OF_LARGE = 5, 50
"""Pages of a batch: of most, and of a few large ones."""


@dataclass(frozen=True)
class Task:
    """One row of a case: a system, and how it is run.

    Attributes:
        expected: how many different records of each stream there must be, or the row is void.
        streams: of the connector; none is all of them. What is to be printed, of the printing alone.
        again: the task whose state this one goes on from: what is measured is another sync after that.
        once: not in every round, as it takes long and is compared with nothing.
    """

    name: str
    system: str
    expected: Mapping[str, int] = field(default_factory=dict)
    selection: str = ALL
    streams: tuple[str, ...] = ()
    latency: float = 0.0
    again: str = ""
    once: bool = False


@dataclass(frozen=True)
class Case:
    """Tasks that are run by turns.

    Attributes:
        sizes: those of its world, and what its tables are ordered by.
        warm: the system that has the server make its pages before anything is measured.
        times: how often each task is run in one round: more often where it is short.
    """

    name: str
    title: str
    tasks: tuple[Task, ...]
    world: str = ""
    sizes: Mapping[str, float] = field(default_factory=dict)
    warm: str = ""
    times: int = 1


FIELD = ("loop", "loop-threads", "connector", "manifest", "dlt", "singer")
VARIANTS = ("loop-silent", "dlt-tuned", "singer-msgspec", "singer-tuned")
KINDS = ("batches", "files", "results", "fields")
_WARM = "loop-silent"


def cases(scale: float) -> list[Case]:
    """All of them; a scale below 1 makes the worlds smaller, for a quick look."""
    return [
        Case("start", "Start-up", tuple(Task(name, name) for name in ("spec", "import", "python")), times=3),
        _at_once(scale),
        *_slowly(scale),
        _extracta(),
        *_listed(scale),
        _streams(scale),
        *_growth(scale),
    ]


def _scaled(number: int, scale: float) -> int:
    return max(1, round(number * scale))


def _rows(provider: str, batches: int, documents: int, fields: int) -> dict[str, int]:
    """How many rows each of its streams must have."""
    counts = zip(KINDS, (batches, documents, documents, documents * fields), strict=True)
    return {f"{provider}_{kind}": count for kind, count in counts}


def _atlas(batches: int, pages: int = PAGES) -> tuple[dict[str, int], int, str]:
    """The sizes of a world, how many documents that are, and both in words."""
    sizes = {"batches": batches, "documents": pages * PER_PAGE}
    documents = batches * pages * PER_PAGE
    return sizes, documents, f"{documents:,} documents in {batches:,} batches of {pages} pages"


def _read(system: str, documents: int, name: str = "", **how: Any) -> Task:
    """A system that reads all documents; the connector for its results alone."""
    is_own = system == "connector"
    expected = {"atlas_results" if is_own else "documents": documents}
    return Task(name or system, system, expected, streams=("atlas_results",) if is_own else (), **how)


def _at_once(scale: float) -> Case:
    """All systems without a wait for answers; each with a sync of one page, and with a second one after the first."""
    sizes, documents, title = _atlas(_scaled(400, scale))
    tasks = []
    for system in FIELD:
        tasks += [_read(system, documents), _read(system, PER_PAGE, f"{system}/small", selection=SMALL)]
    tasks.append(_read("connector", 0, "connector/again", again="connector"))
    tasks += [_read(one, documents, f"{one}/again", again=one, once=True) for one in ("manifest", "dlt", "singer")]
    for system in VARIANTS:
        tasks.append(_read(system, documents, once=True))
        tasks.append(_read(system, PER_PAGE, f"{system}/small", selection=SMALL, once=True))
    return Case("atlas", f"{title}, answered at once", tuple(tasks), "atlas", sizes, _WARM)


def _slowly(scale: float) -> Iterator[Case]:
    """What others take for that is told beside, and some of them wait for one answer after the other."""
    concurrent = tuple(system for system in FIELD if system not in {"loop", "singer"})
    for name, batches, pages, systems in (
        ("atlas-50ms", 400, PAGES, FIELD),
        ("atlas-50ms-large", 40, PAGES_OF_LARGE, concurrent),
    ):
        sizes, documents, title = _atlas(_scaled(batches, scale), pages)
        tasks = [_read(one, documents, latency=LATENCY, once=one != "connector") for one in systems]
        tasks.append(_read("connector", PER_PAGE, "connector/small", selection=SMALL))
        yield Case(name, f"{title}, {LATENCY * 1000:.0f} ms a response", tuple(tasks), "atlas", sizes, _WARM)


def _extracta() -> Case:
    sizes = {"templates": 1, "batches": 30, "files": 5, "spacing": SPACING}
    expected, few = _rows("extracta", 30, 150, INVOICE_FIELDS), _rows("extracta", 1, 1, INVOICE_FIELDS)
    tasks = (Task("connector", "connector", expected), Task("connector/small", "connector", few, SMALL))
    return Case("extracta", f"Extracta: 30 batches, {SPACING} s between requests", tasks, "extracta", sizes)


def _listed(scale: float) -> Iterator[Case]:
    """Lists by time. How many fields their documents have is not known beforehand."""
    count = _scaled(20_000, scale)
    for provider, title, count_as, size_as, latency in (
        ("docmap", f"DocMap: {count:,} extractions", "extractions", "run_size", 0.0),
        ("sensible", f"Sensible: {count:,} extractions", "documents", "batch_size", LATENCY),
    ):
        results, files, batches = f"{provider}_results", f"{provider}_files", f"{provider}_batches"
        alone = Task("connector", "connector", {results: count}, ALL, (results,), latency, once=latency > 0)
        every = {results: count, files: count, batches: -(-count // PER_PAGE)}
        tasks = (alone, Task("connector/all", "connector", every, once=latency > 0))
        yield Case(provider, title, tasks, provider, {count_as: count, size_as: PER_PAGE}, "connector")


def _streams(scale: float) -> Case:
    sizes, documents, title = _atlas(_scaled(80, scale))
    rows = _rows("atlas", sizes["batches"], documents, LICENCE_FIELDS)
    tasks = [
        Task(kind, "connector", {f"atlas_{kind}": rows[f"atlas_{kind}"]}, streams=(f"atlas_{kind}",)) for kind in KINDS
    ]
    tasks.append(Task("all", "connector", rows))
    extra = tuple(stream for stream in rows if stream != "atlas_results")
    tasks += [Task(system, system, streams=extra) for system in ("printing", "printing-cdk")]
    return Case("streams", f"Streams of one provider, {title}", tuple(tasks), "atlas", sizes, _WARM)


def _growth(scale: float) -> Iterator[Case]:
    """How cost grows with one number, all others kept: first syncs, and syncs that find nothing new."""
    for documents in (20_000, 100_000, 200_000):
        sizes, count, title = _atlas(_scaled(documents // 250, scale))
        task = Task("first", "connector", _rows("atlas", sizes["batches"], count, LICENCE_FIELDS), once=True)
        yield Case(f"documents-{documents}", f"Atlas by documents: {title}", (task,), "atlas", sizes, _WARM)
    settled = _scaled(10_000, scale)
    tasks = _twice("atlas", settled, settled, LICENCE_FIELDS)
    sizes = {"batches": settled, "documents": 1}
    yield Case("settled-atlas", "Atlas by settled batches", tasks, "atlas", sizes)
    for batches in (100, 1_000, 10_000):
        yield _extracta_of(f"batches-{batches}", "settled batches", batches=_scaled(batches, scale))
    for templates in (1, 10, 100):
        name = f"templates-{templates}"
        yield _extracta_of(name, "templates", templates=_scaled(templates, scale), batches=_scaled(1_000, scale))
    for waiting in (100, 1_000, 10_000):
        yield _extracta_of(f"open-{waiting}", "open batches", open_batches=_scaled(waiting, scale))
    for extractions in (1_000, 10_000, 50_000):
        each = _scaled(extractions, scale)
        sizes = {"extractions": each * 2, "run_size": 1_000, "days": 2}
        results = "docmap_results"
        task = Task("first", "connector", {results: each * 2}, streams=(results,), once=True)
        yield Case(f"day-{extractions}", "DocMap by extractions of a day", (task,), "docmap", sizes)


def _extracta_of(name: str, what: str, templates: int = 1, batches: int = 0, open_batches: int = 0) -> Case:
    sizes = {"templates": templates, "batches": batches, "files": 1, "open_batches": open_batches}
    tasks = _twice("extracta", batches + open_batches, batches, INVOICE_FIELDS)
    return Case(name, f"Extracta by {what}", tasks, "extracta", sizes)


def _twice(provider: str, batches: int, documents: int, fields: int) -> tuple[Task, Task]:
    """A first sync of all streams, and quiet ones after it."""
    rows = _rows(provider, batches, documents, fields)
    return (
        Task("first", "connector", rows, once=True),
        Task("quiet", "connector", dict.fromkeys(rows, 0), again="first"),
    )
