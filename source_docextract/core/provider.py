"""The contract of a provider: its description and its request flows.

A provider does no I/O and keeps no state. It describes itself in a `ProviderSpec`, and each of its operations is a
`RequestFlow`, which yields requests and is sent parsed responses. What a flow needs from an earlier one, the sync hands
to it as a value. Tests drive these generators without a network.

A flow that reads many pages yields a `RequestSeries` once for each response, and each page as a partial `Snapshot`. So
neither the responses nor the rows of all pages are in memory at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import TypeVar

from .errors import ResourceUnavailable
from .json_types import Json
from .model import PartitionRef, Snapshot
from .products import STREAM_KINDS
from .requests import ErrorFormat, Login, Request
from .templates import DiscoveredTemplates, FindUnselected, TableKey, assume_all_selected
from .time_ranges import TimeRange
from .wrappers import NO_WRAPPERS, WrapperFormat


class ChangeDetection(Enum):
    """The way in which changes of a product's partitions are detected.

    Attributes:
        POLLING: each partition is fetched: at every sync while it is open, and at growing ages in the lookback after it
            has settled.
            Used by Extracta and Atlas.
        LISTING: the list shows each change, so the lookback reads the list again. A partition is fetched by its id
            only if it is open and the list no longer covers it. Used by the extractions of DocMap and Sensible.
        REFERENCE: a partition is fetched when a document that references it has changed. A partition that is also
            named explicitly is polled as well. Used by DocMap's runs and Sensible's batches, which no list has.
    """

    POLLING = "polling"
    LISTING = "listing"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Window:
    """The rows of a time-ordered list created from `start` on and before `end`.

    Attributes:
        scope: the list that is read: a template id on DocMap, `<environment>/<document type>` on Sensible. An empty
            template or type stands for all.
        start: midnight UTC, inclusive.
        end: midnight UTC, exclusive.
    """

    scope: str
    start: datetime
    end: datetime

    @property
    def time_range(self) -> TimeRange:
        """The window's range of creation time."""
        return TimeRange(self.start, self.end)


@dataclass(frozen=True, slots=True)
class FindStart:
    """The step before a scope's first window: the search for its oldest row.

    Attributes:
        scope: the list to look in, as in `Window.scope`.
    """

    scope: str


@dataclass(frozen=True, slots=True)
class Registry:
    """The batches that a batch registry names.

    Attributes:
        batches: the batches of each product.
        skipped_rows: the number of rows of each provider that is not configured. They cause one warning and no error.
    """

    batches: Mapping[str, tuple[PartitionRef, ...]] = field(default_factory=dict)
    skipped_rows: Mapping[str, int] = field(default_factory=dict)

    def get_batches(self, product: str) -> tuple[PartitionRef, ...]:
        """Return the batches of a product, in the registry's order."""
        return self.batches.get(product, ())


T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class RequestSeries:
    """Requests whose responses a flow takes one at a time, in their order.

    The flow yields the series once for each response, and is sent that response alone. Meanwhile a limited number of
    the next requests run ahead. The first error in their order is raised at its yield, and ends the series: requests
    that were not sent by then are not sent any more.

    Attributes:
        requests: the requests, each of which is sent once.
    """

    requests: Sequence[Request]


RequestFlow = Generator[Sequence[Request] | RequestSeries | Snapshot, Sequence[Json], T]
"""A generator that yields requests, is sent their parsed responses, and returns a result of type `T`.

The requests of one yield may run concurrently; the responses arrive in the same order. When a request fails, its error
is raised at the yield.

It may yield partial snapshots in between (`Snapshot.is_partial`), and is sent no response for them. Each is delivered
before the flow goes on.
"""


@dataclass(frozen=True, slots=True)
class ListedRows:
    """The rows that a list returned for one window.

    Attributes:
        refs: the readable rows.
        error: a sentence about rows that cannot be read; empty if all can. If it is set, the window counts as unread
            and the next sync reads it again.
        rows_ahead: rows of the next window that the responses already held: all from its start to the newest of them.
    """

    refs: list[PartitionRef]
    error: str = ""
    rows_ahead: Sequence[PartitionRef] = ()


