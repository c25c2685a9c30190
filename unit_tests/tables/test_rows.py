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

from source_docextract.core.model import Document, Extraction, FileStatus, PartitionRef, PartitionStatus, Snapshot
from source_docextract.core.timestamps import format_rfc3339
from source_docextract.tables.rows import BATCHES, FIELDS, FILES, RESULTS, TABLES, RenderOptions, Row, RowGroup, Table
from unit_tests.support.cases import each_case

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

REF = PartitionRef(
    "t/1", "b#1", created_at=NOW, template_name="Invoices", provider_status="listed", provider_data={"origin": "api"}
)
FULL_EXTRACTION = Extraction(
    data={"total": "6", "site": "https://example.com", "scan": "https://x/1?sig=1"},
    hashable_data={"total": "6", "site": "https://example.com"},
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
    extractions=(FULL_EXTRACTION,),
)
MINIMAL_DOCUMENT = Document("g", FileStatus.PENDING)
FULL = Snapshot(
    REF,
    PartitionStatus.COMPLETE,
    documents=(FILE,),
    provider_status="success",
    description="May",
    error="e",
    completed_at=NOW,
    provider_data={"more": {"a": 1, "b": 2}, "report": "https://x/4?sig=1"},
)
SNAPSHOTS = {
    "full": FULL,
    "waiting": Snapshot(PartitionRef("t", "b", files_total=4), PartitionStatus.OPEN),
    "bare": Snapshot(PartitionRef(None, "b"), PartitionStatus.OPEN, documents=(MINIMAL_DOCUMENT,)),
    "nothing known": Snapshot(
        PartitionRef(None, "b"),
        PartitionStatus.OPEN,
        documents=(MINIMAL_DOCUMENT._replace(extractions=(Extraction({}, {}),)),),
    ),
}


def make_rows(
    table: Table, snapshot: Snapshot, keep_urls: bool = True, product: str = "extracta"
) -> list[Row | RowGroup]:
    return list(table.build_rows(snapshot, RenderOptions(product, keep_urls)))


def make_records(table: Table, snapshot: Snapshot, keep_urls: bool = True, product: str = "extracta") -> list[Any]:
    return [record for each in make_rows(table, snapshot, keep_urls, product) for record in each.records]


def make_row(table: Table, snapshot: Snapshot = FULL, keep_urls: bool = True) -> dict[str, Any]:
    [only] = make_records(table, snapshot, keep_urls)
    return dict(only)


def get_row_hash(table: Table, snapshot: Snapshot) -> str:
    [only] = make_rows(table, snapshot)
    return only.row_hash


def change_file(**changes: Any) -> Snapshot:
    return replace(FULL, documents=(FILE._replace(**changes),))


def change_result(**changes: Any) -> Snapshot:
    return change_file(extractions=(FULL_EXTRACTION._replace(**changes),))


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.kind)
def test_table_columns_match_contract_for_every_product(table: Table, product: str) -> None:
    stream = table.build_stream(product)
    assert stream.name == f"{product}_{table.kind}"
    assert list(stream.json_schema["properties"]) == list(table.columns) == COLUMNS[table.kind].split()
    assert stream.source_defined_primary_key == [["id"]]
    assert stream.default_cursor_field == ["observed_at"]
    assert stream.source_defined_cursor
    assert stream.is_resumable
    assert stream.json_schema == table.build_stream("extracta").json_schema
    jsonschema.Draft7Validator.check_schema(stream.json_schema)


@each_case("table", TABLES, ids=lambda table: table.kind)
def test_table_schema_has_timestamps_with_zone_and_descriptions(table: Table) -> None:
    properties = table.build_stream("atlas").json_schema["properties"]
    for name, schema in properties.items():
        assert schema["description"].endswith((".", *(status.value for status in (*PartitionStatus, *FileStatus))))
        assert (schema.get("airbyte_type") == "timestamp_with_timezone") == name.endswith("_at")
        assert (schema.get("format") == "date-time") == name.endswith("_at")


@pytest.mark.parametrize("keep_urls", [True, False])
@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("snapshot_name", SNAPSHOTS)
@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.kind)
def test_row_of_any_snapshot_has_exact_columns_and_fits_schema(
    table: Table, snapshot_name: str, product: str, keep_urls: bool
) -> None:
    schema = table.build_stream(product).json_schema
    for each in make_records(table, SNAPSHOTS[snapshot_name], keep_urls, product):
        record = {**each, "observed_at": format_rfc3339(NOW)}
        assert set(record) == set(schema["properties"])
        assert record["provider"] == product
        jsonschema.validate(record, schema)


def test_row_of_full_snapshot_fills_its_columns() -> None:
    batch, file, result = (make_row(table) for table in (BATCHES, FILES, RESULTS))
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
    assert result["data"] == FULL_EXTRACTION.data
    assert result["provider_data"] == {**FILE.provider_data, "page": 1}


