"""The course of the demo: three syncs of a sandbox that changes once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from . import DemoError
from .interrupts import SignalHandler
from .pipeline import Pipeline
from .playground import SandboxProcess
from .query import build_query_command
from .screen import Screen, build_example_table, pluralize
from .warehouse import STREAM_KINDS, Row, Warehouse, build_files_query, get_kind, get_provider

_EXAMPLE_LIMITS = {"batches": 2, "files": 1, "results": 2, "fields": 1}
"""Number of example rows per provider after the first sync, by kind of stream."""


@dataclass(frozen=True)
class SyncResult:
    """The result of one sync.

    Attributes:
        rows: Number of delivered rows by stream.
        new_rows: Number of delivered rows with a new id by stream; the others are updates.
        stored_rows: Number of rows in the file after the sync by stream.
        requests: Number of requests by endpoint.
        refused_count: Number of requests that the sandbox rejected as too soon, which the connector retried.
        started_ms: Start of the sync in milliseconds since 1970.
    """

    rows: dict[str, int]
    new_rows: dict[str, int]
    stored_rows: dict[str, int]
    requests: dict[str, int]
    refused_count: int
    started_ms: int

    @property
    def row_count(self) -> int:
        """Return the number of delivered rows."""
        return sum(self.rows.values())

    @property
    def request_count(self) -> int:
        """Return the number of requests."""
        return sum(self.requests.values())


class DemoRunner:
    """The steps of the demo, which also check their own results."""

    def __init__(
        self, screen: Screen, signal_handler: SignalHandler, sandbox: SandboxProcess, pipeline: Pipeline
    ) -> None:
        """Take the running sandbox and the pipeline that reads it."""
        self._screen = screen
        self._signal_handler = signal_handler
        self._sandbox = sandbox
        self._pipeline = pipeline
        self._warehouse = Warehouse(pipeline.database)
        self._streams: list[str] = []

    def run(self) -> None:
        """Run all steps.

        Raises:
            DemoError: A step failed, or a sync did not deliver the rows that it should.
            KeyboardInterrupt: A signal has arrived.
        """
        with self._screen.show_step("Loading PyAirbyte, which runs the connector"):
            self._pipeline.import_pyairbyte()
        self._signal_handler.raise_if_interrupted()  # an import may catch the signal's exception
        with self._screen.show_step("Asking the connector for its streams") as outcome:
            # The demo plays a day within seconds. By default, files that come late to a batch would be delivered when
            # its age has doubled, an hour later at the earliest.
            settings = {**self._sandbox.get_settings(), "lookback_checks": "every_sync"}
            streams = self._pipeline.connect(settings)
            self._streams = sorted(streams, key=lambda stream: (get_provider(stream), get_kind(stream)))
            outcome.append(pluralize(len(self._streams), "stream"))
        self._signal_handler.raise_if_interrupted()
        first_sync = self._run_sync("First sync, of all there is")
        if empty_streams := [stream for stream in self._streams if not first_sync.rows[stream]]:
            raise DemoError(f"The first sync brought no rows into {', '.join(empty_streams)}.")
        self._show_first(first_sync)
        batch_sizes = self._warehouse.fetch_batch_sizes(self._streams)
        reviews = self._warehouse.fetch_reviews(self._streams)
        with self._screen.show_step("Meanwhile in the sandbox: files come in, reviews are decided") as outcome:
            self._sandbox.add_documents()
            outcome.append(f"{pluralize(self._sandbox.finish_documents(), 'file')} done")
        second_sync = self._run_sync("Second sync, of what is new")
        self._show_second(first_sync, second_sync)
        self._show_growth(batch_sizes)
        self._show_reviews(reviews)
        self._show_examples(second_sync, {"results": 1}, "Among the new {}, one of each provider")
        third_sync = self._run_sync("Third sync, with nothing new")
        if not second_sync.row_count or third_sync.row_count:
            raise DemoError(
                f"The second sync brought {second_sync.row_count} rows, "
                f"the third {third_sync.row_count} instead of none."
            )
        self._show_requests((first_sync, second_sync, third_sync))

    def _run_sync(self, title: str) -> SyncResult:
        self._signal_handler.raise_if_interrupted()
        old_counts = self._warehouse.count_rows(self._streams)
        self._sandbox.forget_requests()
        started_ms = int(time.time() * 1000)
        with self._screen.show_step(title) as outcome:
            sent_count = self._pipeline.sync()
            requests, refused_count = self._sandbox.count_requests()
            outcome += [pluralize(sent_count, "row"), pluralize(sum(requests.values()), "request")]
        rows = self._warehouse.count_rows(self._streams, started_ms)
        new_counts = self._warehouse.count_rows(self._streams)
        if sum(rows.values()) != sent_count:
            raise DemoError(f"The connector sent {sent_count} rows, but {sum(rows.values())} are in the file.")
        new_rows = {stream: new_counts[stream] - old_counts[stream] for stream in self._streams}
        return SyncResult(rows, new_rows, new_counts, requests, refused_count, started_ms)

    def _show_first(self, first_sync: SyncResult) -> None:
        self._screen.print_heading(
            f"{pluralize(first_sync.row_count, 'row')} in {pluralize(len(first_sync.rows), 'table')}"
        )
        self._show_grid(first_sync)
        self._show_all_files()
        self._show_examples(first_sync, _EXAMPLE_LIMITS, "A few {}")

    def _show_grid(self, sync: SyncResult) -> None:
        """Print the number of rows by provider and kind of stream."""
        rows: list[list[str]] = []
        for name in dict.fromkeys(map(get_provider, self._streams)):
            rows.append([name, *(f"{sync.rows[f'{name}_{stream_kind}']:>7,}" for stream_kind in STREAM_KINDS)])
        self._screen.print_table(["", *(f"{stream_kind:>7}" for stream_kind in STREAM_KINDS)], rows, indent="  ")
        self._screen.print_line()

    def _show_all_files(self) -> None:
        sql = build_files_query(self._streams)
        self._screen.print_line("  Every provider has the same columns, so one query covers all of them:")
        self._screen.print_command(f"  {build_query_command(sql)}", "green", hanging_indent=8)
        self._screen.print_line()
        rows = [
            [status_row["provider"], status_row["status"], f"{status_row['files']:>5,}", status_row["reason"] or ""]
            for status_row in self._warehouse.fetch_rows(sql)
        ]
        self._screen.print_table(["provider", "status", "files", "reason"], rows)
        self._screen.print_line()

    def _show_second(self, first_sync: SyncResult, second_sync: SyncResult) -> None:
        rows_text, requests_text = (
            pluralize(second_sync.row_count, "row"),
            pluralize(second_sync.request_count, "request"),
        )
        comparison = f"the first sync: {first_sync.row_count:,} with {first_sync.request_count:,}"
        self._screen.print_heading(f"{rows_text} with {requests_text} ({comparison})")
        self._show_counts(second_sync)

    def _show_counts(self, sync: SyncResult) -> None:
        rows = []
        for stream in self._streams:
            sent_count, new_count = sync.rows[stream], sync.new_rows[stream]
            numbers = (sent_count, new_count, sent_count - new_count, sync.stored_rows[stream])
            rows.append([stream, *(f"{number:>7,}" for number in numbers)])
        self._screen.print_table(["table", "   rows", "    new", "updated", " in all"], rows, indent="  ")
        self._screen.print_line()

    def _show_growth(self, old_sizes: dict[tuple[str, str], int]) -> None:
        rows = [
            [stream, f"{old_sizes[stream, batch_key]} to {size}", batch_key]
            for (stream, batch_key), size in self._warehouse.fetch_batch_sizes(self._streams).items()
            if size > old_sizes.get((stream, batch_key), size)
        ]
        if rows:
            self._screen.print_table(["batches that grew in", "files", "id"], rows, indent="  ")
            self._screen.print_line()

    def _show_reviews(self, old_reviews: dict[tuple[str, str], Row]) -> None:
        new_reviews = self._warehouse.fetch_reviews(self._streams)
        rows = [
            [stream, str(old_review["review_status"]), str(new_review["review_status"]), str(new_review["file_name"])]
            for (stream, id_), old_review in old_reviews.items()
            if (new_review := new_reviews[stream, id_])["review_status"] != old_review["review_status"]
        ]
        if rows:
            self._screen.print_table(["reviews decided in", "was", "is", "file"], rows, indent="  ")
            self._screen.print_line()

    def _show_examples(self, sync_result: SyncResult, limits: Mapping[str, int], title: str) -> None:
        """Print rows of all providers, in one table for each kind of stream."""
        for stream_kind, limit in limits.items():
            examples: list[Row] = []
            for stream in self._streams:
                if get_kind(stream) == stream_kind and sync_result.rows[stream]:
                    examples += self._warehouse.fetch_examples(stream, sync_result.started_ms, limit)
            self._screen.print_line(f"  {title.format(stream_kind)}:", "bold")
            self._screen.print_table(*build_example_table(stream_kind, examples))
            self._screen.print_line()

    def _show_requests(self, syncs: Sequence[SyncResult]) -> None:
        self._screen.print_heading("Requests to the providers, by endpoint")
        counts: list[tuple[str, list[int]]] = []
        for endpoint in sorted(set().union(*(sync.requests for sync in syncs))):
            counts.append((endpoint, [sync.requests.get(endpoint, 0) for sync in syncs]))
        counts.append(("all requests", [sync.request_count for sync in syncs]))
        if any(sync.refused_count for sync in syncs):
            counts.append(("rejected as too soon", [sync.refused_count for sync in syncs]))
        counts.append(("rows", [sync.row_count for sync in syncs]))
        rows = [[name, *(f"{number:>6,}" for number in numbers)] for name, numbers in counts]
        self._screen.print_table(["", " first", "second", " third"], rows, indent="  ")
        self._screen.print_line()
        self._screen.print_line(
            "  Each sync reads the lists, unfinished batches and documents, reviews without a decision, and what "
            "finished within lookback_days (3 if not set): the demo sets lookback_checks to every_sync. By default, "
            "what has finished is read ever more seldom. Older batches are read again only where a list shows a change."
        )
