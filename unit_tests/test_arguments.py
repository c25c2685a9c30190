"""The command line before it does anything: help, version, and commands that are wrong; and `catalog`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer
from commandline import run

from source_docextract import arguments
from source_docextract.run import Entrypoint

ATLAS = {"atlas": {"client_id": "a-made-up-id", "client_secret": "a-made-up-secret", "batch_ids": ["b"]}}


def said(capsys: pytest.CaptureFixture[str], *given: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of arguments that end at once."""
    with pytest.raises(SystemExit) as ended:
        arguments.parsed(given)
    shown = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, shown.out, shown.err


def test_version_is_one_line_with_name_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "--version") == (0, f"source-docextract {version('source-docextract')}\n", "")


def test_help_has_every_verb_what_each_file_is_and_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    code, shown, _ = said(capsys, "--help")

    assert code == 0
    lines = [line.strip() for line in shown.splitlines()]
    for verb in ("spec", "check", "discover", "catalog", "read"):
        assert [line for line in lines if line.startswith(f"{verb}  ")], verb
    for file in ("config.json  ", "catalog.json  ", "state.jsonl  "):
        assert [line for line in lines if line.startswith(file)], file
    example = shown.partition("example:")[2]
    commands = ("check", "catalog", "read")
    assert [line for line in example.splitlines() if "source-docextract" in line][: len(commands)]
    assert all(f"source-docextract {verb} --config config.json" in example for verb in commands)
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize("verb", ["spec", "check", "discover", "catalog", "read"])
def test_help_of_a_verb_explains_each_of_its_options(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    code, shown, _ = said(capsys, verb, "--help")

    assert code == 0
    assert ("--config" in shown) is (verb != "spec")
    assert ("lines that earlier reads printed" in " ".join(shown.split())) is (verb == "read")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["sync"], "invalid choice: 'sync'"),
        (["--debug"], "unrecognized arguments: --debug"),
        (["check"], "the following arguments are required: --config"),
        (["read", "--config", "a.json"], "the following arguments are required: --catalog"),
        (["check", "--config", "a.json", "--state", "b.json"], "unrecognized arguments: --state b.json"),
    ],
)
def test_wrong_command_is_refused_in_words(capsys: pytest.CaptureFixture[str], given: list[str], words: str) -> None:
    code, shown, errors = said(capsys, *given)

    assert (code, shown) == (2, "")
    assert words in errors or "the following arguments are required: VERB" in errors


def test_what_airbyte_calls_is_understood() -> None:
    asked = Entrypoint.parse_args(["read", "--config", "a", "--catalog", "b", "--state", "c", "--debug"])

    assert (asked.command, asked.config, asked.catalog, asked.state, asked.debug) == ("read", "a", "b", "c", True)


def printed(folder: Path, settings: dict[str, Any], *options: str) -> tuple[int, str, str]:
    (folder / "config.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "source_docextract", "catalog", "--config", str(folder / "config.json"), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def names(catalog: str) -> Sequence[str]:
    return [chosen.stream.name for chosen in ConfiguredAirbyteCatalogSerializer.load(json.loads(catalog)).streams]


def test_catalog_prints_what_read_takes_and_nothing_else(tmp_path: Path) -> None:
    code, catalog, errors = printed(tmp_path, ATLAS)

    assert (code, errors) == (0, "")
    chosen = ConfiguredAirbyteCatalogSerializer.load(json.loads(catalog)).streams
    [discovered] = run(tmp_path, "discover", ATLAS).of_type("CATALOG")
    assert [one.stream.name for one in chosen] == [one["name"] for one in discovered["catalog"]["streams"]]
    assert {(one.sync_mode.value, one.destination_sync_mode.value) for one in chosen} == {
        ("incremental", "append_dedup")
    }
    assert {str(one.primary_key) for one in chosen} == {"[['id']]"}
    assert {str(one.cursor_field) for one in chosen} == {"['observed_at']"}


def test_catalog_holds_the_streams_that_are_named(tmp_path: Path) -> None:
    assert names(printed(tmp_path, ATLAS, "--streams", "*_f*", "atlas_batches")[1]) == [
        "atlas_batches",
        "atlas_files",
        "atlas_fields",
    ]


@pytest.mark.parametrize(
    ("settings", "options", "words"),
    [
        (ATLAS, ["--streams", "sensible_*"], "There is no stream sensible_*. Name some of atlas_batches, atlas_files,"),
        ({**ATLAS, "lookback_days": -1}, [], "lookback_days must be at least 0."),
        ({}, [], "No provider is set up"),
    ],
)
def test_catalog_says_in_a_line_of_text_what_is_wrong(
    tmp_path: Path, settings: dict[str, Any], options: list[str], words: str
) -> None:
    code, catalog, errors = printed(tmp_path, settings, *options)

    assert (code, catalog) == (1, "")
    assert errors.startswith(f"source-docextract: {words}")
    assert errors.count("\n") == 1