def test_row_id_of_batch_without_template_is_batch_id() -> None:
    assert make_row(BATCHES, SNAPSHOTS["bare"])["id"] == "b"
    assert make_row(FILES, SNAPSHOTS["bare"])["id"] == "b/g"


def test_result_rows_of_several_documents_in_file_are_numbered_from_0() -> None:
    snapshot = change_file(
        extractions=(
            FULL_EXTRACTION,
            FULL_EXTRACTION._replace(document_index=1),
            FULL_EXTRACTION._replace(document_index=2),
        )
    )
    assert [(each["id"], each["document_index"]) for each in make_records(RESULTS, snapshot)] == [
        ("t%2F1/b%231/f%2F1", 0),
        ("t%2F1/b%231/f%2F1#1", 1),
        ("t%2F1/b%231/f%2F1#2", 2),
    ]


def test_batch_row_counts_files_by_status() -> None:
    statuses = [FileStatus.PROCESSED] * 3 + [FileStatus.FAILED] * 2 + [FileStatus.PENDING]
    documents = tuple(Document(str(number), status) for number, status in enumerate(statuses))
    counts = ("files_total", "files_processed", "files_failed", "files_pending")
    for file_documents, expected in ((documents, [6, 3, 2, 1]), ((), [0, 0, 0, 0]), (None, [4, None, None, None])):
        snapshot = replace(SNAPSHOTS["waiting"], documents=file_documents)
        assert [make_row(BATCHES, snapshot)[name] for name in counts] == expected


def test_batch_row_while_open_has_provider_status_of_list() -> None:
    assert make_row(BATCHES, Snapshot(REF, PartitionStatus.OPEN))["provider_status"] == "listed"


def test_file_result_and_field_rows_require_documents() -> None:
    provided_kinds = {
        table.kind: (table.is_reported(SNAPSHOTS["waiting"]), table.is_reported(SNAPSHOTS["bare"])) for table in TABLES
    }
    of_documents = (False, True)
    assert provided_kinds == {
        "batches": (True, True),
        "files": of_documents,
        "results": of_documents,
        "fields": of_documents,
    }
    assert (
        make_rows(FILES, SNAPSHOTS["waiting"])
        == make_rows(RESULTS, SNAPSHOTS["bare"])
        == make_rows(FIELDS, SNAPSHOTS["bare"])
        == []
    )


URL_ONLY_CHANGES = {
    "a new link of the batch": replace(FULL, provider_data={**FULL.provider_data, "report": "https://x/4?sig=2"}),
    "no link of the batch": replace(FULL, provider_data={"more": {"a": 1, "b": 2}}),
    "another order": replace(FULL, provider_data={"report": "http://x/5?sig=7", "more": {"b": 2, "a": 1}}),
    "a new url": change_file(url="https://files.example.com/a.pdf?sig=2"),
    "no url": change_file(url=None),
    "new links of the file": change_file(
        provider_data={"extraction": {"preview": "http://x/9?sig=2", "batchId": "x"}, "scans": ["https://x/8?sig=2"]}
    ),
    "new links in the data": change_result(data={**FULL_EXTRACTION.data, "scan": "https://x/1?sig=2"}),
    "another order of the data": change_result(hashable_data=dict(reversed([*FULL_EXTRACTION.hashable_data.items()]))),
}


@each_case("change", URL_ONLY_CHANGES)
@each_case("table", TABLES, ids=lambda table: table.kind)
def test_row_hash_with_new_urls_or_key_order_is_unchanged(table: Table, change: str) -> None:
    assert get_row_hash(table, URL_ONLY_CHANGES[change]) == get_row_hash(table, FULL)


TEXT_STRATEGY = st.text(max_size=8)
NUMBERS = st.integers(0, 2**53)
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(timezone.utc))
EXTRAS = st.dictionaries(TEXT_STRATEGY, NUMBERS | TEXT_STRATEGY.map("w".__add__) | st.none(), min_size=1)
BATCH = {
    "description": TEXT_STRATEGY,
    "error": TEXT_STRATEGY,
    "provider_status": TEXT_STRATEGY.filter(bool),
    "status": st.sampled_from(PartitionStatus),
    "completed_at": TIMES,
    "provider_data": EXTRAS,
}
REF_STRATEGIES = {
    "template_id": TEXT_STRATEGY,
    "template_name": TEXT_STRATEGY,
    "batch_id": TEXT_STRATEGY,
    "created_at": TIMES,
}
FILE_STRATEGIES = dict.fromkeys(
    ("key", "file_id", "file_name", "provider_status", "error", "document_type"), TEXT_STRATEGY
) | {
    "status": st.sampled_from(FileStatus),
    "page_count": NUMBERS,
    "processing_ms": NUMBERS,
    "created_at": TIMES,
    "completed_at": TIMES,
    "provider_data": EXTRAS,
}
RESULT_STRATEGIES = {
    "hashable_data": EXTRAS,
    "document_index": st.integers(1, 99),
    "document_type": TEXT_STRATEGY,
    "confidence": st.floats(0, 1),
    "review_status": TEXT_STRATEGY,
    "created_at": TIMES,
    "completed_at": TIMES,
    "provider_data": EXTRAS,
}
FIELDS_STRATEGIES = {name: RESULT_STRATEGIES[name] for name in ("hashable_data", "document_index", "document_type")}
CONTENT: list[tuple[Table, str, Callable[..., Snapshot], Any, Any]] = [
    *((BATCHES, name, partial(replace, FULL), FULL, values) for name, values in BATCH.items()),
    *((FILES, name, change_file, FILE, values) for name, values in FILE_STRATEGIES.items()),
    *((RESULTS, name, change_result, FULL_EXTRACTION, values) for name, values in RESULT_STRATEGIES.items()),
    *((FIELDS, name, change_result, FULL_EXTRACTION, values) for name, values in FIELDS_STRATEGIES.items()),
    (FIELDS, "key", change_file, FILE, TEXT_STRATEGY),
    *(
        (table, name, lambda **changes: replace(FULL, ref=replace(REF, **changes)), REF, values)
        for table in TABLES
        for name, values in REF_STRATEGIES.items()
        if table is BATCHES or name != "created_at"
        if table is not FIELDS or name != "template_name"
    ),
]


