"""Base classes of the settings' sections, and marks that Airbyte's form reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

HIDDEN: JsonDict = {"airbyte_hidden": True}
"""The form does not show the setting."""

SECRET: JsonDict = {"airbyte_secret": True}
"""The form and the logs mask the setting's value."""

ALWAYS_SHOWN: JsonDict = {"always_show": True}
"""The form shows the setting at once; it folds all other optional settings away."""


def html_link(label: str, address: str) -> str:
    """Return a hyperlink in the HTML that Airbyte's form renders in descriptions."""
    return f'<a href="https://{address}">{label}</a>'


def base_url_field(default_url: str) -> Any:
    """Return the definition of a provider's setting `base_url`."""
    return Field(
        default=default_url,
        title="Base URL",
        description=f"Address of the API. If left out, {default_url}.",
        json_schema_extra=HIDDEN,
    )


class Section(BaseModel):
    """A section of the settings.

    A null counts as not set. An unknown name is ignored here, and `Settings.parse` warns about it.
    """

    # pydantic's messages would otherwise quote the input, which may be a key.
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, raw_section: Any) -> Any:
        if not isinstance(raw_section, Mapping):
            return raw_section
        return {name: value for name, value in raw_section.items() if value is not None}


class OptionalSection(Section):
    """A section that can be switched off. An object without `use` is switched on.

    Airbyte's form enforces the required settings of an optional object even if the user does not want the object, and
    shows no heading for it. A choice between "Not used" and "Use …" has a heading, and enforces only what the user
    chose (tried with Airbyte's real form).

    Attributes:
        use: `yes` or `no`; `no` makes the section absent, whatever else it holds.
    """

    use: Literal["yes", "no"] = "yes"


def _replace_unused(raw_section: Any) -> Any:
    """Return None for a section that is switched off."""
    return None if isinstance(raw_section, Mapping) and raw_section.get("use") == "no" else raw_section


NONE_IF_UNUSED = BeforeValidator(_replace_unused)
"""The validator of each optional section. It runs first, so that an unused section may lack its required settings."""
