"""The columns of each kind of stream: their JSON schemas, and what they hold. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .model import BatchStatus, FileStatus

Schema = Mapping[str, Any]
Column = tuple[Schema, str]
"""A column's JSON schema, and what it holds."""

_TEXT: Schema = {"type": ["null", "string"]}
_KEY: Schema = {"type": "string"}
_COUNT: Schema = {"type": ["null", "integer"]}
_NUMBER: Schema = {"type": ["null", "number"]}
_OBJECT: Schema = {"type": ["null", "object"], "additionalProperties": True}
_TIME: Schema = {"type": ["null", "string"], "format": "date-time", "airbyte_type": "timestamp_with_timezone"}

_ID: Column = (_KEY, "Names this row; the parts are in columns of their own.")
_BATCH_COLUMNS: Mapping[str, Column] = {
    "provider": (_KEY, "extracta, extracta_classification, docmap, sensible or atlas."),
    "template_id": (_TEXT, "The template the batch belongs to; null where the provider has none above a batch."),
    "template_name": (_TEXT, "Its name, where a list of the template's batches is read."),
    "batch_id": (_TEXT, "The provider's id of the batch."),
}
_TIMES: Mapping[str, Column] = {
    "created_at": (_TIME, "When it was created, as told by the provider."),
    "completed_at": (_TIME, "When it was completed, as told by the provider."),
}
_LAST: Mapping[str, Column] = {
    "observed_at": ({**_TIME, "type": "string"}, "When this connector read what the row says; the cursor."),
    "provider_data": (_OBJECT, "What the provider sent and no other column holds."),
}

_FILE_KEY: Column = (_TEXT, "Its file: the id in the files stream.")
_BATCH_KEY: Column = (_TEXT, "Its batch: the id in the batches stream.")

_STATUSES = " · ".join(status.value for status in BatchStatus)
_FILE_STATUSES = " · ".join(status.value for status in FileStatus)

BATCHES: Mapping[str, Column] = {
    "id": _ID,
    **_BATCH_COLUMNS,
    "description": (_TEXT, "What its sender wrote about it."),
    "status": (_KEY, _STATUSES),
    "provider_status": (_TEXT, "The status in the provider's own word."),
    "error": (_TEXT, "Why it failed or is missing."),
    "files_total": (_COUNT, "Files in it, as far as told."),
    "files_processed": (_COUNT, "Files that are done; null while the provider does not tell."),
    "files_failed": (_COUNT, "Files that failed; null while the provider does not tell."),
    "files_pending": (_COUNT, "Files that are unfinished; null while the provider does not tell."),
    **_TIMES,
    **_LAST,
}

FILES: Mapping[str, Column] = {
    "id": _ID,
    "batch_key": _BATCH_KEY,
    **_BATCH_COLUMNS,
    "file_id": (_TEXT, "The provider's id of the file; null where it gives none."),
    "file_name": (_TEXT, "Its name."),
    "status": (_KEY, _FILE_STATUSES),
    "provider_status": (_TEXT, "The status in the provider's own word."),
    "error": (_TEXT, "Why it failed."),
    "document_type": (_TEXT, "What kind of document it is."),
    "page_count": (_COUNT, "Its pages."),
    "url": (_TEXT, "A link to the file, often signed and short-lived; its change alone is not news."),
    **_TIMES,
    "processing_ms": (_COUNT, "Milliseconds it took."),
    **_LAST,
}

RESULTS: Mapping[str, Column] = {
    "id": _ID,
    "file_key": _FILE_KEY,
    "batch_key": _BATCH_KEY,
    **_BATCH_COLUMNS,
    "file_id": (_TEXT, "The provider's id of the file; null where it gives none."),
    "file_name": (_TEXT, "Its name."),
    "document_index": ({"type": "integer"}, "The n-th document inside one file, from 0."),
    "document_type": (_TEXT, "What kind of document it is."),
    "confidence": (_NUMBER, "How sure the provider is of the document, 0 to 1."),
    "review_status": (_TEXT, "Where a person reviews the document: what came of it."),
    "data": ({**_OBJECT, "type": "object"}, "What was extracted, exactly as sent."),
    "digest": (_KEY, "Names the content of data."),
    **_TIMES,
    **_LAST,
}

FIELDS: Mapping[str, Column] = {
    "id": _ID,
    "result_key": (_KEY, "Its result: the id in the results stream."),
    "file_key": _FILE_KEY,
    "batch_key": _BATCH_KEY,
    "provider": _BATCH_COLUMNS["provider"],
    "template_id": _BATCH_COLUMNS["template_id"],
    "document_type": (_TEXT, "What kind of document it is."),
    "path": (_KEY, "Where it stands in the result's data: a JSON Pointer."),
    "name": (_KEY, "The last part of the path that is a name."),
    "position": (_COUNT, "The index in the nearest list, from 0; null outside of lists."),
    "value": (_TEXT, "The value as sent; of a number its shortest JSON text."),
    "value_type": (_KEY, "As what it was sent: string, number, boolean or null."),
    "number_value": (_NUMBER, "The value where it was sent as a number; none is guessed from text."),
    "confidence": (_NUMBER, "How sure the provider is of the value, 0 to 1."),
    "confidence_signal": (_TEXT, "The same in the provider's own word."),
    "unit": (_TEXT, "What the value is counted in."),
    "digest": (_KEY, "The digest of its result; where the result has another one by now, the value is of before."),
    "observed_at": _LAST["observed_at"],
}
