"""One failure costs itself alone, and the next sync asks for what was missing."""

from __future__ import annotations

import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airbyte_cdk.models import FailureType

from docextract_sandbox import DocumentType, Fault, NewDocument, NewExtraction, NewFile, Sandbox, SensibleDocument
from source_docextract.core.products import PRODUCT_NAMES
from unit_tests.support.fault_matrix import FaultScenario, fault_scenario, get_provider
from unit_tests.support.harness import START, Connection, SyncResult, frozen_sandbox, log, single

HOSTS = ("extracta", "docmap", "sensible", "atlas")


@pytest.fixture(scope="module")
def fault_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultScenario]:
    """Yield a scenario without lookback.

    So requests are for open and missing partitions alone.
    """
    with fault_scenario(tmp_path_factory.mktemp("weather"), lookback_days=0) as scenario:
        yield scenario


def get_incomplete_streams(synced: SyncResult) -> set[str]:
    return {stream for stream, status in synced.final_statuses.items() if status == "INCOMPLETE"}


def filter_requests(provider: str, requests: dict[str, int]) -> dict[str, int]:
    return {endpoint: count for endpoint, count in requests.items() if endpoint.startswith(f"{provider}.")}


def wait_for_requests(fault_world: FaultScenario) -> None:
    """Wait for requests in flight, so that the next sync does not count them."""
    previous_counts: dict[str, int] = {}
    while previous_counts != (previous_counts := dict(fault_world.sandbox.journal.count_requests())):
        time.sleep(0.1)


@pytest.mark.sample(2)
@pytest.mark.parametrize("down", HOSTS)
def test_provider_sync_provider_down_is_recovered_in_the_next_sync(fault_world: FaultScenario, down: str) -> None:
    connection = fault_world.first_day_connection()
    with fault_world.sandbox.faults.apply_only(Fault("status", f"{down}.*", status=503)):
        synced = connection.sync()
        wait_for_requests(fault_world)

    affected_streams = {stream for stream in synced.final_statuses if get_provider(stream) == down}
    assert get_incomplete_streams(synced) == affected_streams
    fault_world.assert_complete(connection, synced.final_statuses.keys() - affected_streams)
    assert synced.error is not None
    assert synced.error.failure_type is FailureType.transient_error
    assert not affected_streams & synced.counts.keys()
    for other in HOSTS:
        assert other == down or filter_requests(other, synced.requests) == filter_requests(
            other, fault_world.second_sync.requests
        )
    recovery_sync = connection.sync()
    assert recovery_sync.requests == {
        **fault_world.quiet_sync.requests,
        **filter_requests(down, fault_world.second_sync.requests),
    }
    assert {get_provider(stream) for stream in recovery_sync.counts} == {down}
    fault_world.assert_recovered(connection)


@dataclass(frozen=True)
class PermanentFailure:
    """A batch, run or document that always fails.

    Attributes:
        endpoint: the endpoint that fails.
        fault_target: a text; requests that contain it fail.
        products: the products whose streams are affected.
        affected_ids: the batches and documents whose rows are absent while it fails.
        extra_requests: the requests of the sync that reads it, beyond those of a quiet sync.
        exclusive_kinds: the only kind of stream that is affected, or empty for all.
        delivered_files: the files of earlier pages, which are delivered before the failure.
    """

    endpoint: str
    fault_target: str
    products: tuple[str, ...]
    affected_ids: tuple[str, ...]
    extra_requests: dict[str, int]
    exclusive_kinds: str = ""
    delivered_files: tuple[str, ...] = ()

    def affects(self, stream: str) -> bool:
        product, kind = stream.rsplit("_", 1)
        return product in self.products and self.exclusive_kinds in {"", kind}


