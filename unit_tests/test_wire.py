"""Over TLS: whom a provider has to prove itself to, and through which proxy."""

from __future__ import annotations

from pathlib import Path

import pytest
from encrypted import over_tls, proxy
from scripted import KEY, acme

from source_docextract.errors import ConfigError, TransientError
from source_docextract.http import Request
from source_docextract.pacing import Patience

GET = Request("GET", "/things")
FINE = b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"fine": true}'
OF_LOCALHOST = "ce275665.0"
"""What OpenSSL looks for in a folder of certificates: a hash of the name that one is for (`openssl x509 -hash`)."""

ONCE = Patience(tries=1)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "all_proxy", "no_proxy", "curl_ca_bundle", "requests_ca_bundle"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_certificates_that_are_named_are_trusted(
    kind: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with over_tls(FINE, tmp_path) as (url, _):
        certificate = tmp_path / "certificate.pem"
        if kind == "folder":
            certificate.rename(tmp_path / OF_LOCALHOST)
        monkeypatch.setenv(name, str(tmp_path if kind == "folder" else certificate))
        client = acme(url, patience=ONCE)

        assert client.send(GET) == {"fine": True}

        client.close()


def test_others_are_not(tmp_path: Path) -> None:
    with over_tls(FINE, tmp_path) as (url, _):
        client = acme(url, patience=ONCE)

        with pytest.raises(TransientError) as caught:
            client.send(GET)

        client.close()
    assert str(caught.value) == "Acme has a certificate that cannot be trusted, 1 times in a row."


def test_certificates_that_cannot_be_read_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "nothing.pem"))

    with pytest.raises(ConfigError, match="REQUESTS_CA_BUNDLE names certificates that cannot be read"):
        acme("https://localhost:9")


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_carries_what_it_cannot_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "certificate.pem"))
    with over_tls(FINE, tmp_path) as (url, _), proxy() as (address, heads):
        monkeypatch.setenv(name, address.replace("://", "://me:passw0rd-of-the-proxy@"))
        client = acme(url, patience=ONCE)

        assert client.send(GET) == {"fine": True}

        client.close()
    [head] = heads
    assert head.startswith(f"CONNECT {url.removeprefix('https://')} HTTP/1.1\r\n".encode())
    assert b"Proxy-Authorization: Basic " in head
    assert KEY.encode() not in head


def test_a_proxy_may_be_named_by_host_and_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "certificate.pem"))
    with over_tls(FINE, tmp_path) as (url, _), proxy() as (address, heads):
        monkeypatch.setenv("HTTPS_PROXY", address.removeprefix("http://"))
        client = acme(url, patience=ONCE)

        assert client.send(GET) == {"fine": True}

        client.close()
    assert len(heads) == 1


def test_a_proxy_of_another_kind_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://me:passw0rd-of-the-proxy@127.0.0.1:9")

    with pytest.raises(ConfigError, match="HTTPS_PROXY names a proxy that does not speak HTTP"):
        acme("https://localhost:9")


def test_a_host_that_is_named_goes_through_no_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "certificate.pem"))
    monkeypatch.setenv("NO_PROXY", "localhost")
    with over_tls(FINE, tmp_path) as (url, _), proxy() as (address, heads):
        monkeypatch.setenv("HTTPS_PROXY", address)
        client = acme(url, patience=ONCE)

        assert client.send(GET) == {"fine": True}

        client.close()
    assert heads == []
