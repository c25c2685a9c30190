"""The registry file: opened from https, s3, gs or a path, and read within limits.

The file is CSV or JSON Lines. Its columns are `provider`, `template_id` and `batch_id`, and optionally `created_at` and
`expected_files`. Other columns are ignored.

Protection:
    The person who sets the URL may not be allowed to read every file on the machine, so no error quotes the content of
    the file. The person who keeps the file may not be allowed to reach every host of the network, so a redirect to a
    private address is refused, and the size of the file is limited.

Timeouts:
    A storage gets the timeouts that a provider gets (`core.requests.TIMEOUT`). S3 is tried twice, and Google Cloud
    Storage is retried within the read timeout. If S3 breaks the connection in the middle of the file, smart-open
    resumes up to five times. A storage that sends a byte now and then never reaches the read timeout, so there is also
    a deadline for the whole file. The libraries wait for whole buffers and cannot keep a deadline: a thread reads the
    file, and the thread that syncs waits for it.

smart-open is imported only for a sync with a registry. It imports the clients of all installed storages (16 MB).
"""

from __future__ import annotations

import ipaddress
import re
import socket
from base64 import b64encode
from collections.abc import Callable, Collection, Iterator
from importlib import import_module
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import IO, Any
from urllib.parse import unquote, urljoin, urlsplit

import requests

from ..core.errors import ConfigError, build_proxy_error
from ..core.provider import Registry
from ..core.proxies import find_proxy_setting
from ..core.redaction import register_secrets, strip_password
from ..core.requests import TIMEOUT
from .credentials import BasicCredentials, Credentials, HeaderCredentials, MachineCredentials, S3Credentials
from .parsing import build_registry, parse_rows

_MAX_LINE_LENGTH, _MAX_LINES, _MAX_CHARACTERS = 10_000, 500_000, 100_000_000  # characters, lines, characters

_READ_DEADLINE = 300.0
"""Seconds to read the whole registry, enough for 100 MB at 3 Mbit/s."""

_WHOLE_FILE_STATUSES = frozenset({200, 203})
"""The statuses with which a web server sends a whole file. A 204, for example, is no empty file: it has no body."""


def read_registry(url: str, products: Collection[str], credentials: Credentials | None = None) -> Registry:
    """Read the registry and return the batches that it names.

    Args:
        url: the URL or local path of the file.
        products: the products that are set up; rows of other products are only counted.
        credentials: the credentials that open the file; by default the machine's.

    Raises:
        ConfigError: the file cannot be opened, or it has invalid rows (the message names their lines).
    """
    has_credentials = not isinstance(credentials, MachineCredentials | None)
    # An error of a client may quote the password as it stands in the URL or decoded.
    register_secrets(_extract_password(url), unquote(_extract_password(url)))
    registry_label = f"The batch registry {_redact_url(url)}"
    stop_event, proxy_error = Event(), None
    try:
        # With both, it would be unclear which of them opens the file.
        if has_credentials and _extract_password(url):
            raise ConfigError(f"{registry_label} has credentials in batch_registry.url as well. Remove them there.")
        return _run_with_deadline(lambda: _open_and_parse(url, products, registry_label, credentials, stop_event))
    except ConfigError:
        raise
    except Empty:
        problem = (
            f"took more than {_READ_DEADLINE:.0f} s to read. "
            "Check batch_registry.url, or store the file closer to the connector."
        )
    except _NotAFileError as error:
        problem = f"is not a file: the server answers with the status {error.status}. Check batch_registry.url."
    except _ForbiddenRedirect:
        problem = "redirects to a private or unencrypted address. If intended, set that address as batch_registry.url."
    except ImportError:
        problem = f"needs another package: pip install 'source-docextract[{urlsplit(url).scheme}]'."
    except UnicodeDecodeError:
        problem = "is not UTF-8 text. Decompress it if it is compressed."
    except Exception as error:  # each storage library has its own errors, and the advice is the same for all
        # The name alone: the text may quote the URL or a key. smart-open wraps each error of S3 in an OSError.
        error_name = type(error.__cause__ or error).__name__
        problem = f"cannot be read ({error_name}). Check batch_registry.url."
        if has_credentials:
            problem = f"cannot be read ({error_name}). Check batch_registry.url and batch_registry.credentials."
        # requests raises ProxyError here, and botocore ProxyConnectionError: the setting to check is that of the proxy.
        if "Proxy" in error_name:
            tunnel_match = re.search(r"Tunnel connection failed: ([0-9]{3})", str(error))
            proxy_error = build_proxy_error(
                registry_label, int(tunnel_match[1]) if tunnel_match else None, find_proxy_setting()
            )
    finally:
        # After the deadline the thread is still reading. This ends it at its next line.
        stop_event.set()
    # Raised outside the `except` blocks, so that no traceback shows the original error, which quotes the URL.
    raise proxy_error or ConfigError(f"{registry_label} {problem}")


