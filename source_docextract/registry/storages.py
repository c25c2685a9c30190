"""The clients of the storages that a registry may lie in, with their timeouts, retries and credentials.

Each client is imported when it is needed: the image has all of them, and a sync needs one at most.
"""

from __future__ import annotations

import json
import os
from base64 import b64encode
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import requests

from ..core.redaction import register_secrets
from ..core.requests import TIMEOUT
from ..core.secret_parts import list_secret_parts, parse_connection_string
from ..core.validation import build_blob_endpoint
from .addresses import AddressGuard, build_pool_classes, guard_session
from .credentials import (
    AzureConnectionCredentials,
    AzureKeyCredentials,
    AzureSasCredentials,
    BasicCredentials,
    Credentials,
    GoogleCredentials,
    HeaderCredentials,
    S3Credentials,
)

_WHOLE_FILE_STATUSES = frozenset({200, 203})
"""The statuses with which a web server sends a whole file. A 204, for example, is no empty file: it has no body."""

_GOOGLE_SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"

_BLOB_RETRY_WAIT = 1  # seconds; the default is 15


class NotAFileError(Exception):
    """A 2xx response without a whole file.

    Attributes:
        status: its HTTP status.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class NoCredentialsError(Exception):
    """A storage of Azure for which neither the settings nor the machine have credentials."""


class ForbiddenRedirect(Exception):
    """A redirect to another server without https, or at a private address."""


def list_origins(url: str, credentials: Credentials | None) -> list[SplitResult]:
    """Return the URLs in the settings whose hosts a storage client connects to."""
    origins = [urlsplit(url)] if urlsplit(url).scheme in {"https", "http", "sftp"} else []
    if isinstance(credentials, S3Credentials) and credentials.endpoint:
        origins.append(urlsplit(credentials.endpoint))
    if isinstance(credentials, GoogleCredentials):
        origins.append(urlsplit(json.loads(credentials.service_account.get_secret_value())["token_uri"]))
    if urlsplit(url).scheme == "az":
        origins.append(urlsplit(_find_blob_login(credentials)[0]))
    return origins


def build_transport_params(url: str, credentials: Credentials | None, guard: AddressGuard) -> dict[str, Any]:
    """Return the parameters that smart-open passes to a storage client.

    Args:
        url: the URL of the file.
        credentials: the credentials of the settings.
        guard: the check of the addresses of the hosts that the settings name.

    Raises:
        NoCredentialsError: neither the settings nor the machine have credentials for Azure.
        ImportError: the extra with the client is not installed.
    """
    scheme = urlsplit(url).scheme
    if scheme in {"https", "http"}:
        return _build_http_params(scheme, credentials, guard)
    if scheme == "s3":
        return _build_s3_params(credentials, guard)
    if scheme == "gs":
        return _build_google_params(credentials, guard)
    if scheme == "az":
        return _build_azure_params(credentials, guard)
    return {}


class RestrictedSession(requests.Session):
    """A session that accepts whole files only, and restricts redirects.

    It follows a redirect to the same server, or to a public address with https.

    Attributes:
        secret_header_name: the header with the credentials. Like `Authorization`, it is sent to the server of the URL
            alone. requests removes only `Authorization` when a redirect leads to another server.
        guard: the check of the addresses.
    """

    secret_header_name: str | None = None

    def __init__(self, guard: AddressGuard) -> None:
        super().__init__()
        self.guard = guard
        guard_session(self, guard)

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send a request and refuse a 2xx response without a whole file.

        Raises:
            NotAFileError: the response has another 2xx status than 200 and 203.
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
            raise NotAFileError(response.status_code)
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

        The addresses of its host are checked when the connection to it is made.

        Raises:
            ForbiddenRedirect: the target is on another server, and not at an https address.
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
            if not is_same_server and target_parts.scheme != "https":
                raise ForbiddenRedirect
            if not is_same_server:
                self._check_proxied_target(target_parts)
            # requests would read the body of the redirect to its end, and it may be endless.
            resp.raw.close()
            resp.raw = None
        return target

    def _check_proxied_target(self, target_parts: SplitResult) -> None:
        """Check the host of a redirect that a proxy resolves, as far as this machine can resolve it.

        Raises:
            ForbiddenAddress: an address of the host is not public.
        """
        proxies = requests.utils.get_environ_proxies(target_parts.geturl()) if self.trust_env else {}
        if not requests.utils.select_proxy(target_parts.geturl(), proxies):
            return
        try:
            self.guard.resolve(target_parts.hostname or "", target_parts.port or 443)
        except OSError:
            # Only the proxy knows the name.
            return


def _build_http_params(scheme: str, credentials: Credentials | None, guard: AddressGuard) -> dict[str, Any]:
    session = RestrictedSession(guard)
    # Plain http is accepted for loopback alone, so it must not leave the machine through a proxy.
    session.trust_env = scheme == "https"
    params: dict[str, Any] = {"timeout": TIMEOUT, "session": session}
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
        session.secret_header_name = credentials.name
        # These headers replace smart-open's default, which asks for an uncompressed file, so it is repeated here.
        return {**params, "headers": {"Accept-Encoding": "identity", credentials.name: value}}
    return params


def _build_s3_params(credentials: Credentials | None, guard: AddressGuard) -> dict[str, Any]:
    connect_timeout, read_timeout = TIMEOUT
    retries = {"mode": "standard", "total_max_attempts": 2}
    config = import_module("botocore.config").Config(
        connect_timeout=connect_timeout, read_timeout=read_timeout, retries=retries
    )
    if not isinstance(credentials, S3Credentials):
        return {"client_kwargs": {"S3.Client": {"config": config}}}
    key, secret = credentials.access_key_id.get_secret_value(), credentials.secret_access_key.get_secret_value()
    token = credentials.session_token.get_secret_value() if credentials.session_token else None
    # smart-open logs the parameters that it gets, so they are registered first.
    register_secrets(key, secret, token or "")
    client = (
        import_module("boto3")
        .session.Session()
        .client(
            "s3",
            config=config,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            aws_session_token=token,
            region_name=credentials.region,
            endpoint_url=credentials.endpoint,
        )
    )
    if credentials.endpoint:
        # botocore has no public way to choose the connections of a client.
        aws = import_module("botocore.awsrequest")
        pool_classes = build_pool_classes(guard, aws.AWSHTTPConnection, aws.AWSHTTPSConnection)
        client._endpoint.http_session._manager.pool_classes_by_scheme = pool_classes
    return {"client": client}


def _build_google_params(credentials: Credentials | None, guard: AddressGuard) -> dict[str, Any]:
    retry = import_module("google.cloud.storage.retry").DEFAULT_RETRY.with_timeout(TIMEOUT[1])
    read_options = {"timeout": TIMEOUT, "retry": retry}
    params: dict[str, Any] = {"get_blob_kwargs": read_options, "blob_open_kwargs": read_options}
    if not isinstance(credentials, GoogleCredentials):
        return params
    key_file_text = credentials.service_account.get_secret_value()
    register_secrets(*list_secret_parts(key_file_text))
    key_file = json.loads(key_file_text)
    google_credentials = import_module("google.oauth2.service_account").Credentials.from_service_account_info(
        key_file, scopes=[_GOOGLE_SCOPE]
    )
    session = requests.Session()
    guard_session(session, guard)
    session.trust_env = key_file["token_uri"].startswith("https:")
    # The client itself would wait for the token longer than for the file.
    token_request = import_module("google.auth.transport.requests").Request(session)
    google_credentials.refresh(partial(token_request, timeout=TIMEOUT))
    register_secrets(google_credentials.token)
    client = import_module("google.cloud.storage").Client(
        project=key_file.get("project_id"), credentials=google_credentials
    )
    return {**params, "client": client}


_AZURE_VARIABLES = (
    "AZURE_STORAGE_CONNECTION_STRING",
    "AZURE_STORAGE_ACCOUNT",
    "AZURE_STORAGE_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
)
"""The environment variables of Azure's own command line."""


