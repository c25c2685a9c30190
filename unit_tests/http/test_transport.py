"""Over TLS: whom a provider has to prove itself to, and through which proxy."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from source_docextract.core.errors import ConfigError, TransientError
from source_docextract.core.redaction import sanitize
from source_docextract.core.requests import Request
from source_docextract.http.rate_limit import RetryPolicy
from unit_tests.support.encrypted_server import serve_proxy, serve_tls
from unit_tests.support.stub_server import KEY, RecordingLogger, create_acme_client

GET = Request("GET", "/things")
OK_RESPONSE_BYTES = b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"fine": true}'
LOCALHOST_HASH_NAME = "ce275665.0"
"""What OpenSSL looks for in a folder of certificates: a hash of the name that one is for (`openssl x509 -hash`)."""

SINGLE_TRY_POLICY = RetryPolicy(max_tries=1)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "all_proxy", "no_proxy", "curl_ca_bundle", "requests_ca_bundle"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_transport_certificate_in_ca_bundle_is_trusted(
    kind: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_tls(OK_RESPONSE_BYTES, tmp_path) as (url, _):
        certificate = tmp_path / "certificate.pem"
        if kind == "folder":
            certificate.rename(tmp_path / LOCALHOST_HASH_NAME)
        monkeypatch.setenv(name, str(tmp_path if kind == "folder" else certificate))
        client = create_acme_client(url, retry_policy=SINGLE_TRY_POLICY)

        assert client.send(GET) == {"fine": True}

        client.close()


def test_transport_unknown_certificate_is_not_trusted(tmp_path: Path) -> None:
    with serve_tls(OK_RESPONSE_BYTES, tmp_path) as (url, _):
        client = create_acme_client(url, retry_policy=SINGLE_TRY_POLICY)

        with pytest.raises(TransientError) as exc_info:
            client.send(GET)

        client.close()
    assert str(exc_info.value) == "Acme has a certificate that cannot be trusted, 1 times in a row."


def test_transport_unreadable_ca_bundle_is_config_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "nothing.pem"))

    with pytest.raises(ConfigError, match="REQUESTS_CA_BUNDLE names certificates that cannot be read"):
        create_acme_client("https://localhost:9")


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_proxy_https_request_is_tunnelled_without_api_key(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "certificate.pem"))
    with serve_tls(OK_RESPONSE_BYTES, tmp_path) as (url, _), serve_proxy() as (address, heads):
        monkeypatch.setenv(name, address.replace("://", "://me:passw0rd-of-the-proxy@"))
        client = create_acme_client(url, retry_policy=SINGLE_TRY_POLICY)

        assert client.send(GET) == {"fine": True}

        client.close()
    [head] = heads
    assert head.startswith(f"CONNECT {url.removeprefix('https://')} HTTP/1.1\r\n".encode())
    assert b"Proxy-Authorization: Basic " in head
    assert KEY.encode() not in head


def test_proxy_address_without_scheme_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "certificate.pem"))
    with serve_tls(OK_RESPONSE_BYTES, tmp_path) as (url, _), serve_proxy() as (address, heads):
        monkeypatch.setenv("HTTPS_PROXY", address.removeprefix("http://"))
        client = create_acme_client(url, retry_policy=SINGLE_TRY_POLICY)

        assert client.send(GET) == {"fine": True}

        client.close()
    assert len(heads) == 1


def test_proxy_with_unsupported_scheme_is_config_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://me:passw0rd-of-the-proxy@127.0.0.1:9")

    with pytest.raises(ConfigError, match=r"^ALL_PROXY names a proxy that is not an HTTP proxy"):
        create_acme_client("https://localhost:9")


@pytest.mark.parametrize("address", ["http://me:pa/ss:w0rd@host:80", "http://", "http://[me:passw0rd"])
def test_proxy_invalid_address_is_config_error_naming_variable(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", address)

    with pytest.raises(ConfigError) as exc_info:
        create_acme_client("https://localhost:9")

    assert str(exc_info.value) == ("https_proxy is not a valid proxy address; write it like http://host:80.")


REFUSALS = {
    407: "Write a valid user and password into HTTPS_PROXY, or list the host in NO_PROXY.",
    403: "Allow the host in the proxy, or list the host in NO_PROXY.",
    405: "Allow the host in the proxy, or list the host in NO_PROXY.",
    302: "Allow the host in the proxy, or list the host in NO_PROXY.",
}


@pytest.mark.parametrize("status", REFUSALS)
def test_proxy_refusal_is_config_error_without_retry_or_password(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    password = "passw0rd/of+the@proxy"
    response = f"HTTP/1.1 {status} {password}\r\nX-Password: {password}\r\nContent-Length: 3\r\n\r\n<p>"
    with serve_proxy(response.encode()) as (address, heads):
        monkeypatch.setenv("HTTPS_PROXY", address.replace("://", "://me:passw0rd%2Fof%2Bthe%40proxy@"))
        client = create_acme_client("https://localhost:9", logger=(log := RecordingLogger(logging.DEBUG)))

        with pytest.raises(ConfigError) as exc_info:
            client.send(GET)

        client.close()
    assert len(heads) == 1
    assert str(exc_info.value) == (
        f"Acme cannot be reached: the proxy that HTTPS_PROXY names refused the connection ({status}). "
        + REFUSALS[status]
    )
    assert "passw0rd" not in sanitize(f"It says {password}, {address}, me:{password}@127.0.0.1, passw0rd%2Fof%2Bthe")
    assert log.lines == []


def test_proxy_unreachable_is_transient_error_naming_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:passw0rd-of-the-proxy@127.0.0.1:1")
    client = create_acme_client("https://localhost:9", retry_policy=SINGLE_TRY_POLICY)

    with pytest.raises(TransientError) as exc_info:
        client.send(GET)

    client.close()
    assert str(exc_info.value) == (
        "Acme could not be reached or closed the connection, 1 times in a row. Check the proxy that HTTPS_PROXY names."
    )


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_proxy_transient_status_is_retried(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_proxy(f"HTTP/1.1 {status} \r\nContent-Length: 0\r\n\r\n".encode()) as (address, heads):
        monkeypatch.setenv("HTTPS_PROXY", address)
        client = create_acme_client("https://localhost:9")

        with pytest.raises(
            TransientError, match=r"could not be reached or closed the connection, 3 times in a row\. Check"
        ):
            client.send(GET)

        client.close()
    assert len(heads) == 3


def test_proxy_is_bypassed_for_host_in_no_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "certificate.pem"))
    monkeypatch.setenv("NO_PROXY", "localhost")
    with serve_tls(OK_RESPONSE_BYTES, tmp_path) as (url, _), serve_proxy() as (address, heads):
        monkeypatch.setenv("HTTPS_PROXY", address)
        client = create_acme_client(url, retry_policy=SINGLE_TRY_POLICY)

        assert client.send(GET) == {"fine": True}

        client.close()
    assert heads == []
