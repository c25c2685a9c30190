"""The looks at settled batches (`lookback_checks`), with made-up products on the real engine and a clock that is moved.

An edit leaves no sign, so the connector has to look. How often it does, and how late an edit arrives, is promised here.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from queue import SimpleQueue
from typing import Any

import pytest
from airbyte_cdk.models import (
    AirbyteMessage,
    AirbyteStateMessage,
    ConfiguredAirbyteCatalogSerializer,
)
from airbyte_cdk.sources.connector_state_manager import ConnectorStateManager
from hypothesis import given, settings
from hypothesis import strategies as st

from source_docextract.catalog import build_configured_catalog, list_standard_streams, select_streams
from source_docextract.core.errors import ConnectorError, TransientError, UnreadableResponse
from source_docextract.core.model import Document, Extraction, FileStatus, PartitionRef, PartitionStatus, Snapshot
from source_docextract.core.provider import ProviderSpec, StreamGroup
from source_docextract.core.requests import ErrorFormat
from source_docextract.http.client import Client
from source_docextract.settings import Settings
from source_docextract.state.entries import SyncPolicy
from source_docextract.sync import engine
from source_docextract.sync.checkpoints import Checkpoints, StateSizeMonitor
from source_docextract.sync.messages import make_record_messages
from source_docextract.sync.provider_sync import ProviderSync
from source_docextract.sync.shutdown import Shutdown
from unit_tests.support.harness import START, get_stream_part

log = logging.getLogger("airbyte.test")

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
LOOKBACK = 72 * HOUR
BOUNDARIES = [1, 2, 4, 8, 16, 32, 64, 72]
"""The ages in hours at which an hourly sync looks at a settled batch, with a lookback of three days."""

FILES, RESULTS = "acme_files", "acme_results"


def make_flow(result: Any) -> Generator[Any, Any, Any]:
    """Return a request flow that sends no request, and returns or raises a result."""
    if isinstance(result, ConnectorError):
        raise result
    return result
    yield


@dataclass
class MadeUpBatch:
    """A batch of one document.

    Attributes:
        completed_at: when it finished; the provider has that time.
        edits: the times at which a person has edited it.
    """

    completed_at: datetime
    edits: list[datetime] = field(default_factory=list)

    def get_version(self, now: datetime) -> int:
        """Return how often it has been edited."""
        return sum(edited_at <= now for edited_at in self.edits)


@dataclass
class MadeUpAccount:
    """An account with a product that the connector does not know, and one connection to it.

    Attributes:
        batches: its batches by id. A list names them without a sign of their edits.
        lookback: the product's own lookback; None for that of the settings.
        policy: the settings of the connection.
        now: the clock.
        failing: what the provider answers instead of a batch or, under an empty id, of the list.
        looks: the times at which each batch was requested.
        delivered: the last version of each batch that came, by stream.
        repeated: versions that came although the state had covered them.
    """

    batches: dict[str, MadeUpBatch]
    lookback: timedelta | None = None
    policy: SyncPolicy = field(default_factory=lambda: SyncPolicy(LOOKBACK))
    now: datetime = START
    failing: dict[str, ConnectorError] = field(default_factory=dict)
    looks: defaultdict[str, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    delivered: defaultdict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    repeated: list[tuple[str, str, int]] = field(default_factory=list)
    states: dict[str, AirbyteStateMessage] = field(default_factory=dict)
    _covered: defaultdict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    _emitted: defaultdict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))

    @property
    def spec(self) -> ProviderSpec:
        """The made-up provider."""
        group = StreamGroup(
            name="acme",
            template_ids=("t",),
            discover=lambda _: make_flow(self.failing.get("", self.list_batches())),
            fetch=self.fetch,
            lookback=self.lookback,
        )
        error_format = ErrorFormat("Acme", "acme.key", lambda _: None)
        return ProviderSpec(error_format, "http://127.0.0.1:9", (group,), lambda: make_flow(None))

    def list_batches(self) -> list[PartitionRef]:
        """Return the batches that exist by now."""
        return [
            PartitionRef("t", name, created_at=batch.completed_at, approx_created_at=batch.completed_at)
            for name, batch in self.batches.items()
            if batch.completed_at <= self.now
        ]

    def fetch(self, ref: PartitionRef) -> Generator[Any, Any, Any]:
        """Return a batch as it is now."""
        batch = self.batches[ref.batch_id]
        self.looks[ref.batch_id].append(self.now)
        data = {"version": batch.get_version(self.now)}
        document = Document(
            key="a",
            status=FileStatus.PROCESSED,
            extractions=(Extraction(data=data, hashable_data=data),),
            provider_data=data,
        )
        snapshot = Snapshot(ref, PartitionStatus.COMPLETE, documents=(document,), completed_at=batch.completed_at)
        return make_flow(self.failing.get(ref.batch_id, snapshot))

    def sync(self, *names: str, stop_after: int | None = None) -> Counter[str]:
        """Sync some streams, the results by default, and return how often each batch was requested."""
        self._emitted.clear()
        count_before = {name: len(times) for name, times in self.looks.items()}
        for number, message in enumerate(self._run(names or (RESULTS,)), start=1):
            self._take_in(message)
            if number == stop_after:
                break
        return Counter({name: len(times) - count_before.get(name, 0) for name, times in self.looks.items()}) + Counter()

    def _run(self, names: Collection[str]) -> Iterator[AirbyteMessage]:
        spec = self.spec
        catalog_json = build_configured_catalog(list_standard_streams([spec]), list(names))
        catalog = ConfiguredAirbyteCatalogSerializer.load(catalog_json)
        state_manager = ConnectorStateManager(list(self.states.values()))
        streams = select_streams(
            Settings.parse({"docmap": {"api_key": "made-up-key-0001"}}),
            self.policy,
            [spec],
            catalog,
            state_manager=state_manager,
            make_messages=make_record_messages,
            logger=log,
        ).streams
        completions: SimpleQueue[Any] = SimpleQueue()
        provider_sync = ProviderSync(
            spec,
            streams,
            client=Client(spec.error_format, spec.base_url),
            completions=completions,
            checkpoints=Checkpoints(streams, state_manager, StateSizeMonitor(log)),
            policy=self.policy,
            now=lambda: self.now,
            logger=log,
        )
        return engine.run([provider_sync], completions, Shutdown())

    def _take_in(self, message: AirbyteMessage) -> None:
        if message.record:
            stream, row = message.record.stream, message.record.data
            version = (row["data"] if stream == RESULTS else row["provider_data"])["version"]
            if self._covered[stream].get(row["batch_id"]) == version:
                self.repeated.append((stream, row["batch_id"], version))
            self.delivered[stream][row["batch_id"]] = self._emitted[stream][row["batch_id"]] = version
        elif message.state:
            name = get_stream_part(message.state).stream_descriptor.name
            self.states[name] = message.state
            self._covered[name].update(self._emitted[name])

    def get_state_json(self, stream: str = RESULTS) -> dict[str, Any]:
        """Return a stream's state."""
        return dict(vars(get_stream_part(self.states[stream]).stream_state))


