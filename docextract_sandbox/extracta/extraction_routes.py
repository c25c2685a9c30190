"""The documented operations of data extraction."""

from collections.abc import Callable, Sequence

from docextract_sandbox.api import ApiError, ApiRequest, Endpoint
from docextract_sandbox.context import JsonObject

from .extraction import ExtractionWorld
from .files import BatchView, FileStatus, FileView
from .product_routes import ProductRoutes

_RESULTS_ENDPOINT = "extracta.getBatchResults"


class ExtractionRoutes(ProductRoutes[ExtractionWorld]):
    """The handlers of the operations, one method each."""

    template_key = "extractionId"
    details_key = "extractionDetails"

    @staticmethod
    def _make_error() -> ApiError:
        """Return the error documented on "Get results".

        That unknown ids get it too is a guess; a public client's test shows that they fail.
        """
        return ApiError(400, {"error": "Invalid request"})

    def list_endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoints of extraction."""
        operations: list[tuple[str, str, Callable[[ApiRequest], JsonObject]]] = [
            ("POST", "createExtraction", self._create_extraction),
            ("POST", "viewExtraction", self._view_extraction),
            ("PATCH", "updateExtraction", self._update_extraction),
            ("DELETE", "deleteExtraction", self._delete_extraction),
            ("POST", "uploadFiles", self._upload_files),
            ("POST", "getBatchResults", self._get_batch_results),
            ("GET", "credits", self._get_credits),
        ]
        return [
            Endpoint(
                f"extracta.{name}",
                method,
                f"/{name}",
                self._guard_handler(handler),
                frozenset({"result"}),
                unknown_id_response=self._make_error().response,
            )
            for method, name, handler in operations
        ]

    def _create_extraction(self, request: ApiRequest) -> JsonObject:
        details = self._require_details(request)
        name, fields = details.pop("name", None), details.pop("fields", None)
        if not isinstance(name, str) or not name or not isinstance(fields, list) or not _are_fields(fields):
            raise self._make_error()
        extraction_id = self._world.create(name, fields, details=details)
        return {
            "status": "created",
            "createdAt": self._world.context.now_ms(),
            "extractionId": extraction_id,
        }

    def _view_extraction(self, request: ApiRequest) -> JsonObject:
        extraction_id = self._require_text(request, "extractionId")
        details = self._world.get_details(extraction_id)
        batches = self._world.build_batches_map(extraction_id)
        # Public clients treat the map as optional; that it is absent for a template without batches is a guess.
        if batches and self._world.context.switches.extracta_batches:
            details["batches"] = batches
        return {"extractionId": extraction_id, "extractionDetails": details}

    def _update_extraction(self, request: ApiRequest) -> JsonObject:
        extraction_id, details = self._require_text(request, "extractionId"), self._require_details(request)
        if "fields" in details and not _are_fields(details["fields"]):
            raise self._make_error()
        self._world.update(extraction_id, details)
        return {
            "status": "updated",
            "updatedAt": self._world.context.now_ms(),
            "extractionId": extraction_id,
        }

    def _delete_extraction(self, request: ApiRequest) -> JsonObject:
        batch_id, file_id = request.get_text("batchId"), request.get_text("fileId")
        if file_id and not batch_id:
            raise self._make_error()
        self._world.delete(self._require_text(request, "extractionId"), batch_id, file_id)
        return {"status": "deleted", "deletedAt": self._world.context.now_ms()}

    def _get_batch_results(self, request: ApiRequest) -> JsonObject:
        self._access_control.check_spacing(_RESULTS_ENDPOINT, request)
        extraction_id = self._require_text(request, "extractionId")
        batch_id = self._require_text(request, "batchId")
        batch = self._world.read_batch(extraction_id, batch_id, request.get_text("fileId"))
        switches = self._world.context.switches
        body: JsonObject = {"extractionId": extraction_id, "batchId": batch_id}
        if file_id := request.get_text("fileId"):
            body["fileId"] = file_id
        # Documented: a waiting batch has no `files`. The connector must not count such a response as empty or done.
        if not batch.is_finished and not switches.partial_batches:
            return {**body, "status": "waiting"}
        if switches.extracta_top_level_status:
            body["status"] = "processed" if batch.is_finished else switches.unknown_status or "processing"
        return {**body, "files": self._render_files(batch)}

    def _render_files(self, batch: BatchView) -> list[JsonObject]:
        return [self._render_file(file) for file in batch.files]

    def _render_file(self, file: FileView) -> JsonObject:
        """Return a file's JSON.

        `fileName`, `status`, `result` and `url` are documented; `fileId` and `error` are seen in public clients.
        """
        switches = self._world.context.switches
        file_json: JsonObject = {"fileId": file.file_id} if switches.extracta_file_ids else {}
        file_json |= {"fileName": file.name, "status": file.status.value}
        if file.status is FileStatus.PROCESSING:
            file_json["status"] = switches.unknown_status or "processing"
        if file.result is not None:
            file_json["result"] = file.result
        if file.error is not None:
            file_json["error"] = file.error
        # A signed URL differs in every response; the connector must not count it as a change of the file.
        file_json["url"] = file.url or self._world.context.sign_url(file.name)
        return file_json

    def _get_credits(self, _: ApiRequest) -> JsonObject:
        """Return the credits as documented on "Get credits"."""
        return {"status": "ok", "credits": self._world.account.credits}


def _are_fields(fields: object) -> bool:
    if not isinstance(fields, list) or not fields:
        return False
    return all(isinstance(field, dict) and isinstance(field.get("key"), str) and field["key"] for field in fields)
