"""The sync of one provider: it plans its products and runs their request flows.

Each request flow carries a task (`ListBatchesTask`, `FetchBatchTask`, ...) that says what its result is for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from airbyte_cdk.models import AirbyteMessage

from ..core.errors import (
    ConfigError,
    ConnectorError,
    CredentialsError,
    QuotaError,
    RequestRejected,
    TransientError,
    UnknownTemplate,
    UnreadableLogin,
)
from ..core.model import PartitionKey, Snapshot
from ..core.provider import ChangeDetection, ProviderSpec, RequestFlow, Window
from ..http.client import Client
from ..http.network import OutcomeQueue
from ..state.entries import SyncPolicy
from .checkpoints import Checkpoints
from .delivery import Emitter
from .flow_runner import Completion, FlowRunner, Job
from .listing_phases import ListingPhases
from .product_sync import ProductSync, build_product_syncs
from .reporting import WarningLimiter, build_unknown_account_message, summarize
from .stream import Stream
from .tasks import FetchBatchTask, FindMembersTask, ListBatchesTask, ListUnfinishedTask, QueryListTask, Task

MAX_CONSECUTIVE_FAILURES = 3
"""Consecutive failures after which the sync stops asking a provider.

Only failures count that say that the provider is unreachable or in trouble. Unreadable responses and rejections concern
one partition each, so they never stop the others, however many of them come first."""

_PAYMENT_REQUIRED = 402
"""The HTTP status of a rejection that concerns the whole account, so it counts as a provider failure."""


class ProviderSync:
    """One provider during one sync.

    The engine drives it: it calls `start_due_work` until `is_done`, with one `handle_response` in between for each
    response, then `finalize` and `emit_final_statuses`. A provider sync goes through these states:

        created    Nothing has been requested.
        listing    The first `start_due_work` starts the listings of all templates.
        fetching   Each product is planned as soon as its own lists are in. Then partitions are fetched, as many at once
                   as the lanes have room for, and each result becomes rows, references and state. New work comes from
                   references and from the next phases of the products with a list. See `ProductSync` for its states.
        done       No product has work left. `finalize` compacts the ledgers and emits the last states.
        aborted    The provider is not asked any more, and `is_done` is true at once. Credentials that the provider
                   rejects, a used-up quota, three provider failures in a row and an unexpected error lead here. The
                   products with work left end incomplete. `finalize` still emits the states, except after an
                   unexpected error.

    The failure of one partition does not end the sync: its streams end incomplete, and the next sync asks for it again.

    Args:
        provider_spec: how to reach the provider, and its products.
        streams: the selected streams of its products.
        client: sends the requests; it is closed when the sync ends or is aborted.
        completions: the queue in which the flow runners of all providers report ended requests.
        checkpoints: emits the states of `streams`.
        policy: the user's settings for due dates.
        now: returns the current time, aware and in UTC.
        logger: takes the warnings and the summary.

    Attributes:
        flow_runner: runs the request flows; a `Completion` names the runner that it belongs to.
        checkpoints: as passed.
    """

    def __init__(
        self,
        provider_spec: ProviderSpec,
        streams: Sequence[Stream],
        *,
        client: Client,
        completions: OutcomeQueue[Completion],
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
        self._listing_phases: list[ListingPhases] = []
        self._emitter = Emitter(
            self._provider_name, self._product_syncs, checkpoints=checkpoints, warnings=self._warnings, now=now
        )
        self._consecutive_failures = 0
        self._has_succeeded = False
        # A copy from before the first request: a list that fails in this sync joins the failed keys at once, and would
        # pass for one that failed in the previous sync as well.
        self._previously_failed: set[PartitionKey] = set().union(
            *(product_sync.failed_keys for product_sync in self._product_syncs.values())
        )
        self._is_started = False
        self._is_aborted = False
        self._has_unexpected_error = False

    def start_due_work(self) -> Iterator[AirbyteMessage]:
        """Start the listings at first, then as many due partitions as there is room for."""
        if not self._is_started:
            self._is_started = True
            yield from self._start_listings()
        yield from self._plan_products()
        # A phase may queue nothing, or partitions that need no request. So this goes on until every product waits.
        is_moving = True
        while is_moving and not self._is_aborted:
            is_moving = False
            for product_sync in self._product_syncs.values():
                yield from self._fetch_due(product_sync)
            for listing_phases in self._listing_phases:
                if listing_phases.is_ready:
                    is_moving = True
                    yield from listing_phases.run_phase()

    @property
    def is_done(self) -> bool:
        """Return whether no product has work left, or the provider was aborted."""
        return self._is_aborted or not any(product_sync.has_work for product_sync in self._product_syncs.values())

    def handle_response(self, completion: Completion) -> Iterator[AirbyteMessage]:
        """Handle one ended request, and emit the messages of the task that it completes."""
        yield from self._handle_job(self.flow_runner.handle_completion(completion))
        # Only now: after a failure that aborts this provider, nothing more of the lane may be sent.
        self.flow_runner.resume_lane(completion)

    def finalize(self) -> Iterator[AirbyteMessage]:
        """Compact the ledgers, emit the last states and log the summary of the sync."""
        # Counted before the compaction, which prunes what the settings and lists no longer name.
        summary_text = summarize(self._provider_name, self._client.stats, self._product_syncs.values(), self._streams)
        self._warn_if_all_unknown()
        self._warnings.log_suppressed_counts()
        # An unexpected error may have interrupted an update of a ledger: the last checkpoint stays the state to resume.
        if not self._has_unexpected_error:
            self._compact_ledgers()
            yield from self.checkpoints.emit_final()
        self._logger.info("%s", summary_text)

    def emit_final_statuses(self) -> Iterator[AirbyteMessage]:
        """Emit one terminal status for each stream."""
        for stream in self._streams:
            yield from stream.emit_final_status()

    def _compact_ledgers(self) -> None:
        for product_sync in self._product_syncs.values():
            if product_sync.has_made_all_looks:
                for ledger in product_sync.ledgers:
                    ledger.last_complete_sync = product_sync.planned_at
        for product_sync in self._product_syncs.values():
            # A batch's entry holds the statuses of its documents. So it is kept until all documents have been listed.
            document_sync = (
                self._get_reference_target(product_sync)
                if product_sync.stream_group.change_detection is ChangeDetection.REFERENCE
                else None
            )
            batch_sync = self._get_reference_target(product_sync) if product_sync.stream_group.read_window else None
            has_unknown_references = batch_sync is not None and batch_sync.has_unknown_members(self._now())
            if product_sync.is_fully_listed and (document_sync is None or document_sync.is_fully_listed):
                for stream, ledger_pass in product_sync.stream_passes:
                    is_repeatable = has_unknown_references or self._may_repeat_references(product_sync, stream)
                    ledger_pass.compact_and_prune(
                        self._now(), product_sync.stream_group.scopes, are_references_repeatable=is_repeatable
                    )

    def _may_repeat_references(self, product_sync: ProductSync, stream: Stream) -> bool:
        """Return whether a partition that refers to this product is still to be looked at.

        Args:
            product_sync: the product that is referred to.
            stream: the stream whose references are meant.
        """
        stream_group = self._provider_spec.find_referrer(product_sync.stream_group)
        referrer = self._product_syncs.get(stream_group.name) if stream_group else None
        if referrer is None:
            return False
        failed_keys = stream.get_pass(referrer.stream_group.name).ledger.failed_keys
        return bool(failed_keys) or not referrer.has_made_all_looks

    def _warn_if_all_unknown(self) -> None:
        """Warn if the provider knows none of the batches that the user names.

        The key may belong to another account, which no single response would show.
        """
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
                for template_id in product_sync.sort_lists(stream_group.template_ids):
                    yield from self._start_task(
                        stream_group.discover(template_id), ListBatchesTask(product_sync, template_id)
                    )

    def _plan_products(self) -> Iterator[AirbyteMessage]:
        for product_sync in self._product_syncs.values():
            if product_sync.queue is not None or product_sync.pending_listings or self._is_aborted:
                continue
            product_sync.planned_at = self._now()
            if product_sync.stream_group.read_window:
                # Planned from here on: references may be registered, and the phases fill the queue.
                product_sync.enqueue([])
                self._listing_phases.append(self._build_listing_phases(product_sync))
                continue
            for snapshot in product_sync.plan_batches(product_sync.planned_at):
                # Lists that were read to their ends no longer name these open batches, so their rows need no request.
                yield from self._emit_snapshot(product_sync, snapshot)

    def _build_listing_phases(self, product_sync: ProductSync) -> ListingPhases:
        return ListingPhases(
            product_sync,
            self._get_reference_target(product_sync),
            policy=self._policy,
            now=self._now,
            start_task=self._start_task,
            emit_due_states=self._emitter.emit_due_states,
        )

    def _fetch_due(self, product_sync: ProductSync) -> Iterator[AirbyteMessage]:
        target = self._get_reference_target(product_sync)
        if target and target.queue is None:
            return  # only a planned product can decide whether a reference is new
        # Started only as the lane has room: a consumer that reads slowly must not fill the memory with responses.
        while product_sync.queue and self.flow_runner.has_room(product_sync.stream_group.lane) and not self._is_aborted:
            ref = product_sync.queue.popleft()
            read_batch = product_sync.stream_group.read_batch
            flow = product_sync.fetch_batch(ref, read_batch) if read_batch else product_sync.stream_group.fetch(ref)
            yield from self._start_task(flow, FetchBatchTask(product_sync, ref))

    def _get_reference_target(self, product_sync: ProductSync) -> ProductSync | None:
        return self._product_syncs.get(product_sync.stream_group.referenced_group or "")

    def _start_task(self, flow: RequestFlow[Any], task: Task) -> Iterator[AirbyteMessage]:
        # Counted first: a flow that needs no request ends inside `start`, and its handling counts down again.
        task.product_sync.running_tasks += 1
        yield from self._handle_job(self.flow_runner.start(flow, task))

    def _handle_job(self, job: Job[Any] | None) -> Iterator[AirbyteMessage]:
        """Emit the parts of a job, then handle its end; do nothing if `job` is None."""
        # A flow goes on after its part is out, so that a slow consumer holds back the reading of the next page.
        while job is not None and job.part is not None and not self._is_aborted:
            task: Task = job.task
            try:
                yield from self._emitter.emit(task.product_sync, job.part)
            except ConnectorError as error:
                self.flow_runner.abandon(job)
                task.product_sync.running_tasks -= 1
                self._handle_failure(task, error)
                return
            yield from self.checkpoints.emit_if_overdue()
            job = self.flow_runner.resume(job)
        # Responses that were in flight when the provider was aborted are dropped: the next sync asks again.
        if job is not None and not self._is_aborted:
            yield from self._handle_finished_job(job)

    def _handle_finished_job(self, job: Job[Any]) -> Iterator[AirbyteMessage]:
        """Handle the result or the error of a finished job."""
        task: Task = job.task
        task.product_sync.running_tasks -= 1
        if isinstance(task, ListBatchesTask):
            task.product_sync.pending_listings -= 1
        if job.error is not None:
            self._handle_failure(task, job.error)
            return
        # A success shows that the provider can be reached, so the count of failures in a row begins anew.
        self._consecutive_failures = 0
        self._has_succeeded = True
        if isinstance(task, ListBatchesTask):
            task.product_sync.listing.complete_templates.add(task.template_id)
            task.product_sync.listing.add(job.result)
        elif isinstance(task, FindMembersTask):
            streams = task.batch_sync.find_tracking_streams(task.ref)
            task.product_sync.plan_members(streams, job.result, self._now())
        elif isinstance(task, ListUnfinishedTask):
            task.product_sync.plan_unfinished(job.result, self._now())
        elif isinstance(task, FetchBatchTask):
            yield from self._emit_snapshot(task.product_sync, job.result)
        else:
            self._record_query(task, job.result)

    def _record_query(self, task: QueryListTask, result: Any) -> None:
        """Record the rows of a window, or where a list begins."""
        for ledger in task.product_sync.ledgers:
            ledger.failed_keys.discard(task.list_key)
        if isinstance(task.query, Window):
            task.cursor.record_listing(task.query, len(result.refs), len(result.rows_ahead))
            task.product_sync.listed_window = result
            if result.error:
                self._warnings.warn("partly unreadable", result.error)
        else:
            task.cursor.set_list_start(result)

    def _emit_snapshot(self, product_sync: ProductSync, snapshot: Snapshot) -> Iterator[AirbyteMessage]:
        try:
            yield from self._emitter.emit(product_sync, snapshot)
        except ConnectorError as error:
            # A batch whose rows cannot be made fails like one that cannot be fetched: it stays due, the others go on.
            self._handle_failure(FetchBatchTask(product_sync, snapshot.ref), error)

    def _handle_failure(self, task: Task, error: ConnectorError) -> None:
        """Record a failed task: its partitions stay due, its streams end incomplete."""
        product_sync, now = task.product_sync, self._now()
        if isinstance(task, QueryListTask) and task.cursor.handle_failure(task.query, error):
            return  # the cursor asks for this window again, in smaller ones
        if isinstance(task, FetchBatchTask):
            # An unread batch may hold references, so the streams that follow them are incomplete as well.
            product_sync.fail(error, product_sync.find_tracking_streams(task.ref))
            product_sync.record_failure(task.ref, now)
            self._warnings.warn(
                "failed",
                f"{self._provider_name} batch {task.ref.key.display_id} is not synced; the next sync tries again. "
                f"{error}",
            )
        elif isinstance(task, ListUnfinishedTask):
            # Nothing is missing without this list: each of the partitions is then requested by its id.
            self._warnings.warn("failed", f"{error} Unfinished documents are requested one by one.")
        else:
            product_sync.fail(error)
            self._warnings.warn("failed", str(error))
        if isinstance(task, (ListBatchesTask, QueryListTask)):
            for ledger in product_sync.ledgers:
                ledger.failed_keys.add(task.list_key)
        if isinstance(task, ListBatchesTask):
            product_sync.listing.failed_templates.add(task.template_id)
        elif isinstance(task, QueryListTask):
            product_sync.listing_incomplete = True
        elif isinstance(task, FindMembersTask):
            task.batch_sync.has_failed_lookups = True
            task.batch_sync.fail(error, task.batch_sync.find_tracking_streams(task.ref))
            task.batch_sync.record_failure(task.ref, now)
            task.batch_sync.deferred.pop(task.ref.key, None)
        # After these two, no further request to this provider can succeed in this sync.
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
        """Return whether a failure says that the provider is unreachable or in trouble."""
        if isinstance(error, UnknownTemplate):
            return False  # a wrong name in the settings says nothing about the other templates
        if isinstance(task, (ListBatchesTask, QueryListTask)):
            # A list that failed in the previous sync too says nothing more, while other requests succeed.
            is_known_failure = self._has_succeeded and task.list_key in self._previously_failed
            if is_known_failure:
                return False
        if isinstance(task, ListBatchesTask):
            return isinstance(error, TransientError)
        # An unreadable login counts, since each further request would ask for another one.
        is_refused = isinstance(error, RequestRejected) and error.status == _PAYMENT_REQUIRED
        return isinstance(error, (UnreadableLogin, ConfigError, TransientError)) or is_refused

    def abort_on_unexpected_error(self, error: ConnectorError) -> None:
        """Abort the provider after an unexpected error; no further state is emitted.

        Args:
            error: the reason that all streams of the provider report.
        """
        self._has_unexpected_error = True
        self._abort(error)
        for stream in self._streams:
            # Also streams of products that have no work left: after such an error none of them gets its last state.
            stream.fail(error, is_final=True)

    def _abort(self, error: ConnectorError) -> None:
        self._is_aborted = True
        self._warnings.warn("aborted", str(error))
        # Products without work left are complete: all that they cover was read before.
        for product_sync in self._product_syncs.values():
            if product_sync.has_work:
                product_sync.fail(error, is_final=True)
        # Closed at once: requests that wait for a slot or for a retry would otherwise still be sent to this provider.
        self.flow_runner.close()
