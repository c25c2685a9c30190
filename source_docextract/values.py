"""What the value of a setting may be, and what is told where it may not."""

from __future__ import annotations

import ipaddress
import re
from datetime import datetime
from typing import Annotated, NamedTuple
from unicodedata import category
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

from .model import BatchRef, unescaped, utc
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


def _secret(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value().strip()
    if not value:
        raise ValueError("is empty; fill it in")
    if not value.isprintable():
        raise ValueError("holds a character that cannot be seen; paste it again")
    return SecretStr(value)


def _user(secret: SecretStr) -> SecretStr:
    if ":" in secret.get_secret_value():
        raise ValueError("holds a colon, which no user name can; correct it")
    return secret


_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)


def _header_name(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name.strip()):
        raise ValueError("is no name of a header; write one such as Authorization")
    return name.strip()


def _header_value(secret: SecretStr) -> SecretStr:
    if not secret.get_secret_value().isascii():
        raise ValueError("holds a character that no header can; paste it again")
    return secret


_REGION = re.compile(r"[a-z0-9-]+", re.ASCII)


def _region(name: str) -> str:
    if not _REGION.fullmatch(name.strip()):
        raise ValueError("is no name of a region; write one such as eu-central-1")
    return name.strip()


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


def batch_refs(paths: tuple[str, ...]) -> list[BatchRef]:
    """Batches out of `<template id>/<batch id>[/<file id>]`, percent-decoded."""
    refs = []
    for path in paths:
        template_id, batch_id, *file_id = (unescaped(part.strip()) for part in path.split("/"))
        refs.append(BatchRef(template_id, batch_id, file_ids=tuple(file_id), named=True))
    return refs


_TABLE_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
STANDARD = frozenset(
    f"{product}_{kind}"
    for product in ("extracta", "extracta_classification", "docmap", "sensible", "atlas")
    for kind in ("batches", "files", "results", "fields")
)
"""The streams that are there without typed tables."""

_TABLES_OF = ("extracta", "docmap", "sensible", "atlas")


class GivenName(NamedTuple):
    """A table's name by the user's own choice. `of` is a template's id or name, or a document type."""

    provider: str
    of: str
    table: str


def given_name(entry: str) -> GivenName:
    """Out of `<provider>/<template id or document type>=<table name>`, percent-decoded."""
    place, _, table = entry.rpartition("=")
    provider, _, of = place.partition("/")
    return GivenName(provider.strip(), unescaped(of.strip()), table.strip())


def _table_name(value: str) -> str:
    given, of = given_name(value), value.rpartition("=")[0].partition("/")[2]
    if given.provider not in _TABLES_OF or not given.of or "/" in of or "=" in of:
        raise ValueError(
            f"holds an entry ({PLACE}) that is not <provider>/<template id or document type>=<table name>, with one of "
            f"{', '.join(_TABLES_OF)} before the /; write a / or = inside an id as %2F or %3D"
        )
    if not _TABLE_NAME.fullmatch(given.table):
        raise ValueError(
            f"holds an entry ({PLACE}) whose table name not every warehouse takes; write up to 63 letters from a to z, "
            "digits and _, and no digit first"
        )
    if given.table in STANDARD:
        raise ValueError(f"holds an entry ({PLACE}) whose table name is that of another stream; choose another")
    return _seen(value.strip())


def _each_once(entries: tuple[str, ...]) -> tuple[str, ...]:
    given = list(map(given_name, entries))
    if len({one.table for one in given}) < len(given):
        raise ValueError("gives two tables one name; choose another for one of them")
    if len({one[:2] for one in given}) < len(given):
        raise ValueError("gives one template or document type two names; remove one of them")
    return entries


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
Secret = Annotated[SecretStr, AfterValidator(_secret)]
UserName = Annotated[Secret, AfterValidator(_user)]
HeaderName = Annotated[str, AfterValidator(_header_name)]
HeaderValue = Annotated[Secret, AfterValidator(_header_value)]
Region = Annotated[str, AfterValidator(_region)]
Id = Annotated[str, AfterValidator(_id)]
RegistryUrl = Annotated[str, AfterValidator(_registry_url)]
BatchPath = Annotated[str, AfterValidator(_batch_path)]
TableNames = Annotated[tuple[Annotated[str, AfterValidator(_table_name)], ...], AfterValidator(_each_once)]

Start = Annotated[datetime, AfterValidator(_start)]
