"""The construction of Airbyte messages: records, states, statuses and errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import orjson
from airbyte_cdk.models import AirbyteMessage, AirbyteRecordMessage, AirbyteStreamStatus, StreamDescriptor, Type
from airbyte_cdk.sources.connector_state_manager import ConnectorStateManager
from airbyte_cdk.utils.stream_status_utils import as_airbyte_message
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from ..core.errors import ConnectorError

_LINE_SEPARATORS = {separator.encode(): f"\\u{ord(separator):04x}".encode() for separator in "\u0085\u2028\u2029"}
"""The characters that end a line for some consumers, and that JSON allows unescaped, with their escapes.

Python's `str.splitlines` splits at them. An extracted value with one of them could otherwise forge a whole message."""

MessageFactory = Callable[[str, Iterable[dict[str, Any]], int], Iterator[AirbyteMessage]]
"""Makes messages of the records of a stream, given its name, the records, and the milliseconds since 1970."""

_RECORDS_PER_WRITE = 50
"""Records in one `RecordLines`, which are printed in one write."""


class RecordLines(AirbyteMessage):
    """Records of one stream, serialized as they are printed.

    They pass through the CDK as one message: for single records, that would cost more than making them.

    Attributes:
        stream_name: the stream of all the records.
        record_count: number of records.
        payload: one line of JSON for each record, each with its line feed.
    """

    def __init__(self, stream_name: str, record_count: int, payload: bytes) -> None:
        super().__init__(type=Type.RECORD)
        self.stream_name = stream_name
        self.record_count = record_count
        self.payload = payload


def count_records(message: AirbyteMessage) -> int:
    """Return the number of records in a message of records."""
    return message.record_count if isinstance(message, RecordLines) else 1


def escape_line_separators(json_lines: bytes) -> bytes:
    """Escape all line separators in lines of JSON, except the line feeds between them."""
    for separator, escape in _LINE_SEPARATORS.items() if not json_lines.isascii() else ():
        json_lines = json_lines.replace(separator, escape)
    return json_lines


def make_record_messages(stream_name: str, rows: Iterable[dict[str, Any]], emitted_at: int) -> Iterator[AirbyteMessage]:
    """Make one message per record, for callers in the same process."""
    for row in rows:
        yield AirbyteMessage(type=Type.RECORD, record=AirbyteRecordMessage(stream_name, row, emitted_at))


def make_record_lines(stream_name: str, rows: Iterable[dict[str, Any]], emitted_at: int) -> Iterator[RecordLines]:
    """Serialize records as the CDK would print their messages, which leaves out nulls."""
    # The keys stand in the CDK's order, so that these lines equal those of the CDK byte by byte.
    prefix = b'{"type":"RECORD","record":{"stream":%b,"data":' % orjson.dumps(stream_name)
    suffix = b',"emitted_at":%d}}\n' % emitted_at
    remaining_rows = iter(rows)
    while serialized_rows := [_serialize_without_nulls(row) for row in islice(remaining_rows, _RECORDS_PER_WRITE)]:
        yield RecordLines(
            stream_name,
            len(serialized_rows),
            escape_line_separators(prefix + (suffix + prefix).join(serialized_rows) + suffix),
        )


def _serialize_without_nulls(row: dict[str, Any]) -> bytes:
    return orjson.dumps({column: value for column, value in row.items() if value is not None})


def make_state_message(
    state_manager: ConnectorStateManager, stream_name: str, state_json: dict[str, Any]
) -> AirbyteMessage:
    """Make the message of a stream's state.

    The message refers to `state_json`, no copy. So the caller must not change it afterwards.
    """
    state_manager.update_state_for_stream(stream_name, None, state_json)
    message = state_manager.create_state_message(stream_name, None)
    # The CDK would keep it until the next state: with a full day of a list, tens of megabytes for each stream.
    state_manager.update_state_for_stream(stream_name, None, {})
    return message


def make_status_message(stream_name: str, stream_status: AirbyteStreamStatus) -> AirbyteMessage:
    """Make the message of a stream's status."""
    return as_airbyte_message(StreamDescriptor(name=stream_name), stream_status)


def make_error_message(stream_name: str, error: ConnectorError) -> AirbyteMessage:
    """Make the trace message that says why a stream is incomplete."""
    return as_traced_exception(error, StreamDescriptor(name=stream_name)).as_sanitized_airbyte_message()


def as_traced_exception(
    error: ConnectorError, stream_descriptor: StreamDescriptor | None = None
) -> AirbyteTracedException:
    """Convert an error of the connector into the CDK's.

    Its message is fit for users, and there is no further internal one.
    """
    return AirbyteTracedException(
        message=str(error),
        internal_message=str(error),
        failure_type=error.failure_type,
        stream_descriptor=stream_descriptor,
    )


@contextmanager
def convert_errors() -> Iterator[None]:
    """Convert the connector's errors of a block into the CDK's.

    Raises:
        AirbyteTracedException: in place of a ConnectorError.
    """
    try:
        yield
    except ConnectorError as error:
        # Without the cause: its traceback could quote a key or a signed URL, which no output may contain.
        raise as_traced_exception(error) from None
