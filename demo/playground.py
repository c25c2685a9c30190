"""The sandbox as a child process, and a client of its control endpoints."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

from . import DemoError
from .interrupts import SignalHandler

SPACING = 0.2
"""Seconds between requests to Extracta's result endpoints. The provider requires 2, too slow for a demo."""

_ROOT = Path(__file__).parent.parent
_READY_PREFIX = "listening on "
_STOP_TIMEOUT = 5.0
_RESPONSE_TIMEOUT = 600.0  # seconds: a slow machine must not fail the demo
_MAX_ROUNDS = 10

# Requests to this machine must not go through the user's proxy.
_opener = build_opener(ProxyHandler({}))


class SandboxProcess:
    """A running sandbox.

    Attributes:
        url: Address of the sandbox.
    """

    def __init__(self, url: str) -> None:
        """Use the sandbox that listens at `url`."""
        self.url = url

    def get_settings(self) -> dict[str, Any]:
        """Return settings with which the connector reads every document."""
        return self._send_request("GET", "settings")

    def add_documents(self) -> None:
        """Add batches, files to older batches, and a reviewer's decision on a document."""
        self._send_request("POST", "demo")

    def finish_documents(self) -> int:
        """Finish all documents that would finish by themselves; return their number.

        A classified file may be forwarded to an extraction, which is pending then: repeat until nothing is left.
        """
        total_finished = 0
        for _ in range(_MAX_ROUNDS):
            finished = int(self._send_request("POST", "finish", {"by_itself": True})["finished"])
            total_finished += finished
            if not finished:
                break
        return total_finished

    def forget_requests(self) -> None:
        """Clear the sandbox's journal of requests."""
        self._send_request("DELETE", "requests")

    def count_requests(self) -> tuple[dict[str, int], int]:
        """Return the numbers of requests by endpoint, and of rejected ones."""
        counts_json = self._send_request("GET", "requests")
        counts: dict[str, int] = counts_json["counts"]
        return counts, sum(counts.values()) - sum(counts_json["ok_counts"].values())

    def _send_request(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.url}/_sandbox/{path}", data, {"Content-Type": "application/json"}, method=method)
        with _opener.open(request, timeout=_RESPONSE_TIMEOUT) as response:
            response_json: dict[str, Any] = json.load(response)
        return response_json


@contextmanager
def start_sandbox(log_path: Path, signal_handler: SignalHandler) -> Iterator[SandboxProcess]:
    """Start a sandbox on a free port, and stop it when the block ends.

    Args:
        log_path: File for the sandbox's error output.
        signal_handler: Defers signals while the process is started or stopped, so that none leaves it running.

    Raises:
        DemoError: The sandbox did not start.
    """
    process: subprocess.Popen[str] | None = None
    try:
        with log_path.open("w", encoding="utf-8") as error_log, signal_handler.defer():
            process = subprocess.Popen(
                [sys.executable, "-m", "docextract_sandbox", "--port", "0", "--spacing", str(SPACING)],
                cwd=_ROOT,
                stdout=subprocess.PIPE,
                stderr=error_log,
                text=True,
                encoding="utf-8",
            )
        yield SandboxProcess(_read_address(process, log_path))
    finally:
        if process is not None:
            with signal_handler.defer():
                _stop_process(process)


def _read_address(process: subprocess.Popen[str], log_path: Path) -> str:
    line = process.stdout.readline() if process.stdout else ""
    if not line.startswith(_READY_PREFIX):
        _stop_process(process)
        log_lines = log_path.read_text(encoding="utf-8").split("\n")
        reason = next((log_line for log_line in reversed(log_lines) if log_line.strip()), "it said nothing")
        raise DemoError(f"The sandbox did not start: {reason.strip()}")
    return line.removeprefix(_READY_PREFIX).strip()


def _stop_process(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()
