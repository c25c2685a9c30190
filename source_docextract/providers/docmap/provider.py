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

from ...core.errors import ResourceUnavailable, TooManyPages, UnreadableResponse
from ...core.ids import FileKeyAssigner
from ...core.json_types import Json
from ...core.model import FileStatus, PartitionRef, PartitionStatus, Snapshot
from ...core.provider import (
    ChangeDetection,
    ListedRows,
    ProviderSpec,
    Registry,
    RequestFlow,
    StreamGroup,
    TypedTables,
    Window,
    list_explicit_settings,
)
from ...core.requests import ErrorFormat, Request, build_bearer_headers
from ...core.templates import get_template_key
from ...core.urls import build_path
from ..inference import build_unselected_finder
from ..listing import NEWEST_CONCEIVABLE, OLDEST_CONCEIVABLE, find_oldest_day, is_near_window, select_for_window
from ..parsing import as_text, describe_unreadable, find_uncertain_times, missing_document, parse_each, require_object
from .listing import ListPager
from .reading import FILE_STATUSES, PER_PAGE, build_run_snapshot, parse_document, parse_page, parse_ref
from .settings import DocmapSettings
from .templates import discover_templates

_MILLISECOND = timedelta(milliseconds=1)

_DAY = timedelta(days=1)

_WINDOW_MARGIN = timedelta(days=2)
"""So much more than a window may be shown on each side: the day that is asked for beyond it, in whatever zone."""


def build_docmap_spec(settings: DocmapSettings, registry: Registry | None = None) -> ProviderSpec:
    """The plan for the extractions, and for the runs that they belong to."""
    registry_refs = registry.get_batches("docmap") if registry else ()
    reader = _Reader(bool(settings.template_ids))
    extractions = StreamGroup(
        name="docmap",
        stream_kinds=("files", "results", "fields"),
        fetch=reader.fetch_extraction,
        referenced_group="docmap_runs",
        change_detection=ChangeDetection.LISTING,
        scopes=tuple(dict.fromkeys(settings.template_ids)) or ("",),
        find_oldest=_find_oldest,
        read_window=reader.read_window,
        wider_scopes=lambda scope: ("",) if scope else (),
        row_scopes=lambda _scope, ref: ("", ref.template_id) if ref.template_id else ("",),
        list_members=reader.list_members,
        typed_tables=TypedTables(
            lambda: discover_templates(settings.template_ids, partial(_build_list_request, limit=PER_PAGE)),
            get_template_key,
            lambda ref, key: ref.template_id in {None, key},
            build_unselected_finder(settings.template_ids),
            "docmap.template_ids",
        ),
    )
    runs = StreamGroup(
        name="docmap_runs",
        prefix="docmap",
        stream_kinds=("batches",),
        explicit_partitions=registry_refs,
        explicit_settings=list_explicit_settings("", (), registry_refs),
        fetch=reader.fetch_run,
        referenced_group=extractions.name,
        change_detection=ChangeDetection.REFERENCE,
    )
    return ProviderSpec(
        error_format=ErrorFormat(
            "DocMap",
            "docmap.api_key",
            extract_reason=_parse_reason,
            key_rejection_statuses=frozenset({401}),
            is_quota_reason=_is_quota,
            is_unavailable=_is_about_id,
        ),
        base_url=settings.base_url,
        stream_groups=(extractions, runs),
        check=_check,
        headers=build_bearer_headers(settings.api_key.get_secret_value()),
    )


def _parse_reason(body: Json) -> str | None:
    """`{"error": {"code", "message"}}`; the code is stable, the message may change."""
    error = body.get("error") if isinstance(body, Mapping) else None
    if not isinstance(error, Mapping):
        return as_text(error)
    return ": ".join(filter(None, (as_text(error.get("code")), as_text(error.get("message")))))


def _is_quota(reason: str) -> bool:
    """Documented of submissions only, each month's count begins anew on the 1st, UTC."""
    return reason.startswith("USAGE_LIMIT_EXCEEDED")


