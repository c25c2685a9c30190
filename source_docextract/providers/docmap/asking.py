"""DocMap.io.

Facts are from DocMap's pages "Get Extraction" and "List Extractions". All extractions of the key's user stand in one
list, newest first, with whole rows; a page is asked for by the creation time of a row of the one before. A run
(`runId`) is a label that its user chooses and may use again at any time; it has no object of its own. Finished
extractions do not change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from functools import partial

from ...answers import Dialect
from ...config import DocmapSettings
from ...entries import Watch
from ...errors import BadAnswer, TooManyPages, Unavailable
from ...http import Request, bearer
from ...model import BatchRef, BatchStatus, FileKeys, FileStatus, Json, Snapshot
from ...registry import Registry
from ...scroll import Window
from ...templates import by_template, not_among
from ..base import (
    NEWEST_CONCEIVABLE,
    OLDEST_CONCEIVABLE,
    Listed,
    Plan,
    Product,
    Script,
    Typing,
    each,
    is_near,
    json_object,
    left_out,
    listed_in,
    lost,
    named_by,
    odd_times,
    oldest_day,
    path,
    text,
)
from .extractions import PER_PAGE, STATUSES, document_of, page_of, ref_of, run_of
from .listing import Walk
from .templates import templates

_TICK = timedelta(milliseconds=1)
_DAY = timedelta(days=1)
_MARGIN = timedelta(days=2)
"""So much more than a window may be shown on each side: the day that is asked for beyond it, in whatever zone."""


def docmap(settings: DocmapSettings, registry: Registry | None = None) -> Plan:
    """The plan for the extractions, and for the runs that they belong to."""
    registered = registry.of("docmap") if registry else ()
    reader = _Reader(bool(settings.template_ids))
    extractions = Product(
        name="docmap",
        kinds=("files", "results", "fields"),
        fetch=reader.extraction,
        links_to="docmap_runs",
        watch=Watch.LIST,
        scopes=tuple(dict.fromkeys(settings.template_ids)) or ("",),
        oldest=_oldest,
        window=reader.window,
        wider=lambda scope: ("",) if scope else (),
        scopes_of=lambda _scope, ref: ("", ref.template_id) if ref.template_id else ("",),
        members=reader.members,
        typing=Typing(
            lambda: templates(settings.template_ids, partial(_list, limit=PER_PAGE)),
            by_template,
            lambda ref, of: ref.template_id in {None, of},
            not_among(settings.template_ids),
            "docmap.template_ids",
        ),
    )
    runs = Product(
        name="docmap_runs",
        prefix="docmap",
        kinds=("batches",),
        named=registered,
        named_by=named_by("", (), registered),
        fetch=reader.run,
        links_to=extractions.name,
        watch=Watch.LINK,
    )
    return Plan(
        dialect=Dialect(
            "DocMap",
            "docmap.api_key",
            reason=_reason,
            refuses_key=frozenset({401}),
            is_quota=_is_quota,
            is_about_id=_is_about_id,
        ),
        base_url=settings.base_url,
        products=(extractions, runs),
        check=_check,
        headers=bearer(settings.api_key.get_secret_value()),
    )


def _reason(body: Json) -> str | None:
    """`{"error": {"code", "message"}}`; the code is stable, the message may change."""
    error = body.get("error") if isinstance(body, Mapping) else None
    if not isinstance(error, Mapping):
        return text(error)
    return ": ".join(filter(None, (text(error.get("code")), text(error.get("message")))))


def _is_quota(reason: str) -> bool:
    """Documented of submissions only, each month's count begins anew on the 1st, UTC."""
    return reason.startswith("USAGE_LIMIT_EXCEEDED")


def _is_about_id(status: int, body: Json) -> bool:
    """404 NOT_FOUND, or 403 FORBIDDEN for a row of another user (page "Errors", where the codes are stable)."""
    error = body.get("error") if isinstance(body, Mapping) else None
    code = error.get("code") if isinstance(error, Mapping) else None
    return (status, code) in {(404, "NOT_FOUND"), (403, "FORBIDDEN")} if isinstance(code, str) else False


def _check() -> Script[None]:
    yield [Request("GET", "/usage")]


def _list(scope: str, **params: str | int) -> Request:
    return Request("GET", "/extractions", params={**({"templateId": scope} if scope else {}), **params})


def _oldest(scope: str) -> Script[datetime | None]:
    def newest(day: datetime | None) -> Request:
        return _list(scope, limit=1, **({"dateTo": _day(day)} if day else {}))

    def created(body: Json) -> datetime | None:
        rows, has_more = page_of(body)
        if not rows:
            return NEWEST_CONCEIVABLE if has_more else None
        known = each(rows[:1], ref_of)
        return (known[0].clock if known else None) or OLDEST_CONCEIVABLE

    found = yield from oldest_day(newest, created)
    return found and found - _DAY  # a day that ends ahead of UTC does not hold all of that day


@dataclass(frozen=True, slots=True)
class _Carried:
    """What the last window's answers have shown of the one after it: all from `start` to `top`."""

    start: datetime
    top: datetime
    rows: Mapping[str, BatchRef]


