"""Requests to Sensible.so, and the classification of its error responses.

Sources: Sensible's pages "Group extractions by batch ID", "List extractions" and "Human review", and its OpenAPI
specification.

- One list holds summaries of all extractions of the account, newest first.
- Only `GET /documents/{id}` returns the extracted data and the batch of a document.
- A batch returns the ids of its documents. No endpoint lists batches.
- Reviewers edit extractions that need a review. A decided review is final.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from ...core.errors import ResourceUnavailable, UnknownTemplate, UnreadableResponse
from ...core.json_types import Json
from ...core.model import PartitionRef, PartitionStatus, Snapshot
from ...core.provider import (
    BatchAnswer,
    ChangeDetection,
    FilterIds,
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
from ...core.redaction import sanitize
from ...core.requests import ErrorFormat, Request, build_bearer_headers
from ...core.templates import DiscoveredTemplates, get_document_type_key
from ...core.timestamps import format_rfc3339, parse_time
from ...core.urls import build_path
from ..inference import build_unselected_finder
from ..listing import find_oldest_day, select_for_window
from ..packing import parse_and_pack
from ..parsing import as_identifier, as_text, describe_unreadable, parse_each, require_object
from .listing import ListPager
from .reading import (
    TOO_LARGE_STATUS,
    WRAPPER_FORMAT,
    build_batch_snapshot,
    build_snapshot,
    build_unavailable_snapshot,
    list_members,
    list_type_names,
    parse_page,
    parse_ref,
)
from .settings import SensibleSettings
from .templates import discover_templates

_PER_PAGE = 100
"""Summaries requested a page, the number in the example of "List extractions"; no maximum is documented."""

_UNFINISHED_FILTERS = ({"statuses": "WAITING,PROCESSING"}, {"review_statuses": "NEEDS_REVIEW"})
"""The lists of all extractions that are watched until they are finished. Several filters in one request narrow the list
("List extractions"), so that it takes two."""

_FEW_UNFINISHED = 10
"""Number of unfinished extractions below which each is requested by its id, since the lists would not save much."""

_SPARE_PAGES = 2
"""Pages without any of the wanted extractions after which the lists are given up, for up to 20 of them; one more for
each 20 more. Sensible may filter after paging, and then sends the pages of the whole history."""

_MILLISECOND = timedelta(milliseconds=1)


def build_sensible_spec(settings: SensibleSettings, registry: Registry | None = None) -> ProviderSpec:
    """Describe how to sync Sensible's extractions and the batches that they belong to."""
    registry_refs = registry.get_batches("sensible") if registry else ()
    extractions = StreamGroup(
        name="sensible",
        stream_kinds=("files", "results", "fields"),
        wrapper_format=WRAPPER_FORMAT,
        fetch=_fetch_extraction,
        referenced_group="sensible_batches",
        change_detection=ChangeDetection.LISTING,  # summaries show that a document has changed, reviews included
        # A scope is one environment and, where the settings name document types, one of these: `PRODUCTION/claims`.
        scopes=tuple(
            f"{environment}/{type_name}"
            for environment in dict.fromkeys(settings.environments)
            for type_name in dict.fromkeys(settings.document_types or ("",))
        ),
        look_up_filters=_look_up_types if settings.document_types else None,
        find_oldest=_find_oldest,
        read_window=_read_window,
        wider_scopes=_list_wider_scopes,
        row_scopes=_list_row_scopes,
        list_unfinished=partial(_list_unfinished, settings),
        typed_tables=TypedTables(
            partial(_discover_templates, settings),
            get_document_type_key,
            _may_have_type,
            build_unselected_finder(settings.document_types),
            "sensible.document_types",
        ),
    )
    batches = StreamGroup(
        name="sensible_batches",
        prefix="sensible",
        stream_kinds=("batches",),
        explicit_partitions=(
            # A named batch is read with all of its documents, whatever `start_date` and `document_types` say.
            *(PartitionRef(None, batch_id, is_explicit=True) for batch_id in settings.batch_ids),
            *registry_refs,
        ),
        explicit_settings=list_explicit_settings("sensible.batch_ids", settings.batch_ids, registry_refs),
        fetch=partial(fetch_batch, _read_batch),
        read_batch=_read_batch,
        referenced_group=extractions.name,
        change_detection=ChangeDetection.REFERENCE,  # no endpoint lists batches: a document names its batch
    )
    return ProviderSpec(
        error_format=ErrorFormat(
            "Sensible",
            "sensible.api_key",
            extract_reason=_parse_reason,
            is_quota_reason=_is_quota,
            is_unavailable=_is_about_id,
        ),
        base_url=settings.base_url,
        stream_groups=(extractions, batches),
        check=partial(_check, settings),
        headers=build_bearer_headers(settings.api_key.get_secret_value()),
    )


