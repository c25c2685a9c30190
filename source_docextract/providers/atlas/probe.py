"""Assumptions about Atlas, and the requests that check them.

Sources: Atlas's pages "Get extracts", "Bulk processing" and "Error codes". The table also holds the readings of what
these pages leave open.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

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
from ...core.probing.shapes import describe_shape, get_type_name, is_number
from ...core.requests import MAX_TOKEN_LENGTH, Request
from .settings import AtlasSettings

_MAX_BATCHES = 6
"""Number of batches to read. With the login and two more requests, this stays below the limit of 30 a provider."""

_PER_PAGE = 50

_UNKNOWN_BATCH_ID = "BATCH-00000-PROBE-20200101000000"
"""A batch id that does not exist: the response shows the form in which Atlas refuses an id."""

ASSUMPTIONS: tuple[Assumption, ...] = (
    Assumption(
        "atlas.login_status",
        Evidence.DOCUMENTED,
        (
            Variant("created", "The login answers with status 201."),
            Variant("ok", "The login answers with status 200."),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "atlas.expires_in",
        Evidence.DOCUMENTED,
        (
            Variant("hour", "A token lives for `expires_in` seconds, an hour."),
            Variant("other", "It lives for another number of seconds.", {"atlas_expires_in": "600"}),
            Variant("odd", "It is not a number above 0; at least one minute is assumed.", {"atlas_expires_in": "-1"}),
            Variant("missing", "`expires_in` is missing; an hour is assumed.", {"atlas_expires_in": None}),
        ),
        "The connector logs in again whenever Atlas says that a token has expired.",
    ),
    Assumption(
        "atlas.token_size",
        Evidence.GUESS,
        (
            Variant("fits", "A token fits into a header."),
            Variant("too_large", "It does not; the login fails with an error message.", {"atlas_token_size": 100_000}),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "atlas.account",
        Evidence.DOCUMENTED,
        (
            Variant("own", "The account knows batches that the settings name."),
            Variant(
                "other", "It knows none of them: the login may belong to another account.", {"other_account": True}
            ),
        ),
        "Check atlas.client_id, atlas.client_secret and atlas.batch_ids.",
    ),
    Assumption(
        "atlas.total_items",
        Evidence.GUESS,
        (
            Variant("all_rows", "`total_items` is the number of rows that can be read, each of them with data."),
            Variant(
                "empty_rows",
                "It counts documents that have not been extracted; their rows are empty.",
                {"atlas_total_counts_extracted": False},
            ),
        ),
        "Name expected_files in a batch registry, so that a batch stays open until it has that many.",
    ),
    Assumption(
        "atlas.young_batch",
        Evidence.GUESS,
        (
            Variant("rows", "A requested batch has rows."),
            Variant("no_rows", "A batch has no rows yet; it stays open."),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "atlas.total_pages",
        Evidence.ORIGINAL_PAGES,
        (
            Variant("present", "`total_pages` matches `total_items` and the 50 rows of a page."),
            Variant(
                "absent",
                "It is missing or does not match; pages are read one after the other.",
                {"atlas_no_total_pages": True},
            ),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "atlas.page_past_the_end",
        Evidence.GUESS,
        (
            Variant("empty", "A page past the last one is empty and announces no next page."),
            Variant("refused", "A page past the last one is refused."),
            Variant("repeated", "It repeats an earlier page, which the connector detects.", {"atlas_page_stuck": True}),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "atlas.unknown_batch",
        Evidence.ORIGINAL_PAGES,
        (
            Variant("error_code", 'The response for an unknown batch is 400 with `{"error_code", "error_message"}`.'),
            Variant("error", 'It is 400 with `{"error"}`.'),
        ),
        f"A batch that does not exist fails its streams at every sync instead of being `missing`. {REPORT_ADVICE}",
    ),
    Assumption(
        "atlas.document_errors",
        Evidence.GUESS,
        (
            Variant("none", "No document that was read has an error."),
            Variant("on_row", "A document's `error_code` is next to its `file_data`."),
            Variant("in_data", "It is inside `file_data`.", {"atlas_error_in_file_data": True}),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "atlas.confidence",
        Evidence.DOCUMENTED,
        (
            Variant("fraction", "`confidence_score` is a number from 0 to 1."),
            Variant("text", "It is such a number as text."),
            Variant("percent", "It is a number above 1; it is delivered as sent."),
        ),
        f"Confidence is null if it is not a number. {REPORT_ADVICE}",
    ),
    Assumption(
        "atlas.nested_fields",
        Evidence.GUESS,
        (
            Variant("wrapped", "Each field is an object of `value` and `confidence_score`."),
            Variant("bare", "Some fields are bare values or objects; their parts are fields of their own."),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "atlas.batch_time",
        Evidence.GUESS,
        (
            Variant("stamp", "A batch id ends with its creation time, in an unknown time zone."),
            Variant("none", "It does not; the age of the batch is counted from when it is first seen."),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "atlas.growing",
        Evidence.GUESS,
        (Variant("grows", "A recent batch may look complete and still grow; it is read again within the lookback."),),
        "Name expected_files in a batch registry, or raise lookback_days.",
        is_visible=False,
    ),
    build_rate_limit_assumption("atlas"),
    build_keys_assumption("atlas", Evidence.ORIGINAL_PAGES, "Responses have documented keys only."),
)

# `refresh_token` is documented for the login of Atlas's onboarding, not for that of the bulk service.
_LOGIN_KEYS = frozenset({"access_token", "expires_in", "refresh_token"})

_ENVELOPE_KEYS = frozenset({"data", "page", "per_page", "total_pages", "total_items", "has_next", "has_prev"})

_ROW_KEYS = frozenset({"document_id", "file_data", "error_code", "error_message", "error"})


def probe_atlas(settings: AtlasSettings, findings: Findings) -> ProbeFlow:
    """Log in, then read a few batches, a page past the end and an unknown batch."""
    credentials = {
        "Client-Id": settings.client_id.get_secret_value(),
        "Client-Secret": settings.client_secret.get_secret_value(),
    }
    login_response = yield Request("POST", "/authtoken", headers=credentials)
    token = _read_login(findings, login_response)
    if not token:
        return
    longest_batch: tuple[int, str, ProbeResponse] | None = None
    unknown_flags: list[bool] = []
    newest_ids = sorted(dict.fromkeys(settings.batch_ids), key=_get_time_stamp, reverse=True)[:_MAX_BATCHES]
    for batch_id in newest_ids:
        findings.observe("atlas.batch_time", "stamp" if _get_time_stamp(batch_id) else "none")
    # Newest first: no page documents how Atlas returns a batch that it still processes.
    for batch_id in newest_ids:
        response = yield _build_page_request(token, batch_id, 1)
        unknown_flags.append(response.status == 400)
        row_count = _read_page(findings, response)
        if row_count is not None and (longest_batch is None or row_count > longest_batch[0]):
            longest_batch = (row_count, batch_id, response)
    if unknown_flags:
        # Atlas answers 400 to an unknown id and to an id of another account alike. One batch that it knows shows that
        # the login fits; one that it does not know shows nothing.
        findings.observe("atlas.account", "other" if all(unknown_flags) else "own")
    if longest_batch and longest_batch[0]:
        page_number = _count_pages(longest_batch[2]) + 1
        response = yield _build_page_request(token, longest_batch[1], page_number)
        _read_past_the_end(findings, longest_batch[2], response)
    response = yield _build_page_request(token, _UNKNOWN_BATCH_ID, 1)
    _read_unknown(findings, response)


def _get_time_stamp(batch_id: str) -> str:
    """Return the creation time at the end of a batch id as text, empty if none."""
    stamp_match = re.search(r"-(\d{14})$", batch_id)
    return stamp_match[1] if stamp_match else ""


def _build_page_request(token: str, batch_id: str, page_number: int) -> Request:
    params: dict[str, str | int] = {"batch_id": batch_id, "page": page_number, "per_page": _PER_PAGE}
    return Request("GET", "/extracts", params=params, headers={"Token": token})


def _read_login(findings: Findings, response: ProbeResponse) -> str:
    """Record the findings about the login; return the token, empty if unusable."""
    body = response.body if isinstance(response.body, Mapping) else {}
    token = body.get("access_token")
    if not response.is_ok or not isinstance(token, str) or not token:
        findings.add_note(
            f"The login failed ({response.describe_outcome(_ENVELOPE_KEYS | _ROW_KEYS)}), so no other request was sent."
        )
        return ""
    findings.observe_keys("atlas.keys", body, _LOGIN_KEYS)
    if response.status in {200, 201}:
        findings.observe("atlas.login_status", "created" if response.status == 201 else "ok")
    else:
        findings.contradict("atlas.login_status", f"status {response.status}")
    seconds = body.get("expires_in")
    if seconds is None:
        findings.observe("atlas.expires_in", "missing")
    elif is_number(seconds) and seconds > 0:
        findings.observe("atlas.expires_in", "hour" if seconds == 3600 else "other", f"{seconds:.0f} seconds")
    else:
        findings.observe("atlas.expires_in", "odd", get_type_name(seconds))
    findings.observe(
        "atlas.token_size", "fits" if len(token) <= MAX_TOKEN_LENGTH else "too_large", f"{len(token)} characters"
    )
    # No request could carry a longer token, so the probe ends with the login.
    return token if len(token) <= MAX_TOKEN_LENGTH else ""


def _read_page(findings: Findings, response: ProbeResponse) -> int | None:
    """Record the findings about the first page of a batch.

    Returns:
        Number of its rows, None where it cannot be read.
    """
    body = response.json_object
    rows = None if body is None else body.get("data")
    if body is None or not isinstance(rows, list):
        findings.add_note(f"A batch could not be read ({response.describe_outcome(_ENVELOPE_KEYS | _ROW_KEYS)}).")
        return None
    findings.observe_keys("atlas.keys", body, _ENVELOPE_KEYS)
    findings.observe("atlas.young_batch", "rows" if rows else "no_rows")
    documents = [row for row in rows if isinstance(row, Mapping)]
    for row in documents:
        _read_row(findings, row)
    total_items, total_pages = body.get("total_items"), body.get("total_pages")
    if not isinstance(total_items, int) or isinstance(total_items, bool):
        findings.contradict("atlas.total_items", f"`total_items` is {describe_shape(total_items)}")
        return len(rows)
    if rows:
        # Rows without data or error may count for `total_items`: the batch then looks whole before it is extracted.
        has_empty = any(not row.get("file_data") and not _has_error(row) for row in documents)
        findings.observe("atlas.total_items", "empty_rows" if has_empty else "all_rows")
        if total_items < len(rows) or (total_items > len(rows) and body.get("has_next") is False):
            findings.contradict("atlas.total_items", "`total_items` is not the number of rows of a single page")
    findings.observe("atlas.total_pages", "present" if total_pages == -(-total_items // _PER_PAGE) else "absent")
    return len(rows)


def _has_error(row: Mapping[str, Json]) -> bool:
    return bool(row.get("error_code") or row.get("error_message") or row.get("error"))


def _read_row(findings: Findings, row: Mapping[str, Json]) -> None:
    """Record the findings about one document."""
    findings.observe_keys("atlas.keys", row, _ROW_KEYS)
    data = row.get("file_data")
    # The pages name the codes INVALID_DOC and UNRECOGNISED, but not their place. An extracted field is an object, so
    # bare text under `error_code` inside the data is no field.
    is_failed_inside = isinstance(data, Mapping) and isinstance(data.get("error_code"), str)
    if _has_error(row):
        findings.observe("atlas.document_errors", "on_row")
    elif is_failed_inside:
        findings.observe("atlas.document_errors", "in_data")
    else:
        findings.observe("atlas.document_errors", "none")
    if isinstance(data, Mapping) and not is_failed_inside:
        # "Get extracts" shows the document type as bare text beside the fields, which says nothing about their form.
        fields = [value for name, value in data.items() if name != "document_type"]
        _read_fields(findings, fields)


def _read_fields(findings: Findings, values: Sequence[Json]) -> None:
    """Record the form and the confidence of the extracted fields of one document."""
    wrappers = [value for value in values if isinstance(value, Mapping) and "confidence_score" in value]
    if values:
        findings.observe("atlas.nested_fields", "wrapped" if len(wrappers) == len(values) else "bare")
    for wrapper in wrappers:
        # Atlas documents 0 to 1 only. Other extraction APIs send text or percent, so the probe looks for both.
        score = wrapper.get("confidence_score")
        if is_number(score):
            findings.observe("atlas.confidence", "fraction" if 0 <= score <= 1 else "percent")
        elif isinstance(score, str) and _is_fraction(score):
            findings.observe("atlas.confidence", "text")
        elif score is not None:
            findings.contradict("atlas.confidence", f"`confidence_score` is {get_type_name(score)}")


def _is_fraction(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


def _count_pages(first_response: ProbeResponse) -> int:
    """Return the number of a batch's pages, by its number of documents, at least one."""
    total_items = first_response.body.get("total_items")
    return max(1, -(-total_items // _PER_PAGE)) if isinstance(total_items, int) else 1


def _read_past_the_end(findings: Findings, first_response: ProbeResponse, response: ProbeResponse) -> None:
    """Record how Atlas answers a request for a page past the last one."""
    assumption_id = "atlas.page_past_the_end"
    rows = response.body.get("data") if isinstance(response.body, Mapping) else None
    if 400 <= response.status < 500:
        findings.observe(assumption_id, "refused", f"status {response.status}")
    elif not response.is_ok or not isinstance(rows, list):
        findings.add_note(
            f"A page past the end could not be read ({response.describe_outcome(_ENVELOPE_KEYS | _ROW_KEYS)})."
        )
    elif rows and _list_document_ids(rows) == _list_document_ids(first_response.body.get("data")):
        findings.observe(assumption_id, "repeated")
    elif not rows and not response.body.get("has_next"):
        findings.observe(assumption_id, "empty")
    else:
        findings.contradict(assumption_id, f"a page past the end is {describe_shape(response.body, _ENVELOPE_KEYS)}")


def _list_document_ids(rows: Json) -> list[Json]:
    """Return the document ids of a page, by which two pages are compared."""
    # The pages themselves differ even if they are the same: URLs are signed anew in each response.
    return [row.get("document_id") for row in rows if isinstance(row, Mapping)]


def _read_unknown(findings: Findings, response: ProbeResponse) -> None:
    """Record the form in which Atlas refuses an unknown batch id."""
    body = response.body if isinstance(response.body, Mapping) else {}
    if response.status == 400 and "error_code" in body:
        findings.observe("atlas.unknown_batch", "error_code")
    elif response.status == 400 and "error" in body:
        findings.observe("atlas.unknown_batch", "error")
    elif response.is_about_request:
        findings.contradict("atlas.unknown_batch", response.describe_outcome(_ENVELOPE_KEYS | _ROW_KEYS))
