"""A registry in Google Cloud Storage, opened with the key file of a service account on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from gcp_storage_emulator.server import RequestHandler
from gcp_storage_emulator.storage import Storage as Shelf

from source_docextract.core.errors import ConfigError
from source_docextract.core.redaction import sanitize
from unit_tests.support.registry_files import ROWS, read_rows, to_csv
from unit_tests.support.registry_storage import BUCKET
from unit_tests.support.stub_server import ReceivedRequest, StubResponse, ok_response, serve_stub

URL = f"gs://{BUCKET}/batches.csv"
TOKEN = "ya29.t0ken-of-acme-0123456789"
EMAIL = "reader@acme.iam.gserviceaccount.com"
AUDIENCE = "https://oauth2.googleapis.com/token"  # of every login, whatever the address of the login is
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def to_pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@dataclass
class Google:
    """The login of Google and a storage whose files need a token.

    Attributes:
        url: the address of the login.
        logins: the claims of the logins so far.
        is_reader: whether the account may read the bucket.
    """

    url: str = ""
    logins: list[dict[str, Any]] = field(default_factory=list)
    is_reader: bool = True

    def respond(self, request: ReceivedRequest) -> StubResponse:
        """Return a token for a login that the account's key has signed."""
        assertion = parse_qs(request.body.decode())["assertion"][0]
        try:
            claims = jwt.decode(assertion, KEY.public_key(), algorithms=["RS256"], audience=AUDIENCE)
        except jwt.InvalidTokenError:
            return 400, {}, {"error": "invalid_grant", "error_description": f"Invalid JWT Signature: {assertion}"}
        self.logins.append(claims)
        return ok_response({"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"})

    def credentials(self, key: rsa.RSAPrivateKey = KEY, **changes: Any) -> dict[str, str]:
        """Return the credentials of the settings."""
        key_file = {
            "type": "service_account",
            "project_id": "acme-batches",
            "private_key_id": "0123456789abcdef0123456789abcdef01234567",
            "private_key": to_pem(key),
            "client_email": EMAIL,
            "token_uri": f"{self.url}/token",
            **changes,
        }
        return {"type": "google", "service_account": json.dumps(key_file, indent=2)}


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    account, shelf = Google(), Shelf(use_memory_fs=True)
    shelf.create_bucket(BUCKET, {"name": BUCKET})
    content = to_csv(ROWS).encode()

    class Guarded(RequestHandler):  # type: ignore[misc] # it has no types
        def do_GET(self) -> None:  # noqa: N802 (a name that http.server looks for)
            """Serve a file to the account only."""
            if self.headers["Authorization"] != f"Bearer {TOKEN}":
                self.send_error(401)
            elif not account.is_reader:
                self.send_error(403)
            else:
                super().do_GET()

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

    with (
        serve_stub(account.respond) as login,
        ThreadingHTTPServer(("127.0.0.1", 0), partial(Guarded, shelf)) as http,
    ):
        account.url, address = login.url, f"http://127.0.0.1:{http.server_port}"
        media_link = f"{address}/download/storage/v1/b/{BUCKET}/o/batches.csv?alt=media"
        meta = {"name": "batches.csv", "bucket": BUCKET, "size": str(len(content)), "mediaLink": media_link}
        shelf.create_file(BUCKET, "batches.csv", content, meta)
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
        yield account
        http.shutdown()
        thread.join()


def get_failure(credentials: Any, url: str = URL) -> str:
    with pytest.raises(ConfigError) as exc_info:
        read_rows(url, credentials)
    return str(exc_info.value)


def test_key_file_opens_registry_with_one_login(google: Google) -> None:
    assert len(read_rows(URL, google.credentials()).get_batches("atlas")) == 1

    [login] = google.logins
    assert login["iss"] == EMAIL
    assert login["scope"] == "https://www.googleapis.com/auth/devstorage.read_only"


def test_key_of_other_account_is_an_error_naming_setting(google: Google) -> None:
    assert get_failure(google.credentials(OTHER_KEY)) == (
        f"The batch registry {URL} cannot be read (RefreshError). Create another key of the service account, "
        "and set it as batch_registry.credentials.service_account."
    )


def test_account_without_role_is_an_error_naming_role(google: Google) -> None:
    google.is_reader = False

    assert get_failure(google.credentials()) == (
        f"The batch registry {URL} cannot be read (Forbidden). "
        "Give the service account of batch_registry.credentials the role Storage Object Viewer."
    )


@pytest.mark.usefixtures("google")
def test_missing_credentials_are_an_error() -> None:
    assert get_failure(None) == f"The batch registry {URL} cannot be read (InvalidOperation). Check batch_registry.url."


def test_missing_file_is_an_error_naming_url(google: Google) -> None:
    url = f"gs://{BUCKET}/gone.csv"

    assert get_failure(google.credentials(), url) == (
        f"The batch registry {url} does not exist (NotFound). The credentials are accepted; check batch_registry.url."
    )


def test_damaged_private_key_is_an_error_without_it(google: Google) -> None:
    damaged = to_pem(KEY).replace("A", "B")

    error = get_failure(google.credentials(private_key=damaged))

    assert "Check batch_registry.url and batch_registry.credentials." in error
    assert not [line for line in damaged.splitlines()[1:-1] if line[:16] in error]


def test_login_without_response_is_an_error(google: Google, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("source_docextract.registry.storages.TIMEOUT", (0.2, 0.2))
    done = threading.Event()

    def respond(_request: ReceivedRequest) -> StubResponse:
        done.wait()
        return ok_response({})

    with serve_stub(respond) as server:
        error = get_failure(google.credentials(token_uri=f"{server.url}/token"))
        done.set()

    assert "cannot be read (" in error


def test_private_key_and_token_are_registered_and_names_are_not(google: Google) -> None:
    read_rows(URL, google.credentials())

    escaped = json.dumps(to_pem(KEY))
    for line in to_pem(KEY).splitlines()[1:-1]:
        assert line[:16] not in sanitize(f"the line {line} of a key")
    assert to_pem(KEY)[100:130] not in sanitize(escaped, max_length=3000)
    assert TOKEN[5:] not in sanitize(f"the token {TOKEN}")
    assert sanitize(f"bucket acme-batches at {EMAIL}") == f"bucket acme-batches at {EMAIL}"
