"""The promise of the ledger for a list by time: runs grow, extractions finish late, syncs break off anywhere."""

from __future__ import annotations

import random

import pytest
from harness import Connection, world

from sandbox import NewExtraction, Sandbox


class History:
    """A made-up history of one account, drawn from a seed."""

    def __init__(self, sandbox: Sandbox, connection: Connection, seed: int) -> None:
        self._sandbox = sandbox
        self._connection = connection
        self._random = random.Random(seed)
        self._templates = [sandbox.docmap.template(name) for name in ("Invoices", "Notes")]
        self._number = 0

    def play(self) -> None:
        events = (self.extract, self.extract, self.wait, self.finish, self.sync, self.sync)
        for _ in range(self._random.randint(3, 14)):
            self._random.choice(events)()

    def extract(self) -> None:
        draw = self._random
        self._number += 1
        files = [
            NewExtraction(
                f"{self._number}-{n}.pdf",
                draw.choice([0, 3600, 90_000]),
                {"n": self._number},
                error=draw.choice([None, None, "unreadable"]),
            )
            for n in range(draw.randint(1, 5))
        ]
        run = draw.choice([None, "r1", "r2", f"run {self._number}"])
        self._sandbox.docmap.run(draw.choice(self._templates), files, run)

    def wait(self) -> None:
        self._sandbox.clock.advance(seconds=3600 * self._random.randint(1, 20), days=self._random.choice([0, 0, 3, 9]))

    def finish(self) -> None:
        self._sandbox.docmap.finish()

    def sync(self) -> None:
        streams = [one for one in self._connection.streams if self._random.random() < 0.6]
        self._connection.sync(*streams, stop_after=self._random.choice([None, self._random.randint(1, 30)]))


@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens_the_warehouse_ends_up_equal_to_the_account(seed: int) -> None:
    with world() as (sandbox, url):
        connection = Connection(sandbox, url, {"docmap": {}})
        History(sandbox, connection, seed).play()
        sandbox.docmap.finish()
        connection.sync()

        truth = {one: sandbox.docmap.extraction(one).status.value for one in sandbox.docmap.ids}
        words = {"processed": "completed", "failed": "failed"}
        assert {key: words[row["status"]] for key, row in connection.warehouse["docmap_files"].items()} == truth
        completed = {one for one, status in truth.items() if status == "completed"}
        assert connection.warehouse["docmap_results"].keys() == completed
        fresh = Connection(sandbox, url, connection.settings)
        fresh.sync()
        for key, row in fresh.warehouse["docmap_batches"].items():
            held = connection.warehouse["docmap_batches"][key]
            assert {**held, "observed_at": ""} == {**row, "observed_at": ""}
        assert connection.warehouse["docmap_batches"].keys() == fresh.warehouse["docmap_batches"].keys()
        assert connection.sync().counts == {}
