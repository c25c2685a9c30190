"""The transport: sends one HTTP request and returns its response.

Its errors carry no text of the HTTP library, which may quote a key or a signed URL.

Only this module sends requests with aiohttp. The CDK's `HttpClient` is not used, for three reasons: its waits cannot be
cancelled, it logs what it sends, and one request costs as much CPU as all later work on the fifty documents of the
response.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn, Protocol
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
"""The longest response header. Gateways in front of a provider may send long ones; aiohttp's default is 8,190 bytes."""

_READ_BUFFER_BYTES = 262_144
"""Bytes of a response that aiohttp buffers before it stops reading from the connection."""

MAX_RESPONSE_BYTES = 256_000_000
"""The largest response body, decompressed.

A page holds at most a hundred documents of up to 100,000 characters. A larger body is endless, or a decompression bomb.
"""

_LARGE_RESPONSE_BYTES = 16_000_000
"""The body size beyond which responses are read one at a time, so that 50 of them do not fill the memory."""

_MAX_ERROR_BODY_BYTES = 1_000_000
"""The part of an error body that is read. The status says enough, and the rest is discarded."""

CONNECTION_FAILED = "could not be reached or closed the connection"
"""The reason of the RetryableError of a connection that ended before the response began."""

RESPONSE_CUT_SHORT = "ended the response too early"
"""The reason of the RetryableError of a connection that ended inside the response."""

_RETRYABLE_PROXY_STATUSES = frozenset({408, 425, 429})
"""The 4xx statuses of a proxy that another try may overcome."""


class InvalidRequestError(Exception):
    """A request that cannot be sent, such as one with a line break in a header.

    The message is the name of the library's exception. The exception's text may quote a key.
    """


class ResponseTooLargeError(Exception):
    """A response body above the size limit.

    Attributes:
        max_bytes: the limit.
    """

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes)
        self.max_bytes = max_bytes


class ProxyRefusedError(Exception):
    """A proxy that refuses the connection to the provider.

    Attributes:
        status: the HTTP status that the proxy returned.
        setting: the environment variable that names the proxy.
    """

    def __init__(self, status: int, setting: str) -> None:
        super().__init__(status, setting)
        self.status = status
        self.setting = setting


class Transport(Protocol):
    """The way of a request to one provider, and of the response back.

    Its methods belong to one event loop.
    """

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: Json, on_sent: Callable[[], None]
    ) -> RawResponse:
        """Send a request once and return the complete response.

        A response with any status is returned, redirects included: to follow one could send the key to another server.

        Args:
            method: the HTTP method.
            url: the URL, already percent-encoded.
            headers: the request headers.
            body: the JSON body, or None for no body.
            on_sent: called when the request has left over an open connection.

        Raises:
            RetryableError: no response came, or only a part of one.
            InvalidRequestError: the request cannot be sent.
            ProxyRefusedError: the proxy refuses the connection.
            ResponseTooLargeError: the body of a 2xx response is larger than `MAX_RESPONSE_BYTES`.
        """

    async def close(self) -> None:
        """Close all connections."""


