"""Assumptions about Sensible, and the requests that check them.

Sources: Sensible's pages "Group extractions by batch ID" and "List extractions", and its OpenAPI specification. The
table also holds the readings of what these leave open.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

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
from ...core.probing.shapes import describe_shape, get_type_name, is_number, parse_time
from ...core.requests import Request
from ...core.urls import build_path
from .settings import SensibleSettings

_UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"
"""An id that does not exist: the response shows the form in which Sensible refuses an id."""

_PER_PAGE = 100

_LARGE_LIMIT = 1000
"""A limit beyond a page of the connector: no page documents the maximum."""

_SMALL_LIMIT = 5
"""A limit at which an account with few extractions still has several pages."""

_EARLY_DATE = "2014-12-31T00:00:00Z"
"""A time before any plausible extraction: a list that still has rows there has no end."""

# With these three limits a probe sends 21 requests at most. The rest of the 30 is left for retries after a 429.
_MAX_PAGES = 4

_MAX_DOCUMENTS = 7

_MAX_BATCHES = 4

ASSUMPTIONS: tuple[Assumption, ...] = (
    Assumption(
        "sensible.page_size",
        Evidence.GUESS,
        (
            Variant("hundred", "A page of the list holds 100 rows if there are that many."),
            Variant("smaller", "It holds fewer; the connector continues while there is a token."),
        ),
        f"The list cannot be read. {REPORT_ADVICE}",
    ),
    Assumption(
        "sensible.largest_limit",
        Evidence.GUESS,
        (
            Variant("capped", "A larger `limit` is capped at the page size."),
            Variant("obeyed", "A larger `limit` is accepted; the connector requests 100."),
            Variant("refused", "A larger `limit` is refused; the connector requests 100."),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "sensible.sparse_pages",
        Evidence.DOCUMENTED,
        (
            Variant("full", "Only the last page is short."),
            Variant(
                "sparse", "A page may be short or empty and have a token; reading continues.", {"sensible_scan": 5}
            ),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "sensible.paging",
        Evidence.GUESS,
        (
            Variant("moves", "A token leads to another page, and the list ends."),
            Variant(
                "empty",
                "Consecutive pages are empty and have tokens; reading continues.",
                {"sensible_endless": "empty"},
            ),
            Variant(
                "circle", "A token is repeated; such a day fails with an error message.", {"sensible_endless": "circle"}
            ),
            Variant(
                "rows",
                "There are rows from before 2015, as in an endless list; such a day fails with an error message.",
                {"sensible_endless": "rows"},
            ),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "sensible.account",
        Evidence.DOCUMENTED,
        (
            Variant("own", "The account shows extractions."),
            Variant("empty", "It shows none: the key may belong to another account.", {"other_account": True}),
        ),
        "Check sensible.api_key, sensible.environments and sensible.document_types.",
    ),
    Assumption(
        "sensible.portfolios",
        Evidence.DOCUMENTED,
        (
            Variant("whole", "A portfolio's documents have an `output`."),
            Variant("no_documents", "It may have no documents.", {"sensible_portfolios": "no_documents"}),
            Variant("no_output", "The `output` of a document may be null.", {"sensible_portfolios": "no_output"}),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "sensible.last_token",
        Evidence.GUESS,
        (
            Variant("null", "`continuation_token` is null on the last page."),
            Variant("absent", "It is missing on the last page."),
        ),
        f"The list may be read in a loop. {REPORT_ADVICE}",
    ),
    Assumption(
        "sensible.order",
        Evidence.DOCUMENTED,
        (Variant("newest_first", "The list is in the order of `created`, newest first."),),
        f"The oldest extraction may not be found, and history may be missing. {REPORT_ADVICE}",
    ),
    Assumption(
        "sensible.dates",
        Evidence.DOCUMENTED,
        (Variant("inclusive", "`start_date` and `end_date` include their own time."),),
        f"Rows at the edge of a window may be missing. {REPORT_ADVICE}",
    ),
    Assumption(
        "sensible.created",
        Evidence.DOCUMENTED,
        (
            Variant("zoned", "`created` is ISO 8601 with a zone."),
            Variant("naive", "It has no zone; UTC is assumed.", {"sensible_naive_times": True}),
        ),
        f"Rows without a readable time are read again at each sync. {REPORT_ADVICE}",
    ),
    Assumption(
        "sensible.status",
        Evidence.DOCUMENTED,
        (
            Variant("known", "Extractions are `WAITING`, `PROCESSING`, `COMPLETE` or `FAILED`."),
            Variant("unknown", "There are other statuses, which count as unfinished.", {"unknown_status": "queued"}),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "sensible.status_filter",
        Evidence.DOCUMENTED,
        (
            Variant("obeyed", "`statuses` selects the rows of the list, and takes several values."),
            Variant(
                "first",
                "Only its first value is used; what the list lacks is requested by id.",
                {"sensible_status_filter": "first"},
            ),
            Variant(
                "ignored",
                "It is ignored; what the list lacks is requested by id.",
                {"sensible_status_filter": "ignored"},
            ),
            Variant(
                "refused",
                "It is refused; unfinished extractions are requested by id.",
                {"sensible_status_filter": "refused"},
            ),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "sensible.review_statuses",
        Evidence.GUESS,
        (
            Variant("list", "A summary's `reviewStatuses` is a list, which may contain nulls."),
            Variant("text", "It is text."),
            Variant("null", "It is null."),
            Variant("absent", "It is missing."),
        ),
        f"Reviews may not be tracked. {REPORT_ADVICE}",
    ),
    Assumption(
        "sensible.batch_id_in_list",
        Evidence.GUESS,
        (
            Variant("absent", "A summary does not contain the batch; the document does."),
            Variant("present", "A summary has a `batchId`.", {"sensible_batch_id_in_list": True}),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "sensible.batch_id_key",
        Evidence.ORIGINAL_PAGES,
        (
            Variant("batchId", "A document of a batch has the key `batchId`."),
            Variant("none", "No document that was read belongs to a batch."),
        ),
        f"Files have no batch. {REPORT_ADVICE}",
    ),
    Assumption(
        "sensible.portfolio_keys",
        Evidence.DOCUMENTED,
        (
            Variant("snake_case", "A portfolio's documents have `parsed_document` in their `output`."),
            Variant("camel_case", "They have `parsedDocument`.", {"sensible_camel_case": True}),
        ),
        f"Results of portfolios may be empty. {REPORT_ADVICE}",
    ),
    Assumption(
        "sensible.parsed_document",
        Evidence.DOCUMENTED,
        (
            Variant("object", "A completed document has an object `parsed_document`."),
            Variant(
                "postprocessed",
                "It has none, and `postprocessorOutput` is delivered instead.",
                {"sensible_postprocessed": True},
            ),
            Variant("absent", "It has neither; its result is empty."),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "sensible.value_confidence",
        Evidence.DOCUMENTED,
        (
            Variant("fraction", "`valueConfidence` is a number from 0 to 1."),
            Variant("text", "It is text."),
            Variant("percent", "It is a number above 1; it is delivered as sent."),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "sensible.purged",
        Evidence.GUESS,
        (
            Variant("none", "Documents that the list shows as finished can be read."),
            Variant("listed", "The list shows documents that can no longer be read; they are requested again."),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "sensible.batch_counters",
        Evidence.ORIGINAL_PAGES,
        (
            Variant("waiting", "A batch contains the counter `waiting`."),
            Variant("none", "It contains no counter.", {"sensible_waiting_counter": False}),
            Variant("more", "It contains other counters too."),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "sensible.unknown_document",
        Evidence.GUESS,
        (
            Variant("text", "The response for an unknown document is 404 or 400 in text."),
            Variant("json", "It is 404 or 400 in JSON."),
        ),
        f"Deleted documents fail the sync. {REPORT_ADVICE}",
    ),
    Assumption(
        "sensible.unknown_batch",
        Evidence.GUESS,
        (
            Variant("text", "The response for an unknown batch is 404 or 400 in text."),
            Variant("json", "It is 404 or 400 in JSON."),
        ),
        f"A batch that does not exist fails its streams at every sync instead of being `missing`. {REPORT_ADVICE}",
    ),
    Assumption(
        "sensible.throttling",
        Evidence.GUESS,
        (
            Variant("none", "Read requests are not answered with 429."),
            Variant(
                "throttled",
                "Read requests are temporarily answered with 429; the connector waits.",
                {"sensible_throttle": 1},
            ),
            Variant(
                "quota",
                "Read requests are answered with 429 because of the monthly quota.",
                {"sensible_quota_spent": 100},
            ),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "sensible.fixed_batches",
        Evidence.GUESS,
        (Variant("fixed", "The documents of a batch are fixed when it is created, and so is their order."),),
        REPORT_ADVICE,
        is_visible=False,
    ),
    Assumption(
        "sensible.final_reviews",
        Evidence.DOCUMENTED,
        (Variant("final", "A decided review is not reopened."),),
        "Raise lookback_days: changes within it are seen where the summary shows them.",
        is_visible=False,
    ),
    Assumption(
        "sensible.waiting",
        Evidence.GUESS,
        (
            Variant(
                "for_ever", "A document that is never uploaded waits forever; give_up_after_days limits the polling."
            ),
        ),
        REPORT_ADVICE,
        is_visible=False,
    ),
    build_rate_limit_assumption("sensible"),
    build_keys_assumption("sensible", Evidence.DOCUMENTED, "Responses have documented keys only."),
)

_LIST_KEYS = frozenset({"extractions", "continuation_token", "cutoff_date", "message", "error"})

_SUMMARY_KEYS = frozenset(
    {
        "id", "created", "completed", "status", "type", "types", "configuration", "environment", "document_name",
        "page_count", "coverage", "charged", "reviewStatuses", "validation_summary", "validations", "errors",
        "documents", "batchId",
    }
)  # fmt: skip

_DOCUMENT_KEYS = _SUMMARY_KEYS | {
    "reviewStatus", "configuration_version", "content_type", "file_metadata", "classification_summary",
    "parsed_document", "postprocessorOutput", "download_url", "webhook", "extra_data", "uploaded", "processing_started",
    "version_id", "segment_documents_with",
}  # fmt: skip

_BATCH_KEYS = frozenset(
    {"id", "description", "extraction_ids", "waiting", "processing", "complete", "completed", "failed"}
)

_KNOWN_STATUSES = frozenset({"WAITING", "PROCESSING", "COMPLETE", "FAILED"})

_FINISHED_STATUSES = ("FAILED", "COMPLETE")
"""The rarer one comes first: a list that obeys only the first value then lacks most rows."""


def probe_sensible(settings: SensibleSettings, findings: Findings) -> ProbeFlow:
    """Read pages of the list, a few documents and batches, and unknown ids."""
    scope = {"environments": ",".join(settings.environments)}
    response = yield _build_list_request(scope, limit=_PER_PAGE)
    rows = _read_list(findings, response, _PER_PAGE)
    if rows is None:
        return
    is_last_page = not response.body.get("continuation_token")
    # An empty page with a token does not show an empty account, since Sensible filters after paging.
    if rows or is_last_page:
        findings.observe("sensible.account", "own" if rows else "empty")
    yield from _probe_pages(findings, scope, rows, is_short=not is_last_page and len(rows) < _PER_PAGE)
    yield from _probe_dates(findings, scope, rows)
    yield from _probe_status_filter(findings, scope, rows)
    batch_ids = list(settings.batch_ids)
    yield from _probe_documents(findings, _select_documents(rows), batch_ids)
    # The last ids are those that documents named: these batches exist in the account, whatever the settings name.
    for batch_id in batch_ids[-_MAX_BATCHES:]:
        response = yield Request("GET", build_path("extract", "batch", batch_id))
        _read_batch(findings, response)
    response = yield Request("GET", build_path("documents", _UNKNOWN_ID))
    _read_unknown(findings, "sensible.unknown_document", response)
    response = yield Request("GET", build_path("extract", "batch", _UNKNOWN_ID))
    _read_unknown(findings, "sensible.unknown_batch", response)


def _build_list_request(scope: Mapping[str, str], **params: str | int) -> Request:
    return Request("GET", "/extractions", params={**scope, **params})


def _read_list(findings: Findings, response: ProbeResponse, limit: int) -> list[Mapping[str, Json]] | None:
    """Record the findings about a list page, and return its rows.

    Returns:
        The summaries, None where the page cannot be read.
    """
    # The client repeats a throttled request after a wait, so a 429 that remains is about the monthly quota.
    if response.status == 429:
        findings.observe("sensible.throttling", "quota")
    body = response.json_object
    rows = None if body is None else body.get("extractions")
    if body is None or not isinstance(rows, list):
        findings.add_note(f"The list could not be read ({response.describe_outcome(_LIST_KEYS)}).")
        return None
    findings.observe_keys("sensible.keys", body, _LIST_KEYS)
    summaries = [row for row in rows if isinstance(row, Mapping)]
    has_more = bool(body.get("continuation_token"))
    # The last page is short by nature, so only a page with a token shows the page size.
    if has_more:
        if limit == _PER_PAGE:
            findings.observe(
                "sensible.page_size", "hundred" if len(rows) == _PER_PAGE else "smaller", f"{len(rows)} rows"
            )
    else:
        findings.observe("sensible.last_token", "null" if "continuation_token" in body else "absent")
    creation_times = [created_at for row in summaries if (created_at := parse_time(row.get("created")))]
    has_one_form = len({created_at.tzinfo is None for created_at in creation_times}) == 1
    # Times with and without a zone cannot be compared, so a page that mixes them says nothing about the order.
    if has_one_form:
        findings.observe_order("sensible.order", creation_times)
    for row in summaries:
        _read_summary(findings, row)
    return summaries


def _read_summary(findings: Findings, row: Mapping[str, Json]) -> None:
    """Record the findings about one summary."""
    findings.observe_keys("sensible.keys", row, _SUMMARY_KEYS)
    findings.observe_zone("sensible.created", "created", row.get("created"))
    status = row.get("status")
    findings.observe_status("sensible.status", status, _KNOWN_STATUSES)
    review_statuses = row.get("reviewStatuses")
    if "reviewStatuses" not in row:
        findings.observe("sensible.review_statuses", "absent")
    elif review_statuses is None or isinstance(review_statuses, (str, list)):
        findings.observe(
            "sensible.review_statuses", {"null": "null", "text": "text", "list": "list"}[get_type_name(review_statuses)]
        )
    else:
        findings.contradict("sensible.review_statuses", f"`reviewStatuses` is {describe_shape(review_statuses)}")
    findings.observe("sensible.batch_id_in_list", "present" if "batchId" in row else "absent")


def _probe_pages(
    findings: Findings, scope: Mapping[str, str], rows: Sequence[Mapping[str, Json]], *, is_short: bool
) -> ProbeFlow:
    """Check the largest limit, a few small pages in a row, and the end of the list.

    Args:
        findings: Collects the findings.
        scope: Query parameters of the list.
        rows: Summaries of the first page.
        is_short: Whether that page was short although it is not the last one.
    """
    response = yield _build_list_request(scope, limit=_LARGE_LIMIT)
    page_rows = response.body.get("extractions") if isinstance(response.body, Mapping) else None
    # A capped limit and an obeyed one look the same in an account that does not fill a page.
    if 400 <= response.status < 500 and response.status != 429:
        findings.observe("sensible.largest_limit", "refused", f"status {response.status}")
    elif response.is_ok and isinstance(page_rows, list) and len(rows) == _PER_PAGE:
        exceeds_page = len(page_rows) > _PER_PAGE
        findings.observe("sensible.largest_limit", "obeyed" if exceeds_page else "capped", f"{len(page_rows)} rows")
    token: Json = None
    seen_tokens: set[str] = set()
    row_count = 0
    for _ in range(_MAX_PAGES):
        token_params = {"continuation_token": token} if isinstance(token, str) else {}
        response = yield _build_list_request(scope, limit=_SMALL_LIMIT, **token_params)
        small_page = _read_list(findings, response, _SMALL_LIMIT)
        if small_page is None:
            return
        row_count += len(small_page)
        token = response.body.get("continuation_token")
        if not isinstance(token, str):
            break
        is_short = is_short or len(small_page) < _SMALL_LIMIT
        if token in seen_tokens:
            findings.observe("sensible.paging", "circle")
            return
        seen_tokens.add(token)
    if token and not row_count:
        findings.observe("sensible.paging", "empty")
        return
    if seen_tokens:
        findings.observe("sensible.sparse_pages", "sparse" if is_short else "full")
    response = yield _build_list_request(scope, limit=1, end_date=_EARLY_DATE)
    early_rows = _read_list(findings, response, 1)
    if early_rows is not None:
        findings.observe("sensible.paging", "rows" if early_rows else "moves")


def _probe_status_filter(findings: Findings, scope: Mapping[str, str], rows: Sequence[Mapping[str, Json]]) -> ProbeFlow:
    """Check that the list can be filtered by two statuses at once."""
    response = yield _build_list_request(scope, limit=_PER_PAGE, statuses=",".join(_FINISHED_STATUSES))
    if 400 <= response.status < 500 and response.status != 429:
        findings.observe("sensible.status_filter", "refused", f"status {response.status}")
    listed_rows = response.body.get("extractions") if isinstance(response.body, Mapping) else None
    if not response.is_ok or not isinstance(listed_rows, list):
        return
    listed_statuses = {row.get("status") for row in listed_rows if isinstance(row, Mapping)}
    all_statuses = {row.get("status") for row in rows}
    is_last_page = not response.body.get("continuation_token")
    # An account in which all extractions are finished looks the same with and without the filter.
    if not listed_statuses.issubset(_FINISHED_STATUSES):
        findings.observe("sensible.status_filter", "ignored")
    elif "COMPLETE" in all_statuses - listed_statuses and (listed_rows or is_last_page):
        findings.observe("sensible.status_filter", "first")
    elif listed_rows and not all_statuses.issubset(_FINISHED_STATUSES):
        findings.observe("sensible.status_filter", "obeyed")


def _probe_dates(findings: Findings, scope: Mapping[str, str], rows: Sequence[Mapping[str, Json]]) -> ProbeFlow:
    """Check that both dates are inclusive, by the creation time of one row as both."""
    row = next((row for row in rows if isinstance(row.get("created"), str)), None)
    if row is None:
        return
    created_at = row["created"]
    response = yield _build_list_request(scope, limit=_PER_PAGE, start_date=created_at, end_date=created_at)
    page_rows = response.body.get("extractions") if isinstance(response.body, Mapping) else None
    if not response.is_ok or not isinstance(page_rows, list):
        findings.add_note(f"The list could not be read for one millisecond ({response.describe_outcome(_LIST_KEYS)}).")
    elif any(isinstance(page_row, Mapping) and page_row.get("id") == row.get("id") for page_row in page_rows):
        findings.observe("sensible.dates", "inclusive")
    else:
        findings.contradict("sensible.dates", "a row is missing from the list of its own millisecond")


def _select_documents(rows: Sequence[Mapping[str, Json]]) -> list[Mapping[str, Json]]:
    """Return a few extractions that differ, to see as many forms as possible.

    They are finished, oldest, portfolio, reviewed, unfinished and with a batch.
    """
    completed_rows = [row for row in rows if row.get("status") == "COMPLETE"]
    groups = (
        completed_rows[:1],
        completed_rows[len(completed_rows) // 3 :][:1],
        completed_rows[-1:],  # the oldest one: the most likely to be purged, or to be in a finished batch
        [row for row in completed_rows if row.get("types") or row.get("documents")][:1],
        [row for row in rows if row.get("reviewStatuses")][:1],
        [row for row in rows if row.get("status") not in {"COMPLETE", "FAILED"}][:1],
        [row for row in rows if row.get("batchId")][:1],
    )
    rows_by_id = {str(row.get("id")): row for group in groups for row in group}
    return list(rows_by_id.values())[:_MAX_DOCUMENTS]


def _probe_documents(findings: Findings, rows: Sequence[Mapping[str, Json]], batch_ids: list[str]) -> ProbeFlow:
    """Read a few documents, and add their batches to `batch_ids`."""
    for row in rows:
        response = yield Request("GET", build_path("documents", str(row.get("id"))))
        is_finished = row.get("status") == "COMPLETE"
        # No page documents the answer for a document that was purged, so each of these statuses counts as that answer.
        if response.status in {400, 404, 410}:
            if is_finished:
                findings.observe("sensible.purged", "listed", f"status {response.status}")
            continue
        document = response.json_object
        if document is None:
            findings.add_note(f"A document could not be read ({response.describe_outcome(_DOCUMENT_KEYS)}).")
            continue
        if is_finished:
            findings.observe("sensible.purged", "none")
        _read_document(findings, document)
        batch_id = document.get("batchId")
        if isinstance(batch_id, str) and batch_id and batch_id not in batch_ids:
            batch_ids.append(batch_id)


def _read_document(findings: Findings, document: Mapping[str, Json]) -> None:
    """Record the findings about one document or portfolio."""
    findings.observe_keys("sensible.keys", document, _DOCUMENT_KEYS)
    findings.observe("sensible.batch_id_key", "batchId" if document.get("batchId") else "none")
    parts = document.get("documents")
    if isinstance(parts, list) and document.get("status") == "COMPLETE":
        if not parts:
            findings.observe("sensible.portfolios", "no_documents")
        for part in parts:
            _read_part(findings, part)
        return
    if document.get("status") != "COMPLETE" or isinstance(parts, list):
        return
    parsed = document.get("parsed_document")
    if isinstance(parsed, Mapping):
        findings.observe("sensible.parsed_document", "object")
        _read_confidences(findings, parsed)
    elif parsed is None:
        is_postprocessed = document.get("postprocessorOutput") is not None
        findings.observe("sensible.parsed_document", "postprocessed" if is_postprocessed else "absent")
    else:
        findings.contradict("sensible.parsed_document", f"`parsed_document` is {get_type_name(parsed)}")


def _read_part(findings: Findings, part: Json) -> None:
    """Record the findings about one document of a portfolio."""
    output = part.get("output") if isinstance(part, Mapping) else None
    if not isinstance(output, Mapping):
        findings.observe("sensible.portfolios", "no_output")
        return
    findings.observe("sensible.portfolios", "whole")
    if "parsed_document" in output:
        findings.observe("sensible.portfolio_keys", "snake_case")
    elif "parsedDocument" in output:
        findings.observe("sensible.portfolio_keys", "camel_case")
    elif "postprocessorOutput" not in output:
        findings.contradict("sensible.portfolio_keys", f"`output` is {describe_shape(output, _DOCUMENT_KEYS)}")


def _read_confidences(findings: Findings, parsed: Json) -> None:
    """Record the types of the confidences in extracted data."""
    for confidence in _iter_confidences(parsed):
        # `valueConfidence` is documented as 0 to 1, while an example of Sensible's own validations compares it with
        # text.
        if is_number(confidence):
            findings.observe("sensible.value_confidence", "fraction" if 0 <= confidence <= 1 else "percent")
        elif isinstance(confidence, str):
            findings.observe("sensible.value_confidence", "text")
        elif confidence is not None:
            findings.contradict("sensible.value_confidence", f"`valueConfidence` is {get_type_name(confidence)}")


def _iter_confidences(value: Json) -> Iterator[Json]:
    """Yield each `valueConfidence` in extracted data, at any depth."""
    # Without recursion, since the depth of extracted data has no limit.
    pending = [value]
    while pending:
        node = pending.pop()
        if isinstance(node, Mapping):
            if "valueConfidence" in node and "value" in node:
                yield node["valueConfidence"]
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)


def _read_batch(findings: Findings, response: ProbeResponse) -> None:
    """Record the findings about one batch."""
    body = response.json_object
    if body is None:
        findings.add_note(f"A batch could not be read ({response.describe_outcome(_BATCH_KEYS)}).")
        return
    findings.observe_keys("sensible.keys", body, _BATCH_KEYS)
    counters = sorted(body.keys() & {"waiting", "processing", "complete", "completed", "failed"})
    if not counters:
        findings.observe("sensible.batch_counters", "none")
    else:
        findings.observe(
            "sensible.batch_counters", "waiting" if counters == ["waiting"] else "more", ", ".join(counters)
        )


def _read_unknown(findings: Findings, assumption_id: str, response: ProbeResponse) -> None:
    """Record the form in which Sensible refuses an unknown id.

    The specification declares errors as plain text. A JSON body is a variant of the assumption.
    """
    # A page of HTML comes from a gateway and shows nothing about the id.
    if response.status in {400, 404} and not response.is_html:
        findings.observe(assumption_id, "json" if response.is_json else "text", f"status {response.status}")
    elif response.is_about_request:
        findings.contradict(assumption_id, response.describe_outcome(_LIST_KEYS))
