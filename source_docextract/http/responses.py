"""The classification of responses: a parsed body, or the error to raise."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from ..core.errors import (
    PROXY_AUTH_REQUIRED,
    ConfigError,
    CredentialsError,
    QuotaError,
    RequestRejected,
    ResourceUnavailable,
    TransientError,
    UnreadableResponse,
    build_proxy_error,
)
from ..core.json_types import Json
from ..core.redaction import sanitize
from ..core.requests import ErrorFormat
from .json_decoding import BadByteError, decode_text, parse_json

_TOO_MANY_REQUESTS = 429

_FIREWALL_STATUSES = frozenset({401, 403})

_MAX_CONTENT_TYPE_LENGTH = 1_000  # characters; `find_charset` keeps the headers it has seen in a cache

_MAX_REASON_BYTES = 100_000  # the part of an error body that is searched for a reason

_HTML_SNIFF_BYTES = 1_000  # the part of a body in which an HTML page shows itself

_RETRYABLE_REASONS = {_TOO_MANY_REQUESTS: "reports too many requests", 503: "is unavailable"}


class RawResponse(NamedTuple):
    """A complete HTTP response.

    Attributes:
        status: the HTTP status.
        headers: the response headers; their names are case-insensitive.
        content: the decompressed body.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def content_type(self) -> str:
        """Return the `Content-Type` header, or empty text without one."""
        return self.headers.get("Content-Type", "")[:_MAX_CONTENT_TYPE_LENGTH]

    @property
    def is_html_page(self) -> bool:
        """Return whether the body looks like an HTML page.

        The header does not decide: web frameworks also send plain error text as `text/html`.
        """
        return self.content[:_HTML_SNIFF_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


class RetryableError(Exception):
    """A failed try that another try may overcome.

    Attributes:
        status: the HTTP status, None without a response.
        body: the parsed JSON body, None without one.
        is_throttled: whether the provider asks for fewer requests (429, or a `Retry-After` header).
        retry_after: the seconds that the provider asks to wait, None if it names none.
        advice: a sentence for the user in case every try fails.
    """

    def __init__(
        self,
        message: str,
        status: int | None = None,
        body: Json = None,
        *,
        is_throttled: bool = False,
        retry_after: float | None = None,
        advice: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = body
        self.is_throttled = is_throttled
        self.retry_after = retry_after
        self.advice = advice


class ResponseClassifier:
    """A classifier for the responses of one provider."""

    def __init__(self, error_format: ErrorFormat, max_retry_after: float, now: Callable[[], datetime]) -> None:
        """Create a classifier.

        Args:
            error_format: how the provider reports errors.
            max_retry_after: the longest `Retry-After` in seconds that the connector waits for.
            now: returns the current time, to read dates in `Retry-After`.
        """
        self._error_format = error_format
        self._max_retry_after = max_retry_after
        self._now = now

    def parse_body(self, response: RawResponse) -> Json:
        """Return the parsed body of a 2xx response, and raise an error for any other.

        Raises:
            RetryableError: another try may help.
            ConfigError: the user has to change a setting, such as the key (CredentialsError) or `base_url`.
            TransientError: only a later sync can help: the quota is used up (QuotaError), or `Retry-After` is too long.
            UnreadableResponse: the body has a byte that its charset does not have, or the status is 501.
            ResourceUnavailable: the provider returns its documented error for an unknown id.
            RequestRejected: any other 4xx. It proves nothing about the requested id.
        """
        status = response.status
        try:
            body, is_json = parse_json(response.content, response.content_type), True
        except ValueError:
            body, is_json = None, False
        except BadByteError as byte_error:
            # Only documents must be exact. An error body with a bad byte keeps the meaning of its status.
            if 200 <= status < 300:
                raise self._build_bad_byte_error(byte_error) from None
            body, is_json = None, False
        if 200 <= status < 300:
            if not is_json:
                # A cut body or a gateway's page may be whole at the next try, so both are retried.
                raise RetryableError("sent a response that is not JSON")
            return body
        body_start = response.content[:_MAX_REASON_BYTES]
        reason = self._sanitize_reason(
            self._error_format.extract_reason(body) if is_json else decode_text(body_start, response.content_type)
        )
        status_text = f" ({status}{f': {reason}' if reason else ''})"
        # Sensible and DocMap return 429 for a throttled request and for a used-up monthly quota. Only the reason
        # distinguishes them, and a retry would not bring the quota back.
        if status == _TOO_MANY_REQUESTS and self._error_format.is_quota_reason(reason):
            message = (
                f"{self._error_format.provider_name} reports that the plan's monthly quota is used up{status_text}. "
                "Sync again when the quota renews, or extend it."
            )
            raise QuotaError(message, status, body)
        # A page of HTML with 401 or 403 is a firewall's, so it must not be reported as a wrong key.
        is_intermediary = status == PROXY_AUTH_REQUIRED or (status in _FIREWALL_STATUSES and response.is_html_page)
        if (
            400 <= status < 500
            and not is_intermediary
            and self._error_format.is_unavailable(status, body if is_json else _get_plain_text(response))
        ):
            raise ResourceUnavailable(
                f"{self._error_format.provider_name} refused the request{status_text}.", status, body
            )
        error = (
            self._build_intermediary_error(status) if is_intermediary else self._build_error(status, body, status_text)
        )
        if isinstance(error, RetryableError):
            error.retry_after = self._parse_retry_after(response)
            # `Retry-After` is obeyed with any status, so a 503 with this header delays its whole lane as a 429 does.
            error.is_throttled = status == _TOO_MANY_REQUESTS or error.retry_after is not None
            if (error.retry_after or 0) > self._max_retry_after:
                provider_name, duration = self._error_format.provider_name, _format_duration(error.retry_after or 0)
                message = f"{provider_name} asks to wait {duration}{status_text}. Sync again after that."
                raise TransientError(message, status, body)
        raise error

    def build_too_large_error(self, max_bytes: int) -> UnreadableResponse:
        """Return the error for a response body larger than `max_bytes`.

        It is not retryable: each try would download as much again.
        """
        name = self._error_format.provider_name
        return UnreadableResponse(
            f"{name} sent a response of more than {max_bytes / 1_000_000:g} MB ({max_bytes:,} bytes). "
            f"Split the batch into smaller ones. If it is small, the response is not from {name}: check base_url."
        )

    def _build_bad_byte_error(self, byte_error: BadByteError) -> UnreadableResponse:
        name = self._error_format.provider_name
        byte_text = f"byte 0x{byte_error.byte:02x} at {byte_error.position:,} is not {byte_error.charset}"
        return UnreadableResponse(
            f"{name} sent a response with a byte that its charset does not allow ({byte_text}). "
            f"Nothing of this response is delivered, and the next sync requests it again. Report it to {name}."
        )

    def _build_intermediary_error(self, status: int) -> Exception:
        """Return the error for the response of a proxy or a firewall.

        Such a response proves nothing about the key or the requested id.
        """
        if status == PROXY_AUTH_REQUIRED:
            return build_proxy_error(self._error_format.provider_name, status)
        return RetryableError(
            f"is blocked by a firewall that returns an HTML page ({status})",
            status,
            advice="Allow this machine's requests in the firewall, or sync again later.",
        )

    def _build_error(self, status: int, body: Json, status_text: str) -> Exception:
        name, credential_settings = self._error_format.provider_name, self._error_format.credential_settings
        if status in self._error_format.final_messages:
            return ConfigError(f"{name} {self._error_format.final_messages[status]}{status_text}.")
        if status in self._error_format.key_rejection_statuses:
            # Statuses differ by provider: DocMap's 403 is about a row of another user, not about the key.
            return CredentialsError(f"{name} refused the credentials{status_text}. Check {credential_settings}.")
        if 300 <= status < 400:
            # Redirects are not followed: the key would go to an address that no setting names.
            return ConfigError(
                f"{name} redirects to another address{status_text}. The key is not sent there: check base_url."
            )
        # DocMap documents 501 for a feature that is not configured, so another try would fail alike.
        if status == 501:
            return UnreadableResponse(f"{name} does not support this request{status_text}. Check base_url.")
        if status >= 500 or status in {408, _TOO_MANY_REQUESTS} or self._error_format.is_retryable(status, body):
            return RetryableError(
                f"{_RETRYABLE_REASONS.get(status, 'reports a server error')}{status_text}", status, body
            )
        advice = f"The next sync tries again. If the error persists, ask {name} for its meaning."
        return RequestRejected(f"{name} refused the request{status_text}. {advice}", status, body)

    def _parse_retry_after(self, response: RawResponse) -> float | None:
        """Return the seconds that a `Retry-After` header asks for.

        The result is None for a missing or unreadable header. RFC 9110 allows a whole number of seconds or an HTTP
        date. A fraction of a second is accepted as well.
        """
        header = response.headers.get("Retry-After", "").strip()
        if re.fullmatch(r"[0-9]+(\.[0-9]+)?", header):
            return float(header)
        try:
            # A date with the zone -0000 has no zone in Python, so the subtraction raises TypeError.
            return max(0.0, (parsedate_to_datetime(header) - self._now()).total_seconds())
        except (TypeError, ValueError, OverflowError):
            return None

    @staticmethod
    def _sanitize_reason(text: str | None) -> str:
        """Return a provider's error text for messages, empty for an HTML page."""
        return "" if not text or _is_html_page(text) else sanitize(text).rstrip(".")


def _get_plain_text(response: RawResponse) -> str | None:
    """Return the text of a response that is not JSON, or None for an HTML page.

    A page comes from a gateway or firewall. Sensible's documented errors are plain text, so the text may prove that an
    id is unknown.
    """
    text = response.content.decode(errors="replace").strip()
    is_declared_html = "html" in response.headers.get("Content-Type", "").lower()
    return None if not text or is_declared_html or _is_html_page(text) else text


def _is_html_page(text: str) -> bool:
    return text.lstrip("\ufeff \t\r\n").startswith("<")


def _format_duration(seconds: float) -> str:
    for unit, unit_seconds in (("days", 86_400), ("hours", 3_600)):
        if seconds >= 2 * unit_seconds:
            # Capped, since a header of a few hundred digits is read as infinity.
            return f"{min(seconds / unit_seconds, 999):.0f} {unit}"
    return f"{seconds / 60:.0f} minutes"
