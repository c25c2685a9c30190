"""`docextract-sandbox` as a process of its own."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from sandbox.__main__ import main

ROOT = Path(__file__).parents[2]


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command and its address; it is ended by force if the test did not end it."""
    command = [sys.executable, "-m", "sandbox", "--port", "0", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            assert first.startswith("listening on http://127.0.0.1:")
            yield process, first.split()[-1]
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_starts_tells_where_and_ends_cleanly(number):
    # given
    with running("--speed", "60", "--switch", "unknown_status=queued") as (process, url):
        # when
        settings = requests.get(f"{url}/_sandbox/settings", timeout=5).json()
        overview = requests.get(f"{url}/_sandbox/", timeout=5).json()
        began = time.perf_counter()
        process.send_signal(number)
        process.wait(timeout=5)
        assert process.stdout is not None
        assert process.stderr is not None
        said, complained = process.stdout.read(), process.stderr.read()

    # then
    assert process.returncode == 0
    assert time.perf_counter() - began < 3
    assert complained == ""
    for path in ("extracta/api/v1", "atlas/v1/bulk", "docmap/v1", "sensible/v0"):
        assert f"{url}/{path}" in said
    for expected in ("sandbox-atlas-secret", "sandbox-sensible-key", "dm_live_", "curl", "has ended"):
        assert expected in said
    assert settings["extracta"]["seconds_between_requests"] == 2
    assert len(settings["extracta"]["extraction_ids"]) == 4
    assert overview["switches"]["unknown_status"] == "queued"


def test_it_can_start_empty():
    # given / when
    with running("--empty", "--spacing", "0.5") as (_, url):
        overview = requests.get(f"{url}/_sandbox/", timeout=5).json()
        settings = requests.get(f"{url}/_sandbox/settings", timeout=5).json()

    # then
    assert overview["worlds"]["extracta"]["templates"] == {}
    assert settings["extracta"]["seconds_between_requests"] == 0.5


def test_help_reads_well(capsys):
    # when
    with pytest.raises(SystemExit) as ended:
        main(["--help"])

    # then
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for word in ("--port", "--host", "--speed", "--spacing", "--empty", "--switch", "--random-seed", "examples:"):
        assert word in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "0.0.0.0"], "loopback"),
        (["--host", "example.org"], "loopback"),
        (["--port", "70000"], "from 0 to 65535"),
        (["--speed", "-1"], "from 0"),
        (["--spacing", "nan"], "from 0"),
    ],
)
def test_arguments_that_do_not_fit_are_told(capsys, arguments, words):
    # when
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    # then
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_a_switch_that_does_not_exist_is_told(capsys):
    # when / then
    assert main(["--switch", "colour=red"]) == 2
    assert "there is no switch 'colour'" in capsys.readouterr().err
    assert main(["--switch", "sensible_throttle=some"]) == 2
    assert "sensible_throttle takes a whole number from 0" in capsys.readouterr().err


def test_a_port_that_is_taken_is_told():
    # given
    with running("--empty") as (_, url):
        port = url.rpartition(":")[2]

        # when
        second = subprocess.run(
            [sys.executable, "-m", "sandbox", "--port", port],
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