def _parse_reason(body: Json) -> str | None:
    """Return the sentence of an error response.

    The specification declares all errors as plain text. A sentence in a JSON string or object is accepted as well.
    """
    return as_text(body.get("message") or body.get("error")) if isinstance(body, Mapping) else as_text(body)


def _is_quota(reason: str) -> bool:
    """Return whether the monthly quota is used up.

    A retry within the sync is then useless. The quota message reads "Free accounts are limited to 150 API calls per
    month", the throttle's "Attempt limit exceeded". Both are plain text, without a code that distinguishes them.
    """
    return "per month" in reason.lower()


def _is_about_id(status: int, body: Json) -> bool:
    """Return whether Sensible refuses the extraction or batch id itself.

    No page documents the status for an unknown id, so both 404 and 400 are accepted. "Verbosity" documents 413 for a
    document whose output is too large to send.
    """
    # The specification declares all errors as plain text. An object or a page of HTML comes from a gateway, which
    # says nothing about the id.
    return status in {400, 404, TOO_LARGE_STATUS} and isinstance(body, str) and bool(body.strip())


def _may_have_type(ref: PartitionRef, document_type: str) -> bool:
    """Return whether an extraction may be of a document type.

    Without a summary, any type is possible.
    """
    summary_types = list_type_names(ref.listed_row or {})
    return not summary_types or document_type in summary_types


def _list_wider_scopes(scope: str) -> Sequence[str]:
    """Return the scopes whose lists hold all rows of a scope.

    For one document type, that is the list of all types in its environment.
    """
    environment, type_name = scope.split("/", 1)
    # The list without types held the rows of each type: naming a type later must not deliver them again.
    return (f"{environment}/",) if type_name else ()


def _list_row_scopes(scope: str, ref: PartitionRef) -> Sequence[str]:
    """Return all scopes that a row of one scope's list belongs to.

    A portfolio has several document types, and so belongs to several scopes.
    """
    # A document that was fetched by its id belongs to the scope that it states itself.
    row = ref.listed_row or {}
    environment = scope.split("/", 1)[0] or (as_text(row.get("environment")) or "").upper()
    if not environment:
        return ()
    # A row that was delivered under one of these scopes is not delivered again when the settings add another of them.
    type_scopes = [f"{environment}/{type_name}" for type_name in list_type_names(row)]
    return (scope or f"{environment}/", f"{environment}/", *type_scopes)


def _look_up_types() -> RequestFlow[FilterIds]:
    """Return the ids of all document types by name, in one request.

    The list filters by id, while the settings name types as users know them.

    Raises:
        UnreadableResponse: The response is no list.
    """
    # The specification declares the response as an array without pages.
    [body] = yield [Request("GET", build_path("document_types"))]
    if not isinstance(body, list):
        raise UnreadableResponse("Sensible's document types are not a list.")
    # An unreadable type costs itself alone, since the settings may name only others.
    type_ids = dict(parse_each(body, _parse_document_type))
    return FilterIds(type_ids, is_complete=len(type_ids) == len(body))


