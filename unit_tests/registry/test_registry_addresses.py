"""The hosts that a registry may lead the connector to: named ones, public ones, and each name resolved once."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from urllib3.util import connection

from source_docextract.core.errors import ConfigError
from source_docextract.registry.addresses import AddressGuard, ForbiddenAddress, Refusal, is_public, is_usable
from unit_tests.support.blob_server import ACCOUNT, ACCOUNT_KEY
from unit_tests.support.registry_files import ROWS, read_rows, to_csv
from unit_tests.support.registry_storage import BUCKET, CREDENTIALS
from unit_tests.support.stub_server import ReceivedRequest, StubResponse, ok_response, serve_stub

PRIVATE_FORMS = [
    "10.0.0.5", "172.16.0.1", "192.168.1.1", "100.64.0.1", "127.0.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "240.0.0.1", "192.0.0.8", "192.0.2.1", "198.18.0.1", "192.88.99.1", "168.63.129.16",
    "::1", "::", "fe80::1", "fe80::1%eth0", "fec0::1", "fd00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "3fff::1",
    "::ffff:10.0.0.5", "::ffff:169.254.169.254", "::10.0.0.5", "::ffff:0:10.0.0.5",
    "64:ff9b::10.0.0.5", "64:ff9b::127.0.0.1", "64:ff9b:1::10.0.0.5", "64:ff9b:1::8.8.8.8",
    "2002:a00:5::1", "2002:7f00:1::", "2002:808:808::1", "2001:0:a00:5::1", "2001:0:808:808:0:0:f5ff:fffa",
    "2606:4700::5efe:10.0.0.5", "2606:4700::200:5efe:169.254.169.254", "100::1", "5f00::1",
]  # fmt: skip

PUBLIC_FORMS = [
    "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
    "2606:4700::5efe:8.8.8.8",
]  # fmt: skip

NEVER_USABLE = [
    "127.0.0.1", "::1", "0.0.0.0", "0.1.2.3", "::", "169.254.169.254", "169.254.1.1", "fe80::1", "fd00:ec2::254",
    "100.100.100.200", "168.63.129.16", "192.0.0.192", "224.0.0.1", "255.255.255.255", "ff02::1",
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::169.254.169.254",
    "64:ff9b:1::169.254.169.254", "64:ff9b:1:a9fe:a9:fe00::", "64:ff9b:1:a9:fe:a9fe::", "64:ff9b:1::a9:fea9:fe00:0",
    "2002:a9fe:a9fe::1", "2002:7f00:1::", "2001:0:0:0:0:0:80ff:fffe", "fd12::5efe:127.0.0.1",
]  # fmt: skip

USABLE_INSIDE = [
    "10.0.0.5", "192.168.1.1", "172.16.0.1", "100.64.0.1", "fd12::1", "::ffff:10.0.0.5", "64:ff9b::10.0.0.5",
    "64:ff9b:1::10.0.0.5", "8.8.8.8", "2606:4700::1111",
]  # fmt: skip


@pytest.mark.parametrize("text", PRIVATE_FORMS)
def test_is_public_address_inside_network_in_any_form_is_false(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", PUBLIC_FORMS)
def test_is_public_address_of_internet_is_true(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", NEVER_USABLE)
def test_is_usable_machine_or_metadata_in_any_form_is_false(text: str) -> None:
    assert not is_usable(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", USABLE_INSIDE)
def test_is_usable_address_inside_network_is_true(text: str) -> None:
    assert is_usable(ipaddress.ip_address(text))


class Resolver:
    """A resolver with prepared answers, the last one for ever.

    Attributes:
        lookups: the names so far.
    """

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.lookups: list[str] = []

    def __call__(self, host: str, _port: int) -> list[str]:
        self.lookups.append(host)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


class TestGuard:
    def make_guard(self, url: str, *answers: list[str]) -> AddressGuard:
        return AddressGuard([urlsplit(url)], Resolver(*answers))

    @pytest.mark.parametrize("answer", [["10.0.0.5"], ["8.8.8.8"], ["8.8.8.8", "10.0.0.5"]])
    def test_named_host_inside_network_is_allowed(self, answer: list[str]) -> None:
        assert self.make_guard("https://lists.example/x", answer).resolve("lists.example", 443) == answer

    @pytest.mark.parametrize("answer", [["169.254.169.254"], ["8.8.8.8", "127.0.0.1"], ["64:ff9b::a9fe:a9fe"]])
    def test_named_host_at_machine_or_metadata_is_refused(self, answer: list[str]) -> None:
        guard = self.make_guard("https://lists.example/x", answer)

        with pytest.raises(ForbiddenAddress):
            guard.resolve("LISTS.example.", 443)
        assert guard.refusal is Refusal.NAMED

    @pytest.mark.parametrize(
        ("host", "port"), [("other.example", 443), ("lists.example", 8443), ("notlists.example", 443)]
    )
    def test_other_host_or_port_inside_network_is_refused(self, host: str, port: int) -> None:
        guard = self.make_guard("https://lists.example/x", ["8.8.8.8", "10.0.0.5"])

        with pytest.raises(ForbiddenAddress):
            guard.resolve(host, port)
        assert guard.refusal is Refusal.OTHER

    def test_bucket_in_front_of_named_endpoint_is_named(self) -> None:
        guard = self.make_guard("https://minio.acme.example:9000", ["10.0.0.5"])

        assert guard.resolve("bucket.minio.acme.example", 9000) == ["10.0.0.5"]

    def test_address_in_numbers_is_named_as_it_is(self) -> None:
        assert self.make_guard("http://127.0.0.1:80/x").resolve("127.0.0.1", 80) == ["127.0.0.1"]
        assert self.make_guard("http://[::1]:80/x").resolve("[::1]", 80) == ["::1"]

    @pytest.mark.parametrize("host", ["2130706433", "127.1", "0x7f000001"])
    def test_address_in_unusual_numbers_is_checked_as_a_name(self, host: str) -> None:
        with pytest.raises(ForbiddenAddress):
            self.make_guard(f"https://{host}/x", ["127.0.0.1"]).resolve(host, 443)

    @pytest.mark.parametrize("answer", ["10.0.0.5", "8.8.8.8"])
    def test_localhost_at_other_machine_is_refused(self, answer: str) -> None:
        with pytest.raises(ForbiddenAddress):
            self.make_guard("http://localhost:80/x", [answer]).resolve("localhost", 80)


@pytest.fixture(params=["https", "sftp", "s3", "azure_key", "azure_sas", "azure_connection_string"])
def named(request: pytest.FixtureRequest) -> Callable[[str, int], tuple[str, dict[str, str] | None]]:
    """Return a function that gives a URL and credentials that name a host."""

    def build(host: str, port: int) -> tuple[str, dict[str, str] | None]:
        key_text = "AAAAC3NzaC1lZDI1NTE5AAAAIO5WwN5yqGS5fT4wEJbZ0d0l8m4r3l6dQn4q2d8F0Y0c"
        account = {"type": request.param, "account": ACCOUNT, "endpoint": f"https://{host}:{port}"}
        if request.param == "https":
            return f"https://{host}:{port}/x.csv", None
        if request.param == "sftp":
            credentials = {
                "type": "sftp_password",
                "username": "u",
                "password": "p",
                "host_key": f"ssh-ed25519 {key_text}",
            }
            return f"sftp://{host}:{port}/x.csv", credentials
        if request.param == "s3":
            key, secret = CREDENTIALS.values()
            access_key = {"access_key_id": key, "secret_access_key": secret, "region": "eu-central-1"}
            return f"s3://{BUCKET}/x.csv", {"type": "s3", **access_key, "endpoint": f"https://{host}:{port}"}
        if request.param == "azure_connection_string":
            text = f"AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};BlobEndpoint=https://{host}:{port}/{ACCOUNT}"
            return "az://lists/x.csv", {"type": request.param, "connection_string": text}
        if request.param == "azure_sas":
            return "az://lists/x.csv", {**account, "sas_token": "sv=2024-11-04&sp=r&sig=c2lnbmF0dXJl"}
        return "az://lists/x.csv", {**account, "account_key": ACCOUNT_KEY}

    return build


def test_name_that_leads_to_metadata_is_refused_before_connecting(named: Any) -> None:
    url, credentials = named("rebind.example", 8443)

    with pytest.raises(ConfigError, match="its host name leads to the connector's own machine or to an address that"):
        read_rows(url, credentials, Resolver(["169.254.169.254"]))


def test_name_is_resolved_once_and_checked_address_is_connected_to(named: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second answer is another address, which nothing may connect to."""
    connected: list[Any] = []

    def connect(address: Any, *_: Any, **__: Any) -> Any:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr("urllib3.util.connection.create_connection", connect)
    monkeypatch.setattr("socket.create_connection", connect)
    monkeypatch.setattr("source_docextract.registry.storages._BLOB_RETRY_WAIT", 0)
    resolver = Resolver(["10.1.2.3"], ["10.9.9.9"])
    url, credentials = named("rebind.example", 8443)

    with pytest.raises(ConfigError, match="cannot be read"):
        read_rows(url, credentials, resolver)

    # Clients that try again resolve again, and connect to what that answer says, which is checked as well.
    assert connected[0] == ("10.1.2.3", 8443)
    assert len(connected) == len(resolver.lookups)
    assert {name for name, _port in connected} <= {"10.1.2.3", "10.9.9.9"}


