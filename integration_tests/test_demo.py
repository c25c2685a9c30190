"""The demo as `make demo` runs it: its output, its files, and that no process of it is left."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from integration_tests.filled import fill_duckdb

if TYPE_CHECKING:
    from demo.screen import Screen

pytestmark = pytest.mark.skipif(
    find_spec("airbyte") is None, reason="PyAirbyte is not installed here; `make demo` installs it in .venv-demo"
)

ROOT = Path(__file__).parent.parent
KINDS = ("batches", "files", "results", "fields")
STREAMS = {
    f"{provider}_{kind}"
    for provider in ("extracta", "extracta_classification", "docmap", "sensible", "atlas")
    for kind in KINDS
}
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
WRONG_KEY_SCRIPT = """
import sys
from demo import __main__, playground
get_settings = playground.SandboxProcess.get_settings
def get_wrong_settings(sandbox):
    return {"extracta": {**get_settings(sandbox)["extracta"], "api_key": "not-the-key"}}
playground.SandboxProcess.get_settings = get_wrong_settings
sys.exit(__main__.main())
"""


def test_files_query_counts_each_failure_reason(tmp_path: Path) -> None:
    from demo.warehouse import Warehouse, build_files_query

    rows = [
        {"id": f"{provider}{number}", "provider": provider, "status": status, "error": error}
        for provider, status, error, count in (
            ("docmap", "failed", "torn", 3),
            ("docmap", "failed", "empty", 7),
            ("docmap", "processed", None, 2),
            ("atlas", "failed", "torn", 1),
        )
        for number in range(count)
    ]
    tables = {f"{name}_files": [row for row in rows if row["provider"] == name] for name in ("docmap", "atlas")}
    file = fill_duckdb(tmp_path / "documents.duckdb", tables)

    response = Warehouse(Path(file)).fetch_rows(build_files_query(list(tables)))

    assert [tuple(row.values()) for row in response] == [
        ("atlas", "failed", 1, "torn"),
        ("docmap", "failed", 7, "empty"),
        ("docmap", "failed", 3, "torn"),
        ("docmap", "processed", 2, None),
    ]


@pytest.mark.long
def test_demo_repeated_prints_three_syncs_and_writes_the_warehouse(tmp_path: Path) -> None:
    first, second = _run_demo(tmp_path), _run_demo(tmp_path)
    for result in (first, second):
        assert (result.returncode, result.stderr) == (0, "")
        assert max(map(len, result.stdout.splitlines())) <= 120 + len(os.path.relpath(sys.executable, tmp_path))
        assert len(result.stdout.splitlines()) <= 170
        assert not _is_reachable(_find_address(result.stdout))
        row_counts = re.findall(r"sync, .*\.\.\. ([\d,]+) rows", result.stdout)
        counts = [int(count.replace(",", "")) for count in row_counts]
        assert counts[0] > counts[1] > counts[2] == 0
        assert f"... {len(STREAMS)} streams" in result.stdout
        landed = {
            f"{provider}_{kind}": number
            for provider, numbers in _read_number_rows(
                result.stdout.partition("Meanwhile")[0], columns=len(KINDS)
            ).items()
            for kind, number in zip(KINDS, numbers, strict=True)
        }
        assert landed.keys() == STREAMS
        assert all(landed.values())
        assert sum(landed.values()) == counts[0]
        changes = _read_number_rows(result.stdout.partition("Meanwhile")[2], columns=4)
        assert changes.keys() == STREAMS
        assert sum(rows for rows, *_ in changes.values()) == counts[1]
        for name, (rows, new, updated, in_all) in changes.items():
            assert rows == new + updated > 0, name
            assert in_all == landed[name] + new, name
        for phrase in ("batches that grew in", "reviews decided in", "failed", "pending", "open"):
            assert phrase in result.stdout
        assert re.search(r"^  The report +.demo/report.html,", result.stdout, flags=re.MULTILINE)
        page = (tmp_path / ".demo" / "report.html").read_text(encoding="utf-8")
        assert "<b>documents.duckdb</b>" in page
        assert "No data yet." not in page
    assert _stable_output(first.stdout) == _stable_output(second.stdout)
    commands = _find_commands(second.stdout, os.path.relpath(sys.executable, tmp_path))
    assert len(commands) == 3
    for command in commands:
        response = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, check=True)
        assert response.stdout


SIGNAL_SCRIPT = """
import signal, sys

