"""Batches that are named by hand, and whose documents a list shows too: each document is delivered once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from docextract_sandbox import TRANSIENT_4XX_FAULTS, Fault, NewExtraction, Sandbox, SensibleDocument
from unit_tests.support.harness import START, Connection, SyncResult

INF = float("inf")
UNKNOWN = Fault("unknown id", "sensible.batch")
LOST_DOCUMENT = replace(TRANSIENT_4XX_FAULTS["409"], endpoint="sensible.document", times=1)


class NamedBatch(NamedTuple):
    """A batch that is older than the lookback.

    Attributes:
        connection: the connection, whose settings do not name the batch yet.
        name: names it in the settings.
        refusal: a fault that keeps the batch from being read, and proves nothing about it.
        ids: the ids of its documents.
    """

    connection: Connection
    name: Callable[[], object]
    refusal: Fault
    ids: list[str]

    def sync_under(self, fault: Fault) -> SyncResult:
        """Sync while a fault applies."""
        with self.connection.sandbox.faults.apply_only(fault):
            return self.connection.sync()

    def assert_delivered_once(self) -> None:
        """Check that the warehouse has all results, and that none was repeated."""
        product = next(name for name in ("docmap", "sensible") if name in self.connection.settings)
        assert set(self.ids) == self.connection.warehouse[f"{product}_results"].keys()
        repeated_ids = {stream: ids for stream, ids in self.connection.repeated_ids.items() if ids}
        # The row of a batch that is named late may come once more, since its entry is gone.
        assert repeated_ids.keys() <= {f"{product}_batches"}


def add_sensible_batch(
    served_sandbox: tuple[Sandbox, str],
    _folder: Path,
    days: int,
    seconds: float = 0,
    *,
    late_count: int = 0,
    **settings: Any,
) -> NamedBatch:
    """Add a batch of three documents, and of some that are never uploaded."""
    sandbox, _ = served_sandbox
    created_at = START - timedelta(days=days)
    sandbox.sensible.add_document_type("claims")
    documents = [SensibleDocument(f"{number}.pdf", seconds, {"n": None}) for number in range(3 + late_count)]
    batch = sandbox.sensible.add_batch(documents, "claims", created_at=created_at)
    ids = [sandbox.sensible.upload(batch, index, uploaded_at=created_at) for index in range(3)]
    connection = Connection(*served_sandbox, {"sensible": {}, **settings})
    refusal = replace(TRANSIENT_4XX_FAULTS["409"], endpoint="sensible.batch")
    return NamedBatch(connection, lambda: connection.settings["sensible"].update({"batch_ids": [batch]}), refusal, ids)


def add_docmap_run(
    served_sandbox: tuple[Sandbox, str], folder: Path, days: int, seconds: float = 0, **settings: Any
) -> NamedBatch:
    sandbox, _ = served_sandbox
    template = sandbox.docmap.put_template("Notes")
    extractions = [NewExtraction(f"{number}.pdf", seconds, {"n": number}) for number in range(3)]
    ids = sandbox.docmap.add_extractions(template, extractions, "by hand", created_at=START - timedelta(days=days))
    registry = folder / "runs.csv"
    registry.write_text("provider,batch_id\n")
    connection = Connection(*served_sandbox, {"docmap": {}, "batch_registry": {"url": str(registry)}, **settings})
    refusal = replace(TRANSIENT_4XX_FAULTS["409"], endpoint="docmap.extractions", about="runId")
    return NamedBatch(connection, lambda: registry.write_text("provider,batch_id\ndocmap,by hand\n"), refusal, ids)


PROVIDERS: dict[str, Callable[..., NamedBatch]] = {"sensible": add_sensible_batch, "docmap": add_docmap_run}
ServedSandbox = tuple[Sandbox, str]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_named_batch_refused_while_the_list_is_read_delivers_each_document_once(
    served_sandbox: ServedSandbox, tmp_path: Path, provider: str
) -> None:
    batch = PROVIDERS[provider](served_sandbox, tmp_path, days=40)
    batch.name()
    for _ in range(2):
        assert "INCOMPLETE" in batch.sync_under(batch.refusal).final_statuses.values()

    recovered = batch.connection.sync()

    assert set(recovered.final_statuses.values()) == {"COMPLETE"}
    batch.assert_delivered_once()
    assert batch.connection.sync().counts == {}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_batch_named_long_after_its_documents_were_pruned_delivers_none_again(
    served_sandbox: ServedSandbox, tmp_path: Path, provider: str
) -> None:
    batch = PROVIDERS[provider](served_sandbox, tmp_path, days=40)
    batch.connection.sync()
    batch.connection.sandbox.clock.advance(days=60)
    batch.connection.sync()
    batch.name()

    # A failed sync in between leaves the question open, and a further one must not ask it anew.
    batch.sync_under(replace(LOST_DOCUMENT, times=None))
    batch.connection.sync()

    batch.assert_delivered_once()
    assert batch.connection.sync().counts == {}


def test_sensible_batch_unknown_for_days_and_known_again_delivers_each_document_once(
    served_sandbox: ServedSandbox, tmp_path: Path
) -> None:
    batch = add_sensible_batch(served_sandbox, tmp_path, days=40)
    batch.name()
    for _ in range(5):
        batch.sync_under(UNKNOWN)
        batch.connection.sandbox.clock.advance(days=2)
    batch.connection.sandbox.clock.advance(days=8)

    known_again = batch.connection.sync()

    assert known_again.records["sensible_batches"][-1]["status"] == "complete"
    batch.assert_delivered_once()
    assert batch.connection.sync().counts == {}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_documents_that_were_given_up_are_delivered_when_a_batch_names_them_later(
    served_sandbox: ServedSandbox, tmp_path: Path, provider: str
) -> None:
    batch = PROVIDERS[provider](served_sandbox, tmp_path, days=1, seconds=INF)
    batch.connection.sync()
    for _ in range(3):
        batch.connection.sandbox.clock.advance(days=31)
        batch.connection.sync()
    product = getattr(batch.connection.sandbox, provider)
    product.finish()
    assert batch.connection.sync().counts == {}

    batch.name()
    batch.connection.sync()

    batch.assert_delivered_once()
    assert batch.connection.sync().counts == {}


def test_sensible_document_that_failed_in_its_window_is_delivered_when_its_batch_is_named(
    served_sandbox: ServedSandbox, tmp_path: Path
) -> None:
    batch = add_sensible_batch(served_sandbox, tmp_path, days=40)
    batch.sync_under(LOST_DOCUMENT)
    batch.name()

    batch.connection.sync()

    batch.assert_delivered_once()
    assert batch.connection.sync().counts == {}


def test_sensible_document_unknown_after_it_was_pruned_keeps_its_result_once(
    served_sandbox: ServedSandbox, tmp_path: Path
) -> None:
    batch = add_sensible_batch(served_sandbox, tmp_path, days=40)
    batch.connection.sync()
    batch.connection.sync()
    batch.name()
    batch.sync_under(Fault("unknown id", "sensible.document", times=1))

    batch.connection.sync()

    batch.assert_delivered_once()
    assert {row["status"] for row in batch.connection.warehouse["sensible_files"].values()} == {"processed"}
    assert batch.connection.sync().counts == {}


@pytest.mark.parametrize("is_refused", [False, True])
@pytest.mark.parametrize(("days", "is_remembered"), [(20, True), (40, False)])
def test_documents_that_only_an_unreadable_batch_names_are_remembered_until_it_is_given_up(
    served_sandbox: ServedSandbox, tmp_path: Path, days: int, is_remembered: bool, is_refused: bool
) -> None:
    # No read range proves the delivery of documents that `start_date` excludes from the list. The batch is open.
    batch = add_sensible_batch(served_sandbox, tmp_path, 40, late_count=1, start_date="2026-11-10T00:00:00Z")
    sandbox = batch.connection.sandbox
    batch.name()
    batch.connection.sync()
    for _ in range(days // 4):
        sandbox.clock.advance(days=4)
        sandbox.sensible.extract(["listed.pdf"], "claims")
        batch.sync_under(batch.refusal if is_refused else UNKNOWN)

    state_json = batch.connection.get_state_json("sensible_results")

    entries_by_time = state_json.get("settled", {}).get("", {}).values()
    settled_ids = {document_id for entries in entries_by_time for document_id in entries}
    assert (set(batch.ids) <= settled_ids) == is_remembered
