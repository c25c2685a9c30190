"""Reading of Sensible's responses: summaries, documents and batches. No I/O.

Sources: Sensible's pages "Group extractions by batch ID", "List extractions", "Human review", "Portfolio",
"Postprocessor" and "Verbosity", and its OpenAPI specification. An example of "Portfolio" writes keys in camelCase where
the specification has snake_case, so both are accepted.
"""

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
from ..packing import PackedPage
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
"""Status that "Verbosity" documents for an output of more than 6 MB. It is final: a retry has the same output."""

_DECIDED_REVIEWS = frozenset({"APPROVED", "REJECTED"})
"""Review statuses after which "Human review" allows no change."""

_NEEDS_REVIEW = "NEEDS_REVIEW"

WRAPPER_FORMAT = WrapperFormat(
    marker_key="type",
    marker_types=(str,),  # a section may hold fields named "type" and "value", which are wrapped themselves or null
    confidence_key="valueConfidence",
    signal_key="confidenceSignal",
    unit_key="unit",
    column_keys=("id", "values"),
)
"""`{"value", "type", "unit", …}`; a table is `{"columns": [{"id", "values": […]}], "title", "footer"}`."""


def parse_page(body: Json, full_page_size: float = inf) -> tuple[list[Json], str | None]:
    """Return the rows of a list page and the token of the next page.

    The token of the last page is None.

    Args:
        body: The response.
        full_page_size: Number of rows of a full page. A full page without the key of the token is not taken for the
            last: rows that are passed over now are never read.

    Raises:
        UnreadableResponse: The response holds no list, or a full page does not state whether it is the last.
    """
    response = require_object(body, "Sensible's list of extractions")
    rows = response.get("extractions")
    if not isinstance(rows, list):
        raise UnreadableResponse("Sensible's list of extractions is not a JSON array.")
    if "continuation_token" not in response and len(rows) >= full_page_size:
        raise UnreadableResponse("Sensible's list of extractions does not say whether there is more.")
    return rows, as_identifier(response.get("continuation_token"), "Sensible's continuation_token")


def parse_ref(item: Json, page: PackedPage | None = None) -> PartitionRef:
    """Return a reference to an extraction, with its summary.

    The fingerprint covers the whole summary except URLs of files, because no page documents which parts of a summary
    change together with the document.

    Args:
        item: The summary.
        page: The page into which the summary is packed; None keeps it as it is.

    Raises:
        UnreadableResponse: The row has no id, or an id that cannot be written as text.
    """
    row = require_object(item, "A row of Sensible's list")
    extraction_id, created_at = as_identifier(row.get("id"), "An id in Sensible's list"), parse_time(row.get("created"))
    if not extraction_id:
        raise UnreadableResponse("An extraction in Sensible's list has no id.")
    # First, since it reports a row that is nested too deeply to be serialized.
    fingerprint = compute_fingerprint(row, has_urls=True)
    return PartitionRef(
        None,
        extraction_id,
        created_at=created_at,
        approx_created_at=created_at,
        listed_row=row if page is None else page.add(row),
        fingerprint=fingerprint,
    )


def _get_in_either_case(row: Mapping[str, Json], key: str) -> Json:
    """Return a value by its snake_case key, or by the same key in camelCase."""
    first_part, *other_parts = key.split("_")
    return row[key] if key in row else row.get(first_part + "".join(map(str.title, other_parts)))


def list_type_names(row: Mapping[str, Json]) -> list[str]:
    """Return the document types of a summary: `types` of a portfolio, else `type`."""
    types = row.get("types")
    type_names = [*types, row.get("type")] if isinstance(types, list) else [row.get("type")]
    return [str(type_name) for type_name in type_names if type_name]


_REVIEW_KEYS = ("reviewStatus", "reviewStatuses", "review_status", "review_statuses")
"""The specification has the singular for a document and the plural for lists and portfolios, with either type."""

_FILE_KEYS = frozenset(
    {
        "id", "created", "completed", "status", "type", "document_name", "documentName", "page_count", "pageCount",
        "download_url", "downloadUrl", "parsed_document", "parsedDocument", "documents", "batchId", "batchID",
        "batch_id", *_REVIEW_KEYS,
    }
)  # fmt: skip

