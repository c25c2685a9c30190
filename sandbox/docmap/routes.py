"""DocMap's operations on extractions, its usage and its health."""

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from itertools import islice
from zoneinfo import ZoneInfo

from sandbox.api import Answer, Call, Endpoint, Refusal
from sandbox.shared import JsonObject, Unknown, iso, milliseconds
from sandbox.timeline import Key, after, from_

from .extractions import ME, ExtractionView, NewExtraction, Status
from .papers import Papers
from .world import DocMapWorld

API_KEY = "dm_live_" + "5a7d0b0c" * 8
BASE_PATH = "/docmap/v1"
DEFAULT_LIMIT = 50
MAX_LIMIT = 100
_LARGEST_FILE = 10 * 1024 * 1024
"""The page on errors says 10 MB; the guide has 15 MB, but of a whole request."""
_MIME_TYPES = ("application/pdf", "application/vnd.openxmlformats-officedocument.wordprocessingml.document")
"""Documented: PDF or DOCX."""


def refusal(status: int, code: str, message: str) -> Refusal:
    """Documented on "Errors": codes are stable, the messages (here the sandbox's own) may change."""
    return Refusal(status, {"error": {"code": code, "message": message}})


def invalid(message: str) -> Refusal:
    return refusal(400, "VALIDATION_ERROR", message)


class DocMapRoutes:
    """Each method answers one operation."""

    def __init__(self, world: DocMapWorld, papers: Papers) -> None:
        self._world = world
        self._papers = papers

    def endpoints(self) -> Sequence[Endpoint]:
        """That `/health` lies outside `/v1` and needs no key is documented."""
        operations: list[tuple[str, str, str, Callable[[Call], JsonObject]]] = [
            ("extractions", "GET", "/extractions", self._list),
            ("run", "POST", "/extractions/run", self._run),
            ("extraction", "GET", "/extractions/{id}", self._get),
            ("delete", "DELETE", "/extractions/{id}", self._delete),
            ("usage", "GET", "/usage", self._usage),
        ]
        opaque, unknown = frozenset({"extractedData"}), refusal(404, "NOT_FOUND", "Extraction not found").answer
        return [
            *(
                Endpoint(f"docmap.{name}", method, path, self._behind_door(answer), opaque, unknown=unknown)
                for name, method, path, answer in operations
            ),
            Endpoint("docmap.health", "GET", "/docmap/health", _health, base_path=""),
        ]

    def _behind_door(self, answer: Callable[[Call], JsonObject]) -> Callable[[Call], Answer]:
        def handle(call: Call) -> Answer:
            """Documented: `Authorization: Bearer <key>`, and two codes of 401."""
            if call.headers.get("authorization") != f"Bearer {API_KEY}":
                raise refusal(401, "UNAUTHORIZED", "Missing or invalid API key")
            if self._world.key_expired:
                raise refusal(401, "KEY_EXPIRED", "This API key has expired")
            return Answer(answer(call))

        return handle

    def _list(self, call: Call) -> JsonObject:
        """Documented: newest first, and the cursor is the last row's `createdAt`. The body's shape is a guess.

        Whether rows of the cursor's own millisecond come again, whether other times than those of rows work, in which
        zone days are counted and whether pages are full is not documented: see the switches. That a run's rows are
        filtered by the other parameters too is a guess.
        """
        switches = self._world.shared.switches
        template_id, run_id = call.query.get("templateId") or None, call.query.get("runId") or None
        first, end = _days(call, ZoneInfo(switches.docmap_zone))
        if run_id is not None:
            rows = list(self._world.newest_first(template_id, run_id, first, end))
            return self._page(rows, False)
        limit = _limit(call)
        if cursor := call.query.get("cursor"):
            moment = _moment(cursor)
            if switches.docmap_cursor_rows_only and not self._world.has_row_of(moment):
                return self._page([], False)
            before = after(moment) if switches.docmap_cursor_inclusive else from_(moment)
            end = before if end is None else min(before, end)
        if switches.docmap_endless != "no" and template_id in (None, *self._world.template_ids[:1]):
            return self._without_end(switches.docmap_endless, limit, template_id, end)
        if switches.docmap_scan:
            most = min(limit, switches.docmap_scan)
            scanned = list(islice(self._world.newest_first(None, None, first, end), most + 1))
            found = [one for one in scanned[:most] if template_id in (None, one.template.template_id)]
            return self._page(found, len(scanned) > most)
        found = list(islice(self._world.newest_first(template_id, None, first, end), limit + 1))
        return self._page(found[:limit], len(found) > limit)

    def _without_end(self, kind: str, limit: int, template_id: str | None, end: Key | None) -> JsonObject:
        """Not documented, and no server's intention: what a fault of its paging would look like."""
        if kind == "empty":
            return self._page([], True)
        if kind == "circle":
            return self._page(list(islice(self._world.newest_first(template_id, None, None, None), limit)), True)
        now_ms = milliseconds(self._world.shared.clock.now())
        last_ms = min(now_ms, end[0]) if end else now_ms
        template = self._world.template_ids[0]
        return self._page(self._world.invented(template, limit, last_ms), True)

    def _page(self, found: Sequence[ExtractionView], has_more: bool) -> JsonObject:
        rows = [self._row(one) for one in found]
        if self._world.shared.switches.docmap_nested_list:
            return {"data": {"extractions": rows, "hasMore": has_more}}
        return {"data": rows, "hasMore": has_more}

    def _get(self, call: Call) -> JsonObject:
        return {"data": self._row(self._own(call))}

    def _delete(self, call: Call) -> JsonObject:
        """Documented, but for the body of its answer, which is a guess."""
        extraction_id = self._own(call).extraction_id
        self._world.delete(extraction_id)
        return {"data": {"id": extraction_id, "deleted": True}}

    def _run(self, call: Call) -> JsonObject:
        """Documented: one file a request; the answer is the finished record, or with `async=true` the young one.

        That a file whose name has "damaged" in it cannot be read is the sandbox's own rule.
        """
        new, template_id = self._submitted(call)
        _, used = self._world.usage()
        if used >= self._world.limit:
            raise refusal(429, "USAGE_LIMIT_EXCEEDED", f"Monthly limit of {self._world.limit} extractions reached")
        at_once = call.query.get("async") != "true"
        if at_once:
            took = round(self._papers.seconds() * 1000)
            new = NewExtraction(new.file_name, 0, error=new.error, processing_ms=took)
        try:
            (extraction_id,) = self._world.run(template_id, [new], call.text("runId"))
        except Unknown:
            raise refusal(404, "NOT_FOUND", "No template exists with the specified ID") from None
        if at_once and new.error is not None:
            raise refusal(502, "EXTRACTION_FAILED", new.error)
        return {"data": self._row(self._world.extraction(extraction_id))}

    def _submitted(self, call: Call) -> tuple[NewExtraction, str]:
        template_id, file_name, content = (call.text(key) for key in ("templateId", "fileName", "pdfBase64"))
        if template_id is None or file_name is None or content is None:
            raise invalid("templateId, fileName and pdfBase64 are required")
        if call.text("mimeType") not in _MIME_TYPES:
            raise refusal(400, "INVALID_MIME_TYPE", "mimeType must be that of a PDF or DOCX file")
        try:
            size = len(base64.b64decode(content, validate=True))
        except binascii.Error:
            raise invalid("pdfBase64 is not valid base64") from None
        if size > _LARGEST_FILE:
            raise refusal(400, "FILE_TOO_LARGE", "The file is larger than 10 MB")
        error = self._papers.failure() if "damaged" in file_name else None
        return NewExtraction(file_name, error=error), template_id

    def _usage(self, _: Call) -> JsonObject:
        """Documented, with the plans free, starter, core and pro."""
        period, used = self._world.usage()
        return {"data": {"plan": "core", "usage": used, "limit": self._world.limit, "periodKey": period}}

    def _own(self, call: Call) -> ExtractionView:
        """Documented: rows of another user are forbidden, not unknown."""
        try:
            one = self._world.extraction(call.path["id"])
        except Unknown:
            raise refusal(404, "NOT_FOUND", "No extraction exists with the specified ID") from None
        if one.user != ME:
            raise refusal(403, "FORBIDDEN", "The extraction belongs to a different user")
        return one

    def _row(self, one: ExtractionView) -> JsonObject:
        """Documented on "Get Extraction", in this order."""
        status: str = one.status.value
        if one.status is Status.PROCESSING:
            status = self._world.shared.switches.unknown_status or status
        return {
            "id": one.extraction_id,
            "userId": one.user,
            "templateId": one.template.template_id,
            "templateName": one.template.name,
            "fileName": one.file_name,
            "status": status,
            "extractedData": one.data,
            "error": one.error,
            "variables": list(one.template.variables),
            "source": one.source,
            "runId": one.run_id,
            "processingTimeMs": one.processing_ms,
            "createdAt": iso(one.created_ms),
        }


