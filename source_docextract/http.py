"""Requests to one provider: spaced, retried, logged in.

When to try again is decided here: a throttled endpoint holds up all requests to it, not only the one that was told so,
and a wait that is longer than a sync is worth is left for the next one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from urllib.parse import urlencode

from .answers import Again, Dialect, Judge, refused_by_proxy
from .background import Background
from .errors import BadAnswer, BadLogin, ConfigError, CredentialsError, TransientError
from .login import LONGEST_TOKEN, Tokens
from .model import Json
from .pacing import Lane, Patience
from .plain import hide, plain
from .wire import CannotBeSentError, RefusedByProxyError, TooLargeError, Wire

_RENEWALS = 2
"""Tokens that may expire under one request, before it is the request that is refused."""

_TOLD = 20
"""Waits that are told of in one sync; a provider that is in trouble all day must not bury the log."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request, relative to the provider's base url. Requests of one `lane` share its spacing."""

    method: str
    path: str
    params: Mapping[str, str | int] = field(default_factory=dict)
    json: Mapping[str, Json] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    lane: str = ""


@dataclass(frozen=True, slots=True)
class Login:
    """How to trade credentials for a token: `read` gives (token, seconds it lives) out of the answer's body."""

    request: Request
    header: str
    read: Callable[[Json], tuple[str, float]]


@dataclass(slots=True)
class Tally:
    """What a client has done so far. Seconds waited: for spacing, for `Retry-After` and between tries."""

    requests: int = 0
    retries: int = 0
    waited: float = 0.0


