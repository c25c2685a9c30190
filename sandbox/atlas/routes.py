"""The three documented operations of Atlas's Bulk service."""

from collections.abc import Sequence
from math import ceil

import orjson

from sandbox.api import Answer, Call, Endpoint, Refusal
from sandbox.shared import JsonObject, Unknown

from .identities import Identities
from .world import AtlasWorld, DocumentView, NewDocument

CLIENT_ID = "sandbox-atlas-client"
CLIENT_SECRET = "sandbox-atlas-secret"  # noqa: S105 - it opens nothing but this sandbox
MAX_PER_PAGE = 50


def refusal(status: int, message: str) -> Refusal:
    """Documented on "Error codes": both values are texts."""
    return Refusal(status, {"error_code": str(status), "error_message": message})


def _unknown_batch() -> Refusal:
    return refusal(400, "Bad Request: batch_id is invalid")


class AtlasRoutes:
    """Each method answers one operation."""

    def __init__(self, world: AtlasWorld, identities: Identities) -> None:
        self._world = world
        self._identities = identities

    def endpoints(self) -> Sequence[Endpoint]:
        opaque, unknown = frozenset({"file_data"}), _unknown_batch().answer
        return [
            Endpoint("atlas.authtoken", "POST", "/authtoken", self._authtoken, unknown=unknown),
            Endpoint("atlas.multiupload", "POST", "/multiupload", self._multiupload, unknown=unknown),
            Endpoint("atlas.extracts", "GET", "/extracts", self._extracts, opaque, unknown=unknown),
        ]

    def _authtoken(self, call: Call) -> Answer:
        """Documented on "Authentication", where a missing header has its own shape of error."""
        client_id, client_secret = call.headers.get("client-id"), call.headers.get("client-secret")
        if not client_id or not client_secret:
            raise Refusal(400, {"error": "Missing Client-Id or Client-Secret"})
        if (client_id, client_secret) != (CLIENT_ID, CLIENT_SECRET):
            raise refusal(401, "Authentication Error: wrong Client-Id or Client-Secret")
        told = self._world.shared.switches.atlas_expires_in
        life: JsonObject = {} if told is None else {"expires_in": orjson.loads(told)}
        return Answer({"access_token": self._world.issue_token(), **life}, 201)

    def _check_token(self, call: Call) -> None:
        if not self._world.is_valid(call.headers.get("token", "")):
            raise refusal(401, "Authentication Error: the token is missing, invalid, or expired")

    def _multiupload(self, call: Call) -> Answer:
        """Documented: an array with one entry a file, all with one new batch's id."""
        self._check_token(call)
        product_type, files = call.text("product_type"), (call.body or {}).get("file_urls")
        if product_type is None or not isinstance(files, list) or not files:
            raise refusal(400, "Bad Request: product_type and file_urls are required")
        ids = [file.get("document_id") for file in files if isinstance(file, dict) and file.get("file_url")]
        wanted = [one for one in ids if isinstance(one, str) and one]
        if len(wanted) != len(files) or len(set(wanted)) != len(files):
            raise refusal(400, "Bad Request: each file needs a file_url and a document_id of its own")
        documents = [NewDocument(one, error_code=self._identities.error_code()) for one in wanted]
        batch = self._world.batch(self._world.submit(documents, product_type))
        submitted = [
            {"batch_id": batch.batch_id, "document_id": one.document_id, "file_uuid": one.file_uuid}
            for one in batch.documents
        ]
        return Answer(submitted, 201)

    def _extracts(self, call: Call) -> Answer:
        """Documented on "Get extracts". What a batch in progress answers is not: see the switches."""
        self._check_token(call)
        switches = self._world.shared.switches
        batch_id = call.query.get("batch_id")
        page, per_page = _number(call, "page", 1), _number(call, "per_page", MAX_PER_PAGE)
        if per_page > MAX_PER_PAGE:
            raise refusal(400, f"Bad Request: per_page is too large, the maximum is {MAX_PER_PAGE}")
        if not batch_id:
            raise refusal(400, "Bad Request: batch_id is missing")
        try:
            documents = self._world.batch(batch_id).documents
        except Unknown:
            raise _unknown_batch() from None
        if switches.atlas_total_counts_extracted:
            documents = tuple(document for document in documents if document.extracted)
        if switches.atlas_page_stuck:
            page = 1
        first, pages = (page - 1) * per_page, ceil(len(documents) / per_page)
        answer: JsonObject = {
            "data": [self._row(document) for document in documents[first : first + per_page]],
            "page": page,
            "per_page": per_page,
            "total_pages": pages,
            "total_items": len(documents),
            "has_next": page < pages or switches.atlas_page_stuck,
            "has_prev": page > 1,
        }
        if switches.atlas_no_total_pages:
            del answer["total_pages"]
        return Answer(answer)

    def _row(self, document: DocumentView) -> JsonObject:
        """Where an `error_code` stands is a guess: it is documented for Atlas's flows."""
        if document.error_code is not None and self._world.shared.switches.atlas_error_in_file_data:
            error = {"error_code": document.error_code, "error_message": "The document could not be recognised"}
            return {"document_id": document.document_id, "file_data": error}
        row: JsonObject = {"document_id": document.document_id, "file_data": self._signed(document)}
        return {**row, "error_code": document.error_code} if document.error_code is not None else row

    def _signed(self, document: DocumentView) -> JsonObject:
        """Documented: `aadhaar_number` carries a pre-signed `redact_url`, though not in the page's example."""
        number = document.file_data.get("aadhaar_number")
        if not isinstance(number, dict) or "redact_url" not in number:
            return document.file_data
        link = self._world.shared.link(f"{document.file_uuid}-redacted.jpg")
        return {**document.file_data, "aadhaar_number": {**number, "redact_url": link}}


def _number(call: Call, name: str, default: int) -> int:
    text = call.query.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise refusal(400, f"Bad Request: {name} must be a whole number from 1")
    return int(text)