@dataclass(frozen=True, slots=True)
class FilterIds:
    """The ids by which a list filters, where the settings know only names (Sensible's document types).

    Attributes:
        ids_by_name: the ids that can be read.
        is_complete: whether all of them can be read.
    """

    ids_by_name: Mapping[str, str] = field(default_factory=dict)
    is_complete: bool = True


NO_FILTERS = FilterIds()
"""The filter ids of a list that is not filtered, or whose ids have not been looked up."""


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """One answer about a batch, from which its documents and its own row are read.

    The row is made later than the documents are listed, since it counts their statuses.

    Attributes:
        list_members: returns the documents of the batch.
        build_snapshot: returns the snapshot of the batch, with the statuses of documents that its reference has by now.
        listed_rows: the documents of the batch with their rows, as their own list would show them, by id (DocMap); None
            where the answer holds ids alone.
    """

    list_members: Callable[[], Sequence[PartitionRef]]
    build_snapshot: Callable[[PartitionRef], Snapshot]
    listed_rows: Mapping[str, PartitionRef] | None = None


ReadBatch = Callable[[PartitionRef], RequestFlow[BatchAnswer]]
"""A request flow about a batch whose documents are partitions of another product."""


def fetch_batch(read_batch: ReadBatch, ref: PartitionRef) -> RequestFlow[Snapshot]:
    """Return a batch as its answer shows it."""
    answer = yield from read_batch(ref)
    return answer.build_snapshot(ref)


@dataclass(frozen=True, slots=True)
class TypedTables:
    """The typed tables of a product: one table for each template or document type.

    Attributes:
        discover_templates: returns the templates or document types, with their fields.
        key: returns the template or document type of an extraction.
        may_contain: returns whether a partition can contain documents of a template or type, judged before it is
            fetched. It spares a sync with only typed tables the other partitions.
        find_unselected: returns which of some templates or types the settings no longer name.
        setting_name: the setting that names templates or document types, for error messages.
    """

    discover_templates: Callable[[], RequestFlow[DiscoveredTemplates]]
    key: TableKey
    may_contain: Callable[[PartitionRef, str], bool] = lambda _ref, _key: True
    find_unselected: FindUnselected = assume_all_selected
    setting_name: str = ""

    def build_partition_filter(self, key: str) -> Callable[[PartitionRef], bool]:
        """Return the filter of partitions that may have rows for the table of `key`."""
        return lambda ref: self.may_contain(ref, key)


def _list_no_scopes(_scope: str) -> Sequence[str]:
    return ()


def _list_this_scope(scope: str, _ref: PartitionRef) -> Sequence[str]:
    return (scope,)