def _is_about_id(status: int, body: Json) -> bool:
    """404 NOT_FOUND, or 403 FORBIDDEN for a row of another user (page "Errors", where the codes are stable)."""
    error = body.get("error") if isinstance(body, Mapping) else None
    code = error.get("code") if isinstance(error, Mapping) else None
    return (status, code) in {(404, "NOT_FOUND"), (403, "FORBIDDEN")} if isinstance(code, str) else False


def _check() -> RequestFlow[None]:
    yield [Request("GET", "/usage")]


def _build_list_request(scope: str, **params: str | int) -> Request:
    return Request("GET", "/extractions", params={**({"templateId": scope} if scope else {}), **params})


def _find_oldest(scope: str) -> RequestFlow[datetime | None]:
    def request_newest(day: datetime | None) -> Request:
        return _build_list_request(scope, limit=1, **({"dateTo": _format_day(day)} if day else {}))

    def parse_created_at(body: Json) -> datetime | None:
        rows, has_more = parse_page(body)
        if not rows:
            return NEWEST_CONCEIVABLE if has_more else None
        refs = parse_each(rows[:1], parse_ref)
        return (refs[0].approx_created_at if refs else None) or OLDEST_CONCEIVABLE

    first_day = yield from find_oldest_day(request_newest, parse_created_at)
    return first_day and first_day - _DAY  # a day that ends ahead of UTC does not hold all of that day


@dataclass(frozen=True, slots=True)
class _CarriedRows:
    """What the last window's answers have shown of the one after it: all from `start` to `top`."""

    start: datetime
    newest_created_at: datetime
    rows: Mapping[str, PartitionRef]


