"""What the sections of the settings share: their base classes and the marks that Airbyte's form reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator
from pydantic.config import JsonDict

HIDDEN: JsonDict = {"airbyte_hidden": True}

SECRET: JsonDict = {"airbyte_secret": True}

ALWAYS_SHOWN: JsonDict = {"always_show": True}
"""Airbyte's form folds optional settings away, but for these."""


def html_link(label: str, address: str) -> str:
    """Return a link as Airbyte's form draws it in descriptions."""
    return f'<a href="https://{address}">{label}</a>'


class Section(BaseModel):
    """A part of the settings. Null counts as not set; an unknown name is ignored here and warned of in `parse`."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, raw_section: Any) -> Any:
        if not isinstance(raw_section, Mapping):
            return raw_section
        return {name: value for name, value in raw_section.items() if value is not None}


class OptionalSection(Section):
    """A part of the settings that can be switched off. An object without `use` means yes.

    Airbyte's form demands what is required inside an optional object even where the object is not wanted, and draws no
    heading for it. A choice between "Not used" and "Use …" has a heading, and demands only what was chosen.
    """

    use: Literal["yes", "no"] = "yes"


def _replace_unused(raw_section: Any) -> Any:
    """Take what is not used for absent, whatever else the object holds."""
    return None if isinstance(raw_section, Mapping) and raw_section.get("use") == "no" else raw_section


NONE_IF_UNUSED = BeforeValidator(_replace_unused)
