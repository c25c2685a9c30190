"""Validators of the settings' values, with a sentence for each rejected value.

Each sentence continues the setting's name: "docmap.api_key is empty or cut short; …". None quotes the value, which may
be a key in the wrong place.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import datetime
from typing import Annotated, NamedTuple
from unicodedata import category
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

from .ids import unescape_id_part
from .model import PartitionRef
from .products import STANDARD_STREAMS, TYPED_PROVIDERS
from .redaction import MIN_SECRET_LENGTH
from .timestamps import to_utc

POSITION_PLACEHOLDER = "{place}"
"""Stands for the entry's position in its list: pydantic knows the position, a validator of one entry does not."""


def _validate_base_url(url: str) -> str:
    """Return an https URL, or an http URL of this machine (the sandbox).

    A slash at its end is removed.

    A URL with a user name, a password, a query or a fragment is rejected: any of them could carry a key.
    """
    url = url.strip()
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in {"https", "http"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # urlsplit: an invalid port or IPv6 address
        is_valid = False
    if not is_valid or not url.isprintable() or " " in url:
        raise ValueError("is not a web address; write one that begins with https://")
    if parts.username or parts.password or "?" in url or "#" in url:
        raise ValueError("contains more than an address; remove user name, password, ? and #")
    # Plain http is for the sandbox on this machine: on a network, it would show the key to others.
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise ValueError("would send the key unencrypted; use https://")
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _validate_api_key(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value().strip()
    # A shorter key is an incomplete copy, and messages could not mask it without garbling ordinary words.
    if len(value) < MIN_SECRET_LENGTH:
        raise ValueError("is empty or incomplete; paste the complete value from the provider's app")
    # Spaces and line breaks are copied along with a key, and a header with a line break cannot be sent.
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("contains a space or an invalid character; paste it again")
    return SecretStr(value)


def _validate_secret(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value().strip()
    if not value:
        raise ValueError("is empty; fill it in")
    if not value.isprintable():
        raise ValueError("contains an invisible character; paste it again")
    return SecretStr(value)


def _validate_user_name(secret: SecretStr) -> SecretStr:
    # HTTP's basic authentication joins user name and password by a colon, so the name cannot hold one.
    if ":" in secret.get_secret_value():
        raise ValueError("contains a colon, which is not allowed in a user name; correct it")
    return secret


_HEADER_NAME_PATTERN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
"""A token of HTTP's grammar, without line ends, which could smuggle a second header into the request."""


def _validate_header_name(name: str) -> str:
    if not _HEADER_NAME_PATTERN.fullmatch(name.strip()):
        raise ValueError("is not a header name; write one such as Authorization")
    return name.strip()


def _validate_header_value(secret: SecretStr) -> SecretStr:
    if not secret.get_secret_value().isascii():
        raise ValueError("contains a character that is not allowed in a header; paste it again")
    return secret


_REGION_PATTERN = re.compile(r"[a-z0-9-]+", re.ASCII)


def _validate_region(name: str) -> str:
    if not _REGION_PATTERN.fullmatch(name.strip()):
        raise ValueError("is not a region name; write one such as eu-central-1")
    return name.strip()


def _validate_id(value: str) -> str:
    if not value.strip():
        raise ValueError("contains an empty id; remove it")
    return _require_visible(value.strip())


def _require_visible(value: str) -> str:
    # Control characters and lone surrogates come from damaged copies.
    if any(category(letter) in {"Cc", "Cs"} for letter in value):
        raise ValueError("contains an id with invisible characters; paste it again")
    return value


def _validate_batch_path(value: str) -> str:
    parts = value.strip().split("/")
    if len(parts) not in {2, 3} or not all(part.strip() for part in parts):
        raise ValueError(
            f"contains an entry ({POSITION_PLACEHOLDER}) that is not <template id>/<batch id>[/<file id>]; "
            "write a / inside an id as %2F"
        )
    return _require_visible(value.strip())


def parse_partition_refs(paths: tuple[str, ...]) -> list[PartitionRef]:
    """Parse entries of the form `<template id>/<batch id>[/<file id>]`.

    The ids are percent-decoded.
    """
    refs = []
    for path in paths:
        template_id, batch_id, *file_ids = (unescape_id_part(part.strip()) for part in path.split("/"))
        # A batch that the user names is read whatever `start_date` says.
        refs.append(PartitionRef(template_id, batch_id, file_ids=tuple(file_ids), is_explicit=True))
    return refs


_TABLE_NAME_PATTERN = re.compile(r"[a-z_][a-z0-9_]{0,62}")
"""A name that warehouses accept without quotes; 63 characters are the limit of Postgres."""


class TableNameEntry(NamedTuple):
    """An entry of the setting `table_names`.

    Attributes:
        provider: the stream prefix of the provider.
        table_key: a template's id or name, or a document type.
        table_name: the name that the user chose for the typed table.
    """

    provider: str
    table_key: str
    table_name: str


def parse_table_name_entry(entry: str) -> TableNameEntry:
    """Parse `<provider>/<template id or document type>=<table name>`.

    The template id or document type is percent-decoded.
    """
    # Split at the last `=`, so that an unescaped one in the key is found and rejected.
    left_side, _, table_name = entry.rpartition("=")
    provider, _, table_key = left_side.partition("/")
    return TableNameEntry(provider.strip(), unescape_id_part(table_key.strip()), table_name.strip())


def _validate_table_name(value: str) -> str:
    name_entry, raw_table_key = parse_table_name_entry(value), value.rpartition("=")[0].partition("/")[2]
    if (
        name_entry.provider not in TYPED_PROVIDERS
        or not name_entry.table_key
        or "/" in raw_table_key
        or "=" in raw_table_key
    ):
        raise ValueError(
            f"contains an entry ({POSITION_PLACEHOLDER}) that is not "
            "<provider>/<template id or document type>=<table name>, with one of "
            f"{', '.join(TYPED_PROVIDERS)} before the /; write a / or = inside an id as %2F or %3D"
        )
    if not _TABLE_NAME_PATTERN.fullmatch(name_entry.table_name):
        raise ValueError(
            f"contains an entry ({POSITION_PLACEHOLDER}) with a table name that not every warehouse accepts; "
            "use at most 63 characters: a to z, digits and _, with no digit first"
        )
    # A sync looks up standard streams first, so a typed table with the name of one could never be read.
    if name_entry.table_name in STANDARD_STREAMS:
        raise ValueError(
            f"contains an entry ({POSITION_PLACEHOLDER}) with the name of another stream; choose another table name"
        )
    return _require_visible(value.strip())


def _require_unique_names(entries: tuple[str, ...]) -> tuple[str, ...]:
    name_entries = list(map(parse_table_name_entry, entries))
    if len({name_entry.table_name for name_entry in name_entries}) < len(name_entries):
        raise ValueError("gives two tables the same name; change one of them")
    if len({name_entry[:2] for name_entry in name_entries}) < len(name_entries):
        raise ValueError("gives one template or document type two names; remove one of them")
    return entries


def _validate_start_date(start_date: datetime) -> datetime:
    try:
        # The shift to UTC can leave the years 1 to 9999, and Python's dates hold no others.
        return to_utc(start_date)
    except OverflowError:
        raise ValueError("is not a date and time; write it like 2026-01-01T00:00:00Z") from None


def _validate_registry_url(url: str) -> str:
    url = url.strip()
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in {"https", "http", "s3", "gs", "file", ""} and bool(url) and url.isprintable()
    except ValueError:  # its message quotes the URL, which may hold a password
        is_valid = False
    if not is_valid:
        raise ValueError("is not an address that can be read; use https://, s3:// or gs://, or a local path")
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise ValueError("would be read unencrypted; use https://")
    return url


BaseUrl = Annotated[str, AfterValidator(_validate_base_url)]

ApiKey = Annotated[SecretStr, AfterValidator(_validate_api_key)]

Secret = Annotated[SecretStr, AfterValidator(_validate_secret)]

UserName = Annotated[Secret, AfterValidator(_validate_user_name)]

HeaderName = Annotated[str, AfterValidator(_validate_header_name)]

HeaderValue = Annotated[Secret, AfterValidator(_validate_header_value)]

Region = Annotated[str, AfterValidator(_validate_region)]

Id = Annotated[str, AfterValidator(_validate_id)]

RegistryUrl = Annotated[str, AfterValidator(_validate_registry_url)]

BatchPath = Annotated[str, AfterValidator(_validate_batch_path)]

TableNames = Annotated[
    tuple[Annotated[str, AfterValidator(_validate_table_name)], ...], AfterValidator(_require_unique_names)
]

StartDate = Annotated[datetime, AfterValidator(_validate_start_date)]
