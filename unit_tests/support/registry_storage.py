"""Cloud storages on loopback that may hold a registry."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from unit_tests.support.blob_server import ACCOUNT, ACCOUNT_KEY

BUCKET = "acme-batches"


CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIAACME0123456789AB", "AWS_SECRET_ACCESS_KEY": "s3cr3t/of+acme"}


ENDPOINTS = {"s3": "AWS_ENDPOINT_URL", "gs": "STORAGE_EMULATOR_HOST", "az": "AZURE_STORAGE_CONNECTION_STRING"}
"""The environment variables that send the storage clients to another address than the cloud's, by scheme."""


@dataclass(frozen=True)
class Storage:
    """A storage with one bucket, which the connector finds through the environment.

    Attributes:
        scheme: the scheme of its URLs.
        keep: stores bytes under a key.
    """

    scheme: str
    keep: Callable[[str, bytes], Any]

    def write(self, text: str, key: str = "lists/batches.csv") -> str:
        """Store a text, and return its URL."""
        self.keep(key, text.encode())
        return f"{self.scheme}://{BUCKET}/{key}"


@pytest.fixture(autouse=True)
def isolated_machine(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide credentials and proxies of the machine.

    A test that looks up an address outside the machine fails.
    """
    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_", "GCLOUD_", "CLOUDSDK_", "STORAGE_")) or name.lower().endswith(
            "_proxy"
        ):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it caches the credentials that it has found
    outside_lookups: list[Any] = []
    look_up = socket.getaddrinfo

    def resolve_locally(host: Any, *args: Any, **options: Any) -> Any:
        if host not in {"127.0.0.1", "localhost"}:
            outside_lookups.append(host)
            raise OSError(f"{host} is not this machine")
        return look_up(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_locally)
    yield
    assert not outside_lookups, f"A test looked up {outside_lookups}."


@pytest.fixture(scope="module")
def s3_address() -> Iterator[str]:
    """Serve an S3 API on loopback; yield its URL."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_address: str, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """Return a storage with an S3 API."""
    set_endpoint("s3", s3_address, monkeypatch)
    client = boto3.session.Session().client("s3")
    client.create_bucket(Bucket=BUCKET)
    return Storage("s3", lambda key, content: client.put_object(Bucket=BUCKET, Key=key, Body=content))


def set_endpoint(scheme: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send the clients of a scheme to an address, with credentials if they need any."""
    if scheme == "az":
        address = f"AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};BlobEndpoint={address}"
    monkeypatch.setenv(ENDPOINTS[scheme], address)
    if scheme == "s3":  # Google's client needs no credentials for an emulator
        for name, value in {**CREDENTIALS, "AWS_DEFAULT_REGION": "us-east-1"}.items():
            monkeypatch.setenv(name, value)