BROKEN = {
    "an extraction batch": PermanentFailure(
        "extracta.getBatchResults", "new batch", ("extracta",), ("new batch",), {"extracta.getBatchResults": 1}
    ),
    "a classification batch": PermanentFailure(
        "extracta.getResults",
        "new mail",
        ("extracta", "extracta_classification"),
        ("new mail", "linked batch"),
        {"extracta.getResults": 1, "extracta.getBatchResults": 1},
    ),
    "a run": PermanentFailure(
        "docmap.extractions", '"runId":"new run"', ("docmap",), ("new run",), {"docmap.extractions": 1}, "batches"
    ),
    "a watched extraction": PermanentFailure("docmap.extraction", "watched document", ("docmap",), (), {}),
    "a document": PermanentFailure(
        "sensible.document", "new document", ("sensible",), ("new document",), {"sensible.document": 1}
    ),
    "a learned batch": PermanentFailure(
        "sensible.batch", "new batch", ("sensible",), ("new batch",), {"sensible.batch": 1}, "batches"
    ),
    "a page of a batch": PermanentFailure(
        "atlas.extracts",
        '"batch_id":"new batch","page":"2"',
        ("atlas",),
        ("new batch",),
        {"atlas.extracts": 3},
        delivered_files=("new batch/0", "new batch/1", "new batch/2"),
    ),
}


@pytest.mark.sample(3)
@pytest.mark.parametrize("name", BROKEN)
def test_permanent_failure_affects_only_its_streams_until_fixed(fault_world: FaultScenario, name: str) -> None:
    broken = BROKEN[name]
    connection = fault_world.first_day_connection()
    with fault_world.sandbox.faults.apply_only(Fault("status", broken.endpoint, about=broken.fault_target)):
        synced = connection.sync()
        second_sync = connection.sync()

    affected_streams = set(filter(broken.affects, synced.final_statuses))
    assert get_incomplete_streams(synced) == get_incomplete_streams(second_sync) == affected_streams
    assert synced.error is not None
    expected_text = str(synced.error.message)
    assert expected_text.startswith(
        f"{len(affected_streams)} of {len(synced.final_statuses)} streams are incomplete; the others are complete."
    )
    lost = (
        {*broken.affected_ids, *find_referenced_batches(fault_world)}
        if "linked batch" in broken.affected_ids
        else {*broken.affected_ids}
    )
    missing = {
        stream: {key for key, row in rows.items() if lost & {*re.split("[/#]", key), row.get("batch_key")}}
        if stream in affected_streams
        else set()
        for stream, rows in fault_world.baseline.warehouse.items()
    }
    for stream, keys in missing.items():
        missing[stream] = {key for key in keys if key.split("#")[0] not in broken.delivered_files}
    assert any(missing.values()) or name == "a watched extraction"
    for stream, rows in fault_world.baseline.warehouse.items():
        assert connection.warehouse[stream].keys() == rows.keys() - missing[stream], stream
    assert second_sync.counts == {}
    recovery_sync = connection.sync()
    assert {stream: set(recovery_sync.ids(stream)) for stream in recovery_sync.final_statuses} == {
        stream_name: missing[stream_name] for stream_name in recovery_sync.final_statuses
    }
    assert Counter(recovery_sync.requests) == Counter(fault_world.quiet_sync.requests) + Counter(broken.extra_requests)
    fault_world.assert_recovered(connection)


def find_referenced_batches(fault_world: FaultScenario) -> set[str]:
    rows = fault_world.baseline.warehouse["extracta_classification_files"].values()
    references = [row["provider_data"].get("extraction", {}) for row in rows if row["batch_id"] == "new mail"]
    return {reference["batchId"] for reference in references if reference}


