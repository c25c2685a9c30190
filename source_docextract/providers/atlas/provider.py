"""Atlas (helloatlas.in), the bulk service.

Facts are from Atlas's pages on bulk processing. Credentials are traded for a token; documents come in pages of up to
50, with `has_next` and `total_pages`. No list of batches, no status, no time: a batch is finished when it has as many
documents as it says (`total_items`, more than none). Only a batch's id carries a time (`…-20260309081408`), of a zone
that nobody tells.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone

from ...core.errors import ResourceUnavailable, UnreadableResponse
from ...core.ids import FileKeyAssigner
from ...core.json_types import Json
from ...core.model import PartitionRef, PartitionStatus, Snapshot
from ...core.provider import (
    ProviderSpec,
    Registry,
    RequestFlow,
    StreamGroup,
    TypedTables,
    gather_tolerant,
    list_explicit_settings,
)
from ...core.requests import ErrorFormat, Login, Request
from ...core.templates import DiscoveredTemplates, get_document_type_key
from ..parsing import as_number, as_text, parse_each, require_object
from .reading import PER_PAGE, WRAPPER_FORMAT, Page, build_snapshot, parse_document, reject_repeated_pages
from .settings import AtlasSettings
from .templates import infer_templates

_MAX_PARALLEL_PAGES = 1000  # pages that are asked for because one says that they are there

_SAMPLED_BATCHES = 20  # batches, for the document types in them

_EARLIEST_TIME = datetime.min.replace(tzinfo=timezone.utc)

_ZONE_MARGIN = timedelta(days=1)
"""The time in a batch id is taken for a day later than it reads, so that no zone makes a batch look too old."""


def build_atlas_spec(settings: AtlasSettings, registry: Registry | None = None) -> ProviderSpec:
    registry_refs = registry.get_batches("atlas") if registry else ()
    explicit_refs = (
        *map(_build_ref, settings.batch_ids),
        *(ref.merge(_build_ref(ref.batch_id)) for ref in registry_refs),
    )
    credentials = {
        "Client-Id": settings.client_id.get_secret_value(),
        "Client-Secret": settings.client_secret.get_secret_value(),
    }
    return ProviderSpec(
        error_format=ErrorFormat(
            "Atlas",
            "atlas.client_id and atlas.client_secret",
            extract_reason=_parse_reason,
            is_unavailable=_is_about_id,
            final_messages={
                410: "no longer serves this version of its API; set atlas.base_url to the address Atlas gave you"
            },
        ),
        base_url=settings.base_url,
        stream_groups=(
            StreamGroup(
                name="atlas",
                explicit_partitions=explicit_refs,
                explicit_settings=list_explicit_settings("atlas.batch_ids", settings.batch_ids, registry_refs),
                batch_exists=_batch_exists,
                fetch=_fetch,
                wrapper_format=WRAPPER_FORMAT,
                typed_tables=TypedTables(lambda: _discover_templates(explicit_refs), get_document_type_key),
            ),
        ),
        check=_check,
        login=Login(Request("POST", "/authtoken", headers=credentials), "Token", _parse_token),
    )


def _parse_reason(body: Json) -> str | None:
    """`{"error_code", "error_message"}`, or `{"error"}` from the login."""
    return as_text(body.get("error_message")) or as_text(body.get("error")) if isinstance(body, Mapping) else None


def _is_about_id(status: int, body: Json) -> bool:
    """A batch_id that is "missing or invalid" gets 400 (page "Get extracts") with `error_code` and `error_message`."""
    return (
        status == 400
        and isinstance(body, Mapping)
        and bool(as_text(body.get("error_code")))
        and "error_message" in body
    )


def _parse_token(body: Json) -> tuple[str, float]:
    response = require_object(body, "Atlas's login response")
    token = as_text(response.get("access_token"))
    if not token:
        raise UnreadableResponse("Atlas's login response contains no access_token.")
    return token, float(as_number(response.get("expires_in")) or 3600)


def _check() -> RequestFlow[None]:
    """The login, which comes before any request, proves all there is to prove."""
    yield []


def _build_ref(batch_id: str) -> PartitionRef:
    """A batch by its id; the time in it is for inside use only."""
    stamp_match = re.search(r"-(\d{14})$", batch_id)
    try:
        stamp_time = (
            datetime.strptime(stamp_match[1], "%Y%m%d%H%M%S").replace(tzinfo=timezone.utc) if stamp_match else None
        )
        approx_created_at = stamp_time + _ZONE_MARGIN if stamp_time else None
    except (ValueError, OverflowError):
        approx_created_at = None
    return PartitionRef(None, batch_id, approx_created_at=approx_created_at, is_explicit=True)


def _discover_templates(explicit_refs: Sequence[PartitionRef]) -> RequestFlow[DiscoveredTemplates]:
    """What the first pages of the newest batches show, beside what is known."""
    unique_refs = {ref.key: ref for ref in explicit_refs}.values()
    newest_refs = sorted(unique_refs, key=lambda ref: ref.approx_created_at or _EARLIEST_TIME, reverse=True)[
        :_SAMPLED_BATCHES
    ]
    bodies = yield from gather_tolerant([_build_page_request(ref.batch_id, 1) for ref in newest_refs])
    sampled_pages = [
        (ref, body) for ref, body in zip(newest_refs, bodies, strict=True) if not isinstance(body, ResourceUnavailable)
    ]
    rows = [row for ref, body in sampled_pages for row in Page(ref, 1, body).rows]
    documents = parse_each(rows, lambda row: parse_document(row, FileKeyAssigner()))
    return infer_templates(
        [extraction for document in documents for extraction in document.extractions], WRAPPER_FORMAT
    )


def _build_page_request(batch_id: str, page_number: int) -> Request:
    return Request("GET", "/extracts", params={"batch_id": batch_id, "page": page_number, "per_page": PER_PAGE})


def _fetch(ref: PartitionRef) -> RequestFlow[Snapshot]:
    """Page 1 tells how many there are; those go side by side; then on for as long as the last one has a next."""
    try:
        [response] = yield [_build_page_request(ref.batch_id, 1)]
    except ResourceUnavailable as error:
        return Snapshot(ref, PartitionStatus.MISSING, error=str(error))
    pages = [Page(ref, 1, response)]
    while pages[-1].has_next:
        last_number = max(len(pages) + 1, min(len(pages) + _MAX_PARALLEL_PAGES, pages[-1].last_page))
        page_numbers = range(len(pages) + 1, last_number + 1)
        responses = yield [_build_page_request(ref.batch_id, page_number) for page_number in page_numbers]
        pages.extend(
            Page(ref, page_number, response) for page_number, response in zip(page_numbers, responses, strict=True)
        )
        reject_repeated_pages(pages)
    return build_snapshot(ref, pages)


def _batch_exists(ref: PartitionRef) -> RequestFlow[bool]:
    try:
        yield [_build_page_request(ref.batch_id, 1)]
    except ResourceUnavailable:
        return False
    return True
