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
    escaped,
    moment,
    rfc3339,
)
from ..registry import Registry
from ..scroll import Window, midnight
from .base import Plan, Product, Script, as_object, count, json_object, others, text

_PER_PAGE = 100
_OLDEST_CONCEIVABLE = datetime(2015, 1, 1, tzinfo=timezone.utc)
_TICK = timedelta(milliseconds=1)

_STATUSES = {
    "processing": FileStatus.PENDING,
    "completed": FileStatus.PROCESSED,
    "failed": FileStatus.FAILED,
}


def docmap(settings: DocmapSettings, registry: Registry | None = None) -> Plan:
    """The plan for the extractions, and for the runs that they belong to."""
    runs = Product(
        name="docmap_runs",
        prefix="docmap",
        kinds=("batches",),
        template_ids=(),
        named=registry.of("docmap") if registry else (),
        discover=None,
        fetch=_fetch_run,
        watch=Watch.LINK,
    )
    extractions = Product(
        name="docmap",
        kinds=("files", "results"),
        template_ids=(),
        named=(),
        discover=None,
        fetch=_fetch,
        links_to=runs.name,
        watch=Watch.LIST,
        scopes=settings.template_ids or ("",),
        oldest=_oldest,
        window=_window,
    )
    return Plan(
        dialect=Dialect("DocMap", "docmap.api_key", reason=_reason),
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
    """The day of the oldest extraction, by halving: a dozen requests, once."""
    [body] = yield [_list(scope, limit=1)]
    rows, _ = _page(body)
    if not rows:
        return None
    empty, full = _OLDEST_CONCEIVABLE, midnight(_created(rows[0]))
    while full - empty > timedelta(days=1):
        middle = midnight(empty + (full - empty) / 2)
        [body] = yield [_list(scope, limit=1, dateTo=_day(middle))]
        rows, _ = _page(body)
        if rows:
            full = min(middle, midnight(_created(rows[0])))
        else:
            empty = middle
    return full


def _window(window: Window) -> Script[list[BatchRef]]:
    """All rows of a window.

    The cursor is a bare time, and whether it includes that time is not told. Asking from a tick later brings rows of
    the same time again, which are known by their ids, and leaves out none.
    """
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
                f"DocMap has more extractions of {when} than a page holds; name their templates in docmap.template_ids "
                "to read them apart."
            )
        cursor = {"cursor": rfc3339(refs[-1].clock + _TICK) or ""}


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


def _fetch(ref: BatchRef) -> Script[Snapshot]:
    """One extraction: out of its row in the list, or asked for where it is in no list any more."""
    if ref.row is not None:
        return _snapshot(ref)
    try:
        [body] = yield [Request("GET", f"/extractions/{ref.batch_id}")]
    except Refused as refusal:
        lost = Document(
            key=escaped(ref.batch_id),
            status=FileStatus.FAILED,
            file_id=ref.batch_id,
            error=str(refusal),
            home=BatchRef(ref.template_id, ""),
        )
        return Snapshot(ref, BatchStatus.COMPLETE, documents=(lost,))
    answer = json_object(body, f"DocMap's answer about {ref.batch_id}")
    row = _ref(json_object(answer.get("data"), f"DocMap's answer about {ref.batch_id}"))
    return _snapshot(replace(row, template_id=ref.template_id))


def _snapshot(ref: BatchRef) -> Snapshot:
    document = _document(ref.row or {}, FileKeys())
    run = document.home.batch_id if document.home else ""
    odd = {document.provider_status or ""} - _STATUSES.keys()
    return Snapshot(
        ref,
        BatchStatus.OPEN if document.status is FileStatus.PENDING else BatchStatus.COMPLETE,
        documents=(document,),
        completed_at=document.completed_at,
        links=(BatchRef(None, run, named=True, linked=True),) if run else (),
        odd_statuses=frozenset(odd),
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


def _fetch_run(ref: BatchRef) -> Script[Snapshot]:
    """A run's counts. Asked for by its id, DocMap tells all of it at once."""
    [body] = yield [Request("GET", "/extractions", params={"runId": ref.batch_id})]
    rows, _ = _page(body)
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
