"""Tests of the files that the command line names, valid and invalid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airbyte_cdk.models import AirbyteStreamState, FailureType
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_docextract import SourceDocextract
from unit_tests.support.command_line import run_connector

STATE = {"type": "STREAM", "stream": {"stream_descriptor": {"name": "atlas_files"}, "stream_state": {"version": 3}}}
STREAM = {"name": "atlas_files", "json_schema": {}, "supported_sync_modes": ["incremental"]}
MODES = {"sync_mode": "incremental", "destination_sync_mode": "append_dedup"}
CATALOG_LINE = json.dumps({"type": "CATALOG", "catalog": {"streams": [STREAM]}})

READERS_BY_KIND = {
    "settings": SourceDocextract.read_config,
    "catalog": SourceDocextract.read_catalog,
    "state": SourceDocextract.read_state,
}
EXPECTED_CONTENTS = {
    "settings": "one JSON object of settings",
    "catalog": "source-docextract catalog",
    "state": "JSON list",
}


def get_error_message(kind: str, path: Path) -> str:
    """Return the error message for an invalid file."""
    with pytest.raises(AirbyteTracedException) as exc_info:
        READERS_BY_KIND[kind](str(path))
    assert exc_info.value.failure_type is FailureType.config_error
    return str(exc_info.value)


@pytest.mark.parametrize("kind", READERS_BY_KIND)
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "does not exist"),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"{'a': 1}", "is not JSON (line 1, column 2)"),
        (b'{"a": \n', "is not JSON (line 2, column 1)"),
        (b"[" * 100_000, "is not JSON (nested too deeply)"),
        (b'{"a": "\xff"}', "is not UTF-8 text"),
        (b'"words"', "contains no "),
    ],
    ids=lambda value: str(value)[:20],
)
def test_read_invalid_file_error_names_file_and_fix(
    tmp_path: Path, kind: str, content: bytes | None, problem: str
) -> None:
    path = tmp_path / "given.json"
    if content is not None:
        path.write_bytes(content)

    expected_text = get_error_message(kind, path)

    assert f"The {kind} file {path} {problem}" in expected_text
    assert EXPECTED_CONTENTS[kind] in expected_text


@pytest.mark.parametrize("kind", READERS_BY_KIND)
def test_read_folder_error_names_the_path(tmp_path: Path, kind: str) -> None:
    assert f"The {kind} file {tmp_path} cannot be read (Is a directory)." in get_error_message(kind, tmp_path)


@pytest.mark.parametrize(
    "content",
    [CATALOG_LINE, f"{json.dumps({'type': 'LOG'})}\n{CATALOG_LINE}\n", json.dumps({"streams": [STREAM]})],
    ids=["a line", "lines", "the catalog alone"],
)
def test_read_catalog_output_of_discover_error_names_the_catalog_verb(tmp_path: Path, content: str) -> None:
    (tmp_path / "catalog.json").write_text(content)

    expected_text = get_error_message("catalog", tmp_path / "catalog.json")

    assert (
        "contains the output of discover. Name a configured catalog in --catalog; source-docextract catalog prints"
        in expected_text
    )


@pytest.mark.parametrize(
    "catalog", [[], {}, {"streams": 1}, {"streams": [1]}, {"streams": [{"stream": STREAM}]}, {"streams": [MODES]}]
)
def test_read_catalog_of_another_shape_is_an_error(tmp_path: Path, catalog: Any) -> None:
    (tmp_path / "catalog.json").write_text(json.dumps(catalog))

    assert "source-docextract catalog prints one." in get_error_message("catalog", tmp_path / "catalog.json")


def test_read_catalog_configured_catalog_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "catalog.json").write_text(json.dumps({"streams": [{"stream": STREAM, **MODES}]}))

    [chosen] = SourceDocextract.read_catalog(str(tmp_path / "catalog.json")).streams

    assert chosen.stream.name == "atlas_files"


@pytest.mark.parametrize(
    "state",
    [STATE, {"version": 3, "open": {}}, {"atlas_files": {"version": 3}}, [{"version": 3}], [1], [{"stream": {}}]],
    ids=["one state", "what is in a state", "by stream", "a list of that", "numbers", "no descriptor"],
)
def test_read_state_of_another_shape_is_an_error(tmp_path: Path, state: Any) -> None:
    (tmp_path / "state.json").write_text(json.dumps(state))

    expected_text = get_error_message("state", tmp_path / "state.json")

    assert f"The state file {tmp_path / 'state.json'} " in expected_text
    assert "To read everything from the beginning, leave --state out." in expected_text


def read_stream_states(path: Path) -> list[AirbyteStreamState]:
    return [state.stream for state in SourceDocextract.read_state(str(path)) if state.stream]


def test_read_state_list_or_printed_lines_is_loaded(tmp_path: Path) -> None:
    message = {"type": "STATE", "state": STATE}
    record = {"type": "RECORD", "record": {"stream": "atlas_files", "data": {"type": "STATE"}, "emitted_at": 1}}
    contents = [
        json.dumps([STATE]),
        json.dumps([message], indent=2),
        json.dumps(message),
        "\n".join(map(json.dumps, [{"type": "LOG"}, record, message, {"type": "TRACE"}])),
        "\ufeff" + json.dumps([STATE]),
    ]
    for number, content in enumerate(contents):
        (tmp_path / f"{number}.json").write_text(content, encoding="utf-8")
        [state] = read_stream_states(tmp_path / f"{number}.json")
        assert (state.stream_descriptor.name, vars(state.stream_state)) == ("atlas_files", {"version": 3})
    for content in ("[]", "{}", "null"):  # Airbyte writes one of these where there is none
        (tmp_path / "none.json").write_text(content)
        assert read_stream_states(tmp_path / "none.json") == []
    assert SourceDocextract.read_state(None) == []


def test_read_state_truncated_line_error_names_its_number(tmp_path: Path) -> None:
    lines = [json.dumps({"type": "STATE", "state": STATE})] * 2
    (tmp_path / "state.jsonl").write_text("\n".join([*lines, lines[0][:40]]))

    assert "has an incomplete line, line 3. Remove it." in get_error_message("state", tmp_path / "state.jsonl")


@pytest.mark.parametrize("kind", ["settings", "catalog", "state"])
def test_process_missing_file_ends_in_a_config_error_that_names_it(tmp_path: Path, kind: str) -> None:
    """Given a `read` with a missing file, then its last message names that file."""
    atlas = {"client_id": "a-made-up-id", "client_secret": "a-made-up-secret", "batch_ids": ["b"]}
    missing = tmp_path / f"missing-{kind}.json"
    option = {"settings": "--config", "catalog": "--catalog", "state": "--state"}[kind]

    process_result = run_connector(tmp_path, "read", {"atlas": atlas}, option, str(missing), options_last=True)

    assert process_result.exit_code == 1
    error = process_result.filter_messages("TRACE")[-1]["trace"]["error"]
    assert error["failure_type"] == "config_error"
    assert error["message"].startswith(f"The {kind} file {missing} does not exist. ")
    assert process_result.stderr == ""


def test_process_without_temporary_folder_runs_discover(tmp_path: Path) -> None:
    """Given no usable temporary folder, then `discover` prints the streams."""
    atlas = {"client_id": "a-made-up-id", "client_secret": "a-made-up-secret", "batch_ids": ["b"]}
    code = (
        "import sys, tempfile\n"
        "def none(): raise FileNotFoundError('No usable temporary directory found')\n"
        "tempfile._get_default_tempdir = none\n"
        "from source_docextract.cli import main\n"
        "main()\n"
    )

    process_result = run_connector(tmp_path, "discover", {"atlas": atlas}, program_text=code)

    assert (process_result.exit_code, process_result.stderr) == (0, "")
    assert len(process_result.filter_messages("CATALOG")[0]["catalog"]["streams"]) == 4
