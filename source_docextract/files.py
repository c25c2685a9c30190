"""Read the files that the command line names: settings, catalog and state.

The CDK's own errors for them are system errors without a word on what such a file has to hold.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from airbyte_cdk.models import (
    AirbyteStateMessage,
    AirbyteStateMessageSerializer,
    ConfiguredAirbyteCatalog,
    ConfiguredAirbyteCatalogSerializer,
)

from .errors import ConfigError

_FIXES = {
    "settings": "Name a file with one JSON object of settings in --config.",
    "catalog": "Name a configured catalog in --catalog; source-docextract catalog prints one.",
    "state": "Name a file of lines that earlier reads printed in --state, or a JSON list of states. To read everything "
    "from the beginning, leave --state out.",
}
"""By kind of file, what it should be."""

_MESSAGES = {"CATALOG", "CONNECTION_STATUS", "CONTROL", "DEBUG", "LOG", "RECORD", "SPEC", "STATE", "TRACE"}
"""What a line that a connector prints says of its `type`."""


def read_settings(path: str) -> dict[str, Any]:
    """Return the settings, as they stand in the file.

    Raises:
        ConfigError: for a file that cannot be read, or that is no JSON object.
    """
    settings = _parsed("settings", path, _text("settings", path))
    if not isinstance(settings, dict):
        raise ConfigError(f"The settings file {path} holds no JSON object. {_FIXES['settings']}")
    return settings


def read_catalog(path: str) -> ConfiguredAirbyteCatalog:
    """Return the configured catalog.

    Raises:
        ConfigError: for a file that cannot be read, and for any other JSON, such as what `discover` prints.
    """
    text = _text("catalog", path)
    if _is_printed(text.lstrip().partition("\n")[0]):
        raise ConfigError(f"The catalog file {path} is what discover prints. {_FIXES['catalog']}")
    catalog = _parsed("catalog", path, text)
    streams = catalog.get("streams") if isinstance(catalog, dict) else None
    if not isinstance(streams, list):
        raise ConfigError(f"The catalog file {path} holds no list of streams. {_FIXES['catalog']}")
    if any(isinstance(stream, dict) and "stream" not in stream and "name" in stream for stream in streams):
        raise ConfigError(f"The catalog file {path} is what discover prints. {_FIXES['catalog']}")
    try:
        return ConfiguredAirbyteCatalogSerializer.load(catalog)
    except Exception:
        raise ConfigError(
            f"The catalog file {path} has a stream without its name, schema or modes. {_FIXES['catalog']}"
        ) from None


def read_states(path: str | None) -> list[AirbyteStateMessage]:
    """Return the states of a JSON list, or those among the lines that an earlier sync printed.

    Raises:
        ConfigError: for a file that cannot be read or is empty, and for any other JSON.
    """
    return [_state(path, entry) for entry in _states(path)] if path else []


def _states(path: str) -> Iterator[Any]:
    with _opened("state", path) as file:
        first = next((line for line in file if line.strip()), "")
        if _is_printed(first):  # a line at a time: what a sync prints may be larger than memory
            file.seek(0)
            yield from _states_printed(path, file)
            return
    text = _text("state", path)
    states = _parsed("state", path, text)
    if not states:  # Airbyte writes {} where there is none
        return
    if not isinstance(states, list):
        raise ConfigError(f"The state file {path} holds no list of states. {_FIXES['state']}")
    yield from states


def _states_printed(path: str, lines: Iterable[str]) -> Iterator[Any]:
    for number, line in enumerate(lines, start=1):
        if '"STATE"' not in line:
            continue
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            raise ConfigError(
                f"The state file {path} has a line that is cut short, line {number}. Remove it."
            ) from None
        if isinstance(message, dict) and message.get("type") == "STATE":
            yield message


def _state(path: str, entry: Any) -> AirbyteStateMessage:
    wrapped = isinstance(entry, dict) and entry.get("type") == "STATE"
    try:
        state = AirbyteStateMessageSerializer.load(entry["state"] if wrapped else entry)
    except Exception:
        state = AirbyteStateMessage()
    if not (state.stream or state.global_ or state.data is not None):
        raise ConfigError(f"The state file {path} has an entry that is no state. {_FIXES['state']}")
    return state


def _is_printed(line: str) -> bool:
    """Return whether a line is a message of a connector."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(message, Mapping) and message.get("type") in _MESSAGES


def _parsed(kind: str, path: str, text: str) -> Any:
    if not text.strip():
        raise ConfigError(f"The {kind} file {path} is empty. {_FIXES[kind]}")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as problem:
        place = "nested too deeply"
        if isinstance(problem, json.JSONDecodeError):
            place = f"line {problem.lineno}, column {problem.colno}"
        raise ConfigError(f"The {kind} file {path} is not JSON ({place}). {_FIXES[kind]}") from None


def _text(kind: str, path: str) -> str:
    with _opened(kind, path) as file:
        return file.read()


@contextmanager
def _opened(kind: str, path: str) -> Iterator[IO[str]]:
    try:
        with Path(path).open(encoding="utf-8-sig") as file:
            yield file
    except FileNotFoundError:
        raise ConfigError(f"The {kind} file {path} does not exist. {_FIXES[kind]}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"The {kind} file {path} is not text in UTF-8. {_FIXES[kind]}") from None
    except OSError as problem:
        raise ConfigError(f"The {kind} file {path} cannot be read ({problem.strerror}). {_FIXES[kind]}") from None
