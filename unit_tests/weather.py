"""A world with all that matters in it, synced once, and syncs of what came after that through bad weather."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from copy import deepcopy
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from airbyte_cdk.models import FailureType, TraceType
from harness import Connection, Synced, is_same, world
from two_days import first_day, second_day

from sandbox import Fault, Sandbox

PRODUCTS = ("extracta", "extracta_classification", "docmap", "sensible", "atlas")
BOTH = {"extracta", "extracta_classification"}

CONCERNED = {
    "extracta.viewExtraction": {"extracta"},
    "extracta.getBatchResults": {"extracta"},
    # What could not be classified may point at extraction batches.
    "extracta.viewClassification": BOTH,
    "extracta.getResults": BOTH,
    "docmap.extractions": {"docmap"},
    "docmap.extraction": {"docmap"},
    "sensible.document_types": {"sensible"},
    "sensible.extractions": {"sensible"},
    "sensible.document": {"sensible"},
    "sensible.batch": {"sensible"},
    "atlas.authtoken": {"atlas"},
    "atlas.extracts": {"atlas"},
}
"""Every endpoint, and the products of which something is missing where it fails."""

_PER_PAGE = 3


def host(stream: str) -> str:
    """The provider of a stream, as its settings call it."""
    return stream.split("_", maxsplit=1)[0]


class Weather:
    """A served world. What is asked of it is the same each time: its clock stands still and nobody changes it.

    Attributes:
        healthy: a connection after the syncs of two days in good weather.
        second, quiet: its second sync, and one after that.
        quiet_later: the same, of a connection that began on the second day.
    """

    def __init__(self, sandbox: Sandbox, url: str, folder: Path, **settings: Any) -> None:
        self.sandbox = sandbox
        self.url = url
        self.settings = {**first_day(sandbox, folder), **settings}
        self._first = Connection(sandbox, url, self.settings)
        assert set(self._first.sync().ends.values()) == {"COMPLETE"}
        sandbox.clock.advance(days=9)
        second_day(sandbox, self.settings)
        self.healthy = self.connection()
        self.second = self.healthy.sync()
        self.quiet = self.healthy.sync()
        newcomer = self.newcomer()
        newcomer.sync()
        self.has_all(newcomer, newcomer.streams)
        self.quiet_later = newcomer.sync()

    def newcomer(self) -> Connection:
        """That has not been synced so far."""
        return Connection(self.sandbox, self.url, self.settings)

    def connection(self) -> Connection:
        """As it was after the first day."""
        connection = self.newcomer()
        connection.state = deepcopy(self._first.state)
        for stream, rows in self._first.warehouse.items():
            connection.warehouse[stream] = dict(rows)
        return connection

    def streams(self, *products: str) -> set[str]:
        return {stream for stream in self.healthy.streams if stream.rsplit("_", 1)[0] in products}

    def has_all(self, connection: Connection, streams: Collection[str]) -> None:
        """These streams of a warehouse are as they are in good weather."""
        for stream in streams:
            held, expected = connection.warehouse[stream], self.healthy.warehouse[stream]
            assert held.keys() == expected.keys(), stream
            for key, row in expected.items():
                assert is_same(held[key], row), (stream, held[key], row)

    def is_whole(self, connection: Connection, expected: Synced | None = None, may_come_again: str = "") -> None:
        """Nothing is lost, nothing came twice, and nothing lingers: a quiet sync asks for what it always does.

        Args:
            may_come_again: a batch whose rows may have come twice.
        """
        self.has_all(connection, self.healthy.streams)
        repeated = [connection.warehouse[stream][key] for stream, keys in connection.repeated.items() for key in keys]
        assert [row for row in repeated if row.get("batch_key") != may_come_again or not may_come_again] == []
        quiet = connection.sync()
        assert (quiet.counts, quiet.requests) == ({}, (expected or self.quiet).requests)

    def says_lost(self, connection: Connection) -> list[tuple[str, str]]:
        """The rows that call something missing or failed which is not so in good weather."""
        return [
            (stream, key)
            for stream, rows in connection.warehouse.items()
            for key, row in rows.items()
            if row.get("status") in {"missing", "failed"}
            if row["status"] != self.healthy.warehouse[stream].get(key, {}).get("status")
        ]

    def accounts_for_all(self, connection: Connection, stream: str) -> None:
        """Each row of good weather is there, or others of its provider say why not, which are missing or failed.

        A batch that only its documents or a classification name is not known while they are not.
        """
        if self.healthy.warehouse[stream].keys() - connection.warehouse[stream].keys():
            told = [
                row["error"]
                for name in connection.streams
                for key, row in connection.warehouse[name].items()
                if host(name) == host(stream) and row.get("status") in {"missing", "failed"}
                if row["status"] != self.healthy.warehouse[name][key]["status"]
            ]
            assert told, stream
            assert all(told), stream


def told(synced: Synced, *failures: FailureType) -> dict[str, str]:
    """Why each incomplete stream is: in sentences that are fit for a log."""
    errors = [
        message.trace.error for message in synced.messages if message.trace and message.trace.type is TraceType.ERROR
    ]
    reasons = {error.stream_descriptor.name: str(error.message) for error in errors}
    assert set(reasons) == {stream for stream, end in synced.ends.items() if end == "INCOMPLETE"}
    assert len(reasons) == len(errors)
    assert synced.error is not None
    for error in (*errors, synced.error):
        words = str(error.message)
        assert error.failure_type in failures, words
        assert is_plain(words), words
    rest = "; all else was synced" if "COMPLETE" in synced.ends.values() else ""
    assert str(synced.error.message).startswith(f"{len(reasons)} of {len(synced.ends)} streams are incomplete{rest}. ")
    return reasons


def is_plain(words: str) -> bool:
    """Whether it is sentences, and nothing that only a programmer would understand."""
    return bool(re.fullmatch(r"[A-Z0-9][^\n]*\.\)?", words)) and not re.search(
        r"Traceback|Exception|[a-z]Error\b|object at|<|\{", words
    )


@contextmanager
def meeting(skies: Weather, *faults: Fault) -> Iterator[None]:
    """Under these faults. Where some are silent, the connector waits a second for each answer, not a minute; where some
    are too large, an answer may have 1 MB."""
    with pytest.MonkeyPatch.context() as patch, skies.sandbox.faults.during(*faults):
        if any(fault.kind == "stall" for fault in faults):
            patch.setattr("source_docextract.wire.TIMEOUT", (5, 1))
        if any(fault.kind in {"endless", "bomb"} for fault in faults):
            patch.setattr("source_docextract.wire.LARGEST_ANSWER", 1_000_000)
        yield


@contextmanager
def weather(folder: Path, **settings: Any) -> Iterator[Weather]:
    """All lists come in pages of three, so that a small world has several."""
    with (
        pytest.MonkeyPatch.context() as patch,
        world(classification_batches=True, atlas_total_counts_extracted=False) as (sandbox, url),
    ):
        for reader in ("atlas", "docmap.asking", "docmap.extractions", "sensible.asking"):
            module = import_module(f"source_docextract.providers.{reader}")
            patch.setattr(module, "PER_PAGE" if hasattr(module, "PER_PAGE") else "_PER_PAGE", _PER_PAGE)
        yield Weather(sandbox, url, folder, **settings)
