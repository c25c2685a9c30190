"""One sync: discover, plan, fetch, deliver; every provider at its own pace, one thread that writes.

All providers run side by side. Whatever arrives first is read and delivered first; a batch is fetched once, whichever
of the selected streams need it, and each stream takes from it what is news to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from queue import Empty, SimpleQueue

from airbyte_cdk.models import AirbyteMessage

from ..core.errors import ConnectorError, build_unexpected_error
from .flow_runner import Completion
from .provider_sync import ProviderSync
from .shutdown import Shutdown

_HEARTBEAT_SECONDS = 5.0  # seconds between looks at the clock while nothing arrives


def run(
    provider_syncs: Sequence[ProviderSync], completions: SimpleQueue[Completion], shutdown: Shutdown
) -> Iterator[AirbyteMessage]:
    """Delivers everything that is due. Ends all waits on every way out, also when the consumer walks away."""
    try:
        shutdown.raise_if_requested()
        for message in _emit_messages(provider_syncs, completions, shutdown):
            yield message
            shutdown.raise_if_requested()
    finally:
        for provider_sync in provider_syncs:
            provider_sync.flow_runner.close()


def _emit_messages(
    provider_syncs: Sequence[ProviderSync], completions: SimpleQueue[Completion], shutdown: Shutdown
) -> Iterator[AirbyteMessage]:
    active_syncs = list(provider_syncs)
    while active_syncs:
        for provider_sync in list(active_syncs):
            yield from _isolate_errors(provider_sync, provider_sync.start_due_work())
            if provider_sync.is_done:
                active_syncs.remove(provider_sync)
                yield from _isolate_errors(provider_sync, provider_sync.finalize())
                yield from provider_sync.emit_final_statuses()
        if active_syncs:
            yield from _handle_next_completion(active_syncs, completions, shutdown)


def _isolate_errors(provider_sync: ProviderSync, messages: Iterator[AirbyteMessage]) -> Iterator[AirbyteMessage]:
    """Take a step of one provider; an error that nothing in it expects ends the visit to this provider alone."""
    try:
        yield from messages
    except Exception as error:
        provider_sync.abort_on_unexpected_error(
            error if isinstance(error, ConnectorError) else build_unexpected_error(error)
        )


def _handle_next_completion(
    active_syncs: Sequence[ProviderSync], completions: SimpleQueue[Completion], shutdown: Shutdown
) -> Iterator[AirbyteMessage]:
    completion = _wait_for_completion(completions, shutdown)
    for provider_sync in active_syncs:
        if completion and completion.runner is provider_sync.flow_runner:
            yield from _isolate_errors(provider_sync, provider_sync.handle_response(completion))
        if not provider_sync.is_done:
            yield from _isolate_errors(provider_sync, provider_sync.checkpoints.emit_if_overdue())


def _wait_for_completion(completions: SimpleQueue[Completion], shutdown: Shutdown) -> Completion | None:
    if not completions.empty():
        return completions.get()  # nobody else takes any
    with shutdown.interruptible_wait():
        try:
            return completions.get(timeout=_HEARTBEAT_SECONDS)
        except Empty:
            return None