def make_account(*ages: float, **options: Any) -> MadeUpAccount:
    """Return an account with one batch for each age in hours."""
    return MadeUpAccount(
        {f"b{number}": MadeUpBatch(START - age * HOUR) for number, age in enumerate(ages)},
        **options,
    )


def list_look_ages(account: MadeUpAccount, name: str = "b0") -> list[float]:
    """Return the ages in hours at which a batch was requested."""
    return [(looked_at - account.batches[name].completed_at) / HOUR for looked_at in account.looks[name]]


def test_looks_hourly_syncs_over_three_days_make_nine_requests_a_batch() -> None:
    account = make_account(*[0] * 12)
    for _ in range(80):
        account.sync()
        account.now += HOUR

    assert [list_look_ages(account, name) for name in account.batches] == [[0, *BOUNDARIES]] * 12
    assert account.repeated == []


def test_looks_every_sync_setting_requests_each_batch_at_each_sync_of_the_lookback() -> None:
    account = make_account(0, policy=SyncPolicy(LOOKBACK, looks_every_sync=True))
    for _ in range(24 * 4):
        account.sync()
        account.now += HOUR

    assert list_look_ages(account) == [*range(72)]


def test_looks_daily_syncs_request_each_batch_each_day_and_once_as_the_lookback_ends() -> None:
    account = make_account(5)
    for _ in range(6):
        account.sync()
        account.now += 24 * HOUR

    assert list_look_ages(account) == [5, 29, 53, 77]


