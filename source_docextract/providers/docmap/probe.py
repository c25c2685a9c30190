"""Assumptions about DocMap, and the requests that check them.

Sources: DocMap's pages "Get Extraction", "List Extractions", "Schemas" and "Errors". The table also holds the readings
of what these pages leave open.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone

from ...core.json_types import Json
from ...core.probing.assumptions import (
    REPORT_ADVICE,
    Assumption,
    Evidence,
    ProbeFlow,
    ProbeResponse,
    Variant,
    build_keys_assumption,
    build_rate_limit_assumption,
)
from ...core.probing.findings import Findings
from ...core.probing.shapes import describe_shape, describe_status, get_type_name, is_number, parse_time
from ...core.requests import Request
from ...core.urls import build_path
from .settings import DocmapSettings

_UNKNOWN_ID = "extract_made_up_by_the_probe"
"""An extraction id that does not exist: the response shows the form in which DocMap refuses an id."""

_PER_PAGE = 100

_MAX_DAYS = 6
"""Number of days requested to find out their time zone."""

_EARLY_DATE = "2014-12-31"
"""A day before any plausible extraction: a list that still has rows there has no end."""

_HOUR = timedelta(hours=1)

_UTC_TOLERANCE = 3 * _HOUR
"""Precision, on each side of midnight UTC, that the rows must allow before days are reported as days of UTC."""

_DAY = timedelta(days=1)

ASSUMPTIONS: tuple[Assumption, ...] = (
    Assumption(
        "docmap.list_body",
        Evidence.GUESS,
        (
            Variant("data", "The list's rows are at `data`, next to `hasMore`."),
            Variant("nested", "They are at `data.extractions`.", {"docmap_nested_list": True}),
        ),
        f"Nothing can be read. {REPORT_ADVICE}",
    ),
    Assumption(
        "docmap.has_more",
        Evidence.DOCUMENTED,
        (
            Variant("boolean", "`hasMore` is true or false."),
            Variant("absent", "It is missing; a full page then has a next one."),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "docmap.order",
        Evidence.DOCUMENTED,
        (Variant("newest_first", "The list is in the order of `createdAt`, newest first."),),
        f"Rows may be missing. {REPORT_ADVICE}",
    ),
    Assumption(
        "docmap.page_size",
        Evidence.DOCUMENTED,
        (
            Variant("hundred", "A page holds 100 rows if there are that many, and no more than requested."),
            Variant(
                "sparse", "A page may be short or empty and announce more rows; reading continues.", {"docmap_scan": 8}
            ),
        ),
        REPORT_ADVICE,
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
        f"Rows may be missing or duplicated. {REPORT_ADVICE}",
    ),
    Assumption(
        "docmap.cursor_times",
        Evidence.GUESS,
        (
            Variant("any", "Any time works as a cursor."),
            Variant(
                "rows_only", "Only times of rows work; the connector uses no others.", {"docmap_cursor_rows_only": True}
            ),
        ),
        f"Rows may be missing. {REPORT_ADVICE}",
    ),
    Assumption(
        "docmap.paging",
        Evidence.GUESS,
        (
            Variant("moves", "A page that announces more rows is followed by another one, and the list ends."),
            Variant(
                "empty",
                "A page is empty and announces more rows; such a day fails with an error message.",
                {"docmap_endless": "empty"},
            ),
            Variant(
                "circle",
                "A page repeats the previous one; such a day fails with an error message.",
                {"docmap_endless": "circle"},
            ),
            Variant(
                "rows",
                "There are rows from before 2015, as in an endless list; such a day fails with an error message.",
                {"docmap_endless": "rows"},
            ),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "docmap.account",
        Evidence.DOCUMENTED,
        (
            Variant("own", "The account shows extractions."),
            Variant("empty", "It shows none: the key may belong to another user.", {"other_account": True}),
        ),
        "Check docmap.api_key and docmap.template_ids.",
    ),
    Assumption(
        "docmap.day_zone",
        Evidence.GUESS,
        (
            Variant("utc", "The days of `dateFrom` and `dateTo` are days in UTC."),
            Variant(
                "other",
                "They are days in another time zone; one more day is requested on each side.",
                {"docmap_zone": "Etc/GMT+8"},
            ),
        ),
        f"Rows may be missing. {REPORT_ADVICE}",
    ),
    Assumption(
        "docmap.created_at",
        Evidence.ORIGINAL_PAGES,
        (
            Variant("zoned", "`createdAt` is ISO 8601 with a zone."),
            Variant("naive", "It has no zone; UTC is assumed."),
        ),
        f"Rows without a readable time are read again at each sync. {REPORT_ADVICE}",
    ),
    Assumption(
        "docmap.template_id",
        Evidence.GUESS,
        (
            Variant("text", "`templateId` is text."),
            Variant("number", "It is a number, which is delivered as text."),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "docmap.status",
        Evidence.ORIGINAL_PAGES,
        (
            Variant("known", "Extractions are `processing`, `completed` or `failed`."),
            Variant("unknown", "There are other statuses, which count as unfinished.", {"unknown_status": "queued"}),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "docmap.variables",
        Evidence.GUESS,
        (
            Variant("known", "The types of variables are string, number, currency, boolean, date, object or array."),
            Variant("other", "There are other types; typed tables infer the type of such fields from the data."),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "docmap.extracted_data",
        Evidence.ORIGINAL_PAGES,
        (
            Variant("object", "`extractedData` of a completed extraction is an object."),
            Variant("other", "It is something else, which is delivered under `value`."),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "docmap.processing_time",
        Evidence.ORIGINAL_PAGES,
        (
            Variant("number", "`processingTimeMs` of a finished extraction is a number."),
            Variant("absent", "It is missing or null; `completed_at` is then null."),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "docmap.run",
        Evidence.DOCUMENTED,
        (Variant("whole", "With `runId`, the list returns the whole run, regardless of `limit`."),),
        f"Counts of runs may be too small. {REPORT_ADVICE}",
    ),
    Assumption(
        "docmap.single",
        Evidence.ORIGINAL_PAGES,
        (Variant("data", "One extraction is at `data`."),),
        f"Extractions that finish late cannot be read. {REPORT_ADVICE}",
    ),
    Assumption(
        "docmap.unknown_id",
        Evidence.DOCUMENTED,
        (
            Variant("not_found", "The response for an unknown extraction is 404 with the code `NOT_FOUND`."),
            Variant("forbidden", "It is 403 with an error code."),
        ),
        f"Deleted extractions fail the sync. {REPORT_ADVICE}",
    ),
    Assumption(
        "docmap.immutable",
        Evidence.GUESS,
        (Variant("final", "A finished extraction does not change, but may be deleted."),),
        "Raise lookback_days: changes within it are seen.",
        is_visible=False,
    ),
    Assumption(
        "docmap.open_runs",
        Evidence.GUESS,
        (Variant("open", "Extractions may be added to a run at any time."),),
        REPORT_ADVICE,
        is_visible=False,
    ),
    build_rate_limit_assumption("docmap"),
    build_keys_assumption("docmap", Evidence.ORIGINAL_PAGES, "Rows have documented keys only."),
)

_LIST_KEYS = frozenset({"data", "hasMore", "extractions", "error", "code", "message"})

_ROW_KEYS = frozenset(
    {
        "id", "userId", "templateId", "templateName", "fileName", "status", "extractedData", "error", "variables",
        "source", "runId", "processingTimeMs", "createdAt",
    }
)  # fmt: skip

_KNOWN_STATUSES = frozenset({"processing", "completed", "failed"})

_VARIABLE_TYPES = frozenset({"string", "number", "currency", "boolean", "date", "object", "array"})


def probe_docmap(settings: DocmapSettings, findings: Findings) -> ProbeFlow:
    """Read the newest page, then check paging, cursor, days, a run and single rows."""
    scope = {"templateId": settings.template_ids[0]} if settings.template_ids else {}
    response = yield _build_list_request(scope, limit=_PER_PAGE)
    rows = _read_list(findings, response)
    if response.is_ok:
        # An empty page that announces more does not show an empty account.
        if rows or _parse_rows(response.body)[1] is not True:
            findings.observe("docmap.account", "own" if rows else "empty")
        yield from _probe_paging(findings, scope, response, rows)
    if rows:
        yield from _probe_cursor(findings, scope, rows)
        yield from _probe_days(findings, scope, rows)
        yield from _probe_run(findings, rows)
        extraction_id = rows[0].get("id")
        if isinstance(extraction_id, str):
            response = yield Request("GET", build_path("extractions", extraction_id))
            _read_single(findings, response)
    response = yield Request("GET", build_path("extractions", _UNKNOWN_ID))
    _read_unknown(findings, response)


def _build_list_request(scope: Mapping[str, str], **params: str | int) -> Request:
    return Request("GET", "/extractions", params={**scope, **params})


def _parse_rows(body: Json) -> tuple[list[Mapping[str, Json]] | None, Json, str]:
    """Return the rows of a list page, its `hasMore`, and the form of the response.

    The rows are None and the form is empty where the response has none of the known forms.
    """
    if not isinstance(body, Mapping):
        return None, None, ""
    data, has_more, list_form = body.get("data"), body.get("hasMore"), "data"
    if isinstance(data, Mapping):
        has_more = data.get("hasMore", has_more)
        data, list_form = data.get("extractions"), "nested"
    if not isinstance(data, list):
        return None, has_more, ""
    return [row for row in data if isinstance(row, Mapping)], has_more, list_form


def _read_list(findings: Findings, response: ProbeResponse) -> list[Mapping[str, Json]]:
    """Record the findings about a list page, and return its rows."""
    if not response.is_ok:
        findings.add_note(f"The list could not be read ({response.describe_outcome(_LIST_KEYS)}).")
        return []
    rows, has_more, list_form = _parse_rows(response.body)
    if rows is None:
        findings.contradict("docmap.list_body", describe_shape(response.body, _LIST_KEYS))
        return []
    findings.observe("docmap.list_body", list_form)
    if has_more is None or isinstance(has_more, bool):
        findings.observe("docmap.has_more", "absent" if has_more is None else "boolean")
    else:
        findings.contradict("docmap.has_more", f"`hasMore` is {describe_shape(has_more)}")
    creation_times = [created_at for row in rows if (created_at := _parse_created_at(row))]
    findings.observe_order("docmap.order", creation_times)
    if len(rows) > _PER_PAGE:
        findings.contradict("docmap.page_size", f"a page of {len(rows)} rows where {_PER_PAGE} were requested")
    elif has_more is True and 0 < len(rows) < _PER_PAGE:
        findings.observe("docmap.page_size", "sparse", f"{len(rows)} rows")
    elif rows:
        findings.observe("docmap.page_size", "hundred", f"{len(rows)} rows")
    for row in rows:
        _read_row(findings, row)
    return rows


def _parse_created_at(row: Mapping[str, Json]) -> datetime | None:
    """Return the creation time of a row; without a zone, UTC is assumed as in a sync."""
    created_at = parse_time(row.get("createdAt"))
    return created_at.replace(tzinfo=timezone.utc) if created_at and created_at.tzinfo is None else created_at


def _read_row(findings: Findings, row: Mapping[str, Json]) -> None:
    """Record the findings about one extraction."""
    findings.observe_keys("docmap.keys", row, _ROW_KEYS)
    findings.observe_zone("docmap.created_at", "createdAt", row.get("createdAt"))
    template_id = row.get("templateId")
    if isinstance(template_id, str) or (isinstance(template_id, int) and not isinstance(template_id, bool)):
        findings.observe("docmap.template_id", "text" if isinstance(template_id, str) else "number")
    elif template_id is not None:
        findings.contradict("docmap.template_id", f"`templateId` is {describe_shape(template_id)}")
    status = row.get("status")
    findings.observe_status("docmap.status", status, _KNOWN_STATUSES)
    _read_variables(findings, row.get("variables"))
    if status == "completed":
        findings.observe(
            "docmap.extracted_data", "object" if isinstance(row.get("extractedData"), Mapping) else "other"
        )
        findings.observe("docmap.processing_time", "number" if is_number(row.get("processingTimeMs")) else "absent")


def _read_variables(findings: Findings, variables: Json) -> None:
    """Record the findings about the types of a row's variables."""
    for variable in variables if isinstance(variables, list) else ():
        type_name = variable.get("type") if isinstance(variable, Mapping) else None
        if isinstance(type_name, str) and type_name.lower() in _VARIABLE_TYPES:
            findings.observe("docmap.variables", "known", f"`{type_name.lower()}`")
        elif isinstance(type_name, str):
            findings.observe("docmap.variables", "other", f"`{describe_status(type_name)}`")
        else:
            findings.contradict("docmap.variables", f"a variable's `type` is {get_type_name(type_name)}")


