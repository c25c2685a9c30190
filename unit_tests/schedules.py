"""Schedules: what happens in all accounts, in any order, between syncs that break off anywhere.

Days are counted in any zone, pages are short, and settings ask for less and for more in between.

When the world falls quiet, one more sync makes the warehouse equal to the world, for every stream of every provider;
the next one delivers nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

from accounts import ACCOUNTS, Account
from airbyte_cdk.models import ConfiguredAirbyteCatalog, ConfiguredAirbyteStream
from airbyte_cdk.utils.traced_exception import AirbyteTracedException
from harness import Connection, is_same, world
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from leaves import leaves, sent

from sandbox import REFUSALS, Fault

KINDS = ("batches", "files", "results", "fields")
STREAMS = [f"{account.product}_{kind}" for account in ACCOUNTS for kind in KINDS]
EVENTS = sorted({(place, event) for place, account in enumerate(ACCOUNTS) for event in account.events})
NUMBERS = st.integers(0, 7)
TROUBLES = (429, 500, 503, 501, 200)
"""Statuses; with 200 comes an answer that nobody can read."""
SOME = st.sets(st.sampled_from(STREAMS), min_size=1)
HOSTS = ("extracta", "docmap", "sensible", "atlas")
LISTED = ("docmap", "sensible")
"""Those that are read out of lists by time."""
ZONES = ("UTC", "Etc/GMT+8", "Pacific/Kiritimati", "Etc/GMT+12", "Asia/Kolkata", "America/New_York")
SWITCHES = st.fixed_dictionaries(
    {
        "classification_batches": st.booleans(),
        "atlas_total_counts_extracted": st.booleans(),
        "atlas_error_in_file_data": st.booleans(),
        "extracta_start_time": st.sampled_from(("ms", "http", "seconds_and_nanoseconds", "nanoseconds", "words")),
        "sensible_portfolios": st.sampled_from(("whole", "no_documents", "no_output")),
        "sensible_postprocessed": st.booleans(),
        "docmap_zone": st.sampled_from(ZONES),
        "docmap_scan": st.sampled_from((0, 8)),
        "docmap_cursor_inclusive": st.booleans(),
        "docmap_cursor_rows_only": st.booleans(),
        "sensible_scan": st.sampled_from((0, 3)),
    }
)
ABOUT_ONE_ID = (
    "extracta.getBatchResults",
    "extracta.getResults",
    "docmap.extraction",
    "sensible.document",
    "sensible.batch",
    "atlas.extracts",
)
_LATER = 24
"""Days that pass at most where edits shall be seen for 30 days after."""


class Schedule(RuleBasedStateMachine):
    """One sandbox, one connection, five accounts."""

    kill_process: ClassVar[bool] = False
    more: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.known: list[ConfiguredAirbyteStream] = []

    @initialize(anything=st.booleans(), short=st.sampled_from((0, 1, 3)), switches=SWITCHES)
    def begin(self, anything: bool, short: int, switches: dict[str, Any]) -> None:
        served = world(**switches)
        self.sandbox, url = self._stack.enter_context(served)
        settings: dict[str, Any] = {
            "lookback_days": 30 if anything else short,
            "give_up_after_days": 3650,
            **self.more,
        }
        self.accounts: list[Account] = [account(self.sandbox, settings, anything) for account in ACCOUNTS]
        self.connection = Connection(self.sandbox, url, settings)
        for account in self.accounts:
            account.settings = self.connection.settings
        self.anything = anything
        self.days = 0
        self.was_unknown = False

    @rule(event=st.sampled_from(EVENTS), a=NUMBERS, b=NUMBERS)
    def happens(self, event: tuple[int, str], a: int, b: int) -> None:
        place, name = event
        getattr(self.accounts[place], name)(a, b)

    @rule(hours=st.integers(1, 30), days=st.sampled_from((0, 0, 1, 4, 9)))
    def waits(self, hours: int, days: int) -> None:
        if self.anything and self.days + days + 2 > _LATER:
            return
        self.days += days + hours // 24 + 1
        self.sandbox.clock.advance(seconds=3600 * hours, days=days)

    @rule(days=st.sampled_from((None, 0, 2, 5, 40)))
    def starts_at(self, days: int | None) -> None:
        """The start date is moved, back or on. Where days are summed up, that costs a day."""
        self.connection.settings.pop("start_date", None)
        if days is not None:
            when = self.sandbox.clock.now() - timedelta(days=days, minutes=1)
            self.connection.settings["start_date"] = when.isoformat()
        for account in self.accounts:
            account.batches_again = True
            account.costs_again = account.costs_again or account.host not in LISTED

    @rule(streams=SOME)
    def syncs(self, streams: set[str]) -> None:
        self.sync(streams)

    @rule(streams=SOME, stop_after=st.integers(1, 150))
    def syncs_and_breaks_off(self, streams: set[str], stop_after: int) -> None:
        if self.kill_process:
            self.connection.sync_and_kill(*self.available(streams), after=stop_after)
        else:
            self.sync(streams, stop_after)

    @rule(streams=SOME, host=st.sampled_from(HOSTS), times=st.integers(1, 12), status=st.sampled_from(TROUBLES))
    def syncs_in_bad_weather(self, streams: set[str], host: str, times: int, status: int) -> None:
        fault = Fault("status", f"{host}.*", times=times, share=0.5, status=status, body=[] if status == 200 else "")
        with self.sandbox.faults.during(fault):
            self.sync(streams)

    @rule(
        streams=SOME, host=st.sampled_from(HOSTS), times=st.integers(1, 12), name=st.sampled_from(sorted(REFUSALS)),
        share=st.sampled_from((0.3, 1.0)),
    )  # fmt: skip
    def syncs_and_is_refused(self, streams: set[str], host: str, times: int, name: str, share: float) -> None:
        """What is refused says nothing of what was asked for."""
        fault = replace(REFUSALS[name], endpoint=f"{host}.*", times=times, share=share)
        with self.sandbox.faults.during(fault):
            self.sync(streams)

    @rule(streams=SOME, endpoint=st.sampled_from(ABOUT_ONE_ID), times=st.integers(1, 12))
    def syncs_and_is_not_known(self, streams: set[str], endpoint: str, times: int) -> None:
        """The documented answer about an unknown id is no end either, while somebody names or lists it."""
        self.was_unknown = True
        with self.sandbox.faults.during(Fault("unknown id", endpoint, times=times)):
            self.sync(streams)

    def sync(self, streams: set[str], stop_after: int | None = None) -> None:
        self.connection.sync(*self.available(streams), stop_after=stop_after)

    def available(self, streams: set[str]) -> list[str]:
        found = [stream for stream in self.connection.streams if stream in streams]
        return found or self.connection.streams[:1]

    def teardown(self) -> None:
        with self._stack:
            if hasattr(self, "accounts"):
                self.check()

    def check(self) -> None:
        self.connection.settings.pop("start_date", None)
        for account in self.accounts:
            account.choose_all()
        for account in (*self.accounts, *self.accounts):  # what is classified may be handed on, and finish then
            account.finish()
        if self.was_unknown:
            # What was not known is looked for ever more seldom: at the latest when its age has doubled.
            self.connection.sync()
            self.sandbox.clock.advance(days=self.days + 2)
        last = self.connection.sync()
        assert set(last.ends.values()) == {"COMPLETE"}, last.error
        fresh = Connection(self.sandbox, self.connection.url, self.connection.settings)
        assert set(fresh.sync().ends.values()) == {"COMPLETE"}
        for account in self.accounts:
            self.check_rows(account)
            self.check_fields(account)
            self.check_columns(account, fresh)
            self.check_repeats(account)
        assert self.connection.sync().counts == {}

    def check_rows(self, account: Account) -> None:
        """Files and results, against the world itself."""
        truth = account.truth()
        files = self.connection.warehouse[f"{account.product}_files"]
        results = self.connection.warehouse[f"{account.product}_results"]
        held = {key: (row["status"], results[key]["data"] if key in results else None) for key, row in files.items()}
        assert held.keys() - account.gone == truth.keys() - account.gone
        for key, row in truth.items():
            assert key in account.gone or held[key] == row, (key, held[key], row)
            assert key not in held or held[key][0] == row[0] or key in account.gone, key

    def check_fields(self, account: Account) -> None:
        """Every value of every result; what an edit has taken away has another digest."""
        values: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        for row in current_fields(self.connection, account.product).values():
            values[row["result_key"]][row["path"]] = sent(row)
        for key, result in self.connection.warehouse[f"{account.product}_results"].items():
            told = leaves(result["data"], account.product)
            assert key.split("#")[0] in account.gone or values[key] == told, (key, values[key], told)

    def check_columns(self, account: Account, fresh: Connection) -> None:
        """Every column of every stream, against what someone reads who comes new."""
        for kind in KINDS:
            stream = f"{account.product}_{kind}"
            held, told = self.connection.warehouse[stream], fresh.warehouse[stream]
            if kind == "fields":
                held = current_fields(self.connection, account.product)
            gone = {key for key in held.keys() | told.keys() if key.split("#")[0] in account.gone}
            assert held.keys() - gone == told.keys() - gone, stream
            for key, row in told.items():
                assert key in gone or is_same(held[key], row), (stream, held[key], row)

    def check_repeats(self, account: Account) -> None:
        """What came twice had been delivered after the state that the sync went on from."""
        related = [one for one in self.accounts if one.host == account.host]  # what is classified is handed on
        if not any(one.costs_again for one in related):
            for stream, keys in self.connection.repeated.items():
                is_batches = stream.endswith("_batches")
                if stream.rsplit("_", 1)[0] == account.product and not (is_batches and account.batches_again):
                    assert not keys, (stream, keys)


def current_fields(connection: Connection, product: str) -> dict[str, dict[str, Any]]:
    """Those that belong to their result as it is now: the digest says so."""
    results = connection.warehouse[f"{product}_results"]
    rows = connection.warehouse[f"{product}_fields"]
    digests = {key: row["digest"] for key, row in results.items()}
    return {key: row for key, row in rows.items() if row["digest"] == digests.get(row["result_key"])}


class KilledSchedule(Schedule):
    """The same, but what breaks off is a process of its own; at least one does, when all has been finished."""

    kill_process = True

    @initialize(after=st.integers(1, 40))
    def choose(self, after: int) -> None:
        self.after = after

    def check(self) -> None:
        for account in self.accounts:
            account.finish()
        self.connection.sync_and_kill(*self.connection.streams, after=self.after)
        super().check()


class TypedSchedule(Schedule):
    """The same with typed tables, as they are discovered before each sync; in bad weather with those known before."""

    more: ClassVar[dict[str, Any]] = {"typed_tables": True}

    def sync(self, streams: set[str], stop_after: int | None = None) -> None:
        with suppress(AirbyteTracedException):
            self.known = self.connection.catalog().streams
        hosts = {stream.split("_")[0] for stream in streams}
        chosen = [one for one in self.known if one.stream.name in streams or self.is_typed(one.stream.name, hosts)]
        self.connection.sync(catalog=ConfiguredAirbyteCatalog(streams=chosen or self.known[:1]), stop_after=stop_after)

    def is_typed(self, name: str, hosts: Collection[str]) -> bool:
        return name not in STREAMS and name.split("_", maxsplit=1)[0] in hosts

    def check(self) -> None:
        self.known = self.connection.catalog().streams
        assert len(self.known) > len(STREAMS)
        super().check()

    def check_columns(self, account: Account, fresh: Connection) -> None:
        """Of typed tables those columns that the row had when it was sent."""
        super().check_columns(account, fresh)
        for stream in fresh.warehouse.keys() - STREAMS:
            if stream.startswith(f"{account.product}_") and account.product != "extracta_classification":
                held, told = self.connection.warehouse[stream], fresh.warehouse[stream]
                gone = {key for key in held.keys() | told.keys() if key.split("#")[0] in account.gone}
                assert held.keys() - gone == told.keys() - gone, stream
                for key in told.keys() - gone:
                    same = {name: told[key].get(name) for name in held[key]}
                    assert is_same(held[key], same), (stream, held[key], told[key])
