"""Atlas (helloatlas.in), the bulk service.

Facts are from Atlas's pages on bulk processing. Credentials are traded for a token; documents come in pages of up to
50, with `has_next` and `total_pages`. No list of batches, no status, no time: a batch is finished when it has as many
documents as it says (`total_items`, more than none). Only a batch's id carries a time (`…-20260309081408`), of a zone
that nobody tells.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone

from ..answers import Dialect
from ..config import AtlasSettings
from ..errors import BadAnswer, Unavailable
from ..fields import SCALARS, Notation
from ..http import Login, Request
from ..model import (
    BatchRef,
    BatchStatus,
    Document,
    Extraction,
    FileKeys,
    FileStatus,
    Json,
    Snapshot,
    digest_of_data,
    sorted_json,
)
from ..registry import Registry
from ..templates import Templates, by_type
from .atlas_types import templates
from .base import (
    Plan,
    Product,
    Script,
    Typing,
    answers,
    as_object,
    count,
    each,
    identifier,
    json_object,
    left_out,
    named_by,
    others,
    text,
)

_PER_PAGE = 50
_AT_ONCE = 1000  # pages that are asked for because one says that they are there
_LOOKED_AT = 20  # batches, for the document types in them
_SIGNED_LINK = "redact_url"

NOTATION = Notation(
    sign="confidence_score",
    sign_is=SCALARS,
    confidence="confidence_score",
    aside=frozenset({"document_type"}),  # it stands in its own column
)

_NEVER = datetime.min.replace(tzinfo=timezone.utc)

_ZONE_MARGIN = timedelta(days=1)
"""The time in a batch id is taken for a day later than it reads, so that no zone makes a batch look too old."""


def atlas(settings: AtlasSettings, registry: Registry | None = None) -> Plan:
    registered = registry.of("atlas") if registry else ()
    named = (*map(_ref, settings.batch_ids), *(ref.merged(_ref(ref.batch_id)) for ref in registered))
    credentials = {
        "Client-Id": settings.client_id.get_secret_value(),
        "Client-Secret": settings.client_secret.get_secret_value(),
    }
    return Plan(
        dialect=Dialect(
            "Atlas",
            "atlas.client_id and atlas.client_secret",
            reason=_reason,
            is_about_id=_is_about_id,
            final={410: "no longer serves this version of its API; set atlas.base_url to the address Atlas gave you"},
        ),
        base_url=settings.base_url,
        products=(
            Product(
                name="atlas",
                named=named,
                named_by=named_by("atlas.batch_ids", settings.batch_ids, registered),
                knows=_knows,
                fetch=_fetch,
                notation=NOTATION,
                typing=Typing(lambda: _templates(named), by_type),
            ),
        ),
        check=_check,
        login=Login(Request("POST", "/authtoken", headers=credentials), "Token", _token),
    )


def _reason(body: Json) -> str | None:
    """`{"error_code", "error_message"}`, or `{"error"}` from the login."""
    return text(body.get("error_message")) or text(body.get("error")) if isinstance(body, Mapping) else None


def _is_about_id(status: int, body: Json) -> bool:
    """A batch_id that is "missing or invalid" gets 400 (page "Get extracts") with `error_code` and `error_message`."""
    return (
        status == 400 and isinstance(body, Mapping) and bool(text(body.get("error_code"))) and "error_message" in body
    )


def _token(body: Json) -> tuple[str, float]:
    answer = json_object(body, "Atlas's answer to the login")
    token = text(answer.get("access_token"))
    if not token:
        raise BadAnswer("Atlas's answer to the login holds no access_token.")
    return token, float(count(answer.get("expires_in")) or 3600)


def _check() -> Script[None]:
    """The login, which comes before any request, proves all there is to prove."""
    yield []


def _ref(batch_id: str) -> BatchRef:
    """A batch by its id; the time in it is for inside use only."""
    stamp = re.search(r"-(\d{14})$", batch_id)
    try:
        told = datetime.strptime(stamp[1], "%Y%m%d%H%M%S").replace(tzinfo=timezone.utc) if stamp else None
        clock = told + _ZONE_MARGIN if told else None
    except (ValueError, OverflowError):
        clock = None
    return BatchRef(None, batch_id, clock=clock, named=True)


def _templates(named: Sequence[BatchRef]) -> Script[Templates]:
    """What the first pages of the newest batches show, beside what is known."""
    refs = {ref.key: ref for ref in named}.values()
    newest = sorted(refs, key=lambda ref: ref.clock or _NEVER, reverse=True)[:_LOOKED_AT]
    bodies = yield from answers([_page(ref.batch_id, 1) for ref in newest])
    told = [(ref, body) for ref, body in zip(newest, bodies, strict=True) if not isinstance(body, Unavailable)]
    rows = [row for ref, body in told for row in _Page(ref, 1, body).rows]
    documents = each(rows, lambda row: _document(row, FileKeys()))
    return templates([one for document in documents for one in document.extractions], NOTATION)


def _page(batch_id: str, page: int) -> Request:
    return Request("GET", "/extracts", params={"batch_id": batch_id, "page": page, "per_page": _PER_PAGE})


def _fetch(ref: BatchRef) -> Script[Snapshot]:
    """Page 1 tells how many there are; those go side by side; then on for as long as the last one has a next."""
    try:
        [answer] = yield [_page(ref.batch_id, 1)]
    except Unavailable as refusal:
        return Snapshot(ref, BatchStatus.MISSING, error=str(refusal))
    pages = [_Page(ref, 1, answer)]
    while pages[-1].has_next:
        last = max(len(pages) + 1, min(len(pages) + _AT_ONCE, pages[-1].last_page))
        numbers = range(len(pages) + 1, last + 1)
        answers = yield [_page(ref.batch_id, number) for number in numbers]
        pages.extend(_Page(ref, number, answer) for number, answer in zip(numbers, answers, strict=True))
        _guard_against_repeating(pages)
    return _snapshot(ref, pages)


def _knows(ref: BatchRef) -> Script[bool]:
    try:
        yield [_page(ref.batch_id, 1)]
    except Unavailable:
        return False
    return True


class _Page:
    """One answer of /extracts."""

    def __init__(self, ref: BatchRef, number: int, body: Json) -> None:
        self._number = number
        self.body = json_object(body, f"Atlas's page {number} of {ref.batch_id}")
        self._name = f"page {number} of {ref.batch_id}"
        rows = self.body.get("data")
        if not isinstance(rows, list):
            raise BadAnswer(f"Atlas's {self._name} holds no list of documents.")
        self.rows = each(rows, _row)
        self.left_out = len(rows) - len(self.rows)
        if count(self.body.get("page")) not in {number, None}:
            raise BadAnswer(f"Atlas sent another page instead of {self._name}; the batch is left for the next sync.")
        self.total_items = count(self.body.get("total_items"))

    @property
    def has_next(self) -> bool:
        told = self.body.get("has_next")
        return told if isinstance(told, bool) else self._number < (count(self.body.get("total_pages")) or 0)

    @property
    def last_page(self) -> int:
        """The last page so far as this one tells, and tells it soundly; 0 otherwise."""
        pages, items = count(self.body.get("total_pages")) or 0, self.total_items or 0
        return pages if pages == math.ceil(items / _PER_PAGE) else 0

    @property
    def repeats(self) -> tuple[str | None, ...]:
        """What it has in common with a page that it repeats: its documents, in their order."""
        return tuple(text(row.get("document_id")) for row in self.rows)


def _row(sent: Json) -> Mapping[str, Json]:
    row = json_object(sent, "A document")
    identifier(row.get("document_id"), "A document_id")
    return row


def _guard_against_repeating(pages: list[_Page]) -> None:
    """A server that goes round in circles would be asked for ever."""
    seen = set()
    for number, page in enumerate(pages, start=1):
        documents = page.repeats
        is_idle = documents in seen if page.rows else page.has_next
        if is_idle:
            raise BadAnswer(f"Atlas's page {number} brings nothing new and says that there is more.")
        seen.add(documents)


_ENVELOPE = frozenset({"data", "page", "per_page", "total_pages", "total_items", "has_next", "has_prev"})


def _snapshot(ref: BatchRef, pages: list[_Page]) -> Snapshot:
    rows = [row for page in pages for row in page.rows]
    totals = {page.total_items for page in pages}
    if len(totals) > 1:
        # The batch grew while it was read, and pages may have moved: what came twice is one document.
        rows = list({text(row.get("document_id")) or number: row for number, row in enumerate(rows)}.values())
    keys = FileKeys()
    documents = tuple(_document(row, keys) for row in rows)
    trouble = left_out(sum(page.left_out for page in pages), f"the documents of {ref.batch_id} in Atlas's answer")
    whole = len(totals) == 1 and (pages[-1].total_items or 0) == len(documents) > 0 and not trouble
    finished = whole and all(document.status is not FileStatus.PENDING for document in documents)
    return Snapshot(
        ref,
        BatchStatus.COMPLETE if finished else BatchStatus.OPEN,
        documents=documents,
        error=trouble or None,
        provider_data=others(pages[0].body, _ENVELOPE),
        trouble=trouble,
    )


_ERRORS = ("error_code", "error_message", "error")
_ROW = frozenset({"document_id", "file_data"})


def _document(row: Mapping[str, Json], keys: FileKeys) -> Document:
    """A row without data or error is in work.

    Atlas documents the codes INVALID_DOC and UNRECOGNISED, and not where they stand: on the row or inside its data.
    """
    document_id, data = text(row.get("document_id")), row.get("file_data")
    more = others(row, _ROW)
    error = _error(more, more) if more else None
    document_type = text(data.get("document_type")) if isinstance(data, dict) else None
    if not error and isinstance(data, dict) and not _ERROR_KEYS.isdisjoint(data):
        error = _error(data, {})
    status = FileStatus.FAILED if error else FileStatus.PROCESSED if data else FileStatus.PENDING
    extractions = (_extraction(as_object(data), document_type),) if status is FileStatus.PROCESSED else ()
    if error and data:
        more["file_data"] = data  # what was extracted nevertheless is no result, but not lost either
    return Document(
        key=keys.key(document_id, None),
        status=status,
        file_id=document_id,
        error=error,
        document_type=document_type,
        provider_data=more,
        extractions=extractions,
    )


_ERROR_KEYS = frozenset(_ERRORS)


def _error(sent: Mapping[str, Json], row: dict[str, Json]) -> str | None:
    """The reason of a failed document, taken out of its `row`.

    Inside of data a field may have any of these names: there it takes a code in plain words, or nothing else beside.
    """
    told = {key: sent[key] for key in _ERRORS if key in sent}
    if sent is not row:
        is_alone = sent.keys() <= _ERROR_KEYS | NOTATION.aside
        told = {key: value for key, value in told.items() if value and type(value) in {int, str}}
        if not (is_alone or "error_code" in told):
            return None
    for key in told:
        row.pop(key, None)
    return " ".join(filter(None, map(text, told.values()))) or None


def _extraction(data: Mapping[str, Json], document_type: str | None) -> Extraction:
    """Few documents have signed links, and looking for the word in what the digest is made of is cheap."""
    stable, written = data, sorted_json(data)
    if _SIGNED_LINK.encode() in written:
        stable = _without_signed_links(data)
        written = sorted_json(stable)
    return Extraction(data=data, stable=stable, document_type=document_type, known_digest=digest_of_data(written))


def _without_signed_links(value: Json) -> Json:
    if isinstance(value, Mapping):
        return {key: _without_signed_links(item) for key, item in value.items() if key != _SIGNED_LINK}
    if isinstance(value, list):
        return [_without_signed_links(item) for item in value]
    return value
