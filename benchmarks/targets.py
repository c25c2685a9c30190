"""The targets of the connector, and their evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

from .cases import LATENCY, PAGES_PER_BATCH, PAGES_PER_LARGE_BATCH, SPACING
from .compared_systems import LOOK_HOURS, MAX_IN_FLIGHT
from .worlds import PER_PAGE

Results = Mapping[str, Any]
"""Results of cases by name, as `measure_case` returns them."""


@dataclass(frozen=True)
class Target:
    """A target and its measured value.

    Attributes:
        name: Definition of the ratio.
        value: Measured value; None if a row was not measured, is void, or does not differ from the noise.
        limit: Greatest value that reaches the target.
        unit: Unit of value and limit.
    """

    name: str
    value: float | None
    limit: float
    unit: str = ""

    @property
    def is_reached(self) -> bool | None:
        """Return whether the target is reached; None without a value."""
        return None if self.value is None else self.value <= self.limit


def get_median(results: Results, case: str, task: str, metric: str) -> float:
    """Return the median of a metric over all runs.

    Raises:
        LookupError: The row was not measured or is void.
    """
    row = results.get(case, {}).get("tasks", {}).get(task)
    if not row or row["void"] or not row["runs"]:
        raise LookupError(f"{case}/{task}")
    return float(median(run[metric] for run in row["runs"]))


def count_requests(results: Results, case: str, task: str, excluded_endpoint: str = "") -> float:
    """Return the greatest number of requests of any run, without one endpoint's."""
    get_median(results, case, task, "wall")
    totals: list[int] = []
    for run in results[case]["tasks"][task]["runs"]:
        totals.append(sum(count for name, count in run["requests"].items() if name != excluded_endpoint))
    return float(max(totals))


def get_size(results: Results, case: str, size_name: str) -> int:
    """Return one of the sizes of a case's world."""
    return int(results[case]["sizes"][size_name])


def count_documents(results: Results, case: str) -> int:
    """Return the number of documents of a case."""
    return get_size(results, case, "batches") * get_size(results, case, "documents")


def measure_cpu_per_document(results: Results, case: str, system: str) -> float:
    """Return the microseconds of CPU per document, without start-up."""
    return _subtract_startup(results, case, system, "cpu") / max(count_documents(results, case) - PER_PAGE, 1) * 1e6


def compute_ideal_seconds(results: Results, case: str, pages: int) -> float:
    """Return the seconds of a case's requests at `MAX_IN_FLIGHT` in parallel."""
    return get_size(results, case, "batches") * pages * LATENCY / MAX_IN_FLIGHT


def compute_extra_cpu(results: Results) -> float:
    """Return the CPU seconds of all streams beyond those of the results stream alone.

    Raises:
        LookupError: A row is missing, or the difference is lost in the noise.
    """
    extra_seconds = get_median(results, "streams", "all", "cpu") - get_median(results, "streams", "results", "cpu")
    if extra_seconds <= 0:
        raise LookupError("all streams together took no longer than one")
    return extra_seconds


def _compare_cpu(results: Results, system: str) -> float:
    return measure_cpu_per_document(results, "atlas", "connector") / measure_cpu_per_document(results, "atlas", system)


def _subtract_startup(results: Results, case: str, system: str = "connector", metric: str = "wall") -> float:
    """Return a metric of a full sync less that of a sync of one page.

    Raises:
        LookupError: A row is missing, or the difference is lost in the noise.
    """
    difference = get_median(results, case, system, metric) - get_median(results, case, f"{system}/small", metric)
    if difference <= 0:
        raise LookupError(f"{case}/{system} took no longer than one page")
    return difference


def _compare_wall_to_ideal(results: Results, case: str, pages: int) -> float:
    return _subtract_startup(results, case) / compute_ideal_seconds(results, case, pages)


def _compare_stream_requests(results: Results) -> float:
    return count_requests(results, "streams", "all") / count_requests(results, "streams", "results")


def _compare_stream_cpu(results: Results) -> float:
    return compute_extra_cpu(results) / get_median(results, "streams", "printing-cdk", "cpu")


def _subtract_spec_wall(results: Results, case: str) -> float:
    return get_median(results, case, "quiet", "wall") - get_median(results, "start", "spec", "wall")


def _compare_extracta_wall(results: Results) -> float:
    return _subtract_startup(results, "extracta") / (SPACING * (get_size(results, "extracta", "batches") - 1))


