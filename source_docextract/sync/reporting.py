"""The warnings about one provider during one sync, and the summary of the sync."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from ..core.provider import ChangeDetection, ProviderSpec
from ..core.redaction import sanitize_message
from ..http.client import RequestStats
from .product_sync import ProductSync
from .stream import Stream

_MAX_WARNINGS_PER_KIND = 5
"""Warnings of one kind that are logged in one sync; further ones are only counted."""

_MAX_LENGTH = 1000  # characters of one warning


class WarningLimiter:
    """The warnings about one provider, limited to a few of each kind.

    A thousand broken batches must not bury the log.

    Args:
        logger: takes the warnings.
        provider_name: the provider's name in messages to users.
    """

    def __init__(self, logger: logging.Logger, provider_name: str) -> None:
        self._logger = logger
        self._provider_name = provider_name
        self._counts_by_kind: Counter[str] = Counter()
        self._logged_by_kind: defaultdict[str, set[str]] = defaultdict(set)

    def warn(self, kind: str, message: str) -> None:
        """Log a warning, unless it was logged before or its kind has reached the limit."""
        logged_messages = self._logged_by_kind[kind]
        if message in logged_messages:
            return
        self._counts_by_kind[kind] += 1
        if len(logged_messages) < _MAX_WARNINGS_PER_KIND:
            logged_messages.add(message)
            # Ids and reasons in it come from the provider: they may contain line feeds, secrets or signed URLs.
            self._logger.warning("%s", sanitize_message(message, _MAX_LENGTH))

    def log_suppressed_counts(self) -> None:
        """Log how many warnings of each kind were left out."""
        for kind, count in self._counts_by_kind.items():
            if count > _MAX_WARNINGS_PER_KIND:
                self._logger.warning(
                    "%s: %d more warnings of the kind '%s'.", self._provider_name, count - _MAX_WARNINGS_PER_KIND, kind
                )


def summarize(
    provider_name: str, request_stats: RequestStats, product_syncs: Iterable[ProductSync], streams: Sequence[Stream]
) -> str:
    """Return the summary line: requests, batches, rows by stream, seconds waited.

    Of extractions that come from a list only the open ones are counted: the ledger forgets settled ones.
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
        open_count = sum(len(ledger.open_keys) for ledger in batch_ledgers)
        settled_count = sum(ledger.settled_count for ledger in batch_ledgers)
        missing_count = sum(len(ledger.missing_keys) for ledger in batch_ledgers)
        missing_text = f", {missing_count} missing" if missing_count else ""
        parts.append(f"batches {open_count} open, {settled_count} settled{missing_text}")
    if extraction_ledgers:
        parts.append(f"extractions {sum(len(ledger.open_keys) for ledger in extraction_ledgers)} open")
    return parts


def build_unknown_account_message(provider_spec: ProviderSpec) -> str:
    """Return the warning for a provider that knows none of the named batches."""
    settings = " or ".join(
        dict.fromkeys(setting for group in provider_spec.stream_groups for setting in group.explicit_settings)
    )
    credential_settings = provider_spec.error_format.credential_settings
    return (
        f"{provider_spec.error_format.provider_name} knows none of the configured batches. Correct {settings}, or "
        f"{credential_settings}, which may belong to another account."
    )
