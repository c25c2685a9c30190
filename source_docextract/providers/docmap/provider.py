"""Requests to DocMap.io, and the classification of its error responses.

Sources: DocMap's pages "List Extractions", "Get Extraction", "Running Extractions" and "Errors".

- One list holds all extractions of the user whose key it is, newest first, each as a complete row.
- The cursor of a page is the creation time of the last row of the page before.
- A run (`runId`) is a label that the submitter chooses and may reuse at any time. DocMap documents no object for it.
- No page describes a change of a finished extraction other than its deletion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import partial

from ...core.errors import ResourceUnavailable, TooManyPages, UnreadableResponse
from ...core.ids import FileKeyAssigner
from ...core.json_types import Json
from ...core.model import FileStatus, PartitionRef, PartitionStatus, Snapshot
from ...core.provider import (
    BatchAnswer,
    ChangeDetection,
    ListedRows,
    ProviderSpec,
    Registry,
    RequestFlow,
    StreamGroup,
    TypedTables,
    Window,
    fetch_batch,
    list_explicit_settings,
)
from ...core.requests import ErrorFormat, Request, build_bearer_headers
from ...core.templates import get_template_key
from ...core.urls import build_path
from ..inference import build_unselected_finder
from ..listing import find_oldest_day, is_near_window, select_for_window
from ..packing import parse_and_pack
from ..parsing import as_text, describe_unreadable, find_uncertain_times, missing_document, require_object
from .listing import ListPager
from .reading import (
    FILE_STATUSES,
    PER_PAGE,
    build_run_snapshot,
    parse_document,
    parse_page,
    parse_ref,
    unpack_row,
)
from .settings import DocmapSettings
from .templates import discover_templates

_MILLISECOND = timedelta(milliseconds=1)

_DAY = timedelta(days=1)

_WINDOW_MARGIN = timedelta(days=2)
"""How far beyond a window on each side a response may reach: the additional day, plus a day for its time zone."""


def build_docmap_spec(settings: DocmapSettings, registry: Registry | None = None) -> ProviderSpec:
    """Describe how to sync DocMap's extractions and the runs that they belong to."""
    registry_refs = registry.get_batches("docmap") if registry else ()
    extractions = StreamGroup(
        name="docmap",
        stream_kinds=("files", "results", "fields"),
        fetch=_fetch_extraction,
        referenced_group="docmap_runs",
        change_detection=ChangeDetection.LISTING,  # each row of the list is complete, so it shows every change
        scopes=tuple(dict.fromkeys(settings.template_ids)) or ("",),
        find_oldest=_find_oldest,
        read_window=_read_window,
        wider_scopes=_list_wider_scopes,
        row_scopes=_list_row_scopes,
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
        fetch=partial(fetch_batch, _read_run),
        read_batch=_read_run,
        referenced_group=extractions.name,
        change_detection=ChangeDetection.REFERENCE,  # no endpoint lists runs: a changed extraction makes its run due
    )
    return ProviderSpec(
        error_format=ErrorFormat(
            "DocMap",
            "docmap.api_key",
            extract_reason=_parse_reason,
            key_rejection_statuses=frozenset({401}),  # "Errors" documents 403 for a row of another user, not for a key
            is_quota_reason=_is_quota,
            is_unavailable=_is_about_id,
        ),
        base_url=settings.base_url,
        stream_groups=(extractions, runs),
        check=_check,
        headers=build_bearer_headers(settings.api_key.get_secret_value()),
    )


def _parse_reason(body: Json) -> str | None:
    """Return the code and the message of an error response.

    "Errors" documents `{"error": {"code", "message"}}`.
    """
    error = body.get("error") if isinstance(body, Mapping) else None
    if not isinstance(error, Mapping):
        return as_text(error)
    return ": ".join(filter(None, (as_text(error.get("code")), as_text(error.get("message")))))


