"""Requests to one provider: spaced, retried, logged in.

When to try again is decided here: a throttled endpoint holds up all requests to it, not only the one that was told so,
and a wait that is longer than a sync is worth is left for the next one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from urllib.parse import urlencode

from ..core.errors import (
    ConfigError,
    CredentialsError,
    TransientError,
    UnreadableLogin,
    UnreadableResponse,
    build_proxy_error,
)
from ..core.json_types import Json
from ..core.redaction import register_secrets, sanitize
from ..core.requests import MAX_TOKEN_LENGTH, ErrorFormat, Login, Request
from .auth import TokenProvider
from .event_loop import EventLoopThread
from .rate_limit import RateLimiter, RetryPolicy
from .responses import ResponseClassifier, RetryableError
from .transport import InvalidRequestError, ProxyRefusedError, ResponseTooLargeError, Transport

_MAX_TOKEN_RENEWALS = 2
"""Tokens that may expire under one request, before it is the request that is refused."""

_MAX_LOGGED_WAITS = 20
"""Waits that are told of in one sync; a provider that is in trouble all day must not bury the log."""


@dataclass(slots=True)
class RequestStats:
    """What a client has done so far. Seconds waited: for spacing, for `Retry-After` and between tries."""

    requests: int = 0
    retries: int = 0
    waited_seconds: float = 0.0


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
        error_format: ErrorFormat,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        login: Login | None = None,
        spacing: Mapping[str, float] | None = None,
        max_in_flight: int = 10,
        retry_policy: RetryPolicy | None = None,
        now: Callable[[], datetime] | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        self.error_format = error_format
        self.stats = RequestStats()
        self.max_in_flight = max_in_flight
        self._base_url = base_url
        self._headers = dict(headers or {})
        self._spacing = dict(spacing or {})
        self._limiters: dict[str, RateLimiter] = {}
        self._in_flight_slots = asyncio.Semaphore(max_in_flight)
        self._retry_policy = retry_policy or RetryPolicy()
        self._logger = logger or logging.getLogger("airbyte")
        register_secrets(*(value.removeprefix("Bearer ") for value in self._headers.values()))
        self._send: Callable[[Request], Awaitable[Json]] = self._send_once
        self._token_provider: TokenProvider | None = None
        if login:
            register_secrets(*login.request.headers.values())
            self._token_provider = TokenProvider(partial(self._log_in, login), error_format.credential_settings)
            self._send = partial(self._send_with_token, login.header_name, self._token_provider)
        wall_clock = now or (lambda: datetime.now(timezone.utc))
        self._classifier = ResponseClassifier(error_format, self._retry_policy.max_retry_after, wall_clock)
        self._logged_waits = 0
        self._transport = Transport(
            base_url, self._retry_policy.max_response_seconds, has_sent_callback=any(self._spacing.values())
        )
        self._event_loop = EventLoopThread(error_format.provider_name, on_close=self._transport.close)

    def submit(self, request: Request, on_done: Callable[[Json | Exception], None]) -> None:
        """Sends a request when its turn has come. `tell` is called in another thread, with the parsed body of a 2xx
        answer or with an error: ConfigError, TransientError, BadAnswer or Refused, as their names say, with passing
        troubles already retried; Stopped where the client was closed before.

        After an error its place in the lane stays taken until `go_on` is called: what waits for that is not sent before
        it is decided whether more is to be sent at all.
        """
        self._event_loop.submit(partial(self._send_in_lane, request), on_done)

    def release_lane(self, lane: str) -> None:
        """What has failed was heard of, and more is to be sent nevertheless."""

        async def release_slot() -> None:
            self._get_limiter(lane).pending_slots.release()

        self._event_loop.submit(release_slot, lambda _: None)

    def log_in(self) -> None:
        """Proves the credentials, where the provider has a login."""
        if self._token_provider:
            self._event_loop.run(self._token_provider.get_token)

    def close(self) -> None:
        """Ends every wait at once, also for an answer, and lets no further request out."""
        self._event_loop.close()

    async def _send_in_lane(self, request: Request) -> Json:
        """No more of a lane at once than can be on their way: who asks for a token does so just before it is used."""
        pending_slots = self._get_limiter(request.lane).pending_slots
        await pending_slots.acquire()
        body = await self._send_with_retries(request, self._send)
        pending_slots.release()
        return body

    async def _send_with_retries(self, request: Request, send: Callable[[Request], Awaitable[Json]]) -> Json:
        try_count, total_delay = 1, 0.0
        while True:
            try:
                return await send(request)
            except RetryableError as error:
                delay = max(error.retry_after or 0.0, self._retry_policy.compute_wait(try_count))
                if (
                    try_count >= self._retry_policy.max_tries
                    or total_delay + delay > self._retry_policy.max_retry_after
                ):
                    message = f"{self.error_format.provider_name} {error}, {try_count} times in a row. {error.advice}".rstrip()
                    raise TransientError(message, error.status, error.body) from None
                try_count, total_delay = try_count + 1, total_delay + delay
                self._record_retry(request, error, delay, try_count)
            await self._sleep(delay)

    def _record_retry(self, request: Request, error: RetryableError, delay: float, next_try: int) -> None:
        """One log line a wait, however many requests share it. A throttled lane is held for all its requests."""
        limiter = self._get_limiter(request.lane)
        if error.is_throttled:
            limiter.block(delay)
        self.stats.retries += 1
        if not limiter.should_log_wait(delay):
            return
        self._logged_waits += 1
        if self._logged_waits <= _MAX_LOGGED_WAITS:
            try_text = f"try {next_try} of {self._retry_policy.max_tries}"
            limit_note = " Further waits are counted, not logged." if self._logged_waits == _MAX_LOGGED_WAITS else ""
            self._logger.info(
                "%s %s; waiting %.1f s before %s.%s",
                self.error_format.provider_name,
                error,
                delay,
                try_text,
                limit_note,
            )

    async def _sleep(self, seconds: float) -> None:
        started_at = time.monotonic()
        try:
            await asyncio.sleep(seconds)
        finally:
            self.stats.waited_seconds += time.monotonic() - started_at

    def _get_limiter(self, lane: str) -> RateLimiter:
        if lane not in self._limiters:
            self._limiters[lane] = RateLimiter(self._spacing.get(lane, 0.0), self.max_in_flight)
        return self._limiters[lane]

    async def _send_with_token(self, header_name: str, token_provider: TokenProvider, request: Request) -> Json:
        """With a token; one that is refused is renewed once, by one request for all."""
        token, renewals = await token_provider.get_token(), 0
        while True:
            try:
                body = await self._send_once(request, {header_name: token.value})
            except CredentialsError as refusal:
                renewals += 1
                if renewals > _MAX_TOKEN_RENEWALS:
                    raise
                token = await token_provider.replace_token(token, refusal)
            else:
                token_provider.confirm_token()
                return body

    async def _log_in(self, login: Login) -> tuple[str, float]:
        try:
            token, lifetime = login.parse_token(await self._send_with_retries(login.request, self._send_once))
        except UnreadableResponse as error:
            raise UnreadableLogin(str(error)) from None
        if len(token) > MAX_TOKEN_LENGTH:
            raise UnreadableLogin(
                f"{self.error_format.provider_name} returned a token of {len(token):,} characters, which is too "
                "long for a header. Check base_url. "
                f"If it is right, report this to {self.error_format.provider_name}."
            )
        register_secrets(token)
        return token, lifetime

    async def _send_once(self, request: Request, extra_headers: Mapping[str, str] | None = None) -> Json:
        limiter = self._get_limiter(request.lane)
        waited_seconds = await limiter.acquire(self._in_flight_slots)
        self.stats.waited_seconds += waited_seconds
        started_at = time.monotonic()
        try:
            self.stats.requests += 1
            query = f"?{urlencode(request.params)}" if request.params else ""
            headers = {**self._headers, **request.headers, **(extra_headers or {})}
            url = f"{self._base_url}{request.path}{query}"
            response = await self._transport.send(request.method, url, headers, request.json, limiter.record_sent)
        except InvalidRequestError as error:
            message = f"A request to {self.error_format.provider_name} cannot be sent ({error})."
            raise ConfigError(f"{message} Check its base_url and keys.") from None
        except ProxyRefusedError as refusal:
            raise build_proxy_error(self.error_format.provider_name, refusal.status, refusal.setting) from None
        except ResponseTooLargeError as error:
            raise self._classifier.build_too_large_error(error.max_bytes) from None
        finally:
            self._in_flight_slots.release()
        if self._logger.isEnabledFor(logging.DEBUG):
            self._logger.debug(
                "%s %s %s: %d in %.0f ms", self.error_format.provider_name, request.method, sanitize(request.path),
                response.status, (time.monotonic() - started_at) * 1000,
            )  # fmt: skip
        return self._classifier.parse_body(response)