def _parse_document_type(item: Json) -> tuple[str, str]:
    """Return the name and the id of a document type.

    Raises:
        UnreadableResponse: One of them is missing.
    """
    row = require_object(item, "A Sensible document type")
    name, type_id = (as_identifier(row.get(key), f"The {key} of a Sensible document type") for key in ("name", "id"))
    if not name or not type_id:
        raise UnreadableResponse("A Sensible document type has no name or no id.")
    return name, type_id


def _get_type_id(type_name: str, types: FilterIds) -> str:
    """Return the id of a document type by its name.

    Raises:
        UnknownTemplate: Sensible has no such document type.
        UnreadableResponse: It may be one of the types that cannot be read.
    """
    if type_id := types.ids_by_name.get(type_name):
        return type_id
    # An unreadable type may be the one that is named, so the settings are not to blame.
    if not types.is_complete:
        raise UnreadableResponse(
            "Sensible's list of document types cannot be read completely, and "
            f"{type_name!r} is not in the readable part."
        )
    raise UnknownTemplate(
        f"Sensible has no document type {type_name!r}. Name one of "
        f"{sanitize(', '.join(sorted(types.ids_by_name))) or 'none'} in sensible.document_types.",
        "sensible",
        type_name,
    )


def _check(settings: SensibleSettings) -> RequestFlow[None]:
    """Prove the key, and that Sensible has the document types of the settings."""
    types = yield from _look_up_types()
    for type_name in settings.document_types:
        _get_type_id(type_name, types)


def _discover_templates(settings: SensibleSettings) -> RequestFlow[DiscoveredTemplates]:
    """Return the selected document types, with the fields of recent documents."""
    type_ids = (yield from _look_up_types()).ids_by_name
    type_names = tuple(dict.fromkeys(settings.document_types or type_ids))
    return (yield from discover_templates(type_names, type_ids, tuple(dict.fromkeys(settings.environments))))


def _build_list_request(scope: str, types: FilterIds, **params: str | int) -> Request:
    """Return a request to the list of a scope."""
    environment, type_name = scope.split("/", 1)
    type_params = {"document_type_ids": _get_type_id(type_name, types)} if type_name else {}
    return Request("GET", build_path("extractions"), params={"environments": environment, **type_params, **params})


def _find_oldest(scope: str, types: FilterIds) -> RequestFlow[datetime | None]:
    """Find the day of the oldest extraction in a scope, None where it has none."""

    # "List extractions" documents the order as newest first, so one row shows whether there is any up to a date.
    def request_newest(day: datetime | None) -> Request:
        # "List extractions" documents both dates as inclusive: the last millisecond of the day ends it.
        end_params = {"end_date": _format_time(day + timedelta(days=1) - _MILLISECOND)} if day else {}
        return _build_list_request(scope, types, limit=1, **end_params)

    # A page may be empty and not the last, because Sensible filters after paging (see ListPager).
    return (yield from find_oldest_day(request_newest, parse_page, parse_ref))


def _read_window(window: Window, _rows_ahead: object, types: FilterIds) -> RequestFlow[ListedRows]:
    """Return the summaries of a window.

    A portfolio stands in the list of each of its document types. The ledger recognizes it in the second one: to
    leave it out there would lose it where the list of the first type could not be read.
    """
    # `end_date` is inclusive, so a row of the window's end may stand in the response; it is left to the next window.
    first_request = _build_list_request(
        window.scope, types, limit=_PER_PAGE, start_date=_format_time(window.start), end_date=_format_time(window.end)
    )
    refs_by_id: dict[str, PartitionRef] = {}
    unreadable_count = 0
    pager = ListPager(first_request, _PER_PAGE)
    while not pager.is_done:
        rows = yield from pager.read_page()
        # Packed, since a summary waits until its document has been requested, and a day may have many.
        refs = parse_and_pack(rows, parse_ref)
        unreadable_count += len(rows) - len(refs)
        window_refs = filter(None, (select_for_window(window, ref) for ref in refs))
        refs_by_id.update((ref.batch_id, ref) for ref in window_refs)
    error = describe_unreadable(unreadable_count, "the rows of Sensible's list of extractions")
    return ListedRows(list(refs_by_id.values()), error)


