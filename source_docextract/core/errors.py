"""What can go wrong, named by what it takes to recover.

    ConnectorError
    ├── ConfigError       the user has to change a setting (an unknown template, an address)
    │   ├── UnknownTemplate    the provider does not know a template that is named
    │   └── CredentialsError   the key is wrong: no further request to this provider can succeed
    ├── TransientError    worth another sync later; the client has already retried
    │   ├── QuotaError    what the plan allows is used up: no further request to this provider can succeed for now
    │   └── Stopped       the sync was told to stop while this was waiting
    ├── BadAnswer         the provider answered with something that cannot be read
    │   ├── BadLogin      the same of a login: it speaks of the provider, not of one batch
    │   ├── BugError      this connector cannot read or deliver it, by a fault of its own
    │   └── TooManyPages  its list has more pages than any list can have
    └── Refused           the provider said no (a 4xx): that says nothing of what was asked for, so it is asked again
        └── Unavailable   the documented answer that what was asked for by its id cannot be had; readers may catch it

Every message is one plain sentence that may be shown to a user: no key, no token, no signed link, whoever wrote it.
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

from airbyte_cdk.models import FailureType

from .redaction import sanitize_message

_MAX_MESSAGE_LENGTH = 4000  # characters of a message


_PACKAGE = Path(__file__).parents[1]


class ConnectorError(Exception):
    """Base of all errors this connector raises on purpose."""

    failure_type = FailureType.system_error

    def __init__(self, message: str) -> None:
        super().__init__(sanitize_message(message, _MAX_MESSAGE_LENGTH))

    def reword(self, message: str) -> ConnectorError:
        """In other words; what it takes to recover is the same."""
        reworded = ConnectorError(message)
        reworded.failure_type = self.failure_type
        return reworded


class ConfigError(ConnectorError):
    """Nothing will work until the user changes a setting."""

    failure_type = FailureType.config_error


class UnknownTemplate(ConfigError):
    """A template that is named and that its provider does not know.

    Attributes:
        product: the product whose templates it is named among.
    """

    def __init__(self, message: str, product: str, template_id: str) -> None:
        super().__init__(message)
        self.product = product
        self.template_id = template_id


class CredentialsError(ConfigError):
    """The provider refused the key or the login: no further request to it can succeed."""


class TransientError(ConnectorError):
    """Out of reach for now; the next sync picks up exactly what this one left.

    Attributes:
        status: the HTTP status of the last try, None where there was no answer.
        body: its parsed JSON body, None where it had none.
    """

    failure_type = FailureType.transient_error

    def __init__(self, message: str, status: int | None = None, body: Any = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class QuotaError(TransientError):
    """What the user's plan allows for the month is used up: another try would be refused as well."""


class SyncStopped(TransientError):
    """The sync is ending; what was still waiting is left for the next one."""


class UnreadableResponse(ConnectorError):
    """An answer without the parts that are needed to read it safely."""


class UnreadableLogin(UnreadableResponse):
    """An answer to a login that cannot be read: each further request would ask for another one."""


class BugError(UnreadableResponse):
    """An exception that this connector does not expect. It costs its batch, as an answer that cannot be read does."""


class TooManyPages(UnreadableResponse):
    """A list that goes on beyond what any list can hold."""


class RequestRejected(ConnectorError):
    """A 4xx that is neither about the key nor about the rate, such as 402 or a gateway's 404.

    It proves nothing about what was asked for: a plan may have lapsed, or a gateway may have answered in the provider's
    place. No reader catches it, so it fails the batch, and the next sync asks again.

    Attributes:
        status: the HTTP status, 400..499.
        body: the parsed JSON body, or None where it was not JSON.
    """

    failure_type = FailureType.transient_error

    def __init__(self, message: str, status: int, body: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class ResourceUnavailable(RequestRejected):
    """The documented answer, in its documented form, that what was asked for by its id cannot be had.

    The provider does not know the id, or it belongs to another account, or it is more than the provider sends.
    """


def locate_bug(bug: BaseException) -> str:
    """What kind of bug, and where, the innermost place first. Its own words may hold what was extracted."""
    frames = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(bug.__traceback__)]
    places = [
        f"{file.relative_to(_PACKAGE).as_posix()}:{line}" for file, line in reversed(frames) if _PACKAGE in file.parents
    ]
    return " < ".join([f"{type(bug).__name__} at {places[0]}", *places[1:3]]) if places else type(bug).__name__


def build_unexpected_error(bug: Exception) -> ConnectorError:
    """Return the error for an unexpected exception that ends a sync, without the words of the exception."""
    return ConnectorError(
        f"Unexpected error ({locate_bug(bug)}). This is a bug in the connector: please report it. "
        "The next sync resumes from the last state."
    )


def build_batch_error(provider_name: str, bug: Exception) -> ConnectorError:
    """Return the error for an exception that costs one batch.

    An answer may be nested more deeply than JSON can be written (orjson stops at 254 levels, Python's recursion at
    about 1,000): that is the provider's. Any other exception is ours.
    """
    if isinstance(bug, ConnectorError):
        return bug
    if isinstance(bug, RecursionError) or "Recursion limit reached" in str(bug):
        return UnreadableResponse(f"{provider_name} sent a response that is nested too deeply.")
    return BugError(
        f"A response from {provider_name} led to an unexpected error ({locate_bug(bug)}). "
        "This is a bug in the connector: please report it."
    )


PROXY_AUTH_REQUIRED = 407


def build_proxy_error(target: str, status: int | None, setting: str = "HTTPS_PROXY") -> ConfigError:
    """The error for a proxy that lets nothing through, and that another try would find no kinder.

    Args:
        what: cannot be reached.
        setting: the environment variable that names the proxy.
    """
    advice = {
        None: f"Correct {setting}",
        PROXY_AUTH_REQUIRED: f"Write a valid user and password into {setting}",
    }.get(status, "Allow the host in the proxy")
    status_text = "" if status is None else f" ({status})"
    return ConfigError(
        f"{target} cannot be reached: the proxy that {setting} names refused the connection{status_text}. "
        f"{advice}, or list the host in NO_PROXY."
    )
