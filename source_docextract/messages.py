"""Airbyte messages, made. Pure but for the time of day that they carry, which the caller gives."""

from __future__ import annotations

from typing import Any

import orjson
from airbyte_cdk.models import (
    AirbyteMessage,
    AirbyteRecordMessage,
    AirbyteStreamStatus,
    StreamDescriptor,
    Type,
)
from airbyte_cdk.sources.connector_state_manager import ConnectorStateManager
from airbyte_cdk.utils.stream_status_utils import as_airbyte_message
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from .errors import ConnectorError

_ENDS = {"\u0085": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"}
"""What ends a line for some readers, and in JSON may stand as it is."""


def line(message: str) -> str:
    """A message's JSON as one line, whatever the values in it hold."""
    for end, escape in _ENDS.items() if not message.isascii() else ():
        message = message.replace(end, escape)
    return f"{message}\n"


def record(stream: str, data: dict[str, Any], emitted_at: int) -> AirbyteMessage:
    """`emitted_at` are milliseconds since 1970."""
    return AirbyteMessage(type=Type.RECORD, record=AirbyteRecordMessage(stream, data, emitted_at))


def record_line(record: AirbyteRecordMessage) -> str:
    """What the CDK would print of a record that has been made here, and three times as fast: nulls are left out."""
    data = {column: value for column, value in record.data.items() if value is not None}
    message = {"type": "RECORD", "record": {"stream": record.stream, "data": data, "emitted_at": record.emitted_at}}
    return line(orjson.dumps(message).decode())


def state(manager: ConnectorStateManager, stream: str, document: dict[str, Any]) -> AirbyteMessage:
    """`document` is not copied: it must be one that nobody changes afterwards."""
    manager.update_state_for_stream(stream, None, document)
    return manager.create_state_message(stream, None)


def status(stream: str, value: AirbyteStreamStatus) -> AirbyteMessage:
    return as_airbyte_message(StreamDescriptor(name=stream), value)


def trouble(stream: str, error: ConnectorError) -> AirbyteMessage:
    """Why a stream is incomplete."""
    return traced(error, StreamDescriptor(name=stream)).as_sanitized_airbyte_message()


def traced(error: ConnectorError, stream: StreamDescriptor | None = None) -> AirbyteTracedException:
    """An error of ours in the CDK's clothes: the message is for the user, and there is nothing more to tell."""
    return AirbyteTracedException(
        message=str(error), internal_message=str(error), failure_type=error.failure_type, stream_descriptor=stream
    )