def _probe_cursor(findings: Findings, scope: Mapping[str, str], rows: Sequence[Mapping[str, Json]]) -> ProbeFlow:
    """Check whether a cursor is inclusive, and whether it may be the time of no row.

    The first cursor is the creation time of a row that shares it with no other: the response holds the row or begins
    after it. The second is a millisecond later.
    """
    creation_times = [row.get("createdAt") for row in rows]
    row = next(
        (row for row in rows if isinstance(row.get("createdAt"), str) and creation_times.count(row["createdAt"]) == 1),
        None,
    )
    if row is None or len(rows) < 2:
        return
    response = yield _build_list_request(scope, limit=2, cursor=row["createdAt"])
    page_rows, _, _ = _parse_rows(response.body)
    if not response.is_ok or page_rows is None:
        findings.add_note(f"The list could not be read from a cursor on ({response.describe_outcome(_LIST_KEYS)}).")
        return
    is_inclusive = any(page_row.get("id") == row.get("id") for page_row in page_rows)
    findings.observe("docmap.cursor", "inclusive" if is_inclusive else "exclusive")
    if created_at := _parse_created_at(row):
        next_tick = (created_at + timedelta(milliseconds=1)).astimezone(timezone.utc)
        cursor = next_tick.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        response = yield _build_list_request(scope, limit=2, cursor=cursor)
        page_rows, _, _ = _parse_rows(response.body)
        if response.is_ok and page_rows is not None:
            # The row itself is older than this cursor, so a list that accepts any time returns at least this row.
            findings.observe("docmap.cursor_times", "any" if page_rows else "rows_only")


