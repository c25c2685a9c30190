"""Validators of the settings' values, with a sentence for each rejected value.

Each sentence continues the setting's name: "docmap.api_key is empty or cut short; …". None quotes the value, which may
be a key in the wrong place.
"""

from __future__ import annotations

import ipaddress
import json
import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, NamedTuple
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, SecretStr

from .ids import unescape_id_part
from .model import PartitionRef
from .products import STANDARD_STREAMS, TYPED_PROVIDERS
from .redaction import MIN_SECRET_LENGTH
from .secret_parts import match_private_key, parse_connection_string
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


def _validate_service_account(secret: SecretStr) -> SecretStr:
    """Return the key file of a Google service account, as it is."""
    try:
        key_file = json.loads(secret.get_secret_value())
    except (ValueError, RecursionError):  # not raised from here: its message quotes the text
        key_file = None
    if not isinstance(key_file, dict) or key_file.get("type") != "service_account":
        raise ValueError("is not the key file of a service account; paste the whole JSON file from Google Cloud")
    names = ("client_email", "private_key", "token_uri")
    if not all(isinstance(key_file.get(name), str) and key_file[name].strip() for name in names):
        raise ValueError(f"lacks one of {', '.join(names)}; paste the whole JSON file from Google Cloud")
    # The connector sends a signed login to this address, so a changed key file must not choose it.
    if not _is_google_or_loopback(key_file["token_uri"]):
        raise ValueError("has a token_uri that is not Google's; download the key file from Google Cloud again")
    return secret