def test_unknown_batch_is_a_row_and_affects_no_other(fault_world: FaultScenario, tmp_path: Path) -> None:
    connection = fault_world.first_day_connection()
    settings = connection.settings
    extracta = settings["extracta"]
    [known] = {path.split("/")[0] for path in extracta["extraction_batches"]}
    [mail] = {path.split("/")[0] for path in extracta["classification_batches"]}
    extracta["extraction_batches"] = [*extracta["extraction_batches"], f"{known}/nobody"]
    extracta["classification_batches"] = [*extracta["classification_batches"], f"{mail}/nobody"]
    for section in ("sensible", "atlas"):
        settings[section]["batch_ids"] = [*settings[section]["batch_ids"], "nobody"]
    (tmp_path / "runs.csv").write_text("provider,batch_id\ndocmap,by hand\ndocmap,nobody\n")
    settings["batch_registry"] = {"url": str(tmp_path / "runs.csv")}

    synced = connection.sync()

    assert set(synced.final_statuses.values()) == {"COMPLETE"}
    assert synced.error is None
    for product in PRODUCT_NAMES:
        row = single([row for row in synced.records[f"{product}_batches"] if row["batch_id"] == "nobody"])
        assert (row["status"], bool(row["error"])) == ("missing", True)
        del connection.warehouse[f"{product}_batches"][row["id"]]
    fault_world.assert_complete(connection, connection.streams)


def test_files_stream_failed_file_is_a_row_with_its_error(fault_world: FaultScenario) -> None:
    for product in PRODUCT_NAMES:
        rows = fault_world.baseline.warehouse[f"{product}_files"].values()
        failed = [row for row in rows if row["status"] == "failed"]
        assert failed, product
        assert all(row["error"] for row in failed)
        other_statuses = {row["status"] for row in rows if row["batch_key"] in {row["batch_key"] for row in failed}}
        assert "processed" in other_statuses
        results = {row["file_key"] for row in fault_world.baseline.warehouse[f"{product}_results"].values()}
        assert not results & {row["id"] for row in failed}
    assert set(fault_world.second_sync.final_statuses.values()) == {"COMPLETE"}


@pytest.mark.parametrize("provider", HOSTS)
def test_provider_sync_rejected_key_is_a_config_error_of_that_provider(
    fault_world: FaultScenario, provider: str
) -> None:
    connection = fault_world.first_day_connection()
    # A token of Atlas's is renewed once before its credentials are taken for wrong.
    endpoint = "atlas.extracts" if provider == "atlas" else f"{provider}.*"
    with fault_world.sandbox.faults.apply_only(Fault("status", endpoint, status=401)):
        synced = connection.sync()

    assert get_incomplete_streams(synced) == {
        stream for stream in synced.final_statuses if get_provider(stream) == provider
    }
    assert synced.error is not None
    assert synced.error.failure_type is FailureType.config_error
    assert f"Check {provider}." in str(synced.error.message)
    assert synced.counts.keys() == {
        stream for stream in fault_world.second_sync.counts if get_provider(stream) != provider
    }
    assert set(connection.sync().final_statuses.values()) == {"COMPLETE"}
    fault_world.assert_recovered(connection)


@dataclass(frozen=True)
class SixBatches:
    """Six batches of one product, in the order of their requests.

    Attributes:
        endpoint: the endpoint that fetches them.
        settings: the settings that sync them.
        ids: their ids, by which a test recognizes their requests.
    """

    endpoint: str
    settings: dict[str, Any]
    ids: list[str]


def _add_extracta(sandbox: Sandbox) -> SixBatches:
    template = sandbox.extracta.create("Invoices", ["vendor"])
    batches = [
        sandbox.extracta.upload(template, [NewFile("a.pdf", 0, {"vendor": "Acme"})], started_at=_get_hour(number))
        for number in range(6)
    ]
    return SixBatches("extracta.getBatchResults", {"extracta": {"extraction_ids": [template]}}, batches)


def _add_classification(sandbox: Sandbox) -> SixBatches:
    template = sandbox.classification.create("Mail", [DocumentType("other")])
    mail = NewFile("m.pdf", 0, {"documentType": "other", "confidence": 0.5})
    batches = [sandbox.classification.upload(template, [mail], f"batch {number}") for number in range(6)]
    paths = [f"{template}/{batch}" for batch in batches]
    return SixBatches("extracta.getResults", {"extracta": {"classification_batches": paths}}, batches)