@pytest.mark.parametrize("age", [0.2, 0.9, 1.5, 3, 7.75, 20, 33, 50, 65, 71.9])
def test_looks_edit_at_any_age_arrives_by_twice_that_age(age: float) -> None:
    account = make_account(0)
    account.batches["b0"].edits.append(START + age * HOUR)
    arrived_at = None
    while arrived_at is None:
        account.sync()
        if account.delivered[RESULTS]["b0"]:
            arrived_at = (account.now - START) / HOUR
        account.now += HOUR

    assert age <= arrived_at <= min(max(2 * age, 1), 72) + 1


def test_looks_first_sync_long_after_the_lookback_looks_a_last_time() -> None:
    account = make_account(0)
    account.sync()
    account.batches["b0"].edits.append(START + 70 * HOUR)
    account.now += 500 * HOUR

    assert account.sync() == {"b0": 1}
    assert account.delivered[RESULTS] == {"b0": 1}
    account.now += 500 * HOUR
    assert account.sync() == {}


def test_looks_lookback_of_zero_days_makes_none() -> None:
    account = make_account(0, policy=SyncPolicy(timedelta()))
    account.sync()
    for hours in (1, 10, 100):
        account.now += hours * HOUR
        assert account.sync() == {}


def test_looks_own_lookback_of_a_product_replaces_that_of_the_settings() -> None:
    never, shorter = make_account(0, lookback=timedelta()), make_account(0, lookback=6 * HOUR)
    for _ in range(12):
        never.sync()
        shorter.sync()
        never.now += HOUR
        shorter.now += HOUR

    assert list_look_ages(never) == [0]
    assert list_look_ages(shorter) == [0, 1, 2, 4, 6]


def test_looks_failed_look_is_made_at_the_next_sync_and_the_others_are_not_repeated() -> None:
    account = make_account(0, 0)
    account.sync()
    account.now += 5 * HOUR
    account.failing = {"b1": UnreadableResponse("It cannot be read.")}
    assert account.sync() == {"b0": 1, "b1": 1}

    account.now += HOUR
    assert account.sync() == {"b1": 1}
    account.now += HOUR / 2
    account.failing.clear()
    assert account.sync() == {"b1": 1}
    account.now += HOUR
    assert account.sync() == {}


def test_looks_failed_last_look_is_made_however_late() -> None:
    account = make_account(0)
    account.sync()
    account.batches["b0"].edits.append(START + 70 * HOUR)
    account.now += 73 * HOUR
    account.failing = {"b0": UnreadableResponse("It cannot be read.")}
    account.sync()
    account.failing.clear()
    account.now += 300 * HOUR

    assert account.sync() == {"b0": 1}
    assert account.delivered[RESULTS] == {"b0": 1}
    account.now += HOUR
    assert account.sync() == {}


def test_looks_of_a_template_whose_list_failed_are_made_at_the_next_sync() -> None:
    account = make_account(0)
    account.sync()
    account.now += 4 * HOUR
    account.failing = {"": UnreadableResponse("It cannot be read.")}
    assert account.sync() == {}

    account.now += HOUR
    account.failing.clear()
    assert account.sync() == {"b0": 1}
    assert "failed_keys" not in account.get_state_json()


def test_looks_after_an_aborted_or_killed_sync_are_made_again() -> None:
    account = make_account(*[0] * 6)
    account.sync()
    account.now += 4 * HOUR
    account.failing = {f"b{number}": TransientError("It is down.") for number in range(3)}
    assert sum(account.sync().values()) < 6

    account.failing.clear()
    account.now += HOUR
    for batch in account.batches.values():
        batch.edits.append(account.now)
    account.sync(stop_after=4)  # after the state of the first batch
    assert account.get_state_json()["last_complete_sync"] == "2026-11-20T09:00Z"
    account.now += HOUR
    assert account.sync() == dict.fromkeys(account.batches, 1)
    assert set(account.delivered[RESULTS].values()) == {1}


def test_looks_of_a_stream_added_later_do_not_repeat_those_of_the_others() -> None:
    account = make_account(0)
    account.sync(RESULTS)
    account.now += 5 * HOUR
    account.sync(RESULTS)

    account.now += HOUR
    assert account.sync(RESULTS, FILES) == {"b0": 1}
    account.now += HOUR
    assert account.sync(RESULTS, FILES) == {}
    account.now += HOUR
    assert account.sync(RESULTS, FILES) == {"b0": 1}
    assert account.repeated == []


