"""Whole syncs through bad weather: every endpoint that a sync calls, every way in which its answers can fail."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import zip_longest
from typing import Any

import pytest
from airbyte_cdk.models import FailureType
from harness import Connection, log
from two_days import truth
from weather import CONCERNED, PRODUCTS, Weather, host, is_plain, meeting, told, weather

from sandbox import REFUSALS, Fault, throttled
from sandbox.faults import KINDS, SPOILT

PASSING = {
    **{f"{status}": Fault("status", status=status) for status in (408, 500, 502, 503, 504, 520)},
    "429": throttled(),
    "429 with seconds": throttled(retry_after=0),
    "429 with a date": throttled(retry_after=0, as_date=True),
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

LASTING = {
    "501": (Fault("status", status=501), FailureType.system_error),
    "307": (Fault("status", status=307, headers={"Location": "/elsewhere"}), FailureType.config_error),
    "redirect": (Fault("redirect"), FailureType.config_error),
    "407": (Fault("status", status=407, headers={"Proxy-Authenticate": "Basic"}), FailureType.config_error),
    "bad byte": (Fault("bad byte"), FailureType.system_error),
    "endless": (Fault("endless"), FailureType.system_error),
    "bomb": (Fault("bomb"), FailureType.system_error),
    "429 with many seconds": (throttled(retry_after=7200), FailureType.transient_error),
    "429 with a late date": (throttled(retry_after=7200, as_date=True), FailureType.transient_error),
    **{name: (fault, FailureType.transient_error) for name, fault in PASSING.items()},
}
"""All that can stay, and what kind of failure that is."""


def _rounds() -> list[tuple[str, ...]]:
    """One endpoint of each provider at a time: providers never meet."""
    by_host: dict[str, list[str]] = {}
    for endpoint in CONCERNED:
        by_host.setdefault(endpoint.split(".")[0], []).append(endpoint)
    return [tuple(filter(None, some)) for some in zip_longest(*by_host.values())]


ROUNDS = _rounds()


@pytest.fixture(scope="module")
def skies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weather]:
    with weather(tmp_path_factory.mktemp("weather")) as here:
        yield here


def test_every_endpoint_that_a_sync_calls_and_every_kind_of_fault_is_in_the_matrix(skies: Weather) -> None:
    assert set(CONCERNED) == set(skies.second.requests)
    assert {endpoint for some in ROUNDS for endpoint in some} == set(CONCERNED)
    faults = [*(fault for fault, _ in LASTING.values()), *REFUSED.values()]
    assert {fault.kind for fault in faults} | {"trickle", "charset", *SPOILT} == set(KINDS)
    assert REFUSALS.keys() | {"unknown id"} == set(REFUSED)


def test_in_good_weather_the_warehouse_is_equal_to_the_world(skies: Weather) -> None:
    world = list(truth(skies.sandbox))

    for product in PRODUCTS:
        files, results, batches = (
            skies.healthy.warehouse[f"{product}_{kind}"] for kind in ("files", "results", "batches")
        )
        own = [told for told in world if told.product == product]
        assert {key: row["status"] for key, row in files.items()} == {told.key: told.status for told in own}
        data = {key: value for told in own for key, value in told.results.items()}
        assert {key: row["data"] for key, row in results.items()} == data
        assert "open" in {row["status"] for row in batches.values()}
    assert {"failed", "pending", "processed"} == {told.status for told in world}
    assert skies.quiet.counts == {}


@pytest.mark.parametrize("name", PASSING)
def test_a_fault_that_passes_is_healed_within_the_sync(skies: Weather, name: str) -> None:
    connection = skies.connection()
    faults = [replace(PASSING[name], endpoint=endpoint, times=2) for endpoint in CONCERNED]
    with meeting(skies, *faults):
        synced = connection.sync()
        assert [one["met"] for one in skies.sandbox.faults.told()] == [2] * len(CONCERNED)

    assert set(synced.ends.values()) == {"COMPLETE"}, synced.error
    skies.is_whole(connection)
    assert synced.counts == skies.second.counts


def test_a_slow_trickle_costs_time_and_nothing_else(skies: Weather) -> None:
    connection = skies.connection()
    with meeting(skies, Fault("trickle", seconds=0.1)):
        synced = connection.sync()

    assert set(synced.ends.values()) == {"COMPLETE"}, synced.error
    assert (synced.counts, synced.requests) == (skies.second.counts, skies.second.requests)
    skies.is_whole(connection)


@pytest.mark.parametrize("charset", ["iso-8859-1", "windows-1252", "utf-16", "us-ascii", "utf-8"])
def test_sync_answers_in_another_charset_say_the_same(skies: Weather, charset: str) -> None:
    connection = skies.connection()
    with meeting(skies, Fault("charset", charset=charset)):
        synced = connection.sync()

    assert set(synced.ends.values()) == {"COMPLETE"}, synced.error
    assert (synced.counts, synced.requests) == (skies.second.counts, skies.second.requests)
    skies.is_whole(connection)


def crossed(names: Iterable[Any], *short: Any) -> list[Any]:
    """Every one of these with every round. Of the most, `make test` has one round, the longer proofs the others."""
    return [
        pytest.param(
            name,
            endpoints,
            id=f"{name} {' '.join(endpoints)}",
            marks=() if place % len(ROUNDS) == number or name in short else pytest.mark.long,
        )
        for place, name in enumerate(names)
        for number, endpoints in enumerate(ROUNDS)
    ]


@pytest.mark.parametrize(("name", "endpoints"), crossed(LASTING, "500", "html"))
def test_a_fault_that_stays_costs_its_own_streams_and_the_next_sync_picks_them_up(
    skies: Weather, name: str, endpoints: tuple[str, ...]
) -> None:
    fault, failure = LASTING[name]
    connection = skies.connection()
    with meeting(skies, *(replace(fault, endpoint=endpoint) for endpoint in endpoints)):
        synced = connection.sync()

    reasons = told(synced, failure)
    concerned = skies.streams(*set().union(*(CONCERNED[endpoint] for endpoint in endpoints)))
    # Of a provider that is given up, what had not been asked for by then is missing as well.
    given_up = {stream for stream, words in reasons.items() if "failed 3 times in a row" in words} - concerned
    assert reasons.keys() - given_up == concerned
    assert set(map(host, given_up)) <= set(map(host, concerned))
    skies.has_all(connection, synced.ends.keys() - reasons.keys())
    healed = connection.sync()
    assert set(healed.ends.values()) == {"COMPLETE"}, healed.error
    skies.is_whole(connection)


UNKNOWN = Fault("unknown id")
REFUSED = {
    "402": REFUSALS["402"],
    "404 page": REFUSALS["404 page"],
    "409": REFUSALS["409"],
    "425": REFUSALS["425"],
    "451": REFUSALS["451"],
    "unknown id": UNKNOWN,
}
"""All that is an answer and says no: what proves nothing, and the documented answer about an unknown id."""


@pytest.mark.parametrize("syncs", [1, 3], ids=["heals", "stays"])
@pytest.mark.parametrize(("name", "endpoints"), crossed(REFUSED, "402", "unknown id"))
def test_a_refusal_at_an_endpoint_is_an_error_or_a_row_that_says_so_and_everything_arrives_after_it(
    skies: Weather, name: str, endpoints: tuple[str, ...], syncs: int
) -> None:
    connection = skies.connection()
    for _ in range(syncs):
        with meeting(skies, *(replace(REFUSED[name], endpoint=endpoint) for endpoint in endpoints)):
            synced = connection.sync()
            met = {one["endpoint"]: one["met"] for one in skies.sandbox.faults.told()}
        assert all(met[endpoint] for endpoint in endpoints)
        if "INCOMPLETE" in synced.ends.values():
            told(synced, FailureType.transient_error, FailureType.config_error)
        for stream in synced.ends:
            if synced.ends[stream] == "COMPLETE":
                skies.accounts_for_all(connection, stream)
        if name != "unknown id":
            concerned = skies.streams(*set().union(*(CONCERNED[endpoint] for endpoint in endpoints)))
            assert {stream for stream, end in synced.ends.items() if end == "INCOMPLETE"} >= concerned
            assert not skies.says_lost(connection)
    healed = connection.sync()
    assert set(healed.ends.values()) == {"COMPLETE"}, healed.error
    skies.has_all(connection, skies.healthy.streams)
    assert connection.sync().counts == {}


@pytest.mark.parametrize("times", [1, 2, 5])
@pytest.mark.parametrize("name", REFUSED)
def test_after_refusals_that_pass_within_a_sync_the_next_one_brings_what_they_cost(
    skies: Weather, name: str, times: int
) -> None:
    for connection in (skies.connection(), skies.newcomer()):
        with meeting(skies, *(replace(REFUSED[name], endpoint=endpoint, times=times) for endpoint in CONCERNED)):
            synced = connection.sync()

        if "INCOMPLETE" in synced.ends.values():
            told(synced, FailureType.transient_error, FailureType.config_error)
        else:
            assert name == "unknown id"
        for _ in range(2 if name == "unknown id" else 1):
            healed = connection.sync()
            assert set(healed.ends.values()) == {"COMPLETE"}, healed.error
        skies.has_all(connection, skies.healthy.streams)
        assert connection.sync().counts == {}


STORMS = {
    **{name: fault for name, (fault, _) in LASTING.items() if "late" not in name and "many" not in name},
    **{name: fault for name, fault in REFUSED.items() if fault.kind == "status"},
}


def storm(skies: Weather, seed: int, share: float, *faults: Fault) -> None:
    """Several syncs while a share of all calls meets one of the faults; then the sun comes out."""
    is_new = seed % 2 == 1
    connection = skies.newcomer() if is_new else skies.connection()
    skies.sandbox.faults.random.seed(seed)
    for _ in range(3):
        with meeting(skies, *(replace(fault, share=share / len(faults)) for fault in faults)):
            synced = connection.sync()
            assert any(one["met"] for one in skies.sandbox.faults.told())
        assert synced.ends.keys() == set(connection.streams)
        assert all(statuses[-1] in {"COMPLETE", "INCOMPLETE"} for statuses in synced.statuses.values())
        if synced.error:
            told(synced, *FailureType)
    healed = connection.sync()
    assert set(healed.ends.values()) == {"COMPLETE"}, healed.error
    # Where the batch that is named by hand could not be asked for while the list was read past its old documents, these
    # are forgotten with the rest of that window, and are new when the batch names them at last.
    skies.is_whole(connection, skies.quiet_later if is_new else skies.quiet, may_come_again="by hand")


@pytest.mark.long
@pytest.mark.parametrize("share", [1 / 4, 2 / 3])
@pytest.mark.parametrize("name", STORMS)
def test_after_a_share_of_all_calls_failed_nothing_is_missing(skies: Weather, name: str, share: float) -> None:
    storm(skies, 1, share, STORMS[name])


SEEDS = [pytest.param(seed, marks=() if seed < 6 else pytest.mark.long) for seed in range(60)]


@pytest.mark.parametrize("seed", SEEDS)
def test_after_all_kinds_of_faults_at_once_nothing_is_missing(skies: Weather, seed: int) -> None:
    storm(skies, seed, (1 / 4, 1 / 2, 2 / 3)[seed % 3], *(one for one in STORMS.values() if one.kind != "stall"))


CHECKED = {
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


def checked(skies: Weather) -> list[tuple[str, str]]:
    """What `check` says of all providers, and of Extracta without templates; errors in sentences."""
    by_hand = skies.settings["extracta"]["extraction_batches"]
    found = []
    for settings in (skies.settings, {"extracta": {"extraction_batches": by_hand}}):
        connection = Connection(skies.sandbox, skies.url, settings)
        status = connection.source.check(log, connection.settings)
        found.append((status.status.value, status.message or ""))
    return found


def test_check_calls_what_is_checked_here(skies: Weather) -> None:
    skies.sandbox.journal.clear()

    assert checked(skies) == [("SUCCEEDED", ""), ("SUCCEEDED", "")]
    assert set(skies.sandbox.journal.counts()) == CHECKED


@pytest.mark.parametrize("name", [name for name in PASSING if name != "stall"])
def test_check_waits_for_what_passes_and_says_in_words_what_stays(skies: Weather, name: str) -> None:
    with meeting(skies, *(replace(PASSING[name], endpoint=one, times=2) for one in CHECKED)):
        passed = checked(skies)
    with meeting(skies, PASSING[name]):
        stayed = checked(skies)

    assert passed == [("SUCCEEDED", ""), ("SUCCEEDED", "")]
    assert [status for status, _ in stayed] == ["FAILED", "FAILED"]
    assert all(is_plain(words) for _, words in stayed)
    for provider in ("Extracta.ai", "DocMap", "Sensible", "Atlas"):
        assert len(re.findall(rf"{provider} [^.]*(\.ai|\(|[a-z])", stayed[0][1])) == 1


@pytest.mark.parametrize("endpoint", sorted(CHECKED))
@pytest.mark.parametrize("name", REFUSED)
def test_check_says_in_words_what_is_refused(skies: Weather, name: str, endpoint: str) -> None:
    with meeting(skies, replace(REFUSED[name], endpoint=endpoint)):
        refused = checked(skies)

    troubles = [words for status, words in refused if status == "FAILED"]
    assert troubles
    assert all(is_plain(words) for words in troubles)
    assert checked(skies) == [("SUCCEEDED", ""), ("SUCCEEDED", "")]
