"""Settings section of Extracta.ai: fields, defaults, texts of Airbyte's form."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from ...core.sections import ALWAYS_SHOWN, HIDDEN, SECRET, OptionalSection, base_url_field, html_link
from ...core.validation import ApiKey, BaseUrl, BatchPath, Id

_VIEW_EXTRACTION_PAGE = "docs.extracta.ai/data-extraction-api/api-endpoints-data-extraction/2.-view-extraction"


class ExtractaSettings(OptionalSection):
    """Syncs the batches of the templates and ids that are named below, with one key for both products."""

    model_config = ConfigDict(title="Use Extracta.ai")

    api_key: ApiKey = Field(
        title="API key",
        description="The key of your Extracta.ai account. Generate it on the API page of the "
        f"{html_link('dashboard', 'app.extracta.ai')}; see "
        f"{html_link('Authentication', 'docs.extracta.ai/api-reference/authentication')}.",
        json_schema_extra=SECRET,
    )
    extraction_ids: tuple[Id, ...] = Field(
        default=(),
        title="Extraction templates",
        description="Ids of extraction templates, such as -OPXQuIrkHuA2QZkY-44, all of whose batches are found "
        "and synced. The id is in the response of createExtraction; see "
        f"{html_link('View extraction', _VIEW_EXTRACTION_PAGE)}. If empty, only the batches named below, in the batch "
        "registry or by classification results are synced.",
        json_schema_extra=ALWAYS_SHOWN,
    )
    extraction_batches: tuple[BatchPath, ...] = Field(
        default=(),
        title="Extraction batches",
        description="Single batches, each as <code>extraction id/batch id</code>, or with <code>/file id</code> for "
        "one file only. The batch id is in the response of uploadFiles. If empty, batches are found through their "
        "templates.",
        json_schema_extra=ALWAYS_SHOWN,
    )
    classification_ids: tuple[Id, ...] = Field(
        default=(),
        title="Classification templates",
        description="Ids of classification templates whose batches are found, where Extracta.ai lists them. The id is "
        "in the response of createClassification. If empty, only the classification batches named below "
        "or in the batch registry are synced.",
        json_schema_extra=ALWAYS_SHOWN,
    )
    classification_batches: tuple[BatchPath, ...] = Field(
        default=(),
        title="Classification batches",
        description="Single batches, each as <code>classification id/batch id</code>, or with <code>/file id</code> "
        "for one file only. If empty, batches are found through their templates.",
        json_schema_extra=ALWAYS_SHOWN,
    )
    follow_links: bool = Field(
        default=True,
        title="Follow links",
        description="On: extraction batches that classification results refer to are synced as well. Off: they are "
        "synced only if they are named or found otherwise.",
    )
    seconds_between_requests: float = Field(
        default=2,
        ge=0,
        le=3600,
        title="Seconds between requests",
        description="Minimum interval between requests to each of the two result endpoints. Extracta.ai asks for 2 "
        "seconds. If left out, 2.",
        json_schema_extra=HIDDEN,
    )
    base_url: BaseUrl = base_url_field("https://api.extracta.ai/api/v1")

    @property
    def has_classification(self) -> bool:
        """Whether the section names classification templates or batches."""
        return bool(self.classification_ids or self.classification_batches)

    @property
    def follows_references(self) -> bool:
        """Whether classification results may lead to extraction batches."""
        return self.follow_links and self.has_classification

    @property
    def has_extraction(self) -> bool:
        """Whether the section names or may lead to extraction batches."""
        return bool(self.extraction_ids or self.extraction_batches) or self.follows_references

    @property
    def has_targets(self) -> bool:
        """Whether the section names anything to sync."""
        return self.has_extraction or self.has_classification
