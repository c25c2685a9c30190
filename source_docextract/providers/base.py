"""What every provider is made of, and what their readers share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from types import NoneType
from typing import Any, TypeVar
from urllib.parse import quote

import orjson

from ..answers import Dialect
from ..entries import Watch
from ..errors import BadAnswer, Unavailable
from ..fields import PLAIN, Notation
from ..http import Login, Request
from ..links import without_links
from ..model import (
    BatchRef,
    BatchStatus,
    Document,
    Extraction,
    FileStatus,
    Json,
    Snapshot,
    digest_of,
    escaped,
    sorted_json,
)
from ..scroll import Window, midnight
from ..templates import Templates, Unnamed, WhatOf, all_named

T = TypeVar("T")

OLDEST_CONCEIVABLE = datetime(2015, 1, 1, tzinfo=timezone.utc)
NEWEST_CONCEIVABLE = datetime(2100, 1, 1, tzinfo=timezone.utc)
_DAY = timedelta(days=1)

MOST_PAGES = 1000
"""Pages that one listing may have: of full pages that is 100,000 rows, and the shortest window of a list is a day."""

Script = Generator[Sequence[Request], Sequence[Json], T]
"""Yields requests that may run side by side, is sent their parsed answers in the same order, returns what it read.

Where one of the requests fails, its error is thrown in at the yield."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What a list names. `trouble` says of some rows that they cannot be read, in a sentence; the others are here.

    `elsewhere` counts rows that it shows and that are left out, as another list has them.
    """

    refs: list[BatchRef]
    trouble: str = ""
    elsewhere: int = 0


@dataclass(frozen=True, slots=True)
class Typing:
    """How a product comes to typed tables.

    Attributes:
        templates: its templates or document types, with their fields.
        of: which of them an extraction is of.
        may_hold: whether a batch can hold documents of one, as far as is known before it is asked for.
        unnamed: which of some templates the settings no longer name.
        setting: the setting that names templates or document types, for error messages.
    """

    templates: Callable[[], Script[Templates]]
    of: WhatOf
    may_hold: Callable[[BatchRef, str], bool] = lambda _ref, _of: True
    unnamed: Unnamed = all_named
    setting: str = ""

    def only(self, of: str) -> Callable[[BatchRef], bool]:
        """Which batches are of any use to the table of one of them."""
        return lambda ref: self.may_hold(ref, of)


def _no_wider(_scope: str) -> Sequence[str]:
    return ()


def _this_scope(scope: str, _ref: BatchRef) -> Sequence[str]:
    return (scope,)


@dataclass(frozen=True, slots=True)
class Product:
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
    fetch: Callable[[BatchRef], Script[Snapshot]]
    template_ids: tuple[str, ...] = ()
    named: tuple[BatchRef, ...] = ()
    named_by: tuple[str, ...] = ()
    knows: Callable[[BatchRef], Script[bool]] | None = None
    discover: Callable[[str], Script[list[BatchRef]]] | None = None
    lane: str = ""
    links_to: str | None = None
    watch: Watch = Watch.ASK
    notation: Notation = PLAIN
    kinds: tuple[str, ...] = ("batches", "files", "results", "fields")
    prefix: str = ""
    scopes: tuple[str, ...] = ()
    oldest: Callable[[str], Script[datetime | None]] | None = None
    window: Callable[[Window], Script[Listed]] | None = None
    wider: Callable[[str], Sequence[str]] = _no_wider
    scopes_of: Callable[[str, BatchRef], Sequence[str]] = _this_scope
    members: Callable[[BatchRef], Script[list[BatchRef]]] | None = None
    typing: Typing | None = None

    @property
    def streams(self) -> str:
        return self.prefix or self.name


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is needed to sync one provider: how to reach it, and its products.

    Attributes:
        check: the cheapest request that proves the credentials, and the templates.
        headers: sent with each request; they carry the key.
    """

    dialect: Dialect
    base_url: str
    products: tuple[Product, ...]
    check: Callable[[], Script[None]]
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    login: Login | None = field(default=None, repr=False)
    spacing: Mapping[str, float] = field(default_factory=dict)

    def feeds(self, product: Product) -> Watch:
        """How one comes to know of changes of what links to this product."""
        return next((one.watch for one in self.products if one.links_to == product.name), Watch.ASK)


def named_by(setting: str, names: Collection[object], registered: Collection[object]) -> tuple[str, ...]:
    """Return the settings that name batches."""
    return (*((setting,) if names else ()), *(("batch_registry",) if registered else ()))


def path(*parts: str) -> str:
    """An address below the base url; what is no fixed word of it may hold any character."""
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def oldest_day(
    newest: Callable[[datetime | None], Request], created: Callable[[Json], datetime | None]
) -> Script[datetime | None]:
    """The day of the oldest row of a list that is newest first, by halving: a dozen requests, once.

    Args:
        newest: asks for one row, the newest that was created on a day or before; None for the newest of all.
        created: when the row of an answer was created, None where it holds none and there is none; where a row does
            not tell, the oldest time that is conceivable, so that nothing is taken for read; where there is more and
            none is shown, the newest that is conceivable: there may be some on that day or before.
    """
    [body] = yield [newest(None)]
    found = created(body)
    if found is None:
        return None
    empty, full = OLDEST_CONCEIVABLE, max(midnight(found), OLDEST_CONCEIVABLE)
    while full - empty > _DAY:
        middle = midnight(empty + (full - empty) / 2)
        [body] = yield [newest(middle)]
        found = created(body)
        if found is None:
            empty = middle
        else:
            full = max(min(middle, midnight(found)), OLDEST_CONCEIVABLE)
    return full