def _compare_looks(results: Results) -> float:
    requests = count_requests(results, "looks", "hourly", excluded_endpoint="extracta.viewExtraction")
    return requests / get_size(results, "looks", "new_batches")


def _compare_sensible_wall(results: Results) -> float:
    wall = get_median(results, "sensible", "connector", "wall")
    return wall / (get_size(results, "sensible", "documents") * LATENCY / MAX_IN_FLIGHT)


def _get_peak_memory(results: Results) -> float:
    return get_median(results, "documents-200000", "first", "peak_mb")


def _compare_peak_memory(results: Results) -> float:
    return _get_peak_memory(results) / get_median(results, "documents-20000", "first", "peak_mb")


def _compare_spec_cpu(results: Results) -> float:
    return get_median(results, "start", "spec", "cpu") / get_median(results, "start", "import", "cpu")


def _build_settled_targets(
    case: str, provider: str, discovery_endpoint: str
) -> list[tuple[str, Callable[[Results], float], float, str]]:
    name = f"quiet sync, 10,000 settled batches of {provider}"
    return [
        (
            f"{name}: requests besides discovery",
            partial(count_requests, case=case, task="quiet", excluded_endpoint=discovery_endpoint),
            0,
            "",
        ),
        (f"{name}: wall beyond `spec`", partial(_subtract_spec_wall, case=case), 1.0, "s"),
    ]


_TARGETS: tuple[tuple[str, Callable[[Results], float], float, str], ...] = (
    ("CPU a document ÷ that of the loop that prints", partial(_compare_cpu, system="loop"), 2.2, "×"),
    ("CPU a document ÷ that of the declarative manifest", partial(_compare_cpu, system="manifest"), 0.45, "×"),
    ("CPU a document ÷ that of dlt's extract", partial(_compare_cpu, system="dlt"), 0.4, "×"),
    ("CPU a document ÷ that of the Singer tap", partial(_compare_cpu, system="singer"), 0.3, "×"),
    (
        f"wall at 50 ms, batches of {PAGES_PER_BATCH} pages, start-up subtracted ÷ pages × 50 ms / {MAX_IN_FLIGHT}",
        partial(_compare_wall_to_ideal, case="atlas-50ms", pages=PAGES_PER_BATCH),
        1.10,
        "×",
    ),
    (
        f"wall at 50 ms, batches of {PAGES_PER_LARGE_BATCH} pages, start-up subtracted "
        f"÷ pages × 50 ms / {MAX_IN_FLIGHT}",
        partial(_compare_wall_to_ideal, case="atlas-50ms-large", pages=PAGES_PER_LARGE_BATCH),
        1.10,
        "×",
    ),
    ("requests of all streams ÷ those of one", _compare_stream_requests, 1.0, "×"),
    ("CPU of the other streams ÷ what their records cost to print as the CDK prints", _compare_stream_cpu, 1.5, "×"),
    *_build_settled_targets("batches-10000", "Extracta", "extracta.viewExtraction"),
    *_build_settled_targets("settled-atlas", "Atlas", ""),
    (f"Extracta: requests for each settled batch in {LOOK_HOURS} hourly syncs", _compare_looks, 9, ""),
    (f"Extracta: wall, start-up subtracted ÷ {SPACING} s × (requests − 1)", _compare_extracta_wall, 1.05, "×"),
    (f"Sensible: wall ÷ documents × 50 ms / {MAX_IN_FLIGHT}", _compare_sensible_wall, 1.10, "×"),
    ("peak memory at 200,000 documents ÷ that at 20,000", _compare_peak_memory, 1.1, "×"),
    ("peak memory at 200,000 documents", _get_peak_memory, 150, "MB"),
    ("CPU of `spec` ÷ that of importing the CDK's entrypoint", _compare_spec_cpu, 1.15, "×"),
)


def judge_targets(results: Results) -> list[Target]:
    """Return all targets with their values."""
    return [
        Target(name, _evaluate_target(compute_value, results), limit, unit)
        for name, compute_value, limit, unit in _TARGETS
    ]


def _evaluate_target(compute_value: Callable[[Results], float], results: Results) -> float | None:
    try:
        return compute_value(results)
    except LookupError:
        return None


def format_table(targets: list[Target]) -> Iterator[str]:
    """Yield the targets as lines for a terminal."""
    verdicts = {True: "pass", False: "FAIL", None: "not measured"}
    for target in targets:
        value = "-" if target.value is None else f"{target.value:.2f}"
        yield f"  {verdicts[target.is_reached]:<13}{value:>8} {target.unit:<3}(at most {target.limit:g})  {target.name}"
