"""DocMap.io.

Facts are from DocMap's pages "Get Extraction" and "List Extractions". All extractions of the key's user stand in one
list, newest first, with whole rows; a page is asked for by the creation time of the last row of the one before. A run
(`runId`) is a label that its user chooses and may use again at any time; it has no object of its own. Finished
extractions do not change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import partial

from ...answers import Dialect
from ...config import DocmapSettings
from ...entries import Watch
from ...errors import BadAnswer, Unavailable
from ...http import Request, bearer
from ...model import BatchRef, BatchStatus, FileKeys, FileStatus, Json, Snapshot, rfc3339
from ...registry import Registry
from ...scroll import Window
from ...templates import by_template, not_among
from ..base import (
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
from .templates import templates

_TICK = timedelta(milliseconds=1)


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
        members=reader.members,
        typing=Typing(
            lambda: templates(settings.template_ids, partial(_list, limit=PER_PAGE), _TICK),
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
        rows, _ = page_of(body)
        known = each(rows[:1], ref_of)
        return (known[0].clock if known else None) or OLDEST_CONCEIVABLE if rows else None

    return oldest_day(newest, created)


class _Reader:
    """Asks for extractions and runs, during one sync.

    A run is asked for by its id, which tells all of it at once. What it told is remembered for as long as it may be
    met in the list again: an extraction that is the same there is no reason to ask for the run once more.
    """

    def __init__(self, is_by_template: bool) -> None:
        self._is_by_template = is_by_template
        self._read_until: dict[str, datetime] = {}
        self._told: dict[str, str] = {}
        self._runs: dict[str, Listed] = {}

    def window(self, window: Window) -> Script[Listed]:
        """All rows of a window.

        The cursor is a bare time, and whether it includes that time is not told. Asking from a tick later brings rows
        of the same time again, which are known by their ids, and leaves out none.
        """
        self._read_until[window.scope] = window.start
        days = {"dateFrom": _day(window.start), "dateTo": _day(window.end - _TICK)}
        found: dict[str, BatchRef] = {}
        unreadable = 0
        cursor: dict[str, str] = {}
        while True:
            [body] = yield [_list(window.scope, limit=PER_PAGE, **days, **cursor)]
            rows, has_more = page_of(body)
            refs = each(rows, ref_of)
            unreadable += len(rows) - len(refs)
            is_new = any(ref.batch_id not in found for ref in refs)
            found.update((ref.batch_id, ref) for ref in refs)
            if not has_more:
                kept = filter(None, (listed_in(window, ref) for ref in found.values()))
                return Listed(list(kept), left_out(unreadable, "the rows of DocMap's list of extractions"))
            times = [ref.clock for ref in refs if ref.clock and is_near(window, ref.clock)]
            if not is_new or not times:
                when = rfc3339(times[-1]) if times else "an unknown time"
                raise BadAnswer(
                    f"DocMap has more extractions of {when} than a page holds; name their templates in "
                    "docmap.template_ids to read them apart."
                )
            cursor = {"cursor": rfc3339(times[-1] + _TICK) or ""}

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
