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

import orjson

from ..answers import Dialect
from ..config import DocmapSettings
from ..entries import Watch
from ..errors import BadAnswer, Refused
from ..http import Request, bearer
from ..model import (
    BatchRef,
    BatchStatus,
    Document,
    Extraction,
    FileKeys,
    FileStatus,
    Json,
    Snapshot,
    digest_of,
    moment,
    rfc3339,
)
from ..registry import Registry
from ..scroll import Window
from .base import Plan, Product, Script, as_object, count, json_object, lost, oldest_day, others, path, text

_PER_PAGE = 100
_TICK = timedelta(milliseconds=1)

_STATUSES = {
    "processing": FileStatus.PENDING,
    "completed": FileStatus.PROCESSED,
    "failed": FileStatus.FAILED,
}


def docmap(settings: DocmapSettings, registry: Registry | None = None) -> Plan:
    """The plan for the extractions, and for the runs that they belong to."""
    reader = _Reader(bool(settings.template_ids))
    extractions = Product(
        name="docmap",
        kinds=("files", "results"),
        fetch=reader.extraction,
        links_to="docmap_runs",
        watch=Watch.LIST,
        scopes=tuple(dict.fromkeys(settings.template_ids)) or ("",),
        oldest=_oldest,
        window=reader.window,
        members=reader.members,
    )
    runs = Product(
        name="docmap_runs",
        prefix="docmap",
        kinds=("batches",),
        named=registry.of("docmap") if registry else (),
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


def _check() -> Script[None]:
    yield [Request("GET", "/usage")]


def _list(scope: str, **params: str | int) -> Request:
    return Request("GET", "/extractions", params={**({"templateId": scope} if scope else {}), **params})


def _page(body: Json) -> tuple[list[Mapping[str, Json]], bool]:
    """`{"data": [...], "hasMore": ...}`, or the same one level down, which the pages leave open."""
    answer = json_object(body, "DocMap's list of extractions")
    data = answer.get("data")
    if isinstance(data, Mapping):
        answer, data = {**answer, **data}, data.get("extractions")
    if not isinstance(data, list):
        raise BadAnswer("DocMap's list of extractions holds no list.")
    return [json_object(row, "A row of DocMap's list") for row in data], answer.get("hasMore") is True


def _oldest(scope: str) -> Script[datetime | None]:
    def newest(day: datetime | None) -> Request:
        return _list(scope, limit=1, **({"dateTo": _day(day)} if day else {}))

    def created(body: Json) -> datetime | None:
        rows, _ = _page(body)
        return _created(rows[0]) if rows else None

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
        self._runs: dict[str, list[BatchRef]] = {}

    def window(self, window: Window) -> Script[list[BatchRef]]:
        """All rows of a window.

        The cursor is a bare time, and whether it includes that time is not told. Asking from a tick later brings rows
        of the same time again, which are known by their ids, and leaves out none.
        """
        self._read_until[window.scope] = window.start
        days = {"dateFrom": _day(window.start), "dateTo": _day(window.end - _TICK)}
        found: dict[str, BatchRef] = {}
        cursor: dict[str, str] = {}
        while True:
            [body] = yield [_list(window.scope, limit=_PER_PAGE, **days, **cursor)]
            rows, has_more = _page(body)
            refs = [_ref(row) for row in rows]
            is_new = any(ref.batch_id not in found for ref in refs)
            found.update((ref.batch_id, ref) for ref in refs)
            if not has_more:
                return [ref for ref in found.values() if ref.clock and window.start <= ref.clock < window.end]
            if not is_new or not refs[-1].clock:
                when = rfc3339(refs[-1].clock) if refs else "an unknown time"
                raise BadAnswer(
                    f"DocMap has more extractions of {when} than a page holds; name their templates in "
                    "docmap.template_ids to read them apart."
                )
            cursor = {"cursor": rfc3339(refs[-1].clock + _TICK) or ""}

    def extraction(self, ref: BatchRef) -> Script[Snapshot]:
        """One extraction: out of its row in the list, or asked for where it is in no list any more."""
        if ref.row is not None:
            return self._snapshot(ref)
        try:
            [body] = yield [Request("GET", path("extractions", ref.batch_id))]
        except Refused as refusal:
            return lost(ref, str(refusal))
        answer = json_object(body, f"DocMap's answer about {ref.batch_id}")
        row = _ref(json_object(answer.get("data"), f"DocMap's answer about {ref.batch_id}"))
        return self._snapshot(replace(row, template_id=ref.template_id))

    def _snapshot(self, ref: BatchRef) -> Snapshot:
        document = _document(ref.row or {}, FileKeys())
        run = document.home.batch_id if document.home else ""
        links = (BatchRef(None, run, named=True, linked=True),) if run else ()
        return Snapshot(
            ref,
            BatchStatus.OPEN if document.status is FileStatus.PENDING else BatchStatus.COMPLETE,
            documents=(document,),
            completed_at=document.completed_at,
            links=() if self._told.pop(ref.batch_id, None) == ref.fingerprint else links,
            odd_statuses=frozenset({document.provider_status or ""} - _STATUSES.keys()),
        )

    def members(self, ref: BatchRef) -> Script[list[BatchRef]]:
        """The extractions of a run that is named in the registry."""
        [body] = yield [_list("", runId=ref.batch_id)]
        refs = self._runs[ref.batch_id] = [_ref(row) for row in _page(body)[0]]
        return refs

    def run(self, ref: BatchRef) -> Script[Snapshot]:
        """A run's counts."""
        refs = self._runs.pop(ref.batch_id, None)
        if refs is None:
            [body] = yield [_list("", runId=ref.batch_id)]
            refs = [_ref(row) for row in _page(body)[0]]
        self._told.update((one.batch_id, one.fingerprint) for one in refs if self._is_to_come(one))
        return _run(ref, [one.row or {} for one in refs])

    def _is_to_come(self, ref: BatchRef) -> bool:
        """Whether the list may still show it in this sync. A run is asked for when the next window is being read."""
        until = self._read_until.get(ref.template_id or "" if self._is_by_template else "")
        return until is None or ref.clock is None or ref.clock >= until


def _day(when: datetime) -> str:
    return when.astimezone(timezone.utc).date().isoformat()


def _created(row: Mapping[str, Json]) -> datetime:
    created = moment(row.get("createdAt"))
    if created is None:
        raise BadAnswer(f"DocMap's extraction {text(row.get('id'))} has no createdAt.")
    return created


def _ref(row: Mapping[str, Json]) -> BatchRef:
    """One extraction, with the row that tells all about it."""
    extraction_id, created = text(row.get("id")), _created(row)
    if not extraction_id:
        raise BadAnswer("An extraction in DocMap's list has no id.")
    return BatchRef(
        text(row.get("templateId")),
        extraction_id,
        created_at=created,
        clock=created,
        row=row,
        fingerprint=digest_of(orjson.dumps(row, option=orjson.OPT_SORT_KEYS)),
    )


_ROW = frozenset(
    {
        "id", "templateId", "templateName", "fileName", "status", "extractedData", "error", "runId", "processingTimeMs",
        "createdAt",
    }
)  # fmt: skip


def _document(row: Mapping[str, Json], keys: FileKeys) -> Document:
    """`completed_at` is computed: createdAt + processingTimeMs. Keys of extractedData beyond the variables are kept."""
    extraction_id, sent = text(row.get("id")), text(row.get("status"))
    status = _STATUSES.get(sent or "", FileStatus.PENDING)
    created, took = moment(row.get("createdAt")), count(row.get("processingTimeMs"))
    is_over = status is not FileStatus.PENDING and created is not None and took is not None
    completed = created + timedelta(milliseconds=took) if is_over and created and took is not None else None
    extractions: tuple[Extraction, ...] = ()
    if status is FileStatus.PROCESSED:
        data = as_object(row.get("extractedData"))
        extractions = (Extraction(data=data, stable=data, created_at=created, completed_at=completed),)
    return Document(
        key=keys.key(extraction_id, None),
        status=status,
        file_id=extraction_id,
        file_name=text(row.get("fileName")),
        provider_status=sent,
        error=text(row.get("error")),
        created_at=created,
        completed_at=completed,
        processing_ms=took,
        provider_data=others(row, _ROW),
        extractions=extractions,
        home=BatchRef(
            text(row.get("templateId")), text(row.get("runId")) or "", template_name=text(row.get("templateName"))
        ),
    )


def _run(ref: BatchRef, rows: list[Mapping[str, Json]]) -> Snapshot:
    if not rows:
        return Snapshot(ref, BatchStatus.MISSING, error="DocMap has no extraction of this run.")
    keys = FileKeys()
    documents = tuple(_document(row, keys) for row in rows)
    templates = {(text(row.get("templateId")), text(row.get("templateName"))) for row in rows}
    ids = {template_id for template_id, _ in templates}
    is_open = any(document.status is FileStatus.PENDING for document in documents)
    return Snapshot(
        ref,
        BatchStatus.OPEN if is_open else BatchStatus.COMPLETE,
        documents=documents,
        template_id=min(ids, key=str) if len(ids) == 1 else None,
        template_name=min(name or "" for _, name in templates) or None if len(templates) == 1 else None,
    )
