"""The commands of the documentation, run page by page, in one folder each, against the sandbox.

The arguments of the image go to the installed connector. SQL, and Python that needs PyAirbyte, run in the
demo's environment.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from docextract_sandbox import Clock, Sandbox, serve
from integration_tests.pages import PAGES, ROOT, Block, Page, get_page

COMMANDS = Path(sys.executable).parent
DEMO = ROOT / ".venv-demo" / "bin"
ENVIRONMENT = {**os.environ, "PATH": f"{COMMANDS}{os.pathsep}{os.environ['PATH']}", "NO_PROXY": "*", "no_proxy": "*"}

SANDBOX = "docextract-sandbox"
IMAGE = re.compile(r"^docker run (?:-\S+ |\"\S+\" )*source-docextract:\S+")
RUNNABLE_COMMAND = re.compile(r"(source-docextract|docextract-sandbox|grep)\b")
OTHER_COMMANDS = ("make ", "docker ")
"""How blocks begin that are no part of the README's path: these have tests of their own."""

QUERY_SCRIPT = """
import json, sys, duckdb
connection = duckdb.connect(sys.argv[1], read_only=True)
print(json.dumps([len(connection.sql(question).fetchall()) for question in json.load(sys.stdin)]))
"""


@pytest.mark.skipif(not DEMO.exists(), reason="the demo's environment is not set up; `make test` does that")
@pytest.mark.long
def test_readme_commands_run_as_written(tmp_path: Path) -> None:
    """Given a machine without a package index and with a proxy that leads nowhere, when each command and the program of
    the README are run in their order, then each succeeds, the second read brings what is new alone, and the SQL of the
    pages finds rows in the file that the program has named.

    What is to be installed is there already: pip finds it in the demo's environment, and takes the connector's sources.
    """
    shell = ShellSession(copy_repository(tmp_path))
    [program] = _list_blocks(get_page("README.md"), "python")
    for block in _list_blocks(get_page("README.md"), "bash"):
        if block.content.startswith(OTHER_COMMANDS):
            continue
        if block.commands[0].startswith(SANDBOX):
            shell.start(block.content)
            continue
        printed = shell.run(block.content)
        if "source-docextract check" in block.content:
            assert '"status":"SUCCEEDED"' in printed
            assert '"type":"CATALOG"' in printed
    shell.end()
    first, second = (shell.count_messages(f"{name}.jsonl", "RECORD") for name in ("first", "second"))
    assert len(json.loads((shell.folder / "catalog.json").read_text(encoding="utf-8"))["streams"]) == 20
    assert first > 400
    assert second < 100  # its clock goes on, so that something may have come
    assert shell.count_messages("state.jsonl", "STATE") >= 2 * 20

    with serve_demo() as (sandbox, url):
        settings: dict[str, Any] = {**sandbox.build_settings(url), "typed_tables": True}
        printed = shell.python(_replace_settings(program.content, settings))
        database = printed.strip().rpartition("The tables are in ")[2]
        assert database == str(shell.folder / "documents.duckdb")
        assert "was not read" not in printed
        questions = [block.content for document_page in PAGES for block in _list_blocks(document_page, "sql")]
        response = shell.python(QUERY_SCRIPT, database, stdin=json.dumps(questions))
        nothing = [question for question, rows in zip(questions, json.loads(response), strict=True) if not rows]
        assert nothing == []

        # Where one provider fails, what the others have is kept.
        settings = {**sandbox.build_settings(url, ["atlas", "docmap"]), "typed_tables": False}
        settings["docmap"]["api_key"] = "not-the-key-of-anyone"
        shell.folder = tmp_path / "elsewhere"
        shell.folder.mkdir()
        printed = shell.python(_replace_settings(program.content, settings))
        assert "docmap was not read; the lines above say why." in printed
        [rows] = json.loads(
            shell.python(QUERY_SCRIPT, str(shell.folder / "documents.duckdb"), stdin='["SELECT * FROM atlas_files"]')
        )
        assert rows