def _add_docmap(sandbox: Sandbox) -> SixBatches:
    template = sandbox.docmap.put_template("Notes")
    for number in range(6):
        extraction = NewExtraction(f"{number}.pdf", 0, {"n": number})
        sandbox.docmap.add_extractions(template, [extraction], f"run {number}", created_at=_get_hour(number))
    return SixBatches("docmap.extractions", {"docmap": {}}, [f'"runId":"run {number}"' for number in range(6)])


def _add_sensible(sandbox: Sandbox) -> SixBatches:
    sandbox.sensible.add_document_type("claims")
    ids = []
    for number in range(6):
        ids += sandbox.sensible.extract([SensibleDocument(f"{number}.pdf", 0)], "claims", created_at=_get_hour(number))
    return SixBatches("sensible.document", {"sensible": {}}, ids)


def _add_atlas(sandbox: Sandbox) -> SixBatches:
    data = {"document_type": "PAN", "name": {"value": "ASHA", "confidence_score": 0.9}}
    batches = [sandbox.atlas.submit([NewDocument("1", 0, data)], submitted_at=_get_hour(number)) for number in range(6)]
    return SixBatches("atlas.extracts", {"atlas": {"batch_ids": batches}}, batches)


def _get_hour(number: int) -> Any:
    return START - timedelta(hours=12 - number)


SIX_BATCHES_BY_PRODUCT: dict[str, Callable[[Sandbox], SixBatches]] = {
    "extracta": _add_extracta,
    "extracta_classification": _add_classification,
    "docmap": _add_docmap,
    "sensible": _add_sensible,
    "atlas": _add_atlas,
}
UNAFFECTED_PROVIDER = {"docmap": "sensible"}
"""What is synced beside a product to see that it goes on: DocMap, for all others."""


@pytest.fixture
def six_batches(served_sandbox: tuple[Sandbox, str], request: pytest.FixtureRequest) -> tuple[SixBatches, Connection]:
    sandbox, url = served_sandbox
    many = SIX_BATCHES_BY_PRODUCT[request.param](sandbox)
    unaffected = SIX_BATCHES_BY_PRODUCT[UNAFFECTED_PROVIDER.get(request.param, "docmap")](sandbox)
    settings = {**many.settings, **unaffected.settings, "max_in_flight": 1, "lookback_days": 0}
    return many, Connection(sandbox, url, settings)


@pytest.mark.sample
@pytest.mark.parametrize("status", [302, 503])
@pytest.mark.parametrize(
    ("six_batches", "product"),
    [(product_name, product_name) for product_name in SIX_BATCHES_BY_PRODUCT],
    indirect=["six_batches"],
    ids=SIX_BATCHES_BY_PRODUCT,
)
def test_provider_sync_three_consecutive_failures_stop_its_requests(
    six_batches: tuple[SixBatches, Connection], product: str, status: int
) -> None:
    many, connection = six_batches
    faults = [Fault("status", many.endpoint, about=failing_id, status=status) for failing_id in many.ids]
    with connection.sandbox.faults.apply_only(*faults):
        synced = connection.sync()
        met = [failing_id["met"] for failing_id in connection.sandbox.faults.describe()]

    tries = 3 if status == 503 else 1
    assert met == [tries, tries, tries, 0, 0, 0]
    assert {get_provider(stream) for stream in get_incomplete_streams(synced)} == {get_provider(product)}
    assert synced.error is not None
    assert "failed 3 times in a row. This sync sends it no more requests; the next sync resumes." in str(
        synced.error.message
    )
    failures = {302: FailureType.config_error, 503: FailureType.transient_error}
    assert synced.error.failure_type is failures[status]
    recovery_sync = connection.sync()
    assert set(recovery_sync.final_statuses.values()) == {"COMPLETE"}
    assert [count_requests(connection, many, failing_id) for failing_id in many.ids] == [1] * 6
    assert connection.sync().counts == {}


