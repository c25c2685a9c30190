"""Extracta.ai: data extraction, and document classification.

Facts are from Extracta's pages "Get results" of both products unless said otherwise. All files of a batch come in one
answer. While a batch is in work the answer is `{"status": "waiting"}` without `files`. A batch can be added to, so it
may re-open. Batches are listed by viewExtraction's `batches`, an object by batch id of `filesNo`, `origin`,
`startTime`, `status`, any of which may be absent (seen in public clients, not documented); whether viewClassification
has one is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...core.errors import ResourceUnavailable, TransientError, UnknownTemplate, UnreadableResponse
from ...core.json_types import Json
from ...core.model import PartitionRef, PartitionStatus, Snapshot
from ...core.provider import ProviderSpec, Registry, RequestFlow, StreamGroup, list_explicit_settings
from ...core.requests import ErrorFormat, Request, build_bearer_headers
from ...core.validation import parse_partition_refs
from ..parsing import as_text, as_text_or_none, require_object
from .reading import CLASSIFICATION, EXTRACTION, SERVER_ERROR_MESSAGE, Api, build_snapshot, parse_listed_batch
from .settings import ExtractaSettings
from .templates import add_typed_tables


def build_extracta_spec(settings: ExtractaSettings, registry: Registry | None = None) -> ProviderSpec:
    """The plan for both products, with one key. A registry may name batches of either."""
    stream_groups: list[StreamGroup] = []
    batch_registry = registry or Registry()
    if settings.has_classification or registry:
        explicit_refs, registry_refs = (
            parse_partition_refs(settings.classification_batches),
            batch_registry.get_batches(CLASSIFICATION.product),
        )
        referenced_group = EXTRACTION.product if settings.follow_links else None
        stream_group = _build_group(CLASSIFICATION, settings.classification_ids, explicit_refs, registry_refs)
        stream_groups.append(replace(stream_group, referenced_group=referenced_group))
    if settings.has_extraction or registry:
        explicit_refs, registry_refs = (
            parse_partition_refs(settings.extraction_batches),
            batch_registry.get_batches(EXTRACTION.product),
        )
        stream_groups.append(
            add_typed_tables(
                _build_group(EXTRACTION, settings.extraction_ids, explicit_refs, registry_refs), stream_groups
            )
        )
    return ProviderSpec(
        error_format=ErrorFormat(
            "Extracta.ai",
            "extracta.api_key",
            extract_reason=_parse_reason,
            is_retryable=_is_server_error,
            is_unavailable=_is_about_id,
        ),
        base_url=settings.base_url,
        stream_groups=tuple(stream_groups),
        check=lambda: _check(stream_groups),
        headers=build_bearer_headers(settings.api_key.get_secret_value()),
        spacing={api.results_path: settings.seconds_between_requests for api in (EXTRACTION, CLASSIFICATION)},
    )


def _build_group(
    api: Api,
    template_ids: tuple[str, ...],
    explicit_refs: Sequence[PartitionRef],
    registry_refs: Sequence[PartitionRef],
) -> StreamGroup:
    return StreamGroup(
        name=api.product,
        template_ids=tuple(dict.fromkeys(template_ids)),
        explicit_partitions=(*explicit_refs, *registry_refs),
        explicit_settings=list_explicit_settings(api.batches_setting, explicit_refs, registry_refs),
        discover=lambda template_id: _discover(api, template_id),
        fetch=lambda ref: _fetch(api, ref),
        lane=api.results_path,
    )


def _parse_reason(body: Json) -> str | None:
    """`{"error": ...}` on extraction, `{"message": ...}` on classification; clients have met both on either."""
    if not isinstance(body, Mapping):
        return None
    return as_text(body.get("error")) or as_text(body.get("message"))


def _is_server_error(status: int, body: Json) -> bool:
    """Classification answers 400 to what is a trouble of the server's own, by its words."""
    return status == 400 and isinstance(body, Mapping) and body.get("message") == SERVER_ERROR_MESSAGE


def _is_about_id(status: int, body: Json) -> bool:
    """`{"error"}` on extraction, `{"status": "error", "message"}` on classification: each page documents one 400."""
    if status != 400 or not isinstance(body, Mapping) or _is_server_error(status, body):
        return False
    return isinstance(body.get("error"), str) or (
        body.get("status") == "error" and isinstance(body.get("message"), str)
    )


