"""Reading of the files that the command line names: settings, catalog and state.

The CDK's own errors for these files are system errors, which do not say what such a file has to hold.
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

from .core.errors import ConfigError

_FIXES = {
    "settings": "Name a file with one JSON object of settings in --config.",
    "catalog": "Name a configured catalog in --catalog; source-docextract catalog prints one.",
    "state": "In --state, name a file with the output of earlier reads, or a JSON list of states. To read everything "
    "from the beginning, leave --state out.",
}
"""The last sentence of the error message for each kind of file."""

_MESSAGE_TYPES = {"CATALOG", "CONNECTION_STATUS", "CONTROL", "DEBUG", "LOG", "RECORD", "SPEC", "STATE", "TRACE"}
"""The values of `type` in the lines that a connector prints."""


def read_settings(path: str) -> dict[str, Any]:
    """Return the settings as the file holds them, not yet validated.

    Raises:
        ConfigError: if the file cannot be read or is no JSON object.
    """
    settings = _parse_json("settings", path, _read_text("settings", path))
    if not isinstance(settings, dict):
        raise ConfigError(f"The settings file {path} contains no JSON object. {_FIXES['settings']}")
    return settings


def read_catalog(path: str) -> ConfiguredAirbyteCatalog:
    """Return the configured catalog.

    Raises:
        ConfigError: if the file cannot be read, or is other JSON, such as the output of `discover`.
    """
    text = _read_text("catalog", path)
    if _is_connector_message(text.lstrip().partition("\n")[0]):
        raise ConfigError(f"The catalog file {path} contains the output of discover. {_FIXES['catalog']}")
    catalog = _parse_json("catalog", path, text)
    streams = catalog.get("streams") if isinstance(catalog, dict) else None
    if not isinstance(streams, list):
        raise ConfigError(f"The catalog file {path} contains no list of streams. {_FIXES['catalog']}")
    # `discover` prints bare streams, whereas a configured catalog holds each one under `stream`.
    if any(isinstance(stream, dict) and "stream" not in stream and "name" in stream for stream in streams):
        raise ConfigError(f"The catalog file {path} contains the output of discover. {_FIXES['catalog']}")
    try:
        return ConfiguredAirbyteCatalogSerializer.load(catalog)
    except Exception:
        raise ConfigError(
            f"The catalog file {path} has a stream without name, schema or sync modes. {_FIXES['catalog']}"
        ) from None


def read_states(path: str | None) -> list[AirbyteStateMessage]:
    """Return the states in a JSON list, or among the lines of an earlier sync.

    Args:
        path: the file; None for a sync without a state.

    Raises:
        ConfigError: if the file cannot be read, is empty, or is other JSON.
    """
    return [_load_state(path, entry) for entry in _read_state_entries(path)] if path else []


def _read_state_entries(path: str) -> Iterator[Any]:
    with _open_file("state", path) as file:
        first_line = next((line for line in file if line.strip()), "")
        if _is_connector_message(first_line):
            # Line by line, since the output of a sync may be larger than memory.
            file.seek(0)
            yield from _parse_printed_states(path, file)
            return
    text = _read_text("state", path)
    entries = _parse_json("state", path, text)
    if not entries:  # Airbyte writes {} where there is none
        return
    if not isinstance(entries, list):
        raise ConfigError(f"The state file {path} contains no list of states. {_FIXES['state']}")
    yield from entries


def _parse_printed_states(path: str, lines: Iterable[str]) -> Iterator[Any]:
    for line_number, line in enumerate(lines, start=1):
        if '"STATE"' not in line:
            continue  # most lines are records, which are skipped without being parsed
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            raise ConfigError(f"The state file {path} has an incomplete line, line {line_number}. Remove it.") from None
        if isinstance(message, dict) and message.get("type") == "STATE":
            yield message


def _load_state(path: str, entry: Any) -> AirbyteStateMessage:
    # A list of Airbyte holds bare states; the output of a read holds each of them inside a message.
    is_wrapped = isinstance(entry, dict) and entry.get("type") == "STATE"
    try:
        state = AirbyteStateMessageSerializer.load(entry["state"] if is_wrapped else entry)
    except Exception:
        state = AirbyteStateMessage()
    # A state that is ignored in silence loses rows or repeats them, so it is an error.
    if not (state.stream or state.global_ or state.data is not None):
        raise ConfigError(f"The state file {path} has an entry that is not a state. {_FIXES['state']}")
    return state


def _is_connector_message(line: str) -> bool:
    """Return whether a line is an Airbyte message."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(message, Mapping) and message.get("type") in _MESSAGE_TYPES


def _parse_json(file_kind: str, path: str, text: str) -> Any:
    if not text.strip():
        raise ConfigError(f"The {file_kind} file {path} is empty. {_FIXES[file_kind]}")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        error_position = "nested too deeply"
        if isinstance(error, json.JSONDecodeError):
            error_position = f"line {error.lineno}, column {error.colno}"
        raise ConfigError(f"The {file_kind} file {path} is not JSON ({error_position}). {_FIXES[file_kind]}") from None


def _read_text(file_kind: str, path: str) -> str:
    with _open_file(file_kind, path) as file:
        return file.read()


@contextmanager
def _open_file(file_kind: str, path: str) -> Iterator[IO[str]]:
    try:
        with Path(path).open(encoding="utf-8-sig") as file:  # some editors begin a file with a byte order mark
            yield file
    except FileNotFoundError:
        raise ConfigError(f"The {file_kind} file {path} does not exist. {_FIXES[file_kind]}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"The {file_kind} file {path} is not UTF-8 text. {_FIXES[file_kind]}") from None
    except OSError as error:
        raise ConfigError(
            f"The {file_kind} file {path} cannot be read ({error.strerror}). {_FIXES[file_kind]}"
        ) from None