@pytest.mark.parametrize(
    ("six_batches", "product"),
    [(product_name, product_name) for product_name in SIX_BATCHES_BY_PRODUCT],
    indirect=["six_batches"],
    ids=SIX_BATCHES_BY_PRODUCT,
)
def test_provider_sync_success_resets_the_failure_count(
    six_batches: tuple[SixBatches, Connection], product: str
) -> None:
    many, connection = six_batches
    bad = [many.ids[number] for number in (0, 1, 3, 4)]
    with connection.sandbox.faults.apply_only(
        *(Fault("status", many.endpoint, about=failing_id, status=302) for failing_id in bad)
    ):
        synced = connection.sync()

        assert [count_requests(connection, many, failing_id) for failing_id in many.ids] == [1] * 6
    kind = "batches" if product == "docmap" else "results"
    assert get_incomplete_streams(synced) >= {f"{product}_{kind}"}
    assert synced.counts[f"{product}_{kind}"] == 2
    recovery_sync = connection.sync()
    assert recovery_sync.counts[f"{product}_{kind}"] == 4
    assert [count_requests(connection, many, failing_id) for failing_id in many.ids] == [
        failing_id in bad for failing_id in many.ids
    ]


ANSWERS: dict[str, dict[str, Any]] = {
    "501": {"status": 501},
    "no list": {"status": 200, "body": {"data": {}, "files": 7, "extraction_ids": 7, "batchId": ["b"], "status": 7}},
    "an error inside": {"status": 200, "body": {"error": "Something went wrong"}},
}


@pytest.mark.sample(4)
@pytest.mark.parametrize(
    ("six_batches", "product", "response"),
    [
        (product_name, product_name, answer)
        for product_name in SIX_BATCHES_BY_PRODUCT
        for answer in ANSWERS
        # To Sensible's readers an object without a status is a document in work.
        if (product_name, answer) != ("sensible", "an error inside")
    ],
    indirect=["six_batches"],
)
def test_provider_sync_unreadable_responses_first_delivers_all_others(
    six_batches: tuple[SixBatches, Connection], product: str, response: str
) -> None:
    many, connection = six_batches
    bad = many.ids[:4]
    faults = [Fault("status", many.endpoint, about=failing_id, **ANSWERS[response]) for failing_id in bad]
    kind = "batches" if product == "docmap" else "results"
    with connection.sandbox.faults.apply_only(*faults):
        synced = connection.sync()
        second_sync = connection.sync()

    assert f"{product}_{kind}" in get_incomplete_streams(synced)
    assert synced.counts[f"{product}_{kind}"] == 2
    assert second_sync.counts == {}
    assert "in a row" not in str(synced.error)
    recovery_sync = connection.sync()
    assert recovery_sync.counts[f"{product}_{kind}"] == 4
    assert set(recovery_sync.final_statuses.values()) == {"COMPLETE"}
    assert connection.sync().counts == {}


@pytest.mark.parametrize("six_batches", ["sensible"], indirect=True)
def test_provider_sync_unpaid_account_sends_three_requests(six_batches: tuple[SixBatches, Connection]) -> None:
    many, connection = six_batches
    with connection.sandbox.faults.apply_only(Fault("status", many.endpoint, status=402)):
        synced = connection.sync()

    assert synced.requests[many.endpoint] == 3
    assert "failed 3 times in a row" in str(synced.error)
    assert connection.sync().counts["sensible_results"] == 6


@pytest.mark.parametrize("six_batches", ["atlas"], indirect=True)
@pytest.mark.parametrize("response", [{"status": 501}, {"status": 200, "body": {"expires_in": 3600}}], ids=str)
def test_provider_sync_unreadable_login_aborts(
    six_batches: tuple[SixBatches, Connection], response: dict[str, Any]
) -> None:
    """Abort the provider: the login concerns all further requests."""
    _, connection = six_batches
    with connection.sandbox.faults.apply_only(Fault("status", "atlas.authtoken", **response)):
        synced = connection.sync()

    assert synced.requests.get("atlas.extracts", 0) == 0
    assert synced.requests["atlas.authtoken"] == 1
    assert "failed 3 times in a row" in str(synced.error)
    assert connection.sync().counts["atlas_results"] == 6


