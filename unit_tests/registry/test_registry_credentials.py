"""A registry that opens with credentials of the settings, on a machine that has none."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from airbyte_cdk.utils.airbyte_secrets_utils import get_secrets
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from docextract_sandbox import NewDocument
from source_docextract.core.errors import ConfigError
from source_docextract.core.secret_parts import list_secret_parts
from source_docextract.registry.addresses import AddressGuard
from source_docextract.registry.credentials import HeaderCredentials, SftpPasswordCredentials
from source_docextract.registry.storages import build_transport_params
from source_docextract.settings import Settings
from source_docextract.spec import build_connection_spec
from unit_tests.support.airbyte_form import Form
from unit_tests.support.cases import each_case
from unit_tests.support.command_line import run_connector
from unit_tests.support.harness import Connection, log
from unit_tests.support.registry_files import (
    DOCMAP,
    ROWS,
    ServedSandbox,
    parse_registry_settings,
    read_rows,
    to_csv,
)
from unit_tests.support.registry_storage import BUCKET, CREDENTIALS, Storage
from unit_tests.support.stub_server import ReceivedRequest, StubResponse, ok_response, serve_stub

KEY, SECRET = CREDENTIALS.values()
TOKEN = "t0ken-0123456789/session"
S3 = {"type": "s3", "access_key_id": KEY, "secret_access_key": SECRET}
BASIC = {"type": "http_basic", "username": "acme-reader", "password": "pässw0rd-0123"}
HEADER = {"type": "http_header", "name": "X-Api-Key", "value": "Bearer s3cr3t-0123456789"}
GOOGLE = {
    "type": "google",
    "service_account": json.dumps(
        {
            "type": "service_account",
            "client_email": "reader@acme.iam.gserviceaccount.com",
            "private_key": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\n-----END PRIVATE KEY-----\n",
            "token_uri": "https://oauth2.googleapis.com/token",
        }
    ),
}
GOOGLE_LOGIN = "https://oauth2.googleapis.com"
AZURE_KEY = {"type": "azure_key", "account": "acmefiles", "account_key": "c2hhcmVkIGtleSBvZiBhY21lLCA2NCBieXRlcw=="}
AZURE_SAS = {"type": "azure_sas", "account": "acmefiles", "sas_token": "sv=2024-11-04&sp=r&sr=b&sig=c2lnbmF0dXJl%3D"}
AZURE_STRING = {
    "type": "azure_connection_string",
    "connection_string": "DefaultEndpointsProtocol=https;AccountName=acmefiles;"
    f"AccountKey={AZURE_KEY['account_key']};EndpointSuffix=core.windows.net",
}
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO5WwN5yqGS5fT4wEJbZ0d0l8m4r3l6dQn4q2d8F0Y0c"
SFTP_PASSWORD = {"type": "sftp_password", "username": "acme", "password": "passw0rd-0123", "host_key": HOST_KEY}
SFTP_KEY = {
    "type": "sftp_key",
    "username": "acme",
    "private_key": "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n-----END OPENSSH PRIVATE KEY-----\n",
    "host_key": HOST_KEY,
}
ALL = [S3, GOOGLE, AZURE_STRING, AZURE_KEY, AZURE_SAS, SFTP_PASSWORD, SFTP_KEY, BASIC, HEADER]
PLAIN_SETTINGS = {"type", "name", "account", "endpoint", "host_key"}
"""The names of settings that hold no secret."""
NO_TYPE = (
    " needs a type; write machine, s3, google, azure_connection_string, azure_key, azure_sas, sftp_password, sftp_key, "
    "http_basic or http_header."
)
NO_KEY_FILE = ".service_account is not the key file of a service account; paste the whole JSON file from Google Cloud."
NO_HOST_KEY = ".host_key is not the key of a host; write a line such as ssh-ed25519 AAAAC3..., as ssh-keyscan prints."
NO_SAS = ".sas_token is not a SAS token; paste the text that begins with sv= or sp=, without an address."
NO_STRING = ".connection_string is not a connection string with an account key or SAS token; paste the whole string."
NO_PRIVATE_KEY = ".private_key is not a private key; paste the whole file, from -----BEGIN to -----END."
NO_REGION = ".region is not a region name; write one such as eu-central-1."
NO_HEADER = ".name is not a header name; write one such as Authorization."
COLON = ".username contains a colon, which is not allowed in a user name; correct it."


def get_error_message(url: str, credentials: Any) -> str:
    with pytest.raises(ConfigError) as exc_info:
        parse_registry_settings(url, credentials)
    return str(exc_info.value)


class TestS3:
    @pytest.fixture(autouse=True)
    def clean_environment(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        request.getfixturevalue("s3")  # the bucket is made with what the environment has
        for name in [name for name in os.environ if name.startswith("AWS_") and name != "AWS_EC2_METADATA_DISABLED"]:
            monkeypatch.delenv(name)
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)

    def test_access_key_of_settings_opens_registry(self, s3: Storage, s3_address: str) -> None:
        url = s3.write(to_csv(ROWS))

        assert len(read_rows(url, {**S3, "endpoint": s3_address}).get_batches("atlas")) == 1
        with pytest.raises(ConfigError, match="NoCredentialsError"):
            read_rows(url, {"type": "machine"})

    @pytest.mark.parametrize("token", [None, TOKEN])
    def test_request_uses_key_token_and_region_of_settings(self, token: str | None) -> None:
        with serve_stub(lambda _request: ok_response(to_csv(ROWS).encode())) as server:
            credentials = {**S3, "session_token": token, "region": "eu-central-1", "endpoint": server.url}

            assert len(read_rows(f"s3://{BUCKET}/batches.csv", credentials).get_batches("atlas")) == 1

        [request] = server.received
        assert f"Credential={KEY}/" in request.headers["Authorization"]
        assert "/eu-central-1/s3/" in request.headers["Authorization"]
        assert request.headers["X-Amz-Security-Token"] == token
        assert SECRET not in str(request)

    def test_access_denied_is_an_error_naming_settings(self) -> None:
        response: StubResponse = (403, {}, b"<Error><Code>AccessDenied</Code></Error>")
        with serve_stub(lambda _request: response) as server, pytest.raises(ConfigError) as exc_info:
            read_rows(f"s3://{BUCKET}/batches.csv", {**S3, "endpoint": server.url})

        assert str(exc_info.value) == (
            f"The batch registry s3://{BUCKET}/batches.csv cannot be read (AccessDenied). "
            "Check batch_registry.url and batch_registry.credentials."
        )

    def test_credentials_in_url_and_settings_are_refused(self, s3_address: str) -> None:
        with pytest.raises(ConfigError, match=r"s3://acme/x.csv has credentials in batch_registry.url as well. Remove"):
            read_rows("s3://AKIAACME:other-secret-0123@acme/x.csv", {**S3, "endpoint": s3_address})


class TestHttp:
    def test_user_and_password_of_settings_open_registry(self) -> None:
        expected = base64.b64encode(f"{BASIC['username']}:{BASIC['password']}".encode()).decode()

        def respond(request: ReceivedRequest) -> StubResponse:
            is_right = request.headers["Authorization"] == f"Basic {expected}"
            return ok_response(to_csv(ROWS).encode()) if is_right else (401, {}, b"")

        with serve_stub(respond) as server:
            assert len(read_rows(f"{server.url}/batches.csv", BASIC).get_batches("atlas")) == 1
            with pytest.raises(ConfigError, match=r"Check batch_registry.url and batch_registry.credentials."):
                read_rows(f"{server.url}/batches.csv", {**BASIC, "password": "another-0123"})

    def test_header_of_settings_is_kept_after_redirect_on_same_server(self) -> None:
        def respond(request: ReceivedRequest) -> StubResponse:
            if request.headers["X-Api-Key"] != HEADER["value"]:
                return (403, {}, b"")
            return (
                ok_response(to_csv(ROWS).encode())
                if request.path == "/list.csv"
                else (302, {"Location": "/list.csv"}, b"")
            )

        with serve_stub(respond) as server:
            assert len(read_rows(f"{server.url}/batches.csv", HEADER).get_batches("atlas")) == 1

        assert [request.path for request in server.received] == ["/batches.csv", "/list.csv"]
        assert {request.headers["Accept-Encoding"] for request in server.received} == {"identity"}

    @pytest.mark.parametrize(
        ("redirect_target", "is_sent"),
        [
            ("https://files.example/list.csv", True),
            ("https://elsewhere.example/list.csv", False),
            ("https://files.example:8443/list.csv", False),
            ("http://files.example/list.csv", False),
        ],
    )
    def test_header_of_settings_is_not_sent_to_other_server(self, redirect_target: str, is_sent: bool) -> None:
        credentials = HeaderCredentials.model_validate(HEADER)
        guard = AddressGuard([])
        session = build_transport_params("https://files.example/batches.csv", credentials, guard)["session"]
        session.trust_env = False
        response = requests.Response()
        response.request = requests.Request("GET", "https://files.example/batches.csv").prepare()
        following = requests.Request("GET", redirect_target, headers={"X-Api-Key": "k"}).prepare()

        session.rebuild_auth(following, response)

        assert ("X-Api-Key" in following.headers) is is_sent

    @pytest.mark.parametrize("credentials", [BASIC, HEADER], ids=lambda credentials_json: str(credentials_json["type"]))
    def test_sync_with_credentials_reads_registry_batches(
        self, served_sandbox: ServedSandbox, credentials: dict[str, str]
    ) -> None:
        sandbox, url = served_sandbox
        data = {"document_type": "PAN", "name": {"value": "ASHA", "confidence_score": 0.9}}
        batch = sandbox.atlas.submit([NewDocument("1", duration_seconds=0, file_data=data)])

        def respond(request: ReceivedRequest) -> StubResponse:
            is_known = "X-Api-Key" in request.headers or "Authorization" in request.headers
            return (
                ok_response(to_csv([{"provider": "atlas", "batch_id": batch}]).encode()) if is_known else (401, {}, b"")
            )

        with serve_stub(respond) as server:
            section = {"use": "yes", "url": f"{server.url}/batches.csv", "credentials": credentials}
            connection = Connection(sandbox, url, {"atlas": {}, "batch_registry": section})

            assert connection.source.check(log, connection.settings).status.value == "SUCCEEDED"
            assert connection.sync().ids("atlas_batches") == [batch]
            connection.settings["batch_registry"]["credentials"] = {"type": "machine"}
            assert set(connection.sync().final_statuses.values()) == {"INCOMPLETE"}


def create_private_key(file_format: serialization.PrivateFormat) -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(serialization.Encoding.PEM, file_format, serialization.NoEncryption()).decode()


@pytest.mark.parametrize(
    "credentials",
    [{**S3, "session_token": TOKEN}, *ALL[1:]],
    ids=lambda credentials_json: str(credentials_json["type"]),
)
@pytest.mark.sample(2)
@pytest.mark.parametrize("status", [200, 403])
def test_registry_credentials_are_not_logged_at_debug(credentials: dict[str, str], status: int, tmp_path: Path) -> None:
    """smart-open logs all that it is given, and the clients log their requests."""
    credentials = dict(credentials)
    with serve_stub(lambda _request: (status, {}, to_csv(ROWS).encode())) as server:
        storage = credentials["type"].partition("_")[0]
        urls = {"s3": f"s3://{BUCKET}", "google": "gs://b", "azure": "az://c", "http": server.url}
        if credentials["type"] in {"s3", "azure_key", "azure_sas"}:
            credentials["endpoint"] = server.url
        elif storage == "azure":
            credentials["connection_string"] += f";BlobEndpoint={server.url}"
        elif storage == "google":
            private_key = create_private_key(serialization.PrivateFormat.PKCS8)
            key_file = {**json.loads(credentials["service_account"]), "private_key": private_key}
            credentials["service_account"] = json.dumps({**key_file, "token_uri": f"{server.url}/token/batches.csv"})
        elif credentials["type"] == "sftp_key":
            credentials["private_key"] = create_private_key(serialization.PrivateFormat.OpenSSH)
        url = urls.get(storage, server.url.replace("http", "sftp")) + "/batches.csv"
        docmap = {**DOCMAP["docmap"], "base_url": f"{server.url}/v1"}

        section = {"url": url, "credentials": credentials}
        ran = run_connector(tmp_path, "check", {"docmap": docmap, "batch_registry": section}, "--debug")

    assert storage == "sftp" or any("batches.csv" in request.path for request in server.received)
    secrets = [value for name, value in credentials.items() if name not in PLAIN_SETTINGS and len(value) >= 8]
    parts = [part for secret in secrets for part in list_secret_parts(secret)]
    assert not [part for part in parts if part in ran.stdout + ran.stderr]
    assert not [part for part in parts if len(part) > 64 and part[64:104] in ran.stdout + ran.stderr]


class TestSettings:
    @each_case(
        ("url", "credentials"),
        [
            ("s3://b/x.csv", S3),
            ("https://x.example/x.csv", BASIC),
            ("https://x.example/x.csv", HEADER),
            ("gs://b/x.csv", GOOGLE),
            *(("az://c/x.csv", credentials) for credentials in (AZURE_STRING, AZURE_KEY, AZURE_SAS)),
            *(("sftp://h/x.csv", credentials) for credentials in (SFTP_PASSWORD, SFTP_KEY)),
            *((url, {"type": "machine"}) for url in ("s3://b/x", "gs://b/x", "https://x.example/x", "/data/x.csv")),
            *((url, None) for url in ("s3://b/x", "gs://b/x", "https://x.example/x", "/data/x.csv")),
        ],
    )
    def test_credentials_that_fit_url_are_accepted(self, url: str, credentials: Any) -> None:
        assert parse_registry_settings(url, credentials).url == url

    @pytest.mark.parametrize(
        ("url", "choice"),
        [
            ("s3://b/x", "s3://; choose machine or s3"),
            ("gs://b/x", "gs://; choose machine or google"),
            ("az://c/x", "az://; choose machine, azure_connection_string, azure_key or azure_sas"),
            ("sftp://h/x", "sftp://; choose machine, sftp_password or sftp_key"),
            ("https://x.example/x", "https://; choose machine, http_basic or http_header"),
            ("/x.csv", "a local path; choose machine, or remove batch_registry.credentials"),
        ],
    )
    @pytest.mark.parametrize("credentials", ALL, ids=lambda credentials_json: str(credentials_json["type"]))
    def test_credentials_that_do_not_fit_url_are_refused(
        self, url: str, choice: str, credentials: dict[str, str]
    ) -> None:
        if credentials["type"] in choice:
            assert parse_registry_settings(url, credentials).url == url
            return
        assert get_error_message(url, credentials) == (
            f"batch_registry has {credentials['type']} credentials for {choice}."
        )

    @each_case(
        ("url", "credentials", "sentence"),
        [
            ("s3://b/x", {}, NO_TYPE),
            ("s3://b/x", {"type": None}, NO_TYPE),
            ("s3://b/x", {"type": SECRET}, NO_TYPE),
            ("s3://b/x", SECRET, " must be an object of settings."),
            ("s3://b/x", {"type": "s3", "access_key_id": KEY}, ".secret_access_key is missing; add it."),
            ("s3://b/x", {**S3, "secret_access_key": None}, ".secret_access_key is missing; add it."),
            ("s3://b/x", {**S3, "secret_access_key": " "}, ".secret_access_key is empty; fill it in."),
            (
                "s3://b/x",
                {"type": "s3", "access_key_id": KEY, "secret_acess_key": SECRET},
                ".secret_access_key is missing; add it. batch_registry.credentials.secret_acess_key is not a setting; "
                "remove it (did you mean secret_access_key?).",
            ),
            ("s3://b/x", {**S3, "region": "Frankfurt (eu)"}, NO_REGION),
            (
                "s3://b/x",
                {**S3, "endpoint": "http://minio.acme.example"},
                ".endpoint would send the key unencrypted; use https://.",
            ),
            ("https://x.example/x", {**BASIC, "username": "a:b"}, COLON),
            (
                "https://x.example/x",
                {**BASIC, "password": f"{SECRET}\n{SECRET}"},
                ".password contains an invisible character; paste it again.",
            ),
            ("https://x.example/x", {**HEADER, "name": "X Api"}, NO_HEADER),
            ("gs://b/x", {**GOOGLE, "service_account": SECRET}, NO_KEY_FILE),
            ("gs://b/x", {**GOOGLE, "service_account": '{"type": "authorized_user"}'}, NO_KEY_FILE),
            ("gs://b/x", {**GOOGLE, "service_account": "[" * 100_000}, NO_KEY_FILE),
            (
                "gs://b/x",
                {**GOOGLE, "service_account": json.dumps({"type": "service_account", "private_key": SECRET})},
                ".service_account lacks one of client_email, private_key, token_uri; "
                "paste the whole JSON file from Google Cloud.",
            ),
            *(
                (
                    "gs://b/x",
                    {**GOOGLE, "service_account": GOOGLE["service_account"].replace(GOOGLE_LOGIN, uri)},
                    ".service_account has a token_uri that is not Google's; "
                    "download the key file from Google Cloud again.",
                )
                for uri in ("https://acme.example", "http://oauth2.googleapis.com", "https://googleapis.com.acme.example")
            ),
            (
                "az://c/x",
                {**AZURE_KEY, "account": "Acme Files"},
                ".account is not the name of a storage account; use 3 to 24 characters: a to z and digits.",
            ),
            (
                "az://c/x",
                {**AZURE_KEY, "account_key": SECRET[:7]},
                ".account_key is incomplete or not an account key; paste it again.",
            ),
            ("az://c/x", {**AZURE_SAS, "sas_token": SECRET}, NO_SAS),
            ("az://c/x", {**AZURE_SAS, "sas_token": f"https://a.example/?sv=1&sig={SECRET}"}, NO_SAS),
            ("az://c/x", {**AZURE_STRING, "connection_string": SECRET}, NO_STRING),
            ("az://c/x", {**AZURE_STRING, "connection_string": "AccountName=acmefiles;AccountKey=c2g"}, NO_STRING),
            (
                "az://c/x",
                {
                    **AZURE_STRING,
                    "connection_string": AZURE_STRING["connection_string"].replace("https", "http"),
                },
                ".connection_string has an address that would send the key unencrypted; use https://.",
            ),
            ("sftp://h/x", {**SFTP_PASSWORD, "host_key": "ssh-ed25519 AAAA"}, NO_HOST_KEY),
            ("sftp://h/x", {**SFTP_PASSWORD, "host_key": HOST_KEY.replace("ed25519", "rsa")}, NO_HOST_KEY),
            ("sftp://h/x", {**SFTP_PASSWORD, "host_key": "SHA256:abcdefgh"}, NO_HOST_KEY),
            ("sftp://h/x", {**SFTP_PASSWORD, "host_key": None}, ".host_key is missing; add it."),
            ("sftp://h/x", {**SFTP_KEY, "private_key": SECRET}, NO_PRIVATE_KEY),
            (
                "sftp://h/x",
                {**SFTP_KEY, "private_key": f"PuTTY-User-Key-File-3: ssh-ed25519\n{SECRET}"},
                ".private_key has the format of PuTTY; export it as an OpenSSH key with PuTTYgen.",
            ),
            ("sftp://h/x", {**SFTP_KEY, "username": " "}, ".username is empty; fill it in."),
            (
                "https://x.example/x",
                {**HEADER, "value": "kéy-0123456"},
                ".value contains a character that is not allowed in a header; paste it again.",
            ),
        ],
    )  # fmt: skip
    def test_invalid_credentials_are_an_error_without_secret(self, url: str, credentials: Any, sentence: str) -> None:
        error = get_error_message(url, credentials)

        assert error == f"batch_registry.credentials{sentence}"
        assert SECRET not in error

    def test_unknown_setting_gives_a_warning(self, caplog: pytest.LogCaptureFixture) -> None:
        section = {"url": "s3://b/x", "credentials": {**S3, "regoin": "eu-central-1"}}

        Settings.parse({**DOCMAP, "batch_registry": section}, log)

        assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
            "Unknown settings are ignored: batch_registry.credentials.regoin (did you mean region?). "
            "Correct or remove them."
        ]

    def test_repr_has_no_secrets(self) -> None:
        urls = {
            "s3": "s3://b/x",
            "google": "gs://b/x",
            "azure": "az://c/x",
            "sftp": "sftp://h/x",
            "http": "https://x.example",
        }
        for credentials in ALL:
            looks = repr(parse_registry_settings(urls[credentials["type"].partition("_")[0]], credentials))
            secrets = [value for name, value in credentials.items() if name not in PLAIN_SETTINGS]
            assert not [secret for secret in secrets if secret in looks or secret[:30] in looks]

    @pytest.mark.parametrize("line", [HOST_KEY, f"files.acme.example {HOST_KEY}", f" {HOST_KEY} root@files\n"])
    def test_host_key_is_read_from_line_of_scan_or_public_file(self, line: str) -> None:
        settings = parse_registry_settings("sftp://h/x", {**SFTP_PASSWORD, "host_key": line})

        assert isinstance(settings.credentials, SftpPasswordCredentials)
        assert settings.credentials.host_key == HOST_KEY


class TestForm:
    def test_machine_credentials_are_default(self) -> None:
        form = Form(build_connection_spec())
        form.choose("batch_registry", "Use a batch registry")
        form.values["batch_registry"]["url"] = "s3://b/x.csv"

        assert form.get_submitted_values()["batch_registry"]["credentials"] == {"type": "machine"}

    @each_case(
        ("title", "url", "values", "labels"),
        [
            ("Access key for S3", "s3://b/x.csv", S3, ["Access key id", "Secret access key"]),
            ("User and password for HTTPS", "https://x.example/x", BASIC, ["User", "Password"]),
            ("Header for HTTPS", "https://x.example/x", HEADER, ["Name", "Value"]),
            ("Service account for Google Cloud Storage", "gs://b/x", GOOGLE, ["Key file"]),
            ("Connection string for Azure", "az://c/x", AZURE_STRING, ["Connection string"]),
            ("Account key for Azure", "az://c/x", AZURE_KEY, ["Account", "Account key"]),
            ("SAS token for Azure", "az://c/x", AZURE_SAS, ["Account", "SAS token"]),
            ("User and password for SFTP", "sftp://h/x", SFTP_PASSWORD, ["User", "Password", "Host key"]),
            ("User and private key for SFTP", "sftp://h/x", SFTP_KEY, ["User", "Private key", "Host key"]),
        ],
    )
    def test_other_credential_types_are_filled_in_and_accepted(
        self, title: str, url: str, values: dict[str, str], labels: list[str]
    ) -> None:
        form = Form(build_connection_spec())
        form.choose("docmap", "Use DocMap")
        form.values["docmap"].update(DOCMAP["docmap"])
        form.choose("batch_registry", "Use a batch registry")
        form.values["batch_registry"]["url"] = url

        form.choose("batch_registry.credentials", title)
        demanded = form.list_invalid_fields()
        form.values["batch_registry"]["credentials"].update(values)

        required = [name for name in values if name != "type"]
        assert demanded == [f"batch_registry.credentials.{name}" for name in required]
        assert form.list_visible_labels("batch_registry.credentials") == labels
        assert form.get_submitted_values()["batch_registry"]["credentials"] == {
            name: value.strip() for name, value in values.items()
        }
        assert Settings.parse(form.get_submitted_values()).batch_registry == parse_registry_settings(url, values)

    @each_case(
        "values",
        [{**S3, "session_token": TOKEN}, {**SFTP_KEY, "passphrase": SECRET}, *ALL[1:]],
        ids=lambda credentials_json: str(credentials_json["type"]),
    )
    def test_all_secrets_are_recognized_by_cdk(self, values: dict[str, str]) -> None:
        config = {"batch_registry": {"use": "yes", "url": "s3://b/x", "credentials": values}}

        secrets = {value for name, value in values.items() if name not in PLAIN_SETTINGS}
        assert set(get_secrets(build_connection_spec(), config)) == secrets
