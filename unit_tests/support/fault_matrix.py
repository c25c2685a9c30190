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

from docextract_sandbox import Fault, Sandbox
from unit_tests.support.harness import Connection, SyncResult, frozen_sandbox, has_same_content
from unit_tests.support.scenario import add_first_day, add_second_day

PRODUCTS = ("extracta", "extracta_classification", "docmap", "sensible", "atlas")
EXTRACTA_PRODUCTS = {"extracta", "extracta_classification"}

PRODUCTS_BY_ENDPOINT = {
    "extracta.viewExtraction": {"extracta"},
    "extracta.getBatchResults": {"extracta"},
    # What could not be classified may point at extraction batches.
    "extracta.viewClassification": EXTRACTA_PRODUCTS,
    "extracta.getResults": EXTRACTA_PRODUCTS,
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


def get_provider(stream: str) -> str:
    """The provider of a stream, as its settings call it."""
    return stream.split("_", maxsplit=1)[0]


class FaultScenario:
    """A served world. What is asked of it is the same each time: its clock stands still and nobody changes it.

    Attributes:
        healthy: a connection after the syncs of two days in good weather.
        second, quiet: its second sync, and one after that.
        quiet_later: the same, of a connection that began on the second day.
    """

    def __init__(self, sandbox: Sandbox, url: str, folder: Path, **settings: Any) -> None:
        self.sandbox = sandbox
        self.url = url
        self.settings = {**add_first_day(sandbox, folder), **settings}
        self._first_connection = Connection(sandbox, url, self.settings)
        assert set(self._first_connection.sync().final_statuses.values()) == {"COMPLETE"}
        sandbox.clock.advance(days=9)
        add_second_day(sandbox, self.settings)
        self.baseline = self.first_day_connection()
        self.second_sync = self.baseline.sync()
        self.quiet_sync = self.baseline.sync()
        late_connection = self.new_connection()
        late_connection.sync()
        self.assert_complete(late_connection, late_connection.streams)
        self.later_quiet_sync = late_connection.sync()

    def new_connection(self) -> Connection:
        """That has not been synced so far."""
        return Connection(self.sandbox, self.url, self.settings)

    def first_day_connection(self) -> Connection:
        """As it was after the first day."""
        connection = self.new_connection()
        connection.state = deepcopy(self._first_connection.state)
        for stream, rows in self._first_connection.warehouse.items():
            connection.warehouse[stream] = dict(rows)
        return connection

    def get_product_streams(self, *products: str) -> set[str]:
        return {stream for stream in self.baseline.streams if stream.rsplit("_", 1)[0] in products}

    def assert_complete(self, connection: Connection, streams: Collection[str]) -> None:
        """These streams of a warehouse are as they are in good weather."""
        for stream in streams:
            rows, expected_rows = connection.warehouse[stream], self.baseline.warehouse[stream]
            assert rows.keys() == expected_rows.keys(), stream
            for key, row in expected_rows.items():
                assert has_same_content(rows[key], row), (stream, rows[key], row)

    def assert_recovered(
        self, connection: Connection, expected_sync: SyncResult | None = None, repeatable_batch_key: str = ""
    ) -> None:
        """Nothing is lost, nothing came twice, and nothing lingers: a quiet sync asks for what it always does.

        Args:
            may_come_again: a batch whose rows may have come twice.
        """
        self.assert_complete(connection, self.baseline.streams)
        repeated_rows = [
            connection.warehouse[stream][key] for stream, keys in connection.repeated_ids.items() for key in keys
        ]
        assert [
            row for row in repeated_rows if row.get("batch_key") != repeatable_batch_key or not repeatable_batch_key
        ] == []
        quiet_sync = connection.sync()
        assert (quiet_sync.counts, quiet_sync.requests) == ({}, (expected_sync or self.quiet_sync).requests)

    def find_false_losses(self, connection: Connection) -> list[tuple[str, str]]:
        """The rows that call something missing or failed which is not so in good weather."""
        return [
            (stream, key)
            for stream, rows in connection.warehouse.items()
            for key, row in rows.items()
            if row.get("status") in {"missing", "failed"}
            if row["status"] != self.baseline.warehouse[stream].get(key, {}).get("status")
        ]

    def assert_rows_explained(self, connection: Connection, stream: str) -> None:
        """Each row of good weather is there, or others of its provider say why not, which are missing or failed.

        A batch that only its documents or a classification name is not known while they are not.
        """
        if self.baseline.warehouse[stream].keys() - connection.warehouse[stream].keys():
            reasons = [
                row["error"]
                for name in connection.streams
                for key, row in connection.warehouse[name].items()
                if get_provider(name) == get_provider(stream) and row.get("status") in {"missing", "failed"}
                if row["status"] != self.baseline.warehouse[name][key]["status"]
            ]
            assert reasons, stream
            assert all(reasons), stream


def collect_stream_errors(result: SyncResult, *failure_types: FailureType) -> dict[str, str]:
    """Why each incomplete stream is: in sentences that are fit for a log."""
    errors = [
        message.trace.error for message in result.messages if message.trace and message.trace.type is TraceType.ERROR
    ]
    reasons = {error.stream_descriptor.name: str(error.message) for error in errors}
    assert set(reasons) == {stream for stream, status in result.final_statuses.items() if status == "INCOMPLETE"}
    assert len(reasons) == len(errors)
    assert result.error is not None
    for error in (*errors, result.error):
        message_text = str(error.message)
        assert error.failure_type in failure_types, message_text
        assert is_plain_text(message_text), message_text
    suffix = "; the others are complete" if "COMPLETE" in result.final_statuses.values() else ""
    assert str(result.error.message).startswith(
        f"{len(reasons)} of {len(result.final_statuses)} streams are incomplete{suffix}. "
    )
    return reasons


def is_plain_text(text: str) -> bool:
    """Whether it is sentences, and nothing that only a programmer would understand."""
    return bool(re.fullmatch(r"[A-Z0-9][^\n]*\.\)?", text)) and not re.search(
        r"Traceback|Exception|[a-z]Error\b|object at|<|\{", text
    )


@contextmanager
def under_faults(scenario: FaultScenario, *faults: Fault) -> Iterator[None]:
    """Under these faults. Where some are silent, the connector waits a second for each answer, not a minute; where some
    are too large, an answer may have 1 MB."""
    with pytest.MonkeyPatch.context() as patch, scenario.sandbox.faults.apply_only(*faults):
        if any(fault.kind == "stall" for fault in faults):
            patch.setattr("source_docextract.http.transport.TIMEOUT", (5, 1))
        if any(fault.kind in {"endless", "bomb"} for fault in faults):
            patch.setattr("source_docextract.http.transport.MAX_RESPONSE_BYTES", 1_000_000)
        yield


@contextmanager
def fault_scenario(folder: Path, **settings: Any) -> Iterator[FaultScenario]:
    """All lists come in pages of three, so that a small world has several."""
    with (
        pytest.MonkeyPatch.context() as patch,
        frozen_sandbox(classification_batches=True, atlas_total_counts_extracted=False) as (sandbox, url),
    ):
        for module_name in (
            "atlas.provider",
            "atlas.reading",
            "docmap.provider",
            "docmap.reading",
            "sensible.provider",
        ):
            module = import_module(f"source_docextract.providers.{module_name}")
            patch.setattr(module, "PER_PAGE" if hasattr(module, "PER_PAGE") else "_PER_PAGE", _PER_PAGE)
        yield FaultScenario(sandbox, url, folder, **settings)
