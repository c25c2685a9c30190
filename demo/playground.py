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

from . import Trouble
from .interrupts import Interrupts

SPACING = 0.2
"""Seconds between requests to Extracta's result endpoints: the real ones ask for 2, which would take too long here."""

_ROOT = Path(__file__).parent.parent
_GREETING = "listening on "
_LONGEST_GOODBYE = 5.0
_LONGEST_ANSWER = 600.0  # seconds: a slow machine is no reason to give up
_ROUNDS = 10

# Settings of a proxy are not for this machine.
_opener = build_opener(ProxyHandler({}))


class Playground:
    """A sandbox that listens at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def settings(self) -> dict[str, Any]:
        """Settings with which the connector reads all that is there."""
        return self._call("GET", "settings")

    def add_documents(self) -> None:
        """New batches, further files in old ones, and a person's decision on a document."""
        self._call("POST", "demo")

    def finish_documents(self) -> int:
        """Finishes what would finish by itself some day; returns how many documents that were.

        In rounds, since a classified file may be handed on to an extraction, which is then pending itself.
        """
        total = 0
        for _ in range(_ROUNDS):
            finished = int(self._call("POST", "finish", {"by_itself": True})["finished"])
            total += finished
            if not finished:
                break
        return total

    def forget_requests(self) -> None:
        self._call("DELETE", "requests")

    def requests(self) -> tuple[dict[str, int], int]:
        """How often each endpoint was asked since they were last forgotten, and how many of these were refused."""
        told = self._call("GET", "requests")
        counts: dict[str, int] = told["counts"]
        return counts, sum(counts.values()) - sum(told["ok_counts"].values())

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.url}/_sandbox/{path}", data, {"Content-Type": "application/json"}, method=method)
        with _opener.open(request, timeout=_LONGEST_ANSWER) as answer:
            told: dict[str, Any] = json.load(answer)
        return told


@contextmanager
def playground(log: Path, interrupts: Interrupts) -> Iterator[Playground]:
    """A sandbox on a free port, which ends with the block. What it complains about goes to `log`."""
    process: subprocess.Popen[str] | None = None
    try:
        with log.open("w", encoding="utf-8") as complaints, interrupts.held():
            process = subprocess.Popen(
                [sys.executable, "-m", "sandbox", "--port", "0", "--spacing", str(SPACING)],
                cwd=_ROOT,
                stdout=subprocess.PIPE,
                stderr=complaints,
                text=True,
                encoding="utf-8",
            )
        yield Playground(_address(process, log))
    finally:
        if process is not None:
            with interrupts.held():
                _stop(process)


def _address(process: subprocess.Popen[str], log: Path) -> str:
    line = process.stdout.readline() if process.stdout else ""
    if not line.startswith(_GREETING):
        _stop(process)
        complaints = log.read_text(encoding="utf-8").split("\n")
        reason = next((complaint for complaint in reversed(complaints) if complaint.strip()), "it said nothing")
        raise Trouble(f"The sandbox did not start: {reason.strip()}")
    return line.removeprefix(_GREETING).strip()


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_LONGEST_GOODBYE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()
