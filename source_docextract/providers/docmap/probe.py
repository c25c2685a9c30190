"""What an account of DocMap shows of what is assumed. Facts: "List extractions", "Schemas" and "Errors"."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone

from ...config import DocmapSettings
from ...http import Request
from ...model import Json
from ...probe.asking import Answer, ProbeScript
from ...probe.assumptions import REPORT, Assumption, Evidence, Variant, known_keys, rate_limit_headers
from ...probe.findings import Findings
from ...probe.shapes import described, kind, parsed_time, status_word, time_format
from ..base import path

_MADE_UP = "extract_made_up_by_the_probe"
"""No extraction of anybody: what DocMap answers about it shows the form of its answers about unknown ids."""

_PER_PAGE = 100
_MOST_DAYS = 6
_LONG_AGO = "2014-12-31"
_HOUR = timedelta(hours=1)
_NARROW = 3 * _HOUR
"""How near to UTC the days have to be shown to be, for them to be called days of UTC."""
_DAY = timedelta(days=1)

ASSUMPTIONS: tuple[Assumption, ...] = (
    Assumption(
        "docmap.list_body",
        Evidence.GUESS,
        (
            Variant("data", "The list's rows stand at `data`, beside `hasMore`."),
            Variant("nested", "They stand at `data.extractions`.", {"docmap_nested_list": True}),
        ),
        f"Nothing can be read. {REPORT}",
    ),
    Assumption(
        "docmap.has_more",
        Evidence.DOCUMENTED,
        (
            Variant("boolean", "`hasMore` is true or false."),
            Variant("absent", "It is missing; a full page then has a next one."),
        ),
        REPORT,
    ),
    Assumption(
        "docmap.order",
        Evidence.DOCUMENTED,
        (Variant("newest_first", "The list is in the order of `createdAt`, newest first."),),
        f"Rows may be left out. {REPORT}",
    ),
    Assumption(
        "docmap.page_size",
        Evidence.DOCUMENTED,
        (
            Variant("hundred", "A page holds 100 rows where there are as many, and no more than were asked for."),
            Variant("sparse", "A page may be short, or empty, and promise more; it is read on.", {"docmap_scan": 8}),
        ),
        REPORT,
    ),
    Assumption(
        "docmap.cursor",
        Evidence.GUESS,
        (
            Variant("exclusive", "A page begins after the cursor's own time."),
            Variant(
                "inclusive", "A page begins with rows of the cursor's own time.", {"docmap_cursor_inclusive": True}
            ),
        ),
        f"Rows may be left out or come twice. {REPORT}",
    ),
    Assumption(
        "docmap.cursor_times",
        Evidence.GUESS,
        (
            Variant("any", "Any time works as a cursor."),
            Variant("rows_only", "Only times of rows do; no others are used.", {"docmap_cursor_rows_only": True}),
        ),
        f"Rows may be left out. {REPORT}",
    ),
    Assumption(
        "docmap.paging",
        Evidence.GUESS,
        (
            Variant("moves", "A page that promises more is followed by another one, and the list ends."),
            Variant(
                "empty", "A page is empty and promises more; such a day fails in words.", {"docmap_endless": "empty"}
            ),
            Variant(
                "circle", "A page repeats the one before; such a day fails in words.", {"docmap_endless": "circle"}
            ),
            Variant(
                "rows",
                "There are rows of before 2015, as in a list without an end; such a day fails in words.",
                {"docmap_endless": "rows"},
            ),
        ),
        REPORT,
    ),
    Assumption(
        "docmap.account",
        Evidence.DOCUMENTED,
        (
            Variant("own", "The account shows extractions."),
            Variant("empty", "It shows none: the key may be of another user.", {"other_account": True}),
        ),
        "Check docmap.api_key and docmap.template_ids.",
    ),
    Assumption(
        "docmap.day_zone",
        Evidence.GUESS,
        (
            Variant("utc", "The days of `dateFrom` and `dateTo` are days of UTC."),
            Variant(
                "other",
                "They are days of another zone; a day more is asked for on each side.",
                {"docmap_zone": "Etc/GMT+8"},
            ),
        ),
        f"Rows may be left out. {REPORT}",
    ),
    Assumption(
        "docmap.created_at",
        Evidence.SEED,
        (
            Variant("zoned", "`createdAt` is ISO 8601 with a zone."),
            Variant("naive", "It has no zone; UTC is assumed."),
        ),
        f"Rows without a readable time are read again at each sync. {REPORT}",
    ),
    Assumption(
        "docmap.template_id",
        Evidence.GUESS,
        (
            Variant("text", "`templateId` is text."),
            Variant("number", "It is a number, which is delivered as text."),
        ),
        REPORT,
    ),
    Assumption(
        "docmap.status",
        Evidence.SEED,
        (
            Variant("known", "Extractions are `processing`, `completed` or `failed`."),
            Variant("unknown", "There are other statuses, which count as unfinished.", {"unknown_status": "queued"}),
        ),
        REPORT,
    ),
    Assumption(
        "docmap.variables",
        Evidence.GUESS,
        (
            Variant("known", "The types of variables are string, number, currency, boolean, date, object or array."),
            Variant("other", "There are others; typed tables hold such fields as they look."),
        ),
        REPORT,
    ),
    Assumption(
        "docmap.extracted_data",
        Evidence.SEED,
        (
            Variant("object", "`extractedData` of a completed extraction is an object."),
            Variant("other", "It is something else, which is delivered under `value`."),
        ),
        REPORT,
    ),
    Assumption(
        "docmap.processing_time",
        Evidence.SEED,
        (
            Variant("number", "`processingTimeMs` of a finished extraction is a number."),
            Variant("absent", "It is missing or null; `completed_at` is then null."),
        ),
        REPORT,
    ),
    Assumption(
        "docmap.run",
        Evidence.DOCUMENTED,
        (Variant("whole", "Asked by `runId`, the list gives all of a run, whatever `limit` says."),),
        f"Counts of runs may be too small. {REPORT}",
    ),
    Assumption(
        "docmap.single",
        Evidence.SEED,
        (Variant("data", "One extraction stands at `data`."),),
        f"Extractions that finish late cannot be read. {REPORT}",
    ),
    Assumption(
        "docmap.unknown_id",
        Evidence.DOCUMENTED,
        (
            Variant("not_found", "The answer about an unknown extraction is 404 with the code `NOT_FOUND`."),
            Variant("forbidden", "It is 403 with an error code."),
        ),
        f"Extractions that were deleted fail the sync. {REPORT}",
    ),
    Assumption(
        "docmap.immutable",
        Evidence.GUESS,
        (Variant("final", "An extraction that is finished does not change, but it may be deleted."),),
        "Raise lookback_days: changes within it are seen.",
        is_visible=False,
    ),
    Assumption(
        "docmap.open_runs",
        Evidence.GUESS,
        (Variant("open", "Extractions may be added to a run at any time."),),
        REPORT,
        is_visible=False,
    ),
    rate_limit_headers("docmap"),
    known_keys("docmap", Evidence.SEED, "Rows have the documented keys."),
)

_LIST = frozenset({"data", "hasMore", "extractions", "error", "code", "message"})
_ROW = frozenset(
    {
        "id", "userId", "templateId", "templateName", "fileName", "status", "extractedData", "error", "variables",
        "source", "runId", "processingTimeMs", "createdAt",
    }
)  # fmt: skip
_STATUSES = frozenset({"processing", "completed", "failed"})
_TYPES = frozenset({"string", "number", "currency", "boolean", "date", "object", "array"})


def docmap_probe(settings: DocmapSettings, findings: Findings) -> ProbeScript:
    """Look at the newest page, at how cursor and days cut it, at one run, one extraction, and an unknown id."""
    scope = {"templateId": settings.template_ids[0]} if settings.template_ids else {}
    answer = yield _list(scope, limit=_PER_PAGE)
    rows = _read_list(findings, answer)
    if answer.is_ok:
        if rows or _rows_of(answer.body)[1] is not True:
            findings.see("docmap.account", "own" if rows else "empty")
        yield from _probe_paging(findings, scope, answer, rows)
    if rows:
        yield from _probe_cursor(findings, scope, rows)
        yield from _probe_days(findings, scope, rows)
        yield from _probe_run(findings, rows)
        identifier = rows[0].get("id")
        if isinstance(identifier, str):
            answer = yield Request("GET", path("extractions", identifier))
            _read_single(findings, answer)
    answer = yield Request("GET", path("extractions", _MADE_UP))
    _read_unknown(findings, answer)


def _list(scope: Mapping[str, str], **params: str | int) -> Request:
    return Request("GET", "/extractions", params={**scope, **params})


def _rows_of(body: Json) -> tuple[list[Mapping[str, Json]] | None, Json, str]:
    """Return the rows of a list, its `hasMore`, and which form it has; None where it has none of the known ones."""
    if not isinstance(body, Mapping):
        return None, None, ""
    data, more, form = body.get("data"), body.get("hasMore"), "data"
    if isinstance(data, Mapping):
        more = data.get("hasMore", more)
        data, form = data.get("extractions"), "nested"
    if not isinstance(data, list):
        return None, more, ""
    return [row for row in data if isinstance(row, Mapping)], more, form


def _read_list(findings: Findings, answer: Answer) -> list[Mapping[str, Json]]:
    if not answer.is_ok:
        findings.note(f"The list could not be read ({answer.outcome(_LIST)}).")
        return []
    rows, more, form = _rows_of(answer.body)
    if rows is None:
        findings.contradict("docmap.list_body", described(answer.body, _LIST))
        return []
    findings.see("docmap.list_body", form)
    if more is None or isinstance(more, bool):
        findings.see("docmap.has_more", "absent" if more is None else "boolean")
    else:
        findings.contradict("docmap.has_more", f"`hasMore` is {described(more)}")
    times = [time for row in rows if (time := _created(row))]
    if len(times) > 1:
        if times == sorted(times, reverse=True):
            findings.see("docmap.order", "newest_first")
        else:
            findings.contradict("docmap.order", "the rows of a page are in another order")
    if len(rows) > _PER_PAGE:
        findings.contradict("docmap.page_size", f"a page of {len(rows)} rows where {_PER_PAGE} were asked for")
    elif more is True and 0 < len(rows) < _PER_PAGE:
        findings.see("docmap.page_size", "sparse", f"{len(rows)} rows")
    elif rows:
        findings.see("docmap.page_size", "hundred", f"{len(rows)} rows")
    for row in rows:
        _read_row(findings, row)
    return rows


def _created(row: Mapping[str, Json]) -> datetime | None:
    time = parsed_time(row.get("createdAt"))
    return time.replace(tzinfo=timezone.utc) if time and time.tzinfo is None else time


def _read_row(findings: Findings, row: Mapping[str, Json]) -> None:
    findings.see_keys("docmap.keys", row, _ROW)
    form = time_format(row.get("createdAt"))
    if form.startswith("ISO 8601"):
        findings.see("docmap.created_at", "zoned" if form == "ISO 8601 with a zone" else "naive")
    else:
        findings.contradict("docmap.created_at", f"`createdAt` is {form}")
    template = row.get("templateId")
    if isinstance(template, str) or (isinstance(template, int) and not isinstance(template, bool)):
        findings.see("docmap.template_id", "text" if isinstance(template, str) else "number")
    elif template is not None:
        findings.contradict("docmap.template_id", f"`templateId` is {described(template)}")
    status = row.get("status")
    findings.see_status("docmap.status", status, _STATUSES)
    _read_variables(findings, row.get("variables"))
    if status == "completed":
        findings.see("docmap.extracted_data", "object" if isinstance(row.get("extractedData"), Mapping) else "other")
        took = row.get("processingTimeMs")
        is_number = isinstance(took, (int, float)) and not isinstance(took, bool)
        findings.see("docmap.processing_time", "number" if is_number else "absent")


def _read_variables(findings: Findings, variables: Json) -> None:
    for variable in variables if isinstance(variables, list) else ():
        named = variable.get("type") if isinstance(variable, Mapping) else None
        if isinstance(named, str) and named.lower() in _TYPES:
            findings.see("docmap.variables", "known", f"`{named.lower()}`")
        elif isinstance(named, str):
            findings.see("docmap.variables", "other", f"`{status_word(named)}`")
        else:
            findings.contradict("docmap.variables", f"a variable's `type` is {kind(named)}")


def _probe_cursor(findings: Findings, scope: Mapping[str, str], rows: Sequence[Mapping[str, Json]]) -> ProbeScript:
    """Ask from a row's own time on, of which no other row is: does the page begin with that row, or after it?"""
    times = [row.get("createdAt") for row in rows]
    row = next(
        (row for row in rows if isinstance(row.get("createdAt"), str) and times.count(row["createdAt"]) == 1), None
    )
    if row is None or len(rows) < 2:
        return
    answer = yield _list(scope, limit=2, cursor=row["createdAt"])
    found, _, _ = _rows_of(answer.body)
    if not answer.is_ok or found is None:
        findings.note(f"The list could not be read from a cursor on ({answer.outcome(_LIST)}).")
        return
    is_inclusive = any(one.get("id") == row.get("id") for one in found)
    findings.see("docmap.cursor", "inclusive" if is_inclusive else "exclusive")
    if time := _created(row):
        later = (time + timedelta(milliseconds=1)).astimezone(timezone.utc)
        cursor = later.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        answer = yield _list(scope, limit=2, cursor=cursor)
        found, _, _ = _rows_of(answer.body)
        if answer.is_ok and found is not None:
            findings.see("docmap.cursor_times", "any" if found else "rows_only")


