"""Airbyte's form for a source, as far as a spec decides what it does.

Written after the code of airbyte-platform, August 2026 (`useBuildForm`, `schemaToFormBlock`, `schemaToYup`,
`ConditionSection`, `useGroupsAndSections`, `removeEmptyProperties`): defaults are filled in everywhere, objects that
are not wanted included; a choice takes its first entry; the required fields of an object are demanded even if the
object is optional, but of a choice only those of the chosen entry; names that the spec does not have are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

Schema = Mapping[str, Any]
Values = dict[str, Any]


class FormError(Exception):
    """A spec of which the form cannot be drawn."""


class Form:
    """A form that a user fills in.

    Attributes:
        values: the values so far, with the defaults.
    """

    def __init__(self, spec: Schema) -> None:
        self._spec = spec
        self.values: Values = {}
        _fill_defaults(spec, self.values, keep_existing=False)

    def list_options(self, name: str) -> list[str]:
        """Return the titles in the drop-down of a choice."""
        return [option["title"] for option in self._find_choice(name)["oneOf"]]

    def choose(self, name: str, title: str) -> None:
        """Choose an entry of a drop-down; values that belong to it stay."""
        choice, values = self._find_choice(name), self._find_values(name)
        option = choice["oneOf"][self.list_options(name).index(title)]
        key = _find_selector(choice)
        kept_values = {field_name: value for field_name, value in values.items() if field_name in option["properties"]}
        kept_values[key] = option["properties"][key]["const"]
        _fill_defaults(option, kept_values, keep_existing=True)
        values.clear()
        values.update(kept_values)

    def list_visible_labels(self, name: str = "") -> list[str]:
        """Return the labels outside "Optional fields", in their order."""
        schema: Schema = self._spec
        if name:
            schema = _find_chosen_option(self._find_choice(name), self._find_values(name)) or {}
        fields = [(field_name, field) for field_name, field in schema["properties"].items() if "const" not in field]
        assert all("order" in field for _, field in fields)
        visible_labels = []
        for field_name, field in sorted(fields, key=lambda item: item[1]["order"]):
            is_required = field_name in schema.get("required", ())
            is_shown = is_required or field.get("always_show") or _is_always_expanded(field)
            if is_shown and not field.get("airbyte_hidden"):
                visible_labels.append(field["title"])
        return visible_labels

    def list_invalid_fields(self) -> list[str]:
        """Return the paths of the fields that keep the form from being sent."""
        return list(_find_invalid_fields(self._spec, _remove_empty(self.values), ""))

    def get_submitted_values(self) -> Values:
        """Return the configuration that the form sends to be saved."""
        assert self.list_invalid_fields() == []
        return _cast(self._spec, _remove_empty(self.values))

    def _find_choice(self, name: str) -> Schema:
        """Return the schema of a choice, by its dotted path through the chosen entries."""
        *parents, leaf_name = name.split(".")
        schema: Schema = self._spec
        if parents:
            parent_name = ".".join(parents)
            schema = _find_chosen_option(self._find_choice(parent_name), self._find_values(parent_name)) or {}
        choice: Schema = schema["properties"][leaf_name]
        return choice

    def _find_values(self, name: str) -> Values:
        values = self.values
        for part in name.split("."):
            values = values[part]
        return values


def _is_always_expanded(field: Schema) -> bool:
    return "oneOf" in field or field["type"] == "object"


def _find_selector(choice: Schema) -> str:
    """Return the name of the first constant that all entries of a choice have."""
    if choice.get("type") != "object":
        raise FormError("the entries of a choice take its type, and have to be objects")
    properties_by_option = [option["properties"] for option in choice["oneOf"]]
    common_names: list[str] = [name for name, field in properties_by_option[0].items() if field.get("const")]
    for properties in properties_by_option:
        common_names = [name for name in common_names if properties.get(name, {}).get("const")]
    if not common_names:
        raise FormError("the entries of a choice have no constant of one name")
    return common_names[0]


def _find_chosen_option(choice: Schema, values: Mapping[str, Any]) -> Schema | None:
    key = _find_selector(choice)
    matches = [option for option in choice["oneOf"] if option["properties"][key]["const"] == values.get(key)]
    return matches[0] if matches else None


def _fill_defaults(schema: Schema, values: Values, *, keep_existing: bool) -> None:
    for name, field in schema["properties"].items():
        if field.get("const") and not (keep_existing and values.get(name)):
            values[name] = field["const"]
        if "default" in field and not (keep_existing and values.get(name) is not None):
            values[name] = deepcopy(field["default"])
        if "oneOf" in field:
            _find_selector(field)
            values[name] = {}
            _fill_defaults(field["oneOf"][0], values[name], keep_existing=False)
        elif field["type"] == "object":
            values[name] = values[name] if keep_existing and values.get(name) else {}
            _fill_defaults(field, values[name], keep_existing=keep_existing)


def _find_invalid_fields(schema: Schema, values: Mapping[str, Any], path_prefix: str) -> Iterator[str]:
    for name, field in schema["properties"].items():
        value: Any = values.get(name)
        path = f"{path_prefix}{name}"
        if "oneOf" in field:
            option = _find_chosen_option(field, value) if isinstance(value, Mapping) else None
            if option:
                yield from _find_invalid_fields(option, value, f"{path}.")
            elif value is None and name in schema.get("required", ()):
                yield path
        elif field["type"] == "object":
            # An absent object is taken for one without anything in it.
            yield from _find_invalid_fields(field, value or {}, f"{path}.")
        elif value is None:
            if name in schema.get("required", ()):
                yield path
        elif not all(_is_valid(field, item) for item in (value if isinstance(value, list) else [value])):
            yield path


def _is_valid(field: Schema, value: Any) -> bool:
    field = field.get("items", field)
    if "pattern" in field and not re.search(field["pattern"], str(value).strip()):
        return False
    if "enum" in field and value not in field["enum"]:
        return False
    number = value if isinstance(value, (int, float)) else 0
    return bool(field.get("minimum", number) <= number <= field.get("maximum", number))


def _remove_empty(values: Any) -> Any:
    """Return the values without texts that are empty; lists that are empty stay."""
    if isinstance(values, list):
        return [_remove_empty(item) for item in values]
    if not isinstance(values, dict):
        return values
    return {
        name: _remove_empty(value)
        for name, value in values.items()
        if not (isinstance(value, str) and not value.strip())
    }


def _cast(schema: Schema, values: Mapping[str, Any]) -> Values:
    cast: Values = {}
    for name, field in schema["properties"].items():
        if name not in values:
            continue
        value = values[name]
        if "oneOf" in field:
            option = _find_chosen_option(field, value)
            cast[name] = _cast(option, value) if option else value
        elif field["type"] == "object":
            cast[name] = _cast(field, value)
        else:
            cast[name] = value.strip() if isinstance(value, str) else value
    return cast
