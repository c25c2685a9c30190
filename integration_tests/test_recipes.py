"""The recipes in DuckDB and PostgreSQL: on the demo's documents, and on a few rows with known results."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from docextract_sandbox import Sandbox
from docextract_sandbox.extracta import FileStatus
from integration_tests.filled import KINDS, Row, Tables, fill_duckdb, fill_postgres, sync_demo_twice
from integration_tests.pages import ROOT

pytestmark = [
    pytest.mark.skipif(
        find_spec("duckdb_engine") is None, reason="No warehouse is installed here; `make test` has them in .venv-demo"
    ),
    pytest.mark.filterwarnings("ignore:XDG_RUNTIME_DIR"),
]

RECIPES = sorted(path.stem for path in (ROOT / "recipes").glob("*.sql"))
MONDAY = date(2026, 11, 2)

QueryResults = dict[str, list[Row]]


@dataclass(frozen=True)
class DemoResults:
    """The demo's world after its second sync, and what the recipes say in each warehouse."""

    sandbox: Sandbox
    edited: set[str]
    duckdb: QueryResults
    postgres: QueryResults


def query_both(folder: Path, postgres: str, schema: str, tables: Tables) -> tuple[QueryResults, QueryResults]:
    from report.warehouse import run_recipes

    fill_postgres(postgres, schema, tables)
    return run_recipes(fill_duckdb(folder / f"{schema}.duckdb", tables)), run_recipes(postgres, schema)


def normalize_rows(rows: Sequence[Row]) -> list[Row]:
    """In one order, whatever a database takes for the order of texts; numbers as near as floats are to each other."""
    normalized = [
        {name: round(float(value), 9) if isinstance(value, float | Decimal) else value for name, value in row.items()}
        for row in rows
    ]
    return sorted(normalized, key=str)


