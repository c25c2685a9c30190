"""The Airbyte spec: the JSON schema of the settings, for Airbyte's form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from .settings import Settings


class _AirbyteSchemaGenerator(GenerateJsonSchema):
    """A generator of JSON schemas without unions with null.

    Airbyte's form does not support such unions.
    """

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Return the schema of a nullable setting without the null."""
        return self.generate_inner(schema["schema"])


_UNSUPPORTED_KEYS = {"additionalProperties", "writeOnly", "$defs", "discriminator"}
"""Keys that Airbyte's form does not support, such as definitions and closed objects."""


def build_connection_spec() -> dict[str, Any]:
    """Return the JSON schema of the settings, inlined and with numbered order."""
    schema = Settings.model_json_schema(schema_generator=_AirbyteSchemaGenerator)
    inlined_schema: dict[str, Any] = _inline_definitions(schema, schema.get("$defs", {}))
    inlined_schema["$schema"] = "http://json-schema.org/draft-07/schema#"
    return inlined_schema


def _inline_definitions(node: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return [_inline_definitions(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        definition = _inline_definitions(definitions[re.sub(r"^#/\$defs/", "", node["$ref"])], definitions)
        sibling_keys = {key: value for key, value in node.items() if key not in {"$ref", "default"}}
        if "use" in definition["properties"]:
            return _make_choice(sibling_keys, definition)
        return {**definition, **sibling_keys}
    result = {
        key: _inline_definitions(value, definitions)
        for key, value in node.items()
        if key not in _UNSUPPORTED_KEYS and not (key == "default" and value is None)
    }
    if result.get("airbyte_hidden"):
        # The form saves a hidden setting's default, which would freeze today's default into every source.
        result.pop("default", None)
    if "oneOf" in result:
        # pydantic gives a union no type, but each node of the spec has to have one.
        result["type"] = "object"
    if result.get("format") == "password":
        del result["format"]
    if isinstance(node.get("properties"), dict):
        # Airbyte's form requires an `order` that is unique within its object.
        for order, field_schema in enumerate(result["properties"].values()):
            field_schema["order"] = order
    return result


def _make_choice(outer_schema: dict[str, Any], section_schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an optional section: a choice of unused and used.

    The form preselects the first choice. An object without `use` matches only the second, so that a config file may
    leave `use` out.
    """
    unused_schema = {
        "title": "Not used",
        "description": f"{outer_schema['title']} is not used.",
        "type": "object",
        "properties": {"use": _make_constant("no")},
        "required": ["use"],
    }
    used_schema = {**section_schema, "properties": {**section_schema["properties"], "use": _make_constant("yes")}}
    return {**outer_schema, "type": "object", "oneOf": [unused_schema, used_schema]}


def _make_constant(value: str) -> dict[str, Any]:
    description = "Whether this section is used: yes or no. If left out, an object means yes."
    return {"title": "Use", "description": description, "type": "string", "const": value, "order": 0}