@pytest.mark.parametrize(
    ("six_batches", "product"),
    [(product_name, product_name) for product_name in SIX_BATCHES_BY_PRODUCT],
    indirect=["six_batches"],
    ids=SIX_BATCHES_BY_PRODUCT,
)
def test_provider_sync_after_three_failures_retries_them_last(
    six_batches: tuple[SixBatches, Connection], product: str
) -> None:
    many, connection = six_batches
    faults = [Fault("status", many.endpoint, about=failing_id, status=503) for failing_id in many.ids[:3]]
    kind = "batches" if product == "docmap" else "results"
    with connection.sandbox.faults.apply_only(*faults):
        first, second, third = connection.sync(), connection.sync(), connection.sync()

    assert first.counts.get(f"{product}_{kind}", 0) == 0
    assert second.counts[f"{product}_{kind}"] == 3
    assert third.counts == {}
    stream = f"{product}_{kind}"
    assert "failed_keys" in str(connection.get_state_json(stream))
    recovery_sync = connection.sync()
    assert recovery_sync.counts[stream] == 3
    assert set(recovery_sync.final_statuses.values()) == {"COMPLETE"}
    assert "failed_keys" not in str(connection.get_state_json(stream))


@pytest.mark.parametrize("product", ["docmap", "sensible"])
def test_provider_sync_failing_first_window_reads_later_windows(product: str) -> None:
    """Read on after a window with failures.

    A window begins when the one before is delivered, so failures must not hold it up.
    """
    with frozen_sandbox() as (sandbox, url):
        template = sandbox.docmap.put_template("Notes")
        sandbox.sensible.add_document_type("claims")
        ids = []
        for number in range(6):
            created_at = START - timedelta(days=300 - 50 * number)
            if product == "sensible":
                ids += sandbox.sensible.extract([SensibleDocument(f"{number}.pdf", 0)], "claims", created_at=created_at)
            else:
                sandbox.docmap.add_extractions(
                    template, [NewExtraction(f"{number}.pdf", 0, {"n": number})], f"run {number}", created_at=created_at
                )
        connection = Connection(sandbox, url, {product: {}, "max_in_flight": 1, "lookback_days": 0})
        fault_targets = ids[:3] if product == "sensible" else [f'"runId":"run {number}"' for number in range(3)]
        endpoint = {"sensible": "sensible.document", "docmap": "docmap.extractions"}[product]
        kind = {"sensible": "results", "docmap": "batches"}[product]
        with sandbox.faults.apply_only(
            *(Fault("status", endpoint, about=failing_id, status=503) for failing_id in fault_targets)
        ):
            for _ in range(3):
                connection.sync()

        assert len(connection.warehouse[f"{product}_{kind}"]) == 3
        assert set(connection.sync().final_statuses.values()) == {"COMPLETE"}
        assert len(connection.warehouse[f"{product}_{kind}"]) == 6
        assert connection.sync().counts == {}


def test_provider_sync_failing_template_lists_reads_the_others() -> None:
    with frozen_sandbox() as (sandbox, url):
        templates = [sandbox.extracta.create(f"Invoices {number}", ["vendor"]) for number in range(5)]
        for template in templates:
            sandbox.extracta.upload(template, [NewFile("a.pdf", 0, {"vendor": "Acme"})])
        connection = Connection(sandbox, url, {"extracta": {"extraction_ids": templates}, "max_in_flight": 1})
        faults = [
            Fault("status", "extracta.viewExtraction", about=failing_id, status=503) for failing_id in templates[:3]
        ]
        with sandbox.faults.apply_only(*faults):
            connection.sync()
            second = connection.sync()

        assert second.counts["extracta_results"] == 2
        assert get_incomplete_streams(second) == set(connection.streams)
        assert connection.sync().counts["extracta_results"] == 3
        assert connection.sync().counts == {}


