"""The columns of each kind of stream, with schemas and descriptions. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.model import FileStatus, PartitionStatus
from ..core.products import PRODUCT_NAMES

Schema = Mapping[str, Any]

Column = tuple[Schema, str]
"""The JSON schema and the description of a column."""

_TEXT_SCHEMA: Schema = {"type": ["null", "string"]}

_KEY_SCHEMA: Schema = {"type": "string"}

_COUNT_SCHEMA: Schema = {"type": ["null", "integer"]}

_NUMBER_SCHEMA: Schema = {"type": ["null", "number"]}

_OBJECT_SCHEMA: Schema = {"type": ["null", "object"], "additionalProperties": True}

_TIME_SCHEMA: Schema = {"type": ["null", "string"], "format": "date-time", "airbyte_type": "timestamp_with_timezone"}

_ID_COLUMN: Column = (_KEY_SCHEMA, "Names this row; the parts are in columns of their own.")

_BATCH_COLUMNS: Mapping[str, Column] = {
    "provider": (_KEY_SCHEMA, f"{', '.join(PRODUCT_NAMES[:-1])} or {PRODUCT_NAMES[-1]}."),
    "template_id": (_TEXT_SCHEMA, "The template the batch belongs to; null where the provider has none above a batch."),
    "template_name": (_TEXT_SCHEMA, "Its name, where a list of the template's batches is read."),
    "batch_id": (_TEXT_SCHEMA, "The provider's id of the batch."),
}

_TIME_COLUMNS: Mapping[str, Column] = {
    "created_at": (_TIME_SCHEMA, "When it was created, as told by the provider."),
    "completed_at": (_TIME_SCHEMA, "When it was completed, as told by the provider."),
}

_TRAILING_COLUMNS: Mapping[str, Column] = {
    "observed_at": ({**_TIME_SCHEMA, "type": "string"}, "When this connector read what the row says; the cursor."),
    "provider_data": (_OBJECT_SCHEMA, "What the provider sent and no other column holds."),
}

_FILE_KEY_COLUMN: Column = (_TEXT_SCHEMA, "Its file: the id in the files stream.")

_BATCH_KEY_COLUMN: Column = (_TEXT_SCHEMA, "Its batch: the id in the batches stream.")

_BATCH_STATUSES = " · ".join(status.value for status in PartitionStatus)

_FILE_STATUSES = " · ".join(status.value for status in FileStatus)

BATCHES: Mapping[str, Column] = {
    "id": _ID_COLUMN,
    **_BATCH_COLUMNS,
    "description": (_TEXT_SCHEMA, "What its sender wrote about it."),
    "status": (_KEY_SCHEMA, _BATCH_STATUSES),
    "provider_status": (_TEXT_SCHEMA, "The status in the provider's own word."),
    "error": (_TEXT_SCHEMA, "Why it failed or is missing."),
    "files_total": (_COUNT_SCHEMA, "Files in it, as far as told."),
    "files_processed": (_COUNT_SCHEMA, "Files that are done; null while the provider does not tell."),
    "files_failed": (_COUNT_SCHEMA, "Files that failed; null while the provider does not tell."),
    "files_pending": (_COUNT_SCHEMA, "Files that are unfinished; null while the provider does not tell."),
    **_TIME_COLUMNS,
    **_TRAILING_COLUMNS,
}

FILES: Mapping[str, Column] = {
    "id": _ID_COLUMN,
    "batch_key": _BATCH_KEY_COLUMN,
    **_BATCH_COLUMNS,
    "file_id": (_TEXT_SCHEMA, "The provider's id of the file; null where it gives none."),
    "file_name": (_TEXT_SCHEMA, "Its name."),
    "status": (_KEY_SCHEMA, _FILE_STATUSES),
    "provider_status": (_TEXT_SCHEMA, "The status in the provider's own word."),
    "error": (_TEXT_SCHEMA, "Why it failed."),
    "document_type": (_TEXT_SCHEMA, "What kind of document it is."),
    "page_count": (_COUNT_SCHEMA, "Its pages."),
    "url": (_TEXT_SCHEMA, "A link to the file, often signed and short-lived; its change alone is not news."),
    **_TIME_COLUMNS,
    "processing_ms": (_COUNT_SCHEMA, "Milliseconds it took."),
    **_TRAILING_COLUMNS,
}

RESULTS: Mapping[str, Column] = {
    "id": _ID_COLUMN,
    "file_key": _FILE_KEY_COLUMN,
    "batch_key": _BATCH_KEY_COLUMN,
    **_BATCH_COLUMNS,
    "file_id": (_TEXT_SCHEMA, "The provider's id of the file; null where it gives none."),
    "file_name": (_TEXT_SCHEMA, "Its name."),
    "document_index": ({"type": "integer"}, "The n-th document inside one file, from 0."),
    "document_type": (_TEXT_SCHEMA, "What kind of document it is."),
    "confidence": (_NUMBER_SCHEMA, "How sure the provider is of the document, 0 to 1."),
    "review_status": (_TEXT_SCHEMA, "Where a person reviews the document: what came of it."),
    "data": ({**_OBJECT_SCHEMA, "type": "object"}, "What was extracted, exactly as sent."),
    "digest": (_KEY_SCHEMA, "Names the content of data."),
    **_TIME_COLUMNS,
    **_TRAILING_COLUMNS,
}

FIELDS: Mapping[str, Column] = {
    "id": _ID_COLUMN,
    "result_key": (_KEY_SCHEMA, "Its result: the id in the results stream."),
    "file_key": _FILE_KEY_COLUMN,
    "batch_key": _BATCH_KEY_COLUMN,
    "provider": _BATCH_COLUMNS["provider"],
    "template_id": _BATCH_COLUMNS["template_id"],
    "document_type": (_TEXT_SCHEMA, "What kind of document it is."),
    "path": (_KEY_SCHEMA, "Where it stands in the result's data: a JSON Pointer."),
    "name": (_KEY_SCHEMA, "The last part of the path that is a name."),
    "position": (_COUNT_SCHEMA, "The index in the nearest list, from 0; null outside of lists."),
    "value": (_TEXT_SCHEMA, "The value as sent; of a number its shortest JSON text."),
    "value_type": (_KEY_SCHEMA, "As what it was sent: string, number, boolean or null."),
    "number_value": (_NUMBER_SCHEMA, "The value where it was sent as a number; none is guessed from text."),
    "confidence": (_NUMBER_SCHEMA, "How sure the provider is of the value, 0 to 1."),
    "confidence_signal": (_TEXT_SCHEMA, "The same in the provider's own word."),
    "unit": (_TEXT_SCHEMA, "What the value is counted in."),
    "digest": (
        _KEY_SCHEMA,
        "The digest of its result; where the result has another one by now, the value is of before.",
    ),
    "observed_at": _TRAILING_COLUMNS["observed_at"],
}
