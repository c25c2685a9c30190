"""What the jobs of a visit are for: each is tagged with one of these."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, starmap
from queue import SimpleQueue
from typing import Any

from airbyte_cdk.models import AirbyteMessage

from ..core.errors import (
    ConfigError,
    ConnectorError,
    CredentialsError,
    QuotaError,
    RequestRejected,
    TransientError,
    UnreadableLogin,
)
from ..core.model import PartitionKey, PartitionRef, Snapshot
from ..core.provider import ChangeDetection, FindStart, ProviderSpec, RequestFlow, Window
from ..http.client import Client
from ..state.entries import SyncPolicy
from ..state.windows import WindowCursor
from .checkpoints import Checkpoints
from .delivery import Emitter
from .flow_runner import Completion, FlowRunner, Job
from .product_sync import ProductSync, build_product_syncs
from .reporting import WarningLimiter, build_unknown_account_message, summarize
from .stream import Stream


@dataclass(frozen=True, slots=True)
class ListBatchesTask:
    """Lists the batches of one template."""

    product_sync: ProductSync
    template_id: str


@dataclass(frozen=True, slots=True)
class FindMembersTask:
    """Asks which documents are in a batch that is named by hand."""

    product_sync: ProductSync
    ref: PartitionRef


@dataclass(frozen=True, slots=True)
class QueryListTask:
    """Asks for a window of a list by time, or for where that list begins."""

    product_sync: ProductSync
    cursor: WindowCursor
    query: Window | FindStart


@dataclass(frozen=True, slots=True)
class FetchBatchTask:
    """Fetches one batch."""

    product_sync: ProductSync
    ref: PartitionRef


Task = ListBatchesTask | FindMembersTask | QueryListTask | FetchBatchTask

MAX_CONSECUTIVE_FAILURES = 3
"""After so many batches in a row that failed because the provider was out of reach or in trouble, the rest of it is not
asked. Answers that cannot be read, and refusals, speak of one thing each, however many of them come first."""

_PAYMENT_REQUIRED = 402
"""A refusal that speaks of the whole account."""


class ProviderSync:
    """One provider during one sync.

    Args:
        streams: the selected streams of its products.
        arrivals: where its requests are reported, in common with other visits.
        now: the clock.
    """

    def __init__(
        self,
        provider_spec: ProviderSpec,
        streams: Sequence[Stream],
        *,
        client: Client,
        completions: SimpleQueue[Completion],
        checkpoints: Checkpoints,
        policy: SyncPolicy,
        now: Callable[[], datetime],
        logger: logging.Logger,
    ) -> None:
        self.flow_runner = FlowRunner(client, completions)
        self.checkpoints = checkpoints
        self._provider_name = provider_spec.error_format.provider_name
        self._provider_spec = provider_spec
        self._client = client
        self._streams = streams
        self._policy = policy
        self._now = now
        self._logger = logger
        self._warnings = WarningLimiter(logger, provider_spec.error_format.provider_name)
        self._product_syncs = build_product_syncs(provider_spec, streams)
        self._emitter = Emitter(
            self._provider_name, self._product_syncs, checkpoints=checkpoints, warnings=self._warnings, now=now
        )
        self._consecutive_failures = 0
        self._has_succeeded = False
        self._previously_failed: set[PartitionKey] = set().union(
            *(product_sync.failed_keys for product_sync in self._product_syncs.values())
        )
        self._is_started = False
        self._is_aborted = False
        self._has_unexpected_error = False

    def start_due_work(self) -> Iterator[AirbyteMessage]:
        """Starts what can be started: the lists at first, then as many batches as there is room for."""
        if not self._is_started:
            self._is_started = True
            yield from self._start_listings()
        yield from self._plan_products()
        is_moving = True
        while is_moving and not self._is_aborted:
            is_moving = False
            for product_sync in self._product_syncs.values():
                yield from self._fetch_due(product_sync)
            for product_sync in self._product_syncs.values():
                if product_sync.stages and not self._is_busy(product_sync):
                    is_moving = True
                    yield from self._run_next_stage(product_sync)

    @property
    def is_done(self) -> bool:
        return self._is_aborted or not any(product_sync.has_work for product_sync in self._product_syncs.values())

    def handle_response(self, completion: Completion) -> Iterator[AirbyteMessage]:
        """Takes in one answer, and delivers what that completes."""
        yield from self._handle_finished_job(self.flow_runner.handle_completion(completion))
        self.flow_runner.resume_lane(completion)

    def finalize(self) -> Iterator[AirbyteMessage]:
        """The last states, and a line of what was done."""
        summary_text = summarize(self._provider_name, self._client.stats, self._product_syncs.values(), self._streams)
        self._warn_if_all_unknown()
        self._warnings.log_suppressed_counts()
        if not self._has_unexpected_error:
            self._compact_ledgers()
            yield from self.checkpoints.emit_final()
        self._logger.info("%s", summary_text)

    def emit_final_statuses(self) -> Iterator[AirbyteMessage]:
        """One terminal status a stream."""
        for stream in self._streams:
            yield from stream.emit_final_status()

    def _compact_ledgers(self) -> None:
        for product_sync in self._product_syncs.values():
            # What documents told is forgotten with their batches, so these are kept until all of them have been read.
            document_sync = (
                self._get_reference_target(product_sync)
                if product_sync.stream_group.change_detection is ChangeDetection.REFERENCE
                else None
            )
            if product_sync.is_fully_listed and (document_sync is None or document_sync.is_fully_listed):
                for _, ledger in product_sync.stream_ledgers:
                    ledger.compact_and_prune(self._now(), product_sync.stream_group.scopes)

    def _warn_if_all_unknown(self) -> None:
        """Warn where the provider knows none of the batches that are named, as far as that is remembered."""
        explicit_batches = [
            (product_sync, ref)
            for product_sync in self._product_syncs.values()
            for ref in product_sync.stream_group.explicit_partitions
        ]
        if explicit_batches and all(product_sync.is_unknown_to_provider(ref) for product_sync, ref in explicit_batches):
            self._warnings.warn("unknown account", build_unknown_account_message(self._provider_spec))

    def _start_listings(self) -> Iterator[AirbyteMessage]:
        for product_sync in self._product_syncs.values():
            stream_group = product_sync.stream_group
            product_sync.listing.add(stream_group.explicit_partitions)
            if stream_group.discover is not None:
                product_sync.pending_listings = len(stream_group.template_ids)
                failed_template_ids = {
                    candidate_id
                    for candidate_id in stream_group.template_ids
                    if PartitionKey(candidate_id, "") in product_sync.failed_keys
                }
                for template_id in sorted(stream_group.template_ids, key=failed_template_ids.__contains__):
                    yield from self._start_task(
                        stream_group.discover(template_id), ListBatchesTask(product_sync, template_id)
                    )

    def _plan_products(self) -> Iterator[AirbyteMessage]:
        for product_sync in self._product_syncs.values():
            if product_sync.queue is not None or product_sync.pending_listings or self._is_aborted:
                continue
            if product_sync.stream_group.read_window:
                product_sync.enqueue([])
                product_sync.stages = self._iterate_stages(product_sync)
                continue
            for snapshot in product_sync.plan_batches(self._now()):
                yield from self._emit_snapshot(product_sync, snapshot)

    def _fetch_due(self, product_sync: ProductSync) -> Iterator[AirbyteMessage]:
        target = self._get_reference_target(product_sync)
        if target and target.queue is None:
            return  # only a planned product can tell whether a link leads to something new
        while product_sync.queue and self.flow_runner.has_room(product_sync.stream_group.lane) and not self._is_aborted:
            ref = product_sync.queue.popleft()
            yield from self._start_task(product_sync.stream_group.fetch(ref), FetchBatchTask(product_sync, ref))

    def _iterate_stages(self, product_sync: ProductSync) -> Iterator[Iterable[AirbyteMessage]]:
        """How a product with a list by time is read. Each stage begins when all of the one before is delivered.

        What is in the batches that are named by hand; then window by window, each with the batches its documents are
        in, and with the list of the next; at last what is in no list, with the batches that are named. What the last
        try could not read comes after all windows: however often it fails, it does not keep them from being read.
        """
        stream_group, batch_sync = product_sync.stream_group, self._get_reference_target(product_sync)
        failed_refs: list[PartitionRef] = []
        if batch_sync and stream_group.list_members:
            explicit_refs = [ref for ref in batch_sync.deferred.values() if not ref.is_referenced]
            failed_refs = [ref for ref in explicit_refs if ref.key in batch_sync.failed_keys]
            yield self._start_member_lookups(product_sync, [ref for ref in explicit_refs if ref not in failed_refs])
        ledgers = [ledger for _, ledger in product_sync.stream_ledgers]
        cursor = WindowCursor(
            deque(stream_group.scopes),
            ledgers,
            self._policy.lookback,
            self._policy.start_date,
            self._now(),
            stream_group.wider_scopes,
        )
        query = cursor.get_next_step()
        yield self._start_list_query(product_sync, cursor, query)
        while query:
            window = query if isinstance(query, Window) and product_sync.listed_window else None
            if window and product_sync.listed_window:
                product_sync.plan_window(cursor, window, product_sync.listed_window, self._now())
            product_sync.listed_window, query = None, cursor.get_next_step()
            yield self._start_list_query(
                product_sync, cursor, query
            )  # on its way while what has been listed is asked for
            if window:
                if batch_sync:
                    batch_sync.enqueue_changed_batches()
                    yield ()
                cursor.complete_window(window)
                yield self._emitter.emit_due_states()
        if failed_refs:
            yield self._start_member_lookups(product_sync, failed_refs)
        while product_sync.plan_unlisted(self._now()) or (batch_sync and batch_sync.has_pending_changes):
            yield ()
            if batch_sync:
                batch_sync.enqueue_changed_batches(include_deferred=True)
                yield ()

    def _start_member_lookups(
        self, product_sync: ProductSync, refs: Sequence[PartitionRef]
    ) -> Iterator[AirbyteMessage]:
        find_members = product_sync.stream_group.list_members
        lookups = [(find_members(ref), FindMembersTask(product_sync, ref)) for ref in refs] if find_members else []
        return chain.from_iterable(starmap(self._start_task, lookups))

    def _start_list_query(
        self, product_sync: ProductSync, cursor: WindowCursor, query: Window | FindStart | None
    ) -> Iterable[AirbyteMessage]:
        stream_group = product_sync.stream_group
        flow: RequestFlow[Any] | None = None
        if isinstance(query, Window) and stream_group.read_window:
            flow = stream_group.read_window(query)
        elif isinstance(query, FindStart) and stream_group.find_oldest:
            flow = stream_group.find_oldest(query.scope)
        return self._start_task(flow, QueryListTask(product_sync, cursor, query)) if query and flow else ()

    def _run_next_stage(self, product_sync: ProductSync) -> Iterator[AirbyteMessage]:
        stage = next(product_sync.stages, None) if product_sync.stages else None
        if stage is None:
            product_sync.stages = None
        else:
            yield from stage

    def _is_busy(self, product_sync: ProductSync) -> bool:
        target = self._get_reference_target(product_sync)
        return product_sync.is_busy or bool(target and (target.queue is None or target.is_busy))

    def _get_reference_target(self, product_sync: ProductSync) -> ProductSync | None:
        return self._product_syncs.get(product_sync.stream_group.referenced_group or "")

    def _start_task(self, flow: RequestFlow[Any], task: Task) -> Iterator[AirbyteMessage]:
        task.product_sync.running_tasks += 1
        yield from self._handle_finished_job(self.flow_runner.start(flow, task))

    def _handle_finished_job(self, job: Job[Any] | None) -> Iterator[AirbyteMessage]:
        """What follows from the end of a job; nothing while it goes on."""
        if job is None or self._is_aborted:
            return
        task: Task = job.task
        task.product_sync.running_tasks -= 1
        if isinstance(task, ListBatchesTask):
            task.product_sync.pending_listings -= 1
        if job.error is not None:
            self._handle_failure(task, job.error)
            return
        self._consecutive_failures = 0
        self._has_succeeded = True
        if isinstance(task, ListBatchesTask):
            task.product_sync.listing.complete_templates.add(task.template_id)
            task.product_sync.listing.add(job.result)
        elif isinstance(task, FindMembersTask):
            batch_sync = self._get_reference_target(task.product_sync)
            task.product_sync.plan_members(
                batch_sync.find_tracking_streams(task.ref) if batch_sync else (), job.result, self._now()
            )
        elif isinstance(task, FetchBatchTask):
            yield from self._emit_snapshot(task.product_sync, job.result)
        elif isinstance(task.query, Window):
            task.cursor.record_listing(task.query, len(job.result.refs) + job.result.duplicate_count)
            task.product_sync.listed_window = job.result
            if job.result.error:
                self._warnings.warn("partly unreadable", job.result.error)
        else:
            task.cursor.set_list_start(job.result)

    def _emit_snapshot(self, product_sync: ProductSync, snapshot: Snapshot) -> Iterator[AirbyteMessage]:
        try:
            yield from self._emitter.emit(product_sync, snapshot)
        except ConnectorError as error:
            self._handle_failure(FetchBatchTask(product_sync, snapshot.ref), error)

    def _handle_failure(self, task: Task, error: ConnectorError) -> None:
        """Nothing that a failure covers is taken for done, and those whom it concerns end incomplete."""
        product_sync, now = task.product_sync, self._now()
        if isinstance(task, QueryListTask) and task.cursor.handle_failure(task.query, error):
            return  # it is asked for again, in smaller pieces
        if isinstance(task, FetchBatchTask):
            # A batch that was not read may have held links: those who follow them are incomplete as well.
            product_sync.fail(error, product_sync.find_tracking_streams(task.ref))
            product_sync.record_failure(task.ref, now)
            self._warnings.warn(
                "failed",
                f"{self._provider_name} batch {task.ref.key.display_id} is not synced; the next sync tries again. "
                f"{error}",
            )
        else:
            product_sync.fail(error)
            self._warnings.warn("failed", str(error))
        if isinstance(task, ListBatchesTask):
            product_sync.listing.failed_templates.add(task.template_id)
            for _, ledger in product_sync.stream_ledgers:
                ledger.failed_keys.add(PartitionKey(task.template_id, ""))
        elif isinstance(task, QueryListTask):
            product_sync.listing_incomplete = True
        elif isinstance(task, FindMembersTask):
            product_sync.listing_incomplete = True
            if batch_sync := self._get_reference_target(product_sync):
                batch_sync.fail(error, batch_sync.find_tracking_streams(task.ref))
                batch_sync.record_failure(task.ref, now)
                batch_sync.deferred.pop(task.ref.key, None)
        if isinstance(error, (CredentialsError, QuotaError)):
            self._abort(error)
        elif self._is_provider_failure(task, error):
            self._consecutive_failures += 1
            if self._consecutive_failures >= MAX_CONSECUTIVE_FAILURES:
                abort_reason = (
                    f"{self._provider_name} failed {MAX_CONSECUTIVE_FAILURES} times in a row. This sync sends it no "
                    "more requests; the next sync resumes."
                )
                self._abort(error.reword(f"{abort_reason} {error}"))

    def _is_provider_failure(self, task: Task, error: ConnectorError) -> bool:
        """Return whether a failure says that the provider is out of reach or in trouble."""
        if isinstance(task, ListBatchesTask):
            # A template that nobody knows by its name in the settings says nothing of the others, nor does a list that
            # could not be had the last time while others are.
            is_known_failure = self._has_succeeded and PartitionKey(task.template_id, "") in self._previously_failed
            return isinstance(error, TransientError) and not is_known_failure
        is_refused = isinstance(error, RequestRejected) and error.status == _PAYMENT_REQUIRED
        return isinstance(error, (UnreadableLogin, ConfigError, TransientError)) or is_refused

    def abort_on_unexpected_error(self, error: ConnectorError) -> None:
        """End the visit after an error that nothing in it expects. The states that are written stay the last ones."""
        self._has_unexpected_error = True
        self._abort(error)
        for stream in self._streams:
            stream.fail(error, is_final=True)

    def _abort(self, error: ConnectorError) -> None:
        self._is_aborted = True
        self._warnings.warn("aborted", str(error))
        for product_sync in self._product_syncs.values():
            if product_sync.has_work:
                product_sync.fail(error, is_final=True)
        self.flow_runner.close()