class Signals:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r} and sys.argv[0].endswith("__main__.py"):
            sys.meta_path.remove(self)
            signal.raise_signal({number})

sys.meta_path.insert(0, Signals())
"""


@pytest.mark.sample
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("module", ["rich.console", "duckdb", "airbyte"])
def test_demo_signal_during_import_stops_with_a_message(tmp_path: Path, module: str, number: signal.Signals) -> None:
    """Given a slow machine, on which imports take long, when a signal comes meanwhile, then the demo ends in words."""
    (tmp_path / "sitecustomize.py").write_text(SIGNAL_SCRIPT.format(module=module, number=int(number)))
    environment = {**ENVIRONMENT, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}

    result = subprocess.run(
        [sys.executable, "-m", "demo"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )

    assert result.returncode == 128 + number
    assert result.stderr.strip() == "Stopped, and the sandbox with it."


@pytest.mark.sample
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", ["Loading PyAirbyte", "First sync"])
def test_demo_signal_stops_the_demo_and_its_sandbox(tmp_path: Path, step: str, number: signal.Signals) -> None:
    with _start_demo(tmp_path) as demo:
        output = _read_until(demo, step)
        address = _find_address(output)
        assert _is_reachable(address)
        demo.send_signal(number)
        _, complaints = demo.communicate()
    assert demo.returncode == 128 + number
    assert complaints.strip() == "Stopped, and the sandbox with it."
    assert not _is_reachable(address)


HALF_MADE_SCRIPT = """
import signal
from demo.interrupts import SignalHandler

class FileWriter:
    def __init__(self):
        signal.raise_signal(signal.SIGTERM)
        self.files = []

    def __del__(self):
        self.files.clear()

signal_handler = SignalHandler()
signal_handler.install()
try:
    FileWriter()
except KeyboardInterrupt:
    print(signal_handler.signal_number)