def test_provider_sync_failing_explicit_batches_reads_the_list() -> None:
    with frozen_sandbox() as (sandbox, url):
        sandbox.sensible.add_document_type("claims")
        batch_ids = [
            sandbox.sensible.add_batch([SensibleDocument(f"{number}.pdf", 0)], "claims") for number in range(3)
        ]
        for batch in batch_ids:
            sandbox.sensible.upload(batch, 0)
        single = sandbox.sensible.extract([SensibleDocument("single.pdf", 0)], "claims")
        connection = Connection(sandbox, url, {"sensible": {"batch_ids": batch_ids}, "max_in_flight": 1})
        with sandbox.faults.apply_only(
            *(Fault("status", "sensible.batch", about=failing_id, status=503) for failing_id in batch_ids)
        ):
            connection.sync()
            second = connection.sync()

        assert set(second.ids("sensible_results")) >= set(single)
        assert set(connection.sync().final_statuses.values()) == {"COMPLETE"}
        assert len(connection.warehouse["sensible_batches"]) == 3
        assert connection.sync().counts == {}


def test_batch_failed_while_its_documents_finish_completes_in_the_next_sync() -> None:
    with frozen_sandbox() as (sandbox, url):
        sandbox.sensible.add_document_type("claims")
        batch = sandbox.sensible.add_batch([SensibleDocument(f"{number}.pdf", 60) for number in range(2)], "claims")
        for index in range(2):
            sandbox.sensible.upload(batch, index)
        connection = Connection(sandbox, url, {"sensible": {}})
        connection.sync()
        assert single(list(connection.warehouse["sensible_batches"].values()))["files_pending"] == 2
        sandbox.clock.advance(seconds=120)
        with sandbox.faults.apply_only(Fault("status", "sensible.batch", status=503)):
            failed = connection.sync()

        recovery_sync = connection.sync()

        assert get_incomplete_streams(failed) == {"sensible_batches"}
        assert set(recovery_sync.final_statuses.values()) == {"COMPLETE"}
        row = single(recovery_sync.records["sensible_batches"])
        assert (row["status"], row["files_processed"], row["files_pending"]) == ("complete", 2, 0)
        assert connection.sync().counts == {}


def test_batch_with_a_failed_document_counts_it_in_the_sync_that_reads_it() -> None:
    """Fetch a document that comes last in a sync before the row of its batch."""
    with frozen_sandbox() as (sandbox, url):
        sandbox.sensible.add_document_type("claims")
        batch = sandbox.sensible.add_batch([SensibleDocument(f"{number}.pdf", 0) for number in range(2)], "claims")
        for index in range(2):
            sandbox.sensible.upload(batch, index)
        [first, _] = sandbox.sensible.get_batch(batch).extraction_ids
        connection = Connection(sandbox, url, {"sensible": {}})
        with sandbox.faults.apply_only(Fault("status", "sensible.document", about=first, status=501)):
            connection.sync()

        recovery_sync = connection.sync()

        assert set(recovery_sync.final_statuses.values()) == {"COMPLETE"}
        row = connection.warehouse["sensible_batches"][batch]
        assert (row["status"], row["files_processed"], row["files_pending"]) == ("complete", 2, 0)
        assert connection.sync().counts == {}


def count_requests(connection: Connection, many: SixBatches, batch_id: str) -> int:
    """Return how often the last sync requested a batch."""
    entries = [entry for entry in connection.sandbox.journal.entries if entry.endpoint == many.endpoint]
    word = batch_id.rsplit(":", maxsplit=1)[-1].strip('"')
    return sum(
        word in {*entry.path_params.values(), *entry.query.values(), *(entry.body or {}).values()} for entry in entries
    )