_PART_KEYS = frozenset({"documentType", "document_type", "output"})

_OUTPUT_KEYS = frozenset({"parsed_document", "parsedDocument", *_REVIEW_KEYS})


def _parse_document(row: Mapping[str, Json], extraction_id: str) -> Document:
    """Return the document of a response or of a summary, without extractions."""
    provider_status = as_text(row.get("status"))
    # An unknown status counts as unfinished. Taken for finished, the document would no longer be watched, and its
    # result would be lost.
    status = _FILE_STATUSES.get(provider_status or "", FileStatus.PENDING)
    created_at, completed_at = parse_time(row.get("created")), parse_time(row.get("completed"))
    uncertain_times = find_uncertain_times(row, created=created_at, completed=completed_at)
    # A complete document may have `errors` too, about single fields. Only those of a failed one are the reason for it.
    error = _join_errors(row) if status is FileStatus.FAILED else None
    # "Group extractions by batch ID" writes `batchId` in its example and "batchID" in its text.
    batch_id = next((row[key] for key in ("batchId", "batchID", "batch_id") if row.get(key)), None)
    return Document(
        key=FileKeyAssigner().assign(extraction_id, None),
        status=status,
        file_id=extraction_id,
        file_name=as_text(_get_in_either_case(row, "document_name")),
        provider_status=provider_status,
        error=error,
        document_type=as_text(row.get("type")),
        page_count=as_number(_get_in_either_case(row, "page_count")),
        url=as_text(_get_in_either_case(row, "download_url")),
        created_at=created_at,
        completed_at=completed_at,
        provider_data=unknown_keys(row, _FILE_KEYS - uncertain_times if uncertain_times else _FILE_KEYS),
        batch=PartitionRef(None, as_identifier(batch_id, "Sensible's batchId") or ""),
    )


def _join_errors(row: Mapping[str, Json]) -> str | None:
    """Return the messages of `errors`, a list of `{message, …}`, as one text."""
    messages = []
    for error in _as_list(row.get("errors")):
        message = error.get("message") if isinstance(error, Mapping) else error
        messages.append(as_text(message))
    return " ".join(filter(None, messages)) or None


def _as_list(value: Json) -> list[Json]:
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


_POSTPROCESSED_KEYS = frozenset({"postprocessorOutput", "postprocessor_output"})


def _select_data(output: Mapping[str, Json]) -> tuple[Json, frozenset[str]]:
    """Return the extracted data, and the keys that are no `provider_data`.

    "Postprocessor" documents `keepParsedDocument: false`, which leaves the output of the postprocessor alone.
    """
    parsed = _get_in_either_case(output, "parsed_document")
    if parsed is not None:
        return parsed, _OUTPUT_KEYS
    # Beside a `parsed_document` the output of the postprocessor is no result; it then stays in provider_data.
    postprocessed = next((output[key] for key in _POSTPROCESSED_KEYS if output.get(key) is not None), None)
    return (None, _OUTPUT_KEYS) if postprocessed is None else (postprocessed, _OUTPUT_KEYS | _POSTPROCESSED_KEYS)


