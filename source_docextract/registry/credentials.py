"""The settings of the registry: its URL and the credentials that open it.

The docstrings of these classes are descriptions in Airbyte's form, as the titles and descriptions of the fields are.
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import ConfigDict, Discriminator, Field, model_validator
from pydantic.config import JsonDict

from ..core.sections import SECRET, OptionalSection, Section, html_link
from ..core.validation import (
    AccountKey,
    AccountName,
    BaseUrl,
    ConnectionString,
    HeaderName,
    HeaderValue,
    HostKey,
    PrivateKey,
    Region,
    RegistryUrl,
    SasToken,
    Secret,
    ServiceAccount,
    UserName,
)

_TYPE_DESCRIPTION = "The type of these credentials."

_SECRET_LINES: JsonDict = {**SECRET, "multiline": True}
"""The form shows a field of several lines, since one with a single line drops the line breaks of a key."""

_HOST_KEY_DESCRIPTION = (
    "Public key of the server, one line such as ssh-ed25519 AAAAC3..., as <code>ssh-keyscan</code> prints. "
    "The server must show this key, or nothing is sent to it."
)

_BLOB_ENDPOINT_DESCRIPTION = (
    "Address of the blob service. If left out, that of the account in Azure's public cloud (blob.core.windows.net)."
)


class MachineCredentials(Section):
    """The credentials of the machine that the connector runs on, if the address needs any."""

    model_config = ConfigDict(title="Of the machine")

    type: Literal["machine"] = Field(title="Type", description=_TYPE_DESCRIPTION)


class S3Credentials(Section):
    """An access key of AWS, or of another storage that speaks the protocol of S3, for an address with s3://."""

    model_config = ConfigDict(title="Access key for S3")

    type: Literal["s3"] = Field(title="Type", description=_TYPE_DESCRIPTION)
    access_key_id: Secret = Field(
        title="Access key id",
        description="Id of the access key; see "
        f"{html_link('Access keys', 'docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_access-keys.html')}. "
        "The key needs only the permission s3:GetObject for the file.",
        json_schema_extra=SECRET,
    )
    secret_access_key: Secret = Field(
        title="Secret access key",
        description="Secret of the access key. AWS shows it once, when the key is created.",
        json_schema_extra=SECRET,
    )
    session_token: Secret | None = Field(
        default=None,
        title="Session token",
        description="Token of temporary credentials. If left out, the access key is permanent.",
        json_schema_extra=SECRET,
    )
    region: Region | None = Field(
        default=None,
        title="Region",
        description="Region of the bucket, such as eu-central-1. If left out, AWS determines it.",
    )
    endpoint: BaseUrl | None = Field(
        default=None,
        title="Endpoint",
        description="Address of an S3-compatible storage. If left out, the storage of AWS.",
    )


class GoogleCredentials(Section):
    """The key file of a service account of Google Cloud, for an address with gs://."""

    model_config = ConfigDict(title="Service account for Google Cloud Storage")

    type: Literal["google"] = Field(title="Type", description=_TYPE_DESCRIPTION)
    service_account: ServiceAccount = Field(
        title="Key file",
        description="Content of the key file (JSON) of the service account; see "
        f"{html_link('Service account keys', 'cloud.google.com/iam/docs/keys-create-delete')}. "
        "The account needs only the role Storage Object Viewer on the bucket.",
        json_schema_extra=_SECRET_LINES,
    )


class AzureConnectionCredentials(Section):
    """A connection string of a storage account, for an address with az://."""

    model_config = ConfigDict(title="Connection string for Azure")

    type: Literal["azure_connection_string"] = Field(title="Type", description=_TYPE_DESCRIPTION)
    connection_string: ConnectionString = Field(
        title="Connection string",
        description="Connection string with an account key or a SAS token, from the storage account's page in Azure.",
        json_schema_extra=SECRET,
    )


class AzureKeyCredentials(Section):
    """A storage account and one of its keys, for an address with az://."""

    model_config = ConfigDict(title="Account key for Azure")

    type: Literal["azure_key"] = Field(title="Type", description=_TYPE_DESCRIPTION)
    account: AccountName = Field(title="Account", description="Name of the storage account.")
    account_key: AccountKey = Field(
        title="Account key",
        description="Key of the storage account. It opens the whole account; a SAS token opens one file.",
        json_schema_extra=SECRET,
    )
    endpoint: BaseUrl | None = Field(default=None, title="Endpoint", description=_BLOB_ENDPOINT_DESCRIPTION)


class AzureSasCredentials(Section):
    """A storage account and a SAS token, for an address with az://."""

    model_config = ConfigDict(title="SAS token for Azure")

    type: Literal["azure_sas"] = Field(title="Type", description=_TYPE_DESCRIPTION)
    account: AccountName = Field(title="Account", description="Name of the storage account.")
    sas_token: SasToken = Field(
        title="SAS token",
        description="Token with the permission Read for the file, the container or the account; see "
        f"{html_link('Shared access signatures', 'learn.microsoft.com/azure/storage/common/storage-sas-overview')}.",
        json_schema_extra=SECRET,
    )
    endpoint: BaseUrl | None = Field(default=None, title="Endpoint", description=_BLOB_ENDPOINT_DESCRIPTION)


