"""DocMap's templates, for typed tables: no endpoint lists them, so they are known by the extractions that they made.

A row has the template's `variables` of that time, `{name, type, description}`, and data that may have keys beyond them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial

from ...core.errors import UnreadableResponse
from ...core.ids import FileKeyAssigner
from ...core.json_types import Json, JsonObject
from ...core.model import PartitionRef
from ...core.provider import RequestFlow
from ...core.redaction import sanitize
from ...core.requests import Request
from ...core.templates import DiscoveredTemplates, Field, Template, ValueType
from ...core.timestamps import truncate_to_day
from ...core.wrappers import NO_WRAPPERS
from ..inference import infer_fields, merge_fields, parse_declared_type
from ..listing import NEWEST_CONCEIVABLE, OLDEST_CONCEIVABLE
from ..parsing import as_text, parse_each
from .listing import ListPager
from .reading import parse_document, parse_page, parse_ref

_SAMPLE_SIZE = 950
"""So many of the newest extractions are looked at, where no templates are named: ten pages, if they are full."""

_SAMPLED_MONTHS = 24
"""Of so many months before these one page each, so that a template that is seldom used is not missed."""


def discover_templates(
    template_ids: Sequence[str], build_request: Callable[..., Request]
) -> RequestFlow[DiscoveredTemplates]:
    """The templates with these ids; all that can be found, if there are none.

    Args:
        ask: asks for a page of the list: of a template, or of all with an empty id; with parameters of the query.
    """
    sampled_refs: list[PartitionRef] = []
    if not template_ids:
        sampled_refs, is_complete = yield from _sample_refs(build_request)
        template_ids = [] if is_complete else list(_group_by_template(sampled_refs))
    if template_ids:
        pages = yield [build_request(template_id) for template_id in template_ids]
        page_refs = [ref for body in pages for ref in _parse_refs(body)]
        # A page that is empty and no end says nothing of its template: what was read before, or the list of all, does.
        unclear_ids = {
            template_id for template_id, body in zip(template_ids, pages, strict=True) if _is_empty_with_more(body)
        }
        if unclear_ids and not sampled_refs:
            sampled_refs, _ = yield from _sample_refs(build_request)
        sampled_refs = [*page_refs, *(ref for ref in sampled_refs if ref.template_id in unclear_ids)]
    rows_by_template = _group_by_template(sampled_refs)
    return DiscoveredTemplates(
        [_infer_template(template_id, template_rows) for template_id, template_rows in rows_by_template.items()],
        [
            f"DocMap has no extraction of the template {sanitize(template_id)} yet, so it has no typed table. "
            "Refresh the schema when it has one."
            for template_id in template_ids
            if template_id not in rows_by_template
        ],
    )


def _is_empty_with_more(body: Json) -> bool:
    rows, has_more = parse_page(body)
    return has_more and not rows


def _sample_refs(build_request: Callable[..., Request]) -> RequestFlow[tuple[list[PartitionRef], bool]]:
    """Rows out of all over the list, and whether these are all there are."""
    pager = ListPager(
        partial(build_request, ""),
        lambda approx_created_at: OLDEST_CONCEIVABLE < approx_created_at < NEWEST_CONCEIVABLE,
    )
    try:
        while not pager.is_done and len(pager.refs_by_id) < _SAMPLE_SIZE:
            yield from pager.read_page()
    except UnreadableResponse:
        if not pager.refs_by_id:
            raise
    if pager.is_done:
        return list(pager.refs_by_id.values()), True
    last_created_at = pager.last_created_at
    days = (
        [truncate_to_day(last_created_at) - timedelta(days=30 * month) for month in range(1, _SAMPLED_MONTHS + 1)]
        if last_created_at
        else []
    )
    pages = yield [build_request("", dateTo=day.date().isoformat()) for day in days]
    return [*pager.refs_by_id.values(), *(ref for body in pages for ref in _parse_refs(body))], False


def _parse_refs(body: Json) -> list[PartitionRef]:
    return parse_each(parse_page(body)[0], parse_ref)


def _group_by_template(refs: Iterable[PartitionRef]) -> dict[str, list[JsonObject]]:
    rows_by_template: defaultdict[str, list[JsonObject]] = defaultdict(list)
    for ref in refs:
        if ref.template_id:
            rows_by_template[ref.template_id].append(ref.listed_row or {})
    return dict(rows_by_template)


def _infer_template(template_id: str, rows: Sequence[JsonObject]) -> Template:
    """Variables come before what data looks like, newer ones before older ones. Rows are newest first."""
    variables: dict[str, Field] = {}
    for name, value_type in (variable for row in rows for variable in _parse_variables(row)):
        if value_type:
            variables.setdefault(name, Field(name, value_type))
    data = [variable.data for row in rows for variable in parse_document(row, FileKeyAssigner()).extractions]
    name = next(filter(None, (as_text(row.get("templateName")) for row in rows)), template_id)
    return Template(template_id, name, merge_fields(variables.values(), infer_fields(data, NO_WRAPPERS)))


def _parse_variables(row: JsonObject) -> list[tuple[str, ValueType | None]]:
    variables = row.get("variables")
    variable_objects = (
        [variable for variable in variables if isinstance(variable, Mapping)] if isinstance(variables, list) else []
    )
    return [
        (name, parse_declared_type(variable.get("type")))
        for variable in variable_objects
        if (name := as_text(variable.get("name")))
    ]
