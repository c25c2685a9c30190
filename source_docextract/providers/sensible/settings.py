"""Settings section of Sensible: fields, defaults, texts of Airbyte's form."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from ...core.sections import ALWAYS_SHOWN, SECRET, OptionalSection, base_url_field, html_link
from ...core.validation import ApiKey, BaseUrl, Id


class SensibleSettings(OptionalSection):
    """Syncs the extractions of the account, and the batches that they belong to; Sensible lists them all."""

    model_config = ConfigDict(title="Use Sensible")

    api_key: ApiKey = Field(
        title="API key",
        description="The key of your Sensible account. Create it on the "
        f"{html_link('account page', 'app.sensible.so/account/')}.",
        json_schema_extra=SECRET,
    )
    batch_ids: tuple[Id, ...] = Field(
        default=(),
        title="Batches",
        description="Ids of batches that are synced with all their documents, regardless of the start date and the "
        "document types. The id is in the response of POST /extract/batch. If empty, batches are found through their "
        "documents.",
        json_schema_extra=ALWAYS_SHOWN,
    )
    document_types: tuple[Id, ...] = Field(
        default=(),
        title="Document types",
        description="Names of the document types whose extractions are synced, as in the Document types tab of the "
        f"{html_link('Sensible app', 'app.sensible.so')}. If empty, all document types are synced.",
        json_schema_extra=ALWAYS_SHOWN,
    )
    environments: tuple[Literal["PRODUCTION", "DEVELOPMENT"], ...] = Field(
        default=("PRODUCTION",),
        min_length=1,
        title="Environments",
        description="Environments whose extractions are synced. If left out, PRODUCTION only.",
    )
    base_url: BaseUrl = base_url_field("https://api.sensible.so/v0")

    @property
    def has_targets(self) -> bool:
        """Always true: Sensible lists all extractions."""
        return True
