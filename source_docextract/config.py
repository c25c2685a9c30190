"""The user's settings: one optional object for each provider, and a few for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.config import JsonDict

from .errors import ConfigError
from .sentences import sentences
from .values import BaseUrl, BatchPath, Id, Key, RegistryUrl, Start, TableNames

_HIDDEN: JsonDict = {"airbyte_hidden": True}


class Section(BaseModel):
    """A part of the settings. A name that is no setting is an error: silently doing nothing would be worse."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class ExtractaSettings(Section):
    """Data extraction and document classification by Extracta.ai: what to bring in, and the key for both."""

    model_config = ConfigDict(title="Extracta.ai")

    api_key: Key = Field(
        title="API key",
        description="Made on the API page of your Extracta.ai dashboard.",
        json_schema_extra={"airbyte_secret": True},
    )
    extraction_ids: tuple[Id, ...] = Field(
        default=(),
        title="Extraction templates",
        description="Ids of the extraction templates whose batches are found and brought in.",
    )
    extraction_batches: tuple[BatchPath, ...] = Field(
        default=(),
        title="Extraction batches",
        description="Batches named by hand, each as <extraction id>/<batch id>, or with /<file id> for one file only.",
    )
    classification_ids: tuple[Id, ...] = Field(
        default=(),
        title="Classification templates",
        description="Ids of the classification templates whose batches are found, where Extracta.ai lists them.",
    )
    classification_batches: tuple[BatchPath, ...] = Field(
        default=(),
        title="Classification batches",
        description="Batches named by hand, each as <classification id>/<batch id>, or with /<file id>.",
    )
    follow_links: bool = Field(
        default=True,
        title="Follow links",
        description="Also bring in the extraction batches that classification results point at.",
    )
    seconds_between_requests: float = Field(
        default=2,
        ge=0,
        le=3600,
        title="Seconds between requests",
        description="Spacing of requests to each of the two result endpoints. Extracta.ai asks for 2.",
        json_schema_extra=_HIDDEN,
    )
    base_url: BaseUrl = Field(
        default="https://api.extracta.ai/api/v1",
        title="Base URL",
        description="Where the API is.",
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


class DocmapSettings(Section):
    """Extractions of DocMap.io."""

    model_config = ConfigDict(title="DocMap")

    api_key: Key = Field(
        title="API key",
        description="Made in DocMap's settings; begins with dm_live_. It shows the extractions of its own user.",
        json_schema_extra={"airbyte_secret": True},
    )
    template_ids: tuple[Id, ...] = Field(
        default=(),
        title="Templates",
        description="Ids of the templates whose extractions are brought in; all, if none is named.",
    )
    base_url: BaseUrl = Field(
        default="https://api.docmap.io/v1",
        title="Base URL",
        description="Where the API is.",
        json_schema_extra=_HIDDEN,
    )

    @property
    def names_something(self) -> bool:
        return True


class SensibleSettings(Section):
    """Extractions and batches of Sensible.so."""

    model_config = ConfigDict(title="Sensible")

    api_key: Key = Field(
        title="API key",
        description="Made on the account page of the Sensible app.",
        json_schema_extra={"airbyte_secret": True},
    )
    batch_ids: tuple[Id, ...] = Field(
        default=(),
        title="Batches",
        description="Ids of batches to bring in with all their documents, whatever the start date and the document "
        "types. Other batches are learned from the documents in them.",
    )
    document_types: tuple[Id, ...] = Field(
        default=(),
        title="Document types",
        description="Names of the document types whose extractions are brought in; all, if none is named.",
    )
    environments: tuple[Literal["PRODUCTION", "DEVELOPMENT"], ...] = Field(
        default=("PRODUCTION",),
        min_length=1,
        title="Environments",
        description="Where the extractions were made.",
    )
    base_url: BaseUrl = Field(
        default="https://api.sensible.so/v0",
        title="Base URL",
        description="Where the API is.",
        json_schema_extra=_HIDDEN,
    )

    @property
    def names_something(self) -> bool:
        return True


class AtlasSettings(Section):
    """The bulk service of Atlas (helloatlas.in)."""

    model_config = ConfigDict(title="Atlas")

    client_id: Key = Field(
        title="Client id",
        description="Given to you by Atlas.",
        json_schema_extra={"airbyte_secret": True},
    )
    client_secret: Key = Field(
        title="Client secret",
        description="Given to you by Atlas together with the client id.",
        json_schema_extra={"airbyte_secret": True},
    )
    batch_ids: tuple[Id, ...] = Field(
        default=(),
        title="Batches",
        description="Ids as returned when a batch was submitted, such as BATCH-69469-BBRSS-20260309081408. "
        "Atlas has no list of them.",
    )
    base_url: BaseUrl = Field(
        default="https://api.helloatlas.in/v1/bulk",
        title="Base URL",
        description="Where the API is.",
        json_schema_extra=_HIDDEN,
    )

    @property
    def names_something(self) -> bool:
        return bool(self.batch_ids)


class RegistrySettings(Section):
    """A file that names batches, for APIs that have no list of them."""

    model_config = ConfigDict(title="Batch registry")

    url: RegistryUrl = Field(
        title="Address",
        description="A CSV or JSON Lines file, read again at each sync: https://, s3://, gs:// or a local path. "
        "Columns: provider, template_id, batch_id and, optional, created_at, expected_files.",
    )


class Settings(Section):
    """All settings of a source."""

    model_config = ConfigDict(title="Document extraction")

    extracta: ExtractaSettings | None = Field(default=None, title="Extracta.ai")
    docmap: DocmapSettings | None = Field(default=None, title="DocMap")
    sensible: SensibleSettings | None = Field(default=None, title="Sensible")
    atlas: AtlasSettings | None = Field(default=None, title="Atlas")
    batch_registry: RegistrySettings | None = Field(default=None, title="Batch registry")
    start_date: Start | None = Field(
        default=None,
        title="Start date",
        description="Leave out what was created before this time, where a creation time is known. UTC. "
        "What is named by hand is read all the same.",
        json_schema_extra={
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
        description="Read again what was finished within so many days, to catch late files and edits made by people.",
    )
    give_up_after_days: int = Field(
        default=30,
        ge=1,
        le=3650,
        title="Give up after (days)",
        description="A batch still unfinished so many days after it was first seen is marked stalled and not asked "
        "for any more.",
    )
    max_in_flight: int = Field(
        default=10, ge=1, le=50, title="Requests in flight", description="How many requests run at once per provider."
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
        description="Where another name than that of the template is wanted, or one that stays when the template is "
        "renamed: each as <provider>/<template id or document type>=<table name>.",
    )

    @model_validator(mode="after")
    def _has_provider(self) -> Settings:
        if not any(getattr(self, name) for name in PROVIDERS):
            raise ValueError(f"No provider is set up; fill in at least one of {', '.join(PROVIDERS)}")
        return self

    @model_validator(mode="after")
    def _names_something(self) -> Settings:
        for name, choices in PROVIDERS.items():
            section = getattr(self, name)
            if section and not section.names_something and not self.batch_registry:
                raise ValueError(f"{name} names nothing to bring in; give {choices}, or a batch_registry")
        return self

    @classmethod
    def parse(cls, config: Mapping[str, Any]) -> Settings:
        """Settings out of an Airbyte config. Keys that begin with `_` are the platform's own and passed over.

        Raises:
            ConfigError: with one sentence a setting, never with a setting's value where that is secret.
        """
        try:
            return cls.model_validate({key: value for key, value in config.items() if not key.startswith("_")})
        except ValidationError as problem:
            raise ConfigError(" ".join(sentences(problem, cls))) from None


PROVIDERS = {
    "extracta": "at least one of extraction_ids, extraction_batches, classification_ids, classification_batches",
    "docmap": "an api_key",
    "sensible": "an api_key",
    "atlas": "at least one id in batch_ids",
}
"""The providers that can be set up, by the name of their settings object, and what each needs to be told."""