def _is_google_or_loopback(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    host = parts.hostname or ""
    is_google = host in {"accounts.google.com", "googleapis.com"} or host.endswith(".googleapis.com")
    return (parts.scheme == "https" and is_google) or (parts.scheme == "http" and _is_loopback(host))


_ACCOUNT_NAME_PATTERN = re.compile(r"[a-z0-9]{3,24}", re.ASCII)


def _validate_account_name(name: str) -> str:
    if not _ACCOUNT_NAME_PATTERN.fullmatch(name.strip()):
        raise ValueError("is not the name of a storage account; use 3 to 24 characters: a to z and digits")
    return name.strip()


def _is_base64(text: str) -> bool:
    try:
        return bool(b64decode(text, validate=True))
    except (Base64Error, ValueError):
        return False


def _validate_account_key(secret: SecretStr) -> SecretStr:
    if not _is_base64(secret.get_secret_value()):
        raise ValueError("is incomplete or not an account key; paste it again")
    return secret


def _validate_sas_token(secret: SecretStr) -> SecretStr:
    token = secret.get_secret_value().removeprefix("?")
    if "://" in token or not {"sig", "sv"} <= parse_qs(token).keys():
        raise ValueError("is not a SAS token; paste the text that begins with sv= or sp=, without an address")
    return SecretStr(token)


def build_blob_endpoint(parts: Mapping[str, str]) -> str:
    """Return the address of the blob service that a connection string names.

    The text is empty if the string names none.
    """
    if endpoint := parts.get("blobendpoint", ""):
        return endpoint.rstrip("/")
    protocol, suffix = parts.get("defaultendpointsprotocol", "https"), parts.get("endpointsuffix", "core.windows.net")
    return f"{protocol}://{parts['accountname']}.blob.{suffix}" if parts.get("accountname") else ""


def _validate_connection_string(secret: SecretStr) -> SecretStr:
    parts = parse_connection_string(secret.get_secret_value())
    has_key = _is_base64(parts.get("accountkey", "")) and bool(parts.get("accountname"))
    has_token = "sig" in parse_qs(parts.get("sharedaccesssignature", "").removeprefix("?"))
    if not has_key and not has_token:
        raise ValueError("is not a connection string with an account key or SAS token; paste the whole string")
    try:
        _validate_base_url(build_blob_endpoint(parts))
    except ValueError as error:
        raise ValueError(f"has an address that {error}") from None
    return secret


def _validate_private_key(secret: SecretStr) -> SecretStr:
    """Return a private key with the line breaks that its format needs.

    A form or an environment variable with one line turns them into spaces or into a backslash and an n.
    """
    value = secret.get_secret_value().replace("\r", "").replace("\\n", "\n").strip()
    if value.startswith("PuTTY-User-Key-File"):
        raise ValueError("has the format of PuTTY; export it as an OpenSSH key with PuTTYgen")
    match = match_private_key(value)
    if not match:
        raise ValueError("is not a private key; paste the whole file, from -----BEGIN to -----END")
    # Keys with a password in the old format have headers, which end at an empty line, so their lines stay.
    body = match["body"] if "Proc-Type" in match["body"] else "\n" + "\n".join(match["body"].split()) + "\n"
    return SecretStr(f"-----BEGIN {match['type']}-----{body}-----END {match['type']}-----\n")


_HOST_KEY_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")


def _validate_host_key(host_key: str) -> str:
    """Return a host key as its type and its base64 text.

    A line of ssh-keyscan or known_hosts has the host in front, and a line of a .pub file a comment behind.
    """
    words = host_key.split()
    index = next((index for index, word in enumerate(words) if word in _HOST_KEY_TYPES), None)
    key_text = words[index + 1] if index is not None and index <= 1 and index + 1 < len(words) else ""
    type_name = words[index] if index is not None else ""
    # The key itself repeats its type, so that a cut copy or two mixed lines are found here.
    if not _is_base64(key_text) or b64decode(key_text)[4 : 4 + len(type_name)] != type_name.encode():
        raise ValueError("is not the key of a host; write a line such as ssh-ed25519 AAAAC3..., as ssh-keyscan prints")
    return f"{type_name} {key_text}"


def _validate_id(value: str) -> str:
    if not value.strip():
        raise ValueError("contains an empty id; remove it")
    return _require_visible(value.strip())


_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters and lone surrogates, as damaged copies have them (Unicode's categories Cc and Cs)."""


def _require_visible(value: str) -> str:
    if _INVISIBLE.search(value):
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


_STORAGE_FORMS = {
    "s3": "s3://bucket/batches.csv",
    "gs": "gs://bucket/batches.csv",
    "az": "az://container/batches.csv",
    "sftp": "sftp://host/folder/batches.csv",
}
"""The form of the URLs of each storage."""


def _validate_registry_url(url: str) -> str:
    url = url.strip()
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in {*_STORAGE_FORMS, "https", "http", "file", ""} and bool(url) and url.isprintable()
        has_valid_port = parts.scheme != "sftp" or parts.port != 0
    except ValueError:  # its message quotes the URL, which may hold a password
        is_valid = has_valid_port = False
    if not is_valid or not has_valid_port:
        raise ValueError(
            "is not an address that can be read; use https://, s3://, gs://, az:// or sftp://, or a local path"
        )
    if parts.scheme in {"az", "sftp"} and not (parts.netloc.rpartition("@")[2] and parts.path.strip("/")):
        raise ValueError(f"is incomplete; write it like {_STORAGE_FORMS[parts.scheme]}")
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

ServiceAccount = Annotated[SecretStr, AfterValidator(_validate_service_account)]

AccountName = Annotated[str, AfterValidator(_validate_account_name)]

AccountKey = Annotated[Secret, AfterValidator(_validate_account_key)]

SasToken = Annotated[Secret, AfterValidator(_validate_sas_token)]

ConnectionString = Annotated[Secret, AfterValidator(_validate_connection_string)]

PrivateKey = Annotated[SecretStr, AfterValidator(_validate_private_key)]

HostKey = Annotated[str, AfterValidator(_validate_host_key)]

Id = Annotated[str, AfterValidator(_validate_id)]

RegistryUrl = Annotated[str, AfterValidator(_validate_registry_url)]

BatchPath = Annotated[str, AfterValidator(_validate_batch_path)]

TableNames = Annotated[
    tuple[Annotated[str, AfterValidator(_validate_table_name)], ...], AfterValidator(_require_unique_names)
]

StartDate = Annotated[datetime, AfterValidator(_validate_start_date)]
