"""Airbyte's state messages: each known form becomes one state for each stream, or is refused with what to do."""

from __future__ import annotations

from typing import Any

import pytest
from airbyte_cdk.models import (
    AirbyteGlobalState,
    AirbyteStateBlob,
    AirbyteStateMessage,
    AirbyteStateType,
    AirbyteStreamState,
    StreamDescriptor,
)

from source_docextract.core.errors import ConfigError
from source_docextract.state.state_messages import merge_state_messages


def make_stream_state(name: str, content: dict[str, Any] | None, namespace: str | None = None) -> AirbyteStreamState:
    blob = None if content is None else AirbyteStateBlob(content)
    descriptor = StreamDescriptor(name=name, namespace=namespace)
    return AirbyteStreamState(stream_descriptor=descriptor, stream_state=blob)


def make_message(name: str, content: dict[str, Any] | None, namespace: str | None = None) -> AirbyteStateMessage:
    return AirbyteStateMessage(
        type=AirbyteStateType.STREAM, stream=make_stream_state(name, content, namespace=namespace)
    )


def make_global_message(*states: AirbyteStreamState, **shared: Any) -> AirbyteStateMessage:
    content = AirbyteGlobalState(stream_states=list(states), shared_state=AirbyteStateBlob(shared))
    return AirbyteStateMessage(type=AirbyteStateType.GLOBAL, global_=content)


def test_no_states_stay_none() -> None:
    assert merge_state_messages(None) == merge_state_messages([]) == []


@pytest.mark.parametrize("namespace", [None, "", "docextract"])
def test_last_state_of_each_stream_counts_and_has_no_namespace(namespace: str | None) -> None:
    merged = merge_state_messages(
        [make_message(name, {"version": version}, namespace) for version in (2, 3) for name in ("a", "b")]
    )

    assert merged == [make_message(name, {"version": 3}) for name in ("a", "b")]


def test_empty_namespace_equals_none() -> None:
    assert merge_state_messages([make_message("a", {"version": 2}, ""), make_message("a", {"version": 3})]) == [
        make_message("a", {"version": 3})
    ]


@pytest.mark.parametrize(("namespace", "other_namespace"), [(None, "x"), ("x", ""), ("x", "y")])
def test_two_namespaces_of_one_stream_are_refused(namespace: str | None, other_namespace: str) -> None:
    states = [make_message("a", {"version": 3}, namespace), make_message("a", {"version": 3}, other_namespace)]

    with pytest.raises(ConfigError) as exc_info:
        merge_state_messages(states)

    assert str(exc_info.value) == (
        "The state has two entries for a, with different namespaces. Remove the older one of them."
    )


@pytest.mark.parametrize("content", [None, {}, {"__ab_no_cursor_state_message": True}])
def test_state_without_a_cursor_is_empty(content: dict[str, Any] | None) -> None:
    assert merge_state_messages([make_message("a", content)]) == [make_message("a", {})]


def test_global_state_is_split_into_its_streams() -> None:
    streams = [make_stream_state("a", {"version": 3}), make_stream_state("b", {"version": 2})]

    assert merge_state_messages([make_global_message(*streams)]) == [
        make_message("a", {"version": 3}),
        make_message("b", {"version": 2}),
    ]


def test_state_shared_by_all_streams_is_refused() -> None:
    with pytest.raises(ConfigError) as exc_info:
        merge_state_messages([make_global_message(cdc=1)])

    assert str(exc_info.value) == (
        "The state has a part shared by all streams, which this connector never writes. Remove the key shared_state "
        "from it."
    )


def test_state_without_a_type_counts() -> None:
    message = AirbyteStateMessage(stream=make_stream_state("a", {"version": 3}))

    assert merge_state_messages([message]) == [make_message("a", {"version": 3})]


def test_state_in_the_format_of_before_2022_is_refused_unless_it_is_empty() -> None:
    with pytest.raises(ConfigError) as exc_info:
        merge_state_messages([AirbyteStateMessage(type=AirbyteStateType.LEGACY, data={"a": {"version": 3}})])

    assert str(exc_info.value) == (
        "The state has an entry without a stream, in the format used before 2022 (LEGACY). Remove it, or clear the "
        "state to read everything again."
    )
    assert merge_state_messages([AirbyteStateMessage(type=AirbyteStateType.LEGACY, data={})]) == []