def _run_with_deadline(read: Callable[[], Registry]) -> Registry:
    """Run `read` in a thread and return its result.

    Raises:
        Empty: the thread needs longer than `_READ_DEADLINE`.
        BaseException: the exception of `read`.
    """
    outcomes: SimpleQueue[Registry | BaseException] = SimpleQueue()

    def run_and_report() -> None:
        try:
            outcomes.put(read())
        except BaseException as error:
            # Any exception is reported, or the thread that syncs would wait for the whole deadline.
            outcomes.put(error)

    # A daemon, because a storage that sends nothing must not keep the process alive after the sync.
    Thread(target=run_and_report, name="registry", daemon=True).start()
    outcome = outcomes.get(timeout=_READ_DEADLINE)
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def _open_and_parse(
    url: str, products: Collection[str], registry_label: str, credentials: Credentials | None, stop_event: Event
) -> Registry:
    if _is_special_file(url):
        raise ConfigError(f"{registry_label} is not a file.")
    params = _add_credentials(_build_transport_params(url), credentials)
    # `utf-8-sig` drops the mark at the beginning of a file that spreadsheets write. `newline=""` leaves line ends to
    # the csv module, which needs them for cells of several lines.
    with import_module("smart_open").open(
        url, encoding="utf-8-sig", newline="", compression="disable", transport_params=params
    ) as lines:
        rows = parse_rows(_limit_lines(lines, registry_label, stop_event), registry_label)
        return build_registry(rows, products, registry_label)


def _is_special_file(url: str) -> bool:
    """Return whether a local path is a device, a pipe or a folder.

    Opening a pipe may block forever, and a device may be endless.
    """
    if urlsplit(url).scheme not in {"", "file"}:
        return False
    path = Path(import_module("smart_open.local_file").extract_local_path(url))
    return path.exists() and not path.is_file()


def _limit_lines(lines: IO[str], registry_label: str, stop_event: Event) -> Iterator[str]:
    """Yield the lines of a file that may be endless, until `stop_event` is set.

    Raises:
        ConfigError: the file exceeds a limit.
    """
    size = 0
    for line_number in range(1, _MAX_LINES + 2):
        if stop_event.is_set():
            return
        line = lines.readline(_MAX_LINE_LENGTH + 1)  # bounded: iteration would read an endless line into memory
        size += len(line)
        if not line:
            return
        if len(line) > _MAX_LINE_LENGTH:
            raise ConfigError(
                f"{registry_label} has a line {line_number} of more than {_MAX_LINE_LENGTH:,} characters."
            )
        if line_number > _MAX_LINES or size > _MAX_CHARACTERS:
            raise ConfigError(
                f"{registry_label} has more than {_MAX_LINES:,} lines or {_MAX_CHARACTERS:,} characters; split it."
            )
        yield line


class _ForbiddenRedirect(Exception):
    """A redirect to another server without https, or at a private address."""


class _NotAFileError(Exception):
    """A 2xx response without a whole file.

    Attributes:
        status: its HTTP status.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class _RestrictedSession(requests.Session):
    """A session that accepts whole files only, and restricts redirects.

    It follows a redirect to the same server, or to a public address with https.

    Attributes:
        secret_header_name: the header with the credentials. Like `Authorization`, it is sent to the server of the URL
            alone. requests removes only `Authorization` when a redirect leads to another server.
    """

    secret_header_name: str | None = None

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send a request and refuse a 2xx response without a whole file.

        Raises:
            _NotAFileError: the response has another 2xx status than 200 and 203.
        """
        response = super().send(request, **options)
        is_resumed_part = response.status_code == 206 and "Range" in request.headers  # after a broken connection
        if (
            response.ok
            and not response.is_redirect
            and response.status_code not in _WHOLE_FILE_STATUSES
            and not is_resumed_part
        ):
            response.close()
            raise _NotAFileError(response.status_code)
        return response

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Remove the credentials from a request that a redirect leads to another server."""
        super().rebuild_auth(prepared_request, response)  # type: ignore[no-untyped-call]
        source_url, target_url = response.request.url or "", prepared_request.url or ""
        is_other_server = self.should_strip_auth(source_url, target_url)  # type: ignore[no-untyped-call]
        if self.secret_header_name and is_other_server:
            prepared_request.headers.pop(self.secret_header_name, None)

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return the target of a redirect, or None for a response that is no redirect.

        Raises:
            _ForbiddenRedirect: the target is on another server, and not at a public https address.
        """
        target = super().get_redirect_target(resp)
        if target:
            source_parts, target_parts = urlsplit(resp.url), urlsplit(urljoin(resp.url, target))
            is_same_server = (source_parts.scheme, source_parts.hostname, source_parts.port) == (
                target_parts.scheme,
                target_parts.hostname,
                target_parts.port,
            )
            # The settings chose this server, so a redirect within it reaches no other host of the network.
            if not is_same_server and not (target_parts.scheme == "https" and _is_public(target_parts.hostname or "")):
                raise _ForbiddenRedirect
            # requests would read the body of the redirect to its end, and it may be endless.
            resp.raw.close()
            resp.raw = None
        return target


def _is_public(host: str) -> bool:
    """Return whether all addresses of a host are public.

    A name without an address here counts as public: only a proxy can resolve it.
    """
    try:
        addresses = [ipaddress.ip_address(address_info[4][0]) for address_info in socket.getaddrinfo(host, None)]
    except (OSError, UnicodeError):
        return True
    return all((getattr(address, "ipv4_mapped", None) or address).is_global for address in addresses)


def _build_transport_params(url: str) -> dict[str, Any]:
    """Return the timeouts and retries that smart-open passes to a storage client.

    Raises:
        ImportError: the extra with the client is not installed.
    """
    scheme = urlsplit(url).scheme
    if scheme in {"https", "http"}:
        session = _RestrictedSession()
        # Plain http is accepted for loopback alone, so it must not leave the machine through a proxy.
        session.trust_env = scheme == "https"
        return {"timeout": TIMEOUT, "session": session}
    if scheme == "s3":
        connect_timeout, read_timeout = TIMEOUT
        retries = {"mode": "standard", "total_max_attempts": 2}
        config = import_module("botocore.config").Config(
            connect_timeout=connect_timeout, read_timeout=read_timeout, retries=retries
        )
        return {"client_kwargs": {"S3.Client": {"config": config}}}
    if scheme == "gs":
        retry = import_module("google.cloud.storage.retry").DEFAULT_RETRY.with_timeout(TIMEOUT[1])
        read_options = {"timeout": TIMEOUT, "retry": retry}
        return {"get_blob_kwargs": read_options, "blob_open_kwargs": read_options}
    return {}


def _add_credentials(params: dict[str, Any], credentials: Credentials | None) -> dict[str, Any]:
    """Return the parameters for smart-open with the credentials of the settings added."""
    if isinstance(credentials, S3Credentials):
        key, secret = credentials.access_key_id.get_secret_value(), credentials.secret_access_key.get_secret_value()
        token = credentials.session_token.get_secret_value() if credentials.session_token else None
        # smart-open logs the parameters that it gets, so they are registered first.
        register_secrets(key, secret, token or "")
        key_options = {"aws_access_key_id": key, "aws_secret_access_key": secret, "aws_session_token": token}
        endpoint_options = {"region_name": credentials.region, "endpoint_url": credentials.endpoint}
        client_options = {**params["client_kwargs"]["S3.Client"], **key_options, **endpoint_options}
        return {**params, "client_kwargs": {"S3.Client": client_options}}
    if isinstance(credentials, BasicCredentials):
        user, password = credentials.username.get_secret_value(), credentials.password.get_secret_value()
        # HTTP basic authentication sends both in base64, which reveals them as well as plain text does.
        register_secrets(user, password, b64encode(f"{user}:{password}".encode()).decode())
        # As UTF-8 bytes: requests would encode text as Latin-1, which cannot hold every password.
        return {**params, "user": user.encode(), "password": password.encode()}
    if isinstance(credentials, HeaderCredentials):
        value = credentials.value.get_secret_value()
        # A value such as `Bearer` and a token holds the token, which an error may quote alone.
        register_secrets(value, *value.split())
        session: _RestrictedSession = params["session"]  # typed, so that mypy checks the attribute's name
        session.secret_header_name = credentials.name
        # These headers replace smart-open's default, which asks for an uncompressed file, so it is repeated here.
        return {**params, "headers": {"Accept-Encoding": "identity", credentials.name: value}}
    return params


def _redact_url(url: str) -> str:
    """Return a URL for messages: without user, password and query."""
    parts = urlsplit(url)
    if parts.scheme in {"https", "http"}:
        parts = urlsplit(strip_password(url))
        return f"{parts.scheme}://{parts.hostname}{parts.path}"
    if parts.scheme not in {"s3", "gs"}:
        return strip_password(url)
    bucket_path = f"{parts.netloc}{parts.path}"
    user_info, _, path_after_user = bucket_path.partition("@")
    # The form `key:secret@bucket`. A secret may hold slashes, so `netloc` may end inside it.
    return f"{parts.scheme}://{path_after_user if ':' in user_info else bucket_path}"


def _extract_password(url: str) -> str:
    """Return the password in a URL, or empty text without one.

    A password may hold any character, so it ends at the last `@`. For s3 and gs it ends at the first, as smart-open and
    its clients read it.
    """
    address = url.partition("//")[2] or url
    is_bucket = url.startswith(("s3:", "gs:"))
    user, _, password = (address.partition("@") if is_bucket else address.rpartition("@"))[0].partition(":")
    return "" if "/" in user else password
