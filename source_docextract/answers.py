"""What an answer means: a body, a trouble that may pass, or one of our errors in plain words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from .body import BadByteError, decoded, parsed
from .errors import BadAnswer, ConfigError, CredentialsError, QuotaError, Refused, TransientError, Unavailable
from .model import Json
from .plain import plain

TIMEOUT = (5, 60)
"""Seconds to connect, and seconds without a byte."""

_TOO_MANY = 429
_PROXY = 407
_FIREWALLS = frozenset({401, 403})

_LONGEST_CONTENT_TYPE = 1_000  # characters
_LONGEST_WORDS = 100_000  # bytes of an answer that may be somebody's words
_PAGE_BEGINS = 1_000  # bytes
_PASSING = {_TOO_MANY: "is asked too often", 503: "is down"}


class Reply(NamedTuple):
    """An answer as it came. The names of headers are compared whatever letters they are written in."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def content_type(self) -> str:
        return self.headers.get("Content-Type", "")[:_LONGEST_CONTENT_TYPE]

    @property
    def is_page(self) -> bool:
        """Whether it is a page for a browser, whatever its header says: frameworks send plain words as HTML, too."""
        return self.content[:_PAGE_BEGINS].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one API says that something went wrong.

    Attributes:
        name: the provider as a user knows it.
        credentials: the settings to check when it refuses the key.
        reason: the sentence inside an error body, if any.
        passes: whether a 4xx is a passing trouble, worth another try.
        final: a status after which no setting but the provider's address helps, with what to tell the user.
        refuses_key: the statuses that are about the key; others speak of what was asked for.
        is_quota: whether the reason of a 429 is that the month's allowance is used up, so that waiting is no use.
        is_about_id: whether a 4xx is the documented answer, in its documented form, that what was asked for by its id
            cannot be had. Given the status, and the body: parsed JSON, else text, None for a page of HTML. Every other
            4xx (402, 409, a gateway's 404) says nothing of the id.
    """

    name: str
    credentials: str
    reason: Callable[[Json], str | None]
    passes: Callable[[int, Json], bool] = lambda _status, _body: False
    final: Mapping[int, str] = field(default_factory=dict)
    refuses_key: frozenset[int] = frozenset({401, 403})
    is_quota: Callable[[str], bool] = lambda _reason: False
    is_about_id: Callable[[int, Json], bool] = lambda _status, _body: False


class Again(Exception):
    """A try failed in a way that may pass. `asked` are the seconds that the provider asked to wait, `advice` is a
    sentence about what to do if it stays."""

    def __init__(
        self,
        message: str,
        status: int | None = None,
        body: Json = None,
        *,
        throttled: bool = False,
        asked: float | None = None,
        advice: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = body
        self.throttled = throttled
        self.asked = asked
        self.advice = advice


class Judge:
    """Tells answers apart, for one provider.

    Args:
        longest_asked: seconds of `Retry-After` that are worth waiting for.
        now: the wall clock, for `Retry-After` dates.
    """

    def __init__(self, dialect: Dialect, longest_asked: float, now: Callable[[], datetime]) -> None:
        self._dialect = dialect
        self._longest_asked = longest_asked
        self._now = now

    def body(self, reply: Reply) -> Json:
        """The parsed body of a 2xx answer.

        Raises:
            Again: where another try may help.
            ConfigError, TransientError, BadAnswer, Refused: where it would not.
        """
        status = reply.status
        try:
            body, is_json = parsed(reply.content, reply.content_type), True
        except ValueError:
            body, is_json = None, False
        except BadByteError as bad:
            if 200 <= status < 300:
                raise self._unreadable(bad) from None
            body, is_json = None, False
        if 200 <= status < 300:
            if not is_json:
                raise Again("answered with something that is not JSON")
            return body
        sent = reply.content[:_LONGEST_WORDS]
        reason = self._plain(self._dialect.reason(body) if is_json else decoded(sent, reply.content_type))
        told = f" ({status}{f': {reason}' if reason else ''})"
        if status == _TOO_MANY and self._dialect.is_quota(reason):
            words = "has no more calls for this month; sync again when the month's allowance begins anew, or extend it"
            raise QuotaError(f"{self._dialect.name} {words}{told}.", status, body)
        is_in_between = status == _PROXY or (status in _FIREWALLS and reply.is_page)
        if (
            400 <= status < 500
            and not is_in_between
            and self._dialect.is_about_id(status, body if is_json else _text_of(reply))
        ):
            raise Unavailable(f"{self._dialect.name} refused the request{told}.", status, body)
        trouble = self._in_between(status) if is_in_between else self._trouble(status, body, told)
        if isinstance(trouble, Again):
            trouble.asked = self._retry_after(reply)
            trouble.throttled = status == _TOO_MANY or trouble.asked is not None
            if (trouble.asked or 0) > self._longest_asked:
                words = f"{self._dialect.name} asks to come back in {_in_words(trouble.asked or 0)}{told}."
                raise TransientError(words, status, body)
        raise trouble

    def too_large(self, largest: int) -> BadAnswer:
        """The error for an answer of more than so many bytes, which is not read to its end."""
        name = self._dialect.name
        return BadAnswer(
            f"{name} sent an answer of more than {largest / 1_000_000:g} MB ({largest:,} bytes). Split the batch into "
            f"smaller ones; if it is small, something else answers in {name}'s place: check base_url."
        )

    def _unreadable(self, bad: BadByteError) -> BadAnswer:
        name = self._dialect.name
        where = f"byte 0x{bad.byte:02x} at {bad.place:,} is not {bad.charset}"
        return BadAnswer(
            f"{name} sent a letter that its charset does not have ({where}). Nothing of this answer is delivered: "
            "report it there; the next sync reads it again."
        )

    def _in_between(self, status: int) -> Exception:
        """What answers in the provider's place says nothing of the key, nor of what was asked for."""
        if status == _PROXY:
            return refused_by_proxy(self._dialect.name, status)
        return Again(
            f"is hidden by a firewall, which answers with a page of HTML in its place ({status})",
            status,
            advice="Have it let this machine's requests pass, or sync again later.",
        )

    def _trouble(self, status: int, body: Json, told: str) -> Exception:
        name, credentials = self._dialect.name, self._dialect.credentials
        if status in self._dialect.final:
            return ConfigError(f"{name} {self._dialect.final[status]}{told}.")
        if status in self._dialect.refuses_key:
            return CredentialsError(f"{name} refused the credentials{told}. Check {credentials}.")
        if 300 <= status < 400:
            return ConfigError(f"{name} points to another address{told}; the key is not sent there. Check base_url.")
        if status == 501:
            return BadAnswer(f"{name} cannot do this{told}.")
        if status >= 500 or status in {408, _TOO_MANY} or self._dialect.passes(status, body):
            return Again(f"{_PASSING.get(status, 'had a trouble of its own')}{told}", status, body)
        advice = f"The next sync asks again; if it stays, {name} can say what it means."
        return Refused(f"{name} refused the request{told}. {advice}", status, body)

    def _retry_after(self, reply: Reply) -> float | None:
        """Seconds out of a `Retry-After` header, which is a number or a date."""
        header = reply.headers.get("Retry-After", "").strip()
        if re.fullmatch(r"[0-9]+(\.[0-9]+)?", header):
            return float(header)
        try:
            return max(0.0, (parsedate_to_datetime(header) - self._now()).total_seconds())
        except (TypeError, ValueError, OverflowError):
            return None

    @staticmethod
    def _plain(text: str | None) -> str:
        """A provider's own words, fit for a log; nothing of a page that was meant for a browser."""
        return "" if not text or _is_page(text) else plain(text).rstrip(".")


def _text_of(reply: Reply) -> str | None:
    """Return the text of an answer that is no JSON; None for a page, which a gateway or a firewall has written."""
    text = reply.content.decode(errors="replace").strip()
    return None if not text or _is_page(text) or "html" in reply.headers.get("Content-Type", "").lower() else text


def _is_page(text: str) -> bool:
    return text.lstrip("\ufeff \t\r\n").startswith("<")


def refused_by_proxy(what: str, status: int | None, setting: str = "HTTPS_PROXY") -> ConfigError:
    """The error for a proxy that lets nothing through, and that another try would find no kinder.

    Args:
        what: cannot be reached.
        setting: the environment variable that names the proxy.
    """
    advice = {
        None: f"Correct {setting}",
        _PROXY: f"Write a user and a password that it takes into {setting}",
    }.get(status, "Have it allow that host")
    number = "" if status is None else f" ({status})"
    return ConfigError(
        f"{what} cannot be reached: the proxy that {setting} names refused the connection{number}. {advice}, or list "
        "the host in NO_PROXY."
    )


def _in_words(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3_600)):
        if seconds >= 2 * length:
            return f"{min(seconds / length, 999):.0f} {unit}"
    return f"{seconds / 60:.0f} minutes"