def _is_quota(reason: str) -> bool:
    """Return whether the monthly quota is used up.

    "Errors" documents this code for submissions alone. The count starts again on the 1st of the month, UTC, so a
    retry within the sync is useless.
    """
    return reason.startswith("USAGE_LIMIT_EXCEEDED")


def _is_about_id(status: int, body: Json) -> bool:
    """Return whether DocMap refuses the extraction id itself.

    "Errors" documents 404 NOT_FOUND, and 403 FORBIDDEN for an extraction of another user. It calls the codes stable.
    """
    # The code is required: a 404 of a gateway carries none, and must not turn an extraction into a failed one.
    error = body.get("error") if isinstance(body, Mapping) else None
    code = error.get("code") if isinstance(error, Mapping) else None
    return (status, code) in {(404, "NOT_FOUND"), (403, "FORBIDDEN")} if isinstance(code, str) else False


def _check() -> RequestFlow[None]:
    """Read the usage of the month (page "Usage"), which proves the key."""
    yield [Request("GET", "/usage")]


def _build_list_request(scope: str, **params: str | int) -> Request:
    """Return a request to the list of a template, or of all if `scope` is empty."""
    return Request("GET", "/extractions", params={**({"templateId": scope} if scope else {}), **params})


def _list_wider_scopes(scope: str) -> Sequence[str]:
    """Return the scopes whose lists hold all rows of a scope.

    For a template, that is the list of all templates.
    """
    return ("",) if scope else ()


def _list_row_scopes(_scope: str, ref: PartitionRef) -> Sequence[str]:
    """Return all scopes that a row belongs to."""
    return ("", ref.template_id) if ref.template_id else ("",)


def _find_oldest(scope: str, _filters: object) -> RequestFlow[datetime | None]:
    """Find the day from which to read a list on, None where the list is empty."""

    def request_newest(day: datetime | None) -> Request:
        return _build_list_request(scope, limit=1, **({"dateTo": _format_day(day)} if day else {}))

    # Only `hasMore` ends the list. An empty page that announces more does not show that nothing is there.
    first_day = yield from find_oldest_day(request_newest, parse_page, parse_ref)
    # `dateTo` counts days in an undocumented time zone. In a zone ahead of UTC such a day ends before the UTC day
    # does, so the oldest row may stand on the day before the one found.
    return first_day and first_day - _DAY


def _read_window(window: Window, rows_ahead: Sequence[PartitionRef], _filters: object) -> RequestFlow[ListedRows]:
    """Return all rows of a window.

    Raises:
        TooManyPages: The list does not end.
        UnreadableResponse: Neither the list of the template nor that of all templates can be read to its end.
    """
    try:
        return (yield from _read_listing(window, window.scope, rows_ahead))
    except UnreadableResponse as error:
        # The list of all templates is no shorter than that of one, so reading it instead would not end either.
        if not window.scope or isinstance(error, TooManyPages):
            raise
        # No page documents whether DocMap filters by template before it cuts pages. If it filters afterwards, a page of
        # a template may hold no row to go on from, and the list of all templates does.
        return (yield from _read_listing(window, "", rows_ahead))


