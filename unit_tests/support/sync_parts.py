"""The parts of a sync around one provider's products, without requests: streams, states and the emitter."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import Any

from airbyte_cdk.models import AirbyteMessage
from airbyte_cdk.sources.connector_state_manager import ConnectorStateManager

from source_docextract.core.model import Document, Extraction, FileStatus, PartitionRef, PartitionStatus, Snapshot
from source_docextract.core.provider import ChangeDetection, ProviderSpec, StreamGroup
from source_docextract.core.requests import ErrorFormat
from source_docextract.state.entries import SyncPolicy
from source_docextract.state.serialization import StreamState
from source_docextract.sync.checkpoints import Checkpoints, StateSizeMonitor
from source_docextract.sync.delivery import Emitter
from source_docextract.sync.product_sync import build_product_syncs
from source_docextract.sync.reporting import WarningLimiter
from source_docextract.sync.stream import Stream
from source_docextract.tables.rows import BATCHES, FILES, RESULTS, RenderOptions, Table

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=timezone.utc)

logger = logging.getLogger("airbyte.test")


def make_stream(
    product: StreamGroup,
    table: Table,
    policy: SyncPolicy | None = None,
    referrer: StreamGroup | None = None,
) -> Stream:
    """Return a stream of a product with an empty state."""
    name = f"{product.stream_prefix}_{table.kind}"
    state = StreamState(
        policy or SyncPolicy(),
        stream_name=name,
        change_detection=product.change_detection,
        reference_detection=referrer.change_detection if referrer else ChangeDetection.POLLING,
    )
    return Stream(name, product.name, table, RenderOptions(product.stream_prefix), state)


def make_document(key: str, status: FileStatus = FileStatus.PROCESSED, data: dict[str, Any] | None = None) -> Document:
    """Return a document, with one extraction if it is processed."""
    extraction = Extraction(data=data or {}, hashable_data=data or {})
    extractions = (extraction,) if status is FileStatus.PROCESSED else ()
    return Document(key=key, status=status, file_id=key, extractions=extractions)


def make_snapshot(
    batch_id: str, *keys: str, status: PartitionStatus = PartitionStatus.COMPLETE, **attributes: Any
) -> Snapshot:
    """Return the snapshot of a batch with processed documents."""
    documents = tuple(make_document(key) for key in keys)
    return Snapshot(PartitionRef("t", batch_id), status, **{"documents": documents, **attributes})


class ProviderParts:
    """One provider during one sync: its products, their streams and its emitter.

    Attributes:
        spec: the provider.
        streams: the selected streams by name.
        product_syncs: the products by name; their queues are planned, and empty.
        checkpoints: the states of the streams.
        emitter: the emitter.
    """

    def __init__(
        self,
        *products: StreamGroup,
        tables: Sequence[Table] = (BATCHES, FILES, RESULTS),
        policy: SyncPolicy | None = None,
    ) -> None:
        self.spec = ProviderSpec(
            ErrorFormat("Acme", "acme.key", lambda _: None),
            "http://127.0.0.1:9",
            products,
            check=lambda: iter(()),  # type: ignore[arg-type,return-value]
        )
        streams = [
            make_stream(product, table, policy, self.spec.find_referrer(product))
            for product in products
            for table in tables
        ]
        self.streams = {stream.name: stream for stream in streams}
        self.product_syncs = build_product_syncs(self.spec, streams)
        for product_sync in self.product_syncs.values():
            product_sync.enqueue(())
        self.checkpoints = Checkpoints(streams, ConnectorStateManager([]), StateSizeMonitor(logger))
        self.emitter = Emitter(
            "Acme",
            self.product_syncs,
            checkpoints=self.checkpoints,
            warnings=WarningLimiter(logger, "Acme"),
            now=lambda: NOW,
        )

    def plan(self, product: str, refs: Iterable[PartitionRef]) -> list[PartitionRef]:
        """List partitions in all streams of a product, as a sync does; return those that are due."""
        product_sync = self.product_syncs[product]
        product_sync.listing.add(refs)
        product_sync.plan_batches(NOW)
        assert product_sync.queue is not None
        due_refs = list(product_sync.queue)
        product_sync.queue.clear()
        return due_refs

    def emit(self, product: str, snapshot: Snapshot) -> list[AirbyteMessage]:
        """Return all messages that a snapshot leads to."""
        return list(self.emitter.emit(self.product_syncs[product], snapshot))


def describe(message: AirbyteMessage) -> str:
    """Return a short form of a message, such as `RECORD acme_files t/B/a` or `STATE acme_files`."""
    if message.record:
        return f"RECORD {message.record.stream} {message.record.data['id']}"
    if message.state:
        assert message.state.stream
        return f"STATE {message.state.stream.stream_descriptor.name}"
    assert message.trace
    assert message.trace.stream_status
    return f"{message.trace.stream_status.status.value} {message.trace.stream_status.stream_descriptor.name}"


def get_state(messages: Iterable[AirbyteMessage], stream_name: str) -> dict[str, Any]:
    """Return the last state of a stream among messages."""
    states = [
        message.state.stream.stream_state.__dict__
        for message in messages
        if message.state and message.state.stream and message.state.stream.stream_descriptor.name == stream_name
    ]
    state_json: dict[str, Any] = states[-1]
    return state_json