def _find_blob_login(
    credentials: Credentials | None, environment: Mapping[str, str] = os.environ
) -> tuple[str, dict[str, str] | str]:
    """Return the address of a blob service, and a key or a SAS token for it.

    Without credentials in the settings, they come from the environment of the machine.

    Raises:
        NoCredentialsError: there are none.
    """
    if isinstance(credentials, AzureKeyCredentials):
        key = credentials.account_key.get_secret_value()
        return _build_endpoint(credentials), {"account_name": credentials.account, "account_key": key}
    if isinstance(credentials, AzureSasCredentials):
        return _build_endpoint(credentials), credentials.sas_token.get_secret_value()
    connection_string, account, key, sas_token = (environment.get(name, "") for name in _AZURE_VARIABLES)
    if isinstance(credentials, AzureConnectionCredentials):
        connection_string = credentials.connection_string.get_secret_value()
    parts = {"accountname": account, "accountkey": key, "sharedaccesssignature": sas_token}
    if connection_string:
        parts = parse_connection_string(connection_string)
    endpoint = build_blob_endpoint(parts)
    account, key = parts.get("accountname", ""), parts.get("accountkey", "")
    sas_token = parts.get("sharedaccesssignature", "")
    login = {"account_name": account, "account_key": key} if key else sas_token.removeprefix("?")
    if not endpoint or not login:
        raise NoCredentialsError
    return endpoint, login


def _build_endpoint(credentials: AzureKeyCredentials | AzureSasCredentials) -> str:
    return credentials.endpoint or build_blob_endpoint({"accountname": credentials.account})


def _build_azure_params(credentials: Credentials | None, guard: AddressGuard) -> dict[str, Any]:
    blob = import_module("azure.storage.blob")
    transport = import_module("azure.core.pipeline.transport")
    endpoint, login = _find_blob_login(credentials)
    secret = login if isinstance(login, str) else login["account_key"]
    register_secrets(*list_secret_parts(secret))
    session = requests.Session()
    guard_session(session, guard)
    # As for a registry at a web address: plain http is accepted for loopback alone.
    session.trust_env = endpoint.startswith("https:")
    connect_timeout, read_timeout = TIMEOUT
    client = blob.BlobServiceClient(
        endpoint,
        credential=login,
        transport=transport.RequestsTransport(
            session=session, session_owner=False, connection_timeout=connect_timeout, read_timeout=read_timeout
        ),
        retry_policy=blob.ExponentialRetry(
            initial_backoff=_BLOB_RETRY_WAIT,
            increment_base=_BLOB_RETRY_WAIT,
            random_jitter_range=_BLOB_RETRY_WAIT,
            retry_total=1,
        ),
        # Azure never redirects a download, and its client would send the key along.
        permit_redirects=False,
    )
    return {"client": client}
