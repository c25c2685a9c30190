"""Checked addresses: which hosts a registry may lead the connector to.

The person who keeps the file, or the names of its server, may not be allowed to reach every host of the network that
the connector runs in. Therefore:

- A host that the settings name may be inside the network: the person who sets the URL chose it. Its name must not lead
  to the connector's own machine, nor to addresses that no file lies at, such as the metadata service of a cloud, which
  hands out credentials. An address that is written in numbers is taken as it is.
- Every other host, which only a redirect can name, must have public addresses alone.
- A name is resolved once. The connection goes to an address that was checked, so a name server cannot give a public
  address to the check and another one to the connection.

Behind a proxy, the proxy resolves the names, and its own rules hold.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterator
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any
from urllib.parse import SplitResult

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

Address = IPv4Address | IPv6Address

Resolve = Callable[[str, int], list[str]]
"""Returns the addresses of a host as text, given its name and port.

It raises OSError or UnicodeError for a name without an address.
"""

_DEFAULT_PORTS = {"https": 443, "http": 80, "sftp": 22}


def resolve_host(host: str, port: int) -> list[str]:
    """Return the addresses of a host."""
    address_infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address_info[4][0]) for address_info in address_infos))


class ForbiddenAddress(Exception):
    """A host with an address that the connector must not connect to."""


_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All IPv6 addresses that are assigned to hosts of the Internet. Everything else is local, reserved or embeds IPv4."""

_SPECIAL_NETWORKS = (
    IPv4Network("192.0.0.0/24"),  # assignments of the IETF
    IPv4Network("192.88.99.0/24"),  # relays of 6to4
    IPv6Network("2001::/23"),  # assignments of the IETF, with Teredo
    IPv6Network("2002::/16"),  # 6to4, whose public relays are switched off (RFC 7526)
    IPv6Network("3fff::/20"),  # documentation
)
"""Networks without public hosts that some of the supported versions of Python count as public."""

_NAT64 = IPv6Network("64:ff9b::/96")
"""The well-known prefix of NAT64 (RFC 6052): the last 32 bits are an IPv4 address of the network behind it."""

_LOW_EMBEDDINGS = (
    IPv6Network("::/96"),  # IPv4-compatible (RFC 4291), deprecated
    IPv6Network("::ffff:0:0/96"),  # IPv4-mapped (RFC 4291)
    IPv6Network("::ffff:0:0:0/96"),  # IPv4-translated (RFC 2765)
    _NAT64,
)
"""The networks whose addresses end with an IPv4 address."""

_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")
"""The local prefix of NAT64 (RFC 8215). Its addresses hold an IPv4 address in one of several places."""

_METADATA_ADDRESSES = frozenset(
    map(
        ipaddress.ip_address,
        (
            "169.254.169.254",  # AWS, Azure, Google Cloud and others
            "fd00:ec2::254",  # AWS
            "fd20:ce::254",  # Google Cloud
            "100.100.100.200",  # Alibaba Cloud
            "168.63.129.16",  # Azure; it counts as public
            "192.0.0.192",  # Oracle Cloud
        ),
    )
)
"""The addresses of the metadata services of clouds, which hand out the credentials of the machine."""


def list_embedded(address: Address) -> list[IPv4Address]:
    """Return the IPv4 addresses that an IPv6 address holds, in all forms in which one is delivered to IPv4."""
    number = int(address)
    # Neither the unspecified address nor the loopback address of IPv6 embeds anything.
    if isinstance(address, IPv4Address) or number in {0, 1}:
        return []
    embedded = [*filter(None, [address.sixtofour]), *(address.teredo or ())]
    if address in _NAT64_LOCAL:
        embedded += _list_nat64_local(number)
    # ISATAP (RFC 5214): a fixed pattern in front of the IPv4 address, in any network. The seventh bit says whether the
    # IPv4 address is unique worldwide.
    is_isatap = (number >> 32) & 0xFDFFFFFF == 0x00005EFE
    if is_isatap or any(address in network for network in _LOW_EMBEDDINGS):
        embedded.append(IPv4Address(number & 0xFFFFFFFF))
    return embedded


def _list_nat64_local(number: int) -> Iterator[IPv4Address]:
    """Yield the IPv4 addresses for prefixes of 48, 56, 64 and 96 bits (RFC 6052, section 2.2).

    Bits 64 to 71 are always zero and not part of the IPv4 address.
    """
    candidates = [number & 0xFFFFFFFF]
    for high_length in (16, 8, 0):
        high = (number >> 64) & ((1 << high_length) - 1)
        low = (number >> (24 + high_length)) & ((1 << (32 - high_length)) - 1)
        candidates.append((high << (32 - high_length)) | low)
    # Read with another length than its own, an address appears to begin with zero, which no address of a host does.
    yield from (IPv4Address(candidate) for candidate in candidates if candidate >> 24)


def is_public(address: Address) -> bool:
    """Return whether an address is that of a host on the Internet, as are all IPv4 addresses that it holds.

    The properties of `ipaddress` alone do not suffice: they differ between versions of Python, count addresses that
    embed a private one as public, and count 168.63.129.16 as public.
    """
    embedded = list_embedded(address)
    if address in _METADATA_ADDRESSES or not all(map(is_public, embedded)):
        return False
    if any(address in network for network in _SPECIAL_NETWORKS):
        return False
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast
    if embedded and address not in _GLOBAL_UNICAST:
        # A mapped address is the IPv4 address itself, and NAT64 is how a network without IPv4 reaches a public one.
        return address in _NAT64 or address.ipv4_mapped is not None
    return address in _GLOBAL_UNICAST and address.is_global


