"""DocMap's templates and their fields, for typed tables.

No endpoint returns templates, so they are inferred from extractions. "Schemas" documents that a row holds the
`variables` of its template at that time, each `{name, type, description}`. The example of "Get Extraction" has
extracted data with keys beyond the variables, so a template has the fields of both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from ...core.errors import UnreadableResponse
from ...core.ids import FileKeyAssigner
from ...core.json_types import Json, JsonObject
from ...core.model import PartitionRef
from ...core.provider import RequestFlow
from ...core.redaction import sanitize
from ...core.requests import Request
from ...core.templates import DiscoveredTemplates, Field, Template, ValueType
from ...core.wrappers import NO_WRAPPERS
from ..inference import infer_fields, merge_fields, parse_declared_type
from ..listing import NEWEST_CONCEIVABLE, OLDEST_CONCEIVABLE, list_month_starts
from ..parsing import as_text, parse_each
from .listing import ListPager
from .reading import parse_document, parse_page, parse_ref, unpack_row

_SAMPLE_SIZE = 950
"""Number of newest extractions to read where the settings name no templates: ten full pages."""

_SAMPLED_MONTHS = 24
"""Number of months before these of which one page each is read, to find templates that are seldom used."""

_SAMPLED_QUARTERS = 4
"""Number of quarters of the year before whose beginning a page of each template is read, to find its older fields."""


def discover_templates(
    template_ids: Sequence[str], build_request: Callable[..., Request]
) -> RequestFlow[DiscoveredTemplates]:
    """Return the templates with these ids, or all that can be found if there are none.

    Args:
        template_ids: Templates that the settings name.
        build_request: Returns a request for a page, given a template id (empty for all templates) and query parameters.
    """
    sampled_refs: list[PartitionRef] = []
    if not template_ids:
        sampled_refs, is_complete = yield from _sample_refs(build_request)
        # A sample that is the whole list holds all extractions of each template, so their own pages would add nothing.
        template_ids = [] if is_complete else list(_group_by_template(sampled_refs))
    if template_ids:
        pages = yield [build_request(template_id) for template_id in template_ids]
        page_refs = [ref for body in pages for ref in _parse_refs(body)]
        # If DocMap filters after paging, a template's first page may be empty and not the last. It says nothing about
        # the template then; the extractions read before, or the list of all templates, have to.
        ids_and_bodies = zip(template_ids, pages, strict=True)
        unclear_ids = {template_id for template_id, body in ids_and_bodies if _is_empty_with_more(body)}
        if unclear_ids and not sampled_refs:
            sampled_refs, _ = yield from _sample_refs(build_request)
        older_refs = yield from _list_older(build_request, dict(zip(template_ids, pages, strict=True)))
        # Rows of the sample count as well: a field beyond the variables may stand in an older row alone.
        wanted_refs = [ref for ref in sampled_refs if ref.template_id in template_ids]
        # By id and newest first: no row counts twice, and the newest one gives the types of the variables.
        refs_by_id = {ref.batch_id: ref for ref in (*page_refs, *wanted_refs, *older_refs)}
        sampled_refs = sorted(refs_by_id.values(), key=_get_sort_time, reverse=True)
    rows_by_template = _group_by_template(sampled_refs)
    templates = [_infer_template(template_id, rows) for template_id, rows in rows_by_template.items()]
    errors = [
        f"DocMap has no extraction of the template {sanitize(template_id)} yet, so it has no typed table. "
        "Refresh the schema when it has one."
        for template_id in template_ids
        if template_id not in rows_by_template
    ]
    return DiscoveredTemplates(templates, errors)


def _get_sort_time(ref: PartitionRef) -> datetime:
    return ref.approx_created_at or NEWEST_CONCEIVABLE


def _list_older(
    build_request: Callable[..., Request], page_by_template: Mapping[str, Json]
) -> RequestFlow[list[PartitionRef]]:
    """Return older extractions of the templates whose newest page is not their whole list."""
    requests: list[Request] = []
    for template_id, body in page_by_template.items():
        creation_times = [ref.approx_created_at for ref in _parse_refs(body) if ref.approx_created_at]
        if parse_page(body)[1] and creation_times:
            quarter_starts = list_month_starts(min(creation_times), _SAMPLED_QUARTERS, step=3)
            requests += [build_request(template_id, dateTo=_format_day_before(start)) for start in quarter_starts]
    pages = (yield requests) if requests else []
    return [ref for body in pages for ref in _parse_refs(body)]


def _format_day_before(moment: datetime) -> str:
    return (moment - timedelta(days=1)).date().isoformat()


def _is_empty_with_more(body: Json) -> bool:
    """Return whether a page has no rows but announces more."""
    rows, has_more = parse_page(body)
    return has_more and not rows


def _sample_refs(build_request: Callable[..., Request]) -> RequestFlow[tuple[list[PartitionRef], bool]]:
    """Return a sample of the list of all templates, and whether it is the whole list."""
    pager = ListPager(
        partial(build_request, ""),
        lambda approx_created_at: OLDEST_CONCEIVABLE < approx_created_at < NEWEST_CONCEIVABLE,
    )
    try:
        while not pager.is_done and len(pager.refs_by_id) < _SAMPLE_SIZE:
            yield from pager.read_page()
    except UnreadableResponse:
        # A sample may be incomplete, so a list that gets stuck costs only what follows.
        if not pager.refs_by_id:
            raise
    if pager.is_done:
        return list(pager.refs_by_id.values()), True
    month_starts = list_month_starts(pager.last_created_at, _SAMPLED_MONTHS) if pager.last_created_at else []
    pages = yield [build_request("", dateTo=_format_day_before(start)) for start in month_starts]
    older_refs = [ref for body in pages for ref in _parse_refs(body)]
    return [*pager.refs_by_id.values(), *older_refs], False


def _parse_refs(body: Json) -> list[PartitionRef]:
    return parse_each(parse_page(body)[0], parse_ref)


def _group_by_template(refs: Iterable[PartitionRef]) -> dict[str, list[JsonObject]]:
    rows_by_template: defaultdict[str, list[JsonObject]] = defaultdict(list)
    for ref in refs:
        if ref.template_id:
            rows_by_template[ref.template_id].append(unpack_row(ref))
    return dict(rows_by_template)


def _infer_template(template_id: str, rows: Sequence[JsonObject]) -> Template:
    """Return a template with its variables, then the other keys of extracted data.

    Rows are newest first, and the type of a variable is that of its newest row: a template may be edited.
    """
    variables: dict[str, Field] = {}
    for row in rows:
        for name, value_type in _parse_variables(row):
            # DocMap's list of type names is not known. An unknown name decides nothing: the data gives the type.
            if value_type:
                variables.setdefault(name, Field(name, value_type))
    documents = [parse_document(row, FileKeyAssigner()) for row in rows]
    data = [extraction.data for document in documents for extraction in document.extractions]
    # A row has the name that its template had at that time (page "Schemas"), so the newest row has the present one.
    template_name = next(filter(None, (as_text(row.get("templateName")) for row in rows)), template_id)
    # The declared type outweighs the types of values. A value of another type is named in `type_errors`.
    return Template(template_id, template_name, merge_fields(variables.values(), infer_fields(data, NO_WRAPPERS)))


def _parse_variables(row: JsonObject) -> list[tuple[str, ValueType | None]]:
    """Return the names and types of a row's variables; an unknown type is None."""
    variables = row.get("variables")
    names_and_types = []
    for variable in variables if isinstance(variables, list) else ():
        name = as_text(variable.get("name")) if isinstance(variable, Mapping) else None
        if name:
            names_and_types.append((name, parse_declared_type(variable.get("type"))))
    return names_and_types
