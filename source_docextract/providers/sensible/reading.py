"""Sensible's extractions: summaries in its list, and whole documents."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from math import inf
from types import NoneType

from ...core.errors import ResourceUnavailable, UnreadableResponse
from ...core.ids import FileKeyAssigner
from ...core.json_types import Json
from ...core.model import Document, Extraction, FileStatus, PartitionRef, PartitionStatus, Snapshot
from ...core.timestamps import parse_time
from ...core.wrappers import WrapperFormat
from ..parsing import (
    as_identifier,
    as_number,
    as_object,
    as_text,
    compute_fingerprint,
    describe_unreadable,
    find_uncertain_times,
    missing_document,
    parse_each,
    require_object,
    unknown_keys,
)

_FILE_STATUSES = {
    "WAITING": FileStatus.PENDING,  # its file has not been uploaded
    "PROCESSING": FileStatus.PENDING,
    "COMPLETE": FileStatus.PROCESSED,
    "FAILED": FileStatus.FAILED,
}

TOO_LARGE_STATUS = 413
"""Documented for a document whose output is over 6 MB; asking again is no use."""

_DECIDED_REVIEWS = frozenset({"APPROVED", "REJECTED"})

_NEEDS_REVIEW = "NEEDS_REVIEW"

WRAPPER_FORMAT = WrapperFormat(
    marker_key="type",
    marker_types=(str,),  # in a section there may be fields of these names, which are wrapped themselves or null
    confidence_key="valueConfidence",
    signal_key="confidenceSignal",
    unit_key="unit",
    column_keys=("id", "values"),
)
"""`{"value", "type", "unit", …}`; a table is `{"columns": [{"id", "values": […]}], "title", "footer"}`."""


def parse_page(body: Json, full_page_size: float = inf) -> tuple[list[Json], str | None]:
    """Rows, and the token of the next page. A page that is full, `of` so many rows, has to say whether it is the last:
    what is not read now never will be.
    """
    response = require_object(body, "Sensible's list of extractions")
    rows = response.get("extractions")
    if not isinstance(rows, list):
        raise UnreadableResponse("Sensible's list of extractions is not a JSON array.")
    if "continuation_token" not in response and len(rows) >= full_page_size:
        raise UnreadableResponse("Sensible's list of extractions does not say whether there is more.")
    return rows, as_identifier(response.get("continuation_token"), "Sensible's continuation_token")


def parse_ref(item: Json) -> PartitionRef:
    """One extraction, by its summary. All of that makes its signature: which parts change with what is not told."""
    row = require_object(item, "A row of Sensible's list")
    extraction_id, created_at = as_identifier(row.get("id"), "An id in Sensible's list"), parse_time(row.get("created"))
    if not extraction_id:
        raise UnreadableResponse("An extraction in Sensible's list has no id.")
    return PartitionRef(
        None,
        extraction_id,
        created_at=created_at,
        approx_created_at=created_at,
        listed_row=row,
        fingerprint=compute_fingerprint(row, has_urls=True),
    )


def _get_in_either_case(row: Mapping[str, Json], key: str) -> Json:
    """A value by its key as documented, or in the other style of writing keys, which one example has."""
    first_part, *other_parts = key.split("_")
    return row[key] if key in row else row.get(first_part + "".join(map(str.title, other_parts)))


def list_type_names(row: Mapping[str, Json]) -> list[str]:
    types = row.get("types")
    return [str(type_name) for type_name in (*(types if isinstance(types, list) else ()), row.get("type")) if type_name]


_REVIEW_KEYS = ("reviewStatus", "reviewStatuses", "review_status", "review_statuses")

_FILE_KEYS = frozenset(
    {
        "id", "created", "completed", "status", "type", "document_name", "documentName", "page_count", "pageCount",
        "download_url", "downloadUrl", "parsed_document", "parsedDocument", "documents", "batchId", "batchID",
        "batch_id", *_REVIEW_KEYS,    }
)  # fmt: skip

_PART_KEYS = frozenset({"documentType", "document_type", "output"})

_OUTPUT_KEYS = frozenset({"parsed_document", "parsedDocument", *_REVIEW_KEYS})


def _parse_document(row: Mapping[str, Json], extraction_id: str) -> Document:
    """A document, or the summary of one, but for what was extracted."""
    provider_status = as_text(row.get("status"))
    status = _FILE_STATUSES.get(provider_status or "", FileStatus.PENDING)
    created_at, completed_at = parse_time(row.get("created")), parse_time(row.get("completed"))
    uncertain_times = find_uncertain_times(row, created=created_at, completed=completed_at)
    batch_id = next((row[key] for key in ("batchId", "batchID", "batch_id") if row.get(key)), None)
    return Document(
        key=FileKeyAssigner().assign(extraction_id, None),
        status=status,
        file_id=extraction_id,
        file_name=as_text(_get_in_either_case(row, "document_name")),
        provider_status=provider_status,
        error=_join_errors(row) if status is FileStatus.FAILED else None,
        document_type=as_text(row.get("type")),
        page_count=as_number(_get_in_either_case(row, "page_count")),
        url=as_text(_get_in_either_case(row, "download_url")),
        created_at=created_at,
        completed_at=completed_at,
        provider_data=unknown_keys(row, _FILE_KEYS - uncertain_times if uncertain_times else _FILE_KEYS),
        batch=PartitionRef(None, as_identifier(batch_id, "Sensible's batchId") or ""),
    )


def _join_errors(row: Mapping[str, Json]) -> str | None:
    """`errors` is a list of `{message, …}`."""
    errors = row.get("errors")
    messages = [
        as_text(error_item.get("message")) if isinstance(error_item, Mapping) else as_text(error_item)
        for error_item in _as_list(errors)
    ]
    return " ".join(filter(None, messages)) or None


def _as_list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else [] if value is None else [value]


_POSTPROCESSED_KEYS = frozenset({"postprocessorOutput", "postprocessor_output"})


def _select_data(output: Mapping[str, Json]) -> tuple[Json, frozenset[str]]:
    """What was extracted, and the keys that hold it.

    A configuration with `keepParsedDocument: false` leaves its postprocessor's output alone.
    """
    parsed = _get_in_either_case(output, "parsed_document")
    if parsed is not None:
        return parsed, _OUTPUT_KEYS
    postprocessed = next((output[key] for key in _POSTPROCESSED_KEYS if output.get(key) is not None), None)
    return (None, _OUTPUT_KEYS) if postprocessed is None else (postprocessed, _OUTPUT_KEYS | _POSTPROCESSED_KEYS)


def _add_extractions(document: Document, row: Mapping[str, Json]) -> Document:
    """A complete document with what was extracted: one result, or one for each document of a portfolio.

    In a portfolio nothing may have been found, or nothing in one of its documents: it has `errors` then. An empty list
    says so by itself; where there is none at all, the errors have to.
    """
    created_at, completed_at = document.created_at, document.completed_at
    review_statuses = _parse_review_statuses(row)
    portfolio = row.get("documents")
    is_single = not portfolio and row.get("types") is None and (portfolio is None or row.get("type") is not None)
    if not isinstance(portfolio, (list, NoneType)) or (portfolio is None and not is_single and not _join_errors(row)):
        raise UnreadableResponse("A Sensible portfolio contains no list of documents.")
    if is_single:
        raw_data, data_keys = _select_data(row)
        data = as_object(raw_data)
        single_extraction = Extraction(
            data=data,
            hashable_data=data,
            document_type=as_text(row.get("type")),
            review_status=review_statuses[0] if review_statuses else None,
            created_at=created_at,
            completed_at=completed_at,
        )
        provider_data = (
            unknown_keys(document.provider_data, data_keys) if data_keys is not _OUTPUT_KEYS else document.provider_data
        )
        return document._replace(extractions=(single_extraction,), provider_data=provider_data)
    extractions = []
    for index, portfolio_item in enumerate(portfolio or ()):
        item_object = require_object(portfolio_item, "A document of a Sensible portfolio")
        is_empty = "output" in item_object and item_object["output"] is None
        output = {} if is_empty else require_object(item_object.get("output"), "The output of a Sensible portfolio")
        raw_data, data_keys = _select_data(output)
        data = as_object(raw_data)
        item_statuses = _parse_review_statuses(output)
        extractions.append(
            Extraction(
                data=data,
                hashable_data=data,
                document_index=index,
                document_type=as_text(
                    _get_in_either_case(item_object, "document_type") or item_object.get("documentType")
                ),
                review_status=item_statuses[0]
                if item_statuses
                else review_statuses[index]
                if index < len(review_statuses)
                else None,
                created_at=created_at,
                completed_at=completed_at,
                provider_data={**unknown_keys(item_object, _PART_KEYS), **unknown_keys(output, data_keys)},
            )
        )
    is_incomplete = not extractions or any(extraction.data == {} for extraction in extractions)
    return document._replace(extractions=tuple(extractions), error=_join_errors(row) if is_incomplete else None)


def _parse_review_statuses(row: Mapping[str, Json]) -> list[str | None]:
    """Review statuses: one, or one for each document; written as text, as a list with nulls, or not at all."""
    review_value = next((row[key] for key in _REVIEW_KEYS if row.get(key) is not None), None)
    return [as_text(review_status) for review_status in _as_list(review_value)]


def build_snapshot(ref: PartitionRef, row: Mapping[str, Json]) -> Snapshot:
    """What is under review is complete, and watched until that is decided."""
    document = _parse_document(row, ref.batch_id)
    if document.status is FileStatus.PROCESSED:
        document = _add_extractions(document, row)
    listed_status = _FILE_STATUSES.get(as_text((ref.listed_row or {}).get("status")) or "", FileStatus.PENDING)
    if document.status is FileStatus.PENDING and listed_status is not FileStatus.PENDING:
        # Its summary is ahead of it and will not change any more: without this, nothing would make it due again.
        ref = replace(ref, fingerprint="")
    review_statuses = set(filter(None, _parse_review_statuses(row)))
    review_statuses |= {extraction.review_status for extraction in document.extractions if extraction.review_status}
    is_open = document.status is FileStatus.PENDING or not review_statuses <= _DECIDED_REVIEWS
    batch_id = document.batch.batch_id if document.batch else ""
    return Snapshot(
        ref,
        PartitionStatus.OPEN if is_open else PartitionStatus.COMPLETE,
        documents=(document,),
        completed_at=document.completed_at,
        references=_build_batch_references(document, batch_id),
        uncertain_times=find_uncertain_times(row, created=document.created_at, completed=document.completed_at),
        unknown_statuses=frozenset(
            ({document.provider_status or ""} - _FILE_STATUSES.keys())
            | (review_statuses - _DECIDED_REVIEWS - {_NEEDS_REVIEW})
        ),
    )


def build_unavailable_snapshot(ref: PartitionRef, error: ResourceUnavailable) -> Snapshot:
    """Return what is known of a document that cannot be had, by its summary if it has one.

    Its list shows it as finished: it has failed, and stays so if it is too large, which is documented to be final; else
    it is asked for again, as it may come yet. Its list shows it as unfinished: it is pending, as the list says.
    """
    if ref.listed_row is None:
        return missing_document(ref, str(error))
    document = _parse_document(ref.listed_row, ref.batch_id)
    status = PartitionStatus.COMPLETE if error.status == TOO_LARGE_STATUS else PartitionStatus.MISSING
    if document.status is FileStatus.PENDING and error.status != TOO_LARGE_STATUS:
        status = PartitionStatus.OPEN
    else:
        document = document._replace(status=FileStatus.FAILED, error=str(error))
    batch_id = document.batch.batch_id if document.batch else ""
    return Snapshot(
        ref,
        status,
        documents=(document,),
        completed_at=document.completed_at,
        references=_build_batch_references(document, batch_id),
        batch_unknown=not batch_id,
    )


def _build_batch_references(document: Document, batch_id: str) -> tuple[PartitionRef, ...]:
    """To the batch of a document, with what that tells of itself."""
    member_statuses = {document.file_id or "": document.status}
    return (
        (PartitionRef(None, batch_id, is_explicit=True, is_referenced=True, member_statuses=member_statuses),)
        if batch_id
        else ()
    )


_BATCH_KEYS = frozenset({"id", "description", "extraction_ids"})

_COUNTER_KEYS = frozenset({"waiting", "processing", "complete", "completed", "failed"})

_STATUS_LETTERS = {FileStatus.PENDING: "w", FileStatus.PROCESSED: "p", FileStatus.FAILED: "f"}

_UNKNOWN_LETTER = "?"


def parse_member_ids(response: Mapping[str, Json]) -> list[str]:
    return parse_each(_get_members(response), _parse_member_id)


def _get_members(response: Mapping[str, Json]) -> list[Json]:
    members = response.get("extraction_ids", "none told")
    if not isinstance(members, (list, NoneType)):
        raise UnreadableResponse("Sensible's response for a batch contains no list of extraction_ids.")
    return members or []


def _parse_member_id(item: Json) -> str:
    if not item or type(item) not in {str, int}:
        raise UnreadableResponse("An extraction of a Sensible batch has no id.")
    return str(item)


def build_member_ref(extraction_id: str) -> PartitionRef:
    return PartitionRef(None, extraction_id, is_explicit=True, is_referenced=True)


def build_batch_snapshot(ref: PartitionRef, response: Mapping[str, Json]) -> Snapshot:
    """A batch, whose answer tells no more of its documents than their ids; their order never changes.

    What they have told of themselves is written down by one letter each. What none has told so far is asked for.
    """
    extraction_ids = parse_member_ids(response)
    error = describe_unreadable(
        len(_get_members(response)) - len(extraction_ids),
        f"the extraction_ids of {ref.batch_id} in Sensible's response",
    )
    known_letters = _expand_letters(ref.provider_state)
    if len(known_letters) != len(extraction_ids):
        known_letters = _UNKNOWN_LETTER * len(extraction_ids)
    letters = "".join(
        _STATUS_LETTERS[ref.member_statuses[extraction_id]] if extraction_id in ref.member_statuses else letter
        for extraction_id, letter in zip(extraction_ids, known_letters, strict=True)
    )
    statuses_by_letter = {letter: status for status, letter in _STATUS_LETTERS.items()}
    key_assigner = FileKeyAssigner()
    documents = tuple(
        Document(
            key_assigner.assign(extraction_id, None),
            statuses_by_letter.get(letter, FileStatus.PENDING),
            file_id=extraction_id,
        )
        for extraction_id, letter in zip(extraction_ids, letters, strict=True)
    )
    is_open = not extraction_ids or error or any(document.status is FileStatus.PENDING for document in documents)
    return Snapshot(
        ref,
        PartitionStatus.OPEN if is_open else PartitionStatus.COMPLETE,
        documents=documents,
        description=as_text(response.get("description")),
        error=error or None,
        provider_data=unknown_keys(response, _BATCH_KEYS | _COUNTER_KEYS),
        volatile_data={key: response[key] for key in sorted(_COUNTER_KEYS & response.keys())},
        references=tuple(
            build_member_ref(extraction_id)
            for extraction_id, letter in zip(extraction_ids, letters, strict=True)
            if letter == _UNKNOWN_LETTER
        ),
        provider_state=_compress_letters(letters),
        read_error=error,
    )


def _compress_letters(letters: str) -> str:
    """`pppppw` as `p5w`."""
    return re.sub(r"(.)\1+", lambda run_match: f"{run_match[1]}{len(run_match[0])}", letters)


def _expand_letters(provider_state: str) -> str:
    return "".join(letter * int(repeat_count or 1) for letter, repeat_count in re.findall(r"(\D)(\d*)", provider_state))
