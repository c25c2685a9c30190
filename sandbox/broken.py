"""Answers that go wrong on the wire."""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import cache

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from .faults import Fault

_PAGE = "<!doctype html><html><title>Maintenance</title><body><h1>We will be back soon</h1></body></html>"
_BLOCKED = "<!doctype html><html><title>Blocked</title><body><h1>Your request was blocked</h1></body></html>"
_JSON = "application/json"
_PAGES = (401, 403)
_BOMB = 300  # MB
_ELSEWHERE = "https://elsewhere.example.invalid/"


def with_fault(request: Request, fault: Fault, response: Response, now: datetime) -> Response:
    """What is sent in place of a response; `now` on the sandbox's clock. Its status is 0 where there is none."""
    body, status = bytes(response.body), response.status_code
    elsewhere = {"Location": _ELSEWHERE + request.url.path.lstrip("/")}
    broken: dict[str, Callable[[], Response]] = {
        "status": lambda: _told(response, fault, now),
        "reset": lambda: _Broken(b"", 0),
        "reset in the middle": lambda: _Broken(body, status),
        "cut": lambda: Response(body[: len(body) // 2], media_type=_JSON),
        "html": lambda: Response(_PAGE, media_type="text/html"),
        "empty": lambda: Response(b"", media_type=_JSON),
        "firewall": lambda: Response(
            _BLOCKED, fault.status if fault.status in _PAGES else _PAGES[-1], media_type="text/html"
        ),
        "charset": lambda: _in_charset(body, status, fault.charset),
        # A refusal keeps its words: what is final, such as 413, would keep those of the fault for good.
        "bad byte": lambda: response if status >= 400 else Response(_with_bad_byte(body), status, media_type=_JSON),
        "endless": lambda: StreamingResponse(_without_end(body), status, media_type=_JSON),
        "bomb": lambda: Response(_packed(body) + _blanks(), status, {"Content-Encoding": "gzip"}, media_type=_JSON),
        "redirect": lambda: Response(b"", 302, elsewhere),
        "stall": lambda: _Late(response, fault.seconds),
        "trickle": lambda: StreamingResponse(_slowly(body, fault.seconds), status, media_type=_JSON),
    }
    return broken[fault.kind]() if fault.kind in broken else response


def _in_charset(body: bytes, status: int, charset: str) -> Response:
    def letter(one: str) -> str:
        try:
            one.encode(charset)
        except UnicodeEncodeError:
            return json.dumps(one)[1:-1]
        return one

    sent = "".join(map(letter, body.decode())).encode(charset)
    return Response(sent, status, {"Content-Type": f"{_JSON}; charset={charset}"})


def _with_bad_byte(body: bytes) -> bytes:
    end = body.rfind(b'"')
    return body[:end] + b"\xff" + body[end:] if end > 0 else b'["\xff"]'


async def _without_end(body: bytes) -> AsyncIterator[bytes]:
    yield body
    while True:
        await asyncio.sleep(0)
        yield b" " * 65_536


def _packed(content: bytes) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return packer.compress(content) + packer.flush()


@cache
def _blanks() -> bytes:
    """So many that they are too much. A gzip file may have several members, so what fills one fills thirty."""
    return _packed(b" " * 10_000_000) * (_BOMB // 10)


def _told(response: Response, fault: Fault, now: datetime) -> Response:
    headers = dict(fault.headers)
    if fault.retry_after is not None:
        when = format_datetime(now + timedelta(seconds=fault.retry_after), usegmt=True)
        headers["Retry-After"] = when if fault.as_date else str(fault.retry_after)
    response.headers.update(headers)
    return response


class _Broken(Response):
    """Half of a body, if there is one, and then the connection is gone."""

    def __init__(self, body: bytes, status: int) -> None:
        super().__init__(body, status, media_type=_JSON)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.body:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            half = bytes(self.body)[: len(self.body) // 2]
            await send({"type": "http.response.body", "body": half, "more_body": True})
        # ASGI has no word for this: the server's own object behind `receive` holds the connection.
        receive.__self__.transport.abort()  # type: ignore[attr-defined]


class _Late(Response):
    """Not a byte for so many seconds, and then all of it."""

    def __init__(self, response: Response, seconds: float) -> None:
        super().__init__(bytes(response.body), response.status_code, dict(response.headers))
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(self._seconds)
        await super().__call__(scope, receive, send)


async def _slowly(body: bytes, seconds: float) -> AsyncIterator[bytes]:
    """In a hundred bits at most: a large answer of single bytes would keep the sandbox busy with them."""
    size = -(-len(body) // 100) or 1
    for place in range(0, len(body), size):
        await asyncio.sleep(seconds * size / len(body))
        yield body[place : place + size]
