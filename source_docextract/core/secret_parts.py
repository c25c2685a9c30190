"""The secret parts of credentials that come as one text, such as a key file.

Messages mask the parts alone. The rest of such a text is no secret, and holds words that messages need: masking a whole
key file would also mask each name that it has in common with the address of a file.
"""

from __future__ import annotations

import json
import re
from urllib.parse import parse_qs, unquote

_PEM_KEY = re.compile(
    r"-----BEGIN (?P<type>[A-Z0-9 ]{0,30}PRIVATE KEY)-----(?P<body>.+)-----END (?P=type)-----", re.ASCII | re.DOTALL
)
"""A private key in the format PEM, which the formats of OpenSSH, PKCS 1 and PKCS 8 share."""


def match_private_key(text: str) -> re.Match[str] | None:
    """Return the match of a text that is one private key; its groups are `type` and `body`."""
    return _PEM_KEY.fullmatch(text.strip())


def parse_connection_string(connection_string: str) -> dict[str, str]:
    """Return the parts of a connection string of Azure, by their lowercase names."""
    pairs = (part.partition("=") for part in connection_string.split(";") if part.strip())
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def list_secret_parts(text: str) -> list[str]:
    """Return the secret parts of a text; the text itself where it has no known parts.

    The parts of a key file are its private key and the id of that key, those of a connection string its key and the
    signature of its SAS token, that of a SAS token its signature, and that of a private key all lines of it.
    """
    if text.lstrip().startswith("{"):
        return _list_key_file_parts(text)
    if "-----BEGIN " in text:
        return _list_private_key_parts(text)
    parts = parse_connection_string(text)
    if parts.keys() & {"accountkey", "sharedaccesssignature"}:
        sas_token = parts.get("sharedaccesssignature", "")
        return [*filter(None, [parts.get("accountkey", "")]), *(_list_signatures(sas_token) if sas_token else ())]
    return _list_signatures(text) or [text]


def _list_key_file_parts(text: str) -> list[str]:
    try:
        key_file = json.loads(text)
    except (ValueError, RecursionError):
        # A damaged copy may hold a whole key all the same.
        return [text, *_list_private_key_parts(text)]
    if not isinstance(key_file, dict):
        return [text]
    values = [key_file.get(name) for name in ("private_key_id", "private_key")]
    key_id, private_key = (value if isinstance(value, str) else "" for value in values)
    return [*filter(None, [key_id]), *(_list_private_key_parts(private_key) if private_key else ())] or [text]


def _list_private_key_parts(text: str) -> list[str]:
    """Return the content of a private key in one line, and as it stands.

    A line of the key, or a piece of it, is a piece of the content in one line.
    """
    content = re.sub(r"-----(?:BEGIN|END) [A-Z0-9 ]{0,40}-----|\\[rn]|\s", "", text)
    return [content] if content else []


def _list_signatures(sas_token: str) -> list[str]:
    """Return the signatures in a SAS token, encoded as in a URL and decoded."""
    encoded = re.findall(r"(?:^|[?&])sig=([^&]+)", sas_token)
    decoded = parse_qs(sas_token.removeprefix("?")).get("sig", [])
    return list(dict.fromkeys([*encoded, *map(unquote, encoded), *decoded])) if "sv=" in sas_token else []
