"""Batches named in a file that the user keeps anyway: CSV or JSON Lines, from https, s3, gs or a local path.

Columns `provider`, `template_id`, `batch_id`, and optional `created_at`, `expected_files`; others are passed over. No
error repeats what the file holds: whoever may set its address is not thereby allowed to read any file. Nor is whoever
keeps it: it may not lead on to addresses inside a network, and it has an end.

A storage that falls silent ends the sync instead of holding it. It is given the seconds that a provider is given; s3 is
asked twice, and gs again while those seconds last. (What s3 breaks off in the middle, smart-open resumes, five times.)
One that sends a byte now and then is never silent, so there is a time for all of it as well. That nobody can keep who
reads by himself: the libraries wait for whole buffers. So a thread reads, and the one that syncs waits for it.
smart-open is imported where there is a registry: with it come the clients of all storages that are installed, 16 MB.
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
"""Seconds for the whole registry: 100 MB over a line of 3 Mbit/s."""

_WHOLE_FILE_STATUSES = frozenset({200, 203})
"""Statuses with which a web server sends a whole file. With 204, say, it sends none, and that names no batches."""


def read_registry(url: str, products: Collection[str], credentials: Credentials | None = None) -> Registry:
    """Reads the whole registry.

    Args:
        products: those that are set up; rows of others are only counted.
        credentials: what opens it; by default what the machine has.

    Raises:
        ConfigError: where it cannot be opened, or a row cannot be read (it names the lines).
    """
    has_credentials = not isinstance(credentials, MachineCredentials | None)
    register_secrets(_extract_password(url), unquote(_extract_password(url)))
    registry_label = f"The batch registry {_redact_url(url)}"
    stop_event, proxy_error = Event(), None
    try:
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
    except Exception as error:  # each kind of storage has errors of its own, and all mean the same here
        error_name = type(error.__cause__ or error).__name__  # smart-open makes an OSError of all that S3 says
        problem = f"cannot be read ({error_name}). Check batch_registry.url."
        if has_credentials:
            problem = f"cannot be read ({error_name}). Check batch_registry.url and batch_registry.credentials."
        if "Proxy" in error_name:
            tunnel_match = re.search(r"Tunnel connection failed: ([0-9]{3})", str(error))
            proxy_error = build_proxy_error(
                registry_label, int(tunnel_match[1]) if tunnel_match else None, find_proxy_setting()
            )
    finally:
        stop_event.set()
    # Not while another error is dealt with, which quotes the address.
    raise proxy_error or ConfigError(f"{registry_label} {problem}")


def _run_with_deadline(read: Callable[[], Registry]) -> Registry:
    """What is read, or raised, by a thread that nobody waits for any longer than that; else Empty."""
    outcomes: SimpleQueue[Registry | BaseException] = SimpleQueue()

    def run_and_report() -> None:
        try:
            outcomes.put(read())
        except BaseException as error:
            outcomes.put(error)

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
    with import_module("smart_open").open(
        url, encoding="utf-8-sig", newline="", compression="disable", transport_params=params
    ) as lines:
        return build_registry(
            parse_rows(_limit_lines(lines, registry_label, stop_event), registry_label), products, registry_label
        )


def _is_special_file(url: str) -> bool:
    """Whether it is something on this machine that is no file: a device, a pipe, a folder."""
    if urlsplit(url).scheme not in {"", "file"}:
        return False
    path = Path(import_module("smart_open.local_file").extract_local_path(url))
    return path.exists() and not path.is_file()


def _limit_lines(lines: IO[str], registry_label: str, stop_event: Event) -> Iterator[str]:
    """The lines of something that may have no end, for as long as somebody waits for them."""
    size = 0
    for line_number in range(1, _MAX_LINES + 2):
        if stop_event.is_set():
            return
        line = lines.readline(_MAX_LINE_LENGTH + 1)
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
    """A web server points to where its user did not."""


class _NotAFileError(Exception):
    """A web server answers with something that is no file."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class _RestrictedSession(requests.Session):
    """Follows to the same server, and to public addresses by https. Takes nothing but whole files."""

    secret_header_name: str | None = None
    """Is sent to the server of the address alone, as requests does it with Authorization."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        response = super().send(request, **options)
        is_resumed_part = response.status_code == 206 and "Range" in request.headers  # what was broken off is resumed
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
        super().rebuild_auth(prepared_request, response)  # type: ignore[no-untyped-call]
        source_url, target_url = response.request.url or "", prepared_request.url or ""
        is_other_server = self.should_strip_auth(source_url, target_url)  # type: ignore[no-untyped-call]
        if self.secret_header_name and is_other_server:
            prepared_request.headers.pop(self.secret_header_name, None)

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        target = super().get_redirect_target(resp)
        if target:
            source_parts, target_parts = urlsplit(resp.url), urlsplit(urljoin(resp.url, target))
            is_same_server = (source_parts.scheme, source_parts.hostname, source_parts.port) == (
                target_parts.scheme,
                target_parts.hostname,
                target_parts.port,
            )
            if not is_same_server and not (target_parts.scheme == "https" and _is_public(target_parts.hostname or "")):
                raise _ForbiddenRedirect
            resp.raw.close()  # it may have no end, and would be read to it
            resp.raw = None
        return target


def _is_public(host: str) -> bool:
    """Whether all its addresses are; a name that nobody knows here is left to a proxy that may."""
    try:
        addresses = [ipaddress.ip_address(address_info[4][0]) for address_info in socket.getaddrinfo(host, None)]
    except (OSError, UnicodeError):
        return True
    return all((getattr(address, "ipv4_mapped", None) or address).is_global for address in addresses)


def _build_transport_params(url: str) -> dict[str, Any]:
    """What smart-open hands on to the client of a storage. The clients come with the extras, so they may be missing."""
    scheme = urlsplit(url).scheme
    if scheme in {"https", "http"}:
        session = _RestrictedSession()
        session.trust_env = scheme == "https"  # what is not encrypted stays on this machine, whatever proxies there are
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
    """Return what smart-open hands on to the client of a storage, with the credentials of the settings."""
    if isinstance(credentials, S3Credentials):
        key, secret = credentials.access_key_id.get_secret_value(), credentials.secret_access_key.get_secret_value()
        token = credentials.session_token.get_secret_value() if credentials.session_token else None
        register_secrets(key, secret, token or "")
        key_options = {"aws_access_key_id": key, "aws_secret_access_key": secret, "aws_session_token": token}
        endpoint_options = {"region_name": credentials.region, "endpoint_url": credentials.endpoint}
        client_options = {**params["client_kwargs"]["S3.Client"], **key_options, **endpoint_options}
        return {**params, "client_kwargs": {"S3.Client": client_options}}
    if isinstance(credentials, BasicCredentials):
        user, password = credentials.username.get_secret_value(), credentials.password.get_secret_value()
        register_secrets(user, password, b64encode(f"{user}:{password}".encode()).decode())
        return {**params, "user": user.encode(), "password": password.encode()}
    if isinstance(credentials, HeaderCredentials):
        value = credentials.value.get_secret_value()
        register_secrets(value, *value.split())
        params["session"].secret_header = credentials.name
        # smart-open's own header, which keeps the file from being compressed on its way, is replaced by these.
        return {**params, "headers": {"Accept-Encoding": "identity", credentials.name: value}}
    return params


def _redact_url(url: str) -> str:
    """An address as it may be told: without user, password and query."""
    parts = urlsplit(url)
    if parts.scheme in {"https", "http"}:
        parts = urlsplit(strip_password(url))
        return f"{parts.scheme}://{parts.hostname}{parts.path}"
    if parts.scheme not in {"s3", "gs"}:
        return strip_password(url)
    bucket_path = f"{parts.netloc}{parts.path}"
    user_info, _, path_after_user = bucket_path.partition("@")
    return f"{parts.scheme}://{path_after_user if ':' in user_info else bucket_path}"  # key:secret@bucket; a secret may hold slashes


def _extract_password(url: str) -> str:
    """What stands between a user and the last @, whatever signs it holds; of s3 and gs before the first, as they do."""
    address = url.partition("//")[2] or url
    is_bucket = url.startswith(("s3:", "gs:"))
    user, _, password = (address.partition("@") if is_bucket else address.rpartition("@"))[0].partition(":")
    return "" if "/" in user else password
