"""Batches of many pages: delivered page by page, with states in between, whatever ends the reading."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from docextract_sandbox import Fault, NewDocument, Sandbox
from source_docextract.providers.atlas import provider, reading
from unit_tests.support.harness import Connection, SyncResult, frozen_sandbox, single

PER_PAGE, PAGES = 3, 5
DOCUMENTS = PER_PAGE * PAGES - 2
STREAMS = ("atlas_batches", "atlas_files", "atlas_results", "atlas_fields")
ALL_ROWS = {"atlas_batches": 1, **dict.fromkeys(STREAMS[1:], DOCUMENTS)}


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a page have three documents, so that each position of a sync can be tried."""
    monkeypatch.setattr(provider, "PER_PAGE", PER_PAGE)
    monkeypatch.setattr(reading, "PER_PAGE", PER_PAGE)


@pytest.fixture
def connection() -> Iterator[Connection]:
    with frozen_sandbox() as (sandbox, url):
        yield Connection(sandbox, url, {"atlas": {"batch_ids": [submit(sandbox)]}})


def make_document(number: int | str, name: str = "ASHA", seconds: float = 0) -> NewDocument:
    data = {"document_type": "PAN", "name": {"value": name, "confidence_score": 0.9}}
    return NewDocument(f"{number}", seconds, data)


def submit(sandbox: Sandbox, count: int = DOCUMENTS) -> str:
    return sandbox.atlas.submit([make_document(number) for number in range(count)])


def get_batch_id(connection: Connection) -> str:
    batch_id: str = connection.settings["atlas"]["batch_ids"][0]
    return batch_id


def list_kinds(synced: SyncResult) -> str:
    """Return the records of batches and files and the states of files, in order, one letter each."""
    letters = []
    for message in synced.messages:
        if message.record and message.record.stream in STREAMS[:2]:
            letters.append(message.record.stream.split("_")[1][0])
        elif message.state and message.state.stream:
            letters += "S" if message.state.stream.stream_descriptor.name == "atlas_files" else ""
    return "".join(letters)


def assert_complete(connection: Connection) -> None:
    """Check that the warehouse has every row, that none came twice, and that nothing is left to deliver."""
    assert {stream: len(rows) for stream, rows in connection.warehouse.items()} == ALL_ROWS
    assert single(list(connection.warehouse["atlas_batches"].values()))["files_total"] == DOCUMENTS
    assert {stream: ids for stream, ids in connection.repeated_ids.items() if ids} == {}
    assert connection.sync().counts == {}


def test_large_batch_has_states_between_pages_and_its_row_last(connection: Connection) -> None:
    synced = connection.sync()

    assert list_kinds(synced) == "fffS" * 4 + "fS" + "bSS"  # after the batch row, and at the end of the sync
    assert synced.counts == ALL_ROWS
    assert synced.requests == {"atlas.authtoken": 1, "atlas.extracts": PAGES}
    row = single(synced.records["atlas_batches"])
    assert (row["status"], row["files_total"], row["files_processed"]) == ("complete", DOCUMENTS, DOCUMENTS)
    assert_complete(connection)


def test_large_batch_state_after_interruption_remembers_the_open_reading(connection: Connection) -> None:
    connection.sync(stop_after=30)

    [entries] = connection.get_state_json("atlas_files")["open"][""].values()
    entry = entries[get_batch_id(connection)]
    assert entry["was_read"] is False
    assert len(entry["rows"]) % (6 * PER_PAGE) == 0
    assert "settled" not in connection.get_state_json("atlas_files")


def test_large_batch_interrupted_after_any_message_loses_and_repeats_nothing(connection: Connection) -> None:
    message_count = len(connection.sync().messages)
    for stop_after in range(1, message_count):
        other = Connection(connection.sandbox, connection.url, connection.settings)
        other.sync(stop_after=stop_after)

        resumed = other.sync()

        assert set(resumed.final_statuses.values()) == {"COMPLETE"}, stop_after
        assert_complete(other)
    assert message_count > 50


@pytest.mark.parametrize("message_count", [2, 9, 14, 23])
def test_large_batch_killed_process_loses_and_repeats_nothing(message_count: int) -> None:
    with frozen_sandbox() as (sandbox, url):
        # A process has pages of the real size, and counts lines of 50 records.
        batch_id = submit(sandbox, 230)
        connection = Connection(sandbox, url, {"atlas": {"batch_ids": [batch_id]}})
        connection.sync_and_kill(message_count=message_count * 30)

        connection.sync()

        assert len(connection.warehouse["atlas_results"]) == 230
        assert {stream: ids for stream, ids in connection.repeated_ids.items() if ids} == {}
        assert connection.sync().counts == {}


def test_large_batch_interrupted_twice_loses_and_repeats_nothing(connection: Connection) -> None:
    for first in range(3, 45, 6):
        for second in range(3, 30, 5):
            other = Connection(connection.sandbox, connection.url, connection.settings)
            other.sync(stop_after=first)
            other.sync(stop_after=second)

            other.sync()

            assert_complete(other)


