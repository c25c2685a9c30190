"""Parser of the query parameters of Sensible's list."""

import base64
import binascii
from datetime import datetime, timedelta, timezone

import orjson

from docextract_sandbox.api import ApiError, ApiRequest
from docextract_sandbox.context import to_milliseconds
from docextract_sandbox.switches import StatusFilterMode
from docextract_sandbox.timeline import TimelineKey, make_lower_key, make_upper_key

from .extractions import DECISIONS, NEEDS_REVIEW, DocumentView, Filter, Status

DEFAULT_LIMIT = 20
_USER_ID = "7f1d9f7a-3a0c-4c37-9a55-6f0b7f1f2f60"


def make_bad_request(message: str) -> ApiError:
    """Return an error in the documented form, plain text.

    Most sentences are the sandbox's own.
    """
    return ApiError(400, message)


def parse_filter(request: ApiRequest, now: datetime, *, status_mode: StatusFilterMode = "obeyed") -> Filter:
    """Return the filter of a request.

    As documented both dates are inclusive, and the default is all until now.

    Args:
        request: The request.
        now: The time of the request.
        status_mode: The treatment of `statuses` and `review_statuses`.

    Raises:
        ApiError: Status 400 for a parameter that is not valid.
    """
    start, end = _parse_moment(request, "start_date"), _parse_moment(request, "end_date") or now
    if start is not None and start > end:
        raise make_bad_request("The start date must be before the end date")
    end_key = make_upper_key(to_milliseconds(end))
    # The key of the token's extraction ends the page: rows with the same millisecond are neither lost nor repeated.
    if token := request.query.get("continuation_token"):
        end_key = min(end_key, _parse_token(token))
    return Filter(
        # Documents have full milliseconds: round the start up to the next one.
        first_key=None if start is None else make_lower_key(to_milliseconds(start + timedelta(microseconds=999))),
        end_key=end_key,
        type_ids=_parse_words(request, "document_type_ids"),
        configuration_ids=_parse_words(request, "configuration_ids"),
        environments=_parse_words(request, "environments", ("PRODUCTION", "DEVELOPMENT")),
        statuses=_parse_statuses(request, "statuses", tuple(status.value for status in Status), status_mode),
        review_statuses=_parse_statuses(request, "review_statuses", (NEEDS_REVIEW, *DECISIONS), status_mode),
        min_coverage=_parse_share(request, "min_coverage", float("-inf")),
        max_coverage=_parse_share(request, "max_coverage", float("inf")),
    )


def parse_limit(request: ApiRequest) -> int:
    """Return the page size, which is documented as 20 by default.

    A maximum is not documented.
    """
    text = request.query.get("limit", "")
    if not text:
        return DEFAULT_LIMIT
    if not text.isdecimal() or int(text) < 1:
        raise make_bad_request("The limit must be a whole number from 1")
    return int(text)


def make_token(view: DocumentView) -> str:
    """Return the token of the page behind an extraction.

    A documented token decodes to the same keys.
    """
    content = orjson.dumps({"id": view.extraction_id, "user": _USER_ID, "created": view.created_ms})
    return base64.b64encode(content).decode()


def _parse_token(token_text: str) -> TimelineKey:
    try:
        content = orjson.loads(base64.b64decode(token_text, validate=True))
        return int(content["created"]), str(content["id"])
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise make_bad_request("The continuation token is not valid") from None


def _parse_moment(request: ApiRequest, name: str) -> datetime | None:
    text = request.query.get(name)
    if not text:
        return None
    try:
        # `fromisoformat` does not accept the Z before Python 3.11. A time without a zone is UTC (a guess).
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise make_bad_request(f"The {name} must be a date-time such as 2026-03-09T08:14:08.000Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _parse_words(request: ApiRequest, name: str, allowed_words: tuple[str, ...] = ()) -> frozenset[str]:
    values = frozenset(word.strip() for word in request.query.get(name, "").split(",") if word.strip())
    if allowed_words and not values <= set(allowed_words):
        raise make_bad_request(f"The {name} must be among {', '.join(allowed_words)}")
    return values


def _parse_statuses(
    request: ApiRequest, name: str, allowed_words: tuple[str, ...], status_mode: StatusFilterMode
) -> frozenset[str]:
    statuses = _parse_words(request, name, allowed_words)
    if not statuses or status_mode == "ignored":
        return frozenset()
    if status_mode == "refused":
        raise make_bad_request(f"The {name} cannot be filtered by")
    first_word = request.query[name].split(",")[0].strip()
    return frozenset({first_word}) if status_mode == "first" else statuses


def _parse_share(request: ApiRequest, name: str, default: float) -> float:
    text = request.query.get(name)
    if not text:
        return default
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise make_bad_request(f"The {name} must be a number from 0 to 1")
    return share
