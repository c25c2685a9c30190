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
from requests.auth import AuthBase
from tenacity import RetryCallState, Retrying, retry_if_exception_type

from .answers import TIMEOUT, Again, AsIs, Dialect, Judge
from .connections import Connections
from .errors import ConfigError, CredentialsError, Stopped, TransientError
from .login import Tokens
from .model import Json
from .pacing import Lane, Patience
from .plain import hide, plain

# The CDK's client logs whole requests, headers and bodies included, at DEBUG. Its own voice is kept off.
_silent = logging.getLogger("source_docextract.silent")
_silent.propagate = False
_silent.setLevel(logging.CRITICAL + 1)

_MEANINGLESS = (requests.RequestException, urllib3.exceptions.HTTPError, ValueError)
"""What requests and urllib3 say of a request that cannot be sent, and of an answer that is no HTTP."""

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
        hide(*(value.removeprefix("Bearer ") for value in self._headers.values()))
        self._send: Callable[[Request], Json] = self._send_once
        self._tokens: Tokens | None = None
        if login:
            hide(*login.request.headers.values())
            self._tokens = Tokens(partial(self._log_in, login), dialect.credentials)
            self._send = partial(self._send_logged_in, login.header, self._tokens)
        clock = now or (lambda: datetime.now(timezone.utc))
        self._judge = Judge(dialect, self._patience.longest_asked, clock)
        self._told = 0
        self._session = _Session()
        # What is not encrypted stays on this machine, whatever proxies there are.
        self._session.trust_env = base_url.lower().startswith("https:")
        self._connections = Connections(self.stop, self._patience.longest_answer, max_in_flight)
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, self._connections)
        self._as_is = AsIs()
        self._http = HttpClient(
            dialect.name,
            _silent,
            error_handler=self._as_is,
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
        """Ends every wait at once, also for an answer, and lets no further request out."""
        self.stop.set()
        self._connections.cut()
        self._session.close()

    def _with_retries(self, request: Request, once: Callable[[Request], Json]) -> Json:
        retrying = Retrying(
            retry=retry_if_exception_type(Again),
            stop=self._is_enough,
            wait=self._wait,
            before_sleep=lambda state: self._tell(request, state),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(once, request)
        except Again as trouble:
            words = f"{self.dialect.name} {trouble}, {retrying.statistics['attempt_number']} times in a row."
            raise TransientError(words, trouble.status, trouble.body) from None

    def _wait(self, state: RetryCallState) -> float:
        return max(_trouble(state).asked or 0.0, self._patience.wait(state.attempt_number))

    def _is_enough(self, state: RetryCallState) -> bool:
        in_all = state.idle_for + state.upcoming_sleep
        return state.attempt_number >= self._patience.tries or in_all > self._patience.longest_asked

    def _tell(self, request: Request, state: RetryCallState) -> None:
        """One log line a wait, however many requests share it. A throttled lane is held for all its requests."""
        trouble, seconds, lane = _trouble(state), state.upcoming_sleep, self._lane(request.lane)
        if trouble.throttled:
            lane.hold(seconds)
        is_news = lane.is_news(seconds)
        with self._lock:
            self.tally.retries += 1
            self._told += is_news
            told = self._told
        if is_news and told <= _TOLD:
            tries = f"try {state.attempt_number + 1} of {self._patience.tries}"
            last = " Further waits are only counted." if told == _TOLD else ""
            self._logger.info("%s %s; waiting %.1f s before %s.%s", self.dialect.name, trouble, seconds, tries, last)

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
            body = self._send_once(request, {header: token.value})
        except CredentialsError as refusal:
            body = self._send_once(request, {header: tokens.instead_of(token, refusal).value})
        tokens.proven()
        return body

    def _log_in(self, login: Login) -> tuple[str, float]:
        value, lifetime = login.read(self._with_retries(login.request, self._send_once))
        hide(value)
        return value, lifetime

    def _send_once(self, request: Request, extra_headers: Mapping[str, str] | None = None) -> Json:
        if self.stop.is_set():
            raise Stopped("The sync was stopped.")
        lane = self._lane(request.lane)
        waited = lane.enter(self.stop, self._slots)
        try:
            with self._lock:
                self.tally.requests += 1
                self.tally.waited += waited
            began = time.monotonic()
            response = self._answer(request, {**self._headers, **request.headers, **(extra_headers or {})}, lane)
        except Exception as error:
            if self.stop.is_set():
                raise Stopped("The sync was stopped.") from None  # by then, all else comes of that
            if not isinstance(error, _MEANINGLESS):
                raise
            if self._connections.is_out:
                raise Again("gave an answer that cannot be read") from None
            # Its own words are not repeated: they may quote a header, and a header may be a key.
            words = f"A request to {self.dialect.name} cannot be sent ({type(error).__name__})."
            raise ConfigError(f"{words} Check its base_url and keys.") from None
        finally:
            self._slots.release()
        self._logger.debug(
            "%s %s %s: %d in %.0f ms", self.dialect.name, request.method, plain(request.path),
            response.status_code, (time.monotonic() - began) * 1000,
        )  # fmt: skip
        return self._judge.body(response)

    def _answer(self, request: Request, headers: Mapping[str, str], lane: Lane) -> requests.Response:
        self._connections.sending(lane.left)
        _, response = self._http.send_request(
            request.method,
            self._base_url + request.path,
            request_kwargs={"allow_redirects": False},
            headers=headers,
            params={key: str(value) for key, value in request.params.items()},
            json=request.json,
        )
        if response is None:
            raise self._as_is.trouble()
        return response


class _Session(requests.Session):
    """Takes no redirect, and does not look where it leads: the key is for one host."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        return None


class _NoNetrc(AuthBase):
    """Says that the request is authorised already: without it, requests would put in what a ~/.netrc holds."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


def _trouble(state: RetryCallState) -> Again:
    trouble = state.outcome.exception() if state.outcome else None
    return trouble if isinstance(trouble, Again) else Again("is in trouble")


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}
