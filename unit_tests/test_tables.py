"""Rows: their columns, their ids, what counts as a change, and what is left out with the links."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from hashlib import blake2b
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from source_docextract.model import BatchRef, BatchStatus, Document, Extraction, FileStatus, Snapshot, rfc3339
from source_docextract.tables import BATCHES, FIELDS, FILES, RESULTS, TABLES, Row, Rows, Table, View

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=timezone.utc)
PRODUCTS = ("extracta", "extracta_classification", "atlas")

COLUMNS = {
    "batches": "id provider template_id template_name batch_id description status provider_status error files_total "
    "files_processed files_failed files_pending created_at completed_at observed_at provider_data",
    "files": "id batch_key provider template_id template_name batch_id file_id file_name status provider_status error "
    "document_type page_count url created_at completed_at processing_ms observed_at provider_data",
    "results": "id file_key batch_key provider template_id template_name batch_id file_id file_name document_index "
    "document_type confidence review_status data digest created_at completed_at observed_at provider_data",
    "fields": "id result_key file_key batch_key provider template_id document_type path name position value value_type "
    "number_value confidence confidence_signal unit digest observed_at",
}

REF = BatchRef(
    "t/1", "b#1", created_at=NOW, template_name="Invoices", provider_status="listed", provider_data={"origin": "api"}
)
FILLED = Extraction(
    data={"total": "6", "site": "https://example.com", "scan": "https://x/1?sig=1"},
    stable={"total": "6", "site": "https://example.com"},
    document_type="invoice",
    confidence=0.5,
    review_status="APPROVED",
    created_at=NOW,
    completed_at=NOW,
    provider_data={"page": 1},
)
FILE = Document(
    "f%2F1",
    FileStatus.PROCESSED,
    file_id="f/1",
    file_name="a.pdf",
    provider_status="processed",
    error="none",
    document_type="invoice",
    page_count=2,
    url="https://files.example.com/a.pdf?sig=1",
    created_at=NOW,
    completed_at=NOW,
    processing_ms=5,
    provider_data={"extraction": {"batchId": "x", "preview": "https://x/2?sig=1"}, "scans": ["https://x/3?sig=1"]},
    extractions=(FILLED,),
)
BARE = Document("g", FileStatus.PENDING)
FULL = Snapshot(
    REF,
    BatchStatus.COMPLETE,
    documents=(FILE,),
    provider_status="success",
    description="May",
    error="e",
    completed_at=NOW,
    provider_data={"more": {"a": 1, "b": 2}, "report": "https://x/4?sig=1"},
)
SNAPSHOTS = {
    "full": FULL,
    "waiting": Snapshot(BatchRef("t", "b", files_total=4), BatchStatus.OPEN),
    "bare": Snapshot(BatchRef(None, "b"), BatchStatus.OPEN, documents=(BARE,)),
    "nothing known": Snapshot(
        BatchRef(None, "b"), BatchStatus.OPEN, documents=(BARE._replace(extractions=(Extraction({}, {}),)),)
    ),
}


def rows(table: Table, snapshot: Snapshot, keep_urls: bool = True, product: str = "extracta") -> list[Row | Rows]:
    return list(table.rows(snapshot, View(product, keep_urls)))


def records(table: Table, snapshot: Snapshot, keep_urls: bool = True, product: str = "extracta") -> list[Any]:
    return [record for each in rows(table, snapshot, keep_urls, product) for record in each.records]


def row(table: Table, snapshot: Snapshot = FULL, keep_urls: bool = True) -> dict[str, Any]:
    [only] = records(table, snapshot, keep_urls)
    return dict(only)


def mark(table: Table, snapshot: Snapshot) -> str:
    [only] = rows(table, snapshot)
    return only.mark


def with_file(**changes: Any) -> Snapshot:
    return replace(FULL, documents=(FILE._replace(**changes),))


def with_result(**changes: Any) -> Snapshot:
    return with_file(extractions=(FILLED._replace(**changes),))


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.kind)
def test_columns_are_those_of_the_contract_for_every_provider(table: Table, product: str) -> None:
    stream = table.stream(product)
    assert stream.name == f"{product}_{table.kind}"
    assert list(stream.json_schema["properties"]) == list(table.columns) == COLUMNS[table.kind].split()
    assert stream.source_defined_primary_key == [["id"]]
    assert stream.default_cursor_field == ["observed_at"]
    assert stream.source_defined_cursor
    assert stream.is_resumable
    assert stream.json_schema == table.stream("extracta").json_schema
    jsonschema.Draft7Validator.check_schema(stream.json_schema)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.kind)
def test_every_time_is_a_timestamp_with_zone_and_every_column_is_described(table: Table) -> None:
    properties = table.stream("atlas").json_schema["properties"]
    for name, schema in properties.items():
        assert schema["description"].endswith((".", *(status.value for status in (*BatchStatus, *FileStatus))))
        assert (schema.get("airbyte_type") == "timestamp_with_timezone") == name.endswith("_at")
        assert (schema.get("format") == "date-time") == name.endswith("_at")


@pytest.mark.parametrize("keep_urls", [True, False])
@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("told", SNAPSHOTS)
@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.kind)
def test_each_row_has_exactly_its_columns_and_keeps_the_schema(
    table: Table, told: str, product: str, keep_urls: bool
) -> None:
    schema = table.stream(product).json_schema
    for each in records(table, SNAPSHOTS[told], keep_urls, product):
        record = {**each, "observed_at": rfc3339(NOW)}
        assert set(record) == set(schema["properties"])
        assert record["provider"] == product
        jsonschema.validate(record, schema)


def test_what_is_known_stands_in_its_column() -> None:
    batch, file, result = (row(table) for table in (BATCHES, FILES, RESULTS))
    common = {"provider": "extracta", "template_id": "t/1", "template_name": "Invoices", "batch_id": "b#1"}
    for record in (batch, file, result):
        assert common.items() <= record.items()
        assert record["created_at"] == record["completed_at"] == "2026-11-20T09:00:00.000Z"
    assert (batch["id"], batch["status"], batch["provider_status"]) == ("t%2F1/b%231", "complete", "success")
    assert (batch["description"], batch["error"]) == ("May", "e")
    assert batch["provider_data"] == {"origin": "api", **FULL.provider_data}
    assert (file["id"], file["batch_key"]) == ("t%2F1/b%231/f%2F1", "t%2F1/b%231")
    assert (file["file_id"], file["file_name"], file["status"]) == ("f/1", "a.pdf", "processed")
    assert (file["url"], file["page_count"], file["processing_ms"]) == (FILE.url, 2, 5)
    assert result["id"] == result["file_key"] == file["id"]
    assert (result["batch_key"], result["document_index"]) == (batch["id"], 0)
    assert (result["confidence"], result["review_status"]) == (0.5, "APPROVED")
    assert result["data"] == FILLED.data
    assert result["provider_data"] == {**FILE.provider_data, "page": 1}


def test_a_batch_without_template_is_named_by_itself() -> None:
    assert row(BATCHES, SNAPSHOTS["bare"])["id"] == "b"
    assert row(FILES, SNAPSHOTS["bare"])["id"] == "b/g"


def test_the_kth_document_inside_a_file_is_numbered_from_0() -> None:
    snapshot = with_file(extractions=(FILLED, FILLED._replace(document_index=1), FILLED._replace(document_index=2)))
    assert [(each["id"], each["document_index"]) for each in records(RESULTS, snapshot)] == [
        ("t%2F1/b%231/f%2F1", 0),
        ("t%2F1/b%231/f%2F1#1", 1),
        ("t%2F1/b%231/f%2F1#2", 2),
    ]


def test_files_are_counted_by_status_once_they_are_told() -> None:
    statuses = [FileStatus.PROCESSED] * 3 + [FileStatus.FAILED] * 2 + [FileStatus.PENDING]
    documents = tuple(Document(str(number), status) for number, status in enumerate(statuses))
    counts = ("files_total", "files_processed", "files_failed", "files_pending")
    for told, expected in ((documents, [6, 3, 2, 1]), ((), [0, 0, 0, 0]), (None, [4, None, None, None])):
        snapshot = replace(SNAPSHOTS["waiting"], documents=told)
        assert [row(BATCHES, snapshot)[name] for name in counts] == expected


def test_while_a_batch_waits_it_has_the_status_of_its_list() -> None:
    assert row(BATCHES, Snapshot(REF, BatchStatus.OPEN))["provider_status"] == "listed"


def test_files_and_results_are_told_only_with_the_documents() -> None:
    told = {table.kind: (table.tells(SNAPSHOTS["waiting"]), table.tells(SNAPSHOTS["bare"])) for table in TABLES}
    of_documents = (False, True)
    assert told == {"batches": (True, True), "files": of_documents, "results": of_documents, "fields": of_documents}
    assert (
        rows(FILES, SNAPSHOTS["waiting"]) == rows(RESULTS, SNAPSHOTS["bare"]) == rows(FIELDS, SNAPSHOTS["bare"]) == []
    )


LINKS_ONLY = {
    "a new link of the batch": replace(FULL, provider_data={**FULL.provider_data, "report": "https://x/4?sig=2"}),
    "no link of the batch": replace(FULL, provider_data={"more": {"a": 1, "b": 2}}),
    "another order": replace(FULL, provider_data={"report": "http://x/5?sig=7", "more": {"b": 2, "a": 1}}),
    "a new url": with_file(url="https://files.example.com/a.pdf?sig=2"),
    "no url": with_file(url=None),
    "new links of the file": with_file(
        provider_data={"extraction": {"preview": "http://x/9?sig=2", "batchId": "x"}, "scans": ["https://x/8?sig=2"]}
    ),
    "new links in the data": with_result(data={**FILLED.data, "scan": "https://x/1?sig=2"}),
    "another order of the data": with_result(stable=dict(reversed(FILLED.stable.items()))),
}


@pytest.mark.parametrize("change", LINKS_ONLY)
@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.kind)
def test_links_and_the_order_of_keys_are_no_change(table: Table, change: str) -> None:
    assert mark(table, LINKS_ONLY[change]) == mark(table, FULL)


WORDS = st.text(max_size=8)
NUMBERS = st.integers(0, 2**53)
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(timezone.utc))
EXTRAS = st.dictionaries(WORDS, NUMBERS | WORDS.map("w".__add__) | st.none(), min_size=1)
BATCH = {
    "description": WORDS,
    "error": WORDS,
    "provider_status": WORDS.filter(bool),
    "status": st.sampled_from(BatchStatus),
    "completed_at": TIMES,
    "provider_data": EXTRAS,
}
OF_REF = {"template_id": WORDS, "template_name": WORDS, "batch_id": WORDS, "created_at": TIMES}
OF_FILE = dict.fromkeys(("key", "file_id", "file_name", "provider_status", "error", "document_type"), WORDS) | {
    "status": st.sampled_from(FileStatus),
    "page_count": NUMBERS,
    "processing_ms": NUMBERS,
    "created_at": TIMES,
    "completed_at": TIMES,
    "provider_data": EXTRAS,
}
OF_RESULT = {
    "stable": EXTRAS,
    "document_index": st.integers(1, 99),
    "document_type": WORDS,
    "confidence": st.floats(0, 1),
    "review_status": WORDS,
    "created_at": TIMES,
    "completed_at": TIMES,
    "provider_data": EXTRAS,
}
OF_FIELDS = {name: OF_RESULT[name] for name in ("stable", "document_index", "document_type")}
CONTENT: list[tuple[Table, str, Callable[..., Snapshot], Any, Any]] = [
    *((BATCHES, name, partial(replace, FULL), FULL, values) for name, values in BATCH.items()),
    *((FILES, name, with_file, FILE, values) for name, values in OF_FILE.items()),
    *((RESULTS, name, with_result, FILLED, values) for name, values in OF_RESULT.items()),
    *((FIELDS, name, with_result, FILLED, values) for name, values in OF_FIELDS.items()),
    (FIELDS, "key", with_file, FILE, WORDS),
    *(
        (table, name, lambda **changes: replace(FULL, ref=replace(REF, **changes)), REF, values)
        for table in TABLES
        for name, values in OF_REF.items()
        if table is BATCHES or name != "created_at"
        if table is not FIELDS or name != "template_name"
    ),
]


@pytest.mark.parametrize(
    ("table", "name", "changed", "before", "values"),
    [pytest.param(*case, id=f"{case[0].kind}-{case[1]}") for case in CONTENT],
)
def test_a_change_of_anything_else_is_a_change(
    table: Table, name: str, changed: Callable[..., Snapshot], before: Any, values: st.SearchStrategy[Any]
) -> None:
    old = getattr(before, name)

    @settings(deadline=None, max_examples=30)
    @given(values)
    def changes_the_mark(value: Any) -> None:
        told, told_before = (rfc3339(each) if isinstance(each, datetime) else each for each in (value, old))
        if told != told_before:
            assert mark(table, changed(**{name: value})) != mark(table, FULL)

    changes_the_mark()


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.kind)
def test_marks_are_short_and_fit_for_json(table: Table) -> None:
    assert len(mark(table, FULL)) == 6
    assert mark(table, FULL).isascii()


def test_links_to_files_are_left_out_on_request() -> None:
    batch, file, result = (row(table, keep_urls=False) for table in (BATCHES, FILES, RESULTS))
    assert batch["provider_data"] == {"origin": "api", "more": {"a": 1, "b": 2}}
    assert file["url"] is None
    assert file["provider_data"] == {"extraction": {"batchId": "x"}, "scans": []}
    assert result["provider_data"] == {"extraction": {"batchId": "x"}, "scans": [], "page": 1}
    assert result["data"] == {"total": "6", "site": "https://example.com"}
    assert [each.mark for table in TABLES for each in rows(table, FULL, keep_urls=False)] == [
        mark(table, FULL) for table in TABLES
    ]


def test_the_digest_names_the_content_without_links() -> None:
    stable = Extraction(data={"x": "https://x"}, stable={"b": [1, {"d": None, "c": "é"}], "a": 0.5})
    content = '{"a":0.5,"b":[1,{"c":"é","d":null}]}'.encode()
    assert stable.digest == blake2b(content, digest_size=16).hexdigest()
    assert row(RESULTS)["digest"] == FILLED.digest
    assert len(stable.digest) == 32


def test_the_fields_of_a_result_share_a_mark_and_lead_to_it() -> None:
    snapshot = with_file(extractions=(FILLED, FILLED._replace(document_index=1)))

    first, second = rows(FIELDS, snapshot)

    assert first.mark != second.mark
    for each, result in zip((first, second), records(RESULTS, snapshot), strict=True):
        told = list(each.records)
        assert [record["id"] for record in told] == [f"{result['id']}#/total", f"{result['id']}#/site"]
        for record in told:
            assert record["result_key"] == result["id"]
            assert {name: record[name] for name in ("file_key", "batch_key", "digest", "document_type")} == {
                name: result[name] for name in ("file_key", "batch_key", "digest", "document_type")
            }


def test_what_its_fields_do_not_show_of_a_result_is_no_change_of_them() -> None:
    decided = with_result(review_status="REJECTED", confidence=0.9, provider_data={"page": 2})

    assert mark(FIELDS, decided) == mark(FIELDS, FULL)
    assert mark(RESULTS, decided) != mark(RESULTS, FULL)


def test_links_are_no_fields_however_rows_are_to_look() -> None:
    for keep_urls in (True, False):
        assert [record["value"] for record in records(FIELDS, FULL, keep_urls)] == ["6", "https://example.com"]
