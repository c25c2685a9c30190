"""DocMap's templates, for typed tables: no endpoint lists them, so they are known by the extractions that they made.

A row has the template's `variables` of that time, `{name, type, description}`, and data that may have keys beyond them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial

from ...errors import BadAnswer
from ...fields import PLAIN
from ...http import Request
from ...model import BatchRef, FileKeys, Json, JsonObject
from ...plain import plain
from ...scroll import midnight
from ...templates import Field, Kind, Template, Templates, declared, merged, seen
from ..base import NEWEST_CONCEIVABLE, OLDEST_CONCEIVABLE, Script, each, text
from .extractions import document_of, page_of, ref_of
from .listing import Walk

_ENOUGH = 950
"""So many of the newest extractions are looked at, where no templates are named: ten pages, if they are full."""

_MONTHS = 24
"""Of so many months before these one page each, so that a template that is seldom used is not missed."""


def templates(ids: Sequence[str], ask: Callable[..., Request]) -> Script[Templates]:
    """The templates with these ids; all that can be found, if there are none.

    Args:
        ask: asks for a page of the list: of a template, or of all with an empty id; with parameters of the query.
    """
    rows: list[BatchRef] = []
    if not ids:
        rows, is_all = yield from _recent(ask)
        ids = [] if is_all else list(_by_template(rows))
    if ids:
        pages = yield [ask(one) for one in ids]
        shown = [row for body in pages for row in _rows(body)]
        # A page that is empty and no end says nothing of its template: what was read before, or the list of all, does.
        unclear = {one for one, body in zip(ids, pages, strict=True) if _is_empty_and_no_end(body)}
        if unclear and not rows:
            rows, _ = yield from _recent(ask)
        rows = [*shown, *(row for row in rows if row.template_id in unclear)]
    found = _by_template(rows)
    return Templates(
        [_template(one, own) for one, own in found.items()],
        [
            f"DocMap has no extraction of the template {plain(one)} yet; it has no typed table before it has."
            for one in ids
            if one not in found
        ],
    )


def _is_empty_and_no_end(body: Json) -> bool:
    rows, has_more = page_of(body)
    return has_more and not rows


def _recent(ask: Callable[..., Request]) -> Script[tuple[list[BatchRef], bool]]:
    """Rows out of all over the list, and whether these are all there are."""
    walk = Walk(partial(ask, ""), lambda clock: OLDEST_CONCEIVABLE < clock < NEWEST_CONCEIVABLE)
    try:
        while not walk.is_over and len(walk.found) < _ENOUGH:
            yield from walk.step()
    except BadAnswer:
        if not walk.found:
            raise
    if walk.is_over:
        return list(walk.found.values()), True
    last = walk.last
    days = [midnight(last) - timedelta(days=30 * month) for month in range(1, _MONTHS + 1)] if last else []
    pages = yield [ask("", dateTo=day.date().isoformat()) for day in days]
    return [*walk.found.values(), *(row for body in pages for row in _rows(body))], False


def _rows(body: Json) -> list[BatchRef]:
    return each(page_of(body)[0], ref_of)


def _by_template(rows: Iterable[BatchRef]) -> dict[str, list[JsonObject]]:
    found: defaultdict[str, list[JsonObject]] = defaultdict(list)
    for row in rows:
        if row.template_id:
            found[row.template_id].append(row.row or {})
    return dict(found)


def _template(template_id: str, rows: Sequence[JsonObject]) -> Template:
    """Variables come before what data looks like, newer ones before older ones. Rows are newest first."""
    variables: dict[str, Field] = {}
    for name, kind in (one for row in rows for one in _variables(row)):
        if kind:
            variables.setdefault(name, Field(name, kind))
    data = [one.data for row in rows for one in document_of(row, FileKeys()).extractions]
    name = next(filter(None, (text(row.get("templateName")) for row in rows)), template_id)
    return Template(template_id, name, merged(variables.values(), seen(data, PLAIN)))


def _variables(row: JsonObject) -> list[tuple[str, Kind | None]]:
    told = row.get("variables")
    known = [one for one in told if isinstance(one, Mapping)] if isinstance(told, list) else []
    return [(name, declared(one.get("type"))) for one in known if (name := text(one.get("name")))]