def test_unknown_templates_are_each_reported_and_others_sync(served_sandbox: tuple[Sandbox, str]) -> None:
    sandbox, url = served_sandbox
    many = _add_extracta(sandbox)
    unknown_ids = [f"nobody {number}" for number in range(4)]
    many.settings["extracta"]["extraction_ids"] += unknown_ids
    connection = Connection(sandbox, url, many.settings)

    synced = connection.sync()

    assert synced.counts["extracta_results"] == 6
    assert set(synced.final_statuses.values()) == {"INCOMPLETE"}
    assert synced.error is not None
    assert synced.error.failure_type is FailureType.config_error


def test_log_many_missing_batches_is_short(caplog: pytest.LogCaptureFixture) -> None:
    with frozen_sandbox() as (sandbox, url):
        unknown_ids = [f"nobody/{number}" for number in range(60)]
        connection = Connection(sandbox, url, {"extracta": {"extraction_batches": unknown_ids}})
        with caplog.at_level(logging.INFO, logger=log.name):
            connection.sync()

    assert len(connection.warehouse["extracta_batches"]) == 60
    assert len(caplog.records) < 20
    assert any("55 more" in record.getMessage() for record in caplog.records)
    assert (
        caplog.records[-1]
        .getMessage()
        .startswith("Extracta.ai: 60 requests; batches 0 open, 0 settled, 60 missing; rows:")
    )


def _add_templates(sandbox: Sandbox) -> tuple[dict[str, Any], list[str]]:
    """Add a DocMap extraction of each of four templates; return the settings and what names each list."""
    templates = [sandbox.docmap.put_template(name) for name in ("a", "b", "c", "d")]
    for template in templates:
        sandbox.docmap.add_extractions(template, [NewExtraction("a.pdf", 0, {"n": 1})], created_at=_get_hour(1))
    return {"docmap": {"template_ids": templates}}, [f'"templateId":"{template}"' for template in templates]


def _add_document_types(sandbox: Sandbox) -> tuple[dict[str, Any], list[str]]:
    """Add a Sensible document of each of four types; return the settings and what names each list."""
    names = ["a", "b", "c", "d"]
    for name in names:
        sandbox.sensible.add_document_type(name, f"type-{name}")
        sandbox.sensible.extract([SensibleDocument("a.pdf", 0)], name, created_at=_get_hour(1))
    return {"sensible": {"document_types": names}}, [f"type-{name}" for name in names]


@pytest.mark.parametrize(
    ("add", "endpoint", "stream"),
    [
        (_add_templates, "docmap.extractions", "docmap_results"),
        (_add_document_types, "sensible.extractions", "sensible_results"),
    ],
)
def test_three_lists_that_always_fail_do_not_keep_the_others_from_being_read(
    served_sandbox: tuple[Sandbox, str], add: Any, endpoint: str, stream: str
) -> None:
    sandbox, url = served_sandbox
    settings, lists = add(sandbox)
    connection = Connection(sandbox, url, {**settings, "max_in_flight": 1})
    faults = [Fault("status", endpoint, about=failing_list, status=500) for failing_list in lists[:3]]
    with sandbox.faults.apply_only(*faults):
        first, second, third = (connection.sync(stream) for _ in range(3))

    assert [synced.counts.get(stream, 0) for synced in (first, second, third)] == [0, 1, 0]
    assert "3 times in a row" in str(first.error)
    # Each list is requested at every sync: as the fourth one was read, the failures of the others say nothing new.
    assert all("in a row. This sync sends it no more requests" not in str(synced.error) for synced in (second, third))
    assert {status for synced in (second, third) for status in synced.final_statuses.values()} == {"INCOMPLETE"}
    recovered = connection.sync(stream)
    assert (recovered.counts[stream], recovered.final_statuses[stream]) == (3, "COMPLETE")
    assert "failed_keys" not in connection.get_state_json(stream)
    assert connection.sync(stream).counts == {}