def _probe_paging(
    findings: Findings, scope: Mapping[str, str], first: Answer, rows: Sequence[Mapping[str, Json]]
) -> ProbeScript:
    """Ask for the next page, and for the time before there was a DocMap."""
    _, more, _ = _rows_of(first.body)
    cursor = next((row["createdAt"] for row in reversed(rows) if isinstance(row.get("createdAt"), str)), None)
    if more is True and not rows:
        findings.see("docmap.paging", "empty")
        return
    if more is True and cursor:
        answer = yield _list(scope, limit=_PER_PAGE, cursor=cursor)
        found, _, _ = _rows_of(answer.body)
        is_same = bool(found) and [row.get("id") for row in found or ()] == [row.get("id") for row in rows]
        if answer.is_ok and found is not None:
            findings.see("docmap.paging", "circle" if is_same else "moves")
        if is_same:
            return
    answer = yield _list(scope, limit=1, dateTo=_LONG_AGO)
    found, _, _ = _rows_of(answer.body)
    if answer.is_ok and found is not None:
        findings.see("docmap.paging", "rows" if found else "moves")


def _probe_days(findings: Findings, scope: Mapping[str, str], rows: Sequence[Mapping[str, Json]]) -> ProbeScript:
    """Ask for single days, and see how far from UTC they can begin.

    A day that begins `offset` before midnight UTC holds a row exactly if the row lies in the 24 hours from there. Rows
    that are close to midnight show most.
    """
    known = {row.get("id"): time.astimezone(timezone.utc) for row in rows if (time := _created(row))}
    times = sorted(known.values(), key=_from_midnight)
    days = list(dict.fromkeys(time.date() for time in times))[:_MOST_DAYS]
    least, most = -24 * _HOUR, 24 * _HOUR
    for day in days:
        answer = yield _list(scope, limit=_PER_PAGE, dateFrom=day.isoformat(), dateTo=day.isoformat())
        found, _, _ = _rows_of(answer.body)
        if not answer.is_ok or found is None:
            findings.note(f"A day of the list could not be read ({answer.outcome(_LIST)}).")
            return
        start = datetime(day.year, day.month, day.day, tzinfo=timezone.utc)
        for row in found:
            if time := _created(row):
                least, most = max(least, start - time), min(most, start + _DAY - time)
    hours = f"a day begins between {_hours(-most)} and {_hours(-least)} after midnight UTC"
    if not days or least >= most:
        return
    if not least <= timedelta() < most:
        offset = most - timedelta(seconds=1) if most <= timedelta() else least
        findings.see("docmap.day_zone", "other", hours, {"docmap_zone": _zone(offset)})
    elif least > -_NARROW and most < _NARROW:
        findings.see("docmap.day_zone", "utc", hours)
    else:
        findings.note(f"DocMap's rows do not show in which zone its days are: {hours}.")


