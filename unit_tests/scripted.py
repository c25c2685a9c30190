"""A provider that answers from a script: an HTTP server on loopback for the client's tests, and a driver of scripts."""

from __future__ import annotations

import json
import logging
import socket
import struct
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from queue import SimpleQueue
from typing import Any

from source_docextract.answers import Dialect
from source_docextract.http import Client, Login, Request
from source_docextract.pacing import Patience

KEY = "key-0123456789abcdef"
QUICK = Patience(tries=3, first_wait=0.01, longest_wait=0.02, longest_asked=90)

Answer = tuple[int, Mapping[str, str], Any]
"""Status, headers, and a body: bytes as they are, other values as JSON, or a callable that answers by itself."""


@dataclass(frozen=True)
class Seen:
    """One request as it arrived; `at` on the monotonic clock."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float


@dataclass
class Server:
    """Answers by `answer`; remembers what it was asked, and how many requests were in work at once."""

    answer: Callable[[Seen], Answer]
    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    busiest: int = 0
    _busy: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        seen = Seen(handler.command, handler.path, handler.headers, body, time.monotonic())
        with self._lock:
            self.seen.append(seen)
            self._busy += 1
            self.busiest = max(self.busiest, self._busy)
        try:
            status, headers, sent = self.answer(seen)
        finally:
            with self._lock:
                self._busy -= 1
        if callable(sent):
            sent(handler)
            return
        content = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
        _head(handler, status, headers, len(content))
        handler.wfile.write(content)

    @property
    def gaps(self) -> list[float]:
        """Seconds between the requests, in the order of their arrival."""
        times = sorted(seen.at for seen in self.seen)
        return [later - earlier for earlier, later in pairwise(times)]


def ok(body: Any, **headers: str) -> Answer:
    return 200, headers, body


def in_turn(*answers: Answer) -> Callable[[Seen], Answer]:
    """One answer after the other, the last one for ever."""
    left = list(answers)
    lock = threading.Lock()

    def answer(_seen: Seen) -> Answer:
        with lock:
            return left.pop(0) if len(left) > 1 else left[0]

    return answer


def reset(handler: BaseHTTPRequestHandler) -> None:
    """Breaks the connection without a word."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def reset_in_the_middle(handler: BaseHTTPRequestHandler) -> None:
    """Promises 1,000 bytes and breaks off after some."""
    _head(handler, 200, {}, 1000)
    handler.wfile.write(b'{"files": [')


def sending(beginning: bytes, filler: bytes = b"", pause: float = 0.01) -> Callable[[BaseHTTPRequestHandler], None]:
    """An answer that begins so and never ends: it falls silent, or goes on by a byte now and then."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        handler.wfile.write(beginning)
        while filler:
            time.sleep(pause)
            handler.wfile.write(filler)
        handler.connection.recv(1)

    return answer


def _head(handler: BaseHTTPRequestHandler, status: int, headers: Mapping[str, str], length: int) -> None:
    handler.send_response(status)
    for name, value in {"Content-Type": "application/json", "Content-Length": str(length), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that walks away is part of the story."""


@contextmanager
def scripted(answer: Callable[[Seen], Answer]) -> Iterator[Server]:
    server = Server(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.take(self)

        do_POST = do_GET  # noqa: N815 (a name that http.server looks for)

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    http = _Http(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


ACME = Dialect(
    "Acme",
    "acme.api_key",
    reason=lambda body: body.get("error") if isinstance(body, dict) else None,
    passes=lambda status, body: status == 400 and body == {"error": "passing"},
    final={410: "no longer serves this version; set acme.base_url"},
)


class Waiting(Client):
    """One whose requests are waited for."""

    def send(self, request: Request) -> Any:
        """The parsed body, or raises what came instead."""
        told: SimpleQueue[Any] = SimpleQueue()
        self.ask(request, told.put)
        outcome = told.get()
        if isinstance(outcome, Exception):
            self.go_on(request.lane)
            raise outcome
        return outcome


def acme(url: str, **options: Any) -> Waiting:
    """A client of an API that is called Acme, with a key and little patience."""
    options = {"headers": {"Authorization": f"Bearer {KEY}"}, "patience": QUICK, **options}
    return Waiting(ACME, url, **options)


@contextmanager
def asked(*answers: Answer, **options: Any) -> Iterator[tuple[Server, Waiting]]:
    """A server that gives these answers in turn, and a client of it."""
    with scripted(in_turn(*answers)) as server:
        client = acme(server.url, **options)
        try:
            yield server, client
        finally:
            client.close()


def side_by_side(send: Callable[[Request], Any], requests: Sequence[Request]) -> list[Any]:
    """What each of the requests gives, all sent at once by a thread each; an error stands for itself."""

    def outcome(request: Request) -> Any:
        try:
            return send(request)
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(outcome, requests))


def in_background(*calls: Callable[[], Any]) -> tuple[list[threading.Thread], list[Any]]:
    """Starts them; gives the threads and, as they end, what they gave or raised."""
    outcomes: list[Any] = []

    def run(call: Callable[[], Any]) -> None:
        try:
            outcomes.append(call())
        except Exception as error:
            outcomes.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    return threads, outcomes


def until(condition: Callable[[], Any], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.005)


class Office:
    """Gives out tokens token-1, token-2, ...; takes only the last one; answers in turn where it is told to."""

    def __init__(self, lifetime: float = 3600, *login_answers: Answer) -> None:
        self.lifetime = lifetime
        self.tokens = 0
        self.logins = 0
        self._scripted = in_turn(*login_answers) if login_answers else None
        self._lock = threading.Lock()

    def __call__(self, seen: Seen) -> Answer:
        with self._lock:
            if seen.path != "/login":
                good = seen.headers.get("Token") == f"token-{self.tokens}"
                return ok({}) if good else (401, {}, {"error": "token expired"})
            self.logins += 1
            if self._scripted:
                return self._scripted(seen)
            self.tokens += 1
            return ok({"token": f"token-{self.tokens}", "lives": self.lifetime})


LOGIN = Login(
    Request("POST", "/login", headers={"Client-Secret": "s3cr3t-0123456789"}),
    "Token",
    lambda body: (body["token"], body["lives"]),
)


class Log(logging.Logger):
    """Keeps what it is told, as it would be printed."""

    def __init__(self, level: int = logging.INFO) -> None:
        super().__init__("scripted", level)
        self.lines: list[str] = []
        handler = logging.Handler()
        handler.emit = lambda record: self.lines.append(record.getMessage())  # type: ignore[method-assign]
        self.addHandler(handler)


def play(script: Generator[Sequence[Request], Any, Any], *answers: Any) -> tuple[Any, list[list[Request]]]:
    """Plays the provider of a script: one answer, or one error to throw in, for each time that it asks.

    Gives what the script returned, and what it asked for each time.
    """
    asked_for: list[list[Request]] = []
    left = list(answers)
    try:
        asked_for.append(list(next(script)))
        while True:
            assert left, f"it asks once more: {asked_for[-1]}"
            answer = left.pop(0)
            requests = script.throw(answer) if isinstance(answer, Exception) else script.send(answer)
            asked_for.append(list(requests))
    except StopIteration as end:
        assert not left, f"it did not ask for {left}"
        return end.value, asked_for