def _probe_paging(
    findings: Findings, scope: Mapping[str, str], first_response: ProbeResponse, rows: Sequence[Mapping[str, Json]]
) -> ProbeFlow:
    """Check that the next page moves on, and that the list ends before 2015."""
    _, has_more, _ = _parse_rows(first_response.body)
    cursor = next((row["createdAt"] for row in reversed(rows) if isinstance(row.get("createdAt"), str)), None)
    if has_more is True and not rows:
        findings.observe("docmap.paging", "empty")
        return
    if has_more is True and cursor:
        response = yield _build_list_request(scope, limit=_PER_PAGE, cursor=cursor)
        page_rows, _, _ = _parse_rows(response.body)
        is_same = bool(page_rows) and [row.get("id") for row in page_rows or ()] == [row.get("id") for row in rows]
        if response.is_ok and page_rows is not None:
            findings.observe("docmap.paging", "circle" if is_same else "moves")
        if is_same:
            return
    response = yield _build_list_request(scope, limit=1, dateTo=_EARLY_DATE)
    page_rows, _, _ = _parse_rows(response.body)
    if response.is_ok and page_rows is not None:
        findings.observe("docmap.paging", "rows" if page_rows else "moves")


def _probe_days(findings: Findings, scope: Mapping[str, str], rows: Sequence[Mapping[str, Json]]) -> ProbeFlow:
    """Narrow down the time zone of `dateFrom` and `dateTo` with single days.

    A day that begins `offset` before midnight UTC holds the rows of the 24 hours from there. Each row in the response
    for a day limits the possible offsets, and rows close to midnight limit them most.
    """
    times_by_id = {
        row.get("id"): created_at.astimezone(timezone.utc) for row in rows if (created_at := _parse_created_at(row))
    }
    creation_times = sorted(times_by_id.values(), key=_get_midnight_distance)
    days = list(dict.fromkeys(created_at.date() for created_at in creation_times))[:_MAX_DAYS]
    min_offset, max_offset = -24 * _HOUR, 24 * _HOUR
    for day in days:
        response = yield _build_list_request(scope, limit=_PER_PAGE, dateFrom=day.isoformat(), dateTo=day.isoformat())
        day_rows, _, _ = _parse_rows(response.body)
        if not response.is_ok or day_rows is None:
            findings.add_note(f"A day of the list could not be read ({response.describe_outcome(_LIST_KEYS)}).")
            return
        midnight = datetime(day.year, day.month, day.day, tzinfo=timezone.utc)
        for row in day_rows:
            if created_at := _parse_created_at(row):
                min_offset, max_offset = (
                    max(min_offset, midnight - created_at),
                    min(max_offset, midnight + _DAY - created_at),
                )
    range_text = (
        f"a day begins between {_format_hours(-max_offset)} and {_format_hours(-min_offset)} after midnight UTC"
    )
    if not days or min_offset >= max_offset:
        return
    if not min_offset <= timedelta() < max_offset:
        # Rows show only how far the days begin from midnight UTC at least, so this is the possible offset closest to
        # it.
        offset = max_offset - timedelta(seconds=1) if max_offset <= timedelta() else min_offset
        findings.observe("docmap.day_zone", "other", range_text, {"docmap_zone": _build_zone_name(offset)})
    elif min_offset > -_UTC_TOLERANCE and max_offset < _UTC_TOLERANCE:
        findings.observe("docmap.day_zone", "utc", range_text)
    else:
        findings.add_note(f"DocMap's rows do not show the time zone of its days: {range_text}.")


