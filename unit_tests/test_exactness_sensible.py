"""The promise of the ledger where documents tell their batch: uploads, reviews, named batches, faults, broken syncs."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from harness import Connection, world

from sandbox import Fault, Sandbox, SensibleDocument
from sandbox.sensible.extractions import DocumentView

TYPES = ("claims", "contracts")


class History:
    """A made-up history of one account, drawn from a seed."""

    def __init__(self, sandbox: Sandbox, connection: Connection, seed: int) -> None:
        self._sandbox = sandbox
        self._sensible = sandbox.sensible
        self._connection = connection
        self._random = random.Random(seed)
        self._number = 0
        for name in TYPES:
            self._sensible.document_type(name)

    def play(self) -> None:
        events = (
            self.extract, self.batch, self.batch, self.upload, self.upload, self.wait, self.finish, self.review,
            self.name, self.purge, self.sync, self.sync, self.sync,
        )  # fmt: skip
        for _ in range(self._random.randint(4, 22)):
            self._random.choice(events)()

    def _documents(self) -> list[SensibleDocument]:
        draw = self._random
        self._number += 1
        return [
            SensibleDocument(
                f"{self._number}-{n}.pdf",
                draw.choice([0, 3600, 90_000]),
                {"n": {"value": self._number, "type": "number"}},
                error=draw.choice([None, None, None, "unreadable"]),
                review=draw.choice([None, None, "NEEDS_REVIEW"]),
                portfolio=draw.choice([None, None, None, TYPES]),
                too_large=draw.random() < 0.1,
            )
            for n in range(draw.randint(1, 5))
        ]

    def _created(self) -> Any:
        return self._sandbox.clock.now() - timedelta(days=self._random.choice([0, 0, 0, 5, 60]))

    def extract(self) -> None:
        # What is created in the past and not known yet is out of the list's reach once that was read.
        self._sensible.extract(self._documents(), self._random.choice(TYPES))

    def batch(self) -> None:
        self._sensible.batch(self._documents(), self._random.choice(TYPES), f"batch {self._number}")

    def upload(self) -> None:
        if self._sensible.batch_ids:
            batch = self._random.choice(self._sensible.batch_ids)
            size = len(self._sensible.batch_view(batch).extraction_ids)
            self._sensible.upload(batch, self._random.randrange(size))

    def wait(self) -> None:
        self._sandbox.clock.advance(seconds=3600 * self._random.randint(1, 20), days=self._random.choice([0, 0, 3, 9]))

    def finish(self) -> None:
        self._sensible.finish()

    def review(self) -> None:
        waiting = [one for one in self._sensible.ids if self._sensible.document(one).review == "NEEDS_REVIEW"]
        if waiting:
            parsed = self._random.choice([None, {"edited": {"value": True, "type": "boolean"}}])
            self._sensible.review(self._random.choice(waiting), self._random.choice(["APPROVED", "REJECTED"]), parsed)

    def purge(self) -> None:
        """A document is deleted while it is read."""
        working = [one for one in self._sensible.ids if self._sensible.document(one).status.value == "PROCESSING"]
        if working:
            self._sensible.purge(self._random.choice(working))

    def name(self) -> None:
        """A batch is named by hand, early or late."""
        if self._sensible.batch_ids:
            section = self._connection.settings["sensible"]
            section["batch_ids"] = [*section.get("batch_ids", []), self._random.choice(self._sensible.batch_ids)]

    def sync(self) -> None:
        streams = [one for one in self._connection.streams if self._random.random() < 0.6]
        endpoint = self._random.choice(["sensible.extractions", "sensible.document", "sensible.batch"])
        fault = Fault("status", endpoint, times=self._random.choice([0, 0, 0, 3, 9]), share=0.5)
        with self._sandbox.faults.during(fault):
            self._connection.sync(*streams, stop_after=self._random.choice([None, None, self._random.randint(1, 40)]))


def play(seed: int) -> None:
    with world() as (sandbox, url):
        connection = Connection(sandbox, url, {"sensible": {}})
        History(sandbox, connection, seed).play()
        sandbox.sensible.finish()
        last = connection.sync()

        assert set(last.ends.values()) == {"COMPLETE"}
        check_files_and_results(sandbox, connection)
        check_batches(sandbox, connection)
        quiet = connection.sync()
        assert quiet.counts == {}
        named = len(set(connection.settings["sensible"].get("batch_ids", [])))
        assert quiet.requests.get("sensible.batch", 0) <= named


def check_files_and_results(sandbox: Sandbox, connection: Connection) -> None:
    views = {one: sandbox.sensible.document(one) for one in sandbox.sensible.ids}
    files = connection.warehouse["sensible_files"]
    assert {key: row["status"] for key, row in files.items()} == {key: status_of(view) for key, view in views.items()}
    for key, row in files.items():
        lost = views[key].too_large or views[key].purged
        assert row["batch_key"] == views[key].batch_id or (lost and row["batch_key"] is None)
    results = {
        f"{key}#{index}" if index else key: (part.parsed, part.review)
        for key, view in views.items()
        if status_of(view) == "processed"
        for index, part in enumerate(view.parts)
    }
    held = connection.warehouse["sensible_results"]
    assert {key: (row["data"], row["review_status"]) for key, row in held.items()} == results


def status_of(view: DocumentView) -> str:
    """What a file is to a user: failed, too, if it can be had no more, whatever it is to its provider."""
    if view.too_large or view.purged:
        return "failed"
    return {"COMPLETE": "processed", "FAILED": "failed"}.get(view.status.value, "pending")


def check_batches(sandbox: Sandbox, connection: Connection) -> None:
    held = connection.warehouse["sensible_batches"]
    truth = {}
    for batch in sandbox.sensible.batch_ids:
        views = [sandbox.sensible.document(one) for one in sandbox.sensible.batch_view(batch).extraction_ids]
        if batch not in held and all(view.too_large or view.purged for view in views):
            continue  # only its documents could have told of it
        statuses = [status_of(view) for view in views]
        done, failed = statuses.count("processed"), statuses.count("failed")
        status = "complete" if done + failed == len(statuses) else "open"
        truth[batch] = (status, len(statuses), done, failed)
    columns = ("status", "files_total", "files_processed", "files_failed")
    assert {key: tuple(row[column] for column in columns) for key, row in held.items()} == truth


@pytest.mark.parametrize("seed", range(60))
def test_whatever_happens_the_warehouse_ends_up_equal_to_the_account(seed: int) -> None:
    play(seed)


@pytest.mark.long
@pytest.mark.parametrize("first", range(60, 660, 50))
def test_the_same_for_more_histories(first: int) -> None:
    for seed in range(first, first + 50):
        play(seed)
