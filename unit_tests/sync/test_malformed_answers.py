"""Whole syncs with unreadable entries, which are reported and retried."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from airbyte_cdk.models import AirbyteMessage

from docextract_sandbox import Fault, NewDocument, NewExtraction, NewFile, Sandbox, SensibleDocument
from source_docextract.sync.messages import make_record_lines, make_record_messages
from unit_tests.support.harness import Connection, SyncResult, frozen_sandbox, single
from unit_tests.support.payloads import JsonChange, spoiling_connection

BAD = (None, "text", [1])


def insert_item(key: str, item: Any) -> JsonChange:
    """Return a change that inserts an entry into a list of a response."""
    return lambda body: {**body, key: [*body[key][:1], item, *body[key][1:]]}


def replace_item(key: str, item_id: Callable[[Any], bool], item: Any) -> JsonChange:
    """Return a change that replaces an entry of a response."""
    return change_key(key, lambda entry: item if item_id(entry) else entry)


def change_key(key: str, change: JsonChange) -> JsonChange:
    return lambda body: {**body, key: list(map(change, body[key]))}


def fill_extracta(sandbox: Sandbox) -> dict[str, Any]:
    template = sandbox.extracta.create("Invoices", ["vendor"])
    sandbox.extracta.upload(template, [NewFile(f"{number}.pdf", 0, {"vendor": f"{number}"}) for number in range(3)])
    return {"extracta": {"extraction_ids": [template]}}


def fill_atlas(sandbox: Sandbox) -> dict[str, Any]:
    data = {"document_type": "PAN", "name": {"value": "ASHA", "confidence_score": 0.9}}
    return {"atlas": {"batch_ids": [sandbox.atlas.submit([NewDocument(f"{number}", 0, data) for number in range(60)])]}}


def fill_docmap(sandbox: Sandbox) -> dict[str, Any]:
    """Add three extractions a day in each of the last forty days."""
    template = sandbox.docmap.put_template("Invoices")
    for _ in range(40):
        for _ in range(3):
            sandbox.docmap.add_extractions(template, [NewExtraction("a.pdf", 0, {"n": 1})], "run 1")
            sandbox.clock.advance(seconds=60)
        sandbox.clock.advance(days=1, seconds=-180)
    return {"docmap": {}}


def fill_sensible(sandbox: Sandbox) -> dict[str, Any]:
    sandbox.sensible.add_document_type("claims")
    for _ in range(5):
        sandbox.sensible.extract([SensibleDocument(f"{number}.pdf", 0, {"n": None}) for number in range(2)], "claims")
        sandbox.clock.advance(days=9)
    batch = sandbox.sensible.add_batch(
        [SensibleDocument(f"b{number}.pdf", 0, {"n": None}) for number in range(3)], "claims"
    )
    for number in range(3):
        sandbox.sensible.upload(batch, number)
    return {"sensible": {}}


def count_rows(synced: SyncResult) -> dict[str, int]:
    """Count the rows of each kind, except the fields."""
    return {stream: count for stream, count in synced.counts.items() if not stream.endswith("_fields")}


def get_incomplete_streams(synced: SyncResult) -> set[str]:
    return {stream for stream, status in synced.final_statuses.items() if status == "INCOMPLETE"}


@pytest.mark.parametrize("bad", BAD, ids=repr)
def test_extracta_batch_malformed_file_delivers_the_other_files(bad: Any) -> None:
    with spoiling_connection(fill_extracta) as spoiler:
        spoiler.corrupt("getBatchResults", replace_item("files", lambda file: file["fileName"] == "1.pdf", bad))

        first, second = spoiler.connection.sync(), spoiler.connection.sync()

        assert count_rows(first) == {"extracta_batches": 1, "extracta_files": 2, "extracta_results": 2}
        assert get_incomplete_streams(first) == get_incomplete_streams(second) == set(spoiler.connection.streams)
        row = single(first.records["extracta_batches"])
        assert row["status"] == "open"
        assert row["error"].startswith("1 of the files of ")
        assert second.counts == {}
        assert first.error is not None
        assert row["error"] in str(first.error.message)

        spoiler.restore()
        third = spoiler.connection.sync()
        assert count_rows(third) == {"extracta_batches": 1, "extracta_files": 1, "extracta_results": 1}
        assert (get_incomplete_streams(third), single(third.records["extracta_batches"])["status"]) == (
            set(),
            "complete",
        )
        assert spoiler.connection.sync().counts == {}


@pytest.mark.parametrize("page", ["page=1", "page=2"])
def test_atlas_batch_malformed_document_delivers_the_other_documents(page: str) -> None:
    with spoiling_connection(fill_atlas) as spoiler:
        spoiler.corrupt(page, replace_item("data", lambda document: document["document_id"] in {"7", "57"}, None))

        first = spoiler.connection.sync()

        assert count_rows(first) == {"atlas_batches": 1, "atlas_files": 59, "atlas_results": 59}
        assert get_incomplete_streams(first) == set(spoiler.connection.streams)
        spoiler.restore()
        assert count_rows(spoiler.connection.sync()) == {"atlas_batches": 1, "atlas_files": 1, "atlas_results": 1}
        assert spoiler.connection.sync().counts == {}


LISTS: dict[str, tuple[Callable[[Sandbox], dict[str, Any]], str, str]] = {
    "docmap": (fill_docmap, "data", "createdAt"),
    "sensible": (fill_sensible, "extractions", "created"),
}
"""What fills the account, where its list has its rows, and they their time."""


@pytest.mark.sample
@pytest.mark.parametrize("bad", [None, 7, {}, {"id": None}], ids=repr)
@pytest.mark.parametrize("product", LISTS)
def test_listing_malformed_row_delivers_the_others_and_is_read_later(product: str, bad: Any) -> None:
    fill, key, _ = LISTS[product]
    with spoiling_connection(fill) as spoiler:
        ids = getattr(spoiler.sandbox, product).extraction_ids
        spoiler.corrupt("/extractions?", replace_item(key, lambda row: row["id"] == ids[0], bad))

        first, second_sync = spoiler.connection.sync(), spoiler.connection.sync()

        files = spoiler.connection.warehouse[f"{product}_files"]
        assert files.keys() == set(ids[1:])
        assert f"{product}_files" in get_incomplete_streams(first)
        assert f"{product}_files" in get_incomplete_streams(second_sync)
        assert f"{product}_files" not in second_sync.counts
        assert first.error is not None
        assert "cannot be read; the others are delivered." in str(first.error.message)

        spoiler.sandbox.clock.advance(days=20)
        spoiler.restore()
        recovery_sync = spoiler.connection.sync()
        assert recovery_sync.ids(f"{product}_files") == ids[:1]
        assert get_incomplete_streams(recovery_sync) == set()
        assert not spoiler.connection.repeated_ids[f"{product}_files"]
        assert spoiler.connection.sync().counts == {}


@pytest.mark.sample
@pytest.mark.parametrize("product", LISTS)
@pytest.mark.parametrize("raw_time", [None, "soon", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", 1e300])
def test_listing_row_with_unreadable_time_is_delivered_once(product: str, raw_time: Any) -> None:
    fill, key, created = LISTS[product]
    with spoiling_connection(fill) as spoiler:
        ids = getattr(spoiler.sandbox, product).extraction_ids
        bad_id = ids[len(ids) // 2]
        changes = {created: raw_time}
        spoiler.corrupt("/extractions?", change_key(key, lambda row: row | changes if row["id"] == bad_id else row))

        first, second = spoiler.connection.sync(), spoiler.connection.sync()

        assert set(first.final_statuses.values()) == {"COMPLETE"}
        assert set(first.ids(f"{product}_files")) == set(ids)
        assert second.counts == {}
        spoiler.sandbox.clock.advance(days=1)
        assert spoiler.connection.sync().counts == {}


@pytest.mark.parametrize("bad", [None, "", 0, True, [], [1], {"id": "e1"}], ids=repr)
def test_batch_with_a_member_without_id_is_reported_and_stays_open(bad: Any) -> None:
    with spoiling_connection(fill_sensible) as spoiler:
        spoiler.corrupt("/extract/batch/", insert_item("extraction_ids", bad))

        first = spoiler.connection.sync()

        assert get_incomplete_streams(first) >= {"sensible_batches"}
        row = single(first.records["sensible_batches"])
        assert (row["status"], row["files_total"]) == ("open", 3)
        assert row["error"].startswith("1 of the extraction_ids of ")
        assert len(spoiler.connection.warehouse["sensible_files"]) == 13


LENIENT_JSON_WRITERS: dict[str, Callable[[Any], bytes]] = {
    "a lone surrogate": lambda body: json.dumps(body).replace("Acme", r"Ac\ud83d").encode(),
    "NaN": lambda body: json.dumps(body).replace('"Acme"', "NaN").encode(),
    "a number of many digits": lambda body: json.dumps(body).replace('"Acme"', str(2**70)).encode(),
    "a byte order mark": lambda body: b"\xef\xbb\xbf" + json.dumps(body).encode(),
    "UTF-16": lambda body: json.dumps(body).encode("utf-16"),
    "line ends": lambda body: json.dumps(body).encode().replace(b"Acme", b"A\n\r\xe2\x80\xa8me"),
    "the same key twice": lambda body: json.dumps(body).encode().replace(b'{"', b'{"status":"x","', 1),
}
EXPECTED_VALUES = {
    "a lone surrogate": "Ac\ufffd",
    "NaN": "NaN",
    "a number of many digits": "1180591620717411303424",
    "line ends": "A\n\r\u2028me",
}


def fill_acme(sandbox: Sandbox) -> dict[str, Any]:
    template = sandbox.extracta.create("Invoices", ["vendor"])
    sandbox.extracta.upload(template, [NewFile("a.pdf", 0, {"vendor": "Acme"})])
    return {"extracta": {"extraction_ids": [template]}}


def test_response_invalid_utf8_fails_its_batch_until_fixed() -> None:
    with spoiling_connection(fill_acme) as spoiler:
        spoiler.write = lambda body: json.dumps(body).encode().replace(b"Acme", b"Acm\xe9")
        spoiler.corrupt("", lambda body: body)

        synced = spoiler.connection.sync()

        assert set(synced.final_statuses.values()) == {"INCOMPLETE"}
        assert "is not utf-8). Nothing of this response is delivered" in str(synced.error)
        assert "extracta_results" not in synced.records
        spoiler.restore()
        assert single(spoiler.connection.sync().records["extracta_results"])["data"] == {"vendor": "Acme"}


@pytest.mark.parametrize("id_", ["secret" * 1_400, "b" * 100_000])
def test_error_message_failing_batch_with_a_long_id_omits_the_id(id_: str) -> None:
    with frozen_sandbox() as (sandbox, url):
        template = sandbox.extracta.create("Invoices", ["vendor"])
        sandbox.extracta.upload(template, [NewFile("a.pdf", 0, {"vendor": "Acme"})], id_)
        connection = Connection(sandbox, url, {"extracta": {"extraction_ids": [template]}})
        body = {"error": "password=s3cr3t " * 50_000}
        with sandbox.faults.apply_only(Fault("status", "extracta.getBatchResults", status=500, body=body)):
            synced = connection.sync()

        assert set(synced.final_statuses.values()) == {"INCOMPLETE"}
        assert "reports a server error (500: password=****" in str(synced.error)
        assert id_ not in str(synced.error)
        assert set(connection.sync().final_statuses.values()) == {"COMPLETE"}


@pytest.mark.parametrize("writer_name", LENIENT_JSON_WRITERS)
def test_response_lenient_json_is_parsed_as_intended(writer_name: str) -> None:
    with spoiling_connection(fill_acme) as spoiler:
        spoiler.write = LENIENT_JSON_WRITERS[writer_name]
        spoiler.corrupt("", lambda body: body)

        synced = spoiler.connection.sync()

        assert set(synced.final_statuses.values()) == {"COMPLETE"}
        assert single(synced.records["extracta_results"])["data"] == {
            "vendor": EXPECTED_VALUES.get(writer_name, "Acme")
        }
        assert spoiler.connection.sync().counts == {}


def print_records(stream: str, rows: Iterable[dict[str, Any]], emitted_at: int) -> Iterator[AirbyteMessage]:
    """Make messages of single records, as the command line prints them."""
    for row in rows:
        list(make_record_lines(stream, [row], emitted_at))
        yield from make_record_messages(stream, [row], emitted_at)


@pytest.mark.sample
@pytest.mark.parametrize("depth", [200, 250, 251, 252, 253, 254, 260, 700, 1_000, 5_000])
@pytest.mark.parametrize("other_rows", [b'"result": {', b'"files": [{'])
def test_response_deeply_nested_value_is_a_row_or_an_error(depth: int, other_rows: bytes) -> None:
    deep = b'"deep": ' + b"[" * depth + b"]" * depth + b", "
    with spoiling_connection(fill_extracta) as spoiler:
        spoiler.corrupt("getBatchResults", lambda body: body)
        spoiler.write = lambda body: json.dumps(body).encode().replace(other_rows, other_rows + deep, 1)
        spoiler.connection.source.make_messages = print_records

        synced = spoiler.connection.sync()

        is_read = "COMPLETE" in synced.final_statuses.values()
        assert set(synced.final_statuses.values()) == {"COMPLETE" if is_read else "INCOMPLETE"}
        assert depth in {252, 253} or is_read == (depth < 252)
        assert synced.counts.get("extracta_results", 0) == (3 if is_read else 0)
        assert is_read or "nested too deeply" in str(synced.error) or "is not JSON" in str(synced.error)
        spoiler.restore()
        assert set(spoiler.connection.sync().final_statuses.values()) == {"COMPLETE"}
        assert len(spoiler.connection.warehouse["extracta_results"]) == 3


def test_state_document_time_of_year_1_stays_valid() -> None:
    """Read the year 1, which some providers send for a missing time."""
    with spoiling_connection(fill_sensible) as spoiler:
        spoiler.corrupt("/documents/", lambda body: {**body, "completed": "0001-01-01T00:00:00Z"})

        assert set(spoiler.connection.sync().final_statuses.values()) == {"COMPLETE"}
        assert spoiler.connection.sync().counts == {}
