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

_ID_COLUMN: Column = (_KEY_SCHEMA, "Unique id of the row, built from the other key columns.")

_BATCH_COLUMNS: Mapping[str, Column] = {
    "provider": (_KEY_SCHEMA, f"{', '.join(PRODUCT_NAMES[:-1])} or {PRODUCT_NAMES[-1]}."),
    "template_id": (_TEXT_SCHEMA, "Id of the batch's template; null if the provider's batches have no template."),
    "template_name": (_TEXT_SCHEMA, "Name of the template, if the connector lists the template's batches."),
    "batch_id": (_TEXT_SCHEMA, "Id of the batch at the provider."),
}

_TIME_COLUMNS: Mapping[str, Column] = {
    "created_at": (_TIME_SCHEMA, "Creation time according to the provider."),
    "completed_at": (_TIME_SCHEMA, "Completion time according to the provider."),
}

_TRAILING_COLUMNS: Mapping[str, Column] = {
    "observed_at": ({**_TIME_SCHEMA, "type": "string"}, "Time at which the connector read the row's data; the cursor."),
    "provider_data": (_OBJECT_SCHEMA, "Data from the provider that no other column contains."),
}

_FILE_KEY_COLUMN: Column = (_TEXT_SCHEMA, "Id of the file in the files stream.")

_BATCH_KEY_COLUMN: Column = (_TEXT_SCHEMA, "Id of the batch in the batches stream.")

_BATCH_STATUSES = " · ".join(status.value for status in PartitionStatus)

_FILE_STATUSES = " · ".join(status.value for status in FileStatus)

BATCHES: Mapping[str, Column] = {
    "id": _ID_COLUMN,
    **_BATCH_COLUMNS,
    "description": (_TEXT_SCHEMA, "Description given by the sender."),
    "status": (_KEY_SCHEMA, _BATCH_STATUSES),
    "provider_status": (_TEXT_SCHEMA, "Status as the provider names it."),
    "error": (_TEXT_SCHEMA, "Reason why the batch failed or is missing."),
    "files_total": (_COUNT_SCHEMA, "Number of files, as far as known."),
    "files_processed": (_COUNT_SCHEMA, "Number of processed files; null while unknown."),
    "files_failed": (_COUNT_SCHEMA, "Number of failed files; null while unknown."),
    "files_pending": (_COUNT_SCHEMA, "Number of unfinished files; null while unknown."),
    **_TIME_COLUMNS,
    **_TRAILING_COLUMNS,
}

FILES: Mapping[str, Column] = {
    "id": _ID_COLUMN,
    "batch_key": _BATCH_KEY_COLUMN,
    **_BATCH_COLUMNS,
    "file_id": (_TEXT_SCHEMA, "Id of the file at the provider; null if it has none."),
    "file_name": (_TEXT_SCHEMA, "Name of the file."),
    "status": (_KEY_SCHEMA, _FILE_STATUSES),
    "provider_status": (_TEXT_SCHEMA, "Status as the provider names it."),
    "error": (_TEXT_SCHEMA, "Reason why the file failed."),
    "document_type": (_TEXT_SCHEMA, "Type of the document."),
    "page_count": (_COUNT_SCHEMA, "Number of pages."),
    "url": (_TEXT_SCHEMA, "URL of the file, often signed and short-lived; a new URL alone does not update the row."),
    **_TIME_COLUMNS,
    "processing_ms": (_COUNT_SCHEMA, "Processing time in milliseconds."),
    **_TRAILING_COLUMNS,
}

RESULTS: Mapping[str, Column] = {
    "id": _ID_COLUMN,
    "file_key": _FILE_KEY_COLUMN,
    "batch_key": _BATCH_KEY_COLUMN,
    **_BATCH_COLUMNS,
    "file_id": (_TEXT_SCHEMA, "Id of the file at the provider; null if it has none."),
    "file_name": (_TEXT_SCHEMA, "Name of the file."),
    "document_index": ({"type": "integer"}, "Index of the document within its file, from 0."),
    "document_type": (_TEXT_SCHEMA, "Type of the document."),
    "confidence": (_NUMBER_SCHEMA, "Confidence of the provider in the document, 0 to 1."),
    "review_status": (_TEXT_SCHEMA, "Status of the human review, if the document is reviewed."),
    "data": ({**_OBJECT_SCHEMA, "type": "object"}, "Extracted data, exactly as sent."),
    "digest": (_KEY_SCHEMA, "Digest of data."),
    **_TIME_COLUMNS,
    **_TRAILING_COLUMNS,
}

FIELDS: Mapping[str, Column] = {
    "id": _ID_COLUMN,
    "result_key": (_KEY_SCHEMA, "Id of the result in the results stream."),
    "file_key": _FILE_KEY_COLUMN,
    "batch_key": _BATCH_KEY_COLUMN,
    "provider": _BATCH_COLUMNS["provider"],
    "template_id": _BATCH_COLUMNS["template_id"],
    "document_type": (_TEXT_SCHEMA, "Type of the document."),
    "path": (_KEY_SCHEMA, "JSON Pointer to the value in the result's data."),
    "name": (_KEY_SCHEMA, "Last part of the path that is a name."),
    "position": (_COUNT_SCHEMA, "Index in the innermost list, from 0; null outside of lists."),
    "value": (_TEXT_SCHEMA, "Value as sent; a number as its shortest JSON text."),
    "value_type": (_KEY_SCHEMA, "JSON type of the value as sent: string, number, boolean or null."),
    "number_value": (_NUMBER_SCHEMA, "Value, if it was sent as a number; text is never parsed."),
    "confidence": (_NUMBER_SCHEMA, "Confidence of the provider in the value, 0 to 1."),
    "confidence_signal": (_TEXT_SCHEMA, "Confidence as the provider words it."),
    "unit": (_TEXT_SCHEMA, "Unit of the value."),
    "digest": (
        _KEY_SCHEMA,
        "Digest of the result; if the result now has another digest, the value is outdated.",
    ),
    "observed_at": _TRAILING_COLUMNS["observed_at"],
}
