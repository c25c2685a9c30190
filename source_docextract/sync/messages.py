"""Airbyte messages, made. Pure but for the time of day that they carry, which the caller gives."""

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
"""What ends a line for some readers, and in JSON may stand as it is."""

MessageFactory = Callable[[str, Iterable[dict[str, Any]], int], Iterator[AirbyteMessage]]
"""Makes messages of the records of a stream. The last is when they are emitted, in milliseconds since 1970."""

_RECORDS_PER_WRITE = 50
"""Records that are printed in one go."""


class RecordLines(AirbyteMessage):
    """Records of one stream as they are printed. Each as a message would cost more to hand on than to make."""

    def __init__(self, stream_name: str, record_count: int, payload: bytes) -> None:
        super().__init__(type=Type.RECORD)
        self.stream_name = stream_name
        self.record_count = record_count
        self.payload = payload


def count_records(message: AirbyteMessage) -> int:
    """How many records a message made of records holds."""
    return message.record_count if isinstance(message, RecordLines) else 1


def escape_line_separators(json_lines: bytes) -> bytes:
    """Lines of JSON which only a line feed ends, whatever the values in them hold."""
    for separator, escape in _LINE_SEPARATORS.items() if not json_lines.isascii() else ():
        json_lines = json_lines.replace(separator, escape)
    return json_lines


def make_record_messages(stream_name: str, rows: Iterable[dict[str, Any]], emitted_at: int) -> Iterator[AirbyteMessage]:
    """A message each, for who reads in the same process."""
    for row in rows:
        yield AirbyteMessage(type=Type.RECORD, record=AirbyteRecordMessage(stream_name, row, emitted_at))


def make_record_lines(stream_name: str, rows: Iterable[dict[str, Any]], emitted_at: int) -> Iterator[RecordLines]:
    """As the CDK would print these messages, which leaves out nulls."""
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
    """`document` is not copied: it must be one that nobody changes afterwards."""
    state_manager.update_state_for_stream(stream_name, None, state_json)
    return state_manager.create_state_message(stream_name, None)


def make_status_message(stream_name: str, stream_status: AirbyteStreamStatus) -> AirbyteMessage:
    return as_airbyte_message(StreamDescriptor(name=stream_name), stream_status)


def make_error_message(stream_name: str, error: ConnectorError) -> AirbyteMessage:
    """Why a stream is incomplete."""
    return as_traced_exception(error, StreamDescriptor(name=stream_name)).as_sanitized_airbyte_message()


def as_traced_exception(
    error: ConnectorError, stream_descriptor: StreamDescriptor | None = None
) -> AirbyteTracedException:
    """An error of ours in the CDK's clothes: the message is for the user, and there is nothing more to tell."""
    return AirbyteTracedException(
        message=str(error),
        internal_message=str(error),
        failure_type=error.failure_type,
        stream_descriptor=stream_descriptor,
    )


@contextmanager
def convert_errors() -> Iterator[None]:
    """Raise the errors of the block in the CDK's form."""
    try:
        yield
    except ConnectorError as error:
        raise as_traced_exception(error) from None
