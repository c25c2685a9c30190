"""Extracta.ai's templates and their fields, for typed tables.

- "Fields" documents a field as `{key, type?, properties?, items?}`, of type `string` (the default), `object` or
  `array`.
- "Document types" documents that a type of a classification template may name an extraction template by
  `extractionId`. Classification results then refer to batches of that template, so it needs a typed table too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...core.errors import ResourceUnavailable
from ...core.json_types import Json
from ...core.provider import RequestFlow, StreamGroup, TypedTables, gather_tolerant
from ...core.redaction import sanitize
from ...core.requests import Request
from ...core.templates import DiscoveredTemplates, Field, Template, ValueType, get_template_key
from ..inference import parse_declared_type
from ..parsing import as_identifier, as_text, parse_each, require_object

VIEW_EXTRACTION = "/viewExtraction"

VIEW_CLASSIFICATION = "/documentClassification/viewClassification"


def add_typed_tables(extraction_group: StreamGroup, other_groups: Sequence[StreamGroup]) -> StreamGroup:
    """Return the extraction streams with typed tables of their templates.

    These are the templates that the settings or the registry name, and those that classification templates refer to.
    """
    referencing_ids = [
        template_id
        for stream_group in other_groups
        if stream_group.referenced_group == extraction_group.name
        for template_id in _list_explicit_ids(stream_group)
    ]
    explicit_ids = _list_explicit_ids(extraction_group)
    typed_tables = TypedTables(
        lambda: _discover_templates(explicit_ids, referencing_ids),
        get_template_key,
        lambda ref, key: ref.template_id == key,
        lambda template_ids: _find_unselected(template_ids.difference(explicit_ids), referencing_ids),
        "extracta.extraction_ids",
    )
    return replace(extraction_group, typed_tables=typed_tables)


def _find_unselected(template_ids: frozenset[str], referencing_ids: Sequence[str]) -> RequestFlow[frozenset[str]]:
    """Return the templates that no classification template refers to.

    A template that the settings do not name can get new batches only through classification results.
    """
    # Each sync pays for these requests, so they are sent only for templates that no setting names.
    referenced_ids = (yield from _fetch_referenced_ids(referencing_ids)) if template_ids else ()
    return template_ids.difference(referenced_ids)


def _list_explicit_ids(stream_group: StreamGroup) -> list[str]:
    """Return the templates that are named, by themselves or as part of a batch."""
    explicit_ids = [ref.template_id for ref in stream_group.explicit_partitions if ref.template_id]
    return list(dict.fromkeys([*stream_group.template_ids, *explicit_ids]))


def _discover_templates(
    explicit_ids: Sequence[str], referencing_ids: Sequence[str]
) -> RequestFlow[DiscoveredTemplates]:
    referenced_ids = yield from _fetch_referenced_ids(referencing_ids)
    template_ids = list(dict.fromkeys([*explicit_ids, *referenced_ids]))
    # An unknown template is named in an error and must not cost the tables of the others.
    bodies = yield from gather_tolerant(
        [Request("POST", VIEW_EXTRACTION, json={"extractionId": template_id}) for template_id in template_ids]
    )
    templates: list[Template] = []
    errors: list[str] = []
    for template_id, body in zip(template_ids, bodies, strict=True):
        if isinstance(body, ResourceUnavailable):
            errors.append(
                f"Extracta.ai does not know the template {sanitize(template_id)}; it has no typed table. ({body})"
            )
        else:
            templates.append(_parse_template(template_id, body))
    return DiscoveredTemplates(templates, errors)


def _fetch_referenced_ids(referencing_ids: Sequence[str]) -> RequestFlow[list[str]]:
    """Return the extraction templates that some classification templates refer to."""
    requests = [
        Request("POST", VIEW_CLASSIFICATION, json={"classificationId": template_id}) for template_id in referencing_ids
    ]
    bodies = yield from gather_tolerant(requests)
    # An unknown classification template costs its own references alone, not the tables of all others.
    readable_bodies = [body for body in bodies if not isinstance(body, ResourceUnavailable)]
    return [template_id for body in readable_bodies for template_id in _parse_referenced_ids(body)]


def _parse_referenced_ids(body: Json) -> list[str]:
    document_types = _get_details(body, "classificationDetails").get("documentTypes")
    template_ids = parse_each(document_types, _parse_referenced_id) if isinstance(document_types, list) else []
    return [template_id for template_id in template_ids if template_id]


def _parse_referenced_id(document_type: Json) -> str | None:
    return as_identifier(
        require_object(document_type, "A document type").get("extractionId"), "The extractionId of a document type"
    )


def _parse_template(template_id: str, body: Json) -> Template:
    """Return an extraction template with its fields."""
    details = _get_details(body, "extractionDetails")
    fields = details.get("fields")
    rows = parse_each(fields, lambda row: require_object(row, "A field")) if isinstance(fields, list) else []
    rows_by_key = {as_text(row.get("key")): row for row in rows}
    # `string` is the documented default, and results hold numbers as text too. An unknown type is therefore text.
    template_fields = [
        Field(key, parse_declared_type(row.get("type")) or ValueType.STRING) for key, row in rows_by_key.items() if key
    ]
    return Template(template_id, as_text(details.get("name")) or template_id, tuple(template_fields))


def _get_details(body: Json, key: str) -> Mapping[str, Json]:
    """Return the details of a template, or the whole response if it has none."""
    response = require_object(body, "Extracta.ai's response for a template")
    details = response.get(key)
    return details if isinstance(details, Mapping) else response
