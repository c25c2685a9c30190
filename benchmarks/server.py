"""A fast server of the sandbox's APIs, in a process of its own: `python -m benchmarks.server WORLD [SIZE=NUMBER ...]`.

It prints one line of JSON when it is ready: its address, and the settings with which the world is read. Two more paths
are for who measures: `/_bench/begin?latency=SECONDS` starts the counting anew, `/_bench/tally` tells the counts.
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

from .answers import EncodedResponse, ResponseCache
from .worlds import WORLDS

_HEADER_END = b"\r\n\r\n"
_MAX_HEADER_BYTES = 65_536


class MeasuredHandler:
    """Answers requests after `latency` seconds each, however many there are at once, and counts them."""

    def __init__(self, response_cache: ResponseCache) -> None:
        self._response_cache = response_cache
        self.reset(0.0)

    def reset(self, latency: float) -> None:
        self.latency = latency
        self._requests: Counter[str] = Counter()
        self._refused_count = 0
        self._byte_count = 0
        self._in_flight = self._max_in_flight = 0
        self._delays: list[float] = []
        self._started_cpu = time.process_time()

    def handle_request(self, head: bytes, body: bytes, arrived_at: float) -> EncodedResponse:
        response = self._response_cache.respond(head, body, arrived_at)
        self._requests[response.endpoint_name] += 1
        self._refused_count += response.status >= 400
        self._byte_count += len(response.content)
        self._in_flight += 1
        self._max_in_flight = max(self._max_in_flight, self._in_flight)
        return response

    def record_sent(self, arrived_at: float, sent_at: float) -> None:
        self._in_flight -= 1
        self._delays.append(sent_at - arrived_at - self.latency)

    def get_counts(self) -> dict[str, object]:
        """`late`: by how many seconds answers left later than they should, in the mean and at the worst."""
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
    """HTTP/1.1 as far as clients of these APIs speak it: one request after the other, bodies of a told length."""

    def __init__(self, handler: MeasuredHandler, loop: asyncio.AbstractEventLoop) -> None:
        self._handler = handler
        self._loop = loop
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
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
            # From the arrival on: the time that it took to find the answer is part of the latency.
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
    """Serves one world until the process is ended."""
    loop = asyncio.get_running_loop()
    sandbox, selections = WORLDS[world](**sizes)
    # What a world holds stays: looking through it again and again would make answers late.
    gc.freeze()
    handler = MeasuredHandler(ResponseCache(sandbox))
    server = await loop.create_server(lambda: Connection(handler, loop), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    base_urls = sandbox.get_base_urls(url)
    ready_message = {
        "url": url,
        "selections": {
            name: {
                provider: {"base_url": base_urls[provider], **sandbox.credentials[provider], **section}
                for provider, section in sections.items()
            }
            for name, sections in selections.items()
        },
    }
    print(orjson.dumps(ready_message).decode(), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    world, *size_arguments = sys.argv[1:]
    # Of all selectors this one wakes up at a part of a millisecond: epoll would let each answer leave up to 1 ms late.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    sizes = {
        name: orjson.loads(number)
        for name, _, number in (size_argument.partition("=") for size_argument in size_arguments)
    }
    loop.run_until_complete(serve(world, sizes))