def _health(_: Call) -> Answer:
    return Answer({"status": "ok"})


def _limit(call: Call) -> int:
    """Documented: 50 if nothing is said, at most 100."""
    text = call.query.get("limit", "")
    if not text:
        return DEFAULT_LIMIT
    if not text.isdecimal() or not 1 <= int(text) <= MAX_LIMIT:
        raise invalid(f"limit must be a whole number from 1 to {MAX_LIMIT}")
    return int(text)


def _days(call: Call, zone: ZoneInfo) -> tuple[Key | None, Key | None]:
    """Documented: `dateFrom` and `dateTo` are days, both inclusive. Of which zone is told nowhere."""
    first, last = _day(call, "dateFrom"), _day(call, "dateTo")
    return (
        None if first is None else from_(milliseconds(first.replace(tzinfo=zone))),
        None if last is None else from_(milliseconds((last + timedelta(days=1)).replace(tzinfo=zone))),
    )


def _day(call: Call, name: str) -> datetime | None:
    """A midnight without a zone: where summer time begins or ends, a day has 23 or 25 hours."""
    text = call.query.get(name)
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d")
    except ValueError:
        raise invalid(f"{name} must be a day such as 2026-03-09") from None


def _moment(cursor: str) -> int:
    try:
        # Python before 3.11 does not read the Z.
        when = datetime.fromisoformat(cursor.replace("Z", "+00:00"))
    except ValueError:
        raise invalid("cursor must be the createdAt of an extraction") from None
    return milliseconds(when if when.tzinfo else when.replace(tzinfo=timezone.utc))
