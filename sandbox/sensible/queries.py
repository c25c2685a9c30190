"""The query of Sensible's list, read out of a request."""

import base64
import binascii
from datetime import datetime, timedelta, timezone

import orjson

from sandbox.api import Call, Refusal
from sandbox.shared import milliseconds
from sandbox.timeline import Key, after, from_

from .extractions import DECISIONS, NEEDS_REVIEW, DocumentView, Status, Wanted

DEFAULT_LIMIT = 20
_USER = "7f1d9f7a-3a0c-4c37-9a55-6f0b7f1f2f60"


def bad(sentence: str) -> Refusal:
    """Documented: a sentence in plain text. Most of the sentences are the sandbox's own."""
    return Refusal(400, sentence)


def wanted(call: Call, now: datetime) -> Wanted:
    """Documented: both dates are inclusive; without them it is everything until now."""
    start, end = _moment(call, "start_date"), _moment(call, "end_date") or now
    if start is not None and start > end:
        raise bad("The start date must be before the end date")
    last = after(milliseconds(end))
    if token := call.query.get("continuation_token"):
        last = min(last, _key(token))
    return Wanted(
        # The first full millisecond that is not before the start.
        first=None if start is None else from_(milliseconds(start + timedelta(microseconds=999))),
        end=last,
        type_ids=_words(call, "document_type_ids"),
        configuration_ids=_words(call, "configuration_ids"),
        environments=_words(call, "environments", ("PRODUCTION", "DEVELOPMENT")),
        statuses=_words(call, "statuses", tuple(status.value for status in Status)),
        review_statuses=_words(call, "review_statuses", (NEEDS_REVIEW, *DECISIONS)),
        min_coverage=_share(call, "min_coverage", float("-inf")),
        max_coverage=_share(call, "max_coverage", float("inf")),
    )


def limit(call: Call) -> int:
    """Documented: 20 if nothing is said. A maximum is not known."""
    text = call.query.get("limit", "")
    if not text:
        return DEFAULT_LIMIT
    if not text.isdecimal() or int(text) < 1:
        raise bad("The limit must be a whole number from 1")
    return int(text)


def token(view: DocumentView) -> str:
    """Opaque to clients. A documented one decodes to these keys: the list goes on behind that extraction."""
    content = orjson.dumps({"id": view.extraction_id, "user": _USER, "created": view.created_ms})
    return base64.b64encode(content).decode()


def _key(text: str) -> Key:
    try:
        content = orjson.loads(base64.b64decode(text, validate=True))
        return int(content["created"]), str(content["id"])
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise bad("The continuation token is not valid") from None


def _moment(call: Call, name: str) -> datetime | None:
    text = call.query.get(name)
    if not text:
        return None
    try:
        # Python before 3.11 does not read the Z; what has no zone is taken for UTC (a guess).
        when = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise bad(f"The {name} must be a date-time such as 2026-03-09T08:14:08.000Z") from None
    return when if when.tzinfo else when.replace(tzinfo=timezone.utc)


def _words(call: Call, name: str, known: tuple[str, ...] = ()) -> frozenset[str]:
    words = frozenset(word.strip() for word in call.query.get(name, "").split(",") if word.strip())
    if known and not words <= set(known):
        raise bad(f"The {name} must be among {', '.join(known)}")
    return words


def _share(call: Call, name: str, default: float) -> float:
    text = call.query.get(name)
    if not text:
        return default
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise bad(f"The {name} must be a number from 0 to 1")
    return share
