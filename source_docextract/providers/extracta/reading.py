"""What Extracta.ai's answers mean. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ...core.errors import UnreadableResponse
from ...core.ids import FileKeyAssigner
from ...core.json_types import Json
from ...core.model import Document, Extraction, FileStatus, PartitionRef, PartitionStatus, Snapshot
from ...core.numbers import parse_confidence
from ...core.redaction import sanitize
from ...core.timestamps import parse_time
from ..parsing import (
    as_identifier,
    as_number,
    as_object,
    as_text,
    as_text_or_none,
    build_extraction,
    describe_unreadable,
    find_uncertain_times,
    parse_each,
    require_object,
    unknown_keys,
)
from .templates import VIEW_CLASSIFICATION, VIEW_EXTRACTION

_FILE_STATUSES = {
    "processed": FileStatus.PROCESSED,
    "failed": FileStatus.FAILED,
    "error": FileStatus.FAILED,  # a guess: no page lists the statuses
    "waiting": FileStatus.PENDING,
    "processing": FileStatus.PENDING,
}

SERVER_ERROR_MESSAGE = "Internal server error"


@dataclass(frozen=True, slots=True)
class Api:
    """What differs between the two products. `parent` is the key that names a template in requests and answers."""

    product: str
    noun: str
    template_id_key: str
    view_path: str
    results_path: str
    details_key: str
    parse_result: Callable[[Mapping[str, Json]], Extraction]

    @property
    def noun_phrase(self) -> str:
        return f"{'an' if self.noun[0] in 'aeiou' else 'a'} {self.noun} template"

    @property
    def ids_setting(self) -> str:
        return f"extracta.{self.noun}_ids"

    @property
    def batches_setting(self) -> str:
        return f"extracta.{self.noun}_batches"


def _parse_extracted(file: Mapping[str, Json]) -> Extraction:
    return build_extraction(file.get("result"))


def _parse_classified(file: Mapping[str, Json]) -> Extraction:
    result = as_object(file.get("result"))
    return build_extraction(
        result, document_type=as_text(result.get("documentType")), confidence=parse_confidence(result.get("confidence"))
    )


EXTRACTION = Api(
    "extracta", "extraction", "extractionId", VIEW_EXTRACTION, "/getBatchResults", "extractionDetails", _parse_extracted
)

CLASSIFICATION = Api(
    "extracta_classification",
    "classification",
    "classificationId",
    VIEW_CLASSIFICATION,
    "/documentClassification/getResults",
    "classificationDetails",
    _parse_classified,
)

_LISTED_KEYS = frozenset({"filesNo", "startTime", "status"})

_TIME_KEYS = frozenset({"startTime"})


def parse_listed_batch(template_id: str, template_name: str | None, batch_id: str, batch_info: Json) -> PartitionRef:
    batch_info = batch_info if isinstance(batch_info, Mapping) else {"status": batch_info}
    created_at = parse_time(batch_info.get("startTime"))
    files_total = as_number(batch_info.get("filesNo"))
    return PartitionRef(
        template_id,
        batch_id,
        created_at=created_at,
        approx_created_at=created_at,
        template_name=template_name,
        files_total=files_total,
        provider_status=as_text_or_none(batch_info.get("status")),
        provider_data=unknown_keys(batch_info, _LISTED_KEYS - find_uncertain_times(batch_info, startTime=created_at)),
        fingerprint="" if files_total is None else str(files_total),
    )


def build_snapshot(api: Api, ref: PartitionRef, responses: list[Mapping[str, Json]]) -> Snapshot:
    files_by_response = [_get_files(ref, response) for response in responses]
    requested_files = [
        (file, requested_id)
        for response_files, requested_id in zip(files_by_response, ref.file_ids or (None,), strict=True)
        for file in response_files or ()
    ]
    files = parse_each(requested_files, _parse_file)
    error = describe_unreadable(len(requested_files) - len(files), f"the files of {ref.key} in Extracta.ai's response")
    statuses = [as_text(response.get("status")) for response in responses]
    is_waiting = None in files_by_response or any(
        _FILE_STATUSES.get(status or "") is FileStatus.PENDING for status in statuses
    )
    key_assigner = FileKeyAssigner()
    documents = tuple(_parse_document(api, file, key_assigner) for file in files)
    is_done = all(requested_id.status is not FileStatus.PENDING for requested_id in documents)
    is_finished = bool(documents) and is_done and not is_waiting and not error
    # Where there are files, they tell; where there are none, the answer's own status has to say that it is waiting.
    provider_statuses = [requested_id.provider_status or "" for requested_id in documents] or [
        status for status in statuses if status
    ]
    last_response = responses[-1]
    return Snapshot(
        ref,
        PartitionStatus.COMPLETE if is_finished else PartitionStatus.OPEN,
        documents=None if None in files_by_response and not documents else documents,
        provider_status=statuses[-1],
        error=as_text(last_response.get("error")) or error or None,
        provider_data=unknown_keys(last_response, _RESPONSE_KEYS | {api.template_id_key}),
        references=tuple(
            {reference.key: reference for reference in map(_parse_reference, files) if reference}.values()
        ),
        uncertain_times=frozenset(ref.provider_data.keys() & _TIME_KEYS),
        unknown_statuses=frozenset(provider_statuses) - _FILE_STATUSES.keys(),
        read_error=error,
    )


_RESPONSE_KEYS = frozenset({"batchId", "fileId", "files", "status", "error"})


def _get_files(ref: PartitionRef, response: Mapping[str, Json]) -> list[Json] | None:
    """The files of one answer, None while it says to wait."""
    files = response.get("files")
    if files is None:
        if error := as_text(response.get("error")):
            raise UnreadableResponse(f"Extracta.ai reports an error for {ref.key}: {sanitize(error).rstrip('.')}.")
        return None
    if not isinstance(files, list):
        raise UnreadableResponse(f"Extracta.ai's files of {ref.key} are not a list.")
    return files


def _parse_file(requested_file: tuple[Json, str | None]) -> Mapping[str, Json]:
    """A file; one that was asked for alone has the id that it was asked by."""
    file, requested_id = require_object(requested_file[0], "A file"), requested_file[1]
    _parse_reference(file)  # a link that cannot be read may not be passed over
    return (
        file if as_identifier(file.get("fileId"), "A fileId") or not requested_id else {**file, "fileId": requested_id}
    )


_FILE_KEYS = frozenset({"fileId", "fileName", "status", "result", "url", "error"})


def _parse_document(api: Api, file: Mapping[str, Json], key_assigner: FileKeyAssigner) -> Document:
    file_id, file_name, provider_status = (
        as_text(file.get("fileId")),
        as_text(file.get("fileName")),
        as_text(file.get("status")),
    )
    status = _FILE_STATUSES.get(provider_status or "", FileStatus.PENDING)
    parsed_extraction = api.parse_result(file) if status is FileStatus.PROCESSED else None
    return Document(
        key=key_assigner.assign(file_id, file_name),
        status=status,
        file_id=file_id,
        file_name=file_name,
        provider_status=provider_status,
        error=as_text(file.get("error")),
        document_type=parsed_extraction.document_type if parsed_extraction else None,
        url=as_text(file.get("url")),
        provider_data=unknown_keys(file, _FILE_KEYS),
        extractions=(parsed_extraction,) if parsed_extraction else (),
    )


def _parse_reference(file: Mapping[str, Json]) -> PartitionRef | None:
    """`extraction: {extractionId, batchId, fileId}` of a file whose type is linked to an extraction template."""
    reference_value = file.get("extraction")
    reference = require_object(reference_value or {}, "A link")  # whatever is empty leads nowhere
    template_id, batch_id = (
        as_identifier(reference.get(key), f"The {key} of a link") for key in ("extractionId", "batchId")
    )
    return (
        PartitionRef(template_id, batch_id, is_explicit=True, is_referenced=True) if template_id and batch_id else None
    )
