"""The user's settings: one optional object for each provider, and a few for all of them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, ValidationError, model_validator
from pydantic.config import JsonDict

from .errors import ConfigError
from .sentences import sentences, unknown_names, unknown_sentences
from .values import (
    BaseUrl,
    BatchPath,
    HeaderName,
    HeaderValue,
    Id,
    Key,
    Region,
    RegistryUrl,
    Secret,
    Start,
    TableNames,
    UserName,
)

_HIDDEN: JsonDict = {"airbyte_hidden": True}
_SECRET: JsonDict = {"airbyte_secret": True}
_SHOWN: JsonDict = {"always_show": True}
"""Airbyte's form folds optional settings away, but for these."""


_TYPE = "Which of the credentials these are."
_VIEW_EXTRACTION = "docs.extracta.ai/data-extraction-api/api-endpoints-data-extraction/2.-view-extraction"


def _link(text: str, address: str) -> str:
    """Return a link as Airbyte's form draws it in descriptions."""
    return f'<a href="https://{address}">{text}</a>'


class Section(BaseModel):
    """A part of the settings. Null counts as not set; an unknown name is ignored here and warned of in `parse`."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        return {name: value for name, value in given.items() if value is not None}


class Choice(Section):
    """A part of the settings that can be switched off. An object without `use` means yes.

    Airbyte's form demands what is required inside an optional object even where the object is not wanted, and draws no
    heading for it. A choice between "Not used" and "Use …" has a heading, and demands only what was chosen.
    """

    use: Literal["yes", "no"] = "yes"


def _drop_unused(given: Any) -> Any:
    """Take what is not used for absent, whatever else the object holds."""
    return None if isinstance(given, Mapping) and given.get("use") == "no" else given


_IF_USED = BeforeValidator(_drop_unused)


class ExtractaSettings(Choice):
    """Syncs the batches of the templates and ids that are named below, with one key for both products."""

    model_config = ConfigDict(title="Use Extracta.ai")

    api_key: Key = Field(
        title="API key",
        description="The key of your Extracta.ai account. Generate it on the API page of the "
        f"{_link('dashboard', 'app.extracta.ai')}; see "
        f"{_link('Authentication', 'docs.extracta.ai/api-reference/authentication')}.",
        json_schema_extra=_SECRET,
    )
    extraction_ids: tuple[Id, ...] = Field(
        default=(),
        title="Extraction templates",
        description="Ids of extraction templates, such as -OPXQuIrkHuA2QZkY-44, whose batches are all found and "
        f"synced. The id is in the response of createExtraction; see {_link('View extraction', _VIEW_EXTRACTION)}. If "
        "empty, only batches are synced that are named below, in the batch registry, or by classification results.",
        json_schema_extra=_SHOWN,
    )
    extraction_batches: tuple[BatchPath, ...] = Field(
        default=(),
        title="Extraction batches",
        description="Single batches, each as <code>extraction id/batch id</code>, or with <code>/file id</code> for "
        "one file only. The batch id is in the response of uploadFiles. If empty, batches are found through their "
        "templates.",
        json_schema_extra=_SHOWN,
    )
    classification_ids: tuple[Id, ...] = Field(
        default=(),
        title="Classification templates",
        description="Ids of classification templates whose batches are found, where Extracta.ai lists them. The id is "
        "in the response of createClassification. If empty, only classification batches are synced that are named "
        "below or in the batch registry.",
        json_schema_extra=_SHOWN,
    )
    classification_batches: tuple[BatchPath, ...] = Field(
        default=(),
        title="Classification batches",
        description="Single batches, each as <code>classification id/batch id</code>, or with <code>/file id</code> "
        "for one file only. If empty, batches are found through their templates.",
        json_schema_extra=_SHOWN,
    )
    follow_links: bool = Field(
        default=True,
        title="Follow links",
        description="On: extraction batches that classification results refer to are synced as well. Off: they are "
        "synced only where they are named or found.",
    )
    seconds_between_requests: float = Field(
        default=2,
        ge=0,
        le=3600,
        title="Seconds between requests",
        description="Spacing of requests to each of the two result endpoints. Extracta.ai asks for 2 seconds, which is "
        "also what is kept if this is left out.",
        json_schema_extra=_HIDDEN,
    )
    base_url: BaseUrl = Field(
        default="https://api.extracta.ai/api/v1",
        title="Base URL",
        description="Address of the API. If left out, https://api.extracta.ai/api/v1.",
        json_schema_extra=_HIDDEN,
    )

    @property
    def has_classification(self) -> bool:
        return bool(self.classification_ids or self.classification_batches)

    @property
    def follows_links(self) -> bool:
        return self.follow_links and self.has_classification

    @property
    def has_extraction(self) -> bool:
        return bool(self.extraction_ids or self.extraction_batches) or self.follows_links

    @property
    def names_something(self) -> bool:
        return self.has_extraction or self.has_classification


class DocmapSettings(Choice):
    """Syncs the extractions of the key's user; DocMap lists them all."""

    model_config = ConfigDict(title="Use DocMap")

    api_key: Key = Field(
        title="API key",
        description="A key, which begins with dm_live_. Create it in DocMap under Settings > API Keys; see "
        f"{_link('Managing API keys', 'docs.docmap.io/guides/managing-api-keys')}. It shows the extractions of its own "
        "user only.",
        json_schema_extra=_SECRET,
    )
    template_ids: tuple[Id, ...] = Field(
        default=(),
        title="Templates",
        description="Ids of the templates whose extractions are synced. The id is in the column template_id after a "
        "first sync. If empty, the extractions of all templates are synced.",
        json_schema_extra=_SHOWN,
    )
    base_url: BaseUrl = Field(
        default="https://api.docmap.io/v1",
        title="Base URL",
        description="Address of the API. If left out, https://api.docmap.io/v1.",
        json_schema_extra=_HIDDEN,
    )

    @property
    def names_something(self) -> bool:
        return True


