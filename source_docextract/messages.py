"""Airbyte messages, made. Pure but for the time of day that they carry, which the caller gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
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

_ENDS = {end.encode(): f"\\u{ord(end):04x}".encode() for end in "\u0085\u2028\u2029"}
"""What ends a line for some readers, and in JSON may stand as it is."""

Tell = Callable[[str, Iterable[dict[str, Any]], int], Iterator[AirbyteMessage]]
"""Makes messages of the records of a stream. The last is when they are emitted, in milliseconds since 1970."""

_AT_ONCE = 50
"""Records that are printed in one go."""


class Lines(AirbyteMessage):
    """Records of one stream as they are printed. Each as a message would cost more to hand on than to make."""

    def __init__(self, stream: str, count: int, text: bytes) -> None:
        super().__init__(type=Type.RECORD)
        self.stream = stream
        self.count = count
        self.text = text


def records_in(message: AirbyteMessage) -> int:
    """How many records a message made of records holds."""
    return message.count if isinstance(message, Lines) else 1


def plain_ends(text: bytes) -> bytes:
    """Lines of JSON which only a line feed ends, whatever the values in them hold."""
    for end, escape in _ENDS.items() if not text.isascii() else ():
        text = text.replace(end, escape)
    return text


def records(stream: str, rows: Iterable[dict[str, Any]], emitted_at: int) -> Iterator[AirbyteMessage]:
    """A message each, for who reads in the same process."""
    for data in rows:
        yield AirbyteMessage(type=Type.RECORD, record=AirbyteRecordMessage(stream, data, emitted_at))


def record_lines(stream: str, rows: Iterable[dict[str, Any]], emitted_at: int) -> Iterator[Lines]:
    """As the CDK would print these messages, which leaves out nulls."""
    start = b'{"type":"RECORD","record":{"stream":%b,"data":' % orjson.dumps(stream)
    end = b',"emitted_at":%d}}\n' % emitted_at
    left = iter(rows)
    while some := [_without_nulls(data) for data in islice(left, _AT_ONCE)]:
        yield Lines(stream, len(some), plain_ends(start + (end + start).join(some) + end))


def _without_nulls(data: dict[str, Any]) -> bytes:
    return orjson.dumps({column: value for column, value in data.items() if value is not None})


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


@contextmanager
def tracing() -> Iterator[None]:
    """Raise the errors of the block in the CDK's form."""
    try:
        yield
    except ConnectorError as error:
        raise traced(error) from None
