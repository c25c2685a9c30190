"""An HTTP server with prepared responses, and a driver of request flows."""

from __future__ import annotations

import json
import logging
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from queue import SimpleQueue
from typing import Any

from source_docextract.core.errors import ConnectorError
from source_docextract.core.model import Document, Snapshot
from source_docextract.core.provider import RequestFlow, RequestSeries
from source_docextract.core.requests import ErrorFormat, Login, Request
from source_docextract.http.client import Client
from source_docextract.http.network import Internet
from source_docextract.http.rate_limit import RetryPolicy

KEY = "key-0123456789abcdef"
QUICK = RetryPolicy(max_tries=3, first_wait=0.01, max_wait=0.02, max_retry_after=90)

StubResponse = tuple[int, Mapping[str, str], Any]
"""A status, headers and a body: bytes, a value to send as JSON, or a callable that writes the response."""


@dataclass(frozen=True)
class ReceivedRequest:
    """One request as it arrived; `received_at` is on the monotonic clock."""

    method: str
    path: str
    headers: Message[str, str]
    body: bytes
    received_at: float


@dataclass
class StubServer:
    """A server that answers by a function, and records the requests.

    Attributes:
        respond: returns the response to a request.
        url: its URL.
        received: the requests so far.
        max_concurrent: the largest number of requests that were handled at once.
    """

    respond: Callable[[ReceivedRequest], StubResponse]
    url: str = ""
    received: list[ReceivedRequest] = field(default_factory=list)
    max_concurrent: int = 0
    _concurrent: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        """Record a request, and send the response to it."""
        request_body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        request = ReceivedRequest(handler.command, handler.path, handler.headers, request_body, time.monotonic())
        with self._lock:
            self.received.append(request)
            self._concurrent += 1
            self.max_concurrent = max(self.max_concurrent, self._concurrent)
        try:
            status, headers, payload = self.respond(request)
        finally:
            with self._lock:
                self._concurrent -= 1
        if callable(payload):
            payload(handler)
            return
        content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        _send_head(handler, status, headers, len(content))
        if request.method != "HEAD":
            handler.wfile.write(content)

    @property
    def gaps(self) -> list[float]:
        """Return the seconds between the requests, in the order of their arrival."""
        times = sorted(request.received_at for request in self.received)
        return [later - earlier for earlier, later in pairwise(times)]


def ok_response(body: Any, **headers: str) -> StubResponse:
    """Return a response with the status 200."""
    return 200, headers, body


def respond_in_turn(*responses: StubResponse) -> Callable[[ReceivedRequest], StubResponse]:
    """Return a function that gives the responses in turn, the last one for ever."""
    remaining = list(responses)
    lock = threading.Lock()

    def respond(_request: ReceivedRequest) -> StubResponse:
        with lock:
            return remaining.pop(0) if len(remaining) > 1 else remaining[0]

    return respond


def reset_connection(handler: BaseHTTPRequestHandler) -> None:
    """Reset the connection without a response."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def reset_after_partial_body(handler: BaseHTTPRequestHandler) -> None:
    """Announce 1,000 bytes, and close the connection after some of them."""
    _send_head(handler, 200, {}, 1000)
    handler.wfile.write(b'{"files": [')


def send_endlessly(prefix: bytes, filler: bytes = b"", pause: float = 0.01) -> Callable[[BaseHTTPRequestHandler], None]:
    """Return a writer of a response that begins with `prefix` and never ends.

    It falls silent, or repeats `filler` with a pause of so many seconds.
    """

    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        handler.wfile.write(prefix)
        while filler:
            time.sleep(pause)
            handler.wfile.write(filler)
        handler.connection.recv(1)

    return respond


def _send_head(handler: BaseHTTPRequestHandler, status: int, headers: Mapping[str, str], length: int) -> None:
    handler.send_response(status)
    for name, value in {"Content-Type": "application/json", "Content-Length": str(length), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that close their connection: tests do so on purpose."""


@contextmanager
def serve_stub(respond: Callable[[ReceivedRequest], StubResponse]) -> Iterator[StubServer]:
    """Serve on loopback until the end of the block."""
    server = StubServer(respond)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.handle(self)

        do_POST = do_HEAD = do_GET  # noqa: N815 (names that http.server looks for)

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

    http_server = _HttpServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http_server.server_address[1]}"
    thread = threading.Thread(target=http_server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http_server.shutdown()
        http_server.server_close()
        thread.join()


ACME = ErrorFormat(
    "Acme",
    "acme.api_key",
    extract_reason=lambda body: body.get("error") if isinstance(body, dict) else None,
    is_retryable=lambda status, body: status == 400 and body == {"error": "passing"},
    final_messages={410: "no longer serves this version; set acme.base_url"},
)


class ClockedInternet(Internet):
    """The internet with a monotonic clock that the test moves.

    Only what is compared with the clock follows it: event loops sleep by the system's clock.
    """

    def __init__(self, read_clock: Callable[[], float]) -> None:
        self._read_clock = read_clock

    def monotonic(self) -> float:
        """Return the seconds of the test's clock."""
        return self._read_clock()


class BlockingClient(Client):
    """A client whose caller waits for each response."""

    def send(self, request: Request) -> Any:
        """Return the parsed body of the response, or raise the error."""
        outcomes: SimpleQueue[Any] = SimpleQueue()
        self.submit(request, outcomes.put)
        outcome = outcomes.get()
        if isinstance(outcome, Exception):
            self.release_lane(request.lane)
            raise outcome
        return outcome


def create_acme_client(url: str, **options: Any) -> BlockingClient:
    """Return a client of an API named Acme, with a key and short retries."""
    options = {"headers": {"Authorization": f"Bearer {KEY}"}, "retry_policy": QUICK, **options}
    return BlockingClient(ACME, url, **options)


@contextmanager
def serve_responses(*responses: StubResponse, **options: Any) -> Iterator[tuple[StubServer, BlockingClient]]:
    """Serve these responses in turn; yield the server and a client."""
    with serve_stub(respond_in_turn(*responses)) as server:
        client = create_acme_client(server.url, **options)
        try:
            yield server, client
        finally:
            client.close()


def run_concurrently(send: Callable[[Request], Any], requests: Sequence[Request]) -> list[Any]:
    """Send requests at once, each in a thread; return bodies or errors in order."""

    def get_outcome(request: Request) -> Any:
        try:
            return send(request)
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(get_outcome, requests))


