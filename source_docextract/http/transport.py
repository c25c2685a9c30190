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

from ..core.errors import ConfigError
from ..core.json_types import Json
from ..core.proxies import find_proxy_setting
from ..core.redaction import register_secrets
from ..core.requests import TIMEOUT
from .responses import RawResponse, RetryableError

_MAX_HEADER_BYTES = 65_536
"""Bytes of a header. What sits in front of a provider may be talkative."""

_READ_BUFFER_BYTES = 262_144
"""Bytes of an answer that wait to be read before the sender is slowed down."""

MAX_RESPONSE_BYTES = 256_000_000
"""Bytes of an answer, unpacked. A page holds a hundred documents at most, and one of them 100,000 characters: what is
larger than this is no answer, but a body without end, or a few bytes that unpack to as many as one likes."""

_LARGE_RESPONSE_BYTES = 16_000_000
"""Bytes beyond which one answer at a time is read on, or fifty of them would take fifty times the memory of one."""

_MAX_ERROR_BODY_BYTES = 1_000_000
"""Bytes of an answer that is none, of which the status says enough; the rest is not read."""

_CONNECTION_FAILED = "could not be reached or closed the connection"

_RETRYABLE_PROXY_STATUSES = frozenset({408, 425, 429})
"""Statuses below 500 with which a proxy does not refuse for good."""


class InvalidRequestError(Exception):
    """Something is wrong with a request itself. Its own words are not repeated: they may quote a key."""


class ResponseTooLargeError(Exception):
    """An answer is larger than any is. `largest` is what it might have."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes)
        self.max_bytes = max_bytes


class ProxyRefusedError(Exception):
    """A proxy lets nothing through. `status` is what it answered, `setting` the variable that names it."""

    def __init__(self, status: int, setting: str) -> None:
        super().__init__(status, setting)
        self.status = status
        self.setting = setting


class Transport:
    """The connections to one provider. All of it but the making belongs to one event loop.

    Args:
        base_url: what all addresses begin with.
        longest_answer: seconds from a request to the last byte of its answer: a byte now and then is no silence.
        tells: whether `when_out` is called, which costs something.

    Raises:
        ConfigError: where the certificates to trust cannot be read, or the proxy is of another kind.
    """

    def __init__(self, base_url: str, max_response_seconds: float, *, has_sent_callback: bool) -> None:
        self._base_url = base_url
        self._max_response_seconds = max_response_seconds
        self._has_sent_callback = has_sent_callback
        is_encrypted = base_url.lower().startswith("https:")
        self._ssl = _create_ssl_context() if is_encrypted else True
        # What is not encrypted stays on this machine, whatever proxies there are.
        self._proxy, self._proxy_setting = _find_proxy(base_url) if is_encrypted else (None, "")
        self._open_session: aiohttp.ClientSession | None = None
        self._large_response_lock = asyncio.Lock()  # of those whose answers are large

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: Json, on_sent: Callable[[], None]
    ) -> RawResponse:
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
            request = self._get_session().request(
                method, URL(url, encoded=True), headers=headers, json=body, allow_redirects=False, proxy=self._proxy,
                ssl=self._ssl, trace_request_ctx=on_sent,
            )  # fmt: skip
            async with request as response:
                return RawResponse(response.status, response.headers, await self._read_content(response))
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError, ValueError) as error:
            self._raise_translated(error)

    async def _read_content(self, response: aiohttp.ClientResponse) -> bytes:
        """The body of an answer, unpacked. At most a buffer of it is unpacked before it is counted."""
        is_success = 200 <= response.status < 300
        max_bytes = MAX_RESPONSE_BYTES if is_success else _MAX_ERROR_BODY_BYTES
        chunks, size, is_large = [], 0, False
        async with AsyncExitStack() as exit_stack:
            while chunk := await response.content.readany():
                chunks.append(chunk)
                size += len(chunk)
                if size > max_bytes:
                    response.close()  # what is still to come is not worth a connection
                    if is_success:
                        chunks.clear()  # the error holds this frame for as long as a stream holds the error
                        raise ResponseTooLargeError(max_bytes)
                    break
                if size > _LARGE_RESPONSE_BYTES and not is_large:
                    is_large = True
                    await exit_stack.enter_async_context(self._large_response_lock)
            return b"".join(chunks)

    async def close(self) -> None:
        if self._open_session:
            await self._open_session.close()

    def _get_session(self) -> aiohttp.ClientSession:
        if self._open_session is None:
            URL(self._base_url)  # finds out what can be no address; what is sent is not looked at any more
            trace_config = aiohttp.TraceConfig()
            trace_config.on_request_headers_sent.append(_call_on_sent)
            self._open_session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "source-docextract"},
                max_field_size=_MAX_HEADER_BYTES,
                max_line_size=_MAX_HEADER_BYTES,
                middlewares=(_prevent_library_retry,),
                read_bufsize=_READ_BUFFER_BYTES,
                timeout=aiohttp.ClientTimeout(
                    self._max_response_seconds, sock_connect=TIMEOUT[0], sock_read=TIMEOUT[1]
                ),
                trace_configs=[trace_config] if self._has_sent_callback else None,
            )
        return self._open_session

    def _raise_translated(self, error: Exception) -> NoReturn:
        if (
            isinstance(error, aiohttp.ClientHttpProxyError)
            and error.status < 500
            and error.status not in _RETRYABLE_PROXY_STATUSES
        ):
            raise ProxyRefusedError(error.status, self._proxy_setting) from None
        for error_class, reason in (
            (aiohttp.ClientSSLError, "has a certificate that cannot be trusted"),
            (aiohttp.ConnectionTimeoutError, f"did not accept the connection within {TIMEOUT[0]} s"),
            (aiohttp.SocketTimeoutError, f"sent no data for {TIMEOUT[1]} s"),
            (asyncio.TimeoutError, f"took more than {self._max_response_seconds:.0f} s to respond"),
            ((aiohttp.ClientConnectionError, aiohttp.ClientHttpProxyError, OSError), _CONNECTION_FAILED),
            (aiohttp.ClientResponseError, "sent a response that cannot be read"),
        ):
            if isinstance(error, error_class):
                is_proxy = isinstance(error, (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError))
                advice = f"Check the proxy that {self._proxy_setting} names." if is_proxy else ""
                raise RetryableError(reason, advice=advice) from None
        if isinstance(error, aiohttp.ClientPayloadError):
            is_decoding_error = isinstance(error.__cause__, ContentEncodingError)
            raise RetryableError(
                "sent a body that cannot be decompressed" if is_decoding_error else "ended the response too early"
            ) from None
        raise InvalidRequestError(type(error).__name__) from None


async def _prevent_library_retry(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keeps the library from trying again by itself: tries are counted, and spaced, elsewhere."""
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        if isinstance(error, aiohttp.ClientConnectorError):
            raise
        raise RetryableError(_CONNECTION_FAILED) from None


