"""The loop of one sync over all providers.

The providers run side by side, and the responses are handled in the order in which they arrive. The thread that
iterates over `run` plans, parses and emits; other threads only send requests. So the ledgers and the output need no
locks. A partition is fetched once for all selected streams, and each stream emits the rows that are new to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from queue import Empty

from airbyte_cdk.models import AirbyteMessage

from ..core.errors import ConnectorError, build_unexpected_error
from ..http.network import OutcomeQueue
from .flow_runner import Completion
from .provider_sync import ProviderSync
from .shutdown import Shutdown

_HEARTBEAT_SECONDS = 5.0
"""The longest wait for a response; after it, states that are overdue are emitted all the same."""


def run(
    provider_syncs: Sequence[ProviderSync], completions: OutcomeQueue[Completion], shutdown: Shutdown
) -> Iterator[AirbyteMessage]:
    """Sync all providers, and yield the messages of their streams.

    Args:
        provider_syncs: the providers, not started yet.
        completions: the queue in which all of them report ended requests.
        shutdown: the request to stop; it is checked after each message.

    Raises:
        SystemExit: if a shutdown is requested.
    """
    try:
        shutdown.raise_if_requested()
        # Checked between messages only: a stop never cuts a line in two.
        for message in _emit_messages(provider_syncs, completions, shutdown):
            yield message
            shutdown.raise_if_requested()
    finally:
        # Also when the consumer drops the generator: a thread that waits for a response would keep the process alive.
        for provider_sync in provider_syncs:
            provider_sync.flow_runner.close()


def _emit_messages(
    provider_syncs: Sequence[ProviderSync], completions: OutcomeQueue[Completion], shutdown: Shutdown
) -> Iterator[AirbyteMessage]:
    active_syncs = list(provider_syncs)
    while active_syncs:
        for provider_sync in list(active_syncs):
            yield from _isolate_errors(provider_sync, provider_sync.start_due_work())
            if provider_sync.is_done:
                active_syncs.remove(provider_sync)
                yield from _isolate_errors(provider_sync, provider_sync.finalize())
                # Also after an error in `finalize`: each stream gets its terminal status on every path.
                yield from provider_sync.emit_final_statuses()
        if active_syncs:
            yield from _handle_next_completion(active_syncs, completions, shutdown)


def _isolate_errors(provider_sync: ProviderSync, messages: Iterator[AirbyteMessage]) -> Iterator[AirbyteMessage]:
    """Yield the messages of one step; an unexpected error aborts its provider alone.

    Not caught: SystemExit, by which a requested shutdown ends the sync.
    """
    try:
        yield from messages
    except Exception as error:
        provider_sync.abort_on_unexpected_error(
            error if isinstance(error, ConnectorError) else build_unexpected_error(error)
        )


def _handle_next_completion(
    active_syncs: Sequence[ProviderSync], completions: OutcomeQueue[Completion], shutdown: Shutdown
) -> Iterator[AirbyteMessage]:
    completion = _wait_for_completion(completions, shutdown)
    # Not only the provider of the response: Airbyte expects states every 5 minutes from one that waits as well.
    for provider_sync in active_syncs:
        # A completion of a provider that is done (aborted) is dropped: nothing waits for it.
        if completion and completion.runner is provider_sync.flow_runner:
            yield from _isolate_errors(provider_sync, provider_sync.handle_response(completion))
        if not provider_sync.is_done:
            yield from _isolate_errors(provider_sync, provider_sync.checkpoints.emit_if_overdue())


def _wait_for_completion(completions: OutcomeQueue[Completion], shutdown: Shutdown) -> Completion | None:
    if not completions.empty():
        return completions.get()  # cannot block: this thread is the only consumer
    with shutdown.interruptible_wait():
        try:
            return completions.get(timeout=_HEARTBEAT_SECONDS)
        except Empty:
            return None