def start_in_background(*calls: Callable[[], Any]) -> tuple[list[threading.Thread], list[Any]]:
    """Start calls in threads; return the threads and a growing list of outcomes.

    An outcome is a result or an exception.
    """
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


def wait_until(condition: Callable[[], Any], seconds: float = 600) -> None:
    """Wait for a condition; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.005)


class TokenServer:
    """A responder that issues the tokens token-1, token-2, ..., the last one valid.

    Args:
        lifetime: the seconds that it says a token lives.
        login_responses: responses to logins, in turn, instead of tokens.
    """

    def __init__(self, lifetime: float = 3600, *login_responses: StubResponse) -> None:
        self.lifetime = lifetime
        self.tokens = 0
        self.logins = 0
        self._respond_to_login = respond_in_turn(*login_responses) if login_responses else None
        self._lock = threading.Lock()

    def __call__(self, request: ReceivedRequest) -> StubResponse:
        with self._lock:
            if request.path != "/login":
                is_valid = request.headers.get("Token") == f"token-{self.tokens}"
                return ok_response({}) if is_valid else (401, {}, {"error": "token expired"})
            self.logins += 1
            if self._respond_to_login:
                return self._respond_to_login(request)
            self.tokens += 1
            return ok_response({"token": f"token-{self.tokens}", "lives": self.lifetime})


LOGIN = Login(
    Request("POST", "/login", headers={"Client-Secret": "s3cr3t-0123456789"}),
    "Token",
    lambda body: (body["token"], body["lives"]),
)


class RecordingLogger(logging.Logger):
    """A logger that keeps its lines."""

    def __init__(self, level: int = logging.INFO) -> None:
        super().__init__("scripted", level)
        self.lines: list[str] = []
        handler = logging.Handler()
        handler.emit = lambda record: self.lines.append(record.getMessage())  # type: ignore[method-assign]
        self.addHandler(handler)


def flatten_flow(flow: RequestFlow[Any]) -> Generator[Sequence[Request], Any, Any]:
    """Run a request flow as one without series and parts.

    A series becomes one step, whose responses are sent in together. The documents of the parts become those of the
    snapshot that the flow returns.
    """
    part_documents: list[Document] = []
    series: RequestSeries | None = None
    waiting: list[Any] = []
    response: Any = None
    try:
        step = next(flow)
        while True:
            if isinstance(step, Snapshot):
                assert step.is_partial
                part_documents += step.documents or ()
                step = flow.send([])
                continue
            try:
                if not isinstance(step, RequestSeries):
                    series, response = None, (yield step)
                elif step is series:
                    response = [waiting.pop(0)]
                else:
                    series, waiting = step, list((yield step.requests))
                    response = [waiting.pop(0)]
            except ConnectorError as error:
                step = flow.throw(error)
            else:
                step = flow.send(response)
    except StopIteration as stop:
        assert not waiting, f"it did not read {waiting}"
        return join_parts(part_documents, stop.value)


def join_parts(part_documents: Sequence[Document], result: Any) -> Any:
    """Return the result of a flow, with the documents of the parts that it handed over before."""
    if not (isinstance(result, Snapshot) and part_documents):
        return result
    assert result.earlier_counts == Counter(document.status for document in part_documents)
    return replace(result, documents=(*part_documents, *(result.documents or ())), earlier_counts={})


def play_flow(request_flow: RequestFlow[Any], *responses: Any) -> tuple[Any, list[list[Request]]]:
    """Run a request flow with prepared responses.

    Args:
        request_flow: the flow.
        responses: for each step, the responses to send in or an error to throw in. A series of requests is one step.

    Returns:
        The result of the flow with the documents of its parts, and its requests at each step.
    """
    flow = flatten_flow(request_flow)
    requests_by_step: list[list[Request]] = []
    remaining = list(responses)
    try:
        requests_by_step.append(list(next(flow)))
        while True:
            assert remaining, f"it asks once more: {requests_by_step[-1]}"
            response = remaining.pop(0)
            requests = flow.throw(response) if isinstance(response, Exception) else flow.send(response)
            requests_by_step.append(list(requests))
    except StopIteration as stop:
        assert not remaining, f"it did not ask for {remaining}"
        return stop.value, requests_by_step
