"""`docextract-sandbox` as a process of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from docextract_sandbox.__main__ import main
from unit_tests.support.command_line import WITHOUT_STARLETTE

ROOT = Path(__file__).parents[2]


@contextmanager
def start_sandbox(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command and its address; it is ended by force if the test did not end it."""
    command = [sys.executable, "-m", "docextract_sandbox", "--port", "0", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            assert first.startswith("listening on http://127.0.0.1:")
            yield process, first.split()[-1]
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command_prints_addresses_and_stops_cleanly_on_signal(number: signal.Signals) -> None:
    # given
    with start_sandbox("--speed", "60", "--switch", "unknown_status=queued") as (process, url):
        # when
        settings = requests.get(f"{url}/_sandbox/settings", timeout=600).json()
        overview = requests.get(f"{url}/_sandbox/", timeout=600).json()
        process.send_signal(number)
        process.wait(timeout=600)
        assert process.stdout is not None
        assert process.stderr is not None
        output, errors = process.stdout.read(), process.stderr.read()

    # then
    assert process.returncode == 0
    assert errors == ""
    for path in ("extracta/api/v1", "atlas/v1/bulk", "docmap/v1", "sensible/v0"):
        assert f"{url}/{path}" in output
    for expected in ("sandbox-atlas-secret", "sandbox-sensible-key", "dm_live_", "curl", "has stopped"):
        assert expected in output
    assert settings["extracta"]["seconds_between_requests"] == 2
    assert len(settings["extracta"]["extraction_ids"]) == 4
    assert overview["switches"]["unknown_status"] == "queued"


def test_command_missing_extra_error_names_the_pip_command(tmp_path: Path) -> None:
    # given what `pip install .` leaves, and what Python runs at its start
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_STARLETTE)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    for start in (
        [str(Path(sys.executable).with_name("docextract-sandbox"))],
        [sys.executable, "-m", "docextract_sandbox"],
    ):
        # when
        finished = subprocess.run(
            [*start, "--help"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )

        # then
        assert finished.returncode == 1
        assert finished.stdout == ""
        assert finished.stderr == (
            "docextract-sandbox needs other packages (starlette is missing). "
            "In the folder of the repository: pip install '.[sandbox]'\n"
        )


def test_command_config_option_writes_the_served_settings(tmp_path: Path) -> None:
    # given a file of an earlier one
    config = tmp_path / "config.json"
    config.write_text('{"atlas": {"base_url": "http://127.0.0.1:1/atlas/v1/bulk"}}')

    # when
    with start_sandbox("--config", str(config)) as (_, url):
        answered = requests.get(f"{url}/_sandbox/settings", timeout=600).json()

    # then
    assert json.loads(config.read_text()) == answered
    assert answered["extracta"]["base_url"].startswith(url)


@pytest.mark.parametrize("content", ['{"sensible": {"api_key": "a-key-of-mine"}}', "{}", "no json", "[]"])
def test_command_config_file_of_other_origin_is_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    # given
    config = tmp_path / "config.json"
    config.write_text(content)

    # when
    code = main(["--port", "0", "--config", str(config)])

    # then
    assert code == 2
    assert config.read_text() == content
    assert "name another file in --config" in capsys.readouterr().err


def test_command_unwritable_config_error_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", "0", "--empty", "--config", str(tmp_path / "none" / "config.json")]) == 2
    assert "none/config.json can't be written (No such file or directory)" in capsys.readouterr().err


def test_command_empty_option_serves_no_templates() -> None:
    # given / when
    with start_sandbox("--empty", "--spacing", "0.5") as (_, url):
        overview = requests.get(f"{url}/_sandbox/", timeout=600).json()
        settings = requests.get(f"{url}/_sandbox/settings", timeout=600).json()

    # then
    assert overview["worlds"]["extracta"]["templates"] == {}
    assert settings["extracta"]["seconds_between_requests"] == 0.5


def test_help_lists_options_and_examples(capsys: pytest.CaptureFixture[str]) -> None:
    # when
    with pytest.raises(SystemExit) as ended:
        main(["--help"])

    # then
    assert ended.value.code == 0
    output = capsys.readouterr().out
    for word in ("--port", "--host", "--speed", "--spacing", "--empty", "--switch", "--random-seed", "examples:"):
        assert word in output


@pytest.mark.parametrize(
    ("arguments", "expected_text"),
    [
        (["--host", "0.0.0.0"], "loopback"),
        (["--host", "example.org"], "loopback"),
        (["--port", "70000"], "from 0 to 65535"),
        (["--speed", "-1"], "from 0"),
        (["--spacing", "nan"], "from 0"),
    ],
)
def test_command_invalid_argument_exits_with_an_explanation(
    capsys: pytest.CaptureFixture[str], arguments: list[str], expected_text: str
) -> None:
    # when
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    # then
    assert ended.value.code == 2
    assert expected_text in capsys.readouterr().err


def test_command_invalid_switch_exits_with_an_explanation(capsys: pytest.CaptureFixture[str]) -> None:
    # when / then
    assert main(["--switch", "colour=red"]) == 2
    assert "there is no switch 'colour'" in capsys.readouterr().err
    assert main(["--switch", "sensible_throttle=some"]) == 2
    assert "sensible_throttle takes a whole number from 0" in capsys.readouterr().err


def test_command_port_in_use_exits_with_an_explanation() -> None:
    # given
    with start_sandbox("--empty") as (_, url):
        port = url.rpartition(":")[2]

        # when
        second = subprocess.run(
            [sys.executable, "-m", "docextract_sandbox", "--port", port],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )

    # then
    assert second.returncode == 2
    assert f"127.0.0.1:{port} can't be used" in second.stderr
    assert "Traceback" not in second.stderr
