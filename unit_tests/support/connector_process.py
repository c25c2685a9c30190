"""Processes of the connector, forked from one that has imported it already.

To import the connector and the CDK takes a process seconds of CPU time, most of what a test with a process costs. So a
server imports them once, and forks itself for each process. A forked process is one of its own in all that the tests
look at: its signals, its pipe, its exit code, its environment and its memory.

The longer proofs start Python anew, and so does all that needs another Python: see `can_fork`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import IO, Any

ENTRY = str(Path(__file__).parent / "subprocess_entry.py")
"""The program of a process with a frozen clock."""

_PYTHON_VARIABLES = {name: value for name, value in os.environ.items() if name.startswith("PYTHON") and value}

starts_anew = False
"""Whether no process is forked; the fixture `leak_scanner` sets it for the longer proofs."""


def can_fork(environment: Mapping[str, str]) -> bool:
    """Return whether a process with this environment can be forked.

    Python reads its own variables at its start only, and a fork is safe on Linux only.
    """
    variables = {name: value for name, value in environment.items() if name.startswith("PYTHON") and value}
    return sys.platform == "linux" and not starts_anew and variables == _PYTHON_VARIABLES


def start_connector(
    arguments: Sequence[str],
    *,
    now: str = "",
    program_text: str = "",
    env: Mapping[str, str] | None = None,
    stderr: IO[Any] | int | None = None,
) -> subprocess.Popen[str] | ForkedProcess:
    """Start the connector's command line; its standard output is a pipe.

    Args:
        arguments: the command line without the program.
        now: the time of a clock that stands still, with short retries; empty for the real clock.
        program_text: a Python program to run instead of the command line.
        env: the environment; None for that of the tests.
        stderr: a file for standard error, or `subprocess.PIPE`; None for that of the tests.
    """
    environment = dict(os.environ if env is None else env)
    if can_fork(environment):
        return ForkedProcess(["source-docextract", *arguments], now, program_text, environment, stderr)
    program = ["-c", program_text] if program_text else [ENTRY, now] if now else ["-m", "source_docextract"]
    # The clients of Google's storage warn on standard error about Python versions that are out of support.
    command = [sys.executable, "-W", "ignore::FutureWarning", *program, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, encoding="utf-8", env=environment)


def run_to_end(
    arguments: Sequence[str], *, now: str = "", program_text: str = "", env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the connector's command line to its end, as `start_connector` does, and return its output."""
    with start_connector(arguments, now=now, program_text=program_text, env=env, stderr=subprocess.PIPE) as process:
        try:
            output, errors = process.communicate(timeout=600)
        finally:
            process.kill()
    assert process.returncode is not None
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


class ForkedProcess:
    """A forked process with the part of `subprocess.Popen`'s interface that the tests use.

    Attributes:
        args: the command line.
        stdout: the reading end of its standard output.
        returncode: the exit code, negative for a signal; None while it runs.
    """

    def __init__(
        self,
        args: list[str],
        now: str = "",
        program_text: str = "",
        environment: Mapping[str, str] | None = None,
        stderr: IO[Any] | int | None = None,
    ) -> None:
        self.args = args
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["source_docextract.cli", "source_docextract.probe.command", __name__])
        reading_end, writing_end = os.pipe()
        # Not a pipe: nothing has to read it while the process runs.
        has_own_file = stderr == subprocess.PIPE
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8") if has_own_file else None  # noqa: SIM115
        errors = self._errors or stderr
        descriptors = (writing_end, 2 if errors is None or isinstance(errors, int) else errors.fileno())
        order = _Order(args, now, program_text, dict(environment or os.environ), *map(_Descriptor, descriptors))
        self._process = context.Process(target=_run_forked, args=(order,), daemon=True)
        try:
            self._process.start()
        finally:
            os.close(writing_end)
        self.stdout: IO[str] = os.fdopen(reading_end, encoding="utf-8")
        self.stderr: IO[str] | None = None
        self.pid = self._process.pid or 0

    @property
    def returncode(self) -> int | None:
        """Return the exit code, or None while the process runs."""
        return self._process.exitcode

    def send_signal(self, signal_number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal_number)

    def kill(self) -> None:
        """Kill the process, unless it has ended."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code."""
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Read standard output to its end, wait for the end of the process, and return both outputs."""
        output = self.stdout.read()
        self.wait(timeout)
        if self._errors is None:
            return output, ""
        self._errors.seek(0)
        return output, self._errors.read()

    def __enter__(self) -> ForkedProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stdout.close()
        self.wait()
        if self._errors:
            self._errors.close()


@dataclass(frozen=True)
class _Descriptor:
    """A file descriptor that a forked process gets: there, it is the number of its copy."""

    number: int

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy the descriptor; multiprocessing allows this only while it starts a process."""
        return _detach, (DupFd(self.number),)


def _detach(copied: Any) -> int:
    number: int = copied.detach()
    return number


@dataclass(frozen=True)
class _Order:
    """What a forked process runs, where it writes, and with which environment."""

    args: list[str]
    now: str
    program_text: str
    environment: dict[str, str]
    stdout: Any
    stderr: Any


def _run_forked(order: _Order) -> None:
    """Run the command line in a forked process, which ends in it."""
    for source, descriptor in ((order.stdout, 1), (order.stderr, 2)):
        os.dup2(source, descriptor)
        os.close(source)
    os.environ.clear()
    os.environ.update(order.environment)
    warnings.simplefilter("ignore", FutureWarning)
    sys.argv = order.args
    if order.program_text:
        exec(compile(order.program_text, "<string>", "exec"), {"__name__": "__main__"})
    else:
        run_command_line(order.now)


def run_command_line(now: str) -> None:
    """Run the command line in this process, with short retries and a clock that stands still if `now` is given."""
    from source_docextract import SourceDocextract
    from source_docextract.cli import main
    from source_docextract.http.rate_limit import RetryPolicy

    if not now:
        main()
    frozen_now = datetime.fromisoformat(now)
    retry_policy = RetryPolicy(max_tries=3, first_wait=0.005, max_wait=0.01)
    main(SourceDocextract(now=lambda: frozen_now, retry_policy=retry_policy))