def test_name_that_changes_between_tries_is_refused_at_second_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("source_docextract.registry.storages._BLOB_RETRY_WAIT", 0)
    monkeypatch.setattr("socket.create_connection", lambda *_, **__: None)
    connected: list[Any] = []

    def connect(address: Any, *_: Any, **__: Any) -> Any:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr("urllib3.util.connection.create_connection", connect)
    text = f"AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};BlobEndpoint=https://rebind.example/{ACCOUNT}"
    credentials = {"type": "azure_connection_string", "connection_string": text}

    with pytest.raises(ConfigError, match="its host name leads to the connector's own machine"):
        read_rows("az://lists/x.csv", credentials, Resolver(["8.8.8.8"], ["127.0.0.1"]))

    assert connected == [("8.8.8.8", 443)]


@pytest.mark.parametrize("answer", ["10.0.0.5", "127.0.0.1", "64:ff9b::a00:5", "2002:a00:5::1", "::ffff:10.0.0.5"])
def test_redirect_to_name_inside_network_is_refused(answer: str) -> None:
    resolver = Resolver([answer])
    with (
        serve_stub(lambda _request: (302, {"Location": "https://inside.example/x"}, b"")) as server,
        pytest.raises(ConfigError, match=r"redirects to a private or unencrypted address\. If intended, set that"),
    ):
        read_rows(f"{server.url}/list.csv", None, resolver)

    assert resolver.lookups == ["inside.example"]


