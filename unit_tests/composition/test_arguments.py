"""Tests of the command line: help, version, invalid commands, `catalog`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer

from source_docextract import arguments
from source_docextract.cli import Entrypoint
from unit_tests.support.command_line import run_connector
from unit_tests.support.connector_process import run_to_end

ATLAS = {"atlas": {"client_id": "a-made-up-id", "client_secret": "a-made-up-secret", "batch_ids": ["b"]}}


def run_arguments(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    """Return exit code, output and errors of arguments that end at once."""
    with pytest.raises(SystemExit) as exit_info:
        arguments.parse_arguments(argv)
    output = capsys.readouterr()
    assert isinstance(exit_info.value.code, int)
    return exit_info.value.code, output.out, output.err


def test_version_prints_name_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_arguments(capsys, "--version") == (0, f"source-docextract {version('source-docextract')}\n", "")


def test_help_lists_verbs_files_and_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    code, output, _ = run_arguments(capsys, "--help")

    assert code == 0
    lines = [line.strip() for line in output.splitlines()]
    for verb in ("spec", "check", "discover", "catalog", "read"):
        assert [line for line in lines if line.startswith(f"{verb}  ")], verb
    for file in ("config.json  ", "catalog.json  ", "state.jsonl  "):
        assert [line for line in lines if line.startswith(file)], file
    example = output.partition("example:")[2]
    commands = ("check", "catalog", "read")
    assert [line for line in example.splitlines() if "source-docextract" in line][: len(commands)]
    assert all(f"source-docextract {verb} --config config.json" in example for verb in commands)
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize("verb", ["spec", "check", "discover", "catalog", "read"])
def test_help_of_a_verb_lists_its_options(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    code, output, _ = run_arguments(capsys, verb, "--help")

    assert code == 0
    assert ("--config" in output) is (verb != "spec")
    assert ("what earlier syncs have read" in " ".join(output.split())) is (verb == "read")


@pytest.mark.parametrize(
    ("argv", "error_text"),
    [
        (["sync"], "invalid choice: 'sync'"),
        (["--debug"], "unrecognized arguments: --debug"),
        (["check"], "the following arguments are required: --config"),
        (["read", "--config", "a.json"], "the following arguments are required: --catalog"),
        (["check", "--config", "a.json", "--state", "b.json"], "unrecognized arguments: --state b.json"),
    ],
)
def test_parse_arguments_invalid_command_exits_with_an_explanation(
    capsys: pytest.CaptureFixture[str], argv: list[str], error_text: str
) -> None:
    code, output, errors = run_arguments(capsys, *argv)

    assert (code, output) == (2, "")
    assert error_text in errors or "the following arguments are required: VERB" in errors


def test_parse_arguments_airbyte_read_command_is_accepted() -> None:
    parsed_arguments = Entrypoint.parse_args(["read", "--config", "a", "--catalog", "b", "--state", "c", "--debug"])

    assert (
        parsed_arguments.command,
        parsed_arguments.config,
        parsed_arguments.catalog,
        parsed_arguments.state,
        parsed_arguments.debug,
    ) == ("read", "a", "b", "c", True)


def print_catalog(folder: Path, settings: dict[str, Any], *options: str) -> tuple[int, str, str]:
    (folder / "config.json").write_text(json.dumps(settings))
    process_result = run_to_end(["catalog", "--config", str(folder / "config.json"), *options])
    return process_result.returncode, process_result.stdout, process_result.stderr


def get_stream_names(catalog: str) -> Sequence[str]:
    return [chosen.stream.name for chosen in ConfiguredAirbyteCatalogSerializer.load(json.loads(catalog)).streams]


def test_catalog_output_is_a_configured_catalog_of_all_streams(tmp_path: Path) -> None:
    code, catalog, errors = print_catalog(tmp_path, ATLAS)

    assert (code, errors) == (0, "")
    chosen = ConfiguredAirbyteCatalogSerializer.load(json.loads(catalog)).streams
    [discovered] = run_connector(tmp_path, "discover", ATLAS).filter_messages("CATALOG")
    assert [stream.stream.name for stream in chosen] == [stream["name"] for stream in discovered["catalog"]["streams"]]
    assert {(stream.sync_mode.value, stream.destination_sync_mode.value) for stream in chosen} == {
        ("incremental", "append_dedup")
    }
    assert {str(stream.primary_key) for stream in chosen} == {"[['id']]"}
    assert {str(stream.cursor_field) for stream in chosen} == {"['observed_at']"}


def test_catalog_with_patterns_has_only_matching_streams(tmp_path: Path) -> None:
    assert get_stream_names(print_catalog(tmp_path, ATLAS, "--streams", "*_f*", "atlas_batches")[1]) == [
        "atlas_batches",
        "atlas_files",
        "atlas_fields",
    ]


@pytest.mark.parametrize(
    ("settings", "options", "error_text"),
    [
        (ATLAS, ["--streams", "sensible_*"], "There is no stream sensible_*. Name one of atlas_batches, atlas_files,"),
        ({**ATLAS, "lookback_days": -1}, [], "lookback_days must be at least 0."),
        ({}, [], "No provider is set up"),
    ],
)
def test_catalog_invalid_settings_or_pattern_prints_a_single_line(
    tmp_path: Path, settings: dict[str, Any], options: list[str], error_text: str
) -> None:
    code, catalog, errors = print_catalog(tmp_path, settings, *options)

    assert (code, catalog) == (1, "")
    assert errors.startswith(f"source-docextract: {error_text}")
    assert errors.count("\n") == 1
