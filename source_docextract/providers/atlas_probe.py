"""What an account of Atlas shows of what is assumed. Facts: the pages "Bulk processing" and "Error codes"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from ..config import AtlasSettings
from ..http import Request
from ..login import LONGEST_TOKEN
from ..model import Json
from ..probe.asking import Answer, ProbeScript
from ..probe.assumptions import REPORT, Assumption, Evidence, Variant, known_keys, rate_limit_headers
from ..probe.findings import Findings
from ..probe.shapes import described, kind

_MOST_BATCHES = 6
_PER_PAGE = 50
_MADE_UP = "BATCH-00000-PROBE-20200101000000"
"""No batch of anybody: what Atlas answers about it shows the form of its answers about unknown ids."""


ASSUMPTIONS: tuple[Assumption, ...] = (
    Assumption(
        "atlas.login_status",
        Evidence.DOCUMENTED,
        (
            Variant("created", "The login answers with status 201."),
            Variant("ok", "The login answers with status 200."),
        ),
        REPORT,
    ),
    Assumption(
        "atlas.expires_in",
        Evidence.DOCUMENTED,
        (
            Variant("hour", "A token lives for `expires_in` seconds, an hour."),
            Variant("other", "It lives for another number of seconds.", {"atlas_expires_in": "600"}),
            Variant("odd", "It is no number above 0; a minute at least is assumed.", {"atlas_expires_in": "-1"}),
            Variant("missing", "`expires_in` is missing; an hour is assumed.", {"atlas_expires_in": None}),
        ),
        "The connector logs in again whenever Atlas says that a token has expired.",
    ),
    Assumption(
        "atlas.token_size",
        Evidence.GUESS,
        (
            Variant("fits", "A token fits into a header."),
            Variant("too_large", "It does not; the login fails in words.", {"atlas_token_size": 100_000}),
        ),
        REPORT,
    ),
    Assumption(
        "atlas.account",
        Evidence.DOCUMENTED,
        (
            Variant("own", "The account knows batches that the settings name."),
            Variant("other", "It knows none of them: the login may be of another account.", {"other_account": True}),
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
            Variant("rows", "A batch that is asked for has rows."),
            Variant("no_rows", "A batch has no rows yet; it stays open."),
        ),
        REPORT,
    ),
    Assumption(
        "atlas.total_pages",
        Evidence.SEED,
        (
            Variant("present", "`total_pages` fits `total_items` and the 50 rows of a page."),
            Variant(
                "absent",
                "There is none, or it does not fit; pages are read one after the other.",
                {"atlas_no_total_pages": True},
            ),
        ),
        REPORT,
    ),
    Assumption(
        "atlas.page_past_the_end",
        Evidence.GUESS,
        (
            Variant("empty", "A page past the last one is empty, and says that there is no next one."),
            Variant("refused", "A page past the last one is refused."),
            Variant("repeated", "It repeats an earlier page; the connector sees that.", {"atlas_page_stuck": True}),
        ),
        REPORT,
    ),
    Assumption(
        "atlas.unknown_batch",
        Evidence.SEED,
        (
            Variant("error_code", 'The answer about an unknown batch is 400 with `{"error_code", "error_message"}`.'),
            Variant("error", 'It is 400 with `{"error"}`.'),
        ),
        f"A batch that does not exist fails its streams at every sync instead of being `missing`. {REPORT}",
    ),
    Assumption(
        "atlas.document_errors",
        Evidence.GUESS,
        (
            Variant("none", "No document that was read has an error."),
            Variant("on_row", "A document's `error_code` stands beside its `file_data`."),
            Variant("in_data", "It stands inside `file_data`.", {"atlas_error_in_file_data": True}),
        ),
        REPORT,
    ),
    Assumption(
        "atlas.confidence",
        Evidence.DOCUMENTED,
        (
            Variant("fraction", "`confidence_score` is a number from 0 to 1."),
            Variant("text", "It is such a number written as text."),
            Variant("percent", "It is a number above 1; it is delivered as sent."),
        ),
        f"Confidence is null where it is no number. {REPORT}",
    ),
    Assumption(
        "atlas.nested_fields",
        Evidence.GUESS,
        (
            Variant("wrapped", "Each field is an object of `value` and `confidence_score`."),
            Variant("bare", "Some fields are bare values or objects; their parts are fields of their own."),
        ),
        REPORT,
    ),
    Assumption(
        "atlas.batch_time",
        Evidence.GUESS,
        (
            Variant("stamp", "A batch id ends in the time of its creation, of an unknown zone."),
            Variant("none", "It does not; the batch counts as young when it is first seen."),
        ),
        REPORT,
    ),
    Assumption(
        "atlas.growing",
        Evidence.GUESS,
        (Variant("grows", "A young batch may look whole and still grow; it is read again within the lookback."),),
        "Name expected_files in a batch registry, or raise lookback_days.",
        is_visible=False,
    ),
    rate_limit_headers("atlas"),
    known_keys("atlas", Evidence.SEED, "Answers have the documented keys."),
)

_LOGIN = frozenset({"access_token", "expires_in", "refresh_token"})
_ENVELOPE = frozenset({"data", "page", "per_page", "total_pages", "total_items", "has_next", "has_prev"})
_ROW = frozenset({"document_id", "file_data", "error_code", "error_message", "error"})


def atlas_probe(settings: AtlasSettings, findings: Findings) -> ProbeScript:
    """Log in, read the first page of a few batches, then a page past the end and a batch that nobody has."""
    credentials = {
        "Client-Id": settings.client_id.get_secret_value(),
        "Client-Secret": settings.client_secret.get_secret_value(),
    }
    login = yield Request("POST", "/authtoken", headers=credentials)
    token = _read_login(findings, login)
    if not token:
        return
    longest: tuple[int, str, Answer] | None = None
    unknown: list[bool] = []
    newest = sorted(dict.fromkeys(settings.batch_ids), key=_stamp, reverse=True)[:_MOST_BATCHES]
    for batch in newest:
        findings.see("atlas.batch_time", "stamp" if _stamp(batch) else "none")
    for batch in newest:  # young batches are the ones of which the least is known
        answer = yield _page(token, batch, 1)
        unknown.append(answer.status == 400)
        rows = _read_page(findings, answer)
        if rows is not None and (longest is None or rows > longest[0]):
            longest = (rows, batch, answer)
    if unknown:
        findings.see("atlas.account", "other" if all(unknown) else "own")
    if longest and longest[0]:
        past_the_end = _pages_of(longest[2]) + 1
        answer = yield _page(token, longest[1], past_the_end)
        _read_past_the_end(findings, longest[2], answer)
    answer = yield _page(token, _MADE_UP, 1)
    _read_unknown(findings, answer)


def _stamp(batch: str) -> str:
    """Return the time at the end of a batch id, as text that sorts; empty where it has none."""
    stamp = re.search(r"-(\d{14})$", batch)
    return stamp[1] if stamp else ""


def _page(token: str, batch: str, number: int) -> Request:
    params: dict[str, str | int] = {"batch_id": batch, "page": number, "per_page": _PER_PAGE}
    return Request("GET", "/extracts", params=params, headers={"Token": token})


def _read_login(findings: Findings, answer: Answer) -> str:
    """Return the token, empty where there is none."""
    body = answer.body if isinstance(answer.body, Mapping) else {}
    token = body.get("access_token")
    if not answer.is_ok or not isinstance(token, str) or not token:
        findings.note(f"The login failed ({answer.outcome(_ENVELOPE | _ROW)}), so nothing else was asked.")
        return ""
    findings.see_keys("atlas.keys", body, _LOGIN)
    if answer.status in {200, 201}:
        findings.see("atlas.login_status", "created" if answer.status == 201 else "ok")
    else:
        findings.contradict("atlas.login_status", f"status {answer.status}")
    seconds = body.get("expires_in")
    if seconds is None:
        findings.see("atlas.expires_in", "missing")
    elif isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and seconds > 0:
        findings.see("atlas.expires_in", "hour" if seconds == 3600 else "other", f"{seconds:.0f} seconds")
    else:
        findings.see("atlas.expires_in", "odd", kind(seconds))
    findings.see("atlas.token_size", "fits" if len(token) <= LONGEST_TOKEN else "too_large", f"{len(token)} characters")
    return token if len(token) <= LONGEST_TOKEN else ""


def _read_page(findings: Findings, answer: Answer) -> int | None:
    """Return how many rows the first page of a batch has, None where it cannot be read."""
    body = answer.body
    rows = body.get("data") if isinstance(body, Mapping) else None
    if not answer.is_ok or not isinstance(body, Mapping) or not isinstance(rows, list):
        findings.note(f"A batch could not be read ({answer.outcome(_ENVELOPE | _ROW)}).")
        return None
    findings.see_keys("atlas.keys", body, _ENVELOPE)
    findings.see("atlas.young_batch", "rows" if rows else "no_rows")
    documents = [row for row in rows if isinstance(row, Mapping)]
    for row in documents:
        _read_row(findings, row)
    total, pages = body.get("total_items"), body.get("total_pages")
    if not isinstance(total, int) or isinstance(total, bool):
        findings.contradict("atlas.total_items", f"`total_items` is {described(total)}")
        return len(rows)
    if rows:
        has_empty = any(not row.get("file_data") and not _has_error(row) for row in documents)
        findings.see("atlas.total_items", "empty_rows" if has_empty else "all_rows")
        if total < len(rows) or (total > len(rows) and body.get("has_next") is False):
            findings.contradict("atlas.total_items", "`total_items` is not the number of rows of an only page")
    findings.see("atlas.total_pages", "present" if pages == -(-total // _PER_PAGE) else "absent")
    return len(rows)


def _has_error(row: Mapping[str, Json]) -> bool:
    return bool(row.get("error_code") or row.get("error_message") or row.get("error"))


def _read_row(findings: Findings, row: Mapping[str, Json]) -> None:
    findings.see_keys("atlas.keys", row, _ROW)
    data = row.get("file_data")
    is_failed_inside = isinstance(data, Mapping) and isinstance(data.get("error_code"), str)
    if _has_error(row):
        findings.see("atlas.document_errors", "on_row")
    elif is_failed_inside:
        findings.see("atlas.document_errors", "in_data")
    else:
        findings.see("atlas.document_errors", "none")
    if isinstance(data, Mapping) and not is_failed_inside:
        fields = [value for name, value in data.items() if name != "document_type"]
        _read_fields(findings, fields)


def _read_fields(findings: Findings, fields: Sequence[Json]) -> None:
    wrapped = [value for value in fields if isinstance(value, Mapping) and "confidence_score" in value]
    if fields:
        findings.see("atlas.nested_fields", "wrapped" if len(wrapped) == len(fields) else "bare")
    for score in _scores(wrapped):
        if isinstance(score, (int, float)) and not isinstance(score, bool):
            findings.see("atlas.confidence", "fraction" if 0 <= score <= 1 else "percent")
        elif isinstance(score, str) and _is_fraction(score):
            findings.see("atlas.confidence", "text")
        elif score is not None:
            findings.contradict("atlas.confidence", f"`confidence_score` is {kind(score)}")


def _scores(wrapped: Sequence[Mapping[str, Json]]) -> Iterator[Json]:
    return (value.get("confidence_score") for value in wrapped)


def _is_fraction(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


def _pages_of(first: Answer) -> int:
    total = first.body.get("total_items")
    return max(1, -(-total // _PER_PAGE)) if isinstance(total, int) else 1


def _read_past_the_end(findings: Findings, first: Answer, answer: Answer) -> None:
    name = "atlas.page_past_the_end"
    rows = answer.body.get("data") if isinstance(answer.body, Mapping) else None
    if 400 <= answer.status < 500:
        findings.see(name, "refused", f"status {answer.status}")
    elif not answer.is_ok or not isinstance(rows, list):
        findings.note(f"A page past the end could not be read ({answer.outcome(_ENVELOPE | _ROW)}).")
    elif rows and _ids(rows) == _ids(first.body.get("data")):
        findings.see(name, "repeated")
    elif not rows and not answer.body.get("has_next"):
        findings.see(name, "empty")
    else:
        findings.contradict(name, f"a page past the end is {described(answer.body, _ENVELOPE)}")


def _ids(rows: Json) -> list[Json]:
    """Return the document ids of a page; its links are signed anew in each answer."""
    return [row.get("document_id") for row in rows if isinstance(row, Mapping)]


def _read_unknown(findings: Findings, answer: Answer) -> None:
    body = answer.body if isinstance(answer.body, Mapping) else {}
    if answer.status == 400 and "error_code" in body:
        findings.see("atlas.unknown_batch", "error_code")
    elif answer.status == 400 and "error" in body:
        findings.see("atlas.unknown_batch", "error")
    elif answer.is_about_the_request:
        findings.contradict("atlas.unknown_batch", answer.outcome(_ENVELOPE | _ROW))
