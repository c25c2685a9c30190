"""Sensible.so.

Facts are from Sensible's pages "Group extractions by batch ID", "List extractions" and its OpenAPI files. All
extractions of the account stand in one list of summaries, newest first; what was extracted, and the batch it belongs
to, is told by each document alone (`GET /documents/{id}`). A batch lists its documents' ids. There is no list of
batches. People review extractions: a review that is decided is final.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from ...core.errors import ConfigError, ResourceUnavailable, UnreadableResponse
from ...core.json_types import Json
from ...core.model import PartitionRef, PartitionStatus, Snapshot
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
from ...core.redaction import sanitize
from ...core.requests import ErrorFormat, Request, build_bearer_headers
from ...core.templates import DiscoveredTemplates, get_document_type_key
from ...core.timestamps import format_rfc3339
from ...core.urls import build_path
from ..inference import build_unselected_finder
from ..listing import NEWEST_CONCEIVABLE, OLDEST_CONCEIVABLE, find_oldest_day, select_for_window
from ..parsing import as_identifier, as_text, describe_unreadable, parse_each, require_object
from .listing import ListPager
from .reading import (
    TOO_LARGE_STATUS,
    WRAPPER_FORMAT,
    build_batch_snapshot,
    build_member_ref,
    build_snapshot,
    build_unavailable_snapshot,
    list_type_names,
    parse_member_ids,
    parse_page,
    parse_ref,
)
from .settings import SensibleSettings
from .templates import discover_templates

_PER_PAGE = 100

_MILLISECOND = timedelta(milliseconds=1)


def build_sensible_spec(settings: SensibleSettings, registry: Registry | None = None) -> ProviderSpec:
    """The plan for the extractions, and for the batches that they belong to."""
    registry_refs = registry.get_batches("sensible") if registry else ()
    reader = _Reader(settings)
    extractions = StreamGroup(
        name="sensible",
        stream_kinds=("files", "results", "fields"),
        wrapper_format=WRAPPER_FORMAT,
        fetch=reader.fetch_extraction,
        referenced_group="sensible_batches",
        change_detection=ChangeDetection.LISTING,
        scopes=reader.scopes,
        find_oldest=reader.find_oldest,
        read_window=reader.read_window,
        wider_scopes=_list_wider_scopes,
        row_scopes=_list_row_scopes,
        list_members=reader.list_members,
        typed_tables=TypedTables(
            reader.discover_templates,
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
            *(PartitionRef(None, batch_id, is_explicit=True) for batch_id in settings.batch_ids),
            *registry_refs,
        ),
        explicit_settings=list_explicit_settings("sensible.batch_ids", settings.batch_ids, registry_refs),
        fetch=reader.fetch_batch,
        referenced_group=extractions.name,
        change_detection=ChangeDetection.REFERENCE,
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
        check=reader.check,
        headers=build_bearer_headers(settings.api_key.get_secret_value()),
    )


def _parse_reason(body: Json) -> str | None:
    """Errors are plain text; a sentence that happens to be JSON, or an object around it, is taken as well."""
    return as_text(body.get("message") or body.get("error")) if isinstance(body, Mapping) else as_text(body)


def _is_quota(reason: str) -> bool:
    """`Free accounts are limited to 150 API calls per month`, where a throttle says `Attempt limit exceeded`."""
    return "per month" in reason.lower()


def _is_about_id(status: int, body: Json) -> bool:
    """404 or 400 for an unknown id (which of them is not documented), 413 for a document that is too large to be sent.

    Sensible writes all errors as text: an object or a page comes from something in between.
    """
    return status in {400, 404, TOO_LARGE_STATUS} and isinstance(body, str) and bool(body.strip())


def _may_have_type(ref: PartitionRef, document_type: str) -> bool:
    """Whether an extraction may be of a type, as far as its summary tells: one that is asked for by its id has none."""
    summary_types = list_type_names(ref.listed_row or {})
    return not summary_types or document_type in summary_types


def _list_wider_scopes(scope: str) -> Sequence[str]:
    """Of one document type, the list of all types in the same environment."""
    environment, type_name = scope.split("/", 1)
    return (f"{environment}/",) if type_name else ()


def _list_row_scopes(scope: str, ref: PartitionRef) -> Sequence[str]:
    environment = scope.split("/", 1)[0]
    return (
        scope,
        f"{environment}/",
        *(f"{environment}/{type_name}" for type_name in list_type_names(ref.listed_row or {})),
    )


class _Reader:
    """Asks for extractions and batches, during one sync.

    A scope of the list is one environment, and one document type where types are named: `PRODUCTION/claims`.
    """

    def __init__(self, settings: SensibleSettings) -> None:
        self._type_names = tuple(dict.fromkeys(settings.document_types))
        self._environments = tuple(dict.fromkeys(settings.environments))
        self.scopes = tuple(
            f"{environment}/{type_name}"
            for environment in self._environments
            for type_name in self._type_names or ("",)
        )
        self._type_ids: dict[str, str] | None = None
        self._has_unreadable_types = False
        self._batch_responses: dict[str, Mapping[str, Json] | ResourceUnavailable] = {}

    def check(self) -> RequestFlow[None]:
        for type_name in self._type_names or ("",):
            yield from self._resolve_type_id(type_name, always_fetch=True)

    def _resolve_type_id(self, type_name: str, *, always_fetch: bool = False) -> RequestFlow[str]:
        """A document type's id, by its name. One request a sync, where types are named."""
        if self._type_ids is None and (type_name or always_fetch):
            [body] = yield [Request("GET", build_path("document_types"))]
            if not isinstance(body, list):
                raise UnreadableResponse("Sensible's document types are not a list.")
            self._type_ids = dict(parse_each(body, _parse_document_type))
            self._has_unreadable_types = len(self._type_ids) < len(body)
        if not type_name:
            return ""
        type_ids = self._type_ids or {}
        if not type_ids.get(type_name):
            if self._has_unreadable_types:
                raise UnreadableResponse(
                    "Sensible's list of document types cannot be read completely, and "
                    f"{type_name!r} is not in the readable part."
                )
            raise ConfigError(
                f"Sensible has no document type {type_name!r}. "
                f"Name one of {sanitize(', '.join(sorted(type_ids))) or 'none'} in sensible.document_types."
            )
        return type_ids[type_name]

    def discover_templates(self) -> RequestFlow[DiscoveredTemplates]:
        yield from self._resolve_type_id("", always_fetch=True)
        type_ids = self._type_ids or {}
        return (yield from discover_templates(self._type_names or tuple(type_ids), type_ids, self._environments))

    def _build_list_request(self, scope: str, **params: str | int) -> RequestFlow[Request]:
        environment, type_name = scope.split("/", 1)
        type_id = yield from self._resolve_type_id(type_name)
        type_params = {"document_type_ids": type_id} if type_id else {}
        return Request("GET", build_path("extractions"), params={"environments": environment, **type_params, **params})

    def find_oldest(self, scope: str) -> RequestFlow[datetime | None]:
        request = yield from self._build_list_request(scope, limit=1)

        def request_newest(day: datetime | None) -> Request:
            end_params = {"end_date": _format_time(day + timedelta(days=1) - _MILLISECOND)} if day else {}
            return Request(request.method, request.path, params={**request.params, **end_params})

        def parse_created_at(body: Json) -> datetime | None:
            rows, token = parse_page(body)
            if not rows:
                return NEWEST_CONCEIVABLE if token else None
            refs = parse_each(rows[:1], parse_ref)
            return (refs[0].approx_created_at if refs else None) or OLDEST_CONCEIVABLE

        return (yield from find_oldest_day(request_newest, parse_created_at))

    def read_window(self, window: Window) -> RequestFlow[ListedRows]:
        """The summaries of a window, without those that an earlier type's list has as well (portfolios)."""
        first_request = yield from self._build_list_request(
            window.scope, limit=_PER_PAGE, start_date=_format_time(window.start), end_date=_format_time(window.end)
        )
        type_name = window.scope.split("/", 1)[1]
        earlier_types = set(self._type_names[: self._type_names.index(type_name)]) if type_name else set()
        refs_by_id: dict[str, PartitionRef] = {}
        unreadable_count = duplicate_count = 0
        pager = ListPager(first_request, _PER_PAGE)
        while not pager.is_done:
            rows = yield from pager.read_page()
            refs = parse_each(rows, parse_ref)
            unreadable_count += len(rows) - len(refs)
            window_refs = list(filter(None, (select_for_window(window, ref) for ref in refs)))
            new_refs = [ref for ref in window_refs if earlier_types.isdisjoint(list_type_names(ref.listed_row or {}))]
            refs_by_id.update((ref.batch_id, ref) for ref in new_refs)
            duplicate_count += len(window_refs) - len(new_refs)
        error = describe_unreadable(unreadable_count, "the rows of Sensible's list of extractions")
        return ListedRows(list(refs_by_id.values()), error, duplicate_count)

    def fetch_extraction(self, ref: PartitionRef) -> RequestFlow[Snapshot]:
        try:
            [body] = yield [Request("GET", build_path("documents", ref.batch_id))]
        except ResourceUnavailable as error:
            return build_unavailable_snapshot(ref, error)
        return build_snapshot(ref, require_object(body, f"Sensible's response for {ref.batch_id}"))

    def list_members(self, ref: PartitionRef) -> RequestFlow[list[PartitionRef]]:
        """The documents of a batch that is named by hand. Its answer is kept for its row."""
        response = yield from self._request_batch(ref)
        self._batch_responses[ref.batch_id] = response
        return (
            []
            if isinstance(response, ResourceUnavailable)
            else [build_member_ref(member_id) for member_id in parse_member_ids(response)]
        )

    def fetch_batch(self, ref: PartitionRef) -> RequestFlow[Snapshot]:
        response = self._batch_responses.pop(ref.batch_id, None) or (yield from self._request_batch(ref))
        if isinstance(response, ResourceUnavailable):
            return Snapshot(ref, PartitionStatus.MISSING, error=str(response))
        snapshot = build_batch_snapshot(ref, response)
        if snapshot.references:
            self._batch_responses[ref.batch_id] = response  # more of it may be told in this sync
        return snapshot

    def _request_batch(self, ref: PartitionRef) -> RequestFlow[Mapping[str, Json] | ResourceUnavailable]:
        try:
            [body] = yield [Request("GET", build_path("extract", "batch", ref.batch_id))]
        except ResourceUnavailable as error:
            return error
        return require_object(body, f"Sensible's response for batch {ref.batch_id}")


def _parse_document_type(item: Json) -> tuple[str, str]:
    """Its name and its id."""
    row = require_object(item, "A Sensible document type")
    name, type_id = (as_identifier(row.get(key), f"The {key} of a Sensible document type") for key in ("name", "id"))
    if not name or not type_id:
        raise UnreadableResponse("A Sensible document type has no name or no id.")
    return name, type_id


def _format_time(timestamp: datetime) -> str:
    return format_rfc3339(timestamp) or ""