def test_documents_set_back_after_an_interrupted_second_reading_are_delivered_again(connection: Connection) -> None:
    sandbox, changed_ids = connection.sandbox, ("0", f"{PER_PAGE}")
    seen_change_counts: set[tuple[int, bool]] = set()
    for stop_after in range(1, 40):
        batch_id = submit(sandbox)
        other = Connection(sandbox, connection.url, {"atlas": {"batch_ids": [batch_id]}})
        other.sync()
        rows_before = get_entry(other)["rows"]
        sandbox.clock.advance(days=1)
        for document_id in changed_ids:
            set_name(sandbox, batch_id, document_id, "EDITED")
        other.sync(stop_after=stop_after)
        entry = get_entry(other)
        is_whole = entry["rows"] != rows_before
        covered_ids = changed_ids if is_whole else changed_ids[: len(entry.get("changed_rows", "")) // 12]
        seen_change_counts.add((len(covered_ids), is_whole))

        for document_id in changed_ids:
            set_name(sandbox, batch_id, document_id, "ASHA")
        sandbox.clock.advance(days=2)
        resumed = other.sync()

        assert resumed.ids("atlas_results") == [f"{batch_id}/{document_id}" for document_id in covered_ids], stop_after
        assert other.sync().counts == {}
        assert "changed_rows" not in str(other.get_state_json("atlas_results"))
    assert seen_change_counts == {(0, False), (1, False), (2, False), (2, True)}


def set_name(sandbox: Sandbox, batch_id: str, document_id: str, name: str) -> None:
    sandbox.atlas.edit(batch_id, document_id, make_document(document_id, name).file_data or {})


def get_entry(connection: Connection) -> dict[str, Any]:
    """Return what the state of the results remembers of the batch."""
    [entries] = connection.get_state_json("atlas_results")["settled"][""].values()
    entry: dict[str, Any] = entries[get_batch_id(connection)]
    return entry


@pytest.mark.parametrize("page", [2, 3, 5])
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"kind": "status", "status": 402, "body": {"error": "no"}}, id="rejected"),
        pytest.param({"kind": "status", "status": 503}, id="outage"),
        pytest.param({"kind": "unknown id"}, id="unknown"),
        pytest.param({"kind": "status", "status": 200, "body": {"data": 5}}, id="unreadable"),
        pytest.param(
            {"kind": "status", "status": 200, "body": {"data": [], "has_next": True, "total_items": DOCUMENTS}},
            id="empty",
        ),
        pytest.param({"kind": "status", "status": 200, "body": {"data": [], "page": 1}}, id="other page"),
    ],
)
def test_page_that_fails_keeps_delivered_pages_and_the_batch_due(
    connection: Connection, page: int, fault: dict[str, Any]
) -> None:
    with connection.sandbox.faults.apply_only(Fault(**fault, endpoint="atlas.extracts", about=f'"page":"{page}"')):
        failed = connection.sync()

    assert set(failed.final_statuses.values()) == {"INCOMPLETE"}
    assert failed.counts == dict.fromkeys(STREAMS[1:], PER_PAGE * (page - 1))
    assert "settled" not in connection.get_state_json("atlas_batches")
    second = connection.sync()
    assert set(second.final_statuses.values()) == {"COMPLETE"}
    pages = {entry.query["page"] for entry in connection.sandbox.journal.entries if "page" in entry.query}
    assert pages == {f"{number + 1}" for number in range(PAGES)}
    assert second.counts["atlas_files"] == DOCUMENTS - PER_PAGE * (page - 1)
    assert_complete(connection)


def test_page_that_repeats_an_earlier_one_fails_the_batch(connection: Connection) -> None:
    rows = [{"document_id": f"{number}", "file_data": {"document_type": "PAN"}} for number in range(PER_PAGE)]
    body = {"data": rows, "page": 4, "has_next": True, "total_pages": PAGES, "total_items": DOCUMENTS}
    with connection.sandbox.faults.apply_only(
        Fault("status", "atlas.extracts", about='"page":"4"', status=200, body=body)
    ):
        failed = connection.sync()

    assert set(failed.final_statuses.values()) == {"INCOMPLETE"}
    assert "page 4 contains no new document" in str(failed.error)
    assert failed.counts["atlas_files"] == 3 * PER_PAGE
    connection.sync()
    assert_complete(connection)


def test_page_whose_rows_have_shifted_leaves_the_batch_open_without_repeats(connection: Connection) -> None:
    # The batch grew by one while it was read, so page 2 begins with the last document of page 1.
    rows = [
        {"document_id": f"{number}", "file_data": make_document(number, "LATER").file_data} for number in range(2, 5)
    ]
    body = {"data": rows, "page": 2, "has_next": True, "total_pages": PAGES, "total_items": DOCUMENTS + 1}
    with connection.sandbox.faults.apply_only(
        Fault("status", "atlas.extracts", about='"page":"2"', status=200, body=body)
    ):
        shifted = connection.sync()

    assert set(shifted.final_statuses.values()) == {"COMPLETE"}
    row = single(shifted.records["atlas_batches"])
    assert (row["status"], row["files_total"]) == ("open", DOCUMENTS - 1)
    assert len(shifted.ids("atlas_files")) == len(set(shifted.ids("atlas_files"))) == DOCUMENTS - 1
    second = connection.sync()
    # The document that had moved out of sight, and the two that the spoilt page had changed.
    assert second.counts == {"atlas_batches": 1, "atlas_files": 1, "atlas_results": 3, "atlas_fields": 3}
    assert_complete(connection)


