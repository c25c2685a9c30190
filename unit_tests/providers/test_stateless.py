"""Providers keep no state between requests: what a flow needs from an earlier one is handed to it as a value."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, timedelta
from enum import Enum
from functools import partial
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from source_docextract import source
from source_docextract.core.products import PROVIDERS
from source_docextract.core.provider import ProviderSpec, Registry
from source_docextract.core.sections import Section
from source_docextract.provider_specs import build_specs
from source_docextract.settings import Settings
from unit_tests.support.harness import Connection, SyncResult, create_frozen_sandbox
from unit_tests.support.memory_network import MEMORY_URL, MemoryNetwork
from unit_tests.support.scenario import add_first_day, add_second_day


def list_parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a value of a spec holds, by name: fields, items, bound arguments, and variables of closures.

    Raises:
        TypeError: the value is of a kind that can keep a state of its own.
    """
    if isinstance(value, FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        yield from zip(value.__code__.co_freevars, cells, strict=True)
        yield from enumerate_parts([*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()])
    elif isinstance(value, partial):
        yield "function", value.func
        yield from enumerate_parts(value.args)
        yield from value.keywords.items()
    elif is_dataclass(value) and not isinstance(value, type) and value.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        yield from ((field.name, getattr(value, field.name)) for field in fields(value))
    elif isinstance(value, Mapping):
        yield from ((str(key), item) for key, item in value.items())
    elif isinstance(value, (tuple, list, frozenset)):
        yield from enumerate_parts(value)
    elif not isinstance(value, (str, int, float, type(None), date, timedelta, Enum, type, Section)):
        raise TypeError(f"{type(value).__name__} may keep a state")


def enumerate_parts(values: Any) -> Iterator[tuple[str, Any]]:
    return ((str(number), value) for number, value in enumerate(values))


def describe_parts(value: Any, path: str = "", parents: tuple[int, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield all that is reachable from a spec, with its path."""
    if id(value) in parents:
        return  # a function that refers to itself
    parts = list(list_parts(value))
    yield path, type(value).__name__ if parts else repr(value)
    for name, part in parts:
        yield from describe_parts(part, f"{path}.{name}", (*parents, id(value)))


def sync_with_specs(
    connection: Connection, specs: list[ProviderSpec], monkeypatch: pytest.MonkeyPatch
) -> tuple[SyncResult, list[tuple[Any, ...]]]:
    """Run one sync without a state; return its result and its requests."""
    connection.state.clear()
    streams = connection.streams
    with monkeypatch.context() as patch:
        patch.setattr(source, "build_specs", lambda *_args: specs)
        result = connection.sync(*streams)
    requests = [
        (entry.endpoint, dict(entry.query), entry.body, dict(entry.path_params))
        for entry in connection.sandbox.journal.entries
    ]
    return result, requests


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    """Return a connection to a sandbox in memory that uses all that is kept for one sync.

    Several windows, named runs and batches, documents of batches that are read meanwhile, and document types.
    """
    sandbox = create_frozen_sandbox()
    network = MemoryNetwork(sandbox)
    settings = add_first_day(sandbox, tmp_path)
    sandbox.clock.advance(days=9)
    add_second_day(sandbox, settings)
    yield Connection(sandbox, MEMORY_URL, settings, network=network)
    network.close()


def make_specs(connection: Connection) -> list[ProviderSpec]:
    settings = Settings.parse(connection.settings)
    assert settings.batch_registry is not None
    registry = source._load_registry(settings, logging.getLogger("airbyte.test"))
    return build_specs(settings, registry or Registry())


def test_specs_hold_settings_and_functions_alone(connection: Connection) -> None:
    specs = make_specs(connection)

    assert len(specs) == len(PROVIDERS)
    for spec in specs:
        assert len(list(describe_parts(spec))) > 50


def test_specs_are_the_same_after_a_sync(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    specs = make_specs(connection)
    parts_before = [list(describe_parts(spec)) for spec in specs]

    result, _ = sync_with_specs(connection, specs, monkeypatch)

    assert {"docmap_batches", "sensible_batches"} < result.counts.keys()
    assert [list(describe_parts(spec)) for spec in specs] == parts_before


def test_second_sync_with_the_same_specs_sends_the_requests_of_new_ones(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = make_specs(connection)
    _, first_requests = sync_with_specs(connection, specs, monkeypatch)

    _, second_requests = sync_with_specs(connection, specs, monkeypatch)
    _, requests_of_new_specs = sync_with_specs(connection, make_specs(connection), monkeypatch)

    assert len(first_requests) > 50
    assert second_requests == requests_of_new_specs
    assert sorted(map(repr, second_requests)) == sorted(map(repr, first_requests))
