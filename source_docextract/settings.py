"""The user's settings.

They have one optional section for each provider and for the batch registry, and settings for all providers.

Airbyte's form shows the titles and descriptions.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from .core.errors import ConfigError
from .core.sections import ALWAYS_SHOWN, NONE_IF_UNUSED, Section
from .core.validation import StartDate, TableNames
from .providers.atlas.settings import AtlasSettings
from .providers.docmap.settings import DocmapSettings
from .providers.extracta.settings import ExtractaSettings
from .providers.sensible.settings import SensibleSettings
from .registry.credentials import RegistrySettings
from .settings_errors import build_error_messages, build_unknown_messages, list_unknown_names


class Settings(Section):
    """All settings of a source."""

    model_config = ConfigDict(title="Document extraction")

    extracta: Annotated[ExtractaSettings | None, NONE_IF_UNUSED] = Field(
        default=None,
        title="Extracta.ai",
        description="Data extraction and document classification by Extracta.ai.",
    )
    docmap: Annotated[DocmapSettings | None, NONE_IF_UNUSED] = Field(
        default=None, title="DocMap", description="Extractions and batch runs of DocMap."
    )
    sensible: Annotated[SensibleSettings | None, NONE_IF_UNUSED] = Field(
        default=None, title="Sensible", description="Extractions, reviews and batches of Sensible."
    )
    atlas: Annotated[AtlasSettings | None, NONE_IF_UNUSED] = Field(
        default=None, title="Atlas", description="The bulk service of Atlas (helloatlas.in)."
    )
    batch_registry: Annotated[RegistrySettings | None, NONE_IF_UNUSED] = Field(
        default=None,
        title="Batch registry",
        description="A file that lists batches, for APIs that cannot list them.",
    )
    start_date: StartDate | None = Field(
        default=None,
        title="Start date",
        description="Batches and documents created before this time (UTC) are not synced, if their creation time is "
        "known. Those that the settings name are always synced. If left out, everything is synced.",
        json_schema_extra={
            **ALWAYS_SHOWN,
            "examples": ["2026-01-01T00:00:00Z"],
            # Airbyte's form needs a pattern and its description beside the format of a date.
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?Z$",
            "pattern_descriptor": "YYYY-MM-DDTHH:mm:ssZ",
        },
    )
    lookback_days: int = Field(
        default=3,
        ge=0,
        le=3650,
        title="Lookback (days)",
        description="Batches and documents finished within this number of days are read again, so that late files "
        "and manual edits arrive. If left out, 3.",
    )
    lookback_checks: Literal["thinning", "every_sync"] = Field(
        default="thinning",
        title="Checks within the lookback",
        description="How often a finished batch is read again within the lookback. <code>thinning</code>: 1, 2, 4, 8, "
        "16, 32, ... hours after it finished, and when the lookback ends. <code>every_sync</code>: at each sync, which "
        "shows edits sooner and makes more requests. If left out, thinning.",
    )
    give_up_after_days: int = Field(
        default=30,
        ge=1,
        le=3650,
        title="Give up after (days)",
        description="A batch that is still unfinished this number of days after it was first seen is marked as "
        "stalled and no longer polled. If left out, 30.",
    )
    max_in_flight: int = Field(
        default=10,
        ge=1,
        le=50,
        title="Requests in flight",
        description="Maximum number of concurrent requests per provider, from 1 to 50. If left out, 10.",
    )
    keep_urls: bool = Field(
        default=True,
        title="Keep links to files",
        description="Off: URLs of files, which are often signed, are removed from every row.",
    )
    typed_tables: bool = Field(
        default=False,
        title="Typed tables",
        description="On: adds a stream for each template and document type, with one column per field. The fields "
        "are looked up whenever the schema is refreshed.",
    )
    table_names: TableNames = Field(
        default=(),
        title="Names of typed tables",
        description="Names for typed tables, each as <code>provider/template id or document type=table name</code>. If "
        "empty, a table has the name of its template, which changes when the template is renamed.",
    )

    @classmethod
    def parse(cls, config: Mapping[str, Any], logger: logging.Logger | None = None) -> Settings:
        """Return the settings in an Airbyte config.

        Args:
            config: the config as JSON. Keys that begin with `_` belong to the platform and are ignored.
            logger: gets one warning with all unknown names. They are no error: after a rollback to an older version of
                the connector, settings of the newer one must not stop every sync.

        Raises:
            ConfigError: for invalid settings, with one sentence for each; it never quotes a secret.
        """
        config = {name: value for name, value in config.items() if not name.startswith("_")}
        try:
            settings = cls.model_validate(config)
        except ValidationError as validation_error:
            raise ConfigError(" ".join(build_error_messages(validation_error, cls, config))) from None
        if missing_targets := settings._find_missing_targets():
            # An unknown name in the same section may be the missing setting, misspelt.
            misspelt_sentences = build_unknown_messages(config, cls, section_paths=set(missing_targets))
            raise ConfigError(" ".join([*missing_targets.values(), *misspelt_sentences]))
        unknown_settings = list_unknown_names(config, cls)
        if logger and unknown_settings:
            logger.warning("Unknown settings are ignored: %s. Correct or remove them.", unknown_settings)
        return settings

    def _find_missing_targets(self) -> dict[tuple[str, ...], str]:
        """Return the sentences for unmet requirements that span several settings.

        Each sentence stands under the path of its section.
        """
        sections = {name: getattr(self, name) for name in REQUIREMENTS_BY_PROVIDER}
        if not any(sections.values()):
            sentence = f"No provider is set up; fill in at least one of {', '.join(REQUIREMENTS_BY_PROVIDER)}."
            return {(): sentence}
        missing_targets: dict[tuple[str, ...], str] = {}
        # Extracta.ai and Atlas cannot list everything in an account. Without a template, a batch or a registry, each
        # sync would complete without a row.
        for name, section in sections.items():
            if section and not section.has_targets and not self.batch_registry:
                sentence = f"{name} names nothing to sync; set {REQUIREMENTS_BY_PROVIDER[name]}, or a batch_registry."
                missing_targets[(name,)] = sentence
        return missing_targets


REQUIREMENTS_BY_PROVIDER = {
    "extracta": "at least one of extraction_ids, extraction_batches, classification_ids, classification_batches",
    "docmap": "an api_key",
    "sensible": "an api_key",
    "atlas": "at least one id in batch_ids",
}
"""The requirement of each provider, by the name of its section, for the error message."""
