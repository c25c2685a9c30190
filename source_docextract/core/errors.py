"""The connector's errors, named by the way to recover from them.

    ConnectorError
    ├── ConfigError                 the user has to change a setting
    │   ├── UnknownTemplate         the provider does not know a template that the settings name
    │   └── CredentialsError        the key is wrong: no further request to this provider can succeed
    ├── TransientError              a later sync may succeed; the client has already retried
    │   ├── QuotaError              the plan's allowance is used up: no further request can succeed for now
    │   └── SyncStopped             the sync is stopping
    ├── UnreadableResponse          the provider's response cannot be read
    │   ├── UnreadableLogin         the response to a login cannot be read: it concerns the provider, not one batch
    │   ├── BugError                the connector failed to read or deliver a response, by a fault of its own
    │   └── TooManyPages            a list has more pages than any list can have
    └── RequestRejected             a 4xx that proves nothing about the requested id: the next sync asks again
        └── ResourceUnavailable     the documented answer that the requested id cannot be had; providers may catch it

Every message is sanitized when the error is created, so it may be shown to users and logged: it has no key, no token
and no signed URL, even where it quotes a provider, a proxy or a library.
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

from airbyte_cdk.models import FailureType

from .redaction import sanitize_message

_MAX_MESSAGE_LENGTH = 4000  # characters

_PACKAGE = Path(__file__).parents[1]


class ConnectorError(Exception):
    """Base class of all errors that the connector raises on purpose.

    Attributes:
        failure_type: Airbyte's classification of the failure: config, transient or system error.
    """

    failure_type = FailureType.system_error

    def __init__(self, message: str) -> None:
        super().__init__(sanitize_message(message, _MAX_MESSAGE_LENGTH))

    def reword(self, message: str) -> ConnectorError:
        """Return an error with another message and the same failure type."""
        reworded = ConnectorError(message)
        reworded.failure_type = self.failure_type
        return reworded


class ConfigError(ConnectorError):
    """An error that lasts until the user changes a setting."""

    failure_type = FailureType.config_error


class UnknownTemplate(ConfigError):
    """A template that the settings name and the provider does not know.

    Attributes:
        product: the product under which the settings name it.
        template_id: the unknown id.
    """

    def __init__(self, message: str, product: str, template_id: str) -> None:
        super().__init__(message)
        self.product = product
        self.template_id = template_id


class CredentialsError(ConfigError):
    """A rejected key or login: no further request to the provider can succeed."""


class TransientError(ConnectorError):
    """A failure that may pass: the next sync resumes where this one stopped.

    Attributes:
        status: the HTTP status of the last try; None where no response came.
        body: the parsed JSON body of that response; None where it had none.
    """

    failure_type = FailureType.transient_error

    def __init__(self, message: str, status: int | None = None, body: Any = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class QuotaError(TransientError):
    """An exhausted monthly allowance: a retry would be rejected as well."""


class SyncStopped(TransientError):
    """The end of a request that was still waiting when the sync stopped.

    The next sync makes the request.
    """


class UnreadableResponse(ConnectorError):
    """A response without the parts that are needed to read it safely."""


class UnreadableLogin(UnreadableResponse):
    """An unreadable response to a login.

    Without a token, every request would start another login.
    """


class BugError(UnreadableResponse):
    """An unexpected exception. It fails one batch, as an unreadable response does."""


class TooManyPages(UnreadableResponse):
    """A list with more pages than any list can have."""


class RequestRejected(ConnectorError):
    """A 4xx about neither the key nor the rate, such as 402 or a gateway's 404.

    It proves nothing about the requested id: a plan may have lapsed, or a gateway may have answered in the provider's
    place. No provider catches it, so it fails the batch, and the next sync asks again.

    Attributes:
        status: the HTTP status, 400 to 499.
        body: the parsed JSON body; None where it was not JSON.
    """

    failure_type = FailureType.transient_error

    def __init__(self, message: str, status: int, body: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class ResourceUnavailable(RequestRejected):
    """The documented answer that a requested id cannot be had.

    The provider does not know the id, the id belongs to another account, or the response exceeds the size that the
    provider sends. `ErrorFormat.is_unavailable` recognizes the answer.
    """


def locate_bug(bug: BaseException) -> str:
    """Return the type of an exception and its places in this package, innermost first.

    The exception's own message is left out: it may quote extracted data.
    """
    frames = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(bug.__traceback__)]
    places = [
        f"{file.relative_to(_PACKAGE).as_posix()}:{line}" for file, line in reversed(frames) if _PACKAGE in file.parents
    ]
    bug_type = type(bug).__name__
    return " < ".join([f"{bug_type} at {places[0]}", *places[1:3]]) if places else bug_type


def build_unexpected_error(bug: Exception) -> ConnectorError:
    """Return the error for an unexpected exception that ends a sync.

    It does not quote the exception's message, which may hold extracted data.
    """
    return ConnectorError(
        f"Unexpected error ({locate_bug(bug)}). This is a bug in the connector: please report it. "
        "The next sync resumes from the last state."
    )


def build_batch_error(provider_name: str, bug: Exception) -> ConnectorError:
    """Return the error for an exception that fails one batch.

    A connector error is returned as it is. Any other exception is a bug of the connector, except for a response that is
    nested too deeply.
    """
    if isinstance(bug, ConnectorError):
        return bug
    # Deep nesting is the provider's doing: orjson writes 254 levels, and Python's recursion ends at about 1,000.
    if isinstance(bug, RecursionError) or "Recursion limit reached" in str(bug):
        return UnreadableResponse(f"{provider_name} sent a response that is nested too deeply.")
    return BugError(
        f"A response from {provider_name} led to an unexpected error ({locate_bug(bug)}). "
        "This is a bug in the connector: please report it."
    )


PROXY_AUTH_REQUIRED = 407


def build_proxy_error(target: str, status: int | None, setting: str = "HTTPS_PROXY") -> ConfigError:
    """Return the error for a proxy that refuses the connection.

    It is final: a retry would be refused as well.

    Args:
        target: the provider or host that cannot be reached; the beginning of the message.
        status: the proxy's HTTP status; None where it sent none.
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
