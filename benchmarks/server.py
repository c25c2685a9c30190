"""Fast server of a sandbox: `python -m benchmarks.server WORLD [SIZE=NUMBER ...]`.

When it is ready, it prints one line of JSON: its address, and the settings that read the world. Two more paths control
the measurement: `/_bench/begin?latency=SECONDS` resets the counts, `/_bench/tally` returns them.
"""

from __future__ import annotations

import asyncio
import gc
import selectors
import sys
import time
from collections import Counter
from urllib.parse import parse_qs, urlsplit

import orjson

from docextract_sandbox.context import JsonObject

from .answers import EncodedResponse, ResponseCache
from .worlds import WORLDS

_HEADER_END = b"\r\n\r\n"
_MAX_HEADER_BYTES = 65_536


class MeasuredHandler:
    """A handler that counts requests and their bytes.

    Attributes:
        latency: Seconds that each response is delayed, also in parallel.
    """

    def __init__(self, response_cache: ResponseCache) -> None:
        """Respond from the cache, without latency."""
        self._response_cache = response_cache
        self.reset(0.0)

    def reset(self, latency: float) -> None:
        """Reset the counts and set the latency."""
        self.latency = latency
        self._requests: Counter[str] = Counter()
        self._refused_count = 0
        self._byte_count = 0
        self._in_flight = self._max_in_flight = 0
        self._delays: list[float] = []
        self._started_cpu = time.process_time()

    def handle_request(self, head: bytes, body: bytes, arrived_at: float) -> EncodedResponse:
        """Count a request and return its response."""
        response = self._response_cache.respond(head, body, arrived_at)
        self._requests[response.endpoint_name] += 1
        self._refused_count += response.status >= 400
        self._byte_count += len(response.content)
        self._in_flight += 1
        self._max_in_flight = max(self._max_in_flight, self._in_flight)
        return response

    def record_sent(self, arrived_at: float, sent_at: float) -> None:
        """Record by how much a response was later than its latency."""
        self._in_flight -= 1
        self._delays.append(sent_at - arrived_at - self.latency)

    def get_counts(self) -> dict[str, object]:
        """Return the counts since the reset.

        `late` holds the seconds by which responses were later than their latency, their mean and the worst.
        """
        delays = self._delays or [0.0]
        return {
            "requests": dict(self._requests),
            "refused": self._refused_count,
            "bytes": self._byte_count,
            "most_in_flight": self._max_in_flight,
            "late": {"mean": sum(delays) / len(delays), "worst": max(delays)},
            "server_cpu": time.process_time() - self._started_cpu,
        }


class Connection(asyncio.Protocol):
    """The subset of HTTP/1.1 that clients of these APIs use."""

    def __init__(self, handler: MeasuredHandler, loop: asyncio.AbstractEventLoop) -> None:
        """Serve one connection."""
        self._handler = handler
        self._loop = loop
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Handle each complete request in the buffer."""
        arrived_at = time.monotonic()
        self._buffer += data
        while (end := self._buffer.find(_HEADER_END)) >= 0:
            head = self._buffer[:end]
            start, length = end + len(_HEADER_END), _parse_content_length(head)
            if len(self._buffer) < start + length:
                return
            body, self._buffer = self._buffer[start : start + length], self._buffer[start + length :]
            self._handle_request(head, body, arrived_at)
        if len(self._buffer) > _MAX_HEADER_BYTES and self._transport:
            self._transport.abort()

    def _handle_request(self, head: bytes, body: bytes, arrived_at: float) -> None:
        if head.startswith(b"GET /_bench/"):
            self._write(self._handle_control_request(head))
            return
        response = self._handler.handle_request(head, body, arrived_at)
        if self._handler.latency:
            # Count from the arrival: the time to build the response is part of the latency.
            self._loop.call_at(arrived_at + self._handler.latency, self._send_response, response, arrived_at)
        else:
            self._send_response(response, arrived_at)

    def _send_response(self, response: EncodedResponse, arrived_at: float) -> None:
        self._write(response.content)
        self._handler.record_sent(arrived_at, time.monotonic())

    def _write(self, response: bytes) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.write(response)

    def _handle_control_request(self, head: bytes) -> bytes:
        url = urlsplit(head.split(b" ", 2)[1].decode())
        if url.path == "/_bench/begin":
            self._handler.reset(float(parse_qs(url.query)["latency"][0]))
        body = orjson.dumps(self._handler.get_counts())
        return b"HTTP/1.1 200 \r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def _parse_content_length(head: bytes) -> int:
    header_index = head.lower().find(b"\r\ncontent-length:") if not head.startswith(b"GET ") else -1
    return int(head[header_index + 17 :].split(b"\r\n", 1)[0]) if header_index >= 0 else 0


async def serve(world: str, sizes: dict[str, float]) -> None:
    """Serve one world until the process is killed."""
    loop = asyncio.get_running_loop()
    sandbox, selections = WORLDS[world](**sizes)
    # The world lives as long as the process: garbage collections over it would delay responses.
    gc.freeze()
    handler = MeasuredHandler(ResponseCache(sandbox))
    server = await loop.create_server(lambda: Connection(handler, loop), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    base_urls = sandbox.get_base_urls(url)
    full_selections: dict[str, dict[str, JsonObject]] = {}
    for name, sections in selections.items():
        full_selections[name] = {
            provider: {"base_url": base_urls[provider], **sandbox.credentials[provider], **section}
            for provider, section in sections.items()
        }
    print(orjson.dumps({"url": url, "selections": full_selections}).decode(), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    world, *size_arguments = sys.argv[1:]
    # `select` has timeouts below a millisecond; with epoll each response would be up to 1 ms late.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    sizes: dict[str, float] = {}
    for size_argument in size_arguments:
        name, _, number = size_argument.partition("=")
        sizes[name] = orjson.loads(number)
    loop.run_until_complete(serve(world, sizes))
