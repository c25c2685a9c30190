"""Airbyte's state messages, reduced to one for each stream. Pure.

An ignored state has no visible symptom: the stream is read from the beginning and delivers all its rows again.
Therefore each known form of state is either accepted or refused with an error that names the fix.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from airbyte_cdk.models import (
    AirbyteStateBlob,
    AirbyteStateMessage,
    AirbyteStateType,
    AirbyteStreamState,
    StreamDescriptor,
)

from ..core.errors import ConfigError

_NO_STATE_KEYS = {"__ab_no_cursor_state_message"}
"""The only key of the state that the CDK writes for a stream without a cursor."""


def merge_state_messages(messages: Sequence[AirbyteStateMessage] | None) -> list[AirbyteStateMessage]:
    """Return one message for each stream, of the type STREAM, without namespaces.

    The streams of this connector have no namespace, so a namespace in a state is dropped. The last state of a stream
    counts, as in the output of a sync.

    Raises:
        ConfigError: if a state names no stream, a stream has several namespaces, or all streams share a state.
    """
    states_by_name: dict[str, AirbyteStreamState] = {}
    for stream_state in _iterate_stream_states(messages or ()):
        name, namespace = stream_state.stream_descriptor.name, stream_state.stream_descriptor.namespace
        if name in states_by_name and (states_by_name[name].stream_descriptor.namespace or None) != (namespace or None):
            raise ConfigError(
                f"The state has two entries for {name}, with different namespaces. Remove the older one of them."
            )
        states_by_name[name] = stream_state
    return [_build_state_message(name, stream_state.stream_state) for name, stream_state in states_by_name.items()]


def _iterate_stream_states(messages: Iterable[AirbyteStateMessage]) -> Iterator[AirbyteStreamState]:
    for message in messages:
        if message.global_:
            if _get_blob_content(message.global_.shared_state):
                raise ConfigError(
                    "The state has a part shared by all streams, which this connector never writes. Remove the key "
                    "shared_state from it."
                )
            yield from message.global_.stream_states
        elif message.stream:
            # The type is not checked: if a state without one were ignored, all rows of its stream would come again.
            yield message.stream
        elif message.data:
            raise ConfigError(
                "The state has an entry without a stream, in the format used before 2022 (LEGACY). Remove it, or clear "
                "the state to read everything again."
            )


def _build_state_message(name: str, state_blob: AirbyteStateBlob | None) -> AirbyteStateMessage:
    cleaned_blob = AirbyteStateBlob({}) if _get_blob_content(state_blob).keys() <= _NO_STATE_KEYS else state_blob
    stream_state = AirbyteStreamState(stream_descriptor=StreamDescriptor(name=name), stream_state=cleaned_blob)
    return AirbyteStateMessage(type=AirbyteStateType.STREAM, stream=stream_state)


def _get_blob_content(blob: AirbyteStateBlob | None) -> dict[str, object]:
    return dict(vars(blob)) if blob else {}
