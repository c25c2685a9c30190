"""Handler parts that extraction and classification share."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Generic, TypeVar

from docextract_sandbox.api import ApiError, ApiRequest, ApiResponse
from docextract_sandbox.context import JsonObject, UnknownId

from .access import AccessControl
from .batches import BatchWorld

World = TypeVar("World", bound=BatchWorld)


class ProductRoutes(ABC, Generic[World]):
    """The handlers of one product, one method for each operation.

    Attributes:
        template_key: The key of a template's id in requests and responses.
        details_key: The key of a template's definition.
    """

    template_key: ClassVar[str]
    details_key: ClassVar[str]

    def __init__(self, world: World, access_control: AccessControl) -> None:
        """Serve one world."""
        self._world = world
        self._access_control = access_control

    @staticmethod
    @abstractmethod
    def _make_error() -> ApiError:
        """Return the product's error for unknown ids and invalid requests."""

    def _guard_handler(self, handler: Callable[[ApiRequest], JsonObject]) -> Callable[[ApiRequest], ApiResponse]:
        def handle_request(request: ApiRequest) -> ApiResponse:
            self._access_control.check_key(request)
            try:
                return ApiResponse(handler(request))
            except UnknownId:
                raise self._make_error() from None

        return handle_request

    def _upload_files(self, request: ApiRequest) -> JsonObject:
        """Upload files to a new batch, or to the existing batch of `batchId`.

        Both are documented for extraction. For classification, that `status` is `uploaded` too is a guess.
        """
        template_id, batch_id = self._require_text(request, self.template_key), request.get_text("batchId")
        if not request.upload_names:
            raise self._make_error()
        if batch_id:
            self._world.read_batch(template_id, batch_id)
        new_files = [self._world.draw_file(file_name) for file_name in request.upload_names]
        batch_id = self._world.upload(template_id, new_files, batch_id)
        added_files = self._world.get_batch(batch_id).files[-len(request.upload_names) :]
        return {
            "status": "uploaded",
            self.template_key: template_id,
            "batchId": batch_id,
            "files": [
                {"fileName": file.name, "fileId": file.file_id, "url": self._world.context.sign_url(file.name)}
                for file in added_files
            ],
        }

    def _require_text(self, request: ApiRequest, key: str) -> str:
        value = request.get_text(key)
        if value is None:
            raise self._make_error()
        return value

    def _require_details(self, request: ApiRequest) -> JsonObject:
        details = (request.body or {}).get(self.details_key)
        if not isinstance(details, dict):
            raise self._make_error()
        return dict(details)