class _Reader:
    """Asks for extractions and runs, during one sync.

    A run is asked for by its id, which tells all of it at once. What it told is remembered for as long as it may be
    met in the list again: an extraction that is the same there is no reason to ask for the run once more.
    """

    def __init__(self, is_by_template: bool) -> None:
        self._is_by_template = is_by_template
        self._read_start_by_scope: dict[str, datetime] = {}
        self._carried_by_scope: dict[str, _CarriedRows] = {}
        self._run_fingerprints: dict[str, str] = {}
        self._rows_by_run: dict[str, ListedRows] = {}

    def read_window(self, window: Window) -> RequestFlow[ListedRows]:
        """All rows of a window."""
        self._read_start_by_scope[window.scope] = window.start
        try:
            return (yield from self._read_listing(window, window.scope))
        except TooManyPages:
            raise
        except UnreadableResponse:
            if not window.scope:
                raise
            # Where rows are filtered after they were paged, the list of a template may be short of rows to go on from.
            # The list of all is not; what has a page full of one time fails there as well.
            return (yield from self._read_listing(window, ""))

    def _read_listing(self, window: Window, template_id: str) -> RequestFlow[ListedRows]:
        """The rows of a window out of the list of a template, or of all.

        In which zone days are counted is not told, so a day more is asked for on each side, and rows tell by their
        times where they belong. Those after the window are kept for the next one, which is then read down to them.
        """
        carried = self._carried_by_scope.get(window.scope)
        lower_bound = carried.newest_created_at if carried and carried.start == window.start else window.start
        day_params = {
            "dateFrom": _format_day(window.start - _DAY),
            "dateTo": _format_day(window.end - _MILLISECOND + _DAY),
        }
        build_request = partial(_build_list_request, template_id, limit=PER_PAGE, **day_params)
        pager = ListPager(
            build_request,
            lambda approx_created_at: is_near_window(window, approx_created_at, _WINDOW_MARGIN),
            window.end,
        )
        while not (pager.is_done or pager.has_reached(lower_bound)):
            yield from pager.read_page()
        refs_by_id = {**(carried.rows if carried and carried.start == window.start else {}), **pager.refs_by_id}
        if window.scope and not template_id:
            refs_by_id = {key: ref for key, ref in refs_by_id.items() if ref.template_id == window.scope}
        self._carry_over(window, {} if pager.has_skipped_rows else refs_by_id)
        window_refs = filter(None, (select_for_window(window, ref, _WINDOW_MARGIN) for ref in refs_by_id.values()))
        return ListedRows(
            list(window_refs), describe_unreadable(pager.unreadable_count, "the rows of DocMap's list of extractions")
        )

    def _carry_over(self, window: Window, refs_by_id: Mapping[str, PartitionRef]) -> None:
        rows = {
            key: ref
            for key, ref in refs_by_id.items()
            if ref.approx_created_at
            and window.end <= ref.approx_created_at
            and is_near_window(window, ref.approx_created_at, _WINDOW_MARGIN)
        }
        creation_times = [ref.approx_created_at for ref in rows.values() if ref.approx_created_at]
        self._carried_by_scope[window.scope] = _CarriedRows(window.end, max(creation_times, default=window.end), rows)

    def fetch_extraction(self, ref: PartitionRef) -> RequestFlow[Snapshot]:
        """One extraction: out of its row in the list, or asked for where it is in no list any more."""
        if ref.listed_row is not None:
            return self._build_snapshot(ref)
        try:
            [body] = yield [Request("GET", build_path("extractions", ref.batch_id))]
        except ResourceUnavailable as error:
            return missing_document(ref, str(error))
        label = f"DocMap's response for {ref.batch_id}"
        listed_ref = parse_ref(require_object(require_object(body, label).get("data"), label))
        if listed_ref.batch_id != ref.batch_id:
            raise UnreadableResponse(f"{label} is about another extraction.")
        return self._build_snapshot(replace(listed_ref, template_id=ref.template_id))

    def _build_snapshot(self, ref: PartitionRef) -> Snapshot:
        document = parse_document(ref.listed_row or {}, FileKeyAssigner())
        run_id = document.batch.batch_id if document.batch else ""
        references = (PartitionRef(None, run_id, is_explicit=True, is_referenced=True),) if run_id else ()
        return Snapshot(
            ref,
            PartitionStatus.OPEN if document.status is FileStatus.PENDING else PartitionStatus.COMPLETE,
            documents=(document,),
            completed_at=document.completed_at,
            references=() if self._run_fingerprints.pop(ref.batch_id, None) == ref.fingerprint else references,
            uncertain_times=find_uncertain_times(ref.listed_row or {}, createdAt=document.created_at),
            unknown_statuses=frozenset({document.provider_status or ""} - FILE_STATUSES.keys()),
        )

    def list_members(self, ref: PartitionRef) -> RequestFlow[list[PartitionRef]]:
        """The extractions of a run that is named in the registry."""
        listed_rows = self._rows_by_run[ref.batch_id] = yield from _list_run(ref)
        return listed_rows.refs

    def fetch_run(self, ref: PartitionRef) -> RequestFlow[Snapshot]:
        """A run's counts."""
        listed_rows = self._rows_by_run.pop(ref.batch_id, None) or (yield from _list_run(ref))
        self._run_fingerprints.update(
            (member_ref.batch_id, member_ref.fingerprint)
            for member_ref in listed_rows.refs
            if self._may_be_listed_again(member_ref)
        )
        return build_run_snapshot(ref, listed_rows)

    def _may_be_listed_again(self, ref: PartitionRef) -> bool:
        """Whether the list may still show it in this sync. A run is asked for when the next window is being read."""
        read_start = self._read_start_by_scope.get(ref.template_id or "" if self._is_by_template else "")
        return read_start is None or ref.approx_created_at is None or ref.approx_created_at >= read_start


def _format_day(timestamp: datetime) -> str:
    return timestamp.astimezone(timezone.utc).date().isoformat()


def _list_run(ref: PartitionRef) -> RequestFlow[ListedRows]:
    """A run's extractions, all in one answer."""
    [body] = yield [_build_list_request("", runId=ref.batch_id)]
    rows, _ = parse_page(body)
    refs = parse_each(rows, parse_ref)
    return ListedRows(
        refs, describe_unreadable(len(rows) - len(refs), f"the extractions of {ref.batch_id} in DocMap's list")
    )
