"""The ratios that the connector is to reach, and whether it does. Pure: results in, judgements out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

from .cases import LATENCY, PAGES, PAGES_OF_LARGE, SPACING
from .field import IN_FLIGHT
from .worlds import PER_PAGE

Results = Mapping[str, Any]
"""Cases by name, as rounds.py gives them."""


@dataclass(frozen=True)
class Target:
    """`value` is None where a row it needs was not measured, is void, or is lost in the noise."""

    name: str
    value: float | None
    limit: float
    unit: str = ""

    @property
    def passed(self) -> bool | None:
        return None if self.value is None else self.value <= self.limit


def middle(results: Results, case: str, task: str, what: str) -> float:
    """The median of all rounds; raises LookupError for a row that is not there, or void."""
    row = results.get(case, {}).get("tasks", {}).get(task)
    if not row or row["void"] or not row["runs"]:
        raise LookupError(f"{case}/{task}")
    return float(median(run[what] for run in row["runs"]))


def requests(results: Results, case: str, task: str, but: str = "") -> float:
    """The most that any round made; those of one endpoint may be left out."""
    middle(results, case, task, "wall")
    runs = results[case]["tasks"][task]["runs"]
    return float(max(sum(count for name, count in run["requests"].items() if name != but) for run in runs))


def size(results: Results, case: str, of: str) -> int:
    """One of the numbers that its world was made with."""
    return int(results[case]["sizes"][of])


def documents(results: Results, case: str) -> int:
    return size(results, case, "batches") * size(results, case, "documents")


def per_document(results: Results, case: str, system: str) -> float:
    """Microseconds of CPU for one document more: start-up subtracted, and the one page that it was measured with."""
    return _beyond_start(results, case, system, "cpu") / max(documents(results, case) - PER_PAGE, 1) * 1e6


def ideal(results: Results, case: str, pages: int) -> float:
    """Seconds that the requests of a case take if so many are always in flight."""
    return size(results, case, "batches") * pages * LATENCY / IN_FLIGHT


def extra_cpu(results: Results) -> float:
    """CPU seconds that all streams take beyond the results alone; raises LookupError where the noise is more."""
    more = middle(results, "streams", "all", "cpu") - middle(results, "streams", "results", "cpu")
    if more <= 0:
        raise LookupError("all streams together took no longer than one")
    return more


def _cpu_against(results: Results, system: str) -> float:
    return per_document(results, "atlas", "connector") / per_document(results, "atlas", system)


def _beyond_start(results: Results, case: str, system: str = "connector", what: str = "wall") -> float:
    """What a sync took more than one of a page; raises LookupError where that is lost in the noise of the machine."""
    more = middle(results, case, system, what) - middle(results, case, f"{system}/small", what)
    if more <= 0:
        raise LookupError(f"{case}/{system} took no longer than one page")
    return more


def _wall_against_ideal(results: Results, case: str, pages: int) -> float:
    return _beyond_start(results, case) / ideal(results, case, pages)


def _requests_of_streams(results: Results) -> float:
    return requests(results, "streams", "all") / requests(results, "streams", "results")


def _cpu_of_streams(results: Results) -> float:
    return extra_cpu(results) / middle(results, "streams", "printing-cdk", "cpu")


def _wall_beyond_spec(results: Results, case: str) -> float:
    return middle(results, case, "quiet", "wall") - middle(results, "start", "spec", "wall")


def _extracta(results: Results) -> float:
    return _beyond_start(results, "extracta") / (SPACING * (size(results, "extracta", "batches") - 1))


def _sensible(results: Results) -> float:
    wall = middle(results, "sensible", "connector", "wall")
    return wall / (size(results, "sensible", "documents") * LATENCY / IN_FLIGHT)


def _memory(results: Results) -> float:
    return middle(results, "documents-200000", "first", "peak_mb")


def _memory_growth(results: Results) -> float:
    return _memory(results) / middle(results, "documents-20000", "first", "peak_mb")


def _spec(results: Results) -> float:
    return middle(results, "start", "spec", "cpu") / middle(results, "start", "import", "cpu")


def _settled(case: str, provider: str, discovery: str) -> list[tuple[str, Callable[[Results], float], float, str]]:
    name = f"quiet sync, 10,000 settled batches of {provider}"
    return [
        (f"{name}: requests besides discovery", partial(requests, case=case, task="quiet", but=discovery), 0, ""),
        (f"{name}: wall beyond `spec`", partial(_wall_beyond_spec, case=case), 1.0, "s"),
    ]


_TARGETS: tuple[tuple[str, Callable[[Results], float], float, str], ...] = (
    ("CPU a document ÷ that of the loop that prints", partial(_cpu_against, system="loop"), 2.2, "×"),
    ("CPU a document ÷ that of the declarative manifest", partial(_cpu_against, system="manifest"), 0.45, "×"),
    ("CPU a document ÷ that of dlt's extract", partial(_cpu_against, system="dlt"), 0.4, "×"),
    ("CPU a document ÷ that of the Singer tap", partial(_cpu_against, system="singer"), 0.3, "×"),
    (
        f"wall at 50 ms, batches of {PAGES} pages, start-up subtracted ÷ pages × 50 ms / {IN_FLIGHT}",
        partial(_wall_against_ideal, case="atlas-50ms", pages=PAGES),
        1.10,
        "×",
    ),
    (
        f"wall at 50 ms, batches of {PAGES_OF_LARGE} pages, start-up subtracted ÷ pages × 50 ms / {IN_FLIGHT}",
        partial(_wall_against_ideal, case="atlas-50ms-large", pages=PAGES_OF_LARGE),
        1.10,
        "×",
    ),
    ("requests of all streams ÷ those of one", _requests_of_streams, 1.0, "×"),
    ("CPU of the other streams ÷ what their records cost to print as the CDK prints", _cpu_of_streams, 1.5, "×"),
    *_settled("batches-10000", "Extracta", "extracta.viewExtraction"),
    *_settled("settled-atlas", "Atlas", ""),
    (f"Extracta: wall, start-up subtracted ÷ {SPACING} s × (requests − 1)", _extracta, 1.05, "×"),
    (f"Sensible: wall ÷ documents × 50 ms / {IN_FLIGHT}", _sensible, 1.10, "×"),
    ("peak memory at 200,000 documents ÷ that at 20,000", _memory_growth, 1.1, "×"),
    ("peak memory at 200,000 documents", _memory, 150, "MB"),
    ("CPU of `spec` ÷ that of importing the CDK's entrypoint", _spec, 1.15, "×"),
)


def judged(results: Results) -> list[Target]:
    return [Target(name, _or_none(value, results), limit, unit) for name, value, limit, unit in _TARGETS]


def _or_none(value: Callable[[Results], float], results: Results) -> float | None:
    try:
        return value(results)
    except LookupError:
        return None


def table(targets: list[Target]) -> Iterator[str]:
    """Lines for a terminal."""
    words = {True: "pass", False: "FAIL", None: "not measured"}
    for one in targets:
        value = "-" if one.value is None else f"{one.value:.2f}"
        yield f"  {words[one.passed]:<13}{value:>8} {one.unit:<3}(at most {one.limit:g})  {one.name}"
