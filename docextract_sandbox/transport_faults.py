"""Faults that act on the status, headers or bytes of a response."""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import cache

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from .faults import Fault

_MAINTENANCE_PAGE = "<!doctype html><html><title>Maintenance</title><body><h1>We will be back soon</h1></body></html>"
_BLOCKED_PAGE = "<!doctype html><html><title>Blocked</title><body><h1>Your request was blocked</h1></body></html>"
_JSON_TYPE = "application/json"
_FIREWALL_STATUSES = (401, 403)
_BOMB_MEGABYTES = 300  # MB
_REDIRECT_BASE_URL = "https://elsewhere.example.invalid/"


def apply_transport_fault(path: str, fault: Fault, response: Response, now: datetime) -> Response:
    """Return the response that is sent in place of a good one.

    Its status is 0 where nothing is sent.

    Args:
        path: The path of the request, which a redirect keeps.
        fault: The fault to apply; a payload fault leaves the response unchanged.
        response: The good response.
        now: The sandbox's time, for dates in headers.
    """
    body, status = bytes(response.body), response.status_code
    firewall_status = fault.status if fault.status in _FIREWALL_STATUSES else _FIREWALL_STATUSES[-1]
    redirect_headers = {"Location": _REDIRECT_BASE_URL + path.lstrip("/")}
    faulty_responses: dict[str, Callable[[], Response]] = {
        "status": lambda: _add_fault_headers(response, fault, now),
        "reset": lambda: AbortedResponse(b"", 0),
        "reset in the middle": lambda: AbortedResponse(body, status),
        "cut": lambda: Response(body[: len(body) // 2], media_type=_JSON_TYPE),
        "html": lambda: Response(_MAINTENANCE_PAGE, media_type="text/html"),
        "empty": lambda: Response(b"", media_type=_JSON_TYPE),
        # An HTML page with 401 or 403 comes from a firewall: the connector must retry, and not blame the key.
        "firewall": lambda: Response(_BLOCKED_PAGE, firewall_status, media_type="text/html"),
        "charset": lambda: _encode_in_charset(body, status, fault.charset),
        # An error response stays readable: the connector may record its text for good, as for the final status 413.
        "bad byte": lambda: (
            response if status >= 400 else Response(_insert_bad_byte(body), status, media_type=_JSON_TYPE)
        ),
        # Both would fill the connector's memory if it did not limit the size of a response.
        "endless": lambda: StreamingResponse(_stream_endlessly(body), status, media_type=_JSON_TYPE),
        "bomb": lambda: Response(
            _compress(body) + _build_bomb(), status, {"Content-Encoding": "gzip"}, media_type=_JSON_TYPE
        ),
        "redirect": lambda: Response(b"", 302, redirect_headers),
        "stall": lambda: DelayedResponse(response, fault.seconds),
        "trickle": lambda: StreamingResponse(_stream_slowly(body, fault.seconds), status, media_type=_JSON_TYPE),
    }
    return faulty_responses[fault.kind]() if fault.kind in faulty_responses else response


def _encode_in_charset(body: bytes, status: int, charset: str) -> Response:
    def encode_letter(letter: str) -> str:
        try:
            letter.encode(charset)
        except UnicodeEncodeError:
            # A character outside the charset becomes a JSON escape, so that the text stays the same.
            return json.dumps(letter)[1:-1]
        return letter

    content = "".join(map(encode_letter, body.decode())).encode(charset)
    return Response(content, status, {"Content-Type": f"{_JSON_TYPE}; charset={charset}"})


def _insert_bad_byte(body: bytes) -> bytes:
    quote_index = body.rfind(b'"')
    return body[:quote_index] + b"\xff" + body[quote_index:] if quote_index > 0 else b'["\xff"]'


async def _stream_endlessly(body: bytes) -> AsyncIterator[bytes]:
    yield body
    while True:
        await asyncio.sleep(0)
        yield b" " * 65_536


def _compress(content: bytes) -> bytes:
    compressor = zlib.compressobj(9, wbits=31)
    return compressor.compress(content) + compressor.flush()


@cache
def _build_bomb() -> bytes:
    """Return gzip bytes that unpack to 300 MB of blanks.

    A gzip file may have several members, so one compressed member is repeated thirty times.
    """
    return _compress(b" " * 10_000_000) * (_BOMB_MEGABYTES // 10)


def _add_fault_headers(response: Response, fault: Fault, now: datetime) -> Response:
    headers = dict(fault.headers)
    if fault.retry_after is not None:
        retry_at = format_datetime(now + timedelta(seconds=fault.retry_after), usegmt=True)
        headers["Retry-After"] = retry_at if fault.as_date else str(fault.retry_after)
    response.headers.update(headers)
    return response


class AbortedResponse(Response):
    """A response that breaks the connection after half of its body."""

    def __init__(self, body: bytes, status: int) -> None:
        """Take the whole body, empty to break the connection before the response."""
        super().__init__(body, status, media_type=_JSON_TYPE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send half of the body, and abort the connection."""
        if self.body:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            half = bytes(self.body)[: len(self.body) // 2]
            await send({"type": "http.response.body", "body": half, "more_body": True})
        # ASGI has no message that breaks a connection: the server's object behind `receive` holds the transport.
        receive.__self__.transport.abort()  # type: ignore[attr-defined]


class DelayedResponse(Response):
    """A response that sends nothing for some seconds, and then everything."""

    def __init__(self, response: Response, seconds: float) -> None:
        """Take the response and its delay."""
        super().__init__(bytes(response.body), response.status_code, dict(response.headers))
        self.delay_seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait, and send the response."""
        await asyncio.sleep(self.delay_seconds)
        await super().__call__(scope, receive, send)


async def _stream_slowly(body: bytes, seconds: float) -> AsyncIterator[bytes]:
    """Yield a body in at most a hundred chunks, over some seconds."""
    chunk_size = -(-len(body) // 100) or 1
    for offset in range(0, len(body), chunk_size):
        await asyncio.sleep(seconds * chunk_size / len(body))
        yield body[offset : offset + chunk_size]
