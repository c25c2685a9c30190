"""Reading of Extracta.ai's responses: listed batches, files and results.

No I/O. Sources: Extracta.ai's pages "Get results" of both products, "Upload files" and "Webhook event types".
"""

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

# No page lists the statuses. "Get results" shows `processed` and, for a batch, `waiting`; "Webhook event types" names
# an event for failed extractions; `processing` stands in public clients, and `error` is a guess.
_FILE_STATUSES = {
    "processed": FileStatus.PROCESSED,
    "failed": FileStatus.FAILED,
    "error": FileStatus.FAILED,
    "waiting": FileStatus.PENDING,
    "processing": FileStatus.PENDING,
}

SERVER_ERROR_MESSAGE = "Internal server error"
"""Message that classification's "Get results" documents for status 400, which normally means a client error."""


@dataclass(frozen=True, slots=True)
class Api:
    """Differences between the two products.

    Attributes:
        product: Name of the product, which its streams begin with.
        noun: Word for its templates in messages and in the names of settings.
        template_id_key: Key that names a template in requests and responses.
        view_path: Path of the endpoint that returns a template.
        results_path: Path of the endpoint that returns a batch; also the lane whose requests are spaced.
        details_key: Key that holds the template in the response of `view_path`.
        parse_result: Returns the extraction of a processed file.
    """

    product: str
    noun: str
    template_id_key: str
    view_path: str
    results_path: str
    details_key: str
    parse_result: Callable[[Mapping[str, Json]], Extraction]

    @property
    def noun_phrase(self) -> str:
        """Its template with an indefinite article, for messages."""
        return f"{'an' if self.noun[0] in 'aeiou' else 'a'} {self.noun} template"

    @property
    def ids_setting(self) -> str:
        """Name of the setting that lists templates."""
        return f"extracta.{self.noun}_ids"

    @property
    def batches_setting(self) -> str:
        """Name of the setting that lists batches."""
        return f"extracta.{self.noun}_batches"


def _parse_extracted(file: Mapping[str, Json]) -> Extraction:
    # "Get results" shows the values of the template's fields alone: extraction has no confidence and no document type.
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

# `origin` has no column, so it stays in provider_data.
_LISTED_KEYS = frozenset({"filesNo", "startTime", "status"})

_TIME_KEYS = frozenset({"startTime"})


def parse_listed_batch(template_id: str, template_name: str | None, batch_id: str, batch_info: Json) -> PartitionRef:
    """Return a reference to a batch from its entry in a template's `batches`.

    The fingerprint is `filesNo`: files can be added to a finished batch (page "Upload files"), so a changed number
    makes the batch due again. The unit of `startTime` is not documented; `parse_time` accepts seconds and milliseconds.
    """
    # The key of an entry is enough to request the batch, so an entry in another form costs only what it states.
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
    """Return the snapshot of a batch.

    Args:
        api: The product.
        ref: The batch that was requested.
        responses: One response for the whole batch, or one for each of `ref.file_ids`.

    Raises:
        UnreadableResponse: A response holds an error, or files that are no list.
    """
    files_by_response = [_get_files(ref, response) for response in responses]
    requested_files: list[tuple[Json, str | None]] = []
    for response_files, requested_id in zip(files_by_response, ref.file_ids or (None,), strict=True):
        requested_files += [(file, requested_id) for file in response_files or ()]
    files = parse_each(requested_files, _parse_file)
    error = describe_unreadable(len(requested_files) - len(files), f"the files of {ref.key} in Extracta.ai's response")
    # "Get results" shows a ready response without `status`; public clients read one, so it is used where it is sent.
    statuses = [as_text(response.get("status")) for response in responses]
    has_pending_status = any(_FILE_STATUSES.get(status or "") is FileStatus.PENDING for status in statuses)
    is_waiting = None in files_by_response or has_pending_status
    # The example of classification's "Get results" shows two files with one `fileId`: each gets a key of its own.
    key_assigner = FileKeyAssigner()
    documents = tuple(_parse_document(api, file, key_assigner) for file in files)
    is_done = all(document.status is not FileStatus.PENDING for document in documents)
    # An empty list of files never counts as done, and a `waiting` response has none: the batch stays open.
    is_finished = bool(documents) and is_done and not is_waiting and not error
    # The statuses of files are checked against the known ones; without files, those of the responses are.
    provider_statuses = [document.provider_status or "" for document in documents]
    if not documents:
        provider_statuses = [status for status in statuses if status]
    references = {reference.key: reference for reference in map(_parse_reference, files) if reference}
    has_no_files_yet = None in files_by_response and not documents
    last_response = responses[-1]
    return Snapshot(
        ref,
        PartitionStatus.COMPLETE if is_finished else PartitionStatus.OPEN,
        documents=None if has_no_files_yet else documents,  # None: unknown files, which is not the same as no files
        provider_status=statuses[-1],
        error=as_text(last_response.get("error")) or error or None,
        provider_data=unknown_keys(last_response, _RESPONSE_KEYS | {api.template_id_key}),
        references=tuple(references.values()),
        uncertain_times=frozenset(ref.provider_data.keys() & _TIME_KEYS),
        unknown_statuses=frozenset(provider_statuses) - _FILE_STATUSES.keys(),
        read_error=error,
    )


