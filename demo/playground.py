"""The sandbox as a child process, and its control endpoints."""

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
"""Seconds between requests to Extracta's result endpoints: the real ones ask for 2, which would take too long here."""

_ROOT = Path(__file__).parent.parent
_READY_PREFIX = "listening on "
_STOP_TIMEOUT = 5.0
_RESPONSE_TIMEOUT = 600.0  # seconds: a slow machine is no reason to give up
_MAX_ROUNDS = 10

# Settings of a proxy are not for this machine.
_opener = build_opener(ProxyHandler({}))


class SandboxProcess:
    """A sandbox that listens at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get_settings(self) -> dict[str, Any]:
        """Settings with which the connector reads all that is there."""
        return self._send_request("GET", "settings")

    def add_documents(self) -> None:
        """New batches, further files in old ones, and a person's decision on a document."""
        self._send_request("POST", "demo")

    def finish_documents(self) -> int:
        """Finishes what would finish by itself some day; returns how many documents that were.

        In rounds, since a classified file may be handed on to an extraction, which is then pending itself.
        """
        total_finished = 0
        for _ in range(_MAX_ROUNDS):
            finished = int(self._send_request("POST", "finish", {"by_itself": True})["finished"])
            total_finished += finished
            if not finished:
                break
        return total_finished

    def forget_requests(self) -> None:
        self._send_request("DELETE", "requests")

    def count_requests(self) -> tuple[dict[str, int], int]:
        """How often each endpoint was asked since they were last forgotten, and how many of these were refused."""
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
    """A sandbox on a free port, which ends with the block. What it complains about goes to `log`."""
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
