"""A registry in Azure Blob Storage, opened with Azure's own client from a server on loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import BlobSasPermissions, BlobServiceClient, generate_blob_sas

from source_docextract.core.errors import ConfigError
from source_docextract.core.redaction import sanitize
from unit_tests.support.blob_server import ACCOUNT, ACCOUNT_KEY, serve_blobs
from unit_tests.support.registry_files import ROWS, read_rows, to_csv
from unit_tests.support.stub_server import serve_stub

URL = "az://lists/year=2026/batches of Zoë (1).csv"
OTHER_KEY = "b3RoZXIgc2hhcmVkIGtleSBvZiBhY21lLCBub2JvZHkgbWF5IHNlZSBpdA=="


@dataclass(frozen=True)
class BlobStorage:
    """A storage account on loopback.

    Attributes:
        endpoint: its address.
        put: stores a text under the name of `URL`.
    """

    endpoint: str
    put: Callable[[str], Any]


@pytest.fixture(params=["stand-in", pytest.param("Azurite", marks=pytest.mark.azurite)])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BlobStorage]:
    """Return a storage of the stand-in, or of Azurite, Microsoft's emulator."""
    container, name = URL.removeprefix("az://").split("/", 1)
    if request.param == "stand-in":
        with serve_blobs() as server:
            yield BlobStorage(
                server.endpoint, lambda text: server.blobs.__setitem__(f"{container}/{name}", text.encode())
            )
        return
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    program = os.environ.get("AZURITE") or shutil.which("azurite-blob")
    assert program, "Azurite is not installed: run `make azurite-test`"
    options = ["--silent", "--skipApiVersionCheck", "--disableTelemetry", "--inMemoryPersistence"]
    environment = {**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{ACCOUNT_KEY}"}
    with subprocess.Popen(
        [program, "--blobHost", "127.0.0.1", "--blobPort", str(port), *options], env=environment, cwd=tmp_path
    ) as process:
        try:
            _wait_for_port(port)
            endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
            client = BlobServiceClient(endpoint, {"account_name": ACCOUNT, "account_key": ACCOUNT_KEY})
            client.create_container(container)
            yield BlobStorage(endpoint, lambda text: client.get_blob_client(container, name).upload_blob(text))
        finally:
            process.terminate()


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("Azurite does not start")


def create_sas(permission: str = "r", hours: int = 1, key: str = ACCOUNT_KEY) -> str:
    """Return a SAS token for the blob of `URL`."""
    container, name = URL.removeprefix("az://").split("/", 1)
    return generate_blob_sas(
        ACCOUNT,
        container,
        name,
        account_key=key,
        permission=BlobSasPermissions.from_string(permission),
        expiry=datetime.now(timezone.utc) + timedelta(hours=hours),
    )


def build_credentials(kind: str, endpoint: str, key: str = ACCOUNT_KEY, sas_token: str = "") -> dict[str, str]:
    if kind == "azure_key":
        return {"type": kind, "account": ACCOUNT, "account_key": key, "endpoint": endpoint}
    if kind == "azure_sas":
        return {"type": kind, "account": ACCOUNT, "sas_token": sas_token or create_sas(key=key), "endpoint": endpoint}
    login = f"AccountName={ACCOUNT};AccountKey={key}"
    if sas_token:
        login = f"SharedAccessSignature={sas_token}"
    return {"type": kind, "connection_string": f"{login};BlobEndpoint={endpoint};"}


KINDS = ("azure_connection_string", "azure_key", "azure_sas")


def get_failure(credentials: dict[str, str], url: str = URL) -> str:
    with pytest.raises(ConfigError) as exc_info:
        read_rows(url, credentials)
    return str(exc_info.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", [to_csv(ROWS), "\ufeff" + to_csv(ROWS)])
def test_right_credentials_open_registry(blobs: BlobStorage, kind: str, text: str) -> None:
    blobs.put(text)

    assert len(read_rows(URL, build_credentials(kind, blobs.endpoint)).get_batches("atlas")) == 1


@pytest.mark.long
def test_registry_larger_than_one_download_is_read_whole(blobs: BlobStorage) -> None:
    blobs.put(to_csv(ROWS * 60_000))

    registry = read_rows(URL, build_credentials("azure_key", blobs.endpoint))

    assert registry.skipped_rows == {"docmap": 60_000}


@pytest.mark.parametrize("prefix", ["", "?"])
def test_connection_string_with_sas_token_opens_registry(blobs: BlobStorage, prefix: str) -> None:
    blobs.put(to_csv(ROWS))
    credentials = build_credentials("azure_connection_string", blobs.endpoint, sas_token=f"{prefix}{create_sas()}")

    assert len(read_rows(URL, credentials).get_batches("atlas")) == 1


@pytest.mark.parametrize(
    ("kind", "advice"),
    [
        (
            "azure_connection_string",
            "Copy batch_registry.credentials.connection_string again: its key or token is rejected.",
        ),
        ("azure_key", "Check batch_registry.credentials.account and account_key."),
        (
            "azure_sas",
            "Check that batch_registry.credentials.sas_token has not expired, and permits Read for this file.",
        ),
    ],
)
def test_wrong_key_is_an_error_naming_setting(blobs: BlobStorage, kind: str, advice: str) -> None:
    blobs.put(to_csv(ROWS))

    error = get_failure(build_credentials(kind, blobs.endpoint, key=OTHER_KEY))

    assert error == f"The batch registry {URL} cannot be read (ClientAuthenticationError). {advice}"


@pytest.mark.parametrize(("permission", "hours"), [("r", -1), ("w", 1)])
def test_sas_token_expired_or_without_read_is_an_error_naming_setting(
    blobs: BlobStorage, permission: str, hours: int
) -> None:
    blobs.put(to_csv(ROWS))

    error = get_failure(build_credentials("azure_sas", blobs.endpoint, sas_token=create_sas(permission, hours)))

    assert "Check that batch_registry.credentials.sas_token has not expired, and permits Read" in error


@pytest.mark.parametrize("kind", ["azure_connection_string", "azure_key"])
def test_missing_file_is_an_error_naming_url(blobs: BlobStorage, kind: str) -> None:
    error = get_failure(build_credentials(kind, blobs.endpoint))

    assert error == (
        f"The batch registry {URL} does not exist (ResourceNotFoundError). "
        "The credentials are accepted; check batch_registry.url."
    )


@pytest.mark.parametrize("credentials", [None, {"type": "machine"}])
def test_missing_credentials_are_an_error_naming_setting(credentials: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", ACCOUNT)

    assert get_failure(credentials) == (
        f"The batch registry {URL} needs credentials, and the machine has none. "
        "Set batch_registry.credentials to azure_sas, azure_key or azure_connection_string."
    )


def test_machine_connection_string_opens_registry(blobs: BlobStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs.put(to_csv(ROWS))
    connection_string = build_credentials("azure_connection_string", blobs.endpoint)["connection_string"]
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", connection_string)

    assert len(read_rows(URL, {"type": "machine"}).get_batches("atlas")) == 1


def test_redirect_is_not_followed() -> None:
    with serve_stub(lambda _request: (302, {"Location": "/elsewhere"}, b"")) as server:
        error = get_failure(build_credentials("azure_key", f"{server.url}/{ACCOUNT}"))

    assert "cannot be read (HttpResponseError). Check batch_registry.url and batch_registry.credentials." in error
    assert not [request for request in server.received if request.path == "/elsewhere"]


def test_unavailable_storage_is_tried_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("source_docextract.registry.storages._BLOB_RETRY_WAIT", 0)
    with serve_stub(lambda _request: (503, {}, b"")) as server:
        error = get_failure(build_credentials("azure_key", f"{server.url}/{ACCOUNT}"))

    assert "Check batch_registry.url and batch_registry.credentials." in error
    assert len(server.received) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_failure_registers_keys_and_signatures(kind: str) -> None:
    sas_token = create_sas()
    with serve_stub(lambda _request: (403, {}, b"")) as server:
        get_failure(build_credentials(kind, f"{server.url}/{ACCOUNT}"))
        get_failure(build_credentials(kind, f"{server.url}/{ACCOUNT}", sas_token=sas_token))

    signature = sas_token.partition("sig=")[2].partition("&")[0]
    secrets = {"azure_key": [ACCOUNT_KEY], "azure_sas": [signature]}.get(kind, [ACCOUNT_KEY, signature])
    for secret in secrets:
        assert secret[:20] not in sanitize(f"the key {secret} of {ACCOUNT} at {URL} in core.windows.net")
    assert "blob.core.windows.net" in sanitize(f"{ACCOUNT} at https://{ACCOUNT}.blob.core.windows.net/")
