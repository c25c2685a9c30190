"""What the documentation tells to do, done: page by page, in one folder each, against the sandbox.

What the image is told is told to the connector that is installed here. SQL, and Python that needs PyAirbyte, run in the
demo's environment.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pages import PAGES, ROOT, Block, Page, page

from sandbox import Clock, Sandbox, serve

COMMANDS = Path(sys.executable).parent
DEMO = ROOT / ".venv-demo" / "bin"
ENVIRONMENT = {**os.environ, "PATH": f"{COMMANDS}{os.pathsep}{os.environ['PATH']}", "NO_PROXY": "*", "no_proxy": "*"}

SANDBOX = "docextract-sandbox"
ADDRESS = "http://127.0.0.1:8787"
IMAGE = re.compile(r"^docker run (?:-\S+ |\"\S+\" )*source-docextract:\S+")
TOLD_TO_RUN = re.compile(r"(source-docextract|docextract-sandbox)\b")

ASK = """
import json, sys, duckdb
connection = duckdb.connect(sys.argv[1], read_only=True)
print(json.dumps([len(connection.sql(question).fetchall()) for question in json.load(sys.stdin)]))
"""


def test_the_commands_of_the_readme_run(tmp_path: Path) -> None:
    with served() as (sandbox, url):
        _write_files(tmp_path, sandbox, url)
        for block in _blocks(page("README.md"), "bash"):
            for command in _commands(block):
                _run(command, tmp_path)


def test_the_page_on_running_is_a_story_that_goes_like_that(tmp_path: Path) -> None:
    counts = []
    with _sandbox_of(page("docs/running.md")) as url:
        for block in _blocks(page("docs/running.md"), "bash", "python"):
            if block.language == "python":
                _run(shlex.join([sys.executable, "-c", block.content.replace(ADDRESS, url)]), tmp_path)
                continue
            for command in _commands(block):
                printed = _run(command, tmp_path)
                if command.startswith("source-docextract check"):
                    assert '"status":"SUCCEEDED"' in printed
                if command.startswith("source-docextract read"):
                    counts.append((tmp_path / "messages.jsonl").read_text(encoding="utf-8").count('"type":"RECORD"'))
    streams = json.loads((tmp_path / "catalog.json").read_text(encoding="utf-8"))["streams"]
    states = json.loads((tmp_path / "state.json").read_text(encoding="utf-8"))
    first, second = counts

    assert len(states) == len(streams) == 20
    # Its clock goes on, so that something may have come.
    assert first > 400
    assert second < 100


def test_every_command_that_can_be_run_is_on_a_page_that_is_run() -> None:
    can_be_run = {str(one) for one in PAGES if any(_commands(block) for block in _blocks(one, "bash"))}

    assert can_be_run == {"README.md", "docs/running.md"}


def test_python_is_on_a_page_that_is_run() -> None:
    assert {str(one) for one in PAGES if _blocks(one, "python")} == {"README.md", "docs/running.md"}


@pytest.mark.skipif(not DEMO.exists(), reason="the demo's environment is not set up; `make test` does that")
def test_the_readmes_python_runs_and_sql_finds_what_it_leaves(tmp_path: Path) -> None:
    [readme] = _blocks(page("README.md"), "python")
    questions = [block.content for one in PAGES for block in _blocks(one, "sql")]
    with served() as (sandbox, url):
        code = _with_settings(readme.content, {**sandbox.demo_settings(url), "typed_tables": True})
        at_home = {"PATH": f"{DEMO}{os.pathsep}{os.environ['PATH']}", "AIRBYTE_LOGGING_ROOT": str(tmp_path)}
        _run(shlex.join([str(DEMO / "python"), "-c", code]), tmp_path, **at_home)
    [database] = tmp_path.rglob("*.duckdb")

    answer = subprocess.run(
        [DEMO / "python", "-c", ASK, database],
        input=json.dumps(questions),
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.returncode == 0, answer.stderr
    rows = json.loads(answer.stdout)
    assert [question for question, found in zip(questions, rows, strict=True) if not found] == []


def _blocks(one: Page, *languages: str) -> list[Block]:
    return [block for block in one.blocks if block.language in languages]


def _commands(block: Block) -> list[str]:
    """Those that can be run here, without what only the image needs. The sandbox is started by whoever needs it."""
    commands = [IMAGE.sub("source-docextract", command).replace("/data/", "") for command in block.commands]
    return [command for command in commands if TOLD_TO_RUN.match(command) and command != SANDBOX]


@contextmanager
def served() -> Iterator[tuple[Sandbox, str]]:
    sandbox = Sandbox(clock=Clock(speed=1), spacing=0)
    sandbox.fill_demo()
    with serve(sandbox) as url:
        yield sandbox, url


@contextmanager
def _sandbox_of(one: Page) -> Iterator[str]:
    """The sandbox as a page starts it, but on a free port and without spacing."""
    [command] = [command for block in _blocks(one, "bash") for command in block.commands if command == SANDBOX]
    started = [COMMANDS / command, "--port", "0", "--spacing", "0"]
    with subprocess.Popen(started, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield process.stdout.readline().removeprefix("listening on ").strip()
        finally:
            process.terminate()


def _write_files(folder: Path, sandbox: Sandbox, url: str) -> None:
    """What the commands of the README are given: settings of one provider, the catalog of its streams, and no state."""
    (folder / "config.json").write_text(json.dumps(sandbox.demo_settings(url, ["atlas"])), encoding="utf-8")
    lines = map(json.loads, _run("source-docextract discover --config config.json", folder).splitlines())
    [catalog] = [line["catalog"] for line in lines if line["type"] == "CATALOG"]
    modes = {"sync_mode": "incremental", "destination_sync_mode": "append_dedup"}
    streams = [{"stream": stream, **modes} for stream in catalog["streams"]]
    (folder / "catalog.json").write_text(json.dumps({"streams": streams}), encoding="utf-8")
    (folder / "state.json").write_text("[]", encoding="utf-8")


def _with_settings(code: str, settings: dict[str, Any]) -> str:
    """The same code with other settings in place of those it shows."""
    module = ast.parse(code)
    [config] = [node for node in ast.walk(module) if isinstance(node, ast.keyword) and node.arg == "config"]
    config.value = ast.parse(repr(settings), mode="eval").body
    return ast.unparse(module)


def _run(command: str, folder: Path, **environment: str) -> str:
    """What it printed; it has to succeed."""
    offline = {"AIRBYTE_OFFLINE_MODE": "1", "DO_NOT_TRACK": "1"}
    done = subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env={**ENVIRONMENT, **offline, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout
