"""A token traded for credentials: one login for all requests, however many find the token expired."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from .errors import ConnectorError, CredentialsError, Refused

LONGEST_TOKEN = 16_384
"""Characters. Servers take headers of 8 to 16 kB in all, so no request could carry more."""

_LEAST_LIFE, _MOST_LIFE = 60.0, 86_400.0
"""Seconds that a token is used at least and at most, whatever its login says of it: where it has expired before, its
provider says so, and it is renewed. A login for each request would double them all."""


@dataclass(frozen=True, slots=True, eq=False)
class Token:
    """One login's: another is another token, even if it has the same value. `expires` is of the monotonic clock."""

    value: str
    expires: float


class Tokens:
    """The current token. Belongs to one event loop.

    Args:
        log_in: gives a new token and the seconds it lives.
        credentials: the settings to check when the login is refused.
    """

    def __init__(self, log_in: Callable[[], Awaitable[tuple[str, float]]], credentials: str) -> None:
        self._log_in = log_in
        self._credentials = credentials
        self._token: Token | None = None
        self._trouble: ConnectorError | None = None
        self._unproven = 0  # logins since a token was last taken
        self._lock = asyncio.Lock()

    async def current(self) -> Token:
        """The token; a new one where there is none or it has expired.

        A login that failed for good is not tried again: all who ask for a token are told why.
        """
        async with self._lock:
            if self._trouble:
                raise self._trouble
            token = self._token
            if token is None or token.expires <= time.monotonic():
                token = self._token = await self._new()
            return token

    async def instead_of(self, token: Token, refusal: CredentialsError) -> Token:
        """A new token for one that was refused, the same for all who held that one.

        Where two in a row were never taken, it is not the token that is wrong, and all are told of the refusal.
        """
        async with self._lock:
            if self._token is token:
                if self._unproven > 1:
                    self._trouble = self._trouble or refusal
                    raise self._trouble
                self._token = None
        return await self.current()

    def proven(self) -> None:
        """A token was taken."""
        self._unproven = 0

    async def _new(self) -> Token:
        try:
            value, lifetime = await self._log_in()
        except Refused as refusal:
            # An error body with 400 (documented for incomplete credentials) or 422 is about what was sent; a 402 or a
            # page says nothing of it.
            is_about_them = refusal.status in {400, 422} and isinstance(refusal.body, Mapping)
            self._trouble = CredentialsError(f"{refusal} Check {self._credentials}.") if is_about_them else refusal
            raise self._trouble from None
        except ConnectorError as trouble:
            self._trouble = trouble
            raise
        self._unproven += 1
        # The least for what is no number, too: nothing compares to it.
        life = min(lifetime, _MOST_LIFE) if lifetime > _LEAST_LIFE else _LEAST_LIFE
        return Token(value, time.monotonic() + life)