_RESPONSE_KEYS = frozenset({"batchId", "fileId", "files", "status", "error"})


def _get_files(ref: PartitionRef, response: Mapping[str, Json]) -> list[Json] | None:
    """Return the files of one response, None while the batch is waiting.

    Raises:
        UnreadableResponse: The response has an `error` instead of files, or files that are no list.
    """
    files = response.get("files")
    if files is None:
        # Public clients check for an `error` in a response with status 200, which must not pass for `waiting`.
        if error := as_text(response.get("error")):
            raise UnreadableResponse(f"Extracta.ai reports an error for {ref.key}: {sanitize(error).rstrip('.')}.")
        return None
    if not isinstance(files, list):
        raise UnreadableResponse(f"Extracta.ai's files of {ref.key} are not a list.")
    return files


def _parse_file(requested_file: tuple[Json, str | None]) -> Mapping[str, Json]:
    """Check that a file can be read, and add its id if the response lacks it.

    A file that was requested alone has the id it was requested by. "Get results" shows no `fileId` in the files of an
    extraction batch, while public clients read one.

    Raises:
        UnreadableResponse: The file is no object, or its id or its reference to an extraction batch cannot be read.
    """
    file, requested_id = require_object(requested_file[0], "A file"), requested_file[1]
    _parse_reference(file)  # an unreadable reference must be counted: it may be the only trace of an extraction batch
    if as_identifier(file.get("fileId"), "A fileId") or not requested_id:
        return file
    return {**file, "fileId": requested_id}


# `extraction` has no column: provider_data keeps the ids of the extraction batch and file that a file refers to.
_FILE_KEYS = frozenset({"fileId", "fileName", "status", "result", "url", "error"})


def _parse_document(api: Api, file: Mapping[str, Json], key_assigner: FileKeyAssigner) -> Document:
    """Return the document of a file, with its result if it is processed."""
    file_id, file_name, provider_status = (
        as_text(file.get("fileId")),
        as_text(file.get("fileName")),
        as_text(file.get("status")),
    )
    # An unknown status counts as unfinished. Taken for finished, the file would not be requested again, and its result
    # would be lost.
    status = _FILE_STATUSES.get(provider_status or "", FileStatus.PENDING)
    document_type: str | None = None
    extractions: tuple[Extraction, ...] = ()
    if status is FileStatus.PROCESSED:
        extraction = api.parse_result(file)
        document_type, extractions = extraction.document_type, (extraction,)
    return Document(
        key=key_assigner.assign(file_id, file_name),
        status=status,
        file_id=file_id,
        file_name=file_name,
        provider_status=provider_status,
        error=as_text(file.get("error")),
        document_type=document_type,
        url=as_text(file.get("url")),
        provider_data=unknown_keys(file, _FILE_KEYS),
        extractions=extractions,
    )


def _parse_reference(file: Mapping[str, Json]) -> PartitionRef | None:
    """Return the extraction batch that a classified file refers to, if any.

    "Get results" shows `extraction: {extractionId, batchId, fileId}` for a document type that is linked to an
    extraction template.
    """
    # An empty text or list is no reference either. Any other form is an error, since a reference may be lost with it.
    reference = require_object(file.get("extraction") or {}, "A link")
    template_id, batch_id = (
        as_identifier(reference.get(key), f"The {key} of a link") for key in ("extractionId", "batchId")
    )
    if not template_id or not batch_id:
        return None
    return PartitionRef(template_id, batch_id, is_explicit=True, is_referenced=True)
