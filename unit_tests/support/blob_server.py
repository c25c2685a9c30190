"""A stand-in for Azure Blob Storage on loopback, written after its REST documentation.

There is no server of this API for Python alone. It serves blobs, whole or in ranges, to requests with a valid shared
key or a valid SAS token of a blob, and rejects all others as Azure does. It does nothing else.
`test_registry_azure.py` compares it with Azurite, Microsoft's own emulator, where Azurite is installed.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from hashlib import sha256
from urllib.parse import parse_qs, unquote, urlsplit

from unit_tests.support.stub_server import ReceivedRequest, StubResponse, serve_stub

ACCOUNT = "acmefiles"
ACCOUNT_KEY = b64encode(b"the shared key of acme, which nobody may see in any message, 64 bytes").decode()

_SIGNED_HEADERS = (
    "Content-Encoding", "Content-Language", "Content-Length", "Content-MD5", "Content-Type", "Date",
    "If-Modified-Since", "If-Match", "If-None-Match", "If-Unmodified-Since", "Range",
)  # fmt: skip


@dataclass
class BlobServer:
    """A storage account with the path of its name, as emulators have it.

    Attributes:
        endpoint: its address.
        blobs: the contents by `container/name`.
        received: the requests so far.
    """

    endpoint: str = ""
    blobs: dict[str, bytes] = field(default_factory=dict)
    received: list[ReceivedRequest] = field(default_factory=list)

    def respond(self, request: ReceivedRequest) -> StubResponse:
        """Return the response to a request for a blob."""
        self.received.append(request)
        parts = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        blob_name = unquote(parts.path).removeprefix(f"/{ACCOUNT}/")
        code = _check_sas(blob_name, query) if "sig" in query else _check_shared_key(request)
        if code:
            return _refuse(403, code)
        if blob_name not in self.blobs:
            return _refuse(404, "BlobNotFound")
        content = self.blobs[blob_name]
        headers = {"ETag": '"1"', "x-ms-blob-type": "BlockBlob", "x-ms-version": "2021-12-02"}
        headers["Last-Modified"] = "Fri, 20 Nov 2026 09:00:00 GMT"
        if request.method == "HEAD":
            return 200, {**headers, "Content-Length": str(len(content)), "Content-Type": "text/csv"}, b""
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("x-ms-range") or request.headers["Range"] or "")
        if not span:
            return 200, headers, content
        first, last = int(span[1]), min(int(span[2] or len(content)), len(content) - 1)
        if first >= len(content):
            return _refuse(416, "InvalidRange")
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        return 206, headers, content[first : last + 1]


def _refuse(status: int, code: str) -> StubResponse:
    body = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>no</Message></Error>'
    return status, {"x-ms-error-code": code, "Content-Type": "application/xml"}, body.encode()


def _sign(text: str) -> str:
    return b64encode(hmac.new(b64decode(ACCOUNT_KEY), text.encode(), sha256).digest()).decode()


def _check_shared_key(request: ReceivedRequest) -> str:
    """Return the code of the error of a request without a valid shared key; empty text if it is valid."""
    scheme, _, login = (request.headers["Authorization"] or "").partition(" ")
    if scheme != "SharedKey":
        return "NoAuthenticationInformation"
    parts = urlsplit(request.path)
    values = [request.headers[name] or "" for name in _SIGNED_HEADERS]
    values[2] = "" if values[2] == "0" else values[2]
    ms_headers = sorted((name.lower(), value) for name, value in request.headers.items() if name.lower()[:5] == "x-ms-")
    query = sorted((name.lower(), ",".join(sorted(values))) for name, values in parse_qs(parts.query).items())
    lines = [request.method, *values, *(f"{name}:{value}" for name, value in ms_headers)]
    resource = "\n".join([f"/{ACCOUNT}{parts.path}", *(f"{name}:{value}" for name, value in query)])
    expected = f"{ACCOUNT}:{_sign(chr(10).join([*lines, resource]))}"
    return "" if hmac.compare_digest(login, expected) else "AuthenticationFailed"


def _check_sas(blob_name: str, query: Mapping[str, str]) -> str:
    """Return the code of the error of a SAS token for this blob; empty text if it is valid.

    It is the service SAS of the versions since 2020-12-06.
    """
    fields = ["sp", "st", "se", "", "si", "sip", "spr", "sv", "sr", "snapshot", "ses"]
    fields += ["rscc", "rscd", "rsce", "rscl", "rsct"]
    values = [query.get(name, "") for name in fields]
    container = blob_name.partition("/")[0]
    values[3] = f"/blob/{ACCOUNT}/{blob_name if query.get('sr') == 'b' else container}"
    if not hmac.compare_digest(query["sig"], _sign("\n".join(values))):
        return "AuthenticationFailed"
    expires_at = datetime.fromisoformat(query["se"].replace("Z", "+00:00"))
    if expires_at < datetime.now(timezone.utc):
        return "AuthenticationFailed"
    return "" if "r" in query["sp"] else "AuthorizationPermissionMismatch"


@contextmanager
def serve_blobs() -> Iterator[BlobServer]:
    """Serve until the end of the block."""
    server = BlobServer()
    with serve_stub(server.respond) as stub:
        server.endpoint = f"{stub.url}/{ACCOUNT}"
        yield server
