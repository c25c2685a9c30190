"""The client of a probe: sends one request at a time, spaced, at most thirty.

A probe needs statuses and headers, which the client of a sync does not return. So this client uses the transport
directly. It retries throttled requests only, since the probe is there to see other errors.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlencode, urlsplit

import orjson

from ..core.errors import ConfigError, build_proxy_error
from ..core.probing.assumptions import NO_RESPONSE, THROTTLED_STATUS, ProbeFlow, ProbeResponse
from ..core.redaction import register_secrets
from ..core.requests import Request
from ..http.responses import RetryableError
from ..http.transport import HttpTransport, InvalidRequestError, ProxyRefusedError, ResponseTooLargeError

MAX_REQUESTS = 30
"""Requests to one provider, retries included. The documentation promises this limit to users."""

DEFAULT_SPACING = 1.0
"""Seconds between two requests to a provider without a spacing in its settings."""

_MAX_ATTEMPTS = 3

_RESPONSE_TIMEOUT = 120.0  # seconds

_MAX_RETRY_DELAY = 20.0  # seconds; the wait for a longer `Retry-After` is cut, since a user waits for the report


class ProbeClient:
    """A client that runs the probe of one provider.

    Attributes:
        request_count: requests sent.
        response_count: responses about the request itself, not about the key, the rate or a failure on the way.
        throttled_count: requests that were throttled first, and then succeeded after a wait.
        limit_headers: the lowercase names of response headers about rate limits, in the order of their appearance.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        spacing: float = DEFAULT_SPACING,
        report_progress: Callable[[int], None] = lambda _number: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Create a client. The first request opens the connection.

        Args:
            base_url: the URL that every request path is appended to.
            headers: sent with each request; they carry the key.
            spacing: seconds between two requests.
            report_progress: called before each request, with its number.
            sleep: waits; injected by tests.

        Raises:
            ConfigError: the CA certificates cannot be read, or the proxy does not speak HTTP.
        """
        self.request_count = 0
        self.response_count = 0
        self.throttled_count = 0
        self.limit_headers: dict[str, None] = {}
        self._base_url = base_url
        self._headers = dict(headers)
        self._spacing = spacing
        self._report_progress = report_progress
        self._sleep = sleep
        self._transport = HttpTransport(base_url, _RESPONSE_TIMEOUT, has_sent_callback=False)

    async def run(self, flow: ProbeFlow) -> None:
        """Run a probe to its end, and close the connections.

        Raises:
            ConfigError: a request cannot be sent, for example because `base_url` is invalid.
        """
        try:
            request = next(flow)
            while True:
                request = flow.send(await self._send_with_retries(request))
        except StopIteration:
            return
        finally:
            await self._transport.close()

    async def _send_with_retries(self, request: Request) -> ProbeResponse:
        response = NO_RESPONSE
        for attempt in range(1, _MAX_ATTEMPTS + 1):
            # Checked before each attempt, since retries count towards the limit as well.
            if self.request_count >= MAX_REQUESTS:
                return response
            if self.request_count:
                await self._sleep(self._spacing)
            response = await self._send(request)
            if response.status != THROTTLED_STATUS:
                # The wait helped, so the 429 was about the rate. A used-up monthly quota would return 429 again.
                self.throttled_count += attempt > 1
                return response
            if attempt < _MAX_ATTEMPTS:
                await self._sleep(_get_retry_delay(response))
        return response

    async def _send(self, request: Request) -> ProbeResponse:
        self.request_count += 1
        self._report_progress(self.request_count)
        query = f"?{urlencode(request.params)}" if request.params else ""
        url = f"{self._base_url}{request.path}{query}"
        # The headers of a single request carry Atlas's login or its token.
        register_secrets(*request.headers.values())
        headers = {**self._headers, **request.headers}
        try:
            raw_response = await self._transport.send(request.method, url, headers, request.json, lambda: None)
        except RetryableError as transport_error:
            return ProbeResponse(0, error=str(transport_error))
        except ResponseTooLargeError:
            return ProbeResponse(0, error="sent a response that is too large")
        except ProxyRefusedError as refusal:
            host = urlsplit(self._base_url).hostname or "The provider"
            raise build_proxy_error(host, refusal.status, refusal.setting) from None
        except InvalidRequestError as error:
            raise ConfigError(
                f"No request can be sent to this address ({error}). Check base_url and the key."
            ) from None
        # Names only, in each usual spelling such as `RateLimit-Limit` and `X-Rate-Limit-Reset`: a report holds no
        # values.
        for name in raw_response.headers:
            if "ratelimit" in name.lower().replace("-", "") or name.lower() == "retry-after":
                self.limit_headers[name.lower()] = None
        response = _parse_response(raw_response.status, raw_response.headers, raw_response.content)
        # Most providers refuse a key with 403, and a firewall's page has the same status: neither shows any behaviour.
        self.response_count += response.is_about_request and response.status != 403
        return response


def _parse_response(status: int, headers: Mapping[str, str], content: bytes) -> ProbeResponse:
    # Sensible sends errors as plain text. Text that begins like HTML is the page of a gateway, not its answer.
    is_html = content.lstrip()[:1] == b"<"
    try:
        return ProbeResponse(status, headers, orjson.loads(content), is_json=True)
    except orjson.JSONDecodeError:
        return ProbeResponse(status, headers, is_html=is_html)


def _get_retry_delay(response: ProbeResponse) -> float:
    # `Retry-After` may also be a date. The probe then waits as if there were none.
    retry_after = response.headers.get("Retry-After", "")
    return min(float(retry_after), _MAX_RETRY_DELAY) if retry_after.isdecimal() else 2.0
