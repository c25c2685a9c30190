"""DocMap's list: pages, ties, days, runs, its switches, long histories."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from docextract_sandbox import NewExtraction, Sandbox
from docextract_sandbox.switches import EndlessMode
from unit_tests.sandbox.conftest import BearerClient

START = datetime(2026, 11, 20, 9, 0, tzinfo=timezone.utc)


@pytest.fixture
def sandbox(sandbox: Sandbox) -> Sandbox:
    for name in ("invoices", "notes"):
        sandbox.docmap.put_template(name.title(), (), name)
    return sandbox


def add_extractions(
    sandbox: Sandbox, *names: str, created_at: datetime = START, run_id: str | None = None, template: str = "invoices"
) -> None:
    new = [NewExtraction(f"{name}.pdf", 0, {}, extraction_id=name) for name in names]
    sandbox.docmap.add_extractions(template, new, run_id, created_at=created_at)


def list_ids(docmap: BearerClient, **query: str | int) -> tuple[list[str], bool]:
    response = docmap.get("extractions", **query).json()
    return [row["id"] for row in response["data"]], response["hasMore"]


def list_all_ids(docmap: BearerClient, limit: int, max_requests: int = 10) -> list[str]:
    """All ids that pages of `limit` rows bring, with as many requests as that takes."""
    ids, query = [], {"limit": limit}
    for _ in range(max_requests):
        response = docmap.get("extractions", **query).json()
        ids += [row["id"] for row in response["data"]]
        if not response["hasMore"]:
            break
        query["cursor"] = response["data"][-1]["createdAt"]
    return ids


def test_list_pages_are_consecutive_newest_first(sandbox: Sandbox, docmap: BearerClient) -> None:
    # given
    for number in range(120):
        add_extractions(sandbox, f"{number:03d}", created_at=START - timedelta(minutes=number))

    # when
    first, more = list_ids(docmap)
    whole, more_of_whole = list_ids(docmap, limit=100)
    exact, more_of_exact = list_ids(docmap, limit=20, cursor="2026-11-20T07:20:00.001Z")

    # then
    assert (first, more) == ([f"{number:03d}" for number in range(50)], True)
    assert (len(whole), more_of_whole) == (100, True)
    assert (exact, more_of_exact) == ([f"{number:03d}" for number in range(100, 120)], False)
    assert list_all_ids(docmap, 7, 20) == [f"{number:03d}" for number in range(120)]


def test_list_ties_at_page_boundary_are_skipped_or_repeated(sandbox: Sandbox, docmap: BearerClient) -> None:
    # given
    add_extractions(sandbox, "new", created_at=START)
    add_extractions(sandbox, "tie-1", "tie-2", "tie-3", created_at=START - timedelta(hours=1))
    add_extractions(sandbox, "old", created_at=START - timedelta(hours=2))

    # when
    whole = list_all_ids(docmap, 5)
    skipped = list_all_ids(docmap, 2)
    sandbox.switches = replace(sandbox.switches, docmap_cursor_inclusive=True)
    repeated = list_all_ids(docmap, 4)
    stuck = list_all_ids(docmap, 3)

    # then
    assert whole == ["new", "tie-3", "tie-2", "tie-1", "old"]
    assert skipped == ["new", "tie-3", "old"]
    assert repeated == ["new", "tie-3", "tie-2", "tie-1", "tie-3", "tie-2", "tie-1", "old"]
    assert stuck[:6] == ["new", "tie-3", "tie-2", "tie-3", "tie-2", "tie-1"]
    assert "old" not in stuck


def test_list_new_extraction_between_pages_shifts_no_rows(sandbox: Sandbox, docmap: BearerClient) -> None:
    # given
    for number in range(4):
        add_extractions(sandbox, str(number), created_at=START - timedelta(minutes=number))
    first = docmap.get("extractions", limit=2).json()["data"]

    # when
    add_extractions(sandbox, "late", created_at=START + timedelta(minutes=1))

    # then
    assert [row["id"] for row in first] == ["0", "1"]
    assert list_ids(docmap, limit=2, cursor=first[-1]["createdAt"]) == (["2", "3"], False)


def test_list_filters_by_template_and_days(sandbox: Sandbox, docmap: BearerClient) -> None:
    # given
    for name, day, hour in (("a", 17, 23), ("b", 18, 0), ("c", 18, 23), ("d", 19, 0)):
        created = datetime(2026, 11, day, hour, 59 if hour else 0, 59 if hour else 0, tzinfo=timezone.utc)
        add_extractions(sandbox, name, created_at=created, template="notes" if name == "c" else "invoices")

    # when / then
    assert list_ids(docmap, templateId="notes") == (["c"], False)
    assert list_ids(docmap, templateId="unknown") == ([], False)
    assert list_ids(docmap, dateFrom="2026-11-18", dateTo="2026-11-18") == (["c", "b"], False)
    assert list_ids(docmap, dateFrom="2026-11-18") == (["d", "c", "b"], False)
    assert list_ids(docmap, dateTo="2026-11-18", limit=2) == (["c", "b"], True)
    assert list_ids(docmap, dateTo="2026-11-18", limit=2, cursor="2026-11-18T00:00:00.000Z") == (["a"], False)
    assert list_ids(docmap, dateFrom="2026-11-19", dateTo="2026-11-18") == ([], False)
    assert list_ids(docmap, templateId="invoices", dateFrom="2026-11-18", limit=1) == (["d"], True)


def test_list_run_is_returned_unpaged(sandbox: Sandbox, docmap: BearerClient) -> None:
    # given
    for number in range(130):
        template = "notes" if number % 10 == 0 else "invoices"
        add_extractions(
            sandbox, f"{number:03d}", created_at=START - timedelta(days=number), run_id="run", template=template
        )
    add_extractions(sandbox, "other", run_id="other")

    # when / then
    everything = ([f"{number:03d}" for number in range(130)], False)
    assert list_ids(docmap, runId="run") == everything
    assert list_ids(docmap, runId="run", limit=2, cursor="2026-11-01T00:00:00.000Z") == everything
    assert list_ids(docmap, runId="run", templateId="notes") == (
        [f"{number:03d}" for number in range(0, 130, 10)],
        False,
    )
    assert list_ids(docmap, runId="run", dateFrom="2026-11-19") == (["000", "001"], False)
    assert list_ids(docmap, runId="unknown") == ([], False)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"limit": 101}, "limit must be a whole number from 1 to 100"),
        ({"limit": 0}, "limit must be a whole number from 1 to 100"),
        ({"limit": "ten"}, "limit must be a whole number from 1 to 100"),
        ({"cursor": "extract_1"}, "cursor must be the createdAt of an extraction"),
        ({"dateFrom": "18/11/2026"}, "dateFrom must be a day such as 2026-03-09"),
        ({"dateTo": "2026-11-31"}, "dateTo must be a day such as 2026-03-09"),
    ],
)
def test_list_invalid_query_returns_400_with_message(
    docmap: BearerClient, query: dict[str, str | int], message: str
) -> None:
    # when
    response = docmap.get("extractions", **query)

    # then
    assert response.status_code == 400
    assert response.json() == {"error": {"code": "VALIDATION_ERROR", "message": message}}


def test_list_nested_switch_wraps_rows_in_an_object(sandbox: Sandbox, docmap: BearerClient) -> None:
    # given
    add_extractions(sandbox, "a", "b")
    plain = docmap.get("extractions", limit=1).json()

    # when
    sandbox.switches = replace(sandbox.switches, docmap_nested_list=True)

    # then
    assert plain["hasMore"] is True
    assert docmap.get("extractions", limit=1).json() == {"data": {"extractions": plain["data"], "hasMore": True}}


def test_list_unknown_key_and_status_switches_change_rows(sandbox: Sandbox, docmap: BearerClient) -> None:
    # given
    sandbox.docmap.add_extractions("invoices", [NewExtraction("a.pdf", 60), NewExtraction("b.pdf", 0, {"total": {}})])
    extra = {"undocumented": {"note": "added by the sandbox"}}
    plain = docmap.get("extractions").json()["data"]

    # when
    sandbox.switches = replace(sandbox.switches, unknown_keys=True, unknown_status="queued")
    response = docmap.get("extractions").json()

    # then
    assert response.items() >= extra.items()
    statuses = {"processing": "queued", "completed": "completed"}
    assert response["data"] == [{**row, "status": statuses[row["status"]], **extra} for row in plain]


def test_journal_records_query_and_requested_extraction(sandbox: Sandbox, docmap: BearerClient) -> None:
    # when
    docmap.get("extractions", limit=2)
    docmap.get("extractions/unknown")
    docmap.get("usage")
    entries = sandbox.journal.entries

    # then
    assert [(entry.endpoint, entry.status) for entry in entries] == [
        ("docmap.extractions", 200),
        ("docmap.extraction", 404),
        ("docmap.usage", 200),
    ]
    assert (entries[0].query, entries[0].path_params) == ({"limit": "2"}, {})
    assert entries[1].path_params == {"id": "unknown"}


def test_add_history_long_history_is_listed_from_both_ends(sandbox: Sandbox, docmap: BearerClient) -> None:
    # given
    start = datetime(2024, 1, 1, tzinfo=timezone.utc)
    add_extractions(sandbox, "before", created_at=start - timedelta(seconds=1))

    # when
    ids = sandbox.docmap.add_history("notes", 20_005, start, 60, 10)
    newest = docmap.get("extractions", limit=7).json()
    oldest = docmap.get("extractions", dateTo="2024-01-01", cursor="2024-01-01T00:03:00.000Z").json()

    # then
    assert len(set(ids)) == 20_005
    assert [row["id"] for row in newest["data"]] == ids[:-8:-1]
    assert newest["hasMore"] is True
    assert [row["id"] for row in oldest["data"]] == [ids[2], ids[1], ids[0], "before"]
    row = oldest["data"][2]
    assert (row["createdAt"], row["status"], row["templateId"]) == ("2024-01-01T00:00:00.000Z", "completed", "notes")
    assert row["extractedData"]["reference"] == "R-0000000"
    assert docmap.get(f"extractions/{ids[0]}").json()["data"] == row
    assert list_ids(docmap, runId=row["runId"]) == (ids[9::-1], False)
    last = docmap.get(f"extractions/{ids[-1]}").json()["data"]
    assert list_ids(docmap, runId=last["runId"]) == (ids[:-6:-1], False)
    assert list_ids(docmap, templateId="invoices") == (["before"], False)


def test_add_history_extractions_are_editable_deletable_and_without_runs(
    sandbox: Sandbox, docmap: BearerClient
) -> None:
    # given
    ids = sandbox.docmap.add_history("notes", 3, START - timedelta(days=1), 0)

    # when
    sandbox.docmap.edit(ids[0], {"edited": True})
    sandbox.docmap.delete(ids[1])
    rows = {row["id"]: row for row in docmap.get("extractions").json()["data"]}

    # then
    assert set(rows) == {ids[0], ids[2]}
    assert rows[ids[0]]["extractedData"] == {"edited": True}
    assert {row["runId"] for row in rows.values()} == {None}
    assert sandbox.docmap.finish() == 0


@pytest.mark.parametrize(
    ("zone", "first", "last"),
    [
        ("UTC", "2026-03-08T00:00", "2026-03-08T23:59"),
        ("Etc/GMT+8", "2026-03-08T08:00", "2026-03-09T07:59"),
        ("Pacific/Kiritimati", "2026-03-07T10:00", "2026-03-08T09:59"),
        ("America/New_York", "2026-03-08T05:00", "2026-03-09T03:59"),  # the day on which summer time begins
    ],
)
def test_list_date_filters_use_the_time_zone_of_the_switch(
    sandbox: Sandbox, docmap: BearerClient, zone: str, first: str, last: str
) -> None:
    # given
    sandbox.switches = replace(sandbox.switches, docmap_zone=zone)
    begin, end = (datetime.fromisoformat(day).replace(tzinfo=timezone.utc) for day in (first, last))
    minute = timedelta(minutes=1)
    for name, created_at in (("before", begin - minute), ("first", begin), ("last", end), ("after", end + minute)):
        add_extractions(sandbox, name, created_at=created_at)

    # when / then
    assert list_ids(docmap, dateFrom="2026-03-08", dateTo="2026-03-08") == (["last", "first"], False)


def test_list_rows_only_cursor_of_no_row_returns_no_rows(sandbox: Sandbox, docmap: BearerClient) -> None:
    # given
    for number in range(3):
        add_extractions(sandbox, str(number), created_at=START - timedelta(minutes=number))
    sandbox.switches = replace(sandbox.switches, docmap_cursor_rows_only=True)

    # when / then
    assert list_ids(docmap, cursor="2026-11-20T09:00:00.000Z") == (["1", "2"], False)
    assert list_ids(docmap, cursor="2026-11-20T09:00:00.001Z") == ([], False)


def test_list_scan_limit_gives_short_or_empty_pages_with_has_more(sandbox: Sandbox, docmap: BearerClient) -> None:
    # given
    for number in range(5):
        add_extractions(
            sandbox,
            str(number),
            created_at=START - timedelta(minutes=number),
            template=("notes", "invoices")[number > 2],
        )
    sandbox.switches = replace(sandbox.switches, docmap_scan=2)

    # when / then
    assert list_ids(docmap) == (["0", "1"], True)
    assert list_ids(docmap, templateId="invoices") == ([], True)
    assert list_ids(docmap, templateId="invoices", cursor="2026-11-20T08:59:00.000Z") == (["3"], True)
    assert list_ids(docmap, templateId="invoices", cursor="2026-11-20T08:58:00.000Z") == (["3", "4"], False)


@pytest.mark.parametrize("kind", ["empty", "rows", "circle"])
def test_list_endless_switch_always_has_more(sandbox: Sandbox, docmap: BearerClient, kind: EndlessMode) -> None:
    # given
    add_extractions(sandbox, "a", "b")
    add_extractions(sandbox, "c", template="notes")
    sandbox.switches = replace(sandbox.switches, docmap_endless=kind)

    # when
    first, more = list_ids(docmap, templateId="invoices", limit=2)
    then, more_then = list_ids(docmap, templateId="invoices", limit=2, cursor="2026-11-20T08:00:00.000Z")

    # then
    assert (more, more_then) == (True, True)
    assert (len(first), len(then)) == ((0, 0) if kind == "empty" else (2, 2))
    assert (first == then) is (kind != "rows")
    assert list_ids(docmap, templateId="notes") == (["c"], False)