def test_stream_that_is_added_later_gets_all_pages_and_others_nothing(connection: Connection) -> None:
    connection.sync("atlas_files")

    synced = connection.sync()

    assert synced.counts == {stream: count for stream, count in ALL_ROWS.items() if stream != "atlas_files"}
    assert_complete(connection)


@pytest.mark.parametrize("stop_after", range(4, 40, 5))
def test_stream_that_is_added_after_an_interruption_gets_all_pages(connection: Connection, stop_after: int) -> None:
    connection.sync("atlas_files", "atlas_batches", stop_after=stop_after)
    connection.sync("atlas_results", stop_after=stop_after // 2)

    connection.sync()

    assert_complete(connection)


def test_large_batch_read_again_unchanged_emits_nothing(connection: Connection) -> None:
    connection.sync()
    connection.sandbox.clock.advance(days=1)

    again = connection.sync()

    assert again.requests["atlas.extracts"] == PAGES
    assert again.counts == {}
    assert again.states == list(again.statuses)


def test_large_batch_that_grows_delivers_only_the_new_documents(connection: Connection) -> None:
    connection.sync()
    connection.sandbox.atlas.add_documents(get_batch_id(connection), [make_document(f"late {n}") for n in range(4)])
    connection.sandbox.clock.advance(days=1)

    grown = connection.sync()

    assert grown.counts == {"atlas_batches": 1, "atlas_files": 4, "atlas_results": 4, "atlas_fields": 4}
    assert single(grown.records["atlas_batches"])["files_total"] == DOCUMENTS + 4
    assert connection.sync().counts == {}


@pytest.mark.parametrize("remaining", [1, PER_PAGE, PER_PAGE + 1])
def test_large_batch_that_shrinks_delivers_only_its_own_row(connection: Connection, remaining: int) -> None:
    connection.sync()
    del connection.sandbox.atlas._find_batch(get_batch_id(connection)).documents[remaining:]
    connection.sandbox.clock.advance(days=1)

    shrunk = connection.sync()

    assert shrunk.counts == {"atlas_batches": 1}
    assert single(shrunk.records["atlas_batches"])["files_total"] == remaining
    assert connection.sync().counts == {}


@pytest.mark.parametrize("stop_after", range(2, 18, 2))
def test_edits_that_were_interrupted_are_all_delivered_after_the_lookback(
    connection: Connection, stop_after: int
) -> None:
    batch_id = get_batch_id(connection)
    connection.sync()
    for number in (1, 7, 12):
        connection.sandbox.atlas.edit(batch_id, f"{number}", make_document(number, "EDITED").file_data or {})
    connection.sandbox.clock.advance(days=2, seconds=20 * 3600)
    broken = connection.sync(stop_after=stop_after)

    # If the state has some of the edits, the rest of them are due even after the lookback.
    connection.sandbox.clock.advance(days=9 if "atlas_results" in broken.states else 0)
    connection.sync()

    values = [row["data"]["name"]["value"] for row in connection.warehouse["atlas_results"].values()]
    assert values.count("EDITED") == 3
    assert_complete(connection)


def test_expected_files_count_the_documents_of_all_pages(connection: Connection, tmp_path: Any) -> None:
    registry = tmp_path / "batches.csv"
    registry.write_text(f"provider,batch_id,expected_files\natlas,{get_batch_id(connection)},{DOCUMENTS + 1}\n")
    connection.settings["batch_registry"] = {"url": str(registry)}

    row = single(connection.sync().records["atlas_batches"])

    assert (row["status"], row["files_total"], row["files_pending"]) == ("open", DOCUMENTS + 1, 1)


def test_several_large_batches_request_each_page_once(connection: Connection) -> None:
    batch_ids = [submit(connection.sandbox) for _ in range(6)]
    connection.settings["atlas"]["batch_ids"] = batch_ids

    synced = connection.sync()

    assert synced.counts == {stream: count * 6 for stream, count in ALL_ROWS.items()}
    assert synced.requests == {"atlas.authtoken": 1, "atlas.extracts": 6 * PAGES}


def test_failed_large_batch_does_not_hold_back_the_others(connection: Connection) -> None:
    batch_ids = [submit(connection.sandbox) for _ in range(4)]
    connection.settings["atlas"]["batch_ids"] = batch_ids
    fault = Fault("status", "atlas.extracts", about=batch_ids[1], status=402, body={"error": "no"})
    with connection.sandbox.faults.apply_only(fault):
        synced = connection.sync()

    assert set(synced.final_statuses.values()) == {"INCOMPLETE"}
    assert {row["batch_id"] for row in synced.records["atlas_batches"]} == {*batch_ids} - {batch_ids[1]}
