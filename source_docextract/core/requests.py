"""Requests, logins and error formats, as providers describe them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .json_types import Json


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request to a provider.

    Attributes:
        method: the HTTP method.
        path: the path below the provider's base URL, percent-encoded (`build_path`).
        params: the query parameters, not yet encoded.
        json: the JSON body; None for no body.
        headers: headers of this request, beside those of the provider.
        lane: the queue of the request. Requests of one lane share its spacing and its rate limiter, so that a throttled
            endpoint delays no other.
        is_tried_once: whether a retryable error is final: the response would only add advice to a message.
    """

    method: str
    path: str
    params: Mapping[str, str | int] = field(default_factory=dict)
    json: Mapping[str, Json] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    lane: str = ""
    is_tried_once: bool = False


@dataclass(frozen=True, slots=True)
class Login:
    """The exchange of credentials for a token.

    Attributes:
        request: the login request.
        header_name: the header that carries the token in all other requests.
        parse_token: returns the token and its lifetime in seconds, given the parsed response body.
    """

    request: Request
    header_name: str
    parse_token: Callable[[Json], tuple[str, float]]


def build_bearer_headers(key: str) -> dict[str, str]:
    """Return the headers that authenticate with a bearer key."""
    return {"Authorization": f"Bearer {key}"}


TIMEOUT = (5, 60)
"""Seconds to connect, and seconds between two bytes of a response."""


@dataclass(frozen=True, slots=True)
class ErrorFormat:
    """The form of an API's error responses.

    Attributes:
        provider_name: the provider's name in messages.
        credential_settings: the settings to check when the provider rejects the key, as a part of a sentence.
        extract_reason: returns the sentence inside a parsed error body, None where it has none.
        is_retryable: returns whether a 4xx may pass, given the status and the parsed body. Extracta's classification
            answers 400 "Internal server error".
        final_messages: the message of each status after which only another base URL helps.
        key_rejection_statuses: the statuses that reject the key. On DocMap 403 concerns a row of another user instead.
        is_quota_reason: returns whether the reason of a 429 is an exhausted monthly allowance, so that a retry is
            useless.
        is_unavailable: returns whether a 4xx is the documented answer, in its documented form, that the requested id
            cannot be had. It is given the status and the body: parsed JSON, else text, else None for a page of HTML.
            Every other 4xx (402, 409, a gateway's 404) proves nothing about the id, so no batch may turn `missing`.
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
"""Characters. Servers accept headers of 8 to 16 kB in all, so no request could carry a longer token."""
