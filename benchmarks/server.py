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

from .answers import Answers, Sent
from .worlds import WORLDS

_END = b"\r\n\r\n"
_LONGEST_HEAD = 65_536


class Desk:
    """Answers requests after `latency` seconds each, however many there are at once, and counts them."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self.begin(0.0)

    def begin(self, latency: float) -> None:
        self.latency = latency
        self._requests: Counter[str] = Counter()
        self._refused = 0
        self._bytes = 0
        self._in_flight = self._most_in_flight = 0
        self._late: list[float] = []
        self._cpu = time.process_time()

    def take(self, head: bytes, body: bytes, arrived: float) -> Sent:
        sent = self._answers.to(head, body, arrived)
        self._requests[sent.endpoint] += 1
        self._refused += sent.status >= 400
        self._bytes += len(sent.response)
        self._in_flight += 1
        self._most_in_flight = max(self._most_in_flight, self._in_flight)
        return sent

    def gave(self, arrived: float, now: float) -> None:
        self._in_flight -= 1
        self._late.append(now - arrived - self.latency)

    def tally(self) -> dict[str, object]:
        """`late`: by how many seconds answers left later than they should, in the mean and at the worst."""
        late = self._late or [0.0]
        return {
            "requests": dict(self._requests),
            "refused": self._refused,
            "bytes": self._bytes,
            "most_in_flight": self._most_in_flight,
            "late": {"mean": sum(late) / len(late), "worst": max(late)},
            "server_cpu": time.process_time() - self._cpu,
        }


class Connection(asyncio.Protocol):
    """HTTP/1.1 as far as clients of these APIs speak it: one request after the other, bodies of a told length."""

    def __init__(self, desk: Desk, loop: asyncio.AbstractEventLoop) -> None:
        self._desk = desk
        self._loop = loop
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        arrived = time.monotonic()
        self._buffer += data
        while (end := self._buffer.find(_END)) >= 0:
            head = self._buffer[:end]
            start, length = end + len(_END), _content_length(head)
            if len(self._buffer) < start + length:
                return
            body, self._buffer = self._buffer[start : start + length], self._buffer[start + length :]
            self._take(head, body, arrived)
        if len(self._buffer) > _LONGEST_HEAD and self._transport:
            self._transport.abort()

    def _take(self, head: bytes, body: bytes, arrived: float) -> None:
        if head.startswith(b"GET /_bench/"):
            self._write(self._for_who_measures(head))
            return
        sent = self._desk.take(head, body, arrived)
        if self._desk.latency:
            # From the arrival on: the time that it took to find the answer is part of the latency.
            self._loop.call_at(arrived + self._desk.latency, self._give, sent, arrived)
        else:
            self._give(sent, arrived)

    def _give(self, sent: Sent, arrived: float) -> None:
        self._write(sent.response)
        self._desk.gave(arrived, time.monotonic())

    def _write(self, response: bytes) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.write(response)

    def _for_who_measures(self, head: bytes) -> bytes:
        url = urlsplit(head.split(b" ", 2)[1].decode())
        if url.path == "/_bench/begin":
            self._desk.begin(float(parse_qs(url.query)["latency"][0]))
        body = orjson.dumps(self._desk.tally())
        return b"HTTP/1.1 200 \r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def _content_length(head: bytes) -> int:
    place = head.lower().find(b"\r\ncontent-length:") if not head.startswith(b"GET ") else -1
    return int(head[place + 17 :].split(b"\r\n", 1)[0]) if place >= 0 else 0


async def serve(world: str, sizes: dict[str, float]) -> None:
    """Serves one world until the process is ended."""
    loop = asyncio.get_running_loop()
    sandbox, selections = WORLDS[world](**sizes)
    # What a world holds stays: looking through it again and again would make answers late.
    gc.freeze()
    desk = Desk(Answers(sandbox))
    server = await loop.create_server(lambda: Connection(desk, loop), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    base_urls = sandbox.base_urls(url)
    told = {
        "url": url,
        "selections": {
            name: {
                provider: {"base_url": base_urls[provider], **sandbox.credentials[provider], **section}
                for provider, section in sections.items()
            }
            for name, sections in selections.items()
        },
    }
    print(orjson.dumps(told).decode(), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    world, *given = sys.argv[1:]
    # Of all selectors this one wakes up at a part of a millisecond: epoll would let each answer leave up to 1 ms late.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    sizes = {name: orjson.loads(number) for name, _, number in (one.partition("=") for one in given)}
    loop.run_until_complete(serve(world, sizes))
