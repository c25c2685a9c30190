"""The token of a provider with a login, shared by all requests.

The token is renewed when it expires, with one login however many requests find it expired.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from ..core.errors import ConnectorError, CredentialsError, RequestRejected

_MIN_LIFETIME, _MAX_LIFETIME = 60.0, 86_400.0
"""Bounds in seconds for the lifetime of a token that a login response states.

A token used beyond its life costs one refusal and one renewal. A lifetime of zero would cost a login for each request.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Token:
    """The token of one login.

    Tokens are compared by identity (`eq=False`): a renewed token counts as another one even if its value is the same.

    Attributes:
        value: the text that requests carry.
        expires_at: the end of its life, in seconds of the monotonic clock.
    """

    value: str
    expires_at: float


class TokenProvider:
    """The current token, shared by the coroutines of one event loop."""

    def __init__(
        self,
        log_in: Callable[[], Awaitable[tuple[str, float]]],
        credential_settings: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start without a token; the first `get_token` logs in.

        Args:
            log_in: returns a new token and its lifetime in seconds.
            credential_settings: the settings that the user has to check if the login is refused.
            monotonic: returns the seconds of a clock that never goes back.
        """
        self._log_in = log_in
        self._credential_settings = credential_settings
        self._monotonic = monotonic
        self._token: Token | None = None
        self._login_error: ConnectorError | None = None
        self._unconfirmed_logins = 0  # logins since the provider last accepted a token
        # Held during a login, so that all requests that need a token share one. The CDK's authenticator makes one login
        # for each thread with an expired token (8 for 8 threads).
        self._lock = asyncio.Lock()

    async def get_token(self) -> Token:
        """Return the current token; log in first if there is none or it has expired.

        Raises:
            ConnectorError: the login failed. It is not tried again, and every later call raises the same error.
        """
        async with self._lock:
            if self._login_error:
                raise self._login_error
            token = self._token
            if token is None or token.expires_at <= self._monotonic():
                token = self._token = await self._request_token()
            return token

    async def replace_token(self, token: Token, refusal: CredentialsError) -> Token:
        """Return a new token for one that the provider refused.

        All requests with the refused token get the same new token.

        Args:
            token: the refused token.
            refusal: the error that refused it.

        Raises:
            CredentialsError: `refusal`, if the provider accepted neither of two tokens in a row.
            ConnectorError: the login failed.
        """
        async with self._lock:
            # Another request may have replaced the refused token already. One login then serves all of them.
            if self._token is token:
                # A fresh token that is refused as well has not expired, so a further login would not help.
                if self._unconfirmed_logins > 1:
                    self._login_error = self._login_error or refusal
                    raise self._login_error
                self._token = None
        # Outside the lock, because `get_token` takes it, and asyncio's lock cannot be taken twice by one task.
        return await self.get_token()

    def confirm_token(self) -> None:
        """Note that the provider accepted a token."""
        self._unconfirmed_logins = 0

    async def _request_token(self) -> Token:
        try:
            value, lifetime = await self._log_in()
        except RequestRejected as refusal:
            # Atlas documents 400 for incomplete credentials; a JSON body with 400 or 422 is about the request. A 402 or
            # a page of HTML proves nothing about the credentials.
            is_about_credentials = refusal.status in {400, 422} and isinstance(refusal.body, Mapping)
            self._login_error = (
                CredentialsError(f"{refusal} Check {self._credential_settings}.") if is_about_credentials else refusal
            )
            raise self._login_error from None
        except ConnectorError as error:
            # Kept for all requests: otherwise each of them would try the login again, with all its retries.
            self._login_error = error
            raise
        self._unconfirmed_logins += 1
        # NaN compares as false, so it gets the shortest lifetime.
        capped_lifetime = min(lifetime, _MAX_LIFETIME) if lifetime > _MIN_LIFETIME else _MIN_LIFETIME
        return Token(value, self._monotonic() + capped_lifetime)
