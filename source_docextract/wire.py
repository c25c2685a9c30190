"""One exchange with a provider: what goes out, what comes back, and in plain words why nothing did.

Nothing else knows which library carries it. The CDK's client is not used: its waits cannot be ended, it logs what it
sends, and a request costs it as much as all that is done afterwards with the fifty documents of the answer.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn
from urllib.parse import unquote

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies, select_proxy
from yarl import URL

from .answers import TIMEOUT, Again, Reply
from .errors import ConfigError
from .model import Json
from .plain import hide

_LINE = 65_536
"""Bytes of a header. What sits in front of a provider may be talkative."""

_BUFFER = 262_144
"""Bytes of an answer that wait to be read before the sender is slowed down."""

LARGEST_ANSWER = 256_000_000
"""Bytes of an answer, unpacked. A page holds a hundred documents at most, and one of them 100,000 characters: what is
larger than this is no answer, but a body without end, or a few bytes that unpack to as many as one likes."""

_LARGE = 16_000_000
"""Bytes beyond which one answer at a time is read on, or fifty of them would take fifty times the memory of one."""

_LARGEST_WORDS = 1_000_000
"""Bytes of an answer that is none, of which the status says enough; the rest is not read."""

_BROKEN = "could not be reached or broke the connection"

_PASSING = frozenset({408, 425, 429})
"""Statuses below 500 with which a proxy does not refuse for good."""


class CannotBeSentError(Exception):
    """Something is wrong with a request itself. Its own words are not repeated: they may quote a key."""


class TooLargeError(Exception):
    """An answer is larger than any is. `largest` is what it might have."""

    def __init__(self, largest: int) -> None:
        super().__init__(largest)
        self.largest = largest


class RefusedByProxyError(Exception):
    """A proxy lets nothing through. `status` is what it answered, `setting` the variable that names it."""

    def __init__(self, status: int, setting: str) -> None:
        super().__init__(status, setting)
        self.status = status
        self.setting = setting


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
        self._proxy, self._proxy_setting = _proxy(base_url) if is_encrypted else (None, "")
        self._opened: aiohttp.ClientSession | None = None
        self._turn = asyncio.Lock()  # of those whose answers are large

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
            RefusedByProxyError, TooLargeError: as their names say.
        """
        try:
            request = self._session().request(
                method, URL(url, encoded=True), headers=headers, json=body, allow_redirects=False, proxy=self._proxy,
                ssl=self._trust, trace_request_ctx=when_out,
            )  # fmt: skip
            async with request as answer:
                return Reply(answer.status, answer.headers, await self._content(answer))
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError, ValueError) as error:
            self._explain(error)

    async def _content(self, answer: aiohttp.ClientResponse) -> bytes:
        """The body of an answer, unpacked. At most a buffer of it is unpacked before it is counted."""
        is_good = 200 <= answer.status < 300
        most = LARGEST_ANSWER if is_good else _LARGEST_WORDS
        parts, size, is_large = [], 0, False
        async with AsyncExitStack() as turn:
            while part := await answer.content.readany():
                parts.append(part)
                size += len(part)
                if size > most:
                    answer.close()  # what is still to come is not worth a connection
                    if is_good:
                        parts.clear()  # the error holds this frame for as long as a stream holds the error
                        raise TooLargeError(most)
                    break
                if size > _LARGE and not is_large:
                    is_large = True
                    await turn.enter_async_context(self._turn)
            return b"".join(parts)

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
        if isinstance(error, aiohttp.ClientHttpProxyError) and error.status < 500 and error.status not in _PASSING:
            raise RefusedByProxyError(error.status, self._proxy_setting) from None
        for kind, words in (
            (aiohttp.ClientSSLError, "has a certificate that cannot be trusted"),
            (aiohttp.ConnectionTimeoutError, f"did not take the connection within {TIMEOUT[0]} s"),
            (aiohttp.SocketTimeoutError, f"was silent for {TIMEOUT[1]} s"),
            (asyncio.TimeoutError, f"took more than {self._longest_answer:.0f} s to answer"),
            ((aiohttp.ClientConnectionError, aiohttp.ClientHttpProxyError, OSError), _BROKEN),
            (aiohttp.ClientResponseError, "gave an answer that cannot be read"),
        ):
            if isinstance(error, kind):
                is_proxy = isinstance(error, (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError))
                advice = f"Check the proxy that {self._proxy_setting} names." if is_proxy else ""
                raise Again(words, advice=advice) from None
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


def _proxy(url: str) -> tuple[str | None, str]:
    """The one that the environment names for an address, and in which variable. Many write it without `http://`."""
    named = select_proxy(url, get_environ_proxies(url))
    if not named:
        return None, ""
    setting = proxy_setting(named)
    proxy = named if "://" in named else f"http://{named}"
    if not proxy.lower().startswith(("http:", "https:")):
        raise ConfigError(f"{setting} names a proxy that does not speak HTTP; name another one, or unset it.")
    password = proxy.rpartition("@")[0].partition("://")[2].partition(":")[2]
    hide(password, unquote(password))
    try:
        is_address = bool(URL(proxy).host)
    except ValueError:  # its words quote the address
        is_address = False
    if not is_address:
        raise ConfigError(f"{setting} names a proxy by what is no address; write it like http://host:80.")
    return proxy, setting


def proxy_setting(proxy: str | None = None) -> str:
    """The variable of the environment that names a proxy, or the first that names one for addresses at https."""
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        value = os.environ.get(name)
        if value and proxy in {None, value}:
            return name
    return "HTTPS_PROXY"


def _trusted() -> ssl.SSLContext:
    """Trusts whom requests and curl would trust."""
    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or DEFAULT_CA_BUNDLE_PATH
    try:
        if Path(named).is_dir():
            return ssl.create_default_context(capath=named)
        return ssl.create_default_context(cafile=named)
    except OSError:
        raise ConfigError("REQUESTS_CA_BUNDLE names certificates that cannot be read; correct or remove it.") from None