@pytest.mark.parametrize("target", ["https://10.0.0.5/x", "https://[::ffff:10.0.0.5]/x", "http://8.8.8.8/x"])
def test_redirect_to_address_inside_network_or_unencrypted_is_refused(target: str) -> None:
    with (
        serve_stub(lambda _request: (302, {"Location": target}, b"")) as server,
        pytest.raises(ConfigError, match="redirects to a private or unencrypted address"),
    ):
        read_rows(f"{server.url}/list.csv", None, Resolver(["8.8.8.8"]))


def test_redirect_to_public_name_resolves_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that answers the check with one address and the connection with another has no effect."""
    connected: list[Any] = []
    create_connection = connection.create_connection

    def connect(address: Any, *args: Any, **options: Any) -> Any:
        connected.append(address)
        if address[0] != "127.0.0.1":
            raise ConnectionRefusedError
        return create_connection(address, *args, **options)

    monkeypatch.setattr(connection, "create_connection", connect)
    resolver = Resolver(["8.8.8.8"], ["10.0.0.5"])
    with (
        serve_stub(lambda _request: (302, {"Location": "https://public.example/x"}, b"")) as server,
        pytest.raises(ConfigError, match="cannot be read"),
    ):
        read_rows(f"{server.url}/list.csv", None, resolver)

    assert resolver.lookups == ["public.example"]
    assert connected[1:] == [("8.8.8.8", 443)]


def test_second_address_is_tried_where_first_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    def respond(_request: ReceivedRequest) -> StubResponse:
        return ok_response(to_csv(ROWS).encode())

    create_connection = connection.create_connection

    def connect(address: Any, *args: Any, **options: Any) -> Any:
        if address[0] == "::1":
            raise ConnectionRefusedError
        return create_connection(address, *args, **options)

    monkeypatch.setattr(connection, "create_connection", connect)
    with serve_stub(respond) as server:
        url = server.url.replace("127.0.0.1", "localhost")

        assert len(read_rows(f"{url}/x.csv", None, Resolver(["::1", "127.0.0.1"])).get_batches("atlas")) == 1
