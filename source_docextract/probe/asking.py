"""Sends the few requests of a probe: one at a time, spaced, at most thirty a provider.

A probe looks at statuses and headers, which a sync's client keeps to itself, so it speaks to the same transport
directly. It retries a throttled request a few times and nothing else: a refusal is what it wants to see.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

import orjson

from ..answers import Again
from ..errors import ConfigError
from ..http import Request
from ..model import Json
from ..plain import hide
from ..wire import CannotBeSentError, Wire
from .shapes import described

MOST_REQUESTS = 30
"""Requests to one provider, retries included."""

SPACING = 1.0
"""Seconds between two requests to one provider, where its settings ask for no more."""

_TRIES = 3
_THROTTLED = 429
_LONGEST_ANSWER = 120.0  # seconds
_LONGEST_WAIT = 20.0  # seconds of a `Retry-After` that are worth waiting for


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, or that there was none.

    Attributes:
        status: the HTTP status, 0 where no answer came.
        headers: as they came; names are compared whatever letters they are written in.
        body: the parsed JSON, None where it is none.
        trouble: why no answer came, in words that hold no secret.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Json = None
    is_json: bool = False
    is_html: bool = False
    trouble: str = ""

    @property
    def is_ok(self) -> bool:
        return 200 <= self.status < 300 and self.is_json

    @property
    def is_about_the_request(self) -> bool:
        """Whether it says something of what was asked for, and not of the key, the rate or a trouble in between."""
        return 200 <= self.status < 500 and self.status not in {401, 407, 408, _THROTTLED}

    def outcome(self, documented: Iterable[str] = ()) -> str:
        """Return the status and the shape of the answer, in words. Keys that are `documented` are shown."""
        if not self.status:
            return self.trouble
        if self.is_json:
            return f"status {self.status} with {described(self.body, documented)}"
        return f"status {self.status} with {'a page of HTML' if self.is_html else 'text'}"


NO_ANSWER = Answer(0, trouble="the limit of requests was reached")
"""What a probe is sent for a request that was not made, since the limit was reached."""

ProbeScript = Generator[Request, Answer, None]
"""Yields one request at a time and is sent its answer. It never fails: what cannot be had is not seen."""


class Asker:
    """Runs the probe of one provider.

    Args:
        headers: sent with each request; they carry the key.
        spacing: seconds between two requests.
        progress: called before each request, with its number.
        sleep: waits; injected by tests.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        spacing: float = SPACING,
        progress: Callable[[int], None] = lambda _number: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.requests = 0
        self.answers = 0
        """Answers that say something of what was asked for."""
        self.waits = 0
        """Requests that were throttled, and answered after a wait."""
        self.headers_seen: dict[str, None] = {}
        """Names of headers that speak of limits, in small letters."""
        self._base_url = base_url
        self._headers = dict(headers)
        self._spacing = spacing
        self._progress = progress
        self._sleep = sleep
        self._wire = Wire(base_url, _LONGEST_ANSWER, tells=False)

    async def run(self, script: ProbeScript) -> None:
        """Run a probe to its end.

        Raises:
            ConfigError: where nothing can be sent to the address at all.
        """
        try:
            request = next(script)
            while True:
                request = script.send(await self._ask(request))
        except StopIteration:
            return
        finally:
            await self._wire.close()

    async def _ask(self, request: Request) -> Answer:
        answer = NO_ANSWER
        for attempt in range(1, _TRIES + 1):
            if self.requests >= MOST_REQUESTS:
                return answer
            if self.requests:
                await self._sleep(self._spacing)
            answer = await self._exchange(request)
            if answer.status != _THROTTLED:
                self.waits += attempt > 1  # it passed, so it was the rate and no quota
                return answer
            if attempt < _TRIES:
                await self._sleep(_wait_of(answer))
        return answer

    async def _exchange(self, request: Request) -> Answer:
        self.requests += 1
        self._progress(self.requests)
        query = f"?{urlencode(request.params)}" if request.params else ""
        url = f"{self._base_url}{request.path}{query}"
        hide(*request.headers.values())  # those of one request carry a login or its token
        headers = {**self._headers, **request.headers}
        try:
            reply = await self._wire.exchange(request.method, url, headers, request.json, lambda: None)
        except Again as trouble:
            return Answer(0, trouble=str(trouble))
        except CannotBeSentError as error:
            raise ConfigError(
                f"No request can be sent to this address ({error}). Check base_url and the key."
            ) from None
        for name in reply.headers:
            if "ratelimit" in name.lower().replace("-", "") or name.lower() == "retry-after":
                self.headers_seen[name.lower()] = None
        answer = _answer(reply.status, reply.headers, reply.content)
        self.answers += answer.is_about_the_request and answer.status != 403
        return answer


def _answer(status: int, headers: Mapping[str, str], content: bytes) -> Answer:
    is_html = content.lstrip()[:1] == b"<"
    try:
        return Answer(status, headers, orjson.loads(content), is_json=True)
    except orjson.JSONDecodeError:
        return Answer(status, headers, is_html=is_html)


def _wait_of(answer: Answer) -> float:
    text = answer.headers.get("Retry-After", "")
    return min(float(text), _LONGEST_WAIT) if text.isdecimal() else 2.0