def _list_unfinished(
    settings: SensibleSettings, extraction_ids: Collection[str], end: datetime, types: FilterIds
) -> RequestFlow[list[PartitionRef]]:
    """Return the summaries of extractions that the lists of unfinished ones still show.

    A summary proves that the extraction is unfinished. Its absence proves nothing, since a list may be refused, be
    cut, or filter otherwise than documented.

    Args:
        settings: The settings, with the environments and document types.
        extraction_ids: The extractions wanted.
        end: The time up to which they were created; later ones stand in the window of the lookback.
        types: The ids of the document types that are known.
    """
    refs_by_id: dict[str, PartitionRef] = {}
    if len(extraction_ids) < _FEW_UNFINISHED:
        return []
    scope_params = {"environments": ",".join(dict.fromkeys(settings.environments))}
    type_names = dict.fromkeys(settings.document_types)
    if known_type_ids := [types.ids_by_name[name] for name in type_names if name in types.ids_by_name]:
        scope_params["document_type_ids"] = ",".join(known_type_ids)
    spare_pages = _SPARE_PAGES + len(extraction_ids) // 20
    for filter_params in _UNFINISHED_FILTERS:
        end_params: dict[str, str | int] = {"limit": _PER_PAGE, "end_date": _format_time(end)}
        params = {**scope_params, **filter_params, **end_params}
        pager = ListPager(Request("GET", build_path("extractions"), params=params))
        while not pager.is_done and spare_pages and len(refs_by_id) < len(extraction_ids):
            try:
                rows = yield from pager.read_page()
            except (ResourceUnavailable, UnreadableResponse):
                break
            refs = [ref for ref in parse_each(rows, parse_ref) if ref.batch_id in extraction_ids]
            refs_by_id.update((ref.batch_id, ref) for ref in refs)
            # A page with a single one of them has saved as many requests as it has cost.
            spare_pages -= not refs
    return list(refs_by_id.values())


def _fetch_extraction(ref: PartitionRef) -> RequestFlow[Snapshot]:
    """Return one extraction, from its summary if Sensible refuses the document."""
    try:
        [body] = yield [Request("GET", build_path("documents", ref.batch_id))]
    except ResourceUnavailable as error:
        # Only an answer about this document itself arrives here. Any other refusal proves nothing about the
        # document: it fails, and the next sync requests it again.
        return build_unavailable_snapshot(ref, error)
    row = require_object(body, f"Sensible's response for {ref.batch_id}")
    snapshot = build_snapshot(ref, row)
    if ref.listed_row is None:
        # Named by its id alone: only now its creation time and its type are known.
        created_at = parse_time(row.get("created"))
        snapshot = replace(snapshot, ref=replace(snapshot.ref, approx_created_at=created_at, listed_row=row))
    return snapshot


def _read_batch(ref: PartitionRef) -> RequestFlow[BatchAnswer]:
    """Return a batch's documents, and its row with references to those of unknown status."""
    try:
        [body] = yield [Request("GET", build_path("extract", "batch", ref.batch_id))]
    except ResourceUnavailable as error:
        reason = str(error)
        return BatchAnswer(lambda: (), lambda batch_ref: Snapshot(batch_ref, PartitionStatus.MISSING, error=reason))
    response = require_object(body, f"Sensible's response for batch {ref.batch_id}")
    return BatchAnswer(partial(list_members, response), partial(build_batch_snapshot, response=response))


def _format_time(timestamp: datetime) -> str:
    return format_rfc3339(timestamp) or ""
