"""What the value of a setting may be, and what is told where it may not."""

from __future__ import annotations

import ipaddress
from datetime import datetime
from typing import Annotated
from unicodedata import category
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

from .model import utc
from .plain import SHORTEST_SECRET

PLACE = "{place}"
"""Stands for the place of an entry in its list, which is told by whoever knows it."""


def _base_url(url: str) -> str:
    """https, or http to this very machine (the sandbox, a test); nothing that could hide a key in the address."""
    url = url.strip()
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in {"https", "http"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none
        is_address = False
    if not is_address or not url.isprintable() or " " in url:
        raise ValueError("is not a web address; write one that begins with https://")
    if parts.username or parts.password or "?" in url or "#" in url:
        raise ValueError("holds more than an address; leave out user names, passwords, ? and #")
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise ValueError("would send the key unencrypted; begin it with https://")
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _key(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value().strip()
    if len(value) < SHORTEST_SECRET:
        raise ValueError("is empty or cut short; paste the whole of it from the provider's app")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("holds a blank or a character that no key has; paste it again")
    return SecretStr(value)


def _id(value: str) -> str:
    if not value.strip():
        raise ValueError("holds an empty id; remove it")
    return _seen(value.strip())


def _seen(value: str) -> str:
    if any(category(letter) in {"Cc", "Cs"} for letter in value):
        raise ValueError("holds an id with characters that cannot be seen; paste it again")
    return value


def _batch_path(value: str) -> str:
    parts = value.strip().split("/")
    if len(parts) not in {2, 3} or not all(part.strip() for part in parts):
        raise ValueError(
            f"holds an entry ({PLACE}) that is not <template id>/<batch id>[/<file id>]; write a / inside an id as %2F"
        )
    return _seen(value.strip())


def _start(moment: datetime) -> datetime:
    try:
        return utc(moment)
    except OverflowError:
        raise ValueError("is not a date and time; write it like 2026-01-01T00:00:00Z") from None


def _registry_url(url: str) -> str:
    url = url.strip()
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in {"https", "http", "s3", "gs", "file", ""} and bool(url) and url.isprintable()
    except ValueError:  # its words quote the address
        is_address = False
    if not is_address:
        raise ValueError("is no address that can be read; write one with https://, s3:// or gs://, or a local path")
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise ValueError("would be read unencrypted; begin it with https://")
    return url


BaseUrl = Annotated[str, AfterValidator(_base_url)]
Key = Annotated[SecretStr, AfterValidator(_key)]
Id = Annotated[str, AfterValidator(_id)]
RegistryUrl = Annotated[str, AfterValidator(_registry_url)]
BatchPath = Annotated[str, AfterValidator(_batch_path)]

Start = Annotated[datetime, AfterValidator(_start)]
