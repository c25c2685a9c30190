"""Whole syncs under faults: every endpoint, and every kind of failure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest
from typing import Any

import pytest
from airbyte_cdk.models import FailureType

from docextract_sandbox import TRANSIENT_4XX_FAULTS, Fault, make_throttle_fault
from docextract_sandbox.faults import FAULT_KINDS, PAYLOAD_FAULTS
from source_docextract.core.products import PRODUCT_NAMES
from unit_tests.support.fault_matrix import (
    PRODUCTS_BY_ENDPOINT,
    FaultScenario,
    collect_stream_errors,
    fault_scenario,
    get_provider,
    is_plain_text,
    under_faults,
)
from unit_tests.support.harness import Connection, log
from unit_tests.support.scenario import list_expected_files

PASSING_FAULTS = {
    **{f"{status}": Fault("status", status=status) for status in (408, 500, 502, 503, 504, 520)},
    "429": make_throttle_fault(),
    "429 with seconds": make_throttle_fault(retry_after=0),
    "429 with a date": make_throttle_fault(retry_after=0, as_date=True),
    "503 with seconds": Fault("status", status=503, retry_after=0),
    "reset": Fault("reset"),
    "reset in the middle": Fault("reset in the middle"),
    "cut": Fault("cut"),
    "html": Fault("html"),
    "empty": Fault("empty"),
    "stall": Fault("stall", seconds=60),
    "firewall 401": Fault("firewall", status=401),
    "firewall 403": Fault("firewall", status=403),
}
"""What may pass, so that it is worth another try."""

LASTING_FAULTS = {
    "501": (Fault("status", status=501), FailureType.system_error),
    "307": (Fault("status", status=307, headers={"Location": "/elsewhere"}), FailureType.config_error),
    "redirect": (Fault("redirect"), FailureType.config_error),
    "407": (Fault("status", status=407, headers={"Proxy-Authenticate": "Basic"}), FailureType.config_error),
    "bad byte": (Fault("bad byte"), FailureType.system_error),
    "endless": (Fault("endless"), FailureType.system_error),
    "bomb": (Fault("bomb"), FailureType.system_error),
    "429 with many seconds": (make_throttle_fault(retry_after=7200), FailureType.transient_error),
    "429 with a late date": (make_throttle_fault(retry_after=7200, as_date=True), FailureType.transient_error),
    **{name: (fault, FailureType.transient_error) for name, fault in PASSING_FAULTS.items()},
}
"""All that can stay, and what kind of failure that is."""


def _build_rounds() -> list[tuple[str, ...]]:
    """Return rounds with one endpoint of each provider.

    A fault of one provider does not affect another, so one sync can test four.
    """
    by_host: dict[str, list[str]] = {}
    for endpoint in PRODUCTS_BY_ENDPOINT:
        by_host.setdefault(endpoint.split(".")[0], []).append(endpoint)
    return [tuple(filter(None, endpoints)) for endpoints in zip_longest(*by_host.values())]


ENDPOINT_ROUNDS = _build_rounds()


@pytest.fixture(scope="module")
def fault_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultScenario]:
    with fault_scenario(tmp_path_factory.mktemp("weather")) as scenario:
        yield scenario


def test_fault_matrix_covers_every_sync_endpoint_and_fault_kind(fault_world: FaultScenario) -> None:
    assert set(PRODUCTS_BY_ENDPOINT) == set(fault_world.second_sync.requests)
    assert {endpoint for endpoints in ENDPOINT_ROUNDS for endpoint in endpoints} == set(PRODUCTS_BY_ENDPOINT)
    faults = [*(fault for fault, _ in LASTING_FAULTS.values()), *REFUSED_ENDPOINTS.values()]
    assert {fault.kind for fault in faults} | {"trickle", "charset", *PAYLOAD_FAULTS} == set(FAULT_KINDS)
    assert TRANSIENT_4XX_FAULTS.keys() | {"unknown id"} == set(REFUSED_ENDPOINTS)


def test_sync_without_faults_warehouse_equals_sandbox(fault_world: FaultScenario) -> None:
    world = list(list_expected_files(fault_world.sandbox))

    for product in PRODUCT_NAMES:
        files, results, batches = (
            fault_world.baseline.warehouse[f"{product}_{kind}"] for kind in ("files", "results", "batches")
        )
        expected_files = [expected_file for expected_file in world if expected_file.product == product]
        assert {key: row["status"] for key, row in files.items()} == {
            expected_file.key: expected_file.status for expected_file in expected_files
        }
        data = {key: value for expected_file in expected_files for key, value in expected_file.results.items()}
        assert {key: row["data"] for key, row in results.items()} == data
        assert "open" in {row["status"] for row in batches.values()}
    assert {"failed", "pending", "processed"} == {expected_file.status for expected_file in world}
    assert fault_world.quiet_sync.counts == {}


@pytest.mark.sample(3)
@pytest.mark.parametrize("shift", range(len(PASSING_FAULTS)))
def test_sync_transient_fault_is_retried_within_the_sync(fault_world: FaultScenario, shift: int) -> None:
    """Give each endpoint another fault; over all shifts, each endpoint has each fault."""
    connection = fault_world.first_day_connection()
    names = [*PASSING_FAULTS][shift:] + [*PASSING_FAULTS][:shift]
    names_by_endpoint = {endpoint: names[number % len(names)] for number, endpoint in enumerate(PRODUCTS_BY_ENDPOINT)}
    faults = [replace(PASSING_FAULTS[name], endpoint=endpoint, times=2) for endpoint, name in names_by_endpoint.items()]
    with under_faults(fault_world, *faults):
        synced = connection.sync()
        met = {entry["endpoint"]: entry["met"] for entry in fault_world.sandbox.faults.describe()}
        assert [
            f"{names_by_endpoint[str(endpoint)]} at {endpoint}" for endpoint, times in met.items() if times != 2
        ] == []
        assert met.keys() == PRODUCTS_BY_ENDPOINT.keys()

    assert set(synced.final_statuses.values()) == {"COMPLETE"}, synced.error
    fault_world.assert_recovered(connection)
    assert synced.counts == fault_world.second_sync.counts


def test_sync_slow_trickle_keeps_rows_and_request_counts(fault_world: FaultScenario) -> None:
    connection = fault_world.first_day_connection()
    with under_faults(fault_world, Fault("trickle", seconds=0.1)):
        synced = connection.sync()

    assert set(synced.final_statuses.values()) == {"COMPLETE"}, synced.error
    assert (synced.counts, synced.requests) == (fault_world.second_sync.counts, fault_world.second_sync.requests)
    fault_world.assert_recovered(connection)


@pytest.mark.sample(2)
@pytest.mark.parametrize("charset", ["iso-8859-1", "windows-1252", "utf-16", "us-ascii", "utf-8"])
def test_sync_responses_in_another_charset_deliver_the_same_rows(fault_world: FaultScenario, charset: str) -> None:
    connection = fault_world.first_day_connection()
    with under_faults(fault_world, Fault("charset", charset=charset)):
        synced = connection.sync()

    assert set(synced.final_statuses.values()) == {"COMPLETE"}, synced.error
    assert (synced.counts, synced.requests) == (fault_world.second_sync.counts, fault_world.second_sync.requests)
    fault_world.assert_recovered(connection)


def build_lasting_cases() -> list[Any]:
    """Combine each endpoint with each lasting fault.

    `make test` runs one fault with every endpoint, and every other fault once, four of them in a sync: each with an
    endpoint of another provider. `make test-long` runs each fault with every endpoint.
    """
    rounds = [dict.fromkeys(endpoints, "500") for endpoints in ENDPOINT_ROUNDS]
    names, full_rounds = list(LASTING_FAULTS), [endpoints for endpoints in ENDPOINT_ROUNDS if len(endpoints) == 4]
    for number in range(0, len(names), 4):
        chosen_round = full_rounds[number // 4 % len(full_rounds)]
        rounds.append(dict(zip(chosen_round, names[number : number + 4], strict=False)))
    cases = [pytest.param(names_by_endpoint, id=str(names_by_endpoint)) for names_by_endpoint in rounds]
    for name in names:
        for endpoints in ENDPOINT_ROUNDS:
            cases.append(
                pytest.param(dict.fromkeys(endpoints, name), id=f"{name} {' '.join(endpoints)}", marks=pytest.mark.long)
            )
    return cases


@pytest.mark.parametrize("names_by_endpoint", build_lasting_cases())
def test_sync_lasting_fault_affects_only_its_streams_until_the_next_sync(
    fault_world: FaultScenario, names_by_endpoint: dict[str, str]
) -> None:
    endpoints = names_by_endpoint.keys()
    faults = [replace(LASTING_FAULTS[name][0], endpoint=endpoint) for endpoint, name in names_by_endpoint.items()]
    failures_by_provider = {
        endpoint.split(".")[0]: LASTING_FAULTS[name][1] for endpoint, name in names_by_endpoint.items()
    }
    connection = fault_world.first_day_connection()
    with under_faults(fault_world, *faults):
        synced = connection.sync()

    reasons = collect_stream_errors(synced, *failures_by_provider.values())
    for message in synced.messages:
        if message.trace and message.trace.error:
            stream = message.trace.error.stream_descriptor.name
            assert message.trace.error.failure_type is failures_by_provider[get_provider(stream)], stream
    affected_streams = fault_world.get_product_streams(
        *set().union(*(PRODUCTS_BY_ENDPOINT[endpoint] for endpoint in endpoints))
    )
    # Of a provider that is given up, what had not been asked for by then is missing as well.
    given_up = {
        stream for stream, expected_text in reasons.items() if "failed 3 times in a row" in expected_text
    } - affected_streams
    assert reasons.keys() - given_up == affected_streams
    assert set(map(get_provider, given_up)) <= set(map(get_provider, affected_streams))
    fault_world.assert_complete(connection, synced.final_statuses.keys() - reasons.keys())
    recovery_sync = connection.sync()
    assert set(recovery_sync.final_statuses.values()) == {"COMPLETE"}, recovery_sync.error
    fault_world.assert_recovered(connection)


UNKNOWN = Fault("unknown id")
REFUSED_ENDPOINTS = {
    "402": TRANSIENT_4XX_FAULTS["402"],
    "404 page": TRANSIENT_4XX_FAULTS["404 page"],
    "409": TRANSIENT_4XX_FAULTS["409"],
    "425": TRANSIENT_4XX_FAULTS["425"],
    "451": TRANSIENT_4XX_FAULTS["451"],
    "unknown id": UNKNOWN,
}
"""All that is an answer and says no: what proves nothing, and the documented answer about an unknown id."""


@pytest.mark.sample
@pytest.mark.parametrize("syncs", [1, 3], ids=["heals", "stays"])
@pytest.mark.parametrize("endpoints", ENDPOINT_ROUNDS, ids=" ".join)
@pytest.mark.parametrize("name", REFUSED_ENDPOINTS)
def test_sync_rejected_endpoint_is_reported_and_recovered_afterwards(
    fault_world: FaultScenario, name: str, endpoints: tuple[str, ...], syncs: int
) -> None:
    connection = fault_world.first_day_connection()
    for _ in range(syncs):
        with under_faults(
            fault_world, *(replace(REFUSED_ENDPOINTS[name], endpoint=endpoint) for endpoint in endpoints)
        ):
            synced = connection.sync()
            match_counts = {entry["endpoint"]: entry["met"] for entry in fault_world.sandbox.faults.describe()}
        assert all(match_counts[endpoint] for endpoint in endpoints)
        if "INCOMPLETE" in synced.final_statuses.values():
            collect_stream_errors(synced, FailureType.transient_error, FailureType.config_error)
        for stream in synced.final_statuses:
            if synced.final_statuses[stream] == "COMPLETE":
                fault_world.assert_rows_explained(connection, stream)
        if name != "unknown id":
            affected_streams = fault_world.get_product_streams(
                *set().union(*(PRODUCTS_BY_ENDPOINT[endpoint] for endpoint in endpoints))
            )
            assert {
                stream for stream, status in synced.final_statuses.items() if status == "INCOMPLETE"
            } >= affected_streams
            assert not fault_world.find_false_losses(connection)
    recovery_sync = connection.sync()
    assert set(recovery_sync.final_statuses.values()) == {"COMPLETE"}, recovery_sync.error
    fault_world.assert_complete(connection, fault_world.baseline.streams)
    assert connection.sync().counts == {}


@pytest.mark.sample(3)
@pytest.mark.parametrize("times", [2, pytest.param(1, marks=pytest.mark.long), pytest.param(5, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", REFUSED_ENDPOINTS)
def test_sync_transient_rejections_are_recovered_in_the_next_sync(
    fault_world: FaultScenario, name: str, times: int
) -> None:
    for connection in (fault_world.first_day_connection(), fault_world.new_connection()):
        with under_faults(
            fault_world,
            *(replace(REFUSED_ENDPOINTS[name], endpoint=endpoint, times=times) for endpoint in PRODUCTS_BY_ENDPOINT),
        ):
            synced = connection.sync()

        if "INCOMPLETE" in synced.final_statuses.values():
            collect_stream_errors(synced, FailureType.transient_error, FailureType.config_error)
        else:
            assert name == "unknown id"
        for _ in range(2 if name == "unknown id" else 1):
            recovery_sync = connection.sync()
            assert set(recovery_sync.final_statuses.values()) == {"COMPLETE"}, recovery_sync.error
        fault_world.assert_complete(connection, fault_world.baseline.streams)
        assert connection.sync().counts == {}


STORM_FAULTS = {
    **{name: fault for name, (fault, _) in LASTING_FAULTS.items() if "late" not in name and "many" not in name},
    **{name: fault for name, fault in REFUSED_ENDPOINTS.items() if fault.kind == "status"},
}


def run_storm(fault_world: FaultScenario, seed: int, share: float, *faults: Fault) -> None:
    """Sync several times while a share of all requests fails, then without faults."""
    is_new = seed % 2 == 1
    connection = fault_world.new_connection() if is_new else fault_world.first_day_connection()
    fault_world.sandbox.faults.random.seed(seed)
    for _ in range(3):
        with under_faults(fault_world, *(replace(fault, share=share / len(faults)) for fault in faults)):
            synced = connection.sync()
            assert any(entry["met"] for entry in fault_world.sandbox.faults.describe())
        assert synced.final_statuses.keys() == set(connection.streams)
        assert all(statuses[-1] in {"COMPLETE", "INCOMPLETE"} for statuses in synced.statuses.values())
        if synced.error:
            collect_stream_errors(synced, *FailureType)
    recovery_sync = connection.sync()
    assert set(recovery_sync.final_statuses.values()) == {"COMPLETE"}, recovery_sync.error
    fault_world.assert_recovered(connection, fault_world.later_quiet_sync if is_new else fault_world.quiet_sync)


@pytest.mark.long
@pytest.mark.parametrize("share", [1 / 4, 2 / 3])
@pytest.mark.parametrize("name", STORM_FAULTS)
def test_sync_share_of_requests_failing_loses_no_rows(fault_world: FaultScenario, name: str, share: float) -> None:
    run_storm(fault_world, 1, share, STORM_FAULTS[name])


SEEDS = [pytest.param(seed, marks=() if seed < 2 else pytest.mark.long) for seed in range(24)]


@pytest.mark.parametrize("seed", SEEDS)
def test_sync_all_fault_kinds_at_once_loses_no_rows(fault_world: FaultScenario, seed: int) -> None:
    run_storm(
        fault_world,
        seed,
        (1 / 4, 1 / 2, 2 / 3)[seed % 3],
        *(fault for fault in STORM_FAULTS.values() if fault.kind != "stall"),
    )


CHECK_ENDPOINTS = {
    "extracta.viewExtraction",
    "extracta.viewClassification",
    "extracta.credits",
    "extracta.getBatchResults",
    "docmap.usage",
    "docmap.extractions",
    "sensible.document_types",
    "sensible.batch",
    "atlas.authtoken",
    "atlas.extracts",
}


def run_checks(fault_world: FaultScenario) -> list[tuple[str, str]]:
    """Run `check` of all providers, and of Extracta without templates.

    Returns:
        The error messages.
    """
    by_hand = fault_world.settings["extracta"]["extraction_batches"]
    check_results = []
    for settings in (fault_world.settings, {"extracta": {"extraction_batches": by_hand}}):
        connection = Connection(fault_world.sandbox, fault_world.url, settings)
        status = connection.source.check(log, connection.settings)
        check_results.append((status.status.value, status.message or ""))
    return check_results


def test_check_requests_exactly_the_check_endpoints(fault_world: FaultScenario) -> None:
    fault_world.sandbox.journal.clear()

    assert run_checks(fault_world) == [("SUCCEEDED", ""), ("SUCCEEDED", "")]
    assert set(fault_world.sandbox.journal.count_requests()) == CHECK_ENDPOINTS


@pytest.mark.sample(5)
@pytest.mark.parametrize("name", [name for name in PASSING_FAULTS if name != "stall"])
def test_check_retries_transient_and_reports_lasting_faults(fault_world: FaultScenario, name: str) -> None:
    with under_faults(
        fault_world, *(replace(PASSING_FAULTS[name], endpoint=endpoint, times=2) for endpoint in CHECK_ENDPOINTS)
    ):
        passed = run_checks(fault_world)
    with under_faults(fault_world, PASSING_FAULTS[name]):
        stayed = run_checks(fault_world)

    assert passed == [("SUCCEEDED", ""), ("SUCCEEDED", "")]
    assert [status for status, _ in stayed] == ["FAILED", "FAILED"]
    assert all(is_plain_text(expected_text) for _, expected_text in stayed)
    for provider in ("Extracta.ai", "DocMap", "Sensible", "Atlas"):
        assert len(re.findall(rf"{provider} [^.]*(\.ai|\(|[a-z])", stayed[0][1])) == 1


@pytest.mark.sample
@pytest.mark.parametrize("endpoint", sorted(CHECK_ENDPOINTS))
@pytest.mark.parametrize("name", REFUSED_ENDPOINTS)
def test_check_rejected_endpoint_is_reported_in_plain_text(
    fault_world: FaultScenario, name: str, endpoint: str
) -> None:
    with under_faults(fault_world, replace(REFUSED_ENDPOINTS[name], endpoint=endpoint)):
        refused = run_checks(fault_world)

    troubles = [expected_text for status, expected_text in refused if status == "FAILED"]
    assert troubles
    assert all(is_plain_text(expected_text) for expected_text in troubles)
    assert run_checks(fault_world) == [("SUCCEEDED", ""), ("SUCCEEDED", "")]
