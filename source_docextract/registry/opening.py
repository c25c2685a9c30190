"""The registry file: opened from a storage or a path, and read within limits.

The file is CSV or JSON Lines. Its columns are `provider`, `template_id` and `batch_id`, and optionally `created_at` and
`expected_files`. Other columns are ignored.

Protection:
    The person who sets the URL may not be allowed to read every file on the machine, so no error quotes the content of
    the file. The person who keeps the file may not be allowed to reach every host of the network, so a redirect to a
    private address is refused (`addresses`), and the size of the file is limited.

Timeouts:
    A storage gets the timeouts that a provider gets (`core.requests.TIMEOUT`). S3 and Azure are tried twice, and Google
    Cloud Storage is retried within the read timeout. If S3 breaks the connection in the middle of the file, smart-open
    resumes up to five times. A storage that sends a byte now and then never reaches the read timeout, so there is also
    a deadline for the whole file. The libraries wait for whole buffers and cannot keep a deadline: a thread reads the
    file, and the thread that syncs waits for it.

smart-open is imported only for a sync with a registry. It imports the clients of all installed storages (16 MB).
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import IO
from urllib.parse import unquote, urlsplit

from ..core.errors import ConfigError, build_proxy_error
from ..core.provider import Registry
from ..core.proxies import find_proxy_setting
from ..core.redaction import register_secrets, strip_password
from .addresses import AddressGuard, Refusal, Resolve
from .credentials import Credentials, MachineCredentials
from .parsing import build_registry, parse_rows
from .sftp import open_sftp_file
from .storages import ForbiddenRedirect, NoCredentialsError, NotAFileError, build_transport_params, list_origins

_MAX_LINE_LENGTH, _MAX_LINES, _MAX_CHARACTERS = 10_000, 500_000, 100_000_000  # characters, lines, characters

_READ_DEADLINE = 300.0
"""Seconds to read the whole registry, enough for 100 MB at 3 Mbit/s."""


def read_registry(
    url: str, products: Collection[str], credentials: Credentials | None = None, resolve: Resolve | None = None
) -> Registry:
    """Read the registry and return the batches that it names.

    Args:
        url: the URL or local path of the file.
        products: the products that are set up; rows of other products are only counted.
        credentials: the credentials that open the file; by default the machine's.
        resolve: resolves the names of hosts; by default the machine does.

    Raises:
        ConfigError: the file cannot be opened, or it has invalid rows (the message names their lines).
    """
    has_credentials = not isinstance(credentials, MachineCredentials | None)
    # An error of a client may quote the password as it stands in the URL or decoded.
    register_secrets(_extract_password(url), unquote(_extract_password(url)))
    registry_label = f"The batch registry {_redact_url(url)}"
    stop_event, proxy_error, guards = Event(), None, list[AddressGuard]()
    try:
        # With both, it would be unclear which of them opens the file.
        if has_credentials and _extract_password(url):
            raise ConfigError(f"{registry_label} has credentials in batch_registry.url as well. Remove them there.")
        guards.append(AddressGuard(list_origins(url, credentials), resolve))
        return _run_with_deadline(
            lambda: _open_and_parse(url, products, registry_label, credentials, guard=guards[0], stop_event=stop_event)
        )
    except ConfigError:
        raise
    except Empty:
        problem = (
            f"took more than {_READ_DEADLINE:.0f} s to read. "
            "Check batch_registry.url, or store the file closer to the connector."
        )
    except NotAFileError as error:
        problem = f"is not a file: the server answers with the status {error.status}. Check batch_registry.url."
    except ForbiddenRedirect:
        problem = _REDIRECT_PROBLEM
    except ImportError:
        problem = f"needs another package: pip install 'source-docextract[{urlsplit(url).scheme}]'."
    except UnicodeDecodeError:
        problem = "is not UTF-8 text. Decompress it if it is compressed."
    except NoCredentialsError:
        problem = (
            "needs credentials, and the machine has none. "
            "Set batch_registry.credentials to azure_sas, azure_key or azure_connection_string."
        )
    except Exception as error:  # each storage library has its own errors
        # The name alone: the text may quote the URL or a key.
        error_name = _get_name(error)
        problem = _describe_failure(url, error_name, credentials, guards)
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


_REDIRECT_PROBLEM = (
    "redirects to a private or unencrypted address. If intended, set that address as batch_registry.url."
)

_MISSING_FILE_ERRORS = {"NoSuchKey", "NoSuchBucket", "NotFound", "ResourceNotFoundError", "FileNotFoundError"}
"""The errors about a missing file, bucket or container. Each storage checks the credentials first."""

_REJECTION_ADVICE = {
    ("InvalidAccessKeyId", "s3"): "Check batch_registry.credentials.access_key_id.",
    ("SignatureDoesNotMatch", "s3"): "Check batch_registry.credentials.secret_access_key.",
    ("ExpiredToken", "s3"): "Set new temporary credentials in batch_registry.credentials.",
    ("RefreshError", "google"): "Create another key of the service account, and set it as "
    "batch_registry.credentials.service_account.",
    ("Forbidden", "google"): "Give the service account of batch_registry.credentials the role Storage Object Viewer.",
    ("ClientAuthenticationError", "azure_sas"): "Check that batch_registry.credentials.sas_token has not expired, and "
    "permits Read for this file.",
    ("ClientAuthenticationError", "azure_key"): "Check batch_registry.credentials.account and account_key.",
    ("ClientAuthenticationError", "azure_connection_string"): "Copy batch_registry.credentials.connection_string "
    "again: its key or token is rejected.",
}
"""The advice for an error that concerns the credentials, by its name and their type."""


def _get_name(error: Exception) -> str:
    """Return the name of a storage library's error.

    smart-open wraps each error of S3 in an OSError. Azure's client gives only some of the rejections their own class.
    """
    if getattr(error, "status_code", None) in {401, 403}:
        return "ClientAuthenticationError"
    return type(error.__cause__ or error).__name__


def _describe_failure(
    url: str, error_name: str, credentials: Credentials | None, guards: Collection[AddressGuard]
) -> str:
    """Return the problem and the advice for an error of a storage library."""
    refusals = [guard.refusal for guard in guards if guard.refusal]
    if refusals == [Refusal.OTHER]:
        return _REDIRECT_PROBLEM
    if refusals:
        is_in_url = urlsplit(url).scheme in {"https", "http", "sftp"}
        name = "batch_registry.url" if is_in_url else "the address in batch_registry.credentials"
        return (
            "is not read: its host name leads to the connector's own machine or to an address that is reserved, such "
            f"as that of a metadata service. Check {name}."
        )
    if credentials is None or isinstance(credentials, MachineCredentials):
        return f"cannot be read ({error_name}). Check batch_registry.url."
    if error_name in _MISSING_FILE_ERRORS:
        return f"does not exist ({error_name}). The credentials are accepted; check batch_registry.url."
    advice = _REJECTION_ADVICE.get(
        (error_name, credentials.type), "Check batch_registry.url and batch_registry.credentials."
    )
    return f"cannot be read ({error_name}). {advice}"


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
    url: str,
    products: Collection[str],
    registry_label: str,
    credentials: Credentials | None,
    *,
    guard: AddressGuard,
    stop_event: Event,
) -> Registry:
    if _is_special_file(url):
        raise ConfigError(f"{registry_label} is not a file.")
    with _open_lines(url, registry_label, credentials, guard) as lines:
        rows = parse_rows(_limit_lines(lines, registry_label, stop_event), registry_label)
        return build_registry(rows, products, registry_label)


@contextmanager
def _open_lines(
    url: str, registry_label: str, credentials: Credentials | None, guard: AddressGuard
) -> Iterator[IO[str]]:
    # `utf-8-sig` drops the mark at the beginning of a file that spreadsheets write. `newline=""` leaves line ends to
    # the csv module, which needs them for cells of several lines.
    encoding, newline = "utf-8-sig", ""
    if urlsplit(url).scheme == "sftp":
        with open_sftp_file(url, registry_label, credentials, guard) as file:
            yield io.TextIOWrapper(file, encoding, newline=newline)
        return
    params = build_transport_params(url, credentials, guard)
    # Azure's own tools and most libraries write az://, and smart-open azure://.
    storage_url = f"azure{url[len('az') :]}" if urlsplit(url).scheme == "az" else url
    with import_module("smart_open").open(
        storage_url, encoding=encoding, newline=newline, compression="disable", transport_params=params
    ) as lines:
        yield lines


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
