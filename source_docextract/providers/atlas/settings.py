"""Settings section of Atlas: fields, defaults, texts of Airbyte's form."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from ...core.sections import ALWAYS_SHOWN, SECRET, OptionalSection, base_url_field, html_link
from ...core.validation import ApiKey, BaseUrl, Id


class AtlasSettings(OptionalSection):
    """Syncs the batches that are named below or in the batch registry; Atlas has no list of them."""

    model_config = ConfigDict(title="Use Atlas")

    client_id: ApiKey = Field(
        title="Client id",
        description="The id that your account team at Atlas gave you; see "
        f"{html_link('Authentication', 'docs.helloatlas.in/authentication')}.",
        json_schema_extra=SECRET,
    )
    client_secret: ApiKey = Field(
        title="Client secret",
        description="The secret that your account team at Atlas gave you together with the client id.",
        json_schema_extra=SECRET,
    )
    batch_ids: tuple[Id, ...] = Field(
        default=(),
        title="Batches",
        description="Ids of batches, such as BATCH-69469-BBRSS-20260309081408, from the response of multiupload; see "
        f"{html_link('Bulk processing', 'docs.helloatlas.in/guides/bulk-processing')}. If empty, only the batches in "
        "the batch registry are synced, which is then required.",
        json_schema_extra=ALWAYS_SHOWN,
    )
    base_url: BaseUrl = base_url_field("https://api.helloatlas.in/v1/bulk")

    @property
    def has_targets(self) -> bool:
        """Whether the section names anything to sync."""
        return bool(self.batch_ids)
