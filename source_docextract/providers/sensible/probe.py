"""What an account of Sensible shows of what is assumed. Facts: "List extractions", and its specifications."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ...config import SensibleSettings
from ...http import Request
from ...model import Json
from ...probe.asking import Answer, ProbeScript
from ...probe.assumptions import REPORT, Assumption, Evidence, Variant, known_keys, rate_limit_headers
from ...probe.findings import Findings
from ...probe.shapes import described, kind, parsed_time, time_format
from ..base import path

_MADE_UP = "00000000-0000-4000-8000-000000000000"
"""No id of anybody: what Sensible answers about it shows the form of its answers about unknown ids."""

_PER_PAGE = 100
_LARGE = 1000
_FEW = 5
_LONG_AGO = "2014-12-31T00:00:00Z"
_MOST_PAGES = 4
_MOST_DOCUMENTS = 7
_MOST_BATCHES = 4

ASSUMPTIONS: tuple[Assumption, ...] = (
    Assumption(
        "sensible.page_size",
        Evidence.GUESS,
        (
            Variant("hundred", "A page of the list holds 100 rows where there are as many."),
            Variant("smaller", "It holds fewer; the connector reads on for as long as there is a token."),
        ),
        f"The list cannot be read. {REPORT}",
    ),
    Assumption(
        "sensible.largest_limit",
        Evidence.GUESS,
        (
            Variant("capped", "A larger `limit` is cut down to what a page can hold."),
            Variant("obeyed", "A larger `limit` is obeyed; the connector asks for 100."),
            Variant("refused", "A larger `limit` is refused; the connector asks for 100."),
        ),
        REPORT,
    ),
    Assumption(
        "sensible.sparse_pages",
        Evidence.DOCUMENTED,
        (
            Variant("full", "Only the last page is short."),
            Variant("sparse", "A page may be short, or empty, and have a token; it is read on.", {"sensible_scan": 5}),
        ),
        REPORT,
    ),
    Assumption(
        "sensible.paging",
        Evidence.GUESS,
        (
            Variant("moves", "A token leads to another page, and the list ends."),
            Variant(
                "empty",
                "Pages are empty, one after the other, and have tokens; they are read on.",
                {"sensible_endless": "empty"},
            ),
            Variant("circle", "A token comes again; such a day fails in words.", {"sensible_endless": "circle"}),
            Variant(
                "rows",
                "There are rows of before 2015, as in a list without an end; such a day fails in words.",
                {"sensible_endless": "rows"},
            ),
        ),
        REPORT,
    ),
    Assumption(
        "sensible.account",
        Evidence.DOCUMENTED,
        (
            Variant("own", "The account shows extractions."),
            Variant("empty", "It shows none: the key may be of another account.", {"other_account": True}),
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
        REPORT,
    ),
    Assumption(
        "sensible.last_token",
        Evidence.GUESS,
        (
            Variant("null", "`continuation_token` is null on the last page."),
            Variant("absent", "It is missing on the last page."),
        ),
        f"The list may be read in circles. {REPORT}",
    ),
    Assumption(
        "sensible.order",
        Evidence.DOCUMENTED,
        (Variant("newest_first", "The list is in the order of `created`, newest first."),),
        f"The oldest extraction may be looked for in vain, and history be left out. {REPORT}",
    ),
    Assumption(
        "sensible.dates",
        Evidence.DOCUMENTED,
        (Variant("inclusive", "`start_date` and `end_date` include their own time."),),
        f"Rows at the edge of a window may be left out. {REPORT}",
    ),
    Assumption(
        "sensible.created",
        Evidence.DOCUMENTED,
        (
            Variant("zoned", "`created` is ISO 8601 with a zone."),
            Variant("naive", "It has no zone; UTC is assumed.", {"sensible_naive_times": True}),
        ),
        f"Rows without a readable time are read again at each sync. {REPORT}",
    ),
    Assumption(
        "sensible.status",
        Evidence.DOCUMENTED,
        (
            Variant("known", "Extractions are `WAITING`, `PROCESSING`, `COMPLETE` or `FAILED`."),
            Variant("unknown", "There are other statuses, which count as unfinished.", {"unknown_status": "queued"}),
        ),
        REPORT,
    ),
    Assumption(
        "sensible.review_statuses",
        Evidence.GUESS,
        (
            Variant("list", "A summary's `reviewStatuses` is a list, which may hold nulls."),
            Variant("text", "It is text."),
            Variant("null", "It is null."),
            Variant("absent", "It is missing."),
        ),
        f"Reviews may not be watched. {REPORT}",
    ),
    Assumption(
        "sensible.batch_id_in_list",
        Evidence.GUESS,
        (
            Variant("absent", "A summary does not tell the batch; the document does."),
            Variant("present", "A summary has a `batchId`.", {"sensible_batch_id_in_list": True}),
        ),
        REPORT,
    ),
    Assumption(
        "sensible.batch_id_key",
        Evidence.SEED,
        (
            Variant("batchId", "A document of a batch has the key `batchId`."),
            Variant("none", "No document that was read belongs to a batch."),
        ),
        f"Files have no batch. {REPORT}",
    ),
    Assumption(
        "sensible.portfolio_keys",
        Evidence.DOCUMENTED,
        (
            Variant("snake_case", "A portfolio's documents have `parsed_document` in their `output`."),
            Variant("camel_case", "They have `parsedDocument`.", {"sensible_camel_case": True}),
        ),
        f"Results of portfolios may be empty. {REPORT}",
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
        REPORT,
    ),
    Assumption(
        "sensible.value_confidence",
        Evidence.DOCUMENTED,
        (
            Variant("fraction", "`valueConfidence` is a number from 0 to 1."),
            Variant("text", "It is text."),
            Variant("percent", "It is a number above 1; it is delivered as sent."),
        ),
        REPORT,
    ),
    Assumption(
        "sensible.purged",
        Evidence.GUESS,
        (
            Variant("none", "What the list shows as finished can be read."),
            Variant("listed", "The list shows documents that can no longer be read; they are asked for again."),
        ),
        REPORT,
    ),
    Assumption(
        "sensible.batch_counters",
        Evidence.SEED,
        (
            Variant("waiting", "A batch tells `waiting`."),
            Variant("none", "It tells no counter.", {"sensible_waiting_counter": False}),
            Variant("more", "It tells other counters too."),
        ),
        REPORT,
    ),
    Assumption(
        "sensible.unknown_document",
        Evidence.GUESS,
        (
            Variant("text", "The answer about an unknown document is 404 or 400 in text."),
            Variant("json", "It is 404 or 400 in JSON."),
        ),
        f"Documents that were deleted fail the sync. {REPORT}",
    ),
    Assumption(
        "sensible.unknown_batch",
        Evidence.GUESS,
        (
            Variant("text", "The answer about an unknown batch is 404 or 400 in text."),
            Variant("json", "It is 404 or 400 in JSON."),
        ),
        f"A batch that does not exist fails its streams at every sync instead of being `missing`. {REPORT}",
    ),
    Assumption(
        "sensible.throttling",
        Evidence.GUESS,
        (
            Variant("none", "Reading is not answered with 429."),
            Variant(
                "throttled", "Reading is answered with 429 for a while; it is waited for.", {"sensible_throttle": 1}
            ),
            Variant(
                "quota",
                "Reading is answered with 429 for the month's allowance.",
                {"sensible_quota_spent": 100},
            ),
        ),
        REPORT,
    ),
    Assumption(
        "sensible.fixed_batches",
        Evidence.GUESS,
        (Variant("fixed", "The documents of a batch are fixed when it is created, and so is their order."),),
        REPORT,
        is_visible=False,
    ),
    Assumption(
        "sensible.final_reviews",
        Evidence.DOCUMENTED,
        (Variant("final", "A review that is decided is not opened again."),),
        "Raise lookback_days: changes within it are seen where the summary shows them.",
        is_visible=False,
    ),
    Assumption(
        "sensible.waiting",
        Evidence.GUESS,
        (Variant("for_ever", "A document that is never uploaded waits for ever; give_up_after_days ends that."),),
        REPORT,
        is_visible=False,
    ),
    rate_limit_headers("sensible"),
    known_keys("sensible", Evidence.DOCUMENTED, "Answers have the documented keys."),
)

_LIST = frozenset({"extractions", "continuation_token", "cutoff_date", "message", "error"})
_SUMMARY = frozenset(
    {
        "id", "created", "completed", "status", "type", "types", "configuration", "environment", "document_name",
        "page_count", "coverage", "charged", "reviewStatuses", "validation_summary", "validations", "errors",
        "documents", "batchId",
    }
)  # fmt: skip
_DOCUMENT = _SUMMARY | {
    "reviewStatus", "configuration_version", "content_type", "file_metadata", "classification_summary",
    "parsed_document", "postprocessorOutput", "download_url", "webhook", "extra_data", "uploaded", "processing_started",
    "version_id", "segment_documents_with",
}  # fmt: skip
_BATCH = frozenset({"id", "description", "extraction_ids", "waiting", "processing", "complete", "completed", "failed"})
_STATUSES = frozenset({"WAITING", "PROCESSING", "COMPLETE", "FAILED"})


def sensible_probe(settings: SensibleSettings, findings: Findings) -> ProbeScript:
    """Look at pages of the list, at a few documents and a batch, and at ids that nobody has."""
    scope = {"environments": ",".join(settings.environments)}
    answer = yield _list(scope, limit=_PER_PAGE)
    rows = _read_list(findings, answer, _PER_PAGE)
    if rows is None:
        return
    is_over = not answer.body.get("continuation_token")
    if rows or is_over:
        findings.see("sensible.account", "own" if rows else "empty")
    yield from _probe_pages(findings, scope, rows, is_short=not is_over and len(rows) < _PER_PAGE)
    yield from _probe_dates(findings, scope, rows)
    batches = list(settings.batch_ids)
    yield from _probe_documents(findings, _chosen(rows), batches)
    for batch in batches[-_MOST_BATCHES:]:
        answer = yield Request("GET", path("extract", "batch", batch))
        _read_batch(findings, answer)
    answer = yield Request("GET", path("documents", _MADE_UP))
    _read_unknown(findings, "sensible.unknown_document", answer)
    answer = yield Request("GET", path("extract", "batch", _MADE_UP))
    _read_unknown(findings, "sensible.unknown_batch", answer)


def _list(scope: Mapping[str, str], **params: str | int) -> Request:
    return Request("GET", "/extractions", params={**scope, **params})


def _read_list(findings: Findings, answer: Answer, limit: int) -> list[Mapping[str, Json]] | None:
    """Return the rows of a page, None where there are none to be had."""
    if answer.status == 429:
        findings.see("sensible.throttling", "quota")
    body = answer.body
    rows = body.get("extractions") if isinstance(body, Mapping) else None
    if not answer.is_ok or not isinstance(body, Mapping) or not isinstance(rows, list):
        findings.note(f"The list could not be read ({answer.outcome(_LIST)}).")
        return None
    findings.see_keys("sensible.keys", body, _LIST)
    summaries = [row for row in rows if isinstance(row, Mapping)]
    has_more = bool(body.get("continuation_token"))
    if has_more:
        if limit == _PER_PAGE:
            findings.see("sensible.page_size", "hundred" if len(rows) == _PER_PAGE else "smaller", f"{len(rows)} rows")
    else:
        findings.see("sensible.last_token", "null" if "continuation_token" in body else "absent")
    times = [time for row in summaries if (time := parsed_time(row.get("created")))]
    has_one_form = len({time.tzinfo is None for time in times}) == 1
    if len(times) > 1 and has_one_form:
        if times == sorted(times, reverse=True):
            findings.see("sensible.order", "newest_first")
        else:
            findings.contradict("sensible.order", "the rows of a page are in another order")
    for row in summaries:
        _read_summary(findings, row)
    return summaries


def _read_summary(findings: Findings, row: Mapping[str, Json]) -> None:
    findings.see_keys("sensible.keys", row, _SUMMARY)
    form = time_format(row.get("created"))
    if form.startswith("ISO 8601"):
        findings.see("sensible.created", "zoned" if form == "ISO 8601 with a zone" else "naive")
    else:
        findings.contradict("sensible.created", f"`created` is {form}")
    status = row.get("status")
    findings.see_status("sensible.status", status, _STATUSES)
    reviews = row.get("reviewStatuses")
    if "reviewStatuses" not in row:
        findings.see("sensible.review_statuses", "absent")
    elif reviews is None or isinstance(reviews, (str, list)):
        findings.see("sensible.review_statuses", {"null": "null", "text": "text", "list": "list"}[kind(reviews)])
    else:
        findings.contradict("sensible.review_statuses", f"`reviewStatuses` is {described(reviews)}")
    findings.see("sensible.batch_id_in_list", "present" if "batchId" in row else "absent")


def _probe_pages(
    findings: Findings, scope: Mapping[str, str], rows: Sequence[Mapping[str, Json]], *, is_short: bool
) -> ProbeScript:
    """Ask for more than a page can hold, then for a few small pages in a row."""
    answer = yield _list(scope, limit=_LARGE)
    found = answer.body.get("extractions") if isinstance(answer.body, Mapping) else None
    if 400 <= answer.status < 500 and answer.status != 429:
        findings.see("sensible.largest_limit", "refused", f"status {answer.status}")
    elif answer.is_ok and isinstance(found, list) and len(rows) == _PER_PAGE:
        is_more = len(found) > _PER_PAGE
        findings.see("sensible.largest_limit", "obeyed" if is_more else "capped", f"{len(found)} rows")
    token: Json = None
    seen: set[str] = set()
    count = 0
    for _ in range(_MOST_PAGES):
        more = {"continuation_token": token} if isinstance(token, str) else {}
        answer = yield _list(scope, limit=_FEW, **more)
        page = _read_list(findings, answer, _FEW)
        if page is None:
            return
        count += len(page)
        token = answer.body.get("continuation_token")
        if not isinstance(token, str):
            break
        is_short = is_short or len(page) < _FEW
        if token in seen:
            findings.see("sensible.paging", "circle")
            return
        seen.add(token)
    if token and not count:
        findings.see("sensible.paging", "empty")
        return
    if seen:
        findings.see("sensible.sparse_pages", "sparse" if is_short else "full")
    answer = yield _list(scope, limit=1, end_date=_LONG_AGO)
    rows_then = _read_list(findings, answer, 1)
    if rows_then is not None:
        findings.see("sensible.paging", "rows" if rows_then else "moves")


def _probe_dates(findings: Findings, scope: Mapping[str, str], rows: Sequence[Mapping[str, Json]]) -> ProbeScript:
    """Ask for the very time of one row, as both the first and the last."""
    row = next((row for row in rows if isinstance(row.get("created"), str)), None)
    if row is None:
        return
    created = row["created"]
    answer = yield _list(scope, limit=_PER_PAGE, start_date=created, end_date=created)
    found = answer.body.get("extractions") if isinstance(answer.body, Mapping) else None
    if not answer.is_ok or not isinstance(found, list):
        findings.note(f"The list could not be read for one moment ({answer.outcome(_LIST)}).")
    elif any(isinstance(one, Mapping) and one.get("id") == row.get("id") for one in found):
        findings.see("sensible.dates", "inclusive")
    else:
        findings.contradict("sensible.dates", "a row is not in the list of its own moment")


def _chosen(rows: Sequence[Mapping[str, Json]]) -> list[Mapping[str, Json]]:
    """Return a few extractions that differ: finished, oldest, portfolio, reviewed, unfinished, failed."""
    complete = [row for row in rows if row.get("status") == "COMPLETE"]
    groups = (
        complete[:1],
        complete[len(complete) // 3 :][:1],
        complete[-1:],  # the oldest, and most likely to be purged or in a finished batch
        [row for row in complete if row.get("types") or row.get("documents")][:1],
        [row for row in rows if row.get("reviewStatuses")][:1],
        [row for row in rows if row.get("status") not in {"COMPLETE", "FAILED"}][:1],
        [row for row in rows if row.get("batchId")][:1],
    )
    unique = {str(row.get("id")): row for group in groups for row in group}
    return list(unique.values())[:_MOST_DOCUMENTS]


def _probe_documents(findings: Findings, rows: Sequence[Mapping[str, Json]], batches: list[str]) -> ProbeScript:
    """Read a few documents, and add the batches that they are in to `batches`."""
    for row in rows:
        answer = yield Request("GET", path("documents", str(row.get("id"))))
        is_finished = row.get("status") == "COMPLETE"
        if answer.status in {400, 404, 410}:
            if is_finished:
                findings.see("sensible.purged", "listed", f"status {answer.status}")
            continue
        if not answer.is_ok or not isinstance(answer.body, Mapping):
            findings.note(f"A document could not be read ({answer.outcome(_DOCUMENT)}).")
            continue
        if is_finished:
            findings.see("sensible.purged", "none")
        _read_document(findings, answer.body)
        batch = answer.body.get("batchId")
        if isinstance(batch, str) and batch and batch not in batches:
            batches.append(batch)


def _read_document(findings: Findings, document: Mapping[str, Json]) -> None:
    findings.see_keys("sensible.keys", document, _DOCUMENT)
    findings.see("sensible.batch_id_key", "batchId" if document.get("batchId") else "none")
    parts = document.get("documents")
    if isinstance(parts, list) and document.get("status") == "COMPLETE":
        if not parts:
            findings.see("sensible.portfolios", "no_documents")
        for part in parts:
            _read_part(findings, part)
        return
    if document.get("status") != "COMPLETE" or isinstance(parts, list):
        return
    parsed = document.get("parsed_document")
    if isinstance(parsed, Mapping):
        findings.see("sensible.parsed_document", "object")
        _read_confidences(findings, parsed)
    elif parsed is None:
        is_postprocessed = document.get("postprocessorOutput") is not None
        findings.see("sensible.parsed_document", "postprocessed" if is_postprocessed else "absent")
    else:
        findings.contradict("sensible.parsed_document", f"`parsed_document` is {kind(parsed)}")


def _read_part(findings: Findings, part: Json) -> None:
    output = part.get("output") if isinstance(part, Mapping) else None
    if not isinstance(output, Mapping):
        findings.see("sensible.portfolios", "no_output")
        return
    findings.see("sensible.portfolios", "whole")
    if "parsed_document" in output:
        findings.see("sensible.portfolio_keys", "snake_case")
    elif "parsedDocument" in output:
        findings.see("sensible.portfolio_keys", "camel_case")
    elif "postprocessorOutput" not in output:
        findings.contradict("sensible.portfolio_keys", f"`output` is {described(output, _DOCUMENT)}")


def _read_confidences(findings: Findings, parsed: Json) -> None:
    for confidence in _confidences(parsed):
        if isinstance(confidence, (int, float)) and not isinstance(confidence, bool):
            findings.see("sensible.value_confidence", "fraction" if 0 <= confidence <= 1 else "percent")
        elif isinstance(confidence, str):
            findings.see("sensible.value_confidence", "text")
        elif confidence is not None:
            findings.contradict("sensible.value_confidence", f"`valueConfidence` is {kind(confidence)}")


def _confidences(value: Json) -> Iterator[Json]:
    """Yield each `valueConfidence` in what was extracted, however deep, without recursion."""
    pending = [value]
    while pending:
        node = pending.pop()
        if isinstance(node, Mapping):
            if "valueConfidence" in node and "value" in node:
                yield node["valueConfidence"]
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)


def _read_batch(findings: Findings, answer: Answer) -> None:
    body = answer.body
    if not answer.is_ok or not isinstance(body, Mapping):
        findings.note(f"A batch could not be read ({answer.outcome(_BATCH)}).")
        return
    findings.see_keys("sensible.keys", body, _BATCH)
    counters = sorted(body.keys() & {"waiting", "processing", "complete", "completed", "failed"})
    if not counters:
        findings.see("sensible.batch_counters", "none")
    else:
        findings.see("sensible.batch_counters", "waiting" if counters == ["waiting"] else "more", ", ".join(counters))


def _read_unknown(findings: Findings, assumption: str, answer: Answer) -> None:
    """Errors are documented as text; a body of JSON is read as well."""
    if answer.status in {400, 404} and not answer.is_html:
        findings.see(assumption, "json" if answer.is_json else "text", f"status {answer.status}")
    elif answer.is_about_the_request:
        findings.contradict(assumption, answer.outcome(_LIST))