@each_case(
    ("table", "name", "changed", "initial_value", "values"),
    [pytest.param(*case, id=f"{case[0].kind}-{case[1]}") for case in CONTENT],
)
def test_row_hash_with_any_other_change_differs(
    table: Table, name: str, changed: Callable[..., Snapshot], initial_value: Any, values: st.SearchStrategy[Any]
) -> None:
    old = getattr(initial_value, name)

    @settings(deadline=None, max_examples=30)
    @given(values)
    def changes_row_hash(value: Any) -> None:
        comparable, comparable_before = (
            format_rfc3339(each) if isinstance(each, datetime) else each for each in (value, old)
        )
        if comparable != comparable_before:
            assert get_row_hash(table, changed(**{name: value})) != get_row_hash(table, FULL)

    changes_row_hash()


@each_case("table", TABLES, ids=lambda table: table.kind)
def test_row_hash_is_short_and_ascii(table: Table) -> None:
    assert len(get_row_hash(table, FULL)) == 6
    assert get_row_hash(table, FULL).isascii()


def test_rows_without_keep_urls_omit_urls_and_keep_row_hashes() -> None:
    batch, file, result = (make_row(table, keep_urls=False) for table in (BATCHES, FILES, RESULTS))
    assert batch["provider_data"] == {"origin": "api", "more": {"a": 1, "b": 2}}
    assert file["url"] is None
    assert file["provider_data"] == {"extraction": {"batchId": "x"}, "scans": []}
    assert result["provider_data"] == {"extraction": {"batchId": "x"}, "scans": [], "page": 1}
    assert result["data"] == {"total": "6", "site": "https://example.com"}
    assert [each.row_hash for table in TABLES for each in make_rows(table, FULL, keep_urls=False)] == [
        get_row_hash(table, FULL) for table in TABLES
    ]


def test_digest_is_hash_of_sorted_data_without_urls() -> None:
    stable = Extraction(data={"x": "https://x"}, hashable_data={"b": [1, {"d": None, "c": "é"}], "a": 0.5})
    content = '{"a":0.5,"b":[1,{"c":"é","d":null}]}'.encode()
    assert stable.digest == blake2b(content, digest_size=16).hexdigest()
    assert make_row(RESULTS)["digest"] == FULL_EXTRACTION.digest
    assert len(stable.digest) == 32


def test_field_rows_of_result_share_row_hash_and_refer_to_result() -> None:
    snapshot = change_file(extractions=(FULL_EXTRACTION, FULL_EXTRACTION._replace(document_index=1)))

    first, second = make_rows(FIELDS, snapshot)

    assert first.row_hash != second.row_hash
    for each, result in zip((first, second), make_records(RESULTS, snapshot), strict=True):
        field_records = list(each.records)
        assert [record["id"] for record in field_records] == [f"{result['id']}#/total", f"{result['id']}#/site"]
        for record in field_records:
            assert record["result_key"] == result["id"]
            assert {name: record[name] for name in ("file_key", "batch_key", "digest", "document_type")} == {
                name: result[name] for name in ("file_key", "batch_key", "digest", "document_type")
            }


def test_field_rows_after_change_of_result_only_keep_row_hash() -> None:
    decided = change_result(review_status="REJECTED", confidence=0.9, provider_data={"page": 2})

    assert get_row_hash(FIELDS, decided) == get_row_hash(FIELDS, FULL)
    assert get_row_hash(RESULTS, decided) != get_row_hash(RESULTS, FULL)


def test_field_rows_with_any_keep_urls_omit_urls() -> None:
    for keep_urls in (True, False):
        assert [record["value"] for record in make_records(FIELDS, FULL, keep_urls)] == ["6", "https://example.com"]
