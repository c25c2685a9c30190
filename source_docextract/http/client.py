"""The HTTP client of one provider: spacing, retries, authentication and logging.

The client alone decides when to retry:

- A throttled response delays every request of its lane, not only the one that was throttled.
- A wait beyond `RetryPolicy.max_retry_after` ends in an error, and the next sync tries again.
"""

from __future__ import annotations

import asyncio
import logging
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
from .network import Internet, Network
from .rate_limit import RateLimiter, RetryPolicy
from .responses import ResponseClassifier, RetryableError
from .transport import InvalidRequestError, ProxyRefusedError, ResponseTooLargeError

_MAX_TOKEN_RENEWALS = 2
"""Token renewals for one request. A request refused with a third token raises the refusal."""

_MAX_LOGGED_WAITS = 20
"""Waits that one client logs. A provider that fails all day must not bury the rest of the log."""


@dataclass(slots=True)
class RequestStats:
    """The request counts and waiting time of one client.

    Attributes:
        requests: requests sent, with logins and retries.
        retries: requests sent again after a retryable error.
        waited_seconds: seconds spent on spacing, on `Retry-After` and between tries, added up over all requests.
    """

    requests: int = 0
    retries: int = 0
    waited_seconds: float = 0.0


class Client:
    """A client that sends the requests of one provider.

    Every method may be called from any thread. The requests run in one event loop, in a thread of the client.

    Attributes:
        network: the way to the provider.
        error_format: how the provider reports errors.
        stats: request counts and waiting time so far.
        max_in_flight: requests that may be on their way at once.
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
        network: Network | None = None,
        now: Callable[[], datetime] | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        """Create a client. The connection is opened by the first request.

        Args:
            error_format: how the provider reports errors.
            base_url: the URL that every request path is appended to.
            headers: sent with each request; they may carry the API key.
            login: how to obtain a token, for a provider that needs one.
            spacing: seconds between two requests, by lane. A lane without an entry has no spacing.
            max_in_flight: requests that may be on their way at once.
            retry_policy: how often and how long to retry.
            network: the way to the provider; the internet by default.
            now: returns the current time, to read dates in `Retry-After`.
            logger: receives waits at INFO and requests at DEBUG; by default Airbyte's logger.

        Raises:
            ConfigError: the CA certificates cannot be read, or the proxy does not speak HTTP.
        """
        self.network = network or Internet()
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
        # Providers and proxies quote request headers in error bodies, so no message may hold a header's value.
        register_secrets(*(value.removeprefix("Bearer ") for value in self._headers.values()))
        self._send: Callable[[Request], Awaitable[Json]] = self._send_once
        self._token_provider: TokenProvider | None = None
        if login:
            register_secrets(*login.request.headers.values())
            self._token_provider = TokenProvider(
                partial(self._log_in, login), error_format.credential_settings, self.network.monotonic
            )
            self._send = partial(self._send_with_token, login.header_name, self._token_provider)
        wall_clock = now or (lambda: datetime.now(timezone.utc))
        self._classifier = ResponseClassifier(error_format, self._retry_policy.max_retry_after, wall_clock)
        self._logged_waits = 0
        self._transport = self.network.create_transport(
            base_url, self._retry_policy.max_response_seconds, has_sent_callback=any(self._spacing.values())
        )
        self._event_loop = self.network.create_event_loop(error_format.provider_name, self._transport.close)

    def submit(self, request: Request, on_done: Callable[[Json | Exception], None]) -> None:
        """Queue a request and pass its outcome to `on_done`.

        After an error, the request keeps its slot in the lane until the caller calls `release_lane`. Until then no
        request that waits for this slot is sent, so that the caller can abort the provider first.

        Args:
            request: the request; the spacing of its lane applies.
            on_done: called once, in the client's thread. Receives the parsed body of a 2xx response, or a ConfigError,
                TransientError, UnreadableResponse or RequestRejected after the last try. Receives SyncStopped if the
                client is closed before the request ends, or in the caller's thread if it is closed already.
        """
        self._event_loop.submit(partial(self._send_in_lane, request), on_done)

    def release_lane(self, lane: str) -> None:
        """Release the lane slot of a failed request, so that the next request is sent."""

        async def release_slot() -> None:
            self._get_limiter(lane).pending_slots.release()

        # In the event loop, because asyncio's semaphores may not be used from other threads.
        self._event_loop.submit(release_slot, lambda _: None)

    def log_in(self) -> None:
        """Obtain a token, to prove the credentials.

        For a provider without a login, this does nothing.

        Raises:
            ConnectorError: the login failed.
        """
        if self._token_provider:
            self._event_loop.run(self._token_provider.get_token)

    def close(self) -> None:
        """Cancel all requests and waits, and send no further request.

        A stopped sync ends within 5 seconds.
        """
        self._event_loop.close()

    async def _send_in_lane(self, request: Request) -> Json:
        """Send a request once the lane has a free slot.

        The slots limit the requests that have a token but wait for their turn: a token fetched early may expire there.
        """
        pending_slots = self._get_limiter(request.lane).pending_slots
        await pending_slots.acquire()
        body = await self._send_with_retries(request, self._send)
        # Not in a `finally`: after an error the slot stays taken until `release_lane`. Three failures in a row abort
        # the provider, and no further request may leave before the caller has counted this one.
        pending_slots.release()
        return body

    async def _send_with_retries(self, request: Request, send: Callable[[Request], Awaitable[Json]]) -> Json:
        try_count, total_delay = 1, 0.0
        while True:
            try:
                return await send(request)
            except RetryableError as error:
                # A provider that sends `Retry-After: 0` is given time all the same, or all tries would fail at once.
                delay = max(error.retry_after or 0.0, self._retry_policy.compute_wait(try_count))
                is_last_try = request.is_tried_once or try_count >= self._retry_policy.max_tries
                # All waits of one request count, or five waits of ten minutes would hold the sync for 50.
                if is_last_try or total_delay + delay > self._retry_policy.max_retry_after:
                    provider_name = self.error_format.provider_name
                    message = f"{provider_name} {error}, {try_count} times in a row. {error.advice}".rstrip()
                    raise TransientError(message, error.status, error.body) from None
                try_count, total_delay = try_count + 1, total_delay + delay
                self._record_retry(request, error, delay, try_count)
            await self._sleep(delay)

    def _record_retry(self, request: Request, error: RetryableError, delay: float, next_try: int) -> None:
        """Count a retry, block a throttled lane, and log the wait.

        Requests that wait at the same time share one log line.
        """
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
        started_at = self.network.monotonic()
        # A `finally`, so that the summary of a stopped sync counts the part of a wait that has passed.
        try:
            await asyncio.sleep(seconds)
        finally:
            self.stats.waited_seconds += self.network.monotonic() - started_at

    def _get_limiter(self, lane: str) -> RateLimiter:
        if lane not in self._limiters:
            interval = self._spacing.get(lane, 0.0)
            self._limiters[lane] = RateLimiter(interval, self.max_in_flight, self.network.monotonic)
        return self._limiters[lane]

    async def _send_with_token(self, header_name: str, token_provider: TokenProvider, request: Request) -> Json:
        """Send a request with the current token; renew it if the provider refuses it.

        Concurrent requests share one renewal. Atlas documents a 401 on a data call for an expired token.
        """
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
            provider_name = self.error_format.provider_name
            raise UnreadableLogin(
                f"{provider_name} returned a token of {len(token):,} characters, which is too long for a header. Check "
                f"base_url. If it is right, report this to {provider_name}."
            )
        # No setting holds the token, and providers may quote it in their errors, so it is masked from now on.
        register_secrets(token)
        return token, lifetime

    async def _send_once(self, request: Request, extra_headers: Mapping[str, str] | None = None) -> Json:
        limiter = self._get_limiter(request.lane)
        waited_seconds = await limiter.acquire(self._in_flight_slots)
        self.stats.waited_seconds += waited_seconds
        started_at = self.network.monotonic()
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
            # The path alone: a query may hold a token, and no log has a secret, at any level.
            self._logger.debug(
                "%s %s %s: %d in %.0f ms", self.error_format.provider_name, request.method, sanitize(request.path),
                response.status, (self.network.monotonic() - started_at) * 1000,
            )  # fmt: skip
        return self._classifier.parse_body(response)