def answers(requests: Sequence[Request]) -> Script[list[Json | Unavailable]]:
    """Return the answers, or that one cannot be had, in the same order.

    All are asked for side by side; one by one where one of them cannot be had.
    """
    if not requests:
        return []
    try:
        return list((yield requests))
    except Unavailable as refusal:
        if len(requests) == 1:
            return [refusal]
    found: list[Json | Unavailable] = []
    for request in requests:
        found += yield from answers([request])
    return found


def json_object(value: Json, what: str) -> Mapping[str, Json]:
    if not isinstance(value, dict):
        raise BadAnswer(f"{what} is not a JSON object.")
    return value


def each(rows: Sequence[Json], read: Callable[[Json], T]) -> list[T]:
    """What `read` makes of the rows, without those of which it makes a BadAnswer: one must not cost the others."""
    found = []
    for row in rows:
        try:
            found.append(read(row))
        except BadAnswer:
            continue
    return found


def fingerprint(row: Mapping[str, Json], *, has_links: bool = False) -> str:
    """Changes when a list tells something new, links to files aside if it has any.

    Raises:
        BadAnswer: where the row is nested too deeply to be written anywhere.
    """
    try:
        return digest_of(sorted_json(without_links(row) if has_links else row))
    except (RecursionError, TypeError):
        raise BadAnswer("A row is nested too deeply.") from None


def left_out(count: int, what: str) -> str:
    """Says so where something could not be read."""
    return f"{count} of {what} cannot be read; the rest was delivered." if count else ""


def is_near(window: Window, clock: datetime, margin: timedelta = _DAY) -> bool:
    """Whether it can be true of a row in the answer about a window, which may show so much more on each side."""
    return window.start - clock <= margin and clock - window.end < margin


def listed_in(window: Window, ref: BatchRef, margin: timedelta = _DAY) -> BatchRef | None:
    """A row out of the answer about a window; None where it belongs to the window before or after.

    A time that is none, or cannot be true, decides nothing: it is only kept for the column.
    """
    if ref.clock is None or not is_near(window, ref.clock, margin):
        return replace(ref, clock=None)
    return ref if window.start <= ref.clock < window.end else None


def lost(ref: BatchRef, reason: str) -> Snapshot:
    """An extraction of which its provider tells no more than why not, not even its batch."""
    document = Document(
        key=escaped(ref.batch_id),
        status=FileStatus.FAILED,
        file_id=ref.batch_id,
        error=reason,
        home=BatchRef(ref.template_id, ""),
    )
    return Snapshot(ref, BatchStatus.MISSING, documents=(document,), error=reason, homeless=True)


def text(value: Json) -> str | None:
    """A value that is meant to be text: numbers become text, nothing and emptiness become None."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        raise BadAnswer("A value that is meant to be text is nested too deeply.") from None


def text_at_best(value: Json) -> str | None:
    """Return a value as text, None where it is nested too deeply: for what a list says beside the ids in it."""
    return next(iter(each([value], text)), None)


def identifier(value: Json, what: str) -> str | None:
    """An id as text, None where there is none.

    Raises:
        BadAnswer: for what cannot be one, such as a list: written as text, it would name something that is not there.
    """
    if isinstance(value, (str, int, NoneType)) and not isinstance(value, bool):
        return text(value)
    raise BadAnswer(f"{what} is neither text nor a whole number.")


def odd_times(sent: Mapping[str, Json], **read: datetime | None) -> frozenset[str]:
    """Return those keys under which something was sent that was not `read` as a time."""
    if None not in read.values():
        return _NO_KEYS
    return frozenset(key for key, time in read.items() if time is None and sent.get(key))


_NO_KEYS: frozenset[str] = frozenset()


def count(value: Json) -> int | None:
    """A whole number, also where it was sent as text or as 2.0."""
    if isinstance(value, bool):
        return None
    try:
        whole = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return whole if abs(whole) < 2**63 else None  # more fits into no warehouse, and into no JSON written here


def others(sent: Mapping[str, Any], known: frozenset[str]) -> dict[str, Json]:
    """The keys that no column holds."""
    return {} if known.issuperset(sent) else {key: value for key, value in sent.items() if key not in known}


def as_object(value: Json) -> Mapping[str, Json]:
    """Extracted data as an object: nothing is `{}`, what is no object stands under `value`."""
    if value is None:
        return {}
    return value if isinstance(value, dict) else {"value": value}


def extraction(data: Json, **columns: Any) -> Extraction:
    """An Extraction whose data holds no links to files."""
    sent = as_object(data)
    return Extraction(data=sent, stable=sent, **columns)