def copy_repository(folder: Path) -> Path:
    """A copy of the repository: pip builds inside of it."""
    ignored = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "build", "dist")
    return Path(shutil.copytree(ROOT, folder / "source-docextract", ignore=ignored))


class ShellSession:
    """A shell in one folder, with Python and what is to be installed, but without a package index."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sandbox: subprocess.Popen[str] | None = None
        tools = folder.parent / "tools"
        tools.mkdir()
        base = _run_command(
            shlex.join([str(DEMO / "python"), "-c", "import sys; print(sys._base_executable)"]), folder
        ).strip()
        (tools / "python3").write_text(f'#!/bin/sh\nexec {shlex.quote(base)} "$@"\n')
        (tools / "python3").chmod(0o755)
        self._programs = folder / ".venv-docextract" / "bin"
        [packages] = DEMO.parent.glob("lib/python3*/site-packages")
        closed_address = "http://127.0.0.1:9"
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
            "PATH": os.pathsep.join([str(self._programs), str(tools), "/usr/bin", "/bin"]),
            "PYTHONPATH": str(packages),
            "PIP_NO_INDEX": "1",
            "PIP_NO_BUILD_ISOLATION": "0",  # pip's way to say that there is none
            "PIP_IGNORE_REQUIRES_PYTHON": "1",  # of PyAirbyte, as the README says
            "HTTPS_PROXY": closed_address,
            "HTTP_PROXY": closed_address,
            "DO_NOT_TRACK": "1",
            "AIRBYTE_LOGGING_ROOT": str(folder.parent / "logs"),
        }

    def run(self, script: str) -> str:
        return self._run(["bash", "-euo", "pipefail", "-c", script])

    def python(self, code: str, *arguments: str, stdin: str = "") -> str:
        return self._run([str(self._programs / "python"), "-c", code, *arguments], stdin)

    def start(self, script: str) -> None:
        """Starts the sandbox, but on a free port."""
        command = ["bash", "-euc", f"exec {script.strip()} --port 0"]
        self._sandbox = subprocess.Popen(
            command, cwd=self.folder, env=self._environment, stdout=subprocess.PIPE, text=True
        )
        assert self._sandbox.stdout
        assert self._sandbox.stdout.readline().startswith("listening on ")

    def end(self) -> None:
        assert self._sandbox
        self._sandbox.terminate()
        self._sandbox.communicate()

    def count_messages(self, file: str, message_type: str) -> int:
        """Messages of one type in a file."""
        return (self.folder / file).read_text(encoding="utf-8").count(f'"type":"{message_type}"')

    def _run(self, command: list[str], stdin: str = "") -> str:
        """What it printed; it has to succeed."""
        result = subprocess.run(
            command,
            cwd=self.folder,
            env=self._environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, f"{command}\n{result.stdout[-3000:]}{result.stderr[-3000:]}"
        return result.stdout


@pytest.mark.long
def test_running_page_commands_run_as_written(tmp_path: Path) -> None:
    counts = []
    with _serve_page_sandbox(get_page("docs/running.md"), tmp_path):
        for block in _list_blocks(get_page("docs/running.md"), "bash"):
            for command in _runnable_commands(block):
                printed = _run_command(command, tmp_path)
                if command.startswith("source-docextract check"):
                    assert '"status":"SUCCEEDED"' in printed
                if command.startswith("source-docextract read"):
                    counts.append((tmp_path / "messages.jsonl").read_text(encoding="utf-8").count('"type":"RECORD"'))
    streams = json.loads((tmp_path / "catalog.json").read_text(encoding="utf-8"))["streams"]
    states = (tmp_path / "state.jsonl").read_text(encoding="utf-8").splitlines()
    first, second = counts

    assert len(streams) == 20
    assert {json.loads(line)["state"]["stream"]["stream_descriptor"]["name"] for line in states} == {
        stream["stream"]["name"] for stream in streams
    }
    # Its clock goes on, so that something may have come.
    assert first > 400
    assert second < 100


def test_runnable_commands_are_only_on_tested_pages() -> None:
    can_be_run = {
        str(document_page)
        for document_page in PAGES
        if any(_runnable_commands(block) for block in _list_blocks(document_page, "bash"))
    }

    assert can_be_run == {"README.md", "docs/assumptions.md", "docs/running.md"}


def test_python_blocks_are_only_on_tested_pages() -> None:
    assert {str(document_page) for document_page in PAGES if _list_blocks(document_page, "python")} == {
        "README.md",
        "docs/python.md",
    }


@pytest.mark.long
def test_python_page_program_prints_its_streams() -> None:
    [program] = _list_blocks(get_page("docs/python.md"), "python")

    result = subprocess.run(
        [sys.executable, "-c", program.content], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stderr
    assert "sensible_results" in result.stdout


@pytest.mark.long
def test_assumptions_page_commands_run_as_written(tmp_path: Path) -> None:
    """Given a sandbox, when each probe of the page is made in their order, then each succeeds and finds no change."""
    with serve_demo() as (sandbox, url):
        (tmp_path / "config.json").write_text(json.dumps(sandbox.build_settings(url)))
        for block in _list_blocks(get_page("docs/assumptions.md"), "bash"):
            for command in _runnable_commands(block):
                _run_command(command, tmp_path)

    assert "# Probe of " in (tmp_path / "probe.md").read_text(encoding="utf-8")
    assert "Nothing has changed." in (tmp_path / "probe-new.md").read_text(encoding="utf-8")


def _list_blocks(document_page: Page, *languages: str) -> list[Block]:
    return [block for block in document_page.blocks if block.language in languages]


def _runnable_commands(block: Block) -> list[str]:
    """Return the commands that run here, without the options of the image. The caller starts the sandbox."""
    commands = [IMAGE.sub("source-docextract", command).replace("/data/", "") for command in block.commands]
    return [command for command in commands if RUNNABLE_COMMAND.match(command) and not _starts_sandbox(command)]


@contextmanager
def serve_demo() -> Iterator[tuple[Sandbox, str]]:
    sandbox = Sandbox(clock=Clock(speed=1), spacing=0)
    sandbox.fill_demo()
    with serve(sandbox) as url:
        yield sandbox, url


@contextmanager
def _serve_page_sandbox(document_page: Page, folder: Path) -> Iterator[None]:
    """The sandbox as a page starts it, but on a free port and without spacing."""
    [command] = [
        command
        for block in _list_blocks(document_page, "bash")
        for command in block.commands
        if _starts_sandbox(command)
    ]
    started: list[str | Path] = [COMMANDS / SANDBOX, *shlex.split(command)[1:], "--port", "0", "--spacing", "0"]
    with subprocess.Popen(started, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline().startswith("listening on ")
            yield
        finally:
            process.terminate()
            process.communicate()


def _starts_sandbox(command: str) -> bool:
    """Whether a command starts the sandbox: tests start it on a free port instead."""
    return command.startswith(SANDBOX) and "--help" not in command


def _replace_settings(code: str, settings: dict[str, Any]) -> str:
    """The same code with other settings in place of those it shows."""
    module = ast.parse(code)
    [config] = [node for node in ast.walk(module) if isinstance(node, ast.keyword) and node.arg == "config"]
    config.value = ast.parse(repr(settings), mode="eval").body
    return ast.unparse(module)


def _run_command(command: str, folder: Path, **environment: str) -> str:
    """What it printed; it has to succeed."""
    offline = {"AIRBYTE_OFFLINE_MODE": "1", "DO_NOT_TRACK": "1"}
    result = subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env={**ENVIRONMENT, **offline, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, f"{command}\n{result.stdout[-2000:]}{result.stderr[-2000:]}"
    return result.stdout
