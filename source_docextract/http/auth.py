"""A token traded for credentials: one login for all requests, however many find the token expired."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from ..core.errors import ConnectorError, CredentialsError, RequestRejected

_MIN_LIFETIME, _MAX_LIFETIME = 60.0, 86_400.0
"""Seconds that a token is used at least and at most, whatever its login says of it: where it has expired before, its
provider says so, and it is renewed. A login for each request would double them all."""


@dataclass(frozen=True, slots=True, eq=False)
class Token:
    """One login's: another is another token, even if it has the same value. `expires` is of the monotonic clock."""

    value: str
    expires_at: float


class TokenProvider:
    """The current token. Belongs to one event loop.

    Args:
        log_in: gives a new token and the seconds it lives.
        credentials: the settings to check when the login is refused.
    """

    def __init__(self, log_in: Callable[[], Awaitable[tuple[str, float]]], credential_settings: str) -> None:
        self._log_in = log_in
        self._credential_settings = credential_settings
        self._token: Token | None = None
        self._login_error: ConnectorError | None = None
        self._unconfirmed_logins = 0  # logins since a token was last taken
        self._lock = asyncio.Lock()

    async def get_token(self) -> Token:
        """The token; a new one where there is none or it has expired.

        A login that failed for good is not tried again: all who ask for a token are told why.
        """
        async with self._lock:
            if self._login_error:
                raise self._login_error
            token = self._token
            if token is None or token.expires_at <= time.monotonic():
                token = self._token = await self._request_token()
            return token

    async def replace_token(self, token: Token, refusal: CredentialsError) -> Token:
        """A new token for one that was refused, the same for all who held that one.

        Where two in a row were never taken, it is not the token that is wrong, and all are told of the refusal.
        """
        async with self._lock:
            if self._token is token:
                if self._unconfirmed_logins > 1:
                    self._login_error = self._login_error or refusal
                    raise self._login_error
                self._token = None
        return await self.get_token()

    def confirm_token(self) -> None:
        """A token was taken."""
        self._unconfirmed_logins = 0

    async def _request_token(self) -> Token:
        try:
            value, lifetime = await self._log_in()
        except RequestRejected as refusal:
            # An error body with 400 (documented for incomplete credentials) or 422 is about what was sent; a 402 or a
            # page says nothing of it.
            is_about_credentials = refusal.status in {400, 422} and isinstance(refusal.body, Mapping)
            self._login_error = (
                CredentialsError(f"{refusal} Check {self._credential_settings}.") if is_about_credentials else refusal
            )
            raise self._login_error from None
        except ConnectorError as error:
            self._login_error = error
            raise
        self._unconfirmed_logins += 1
        # The least for what is no number, too: nothing compares to it.
        capped_lifetime = min(lifetime, _MAX_LIFETIME) if lifetime > _MIN_LIFETIME else _MIN_LIFETIME
        return Token(value, time.monotonic() + capped_lifetime)
