"""DocMap's operations on extractions, usage and health."""

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from itertools import islice
from zoneinfo import ZoneInfo

from docextract_sandbox.api import ApiError, ApiRequest, ApiResponse, Endpoint
from docextract_sandbox.context import JsonObject, UnknownId, format_iso, to_milliseconds
from docextract_sandbox.timeline import TimelineKey, make_lower_key, make_upper_key

from .extractions import CURRENT_USER_ID, ExtractionView, NewExtraction, Status
from .fake_documents import FakeDocuments
from .world import DocMapWorld

API_KEY = "dm_live_" + "5a7d0b0c" * 8
BASE_PATH = "/docmap/v1"
DEFAULT_LIMIT = 50
MAX_LIMIT = 100
_MAX_FILE_BYTES = 10 * 1024 * 1024
"""The page on errors documents 10 MB; the 15 MB of the guide are the size of a whole request."""
_MIME_TYPES = ("application/pdf", "application/vnd.openxmlformats-officedocument.wordprocessingml.document")
"""MIME types that DocMap documents: PDF and DOCX."""


def make_error(status: int, code: str, message: str) -> ApiError:
    """Return an error in the form documented on "Errors".

    Codes are stable, messages may change.
    """
    return ApiError(status, {"error": {"code": code, "message": message}})


def make_validation_error(message: str) -> ApiError:
    """Return the documented error for a request that is not valid."""
    return make_error(400, "VALIDATION_ERROR", message)


class DocMapRoutes:
    """The handlers of the operations, one method each."""

    def __init__(self, world: DocMapWorld, fake_documents: FakeDocuments) -> None:
        """Serve one world."""
        self._world = world
        self._fake_documents = fake_documents

    def list_endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoints.

        `/health` is outside `/v1` and needs no key, as documented.
        """
        operations: list[tuple[str, str, str, Callable[[ApiRequest], JsonObject]]] = [
            ("extractions", "GET", "/extractions", self._list_extractions),
            ("run", "POST", "/extractions/run", self._run_extraction),
            ("extraction", "GET", "/extractions/{id}", self._get_extraction),
            ("delete", "DELETE", "/extractions/{id}", self._delete_extraction),
            ("usage", "GET", "/usage", self._get_usage),
        ]
        opaque_keys = frozenset({"extractedData"})
        unknown_id_response = make_error(404, "NOT_FOUND", "Extraction not found").response
        return [
            *(
                Endpoint(
                    f"docmap.{name}",
                    method,
                    path,
                    self._guard_handler(handler),
                    opaque_keys,
                    unknown_id_response=unknown_id_response,
                )
                for name, method, path, handler in operations
            ),
            Endpoint("docmap.health", "GET", "/docmap/health", _get_health, base_path=""),
        ]

    def _guard_handler(self, handler: Callable[[ApiRequest], JsonObject]) -> Callable[[ApiRequest], ApiResponse]:
        def handle_request(request: ApiRequest) -> ApiResponse:
            """Check `Authorization: Bearer <key>`, then call the handler.

            Both codes of 401 are documented.
            """
            if request.headers.get("authorization") != f"Bearer {API_KEY}":
                raise make_error(401, "UNAUTHORIZED", "Missing or invalid API key")
            if self._world.is_key_expired:
                raise make_error(401, "KEY_EXPIRED", "This API key has expired")
            return ApiResponse(handler(request))

        return handle_request

    def _list_extractions(self, request: ApiRequest) -> JsonObject:
        """Return a page of extractions, newest first.

        The cursor is the last row's `createdAt`, as documented.

        The form of the body is a guess, and so is that a run's rows are filtered by the other parameters too.
        The switches `docmap_*` choose what is not documented: whether a page repeats rows of the cursor's
        millisecond, whether times of no row work as cursors, the zone of days, and whether pages are full.
        """
        switches = self._world.context.switches
        template_id, run_id = request.query.get("templateId") or None, request.query.get("runId") or None
        first_key, end_key = _parse_days(request, ZoneInfo(switches.docmap_zone))
        # The connector asks once by `runId` for the counts of a run's batch row; the rows of a run are one page.
        if run_id is not None:
            run_views = list(self._world.iter_newest_first(template_id, run_id, first_key, end_key))
            return self._render_page(run_views, False)
        limit = _parse_limit(request)
        if cursor := request.query.get("cursor"):
            cursor_ms = _parse_cursor(cursor)
            if switches.docmap_cursor_rows_only and not self._world.has_extraction_at(cursor_ms):
                return self._render_page([], False)
            cursor_key = make_upper_key(cursor_ms) if switches.docmap_cursor_inclusive else make_lower_key(cursor_ms)
            end_key = cursor_key if end_key is None else min(cursor_key, end_key)
        if switches.docmap_endless != "no" and template_id in (None, *self._world.template_ids[:1]):
            return self._list_endlessly(switches.docmap_endless, limit, template_id, end_key)
        # A page may be short or empty before the end of the list: only `hasMore` may end it for the connector.
        if switches.docmap_scan:
            scan_limit = min(limit, switches.docmap_scan)
            scanned_views = list(islice(self._world.iter_newest_first(None, None, first_key, end_key), scan_limit + 1))
            views = [view for view in scanned_views[:scan_limit] if template_id in (None, view.template.template_id)]
            return self._render_page(views, len(scanned_views) > scan_limit)
        views = list(islice(self._world.iter_newest_first(template_id, None, first_key, end_key), limit + 1))
        return self._render_page(views[:limit], len(views) > limit)

    def _list_endlessly(
        self, endless_mode: str, limit: int, template_id: str | None, end_key: TimelineKey | None
    ) -> JsonObject:
        """Return a page of a list that never ends, as a faulty server would."""
        if endless_mode == "empty":
            return self._render_page([], True)
        if endless_mode == "circle":
            return self._render_page(
                list(islice(self._world.iter_newest_first(template_id, None, None, None), limit)), True
            )
        now_ms = to_milliseconds(self._world.context.clock.now())
        last_ms = min(now_ms, end_key[0]) if end_key else now_ms
        first_template_id = self._world.template_ids[0]
        return self._render_page(self._world.invent_extractions(first_template_id, limit, last_ms), True)

    def _render_page(self, views: Sequence[ExtractionView], has_more: bool) -> JsonObject:
        rows = [self._render_row(view) for view in views]
        if self._world.context.switches.docmap_nested_list:
            return {"data": {"extractions": rows, "hasMore": has_more}}
        return {"data": rows, "hasMore": has_more}

    def _get_extraction(self, request: ApiRequest) -> JsonObject:
        return {"data": self._render_row(self._find_extraction(request))}

    def _delete_extraction(self, request: ApiRequest) -> JsonObject:
        """Delete an extraction, as documented; the response body is a guess."""
        extraction_id = self._find_extraction(request).extraction_id
        self._world.delete(extraction_id)
        return {"data": {"id": extraction_id, "deleted": True}}

    def _run_extraction(self, request: ApiRequest) -> JsonObject:
        """Extract one file; return the finished or, with `async=true`, pending record.

        That a file with "damaged" in its name fails is a rule of the sandbox.
        """
        new_extraction, template_id = self._parse_submission(request)
        _, used_count = self._world.get_usage()
        if used_count >= self._world.monthly_limit:
            raise make_error(
                429, "USAGE_LIMIT_EXCEEDED", f"Monthly limit of {self._world.monthly_limit} extractions reached"
            )
        is_synchronous = request.query.get("async") != "true"
        if is_synchronous:
            processing_ms = round(self._fake_documents.draw_seconds() * 1000)
            new_extraction = NewExtraction(
                new_extraction.file_name, 0, error=new_extraction.error, processing_ms=processing_ms
            )
        try:
            (extraction_id,) = self._world.add_extractions(template_id, [new_extraction], request.get_text("runId"))
        except UnknownId:
            raise make_error(404, "NOT_FOUND", "No template exists with the specified ID") from None
        if is_synchronous and new_extraction.error is not None:
            raise make_error(502, "EXTRACTION_FAILED", new_extraction.error)
        return {"data": self._render_row(self._world.get_extraction(extraction_id))}

    def _parse_submission(self, request: ApiRequest) -> tuple[NewExtraction, str]:
        template_id, file_name, content = (request.get_text(key) for key in ("templateId", "fileName", "pdfBase64"))
        if template_id is None or file_name is None or content is None:
            raise make_validation_error("templateId, fileName and pdfBase64 are required")
        if request.get_text("mimeType") not in _MIME_TYPES:
            raise make_error(400, "INVALID_MIME_TYPE", "mimeType must be that of a PDF or DOCX file")
        try:
            size = len(base64.b64decode(content, validate=True))
        except binascii.Error:
            raise make_validation_error("pdfBase64 is not valid base64") from None
        if size > _MAX_FILE_BYTES:
            raise make_error(400, "FILE_TOO_LARGE", "The file is larger than 10 MB")
        error = self._fake_documents.draw_failure() if "damaged" in file_name else None
        return NewExtraction(file_name, error=error), template_id

    def _get_usage(self, _: ApiRequest) -> JsonObject:
        """Return the usage as documented; the plans are free, starter, core and pro."""
        period, used_count = self._world.get_usage()
        return {"data": {"plan": "core", "usage": used_count, "limit": self._world.monthly_limit, "periodKey": period}}

    def _find_extraction(self, request: ApiRequest) -> ExtractionView:
        """Return an extraction.

        One of another user is forbidden (403), not unknown, as documented.
        """
        try:
            view = self._world.get_extraction(request.path_params["id"])
        except UnknownId:
            raise make_error(404, "NOT_FOUND", "No extraction exists with the specified ID") from None
        if view.user_id != CURRENT_USER_ID:
            raise make_error(403, "FORBIDDEN", "The extraction belongs to a different user")
        return view

    def _render_row(self, view: ExtractionView) -> JsonObject:
        """Return a row with the keys and the order of the page "Get Extraction"."""
        status: str = view.status.value
        if view.status is Status.PROCESSING:
            status = self._world.context.switches.unknown_status or status
        return {
            "id": view.extraction_id,
            "userId": view.user_id,
            "templateId": view.template.template_id,
            "templateName": view.template.name,
            "fileName": view.file_name,
            "status": status,
            "extractedData": view.data,
            "error": view.error,
            "variables": list(view.template.variables),
            "source": view.source,
            "runId": view.run_id,
            "processingTimeMs": view.processing_ms,
            "createdAt": format_iso(view.created_ms),
        }


def _get_health(_: ApiRequest) -> ApiResponse:
    return ApiResponse({"status": "ok"})


def _parse_limit(request: ApiRequest) -> int:
    """Return the page size, which is documented as 50 by default and 100 at most."""
    text = request.query.get("limit", "")
    if not text:
        return DEFAULT_LIMIT
    if not text.isdecimal() or not 1 <= int(text) <= MAX_LIMIT:
        raise make_validation_error(f"limit must be a whole number from 1 to {MAX_LIMIT}")
    return int(text)


def _parse_days(request: ApiRequest, zone: ZoneInfo) -> tuple[TimelineKey | None, TimelineKey | None]:
    """Return the keys of the days `dateFrom` and `dateTo`, both inclusive.

    Their zone is not documented.
    """
    first_day, last_day = _parse_day(request, "dateFrom"), _parse_day(request, "dateTo")
    first_key = end_key = None
    if first_day is not None:
        first_key = make_lower_key(to_milliseconds(first_day.replace(tzinfo=zone)))
    if last_day is not None:
        end_key = make_lower_key(to_milliseconds((last_day + timedelta(days=1)).replace(tzinfo=zone)))
    return first_key, end_key


def _parse_day(request: ApiRequest, name: str) -> datetime | None:
    """Return a midnight without a zone: days of a time change are not 24 hours long."""
    text = request.query.get(name)
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d")
    except ValueError:
        raise make_validation_error(f"{name} must be a day such as 2026-03-09") from None


def _parse_cursor(cursor: str) -> int:
    try:
        # `fromisoformat` does not accept the Z before Python 3.11.
        moment = datetime.fromisoformat(cursor.replace("Z", "+00:00"))
    except ValueError:
        raise make_validation_error("cursor must be the createdAt of an extraction") from None
    return to_milliseconds(moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc))