def _from_midnight(time: datetime) -> timedelta:
    since = timedelta(hours=time.hour, minutes=time.minute, seconds=time.second)
    return min(since, _DAY - since)


def _hours(span: timedelta) -> str:
    return f"{span / _HOUR:.1f} h"


def _zone(offset: timedelta) -> str:
    """Return a zone of whole hours, at least as far from UTC as `offset`; POSIX counts them the other way round."""
    hours = math.ceil(offset / _HOUR) if offset > timedelta() else math.floor(offset / _HOUR)
    return f"Etc/GMT{-hours:+d}"


def _probe_run(findings: Findings, rows: Sequence[Mapping[str, Json]]) -> ProbeScript:
    """Ask for a run of several extractions with a limit of one."""
    runs = [row.get("runId") for row in rows]
    run = next((one for one in runs if isinstance(one, str) and runs.count(one) > 1), None)
    if run is None:
        return
    answer = yield _list({}, runId=run, limit=1)
    found, _, _ = _rows_of(answer.body)
    if not answer.is_ok or found is None:
        findings.note(f"A run could not be read ({answer.outcome(_LIST)}).")
    elif len(found) >= runs.count(run):
        findings.see("docmap.run", "whole", f"{len(found)} rows")
    else:
        findings.contradict("docmap.run", f"{len(found)} of at least {runs.count(run)} rows of a run")


def _read_single(findings: Findings, answer: Answer) -> None:
    if answer.is_ok and isinstance(answer.body, Mapping) and isinstance(answer.body.get("data"), Mapping):
        findings.see("docmap.single", "data")
    elif answer.is_ok:
        findings.contradict("docmap.single", described(answer.body, _ROW | _LIST))
    else:
        findings.note(f"One extraction could not be read ({answer.outcome(_LIST)}).")


def _read_unknown(findings: Findings, answer: Answer) -> None:
    error = answer.body.get("error") if isinstance(answer.body, Mapping) else None
    code = error.get("code") if isinstance(error, Mapping) else None
    if answer.status == 404 and code == "NOT_FOUND":
        findings.see("docmap.unknown_id", "not_found")
    elif answer.status == 403 and isinstance(code, str):
        findings.see("docmap.unknown_id", "forbidden")
    elif answer.is_about_the_request:
        findings.contradict("docmap.unknown_id", answer.outcome(_LIST))