class _Reader:
    """Asks for extractions and runs, during one sync.

    A run is asked for by its id, which tells all of it at once. What it told is remembered for as long as it may be
    met in the list again: an extraction that is the same there is no reason to ask for the run once more.
    """

    def __init__(self, is_by_template: bool) -> None:
        self._is_by_template = is_by_template
        self._read_until: dict[str, datetime] = {}
        self._carried: dict[str, _Carried] = {}
        self._told: dict[str, str] = {}
        self._runs: dict[str, Listed] = {}

    def window(self, window: Window) -> Script[Listed]:
        """All rows of a window."""
        self._read_until[window.scope] = window.start
        try:
            return (yield from self._listed(window, window.scope))
        except TooManyPages:
            raise
        except BadAnswer:
            if not window.scope:
                raise
            # Where rows are filtered after they were paged, the list of a template may be short of rows to go on from.
            # The list of all is not; what has a page full of one time fails there as well.
            return (yield from self._listed(window, ""))

    def _listed(self, window: Window, template_id: str) -> Script[Listed]:
        """The rows of a window out of the list of a template, or of all.

        In which zone days are counted is not told, so a day more is asked for on each side, and rows tell by their
        times where they belong. Those after the window are kept for the next one, which is then read down to them.
        """
        carried = self._carried.get(window.scope)
        floor = carried.top if carried and carried.start == window.start else window.start
        days = {"dateFrom": _day(window.start - _DAY), "dateTo": _day(window.end - _TICK + _DAY)}
        ask = partial(_list, template_id, limit=PER_PAGE, **days)
        walk = Walk(ask, lambda clock: is_near(window, clock, _MARGIN), window.end)
        while not (walk.is_over or walk.is_below(floor)):
            yield from walk.step()
        found = {**(carried.rows if carried and carried.start == window.start else {}), **walk.found}
        if window.scope and not template_id:
            found = {key: ref for key, ref in found.items() if ref.template_id == window.scope}
        self._carry(window, {} if walk.has_passed_over else found)
        kept = filter(None, (listed_in(window, ref, _MARGIN) for ref in found.values()))
        return Listed(list(kept), left_out(walk.unreadable, "the rows of DocMap's list of extractions"))

    def _carry(self, window: Window, found: Mapping[str, BatchRef]) -> None:
        rows = {
            key: ref
            for key, ref in found.items()
            if ref.clock and window.end <= ref.clock and is_near(window, ref.clock, _MARGIN)
        }
        tops = [ref.clock for ref in rows.values() if ref.clock]
        self._carried[window.scope] = _Carried(window.end, max(tops, default=window.end), rows)

    def extraction(self, ref: BatchRef) -> Script[Snapshot]:
        """One extraction: out of its row in the list, or asked for where it is in no list any more."""
        if ref.row is not None:
            return self._snapshot(ref)
        try:
            [body] = yield [Request("GET", path("extractions", ref.batch_id))]
        except Unavailable as refusal:
            return lost(ref, str(refusal))
        what = f"DocMap's answer about {ref.batch_id}"
        row = ref_of(json_object(json_object(body, what).get("data"), what))
        if row.batch_id != ref.batch_id:
            raise BadAnswer(f"{what} is about another extraction.")
        return self._snapshot(replace(row, template_id=ref.template_id))

    def _snapshot(self, ref: BatchRef) -> Snapshot:
        document = document_of(ref.row or {}, FileKeys())
        run = document.home.batch_id if document.home else ""
        links = (BatchRef(None, run, named=True, linked=True),) if run else ()
        return Snapshot(
            ref,
            BatchStatus.OPEN if document.status is FileStatus.PENDING else BatchStatus.COMPLETE,
            documents=(document,),
            completed_at=document.completed_at,
            links=() if self._told.pop(ref.batch_id, None) == ref.fingerprint else links,
            odd_times=odd_times(ref.row or {}, createdAt=document.created_at),
            odd_statuses=frozenset({document.provider_status or ""} - STATUSES.keys()),
        )

    def members(self, ref: BatchRef) -> Script[list[BatchRef]]:
        """The extractions of a run that is named in the registry."""
        listed = self._runs[ref.batch_id] = yield from _in_run(ref)
        return listed.refs

    def run(self, ref: BatchRef) -> Script[Snapshot]:
        """A run's counts."""
        listed = self._runs.pop(ref.batch_id, None) or (yield from _in_run(ref))
        self._told.update((one.batch_id, one.fingerprint) for one in listed.refs if self._is_to_come(one))
        return run_of(ref, listed)

    def _is_to_come(self, ref: BatchRef) -> bool:
        """Whether the list may still show it in this sync. A run is asked for when the next window is being read."""
        until = self._read_until.get(ref.template_id or "" if self._is_by_template else "")
        return until is None or ref.clock is None or ref.clock >= until


def _day(when: datetime) -> str:
    return when.astimezone(timezone.utc).date().isoformat()


def _in_run(ref: BatchRef) -> Script[Listed]:
    """A run's extractions, all in one answer."""
    [body] = yield [_list("", runId=ref.batch_id)]
    rows, _ = page_of(body)
    refs = each(rows, ref_of)
    return Listed(refs, left_out(len(rows) - len(refs), f"the extractions of {ref.batch_id} in DocMap's list"))
