"""Settings section of DocMap: fields, defaults, texts of Airbyte's form."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from ...core.sections import ALWAYS_SHOWN, SECRET, OptionalSection, base_url_field, html_link
from ...core.validation import ApiKey, BaseUrl, Id


class DocmapSettings(OptionalSection):
    """Syncs the extractions of the key's user; DocMap lists them all."""

    model_config = ConfigDict(title="Use DocMap")

    api_key: ApiKey = Field(
        title="API key",
        description="A key that begins with dm_live_. Create it in DocMap under Settings > API Keys; see "
        f"{html_link('Managing API keys', 'docs.docmap.io/guides/managing-api-keys')}. A key gives access to the "
        "extractions of its own user only.",
        json_schema_extra=SECRET,
    )
    template_ids: tuple[Id, ...] = Field(
        default=(),
        title="Templates",
        description="Ids of the templates whose extractions are synced. The id is in the column template_id after the "
        "first sync. If empty, the extractions of all templates are synced.",
        json_schema_extra=ALWAYS_SHOWN,
    )
    base_url: BaseUrl = base_url_field("https://api.docmap.io/v1")

    @property
    def has_targets(self) -> bool:
        """Always true: DocMap lists all extractions."""
        return True
