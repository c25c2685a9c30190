"""Warnings of one provider during one sync, and the line that sums the sync up."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from ..core.provider import ChangeDetection, ProviderSpec
from ..core.redaction import sanitize_message
from ..http.client import RequestStats
from .product_sync import ProductSync
from .stream import Stream

_MAX_WARNINGS_PER_KIND = 5  # of one kind in one sync; beyond that they are counted

_MAX_LENGTH = 1000  # characters


class WarningLimiter:
    """Warnings, a few of each kind; a thousand broken batches must not bury the log.

    Args:
        name: the provider as a user knows it.
    """

    def __init__(self, logger: logging.Logger, provider_name: str) -> None:
        self._logger = logger
        self._provider_name = provider_name
        self._counts_by_kind: Counter[str] = Counter()
        self._logged_by_kind: defaultdict[str, set[str]] = defaultdict(set)

    def warn(self, kind: str, message: str) -> None:
        """Tells it, unless the same was told before or enough of its kind."""
        logged_messages = self._logged_by_kind[kind]
        if message in logged_messages:
            return
        self._counts_by_kind[kind] += 1
        if len(logged_messages) < _MAX_WARNINGS_PER_KIND:
            logged_messages.add(message)
            self._logger.warning("%s", sanitize_message(message, _MAX_LENGTH))

    def log_suppressed_counts(self) -> None:
        for kind, count in self._counts_by_kind.items():
            if count > _MAX_WARNINGS_PER_KIND:
                self._logger.warning(
                    "%s: %d more warnings of the kind '%s'.", self._provider_name, count - _MAX_WARNINGS_PER_KIND, kind
                )


def summarize(
    provider_name: str, request_stats: RequestStats, product_syncs: Iterable[ProductSync], streams: Sequence[Stream]
) -> str:
    """Requests, what is finished and what is not, rows by stream, seconds waited.

    Batches are settled so far as they are remembered. Lists by time show extractions that are remembered only while
    they may change, so of these the open ones are told.
    """
    request_text = f"{request_stats.requests} request{'' if request_stats.requests == 1 else 's'}"
    retry_text = f" ({request_stats.retries} retried)" if request_stats.retries else ""
    row_counts = ", ".join(f"{stream.name} {stream.record_count}" for stream in streams)
    parts = [
        f"{request_text}{retry_text}",
        *_format_batch_counts(product_syncs),
        f"rows: {row_counts}",
        f"waited {request_stats.waited_seconds:.1f} s",
    ]
    return f"{provider_name}: {'; '.join(parts)}."


def _format_batch_counts(product_syncs: Iterable[ProductSync]) -> list[str]:
    ledger_pairs = [
        (product_sync.stream_group.change_detection is ChangeDetection.LISTING, product_sync.streams[0].state.ledger)
        for product_sync in product_syncs
        if product_sync.streams
    ]
    batch_ledgers = [ledger for is_listing, ledger in ledger_pairs if not is_listing]
    extraction_ledgers = [ledger for is_listing, ledger in ledger_pairs if is_listing]
    parts = []
    if batch_ledgers:
        missing_count = sum(len(ledger.missing_keys) for ledger in batch_ledgers)
        parts.append(
            f"batches {sum(len(ledger.open_keys) for ledger in batch_ledgers)} open, {sum(ledger.settled_count for ledger in batch_ledgers)} settled"
            f"{f', {missing_count} missing' if missing_count else ''}"
        )
    if extraction_ledgers:
        parts.append(f"extractions {sum(len(ledger.open_keys) for ledger in extraction_ledgers)} open")
    return parts


def build_unknown_account_message(provider_spec: ProviderSpec) -> str:
    """Return what to say where all named batches are unknown."""
    settings = " or ".join(
        dict.fromkeys(setting for group in provider_spec.stream_groups for setting in group.explicit_settings)
    )
    credential_settings = provider_spec.error_format.credential_settings
    return (
        f"{provider_spec.error_format.provider_name} knows none of the configured batches. Correct {settings}, or "
        f"{credential_settings}, which may belong to another account."
    )