class Client:
    """Sends requests to one provider. May be used by all threads; what it does, it does in one of its own.

    Args:
        spacing: seconds between requests, by lane; a lane that is not named has none.
        now: the wall clock, for `Retry-After` dates.

    Raises:
        ConfigError: where the certificates to trust cannot be read, or the proxy is of another kind.
    """

    def __init__(
        self,
        dialect: Dialect,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        login: Login | None = None,
        spacing: Mapping[str, float] | None = None,
        max_in_flight: int = 10,
        patience: Patience | None = None,
        now: Callable[[], datetime] | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        self.dialect = dialect
        self.tally = Tally()
        self.max_in_flight = max_in_flight
        self._base_url = base_url
        self._headers = dict(headers or {})
        self._spacing = dict(spacing or {})
        self._lanes: dict[str, Lane] = {}
        self._slots = asyncio.Semaphore(max_in_flight)
        self._patience = patience or Patience()
        self._logger = logger or logging.getLogger("airbyte")
        hide(*(value.removeprefix("Bearer ") for value in self._headers.values()))
        self._send: Callable[[Request], Awaitable[Json]] = self._send_once
        self._tokens: Tokens | None = None
        if login:
            hide(*login.request.headers.values())
            self._tokens = Tokens(partial(self._log_in, login), dialect.credentials)
            self._send = partial(self._send_logged_in, login.header, self._tokens)
        clock = now or (lambda: datetime.now(timezone.utc))
        self._judge = Judge(dialect, self._patience.longest_asked, clock)
        self._told = 0
        self._wire = Wire(base_url, self._patience.longest_answer, tells=any(self._spacing.values()))
        self._background = Background(dialect.name, at_end=self._wire.close)

    def ask(self, request: Request, tell: Callable[[Json | Exception], None]) -> None:
        """Sends a request when its turn has come. `tell` is called in another thread, with the parsed body of a 2xx
        answer or with an error: ConfigError, TransientError, BadAnswer or Refused, as their names say, with passing
        troubles already retried; Stopped where the client was closed before.

        After an error its place in the lane stays taken until `go_on` is called: what waits for that is not sent before
        it is decided whether more is to be sent at all.
        """
        self._background.do(partial(self._in_turn, request), tell)

    def go_on(self, lane: str) -> None:
        """What has failed was heard of, and more is to be sent nevertheless."""

        async def free() -> None:
            self._lane(lane).places.release()

        self._background.do(free, lambda _: None)

    def log_in(self) -> None:
        """Proves the credentials, where the provider has a login."""
        if self._tokens:
            self._background.result_of(self._tokens.current)

    def close(self) -> None:
        """Ends every wait at once, also for an answer, and lets no further request out."""
        self._background.close()

    async def _in_turn(self, request: Request) -> Json:
        """No more of a lane at once than can be on their way: who asks for a token does so just before it is used."""
        places = self._lane(request.lane).places
        await places.acquire()
        body = await self._with_retries(request, self._send)
        places.release()
        return body

    async def _with_retries(self, request: Request, once: Callable[[Request], Awaitable[Json]]) -> Json:
        tries, waited = 1, 0.0
        while True:
            try:
                return await once(request)
            except Again as trouble:
                wait = max(trouble.asked or 0.0, self._patience.wait(tries))
                if tries >= self._patience.tries or waited + wait > self._patience.longest_asked:
                    words = f"{self.dialect.name} {trouble}, {tries} times in a row. {trouble.advice}".rstrip()
                    raise TransientError(words, trouble.status, trouble.body) from None
                tries, waited = tries + 1, waited + wait
                self._tell(request, trouble, wait, tries)
            await self._sleep(wait)

    def _tell(self, request: Request, trouble: Again, wait: float, upcoming: int) -> None:
        """One log line a wait, however many requests share it. A throttled lane is held for all its requests."""
        lane = self._lane(request.lane)
        if trouble.throttled:
            lane.hold(wait)
        self.tally.retries += 1
        if not lane.is_news(wait):
            return
        self._told += 1
        if self._told <= _TOLD:
            tries = f"try {upcoming} of {self._patience.tries}"
            last = " Further waits are only counted." if self._told == _TOLD else ""
            self._logger.info("%s %s; waiting %.1f s before %s.%s", self.dialect.name, trouble, wait, tries, last)

    async def _sleep(self, seconds: float) -> None:
        began = time.monotonic()
        try:
            await asyncio.sleep(seconds)
        finally:
            self.tally.waited += time.monotonic() - began

    def _lane(self, name: str) -> Lane:
        if name not in self._lanes:
            self._lanes[name] = Lane(self._spacing.get(name, 0.0), self.max_in_flight)
        return self._lanes[name]

    async def _send_logged_in(self, header: str, tokens: Tokens, request: Request) -> Json:
        """With a token; one that is refused is renewed once, by one request for all."""
        token, renewed = await tokens.current(), 0
        while True:
            try:
                body = await self._send_once(request, {header: token.value})
            except CredentialsError as refusal:
                renewed += 1
                if renewed > _RENEWALS:
                    raise
                token = await tokens.instead_of(token, refusal)
            else:
                tokens.proven()
                return body

    async def _log_in(self, login: Login) -> tuple[str, float]:
        try:
            value, lifetime = login.read(await self._with_retries(login.request, self._send_once))
        except BadAnswer as error:
            raise BadLogin(str(error)) from None
        if len(value) > LONGEST_TOKEN:
            raise BadLogin(
                f"{self.dialect.name} gave a token of {len(value):,} characters, which no header can hold. Check "
                f"base_url; if it is right, report this to {self.dialect.name}."
            )
        hide(value)
        return value, lifetime

    async def _send_once(self, request: Request, extra_headers: Mapping[str, str] | None = None) -> Json:
        lane = self._lane(request.lane)
        waited = await lane.enter(self._slots)
        self.tally.waited += waited
        began = time.monotonic()
        try:
            self.tally.requests += 1
            query = f"?{urlencode(request.params)}" if request.params else ""
            headers = {**self._headers, **request.headers, **(extra_headers or {})}
            url = f"{self._base_url}{request.path}{query}"
            reply = await self._wire.exchange(request.method, url, headers, request.json, lane.left)
        except CannotBeSentError as error:
            words = f"A request to {self.dialect.name} cannot be sent ({error})."
            raise ConfigError(f"{words} Check its base_url and keys.") from None
        except RefusedByProxyError as refusal:
            raise refused_by_proxy(self.dialect.name, refusal.status, refusal.setting) from None
        except TooLargeError as error:
            raise self._judge.too_large(error.largest) from None
        finally:
            self._slots.release()
        if self._logger.isEnabledFor(logging.DEBUG):
            self._logger.debug(
                "%s %s %s: %d in %.0f ms", self.dialect.name, request.method, plain(request.path),
                reply.status, (time.monotonic() - began) * 1000,
            )  # fmt: skip
        return self._judge.body(reply)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}
