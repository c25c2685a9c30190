"""Requests to Extracta.ai, and the classification of its error responses.

Sources: the pages "Get results" of both products, and the other pages where a comment names them.

- One response holds all files of a batch. While the batch is in work it is `{"status": "waiting"}` without `files`.
- "Upload files" documents that files can be added to an existing batch, so a finished batch may open again.
- viewExtraction returns `batches`, an object by batch id of `filesNo`, `origin`, `startTime` and `status`. Public
  clients read it, no page documents it, and any of its keys may be absent. Whether viewClassification returns one too
  is unknown.
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
    """Describe how to sync the batches of both Extracta products, which share one key.

    A registry may name batches of either product, so with a registry both have streams.
    """
    stream_groups: list[StreamGroup] = []
    batch_registry = registry or Registry()
    # Classification comes first: the typed tables of extraction include the templates that it refers to.
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
        # Each page "Get results" asks for 2 seconds between consecutive requests to its own endpoint.
        spacing={api.results_path: settings.seconds_between_requests for api in (EXTRACTION, CLASSIFICATION)},
    )


def _build_group(
    api: Api,
    template_ids: tuple[str, ...],
    explicit_refs: Sequence[PartitionRef],
    registry_refs: Sequence[PartitionRef],
) -> StreamGroup:
    """Return the streams of one product."""
    return StreamGroup(
        name=api.product,
        template_ids=tuple(dict.fromkeys(template_ids)),
        explicit_partitions=(*explicit_refs, *registry_refs),
        explicit_settings=list_explicit_settings(api.batches_setting, explicit_refs, registry_refs),
        discover=lambda template_id: _discover(api, template_id),
        fetch=lambda ref: _fetch(api, ref),
        lane=api.results_path,  # the pages ask for spacing of these requests alone; templates are read without it
    )


def _parse_reason(body: Json) -> str | None:
    """Return the sentence of an error response.

    "Get results" documents `{"error": ...}` for extraction and `{"message": ...}` for classification. Public clients
    handle both for either.
    """
    if not isinstance(body, Mapping):
        return None
    return as_text(body.get("error")) or as_text(body.get("message"))


def _is_server_error(status: int, body: Json) -> bool:
    """Return whether a 400 is worth another try.

    Classification's "Get results" documents status 400 with the message "Internal server error".
    """
    return status == 400 and isinstance(body, Mapping) and body.get("message") == SERVER_ERROR_MESSAGE


def _is_about_id(status: int, body: Json) -> bool:
    """Return whether Extracta.ai refuses the template, batch or file id itself.

    Each page "Get results" documents one 400: `{"error"}` for extraction, `{"status": "error", "message"}` for
    classification. No other 4xx says anything about the batch, so none makes it `missing`. The message "Internal server
    error" is no refusal at first: the client retries it.
    """
    if status != 400 or not isinstance(body, Mapping) or _is_server_error(status, body):
        return False
    return isinstance(body.get("error"), str) or (
        body.get("status") == "error" and isinstance(body.get("message"), str)
    )


def _may_be_unknown_id(error: TransientError) -> bool:
    """Return whether classification's "Internal server error" may mean an unknown id.

    It is the only 400 that "Get results" documents for classification.
    """
    return error.status is not None and _is_server_error(error.status, error.body)


def _check(stream_groups: Sequence[StreamGroup]) -> RequestFlow[None]:
    """Request each template, which also proves the key; else the credits.

    "Get credits" documents the request that is sent where the settings name no template.

    Raises:
        UnknownTemplate: The product does not know a template; the message says so where the other product does.
    """
    apis_by_product = {api.product: api for api in (EXTRACTION, CLASSIFICATION)}
    api_templates: list[tuple[Api, str]] = []
    for stream_group in stream_groups:
        api = apis_by_product[stream_group.name]
        api_templates += [(api, template_id) for template_id in stream_group.template_ids]
    if not api_templates:
        yield [Request("GET", "/credits")]
    for api, template_id in api_templates:
        try:
            yield from _discover(api, template_id)
        except UnknownTemplate as error:
            # A second request, sent after a refusal only, turns "unknown template" into the setting to use instead.
            other_api = CLASSIFICATION if api is EXTRACTION else EXTRACTION
            if not (yield from _has_template(other_api, template_id)):
                raise
            message = f"{error} It is the id of {other_api.noun_phrase}: name it in {other_api.ids_setting}."
            raise UnknownTemplate(message, api.product, template_id) from None


def _has_template(api: Api, template_id: str) -> RequestFlow[bool]:
    """Return whether a product knows a template.

    The ids of both products have the same form, so a user easily puts one under the wrong setting.
    """
    # Classification answers an unknown id with a server error, whose retries would delay the message by half a minute.
    request = replace(_build_view_request(api, template_id), is_tried_once=True)
    try:
        [body] = yield [request]
    except (ResourceUnavailable, TransientError):
        # Without a clear answer there is nothing to advise, and the user sees the first error unchanged.
        return False
    return isinstance(body, Mapping) and api.details_key in body


def _discover(api: Api, template_id: str) -> RequestFlow[list[PartitionRef]]:
    """List the batches of a template; none where the response has no `batches`.

    Raises:
        UnknownTemplate: Extracta.ai does not know the template.
        UnreadableResponse: The response or its `batches` is no JSON object.
    """
    try:
        [body] = yield [_build_view_request(api, template_id)]
    except (ResourceUnavailable, TransientError) as error:
        # Classification may answer an unknown id with its server error, so after the retries that error counts as an
        # unknown template.
        if isinstance(error, ResourceUnavailable) or _may_be_unknown_id(error):
            raise _build_unknown_error(api, template_id, error) from None
        raise
    response = require_object(body, f"Extracta.ai's response for {template_id}")
    details = response
    if response.get(api.details_key) is not None:
        details = require_object(response[api.details_key], f"Extracta.ai's details of {template_id}")
    # Public clients read `batches` inside the details. A map beside them is accepted too, since no page documents it.
    batches = details.get("batches", response.get("batches"))
    # An extraction without batches has no map, and viewClassification may have none at all: neither is an error.
    if batches is None:
        return []
    # A map in another form must not pass for "no batches", or batches would be missing without a message.
    if not isinstance(batches, Mapping):
        raise UnreadableResponse(f"Extracta.ai's list of the batches of {template_id} is not a JSON object.")
    name = as_text_or_none(details.get("name"))
    return [
        parse_listed_batch(template_id, name, str(batch_id), batch_info) for batch_id, batch_info in batches.items()
    ]


def _build_view_request(api: Api, template_id: str) -> Request:
    return Request("POST", api.view_path, json={api.template_id_key: template_id})


def _build_unknown_error(api: Api, template_id: str, error: Exception) -> UnknownTemplate:
    message = f"Extracta.ai does not know the template {template_id} of {api.ids_setting}. ({error})"
    return UnknownTemplate(message, api.product, template_id)


def _fetch(api: Api, ref: PartitionRef) -> RequestFlow[Snapshot]:
    """Read a batch with one request, or with one for each file that is named alone.

    A batch is missing where no request finds it. A file that is not found is a failed document beside the others.
    """
    responses: list[Mapping[str, Json]] = []
    errors: list[ResourceUnavailable | TransientError] = []
    for file_id in ref.file_ids or (None,):
        try:
            [body] = yield [_build_results_request(api, ref, file_id)]
            responses.append(require_object(body, f"Extracta.ai's response for {ref.key}"))
        except (ResourceUnavailable, TransientError) as error:
            # Only a named batch may turn `missing` on a server error; a batch that Extracta.ai itself lists exists.
            if isinstance(error, TransientError) and not (ref.is_explicit and _may_be_unknown_id(error)):
                raise
            errors.append(error)
            responses.append({"files": [{"fileId": file_id, "status": "failed", "error": str(error)}]})
    if any(isinstance(error, TransientError) for error in errors):
        # The server error may also be a real one. If the template can still be read, the batch or file is unknown;
        # if not, the error of this request fails the batch.
        yield [_build_view_request(api, ref.template_id or "")]
    if len(errors) == len(responses):
        return Snapshot(ref, PartitionStatus.MISSING, error=str(errors[0]))
    return replace(build_snapshot(api, ref, responses), has_unknown_files=bool(errors))


def _build_results_request(api: Api, ref: PartitionRef, file_id: str | None) -> Request:
    body = {api.template_id_key: ref.template_id, "batchId": ref.batch_id}
    if file_id:
        body["fileId"] = file_id
    return Request("POST", api.results_path, json=body, lane=api.results_path)
