"""Extracta's templates and their fields, for typed tables.

A field is `{key, type?, properties?, items?}`, its type `string` (also where none is told), `object` or `array` (page
"Fields"). Types of a classification template may be linked to an extraction template by `extractionId`; their batches
are found through it, and so is the template.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..errors import Unavailable
from ..http import Request
from ..model import Json
from ..plain import plain
from ..templates import Field, Kind, Template, Templates, by_template, declared
from .base import Product, Script, Typing, answers, each, identifier, json_object, text

VIEW_EXTRACTION = "/viewExtraction"
VIEW_CLASSIFICATION = "/documentClassification/viewClassification"


def with_tables(extraction: Product, others: Sequence[Product]) -> Product:
    """A product with tables of all templates that are named, or that templates of the others link to."""
    linking = [one for product in others if product.links_to == extraction.name for one in _named(product)]
    named = _named(extraction)
    typing = Typing(
        lambda: _templates(named, linking),
        by_template,
        lambda ref, of: ref.template_id == of,
        lambda templates: _unnamed(templates.difference(named), linking),
        "extracta.extraction_ids",
    )
    return replace(extraction, typing=typing)


def _unnamed(templates: frozenset[str], linking: Sequence[str]) -> Script[frozenset[str]]:
    """Return the templates that no classification template links to. Only these can still bring batches of one."""
    linked = (yield from _linked_templates(linking)) if templates else ()
    return templates.difference(linked)


def _named(product: Product) -> list[str]:
    named = [ref.template_id for ref in product.named if ref.template_id]
    return list(dict.fromkeys([*product.template_ids, *named]))


def _templates(named: Sequence[str], linking: Sequence[str]) -> Script[Templates]:
    linked = yield from _linked_templates(linking)
    ids = list(dict.fromkeys([*named, *linked]))
    bodies = yield from answers([Request("POST", VIEW_EXTRACTION, json={"extractionId": one}) for one in ids])
    told = list(zip(ids, bodies, strict=True))
    return Templates(
        [_template(one, body) for one, body in told if not isinstance(body, Unavailable)],
        [
            f"Extracta.ai does not know the template {plain(one)}; it has no typed table. ({body})"
            for one, body in told
            if isinstance(body, Unavailable)
        ],
    )


def _linked_templates(linking: Sequence[str]) -> Script[list[str]]:
    """Return the extraction templates that the document types of some classification templates link to."""
    viewed = yield from answers(
        [Request("POST", VIEW_CLASSIFICATION, json={"classificationId": one}) for one in linking]
    )
    return [one for body in viewed if not isinstance(body, Unavailable) for one in _linked(body)]


def _linked(body: Json) -> list[str]:
    types = _details(body, "classificationDetails").get("documentTypes")
    told = each(types, _link) if isinstance(types, list) else []
    return [one for one in told if one]


def _link(sent: Json) -> str | None:
    return identifier(json_object(sent, "A document type").get("extractionId"), "The extractionId of a document type")


def _template(template_id: str, body: Json) -> Template:
    details = _details(body, "extractionDetails")
    fields = details.get("fields")
    rows = each(fields, lambda row: json_object(row, "A field")) if isinstance(fields, list) else []
    named = {text(row.get("key")): row for row in rows}
    return Template(
        template_id,
        text(details.get("name")) or template_id,
        tuple(Field(key, declared(row.get("type")) or Kind.STRING) for key, row in named.items() if key),
    )


def _details(body: Json, key: str) -> Mapping[str, Json]:
    answer = json_object(body, "Extracta.ai's answer about a template")
    details = answer.get(key)
    return details if isinstance(details, Mapping) else answer