class SftpPasswordCredentials(Section):
    """A user and a password, for an address with sftp://."""

    model_config = ConfigDict(title="User and password for SFTP")

    type: Literal["sftp_password"] = Field(title="Type", description=_TYPE_DESCRIPTION)
    username: Secret = Field(title="User", description="Name of the user.", json_schema_extra=SECRET)
    password: Secret = Field(title="Password", description="Password of the user.", json_schema_extra=SECRET)
    host_key: HostKey = Field(title="Host key", description=_HOST_KEY_DESCRIPTION)


class SftpKeyCredentials(Section):
    """A user and a private key, for an address with sftp://."""

    model_config = ConfigDict(title="User and private key for SFTP")

    type: Literal["sftp_key"] = Field(title="Type", description=_TYPE_DESCRIPTION)
    username: Secret = Field(title="User", description="Name of the user.", json_schema_extra=SECRET)
    private_key: PrivateKey = Field(
        title="Private key",
        description="Content of the private key file, from -----BEGIN to -----END, as ssh-keygen writes it.",
        json_schema_extra=_SECRET_LINES,
    )
    passphrase: Secret | None = Field(
        default=None,
        title="Passphrase",
        description="Passphrase of the private key. If left out, the key has none.",
        json_schema_extra=SECRET,
    )
    host_key: HostKey = Field(title="Host key", description=_HOST_KEY_DESCRIPTION)


class BasicCredentials(Section):
    """A user and a password (HTTP basic authentication), for an address with https://."""

    model_config = ConfigDict(title="User and password for HTTPS")

    type: Literal["http_basic"] = Field(title="Type", description=_TYPE_DESCRIPTION)
    username: UserName = Field(title="User", description="Name of the user.", json_schema_extra=SECRET)
    password: Secret = Field(title="Password", description="Password of the user.", json_schema_extra=SECRET)


class HeaderCredentials(Section):
    """One header that is sent with the request, such as a token, for an address with https://."""

    model_config = ConfigDict(title="Header for HTTPS")

    type: Literal["http_header"] = Field(title="Type", description=_TYPE_DESCRIPTION)
    name: HeaderName = Field(title="Name", description="Name of the header, such as Authorization or X-Api-Key.")
    value: HeaderValue = Field(
        title="Value",
        description="Value of the header, such as Bearer and a token. It is sent to the server of the address only.",
        json_schema_extra=SECRET,
    )


AzureCredentials = AzureConnectionCredentials | AzureKeyCredentials | AzureSasCredentials

SftpCredentials = SftpPasswordCredentials | SftpKeyCredentials

Credentials = (
    MachineCredentials
    | S3Credentials
    | GoogleCredentials
    | AzureConnectionCredentials
    | AzureKeyCredentials
    | AzureSasCredentials
    | SftpPasswordCredentials
    | SftpKeyCredentials
    | BasicCredentials
    | HeaderCredentials
)


CREDENTIALS_TYPES: tuple[str, ...] = tuple(
    get_args(model.model_fields["type"].annotation)[0] for model in get_args(Credentials)
)
"""The types of credentials, in the order of Airbyte's form."""


class RegistrySettings(OptionalSection):
    """Syncs the batches in a file of yours, beside those that are found or named."""

    model_config = ConfigDict(title="Use a batch registry")

    url: RegistryUrl = Field(
        title="Address",
        description="Address of a CSV or JSON Lines file, which is read at each sync: https://, s3://, gs://, "
        "az://container/file, sftp:// or a local path. Columns: provider, template_id, batch_id; optionally "
        "created_at, expected_files.",
    )
    credentials: Annotated[Credentials, Discriminator("type")] | None = Field(
        default=None,
        title="Credentials",
        description="Credentials for reading the file. In Airbyte, the connector runs on a machine without your "
        "credentials.",
    )

    # Checked here, not when the file is opened: a client would ignore the credentials, and then fail without a reason.
    @model_validator(mode="after")
    def _check_credentials_scheme(self) -> RegistrySettings:
        fitting_types = list_fitting_types(self.url)
        if self.credentials and self.credentials.type not in fitting_types:
            scheme = urlsplit(self.url).scheme
            place = f"{scheme}://" if scheme else "a local path"
            *others, last = fitting_types
            choice = f"{', '.join(others)} or {last}" if others else f"{last}, or remove batch_registry.credentials"
            raise ValueError(f"has {self.credentials.type} credentials for {place}; choose {choice}")
        return self


def list_fitting_types(url: str) -> tuple[str, ...]:
    """Return the types of credentials that fit a URL; the machine's fit every URL."""
    return ("machine", *_TYPES_BY_SCHEME.get(urlsplit(url).scheme, ()))


_TYPES_BY_SCHEME = {
    "s3": ("s3",),
    "gs": ("google",),
    "az": ("azure_connection_string", "azure_key", "azure_sas"),
    "sftp": ("sftp_password", "sftp_key"),
    "https": ("http_basic", "http_header"),
    # Plain http is accepted for loopback alone, so these credentials never leave the machine unencrypted.
    "http": ("http_basic", "http_header"),
}
"""The types of credentials that fit a URL beside the machine's, by its scheme."""
