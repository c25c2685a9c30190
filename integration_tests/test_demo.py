"""The demo as `make demo` runs it: what it tells, what it leaves, and that nothing of it goes on afterwards."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.skipif(
    find_spec("airbyte") is None, reason="PyAirbyte is not installed here; `make demo` installs it in .venv-demo"
)

ROOT = Path(__file__).parent.parent
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
WITH_A_WRONG_KEY = """
import sys
from demo import __main__, playground
settings = playground.Playground.settings
def wrong(sandbox):
    told = settings(sandbox)
    return {"extracta": {**told["extracta"], "api_key": "not-the-key"}}
playground.Playground.settings = wrong
sys.exit(__main__.main())
"""


@pytest.mark.long
def test_tells_of_three_syncs_and_leaves_a_file_twice_in_a_row(tmp_path: Path) -> None:
    first, second = _run(tmp_path), _run(tmp_path)
    for done in (first, second):
        assert (done.returncode, done.stderr) == (0, "")
        assert max(map(len, done.stdout.splitlines())) <= 100 + len(os.path.relpath(sys.executable, tmp_path))
        assert not _answers(_address(done.stdout))
        counts = [int(count) for count in re.findall(r"sync, .*\.\.\. (\d+) rows", done.stdout)]
        assert counts[0] > counts[1] > counts[2] == 0
        tables = [line.split() for line in done.stdout.splitlines() if re.search(r"^  \w+_\w+(  +\d+){4}$", line)]
        assert len(tables) == int(re.findall(r"(\d+) streams", done.stdout)[0])
        assert sum(int(rows) for _, rows, *_ in tables) == counts[1]
        assert sum(int(new) for _, _, new, *_ in tables) > 0
        assert "batches that grew in" in done.stdout
    assert _told(first.stdout) == _told(second.stdout)
    for line in second.stdout.splitlines():
        if "-m demo.query" in line:
            command = shlex.split(line[line.index(os.path.relpath(sys.executable, tmp_path)) :])
            answer = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, check=True)
            assert answer.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", ["Loading PyAirbyte", "First sync"])
def test_a_signal_ends_it_and_its_sandbox(tmp_path: Path, step: str, number: signal.Signals) -> None:
    with _started(tmp_path) as demo:
        told = _read_until(demo, step)
        address = _address(told)
        assert _answers(address)
        demo.send_signal(number)
        _, complaints = demo.communicate(timeout=30)
    assert demo.returncode == 128 + number
    assert complaints.strip() == "Stopped, and the sandbox with it."
    assert not _answers(address)


def test_a_connector_that_fails_is_told_in_its_own_words(tmp_path: Path) -> None:
    done = _run(tmp_path, "-c", WITH_A_WRONG_KEY)
    assert done.returncode == 1
    reason, *rest = done.stderr.strip().splitlines()
    assert "api_key" in reason
    assert "not-the-key" not in reason
    assert len(rest) == 1  # where the logs are
    assert not _answers(_address(done.stdout))


def test_previews_show_what_tells_most_first() -> None:
    from demo.screen import preview

    invoice = {"number": "INV-1", "vendor": {"name": "Acme"}, "lines": [1, 2], "note": None, "total": "1250.00"}
    assert preview(invoice) == "vendor.name = Acme, total = 1250.00, number = INV-1, lines = 2 items"
    wrapped = {"document_type": "PAN", "dob": {"value": "02/08/1968", "confidence_score": 0.4}}
    assert preview(wrapped, "PAN") == "dob = 02/08/1968"
    assert preview({"text": "two\nlines \x1b[31m"}) == "text = two lines [31m"


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *(arguments or ("-m", "demo"))]
    return subprocess.run(
        command,
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=180,
        check=False,
    )


@contextmanager
def _started(folder: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "demo"],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as demo:
        try:
            yield demo
        finally:
            if demo.poll() is None:
                demo.terminate()


def _read_until(demo: subprocess.Popen[str], words: str) -> str:
    """All that was printed up to these words, which are in a line that has not ended yet."""
    assert demo.stdout
    told = ""
    watchdog = threading.Timer(60, demo.terminate)
    watchdog.start()
    try:
        while words not in told:
            character = demo.stdout.read(1)
            assert character, told
            told += character
    finally:
        watchdog.cancel()
    return told


def _address(told: str) -> str:
    found = ADDRESS.search(told)
    assert found, told
    return found.group()


def _answers(address: str) -> bool:
    parts = urlsplit(address)
    with socket.socket() as probe:
        return probe.connect_ex((str(parts.hostname), int(parts.port or 0))) == 0


def _told(output: str) -> list[str]:
    """What is the same in each run: ids, times and ports are not, nor how often it was asked too soon."""
    return re.findall(r"^  \w+: [\d,]+ rows?|[\d,]+ rows", output, flags=re.MULTILINE)
