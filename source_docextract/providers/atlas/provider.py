"""Requests to Atlas's bulk service, and the classification of its error responses.

Sources: Atlas's pages "Bulk processing", "Get extracts" and "Error codes".

- The login exchanges the client credentials for a token that expires.
- A batch is read in pages of up to 50 documents, with `has_next`, `total_pages` and `total_items`.
- Atlas documents no list of batches, so the settings or the batch registry have to name them.
- Atlas sends neither a status nor a time. A batch counts as finished once it holds `total_items` documents, at least
  one. Only the batch id ends in a creation time (`…-20260309081408`), in a time zone that no page documents.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone

from ...core.content import compute_content_digest
from ...core.errors import ResourceUnavailable, UnreadableResponse
from ...core.ids import FileKeyAssigner
from ...core.json_types import Json
from ...core.model import PartitionRef, PartitionStatus, Snapshot
from ...core.provider import (
    ProviderSpec,
    Registry,
    RequestFlow,
    RequestSeries,
    StreamGroup,
    TypedTables,
    gather_tolerant,
    list_explicit_settings,
)
from ...core.requests import ErrorFormat, Login, Request
from ...core.templates import DiscoveredTemplates, get_document_type_key
from ..parsing import as_number, as_text, parse_each, require_object
from .reading import PER_PAGE, WRAPPER_FORMAT, BatchReading, DocumentRow, Page, build_snapshot, parse_document
from .settings import AtlasSettings
from .templates import infer_templates

_MAX_PARALLEL_PAGES = 1000
"""Upper limit of the pages in one series of requests because one response announces them."""

_SAMPLED_BATCHES = 20
"""Number of batches, newest first, whose first pages are read to find document types."""

_OLDER_SAMPLED_BATCHES = 10
"""Number of older batches that are read as well, so that a field which no recent document has stays known."""

_EARLIEST_TIME = datetime.min.replace(tzinfo=timezone.utc)

_ZONE_MARGIN = timedelta(days=1)
"""Time added to the creation time in a batch id, so that no time zone makes a batch look older than it is."""


def build_atlas_spec(settings: AtlasSettings, registry: Registry | None = None) -> ProviderSpec:
    """Describe how to sync the Atlas batches named in the settings or the registry."""
    registry_refs = registry.get_batches("atlas") if registry else ()
    explicit_refs = (
        *map(_build_ref, settings.batch_ids),
        # The registry's own creation time comes first. Where it has none, the time in the id lets the state forget the
        # batch once it has settled.
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
            # "Error codes" documents 410 for a version of the API that is no longer supported: no retry helps.
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
        # The credentials travel in the login alone. All other requests carry the token.
        login=Login(Request("POST", "/authtoken", headers=credentials), "Token", _parse_token),
    )


def _parse_reason(body: Json) -> str | None:
    """Return the sentence of an error response.

    "Error codes" documents `{"error_code", "error_message"}`, "Authentication" `{"error"}`.
    """
    return as_text(body.get("error_message")) or as_text(body.get("error")) if isinstance(body, Mapping) else None


def _is_about_id(status: int, body: Json) -> bool:
    """Return whether Atlas refuses the batch id itself.

    "Get extracts" documents status 400 for a batch_id that is "missing or invalid"; the body is that of "Error codes".
    """
    # Both keys are required: any other 400 (a gateway's) says nothing about the batch and must not make it `missing`.
    return (
        status == 400
        and isinstance(body, Mapping)
        and bool(as_text(body.get("error_code")))
        and "error_message" in body
    )


def _parse_token(body: Json) -> tuple[str, float]:
    """Return the token of a login response and the seconds until it expires.

    Raises:
        UnreadableResponse: The response holds no token.
    """
    response = require_object(body, "Atlas's login response")
    token = as_text(response.get("access_token"))
    if not token:
        raise UnreadableResponse("Atlas's login response contains no access_token.")
    return token, float(as_number(response.get("expires_in")) or 3600)  # "Bulk processing" documents an hour


def _check() -> RequestFlow[None]:
    """Send no request: the login already proves the credentials."""
    yield []


def _build_ref(batch_id: str) -> PartitionRef:
    """Return a reference to a batch, with the creation time that its id carries.

    The time orders batches and measures their age. No column shows it, because its time zone is unknown.
    """
    # No page documents the form of a batch id. Fourteen digits that are no time leave the age unknown; they are no
    # error.
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
    """Return the document types that are documented, or found in recent batches and some older ones."""
    # A batch that the settings and the registry name is one batch, and is requested once.
    unique_refs = {ref.key: ref for ref in explicit_refs}.values()
    newest_first = sorted(unique_refs, key=lambda ref: ref.approx_created_at or _EARLIEST_TIME, reverse=True)
    # Chosen by a digest of their ids: the same older batches are read at each discovery while new ones are added.
    older_refs = sorted(newest_first[_SAMPLED_BATCHES:], key=lambda ref: compute_content_digest(ref.batch_id.encode()))
    sampled_refs = [*newest_first[:_SAMPLED_BATCHES], *older_refs[:_OLDER_SAMPLED_BATCHES]]
    bodies = yield from gather_tolerant([_build_page_request(ref.batch_id, 1) for ref in sampled_refs])
    rows: list[DocumentRow] = []
    for ref, body in zip(sampled_refs, bodies, strict=True):
        if not isinstance(body, ResourceUnavailable):  # an unknown batch must not cost the tables of the others
            rows += Page(ref, 1, body).rows
    documents = parse_each(rows, lambda row: parse_document(row, FileKeyAssigner()))
    extractions = [extraction for document in documents for extraction in document.extractions]
    return infer_templates(extractions, WRAPPER_FORMAT)


def _build_page_request(batch_id: str, page_number: int) -> Request:
    return Request("GET", "/extracts", params={"batch_id": batch_id, "page": page_number, "per_page": PER_PAGE})


def _fetch(ref: PartitionRef) -> RequestFlow[Snapshot]:
    """Read all pages of a batch, and hand over each page of several.

    The first page announces their number, and the others are requested side by side. Reading goes on while the last
    page has a next one.
    """
    try:
        [response] = yield [_build_page_request(ref.batch_id, 1)]
    except ResourceUnavailable as error:
        return Snapshot(ref, PartitionStatus.MISSING, error=str(error))
    page_number, page = 1, Page(ref, 1, response)
    if not page.has_next:
        return build_snapshot(ref, page)
    reading = BatchReading(ref)
    yield reading.add(page)
    # `has_next` decides, as "Get extracts" documents. `total_pages` only allows requesting several pages at once: a
    # batch may grow while it is read, and then has more pages than the first response announced.
    while page.has_next:
        last_number = max(page_number + 1, min(page_number + _MAX_PARALLEL_PAGES, page.last_page))
        page_numbers = range(page_number + 1, last_number + 1)
        page_requests = RequestSeries([_build_page_request(ref.batch_id, number) for number in page_numbers])
        for page_number in page_numbers:
            # Outside the `try`: the first page has shown that Atlas knows the batch. A refusal of a later page fails
            # the batch and must not make it `missing`.
            [response] = yield page_requests
            page = Page(ref, page_number, response)
            yield reading.add(page)
    if repeated_part := reading.take_repeated():
        yield repeated_part
    return reading.build_snapshot()


def _batch_exists(ref: PartitionRef) -> RequestFlow[bool]:
    """Return whether Atlas knows a batch, by its first page alone."""
    try:
        yield [_build_page_request(ref.batch_id, 1)]
    except ResourceUnavailable:
        return False
    return True
