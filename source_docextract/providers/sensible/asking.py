"""Sensible.so.

Facts are from Sensible's pages "Group extractions by batch ID", "List extractions" and its OpenAPI files. All
extractions of the account stand in one list of summaries, newest first; what was extracted, and the batch it belongs
to, is told by each document alone (`GET /documents/{id}`). A batch lists its documents' ids. There is no list of
batches. People review extractions: a review that is decided is final.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from ...answers import Dialect
from ...config import SensibleSettings
from ...entries import Watch
from ...errors import BadAnswer, ConfigError, Unavailable
from ...http import Request, bearer
from ...model import BatchRef, BatchStatus, Json, Snapshot, rfc3339
from ...plain import plain
from ...registry import Registry
from ...scroll import Window
from ...templates import Templates, by_type, not_among
from ..base import (
    NEWEST_CONCEIVABLE,
    OLDEST_CONCEIVABLE,
    Listed,
    Plan,
    Product,
    Script,
    Typing,
    each,
    identifier,
    json_object,
    left_out,
    listed_in,
    named_by,
    oldest_day,
    path,
    text,
)
from .batches import batch_of, member, member_ids
from .documents import NOTATION, TOO_LARGE, page_of, ref_of, snapshot_of, type_names, unavailable
from .listing import Walk
from .templates import templates

_PER_PAGE = 100
_TICK = timedelta(milliseconds=1)


def sensible(settings: SensibleSettings, registry: Registry | None = None) -> Plan:
    """The plan for the extractions, and for the batches that they belong to."""
    registered = registry.of("sensible") if registry else ()
    reader = _Reader(settings)
    extractions = Product(
        name="sensible",
        kinds=("files", "results", "fields"),
        notation=NOTATION,
        fetch=reader.extraction,
        links_to="sensible_batches",
        watch=Watch.LIST,
        scopes=reader.scopes,
        oldest=reader.oldest,
        window=reader.window,
        wider=_wider,
        scopes_of=_scopes_of,
        members=reader.members,
        typing=Typing(
            reader.templates, by_type, _may_be, not_among(settings.document_types), "sensible.document_types"
        ),
    )
    batches = Product(
        name="sensible_batches",
        prefix="sensible",
        kinds=("batches",),
        named=(*(BatchRef(None, batch_id, named=True) for batch_id in settings.batch_ids), *registered),
        named_by=named_by("sensible.batch_ids", settings.batch_ids, registered),
        fetch=reader.batch,
        links_to=extractions.name,
        watch=Watch.LINK,
    )
    return Plan(
        dialect=Dialect("Sensible", "sensible.api_key", reason=_reason, is_quota=_is_quota, is_about_id=_is_about_id),
        base_url=settings.base_url,
        products=(extractions, batches),
        check=reader.check,
        headers=bearer(settings.api_key.get_secret_value()),
    )


def _reason(body: Json) -> str | None:
    """Errors are plain text; a sentence that happens to be JSON, or an object around it, is taken as well."""
    return text(body.get("message") or body.get("error")) if isinstance(body, Mapping) else text(body)


def _is_quota(reason: str) -> bool:
    """`Free accounts are limited to 150 API calls per month`, where a throttle says `Attempt limit exceeded`."""
    return "per month" in reason.lower()


def _is_about_id(status: int, body: Json) -> bool:
    """404 or 400 for an unknown id (which of them is not documented), 413 for a document that is too large to be sent.

    Sensible writes all errors as text: an object or a page comes from something in between.
    """
    return status in {400, 404, TOO_LARGE} and isinstance(body, str) and bool(body.strip())


def _may_be(ref: BatchRef, document_type: str) -> bool:
    """Whether an extraction may be of a type, as far as its summary tells: one that is asked for by its id has none."""
    names = type_names(ref.row or {})
    return not names or document_type in names


def _wider(scope: str) -> Sequence[str]:
    """Of one document type, the list of all types in the same environment."""
    environment, name = scope.split("/", 1)
    return (f"{environment}/",) if name else ()


def _scopes_of(scope: str, ref: BatchRef) -> Sequence[str]:
    environment = scope.split("/", 1)[0]
    return (scope, f"{environment}/", *(f"{environment}/{name}" for name in type_names(ref.row or {})))


class _Reader:
    """Asks for extractions and batches, during one sync.

    A scope of the list is one environment, and one document type where types are named: `PRODUCTION/claims`.
    """

    def __init__(self, settings: SensibleSettings) -> None:
        self._types = tuple(dict.fromkeys(settings.document_types))
        self._environments = tuple(dict.fromkeys(settings.environments))
        self.scopes = tuple(f"{where}/{name}" for where in self._environments for name in self._types or ("",))
        self._type_ids: dict[str, str] | None = None
        self._has_odd_types = False
        self._answers: dict[str, Mapping[str, Json] | Unavailable] = {}

    def check(self) -> Script[None]:
        for name in self._types or ("",):
            yield from self._type_id(name, ask=True)

    def _type_id(self, name: str, *, ask: bool = False) -> Script[str]:
        """A document type's id, by its name. One request a sync, where types are named."""
        if self._type_ids is None and (name or ask):
            [body] = yield [Request("GET", path("document_types"))]
            if not isinstance(body, list):
                raise BadAnswer("Sensible's document types are not a list.")
            self._type_ids = dict(each(body, _document_type))
            self._has_odd_types = len(self._type_ids) < len(body)
        if not name:
            return ""
        known = self._type_ids or {}
        if not known.get(name):
            if self._has_odd_types:
                raise BadAnswer(f"Some of Sensible's document types cannot be read; {name!r} is none of the others.")
            raise ConfigError(
                f"Sensible has no document type {name!r}. Name one of {plain(', '.join(sorted(known))) or 'none'} in "
                "sensible.document_types."
            )
        return known[name]

    def templates(self) -> Script[Templates]:
        yield from self._type_id("", ask=True)
        known = self._type_ids or {}
        return (yield from templates(self._types or tuple(known), known, self._environments))

    def _list(self, scope: str, **params: str | int) -> Script[Request]:
        environment, name = scope.split("/", 1)
        type_id = yield from self._type_id(name)
        chosen = {"document_type_ids": type_id} if type_id else {}
        return Request("GET", path("extractions"), params={"environments": environment, **chosen, **params})

    def oldest(self, scope: str) -> Script[datetime | None]:
        one = yield from self._list(scope, limit=1)

        def newest(day: datetime | None) -> Request:
            until = {"end_date": _time(day + timedelta(days=1) - _TICK)} if day else {}
            return Request(one.method, one.path, params={**one.params, **until})

        def created(body: Json) -> datetime | None:
            rows, token = page_of(body)
            if not rows:
                return NEWEST_CONCEIVABLE if token else None
            known = each(rows[:1], ref_of)
            return (known[0].clock if known else None) or OLDEST_CONCEIVABLE

        return (yield from oldest_day(newest, created))

    def window(self, window: Window) -> Script[Listed]:
        """The summaries of a window, without those that an earlier type's list has as well (portfolios)."""
        page = yield from self._list(
            window.scope, limit=_PER_PAGE, start_date=_time(window.start), end_date=_time(window.end)
        )
        name = window.scope.split("/", 1)[1]
        earlier = set(self._types[: self._types.index(name)]) if name else set()
        found: dict[str, BatchRef] = {}
        unreadable = elsewhere = 0
        walk = Walk(page, _PER_PAGE)
        while not walk.is_over:
            rows = yield from walk.step()
            refs = each(rows, ref_of)
            unreadable += len(rows) - len(refs)
            here = list(filter(None, (listed_in(window, ref) for ref in refs)))
            own = [ref for ref in here if earlier.isdisjoint(type_names(ref.row or {}))]
            found.update((ref.batch_id, ref) for ref in own)
            elsewhere += len(here) - len(own)
        trouble = left_out(unreadable, "the rows of Sensible's list of extractions")
        return Listed(list(found.values()), trouble, elsewhere)

    def extraction(self, ref: BatchRef) -> Script[Snapshot]:
        try:
            [body] = yield [Request("GET", path("documents", ref.batch_id))]
        except Unavailable as refusal:
            return unavailable(ref, refusal)
        return snapshot_of(ref, json_object(body, f"Sensible's answer about {ref.batch_id}"))

    def members(self, ref: BatchRef) -> Script[list[BatchRef]]:
        """The documents of a batch that is named by hand. Its answer is kept for its row."""
        answer = yield from self._batch_answer(ref)
        self._answers[ref.batch_id] = answer
        return [] if isinstance(answer, Unavailable) else [member(one) for one in member_ids(answer)]

    def batch(self, ref: BatchRef) -> Script[Snapshot]:
        answer = self._answers.pop(ref.batch_id, None) or (yield from self._batch_answer(ref))
        if isinstance(answer, Unavailable):
            return Snapshot(ref, BatchStatus.MISSING, error=str(answer))
        snapshot = batch_of(ref, answer)
        if snapshot.links:
            self._answers[ref.batch_id] = answer  # more of it may be told in this sync
        return snapshot

    def _batch_answer(self, ref: BatchRef) -> Script[Mapping[str, Json] | Unavailable]:
        try:
            [body] = yield [Request("GET", path("extract", "batch", ref.batch_id))]
        except Unavailable as refusal:
            return refusal
        return json_object(body, f"Sensible's answer about batch {ref.batch_id}")


def _document_type(sent: Json) -> tuple[str, str]:
    """Its name and its id."""
    row = json_object(sent, "A document type of Sensible's")
    name, type_id = (identifier(row.get(key), f"The {key} of a document type of Sensible's") for key in ("name", "id"))
    if not name or not type_id:
        raise BadAnswer("A document type of Sensible's has no name or no id.")
    return name, type_id


def _time(when: datetime) -> str:
    return rfc3339(when) or ""