class SensibleSettings(Choice):
    """Syncs the extractions of the account, and the batches that they belong to; Sensible lists them all."""

    model_config = ConfigDict(title="Use Sensible")

    api_key: Key = Field(
        title="API key",
        description="The key of your Sensible account. Create it on the "
        f"{_link('account page', 'app.sensible.so/account/')}.",
        json_schema_extra=_SECRET,
    )
    batch_ids: tuple[Id, ...] = Field(
        default=(),
        title="Batches",
        description="Ids of batches that are synced with all their documents, whatever the start date and the document "
        "types. The id is the response of POST /extract/batch. If empty, batches are learned from the documents in "
        "them.",
        json_schema_extra=_SHOWN,
    )
    document_types: tuple[Id, ...] = Field(
        default=(),
        title="Document types",
        description="Names of the document types whose extractions are synced, as in the Document types tab of the "
        f"{_link('Sensible app', 'app.sensible.so')}. If empty, all document types are synced.",
        json_schema_extra=_SHOWN,
    )
    environments: tuple[Literal["PRODUCTION", "DEVELOPMENT"], ...] = Field(
        default=("PRODUCTION",),
        min_length=1,
        title="Environments",
        description="Environments whose extractions are synced. If left out, PRODUCTION alone.",
    )
    base_url: BaseUrl = Field(
        default="https://api.sensible.so/v0",
        title="Base URL",
        description="Address of the API. If left out, https://api.sensible.so/v0.",
        json_schema_extra=_HIDDEN,
    )

    @property
    def names_something(self) -> bool:
        return True


class AtlasSettings(Choice):
    """Syncs the batches that are named below or in the batch registry; Atlas has no list of them."""

    model_config = ConfigDict(title="Use Atlas")

    client_id: Key = Field(
        title="Client id",
        description="The id that your account team at Atlas gave you; see "
        f"{_link('Authentication', 'docs.helloatlas.in/authentication')}.",
        json_schema_extra=_SECRET,
    )
    client_secret: Key = Field(
        title="Client secret",
        description="The secret that your account team at Atlas gave you together with the client id.",
        json_schema_extra=_SECRET,
    )
    batch_ids: tuple[Id, ...] = Field(
        default=(),
        title="Batches",
        description="Ids of batches, such as BATCH-69469-BBRSS-20260309081408, from the response of multiupload; see "
        f"{_link('Bulk processing', 'docs.helloatlas.in/guides/bulk-processing')}. If empty, the batches in the batch "
        "registry are synced, and there has to be one.",
        json_schema_extra=_SHOWN,
    )
    base_url: BaseUrl = Field(
        default="https://api.helloatlas.in/v1/bulk",
        title="Base URL",
        description="Address of the API. If left out, https://api.helloatlas.in/v1/bulk.",
        json_schema_extra=_HIDDEN,
    )

    @property
    def names_something(self) -> bool:
        return bool(self.batch_ids)