def _may_be_unknown_id(error: TransientError) -> bool:
    """Whether what classification calls a server error may as well be an id that it does not know."""
    return error.status is not None and _is_server_error(error.status, error.body)


def _check(stream_groups: Sequence[StreamGroup]) -> RequestFlow[None]:
    """Looks at each template, which proves the key as well; without templates, asks for the credits left."""
    api_templates = [
        (api, template_id)
        for stream_group in stream_groups
        for api in (EXTRACTION, CLASSIFICATION)
        for template_id in stream_group.template_ids
        if api.product == stream_group.name
    ]
    if not api_templates:
        yield [Request("GET", "/credits")]
    for api, template_id in api_templates:
        try:
            yield from _discover(api, template_id)
        except UnknownTemplate as error:
            other_api = CLASSIFICATION if api is EXTRACTION else EXTRACTION
            if not (yield from _has_template(other_api, template_id)):
                raise
            message = f"{error} It is the id of {other_api.noun_phrase}: name it in {other_api.ids_setting}."
            raise UnknownTemplate(message, api.product, template_id) from None


def _has_template(api: Api, template_id: str) -> RequestFlow[bool]:
    """Return whether the other product knows a template. The ids of both have the same form."""
    try:
        [body] = yield [_build_view_request(api, template_id)]
    except (ResourceUnavailable, TransientError):
        return False
    return isinstance(body, Mapping) and api.details_key in body


def _discover(api: Api, template_id: str) -> RequestFlow[list[PartitionRef]]:
    try:
        [body] = yield [_build_view_request(api, template_id)]
    except (ResourceUnavailable, TransientError) as error:
        if isinstance(error, ResourceUnavailable) or _may_be_unknown_id(error):
            raise _build_unknown_error(api, template_id, error) from None
        raise
    response = require_object(body, f"Extracta.ai's response for {template_id}")
    details_value = response.get(api.details_key)
    details = (
        response if details_value is None else require_object(details_value, f"Extracta.ai's details of {template_id}")
    )
    batches = details.get("batches", response.get("batches"))
    if batches is None:
        return []
    if not isinstance(batches, Mapping):
        raise UnreadableResponse(f"Extracta.ai's list of the batches of {template_id} is not a JSON object.")
    name = as_text_or_none(details.get("name"))
    return [
        parse_listed_batch(template_id, name, str(batch_id), details_value)
        for batch_id, details_value in batches.items()
    ]


def _build_view_request(api: Api, template_id: str) -> Request:
    return Request("POST", api.view_path, json={api.template_id_key: template_id})


def _build_unknown_error(api: Api, template_id: str, error: Exception) -> UnknownTemplate:
    message = f"Extracta.ai does not know the template {template_id} of {api.ids_setting}. ({error})"
    return UnknownTemplate(message, api.product, template_id)


def _fetch(api: Api, ref: PartitionRef) -> RequestFlow[Snapshot]:
    """Ask once for a whole batch, or once for each file that is named alone."""
    responses: list[Mapping[str, Json]] = []
    errors: list[ResourceUnavailable | TransientError] = []
    for file_id in ref.file_ids or (None,):
        try:
            [body] = yield [_build_results_request(api, ref, file_id)]
            responses.append(require_object(body, f"Extracta.ai's response for {ref.key}"))
        except (ResourceUnavailable, TransientError) as error:
            if isinstance(error, TransientError) and not (ref.is_explicit and _may_be_unknown_id(error)):
                raise
            errors.append(error)
            responses.append({"files": [{"fileId": file_id, "status": "failed", "error": str(error)}]})
    if any(isinstance(error, TransientError) for error in errors):
        yield [
            _build_view_request(api, ref.template_id or "")
        ]  # where its template answers, it is the batch that is not there
    if len(errors) == len(responses):
        return Snapshot(ref, PartitionStatus.MISSING, error=str(errors[0]))
    return replace(build_snapshot(api, ref, responses), has_unknown_files=bool(errors))


def _build_results_request(api: Api, ref: PartitionRef, file_id: str | None) -> Request:
    body = {api.template_id_key: ref.template_id, "batchId": ref.batch_id}
    return Request(
        "POST", api.results_path, json={**body, "fileId": file_id} if file_id else body, lane=api.results_path
    )