async def _call_on_sent(_session: aiohttp.ClientSession, trace_context: SimpleNamespace, _params: Any) -> None:
    trace_context.trace_request_ctx()


def _find_proxy(url: str) -> tuple[str | None, str]:
    """The one that the environment names for an address, and in which variable. Many write it without `http://`."""
    proxy_value = select_proxy(url, get_environ_proxies(url))
    if not proxy_value:
        return None, ""
    setting = find_proxy_setting(proxy_value)
    proxy = proxy_value if "://" in proxy_value else f"http://{proxy_value}"
    if not proxy.lower().startswith(("http:", "https:")):
        raise ConfigError(f"{setting} names a proxy that is not an HTTP proxy; name an HTTP proxy, or unset it.")
    password = proxy.rpartition("@")[0].partition("://")[2].partition(":")[2]
    register_secrets(password, unquote(password))
    try:
        is_valid = bool(URL(proxy).host)
    except ValueError:  # its words quote the address
        is_valid = False
    if not is_valid:
        raise ConfigError(f"{setting} is not a valid proxy address; write it like http://host:80.")
    return proxy, setting


def _create_ssl_context() -> ssl.SSLContext:
    """Trusts whom requests and curl would trust."""
    ca_path = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or DEFAULT_CA_BUNDLE_PATH
    try:
        if Path(ca_path).is_dir():
            return ssl.create_default_context(capath=ca_path)
        return ssl.create_default_context(cafile=ca_path)
    except OSError:
        raise ConfigError("REQUESTS_CA_BUNDLE names certificates that cannot be read; correct or remove it.") from None
