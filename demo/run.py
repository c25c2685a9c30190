"""The demo from its first line to its last: the sandbox, three syncs, a page of plots."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

from . import FOLDER, Trouble
from .interrupts import Interrupts
from .pipeline import Pipeline, stay_at_home
from .playground import playground
from .query import DATABASE, command
from .screen import Screen
from .story import Story

REPORT = FOLDER / "report.html"


def run(interrupts: Interrupts) -> None:
    """Show all of it.

    Raises:
        Trouble: for what is not as it should be.
        KeyboardInterrupt: when a signal has come.
    """
    screen = Screen()
    screen.line(
        "A sandbox of the providers' APIs starts on this machine, and the connector syncs its invented documents into "
        "a DuckDB file, three times. This takes a minute, and needs neither a key nor the network."
    )
    screen.line()
    logs = FOLDER / "logs"
    shutil.rmtree(FOLDER, ignore_errors=True)
    logs.mkdir(parents=True, exist_ok=True)
    stay_at_home(FOLDER)
    with ExitStack() as until_the_end:
        with screen.step("Starting the sandbox") as outcome:
            sandbox = until_the_end.enter_context(playground(logs / "sandbox.log", interrupts))
            outcome.append(sandbox.url)
        Story(screen, interrupts, sandbox, Pipeline(DATABASE, logs / "pyairbyte.log")).run()
    with screen.step("Writing the report, a page of charts") as outcome:
        outcome.append(os.path.relpath(_report()))
    _say_goodbye(screen)


def _report() -> Path:
    # Not at the top: before there is something to see, nothing is to take seconds.
    from report import Trouble as NoReport  # noqa: PLC0415
    from report.page import write  # noqa: PLC0415
    from report.warehouse import ask  # noqa: PLC0415

    try:
        write(ask(str(DATABASE)), DATABASE.name, REPORT)
    except NoReport as trouble:
        raise Trouble(str(trouble)) from None
    return REPORT


def _say_goodbye(screen: Screen) -> None:
    database, programs = os.path.relpath(DATABASE), os.path.relpath(Path(sys.executable).parent)
    screen.heading("The sandbox has ended; the data stays")
    rows = (
        ("The report", f"{os.path.relpath(REPORT)}, for your browser"),
        ("The file", database),
        ("Its tables", command("SHOW TABLES")),
        ("Any SQL", command("SELECT file_name, data->>'total' total FROM extracta_results")),
        ("", f"or, with DuckDB's own shell: duckdb {database}"),
        ("The sandbox", f"{programs}/docextract-sandbox --help"),
    )
    for what, where in rows:
        text = f"  {what:<13}{where}"
        if '"' in where:
            screen.command(text, hang=15)
        else:
            screen.line(text, hang=15)
