"""Sensible's operations on documents, batches, document types and reviews."""

from collections.abc import Callable, Sequence
from itertools import islice

from docextract_sandbox.api import ApiError, ApiRequest, ApiResponse, Endpoint
from docextract_sandbox.context import JsonObject, UnknownId, format_iso, to_milliseconds

from . import queries
from .access import UPLOAD_PATH, AccessControl
from .extractions import DECISIONS, NEEDS_REVIEW, Filter, SensibleDocument
from .fake_documents import FakeDocuments
from .queries import make_bad_request
from .rendering import ResponseRenderer
from .world import SensibleWorld

MAX_BATCH_SIZE = 5000
"""Documented maximum of documents in a batch."""


class SensibleRoutes:
    """The handlers of the operations, one method each."""

    def __init__(self, world: SensibleWorld, fake_documents: FakeDocuments) -> None:
        """Serve one world."""
        self._world = world
        self._fake_documents = fake_documents
        self._access_control = AccessControl(world.context)
        self._renderer = ResponseRenderer(world.context)

    def list_endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoints of Sensible."""
        # The page on upload URLs has PUT in its text and GET in its example: accept both.
        operations: list[tuple[str, str, str, Callable[[ApiRequest], object]]] = [
            ("extractions", "GET", "/extractions", self._list_extractions),
            ("review", "PUT", "/extractions/{id}", self._review_extraction),
            ("document", "GET", "/documents/{id}", self._get_document),
            ("create_batch", "POST", "/extract/batch", self._create_batch),
            ("batch", "GET", "/extract/batch/{id}", self._get_batch),
            ("describe_batch", "PUT", "/extract/batch/{id}", self._describe_batch),
            ("upload_urls", "PUT", "/extract/batch/upload_urls/{id}/{start}/{end}", self._make_upload_urls),
            ("upload_urls", "GET", "/extract/batch/upload_urls/{id}/{start}/{end}", self._make_upload_urls),
            ("document_types", "GET", "/document_types", self._list_document_types),
            ("document_type", "GET", "/document_types/{id}", self._get_document_type),
        ]
        opaque_keys = frozenset({"parsed_document", "parsedDocument", "postprocessorOutput"})
        unknown_id_response = ApiResponse("Not found: there is no such id", 404)
        return [
            *(
                Endpoint(
                    f"sensible.{name}",
                    method,
                    path,
                    self._guard_handler(handler),
                    opaque_keys,
                    unknown_id_response=unknown_id_response,
                )
                for name, method, path, handler in operations
            ),
            Endpoint("sensible.upload", "PUT", UPLOAD_PATH, self._receive_upload, base_path=""),
        ]

    def _guard_handler(self, handler: Callable[[ApiRequest], object]) -> Callable[[ApiRequest], ApiResponse]:
        def handle_request(request: ApiRequest) -> ApiResponse:
            """Check access, then call the handler; that an unknown id gets 404 is a guess."""
            self._access_control.check_access(request)
            try:
                return ApiResponse(handler(request), text_as_json=True)
            except UnknownId as error:
                raise ApiError(404, f"Not found: {error}") from None

        return handle_request

    def _list_extractions(self, request: ApiRequest) -> JsonObject:
        """Return a page of extractions, newest first.

        As documented the token of the last page is null.

        `cutoff_date` is documented as deprecated and null.
        """
        switches, limit = self._world.context.switches, queries.parse_limit(request)
        if switches.sensible_endless != "no" and self._is_endless(request.query.get("document_type_ids", "")):
            return self._list_endlessly(switches.sensible_endless, limit, request.query.get("continuation_token", ""))
        list_filter = queries.parse_filter(
            request, self._world.context.clock.now(), status_mode=switches.sensible_status_filter
        )
        # A page may be short or empty and carry a token: only a missing token may end the list for the connector.
        if switches.sensible_scan:
            date_filter = Filter(first_key=list_filter.first_key, end_key=list_filter.end_key)
            dated_views = self._world.iter_newest_first(date_filter)
            scanned_views = list(islice(dated_views, switches.sensible_scan + 1))
            examined_views = scanned_views[: switches.sensible_scan]
            match_indexes = [index for index, view in enumerate(examined_views) if list_filter.is_match(view)][:limit]
            # A full page ends at its last row; a page that is not full ends where the scan stopped.
            last_index = match_indexes[-1] if len(match_indexes) == limit else len(examined_views) - 1
            has_more = len(scanned_views) > last_index + 1
            return {
                "extractions": [self._renderer.render_summary(examined_views[index]) for index in match_indexes],
                "continuation_token": queries.make_token(examined_views[last_index]) if has_more else None,
                "cutoff_date": None,
            }
        views = list(islice(self._world.iter_newest_first(list_filter), limit + 1))
        return {
            "extractions": [self._renderer.render_summary(view) for view in views[:limit]],
            "continuation_token": queries.make_token(views[limit - 1]) if len(views) > limit else None,
            "cutoff_date": None,
        }

    def _is_endless(self, type_ids: str) -> bool:
        return type_ids in {"", *(document_type.type_id for document_type in self._world.document_types[:1])}

    def _list_endlessly(self, endless_mode: str, limit: int, token: str) -> JsonObject:
        """Return a page of a list that never ends, as a faulty server would."""
        page = int(token or 0) + 1
        rows: list[JsonObject] = []
        if endless_mode == "rows":
            now = format_iso(to_milliseconds(self._world.context.clock.now()))
            rows = [
                {"id": f"invented-{page}-{number}", "created": now, "status": "COMPLETE"} for number in range(limit)
            ]
        return {
            "extractions": rows,
            "continuation_token": "1" if endless_mode == "circle" else f"{page}",
            "cutoff_date": None,
        }

    def _get_document(self, request: ApiRequest) -> JsonObject:
        """Return one extraction; more than 6 MB of output gets 413, as documented.

        The sentence of that error, and 404 for expired content, are guesses.
        """
        view = self._world.get_document(request.path_params["id"])
        # The list still shows both documents as complete, so the connector must ask again and not settle them.
        if view.is_purged:
            raise UnknownId(f"there is no extraction {view.extraction_id}")
        if view.is_too_large:
            raise ApiError(413, "The extraction exceeds the maximum response size of 6 MB")
        return self._renderer.render_document(view)

    def _review_extraction(self, request: ApiRequest) -> JsonObject:
        """Decide on an extraction under review.

        The operation, and that a decision is final, are documented; request and response bodies are guesses:
        `reviewStatus` is `APPROVED` or `REJECTED`, `parsed_document` the corrected data, and one may be left out.
        """
        view, body = self._world.get_document(request.path_params["id"]), request.body or {}
        decision, parsed_document = body.get("reviewStatus", NEEDS_REVIEW), body.get("parsed_document")
        if not (parsed_document is None or isinstance(parsed_document, dict)) or body.keys().isdisjoint(
            ("reviewStatus", "parsed_document")
        ):
            raise make_bad_request("A reviewStatus or a parsed_document is required")
        if "reviewStatus" in body and decision not in DECISIONS:
            raise make_bad_request("The reviewStatus must be APPROVED or REJECTED")
        if NEEDS_REVIEW not in [part.review for part in view.parts]:
            raise make_bad_request("The extraction does not need a review")
        self._world.review(view.extraction_id, str(decision), parsed_document)
        return self._renderer.render_document(self._world.get_document(view.extraction_id))

    def _create_batch(self, request: ApiRequest) -> str:
        """Create a batch; as documented the response is the batch's id alone.

        That a file with "damaged" in its name fails is a rule of the sandbox.
        """
        body = request.body or {}
        names, portfolio = body.get("documentNames"), body.get("portfolioDocTypes")
        if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
            raise make_bad_request("The documentNames are required")
        if len(names) > MAX_BATCH_SIZE:
            raise make_bad_request(f"A batch can have at most {MAX_BATCH_SIZE} documents")
        type_names = portfolio if portfolio is not None else [request.get_text("docType")]
        if not isinstance(type_names, list) or not type_names or not all(isinstance(name, str) for name in type_names):
            raise make_bad_request("Either docType or portfolioDocTypes is required")
        known_types = {document_type.name for document_type in self._world.document_types}
        if not known_types.issuperset(type_names):
            raise make_bad_request("Specified document type does not exist")
        part_names = None if portfolio is None else type_names
        documents: list[str | SensibleDocument] = []
        for name in names:
            error = self._fake_documents.draw_failure() if "damaged" in name else None
            documents.append(SensibleDocument(name, error=error, portfolio=part_names))
        return self._world.add_batch(documents, type_names[0], request.get_text("description") or "")

    def _get_batch(self, request: ApiRequest) -> JsonObject:
        return self._renderer.render_batch(self._world.get_batch(request.path_params["id"]))

    def _describe_batch(self, request: ApiRequest) -> JsonObject:
        """Replace a batch's description.

        The key is documented, that the response is the batch is a guess.
        """
        description = (request.body or {}).get("description")
        if not isinstance(description, str):
            raise make_bad_request("The description is required")
        self._world.set_description(request.path_params["id"], description)
        return self._get_batch(request)

    def _make_upload_urls(self, request: ApiRequest) -> list[str]:
        """Return upload URLs.

        As documented indices count from zero and the last one is included.
        """
        batch = self._world.get_batch(request.path_params["id"])
        start, end = request.path_params["start"], request.path_params["end"]
        if not (start.isdecimal() and end.isdecimal() and int(start) <= int(end) < len(batch.extraction_ids)):
            raise make_bad_request("The indices must be a range of the batch's documents")
        extraction_ids = batch.extraction_ids[int(start) : int(end) + 1]
        return [
            self._access_control.make_upload_url(request.base_url, batch.batch_id, extraction_id)
            for extraction_id in extraction_ids
        ]

    def _receive_upload(self, request: ApiRequest) -> ApiResponse:
        """Receive an upload and ignore its content.

        As documented it needs no key, and the response is empty.
        """
        self._access_control.check_upload(request)
        self._world.receive_file(request.path_params["id"])
        return ApiResponse("")

    def _list_document_types(self, _: ApiRequest) -> list[JsonObject]:
        return [self._renderer.render_document_type(document_type) for document_type in self._world.document_types]

    def _get_document_type(self, request: ApiRequest) -> JsonObject:
        for document_type in self._world.document_types:
            if document_type.type_id == request.path_params["id"]:
                return self._renderer.render_document_type(document_type)
        raise UnknownId(f"there is no document type {request.path_params['id']}")
