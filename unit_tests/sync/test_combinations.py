"""Combinations of promises: changed keys, lists, rejections and settings."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import pytest

from docextract_sandbox import TRANSIENT_4XX_FAULTS, Fault, NewExtraction, Sandbox, SensibleDocument
from unit_tests.support.harness import START, Connection, SyncResult, frozen_sandbox

INF = float("inf")
PARSED = {"n": {"value": 1, "type": "number"}}


def days_ago(days: float) -> datetime:
    return START - timedelta(days=days)


def set_switches(sandbox: Sandbox, **values: Any) -> None:
    sandbox.switches = replace(sandbox.switches, **values)


def new_document(name: str, seconds: float = 0, **more: Any) -> SensibleDocument:
    return SensibleDocument(name, seconds, PARSED, **more)


def add_sensible_document(
    sandbox: Sandbox, type_name: str, days: float, environment: str = "production", **more: Any
) -> str:
    files = [new_document(f"{type_name} {days}.pdf", **more)]
    [extraction_id] = sandbox.sensible.extract(files, type_name, environment=environment, created_at=days_ago(days))
    return extraction_id


def add_document(provider: str, sandbox: Sandbox, days: float) -> str:
    if provider == "sensible":
        return add_sensible_document(sandbox, "claims", days)
    [extraction_id] = sandbox.docmap.add_extractions(
        "notes", [NewExtraction(f"{days}.pdf", 0, {"n": 1})], created_at=days_ago(days)
    )
    return extraction_id


def connect(provider: str, sandbox: Sandbox, url: str, **settings: Any) -> Connection:
    sandbox.sensible.add_document_type("claims")
    sandbox.docmap.put_template("Notes", (), "notes")
    return Connection(sandbox, url, {provider: {}, **settings})


def assert_quiet(connection: Connection) -> SyncResult:
    synced = connection.sync()
    assert synced.counts == {}
    assert set(synced.final_statuses.values()) == {"COMPLETE"}
    assert not any(connection.repeated_ids.values())
    return synced


provider = pytest.mark.parametrize("provider", ["docmap", "sensible"])


class TestEmptyLists:
    @pytest.mark.parametrize("settings", [{}, {"start_date": days_ago(60).isoformat()}])
    @pytest.mark.parametrize("lookback", [0, 3])
    @pytest.mark.sample
    def test_lists_empty_under_wrong_account_key_are_read_after_correction(
        self, settings: dict[str, Any], lookback: int
    ) -> None:
        with frozen_sandbox() as (sandbox, url):
            types, environments = ("claims", "contracts", "taxes"), ("production", "development")
            for name in types:
                sandbox.sensible.add_document_type(name)
            ids = {
                add_sensible_document(sandbox, name, days, environment)
                for name, environment, days in product(types[:2], environments, (0.1, 2, 40))
            }
            section = {"document_types": list(types), "environments": ["PRODUCTION", "DEVELOPMENT"]}
            connection = Connection(sandbox, url, {"sensible": section, "lookback_days": lookback, **settings})
            set_switches(sandbox, other_account=True)
            for _ in range(2):
                assert connection.sync().counts == {}
                sandbox.clock.advance(days=2)
            set_switches(sandbox, other_account=False)
            connection.sync(stop_after=20)

            synced = connection.sync()

            assert set(synced.final_statuses.values()) == {"COMPLETE"}
            assert connection.warehouse["sensible_results"].keys() == ids
            quiet_sync = [assert_quiet(connection).requests["sensible.extractions"] for _ in range(2)]
            # One for each list that has shown something, and a few for the two of taxes, which never have.
            assert quiet_sync[0] == quiet_sync[1] <= 4 + 2 * (8 if settings else 2)
            late_document = add_sensible_document(sandbox, "taxes", 30)
            assert connection.sync().ids("sensible_results") == [late_document]
            assert_quiet(connection)

    @pytest.mark.parametrize("settings", [{}, {"start_date": days_ago(60).isoformat()}])
    def test_list_of_known_portfolios_is_not_reread_from_the_start(self, settings: dict[str, Any]) -> None:
        with frozen_sandbox() as (sandbox, url):
            for name in ("claims", "contracts"):
                sandbox.sensible.add_document_type(name)
            for days in (0.1, 2, 40):
                add_sensible_document(sandbox, "claims", days, portfolio=("claims", "contracts"))
            section = {"document_types": ["claims", "contracts"]}
            connection = Connection(sandbox, url, {"sensible": section, **settings})
            connection.sync()

            assert assert_quiet(connection).requests["sensible.extractions"] == 2

    @provider
    def test_empty_list_is_requested_at_most_twice_per_sync(self, provider: str) -> None:
        with frozen_sandbox() as (sandbox, url):
            connection = connect(provider, sandbox, url)
            for days in (0, 0, 9, 90):
                sandbox.clock.advance(days=days)
                assert assert_quiet(connection).requests[f"{provider}.extractions"] == 2
            first = add_document(provider, sandbox, -98)

            assert connection.sync().ids(f"{provider}_results") == [first]
            assert assert_quiet(connection).requests[f"{provider}.extractions"] == 1


class TestClocks:
    @provider
    @pytest.mark.parametrize("days", [2, 10, 400])
    @pytest.mark.sample
    def test_corrected_fast_clock_loses_no_later_documents(self, provider: str, days: int) -> None:
        with frozen_sandbox() as (sandbox, url):
            connection = connect(provider, sandbox, url)
            add_document(provider, sandbox, 20)
            add_document(provider, sandbox, 1)
            connection.clock_offset = timedelta(days=days)
            connection.sync()
            connection.clock_offset = timedelta()
            sandbox.clock.advance(seconds=3600)
            new = add_document(provider, sandbox, 0)

            assert new in connection.sync().ids(f"{provider}_results")
            assert connection.sync().counts == {}


class TestRefusals:
    @provider
    @pytest.mark.parametrize("name", TRANSIENT_4XX_FAULTS)
    @pytest.mark.parametrize("settings", [{}, {"start_date": days_ago(60).isoformat()}])
    @pytest.mark.parametrize("skip", [0, 3])
    @pytest.mark.sample
    def test_rejected_list_is_incomplete_and_read_in_the_next_sync(
        self, provider: str, name: str, settings: dict[str, Any], skip: int
    ) -> None:
        with frozen_sandbox() as (sandbox, url):
            connection = connect(provider, sandbox, url, **settings)
            ids = {add_document(provider, sandbox, days) for days in range(0, 50, 2)}
            connection.sync(stop_after=skip * 5 or 1)
            with sandbox.faults.apply_only(replace(TRANSIENT_4XX_FAULTS[name], endpoint=f"{provider}.extractions")):
                synced = connection.sync()
            assert set(synced.final_statuses.values()) == {"INCOMPLETE"}
            assert sum(synced.requests.values()) < 10

            recovery_sync = connection.sync()

            assert set(recovery_sync.final_statuses.values()) == {"COMPLETE"}
            assert connection.warehouse[f"{provider}_results"].keys() == ids
            assert_quiet(connection)


class TestMissing:
    @pytest.mark.parametrize(
        "steps", [("claims", ""), ("contracts", ""), ("contracts", "claims"), ("", "contracts", "")]
    )
    @pytest.mark.parametrize("days", [0, 2, 9])
    @pytest.mark.parametrize("lookback", [0, 3])
    @pytest.mark.sample
    def test_missing_document_under_narrower_settings_is_delivered_once(
        self, steps: tuple[str, ...], days: int, lookback: int
    ) -> None:
        with frozen_sandbox() as (sandbox, url):
            for name in ("claims", "contracts"):
                sandbox.sensible.add_document_type(name)
            ids = {add_sensible_document(sandbox, name, age) for name in ("claims", "contracts") for age in (0.2, 1, 6)}
            lost = sorted(ids)[:3]
            connection = Connection(
                sandbox, url, {"sensible": {}, "lookback_days": lookback, "give_up_after_days": 3650}
            )
            with sandbox.faults.apply_only(
                *(Fault("unknown id", "sensible.document", about=extraction_id) for extraction_id in lost)
            ):
                connection.sync()
                for step in steps:
                    connection.settings["sensible"]["document_types"] = [step] if step else []
                    sandbox.clock.advance(days=days)
                    connection.sync()
            connection.settings["sensible"]["document_types"] = []
            connection.sync(stop_after=9)
            connection.sync()
            sandbox.clock.advance(days=30)
            connection.sync()

            assert connection.warehouse["sensible_results"].keys() == ids
            assert_quiet(connection)

    @pytest.mark.sample
    @pytest.mark.parametrize("times", [1, 2, 3])
    @pytest.mark.parametrize("age", [0.1, 20])
    @pytest.mark.parametrize("is_explicit", [True, False])
    @pytest.mark.parametrize("stop", [None, 5, 11])
    def test_missing_batch_referenced_by_its_documents_is_delivered(
        self, times: int, age: float, is_explicit: bool, stop: int | None
    ) -> None:
        with frozen_sandbox() as (sandbox, url):
            sandbox.sensible.add_document_type("claims")
            batch = sandbox.sensible.add_batch(
                [new_document("a.pdf"), new_document("b.pdf")], "claims", created_at=days_ago(age)
            )
            ids = {sandbox.sensible.upload(batch, number, uploaded_at=days_ago(age)) for number in (0, 1)}
            connection = Connection(sandbox, url, {"sensible": {"batch_ids": [batch] if is_explicit else []}})
            with sandbox.faults.apply_only(Fault("unknown id", "sensible.batch", times=times)):
                connection.sync(stop_after=stop)
                connection.sync(stop_after=stop)
            sandbox.clock.advance(days=2)

            connection.sync()

            assert connection.warehouse["sensible_results"].keys() == ids
            row = connection.warehouse["sensible_batches"][batch]
            assert (row["status"], row["files_processed"]) == ("complete", 2)
            if is_explicit and age > 3:
                # A batch names ids alone, and the state no longer has their old documents, so these are repeated.
                connection.repeated_ids.clear()
            assert_quiet(connection)


class TestFailed:
    @provider
    @pytest.mark.parametrize("days", [0, 1, 9])
    @pytest.mark.parametrize("lookback", [0, 3])
    @pytest.mark.sample
    def test_failed_document_of_deselected_list_is_delivered_once(
        self, provider: str, days: int, lookback: int
    ) -> None:
        with frozen_sandbox() as (sandbox, url):
            connection = connect(provider, sandbox, url, lookback_days=lookback)
            sandbox.sensible.add_document_type("contracts")
            sandbox.docmap.put_template("Other", (), "other")
            bad, good = add_document(provider, sandbox, 0.2), add_document(provider, sandbox, 4)
            fault = Fault("nulls", "sensible.document", about=bad)
            if provider == "docmap":
                fault = Fault("status", "docmap.extraction*", status=501)
            with sandbox.faults.apply_only(fault):
                connection.sync()
                key, value = ("document_types", "contracts") if provider == "sensible" else ("template_ids", "other")
                connection.settings[provider][key] = [value]
                sandbox.clock.advance(days=days)
                connection.sync()
            connection.sync(stop_after=6)
            connection.sync()
            connection.settings[provider][key] = []
            connection.sync()

            assert connection.warehouse[f"{provider}_results"].keys() == {bad, good}
            assert_quiet(connection)


class TestWrongAccountKey:
    @provider
    @pytest.mark.parametrize("lookback", [0, 3])
    @pytest.mark.sample
    def test_wrong_account_key_in_a_single_sync_repeats_no_rows(self, provider: str, lookback: int) -> None:
        with frozen_sandbox() as (sandbox, url):
            connection = connect(provider, sandbox, url, lookback_days=lookback)
            ids = {add_document(provider, sandbox, days) for days in (0.1, 1, 2, 40)}
            connection.sync()
            set_switches(sandbox, other_account=True)
            connection.sync()
            set_switches(sandbox, other_account=False)

            assert_quiet(connection)
            assert connection.warehouse[f"{provider}_results"].keys() == ids

    @provider
    def test_documents_added_under_wrong_account_key_are_delivered(self, provider: str) -> None:
        with frozen_sandbox() as (sandbox, url):
            connection = connect(provider, sandbox, url)
            ids = {add_document(provider, sandbox, days) for days in (0.1, 1, 2, 40)}
            connection.sync()
            set_switches(sandbox, other_account=True)
            for day in range(10):
                sandbox.clock.advance(days=1)
                ids.add(add_document(provider, sandbox, -day - 0.5))
                connection.sync()
            set_switches(sandbox, other_account=False)

            connection.sync()

            assert connection.warehouse[f"{provider}_results"].keys() == ids
            assert_quiet(connection)
