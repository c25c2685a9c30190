"""A scenario of two days, whose second day is synced under faults."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from copy import deepcopy
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from airbyte_cdk.models import FailureType, TraceType

from docextract_sandbox import Fault, NewExtraction, Sandbox
from source_docextract.core.products import PRODUCTS
from unit_tests.support.harness import START, Connection, SyncResult, frozen_sandbox, has_same_content
from unit_tests.support.scenario import NEVER, add_first_day, add_second_day

EXTRACTA_PRODUCTS = {product.name for product in PRODUCTS if product.provider == "extracta"}

PRODUCTS_BY_ENDPOINT = {
    "extracta.viewExtraction": {"extracta"},
    "extracta.getBatchResults": {"extracta"},
    # A classification that was not read may refer to extraction batches.
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
"""The products that are incomplete when an endpoint fails, by endpoint."""

_PER_PAGE = 3


def get_provider(stream: str) -> str:
    """Return the provider of a stream, as the settings name it."""
    return stream.split("_", maxsplit=1)[0]


class FaultScenario:
    """A served sandbox after two days, with syncs of both days without faults.

    Its clock stands still and its documents do not change, so each sync from one state sends the same requests.

    Attributes:
        sandbox: the sandbox.
        url: its URL.
        settings: the settings of a connection.
        baseline: a connection after the syncs of both days, without faults.
        second_sync: its sync of the second day.
        quiet_sync: its sync after that, which has nothing new.
        later_quiet_sync: the second sync of a connection that began on the second day.
    """

    def __init__(self, sandbox: Sandbox, url: str, folder: Path, **settings: Any) -> None:
        self.sandbox = sandbox
        self.url = url
        self.settings = {**add_first_day(sandbox, folder), **settings}
        # The second day is also that of the last look at the first day, which lists all of its documents. This one is
        # older than that list, so it is requested by its id.
        sandbox.docmap.add_extractions(
            "notes", [NewExtraction("older.pdf", NEVER)], created_at=START - timedelta(days=6)
        )
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
        """Return a connection that has not been synced."""
        return Connection(self.sandbox, self.url, self.settings)

    def first_day_connection(self) -> Connection:
        """Return a connection after the sync of the first day."""
        connection = self.new_connection()
        connection.state = deepcopy(self._first_connection.state)
        for stream, rows in self._first_connection.warehouse.items():
            connection.warehouse[stream] = dict(rows)
        return connection

    def get_product_streams(self, *products: str) -> set[str]:
        """Return the streams of some products."""
        return {stream for stream in self.baseline.streams if stream.rsplit("_", 1)[0] in products}

    def assert_complete(self, connection: Connection, streams: Collection[str]) -> None:
        """Check that some streams of a warehouse have the rows of the baseline."""
        for stream in streams:
            rows, expected_rows = connection.warehouse[stream], self.baseline.warehouse[stream]
            assert rows.keys() == expected_rows.keys(), stream
            for key, row in expected_rows.items():
                assert has_same_content(rows[key], row), (stream, rows[key], row)

    def assert_recovered(self, connection: Connection, expected_sync: SyncResult | None = None) -> None:
        """Check that no row was lost or repeated.

        A quiet sync afterwards must send its usual requests.

        Args:
            connection: a connection that was synced under faults, and once more without.
            expected_sync: the quiet sync to compare with, `quiet_sync` by default.
        """
        self.assert_complete(connection, self.baseline.streams)
        repeated_rows = [
            connection.warehouse[stream][key] for stream, keys in connection.repeated_ids.items() for key in keys
        ]
        assert repeated_rows == []
        quiet_sync = connection.sync()
        assert (quiet_sync.counts, quiet_sync.requests) == ({}, (expected_sync or self.quiet_sync).requests)

    def find_false_losses(self, connection: Connection) -> list[tuple[str, str]]:
        """Return the missing or failed rows that have another status in the baseline."""
        false_losses = []
        for stream, rows in connection.warehouse.items():
            for key, row in rows.items():
                expected_status = self.baseline.warehouse[stream].get(key, {}).get("status")
                if row.get("status") in {"missing", "failed"} and row["status"] != expected_status:
                    false_losses.append((stream, key))
        return false_losses

    def assert_rows_explained(self, connection: Connection, stream: str) -> None:
        """Check that absent rows are explained by the errors of missing or failed ones.

        A batch that only its documents or a classification refer to stays unknown while these are unread.
        """
        if self.baseline.warehouse[stream].keys() - connection.warehouse[stream].keys():
            reasons = []
            for name, key in self.find_false_losses(connection):
                if get_provider(name) == get_provider(stream):
                    assert key in self.baseline.warehouse[name], (name, key)
                    reasons.append(connection.warehouse[name][key]["error"])
            assert reasons, stream
            assert all(reasons), stream


def collect_stream_errors(result: SyncResult, *failure_types: FailureType) -> dict[str, str]:
    """Return the error of each incomplete stream, after checking its text."""
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
    """Return whether a text consists of sentences without traces of code."""
    return bool(re.fullmatch(r"[A-Z0-9][^\n]*\.\)?", text)) and not re.search(
        r"Traceback|Exception|[a-z]Error\b|object at|<|\{", text
    )


@contextmanager
def under_faults(scenario: FaultScenario, *faults: Fault) -> Iterator[None]:
    """Inject faults during the block.

    The read timeout is one second if a fault stalls, and the largest response 1 MB if a fault sends too much.
    """
    with pytest.MonkeyPatch.context() as patch, scenario.sandbox.faults.apply_only(*faults):
        if any(fault.kind == "stall" for fault in faults):
            patch.setattr("source_docextract.http.transport.TIMEOUT", (5, 1))
        if any(fault.kind in {"endless", "bomb"} for fault in faults):
            patch.setattr("source_docextract.http.transport.MAX_RESPONSE_BYTES", 1_000_000)
        yield


@contextmanager
def fault_scenario(folder: Path, **settings: Any) -> Iterator[FaultScenario]:
    """Yield a scenario whose lists have pages of three rows.

    So a small sandbox fills several pages.
    """
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
