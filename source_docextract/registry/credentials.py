"""The settings of the registry: its URL and the credentials that open it.

The docstrings of these classes are descriptions in Airbyte's form, as the titles and descriptions of the fields are.
"""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import ConfigDict, Discriminator, Field, model_validator

from ..core.sections import SECRET, OptionalSection, Section, html_link
from ..core.validation import BaseUrl, HeaderName, HeaderValue, Region, RegistryUrl, Secret, UserName

_TYPE_DESCRIPTION = "The type of these credentials."


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


Credentials = MachineCredentials | S3Credentials | BasicCredentials | HeaderCredentials


class RegistrySettings(OptionalSection):
    """Syncs the batches in a file of yours, beside those that are found or named."""

    model_config = ConfigDict(title="Use a batch registry")

    url: RegistryUrl = Field(
        title="Address",
        description="Address of a CSV or JSON Lines file, which is read at each sync: https://, s3://, gs:// or a "
        "local path. Columns: provider, template_id, batch_id; optionally created_at, expected_files.",
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
        scheme = urlsplit(self.url).scheme
        if not isinstance(self.credentials, _CREDENTIALS_BY_SCHEME.get(scheme, MachineCredentials) | None):
            raise ValueError("has credentials that do not fit its url; choose those that fit the url")
        return self


_CREDENTIALS_BY_SCHEME = {
    "s3": MachineCredentials | S3Credentials,
    "https": MachineCredentials | BasicCredentials | HeaderCredentials,
    # Plain http is accepted for loopback alone, so these credentials never leave the machine unencrypted.
    "http": MachineCredentials | BasicCredentials | HeaderCredentials,
}
"""The credentials that fit a URL, by its scheme. URLs with another scheme are opened with the machine's credentials."""