"""


def test_demo_signal_while_an_object_is_made_prints_nothing_of_its_destructor() -> None:
    result = subprocess.run(
        [sys.executable, "-c", HALF_MADE_SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert (result.stdout, result.stderr) == ("15\n", "")


@pytest.mark.long
def test_demo_connector_failure_shows_its_message(tmp_path: Path) -> None:
    result = _run_demo(tmp_path, "-c", WRONG_KEY_SCRIPT)
    assert result.returncode == 1
    reason, *other_lines = result.stderr.strip().splitlines()
    assert "api_key" in reason
    assert "not-the-key" not in reason
    assert len(other_lines) == 1  # where the logs are
    assert not _is_reachable(_find_address(result.stdout))


def test_preview_data_shows_the_most_informative_fields_first() -> None:
    from demo.screen import preview_data

    invoice = {"number": "INV-1", "vendor": {"name": "Acme"}, "lines": [1, 2], "note": None, "total": "1250.00"}
    assert preview_data(invoice) == "vendor.name = Acme, total = 1250.00, number = INV-1, lines = 2 items"
    wrapped = {"document_type": "PAN", "dob": {"value": "02/08/1968", "confidence_score": 0.4}}
    assert preview_data(wrapped, "PAN") == "dob = 02/08/1968"
    assert preview_data({"text": "two\nlines \x1b[31m"}) == "text = two lines [31m"
    assert preview_data({"signed": {"value": ["Ada", "Bo"]}, "parties": [], "note": None}) == (
        "parties = 0 items, signed = Ada; Bo"
    )


def make_screen(width: int, monkeypatch: pytest.MonkeyPatch) -> tuple[Screen, StringIO]:
    """A terminal of so many columns, and what it is sent."""
    from rich.console import Console

    from demo.screen import Screen

    output = StringIO()
    console = Console(file=output, width=width, force_terminal=True, color_system=None, markup=False, highlight=False)
    monkeypatch.setattr("demo.screen.Console", lambda **_: console)
    return Screen(), output


@pytest.mark.parametrize("width", [72, 100, 120])
def test_screen_lines_fit_the_terminal_width(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from demo.query import build_query_command
    from demo.warehouse import build_files_query

    screen, output = make_screen(width, monkeypatch)
    prose = "  " + "documents that a person has to read are shown in the report " * 4
    sql = "SELECT file_name, data->>'total' total FROM extracta_results WHERE file_name IS NOT NULL ORDER BY file_name"

    screen.print_line(prose)
    screen.print_command(f"  {build_query_command(build_files_query(sorted(STREAMS)))}", hanging_indent=8)
    screen.print_command(f"  {'Any SQL':<13}{build_query_command(sql)}", hanging_indent=15)

    lines = output.getvalue().splitlines()
    begin = len(f"  {'Any SQL':<13}") + len(build_query_command("")) + len("SELECT")
    assert max(map(len, lines)) <= max(width, begin)
    # No word is broken, and a command is the same when it is copied: a line end in SQL is a space.
    assert " ".join(output.getvalue().split()) == " ".join(
        f"{prose} {build_query_command(build_files_query(sorted(STREAMS)))} Any SQL {build_query_command(sql)}".split()
    )


def test_screen_removes_control_characters_of_names(monkeypatch: pytest.MonkeyPatch) -> None:
    screen, output = make_screen(100, monkeypatch)

    screen.print_line("a\x1b[2Jb")
    screen.print_table(["file", "  n"], [["c\x1b]0;title\x07\u202ed.pdf", "  7"]])

    assert all(line.isprintable() for line in output.getvalue().splitlines())
    assert "c]0;titled.pdf    7" in output.getvalue()


def test_screen_third_party_names_have_no_escape_sequences(capsys: pytest.CaptureFixture[str]) -> None:
    from demo.screen import Screen

    screen = Screen()
    screen.print_table(["batch", "\x1b[1mfiles"], [["in\x1b]0;title\x07voices\n\x1b[2J", "     7\x9b"]])
    screen.print_line("reason: \x1b[31mno\r")
    screen.print_heading("\x1b[5mend")
    with screen.show_step("Loading") as outcome:
        outcome.append("3 \x1b[0mrows")

    output = capsys.readouterr().out
    assert "in]0;titlevoices [2J       7" in output
    assert not [letter for letter in output if letter != "\n" and not letter.isprintable()]


def test_query_rows_and_errors_have_no_escape_sequences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import duckdb

    from demo import query

    duckdb.connect(str(tmp_path / "documents.duckdb")).close()
    monkeypatch.setattr(query, "DATABASE_PATH", tmp_path / "documents.duckdb")

    assert query.main(["SELECT 'Acme' || chr(155) || chr(27) || '[31m' AS name"]) == 0
    assert query.main(["SELECT '\x1b[31m\x9b' + nobody"]) == 1

    output = capsys.readouterr()
    assert "Acme" in output.out
    assert "Binder Error" in output.err
    assert not [letter for letter in output.out + output.err if letter != "\n" and not letter.isprintable()]


def _run_demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *(arguments or ("-m", "demo"))]
    return subprocess.run(
        command,
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


@contextmanager
def _start_demo(folder: Path) -> Iterator[subprocess.Popen[str]]:
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


def _read_until(demo: subprocess.Popen[str], marker: str) -> str:
    """All that was printed up to these words, which are in a line that has not ended yet. However long that takes."""
    assert demo.stdout
    output = ""
    while marker not in output:
        character = demo.stdout.read(1)
        assert character, output
        output += character
    return output


def _find_address(output: str) -> str:
    match = ADDRESS.search(output)
    assert match, output
    return match.group()


def _is_reachable(address: str) -> bool:
    parts = urlsplit(address)
    with socket.socket() as probe:
        return probe.connect_ex((str(parts.hostname), int(parts.port or 0))) == 0


def _read_number_rows(output: str, columns: int) -> dict[str, list[int]]:
    """The rows of tables that are a name and so many numbers."""
    rows = re.findall(rf"^  (\w+)((?:  +[\d,]+){{{columns}}})$", output, flags=re.MULTILINE)
    return {name: [int(number.replace(",", "")) for number in numbers.split()] for name, numbers in rows}


def _find_commands(output: str, python: str) -> list[list[str]]:
    """What it invites to be typed in, of which some goes over several lines."""
    commands = re.findall(rf'{re.escape(python)} -m demo\.query "[^"]*"', output)
    return [shlex.split(command) for command in commands]


def _stable_output(output: str) -> list[str]:
    """What is the same in each run: ids, times and ports are not, nor how often it was asked too soon."""
    return re.findall(r"^  \w+(?:  +[\d,]+){3,4}$|[\d,]+ rows", output, flags=re.MULTILINE)
