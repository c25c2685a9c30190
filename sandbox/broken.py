"""Answers that go wrong on the wire."""

import asyncio
from collections.abc import AsyncIterator, Callable

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from .faults import Fault

_PAGE = "<!doctype html><html><title>Maintenance</title><body><h1>We will be back soon</h1></body></html>"
_JSON = "application/json"
_ELSEWHERE = "https://elsewhere.example.invalid/"


def with_fault(request: Request, fault: Fault, response: Response) -> Response:
    """What is sent in place of a response."""
    body, status = bytes(response.body), response.status_code
    elsewhere = {"Location": _ELSEWHERE + request.url.path.lstrip("/")}
    broken: dict[str, Callable[[], Response]] = {
        "status": lambda: Response(body, status, {**dict(response.headers), **fault.headers}),
        "reset": lambda: _Broken(b""),
        "reset in the middle": lambda: _Broken(body),
        "cut": lambda: Response(body[: len(body) // 2], media_type=_JSON),
        "html": lambda: Response(_PAGE, media_type="text/html"),
        "empty": lambda: Response(b"", media_type=_JSON),
        "redirect": lambda: Response(b"", 302, elsewhere),
        "stall": lambda: StreamingResponse(_late(body, fault.seconds), status, media_type=_JSON),
        "trickle": lambda: StreamingResponse(_slowly(body, fault.seconds), status, media_type=_JSON),
    }
    return broken[fault.kind]() if fault.kind in broken else response


class _Broken(Response):
    """Half of a body, if there is one, and then the connection is gone."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body, media_type="application/json")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.body:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            half = bytes(self.body)[: len(self.body) // 2]
            await send({"type": "http.response.body", "body": half, "more_body": True})
        # ASGI has no word for this: the server's own object behind `receive` holds the connection.
        receive.__self__.transport.abort()  # type: ignore[attr-defined]


async def _late(body: bytes, seconds: float) -> AsyncIterator[bytes]:
    await asyncio.sleep(seconds)
    yield body


async def _slowly(body: bytes, seconds: float) -> AsyncIterator[bytes]:
    for place in range(len(body)):
        await asyncio.sleep(seconds / len(body))
        yield body[place : place + 1]
