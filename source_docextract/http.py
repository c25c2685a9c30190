"""Requests to one provider: spaced, retried, logged in.

The CDK's HttpClient sends; it is given one try at a time. When to try again is decided here: a wait must end at once
when the sync is stopped, and a throttled endpoint holds up all requests to it, not only the one that was told so.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial

import requests
import urllib3
from airbyte_cdk.sources.streams.http import HttpClient
from airbyte_cdk.utils.airbyte_secrets_utils import add_to_secrets
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from .answers import TIMEOUT, Again, AsIs, Dialect, Judge
from .errors import ConfigError, CredentialsError, Stopped, TransientError
from .login import Tokens
from .model import Json
from .pacing import Lane, Patience

# The CDK's client logs whole requests, headers and bodies included, at DEBUG. Its own voice is kept off.
_silent = logging.getLogger("source_docextract.silent")
_silent.propagate = False
_silent.setLevel(logging.CRITICAL + 1)


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
    """Sends requests to one provider. May be shared by threads.

    Args:
        spacing: seconds between requests, by lane; a lane that is not named has none.
        now: the wall clock, for `Retry-After` dates.
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
        self.stop = threading.Event()
        self.max_in_flight = max_in_flight
        self._base_url = base_url
        self._headers = dict(headers or {})
        self._spacing = dict(spacing or {})
        self._lanes: dict[str, Lane] = {}
        self._slots = threading.Semaphore(max_in_flight)
        self._patience = patience or Patience()
        self._logger = logger or logging.getLogger("airbyte")
        self._lock = threading.Lock()
        self._secrets = {value.removeprefix("Bearer ") for value in self._headers.values()}
        self._send: Callable[[Request], Json] = self._send_once
        self._tokens: Tokens | None = None
        if login:
            self._secrets.update(login.request.headers.values())
            self._tokens = Tokens(partial(self._log_in, login), dialect.credentials)
            self._send = partial(self._send_logged_in, login.header, self._tokens)
        clock = now or (lambda: datetime.now(timezone.utc))
        self._judge = Judge(dialect, self._patience.longest_asked, clock, self._secrets)
        self._session = requests.Session()
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=max_in_flight))
        self._http = HttpClient(
            dialect.name,
            _silent,
            error_handler=AsIs(),
            session=self._session,
            authenticator=_NoNetrc(),
            request_timeout=TIMEOUT,
            disable_retries=True,
        )

    def send(self, request: Request) -> Json:
        """The parsed body of a 2xx answer.

        Raises:
            ConfigError, TransientError, BadAnswer, Refused: as their names say; with passing troubles already retried.
        """
        return self._with_retries(request, self._send)

    def log_in(self) -> None:
        """Proves the credentials, where the provider has a login."""
        if self._tokens:
            self._tokens.current()

    def close(self) -> None:
        """Ends every wait at once and lets no further request out."""
        self.stop.set()
        self._session.close()

    def _with_retries(self, request: Request, once: Callable[[Request], Json]) -> Json:
        retrying = Retrying(
            retry=retry_if_exception_type(Again),
            stop=stop_after_attempt(self._patience.tries),
            wait=self._wait,
            before_sleep=lambda state: self._tell(request, state),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(once, request)
        except Again as trouble:
            words = f"{self.dialect.name} {trouble}, {self._patience.tries} times in a row."
            raise TransientError(words, trouble.status, trouble.body) from None

    def _wait(self, state: RetryCallState) -> float:
        trouble = state.outcome.exception() if state.outcome else None
        asked = trouble.asked if isinstance(trouble, Again) else None
        if asked is not None:
            return asked
        return self._patience.wait(state.attempt_number)

    def _tell(self, request: Request, state: RetryCallState) -> None:
        """One log line a wait: a throttled lane is held for all its requests, any other trouble is told once."""
        trouble = state.outcome.exception() if state.outcome else None
        seconds = state.upcoming_sleep
        with self._lock:
            self.tally.retries += 1
        if isinstance(trouble, Again) and trouble.throttled:
            if self._lane(request.lane).hold(seconds):
                self._logger.info("%s %s; waiting %.0f s.", self.dialect.name, trouble, seconds)
        elif state.attempt_number == 1:
            self._logger.info("%s %s; trying up to %d times.", self.dialect.name, trouble, self._patience.tries)

    def _sleep(self, seconds: float) -> None:
        began = time.monotonic()
        stopped = self.stop.wait(seconds)
        with self._lock:
            self.tally.waited += time.monotonic() - began
        if stopped:
            raise Stopped("The sync was stopped.")

    def _lane(self, name: str) -> Lane:
        with self._lock:
            if name not in self._lanes:
                self._lanes[name] = Lane(self._spacing.get(name, 0.0))
            return self._lanes[name]

    def _send_logged_in(self, header: str, tokens: Tokens, request: Request) -> Json:
        """With a token; one that is refused is renewed once, by one worker for all."""
        token = tokens.current()
        try:
            return self._send_once(request, {header: token})
        except CredentialsError:
            return self._send_once(request, {header: tokens.current(refused=token)})

    def _log_in(self, login: Login) -> tuple[str, float]:
        value, lifetime = login.read(self._with_retries(login.request, self._send_once))
        add_to_secrets(value)
        self._secrets.add(value)
        return value, lifetime

    def _send_once(self, request: Request, extra_headers: Mapping[str, str] | None = None) -> Json:
        if self.stop.is_set():
            raise Stopped("The sync was stopped.")
        waited = self._lane(request.lane).enter(self.stop, self._slots)
        try:
            with self._lock:
                self.tally.requests += 1
                self.tally.waited += waited
            began = time.monotonic()
            _, response = self._http.send_request(
                request.method,
                self._base_url + request.path,
                request_kwargs={"allow_redirects": False},
                headers={**self._headers, **request.headers, **(extra_headers or {})},
                params={key: str(value) for key, value in request.params.items()},
                json=request.json,
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, UnicodeError) as error:
            # It never left. Its own words are not repeated: they may quote a header, and a header may be a key.
            words = f"A request to {self.dialect.name} cannot be sent ({type(error).__name__})."
            raise ConfigError(f"{words} Check its base_url and keys.") from None
        finally:
            self._slots.release()
        self._logger.debug(
            "%s %s %s: %d in %.0f ms",
            self.dialect.name, request.method, request.path, response.status_code, (time.monotonic() - began) * 1000,
        )  # fmt: skip
        return self._judge.body(response)


class _NoNetrc(AuthBase):
    """Says that the request is authorised already: without it, requests would put in what a ~/.netrc holds."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}
