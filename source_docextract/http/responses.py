"""What an answer means: a body, a trouble that may pass, or one of our errors in plain words."""

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

_MAX_CONTENT_TYPE_LENGTH = 1_000  # characters

_MAX_REASON_BYTES = 100_000  # bytes of an answer that may be somebody's words

_HTML_SNIFF_BYTES = 1_000  # bytes

_RETRYABLE_REASONS = {_TOO_MANY_REQUESTS: "reports too many requests", 503: "is unavailable"}


class RawResponse(NamedTuple):
    """An answer as it came. The names of headers are compared whatever letters they are written in."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def content_type(self) -> str:
        return self.headers.get("Content-Type", "")[:_MAX_CONTENT_TYPE_LENGTH]

    @property
    def is_html_page(self) -> bool:
        """Whether it is a page for a browser, whatever its header says: frameworks send plain words as HTML, too."""
        return self.content[:_HTML_SNIFF_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


class RetryableError(Exception):
    """A try failed in a way that may pass. `asked` are the seconds that the provider asked to wait, `advice` is a
    sentence about what to do if it stays."""

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
    """Tells answers apart, for one provider.

    Args:
        longest_asked: seconds of `Retry-After` that are worth waiting for.
        now: the wall clock, for `Retry-After` dates.
    """

    def __init__(self, error_format: ErrorFormat, max_retry_after: float, now: Callable[[], datetime]) -> None:
        self._error_format = error_format
        self._max_retry_after = max_retry_after
        self._now = now

    def parse_body(self, response: RawResponse) -> Json:
        """The parsed body of a 2xx answer.

        Raises:
            Again: where another try may help.
            ConfigError, TransientError, BadAnswer, Refused: where it would not.
        """
        status = response.status
        try:
            body, is_json = parse_json(response.content, response.content_type), True
        except ValueError:
            body, is_json = None, False
        except BadByteError as byte_error:
            if 200 <= status < 300:
                raise self._build_bad_byte_error(byte_error) from None
            body, is_json = None, False
        if 200 <= status < 300:
            if not is_json:
                raise RetryableError("sent a response that is not JSON")
            return body
        body_start = response.content[:_MAX_REASON_BYTES]
        reason = self._sanitize_reason(
            self._error_format.extract_reason(body) if is_json else decode_text(body_start, response.content_type)
        )
        status_text = f" ({status}{f': {reason}' if reason else ''})"
        if status == _TOO_MANY_REQUESTS and self._error_format.is_quota_reason(reason):
            message = (
                f"{self._error_format.provider_name} reports that the plan's monthly quota is used up{status_text}. "
                "Sync again when the quota renews, or extend it."
            )
            raise QuotaError(message, status, body)
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
            error.is_throttled = status == _TOO_MANY_REQUESTS or error.retry_after is not None
            if (error.retry_after or 0) > self._max_retry_after:
                wait_text = _format_duration(error.retry_after or 0)
                message = (
                    f"{self._error_format.provider_name} asks to wait {wait_text}{status_text}. Sync again after that."
                )
                raise TransientError(message, status, body)
        raise error

    def build_too_large_error(self, max_bytes: int) -> UnreadableResponse:
        """The error for an answer of more than so many bytes, which is not read to its end."""
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
        """What answers in the provider's place says nothing of the key, nor of what was asked for."""
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
            return CredentialsError(f"{name} refused the credentials{status_text}. Check {credential_settings}.")
        if 300 <= status < 400:
            return ConfigError(
                f"{name} redirects to another address{status_text}. The key is not sent there: check base_url."
            )
        if status == 501:
            return UnreadableResponse(f"{name} does not support this request{status_text}. Check base_url.")
        if status >= 500 or status in {408, _TOO_MANY_REQUESTS} or self._error_format.is_retryable(status, body):
            return RetryableError(
                f"{_RETRYABLE_REASONS.get(status, 'reports a server error')}{status_text}", status, body
            )
        advice = f"The next sync tries again. If the error persists, ask {name} for its meaning."
        return RequestRejected(f"{name} refused the request{status_text}. {advice}", status, body)

    def _parse_retry_after(self, response: RawResponse) -> float | None:
        """Seconds out of a `Retry-After` header, which is a number or a date."""
        header = response.headers.get("Retry-After", "").strip()
        if re.fullmatch(r"[0-9]+(\.[0-9]+)?", header):
            return float(header)
        try:
            return max(0.0, (parsedate_to_datetime(header) - self._now()).total_seconds())
        except (TypeError, ValueError, OverflowError):
            return None

    @staticmethod
    def _sanitize_reason(text: str | None) -> str:
        """A provider's own words, fit for a log; nothing of a page that was meant for a browser."""
        return "" if not text or _is_html_page(text) else sanitize(text).rstrip(".")


def _get_plain_text(response: RawResponse) -> str | None:
    """Return the text of an answer that is no JSON; None for a page, which a gateway or a firewall has written."""
    text = response.content.decode(errors="replace").strip()
    return (
        None if not text or _is_html_page(text) or "html" in response.headers.get("Content-Type", "").lower() else text
    )


def _is_html_page(text: str) -> bool:
    return text.lstrip("\ufeff \t\r\n").startswith("<")


def _format_duration(seconds: float) -> str:
    for unit, unit_seconds in (("days", 86_400), ("hours", 3_600)):
        if seconds >= 2 * unit_seconds:
            return f"{min(seconds / unit_seconds, 999):.0f} {unit}"
    return f"{seconds / 60:.0f} minutes"
