"""The whole demo: the sandbox, three syncs, and the report."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

from . import DEMO_FOLDER, DemoError
from .interrupts import SignalHandler
from .pipeline import Pipeline, isolate_pyairbyte
from .playground import start_sandbox
from .query import DATABASE_PATH, build_query_command
from .runner import DemoRunner
from .screen import Screen

REPORT_PATH = DEMO_FOLDER / "report.html"
"""The report that the demo writes."""


def run_demo(signal_handler: SignalHandler) -> None:
    """Run the demo.

    Raises:
        DemoError: A step failed, or a sync did not deliver the rows that it should.
        KeyboardInterrupt: A signal has arrived.
    """
    screen = Screen()
    screen.print_line(
        "A sandbox of the providers' APIs starts on this machine, and the connector syncs its invented documents into "
        "a DuckDB file, three times. This takes a minute, and needs neither a key nor the network."
    )
    screen.print_line()
    logs = DEMO_FOLDER / "logs"
    shutil.rmtree(DEMO_FOLDER, ignore_errors=True)
    logs.mkdir(parents=True, exist_ok=True)
    isolate_pyairbyte(DEMO_FOLDER)
    with ExitStack() as exit_stack:
        with screen.show_step("Starting the sandbox") as outcome:
            sandbox = exit_stack.enter_context(start_sandbox(logs / "sandbox.log", signal_handler))
            outcome.append(sandbox.url)
        DemoRunner(screen, signal_handler, sandbox, Pipeline(DATABASE_PATH, logs / "pyairbyte.log")).run()
    with screen.show_step("Writing the report, a page of charts") as outcome:
        outcome.append(os.path.relpath(_write_report()))
    _print_summary(screen)


def _write_report() -> Path:
    # Imported here: these imports take seconds, and the demo should print its first line at once.
    from report import ReportError  # noqa: PLC0415
    from report.page import write_page  # noqa: PLC0415
    from report.warehouse import run_recipes  # noqa: PLC0415

    try:
        write_page(run_recipes(str(DATABASE_PATH)), DATABASE_PATH.name, REPORT_PATH)
    except ReportError as error:
        raise DemoError(str(error)) from None
    return REPORT_PATH


def _print_summary(screen: Screen) -> None:
    database, programs_folder = os.path.relpath(DATABASE_PATH), os.path.relpath(Path(sys.executable).parent)
    screen.print_heading("The sandbox has ended; the data stays")
    rows = (
        ("The report", f"{os.path.relpath(REPORT_PATH)}, for your browser"),
        ("The file", database),
        ("Its tables", build_query_command("SHOW TABLES")),
        ("Any SQL", build_query_command("SELECT file_name, data->>'total' total FROM extracta_results")),
        ("", f"or, with DuckDB's own shell: duckdb {database}"),
        ("The sandbox", f"{programs_folder}/docextract-sandbox --help"),
    )
    for label, location in rows:
        text = f"  {label:<13}{location}"
        if '"' in location:
            screen.print_command(text, hanging_indent=15)
        else:
            screen.print_line(text, hanging_indent=15)
