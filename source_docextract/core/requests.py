"""Requests, logins and the error format of an API, as a provider describes them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .json_types import Json


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
    header_name: str
    parse_token: Callable[[Json], tuple[str, float]]


def build_bearer_headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


TIMEOUT = (5, 60)
"""Seconds to connect, and seconds without a byte."""


@dataclass(frozen=True, slots=True)
class ErrorFormat:
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

    provider_name: str
    credential_settings: str
    extract_reason: Callable[[Json], str | None]
    is_retryable: Callable[[int, Json], bool] = lambda _status, _body: False
    final_messages: Mapping[int, str] = field(default_factory=dict)
    key_rejection_statuses: frozenset[int] = frozenset({401, 403})
    is_quota_reason: Callable[[str], bool] = lambda _reason: False
    is_unavailable: Callable[[int, Json], bool] = lambda _status, _body: False


MAX_TOKEN_LENGTH = 16_384
"""Characters. Servers take headers of 8 to 16 kB in all, so no request could carry more."""