@dataclass(frozen=True, slots=True)
class StreamGroup:
    """The streams of one product.

    The same requests feed all of them, so each partition is fetched once for all.

    Attributes:
        name: the product's name; the prefix of its streams unless `prefix` is set.
        fetch: fetches one partition as it is now.
        read_batch: reads the answer about a batch whose documents are another product's partitions. The sync keeps the
            answer where it still needs it, and then requests the batch once. None elsewhere.
        template_ids: ids of the templates whose batches `discover` lists.
        explicit_partitions: the partitions that settings and registry name.
        explicit_settings: the settings that name them, for error messages.
        batch_exists: returns whether the provider knows a batch, where one request proves it and `fetch` would make
            more (Atlas, whose batches have pages). Used by `check`.
        discover: lists the batches of one template; None where the provider cannot list them.
        lane: the lane of the requests of `fetch`. The sync starts no more fetches than the lane can take.
        referenced_group: name of the product that `Snapshot.references` point at; None where they are not followed.
        change_detection: the way in which changes of partitions are detected.
        wrapper_format: the format of the provider's wrappers around extracted values.
        stream_kinds: the kinds of stream that it feeds.
        prefix: the prefix of its streams where that is not `name` (`docmap_runs` feeds `docmap_batches`).
        scopes: the lists to read, for a product with time-ordered lists; see `Window.scope`.
        look_up_filters: looks up the ids by which the lists filter, once a sync. None where no list needs them.
        find_oldest: returns the creation time of the oldest row of a scope's list, None where the list is empty.
        read_window: reads all rows of a window. Those that the window before has brought (`ListedRows.rows_ahead`) need
            not be requested again.
        wider_scopes: returns the scopes whose lists contain the whole list of a scope, so that a range of time read
            there need not be read again here.
        row_scopes: returns every scope that a row in the list of a scope belongs to.
        list_unfinished: lists those of some unfinished extractions that are unchanged or have changed, from a list of
            unfinished ones created before a time. It may leave out any of them: these are then fetched by id. None
            where the provider cannot list by status.
        typed_tables: the typed tables of its templates or document types; None where it has none.
        lookback: its own lookback in place of `lookback_days`; zero for a list by modification time, which shows each
            change itself.
    """

    name: str
    fetch: Callable[[PartitionRef], RequestFlow[Snapshot]]
    template_ids: tuple[str, ...] = ()
    explicit_partitions: tuple[PartitionRef, ...] = ()
    explicit_settings: tuple[str, ...] = ()
    batch_exists: Callable[[PartitionRef], RequestFlow[bool]] | None = None
    discover: Callable[[str], RequestFlow[list[PartitionRef]]] | None = None
    lane: str = ""
    referenced_group: str | None = None
    read_batch: ReadBatch | None = None
    change_detection: ChangeDetection = ChangeDetection.POLLING
    wrapper_format: WrapperFormat = NO_WRAPPERS
    stream_kinds: tuple[str, ...] = STREAM_KINDS
    prefix: str = ""
    scopes: tuple[str, ...] = ()
    look_up_filters: Callable[[], RequestFlow[FilterIds]] | None = None
    find_oldest: Callable[[str, FilterIds], RequestFlow[datetime | None]] | None = None
    read_window: Callable[[Window, Sequence[PartitionRef], FilterIds], RequestFlow[ListedRows]] | None = None
    wider_scopes: Callable[[str], Sequence[str]] = _list_no_scopes
    row_scopes: Callable[[str, PartitionRef], Sequence[str]] = _list_this_scope
    list_unfinished: Callable[[Collection[str], datetime, FilterIds], RequestFlow[list[PartitionRef]]] | None = None
    typed_tables: TypedTables | None = None
    lookback: timedelta | None = None

    @property
    def stream_prefix(self) -> str:
        """The beginning of its streams' names, such as `docmap` in `docmap_files`."""
        return self.prefix or self.name


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """The description of one configured provider: API, credentials and products.

    Attributes:
        error_format: the API's error responses, and how to read them.
        base_url: the URL that request paths are appended to, without a slash at its end.
        stream_groups: the products.
        check: makes the cheapest request that proves the credentials, and looks up the named templates.
        headers: headers of each request; they hold the key, so `repr` omits them.
        login: the login that yields a token; None where the key itself is sent. `repr` omits it too.
        spacing: minimum seconds between two requests, by lane; a lane that is not listed has no minimum.
    """

    error_format: ErrorFormat
    base_url: str
    stream_groups: tuple[StreamGroup, ...]
    check: Callable[[], RequestFlow[None]]
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    login: Login | None = field(default=None, repr=False)
    spacing: Mapping[str, float] = field(default_factory=dict)

    def find_referrer(self, referenced_group: StreamGroup) -> StreamGroup | None:
        """Return the product that references a group; None if there is none."""
        return next(
            (
                stream_group
                for stream_group in self.stream_groups
                if stream_group.referenced_group == referenced_group.name
            ),
            None,
        )


def list_explicit_settings(
    setting_name: str, explicit_ids: Collection[object], registry_entries: Collection[object]
) -> tuple[str, ...]:
    """Return the settings that name batches: its own, the registry, both or none."""
    provider_setting = (setting_name,) if explicit_ids else ()
    registry_setting = ("batch_registry",) if registry_entries else ()
    return (*provider_setting, *registry_setting)


def gather_tolerant(requests: Sequence[Request]) -> RequestFlow[list[Json | ResourceUnavailable]]:
    """Return each request's response, or its error if it is unavailable, in order.

    All requests are sent at once. If one is unavailable, all are sent again one at a time: the error that is raised at
    the yield takes the place of all responses.
    """
    if not requests:
        return []
    try:
        return list((yield requests))
    except ResourceUnavailable as error:
        # No other refusal is caught, since it would prove nothing about the id: it has to fail the batch.
        if len(requests) == 1:
            return [error]
    responses: list[Json | ResourceUnavailable] = []
    for request in requests:
        responses += yield from gather_tolerant([request])
    return responses
