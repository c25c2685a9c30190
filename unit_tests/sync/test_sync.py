"""The rules for every provider: statuses, states, isolation, missing batches."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from airbyte_cdk.models import FailureType

from docextract_sandbox import DocumentType, NewDocument, NewFile, Sandbox
from source_docextract import SourceDocextract
from source_docextract.http.rate_limit import RetryPolicy
from unit_tests.support.harness import Connection, frozen_sandbox, get_stream_part, single

ServedSandbox = tuple[Sandbox, str]

INF = float("inf")


def new_file(name: str, seconds: float = 0) -> NewFile:
    return NewFile(name, duration_seconds=seconds, result={"vendor": name})


@pytest.fixture
def two_products(served_sandbox: ServedSandbox) -> Connection:
    """Return a connection to three batches of Extracta and two of Atlas, all finished."""
    sandbox, url = served_sandbox
    template = sandbox.extracta.create("Invoices", ["vendor"])
    for number in range(3):
        sandbox.extracta.upload(template, [new_file(f"{number}a.pdf"), new_file(f"{number}b.pdf")])
    data = {"document_type": "PAN", "pan_number": {"value": "ABCDE1234F", "confidence_score": 0.9}}
    batches = [sandbox.atlas.submit([NewDocument("1", duration_seconds=0, file_data=data)]) for _ in range(2)]
    return Connection(sandbox, url, {"extracta": {"extraction_ids": [template]}, "atlas": {"batch_ids": batches}})


def test_sync_emits_each_status_of_a_stream_once(two_products: Connection) -> None:
    assert set(map(tuple, two_products.sync().statuses.values())) == {("STARTED", "RUNNING", "COMPLETE")}
    assert set(map(tuple, two_products.sync().statuses.values())) == {("STARTED", "COMPLETE")}


def test_states_follow_their_records_and_are_single_in_a_quiet_sync(two_products: Connection) -> None:
    first = two_products.sync()
    request: set[str] = set()
    for message in first.messages:
        if message.record:
            request.add(message.record.stream)
        if message.state:
            stream = get_stream_part(message.state).stream_descriptor.name
            if "settled" in get_stream_part(message.state).stream_state.__dict__:
                assert stream in request
    assert sorted(two_products.sync().states) == sorted(two_products.streams)


@pytest.mark.parametrize("selected", [1, 2, 3, 4, 8])
def test_fetch_feeds_all_selected_streams(two_products: Connection, selected: int) -> None:
    requests = two_products.sync(*two_products.streams[:selected]).requests

    assert requests["extracta.viewExtraction"] == 1
    assert requests["extracta.getBatchResults"] == 3
    assert requests.get("atlas.extracts", 0) == (2 if selected == 8 else 0)


def test_stream_added_later_is_backfilled_alone(two_products: Connection) -> None:
    two_products.sync("extracta_files", "atlas_files")
    two_products.sandbox.clock.advance(days=30)
    two_products.sync("extracta_files", "atlas_files")

    synced = two_products.sync()

    kinds = ("batches", "results", "fields")
    assert set(synced.counts) == {f"{provider}_{kind}" for provider in ("extracta", "atlas") for kind in kinds}
    assert synced.counts["extracta_results"] == synced.counts["extracta_fields"] == 6
    assert two_products.sync().counts == {}


def test_stream_selected_again_continues_from_its_state(two_products: Connection) -> None:
    two_products.sync()
    two_products.sandbox.clock.advance(days=30)
    two_products.sync("extracta_files")

    assert two_products.sync().counts == {}


def test_full_refresh_ignores_the_state_and_emits_each_row_once(two_products: Connection) -> None:
    first = two_products.sync()

    second_sync = two_products.sync(full_refresh=True, sync_id=7)

    assert second_sync.counts == first.counts
    assert set(second_sync.final_statuses.values()) == {"COMPLETE"}


def test_full_refresh_interrupted_resumes_only_in_the_same_sync(two_products: Connection) -> None:
    full_sync = two_products.sync(full_refresh=True, sync_id=1)
    stop_after = next(number for number, message in enumerate(full_sync.messages, 1) if message.state)
    two_products.state.clear()
    two_products.sync(full_refresh=True, sync_id=2, stop_after=stop_after + 5)

    resumed = two_products.sync(full_refresh=True, sync_id=2)
    assert sum(resumed.counts.values()) < sum(full_sync.counts.values())
    assert two_products.sync(full_refresh=True, sync_id=3).counts == full_sync.counts


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.long)])
def test_sync_resumed_repeats_only_rows_after_the_last_state(two_products: Connection, step: int) -> None:
    full_sync = two_products.sync()
    for stop_after in range(1, len(full_sync.messages), step):
        connection = Connection(two_products.sandbox, two_products.url, two_products.settings)
        broken = connection.sync(stop_after=stop_after)
        late_ids: dict[str, set[str]] = {}
        for message in broken.messages:
            if message.record:
                late_ids.setdefault(message.record.stream, set()).add(message.record.data["id"])
            if message.state:
                late_ids.pop(get_stream_part(message.state).stream_descriptor.name, None)

        resumed = connection.sync()

        for stream in connection.streams:
            twice = set(broken.ids(stream)) & set(resumed.ids(stream))
            assert twice <= late_ids.get(stream, set())
            assert set(connection.warehouse[stream]) == set(full_sync.ids(stream))
        assert connection.sync().counts == {}


class TestFailures:
    def test_wrong_key_is_a_config_error_and_others_are_complete(self, two_products: Connection) -> None:
        two_products.settings["extracta"]["api_key"] = "this-key-is-wrong"

        synced = two_products.sync()

        assert {stream: status for stream, status in synced.final_statuses.items() if status == "COMPLETE"}.keys() == {
            stream for stream in two_products.streams if stream.startswith("atlas")
        }
        assert synced.error is not None
        assert synced.error.failure_type is FailureType.config_error
        assert "extracta.api_key" in str(synced.error.message)
        assert "this-key-is-wrong" not in str(synced.messages)
        assert synced.requests["extracta.viewExtraction"] == 1

    def test_provider_down_is_transient_and_others_are_complete(self, two_products: Connection) -> None:
        two_products.settings["extracta"]["base_url"] = "http://127.0.0.1:9"

        synced = two_products.sync()

        assert synced.final_statuses["atlas_results"] == "COMPLETE"
        assert synced.final_statuses["extracta_results"] == "INCOMPLETE"
        assert synced.error is not None
        assert synced.error.failure_type is FailureType.transient_error
        two_products.settings["extracta"]["base_url"] = two_products.sandbox.get_base_urls(two_products.url)["extracta"]
        assert two_products.sync().counts["extracta_results"] == 6

    def test_wrong_client_secret_is_reported_after_a_single_login(self, two_products: Connection) -> None:
        two_products.settings["atlas"]["client_secret"] = "this-secret-is-wrong"

        synced = two_products.sync()

        assert synced.final_statuses["atlas_files"] == "INCOMPLETE"
        assert synced.final_statuses["extracta_files"] == "COMPLETE"
        assert synced.error is not None
        assert "atlas.client_id and atlas.client_secret" in str(synced.error.message)
        assert synced.requests["atlas.authtoken"] == 1

    def test_unknown_template_is_reported_and_others_are_synced(self, two_products: Connection) -> None:
        two_products.settings["extracta"]["extraction_ids"].insert(0, "-Onobody")

        synced = two_products.sync()

        assert synced.counts["extracta_results"] == 6
        assert synced.final_statuses["extracta_results"] == "INCOMPLETE"
        assert synced.final_statuses["atlas_results"] == "COMPLETE"
        assert synced.error is not None
        assert "-Onobody" in str(synced.error.message)
        assert synced.error.failure_type is FailureType.config_error

    def test_stream_absent_from_the_settings_is_incomplete(self, two_products: Connection) -> None:
        catalog = two_products.catalog()
        del two_products.settings["atlas"]

        synced = two_products.sync(catalog=catalog)

        assert synced.final_statuses == {
            stream.stream.name: "INCOMPLETE" if stream.stream.name.startswith("atlas") else "COMPLETE"
            for stream in catalog.streams
        }
        assert synced.error is not None
        assert "atlas_batches" in str(synced.error.message)

    @pytest.mark.parametrize("state", [{"version": 99}, {"version": 1, "open": ["edited"]}, {"open": {}}])
    def test_unreadable_state_is_rejected_with_a_message(self, two_products: Connection, state: dict[str, Any]) -> None:
        two_products.sync()
        blob = get_stream_part(two_products.state["atlas_files"]).stream_state.__dict__
        blob.clear()
        blob.update(state)

        synced = two_products.sync()

        assert synced.error is not None
        assert synced.error.failure_type is FailureType.config_error
        assert "The state of atlas_files" in str(synced.error.message)
        assert set(synced.final_statuses.values()) == {"INCOMPLETE"}
        assert synced.requests == {}

    def test_invalid_settings_end_every_stream_as_incomplete(self, two_products: Connection) -> None:
        catalog = two_products.catalog()
        two_products.settings["lookback_days"] = -1

        synced = two_products.sync(catalog=catalog)

        assert set(map(tuple, synced.statuses.values())) == {("STARTED", "INCOMPLETE")}
        assert synced.error is not None
        assert synced.error.message == "lookback_days must be at least 0."


class TestMissing:
    def test_explicit_batch_unknown_to_the_provider_is_missing(self, two_products: Connection) -> None:
        template = two_products.settings["extracta"]["extraction_ids"][0]
        two_products.settings["extracta"]["extraction_batches"] = [f"{template}/nobody"]

        synced = two_products.sync()

        rows = {row["batch_id"]: row for row in synced.records["extracta_batches"]}
        assert rows["nobody"]["status"] == "missing"
        assert set(synced.final_statuses.values()) == {"COMPLETE"}

    def test_open_batch_absent_from_its_list_is_missing(self, served_sandbox: ServedSandbox) -> None:
        sandbox, url = served_sandbox
        template = sandbox.extracta.create("Invoices", ["vendor"])
        batch = sandbox.extracta.upload(template, [new_file("a.pdf", INF)])
        connection = Connection(sandbox, url, {"extracta": {"extraction_ids": [template]}})
        connection.sync()

        sandbox.extracta.delete(template, batch)
        synced = connection.sync()

        assert single(synced.records["extracta_batches"])["status"] == "missing"
        assert synced.requests == {"extracta.viewExtraction": 1}
        assert connection.sync().counts == {}
        assert "open" not in connection.get_state_json("extracta_files")

    def test_settled_batch_after_deletion_keeps_its_rows(self, served_sandbox: ServedSandbox) -> None:
        sandbox, url = served_sandbox
        template = sandbox.extracta.create("Invoices", ["vendor"])
        batch = sandbox.extracta.upload(template, [new_file("a.pdf")])
        settings = {"extraction_batches": [f"{template}/{batch}"]}
        connection = Connection(sandbox, url, {"extracta": settings})
        connection.sync()

        sandbox.extracta.delete(template, batch)

        assert connection.sync().counts == {}
        assert single(list(connection.warehouse["extracta_batches"].values()))["status"] == "complete"

    def test_classification_batch_of_a_known_template_is_missing(self, served_sandbox: ServedSandbox) -> None:
        sandbox, url = served_sandbox
        classification = sandbox.classification.create("Mail", [DocumentType("invoice")])
        settings = {"classification_batches": [f"{classification}/nobody"]}
        connection = Connection(sandbox, url, {"extracta": settings})

        synced = connection.sync()

        assert single(synced.records["extracta_classification_batches"])["status"] == "missing"
        assert synced.requests["extracta.viewClassification"] == 1
        assert set(synced.final_statuses.values()) == {"COMPLETE"}

    def test_classification_batch_of_an_unknown_template_is_incomplete(self, served_sandbox: ServedSandbox) -> None:
        connection = Connection(*served_sandbox, {"extracta": {"classification_batches": ["nobody/nothing"]}})

        synced = connection.sync()

        assert set(synced.final_statuses.values()) == {"INCOMPLETE"}
        assert synced.counts == {}


class TestStalledBatches:
    def connect(self, served_sandbox: ServedSandbox) -> Connection:
        sandbox, url = served_sandbox
        template = sandbox.extracta.create("Invoices", ["vendor"])
        sandbox.extracta.upload(template, [new_file("never.pdf", INF)])
        settings = {"extracta": {"extraction_ids": [template]}, "give_up_after_days": 5}
        return Connection(sandbox, url, settings)

    def test_endless_batch_is_stalled_and_not_requested_again(self, served_sandbox: ServedSandbox) -> None:
        connection = self.connect(served_sandbox)
        for _ in range(6):
            connection.sync()
            served_sandbox[0].clock.advance(days=1)

        synced = connection.sync()
        assert single(synced.records["extracta_batches"])["status"] == "stalled"
        served_sandbox[0].clock.advance(days=1)
        assert connection.sync().requests == {"extracta.viewExtraction": 1}

    @pytest.mark.parametrize("finished", [True, False])
    def test_stalled_batch_is_read_again_when_its_listing_changes(
        self, served_sandbox: ServedSandbox, finished: bool
    ) -> None:
        sandbox, _ = served_sandbox
        connection = self.connect(served_sandbox)
        connection.sync()
        sandbox.clock.advance(days=9)
        connection.sync()
        template = connection.settings["extracta"]["extraction_ids"][0]
        batch = single(list(connection.warehouse["extracta_batches"].values()))["batch_id"]

        assert connection.sync().requests == {"extracta.viewExtraction": 1}
        if finished:
            sandbox.extracta.finish()
        else:
            sandbox.extracta.upload(template, [new_file("more.pdf")], batch)
        connection.sync()
        sandbox.extracta.finish()
        connection.sync()

        assert len(connection.warehouse["extracta_results"]) == (1 if finished else 2)
        assert single(list(connection.warehouse["extracta_batches"].values()))["status"] == "complete"

    def test_stalled_batch_with_results_stream_alone_logs_a_warning(
        self, served_sandbox: ServedSandbox, caplog: pytest.LogCaptureFixture
    ) -> None:
        connection = self.connect(served_sandbox)
        connection.sync("extracta_results")
        served_sandbox[0].clock.advance(days=9)

        connection.sync("extracta_results")

        assert any(
            "has been unfinished for longer than give_up_after_days" in record.getMessage() for record in caplog.records
        )

    def test_stalled_batch_in_a_full_refresh_is_read_again(self, served_sandbox: ServedSandbox) -> None:
        connection = self.connect(served_sandbox)
        connection.sync()
        served_sandbox[0].clock.advance(days=9)
        connection.sync()
        served_sandbox[0].extracta.finish()

        assert connection.sync(full_refresh=True).counts["extracta_results"] == 1


class TestTime:
    def test_state_from_the_far_future_yields_no_records(self, two_products: Connection) -> None:
        two_products.clock_offset = timedelta(days=20_000)
        two_products.sync()
        two_products.clock_offset = timedelta()

        synced = two_products.sync()

        assert synced.counts == {}
        assert set(synced.final_statuses.values()) == {"COMPLETE"}
        assert two_products.sync().counts == {}

    def test_batch_from_the_future_is_delivered_once(self, served_sandbox: ServedSandbox) -> None:
        sandbox, url = served_sandbox
        template = sandbox.extracta.create("Invoices", ["vendor"])
        future = sandbox.clock.now() + timedelta(days=50)
        sandbox.extracta.upload(template, [new_file("a.pdf")], started_at=future)
        sandbox.extracta.finish()
        connection = Connection(sandbox, url, {"extracta": {"extraction_ids": [template]}})

        counts = []
        for _ in range(4):
            counts.append(connection.sync().counts.get("extracta_results", 0))
            sandbox.clock.advance(days=20)

        assert sum(counts) == 1


class TestSpacing:
    """Real time, which a busy machine records some milliseconds late."""

    JITTER = 0.05

    def connect(self, sandbox: Sandbox, url: str, batches: int, spacing: float) -> Connection:
        template = sandbox.extracta.create("Invoices", ["vendor"])
        classification = sandbox.classification.create("Mail", [DocumentType("invoice")])
        kind = {"documentType": "invoice", "confidence": 0.9}
        batch_paths = []
        for number in range(batches):
            sandbox.extracta.upload(template, [new_file(f"{number}.pdf")])
            mail = [NewFile(f"{number}.pdf", duration_seconds=0, result=kind)]
            batch_paths.append(f"{classification}/{sandbox.classification.upload(classification, mail)}")
        settings = {"extraction_ids": [template], "classification_batches": batch_paths}
        return Connection(sandbox, url, {"extracta": {**settings, "seconds_between_requests": spacing}})

    def test_result_endpoints_are_spaced_independently(self, served_sandbox: ServedSandbox) -> None:
        connection = self.connect(*served_sandbox, batches=8, spacing=0.2)
        began = time.monotonic()

        connection.sync()

        arrivals = {
            endpoint: [entry.arrived_at for entry in served_sandbox[0].journal.entries if entry.endpoint == endpoint]
            for endpoint in ("extracta.getBatchResults", "extracta.getResults")
        }
        for moments in arrivals.values():
            assert len(moments) == 8
            # Counted from the beginning: a busy machine makes arrivals later, and the gap behind such a one shorter.
            assert all(arrival - began >= 0.2 * number for number, arrival in enumerate(sorted(moments)))
        # Side by side: neither endpoint waits for the other to be done.
        assert max(map(min, arrivals.values())) < min(map(max, arrivals.values()))

    @pytest.mark.long
    def test_two_seconds_receive_no_429_from_a_strict_api(self) -> None:
        with frozen_sandbox(spacing=2.0) as (sandbox, url):
            connection = self.connect(sandbox, url, batches=6, spacing=2)

            synced = connection.sync()

            assert [entry for entry in sandbox.journal.entries if entry.status == 429] == []
            assert synced.requests["extracta.getBatchResults"] == synced.requests["extracta.getResults"] == 6
            gaps = sandbox.journal.measure_arrival_gaps("extracta.getBatchResults")
            assert min(gaps) >= 2 - self.JITTER
            assert sum(gaps) / len(gaps) <= 2 * 1.05

    def test_too_short_interval_is_retried_until_complete(self) -> None:
        with frozen_sandbox(spacing=0.2) as (sandbox, url):
            connection = self.connect(sandbox, url, batches=3, spacing=0)
            connection.source = SourceDocextract(
                now=sandbox.clock.now, retry_policy=RetryPolicy(max_tries=20, first_wait=0.1)
            )

            synced = connection.sync()

            assert [entry for entry in sandbox.journal.entries if entry.status == 429]
            assert synced.counts["extracta_results"] == 3
            assert set(synced.final_statuses.values()) == {"COMPLETE"}
