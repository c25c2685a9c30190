"""The contract of a provider: what it describes, and the generators that yield its requests. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
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
    """How one comes to know that a batch of some product has changed.

    ASK   by asking for it: at every sync while it is open, and for as long as the lookback lasts.
    LIST  by its list, which is read again for the lookback and shows each change: only what is open and no longer
          listed is asked for.
    LINK  by those that link to it: it is asked for when one of them says that it has changed. What is also named by
          hand is asked for as with ASK.
    """

    POLLING = "ask"
    LISTING = "list"
    REFERENCE = "link"


@dataclass(frozen=True, slots=True)
class Window:
    """What was created from `start`, and before `end`, both midnights UTC. `scope` is a template, or empty for all."""

    scope: str
    start: datetime
    end: datetime

    @property
    def time_range(self) -> TimeRange:
        return TimeRange(self.start, self.end)


@dataclass(frozen=True, slots=True)
class FindStart:
    """Asks when the oldest row was created: nobody has read the list of this scope so far."""

    scope: str


@dataclass(frozen=True, slots=True)
class Registry:
    """What a registry names.

    Attributes:
        batches: by product.
        passed_over: rows of providers that are not set up, by provider.
    """

    batches: Mapping[str, tuple[PartitionRef, ...]] = field(default_factory=dict)
    skipped_rows: Mapping[str, int] = field(default_factory=dict)

    def get_batches(self, product: str) -> tuple[PartitionRef, ...]:
        return self.batches.get(product, ())


T = TypeVar("T")

RequestFlow = Generator[Sequence[Request], Sequence[Json], T]
"""Yields requests that may run side by side, is sent their parsed answers in the same order, returns what it read.

Where one of the requests fails, its error is thrown in at the yield."""


@dataclass(frozen=True, slots=True)
class ListedRows:
    """What a list names. `trouble` says of some rows that they cannot be read, in a sentence; the others are here.

    `elsewhere` counts rows that it shows and that are left out, as another list has them.
    """

    refs: list[PartitionRef]
    error: str = ""
    duplicate_count: int = 0


@dataclass(frozen=True, slots=True)
class TypedTables:
    """How a product comes to typed tables.

    Attributes:
        templates: its templates or document types, with their fields.
        of: which of them an extraction is of.
        may_hold: whether a batch can hold documents of one, as far as is known before it is asked for.
        unnamed: which of some templates the settings no longer name.
        setting: the setting that names templates or document types, for error messages.
    """

    discover_templates: Callable[[], RequestFlow[DiscoveredTemplates]]
    key: TableKey
    may_contain: Callable[[PartitionRef, str], bool] = lambda _ref, _key: True
    find_unselected: FindUnselected = assume_all_selected
    setting_name: str = ""

    def build_partition_filter(self, key: str) -> Callable[[PartitionRef], bool]:
        """Which batches are of any use to the table of one of them."""
        return lambda ref: self.may_contain(ref, key)


def _list_no_scopes(_scope: str) -> Sequence[str]:
    return ()


def _list_this_scope(scope: str, _ref: PartitionRef) -> Sequence[str]:
    return (scope,)


@dataclass(frozen=True, slots=True)
class StreamGroup:
    """A family of streams fed by the same requests.

    Attributes:
        name: what its streams begin with.
        template_ids: templates whose batches are listed by `discover`.
        named: batches named by hand.
        named_by: the settings that name them.
        knows: whether the provider knows a batch, where one request of `fetch` proves that and more would follow.
        discover: the batches of one template.
        fetch: one batch as it is now.
        lane: the line in which `fetch` queues, so that the engine starts no more than the line can take.
        links_to: the product that its snapshots' links belong to, None where they are not followed.
        watch: how one comes to know of changes.
        notation: how it writes down what was extracted.
        kinds: the streams it feeds; `prefix` is what they begin with, if not its name.
        scopes, oldest, window: of a product with one list by time: the lists to read (a template each, or one without
            a name for all), the creation time of the oldest row, and the rows of a window.
        wider: of the same: the scopes whose lists hold all that the list of a scope does.
        scopes_of: of the same: all scopes that a row in the list of a scope belongs to.
        members: of the same: what is in a batch of the product that it links to, where that batch is named by hand.
        typing: where its templates or document types can have tables of their own.
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
    change_detection: ChangeDetection = ChangeDetection.POLLING
    wrapper_format: WrapperFormat = NO_WRAPPERS
    stream_kinds: tuple[str, ...] = STREAM_KINDS
    prefix: str = ""
    scopes: tuple[str, ...] = ()
    find_oldest: Callable[[str], RequestFlow[datetime | None]] | None = None
    read_window: Callable[[Window], RequestFlow[ListedRows]] | None = None
    wider_scopes: Callable[[str], Sequence[str]] = _list_no_scopes
    row_scopes: Callable[[str, PartitionRef], Sequence[str]] = _list_this_scope
    list_members: Callable[[PartitionRef], RequestFlow[list[PartitionRef]]] | None = None
    typed_tables: TypedTables | None = None

    @property
    def stream_prefix(self) -> str:
        return self.prefix or self.name


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """All that is needed to sync one provider: how to reach it, and its products.

    Attributes:
        check: the cheapest request that proves the credentials, and the templates.
        headers: sent with each request; they carry the key.
    """

    error_format: ErrorFormat
    base_url: str
    stream_groups: tuple[StreamGroup, ...]
    check: Callable[[], RequestFlow[None]]
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    login: Login | None = field(default=None, repr=False)
    spacing: Mapping[str, float] = field(default_factory=dict)

    def get_referrer_detection(self, referenced_group: StreamGroup) -> ChangeDetection:
        """How one comes to know of changes of what links to this product."""
        return next(
            (
                stream_group.change_detection
                for stream_group in self.stream_groups
                if stream_group.referenced_group == referenced_group.name
            ),
            ChangeDetection.POLLING,
        )


def list_explicit_settings(
    setting_name: str, explicit_ids: Collection[object], registry_entries: Collection[object]
) -> tuple[str, ...]:
    """Return the settings that name batches."""
    return (*((setting_name,) if explicit_ids else ()), *(("batch_registry",) if registry_entries else ()))


def gather_tolerant(requests: Sequence[Request]) -> RequestFlow[list[Json | ResourceUnavailable]]:
    """Return the answers, or that one cannot be had, in the same order.

    All are asked for side by side; one by one where one of them cannot be had.
    """
    if not requests:
        return []
    try:
        return list((yield requests))
    except ResourceUnavailable as error:
        if len(requests) == 1:
            return [error]
    responses: list[Json | ResourceUnavailable] = []
    for request in requests:
        responses += yield from gather_tolerant([request])
    return responses