def _get_midnight_distance(timestamp: datetime) -> timedelta:
    time_of_day = timedelta(hours=timestamp.hour, minutes=timestamp.minute, seconds=timestamp.second)
    return min(time_of_day, _DAY - time_of_day)


def _format_hours(duration: timedelta) -> str:
    return f"{duration / _HOUR:.1f} h"


def _build_zone_name(offset: timedelta) -> str:
    """Return a time zone of whole hours, at least as far from UTC as `offset`.

    The sign in its name is reversed: POSIX counts hours west of Greenwich as positive.
    """
    hours = math.ceil(offset / _HOUR) if offset > timedelta() else math.floor(offset / _HOUR)
    return f"Etc/GMT{-hours:+d}"


def _probe_run(findings: Findings, rows: Sequence[Mapping[str, Json]]) -> ProbeFlow:
    """Check that a run of several extractions ignores a limit of one."""
    run_ids = [row.get("runId") for row in rows]
    run_id = next(
        (candidate for candidate in run_ids if isinstance(candidate, str) and run_ids.count(candidate) > 1), None
    )
    if run_id is None:
        return
    # Without the template of the settings: a run may mix templates, and all of it is expected.
    response = yield _build_list_request({}, runId=run_id, limit=1)
    run_rows, _, _ = _parse_rows(response.body)
    if not response.is_ok or run_rows is None:
        findings.add_note(f"A run could not be read ({response.describe_outcome(_LIST_KEYS)}).")
    elif len(run_rows) >= run_ids.count(run_id):
        findings.observe("docmap.run", "whole", f"{len(run_rows)} rows")
    else:
        findings.contradict("docmap.run", f"{len(run_rows)} of at least {run_ids.count(run_id)} rows of a run")


def _read_single(findings: Findings, response: ProbeResponse) -> None:
    """Record the form of the response for one extraction."""
    if response.json_object is not None and isinstance(response.json_object.get("data"), Mapping):
        findings.observe("docmap.single", "data")
    elif response.is_ok:
        findings.contradict("docmap.single", describe_shape(response.body, _ROW_KEYS | _LIST_KEYS))
    else:
        findings.add_note(f"One extraction could not be read ({response.describe_outcome(_LIST_KEYS)}).")


def _read_unknown(findings: Findings, response: ProbeResponse) -> None:
    """Record the form in which DocMap refuses an unknown extraction id."""
    error = response.body.get("error") if isinstance(response.body, Mapping) else None
    code = error.get("code") if isinstance(error, Mapping) else None
    if response.status == 404 and code == "NOT_FOUND":
        findings.observe("docmap.unknown_id", "not_found")
    elif response.status == 403 and isinstance(code, str):
        findings.observe("docmap.unknown_id", "forbidden")
    elif response.is_about_request:
        findings.contradict("docmap.unknown_id", response.describe_outcome(_LIST_KEYS))