@pytest.fixture(scope="module")
def demo(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> DemoResults:
    first_data: dict[str, Any] = {}
    sandbox, tables = sync_demo_twice(change_sandbox=lambda sandbox: first_data.update(collect_data(sandbox)))
    second_data = collect_data(sandbox)
    edited = {id_ for id_, data in first_data.items() if data and second_data[id_] != data}
    return DemoResults(sandbox, edited, *query_both(tmp_path_factory.mktemp("recipes"), postgres, "demo", tables))


def list_extracta_files(sandbox: Sandbox) -> Iterator[tuple[str, Any]]:
    """Each with the name of its template."""
    for template in sandbox.extracta.template_ids:
        for batch in sandbox.extracta.list_batch_ids(template):
            view = sandbox.extracta.get_batch(batch)
            # The provider shows nothing of a batch until all of it is done.
            yield from ((sandbox.extracta.get_template_name(template), file) for file in view.files if view.is_finished)


def collect_data(sandbox: Sandbox) -> dict[str, Any]:
    """What was extracted, by the provider's id of the document."""
    sensible = {id_: sandbox.sensible.get_document(id_).parsed_document for id_ in sandbox.sensible.extraction_ids}
    return {**{file.file_id: file.result for _, file in list_extracta_files(sandbox)}, **sensible}


def list_production_documents(sandbox: Sandbox) -> list[Any]:
    views = [sandbox.sensible.get_document(id_) for id_ in sandbox.sensible.extraction_ids]
    return [view for view in views if view.environment == "production"]


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_duckdb_and_postgresql_results_are_equal(demo: DemoResults, name: str) -> None:
    assert normalize_rows(demo.duckdb[name]) == normalize_rows(demo.postgres[name])
    assert len(demo.duckdb[name]) >= 3
    assert [*demo.duckdb[name][0]] == [*demo.postgres[name][0]]


def test_straight_through_recipe_counts_untouched_documents(demo: DemoResults) -> None:
    actual_counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in demo.duckdb["straight_through"]:
        actual_counts[row["provider"]].update(documents=row["documents"], straight=row["straight_through"])

    files = [file for _, file in list_extracta_files(demo.sandbox)]
    processed = [file for file in files if file.status is FileStatus.PROCESSED]
    assert actual_counts["extracta"] == {
        "documents": len(files),
        "straight": len([file for file in processed if file.file_id not in demo.edited]),
    }
    complete = [view for view in list_production_documents(demo.sandbox) if view.parts]
    reviewed = [view for view in complete if any(part.review for part in view.parts)]
    failed = [view for view in list_production_documents(demo.sandbox) if view.error]
    assert actual_counts["sensible"] == {
        "documents": len(complete) + len(failed),
        "straight": len(complete) - len(reviewed),
    }
    weeks = {row["week"] for row in demo.duckdb["straight_through"] if row["template"] == "INVOICE"}
    assert len(weeks) > 6
    assert {week.weekday() for week in weeks} == {0}


def test_failures_recipe_equals_the_reasons_in_the_sandbox(demo: DemoResults) -> None:
    actual_counts: Counter[tuple[str, str]] = Counter()
    for row in demo.duckdb["failures"]:
        actual_counts[row["provider"], row["reason"]] += row["failed"]

    sandbox = demo.sandbox
    reasons = {
        "extracta": [file.error for _, file in list_extracta_files(sandbox)],
        "docmap": [sandbox.docmap.get_extraction(id_).error for id_ in sandbox.docmap.extraction_ids],
        "sensible": [view.error for view in list_production_documents(sandbox)],
        "atlas": [
            document.error_code
            for id_ in sandbox.atlas.batch_ids
            for document in sandbox.atlas.get_batch(id_).documents
        ],
    }
    assert actual_counts == Counter(
        (provider, reason) for provider, provider_reasons in reasons.items() for reason in provider_reasons if reason
    )


def test_time_to_completion_recipe_equals_the_times_in_the_sandbox(demo: DemoResults) -> None:
    seconds: dict[date, list[float]] = defaultdict(list)
    for id_ in demo.sandbox.docmap.extraction_ids:
        view = demo.sandbox.docmap.get_extraction(id_)
        if view.template.name == "Supplier invoices" and view.data is not None:
            day = view.created_at.date()
            assert view.processing_ms is not None
            seconds[day - timedelta(days=day.weekday())].append(view.processing_ms / 1000)

    actual = {
        row["week"]: (row["documents"], row["median_seconds"], row["slowest_seconds"])
        for row in demo.duckdb["time_to_completion"]
        if row["template"] == "Supplier invoices"
    }
    assert actual == {week: (len(took), pytest.approx(median(took)), max(took)) for week, took in seconds.items()}
    assert {row["provider"] for row in demo.duckdb["time_to_completion"]} == {"docmap", "sensible"}


def test_confidence_recipe_equals_the_scores_in_the_sandbox(demo: DemoResults) -> None:
    read: dict[date, list[float]] = defaultdict(list)
    for id_ in demo.sandbox.atlas.batch_ids:
        batch = demo.sandbox.atlas.get_batch(id_)
        day = batch.submitted_at.date()
        for document in batch.documents:
            if document.file_data.get("document_type") == "INVOICE":
                gst_number: Any = document.file_data["gst_number"]
                read[day - timedelta(days=day.weekday())].append(gst_number["confidence_score"])

    actual = {
        row["week"]: (row["found"], row["mean_confidence"], row["least_confidence"], row["unsure"])
        for row in demo.duckdb["confidence"]
        if (row["provider"], row["template"], row["field"]) == ("atlas", "INVOICE", "/gst_number")
    }
    assert actual == {
        week: (
            len(sure),
            pytest.approx(sum(sure) / len(sure)),
            min(sure),
            len([level for level in sure if level < 0.7]),
        )
        for week, sure in read.items()
    }


def test_to_review_recipe_lists_review_queue_before_low_confidence(demo: DemoResults) -> None:
    rows = demo.duckdb["to_review"]
    are_waiting = [row["review_status"] == "NEEDS_REVIEW" for row in rows]
    waiting = {view.extraction_id for view in list_production_documents(demo.sandbox) if view.review == "NEEDS_REVIEW"}

    assert are_waiting == sorted(are_waiting, reverse=True)
    for kind in (True, False):
        sure = [row["confidence"] for row in rows if (row["review_status"] == "NEEDS_REVIEW") is kind]
        known = [confidence for confidence in sure if confidence is not None]
        assert sure == [*sorted(known), *[None] * (len(sure) - len(known))]
    assert {row["unsure_below"] for row in rows} == {0.7}
    assert {row["id"] for row in rows if row["review_status"]} == waiting
    unsure = {
        f"{id_}/{document.document_id}"
        for id_ in demo.sandbox.atlas.batch_ids
        for document in demo.sandbox.atlas.get_batch(id_).documents
        for field in document.file_data.values()
        if isinstance(field, dict) and field["confidence_score"] < 0.7
    }
    assert {row["id"] for row in rows if row["provider"] == "atlas"} == unsure


def test_stuck_recipe_lists_documents_that_never_finish(demo: DemoResults) -> None:
    actual = {
        (row["provider"], row["what"], row["template"], row["status"], row["days"]) for row in demo.duckdb["stuck"]
    }

    assert actual == {
        ("docmap", "document", "Supplier invoices", "processing", 8),
        ("extracta", "batch", "Travel receipts", "open", 5),
        ("sensible", "document", "invoices", "WAITING", 12),
    }


def test_edits_recipe_equals_the_edits_in_the_sandbox(demo: DemoResults) -> None:
    actual = defaultdict(set)
    for row in demo.duckdb["edits"]:
        actual[row["id"].rpartition("/")[2]].add(row["what"])

    # Two corrections took a line away, one changed a value in place.
    assert actual.keys() == demo.edited
    assert sorted(map(len, actual.values())) == [1, 2, 2]


def test_side_by_side_recipe_compares_all_providers_on_invoices(demo: DemoResults) -> None:
    actual = {row["provider"]: row for row in demo.duckdb["side_by_side"] if row["document_type"] == "invoices"}

    assert actual.keys() == {"extracta", "docmap", "sensible", "atlas"}
    templates = [
        demo.sandbox.docmap.get_extraction(id_).template.name.lower() for id_ in demo.sandbox.docmap.extraction_ids
    ]
    assert actual["docmap"]["documents"] == len([name for name in templates if "invoice" in name])
    assert [name for name in actual if actual[name]["median_seconds"] is None] == ["atlas", "extracta"]
    assert [name for name in actual if actual[name]["mean_confidence"] is None] == ["docmap", "extracta"]


def parse_time(text: str) -> str:
    return f"2026-11-{text}Z"


def make_small_tables() -> dict[str, list[Row]]:
    """Three documents of Extracta, four of DocMap, two of Sensible, three of Atlas, four that are classified."""
    seen, later = parse_time("09T00:00:00"), parse_time("10T00:00:00")
    tables: dict[str, list[Row]] = defaultdict(list)

    def add_row(kind: str, provider: str, id_: str, /, **columns: Any) -> None:
        tables[f"{provider}_{kind}"].append({"id": id_, "provider": provider, "observed_at": seen, **columns})

    def add_result(provider: str, id_: str, values: Mapping[str, tuple[Any, ...]], **columns: Any) -> None:
        """Values are `(text,)` or `(text, confidence)`, those with a digest of their own have it in the end."""
        add_row(
            "results", provider, id_, file_key=id_, file_name=f"{id_}.pdf", digest="new", document_index=0, **columns
        )
        for path, (value, *more) in values.items():
            confidence, digest = [*more, None, "new"][:2] if len(more) < 2 else more
            digest = digest or "new"
            moment = seen if digest != "new" else columns.get("observed_at", seen)
            field_columns = {
                "result_key": id_,
                "path": path,
                "value": value,
                "confidence": confidence,
                "digest": digest,
            }
            add_row("fields", provider, f"{id_}#{path}", **field_columns, observed_at=moment)

    extracta = {"batch_key": "E1", "template_name": "Supplier invoices", "template_id": "T", "batch_id": "E"}
    add_row(
        "batches",
        "extracta",
        "E1",
        template_name="Supplier invoices",
        created_at=parse_time("02T08:00:00"),
        status="complete",
    )
    old = {"created_at": parse_time("01T00:00:00"), "files_total": 4}
    add_row("batches", "extracta", "E9", template_name="Receipts", batch_id="9", status="open", **old)
    add_row("batches", "extracta_classification", "C9", batch_id="C9", status="missing")
    for id_, status, error in (("a", "processed", None), ("b", "failed", "torn"), ("c", "processed", None)):
        add_row(
            "files", "extracta", id_, status=status, error=error, file_id=f"f{id_}", file_name=f"{id_}.pdf", **extracta
        )
    add_result("extracta", "a", {"/total": ("5",)})
    gone = {"/lines/0": ("6",), "/lines/1": ("7", None, "old")}
    add_result(
        "extracta", "c", gone, template_name="Supplier invoices", batch_key="E1", batch_id="May", observed_at=later
    )

    docmap = {"template_name": "Supplier invoices", "created_at": parse_time("03T10:00:00")}
    for id_, seconds in (("d", 10), ("e", 30)):
        add_row("files", "docmap", id_, status="processed", completed_at=parse_time(f"03T10:00:{seconds}"), **docmap)
    add_row("files", "docmap", "f", status="failed", error="empty", **docmap)
    now = datetime.now(timezone.utc).isoformat()
    add_row("files", "docmap", "p", status="pending", **{**docmap, "created_at": now})
    add_result("docmap", "d", {"/total": ("10",), "/note": ("",)})
    add_result("docmap", "e", {"/total": (None,)})

    sensible = {"document_type": "invoices", "status": "processed", "created_at": parse_time("05T10:00:00")}
    add_row("files", "sensible", "g", completed_at=parse_time("05T10:01:00"), **sensible)
    add_row("files", "sensible", "h", **{**sensible, "observed_at": later})
    lines = {"/lines/0/amount": ("1", 0.75), "/lines/1/amount": ("2", 0.8)}
    add_result("sensible", "g", lines, review_status="NEEDS_REVIEW", document_type="invoices")
    decided = {"review_status": "APPROVED", "document_type": "invoices", "observed_at": later}
    add_result("sensible", "h", {"/total": ("3", 0.6), "/gone": ("x", 0.1, "old")}, **decided)

    atlas = {"batch_key": "BATCH-1-X-20261104093000", "batch_id": "BATCH-1-X-20261104093000"}
    batch_columns: dict[str, Any] = {"batch_id": "BATCH-1-X-20261104093000", "description": "Papers of October"}
    add_row("batches", "atlas", "BATCH-1-X-20261104093000", status="open", **batch_columns)
    add_row("files", "atlas", "i", status="processed", document_type="INVOICE", **atlas)
    add_row("files", "atlas", "j", status="failed", error="UNRECOGNISED", **atlas)
    add_row("files", "atlas", "k", status="pending", file_id="3", **atlas)
    add_result("atlas", "i", {"/total": ("4", 0.9)}, document_type="INVOICE")

    # Of four classified files one led nowhere, one to an extraction that is not in the tables, two to one that is.
    references: dict[str, dict[str, str] | None] = {"m": None, "n": {"fileId": "fa"}, "o": {"fileId": "fz"}, "b": {}}
    for id_, reference in references.items():
        data = {} if reference is None else {"extraction": {"extractionId": "T", "batchId": "E", **reference}}
        batch_columns = {"document_type": "invoice", "file_name": f"{id_}.pdf", "provider_data": data}
        add_row("files", "extracta_classification", id_, status="processed", **batch_columns)
    add_result("extracta_classification", "m", {"/confidence": ("0.66",)}, document_type="invoice", confidence=0.66)
    return {f"{provider}_{kind}": [] for provider in ("docmap", "sensible") for kind in KINDS} | dict(tables)


def get_current_monday() -> date:
    """The Monday of the current week, UTC."""
    today = datetime.now(timezone.utc).date()
    return today - timedelta(days=today.weekday())


def count_days_since(day: date) -> int:
    return (datetime.now(timezone.utc).date() - day).days


FIRST_DAY, SECOND_DAY = datetime(2026, 11, 9), datetime(2026, 11, 10)
APPROX = pytest.approx
EXPECTED_RESULTS: dict[str, list[tuple[Any, ...]]] = {
    "invoices": [
        (MONDAY, get_current_monday() == MONDAY, "unknown", 1, None, 1),
        (None, False, "unknown", 3, Decimal("7.00"), 1),
    ],
    "straight_through": [
        ("atlas", "INVOICE", MONDAY, 2, 1, 0.5),
        ("docmap", "Supplier invoices", MONDAY, 3, 2, APPROX(2 / 3)),
        ("extracta", "Supplier invoices", MONDAY, 3, 1, APPROX(1 / 3)),
        ("extracta_classification", "invoice", None, 2, 2, 1.0),
        ("sensible", "invoices", MONDAY, 2, 0, 0.0),
    ],
    "failures": [
        ("atlas", "INVOICE", "UNRECOGNISED", 1, 0.5, MONDAY, MONDAY),
        ("docmap", "Supplier invoices", "empty", 1, APPROX(1 / 3), MONDAY, MONDAY),
        ("extracta", "Supplier invoices", "torn", 1, APPROX(1 / 3), MONDAY, MONDAY),
    ],
    "time_to_completion": [
        ("docmap", "Supplier invoices", MONDAY, 2, APPROX(20), APPROX(28), 30.0),
        ("sensible", "invoices", MONDAY, 1, 60.0, 60.0, 60.0),
    ],
    "confidence": [
        ("atlas", "INVOICE", "/total", MONDAY, 1, 0.9, 0.9, 0),
        ("extracta_classification", "invoice", "the document", None, 1, 0.66, 0.66, 1),
        ("sensible", "invoices", "/lines/*/amount", MONDAY, 2, APPROX(0.775), 0.75, 0),
        ("sensible", "invoices", "/total", MONDAY, 1, 0.6, 0.6, 1),
    ],
    "to_review": [
        ("sensible", "invoices", "g.pdf", "g", None, "NEEDS_REVIEW", 0.75, "/lines/0/amount", "1", 0, 0.7),
        ("extracta_classification", "invoice", "m.pdf", "m", None, None, 0.66, "the document", "invoice", 1, 0.7),
    ],
    "stuck": [
        ("extracta", "batch", "Receipts", "9", "E9", None, 4, "open", "open", datetime(2026, 11, 1)),
        (
            "atlas",
            "document",
            "unknown type",
            "3",
            "k",
            "Papers of October",
            1,
            "pending",
            "open",
            datetime(2026, 11, 4),
        ),
        ("extracta_classification", "batch", "unknown type", "C9", "C9", None, None, "missing", "missing", FIRST_DAY),
    ],
    "side_by_side": [
        ("invoices", "atlas", 3, 2, 0.5, 0.5, None, 0.9, 1.0, 0.0),
        ("invoices", "docmap", 4, 3, APPROX(1 / 3), APPROX(2 / 3), APPROX(20), None, 1.5, APPROX(2 / 3)),
        ("invoices", "extracta", 3, 3, APPROX(1 / 3), APPROX(1 / 3), None, None, 1.0, 0.0),
        ("invoices", "sensible", 2, 2, 0.0, 0.0, 60.0, APPROX(2.15 / 3), 1.5, 0.0),
    ],
    "edits": [
        ("extracta", "Supplier invoices", "c.pdf", "c", "May", None, "delivered again", None, None, None, SECOND_DAY),
        ("extracta", "Supplier invoices", "c.pdf", "c", "May", None, "removed", "/lines/1", "7", None, SECOND_DAY),
        ("sensible", "invoices", "h.pdf", "h", None, "APPROVED", "removed", "/gone", "x", None, SECOND_DAY),
    ],
}
"""What the recipes say of these, but for how many days something is stuck."""


def test_recipe_small_tables_give_the_expected_rows(postgres: str, tmp_path: Path) -> None:
    responses = query_both(tmp_path, postgres, "small", make_small_tables())

    assert [*EXPECTED_RESULTS] == [*dict.fromkeys(EXPECTED_RESULTS)]
    assert sorted(EXPECTED_RESULTS) == RECIPES
    for results in responses:
        for name, expected in EXPECTED_RESULTS.items():
            rows = [tuple(row.values()) for row in results[name]]
            if name == "stuck":
                assert [row[-1] for row in rows] == [count_days_since(row[-2].date()) for row in rows]
                rows = [row[:-1] for row in rows]
            assert rows == expected, name


def make_invoice_tables() -> dict[str, list[Row]]:
    """Invoices of all providers, each with what makes a total wrong that is added up without care."""
    tables: dict[str, list[Row]] = defaultdict(list)
    monday = get_current_monday()
    now, week_before = f"{monday}T10:00:00Z", f"{monday - timedelta(days=7)}T10:00:00Z"
    result_columns = {"observed_at": now, "document_index": 0}

    def add_invoice(
        provider: str, id_: str, values: Mapping[str, Any], unit: str | None = None, **columns: Any
    ) -> None:
        tables[f"{provider}_results"].append(
            {**result_columns, "id": id_, "provider": provider, "digest": "new", **columns}
        )
        for path, value in values.items():
            key_columns = {"provider": provider, "result_key": id_, "digest": "new", "observed_at": now}
            tables[f"{provider}_fields"].append(
                {**key_columns, "id": f"{id_}#{path}", "path": path, "value": value, "unit": unit}
            )

    def add_stale_value(provider: str, id_: str, path: str, value: str) -> None:
        """A value of before an edit."""
        key_columns = {"provider": provider, "result_key": id_, "digest": "old", "observed_at": now}
        tables[f"{provider}_fields"].append({**key_columns, "id": f"{id_}#{path}", "path": path, "value": value})

    for batch, created in (("E1", now), ("E2", week_before)):
        tables["extracta_batches"].append(
            {
                "id": batch,
                "provider": "extracta",
                "template_name": "Supplier invoices",
                "created_at": created,
                **result_columns,
            }
        )
    # Extracta: text everywhere, no creation time, and no name of a template that was named by hand.
    add_invoice("extracta", "a", {"/total": "100.10", "/currency": "eur", "/lines/0/total": "7"}, batch_key="E1")
    add_invoice("extracta", "b", {"/total": "1,250.00", "/currency": "EUR"}, batch_key="E1")
    add_invoice("extracta", "c", {"/total": "12,50 EUR", "/currency": "EUR"}, batch_key="E1")
    add_invoice("extracta", "d", {"/total": "5", "/currency": "EUR"}, batch_key="E2")
    add_invoice("extracta", "receipt", {"/total": "9"}, template_name="Receipts", created_at=now)
    # DocMap: numbers, a value that is empty before one that counts, and a credit note.
    docmap = {"template_name": "Invoices", "created_at": now}
    add_invoice("docmap", "e", {"/total": "", "/total_amount": "0.2", "/currency": "EUR"}, **docmap)
    add_invoice("docmap", "f", {"/Total_Amount": "-50", "/currency": "USD"}, **docmap)
    add_invoice("docmap", "g", {"/total_amount": "1e30", "/currency": "USD"}, **docmap)
    add_stale_value("docmap", "g", "/total", "77")
    # Sensible: a unit instead of a currency.
    add_invoice("sensible", "h", {"/total": "3465.82"}, unit="$", document_type="invoices", created_at=now)
    # Atlas: the day stands in the batch id alone, and it may have none.
    day = f"{monday:%Y%m%d}"
    atlas = {"document_type": "INVOICE"}
    add_invoice("atlas", "i", {"/total_amount": "1.50", "/currency": None}, batch_id=f"BATCH-1-X-{day}093000", **atlas)
    add_invoice("atlas", "j", {"/total_amount": "2"}, batch_id="1b2c", **atlas)
    # Classified as an invoice, which is in Extracta's results.
    add_invoice("extracta_classification", "k", {"/documentType": "invoice"}, document_type="invoice", created_at=now)
    return dict(tables)


def test_invoices_recipe_counts_and_sums_by_week_and_currency(postgres: str, tmp_path: Path) -> None:
    monday, responses = get_current_monday(), query_both(tmp_path, postgres, "invoices", make_invoice_tables())

    for response in responses:
        assert [tuple(row.values()) for row in response["invoices"]] == [
            (monday, True, "EUR", 4, Decimal("100.30"), 2),
            (monday, True, "USD", 2, Decimal("-50.00"), 1),
            (monday, True, "$", 1, Decimal("3465.82"), 0),
            (monday, True, "unknown", 1, Decimal("1.50"), 0),
            (monday - timedelta(days=7), False, "EUR", 1, Decimal("5.00"), 0),
            (None, False, "unknown", 1, Decimal("2.00"), 0),
        ]


def test_edits_recipe_with_all_versions_shows_old_values(postgres: str, tmp_path: Path) -> None:
    versions = [("old", parse_time("09T00:00:00"), "NEEDS_REVIEW"), ("new", parse_time("10T00:00:00"), "APPROVED")]
    common_columns = {"provider": "sensible", "document_type": "invoices", "file_name": "a.pdf"}
    values = {"old": {"/total": "1", "/tax": "2", "/extra": "3"}, "new": {"/total": "10", "/tax": "2"}}
    tables = {
        "sensible_files": [{**common_columns, "id": "a", "observed_at": versions[0][1], "status": "processed"}],
        "sensible_results": [
            {
                **common_columns,
                "id": "a",
                "file_key": "a",
                "digest": digest,
                "observed_at": moment,
                "review_status": status,
            }
            for digest, moment, status in versions
        ],
        "sensible_fields": [
            {"provider": "sensible", "result_key": "a", "id": f"a#{path}", "path": path, "value": value}
            | {"digest": digest, "observed_at": moment}
            for digest, moment, _ in versions
            for path, value in values[digest].items()
        ],
    }

    for results in query_both(tmp_path, postgres, "kept", tables):
        assert [(row["what"], row["path"], row["before"], row["after"]) for row in results["edits"]] == [
            ("changed", "/total", "1", "10"),
            ("removed", "/extra", "3", None),
        ]


def test_recipe_file_begins_with_its_question_and_is_in_the_readme() -> None:
    listed = (ROOT / "recipes" / "README.md").read_text(encoding="utf-8")

    for name in RECIPES:
        first, *_ = (ROOT / "recipes" / f"{name}.sql").read_text(encoding="utf-8").splitlines()
        assert re.fullmatch(r"-- .+\?", first), name
        assert f"[{name}.sql]({name}.sql) | {first.removeprefix('-- ')} |" in listed


def test_recipe_connection_error_has_no_password(postgres: str, tmp_path: Path) -> None:
    from report import ReportError
    from report.warehouse import run_recipes

    (tmp_path / "no.duckdb").write_text("something else")
    unreachable_url = "postgresql://me:secret@127.0.0.1:1/warehouse"
    for location, expected_text in (
        (str(tmp_path / "none.duckdb"), "There is no DuckDB file"),
        (str(tmp_path / "no.duckdb"), "The warehouse cannot be asked"),
        (unreachable_url, "The warehouse cannot be asked"),
        (postgres, "name another one with --schema"),
    ):
        with pytest.raises(ReportError, match=expected_text) as trouble:
            run_recipes(location, "nothing_here" if location == postgres else None)
        assert "secret" not in str(trouble.value)
