"""The three documented operations of Atlas's Bulk service."""

from collections.abc import Mapping, Sequence
from math import ceil

import orjson

from docextract_sandbox.api import ApiError, ApiRequest, ApiResponse, Endpoint
from docextract_sandbox.context import JsonObject, UnknownId

from .identities import FakeIdentities
from .world import AtlasWorld, DocumentView, NewDocument

CLIENT_ID = "sandbox-atlas-client"
CLIENT_SECRET = "sandbox-atlas-secret"  # noqa: S105 - it opens nothing but this sandbox
MAX_PER_PAGE = 50


def make_error(status: int, message: str) -> ApiError:
    """Return an error in the form of the page "Error codes": both values are texts."""
    return ApiError(status, {"error_code": str(status), "error_message": message})


def _make_unknown_batch_error() -> ApiError:
    return make_error(400, "Bad Request: batch_id is invalid")


class AtlasRoutes:
    """The handlers of the operations, one method each."""

    def __init__(self, world: AtlasWorld, fake_identities: FakeIdentities) -> None:
        """Serve one world."""
        self._world = world
        self._fake_identities = fake_identities

    def list_endpoints(self) -> Sequence[Endpoint]:
        """Return the three endpoints."""
        opaque_keys, unknown_id_response = frozenset({"file_data"}), _make_unknown_batch_error().response
        return [
            Endpoint(
                "atlas.authtoken", "POST", "/authtoken", self._issue_token, unknown_id_response=unknown_id_response
            ),
            Endpoint(
                "atlas.multiupload",
                "POST",
                "/multiupload",
                self._upload_documents,
                unknown_id_response=unknown_id_response,
            ),
            Endpoint(
                "atlas.extracts",
                "GET",
                "/extracts",
                self._list_extracts,
                opaque_keys,
                unknown_id_response=unknown_id_response,
            ),
        ]

    def _issue_token(self, request: ApiRequest) -> ApiResponse:
        """Issue a token, as documented on "Authentication".

        A missing header gets an error in a form of its own, which that page documents too.
        """
        client_id, client_secret = request.headers.get("client-id"), request.headers.get("client-secret")
        if not client_id or not client_secret:
            raise ApiError(400, {"error": "Missing Client-Id or Client-Secret"})
        if (client_id, client_secret) != (CLIENT_ID, CLIENT_SECRET):
            raise make_error(401, "Authentication Error: wrong Client-Id or Client-Secret")
        expires_in_json = self._world.context.switches.atlas_expires_in
        expiry: JsonObject = {} if expires_in_json is None else {"expires_in": orjson.loads(expires_in_json)}
        return ApiResponse({"access_token": self._world.issue_token(), **expiry}, 201)

    def _check_token(self, request: ApiRequest) -> None:
        if not self._world.is_valid_token(request.headers.get("token", "")):
            raise make_error(401, "Authentication Error: the token is missing, invalid, or expired")

    def _upload_documents(self, request: ApiRequest) -> ApiResponse:
        """Submit a batch and return one entry per file, as documented."""
        self._check_token(request)
        product_type, files = request.get_text("product_type"), (request.body or {}).get("file_urls")
        if product_type is None or not isinstance(files, list) or not files:
            raise make_error(400, "Bad Request: product_type and file_urls are required")
        raw_ids = [file.get("document_id") for file in files if isinstance(file, dict) and file.get("file_url")]
        document_ids = [item for item in raw_ids if isinstance(item, str) and item]
        if len(document_ids) != len(files) or len(set(document_ids)) != len(files):
            raise make_error(400, "Bad Request: each file needs a file_url and a document_id of its own")
        documents = [NewDocument(item, error_code=self._fake_identities.draw_error_code()) for item in document_ids]
        batch = self._world.get_batch(self._world.submit(documents, product_type))
        upload_receipts = [
            {"batch_id": batch.batch_id, "document_id": item.document_id, "file_uuid": item.file_uuid}
            for item in batch.documents
        ]
        return ApiResponse(upload_receipts, 201)

    def _list_extracts(self, request: ApiRequest) -> ApiResponse:
        """Return a page of a batch, as documented on "Get extracts".

        The response for a batch in progress is not documented: the switches `atlas_*` choose among the variants.
        """
        self._check_token(request)
        switches = self._world.context.switches
        batch_id = request.query.get("batch_id")
        page, per_page = _parse_number(request, "page", 1), _parse_number(request, "per_page", MAX_PER_PAGE)
        if per_page > MAX_PER_PAGE:
            raise make_error(400, f"Bad Request: per_page is too large, the maximum is {MAX_PER_PAGE}")
        if not batch_id:
            raise make_error(400, "Bad Request: batch_id is missing")
        if switches.atlas_page_stuck:
            page = 1
        try:
            # Atlas documents no status: the connector takes a batch as finished when all of `total_items` have rows.
            documents, total_items = self._world.get_page(
                batch_id, (page - 1) * per_page, per_page, extracted_only=switches.atlas_total_counts_extracted
            )
        except UnknownId:
            raise _make_unknown_batch_error() from None
        page_count = ceil(total_items / per_page)
        body: JsonObject = {
            "data": [self._render_row(document) for document in documents],
            "page": page,
            "per_page": per_page,
            "total_pages": page_count,
            "total_items": total_items,
            "has_next": page < page_count or switches.atlas_page_stuck,
            "has_prev": page > 1,
        }
        if switches.atlas_no_total_pages:
            del body["total_pages"]
        return ApiResponse(body)

    def _render_row(self, document: DocumentView) -> JsonObject:
        """Return a document's row.

        The place of `error_code` is a guess, it is documented for flows only.
        """
        if document.error_code is not None and self._world.context.switches.atlas_error_in_file_data:
            error = {"error_code": document.error_code, "error_message": "The document could not be recognised"}
            return {"document_id": document.document_id, "file_data": error}
        row: JsonObject = {"document_id": document.document_id, "file_data": self._sign_redact_url(document)}
        return {**row, "error_code": document.error_code} if document.error_code is not None else row

    def _sign_redact_url(self, document: DocumentView) -> Mapping[str, object]:
        """Return the data with a pre-signed `redact_url`, as documented."""
        aadhaar_number = document.file_data.get("aadhaar_number")
        if not isinstance(aadhaar_number, dict) or "redact_url" not in aadhaar_number:
            return document.file_data
        # Signed anew in each response; the connector must not count it as a change of the document.
        redact_url = self._world.context.sign_url(f"{document.file_uuid}-redacted.jpg")
        return {**document.file_data, "aadhaar_number": {**aadhaar_number, "redact_url": redact_url}}


def _parse_number(request: ApiRequest, name: str, default: int) -> int:
    text = request.query.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise make_error(400, f"Bad Request: {name} must be a whole number from 1")
    return int(text)
