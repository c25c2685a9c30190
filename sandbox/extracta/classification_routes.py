"""The documented operations of document classification."""

from collections.abc import Callable, Sequence

from sandbox.api import Answer, Call, Endpoint, Refusal
from sandbox.shared import JsonObject, Unknown

from .access import Door
from .classification import ClassificationWorld, types_from
from .files import FileStatus, FileView

_RESULTS = "extracta.getResults"


def failed() -> Refusal:
    """Documented on "Get results" of classification; that all that can go wrong gets it is a guess."""
    return Refusal(400, {"status": "error", "message": "Internal server error"})


class ClassificationRoutes:
    """Each method answers one operation."""

    def __init__(self, world: ClassificationWorld, door: Door) -> None:
        self._world = world
        self._door = door

    def endpoints(self) -> Sequence[Endpoint]:
        operations: list[tuple[str, str, str, Callable[[Call], JsonObject]]] = [
            ("createClassification", "POST", "createClassification", self._create),
            ("viewClassification", "POST", "viewClassification", self._view),
            ("updateClassification", "PATCH", "updateClassification", self._update),
            ("uploadForClassification", "POST", "uploadFiles", self._upload),
            ("getResults", "POST", "getResults", self._results),
            ("deleteClassification", "DELETE", "deleteClassification", self._delete),
            ("deleteBatch", "DELETE", "deleteBatch", self._delete_batch),
            ("deleteFiles", "DELETE", "deleteFiles", self._delete_files),
        ]
        return [
            Endpoint(
                f"extracta.{name}",
                method,
                f"/documentClassification/{path}",
                self._behind_door(answer),
                unknown=failed().answer,
            )
            for name, method, path, answer in operations
        ]

    def _behind_door(self, answer: Callable[[Call], JsonObject]) -> Callable[[Call], Answer]:
        def handle(call: Call) -> Answer:
            self._door.check_key(call)
            try:
                return Answer(answer(call))
            except Unknown:
                raise failed() from None

        return handle

    def _create(self, call: Call) -> JsonObject:
        details = _details(call)
        name, types = details.get("name"), types_from(details.get("documentTypes"))
        if not isinstance(name, str) or not name or types is None:
            raise failed()
        classification_id = self._world.create(name, types, description=str(details.get("description", "")))
        return {
            "status": "created",
            "createdAt": self._world.shared.milliseconds(),
            "classificationId": classification_id,
        }

    def _view(self, call: Call) -> JsonObject:
        classification_id = _required(call, "classificationId")
        details = self._world.details(classification_id)
        batches = self._world.batches_map(classification_id)
        if batches and self._world.shared.switches.classification_batches:
            details["batches"] = batches
        return {"status": "success", "classificationId": classification_id, "classificationDetails": details}

    def _update(self, call: Call) -> JsonObject:
        classification_id, details = _required(call, "classificationId"), _details(call)
        template = self._world.template(classification_id)
        types = types_from(details["documentTypes"]) if "documentTypes" in details else template.types
        if types is None:
            raise failed()
        name, description = details.get("name", template.name), details.get("description", template.description)
        self._world.update(classification_id, str(name), str(description), types)
        return {
            "status": "updated",
            "updatedAt": self._world.shared.milliseconds(),
            "classificationId": classification_id,
        }

    def _upload(self, call: Call) -> JsonObject:
        """As in extraction; that `status` is `uploaded` here too is a guess."""
        classification_id, batch_id = _required(call, "classificationId"), call.text("batchId")
        if not call.uploads:
            raise failed()
        if batch_id:
            self._world.read(classification_id, batch_id)
        arriving = [self._world.arriving(name) for name in call.uploads]
        batch_id = self._world.upload(classification_id, arriving, batch_id)
        added = self._world.batch(batch_id).files[-len(call.uploads) :]
        return {
            "status": "uploaded",
            "classificationId": classification_id,
            "batchId": batch_id,
            "files": [
                {"fileName": file.name, "fileId": file.file_id, "url": self._world.shared.link(file.name)}
                for file in added
            ],
        }

    def _results(self, call: Call) -> JsonObject:
        self._door.check_pace(_RESULTS, call)
        classification_id, batch_id = _required(call, "classificationId"), _required(call, "batchId")
        batch = self._world.read(classification_id, batch_id, call.text("fileId"))
        waiting = not batch.finished and not self._world.shared.switches.partial_batches
        answer: JsonObject = {
            "status": "waiting" if waiting else "success",
            "classificationId": classification_id,
            "batchId": batch_id,
        }
        if file_id := call.text("fileId"):
            answer["fileId"] = file_id
        return answer if waiting else {**answer, "files": [self._file(file) for file in batch.files]}

    def _file(self, file: FileView) -> JsonObject:
        """Documented, but for `error` and what a file in progress looks like: those are guesses after extraction."""
        shown: JsonObject = {"fileId": file.file_id, "fileName": file.name, "status": file.status.value}
        if file.status is FileStatus.PROCESSING:
            shown["status"] = self._world.shared.switches.unknown_status or "processing"
        if file.result is not None:
            shown["result"] = file.result
        if file.error is not None:
            shown["error"] = file.error
        if file.link is not None and file.result is not None:
            shown["extraction"] = {
                "extractionId": file.link.extraction_id,
                "batchId": file.link.batch_id,
                "fileId": file.link.file_id,
            }
        shown["url"] = file.url or self._world.shared.link(file.name)
        return shown

    def _delete(self, call: Call) -> JsonObject:
        self._world.delete(_required(call, "classificationId"))
        return {"status": "success", "message": "Classification deleted"}

    def _delete_batch(self, call: Call) -> JsonObject:
        self._world.delete(_required(call, "classificationId"), _required(call, "batchId"))
        return {"status": "success", "message": "Batch deleted"}

    def _delete_files(self, call: Call) -> JsonObject:
        """`deleteAll` is seen in public clients. That it tells of an emptied batch, which goes with it, is a guess."""
        classification_id, batch_id = _required(call, "classificationId"), _required(call, "batchId")
        file_ids = (call.body or {}).get("fileIds")
        if not isinstance(file_ids, list) or not file_ids or not all(isinstance(one, str) for one in file_ids):
            raise failed()
        wanted = dict.fromkeys(file_ids)
        for file_id in wanted:
            self._world.read(classification_id, batch_id, file_id)
        for file_id in wanted:
            self._world.delete(classification_id, batch_id, file_id)
        emptied = not self._world.batch(batch_id).files
        if emptied:
            self._world.delete(classification_id, batch_id)
        return {"status": "success", "message": "Files deleted", "deleteAll": emptied}


def _required(call: Call, key: str) -> str:
    value = call.text(key)
    if value is None:
        raise failed()
    return value


def _details(call: Call) -> JsonObject:
    details = (call.body or {}).get("classificationDetails")
    if not isinstance(details, dict):
        raise failed()
    return details
