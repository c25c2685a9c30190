"""A token traded for credentials: one login for all workers, however many find the token expired."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from .errors import ConnectorError, CredentialsError, Refused, Stopped


@dataclass(frozen=True, slots=True, eq=False)
class Token:
    """One login's: another is another token, even if it has the same value. `expires` is of the monotonic clock."""

    value: str
    expires: float


class Tokens:
    """The current token.

    Args:
        log_in: gives a new token and the seconds it lives.
        credentials: the settings to check when the login is refused.
    """

    def __init__(self, log_in: Callable[[], tuple[str, float]], credentials: str) -> None:
        self._log_in = log_in
        self._credentials = credentials
        self._token: Token | None = None
        self._trouble: ConnectorError | None = None
        self._lock = threading.Lock()

    def current(self, refused: Token | None = None) -> Token:
        """The token; a new one where there is none, it has expired, or it is the one that was just `refused`.

        A login that failed for good is not tried again: all who ask for a token are told why.
        """
        with self._lock:
            if self._trouble:
                raise self._trouble
            token = self._token
            if token is None or token is refused or token.expires <= time.monotonic():
                token = self._token = self._new()
            return token

    def _new(self) -> Token:
        try:
            value, lifetime = self._log_in()
        except Stopped:
            raise
        except Refused as refusal:
            self._trouble = CredentialsError(f"{refusal} Check {self._credentials}.")
            raise self._trouble from None
        except ConnectorError as trouble:
            self._trouble = trouble
            raise
        return Token(value, time.monotonic() + lifetime)
