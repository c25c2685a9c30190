"""Lists by creation time: time zones, sparse and endless pages, changed settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from docextract_sandbox import NewExtraction, NewFile, Sandbox, SensibleDocument
from source_docextract.providers import listing
from unit_tests.support.harness import START, Connection, SyncResult, frozen_sandbox, get_stream_part

INF = float("inf")
PARSED = {"n": {"value": 1, "type": "number"}}
ZONES = [
    "UTC",
    "Etc/GMT+8",
    "Pacific/Kiritimati",
    "Etc/GMT+12",
    "Asia/Kolkata",
    "America/New_York",
    "Australia/Lord_Howe",
]
"""UTC, UTC-8, UTC+14, UTC-12, UTC+5:30, and two with summer time, which begins or ends within the 40 days."""


def days_ago(days: float) -> datetime:
    return START - timedelta(days=days)


def add_docmap_history(sandbox: Sandbox, rows: int, days: int = 40) -> set[str]:
    template = sandbox.docmap.put_template("Invoices")
    return set(sandbox.docmap.add_history(template, rows, days_ago(days), days * 86_400 / rows))


class TestZones:
    """DocMap does not document the zone of `dateFrom` and `dateTo`."""

    @pytest.mark.sample
    @pytest.mark.parametrize("zone", ZONES)
    @pytest.mark.parametrize(("rows_only", "inclusive"), [(False, False), (True, True)])
    def test_any_zone_delivers_each_row_once(self, zone: str, rows_only: bool, inclusive: bool) -> None:
        variants = {"docmap_cursor_rows_only": rows_only, "docmap_cursor_inclusive": inclusive}
        with frozen_sandbox(docmap_zone=zone, **variants) as (sandbox, url):
            ids = add_docmap_history(sandbox, 480)
            connection = Connection(sandbox, url, {"docmap": {}})

            synced = connection.sync("docmap_results")

            assert set(synced.ids("docmap_results")) == ids
            assert len(synced.ids("docmap_results")) == 480
            assert connection.sync("docmap_results").counts == {}

    @pytest.mark.long
    @pytest.mark.parametrize("zone", ZONES)
    def test_busy_account_in_any_zone_needs_few_more_requests_than_utc(self, zone: str) -> None:
        with frozen_sandbox(docmap_zone=zone) as (sandbox, url):
            ids = add_docmap_history(sandbox, 12_000)
            connection = Connection(sandbox, url, {"docmap": {}})

            first = connection.sync("docmap_results")
            quiet_sync = connection.sync("docmap_results")
            sandbox.clock.advance(days=1)
            daily = connection.sync("docmap_results")

            assert sorted(first.ids("docmap_results")) == sorted(ids)
            # 153, 2 and 11 where days are taken for days of UTC and no more is asked for; a page holds 100.
            requests = [synced.requests["docmap.extractions"] for synced in (first, quiet_sync, daily)]
            assert [count <= most * 1.3 for count, most in zip(requests, (153, 2, 11), strict=True)] == [True] * 3

    @pytest.mark.sample(3)
    @pytest.mark.parametrize("zone", ZONES)
    def test_daily_syncs_in_any_zone_deliver_each_row_on_its_day(self, zone: str) -> None:
        with frozen_sandbox(docmap_zone=zone) as (sandbox, url):
            template = sandbox.docmap.put_template("Invoices")
            connection = Connection(sandbox, url, {"docmap": {}, "lookback_days": 0})
            for day in range(5):
                for hour in (0, 7, 14, 22):
                    created_at = sandbox.clock.now() - timedelta(hours=hour)
                    sandbox.docmap.add_extractions(
                        template, [NewExtraction(f"{day}-{hour}.pdf", 0, {"n": 1})], created_at=created_at
                    )
                synced = connection.sync("docmap_results")
                assert synced.counts == {"docmap_results": 4}
                sandbox.clock.advance(days=1)

    @pytest.mark.sample(3)
    @pytest.mark.parametrize("zone", ZONES)
    def test_oldest_row_in_any_zone_is_delivered(self, zone: str) -> None:
        for hour in (0, 9, 12, 23):
            with frozen_sandbox(docmap_zone=zone) as (sandbox, url):
                template = sandbox.docmap.put_template("Invoices")
                created_at = days_ago(33).replace(hour=hour)
                [oldest] = sandbox.docmap.add_extractions(
                    template, [NewExtraction("a.pdf", 0, {"n": 1})], created_at=created_at
                )

                assert Connection(sandbox, url, {"docmap": {}}).sync("docmap_files").ids("docmap_files") == [oldest]


def add_sensible_history(sandbox: Sandbox, others: int, rows: int = 50) -> set[str]:
    """Add documents of production, and newer ones of development."""
    sandbox.sensible.add_document_type("claims")
    for number in range(others):
        created_at = days_ago(1) + timedelta(seconds=number)
        sandbox.sensible.extract(
            [new_document(f"d{number}.pdf")], "claims", environment="development", created_at=created_at
        )
    ids: set[str] = set()
    for number in range(rows):
        created_at = days_ago(1.5 + number / 5)
        ids |= set(sandbox.sensible.extract([new_document(f"{number}.pdf")], "claims", created_at=created_at))
    return ids


def new_document(name: str, seconds: float = 0, **more: Any) -> SensibleDocument:
    return SensibleDocument(name, seconds, PARSED, **more)


class TestSparsePages:
    """A page may be short or empty, and announce a next one."""

    @pytest.mark.parametrize("scan", [500, 5])
    def test_sensible_empty_pages_lose_no_documents(self, scan: int) -> None:
        """Scan 5 rows a page, which gives more than a hundred empty pages in a row."""
        with frozen_sandbox(sensible_scan=scan) as (sandbox, url):
            ids = add_sensible_history(sandbox, 650)
            connection = Connection(sandbox, url, {"sensible": {}})

            synced = connection.sync("sensible_files")

            assert set(synced.final_statuses.values()) == {"COMPLETE"}
            assert set(synced.ids("sensible_files")) == ids
            assert connection.sync("sensible_files").counts == {}

    def test_sensible_typed_table_has_its_columns(self) -> None:
        with frozen_sandbox(sensible_scan=500) as (sandbox, url):
            add_sensible_history(sandbox, 650, 3)
            connection = Connection(sandbox, url, {"sensible": {}, "typed_tables": True})

            [table] = [
                configured_stream.stream
                for configured_stream in connection.catalog().streams
                if configured_stream.stream.name == "sensible_claims"
            ]

            assert "n" in table.json_schema["properties"]

    @pytest.mark.parametrize("is_explicit", [False, True])
    @pytest.mark.parametrize("scan", [2, 7])
    def test_docmap_short_and_empty_pages_lose_no_extractions(self, scan: int, is_explicit: bool) -> None:
        with frozen_sandbox(docmap_scan=scan) as (sandbox, url):
            first_template, second_template = (sandbox.docmap.put_template(name) for name in ("Invoices", "Notes"))
            ids = set(sandbox.docmap.add_history(first_template, 40, days_ago(20), 10_000))
            more = set(sandbox.docmap.add_history(second_template, 60, days_ago(10), 1_000))
            connection = Connection(sandbox, url, {"docmap": {"template_ids": [first_template]} if is_explicit else {}})

            synced = connection.sync("docmap_files")

            assert set(synced.final_statuses.values()) == {"COMPLETE"}
            assert set(synced.ids("docmap_files")) == (ids if is_explicit else ids | more)
            assert connection.sync("docmap_files").counts == {}

    @pytest.mark.parametrize("is_explicit", [False, True])
    def test_docmap_typed_tables_have_their_columns(self, is_explicit: bool) -> None:
        with frozen_sandbox(docmap_scan=4) as (sandbox, url):
            first_template, second_template = (
                sandbox.docmap.put_template(name, [{"name": "n", "type": "number", "description": ""}])
                for name in ("Invoices", "Notes")
            )
            sandbox.docmap.add_history(first_template, 6, days_ago(20), 10_000)
            sandbox.docmap.add_history(second_template, 30, days_ago(10), 1_000)
            settings = {
                "docmap": {"template_ids": [first_template, second_template]} if is_explicit else {},
                "typed_tables": True,
            }
            connection = Connection(sandbox, url, settings)

            tables = {
                first_template.stream.name: first_template.stream for first_template in connection.catalog().streams
            }

            for name in ("docmap_invoices", "docmap_notes"):
                assert "n" in tables[name].json_schema["properties"]


@contextmanager
def add_endless_list(provider: str, kind: str) -> Iterator[tuple[Sandbox, Connection]]:
    """Return a connection to two scopes, the first with an endless list.

    Another provider stands beside it.
    """
    switches: dict[str, Any] = {f"{provider}_endless": kind}
    with frozen_sandbox(**switches) as (sandbox, url):
        first_template, second_template = (sandbox.docmap.put_template(name) for name in ("Invoices", "Notes"))
        for template in (first_template, second_template):
            sandbox.docmap.add_extractions(template, [NewExtraction("a.pdf", 0, {"n": 1})], created_at=days_ago(2))
        for name in ("claims", "contracts"):
            sandbox.sensible.add_document_type(name)
            sandbox.sensible.extract([new_document("a.pdf")], name, created_at=days_ago(2))
        settings = {
            "docmap": {"template_ids": [first_template, second_template]},
            "sensible": {"document_types": ["claims", "contracts"]},
            "start_date": "2026-11-10T00:00:00Z",
        }
        yield sandbox, Connection(sandbox, url, settings)


class TestEndless:
    @pytest.mark.parametrize("kind", ["empty", "rows", "circle"])
    @pytest.mark.parametrize("provider", ["docmap", "sensible"])
    @pytest.mark.sample
    def test_endless_list_fails_with_a_message_and_others_are_complete(
        self, provider: str, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(listing, "MAX_PAGES", 20)
        with add_endless_list(provider, kind) as (sandbox, connection):
            synced = connection.sync("docmap_files", "sensible_files")

            second_template = {"docmap": "sensible", "sensible": "docmap"}[provider]
            assert synced.final_statuses == {f"{provider}_files": "INCOMPLETE", f"{second_template}_files": "COMPLETE"}
            assert synced.counts == {f"{provider}_files": 1, f"{second_template}_files": 2}
            assert synced.error is not None
            assert "list of extractions" in str(synced.error.message)
            assert sum(synced.requests.values()) < 100

            switches: dict[str, Any] = {f"{provider}_endless": "no"}
            sandbox.switches = replace(sandbox.switches, **switches)
            recovery_sync = connection.sync("docmap_files", "sensible_files")
            assert set(recovery_sync.final_statuses.values()) == {"COMPLETE"}
            assert recovery_sync.counts == {f"{provider}_files": 1}
            assert connection.sync("docmap_files", "sensible_files").counts == {}

    def test_day_with_more_equal_times_than_a_page_fails_alone(self) -> None:
        with frozen_sandbox() as (sandbox, url):
            template = sandbox.docmap.put_template("Invoices")
            tied = [NewExtraction(f"{number}.pdf", 0, {"n": number}) for number in range(250)]
            sandbox.docmap.add_extractions(template, tied, created_at=days_ago(20))
            others = sandbox.docmap.add_history(template, 100, days_ago(40), 30_000)
            connection = Connection(sandbox, url, {"docmap": {}})

            synced = connection.sync("docmap_files")
            second_sync = connection.sync("docmap_files")

            day = days_ago(20).date()
            ids_of_other_days = {
                extraction_id
                for extraction_id in others
                if sandbox.docmap.get_extraction(extraction_id).created_at.date() != day
            }
            assert set(synced.ids("docmap_files")) == ids_of_other_days
            assert set(synced.final_statuses.values()) == set(second_sync.final_statuses.values()) == {"INCOMPLETE"}
            assert second_sync.counts == {}
            assert second_sync.requests["docmap.extractions"] < 12


def docmap_account(sandbox: Sandbox) -> tuple[dict[str, Any], dict[str, str], Callable[[str], None]]:
    templates = {name: sandbox.docmap.put_template(name) for name in "ABC"}

    def add_extraction(name: str) -> None:
        for number in range(36):
            files = [NewExtraction(f"{name}{number}.pdf", INF if number == 0 else 0, {"n": number})]
            sandbox.docmap.add_extractions(
                templates[name], files, f"run {name}{number}", created_at=days_ago(number + 0.3)
            )

    return {"docmap": {}}, templates, add_extraction


def sensible_account(sandbox: Sandbox) -> tuple[dict[str, Any], dict[str, str], Callable[[str], None]]:
    for name in "ABC":
        sandbox.sensible.add_document_type(name)

    def add_document(name: str) -> None:
        for number in range(36):
            portfolio = ("A", "B") if number % 4 == 3 and name != "C" else None
            files = [new_document(f"{name}{number}.pdf", INF if number == 0 else 0, portfolio=portfolio)]
            batch = sandbox.sensible.add_batch(files, name, created_at=days_ago(number + 0.3))
            sandbox.sensible.upload(batch, 0, uploaded_at=days_ago(number + 0.3))

    return {"sensible": {}}, dict(zip("ABC", "ABC", strict=True)), add_document


ACCOUNTS = {"docmap": docmap_account, "sensible": sensible_account}
FILTERS = {"docmap": "template_ids", "sensible": "document_types"}


class ChangingConnection:
    """A connection whose settings change."""

    def __init__(self, provider: str, sandbox: Sandbox, url: str, **settings: Any) -> None:
        section, self.names, add = ACCOUNTS[provider](sandbox)
        for name in "ABC":
            add(name)
        self.provider = provider
        self.sandbox = sandbox
        self.url = url
        self.connection = Connection(sandbox, url, {**section, "give_up_after_days": 3650, **settings})

    def select_streams(self, names: str) -> None:
        chosen = {FILTERS[self.provider]: [self.names[name] for name in names]} if names else {}
        section = self.connection.settings[self.provider]
        section.pop(FILTERS[self.provider], None)
        section.update(chosen)

    def set_start_date(self, days: float | None) -> None:
        self.connection.settings.pop("start_date", None)
        if days is not None:
            self.connection.settings["start_date"] = days_ago(days).isoformat()

    def sync(self, *streams: str, stop_after: int | None = None) -> SyncResult:
        return self.connection.sync(*streams, stop_after=stop_after)

    def assert_complete(self) -> None:
        """Check that the warehouse equals that of a new connection, without repeats.

        A further sync must emit nothing.
        """
        fresh = Connection(self.sandbox, self.url, self.connection.settings)
        fresh.sync()
        for stream, rows in fresh.warehouse.items():
            assert rows.keys() <= self.connection.warehouse[stream].keys(), stream
        assert self.connection.sync().counts == {}
        repeated = {stream: keys for stream, keys in self.connection.repeated_ids.items() if keys}
        assert repeated == {}


@pytest.fixture(params=["docmap", "sensible"])
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class TestChangedSettings:
    @pytest.mark.parametrize("broken_off", [False, True])
    @pytest.mark.sample
    def test_earlier_start_date_delivers_only_the_added_range(self, provider: str, broken_off: bool) -> None:
        with frozen_sandbox() as served_sandbox:
            account = ChangingConnection(provider, *served_sandbox)
            account.set_start_date(10)
            first = account.sync()
            account.set_start_date(30)
            if broken_off:
                account.sync(stop_after=25)

            account.sync()

            assert first.counts[f"{provider}_files"] == 30
            assert len(account.connection.warehouse[f"{provider}_files"]) == 90
            account.assert_complete()
            account.set_start_date(None)
            assert account.sync().counts[f"{provider}_files"] == 18
            account.assert_complete()

    def test_start_date_moved_forward_and_back_repeats_no_rows(self, provider: str) -> None:
        with frozen_sandbox() as (sandbox, url):
            account = ChangingConnection(provider, sandbox, url)
            account.sync()
            sandbox.clock.advance(days=20)
            account.set_start_date(-18)
            account.sync()
            account.set_start_date(None)
            account.sync()
            account.assert_complete()

    @pytest.mark.parametrize(
        "steps", [("A", "AB"), ("A", ""), ("AB", "A", "AB"), ("", "B", ""), ("A", "B", "A", "C", "")]
    )
    @pytest.mark.parametrize("days", [0, 9])
    @pytest.mark.long
    def test_wider_filters_deliver_only_new_rows(self, provider: str, steps: tuple[str, ...], days: int) -> None:
        with frozen_sandbox() as (sandbox, url):
            account = ChangingConnection(provider, sandbox, url)
            for step in steps:
                account.select_streams(step)
                account.sync()
                sandbox.clock.advance(days=days)
            account.assert_complete()

    def test_wider_filters_after_interrupted_syncs_deliver_all_rows(self, provider: str) -> None:
        with frozen_sandbox() as served_sandbox:
            account = ChangingConnection(provider, *served_sandbox)
            account.select_streams("A")
            account.sync()
            account.select_streams("")
            for stop_after in (10, 40, 90):
                account.sync(stop_after=stop_after)
                account.select_streams("A")
                account.sync()
                account.select_streams("")
            account.sync()
            account.assert_complete()

    def test_narrower_filter_is_not_read_from_the_start(self, provider: str) -> None:
        with frozen_sandbox() as served_sandbox:
            account = ChangingConnection(provider, *served_sandbox)
            account.sync()
            account.select_streams("A")

            synced = account.sync()

            assert synced.counts == {}
            assert synced.requests[f"{provider}.extractions"] == 1

    def test_environments_added_and_removed_repeat_no_rows(self) -> None:
        with frozen_sandbox() as (sandbox, url):
            account = ChangingConnection("sensible", sandbox, url)
            for number in range(30):
                sandbox.sensible.extract(
                    [new_document(f"d{number}.pdf")], "A", environment="development", created_at=days_ago(number / 3)
                )
            for environments in (["PRODUCTION"], ["PRODUCTION", "DEVELOPMENT"], ["DEVELOPMENT"], ["PRODUCTION"]):
                account.connection.settings["sensible"]["environments"] = environments
                account.sync()
                sandbox.clock.advance(days=2)
            account.connection.settings["sensible"]["environments"] = ["PRODUCTION", "DEVELOPMENT"]
            account.sync()
            account.assert_complete()
            assert len(account.connection.warehouse["sensible_files"]) == 3 * 36 + 30

    def test_extracta_earlier_start_date_delivers_only_older_batches(self) -> None:
        with frozen_sandbox() as (sandbox, url):
            template = sandbox.extracta.create("Invoices", ["vendor"])
            for number in range(36):
                started = days_ago(number + 0.3)
                sandbox.extracta.upload(template, [NewFile(f"{number}.pdf", 0, {"vendor": "Acme"})], started_at=started)
            settings = {"extracta": {"extraction_ids": [template]}, "start_date": days_ago(10).isoformat()}
            connection = Connection(sandbox, url, settings)
            assert connection.sync("extracta_files").counts == {"extracta_files": 10}
            connection.settings["start_date"] = days_ago(30).isoformat()

            assert connection.sync("extracta_files").counts == {"extracta_files": 20}
            assert connection.sync("extracta_files").counts == {}

    def test_state_of_an_older_connector_is_continued(self, provider: str) -> None:
        with frozen_sandbox() as served_sandbox:
            account = ChangingConnection(provider, *served_sandbox)
            account.set_start_date(10)
            account.sync()
            for state in account.connection.state.values():
                document = get_stream_part(state).stream_state.__dict__
                for part in (document, document.get("reference_ledger", {})):
                    for key in ("read_ranges", "pruned_before", "inactive_scopes"):
                        part.pop(key, None)
            assert account.sync().counts == {}
            account.set_start_date(20)
            assert account.sync().counts[f"{provider}_files"] == 30
            account.assert_complete()