def is_usable(address: Address) -> bool:
    """Return whether an address may be that of a host in the settings: a public one, or one inside the network."""
    for candidate in (address, *list_embedded(address)):
        is_special = candidate.is_link_local or candidate.is_unspecified or candidate.is_multicast
        if candidate in _METADATA_ADDRESSES or candidate.is_loopback or is_special:
            return False
        if isinstance(candidate, IPv4Address) and (candidate.is_reserved or int(candidate) >> 24 == 0):
            return False
    return True


class Refusal(Enum):
    """The kind of a host that was refused."""

    NAMED = "named"
    """A host of the settings."""

    OTHER = "other"
    """A host that a redirect named."""


class AddressGuard:
    """The check of all hosts of one registry.

    Attributes:
        refusal: the kind of host that was refused; None as long as none was. The libraries wrap the error in errors of
            their own, or try again, so the reason is kept here.
    """

    def __init__(self, origins: list[SplitResult], resolve: Resolve | None = None) -> None:
        """Set up a guard.

        Args:
            origins: the URLs in the settings, whose hosts may be inside the network.
            resolve: resolves names; by default the machine does.
        """
        self._resolve = resolve or resolve_host
        self._named = {(parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)) for parts in origins}
        self.refusal: Refusal | None = None

    def resolve(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host.

        Raises:
            ForbiddenAddress: one of them is not allowed.
            OSError: the host has no address.
        """
        host = host.strip("[]").rstrip(".").lower()
        literal = _parse_address(host)
        if literal is None:
            # A name with letters that no host name has cannot be resolved, which is no error of the connector.
            try:
                texts = self._resolve(host, port)
            except UnicodeError as error:
                raise OSError(str(error)) from None
        else:
            texts = [host]
        addresses = [ipaddress.ip_address(text) for text in texts]
        if not all(self._is_allowed(host, port, address, is_literal=literal is not None) for address in addresses):
            self.refusal = Refusal.NAMED if self._is_named(host, port) else Refusal.OTHER
            raise ForbiddenAddress
        return texts

    def _is_allowed(self, host: str, port: int, address: Address, *, is_literal: bool) -> bool:
        if not self._is_named(host, port):
            return is_public(address)
        # Plain http is accepted for this name, which therefore must not lead to another machine.
        if host == "localhost":
            return address.is_loopback
        return is_literal or is_usable(address)

    def _is_named(self, host: str, port: int) -> bool:
        # Clients of S3 write the bucket in front of the endpoint's host.
        return any(
            port == named_port and (host == named_host or (named_host and host.endswith(f".{named_host}")))
            for named_host, named_port in self._named
        )

    def connect(self, host: str, port: int, timeout: float) -> socket.socket:
        """Connect to a checked address of a host.

        Raises:
            ForbiddenAddress: an address of the host is not allowed.
            OSError: no address accepts the connection.
        """
        failure = OSError(f"{host} has no address")
        for address in self.resolve(host, port):
            try:
                return socket.create_connection((address, port), timeout)
            except OSError as error:
                failure = error
        raise failure


def _parse_address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


class _GuardedConnection(HTTPConnection):
    """A connection to a checked address.

    Attributes:
        guard: the check.
    """

    guard: AddressGuard

    def _new_conn(self) -> socket.socket:
        """Connect to a checked address of the host; certificates are still those of its name."""
        host = self._dns_host
        # The environment of the machine names the proxy, which resolves the host of the URL itself.
        if self.proxy is not None:
            return super()._new_conn()
        try:
            addresses = self.guard.resolve(host, self.port)
        except OSError as error:
            raise NameResolutionError(host, self, socket.gaierror(str(error))) from error
        failure: Exception = NewConnectionError(self, f"{host} has no address")
        for address in addresses:
            try:
                self._dns_host = address
                return super()._new_conn()
            except (NewConnectionError, ConnectTimeoutError) as error:
                failure = error
            finally:
                self._dns_host = host
        raise failure


def build_pool_classes(
    guard: AddressGuard,
    http_class: type[HTTPConnection] = HTTPConnection,
    https_class: type[HTTPSConnection] = HTTPSConnection,
) -> dict[str, type[HTTPConnectionPool]]:
    """Return the connection pools of a client of urllib3, by scheme, whose connections the guard checks.

    Args:
        guard: the check.
        http_class: the client's own class of connections without encryption.
        https_class: the client's own class of connections with encryption.
    """
    http = type("GuardedHttpConnection", (_GuardedConnection, http_class), {"guard": guard})
    https = type("GuardedHttpsConnection", (_GuardedConnection, https_class), {"guard": guard})
    return {
        "http": type("GuardedHttpPool", (HTTPConnectionPool,), {"ConnectionCls": http}),
        "https": type("GuardedHttpsPool", (HTTPSConnectionPool,), {"ConnectionCls": https}),
    }


class _GuardedAdapter(HTTPAdapter):
    """The adapter of a session whose connections a guard checks."""

    def __init__(self, guard: AddressGuard) -> None:
        self._guard = guard
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Set up the pools of connections that use no proxy."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = build_pool_classes(self._guard)


def guard_session(session: requests.Session, guard: AddressGuard) -> None:
    """Make a session connect to checked addresses only."""
    adapter = _GuardedAdapter(guard)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