def _add_extractions(document: Document, row: Mapping[str, Json]) -> Document:
    """Return a complete document with its extractions.

    A portfolio has one for each document that Sensible found in it, any other document has one.

    Raises:
        UnreadableResponse: The response is neither a single document nor a readable portfolio.
    """
    created_at, completed_at = document.created_at, document.completed_at
    review_statuses = _parse_review_statuses(row)
    portfolio = row.get("documents")
    # The specification gives a single document `type`, and a portfolio `types` and `documents`. An empty list of
    # documents makes no portfolio of a response that has a `type`.
    is_single = not portfolio and row.get("types") is None and (portfolio is None or row.get("type") is not None)
    # A portfolio in which Sensible found no documents has `errors` and an empty or absent `documents`. Without errors,
    # an absent list means a response that cannot be read: taking it for an empty portfolio would lose its results.
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
        # The postprocessor's output is delivered as `data`, so provider_data must not hold it a second time.
        provider_data = (
            unknown_keys(document.provider_data, data_keys) if data_keys is not _OUTPUT_KEYS else document.provider_data
        )
        return document._replace(extractions=(single_extraction,), provider_data=provider_data)
    extractions = []
    for index, portfolio_item in enumerate(portfolio or ()):
        item_object = require_object(portfolio_item, "A document of a Sensible portfolio")
        output: Mapping[str, Json] = {}
        # An `output` that is null is a document in which nothing was found. An absent one is an unreadable response.
        if item_object.get("output", "") is not None:
            output = require_object(item_object.get("output"), "The output of a Sensible portfolio")
        raw_data, data_keys = _select_data(output)
        data = as_object(raw_data)
        # The review status stands in the output of each document, or in one list for all of them.
        item_statuses = _parse_review_statuses(output) or review_statuses[index : index + 1]
        document_type = _get_in_either_case(item_object, "document_type") or item_object.get("documentType")
        extractions.append(
            Extraction(
                data=data,
                hashable_data=data,
                document_index=index,
                document_type=as_text(document_type),
                review_status=item_statuses[0] if item_statuses else None,
                created_at=created_at,
                completed_at=completed_at,
                provider_data={**unknown_keys(item_object, _PART_KEYS), **unknown_keys(output, data_keys)},
            )
        )
    # "Portfolio" shows `errors` in complete documents too. They explain an empty result and are no error elsewhere.
    is_incomplete = not extractions or any(extraction.data == {} for extraction in extractions)
    return document._replace(extractions=tuple(extractions), error=_join_errors(row) if is_incomplete else None)


def _parse_review_statuses(row: Mapping[str, Json]) -> list[str | None]:
    """Return the review statuses, none where no review is needed.

    A portfolio has one for each of its documents. The specification types `reviewStatuses` as a text in the list and as
    an array with nulls in a portfolio.
    """
    review_value = next((row[key] for key in _REVIEW_KEYS if row.get(key) is not None), None)
    return [as_text(review_status) for review_status in _as_list(review_value)]


def build_snapshot(ref: PartitionRef, row: Mapping[str, Json]) -> Snapshot:
    """Return the snapshot of one extraction.

    An extraction under review stays open after it completed: reviewers change its data without a new time, and only
    a decision ends that ("Human review").
    """
    document = _parse_document(row, ref.batch_id)
    if document.status is FileStatus.PROCESSED:
        document = _add_extractions(document, row)
    listed_status = _FILE_STATUSES.get(as_text((ref.listed_row or {}).get("status")) or "", FileStatus.PENDING)
    if document.status is FileStatus.PENDING and listed_status is not FileStatus.PENDING:
        # The summary shows the extraction as finished before the document does, and will not change again. Without the
        # fingerprint, the next sync sees a difference and requests the document once more.
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
    """Return the snapshot of a document that Sensible refuses to return.

    It is made from the summary, if there is one.

    - Where the summary shows it as finished, the document is failed. A document that is too large stays failed, since
      that is documented as final; any other one is requested again.
    - Where the summary shows it as unfinished, the document is pending, and open. It is requested again although its
      summary stays the same: only the document names its batch.
    """
    # Once the list no longer covers a document, nothing but its id is known.
    if ref.listed_row is None:
        return missing_document(ref, str(error))
    document = _parse_document(ref.listed_row, ref.batch_id)
    status = PartitionStatus.COMPLETE if error.status == TOO_LARGE_STATUS else PartitionStatus.MISSING
    is_unfinished = document.status is FileStatus.PENDING and error.status != TOO_LARGE_STATUS
    if is_unfinished:
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
        has_unknown_files=is_unfinished,
    )


def _build_batch_references(document: Document, batch_id: str) -> tuple[PartitionRef, ...]:
    """Return a reference to the batch of a document, with the document's status."""
    if not batch_id:
        return ()
    # The response for a batch holds ids alone, so the statuses for its row come from the documents that were read.
    member_statuses = {document.file_id or "": document.status}
    return (PartitionRef(None, batch_id, is_explicit=True, is_referenced=True, member_statuses=member_statuses),)


_BATCH_KEYS = frozenset({"id", "description", "extraction_ids"})

_COUNTER_KEYS = frozenset({"waiting", "processing", "complete", "completed", "failed"})
"""Counters of a batch: "Group extractions by batch ID" shows `waiting`, the others are a precaution."""

