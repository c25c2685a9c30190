"""What the demo does, told while it happens: three syncs of a world that changes once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from . import Trouble
from .interrupts import Interrupts
from .pipeline import Pipeline
from .playground import Playground
from .query import command
from .screen import Screen, example_table, plural
from .warehouse import KINDS, Row, Warehouse, all_files, kind, provider

_EXAMPLES = {"batches": 2, "files": 1, "results": 2, "fields": 1}
"""How many rows of each provider are shown of the first sync, by kind of stream."""


@dataclass(frozen=True)
class Arrival:
    """What one sync brought.

    Attributes:
        rows: rows sent, by stream.
        new: those of them whose id was not there before, by stream; the others have been updated.
        stored: rows in the file afterwards, by stream.
        requests: what it took, by endpoint.
        refused: how many of these the sandbox refused: sent too soon after one another, hence sent again.
        since: when it began, in milliseconds since 1970.
    """

    rows: dict[str, int]
    new: dict[str, int]
    stored: dict[str, int]
    requests: dict[str, int]
    refused: int
    since: int

    @property
    def total(self) -> int:
        return sum(self.rows.values())

    @property
    def asked(self) -> int:
        return sum(self.requests.values())


class Story:
    """Runs from the first step to the last; what it does not find as it should be is Trouble."""

    def __init__(self, screen: Screen, interrupts: Interrupts, sandbox: Playground, pipeline: Pipeline) -> None:
        self._screen = screen
        self._interrupts = interrupts
        self._sandbox = sandbox
        self._pipeline = pipeline
        self._warehouse = Warehouse(pipeline.database)
        self._streams: list[str] = []

    def run(self) -> None:
        with self._screen.step("Loading PyAirbyte, which runs the connector"):
            self._pipeline.load()
        self._interrupts.check()  # an import may swallow what a signal raises
        with self._screen.step("Asking the connector for its streams") as outcome:
            streams = self._pipeline.connect(self._sandbox.settings())
            self._streams = sorted(streams, key=lambda stream: (provider(stream), kind(stream)))
            outcome.append(plural(len(self._streams), "stream"))
        self._interrupts.check()
        first = self._sync("First sync, of all there is")
        if empty := [stream for stream in self._streams if not first.rows[stream]]:
            raise Trouble(f"The first sync brought no rows into {', '.join(empty)}.")
        self._show_first(first)
        sizes, reviews = self._warehouse.batch_sizes(self._streams), self._warehouse.reviews(self._streams)
        with self._screen.step("Meanwhile in the sandbox: files come in, reviews are decided") as outcome:
            self._sandbox.add_documents()
            outcome.append(f"{plural(self._sandbox.finish_documents(), 'file')} done")
        second = self._sync("Second sync, of what is new")
        self._show_second(first, second)
        self._show_growth(sizes)
        self._show_reviews(reviews)
        self._show_examples(second, {"results": 1}, "Among the new {}, one of each provider")
        third = self._sync("Third sync, with nothing new")
        if not second.total or third.total:
            raise Trouble(f"The second sync brought {second.total} rows, the third {third.total} instead of none.")
        self._show_requests((first, second, third))

    def _sync(self, title: str) -> Arrival:
        self._interrupts.check()
        before = self._warehouse.counts(self._streams)
        self._sandbox.forget_requests()
        since = int(time.time() * 1000)
        with self._screen.step(title) as outcome:
            sent = self._pipeline.sync()
            requests, refused = self._sandbox.requests()
            outcome += [plural(sent, "row"), plural(sum(requests.values()), "request")]
        rows, after = self._warehouse.counts(self._streams, since), self._warehouse.counts(self._streams)
        if sum(rows.values()) != sent:
            raise Trouble(f"The connector sent {sent} rows, but {sum(rows.values())} are in the file.")
        new = {stream: after[stream] - before[stream] for stream in self._streams}
        return Arrival(rows, new, after, requests, refused, since)

    def _show_first(self, first: Arrival) -> None:
        self._screen.heading(f"{plural(first.total, 'row')} in {plural(len(first.rows), 'table')}")
        self._show_grid(first)
        self._show_all_files()
        self._show_examples(first, _EXAMPLES, "A few {}")

    def _show_grid(self, sync: Arrival) -> None:
        """Rows by provider and kind of stream: together they are the stream's name."""
        rows = [
            [name, *(f"{sync.rows[f'{name}_{kind_}']:>7,}" for kind_ in KINDS)]
            for name in dict.fromkeys(map(provider, self._streams))
        ]
        self._screen.table(["", *(f"{kind_:>7}" for kind_ in KINDS)], rows, indent="  ")
        self._screen.line()

    def _show_all_files(self) -> None:
        question = all_files(self._streams)
        self._screen.line("  The columns are the same everywhere, so one question does for all providers:")
        self._screen.command(f"  {command(question)}", "green", hang=8)
        self._screen.line()
        rows = [
            [answer["provider"], answer["status"], f"{answer['files']:>5,}", answer["reason"] or ""]
            for answer in self._warehouse.ask(question)
        ]
        self._screen.table(["provider", "status", "files", "reason"], rows)
        self._screen.line()

    def _show_second(self, first: Arrival, second: Arrival) -> None:
        before = f"the first sync: {first.total:,} with {first.asked:,}"
        self._screen.heading(f"{plural(second.total, 'row')} with {plural(second.asked, 'request')} ({before})")
        self._show_counts(second)

    def _show_counts(self, sync: Arrival) -> None:
        rows = []
        for stream in self._streams:
            sent, new = sync.rows[stream], sync.new[stream]
            rows.append([stream, *(f"{number:>7,}" for number in (sent, new, sent - new, sync.stored[stream]))])
        self._screen.table(["table", "   rows", "    new", "updated", " in all"], rows, indent="  ")
        self._screen.line()

    def _show_growth(self, before: dict[tuple[str, str], int]) -> None:
        rows = [
            [stream, f"{before[stream, batch]} to {size}", batch]
            for (stream, batch), size in self._warehouse.batch_sizes(self._streams).items()
            if size > before.get((stream, batch), size)
        ]
        if rows:
            self._screen.table(["batches that grew in", "files", "id"], rows, indent="  ")
            self._screen.line()

    def _show_reviews(self, before: dict[tuple[str, str], Row]) -> None:
        after = self._warehouse.reviews(self._streams)
        rows = [
            [stream, str(was["review_status"]), str(now["review_status"]), str(now["file_name"])]
            for (stream, id_), was in before.items()
            if (now := after[stream, id_])["review_status"] != was["review_status"]
        ]
        if rows:
            self._screen.table(["reviews decided in", "was", "is", "file"], rows, indent="  ")
            self._screen.line()

    def _show_examples(self, arrival: Arrival, limits: Mapping[str, int], title: str) -> None:
        """Rows of all providers in one table for each kind."""
        for kind_, limit in limits.items():
            examples = [
                row
                for stream in self._streams
                if kind(stream) == kind_ and arrival.rows[stream]
                for row in self._warehouse.examples(stream, arrival.since, limit)
            ]
            self._screen.line(f"  {title.format(kind_)}:", "bold")
            self._screen.table(*example_table(kind_, examples))
            self._screen.line()

    def _show_requests(self, syncs: Sequence[Arrival]) -> None:
        self._screen.heading("What it took: requests to the providers, by endpoint")
        endpoints = sorted({endpoint for sync in syncs for endpoint in sync.requests})
        counts = [(endpoint, [sync.requests.get(endpoint, 0) for sync in syncs]) for endpoint in endpoints]
        counts.append(("all requests", [sync.asked for sync in syncs]))
        if any(sync.refused for sync in syncs):
            counts.append(("refused as too soon", [sync.refused for sync in syncs]))
        counts.append(("rows", [sync.total for sync in syncs]))
        rows = [[name, *(f"{number:>6,}" for number in numbers)] for name, numbers in counts]
        self._screen.table(["", " first", "second", " third"], rows, indent="  ")
        self._screen.line()
        self._screen.line(
            "  Each sync reads the lists, unfinished batches and documents, reviews without a decision, and what "
            "finished within lookback_days (3 if not set). Older batches are read again only where a list shows "
            "a change."
        )
