"""The tasks of a provider sync: the purpose of each request flow that it runs."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.model import PartitionKey, PartitionRef
from ..core.provider import FindStart, Window
from ..state.windows import WindowCursor
from .product_sync import ProductSync


@dataclass(frozen=True, slots=True)
class ListBatchesTask:
    """The listing of one template's batches."""

    product_sync: ProductSync
    template_id: str

    @property
    def list_key(self) -> PartitionKey:
        """Return the key under which a failure of the list is remembered."""
        return PartitionKey(self.template_id, "")


@dataclass(frozen=True, slots=True)
class FindMembersTask:
    """The lookup of the documents in a batch that the user names.

    Attributes:
        product_sync: the product of the documents.
        batch_sync: the product of the batch.
        ref: the batch.
    """

    product_sync: ProductSync
    batch_sync: ProductSync
    ref: PartitionRef


@dataclass(frozen=True, slots=True)
class ListUnfinishedTask:
    """The listing of unfinished partitions, which spares their requests by id."""

    product_sync: ProductSync


@dataclass(frozen=True, slots=True)
class QueryListTask:
    """The reading of one window of a list, or the search for its oldest row."""

    product_sync: ProductSync
    cursor: WindowCursor
    query: Window | FindStart

    @property
    def list_key(self) -> PartitionKey:
        """Return the key under which a failure of the list is remembered."""
        return PartitionKey(self.query.scope, "")


@dataclass(frozen=True, slots=True)
class FetchBatchTask:
    """The fetching of one partition."""

    product_sync: ProductSync
    ref: PartitionRef


Task = ListBatchesTask | FindMembersTask | ListUnfinishedTask | QueryListTask | FetchBatchTask
