"""The promise of the ledger, over made-up histories: nothing lost, nothing twice, whatever happens in between.

A history is a list of events: documents come, finish, fail, are edited; batches re-open; links appear; time passes;
syncs run over some of the streams and are broken off at some message. When the world falls quiet, one more sync makes
the warehouse equal to the world, and one more after it delivers nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from harness import Connection, world
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox import DocumentType, NewDocument, NewFile, Sandbox

NUMBERS = st.integers(0, 7)
STREAMS = [
    f"{product}_{kind}"
    for product in ("extracta_classification", "extracta", "atlas")
    for kind in ("batches", "files", "results")
]

EVENTS = st.one_of(
    st.tuples(st.just("upload"), NUMBERS, st.integers(1, 3), st.booleans()),
    st.tuples(st.just("classify"), NUMBERS, st.integers(1, 3), st.booleans()),
    st.tuples(st.just("submit"), NUMBERS, st.integers(1, 60), st.booleans()),
    st.tuples(st.just("late"), NUMBERS, st.integers(1, 40), st.booleans()),
    st.tuples(st.just("finish"), NUMBERS, NUMBERS, st.booleans()),
    st.tuples(st.just("edit"), NUMBERS, NUMBERS, st.booleans()),
    st.tuples(st.just("wait"), st.integers(1, 30), st.integers(0, 23), st.booleans()),
    st.tuples(st.just("sync"), st.integers(1, 2 ** len(STREAMS) - 1), st.integers(1, 300), st.booleans()),
)


@dataclass
class History:
    """Plays events against a sandbox and a connection."""

    sandbox: Sandbox
    url: str
    extraction: list[str] = field(default_factory=list)
    classification: list[str] = field(default_factory=list)
    atlas: list[str] = field(default_factory=list)
    edited: set[str] = field(default_factory=set)
    regrown: set[str] = field(default_factory=set)
    number: int = 0

    def __post_init__(self) -> None:
        self.template = self.sandbox.extracta.create("Invoices", ["vendor"])
        types = [DocumentType("invoice", extraction_id=self.template), DocumentType("other")]
        self.classes = self.sandbox.classification.create("Mail", types)
        self.connection = Connection(
            self.sandbox,
            self.url,
            {"extracta": {"extraction_ids": [self.template]}, "atlas": {"batch_ids": ["BATCH-0"]}},
        )
        self.connection.settings["lookback_days"] = 2
        self.connection.settings["give_up_after_days"] = 3650

    def play(self, event: tuple[str, int, int, bool]) -> None:
        name, first, second, flag = event
        getattr(self, name)(first, second, flag)
        extracta, atlas = self.connection.settings["extracta"], self.connection.settings["atlas"]
        extracta["classification_batches"] = [f"{self.classes}/{batch}" for batch in self.classification]
        atlas["batch_ids"] = ["BATCH-0", *self.atlas]

    def upload(self, where: int, files: int, anew: bool) -> None:
        batch = None if anew or not self.extraction else self.extraction[where % len(self.extraction)]
        given = self.sandbox.extracta.upload(self.template, [self.file() for _ in range(files)], batch)
        self.extraction.append(given)

    def classify(self, where: int, files: int, anew: bool) -> None:
        batch = None if anew or not self.classification else self.classification[where % len(self.classification)]
        given = self.sandbox.classification.upload(self.classes, [self.mail() for _ in range(files)], batch)
        if batch is None:
            self.classification.append(given)
        else:
            self.regrown.add(given)

    def submit(self, where: int, documents: int, anew: bool) -> None:
        given = [self.document() for _ in range(documents)]
        if anew or not self.atlas:
            self.atlas.append(self.sandbox.atlas.submit(given))
        else:
            batch = self.atlas[where % len(self.atlas)]
            self.regrown.add(batch)
            self.sandbox.atlas.add(batch, given)

    def late(self, files: int, days: int, failed: bool) -> None:
        """A batch that is listed long after it was created."""
        started = self.sandbox.clock.now() - timedelta(days=days)
        given = [self.file(failed) for _ in range(1 + files % 3)]
        self.extraction.append(self.sandbox.extracta.upload(self.template, given, started_at=started))

    def finish(self, where: int, _: int, everything: bool) -> None:
        batches = self.extraction + self.classification
        if everything or not batches:
            self.settle()
            return
        batch = batches[where % len(batches)]
        world = self.sandbox.extracta if batch in self.extraction else self.sandbox.classification
        world.finish(batch)

    def edit(self, where: int, which: int, at_atlas: bool) -> None:
        """A person corrects what is finished, which nobody can see but by reading it again."""
        self.number += 1
        if at_atlas and self.atlas:
            batch = self.atlas[where % len(self.atlas)]
            documents = self.sandbox.atlas.batch(batch).documents
            document = documents[which % len(documents)]
            self.edited.add(f"{batch}/{document.document_id}")
            self.regrown.add(batch)  # so it is done before the others, and the batch looks whole until they follow
            self.sandbox.atlas.edit(batch, document.document_id, self.document().file_data or {})
        elif self.extraction:
            batch = self.extraction[where % len(self.extraction)]
            files = self.sandbox.extracta.batch(batch).files
            file = files[which % len(files)]
            self.edited.add(f"{self.template}/{batch}/{file.file_id}")
            self.sandbox.extracta.edit(batch, file.name, {"vendor": f"edited {self.number}"})

    def wait(self, hours: int, more: int, days: bool) -> None:
        self.sandbox.clock.advance(seconds=3600 * (hours + more), days=hours if days else 0)

    def sync(self, streams: int, stop_after: int, whole: bool) -> None:
        chosen = [stream for bit, stream in enumerate(STREAMS) if streams >> bit & 1]
        available = [stream for stream in self.connection.streams if stream in chosen]
        if available:
            self.connection.sync(*available, stop_after=None if whole else stop_after)

    def settle(self) -> None:
        self.sandbox.classification.finish()
        self.sandbox.extracta.finish()
        self.sandbox.atlas.finish()

    def file(self, failed: bool = False) -> NewFile:
        self.number += 1
        error = "unreadable" if failed else None
        return NewFile(f"{self.number}.pdf", seconds=3600, result={"vendor": f"{self.number}"}, error=error)

    def mail(self) -> NewFile:
        self.number += 1
        kind = ("invoice", "other")[self.number % 2]
        return NewFile(f"{self.number}.pdf", seconds=3600, result={"documentType": kind, "confidence": 0.5})

    def document(self) -> NewDocument:
        self.number += 1
        name = {"value": f"{self.number}", "confidence_score": 0.5}
        return NewDocument(f"{self.number}", seconds=3600, file_data={"document_type": "PAN", "name": name})

    def truth(self) -> dict[str, Any]:
        """What the warehouse should hold of results and files, out of the world itself."""
        found: dict[str, Any] = {}
        for product, worlds in (
            ("extracta", self.sandbox.extracta),
            ("extracta_classification", self.sandbox.classification),
        ):
            for template in worlds.template_ids:
                for batch_id in worlds.batch_ids(template):
                    for file in worlds.batch(batch_id).files:
                        key = (product, f"{template}/{batch_id}/{file.file_id}")
                        found[key] = ("failed", None) if file.error else ("processed", file.result)
        for batch_id in self.atlas:
            for document in self.sandbox.atlas.batch(batch_id).documents:
                found["atlas", f"{batch_id}/{document.document_id}"] = ("processed", document.file_data)
        return found

    def warehouse(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for product in ("extracta", "extracta_classification", "atlas"):
            results = self.connection.warehouse[f"{product}_results"]
            for key, row in self.connection.warehouse[f"{product}_files"].items():
                data = results[key]["data"] if key in results else None
                found[product, key] = (row["status"], data)
            assert self.regrown or results.keys() <= self.connection.warehouse[f"{product}_files"].keys()
        return found


def check(events: list[tuple[str, int, int, bool]]) -> None:
    with world() as (sandbox, url):
        history = History(sandbox, url)
        for event in events:
            history.play(event)
        history.settle()
        history.connection.sync()
        truth, held = history.truth(), history.warehouse()
        # What happens after the lookback to a batch that no list shows is nobody's to see, and no edit is.
        hidden = {key for key in truth if history.regrown & set(key[1].split("/"))}
        hidden |= {key for key in truth if key[0] == "extracta" and history.regrown & set(history.classification)}
        assert held.keys() <= truth.keys()
        assert truth.keys() - held.keys() <= hidden
        for key, row in held.items():
            assert row == truth[key] or key[1] in history.edited or (key in hidden and row[1] is None), key
        fresh = Connection(sandbox, url, history.connection.settings)
        assert set(fresh.sync().ends.values()) == {"COMPLETE"}
        for stream, rows in fresh.warehouse.items():
            if not (history.regrown or history.edited):
                assert rows.keys() == history.connection.warehouse[stream].keys(), stream
        for status in (row["status"] for row in history.connection.warehouse["extracta_batches"].values()):
            assert status == "complete"
        assert history.connection.sync().counts == {}


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(EVENTS, min_size=3, max_size=20))
def test_whatever_happens_the_warehouse_ends_up_equal_to_the_world(events: list[tuple[str, int, int, bool]]) -> None:
    check(events)


@pytest.mark.long
@settings(max_examples=800, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(EVENTS, min_size=5, max_size=40))
def test_so_it_does_after_longer_histories(events: list[tuple[str, int, int, bool]]) -> None:
    check(events)