class MachineCredentials(Section):
    """The credentials of the machine that the connector runs on, if the address needs any."""

    model_config = ConfigDict(title="Of the machine")

    type: Literal["machine"] = Field(title="Type", description=_TYPE)


class S3Credentials(Section):
    """An access key of AWS, or of another storage that speaks the protocol of S3, for an address with s3://."""

    model_config = ConfigDict(title="Access key for S3")

    type: Literal["s3"] = Field(title="Type", description=_TYPE)
    access_key_id: Secret = Field(
        title="Access key id",
        description="The id of the access key; see "
        f"{_link('Access keys', 'docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_access-keys.html')}. It needs "
        "the permission s3:GetObject for the file, and no other.",
        json_schema_extra=_SECRET,
    )
    secret_access_key: Secret = Field(
        title="Secret access key",
        description="The secret that belongs to the access key id; AWS shows it once, when the key is made.",
        json_schema_extra=_SECRET,
    )
    session_token: Secret | None = Field(
        default=None,
        title="Session token",
        description="The token that belongs to temporary credentials. If left out, the key is a lasting one.",
        json_schema_extra=_SECRET,
    )
    region: Region | None = Field(
        default=None,
        title="Region",
        description="The region of the bucket, such as eu-central-1. If left out, AWS finds it.",
    )
    endpoint: BaseUrl | None = Field(
        default=None,
        title="Endpoint",
        description="The address of a storage other than AWS's own that speaks the protocol of S3. If left out, AWS's.",
    )


class BasicCredentials(Section):
    """A user and a password (HTTP basic authentication), for an address with https://."""

    model_config = ConfigDict(title="User and password for HTTPS")

    type: Literal["http_basic"] = Field(title="Type", description=_TYPE)
    username: UserName = Field(title="User", description="The name of the user.", json_schema_extra=_SECRET)
    password: Secret = Field(title="Password", description="The password of the user.", json_schema_extra=_SECRET)


class HeaderCredentials(Section):
    """One header that is sent with the request, such as a token, for an address with https://."""

    model_config = ConfigDict(title="Header for HTTPS")

    type: Literal["http_header"] = Field(title="Type", description=_TYPE)
    name: HeaderName = Field(title="Name", description="The name of the header, such as Authorization or X-Api-Key.")
    value: HeaderValue = Field(
        title="Value",
        description="The value of the header, such as Bearer and a token. Only the server of the address gets it.",
        json_schema_extra=_SECRET,
    )


Credentials = MachineCredentials | S3Credentials | BasicCredentials | HeaderCredentials


class RegistrySettings(Choice):
    """Syncs the batches in a file of yours, beside those that are found or named."""

    model_config = ConfigDict(title="Use a batch registry")

    url: RegistryUrl = Field(
        title="Address",
        description="Address of a CSV or JSON Lines file, which is read again at each sync: https://, s3://, gs:// or "
        "a local path. Columns: provider, template_id, batch_id and, optional, created_at, expected_files.",
    )
    credentials: Annotated[Credentials, Discriminator("type")] | None = Field(
        default=None,
        title="Credentials",
        description="What opens the file. A connector in Airbyte runs on a machine that has no credentials of yours.",
    )

    @model_validator(mode="after")
    def _fit(self) -> RegistrySettings:
        scheme = urlsplit(self.url).scheme
        if not isinstance(self.credentials, _CREDENTIALS_FOR.get(scheme, MachineCredentials) | None):
            raise ValueError("has credentials that its url has no use for; choose those that fit the url")
        return self


_CREDENTIALS_FOR = {
    "s3": MachineCredentials | S3Credentials,
    "https": MachineCredentials | BasicCredentials | HeaderCredentials,
    "http": MachineCredentials | BasicCredentials | HeaderCredentials,
}
"""By the scheme of an address. Others are opened with what the machine has."""