class HttpTransport:
    """The HTTP connections to one provider: the `Transport` over sockets.

    The constructor may be called anywhere; `send` and `close` belong to one event loop.
    """

    def __init__(self, base_url: str, max_response_seconds: float, *, has_sent_callback: bool) -> None:
        """Find the proxy and load the CA certificates. No connection is opened yet.

        Args:
            base_url: the beginning of every URL that is requested.
            max_response_seconds: seconds from sending a request to the last byte of its response. The read timeout
                alone does not end a response that arrives a byte at a time.
            has_sent_callback: whether `send` calls `on_sent`. The callback costs CPU time for each request.

        Raises:
            ConfigError: the CA certificates cannot be read, or the proxy does not speak HTTP.
        """
        self._base_url = base_url
        self._max_response_seconds = max_response_seconds
        self._has_sent_callback = has_sent_callback
        is_encrypted = base_url.lower().startswith("https:")
        self._ssl = _create_ssl_context() if is_encrypted else True
        # Plain http is accepted for loopback alone, so its traffic must not leave the machine through a proxy.
        self._proxy, self._proxy_setting = _find_proxy(base_url) if is_encrypted else (None, "")
        self._open_session: aiohttp.ClientSession | None = None
        self._large_response_lock = asyncio.Lock()  # held by the one large response that is being read

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: Json, on_sent: Callable[[], None]
    ) -> RawResponse:
        """Send a request once and return the complete response; see `Transport`."""
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
        """Return the decompressed body, at most `MAX_RESPONSE_BYTES` of it.

        The body is counted chunk by chunk, so that a decompression bomb never unpacks more than one buffer too many.
        """
        is_success = 200 <= response.status < 300
        max_bytes = MAX_RESPONSE_BYTES if is_success else _MAX_ERROR_BODY_BYTES
        chunks, size, is_large = [], 0, False
        async with AsyncExitStack() as exit_stack:
            while chunk := await response.content.readany():
                chunks.append(chunk)
                size += len(chunk)
                if size > max_bytes:
                    response.close()  # to keep the connection, the rest would have to be read
                    if is_success:
                        # A stream keeps the error until the sync ends, and the error's traceback keeps this frame.
                        chunks.clear()
                        raise ResponseTooLargeError(max_bytes)
                    break
                # The lock is taken only here, so that a large response that stalls does not hold up the small ones.
                if size > _LARGE_RESPONSE_BYTES and not is_large:
                    is_large = True
                    await exit_stack.enter_async_context(self._large_response_lock)
            return b"".join(chunks)

    async def close(self) -> None:
        """Close all connections."""
        if self._open_session:
            await self._open_session.close()

    def _get_session(self) -> aiohttp.ClientSession:
        if self._open_session is None:
            URL(self._base_url)  # raises ValueError for an invalid URL; `send` passes URLs on without a check
            trace_config = aiohttp.TraceConfig()
            trace_config.on_request_headers_sent.append(_call_on_sent)
            # Without `trust_env`, with which aiohttp would take passwords from a netrc file too. Such a file belongs to
            # other tools and may neither replace the key nor add one.
            self._open_session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),  # the client limits the requests in flight
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
        # A proxy that refuses (403, 407) would refuse each further try. Its 5xx and a few of its 4xx may pass.
        if (
            isinstance(error, aiohttp.ClientHttpProxyError)
            and error.status < 500
            and error.status not in _RETRYABLE_PROXY_STATUSES
        ):
            raise ProxyRefusedError(error.status, self._proxy_setting) from None
        # The order matters: aiohttp derives its timeouts from `asyncio.TimeoutError` and from ClientConnectionError.
        for error_class, reason in (
            (aiohttp.ClientSSLError, "has a certificate that cannot be trusted"),
            (aiohttp.ConnectionTimeoutError, f"did not accept the connection within {TIMEOUT[0]} s"),
            (aiohttp.SocketTimeoutError, f"sent no data for {TIMEOUT[1]} s"),
            (asyncio.TimeoutError, f"took more than {self._max_response_seconds:.0f} s to respond"),
            ((aiohttp.ClientConnectionError, aiohttp.ClientHttpProxyError, OSError), CONNECTION_FAILED),
            (aiohttp.ClientResponseError, "sent a response that cannot be read"),
        ):
            if isinstance(error, error_class):
                is_proxy = isinstance(error, (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError))
                advice = f"Check the proxy that {self._proxy_setting} names." if is_proxy else ""
                # `from None`, here and below: the library's text may quote the URL with a signed query, or a key.
                raise RetryableError(reason, advice=advice) from None
        if isinstance(error, aiohttp.ClientPayloadError):
            is_decoding_error = isinstance(error.__cause__, ContentEncodingError)
            raise RetryableError(
                "sent a body that cannot be decompressed" if is_decoding_error else RESPONSE_CUT_SHORT
            ) from None
        raise InvalidRequestError(type(error).__name__) from None


async def _prevent_library_retry(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Turn a broken connection into an error that aiohttp does not retry.

    By default aiohttp sends an idempotent request again when a kept-alive connection breaks. The repeated request would
    be neither counted nor spaced.
    """
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        if isinstance(error, aiohttp.ClientConnectorError):
            raise
        raise RetryableError(CONNECTION_FAILED) from None


async def _call_on_sent(_session: aiohttp.ClientSession, trace_context: SimpleNamespace, _params: Any) -> None:
    trace_context.trace_request_ctx()


def _find_proxy(url: str) -> tuple[str | None, str]:
    """Return the proxy for a URL, and the environment variable that names it.

    Without a proxy, the result is `(None, "")`.

    Raises:
        ConfigError: the variable names a proxy that does not speak HTTP, or an invalid URL.
    """
    # The functions of requests, so that NO_PROXY means here what it means to the CDK and to other Python programs.
    proxy_value = select_proxy(url, get_environ_proxies(url))
    if not proxy_value:
        return None, ""
    setting = find_proxy_setting(proxy_value)
    proxy = proxy_value if "://" in proxy_value else f"http://{proxy_value}"  # many write `host:port` alone
    if not proxy.lower().startswith(("http:", "https:")):
        raise ConfigError(f"{setting} names a proxy that is not an HTTP proxy; name an HTTP proxy, or unset it.")
    # Messages may quote the password as the URL encodes it, or as it is.
    password = proxy.rpartition("@")[0].partition("://")[2].partition(":")[2]
    register_secrets(password, unquote(password))
    try:
        is_valid = bool(URL(proxy).host)
    except ValueError:  # its text quotes the URL, which may hold a password
        is_valid = False
    if not is_valid:
        raise ConfigError(f"{setting} is not a valid proxy address; write it like http://host:80.")
    return proxy, setting


def _create_ssl_context() -> ssl.SSLContext:
    """Return a TLS context with the CA certificates that requests and curl would use.

    Raises:
        ConfigError: the certificates cannot be read.
    """
    ca_path = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or DEFAULT_CA_BUNDLE_PATH
    try:
        if Path(ca_path).is_dir():
            return ssl.create_default_context(capath=ca_path)
        return ssl.create_default_context(cafile=ca_path)
    except OSError:
        raise ConfigError("REQUESTS_CA_BUNDLE names certificates that cannot be read; correct or remove it.") from None
