"""The documented operations of data extraction."""

from collections.abc import Callable, Sequence

from sandbox.api import Answer, Call, Endpoint, Refusal
from sandbox.shared import JsonObject, Unknown

from .access import Door
from .extraction import ExtractionWorld
from .files import BatchView, FileStatus, FileView

_RESULTS = "extracta.getBatchResults"


def invalid() -> Refusal:
    """Documented on "Get results". That unknown ids get it too is a guess; a public client's test saw them fail."""
    return Refusal(400, {"error": "Invalid request"})


class ExtractionRoutes:
    """Each method answers one operation."""

    def __init__(self, world: ExtractionWorld, door: Door) -> None:
        self._world = world
        self._door = door

    def endpoints(self) -> Sequence[Endpoint]:
        operations: list[tuple[str, str, Callable[[Call], JsonObject]]] = [
            ("POST", "createExtraction", self._create),
            ("POST", "viewExtraction", self._view),
            ("PATCH", "updateExtraction", self._update),
            ("DELETE", "deleteExtraction", self._delete),
            ("POST", "uploadFiles", self._upload),
            ("POST", "getBatchResults", self._results),
            ("GET", "credits", self._credits),
        ]
        return [
            Endpoint(
                f"extracta.{name}",
                method,
                f"/{name}",
                self._behind_door(answer),
                frozenset({"result"}),
                unknown=invalid().answer,
            )
            for method, name, answer in operations
        ]

    def _behind_door(self, answer: Callable[[Call], JsonObject]) -> Callable[[Call], Answer]:
        def handle(call: Call) -> Answer:
            self._door.check_key(call)
            try:
                return Answer(answer(call))
            except Unknown:
                raise invalid() from None

        return handle

    def _create(self, call: Call) -> JsonObject:
        details = _details(call)
        name, fields = details.pop("name", None), details.pop("fields", None)
        if not isinstance(name, str) or not name or not isinstance(fields, list) or not _are_fields(fields):
            raise invalid()
        extraction_id = self._world.create(name, fields, details=details)
        return {
            "status": "created",
            "createdAt": self._world.shared.milliseconds(),
            "extractionId": extraction_id,
        }

    def _view(self, call: Call) -> JsonObject:
        extraction_id = _required(call, "extractionId")
        details = self._world.details(extraction_id)
        batches = self._world.batches_map(extraction_id)
        # The map is optional in public clients; that it is absent without a batch is a guess.
        if batches and self._world.shared.switches.extracta_batches:
            details["batches"] = batches
        return {"extractionId": extraction_id, "extractionDetails": details}

    def _update(self, call: Call) -> JsonObject:
        extraction_id, details = _required(call, "extractionId"), _details(call)
        if "fields" in details and not _are_fields(details["fields"]):
            raise invalid()
        self._world.update(extraction_id, details)
        return {
            "status": "updated",
            "updatedAt": self._world.shared.milliseconds(),
            "extractionId": extraction_id,
        }

    def _delete(self, call: Call) -> JsonObject:
        batch_id, file_id = call.text("batchId"), call.text("fileId")
        if file_id and not batch_id:
            raise invalid()
        self._world.delete(_required(call, "extractionId"), batch_id, file_id)
        return {"status": "deleted", "deletedAt": self._world.shared.milliseconds()}

    def _upload(self, call: Call) -> JsonObject:
        """Documented: without `batchId` a new batch, with it files for that batch, which must exist."""
        extraction_id, batch_id = _required(call, "extractionId"), call.text("batchId")
        if not call.uploads:
            raise invalid()
        if batch_id:
            self._world.read(extraction_id, batch_id)
        arriving = [self._world.arriving(name) for name in call.uploads]
        batch_id = self._world.upload(extraction_id, arriving, batch_id)
        added = self._world.batch(batch_id).files[-len(call.uploads) :]
        return {
            "status": "uploaded",
            "extractionId": extraction_id,
            "batchId": batch_id,
            "files": [
                {"fileName": file.name, "fileId": file.file_id, "url": self._world.shared.link(file.name)}
                for file in added
            ],
        }

    def _results(self, call: Call) -> JsonObject:
        self._door.check_pace(_RESULTS, call)
        extraction_id, batch_id = _required(call, "extractionId"), _required(call, "batchId")
        batch = self._world.read(extraction_id, batch_id, call.text("fileId"))
        switches = self._world.shared.switches
        answer: JsonObject = {"extractionId": extraction_id, "batchId": batch_id}
        if file_id := call.text("fileId"):
            answer["fileId"] = file_id
        if not batch.finished and not switches.partial_batches:
            return {**answer, "status": "waiting"}
        if switches.extracta_top_level_status:
            answer["status"] = "processed" if batch.finished else switches.unknown_status or "processing"
        return {**answer, "files": self._files(batch)}

    def _files(self, batch: BatchView) -> list[JsonObject]:
        return [self._file(file) for file in batch.files]

    def _file(self, file: FileView) -> JsonObject:
        """`fileName`, `status`, `result`, `url` are documented; `fileId` and `error` are seen in public clients."""
        switches = self._world.shared.switches
        shown: JsonObject = {"fileId": file.file_id} if switches.extracta_file_ids else {}
        shown |= {"fileName": file.name, "status": file.status.value}
        if file.status is FileStatus.PROCESSING:
            shown["status"] = switches.unknown_status or "processing"
        if file.result is not None:
            shown["result"] = file.result
        if file.error is not None:
            shown["error"] = file.error
        shown["url"] = file.url or self._world.shared.link(file.name)
        return shown

    def _credits(self, _: Call) -> JsonObject:
        """Documented on "Get credits"."""
        return {"status": "ok", "credits": self._world.account.credits}


def _required(call: Call, key: str) -> str:
    value = call.text(key)
    if value is None:
        raise invalid()
    return value


def _details(call: Call) -> JsonObject:
    details = (call.body or {}).get("extractionDetails")
    if not isinstance(details, dict):
        raise invalid()
    return dict(details)


def _are_fields(fields: object) -> bool:
    if not isinstance(fields, list) or not fields:
        return False
    return all(isinstance(field, dict) and isinstance(field.get("key"), str) and field["key"] for field in fields)
