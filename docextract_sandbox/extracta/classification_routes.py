"""The documented operations of document classification."""

from collections.abc import Callable, Sequence

from docextract_sandbox.api import ApiError, ApiRequest, Endpoint
from docextract_sandbox.context import JsonObject

from .classification import ClassificationWorld, parse_document_types
from .files import FileStatus, FileView
from .product_routes import ProductRoutes

_RESULTS_ENDPOINT = "extracta.getResults"


class ClassificationRoutes(ProductRoutes[ClassificationWorld]):
    """The handlers of the operations, one method each."""

    template_key = "classificationId"
    details_key = "classificationDetails"

    @staticmethod
    def _make_error() -> ApiError:
        """Return the error documented on classification's "Get results".

        That every failure gets it is a guess.
        """
        return ApiError(400, {"status": "error", "message": "Internal server error"})

    def list_endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoints of classification."""
        operations: list[tuple[str, str, str, Callable[[ApiRequest], JsonObject]]] = [
            ("createClassification", "POST", "createClassification", self._create_classification),
            ("viewClassification", "POST", "viewClassification", self._view_classification),
            ("updateClassification", "PATCH", "updateClassification", self._update_classification),
            ("uploadForClassification", "POST", "uploadFiles", self._upload_files),
            ("getResults", "POST", "getResults", self._get_results),
            ("deleteClassification", "DELETE", "deleteClassification", self._delete_classification),
            ("deleteBatch", "DELETE", "deleteBatch", self._delete_batch),
            ("deleteFiles", "DELETE", "deleteFiles", self._delete_files),
        ]
        return [
            Endpoint(
                f"extracta.{name}",
                method,
                f"/documentClassification/{path}",
                self._guard_handler(handler),
                unknown_id_response=self._make_error().response,
            )
            for name, method, path, handler in operations
        ]

    def _create_classification(self, request: ApiRequest) -> JsonObject:
        details = self._require_details(request)
        name, document_types = details.get("name"), parse_document_types(details.get("documentTypes"))
        if not isinstance(name, str) or not name or document_types is None:
            raise self._make_error()
        classification_id = self._world.create(name, document_types, description=str(details.get("description", "")))
        return {
            "status": "created",
            "createdAt": self._world.context.now_ms(),
            "classificationId": classification_id,
        }

    def _view_classification(self, request: ApiRequest) -> JsonObject:
        classification_id = self._require_text(request, "classificationId")
        details = self._world.build_details(classification_id)
        batches = self._world.build_batches_map(classification_id)
        if batches and self._world.context.switches.classification_batches:
            details["batches"] = batches
        return {"status": "success", "classificationId": classification_id, "classificationDetails": details}

    def _update_classification(self, request: ApiRequest) -> JsonObject:
        classification_id, details = self._require_text(request, "classificationId"), self._require_details(request)
        template = self._world.get_template(classification_id)
        document_types = (
            parse_document_types(details["documentTypes"]) if "documentTypes" in details else template.document_types
        )
        if document_types is None:
            raise self._make_error()
        name, description = details.get("name", template.name), details.get("description", template.description)
        self._world.update(classification_id, str(name), str(description), document_types)
        return {
            "status": "updated",
            "updatedAt": self._world.context.now_ms(),
            "classificationId": classification_id,
        }

    def _get_results(self, request: ApiRequest) -> JsonObject:
        self._access_control.check_spacing(_RESULTS_ENDPOINT, request)
        classification_id = self._require_text(request, "classificationId")
        batch_id = self._require_text(request, "batchId")
        batch = self._world.read_batch(classification_id, batch_id, request.get_text("fileId"))
        is_waiting = not batch.is_finished and not self._world.context.switches.partial_batches
        body: JsonObject = {
            "status": "waiting" if is_waiting else "success",
            "classificationId": classification_id,
            "batchId": batch_id,
        }
        if file_id := request.get_text("fileId"):
            body["fileId"] = file_id
        return body if is_waiting else {**body, "files": [self._render_file(file) for file in batch.files]}

    def _render_file(self, file: FileView) -> JsonObject:
        """Return a file's JSON as documented.

        `error` and files in progress are guesses after extraction.
        """
        file_json: JsonObject = {"fileId": file.file_id, "fileName": file.name, "status": file.status.value}
        if file.status is FileStatus.PROCESSING:
            file_json["status"] = self._world.context.switches.unknown_status or "processing"
        if file.result is not None:
            file_json["result"] = file.result
        if file.error is not None:
            file_json["error"] = file.error
        # The connector syncs the extraction batch that this refers to, unless `follow_links` is off.
        if file.reference is not None and file.result is not None:
            file_json["extraction"] = {
                "extractionId": file.reference.extraction_id,
                "batchId": file.reference.batch_id,
                "fileId": file.reference.file_id,
            }
        file_json["url"] = file.url or self._world.context.sign_url(file.name)
        return file_json

    def _delete_classification(self, request: ApiRequest) -> JsonObject:
        self._world.delete(self._require_text(request, "classificationId"))
        return {"status": "success", "message": "Classification deleted"}

    def _delete_batch(self, request: ApiRequest) -> JsonObject:
        self._world.delete(self._require_text(request, "classificationId"), self._require_text(request, "batchId"))
        return {"status": "success", "message": "Batch deleted"}

    def _delete_files(self, request: ApiRequest) -> JsonObject:
        """Delete files, and their batch if it is empty then.

        `deleteAll` is seen in public clients. That it reports an emptied batch, which is deleted too, is a guess.
        """
        classification_id = self._require_text(request, "classificationId")
        batch_id = self._require_text(request, "batchId")
        file_ids = (request.body or {}).get("fileIds")
        if not isinstance(file_ids, list) or not file_ids or not all(isinstance(item, str) for item in file_ids):
            raise self._make_error()
        unique_ids = dict.fromkeys(file_ids)
        for file_id in unique_ids:
            self._world.read_batch(classification_id, batch_id, file_id)
        for file_id in unique_ids:
            self._world.delete(classification_id, batch_id, file_id)
        is_emptied = not self._world.get_batch(batch_id).files
        if is_emptied:
            self._world.delete(classification_id, batch_id)
        return {"status": "success", "message": "Files deleted", "deleteAll": is_emptied}
