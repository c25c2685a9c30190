"""DocMap's templates, for typed tables: no endpoint lists them, so they are known by the extractions that they made.

A row has the template's `variables` of that time, `{name, type, description}`, and data that may have keys beyond them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from ...fields import PLAIN
from ...http import Request
from ...model import FileKeys, Json, moment, rfc3339
from ...scroll import midnight
from ...templates import Field, Kind, Template, Templates, declared, merged, seen
from ..base import Script, each, json_object, text
from .extractions import document_of, page_of

_PAGES = 10
"""So many pages of the newest extractions are looked at, where no templates are named."""

_MONTHS = 24
"""Of so many months before these one page each, so that a template that is seldom used is not missed."""

Row = Mapping[str, Json]


def templates(ids: Sequence[str], ask: Callable[..., Request], tick: timedelta) -> Script[Templates]:
    """The templates with these ids; all that can be found, if there are none.

    Args:
        ask: asks for a page of the list: of a template, or of all with an empty id; with parameters of the query.
        tick: how much later than the last row of a page the next one begins.
    """
    rows: list[Row] = []
    if not ids:
        rows, is_all = yield from _recent(ask, tick)
        ids = [] if is_all else list(_by_template(rows))
    if ids:
        pages = yield [ask(one) for one in ids]
        rows = [row for body in pages for row in _rows(body)]
    found = _by_template(rows)
    return Templates(
        [_template(one, own) for one, own in found.items()],
        [
            f"DocMap has no extraction of the template {one} yet; it has no typed table before it has."
            for one in ids
            if one not in found
        ],
    )


def _recent(ask: Callable[..., Request], tick: timedelta) -> Script[tuple[list[Row], bool]]:
    """Rows out of all over the list, and whether these are all there are."""
    rows: list[Row] = []
    cursor: dict[str, str] = {}
    last: datetime | None = None
    for _ in range(_PAGES):
        [body] = yield [ask("", **cursor)]
        rows += _rows(body)
        if not page_of(body)[1]:
            return rows, True
        last = min(filter(None, (moment(row.get("createdAt")) for row in rows)), default=None)
        if last is None:
            return rows, False
        cursor = {"cursor": rfc3339(last + tick) or ""}
    days = [midnight(last) - timedelta(days=30 * month) for month in range(1, _MONTHS + 1)] if last else []
    pages = yield [ask("", dateTo=day.date().isoformat()) for day in days]
    return [*rows, *(row for body in pages for row in _rows(body))], False


def _rows(body: Json) -> list[Row]:
    return each(page_of(body)[0], lambda row: json_object(row, "A row of DocMap's list"))


def _by_template(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if template_id := text(row.get("templateId")):
            found[template_id].append(row)
    return dict(found)


def _template(template_id: str, rows: Sequence[Row]) -> Template:
    """Variables come before what data looks like, newer ones before older ones. Rows are newest first."""
    variables: dict[str, Field] = {}
    for name, kind in (one for row in rows for one in _variables(row)):
        if kind:
            variables.setdefault(name, Field(name, kind))
    data = [one.data for row in rows for one in document_of(row, FileKeys()).extractions]
    name = next(filter(None, (text(row.get("templateName")) for row in rows)), template_id)
    return Template(template_id, name, merged(variables.values(), seen(data, PLAIN)))


def _variables(row: Row) -> list[tuple[str, Kind | None]]:
    told = row.get("variables")
    known = [one for one in told if isinstance(one, Mapping)] if isinstance(told, list) else []
    return [(name, declared(one.get("type"))) for one in known if (name := text(one.get("name")))]