class Settings(Section):
    """All settings of a source."""

    model_config = ConfigDict(title="Document extraction")

    extracta: Annotated[ExtractaSettings | None, _IF_USED] = Field(
        default=None,
        title="Extracta.ai",
        description="Data extraction and document classification by Extracta.ai.",
    )
    docmap: Annotated[DocmapSettings | None, _IF_USED] = Field(
        default=None, title="DocMap", description="Extractions and batch runs of DocMap."
    )
    sensible: Annotated[SensibleSettings | None, _IF_USED] = Field(
        default=None, title="Sensible", description="Extractions, reviews and batches of Sensible."
    )
    atlas: Annotated[AtlasSettings | None, _IF_USED] = Field(
        default=None, title="Atlas", description="The bulk service of Atlas (helloatlas.in)."
    )
    batch_registry: Annotated[RegistrySettings | None, _IF_USED] = Field(
        default=None,
        title="Batch registry",
        description="A file that names batches, for APIs that have no list of them.",
    )
    start_date: Start | None = Field(
        default=None,
        title="Start date",
        description="What was created before this time (UTC) is left out, where a creation time is known; what is "
        "named by hand is synced all the same. If left out, everything is synced.",
        json_schema_extra={
            **_SHOWN,
            "examples": ["2026-01-01T00:00:00Z"],
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?Z$",
            "pattern_descriptor": "YYYY-MM-DDTHH:mm:ssZ",
        },
    )
    lookback_days: int = Field(
        default=3,
        ge=0,
        le=3650,
        title="Lookback (days)",
        description="What was finished within so many days is read again, so that late files and edits by people "
        "arrive. If left out, 3.",
    )
    give_up_after_days: int = Field(
        default=30,
        ge=1,
        le=3650,
        title="Give up after (days)",
        description="A batch that is still unfinished so many days after it was first seen is marked as stalled and no "
        "longer polled. If left out, 30.",
    )
    max_in_flight: int = Field(
        default=10,
        ge=1,
        le=50,
        title="Requests in flight",
        description="The number of requests that run at once for each provider, from 1 to 50. If left out, 10.",
    )
    keep_urls: bool = Field(
        default=True,
        title="Keep links to files",
        description="Off: links to files, which often carry a signature, are left out of every row.",
    )
    typed_tables: bool = Field(
        default=False,
        title="Typed tables",
        description="On: a stream for each template and document type as well, with a column for each of its fields. "
        "They are looked up whenever the schema is refreshed.",
    )
    table_names: TableNames = Field(
        default=(),
        title="Names of typed tables",
        description="Names for typed tables, each as <code>provider/template id or document type=table name</code>. If "
        "empty, a table has the name of its template, and gets another one when the template is renamed.",
    )

    @classmethod
    def parse(cls, config: Mapping[str, Any], logger: logging.Logger | None = None) -> Settings:
        """Return the settings in an Airbyte config. Keys that begin with `_` are the platform's own and passed over.

        Args:
            logger: gets one warning with all names that are no settings. Such a name is no error, or a return to an
                older version would stop every sync whose settings a newer one has extended.

        Raises:
            ConfigError: with one sentence a setting, never with a setting's value where that is secret.
        """
        config = {name: value for name, value in config.items() if not name.startswith("_")}
        try:
            settings = cls.model_validate(config)
        except ValidationError as problem:
            raise ConfigError(" ".join(sentences(problem, cls, config))) from None
        if gaps := settings._gaps():
            misspelt = unknown_sentences(config, cls, beside=set(gaps))
            raise ConfigError(" ".join([*gaps.values(), *misspelt]))
        unknown = unknown_names(config, cls)
        if logger and unknown:
            logger.warning("Unknown settings are ignored: %s. Correct or remove them.", unknown)
        return settings

    def _gaps(self) -> dict[tuple[str, ...], str]:
        """Return a sentence for each object in which something is missing that no single setting requires."""
        sections = {name: getattr(self, name) for name in PROVIDERS}
        if not any(sections.values()):
            words = f"No provider is set up; fill in at least one of {', '.join(PROVIDERS)}."
            return {(): words}
        gaps: dict[tuple[str, ...], str] = {}
        for name, section in sections.items():
            if section and not section.names_something and not self.batch_registry:
                words = f"{name} names nothing to bring in; give {PROVIDERS[name]}, or a batch_registry."
                gaps[(name,)] = words
        return gaps


PROVIDERS = {
    "extracta": "at least one of extraction_ids, extraction_batches, classification_ids, classification_batches",
    "docmap": "an api_key",
    "sensible": "an api_key",
    "atlas": "at least one id in batch_ids",
}
"""The providers that can be set up, by the name of their settings object, and what each needs to be told."""