def test_looks_without_a_time_in_an_older_state_are_made_in_the_whole_lookback() -> None:
    account = make_account(0, 100)
    account.sync()
    state_json = account.get_state_json()
    assert state_json.pop("last_complete_sync") == "2026-11-20T09:00Z"
    vars(get_stream_part(account.states[RESULTS]).stream_state).pop("last_complete_sync")
    account.now += HOUR / 2

    assert account.sync() == {"b0": 1}


def test_looks_with_the_clock_set_back_are_made_in_the_whole_lookback() -> None:
    account = make_account(10, 100)
    account.sync()
    account.now -= 2 * HOUR

    assert account.sync() == {"b0": 1}
    account.now += 2 * HOUR
    assert account.sync() == {}


NAMES = [f"b{number}" for number in range(4)]

SYNCS = st.lists(
    st.fixed_dictionaries(
        {
            "minutes": st.sampled_from([5, 20, 60, 60, 61, 180, 600, 1440, 1500, 6000, 30000]),
            "edited": st.sets(st.sampled_from(NAMES)),
            "failing": st.sets(st.sampled_from(["", *NAMES]), max_size=2),
            "is_down": st.booleans(),
            "stop_after": st.sampled_from([None, None, None, 1, 2, 3, 5, 8]),
            "streams": st.sampled_from([(RESULTS,), (RESULTS,), (RESULTS, FILES), (FILES,)]),
        }
    ),
    max_size=14,
)


SCHEDULES = given(
    ages=st.lists(st.integers(-6000, 6000), min_size=4, max_size=4), syncs=SYNCS, seconds=st.integers(0, 59)
)


@settings(max_examples=25, deadline=None)
@SCHEDULES
def test_looks_over_any_syncs_show_each_edit_in_time(
    ages: Sequence[int], syncs: Sequence[dict[str, Any]], seconds: int
) -> None:
    check_schedule(ages, syncs, seconds)


@pytest.mark.long
@settings(max_examples=400, deadline=None)
@SCHEDULES
def test_looks_over_very_many_syncs_show_each_edit_in_time(
    ages: Sequence[int], syncs: Sequence[dict[str, Any]], seconds: int
) -> None:
    check_schedule(ages, syncs, seconds)


def check_schedule(ages: Sequence[int], syncs: Sequence[dict[str, Any]], seconds: int) -> None:
    """Batches come and are edited, while syncs fail, are killed, and take place at any time."""
    account = make_account(*(age / 60 for age in ages))
    account.now += timedelta(seconds=seconds)
    for planned_sync in [*syncs, {"minutes": 60}, {"minutes": 30000}]:
        for name in planned_sync.get("edited", ()):
            # In the middle between two syncs.
            edited_at = account.now + planned_sync["minutes"] / 2 * MINUTE
            if account.batches[name].completed_at <= edited_at:
                account.batches[name].edits.append(edited_at)
        account.now += planned_sync["minutes"] * MINUTE
        error: ConnectorError = TransientError("Down.") if planned_sync.get("is_down") else UnreadableResponse("Odd.")
        account.failing = dict.fromkeys(planned_sync.get("failing", ()), error)
        streams, stop_after = planned_sync.get("streams", (RESULTS, FILES)), planned_sync.get("stop_after")
        account.sync(*streams, stop_after=stop_after)
        if stop_after is None and "" not in account.failing:
            for stream in streams:
                check_edits(account, stream)
    assert account.repeated == []


def check_edits(account: MadeUpAccount, stream: str) -> None:
    """Check that each edit has arrived that was due by now, in the batches that could be read."""
    for name, batch in account.batches.items():
        for number, edited_at in enumerate(batch.edits, start=1):
            age = edited_at - batch.completed_at
            # The state holds times to the minute.
            deadline = batch.completed_at + min(max(2 * age, HOUR), LOOKBACK) + MINUTE
            if age < LOOKBACK and deadline <= account.now and name not in account.failing:
                assert account.delivered[stream].get(name, -1) >= number, (stream, name, age, account.now - edited_at)