def _read_listing(window: Window, template_id: str, rows_ahead: Sequence[PartitionRef]) -> RequestFlow[ListedRows]:
    """Return the rows of a window from one list.

    The list is that of a template, or of all templates where `template_id` is empty. Rows after the window are handed
    to the next one, which is then read down to them only.
    """
    # No page documents the time zone of `dateFrom` and `dateTo`. The request therefore covers one day more on each
    # side, and the creation time of a row decides to which window it belongs.
    day_params = {
        "dateFrom": _format_day(window.start - _DAY),
        "dateTo": _format_day(window.end - _MILLISECOND + _DAY),
    }
    pager = ListPager(
        partial(_build_list_request, template_id, limit=PER_PAGE, **day_params),
        lambda approx_created_at: is_near_window(window, approx_created_at, _WINDOW_MARGIN),
        window.end,
    )
    # The responses for the window before already held the rows down to this time. The additional day therefore costs
    # hardly any requests.
    lower_bound = max(filter(None, (ref.approx_created_at for ref in rows_ahead)), default=window.start)
    while not (pager.is_done or pager.has_reached(lower_bound)):
        yield from pager.read_page()
    refs = [ref for ref in rows_ahead if ref.batch_id not in pager.refs_by_id]
    refs += pager.refs_by_id.values()
    if window.scope and not template_id:
        refs = [ref for ref in refs if ref.template_id == window.scope]
    window_refs = filter(None, (select_for_window(window, ref, _WINDOW_MARGIN) for ref in refs))
    error = describe_unreadable(pager.unreadable_count, "the rows of DocMap's list of extractions")
    # A row that was skipped or cannot be read would be missing from those ahead. The next window, which is read down to
    # them only, would count as read without it.
    are_complete = not (pager.has_skipped_rows or pager.unreadable_count)
    ahead_refs = [ref for ref in refs if are_complete and _is_ahead(window, ref)]
    return ListedRows(list(window_refs), error, ahead_refs)


def _is_ahead(window: Window, ref: PartitionRef) -> bool:
    """Return whether a row follows a window, by a creation time that can be true of it."""
    created_at = ref.approx_created_at
    return bool(created_at and window.end <= created_at and is_near_window(window, created_at, _WINDOW_MARGIN))


def _fetch_extraction(ref: PartitionRef) -> RequestFlow[Snapshot]:
    """Return one extraction: from its row in the list, else by its id.

    Raises:
        UnreadableResponse: The response is about another extraction, or has no readable row.
    """
    # The row in the list is complete, so it costs no further request.
    if ref.listed_row is not None:
        return _build_snapshot(ref)
    try:
        [body] = yield [Request("GET", build_path("extractions", ref.batch_id))]
    except ResourceUnavailable as error:
        return missing_document(ref, str(error))
    label = f"DocMap's response for {ref.batch_id}"
    listed_ref = parse_ref(require_object(require_object(body, label).get("data"), label))
    # Taking over another extraction would deliver its data under this one's id.
    if listed_ref.batch_id != ref.batch_id:
        raise UnreadableResponse(f"{label} is about another extraction.")
    # The reference keeps the key under which the extraction is known to the state.
    return _build_snapshot(replace(listed_ref, template_id=ref.template_id))


def _build_snapshot(ref: PartitionRef) -> Snapshot:
    """Return the snapshot of one extraction from its row, with a reference to its run."""
    row = unpack_row(ref)
    document = parse_document(row, FileKeyAssigner())
    run_id = document.batch.batch_id if document.batch else ""
    return Snapshot(
        ref,
        PartitionStatus.OPEN if document.status is FileStatus.PENDING else PartitionStatus.COMPLETE,
        documents=(document,),
        completed_at=document.completed_at,
        references=(PartitionRef(None, run_id, is_explicit=True, is_referenced=True),) if run_id else (),
        uncertain_times=find_uncertain_times(row, createdAt=document.created_at),
        unknown_statuses=frozenset({document.provider_status or ""} - FILE_STATUSES.keys()),
    )


def _read_run(ref: PartitionRef) -> RequestFlow[BatchAnswer]:
    """Return a run's extractions, from which its counts are made."""
    # "List Extractions" documents that a request by `runId` returns all matches at once and ignores limit and cursor.
    [body] = yield [_build_list_request("", runId=ref.batch_id)]
    rows, _ = parse_page(body)
    refs = parse_and_pack(rows, parse_ref)
    error = describe_unreadable(len(rows) - len(refs), f"the extractions of {ref.batch_id} in DocMap's list")
    rows_by_id = {member_ref.batch_id: member_ref for member_ref in refs}
    return BatchAnswer(lambda: refs, lambda run_ref: build_run_snapshot(run_ref, refs, error), rows_by_id)


def _format_day(timestamp: datetime) -> str:
    return timestamp.astimezone(timezone.utc).date().isoformat()
