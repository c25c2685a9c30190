"""One exchange with a provider: what goes out, what comes back, and in plain words why nothing did.

Nothing else knows which library carries it. The CDK's client is not used: its waits cannot be ended, it logs what it
sends, and a request costs it as much as all that is done afterwards with the fifty documents of the answer.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies, select_proxy
from yarl import URL

from .answers import TIMEOUT, Again, Reply
from .errors import ConfigError
from .model import Json

_LINE = 65_536
"""Bytes of a header. What sits in front of a provider may be talkative."""

_BUFFER = 262_144
"""Bytes of an answer that wait to be read before the sender is slowed down."""

_BROKEN = "could not be reached or broke the connection"


class CannotBeSentError(Exception):
    """Something is wrong with a request itself. Its own words are not repeated: they may quote a key."""


class Wire:
    """The connections to one provider. All of it but the making belongs to one event loop.

    Args:
        base_url: what all addresses begin with.
        longest_answer: seconds from a request to the last byte of its answer: a byte now and then is no silence.
        tells: whether `when_out` is called, which costs something.

    Raises:
        ConfigError: where the certificates to trust cannot be read, or the proxy is of another kind.
    """

    def __init__(self, base_url: str, longest_answer: float, *, tells: bool) -> None:
        self._base_url = base_url
        self._longest_answer = longest_answer
        self._tells = tells
        is_encrypted = base_url.lower().startswith("https:")
        self._trust = _trusted() if is_encrypted else True
        # What is not encrypted stays on this machine, whatever proxies there are.
        self._proxy = _proxy(base_url) if is_encrypted else None
        self._opened: aiohttp.ClientSession | None = None

    async def exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: Json, when_out: Callable[[], None]
    ) -> Reply:
        """Sends one request, once, and receives the whole answer, whatever it says; redirects are answers.

        Args:
            url: as it goes out, nothing is escaped any more.
            when_out: called as the request leaves, with its connection made.

        Raises:
            Again: where nothing came back, or not all of it.
            CannotBeSentError: where nothing went out, and nothing would.
        """
        try:
            request = self._session().request(
                method, URL(url, encoded=True), headers=headers, json=body, allow_redirects=False, proxy=self._proxy,
                ssl=self._trust, trace_request_ctx=when_out,
            )  # fmt: skip
            async with request as answer:
                return Reply(answer.status, answer.headers, await answer.read())
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError, ValueError) as error:
            self._explain(error)

    async def close(self) -> None:
        if self._opened:
            await self._opened.close()

    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            URL(self._base_url)  # finds out what can be no address; what is sent is not looked at any more
            traces = aiohttp.TraceConfig()
            traces.on_request_headers_sent.append(_tell)
            self._opened = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "source-docextract"},
                max_field_size=_LINE,
                max_line_size=_LINE,
                middlewares=(_once,),
                read_bufsize=_BUFFER,
                timeout=aiohttp.ClientTimeout(self._longest_answer, sock_connect=TIMEOUT[0], sock_read=TIMEOUT[1]),
                trace_configs=[traces] if self._tells else None,
            )
        return self._opened

    def _explain(self, error: Exception) -> NoReturn:
        for kind, words in (
            (aiohttp.ClientSSLError, "has a certificate that cannot be trusted"),
            (aiohttp.ConnectionTimeoutError, f"did not take the connection within {TIMEOUT[0]} s"),
            (aiohttp.SocketTimeoutError, f"was silent for {TIMEOUT[1]} s"),
            (asyncio.TimeoutError, f"took more than {self._longest_answer:.0f} s to answer"),
            ((aiohttp.ClientConnectionError, aiohttp.ClientHttpProxyError, OSError), _BROKEN),
            (aiohttp.ClientResponseError, "gave an answer that cannot be read"),
        ):
            if isinstance(error, kind):
                raise Again(words) from None
        if isinstance(error, aiohttp.ClientPayloadError):
            is_whole = isinstance(error.__cause__, ContentEncodingError)
            raise Again("answered with a broken body" if is_whole else "broke off in the middle of an answer") from None
        raise CannotBeSentError(type(error).__name__) from None


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keeps the library from trying again by itself: tries are counted, and spaced, elsewhere."""
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        if isinstance(error, aiohttp.ClientConnectorError):
            raise
        raise Again(_BROKEN) from None


async def _tell(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
    context.trace_request_ctx()


def _proxy(url: str) -> str | None:
    """The one that the environment names for an address. Many write it without `http://`."""
    named = select_proxy(url, get_environ_proxies(url))
    proxy = f"http://{named}" if named and "://" not in named else named
    if proxy and not proxy.lower().startswith(("http:", "https:")):
        raise ConfigError("HTTPS_PROXY names a proxy that does not speak HTTP; name another one, or unset it.")
    return proxy


def _trusted() -> ssl.SSLContext:
    """Trusts whom requests and curl would trust."""
    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or DEFAULT_CA_BUNDLE_PATH
    try:
        if Path(named).is_dir():
            return ssl.create_default_context(capath=named)
        return ssl.create_default_context(cafile=named)
    except OSError:
        raise ConfigError("REQUESTS_CA_BUNDLE names certificates that cannot be read; correct or remove it.") from None