# One letter a document, because the state keeps them for each open batch: "extract/batch" accepts 5,000 documents, and
# the state has to stay below 1 MB with 10,000 open batches.
_STATUS_LETTERS = {FileStatus.PENDING: "w", FileStatus.PROCESSED: "p", FileStatus.FAILED: "f"}

_UNKNOWN_LETTER = "?"


def list_members(response: Mapping[str, Json]) -> list[PartitionRef]:
    """Return references to the documents of a batch, without those whose ids cannot be read.

    Raises:
        UnreadableResponse: `extraction_ids` is missing or no list.
    """
    return list(map(_build_member_ref, parse_each(_get_members(response), _parse_member_id)))


def _get_members(response: Mapping[str, Json]) -> list[Json]:
    members = response.get("extraction_ids", "missing")  # a missing list is unreadable, a null is an empty list
    if not isinstance(members, (list, NoneType)):
        raise UnreadableResponse("Sensible's response for a batch contains no list of extraction_ids.")
    return members or []


def _parse_member_id(item: Json) -> str:
    if not item or type(item) not in {str, int}:
        raise UnreadableResponse("An extraction of a Sensible batch has no id.")
    return str(item)


def _build_member_ref(extraction_id: str) -> PartitionRef:
    """Return a reference to a document of a batch."""
    return PartitionRef(None, extraction_id, is_explicit=True, is_referenced=True)


def build_batch_snapshot(ref: PartitionRef, response: Mapping[str, Json]) -> Snapshot:
    """Return the snapshot of a batch.

    Sensible returns only the ids of a batch's documents. `provider_state` holds a letter for the status of each, in
    the order of the ids. "Group extractions by batch ID" fixes that order when the batch is created. The snapshot
    refers to the documents without a known status, so that the connector reads them.
    """
    extraction_ids = parse_each(_get_members(response), _parse_member_id)
    error = describe_unreadable(
        len(_get_members(response)) - len(extraction_ids),
        f"the extraction_ids of {ref.batch_id} in Sensible's response",
    )
    known_letters = _expand_letters(ref.provider_state)
    if len(known_letters) != len(extraction_ids):  # the first reading, or an order that no longer holds
        known_letters = _UNKNOWN_LETTER * len(extraction_ids)
    statuses_by_letter = {letter: status for status, letter in _STATUS_LETTERS.items()}
    key_assigner = FileKeyAssigner()
    letters: list[str] = []
    documents: list[Document] = []
    unknown_members: list[PartitionRef] = []
    for extraction_id, known_letter in zip(extraction_ids, known_letters, strict=True):
        status = ref.member_statuses.get(extraction_id)
        # A status that was read from the document itself is newer than the letter in the state.
        letter = _STATUS_LETTERS[status] if status else known_letter
        letters.append(letter)
        if letter == _UNKNOWN_LETTER:
            unknown_members.append(_build_member_ref(extraction_id))
        document_status = statuses_by_letter.get(letter, FileStatus.PENDING)
        documents.append(Document(key_assigner.assign(extraction_id, None), document_status, file_id=extraction_id))
    # The counters do not decide: no page documents all of them, nor whether `waiting` is sent when it is 0.
    is_open = not extraction_ids or error or any(document.status is FileStatus.PENDING for document in documents)
    return Snapshot(
        ref,
        PartitionStatus.OPEN if is_open else PartitionStatus.COMPLETE,
        documents=tuple(documents),
        description=as_text(response.get("description")),
        error=error or None,
        provider_data=unknown_keys(response, _BATCH_KEYS | _COUNTER_KEYS),
        # The counters change while documents wait. Their change alone must not deliver the row of the batch again.
        volatile_data={key: response[key] for key in sorted(_COUNTER_KEYS & response.keys())},
        references=tuple(unknown_members),
        provider_state=_compress_letters("".join(letters)),
        read_error=error,
    )


def _compress_letters(letters: str) -> str:
    """Write repeated letters as a letter and a number: `pppppw` as `p5w`."""
    return re.sub(r"(.)\1+", lambda match: f"{match[1]}{len(match[0])}", letters)


def _expand_letters(provider_state: str) -> str:
    """Return the letters that `_compress_letters` has written."""
    return "".join(letter * int(repeat_count or 1) for letter, repeat_count in re.findall(r"(\D)(\d*)", provider_state))
